/* src/http2: a session against hand-made frames. What calls make of it is in test_grpc_call.c, hostile peers in test_h2_limits.c.
 */
#include "harness/alloc.h"
#include "harness/h2_rig.h"
#include "harness/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GRPC "h :status: 200|content-type: application/grpc"
#define SETTINGS_HEADER_TABLE_SIZE 1
#define SETTINGS_MAX_CONCURRENT_STREAMS 3
#define SETTINGS_INITIAL_WINDOW_SIZE 4
#define SETTINGS_MAX_HEADER_LIST_SIZE 6

static h2_rig rig;

static void open_ready(const etcd__h2_config *config)
{
    assert_int_equal(h2_rig_open(&rig, config), ETCD_OK);
    h2_rig_ready(&rig);
}

static void settings(uint32_t id, uint32_t value)
{
    const uint32_t entry[1][2] = {{id, value}};

    h2_peer_settings(&rig.peer, entry, 1);
    h2_rig_exchange(&rig);
}

static void answer(int32_t stream_id)
{
    h2_rig_say(&rig.peer, stream_id, GRPC);
    h2_rig_say(&rig.peer, stream_id, "m a");
    h2_rig_say(&rig.peer, stream_id, "H grpc-status: 0");
    h2_rig_exchange(&rig);
}

static uint32_t get32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void preface(void **state)
{
    static const uint8_t expected[] = {0, 2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 6, 0, 1, 0, 0, 0, 9, 0, 0, 0, 1};
    const h2_frame *frame;

    (void)state;
    assert_int_equal(h2_rig_open(&rig, NULL), ETCD_OK);
    assert_true(etcd__h2_wants_output(rig.h2));
    h2_rig_flush(&rig);
    assert_false(etcd__h2_wants_output(rig.h2));
    assert_int_equal(rig.peer.n_frames, 2);
    frame = h2_peer_find(&rig.peer, H2_SETTINGS, 0, 0);
    assert_int_equal(frame->len, sizeof expected);
    assert_memory_equal(frame->payload, expected, sizeof expected);
    frame = h2_peer_find(&rig.peer, H2_WINDOW_UPDATE, 0, 0);
    assert_int_equal(get32(frame->payload), 64 * 1024 * 1024 - 65535);
    assert_int_equal(etcd__h2_stream_slots(rig.h2), 0);
    assert_int_equal(h2_rig_start(&rig, 0, NULL), ETCD_ERR_UNSUPPORTED);
    h2_rig_close(&rig);
}

static void slots(void **state)
{
    (void)state;
    open_ready(NULL);
    assert_true(etcd__h2_stream_slots(rig.h2) > 1000000);
    settings(SETTINGS_MAX_CONCURRENT_STREAMS, 2);
    assert_int_equal(etcd__h2_stream_slots(rig.h2), 2);
    assert_int_equal(h2_rig_start(&rig, 0, NULL), ETCD_OK);
    assert_int_equal(h2_rig_start(&rig, 1, NULL), ETCD_OK);
    assert_int_equal(etcd__h2_stream_slots(rig.h2), 0);
    assert_int_equal(h2_rig_start(&rig, 2, NULL), ETCD_ERR_UNSUPPORTED);
    h2_rig_flush(&rig);
    assert_string_equal(rig.log, "");
    answer(1);
    assert_string_equal(rig.log, "#0 message \"a\"\n#0 end 0 server \"\"\nslots\n");
    assert_int_equal(etcd__h2_stream_slots(rig.h2), 1);
    h2_rig_close(&rig);
}

/* A stream that was reset keeps its slot until RST_STREAM is out. */
static void slot_after_reset(void **state)
{
    (void)state;
    open_ready(NULL);
    settings(SETTINGS_MAX_CONCURRENT_STREAMS, 1);
    assert_int_equal(h2_rig_start(&rig, 0, NULL), ETCD_OK);
    h2_rig_flush(&rig);
    etcd__grpc_call_cancel(&rig.calls[0].call);
    rig.calls[0].open = false;
    assert_int_equal(etcd__h2_streams_open(rig.h2), 0);
    assert_int_equal(etcd__h2_stream_slots(rig.h2), 0);
    h2_rig_flush(&rig);
    assert_string_equal(rig.log, "slots\n");
    assert_int_equal(etcd__h2_stream_slots(rig.h2), 1);
    h2_rig_close(&rig);
}

