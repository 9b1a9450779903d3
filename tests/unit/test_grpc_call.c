/* src/grpc/call.c over src/http2: every ending of a call, however the bytes are cut. */
#include "harness/alloc.h"
#include "harness/h2_rig.h"
#include "harness/test.h"

#include <stdio.h>
#include <string.h>

#define STEPS 8
#define GRPC "h :status: 200|content-type: application/grpc"

typedef struct exchange {
    const char *name;
    const char *steps[STEPS]; /* what the server sends on stream 1; "x": the connection is lost */
    const char *log;
    enum { UNARY, STREAM, UNARY_OPEN, STREAM_OPEN } kind; /* OPEN: the request is not complete */
} exchange;

static bool streaming(const exchange *e)
{
    return e->kind == STREAM || e->kind == STREAM_OPEN;
}

static const exchange exchanges[] = {
    {"ok", {GRPC, "m hello", "H grpc-status: 0|grpc-message: "}, "#0 message \"hello\"\n#0 end 0 server \"\"\n", UNARY},
    {"empty message", {GRPC, "m", "H grpc-status: 0"}, "#0 message \"\"\n#0 end 0 server \"\"\n", UNARY},
    {"split over frames",
     {GRPC, "d 00", "d 000000", "d", "d 0361", "d 62", "d 63", "H grpc-status: 0"},
     "#0 message \"abc\"\n#0 end 0 server \"\"\n",
     UNARY},
    {"content-type with subtype",
     {"h :status: 200|content-type: application/grpc+proto", "m a", "H grpc-status: 0"},
     "#0 message \"a\"\n#0 end 0 server \"\"\n",
     UNARY},
    {"content-type with parameter",
     {"h :status: 200|content-type: Application/GRPC; x=y", "m a", "H grpc-status: 0"},
     "#0 message \"a\"\n#0 end 0 server \"\"\n",
     UNARY},
    {"early hints before",
     {"h :status: 103|link: x", "h :status: 100", GRPC, "m a", "H grpc-status: 0"},
     "#0 message \"a\"\n#0 end 0 server \"\"\n",
     UNARY},
    {"trailers only",
     {"H :status: 200|content-type: application/grpc|grpc-status: 5|grpc-message: no such thing"},
     "#0 end 5 server \"no such thing\"\n",
     UNARY},
    {"trailers only, no content-type", {"H :status: 200|grpc-status: 5|grpc-message: x"}, "#0 end 5 server \"x\"\n", UNARY},
    {"trailers only, OK",
     {"H :status: 200|content-type: application/grpc|grpc-status: 0"},
     "#0 end 13 peer-bug \"cardinality violation: received no response message from non-server-streaming RPC\"\n",
     UNARY},
    {"message decoded",
     {"H :status: 200|content-type: application/grpc|grpc-message: 100%25 %E2%82%AC %zz|grpc-status: 3"},
     "#0 end 3 server \"100% \xe2\x82\xac %zz\"\n",
     UNARY},
    {"status after a message",
     {GRPC, "m hello", "H grpc-status: 14|grpc-message: etcdserver: no leader"},
     "#0 end 14 server \"etcdserver: no leader\"\n",
     UNARY},
    {"status without words", {GRPC, "H grpc-status: 1"}, "#0 end 1 server \"\"\n", UNARY},
    {"unknown status", {GRPC, "H grpc-status: 17|grpc-message: x"}, "#0 end 17 server \"x\"\n", UNARY},
    {"status not a number",
     {GRPC, "m a", "H grpc-status: abc"},
     "#0 end 2 peer-bug \"transport: malformed grpc-status\"\n",
     UNARY},
    {"status negative", {GRPC, "m a", "H grpc-status: -1"}, "#0 end 2 peer-bug \"transport: malformed grpc-status\"\n", UNARY},
    {"status empty", {GRPC, "m a", "H grpc-status: "}, "#0 end 2 peer-bug \"transport: malformed grpc-status\"\n", UNARY},
    {"no status", {GRPC, "m a", "H x: y"}, "#0 end 2 peer-bug \"the server ended the call without a grpc-status\"\n", UNARY},
    {"no trailers", {GRPC, "M a"}, "#0 end 13 peer-bug \"server closed the stream without sending trailers\"\n", UNARY},
    {"status before the end does not count",
     {"h :status: 200|content-type: application/grpc|grpc-status: 0|grpc-message: a", "M a"},
     "#0 end 13 peer-bug \"server closed the stream without sending trailers\"\n",
     UNARY},
    {"no trailers, HTTP error",
     {"h :status: 503|content-type: application/grpc", "D"},
     "#0 end 14 http \"unexpected HTTP status code received from server: 503 (Service Unavailable)\"\n",
     UNARY},
    {"no message",
     {GRPC, "H grpc-status: 0"},
     "#0 end 13 peer-bug \"cardinality violation: received no response message from non-server-streaming RPC\"\n",
     UNARY},
    {"two messages",
     {GRPC, "m a", "m b", "H grpc-status: 0"},
     "#0 end 13 peer-bug \"cardinality violation: expected <EOF> for non server-streaming RPCs, but received another message\"\n",
     UNARY},
    {"message cut off",
     {GRPC, "d 0000000005616263", "H grpc-status: 0"},
     "#0 end 13 peer-bug \"unexpected EOF: the server ended the stream inside a message\"\n",
     UNARY},
    {"prefix cut off",
     {GRPC, "m a", "d 0000", "H grpc-status: 0"},
     "#0 end 13 peer-bug \"unexpected EOF: the server ended the stream inside a message\"\n",
     UNARY},
    {"cut off with a status",
     {GRPC, "d 0000000005616263", "H grpc-status: 4|grpc-message: late"},
     "#0 end 4 server \"late\"\n",
     UNARY},
    {"compressed without encoding",
     {GRPC, "d 010000000161"},
     "#0 end 13 peer-bug \"grpc: compressed flag set with identity or empty encoding\"\n",
     UNARY},
    {"compressed, identity",
     {"h :status: 200|content-type: application/grpc|grpc-encoding: identity", "d 010000000161"},
     "#0 end 13 peer-bug \"grpc: compressed flag set with identity or empty encoding\"\n",
     UNARY},
    {"compressed by gzip",
     {"h :status: 200|content-type: application/grpc|grpc-encoding: gzip", "d 010000000161"},
     "#0 end 13 peer-bug \"grpc: Decompressor is not installed for grpc-encoding \"gzip\"\"\n",
     UNARY},
    {"encoding not used",
     {"h :status: 200|content-type: application/grpc|grpc-encoding: gzip", "m a", "H grpc-status: 0"},
     "#0 message \"a\"\n#0 end 0 server \"\"\n",
     UNARY},
    {"flag of 2", {GRPC, "d 020000000161"}, "#0 end 13 peer-bug \"grpc: received unexpected payload format 2\"\n", UNARY},
    {"too large",
     {GRPC, "d 0000100001"},
     "#0 end 8 peer-bug too-large \"grpc: received message larger than max (1048577 vs. 1048576)\"\n",
     UNARY},
    {"largest",
     {GRPC, "d 00ffffffff"},
     "#0 end 8 peer-bug too-large \"grpc: received message larger than max (4294967295 vs. 1048576)\"\n",
     UNARY},
    {"headers in the middle",
     {GRPC, "m a", "h grpc-status: 0"},
     "#0 end 13 peer-bug \"a HEADERS frame cannot appear in the middle of a stream\"\n",
     UNARY},
    {"web page",
     {"h :status: 404|content-type: text/html", "d 3c68313e", "D 6e6f"},
     "#0 end 12 http \"unexpected HTTP status code received from server: 404 (Not Found); transport: received unexpected "
     "content-type \"text/html\"\ndata: \"<h1>no\"\"\n",
     UNARY},
    {"web page of status 200",
     {"h :status: 200|content-type: text/plain", "D 6869"},
     "#0 end 2 http \"unexpected HTTP status code received from server: 200 (OK); transport: received unexpected content-type "
     "\"text/plain\"\ndata: \"hi\"\"\n",
     UNARY},
    {"no content-type",
     {"h :status: 502", "D"},
     "#0 end 14 http \"unexpected HTTP status code received from server: 502 (Bad Gateway); malformed header: missing HTTP "
     "content-type\"\n",
     UNARY},
    {"HTTP error without body",
     {"H :status: 429|content-type: text/plain"},
     "#0 end 14 http \"unexpected HTTP status code received from server: 429 (Too Many Requests); transport: received unexpected "
     "content-type \"text/plain\"\"\n",
     UNARY},
    {"HTTP error of a gRPC server",
     {"H :status: 503|content-type: application/grpc|grpc-status: 8|grpc-message: x"},
     "#0 end 8 server \"x\"\n",
     UNARY},
    {"OK on a web page",
     {"h :status: 200|content-type: text/html", "d 61", "H grpc-status: 0"},
     "#0 end 2 http \"unexpected HTTP status code received from server: 200 (OK); transport: received unexpected content-type "
     "\"text/html\"\ndata: \"a\"\"\n",
     UNARY},
    {"similar content-type",
     {"H :status: 200|content-type: application/grpcx"},
     "#0 end 2 http \"unexpected HTTP status code received from server: 200 (OK); transport: received unexpected content-type "
     "\"application/grpcx\"\"\n",
     UNARY},
    {"refused", {"r 7"}, "#0 end 14 reset unprocessed reset 7", UNARY},
    {"refused after headers",
     {GRPC, "r 7"},
     "#0 end 14 reset reset 7 \"stream terminated by RST_STREAM with error code: REFUSED_STREAM\"\n",
     UNARY},
    {"reset in mid message",
     {GRPC, "d 0000000005616263", "r 8"},
     "#0 end 1 reset reset 8 \"stream terminated by RST_STREAM with error code: CANCEL\"\n",
     UNARY},
    {"reset with NO_ERROR",
     {GRPC, "m a", "r 0"},
     "#0 end 13 reset reset 0 \"stream terminated by RST_STREAM with error code: NO_ERROR\"\n",
     UNARY},
    {"reset by an unknown code",
     {"r 0x99"},
     "#0 end 13 reset reset 153 \"stream terminated by RST_STREAM with error code: 0x99\"\n",
     UNARY},
    {"reset after the end", {GRPC, "m a", "H grpc-status: 0", "r 0"}, "#0 message \"a\"\n#0 end 0 server \"\"\n", UNARY},
    {"CANCEL after the end", {GRPC, "m a", "H grpc-status: 0", "r 8"}, "#0 message \"a\"\n#0 end 0 server \"\"\n", UNARY},
    {"answer before the request ends", {GRPC, "m a", "H grpc-status: 0"}, "#0 message \"a\"\n#0 end 0 server \"\"\n", UNARY_OPEN},
    {"refusal before the request ends",
     {"H :status: 200|content-type: application/grpc|grpc-status: 8", "r 0"},
     "#0 end 8 server \"\"\n",
     UNARY_OPEN},
    {"lost before an answer", {"x"}, "#0 end 14 connection \"the connection was lost during the call\"\n", UNARY},
    {"lost after headers", {GRPC, "x"}, "#0 end 14 connection \"the connection was lost during the call\"\n", UNARY},
    {"lost after the message", {GRPC, "m a", "x"}, "#0 end 14 connection \"the connection was lost during the call\"\n", UNARY},
    {"lost after the end", {GRPC, "m a", "H grpc-status: 0", "x"}, "#0 message \"a\"\n#0 end 0 server \"\"\n", UNARY},
    {"above GOAWAY", {"g 0 0 bye"}, "#0 end 14 reset unprocessed reset 7", UNARY},
    {"below GOAWAY",
     {"g 1 0 bye", GRPC, "m a", "H grpc-status: 0"},
     "goaway 0 1 \"bye\"\n#0 message \"a\"\n#0 end 0 server \"\"\n",
     UNARY},
    {"graceful shutdown",
     {"g 2147483647 0", GRPC, "g 1 0", "m a", "H grpc-status: 0"},
     "goaway 0 2147483647 \"\"\ngoaway 0 1 \"\"\n#0 message \"a\"\n#0 end 0 server \"\"\n",
     UNARY},
    {"data before headers",
     {"h :status: 103", "m a"},
     "#0 end 13 reset reset 1 \"stream terminated by RST_STREAM with error code: PROTOCOL_ERROR\"\n",
     UNARY},
    {"no :status",
     {"h content-type: application/grpc"},
     "#0 end 13 reset reset 1 \"stream terminated by RST_STREAM with error code: PROTOCOL_ERROR\"\n",
     UNARY},
    {":status not three digits",
     {"h :status: 2000|content-type: application/grpc"},
     "#0 end 13 reset reset 1 \"stream terminated by RST_STREAM with error code: PROTOCOL_ERROR\"\n",
     UNARY},
    {":status twice",
     {"h :status: 200|:status: 200"},
     "#0 end 13 reset reset 1 \"stream terminated by RST_STREAM with error code: PROTOCOL_ERROR\"\n",
     UNARY},
    {":status in trailers",
     {GRPC, "m a", "H :status: 200|grpc-status: 0"},
     "#0 end 13 reset reset 1 \"stream terminated by RST_STREAM with error code: PROTOCOL_ERROR\"\n",
     UNARY},
    {"early hints at the end",
     {"H :status: 103"},
     "#0 end 13 reset reset 1 \"stream terminated by RST_STREAM with error code: PROTOCOL_ERROR\"\n",
     UNARY},
    {"stream",
     {GRPC, "m one", "m two", "m", "H grpc-status: 0"},
     "#0 message \"one\"\n#0 message \"two\"\n#0 message \"\"\n#0 end 0 server \"\"\n",
     STREAM},
    {"stream, two messages in a frame",
     {GRPC, "d 0000000001610000000002", "d 6263", "H grpc-status: 0"},
     "#0 message \"a\"\n#0 message \"bc\"\n#0 end 0 server \"\"\n",
     STREAM},
    {"stream without messages",
     {"H :status: 200|content-type: application/grpc|grpc-status: 0"},
     "#0 end 0 server \"\"\n",
     STREAM},
    {"stream ended with an error",
     {GRPC, "m one", "H grpc-status: 1|grpc-message: watch canceled"},
     "#0 message \"one\"\n#0 end 1 server \"watch canceled\"\n",
     STREAM_OPEN},
    {"stream cut off",
     {GRPC, "m one", "d 00000000", "H grpc-status: 0"},
     "#0 message \"one\"\n#0 end 13 peer-bug \"unexpected EOF: the server ended the stream inside a message\"\n",
     STREAM_OPEN},
    {"stream lost",
     {GRPC, "m one", "x"},
     "#0 message \"one\"\n#0 end 14 connection \"the connection was lost during the call\"\n",
     STREAM_OPEN},
};

