/* The server's elections. */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "harness/fault_proxy.h"
#include "real.h"

enum { PATIENCE_MS = 30000 };

static int64_t grant(etcd_client *client)
{
    etcd_lease_grant_response *response;
    etcd_error err;
    int64_t id;

    assert_ok(etcd_lease_grant(client, 600, NULL, &response, &err), &err);
    id = response->id;
    etcd_response_free(response);
    return id;
}

static void on_campaign(etcd_client *client, etcd_campaign_response *response, const etcd_error *err, void *arg)
{
    (void)client;
    real_end(arg, response, err);
}

static etcd_campaign_response *campaign(etcd_client *client, int64_t lease, const char *value)
{
    etcd_campaign_response *response;
    etcd_error err;

    assert_ok(etcd_campaign(client, ETCD_STR("vote"), lease, ETCD_STR(value), NULL, &response, &err), &err);
    assert_true(response->header.cluster_id != 0);
    assert_text(response->leader.name, "vote");
    assert_int_equal(strncmp(response->leader.key.data, "vote/", 5), 0);
    assert_true(response->leader.rev > 0);
    assert_int_equal(response->leader.lease, lease);
    return response;
}

static void assert_leader(etcd_client *client, const etcd_leader_key *leader, const char *value)
{
    etcd_leader_response *response;
    etcd_error err;

    assert_ok(etcd_leader(client, ETCD_STR("vote"), NULL, &response, &err), &err);
    assert_text(response->kv.value, value);
    assert_bytes(response->kv.key, leader->key.data, leader->key.len);
    assert_int_equal(response->kv.create_revision, leader->rev);
    assert_int_equal(response->kv.lease, leader->lease);
    etcd_response_free(response);
}

static void the_only_candidate_leads(void **state)
{
    etcd_client *client = real_client();
    etcd_campaign_response *won = campaign(client, grant(client), "one");
    etcd_leader_response *leader = NULL;
    etcd_proclaim_response *proclaimed;
    etcd_resign_response *resigned;
    etcd_error err;

    (void)state;
    assert_leader(client, &won->leader, "one");
    assert_ok(etcd_proclaim(client, &won->leader, ETCD_STR("two"), NULL, &proclaimed, &err), &err);
    assert_true(proclaimed->header.cluster_id != 0);
    etcd_response_free(proclaimed);
    assert_leader(client, &won->leader, "two");
    assert_ok(etcd_resign(client, &won->leader, NULL, &resigned, &err), &err);
    assert_true(resigned->header.cluster_id != 0);
    etcd_response_free(resigned);
    assert_error(etcd_leader(client, ETCD_STR("vote"), NULL, &leader, &err), &err, ETCD_ERR_UNKNOWN, "election: no leader");
    assert_null(leader);
    assert_int_equal(err.grpc_code, 2);
    assert_error(etcd_proclaim(client, &won->leader, ETCD_STR("three"), NULL, NULL, &err), &err, ETCD_ERR_UNKNOWN,
                 "election: not leader");
    assert_ok(etcd_resign(client, &won->leader, NULL, NULL, &err), &err); /* leads no more */
    etcd_response_free(won);
    etcd_client_free(client);
}

