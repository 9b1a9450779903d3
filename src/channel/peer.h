/* One endpoint of a channel: its connection, the connections before it that still drain, the back-off between
 * attempts, and what is known of its health.
 *
 * A peer always wants to be connected: it connects at once when it was lost after being good, and after a growing
 * wait when an attempt failed (the contract, section 0: 1 s x 1.6, +-20 %, at most 120 s).
 *
 * A connection in doubt gets a spare beside it. When that is ready and the other has still said nothing, it takes its place:
 * a line that is dead is left before a ping has proven it, and one that is only slow loses nothing. */
#ifndef ETCD__CHANNEL_PEER_H
#define ETCD__CHANNEL_PEER_H

#include "base/random.h"
#include "channel/connection.h"
#include "channel/endpoint.h"

typedef struct etcd__peer etcd__peer;

typedef struct etcd__peer_config {
    etcd__connection_config connection;
    int64_t backoff_base; /* ns */
    int64_t backoff_max;
    int64_t unacknowledged; /* ns: see etcd__target */
    bool sends_secrets;     /* calls carry a token: endpoints beyond this host must use TLS */
    etcd__log log;
} etcd__peer_config;

/** Figures for etcd_client_endpoints(). */
typedef struct etcd__peer_stats {
    uint64_t calls, failures;            /* attempts */
    uint64_t bytes_sent, bytes_received; /* of connections that are gone */
    uint64_t connects, connect_failures;
} etcd__peer_stats;

typedef struct etcd__peer_events {
    /* A stream can be opened on this peer, perhaps where none could before. */
    void (*on_usable)(void *arg, etcd__peer *peer);
    /* The connection's state changed. */
    void (*on_state)(void *arg, etcd__peer *peer);
    /* The peer does not answer: see etcd__connection_events. */
    void (*on_suspect)(void *arg, etcd__peer *peer);
    /* A retired peer has lost its last connection: it is to be freed. */
    void (*on_retired)(void *arg, etcd__peer *peer);
} etcd__peer_events;

struct etcd__peer {
    etcd__list node; /* for the owner */
    etcd__endpoint endpoint;
    etcd__connection *connection; /* the newest, while it is not draining; NULL in back-off */
    etcd__connection *spare;      /* being connected, because the other is in doubt; mostly NULL */
    etcd_error last_error;        /* of the last connection that ended; code 0 when none did */
    etcd__peer_stats stats;
    uint64_t member_id; /* of the member behind it, where that was asked (channel/leader.h); 0: unknown */
    int32_t reported;   /* for the client: the state that the program was told last */
    unsigned users;     /* calls that are pinned to it; the owner counts */
    int64_t released;   /* by the last of these */
    bool retired;
    bool removed; /* for the owner, while it replaces a list of endpoints */

    /* private */
    etcd__loop *loop;
    const etcd__peer_config *config;
    etcd__random *random;
    const etcd__peer_events *events;
    void *arg;
    etcd__list draining;
    etcd__timer retry;
    int64_t spare_at;      /* when the spare was begun */
    int failures;          /* attempts since the last good connection */
    int64_t ping_interval; /* grows when the server complains */
    int64_t avoid_until;   /* other peers are better until then; 0: it is as good as any */
    int avoided;           /* times in a row */
};

/** A peer for `endpoint`, which it takes over. NULL when out of memory: the endpoint is still the caller's. */
etcd__peer *etcd__peer_new(etcd__endpoint *endpoint, etcd__loop *loop, const etcd__peer_config *config, etcd__random *random,
                           const etcd__peer_events *events, void *arg);

/** Closes all connections, `politely` with a GOAWAY, and frees. Streams still open hear nothing. NULL is allowed. */
void etcd__peer_free(etcd__peer *peer, bool politely);

/** Starts to connect unless it is connected, connecting, or in back-off. */
void etcd__peer_connect(etcd__peer *peer);

/** Nothing has come on its connection for too long: tries another beside it. */
void etcd__peer_doubt(etcd__peer *peer);

/** Whether a call can be started now. */
bool etcd__peer_usable(const etcd__peer *peer);

/** Whether nothing speaks against it: see etcd__peer_avoid(). */
bool etcd__peer_healthy(const etcd__peer *peer, int64_t now);

/** The peer answered that it cannot serve, or did not answer: for a while (growing with each time in a row) others
 *  come first. */
void etcd__peer_avoid(etcd__peer *peer);

/** The peer served a call. */
void etcd__peer_serves(etcd__peer *peer);

/** No new calls: streams under way end as they may, then on_retired. Not again connected. */
void etcd__peer_retire(etcd__peer *peer);

#endif
