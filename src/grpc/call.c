/* One gRPC call over one HTTP/2 stream. See call.h.
 *
 * The struct may be freed by its owner inside every event. So whoever calls an event and then goes on looks at a local flag that
 * `call->gone` points to; the end of a call, by whatever way, sets it. */
#include "grpc/call.h"

#include "base/alloc.h"
#include "base/error.h"
#include "grpc/status.h"
#include "grpc/timeout.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define H2_NO_ERROR 0
#define H2_PROTOCOL_ERROR 1
#define H2_CANCEL 8
#define EXACT_MAX 65536 /* up to here a message's block is allocated as announced; above, it grows with what arrives */
#define WORDS_MAX 512   /* our own words in a status, without a quoted body */

static etcd__grpc_call *call_of(etcd__h2_stream *stream)
{
    return ETCD__CONTAINER_OF(stream, etcd__grpc_call, stream);
}

static void release(etcd__grpc_call *call)
{
    if (call->gone != NULL)
        *call->gone = true;
    call->gone = NULL;
    etcd__free(call->message);
    etcd__free(call->status_message);
    etcd__free(call->strange_type);
    etcd__free(call->encoding);
    call->message = NULL;
    call->status_message = call->strange_type = call->encoding = NULL;
}

/* The stream is closed: frees all and tells the end. */
static void finish(etcd__grpc_call *call, etcd__grpc_status *status)
{
    status->out_of_memory = call->out_of_memory && status->code != ETCD__GRPC_OK;
    release(call);
    call->events->on_end(call, status);
}

/* Ends the call from our side with our own words. */
static void fail(etcd__grpc_call *call, int code, uint32_t reset_code, const char *words)
{
    etcd__grpc_status status = {.code = code, .origin = ETCD__GRPC_FROM_PEER_BUG, .message = words, .message_len = strlen(words)};

    etcd__h2_stream_reset(&call->stream, reset_code);
    finish(call, &status);
}

static void fail_too_large(etcd__grpc_call *call)
{
    char words[WORDS_MAX];
    etcd__grpc_status status = {.code = ETCD__GRPC_RESOURCE_EXHAUSTED, .origin = ETCD__GRPC_FROM_PEER_BUG, .too_large = true};

    (void)snprintf(words, sizeof words, "grpc: received message larger than max (%lu vs. %zu)", (unsigned long)call->message_len,
                   call->max_message);
    status.message = words;
    status.message_len = strlen(words);
    etcd__h2_stream_reset(&call->stream, H2_CANCEL);
    finish(call, &status);
}

static void fail_no_memory(etcd__grpc_call *call)
{
    call->out_of_memory = true;
    fail(call, ETCD__GRPC_RESOURCE_EXHAUSTED, H2_CANCEL, etcd_error_text(ETCD_ERR_NO_MEMORY));
}

/* Messages. */

/* Makes room for the next bytes of the message and the one behind it. */
static int grow(etcd__grpc_call *call)
{
    size_t want = (size_t)call->message_len + 1, cap = call->message_cap * 2;
    uint8_t *grown;

    if (call->message_have + 1 < call->message_cap || call->message_cap == want)
        return ETCD_OK;
    if (cap < EXACT_MAX)
        cap = EXACT_MAX;
    if (cap > want)
        cap = want;
    grown = etcd__realloc(call->message, cap);
    if (grown == NULL)
        return ETCD_ERR_NO_MEMORY;
    call->message = grown;
    call->message_cap = cap;
    return ETCD_OK;
}

/* The flag before a message says whether it is compressed; we never offer to take that. */
static void fail_flag(etcd__grpc_call *call)
{
    char words[WORDS_MAX], quoted[WORDS_MAX / 2];

    if (call->prefix[0] > 1) {
        (void)snprintf(words, sizeof words, "grpc: received unexpected payload format %u", (unsigned)call->prefix[0]);
    } else if (call->encoding == NULL) {
        (void)snprintf(words, sizeof words, "grpc: compressed flag set with identity or empty encoding");
    } else {
        (void)etcd__grpc_quote(quoted, sizeof quoted, call->encoding, strlen(call->encoding));
        (void)snprintf(words, sizeof words, "grpc: Decompressor is not installed for grpc-encoding %s", quoted);
    }
    fail(call, ETCD__GRPC_INTERNAL, H2_PROTOCOL_ERROR, words);
}

