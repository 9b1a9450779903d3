/* Members of the cluster: list, add, remove, update, promote (service etcdserverpb.Cluster).
 *
 * A member that joins as a learner gets the data but has no vote until it is promoted: the safe way to add or
 * replace one.
 *
 * Every call has a blocking form and one ending in _async with a callback; see client.h for threads, callbacks and
 * the completion queue. A response belongs to the caller and is freed with etcd_response_free(). In the blocking
 * form `out` may be NULL when only success matters. Calls that change the cluster are sent at most once: when the
 * outcome is unknown the error has ETCD_ERROR_MAYBE_APPLIED.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ETCD3_CLUSTER_H
#define ETCD3_CLUSTER_H

#include "client.h"

#ifdef __cplusplus
extern "C" {
#endif

/** One member (etcdserverpb.Member). */
typedef struct etcd_member {
    uint64_t id;
    etcd_bytes name; /**< empty until the member has started for the first time */
    const etcd_bytes *peer_urls;
    size_t n_peer_urls;
    const etcd_bytes *client_urls; /**< none until the member has started for the first time */
    size_t n_client_urls;
    bool is_learner;
} etcd_member;

typedef struct etcd_member_list_options {
    size_t size;
    const etcd_call_options *call;
    bool serializable; /**< the own, perhaps stale, list of the member that answers: also without a quorum */
} etcd_member_list_options;

typedef struct etcd_member_list_response {
    etcd_response_header header;
    const etcd_member *members;
    size_t n_members;
} etcd_member_list_response;

typedef struct etcd_member_add_options {
    size_t size;
    const etcd_call_options *call;
    bool learner; /**< without a vote, until etcd_member_promote() */
} etcd_member_add_options;

typedef struct etcd_member_add_response {
    etcd_response_header header;
    etcd_member member;         /**< the new one, with its id */
    const etcd_member *members; /**< all, the new one among them */
    size_t n_members;
} etcd_member_add_response;

typedef struct etcd_member_remove_response {
    etcd_response_header header;
    const etcd_member *members; /**< those that are left */
    size_t n_members;
} etcd_member_remove_response;

typedef struct etcd_member_update_response {
    etcd_response_header header;
    const etcd_member *members;
    size_t n_members;
} etcd_member_update_response;

typedef struct etcd_member_promote_response {
    etcd_response_header header;
    const etcd_member *members;
    size_t n_members;
} etcd_member_promote_response;

#ifndef __cplusplus
#define ETCD_MEMBER_LIST(...) (&(const etcd_member_list_options){.size = sizeof(etcd_member_list_options), __VA_ARGS__})
#define ETCD_MEMBER_ADD(...) (&(const etcd_member_add_options){.size = sizeof(etcd_member_add_options), __VA_ARGS__})
#endif

/** Set all fields to their defaults, for C++ and bindings; `size` is the sizeof the struct as the caller knows it.
 *  Since 0.1. */
ETCD_EXPORT void etcd_member_list_options_init(etcd_member_list_options *options, size_t size);
ETCD_EXPORT void etcd_member_add_options_init(etcd_member_add_options *options, size_t size);

/** Callbacks: exactly once, never from within the starting call. `response` is the callee's to free, NULL after
 *  an error; `err` is NULL after a success and valid during the callback. */
typedef void (*etcd_member_list_fn)(etcd_client *client, etcd_member_list_response *response, const etcd_error *err, void *arg);
typedef void (*etcd_member_add_fn)(etcd_client *client, etcd_member_add_response *response, const etcd_error *err, void *arg);
typedef void (*etcd_member_remove_fn)(etcd_client *client, etcd_member_remove_response *response, const etcd_error *err,
                                      void *arg);
typedef void (*etcd_member_update_fn)(etcd_client *client, etcd_member_update_response *response, const etcd_error *err,
                                      void *arg);
