/* Keys and values: get, put, delete, compact (service etcdserverpb.KV), and the range iterator.
 *
 * Keys and values are bytes. Every call has a blocking form and one ending in _async with a callback; see client.h
 * for threads, callbacks and the completion queue. A response belongs to the caller and is freed with
 * etcd_response_free(). In the blocking form `out` may be NULL when only success matters.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ETCD3_KV_H
#define ETCD3_KV_H

#include "client.h"

#ifdef __cplusplus
extern "C" {
#endif

enum etcd_sort_order { ETCD_SORT_NONE = 0, ETCD_SORT_ASCEND = 1, ETCD_SORT_DESCEND = 2 };

enum etcd_sort_target { ETCD_SORT_KEY = 0, ETCD_SORT_VERSION = 1, ETCD_SORT_CREATE = 2, ETCD_SORT_MOD = 3, ETCD_SORT_VALUE = 4 };

/** Ready-made choices of one key-value among those with the prefix; sort and limit follow from it. */
enum etcd_get_pick {
    ETCD_PICK_ALL = 0,
    ETCD_PICK_FIRST_CREATE = 1, /**< lowest create revision */
    ETCD_PICK_LAST_CREATE = 2,
    ETCD_PICK_FIRST_KEY = 3, /**< lexically first */
    ETCD_PICK_LAST_KEY = 4,
    ETCD_PICK_FIRST_REV = 5, /**< lowest mod revision */
    ETCD_PICK_LAST_REV = 6
};

/** Which keys, of which revision, in which order. At most one of prefix, from_key and range_end. */
typedef struct etcd_get_options {
    size_t size;
    const etcd_call_options *call;
    const char *range_end; /**< with range_end_len: keys in [key, range_end); a single NUL byte: all keys >= key */
    int64_t range_end_len;
    bool prefix;       /**< keys that start with `key`; with an empty key, all */
    bool from_key;     /**< keys >= `key`; with an empty key, all */
    bool serializable; /**< the member's own, perhaps stale, state: one hop less */
    bool keys_only;
    bool count_only;
    int64_t limit;                              /**< most key-values; 0: all. `more` tells that there were others */
    int64_t revision;                           /**< as of this revision; 0: now */
    int32_t sort_order;                         /**< of etcd_sort_order */
    int32_t sort_target;                        /**< of etcd_sort_target */
    int32_t pick;                               /**< of etcd_get_pick; implies prefix; excludes sort and limit */
    int64_t min_mod_revision, max_mod_revision; /**< server-side filters; 0: none; `count` ignores them */
    int64_t min_create_revision, max_create_revision;
} etcd_get_options;

typedef struct etcd_get_response {
    etcd_response_header header;
    const etcd_kv *kvs;
    size_t n_kvs;
    bool more;     /**< the limit cut the result */
    int64_t count; /**< keys in the range, whatever limit and filters */
} etcd_get_response;

typedef struct etcd_put_options {
    size_t size;
    const etcd_call_options *call;
    int64_t lease;     /**< attaches the key to this lease; 0: none */
    bool prev_kv;      /**< return what was replaced */
    bool ignore_value; /**< keep the value (give an empty one); ETCD_ERR_KEY_NOT_FOUND without the key */
    bool ignore_lease; /**< keep the lease; ETCD_ERR_KEY_NOT_FOUND without the key */
} etcd_put_options;

typedef struct etcd_put_response {
    etcd_response_header header;
    const etcd_kv *prev_kv; /**< NULL unless asked for and present */
} etcd_put_response;

/** At most one of prefix, from_key and range_end. */
typedef struct etcd_delete_options {
    size_t size;
    const etcd_call_options *call;
    const char *range_end; /**< as in etcd_get_options */
    int64_t range_end_len;
    bool prefix;
    bool from_key;
    bool prev_kv; /**< return what was deleted */
} etcd_delete_options;

