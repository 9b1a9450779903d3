/* P1 and P2, counted: however the stream of a write ends, the server does not see the write twice unless it is proven that it was
 * not processed, and the outcome is one of three: done, not done, unknown. */
#include "harness/fake_fixture.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum expect {
    EXPECT_OK,
    EXPECT_FAILED, /* definitely not done */
    EXPECT_MAYBE,  /* unknown */
    EXPECT_RESENT  /* refused once, provably unprocessed; done at the second try */
} expect;

/* Where in the answer the stream ends. */
typedef enum answer_stage { BEFORE_HEADERS, AFTER_HEADERS, AFTER_MESSAGE, N_STAGES } answer_stage;

static const char *const stage_names[] = {"before headers", "after headers", "after the message"};

/* What the handler does with the first request; later ones are served. */
typedef struct ending {
    const char *name;
    void (*answer)(fake_request *request, const struct ending *ending);
    int code;
    answer_stage stage;
    expect expect;
    bool not_applied; /* the server does nothing before it answers so */
    const char *text; /* in the error's message, unless NULL */
    int error;        /* the error's code, unless 0 */
} ending;

typedef struct script {
    const ending *ending;
    size_t calls;
} script;

static void run_script(fake_request *request, void *arg)
{
    script *s = arg;
    size_t len;

    if (s->calls++ > 0) {
        fake_reply_kv(request);
        return;
    }
    if (!s->ending->not_applied)
        free(fake_kv_apply(request, &len));
    s->ending->answer(request, s->ending);
}

static const char *expect_name(int rc, const etcd_error *err)
{
    return rc == ETCD_OK ? "ok" : err->flags & ETCD_ERROR_MAYBE_APPLIED ? "unknown" : "failed";
}

static void check_end(fake_server *server, const fake_op *op, const ending *e, int rc, const etcd_error *err)
{
    size_t seen = fake_server_count(server, op->method);
    bool maybe = err->flags & ETCD_ERROR_MAYBE_APPLIED, ok = rc == ETCD_OK;

    fake_check_write(server, op, e->expect == EXPECT_RESENT ? 2 : 1, rc, err, e->name);
    if (ok != (e->expect == EXPECT_OK || e->expect == EXPECT_RESENT) || maybe != (e->expect == EXPECT_MAYBE))
        fail_msg("%s, %s, code %d, %s: outcome %s: %s", op->name, e->name, e->code, stage_names[e->stage], expect_name(rc, err),
                 err->message);
    if (seen != (e->expect == EXPECT_RESENT ? 2 : 1))
        fail_msg("%s, %s, code %d: seen %zu times", op->name, e->name, e->code, seen);
    assert_int_equal(rc, err->code);
    if (e->text)
        fake_assert_contains(err->message, e->text);
    if (e->error && rc != e->error)
        fail_msg("%s, %s, code %d: %s: %s", op->name, e->name, e->code, etcd_error_name(rc), err->message);
    assert_int_equal(fake_server_violations(server), 0);
}

static void end_malformed(fake_request *request, const ending *e);

static void check_ending(const fake_op *op, const ending *e)
{
    fake_server *server = fake_server_start(NULL);
    etcd_client *client = fake_client(fake_server_endpoint(server), false);
    script s = {e, 0};
    etcd_error err;
    int rc;

    fake_server_handle(server, op->method, run_script, &s);
    rc = op->run(client, ETCD_CALL(.timeout_ms = FAKE_WAIT_MS), &err);
    etcd_client_free(client);
    assert_true(fake_server_wait_closed(server, fake_server_conn_count(server), FAKE_WAIT_MS));
    check_end(server, op, e, rc, &err);
    if (rc != ETCD_OK)
        assert_string_equal(err.endpoint, fake_server_endpoint(server));
    fake_server_stop(server);
}

static void check_writes(const ending *e)
{
    check_ending(&fake_put, e);
    check_ending(&fake_txn, e);
    if (e->stage == BEFORE_HEADERS && e->answer != end_malformed) /* the fixture's delete wants no response, so none is decoded */
        check_ending(&fake_delete, e);
}

