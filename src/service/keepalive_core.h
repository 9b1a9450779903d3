/* Which lease is to be renewed when, and until when it is surely held: keep-alive without I/O, clock or lock.
 *
 * `now` is always the boot clock in nanoseconds (positive), read right before the call: a lease counts from the moment in
 * which its request is handed out. There is one stream for all leases. Nothing here allocates but the table of leases, which
 * does without growing when it cannot.
 *
 * Invariants. A lease has at most one request on the stream. It stays known while that is unanswered, though nobody holds it
 * any more, so that the answer cannot be taken for that of a later request. No user is told of a deadline later than the
 * sending of an answered request plus its TTL. Every user leaves by etcd__keepalive_core_leave(), or with one end().
 *
 * Contract, sections 1.10 and 6.5; promise P6. */
#ifndef ETCD__SERVICE_KEEPALIVE_CORE_H
#define ETCD__SERVICE_KEEPALIVE_CORE_H

#include "base/heap.h"
#include "base/random.h"

#include <etcd3/keepalive.h>

typedef struct etcd__keepalive_core etcd__keepalive_core;
typedef struct etcd__keepalive_lease etcd__keepalive_lease;
typedef struct etcd__keepalive_user etcd__keepalive_user;

/** One lease; memory of the binding's, released by released(). */
struct etcd__keepalive_lease {
    etcd__heap_node due;         /* the key is when it is to be looked at */
    etcd__keepalive_lease *next; /* in its bucket */
    etcd__keepalive_user *users;
    int64_t id;
    int64_t deadline; /* it is surely held until then; ETCD__NEVER: nothing is known */
    int64_t sent;     /* when its request was handed out that is not answered yet; 0: there is none */
    int64_t renew_at;
};

/** Somebody who wants a lease kept alive, or, with `once`, renewed one time. Embedded in the binding's struct; set `once`. */
struct etcd__keepalive_user {
    etcd__keepalive_user *next;
    etcd__keepalive_lease *lease; /* NULL: in none */
    bool once;
    bool asked; /* a request was sent since it came */
};

/** What the binding does for it. None of these may call into the core, but open(), which may call opened() and lost() */
typedef struct etcd__keepalive_events {
    /* Open a stream: opened() or lost() follows. */
    void (*open)(etcd__keepalive_core *core);
    /* Abandon the stream, which does not answer. It counts as lost already: lost() is not to be called for it. */
    void (*give_up)(etcd__keepalive_core *core);
    /* Hand a request to the stream; what is handed out together is followed by one flush(). */
    void (*request)(etcd__keepalive_core *core, int64_t id);
    /* False: the stream took none of it. */
    bool (*flush)(etcd__keepalive_core *core);
    /* The lease is surely held until `deadline`. */
    void (*held)(etcd__keepalive_user *user, int64_t deadline);
    /* An answer. A `once` user has left with it. */
    void (*answer)(etcd__keepalive_core *core, etcd__keepalive_user *user, const etcd_keepalive_response *response);
    /* The user has left, for this reason. */
    void (*end)(etcd__keepalive_core *core, etcd__keepalive_user *user, const etcd_error *why);
    /* The lease is not known any more. */
    void (*release)(etcd__keepalive_lease *lease);
} etcd__keepalive_events;

typedef enum etcd__keepalive_stream {
    ETCD__KEEPALIVE_NO_STREAM,
    ETCD__KEEPALIVE_OPENING,
    ETCD__KEEPALIVE_OPEN
} etcd__keepalive_stream;

struct etcd__keepalive_core {
    const etcd__keepalive_events *events;
    etcd__random random;
    etcd__heap heap;
    etcd__keepalive_lease **buckets;
    size_t n_buckets; /* a power of two, or 0 before the first */
    size_t n_leases;
    etcd__keepalive_lease *first_bucket; /* what `buckets` is until there is memory for more */
    size_t n_users;
    etcd__keepalive_stream stream;
    int64_t opened_at;     /* the stream */
    int64_t heard_at;      /* the last answer on it, or opened_at */
    int64_t reopen_at;     /* without a stream: when to open one */
    int failures;          /* streams without any answer, in a row */
    int refusals;          /* of them, refused for the token */
    size_t handed_out;     /* requests that wait for flush() */
    int64_t unanswered;    /* in give_up(): when the request was handed out that has no answer; 0: the reason is another */
    etcd_error last_error; /* why the last stream ended; code 0: none has */
};

void etcd__keepalive_core_init(etcd__keepalive_core *core, const etcd__keepalive_events *events, uint64_t seed);

/** The lease with this id that takes new users, or NULL. */
etcd__keepalive_lease *etcd__keepalive_core_find(etcd__keepalive_core *core, int64_t id);

/** Adds `user` to the lease of this id. When it is not known yet `room`, which need not be cleared, becomes it; else `room`
 *  is released. `deadline`: until when the user knows that it is held; ETCD__NEVER: it does not. */
void etcd__keepalive_core_join(etcd__keepalive_core *core, etcd__keepalive_user *user, int64_t id, etcd__keepalive_lease *room,
                               int64_t deadline, int64_t now);

/** The user wants no more. */
void etcd__keepalive_core_leave(etcd__keepalive_core *core, etcd__keepalive_user *user);

/** Does what is due; to be called after any of the others, and at etcd__keepalive_core_next(), which may be at once, when
 *  very much is due. */
void etcd__keepalive_core_run(etcd__keepalive_core *core, int64_t now);

/** When run() has something to do; ETCD__NEVER. */
int64_t etcd__keepalive_core_next(const etcd__keepalive_core *core);

/** The stream is open. */
void etcd__keepalive_core_opened(etcd__keepalive_core *core, int64_t now);

/** An answer on the stream. */
void etcd__keepalive_core_answer(etcd__keepalive_core *core, const etcd_keepalive_response *response, int64_t now);

/** The stream ended, or could not be opened. `again`: another is worth trying. */
void etcd__keepalive_core_lost(etcd__keepalive_core *core, const etcd_error *why, bool again, int64_t now);

/** Ends all users for this reason and releases all leases. */
void etcd__keepalive_core_close(etcd__keepalive_core *core, const etcd_error *why);

/** Releases all leases and frees the table, without a word to the users. */
void etcd__keepalive_core_free(etcd__keepalive_core *core);

#endif
