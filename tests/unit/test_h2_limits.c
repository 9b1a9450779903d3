/* Hostile peers (P11) against src/http2: each flood ends the session with an error that names the bound, in bounded memory. */
#include "harness/h2_rig.h"
#include "harness/test.h"

#include <etcd3/types.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GRPC "h :status: 200|content-type: application/grpc"
#define FLOOD ((size_t)16 * 1024 * 1024) /* bytes that the peer would send */
#define MEMORY_MAX ((size_t)3 * 1024 * 1024)

static h2_rig rig;

/* An allocator that knows how many bytes are out and how many were at most. */
static size_t bytes_now, bytes_most;

static void *count(void *memory)
{
    if (memory != NULL)
        bytes_now += malloc_usable_size(memory);
    if (bytes_now > bytes_most)
        bytes_most = bytes_now;
    return memory;
}

static void *counted_malloc(size_t size, void *arg)
{
    (void)arg;
    return count(malloc(size));
}

static void *counted_calloc(size_t n, size_t size, void *arg)
{
    (void)arg;
    return count(calloc(n, size));
}

static void *counted_realloc(void *memory, size_t size, void *arg)
{
    (void)arg;
    if (memory != NULL)
        bytes_now -= malloc_usable_size(memory);
    return count(realloc(memory, size));
}

static void counted_free(void *memory, void *arg)
{
    (void)arg;
    bytes_now -= malloc_usable_size(memory);
    free(memory);
}

static void open_counted(const etcd__h2_config *config)
{
    const etcd_allocator counted = {counted_malloc, counted_calloc, counted_realloc, counted_free, NULL};

    assert_int_equal(etcd_set_allocator(&counted), ETCD_OK);
    assert_int_equal(h2_rig_open(&rig, config), ETCD_OK);
    h2_rig_ready(&rig);
    rig.quiet = true;
    rig.request.unary = false;
    assert_int_equal(h2_rig_start(&rig, 0, NULL), ETCD_OK);
    h2_rig_flush(&rig);
    bytes_most = bytes_now;
}

