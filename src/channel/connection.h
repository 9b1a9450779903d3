/* One connection to one endpoint: a transport and an HTTP/2 session on it, from the first connect until it is gone.
 *
 * States: CONNECTING (transport, then the peer's SETTINGS) -> READY -> DRAINING (GOAWAY: no new streams) -> gone. A connection
 * never comes back: its peer makes a new one. All output queued in a turn of the loop leaves with one write at its end. */
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
    /* Gone: every stream got its on_close before. The connection is to be freed now. Last event, exactly once. */
    void (*on_gone)(void *arg, etcd__connection *connection, const etcd_error *why);
} etcd__connection_events;

struct etcd__connection {
    etcd__list node; /* for the owner */
    etcd__connection_state state;
    etcd__h2 *h2;
    uint64_t written; /* bytes of the session's output that the transport took */
    bool answered;    /* some stream got an answer: the connection is good */

    /* private */
    etcd__loop *loop;
    const etcd__endpoint *endpoint;
    const etcd__connection_events *events;
    void *arg;
    const etcd__log *log;
    etcd__stream *stream;
    etcd__buf out;   /* taken from the session, not yet by the transport */
    etcd__task flush;
    etcd__timer timer; /* bounds CONNECTING */
    bool blocked;      /* the transport is full: wait for on_writable */
    bool dead;         /* fail() ran */
    char goaway[96];   /* what the peer's GOAWAY said, "" when there was none */
};

/** Starts to connect; `endpoint` must outlive it. `timeout_ns` bounds the time until READY. */
int etcd__connection_open(etcd__loop *loop, const etcd__endpoint *endpoint, int64_t timeout_ns, const etcd__log *log,
                          const etcd__connection_events *events, void *arg, etcd__connection **out, etcd_error *err);

/** Makes sure that what the session has queued is sent at the end of this turn. Call it after every use of `h2`. */
void etcd__connection_touch(etcd__connection *connection);

/** Closes and frees, without events. Streams still open hear nothing: end them first. `politely`: a GOAWAY is tried. */
void etcd__connection_free(etcd__connection *connection, bool politely);

#endif