#define N_EXCHANGES (sizeof exchanges / sizeof exchanges[0])

/* Plays an exchange with the server's bytes cut at `cut`, and then in pieces of `piece`; 0: not. Returns the server's bytes. */
static size_t play(const exchange *e, size_t cut, size_t piece, h2_rig *rig)
{
    etcd_error err;
    bool lose = false;
    size_t len;

    assert_int_equal(h2_rig_open(rig, NULL), ETCD_OK);
    h2_rig_ready(rig);
    rig->request.unary = !streaming(e);
    rig->request.half_close = e->kind == UNARY || e->kind == STREAM;
    assert_int_equal(h2_rig_start(rig, 0, &err), ETCD_OK);
    h2_rig_flush(rig);
    for (size_t i = 0; i < STEPS && e->steps[i]; i++) {
        if (e->steps[i][0] == 'x')
            lose = true;
        else
            h2_rig_say(&rig->peer, 1, e->steps[i]);
    }
    len = rig->peer.out_len;
    rig->piece = piece;
    h2_rig_feed(rig, rig->peer.out, cut);
    h2_rig_feed(rig, rig->peer.out + cut, len - cut);
    if (lose)
        etcd__h2_connection_lost(rig->h2, rig->taken);
    return len;
}

static void check(const exchange *e, const h2_rig *rig, size_t cut)
{
    if (strncmp(rig->log, e->log, strlen(e->log)) != 0 || (e->log[strlen(e->log) - 1] == '\n' && strcmp(rig->log, e->log) != 0))
        fail_msg("%s, cut at %zu:\n%s---- expected:\n%s", e->name, cut, rig->log, e->log);
    assert_false(rig->failed);
    assert_int_equal(rig->calls[0].n_ends, 1);
    assert_int_equal(etcd__h2_streams_open(rig->h2), 0);
}