/* The prefix is complete. */
static void begin_message(etcd__grpc_call *call)
{
    const uint8_t *p = call->prefix;

    call->message_len = (uint32_t)p[1] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 8 | p[4];
    if (p[0] != 0) {
        fail_flag(call);
    } else if (call->message_len > call->max_message) {
        fail_too_large(call);
    } else if (call->unary && call->n_messages > 0) {
        fail(call, ETCD__GRPC_INTERNAL, H2_PROTOCOL_ERROR,
             "cardinality violation: expected <EOF> for non server-streaming RPCs, but received another message");
    } else {
        call->n_messages++;
        call->message_cap = call->message_have = 0;
        if (grow(call) < 0)
            fail_no_memory(call);
    }
}

static void end_message(etcd__grpc_call *call)
{
    uint8_t *data = call->message;

    call->prefix_len = 0;
    data[call->message_have] = 0;
    if (call->unary)
        return;
    call->message = NULL;
    call->events->on_message(call, data, call->message_have);
}

/* Takes bytes of the prefix or of the message; at least one. */
static size_t feed(etcd__grpc_call *call, const uint8_t *data, size_t len, const bool *gone)
{
    size_t taken;

    if (call->prefix_len < ETCD__GRPC_PREFIX) {
        taken = ETCD__GRPC_PREFIX - (size_t)call->prefix_len;
        if (taken > len)
            taken = len;
        memcpy(call->prefix + call->prefix_len, data, taken);
        call->prefix_len = (uint8_t)(call->prefix_len + taken);
        if (call->prefix_len == ETCD__GRPC_PREFIX)
            begin_message(call);
    } else {
        if (grow(call) < 0) {
            fail_no_memory(call);
            return len;
        }
        taken = call->message_cap - 1 - call->message_have;
        if (taken > len)
            taken = len;
        memcpy(call->message + call->message_have, data, taken);
        call->message_have += taken;
    }
    if (!*gone && call->prefix_len == ETCD__GRPC_PREFIX && call->message_have == call->message_len)
        end_message(call);
    return taken;
}

/* The start of a body that is no gRPC, for the words of the status. */
static void keep_foreign_body(etcd__grpc_call *call, const uint8_t *data, size_t len)
{
    if (call->message == NULL) {
        call->message = etcd__malloc(ETCD__GRPC_MAX_QUOTED);
        if (call->message == NULL) {
            fail_no_memory(call);
            return;
        }
    }
    if (len > ETCD__GRPC_MAX_QUOTED - call->message_have)
        len = ETCD__GRPC_MAX_QUOTED - call->message_have;
    memcpy(call->message + call->message_have, data, len);
    call->message_have += len;
}

/* Endings. */

static void finish_no_messages(etcd__grpc_call *call, etcd__grpc_status *status, const char *words)
{
    status->code = ETCD__GRPC_INTERNAL;
    status->origin = ETCD__GRPC_FROM_PEER_BUG;
    status->message = words;
    status->message_len = strlen(words);
    finish(call, status);
}

static void finish_ok(etcd__grpc_call *call)
{
    etcd__grpc_status status = {.code = ETCD__GRPC_OK, .origin = ETCD__GRPC_FROM_SERVER, .message = ""};
    bool gone = false;
    uint8_t *data = call->message;

    if (call->prefix_len > 0) {
        finish_no_messages(call, &status, "unexpected EOF: the server ended the stream inside a message");
        return;
    }
    if (call->unary && call->n_messages == 0) {
        finish_no_messages(call, &status, "cardinality violation: received no response message from non-server-streaming RPC");
        return;
    }
    if (call->unary) {
        call->message = NULL;
        call->gone = &gone;
        call->events->on_message(call, data, call->message_len);
        if (gone)
            return;
        call->gone = NULL;
    }
    finish(call, &status);
}

