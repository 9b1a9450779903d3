/* The fake server, tried with a client that is nothing but a socket and nghttp2: it must be trusted before the library is judged by it. */
#include "harness/fake_server.h"
#include "harness/test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { WAIT_MS = 20000, N_STREAMS = 8 };

/* PutRequest{key: "k", value: "v"}, RangeRequest{key: "k"} */
static const uint8_t put_kv[] = {0x0a, 1, 'k', 0x12, 1, 'v'};
static const uint8_t get_k[] = {0x0a, 1, 'k'};

/* ---- the client ---- */

typedef struct reply {
    int32_t id;
    char status[16], type[64], grpc_status[16], grpc_message[64];
    uint8_t body[4096];
    size_t body_len, body_total;
    size_t header_bytes;
    bool headers, closed;
    uint32_t code;
} reply;

typedef struct client {
    int fd;
    nghttp2_session *session;
    reply replies[N_STREAMS];
    size_t n_replies;
    uint8_t request[N_STREAMS][64];
    size_t request_len[N_STREAMS], request_sent[N_STREAMS];
    uint64_t bytes_read, bytes_written;
    bool eof, reset;
    int n_goaways;
    int32_t goaway_last;
    uint32_t goaway_code;
    char goaway_debug[64];
    int n_pings;
    bool settings;
} client;

static reply *reply_of(client *c, int32_t id)
{
    for (size_t i = 0; i < c->n_replies; i++)
        if (c->replies[i].id == id)
            return &c->replies[i];
    return NULL;
}

static void copy_text(char *out, size_t size, const uint8_t *value, size_t len)
{
    snprintf(out, size, "%.*s", (int)len, (const char *)value);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len, const uint8_t *value,
                     size_t value_len, uint8_t flags, void *arg)
{
    reply *r = reply_of(arg, frame->hd.stream_id);

    (void)session;
    (void)flags;
    r->header_bytes += name_len + value_len;
    if (strcmp((const char *)name, ":status") == 0)
        copy_text(r->status, sizeof r->status, value, value_len);
    if (strcmp((const char *)name, "content-type") == 0)
        copy_text(r->type, sizeof r->type, value, value_len);
    if (strcmp((const char *)name, "grpc-status") == 0)
        copy_text(r->grpc_status, sizeof r->grpc_status, value, value_len);
    if (strcmp((const char *)name, "grpc-message") == 0)
        copy_text(r->grpc_message, sizeof r->grpc_message, value, value_len);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *arg)
{
    reply *r = reply_of(arg, id);
    size_t n = len < sizeof r->body - r->body_len ? len : sizeof r->body - r->body_len;

    (void)session;
    (void)flags;
    memcpy(r->body + r->body_len, data, n);
    r->body_len += n;
    r->body_total += len;
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
    reply *r = reply_of(arg, id);

    (void)session;
    r->closed = true;
    r->code = code;
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    client *c = arg;

    (void)session;
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        c->n_goaways++;
        c->goaway_last = frame->goaway.last_stream_id;
        c->goaway_code = frame->goaway.error_code;
        copy_text(c->goaway_debug, sizeof c->goaway_debug, frame->goaway.opaque_data, frame->goaway.opaque_data_len);
    }
    c->n_pings += frame->hd.type == NGHTTP2_PING;
    if (frame->hd.type == NGHTTP2_HEADERS)
        reply_of(c, frame->hd.stream_id)->headers = true;
    c->settings = c->settings || frame->hd.type == NGHTTP2_SETTINGS;
    return 0;
}

static int dial(const char *endpoint)
{
    struct sockaddr_in tcp = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    bool is_unix = strncmp(endpoint, "unix://", 7) == 0;
    int fd = socket(is_unix ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), rc;

    assert_true(fd >= 0);
    if (is_unix) {
        snprintf(local.sun_path, sizeof local.sun_path, "%s", endpoint + 7);
        rc = connect(fd, (struct sockaddr *)&local, sizeof local);
    } else {
        tcp.sin_port = htons((uint16_t)strtol(strrchr(endpoint, ':') + 1, NULL, 10));
        rc = connect(fd, (struct sockaddr *)&tcp, sizeof tcp);
    }
    if (rc == 0)
        return fd;
    close(fd);
    return -1;
}

