/* P3: a call returns by its deadline + 50 ms whatever the peer does, a cancel takes effect within 10 ms, closing takes at most
 * 100 ms; a callback runs exactly once, and none runs after the client is freed. Bounds are multiplied on slow builds, see
 * fake_bound_ms(). */
#include "harness/fake_fixture.h"

#include <nghttp2/nghttp2.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { TIMEOUT_MS = 150 };

/* ---- peers that do not answer ---- */

static void never(fake_request *request, void *arg)
{
    (void)request;
    (void)arg;
}

static void headers_only(fake_request *request, void *arg)
{
    (void)arg;
    fake_reply_headers(request);
}

static void message_without_trailers(fake_request *request, void *arg)
{
    (void)arg;
    fake_reply_headers(request);
    fake_reply_payload(request, 0, "", 0);
}

static void endless_message(fake_request *request, void *arg)
{
    (void)arg;
    fake_reply_headers(request);
    fake_reply_endless(request, 0x7fffffff);
}

static void flood(fake_request *request, void *arg)
{
    fake_reply_headers(request);
    fake_reply_flood(request, *(const fake_flood *)arg);
}

/* An honest answer, but a byte each millisecond: it takes minutes. */
static void big_answer(fake_request *request, void *arg)
{
    static const uint8_t zeros[100000];

    (void)arg;
    fake_reply_headers(request);
    fake_reply_payload(request, 0, zeros, sizeof zeros);
    fake_reply_status(request, 0, NULL);
}

static void refuse(fake_request *request, void *arg)
{
    (void)arg;
    fake_reply_reset(request, NGHTTP2_REFUSED_STREAM);
}

static const fake_flood flood_pings = FAKE_FLOOD_PING, flood_settings = FAKE_FLOOD_SETTINGS, flood_data = FAKE_FLOOD_DATA,
                        flood_unknown = FAKE_FLOOD_UNKNOWN, flood_empty = FAKE_FLOOD_EMPTY_DATA;

typedef struct peer {
    const char *name;
    fake_script script;
    fake_options options;
    fake_handler *handler;
    const void *arg;
    bool any_error; /* the call may fail before its deadline */
} peer;

#define SETTING(id, value) .settings = {{(id), (value)}}, .n_settings = 1

static const peer peers[] = {
    {.name = "refuses", .options = {.deaf = true}},
    {.name = "accepts and closes", .script = {.kind = FAKE_CONN_CLOSE}},
    {.name = "accepts and resets", .script = {.kind = FAKE_CONN_ABORT}},
    {.name = "accepts and is silent", .script = {.kind = FAKE_CONN_SILENT}},
    {.name = "never reads", .script = {.never_read = true}},
    {.name = "no SETTINGS", .script = {.no_settings = true}},
    {.name = "drips from the start", .script = {.drip = true}, .handler = big_answer},
    {.name = "HTTP/1.1", .script = {.kind = FAKE_CONN_TEXT, .text = "HTTP/1.1 400 Bad Request\r\n\r\n", .text_len = 28}},
    {.name = "garbage",
     .script = {.kind = FAKE_CONN_TEXT, .text = "\x15\x03\x01garbage garbage", .text_len = 18, .text_keep_open = true}},
    {.name = "zero window", .script = {SETTING(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0)}},
    {.name = "no streams", .script = {SETTING(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 0)}},
    {.name = "floods from the start", .script = {.flood = FAKE_FLOOD_PING}, .any_error = true},
    {.name = "never answers", .handler = never},
    {.name = "headers only", .handler = headers_only},
    {.name = "no trailers", .handler = message_without_trailers},
    {.name = "endless message", .handler = endless_message, .any_error = true},
    {.name = "refuses streams", .handler = refuse, .any_error = true},
    {.name = "PING flood", .handler = flood, .arg = &flood_pings, .any_error = true},
    {.name = "SETTINGS flood", .handler = flood, .arg = &flood_settings, .any_error = true},
    {.name = "DATA flood", .handler = flood, .arg = &flood_data, .any_error = true},
    {.name = "empty DATA flood", .handler = flood, .arg = &flood_empty, .any_error = true},
    {.name = "flood of unknown frames", .handler = flood, .arg = &flood_unknown, .any_error = true},
};

