/* A gRPC server that does nothing but answer: every request stream gets the same pre-encoded message. It shows what a
 * client costs when the server costs almost nothing.
 *
 *   canned_server [--answer get|put] [--kvs N] [--value BYTES] [--spin 0|1] [--tls 0|1]
 *                 [--report 0|1]
 *
 * Prints "port N", then (not with --report 0) one line per connection that ended: its calls and bytes. Listens on the
 * loopback; ends with SIGTERM or with its parent. One thread, one epoll set. Frames by hand (raw.h); header blocks of
 * requests are not looked at. All that one read brought is answered with one write. Flow control is kept: answers that do not fit
 * into the windows wait in a queue of their connection. A WINDOW_UPDATE for a stream that is not being answered is
 * ignored, which loses nothing as long as clients send it for received bytes only. With --spin 1 the server never
 * sleeps while it has connections, so that a client does not wait for the kernel to wake it.
 */
#include "measure.h"
#include "raw.h"
#include "tls_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE 65536
#define OUT_HIGH ((size_t)256 * 1024)   /* answers stop growing the output here until it was written */
#define WINDOW_STEP ((uint32_t)1 << 20) /* received bytes are given back in steps */

/* The parts of an answer. `whole` holds all three frames of a short one, its stream ids to be filled in. */
typedef struct answer {
    raw_buf message, headers, trailers, whole;
} answer;

/* An answer that is under way. */
typedef struct pending {
    uint32_t stream;
    bool started;
    size_t sent;
    int64_t window;
} pending;

typedef struct conn {
    int fd;
    SSL *ssl; /* NULL: plaintext */
    bool wants_write, greeted;
    uint8_t *in;
    size_t in_len;
    raw_buf out;
    size_t out_sent;
    pending *queue;
    size_t n_queue, cap_queue;
    int64_t window, initial_window;
    uint32_t unreturned;
    uint64_t calls, bytes_in;
} conn;

static answer canned;
static int epoll;
static size_t n_conns;
static SSL_CTX *tls; /* NULL: plaintext */
static bool reports = true;

static void answer_build(const char *kind, size_t n_kvs, size_t value_len)
{
    raw_buf body = {0};
    uint8_t prefix[RAW_GRPC_PREFIX] = {0};

    if (strcmp(kind, "put") == 0)
        raw_put_response(&body);
    else
        raw_range_response(&body, n_kvs, value_len);
    raw_put32(prefix + 1, (uint32_t)body.len);
    raw_append(&canned.message, prefix, sizeof prefix);
    raw_append(&canned.message, body.data, body.len);
    free(body.data);
    raw_response_headers(&canned.headers);
    raw_response_trailers(&canned.trailers);
    if (canned.message.len > RAW_FRAME_MAX)
        return;
    raw_frame(&canned.whole, RAW_HEADERS, RAW_END_HEADERS, 0, canned.headers.data, canned.headers.len);
    raw_frame(&canned.whole, RAW_DATA, 0, 0, canned.message.data, canned.message.len);
    raw_frame(&canned.whole, RAW_HEADERS, RAW_END_HEADERS | RAW_END_STREAM, 0, canned.trailers.data, canned.trailers.len);
}

/* A short answer in one go. */
static void answer_whole(conn *c, uint32_t stream)
{
    const size_t data_at = RAW_FRAME_HEAD + canned.headers.len;
    uint8_t *out = raw_reserve(&c->out, canned.whole.len);

    memcpy(out, canned.whole.data, canned.whole.len);
    raw_put32(out + 5, stream);
    raw_put32(out + data_at + 5, stream);
    raw_put32(out + data_at + RAW_FRAME_HEAD + canned.message.len + 5, stream);
    c->out.len += canned.whole.len;
    c->window -= (int64_t)canned.message.len;
}

/* Puts as much of one answer into the output as windows and OUT_HIGH allow; true when it is complete. */
static bool answer_continue(conn *c, pending *p)
{
    if (!p->started)
        raw_frame(&c->out, RAW_HEADERS, RAW_END_HEADERS, p->stream, canned.headers.data, canned.headers.len);
    p->started = true;
    while (p->sent < canned.message.len) {
        const int64_t window = c->window < p->window ? c->window : p->window;
        size_t len = canned.message.len - p->sent;

        if (len > RAW_FRAME_MAX)
            len = RAW_FRAME_MAX;
        if (window <= 0 || c->out.len >= OUT_HIGH)
            return false;
        if (len > (size_t)window)
            len = (size_t)window;
        raw_frame(&c->out, RAW_DATA, 0, p->stream, canned.message.data + p->sent, len);
        p->sent += len;
        p->window -= (int64_t)len;
        c->window -= (int64_t)len;
    }
    raw_frame(&c->out, RAW_HEADERS, RAW_END_HEADERS | RAW_END_STREAM, p->stream, canned.trailers.data, canned.trailers.len);
    return true;
}

