/* One connection of the fake server: socket <-> nghttp2 session <-> streams, and the ways to end it.
 *
 * Everything written goes through `out`, whole frames at a time, so bytes made by hand (fake_raw.c) fall between frames. The
 * byte counts of cuts are exact: no more is read than may be read, and what was read last is processed but not answered. */
#include "harness/fake_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { OUT_ENOUGH = 1 << 20, READ_CHUNK = 65536 };

/* ---- the log ---- */

static fake_record *add_record(fake_conn *conn, int32_t stream_id)
{
    fake_server *server = conn->server;
    fake_record *record = fake__calloc(1, sizeof *record);

    if (server->n_records == server->cap_records) {
        server->cap_records = server->cap_records ? 2 * server->cap_records : 64;
        server->records = fake__realloc(server->records, server->cap_records * sizeof(fake_record *));
    }
    server->records[server->n_records++] = record;
    record->seen.conn = conn->index;
    record->seen.stream_id = stream_id;
    record->seen.method = "";
    record->seen.at_ns = fake__now();
    return record;
}

static void add_header(fake_record *record, const char *name, size_t name_len, const char *value, size_t value_len)
{
    fake_header header;

    if (record->seen.n_headers == record->cap_headers) {
        record->cap_headers = record->cap_headers ? 2 * record->cap_headers : 16;
        record->headers = fake__realloc(record->headers, record->cap_headers * sizeof *record->headers);
        record->seen.headers = record->headers;
    }
    header.name = strndup(name, name_len);
    header.value = strndup(value, value_len);
    if (!header.name || !header.value)
        fake__die("out of memory");
    record->headers[record->seen.n_headers++] = header;
    if (strcmp(header.name, ":path") == 0)
        record->seen.method = header.value;
}

/* ---- streams ---- */

static fake_stream *stream_of(fake_conn *conn, int32_t stream_id)
{
    fake_stream *stream = conn->streams;

    while (stream && stream->request.stream_id != stream_id)
        stream = stream->next;
    return stream;
}

static void stream_open(fake_conn *conn, int32_t stream_id)
{
    fake_stream *stream = fake__calloc(1, sizeof *stream), **tail = &conn->streams;

    stream->conn = conn;
    stream->record = add_record(conn, stream_id);
    stream->request.server = conn->server;
    stream->request.conn = conn->index;
    stream->request.stream_id = stream_id;
    stream->request.number = conn->server->n_records - 1;
    while (*tail)
        tail = &(*tail)->next;
    *tail = stream;
}

static void stream_free(fake_stream *stream)
{
    stream->record->seen.closed = true;
    fake__steps_free(stream);
    free(stream->body.data);
    free(stream->decoded);
    free(stream);
}

static void call_handler(fake_stream *stream, const fake_route *route)
{
    stream->handled = true;
    stream->record->seen.handled = stream->request.complete;
    if (route)
        route->handler(&stream->request, route->arg);
    else
        fake_kv_handler(&stream->request, NULL);
}

static void headers_complete(fake_stream *stream)
{
    const fake_route *route = fake__route(stream->conn->server, stream->record->seen.method);

    stream->request.method = stream->record->seen.method;
    if (route && route->early)
        call_handler(stream, route);
    stream->messages = route && route->messages;
}

/* The body must be exactly one gRPC message, which all requests of these tests are. */
static void take_payload(fake_stream *stream)
{
    const fake_bytes *body = &stream->body;
    fake_record *record = stream->record;
    size_t len = body->len < 5 ? 0 : body->len - 5;

    if (body->len < 5 || body->data[0] != 0 ||
        ((size_t)body->data[1] << 24 | (size_t)body->data[2] << 16 | (size_t)body->data[3] << 8 | body->data[4]) != len)
        stream->conn->log.violations++;
    record->payload = fake__memdup(len > 0 ? body->data + 5 : body->data, len);
    record->seen.payload = record->payload;
    record->seen.payload_len = len;
    stream->request.payload = record->payload;
    stream->request.payload_len = len;
}

