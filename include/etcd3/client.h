/* The client: a handle on one etcd cluster, and what every call has in common: deadline, cancel, callbacks, run
 * modes.
 *
 * Threads. By default a client has one I/O thread of its own and every function may be called from any thread. With
 * `manual = true` there is no thread: etcd_client_process() does the work on the caller's, and the client must be
 * used by one thread at a time.
 *
 * Callbacks run on the thread that drives the client: the I/O thread, any thread that waits in a blocking call or
 * closes the client, or the caller of etcd_client_process(); one after the other. They must not block. Every
 * function may be called from a callback except blocking calls, which return ETCD_ERR_IN_CALLBACK. Functions that look
 * at the client or change it (etcd_client_endpoints(), etcd_client_set_endpoints(), freeing a watch and the like) wait for
 * the callback that is running, and may run those that are due: hold no lock over them that a callback takes.
 *
 * fork(). A handle belongs to the process that made it. In a child every call returns ETCD_ERR_FORKED; freeing
 * releases memory and descriptors and sends nothing.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ETCD3_CLIENT_H
#define ETCD3_CLIENT_H

#include "error.h"
#include "tls.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct etcd_client etcd_client;
typedef struct etcd_cancel etcd_cancel;

/** Number of a call that is in flight. Never reused by the same client; 0 is none. */
typedef uint64_t etcd_call_id;

/** Levels of etcd_client_options.log_fn. INFO has connections and their ends; DEBUG has their way there (addresses, TLS,
 *  HTTP/2 settings, pings), each failed attempt of a call with its reason, and when tokens are got. No line has a secret, a key
 *  or a value. */
enum etcd_log_level { ETCD_LOG_ERROR = 1, ETCD_LOG_WARN = 2, ETCD_LOG_INFO = 3, ETCD_LOG_DEBUG = 4 };

/** What etcd_client_options.call_fn is told of a call: ETCD_CALL_EVENT_START once, then ETCD_CALL_EVENT_ATTEMPT_FAILED any
 *  number of times, then ETCD_CALL_EVENT_END once. */
enum etcd_call_event {
    ETCD_CALL_EVENT_START = 1,          /**< nothing has been sent yet */
    ETCD_CALL_EVENT_ATTEMPT_FAILED = 2, /**< and another attempt follows */
    ETCD_CALL_EVENT_END = 3             /**< it is over; the program learns of it after this */
};

/** A call, for etcd_client_options.call_fn. Strings are valid during the hook. */
typedef struct etcd_call_info {
    etcd_call_id id;
    int32_t event;           /**< of etcd_call_event */
    const char *method;      /**< "/etcdserverpb.KV/Put" */
    const char *endpoint;    /**< that had the last attempt; "" when nothing was sent */
    const char *traceparent; /**< as the call was given it, or NULL */
    int32_t attempts;        /**< requests sent so far */
    int32_t code;            /**< of this attempt, or of the call: ETCD_OK or the error's code */
    int64_t request_bytes;   /**< of the message */
    int64_t response_bytes;
    int64_t duration_ns; /**< since the call was made */
} etcd_call_info;

/** How a client connects and behaves. Zero in a field means its default. Build one with ETCD_CLIENT(...) or
 *  etcd_client_options_init(). All pointers are borrowed for the call of etcd_client_new(). */
