/* Reads that the machine of watches asks for: pages of a listing, looks at the cluster's revision, and which version the
 * member of the stream has. See watch_core.h.
 *
 * Their answers are given to the machine in a task of their own: a read may end within the call that starts it. */
#include "service/watch_hub.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "wire/response.h"

#include <stdlib.h>
#include <string.h>

#define READ_TIMEOUT (5 * ETCD__SECOND)
#define VOUCH_TIMEOUT (20 * ETCD__SECOND) /* a request for progress waits for it; a member that hangs would not answer either */

typedef struct etcd__watch_read {
    etcd__call call;
    etcd__task answer;
    etcd__watch_stream *stream;
    etcd_watch *watch; /* whose page it is; NULL: the stream's */
    bool under_way;
    char *endpoint; /* of the member that is asked for its version; NULL: a read of keys */
    uint8_t body[];
} etcd__watch_read;

static void free_read(etcd__watch_read *read)
{
    etcd__free(read->call.error);
    etcd__free(read->call.response);
    etcd__free(read->endpoint);
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

/* Since 3.4.25 and 3.5.8. */
static bool tells_progress_in_order(const char *version)
{
    long parts[3] = {0};
    char *rest = (char *)(uintptr_t)version;

    for (size_t i = 0; i < 3 && *rest != '\0'; i++) {
        parts[i] = strtol(rest, &rest, 10);
        if (*rest != '.')
            break;
        rest++;
    }
    if (parts[0] != 3)
        return parts[0] > 3;
    return parts[1] > 5 || (parts[1] == 5 && parts[2] >= 8) || (parts[1] == 4 && parts[2] >= 25);
}

static void answer_vouch(etcd__watch_stream *stream, etcd__watch_read *read, const etcd_error *why)
{
    const etcd_status_response *status;
    uint8_t *data = read->call.response;
    uint64_t member_id = 0;
    void *decoded;

    read->call.response = NULL;
    stream->vouch = NULL;
    if (why == NULL &&
        etcd__response_decode(read->call.method->response, data, read->call.response_len, &decoded, NULL) == ETCD_OK) {
        status = decoded;
        if (tells_progress_in_order(status->version.data))
            member_id = status->header.member_id;
        etcd_response_free(decoded);
    }
    etcd__watch_core_vouched(&stream->core, member_id, etcd__clock_monotonic());
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
    else if (read->endpoint != NULL)
        answer_vouch(read->stream, read, read->call.code != ETCD_OK ? &why : NULL);
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

static etcd__watch_read *make(etcd__watch_stream *stream, etcd__rpc rpc, const void *request, int64_t timeout)
{
    const etcd__rpc_method *method = &etcd__rpc_methods[rpc];
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
    read->call.method = method;
    read->call.body = read->body;
    read->call.body_len = ETCD__GRPC_PREFIX + size;
    read->call.read_only = true;
    read->call.deadline = etcd__clock_after(etcd__clock_monotonic(), timeout);
    read->call.on_done = on_done;
    return read;
}

static void start(etcd__watch_read *read)
{
    read->under_way = true;
    etcd__channel_start(read->stream->hub->client->io.channel, &read->call);
}

static etcd__watch_read *read_keys(etcd__watch_stream *stream, etcd_watch *watch, const etcd__range_request *request)
{
    etcd__watch_read *read = make(stream, ETCD__RPC_KV_RANGE, request, READ_TIMEOUT);

    if (read == NULL)
        return NULL;
    read->watch = watch;
    start(read);
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

    watch->page = read_keys((etcd__watch_stream *)watcher->core, watch, request);
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

    stream->probe = read_keys(stream, NULL, request);
    return stream->probe ? ETCD_OK : ETCD_ERR_NO_MEMORY;
}

void etcd__watch_unprobe(etcd__watch_core *core)
{
    etcd__watch_stream *stream = (etcd__watch_stream *)core;

    stop(stream->probe);
    stream->probe = NULL;
}

int etcd__watch_vouch(etcd__watch_core *core)
{
    etcd__watch_stream *stream = (etcd__watch_stream *)core;
    const char *endpoint = stream->call.connection->endpoint->text;
    etcd__watch_read *read = make(stream, ETCD__RPC_STATUS, &(const etcd__empty){0}, VOUCH_TIMEOUT);

    if (read == NULL)
        return ETCD_ERR_NO_MEMORY;
    read->endpoint = etcd__strdup(endpoint);
    if (read->endpoint == NULL) {
        free_read(read);
        return ETCD_ERR_NO_MEMORY;
    }
    read->call.endpoint = read->endpoint;
    stream->vouch = read;
    start(read);
    return ETCD_OK;
}

void etcd__watch_unvouch(etcd__watch_stream *stream)
{
    if (stream->vouch == NULL)
        return;
    stop(stream->vouch);
    stream->vouch = NULL;
}
