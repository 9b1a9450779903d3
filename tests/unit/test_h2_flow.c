/* src/http2: flow control of both directions, and output in portions. */
#include "harness/h2_rig.h"
#include "harness/test.h"

#include <string.h>

#define GRPC "h :status: 200|content-type: application/grpc"
#define SETTINGS_INITIAL_WINDOW_SIZE 4

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

static uint32_t get32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static size_t data_bytes(int32_t stream_id, bool *ended)
{
    size_t bytes = 0;
    const h2_frame *frame;

    *ended = false;
    for (size_t i = 0; (frame = h2_peer_find(&rig.peer, H2_DATA, stream_id, i)) != NULL; i++) {
        bytes += frame->len;
        *ended = frame->flags & H2_END_STREAM;
    }
    return bytes;
}

static void send_windows(void **state)
{
    static uint8_t body[300000];
    const h2_frame *frame;
    size_t at = 0;
    bool ended;

    (void)state;
    for (size_t i = 0; i < sizeof body; i++)
        body[i] = (uint8_t)(i * 31 >> 3);
    open_ready(NULL);
    rig.request.body = body;
    rig.request.body_len = sizeof body;
    assert_int_equal(h2_rig_start(&rig, 0, NULL), ETCD_OK);
    h2_rig_flush(&rig);
    assert_int_equal(data_bytes(1, &ended), 65535);
    h2_peer_window_update(&rig.peer, 1, 1000); /* the connection's is the smaller one */
    h2_rig_exchange(&rig);
    assert_int_equal(data_bytes(1, &ended), 65535);
    h2_peer_window_update(&rig.peer, 0, 500);
    h2_rig_exchange(&rig);
    assert_int_equal(data_bytes(1, &ended), 66035);
    h2_peer_window_update(&rig.peer, 0, 1000000);
    h2_rig_exchange(&rig);
    assert_int_equal(data_bytes(1, &ended), 66535);
    assert_false(ended);
    settings(SETTINGS_INITIAL_WINDOW_SIZE, 1000000);
    assert_int_equal(data_bytes(1, &ended), sizeof body);
    assert_true(ended);
    for (size_t i = 0; (frame = h2_peer_find(&rig.peer, H2_DATA, 1, i)) != NULL; at += frame->len, i++)
        assert_memory_equal(frame->payload, body + at, frame->len);
    h2_rig_close(&rig);
}