static void slots_drop_to_zero(void **state)
{
    (void)state;
    open_ready(NULL);
    assert_int_equal(h2_rig_start(&rig, 0, NULL), ETCD_OK);
    h2_rig_flush(&rig);
    settings(SETTINGS_MAX_CONCURRENT_STREAMS, 0);
    assert_int_equal(etcd__h2_stream_slots(rig.h2), 0);
    assert_int_equal(h2_rig_start(&rig, 1, NULL), ETCD_ERR_UNSUPPORTED);
    answer(1);
    assert_int_equal(etcd__h2_stream_slots(rig.h2), 0);
    assert_string_equal(rig.log, "#0 message \"a\"\n#0 end 0 server \"\"\n");
    h2_rig_forget(&rig);
    settings(SETTINGS_MAX_CONCURRENT_STREAMS, 5);
    assert_string_equal(rig.log, "slots\n");
    assert_int_equal(etcd__h2_stream_slots(rig.h2), 5);
    h2_rig_close(&rig);
}

/* Calls that are queued when the limit drops below them wait in nghttp2. */
static void queued_when_slots_drop(void **state)
{
    (void)state;
    open_ready(NULL);
    assert_int_equal(h2_rig_start(&rig, 0, NULL), ETCD_OK);
    h2_peer_settings(&rig.peer, (const uint32_t[][2]){{SETTINGS_MAX_CONCURRENT_STREAMS, 0}}, 1);
    h2_rig_feed(&rig, rig.peer.out, rig.peer.out_len);
    h2_peer_clear(&rig.peer);
    assert_null(h2_peer_find(&rig.peer, H2_HEADERS, 1, 0));
    settings(SETTINGS_MAX_CONCURRENT_STREAMS, 1);
    assert_non_null(h2_peer_find(&rig.peer, H2_HEADERS, 1, 0));
    h2_rig_close(&rig);
}

static void slots_from_the_start(void **state)
{
    (void)state;
    assert_int_equal(h2_rig_open(&rig, NULL), ETCD_OK);
    settings(SETTINGS_MAX_CONCURRENT_STREAMS, 0);
    assert_string_equal(rig.log, "ready\n");
    assert_int_equal(etcd__h2_stream_slots(rig.h2), 0);
    settings(SETTINGS_MAX_CONCURRENT_STREAMS, 1);
    assert_string_equal(rig.log, "ready\nslots\n");
    h2_rig_close(&rig);
}

static void goaway_splits_streams(void **state)
{
    (void)state;
    open_ready(NULL);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(h2_rig_start(&rig, i, NULL), ETCD_OK);
    h2_rig_flush(&rig);
    h2_peer_goaway(&rig.peer, 3, 0, "restart");
    h2_rig_exchange(&rig);
    assert_non_null(strstr(rig.log, "#2 end 14 reset unprocessed reset 7"));
    assert_non_null(strstr(rig.log, "#3 end 14 reset unprocessed reset 7"));
    assert_non_null(strstr(rig.log, "\ngoaway 0 3 \"restart\"\n"));
    assert_int_equal(etcd__h2_streams_open(rig.h2), 2);
    assert_int_equal(etcd__h2_stream_slots(rig.h2), 0);
    h2_rig_forget(&rig);
    answer(1);
    answer(3);
    assert_string_equal(rig.log, "#0 message \"a\"\n#0 end 0 server \"\"\n#1 message \"a\"\n#1 end 0 server \"\"\n");
    assert_false(rig.failed);
    h2_rig_close(&rig);
}

/* Opened, not taken yet, and then GOAWAY: nothing of it is sent. */
static void goaway_before_sent(void **state)
{
    (void)state;
    open_ready(NULL);
    assert_int_equal(h2_rig_start(&rig, 0, NULL), ETCD_OK);
    h2_peer_goaway(&rig.peer, 2147483647, 0, "");
    h2_rig_feed(&rig, rig.peer.out, rig.peer.out_len);
    assert_non_null(strstr(rig.log, "#0 end 14 reset unprocessed reset 7"));
    assert_null(h2_peer_find(&rig.peer, H2_HEADERS, 1, 0));
    h2_rig_close(&rig);
}

static void goaway_in_two_steps(void **state)
{
    (void)state;
    open_ready(NULL);
    assert_int_equal(h2_rig_start(&rig, 0, NULL), ETCD_OK);
    assert_int_equal(h2_rig_start(&rig, 1, NULL), ETCD_OK);
    h2_rig_flush(&rig);
    h2_peer_goaway(&rig.peer, 2147483647, 0, "");
    h2_peer_ping(&rig.peer, false, 1);
    h2_rig_exchange(&rig);
    assert_string_equal(rig.log, "goaway 0 2147483647 \"\"\n");
    assert_int_equal(etcd__h2_streams_open(rig.h2), 2);
    assert_int_equal(etcd__h2_stream_slots(rig.h2), 0);
    h2_rig_forget(&rig);
    h2_peer_goaway(&rig.peer, 1, 0, "");
    h2_rig_exchange(&rig);
    assert_non_null(strstr(rig.log, "#1 end 14 reset unprocessed reset 7"));
    assert_non_null(strstr(rig.log, "goaway 0 1 \"\"\n"));
    h2_rig_forget(&rig);
    answer(1);
    assert_string_equal(rig.log, "#0 message \"a\"\n#0 end 0 server \"\"\n");
    h2_rig_close(&rig);
}

