/* Elections that the server runs (service v3electionpb.Election): for programs that cannot wait for leadership by
 * themselves.
 *
 * Candidates of a name wait in a line; the first is the leader until it resigns or its lease ends. Nothing tells the
 * leader of the loss.
 *
 * Every call has a blocking form and one ending in _async with a callback; see client.h for threads, callbacks and
 * the completion queue. A response belongs to the caller and is freed with etcd_response_free(). In the blocking
 * form `out` may be NULL when only success matters.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ETCD3_V3ELECTION_H
#define ETCD3_V3ELECTION_H

#include "client.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Proof of leadership (v3electionpb.LeaderKey). */
typedef struct etcd_leader_key {
    etcd_bytes name; /**< of the election */
    etcd_bytes key;  /**< what holds the leadership */
    int64_t rev;     /**< create revision of the key: the fencing token */
    int64_t lease;
} etcd_leader_key;

typedef struct etcd_campaign_response {
    etcd_response_header header;
    etcd_leader_key leader; /**< for etcd_proclaim() and etcd_resign() */
} etcd_campaign_response;

typedef struct etcd_proclaim_response {
    etcd_response_header header;
} etcd_proclaim_response;

typedef struct etcd_leader_response {
    etcd_response_header header;
    etcd_kv kv; /**< the leader's key with the value that it proclaims */
} etcd_leader_response;

typedef struct etcd_resign_response {
    etcd_response_header header;
} etcd_resign_response;

/** Callbacks: exactly once, never from within the starting call. `response` is the callee's to free, NULL after
 *  an error; `err` is NULL after a success and valid during the callback. */
typedef void (*etcd_campaign_fn)(etcd_client *client, etcd_campaign_response *response, const etcd_error *err, void *arg);
typedef void (*etcd_proclaim_fn)(etcd_client *client, etcd_proclaim_response *response, const etcd_error *err, void *arg);
typedef void (*etcd_leader_fn)(etcd_client *client, etcd_leader_response *response, const etcd_error *err, void *arg);
typedef void (*etcd_resign_fn)(etcd_client *client, etcd_resign_response *response, const etcd_error *err, void *arg);

/** Waits until the lease's candidate leads the election, and proclaims the value. With lease 0 the server grants one
 *  of 60 seconds that nobody can keep alive. Waits as long as `call` allows: give a timeout. A call that ends before
 *  gives up its place in the line, but one whose error has ETCD_ERROR_MAYBE_APPLIED may lead until the lease ends.
 *  ETCD_ERR_LEASE_NOT_FOUND. Sent at most once. Since 0.1. */
ETCD_EXPORT int etcd_campaign(etcd_client *client, const char *name, size_t name_len, int64_t lease, const char *value,
                              size_t value_len, const etcd_call_options *call, etcd_campaign_response **out, etcd_error *err);
ETCD_EXPORT int etcd_campaign_async(etcd_client *client, const char *name, size_t name_len, int64_t lease, const char *value,
                                    size_t value_len, const etcd_call_options *call, etcd_campaign_fn done, void *arg,
                                    etcd_call_id *id, etcd_error *err);

/** Replaces the value that the leader proclaims. ETCD_ERR_UNKNOWN with "election: not leader" when `leader_key` leads
 *  no more. Sent at most once. Since 0.1. */
ETCD_EXPORT int etcd_proclaim(etcd_client *client, const etcd_leader_key *leader_key, const char *value, size_t value_len,
                              const etcd_call_options *call, etcd_proclaim_response **out, etcd_error *err);
ETCD_EXPORT int etcd_proclaim_async(etcd_client *client, const etcd_leader_key *leader_key, const char *value, size_t value_len,
                                    const etcd_call_options *call, etcd_proclaim_fn done, void *arg, etcd_call_id *id,
                                    etcd_error *err);

/** Asks who leads. ETCD_ERR_UNKNOWN with "election: no leader" when nobody does. Repeated on a lost connection
 *  within the deadline. Since 0.1. */
ETCD_EXPORT int etcd_leader(etcd_client *client, const char *name, size_t name_len, const etcd_call_options *call,
                            etcd_leader_response **out, etcd_error *err);
