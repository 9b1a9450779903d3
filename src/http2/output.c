/* The sending side of a session, and its end. See session.h and internal.h.
 *
 * Bodies go from where they lie straight into the caller's buffer (NGHTTP2_DATA_FLAG_NO_COPY). `emitted` counts every byte, so that each
 * stream knows the offset behind the byte without which the peer cannot act on it: that is the proof of "unprocessed". */
#include "http2/internal.h"

#include "base/error.h"

#include <string.h>

#define FRAME_HEADER 9
#define FIRST_RESERVE 4096
#define EARLY_MAX 65536

static size_t body_left(const etcd__h2_stream *stream)
{
    return stream->body_len - stream->body_sent + stream->pending.len - stream->pending_sent;
}

ssize_t etcd__h2_read_body(nghttp2_session *ng, int32_t stream_id, uint8_t *buf, size_t length, uint32_t *data_flags,
                           nghttp2_data_source *source, void *user_data)
{
    etcd__h2_stream *stream = nghttp2_session_get_stream_user_data(ng, stream_id);
    size_t left;

    (void)buf;
    (void)source;
    (void)user_data;
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
    etcd__h2_stream *stream = nghttp2_session_get_stream_user_data(ng, frame->hd.stream_id);

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

static void settle(etcd__h2 *h2)
{
    if (h2->unsettled == NULL)
        return;
    h2->unsettled->proof_offset = h2->emitted;
    h2->unsettled = NULL;
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

    if (frame->hd.type == NGHTTP2_GOAWAY)
        goaway_sent(h2, &frame->goaway);
    if (frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS)
        return 0;
    end_stream = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (frame->hd.type == NGHTTP2_DATA && !end_stream)
        return 0;
    stream = nghttp2_session_get_stream_user_data(ng, frame->hd.stream_id);
    if (stream == NULL)
        return 0;
    stream->end_sent = end_stream;
    if (frame->hd.type == NGHTTP2_HEADERS && (end_stream || stream->open_ended))
        h2->unsettled = stream;
    else if (frame->hd.type == NGHTTP2_DATA && !stream->open_ended)
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
    if (len > 0 && etcd__buf_append(h2->out, chunk, (size_t)len) < 0) {
        etcd__h2_fail(h2, ETCD_ERR_NO_MEMORY, "%s", etcd_error_text(ETCD_ERR_NO_MEMORY));
        return false;
    }
    h2->emitted += (uint64_t)len;
    settle(h2);
    return len > 0 && h2->failure.code == ETCD_OK;
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
    etcd__h2_progress(h2);
    return ETCD_OK;
}

void etcd__h2_goaway(etcd__h2 *h2)
{
    if (h2->goaway_ours || h2->lost || h2->failure.code != ETCD_OK)
        return;
    h2->goaway_ours = true;
    (void)nghttp2_submit_goaway(h2->ng, NGHTTP2_FLAG_NONE, 0, NGHTTP2_NO_ERROR, NULL, 0);
}
