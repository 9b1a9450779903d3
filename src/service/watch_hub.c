/* The driver's side of watches. See watch_hub.h. */
#include "service/watch_hub.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"

#include <assert.h>
#include <string.h>

#define SMALL_REQUEST 512
#define DELIVER_MOST 64 /* callbacks before what they started is sent */
#define FIRST_MAX_MESSAGE ((size_t)4 << 20)
#define TOO_LARGE_MOST 8 /* streams before twice as much is let in */
#define LONG_LIVED (10 * ETCD__SECOND)
#define REPORT_PARTS 16 /* of its buffer: what a consumer takes before it says so */

/* The bounds of what is buffered are for programs that pull. A callback takes everything in the turn in which it arrived, so
 * that what waits for callbacks is never more than one turn reads. */

static const char kind; /* its address is the attachment's */

static etcd__watch_stream *stream_of(etcd__watch_core *core)
{
    return (etcd__watch_stream *)core;
}

static etcd_watch *watch_of(etcd__watcher *watcher)
{
    return (etcd_watch *)watcher;
}

/* --- the stream ------------------------------------------------------------------------------- */

static void on_open(etcd__call *call)
{
    etcd__watch_stream *stream = ETCD__CONTAINER_OF(call, etcd__watch_stream, call);

    etcd__watch_core_opened(&stream->core, etcd__clock_monotonic());
}

static void on_message(etcd__call *call, uint8_t *data, size_t len)
{
    etcd__watch_stream *stream = ETCD__CONTAINER_OF(call, etcd__watch_stream, call);

    etcd__watch_core_message(&stream->core, data, len, etcd__loop_now(stream->hub->client->io.loop));
}

/* Servers send fragments of the size of a request, 2 MiB unless set up otherwise. But what they have to say before they have
 * told that a watch was taken up comes in one piece, up to 1,000 revisions: it depends on moments, so another stream is tried
 * before more is let in. */
static bool may_fit_next_time(etcd__watch_stream *stream)
{
    if (stream->max_message >= stream->hub->client->max_recv)
        return false;
    if (etcd__clock_monotonic() - stream->core.opened_at > LONG_LIVED)
        stream->too_large = 0;
    if (++stream->too_large == TOO_LARGE_MOST) {
        stream->max_message *= 2;
        stream->too_large = 0;
    }
    return true;
}

static void on_done(etcd__call *call)
{
    etcd__watch_stream *stream = ETCD__CONTAINER_OF(call, etcd__watch_stream, call);
    bool again = call->code == ETCD_OK || call->again || (call->code == ETCD_ERR_TOO_LARGE && may_fit_next_time(stream));
    etcd_error why;

    stream->under_way = false;
    etcd__watch_unvouch(stream);
    etcd__channel_error(call, &why);
    if (call->code == ETCD_OK)
        etcd__error_set(&why, ETCD_ERR_UNAVAILABLE, "the server has ended the stream");
    etcd__free(call->error);
    etcd__free(call->response);
    call->error = NULL;
    call->response = NULL;
    if (stream->closing || etcd__fork_mark_passed(&stream->hub->client->made))
        return;
    etcd__watch_core_closed(&stream->core, &why, again, etcd__clock_monotonic());
}

static void open_now(void *arg)
{
    etcd__watch_stream *stream = arg;
    etcd__call *call = &stream->call;

    etcd__list_remove(&stream->open.node);
    assert(!stream->under_way);
    memset(call, 0, sizeof *call);
    call->method = &etcd__rpc_methods[ETCD__RPC_WATCH];
    call->streaming = true;
    call->endless = true;
    call->read_only = true;
    call->max_message = stream->max_message;
    call->deadline = ETCD__NEVER;
    call->require_leader = stream->require_leader;
    call->on_open = on_open;
    call->on_message = on_message;
    call->on_done = on_done;
    stream->under_way = true;
    stream->closing = false;
    etcd__channel_start(stream->hub->client->io.channel, call);
}

static void op_open(etcd__watch_core *core)
{
    etcd__watch_stream *stream = stream_of(core);

    etcd__loop_defer(stream->hub->client->io.loop, &stream->open);
}

static void op_close(etcd__watch_core *core)
{
    etcd__watch_stream *stream = stream_of(core);

    etcd__list_remove(&stream->open.node);
    etcd__watch_unvouch(stream);
    stream->closing = true;
    if (stream->under_way)
        etcd__channel_cancel(stream->hub->client->io.channel, &stream->call, ETCD_ERR_CANCELED);
}

