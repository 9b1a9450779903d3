/* The sending side of a session, and its end. See session.h and internal.h.
 *
 * Bodies go from where they lie straight into the caller's buffer (NGHTTP2_DATA_FLAG_NO_COPY). `emitted` counts every byte, so
 * that each stream knows the offset behind the byte without which the peer cannot act on it: that is the proof of "unprocessed".
 */
#include "http2/internal.h"

#include "base/error.h"

#include <string.h>

#define FRAME_HEADER 9
#define MAX_FRAME 16384 /* every peer takes payloads of that size */
#define FIRST_RESERVE 4096
#define EARLY_MAX 65536

static size_t body_left(const etcd__h2_stream *stream)
{
    return stream->body_len - stream->body_sent + stream->pending.len - stream->pending_sent;
}

ssize_t etcd__h2_read_body(nghttp2_session *ng, int32_t stream_id, uint8_t *buf, size_t length, uint32_t *data_flags,
                           nghttp2_data_source *source, void *user_data)
{
    etcd__h2_stream *stream = etcd__h2_stream_find(user_data, stream_id);
    size_t left;

    (void)ng;
    (void)buf;
    (void)source;
    if (stream == NULL)
        return NGHTTP2_ERR_DEFERRED; /* its RST_STREAM is on the way */
    left = body_left(stream);
    if (left == 0 && !stream->half_close) {
        stream->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    *data_flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (left > length)
        return (ssize_t)length;
    if (stream->half_close)
        *data_flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)left;
}

static void put(etcd__buf *out, const void *data, size_t len)
{
    memcpy(out->data + out->len, data, len);
    out->len += len;
}

static void put_body(etcd__h2_stream *stream, etcd__buf *out, size_t len)
{
    size_t borrowed = stream->body_len - stream->body_sent;

    if (borrowed > len)
        borrowed = len;
    if (borrowed > 0) {
        put(out, stream->body + stream->body_sent, borrowed);
        stream->body_sent += borrowed;
        len -= borrowed;
    }
    if (len > 0) {
        put(out, stream->pending.data + stream->pending_sent, len);
        stream->pending_sent += len;
    }
    if (stream->pending_sent > 0 && stream->pending_sent == stream->pending.len)
        stream->pending_sent = stream->pending.len = 0;
}

