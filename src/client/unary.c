/* The life of a user's call, from the arguments to the response. See unary.h and client.h.
 *
 * The caller's thread encodes before the submit and, in the blocking form, decodes after the end: the driver moves
 * bytes. */
#include "client/unary.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/options.h"
#include "client/client.h"
#include "wire/response.h"

#include <string.h>

static const char *last_endpoint(const etcd__call *call)
{
    if (call->served_by != NULL)
        return call->served_by->endpoint.text;
    return call->error ? call->error->endpoint : "";
}

/* From the submit to the turn that brought the end. */
static int64_t duration_of(const etcd__user_call *call)
{
    int64_t duration = etcd__loop_now(call->client->io.loop) - call->started;

    return duration > 0 ? duration : 0;
}

static void tell_hook(const etcd__user_call *call, int32_t event, int code)
{
    const etcd_call_info info = {
        .id = call->id,
        .event = event,
        .method = call->call.method->path,
        .endpoint = last_endpoint(&call->call),
        .traceparent = call->call.traceparent,
        .attempts = call->call.attempts,
        .code = code,
        .request_bytes = (int64_t)(call->call.body_len - ETCD__GRPC_PREFIX),
        .response_bytes = (int64_t)call->call.response_len,
        .duration_ns = duration_of(call),
    };

    call->client->call_fn(&info, call->client->call_arg);
}

static void on_attempt(etcd__call *channel_call, int code)
{
    tell_hook(ETCD__CONTAINER_OF(channel_call, etcd__user_call, call), ETCD_CALL_EVENT_ATTEMPT_FAILED, code);
}

/* A response that turns out to be malformed is noticed when the peer may be gone already. */
static void remember_endpoint(etcd__user_call *call)
{
    const char *text = last_endpoint(&call->call);
    size_t len = strnlen(text, sizeof call->endpoint - 1);

    memcpy(call->endpoint, text, len);
    call->endpoint[len] = '\0';
}

static bool goes_on(etcd__user_call *call);

static void on_done(etcd__call *channel_call)
{
    etcd__user_call *call = ETCD__CONTAINER_OF(channel_call, etcd__user_call, call);
    etcd_client *client = call->client;

    remember_endpoint(call);
    if (goes_on(call))
        return;
    call->has_ended = true;
    if (call->unary->done != NULL)
        call->unary->done(call);
    etcd__metrics_count(&client->io.metrics, channel_call, duration_of(call));
    if (client->call_fn != NULL)
        tell_hook(call, ETCD_CALL_EVENT_END, channel_call->code);
    etcd__list_push_back(&client->io.ended, &call->node);
    etcd__loop_defer(client->io.loop, &client->io.dispatch);
}

void etcd__user_call_start(etcd__user_call *call)
{
    if (call->client->call_fn != NULL)
        tell_hook(call, ETCD_CALL_EVENT_START, ETCD_OK);
    if (call->unary->start != NULL)
        call->unary->start(call);
    else
        etcd__channel_start(call->client->io.channel, &call->call);
}

void etcd__user_call_cancel(etcd__user_call *call)
{
    if (call->unary->cancel != NULL)
        call->unary->cancel(call, ETCD_ERR_CANCELED);
    else
        etcd__channel_cancel(call->client->io.channel, &call->call, ETCD_ERR_CANCELED);
}

void etcd__user_call_free(etcd__user_call *call)
{
    if (call->form == ETCD__FORM_BLOCKING)
        uv_sem_destroy(&call->ended);
    etcd__completion_unreserve(call->completion);
    if (call->secret)
        etcd__wipe(call->request, call->call.body_len);
    etcd__free(call->call.error);
    etcd__free(call->call.response);
    etcd__free(call->next_request);
    etcd_response_free(call->result);
    etcd__free(call);
}

/* --- before ----------------------------------------------------------------------------------- */

static int check_size(const etcd_client *client, size_t size, etcd_error *err)
{
    if (size <= client->max_send)
        return ETCD_OK;
    return etcd__error_set(err, ETCD_ERR_TOO_LARGE, "trying to send message larger than max (%zu vs. %zu)", size,
                           client->max_send);
}

static int64_t timeout_of(const etcd_client *client, const etcd_call_options *options)
{
    return options->timeout_ms ? etcd__clock_from_ms(options->timeout_ms) : client->request_timeout;
}