static void queue_continue(conn *c)
{
    size_t kept = 0;

    for (size_t i = 0; i < c->n_queue; i++) {
        if (c->out.len >= OUT_HIGH || c->window <= 0 || !answer_continue(c, &c->queue[i]))
            c->queue[kept++] = c->queue[i];
    }
    c->n_queue = kept;
}

static void answer_start(conn *c, uint32_t stream)
{
    const int64_t len = (int64_t)canned.message.len;

    c->calls++;
    if (c->n_queue == 0 && canned.whole.len != 0 && c->window >= len && c->initial_window >= len) {
        answer_whole(c, stream);
        return;
    }
    if (c->n_queue == c->cap_queue) {
        c->cap_queue = c->cap_queue * 2 + 64;
        c->queue = realloc(c->queue, c->cap_queue * sizeof *c->queue);
        if (c->queue == NULL)
            bench_die("out of memory");
    }
    c->queue[c->n_queue++] = (pending){.stream = stream, .window = c->initial_window};
}

static pending *queue_find(conn *c, uint32_t stream)
{
    for (size_t i = 0; i < c->n_queue; i++)
        if (c->queue[i].stream == stream)
            return &c->queue[i];
    return NULL;
}

static void on_settings(conn *c, const uint8_t *payload, raw_head head)
{
    if (head.flags & RAW_ACK)
        return;
    for (uint32_t at = 0; at + 6 <= head.len; at += 6) {
        const int64_t value = raw_get32(payload + at + 2);

        if (payload[at] != 0 || payload[at + 1] != RAW_INITIAL_WINDOW)
            continue;
        for (size_t i = 0; i < c->n_queue; i++)
            c->queue[i].window += value - c->initial_window;
        c->initial_window = value;
    }
    raw_frame(&c->out, RAW_SETTINGS, RAW_ACK, 0, NULL, 0);
}

static void on_window_update(conn *c, const uint8_t *payload, raw_head head)
{
    pending *p = head.stream != 0 ? queue_find(c, head.stream) : NULL;

    if (head.len != 4)
        return;
    if (head.stream == 0)
        c->window += raw_get32(payload);
    else if (p != NULL)
        p->window += raw_get32(payload);
}

static void on_frame(conn *c, const uint8_t *payload, raw_head head)
{
    pending *p;

    switch (head.type) {
    case RAW_DATA:
        c->unreturned += head.len;
        if (c->unreturned >= WINDOW_STEP) {
            raw_window_update(&c->out, 0, c->unreturned);
            c->unreturned = 0;
        }
        /* fallthrough */
    case RAW_HEADERS:
        if (head.flags & RAW_END_STREAM)
            answer_start(c, head.stream);
        break;
    case RAW_SETTINGS:
        on_settings(c, payload, head);
        break;
    case RAW_PING:
        if (!(head.flags & RAW_ACK))
            raw_frame(&c->out, RAW_PING, RAW_ACK, 0, payload, head.len);
        break;
    case RAW_WINDOW_UPDATE:
        on_window_update(c, payload, head);
        break;
    case RAW_RST_STREAM:
        p = queue_find(c, head.stream);
        if (p != NULL)
            *p = c->queue[--c->n_queue];
        break;
    default:
        break;
    }
}

/* Handles the complete frames in the input; false when the peer sent nonsense. */
static bool input_parse(conn *c)
{
    size_t at = 0;

    if (!c->greeted) {
        if (c->in_len < RAW_PREFACE_LEN)
            return true;
        if (memcmp(c->in, RAW_PREFACE, RAW_PREFACE_LEN) != 0)
            return false;
        c->greeted = true;
        at = RAW_PREFACE_LEN;
    }
    while (c->in_len - at >= RAW_FRAME_HEAD) {
        const raw_head head = raw_head_read(c->in + at);

        if (head.len > RAW_FRAME_MAX)
            return false;
        if (c->in_len - at < RAW_FRAME_HEAD + head.len)
            break;
        on_frame(c, c->in + at + RAW_FRAME_HEAD, head);
        at += RAW_FRAME_HEAD + head.len;
    }
    c->in_len -= at;
    memmove(c->in, c->in + at, c->in_len);
    return true;
}

/* Sends and receives as send() and recv() do, with EAGAIN in errno where TLS has to wait. */
static ssize_t conn_send(conn *c, const void *data, size_t len)
{
    int n, error;

    if (c->ssl == NULL)
        return send(c->fd, data, len, MSG_NOSIGNAL);
    n = SSL_write(c->ssl, data, (int)len);
    if (n > 0)
        return n;
    error = SSL_get_error(c->ssl, n);
    errno = error == SSL_ERROR_WANT_WRITE || error == SSL_ERROR_WANT_READ ? EAGAIN : EIO;
    return -1;
}

