/* A member that is cut off from the two others, which go on without it, while its clients still reach it: it has no leader and
 * knows nothing of what is written. Who needs a leader goes on elsewhere, and nothing is lost (P4, P14). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "watching.h"

enum { PATIENCE_MS = 60000, LEASE = 0x77, TTL_S = 60 };

static etcd_client *client_at(const char *endpoints)
{
    /* no pings: on a busy machine they may find a member hang that does not */
    return real_client_with(ETCD_CLIENT(.endpoints = endpoints, .request_timeout_ms = PATIENCE_MS, .backoff_base_ms = 20,
                                        .backoff_max_ms = 100, .ping_interval_ms = -1));
}

static uint64_t id_of(etcd_client *client, const char *name)
{
    etcd_member_list_response *members;
    uint64_t id = 0;
    etcd_error err;

    assert_ok(etcd_member_list(client, NULL, &members, &err), &err);
    for (size_t i = 0; i < members->n_members; i++)
        if (strcmp(members->members[i].name.data, name) == 0)
            id = members->members[i].id;
    etcd_response_free(members);
    assert_true(id != 0);
    return id;
}

/* New keys. A try may fail, with an unknown outcome, while the cluster finds a leader. */
static void put_new_keys(etcd_client *client, int n, bool require_leader)
{
    static int keys;
    int64_t until = real_now_ms() + PATIENCE_MS;
    char key[16];

    while (n > 0) {
        assert_true(real_now_ms() < until);
        (void)snprintf(key, sizeof key, "w/%05d", keys++);
        if (etcd_put(client, ETCD_STR(key), ETCD_STR("x"),
                     ETCD_PUT(.call = ETCD_CALL(.timeout_ms = 10000, .require_leader = require_leader)), NULL, NULL) == ETCD_OK)
            n--;
    }
}

/* The watch shows what the server has behind the first `checked` revisions. Returns how many there are. */
static size_t check_watch(etcd_client *client, size_t checked, etcd_watch *watch)
{
    struct history history = {0};
    size_t n;

    history_read(&history, client, "w/");
    history.checked = checked;
    (void)history_await(&history, watch);
    n = history.n;
    history_free(&history);
    return n;
}

/* Another handle has the lease renewed at once. */
static void renew(etcd_client *client)
{
    etcd_keepalive_response *answer;
    etcd_keepalive *another;
    etcd_error err;

    assert_ok(etcd_keepalive_open(client, LEASE, NULL, &another, &err), &err);
    assert_ok(etcd_keepalive_next(another, PATIENCE_MS, &answer, &err), &err);
    assert_int_equal(answer->ttl_s, TTL_S);
    etcd_response_free(answer);
    etcd_keepalive_free(another);
}

/* At a member that has nothing but itself: serializable reads are served, all that needs the others is not. */
static void await_isolation(etcd_client *client, const char *endpoint)
{
    etcd_error err;

    while (etcd_get(client, ETCD_STR("w/"),
                    ETCD_GET(.count_only = true, .call = ETCD_CALL(.endpoint = endpoint, .timeout_ms = PATIENCE_MS,
                                                                   .require_leader = true, .no_retry = true)),
                    NULL, &err) != ETCD_ERR_NO_LEADER)
        real_sleep_ms(20);
    assert_ok(
        etcd_get(client, ETCD_STR("w/"), ETCD_GET(.serializable = true, .call = ETCD_CALL(.endpoint = endpoint)), NULL, &err),
        &err);
}

static void an_isolated_member_is_left_by_who_needs_a_leader(void **state)
{
    struct etcd_server *server = etcd_server_start(&(struct etcd_server_options){.members = 3, .peer_proxies = true});
    etcd_client *client, *writer;
    etcd_watch *choosy, *patient;
    etcd_watch_stats stats = {.size = sizeof stats};
    etcd_keepalive *keepalive;
    size_t before, during;
    char others[256];
    etcd_error err;

    (void)state;
    assert_non_null(server);
    (void)snprintf(others, sizeof others, "%s,%s", etcd_server_endpoint(server, 1), etcd_server_endpoint(server, 2));
    writer = client_at(others);
    client = client_at(etcd_server_endpoint(server, 0));
    choosy = watching_open(client, "w/", ETCD_WATCH(.prefix = true, .created_notify = true, .require_leader = true));
    patient = watching_open(client, "w/", ETCD_WATCH(.prefix = true, .created_notify = true));
    etcd_response_free(watching_next(choosy, ETCD_WATCH_CREATED));
    etcd_response_free(watching_next(patient, ETCD_WATCH_CREATED));
    assert_ok(etcd_lease_grant(client, TTL_S, ETCD_LEASE_GRANT(.id = LEASE), NULL, &err), &err);
    assert_ok(etcd_keepalive_open(client, LEASE, ETCD_KEEPALIVE(.ttl_s = TTL_S), &keepalive, &err), &err);
    renew(client);
    assert_ok(etcd_client_set_endpoints(client, etcd_server_endpoints(server), &err), &err); /* they may go on at any */
    put_new_keys(writer, 10, false);
    before = check_watch(writer, 0, choosy);
    assert_int_equal(check_watch(writer, 0, patient), before);

    etcd_server_isolate(server, 0, id_of(writer, "m0"));
    await_isolation(client, etcd_server_endpoint(server, 0));
    put_new_keys(writer, 10, false);
    during = check_watch(writer, before, choosy); /* it is somewhere else */
    assert_ok(etcd_watch_get_stats(choosy, &stats, &err), &err);
    assert_true(stats.resumes >= 1);
    renew(client);
    put_new_keys(client, 10, true);
    during = check_watch(writer, during, choosy);
    assert_true(etcd_keepalive_remaining_ms(keepalive) > 0);

    etcd_server_rejoin(server);
    assert_int_equal(etcd_server_await_healthy(server, -1, PATIENCE_MS), 0);
    put_new_keys(client, 10, false);
    (void)check_watch(writer, during, choosy);
    (void)check_watch(writer, before, patient);
    renew(client);
    etcd_keepalive_free(keepalive);
    etcd_watch_free(choosy);
    etcd_watch_free(patient);
    etcd_client_free(client);
    etcd_client_free(writer);
    etcd_server_stop(server);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_isolated_member_is_left_by_who_needs_a_leader),
    };

    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
