/* See resolve.h. c-ares tells which of its sockets to watch for what (socket state callback) and when to look again
 * (ares_timeout); its callbacks may run inside any ares_ function, so on_result() only notes the result, and settle() acts on it
 * afterwards. Its sockets are ours (ares_set_socket_functions): made close-on-exec at once, written to without SIGPIPE. */
#include "net/resolve.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "net/loop_internal.h"
#include "net/poll.h"

#include <ares.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

/* One socket of c-ares. */
struct watched {
    etcd__list node;
    etcd__resolve *resolve;
    etcd__poll *poll;
    ares_socket_t fd;
};

struct etcd__resolve {
    etcd__loop *loop;
    etcd__resolve_fn *done;
    void *arg;
    char *host;
    uint16_t port;
    ares_channel channel;
    etcd__list sockets; /* of struct watched */
    etcd__timer timer;  /* when c-ares wants to look again */
    etcd__task finish;
    bool no_memory;     /* c-ares could not be served: the lookup fails */
    bool ended;         /* on_result() was called */
    int status;
    struct ares_addrinfo *result;
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

static ares_ssize_t receive(ares_socket_t fd, void *data, size_t len, int flags, struct sockaddr *from,
                            ares_socklen_t *from_len, void *arg)
{
    (void)arg;
    return recvfrom(fd, data, len, flags, from, from_len);
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

static void free_resolve(etcd__resolve *resolve)
{
    etcd__loop_timer_stop(resolve->loop, &resolve->timer);
    etcd__list_remove(&resolve->finish.node);
    resolve->ended = true; /* what ares_destroy() still reports is of no interest */
    if (resolve->channel != NULL)
        ares_destroy(resolve->channel);
    while (!etcd__list_empty(&resolve->sockets))
        drop_socket(ETCD__CONTAINER_OF(resolve->sockets.next, struct watched, node));
    if (resolve->result != NULL)
        ares_freeaddrinfo(resolve->result);
    etcd__free(resolve->host);
    etcd__free(resolve);
}

static void on_result(void *arg, int status, int timeouts, struct ares_addrinfo *result)
{
    etcd__resolve *resolve = arg;

    (void)timeouts;
    if (resolve->ended) {
        if (result != NULL)
            ares_freeaddrinfo(result);
        return;
    }
    resolve->ended = true;
    resolve->status = status;
    resolve->result = result;
}

/* After every call into c-ares. */
static void settle(etcd__resolve *resolve)
{
    struct timeval tv, *wait;

    if (resolve->ended || resolve->no_memory) {
        etcd__loop_timer_stop(resolve->loop, &resolve->timer);
        etcd__loop_defer(resolve->loop, &resolve->finish);
        return;
    }
    wait = ares_timeout(resolve->channel, NULL, &tv);
    if (wait != NULL)
        etcd__loop_timer_start(resolve->loop, &resolve->timer,
                               etcd__loop_now(resolve->loop) + wait->tv_sec * ETCD__SECOND + wait->tv_usec * 1000 + ETCD__MS);
}

static void on_socket(void *arg, int events)
{
    struct watched *socket = arg;
    etcd__resolve *resolve = socket->resolve;
    ares_socket_t fd = socket->fd;

    if (events & ETCD__POLL_BROKEN) /* not watched any more; c-ares reads the error and closes it */
        (void)etcd__poll_want(socket->poll, ETCD__POLL_READ);
    ares_process_fd(resolve->channel, events & ETCD__POLL_READ ? fd : ARES_SOCKET_BAD,
                    events & ETCD__POLL_WRITE ? fd : ARES_SOCKET_BAD);
    settle(resolve);
}

static void on_timer(void *arg)
{
    etcd__resolve *resolve = arg;

    ares_process_fd(resolve->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    settle(resolve);
}

static struct watched *find_socket(etcd__resolve *resolve, ares_socket_t fd)
{
    for (etcd__list *node = resolve->sockets.next; node != &resolve->sockets; node = node->next) {
        struct watched *socket = ETCD__CONTAINER_OF(node, struct watched, node);

        if (socket->fd == fd)
            return socket;
    }
    return NULL;
}

static struct watched *add_socket(etcd__resolve *resolve, ares_socket_t fd)
{
    struct watched *socket = etcd__calloc(1, sizeof *socket);

    if (socket == NULL)
        return NULL;
    socket->resolve = resolve;
    socket->fd = fd;
    if (etcd__poll_new(resolve->loop, fd, on_socket, socket, &socket->poll, NULL) != ETCD_OK) {
        etcd__free(socket);
        return NULL;
    }
    etcd__list_push_back(&resolve->sockets, &socket->node);
    return socket;
}

/* c-ares: watch this socket for reading, for writing, or (neither) no longer: it is about to be closed. */
static void on_socket_state(void *arg, ares_socket_t fd, int readable, int writable)
{
    etcd__resolve *resolve = arg;
    struct watched *socket = find_socket(resolve, fd);

    if (!readable && !writable) {
        if (socket != NULL)
            drop_socket(socket);
        return;
    }
    if (socket == NULL)
        socket = add_socket(resolve, fd);
    if (socket == NULL ||
        etcd__poll_want(socket->poll, (readable ? ETCD__POLL_READ : 0) | (writable ? ETCD__POLL_WRITE : 0)) != ETCD_OK)
        resolve->no_memory = true;
}

static size_t copy_addresses(const etcd__resolve *resolve, etcd__address *out)
{
    size_t n = 0;

    for (const struct ares_addrinfo_node *node = resolve->result->nodes; node != NULL; node = node->ai_next) {
        etcd__address *address = &out[n];

        if ((node->ai_family != AF_INET && node->ai_family != AF_INET6) || node->ai_addrlen > sizeof address->as)
            continue;
        memset(address, 0, sizeof *address);
        memcpy(&address->as, node->ai_addr, node->ai_addrlen);
        address->len = node->ai_addrlen;
        if (node->ai_family == AF_INET)
            address->as.in.sin_port = htons(resolve->port);
        else
            address->as.in6.sin6_port = htons(resolve->port);
        n++;
    }
    return n;
}

static int collect(const etcd__resolve *resolve, etcd__address **addresses, size_t *n, etcd_error *err)
{
    size_t count = 0;

    *addresses = NULL;
    *n = 0;
    if (resolve->no_memory || (resolve->ended && resolve->status == ARES_ENOMEM))
        return etcd__error_no_memory(err);
    if (resolve->status != ARES_SUCCESS)
        return etcd__error_set(err, ETCD_ERR_CONNECTION, "resolve %s: %s", resolve->host, ares_strerror(resolve->status));
    for (const struct ares_addrinfo_node *node = resolve->result->nodes; node != NULL; node = node->ai_next)
        count++;
    *addresses = etcd__calloc(count + 1, sizeof **addresses);
    if (*addresses == NULL)
        return etcd__error_no_memory(err);
    *n = copy_addresses(resolve, *addresses);
    if (*n > 0)
        return ETCD_OK;
    etcd__free(*addresses);
    *addresses = NULL;
    return etcd__error_set(err, ETCD_ERR_CONNECTION, "resolve %s: the name has no address", resolve->host);
}

static void finish(void *arg)
{
    etcd__resolve *resolve = arg;
    etcd__resolve_fn *done = resolve->done;
    void *done_arg = resolve->arg;
    etcd__address *addresses;
    etcd_error err;
    size_t n;
    int rc = collect(resolve, &addresses, &n, &err);

    free_resolve(resolve);
    done(done_arg, addresses, n, rc == ETCD_OK ? NULL : &err);
}

static int open_channel(etcd__resolve *resolve, etcd_error *err)
{
    struct ares_options options = {0};
    int rc = init_library();

    options.sock_state_cb = on_socket_state;
    options.sock_state_cb_data = resolve;
    if (rc == ARES_SUCCESS)
        rc = ares_init_options(&resolve->channel, &options, ARES_OPT_SOCK_STATE_CB);
    if (rc == ARES_SUCCESS) {
        ares_set_socket_functions(resolve->channel, &socket_functions, NULL);
        if (resolve->loop->dns_servers != NULL)
            rc = ares_set_servers_ports_csv(resolve->channel, resolve->loop->dns_servers);
    } else {
        resolve->channel = NULL;
    }
    if (rc == ARES_ENOMEM)
        return etcd__error_no_memory(err);
    if (rc != ARES_SUCCESS)
        return etcd__error_set(err, ETCD_ERR_SYSTEM, "start the resolver: %s", ares_strerror(rc));
    return ETCD_OK;
}

int etcd__resolve_start(etcd__loop *loop, const char *host, uint16_t port, etcd__resolve_fn *done, void *arg, etcd__resolve **out,
                        etcd_error *err)
{
    struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    etcd__resolve *resolve = etcd__calloc(1, sizeof *resolve);
    int rc;

    *out = NULL;
    if (resolve == NULL)
        return etcd__error_no_memory(err);
    resolve->loop = loop;
    resolve->done = done;
    resolve->arg = arg;
    resolve->port = port;
    resolve->timer.fn = on_timer;
    resolve->timer.arg = resolve;
    resolve->finish.fn = finish;
    resolve->finish.arg = resolve;
    etcd__list_init(&resolve->finish.node);
    etcd__list_init(&resolve->sockets);
    resolve->host = etcd__strdup(host);
    rc = resolve->host == NULL ? etcd__error_no_memory(err) : open_channel(resolve, err);
    if (rc != ETCD_OK) {
        free_resolve(resolve);
        return rc;
    }
    ares_getaddrinfo(resolve->channel, host, NULL, &hints, on_result, resolve);
    settle(resolve);
    *out = resolve;
    return ETCD_OK;
}

void etcd__resolve_cancel(etcd__resolve *resolve)
{
    if (resolve != NULL)
        free_resolve(resolve);
}

void etcd__resolve_servers(etcd__loop *loop, const char *servers)
{
    loop->dns_servers = servers;
}
