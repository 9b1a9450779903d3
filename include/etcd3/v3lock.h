/* Locks that the server keeps (service v3lockpb.Lock): for programs that cannot wait for a lock by themselves.
 *
 * The lock of a name belongs to a key that is attached to a lease: it is held until it is unlocked or the lease
 * ends. Nothing tells the holder of the loss. Prefer a lock of the client's own, which does and which every etcd
 * client understands: these locks exclude those of the same name.
 *
 * Every call has a blocking form and one ending in _async with a callback; see client.h for threads, callbacks and
 * the completion queue. A response belongs to the caller and is freed with etcd_response_free(). In the blocking
 * form `out` may be NULL when only success matters.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ETCD3_V3LOCK_H
#define ETCD3_V3LOCK_H

#include "client.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct etcd_lock_response {
    etcd_response_header header;
    etcd_bytes key; /**< what holds the lock, for etcd_unlock(); its create revision is the fencing token */
} etcd_lock_response;

typedef struct etcd_unlock_response {
    etcd_response_header header;
} etcd_unlock_response;

/** Callbacks: exactly once, never from within the starting call. `response` is the callee's to free, NULL after
 *  an error; `err` is NULL after a success and valid during the callback. */
typedef void (*etcd_lock_fn)(etcd_client *client, etcd_lock_response *response, const etcd_error *err, void *arg);
typedef void (*etcd_unlock_fn)(etcd_client *client, etcd_unlock_response *response, const etcd_error *err, void *arg);

/** Waits until the lock of this name is free, and takes it for the lease. With lease 0 the server grants one of 60
 *  seconds that nobody can keep alive. Taking it again with the same lease is a success.
 *
 *  Waits as long as `call` allows: give a timeout. A call that ends before the lock was taken gives up its place in
 *  the line, but one whose error has ETCD_ERROR_MAYBE_APPLIED may hold it until the lease ends.
 *  ETCD_ERR_LEASE_NOT_FOUND. Sent at most once. Since 0.1. */
ETCD_EXPORT int etcd_lock(etcd_client *client, const char *name, size_t name_len, int64_t lease, const etcd_call_options *call,
                          etcd_lock_response **out, etcd_error *err);
ETCD_EXPORT int etcd_lock_async(etcd_client *client, const char *name, size_t name_len, int64_t lease,
                                const etcd_call_options *call, etcd_lock_fn done, void *arg, etcd_call_id *id, etcd_error *err);

/** Gives up the lock that the key of a response holds. A success when it is held no more: by then another may hold
 *  the lock. Sent at most once. Since 0.1. */
ETCD_EXPORT int etcd_unlock(etcd_client *client, const char *key, size_t key_len, const etcd_call_options *call,
                            etcd_unlock_response **out, etcd_error *err);
ETCD_EXPORT int etcd_unlock_async(etcd_client *client, const char *key, size_t key_len, const etcd_call_options *call,
                                  etcd_unlock_fn done, void *arg, etcd_call_id *id, etcd_error *err);

#ifdef __cplusplus
}
#endif

#endif
