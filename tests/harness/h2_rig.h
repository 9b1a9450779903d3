/* A session of src/http2 with calls of src/grpc on it, facing an h2_peer, and a log of all that they tell: for unit tests,
 * allocation sweeps and fuzzing. Bytes are carried by hand, in pieces of any size.
 *
 * The log has a line per event:
 *
 *     ready | slots | ping | goaway CODE LAST_ID "debug"
 *     #I metadata|trailer NAME: VALUE
 *     #I message "data"
 *     #I end CODE ORIGIN [unprocessed] [too-large] [no-memory] [reset CODE] "message"
 *     failed CODE "message"            of etcd__h2_receive() or etcd__h2_take_output(), once */
#ifndef ETCD3_TESTS_H2_RIG_H
#define ETCD3_TESTS_H2_RIG_H

#include "grpc/call.h"
#include "harness/h2_peer.h"

#define H2_RIG_CALLS 64

struct h2_rig;

typedef struct h2_rig_call {
    etcd__grpc_call call;
    struct h2_rig *rig;
    bool open;
    bool cancel_in_message; /* etcd__grpc_call_cancel() inside on_message */
    int n_ends;
} h2_rig_call;

typedef struct h2_rig {
    etcd__h2 *h2;
    h2_peer peer;
    h2_rig_call calls[H2_RIG_CALLS];
    etcd__grpc_request request; /* what h2_rig_start() sends; a unary Range with a small body unless changed */
    bool log_metadata;
    bool failed;
    bool quiet;     /* do not parse what the client sends */
    size_t piece;   /* h2_rig_feed() cuts input in pieces of so many bytes; 0: no cutting */
    uint64_t taken; /* bytes of output */
    char *log;
    size_t log_len, log_cap;
} h2_rig;

/** A session that has not sent or received anything. Returns what etcd__h2_new() does. */
int h2_rig_open(h2_rig *rig, const etcd__h2_config *config);

/** Frees all. */
void h2_rig_close(h2_rig *rig);

/** Opens and exchanges SETTINGS. */
void h2_rig_ready(h2_rig *rig);

/** Starts call `i` as `rig->request` says; returns what etcd__grpc_call_start() does. */
int h2_rig_start(h2_rig *rig, size_t i, etcd_error *err);

/** Gives all output to the peer. */
void h2_rig_flush(h2_rig *rig);

/** Feeds bytes, then what the peer has to send; flushes after every piece. */
void h2_rig_feed(h2_rig *rig, const void *data, size_t len);
void h2_rig_exchange(h2_rig *rig);

/** Empties the log. */
void h2_rig_forget(h2_rig *rig);

/** Adds to what the peer sends. Each step is a letter and what it needs; fields are separated by '|':
 *     "h FIELDS"  HEADERS          "H FIELDS"  with END_STREAM
 *     "m TEXT"    a message        "M TEXT"    with END_STREAM
 *     "d HEX"     DATA             "D HEX"     with END_STREAM
 *     "r CODE"    RST_STREAM       "g LAST_ID CODE TEXT"  GOAWAY */
void h2_rig_say(h2_peer *peer, int32_t stream_id, const char *step);

#endif