static void handle_message(fake_stream *stream)
{
    const fake_route *route = fake__route(stream->conn->server, stream->request.method);

    if (route)
        route->handler(&stream->request, route->arg);
    fake__changed(stream->conn->server);
}

/* A message of a stream that has many: a request of its own in the log. */
static void message_complete(fake_stream *stream, const uint8_t *payload, size_t len)
{
    fake_conn *conn = stream->conn;
    fake_record *record = add_record(conn, stream->request.stream_id);

    record->seen.method = stream->request.method;
    record->payload = fake__memdup(payload, len);
    record->seen.payload = record->payload;
    record->seen.payload_len = len;
    record->seen.complete = record->seen.handled = true;
    stream->request.number = conn->server->n_records - 1;
    stream->request.payload = record->payload;
    stream->request.payload_len = len;
    stream->request.message = NULL;
    free(stream->decoded);
    stream->decoded = fake__decode(&stream->request);
    handle_message(stream);
}

/* The messages that have wholly arrived. */
static void take_messages(fake_stream *stream)
{
    fake_bytes *body = &stream->body;
    size_t at = 0;

    while (body->len - at >= 5) {
        const uint8_t *prefix = body->data + at;
        size_t len = (size_t)prefix[1] << 24 | (size_t)prefix[2] << 16 | (size_t)prefix[3] << 8 | prefix[4];

        if (body->len - at - 5 < len)
            break;
        message_complete(stream, prefix + 5, len);
        at += 5 + len;
    }
    body->len -= at;
    if (at > 0)
        memmove(body->data, body->data + at, body->len);
}

/* The client has ended its side of a stream of messages. */
static void messages_end(fake_stream *stream)
{
    stream->request.complete = true;
    stream->request.message = NULL;
    if (stream->body.len > 0)
        stream->conn->log.violations++;
    handle_message(stream);
}

static void request_complete(fake_stream *stream)
{
    if (stream->messages) {
        messages_end(stream);
        return;
    }
    take_payload(stream);
    stream->request.complete = true;
    stream->record->seen.complete = true;
    stream->record->seen.at_ns = fake__now();
    stream->decoded = fake__decode(&stream->request);
    if (!stream->handled)
        call_handler(stream, fake__route(stream->conn->server, stream->request.method));
    fake__changed(stream->conn->server);
}

/* ---- nghttp2's callbacks ---- */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    (void)session;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        stream_open(arg, frame->hd.stream_id);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                     const uint8_t *value, size_t value_len, uint8_t flags, void *arg)
{
    fake_stream *stream = stream_of(arg, frame->hd.stream_id);

    (void)session;
    (void)flags;
    if (stream && !stream->request.method)
        add_header(stream->record, (const char *)name, name_len, (const char *)value, value_len);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data, size_t len, void *arg)
{
    fake_stream *stream = stream_of(arg, stream_id);

    (void)session;
    (void)flags;
    if (stream)
        fake__bytes_append(&stream->body, data, len);
    if (stream && stream->messages)
        take_messages(stream);
    return 0;
}