static int op_send(etcd__watch_core *core, const etcd__watch_request *request)
{
    uint8_t small[SMALL_REQUEST], *body = small;
    size_t size = etcd__pb_encoded_size(&etcd__watch_request_type, request);
    int rc;

    if (ETCD__GRPC_PREFIX + size > sizeof small && (body = etcd__malloc(ETCD__GRPC_PREFIX + size)) == NULL)
        return ETCD_ERR_NO_MEMORY;
    etcd__grpc_prefix_write(body, (uint32_t)size);
    etcd__pb_encode(&etcd__watch_request_type, request, body + ETCD__GRPC_PREFIX, size);
    rc = etcd__channel_send(&stream_of(core)->call, body, ETCD__GRPC_PREFIX + size, false);
    if (body != small)
        etcd__free(body);
    return rc;
}

static bool op_renew(etcd__watch_core *core, int code)
{
    return etcd__channel_renew_token(&stream_of(core)->call, code);
}

static void on_timer(void *arg)
{
    etcd__watch_stream *stream = arg;

    etcd__watch_core_tick(&stream->core, etcd__clock_monotonic());
}

static void op_wake(etcd__watch_core *core, int64_t when)
{
    etcd__watch_stream *stream = stream_of(core);
    etcd__loop *loop = stream->hub->client->io.loop;

    if (when == ETCD__NEVER)
        etcd__loop_timer_stop(loop, &stream->timer);
    else
        etcd__loop_timer_start(loop, &stream->timer, when);
}

/* --- deliveries ------------------------------------------------------------------------------- */

static size_t op_buffered(const etcd__watcher *watcher)
{
    const etcd_watch *watch = (const etcd_watch *)watcher;

    return watch->fn == NULL ? atomic_load(&watch->buffered) + watch->queued : 0;
}

static size_t op_buffered_in_all(const etcd__watch_core *core)
{
    const etcd__watch_hub *hub = ((const etcd__watch_stream *)core)->hub;

    return atomic_load(&hub->buffered) + hub->queued;
}

static void make_ready(etcd_watch *watch)
{
    etcd__watch_hub *hub = watch->hub;

    if (etcd__list_empty(&watch->ready))
        etcd__list_push_back(&hub->ready, &watch->ready);
    etcd__loop_defer(hub->client->io.loop, &hub->dispatch);
}

/* A counter that one thread writes and others read. */
static void add_to(_Atomic int64_t *counter, int64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_release);
}

static int op_deliver(etcd__watcher *watcher, etcd__watch_delivery *delivery)
{
    etcd_watch *watch = watch_of(watcher);

    if (watch->fn == NULL) { /* a turn may read far more than fits */
        watch->queued += delivery->bytes;
        watch->hub->queued += delivery->bytes;
        if (etcd__watch_merge(&watch->queue, delivery))
            return ETCD_OK;
    }
    add_to(&watch->given, 1);
    etcd__list_push_back(&watch->queue, &delivery->node);
    make_ready(watch);
    return ETCD_OK;
}

static void op_moved(etcd__watcher *watcher)
{
    atomic_store(&watch_of(watcher)->moved, watcher->next);
}

static void report_counts(etcd_watch *watch)
{
    atomic_fetch_add_explicit(&watch->hub->responses, watch->unreported_responses, memory_order_relaxed);
    atomic_fetch_add_explicit(&watch->hub->events, watch->unreported_events, memory_order_relaxed);
    watch->unreported_responses = watch->unreported_events = 0;
}

/* What a pulling consumer took is counted in portions: counters that threads share are dear. */
static void report_taken(etcd_watch *watch)
{
    etcd__watch_hub *hub = watch->hub;
    size_t own = atomic_fetch_sub(&watch->buffered, watch->unreported) - watch->unreported;
    size_t total = atomic_fetch_sub(&hub->buffered, watch->unreported) - watch->unreported;

    watch->unreported = 0;
    report_counts(watch);
    if (atomic_load(&watch->watcher.wants_drain) &&
        etcd__watch_drained_enough(own, watch->watcher.buffer_bytes, total, hub->total_bytes))
        (void)etcd__watch_ask(watch, ETCD__WATCH_DO_DRAINED);
}

