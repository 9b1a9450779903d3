/* See dns.h. */
#include "net/dns.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "net/loop_internal.h"
#include "net/poll.h"
#include "net/socket.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/time.h>
#include <unistd.h>

/* One socket of c-ares. */
struct watched {
    etcd__list node;
    etcd__dns *dns;
    etcd__poll *poll;
    ares_socket_t fd;
};

static void *ares_malloc_hook(size_t size)
{
    return etcd__malloc(size);
}

static void *ares_realloc_hook(void *memory, size_t size)
{
    return etcd__realloc(memory, size);
}

static void ares_free_hook(void *memory)
{
    etcd__free(memory);
}

/* c-ares counts its users without a lock. It is never cleaned up: that would free nothing. */
static int init_library(void)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static bool ready, adopted;
    int rc = ARES_SUCCESS;

    (void)pthread_mutex_lock(&lock);
    if (!adopted && etcd__alloc_hooked()) {
        rc = ares_library_init_mem(ARES_LIB_INIT_ALL, ares_malloc_hook, ares_free_hook, ares_realloc_hook);
        ready = adopted = rc == ARES_SUCCESS;
    } else if (!ready) {
        rc = ares_library_init(ARES_LIB_INIT_ALL);
        ready = rc == ARES_SUCCESS;
    }
    (void)pthread_mutex_unlock(&lock);
    return rc;
}

static ares_socket_t open_socket(int family, int type, int protocol, void *arg)
{
    (void)arg;
    return etcd__socket_new(family, type, protocol);
}

static int close_socket(ares_socket_t fd, void *arg)
{
    (void)arg;
    return close(fd);
}

static int connect_socket(ares_socket_t fd, const struct sockaddr *address, ares_socklen_t len, void *arg)
{
    (void)arg;
    return connect(fd, address, len);
}

static ares_ssize_t receive(ares_socket_t fd, void *data, size_t len, int flags, struct sockaddr *from, ares_socklen_t *from_len,
                            void *arg)
{
    etcd__dns *dns = arg;
    ssize_t n = recvfrom(fd, data, len, flags, from, from_len);

    if (n > 0) {
        dns->server.len = sizeof dns->server.as;
        if (getpeername(fd, &dns->server.as.any, &dns->server.len) < 0)
            dns->server.len = 0;
    }
    return n;
}

static ares_ssize_t send_parts(ares_socket_t fd, const struct iovec *parts, int count, void *arg)
{
    (void)arg;
    return etcd__socket_sendv(fd, parts, count);
}

static const struct ares_socket_functions socket_functions = {open_socket, close_socket, connect_socket, receive, send_parts};

static void drop_socket(struct watched *socket)
{
    etcd__poll_close(socket->poll, true);
    etcd__list_remove(&socket->node);
    etcd__free(socket);
}

void etcd__dns_settle(etcd__dns *dns)
{
    struct timeval tv, *wait = ares_timeout(dns->channel, NULL, &tv);

    if (wait != NULL)
        etcd__loop_timer_start(dns->loop, &dns->timer,
                               etcd__loop_now(dns->loop) + wait->tv_sec * ETCD__SECOND + wait->tv_usec * 1000 + ETCD__MS);
}

static void on_socket(void *arg, int events)
{
    struct watched *socket = arg;
    etcd__dns *dns = socket->dns;
    ares_socket_t fd = socket->fd;

    if (events & ETCD__POLL_BROKEN) /* not watched any more; c-ares reads the error and closes it */
        (void)etcd__poll_want(socket->poll, ETCD__POLL_READ);
    ares_process_fd(dns->channel, events & ETCD__POLL_READ ? fd : ARES_SOCKET_BAD,
                    events & ETCD__POLL_WRITE ? fd : ARES_SOCKET_BAD);
    dns->progress(dns->arg);
}

