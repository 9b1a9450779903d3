/* Answers: fake_reply_*() queue steps on a stream, fake__steps_run() does them. A step begins when nghttp2 has given out all
 * of the one before it, so the order on the wire is the order of the calls. */
#include "harness/fake_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static fake_step *add_step(fake_request *request, fake_step_kind kind)
{
    fake_stream *stream = (fake_stream *)request;
    fake_step *step = fake__calloc(1, sizeof *step), **tail = &stream->steps;

    step->kind = kind;
    while (*tail)
        tail = &(*tail)->next;
    *tail = step;
    return step;
}

static void free_step(fake_step *step)
{
    for (size_t i = 0; i < step->n_headers; i++) {
        free((void *)(uintptr_t)step->headers[i].name);
        free((void *)(uintptr_t)step->headers[i].value);
    }
    free(step->headers);
    free(step->data);
    free(step);
}

static void pop_step(fake_stream *stream)
{
    fake_step *step = stream->steps;

    if (step->kind == FAKE_STEP_GATE && step->started && !step->done)
        stream->conn->server->gates[step->number].waiting--;
    stream->steps = step->next;
    free_step(step);
}

void fake__steps_free(fake_stream *stream)
{
    while (stream->steps)
        pop_step(stream);
}

void fake_reply_header_block(fake_request *request, const fake_header *headers, size_t n, bool end_stream)
{
    fake_step *step = add_step(request, FAKE_STEP_HEADERS);

    step->headers = fake__calloc(n + 1, sizeof *step->headers);
    for (size_t i = 0; i < n; i++) {
        step->headers[i].name = fake__strdup(headers[i].name);
        step->headers[i].value = fake__strdup(headers[i].value);
    }
    step->n_headers = n;
    step->end_stream = end_stream;
}

void fake_reply_http(fake_request *request, const char *status, const char *content_type)
{
    const fake_header headers[] = {{":status", status}, {"content-type", content_type}};

    fake_reply_header_block(request, headers, content_type ? 2 : 1, false);
}

void fake_reply_headers(fake_request *request)
{
    fake_reply_http(request, "200", "application/grpc");
}

void fake_reply_data(fake_request *request, const void *data, size_t len, bool end_stream)
{
    fake_step *step = add_step(request, FAKE_STEP_DATA);

    step->data = fake__memdup(data, len);
    step->len = len;
    step->end_stream = end_stream;
}

static void write_prefix(uint8_t prefix[5], uint8_t flag, uint32_t len)
{
    prefix[0] = flag;
    prefix[1] = (uint8_t)(len >> 24);
    prefix[2] = (uint8_t)(len >> 16);
    prefix[3] = (uint8_t)(len >> 8);
    prefix[4] = (uint8_t)len;
}

void fake_reply_payload(fake_request *request, uint8_t flag, const void *payload, size_t len)
{
    fake_step *step = add_step(request, FAKE_STEP_DATA);

    step->data = fake__calloc(1, len + 5);
    write_prefix(step->data, flag, (uint32_t)len);
    if (len > 0)
        memcpy(step->data + 5, payload, len);
    step->len = len + 5;
}

void fake_reply_message(fake_request *request, const etcd__pb_message *type, const void *message)
{
    size_t len = etcd__pb_encoded_size(type, message);
    fake_step *step = add_step(request, FAKE_STEP_DATA);

    step->data = fake__calloc(1, len + 5);
    write_prefix(step->data, 0, (uint32_t)len);
    etcd__pb_encode(type, message, step->data + 5, len);
    step->len = len + 5;
}

void fake_reply_endless(fake_request *request, uint32_t announced)
{
    fake_step *step = add_step(request, FAKE_STEP_ENDLESS);

    step->data = fake__calloc(1, 5);
    write_prefix(step->data, 0, announced);
    step->len = 5;
}

static void reply_status(fake_request *request, bool only, int code, const char *message)
{
    char number[16];
    const fake_header headers[] = {
        {":status", "200"}, {"content-type", "application/grpc"}, {"grpc-status", number}, {"grpc-message", message}};

    snprintf(number, sizeof number, "%d", code);
    fake_reply_header_block(request, only ? headers : headers + 2, (only ? 3u : 1u) + (message ? 1u : 0u), true);
}

void fake_reply_status(fake_request *request, int code, const char *message)
{
    reply_status(request, false, code, message);
}

void fake_reply_trailers_only(fake_request *request, int code, const char *message)
{
    reply_status(request, true, code, message);
}

void fake_reply_kv(fake_request *request)
{
    fake_kv_handler(request, NULL);
}

void fake_reply_reset(fake_request *request, uint32_t h2_code)
{
    add_step(request, FAKE_STEP_RESET)->number = h2_code;
}

void fake_reply_raw(fake_request *request, const void *bytes, size_t len)
{
    fake_step *step = add_step(request, FAKE_STEP_RAW);

    step->data = fake__memdup(bytes, len);
    step->len = len;
}

void fake_reply_goaway(fake_request *request, int32_t last_stream_id, uint32_t h2_code, const char *debug)
{
    fake_step *step = add_step(request, FAKE_STEP_RAW);
    fake_bytes frame = {NULL, 0, 0};

    fake__raw_goaway(&frame, last_stream_id, h2_code, debug);
    step->data = frame.data;
    step->len = frame.len;
}

void fake_reply_cut(fake_request *request, fake_cut cut)
{
    add_step(request, FAKE_STEP_CUT)->number = (uint32_t)cut;
}