typedef struct etcd_client_options {
    size_t size;                 /**< sizeof(etcd_client_options), set by ETCD_CLIENT and _init */
    const char *endpoints;       /**< comma-separated: "host:port", "http://...", "https://...", "unix:path".
                                      Required. */
    const etcd_tls_options *tls; /**< for https endpoints; NULL: the system's authorities, no client certificate */
    int64_t request_timeout_ms;  /**< deadline of calls that give none; default 5,000; negative: none */
    int64_t connect_timeout_ms;  /**< one attempt to connect, until HTTP/2 settings are exchanged; default 20,000 */
    int64_t backoff_base_ms;     /**< wait after the first failed attempt, x 1.6 with each more, +-20 %; default
                                      1,000 */
    int64_t backoff_max_ms;      /**< bound of that wait; default 120,000 */
    int64_t ping_interval_ms;    /**< a peer that has a call under way and says nothing for 1 s is pinged, but not
                                      more often than this, or than a tenth of this when it has answered a call since the
                                      last ping; default and least 10,000; negative: never */
    int64_t ping_timeout_ms;     /**< silence after a ping that ends the connection; default 5,000. After 1 s reads
                                      are sent to another endpoint already */
    int64_t retry_wait_ms;       /**< wait between attempts of a call that may be repeated; default 25 (+-10 %) */
    int32_t max_attempts;        /**< attempts of one call, with the first; default 100 */
    bool manual;                 /**< no I/O thread: see etcd_client_process() */
    bool require_leader;         /**< every call fails fast on a member without leader */
    int64_t max_send_bytes;      /**< largest request; default 2 MiB (2,097,152) */
    int64_t max_recv_bytes;      /**< largest response; default 2,147,483,647 */
    const char *username;        /**< with password: the client authenticates itself, and again when its token
                                      expires */
    const char *password;
    const char *token;                  /**< a token of the program's (JWT) instead; excludes the others */
    const char *(*token_fn)(void *arg); /**< a source of such tokens: called when the first or a new one is needed, on the
                                             driving thread; must neither block nor call the library. The string is copied; NULL:
                                             there is none */
    void *token_arg;
    bool reject_old_cluster;       /**< etcd_client_new() asks every endpoint for its version, within connect_timeout_ms, and
                                        fails with ETCD_ERR_OLD_CLUSTER for one before 3.4, or with why one did not answer.
                                        Blocks for that */
    bool allow_plain_auth;         /**< send password and token over plain http also to other hosts */
    const char *user_agent;        /**< put before the library's own */
    int64_t auto_sync_interval_ms; /**< how often to do what etcd_client_sync() does; 0: never */
    bool leader_first;             /**< calls that need the leader go to it directly where it is known: one hop less */
    /** Told when the connection to an endpoint changes its state (of etcd_endpoint_state); `reason` is why the last one
     *  ended, "" when none has. A callback like any other: see above. */
    void (*state_fn)(etcd_client *client, const char *endpoint, int state, const char *reason, void *arg);
    void *state_arg;
    /** A hook around every call: told before it is sent, of each failed attempt, and of its end, before its own callback;
     *  on the driving thread, so one after the other. It must be quick and must not call the library. Streams (watches,
     *  keep-alives) are no calls in this sense. */
    void (*call_fn)(const etcd_call_info *info, void *arg);
    void *call_arg;
    void (*log_fn)(int level, const char *message, void *arg); /**< NULL: no log. On the driving thread; must
                                                                    neither block nor call the library */
    void *log_arg;
    int32_t log_level;          /**< lines above it are dropped; default ETCD_LOG_INFO */
    int64_t watch_buffer_bytes; /**< what all watches together have received and the program has not taken; default 16 MiB
                                     (16,777,216). Over it the watch that holds most stops receiving first */
} etcd_client_options;

/** What every call takes in the `call` member of its options, or as its options. */
typedef struct etcd_call_options {
    size_t size;
    int64_t timeout_ms;      /**< deadline from now; 0: the client's request_timeout_ms; negative: none */
    etcd_cancel *cancel;     /**< ends the call when triggered; borrowed until the call has ended */
    bool require_leader;     /**< fail with ETCD_ERR_NO_LEADER when the member that answers has no leader */
    const char *endpoint;    /**< the one endpoint to send to, also one that is not of the client's list; NULL: any of
                                  those */
    const char *traceparent; /**< W3C Trace Context to pass on to the server in the header of that name; NULL: none */
    bool no_retry;           /**< a read is not repeated either; a call that the server provably never saw still is */
    int64_t delay_ms;        /**< hold the request back for this long, for programs that back off; within the deadline. 0: none */
} etcd_call_options;

