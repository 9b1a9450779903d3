/* Mirrors: all keys with a prefix as of one revision, then every change of them, revision by revision. For copies of a part of a
 * store: to another cluster, to a file, into memory.
 *
 *     etcd_mirror_open(client, ETCD_STR("/svc/"), NULL, &mirror, &err);
 *     while (etcd_mirror_next_page(mirror, &page, &err) == ETCD_OK && page != NULL)
 *         ...page->kvs..., etcd_response_free(page);
 *     while (etcd_mirror_next_update(mirror, -1, &update, &err) == ETCD_OK)
 *         ...update->events...
 *
 * First the base: pages, all as of the same revision. Then the updates: what happened after that revision, without a gap, also
 * over broken connections. Nothing is held but one page, or what the watch under the updates may buffer.
 *
 * To go on later, keep etcd_mirror_revision() with the copy, and open the next mirror with that revision and without a base. If
 * the store's history after it is gone by then (ETCD_ERR_COMPACTED), the copy has to be made anew.
 *
 * A mirror is used by one thread at a time, but for etcd_mirror_cancel(). See client.h for callbacks, manual mode and fork().
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ETCD3_MIRROR_H
#define ETCD3_MIRROR_H

#include "kv.h"
#include "watch.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct etcd_mirror etcd_mirror;

/** How far a mirror is. Append-only; `size` is set by the caller of etcd_mirror_get_progress(). */
typedef struct etcd_mirror_progress {
    size_t size;
    int64_t revision; /**< of the base, or up to which all updates have been given */
    bool base_done;   /**< the last page of the base was given */
    int64_t pages;    /**< of the base, so far */
    int64_t keys;     /**< in them */
    int64_t updates;  /**< revisions, so far */
    int64_t events;   /**< in them */
} etcd_mirror_progress;

/** What one revision has changed. */
typedef struct etcd_mirror_update {
    int64_t revision;
    const etcd_event *events; /**< puts and deletes; each key once */
    size_t n_events;
} etcd_mirror_update;

typedef struct etcd_mirror_options {
    size_t size;
    const etcd_call_options *call; /**< for the request of each page: its deadline and how it is canceled */
    int64_t revision;              /**< the base is as of this revision; 0: now */
    bool updates_only;             /**< no base: only what happened after `revision`, which must be set */
    int64_t page_keys;             /**< keys of a page of the base; default 1,000 */
    int64_t buffer_bytes;          /**< of updates that have arrived and were not taken: see etcd_watch_options */
    bool require_leader;           /**< the updates do not listen to a member without leader */
    /** Told of each page and of each update before they are given, and now and then (the server's interval: 10 minutes) when
     *  nothing happens. On the thread that takes them. Must not free the mirror. */
    void (*progress_fn)(const etcd_mirror_progress *progress, void *arg);
    void *progress_arg;
} etcd_mirror_options;

#ifndef __cplusplus
#define ETCD_MIRROR(...) (&(const etcd_mirror_options){.size = sizeof(etcd_mirror_options), __VA_ARGS__})
#endif

/** Sets all fields to their defaults, for C++ and bindings; `size` is the sizeof the struct as the caller knows it.
 *  Since 0.1. */
ETCD_EXPORT void etcd_mirror_options_init(etcd_mirror_options *options, size_t size);

/** Makes a mirror of the keys with the prefix; an empty one is every key. Sends nothing yet.
 *
 *  `*out` is the mirror, NULL after a failure. ETCD_ERR_ARGUMENT, ETCD_ERR_CLOSED, ETCD_ERR_FORKED, ETCD_ERR_NO_MEMORY. Any
 *  thread, also in a callback. Since 0.1. */
ETCD_EXPORT int etcd_mirror_open(etcd_client *client, const char *prefix, size_t prefix_len, const etcd_mirror_options *options,
                                 etcd_mirror **out, etcd_error *err);

