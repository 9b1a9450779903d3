/* Sessions: a lease that is kept alive, and the truth about it. Locks (mutex.h) and elections (election.h) belong to one.
 *
 * A session is alive as long as its lease is surely held: until the time to live has passed since the last renewal that the
 * server answered was sent, by a clock that also counts the time in which the machine sleeps (see keepalive.h). So the program
 * learns of the loss before the server may give its keys to another, and learns why. There are three ways to learn: ask
 * (etcd_session_alive(), etcd_session_check()), wait for a descriptor (etcd_session_fd()), or be called
 * (etcd_session_options.lost_fn).
 *
 * A lost session does not come back: free it, with its locks and elections, and make another.
 *
 * Every function may be called from any thread unless it says otherwise; see client.h for callbacks, manual mode and fork().
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ETCD3_SESSION_H
#define ETCD3_SESSION_H

#include "keepalive.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct etcd_session etcd_session;

/** Called once when the session is lost, with the reason: ETCD_ERR_LEASE_EXPIRED (no answer came in time),
 *  ETCD_ERR_LEASE_NOT_FOUND (the server ended it), ETCD_ERR_CLOSED, and what else etcd_keepalive_next() can end with. Not called
 *  when the program itself closes, orphans or frees the session. A callback like any other, see client.h; everything but
 *  etcd_client_free() may be done in it, also freeing the session. */
typedef void (*etcd_session_lost_fn)(etcd_session *session, const etcd_error *reason, void *arg);

typedef struct etcd_session_options {
    size_t size;
    const etcd_call_options *call; /**< for the request that grants or looks up the lease */
    int64_t ttl_s;                 /**< time to live of the lease that is granted; default 60. The server may raise it */
    int64_t lease;                 /**< a lease to use instead of a new one; 0: grant one */
    etcd_session_lost_fn lost_fn;  /**< NULL: nobody is called */
    void *lost_arg;
} etcd_session_options;

#ifndef __cplusplus
#define ETCD_SESSION(...) (&(const etcd_session_options){.size = sizeof(etcd_session_options), __VA_ARGS__})
#endif

/** Sets all fields to their defaults, for C++ and bindings; `size` is the sizeof the struct as the caller knows it.
 *  Since 0.1. */
ETCD_EXPORT void etcd_session_options_init(etcd_session_options *options, size_t size);

/** Called once with the session (NULL after an error) or when what was started with it has ended; never from within the
 *  starting call. `err` is NULL after a success and valid during the callback. */
typedef void (*etcd_session_fn)(etcd_session *session, const etcd_error *err, void *arg);

/** Grants a lease, or looks up the one given, and keeps it alive: one round trip.
 *
 *  `*out` is the session, NULL after a failure. A lease that was given and does not exist is ETCD_ERR_LEASE_NOT_FOUND. Other
 *  errors as of etcd_lease_grant() and etcd_keepalive_once(): when a grant's outcome is unknown, the lease expires by
 *  itself. Since 0.1. */
ETCD_EXPORT int etcd_session_new(etcd_client *client, const etcd_session_options *options, etcd_session **out, etcd_error *err);

/** As etcd_session_new(), but the session is given to `done`, which must not be NULL. Since 0.1. */
ETCD_EXPORT int etcd_session_new_async(etcd_client *client, const etcd_session_options *options, etcd_session_fn done, void *arg,
                                       etcd_call_id *id, etcd_error *err);

/** Whether the lease is surely held at this moment: for long work under a lock, to be asked before each step. Reads the clock;
 *  neither waits nor allocates. False in a child after fork(). Since 0.1. */
ETCD_EXPORT bool etcd_session_alive(const etcd_session *session);

/** For how many milliseconds it is surely held still, if no further renewal succeeds; 0 when it is not alive. Since 0.1. */
ETCD_EXPORT int64_t etcd_session_remaining_ms(const etcd_session *session);

/** ETCD_OK while it is alive, else the reason why not, as etcd_session_lost_fn is told; ETCD_ERR_CANCELED when the
 *  program has closed or orphaned it; ETCD_ERR_FORKED. Since 0.1. */
ETCD_EXPORT int etcd_session_check(const etcd_session *session, etcd_error *err);

/** A descriptor for poll() and the like, readable from the session's end on, whatever ended it. It is the session's: neither
 *  read nor close it. In manual mode etcd_client_fd() has to be polled as well. Negative code on failure. Since 0.1. */
ETCD_EXPORT int etcd_session_fd(etcd_session *session);

/** The lease, for etcd_put_options.lease: a key put with it lives as long as the session. Since 0.1. */
ETCD_EXPORT int64_t etcd_session_lease(const etcd_session *session);

/** The time to live in seconds that the server granted. Since 0.1. */
ETCD_EXPORT int64_t etcd_session_ttl_s(const etcd_session *session);

/** The client that it was made with. Since 0.1. */
ETCD_EXPORT etcd_client *etcd_session_client(const etcd_session *session);

/** Stops to keep the lease alive, without ending it: the keys live until the time to live has passed, or somebody else
 *  keeps it alive. For this handle that is the end: whoever waits for one of its locks returns with
 *  ETCD_ERR_SESSION_EXPIRED. Since 0.1. */
ETCD_EXPORT void etcd_session_orphan(etcd_session *session);

/** Ends the session and revokes the lease: all its keys are deleted, its locks are free for others. Whoever waits for one of
 *  its locks returns with ETCD_ERR_SESSION_EXPIRED.
 *
 *  A lease that is gone already is a success; again: nothing. When it fails, within the deadline of `call`, the lease expires by
 *  itself, as nobody keeps it alive any more. Since 0.1. */
ETCD_EXPORT int etcd_session_close(etcd_session *session, const etcd_call_options *call, etcd_error *err);

/** As etcd_session_close(), but `done`, which must not be NULL, is told. Since 0.1. */
ETCD_EXPORT int etcd_session_close_async(etcd_session *session, const etcd_call_options *call, etcd_session_fn done, void *arg,
                                         etcd_call_id *id, etcd_error *err);

/** Closes the session and frees it: revokes the lease, unless that was done or it was orphaned, and waits for that at most 5
 *  seconds, and not longer than the lease would live; in a callback not at all. No callback runs after it. Its mutexes and
 *  elections stay valid to be freed. NULL is allowed. Not while another thread uses the same session. Safe in a callback.
 *  Since 0.1. */
ETCD_EXPORT void etcd_session_free(etcd_session *session);

#ifdef __cplusplus
}
#endif

#endif