/* ---- answers ---- */

static void until_stage(fake_request *request, answer_stage stage)
{
    static const uint8_t header_of_revision_2[] = {0x0a, 2, 0x18, 2};

    if (stage > BEFORE_HEADERS)
        fake_reply_headers(request);
    if (stage > AFTER_HEADERS)
        fake_reply_payload(request, 0, header_of_revision_2, sizeof header_of_revision_2);
}

static void end_with_status(fake_request *request, const ending *e)
{
    until_stage(request, e->stage);
    if (e->stage == BEFORE_HEADERS)
        fake_reply_trailers_only(request, e->code, "words");
    else
        fake_reply_status(request, e->code, "words");
}

static void end_with_reset(fake_request *request, const ending *e)
{
    until_stage(request, e->stage);
    fake_reply_reset(request, (uint32_t)e->code);
}

static void end_with_cut(fake_request *request, const ending *e)
{
    until_stage(request, e->stage);
    fake_reply_cut(request, (fake_cut)e->code);
}

/* ---- statuses ---- */

/* A status proves that a write was not done when no handler ends with it halfway and no proxy makes it up. */
static expect expect_of_status(int code)
{
    switch (code) {
    case 1:  /* Canceled */
    case 2:  /* Unknown */
    case 4:  /* DeadlineExceeded */
    case 10: /* Aborted */
    case 13: /* Internal */
    case 14: /* Unavailable */
    case 15: /* DataLoss */
        return EXPECT_MAYBE;
    default:
        return code < 17 ? EXPECT_FAILED : EXPECT_MAYBE;
    }
}

static void check_statuses(answer_stage stage)
{
    for (int code = 1; code <= 17; code++) {
        ending e = {.name = "status",
                    .answer = end_with_status,
                    .code = code,
                    .stage = stage,
                    .expect = expect_of_status(code),
                    .text = "words"};

        e.not_applied = e.expect == EXPECT_FAILED;
        if (code <= 16)
            e.error = -(100 + code);
        check_writes(&e);
    }
}

static void statuses_in_trailers_only(void **state)
{
    (void)state;
    check_statuses(BEFORE_HEADERS);
    check_writes(&(ending){.name = "OK in Trailers-Only", .answer = end_with_status, .expect = EXPECT_MAYBE});
}

static void statuses_in_trailers_without_a_message(void **state)
{
    (void)state;
    check_statuses(AFTER_HEADERS);
    check_writes(
        &(ending){.name = "OK without message", .answer = end_with_status, .stage = AFTER_HEADERS, .expect = EXPECT_MAYBE});
}

static void statuses_in_trailers_after_a_message(void **state)
{
    (void)state;
    check_statuses(AFTER_MESSAGE);
    check_writes(&(ending){.name = "OK", .answer = end_with_status, .stage = AFTER_MESSAGE, .expect = EXPECT_OK});
}

/* ---- resets: 14 codes ---- */

static void resets_before_headers(void **state)
{
    (void)state;
    for (int code = NGHTTP2_NO_ERROR; code <= NGHTTP2_HTTP_1_1_REQUIRED; code++) {
        bool refused = code == NGHTTP2_REFUSED_STREAM;

        check_writes(&(ending){.name = "reset",
                               .answer = end_with_reset,
                               .code = code,
                               .not_applied = refused,
                               .expect = refused ? EXPECT_RESENT : EXPECT_MAYBE});
    }
}

/* Who has answered and then refuses contradicts himself: nothing is proven. */
static void resets_after_headers(void **state)
{
    (void)state;
    for (int code = NGHTTP2_NO_ERROR; code <= NGHTTP2_HTTP_1_1_REQUIRED; code++)
        for (answer_stage stage = AFTER_HEADERS; stage < N_STAGES; stage++)
            check_writes(
                &(ending){.name = "reset", .answer = end_with_reset, .code = code, .stage = stage, .expect = EXPECT_MAYBE});
}