static void on_timer(void *arg)
{
    etcd__dns *dns = arg;

    ares_process_fd(dns->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    dns->progress(dns->arg);
}

static struct watched *find_socket(etcd__dns *dns, ares_socket_t fd)
{
    for (etcd__list *node = dns->sockets.next; node != &dns->sockets; node = node->next) {
        struct watched *socket = ETCD__CONTAINER_OF(node, struct watched, node);

        if (socket->fd == fd)
            return socket;
    }
    return NULL;
}

static struct watched *add_socket(etcd__dns *dns, ares_socket_t fd)
{
    struct watched *socket = etcd__calloc(1, sizeof *socket);

    if (socket == NULL)
        return NULL;
    socket->dns = dns;
    socket->fd = fd;
    if (etcd__poll_new(dns->loop, fd, on_socket, socket, &socket->poll, NULL) != ETCD_OK) {
        etcd__free(socket);
        return NULL;
    }
    etcd__list_push_back(&dns->sockets, &socket->node);
    return socket;
}

/* c-ares: watch this socket for reading, for writing, or (neither) no longer: it is about to be closed. */
static void on_socket_state(void *arg, ares_socket_t fd, int readable, int writable)
{
    etcd__dns *dns = arg;
    struct watched *socket = find_socket(dns, fd);

    if (!readable && !writable) {
        if (socket != NULL)
            drop_socket(socket);
        return;
    }
    if (socket == NULL)
        socket = add_socket(dns, fd);
    if (socket == NULL ||
        etcd__poll_want(socket->poll, (readable ? ETCD__POLL_READ : 0) | (writable ? ETCD__POLL_WRITE : 0)) != ETCD_OK)
        dns->no_memory = true;
}

static int open_channel(etcd__dns *dns, etcd_error *err)
{
    struct ares_options options = {0};
    int rc = init_library();

    options.sock_state_cb = on_socket_state;
    options.sock_state_cb_data = dns;
    if (rc == ARES_SUCCESS)
        rc = ares_init_options(&dns->channel, &options, ARES_OPT_SOCK_STATE_CB);
    if (rc == ARES_SUCCESS) {
        ares_set_socket_functions(dns->channel, &socket_functions, dns);
        if (dns->loop->dns_servers != NULL)
            rc = ares_set_servers_ports_csv(dns->channel, dns->loop->dns_servers);
    } else {
        dns->channel = NULL;
    }
    if (rc == ARES_ENOMEM)
        return etcd__error_no_memory(err);
    if (rc != ARES_SUCCESS)
        return etcd__error_set(err, ETCD_ERR_SYSTEM, "start the resolver: %s", ares_strerror(rc));
    return ETCD_OK;
}

int etcd__dns_open(etcd__dns *dns, etcd__loop *loop, void (*progress)(void *arg), void *arg, etcd_error *err)
{
    dns->loop = loop;
    dns->progress = progress;
    dns->arg = arg;
    dns->timer.fn = on_timer;
    dns->timer.arg = dns;
    etcd__list_init(&dns->sockets);
    return open_channel(dns, err);
}

const char *etcd__dns_strerror(const etcd__dns *dns, int status)
{
    return ares_strerror(status == ARES_ECONNREFUSED && dns->server.len > 0 ? ARES_ESERVFAIL : status);
}

const char *etcd__dns_server(const etcd__dns *dns, char out[ETCD__DNS_SERVER])
{
    char text[ETCD__ADDRESS_TEXT];

    out[0] = '\0';
    if (dns->server.len > 0) {
        etcd__address_text(&dns->server, text);
        (void)snprintf(out, ETCD__DNS_SERVER, " on %s", text);
    }
    return out;
}

void etcd__dns_close(etcd__dns *dns)
{
    if (dns->loop == NULL)
        return;
    etcd__loop_timer_stop(dns->loop, &dns->timer);
    if (dns->channel != NULL)
        ares_destroy(dns->channel);
    dns->channel = NULL;
    while (!etcd__list_empty(&dns->sockets))
        drop_socket(ETCD__CONTAINER_OF(dns->sockets.next, struct watched, node));
}