static void endings(void **state)
{
    static h2_rig rig;

    (void)state;
    for (size_t i = 0; i < N_EXCHANGES; i++) {
        play(&exchanges[i], 0, 0, &rig);
        check(&exchanges[i], &rig, 0);
        h2_rig_close(&rig);
    }
}

static void endings_cut_everywhere(void **state)
{
    static h2_rig rig;

    (void)state;
    for (size_t i = 0; i < N_EXCHANGES; i++) {
        size_t len = play(&exchanges[i], 0, 0, &rig);

        h2_rig_close(&rig);
        for (size_t cut = 1; cut < len; cut++) {
            play(&exchanges[i], cut, 0, &rig);
            check(&exchanges[i], &rig, cut);
            h2_rig_close(&rig);
        }
    }
}

static void endings_byte_by_byte(void **state)
{
    static h2_rig rig;

    (void)state;
    for (size_t i = 0; i < N_EXCHANGES; i++) {
        play(&exchanges[i], 0, 1, &rig);
        check(&exchanges[i], &rig, 0);
        h2_rig_close(&rig);
    }
}

/* The server's bytes end anywhere: one end, and never "unprocessed" once it was told that the peer answered. */
static void endings_lost_everywhere(void **state)
{
    static h2_rig rig;

    (void)state;
    for (size_t i = 0; i < N_EXCHANGES; i++) {
        for (size_t cut = 0, len = 1; cut < len; cut++) {
            assert_int_equal(h2_rig_open(&rig, NULL), ETCD_OK);
            h2_rig_ready(&rig);
            rig.request.unary = !streaming(&exchanges[i]);
            assert_int_equal(h2_rig_start(&rig, 0, NULL), ETCD_OK);
            h2_rig_flush(&rig);
            for (size_t k = 0; k < STEPS && exchanges[i].steps[k]; k++)
                if (exchanges[i].steps[k][0] != 'x')
                    h2_rig_say(&rig.peer, 1, exchanges[i].steps[k]);
            len = rig.peer.out_len;
            h2_rig_feed(&rig, rig.peer.out, cut);
            etcd__h2_connection_lost(rig.h2, rig.taken);
            assert_int_equal(rig.calls[0].n_ends, 1);
            assert_null(strstr(rig.log, "connection unprocessed"));
            h2_rig_close(&rig);
        }
    }
}

