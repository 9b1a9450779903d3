/* Software transactional memory: a function that reads and writes keys as if it were alone, done again until nobody has
 * interfered.
 *
 *     static int deposit(etcd_stm *stm, void *arg)
 *     {
 *         const etcd_bytes *balance;
 *         char text[24];
 *         int rc = etcd_stm_get(stm, ETCD_STR("account/7"), &balance);
 *
 *         if (rc < 0)
 *             return rc;
 *         snprintf(text, sizeof text, "%lld", (balance ? atoll(balance->data) : 0) + *(int *)arg);
 *         return etcd_stm_put(stm, ETCD_STR("account/7"), ETCD_STR(text), NULL);
 *     }
 *
 *     etcd_stm_run(client, deposit, &amount, NULL, NULL, &err);
 *
 * Reads are remembered and writes are held back while the function runs. Then one transaction does the writes if what was
 * read (how much of it, the isolation says) has not changed meanwhile; else the function is called again. So it may be
 * called any number of times: it must have no effect but its etcd_stm_put() and etcd_stm_del(), or one that may be
 * repeated. Keys read, and keys written, may each be as many as a transaction has room for at the server (128 unless it was
 * started with another --max-txn-ops); at the strongest isolation, both together.
 *
 * Two forms. etcd_stm_run() calls the function on its own thread, and a get in it waits for the server. etcd_stm_run_async()
 * never waits: a get of what has not been read yet returns ETCD_ERR_STM_AGAIN, and once the function has returned, that
 * is read and the function is called again, from its beginning, with the same values for all that it had read before. So
 * the same function serves both forms if it returns at once when a get fails.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ETCD3_STM_H
#define ETCD3_STM_H

#include "txn.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What others may do to a transaction; the strongest first. The names are the Go client's. */
enum etcd_stm_isolation {
    ETCD_STM_SERIALIZABLE_SNAPSHOT = 0, /**< reads are as of one revision; nobody has written what was read or is written
                                             between that and the commit. As if done alone, even by itself: no write skew */
    ETCD_STM_SERIALIZABLE = 1,          /**< the same, but keys that are written without being read are not looked after */
    ETCD_STM_REPEATABLE_READS = 2,      /**< reads may be of different revisions, but each is still true at the commit */
    ETCD_STM_READ_COMMITTED = 3         /**< reads are of what was committed at some time; the commit checks nothing */
};

/** What the function is given to read and write with; valid until it returns. */
typedef struct etcd_stm etcd_stm;

/** The transaction's function. 0 or more: commit. Negative: abort, nothing is written, and this is the code that
 *  etcd_stm_run() returns; best one below -1000 or one of etcd_error_code. */
typedef int (*etcd_stm_apply_fn)(etcd_stm *stm, void *arg);

typedef struct etcd_stm_options {
    size_t size;
    const etcd_call_options *call; /**< timeout_ms: of the whole; 0: each request has the client's request_timeout_ms, and
                                        max_attempts is the bound. `cancel` ends it at any time */
    int32_t isolation;             /**< of etcd_stm_isolation */
    int32_t max_attempts;          /**< runs that end in a conflict before it fails with ETCD_ERR_STM_CONFLICT; default 100 */
    int64_t backoff_base_ms;       /**< wait after a conflict, doubled with each more, half of it random; default 4. After the
                                        first one of the serializable levels there is none */
    int64_t backoff_max_ms;        /**< bound of that wait; default 250 */
    const etcd_bytes *prefetch;    /**< keys to read in one request, as if the function began by reading them */
    int64_t n_prefetch;
    int64_t max_bytes; /**< memory for what is read and written; default 16 MiB (16,777,216), beyond it
                            ETCD_ERR_TOO_LARGE */
} etcd_stm_options;

#ifndef __cplusplus
#define ETCD_STM(...) (&(const etcd_stm_options){.size = sizeof(etcd_stm_options), __VA_ARGS__})
#endif

