/* One endpoint of a channel: its connection, the connections before it that still drain, and the back-off between attempts.
 *
 * A peer always wants to be connected: it connects at once when it was lost after being good, and after a growing wait when an
 * attempt failed (the contract, section 0: 1 s x 1.6, +-20 %, at most 120 s). */
#ifndef ETCD__CHANNEL_PEER_H
#define ETCD__CHANNEL_PEER_H

#include "base/random.h"
#include "channel/connection.h"
#include "channel/endpoint.h"

typedef struct etcd__peer etcd__peer;

typedef struct etcd__peer_config {
    int64_t connect_timeout; /* ns, as all below */
    int64_t backoff_base;
    int64_t backoff_max;
} etcd__peer_config;

struct etcd__peer {
    etcd__endpoint endpoint;
    etcd__connection *connection; /* the newest, while it is not draining; NULL in back-off */
    etcd_error last_error;        /* of the last connection that ended; code 0 when none did */

    /* private */
    etcd__loop *loop;
    const etcd__peer_config *config;
    const etcd__log *log;
    etcd__random *random;
    void (*on_usable)(void *arg); /* a stream can be opened on this peer, perhaps where none could before */
    void *arg;
    etcd__list draining;
    etcd__timer retry;
    int failures; /* attempts since the last good connection */
};

/** Prepares a cleared peer for `endpoint`, which it takes over. */
void etcd__peer_init(etcd__peer *peer, etcd__endpoint *endpoint, etcd__loop *loop, const etcd__peer_config *config,
                     const etcd__log *log, etcd__random *random, void (*on_usable)(void *arg), void *arg);

/** Starts to connect unless it is connected, connecting, or in back-off. */
void etcd__peer_connect(etcd__peer *peer);

/** Whether a call can be started now. */
bool etcd__peer_usable(const etcd__peer *peer);

/** Closes all connections, `politely` with a GOAWAY. Streams still open hear nothing. */
void etcd__peer_close(etcd__peer *peer, bool politely);

/** Closes and frees what the peer holds; the struct is the caller's. */
void etcd__peer_deinit(etcd__peer *peer);

#endif
