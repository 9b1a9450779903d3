/* See raw.h. */
#include "raw.h"

#include "measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint8_t *raw_reserve(raw_buf *buf, size_t extra)
{
    if (buf->cap - buf->len < extra) {
        const size_t cap = (buf->len + extra) * 2;
        uint8_t *data = realloc(buf->data, cap);

        if (data == NULL)
            bench_die("out of memory");
        buf->data = data;
        buf->cap = cap;
    }
    return buf->data + buf->len;
}

void raw_append(raw_buf *buf, const void *data, size_t len)
{
    if (len == 0)
        return;
    memcpy(raw_reserve(buf, len), data, len);
    buf->len += len;
}

static void append_byte(raw_buf *buf, unsigned byte)
{
    *raw_reserve(buf, 1) = (uint8_t)byte;
    buf->len++;
}

uint32_t raw_get32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

void raw_put32(uint8_t *bytes, uint32_t value)
{
    bytes[0] = (uint8_t)(value >> 24);
    bytes[1] = (uint8_t)(value >> 16);
    bytes[2] = (uint8_t)(value >> 8);
    bytes[3] = (uint8_t)value;
}

raw_head raw_head_read(const uint8_t *bytes)
{
    return (raw_head){
        .len = raw_get32(bytes) >> 8, .type = bytes[3], .flags = bytes[4], .stream = raw_get32(bytes + 5) & 0x7fffffffu};
}

void raw_frame(raw_buf *buf, unsigned type, unsigned flags, uint32_t stream, const void *payload, size_t len)
{
    uint8_t *head = raw_reserve(buf, RAW_FRAME_HEAD + len);

    raw_put32(head, (uint32_t)len << 8 | (uint32_t)type);
    head[4] = (uint8_t)flags;
    raw_put32(head + 5, stream);
    if (len != 0)
        memcpy(head + RAW_FRAME_HEAD, payload, len);
    buf->len += RAW_FRAME_HEAD + len;
}

void raw_window_update(raw_buf *buf, uint32_t stream, uint32_t bytes)
{
    uint8_t payload[4];

    raw_put32(payload, bytes);
    raw_frame(buf, RAW_WINDOW_UPDATE, 0, stream, payload, sizeof payload);
}

void raw_settings(raw_buf *buf, uint32_t initial_window)
{
    uint8_t payload[6] = {0, RAW_INITIAL_WINDOW};

    raw_put32(payload + 2, initial_window);
    raw_frame(buf, RAW_SETTINGS, 0, 0, payload, sizeof payload);
}

/* A literal field: `first` is the pattern of its kind with, perhaps, the index of a known name in the low bits. Short
 * strings only. */
static void literal(raw_buf *buf, unsigned first, const char *name, const char *value)
{
    append_byte(buf, first);
    if (name != NULL) {
        append_byte(buf, (unsigned)strlen(name));
        raw_append(buf, name, strlen(name));
    }
    append_byte(buf, (unsigned)strlen(value));
    raw_append(buf, value, strlen(value));
}

/* Kinds of fields (RFC 7541 section 6) and indexes of the static table (appendix A). */
enum {
    HPACK_INDEXED = 0x80,
    HPACK_ADD = 0x40,
    HPACK_PLAIN = 0x00,
    STATIC_AUTHORITY = 1,
    STATIC_METHOD_POST = 3,
    STATIC_PATH = 4,
    STATIC_SCHEME_HTTP = 6,
    STATIC_STATUS_200 = 8,
    STATIC_CONTENT_TYPE = 31,
    STATIC_USER_AGENT = 58,
    DYNAMIC_NEWEST = 62
};

