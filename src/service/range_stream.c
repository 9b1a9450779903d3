/* See range_stream.h. All but etcd__range_place_free() runs on the driver.
 *
 * The struct belongs to the iterator and, while the channel has its call, to that: it goes with the later of them.
 *
 * What the server does (3.7.3): chunks of 10, 20, 40 ... key-values up to some 1.5 MB, of which only the last one has a header,
 * so that a stream cannot tell its revision before its end. The first page of an iterator is a call, which pins it. */
#include "service/range_stream.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "client/client.h"
#include "wire/response.h"

#include <string.h>

#define FRUITLESS_MOST 3 /* streams in a row that brought nothing, after which there are no more */

typedef struct chunk {
    etcd__list node;
    uint8_t *data;
    size_t len;
} chunk;

struct etcd__range_stream {
    atomic_int refs; /* the iterator; the channel */
    etcd_client *client;
    etcd__job release;
    /* the driver */
    etcd__call call;
    bool active; /* the channel has the call */
    bool paused;
    bool ended; /* and no page has been asked for by a call since */
    bool fruitful;
    int fruitless; /* streams in a row */
    etcd__list chunks;
    etcd__user_call *page; /* that waits for a chunk */
    uint8_t *body;         /* length-prefixed request; behind it endpoint and traceparent */
};

static void drop_chunks(etcd__range_stream *stream)
{
    etcd__list *node;

    while ((node = etcd__list_pop_front(&stream->chunks)) != NULL) {
        chunk *first = ETCD__CONTAINER_OF(node, chunk, node);

        etcd__free(first->data);
        etcd__free(first);
    }
}

static void unref(etcd__range_stream *stream)
{
    if (atomic_fetch_sub_explicit(&stream->refs, 1, memory_order_acq_rel) != 1)
        return;
    drop_chunks(stream);
    etcd__free(stream->body);
    etcd__free(stream->call.error);
    etcd__free(stream);
}

/* --- from the stream to the page's call ----------------------------------------------------------------------- */

/* The server may go on when nothing is left to take: at most one window comes in the meantime. */
static void pace(etcd__range_stream *stream)
{
    bool full = !etcd__list_empty(&stream->chunks);

    if (!stream->active || full == stream->paused)
        return;
    stream->paused = full;
    if (full)
        etcd__channel_pause(&stream->call);
    else
        etcd__channel_resume(&stream->call);
}

/* Answers the page that waits, if there is what it waits for; without a stream it goes its own way. */
static void feed(etcd__range_stream *stream)
{
    etcd__user_call *page = stream->page;
    etcd__list *node;
    chunk *first;

    if (page == NULL)
        return;
    node = etcd__list_pop_front(&stream->chunks);
    if (node == NULL) {
        if (!stream->active) {
            stream->ended = false;
            etcd__channel_release(&page->call);
        }
        return;
    }
    first = ETCD__CONTAINER_OF(node, chunk, node);
    page->unary = &((etcd__range_place *)page->unary->context)->chunk;
    page->call.method = &etcd__rpc_methods[ETCD__RPC_KV_RANGE_STREAM];
    pace(stream);
    etcd__channel_answer(&page->call, first->data, first->len); /* page_done() forgets it */
    etcd__free(first);
}

static void on_message(etcd__call *call, uint8_t *data, size_t len)
{
    etcd__range_stream *stream = ETCD__CONTAINER_OF(call, etcd__range_stream, call);
    chunk *last = etcd__malloc(sizeof *last);

    stream->fruitful = true;
    if (last == NULL) { /* what is lost here, a page's call brings */
        etcd__free(data);
        etcd__channel_cancel(stream->client->io.channel, call, ETCD_ERR_NO_MEMORY);
        return;
    }
    *last = (chunk){.data = data, .len = len};
    etcd__list_push_back(&stream->chunks, &last->node);
    feed(stream);
    pace(stream);
}

static void on_done(etcd__call *call)
{
    etcd__range_stream *stream = ETCD__CONTAINER_OF(call, etcd__range_stream, call);

    stream->active = stream->paused = false;
    stream->ended = true;
    stream->fruitless = stream->fruitful ? 0 : stream->fruitless + 1;
    if (call->code == ETCD_ERR_UNIMPLEMENTED)
        atomic_store_explicit(&stream->client->no_range_stream, true, memory_order_relaxed);
    feed(stream);
    unref(stream);
}

/* --- opening -------------------------------------------------------------------------------------------------- */