void fake_reply_flood(fake_request *request, fake_flood flood)
{
    add_step(request, FAKE_STEP_FLOOD)->number = (uint32_t)flood;
}

void fake_reply_giant_headers(fake_request *request, size_t bytes)
{
    add_step(request, FAKE_STEP_GIANT)->number = (uint32_t)bytes;
}

void fake_reply_giant_trailers(fake_request *request, size_t bytes)
{
    fake_step *step = add_step(request, FAKE_STEP_GIANT);

    step->number = (uint32_t)bytes;
    step->end_stream = true;
}

void fake_reply_gate(fake_request *request, int gate)
{
    if (gate < 0 || gate >= FAKE_N_GATES)
        fake__die("no such gate");
    add_step(request, FAKE_STEP_GATE)->number = (uint32_t)gate;
}

/* ---- doing ---- */

static void submit_headers(fake_stream *stream, const fake_step *step)
{
    nghttp2_nv *fields = fake__calloc(step->n_headers + 1, sizeof *fields);
    uint8_t flags = step->end_stream ? NGHTTP2_FLAG_END_STREAM : NGHTTP2_FLAG_NONE;

    for (size_t i = 0; i < step->n_headers; i++) {
        fields[i].name = (uint8_t *)(uintptr_t)step->headers[i].name;
        fields[i].namelen = strlen(step->headers[i].name);
        fields[i].value = (uint8_t *)(uintptr_t)step->headers[i].value;
        fields[i].valuelen = strlen(step->headers[i].value);
    }
    if (nghttp2_submit_headers(stream->conn->session, flags, stream->request.stream_id, NULL, fields, step->n_headers, NULL) != 0)
        fake__die("nghttp2_submit_headers");
    free(fields);
}

static ssize_t read_step(nghttp2_session *session, int32_t stream_id, uint8_t *out, size_t len, uint32_t *flags,
                         nghttp2_data_source *source, void *arg)
{
    fake_step *step = source->ptr;
    size_t left = step->len - step->sent, n = left < len ? left : len;

    (void)session;
    (void)stream_id;
    (void)arg;
    if (n > 0)
        memcpy(out, step->data + step->sent, n);
    step->sent += n;
    if (step->kind == FAKE_STEP_ENDLESS) {
        memset(out + n, 0, len - n);
        return (ssize_t)len;
    }
    if (step->sent == step->len) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        step->done = true;
    }
    return (ssize_t)n;
}

/* True when the step has to wait. */
static bool run_data(fake_stream *stream, fake_step *step)
{
    nghttp2_data_provider provider = {{.ptr = step}, read_step};
    uint8_t flags = step->end_stream ? NGHTTP2_FLAG_END_STREAM : NGHTTP2_FLAG_NONE;

    if (step->started)
        return !step->done;
    step->started = true;
    if (nghttp2_submit_data(stream->conn->session, flags, stream->request.stream_id, &provider) != 0)
        fake__die("nghttp2_submit_data");
    return true;
}

static bool run_gate(fake_stream *stream, fake_step *step)
{
    fake_gate *gate = &stream->conn->server->gates[step->number];

    if (!step->started) {
        step->started = true;
        gate->waiting++;
        fake__changed(stream->conn->server);
    }
    if (!gate->open && gate->passes == 0)
        return true;
    if (!gate->open)
        gate->passes--;
    gate->waiting--;
    step->done = true;
    return false;
}

static bool out_empty(const fake_conn *conn)
{
    return conn->out.len == conn->out_sent;
}

/* Does what concerns the whole connection. True when the step has to wait. */
static bool run_connection_step(fake_conn *conn, fake_stream *stream, const fake_step *step)
{
    switch (step->kind) {
    case FAKE_STEP_RAW:
        fake__bytes_append(&conn->out, step->data, step->len);
        return false;
    case FAKE_STEP_GIANT:
        fake__raw_giant_headers(&conn->out, stream->request.stream_id, step->number, step->end_stream);
        return false;
    case FAKE_STEP_FLOOD:
        conn->flood = (fake_flood)step->number;
        conn->flood_stream = stream->request.stream_id;
        return false;
    default: /* FAKE_STEP_CUT */
        if (!out_empty(conn))
            return true;
        fake__conn_cut(conn, (fake_cut)step->number);
        return false;
    }
}

static bool run_step(fake_stream *stream, fake_step *step)
{
    bool gone = stream->closed;

    switch (step->kind) {
    case FAKE_STEP_HEADERS:
        if (!gone)
            submit_headers(stream, step);
        return false;
    case FAKE_STEP_DATA:
    case FAKE_STEP_ENDLESS:
        return !gone && run_data(stream, step);
    case FAKE_STEP_RESET:
        if (!gone)
            nghttp2_submit_rst_stream(stream->conn->session, NGHTTP2_FLAG_NONE, stream->request.stream_id, step->number);
        return false;
    case FAKE_STEP_GATE:
        return run_gate(stream, step);
    default:
        return run_connection_step(stream->conn, stream, step);
    }
}

bool fake__steps_run(fake_stream *stream)
{
    fake_step *step = stream->steps;
    bool started;

    if (!step || !stream->conn->session)
        return false;
    started = step->started;
    if (run_step(stream, step))
        return !started && step->started && step->kind != FAKE_STEP_GATE;
    pop_step(stream);
    return true;
}