static fake_server *start_peer(const peer *p)
{
    fake_server *server = fake_server_start(&p->options);

    fake_server_script_rest(server, &p->script);
    fake_server_handle(server, NULL, p->handler, (void *)(uintptr_t)p->arg);
    return server;
}

static etcd_client *client_of(const fake_server *server, bool manual)
{
    /* backing off as by default: a peer that fails at once must not be hammered */
    return fake_client_with(fake_server_endpoint(server), (etcd_client_options){.manual = manual});
}

/* A call to such a peer, and then the end of its client. */
typedef struct doomed {
    const peer *peer;
    const fake_op *op;
    bool manual, close_first, with_switch;
} doomed;

/* How late the call's end was, or the client's, whatever was worse: half as much time is allowed for the one as for the other. */
static int64_t meet_deadline(void *arg)
{
    const doomed *d = arg;
    const peer *p = d->peer;
    const fake_op *op = d->op;
    bool manual = d->manual;
    fake_server *server = start_peer(p);
    etcd_client *client = client_of(server, manual);
    etcd_error err;
    int64_t start = fake_now_ms(), took, late;
    int rc = op->run(client, ETCD_CALL(.timeout_ms = TIMEOUT_MS), &err);

    took = fake_now_ms() - start;
    if (rc == ETCD_OK || (!p->any_error && rc != ETCD_ERR_DEADLINE_EXCEEDED))
        fail_msg("%s, %s, manual %d: %s: %s", p->name, op->name, manual, etcd_error_name(rc), err.message);
    late = took - TIMEOUT_MS;
    if (rc == ETCD_ERR_DEADLINE_EXCEEDED) {
        if (took < TIMEOUT_MS)
            fail_msg("%s, %s, manual %d: ended after %d ms, too early", p->name, op->name, manual, (int)took);
        fake_assert_contains(err.message, "context deadline exceeded");
    }
    start = fake_now_ms();
    etcd_client_free(client);
    took = fake_now_ms() - start;
    fake_server_stop(server);
    return late > took / 2 ? late : took / 2;
}

static void check_deadline(const peer *p, const fake_op *op, bool manual)
{
    char what[128];

    snprintf(what, sizeof what, "%s, %s, manual %d: the deadline, or closing", p->name, op->name, manual);
    fake_in_time(meet_deadline, &(doomed){.peer = p, .op = op, .manual = manual}, fake_bound_ms(50), what);
}

static void deadlines_hold_whatever_the_peer_does(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof peers / sizeof peers[0]; i++)
        check_deadline(&peers[i], i % 2 == 0 ? &fake_get : &fake_put, false);
}

static void deadlines_hold_in_manual_mode(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof peers / sizeof peers[0]; i++)
        check_deadline(&peers[i], i % 2 == 0 ? &fake_put : &fake_get, true);
}

static int64_t put_into_the_hole(void *client)
{
    int64_t start = fake_now_ms();
    etcd_error err;

    assert_int_equal(fake_put.run(client, ETCD_CALL(.timeout_ms = TIMEOUT_MS), &err), ETCD_ERR_DEADLINE_EXCEEDED);
    assert_int_equal(err.flags & ETCD_ERROR_MAYBE_APPLIED, 0);
    return fake_now_ms() - start - TIMEOUT_MS;
}

static void deadlines_hold_in_a_black_hole(void **state)
{
    fake_blackhole hole;
    etcd_client *client;

    (void)state;
    fake_blackhole_open(&hole);
    client = fake_client_with(hole.endpoint, (etcd_client_options){0});
    fake_in_time(put_into_the_hole, client, fake_bound_ms(50), "the deadline");
    etcd_client_free(client);
    fake_blackhole_close(&hole);
}