typedef struct etcd_delete_response {
    etcd_response_header header;
    int64_t deleted; /**< number of keys */
    const etcd_kv *prev_kvs;
    size_t n_prev_kvs;
} etcd_delete_response;

typedef struct etcd_compact_options {
    size_t size;
    const etcd_call_options *call;
    bool physical; /**< return only once the revisions are gone from the database */
} etcd_compact_options;

typedef struct etcd_compact_response {
    etcd_response_header header;
} etcd_compact_response;

#ifndef __cplusplus
#define ETCD_GET(...) (&(const etcd_get_options){.size = sizeof(etcd_get_options), __VA_ARGS__})
#define ETCD_PUT(...) (&(const etcd_put_options){.size = sizeof(etcd_put_options), __VA_ARGS__})
#define ETCD_DELETE(...) (&(const etcd_delete_options){.size = sizeof(etcd_delete_options), __VA_ARGS__})
#define ETCD_COMPACT(...) (&(const etcd_compact_options){.size = sizeof(etcd_compact_options), __VA_ARGS__})
#endif

/** Set all fields to their defaults, for C++ and bindings; `size` is the sizeof the struct as the caller knows it.
 *  Since 0.1. */
ETCD_EXPORT void etcd_get_options_init(etcd_get_options *options, size_t size);
ETCD_EXPORT void etcd_put_options_init(etcd_put_options *options, size_t size);
ETCD_EXPORT void etcd_delete_options_init(etcd_delete_options *options, size_t size);
ETCD_EXPORT void etcd_compact_options_init(etcd_compact_options *options, size_t size);

/** Callbacks: exactly once, never from within the starting call. `response` is the callee's to free, NULL after
 *  an error; `err` is NULL after a success and valid during the callback. */
typedef void (*etcd_get_fn)(etcd_client *client, etcd_get_response *response, const etcd_error *err, void *arg);
typedef void (*etcd_put_fn)(etcd_client *client, etcd_put_response *response, const etcd_error *err, void *arg);
typedef void (*etcd_delete_fn)(etcd_client *client, etcd_delete_response *response, const etcd_error *err, void *arg);
typedef void (*etcd_compact_fn)(etcd_client *client, etcd_compact_response *response, const etcd_error *err, void *arg);

/** Reads one key, or a range of keys (linearizable unless `serializable`). Repeated on a lost connection within the
 *  deadline, as a read can be. A key that does not exist is a success with n_kvs == 0. ETCD_ERR_EMPTY_KEY for an
 *  empty key without prefix or from_key, ETCD_ERR_ARGUMENT for options that exclude each other,
 *  ETCD_ERR_INVALID_SORT_OPTION; ETCD_ERR_COMPACTED, ETCD_ERR_FUTURE_REV for `revision`. Since 0.1. */
ETCD_EXPORT int etcd_get(etcd_client *client, const char *key, size_t key_len, const etcd_get_options *options,
                         etcd_get_response **out, etcd_error *err);
ETCD_EXPORT int etcd_get_async(etcd_client *client, const char *key, size_t key_len, const etcd_get_options *options,
                               etcd_get_fn done, void *arg, etcd_call_id *id, etcd_error *err);

/** Writes a key. Sent at most once: when the outcome is unknown the error has ETCD_ERROR_MAYBE_APPLIED.
 *  ETCD_ERR_EMPTY_KEY; ETCD_ERR_TOO_LARGE over max_send_bytes; ETCD_ERR_VALUE_PROVIDED, ETCD_ERR_LEASE_PROVIDED with
 *  an ignore option; ETCD_ERR_LEASE_NOT_FOUND; ETCD_ERR_NO_SPACE. Since 0.1. */
ETCD_EXPORT int etcd_put(etcd_client *client, const char *key, size_t key_len, const char *value, size_t value_len,
                         const etcd_put_options *options, etcd_put_response **out, etcd_error *err);
