/* See fault_proxy.h. One thread runs poll() over everything; one lock guards everything, and is not held in poll().
 *
 * A connection has two pipes, one for each direction. A pipe takes bytes into chunks, each with the time at which it is due, and
 * hands them on in their order. The pipe reads on while it is held, up to its bound: so a test can wait until something is
 * held. */
#define _GNU_SOURCE /* accept4, ppoll */
#include "harness/fault_proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CHUNK_MAX 16384
#define PIPE_MAX ((size_t)256 << 10)
#define CONNECTIONS_MAX 4096
#define FOREVER INT64_MAX
#define MS INT64_C(1000000)
#define SECOND INT64_C(1000000000)
#define HEAD_MAX 1024 /* the first bytes of a client: the header of a request over HTTP/1.1 */

struct chunk {
    struct chunk *next;
    int64_t due;
    size_t len, done;
    uint8_t data[];
};

struct pipe {
    int from, to; /* descriptors of the connection */
    struct chunk *first, **last;
    size_t held; /* bytes in the chunks */
    uint64_t passed;
    uint64_t cut_at;  /* of `passed`; UINT64_MAX: never */
    int64_t free_at;  /* when the rate allows the next byte */
    bool ended, told; /* `from` has ended; `to` knows */
};

struct connection {
    int client, server; /* -1: closed */
    struct pipe up, down;
    int held; /* directions, besides those of the proxy */
    char head[HEAD_MAX];
    size_t head_len;
};

struct cut {
    int direction;
    uint64_t bytes;
};

struct fault_proxy {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int listener, holder, wake; /* `holder` keeps the port while nobody listens */
    struct sockaddr_in address, target;
    char endpoint[64];
    struct connection *connections[CONNECTIONS_MAX];
    size_t n, n_open;
    struct cut cuts[2048];
    size_t n_cuts;
    int64_t latency, rate;
    int held;
    char wanted[128]; /* connections with this in their head are held; "": none */
    bool stopping;
};

static void check(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "fault proxy: %s: %s\n", what, strerror(errno));
    abort();
}

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * SECOND + now.tv_nsec;
}

/* ---- connections ---- */

static void free_chunks(struct pipe *pipe)
{
    struct chunk *chunk;

    while ((chunk = pipe->first) != NULL) {
        pipe->first = chunk->next;
        free(chunk);
    }
    pipe->last = &pipe->first;
    pipe->held = 0;
}

