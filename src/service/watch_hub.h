/* The watches of a client on the driver's side: two streams, with require_leader and without, and the queue of callbacks.
 *
 * Groups of fields say who may touch them. A watch is freed by its program only; from its creation until then it holds a
 * reference on the client, and so on the hub. */
#ifndef ETCD__SERVICE_WATCH_HUB_H
#define ETCD__SERVICE_WATCH_HUB_H

#include "client/client.h"
#include "client/mailbox.h"
#include "service/watch_core.h"

typedef struct etcd__watch_hub etcd__watch_hub;

typedef struct etcd__watch_stream {
    etcd__watch_core core; /* first */
    etcd__watch_hub *hub;
    bool require_leader;
    bool under_way;     /* `call` is the channel's */
    bool closing;       /* we end it: its on_done says nothing */
    unsigned too_large; /* streams in a row that ended so */
    size_t max_message;
    etcd__call call;
    etcd__task open; /* in a turn of its own, as `call` may just have ended */
    etcd__timer timer;
    struct etcd__watch_read *probe;
    struct etcd__watch_read *vouch; /* while the stream is there */
} etcd__watch_stream;

struct etcd__watch_hub {
    etcd__attachment attachment;
    etcd_client *client;
    size_t total_bytes;
    etcd__watch_stream streams[2]; /* the second with require_leader */
    etcd__list ready;              /* etcd_watch.ready: something is due to the program */
    size_t queued;                 /* bytes of all etcd_watch.queued */
    etcd__task dispatch;
    /* for any thread */
    atomic_size_t buffered;
    _Atomic int64_t watches, events, responses;
};

/** What any thread may ask the driver to do for a watch. */
enum { ETCD__WATCH_DO_OPEN = 1, ETCD__WATCH_DO_CANCEL = 2, ETCD__WATCH_DO_PROGRESS = 4, ETCD__WATCH_DO_DRAINED = 8 };

struct etcd_watch {
    etcd__watcher watcher; /* first; the driver's but for its atomics */
    etcd_client *client;
    bool require_leader;
    etcd_watch_fn fn; /* NULL: pulled */
    void *arg;
    etcd__watch_hub *hub;
    /* for any thread */
    etcd__job job;
    atomic_uint to_do; /* the job is posted while it is not 0 */
    atomic_bool canceled, ended;
    atomic_size_t buffered;
    /* for any thread to read; written by the driver */
    _Atomic int64_t given; /* responses */
    _Atomic int64_t moved; /* position while all of them are taken, when it is higher */
    /* for any thread to read; written by the consumer */
    _Atomic int64_t taken; /* position behind what was taken */
    _Atomic int64_t events, responses;
    /* pulled: the consumer */
    etcd__mailbox mailbox;
    size_t unreported; /* bytes, events and responses that it took and `buffered` and the hub do not know of yet */
    int64_t unreported_events, unreported_responses;
    /* the driver */
    etcd__list ready;
    etcd__list queue; /* etcd__watch_delivery.node: for callbacks or the mailbox, at the end of the turn */
    size_t queued;    /* bytes in it, of a pulled watch */
    int end;          /* to be told last; ETCD_OK: not yet */
    etcd_error *why;  /* of the end; NULL when there was no memory for it */
    bool told;
    /* the driver */
    struct etcd__watch_read *page;
    char keys[]; /* key and range end */
};

/** The client's hub, made at the first call; NULL when out of memory. Any thread. */
etcd__watch_hub *etcd__watch_hub_get(etcd_client *client);

/** Does what was asked for: etcd_watch.job.fn. */
void etcd__watch_do(etcd__job *job);

/** Asks the driver; false when the client is closed. Any thread. */
bool etcd__watch_ask(etcd_watch *watch, unsigned what);

/** Notes that the program has, or is about to have, a response. The consumer. */
void etcd__watch_take(etcd_watch *watch, const etcd__watch_delivery *delivery);

/** How far a watch is for its program: the revision from which on it wants more. Any thread. */
int64_t etcd__watch_position(const etcd_watch *watch);

/** Takes a watch out of the machine and drops what waits for it. The driver. */
void etcd__watch_leave(etcd_watch *watch);

/* watch_batch.c */

/** Puts a small delivery into the last of a queue and frees it. False when it is to be queued by itself. */
bool etcd__watch_merge(etcd__list *queue, etcd__watch_delivery *delivery);

/* watch_read.c: reads that the machine asks for */
int etcd__watch_list(etcd__watcher *watcher, const etcd__range_request *request);
void etcd__watch_unlist(etcd__watcher *watcher);
int etcd__watch_probe(etcd__watch_core *core, const etcd__range_request *request);
void etcd__watch_unprobe(etcd__watch_core *core);
int etcd__watch_vouch(etcd__watch_core *core);
void etcd__watch_unvouch(etcd__watch_stream *stream);

#endif
