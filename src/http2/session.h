/* One HTTP/2 client connection (RFC 9113) over nghttp2, without I/O: bytes in, bytes out, time never.
 *
 * The layer above feeds received bytes, takes the bytes to send, opens streams and hears of events through callbacks set at
 * construction. Everything of one session happens on one thread. Callbacks run inside etcd__h2_receive(), etcd__h2_take_output()
 * and etcd__h2_connection_lost(); within a callback every function may be called but those three and etcd__h2_free().
 *
 * Hostile peers (P11): every limit below ends the session with an error that names the limit. */
#ifndef ETCD__HTTP2_SESSION_H
#define ETCD__HTTP2_SESSION_H

#include "base/buf.h"
#include "base/list.h"

#include <etcd3/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ETCD__H2_SMALL_PLAN 40

typedef struct etcd__h2 etcd__h2;
typedef struct etcd__h2_stream etcd__h2_stream;

/** Zero in any field means the default. */
typedef struct etcd__h2_config {
    int32_t stream_window;     /* receive window per stream; default 16 MiB */
    int32_t connection_window; /* receive window of the connection; default 64 MiB */
    size_t max_header_list;    /* bytes of one header block as RFC 9113 6.5.2 counts them; default 64 KiB */
    size_t max_control_frames; /* frames that carry nothing for a stream (PING, SETTINGS, empty DATA, ...) between two of ours
                                  that are no answers, or between two that do carry something; default 10,000 */
    size_t max_output;         /* bytes that wait to be sent because the peer makes us answer; default 64 KiB */
    int32_t first_stream_id;   /* odd; default 1. For tests of a connection that has used up its ids */
} etcd__h2_config;

/** Session events. `arg` is the session's. */
typedef struct etcd__h2_events {
    /* The peer's first SETTINGS arrived: streams may be opened. */
    void (*on_ready)(void *arg);
    /* The peer allows more streams than before: etcd__h2_stream_slots() grew from 0. */
    void (*on_slots)(void *arg);
    /* GOAWAY: streams above last_stream_id were closed as unprocessed already; no new one can be opened. May come twice
     * (graceful shutdown: first with 2^31-1). `debug` is not NUL-terminated. Also called, once, with NO_ERROR and "stream ids
     * exhausted" when this connection can open no more streams. */
    void (*on_goaway)(void *arg, uint32_t error_code, int32_t last_stream_id, const char *debug, size_t debug_len);
    /* The answer to the last etcd__h2_ping(). */
    void (*on_ping_ack)(void *arg);
} etcd__h2_events;

/** Why and how a stream ended. */
typedef struct etcd__h2_close {
    uint32_t error_code; /* NO_ERROR after END_STREAM of both sides, else the code of RST_STREAM, sent or received */
    bool connection_lost;
    bool unprocessed; /* proven: the peer's application never saw the request (REFUSED_STREAM; above GOAWAY's last stream id;
                         its last byte, or the headers of a stream that was opened without half_close, never handed to the
                         transport). Never set once the peer has answered with headers. */
} etcd__h2_close;

typedef struct etcd__h2_stream_events {
    /* One header field; `trailer` in the second and later blocks. Names are lower case; ":status" is among them. */
    void (*on_header)(etcd__h2_stream *stream, const char *name, size_t name_len, const char *value, size_t value_len,
                      bool trailer);
    /* A block is complete. 1xx blocks are not reported. */
    void (*on_headers_end)(etcd__h2_stream *stream, bool trailer, bool end_stream);
    /* Bytes of the body. They count against the stream's window until etcd__h2_stream_consumed(), unless auto_consume is set;
     * the connection's window gets them back at once, so that a paused stream does not starve the others. */
    void (*on_data)(etcd__h2_stream *stream, const uint8_t *data, size_t len);
    /* The peer ended its side; on_close follows at once (a request that is not complete yet is cut off with NO_ERROR). */
    void (*on_end)(etcd__h2_stream *stream);
    /* Last event, exactly once; the stream struct may be freed or reused in it. Not called after etcd__h2_stream_reset(). */
    void (*on_close)(etcd__h2_stream *stream, const etcd__h2_close *close);
} etcd__h2_stream_events;

/** One stream; embedded in the struct of the layer above, which owns it. Fields belong to this module. */
struct etcd__h2_stream {
    const etcd__h2_stream_events *events;
    etcd__h2 *session;   /* NULL when not open */
    etcd__list link;     /* in the session's list of open streams */
    etcd__buf pending;   /* body bytes that were queued by etcd__h2_stream_write() */
    size_t pending_sent; /* of these, taken already */
    const uint8_t *body; /* borrowed body of a request with a single message, see etcd__h2_stream_open() */
    size_t body_len, body_sent;
    uint64_t proof_offset; /* output offset behind the byte without which the peer cannot act; UINT64_MAX before it was taken */
    uint8_t small_plan[ETCD__H2_SMALL_PLAN];
    uint8_t *plan; /* of its header block until that was taken, see http2/hpack.h; small_plan or a block */
    size_t plan_len;
    size_t unreturned; /* received bytes, consumed, that the peer has not been given back yet */
    int32_t id;
    bool secret;       /* the plan holds one: it is wiped */
    bool auto_consume; /* may be set and cleared at any time */
    bool half_close;   /* END_STREAM follows what is queued */
    bool open_ended;   /* opened without half_close: proof_offset is behind its headers */
    bool end_sent;     /* END_STREAM was taken */
    bool deferred;     /* the data source waits for etcd__h2_stream_write() */
    bool headers_seen; /* a final (not 1xx) header block arrived */
};