static void count_frame(fake_conn *conn, const nghttp2_frame *frame)
{
    bool ack = frame->hd.flags & NGHTTP2_FLAG_ACK;

    switch (frame->hd.type) {
    case NGHTTP2_PING:
        ack ? conn->log.ping_acks++ : conn->log.pings++;
        break;
    case NGHTTP2_SETTINGS:
        ack ? conn->log.settings_acks++ : conn->log.settings++;
        conn->log.preface = true;
        break;
    case NGHTTP2_RST_STREAM:
        conn->log.resets++;
        break;
    case NGHTTP2_GOAWAY:
        conn->log.goaways++;
        conn->log.goaway_code = frame->goaway.error_code;
        break;
    default:
        return;
    }
    fake__changed(conn->server);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    fake_conn *conn = arg;
    fake_stream *stream = stream_of(conn, frame->hd.stream_id);

    (void)session;
    count_frame(conn, frame);
    if (!stream)
        return 0;
    if (frame->hd.type == NGHTTP2_RST_STREAM) {
        stream->record->seen.client_reset = true;
        stream->record->seen.reset_code = frame->rst_stream.error_code;
    }
    if (frame->hd.type == NGHTTP2_HEADERS && !stream->request.method)
        headers_complete(stream);
    if ((frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
        request_complete(stream);
    return 0;
}

static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int error, void *arg)
{
    fake_conn *conn = arg;

    (void)session;
    (void)frame;
    (void)error;
    conn->log.violations++;
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t code, void *arg)
{
    fake_stream *stream = stream_of(arg, stream_id);

    (void)session;
    (void)code;
    if (!stream)
        return 0;
    stream->closed = true;
    stream->record->seen.closed = true;
    if (stream->record->seen.client_reset)
        fake__steps_free(stream);
    fake__changed(stream->conn->server);
    return 0;
}

/* ---- life ---- */

static void session_start(fake_conn *conn)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_settings_entry settings[4];

    if (nghttp2_session_callbacks_new(&callbacks) != 0)
        fake__die("nghttp2_session_callbacks_new");
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    if (nghttp2_session_server_new(&conn->session, callbacks, conn) != 0)
        fake__die("nghttp2_session_server_new");
    nghttp2_session_callbacks_del(callbacks);
    for (size_t i = 0; i < conn->script.n_settings; i++)
        settings[i] = (nghttp2_settings_entry){conn->script.settings[i].id, conn->script.settings[i].value};
    if (!conn->script.no_settings &&
        nghttp2_submit_settings(conn->session, NGHTTP2_FLAG_NONE, settings, conn->script.n_settings) != 0)
        fake__die("nghttp2_submit_settings");
}

static void conn_close(fake_conn *conn)
{
    close(conn->fd);
    conn->fd = -1;
    conn->log.closed_ns = fake__now();
    for (fake_stream *stream; (stream = conn->streams) != NULL;) {
        conn->streams = stream->next;
        stream_free(stream);
    }
    nghttp2_session_del(conn->session);
    conn->session = NULL;
    free(conn->out.data);
    conn->out = (fake_bytes){NULL, 0, 0};
    conn->out_sent = 0;
    fake__changed(conn->server);
}

static void peer_closed(fake_conn *conn, bool reset)
{
    conn->log.peer_closed = true;
    conn->log.peer_reset = reset;
    conn_close(conn);
}

/* Nothing more is sent. The client's end is awaited, as closing a socket that holds unread bytes would reset it. */
static void send_fin(fake_conn *conn)
{
    conn->draining = true;
    conn->flood = FAKE_FLOOD_NONE;
    conn->out_sent = conn->out.len;
    shutdown(conn->fd, SHUT_WR);
}

/* Callers may be in the middle of a stream's steps or on another thread: the socket is closed later, by fake__conn_work(). */
void fake__conn_cut(fake_conn *conn, fake_cut cut)
{
    const struct linger hard = {1, 0};

    if (conn->fd < 0 || conn->draining || cut == FAKE_CUT_NONE)
        return;
    conn->log.cut = true;
    if (cut == FAKE_CUT_FIN) {
        send_fin(conn);
        return;
    }
    conn->draining = conn->abort = true;
    conn->flood = FAKE_FLOOD_NONE;
    conn->out_sent = conn->out.len;
    setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
}

