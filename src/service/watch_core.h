/* The watches of one stream as a state machine: bytes of the server in, requests and deliveries out through functions that are
 * set at construction. No I/O, no locks; `now` and the seed of its random numbers are arguments (promise P4; the contract,
 * sections 1.11 and 6.4).
 *
 * A watcher's `next` is the first revision that was not delivered yet: whenever it is created at a server, on whatever
 * stream, it is created from there. It moves by what was delivered only: behind the last event, behind the server's word that
 * nothing is owed (progress of this very watcher), and from "now" to behind the revision at which the server has taken it up.
 *
 * The answer to a progress request speaks for all watchers of the stream. It moves those
 *  - of a member that sends it in order with events. Servers before 3.4.25 and 3.5.8 send it ahead of events that they owe: so
 *    the member's version is asked first (`vouch`), and no request goes out before that is known. What answers it then was
 *    asked of a process that is the one which told its version, or a newer one whose stream cannot be this one;
 *  - that it speaks for. A server sends `created` on a way of its own, which may overtake an answer that was made before the
 *    watcher was there. It was there when the answer's revision is above that of `created`; or when the answer's number is
 *    above the number of requests that went out before its create, as each is answered once, or not at all.
 *
 * Numbers of watchers are the client's: 24 bits of slot, above them how often the slot was used; so none occurs twice, an
 * answer finds its watcher at once, and a proxy that numbers by itself, from 0, is noticed by the first answer: the stream is
 * opened again and creates are sent one at a time from then on (`serial`).
 *
 * The functions below may be called in any order, but not from within those of etcd__watch_ops; `open` excepted, which is the
 * last thing that a function does. */
#ifndef ETCD__SERVICE_WATCH_CORE_H
#define ETCD__SERVICE_WATCH_CORE_H

#include "base/heap.h"
#include "base/list.h"
#include "base/random.h"
#include "wire/messages.h"

#include <stdatomic.h>

typedef struct etcd__watch_core etcd__watch_core;
typedef struct etcd__watcher etcd__watcher;

typedef enum etcd__watcher_state {
    ETCD__WATCHER_OUT,      /* in no machine */
    ETCD__WATCHER_QUEUED,   /* to be created; in `queue` */
    ETCD__WATCHER_CREATING, /* asked for */
    ETCD__WATCHER_LIVE,     /* the server has it */
    ETCD__WATCHER_BEHIND,   /* its consumer is: not at the server until that has drained */
    ETCD__WATCHER_DOUBTED,  /* the server is behind what was seen: in `doubted` or `probing` */
    ETCD__WATCHER_LISTING,  /* a page of the range is under way */
    ETCD__WATCHER_RESTING,  /* the next page is asked for once the consumer has drained */
    ETCD__WATCHER_WAITING   /* for its timer, to go on with a page (`listing`) or with being created */
} etcd__watcher_state;

struct etcd__watcher {
    /* what is wanted: set before it is added, and constant */
    etcd_bytes key, range_end;
    int64_t start_revision;
    size_t buffer_bytes;
    bool prev_kv, progress_notify, created_notify, canceled_notify, no_put, no_delete, relist, report_connection;

    /* the machine's */
    bool progress_wanted; /* asked for by the program and not told yet */
    bool told_created;
    bool told_broken; /* DISCONNECTED was delivered, RESUMED was not */
    bool was_live;    /* since the stream broke it is to be resumed, not opened */
    bool listing;
    uint8_t cancels; /* by the server, without a reason, in a row */
    uint8_t state;   /* etcd__watcher_state */
    uint32_t slot;
    uint32_t list_limit;
    etcd__watch_core *core;
    etcd__list node;
    etcd__heap_node timer;
    struct etcd__watch_part *part; /* a revision of which fragments are missing */
    int64_t id;                    /* at the server */
    int64_t next;                  /* see above; 0: "now" */
    int64_t created_at;            /* the server's revision when it took it up */
    uint32_t asked_before;         /* progress requests of the stream before it was asked for */
    int64_t seen;                  /* highest revision of the cluster that it was told */
    int64_t compacted;             /* of a gap */
    int64_t list_revision;         /* the listing's; 0: to be told by the first page */
    char *list_key;                /* where the next page starts; NULL: at the start */
    size_t list_key_len;
    uint64_t trusted; /* the stream whose revision is known not to have gone backwards */

    /* for any thread */
    atomic_bool wants_drain; /* tell etcd__watch_core_drained() once the consumer has taken enough */
    _Atomic int64_t resumes, stalls;
};

