/* The client handle. Fields are grouped by who may touch them.
 *
 * The engine (loop, channel, and all below) is single-threaded. Which thread drives it is decided under the lock:
 * nobody, the I/O thread, a thread that waits in a blocking call, or the program in manual mode. That thread is the
 * driver; see client/driver.c. The lock is never held while calling out or over a system call that may wait. */
#ifndef ETCD__CLIENT_CLIENT_H
#define ETCD__CLIENT_CLIENT_H

#include "base/fork.h"
#include "base/list.h"
#include "channel/channel.h"
#include "client/metrics.h"
#include "client/unary.h"

#include <etcd3/client.h>
#include <stdatomic.h>
#include <uv.h>

typedef enum etcd__driver { ETCD__DRIVER_NOBODY, ETCD__DRIVER_IO_THREAD, ETCD__DRIVER_CALLER } etcd__driver;

/** Who is told when a call has ended. */
typedef enum etcd__form { ETCD__FORM_BLOCKING, ETCD__FORM_CALLBACK, ETCD__FORM_QUEUE } etcd__form;

/** What a cancel switch ends: embedded in its struct. `fn` is called with the switch's lock held. */
typedef struct etcd__cancel_link {
    etcd_cancel *cancel; /* NULL: in none */
    etcd__list node;     /* the switch's lock */
    void (*fn)(struct etcd__cancel_link *link);
} etcd__cancel_link;

/** A user's call. One allocation holds it and its encoded request. */
typedef struct etcd__user_call {
    etcd__call call; /* the channel's part */
    const etcd__unary *unary;
    etcd_client *client;
    int64_t started; /* monotonic ns */
    etcd_call_id id;
    etcd__form form;
    bool secret; /* of `unary`, which may be gone once the callback has run */
    etcd__any_fn done;
    void *arg;
    /* shared: the client's lock */
    etcd__list node;        /* in `submitted`, then the driver's: in `ended` */
    etcd__list cancel_node; /* in `to_cancel` */
    bool submitted;
    bool cancel_requested; /* `cancel_node` is queued once: from then on it may be in the driver's hands */
    /* io: the driver */
    bool has_ended;                         /* the channel is through with it */
    bool retired;                           /* other threads cannot reach it any more */
    bool delivered;                         /* a blocking call: its caller may go on */
    char endpoint[ETCD_ERROR_ENDPOINT_MAX]; /* that the last attempt used */
    etcd__cancel_link link;
    /* several round trips: the driver until it has ended */
    bool went_on;          /* the first is over */
    uint8_t *next_request; /* in place of `request` */
    void *result;          /* of etcd__unary.next */
    /* queue form */
    struct etcd__completion *completion; /* reserved, so that the end cannot get lost */
    /* blocking form */
    uv_sem_t ended;    /* posted when the call was delivered: its caller may wait here when another thread drives */
    uint8_t request[]; /* length-prefixed; behind it endpoint and traceparent */
} etcd__user_call;

/** Work that any thread hands to the driver; embedded in its owner's struct. */
typedef struct etcd__job {
    etcd__list node;
    void (*fn)(struct etcd__job *job);
} etcd__job;

/** What a service keeps for a client as long as that lives: the shared stream of its watches, or of its leases. The driver
 *  only. Embedded in the service's struct. */
typedef struct etcd__attachment {
    etcd__list node;
    const void *kind; /* some address that is the service's own */
    /* The client closes: ends everything, with the last callbacks, before it returns. */
    void (*close)(struct etcd__attachment *attachment);
    /* Releases memory; in a child after fork(), too. */
    void (*free)(struct etcd__attachment *attachment);
} etcd__attachment;

struct etcd_client {
    /* constant after creation */
    etcd__fork_mark made; /* by this process? */
    bool manual;
    bool require_leader;
    int64_t request_timeout; /* ns; negative: none */
    size_t max_send, max_recv;
    size_t watch_buffer_bytes;
    char *user_agent;
    uv_thread_t io_thread;
    void (*call_fn)(const etcd_call_info *info, void *arg);
    void *call_arg;
    void (*state_fn)(etcd_client *client, const char *endpoint, int state, const char *reason, void *arg);
    void *state_arg;

    atomic_int refs; /* the handle, the I/O thread, children */
    atomic_bool closed;
    atomic_bool no_range_stream;                 /* a server did not know KV.RangeStream: large ranges come in pages */
    atomic_int seat_wanted;                      /* threads in etcd__driver_acquire(): the driver makes room after its turn */
    _Atomic(struct etcd__watch_hub *) watch_hub; /* see service/watch_hub.h; NULL: no watch was opened yet */
    _Atomic(uintptr_t) dispatcher;               /* the thread that runs callbacks right now; 0: none */

    /* shared: under the lock */
    struct {
        uv_mutex_t lock;
        uv_cond_t changed; /* the driver's seat became free, or there is work and nobody drives */
        etcd__driver driver;
        unsigned drives;          /* turns taken by callers, to see whether they are still at it */
        bool io_waits;            /* the I/O thread sleeps until the seat is left */
        bool stop;                /* the I/O thread is to end */
        bool io_lives;            /* the I/O thread holds a reference */
        etcd__list submitted;     /* etcd__user_call: not seen by the channel yet */
        etcd__list to_cancel;     /* etcd__user_call.cancel_node */
        etcd__list jobs;          /* etcd__job */
        bool attended;            /* there are streams: the I/O thread keeps its seat */
        size_t live;              /* calls between submit and end */
        unsigned lone_streak;     /* blocking calls in a row that were alone */
        struct etcd__slot *slots; /* live calls by number */
        uint32_t n_slots, free_slot;
        etcd__list completions; /* see client/completion.c */
        uv_cond_t completed;
    } shared;