static void finish_status(etcd__grpc_call *call)
{
    etcd__grpc_status status = {.code = call->status_code, .origin = ETCD__GRPC_FROM_SERVER, .message = ""};
    char *message = call->status_message;

    if (message != NULL) {
        status.message = message;
        status.message_len = call->status_message_len;
        call->status_message = NULL;
    }
    finish(call, &status);
    etcd__free(message);
}

/* No grpc-status: the HTTP status decides. */
static void finish_http(etcd__grpc_call *call)
{
    char words[WORDS_MAX + 4 * ETCD__GRPC_MAX_QUOTED];
    etcd__grpc_status status = {
        .code = etcd__grpc_code_of_http(call->http_status), .origin = ETCD__GRPC_FROM_HTTP, .message = words};
    size_t n;

    n = (size_t)snprintf(words, WORDS_MAX, "unexpected HTTP status code received from server: %d (%s)", call->http_status,
                         etcd__grpc_http_text(call->http_status));
    if (call->strange_type != NULL)
        n += (size_t)snprintf(words + n, WORDS_MAX - n, "; transport: received unexpected content-type %s", call->strange_type);
    else if (!call->content_type_ok)
        n += (size_t)snprintf(words + n, WORDS_MAX - n, "; malformed header: missing HTTP content-type");
    if (!call->content_type_ok && call->message_have > 0) {
        n += (size_t)snprintf(words + n, WORDS_MAX - n, "\ndata: ");
        n += etcd__grpc_quote(words + n, sizeof words - n, call->message, call->message_have);
    }
    status.message_len = n;
    finish(call, &status);
}

static void finish_words(etcd__grpc_call *call, int code, const char *words)
{
    etcd__grpc_status status = {.code = code, .origin = ETCD__GRPC_FROM_PEER_BUG, .message = words, .message_len = strlen(words)};

    finish(call, &status);
}

/* The stream ended as it should. */
static void finish_ended(etcd__grpc_call *call)
{
    if (call->status_code > 0)
        finish_status(call);
    else if (!call->content_type_ok || (call->status_code == -1 && call->http_status != 200))
        finish_http(call);
    else if (call->status_code == 0)
        finish_ok(call);
    else if (call->status_code == -2)
        finish_words(call, ETCD__GRPC_UNKNOWN, "transport: malformed grpc-status");
    else if (call->trailers_seen)
        finish_words(call, ETCD__GRPC_UNKNOWN, "the server ended the call without a grpc-status");
    else
        finish_words(call, ETCD__GRPC_INTERNAL, "server closed the stream without sending trailers");
}

static void finish_reset(etcd__grpc_call *call, const etcd__h2_close *close)
{
    char words[128];
    const char *name = etcd__h2_error_name(close->error_code);
    etcd__grpc_status status = {.origin = ETCD__GRPC_FROM_RESET, .unprocessed = close->unprocessed, .message = words};

    status.code = etcd__grpc_code_of_reset(close->error_code);
    status.h2_error_code = close->error_code;
    if (name[0] == '?')
        (void)snprintf(words, sizeof words, "stream terminated by RST_STREAM with error code: 0x%lx",
                       (unsigned long)close->error_code);
    else
        (void)snprintf(words, sizeof words, "stream terminated by RST_STREAM with error code: %s", name);
    status.message_len = strlen(words);
    finish(call, &status);
}

/* Events of the stream. */

static bool is(const char *text, size_t len, const char *word, size_t word_len)
{
    return len == word_len && memcmp(text, word, word_len) == 0;
}

#define IS(text, len, word) is((text), (len), (word), sizeof(word) - 1)