static client *client_open(const fake_server *server)
{
    client *c = calloc(1, sizeof *c);
    nghttp2_session_callbacks *callbacks;

    assert_non_null(c);
    c->fd = dial(fake_server_endpoint(server));
    assert_true(c->fd >= 0);
    assert_int_equal(nghttp2_session_callbacks_new(&callbacks), 0);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    assert_int_equal(nghttp2_session_client_new(&c->session, callbacks, c), 0);
    nghttp2_session_callbacks_del(callbacks);
    assert_int_equal(nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, NULL, 0), 0);
    return c;
}

static void client_close(client *c)
{
    nghttp2_session_del(c->session);
    close(c->fd);
    free(c);
}

static ssize_t read_request(nghttp2_session *session, int32_t id, uint8_t *out, size_t len, uint32_t *flags, nghttp2_data_source *source,
                            void *arg)
{
    client *c = arg;
    size_t i = (size_t)(reply_of(c, id) - c->replies), left = c->request_len[i] - c->request_sent[i];

    (void)session;
    (void)source;
    assert_true(left <= len);
    memcpy(out, c->request[i] + c->request_sent[i], left);
    c->request_sent[i] += left;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)left;
}

#define FIELD(name, value) {(uint8_t *)(uintptr_t)(name), (uint8_t *)(uintptr_t)(value), sizeof(name) - 1, strlen(value), 0}

static reply *client_call(client *c, const char *path, const void *payload, size_t len)
{
    const nghttp2_nv fields[] = {FIELD(":method", "POST"), FIELD(":scheme", "http"), FIELD(":path", path), FIELD(":authority", "x"),
                                 FIELD("te", "trailers"), FIELD("content-type", "application/grpc")};
    nghttp2_data_provider provider = {.read_callback = read_request};
    size_t i = c->n_replies++;

    assert_true(i < N_STREAMS && len + 5 <= sizeof c->request[i]);
    memcpy(c->request[i], (const uint8_t[]){0, 0, 0, 0, (uint8_t)len}, 5);
    memcpy(c->request[i] + 5, payload, len);
    c->request_len[i] = len + 5;
    c->replies[i].id = nghttp2_submit_request(c->session, NULL, fields, sizeof fields / sizeof fields[0], &provider, NULL);
    assert_true(c->replies[i].id > 0);
    return &c->replies[i];
}

static void flush(client *c)
{
    const uint8_t *data;
    ssize_t n;

    while (!c->eof && (n = nghttp2_session_mem_send(c->session, &data)) > 0) {
        ssize_t sent = send(c->fd, data, (size_t)n, MSG_NOSIGNAL);
        if (sent > 0)
            c->bytes_written += (uint64_t)sent;
        else
            c->reset = true;
    }
}

/* Reads and writes until `*flag` is set or the connection has ended; false after WAIT_MS without either. */
static bool pump(client *c, const bool *flag)
{
    uint8_t chunk[16384];

    while (!*flag && !c->eof) {
        struct pollfd ready = {c->fd, POLLIN, 0};
        ssize_t n;

        flush(c);
        if (poll(&ready, 1, WAIT_MS) != 1)
            return false;
        n = recv(c->fd, chunk, sizeof chunk, 0);
        if (n <= 0) {
            c->eof = true;
            c->reset = c->reset || n < 0;
            break;
        }
        c->bytes_read += (uint64_t)n;
        if (nghttp2_session_mem_recv(c->session, chunk, (size_t)n) < 0)
            c->eof = true;
    }
    flush(c);
    return true;
}

static bool pump_to_end(client *c)
{
    const bool never = false;

    return pump(c, &never);
}

/* ---- fixture ---- */

typedef struct fixture {
    fake_server *server;
    client *c;
} fixture;

static fixture start(void)
{
    fixture f = {fake_server_start(NULL), NULL};

    f.c = client_open(f.server);
    return f;
}

static void stop(fixture *f)
{
    client_close(f->c);
    fake_server_stop(f->server);
}

static reply *put(fixture *f)
{
    return client_call(f->c, FAKE_PUT, put_kv, sizeof put_kv);
}

/* ---- tests ---- */