static void close_socket(int *fd, bool reset)
{
    struct linger hard = {.l_onoff = 1, .l_linger = 0};

    if (reset)
        (void)setsockopt(*fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(*fd);
    *fd = -1;
}

static void end_connection(fault_proxy *proxy, struct connection *c, bool reset)
{
    if (c->client < 0)
        return;
    close_socket(&c->client, reset);
    close_socket(&c->server, reset);
    free_chunks(&c->up);
    free_chunks(&c->down);
    proxy->n_open--;
}

static void make_fast(int fd)
{
    int on = 1;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    check(fcntl(fd, F_SETFL, O_NONBLOCK) == 0, "fcntl");
}

static void init_pipe(struct pipe *pipe, int from, int to)
{
    *pipe = (struct pipe){.from = from, .to = to, .cut_at = UINT64_MAX};
    pipe->last = &pipe->first;
}

static void open_connection(fault_proxy *proxy, int client)
{
    struct connection *c = calloc(1, sizeof *c);

    check(c != NULL && proxy->n < CONNECTIONS_MAX, "too many connections");
    c->client = client;
    c->server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(c->server >= 0, "socket");
    make_fast(c->client);
    make_fast(c->server);
    init_pipe(&c->up, c->client, c->server);
    init_pipe(&c->down, c->server, c->client);
    if (proxy->n_cuts > 0) {
        struct pipe *pipe = proxy->cuts[0].direction == FAULT_UP ? &c->up : &c->down;

        pipe->cut_at = proxy->cuts[0].bytes;
        memmove(proxy->cuts, proxy->cuts + 1, --proxy->n_cuts * sizeof proxy->cuts[0]);
    }
    proxy->connections[proxy->n++] = c;
    proxy->n_open++;
    if (connect(c->server, (const struct sockaddr *)&proxy->target, sizeof proxy->target) < 0 && errno != EINPROGRESS)
        end_connection(proxy, c, true); /* the server is down: the client is told by a reset */
    else if (c->up.cut_at == 0 || c->down.cut_at == 0)
        end_connection(proxy, c, true);
}

static void accept_all(fault_proxy *proxy)
{
    int fd;

    while (proxy->listener >= 0 && (fd = accept4(proxy->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0)
        open_connection(proxy, fd);
}

/* ---- pipes ---- */

static void keep_head(struct connection *c, const struct chunk *chunk)
{
    size_t room = HEAD_MAX - 1 - c->head_len, n = chunk->len < room ? chunk->len : room;

    memcpy(c->head + c->head_len, chunk->data, n);
    c->head_len += n;
}

/* Takes what has come. False after an error of the socket. */
static bool take(fault_proxy *proxy, struct connection *c, struct pipe *pipe)
{
    while (!pipe->ended && pipe->held < PIPE_MAX) {
        struct chunk *chunk = malloc(sizeof *chunk + CHUNK_MAX);
        ssize_t n;

        check(chunk != NULL, "malloc");
        n = recv(pipe->from, chunk->data, CHUNK_MAX, 0);
        if (n > 0) {
            *chunk = (struct chunk){.due = now_ns() + proxy->latency, .len = (size_t)n};
            *pipe->last = chunk;
            pipe->last = &chunk->next;
            pipe->held += (size_t)n;
            if (pipe == &c->up)
                keep_head(c, chunk);
            continue;
        }
        free(chunk);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR || errno == ENOTCONN;
        pipe->ended = true;
    }
    return true;
}

/* How many bytes of the chunk may go now. */
static size_t allowed(const fault_proxy *proxy, const struct pipe *pipe, const struct chunk *chunk, int64_t now)
{
    uint64_t left = pipe->cut_at - pipe->passed;
    size_t len = chunk->len - chunk->done;

    if (chunk->due > now || pipe->free_at > now)
        return 0;
    if (proxy->rate > 0 && len > (size_t)(proxy->rate / 50 + 1))
        len = (size_t)(proxy->rate / 50 + 1);
    return len > left ? (size_t)left : len;
}

/* Hands on what may go. False when the connection has to be reset. */
static bool give(fault_proxy *proxy, struct pipe *pipe)
{
    int64_t now = now_ns();
    struct chunk *chunk;

    while ((chunk = pipe->first) != NULL) {
        size_t len = allowed(proxy, pipe, chunk, now);
        ssize_t n = len > 0 ? send(pipe->to, chunk->data + chunk->done, len, MSG_NOSIGNAL) : 0;

        if (n < 0)
            return errno == EAGAIN || errno == EINTR || errno == ENOTCONN;
        if (n == 0)
            break;
        chunk->done += (size_t)n;
        pipe->held -= (size_t)n;
        pipe->passed += (uint64_t)n;
        if (proxy->rate > 0)
            pipe->free_at = now + n * SECOND / proxy->rate;
        if (pipe->passed >= pipe->cut_at)
            return false;
        if (chunk->done < chunk->len)
            continue;
        pipe->first = chunk->next;
        if (pipe->first == NULL)
            pipe->last = &pipe->first;
        free(chunk);
    }
    if (pipe->ended && pipe->first == NULL && !pipe->told) {
        pipe->told = true;
        (void)shutdown(pipe->to, SHUT_WR);
    }
    return true;
}

/* ---- the thread ---- */

static bool is_stopped(const fault_proxy *proxy, const struct connection *c, int direction)
{
    if (proxy->wanted[0] != '\0' && strstr(c->head, proxy->wanted) != NULL)
        return true;
    return (proxy->held | c->held) & direction;
}

static short events_of(const struct pipe *in, const struct pipe *out, bool out_held)
{
    short events = 0;

    if (!in->ended && in->held < PIPE_MAX)
        events |= POLLIN;
    if (out->first != NULL && !out_held && out->first->due <= now_ns() && out->free_at <= now_ns())
        events |= POLLOUT;
    return events;
}

/* A descriptor without events is left out, as poll() would report its end for ever. */
static struct pollfd entry(int fd, short events)
{
    return (struct pollfd){.fd = events != 0 ? fd : -1, .events = events};
}

static size_t fill(fault_proxy *proxy, struct pollfd *fds)
{
    size_t n = 0;

    fds[n++] = (struct pollfd){.fd = proxy->wake, .events = POLLIN};
    fds[n++] = (struct pollfd){.fd = proxy->listener, .events = POLLIN};
    for (size_t i = 0; i < proxy->n; i++) {
        const struct connection *c = proxy->connections[i];

        if (c->client < 0)
            continue;
        fds[n++] = entry(c->client, events_of(&c->up, &c->down, is_stopped(proxy, c, FAULT_DOWN)));
        fds[n++] = entry(c->server, events_of(&c->down, &c->up, is_stopped(proxy, c, FAULT_UP)));
    }
    return n;
}

static int64_t next_due(const struct pipe *pipe, bool held)
{
    if (held || pipe->first == NULL)
        return FOREVER;
    return pipe->first->due > pipe->free_at ? pipe->first->due : pipe->free_at;
}

/* When something is due that waits for nothing but time. */
static int64_t next_time(const fault_proxy *proxy)
{
    int64_t now = now_ns(), next = FOREVER;

    for (size_t i = 0; i < proxy->n; i++) {
        const struct connection *c = proxy->connections[i];
        int64_t up = next_due(&c->up, is_stopped(proxy, c, FAULT_UP));
        int64_t down = next_due(&c->down, is_stopped(proxy, c, FAULT_DOWN));

        if (up > now && up < next)
            next = up;
        if (down > now && down < next)
            next = down;
    }
    return next;
}

static void work(fault_proxy *proxy)
{
    accept_all(proxy);
    for (size_t i = 0; i < proxy->n; i++) {
        struct connection *c = proxy->connections[i];

        if (c->client < 0)
            continue;
        if (!take(proxy, c, &c->up) || !take(proxy, c, &c->down) || (!is_stopped(proxy, c, FAULT_UP) && !give(proxy, &c->up)) ||
            (!is_stopped(proxy, c, FAULT_DOWN) && !give(proxy, &c->down)))
            end_connection(proxy, c, true);
        else if (c->up.told && c->down.told)
            end_connection(proxy, c, false);
    }
    pthread_cond_broadcast(&proxy->changed);
}

static void wait_for_work(fault_proxy *proxy)
{
    struct pollfd *fds = malloc((2 + 2 * proxy->n_open) * sizeof *fds);
    int64_t next = next_time(proxy), left = next == FOREVER ? 0 : next - now_ns();
    struct timespec wait = {.tv_sec = left > 0 ? left / SECOND : 0, .tv_nsec = left > 0 ? left % SECOND : 0};
    uint64_t wakes;
    size_t n;

    check(fds != NULL, "malloc");
    n = fill(proxy, fds);
    pthread_mutex_unlock(&proxy->lock);
    check(ppoll(fds, n, next == FOREVER ? NULL : &wait, NULL) >= 0 || errno == EINTR, "ppoll");
    if (read(proxy->wake, &wakes, sizeof wakes) < 0)
        check(errno == EAGAIN, "eventfd");
    free(fds);
    pthread_mutex_lock(&proxy->lock);
}

static void *run(void *arg)
{
    fault_proxy *proxy = arg;

    pthread_mutex_lock(&proxy->lock);
    while (!proxy->stopping) {
        work(proxy);
        wait_for_work(proxy);
    }
    pthread_mutex_unlock(&proxy->lock);
    return NULL;
}

/* ---- what tests tell it ---- */

static void unlock_and_wake(fault_proxy *proxy)
{
    uint64_t one = 1;

    pthread_mutex_unlock(&proxy->lock);
    check(write(proxy->wake, &one, sizeof one) == sizeof one, "eventfd");
}

/* A socket of the proxy's port; the first gets it from the system. */
static int bind_port(fault_proxy *proxy)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;
    socklen_t len = sizeof proxy->address;

    check(fd >= 0, "socket");
    check(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
              setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0,
          "setsockopt");
    check(bind(fd, (const struct sockaddr *)&proxy->address, sizeof proxy->address) == 0, "bind");
    check(getsockname(fd, (struct sockaddr *)&proxy->address, &len) == 0, "getsockname");
    return fd;
}

static void listen_on(fault_proxy *proxy)
{
    if (proxy->listener >= 0)
        return;
    proxy->listener = bind_port(proxy);
    check(listen(proxy->listener, 128) == 0, "listen");
}

fault_proxy *fault_proxy_start(const char *target)
{
    fault_proxy *proxy = calloc(1, sizeof *proxy);
    const char *port = strrchr(target, ':');
    pthread_condattr_t attributes;

    check(proxy != NULL && port != NULL, target);
    proxy->target = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)strtol(port + 1, NULL, 10))};
    proxy->target.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    proxy->address = proxy->target;
    proxy->address.sin_port = 0;
    proxy->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    check(proxy->wake >= 0, "eventfd");
    proxy->listener = -1;
    proxy->holder = bind_port(proxy);
    listen_on(proxy);
    (void)snprintf(proxy->endpoint, sizeof proxy->endpoint, "%s://127.0.0.1:%d",
                   strncmp(target, "https:", 6) == 0 ? "https" : "http", ntohs(proxy->address.sin_port));
    pthread_mutex_init(&proxy->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&proxy->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    check(pthread_create(&proxy->thread, NULL, run, proxy) == 0, "pthread_create");
    return proxy;
}