static void reset_codes(void **state)
{
    static const int grpc[] = {13, 13, 13, 13, 13, 13, 13, 14, 1, 13, 13, 8, 7, 13};
    static h2_rig rig;

    (void)state;
    for (unsigned after = 0; after < 2; after++) {
        for (unsigned code = 0; code < 14; code++) {
            char expected[256];
            exchange e = {.name = "reset", .log = expected};
            char step[16];

            (void)snprintf(step, sizeof step, "r %u", code);
            e.steps[0] = after ? GRPC : step;
            e.steps[1] = after ? step : NULL;
            (void)snprintf(expected, sizeof expected,
                           "#0 end %d reset%s reset %u \"stream terminated by RST_STREAM with error code: %s\"\n", grpc[code],
                           code == 7 && !after ? " unprocessed" : "", code, etcd__h2_error_name(code));
            play(&e, 0, 0, &rig);
            check(&e, &rig, 0);
            h2_rig_close(&rig);
        }
    }
}

static void all_statuses(void **state)
{
    static h2_rig rig;

    (void)state;
    for (unsigned code = 1; code <= 16; code++) {
        for (int only = 0; only < 2; only++) {
            char expected[64], step[128];
            exchange e = {.name = "status", .log = expected};

            (void)snprintf(step, sizeof step, "H %sgrpc-status: %u|grpc-message: w",
                           only ? ":status: 200|content-type: application/grpc|" : "", code);
            e.steps[0] = only ? step : GRPC;
            e.steps[1] = only ? NULL : step;
            (void)snprintf(expected, sizeof expected, "#0 end %u server \"w\"\n", code);
            play(&e, 0, 0, &rig);
            check(&e, &rig, 0);
            h2_rig_close(&rig);
        }
    }
}

