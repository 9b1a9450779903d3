/* Counts the streams of a channel, by method. The driver only.
 *
 * A stream counts from the moment in which it is opened on a connection; one that is started and ends while it waits for a
 * connection is none. */
#ifndef ETCD__CHANNEL_STREAMS_H
#define ETCD__CHANNEL_STREAMS_H

#include "channel/call.h"

#define ETCD__STREAM_METHODS 8 /* the protocol has five */
#define ETCD__STREAM_CODES 16

typedef struct etcd__stream_counts {
    const etcd__rpc_method *method; /* NULL: free */
    uint64_t opened, open;
    uint64_t responses, response_bytes;
    size_t n_codes;
    struct {
        int32_t code;
        uint64_t streams;
    } codes[ETCD__STREAM_CODES]; /* of streams that ended; what is beyond the last counts as the last */
} etcd__stream_counts;

typedef struct etcd__streams {
    etcd__stream_counts methods[ETCD__STREAM_METHODS];
} etcd__streams;

void etcd__streams_opened(etcd__streams *streams, const etcd__call *call);
void etcd__streams_received(etcd__streams *streams, const etcd__call *call, size_t len);
void etcd__streams_ended(etcd__streams *streams, const etcd__call *call, int code);

#endif
