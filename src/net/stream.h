/* A connection to one endpoint: resolve, connect (all addresses), later TLS, then bytes.
 *
 * Owned by the loop's driving thread. Sockets are close-on-exec, writes never raise SIGPIPE (P9), TCP_NODELAY is on. */
#ifndef ETCD__NET_STREAM_H
#define ETCD__NET_STREAM_H

#include "base/log.h"
#include "net/loop.h"

#include <stddef.h>
#include <sys/types.h>

typedef struct etcd__stream etcd__stream;

typedef enum etcd__target_kind { ETCD__TARGET_TCP, ETCD__TARGET_UNIX } etcd__target_kind;

/** Where to connect. Strings are borrowed until on_open or on_close. */
typedef struct etcd__target {
    etcd__target_kind kind;
    const char *host; /* TCP: name, IPv4, or IPv6 without brackets */
    uint16_t port;
    const char *path;        /* unix: path of the socket */
    struct etcd__tls *tls;   /* NULL: plaintext */
    const char *server_name; /* TLS: for SNI and the verification, unless the TLS options override it */
    const etcd__log *log;    /* NULL: none */
    const char *label;       /* what log lines begin with; NULL without a log */
    int64_t unacknowledged;  /* ns that sent bytes may wait for the peer's acknowledgement before the connection ends,
                                where the system can (TCP_USER_TIMEOUT); 0: the system's default */
} etcd__target;

typedef struct etcd__stream_events {
    /* Connected: bytes may be written. */
    void (*on_open)(void *arg);
    /* Bytes arrived; valid during the call. */
    void (*on_read)(void *arg, const uint8_t *data, size_t len);
    /* Room again after a short write. */
    void (*on_writable)(void *arg);
    /* The end: could not connect, end of file, or an error, in words that name the address. Last event, exactly once.
     * The stream must still be closed. Not called after etcd__stream_close(). */
    void (*on_close)(void *arg, const etcd_error *why);
} etcd__stream_events;

/** Starts to connect. No event before it returns. `timeout_ns` bounds the time until on_open. */
int etcd__stream_open(etcd__loop *loop, const etcd__target *target, int64_t timeout_ns, const etcd__stream_events *events,
                      void *arg, etcd__stream **out, etcd_error *err);

/** Hands bytes to the kernel: how many it took, perhaps 0 (on_writable follows when it took fewer than `len`), or a negative code
 *  for a failure of our own, such as ETCD_ERR_NO_MEMORY (nothing follows: close the stream). Never raises SIGPIPE. A connection
 *  that turns out to be broken is no failure of the write: it takes nothing, on_read delivers what the peer had sent before,
 *  which may tell what it has processed, and then on_close says why. */
ssize_t etcd__stream_write(etcd__stream *stream, const uint8_t *data, size_t len, etcd_error *err);

/** Closes and frees; no event follows. Safe inside an event. NULL is allowed. */
void etcd__stream_close(etcd__stream *stream);

#endif