static void request_headers(void **state)
{
    static h2_rig rig;
    const etcd__h2_header metadata[] = {{"client-api-version", 18, "3.8", 3, false, false, false},
                                        {"hasleader", 9, "true", 4, false, false, false},
                                        {"token", 5, "s3cret", 6, true, false, false}};
    const h2_frame *frame;

    (void)state;
    assert_int_equal(h2_rig_open(&rig, NULL), ETCD_OK);
    h2_rig_ready(&rig);
    rig.request.timeout_ns = 1500000001;
    rig.request.metadata = metadata;
    rig.request.n_metadata = 3;
    for (int32_t i = 0; i < 5; i++) {
        assert_int_equal(h2_rig_start(&rig, (size_t)i, NULL), ETCD_OK);
        h2_rig_flush(&rig);
        frame = h2_peer_find(&rig.peer, H2_HEADERS, 2 * i + 1, 0);
        assert_non_null(frame);
        assert_int_equal(frame->flags, H2_END_HEADERS);
        assert_string_equal(frame->fields,
                            ":method: POST\n:scheme: http\n:path: /etcdserverpb.KV/Range\n:authority: 127.0.0.1:2379\n"
                            "grpc-timeout: 1501m\nte: trailers\ncontent-type: application/grpc\nuser-agent: etcd3/0.1\n"
                            "client-api-version: 3.8\nhasleader: true\ntoken: s3cret\n");
        frame = h2_peer_find(&rig.peer, H2_DATA, 2 * i + 1, 0);
        assert_non_null(frame);
        assert_int_equal(frame->flags, H2_END_STREAM);
        assert_int_equal(frame->len, rig.request.body_len);
        assert_memory_equal(frame->payload, rig.request.body, frame->len);
    }
    h2_rig_close(&rig);
}

static void too_much_metadata(void **state)
{
    static h2_rig rig;
    etcd__h2_header metadata[ETCD__GRPC_MAX_METADATA + 1];
    etcd_error err;

    (void)state;
    for (size_t i = 0; i < ETCD__GRPC_MAX_METADATA + 1; i++)
        metadata[i] = (etcd__h2_header){"name", 4, "value", 5, false, false, false};
    assert_int_equal(h2_rig_open(&rig, NULL), ETCD_OK);
    h2_rig_ready(&rig);
    rig.request.metadata = metadata;
    rig.request.n_metadata = ETCD__GRPC_MAX_METADATA + 1;
    assert_int_equal(h2_rig_start(&rig, 0, &err), ETCD_ERR_ARGUMENT);
    rig.request.n_metadata--;
    assert_int_equal(h2_rig_start(&rig, 0, &err), ETCD_OK);
    h2_rig_close(&rig);
}

