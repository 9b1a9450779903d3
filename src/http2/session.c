/* One HTTP/2 client session over nghttp2: construction and the receiving side. See session.h and internal.h.
 *
 * RFC 9113. nghttp2's own check of HTTP semantics is off (it costs as much as the rest of a header block); what this client
 * relies on is checked here: a response starts with ":status" of three digits (8.3.2), 1xx blocks are dropped and never end a
 * stream (8.1), no body comes before the headers. Header values are never forwarded to another protocol. */
#include "http2/internal.h"

#include "base/alloc.h"
#include "base/error.h"

#include <stdio.h>
#include <string.h>

#define DEFAULT_STREAM_WINDOW (16 * 1024 * 1024)
#define DEFAULT_CONNECTION_WINDOW (64 * 1024 * 1024)
#define DEFAULT_MAX_HEADER_LIST (64 * 1024)
#define DEFAULT_MAX_CONTROL_FRAMES 10000
#define DEFAULT_MAX_OUTPUT (64 * 1024)
#define RECEIVE_SLICE 65536 /* the limits on answers are checked at least this often */
#define MAX_STREAM_ID INT32_MAX

static void tell_goaway(etcd__h2 *h2)
{
    if (!h2->goaway_untold)
        return;
    h2->goaway_untold = false;
    if (h2->events->on_goaway)
        h2->events->on_goaway(h2->arg, h2->goaway_code, h2->goaway_last_id, h2->goaway_debug, h2->goaway_debug_len);
}

static void tell_ping(etcd__h2 *h2)
{
    if (!h2->ping_acked)
        return;
    h2->ping_acked = false;
    if (h2->events->on_ping_ack)
        h2->events->on_ping_ack(h2->arg);
}

/* What an earlier frame has to tell is told before what this one does, however the bytes are cut. */
static void tell_earlier(etcd__h2 *h2)
{
    tell_goaway(h2);
    tell_ping(h2);
}

static int on_begin_headers(nghttp2_session *ng, const nghttp2_frame *frame, void *user_data)
{
    etcd__h2 *h2 = user_data;

    (void)ng;
    tell_earlier(h2);
    h2->block_list = 0;
    h2->current = etcd__h2_stream_find(h2, frame->hd.stream_id);
    if (h2->current == NULL)
        h2->block = ETCD__H2_BLOCK_DEAD;
    else
        h2->block = h2->current->headers_seen ? ETCD__H2_BLOCK_FIELDS : ETCD__H2_BLOCK_STATUS;
    return 0;
}

static void abort_current(etcd__h2 *h2)
{
    etcd__h2_stream *stream = h2->current;

    h2->current = NULL;
    h2->block = ETCD__H2_BLOCK_DEAD;
    etcd__h2_stream_abort(stream, NGHTTP2_PROTOCOL_ERROR);
}

/* The first field of a response. Returns false when the block is malformed. */
static bool take_status(etcd__h2 *h2, const uint8_t *name, size_t name_len, const uint8_t *value, size_t value_len)
{
    if (name_len != 7 || memcmp(name, ":status", 7) != 0 || value_len != 3 || value[0] < '1' || value[0] > '9' ||
        value[1] < '0' || value[1] > '9' || value[2] < '0' || value[2] > '9')
        return false;
    h2->block = value[0] == '1' ? ETCD__H2_BLOCK_INFORMATIONAL : ETCD__H2_BLOCK_FIELDS;
    return true;
}

static int on_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name, size_t name_len, const uint8_t *value,
                     size_t value_len, uint8_t flags, void *user_data)
{
    etcd__h2 *h2 = user_data;
    etcd__h2_stream *stream = h2->current;

    (void)ng;
    (void)frame;
    (void)flags;
    if (etcd__h2_count_field(h2, name_len, value_len) != 0)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    if (stream == NULL || h2->block == ETCD__H2_BLOCK_INFORMATIONAL)
        return 0;
    if (h2->block == ETCD__H2_BLOCK_STATUS) {
        if (!take_status(h2, name, name_len, value, value_len)) {
            abort_current(h2);
            return 0;
        }
        if (h2->block == ETCD__H2_BLOCK_INFORMATIONAL)
            return 0;
    } else if (name_len > 0 && name[0] == ':') {
        abort_current(h2);
        return 0;
    }
    stream->events->on_header(stream, (const char *)name, name_len, (const char *)value, value_len, stream->headers_seen);
    return 0;
}

/* END_STREAM arrived, and nothing before it has closed the stream. A request that is still going out is cut off, as
 * PROTOCOL-HTTP2.md says under "Early Server Closure". */
