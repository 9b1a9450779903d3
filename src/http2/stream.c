/* Streams of a session: opening, writing, flow control, resetting. See session.h and internal.h.
 *
 * nghttp2 knows a stream by its id and keeps a pointer to the etcd__h2_stream; that pointer is taken away the moment nobody
 * listens any more, so a stream struct may be freed while nghttp2 still has frames for it. */
#include "http2/internal.h"

#include "base/alloc.h"
#include "base/error.h"

#include <string.h>

#define MAX_OWN_HEADER_LIST 65535
#define DEFAULT_MAX_PENDING ((size_t)16 * 1024 * 1024)

etcd__h2_stream *etcd__h2_stream_find(etcd__h2 *h2, int32_t id)
{
    etcd__h2_stream *stream = h2->last_used;

    if (stream != NULL && stream->id == id)
        return stream;
    stream = nghttp2_session_get_stream_user_data(h2->ng, id);
    if (stream != NULL)
        h2->last_used = stream;
    return stream;
}

/* The size as RFC 9113 6.5.2 counts it, and whether one of the fields is a secret. */
static size_t header_list_size(const etcd__h2_header *headers, size_t n_headers, bool *secret)
{
    size_t size = 0;

    *secret = false;
    for (size_t i = 0; i < n_headers; i++) {
        size += headers[i].name_len + headers[i].value_len + 32;
        *secret |= headers[i].never_index;
    }
    return size;
}

/* nghttp2 gets no fields: its empty header block is replaced by ours when it is taken (output.c). */
static int32_t submit(etcd__h2 *h2, etcd__h2_stream *stream, bool empty)
{
    nghttp2_data_provider provider;

    provider.source.ptr = NULL;
    provider.read_callback = etcd__h2_read_body;
    return nghttp2_submit_request(h2->ng, NULL, NULL, 0, empty ? NULL : &provider, stream);
}

static int check_open(const etcd__h2 *h2, size_t size, etcd_error *err)
{
    size_t most = h2->peer_max_header_list < MAX_OWN_HEADER_LIST ? h2->peer_max_header_list : MAX_OWN_HEADER_LIST;

    if (etcd__h2_stream_slots(h2) == 0)
        return etcd__error_set(err, ETCD_ERR_UNSUPPORTED, "the connection can open no more streams now");
    if (size > most)
        return etcd__error_set(err, ETCD_ERR_TOO_LARGE, "the headers of the call take %zu bytes, more than %zu", size, most);
    return ETCD_OK;
}

void etcd__h2_stream_free_plan(etcd__h2 *h2, etcd__h2_stream *stream)
{
    if (stream->secret)
        etcd__wipe(stream->plan, stream->plan_len);
    if (stream->plan != stream->small_plan)
        etcd__h2_pool_give(&h2->pool, stream->plan);
    stream->plan = NULL;
}

static void drop_plan(etcd__h2 *h2, etcd__h2_stream *stream)
{
    etcd__hpack_drop(&h2->hpack);
    etcd__h2_stream_free_plan(h2, stream);
}

/* `size` is an upper bound; mostly the plan is much smaller. */
static int make_plan(etcd__h2 *h2, etcd__h2_stream *stream, const etcd__h2_header *headers, size_t n_headers, size_t size)
{
    int rc = etcd__buf_reserve(&h2->scratch, size);

    if (rc < 0)
        return rc;
    stream->plan_len = etcd__hpack_prepare(&h2->hpack, headers, n_headers, h2->scratch.data);
    stream->plan = stream->small_plan;
    if (stream->plan_len > sizeof stream->small_plan)
        stream->plan = etcd__h2_pool_take(&h2->pool, stream->plan_len);
    if (stream->plan != NULL)
        memcpy(stream->plan, h2->scratch.data, stream->plan_len);
    else
        etcd__hpack_drop(&h2->hpack);
    if (stream->secret)
        etcd__wipe(h2->scratch.data, stream->plan_len);
    return stream->plan != NULL ? ETCD_OK : ETCD_ERR_NO_MEMORY;
}

int etcd__h2_stream_open(etcd__h2 *h2, etcd__h2_stream *stream, const etcd__h2_header *headers, size_t n_headers,
                         const uint8_t *body, size_t body_len, bool half_close, etcd_error *err)
{
    size_t size = header_list_size(headers, n_headers, &stream->secret);
    int32_t id;
    int rc = check_open(h2, size, err);

    if (rc < 0)
        return rc;
    rc = make_plan(h2, stream, headers, n_headers, size);
    if (rc < 0)
        return etcd__error_no_memory(err);
    id = submit(h2, stream, half_close && body_len == 0);
    if (id < 0) {
        drop_plan(h2, stream);
        return id == NGHTTP2_ERR_NOMEM ? etcd__error_no_memory(err)
                                       : etcd__error_set(err, ETCD_ERR_UNSUPPORTED, "%s", nghttp2_strerror(id));
    }
    h2->next_id = (uint32_t)id + 2;
    stream->session = h2;
    stream->id = id;
    stream->body = body;
    stream->body_len = body_len;
    stream->body_sent = 0;
    stream->half_close = half_close;
    stream->open_ended = !half_close;
    stream->proof_offset = UINT64_MAX;
    if (stream->pending.max == 0)
        stream->pending.max = DEFAULT_MAX_PENDING;
    etcd__list_push_back(&h2->streams, &stream->link);
    h2->n_open++;
    h2->n_known++;
    etcd__h2_restart_idle(h2);
    if (etcd__h2_stream_slots(h2) == 0)
        h2->no_slots = true;
    return ETCD_OK;
}

