/* Elections: candidates of a name, of which one leads and tells the others something; over all clients of a cluster, also those
 * of the Go client.
 *
 * A candidate puts the key "<name>/<lease in hex>" with its value, attached to its session's lease. The oldest of these keys
 * leads; the others wait in the order of their creation. The leader changes its value by proclaiming another. It leads until it
 * resigns or its session ends.
 *
 * What was said of locks in mutex.h holds for leaders: etcd_election_token() is the fencing token,
 * etcd_election_if_leader() guards transactions, and etcd_election_leads() is to be asked before each step.
 *
 * Every function may be called from any thread, but an election does one thing at a time: to campaign, proclaim or resign while
 * another of these is under way is ETCD_ERR_ARGUMENT. Every call has a blocking form and one ending in _async, whose `done` must
 * not be NULL; see client.h for callbacks, manual mode and fork(). Of the call options of those three timeout_ms (of the whole),
 * cancel, require_leader and traceparent may be set.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ETCD3_ELECTION_H
#define ETCD3_ELECTION_H

#include "kv.h"
#include "session.h"
#include "txn.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct etcd_election etcd_election;

/** Called once at the end of what was started, never from within the starting call, never after etcd_election_free(). `err` is
 *  NULL after a success and valid during the callback. The election may be freed in it. */
typedef void (*etcd_election_fn)(etcd_election *election, const etcd_error *err, void *arg);

/** Makes a candidate; nothing is sent. The name may be empty: then its keys begin with "/". ETCD_ERR_ARGUMENT,
 *  ETCD_ERR_FORKED, ETCD_ERR_NO_MEMORY. Since 0.1. */
ETCD_EXPORT int etcd_election_new(etcd_session *session, const char *name, size_t name_len, etcd_election **out, etcd_error *err);

/** Makes the candidate that leads already by the key `key` of create revision `revision`, as a program kept them from before it
 *  was started again; `session` is one on the lease of that key. Nothing is sent. ETCD_ERR_ARGUMENT when the key is not one of
 *  this name, or the revision is not positive. Since 0.1. */
ETCD_EXPORT int etcd_election_resume(etcd_session *session, const char *name, size_t name_len, const char *key, size_t key_len,
                                     int64_t revision, etcd_election **out, etcd_error *err);

/** Waits until this candidate leads, with that value: one round trip when there is no other. When its session is a candidate
 *  already, it keeps its place in the line and changes its value.
 *
 *  Waits as long as `call` allows, so give a timeout (negative: without bound). A call that ends before gives up its place in
 *  the line, as etcd_mutex_lock() does. ETCD_ERR_SESSION_EXPIRED when the session ends meanwhile (the message says why), or
 *  when the key was deleted by someone; ETCD_ERR_DEADLINE_EXCEEDED (the message says what was waited for), ETCD_ERR_CANCELED;
 *  ETCD_ERR_PERMISSION_DENIED and what else the server refuses. Since 0.1. */
ETCD_EXPORT int etcd_election_campaign(etcd_election *election, const char *value, size_t value_len,
                                       const etcd_call_options *call, etcd_error *err);
ETCD_EXPORT int etcd_election_campaign_async(etcd_election *election, const char *value, size_t value_len,
                                             const etcd_call_options *call, etcd_election_fn done, void *arg, etcd_call_id *id,
                                             etcd_error *err);

/** Changes the leader's value. ETCD_ERR_ELECTION_NOT_LEADER when it does not lead, or not any more. Sent at most once, as a
 *  put. Since 0.1. */
ETCD_EXPORT int etcd_election_proclaim(etcd_election *election, const char *value, size_t value_len,
                                       const etcd_call_options *call, etcd_error *err);
ETCD_EXPORT int etcd_election_proclaim_async(etcd_election *election, const char *value, size_t value_len,
                                             const etcd_call_options *call, etcd_election_fn done, void *arg, etcd_call_id *id,
                                             etcd_error *err);

/** Gives up the leadership; deletes the key only if it is the very one that leads. A success when it does not lead, or not any
 *  more. Made again when its outcome is unknown, within the deadline. Since 0.1. */
ETCD_EXPORT int etcd_election_resign(etcd_election *election, const etcd_call_options *call, etcd_error *err);
ETCD_EXPORT int etcd_election_resign_async(etcd_election *election, const etcd_call_options *call, etcd_election_fn done,
                                           void *arg, etcd_call_id *id, etcd_error *err);

/** Whether it was elected, has not resigned since, and its session is alive at this moment. Since 0.1. */
ETCD_EXPORT bool etcd_election_leads(const etcd_election *election);

/** The fencing token: the create revision of the leader's key. 0: it does not lead. Still told after the session's end.
 *  Since 0.1. */
ETCD_EXPORT int64_t etcd_election_token(const etcd_election *election);

/** Adds a compare to a transaction that holds while this candidate leads; when it was not elected, never. Since 0.1. */
ETCD_EXPORT void etcd_election_if_leader(const etcd_election *election, etcd_txn *txn);

/** The key of this candidate, NUL-terminated; `*len`, unless `len` is NULL, is its length. Lives as long as the election.
 *  Since 0.1. */