static void candidates_wait_in_line(void **state)
{
    etcd_client *client = real_client();
    int64_t first_lease = grant(client), second_lease = grant(client);
    etcd_campaign_response *first = campaign(client, first_lease, "first"), *second;
    struct real_ending ending = REAL_ENDING;
    int64_t start_ms = real_now_ms();
    etcd_error err;
    size_t n = 0;

    (void)state;
    assert_ok(etcd_campaign_async(client, ETCD_STR("vote"), second_lease, ETCD_STR("second"),
                                  ETCD_CALL(.timeout_ms = PATIENCE_MS), on_campaign, &ending, NULL, &err),
              &err);
    while (n != 2) {
        etcd_get_response *get = real_get(client, "vote/", ETCD_GET(.prefix = true));

        n = get->n_kvs;
        etcd_response_free(get);
        assert_true(real_now_ms() - start_ms < PATIENCE_MS);
    }
    assert_leader(client, &first->leader, "first");
    assert_int_equal(real_times_ended(&ending), 0);
    assert_ok(etcd_lease_revoke(client, first_lease, NULL, NULL, &err), &err); /* the end of a lease ends its leadership */
    real_await(&ending);
    assert_int_equal(ending.code, ETCD_OK);
    second = ending.response;
    assert_leader(client, &second->leader, "second");
    assert_true(second->leader.rev > first->leader.rev);
    assert_ok(etcd_resign(client, &second->leader, NULL, NULL, &err), &err);
    etcd_response_free(first);
    etcd_response_free(second);
    etcd_client_free(client);
}

static void a_campaign_has_a_deadline(void **state)
{
    etcd_client *client = real_client();
    etcd_campaign_response *first = campaign(client, grant(client), "first"), *second = NULL;
    etcd_error err = {0};

    (void)state;
    for (int64_t timeout = 200; !(err.flags & ETCD_ERROR_MAYBE_APPLIED); timeout *= 2) { /* until it was sent in time */
        assert_true(timeout < PATIENCE_MS);
        assert_error(etcd_campaign(client, ETCD_STR("vote"), grant(client), ETCD_STR("second"), ETCD_CALL(.timeout_ms = timeout),
                                   &second, &err),
                     &err, ETCD_ERR_DEADLINE_EXCEEDED, NULL);
        assert_null(second);
    }
    assert_ok(etcd_resign(client, &first->leader, NULL, NULL, &err), &err);
    etcd_response_free(first);
    etcd_client_free(client);
}

static void bad_arguments_are_refused(void **state)
{
    etcd_client *client = real_client();
    etcd_error err;

    (void)state;
    assert_error(etcd_campaign(client, ETCD_STR("vote"), 4711, ETCD_STR("x"), NULL, NULL, &err), &err, ETCD_ERR_LEASE_NOT_FOUND,
                 "requested lease not found");
    assert_error(etcd_campaign(client, NULL, 1, 0, ETCD_STR("x"), NULL, NULL, &err), &err, ETCD_ERR_ARGUMENT, "name is NULL");
    assert_error(etcd_campaign(client, ETCD_STR("vote"), 0, NULL, 1, NULL, NULL, &err), &err, ETCD_ERR_ARGUMENT, "value is NULL");
    assert_error(etcd_proclaim(client, NULL, ETCD_STR("x"), NULL, NULL, &err), &err, ETCD_ERR_ARGUMENT, "leader_key is NULL");
    assert_error(etcd_resign(client, NULL, NULL, NULL, &err), &err, ETCD_ERR_ARGUMENT, "leader_key is NULL");
    assert_error(etcd_leader(client, NULL, 1, NULL, NULL, &err), &err, ETCD_ERR_ARGUMENT, "name is NULL");
    etcd_client_free(client);
}

/* ---- observe ---- */

/* The next that the observer is told has this value. Returns its mod revision. */
static int64_t expect_observed(etcd_observe *observe, const char *value)
{
    etcd_leader_response *response;
    etcd_error err;
    int64_t revision;

    assert_ok(etcd_observe_next(observe, PATIENCE_MS, &response, &err), &err);
    assert_text(response->kv.value, value);
    assert_true(response->header.revision >= response->kv.mod_revision);
    revision = response->kv.mod_revision;
    etcd_response_free(response);
    return revision;
}

static etcd_observe *observe(etcd_client *client)
{
    etcd_observe *observe;
    etcd_error err;

    assert_ok(etcd_observe_open(client, ETCD_STR("vote"), NULL, &observe, &err), &err);
    return observe;
}