static void refuse(fake_request *request, void *arg)
{
    (void)arg;
    fake_reply_reset(request, NGHTTP2_REFUSED_STREAM);
}

/* Refused for ever: never done, and the end is definite. */
static void refused_for_ever(void **state)
{
    fake_server *server = fake_server_start(NULL);
    etcd_client *client =
        fake_client_with(fake_server_endpoint(server), (etcd_client_options){.max_attempts = 5, .retry_wait_ms = 1});
    etcd_error err;

    (void)state;
    fake_server_handle(server, FAKE_PUT, refuse, NULL);
    assert_true(fake_put.run(client, ETCD_CALL(.timeout_ms = FAKE_WAIT_MS), &err) < 0);
    assert_int_equal(err.flags & ETCD_ERROR_MAYBE_APPLIED, 0);
    assert_int_equal(fake_server_count(server, FAKE_PUT), 5);
    etcd_client_free(client);
    fake_server_stop(server);
}

/* At the request's headers, while its body is perhaps still on the way. */
static void resets_before_the_body(void **state)
{
    (void)state;
    for (int code = NGHTTP2_NO_ERROR; code <= NGHTTP2_HTTP_1_1_REQUIRED; code++) {
        fake_server *server = fake_server_start(NULL);
        etcd_client *client = fake_client(fake_server_endpoint(server), false);
        ending e = {.name = "early reset", .answer = end_with_reset, .code = code, .not_applied = true};
        script s = {&e, 0};
        etcd_error err;
        int rc;

        fake_server_handle_early(server, FAKE_PUT, run_script, &s);
        if (code == NGHTTP2_REFUSED_STREAM)
            fake_server_handle_early(server, FAKE_PUT, refuse, NULL);
        rc = fake_put.run(client, ETCD_CALL(.timeout_ms = code == NGHTTP2_REFUSED_STREAM ? 50 : FAKE_WAIT_MS), &err);
        assert_true(rc < 0);
        assert_int_equal(s.calls, code == NGHTTP2_REFUSED_STREAM ? 0 : 1);
        assert_int_equal(fake_server_kv_writes(server), 0);
        etcd_client_free(client);
        fake_server_stop(server);
    }
}

/* ---- answers that break the protocol ---- */

static void end_http_503(fake_request *request, const ending *e)
{
    char status[16];

    snprintf(status, sizeof status, "%d", e->code);
    fake_reply_http(request, status, "text/html");
    fake_reply_data(request, "<html>", 6, true);
}

static void end_wrong_type(fake_request *request, const ending *e)
{
    (void)e;
    fake_reply_http(request, "200", "text/html");
    fake_reply_data(request, "<html>", 6, true);
}

static void end_no_status(fake_request *request, const ending *e)
{
    static const fake_header none[] = {{"x-nothing", "1"}};

    until_stage(request, e->stage);
    fake_reply_header_block(request, none, 1, true);
}

static void end_bare(fake_request *request, const ending *e)
{
    until_stage(request, AFTER_HEADERS);
    fake_reply_data(request, "", 0, true);
    (void)e;
}

static void end_bad_status(fake_request *request, const ending *e)
{
    const fake_header bad[] = {{"grpc-status", e->name}};

    until_stage(request, e->stage);
    fake_reply_header_block(request, bad, 1, true);
}

static void end_two_messages(fake_request *request, const ending *e)
{
    until_stage(request, AFTER_MESSAGE);
    fake_reply_payload(request, 0, "", 0);
    fake_reply_status(request, 0, NULL);
    (void)e;
}

static void end_compressed(fake_request *request, const ending *e)
{
    until_stage(request, AFTER_HEADERS);
    fake_reply_payload(request, (uint8_t)e->code, "abc", 3);
    fake_reply_status(request, 0, NULL);
}

static void end_torn_message(fake_request *request, const ending *e)
{
    until_stage(request, AFTER_HEADERS);
    fake_reply_data(request, "\0\0\0\0\5abc", (size_t)e->code, false);
    fake_reply_status(request, 0, NULL);
}