static void peer_ended(etcd__h2 *h2, int32_t stream_id)
{
    etcd__h2_stream *stream = etcd__h2_stream_find(h2, stream_id);

    if (stream == NULL)
        return;
    if (stream->events->on_end) {
        stream->events->on_end(stream);
        stream = etcd__h2_stream_find(h2, stream_id);
    }
    if (stream != NULL && !stream->end_sent)
        etcd__h2_stream_abort(stream, NGHTTP2_NO_ERROR);
}

static void headers_received(etcd__h2 *h2, const nghttp2_frame *frame)
{
    etcd__h2_stream *stream = h2->current;
    bool end_stream = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    bool trailer;

    if (stream == NULL)
        return;
    if (h2->block == ETCD__H2_BLOCK_STATUS || (h2->block == ETCD__H2_BLOCK_INFORMATIONAL && end_stream)) {
        abort_current(h2);
        return;
    }
    h2->current = NULL;
    if (h2->block == ETCD__H2_BLOCK_INFORMATIONAL)
        return;
    h2->useful_in_slice = true;
    trailer = stream->headers_seen;
    stream->headers_seen = true;
    stream->events->on_headers_end(stream, trailer, end_stream);
    if (end_stream)
        peer_ended(h2, frame->hd.stream_id);
}

/* nghttp2 closes the streams above the id when this returns: on_goaway has to wait. */
static void goaway_received(etcd__h2 *h2, const nghttp2_goaway *goaway)
{
    h2->goaway_received = h2->goaway_untold = true;
    h2->goaway_code = goaway->error_code;
    h2->goaway_last_id = goaway->last_stream_id;
    h2->goaway_debug_len = goaway->opaque_data_len < ETCD__H2_DEBUG_MAX ? goaway->opaque_data_len : ETCD__H2_DEBUG_MAX;
    if (h2->goaway_debug_len > 0)
        memcpy(h2->goaway_debug, goaway->opaque_data, h2->goaway_debug_len);
}