static int on_send_data(nghttp2_session *ng, nghttp2_frame *frame, const uint8_t *header, size_t length,
                        nghttp2_data_source *source, void *user_data)
{
    etcd__h2 *h2 = user_data;
    etcd__h2_stream *stream = etcd__h2_stream_find(h2, frame->hd.stream_id);

    (void)ng;
    (void)source;
    if (stream == NULL)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (etcd__buf_reserve(h2->out, FRAME_HEADER + length) < 0) {
        h2->out_of_memory = true;
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    put(h2->out, header, FRAME_HEADER);
    put_body(stream, h2->out, length);
    h2->emitted += FRAME_HEADER + length;
    return h2->out->len >= h2->enough ? NGHTTP2_ERR_PAUSE : 0;
}

static void put_frame_header(uint8_t *at, size_t len, uint8_t type, uint8_t flags, int32_t stream_id)
{
    at[0] = (uint8_t)(len >> 16);
    at[1] = (uint8_t)(len >> 8);
    at[2] = (uint8_t)len;
    at[3] = type;
    at[4] = flags;
    at[5] = (uint8_t)((uint32_t)stream_id >> 24);
    at[6] = (uint8_t)((uint32_t)stream_id >> 16);
    at[7] = (uint8_t)((uint32_t)stream_id >> 8);
    at[8] = (uint8_t)stream_id;
}

/* Makes room for the headers of CONTINUATION frames in a block of `len` bytes at `start` that is too long for one frame. */
static int split_block(etcd__buf *out, size_t start, size_t len, int32_t stream_id)
{
    size_t n_more = (len - 1) / MAX_FRAME;

    if (etcd__buf_reserve(out, n_more * FRAME_HEADER) < 0)
        return ETCD_ERR_NO_MEMORY;
    for (size_t i = n_more; i > 0; i--) {
        uint8_t *piece = out->data + start + i * MAX_FRAME;
        size_t piece_len = i == n_more ? len - i * MAX_FRAME : MAX_FRAME;

        memmove(piece + i * FRAME_HEADER, piece, piece_len);
        put_frame_header(piece + (i - 1) * FRAME_HEADER, piece_len, NGHTTP2_CONTINUATION,
                         i == n_more ? NGHTTP2_FLAG_END_HEADERS : NGHTTP2_FLAG_NONE, stream_id);
    }
    out->len += n_more * FRAME_HEADER;
    return ETCD_OK;
}

/* Puts our header block in the place of nghttp2's, whose HEADERS frame starts with `header`. */
static int put_headers(etcd__h2 *h2, const uint8_t *header)
{
    etcd__h2_stream *stream = h2->opening;
    etcd__buf *out = h2->out;
    size_t start = out->len, len;
    uint8_t flags = header[4] & NGHTTP2_FLAG_END_STREAM;

    if (etcd__buf_reserve(out, FRAME_HEADER) < 0)
        return ETCD_ERR_NO_MEMORY;
    out->len += FRAME_HEADER;
    if (etcd__hpack_encode(&h2->hpack, stream->plan, stream->plan_len, out) < 0)
        return ETCD_ERR_NO_MEMORY;
    etcd__h2_stream_free_plan(h2, stream);
    len = out->len - start - FRAME_HEADER;
    if (len > MAX_FRAME) {
        put_frame_header(out->data + start, MAX_FRAME, NGHTTP2_HEADERS, flags, stream->id);
        if (split_block(out, start + FRAME_HEADER, len, stream->id) < 0)
            return ETCD_ERR_NO_MEMORY;
    } else {
        put_frame_header(out->data + start, len, NGHTTP2_HEADERS, flags | NGHTTP2_FLAG_END_HEADERS, stream->id);
    }
    h2->emitted += out->len - start;
    if (stream->end_sent || stream->open_ended)
        stream->proof_offset = h2->emitted;
    h2->opening = NULL;
    return ETCD_OK;
}

/* nghttp2 ended the session: its GOAWAY carries the reason. */
static void goaway_sent(etcd__h2 *h2, const nghttp2_goaway *goaway)
{
    if (h2->goaway_ours && goaway->error_code == NGHTTP2_NO_ERROR)
        return;
    if (goaway->opaque_data_len > 0)
        etcd__h2_fail(h2, ETCD_ERR_PROTOCOL, "the peer broke HTTP/2: %.*s (%s)", (int)goaway->opaque_data_len,
                      (const char *)goaway->opaque_data, etcd__h2_error_name(goaway->error_code));
    else
        etcd__h2_fail(h2, ETCD_ERR_PROTOCOL, "the peer broke HTTP/2: %s%s%s", h2->reason, h2->reason[0] ? ": " : "",
                      etcd__h2_error_name(goaway->error_code));
}

/* DATA is in `out` already; of other frames nghttp2 hands out the bytes when this returns. */
static int on_frame_send(nghttp2_session *ng, const nghttp2_frame *frame, void *user_data)
{
    etcd__h2 *h2 = user_data;
    etcd__h2_stream *stream;
    bool end_stream;

    (void)ng;
    if (frame->hd.type == NGHTTP2_GOAWAY)
        goaway_sent(h2, &frame->goaway);
    if (frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS)
        return 0;
    end_stream = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (frame->hd.type == NGHTTP2_DATA && !end_stream)
        return 0;
    stream = etcd__h2_stream_find(h2, frame->hd.stream_id);
    if (stream == NULL)
        return 0;
    stream->end_sent = end_stream;
    if (frame->hd.type == NGHTTP2_HEADERS)
        h2->opening = stream;
    else if (!stream->open_ended)
        stream->proof_offset = h2->emitted;
    return 0;
}

void etcd__h2_output_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_send_data_callback(callbacks, on_send_data);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
}

