/* Renewing a lease once: a call like any other to its user, but what it sends goes over the shared stream of keep-alives. See
 * <etcd3/keepalive.h>; the contract, section 1.10.
 *
 * The stream is asked again after it broke, so the call needs no retries. A call that names its endpoint, or has a trace to
 * pass on, cannot share a stream, and has one of its own from the channel. */
#include <etcd3/keepalive.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "service/keepalive_hub.h"
#include "service/sink.h"
#include "wire/messages.h"

#include <stdio.h>
#include <string.h>

/* A call on the shared stream. Its timer is that of its etcd__call: the delay's end, then the deadline. */
typedef struct once {
    etcd__keepalive_user user;
    etcd__keepalive_hub *hub;
    etcd__user_call *call;
    etcd__keepalive_lease *room; /* until it has joined */
    etcd__list node;             /* in the hub's calls */
} once;

static once *once_of(etcd__keepalive_user *user)
{
    return ETCD__CONTAINER_OF(user, once, user);
}

static void end_call(etcd__user_call *call, const etcd_error *why)
{
    call->call.code = why->code;
    call->call.flags = why->flags;
    call->call.error = etcd__malloc(sizeof *why);
    if (call->call.error != NULL)
        *call->call.error = *why;
    call->call.on_done(&call->call);
}

/* What the call had here; it is in no lease any more. */
static etcd__user_call *drop(once *o)
{
    etcd__user_call *call = o->call;

    etcd__loop_timer_stop(call->client->io.loop, &call->call.timer);
    etcd__list_remove(&o->node);
    etcd__free(o->room);
    etcd__free(o);
    return call;
}

void etcd__keepalive_once_end(etcd__keepalive_hub *hub, etcd__keepalive_user *user, const etcd_error *why)
{
    (void)hub;
    end_call(drop(once_of(user)), why);
}

void etcd__keepalive_once_answer(etcd__keepalive_hub *hub, etcd__keepalive_user *user, const etcd_keepalive_response *answer)
{
    etcd__user_call *call = drop(once_of(user));
    size_t size = etcd__pb_encoded_size(&etcd__keepalive_response_type, answer);
    uint8_t *message = etcd__malloc(size + 1);
    etcd_error err;

    if (message == NULL) {
        etcd__error_no_memory(&err);
        end_call(call, &err);
        return;
    }
    etcd__pb_encode(&etcd__keepalive_response_type, answer, message, size);
    call->call.response = message;
    call->call.response_len = size;
    call->call.served_by = hub->call.served_by;
    call->call.on_done(&call->call);
}

/* What the call waits for, for people. */
static void describe(const once *o, char *text, size_t size)
{
    const etcd__keepalive_hub *hub = o->hub;

    if (o->room != NULL)
        (void)snprintf(text, size, "the delay of the call was not over");
    else if (hub->core.stream != ETCD__KEEPALIVE_NO_STREAM)
        etcd__channel_describe_wait(&hub->call, text, size);
    else
        (void)snprintf(text, size, "the last stream: %.300s", hub->core.last_error.message);
}

static void end_locally(once *o, int code)
{
    char wait[ETCD_ERROR_MESSAGE_MAX - 64];
    etcd_error why;

    describe(o, wait, sizeof wait);
    etcd__error_set(&why, code, "%s (%s)", etcd_error_text(code), wait);
    if (code == ETCD_ERR_DEADLINE_EXCEEDED)
        why.flags = ETCD_ERROR_RETRYABLE;
    if (o->hub->core.stream == ETCD__KEEPALIVE_OPEN)
        (void)snprintf(why.endpoint, sizeof why.endpoint, "%s", o->hub->call.connection->endpoint->text);
    etcd__keepalive_core_leave(&o->hub->core, &o->user);
    end_call(drop(o), &why);
}

static void arm(once *o)
{
    etcd__call *call = &o->call->call;
    int64_t when = call->retry_at != 0 && call->retry_at < call->deadline ? call->retry_at : call->deadline;

    if (when != ETCD__NEVER)
        etcd__loop_timer_start(o->call->client->io.loop, &call->timer, when);
}

static int64_t lease_of(const etcd__user_call *call)
{
    etcd__lease_keep_alive_request request = {0};
    uint8_t copy[32];
    size_t len = call->call.body_len - ETCD__GRPC_PREFIX;

    memcpy(copy, call->call.body + ETCD__GRPC_PREFIX, len < sizeof copy ? len : sizeof copy - 1);
    (void)etcd__pb_decode(&etcd__lease_keep_alive_request_type, copy, len, NULL, &request, NULL);
    return request.id;
}