/* Whether the member that gets the request answers alone, without asking the leader. */
static bool served_by_any(etcd__rpc rpc, const void *request)
{
    switch (rpc) {
    case ETCD__RPC_KV_RANGE:
        return ((const etcd__range_request *)request)->serializable;
    case ETCD__RPC_MEMBER_LIST:
        return !((const etcd__member_list_request *)request)->linearizable;
    case ETCD__RPC_STATUS:
    case ETCD__RPC_HASH:
    case ETCD__RPC_HASH_KV:
    case ETCD__RPC_DEFRAGMENT:
    case ETCD__RPC_HEALTH_CHECK:
        return true;
    default:
        return false;
    }
}

static void on_switch(etcd__cancel_link *link)
{
    const etcd__user_call *call = ETCD__CONTAINER_OF(link, etcd__user_call, link);

    (void)etcd_call_cancel(call->client, call->id);
}

/* Makes the call with its encoded request in one block. */
static int prepare(etcd_client *client, const etcd__unary *unary, const void *request, const etcd_call_options *options,
                   etcd__form form, etcd__user_call **out, etcd_error *err)
{
    const etcd__rpc_method *method = &etcd__rpc_methods[unary->rpc];
    size_t size = etcd__pb_encoded_size(method->request, request);
    size_t endpoint_size = options->endpoint ? strlen(options->endpoint) + 1 : 0;
    size_t trace_size = options->traceparent ? strlen(options->traceparent) + 1 : 0;
    etcd__user_call *call;
    int rc = check_size(client, size, err);

    if (rc < 0)
        return rc;
    call = etcd__malloc(sizeof *call + ETCD__GRPC_PREFIX + size + endpoint_size + trace_size);
    if (call == NULL)
        return etcd__error_no_memory(err);
    memset(call, 0, sizeof *call);
    if (form == ETCD__FORM_BLOCKING && uv_sem_init(&call->ended, 0) != 0) {
        etcd__free(call);
        return etcd__error_no_memory(err);
    }
    etcd__grpc_prefix_write(call->request, (uint32_t)size);
    etcd__pb_encode(method->request, request, call->request + ETCD__GRPC_PREFIX, size);
    call->client = client;
    call->unary = unary;
    call->secret = unary->secret;
    call->form = form;
    etcd__list_init(&call->node);
    etcd__list_init(&call->cancel_node);
    call->link.fn = on_switch;
    call->call.method = method;
    call->call.read_only = method->read_only || unary->read_only;
    call->call.body = call->request;
    call->call.body_len = ETCD__GRPC_PREFIX + size;
    call->started = etcd__clock_monotonic();
    call->call.deadline = etcd__clock_after(call->started, timeout_of(client, options));
    if (options->delay_ms > 0)
        call->call.retry_at = etcd__clock_after(call->started, etcd__clock_from_ms(options->delay_ms));
    call->call.serializable = served_by_any(unary->rpc, request);
    call->call.require_leader = options->require_leader || client->require_leader;
    call->call.no_retry = options->no_retry;
    if (trace_size > 0)
        call->call.traceparent =
            memcpy(call->request + ETCD__GRPC_PREFIX + size + endpoint_size, options->traceparent, trace_size);
    if (endpoint_size > 0)
        call->call.endpoint = memcpy(call->request + ETCD__GRPC_PREFIX + size, options->endpoint, endpoint_size);
    call->call.on_attempt = client->call_fn ? on_attempt : NULL;
    call->call.on_done = on_done;
    *out = call;
    return ETCD_OK;
}

/* Lock held. */
static int check_open(const etcd_client *client, etcd_error *err)
{
    if (atomic_load_explicit(&client->closed, memory_order_relaxed))
        return etcd__error_set(err, ETCD_ERR_CLOSED, "%s", etcd_error_text(ETCD_ERR_CLOSED));
    return ETCD_OK;
}

/* Gives the call its number and counts it. Lock held. */
static int enroll(etcd__user_call *call, etcd_error *err)
{
    etcd_client *client = call->client;
    int rc = check_open(client, err);

    if (rc < 0)
        return rc;
    if (etcd__calls_add(client, call) < 0)
        return etcd__error_no_memory(err);
    if (call->form == ETCD__FORM_BLOCKING && client->shared.live == 0 && !client->shared.attended)
        client->shared.lone_streak++;
    else
        client->shared.lone_streak = 0;
    client->shared.live++;
    return ETCD_OK;
}