/* One step of nghttp2 into h2->out. Returns whether there may be more. */
static bool send_step(etcd__h2 *h2)
{
    const uint8_t *chunk;
    ssize_t len;
    int rc;

    if (etcd__buf_reserve(h2->out, FIRST_RESERVE) < 0) {
        h2->out_of_memory = true;
        etcd__h2_fail_nghttp2(h2, NGHTTP2_ERR_NOMEM);
        return false;
    }
    len = nghttp2_session_mem_send(h2->ng, &chunk);
    if (len < 0) {
        etcd__h2_fail_nghttp2(h2, (int)len);
        return false;
    }
    if (len == 0)
        return false;
    if (h2->opening != NULL) {
        rc = put_headers(h2, chunk);
    } else {
        rc = etcd__buf_append(h2->out, chunk, (size_t)len);
        h2->emitted += (uint64_t)len;
    }
    if (rc < 0)
        etcd__h2_fail(h2, ETCD_ERR_NO_MEMORY, "%s", etcd_error_text(ETCD_ERR_NO_MEMORY));
    return h2->failure.code == ETCD_OK;
}

/* After a failure only the GOAWAY is wanted: it goes out before any body. */
void etcd__h2_flush_early(etcd__h2 *h2)
{
    bool failed = h2->failure.code != ETCD_OK;
    etcd_error failure = h2->failure;

    h2->out = &h2->early;
    h2->enough = EARLY_MAX;
    if (failed)
        h2->failure.code = ETCD_OK;
    while (h2->early.len < EARLY_MAX && send_step(h2))
        continue;
    if (failed)
        h2->failure = failure;
    h2->out = NULL;
}

int etcd__h2_take_output(etcd__h2 *h2, etcd__buf *out, size_t enough, etcd_error *err)
{
    if (h2->early.len > 0) {
        if (etcd__buf_append(out, h2->early.data, h2->early.len) < 0)
            return etcd__error_no_memory(err);
        h2->early.len = 0;
    }
    if (h2->failure.code != ETCD_OK)
        return ETCD_OK;
    h2->out = out;
    h2->enough = enough;
    while (out->len < enough && send_step(h2))
        continue;
    h2->out = NULL;
    etcd__h2_tell(h2);
    return h2->failure.code != ETCD_OK ? etcd__h2_failed(h2, err) : ETCD_OK;
}

bool etcd__h2_wants_output(const etcd__h2 *h2)
{
    return h2->early.len > 0 || (h2->failure.code == ETCD_OK && !h2->lost && nghttp2_session_want_write(h2->ng));
}

void etcd__h2_connection_lost(etcd__h2 *h2, uint64_t written)
{
    etcd__list *node;

    h2->lost = true;
    while ((node = h2->streams.next) != &h2->streams) {
        etcd__h2_stream *stream = ETCD__CONTAINER_OF(node, etcd__h2_stream, link);
        etcd__h2_close close = {.error_code = NGHTTP2_NO_ERROR, .connection_lost = true};

        close.unprocessed = !stream->headers_seen && stream->proof_offset > written;
        etcd__h2_stream_finish(stream, &close);
    }
}

int etcd__h2_ping(etcd__h2 *h2)
{
    if (h2->ping_under_way || h2->lost || h2->failure.code != ETCD_OK)
        return ETCD_OK;
    if (nghttp2_submit_ping(h2->ng, NGHTTP2_FLAG_NONE, NULL) != 0)
        return ETCD_ERR_NO_MEMORY;
    h2->ping_under_way = true;
    etcd__h2_restart_idle(h2);
    return ETCD_OK;
}

void etcd__h2_goaway(etcd__h2 *h2)
{
    if (h2->goaway_ours || h2->lost || h2->failure.code != ETCD_OK)
        return;
    h2->goaway_ours = true;
    (void)nghttp2_submit_goaway(h2->ng, NGHTTP2_FLAG_NONE, 0, NGHTTP2_NO_ERROR, NULL, 0);
}
