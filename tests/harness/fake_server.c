/* The fake server's life, its thread, and what tests ask of it. See fake_server.h; connections are in fake_conn.c. */
#define _GNU_SOURCE /* accept4 */
#include "harness/fake_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* ---- what cannot fail ---- */

void fake__die(const char *what)
{
    fprintf(stderr, "fake server: %s: %s\n", what, strerror(errno));
    abort();
}

void *fake__calloc(size_t count, size_t size)
{
    void *memory = calloc(count, size);

    if (!memory)
        fake__die("calloc");
    return memory;
}

void *fake__realloc(void *memory, size_t size)
{
    void *grown = realloc(memory, size);

    if (!grown)
        fake__die("realloc");
    return grown;
}

void *fake__memdup(const void *data, size_t len)
{
    void *copy = fake__calloc(1, len + 1);

    if (len > 0)
        memcpy(copy, data, len);
    return copy;
}

char *fake__strdup(const char *string)
{
    return fake__memdup(string, strlen(string));
}

void fake__bytes_append(fake_bytes *bytes, const void *data, size_t len)
{
    if (bytes->cap - bytes->len < len) {
        bytes->cap = 2 * bytes->cap + len + 256;
        bytes->data = fake__realloc(bytes->data, bytes->cap);
    }
    if (len > 0)
        memcpy(bytes->data + bytes->len, data, len);
    bytes->len += len;
}

int64_t fake__now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void fake__lock(fake_server *server)
{
    pthread_mutex_lock(&server->lock);
}

void fake__unlock(fake_server *server)
{
    pthread_mutex_unlock(&server->lock);
}

void fake__changed(fake_server *server)
{
    pthread_cond_broadcast(&server->changed);
}

void fake__wake(fake_server *server)
{
    const char byte = 0;

    if (write(server->wake[1], &byte, 1) < 0 && errno != EAGAIN)
        fake__die("write to the wake pipe");
}

const fake_route *fake__route(const fake_server *server, const char *method)
{
    const fake_route *rest = NULL;

    for (const fake_route *route = server->routes; route; route = route->next) {
        if (route->method && strcmp(route->method, method) == 0)
            return route;
        if (!route->method)
            rest = route;
    }
    return rest;
}

/* ---- sockets ---- */

static void set_flags(int fd)
{
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        fake__die("fcntl");
}

static int bind_loopback(uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(*port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof address;
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || getsockname(fd, (struct sockaddr *)&address, &len) < 0)
        fake__die("bind on the loopback");
    *port = ntohs(address.sin_port);
    return fd;
}

static int bind_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
        fake__die("bind a unix socket");
    return fd;
}

static void listen_on(fake_server *server)
{
    server->listener = server->unix_socket ? bind_unix(server->path) : bind_loopback(&server->port);
    set_flags(server->listener);
    if (listen(server->listener, 1024) < 0)
        fake__die("listen");
}

static void listen_off(fake_server *server)
{
    if (server->listener < 0)
        return;
    (void)shutdown(server->listener, SHUT_RDWR); /* poll() in the server's thread would keep a closed socket listening */
    close(server->listener);
    server->listener = -1;
    if (server->unix_socket)
        unlink(server->path);
}