static void goaway_rising_id(void **state)
{
    (void)state;
    open_ready(NULL);
    assert_int_equal(h2_rig_start(&rig, 0, NULL), ETCD_OK);
    h2_rig_flush(&rig);
    h2_peer_goaway(&rig.peer, 1, 0, "");
    h2_rig_exchange(&rig);
    h2_peer_goaway(&rig.peer, 3, 0, "");
    h2_rig_exchange(&rig);
    assert_true(rig.failed);
    assert_non_null(strstr(rig.log, "failed -8 \"the peer broke HTTP/2: GOAWAY: invalid last_stream_id"));
    h2_rig_close(&rig);
}

static void goaway_too_many_pings(void **state)
{
    char debug[201];

    (void)state;
    open_ready(NULL);
    h2_peer_goaway(&rig.peer, 0, 11, "too_many_pings");
    h2_rig_exchange(&rig);
    assert_string_equal(rig.log, "goaway 11 0 \"too_many_pings\"\n");
    h2_rig_close(&rig);

    open_ready(NULL);
    memset(debug, 'd', 200);
    debug[200] = '\0';
    h2_peer_goaway(&rig.peer, 0, 0, debug);
    h2_rig_exchange(&rig);
    debug[128] = '\0'; /* cut */
    assert_non_null(strstr(rig.log, debug));
    assert_int_equal(strlen(rig.log), strlen("goaway 0 0 \"\"\n") + 128);
    h2_rig_close(&rig);
}

static void our_goaway(void **state)
{
    (void)state;
    open_ready(NULL);
    assert_int_equal(h2_rig_start(&rig, 0, NULL), ETCD_OK);
    h2_rig_flush(&rig);
    etcd__h2_goaway(rig.h2);
    etcd__h2_goaway(rig.h2);
    assert_int_equal(etcd__h2_stream_slots(rig.h2), 0);
    h2_rig_flush(&rig);
    assert_int_equal(h2_peer_count(&rig.peer, H2_GOAWAY, 0), 1);
    assert_int_equal(get32(h2_peer_find(&rig.peer, H2_GOAWAY, 0, 0)->payload + 4), 0);
    answer(1);
    assert_string_equal(rig.log, "#0 message \"a\"\n#0 end 0 server \"\"\n");
    h2_rig_close(&rig);
}

static void pings(void **state)
{
    const h2_frame *frame;

    (void)state;
    open_ready(NULL);
    h2_peer_ping(&rig.peer, false, UINT64_C(0x0102030405060708));
    h2_rig_exchange(&rig);
    frame = h2_peer_find(&rig.peer, H2_PING, 0, 0);
    assert_int_equal(frame->flags, H2_ACK);
    assert_int_equal(get32(frame->payload), 0x01020304);
    assert_int_equal(get32(frame->payload + 4), 0x05060708);
    assert_string_equal(rig.log, "");
    assert_int_equal(etcd__h2_ping(rig.h2), ETCD_OK);
    assert_int_equal(etcd__h2_ping(rig.h2), ETCD_OK); /* no second one while the first is on its way */
    h2_rig_flush(&rig);
    assert_int_equal(h2_peer_count(&rig.peer, H2_PING, 0), 2);
    assert_int_equal(h2_peer_find(&rig.peer, H2_PING, 0, 1)->flags, 0);
    h2_peer_ping(&rig.peer, true, 0);
    h2_peer_ping(&rig.peer, true, 0); /* nobody asked */
    h2_rig_exchange(&rig);
    assert_string_equal(rig.log, "ping\n");
    assert_int_equal(etcd__h2_ping(rig.h2), ETCD_OK);
    h2_rig_flush(&rig);
    assert_int_equal(h2_peer_count(&rig.peer, H2_PING, 0), 3);
    h2_rig_close(&rig);
}