ETCD_EXPORT int etcd_leader_async(etcd_client *client, const char *name, size_t name_len, const etcd_call_options *call,
                                  etcd_leader_fn done, void *arg, etcd_call_id *id, etcd_error *err);

/** Gives up the leadership. A success when it was lost before. Sent at most once. Since 0.1. */
ETCD_EXPORT int etcd_resign(etcd_client *client, const etcd_leader_key *leader_key, const etcd_call_options *call,
                            etcd_resign_response **out, etcd_error *err);
ETCD_EXPORT int etcd_resign_async(etcd_client *client, const etcd_leader_key *leader_key, const etcd_call_options *call,
                                  etcd_resign_fn done, void *arg, etcd_call_id *id, etcd_error *err);

/** Follows who leads an election (v3electionpb.Election/Observe): the present leader, if there is one, and then each that
 *  comes after it and each value that one proclaims. Goes on elsewhere when the connection breaks, a member dies or loses its
 *  leader; a leader that came and went in between is not seen, and what was told last is not told again. Nothing is said when
 *  nobody leads any more. */
typedef struct etcd_observe etcd_observe;

/** Called with each response, which is the callee's to free, and once at the end with `response` NULL and `err` saying why
 *  (ETCD_ERR_CANCELED after etcd_observe_cancel()). On the driving thread, see client.h; must not block. The handle may be
 *  canceled and freed in it. */
typedef void (*etcd_observe_fn)(etcd_observe *observe, etcd_leader_response *response, const etcd_error *err, void *arg);

/** Begins to observe an election and returns at once. `call` as always, but timeout_ms is the deadline of the whole, and 0 is
 *  none. `*out` is the handle, NULL after a failure. ETCD_ERR_ARGUMENT, ETCD_ERR_CLOSED, ETCD_ERR_FORKED, ETCD_ERR_CANCELED,
 *  ETCD_ERR_NO_MEMORY. Any thread, also in a callback. Since 0.1. */
ETCD_EXPORT int etcd_observe_open(etcd_client *client, const char *name, size_t name_len, const etcd_call_options *call,
                                  etcd_observe **out, etcd_error *err);

/** As etcd_observe_open(), but responses are given to `fn`, as to every callback: on another thread perhaps before
 *  this has returned; `*out` is set by then. Since 0.1. */
ETCD_EXPORT int etcd_observe_start(etcd_client *client, const char *name, size_t name_len, const etcd_call_options *call,
                                   etcd_observe_fn fn, void *arg, etcd_observe **out, etcd_error *err);

/** Takes the next response, which is the caller's to free. Waits at most timeout_ms (negative: without bound; 0: not at
 *  all); in manual mode it drives the client. One thread at a time.
 *
 *  ETCD_ERR_TIMED_OUT: none came, it goes on. Any other error is the end, and returned again by later calls:
 *  ETCD_ERR_PERMISSION_DENIED and what else the server answers, ETCD_ERR_DEADLINE_EXCEEDED, ETCD_ERR_CANCELED, ETCD_ERR_CLOSED,
 *  ETCD_ERR_FORKED, ETCD_ERR_NO_MEMORY, ETCD_ERR_TOO_LARGE for what no honest server sends. ETCD_ERR_IN_CALLBACK when it would
 *  have to wait. Since 0.1. */
ETCD_EXPORT int etcd_observe_next(etcd_observe *observe, int64_t timeout_ms, etcd_leader_response **out, etcd_error *err);

/** A descriptor for poll() and the like, readable when etcd_observe_next() has something without waiting. It is the
 *  handle's: neither read nor close it. In manual mode etcd_client_fd() has to be polled as well. Negative code on failure.
 *  The consuming thread. Since 0.1. */
ETCD_EXPORT int etcd_observe_fd(etcd_observe *observe);

/** Ends it: a thread that waits in etcd_observe_next() returns ETCD_ERR_CANCELED; the callback form's last call follows. What
 *  was received and not taken is dropped. Any thread, also in a callback; again: nothing. Since 0.1. */
ETCD_EXPORT void etcd_observe_cancel(etcd_observe *observe);

/** Cancels and frees; no callback runs after it. NULL is allowed. Not while another thread uses the same handle. Safe in a
 *  callback. Since 0.1. */
ETCD_EXPORT void etcd_observe_free(etcd_observe *observe);

#ifdef __cplusplus
}
#endif

#endif