static void check_put_and_get(const fake_options *options)
{
    fixture f = {fake_server_start(options), NULL};
    reply *r;
    fake_seen seen;

    f.c = client_open(f.server);
    r = put(&f);
    assert_true(pump(f.c, &r->closed));
    assert_string_equal(r->status, "200");
    assert_string_equal(r->type, "application/grpc");
    assert_string_equal(r->grpc_status, "0");
    assert_int_equal(fake_server_kv_count(f.server), 1);
    assert_int_equal(fake_server_kv_revision(f.server), 2);
    r = client_call(f.c, FAKE_RANGE, get_k, sizeof get_k);
    assert_true(pump(f.c, &r->closed));
    assert_string_equal(r->grpc_status, "0");
    assert_true(r->body_len > 5);
    assert_int_equal(r->body[4], r->body_len - 5);
    assert_int_equal(fake_server_count(f.server, FAKE_PUT), 1);
    assert_int_equal(fake_server_count(f.server, NULL), 2);
    assert_int_equal(fake_server_count_payload(f.server, FAKE_PUT, put_kv, sizeof put_kv), 1);
    assert_int_equal(fake_server_count_payload(f.server, FAKE_PUT, put_kv, sizeof put_kv - 1), 0);
    seen = fake_server_seen(f.server, 0);
    assert_string_equal(seen.method, FAKE_PUT);
    assert_string_equal(fake_seen_header(&seen, "te"), "trailers");
    assert_true(seen.complete && seen.handled && !seen.client_reset);
    assert_int_equal(fake_server_violations(f.server), 0);
    stop(&f);
}

static void put_and_get_over_tcp(void **state)
{
    (void)state;
    check_put_and_get(NULL);
}

static void put_and_get_over_unix(void **state)
{
    (void)state;
    check_put_and_get(&(fake_options){.unix_socket = true});
}

/* The answer must be byte for byte what etcd would send: field 1 header, then key, value and revisions. */
static void get_answers_what_was_put(void **state)
{
    static const uint8_t kv[] = {0x12, 0x0c, 0x0a, 1, 'k', 0x10, 2, 0x18, 2, 0x20, 1, 0x2a, 1, 'v', 0x20, 1};
    fixture f = start();
    reply *r = put(&f);

    (void)state;
    assert_true(pump(f.c, &r->closed));
    r = client_call(f.c, FAKE_RANGE, get_k, sizeof get_k);
    assert_true(pump(f.c, &r->closed));
    assert_true(r->body_len > sizeof kv);
    assert_memory_equal(r->body + r->body_len - sizeof kv, kv, sizeof kv);
    stop(&f);
}

static void unknown_methods_are_unimplemented(void **state)
{
    fixture f = start();
    reply *r = client_call(f.c, "/no.such/Method", put_kv, sizeof put_kv);

    (void)state;
    assert_true(pump(f.c, &r->closed));
    assert_string_equal(r->grpc_status, "12");
    assert_int_equal(r->body_total, 0);
    stop(&f);
}

static void answer_status(fake_request *request, void *arg)
{
    if (*(bool *)arg) {
        fake_reply_trailers_only(request, 14, "nobody home");
        return;
    }
    fake_reply_headers(request);
    fake_reply_payload(request, 0, "abc", 3);
    fake_reply_status(request, 5, NULL);
}

static void statuses_in_trailers_and_trailers_only(void **state)
{
    fixture f = start();
    bool only = true;
    reply *r;

    (void)state;
    fake_server_handle(f.server, FAKE_PUT, answer_status, &only);
    r = put(&f);
    assert_true(pump(f.c, &r->closed));
    assert_string_equal(r->grpc_status, "14");
    assert_string_equal(r->grpc_message, "nobody home");
    assert_int_equal(r->body_total, 0);
    only = false;
    r = put(&f);
    assert_true(pump(f.c, &r->closed));
    assert_string_equal(r->grpc_status, "5");
    assert_string_equal(r->grpc_message, "");
    assert_int_equal(r->body_total, 8);
    assert_memory_equal(r->body, "\0\0\0\0\3abc", 8);
    assert_int_equal(fake_server_kv_writes(f.server), 0);
    stop(&f);
}