typedef struct etcd__h2_header {
    const char *name; /* lower case */
    size_t name_len;
    const char *value;
    size_t value_len;
    bool never_index; /* a secret: HPACK "never indexed" literal */
    bool varying;     /* hardly ever the same value twice: not worth a place in the HPACK table */
    bool constant;    /* neither string changes as long as the session lives: the same pointers mean the same field */
} etcd__h2_header;

/** A new session; its preface, SETTINGS and WINDOW_UPDATE are already in the output. ETCD_ERR_NO_MEMORY. */
int etcd__h2_new(const etcd__h2_config *config, const etcd__h2_events *events, void *arg, etcd__h2 **out, etcd_error *err);

/** Frees the session. Streams that are still open hear nothing. NULL is allowed. */
void etcd__h2_free(etcd__h2 *h2);

/** Feeds received bytes. A negative code ends the session: the caller sends the remaining output (a GOAWAY), then calls
 *  etcd__h2_connection_lost(). ETCD_ERR_PROTOCOL with words: which rule, which limit; "the peer answered HTTP/1.1" is told apart.
 */
int etcd__h2_receive(etcd__h2 *h2, const uint8_t *data, size_t len, etcd_error *err);

/** Appends to `out` all that is to be sent, at most until `out` holds `enough` bytes: everything queued goes out with one
 *  write. The maximum of `out` has to allow `enough` and 128 KiB. Returns 0 or a negative code as etcd__h2_receive(). */
int etcd__h2_take_output(etcd__h2 *h2, etcd__buf *out, size_t enough, etcd_error *err);

/** Whether etcd__h2_take_output() has something to give. */
bool etcd__h2_wants_output(const etcd__h2 *h2);

/** The transport is gone. `written` counts the bytes, of all that etcd__h2_take_output() ever gave, that the transport accepted:
 *  streams whose last byte lies behind are closed as unprocessed. Every open stream gets on_close. */
void etcd__h2_connection_lost(etcd__h2 *h2, uint64_t written);

/** How many streams may be opened now: 0 before on_ready, after GOAWAY, and at the peer's MAX_CONCURRENT_STREAMS. */
size_t etcd__h2_stream_slots(const etcd__h2 *h2);

/** How many streams are open. */
size_t etcd__h2_streams_open(const etcd__h2 *h2);

/** Opens a stream: `stream` is a cleared struct, its `events` set (auto_consume may be). Header values are copied before
 *  return, names too. `body` is borrowed until on_close or reset; with `half_close` END_STREAM follows it, else more is given
 *  with etcd__h2_stream_write(). After an error the struct is as it was. ETCD_ERR_NO_MEMORY; ETCD_ERR_UNSUPPORTED without a
 *  slot; ETCD_ERR_TOO_LARGE for headers of 64 KiB or that the peer would refuse. */
int etcd__h2_stream_open(etcd__h2 *h2, etcd__h2_stream *stream, const etcd__h2_header *headers, size_t n_headers,
                         const uint8_t *body, size_t body_len, bool half_close, etcd_error *err);

/** Queues a copy of more body bytes; `end` half-closes behind them. ETCD_ERR_NO_MEMORY; ETCD_ERR_TOO_LARGE over
 *  `stream->pending.max` (default 16 MiB) of bytes that wait; ETCD_ERR_CLOSED behind the end. */
int etcd__h2_stream_write(etcd__h2_stream *stream, const uint8_t *data, size_t len, bool end);

/** Gives `len` bytes of on_data back to the stream's window. */
void etcd__h2_stream_consumed(etcd__h2_stream *stream, size_t len);

/** Ends the stream with RST_STREAM (error code of RFC 9113 section 7). No callback of this stream follows. */
void etcd__h2_stream_reset(etcd__h2_stream *stream, uint32_t error_code);

/** Queues a PING; at most one is on its way at a time. */
int etcd__h2_ping(etcd__h2 *h2);

/** Queues a GOAWAY with NO_ERROR: the polite end before the transport is closed. */
void etcd__h2_goaway(etcd__h2 *h2);

/** The name of an HTTP/2 error code, "REFUSED_STREAM"; "?" for an unknown one. */
const char *etcd__h2_error_name(uint32_t error_code);

#endif