static void listen_off(fault_proxy *proxy)
{
    if (proxy->listener < 0)
        return;
    (void)shutdown(proxy->listener, SHUT_RDWR); /* poll() in the other thread would keep a closed socket listening */
    close(proxy->listener);
    proxy->listener = -1;
}

void fault_proxy_stop(fault_proxy *proxy)
{
    if (proxy == NULL)
        return;
    pthread_mutex_lock(&proxy->lock);
    proxy->stopping = true;
    unlock_and_wake(proxy);
    pthread_join(proxy->thread, NULL);
    listen_off(proxy);
    for (size_t i = 0; i < proxy->n; i++) {
        end_connection(proxy, proxy->connections[i], true);
        free(proxy->connections[i]);
    }
    close(proxy->holder);
    close(proxy->wake);
    pthread_cond_destroy(&proxy->changed);
    pthread_mutex_destroy(&proxy->lock);
    free(proxy);
}

const char *fault_proxy_endpoint(const fault_proxy *proxy)
{
    return proxy->endpoint;
}

void fault_proxy_latency(fault_proxy *proxy, int ms)
{
    pthread_mutex_lock(&proxy->lock);
    proxy->latency = ms * MS;
    unlock_and_wake(proxy);
}

void fault_proxy_rate(fault_proxy *proxy, int64_t bytes_per_s)
{
    pthread_mutex_lock(&proxy->lock);
    proxy->rate = bytes_per_s;
    unlock_and_wake(proxy);
}

