/* Endpoints that change, are looked at, are named by a call; the leader first; old clusters; figures of calls. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "harness/fault_proxy.h"
#include "real.h"

enum { MEMBERS = 3 };

static struct etcd_server *start(void)
{
    struct etcd_server_options options = {.members = MEMBERS};
    struct etcd_server *server = etcd_server_start(&options);

    if (server == NULL)
        fail_msg("the cluster did not start");
    return server;
}

static etcd_endpoints_response *endpoints_of(etcd_client *client)
{
    etcd_endpoints_response *all;
    etcd_error err;

    assert_ok(etcd_client_endpoints(client, &all, &err), &err);
    return all;
}

/* Waits until this many endpoints are ready and healthy. */
static void await_ready(etcd_client *client, size_t wanted)
{
    int64_t since = real_now_ms();

    for (;;) {
        etcd_endpoints_response *all = endpoints_of(client);
        size_t ready = 0;

        for (size_t i = 0; i < all->n_endpoints; i++)
            ready += all->endpoints[i].state == ETCD_ENDPOINT_READY && all->endpoints[i].healthy;
        etcd_response_free(all);
        if (ready == wanted)
            return;
        assert_true(real_now_ms() - since < 20000 * real_slowdown());
        real_sleep_ms(5);
    }
}

/* What the client has asked for in all, with what it asked for again. */
static uint64_t attempts_of(etcd_client *client)
{
    etcd_metrics_response *metrics;
    uint64_t attempts = 0;
    etcd_error err;

    assert_ok(etcd_client_metrics(client, &metrics, &err), &err);
    for (size_t i = 0; i < metrics->n_methods; i++)
        attempts += metrics->methods[i].attempts;
    etcd_response_free(metrics);
    return attempts;
}

static void endpoints_tell_how_they_are(void **state)
{
    struct etcd_server *server = start();
    etcd_client *client = real_client_with(ETCD_CLIENT(.endpoints = etcd_server_endpoints(server)));
    etcd_endpoints_response *all;
    uint64_t calls = 0;

    (void)state;
    await_ready(client, MEMBERS);
    for (int i = 0; i < 9; i++)
        real_put(client, "key", "value");
    await_ready(client, MEMBERS);
    all = endpoints_of(client);
    assert_int_equal(all->n_endpoints, MEMBERS);
    for (int i = 0; i < MEMBERS; i++) {
        assert_text(all->endpoints[i].endpoint, etcd_server_endpoint(server, i));
        assert_true(all->endpoints[i].healthy);
        assert_int_equal(all->endpoints[i].connects, 1);
        assert_true(all->endpoints[i].bytes_sent > 0 && all->endpoints[i].bytes_received > 0);
        assert_true(all->endpoints[i].silent_ms >= 0);
        assert_text(all->endpoints[i].last_error, "");
        calls += all->endpoints[i].calls;
    }
    assert_true(calls >= 9);
    assert_int_equal(calls, attempts_of(client));
    etcd_response_free(all);

    etcd_server_signal(server, 1, SIGKILL);
    await_ready(client, MEMBERS - 1);
    all = endpoints_of(client);
    assert_true(all->endpoints[1].last_error.len > 0);
    etcd_response_free(all);
    etcd_client_free(client);
    etcd_server_stop(server);
}

static void the_list_can_be_replaced_under_way(void **state)
{
    struct etcd_server *server = start();
    etcd_client *client = real_client_with(ETCD_CLIENT(.endpoints = etcd_server_endpoint(server, 0)));
    etcd_endpoints_response *all;
    etcd_error err;
    char list[256];

    (void)state;
    real_put(client, "key", "value");
    assert_error(etcd_client_set_endpoints(client, "http://127.0.0.1:1,:::", &err), &err, ETCD_ERR_ARGUMENT, ":::");
    assert_error(etcd_client_set_endpoints(client, "", &err), &err, ETCD_ERR_NO_ENDPOINTS, NULL);
    (void)snprintf(list, sizeof list, "%s,%s", etcd_server_endpoint(server, 1), etcd_server_endpoint(server, 2));
    assert_ok(etcd_client_set_endpoints(client, list, &err), &err);
    await_ready(client, 2);
    all = endpoints_of(client);
    assert_int_equal(all->n_endpoints, 2);
    assert_text(all->endpoints[0].endpoint, etcd_server_endpoint(server, 1));
    etcd_response_free(all);
    etcd_server_signal(server, 0, SIGSTOP); /* nothing goes there any more */
    for (int i = 0; i < 10; i++)
        etcd_response_free(real_get(client, "key", ETCD_GET(.serializable = true)));
    etcd_server_signal(server, 0, SIGCONT);
    etcd_client_free(client);
    etcd_server_stop(server);
}

