/* The server's side of an HTTP/2 connection, made by hand, for tests of src/http2 and src/grpc: bytes are built frame by frame,
 * also wrong ones, and what the client sent is taken apart into frames and header fields. No sockets, no state machine.
 *
 * Functions fail the test when memory runs out or when the client's bytes are no HTTP/2. */
#ifndef ETCD3_TESTS_H2_PEER_H
#define ETCD3_TESTS_H2_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nghttp2_hd_deflater;
struct nghttp2_hd_inflater;

enum {
    H2_DATA,
    H2_HEADERS,
    H2_PRIORITY,
    H2_RST_STREAM,
    H2_SETTINGS,
    H2_PUSH_PROMISE,
    H2_PING,
    H2_GOAWAY,
    H2_WINDOW_UPDATE,
    H2_CONTINUATION
};
enum { H2_END_STREAM = 1, H2_ACK = 1, H2_END_HEADERS = 4, H2_PADDED = 8 };

typedef struct h2_field {
    const char *name;
    const char *value;
} h2_field;

/* A frame that the client sent. */
typedef struct h2_frame {
    uint8_t type;
    uint8_t flags;
    int32_t stream_id;
    size_t len;
    const uint8_t *payload; /* in h2_peer.in, until more arrives */
    char *fields;           /* of HEADERS (the whole block): "name: value\n" each; else NULL */
    size_t end;             /* offset behind the frame in all that the client sent */
} h2_frame;

typedef struct h2_peer {
    uint8_t *out; /* what the server sends */
    size_t out_len, out_cap;
    uint8_t *in; /* what the client has sent */
    size_t in_len, in_cap, in_parsed;
    h2_frame *frames;
    size_t n_frames, max_frames;
    bool preface_seen;
    struct nghttp2_hd_deflater *deflater;
    struct nghttp2_hd_inflater *inflater;
} h2_peer;

void h2_peer_init(h2_peer *peer);
void h2_peer_free(h2_peer *peer);

/** Forgets the bytes in `out`. */
void h2_peer_clear(h2_peer *peer);

/** Any bytes. */
void h2_peer_raw(h2_peer *peer, const void *data, size_t len);

/** Any frame. */
void h2_peer_frame(h2_peer *peer, uint8_t type, uint8_t flags, int32_t stream_id, const void *payload, size_t len);

/** SETTINGS; entries are pairs of id and value. */
void h2_peer_settings(h2_peer *peer, const uint32_t (*entries)[2], size_t n);

/** HEADERS with a block of these fields (up to a NULL name). */
void h2_peer_headers(h2_peer *peer, int32_t stream_id, bool end_stream, const h2_field *fields);

/** The same, cut into HEADERS and CONTINUATION frames of at most `piece` bytes. */
void h2_peer_headers_cut(h2_peer *peer, int32_t stream_id, bool end_stream, const h2_field *fields, size_t piece);

void h2_peer_data(h2_peer *peer, int32_t stream_id, bool end_stream, const void *data, size_t len);

/** DATA with a gRPC message. */
void h2_peer_message(h2_peer *peer, int32_t stream_id, bool end_stream, const void *data, size_t len);

void h2_peer_rst(h2_peer *peer, int32_t stream_id, uint32_t code);
void h2_peer_goaway(h2_peer *peer, int32_t last_stream_id, uint32_t code, const char *debug);
void h2_peer_ping(h2_peer *peer, bool ack, uint64_t opaque);
void h2_peer_window_update(h2_peer *peer, int32_t stream_id, uint32_t increment);

/** Takes bytes of the client apart. */
void h2_peer_take(h2_peer *peer, const uint8_t *data, size_t len);

/** The client's n-th (from 0) frame of a type on a stream; NULL when there is none. */
const h2_frame *h2_peer_find(const h2_peer *peer, uint8_t type, int32_t stream_id, size_t n);

/** How many there are. */
size_t h2_peer_count(const h2_peer *peer, uint8_t type, int32_t stream_id);

#endif