/* The proof of "unprocessed": for every number of bytes that the transport took. */
static void unprocessed_by_bytes_written(void **state)
{
    size_t ends[4] = {0}, total = 1;

    (void)state;
    for (size_t written = 0; written <= total; written++) {
        open_ready(NULL);
        for (size_t i = 0; i < 4; i++) {
            rig.request.half_close = i != 2; /* the third is open-ended: its headers count */
            rig.request.body_len = i == 3 ? 0 : 10;
            assert_int_equal(h2_rig_start(&rig, i, NULL), ETCD_OK);
            h2_rig_flush(&rig);
            ends[i] = h2_peer_find(&rig.peer, i < 2 ? H2_DATA : H2_HEADERS, (int32_t)(2 * i + 1), 0)->end;
        }
        total = rig.taken;
        assert_int_equal(total, rig.peer.in_len);
        etcd__h2_connection_lost(rig.h2, written);
        for (size_t i = 0; i < 4; i++) {
            char line[64];

            (void)snprintf(line, sizeof line, "#%zu end 14 connection%s \"", i, written < ends[i] ? " unprocessed" : "");
            assert_non_null(strstr(rig.log, line));
        }
        assert_int_equal(etcd__h2_stream_slots(rig.h2), 0);
        h2_rig_close(&rig);
    }
    assert_true(ends[0] < ends[1] && ends[1] < ends[2] && ends[2] < ends[3]);
}

static void unprocessed_when_never_taken(void **state)
{
    (void)state;
    open_ready(NULL);
    assert_int_equal(h2_rig_start(&rig, 0, NULL), ETCD_OK);
    etcd__h2_connection_lost(rig.h2, UINT64_MAX - 1);
    assert_non_null(strstr(rig.log, "#0 end 14 connection unprocessed"));
    assert_int_equal(h2_rig_start(&rig, 1, NULL), ETCD_ERR_UNSUPPORTED);
    etcd__h2_connection_lost(rig.h2, 0);
    h2_rig_close(&rig);
}

static void answered_is_never_unprocessed(void **state)
{
    (void)state;
    open_ready(NULL);
    assert_int_equal(h2_rig_start(&rig, 0, NULL), ETCD_OK);
    h2_rig_flush(&rig);
    h2_rig_say(&rig.peer, 1, GRPC);
    h2_rig_exchange(&rig);
    etcd__h2_connection_lost(rig.h2, 0);
    assert_non_null(strstr(rig.log, "#0 end 14 connection \""));
    h2_rig_close(&rig);
}

/* Part of the body is held back by flow control: the peer cannot act on it. */
static void unprocessed_behind_the_window(void **state)
{
    static uint8_t body[100000];

    (void)state;
    open_ready(NULL);
    rig.request.body = body;
    rig.request.body_len = sizeof body;
    assert_int_equal(h2_rig_start(&rig, 0, NULL), ETCD_OK);
    h2_rig_flush(&rig);
    etcd__h2_connection_lost(rig.h2, rig.taken);
    assert_non_null(strstr(rig.log, "#0 end 14 connection unprocessed"));
    h2_rig_close(&rig);
}

static const etcd__h2_config small_windows = {.stream_window = 100000, .connection_window = 200000};

static void large_headers(void **state)
{
    static char value[60000];
    etcd__h2_header metadata = {"large", 5, value, 50000, false, false, false};
    const h2_frame *frame;
    etcd_error err;

    (void)state;
    memset(value, 'v', sizeof value);
    open_ready(NULL);
    rig.request.metadata = &metadata;
    rig.request.n_metadata = 1;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(h2_rig_start(&rig, i, NULL), ETCD_OK);
        h2_rig_flush(&rig);
        frame = h2_peer_find(&rig.peer, H2_HEADERS, (int32_t)(2 * i + 1), 0);
        assert_int_equal(frame->flags, 0);
        assert_int_equal(frame->len, 16384);
        assert_int_equal(h2_peer_count(&rig.peer, H2_CONTINUATION, (int32_t)(2 * i + 1)), 3);
        assert_int_equal(h2_peer_find(&rig.peer, H2_CONTINUATION, (int32_t)(2 * i + 1), 1)->flags, 0);
        assert_int_equal(h2_peer_find(&rig.peer, H2_CONTINUATION, (int32_t)(2 * i + 1), 2)->flags, H2_END_HEADERS);
        assert_non_null(strstr(frame->fields, ":path: /etcdserverpb.KV/Range\n"));
        assert_int_equal(strlen(strstr(frame->fields, "large: ")), 7 + 50000 + 1);
    }
    metadata.value_len = 16384; /* near the border of one frame */
    for (size_t cut = 16384; cut > 16000; cut--) {
        metadata.value_len = cut;
        assert_int_equal(h2_rig_start(&rig, 5, NULL), ETCD_OK);
        h2_rig_flush(&rig);
        frame = h2_peer_find(&rig.peer, H2_HEADERS, rig.calls[5].call.stream.id, 0);
        assert_int_equal(strlen(strstr(frame->fields, "large: ")), 7 + cut + 1);
        etcd__grpc_call_cancel(&rig.calls[5].call);
    }
    rig.calls[5].open = false;
    metadata.value_len = 65536;
    assert_int_equal(h2_rig_start(&rig, 3, &err), ETCD_ERR_TOO_LARGE);
    settings(SETTINGS_MAX_HEADER_LIST_SIZE, 8192);
    metadata.value_len = 9000;
    assert_int_equal(h2_rig_start(&rig, 3, &err), ETCD_ERR_TOO_LARGE);
    assert_non_null(strstr(err.message, "more than 8192"));
    metadata.value_len = 7000;
    assert_int_equal(h2_rig_start(&rig, 3, &err), ETCD_OK);
    h2_rig_close(&rig);
}

