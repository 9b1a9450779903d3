/* Several members, and other ways to reach one: round robin, failover, a member without leader, unix sockets. Each test has a
 * cluster of its own. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "real.h"

enum { MEMBERS = 3 };

static struct etcd_server *start(int members)
{
    struct etcd_server_options options = {.members = members};
    struct etcd_server *server = etcd_server_start(&options);

    if (server == NULL)
        fail_msg("the cluster did not start");
    return server;
}

/* A client of the cluster, whose reads may take long. */
static etcd_client *client_of(const char *endpoints, bool manual)
{
    return real_client_with(ETCD_CLIENT(.endpoints = endpoints, .manual = manual, .request_timeout_ms = 20000,
                                        .backoff_base_ms = 20, .backoff_max_ms = 200));
}

/* The member that answers the next read, an index into `ids`, which grows. */
static int answering_member(etcd_client *client, uint64_t *ids, uint64_t *term)
{
    etcd_get_response *get = real_get(client, "key", NULL);
    uint64_t id = get->header.member_id;
    int i = 0;

    *term = get->header.raft_term;
    etcd_response_free(get);
    while (i < MEMBERS - 1 && ids[i] != 0 && ids[i] != id)
        i++;
    if (ids[i] == 0)
        ids[i] = id;
    assert_true(ids[i] == id);
    return i;
}

/* Waits until all members are connected: calls rotate over connected ones only. */
static void await_all(etcd_client *client, uint64_t *ids)
{
    int64_t start = real_now_ms();
    uint64_t term;

    while (ids[MEMBERS - 1] == 0) {
        answering_member(client, ids, &term);
        assert_true(real_now_ms() - start < 20000 * real_slowdown());
    }
}

/* Whether there was no election, in which reads are repeated, while this went on for 60 reads. */
static bool go_round(etcd_client *client, uint64_t *ids)
{
    uint64_t first_term, term;
    int hits[MEMBERS] = {0}, repeated = 0, last = answering_member(client, ids, &first_term);

    for (int i = 0; i < 60; i++) {
        int member = answering_member(client, ids, &term);

        hits[member]++;
        repeated += member == last;
        last = member;
    }
    if (term != first_term)
        return false;
    assert_int_equal(repeated, 0);
    for (int i = 0; i < MEMBERS; i++)
        assert_int_equal(hits[i], 20);
    return true;
}

static void calls_go_round_all_members(void **state)
{
    struct etcd_server *server = start(MEMBERS);

    (void)state;
    for (int manual = 0; manual <= 1; manual++) {
        etcd_client *client = client_of(etcd_server_endpoints(server), manual);
        uint64_t ids[MEMBERS] = {0};
        int tries = 1;

        await_all(client, ids);
        while (!go_round(client, ids))
            assert_true(tries++ < 10);
        etcd_client_free(client);
    }
    etcd_server_stop(server);
}

static void clients_start_at_a_random_member(void **state)
{
    struct etcd_server *server = start(MEMBERS);
    uint64_t ids[MEMBERS] = {0}, term;

    (void)state;
    for (int i = 0; i < 100 && ids[MEMBERS - 1] == 0; i++) {
        etcd_client *client = client_of(etcd_server_endpoints(server), true);

        answering_member(client, ids, &term);
        etcd_client_free(client);
    }
    assert_true(ids[MEMBERS - 1] != 0);
    etcd_server_stop(server);
}

static void every_error_names_the_member_that_was_asked(void **state)
{
    struct etcd_server *server = start(MEMBERS);
    etcd_client *client = client_of(etcd_server_endpoints(server), false);
    uint64_t ids[MEMBERS] = {0};
    int seen = 0;

    (void)state;
    await_all(client, ids);
    for (int i = 0; i < 100 && seen != (1 << MEMBERS) - 1; i++) {
        etcd_error err;

        assert_error(etcd_get(client, ETCD_STR("key"), ETCD_GET(.revision = 1 << 30), NULL, &err), &err, ETCD_ERR_FUTURE_REV,
                     NULL);
        for (int member = 0; member < MEMBERS; member++)
            if (strcmp(err.endpoint, etcd_server_endpoint(server, member)) == 0)
                seen |= 1 << member;
    }
    assert_int_equal(seen, (1 << MEMBERS) - 1);
    etcd_client_free(client);
    etcd_server_stop(server);
}