static void metadata_events(void **state)
{
    static h2_rig rig;

    (void)state;
    assert_int_equal(h2_rig_open(&rig, NULL), ETCD_OK);
    h2_rig_ready(&rig);
    rig.log_metadata = true;
    assert_int_equal(h2_rig_start(&rig, 0, NULL), ETCD_OK);
    h2_rig_say(&rig.peer, 1, "h :status: 200|content-type: application/grpc|a: 1|b-bin: AAA");
    h2_rig_say(&rig.peer, 1, "m x");
    h2_rig_say(&rig.peer, 1, "H grpc-status: 0|grpc-message: |c: 2");
    h2_rig_exchange(&rig);
    assert_string_equal(rig.log,
                        "#0 metadata a: 1\n#0 metadata b-bin: AAA\n#0 trailer c: 2\n#0 message \"x\"\n#0 end 0 server \"\"\n");
    h2_rig_close(&rig);
}

/* Of a foreign body only the start is kept. */
static void long_web_page(void **state)
{
    static h2_rig rig;
    static uint8_t page[5000];

    (void)state;
    memset(page, 'p', sizeof page);
    assert_int_equal(h2_rig_open(&rig, NULL), ETCD_OK);
    h2_rig_ready(&rig);
    assert_int_equal(h2_rig_start(&rig, 0, NULL), ETCD_OK);
    h2_rig_say(&rig.peer, 1, "h :status: 500|content-type: text/html");
    for (int i = 0; i < 10; i++)
        h2_peer_data(&rig.peer, 1, i == 9, page, sizeof page);
    h2_rig_exchange(&rig);
    assert_non_null(
        strstr(rig.log, "#0 end 2 http \"unexpected HTTP status code received from server: 500 (Internal Server Error)"));
    assert_int_equal(strlen(strstr(rig.log, "data: \"")), 7 + ETCD__GRPC_MAX_QUOTED + 3);
    h2_rig_close(&rig);
}

static void prefix(void **state)
{
    uint8_t bytes[ETCD__GRPC_PREFIX];

    (void)state;
    etcd__grpc_prefix_write(bytes, 0x01020304);
    assert_memory_equal(bytes, "\0\1\2\3\4", ETCD__GRPC_PREFIX);
}

static void cancel(void **state)
{
    static h2_rig rig;
    const h2_frame *frame;

    (void)state;
    assert_int_equal(h2_rig_open(&rig, NULL), ETCD_OK);
    h2_rig_ready(&rig);
    assert_int_equal(h2_rig_start(&rig, 0, NULL), ETCD_OK);
    h2_rig_flush(&rig);
    h2_rig_say(&rig.peer, 1, GRPC);
    h2_rig_say(&rig.peer, 1, "d 0000000005616263");
    h2_rig_exchange(&rig);
    etcd__grpc_call_cancel(&rig.calls[0].call);
    etcd__grpc_call_cancel(&rig.calls[0].call);
    rig.calls[0].open = false;
    h2_rig_say(&rig.peer, 1, "d 6465");
    h2_rig_say(&rig.peer, 1, "H grpc-status: 0");
    h2_rig_exchange(&rig);
    assert_string_equal(rig.log, "");
    frame = h2_peer_find(&rig.peer, H2_RST_STREAM, 1, 0);
    assert_non_null(frame);
    assert_int_equal(frame->payload[3], 8);
    assert_int_equal(h2_peer_count(&rig.peer, H2_RST_STREAM, 1), 1);
    h2_rig_close(&rig);
}

static void cancel_before_sent(void **state)
{
    static h2_rig rig;

    (void)state;
    assert_int_equal(h2_rig_open(&rig, NULL), ETCD_OK);
    h2_rig_ready(&rig);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(h2_rig_start(&rig, i, NULL), ETCD_OK);
    etcd__grpc_call_cancel(&rig.calls[1].call);
    etcd__grpc_call_cancel(&rig.calls[2].call);
    rig.calls[1].open = rig.calls[2].open = false;
    h2_rig_flush(&rig);
    assert_non_null(h2_peer_find(&rig.peer, H2_HEADERS, 1, 0));
    assert_null(h2_peer_find(&rig.peer, H2_HEADERS, 3, 0));
    assert_null(h2_peer_find(&rig.peer, H2_HEADERS, 5, 0));
    assert_non_null(h2_peer_find(&rig.peer, H2_HEADERS, 7, 0));
    assert_non_null(strstr(h2_peer_find(&rig.peer, H2_HEADERS, 7, 0)->fields, ":path: /etcdserverpb.KV/Range\n"));
    assert_string_equal(rig.log, "");
    h2_rig_close(&rig);
}