/** What a watcher delivers: the public response, which etcd_response_free() frees, and what it stands for. */
typedef struct etcd__watch_delivery {
    etcd_watch_response response; /* first */
    etcd__list node;              /* the receiver's */
    etcd__watcher *watcher;
    size_t bytes; /* of memory */
    bool batched; /* the receiver's */
    int64_t next; /* the position once it was taken; 0: "now" */
} etcd__watch_delivery;

typedef struct etcd__watch_ops {
    /* Opens a stream: etcd__watch_core_opened() or _closed() follows, perhaps within. */
    void (*open)(etcd__watch_core *core);
    /* Ends the stream, also one that is being opened; nothing follows. */
    void (*close)(etcd__watch_core *core);
    /* ETCD_OK or why it cannot be sent: the stream is closed then. */
    int (*send)(etcd__watch_core *core, const etcd__watch_request *request);
    /* The server refuses the token: whether another stream is worth trying. */
    bool (*renew)(etcd__watch_core *core, int code);
    /* etcd__watch_core_tick() at that time; ETCD__NEVER: not at all. */
    void (*wake)(etcd__watch_core *core, int64_t when);
    /* Takes over a delivery, unless it fails with ETCD_ERR_NO_MEMORY. */
    int (*deliver)(etcd__watcher *watcher, etcd__watch_delivery *delivery);
    /* `next` has moved without a delivery. */
    void (*moved)(etcd__watcher *watcher);
    /* Once, unless the watcher was removed: it is out of the machine. */
    void (*ended)(etcd__watcher *watcher, const etcd_error *why);
    /* Bytes that were delivered and not taken: of a watcher, and of all that share the bound `total_bytes`. */
    size_t (*buffered)(const etcd__watcher *watcher);
    size_t (*buffered_in_all)(const etcd__watch_core *core);
    /* Asks for a part of a range: etcd__watch_core_listed() follows, not within. */
    int (*list)(etcd__watcher *watcher, const etcd__range_request *request);
    /* Takes that back; nothing follows. */
    void (*unlist)(etcd__watcher *watcher);
    /* Reads one key, to learn the cluster's revision: etcd__watch_core_probed() follows, not within. */
    int (*probe)(etcd__watch_core *core, const etcd__range_request *request);
    void (*unprobe)(etcd__watch_core *core);
    /* Asks the member of the stream whether it tells progress in order: etcd__watch_core_vouched() follows, not within, unless
     * the stream ends before. ETCD_ERR_NO_MEMORY. */
    int (*vouch)(etcd__watch_core *core);
} etcd__watch_ops;

typedef struct etcd__watch_slot {
    etcd__watcher *watcher; /* NULL: free */
    uint32_t uses;
    uint32_t next_free;
} etcd__watch_slot;

#define ETCD__WATCH_FOREIGN 16 /* numbers that nobody asked for and that were canceled, per stream */

struct etcd__watch_core {
    const etcd__watch_ops *ops;
    size_t total_bytes; /* bound of buffered_in_all() */
    size_t max_part;    /* memory of a revision that comes in fragments; SIZE_MAX unless set */
    etcd__random random;
    int64_t now;
    enum { ETCD__WATCH_CLOSED, ETCD__WATCH_OPENING, ETCD__WATCH_OPEN } stream;
    bool serial;
    bool ended;   /* the machine is: nothing is opened any more */
    bool renewed; /* the next stream has a new token */
    bool probe_out;
    bool lost;           /* the stream ended, and its watchers were not looked at yet */
    bool again, at_once; /* then: another may be opened; now */
    uint32_t renewals;   /* of the token, in a row */
    uint32_t failures;   /* of streams, in a row */
    uint32_t n_wanting;  /* watchers that need the stream */
    uint32_t n_foreign;
    uint64_t epoch; /* counts streams */
    int64_t opened_at;
    int64_t reopen_at;   /* while closed: not before */
    int64_t fresh_until; /* a refusal of permission is not the token's fault */
    int64_t progress_at; /* when to ask again; ETCD__NEVER: nobody waits */
    /* of the stream */
    enum { ETCD__WATCH_UNASKED, ETCD__WATCH_ASKED, ETCD__WATCH_TOLD } vouching;
    uint64_t vouched;         /* the member that tells progress in order; 0: none is known to */
    uint32_t n_asked, n_told; /* progress requests and their answers */
    int64_t foreign[ETCD__WATCH_FOREIGN];
    etcd_error why; /* of the last loss */
    etcd__list queue, doubted, probing;
    etcd__heap timers;
    etcd__watch_slot *slots;
    uint32_t n_slots, cap_slots, free_slot; /* free_slot: index + 1 */
    int64_t *pending;                       /* ring: creates that were not answered, in order; 0: answered out of order */
    size_t pending_first, n_pending, pending_cap, pending_bytes;
    _Atomic int64_t resumes, stalls; /* of all watchers; for any thread */
};

