/* See channel.h.
 *
 * A started call is in one of three places: in `waiting` (wants a peer), in `active` without a connection (waits between attempts, its
 * timer says until when), or in `active` with a connection (an attempt is under way). Attempts are started by pump() only, which
 * never runs inside a callback of a session. */
#include "channel/channel.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "channel/outcome.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define RETRY_JITTER 0.10
#define API_VERSION "3.7"

struct etcd__channel {
    etcd__channel_config config;
    etcd__loop *loop;
    etcd__peer *peers;
    size_t n_peers;
    size_t next_peer; /* round robin */
    etcd__list waiting;
    etcd__list active;
    etcd__task pump;
    etcd__random random;
    bool closed;
};

/* --- the end of a call --------------------------------------------------------------------------------------------- */

static void finish(etcd__call *call, int code)
{
    etcd__loop_timer_stop(call->channel->loop, &call->timer);
    etcd__list_remove(&call->node);
    call->connection = NULL;
    call->code = code;
    if (code == ETCD_OK) {
        etcd__free(call->error);
        call->error = NULL;
    }
    call->on_done(call);
}

/* The record for this call's error, NULL when out of memory. */
static etcd_error *error_of(etcd__call *call)
{
    if (call->error == NULL)
        call->error = etcd__calloc(1, sizeof *call->error);
    return call->error;
}

static void set_endpoint(etcd_error *err, const char *text)
{
    (void)snprintf(err->endpoint, sizeof err->endpoint, "%s", text);
}

/* Which of the peers says best why there is no connection: the first with an error. */
static const etcd__peer *failed_peer(const etcd__channel *channel)
{
    for (size_t i = 0; i < channel->n_peers; i++)
        if (channel->peers[i].last_error.code != ETCD_OK)
            return &channel->peers[i];
    return NULL;
}

/* What the transport was doing for this call, for people: the contract, section 6.8. */
static void describe_wait(const etcd__call *call, char *text, size_t size)
{
    const etcd__channel *channel = call->channel;
    const etcd__peer *failed = failed_peer(channel);

    if (call->connection != NULL)
        (void)snprintf(text, size, "waiting for the answer of %s", call->connection->endpoint->text);
    else if (call->error != NULL && call->error->message[0] != '\0')
        (void)snprintf(text, size, "after %d attempts, the last at %s: %s", (int)call->attempts, call->error->endpoint,
                       call->error->message);
    else if (failed != NULL)
        (void)snprintf(text, size, "last connection error: %s: %s", failed->endpoint.text, failed->last_error.message);
    else if (channel->peers[0].connection != NULL && channel->peers[0].connection->state == ETCD__CONNECTION_READY)
        (void)snprintf(text, size, "%s allows no more concurrent streams", channel->peers[0].endpoint.text);
    else
        (void)snprintf(text, size, "still connecting to %s", channel->peers[0].endpoint.text);
}

/* Whether the server may have seen the attempt under way. Bytes still queued in the session are dropped with the stream. */
static bool may_have_arrived(const etcd__call *call)
{
    return call->connection != NULL && call->grpc.stream.proof_offset != UINT64_MAX;
}

/* Ends the call for a reason of our own: deadline, cancel, close. */
static void end_locally(etcd__call *call, int code)
{
    char wait[ETCD_ERROR_MESSAGE_MAX - 64];
    uint32_t flags = code == ETCD_ERR_DEADLINE_EXCEEDED ? ETCD_ERROR_RETRYABLE : 0;
    etcd_error *err;

    describe_wait(call, wait, sizeof wait);
    if (!call->read_only && may_have_arrived(call))
        flags |= ETCD_ERROR_MAYBE_APPLIED;
    err = error_of(call);
    if (err != NULL) {
        char endpoint[ETCD_ERROR_ENDPOINT_MAX];

        memcpy(endpoint, err->endpoint, sizeof endpoint);
        etcd__error_set(err, code, "%s (%s)", etcd_error_text(code), wait);
        err->flags = flags;
        set_endpoint(err, call->connection ? call->connection->endpoint->text : endpoint);
    }
    if (call->connection != NULL) {
        etcd__connection *connection = call->connection;

        etcd__grpc_call_cancel(&call->grpc);
        etcd__connection_touch(connection);
    }
    finish(call, code);
}

/* --- attempts ------------------------------------------------------------------------------------------------------ */

static void arm_timer(etcd__call *call)
{
    int64_t when = call->retry_at != 0 && call->retry_at < call->deadline ? call->retry_at : call->deadline;

    if (when == ETCD__NEVER)
        etcd__loop_timer_stop(call->channel->loop, &call->timer);
    else
        etcd__loop_timer_start(call->channel->loop, &call->timer, when);
}

static void queue_attempt(etcd__call *call)
{
    etcd__channel *channel = call->channel;

    etcd__list_remove(&call->node);
    etcd__list_push_back(&channel->waiting, &call->node);
    etcd__loop_defer(channel->loop, &channel->pump);
}