static void join(once *o)
{
    etcd__keepalive_lease *room = o->room;

    o->room = NULL;
    o->call->call.attempts++;
    etcd__keepalive_core_join(&o->hub->core, &o->user, lease_of(o->call), room, ETCD__NEVER, etcd__clock_boot());
    etcd__keepalive_hub_touch(o->hub);
}

static void on_timer(void *arg)
{
    once *o = arg;
    etcd__call *call = &o->call->call;

    if (call->retry_at == 0 || call->deadline <= call->retry_at) {
        end_locally(o, ETCD_ERR_DEADLINE_EXCEEDED);
        return;
    }
    call->retry_at = 0;
    arm(o);
    join(o);
}

static once *make_once(etcd__user_call *call)
{
    etcd__keepalive_hub *hub = etcd__keepalive_hub_find(call->client);
    once *o = etcd__calloc(1, sizeof *o);
    etcd__keepalive_lease *room = etcd__malloc(sizeof *room);

    if (hub == NULL)
        hub = etcd__keepalive_hub_make(call->client);
    if (hub == NULL || o == NULL || room == NULL) {
        etcd__free(o);
        etcd__free(room);
        return NULL;
    }
    o->user.once = true;
    o->hub = hub;
    o->call = call;
    o->room = room;
    call->call.timer.fn = on_timer;
    call->call.timer.arg = o;
    etcd__list_push_back(&hub->calls, &o->node);
    return o;
}

static void start_once(etcd__user_call *call)
{
    etcd_error why;
    once *o;

    if (call->call.endpoint != NULL || call->call.traceparent != NULL) {
        etcd__channel_start(call->client->io.channel, &call->call);
        return;
    }
    o = make_once(call);
    if (o == NULL) {
        etcd__error_no_memory(&why);
        end_call(call, &why);
        return;
    }
    if (o->hub->closed) {
        end_locally(o, ETCD_ERR_CLOSED);
        return;
    }
    arm(o);
    if (call->call.retry_at == 0)
        join(o);
}

static void cancel_once(etcd__user_call *call, int code)
{
    if (call->call.timer.fn == on_timer)
        end_locally(call->call.timer.arg, code);
    else
        etcd__channel_cancel(call->client->io.channel, &call->call, code);
}

void etcd__keepalive_once_close(etcd__keepalive_hub *hub)
{
    while (!etcd__list_empty(&hub->calls))
        end_locally(ETCD__CONTAINER_OF(hub->calls.next, once, node), ETCD_ERR_CLOSED);
}

void etcd__keepalive_once_forget(etcd__keepalive_hub *hub)
{
    etcd__list *node;

    while ((node = etcd__list_pop_front(&hub->calls)) != NULL) {
        once *o = ETCD__CONTAINER_OF(node, once, node);

        etcd__free(o->room);
        etcd__free(o);
    }
}

/* A lease that is not there is an answer, too. */
static int judge(void **result, void *response, const void **request, etcd_error *err)
{
    etcd_keepalive_response *answer = response;

    *request = NULL;
    if (answer->ttl_s <= 0) {
        etcd_response_free(answer);
        return etcd__error_set(err, ETCD_ERR_LEASE_NOT_FOUND, "%s", etcd_error_text(ETCD_ERR_LEASE_NOT_FOUND));
    }
    *result = answer;
    return ETCD_OK;
}

ETCD__DELIVER(keepalive_once)

static const etcd__unary unary_keepalive_once = {
    .rpc = ETCD__RPC_LEASE_KEEP_ALIVE,
    .read_only = true, /* again does no harm */
    .call_type = ETCD_CALL_KEEPALIVE_ONCE,
    .deliver = deliver_keepalive_once,
    .next = judge,
    .start = start_once,
    .cancel = cancel_once,
};

static int keepalive_once(etcd_client *client, int64_t lease, const etcd_call_options *call, etcd__sink sink, etcd_error *err)
{
    const etcd__lease_keep_alive_request request = {.id = lease};

    return etcd__sink_call(client, &unary_keepalive_once, &request, call, sink, err);
}

int etcd_keepalive_once(etcd_client *client, int64_t lease, const etcd_call_options *call, etcd_keepalive_response **out,
                        etcd_error *err)
{
    return keepalive_once(client, lease, call, etcd__sink_out(out), err);
}

int etcd_keepalive_once_async(etcd_client *client, int64_t lease, const etcd_call_options *call, etcd_keepalive_once_fn done,
                              void *arg, etcd_call_id *id, etcd_error *err)
{
    return keepalive_once(client, lease, call, ETCD__SINK_DONE(done, arg, id), err);
}