static void settings_received(etcd__h2 *h2)
{
    h2->peer_max_streams = nghttp2_session_get_remote_settings(h2->ng, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    h2->peer_max_header_list = nghttp2_session_get_remote_settings(h2->ng, NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE);
    etcd__hpack_set_table_size(&h2->hpack, nghttp2_session_get_remote_settings(h2->ng, NGHTTP2_SETTINGS_HEADER_TABLE_SIZE));
    h2->ready = true;
}

static int on_frame_recv(nghttp2_session *ng, const nghttp2_frame *frame, void *user_data)
{
    etcd__h2 *h2 = user_data;

    (void)ng;
    tell_earlier(h2);
    switch (frame->hd.type) {
    case NGHTTP2_DATA:
        if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
            peer_ended(h2, frame->hd.stream_id);
        break;
    case NGHTTP2_HEADERS:
        headers_received(h2, frame);
        break;
    case NGHTTP2_SETTINGS:
        if (!(frame->hd.flags & NGHTTP2_FLAG_ACK))
            settings_received(h2);
        break;
    case NGHTTP2_PING:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) && h2->ping_under_way) {
            h2->ping_under_way = false;
            h2->ping_acked = true;
        }
        break;
    case NGHTTP2_GOAWAY:
        goaway_received(h2, &frame->goaway);
        break;
    default:
        break;
    }
    return h2->failure.code != ETCD_OK ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_data_chunk(nghttp2_session *ng, uint8_t flags, int32_t stream_id, const uint8_t *data, size_t len, void *user_data)
{
    etcd__h2 *h2 = user_data;
    etcd__h2_stream *stream = etcd__h2_stream_find(h2, stream_id);
    int rv;

    (void)ng;
    (void)flags;
    tell_earlier(h2);
    h2->unreturned += len;
    if (h2->unreturned >= (size_t)h2->config.connection_window / 2) {
        rv = nghttp2_session_consume_connection(ng, h2->unreturned);
        if (rv != 0)
            return NGHTTP2_ERR_CALLBACK_FAILURE;
        h2->unreturned = 0;
    }
    if (stream == NULL)
        return 0;
    if (!stream->headers_seen) {
        etcd__h2_stream_abort(stream, NGHTTP2_PROTOCOL_ERROR);
        return 0;
    }
    h2->useful_in_slice = true;
    if (stream->auto_consume && etcd__h2_stream_give_back(stream, len) != 0)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    stream->events->on_data(stream, data, len);
    return h2->failure.code != ETCD_OK ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_stream_close(nghttp2_session *ng, int32_t stream_id, uint32_t error_code, void *user_data)
{
    etcd__h2 *h2 = user_data;
    etcd__h2_stream *stream = etcd__h2_stream_find(h2, stream_id);
    etcd__h2_close close = {.error_code = error_code};

    (void)ng;
    h2->n_known--;
    if (stream == NULL)
        return 0;
    /* A peer that has answered and then says REFUSED_STREAM contradicts itself: nothing is proven (P1). */
    close.unprocessed = error_code == NGHTTP2_REFUSED_STREAM && !stream->headers_seen;
    etcd__h2_stream_finish(stream, &close);
    return 0;
}

static int on_error(nghttp2_session *ng, int lib_error_code, const char *message, size_t len, void *user_data)
{
    etcd__h2 *h2 = user_data;

    (void)ng;
    (void)lib_error_code;
    (void)snprintf(h2->reason, sizeof h2->reason, "%.*s", (int)(len < sizeof h2->reason ? len : sizeof h2->reason), message);
    return 0;
}

static nghttp2_session_callbacks *make_callbacks(void)
{
    nghttp2_session_callbacks *callbacks;

    if (nghttp2_session_callbacks_new(&callbacks) != 0)
        return NULL;
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_error_callback2(callbacks, on_error);
    etcd__h2_output_callbacks(callbacks);
    return callbacks;
}

static nghttp2_option *make_options(const etcd__h2_config *config)
{
    nghttp2_option *option;

    if (nghttp2_option_new(&option) != 0)
        return NULL;
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_http_messaging(option, 1);
    nghttp2_option_set_no_closed_streams(option, 1);
    nghttp2_option_set_max_outbound_ack(option, config->max_output); /* etcd__h2_check_answers() is met first */
    return option;
}

/* The callbacks and options are short-lived and the only memory that nghttp2 does not take from our allocator. */
static int make_nghttp2(etcd__h2 *h2)
{
    nghttp2_mem memory = etcd__h2_pool_functions(&h2->pool);
    nghttp2_session_callbacks *callbacks = make_callbacks();
    nghttp2_option *option = make_options(&h2->config);
    int rv = NGHTTP2_ERR_NOMEM;

    if (callbacks != NULL && option != NULL)
        rv = nghttp2_session_client_new3(&h2->ng, callbacks, h2, option, &memory);
    if (option != NULL)
        nghttp2_option_del(option);
    if (callbacks != NULL)
        nghttp2_session_callbacks_del(callbacks);
    return rv;
}

static int submit_preface(etcd__h2 *h2)
{
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, (uint32_t)h2->config.stream_window},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)h2->config.max_header_list},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };
    int rv = nghttp2_submit_settings(h2->ng, NGHTTP2_FLAG_NONE, settings, sizeof settings / sizeof settings[0]);

    if (rv == 0)
        rv = nghttp2_session_set_local_window_size(h2->ng, NGHTTP2_FLAG_NONE, 0, h2->config.connection_window);
    if (rv == 0 && h2->config.first_stream_id > 1)
        rv = nghttp2_session_set_next_stream_id(h2->ng, h2->config.first_stream_id);
    return rv;
}

static void set_config(etcd__h2_config *to, const etcd__h2_config *from)
{
    static const etcd__h2_config none;

    *to = from ? *from : none;
    if (to->stream_window == 0)
        to->stream_window = DEFAULT_STREAM_WINDOW;
    if (to->connection_window == 0)
        to->connection_window = DEFAULT_CONNECTION_WINDOW;
    if (to->max_header_list == 0)
        to->max_header_list = DEFAULT_MAX_HEADER_LIST;
    if (to->max_control_frames == 0)
        to->max_control_frames = DEFAULT_MAX_CONTROL_FRAMES;
    if (to->max_output == 0)
        to->max_output = DEFAULT_MAX_OUTPUT;
    if (to->first_stream_id == 0)
        to->first_stream_id = 1;
}

int etcd__h2_new(const etcd__h2_config *config, const etcd__h2_events *events, void *arg, etcd__h2 **out, etcd_error *err)
{
    etcd__h2 *h2 = etcd__calloc(1, sizeof *h2);

    *out = NULL;
    if (h2 == NULL)
        return etcd__error_no_memory(err);
    h2->events = events;
    h2->arg = arg;
    set_config(&h2->config, config);
    h2->next_id = (uint32_t)h2->config.first_stream_id;
    etcd__list_init(&h2->streams);
    h2->early.max = h2->scratch.max = SIZE_MAX;
    h2->no_slots = true;
    etcd__hpack_init(&h2->hpack);
    if (make_nghttp2(h2) != 0 || submit_preface(h2) != 0) {
        etcd__h2_free(h2);
        return etcd__error_no_memory(err);
    }
    *out = h2;
    return ETCD_OK;
}

