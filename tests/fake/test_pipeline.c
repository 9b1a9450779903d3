/* P1 and P2 with many writes on one connection: whatever ends it, and wherever in their bytes, each write by itself is done at
 * most once, and its outcome is true. */
#include "harness/fake_fixture.h"

#include <nghttp2/nghttp2.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_MOST = 12 };

typedef struct batch {
    fake_server *server;
    size_t n, value_len; /* how many puts, of how many bytes */
    size_t ended;
    int done[N_MOST];
    etcd_error err[N_MOST];
    const char *what;
    uint64_t at;
} batch;

typedef struct one {
    batch *batch;
    size_t index;
} one;

static void on_put(etcd_client *client, etcd_put_response *response, const etcd_error *err, void *arg)
{
    one *o = arg;

    (void)client;
    o->batch->done[o->index]++;
    o->batch->ended++;
    if (err)
        o->batch->err[o->index] = *err;
    etcd_response_free(response);
}

static void check_put(const batch *b, size_t i, size_t *n_ok, size_t *n_maybe)
{
    const etcd_error *err = &b->err[i];
    char key[16];
    int64_t done;

    snprintf(key, sizeof key, "key%zu", i);
    done = fake_server_kv_version(b->server, key);
    assert_int_equal(b->done[i], 1);
    if (done > 1)
        fail_msg("%s at %u: put %zu was done %d times", b->what, (unsigned)b->at, i, (int)done);
    if (err->code == ETCD_OK && done != 1)
        fail_msg("%s at %u: put %zu succeeded, but was not done", b->what, (unsigned)b->at, i);
    if (err->code != ETCD_OK && done == 1 && !(err->flags & ETCD_ERROR_MAYBE_APPLIED))
        fail_msg("%s at %u: put %zu was done, but failed as if it were not: %s", b->what, (unsigned)b->at, i, err->message);
    if (err->code != ETCD_OK && !(err->flags & ETCD_ERROR_MAYBE_APPLIED))
        fail_msg("%s at %u: put %zu should have been sent again: %s", b->what, (unsigned)b->at, i, err->message);
    *n_ok += err->code == ETCD_OK;
    *n_maybe += err->code != ETCD_OK;
}

/* n puts of different keys, started before there is a connection; the first one meets its fate, the next one serves. */
static fake_conn_log run_batch(batch *b, const fake_script *script, size_t *n_ok, size_t *n_maybe)
{
    static char value[100000];
    one ones[N_MOST];
    etcd_client *client;
    fake_conn_log log;
    bool own = b->server == NULL; /* else it stays the caller's */

    memset(value, 'v', sizeof value);
    if (own)
        b->server = fake_server_start(NULL);
    fake_server_script(b->server, script);
    client = fake_client(fake_server_endpoint(b->server), true);
    for (size_t i = 0; i < b->n; i++) {
        char key[16];

        snprintf(key, sizeof key, "key%zu", i);
        ones[i] = (one){b, i};
        assert_int_equal(etcd_put_async(client, ETCD_STR(key), value, b->value_len,
                                        ETCD_PUT(.call = ETCD_CALL(.timeout_ms = FAKE_WAIT_MS)), on_put, &ones[i], NULL, NULL),
                         ETCD_OK);
    }
    while (b->ended < b->n)
        assert_int_equal(etcd_client_process(client, FAKE_WAIT_MS, NULL), ETCD_OK);
    log = fake_server_conn(b->server, 0);
    etcd_client_free(client);
    assert_true(fake_server_wait_closed(b->server, fake_server_conn_count(b->server), FAKE_WAIT_MS));
    for (size_t i = 0; i < b->n; i++)
        check_put(b, i, n_ok, n_maybe);
    if (own)
        fake_server_stop(b->server);
    return log;
}

/* Cuts after every `step` bytes of an exchange of n puts. */
static void check_cuts(size_t n, size_t value_len, fake_cut cut, fake_cut_side side, uint64_t step)
{
    size_t n_ok = 0, n_maybe = 0;
    batch whole = {.n = n, .value_len = value_len, .what = "nothing"};
    fake_conn_log log = run_batch(&whole, &(fake_script){.kind = FAKE_CONN_SERVE}, &n_ok, &n_maybe);
    uint64_t total = side == FAKE_CUT_READ ? log.bytes_read : log.bytes_written;

    assert_int_equal(n_ok, n);
    n_ok = 0;
    for (uint64_t at = 0; at < total; at += step) {
        batch b = {.n = n, .value_len = value_len, .what = cut == FAKE_CUT_FIN ? "FIN" : "RST", .at = at};

        run_batch(&b, &(fake_script){.cut = cut, .cut_side = side, .cut_at = at}, &n_ok, &n_maybe);
    }
    assert_true(n_ok > 0);
    assert_true(n_maybe > 0);
}

static void small_puts_cut_while_they_are_read(void **state)
{
    (void)state;
    check_cuts(5, 3, FAKE_CUT_FIN, FAKE_CUT_READ, 3);
    check_cuts(5, 3, FAKE_CUT_RST, FAKE_CUT_READ, 3);
}

static void small_puts_cut_while_they_are_answered(void **state)
{
    (void)state;
    check_cuts(5, 3, FAKE_CUT_FIN, FAKE_CUT_WRITTEN, 3);
    check_cuts(5, 3, FAKE_CUT_RST, FAKE_CUT_WRITTEN, 3);
}

/* Larger than the windows: some are written in part, some not at all, when the end comes. */
static void large_puts_cut_while_they_are_read(void **state)
{
    (void)state;
    check_cuts(4, 100000, FAKE_CUT_FIN, FAKE_CUT_READ, 4093);
    check_cuts(4, 100000, FAKE_CUT_RST, FAKE_CUT_READ, 4093);
}

