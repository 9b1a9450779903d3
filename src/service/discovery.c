/* SRV discovery: two lookups on a loop of their own, which nobody but its caller drives. See <etcd3/discovery.h>; names and
 * schemes: the contract of etcdctl, section 4.1. */
#include <etcd3/discovery.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/fork.h"
#include "base/options.h"
#include "net/resolve.h"
#include "net/srv.h"
#include "wire/response.h"

#include <stdio.h>
#include <string.h>

#define DEFAULT_TIMEOUT_MS 5000
#define MAX_NAME 253 /* RFC 1035 */
#define MAX_LIST ((size_t)1 << 20)

/* One of the two lookups. */
struct lookup {
    etcd_discovery *discovery;
    const char *scheme;
    etcd__srv *srv; /* NULL: over, or never begun */
    bool wanted;    /* its endpoints, not only their number */
    etcd__buf list; /* "scheme://host:port,..." */
    size_t n;
    etcd_error error;
};

struct etcd_discovery {
    etcd__fork_mark made;
    etcd__loop *loop;
    struct lookup lookups[2]; /* with TLS first */
    size_t under_way;
    etcd__timer deadline;
    bool late;
    bool no_memory;
    bool given;  /* the result was taken */
    bool driven; /* some thread is in a turn of the loop */
};