static void reads_go_on_when_a_member_dies(void **state)
{
    struct etcd_server *server = start(MEMBERS);
    etcd_client *client = client_of(etcd_server_endpoints(server), false);
    uint64_t ids[MEMBERS] = {0}, after[MEMBERS] = {0};
    int leader;

    (void)state;
    real_put(client, "key", "kept");
    await_all(client, ids);
    leader = etcd_server_leader(server, 20000);
    assert_true(leader >= 0);
    etcd_server_signal(server, leader, SIGKILL);
    for (int i = 0; i < 20; i++)
        assert_keys(real_get(client, "key", NULL), "key"); /* none fails, though the leader is gone */
    real_put(client, "key", "new");
    assert_int_equal(etcd_server_restart(server, leader), 0);
    assert_int_equal(etcd_server_await_healthy(server, leader, 20000), 0);
    await_all(client, after); /* it is asked again */
    etcd_client_free(client);
    etcd_server_stop(server);
}

/* The client's deadline, or the server's answer that it had none in time, whichever comes first. */
static bool timed_out(int rc)
{
    return rc == ETCD_ERR_DEADLINE_EXCEEDED || rc == ETCD_ERR_TIMEOUT || rc == ETCD_ERR_TIMEOUT_DUE_TO_CONNECTION_LOST ||
           rc == ETCD_ERR_TIMEOUT_DUE_TO_LEADER_FAIL;
}

static void without_quorum_only_serializable_reads_are_answered(void **state)
{
    struct etcd_server *server = start(MEMBERS);
    etcd_client *client = client_of(etcd_server_endpoint(server, 0), false);
    etcd_get_response *get;
    etcd_error err;

    (void)state;
    real_put(client, "key", "kept");
    assert_int_equal(etcd_server_await_healthy(server, 0, 20000), 0);
    etcd_server_signal(server, 1, SIGKILL);
    etcd_server_signal(server, 2, SIGKILL);
    get = real_get(client, "key", ETCD_GET(.serializable = true));
    assert_text(get->kvs[0].value, "kept");
    etcd_response_free(get);
    assert_error(etcd_get(client, ETCD_STR("key"), ETCD_GET(.call = ETCD_CALL(.timeout_ms = 300)), NULL, &err), &err,
                 ETCD_ERR_DEADLINE_EXCEEDED, NULL);
    assert_true(
        timed_out(etcd_put(client, ETCD_STR("key"), ETCD_STR("x"), ETCD_PUT(.call = ETCD_CALL(.timeout_ms = 300)), NULL, &err)));
    assert_true(err.flags & ETCD_ERROR_MAYBE_APPLIED);
    etcd_client_free(client);
    etcd_server_stop(server);
}

