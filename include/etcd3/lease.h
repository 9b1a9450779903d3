/* Leases: keys that go away when their holder does (service etcdserverpb.Lease).
 *
 * A lease lives for its time to live (TTL) and each time that it is kept alive begins anew. When it expires or is
 * revoked the server deletes all keys attached to it (etcd_put_options.lease). The time is the server's: a new
 * leader starts the TTL again.
 *
 * Every call has a blocking form and one ending in _async with a callback; see client.h for threads, callbacks and
 * the completion queue. A response belongs to the caller and is freed with etcd_response_free(). In the blocking
 * form `out` may be NULL when only success matters.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ETCD3_LEASE_H
#define ETCD3_LEASE_H

#include "client.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The longest TTL in seconds that a server grants. */
#define ETCD_LEASE_TTL_MAX_S 9000000000

typedef struct etcd_lease_grant_options {
    size_t size;
    const etcd_call_options *call;
    int64_t id; /**< id of the new lease; 0: the server chooses a positive one */
} etcd_lease_grant_options;

typedef struct etcd_lease_grant_response {
    etcd_response_header header;
    int64_t id;
    int64_t ttl_s;    /**< as granted: the server raises a short one to its minimum */
    etcd_bytes error; /**< empty; of no use in any released server */
} etcd_lease_grant_response;

typedef struct etcd_lease_revoke_response {
    etcd_response_header header;
} etcd_lease_revoke_response;

typedef struct etcd_lease_time_to_live_options {
    size_t size;
    const etcd_call_options *call;
    bool keys; /**< return the attached keys */
} etcd_lease_time_to_live_options;

typedef struct etcd_lease_time_to_live_response {
    etcd_response_header header;
    int64_t id;
    int64_t ttl_s;         /**< what is left; -1: the lease has expired, was revoked, or never was */
    int64_t granted_ttl_s; /**< 0 when ttl_s is -1 */
    const etcd_bytes *keys;
    size_t n_keys;
} etcd_lease_time_to_live_response;

typedef struct etcd_lease_status {
    int64_t id;
} etcd_lease_status;

typedef struct etcd_lease_list_response {
    etcd_response_header header;
    const etcd_lease_status *leases;
    size_t n_leases;
} etcd_lease_list_response;

#ifndef __cplusplus
#define ETCD_LEASE_GRANT(...) (&(const etcd_lease_grant_options){.size = sizeof(etcd_lease_grant_options), __VA_ARGS__})
#define ETCD_LEASE_TIME_TO_LIVE(...) \
    (&(const etcd_lease_time_to_live_options){.size = sizeof(etcd_lease_time_to_live_options), __VA_ARGS__})
#endif

/** Set all fields to their defaults, for C++ and bindings; `size` is the sizeof the struct as the caller knows it.
 *  Since 0.1. */
ETCD_EXPORT void etcd_lease_grant_options_init(etcd_lease_grant_options *options, size_t size);
ETCD_EXPORT void etcd_lease_time_to_live_options_init(etcd_lease_time_to_live_options *options, size_t size);

/** Callbacks: exactly once, never from within the starting call. `response` is the callee's to free, NULL after
 *  an error; `err` is NULL after a success and valid during the callback. */
typedef void (*etcd_lease_grant_fn)(etcd_client *client, etcd_lease_grant_response *response, const etcd_error *err, void *arg);
typedef void (*etcd_lease_revoke_fn)(etcd_client *client, etcd_lease_revoke_response *response, const etcd_error *err, void *arg);
typedef void (*etcd_lease_time_to_live_fn)(etcd_client *client, etcd_lease_time_to_live_response *response, const etcd_error *err,
                                           void *arg);
typedef void (*etcd_lease_list_fn)(etcd_client *client, etcd_lease_list_response *response, const etcd_error *err, void *arg);

/** Grants a lease of `ttl_s` seconds. Sent at most once: when the outcome is unknown the error has
 *  ETCD_ERROR_MAYBE_APPLIED, and the lease, if there is one, expires by itself. ETCD_ERR_LEASE_TTL_TOO_LARGE over
 *  ETCD_LEASE_TTL_MAX_S, without asking a server; ETCD_ERR_LEASE_EXIST for an `id` in use. Since 0.1. */
ETCD_EXPORT int etcd_lease_grant(etcd_client *client, int64_t ttl_s, const etcd_lease_grant_options *options,
                                 etcd_lease_grant_response **out, etcd_error *err);
ETCD_EXPORT int etcd_lease_grant_async(etcd_client *client, int64_t ttl_s, const etcd_lease_grant_options *options,
                                       etcd_lease_grant_fn done, void *arg, etcd_call_id *id, etcd_error *err);

/** Ends a lease and deletes the keys attached to it. Sent at most once, as a put. ETCD_ERR_LEASE_NOT_FOUND. Since 0.1. */
ETCD_EXPORT int etcd_lease_revoke(etcd_client *client, int64_t lease, const etcd_call_options *call,
                                  etcd_lease_revoke_response **out, etcd_error *err);
ETCD_EXPORT int etcd_lease_revoke_async(etcd_client *client, int64_t lease, const etcd_call_options *call,
                                        etcd_lease_revoke_fn done, void *arg, etcd_call_id *id, etcd_error *err);

/** Asks what is left of a lease. A lease that does not exist is a success with `ttl_s` -1. Repeated on a lost
 *  connection within the deadline. Since 0.1. */
ETCD_EXPORT int etcd_lease_time_to_live(etcd_client *client, int64_t lease, const etcd_lease_time_to_live_options *options,
                                        etcd_lease_time_to_live_response **out, etcd_error *err);
ETCD_EXPORT int etcd_lease_time_to_live_async(etcd_client *client, int64_t lease, const etcd_lease_time_to_live_options *options,
                                              etcd_lease_time_to_live_fn done, void *arg, etcd_call_id *id, etcd_error *err);

/** Lists the ids of all leases, in the server's order. Repeated on a lost connection within the deadline. Since 0.1. */
ETCD_EXPORT int etcd_lease_list(etcd_client *client, const etcd_call_options *call, etcd_lease_list_response **out,
                                etcd_error *err);
ETCD_EXPORT int etcd_lease_list_async(etcd_client *client, const etcd_call_options *call, etcd_lease_list_fn done, void *arg,
                                      etcd_call_id *id, etcd_error *err);

#ifdef __cplusplus
}
#endif

#endif