void fake__conn_accept(fake_server *server, int fd)
{
    fake_conn *conn = fake__calloc(1, sizeof *conn);
    fake_queued *queued = server->scripts;

    if (server->n_conns == server->cap_conns) {
        server->cap_conns = server->cap_conns ? 2 * server->cap_conns : 16;
        server->conns = fake__realloc(server->conns, server->cap_conns * sizeof(fake_conn *));
    }
    conn->index = (int)server->n_conns;
    server->conns[server->n_conns++] = conn;
    conn->server = server;
    conn->fd = fd;
    conn->reading = true;
    conn->log.accepted_ns = fake__now();
    conn->script = server->rest;
    if (queued) {
        conn->script = queued->script;
        server->scripts = queued->next;
        free(queued);
    }
    conn->reading = !conn->script.never_read;
    conn->flood = conn->script.flood;
    if (conn->script.kind == FAKE_CONN_SERVE)
        session_start(conn);
    if (conn->script.kind == FAKE_CONN_CLOSE || conn->script.kind == FAKE_CONN_ABORT)
        fake__conn_cut(conn, conn->script.kind == FAKE_CONN_CLOSE ? FAKE_CUT_FIN : FAKE_CUT_RST);
    fake__changed(server);
    fake__conn_work(conn, false);
}

void fake__conn_free(fake_conn *conn)
{
    if (conn->fd >= 0)
        conn_close(conn);
    free(conn);
}

/* ---- output ---- */

static void drop_finished_streams(fake_conn *conn)
{
    for (fake_stream **at = &conn->streams, *stream; (stream = *at) != NULL;) {
        if (!stream->closed || stream->steps) {
            at = &stream->next;
            continue;
        }
        *at = stream->next;
        stream_free(stream);
    }
}

static void compact_output(fake_conn *conn)
{
    if (conn->out_sent < OUT_ENOUGH)
        return;
    conn->out.len -= conn->out_sent;
    memmove(conn->out.data, conn->out.data + conn->out_sent, conn->out.len);
    conn->out_sent = 0;
}

/* Takes what nghttp2 has to send; false when `out` is full before nghttp2 is empty. */
static bool drain_session(fake_conn *conn)
{
    while (conn->out.len - conn->out_sent < OUT_ENOUGH) {
        const uint8_t *data;
        ssize_t n = nghttp2_session_mem_send(conn->session, &data);

        if (n < 0)
            fake__die("nghttp2_session_mem_send");
        if (n == 0)
            return true;
        fake__bytes_append(&conn->out, data, (size_t)n);
    }
    return false;
}

static void fill_output(fake_conn *conn)
{
    bool progress = true;

    compact_output(conn);
    while (conn->session && conn->flood == FAKE_FLOOD_NONE && !conn->draining && drain_session(conn) && progress) {
        progress = false;
        for (fake_stream *stream = conn->streams; stream && conn->flood == FAKE_FLOOD_NONE; stream = stream->next)
            progress |= fake__steps_run(stream);
    }
    while (conn->flood != FAKE_FLOOD_NONE && conn->out.len - conn->out_sent < OUT_ENOUGH) {
        if (!conn->flooded && conn->session)
            drain_session(conn);
        fake__flood_fill(&conn->out, conn->flood, conn->flood_stream, !conn->flooded);
        conn->flooded = true;
    }
}

/* How much may be written now. */
static size_t write_limit(const fake_conn *conn)
{
    size_t n = conn->out.len - conn->out_sent;

    if (conn->script.cut != FAKE_CUT_NONE && conn->script.cut_side == FAKE_CUT_WRITTEN &&
        n > conn->script.cut_at - conn->log.bytes_written)
        n = (size_t)(conn->script.cut_at - conn->log.bytes_written);
    return conn->script.drip && n > 1 ? 1 : n;
}

static void write_output(fake_conn *conn)
{
    size_t limit;

    while ((limit = write_limit(conn)) > 0) {
        ssize_t n = send(conn->fd, conn->out.data + conn->out_sent, limit, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0) {
            if (errno != EAGAIN && errno != EINTR)
                peer_closed(conn, true);
            return;
        }
        conn->out_sent += (size_t)n;
        conn->log.bytes_written += (uint64_t)n;
        if (conn->out_sent == conn->out.len)
            conn->out.len = conn->out_sent = 0;
        if (conn->script.drip)
            return;
    }
}