/* Lock held. */
static void withdraw(etcd__user_call *call)
{
    etcd__calls_remove(call->client, call);
    call->client->shared.live--;
}

/* Submits the call. On success the lock is held: the caller decides who drives. */
static int submit(etcd__user_call *call, etcd_cancel *cancel, etcd_error *err)
{
    etcd_client *client = call->client;
    int rc;

    uv_mutex_lock(&client->shared.lock);
    rc = enroll(call, err);
    if (rc == ETCD_OK && cancel != NULL) {
        uv_mutex_unlock(&client->shared.lock); /* the switch's lock comes first */
        if (!etcd__cancel_attach(cancel, &call->link))
            rc = etcd__error_set(err, ETCD_ERR_CANCELED, "%s", etcd_error_text(ETCD_ERR_CANCELED));
        uv_mutex_lock(&client->shared.lock);
        if (rc == ETCD_OK)
            rc = check_open(client, err); /* it may have been closed meanwhile: nobody would start the call */
        if (rc < 0)
            withdraw(call);
    }
    if (rc < 0) {
        uv_mutex_unlock(&client->shared.lock);
        etcd__cancel_detach(&call->link);
        return rc;
    }
    call->submitted = true;
    etcd__list_push_back(&client->shared.submitted, &call->node);
    if (call->cancel_requested)
        etcd__list_push_back(&client->shared.to_cancel, &call->cancel_node);
    return ETCD_OK;
}

/* --- after ------------------------------------------------------------------------------------ */

/* Decodes the response of a call that succeeded. */
static int decode(etcd__user_call *call, void **out, etcd_error *err)
{
    uint8_t *body = call->call.response;
    void *wrapped;
    int rc;

    call->call.response = NULL; /* the decoder owns it now */
    rc = etcd__response_decode(call->call.method->response, body, call->call.response_len, out, err);
    if (rc == ETCD_OK && call->unary->wrap != NULL) {
        wrapped = call->unary->wrap(*out);
        if (wrapped == NULL) {
            etcd_response_free(*out);
            rc = etcd__error_no_memory(err);
        }
        *out = wrapped;
    }
    if (rc < 0 && err != NULL) {
        memcpy(err->endpoint, call->endpoint, sizeof err->endpoint);
        if (!call->call.read_only)
            err->flags |= ETCD_ERROR_MAYBE_APPLIED;
    }
    return rc;
}

static int error_of(const etcd__user_call *call, etcd_error *err)
{
    if (err != NULL) {
        etcd__channel_error(&call->call, err);
        if (call->went_on)
            err->flags |= ETCD_ERROR_MAYBE_APPLIED; /* in part */
    }
    return call->call.code;
}

/* The result of a call for its user: a response or an error. */
static int result_of(etcd__user_call *call, void **response, etcd_error *err)
{
    *response = NULL;
    if (call->call.code != ETCD_OK)
        return error_of(call, err);
    if (call->unary->next == NULL) {
        int rc = decode(call, response, err);

        return rc == ETCD_OK && call->unary->apply != NULL ? call->unary->apply(call->client, response, err) : rc;
    }
    *response = call->result;
    call->result = NULL;
    return ETCD_OK;
}

/* Makes `request` the one that is sent next. */
static int encode_next(etcd__user_call *call, const void *request, etcd_error *err)
{
    const etcd__pb_message *type = call->call.method->request;
    size_t size = etcd__pb_encoded_size(type, request);
    uint8_t *body = etcd__malloc(ETCD__GRPC_PREFIX + size);

    if (body == NULL)
        return etcd__error_no_memory(err);
    etcd__grpc_prefix_write(body, (uint32_t)size);
    etcd__pb_encode(type, request, body + ETCD__GRPC_PREFIX, size);
    etcd__free(call->next_request);
    call->next_request = body;
    call->call.body = body;
    call->call.body_len = ETCD__GRPC_PREFIX + size;
    return ETCD_OK;
}

/* Ends a call though its last round trip succeeded. */
static void fail(etcd__user_call *call, const etcd_error *err)
{
    call->call.code = err->code;
    call->call.error = etcd__malloc(sizeof *err);
    if (call->call.error != NULL)
        *call->call.error = *err;
}