static void end_malformed(fake_request *request, const ending *e)
{
    until_stage(request, AFTER_HEADERS);
    fake_reply_payload(request, 0, "\x0a\x7f\x01", 3);
    fake_reply_status(request, 0, NULL);
    (void)e;
}

static void broken_answers(void **state)
{
    static const ending endings[] = {
        {.name = "content type", .answer = end_wrong_type, .expect = EXPECT_MAYBE, .text = "text/html"},
        {.name = "no status", .answer = end_no_status, .stage = AFTER_HEADERS, .expect = EXPECT_MAYBE},
        {.name = "no status after message", .answer = end_no_status, .stage = AFTER_MESSAGE, .expect = EXPECT_MAYBE},
        {.name = "no trailers", .answer = end_bare, .expect = EXPECT_MAYBE},
        {.name = "two messages", .answer = end_two_messages, .expect = EXPECT_MAYBE},
        {.name = "compressed", .answer = end_compressed, .code = 1, .expect = EXPECT_MAYBE, .text = "compress"},
        {.name = "unknown flag", .answer = end_compressed, .code = 7, .expect = EXPECT_MAYBE},
        {.name = "torn prefix", .answer = end_torn_message, .code = 3, .expect = EXPECT_MAYBE},
        {.name = "torn message", .answer = end_torn_message, .code = 8, .expect = EXPECT_MAYBE},
        {.name = "malformed", .answer = end_malformed, .expect = EXPECT_MAYBE, .error = ETCD_ERR_PROTOCOL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++)
        check_writes(&endings[i]);
}

static void unparsable_statuses(void **state)
{
    static const char *const texts[] = {"", "x", "-1", "0x0", "1 4", "99999999999999999999", "0junk"};

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        for (answer_stage stage = AFTER_HEADERS; stage < N_STAGES; stage++) {
            ending e = {
                .name = texts[i], .answer = end_bad_status, .stage = stage, .expect = EXPECT_MAYBE, .text = "grpc-status"};

            check_writes(&e);
        }
}

static void http_statuses(void **state)
{
    static const struct {
        int http, error;
        expect expect;
    } cases[] = {
        {400, ETCD_ERR_INTERNAL, EXPECT_MAYBE},
        {401, ETCD_ERR_UNAUTHENTICATED, EXPECT_FAILED},
        {403, ETCD_ERR_GRPC_PERMISSION_DENIED, EXPECT_FAILED},
        {404, ETCD_ERR_UNIMPLEMENTED, EXPECT_FAILED},
        {429, ETCD_ERR_UNAVAILABLE, EXPECT_MAYBE},
        {500, ETCD_ERR_UNKNOWN, EXPECT_MAYBE},
        {502, ETCD_ERR_UNAVAILABLE, EXPECT_MAYBE},
        {503, ETCD_ERR_UNAVAILABLE, EXPECT_MAYBE},
        {504, ETCD_ERR_UNAVAILABLE, EXPECT_MAYBE},
        {204, ETCD_ERR_UNKNOWN, EXPECT_MAYBE},
    };
    char text[16];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(text, sizeof text, "%d", cases[i].http);
        check_writes(&(ending){.name = "HTTP status",
                               .answer = end_http_503,
                               .code = cases[i].http,
                               .expect = cases[i].expect,
                               .not_applied = cases[i].expect == EXPECT_FAILED,
                               .error = cases[i].error,
                               .text = text});
    }
}

/* ---- GOAWAY ---- */

/* `code` is added to the request's id; the connection is cut behind it. */
static void end_goaway_then_cut(fake_request *request, const ending *e)
{
    fake_reply_goaway(request, request->stream_id + e->code, NGHTTP2_NO_ERROR, NULL);
    fake_reply_cut(request, FAKE_CUT_FIN);
}

static void end_goaway_low_id(fake_request *request, const ending *e)
{
    fake_reply_goaway(request, request->stream_id - 1, (uint32_t)e->code, "maintenance");
}