ETCD_EXPORT int etcd_put_async(etcd_client *client, const char *key, size_t key_len, const char *value, size_t value_len,
                               const etcd_put_options *options, etcd_put_fn done, void *arg, etcd_call_id *id, etcd_error *err);

/** Deletes a key, or a range of keys; none is a success. Sent at most once, as a put. ETCD_ERR_EMPTY_KEY for an empty key
 *  without prefix or from_key, ETCD_ERR_ARGUMENT for options that exclude each other. Since 0.1. */
ETCD_EXPORT int etcd_delete(etcd_client *client, const char *key, size_t key_len, const etcd_delete_options *options,
                            etcd_delete_response **out, etcd_error *err);
ETCD_EXPORT int etcd_delete_async(etcd_client *client, const char *key, size_t key_len, const etcd_delete_options *options,
                                  etcd_delete_fn done, void *arg, etcd_call_id *id, etcd_error *err);

/** Discards the history before `revision`. Sent at most once, as a put. ETCD_ERR_COMPACTED when that was done already,
 *  ETCD_ERR_FUTURE_REV. Since 0.1. */
ETCD_EXPORT int etcd_compact(etcd_client *client, int64_t revision, const etcd_compact_options *options,
                             etcd_compact_response **out, etcd_error *err);
ETCD_EXPORT int etcd_compact_async(etcd_client *client, int64_t revision, const etcd_compact_options *options,
                                   etcd_compact_fn done, void *arg, etcd_call_id *id, etcd_error *err);

/** The end of the range of keys that start with `prefix`: the first key behind them, in the caller's `end` of at
 *  least `prefix_len` bytes (1 for an empty prefix). Returns its length; the range is unbounded ("\0") when all
 *  bytes are 0xff. Since 0.1. */
ETCD_EXPORT size_t etcd_prefix_range_end(const char *prefix, size_t prefix_len, char *end);

/** A range read in pages, all as of one revision. */
typedef struct etcd_range etcd_range;

/** Starts to read a range. `options` as for etcd_get: `limit` is the size of a page, `revision` pins the pages (0: the
 *  revision of the first). With limit 0 pages are of a size that suits: 1,000 key-values, and from servers 3.7 on, for large
 *  ranges, the chunks in which the server streams them, up to some 2 MB; that is the fastest way to read many keys. Sorting,
 *  picks and count_only are refused with ETCD_ERR_ARGUMENT: pages follow the keys' order. The iterator is used by one thread
 *  at a time. Since 0.1. */
ETCD_EXPORT int etcd_range_open(etcd_client *client, const char *key, size_t key_len, const etcd_get_options *options,
                                etcd_range **out, etcd_error *err);

/** The next page, in the order of the keys; `*out` is NULL at the end. Deadline and cancel of the options are those of each
 *  page. A stream that breaks is not noticed: what follows is asked for anew. After an error the same page may be asked for
 *  again; ETCD_ERR_COMPACTED means that the pinned revision is gone. Since 0.1. */
ETCD_EXPORT int etcd_range_next(etcd_range *range, etcd_get_response **out, etcd_error *err);

/** Asks for the next page; `done` gets it as of etcd_get_async. One page at a time. ETCD_ERR_ARGUMENT at the end of
 *  the range, without `done`, or while a page is under way; the range must not be freed then (cancel the call
 *  first). Since 0.1. */
ETCD_EXPORT int etcd_range_next_async(etcd_range *range, etcd_get_fn done, void *arg, etcd_call_id *id, etcd_error *err);

/** Whether the last page has arrived. Since 0.1. */
ETCD_EXPORT bool etcd_range_done(const etcd_range *range);

/** The revision that the pages show; 0 before the first. Since 0.1. */
ETCD_EXPORT int64_t etcd_range_revision(const etcd_range *range);

/** NULL is allowed. Since 0.1. */
ETCD_EXPORT void etcd_range_free(etcd_range *range);

#ifdef __cplusplus
}
#endif

#endif