void etcd__watch_core_init(etcd__watch_core *core, const etcd__watch_ops *ops, size_t total_bytes, uint64_t seed);

/** Memory only; watchers must be out. */
void etcd__watch_core_free(etcd__watch_core *core);

/** Takes in a watcher, whose fields are zero but for what is wanted. ETCD_ERR_NO_MEMORY. */
int etcd__watch_core_add(etcd__watch_core *core, etcd__watcher *watcher, int64_t now);

/** Takes a watcher out, also one that is out: nothing is told of it any more. */
void etcd__watch_core_remove(etcd__watcher *watcher, int64_t now);

/** Ends all watchers for a reason, and itself. */
void etcd__watch_core_end(etcd__watch_core *core, const etcd_error *why);

/** What happened to the stream. `again`: it may pass. */
void etcd__watch_core_opened(etcd__watch_core *core, int64_t now);
void etcd__watch_core_closed(etcd__watch_core *core, const etcd_error *why, bool again, int64_t now);

/** A message of the stream: a block of etcd__malloc with a writable byte behind it, which is taken over. */
void etcd__watch_core_message(etcd__watch_core *core, uint8_t *data, size_t len, int64_t now);

/** The answer to `list`: the bytes of a message, as above, or NULL and why not. */
void etcd__watch_core_listed(etcd__watcher *watcher, uint8_t *data, size_t len, const etcd_error *why, int64_t now);

/** The answer to `probe`: the cluster's revision, or 0 and why not. */
void etcd__watch_core_probed(etcd__watch_core *core, int64_t revision, const etcd_error *why, int64_t now);

/** The answer to `vouch`: the id of the member if it tells progress in order, else 0. */
void etcd__watch_core_vouched(etcd__watch_core *core, uint64_t member_id, int64_t now);

/** The consumer of a watcher that wants to know has taken enough. */
void etcd__watch_core_drained(etcd__watcher *watcher, int64_t now);

/** The program wants to know how far a watcher is. */
void etcd__watch_core_progress(etcd__watcher *watcher, int64_t now);

void etcd__watch_core_tick(etcd__watch_core *core, int64_t now);

/** Whether a consumer has drained so far that etcd__watch_core_drained() is due. */
bool etcd__watch_drained_enough(size_t own, size_t buffer_bytes, size_t total, size_t total_bytes);

/* --- between the files of the machine ------------------------------------------------------------ */

/* watch_core.c */
void etcd__watcher_set_state(etcd__watcher *watcher, etcd__watcher_state state);
void etcd__watcher_wait(etcd__watcher *watcher, int64_t until);
void etcd__watcher_end(etcd__watcher *watcher, const etcd_error *why);
void etcd__watcher_cancel_at_server(etcd__watcher *watcher);
void etcd__watch_core_restart(etcd__watch_core *core, const etcd_error *why, bool at_once);
void etcd__watch_core_settle(etcd__watch_core *core);
int64_t etcd__watch_core_delay(etcd__watch_core *core, uint32_t failures);
etcd__watcher *etcd__watch_core_find(const etcd__watch_core *core, int64_t id);
/* The number of the create that a `created` answers, 0 for none; it is not pending any more. */
int64_t etcd__watch_core_answered(etcd__watch_core *core, int64_t id);
void etcd__watch_core_cancel_foreign(etcd__watch_core *core, int64_t id);

/* watch_deliver.c */

/** A copy in the arena; false when out of memory. */
bool etcd__watch_copy_event(etcd__arena *arena, etcd_event *to, const etcd_event *from);
void etcd__watch_core_response(etcd__watch_core *core, etcd__watch_response *response, size_t len);
bool etcd__watcher_give(etcd__watcher *watcher, etcd__watch_delivery *delivery, size_t extra, int64_t next);
bool etcd__watcher_tell(etcd__watcher *watcher, int32_t type, const etcd_response_header *header, int64_t revision,
                        const char *reason);
void etcd__watch_part_free(struct etcd__watch_part *part);

/* watch_relist.c */
void etcd__watcher_compacted(etcd__watcher *watcher, int64_t compact_revision);
void etcd__watcher_next_page(etcd__watcher *watcher);
void etcd__watcher_stop_listing(etcd__watcher *watcher);
void etcd__watch_core_start_probe(etcd__watch_core *core);

/* watch_reason.c */

/** The reason of a cancel as an error. Returns its code. */
int etcd__watch_reason(etcd_bytes reason, etcd_error *err);

#endif
