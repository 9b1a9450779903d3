/* The members of a cluster: list, add, remove, update and promote, on clusters that each test makes for itself. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "real.h"

enum { PATIENCE_MS = 30000 };

/* One that will have company is as patient as those are: alone it would not have to be. */
static const char *const patient[] = {"--heartbeat-interval=100", "--election-timeout=1000", NULL};

static struct etcd_server *start(int members)
{
    struct etcd_server_options options = {.members = members, .flags = patient};
    struct etcd_server *server = etcd_server_start(&options);

    if (server == NULL)
        fail_msg("the cluster did not start");
    return server;
}

/* A client of the first n members. */
static etcd_client *client_of_first(struct etcd_server *server, int n)
{
    char endpoints[1024] = "";

    for (int i = 0; i < n; i++)
        snprintf(endpoints + strlen(endpoints), sizeof endpoints - strlen(endpoints), "%s%s", i > 0 ? "," : "",
                 etcd_server_endpoint(server, i));
    return real_client_with(
        ETCD_CLIENT(.endpoints = endpoints, .request_timeout_ms = PATIENCE_MS, .backoff_base_ms = 20, .backoff_max_ms = 200));
}

static etcd_client *client_of(struct etcd_server *server)
{
    return client_of_first(server, etcd_server_members(server));
}

/* Waits until a member has noticed that another is dead: until then it counts on it, and fears for the quorum of a young cluster,
 * or does not fear for that of an older one. */
static void await_noticed(struct etcd_server *server, int member, uint64_t dead)
{
    int64_t start_ms = real_now_ms();
    char text[64];

    snprintf(text, sizeof text, "Remote=\"%" PRIx64 "\"} 0\n", dead);
    while (!etcd_server_has_metric(server, member, text)) {
        assert_true(real_now_ms() - start_ms < PATIENCE_MS);
        real_sleep_ms(5);
    }
}

/* A read is repeated until there is a leader again. */
static void await_leader(etcd_client *client)
{
    etcd_response_free(real_get(client, "key", NULL));
}

static etcd_member_list_response *list(etcd_client *client, const etcd_member_list_options *options)
{
    etcd_member_list_response *response;
    etcd_error err;

    assert_ok(etcd_member_list(client, options, &response, &err), &err);
    assert_true(response->header.cluster_id != 0);
    return response;
}

static const etcd_member *find(const etcd_member *members, size_t n, const char *peer_url)
{
    for (size_t i = 0; i < n; i++)
        if (members[i].n_peer_urls == 1 && strcmp(members[i].peer_urls[0].data, peer_url) == 0)
            return &members[i];
    return NULL;
}

static uint64_t id_of(etcd_client *client, struct etcd_server *server, int member)
{
    etcd_member_list_response *members = list(client, NULL);
    const etcd_member *found = find(members->members, members->n_members, etcd_server_peer_url(server, member));
    uint64_t id = found != NULL ? found->id : 0;

    etcd_response_free(members);
    assert_true(id != 0);
    return id;
}

/* Adds a member to the cluster, without starting it. */
static uint64_t add(etcd_client *client, struct etcd_server *server, int member, bool learner)
{
    const char *url = etcd_server_peer_url(server, member);
    int64_t start_ms = real_now_ms();
    etcd_member_add_response *added;
    bool perhaps = false;
    etcd_error err;
    uint64_t id;
    int rc;

    /* a cluster that is young or has just lost a member refuses for a while */
    while (real_passes(rc = etcd_member_add(client, &url, 1, ETCD_MEMBER_ADD(.learner = learner), &added, &err)) &&
           real_now_ms() - start_ms < PATIENCE_MS) {
        perhaps = perhaps || (err.flags & ETCD_ERROR_MAYBE_APPLIED);
        real_sleep_ms(50);
    }
    if (perhaps && rc == ETCD_ERR_PEER_URL_EXIST)
        return id_of(client, server, member);
    assert_ok(rc, &err);
    id = added->member.id;
    assert_true(id != 0);
    assert_text(added->member.name, "");
    assert_int_equal(added->member.n_peer_urls, 1);
    assert_text(added->member.peer_urls[0], url);
    assert_int_equal(added->member.n_client_urls, 0);
    assert_int_equal(added->member.is_learner, learner);
    assert_non_null(find(added->members, added->n_members, url));
    etcd_response_free(added);
    return id;
}

