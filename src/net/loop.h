/* The event loop: descriptors through libuv, timers, tasks for the end of a turn, and the wake-up door for other threads.
 *
 * One thread at a time drives a loop; which one may change between turns (the client decides, under its lock). */
#ifndef ETCD__NET_LOOP_H
#define ETCD__NET_LOOP_H

#include "base/heap.h"
#include "base/list.h"

#include <etcd3/error.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct etcd__loop etcd__loop;

/** A one-shot timer; embedded in its owner's struct. Clear it, set `fn` and `arg`. */
typedef struct etcd__timer {
    etcd__heap_node node;
    void (*fn)(void *arg);
    void *arg;
} etcd__timer;

/** Work for the end of this turn, before the loop waits again: what makes one write out of many. Clear it, init `node`, set `fn`
 *  and `arg`. */
typedef struct etcd__task {
    etcd__list node;
    void (*fn)(void *arg);
    void *arg;
} etcd__task;

/** `on_wake` runs on the driving thread after one or more etcd__loop_wake(). */
int etcd__loop_new(void (*on_wake)(void *arg), void *arg, etcd__loop **out, etcd_error *err);

/** All handles on it must be closed. NULL is allowed. */
void etcd__loop_free(etcd__loop *loop);

/** One turn: deferred tasks, wait for something to happen (at most timeout_ns; negative: without bound), handlers and due timers,
 *  deferred tasks. Does not wait when a deferred task ran before the wait. Only the driving thread; not from a handler. */
void etcd__loop_turn(etcd__loop *loop, int64_t timeout_ns);

/** Runs the deferred tasks now; whether there was any. For a driver that looks at what they changed before it waits in
 *  etcd__loop_turn(): saves the turn that would not wait. Only the driving thread; not from a handler. */
bool etcd__loop_flush(etcd__loop *loop);

/** Ends the wait of the turn under way, or of the next. Any thread. Cheap when called again before it took effect. */
void etcd__loop_wake(etcd__loop *loop);

/** Monotonic time of the current turn (read anew after each wait), in nanoseconds. */
int64_t etcd__loop_now(const etcd__loop *loop);

/** Reads the time anew: for work that begins between turns, or late in a long one. Only the driving thread. */
void etcd__loop_update_now(etcd__loop *loop);

/** (Re)starts a timer; its `fn` runs once in the first turn after `deadline`. */
void etcd__loop_timer_start(etcd__loop *loop, etcd__timer *timer, int64_t deadline);
void etcd__loop_timer_stop(etcd__loop *loop, etcd__timer *timer);

/** Queues a task once, however often it is called before it runs. etcd__list_remove(&task->node) takes it back. */
void etcd__loop_defer(etcd__loop *loop, etcd__task *task);

/** For embedding in another loop: a descriptor that is readable when etcd__loop_turn(loop, 0) has something to do; on Linux
 *  timers make it readable, too. Owned by the loop. Created at the first call; negative code on failure. */
int etcd__loop_fd(etcd__loop *loop, etcd_error *err);

/** Milliseconds until the next timer, rounded up: 0 when something is due, -1 when there is none. */
int64_t etcd__loop_timeout_ms(const etcd__loop *loop);

/** In the child after fork(): detaches the loop from descriptors it shares with the parent, so that it can be freed without
 *  touching the parent's (P8). `driven`: some thread of the parent had the loop when the child was made. False when that thread
 *  was not at rest in the kernel: what the driver touches may be half-done, so the loop and all on it can only be forgotten. */
bool etcd__loop_forked(etcd__loop *loop, bool driven);

#endif