void etcd__watch_take(etcd_watch *watch, const etcd__watch_delivery *delivery)
{
    const etcd_watch_response *response = &delivery->response;

    if (delivery->next != 0)
        atomic_store_explicit(&watch->taken, delivery->next, memory_order_relaxed);
    add_to(&watch->events, (int64_t)response->n_events);
    add_to(&watch->responses, 1);
    watch->unreported_responses++;
    watch->unreported_events += (int64_t)response->n_events;
    if (watch->fn != NULL) {
        if (etcd__list_empty(&watch->queue))
            report_counts(watch);
        return;
    }
    watch->unreported += delivery->bytes;
    if (!watch->mailbox.more || watch->unreported >= watch->watcher.buffer_bytes / REPORT_PARTS)
        report_taken(watch);
}

int64_t etcd__watch_position(const etcd_watch *watch)
{
    int64_t moved = atomic_load_explicit(&watch->moved, memory_order_acquire); /* first: it counts only when all that was given
                                                                                  before is taken */
    int64_t given = atomic_load_explicit(&watch->given, memory_order_acquire);
    int64_t responses = atomic_load_explicit(&watch->responses, memory_order_acquire); /* before what it stands for */
    int64_t taken = atomic_load_explicit(&watch->taken, memory_order_relaxed);

    return given == responses && moved > taken ? moved : taken;
}

/* What was queued is somewhere else now. */
static void forget_queued(etcd_watch *watch)
{
    watch->hub->queued -= watch->queued;
    watch->queued = 0;
}

/* Drops what waits for the end of the turn. */
static void drop_queue(etcd_watch *watch)
{
    etcd__list *node;

    forget_queued(watch);
    while ((node = etcd__list_pop_front(&watch->queue)) != NULL)
        etcd_response_free(ETCD__CONTAINER_OF(node, etcd__watch_delivery, node));
}

/* Bytes that nobody will take. */
static void forget_bytes(etcd_watch *watch, size_t bytes)
{
    atomic_fetch_sub(&watch->buffered, bytes);
    atomic_fetch_sub(&watch->hub->buffered, bytes);
}

/* The watch is over; its program is told behind what waits for it. */
static void end_watch(etcd_watch *watch, const etcd_error *why)
{
    if (atomic_exchange(&watch->ended, true))
        return;
    atomic_fetch_sub_explicit(&watch->hub->watches, 1, memory_order_relaxed);
    watch->end = why->code;
    watch->why = etcd__malloc(sizeof *why);
    if (watch->why != NULL)
        *watch->why = *why;
    make_ready(watch);
}

static void op_ended(etcd__watcher *watcher, const etcd_error *why)
{
    end_watch(watch_of(watcher), why);
}

static const etcd__watch_ops ops = {
    .open = op_open,
    .close = op_close,
    .send = op_send,
    .renew = op_renew,
    .wake = op_wake,
    .deliver = op_deliver,
    .moved = op_moved,
    .ended = op_ended,
    .buffered = op_buffered,
    .buffered_in_all = op_buffered_in_all,
    .list = etcd__watch_list,
    .unlist = etcd__watch_unlist,
    .probe = etcd__watch_probe,
    .unprobe = etcd__watch_unprobe,
    .vouch = etcd__watch_vouch,
};

/* --- to the program -------------------------------------------------------------------------------- */

static void tell_end(etcd_watch *watch)
{
    etcd_error why;

    watch->told = true;
    if (watch->why != NULL)
        why = *watch->why;
    else
        etcd__error_set(&why, watch->end, "%s", etcd_error_text(watch->end));
    if (watch->fn != NULL)
        watch->fn(watch, NULL, &why, watch->arg);
    else
        (void)etcd__mailbox_end(&watch->mailbox, &why, false);
}

/* One callback; the watch may be gone afterwards. */
static void call_back(etcd_watch *watch)
{
    etcd__list *node = etcd__list_pop_front(&watch->queue);
    etcd__watch_delivery *delivery;

    if (node == NULL) {
        if (watch->end != ETCD_OK && !watch->told)
            tell_end(watch);
        return;
    }
    if (!etcd__list_empty(&watch->queue) || watch->end != ETCD_OK)
        etcd__list_push_back(&watch->hub->ready, &watch->ready);
    delivery = ETCD__CONTAINER_OF(node, etcd__watch_delivery, node);
    etcd__watch_take(watch, delivery);
    watch->fn(watch, &delivery->response, NULL, watch->arg);
}