static ssize_t conn_recv(conn *c, void *data, size_t size)
{
    size_t got = 0;
    int n = 0, error;

    if (c->ssl == NULL)
        return recv(c->fd, data, size, 0);
    while (got < size && (n = SSL_read(c->ssl, (uint8_t *)data + got, (int)(size - got))) > 0)
        got += (size_t)n; /* all records that arrived */
    if (got > 0)
        return (ssize_t)got;
    error = SSL_get_error(c->ssl, n);
    errno = EAGAIN;
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? -1 : 0;
}

/* Writes until nothing is left or the socket is full; false when the connection is gone. */
static bool output_write(conn *c)
{
    bool full = false;

    do {
        queue_continue(c);
        while (c->out_sent < c->out.len) {
            const ssize_t n = conn_send(c, c->out.data + c->out_sent, c->out.len - c->out_sent);

            if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
                return false;
            full = n < 0;
            if (full)
                break;
            c->out_sent += (size_t)n;
        }
        if (!full)
            c->out.len = c->out_sent = 0;
    } while (!full && c->n_queue != 0 && c->window > 0 && c->queue[0].window > 0);
    if (full != c->wants_write) {
        struct epoll_event event = {.events = EPOLLIN | (full ? (uint32_t)EPOLLOUT : 0u), .data.ptr = c};

        c->wants_write = full;
        epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &event);
    }
    return true;
}

static void conn_accept(int listener)
{
    const int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;
    struct epoll_event event = {.events = EPOLLIN};
    conn *c;

    if (fd < 0)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    c = bench_alloc(sizeof *c);
    c->fd = fd;
    if (tls != NULL) {
        c->ssl = SSL_new(tls);
        if (c->ssl == NULL || SSL_set_fd(c->ssl, fd) != 1)
            bench_die("no TLS connection");
        SSL_set_accept_state(c->ssl);
    }
    c->in = bench_alloc(READ_SIZE + RAW_FRAME_MAX + RAW_FRAME_HEAD);
    c->window = c->initial_window = 65535;
    raw_settings(&c->out, (uint32_t)1 << 20);
    raw_window_update(&c->out, 0, (uint32_t)1 << 30);
    event.data.ptr = c;
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    n_conns++;
}

static void conn_free(conn *c)
{
    if (reports)
        printf("connection calls=%llu bytes=%llu\n", (unsigned long long)c->calls, (unsigned long long)c->bytes_in);
    fflush(stdout);
    n_conns--;
    SSL_free(c->ssl);
    close(c->fd);
    free(c->in);
    free(c->out.data);
    free(c->queue);
    free(c);
}

static void conn_event(conn *c, uint32_t events)
{
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        const ssize_t n = conn_recv(c, c->in + c->in_len, READ_SIZE);

        if (n > 0) {
            c->in_len += (size_t)n;
            c->bytes_in += (uint64_t)n;
        }
        if (n == 0 || (n < 0 && errno != EAGAIN) || !input_parse(c)) {
            conn_free(c);
            return;
        }
    }
    if (!output_write(c))
        conn_free(c);
}

static int listen_loopback(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    socklen_t len = sizeof address;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) < 0 || listen(fd, 64) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        bench_die("cannot listen");
    printf("port %u\n", (unsigned)ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

int main(int argc, char **argv)
{
    const char *kind = "get";
    size_t n_kvs = 1, value_len = 64;
    bool spin = false;
    struct epoll_event events[64];
    int listener;

    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--answer") == 0)
            kind = argv[i + 1];
        else if (strcmp(argv[i], "--kvs") == 0)
            n_kvs = strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--value") == 0)
            value_len = strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--spin") == 0)
            spin = argv[i + 1][0] == '1';
        else if (strcmp(argv[i], "--report") == 0)
            reports = argv[i + 1][0] == '1';
        else if (strcmp(argv[i], "--tls") == 0)
            tls = argv[i + 1][0] == '1' ? bench_tls_server_new() : NULL;
        else
            bench_die("unknown option %s", argv[i]);
    }
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    answer_build(kind, n_kvs, value_len);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0)
        bench_die("no epoll");
    listener = listen_loopback();
    for (;;) {
        const int n = epoll_wait(epoll, events, 64, spin && n_conns != 0 ? 0 : -1);

        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == NULL)
                conn_accept(listener);
            else
                conn_event(events[i].data.ptr, events[i].events);
        }
    }
}
