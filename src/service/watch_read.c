/* Reads that the machine of watches asks for: pages of a listing, and looks at the cluster's revision. See watch_core.h.
 *
 * Their answers are given to the machine in a task of their own: a read may end within the call that starts it. */
#include "service/watch_hub.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "wire/response.h"

#include <string.h>

#define READ_TIMEOUT (5 * ETCD__SECOND)

typedef struct etcd__watch_read {
    etcd__call call;
    etcd__task answer;
    etcd__watch_stream *stream;
    etcd_watch *watch; /* whose page it is; NULL: a probe */
    bool under_way;
    uint8_t body[];
} etcd__watch_read;

static void free_read(etcd__watch_read *read)
{
    etcd__free(read->call.error);
    etcd__free(read->call.response);
    etcd__free(read);
}

static void answer_probe(etcd__watch_stream *stream, etcd__watch_read *read, const etcd_error *why)
{
    uint8_t *data = read->call.response;
    etcd_error malformed;
    int64_t revision = 0;
    void *page;

    read->call.response = NULL;
    stream->probe = NULL;
    if (why == NULL) {
        if (etcd__response_decode(&etcd__get_response_type, data, read->call.response_len, &page, &malformed) == ETCD_OK) {
            revision = ((etcd_get_response *)page)->header.revision;
            etcd_response_free(page);
        } else {
            why = &malformed;
        }
    }
    etcd__watch_core_probed(&stream->core, revision, why, etcd__clock_monotonic());
}

static void answer_page(etcd_watch *watch, etcd__watch_read *read, const etcd_error *why)
{
    uint8_t *data = read->call.response;

    read->call.response = NULL;
    watch->page = NULL;
    etcd__watch_core_listed(&watch->watcher, why ? NULL : data, read->call.response_len, why, etcd__clock_monotonic());
}

static void answer(void *arg)
{
    etcd__watch_read *read = arg;
    etcd_error why;

    etcd__list_remove(&read->answer.node);
    if (read->call.code != ETCD_OK && read->call.error == NULL) {
        etcd__error_set(&why, read->call.code, "%s", etcd_error_text(read->call.code));
        why.flags = read->call.flags;
    } else if (read->call.code != ETCD_OK) {
        why = *read->call.error;
    }
    if (read->watch != NULL)
        answer_page(read->watch, read, read->call.code != ETCD_OK ? &why : NULL);
    else
        answer_probe(read->stream, read, read->call.code != ETCD_OK ? &why : NULL);
    free_read(read);
}

static void on_done(etcd__call *call)
{
    etcd__watch_read *read = ETCD__CONTAINER_OF(call, etcd__watch_read, call);

    read->under_way = false;
    etcd__loop_defer(read->stream->hub->client->io.loop, &read->answer);
}

static etcd__watch_read *start(etcd__watch_stream *stream, etcd_watch *watch, const etcd__range_request *request)
{
    const etcd__rpc_method *method = &etcd__rpc_methods[ETCD__RPC_KV_RANGE];
    size_t size = etcd__pb_encoded_size(method->request, request);
    etcd__watch_read *read = etcd__calloc(1, sizeof *read + ETCD__GRPC_PREFIX + size);

    if (read == NULL)
        return NULL;
    etcd__grpc_prefix_write(read->body, (uint32_t)size);
    etcd__pb_encode(method->request, request, read->body + ETCD__GRPC_PREFIX, size);
    etcd__list_init(&read->answer.node);
    read->answer.fn = answer;
    read->answer.arg = read;
    read->stream = stream;
    read->watch = watch;
    read->under_way = true;
    read->call.method = method;
    read->call.body = read->body;
    read->call.body_len = ETCD__GRPC_PREFIX + size;
    read->call.read_only = true;
    read->call.deadline = etcd__clock_after(etcd__clock_monotonic(), READ_TIMEOUT);
    read->call.on_done = on_done;
    etcd__channel_start(stream->hub->client->io.channel, &read->call);
    return read;
}

static void stop(etcd__watch_read *read)
{
    if (read->under_way)
        etcd__channel_cancel(read->stream->hub->client->io.channel, &read->call, ETCD_ERR_CANCELED);
    etcd__list_remove(&read->answer.node);
    free_read(read);
}

int etcd__watch_list(etcd__watcher *watcher, const etcd__range_request *request)
{
    etcd_watch *watch = (etcd_watch *)watcher;

    watch->page = start((etcd__watch_stream *)watcher->core, watch, request);
    return watch->page ? ETCD_OK : ETCD_ERR_NO_MEMORY;
}

void etcd__watch_unlist(etcd__watcher *watcher)
{
    etcd_watch *watch = (etcd_watch *)watcher;

    stop(watch->page);
    watch->page = NULL;
}

int etcd__watch_probe(etcd__watch_core *core, const etcd__range_request *request)
{
    etcd__watch_stream *stream = (etcd__watch_stream *)core;

    stream->probe = start(stream, NULL, request);
    return stream->probe ? ETCD_OK : ETCD_ERR_NO_MEMORY;
}

void etcd__watch_unprobe(etcd__watch_core *core)
{
    etcd__watch_stream *stream = (etcd__watch_stream *)core;

    stop(stream->probe);
    stream->probe = NULL;
}