typedef void (*etcd_member_promote_fn)(etcd_client *client, etcd_member_promote_response *response, const etcd_error *err,
                                       void *arg);

/** Lists the members. Linearizable unless `serializable`: fails without a quorum. Repeated on a lost connection
 *  within the deadline. Since 0.1. */
ETCD_EXPORT int etcd_member_list(etcd_client *client, const etcd_member_list_options *options, etcd_member_list_response **out,
                                 etcd_error *err);
ETCD_EXPORT int etcd_member_list_async(etcd_client *client, const etcd_member_list_options *options, etcd_member_list_fn done,
                                       void *arg, etcd_call_id *id, etcd_error *err);

/** Adds a member that will be reached by its peers at these URLs: "http://host:port", "https://host:port",
 *  "unix://...", "unixs://...", at least one. Start it afterwards, with --initial-cluster-state=existing.
 *
 *  ETCD_ERR_MEMBER_BAD_URLS for none or malformed ones, without asking a server: the message names it;
 *  ETCD_ERR_PEER_URL_EXIST; ETCD_ERR_UNHEALTHY and ETCD_ERR_MEMBER_NOT_ENOUGH_STARTED when the change could cost the
 *  quorum; ETCD_ERR_TOO_MANY_LEARNERS. Since 0.1. */
ETCD_EXPORT int etcd_member_add(etcd_client *client, const char *const *peer_urls, size_t n_peer_urls,
                                const etcd_member_add_options *options, etcd_member_add_response **out, etcd_error *err);
ETCD_EXPORT int etcd_member_add_async(etcd_client *client, const char *const *peer_urls, size_t n_peer_urls,
                                      const etcd_member_add_options *options, etcd_member_add_fn done, void *arg,
                                      etcd_call_id *id, etcd_error *err);

/** Removes a member, for good: its id is never used again. ETCD_ERR_MEMBER_NOT_FOUND, also for one that was removed
 *  before; ETCD_ERR_UNHEALTHY, ETCD_ERR_MEMBER_NOT_ENOUGH_STARTED. Since 0.1. */
ETCD_EXPORT int etcd_member_remove(etcd_client *client, uint64_t member_id, const etcd_call_options *call,
                                   etcd_member_remove_response **out, etcd_error *err);
ETCD_EXPORT int etcd_member_remove_async(etcd_client *client, uint64_t member_id, const etcd_call_options *call,
                                         etcd_member_remove_fn done, void *arg, etcd_call_id *id, etcd_error *err);

/** Replaces the peer URLs of a member. URLs and their errors as for etcd_member_add(); ETCD_ERR_MEMBER_NOT_FOUND.
 *  Since 0.1. */
ETCD_EXPORT int etcd_member_update(etcd_client *client, uint64_t member_id, const char *const *peer_urls, size_t n_peer_urls,
                                   const etcd_call_options *call, etcd_member_update_response **out, etcd_error *err);
ETCD_EXPORT int etcd_member_update_async(etcd_client *client, uint64_t member_id, const char *const *peer_urls,
                                         size_t n_peer_urls, const etcd_call_options *call, etcd_member_update_fn done, void *arg,
                                         etcd_call_id *id, etcd_error *err);

/** Gives a learner its vote. ETCD_ERR_LEARNER_NOT_READY until it has caught up with the leader: ask again;
 *  ETCD_ERR_MEMBER_NOT_LEARNER, ETCD_ERR_MEMBER_NOT_FOUND. Since 0.1. */
ETCD_EXPORT int etcd_member_promote(etcd_client *client, uint64_t member_id, const etcd_call_options *call,
                                    etcd_member_promote_response **out, etcd_error *err);
ETCD_EXPORT int etcd_member_promote_async(etcd_client *client, uint64_t member_id, const etcd_call_options *call,
                                          etcd_member_promote_fn done, void *arg, etcd_call_id *id, etcd_error *err);

#ifdef __cplusplus
}
#endif

#endif