void fault_proxy_hold(fault_proxy *proxy, int directions)
{
    pthread_mutex_lock(&proxy->lock);
    proxy->held |= directions;
    unlock_and_wake(proxy);
}

void fault_proxy_hold_open(fault_proxy *proxy, int directions)
{
    pthread_mutex_lock(&proxy->lock);
    for (size_t i = 0; i < proxy->n; i++)
        proxy->connections[i]->held |= directions;
    unlock_and_wake(proxy);
}

void fault_proxy_hold_those_with(fault_proxy *proxy, const char *text)
{
    pthread_mutex_lock(&proxy->lock);
    (void)snprintf(proxy->wanted, sizeof proxy->wanted, "%s", text);
    unlock_and_wake(proxy);
}

void fault_proxy_resume(fault_proxy *proxy)
{
    pthread_mutex_lock(&proxy->lock);
    proxy->held = 0;
    proxy->wanted[0] = '\0';
    for (size_t i = 0; i < proxy->n; i++)
        proxy->connections[i]->held = 0;
    listen_on(proxy);
    unlock_and_wake(proxy);
}

void fault_proxy_cut_next(fault_proxy *proxy, int direction, uint64_t bytes)
{
    pthread_mutex_lock(&proxy->lock);
    check(proxy->n_cuts < sizeof proxy->cuts / sizeof proxy->cuts[0], "too many cuts");
    proxy->cuts[proxy->n_cuts++] = (struct cut){direction, bytes};
    unlock_and_wake(proxy);
}

