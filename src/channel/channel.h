/* The channel: calls in, results out, whatever happens to connections.
 *
 * It spreads calls round robin over the peers that are connected, from a random start; calls wait for a connection
 * within their deadline (wait-for-ready); it sends a call again only as channel/outcome.h allows. Everything happens
 * on the thread that drives the loop. */
#ifndef ETCD__CHANNEL_CHANNEL_H
#define ETCD__CHANNEL_CHANNEL_H

#include "channel/auth.h"
#include "channel/call.h"
#include "channel/peers.h"
#include "channel/streams.h"

typedef struct etcd__channel etcd__channel;

typedef struct etcd__channel_config {
    etcd__auth_config auth;
    const etcd_tls_options *tls; /* borrowed for the call of etcd__channel_new(); NULL: none */
    etcd__peer_config peer;
    int64_t retry_wait; /* ns between attempts of a call, +-10 % */
    int32_t max_attempts;
    size_t max_message; /* received */
    const char *user_agent;
    void (*on_state)(void *arg); /* some endpoint's connection changed its state; NULL: nobody cares */
    void *on_state_arg;
    int64_t sync_interval; /* ns between updates of the endpoint list from the cluster's members; 0: never */
    bool leader_first;     /* calls that need the leader go to it directly where it is known */
} etcd__channel_config;

/** A channel for a comma-separated list of endpoints; it starts to connect. The config is copied, user_agent is
 *  borrowed. ETCD_ERR_ARGUMENT, ETCD_ERR_NO_ENDPOINTS, ETCD_ERR_UNSUPPORTED, ETCD_ERR_NO_MEMORY. */
int etcd__channel_new(etcd__loop *loop, const etcd__channel_config *config, const char *endpoints, etcd__channel **out,
                      etcd_error *err);

/** Takes a call; it ends with on_done, perhaps before this returns. */
void etcd__channel_start(etcd__channel *channel, etcd__call *call);

/** A call that was started with `retry_at` ETCD__NEVER is held back, until its deadline at most. It goes now; or it ends well
 *  with a response that came in another way, a block as in etcd__call.response: on_done runs before this returns. */
void etcd__channel_release(etcd__call *call);
void etcd__channel_answer(etcd__call *call, uint8_t *response, size_t len);

/** Ends a call that was started and is not done: on_done runs before this returns. */
void etcd__channel_cancel(etcd__channel *channel, etcd__call *call, int code);

/** Why a call that has ended did not succeed, with its flags, also when there was no memory for its words. */
void etcd__channel_error(const etcd__call *call, etcd_error *err);

/** Streams, between on_open and on_done. Sends length-prefixed messages (copied). ETCD_ERR_NO_MEMORY, ETCD_ERR_TOO_LARGE
 *  when 16 MiB wait already, ETCD_ERR_CLOSED behind a half_close. */
int etcd__channel_send(etcd__call *call, const uint8_t *body, size_t len, bool half_close);

/** While paused the server is not allowed to send more than the stream's window. */
void etcd__channel_pause(etcd__call *call);
void etcd__channel_resume(etcd__call *call);

/** The member has not answered on a stream since then (monotonic). When nothing has come on its connection either, and no other
 *  member serves, another connection to it is tried. */
void etcd__channel_doubt(etcd__call *call, int64_t since);

/** For a server that refuses the token within the stream: whether another stream is worth trying, with a newer token.
 *  `code` is the error that it told. */
bool etcd__channel_renew_token(etcd__call *call, int code);

/** Why a call that was started has not ended yet, for people. */
void etcd__channel_describe_wait(const etcd__call *call, char *text, size_t size);

/** Replaces the endpoints; see etcd__peers_set(). */
int etcd__channel_set_endpoints(etcd__channel *channel, const char *endpoints, etcd_error *err);

/** For what belongs to the channel. */
const etcd__log *etcd__channel_log(const etcd__channel *channel);

/** To look at, by the driver. */
const etcd__peers *etcd__channel_peers(const etcd__channel *channel);
const etcd__streams *etcd__channel_streams(const etcd__channel *channel);

/** Ends all calls with ETCD_ERR_CLOSED and closes the connections, `politely` with a GOAWAY. Calls started later end
 *  at once. */
void etcd__channel_close(etcd__channel *channel, bool politely);

/** NULL is allowed. Calls must have ended. */
void etcd__channel_free(etcd__channel *channel);

#endif