void raw_request_headers(raw_buf *buf, const char *path, const char *authority, bool first)
{
    append_byte(buf, HPACK_INDEXED | STATIC_METHOD_POST);
    append_byte(buf, HPACK_INDEXED | STATIC_SCHEME_HTTP);
    if (first) {
        literal(buf, HPACK_ADD | STATIC_PATH, NULL, path);
        literal(buf, HPACK_ADD | STATIC_AUTHORITY, NULL, authority);
        literal(buf, HPACK_ADD | STATIC_CONTENT_TYPE, NULL, "application/grpc");
        literal(buf, HPACK_ADD | STATIC_USER_AGENT, NULL, "bare-socket/0.1");
        literal(buf, HPACK_ADD, "te", "trailers");
        literal(buf, HPACK_ADD, "client-api-version", "3.5");
    } else {
        for (unsigned age = 6; age > 0; age--)
            append_byte(buf, HPACK_INDEXED | (DYNAMIC_NEWEST + age - 1));
    }
    literal(buf, HPACK_PLAIN, "grpc-timeout", "4999999u");
}

void raw_response_headers(raw_buf *buf)
{
    append_byte(buf, HPACK_INDEXED | STATIC_STATUS_200);
    append_byte(buf, HPACK_PLAIN | 15); /* an index of 15 or more continues in the next byte */
    literal(buf, STATIC_CONTENT_TYPE - 15, NULL, "application/grpc");
}

void raw_response_trailers(raw_buf *buf)
{
    literal(buf, HPACK_PLAIN, "grpc-status", "0");
    literal(buf, HPACK_PLAIN, "grpc-message", "");
}

static void append_varint(raw_buf *buf, uint64_t value)
{
    while (value >= 0x80) {
        append_byte(buf, (unsigned)(value & 0x7f) | 0x80);
        value >>= 7;
    }
    append_byte(buf, (unsigned)value);
}

void raw_pb_varint(raw_buf *buf, unsigned field, uint64_t value)
{
    if (value == 0)
        return;
    append_varint(buf, (uint64_t)field << 3);
    append_varint(buf, value);
}

void raw_pb_bytes(raw_buf *buf, unsigned field, const void *data, size_t len)
{
    append_varint(buf, (uint64_t)field << 3 | 2);
    append_varint(buf, len);
    raw_append(buf, data, len);
}

void raw_range_request(raw_buf *buf, const char *key, const char *range_end, bool serializable)
{
    raw_pb_bytes(buf, 1, key, strlen(key));
    if (range_end != NULL)
        raw_pb_bytes(buf, 2, range_end, strlen(range_end));
    raw_pb_varint(buf, 7, serializable);
}

void raw_put_request(raw_buf *buf, const char *key, const void *value, size_t value_len)
{
    raw_pb_bytes(buf, 1, key, strlen(key));
    raw_pb_bytes(buf, 2, value, value_len);
}

/* A ResponseHeader with ids as large as real ones. */
static void response_header(raw_buf *buf)
{
    raw_buf header = {0};

    raw_pb_varint(&header, 1, 14841639068965178418u);
    raw_pb_varint(&header, 2, 10276657743932975437u);
    raw_pb_varint(&header, 3, 1234567);
    raw_pb_varint(&header, 4, 7);
    raw_pb_bytes(buf, 1, header.data, header.len);
    free(header.data);
}

static void key_value(raw_buf *buf, size_t index, const uint8_t *value, size_t value_len)
{
    char key[17];

    snprintf(key, sizeof key, "bench/key%07zu", index % 10000000);
    raw_pb_bytes(buf, 1, key, 16);
    raw_pb_varint(buf, 2, 1000000 + index);
    raw_pb_varint(buf, 3, 1100000 + index);
    raw_pb_varint(buf, 4, 1 + index % 300);
    raw_pb_bytes(buf, 5, value, value_len);
}

void raw_range_response(raw_buf *buf, size_t n, size_t value_len)
{
    uint8_t *value = bench_alloc(value_len + 1);
    raw_buf kv = {0};

    memset(value, 'v', value_len);
    response_header(buf);
    for (size_t i = 0; i < n; i++) {
        kv.len = 0;
        key_value(&kv, i, value, value_len);
        raw_pb_bytes(buf, 2, kv.data, kv.len);
    }
    raw_pb_varint(buf, 4, n);
    free(kv.data);
    free(value);
}

void raw_put_response(raw_buf *buf)
{
    response_header(buf);
}