int etcd__h2_stream_write(etcd__h2_stream *stream, const uint8_t *data, size_t len, bool end)
{
    etcd__h2 *h2 = stream->session;
    int rc;

    if (h2 == NULL || stream->half_close)
        return ETCD_ERR_CLOSED;
    if (stream->pending_sent > 0 && stream->pending_sent >= stream->pending.len / 2) {
        etcd__buf_consume(&stream->pending, stream->pending_sent);
        stream->pending_sent = 0;
    }
    rc = etcd__buf_append(&stream->pending, data, len);
    if (rc < 0)
        return rc;
    if (stream->deferred && (len > 0 || end)) {
        if (nghttp2_session_resume_data(h2->ng, stream->id) == NGHTTP2_ERR_NOMEM) {
            stream->pending.len -= len;
            return ETCD_ERR_NO_MEMORY;
        }
        stream->deferred = false;
    }
    stream->half_close = end;
    etcd__h2_restart_idle(h2);
    return ETCD_OK;
}

/* In steps of half a window, so that most streams never need a WINDOW_UPDATE. */
int etcd__h2_stream_give_back(etcd__h2_stream *stream, size_t len)
{
    etcd__h2 *h2 = stream->session;
    int rv;

    stream->unreturned += len;
    if (stream->unreturned < (size_t)h2->config.stream_window / 2)
        return 0;
    rv = nghttp2_session_consume_stream(h2->ng, stream->id, stream->unreturned);
    if (rv != 0) {
        etcd__h2_fail_nghttp2(h2, rv);
        return rv;
    }
    stream->unreturned = 0;
    return 0;
}

void etcd__h2_stream_consumed(etcd__h2_stream *stream, size_t len)
{
    if (stream->session != NULL)
        (void)etcd__h2_stream_give_back(stream, len);
}

void etcd__h2_stream_detach(etcd__h2_stream *stream)
{
    etcd__h2 *h2 = stream->session;

    (void)nghttp2_session_set_stream_user_data(h2->ng, stream->id, NULL);
    if (h2->current == stream) {
        h2->current = NULL;
        h2->block = ETCD__H2_BLOCK_DEAD;
    }
    if (h2->opening == stream)
        h2->opening = NULL;
    if (h2->last_used == stream)
        h2->last_used = NULL;
    if (stream->plan != NULL)
        drop_plan(h2, stream);
    etcd__list_remove(&stream->link);
    h2->n_open--;
    stream->session = NULL;
    etcd__buf_free(&stream->pending);
}

void etcd__h2_stream_finish(etcd__h2_stream *stream, const etcd__h2_close *close)
{
    etcd__h2_stream_detach(stream);
    stream->events->on_close(stream, close);
}

void etcd__h2_stream_reset(etcd__h2_stream *stream, uint32_t error_code)
{
    etcd__h2 *h2 = stream->session;

    if (h2 == NULL)
        return;
    if (!h2->lost && nghttp2_submit_rst_stream(h2->ng, NGHTTP2_FLAG_NONE, stream->id, error_code) == NGHTTP2_ERR_NOMEM)
        etcd__h2_fail(h2, ETCD_ERR_NO_MEMORY, "%s", etcd_error_text(ETCD_ERR_NO_MEMORY));
    etcd__h2_stream_detach(stream);
}

void etcd__h2_stream_abort(etcd__h2_stream *stream, uint32_t error_code)
{
    etcd__h2_close close = {.error_code = error_code};

    etcd__h2_stream_reset(stream, error_code);
    stream->events->on_close(stream, &close);
}

const char *etcd__h2_error_name(uint32_t error_code)
{
    static const char *const names[] = {
        "NO_ERROR",
        "PROTOCOL_ERROR",
        "INTERNAL_ERROR",
        "FLOW_CONTROL_ERROR",
        "SETTINGS_TIMEOUT",
        "STREAM_CLOSED",
        "FRAME_SIZE_ERROR",
        "REFUSED_STREAM",
        "CANCEL",
        "COMPRESSION_ERROR",
        "CONNECT_ERROR",
        "ENHANCE_YOUR_CALM",
        "INADEQUATE_SECURITY",
        "HTTP_1_1_REQUIRED",
    };

    return error_code < sizeof names / sizeof names[0] ? names[error_code] : "?";
}