static void answer_reset(fake_request *request, void *arg)
{
    int stage = *(int *)arg;

    if (stage > 0)
        fake_reply_headers(request);
    if (stage > 1)
        fake_reply_payload(request, 0, "abc", 3);
    fake_reply_reset(request, NGHTTP2_ENHANCE_YOUR_CALM);
}

static void resets_come_where_they_are_told(void **state)
{
    fixture f = start();

    (void)state;
    for (int stage = 0; stage < 3; stage++) {
        reply *r;

        fake_server_handle(f.server, FAKE_PUT, answer_reset, &stage);
        r = put(&f);
        assert_true(pump(f.c, &r->closed));
        assert_int_equal(r->code, NGHTTP2_ENHANCE_YOUR_CALM);
        assert_string_equal(r->status, stage > 0 ? "200" : "");
        assert_int_equal(r->body_total, stage > 1 ? 8 : 0);
    }
    stop(&f);
}

static void answer_early(fake_request *request, void *arg)
{
    *(bool *)arg = request->complete;
    fake_reply_trailers_only(request, 16, NULL);
}

static void early_handlers_run_before_the_body(void **state)
{
    fixture f = start();
    bool complete = true;
    reply *r;

    (void)state;
    fake_server_handle_early(f.server, FAKE_PUT, answer_early, &complete);
    r = put(&f);
    assert_true(pump(f.c, &r->closed));
    assert_string_equal(r->grpc_status, "16");
    assert_false(complete);
    stop(&f);
}

static void answer_gated(fake_request *request, void *arg)
{
    (void)arg;
    fake_reply_headers(request);
    fake_reply_gate(request, 3);
    fake_reply_status(request, 0, NULL);
}

static void gates_hold_answers(void **state)
{
    fixture f = start();
    reply *a, *b;

    (void)state;
    fake_server_handle(f.server, FAKE_PUT, answer_gated, NULL);
    a = put(&f);
    b = put(&f);
    flush(f.c);
    assert_true(fake_server_wait_gate(f.server, 3, 2, WAIT_MS));
    fake_server_gate_pass(f.server, 3);
    assert_true(pump(f.c, &a->closed));
    assert_false(b->closed);
    assert_false(fake_server_wait_gate(f.server, 3, 2, 1));
    fake_server_gate_open(f.server, 3);
    assert_true(pump(f.c, &b->closed));
    assert_string_equal(b->grpc_status, "0");
    stop(&f);
}

static void answer_nothing(fake_request *request, void *arg)
{
    (void)request;
    (void)arg;
}

static void client_resets_are_logged(void **state)
{
    fixture f = start();
    reply *r;
    fake_seen seen;

    (void)state;
    fake_server_handle(f.server, FAKE_PUT, answer_nothing, NULL);
    r = put(&f);
    flush(f.c);
    assert_true(fake_server_wait_requests(f.server, FAKE_PUT, 1, WAIT_MS));
    assert_false(fake_server_wait_requests(f.server, FAKE_PUT, 2, 1));
    nghttp2_submit_rst_stream(f.c->session, 0, r->id, NGHTTP2_CANCEL);
    r = client_call(f.c, FAKE_RANGE, get_k, sizeof get_k);
    assert_true(pump(f.c, &r->closed));
    seen = fake_server_seen(f.server, 0);
    assert_true(seen.client_reset && seen.closed);
    assert_int_equal(seen.reset_code, NGHTTP2_CANCEL);
    assert_int_equal(fake_server_conn(f.server, 0).resets, 1);
    stop(&f);
}

static void answer_goaway(fake_request *request, void *arg)
{
    (void)arg;
    fake_reply_goaway(request, 0x7fffffff, NGHTTP2_NO_ERROR, NULL);
    fake_reply_goaway(request, request->stream_id, NGHTTP2_ENHANCE_YOUR_CALM, "too_many_pings");
    fake_reply_kv(request);
    fake_reply_cut(request, FAKE_CUT_FIN);
}