/* What a Go server does when it stops gracefully. */
static void end_graceful(fake_request *request, const ending *e)
{
    fake_reply_goaway(request, INT32_MAX, NGHTTP2_NO_ERROR, NULL);
    fake_reply_goaway(request, request->stream_id, NGHTTP2_NO_ERROR, NULL);
    until_stage(request, AFTER_MESSAGE);
    fake_reply_status(request, 0, NULL);
    fake_reply_cut(request, FAKE_CUT_FIN);
    (void)e;
}

static void end_graceful_low_id(fake_request *request, const ending *e)
{
    fake_reply_goaway(request, INT32_MAX, NGHTTP2_NO_ERROR, NULL);
    fake_reply_goaway(request, request->stream_id - 2 < 0 ? 0 : request->stream_id - 2, NGHTTP2_NO_ERROR, NULL);
    (void)e;
}

static void end_graceful_then_cut(fake_request *request, const ending *e)
{
    fake_reply_goaway(request, INT32_MAX, NGHTTP2_NO_ERROR, NULL);
    fake_reply_cut(request, (fake_cut)e->code);
}

/* The id may only fall (RFC 9113, 6.8). Rising, it would take back what was proven: a peer that breaks the protocol. */
static void end_goaway_rising(fake_request *request, const ending *e)
{
    fake_reply_goaway(request, request->stream_id, NGHTTP2_NO_ERROR, NULL);
    fake_reply_goaway(request, request->stream_id + 2, NGHTTP2_NO_ERROR, NULL);
    until_stage(request, AFTER_MESSAGE);
    fake_reply_status(request, 0, NULL);
    (void)e;
}