void etcd__h2_free(etcd__h2 *h2)
{
    etcd__list *node;

    if (h2 == NULL)
        return;
    while ((node = h2->streams.next) != &h2->streams)
        etcd__h2_stream_detach(ETCD__CONTAINER_OF(node, etcd__h2_stream, link));
    if (!h2->pool.failed) /* else nghttp2 is not to be trusted with it: see memory.h */
        nghttp2_session_del(h2->ng);
    etcd__h2_pool_free(&h2->pool);
    etcd__buf_free(&h2->early);
    etcd__buf_free(&h2->scratch);
    etcd__free(h2);
}

static uint32_t ids_left(const etcd__h2 *h2)
{
    return h2->next_id > MAX_STREAM_ID ? 0 : ((uint32_t)MAX_STREAM_ID - h2->next_id) / 2 + 1;
}

size_t etcd__h2_stream_slots(const etcd__h2 *h2)
{
    size_t left;

    if (!h2->ready || h2->goaway_received || h2->goaway_ours || h2->lost || h2->failure.code != ETCD_OK)
        return 0;
    if (h2->n_known >= h2->peer_max_streams)
        return 0;
    left = h2->peer_max_streams - h2->n_known;
    return left < ids_left(h2) ? left : ids_left(h2);
}

size_t etcd__h2_streams_open(const etcd__h2 *h2)
{
    return h2->n_open;
}

static void tell_exhausted(etcd__h2 *h2)
{
    static const char debug[] = "stream ids exhausted";

    if (h2->exhausted_told || h2->goaway_received || ids_left(h2) > 0)
        return;
    h2->exhausted_told = true;
    if (h2->events->on_goaway)
        h2->events->on_goaway(h2->arg, NGHTTP2_NO_ERROR, MAX_STREAM_ID, debug, sizeof debug - 1);
}

static void tell_slots(etcd__h2 *h2)
{
    if (etcd__h2_stream_slots(h2) == 0) {
        h2->no_slots = true;
    } else if (h2->no_slots) {
        h2->no_slots = false;
        if (h2->events->on_slots)
            h2->events->on_slots(h2->arg);
    }
}

void etcd__h2_tell(etcd__h2 *h2)
{
    if (h2->ready && !h2->ready_told) {
        h2->ready_told = true;
        h2->no_slots = etcd__h2_stream_slots(h2) == 0;
        if (h2->events->on_ready)
            h2->events->on_ready(h2->arg);
    }
    tell_goaway(h2);
    tell_ping(h2);
    tell_exhausted(h2);
    tell_slots(h2);
}

static void receive_slice(etcd__h2 *h2, const uint8_t *data, size_t len)
{
    ssize_t taken = 0;

    etcd__h2_scan(h2, data, len);
    if (h2->failure.code == ETCD_OK)
        taken = nghttp2_session_mem_recv(h2->ng, data, len);
    if (taken < 0)
        etcd__h2_fail_nghttp2(h2, (int)taken);
    etcd__h2_check_idle(h2, len);
    etcd__h2_check_answers(h2);
    if (h2->failure.code != ETCD_OK)
        (void)nghttp2_session_terminate_session2(
            h2->ng, 0, h2->failure.code == ETCD_ERR_PROTOCOL ? NGHTTP2_ENHANCE_YOUR_CALM : NGHTTP2_INTERNAL_ERROR);
    if (h2->failure.code != ETCD_OK || !nghttp2_session_check_request_allowed(h2->ng))
        etcd__h2_flush_early(h2);
}

int etcd__h2_receive(etcd__h2 *h2, const uint8_t *data, size_t len, etcd_error *err)
{
    if (!h2->first_byte_seen && len > 0) {
        h2->first_byte_seen = true;
        h2->not_http2 = data[0] != 0;
    }
    h2->reason[0] = '\0';
    if (h2->not_http2 && h2->failure.code == ETCD_OK)
        etcd__h2_not_http2(h2, data, len);
    while (!h2->not_http2 && len > 0 && h2->failure.code == ETCD_OK) {
        size_t slice = len < RECEIVE_SLICE ? len : RECEIVE_SLICE;

        receive_slice(h2, data, slice);
        data += slice;
        len -= slice;
    }
    etcd__h2_tell(h2);
    return h2->failure.code != ETCD_OK ? etcd__h2_failed(h2, err) : ETCD_OK;
}