/* The next attempt: at once, but after a full round over a quorum of the peers with a short wait (as the Go client does). */
static void attempt_again(etcd__call *call)
{
    etcd__channel *channel = call->channel;
    int32_t quorum = (int32_t)(channel->n_peers / 2 + 1);

    call->connection = NULL;
    if (call->attempts % quorum != 0) {
        queue_attempt(call);
        return;
    }
    call->retry_at = etcd__clock_after(etcd__clock_monotonic(),
                                       etcd__random_jitter(&channel->random, channel->config.retry_wait, RETRY_JITTER));
    arm_timer(call);
}

static void on_timer(void *arg)
{
    etcd__call *call = arg;

    if (call->retry_at == 0 || call->deadline <= call->retry_at) {
        end_locally(call, ETCD_ERR_DEADLINE_EXCEEDED);
        return;
    }
    call->retry_at = 0;
    arm_timer(call);
    queue_attempt(call);
}

static bool may_go_on(const etcd__call *call, etcd__verdict verdict)
{
    const etcd__channel *channel = call->channel;

    if (channel->closed || call->attempts >= channel->config.max_attempts)
        return false;
    switch (verdict) {
    case ETCD__VERDICT_RESEND:
        return true;
    case ETCD__VERDICT_REPEAT:
        return !call->no_retry;
    case ETCD__VERDICT_OTHER_PEER:
        return !call->no_retry && channel->n_peers > 1;
    case ETCD__VERDICT_FAIL:
        break;
    }
    return false;
}

static void on_message(etcd__grpc_call *grpc, uint8_t *data, size_t len)
{
    etcd__call *call = ETCD__CONTAINER_OF(grpc, etcd__call, grpc);

    call->response = data;
    call->response_len = len;
}

static void on_end(etcd__grpc_call *grpc, const etcd__grpc_status *status)
{
    etcd__call *call = ETCD__CONTAINER_OF(grpc, etcd__call, grpc);
    etcd__channel *channel = call->channel;
    etcd_error *err;
    etcd__verdict verdict;
    int code;

    if (status->origin == ETCD__GRPC_FROM_SERVER)
        call->connection->answered = true;
    if (!etcd__list_empty(&channel->waiting))
        etcd__loop_defer(channel->loop, &channel->pump); /* a stream is free again */
    if (status->code == 0) {
        finish(call, ETCD_OK);
        return;
    }
    err = error_of(call);
    if (err == NULL) {
        finish(call, ETCD_ERR_NO_MEMORY);
        return;
    }
    verdict = etcd__outcome_judge(status, call->read_only, err);
    set_endpoint(err, call->connection->endpoint->text);
    code = err->code;
    if (may_go_on(call, verdict))
        attempt_again(call);
    else
        finish(call, code);
}

static const etcd__grpc_call_events grpc_events = {on_message, on_end, NULL};

static etcd__peer *pick_peer(etcd__channel *channel)
{
    for (size_t i = 0; i < channel->n_peers; i++) {
        size_t index = (channel->next_peer + i) % channel->n_peers;

        if (etcd__peer_usable(&channel->peers[index])) {
            channel->next_peer = index + 1;
            return &channel->peers[index];
        }
    }
    return NULL;
}

#define HEADER(name, value) {name, sizeof(name) - 1, value, sizeof(value) - 1, false}
static const etcd__h2_header metadata[] = {HEADER("client-api-version", API_VERSION), HEADER("hasleader", "true")};

static void start_attempt(etcd__call *call, etcd__peer *peer)
{
    etcd__channel *channel = call->channel;
    etcd__grpc_request request = {
        .path = call->method->path,
        .path_len = call->method->path_len,
        .authority = peer->endpoint.authority,
        .authority_len = strlen(peer->endpoint.authority),
        .scheme = peer->endpoint.tls ? "https" : "http",
        .user_agent = channel->config.user_agent,
        .timeout_ns = call->deadline == ETCD__NEVER ? -1 : call->deadline - etcd__clock_monotonic(),
        .metadata = metadata,
        .n_metadata = call->require_leader ? 2 : 1,
        .body = call->body,
        .body_len = call->body_len,
        .half_close = true,
        .unary = true,
        .max_message = channel->config.max_message,
    };
    etcd_error err;
    int rc;

    call->attempts++;
    if (call->deadline != ETCD__NEVER && request.timeout_ns < 0)
        request.timeout_ns = 0;
    memset(&call->grpc, 0, sizeof call->grpc);
    etcd__list_push_back(&channel->active, &call->node);
    rc = etcd__grpc_call_start(&call->grpc, peer->connection->h2, &request, &grpc_events, &err);
    if (rc < 0) {
        if (error_of(call) != NULL)
            *call->error = err;
        finish(call, rc);
        return;
    }
    call->connection = peer->connection;
    etcd__connection_touch(peer->connection);
}