static void cancel_inside_message(void **state)
{
    static h2_rig rig;

    (void)state;
    for (int unary = 0; unary < 2; unary++) {
        assert_int_equal(h2_rig_open(&rig, NULL), ETCD_OK);
        h2_rig_ready(&rig);
        rig.request.unary = unary;
        assert_int_equal(h2_rig_start(&rig, 0, NULL), ETCD_OK);
        rig.calls[0].cancel_in_message = true;
        h2_rig_say(&rig.peer, 1, GRPC);
        h2_rig_say(&rig.peer, 1, unary ? "m a" : "d 000000000161000000000162");
        h2_rig_say(&rig.peer, 1, "H grpc-status: 0");
        h2_rig_exchange(&rig);
        assert_string_equal(rig.log, "#0 message \"a\"\n");
        assert_int_equal(h2_peer_count(&rig.peer, H2_RST_STREAM, 1), unary ? 0 : 1);
        h2_rig_close(&rig);
    }
}

static void sends_more(void **state)
{
    static h2_rig rig;
    const uint8_t more[] = {0, 0, 0, 0, 1, 'x'};

    (void)state;
    assert_int_equal(h2_rig_open(&rig, NULL), ETCD_OK);
    h2_rig_ready(&rig);
    rig.request.unary = rig.request.half_close = false;
    assert_int_equal(h2_rig_start(&rig, 0, NULL), ETCD_OK);
    h2_rig_flush(&rig);
    assert_int_equal(h2_peer_count(&rig.peer, H2_DATA, 1), 1);
    assert_int_equal(etcd__grpc_call_send(&rig.calls[0].call, more, sizeof more, false), ETCD_OK);
    assert_int_equal(etcd__grpc_call_send(&rig.calls[0].call, more, sizeof more, false), ETCD_OK);
    h2_rig_flush(&rig);
    assert_int_equal(h2_peer_find(&rig.peer, H2_DATA, 1, 1)->len, 2 * sizeof more);
    assert_int_equal(h2_peer_find(&rig.peer, H2_DATA, 1, 1)->flags, 0);
    assert_int_equal(etcd__grpc_call_send(&rig.calls[0].call, NULL, 0, true), ETCD_OK);
    assert_int_equal(etcd__grpc_call_send(&rig.calls[0].call, more, sizeof more, false), ETCD_ERR_CLOSED);
    h2_rig_flush(&rig);
    assert_int_equal(h2_peer_find(&rig.peer, H2_DATA, 1, 2)->len, 0);
    assert_int_equal(h2_peer_find(&rig.peer, H2_DATA, 1, 2)->flags, H2_END_STREAM);
    h2_rig_close(&rig);
}

static size_t memory_live_after(uint32_t announced, size_t sent)
{
    static h2_rig rig;
    uint8_t prefix[5] = {0, (uint8_t)(announced >> 24), (uint8_t)(announced >> 16), (uint8_t)(announced >> 8),
                         (uint8_t)announced};
    static uint8_t zeros[16384];
    size_t before;

    assert_int_equal(h2_rig_open(&rig, NULL), ETCD_OK);
    h2_rig_ready(&rig);
    rig.request.max_message = UINT32_MAX;
    assert_int_equal(h2_rig_start(&rig, 0, NULL), ETCD_OK);
    h2_rig_say(&rig.peer, 1, GRPC);
    h2_rig_exchange(&rig);
    h2_peer_data(&rig.peer, 1, false, prefix, sizeof prefix);
    for (before = sent; before > 0; before -= before < sizeof zeros ? before : sizeof zeros)
        h2_peer_data(&rig.peer, 1, false, zeros, before < sizeof zeros ? before : sizeof zeros);
    h2_rig_exchange(&rig);
    assert_string_equal(rig.log, "");
    before = rig.calls[0].call.message_cap;
    h2_rig_close(&rig);
    return before;
}

static void memory_follows_what_arrived(void **state)
{
    (void)state;
    assert_int_equal(memory_live_after(10, 0), 11);
    assert_int_equal(memory_live_after(65535, 1), 65536);
    assert_int_equal(memory_live_after(UINT32_MAX - 1, 0), 65536);
    assert_int_equal(memory_live_after(UINT32_MAX - 1, 65536), 131072);
    assert_int_equal(memory_live_after(100000, 65536), 100001);
    assert_true(memory_live_after(UINT32_MAX - 1, 3000000) <= 2 * 3000000 + 65536);
}