/* The request of the whole rest. */
static int encode(etcd__range_stream *stream, const etcd__range_place *place)
{
    const etcd__pb_message *type = etcd__rpc_methods[ETCD__RPC_KV_RANGE_STREAM].request;
    const char *endpoint = place->call ? place->call->endpoint : NULL;
    const char *traceparent = place->call ? place->call->traceparent : NULL;
    etcd__range_request request = *place->request;
    size_t size;
    uint8_t *behind;

    request.limit = 0;
    size = etcd__pb_encoded_size(type, &request);
    etcd__free(stream->body);
    stream->body = etcd__malloc(ETCD__GRPC_PREFIX + size + etcd__text_size(endpoint) + etcd__text_size(traceparent));
    if (stream->body == NULL)
        return ETCD_ERR_NO_MEMORY;
    etcd__grpc_prefix_write(stream->body, (uint32_t)size);
    etcd__pb_encode(type, &request, stream->body + ETCD__GRPC_PREFIX, size);
    behind = stream->body + ETCD__GRPC_PREFIX + size;
    stream->call.body = stream->body;
    stream->call.body_len = ETCD__GRPC_PREFIX + size;
    stream->call.endpoint = etcd__text_put(endpoint, &behind);
    stream->call.traceparent = etcd__text_put(traceparent, &behind);
    return ETCD_OK;
}

static etcd__range_stream *new_stream(etcd_client *client)
{
    etcd__range_stream *stream = etcd__calloc(1, sizeof *stream);

    if (stream == NULL)
        return NULL;
    atomic_init(&stream->refs, 1);
    stream->client = client;
    etcd__list_init(&stream->chunks);
    etcd__list_init(&stream->release.node);
    return stream;
}

/* Without memory for it there is no stream, and no harm. */
static void open_stream(etcd__range_place *place)
{
    etcd__range_stream *stream = place->stream;

    if (stream == NULL)
        stream = place->stream = new_stream(place->client);
    if (stream == NULL || stream->ended || stream->fruitless >= FRUITLESS_MOST)
        return;
    etcd__free(stream->call.error);
    stream->call = (etcd__call){
        .method = &etcd__rpc_methods[ETCD__RPC_KV_RANGE_STREAM],
        .streaming = true,
        .half_close = true,
        .endless = true, /* it can be left at any time */
        .deadline = ETCD__NEVER,
        .read_only = true,
        .require_leader = place->client->require_leader || (place->call && place->call->require_leader),
        .serializable = place->request->serializable,
        .on_message = on_message,
        .on_done = on_done,
    };
    if (encode(stream, place) < 0)
        return;
    stream->active = true;
    stream->fruitful = false;
    atomic_fetch_add_explicit(&stream->refs, 1, memory_order_relaxed);
    etcd__channel_start(stream->client->io.channel, &stream->call);
}

static void close_stream(etcd__range_stream *stream)
{
    drop_chunks(stream);
    if (stream->active)
        etcd__channel_cancel(stream->client->io.channel, &stream->call, ETCD_ERR_CANCELED);
}

/* --- the page's call ------------------------------------------------------------------------------------------ */

static void page_start(etcd__user_call *call)
{
    etcd__range_place *place = call->unary->context;
    etcd_client *client = place->client;
    bool holds;

    if (place->lost && place->stream != NULL)
        close_stream(place->stream);
    holds = place->stream != NULL && (place->stream->active || !etcd__list_empty(&place->stream->chunks));
    if (!holds && !place->lost && place->wanted && !atomic_load_explicit(&client->no_range_stream, memory_order_relaxed)) {
        open_stream(place);
        holds = place->stream != NULL && place->stream->active;
    }
    place->lost = false;
    if (place->stream != NULL && !holds)
        place->stream->ended = false;
    if (holds) {
        place->stream->page = call;
        call->call.retry_at = ETCD__NEVER;
    }
    etcd__channel_start(client->io.channel, &call->call);
    if (holds && place->stream->page != NULL)
        feed(place->stream);
}

static void page_done(etcd__user_call *call)
{
    const etcd__range_place *place = call->unary->context;

    if (place->stream != NULL)
        place->stream->page = NULL;
}

/* The page within the message, as a response of its own. */
static void *unwrap(void *response)
{
    const etcd_get_response *inner = ((const etcd__range_stream_response *)response)->range_response;
    etcd_get_response *page = etcd__response_wrap(response, sizeof *page);

    if (page != NULL && inner != NULL)
        *page = *inner;
    return page;
}

void etcd__range_place_init(etcd__range_place *place, const etcd__unary *unary)
{
    place->page = *unary;
    place->page.start = page_start;
    place->page.done = page_done;
    place->page.context = place;
    place->chunk = place->page;
    place->chunk.rpc = ETCD__RPC_KV_RANGE_STREAM;
    place->chunk.wrap = unwrap;
}

/* --- the end of the iterator ---------------------------------------------------------------------------------- */

static void do_release(etcd__job *job)
{
    etcd__range_stream *stream = ETCD__CONTAINER_OF(job, etcd__range_stream, release);

    close_stream(stream);
    unref(stream);
}

void etcd__range_place_free(etcd__range_place *place)
{
    etcd__range_stream *stream = place->stream;

    if (stream == NULL)
        return;
    place->stream = NULL;
    stream->release.fn = do_release;
    if (etcd__fork_mark_passed(&place->client->made) || !etcd__driver_post(place->client, &stream->release))
        unref(stream); /* closing the client has ended its call, or does */
}