static void on_sync(etcd_client *client, const etcd_error *err, void *arg)
{
    int *synced = arg;

    (void)client;
    *synced = err == NULL ? 1 : -1;
}

static void sync_learns_the_members(void **state)
{
    struct etcd_server *server = start();
    etcd_client *client = real_client_with(ETCD_CLIENT(.endpoints = etcd_server_endpoint(server, 2)));
    etcd_endpoints_response *all;
    etcd_error err;
    int synced = 0;

    (void)state;
    assert_ok(etcd_client_sync(client, ETCD_CALL(.timeout_ms = 10000), &err), &err);
    all = endpoints_of(client);
    assert_int_equal(all->n_endpoints, MEMBERS);
    etcd_response_free(all);
    etcd_client_free(client);

    client = real_client_with(ETCD_CLIENT(.endpoints = etcd_server_endpoint(server, 2), .manual = true));
    assert_ok(etcd_client_sync_async(client, ETCD_CALL(.timeout_ms = 10000), on_sync, &synced, NULL, &err), &err);
    while (synced == 0)
        assert_ok(etcd_client_process(client, -1, &err), &err);
    assert_int_equal(synced, 1);
    all = endpoints_of(client);
    assert_int_equal(all->n_endpoints, MEMBERS);
    etcd_response_free(all);
    etcd_client_free(client);

    client = real_client_with(ETCD_CLIENT(.endpoints = etcd_server_endpoint(server, 2), .auto_sync_interval_ms = 20));
    await_ready(client, MEMBERS); /* by itself */
    etcd_client_free(client);
    etcd_server_stop(server);
}

static void a_call_can_name_its_endpoint(void **state)
{
    struct etcd_server *server = start();
    etcd_client *client = real_client_with(ETCD_CLIENT(.endpoints = etcd_server_endpoint(server, 0)));
    int64_t since = real_now_ms();
    uint64_t member[MEMBERS];
    etcd_get_response *get;
    etcd_error err;
    int rc;

    (void)state;
    for (int i = 0; i < MEMBERS; i++) {
        get = real_get(client, "key", ETCD_GET(.call = ETCD_CALL(.endpoint = etcd_server_endpoint(server, i))));
        member[i] = get->header.member_id;
        etcd_response_free(get);
        for (int j = 0; j < i; j++)
            assert_true(member[i] != member[j]);
    }
    assert_error(etcd_get(client, ETCD_STR("key"), ETCD_GET(.call = ETCD_CALL(.endpoint = "what:is:this")), NULL, &err), &err,
                 ETCD_ERR_ARGUMENT, "what:is:this");
    do /* until it has tried */
        rc = etcd_get(client, ETCD_STR("key"), ETCD_GET(.call = ETCD_CALL(.endpoint = "127.0.0.1:1", .timeout_ms = 100)), NULL,
                      &err);
    while (rc == ETCD_ERR_DEADLINE_EXCEEDED && strstr(err.message, "connect 127.0.0.1:1") == NULL &&
           real_now_ms() - since < 20000);
    assert_error(rc, &err, ETCD_ERR_DEADLINE_EXCEEDED, "connect 127.0.0.1:1");
    etcd_client_free(client);
    etcd_server_stop(server);
}

/* The endpoint that the client takes for the leader's, -1 for none. */
static int known_leader(etcd_client *client)
{
    etcd_endpoints_response *all = endpoints_of(client);
    int leader = -1;

    for (size_t i = 0; i < all->n_endpoints; i++)
        if (all->endpoints[i].is_leader)
            leader = (int)i;
    etcd_response_free(all);
    return leader;
}

/* Waits until the client knows who leads, and returns it. */
static int await_known_leader(etcd_client *client, struct etcd_server *server)
{
    int64_t since = real_now_ms();
    int leader;

    while (known_leader(client) != (leader = etcd_server_leader(server, 20000))) {
        assert_true(leader >= 0 && real_now_ms() - since < 20000 * real_slowdown());
        real_sleep_ms(10);
    }
    return leader;
}

/* Thirty writes. Whether all went to the leader, which is still the same. */
static bool write_to(etcd_client *client, int leader)
{
    etcd_endpoints_response *all = endpoints_of(client);
    uint64_t before = all->endpoints[leader].calls;
    bool enough;

    etcd_response_free(all);
    for (int i = 0; i < 30; i++)
        real_put(client, "key", "value");
    all = endpoints_of(client);
    enough = all->endpoints[leader].calls >= before + 30;
    etcd_response_free(all);
    return enough;
}