static int64_t get_by_default(void *client)
{
    int64_t start = fake_now_ms(), took;
    etcd_error err;

    assert_int_equal(fake_get.run(client, NULL, &err), ETCD_ERR_DEADLINE_EXCEEDED);
    took = fake_now_ms() - start;
    assert_true(took >= 100);
    return took - 100;
}

static void the_clients_default_is_a_deadline_too(void **state)
{
    fake_server *server = fake_server_start(NULL);
    etcd_client *client = fake_client_with(fake_server_endpoint(server), (etcd_client_options){.request_timeout_ms = 100});

    (void)state;
    fake_server_handle(server, NULL, never, NULL);
    fake_in_time(get_by_default, client, fake_bound_ms(50), "the deadline");
    etcd_client_free(client);
    fake_server_stop(server);
}

static void a_call_that_waits_for_a_token_says_so(void **state)
{
    fake_server *server = fake_server_start(NULL);
    etcd_client *client = fake_client_with(fake_server_endpoint(server), (etcd_client_options){.username = "u", .password = "p"});
    etcd_error err;

    (void)state;
    fake_server_handle(server, "/etcdserverpb.Auth/Authenticate", never, NULL);
    for (int64_t timeout = 100; timeout < FAKE_WAIT_MS; timeout *= 4) { /* until there was time to connect before */
        assert_int_equal(fake_put.run(client, ETCD_CALL(.timeout_ms = timeout), &err), ETCD_ERR_DEADLINE_EXCEEDED);
        if (fake_server_count(server, "/etcdserverpb.Auth/Authenticate") > 0 && !strstr(err.message, "still connecting"))
            break;
    }
    fake_assert_contains(err.message, "still authenticating at");
    assert_int_equal(err.flags, ETCD_ERROR_RETRYABLE);
    assert_int_equal(fake_server_count(server, FAKE_PUT), 0);
    etcd_client_free(client);
    fake_server_stop(server);
}

/* ---- callbacks ---- */

typedef struct counter {
    int done[64];
    int64_t at[64];
    int code[64];
    size_t total;
} counter;

typedef struct one {
    counter *counter;
    size_t index;
} one;

static void on_get(etcd_client *client, etcd_get_response *response, const etcd_error *err, void *arg)
{
    one *o = arg;

    (void)client;
    o->counter->done[o->index]++;
    o->counter->at[o->index] = fake_now_ms();
    o->counter->code[o->index] = err ? err->code : ETCD_OK;
    o->counter->total++;
    etcd_response_free(response);
}

/* Calls with different deadlines, started in no order. Returns how late the latest was. */
static int64_t end_each_at_its_own(void *client)
{
    counter c = {.total = 0};
    one ones[64];
    int64_t due[64], worst = 0;

    for (size_t i = 0; i < 64; i++) {
        int64_t timeout = 20 + (int64_t)(i * 37 % 64) * 4;

        ones[i] = (one){&c, i};
        due[i] = fake_now_ms() + timeout;
        assert_int_equal(etcd_get_async(client, ETCD_STR("k"), ETCD_GET(.call = ETCD_CALL(.timeout_ms = timeout)), on_get,
                                        &ones[i], NULL, NULL),
                         ETCD_OK);
    }
    while (c.total < 64)
        assert_int_equal(etcd_client_process(client, 1000, NULL), ETCD_OK);
    for (size_t i = 0; i < 64; i++) {
        assert_int_equal(c.done[i], 1);
        assert_int_equal(c.code[i], ETCD_ERR_DEADLINE_EXCEEDED);
        assert_true(c.at[i] >= due[i]);
        worst = c.at[i] - due[i] > worst ? c.at[i] - due[i] : worst;
    }
    return worst;
}

static void each_call_has_its_own_deadline(void **state)
{
    fake_server *server = fake_server_start(NULL);
    etcd_client *client = client_of(server, true);

    (void)state;
    fake_server_handle(server, NULL, never, NULL);
    fake_in_time(end_each_at_its_own, client, fake_bound_ms(50), "a deadline among others");
    etcd_client_free(client);
    fake_server_stop(server);
}

