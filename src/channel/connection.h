/* One connection to one endpoint: a transport and an HTTP/2 session on it, from the first connect until it is gone.
 *
 * States: CONNECTING (transport, then the peer's SETTINGS) -> READY -> DRAINING (GOAWAY: no new streams) -> gone. A
 * connection never comes back: its peer makes a new one. All output queued in a turn of the loop leaves with one
 * write at its end. */
#ifndef ETCD__CHANNEL_CONNECTION_H
#define ETCD__CHANNEL_CONNECTION_H

#include "base/buf.h"
#include "base/log.h"
#include "channel/endpoint.h"
#include "http2/session.h"
#include "net/loop.h"
#include "net/stream.h"

typedef struct etcd__connection etcd__connection;

typedef enum etcd__connection_state {
    ETCD__CONNECTION_CONNECTING,
    ETCD__CONNECTION_READY,
    ETCD__CONNECTION_DRAINING
} etcd__connection_state;

typedef struct etcd__connection_events {
    /* READY: streams can be opened. */
    void (*on_ready)(void *arg, etcd__connection *connection);
    /* The peer allows more streams again. */
    void (*on_slots)(void *arg, etcd__connection *connection);
    /* DRAINING: streams under way go on; new calls need another connection. */
    void (*on_draining)(void *arg, etcd__connection *connection);
    /* A ping was not answered in good time: the peer hangs, or is cut off. The connection ends later, unless bytes
     * arrive. */
    void (*on_suspect)(void *arg, etcd__connection *connection);
    /* Gone: every stream got its on_close before. The connection is to be freed now. Last event, exactly once. */
    void (*on_gone)(void *arg, etcd__connection *connection, const etcd_error *why);
} etcd__connection_events;

/** Times in ns. */
typedef struct etcd__connection_config {
    int64_t connect_timeout; /* until READY */
    int64_t ping_interval;   /* at least this long between PINGs, a tenth when the server answered calls in between;
                                ETCD__NEVER: none */
    int64_t ping_timeout;    /* silence after a PING that ends the connection */
} etcd__connection_config;

struct etcd__connection {
    etcd__list node; /* for the owner */
    etcd__connection_state state;
    etcd__h2 *h2;
    uint64_t written;      /* bytes of the session's output that the transport took */
    uint64_t received;     /* bytes */
    int64_t last_read;     /* when bytes arrived last */
    bool answered;         /* some stream got an answer: the connection is good */
    const etcd_error *why; /* while its streams are closed because it is gone: the reason; else NULL */
    bool suspect;          /* see on_suspect; no longer once bytes arrive */
    bool too_many_pings;   /* the peer ended it because of our pings (gRPC keepalive, ENHANCE_YOUR_CALM) */

    /* private */
    etcd__loop *loop;
    const etcd__endpoint *endpoint;
    etcd__connection_config config;
    const etcd__connection_events *events;
    void *arg;
    const etcd__log *log;
    etcd__stream *stream;
    etcd__buf out; /* taken from the session, not yet by the transport */
    etcd__task flush;
    etcd__timer timer;      /* bounds CONNECTING; ends DRAINING */
    etcd__timer ping_timer; /* the next PING, or the end of the wait for an answer */
    int64_t ping_from;      /* when a stream was opened on a connection without one: silence counts from here */
    int64_t ping_sent;      /* when the last PING was sent; 0: never */
    bool ping_waits;        /* for any byte since ping_sent */
    bool ping_acked;        /* the server has seen the last PING */
    bool ping_soon;         /* and answered a call since: it does not count the next one against us */
    bool blocked;           /* the transport is full: wait for on_writable */
    bool dead;              /* fail() ran */
    char goaway[96];        /* what the peer's GOAWAY said, "" when there was none */
};

/** Starts to connect; `endpoint` and `log` must outlive it. */
int etcd__connection_open(etcd__loop *loop, const etcd__endpoint *endpoint, const etcd__connection_config *config,
                          const etcd__log *log, const etcd__connection_events *events, void *arg, etcd__connection **out,
                          etcd_error *err);

/** Makes sure that what the session has queued is sent at the end of this turn. Call it after every use of `h2`. */
void etcd__connection_touch(etcd__connection *connection);

/** The peer has answered a call, or sent a message of a stream. */
void etcd__connection_answered(etcd__connection *connection);

/** No new streams, for this reason: ends (on_gone) when the streams under way have ended. The peer is not told before that. */
void etcd__connection_drain(etcd__connection *connection, const char *why);

/** Closes and frees, without events. Streams still open hear nothing: end them first. `politely`: a GOAWAY is tried. */
void etcd__connection_free(etcd__connection *connection, bool politely);

#endif