static void pump(void *arg)
{
    etcd__channel *channel = arg;
    etcd__peer *peer;

    while (!etcd__list_empty(&channel->waiting) && (peer = pick_peer(channel)) != NULL)
        start_attempt(ETCD__CONTAINER_OF(etcd__list_pop_front(&channel->waiting), etcd__call, node), peer);
}

static void on_peer_usable(void *arg)
{
    etcd__channel *channel = arg;

    if (!etcd__list_empty(&channel->waiting))
        etcd__loop_defer(channel->loop, &channel->pump);
}

void etcd__channel_start(etcd__channel *channel, etcd__call *call)
{
    etcd__peer *peer;

    call->channel = channel;
    call->timer.fn = on_timer;
    call->timer.arg = call;
    etcd__list_init(&call->node);
    if (channel->closed) {
        end_locally(call, ETCD_ERR_CLOSED);
        return;
    }
    arm_timer(call);
    peer = etcd__list_empty(&channel->waiting) ? pick_peer(channel) : NULL;
    if (peer != NULL)
        start_attempt(call, peer);
    else
        queue_attempt(call);
}

void etcd__channel_cancel(etcd__channel *channel, etcd__call *call, int code)
{
    (void)channel;
    end_locally(call, code);
}

/* --- life ---------------------------------------------------------------------------------------------------------- */

static size_t count_endpoints(const char *endpoints)
{
    size_t n = 1;

    for (const char *c = endpoints; *c != '\0'; c++)
        n += *c == ',';
    return n;
}

static int add_peer(etcd__channel *channel, const char *text, size_t len, etcd_error *err)
{
    etcd__endpoint endpoint = {0};
    int rc = etcd__endpoint_parse(text, len, &endpoint, err);

    if (rc < 0)
        return rc;
    if (endpoint.tls) {
        rc = etcd__error_set(err, ETCD_ERR_UNSUPPORTED, "endpoint \"%s\": TLS is not supported by this version of libetcd3",
                             endpoint.text);
        etcd__endpoint_free(&endpoint);
        return rc;
    }
    etcd__peer_init(&channel->peers[channel->n_peers++], &endpoint, channel->loop, &channel->config.peer, &channel->config.log,
                    &channel->random, on_peer_usable, channel);
    return ETCD_OK;
}

static int add_peers(etcd__channel *channel, const char *endpoints, etcd_error *err)
{
    const char *start = endpoints;
    int rc = ETCD_OK;

    while (rc == ETCD_OK) {
        size_t len = strcspn(start, ",");

        rc = add_peer(channel, start, len, err);
        if (start[len] == '\0')
            break;
        start += len + 1;
    }
    return rc;
}

int etcd__channel_new(etcd__loop *loop, const etcd__channel_config *config, const char *endpoints, etcd__channel **out,
                      etcd_error *err)
{
    etcd__channel *channel;
    int rc;

    *out = NULL;
    if (endpoints == NULL || endpoints[strspn(endpoints, " \t")] == '\0')
        return etcd__error_set(err, ETCD_ERR_NO_ENDPOINTS, "%s", etcd_error_text(ETCD_ERR_NO_ENDPOINTS));
    channel = etcd__calloc(1, sizeof *channel);
    if (channel == NULL)
        return etcd__error_no_memory(err);
    channel->config = *config;
    channel->loop = loop;
    etcd__list_init(&channel->waiting);
    etcd__list_init(&channel->active);
    etcd__list_init(&channel->pump.node);
    channel->pump.fn = pump;
    channel->pump.arg = channel;
    etcd__random_init(&channel->random);
    channel->peers = etcd__calloc(count_endpoints(endpoints), sizeof *channel->peers);
    rc = channel->peers ? add_peers(channel, endpoints, err) : etcd__error_no_memory(err);
    if (rc < 0) {
        etcd__channel_free(channel);
        return rc;
    }
    channel->next_peer = (size_t)etcd__random_below(&channel->random, channel->n_peers);
    for (size_t i = 0; i < channel->n_peers; i++)
        etcd__peer_connect(&channel->peers[i]);
    *out = channel;
    return ETCD_OK;
}

static void end_all(etcd__list *calls)
{
    while (!etcd__list_empty(calls))
        end_locally(ETCD__CONTAINER_OF(calls->next, etcd__call, node), ETCD_ERR_CLOSED);
}

void etcd__channel_close(etcd__channel *channel, bool politely)
{
    channel->closed = true;
    end_all(&channel->waiting);
    end_all(&channel->active);
    etcd__list_remove(&channel->pump.node);
    for (size_t i = 0; i < channel->n_peers; i++)
        etcd__peer_close(&channel->peers[i], politely);
}

void etcd__channel_free(etcd__channel *channel)
{
    if (channel == NULL)
        return;
    etcd__channel_close(channel, false);
    for (size_t i = 0; i < channel->n_peers; i++)
        etcd__peer_deinit(&channel->peers[i]);
    etcd__free(channel->peers);
    etcd__free(channel);
}
