/* A watched descriptor: the one use that this layer makes of libuv's handles.
 *
 * Owned by the loop's driving thread. `fn` runs in a turn of the loop, never after etcd__poll_close(), which it may call. */
#ifndef ETCD__NET_POLL_H
#define ETCD__NET_POLL_H

#include "net/loop.h"

typedef struct etcd__poll etcd__poll;

enum {
    ETCD__POLL_READ = 1,
    ETCD__POLL_WRITE = 2,
    ETCD__POLL_BROKEN = 4 /* only told, with both others: the descriptor has an error; it is no longer watched */
};

typedef void etcd__poll_fn(void *arg, int events);

/** Watches for nothing yet. The descriptor must not be watched already; it stays the caller's after a failure. */
int etcd__poll_new(etcd__loop *loop, int fd, etcd__poll_fn *fn, void *arg, etcd__poll **out, etcd_error *err);

/** Sets what to watch for: bits, or 0. Can fail only with ETCD_ERR_NO_MEMORY, and only the first time that it is not 0. */
int etcd__poll_want(etcd__poll *poll, int events);

/** Hands the descriptor to a new owner. */
void etcd__poll_rebind(etcd__poll *poll, etcd__poll_fn *fn, void *arg);

int etcd__poll_fd(const etcd__poll *poll);

/** Stops watching, and frees. The descriptor is closed, too, unless `keep_fd`. NULL is allowed. */
void etcd__poll_close(etcd__poll *poll, bool keep_fd);

#endif
