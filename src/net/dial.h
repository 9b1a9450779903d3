/* From a target to a connected socket: looks the name up and tries its addresses, the next one 250 ms after the last or at once
 * when that fails, in the order of RFC 8305 ("happy eyeballs"). The first that connects wins, unless its owner finds that it
 * is of no use (TLS fails there): then the dial goes on with those that are left. Owned by the loop's driving thread. */
#ifndef ETCD__NET_DIAL_H
#define ETCD__NET_DIAL_H

#include "net/poll.h"
#include "net/socket.h"
#include "net/stream.h"

typedef struct etcd__dial etcd__dial;

/** A connected socket for the callee to rebind and close, and its address: the dial rests until it is told to go on, or
 *  canceled. Or NULL and `why`, the reasons of all addresses in one text: the dial is gone already. */
typedef void etcd__dial_fn(void *arg, etcd__poll *poll, const etcd__address *address, const etcd_error *why);

/** `done` runs once, and once more after each etcd__dial_go_on(), in a later turn. `target` is borrowed as long as the dial
 *  exists. `timeout_ns` bounds all of it. */
int etcd__dial_start(etcd__loop *loop, const etcd__target *target, int64_t timeout_ns, etcd__dial_fn *done, void *arg,
                     etcd__dial **out, etcd_error *err);

/** While the dial rests: whether addresses are left that did not fail. */
bool etcd__dial_has_more(const etcd__dial *dial);

/** The socket that it gave was of no use, for that reason: tries what is left, or ends with all reasons. */
void etcd__dial_go_on(etcd__dial *dial, const etcd_error *why);

/** Ends the dial without calling `done`. NULL is allowed. */
void etcd__dial_cancel(etcd__dial *dial);

#endif