/* ---- list ---- */

static void members_are_listed(void **state)
{
    struct etcd_server *server = start(3);
    etcd_client *client = client_of(server);

    (void)state;
    for (int serializable = 0; serializable <= 1; serializable++) {
        etcd_member_list_response *members = list(client, ETCD_MEMBER_LIST(.serializable = serializable));

        assert_int_equal(members->n_members, 3);
        for (int i = 0; i < 3; i++) {
            const etcd_member *member = find(members->members, 3, etcd_server_peer_url(server, i));
            char name[8];

            assert_non_null(member);
            assert_true(member->id != 0);
            snprintf(name, sizeof name, "m%d", i);
            assert_text(member->name, name);
            assert_int_equal(member->n_client_urls, 1);
            assert_text(member->client_urls[0], etcd_server_endpoint(server, i));
            assert_false(member->is_learner);
        }
        etcd_response_free(members);
    }
    etcd_client_free(client);
    etcd_server_stop(server);
}

static void without_quorum_only_a_serializable_list_is_answered(void **state)
{
    struct etcd_server *server = start(3);
    etcd_client *client = real_client_with(ETCD_CLIENT(.endpoints = etcd_server_endpoint(server, 0)));
    etcd_member_list_response *members;
    etcd_error err;

    (void)state;
    etcd_response_free(list(client, NULL));
    etcd_server_signal(server, 1, SIGKILL);
    etcd_server_signal(server, 2, SIGKILL);
    members = list(client, ETCD_MEMBER_LIST(.serializable = true));
    assert_int_equal(members->n_members, 3);
    etcd_response_free(members);
    if (etcd_server_minor(server) < 5) { /* knows no other list */
        etcd_response_free(list(client, NULL));
    } else {
        assert_error(etcd_member_list(client, ETCD_MEMBER_LIST(.call = ETCD_CALL(.timeout_ms = 1000)), &members, &err), &err,
                     ETCD_ERR_DEADLINE_EXCEEDED, NULL);
        assert_null(members);
    }
    etcd_client_free(client);
    etcd_server_stop(server);
}

/* ---- add and remove ---- */

static void a_learner_joins_and_is_promoted(void **state)
{
    struct etcd_server *server = start(1);
    etcd_client *client = client_of(server), *at_learner;
    int member = etcd_server_add(server);
    int64_t start_ms = real_now_ms();
    uint64_t id = add(client, server, member, true);
    etcd_member_promote_response *promoted = NULL;
    etcd_member_list_response *members;
    bool perhaps = false;
    etcd_error err;
    int rc;

    (void)state;
    assert_error(etcd_member_promote(client, id, NULL, &promoted, &err), &err, ETCD_ERR_LEARNER_NOT_READY, "in sync with leader");
    assert_null(promoted);
    assert_int_equal(err.flags, 0);
    real_put(client, "key", "value");
    assert_int_equal(etcd_server_join(server, member), 0);

    /* a learner answers for itself only */
    at_learner = real_client_with(ETCD_CLIENT(.endpoints = etcd_server_endpoint(server, member),
                                              .request_timeout_ms = PATIENCE_MS, .backoff_base_ms = 20, .backoff_max_ms = 100));
    while ((rc = etcd_get(at_learner, ETCD_STR("key"), NULL, NULL, &err)) != ETCD_ERR_NOT_SUPPORTED_FOR_LEARNER) {
        assert_true(rc < 0);
        assert_true(real_now_ms() - start_ms < PATIENCE_MS * real_slowdown());
    }
    members = list(client, NULL);
    assert_true(find(members->members, members->n_members, etcd_server_peer_url(server, member))->is_learner);
    etcd_response_free(members);

    while ((rc = etcd_member_promote(client, id, NULL, &promoted, &err)) == ETCD_ERR_LEARNER_NOT_READY || real_passes(rc)) {
        assert_true(real_now_ms() - start_ms < PATIENCE_MS * real_slowdown());
        perhaps = perhaps || (err.flags & ETCD_ERROR_MAYBE_APPLIED);
        real_sleep_ms(20);
    }
    if (!perhaps || rc != ETCD_ERR_MEMBER_NOT_LEARNER) {
        assert_ok(rc, &err);
        assert_int_equal(promoted->n_members, 2);
        assert_false(find(promoted->members, 2, etcd_server_peer_url(server, member))->is_learner);
        etcd_response_free(promoted);
    }
    /* again: while it lags behind the leader says so instead */
    while ((rc = etcd_member_promote(client, id, NULL, &promoted, &err)) == ETCD_ERR_LEARNER_NOT_READY || real_passes(rc))
        assert_true(real_now_ms() - start_ms < PATIENCE_MS * real_slowdown());
    assert_error(rc, &err, ETCD_ERR_MEMBER_NOT_LEARNER, "can only promote a learner member");
    assert_keys(real_get(at_learner, "key", NULL), "key");
    etcd_client_free(at_learner);
    etcd_client_free(client);
    etcd_server_stop(server);
}