static void goaways(void **state)
{
    static const ending endings[] = {
        {.name = "goaway below, NO_ERROR", .answer = end_goaway_low_id, .expect = EXPECT_RESENT, .not_applied = true},
        {.name = "goaway below, PROTOCOL_ERROR",
         .answer = end_goaway_low_id,
         .code = NGHTTP2_PROTOCOL_ERROR,
         .expect = EXPECT_RESENT,
         .not_applied = true},
        {.name = "goaway below, ENHANCE_YOUR_CALM",
         .answer = end_goaway_low_id,
         .code = NGHTTP2_ENHANCE_YOUR_CALM,
         .expect = EXPECT_RESENT,
         .not_applied = true},
        {.name = "two-step, below", .answer = end_graceful_low_id, .expect = EXPECT_RESENT, .not_applied = true},
        {.name = "two-step, answered", .answer = end_graceful, .expect = EXPECT_OK},
        {.name = "first step, then FIN", .answer = end_graceful_then_cut, .code = FAKE_CUT_FIN, .expect = EXPECT_MAYBE},
        {.name = "first step, then RST", .answer = end_graceful_then_cut, .code = FAKE_CUT_RST, .expect = EXPECT_MAYBE},
        {.name = "goaway with the id, then FIN", .answer = end_goaway_then_cut, .code = 0, .expect = EXPECT_MAYBE},
        {.name = "goaway above, then FIN", .answer = end_goaway_then_cut, .code = 2, .expect = EXPECT_MAYBE},
        {.name = "goaway below, then FIN",
         .answer = end_goaway_then_cut,
         .code = -1,
         .expect = EXPECT_RESENT,
         .not_applied = true},
        {.name = "goaway rising", .answer = end_goaway_rising, .expect = EXPECT_MAYBE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++)
        check_writes(&endings[i]);
}

/* ---- the connection ends ---- */

static void cuts_in_the_answer(void **state)
{
    (void)state;
    for (int cut = FAKE_CUT_FIN; cut <= FAKE_CUT_RST; cut++)
        for (answer_stage stage = BEFORE_HEADERS; stage < N_STAGES; stage++)
            check_writes(&(ending){.name = cut == FAKE_CUT_FIN ? "FIN" : "RST",
                                   .answer = end_with_cut,
                                   .code = cut,
                                   .stage = stage,
                                   .expect = EXPECT_MAYBE});
}

/* Bytes of an undisturbed exchange. */
static uint64_t exchange_bytes(const fake_op *op, fake_cut_side side)
{
    fake_server *server = fake_server_start(NULL);
    etcd_client *client = fake_client(fake_server_endpoint(server), false);
    fake_conn_log log;
    etcd_error err;

    assert_int_equal(op->run(client, NULL, &err), ETCD_OK);
    log = fake_server_conn(server, 0);
    etcd_client_free(client);
    fake_server_stop(server);
    return side == FAKE_CUT_READ ? log.bytes_read : log.bytes_written;
}

static void check_cut(const fake_op *op, const fake_script *cut, size_t *n_ok, size_t *n_maybe)
{
    fake_server *server = fake_server_start(NULL);
    etcd_client *client;
    etcd_error err;
    char what[64];
    int rc;

    fake_server_script(server, cut);
    client = fake_client(fake_server_endpoint(server), false);
    rc = op->run(client, ETCD_CALL(.timeout_ms = FAKE_WAIT_MS), &err);
    etcd_client_free(client);
    assert_true(fake_server_wait_closed(server, fake_server_conn_count(server), FAKE_WAIT_MS));
    snprintf(what, sizeof what, "%s after byte %u %s", cut->cut == FAKE_CUT_FIN ? "FIN" : "RST", (unsigned)cut->cut_at,
             cut->cut_side == FAKE_CUT_READ ? "read" : "written");
    fake_check_write(server, op, 1, rc, &err, what);
    if (rc != ETCD_OK && !(err.flags & ETCD_ERROR_MAYBE_APPLIED))
        fail_msg("%s, %s: not written, so it should have been sent again: %s", op->name, what, err.message);
    *n_ok += rc == ETCD_OK;
    *n_maybe += rc != ETCD_OK;
    fake_server_stop(server);
}

/* One connection is cut after each byte, the next one serves. */
static void check_cuts(const fake_op *op, fake_cut cut, fake_cut_side side)
{
    uint64_t total = exchange_bytes(op, side);
    size_t n_ok = 0, n_maybe = 0;

    assert_true(total > 50);
    for (uint64_t at = 0; at < total; at++)
        check_cut(op, &(fake_script){.cut = cut, .cut_side = side, .cut_at = at}, &n_ok, &n_maybe);
    assert_true(n_ok > 0); /* cut before anything could be sent */
    assert_true(n_maybe > 0);
}

static void put_fin_after_each_byte_written(void **state)
{
    (void)state;
    check_cuts(&fake_put, FAKE_CUT_FIN, FAKE_CUT_WRITTEN);
}

static void put_rst_after_each_byte_written(void **state)
{
    (void)state;
    check_cuts(&fake_put, FAKE_CUT_RST, FAKE_CUT_WRITTEN);
}

static void put_fin_after_each_byte_read(void **state)
{
    (void)state;
    check_cuts(&fake_put, FAKE_CUT_FIN, FAKE_CUT_READ);
}

static void put_rst_after_each_byte_read(void **state)
{
    (void)state;
    check_cuts(&fake_put, FAKE_CUT_RST, FAKE_CUT_READ);
}

static void txn_fin_after_each_byte_written(void **state)
{
    (void)state;
    check_cuts(&fake_txn, FAKE_CUT_FIN, FAKE_CUT_WRITTEN);
}

static void txn_rst_after_each_byte_written(void **state)
{
    (void)state;
    check_cuts(&fake_txn, FAKE_CUT_RST, FAKE_CUT_WRITTEN);
}

static void txn_fin_after_each_byte_read(void **state)
{
    (void)state;
    check_cuts(&fake_txn, FAKE_CUT_FIN, FAKE_CUT_READ);
}

static void txn_rst_after_each_byte_read(void **state)
{
    (void)state;
    check_cuts(&fake_txn, FAKE_CUT_RST, FAKE_CUT_READ);
}

/* ---- the caller ends it ---- */

static void end_never(fake_request *request, const ending *e)
{
    (void)request;
    (void)e;
}

/* Returns whether the request was sent before the deadline. */
static bool meet_deadline(const fake_op *op, int64_t timeout_ms)
{
    script s = {&(ending){.name = "silence", .answer = end_never}, 0};
    fake_server *server = fake_server_start(NULL);
    etcd_client *client = fake_client(fake_server_endpoint(server), false);
    fake_seen seen = {.complete = false};
    etcd_error err;

    fake_server_handle(server, op->method, run_script, &s);
    assert_int_equal(op->run(client, ETCD_CALL(.timeout_ms = timeout_ms), &err), ETCD_ERR_DEADLINE_EXCEEDED);
    etcd_client_free(client);
    assert_true(fake_server_wait_closed(server, fake_server_conn_count(server), FAKE_WAIT_MS));
    if (fake_server_seen_count(server) > 0)
        seen = fake_server_seen(server, 0);
    fake_check_write(server, op, 1, err.code, &err, "deadline");
    assert_int_equal((err.flags & ETCD_ERROR_MAYBE_APPLIED) != 0, seen.complete);
    assert_true(!seen.complete || (seen.client_reset && seen.reset_code == NGHTTP2_CANCEL));
    fake_server_stop(server);
    return seen.complete;
}

static void deadline_without_an_answer(void **state)
{
    (void)state;
    assert_true(meet_deadline(&fake_put, 100) || meet_deadline(&fake_put, 3000) || meet_deadline(&fake_put, 12000));
    assert_true(meet_deadline(&fake_txn, 100) || meet_deadline(&fake_txn, 3000) || meet_deadline(&fake_txn, 12000));
}

/* No connection, so nothing was sent: the failure is definite. */
static void deadline_before_it_was_sent(void **state)
{
    fake_server *server = fake_server_start(&(fake_options){.deaf = true});
    etcd_client *client = fake_client(fake_server_endpoint(server), false);
    etcd_error err;

    (void)state;
    assert_int_equal(fake_put.run(client, ETCD_CALL(.timeout_ms = 50), &err), ETCD_ERR_DEADLINE_EXCEEDED);
    assert_int_equal(err.flags & ETCD_ERROR_MAYBE_APPLIED, 0);
    etcd_client_free(client);
    fake_server_stop(server);
}

typedef struct waiter {
    int done;
    etcd_error err;
} waiter;

static void on_put(etcd_client *client, etcd_put_response *response, const etcd_error *err, void *arg)
{
    waiter *w = arg;

    (void)client;
    w->done++;
    if (err)
        w->err = *err;
    etcd_response_free(response);
}

/* `how`: 0 cancel, 1 close, 2 free. */
static void check_caller_ends(int how)
{
    fake_server *server = fake_server_start(NULL);
    etcd_client *client = fake_client(fake_server_endpoint(server), true);
    const ending e = {.name = "silence", .answer = end_never};
    script s = {&e, 0};
    waiter w = {0};
    etcd_call_id id;

    fake_server_handle(server, FAKE_PUT, run_script, &s);
    assert_int_equal(etcd_put_async(client, ETCD_STR("k"), ETCD_STR("v"), NULL, on_put, &w, &id, NULL), ETCD_OK);
    while (fake_server_count(server, FAKE_PUT) == 0)
        assert_int_equal(etcd_client_process(client, 10, NULL), ETCD_OK);
    assert_int_equal(w.done, 0);
    if (how == 0)
        assert_int_equal(etcd_call_cancel(client, id), ETCD_OK);
    if (how == 1)
        etcd_client_close(client);
    while (how == 0 && w.done == 0)
        assert_int_equal(etcd_client_process(client, 10, NULL), ETCD_OK);
    etcd_client_free(client);
    assert_int_equal(w.done, 1);
    assert_int_equal(w.err.code, how == 0 ? ETCD_ERR_CANCELED : ETCD_ERR_CLOSED);
    assert_true(w.err.flags & ETCD_ERROR_MAYBE_APPLIED);
    assert_int_equal(fake_server_count(server, FAKE_PUT), 1);
    fake_server_stop(server);
}

static void canceled_and_closed_writes_are_unknown(void **state)
{
    (void)state;
    for (int how = 0; how < 3; how++)
        check_caller_ends(how);
}

/* ---- the server's own errors ---- */

static void end_server_error(fake_request *request, const ending *e)
{
    fake_reply_trailers_only(request, e->code, e->text);
}

/* What etcd says when a proposal may still be applied, and what it says before it proposes. */
static void errors_of_the_server(void **state)
{
    static const ending endings[] = {
        {.name = "timeout",
         .code = 14,
         .text = "etcdserver: request timed out",
         .error = ETCD_ERR_TIMEOUT,
         .expect = EXPECT_MAYBE},
        {.name = "leader fail",
         .code = 14,
         .text = "etcdserver: request timed out, possibly due to previous leader failure",
         .error = ETCD_ERR_TIMEOUT_DUE_TO_LEADER_FAIL,
         .expect = EXPECT_MAYBE},
        {.name = "leader changed",
         .code = 14,
         .text = "etcdserver: leader changed",
         .error = ETCD_ERR_LEADER_CHANGED,
         .expect = EXPECT_MAYBE},
        {.name = "stopped", .code = 14, .text = "etcdserver: server stopped", .error = ETCD_ERR_STOPPED, .expect = EXPECT_MAYBE},
        /* the quota is checked again when the write is applied, and then it is applied all the same */
        {.name = "no space",
         .code = 8,
         .text = "etcdserver: mvcc: database space exceeded",
         .error = ETCD_ERR_NO_SPACE,
         .expect = EXPECT_MAYBE},
        {.name = "no leader",
         .code = 14,
         .text = "etcdserver: no leader",
         .error = ETCD_ERR_NO_LEADER,
         .expect = EXPECT_FAILED,
         .not_applied = true},
        {.name = "too many requests",
         .code = 2,
         .text = "etcdserver: too many requests",
         .error = ETCD_ERR_TOO_MANY_REQUESTS,
         .expect = EXPECT_FAILED,
         .not_applied = true},
        {.name = "lease",
         .code = 5,
         .text = "etcdserver: requested lease not found",
         .error = ETCD_ERR_LEASE_NOT_FOUND,
         .expect = EXPECT_FAILED,
         .not_applied = true},
        {.name = "unknown words",
         .code = 2,
         .text = "etcdserver: something new",
         .error = ETCD_ERR_UNKNOWN,
         .expect = EXPECT_MAYBE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        ending e = endings[i];

        e.answer = end_server_error;
        check_writes(&e);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(statuses_in_trailers_only),
    cmocka_unit_test(statuses_in_trailers_without_a_message),
    cmocka_unit_test(statuses_in_trailers_after_a_message),
    cmocka_unit_test(resets_before_headers),
    cmocka_unit_test(resets_after_headers),
    cmocka_unit_test(refused_for_ever),
    cmocka_unit_test(resets_before_the_body),
    cmocka_unit_test(broken_answers),
    cmocka_unit_test(unparsable_statuses),
    cmocka_unit_test(http_statuses),
    cmocka_unit_test(goaways),
    cmocka_unit_test(cuts_in_the_answer),
    cmocka_unit_test(put_fin_after_each_byte_written),
    cmocka_unit_test(put_rst_after_each_byte_written),
    cmocka_unit_test(put_fin_after_each_byte_read),
    cmocka_unit_test(put_rst_after_each_byte_read),
    cmocka_unit_test(txn_fin_after_each_byte_written),
    cmocka_unit_test(txn_rst_after_each_byte_written),
    cmocka_unit_test(txn_fin_after_each_byte_read),
    cmocka_unit_test(txn_rst_after_each_byte_read),
    cmocka_unit_test(deadline_without_an_answer),
    cmocka_unit_test(deadline_before_it_was_sent),
    cmocka_unit_test(canceled_and_closed_writes_are_unknown),
    cmocka_unit_test(errors_of_the_server),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