/* No memory for the mailbox: what follows cannot be given, so that is the end. */
static void fail_pulled(etcd_watch *watch, const etcd__mail *mails, size_t n)
{
    etcd_error why;

    for (size_t i = 0; i < n; i++)
        etcd_response_free(mails[i].response);
    drop_queue(watch);
    etcd__watch_core_remove(&watch->watcher, etcd__clock_monotonic());
    etcd__error_no_memory(&why);
    end_watch(watch, &why);
}

/* All that a turn has brought, with few locks and wake-ups. */
static void fill_mailbox(etcd_watch *watch)
{
    etcd__mail mails[DELIVER_MOST];
    etcd__list *node;
    size_t n, bytes;

    while (!etcd__list_empty(&watch->queue)) {
        bytes = 0;
        for (n = 0; n < DELIVER_MOST && (node = etcd__list_pop_front(&watch->queue)) != NULL; n++) {
            etcd__watch_delivery *delivery = ETCD__CONTAINER_OF(node, etcd__watch_delivery, node);

            mails[n] = (etcd__mail){delivery, delivery->bytes};
            bytes += delivery->bytes;
        }
        atomic_fetch_add(&watch->buffered, bytes); /* before the consumer can take it off again */
        atomic_fetch_add(&watch->hub->buffered, bytes);
        if (etcd__mailbox_put_many(&watch->mailbox, mails, n) < 0) {
            forget_bytes(watch, bytes);
            fail_pulled(watch, mails, n);
        }
    }
    forget_queued(watch);
    if (watch->end != ETCD_OK && !watch->told)
        tell_end(watch);
}

static void call_some(etcd__watch_hub *hub, size_t most)
{
    etcd__list *node;

    etcd__driver_begin_callback(hub->client);
    for (; most > 0 && (node = etcd__list_pop_front(&hub->ready)) != NULL; most--) {
        etcd_watch *watch = ETCD__CONTAINER_OF(node, etcd_watch, ready);

        if (watch->fn != NULL)
            call_back(watch);
        else
            fill_mailbox(watch);
    }
    etcd__driver_end_callback(hub->client);
}

static void dispatch(void *arg)
{
    etcd__watch_hub *hub = arg;
    etcd_client *client = hub->client;

    etcd__list_remove(&hub->dispatch.node);
    etcd__client_ref(client); /* a callback may free it */
    while (!etcd__list_empty(&hub->ready)) {
        call_some(hub, DELIVER_MOST);
        etcd__driver_start_submitted(client); /* what the callbacks started leaves in this turn */
    }
    etcd__client_unref(client);
}

/* --- life ------------------------------------------------------------------------------------- */

static void on_close(etcd__attachment *attachment)
{
    etcd__watch_hub *hub = ETCD__CONTAINER_OF(attachment, etcd__watch_hub, attachment);
    etcd_error why;

    etcd__error_set(&why, ETCD_ERR_CLOSED, "%s", etcd_error_text(ETCD_ERR_CLOSED));
    for (size_t i = 0; i < 2; i++)
        etcd__watch_core_end(&hub->streams[i].core, &why);
    while (!etcd__list_empty(&hub->ready))
        call_some(hub, SIZE_MAX);
    etcd__list_remove(&hub->dispatch.node);
}

static void on_free(etcd__attachment *attachment)
{
    etcd__watch_hub *hub = ETCD__CONTAINER_OF(attachment, etcd__watch_hub, attachment);

    for (size_t i = 0; i < 2; i++) {
        etcd__loop_timer_stop(hub->client->io.loop, &hub->streams[i].timer);
        etcd__list_remove(&hub->streams[i].open.node);
        etcd__watch_core_free(&hub->streams[i].core);
    }
    etcd__list_remove(&hub->dispatch.node);
    etcd__free(hub);
}

static void init_stream(etcd__watch_hub *hub, size_t i)
{
    etcd__watch_stream *stream = &hub->streams[i];
    etcd__random seed;

    etcd__random_init(&seed);
    etcd__watch_core_init(&stream->core, &ops, hub->total_bytes, seed.state);
    stream->core.max_part = hub->client->max_recv;
    stream->hub = hub;
    stream->require_leader = i == 1;
    stream->max_message = FIRST_MAX_MESSAGE;
    etcd__list_init(&stream->open.node);
    stream->open.fn = open_now;
    stream->open.arg = stream;
    stream->timer.fn = on_timer;
    stream->timer.arg = stream;
}