static void header_table_size(void **state)
{
    (void)state;
    assert_int_equal(h2_rig_open(&rig, NULL), ETCD_OK);
    settings(SETTINGS_HEADER_TABLE_SIZE, 0);
    for (size_t i = 0; i < 4; i++) {
        if (i == 2)
            settings(SETTINGS_HEADER_TABLE_SIZE, 4096);
        assert_int_equal(h2_rig_start(&rig, i, NULL), ETCD_OK);
        h2_rig_flush(&rig);
        assert_non_null(strstr(h2_peer_find(&rig.peer, H2_HEADERS, (int32_t)(2 * i + 1), 0)->fields, "te: trailers\n"));
    }
    h2_rig_close(&rig);
}

static void ids_run_out(void **state)
{
    const etcd__h2_config config = {.first_stream_id = 2147483645};

    (void)state;
    open_ready(&config);
    assert_int_equal(etcd__h2_stream_slots(rig.h2), 2);
    assert_int_equal(h2_rig_start(&rig, 0, NULL), ETCD_OK);
    h2_rig_flush(&rig);
    assert_string_equal(rig.log, "");
    assert_int_equal(h2_rig_start(&rig, 1, NULL), ETCD_OK);
    assert_int_equal(etcd__h2_stream_slots(rig.h2), 0);
    assert_int_equal(h2_rig_start(&rig, 2, NULL), ETCD_ERR_UNSUPPORTED);
    h2_rig_flush(&rig);
    assert_string_equal(rig.log, "goaway 0 2147483647 \"stream ids exhausted\"\n");
    h2_rig_forget(&rig);
    answer(2147483645);
    answer(2147483647);
    assert_string_equal(rig.log, "#0 message \"a\"\n#0 end 0 server \"\"\n#1 message \"a\"\n#1 end 0 server \"\"\n");
    assert_false(rig.failed);
    h2_rig_close(&rig);
}

static void not_http2(void **state)
{
    static const struct {
        const char *bytes, *log;
        size_t len;
    } rows[] = {
        {"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
         "failed -8 \"the peer answered HTTP/1, not HTTP/2: \"HTTP/1.1 400 Bad Request\"\"\n", 0},
        {"HTTP/1.0 200 OK\n", "failed -8 \"the peer answered HTTP/1, not HTTP/2: \"HTTP/1.0 200 OK\"\"\n", 0},
        {"SSH-2.0-OpenSSH_9.2p1\r\n", "failed -8 \"the peer does not speak HTTP/2: it sent \"SSH-2.0-OpenSSH_9.2p1\"\"\n", 0},
        {"\x15\x03\x01\x00\x02\x02\x46", "failed -8 \"the peer answered with a TLS alert, not HTTP/2: it may want https\"\n", 7},
        {"\x80\x00\x00", "failed -8 \"the peer does not speak HTTP/2: its first byte is 0x80\"\n", 3},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         "failed -8 \"the peer does not speak HTTP/2: it sent "
         "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"\"\n",
         0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (size_t piece = 0; piece < 40; piece++) {
            assert_int_equal(h2_rig_open(&rig, NULL), ETCD_OK);
            h2_rig_flush(&rig);
            rig.piece = piece;
            h2_rig_feed(&rig, rows[i].bytes, rows[i].len ? rows[i].len : strlen(rows[i].bytes));
            assert_string_equal(rig.log, rows[i].log);
            h2_rig_close(&rig);
        }
    }
}

typedef struct bad_frame {
    const char *name;
    uint8_t type, flags;
    int32_t stream_id;
    size_t len;
    const char *words;
} bad_frame;

