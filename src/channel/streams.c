/* See streams.h. */
#include "channel/streams.h"

#include <assert.h>

static etcd__stream_counts *counts_of(etcd__streams *streams, const etcd__call *call)
{
    etcd__stream_counts *counts = streams->methods;

    while (counts->method != NULL && counts->method != call->method)
        counts++;
    assert(counts < streams->methods + ETCD__STREAM_METHODS);
    counts->method = call->method;
    return counts;
}

void etcd__streams_opened(etcd__streams *streams, const etcd__call *call)
{
    etcd__stream_counts *counts = counts_of(streams, call);

    counts->opened++;
    counts->open++;
}

void etcd__streams_received(etcd__streams *streams, const etcd__call *call, size_t len)
{
    etcd__stream_counts *counts = counts_of(streams, call);

    counts->responses++;
    counts->response_bytes += len;
}

void etcd__streams_ended(etcd__streams *streams, const etcd__call *call, int code)
{
    etcd__stream_counts *counts = counts_of(streams, call);
    size_t i = 0;

    counts->open--;
    while (i < counts->n_codes && counts->codes[i].code != code && i + 1 < ETCD__STREAM_CODES)
        i++;
    if (i == counts->n_codes) {
        counts->codes[i].code = code;
        counts->n_codes++;
    }
    counts->codes[i].streams++;
}