static void a_dead_member_is_replaced(void **state)
{
    struct etcd_server *server = start(3);
    etcd_client *client = client_of_first(server, 2), *at_new;
    uint64_t dead = id_of(client, server, 2);
    etcd_member_remove_response *removed;
    etcd_error err;
    int member;

    (void)state;
    real_put(client, "key", "value");
    etcd_server_signal(server, 2, SIGKILL);
    await_leader(client);
    await_noticed(server, 0, dead);
    await_noticed(server, 1, dead);
    assert_ok(etcd_member_remove(client, dead, ETCD_CALL(.timeout_ms = PATIENCE_MS), &removed, &err), &err);
    assert_int_equal(removed->n_members, 2);
    assert_null(find(removed->members, 2, etcd_server_peer_url(server, 2)));
    etcd_response_free(removed);
    assert_error(etcd_member_remove(client, dead, NULL, &removed, &err), &err, ETCD_ERR_MEMBER_NOT_FOUND, "member not found");
    assert_null(removed);
    etcd_server_remove(server, 2);

    member = etcd_server_add(server);
    assert_true(add(client, server, member, false) != dead);
    assert_int_equal(etcd_server_join(server, member), 0);
    assert_int_equal(etcd_server_await_healthy(server, -1, PATIENCE_MS * real_slowdown()), 0);
    at_new = real_client_with(ETCD_CLIENT(.endpoints = etcd_server_endpoint(server, member)));
    assert_keys(real_get(at_new, "key", NULL), "key");
    etcd_client_free(at_new);
    etcd_client_free(client);
    etcd_server_stop(server);
}

static void ids_that_are_not_members_are_told(void **state)
{
    etcd_client *client = real_client();
    const char *url = "http://127.0.0.1:1";
    etcd_member_update_response *updated = NULL;
    etcd_error err;

    (void)state;
    assert_error(etcd_member_remove(client, 4711, NULL, NULL, &err), &err, ETCD_ERR_MEMBER_NOT_FOUND, "member not found");
    assert_error(etcd_member_update(client, 4711, &url, 1, NULL, &updated, &err), &err, ETCD_ERR_MEMBER_NOT_FOUND,
                 "member not found");
    assert_null(updated);
    assert_error(etcd_member_promote(client, 4711, NULL, NULL, &err), &err, ETCD_ERR_MEMBER_NOT_FOUND, "member not found");
    etcd_client_free(client);
}

static void a_member_is_not_added_twice(void **state)
{
    etcd_client *client = real_client();
    etcd_member_list_response *members = list(client, NULL);
    const char *url = members->members[0].peer_urls[0].data;
    etcd_error err;

    (void)state;
    assert_error(etcd_member_add(client, &url, 1, NULL, NULL, &err), &err, ETCD_ERR_PEER_URL_EXIST, "Peer URLs already exists");
    etcd_response_free(members);
    etcd_client_free(client);
}