static void large_message(void **state)
{
    static h2_rig rig;
    static uint8_t piece[16384];
    uint8_t prefix[5] = {0, 0, 0x0f, 0, 0};

    (void)state;
    memset(piece, 'p', sizeof piece);
    assert_int_equal(h2_rig_open(&rig, NULL), ETCD_OK);
    h2_rig_ready(&rig);
    assert_int_equal(h2_rig_start(&rig, 0, NULL), ETCD_OK);
    h2_rig_say(&rig.peer, 1, GRPC);
    h2_peer_data(&rig.peer, 1, false, prefix, sizeof prefix);
    for (int i = 0; i < 60; i++)
        h2_peer_data(&rig.peer, 1, false, piece, sizeof piece);
    h2_rig_say(&rig.peer, 1, "H grpc-status: 0");
    rig.piece = 10000;
    h2_rig_exchange(&rig);
    assert_non_null(strstr(rig.log, "ppp\"...\n#0 end 0 server \"\"\n"));
    h2_rig_close(&rig);
}

/* The same exchanges with each allocation failing. */
static int play_failing(void *arg)
{
    static h2_rig rig;
    const exchange *e = arg;
    int rc = h2_rig_open(&rig, NULL);

    rig.quiet = true;
    if (rc == ETCD_OK) {
        h2_peer_settings(&rig.peer, NULL, 0);
        h2_rig_exchange(&rig);
        rig.request.unary = !streaming(e);
        rc = rig.failed ? ETCD_ERR_NO_MEMORY : h2_rig_start(&rig, 0, NULL);
        for (size_t i = 0; rc == ETCD_OK && i < STEPS && e->steps[i]; i++)
            if (e->steps[i][0] != 'x')
                h2_rig_say(&rig.peer, 1, e->steps[i]);
        h2_rig_exchange(&rig);
        etcd__h2_connection_lost(rig.h2, rig.taken);
        if (rc == ETCD_OK)
            assert_int_equal(rig.calls[0].n_ends, 1);
    }
    h2_rig_close(&rig);
    return rc;
}

static void every_allocation_fails(void **state)
{
    (void)state;
    etcd_test_alloc_install();
    for (size_t i = 0; i < N_EXCHANGES; i++) {
        exchange e = exchanges[i];

        assert_true(etcd_test_alloc_sweep(play_failing, &e) > 5);
    }
}

/* After the first calls have filled the pools: the message is the only allocation. */
static void one_allocation_per_call(void **state)
{
    static h2_rig rig;

    (void)state;
    etcd_test_alloc_install();
    assert_int_equal(h2_rig_open(&rig, NULL), ETCD_OK);
    h2_rig_ready(&rig);
    for (int32_t i = 0; i < 50; i++) {
        etcd__buf out = ETCD__BUF_INIT(1 << 20);
        size_t before;

        assert_int_equal(etcd__buf_reserve(&out, 1 << 18), ETCD_OK);
        h2_rig_say(&rig.peer, 2 * i + 1, GRPC);
        h2_rig_say(&rig.peer, 2 * i + 1, "m hello");
        h2_rig_say(&rig.peer, 2 * i + 1, "H grpc-status: 0|grpc-message: ");
        before = etcd_test_alloc_count();
        assert_int_equal(h2_rig_start(&rig, 0, NULL), ETCD_OK);
        assert_int_equal(etcd__h2_take_output(rig.h2, &out, 65536, NULL), ETCD_OK);
        assert_int_equal(etcd__h2_receive(rig.h2, rig.peer.out, rig.peer.out_len, NULL), ETCD_OK);
        assert_int_equal(rig.calls[0].n_ends, 1);
        if (i > 10)
            assert_int_equal(etcd_test_alloc_count() - before, 1);
        h2_peer_clear(&rig.peer);
        etcd__buf_free(&out);
    }
    h2_rig_close(&rig);
    assert_int_equal(etcd_test_alloc_live(), 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(endings),
    cmocka_unit_test(endings_cut_everywhere),
    cmocka_unit_test(endings_byte_by_byte),
    cmocka_unit_test(endings_lost_everywhere),
    cmocka_unit_test(reset_codes),
    cmocka_unit_test(all_statuses),
    cmocka_unit_test(request_headers),
    cmocka_unit_test(too_much_metadata),
    cmocka_unit_test(metadata_events),
    cmocka_unit_test(long_web_page),
    cmocka_unit_test(prefix),
    cmocka_unit_test(cancel),
    cmocka_unit_test(cancel_before_sent),
    cmocka_unit_test(cancel_inside_message),
    cmocka_unit_test(sends_more),
    cmocka_unit_test(memory_follows_what_arrived),
    cmocka_unit_test(large_message),
    cmocka_unit_test(every_allocation_fails),
    cmocka_unit_test(one_allocation_per_call),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