static void writes_go_to_the_leader_first(void **state)
{
    struct etcd_server *server = start();
    etcd_client *client = real_client_with(
        ETCD_CLIENT(.endpoints = etcd_server_endpoints(server), .leader_first = true, .request_timeout_ms = 20000));
    int64_t since = real_now_ms();
    int leader;

    (void)state;
    while (!write_to(client, leader = await_known_leader(client, server))) { /* only if another was elected under way */
        assert_int_not_equal(etcd_server_leader(server, 20000), leader);
        assert_true(real_now_ms() - since < 20000 * real_slowdown());
    }

    etcd_server_signal(server, leader, SIGKILL);
    assert_true(etcd_server_leader(server, 20000) >= 0);
    await_ready(client, MEMBERS - 1);
    real_put(client, "key", "through another"); /* known or not yet */
    await_known_leader(client, server);
    real_put(client, "key", "through the new one");
    etcd_client_free(client);
    etcd_server_stop(server);
}

static void old_clusters_can_be_rejected(void **state)
{
    etcd_client *client;
    etcd_error err;

    (void)state;
    client = real_client_with(ETCD_CLIENT(.reject_old_cluster = true));
    real_put(client, "key", "value");
    etcd_client_free(client);
    assert_int_equal(
        etcd_client_new(ETCD_CLIENT(.endpoints = "127.0.0.1:1", .reject_old_cluster = true, .connect_timeout_ms = 200), &client,
                        &err),
        ETCD_ERR_DEADLINE_EXCEEDED);
    assert_null(client);
}

struct states {
    int seen[4];
    char endpoint[128];
};

static void on_state(etcd_client *client, const char *endpoint, int new_state, const char *reason, void *arg)
{
    struct states *states = arg;

    (void)client;
    (void)reason;
    __atomic_add_fetch(&states->seen[new_state], 1, __ATOMIC_SEQ_CST);
    (void)snprintf(states->endpoint, sizeof states->endpoint, "%s", endpoint);
}

static void changes_of_state_are_told(void **state)
{
    struct states states = {0};
    etcd_client *client = real_client_with(ETCD_CLIENT(.state_fn = on_state, .state_arg = &states));
    int64_t since = real_now_ms();

    (void)state;
    real_put(client, "key", "value");
    while (__atomic_load_n(&states.seen[ETCD_ENDPOINT_READY], __ATOMIC_SEQ_CST) == 0)
        assert_true(real_now_ms() - since < 10000);
    etcd_client_free(client);
    assert_string_equal(states.endpoint, etcd_server_endpoint(real_server(), 0));
}

static void on_call(const etcd_call_info *info, void *arg)
{
    etcd_call_info *last = arg;

    *last = *info;
}

static void calls_are_counted(void **state)
{
    etcd_call_info last = {0};
    etcd_client *client = real_client_with(ETCD_CLIENT(.call_fn = on_call, .call_arg = &last));
    etcd_metrics_text_response *text;
    etcd_metrics_response *metrics;
    uint64_t in_buckets = 0;
    etcd_error err;

    (void)state;
    for (int i = 0; i < 5; i++)
        real_put(client, "key", "value");
    assert_string_equal(last.method, "/etcdserverpb.KV/Put");
    assert_int_equal(last.code, ETCD_OK);
    assert_int_equal(last.attempts, 1);
    assert_int_equal(last.request_bytes, 12); /* two fields: tag, length, text */
    assert_true(last.duration_ns > 0);
    assert_error(etcd_compact(client, 1 << 30, NULL, NULL, &err), &err, ETCD_ERR_FUTURE_REV, NULL);
    assert_int_equal(last.code, ETCD_ERR_FUTURE_REV);

    assert_ok(etcd_client_metrics(client, &metrics, &err), &err);
    assert_int_equal(metrics->n_methods, 2);
    assert_string_equal(metrics->methods[0].method, "/etcdserverpb.KV/Put");
    assert_int_equal(metrics->methods[0].calls, 5);
    assert_int_equal(metrics->methods[0].failures, 0);
    assert_int_equal(metrics->methods[0].attempts, 5);
    assert_int_equal(metrics->methods[0].request_bytes, 60);
    for (int i = 0; i < ETCD_METRICS_BUCKETS; i++)
        in_buckets += metrics->methods[0].latency_us[i];
    assert_int_equal(in_buckets, 5);
    assert_int_equal(metrics->methods[1].failures, 1);
    assert_int_equal(metrics->calls_in_flight, 0);
    assert_int_equal(metrics->n_streams, 0);
    etcd_response_free(metrics);

    assert_ok(etcd_client_metrics_text(client, &text, &err), &err);
    assert_non_null(strstr(text->text.data, "etcd3_client_calls_total{method=\"/etcdserverpb.KV/Put\"} 5\n"));
    assert_non_null(
        strstr(text->text.data, "etcd3_client_latency_seconds_bucket{method=\"/etcdserverpb.KV/Put\",le=\"+Inf\"} 5\n"));
    assert_non_null(strstr(text->text.data, "etcd3_client_endpoint_ready{endpoint=\"http://127.0.0.1:"));
    assert_non_null(strstr(text->text.data, "# TYPE etcd3_client_latency_seconds histogram\n"));
    etcd_response_free(text);
    etcd_client_free(client);
}