static void accept_all(fake_server *server)
{
    const int on = 1;
    int fd;

    while ((fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
        if (!server->unix_socket)
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        fake__conn_accept(server, fd);
    }
}

/* ---- the thread ---- */

typedef struct poll_set {
    struct pollfd *fds;
    size_t cap;
} poll_set;

/* [0] wake pipe, [1] listener, then one for each connection; poll() skips negative descriptors. Returns the timeout. */
static int fill_poll_set(const fake_server *server, poll_set *set)
{
    int timeout = -1;

    if (set->cap < server->n_conns + 2) {
        set->cap = 2 * server->n_conns + 16;
        set->fds = fake__realloc(set->fds, set->cap * sizeof *set->fds);
    }
    set->fds[0] = (struct pollfd){server->wake[0], POLLIN, 0};
    set->fds[1] = (struct pollfd){server->listener, POLLIN, 0};
    for (size_t i = 0; i < server->n_conns; i++) {
        const fake_conn *conn = server->conns[i];

        set->fds[i + 2] = (struct pollfd){conn->fd, fake__conn_events(conn), 0};
        if (conn->fd >= 0 && conn->script.drip)
            timeout = 1;
    }
    return timeout;
}

static void work(fake_server *server, const poll_set *set, size_t n_polled)
{
    char bytes[64];

    while (read(server->wake[0], bytes, sizeof bytes) > 0)
        ;
    for (size_t i = 0; i < n_polled; i++)
        fake__conn_work(server->conns[i], set->fds[i + 2].revents & (POLLIN | POLLHUP | POLLERR));
    if (server->listener >= 0)
        accept_all(server);
}

static void *run(void *arg)
{
    fake_server *server = arg;
    poll_set set = {NULL, 0};

    fake__lock(server);
    while (!server->stopping) {
        size_t n = server->n_conns;
        int timeout = fill_poll_set(server, &set), ready;

        fake__unlock(server);
        ready = poll(set.fds, n + 2, timeout);
        fake__lock(server);
        if (ready < 0 && errno != EINTR)
            fake__die("poll");
        work(server, &set, ready < 0 ? 0 : n);
    }
    fake__unlock(server);
    free(set.fds);
    return NULL;
}

/* ---- start and stop ---- */

static void init_sync(fake_server *server)
{
    pthread_mutexattr_t mutex;
    pthread_condattr_t cond;

    pthread_mutexattr_init(&mutex);
    pthread_mutexattr_settype(&mutex, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&server->lock, &mutex);
    pthread_mutexattr_destroy(&mutex);
    pthread_condattr_init(&cond);
    pthread_condattr_setclock(&cond, CLOCK_MONOTONIC);
    pthread_cond_init(&server->changed, &cond);
    pthread_condattr_destroy(&cond);
    if (pipe(server->wake) < 0)
        fake__die("pipe");
    set_flags(server->wake[0]);
    set_flags(server->wake[1]);
}

static void init_address(fake_server *server)
{
    if (server->unix_socket) {
        snprintf(server->directory, sizeof server->directory, "/tmp/etcd3-fake-XXXXXX");
        if (!mkdtemp(server->directory))
            fake__die("mkdtemp");
        snprintf(server->path, sizeof server->path, "%s/sock", server->directory);
        snprintf(server->endpoint, sizeof server->endpoint, "unix://%s", server->path);
        snprintf(server->authority, sizeof server->authority, "sock");
        return;
    }
    server->holder = bind_loopback(&server->port);
    snprintf(server->authority, sizeof server->authority, "127.0.0.1:%u", (unsigned)server->port);
    snprintf(server->endpoint, sizeof server->endpoint, "http://%s", server->authority);
}

fake_server *fake_server_start(const fake_options *options)
{
    fake_server *server = fake__calloc(1, sizeof *server);

    server->unix_socket = options && options->unix_socket;
    server->listener = server->holder = -1;
    server->store = fake__store_new();
    init_sync(server);
    init_address(server);
    if (!options || !options->deaf)
        listen_on(server);
    if (pthread_create(&server->thread, NULL, run, server) != 0)
        fake__die("pthread_create");
    return server;
}

static void free_records(fake_server *server)
{
    for (size_t i = 0; i < server->n_records; i++) {
        fake_record *record = server->records[i];

        for (size_t h = 0; h < record->seen.n_headers; h++) {
            free((void *)(uintptr_t)record->headers[h].name);
            free((void *)(uintptr_t)record->headers[h].value);
        }
        free(record->headers);
        free(record->payload);
        free(record);
    }
    free(server->records);
}

static void free_lists(fake_server *server)
{
    for (fake_route *route; (route = server->routes) != NULL;) {
        server->routes = route->next;
        free(route->method);
        free(route);
    }
    for (fake_queued *queued; (queued = server->scripts) != NULL;) {
        server->scripts = queued->next;
        free(queued);
    }
}

void fake_server_stop(fake_server *server)
{
    if (!server)
        return;
    fake__lock(server);
    server->stopping = true;
    fake__wake(server);
    fake__unlock(server);
    pthread_join(server->thread, NULL);
    for (size_t i = 0; i < server->n_conns; i++)
        fake__conn_free(server->conns[i]);
    free(server->conns);
    free_records(server);
    free_lists(server);
    fake__store_free(server->store);
    listen_off(server);
    if (server->unix_socket)
        rmdir(server->directory);
    if (server->holder >= 0)
        close(server->holder);
    close(server->wake[0]);
    close(server->wake[1]);
    pthread_cond_destroy(&server->changed);
    pthread_mutex_destroy(&server->lock);
    free(server);
}

const char *fake_server_endpoint(const fake_server *server)
{
    return server->endpoint;
}

const char *fake_server_authority(const fake_server *server)
{
    return server->authority;
}

void fake_server_listen(fake_server *server, bool on)
{
    fake__lock(server);
    if (on && server->listener < 0)
        listen_on(server);
    else if (!on)
        listen_off(server);
    fake__wake(server);
    fake__unlock(server);
}

/* ---- scripts, handlers, gates ---- */

void fake_server_script(fake_server *server, const fake_script *script)
{
    fake_queued *queued = fake__calloc(1, sizeof *queued), **tail;

    queued->script = *script;
    fake__lock(server);
    for (tail = &server->scripts; *tail; tail = &(*tail)->next)
        ;
    *tail = queued;
    fake__unlock(server);
}

void fake_server_script_rest(fake_server *server, const fake_script *script)
{
    fake__lock(server);
    server->rest = *script;
    fake__unlock(server);
}

static bool same_method(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void set_route(fake_server *server, const char *method, fake_handler *handler, void *arg, bool early, bool messages)
{
    fake_route **at, *route;

    fake__lock(server);
    for (at = &server->routes; *at && !same_method((*at)->method, method); at = &(*at)->next)
        ;
    route = *at;
    if (!route && handler) {
        *at = route = fake__calloc(1, sizeof *route);
        route->method = method ? fake__strdup(method) : NULL;
    }
    if (handler) {
        route->handler = handler;
        route->arg = arg;
        route->early = early;
        route->messages = messages;
    } else if (route) {
        *at = route->next;
        free(route->method);
        free(route);
    }
    fake__unlock(server);
}

void fake_server_handle(fake_server *server, const char *method, fake_handler *handler, void *arg)
{
    set_route(server, method, handler, arg, false, false);
}

void fake_server_handle_early(fake_server *server, const char *method, fake_handler *handler, void *arg)
{
    set_route(server, method, handler, arg, true, false);
}

void fake_server_handle_messages(fake_server *server, const char *method, fake_handler *handler, void *arg)
{
    set_route(server, method, handler, arg, false, true);
}

bool fake_server_on_stream(fake_server *server, const char *method, fake_handler *handler, void *arg)
{
    fake_stream *newest = NULL;

    fake__lock(server);
    for (size_t i = 0; i < server->n_conns; i++)
        for (fake_stream *stream = server->conns[i]->streams; stream != NULL; stream = stream->next)
            if (!stream->closed && stream->request.method != NULL && strcmp(stream->request.method, method) == 0)
                newest = stream;
    if (newest != NULL)
        handler(&newest->request, arg);
    fake__unlock(server);
    if (newest != NULL)
        fake__wake(server);
    return newest != NULL;
}

void fake_server_gate_open(fake_server *server, int gate)
{
    fake__lock(server);
    server->gates[gate].open = true;
    fake__wake(server);
    fake__unlock(server);
}

void fake_server_gate_pass(fake_server *server, int gate)
{
    fake__lock(server);
    server->gates[gate].passes++;
    fake__wake(server);
    fake__unlock(server);
}
