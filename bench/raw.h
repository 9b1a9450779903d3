/* HTTP/2, HPACK and protobuf written by hand, byte by byte: just enough for the canned server and the bare socket to
 * talk gRPC without any library, so that they show what the bytes alone cost.
 *
 * RFC 9113 (frames), RFC 7541 (header blocks; no Huffman code), gRPC over HTTP/2. Out of memory ends the program. */
#ifndef BENCH_RAW_H
#define BENCH_RAW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RAW_FRAME_HEAD 9
#define RAW_FRAME_MAX 16384 /* largest payload that every peer accepts */
#define RAW_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define RAW_PREFACE_LEN 24
#define RAW_GRPC_PREFIX 5

enum raw_frame_type {
    RAW_DATA = 0,
    RAW_HEADERS = 1,
    RAW_RST_STREAM = 3,
    RAW_SETTINGS = 4,
    RAW_PING = 6,
    RAW_GOAWAY = 7,
    RAW_WINDOW_UPDATE = 8,
    RAW_CONTINUATION = 9
};

enum raw_flag { RAW_END_STREAM = 1, RAW_ACK = 1, RAW_END_HEADERS = 4 };

enum raw_setting { RAW_INITIAL_WINDOW = 4 };

/** A growable buffer: contents are data[0 .. len). */
typedef struct raw_buf {
    uint8_t *data;
    size_t len, cap;
} raw_buf;

/** Makes room for `extra` more bytes and returns where they go; `len` is the caller's to move. */
uint8_t *raw_reserve(raw_buf *buf, size_t extra);
void raw_append(raw_buf *buf, const void *data, size_t len);

uint32_t raw_get32(const uint8_t *bytes);
void raw_put32(uint8_t *bytes, uint32_t value);

/** The parts of a frame's head. */
typedef struct raw_head {
    uint32_t len;
    uint8_t type, flags;
    uint32_t stream;
} raw_head;

raw_head raw_head_read(const uint8_t *bytes);
void raw_frame(raw_buf *buf, unsigned type, unsigned flags, uint32_t stream, const void *payload, size_t len);
void raw_window_update(raw_buf *buf, uint32_t stream, uint32_t bytes);

/** SETTINGS with one entry, the initial window of streams. */
void raw_settings(raw_buf *buf, uint32_t initial_window);

/** The header block of a request to `path`. The first of a connection puts its fields into the dynamic table, the
 * later ones are indexes into it, as in a good client. */
void raw_request_headers(raw_buf *buf, const char *path, const char *authority, bool first);

/** The header blocks of an answer, without use of the dynamic table: before the message, and the trailers (status 0).
 */
void raw_response_headers(raw_buf *buf);
void raw_response_trailers(raw_buf *buf);

/** Protobuf: fields of the wire types varint and bytes; zero values are left out. */
void raw_pb_varint(raw_buf *buf, unsigned field, uint64_t value);
void raw_pb_bytes(raw_buf *buf, unsigned field, const void *data, size_t len);

/** etcdserverpb messages. A RangeResponse of `n` key-values has 16-byte keys and values of `value_len` bytes. */
void raw_range_request(raw_buf *buf, const char *key, const char *range_end, bool serializable);
void raw_put_request(raw_buf *buf, const char *key, const void *value, size_t value_len);
void raw_range_response(raw_buf *buf, size_t n, size_t value_len);
void raw_put_response(raw_buf *buf);

#endif
