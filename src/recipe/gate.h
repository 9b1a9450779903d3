/* Where recipes and the program's threads meet: a lock, callbacks that a free can shut out, waiting in either run mode, and
 * descriptors for poll().
 *
 * Recipes are built on the public API alone. What they do happens in callbacks, which the driver of the client runs one after
 * the other; the lock is for what the program's own threads touch besides. It is never held while calling the program, nor
 * where something waits. */
#ifndef ETCD__RECIPE_GATE_H
#define ETCD__RECIPE_GATE_H

#include "base/fork.h"

#include <etcd3/client.h>
#include <uv.h>

typedef struct etcd__gate {
    etcd_client *client;
    struct etcd_txn *anchor; /* the handle that keeps the client's memory, as a transaction does */
    etcd__fork_mark made;
    uv_mutex_t lock;
    uv_cond_t changed;
} etcd__gate;

/** ETCD_ERR_ARGUMENT (no client), ETCD_ERR_FORKED, ETCD_ERR_CLOSED, ETCD_ERR_NO_MEMORY. */
int etcd__gate_init(etcd__gate *gate, etcd_client *client, etcd_error *err);

/** In a child after fork(), too: the lock may be anybody's there, so it stays as it is. */
void etcd__gate_destroy(etcd__gate *gate);

/** ETCD_OK, or ETCD_ERR_FORKED in a child. No lock is taken before this. */
int etcd__gate_check(const etcd__gate *gate, etcd_error *err);

/* --- callbacks of one handle; under the gate's lock --- */

typedef struct etcd__callbacks {
    bool shut;       /* the handle was freed */
    unsigned inside; /* calls of the program's function under way; nested ones are of the same thread */
    uv_thread_t thread;
} etcd__callbacks;

/** Around each call of the program's function; lock not held. False: the handle was freed, do not call. */
bool etcd__callbacks_enter(etcd__gate *gate, etcd__callbacks *callbacks);
void etcd__callbacks_leave(etcd__gate *gate, etcd__callbacks *callbacks);

/** From its return on no callback runs, but one that this is called in. Lock not held. */
void etcd__callbacks_shut(etcd__gate *gate, etcd__callbacks *callbacks);

/* --- waiting --- */

/** Whether a call may wait now: ETCD_ERR_IN_CALLBACK, ETCD_ERR_CLOSED, ETCD_ERR_FORKED. */
int etcd__gate_may_wait(etcd_client *client, bool *manual, etcd_error *err);

/** Waits until `*done`, which is set under the lock with a broadcast of `changed`. Lock not held. */
void etcd__gate_wait(etcd__gate *gate, bool manual, const bool *done);

/* --- descriptors --- */

/** A descriptor that is readable while lit. Made at the first need; calls are serialised by the owner. All zero at first. */
typedef struct etcd__beacon {
    int fds[2];
    bool made, lit;
} etcd__beacon;

/** The descriptor, or ETCD_ERR_SYSTEM. */
int etcd__beacon_fd(etcd__beacon *beacon);
void etcd__beacon_set(etcd__beacon *beacon, bool lit);
void etcd__beacon_close(etcd__beacon *beacon);

#endif
