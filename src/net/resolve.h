/* Names to addresses, with c-ares: /etc/hosts and DNS, without a thread. Each lookup reads the system's configuration anew, so a
 * changed resolv.conf takes effect. Owned by the loop's driving thread. */
#ifndef ETCD__NET_RESOLVE_H
#define ETCD__NET_RESOLVE_H

#include "net/loop.h"
#include "net/socket.h"

typedef struct etcd__resolve etcd__resolve;

/** The end of a lookup: n > 0 addresses in the order in which to try them, for the callee to etcd__free(); or NULL and `why`.
 *  The lookup is gone already. */
typedef void etcd__resolve_fn(void *arg, etcd__address *addresses, size_t n, const etcd_error *why);

/** Looks a host name up; `port` is put into the addresses. `done` runs once, in a later turn. The only time limit is c-ares'. */
int etcd__resolve_start(etcd__loop *loop, const char *host, uint16_t port, etcd__resolve_fn *done, void *arg, etcd__resolve **out,
                        etcd_error *err);

/** Ends the lookup without calling `done`. NULL is allowed. */
void etcd__resolve_cancel(etcd__resolve *resolve);

/** Lookups of this loop ask these servers ("127.0.0.1:5353,..."; borrowed) instead of the system's. NULL: the system's. */
void etcd__resolve_servers(etcd__loop *loop, const char *servers);

#endif