static void goaways_are_sent_as_told(void **state)
{
    fixture f = start();
    reply *r;

    (void)state;
    fake_server_handle(f.server, FAKE_PUT, answer_goaway, NULL);
    r = put(&f);
    assert_true(pump_to_end(f.c));
    assert_int_equal(f.c->n_goaways, 2);
    assert_int_equal(f.c->goaway_last, r->id);
    assert_int_equal(f.c->goaway_code, NGHTTP2_ENHANCE_YOUR_CALM);
    assert_string_equal(f.c->goaway_debug, "too_many_pings");
    assert_string_equal(r->grpc_status, "0");
    assert_true(f.c->eof && !f.c->reset);
    assert_true(fake_server_conn(f.server, 0).cut);
    stop(&f);
}

static void settings_pings_and_goaways_outside_of_answers(void **state)
{
    fixture f = start();

    (void)state;
    assert_true(pump(f.c, &f.c->settings));
    fake_server_setting(f.server, 0, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 0);
    fake_server_ping(f.server, FAKE_ALL);
    fake_server_goaway(f.server, 0, 0, NGHTTP2_NO_ERROR, NULL);
    fake_server_cut(f.server, 0, FAKE_CUT_RST);
    assert_true(pump_to_end(f.c));
    assert_true(f.c->reset || f.c->n_goaways == 1);
    assert_true(fake_server_wait_closed(f.server, 1, WAIT_MS));
    assert_int_equal(fake_server_open_count(f.server), 0);
    stop(&f);
}

static void max_concurrent_streams_reaches_the_client(void **state)
{
    fixture f = start();

    (void)state;
    assert_true(pump(f.c, &f.c->settings));
    f.c->settings = false;
    fake_server_setting(f.server, 0, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 0);
    assert_true(pump(f.c, &f.c->settings)); /* perhaps the ACK of ours: */
    f.c->settings = false;
    if (nghttp2_session_get_remote_settings(f.c->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS) != 0)
        assert_true(pump(f.c, &f.c->settings));
    assert_int_equal(nghttp2_session_get_remote_settings(f.c->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS), 0);
    stop(&f);
}

static void connection_scripts(void **state)
{
    fake_server *server = fake_server_start(NULL);
    static const fake_script scripts[] = {
        {.kind = FAKE_CONN_CLOSE}, {.kind = FAKE_CONN_ABORT}, {.kind = FAKE_CONN_TEXT, .text = "HTTP/1.1 400\r\n\r\n", .text_len = 16}};
    char answer[64];

    (void)state;
    for (size_t i = 0; i < 3; i++)
        fake_server_script(server, &scripts[i]);
    for (size_t i = 0; i < 3; i++) {
        int fd = dial(fake_server_endpoint(server));
        ssize_t sent, n;

        assert_true(fd >= 0);
        sent = send(fd, "x", 1, MSG_NOSIGNAL);
        n = recv(fd, answer, sizeof answer, MSG_WAITALL);
        if (i == 1)
            assert_true(sent < 0 || n < 0); /* the reset is reported once, by either */
        else
            assert_int_equal(n, i == 0 ? 0 : 16);
        close(fd);
    }
    assert_true(fake_server_wait_closed(server, 3, WAIT_MS));
    assert_int_equal(fake_server_conn(server, 2).bytes_read, 1);
    fake_server_stop(server);
}

static void silent_connections_read_only(void **state)
{
    fake_server *server = fake_server_start(NULL);
    client *c;
    struct pollfd ready;

    (void)state;
    fake_server_script(server, &(fake_script){.kind = FAKE_CONN_SILENT});
    c = client_open(server);
    flush(c);
    ready = (struct pollfd){c->fd, POLLIN, 0};
    assert_int_equal(poll(&ready, 1, 50), 0);
    assert_true(fake_server_conn(server, 0).bytes_read > 0);
    client_close(c);
    fake_server_stop(server);
}

static void refuses_while_deaf(void **state)
{
    fake_server *server = fake_server_start(&(fake_options){.deaf = true});
    client *c;
    int fd = dial(fake_server_endpoint(server));

    (void)state;
    assert_int_equal(fd, -1);
    assert_int_equal(errno, ECONNREFUSED);
    fake_server_listen(server, true);
    c = client_open(server);
    assert_true(fake_server_wait_conns(server, 1, WAIT_MS));
    fake_server_listen(server, false);
    assert_int_equal(dial(fake_server_endpoint(server)), -1);
    assert_int_equal(fake_server_open_count(server), 1);
    fake_server_listen(server, true);
    client_close(c);
    fd = dial(fake_server_endpoint(server));
    assert_true(fd >= 0);
    close(fd);
    fake_server_stop(server);
}