static void take_content_type(etcd__grpc_call *call, const char *value, size_t len)
{
    static const char grpc[] = "application/grpc";
    size_t n = sizeof grpc - 1;
    char quoted[WORDS_MAX / 2];

    if (len >= n && strncasecmp(value, grpc, n) == 0 && (len == n || value[n] == '+' || value[n] == ';')) {
        call->content_type_ok = true;
        return;
    }
    if (call->content_type_ok || call->strange_type != NULL)
        return;
    (void)etcd__grpc_quote(quoted, sizeof quoted, value, len);
    call->strange_type = etcd__strdup(quoted);
    if (call->strange_type == NULL)
        call->out_of_memory = true;
}

static void take_message_text(etcd__grpc_call *call, const char *value, size_t len)
{
    if (call->status_message != NULL || len == 0)
        return;
    call->status_message = etcd__malloc(len);
    if (call->status_message == NULL)
        call->out_of_memory = true;
    else
        call->status_message_len = etcd__grpc_percent_decode(call->status_message, value, len);
}

static void take_encoding(etcd__grpc_call *call, const char *value, size_t len)
{
    if (call->encoding != NULL || len == 0 || IS(value, len, "identity"))
        return;
    call->encoding = etcd__strndup(value, len);
    if (call->encoding == NULL)
        call->out_of_memory = true;
}

static void on_header(etcd__h2_stream *stream, const char *name, size_t name_len, const char *value, size_t value_len,
                      bool trailer)
{
    etcd__grpc_call *call = call_of(stream);

    if (IS(name, name_len, ":status"))
        call->http_status = (value[0] - '0') * 100 + (value[1] - '0') * 10 + (value[2] - '0');
    else if (IS(name, name_len, "grpc-status"))
        call->status_code = etcd__grpc_status_parse(value, value_len);
    else if (IS(name, name_len, "grpc-message"))
        take_message_text(call, value, value_len);
    else if (IS(name, name_len, "content-type"))
        take_content_type(call, value, value_len);
    else if (IS(name, name_len, "grpc-encoding"))
        take_encoding(call, value, value_len);
    else if (call->events->on_metadata)
        call->events->on_metadata(call, name, name_len, value, value_len, trailer);
}

static void on_headers_end(etcd__h2_stream *stream, bool trailer, bool end_stream)
{
    etcd__grpc_call *call = call_of(stream);

    if (end_stream) {
        call->trailers_seen = true;
    } else if (trailer) {
        fail(call, ETCD__GRPC_INTERNAL, H2_PROTOCOL_ERROR, "a HEADERS frame cannot appear in the middle of a stream");
    } else {
        /* A status counts only where the stream ends. */
        call->status_code = -1;
        etcd__free(call->status_message);
        call->status_message = NULL;
    }
}

/* Not inlined, for gcc 12 would warn about the address of the flag that stays in a struct which is gone. */
__attribute__((noinline)) static void feed_all(etcd__grpc_call *call, const uint8_t *data, size_t len, bool *gone)
{
    call->gone = gone;
    while (len > 0 && !*gone) {
        size_t taken = feed(call, data, len, gone);

        data += taken;
        len -= taken;
    }
    if (!*gone)
        call->gone = NULL;
}

static void on_data(etcd__h2_stream *stream, const uint8_t *data, size_t len)
{
    etcd__grpc_call *call = call_of(stream);
    bool gone = false;

    if (!stream->auto_consume)
        call->held += len;
    if (call->content_type_ok)
        feed_all(call, data, len, &gone);
    else
        keep_foreign_body(call, data, len);
}

static void on_stream_end(etcd__h2_stream *stream)
{
    call_of(stream)->ended = true;
}

static void on_close(etcd__h2_stream *stream, const etcd__h2_close *close)
{
    etcd__grpc_call *call = call_of(stream);
    static const char words[] = "the connection was lost during the call";

    if (call->ended) {
        finish_ended(call);
    } else if (close->connection_lost) {
        etcd__grpc_status status = {.code = ETCD__GRPC_UNAVAILABLE, .origin = ETCD__GRPC_FROM_CONNECTION, .message = words};

        status.message_len = sizeof words - 1;
        status.unprocessed = close->unprocessed;
        finish(call, &status);
    } else {
        finish_reset(call, close);
    }
}