/** The next page of the base, in the order of the keys and the caller's to free; `*out` is NULL when there is no more. The first
 *  may be empty. After an error the same page may be asked for again; ETCD_ERR_COMPACTED means that the revision of the base is
 *  gone. Since 0.1. */
ETCD_EXPORT int etcd_mirror_next_page(etcd_mirror *mirror, etcd_get_response **out, etcd_error *err);

/** Asks for the next page; `done` gets it as of etcd_get_async(). One at a time. ETCD_ERR_ARGUMENT when the base is done (see
 *  etcd_mirror_base_done()), without `done`, and while a page is under way; the mirror must not be freed then. Since 0.1. */
ETCD_EXPORT int etcd_mirror_next_page_async(etcd_mirror *mirror, etcd_get_fn done, void *arg, etcd_call_id *id, etcd_error *err);

/** Whether the last page of the base was given. Since 0.1. */
ETCD_EXPORT bool etcd_mirror_base_done(const etcd_mirror *mirror);

/** The next update, which is valid until this is called again or the mirror is freed. Waits at most timeout_ms (negative: without
 *  bound; 0: not at all). The first one starts to watch. ETCD_ERR_ARGUMENT before the base is done; ETCD_ERR_TIMED_OUT: none
 *  came, ask again. Other errors are the end, as of etcd_watch_next(): ETCD_ERR_COMPACTED, ETCD_ERR_WATCH_ROLLED_BACK,
 *  ETCD_ERR_CANCELED, ... Since 0.1. */
ETCD_EXPORT int etcd_mirror_next_update(etcd_mirror *mirror, int64_t timeout_ms, const etcd_mirror_update **out, etcd_error *err);

/** A descriptor for poll() and the like, readable when etcd_mirror_next_update() may have something without waiting. Call that
 *  until ETCD_ERR_TIMED_OUT before waiting again. It is the mirror's: neither read nor close it. In manual mode etcd_client_fd()
 *  has to be polled as well. Starts to watch. Negative code on failure, ETCD_ERR_ARGUMENT before the base is done. Since 0.1. */
ETCD_EXPORT int etcd_mirror_fd(etcd_mirror *mirror);

/** Called with each update, which is valid until it returns, and once at the end with `update` NULL and `err` saying why, as of
 *  etcd_mirror_next_update(). A callback as any, see client.h; the mirror may be canceled and freed in it. */
typedef void (*etcd_mirror_update_fn)(etcd_mirror *mirror, const etcd_mirror_update *update, const etcd_error *err, void *arg);

/** In place of etcd_mirror_next_update(): updates are given to `fn`, as to every callback: on another thread perhaps before this
 *  has returned. ETCD_ERR_ARGUMENT before the base is done, without `fn`, and when the updates were started already. Since
 *  0.1. */
ETCD_EXPORT int etcd_mirror_start_updates(etcd_mirror *mirror, etcd_mirror_update_fn fn, void *arg, etcd_error *err);

/** How far it is. `progress` is filled as far as its `size`, which the caller sets, goes. Since 0.1. */
ETCD_EXPORT int etcd_mirror_get_progress(const etcd_mirror *mirror, etcd_mirror_progress *progress, etcd_error *err);

/** The revision that a copy of all that was given has; 0 before the first page. During the base it is that of the base, though
 *  the copy is not complete yet. Since 0.1. */
ETCD_EXPORT int64_t etcd_mirror_revision(const etcd_mirror *mirror);

/** Ends the updates: a thread that waits in etcd_mirror_next_update() returns ETCD_ERR_CANCELED; the callback form's last call
 *  follows. Pages are canceled as calls are. Any thread, also in a callback; with the callback form once
 *  etcd_mirror_start_updates() has returned. Since 0.1. */
ETCD_EXPORT void etcd_mirror_cancel(etcd_mirror *mirror);

/** Cancels and frees; no callback runs after it. NULL is allowed. Safe in a callback, but not while a page is under way. Since
 *  0.1. */
ETCD_EXPORT void etcd_mirror_free(etcd_mirror *mirror);

#ifdef __cplusplus
}
#endif

#endif