static void cuts_after_exact_bytes(void **state)
{
    fixture f = start();
    reply *r = put(&f);
    uint64_t total;

    (void)state;
    assert_true(pump(f.c, &r->closed));
    total = f.c->bytes_read;
    stop(&f);
    for (int cut = FAKE_CUT_FIN; cut <= FAKE_CUT_RST; cut++)
        for (uint64_t at = 0; at < total; at += 7) {
            f.server = fake_server_start(NULL);
            fake_server_script(f.server, &(fake_script){.cut = (fake_cut)cut, .cut_side = FAKE_CUT_WRITTEN, .cut_at = at});
            f.c = client_open(f.server);
            put(&f);
            assert_true(pump_to_end(f.c));
            assert_int_equal(f.c->reset, cut == FAKE_CUT_RST);
            if (cut == FAKE_CUT_FIN)
                assert_int_equal(f.c->bytes_read, at);
            assert_int_equal(fake_server_conn(f.server, 0).bytes_written, at);
            stop(&f);
        }
}

static void cuts_when_exact_bytes_were_read(void **state)
{
    fixture f = start();
    reply *r = put(&f);
    uint64_t total;

    (void)state;
    flush(f.c);
    total = f.c->bytes_written;
    assert_true(pump(f.c, &r->closed));
    stop(&f);
    for (uint64_t at = 0; at <= total; at++) {
        f.server = fake_server_start(NULL);
        fake_server_script(f.server, &(fake_script){.cut = FAKE_CUT_FIN, .cut_side = FAKE_CUT_READ, .cut_at = at});
        f.c = client_open(f.server);
        r = put(&f);
        assert_true(pump_to_end(f.c));
        assert_false(f.c->reset);
        assert_string_equal(r->grpc_status, "");
        assert_int_equal(fake_server_conn(f.server, 0).bytes_read, at);
        assert_int_equal(fake_server_count(f.server, FAKE_PUT), at == total);
        stop(&f);
    }
}

static void answer_flood(fake_request *request, void *arg)
{
    fake_flood flood = *(fake_flood *)arg;

    if (flood == FAKE_FLOOD_EMPTY_DATA || flood == FAKE_FLOOD_DATA)
        fake_reply_headers(request);
    fake_reply_flood(request, flood);
}

static void floods_until_the_client_is_gone(void **state)
{
    (void)state;
    for (fake_flood flood = FAKE_FLOOD_PING; flood <= FAKE_FLOOD_INFORMATIONAL; flood++) {
        fake_server *server = fake_server_start(NULL);
        client *c = client_open(server);
        uint8_t chunk[65536];
        size_t total = 0;
        ssize_t n;

        fake_server_handle(server, FAKE_PUT, answer_flood, &flood);
        client_call(c, FAKE_PUT, put_kv, sizeof put_kv);
        flush(c);
        while (total < (4u << 20) && (n = recv(c->fd, chunk, sizeof chunk, 0)) > 0)
            total += (size_t)n;
        assert_true(total >= (4u << 20));
        client_close(c);
        assert_true(fake_server_wait_closed(server, 1, WAIT_MS));
        fake_server_stop(server);
    }
}

static void answer_giant(fake_request *request, void *arg)
{
    (void)arg;
    fake_reply_giant_headers(request, 40000);
}

static void giant_headers_are_well_formed(void **state)
{
    fixture f = start();
    reply *r;

    (void)state;
    fake_server_handle(f.server, FAKE_PUT, answer_giant, NULL);
    r = put(&f);
    assert_true(pump(f.c, &r->headers));
    assert_string_equal(r->status, "200");
    assert_true(r->header_bytes >= 39000);
    stop(&f);
}

static void answer_endless(fake_request *request, void *arg)
{
    (void)arg;
    fake_reply_headers(request);
    fake_reply_endless(request, 0xffffffff);
}

