/* Watches: every change of a key or range, in order, from a revision on (service etcdserverpb.Watch).
 *
 * A watch lives until it is canceled, freed, or cannot go on. In between connections may break, members die and
 * leaders move: the library opens the stream again from behind the last event that it has given to the program, so
 * that no event is lost, repeated or out of order, and the events of one revision always come together in one
 * response. What cannot be kept is told: the end of a watch is an error that says why.
 *
 * Two forms. Pulled: etcd_watch_open(), then etcd_watch_next() from one thread at a time, with etcd_watch_fd() for
 * poll(). Called: etcd_watch_start() with a function. Either way what has arrived and was not taken yet is bounded
 * (etcd_watch_options.buffer_bytes): a consumer that falls behind costs no more memory than that. Its watch is
 * canceled at the server and resumed from where the consumer is once it has caught up; others are not slowed.
 *
 * All watches of a client share one stream, those with require_leader another.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ETCD3_WATCH_H
#define ETCD3_WATCH_H

#include "client.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct etcd_watch etcd_watch;

enum etcd_event_type { ETCD_EVENT_PUT = 0, ETCD_EVENT_DELETE = 1 };

/** One change of one key. */
typedef struct etcd_event {
    int32_t type;           /**< of etcd_event_type; the end of a lease is a delete */
    const etcd_kv *kv;      /**< never NULL. Of a delete only key and mod_revision are set */
    const etcd_kv *prev_kv; /**< before the change; NULL unless asked for, there was one, and it is not compacted yet */
} etcd_event;

/** What a response of a watch says. */
enum etcd_watch_response_type {
    ETCD_WATCH_EVENTS = 0,       /**< `events` */
    ETCD_WATCH_CREATED = 1,      /**< the server has taken up the watch (created_notify; once): events have at least
                                      `revision` */
    ETCD_WATCH_PROGRESS = 2,     /**< all events up to `revision` have been given (progress_notify, or asked for) */
    ETCD_WATCH_DISCONNECTED = 3, /**< report_connection: the stream broke; it is being opened again. `reason`. Once until
                                      ETCD_WATCH_RESUMED */
    ETCD_WATCH_RESUMED = 4,      /**< report_connection: it goes on; the next events have at least `revision` */
    ETCD_WATCH_GAP = 5,          /**< relist: events before `compact_revision` are gone. The range follows as of `revision`, in
                                      responses of type ETCD_WATCH_LISTED; forget what you knew */
    ETCD_WATCH_LISTED = 6,       /**< relist: `kvs` is a part of the range; the last part has `more` false, and events after
                                      `revision` follow */
    ETCD_WATCH_CANCELED = 7      /**< canceled_notify: the server has ended the watch, in its words: `compact_revision`,
                                      `reason`; next is the end with its error */
};

typedef struct etcd_watch_response {
    etcd_response_header header; /**< of the server's response; cleared for what the library says itself */
    int32_t type;                /**< of etcd_watch_response_type */
    int64_t revision;            /**< see the types; of events: that of the last one */
    const etcd_event *events;    /**< in the order of their revisions */
    size_t n_events;
    int64_t compact_revision; /**< ETCD_WATCH_GAP: at least up to it. ETCD_WATCH_CANCELED: 0 for another reason */
    const etcd_kv *kvs;       /**< ETCD_WATCH_LISTED */
    size_t n_kvs;
    bool more;         /**< ETCD_WATCH_LISTED */
    etcd_bytes reason; /**< ETCD_WATCH_DISCONNECTED, ETCD_WATCH_CANCELED */
} etcd_watch_response;

typedef struct etcd_watch_options {
    size_t size;
    bool prefix;           /**< every key that starts with `key`; at most one of prefix, from_key and range_end */
    bool from_key;         /**< every key at or behind `key` */
    const char *range_end; /**< every key in [key, range_end); NULL: only `key` */
    int64_t range_end_len;
    int64_t start_revision; /**< the first revision wanted; 0: what happens from now on */
    bool prev_kv;           /**< events carry the key-value before the change */
    bool progress_notify;   /**< a response now and then (the server's interval: 10 minutes) when nothing happens */
    bool created_notify;    /**< a response once the server has taken up the watch */
    bool no_put;            /**< leave out puts */
    bool no_delete;         /**< leave out deletes */
    bool require_leader;    /**< do not listen to a member without leader: go on at another */
    bool relist;            /**< when the next event was compacted: list the range, mark the gap, and go on; without it the
                                 watch ends with ETCD_ERR_COMPACTED */
    bool report_connection; /**< tell when the stream breaks, and when the watch goes on */
    int64_t buffer_bytes;   /**< received and not yet taken; default 1 MiB (1,048,576). One revision always fits */
    bool canceled_notify;   /**< a response when the server ends the watch, before its end */
} etcd_watch_options;

#ifndef __cplusplus
#define ETCD_WATCH(...) (&(const etcd_watch_options){.size = sizeof(etcd_watch_options), __VA_ARGS__})
#endif

/** Sets all fields to their defaults, for C++ and bindings; `size` is the sizeof the struct as the caller knows it.
 *  Since 0.1. */
ETCD_EXPORT void etcd_watch_options_init(etcd_watch_options *options, size_t size);

/** Called with each response, which is the callee's to free, and once at the end of the watch with `response` NULL and
 *  `err` saying why (ETCD_ERR_CANCELED after etcd_watch_cancel()). On the driving thread, see client.h; must not block.
 *  The watch may be canceled and freed in it. */