#ifndef __cplusplus
#define ETCD_CLIENT(...) (&(const etcd_client_options){.size = sizeof(etcd_client_options), __VA_ARGS__})
#define ETCD_CALL(...) (&(const etcd_call_options){.size = sizeof(etcd_call_options), __VA_ARGS__})
#endif

/** Sets all fields to their defaults, for C++ and bindings; `size` is the sizeof the struct as the caller knows it.
 *  Since 0.1. */
ETCD_EXPORT void etcd_client_options_init(etcd_client_options *options, size_t size);
ETCD_EXPORT void etcd_call_options_init(etcd_call_options *options, size_t size);

/** Makes a client. It starts to connect in the background and returns at once: a call waits for a connection within
 *  its own deadline, whose error then says why there was none.
 *
 *  `*out` is the client, NULL after a failure. Errors: ETCD_ERR_NO_ENDPOINTS, ETCD_ERR_ARGUMENT (malformed endpoint
 *  or option: the message names it), ETCD_ERR_UNSUPPORTED, ETCD_ERR_NO_MEMORY, ETCD_ERR_SYSTEM. Since 0.1. */
ETCD_EXPORT int etcd_client_new(const etcd_client_options *options, etcd_client **out, etcd_error *err);

/** Ends every call with ETCD_ERR_CLOSED (callbacks run before this returns, on this thread) and closes the connections.
 *  Calls made after it return ETCD_ERR_CLOSED. Again: nothing. Takes at most 100 ms. Any thread, also in a callback.
 *  Since 0.1. */
ETCD_EXPORT void etcd_client_close(etcd_client *client);

/** Closes the client and frees it. No callback runs after it. NULL is allowed. Handles made from the client
 *  (transactions, ...) stay valid to be freed in any order. Safe in a callback. Not at the same time as another call
 *  on the same client. Since 0.1. */
ETCD_EXPORT void etcd_client_free(etcd_client *client);

/** Cancels a call by its number: it ends with ETCD_ERR_CANCELED, or with its result if that came just before; its
 *  callback or completion follows in any case. ETCD_ERR_CALL_NOT_FOUND for a call that is not in flight, which is no
 *  harm. Any thread, also in a callback. Since 0.1. */
ETCD_EXPORT int etcd_call_cancel(etcd_client *client, etcd_call_id id);

/** A cancel switch for any number of calls of any clients, of any thread. Free it after those calls have ended.
 *  ETCD_ERR_NO_MEMORY. Since 0.1. */
ETCD_EXPORT int etcd_cancel_new(etcd_cancel **out, etcd_error *err);

/** Cancels the calls that were given this switch, now and later. NULL is allowed. Any thread; not in a signal handler.
 *  Since 0.1. */
ETCD_EXPORT void etcd_cancel_trigger(etcd_cancel *cancel);

/** NULL is allowed. Since 0.1. */
ETCD_EXPORT void etcd_cancel_free(etcd_cancel *cancel);