static void endless_messages_obey_the_window(void **state)
{
    fixture f = start();
    bool enough = false;
    reply *r;

    (void)state;
    fake_server_handle(f.server, FAKE_PUT, answer_endless, NULL);
    r = put(&f);
    for (int i = 0; i < 100 && r->body_total < 65535; i++) {
        struct pollfd ready = {f.c->fd, POLLIN, 0};
        uint8_t chunk[65536];
        ssize_t n;

        flush(f.c);
        assert_int_equal(poll(&ready, 1, WAIT_MS), 1);
        n = recv(f.c->fd, chunk, sizeof chunk, 0);
        assert_true(n > 0);
        assert_int_equal(nghttp2_session_mem_recv(f.c->session, chunk, (size_t)n), n);
        enough = r->body_total >= 65535;
    }
    assert_true(enough);
    assert_memory_equal(r->body, "\0\xff\xff\xff\xff\0\0", 7);
    stop(&f);
}

static void drips_single_bytes(void **state)
{
    fake_server *server = fake_server_start(NULL);
    int fd;
    uint8_t chunk[64];
    ssize_t n, total = 0;

    (void)state;
    fake_server_script(server, &(fake_script){.drip = true});
    fd = dial(fake_server_endpoint(server));
    n = recv(fd, chunk, sizeof chunk, 0); /* of its SETTINGS, an empty frame of 9 bytes */
    assert_true(n >= 1 && n < 9);
    for (total = n; total < 9; total += n)
        assert_true((n = recv(fd, chunk, sizeof chunk, 0)) > 0);
    assert_int_equal(total, 9);
    close(fd);
    fake_server_stop(server);
}

static void blackholes_do_not_answer(void **state)
{
    fake_blackhole hole;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct pollfd ready = {-1, POLLOUT, 0};

    (void)state;
    fake_blackhole_open(&hole);
    address.sin_port = htons((uint16_t)strtol(strrchr(hole.endpoint, ':') + 1, NULL, 10));
    ready.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(ready.fd, (struct sockaddr *)&address, sizeof address), -1);
    assert_int_equal(errno, EINPROGRESS);
    assert_int_equal(poll(&ready, 1, 100), 0);
    close(ready.fd);
    fake_blackhole_close(&hole);
}

static void answer_html(fake_request *request, void *arg)
{
    (void)arg;
    fake_reply_http(request, "502", "text/html");
    fake_reply_data(request, "<html>", 6, true);
}

static void http_errors(void **state)
{
    fixture f = start();
    reply *r;

    (void)state;
    fake_server_handle(f.server, NULL, answer_html, NULL);
    r = put(&f);
    assert_true(pump(f.c, &r->closed));
    assert_string_equal(r->status, "502");
    assert_string_equal(r->type, "text/html");
    assert_memory_equal(r->body, "<html>", 6);
    assert_string_equal(r->grpc_status, "");
    fake_server_handle(f.server, NULL, NULL, NULL);
    r = put(&f);
    assert_true(pump(f.c, &r->closed));
    assert_string_equal(r->grpc_status, "0");
    stop(&f);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(put_and_get_over_tcp),
    cmocka_unit_test(put_and_get_over_unix),
    cmocka_unit_test(get_answers_what_was_put),
    cmocka_unit_test(unknown_methods_are_unimplemented),
    cmocka_unit_test(statuses_in_trailers_and_trailers_only),
    cmocka_unit_test(resets_come_where_they_are_told),
    cmocka_unit_test(early_handlers_run_before_the_body),
    cmocka_unit_test(gates_hold_answers),
    cmocka_unit_test(client_resets_are_logged),
    cmocka_unit_test(goaways_are_sent_as_told),
    cmocka_unit_test(settings_pings_and_goaways_outside_of_answers),
    cmocka_unit_test(max_concurrent_streams_reaches_the_client),
    cmocka_unit_test(connection_scripts),
    cmocka_unit_test(silent_connections_read_only),
    cmocka_unit_test(refuses_while_deaf),
    cmocka_unit_test(cuts_after_exact_bytes),
    cmocka_unit_test(cuts_when_exact_bytes_were_read),
    cmocka_unit_test(floods_until_the_client_is_gone),
    cmocka_unit_test(giant_headers_are_well_formed),
    cmocka_unit_test(endless_messages_obey_the_window),
    cmocka_unit_test(drips_single_bytes),
    cmocka_unit_test(blackholes_do_not_answer),
    cmocka_unit_test(http_errors),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