/* Everything that ends the connection: the error has words, GOAWAY is in the output, calls hear of it when the transport goes. */
static void broken_protocol(void **state)
{
    static const bad_frame frames[] = {
        {"push", H2_PUSH_PROMISE, H2_END_HEADERS, 1, 8, "PUSH_PROMISE"},
        {"frame too large", H2_DATA, 0, 1, 16385, "too large frame size"},
        {"data on stream 0", H2_DATA, 0, 0, 1, "stream_id == 0"},
        {"data on an idle stream", H2_DATA, 0, 99, 1, "stream in idle"},
        {"headers on stream 0", H2_HEADERS, H2_END_HEADERS, 0, 1, ""},
        {"headers on an idle stream", H2_HEADERS, H2_END_HEADERS, 99, 0, ""},
        {"headers on an even stream", H2_HEADERS, H2_END_HEADERS, 2, 0, ""},
        {"continuation alone", H2_CONTINUATION, H2_END_HEADERS, 1, 0, "CONTINUATION"},
        {"ping of 7 bytes", H2_PING, 0, 0, 7, "FRAME_SIZE_ERROR"},
        {"ping on a stream", H2_PING, 0, 1, 8, "PING"},
        {"settings of 5 bytes", H2_SETTINGS, 0, 0, 5, "FRAME_SIZE_ERROR"},
        {"settings on a stream", H2_SETTINGS, 0, 1, 0, "SETTINGS"},
        {"settings ack with bytes", H2_SETTINGS, H2_ACK, 0, 6, ""},
        {"rst of 3 bytes", H2_RST_STREAM, 0, 1, 3, "FRAME_SIZE_ERROR"},
        {"rst of an idle stream", H2_RST_STREAM, 0, 99, 4, "RST_STREAM"},
        {"rst of stream 0", H2_RST_STREAM, 0, 0, 4, "RST_STREAM"},
        {"window update of 3 bytes", H2_WINDOW_UPDATE, 0, 0, 3, "FRAME_SIZE_ERROR"},
        {"window update by 0", H2_WINDOW_UPDATE, 0, 0, 4, "WINDOW_UPDATE"},
        {"goaway of 7 bytes", H2_GOAWAY, 0, 0, 7, "FRAME_SIZE_ERROR"},
        {"goaway on a stream", H2_GOAWAY, 0, 1, 8, "GOAWAY"},
    };
    static const uint8_t zeros[16385];

    (void)state;
    for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++) {
        for (size_t piece = 0; piece < 2; piece++) {
            open_ready(NULL);
            assert_int_equal(h2_rig_start(&rig, 0, NULL), ETCD_OK);
            h2_rig_flush(&rig);
            rig.piece = piece;
            h2_peer_frame(&rig.peer, frames[i].type, frames[i].flags, frames[i].stream_id, zeros, frames[i].len);
            h2_rig_exchange(&rig);
            if (!rig.failed || strstr(rig.log, frames[i].words) == NULL ||
                strncmp(rig.log, "failed -8 \"the peer broke HTTP/2: ", 34) != 0)
                fail_msg("%s: %s", frames[i].name, rig.log);
            assert_int_equal(h2_peer_count(&rig.peer, H2_GOAWAY, 0), 1);
            assert_int_equal(etcd__h2_stream_slots(rig.h2), 0);
            assert_int_equal(h2_rig_start(&rig, 1, NULL), ETCD_ERR_UNSUPPORTED);
            assert_false(etcd__h2_wants_output(rig.h2));
            etcd__h2_connection_lost(rig.h2, rig.taken);
            assert_int_equal(rig.calls[0].n_ends, 1);
            h2_rig_close(&rig);
        }
    }
}

static void unknown_frames_are_ignored(void **state)
{
    static const uint8_t bytes[20];

    (void)state;
    open_ready(NULL);
    assert_int_equal(h2_rig_start(&rig, 0, NULL), ETCD_OK);
    h2_peer_frame(&rig.peer, 0xbe, 0xff, 0, bytes, sizeof bytes);
    h2_peer_frame(&rig.peer, 0x0a, 0, 1, bytes, sizeof bytes); /* ALTSVC */
    h2_peer_frame(&rig.peer, H2_PRIORITY, 0, 1, "\0\0\0\3\1", 5);
    settings(0x1234, 99);
    answer(1);
    assert_string_equal(rig.log, "#0 message \"a\"\n#0 end 0 server \"\"\n");
    h2_rig_close(&rig);
}

/* Header compression that is broken ends the connection: its state is shared. */
static void broken_compression(void **state)
{
    (void)state;
    open_ready(NULL);
    assert_int_equal(h2_rig_start(&rig, 0, NULL), ETCD_OK);
    h2_rig_flush(&rig);
    h2_peer_frame(&rig.peer, H2_HEADERS, H2_END_HEADERS, 1, "\xff\xff\xff", 3);
    h2_rig_exchange(&rig);
    assert_true(rig.failed);
    assert_non_null(strstr(rig.log, "COMPRESSION_ERROR"));
    h2_rig_close(&rig);
}