static const etcd__h2_stream_events stream_events = {
    .on_header = on_header,
    .on_headers_end = on_headers_end,
    .on_data = on_data,
    .on_end = on_stream_end,
    .on_close = on_close,
};

/* The functions of call.h. */

void etcd__grpc_prefix_write(uint8_t prefix[ETCD__GRPC_PREFIX], uint32_t len)
{
    prefix[0] = 0;
    prefix[1] = (uint8_t)(len >> 24);
    prefix[2] = (uint8_t)(len >> 16);
    prefix[3] = (uint8_t)(len >> 8);
    prefix[4] = (uint8_t)len;
}

#define FIXED_HEADERS 8

static void set_header(etcd__h2_header *header, const char *name, const char *value, size_t value_len)
{
    header->name = name;
    header->name_len = strlen(name);
    header->value = value;
    header->value_len = value_len;
    header->never_index = header->varying = false;
    header->constant = true;
}

/* The order of PROTOCOL-HTTP2.md: reserved fields, timeout, the rest of Call-Definition, metadata. */
static size_t make_headers(etcd__h2_header *headers, const etcd__grpc_request *request, char *timeout)
{
    size_t n = 0;

    set_header(&headers[n++], ":method", "POST", 4);
    set_header(&headers[n++], ":scheme", request->scheme, strlen(request->scheme));
    set_header(&headers[n++], ":path", request->path, request->path_len);
    set_header(&headers[n++], ":authority", request->authority, request->authority_len);
    if (request->timeout_ns >= 0) {
        set_header(&headers[n], "grpc-timeout", timeout, etcd__grpc_timeout_write(timeout, request->timeout_ns));
        headers[n].constant = false;
        headers[n++].varying = true;
    }
    set_header(&headers[n++], "te", "trailers", 8);
    set_header(&headers[n++], "content-type", "application/grpc", 16);
    if (request->user_agent != NULL)
        set_header(&headers[n++], "user-agent", request->user_agent, strlen(request->user_agent));
    for (size_t i = 0; i < request->n_metadata; i++)
        headers[n++] = request->metadata[i];
    return n;
}

int etcd__grpc_call_start(etcd__grpc_call *call, etcd__h2 *h2, const etcd__grpc_request *request,
                          const etcd__grpc_call_events *events, etcd_error *err)
{
    etcd__h2_header headers[FIXED_HEADERS + ETCD__GRPC_MAX_METADATA];
    char timeout[ETCD__GRPC_TIMEOUT_SIZE];

    if (request->n_metadata > ETCD__GRPC_MAX_METADATA)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "%zu metadata fields are more than %d", request->n_metadata,
                               ETCD__GRPC_MAX_METADATA);
    call->events = events;
    call->max_message = request->max_message;
    call->unary = request->unary;
    call->status_code = -1;
    call->stream.events = &stream_events;
    call->stream.auto_consume = true;
    return etcd__h2_stream_open(h2, &call->stream, headers, make_headers(headers, request, timeout), request->body,
                                request->body_len, request->half_close, err);
}

int etcd__grpc_call_send(etcd__grpc_call *call, const uint8_t *body, size_t len, bool half_close)
{
    return etcd__h2_stream_write(&call->stream, body, len, half_close);
}

void etcd__grpc_call_cancel(etcd__grpc_call *call)
{
    if (call->stream.session == NULL && call->gone == NULL)
        return;
    etcd__h2_stream_reset(&call->stream, H2_CANCEL);
    release(call);
}

void etcd__grpc_call_pause(etcd__grpc_call *call)
{
    call->stream.auto_consume = false;
}

void etcd__grpc_call_resume(etcd__grpc_call *call)
{
    call->stream.auto_consume = true;
    etcd__h2_stream_consumed(&call->stream, call->held);
    call->held = 0;
}
