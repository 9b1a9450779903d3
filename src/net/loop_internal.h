/* The loop's inside, for the files of this layer that extend it: poll.c (descriptors) and embed.c (one descriptor for all). */
#ifndef ETCD__NET_LOOP_INTERNAL_H
#define ETCD__NET_LOOP_INTERNAL_H

#include "net/loop.h"

#include <stdatomic.h>
#include <uv.h>

struct etcd__loop {
    /* Of the driving thread. */
    uv_loop_t uv;
    uv_async_t async;
    uv_timer_t timer;
    int64_t armed; /* when `timer` fires; ETCD__NEVER: it does not run */
    etcd__heap timers;
    etcd__list tasks;
    int64_t now;
    bool in_turn;
    bool in_timers; /* due timers are being run: none that is started now may be due in the same turn */
    bool dirty;     /* libuv has changes of watched descriptors that it tells the kernel only when it waits next */
    bool forked;    /* in a child of the process that made it */
    bool abandoned; /* forked while its state was in flux: nothing of libuv's may be touched again */
    void (*on_wake)(void *arg);
    void *arg;
    uint8_t *scratch;          /* one buffer for whoever reads from a socket in this turn, */
    uint8_t *plain;            /* and one for what TLS makes of it; NULL until needed */
    const char *dns_servers;   /* etcd__resolve_servers() */
    struct etcd__embed *embed; /* etcd__loop_fd() was called */

    /* Of all threads. */
    atomic_bool waiting;  /* the driver waits in the kernel, or is about to and has not looked at `woken` yet */
    atomic_bool woken;    /* etcd__loop_wake() since on_wake last ran */
    atomic_bool embedded; /* another loop waits for us, so every wake-up must be seen by the kernel */
};

/** The wait is over: refreshes the time. First statement of every libuv callback that calls out. */
void etcd__loop_awake(etcd__loop *loop);

/** Buffers of ETCD__SCRATCH_SIZE bytes for use until the handler returns: for what comes from a socket, and for what TLS makes
 *  of it. NULL when out of memory; not after it worked once. */
uint8_t *etcd__loop_scratch(etcd__loop *loop);
uint8_t *etcd__loop_plain(etcd__loop *loop);
#define ETCD__SCRATCH_SIZE ((size_t)64 * 1024)

/* embed.c; `embed` is NULL for a loop that was never asked for its descriptor. */

/** The kernel shall know of the earliest timer, and of work that waits for a turn. After every change outside of a turn, and
 *  at the end of each turn. */
void etcd__embed_update(etcd__loop *loop);
void etcd__embed_free(etcd__loop *loop);

#endif