static const etcd_stream_metrics *streams_of(const etcd_metrics_response *metrics, const char *method)
{
    uint64_t ended = 0;

    for (size_t i = 0; i < metrics->n_streams; i++) {
        const etcd_stream_metrics *streams = &metrics->streams[i];

        if (strcmp(streams->method, method) != 0)
            continue;
        for (size_t k = 0; k < streams->n_ends; k++)
            ended += streams->ends[k].streams;
        assert_int_equal(streams->opened, streams->open + ended);
        return streams;
    }
    fail_msg("no streams of %s", method);
    return NULL;
}

static void await_report(etcd_watch *watch, int type)
{
    etcd_watch_response *response;
    etcd_error err;
    int got;

    do {
        assert_ok(etcd_watch_next(watch, 60000, &response, &err), &err);
        got = response->type;
        etcd_response_free(response);
    } while (got != type);
}

static int take_nothing(const char *data, size_t len, void *arg)
{
    (void)data;
    (void)len;
    (void)arg;
    return 0;
}

static void streams_are_counted(void **state)
{
    fault_proxy *proxy = fault_proxy_start(etcd_server_endpoint(real_server(), 0));
    etcd_client *client =
        real_client_with(ETCD_CLIENT(.endpoints = fault_proxy_endpoint(proxy), .backoff_base_ms = 10, .backoff_max_ms = 100));
    const etcd_stream_metrics *streams;
    etcd_metrics_text_response *text;
    etcd_metrics_response *metrics;
    etcd_snapshot_response *saved;
    etcd_watch *watch;
    etcd_error err;

    (void)state;
    assert_ok(
        etcd_watch_open(client, ETCD_STR("key"), ETCD_WATCH(.created_notify = true, .report_connection = true), &watch, &err),
        &err);
    await_report(watch, ETCD_WATCH_CREATED);
    assert_ok(etcd_snapshot_read(client, take_nothing, NULL, NULL, &saved, &err), &err);
    assert_ok(etcd_client_metrics(client, &metrics, &err), &err);
    streams = streams_of(metrics, "/etcdserverpb.Watch/Watch");
    assert_int_equal(streams->open, 1);
    assert_true(streams->responses >= 1 && streams->response_bytes > 0);
    streams = streams_of(metrics, "/etcdserverpb.Maintenance/Snapshot");
    assert_int_equal(streams->open, 0);
    assert_true(streams->response_bytes > (uint64_t)saved->n_bytes);
    assert_int_equal(streams->ends[streams->n_ends - 1].code, ETCD_OK);
    etcd_response_free(metrics);
    etcd_response_free(saved);

    fault_proxy_reset(proxy);
    await_report(watch, ETCD_WATCH_RESUMED);
    assert_ok(etcd_client_metrics(client, &metrics, &err), &err);
    streams = streams_of(metrics, "/etcdserverpb.Watch/Watch");
    assert_true(streams->opened >= 2);
    assert_int_equal(streams->open, 1);
    assert_int_equal(streams->ends[0].code, ETCD_ERR_UNAVAILABLE);
    etcd_response_free(metrics);
    assert_ok(etcd_client_metrics_text(client, &text, &err), &err);
    assert_non_null(strstr(text->text.data, "\netcd3_client_streams_open{method=\"/etcdserverpb.Watch/Watch\"} 1\n"));
    assert_non_null(
        strstr(text->text.data,
               "\netcd3_client_streams_ended_total{method=\"/etcdserverpb.Watch/Watch\",code=\"ETCD_ERR_UNAVAILABLE\"} "));
    etcd_response_free(text);
    etcd_watch_free(watch);
    etcd_client_free(client);
    fault_proxy_stop(proxy);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(endpoints_tell_how_they_are),   cmocka_unit_test(the_list_can_be_replaced_under_way),
        cmocka_unit_test(sync_learns_the_members),       cmocka_unit_test(a_call_can_name_its_endpoint),
        cmocka_unit_test(writes_go_to_the_leader_first), cmocka_unit_test(old_clusters_can_be_rejected),
        cmocka_unit_test(changes_of_state_are_told),     cmocka_unit_test(calls_are_counted),
        cmocka_unit_test(streams_are_counted),
    };

    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