void fault_proxy_reset(fault_proxy *proxy)
{
    pthread_mutex_lock(&proxy->lock);
    for (size_t i = 0; i < proxy->n; i++)
        end_connection(proxy, proxy->connections[i], true);
    unlock_and_wake(proxy);
}

void fault_proxy_refuse(fault_proxy *proxy)
{
    pthread_mutex_lock(&proxy->lock);
    listen_off(proxy);
    unlock_and_wake(proxy);
}

/* ---- what it tells tests ---- */

size_t fault_proxy_count(fault_proxy *proxy)
{
    size_t n;

    pthread_mutex_lock(&proxy->lock);
    n = proxy->n;
    pthread_mutex_unlock(&proxy->lock);
    return n;
}

size_t fault_proxy_open(fault_proxy *proxy)
{
    size_t n;

    pthread_mutex_lock(&proxy->lock);
    n = proxy->n_open;
    pthread_mutex_unlock(&proxy->lock);
    return n;
}

uint64_t fault_proxy_passed(fault_proxy *proxy, size_t connection, int direction)
{
    uint64_t passed = 0;

    pthread_mutex_lock(&proxy->lock);
    if (connection < proxy->n && (direction & FAULT_UP))
        passed += proxy->connections[connection]->up.passed;
    if (connection < proxy->n && (direction & FAULT_DOWN))
        passed += proxy->connections[connection]->down.passed;
    pthread_mutex_unlock(&proxy->lock);
    return passed;
}

static bool count_is(const fault_proxy *proxy, size_t n)
{
    return proxy->n >= n;
}

static bool open_is(const fault_proxy *proxy, size_t n)
{
    return proxy->n_open == n;
}

static bool is_held(const fault_proxy *proxy, size_t direction)
{
    for (size_t i = 0; i < proxy->n; i++)
        if (((direction & FAULT_UP) && proxy->connections[i]->up.held > 0) ||
            ((direction & FAULT_DOWN) && proxy->connections[i]->down.held > 0))
            return true;
    return false;
}

static bool await(fault_proxy *proxy, bool (*condition)(const fault_proxy *proxy, size_t arg), size_t arg, int timeout_ms)
{
    int64_t end = now_ns() + timeout_ms * MS;
    struct timespec until = {.tv_sec = end / SECOND, .tv_nsec = end % SECOND};
    bool met;

    pthread_mutex_lock(&proxy->lock);
    while (!(met = condition(proxy, arg)))
        if (pthread_cond_timedwait(&proxy->changed, &proxy->lock, &until) == ETIMEDOUT)
            break;
    pthread_mutex_unlock(&proxy->lock);
    return met;
}

bool fault_proxy_await_count(fault_proxy *proxy, size_t n, int timeout_ms)
{
    return await(proxy, count_is, n, timeout_ms);
}

bool fault_proxy_await_open(fault_proxy *proxy, size_t n, int timeout_ms)
{
    return await(proxy, open_is, n, timeout_ms);
}

bool fault_proxy_await_held(fault_proxy *proxy, int direction, int timeout_ms)
{
    return await(proxy, is_held, (size_t)direction, timeout_ms);
}
