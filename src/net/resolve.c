/* See resolve.h. on_result() may run inside any ares_ function, so it only notes the result, and settle() acts on it. */
#include "net/resolve.h"

#include "base/alloc.h"
#include "base/error.h"
#include "net/dns.h"
#include "net/loop_internal.h"

#include <stdio.h>
#include <string.h>

struct etcd__resolve {
    etcd__loop *loop;
    etcd__resolve_fn *done;
    void *arg;
    char *host;
    uint16_t port;
    etcd__dns dns;
    etcd__task finish;
    bool ended; /* on_result() was called */
    int status;
    struct ares_addrinfo *result;
};

static void free_resolve(etcd__resolve *resolve)
{
    etcd__list_remove(&resolve->finish.node);
    resolve->ended = true; /* what closing still reports is of no interest */
    etcd__dns_close(&resolve->dns);
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
static void settle(void *arg)
{
    etcd__resolve *resolve = arg;

    if (resolve->ended || resolve->dns.no_memory)
        etcd__loop_defer(resolve->loop, &resolve->finish);
    else
        etcd__dns_settle(&resolve->dns);
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
    char server[ETCD__DNS_SERVER];
    size_t count = 0;

    *addresses = NULL;
    *n = 0;
    if (resolve->dns.no_memory || (resolve->ended && resolve->status == ARES_ENOMEM))
        return etcd__error_no_memory(err);
    if (resolve->status != ARES_SUCCESS)
        return etcd__error_set(err, ETCD_ERR_CONNECTION, "resolve %s%s: %s", resolve->host,
                               etcd__dns_server(&resolve->dns, server), etcd__dns_strerror(&resolve->dns, resolve->status));
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
    resolve->finish.fn = finish;
    resolve->finish.arg = resolve;
    etcd__list_init(&resolve->finish.node);
    resolve->host = etcd__strdup(host);
    rc = resolve->host == NULL ? etcd__error_no_memory(err) : etcd__dns_open(&resolve->dns, loop, settle, resolve, err);
    if (rc != ETCD_OK) {
        free_resolve(resolve);
        return rc;
    }
    ares_getaddrinfo(resolve->dns.channel, host, NULL, &hints, on_result, resolve);
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