static void output_in_portions(void **state)
{
    static uint8_t body[60000];
    etcd__buf out = ETCD__BUF_INIT(1 << 20);
    size_t rounds = 0;
    bool ended;

    (void)state;
    open_ready(NULL);
    rig.request.body = body;
    rig.request.body_len = 2000;
    for (size_t i = 0; i < 20; i++)
        assert_int_equal(h2_rig_start(&rig, i, NULL), ETCD_OK);
    do {
        out.len = 0;
        assert_int_equal(etcd__h2_take_output(rig.h2, &out, 1000, NULL), ETCD_OK);
        assert_true(out.len < 1000 + 9 + 2000);
        h2_peer_take(&rig.peer, out.data, out.len);
        rounds++;
    } while (out.len > 0);
    assert_true(rounds > 20);
    for (int32_t i = 0; i < 20; i++) {
        assert_int_equal(data_bytes(2 * i + 1, &ended), 2000);
        assert_true(ended);
    }
    etcd__buf_free(&out);
    h2_rig_close(&rig);
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

static uint32_t given_back(int32_t stream_id)
{
    const h2_frame *frame;
    uint32_t sum = 0;

    for (size_t i = 0; (frame = h2_peer_find(&rig.peer, H2_WINDOW_UPDATE, stream_id, i)) != NULL; i++)
        sum += get32(frame->payload);
    return sum;
}

static const etcd__h2_config small_windows = {.stream_window = 100000, .connection_window = 200000};

static void receive_windows(void **state)
{
    uint32_t at_start;

    (void)state;
    open_ready(&small_windows);
    at_start = given_back(0);
    assert_int_equal(at_start, 200000 - 65535);
    rig.request.unary = false;
    assert_int_equal(h2_rig_start(&rig, 0, NULL), ETCD_OK);
    h2_rig_say(&rig.peer, 1, GRPC);
    feed_data(1, 49995);
    assert_int_equal(given_back(1), 0);
    feed_data(1, 5);
    assert_int_equal(given_back(1), 50000);
    assert_int_equal(given_back(0), at_start);
    feed_data(1, 50000);
    assert_int_equal(given_back(1), 100000);
    assert_int_equal(given_back(0), at_start + 100000);
    feed_data(1, 1000000);
    assert_int_equal(given_back(1), 1100000);
    assert_int_equal(given_back(0), at_start + 1100000);
    assert_false(rig.failed);
    h2_rig_close(&rig);
}

/* The peer may fill a paused stream's window and no more; other streams go on for ever. */
static void pause_and_resume(void **state)
{
    uint32_t at_start;

    (void)state;
    open_ready(&small_windows);
    at_start = given_back(0);
    rig.request.unary = false;
    assert_int_equal(h2_rig_start(&rig, 0, NULL), ETCD_OK);
    assert_int_equal(h2_rig_start(&rig, 1, NULL), ETCD_OK);
    h2_rig_say(&rig.peer, 1, GRPC);
    h2_rig_say(&rig.peer, 3, GRPC);
    etcd__grpc_call_pause(&rig.calls[0].call);
    feed_data(1, 100000);
    assert_int_equal(given_back(1), 0);
    assert_int_equal(given_back(0), at_start + 100000);
    feed_data(3, 1000000);
    assert_int_equal(given_back(3), 1000000);
    assert_int_equal(given_back(0), at_start + 1100000);
    assert_int_equal(given_back(1), 0);
    etcd__grpc_call_resume(&rig.calls[0].call);
    h2_rig_flush(&rig);
    assert_int_equal(given_back(1), 100000);
    feed_data(1, 100000);
    assert_int_equal(given_back(1), 200000);
    assert_false(rig.failed);
    h2_rig_close(&rig);
}

static void stream_window_exceeded(void **state)
{
    (void)state;
    open_ready(&small_windows);
    rig.request.unary = false;
    assert_int_equal(h2_rig_start(&rig, 0, NULL), ETCD_OK);
    assert_int_equal(h2_rig_start(&rig, 1, NULL), ETCD_OK);
    h2_rig_say(&rig.peer, 1, GRPC);
    etcd__grpc_call_pause(&rig.calls[0].call);
    feed_data(1, 100005);
    /* nghttp2 ended the stream in former versions, now it ends the connection; RFC 9113 6.9.1 allows both. */
    if (rig.failed)
        assert_non_null(strstr(rig.log, "FLOW_CONTROL_ERROR"));
    else
        assert_non_null(strstr(rig.log, "#0 end 13 reset reset 3 "));
    h2_rig_close(&rig);
}

/* Bytes of a stream that nobody listens to any more do not use up the connection's window. */
static void canceled_stream_gives_back(void **state)
{
    uint32_t at_start;

    (void)state;
    open_ready(&small_windows);
    at_start = given_back(0);
    rig.request.unary = false;
    assert_int_equal(h2_rig_start(&rig, 0, NULL), ETCD_OK);
    h2_rig_say(&rig.peer, 1, GRPC);
    h2_rig_exchange(&rig);
    etcd__grpc_call_cancel(&rig.calls[0].call);
    rig.calls[0].open = false;
    for (int i = 0; i < 4; i++)
        feed_data(1, 90000);
    assert_int_equal(given_back(0), at_start + 300000);
    assert_false(rig.failed);
    h2_rig_close(&rig);
}

static void padding_counts(void **state)
{
    uint8_t padded[256 + 5] = {255};

    (void)state;
    open_ready(&small_windows);
    rig.request.unary = false;
    assert_int_equal(h2_rig_start(&rig, 0, NULL), ETCD_OK);
    h2_rig_say(&rig.peer, 1, GRPC);
    for (int i = 0; i < 4000; i++) {
        h2_peer_frame(&rig.peer, H2_DATA, H2_PADDED, 1, padded, sizeof padded);
        h2_rig_exchange(&rig);
    }
    assert_false(rig.failed);
    assert_true(given_back(1) > 900000);
    assert_true(given_back(0) > 900000);
    h2_rig_close(&rig);
}

static void write_limits(void **state)
{
    static uint8_t bytes[1000];
    etcd__h2_stream *stream = &rig.calls[0].call.stream;

    (void)state;
    open_ready(NULL);
    rig.request.half_close = rig.request.unary = false;
    assert_int_equal(h2_rig_start(&rig, 0, NULL), ETCD_OK);
    stream->pending.max = 2500;
    assert_int_equal(etcd__h2_stream_write(stream, bytes, 1000, false), ETCD_OK);
    assert_int_equal(etcd__h2_stream_write(stream, bytes, 1000, false), ETCD_OK);
    assert_int_equal(etcd__h2_stream_write(stream, bytes, 1000, false), ETCD_ERR_TOO_LARGE);
    h2_rig_flush(&rig);
    assert_int_equal(etcd__h2_stream_write(stream, bytes, 1000, true), ETCD_OK);
    assert_int_equal(etcd__h2_stream_write(stream, bytes, 1, true), ETCD_ERR_CLOSED);
    h2_rig_flush(&rig);
    etcd__h2_stream_reset(stream, 8);
    assert_int_equal(etcd__h2_stream_write(stream, bytes, 1, true), ETCD_ERR_CLOSED);
    etcd__h2_stream_reset(stream, 8);
    rig.calls[0].open = false;
    h2_rig_close(&rig);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(send_windows),     cmocka_unit_test(output_in_portions),     cmocka_unit_test(receive_windows),
    cmocka_unit_test(pause_and_resume), cmocka_unit_test(stream_window_exceeded), cmocka_unit_test(canceled_stream_gives_back),
    cmocka_unit_test(padding_counts),   cmocka_unit_test(write_limits),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