static void proclaim(etcd_client *client, const etcd_campaign_response *leader, const char *value)
{
    etcd_error err;

    assert_ok(etcd_proclaim(client, &leader->leader, ETCD_STR(value), NULL, NULL, &err), &err);
}

static void an_observer_sees_leaders_come_and_speak(void **state)
{
    etcd_client *client = real_client();
    etcd_observe *early = observe(client), *late;
    etcd_campaign_response *first, *second;
    etcd_leader_response *response;
    struct pollfd p = {.events = POLLIN};
    etcd_error err;

    (void)state;
    assert_error(etcd_observe_next(early, 100, &response, &err), &err, ETCD_ERR_TIMED_OUT, NULL); /* nobody leads */
    first = campaign(client, grant(client), "first");
    expect_observed(early, "first");
    late = observe(client);
    expect_observed(late, "first");
    p.fd = etcd_observe_fd(late);
    assert_true(p.fd >= 0);
    assert_error(etcd_observe_next(late, 0, &response, &err), &err, ETCD_ERR_TIMED_OUT, NULL);
    proclaim(client, first, "first again");
    assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
    assert_true(expect_observed(late, "first again") == expect_observed(early, "first again"));
    assert_ok(etcd_resign(client, &first->leader, NULL, NULL, &err), &err);
    second = campaign(client, grant(client), "second");
    expect_observed(early, "second");
    expect_observed(late, "second");
    etcd_observe_cancel(late);
    assert_error(etcd_observe_next(late, PATIENCE_MS, &response, &err), &err, ETCD_ERR_CANCELED, NULL);
    assert_ok(etcd_resign(client, &second->leader, NULL, NULL, &err), &err);
    etcd_observe_free(early);
    etcd_observe_free(late);
    etcd_response_free(first);
    etcd_response_free(second);
    etcd_client_free(client);
}

/* What happens while the line is down is told once it is up again; what was told is not told again. */
static void an_observer_outlives_its_connection(void **state)
{
    etcd_client *client = real_client();
    fault_proxy *proxy = fault_proxy_start(etcd_server_endpoint(real_server(), 0));
    etcd_client *remote =
        real_client_with(ETCD_CLIENT(.endpoints = fault_proxy_endpoint(proxy), .backoff_base_ms = 10, .backoff_max_ms = 100));
    etcd_campaign_response *leader = campaign(client, grant(client), "0");
    etcd_observe *observer = observe(remote);
    etcd_leader_response *response;
    etcd_error err;
    char value[16] = "0";
    size_t connections;

    (void)state;
    expect_observed(observer, "0");
    for (char i = '1'; i <= '9'; i++) {
        connections = fault_proxy_count(proxy);
        if (i % 2)
            fault_proxy_refuse(proxy);
        fault_proxy_reset(proxy);
        if (i % 3 == 0) {
            fault_proxy_resume(proxy);
            assert_true(fault_proxy_await_count(proxy, connections + 1, PATIENCE_MS));
            assert_error(etcd_observe_next(observer, 200, &response, &err), &err, ETCD_ERR_TIMED_OUT, NULL); /* no news */
        }
        value[0] = i;
        proclaim(client, leader, value);
        fault_proxy_resume(proxy);
        expect_observed(observer, value);
    }
    assert_ok(etcd_resign(client, &leader->leader, NULL, NULL, &err), &err);
    etcd_observe_free(observer);
    etcd_response_free(leader);
    etcd_client_free(remote);
    etcd_client_free(client);
    fault_proxy_stop(proxy);
}

struct hearing {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    char last[32];
    int n, ends, code;
};

static void on_leader(etcd_observe *observe, etcd_leader_response *response, const etcd_error *err, void *arg)
{
    struct hearing *hearing = arg;

    (void)observe;
    pthread_mutex_lock(&hearing->lock);
    if (response != NULL) {
        hearing->n++;
        memcpy(hearing->last, response->kv.value.data, response->kv.value.len + 1);
    } else {
        hearing->ends++;
        hearing->code = err->code;
    }
    pthread_cond_signal(&hearing->changed);
    pthread_mutex_unlock(&hearing->lock);
    etcd_response_free(response);
}