/** Sets all fields to their defaults, for C++ and bindings; `size` is the sizeof the struct as the caller knows it.
 *  Since 0.1. */
ETCD_EXPORT void etcd_stm_options_init(etcd_stm_options *options, size_t size);

/** Runs the transaction. `*out`, which may be NULL, is the answer to the commit: its header has the revision at which the
 *  writes were done.
 *
 *  Fails with the function's own negative value; with the error of a get, put or del in it, whatever the function has made of
 *  that; with ETCD_ERR_STM_CONFLICT (retryable; nothing was written); with ETCD_ERR_TOO_MANY_OPS and what else
 *  etcd_txn_commit() fails with. A commit whose outcome is unknown (ETCD_ERROR_MAYBE_APPLIED) is not tried again. Any thread,
 *  not in a callback. Since 0.1. */
ETCD_EXPORT int etcd_stm_run(etcd_client *client, etcd_stm_apply_fn apply, void *arg, const etcd_stm_options *options,
                             etcd_txn_response **out, etcd_error *err);

/** Called once at the end: see etcd_put_fn. */
typedef void (*etcd_stm_fn)(etcd_client *client, etcd_txn_response *response, const etcd_error *err, void *arg);

/** The form that does not wait: see the top. `arg` is given to both functions. `apply` is called for the first time before
 *  this returns, on the caller's thread; when it or a get fails right then, so does this, and `done` is never called. After
 *  that both are called as callbacks are, see client.h, and must not block. Everything in the options is copied but the cancel
 *  switch, which is how the transaction can be ended early. ETCD_ERR_ARGUMENT without `done`. Since 0.1. */
ETCD_EXPORT int etcd_stm_run_async(etcd_client *client, etcd_stm_apply_fn apply, const etcd_stm_options *options,
                                   etcd_stm_fn done, void *arg, etcd_error *err);

/** The functions below are for the transaction's function, on its thread. A failure of any of them is the transaction's:
 *  it will not commit, and etcd_stm_run() tells the error in full. */

/** Reads a key: `*value` is what this transaction has put, or else what is in the store; NULL: the key does not exist. The
 *  bytes live until the function returns. ETCD_ERR_STM_AGAIN: return, see the top; further gets before that are read along
 *  with it in one request. ETCD_ERR_EMPTY_KEY, ETCD_ERR_TOO_LARGE, and errors as of etcd_get(). Since 0.1. */
ETCD_EXPORT int etcd_stm_get(etcd_stm *stm, const char *key, size_t key_len, const etcd_bytes **value);

/** Reads several keys, those not read before in one request and as of one revision. values[i] as of etcd_stm_get().
 *  Since 0.1. */
ETCD_EXPORT int etcd_stm_get_many(etcd_stm *stm, const etcd_bytes *keys, size_t n_keys, const etcd_bytes **values);

/** The mod revision of a key in the store, 0 when it does not exist. The key counts as read; own writes do not show. Errors as
 *  of etcd_stm_get(). Since 0.1. */
ETCD_EXPORT int etcd_stm_rev(etcd_stm *stm, const char *key, size_t key_len, int64_t *revision);

/** Writes a key when the transaction commits. `options` as of etcd_put(), its `call` must be NULL. The last put or del of a key
 *  counts. Since 0.1. */
ETCD_EXPORT int etcd_stm_put(etcd_stm *stm, const char *key, size_t key_len, const char *value, size_t value_len,
                             const etcd_put_options *options);

/** Deletes a key when the transaction commits. Since 0.1. */
ETCD_EXPORT int etcd_stm_del(etcd_stm *stm, const char *key, size_t key_len);

/** Which attempt this is: 1, and one more after each conflict. Since 0.1. */
ETCD_EXPORT int32_t etcd_stm_attempt(const etcd_stm *stm);

#ifdef __cplusplus
}
#endif

#endif