/* Repeats what the peer has to say until the session ends; the transport takes output only with `takes`. */
static void flood(bool takes, const char *words)
{
    size_t memory_before = bytes_now, sent = 0;
    etcd_error err;
    int rc = ETCD_OK;

    for (; rc == ETCD_OK && sent < FLOOD; sent += rig.peer.out_len) {
        rc = etcd__h2_receive(rig.h2, rig.peer.out, rig.peer.out_len, &err);
        if (takes && rc == ETCD_OK)
            h2_rig_flush(&rig);
    }
    if (rc == ETCD_OK)
        fail_msg("%zu bytes were taken without an error that says \"%s\"", sent, words);
    assert_int_equal(rc, ETCD_ERR_PROTOCOL);
    if (strstr(err.message, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.message, words);
    if (bytes_most - memory_before > MEMORY_MAX)
        fail_msg("%s: %zu bytes of memory", words, bytes_most - memory_before);
    rig.quiet = false;
    h2_rig_flush(&rig);
    assert_int_equal(h2_peer_count(&rig.peer, H2_GOAWAY, 0), 1);
    etcd__h2_connection_lost(rig.h2, rig.taken);
    assert_int_equal(rig.calls[0].n_ends, 1);
    h2_rig_close(&rig);
    assert_int_equal(bytes_now, 0);
    assert_int_equal(etcd_set_allocator(NULL), ETCD_OK);
}

#define IN_A_ROW "the peer sent more than 10000 frames in a row that carry nothing (limit max_control_frames)"

static void pings(void **state)
{
    (void)state;
    open_counted(NULL);
    h2_peer_ping(&rig.peer, false, 1);
    flood(true, IN_A_ROW);
}

static void pings_not_taken(void **state)
{
    (void)state;
    open_counted(NULL);
    h2_peer_ping(&rig.peer, false, 1);
    flood(false, "the peer asked for more than 65536 bytes of answers without taking them (limit max_output)");
}

static void pings_not_taken_in_one_piece(void **state)
{
    (void)state;
    open_counted(NULL);
    for (int i = 0; i < 100000; i++)
        h2_peer_ping(&rig.peer, false, 1);
    flood(false, "(limit max_output)");
}

static void ping_acks(void **state)
{
    (void)state;
    open_counted(NULL);
    h2_peer_ping(&rig.peer, true, 1);
    flood(true, IN_A_ROW);
}

static void settings(void **state)
{
    const uint32_t entry[1][2] = {{4, 65535}};

    (void)state;
    open_counted(NULL);
    h2_peer_settings(&rig.peer, entry, 1);
    flood(true, IN_A_ROW);
}

static void settings_not_taken(void **state)
{
    (void)state;
    open_counted(NULL);
    h2_peer_settings(&rig.peer, NULL, 0);
    flood(false, "(limit max_output)");
}

/* Each makes nghttp2 resize tables. */
static void settings_that_cost(void **state)
{
    const uint32_t entries[4][2] = {{1, 0}, {1, 4096}, {4, 1}, {4, 2147483647}};

    (void)state;
    open_counted(NULL);
    h2_peer_settings(&rig.peer, entries, 4);
    flood(true, IN_A_ROW);
}

static void window_updates(void **state)
{
    (void)state;
    open_counted(NULL);
    h2_peer_window_update(&rig.peer, 1, 1);
    flood(true, IN_A_ROW);
}

static void priorities(void **state)
{
    (void)state;
    open_counted(NULL);
    for (int32_t i = 1; i < 2001; i++)
        h2_peer_frame(&rig.peer, H2_PRIORITY, 0, 2 * i + 1, "\0\0\0\1\1", 5);
    flood(true, IN_A_ROW);
}

static void empty_data(void **state)
{
    (void)state;
    open_counted(NULL);
    h2_rig_say(&rig.peer, 1, GRPC);
    h2_rig_exchange(&rig);
    h2_peer_data(&rig.peer, 1, false, NULL, 0);
    flood(true, IN_A_ROW);
}

static void padded_data(void **state)
{
    const uint8_t padded[256] = {255};

    (void)state;
    open_counted(NULL);
    h2_rig_say(&rig.peer, 1, GRPC);
    h2_rig_exchange(&rig);
    h2_peer_frame(&rig.peer, H2_DATA, H2_PADDED, 1, padded, sizeof padded);
    flood(true, IN_A_ROW);
}

static void unknown_frames(void **state)
{
    (void)state;
    open_counted(NULL);
    h2_peer_frame(&rig.peer, 0xbb, 0, 0, "x", 1);
    flood(true, IN_A_ROW);
}

static void large_frames_of_no_use(void **state)
{
    static const uint8_t zeros[16384];
    const etcd__h2_config config = {.connection_window = 100000};

    (void)state;
    open_counted(&config);
    h2_peer_frame(&rig.peer, 0xbb, 0, 0, zeros, sizeof zeros);
    flood(true, "the peer sent more than 200000 bytes in a row that are of no use (limit: twice the connection's window)");
}

static void data_of_a_canceled_stream(void **state)
{
    (void)state;
    open_counted(NULL);
    assert_int_equal(h2_rig_start(&rig, 1, NULL), ETCD_OK);
    h2_rig_flush(&rig);
    etcd__grpc_call_cancel(&rig.calls[1].call);
    rig.calls[1].open = false;
    h2_rig_flush(&rig);
    h2_peer_data(&rig.peer, 3, false, "x", 1);
    flood(true, IN_A_ROW);
}

static void headers_of_a_canceled_stream(void **state)
{
    (void)state;
    open_counted(NULL);
    assert_int_equal(h2_rig_start(&rig, 1, NULL), ETCD_OK);
    h2_rig_flush(&rig);
    etcd__grpc_call_cancel(&rig.calls[1].call);
    rig.calls[1].open = false;
    h2_rig_flush(&rig);
    h2_peer_frame(&rig.peer, H2_HEADERS, H2_END_HEADERS, 3, "\x88", 1);
    flood(true, IN_A_ROW);
}

static void resets_of_a_closed_stream(void **state)
{
    (void)state;
    open_counted(NULL);
    assert_int_equal(h2_rig_start(&rig, 1, NULL), ETCD_OK);
    h2_rig_flush(&rig);
    h2_rig_say(&rig.peer, 3, "r 8");
    h2_rig_exchange(&rig);
    h2_rig_say(&rig.peer, 3, "r 8");
    flood(true, IN_A_ROW);
}

/* 1xx blocks are dropped, but not for ever. */
static void early_hints(void **state)
{
    (void)state;
    open_counted(NULL);
    h2_rig_say(&rig.peer, 1, "h :status: 103|x: y");
    h2_rig_say(&rig.peer, 1, "h :status: 103|x: y"); /* from the second time on it is small */
    flood(true, IN_A_ROW);
}

static void goaways(void **state)
{
    (void)state;
    open_counted(NULL);
    h2_peer_goaway(&rig.peer, 1, 0, "again");
    flood(true, IN_A_ROW);
}

static void continuations(void **state)
{
    (void)state;
    open_counted(NULL);
    h2_peer_frame(&rig.peer, H2_HEADERS, 0, 1, "\x88", 1);
    for (int i = 0; i < 1000; i++)
        h2_peer_frame(&rig.peer, H2_CONTINUATION, 0, 1, "\x88", 1);
    flood(true, "the peer sent more than 8 CONTINUATION frames for one header block");
}

static void empty_continuations(void **state)
{
    (void)state;
    open_counted(NULL);
    h2_peer_frame(&rig.peer, H2_HEADERS, 0, 1, NULL, 0);
    for (int i = 0; i < 1000; i++)
        h2_peer_frame(&rig.peer, H2_CONTINUATION, 0, 1, NULL, 0);
    flood(true, "CONTINUATION");
}

static void long_header_block(void **state)
{
    static uint8_t block[16384];

    (void)state;
    memset(block, 0x88, sizeof block); /* ":status: 200" again and again: also for streams that are not ours to see */
    open_counted(NULL);
    assert_int_equal(h2_rig_start(&rig, 1, NULL), ETCD_OK);
    h2_rig_flush(&rig);
    etcd__grpc_call_cancel(&rig.calls[1].call);
    rig.calls[1].open = false;
    h2_rig_flush(&rig);
    h2_peer_frame(&rig.peer, H2_HEADERS, 0, 3, block, sizeof block);
    for (int i = 0; i < 4; i++)
        h2_peer_frame(&rig.peer, H2_CONTINUATION, 0, 3, block, sizeof block);
    flood(true, "the peer sent a header block of more than 65536 bytes (limit max_header_list)");
}

/* A small block that unfolds: one large entry of the table, named again and again. */
static void header_bomb(void **state)
{
    uint8_t block[4000];
    size_t n = 0;

    (void)state;
    open_counted(NULL);
    block[n++] = 0x88;
    block[n++] = 0x40; /* literal with indexing */
    block[n++] = 1;
    block[n++] = 'n';
    block[n++] = 0x7f; /* a value of 3,000 bytes: 127 + 57 + 22 * 128 */
    block[n++] = 57 | 0x80;
    block[n++] = 22;
    memset(block + n, 'v', 3000);
    n += 3000;
    memset(block + n, 0x80 | 62, 200);
    n += 200;
    h2_peer_frame(&rig.peer, H2_HEADERS, H2_END_HEADERS, 1, block, n);
    flood(true, "the peer sent a header list of more than 65536 bytes (limit max_header_list)");
}

static void many_headers(void **state)
{
    uint8_t block[3000];

    (void)state;
    open_counted(NULL);
    memset(block, 0x80 | 31, sizeof block); /* "content-type: " of the static table */
    block[0] = 0x88;
    h2_peer_frame(&rig.peer, H2_HEADERS, H2_END_HEADERS, 1, block, sizeof block);
    flood(true, "the peer sent a header list of more than 65536 bytes (limit max_header_list)");
}

static void limits_are_configured(void **state)
{
    const etcd__h2_config config = {.max_control_frames = 50, .max_header_list = 300, .max_output = 1000};
    uint8_t block[20];

    (void)state;
    open_counted(&config);
    h2_peer_ping(&rig.peer, false, 1);
    flood(true, "the peer sent more than 50 frames in a row");
    open_counted(&config);
    h2_peer_ping(&rig.peer, false, 1);
    flood(false, "more than 50 frames");
    open_counted(&(etcd__h2_config){.max_output = 1000});
    h2_peer_ping(&rig.peer, false, 1);
    flood(false, "the peer asked for more than 1000 bytes of answers");
    open_counted(&config);
    memset(block, 0x80 | 31, sizeof block);
    block[0] = 0x88;
    h2_peer_frame(&rig.peer, H2_HEADERS, H2_END_HEADERS, 1, block, sizeof block);
    flood(true, "the peer sent a header list of more than 300 bytes");
}

/* What a patient server does never adds up: something useful, or something of ours, starts the count anew. */
static void ordinary_peers_pass(void **state)
{
    (void)state;
    assert_int_equal(h2_rig_open(&rig, NULL), ETCD_OK);
    h2_rig_ready(&rig);
    rig.request.unary = false;
    assert_int_equal(h2_rig_start(&rig, 0, NULL), ETCD_OK);
    h2_rig_say(&rig.peer, 1, GRPC);
    h2_rig_exchange(&rig);
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 9990; i++) {
            h2_peer_ping(&rig.peer, false, 1);
            if (i % 1000 == 0)
                h2_rig_exchange(&rig);
        }
        h2_rig_exchange(&rig);
        if (round % 2) {
            h2_rig_say(&rig.peer, 1, "m x");
        } else {
            assert_int_equal(etcd__h2_ping(rig.h2), ETCD_OK);
            h2_peer_ping(&rig.peer, true, 0);
        }
        h2_rig_exchange(&rig);
        assert_false(rig.failed);
    }
    h2_rig_close(&rig);
}