static void one_learner_at_a_time(void **state)
{
    struct etcd_server *server = start(1);
    etcd_client *client = client_of(server);
    const char *other = "http://127.0.0.1:3";
    etcd_error err;

    (void)state;
    add(client, server, etcd_server_add(server), true);
    assert_error(etcd_member_add(client, &other, 1, ETCD_MEMBER_ADD(.learner = true), NULL, &err), &err,
                 ETCD_ERR_TOO_MANY_LEARNERS, "too many learner members in cluster");
    etcd_client_free(client);
    etcd_server_stop(server);
}

static void a_change_that_would_cost_the_quorum_is_refused(void **state)
{
    struct etcd_server *server = start(3);
    etcd_client *client = client_of_first(server, 2);
    uint64_t id = id_of(client, server, 0), dead = id_of(client, server, 2);
    const char *url = "http://127.0.0.1:5";
    etcd_error err;
    int rc;

    (void)state;
    etcd_server_signal(server, 2, SIGKILL);
    await_leader(client);
    await_noticed(server, 0, dead);
    await_noticed(server, 1, dead);
    rc = etcd_member_remove(client, id, NULL, NULL, &err);
    assert_true(rc == ETCD_ERR_UNHEALTHY || rc == ETCD_ERR_MEMBER_NOT_ENOUGH_STARTED);
    assert_int_equal(err.flags & ETCD_ERROR_MAYBE_APPLIED, 0);
    rc = etcd_member_add(client, &url, 1, NULL, NULL, &err);
    assert_true(rc == ETCD_ERR_UNHEALTHY || rc == ETCD_ERR_MEMBER_NOT_ENOUGH_STARTED);
    assert_int_equal(err.flags & ETCD_ERROR_MAYBE_APPLIED, 0);
    etcd_client_free(client);
    etcd_server_stop(server);
}

/* ---- update ---- */

/* How many peer URLs the member has, and whether its last is this one. The server sorts them. */
static size_t n_peer_urls_of(etcd_client *client, uint64_t id, const char *last)
{
    etcd_member_list_response *members = list(client, NULL);
    size_t n = 0;

    for (size_t i = 0; i < members->n_members; i++)
        if (members->members[i].id == id && members->members[i].n_peer_urls > 0 &&
            strcmp(members->members[i].peer_urls[members->members[i].n_peer_urls - 1].data, last) == 0)
            n = members->members[i].n_peer_urls;
    etcd_response_free(members);
    return n;
}

static void peer_urls_are_updated(void **state)
{
    struct etcd_server *server = start(3);
    etcd_client *client = client_of(server);
    uint64_t id = id_of(client, server, 1);
    const char *urls[] = {"http://127.0.0.1:4", etcd_server_peer_url(server, 1), "unix://localhost:6"};
    int64_t start_ms = real_now_ms();
    etcd_member_update_response *updated;
    etcd_error err;
    int rc;

    (void)state;
    while (real_passes(rc = etcd_member_update(client, id, urls, 3, NULL, &updated, &err)))
        assert_true(real_now_ms() - start_ms < PATIENCE_MS);
    assert_ok(rc, &err);
    assert_int_equal(updated->n_members, 3);
    etcd_response_free(updated);
    while (n_peer_urls_of(client, id, "unix://localhost:6") != 3) { /* lists of servers before 3.5 may lag behind */
        assert_true(etcd_server_minor(server) < 5);
        assert_true(real_now_ms() - start_ms < PATIENCE_MS);
    }
    etcd_client_free(client);
    etcd_server_stop(server);
}

/* ---- peer URLs, checked without a server ---- */

