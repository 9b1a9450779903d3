/* What the files of http2 share: the session struct and the functions between them. No other layer includes this.
 *
 * session.c: construction and the receiving side; output.c: the sending side and the end; stream.c: what callers do to streams;
 * limits.c: bounds on the peer (P11) and how a session fails; memory.c: nghttp2's allocator. */
#ifndef ETCD__HTTP2_INTERNAL_H
#define ETCD__HTTP2_INTERNAL_H

#include "http2/hpack.h"
#include "http2/memory.h"
#include "http2/session.h"

#include <nghttp2/nghttp2.h>

#define ETCD__H2_MAX_CONTINUATIONS 8 /* frames of one received header block behind the first */
#define ETCD__H2_LINE_MAX 96         /* bytes quoted of an answer that is no HTTP/2 */
#define ETCD__H2_DEBUG_MAX 128       /* bytes kept of GOAWAY's debug data */

/* What is expected in the header block that arrives. */
typedef enum etcd__h2_block {
    ETCD__H2_BLOCK_STATUS, /* the ":status" of a response */
    ETCD__H2_BLOCK_FIELDS,
    ETCD__H2_BLOCK_INFORMATIONAL, /* 1xx: dropped */
    ETCD__H2_BLOCK_DEAD           /* the stream is closed, or was never ours */
} etcd__h2_block;

struct etcd__h2 {
    nghttp2_session *ng;
    const etcd__h2_events *events;
    void *arg;
    etcd__h2_config config; /* no field is 0 */
    etcd__h2_pool pool;

    etcd__list streams;         /* open, with somebody who listens */
    size_t n_open;              /* of these */
    etcd__h2_stream *last_used; /* an open one, or NULL: most frames are for the stream of the one before */
    size_t n_known;             /* streams of nghttp2: the open ones and those whose RST_STREAM is not sent yet */
    uint32_t next_id;           /* of a stream that we open; more than INT32_MAX: there are no more */
    uint32_t peer_max_streams;
    uint32_t peer_max_header_list;

    /* Receiving. */
    bool first_byte_seen;
    bool not_http2; /* the peer sends something else: `line` collects it */
    char line[ETCD__H2_LINE_MAX + 1];
    size_t line_len;
    etcd__h2_stream *current; /* whose header block arrives; NULL with ETCD__H2_BLOCK_DEAD */
    etcd__h2_block block;
    size_t block_list;    /* size of that block so far, RFC 9113 6.5.2 */
    size_t block_bytes;   /* the same on the wire */
    size_t continuations; /* frames of it behind the first */
    size_t idle_frames;   /* see max_control_frames */
    size_t frames_in_slice;
    bool useful_in_slice;
    uint8_t scan_header[9]; /* of the frame at the end of the last slice, if it was cut there */
    size_t scan_len;
    size_t scan_skip;  /* bytes of payload until the next frame */
    size_t idle_bytes; /* all bytes received since idle_frames was 0 */
    size_t unreturned; /* received bytes that the connection's window has not been given back yet */

    /* Sending. */
    etcd__buf early;          /* output that had to be made while receiving */
    etcd__buf *out;           /* being filled; NULL outside etcd__h2_take_output() */
    size_t enough;            /* as told to it */
    uint64_t emitted;         /* bytes of output made so far, `early` included */
    etcd__h2_stream *opening; /* nghttp2 is about to hand out its HEADERS */
    etcd__hpack hpack;
    etcd__buf scratch;  /* for plans while they are made */
    bool out_of_memory; /* in a callback of nghttp2 */
    bool goaway_ours;   /* a GOAWAY that etcd__h2_goaway() queued */
    bool ping_under_way;

    /* Events that wait until nghttp2 has returned. */
    bool ready, ready_told;
    bool no_slots; /* on_slots is owed once there are some */
    bool ping_acked;
    bool exhausted_told;
    bool goaway_received, goaway_untold;
    uint32_t goaway_code;
    int32_t goaway_last_id;
    char goaway_debug[ETCD__H2_DEBUG_MAX];
    size_t goaway_debug_len;

    bool lost;          /* etcd__h2_connection_lost() was called */
    char reason[128];   /* nghttp2's words about the last thing it did not like */
    etcd_error failure; /* code != 0: the session is over */
};

/* limits.c */

/** Notes why the session is over; the first reason stays. */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
void etcd__h2_fail(etcd__h2 *h2, int code, const char *format, ...);

/** Copies the failure to `err` and returns its code. */
int etcd__h2_failed(const etcd__h2 *h2, etcd_error *err);

/** Turns a negative result of nghttp2 into a failure, unless there is one. */
void etcd__h2_fail_nghttp2(etcd__h2 *h2, int result);

/** Looks at the frame headers in a slice of input that nghttp2 is about to get, also at those that nghttp2 ignores without a
 * word. */
void etcd__h2_scan(etcd__h2 *h2, const uint8_t *data, size_t len);

/** Counts the frames and bytes of a slice that nghttp2 has got, unless some were of use. */
void etcd__h2_check_idle(etcd__h2 *h2, size_t len);

/** We sent something of our own accord: the peer may answer. */
static inline void etcd__h2_restart_idle(etcd__h2 *h2)
{
    h2->idle_frames = h2->idle_bytes = 0;
}

/** Counts a header field of the block that arrives. Returns 0, or NGHTTP2_ERR_CALLBACK_FAILURE after noting the failure. */
int etcd__h2_count_field(etcd__h2 *h2, size_t name_len, size_t value_len);

/** Checks how much waits to be sent that no call of ours asked for. */
void etcd__h2_check_answers(etcd__h2 *h2);

/** Collects the first line of a peer that does not speak HTTP/2; fails the session once it is complete. */
void etcd__h2_not_http2(etcd__h2 *h2, const uint8_t *data, size_t len);

/* stream.c */

/** The listener of a stream, or NULL. */
etcd__h2_stream *etcd__h2_stream_find(etcd__h2 *h2, int32_t id);

/** Forgets its plan, which may hold secrets. */
void etcd__h2_stream_free_plan(etcd__h2 *h2, etcd__h2_stream *stream);

/** Unlinks a stream: nghttp2 no longer knows its listener. */
void etcd__h2_stream_detach(etcd__h2_stream *stream);

/** Detaches and tells on_close. */
void etcd__h2_stream_finish(etcd__h2_stream *stream, const etcd__h2_close *close);

/** RST_STREAM, and on_close with the same code. */
void etcd__h2_stream_abort(etcd__h2_stream *stream, uint32_t error_code);

/** Gives bytes back to the stream's window, in large steps. Returns 0 or an error of nghttp2. */
int etcd__h2_stream_give_back(etcd__h2_stream *stream, size_t len);

/* output.c */

/** The callbacks of the sending side. */
void etcd__h2_output_callbacks(nghttp2_session_callbacks *callbacks);

/** The data source of every request. */
ssize_t etcd__h2_read_body(nghttp2_session *ng, int32_t stream_id, uint8_t *buf, size_t length, uint32_t *data_flags,
                           nghttp2_data_source *source, void *user_data);

/** Makes output until nghttp2 has none or GOAWAY was among it, into `early`: so a session that nghttp2 ended is noticed at once.
 */
void etcd__h2_flush_early(etcd__h2 *h2);

/* session.c */

/** Tells the events that had to wait. */
void etcd__h2_tell(etcd__h2 *h2);

#endif
