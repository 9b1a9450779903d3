/* SRV discovery: two lookups on a loop of their own. See <etcd3/discovery.h>; names and schemes: the contract of etcdctl,
 * section 4.1. */
#include <etcd3/discovery.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/options.h"
#include "net/resolve.h"
#include "net/srv.h"
#include "wire/response.h"

#include <stdio.h>
#include <string.h>

#define DEFAULT_TIMEOUT_MS 5000
#define MAX_NAME 253 /* RFC 1035 */
#define MAX_LIST ((size_t)1 << 20)

struct discovery;

/* One of the two lookups. */
struct lookup {
    struct discovery *discovery;
    const char *scheme;
    etcd__srv *srv; /* NULL: over, or never begun */
    bool wanted;    /* its endpoints, not only their number */
    etcd__buf list; /* "scheme://host:port,..." */
    size_t n;
    etcd_error error;
};

struct discovery {
    etcd__loop *loop;
    struct lookup lookups[2]; /* with TLS first */
    size_t under_way;
    bool no_memory;
};

static void add_record(struct lookup *lookup, const etcd__srv_record *record)
{
    char endpoint[MAX_NAME + 32];
    int len = snprintf(endpoint, sizeof endpoint, "%s%s://%s:%u", lookup->list.len ? "," : "", lookup->scheme, record->host,
                       (unsigned)record->port);

    lookup->n++;
    if (lookup->wanted && len > 0 && (size_t)len < sizeof endpoint &&
        etcd__buf_append(&lookup->list, endpoint, (size_t)len) < 0)
        lookup->discovery->no_memory = true;
}

static void on_records(void *arg, const etcd__srv_record *records, size_t n, const etcd_error *why)
{
    struct lookup *lookup = arg;

    lookup->srv = NULL;
    lookup->discovery->under_way--;
    if (why != NULL)
        lookup->error = *why;
    for (size_t i = 0; i < n; i++)
        add_record(lookup, &records[i]);
}

static int start(struct discovery *discovery, struct lookup *lookup, const char *service, const char *domain,
                 const etcd_discover_options *o, etcd_error *err)
{
    char name[MAX_NAME + 1];
    const char *suffix = o->service_name && o->service_name[0] ? o->service_name : NULL;
    int rc;

    if (snprintf(name, sizeof name, "_%s%s%s._tcp.%s", service, suffix ? "-" : "", suffix ? suffix : "", domain) >=
        (int)sizeof name)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "the domain or service name is too long");
    rc = etcd__srv_start(discovery->loop, name, on_records, lookup, &lookup->srv, err);
    if (rc == ETCD_OK)
        discovery->under_way++;
    return rc;
}

static int run(struct discovery *discovery, int64_t timeout_ns, etcd_error *err)
{
    int64_t until = etcd__clock_after(etcd__clock_monotonic(), timeout_ns);

    while (discovery->under_way > 0) {
        int64_t left = until == ETCD__NEVER ? -1 : until - etcd__clock_monotonic();

        if (until != ETCD__NEVER && left <= 0)
            return etcd__error_set(err, ETCD_ERR_DEADLINE_EXCEEDED, "%s (waiting for DNS)",
                                   etcd_error_text(ETCD_ERR_DEADLINE_EXCEEDED));
        etcd__loop_turn(discovery->loop, left);
    }
    return discovery->no_memory ? etcd__error_no_memory(err) : ETCD_OK;
}

/* Both lists as one response. */
static int give(struct discovery *discovery, etcd_discover_response **out, etcd_error *err)
{
    const struct lookup *tls = &discovery->lookups[0], *plain = &discovery->lookups[1];
    size_t len = tls->list.len + (tls->list.len && plain->list.len) + plain->list.len;
    etcd_discover_response *response;
    char *text;

    if (len == 0)
        return etcd__error_set(err, ETCD_ERR_NO_ENDPOINTS, "%s: %s; %s", etcd_error_text(ETCD_ERR_NO_ENDPOINTS),
                               tls->error.message, plain->n ? "endpoints without TLS are not wanted" : plain->error.message);
    response = etcd__response_new(sizeof *response);
    text = response ? etcd__arena_alloc(etcd__response_arena(response), len + 1) : NULL;
    if (text == NULL) {
        etcd_response_free(response);
        return etcd__error_no_memory(err);
    }
    (void)snprintf(text, len + 1, "%.*s%s%.*s", (int)tls->list.len, tls->list.len ? (const char *)tls->list.data : "",
                   tls->list.len && plain->list.len ? "," : "", (int)plain->list.len,
                   plain->list.len ? (const char *)plain->list.data : "");
    response->endpoints = (etcd_bytes){text, len};
    response->n_endpoints = tls->n + (plain->wanted ? plain->n : 0);
    response->n_ignored = plain->wanted ? 0 : plain->n;
    *out = response;
    return ETCD_OK;
}

static void close_discovery(struct discovery *discovery)
{
    for (size_t i = 0; i < 2; i++) {
        etcd__srv_cancel(discovery->lookups[i].srv);
        etcd__buf_free(&discovery->lookups[i].list);
    }
    etcd__loop_free(discovery->loop);
}

static void on_wake(void *arg)
{
    (void)arg; /* nobody wakes this loop */
}

void etcd_discover_options_init(etcd_discover_options *options, size_t size)
{
    etcd__options_init(options, size);
}

int etcd_discover(const char *domain, const etcd_discover_options *options, etcd_discover_response **out, etcd_error *err)
{
    struct discovery discovery = {0};
    etcd_discover_options o;
    int64_t timeout;
    int rc;

    if (out == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "out is NULL");
    *out = NULL;
    if (domain == NULL || domain[0] == '\0')
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "the domain is empty");
    rc = etcd__options_load(&o, sizeof o, options, "etcd_discover_options", err);
    if (rc == ETCD_OK)
        rc = etcd__loop_new(on_wake, NULL, &discovery.loop, err);
    if (rc < 0)
        return rc;
    etcd__resolve_servers(discovery.loop, o.dns_servers);
    for (size_t i = 0; i < 2; i++)
        discovery.lookups[i] = (struct lookup){.discovery = &discovery,
                                               .scheme = i == 0 ? "https" : "http",
                                               .wanted = i == 0 || !o.secure_only,
                                               .list = ETCD__BUF_INIT(MAX_LIST)};
    timeout = etcd__clock_from_ms(o.timeout_ms ? o.timeout_ms : DEFAULT_TIMEOUT_MS);
    rc = start(&discovery, &discovery.lookups[0], "etcd-client-ssl", domain, &o, err);
    if (rc == ETCD_OK)
        rc = start(&discovery, &discovery.lookups[1], "etcd-client", domain, &o, err);
    if (rc == ETCD_OK)
        rc = run(&discovery, timeout, err);
    if (rc == ETCD_OK)
        rc = give(&discovery, out, err);
    close_discovery(&discovery);
    if (rc == ETCD_OK)
        etcd__error_clear(err);
    return rc;
}