static bool cut_is_due(const fake_conn *conn)
{
    const fake_script *script = &conn->script;

    return script->cut != FAKE_CUT_NONE &&
           (script->cut_side == FAKE_CUT_READ ? conn->log.bytes_read : conn->log.bytes_written) >= script->cut_at;
}

/* ---- input ---- */

static void feed(fake_conn *conn, const uint8_t *data, size_t len)
{
    ssize_t n;

    if (conn->draining)
        return;
    if (conn->script.kind == FAKE_CONN_TEXT && !conn->text_sent) {
        conn->text_sent = true;
        fake__bytes_append(&conn->out, conn->script.text, conn->script.text_len);
    }
    if (!conn->session || conn->flooded)
        return;
    n = nghttp2_session_mem_recv(conn->session, data, len);
    if (n < 0) { /* not HTTP/2, or a flood: nothing to answer any more */
        conn->log.violations++;
        send_fin(conn);
    }
}

static void read_input(fake_conn *conn)
{
    uint8_t chunk[READ_CHUNK];
    size_t limit = sizeof chunk;
    ssize_t n;

    if (!conn->draining && conn->script.cut != FAKE_CUT_NONE && conn->script.cut_side == FAKE_CUT_READ &&
        limit > conn->script.cut_at - conn->log.bytes_read)
        limit = (size_t)(conn->script.cut_at - conn->log.bytes_read);
    n = recv(conn->fd, chunk, limit, MSG_DONTWAIT);
    if (n > 0) {
        if (!conn->draining)
            conn->log.bytes_read += (uint64_t)n;
        feed(conn, chunk, (size_t)n);
    } else if (n == 0) {
        peer_closed(conn, false);
    } else if (errno != EAGAIN && errno != EINTR) {
        peer_closed(conn, true);
    }
}

/* ---- a turn ---- */

short fake__conn_events(const fake_conn *conn)
{
    short events = 0;

    if (conn->fd < 0)
        return 0;
    if (conn->reading || conn->draining)
        events |= POLLIN;
    if (!conn->draining && !conn->script.drip && (conn->flood != FAKE_FLOOD_NONE || conn->out.len > conn->out_sent))
        events |= POLLOUT;
    return events;
}

/* Whether the connection has done what it was there for. */
static bool is_finished(const fake_conn *conn)
{
    if (conn->out.len > conn->out_sent || conn->flood != FAKE_FLOOD_NONE)
        return false;
    if (conn->script.kind == FAKE_CONN_TEXT)
        return conn->text_sent && !conn->script.text_keep_open;
    return conn->session && !nghttp2_session_want_read(conn->session) && !nghttp2_session_want_write(conn->session);
}

/* Makes and writes output until there is none, the socket is full, or a step ends the connection. */
static void pump(fake_conn *conn)
{
    uint64_t before;

    do {
        before = conn->log.bytes_written;
        fill_output(conn);
        if (!conn->draining)
            write_output(conn);
    } while (conn->fd >= 0 && !conn->draining && !conn->script.drip && conn->out.len == conn->out_sent &&
             conn->log.bytes_written > before);
    if (conn->fd >= 0 && !conn->draining && is_finished(conn))
        send_fin(conn);
}

void fake__conn_work(fake_conn *conn, bool readable)
{
    if (conn->fd >= 0 && readable && (conn->reading || conn->draining))
        read_input(conn);
    else if (conn->fd >= 0 && readable)
        peer_closed(conn, false);
    for (int round = 0; round < 2; round++) {
        if (conn->fd >= 0 && !conn->draining && cut_is_due(conn))
            fake__conn_cut(conn, conn->script.cut);
        if (conn->fd >= 0 && !conn->draining && round == 0)
            pump(conn);
    }
    if (conn->fd >= 0 && conn->abort)
        conn_close(conn);
    if (conn->fd >= 0)
        drop_finished_streams(conn);
}