typedef void (*etcd_watch_fn)(etcd_watch *watch, etcd_watch_response *response, const etcd_error *err, void *arg);

/** Opens a watch and returns at once: whether the server takes it (permission, range) is told by etcd_watch_next(). An
 *  empty key with prefix or from_key is every key.
 *
 *  `*out` is the watch, NULL after a failure. Errors: ETCD_ERR_ARGUMENT (the message says what to change),
 *  ETCD_ERR_EMPTY_KEY, ETCD_ERR_CLOSED, ETCD_ERR_FORKED, ETCD_ERR_NO_MEMORY. Any thread, also in a callback. Since 0.1. */
ETCD_EXPORT int etcd_watch_open(etcd_client *client, const char *key, size_t key_len, const etcd_watch_options *options,
                                etcd_watch **out, etcd_error *err);

/** As etcd_watch_open(), but responses are given to `fn`, as to every callback: on another thread perhaps before
 *  this has returned; `*out` is set by then. Since 0.1. */
ETCD_EXPORT int etcd_watch_start(etcd_client *client, const char *key, size_t key_len, const etcd_watch_options *options,
                                 etcd_watch_fn fn, void *arg, etcd_watch **out, etcd_error *err);

/** Takes the next response, which is the caller's to free. Waits at most timeout_ms (negative: without bound; 0: not at
 *  all); in manual mode it drives the client. One thread at a time.
 *
 *  ETCD_ERR_TIMED_OUT: none came, the watch goes on. Any other error is the end, and returned again by later calls:
 *  ETCD_ERR_COMPACTED (the next event is gone: the message has the compact revision), ETCD_ERR_WATCH_ROLLED_BACK (the
 *  cluster's revision went backwards: restored from a backup; not noticed if it has passed the old one again before the
 *  watch is back), ETCD_ERR_PERMISSION_DENIED and what else the server answers, ETCD_ERR_CANCELED, ETCD_ERR_CLOSED,
 *  ETCD_ERR_FORKED, ETCD_ERR_NO_MEMORY, ETCD_ERR_TOO_LARGE (one revision takes more than the client's max_recv_bytes).
 *  ETCD_ERR_IN_CALLBACK when it would have to wait.
 *
 *  What has arrived together may come in one response, so its events may be of several revisions. A watch of keys that do
 *  not change is at a compacted revision after a long break, though nothing of its own was lost, unless progress moves it:
 *  progress_notify, or etcd_watch_request_progress() now and then. Since 0.1. */
ETCD_EXPORT int etcd_watch_next(etcd_watch *watch, int64_t timeout_ms, etcd_watch_response **out, etcd_error *err);

/** A descriptor for poll() and the like, readable when etcd_watch_next() has something without waiting. It is the
 *  watch's: neither read nor close it. In manual mode etcd_client_fd() has to be polled as well. Negative code on
 *  failure. The consuming thread. Since 0.1. */
ETCD_EXPORT int etcd_watch_fd(etcd_watch *watch);

/** Ends a watch: a thread that waits in etcd_watch_next() returns ETCD_ERR_CANCELED; the callback form's last call
 *  follows. What was received and not taken is dropped. Any thread, also in a callback; again: nothing. Since 0.1. */
ETCD_EXPORT void etcd_watch_cancel(etcd_watch *watch);

/** Cancels and frees; no callback runs after it. NULL is allowed. Not while another thread uses the same watch. Safe in
 *  a callback. Since 0.1. */
ETCD_EXPORT void etcd_watch_free(etcd_watch *watch);

/** Asks the server to tell how far the watch is: a response ETCD_WATCH_PROGRESS follows once all events up to its
 *  revision have been given. Servers answer for all watches of a stream at once, and only while none of them lags (it is
 *  asked again until then, and when the stream breaks): all are resumed from there. Those before 3.4.25 and 3.5.8 answer
 *  not always in order with events: there it moves no watch. The member is asked for its version (etcd_status()) first.
 *  Any thread. ETCD_ERR_CLOSED, ETCD_ERR_FORKED. Since 0.1. */
ETCD_EXPORT int etcd_watch_request_progress(etcd_watch *watch, etcd_error *err);

/** The revision from which a new watch would go on where this one is: everything below it has been taken by the program.
 *  0 while that is not known (opened at "now", and not taken up by the server yet). Any thread. Since 0.1. */
ETCD_EXPORT int64_t etcd_watch_position(const etcd_watch *watch);

/** Figures of a watch, or of all of a client. Append-only; `size` is set by the caller. */
typedef struct etcd_watch_stats {
    size_t size;
    int64_t watches;        /**< open (of one watch: 1, or 0 after its end) */
    int64_t events;         /**< given to the program */
    int64_t responses;      /**< given to the program */
    int64_t buffered_bytes; /**< received and not taken */
    int64_t resumes;        /**< after a broken stream */
    int64_t stalls;         /**< canceled at the server because the program was behind */
} etcd_watch_stats;

/** Any thread. ETCD_ERR_ARGUMENT, ETCD_ERR_CLOSED, ETCD_ERR_FORKED. Since 0.1. */
ETCD_EXPORT int etcd_watch_get_stats(etcd_watch *watch, etcd_watch_stats *stats, etcd_error *err);
ETCD_EXPORT int etcd_client_get_watch_stats(etcd_client *client, etcd_watch_stats *stats, etcd_error *err);

#ifdef __cplusplus
}
#endif

#endif