ETCD_EXPORT const char *etcd_election_key(const etcd_election *election, size_t *len);

/** The header of the last answer by which it was elected or changed its value; cleared before. Since 0.1. */
ETCD_EXPORT void etcd_election_header(const etcd_election *election, etcd_response_header *out);

/** Ends what is under way (no callback runs after it) and frees. Who leads goes on to lead until the session ends: resign
 *  before. NULL is allowed. Not while another thread uses the same election. Safe in a callback. Since 0.1. */
ETCD_EXPORT void etcd_election_free(etcd_election *election);

/** Asks who leads: `(*out)->kvs[0]` is the leader's key with its value; free it with etcd_response_free().
 *  ETCD_ERR_ELECTION_NO_LEADER when nobody does; errors as of etcd_get(). Needs no session. Since 0.1. */
ETCD_EXPORT int etcd_election_leader(etcd_client *client, const char *name, size_t name_len, const etcd_call_options *call,
                                     etcd_get_response **out, etcd_error *err);
ETCD_EXPORT int etcd_election_leader_async(etcd_client *client, const char *name, size_t name_len, const etcd_call_options *call,
                                           etcd_get_fn done, void *arg, etcd_call_id *id, etcd_error *err);

/* --- observing --- */

/** Tells of every change of leader or of its value, and when there is none. */
typedef struct etcd_observer etcd_observer;

/** What an observer has seen. Each differs from the one before in leader or value. */
typedef struct etcd_observer_response {
    etcd_response_header header; /**< `revision` is that of the change; of the first one: at which it was true */
    const etcd_kv *leader;       /**< its key, value and revisions; NULL: nobody leads */
} etcd_observer_response;

typedef struct etcd_observer_options {
    size_t size;
    bool require_leader; /**< do not listen to a member without leader of the cluster: go on at another */
} etcd_observer_options;

#ifndef __cplusplus
#define ETCD_OBSERVER(...) (&(const etcd_observer_options){.size = sizeof(etcd_observer_options), __VA_ARGS__})
#endif

/** Sets all fields to their defaults, for C++ and bindings; `size` is the sizeof the struct as the caller knows it.
 *  Since 0.1. */
ETCD_EXPORT void etcd_observer_options_init(etcd_observer_options *options, size_t size);

/** Called with each report, which is the callee's to free, and once at the end with `response` NULL and `err` saying why. See
 *  etcd_watch_fn. The observer may be freed in it. */
typedef void (*etcd_observer_fn)(etcd_observer *observer, etcd_observer_response *response, const etcd_error *err, void *arg);

/** Observes an election of this name, first as it is now, and returns at once. Every change is told, in order. Only after a
 *  break of the connection so long that the server has compacted what happened meanwhile it goes on from what is then.
 *  Needs no session.
 *
 *  `*out` is the observer, NULL after a failure. ETCD_ERR_ARGUMENT, ETCD_ERR_CLOSED, ETCD_ERR_FORKED, ETCD_ERR_NO_MEMORY.
 *  Any thread, also in a callback. Since 0.1. */
ETCD_EXPORT int etcd_observer_open(etcd_client *client, const char *name, size_t name_len, const etcd_observer_options *options,
                                   etcd_observer **out, etcd_error *err);

/** As etcd_observer_open(), but reports are given to `fn`, never from within this call. Since 0.1. */
ETCD_EXPORT int etcd_observer_start(etcd_client *client, const char *name, size_t name_len, const etcd_observer_options *options,
                                    etcd_observer_fn fn, void *arg, etcd_observer **out, etcd_error *err);

/** Takes the next report, which is the caller's to free with etcd_response_free(). Waits at most timeout_ms (negative: without
 *  bound; 0: not at all); in manual mode it drives the client. One thread at a time. Of reports not taken the last 64 are kept.
 *
 *  ETCD_ERR_TIMED_OUT: none came, it goes on. Any other error is the end, and returned again by later calls: those of
 *  etcd_watch_next() but ETCD_ERR_COMPACTED, and of etcd_get(). ETCD_ERR_IN_CALLBACK when it would have to wait. Since 0.1. */
ETCD_EXPORT int etcd_observer_next(etcd_observer *observer, int64_t timeout_ms, etcd_observer_response **out, etcd_error *err);

/** A descriptor for poll() and the like, readable when etcd_observer_next() has something without waiting. It is the
 *  observer's: neither read nor close it. In manual mode etcd_client_fd() has to be polled as well. Negative code on failure.
 *  The consuming thread. Since 0.1. */
ETCD_EXPORT int etcd_observer_fd(etcd_observer *observer);

/** Ends it: a thread that waits in etcd_observer_next() returns ETCD_ERR_CANCELED; the callback form's last call follows. Any
 *  thread, also in a callback; again: nothing. Since 0.1. */
ETCD_EXPORT void etcd_observer_cancel(etcd_observer *observer);

/** Cancels and frees; no callback runs after it. NULL is allowed. Not while another thread uses the same observer. Safe in a
 *  callback. Since 0.1. */
ETCD_EXPORT void etcd_observer_free(etcd_observer *observer);

#ifdef __cplusplus
}
#endif

#endif
