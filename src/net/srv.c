/* See srv.h. As in resolve.c, the callback of c-ares only notes the result. */
#include "net/srv.h"

#include "base/alloc.h"
#include "base/error.h"
#include "net/dns.h"

#include <stdlib.h>
#include <string.h>

#define CLASS_IN 1  /* RFC 1035 3.2.4 */
#define TYPE_SRV 33 /* RFC 2782 */

struct etcd__srv {
    etcd__loop *loop;
    etcd__srv_fn *done;
    void *arg;
    char *name;
    etcd__dns dns;
    etcd__task finish;
    bool ended;
    int status;
    struct ares_srv_reply *reply;
};

static void free_srv(etcd__srv *srv)
{
    etcd__list_remove(&srv->finish.node);
    srv->ended = true;
    etcd__dns_close(&srv->dns);
    if (srv->reply != NULL)
        ares_free_data(srv->reply);
    etcd__free(srv->name);
    etcd__free(srv);
}

static void on_answer(void *arg, int status, int timeouts, unsigned char *answer, int len)
{
    etcd__srv *srv = arg;

    (void)timeouts;
    if (srv->ended)
        return;
    srv->ended = true;
    srv->status = status;
    if (status == ARES_SUCCESS)
        srv->status = ares_parse_srv_reply(answer, len, &srv->reply);
}

static void settle(void *arg)
{
    etcd__srv *srv = arg;

    if (srv->ended || srv->dns.no_memory)
        etcd__loop_defer(srv->loop, &srv->finish);
    else
        etcd__dns_settle(&srv->dns);
}

static int by_preference(const void *a, const void *b)
{
    const etcd__srv_record *left = a, *right = b;

    if (left->priority != right->priority)
        return left->priority < right->priority ? -1 : 1;
    return left->weight == right->weight ? 0 : left->weight > right->weight ? -1 : 1;
}

static int collect(const etcd__srv *srv, etcd__srv_record **records, size_t *n, etcd_error *err)
{
    char server[ETCD__DNS_SERVER];
    size_t count = 0;

    *records = NULL;
    *n = 0;
    if (srv->dns.no_memory || (srv->ended && srv->status == ARES_ENOMEM))
        return etcd__error_no_memory(err);
    if (srv->status != ARES_SUCCESS)
        return etcd__error_set(err, ETCD_ERR_CONNECTION, "look up SRV %s%s: %s", srv->name, etcd__dns_server(&srv->dns, server),
                               etcd__dns_strerror(&srv->dns, srv->status));
    for (const struct ares_srv_reply *r = srv->reply; r != NULL; r = r->next)
        count++;
    if (count == 0)
        return etcd__error_set(err, ETCD_ERR_CONNECTION, "look up SRV %s%s: no records", srv->name,
                               etcd__dns_server(&srv->dns, server));
    *records = etcd__calloc(count, sizeof **records);
    if (*records == NULL)
        return etcd__error_no_memory(err);
    for (const struct ares_srv_reply *r = srv->reply; r != NULL; r = r->next)
        (*records)[(*n)++] = (etcd__srv_record){r->host, r->port, r->priority, r->weight};
    qsort(*records, *n, sizeof **records, by_preference);
    return ETCD_OK;
}

static void finish(void *arg)
{
    etcd__srv *srv = arg;
    etcd__srv_record *records;
    etcd_error err;
    size_t n;
    int rc = collect(srv, &records, &n, &err);

    srv->done(srv->arg, records, n, rc == ETCD_OK ? NULL : &err);
    etcd__free(records);
    free_srv(srv);
}

int etcd__srv_start(etcd__loop *loop, const char *name, etcd__srv_fn *done, void *arg, etcd__srv **out, etcd_error *err)
{
    etcd__srv *srv = etcd__calloc(1, sizeof *srv);
    int rc;

    *out = NULL;
    if (srv == NULL)
        return etcd__error_no_memory(err);
    srv->loop = loop;
    srv->done = done;
    srv->arg = arg;
    srv->finish.fn = finish;
    srv->finish.arg = srv;
    etcd__list_init(&srv->finish.node);
    srv->name = etcd__strdup(name);
    rc = srv->name == NULL ? etcd__error_no_memory(err) : etcd__dns_open(&srv->dns, loop, settle, srv, err);
    if (rc != ETCD_OK) {
        free_srv(srv);
        return rc;
    }
    ares_query(srv->dns.channel, srv->name, CLASS_IN, TYPE_SRV, on_answer, srv);
    settle(srv);
    *out = srv;
    return ETCD_OK;
}

void etcd__srv_cancel(etcd__srv *srv)
{
    if (srv != NULL)
        free_srv(srv);
}