static void large_puts_cut_while_they_are_answered(void **state)
{
    (void)state;
    check_cuts(4, 100000, FAKE_CUT_FIN, FAKE_CUT_WRITTEN, 5);
    check_cuts(4, 100000, FAKE_CUT_RST, FAKE_CUT_WRITTEN, 5);
}

/* ---- GOAWAY in the middle of them ---- */

typedef struct parting {
    int32_t last_stream_id;
    size_t n;
} parting;

/* The first connection: what is at or below the id is done and answered after the GOAWAY, what is above is not touched. */
static void part(fake_request *request, void *arg)
{
    const parting *p = arg;

    if (request->conn > 0) {
        fake_reply_kv(request);
        return;
    }
    if (request->stream_id == (int32_t)(2 * p->n - 1)) /* the last one: all have been seen */
        fake_reply_goaway(request, p->last_stream_id, NGHTTP2_NO_ERROR, NULL);
    if (request->stream_id > p->last_stream_id)
        return;
    fake_reply_gate(request, 0);
    fake_reply_kv(request);
}

static bool all_seen(fake_server *server, void *arg)
{
    return fake_server_count(server, FAKE_PUT) >= ((const parting *)arg)->n;
}

static void *open_gate_when_all_are_seen(void *arg)
{
    void **both = arg;

    if (fake_server_wait(both[0], all_seen, both[1], FAKE_WAIT_MS))
        fake_server_gate_open(both[0], 0);
    return NULL;
}

static void check_parting(size_t below)
{
    parting p = {.last_stream_id = (int32_t)(2 * below) - 1, .n = 10};
    batch b = {.n = p.n, .value_len = 3, .what = "GOAWAY", .at = below};
    size_t n_ok = 0, n_maybe = 0;
    pthread_t thread;
    void *both[2];

    if (p.last_stream_id < 0)
        p.last_stream_id = 0;
    b.server = fake_server_start(NULL);
    both[0] = b.server;
    both[1] = &p;
    fake_server_handle(b.server, FAKE_PUT, part, &p);
    assert_int_equal(pthread_create(&thread, NULL, open_gate_when_all_are_seen, both), 0);
    run_batch(&b, &(fake_script){.kind = FAKE_CONN_SERVE}, &n_ok, &n_maybe);
    pthread_join(thread, NULL);
    fake_server_stop(b.server);
    assert_int_equal(n_ok, p.n); /* none is lost, none is done twice */
    assert_int_equal(n_maybe, 0);
}

static void a_goaway_parts_the_calls(void **state)
{
    (void)state;
    for (size_t below = 0; below <= 10; below++)
        check_parting(below);
}

/* ---- one refused among many, and other endpoints ---- */

static void refuse(fake_request *request, void *arg)
{
    (void)arg;
    fake_reply_reset(request, NGHTTP2_REFUSED_STREAM);
}

static void refused_writes_go_to_another_endpoint(void **state)
{
    fake_server *refusing = fake_server_start(NULL), *serving = fake_server_start(NULL);
    char endpoints[256];
    etcd_client *client;
    etcd_error err;

    (void)state;
    fake_server_handle(refusing, NULL, refuse, NULL);
    snprintf(endpoints, sizeof endpoints, "%s,%s", fake_server_endpoint(refusing), fake_server_endpoint(serving));
    client = fake_client(endpoints, false);
    fake_wait_ready(serving); /* a refusal is not for ever tried again */
    for (int i = 0; i < 20; i++)
        assert_int_equal(fake_put.run(client, ETCD_CALL(.timeout_ms = FAKE_WAIT_MS), &err), ETCD_OK);
    assert_int_equal(fake_server_kv_writes(serving), 20);
    assert_int_equal(fake_server_kv_writes(refusing), 0);
    etcd_client_free(client);
    fake_server_stop(refusing);
    fake_server_stop(serving);
}

/* A write whose fate is unknown does not go to another endpoint either. */
static void cut_after_doing(fake_request *request, void *arg)
{
    size_t len;

    (void)arg;
    free(fake_kv_apply(request, &len));
    fake_reply_cut(request, FAKE_CUT_RST);
}

static void unknown_writes_stay_where_they_were_sent(void **state)
{
    fake_server *servers[2] = {fake_server_start(NULL), fake_server_start(NULL)};
    char endpoints[256];
    etcd_client *client;
    etcd_error err;

    (void)state;
    for (int s = 0; s < 2; s++)
        fake_server_handle(servers[s], FAKE_PUT, cut_after_doing, NULL);
    snprintf(endpoints, sizeof endpoints, "%s,%s", fake_server_endpoint(servers[0]), fake_server_endpoint(servers[1]));
    client = fake_client(endpoints, false);
    for (size_t i = 1; i <= 10; i++) {
        assert_int_equal(fake_put.run(client, ETCD_CALL(.timeout_ms = FAKE_WAIT_MS), &err), ETCD_ERR_UNAVAILABLE);
        assert_true(err.flags & ETCD_ERROR_MAYBE_APPLIED);
        assert_int_equal(fake_server_kv_writes(servers[0]) + fake_server_kv_writes(servers[1]), i);
    }
    etcd_client_free(client);
    fake_server_stop(servers[0]);
    fake_server_stop(servers[1]);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(small_puts_cut_while_they_are_read),
    cmocka_unit_test(small_puts_cut_while_they_are_answered),
    cmocka_unit_test(large_puts_cut_while_they_are_read),
    cmocka_unit_test(large_puts_cut_while_they_are_answered),
    cmocka_unit_test(a_goaway_parts_the_calls),
    cmocka_unit_test(refused_writes_go_to_another_endpoint),
    cmocka_unit_test(unknown_writes_stay_where_they_were_sent),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
