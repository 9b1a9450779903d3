/* From a target to a connected socket: looks the name up and tries its addresses, the next one 250 ms after the last or at once
 * when that fails, in the order of RFC 8305 ("happy eyeballs"). The first that connects wins.
 * Owned by the loop's driving thread. */
#ifndef ETCD__NET_DIAL_H
#define ETCD__NET_DIAL_H

#include "net/poll.h"
#include "net/socket.h"
#include "net/stream.h"

typedef struct etcd__dial etcd__dial;

/** The end of a dial, which is gone already: a connected socket for the callee to rebind and close, and its address; or NULL and
 *  `why`, the reasons of all addresses in one text. */
typedef void etcd__dial_fn(void *arg, etcd__poll *poll, const etcd__address *address, const etcd_error *why);

/** `done` runs once, in a later turn. `target` is borrowed until then. `timeout_ns` bounds all of it. */
int etcd__dial_start(etcd__loop *loop, const etcd__target *target, int64_t timeout_ns, etcd__dial_fn *done, void *arg,
                     etcd__dial **out, etcd_error *err);

/** Ends the dial without calling `done`. NULL is allowed. */
void etcd__dial_cancel(etcd__dial *dial);

#endif