/* Starts n gets that the peer will not answer. (Some peers end them at once: then the I/O thread, if there is one, runs
 * callbacks.) */
static void start_gets(etcd_client *client, counter *c, one *ones, size_t n, etcd_cancel *cancel, etcd_call_id *ids)
{
    for (size_t i = 0; i < n; i++) {
        ones[i] = (one){c, i};
        assert_int_equal(etcd_get_async(client, ETCD_STR("k"),
                                        ETCD_GET(.call = ETCD_CALL(.timeout_ms = FAKE_WAIT_MS, .cancel = cancel)), on_get,
                                        &ones[i], ids ? &ids[i] : NULL, NULL),
                         ETCD_OK);
    }
}

/* How long closing took, or freeing. */
static int64_t close_it(void *arg)
{
    const doomed *d = arg;
    const peer *p = d->peer;
    bool manual = d->manual, close_first = d->close_first;
    fake_server *server = start_peer(p);
    etcd_client *client = client_of(server, manual);
    counter c = {.total = 0};
    one ones[8];
    int64_t start, took;

    start_gets(client, &c, ones, 8, NULL, NULL);
    if (manual)
        assert_int_equal(c.total, 0); /* never before the starting call returns */
    if (manual)
        for (int i = 0; i < 5; i++)
            assert_int_equal(etcd_client_process(client, 2, NULL), ETCD_OK);
    else
        fake_sleep_ms(5); /* anywhere between connecting and waiting: each place must do */
    start = fake_now_ms();
    if (close_first) {
        etcd_client_close(client);
        assert_int_equal(c.total, 8); /* callbacks run before it returns */
        etcd_client_close(client);
    }
    etcd_client_free(client);
    took = fake_now_ms() - start;
    assert_int_equal(c.total, 8);
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(c.done[i], 1);
        if (c.code[i] != ETCD_ERR_CLOSED && !p->any_error)
            fail_msg("%s: ended with %s", p->name, etcd_error_name(c.code[i]));
    }
    fake_server_stop(server);
    assert_int_equal(c.total, 8);
    return took;
}

static void check_close(const peer *p, bool manual, bool close_first)
{
    fake_in_time(close_it, &(doomed){.peer = p, .manual = manual, .close_first = close_first}, fake_bound_ms(100), p->name);
}

static void closing_ends_all_calls_at_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof peers / sizeof peers[0]; i++)
        check_close(&peers[i], false, i % 2);
}

static void closing_ends_all_calls_in_manual_mode(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof peers / sizeof peers[0]; i++)
        check_close(&peers[i], true, i % 2 == 0);
}

/* ---- cancel ---- */

/* How long canceling took. */
static int64_t cancel_it(void *arg)
{
    const doomed *d = arg;
    const peer *p = d->peer;
    bool with_switch = d->with_switch;
    fake_server *server = start_peer(p);
    etcd_client *client = client_of(server, true);
    counter c = {.total = 0};
    etcd_cancel *cancel = NULL;
    etcd_call_id ids[8];
    one ones[8];
    int64_t start, took;

    assert_int_equal(etcd_cancel_new(&cancel, NULL), ETCD_OK);
    start_gets(client, &c, ones, 8, with_switch ? cancel : NULL, ids);
    assert_int_equal(c.total, 0);
    for (int i = 0; i < 5; i++)
        assert_int_equal(etcd_client_process(client, 2, NULL), ETCD_OK);
    if (!p->any_error)
        assert_int_equal(c.total, 0);
    start = fake_now_ms();
    if (with_switch)
        etcd_cancel_trigger(cancel);
    else
        for (size_t i = 0; i < 8; i++)
            if (c.done[i] == 0)
                assert_int_equal(etcd_call_cancel(client, ids[i]), ETCD_OK);
    while (c.total < 8)
        assert_int_equal(etcd_client_process(client, FAKE_WAIT_MS, NULL), ETCD_OK);
    took = fake_now_ms() - start;
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(c.done[i], 1);
        if (c.code[i] != ETCD_ERR_CANCELED && !p->any_error)
            fail_msg("%s: ended with %s", p->name, etcd_error_name(c.code[i]));
        assert_int_equal(etcd_call_cancel(client, ids[i]), ETCD_ERR_CALL_NOT_FOUND);
    }
    etcd_client_free(client);
    etcd_cancel_free(cancel);
    fake_server_stop(server);
    return took;
}