static void await_hearing(struct hearing *hearing, int n, int ends)
{
    pthread_mutex_lock(&hearing->lock);
    while (hearing->n < n || hearing->ends < ends)
        pthread_cond_wait(&hearing->changed, &hearing->lock); /* bounded by the test's own time */
    pthread_mutex_unlock(&hearing->lock);
}

static void an_observer_may_be_a_function(void **state)
{
    etcd_client *client = real_client();
    struct hearing hearing = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct hearing timed = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    etcd_campaign_response *leader = campaign(client, grant(client), "one");
    etcd_observe *observer, *short_lived;
    etcd_leader_response *response;
    etcd_error err;

    (void)state;
    assert_ok(etcd_observe_start(client, ETCD_STR("vote"), NULL, on_leader, &hearing, &observer, &err), &err);
    await_hearing(&hearing, 1, 0);
    assert_string_equal(hearing.last, "one");
    assert_error(etcd_observe_next(observer, 0, &response, &err), &err, ETCD_ERR_ARGUMENT, "callback");
    proclaim(client, leader, "two");
    await_hearing(&hearing, 2, 0);
    assert_string_equal(hearing.last, "two");
    assert_ok(etcd_observe_start(client, ETCD_STR("vote"), ETCD_CALL(.timeout_ms = 300), on_leader, &timed, &short_lived, &err),
              &err);
    await_hearing(&timed, 0, 1);
    assert_int_equal(timed.code, ETCD_ERR_DEADLINE_EXCEEDED);
    etcd_observe_free(short_lived);
    etcd_observe_cancel(observer);
    await_hearing(&hearing, 2, 1);
    assert_int_equal(hearing.code, ETCD_ERR_CANCELED);
    etcd_observe_free(observer);
    assert_ok(etcd_observe_start(client, ETCD_STR("vote"), NULL, on_leader, &hearing, &observer, &err), &err);
    etcd_client_close(client);
    assert_int_equal(hearing.ends, 2); /* told before the close returned */
    assert_int_equal(hearing.code, ETCD_ERR_CLOSED);
    etcd_observe_free(observer);
    etcd_response_free(leader);
    etcd_client_free(client);
}

static void bad_arguments_of_observers_are_refused(void **state)
{
    etcd_client *client = real_client();
    etcd_leader_response *response;
    etcd_observe *observer = (etcd_observe *)&client;
    etcd_error err;

    (void)state;
    assert_error(etcd_observe_open(client, NULL, 1, NULL, &observer, &err), &err, ETCD_ERR_ARGUMENT, "name is NULL");
    assert_null(observer);
    assert_error(etcd_observe_open(client, ETCD_STR("x"), NULL, NULL, &err), &err, ETCD_ERR_ARGUMENT, NULL);
    assert_error(etcd_observe_start(client, ETCD_STR("x"), NULL, NULL, NULL, &observer, &err), &err, ETCD_ERR_ARGUMENT, NULL);
    assert_error(etcd_observe_next(NULL, 0, &response, &err), &err, ETCD_ERR_ARGUMENT, NULL);
    assert_int_equal(etcd_observe_fd(NULL), ETCD_ERR_ARGUMENT);
    etcd_observe_cancel(NULL);
    etcd_observe_free(NULL);
    etcd_client_free(client);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_only_candidate_leads),
    cmocka_unit_test(candidates_wait_in_line),
    cmocka_unit_test(a_campaign_has_a_deadline),
    cmocka_unit_test(bad_arguments_are_refused),
    cmocka_unit_test(an_observer_sees_leaders_come_and_speak),
    cmocka_unit_test(an_observer_outlives_its_connection),
    cmocka_unit_test(an_observer_may_be_a_function),
    cmocka_unit_test(bad_arguments_of_observers_are_refused),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