/* The failure says the same however the bytes are cut, and later bytes change nothing. */
static void failures_are_final(void **state)
{
    const etcd__h2_config config = {.max_control_frames = 5};
    etcd_error err;

    (void)state;
    for (size_t piece = 0; piece < 30; piece++) {
        assert_int_equal(h2_rig_open(&rig, &config), ETCD_OK);
        h2_rig_ready(&rig);
        rig.piece = piece;
        for (int i = 0; i < 10; i++)
            h2_peer_ping(&rig.peer, false, 1);
        h2_rig_exchange(&rig);
        assert_string_equal(rig.log, "failed -8 \"the peer sent more than 5 frames in a row that carry nothing (limit "
                                     "max_control_frames)\"\n");
        assert_int_equal(etcd__h2_receive(rig.h2, (const uint8_t *)"HTTP/1.1", 8, &err), ETCD_ERR_PROTOCOL);
        assert_non_null(strstr(err.message, "more than 5 frames"));
        assert_int_equal(h2_rig_start(&rig, 0, NULL), ETCD_ERR_UNSUPPORTED);
        h2_rig_close(&rig);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(pings),
    cmocka_unit_test(pings_not_taken),
    cmocka_unit_test(pings_not_taken_in_one_piece),
    cmocka_unit_test(ping_acks),
    cmocka_unit_test(settings),
    cmocka_unit_test(settings_not_taken),
    cmocka_unit_test(settings_that_cost),
    cmocka_unit_test(window_updates),
    cmocka_unit_test(priorities),
    cmocka_unit_test(empty_data),
    cmocka_unit_test(padded_data),
    cmocka_unit_test(unknown_frames),
    cmocka_unit_test(large_frames_of_no_use),
    cmocka_unit_test(data_of_a_canceled_stream),
    cmocka_unit_test(headers_of_a_canceled_stream),
    cmocka_unit_test(resets_of_a_closed_stream),
    cmocka_unit_test(early_hints),
    cmocka_unit_test(goaways),
    cmocka_unit_test(continuations),
    cmocka_unit_test(empty_continuations),
    cmocka_unit_test(long_header_block),
    cmocka_unit_test(header_bomb),
    cmocka_unit_test(many_headers),
    cmocka_unit_test(limits_are_configured),
    cmocka_unit_test(ordinary_peers_pass),
    cmocka_unit_test(failures_are_final),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