static void check_cancel(const peer *p, bool with_switch)
{
    fake_in_time(cancel_it, &(doomed){.peer = p, .with_switch = with_switch}, fake_bound_ms(10), p->name);
}

static void canceling_takes_effect_at_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof peers / sizeof peers[0]; i++)
        check_cancel(&peers[i], i % 2);
    for (size_t i = 0; i < sizeof peers / sizeof peers[0]; i++)
        check_cancel(&peers[i], i % 2 == 0);
}

typedef struct trigger {
    fake_server *server;
    etcd_cancel *cancel;
    int64_t at;
} trigger;

static void *trigger_when_seen(void *arg)
{
    trigger *t = arg;

    if (!fake_server_wait_requests(t->server, NULL, 1, FAKE_WAIT_MS))
        return NULL;
    t->at = fake_now_ms();
    etcd_cancel_trigger(t->cancel);
    return t;
}

/* From another thread, on a blocking call. Returns how long it took. */
static int64_t cancel_blocking(void *manual)
{
    fake_server *server = fake_server_start(NULL);
    etcd_client *client = client_of(server, *(bool *)manual);
    trigger t = {server, NULL, 0};
    pthread_t thread;
    void *triggered;
    etcd_error err;
    int64_t took;

    fake_server_handle(server, NULL, never, NULL);
    assert_int_equal(etcd_cancel_new(&t.cancel, NULL), ETCD_OK);
    assert_int_equal(pthread_create(&thread, NULL, trigger_when_seen, &t), 0);
    assert_int_equal(fake_put.run(client, ETCD_CALL(.timeout_ms = -1, .cancel = t.cancel), &err), ETCD_ERR_CANCELED);
    took = fake_now_ms();
    pthread_join(thread, &triggered);
    assert_non_null(triggered);
    took -= t.at;
    assert_true(err.flags & ETCD_ERROR_MAYBE_APPLIED);
    /* the switch stays triggered: later calls are not sent */
    assert_int_equal(fake_put.run(client, ETCD_CALL(.cancel = t.cancel), &err), ETCD_ERR_CANCELED);
    assert_int_equal(err.flags & ETCD_ERROR_MAYBE_APPLIED, 0);
    etcd_client_free(client);
    assert_true(fake_server_wait_closed(server, 1, FAKE_WAIT_MS));
    assert_int_equal(fake_server_count(server, FAKE_PUT), 1);
    assert_true(fake_server_seen(server, 0).client_reset);
    assert_int_equal(fake_server_seen(server, 0).reset_code, NGHTTP2_CANCEL);
    etcd_cancel_free(t.cancel);
    fake_server_stop(server);
    return took;
}

static void another_thread_cancels_a_blocking_call(void **state)
{
    bool manual = false;

    (void)state;
    fake_in_time(cancel_blocking, &manual, fake_bound_ms(10), "canceling");
    manual = true;
    fake_in_time(cancel_blocking, &manual, fake_bound_ms(10), "canceling in manual mode");
}

static void *close_when_seen(void *arg)
{
    void **server_and_client = arg;

    if (fake_server_wait_requests(server_and_client[0], NULL, 1, FAKE_WAIT_MS))
        etcd_client_close(server_and_client[1]);
    return NULL;
}

static void another_thread_closes_during_a_blocking_call(void **state)
{
    fake_server *server = fake_server_start(NULL);
    etcd_client *client = client_of(server, false);
    void *both[] = {server, client};
    pthread_t thread;
    etcd_error err;

    (void)state;
    fake_server_handle(server, NULL, never, NULL);
    assert_int_equal(pthread_create(&thread, NULL, close_when_seen, both), 0);
    assert_int_equal(fake_put.run(client, ETCD_CALL(.timeout_ms = -1), &err), ETCD_ERR_CLOSED);
    assert_true(err.flags & ETCD_ERROR_MAYBE_APPLIED);
    pthread_join(thread, NULL);
    assert_int_equal(fake_put.run(client, NULL, &err), ETCD_ERR_CLOSED);
    assert_int_equal(err.flags, 0);
    etcd_client_free(client);
    fake_server_stop(server);
}