/** Kinds of etcd_completion.response: ETCD_CALL_<NAME> stands for an etcd_<name>_response unless said otherwise. */
enum etcd_call_type {
    ETCD_CALL_GET = 1,
    ETCD_CALL_PUT = 2,
    ETCD_CALL_DELETE = 3,
    ETCD_CALL_TXN = 4,
    ETCD_CALL_COMPACT = 5,
    ETCD_CALL_DO = 6, /**< etcd_op_response */
    ETCD_CALL_LEASE_GRANT = 7,
    ETCD_CALL_LEASE_REVOKE = 8,
    ETCD_CALL_LEASE_TIME_TO_LIVE = 9,
    ETCD_CALL_LEASE_LIST = 10,
    ETCD_CALL_MEMBER_LIST = 11,
    ETCD_CALL_MEMBER_ADD = 12,
    ETCD_CALL_MEMBER_REMOVE = 13,
    ETCD_CALL_MEMBER_UPDATE = 14,
    ETCD_CALL_MEMBER_PROMOTE = 15,
    ETCD_CALL_AUTH_ENABLE = 16,
    ETCD_CALL_AUTH_DISABLE = 17,
    ETCD_CALL_AUTH_STATUS = 18,
    ETCD_CALL_USER_ADD = 19,
    ETCD_CALL_USER_DELETE = 20,
    ETCD_CALL_USER_CHANGE_PASSWORD = 21,
    ETCD_CALL_USER_GRANT_ROLE = 22,
    ETCD_CALL_USER_REVOKE_ROLE = 23,
    ETCD_CALL_USER_GET = 24,
    ETCD_CALL_USER_LIST = 25,
    ETCD_CALL_ROLE_ADD = 26,
    ETCD_CALL_ROLE_DELETE = 27,
    ETCD_CALL_ROLE_GET = 28,
    ETCD_CALL_ROLE_LIST = 29,
    ETCD_CALL_ROLE_GRANT_PERMISSION = 30,
    ETCD_CALL_ROLE_REVOKE_PERMISSION = 31,
    ETCD_CALL_ALARM_LIST = 32,   /**< etcd_alarm_response */
    ETCD_CALL_ALARM_DISARM = 33, /**< etcd_alarm_response */
    ETCD_CALL_DEFRAGMENT = 34,
    ETCD_CALL_STATUS = 35,
    ETCD_CALL_HASH_KV = 36,
    ETCD_CALL_HASH = 37,
    ETCD_CALL_MOVE_LEADER = 38,
    ETCD_CALL_DOWNGRADE = 39,
    ETCD_CALL_LOCK = 40,
    ETCD_CALL_UNLOCK = 41,
    ETCD_CALL_CAMPAIGN = 42,
    ETCD_CALL_PROCLAIM = 43,
    ETCD_CALL_LEADER = 44,
    ETCD_CALL_RESIGN = 45,
    ETCD_CALL_HEALTH_CHECK = 46,
    ETCD_CALL_CLIENT_SYNC = 47,   /**< no response: NULL */
    ETCD_CALL_KEEPALIVE_ONCE = 48 /**< etcd_keepalive_response */
};

/** The end of a call that was started without a callback. */
typedef struct etcd_completion {
    etcd_call_id id;
    int32_t type;            /**< of etcd_call_type: what `response` points to */
    int32_t code;            /**< ETCD_OK or the error's code */
    const void *response;    /**< NULL after an error, or where there is none; freed with the completion */
    const etcd_error *error; /**< NULL when it succeeded */
    void *arg;               /**< as given to the starting call */
} etcd_completion;

/** Takes the next completion from the client's queue: calls started with `done == NULL` end there, in the order in
 *  which they ended. Waits at most timeout_ms (negative: without bound; 0: not at all). `*out` is to be freed with
 *  etcd_response_free(), which frees its response, too. In manual mode it drives the client. ETCD_ERR_TIMED_OUT when
 *  none came, ETCD_ERR_CLOSED once the client is closed and the queue is empty, ETCD_ERR_IN_CALLBACK. Any thread.
 *  Since 0.1. */
ETCD_EXPORT int etcd_client_next_completion(etcd_client *client, int64_t timeout_ms, etcd_completion **out, etcd_error *err);

/** Manual mode: a descriptor for poll() and the like, readable when etcd_client_process() has something to do. On
 *  Linux that includes timers; elsewhere wait at most etcd_client_timeout_ms(). It stays the same, and the client's:
 *  neither read nor close it. A negative code in threaded mode and after a failure. Since 0.1. */
ETCD_EXPORT int etcd_client_fd(etcd_client *client);

/** Manual mode: milliseconds until etcd_client_process() must be called though the descriptor is not readable; -1:
 *  no such time. Since 0.1. */
ETCD_EXPORT int64_t etcd_client_timeout_ms(etcd_client *client);

/** Manual mode: does what is due; callbacks run within. Waits for something to do at most timeout_ms (0: not at all;
 *  negative: without bound). ETCD_ERR_ARGUMENT in threaded mode, ETCD_ERR_CLOSED, ETCD_ERR_IN_CALLBACK. Since 0.1. */
ETCD_EXPORT int etcd_client_process(etcd_client *client, int64_t timeout_ms, etcd_error *err);

#ifdef __cplusplus
}
#endif

#endif