static void malformed_peer_urls_are_refused(void **state)
{
    static const struct {
        const char *url, *text;
    } bad[] = {
        {"", "URL scheme must be http, https, unix, or unixs: "},
        {"127.0.0.1:2380", "URL scheme must be http, https, unix, or unixs: 127.0.0.1:2380"},
        {"localhost:2380", "URL scheme must be http, https, unix, or unixs: localhost:2380"},
        {"ftp://127.0.0.1:2380", "URL scheme must be http, https, unix, or unixs: ftp://127.0.0.1:2380"},
        {"://127.0.0.1:2380", "URL scheme must be"},
        {"mailto://127.0.0.1:2380", "URL scheme must be"},
        {"http:", "URL address does not have the form \"host:port\": http:"},
        {"http://", "URL address does not have the form \"host:port\": http://"},
        {"http://127.0.0.1", "URL address does not have the form \"host:port\": http://127.0.0.1"},
        {"  http://127.0.0.1\n", "URL address does not have the form \"host:port\": http://127.0.0.1"},
        {"http://a:1:2", "URL address does not have the form \"host:port\": http://a:1:2"},
        {"http://::1:2380", "URL address does not have the form \"host:port\": http://::1:2380"},
        {"http://[::1]", "URL address does not have the form \"host:port\": http://[::1]"},
        {"http://[::1]2380", "URL address does not have the form"},
        {"http://host:port", "URL address does not have the form"},
        {"https://user:pw@host", "URL address does not have the form"},
        {"http://127.0.0.1:2380/path", "URL must not contain a path: http://127.0.0.1:2380/path"},
        {"https://127.0.0.1:2380/", "URL must not contain a path: https://127.0.0.1:2380/"},
    };
    etcd_client *client = real_client_with(ETCD_CLIENT(.endpoints = "http://127.0.0.1:1"));
    const char *urls[3] = {"http://127.0.0.1:2380", NULL, "http://127.0.0.1:2381"};
    etcd_error err;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        urls[1] = bad[i].url;
        assert_error(etcd_member_add(client, urls, 3, NULL, NULL, &err), &err, ETCD_ERR_MEMBER_BAD_URLS, bad[i].text);
        assert_error(etcd_member_update(client, 1, urls, 3, NULL, NULL, &err), &err, ETCD_ERR_MEMBER_BAD_URLS, bad[i].text);
    }
    assert_error(etcd_member_add(client, urls, 0, NULL, NULL, &err), &err, ETCD_ERR_MEMBER_BAD_URLS, "no valid URLs given");
    assert_error(etcd_member_add(client, NULL, 0, NULL, NULL, &err), &err, ETCD_ERR_MEMBER_BAD_URLS, "no valid URLs given");
    assert_error(etcd_member_add(client, NULL, 1, NULL, NULL, &err), &err, ETCD_ERR_ARGUMENT, "peer_urls is NULL");
    urls[1] = NULL;
    assert_error(etcd_member_update(client, 1, urls, 3, NULL, NULL, &err), &err, ETCD_ERR_ARGUMENT, "peer_urls[1] is NULL");
    etcd_client_free(client);
}

/* What passes our check reaches the server as it was written: the server finds that there is no such member. */
static void well_formed_peer_urls_are_sent(void **state)
{
    static const char *const good[] = {
        "http://127.0.0.1:2380", "https://host.example:1", " http://127.0.0.1:2380 ",
        "HTTP://127.0.0.1:2380", "http://[::1]:2380",      "http://[fe80::1%25lo]:2380",
        "unix://127.0.0.1:2380", "unixs://localhost:2380", "http://user:pw@127.0.0.1:2380",
    };
    etcd_client *client = real_client();
    etcd_error err;

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        int rc = etcd_member_update(client, 4711, &good[i], 1, NULL, NULL, &err);

        if (rc != ETCD_ERR_MEMBER_NOT_FOUND || err.grpc_code < 0)
            fail_msg("%s: %s", good[i], err.message);
    }
    etcd_client_free(client);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(members_are_listed),
    cmocka_unit_test(without_quorum_only_a_serializable_list_is_answered),
    cmocka_unit_test(a_learner_joins_and_is_promoted),
    cmocka_unit_test(a_dead_member_is_replaced),
    cmocka_unit_test(ids_that_are_not_members_are_told),
    cmocka_unit_test(a_member_is_not_added_twice),
    cmocka_unit_test(one_learner_at_a_time),
    cmocka_unit_test(a_change_that_would_cost_the_quorum_is_refused),
    cmocka_unit_test(peer_urls_are_updated),
    cmocka_unit_test(malformed_peer_urls_are_refused),
    cmocka_unit_test(well_formed_peer_urls_are_sent),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
