/* See h2_client.h. */
#include "harness/h2_client.h"

#include "harness/test.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static h2_reply *reply_of(h2_client *c, int32_t id)
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

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                     const uint8_t *value, size_t value_len, uint8_t flags, void *arg)
{
    h2_reply *r = reply_of(arg, frame->hd.stream_id);

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
    h2_reply *r = reply_of(arg, id);
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
    h2_reply *r = reply_of(arg, id);

    (void)session;
    r->closed = true;
    r->code = code;
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    h2_client *c = arg;

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

int h2_dial(const char *endpoint)
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

h2_client *h2_client_open(const char *endpoint)
{
    h2_client *c = calloc(1, sizeof *c);
    nghttp2_session_callbacks *callbacks;

    assert_non_null(c);
    c->fd = h2_dial(endpoint);
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

void h2_client_close(h2_client *c)
{
    nghttp2_session_del(c->session);
    close(c->fd);
    free(c);
}

static ssize_t read_request(nghttp2_session *session, int32_t id, uint8_t *out, size_t len, uint32_t *flags,
                            nghttp2_data_source *source, void *arg)
{
    h2_client *c = arg;
    size_t i = (size_t)(reply_of(c, id) - c->replies), left = c->request_len[i] - c->request_sent[i];

    (void)session;
    (void)source;
    assert_true(left <= len);
    memcpy(out, c->request[i] + c->request_sent[i], left);
    c->request_sent[i] += left;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)left;
}

#define FIELD(name, value) \
    { \
        (uint8_t *)(uintptr_t)(name), (uint8_t *)(uintptr_t)(value), sizeof(name) - 1, strlen(value), 0 \
    }

h2_reply *h2_client_call(h2_client *c, const char *path, const void *payload, size_t len)
{
    const nghttp2_nv fields[] = {FIELD(":method", "POST"), FIELD(":scheme", "http"), FIELD(":path", path),
                                 FIELD(":authority", "x"), FIELD("te", "trailers"),  FIELD("content-type", "application/grpc")};
    nghttp2_data_provider provider = {.read_callback = read_request};
    size_t i = c->n_replies++;

    assert_true(i < H2_CLIENT_STREAMS && len + 5 <= sizeof c->request[i]);
    memcpy(c->request[i], (const uint8_t[]){0, 0, 0, 0, (uint8_t)len}, 5);
    memcpy(c->request[i] + 5, payload, len);
    c->request_len[i] = len + 5;
    c->replies[i].id = nghttp2_submit_request(c->session, NULL, fields, sizeof fields / sizeof fields[0], &provider, NULL);
    assert_true(c->replies[i].id > 0);
    return &c->replies[i];
}

void h2_client_flush(h2_client *c)
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

bool h2_client_pump(h2_client *c, const bool *flag)
{
    uint8_t chunk[16384];

    while (!*flag && !c->eof) {
        struct pollfd ready = {c->fd, POLLIN, 0};
        ssize_t n;

        h2_client_flush(c);
        if (poll(&ready, 1, H2_CLIENT_WAIT_MS) != 1)
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
    h2_client_flush(c);
    return true;
}

bool h2_client_pump_to_end(h2_client *c)
{
    const bool never = false;

    return h2_client_pump(c, &never);
}