static void a_leader_can_be_required(void **state)
{
    struct etcd_server *server = start(MEMBERS);
    etcd_client *client = client_of(etcd_server_endpoint(server, 0), false), *strict;
    int64_t start_ms;
    etcd_error err;
    int rc;

    (void)state;
    strict = real_client_with(ETCD_CLIENT(.endpoints = etcd_server_endpoint(server, 0), .require_leader = true));
    start_ms = real_now_ms();
    do
        rc = etcd_put(client, ETCD_STR("key"), ETCD_STR("x"), ETCD_PUT(.call = ETCD_CALL(.require_leader = true)), NULL, &err);
    while (real_passes(rc) && real_now_ms() - start_ms < 20000);
    assert_ok(rc, &err);
    real_put(strict, "key", "x");
    etcd_server_signal(server, 1, SIGKILL);
    etcd_server_signal(server, 2, SIGKILL);
    start_ms = real_now_ms();
    do /* until the member has noticed */
        rc = etcd_put(client, ETCD_STR("key"), ETCD_STR("x"),
                      ETCD_PUT(.call = ETCD_CALL(.timeout_ms = 500, .require_leader = true)), NULL, &err);
    while (timed_out(rc) && real_now_ms() - start_ms < 20000);
    assert_error(rc, &err, ETCD_ERR_NO_LEADER, "no leader");
    assert_int_equal(err.flags & ETCD_ERROR_MAYBE_APPLIED, 0); /* refused before it was done */
    assert_true(err.flags & ETCD_ERROR_RETRYABLE);
    assert_error(etcd_put(strict, ETCD_STR("key"), ETCD_STR("x"), NULL, NULL, &err), &err, ETCD_ERR_NO_LEADER, "no leader");
    assert_error(etcd_get(strict, ETCD_STR("key"), ETCD_GET(.call = ETCD_CALL(.no_retry = true)), NULL, &err), &err,
                 ETCD_ERR_NO_LEADER, "no leader");
    start_ms = real_now_ms();
    do /* until an answer comes in time */
        rc = etcd_get(strict, ETCD_STR("key"), ETCD_GET(.call = ETCD_CALL(.timeout_ms = 300)), NULL, &err);
    while (rc == ETCD_ERR_DEADLINE_EXCEEDED && strstr(err.message, "no leader") == NULL && real_now_ms() - start_ms < 20000);
    assert_error(rc, &err, ETCD_ERR_DEADLINE_EXCEEDED, "no leader"); /* repeated as a read may be, and its last error is told */
    etcd_client_free(strict);
    etcd_client_free(client);
    etcd_server_stop(server);
}

static void a_unix_socket_is_an_endpoint(void **state)
{
    struct etcd_server_options options = {.unix_socket = true};
    struct etcd_server *server = etcd_server_start(&options);
    const char *url = etcd_server_unix_endpoint(server, 0); /* "unix:///dir/m0:1" */
    char brief[512], mixed[1024];
    const char *const forms[] = {url, brief, mixed};
    etcd_error err;

    (void)state;
    assert_non_null(server);
    snprintf(brief, sizeof brief, "unix:%s", url + strlen("unix://"));
    snprintf(mixed, sizeof mixed, "%s,%s", url, etcd_server_endpoint(server, 0));
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        etcd_client *client = client_of(forms[i], i % 2 == 1);

        real_put(client, "key", "through a file");
        assert_keys(real_get(client, "key", NULL), "key");
        assert_error(etcd_get(client, ETCD_STR("key"), ETCD_GET(.revision = 1 << 30), NULL, &err), &err, ETCD_ERR_FUTURE_REV,
                     NULL);
        if (i < 2)
            assert_string_equal(err.endpoint, forms[i]);
        etcd_client_free(client);
    }
    etcd_server_stop(server);
}

static void a_missing_unix_socket_is_told(void **state)
{
    etcd_client *client = real_client_with(ETCD_CLIENT(.endpoints = "unix:///nowhere/etcd.sock"));
    int64_t start_ms = real_now_ms();
    etcd_error err;
    int rc;

    (void)state;
    do /* until it has tried */
        rc = etcd_get(client, ETCD_STR("key"), ETCD_GET(.call = ETCD_CALL(.timeout_ms = 200)), NULL, &err);
    while (rc == ETCD_ERR_DEADLINE_EXCEEDED && strstr(err.message, "No such file") == NULL && real_now_ms() - start_ms < 20000);
    assert_error(rc, &err, ETCD_ERR_DEADLINE_EXCEEDED, "No such file");
    etcd_client_free(client);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(calls_go_round_all_members),
    cmocka_unit_test(clients_start_at_a_random_member),
    cmocka_unit_test(every_error_names_the_member_that_was_asked),
    cmocka_unit_test(reads_go_on_when_a_member_dies),
    cmocka_unit_test(without_quorum_only_serializable_reads_are_answered),
    cmocka_unit_test(a_leader_can_be_required),
    cmocka_unit_test(a_unix_socket_is_an_endpoint),
    cmocka_unit_test(a_missing_unix_socket_is_told),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
