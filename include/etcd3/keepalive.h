/* Leases kept alive in the background (method LeaseKeepAlive of service etcdserverpb.Lease).
 *
 * All leases of a client are renewed over one stream, each after a third of its TTL, for as long as its handle is open;
 * nobody has to call anything for that. When the connection breaks the stream is opened again at once.
 *
 * The truth about a lease. Once an answer has arrived the lease is surely held until the TTL has passed since its request
 * was *sent*, by a clock that also counts the time in which the machine sleeps (CLOCK_BOOTTIME): the server started its
 * own count later than that. When that moment passes without another answer the handle ends with ETCD_ERR_LEASE_EXPIRED,
 * which is before the server may give the keys away. Every end has its reason.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ETCD3_KEEPALIVE_H
#define ETCD3_KEEPALIVE_H

#include "lease.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct etcd_keepalive etcd_keepalive;

typedef struct etcd_keepalive_response {
    etcd_response_header header;
    int64_t id;
    int64_t ttl_s; /**< the lease has this long to live, from the server's sending on */
} etcd_keepalive_response;

typedef struct etcd_keepalive_options {
    size_t size;
    int64_t ttl_s;      /**< what the lease was last given, e.g. `ttl_s` of the grant's response: it counts as lost if no
                             answer comes within that. 0: not known; then the first answer is awaited without bound */
    int64_t elapsed_ms; /**< how much of ttl_s may have passed when this is called: the time since the grant was sent */
} etcd_keepalive_options;

#ifndef __cplusplus
#define ETCD_KEEPALIVE(...) (&(const etcd_keepalive_options){.size = sizeof(etcd_keepalive_options), __VA_ARGS__})
#endif

/** Sets all fields to their defaults, for C++ and bindings; `size` is the sizeof the struct as the caller knows it.
 *  Since 0.1. */
ETCD_EXPORT void etcd_keepalive_options_init(etcd_keepalive_options *options, size_t size);

/** Called with each answer, which is the callee's to free, and once at the end with `response` NULL and `err` saying why
 *  (the errors of etcd_keepalive_next()). On the driving thread, see client.h; must not block. The handle may be freed
 *  in it. */
typedef void (*etcd_keepalive_fn)(etcd_keepalive *keepalive, etcd_keepalive_response *response, const etcd_error *err, void *arg);

/** Starts to keep a lease alive and returns at once. Several handles on one lease share its renewals.
 *
 *  `*out` is the handle, NULL after a failure. ETCD_ERR_ARGUMENT, ETCD_ERR_CLOSED, ETCD_ERR_FORKED, ETCD_ERR_NO_MEMORY. Any
 *  thread, also in a callback. Since 0.1. */
ETCD_EXPORT int etcd_keepalive_open(etcd_client *client, int64_t lease, const etcd_keepalive_options *options,
                                    etcd_keepalive **out, etcd_error *err);

/** As etcd_keepalive_open(), but answers are given to `fn`, as to every callback: on another thread perhaps before
 *  this has returned; `*out` is set by then. Since 0.1. */
ETCD_EXPORT int etcd_keepalive_start(etcd_client *client, int64_t lease, const etcd_keepalive_options *options,
                                     etcd_keepalive_fn fn, void *arg, etcd_keepalive **out, etcd_error *err);

/** Takes the next answer, for programs that want to see each beat; the lease is kept alive without it. Of answers not taken
 *  only the last 16 are kept, and before the first call of this or etcd_keepalive_fd() only the newest. Waits at most
 *  timeout_ms (negative: without bound; 0: not at all); in manual mode it drives the client. One thread at a time. The
 *  response is the caller's to free.
 *
 *  ETCD_ERR_TIMED_OUT: none came, the lease is still kept alive. Any other error is the end, and returned again by later
 *  calls: ETCD_ERR_LEASE_EXPIRED (no answer came in time: it may be lost), ETCD_ERR_LEASE_NOT_FOUND (the server does not
 *  have it, or not any more: revoked or expired), ETCD_ERR_AUTH_FAILED and what else another try would be refused with,
 *  ETCD_ERR_CANCELED, ETCD_ERR_CLOSED, ETCD_ERR_FORKED, ETCD_ERR_NO_MEMORY. ETCD_ERR_IN_CALLBACK when it would have to
 *  wait; ETCD_ERR_ARGUMENT for the callback form. Since 0.1. */
ETCD_EXPORT int etcd_keepalive_next(etcd_keepalive *keepalive, int64_t timeout_ms, etcd_keepalive_response **out,
                                    etcd_error *err);

/** A descriptor for poll() and the like, readable when etcd_keepalive_next() has something without waiting. It is the
 *  handle's: neither read nor close it. In manual mode etcd_client_fd() has to be polled as well. Negative code on
 *  failure. The consuming thread. Since 0.1. */
ETCD_EXPORT int etcd_keepalive_fd(etcd_keepalive *keepalive);

/** How long the lease is surely still held, in milliseconds: from the last answered request's sending plus the TTL, by the
 *  boot clock. 0 once that is over, after the end, and before the first answer if no ttl_s was given. Any thread; neither
 *  locks nor allocates. Since 0.1. */
ETCD_EXPORT int64_t etcd_keepalive_remaining_ms(const etcd_keepalive *keepalive);

/** The lease. Since 0.1. */
ETCD_EXPORT int64_t etcd_keepalive_lease(const etcd_keepalive *keepalive);

/** Stops renewing; the lease then ends by itself after its TTL (etcd_lease_revoke() ends it at once). A thread that waits
 *  in etcd_keepalive_next() returns ETCD_ERR_CANCELED; the callback form's last call follows. Any thread, also in a
 *  callback; again: nothing. Since 0.1. */
ETCD_EXPORT void etcd_keepalive_cancel(etcd_keepalive *keepalive);

/** Stops renewing and frees; no callback runs after it. NULL is allowed. Not while another thread uses the same handle.
 *  Safe in a callback. Since 0.1. */
ETCD_EXPORT void etcd_keepalive_free(etcd_keepalive *keepalive);

/** Called once with the answer (the callee's to free) or why there is none, never from within the starting call. */
typedef void (*etcd_keepalive_once_fn)(etcd_client *client, etcd_keepalive_response *response, const etcd_error *err, void *arg);

/** Renews a lease once, over the shared stream. Asked again on a lost connection within the deadline.
 *  ETCD_ERR_LEASE_NOT_FOUND. The response is the caller's to free; `out` may be NULL. Since 0.1. */
ETCD_EXPORT int etcd_keepalive_once(etcd_client *client, int64_t lease, const etcd_call_options *call,
                                    etcd_keepalive_response **out, etcd_error *err);
ETCD_EXPORT int etcd_keepalive_once_async(etcd_client *client, int64_t lease, const etcd_call_options *call,
                                          etcd_keepalive_once_fn done, void *arg, etcd_call_id *id, etcd_error *err);

#ifdef __cplusplus
}
#endif

#endif
