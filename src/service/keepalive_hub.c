/* See keepalive_hub.h.
 *
 * The boot clock counts while the machine sleeps, the loop's timers do not. So the timer is never set for longer than
 * LOOK_EVERY, and every wake-up reads the boot clock. */
#include "service/keepalive_hub.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "channel/peer.h"
#include "wire/messages.h"

#define LOOK_EVERY ETCD__SECOND /* at the boot clock */

static const char hub_kind;

static etcd__keepalive_hub *hub_of(etcd__keepalive_core *core)
{
    return ETCD__CONTAINER_OF(core, etcd__keepalive_hub, core);
}

etcd__keepalive_hub *etcd__keepalive_hub_find(etcd_client *client)
{
    etcd__attachment *attachment = etcd__client_attachment(client, &hub_kind);

    return attachment ? ETCD__CONTAINER_OF(attachment, etcd__keepalive_hub, attachment) : NULL;
}

/* --- the stream ------------------------------------------------------------------------------- */

static void arm(etcd__keepalive_hub *h)
{
    int64_t next = etcd__keepalive_core_next(&h->core), wait;

    if (next == ETCD__NEVER) {
        etcd__loop_timer_stop(h->client->io.loop, &h->timer);
        return;
    }
    wait = next - etcd__clock_boot();
    wait = wait < 0 ? 0 : wait > LOOK_EVERY ? LOOK_EVERY : wait;
    etcd__loop_timer_start(h->client->io.loop, &h->timer, etcd__clock_monotonic() + wait);
}

static void work(void *arg)
{
    etcd__keepalive_hub *h = arg;

    if (h->closed)
        return;
    etcd__keepalive_core_run(&h->core, etcd__clock_boot());
    arm(h);
}

void etcd__keepalive_hub_touch(etcd__keepalive_hub *h)
{
    etcd__loop_defer(h->client->io.loop, &h->work);
}

static void on_open(etcd__call *call)
{
    etcd__keepalive_hub *h = ETCD__CONTAINER_OF(call, etcd__keepalive_hub, call);

    etcd__keepalive_core_opened(&h->core, etcd__clock_boot());
    etcd__keepalive_hub_touch(h);
}

static void abandon(etcd__keepalive_hub *h)
{
    h->abandoned = true;
    etcd__channel_cancel(h->client->io.channel, &h->call, ETCD_ERR_UNAVAILABLE);
}

static void on_message(etcd__call *call, uint8_t *data, size_t len)
{
    etcd__keepalive_hub *h = ETCD__CONTAINER_OF(call, etcd__keepalive_hub, call);
    etcd_keepalive_response response;
    etcd_error err;
    int rc = etcd__pb_decode(&etcd__keepalive_response_type, data, len, NULL, &response, &err);

    etcd__free(data);
    if (rc == ETCD_OK) {
        etcd__keepalive_core_answer(&h->core, &response, etcd__clock_boot());
    } else {
        abandon(h);
        etcd__keepalive_core_lost(&h->core, &err, true, etcd__clock_boot());
    }
    etcd__keepalive_hub_touch(h);
}

static void on_done(etcd__call *call)
{
    etcd__keepalive_hub *h = ETCD__CONTAINER_OF(call, etcd__keepalive_hub, call);
    etcd_error why;

    etcd__channel_error(call, &why);
    etcd__free(call->error);
    call->error = NULL;
    if (h->abandoned || etcd__fork_mark_passed(&h->client->made)) /* a child's handles may be freed by now */
        return;
    etcd__keepalive_core_lost(&h->core, &why, call->again, etcd__clock_boot());
    etcd__keepalive_hub_touch(h);
}

static void core_open(etcd__keepalive_core *core)
{
    etcd__keepalive_hub *h = hub_of(core);

    h->abandoned = h->batch_failed = false;
    h->batch_len = 0;
    h->call = (etcd__call){.method = &etcd__rpc_methods[ETCD__RPC_LEASE_KEEP_ALIVE],
                           .deadline = ETCD__NEVER,
                           .streaming = true,
                           .endless = true,
                           .read_only = true,
                           .require_leader = true,
                           .on_open = on_open,
                           .on_message = on_message,
                           .on_done = on_done};
    etcd__channel_start(h->client->io.channel, &h->call);
}

static void core_give_up(etcd__keepalive_core *core)
{
    etcd__keepalive_hub *h = hub_of(core);

    if (h->call.served_by != NULL)
        etcd__peer_avoid(h->call.served_by); /* another may serve */
    if (h->call.served_by != NULL && core->unanswered != 0)
        etcd__channel_doubt(&h->call, etcd__clock_monotonic() - (etcd__clock_boot() - core->unanswered));
    abandon(h);
}