    /* io: the driver only */
    struct {
        etcd__loop *loop;
        etcd__channel *channel;
        etcd__list ended; /* etcd__user_call: to be dispatched */
        etcd__task dispatch;
        etcd__list attachments;
        etcd__task report; /* of changed endpoint states */
        etcd__metrics metrics;
        unsigned callbacks; /* how deep in the program's functions */
    } io;
};

/** Checks that every public call makes first: NULL, fork, closed. */
int etcd__client_check(const etcd_client *client, etcd_error *err);

/** Also refuses to block inside a callback. */
int etcd__client_check_blocking(const etcd_client *client, etcd_error *err);

void etcd__client_ref(etcd_client *client);
void etcd__client_unref(etcd_client *client);

/** Whether the calling thread is inside a callback of this client. */
bool etcd__client_in_callback(const etcd_client *client);

/* client/driver.c */

/** Starts what was submitted and takes one turn of the loop. The driver only. */
void etcd__driver_turn(etcd_client *client, int64_t timeout_ns);

/** Hands what other threads submitted and canceled to the channel. The driver only. */
void etcd__driver_start_submitted(etcd_client *client);

/** Delivers calls that have ended, perhaps not all: then it defers itself. The driver only; may nest when a callback
 *  closes the client. */
void etcd__driver_dispatch(void *client);

/** Waits until a submitted blocking call was delivered: drives the loop when nobody does. Lock held at entry,
 *  released at exit. */
void etcd__driver_run(etcd__user_call *call);

/** Has `job->fn` called by the driver, soon; in the order of the posts. Returns false when the client is closed: then it is
 *  not called. The job may be posted again from its `fn` on; it must not be posted while it waits. Any thread, also in a
 *  callback. */
bool etcd__driver_post(etcd_client *client, etcd__job *job);

/** Makes the calling thread the driver (waits for the present one to leave the seat) and gives it back. Not in a
 *  callback. */
void etcd__driver_acquire(etcd_client *client);
void etcd__driver_release(etcd_client *client);

/** As acquire and release, but also in a callback, where the thread drives already. Pass what enter returned to
 *  leave. */
bool etcd__driver_enter(etcd_client *client);
void etcd__driver_leave(etcd_client *client, bool seated);

/** Around every call of the program's functions: blocking calls are refused in between. The driver only; may nest. */
void etcd__driver_begin_callback(etcd_client *client);
void etcd__driver_end_callback(etcd_client *client);

/** Tells the driver, or the I/O thread when nobody drives, that there is work. Lock held; returns whether
 *  etcd__loop_wake() is to be called once the lock is released. */
bool etcd__driver_notify(etcd_client *client);

/** The I/O thread: uv_thread_cb. */
void etcd__driver_main(void *client);

/* client/attachment.c: the driver only */

/** The client's attachment of that kind, or NULL. */
etcd__attachment *etcd__client_attachment(etcd_client *client, const void *kind);

/** Adds one. From here on the I/O thread keeps its seat: messages come at any time. */
void etcd__client_attach(etcd_client *client, etcd__attachment *attachment);

void etcd__attachments_close(etcd_client *client);
void etcd__attachments_free(etcd_client *client);

/* client/calls.c: live calls by number; the lock is held */

/** Gives the call its number. ETCD_ERR_NO_MEMORY. */
int etcd__calls_add(etcd_client *client, etcd__user_call *call);
void etcd__calls_remove(etcd_client *client, etcd__user_call *call);
etcd__user_call *etcd__calls_find(const etcd_client *client, etcd_call_id id);
void etcd__calls_each(etcd_client *client, void (*fn)(etcd__user_call *call));
void etcd__calls_free(etcd_client *client);

/* client/endpoints.c: the driver only */

/** Some connection changed its state: the program is told at the end of the turn. */
void etcd__endpoints_changed(void *client);
void etcd__endpoints_report(void *client);

/* client/version.c */

/** Asks every endpoint for its version. ETCD_ERR_OLD_CLUSTER for one that is too old, or why one did not answer in
 *  time. */
int etcd__version_check(etcd_client *client, int64_t timeout_ms, etcd_error *err);

/* client/cancel.c: registration with a cancel switch; no lock is held */

/** Returns false when the switch was triggered already: what it is for must not begin. `link` is cleared but for `fn`. */
bool etcd__cancel_attach(etcd_cancel *cancel, etcd__cancel_link *link);
/** Waits for `fn` when it runs. Nothing for a link in no switch. */
void etcd__cancel_detach(etcd__cancel_link *link);

/* client/unary.c */

/** Hands a submitted call to the channel. The driver only. */
void etcd__user_call_start(etcd__user_call *call);

/** Ends a call that was started and has not ended with ETCD_ERR_CANCELED. The driver only. */
void etcd__user_call_cancel(etcd__user_call *call);

/** Decodes the result where that is the driver's work, tells the user, and frees the call (but a blocking one, which
 *  its caller frees). */
void etcd__user_call_deliver(etcd__user_call *call);

/** Frees a call with everything it holds. */
void etcd__user_call_free(etcd__user_call *call);

/* client/completion.c: the queue of calls without a callback */

typedef struct etcd__completion etcd__completion;

/** Memory for one completion, taken at submit so that the end of a call cannot get lost. NULL when out of memory. */
etcd__completion *etcd__completion_reserve(void);
void etcd__completion_unreserve(etcd__completion *completion);

/** Queues the end of a call. Takes over `completion` and `response`; copies `error` (NULL after a success). */
void etcd__completion_push(etcd__completion *completion, const etcd__user_call *call, void *response, const etcd_error *error);
void etcd__completions_free(etcd_client *client);

#endif