static void error_names(void **state)
{
    (void)state;
    assert_string_equal(etcd__h2_error_name(0), "NO_ERROR");
    assert_string_equal(etcd__h2_error_name(7), "REFUSED_STREAM");
    assert_string_equal(etcd__h2_error_name(13), "HTTP_1_1_REQUIRED");
    assert_string_equal(etcd__h2_error_name(14), "?");
    assert_string_equal(etcd__h2_error_name(UINT32_MAX), "?");
}

static void free_anything(void **state)
{
    (void)state;
    etcd_test_alloc_install();
    etcd__h2_free(NULL);
    open_ready(NULL);
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(h2_rig_start(&rig, i, NULL), ETCD_OK);
    etcd__h2_free(rig.h2); /* streams that are open hear nothing */
    rig.h2 = NULL;
    for (size_t i = 0; i < 10; i++)
        etcd__grpc_call_cancel(&rig.calls[i].call);
    assert_string_equal(rig.log, "");
    for (size_t i = 0; i < 10; i++)
        rig.calls[i].open = false;
    h2_rig_close(&rig);
    assert_int_equal(etcd_test_alloc_live(), 0);
}

/* The peer sees our window updates after every frame. */
static void feed_data(int32_t stream_id, size_t len)
{
    static const uint8_t zeros[10000]; /* empty messages */

    for (; len > 0; len -= len < sizeof zeros ? len : sizeof zeros) {
        h2_peer_data(&rig.peer, stream_id, false, zeros, len < sizeof zeros ? len : sizeof zeros);
        h2_rig_exchange(&rig);
    }
}

/* A session with all that it can do, each allocation failing. */
static int busy(void *arg)
{
    static const uint8_t more[] = {0, 0, 0, 0, 1, 'x'};
    int rc = h2_rig_open(&rig, &small_windows);

    (void)arg;
    rig.quiet = true;
    if (rc == ETCD_OK) {
        h2_peer_settings(&rig.peer, NULL, 0);
        h2_peer_frame(&rig.peer, H2_SETTINGS, H2_ACK, 0, NULL, 0);
        h2_rig_exchange(&rig);
        rig.request.unary = rig.request.half_close = false;
        for (size_t i = 0; rc == ETCD_OK && i < 6; i++)
            rc = h2_rig_start(&rig, i, NULL);
        h2_rig_flush(&rig);
        for (size_t i = 0; rc == ETCD_OK && i < 4; i++)
            if (rig.calls[i].open)
                rc = etcd__grpc_call_send(&rig.calls[i].call, more, sizeof more, i == 0);
        if (rc == ETCD_OK)
            rc = etcd__h2_ping(rig.h2);
        if (rig.calls[5].open)
            etcd__grpc_call_cancel(&rig.calls[5].call);
        rig.calls[5].open = false;
        if (rc == ETCD_OK) {
            h2_rig_say(&rig.peer, 1, GRPC);
            h2_rig_say(&rig.peer, 1, "d 00000249f0"); /* a message of 150,000 bytes */
            feed_data(1, 150000);
            h2_peer_goaway(&rig.peer, 7, 0, "bye");
            h2_rig_say(&rig.peer, 3, "r 8");
        }
        h2_rig_exchange(&rig);
        etcd__h2_goaway(rig.h2);
        h2_rig_flush(&rig);
        etcd__h2_connection_lost(rig.h2, rig.taken);
        if (rig.failed)
            rc = ETCD_ERR_NO_MEMORY;
    }
    h2_rig_close(&rig);
    return rc;
}

static void every_allocation_fails(void **state)
{
    (void)state;
    etcd_test_alloc_install();
    assert_true(etcd_test_alloc_sweep(busy, NULL) > 30);
}

