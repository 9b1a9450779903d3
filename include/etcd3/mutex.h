/* Mutexes: a lock that one session holds at a time, over all clients of a cluster, also those of the Go client.
 *
 * Who wants the lock of a name puts the key "<name>/<lease in hex>", attached to the session's lease. The oldest of these keys
 * holds the lock, the others wait in the order of their creation, each for the one before it. When a session ends so do its
 * keys: no lock outlives its holder.
 *
 * What a lock is worth. A holder can be stopped (SIGSTOP, a sleeping machine, a long pause) for longer than its session
 * lives, and go on without knowing that another holds the lock by then. Two things are against that: ask etcd_session_alive()
 * or etcd_mutex_held() before each step; and, as a step can still come too late, hand the lock's fencing token
 * (etcd_mutex_token()) to what the lock protects, and let it refuse a token lower than one it has seen. For what is kept in etcd
 * itself put etcd_mutex_if_owner() into its transactions.
 *
 * The lock is the session's: a second mutex of the same session and name gets the lock, too. Threads that exclude each other
 * use one session each, or a lock of their own beside it.
 *
 * Every function may be called from any thread, but a mutex does one thing at a time: to lock, try or unlock while another of
 * these is under way is ETCD_ERR_ARGUMENT. Every call has a blocking form and one ending in _async, whose `done` must
 * not be NULL; see client.h for callbacks, manual mode and fork(). Of the call options timeout_ms (of the whole), cancel,
 * require_leader and traceparent may be set.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ETCD3_MUTEX_H
#define ETCD3_MUTEX_H

#include "session.h"
#include "txn.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct etcd_mutex etcd_mutex;

/** Called once at the end of what was started, never from within the starting call, never after etcd_mutex_free(). `err` is
 *  NULL after a success and valid during the callback. The mutex may be freed in it. */
typedef void (*etcd_mutex_fn)(etcd_mutex *mutex, const etcd_error *err, void *arg);

/** Makes a mutex; nothing is sent. The name may be empty: then its keys begin with "/". ETCD_ERR_ARGUMENT, ETCD_ERR_FORKED,
 *  ETCD_ERR_NO_MEMORY. Since 0.1. */
ETCD_EXPORT int etcd_mutex_new(etcd_session *session, const char *name, size_t name_len, etcd_mutex **out, etcd_error *err);

/** Waits for the lock and takes it: one round trip when nobody else wants it. A success when the session has it already.
 *
 *  Waits as long as `call` allows, so give a timeout (negative: without bound). A call that ends without the lock gives up its
 *  place in the line: the key is deleted in the background, and until that is done the next call on this mutex waits for it. A
 *  request whose outcome is unknown is made again, for as long as `call` and the session last: nothing happens twice.
 *
 *  ETCD_ERR_SESSION_EXPIRED when the session ends meanwhile (the message says why), or when the key was deleted by someone;
 *  ETCD_ERR_DEADLINE_EXCEEDED (the message says what was waited for), ETCD_ERR_CANCELED; ETCD_ERR_PERMISSION_DENIED and what
 *  else the server refuses. Since 0.1. */
ETCD_EXPORT int etcd_mutex_lock(etcd_mutex *mutex, const etcd_call_options *call, etcd_error *err);
ETCD_EXPORT int etcd_mutex_lock_async(etcd_mutex *mutex, const etcd_call_options *call, etcd_mutex_fn done, void *arg,
                                      etcd_call_id *id, etcd_error *err);

/** Takes the lock if it is free, in one round trip; ETCD_ERR_LOCKED when another session has it or waits for it. Otherwise
 *  as etcd_mutex_lock(). Since 0.1. */
ETCD_EXPORT int etcd_mutex_try_lock(etcd_mutex *mutex, const etcd_call_options *call, etcd_error *err);
ETCD_EXPORT int etcd_mutex_try_lock_async(etcd_mutex *mutex, const etcd_call_options *call, etcd_mutex_fn done, void *arg,
                                          etcd_call_id *id, etcd_error *err);

/** Gives up the lock. Deletes the key only if it is the very one that was taken. Made again when its outcome is unknown, within
 *  the deadline.
 *
 *  ETCD_ERR_LOCK_RELEASED when it is not locked, and when it was not ours any more: the key was deleted by someone;
 *  ETCD_ERR_SESSION_EXPIRED when that is because the session has ended. After other errors it may be called again; the lock ends
 *  with the session in any case. Since 0.1. */
ETCD_EXPORT int etcd_mutex_unlock(etcd_mutex *mutex, const etcd_call_options *call, etcd_error *err);
ETCD_EXPORT int etcd_mutex_unlock_async(etcd_mutex *mutex, const etcd_call_options *call, etcd_mutex_fn done, void *arg,
                                        etcd_call_id *id, etcd_error *err);

/** Whether the lock was taken, not given up since, and its session is alive at this moment. Since 0.1. */
ETCD_EXPORT bool etcd_mutex_held(const etcd_mutex *mutex);

/** The fencing token of the lock that was taken last and not given up: the create revision of its key. Each later holder
 *  of the lock, in any process, has a higher one. 0: not locked. Still told after the session's end. Since 0.1. */
ETCD_EXPORT int64_t etcd_mutex_token(const etcd_mutex *mutex);

/** Adds a compare to a transaction that holds while this mutex has the lock; when it is not locked, never. Since 0.1. */
ETCD_EXPORT void etcd_mutex_if_owner(const etcd_mutex *mutex, etcd_txn *txn);

/** The key of this mutex, NUL-terminated; `*len`, unless `len` is NULL, is its length. Lives as long as the mutex. Since 0.1. */
ETCD_EXPORT const char *etcd_mutex_key(const etcd_mutex *mutex, size_t *len);

/** The header of the answer that gave the lock; cleared before the first. Since 0.1. */
ETCD_EXPORT void etcd_mutex_header(const etcd_mutex *mutex, etcd_response_header *out);

/** Ends what is under way (no callback runs after it) and frees. A lock that is held stays the session's: unlock it before, or
 *  end the session. NULL is allowed. Not while another thread uses the same mutex. Safe in a callback. Since 0.1. */
ETCD_EXPORT void etcd_mutex_free(etcd_mutex *mutex);

#ifdef __cplusplus
}
#endif

#endif