static etcd__watch_hub *make_hub(etcd_client *client)
{
    etcd__watch_hub *hub = etcd__calloc(1, sizeof *hub);

    if (hub == NULL)
        return NULL;
    hub->client = client;
    hub->total_bytes = client->watch_buffer_bytes;
    hub->attachment.kind = &kind;
    hub->attachment.close = on_close;
    hub->attachment.free = on_free;
    etcd__list_init(&hub->ready);
    etcd__list_init(&hub->dispatch.node);
    hub->dispatch.fn = dispatch;
    hub->dispatch.arg = hub;
    for (size_t i = 0; i < 2; i++)
        init_stream(hub, i);
    etcd__client_attach(client, &hub->attachment);
    return hub;
}

etcd__watch_hub *etcd__watch_hub_get(etcd_client *client)
{
    etcd__watch_hub *hub = atomic_load_explicit(&client->watch_hub, memory_order_acquire);
    bool seated;

    if (hub != NULL)
        return hub;
    seated = etcd__driver_enter(client);
    hub = atomic_load_explicit(&client->watch_hub, memory_order_relaxed);
    if (hub == NULL)
        hub = make_hub(client);
    atomic_store_explicit(&client->watch_hub, hub, memory_order_release);
    etcd__driver_leave(client, seated);
    return hub;
}

/* --- what others ask for ---------------------------------------------------------------------- */

static void open_watch(etcd_watch *watch)
{
    etcd__watch_core *core;
    etcd_error why;

    core = &watch->hub->streams[watch->require_leader].core;
    atomic_fetch_add_explicit(&watch->hub->watches, 1, memory_order_relaxed);
    if (core->ended) {
        etcd__error_set(&why, ETCD_ERR_CLOSED, "%s", etcd_error_text(ETCD_ERR_CLOSED));
        end_watch(watch, &why);
    } else if (etcd__watch_core_add(core, &watch->watcher, etcd__clock_monotonic()) < 0) {
        etcd__error_no_memory(&why);
        end_watch(watch, &why);
    }
}

void etcd__watch_leave(etcd_watch *watch)
{
    etcd__watch_core_remove(&watch->watcher, etcd__clock_monotonic());
    drop_queue(watch);
    atomic_fetch_sub(&watch->hub->buffered, atomic_exchange(&watch->buffered, 0)); /* no consumer is at work any more */
    report_counts(watch);
    etcd__list_remove(&watch->ready);
    if (!atomic_exchange(&watch->ended, true))
        atomic_fetch_sub_explicit(&watch->hub->watches, 1, memory_order_relaxed);
}

static void cancel_watch(etcd_watch *watch)
{
    etcd_error why;

    drop_queue(watch);
    etcd__error_set(&why, ETCD_ERR_CANCELED, "%s", etcd_error_text(ETCD_ERR_CANCELED));
    etcd__watch_core_remove(&watch->watcher, etcd__clock_monotonic());
    if (watch->fn == NULL)
        forget_bytes(watch, etcd__mailbox_end(&watch->mailbox, &why, true));
    end_watch(watch, &why);
}

void etcd__watch_do(etcd__job *job)
{
    etcd_watch *watch = ETCD__CONTAINER_OF(job, etcd_watch, job);
    unsigned what = atomic_exchange(&watch->to_do, 0);

    if (what & ETCD__WATCH_DO_OPEN)
        open_watch(watch);
    if (what & ETCD__WATCH_DO_CANCEL)
        cancel_watch(watch);
    if (what & ETCD__WATCH_DO_PROGRESS)
        etcd__watch_core_progress(&watch->watcher, etcd__clock_monotonic());
    if (what & ETCD__WATCH_DO_DRAINED)
        etcd__watch_core_drained(&watch->watcher, etcd__clock_monotonic());
}

bool etcd__watch_ask(etcd_watch *watch, unsigned what)
{
    if (atomic_fetch_or(&watch->to_do, what) != 0)
        return true; /* posted already */
    return etcd__driver_post(watch->client, &watch->job);
}