static void send_batch(etcd__keepalive_hub *h)
{
    if (!h->batch_failed)
        h->batch_failed = etcd__channel_send(&h->call, h->batch, h->batch_len, false) != ETCD_OK;
    h->batch_len = 0;
}

/* What many leases send in one turn leaves with one write: that is the connection's work. */
static void core_request(etcd__keepalive_core *core, int64_t id)
{
    const etcd__lease_keep_alive_request request = {.id = id};
    size_t size = etcd__pb_encoded_size(&etcd__lease_keep_alive_request_type, &request);
    etcd__keepalive_hub *h = hub_of(core);

    if (sizeof h->batch - h->batch_len < ETCD__GRPC_PREFIX + size)
        send_batch(h);
    etcd__grpc_prefix_write(h->batch + h->batch_len, (uint32_t)size);
    etcd__pb_encode(&etcd__lease_keep_alive_request_type, &request, h->batch + h->batch_len + ETCD__GRPC_PREFIX, size);
    h->batch_len += ETCD__GRPC_PREFIX + size;
}

static bool core_flush(etcd__keepalive_core *core)
{
    etcd__keepalive_hub *h = hub_of(core);
    bool taken;

    send_batch(h);
    taken = !h->batch_failed;
    h->batch_failed = false;
    return taken;
}

static void core_release(etcd__keepalive_lease *lease)
{
    etcd__free(lease);
}

static void core_answer(etcd__keepalive_core *core, etcd__keepalive_user *user, const etcd_keepalive_response *answer)
{
    if (user->once)
        etcd__keepalive_once_answer(hub_of(core), user, answer);
    else
        etcd__keepalive_handle_answer(user, answer);
}

static void core_end(etcd__keepalive_core *core, etcd__keepalive_user *user, const etcd_error *why)
{
    if (user->once)
        etcd__keepalive_once_end(hub_of(core), user, why);
    else
        etcd__keepalive_handle_end(user, why);
}

static const etcd__keepalive_events core_events = {
    .open = core_open,
    .give_up = core_give_up,
    .request = core_request,
    .flush = core_flush,
    .held = etcd__keepalive_handle_held,
    .answer = core_answer,
    .end = core_end,
    .release = core_release,
};

/* --- the hub ---------------------------------------------------------------------------------- */

static void hub_close(etcd__attachment *attachment)
{
    etcd__keepalive_hub *h = ETCD__CONTAINER_OF(attachment, etcd__keepalive_hub, attachment);
    bool has_stream = h->core.stream != ETCD__KEEPALIVE_NO_STREAM;
    etcd_error why;

    etcd__error_set(&why, ETCD_ERR_CLOSED, "%s", etcd_error_text(ETCD_ERR_CLOSED));
    h->closed = true;
    etcd__keepalive_once_close(h);
    etcd__keepalive_core_close(&h->core, &why);
    if (has_stream)
        abandon(h);
    etcd__loop_timer_stop(h->client->io.loop, &h->timer);
    etcd__list_remove(&h->work.node);
    do
        etcd__keepalive_handles_tell(h);
    while (!etcd__list_empty(&h->ready));
    etcd__list_remove(&h->dispatch.node);
}

static void hub_free(etcd__attachment *attachment)
{
    etcd__keepalive_hub *h = ETCD__CONTAINER_OF(attachment, etcd__keepalive_hub, attachment);

    etcd__keepalive_once_forget(h);
    etcd__keepalive_core_free(&h->core);
    etcd__free(h->call.error);
    etcd__free(h);
}

static void tell_handles(void *arg)
{
    etcd__keepalive_handles_tell(arg);
}

etcd__keepalive_hub *etcd__keepalive_hub_make(etcd_client *client)
{
    etcd__keepalive_hub *h = etcd__calloc(1, sizeof *h);
    etcd__random random;

    if (h == NULL)
        return NULL;
    etcd__random_init(&random);
    h->client = client;
    h->attachment = (etcd__attachment){.kind = &hub_kind, .close = hub_close, .free = hub_free};
    etcd__list_init(&h->attachment.node);
    etcd__keepalive_core_init(&h->core, &core_events, etcd__random_next(&random));
    etcd__list_init(&h->work.node);
    h->work.fn = work;
    h->work.arg = h;
    h->timer.fn = work;
    h->timer.arg = h;
    etcd__list_init(&h->calls);
    etcd__list_init(&h->ready);
    etcd__list_init(&h->dispatch.node);
    h->dispatch.fn = tell_handles;
    h->dispatch.arg = h;
    etcd__client_attach(client, &h->attachment);
    return h;
}
