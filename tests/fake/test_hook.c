/* The hook around every call: its start, each failed attempt, then the end; and the trace context that is passed on. */
#include "harness/fake_fixture.h"

#include <stdio.h>
#include <string.h>

#define MOST 16

struct told {
    size_t n;
    struct {
        etcd_call_id id;
        int32_t event, attempts, code;
        int64_t request_bytes;
        char endpoint[64], method[64], traceparent[80];
    } info[MOST];
};

static void on_call(const etcd_call_info *info, void *arg)
{
    struct told *told = arg;

    if (told->n == MOST)
        return;
    told->info[told->n].id = info->id;
    told->info[told->n].event = info->event;
    told->info[told->n].request_bytes = info->request_bytes;
    told->info[told->n].attempts = info->attempts;
    told->info[told->n].code = info->code;
    (void)snprintf(told->info[told->n].endpoint, sizeof told->info[0].endpoint, "%s", info->endpoint);
    (void)snprintf(told->info[told->n].method, sizeof told->info[0].method, "%s", info->method);
    (void)snprintf(told->info[told->n].traceparent, sizeof told->info[0].traceparent, "%s",
                   info->traceparent ? info->traceparent : "");
    told->n++;
}

static void fail_twice(fake_request *request, void *arg)
{
    int *seen = arg;

    if (++*seen <= 2)
        fake_reply_trailers_only(request, 14, "etcdserver: leader changed");
    else
        fake_reply_kv(request);
}

static void every_attempt_is_told(void **state)
{
    static const int32_t event_of[] = {ETCD_CALL_EVENT_START, ETCD_CALL_EVENT_ATTEMPT_FAILED, ETCD_CALL_EVENT_ATTEMPT_FAILED,
                                       ETCD_CALL_EVENT_END};
    static const char trace[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    fake_server *server = fake_server_start(NULL);
    struct told told = {0};
    int seen = 0;
    etcd_client *client;
    etcd_error err;

    (void)state;
    fake_server_handle(server, FAKE_RANGE, fail_twice, &seen);
    client = fake_client_with(fake_server_endpoint(server),
                              (etcd_client_options){.manual = true, .retry_wait_ms = 1, .call_fn = on_call, .call_arg = &told});
    assert_int_equal(etcd_get(client, ETCD_STR("k"), ETCD_GET(.call = ETCD_CALL(.traceparent = trace)), NULL, &err), ETCD_OK);
    assert_int_equal(told.n, 4);
    for (size_t i = 0; i < told.n; i++) {
        assert_int_equal(told.info[i].id, told.info[0].id);
        assert_int_equal(told.info[i].event, event_of[i]);
        assert_int_equal(told.info[i].attempts, i);
        assert_int_equal(told.info[i].code, i % 3 == 0 ? ETCD_OK : ETCD_ERR_LEADER_CHANGED);
        assert_int_equal(told.info[i].request_bytes, told.info[0].request_bytes);
        assert_string_equal(told.info[i].endpoint, i == 0 ? "" : fake_server_endpoint(server));
        assert_string_equal(told.info[i].method, "/etcdserverpb.KV/Range");
        assert_string_equal(told.info[i].traceparent, trace);
    }
    assert_int_equal(fake_put.run(client, NULL, &err), ETCD_OK);
    assert_int_equal(told.n, 6);
    assert_int_equal(told.info[4].event, ETCD_CALL_EVENT_START);
    assert_int_equal(told.info[5].event, ETCD_CALL_EVENT_END);
    assert_true(told.info[4].id == told.info[5].id && told.info[4].id != told.info[0].id);
    assert_true(told.info[0].id != 0 && told.info[0].request_bytes > 0);
    etcd_client_free(client);
    fake_server_stop(server);
}

static void a_call_without_connection_has_no_endpoint(void **state)
{
    struct told told = {0};
    etcd_client *client = fake_client_with("127.0.0.1:1", (etcd_client_options){.call_fn = on_call, .call_arg = &told});
    etcd_error err;

    (void)state;
    assert_int_equal(fake_get.run(client, ETCD_CALL(.timeout_ms = 50), &err), ETCD_ERR_DEADLINE_EXCEEDED);
    etcd_client_free(client);
    assert_int_equal(told.n, 2);
    assert_int_equal(told.info[0].event, ETCD_CALL_EVENT_START);
    assert_int_equal(told.info[0].code, ETCD_OK);
    assert_int_equal(told.info[1].event, ETCD_CALL_EVENT_END);
    assert_int_equal(told.info[1].attempts, 0);
    assert_int_equal(told.info[1].code, ETCD_ERR_DEADLINE_EXCEEDED);
    assert_string_equal(told.info[1].endpoint, "");
}

static void ignore(etcd_client *client, etcd_get_response *resp, const etcd_error *err, void *arg)
{
    (void)client;
    (void)resp;
    (void)err;
    (void)arg;
}

/* Also of calls that nobody drove before the client was closed, or that were canceled at once. */
static void a_start_is_followed_by_an_end(void **state)
{
    struct told told = {0};
    etcd_client *client =
        fake_client_with("127.0.0.1:1", (etcd_client_options){.manual = true, .call_fn = on_call, .call_arg = &told});
    etcd_call_id ids[2];
    etcd_error err;

    (void)state;
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(etcd_get_async(client, ETCD_STR("k"), NULL, ignore, NULL, &ids[i], &err), ETCD_OK);
    assert_int_equal(etcd_call_cancel(client, ids[0]), ETCD_OK);
    assert_int_equal(told.n, 0);
    etcd_client_free(client);
    assert_int_equal(told.n, 4);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(told.info[i].event, ETCD_CALL_EVENT_START);
        assert_int_equal(told.info[i].id, ids[i]);
        assert_int_equal(told.info[i + 2].event, ETCD_CALL_EVENT_END);
        assert_int_equal(told.info[i + 2].id, ids[i]);
        assert_int_equal(told.info[i + 2].code, i == 0 ? ETCD_ERR_CANCELED : ETCD_ERR_CLOSED);
    }
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_attempt_is_told),
        cmocka_unit_test(a_call_without_connection_has_no_endpoint),
        cmocka_unit_test(a_start_is_followed_by_an_end),
    };

    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