/* Starts the next round trip of a call that has several. Returns false when there is none. */
static bool goes_on(etcd__user_call *call)
{
    const void *request = NULL;
    void *response;
    etcd_error err;
    int rc;

    if (call->unary->next == NULL || call->call.code != ETCD_OK)
        return false;
    rc = decode(call, &response, &err);
    if (rc == ETCD_OK)
        rc = call->unary->next(&call->result, response, &request, &err);
    if (rc == ETCD_OK && request != NULL)
        rc = encode_next(call, request, &err);
    if (rc < 0)
        fail(call, &err);
    if (rc < 0 || request == NULL)
        return false;
    call->went_on = true;
    call->call.read_only = call->call.method->read_only;
    etcd__channel_start(call->client->io.channel, &call->call);
    return true;
}

void etcd__user_call_deliver(etcd__user_call *call)
{
    etcd_error err;
    void *response;
    int rc;

    etcd__cancel_detach(&call->link);
    if (call->form == ETCD__FORM_BLOCKING) {
        call->delivered = true;
        uv_sem_post(&call->ended); /* its caller may free it from here on */
        return;
    }
    rc = result_of(call, &response, &err);
    if (call->form == ETCD__FORM_CALLBACK) {
        call->unary->deliver(call->client, response, rc < 0 ? &err : NULL, call->done, call->arg);
    } else {
        etcd__completion_push(call->completion, call, response, rc < 0 ? &err : NULL);
        call->completion = NULL;
    }
    etcd__user_call_free(call);
}

/* --- the forms of a call ---------------------------------------------------------------------- */

int etcd__unary_call(etcd_client *client, const etcd__unary *unary, const void *request, const etcd_call_options *options,
                     void **out, etcd_error *err)
{
    etcd_call_options call_options;
    etcd__user_call *call;
    void *response = NULL;
    int rc = etcd__client_check_blocking(client, err);

    if (out != NULL)
        *out = NULL;
    if (rc == ETCD_OK)
        rc = etcd__options_load(&call_options, sizeof call_options, options, "etcd_call_options", err);
    if (rc == ETCD_OK)
        rc = prepare(client, unary, request, &call_options, ETCD__FORM_BLOCKING, &call, err);
    if (rc < 0)
        return rc;
    rc = submit(call, call_options.cancel, err);
    if (rc == ETCD_OK) {
        etcd__client_ref(client); /* a callback may free the client while we drive it */
        etcd__driver_run(call);
        rc = out == NULL && call->call.code == ETCD_OK ? ETCD_OK : result_of(call, &response, err);
        etcd__client_unref(client);
    }
    if (out != NULL)
        *out = response;
    if (rc == ETCD_OK)
        etcd__error_clear(err);
    etcd__user_call_free(call);
    return rc;
}

int etcd__unary_start(etcd_client *client, const etcd__unary *unary, const void *request, const etcd_call_options *options,
                      etcd__any_fn done, void *arg, etcd_call_id *id, etcd_error *err)
{
    etcd__form form = done ? ETCD__FORM_CALLBACK : ETCD__FORM_QUEUE;
    etcd_call_options call_options;
    etcd__user_call *call = NULL;
    bool wake;
    int rc = etcd__client_check(client, err);

    if (id != NULL)
        *id = 0;
    if (rc == ETCD_OK)
        rc = etcd__options_load(&call_options, sizeof call_options, options, "etcd_call_options", err);
    if (rc == ETCD_OK)
        rc = prepare(client, unary, request, &call_options, form, &call, err);
    if (rc < 0)
        return rc;
    call->done = done;
    call->arg = arg;
    if (form == ETCD__FORM_QUEUE && (call->completion = etcd__completion_reserve()) == NULL)
        rc = etcd__error_no_memory(err);
    if (rc == ETCD_OK)
        rc = submit(call, call_options.cancel, err);
    if (rc < 0) {
        etcd__user_call_free(call);
        return rc;
    }
    if (id != NULL)
        *id = call->id;
    etcd__error_clear(err);
    wake = etcd__driver_notify(client);
    if (wake)
        etcd__client_ref(client);
    uv_mutex_unlock(&client->shared.lock);
    /* From here on the callback may run, and free the client and whatever `id` and `err` are part of. */
    if (wake) {
        etcd__loop_wake(client->io.loop);
        etcd__client_unref(client);
    }
    return ETCD_OK;
}
