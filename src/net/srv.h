/* SRV records of a name (RFC 2782), with c-ares. Owned by the loop's driving thread. */
#ifndef ETCD__NET_SRV_H
#define ETCD__NET_SRV_H

#include "net/loop.h"

#include <stddef.h>

typedef struct etcd__srv etcd__srv;

typedef struct etcd__srv_record {
    const char *host; /* the target as DNS has it */
    uint16_t port;
    uint16_t priority;
    uint16_t weight;
} etcd__srv_record;

/** The end of a lookup: n > 0 records by priority, then weight, heaviest first; or NULL and `why`. Records are valid during the
 *  call, after which the lookup is gone: do not cancel it from there. */
typedef void etcd__srv_fn(void *arg, const etcd__srv_record *records, size_t n, const etcd_error *why);

/** Asks for the records of "_service._tcp.domain". `done` runs once, in a later turn. The only time limit is c-ares'. */
int etcd__srv_start(etcd__loop *loop, const char *name, etcd__srv_fn *done, void *arg, etcd__srv **out, etcd_error *err);

/** Ends the lookup without calling `done`. NULL is allowed. */
void etcd__srv_cancel(etcd__srv *srv);

#endif
