/* The stream behind a range iterator: KV.RangeStream of servers 3.7 and later.
 *
 * The iterator asks for each page with a Range call of its own, which says where it is. While a stream brings what comes next,
 * that call is held back and answered with the stream's next chunk; when there is no stream, or it ends, the call goes to the
 * server as it is. So a broken stream needs no repair: the page behind the break comes by a call, with all that calls can do
 * (other members, deadline, retries), and the next stream begins behind it. And whatever is wrong for good (compacted, no
 * permission), the call is told. */
#ifndef ETCD__SERVICE_RANGE_STREAM_H
#define ETCD__SERVICE_RANGE_STREAM_H

#include "client/unary.h"

typedef struct etcd__range_stream etcd__range_stream;

/** What the driver needs of an iterator; it looks at it only while a page is under way. */
typedef struct etcd__range_place {
    etcd_client *client;
    const etcd__range_request *request; /* of the next page */
    const etcd_call_options *call;
    bool wanted;                /* a stream is worth it from here on */
    bool lost;                  /* the last page failed: what the stream holds is not what comes next */
    etcd__range_stream *stream; /* NULL before the first */
    etcd__unary page;           /* for the page's call */
    etcd__unary chunk;          /* what it becomes when a stream answers it */
} etcd__range_place;

/** Fills `page` and `chunk` from what all pages of iterators have. */
void etcd__range_place_init(etcd__range_place *place, const etcd__unary *unary);

/** Ends the stream, if there is one. No page is under way. Any thread; in a child after fork(), too. */
void etcd__range_place_free(etcd__range_place *place);

#endif