static void add_record(struct lookup *lookup, const etcd__srv_record *record)
{
    char endpoint[MAX_NAME + 32];
    int len = snprintf(endpoint, sizeof endpoint, "%s%s://%s:%u", lookup->list.len ? "," : "", lookup->scheme, record->host,
                       (unsigned)record->port);

    lookup->n++;
    if (lookup->wanted && len > 0 && (size_t)len < sizeof endpoint && etcd__buf_append(&lookup->list, endpoint, (size_t)len) < 0)
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

static int start(etcd_discovery *discovery, struct lookup *lookup, const char *service, const char *domain,
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

static void on_deadline(void *arg)
{
    ((etcd_discovery *)arg)->late = true;
}

/* Drives the lookups until both are over. ETCD_ERR_TIMED_OUT when they are not by `until`. */
static int run(etcd_discovery *discovery, int64_t until, etcd_error *err)
{
    bool turned = false; /* even without time to wait, take one turn */

    while (discovery->under_way > 0 && !discovery->late) {
        int64_t left = until == ETCD__NEVER ? -1 : until - etcd__clock_monotonic();

        if (turned && until != ETCD__NEVER && left <= 0)
            return etcd__error_set(err, ETCD_ERR_TIMED_OUT, "%s", etcd_error_text(ETCD_ERR_TIMED_OUT));
        discovery->driven = true;
        etcd__loop_turn(discovery->loop, until != ETCD__NEVER && left < 0 ? 0 : left);
        discovery->driven = false;
        turned = true;
    }
    if (discovery->under_way > 0)
        return etcd__error_set(err, ETCD_ERR_DEADLINE_EXCEEDED, "%s (waiting for DNS)",
                               etcd_error_text(ETCD_ERR_DEADLINE_EXCEEDED));
    return discovery->no_memory ? etcd__error_no_memory(err) : ETCD_OK;
}

/* Both lists as one response. */
static int give(etcd_discovery *discovery, etcd_discover_response **out, etcd_error *err)
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

static void on_wake(void *arg)
{
    (void)arg; /* nobody wakes this loop */
}

void etcd_discover_options_init(etcd_discover_options *options, size_t size)
{
    etcd__options_init(options, size);
}

static void init_lookups(etcd_discovery *discovery, const etcd_discover_options *o)
{
    for (size_t i = 0; i < 2; i++)
        discovery->lookups[i] = (struct lookup){.discovery = discovery,
                                                .scheme = i == 0 ? "https" : "http",
                                                .wanted = i == 0 || !o->secure_only,
                                                .list = ETCD__BUF_INIT(MAX_LIST)};
}

static int begin(etcd_discovery *discovery, const char *domain, const etcd_discover_options *o, etcd_error *err)
{
    int64_t timeout = etcd__clock_from_ms(o->timeout_ms ? o->timeout_ms : DEFAULT_TIMEOUT_MS);
    int64_t until = etcd__clock_after(etcd__clock_monotonic(), timeout);
    int rc = etcd__loop_new(on_wake, NULL, &discovery->loop, err);

    if (rc < 0)
        return rc;
    discovery->deadline.fn = on_deadline;
    discovery->deadline.arg = discovery;
    if (until != ETCD__NEVER)
        etcd__loop_timer_start(discovery->loop, &discovery->deadline, until);
    etcd__resolve_servers(discovery->loop, o->dns_servers);
    rc = start(discovery, &discovery->lookups[0], "etcd-client-ssl", domain, o, err);
    if (rc == ETCD_OK)
        rc = start(discovery, &discovery->lookups[1], "etcd-client", domain, o, err);
    return rc;
}

int etcd_discovery_open(const char *domain, const etcd_discover_options *options, etcd_discovery **out, etcd_error *err)
{
    etcd_discover_options o;
    etcd_discovery *discovery;
    int rc;

    if (out == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "out is NULL");
    *out = NULL;
    if (domain == NULL || domain[0] == '\0')
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "the domain is empty");
    rc = etcd__options_load(&o, sizeof o, options, "etcd_discover_options", err);
    if (rc < 0)
        return rc;
    discovery = etcd__calloc(1, sizeof *discovery);
    if (discovery == NULL)
        return etcd__error_no_memory(err);
    etcd__fork_mark_init(&discovery->made);
    init_lookups(discovery, &o);
    rc = begin(discovery, domain, &o, err);
    if (rc < 0) {
        etcd_discovery_free(discovery);
        return rc;
    }
    etcd__error_clear(err);
    *out = discovery;
    return ETCD_OK;
}

static int check(const etcd_discovery *discovery, etcd_error *err)
{
    if (discovery == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "the discovery is NULL");
    if (etcd__fork_mark_passed(&discovery->made))
        return etcd__error_set(err, ETCD_ERR_FORKED, "%s", etcd_error_text(ETCD_ERR_FORKED));
    return ETCD_OK;
}

int etcd_discovery_fd(etcd_discovery *discovery)
{
    int rc = check(discovery, NULL);

    return rc < 0 ? rc : etcd__loop_fd(discovery->loop, NULL);
}

int64_t etcd_discovery_timeout_ms(etcd_discovery *discovery)
{
    return check(discovery, NULL) < 0 ? -1 : etcd__loop_timeout_ms(discovery->loop);
}

int etcd_discovery_wait(etcd_discovery *discovery, int64_t timeout_ms, etcd_discover_response **out, etcd_error *err)
{
    int64_t until = etcd__clock_after(etcd__clock_monotonic(), etcd__clock_from_ms(timeout_ms));
    int rc;

    if (out == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "out is NULL");
    *out = NULL;
    rc = check(discovery, err);
    if (rc == ETCD_OK && discovery->given)
        rc = etcd__error_set(err, ETCD_ERR_CLOSED, "the result was taken already");
    if (rc == ETCD_OK)
        rc = run(discovery, until, err);
    if (rc == ETCD_OK)
        rc = give(discovery, out, err);
    if (rc == ETCD_OK) {
        discovery->given = true;
        etcd__error_clear(err);
    }
    return rc;
}

void etcd_discovery_free(etcd_discovery *discovery)
{
    if (discovery == NULL)
        return;
    if (etcd__fork_mark_passed(&discovery->made) && discovery->loop != NULL &&
        !etcd__loop_forked(discovery->loop, discovery->driven))
        return;
    for (size_t i = 0; i < 2; i++) {
        etcd__srv_cancel(discovery->lookups[i].srv);
        etcd__buf_free(&discovery->lookups[i].list);
    }
    if (discovery->loop != NULL)
        etcd__loop_timer_stop(discovery->loop, &discovery->deadline);
    etcd__loop_free(discovery->loop);
    etcd__fork_mark_free(&discovery->made);
    etcd__free(discovery);
}

int etcd_discover(const char *domain, const etcd_discover_options *options, etcd_discover_response **out, etcd_error *err)
{
    etcd_discovery *discovery;
    int rc;

    if (out == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "out is NULL");
    *out = NULL;
    rc = etcd_discovery_open(domain, options, &discovery, err);
    if (rc == ETCD_OK)
        rc = etcd_discovery_wait(discovery, -1, out, err);
    etcd_discovery_free(discovery);
    return rc;
}
