/* Frames made by hand (RFC 9113 section 4.1, header blocks of RFC 7541 literals without indexing, so that nghttp2's HPACK
 * state is not touched). What nghttp2 would refuse to send comes from here. */
#include "harness/fake_internal.h"

#include <stdlib.h>
#include <string.h>

enum { FRAME_MAX = 16384, FLOOD_CHUNK = 32 * 1024 };

void fake__raw_frame(fake_bytes *out, uint8_t type, uint8_t flags, int32_t stream_id, const void *payload, size_t len)
{
    uint32_t id = (uint32_t)stream_id;
    const uint8_t head[9] = {(uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len,       type,       flags,
                             (uint8_t)(id >> 24),  (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id};

    fake__bytes_append(out, head, sizeof head);
    if (len > 0)
        fake__bytes_append(out, payload, len);
}

static void put_u32(uint8_t *out, uint32_t value)
{
    out[0] = (uint8_t)(value >> 24);
    out[1] = (uint8_t)(value >> 16);
    out[2] = (uint8_t)(value >> 8);
    out[3] = (uint8_t)value;
}

void fake__raw_goaway(fake_bytes *out, int32_t last_stream_id, uint32_t code, const char *debug)
{
    fake_bytes payload = {NULL, 0, 0};
    uint8_t fixed[8];

    put_u32(fixed, (uint32_t)last_stream_id);
    put_u32(fixed + 4, code);
    fake__bytes_append(&payload, fixed, sizeof fixed);
    if (debug)
        fake__bytes_append(&payload, debug, strlen(debug));
    fake__raw_frame(out, NGHTTP2_GOAWAY, 0, 0, payload.data, payload.len);
    free(payload.data);
}

/* A literal field "x-NNNNNN: vvvv..." of 8 + value_len bytes of text; value_len below 127 + 16384. */
static void append_literal(fake_bytes *block, unsigned number, size_t value_len)
{
    uint8_t head[2 + 8 + 4] = {0x00, 8, 'x', '-'};
    size_t n = 10;
    uint8_t value[256];

    for (size_t i = 0; i < 6; i++, number /= 10)
        head[9 - i] = (uint8_t)('0' + number % 10);
    if (value_len < 127) {
        head[n++] = (uint8_t)value_len;
    } else {
        head[n++] = 127;
        head[n++] = (uint8_t)(0x80 | ((value_len - 127) & 0x7f));
        head[n++] = (uint8_t)((value_len - 127) >> 7);
    }
    fake__bytes_append(block, head, n);
    memset(value, 'v', sizeof value);
    for (size_t left = value_len; left > 0;) {
        size_t part = left < sizeof value ? left : sizeof value;
        fake__bytes_append(block, value, part);
        left -= part;
    }
}

/* :status 200, content-type: application/grpc */
static const uint8_t answer_start[] = {0x88, 0x0f, 0x10, 16,  'a', 'p', 'p', 'l', 'i', 'c',
                                       'a',  't',  'i',  'o', 'n', '/', 'g', 'r', 'p', 'c'};

void fake__raw_giant_headers(fake_bytes *out, int32_t stream_id, size_t bytes, bool trailers)
{
    fake_bytes block = {NULL, 0, 0};

    if (!trailers)
        fake__bytes_append(&block, answer_start, sizeof answer_start);
    for (unsigned number = 0; block.len < bytes; number++)
        append_literal(&block, number, 1000);
    for (size_t at = 0; at < block.len;) {
        size_t part = block.len - at < FRAME_MAX ? block.len - at : FRAME_MAX;
        int flags = (at + part == block.len ? NGHTTP2_FLAG_END_HEADERS : 0) | (at == 0 && trailers ? NGHTTP2_FLAG_END_STREAM : 0);
        fake__raw_frame(out, at == 0 ? NGHTTP2_HEADERS : NGHTTP2_CONTINUATION, (uint8_t)flags, stream_id, block.data + at, part);
        at += part;
    }
    free(block.data);
}

/* One piece of a header block that never ends. */
static void fill_continuation(fake_bytes *out, int32_t stream_id, bool first)
{
    fake_bytes block = {NULL, 0, 0};

    if (first)
        fake__bytes_append(&block, answer_start, sizeof answer_start);
    append_literal(&block, 1, 100);
    fake__raw_frame(out, first ? NGHTTP2_HEADERS : NGHTTP2_CONTINUATION, 0, stream_id, block.data, block.len);
    free(block.data);
}

static void fill_one(fake_bytes *out, fake_flood flood, int32_t stream_id)
{
    static const uint8_t zeros[8192];
    static const uint8_t one[4] = {0, 0, 0, 1};
    static const uint8_t initial_window[6] = {0, 4, 0, 0, 0xff, 0xff};
    static const uint8_t priority[5] = {0, 0, 0, 0, 16};
    static const uint8_t status_100[] = {0x08, 3, '1', '0', '0'}; /* literal, name :status of the static table */

    switch (flood) {
    case FAKE_FLOOD_PING:
        fake__raw_frame(out, NGHTTP2_PING, 0, 0, zeros, 8);
        break;
    case FAKE_FLOOD_SETTINGS:
        fake__raw_frame(out, NGHTTP2_SETTINGS, 0, 0, initial_window, sizeof initial_window);
        break;
    case FAKE_FLOOD_WINDOW_UPDATE:
        fake__raw_frame(out, NGHTTP2_WINDOW_UPDATE, 0, 0, one, sizeof one);
        break;
    case FAKE_FLOOD_PRIORITY:
        fake__raw_frame(out, NGHTTP2_PRIORITY, 0, 1, priority, sizeof priority);
        break;
    case FAKE_FLOOD_UNKNOWN:
        fake__raw_frame(out, 0xee, 0, 0, zeros, 16);
        break;
    case FAKE_FLOOD_EMPTY_DATA:
        fake__raw_frame(out, NGHTTP2_DATA, 0, stream_id, NULL, 0);
        break;
    case FAKE_FLOOD_DATA:
        fake__raw_frame(out, NGHTTP2_DATA, 0, stream_id, zeros, sizeof zeros);
        break;
    case FAKE_FLOOD_INFORMATIONAL:
        fake__raw_frame(out, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, stream_id, status_100, sizeof status_100);
        break;
    case FAKE_FLOOD_CONTINUATION:
        fill_continuation(out, stream_id, false);
        break;
    case FAKE_FLOOD_NONE:
        break;
    }
}

void fake__flood_fill(fake_bytes *out, fake_flood flood, int32_t stream_id, bool first)
{
    size_t enough = out->len + FLOOD_CHUNK;

    if (flood == FAKE_FLOOD_CONTINUATION && first)
        fill_continuation(out, stream_id, true);
    while (flood != FAKE_FLOOD_NONE && out->len < enough)
        fill_one(out, flood, stream_id);
}