/* Requests that need more memory than a session has at hand. */
static int large(void *arg)
{
    static uint8_t body[60000];
    static char value[40000];
    etcd__h2_header metadata = {"large", 5, value, sizeof value, true, false, false};
    int rc = h2_rig_open(&rig, NULL);

    (void)arg;
    memset(value, 'v', sizeof value);
    rig.quiet = true;
    if (rc == ETCD_OK) {
        h2_peer_settings(&rig.peer, NULL, 0);
        h2_rig_exchange(&rig);
        rig.request.metadata = &metadata;
        rig.request.n_metadata = 1;
        for (size_t i = 0; rc == ETCD_OK && i < 3; i++) {
            rig.request.body = body;
            rig.request.body_len = i * 20000;
            rig.request.half_close = i < 2;
            rc = h2_rig_start(&rig, i, NULL);
            if (rc == ETCD_OK && i == 2)
                rc = etcd__grpc_call_send(&rig.calls[i].call, body, sizeof body, true);
            if (i > 0)
                h2_rig_flush(&rig);
        }
        etcd__h2_connection_lost(rig.h2, rig.taken);
        if (rig.failed)
            rc = ETCD_ERR_NO_MEMORY;
    }
    h2_rig_close(&rig);
    return rc;
}

static void every_large_allocation_fails(void **state)
{
    (void)state;
    etcd_test_alloc_install();
    assert_true(etcd_test_alloc_sweep(large, NULL) > 20);
}

/* So many streams with bodies at once that nghttp2's queue of them has to grow. Its release 1.52 frees the item that found no
 * room, and once more with the session. */
static int crowded(void *arg)
{
    int rc = h2_rig_open(&rig, NULL);

    (void)arg;
    rig.quiet = true;
    if (rc == ETCD_OK) {
        h2_peer_settings(&rig.peer, NULL, 0);
        h2_rig_exchange(&rig);
        for (size_t i = 0; rc == ETCD_OK && i < 40; i++)
            rc = h2_rig_start(&rig, i, NULL);
        h2_rig_flush(&rig);
        etcd__h2_connection_lost(rig.h2, rig.taken);
        if (rig.failed)
            rc = ETCD_ERR_NO_MEMORY;
    }
    h2_rig_close(&rig);
    return rc;
}

static void every_allocation_of_a_crowd_fails(void **state)
{
    (void)state;
    etcd_test_alloc_install();
    assert_true(etcd_test_alloc_sweep(crowded, NULL) > 30);
}

/* Bytes that were sent make room before new ones are appended. */
static void writes_of_a_slow_stream(void **state)
{
    static uint8_t bytes[30000];
    size_t sum = 0;
    const h2_frame *frame;

    (void)state;
    open_ready(NULL);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i / 7);
    rig.request.half_close = rig.request.unary = false;
    rig.request.body_len = 0;
    assert_int_equal(h2_rig_start(&rig, 0, NULL), ETCD_OK);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(etcd__grpc_call_send(&rig.calls[0].call, bytes, sizeof bytes, false), ETCD_OK);
        h2_peer_window_update(&rig.peer, 0, 20000);
        h2_peer_window_update(&rig.peer, 1, 20000);
        h2_rig_exchange(&rig);
    }
    assert_true(rig.calls[0].call.stream.pending.cap < 10 * sizeof bytes);
    for (size_t i = 0; (frame = h2_peer_find(&rig.peer, H2_DATA, 1, i)) != NULL; i++)
        for (size_t k = 0; k < frame->len; k++, sum++)
            assert_int_equal(frame->payload[k], bytes[sum % sizeof bytes]);
    assert_int_equal(sum, 65535 + 20 * 20000);
    h2_rig_close(&rig);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(preface),
    cmocka_unit_test(slots),
    cmocka_unit_test(slot_after_reset),
    cmocka_unit_test(slots_drop_to_zero),
    cmocka_unit_test(queued_when_slots_drop),
    cmocka_unit_test(slots_from_the_start),
    cmocka_unit_test(goaway_splits_streams),
    cmocka_unit_test(goaway_before_sent),
    cmocka_unit_test(goaway_in_two_steps),
    cmocka_unit_test(goaway_rising_id),
    cmocka_unit_test(goaway_too_many_pings),
    cmocka_unit_test(our_goaway),
    cmocka_unit_test(pings),
    cmocka_unit_test(unprocessed_by_bytes_written),
    cmocka_unit_test(unprocessed_when_never_taken),
    cmocka_unit_test(answered_is_never_unprocessed),
    cmocka_unit_test(unprocessed_behind_the_window),
    cmocka_unit_test(large_headers),
    cmocka_unit_test(header_table_size),
    cmocka_unit_test(ids_run_out),
    cmocka_unit_test(not_http2),
    cmocka_unit_test(broken_protocol),
    cmocka_unit_test(unknown_frames_are_ignored),
    cmocka_unit_test(broken_compression),
    cmocka_unit_test(error_names),
    cmocka_unit_test(free_anything),
    cmocka_unit_test(every_allocation_fails),
    cmocka_unit_test(every_large_allocation_fails),
    cmocka_unit_test(every_allocation_of_a_crowd_fails),
    cmocka_unit_test(writes_of_a_slow_stream),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