/* ---- what makes calls wait, and then go on ---- */

/* MAX_CONCURRENT_STREAMS 1, to 0, and back: calls queue and end well, and never more run at a time than allowed. */
static void answer_at_the_gate(fake_request *request, void *arg)
{
    (void)arg;
    fake_reply_gate(request, 0);
    fake_reply_kv(request);
}

static void stream_limits_make_calls_wait(void **state)
{
    fake_server *server = fake_server_start(NULL);
    etcd_client *client;
    counter c = {.total = 0};
    one ones[6];

    (void)state;
    fake_server_script(server, &(fake_script){SETTING(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 2)});
    fake_server_handle(server, NULL, answer_at_the_gate, NULL);
    client = client_of(server, true);
    start_gets(client, &c, ones, 6, NULL, NULL);
    while (!fake_server_wait_gate(server, 0, 2, 0))
        assert_int_equal(etcd_client_process(client, 1, NULL), ETCD_OK);
    for (int i = 0; i < 20; i++)
        assert_int_equal(etcd_client_process(client, 1, NULL), ETCD_OK);
    assert_int_equal(fake_server_seen_count(server), 2);
    fake_server_setting(server, 0, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 0);
    while (fake_server_conn(server, 0).settings_acks < 2)
        assert_int_equal(etcd_client_process(client, 1, NULL), ETCD_OK);
    fake_server_gate_open(server, 0);
    while (c.total < 2)
        assert_int_equal(etcd_client_process(client, 1, NULL), ETCD_OK);
    for (int i = 0; i < 20; i++)
        assert_int_equal(etcd_client_process(client, 1, NULL), ETCD_OK);
    assert_int_equal(fake_server_seen_count(server), 2);
    fake_server_setting(server, 0, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 100);
    while (c.total < 6)
        assert_int_equal(etcd_client_process(client, 1000, NULL), ETCD_OK);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(c.code[i], ETCD_OK);
    assert_int_equal(fake_server_violations(server), 0);
    assert_int_equal(fake_server_conn_count(server), 1);
    etcd_client_free(client);
    fake_server_stop(server);
}

/* A request larger than the window is finished when the window opens. */
static void windows_make_calls_wait(void **state)
{
    static char value[300000];
    fake_server *server = fake_server_start(NULL);
    etcd_client *client = client_of(server, false);
    etcd_error err;

    (void)state;
    memset(value, 'v', sizeof value);
    assert_int_equal(etcd_put(client, ETCD_STR("k"), value, sizeof value, NULL, NULL, &err), ETCD_OK);
    assert_int_equal(fake_server_count(server, FAKE_PUT), 1);
    assert_true(fake_server_seen(server, 0).payload_len > sizeof value);
    etcd_client_free(client);
    fake_server_stop(server);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(deadlines_hold_whatever_the_peer_does),
    cmocka_unit_test(deadlines_hold_in_manual_mode),
    cmocka_unit_test(deadlines_hold_in_a_black_hole),
    cmocka_unit_test(the_clients_default_is_a_deadline_too),
    cmocka_unit_test(a_call_that_waits_for_a_token_says_so),
    cmocka_unit_test(each_call_has_its_own_deadline),
    cmocka_unit_test(closing_ends_all_calls_at_once),
    cmocka_unit_test(closing_ends_all_calls_in_manual_mode),
    cmocka_unit_test(canceling_takes_effect_at_once),
    cmocka_unit_test(another_thread_cancels_a_blocking_call),
    cmocka_unit_test(another_thread_closes_during_a_blocking_call),
    cmocka_unit_test(stream_limits_make_calls_wait),
    cmocka_unit_test(windows_make_calls_wait),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
