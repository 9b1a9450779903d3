/* See channel.h.
 *
 * A started call is in one of three places: in `waiting` or `pinned` (wants a peer), in `active` without a
 * connection (waits between attempts, its timer says until when), or in `active` with a connection (an attempt is
 * under way). Attempts are started by pump() only, which never runs inside a callback of a session. */
#include "channel/channel.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "channel/auth.h"
#include "channel/leader.h"
#include "channel/outcome.h"
#include "channel/sync.h"
#include "channel/wait.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define RETRY_JITTER 0.10
#define API_VERSION "3.7"
#define SERVER_SLACK (100 * ETCD__MS)
#define MAX_RENEWALS 3 /* of the token, for one call */

struct etcd__channel {
    etcd__channel_config config;
    etcd__loop *loop;
    etcd__peers peers;
    etcd__list waiting; /* calls that any peer may serve */
    etcd__list pinned;  /* calls that wait for the peer they name */
    etcd__list gated;   /* calls that wait for a token */
    etcd__list active;
    etcd__auth *auth;     /* NULL: no tokens */
    etcd__leader *leader; /* NULL: not looked for */
    etcd__sync *sync;     /* NULL: the list stays as the program gave it */
    etcd__task pump;
    etcd__task leave; /* endless streams leave connections that drain; reads, too, peers that seem to hang */
    etcd__random random;
    etcd__streams streams;
    bool closed;
};

/* --- the end of a call ------------------------------------------------------------------------ */

static void finish(etcd__call *call, int code)
{
    etcd__loop_timer_stop(call->channel->loop, &call->timer);
    etcd__list_remove(&call->node);
    if (call->streaming && call->connection != NULL)
        etcd__streams_ended(&call->channel->streams, call, code);
    if (call->peer != NULL)
        etcd__peers_release(&call->channel->peers, call->peer);
    call->peer = NULL;
    call->connection = NULL;
    call->code = code;
    call->again = call->again && !call->channel->closed;
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

static bool needs_token(const etcd__call *call)
{
    const etcd__channel *channel = call->channel;

    return channel->auth != NULL && !call->without_token && !etcd__auth_settled(channel->auth);
}

/* Whether the server may have seen the attempt under way. Bytes still queued in the session are dropped with the
 * stream. */
static bool may_have_arrived(const etcd__call *call)
{
    return call->connection != NULL && call->grpc.stream.proof_offset != UINT64_MAX;
}

/* The call's deadline passed while its peer had it. When the peer said nothing at all meanwhile, others come first. */
static void doubt(etcd__call *call)
{
    if (call->connection->last_read < call->attempt_at)
        etcd__peer_avoid(call->served_by);
}

/* Ends the call for a reason of our own: deadline, cancel, close. */
static void end_locally(etcd__call *call, int code)
{
    char wait[ETCD_ERROR_MESSAGE_MAX - 64];
    uint32_t flags = code == ETCD_ERR_DEADLINE_EXCEEDED ? ETCD_ERROR_RETRYABLE : 0;
    etcd_error *err;

    etcd__describe_wait(call, &call->channel->peers, needs_token(call), wait, sizeof wait);
    if (!call->read_only && may_have_arrived(call))
        flags |= ETCD_ERROR_MAYBE_APPLIED;
    call->flags = flags;
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

        if (code == ETCD_ERR_DEADLINE_EXCEEDED)
            doubt(call);
        etcd__grpc_call_cancel(&call->grpc);
        etcd__connection_touch(connection);
    }
    finish(call, code);
}

/* --- attempts --------------------------------------------------------------------------------- */

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
    if (needs_token(call)) {
        etcd__list_push_back(&channel->gated, &call->node);
        etcd__auth_want(channel->auth);
        return;
    }
    etcd__list_push_back(call->peer ? &channel->pinned : &channel->waiting, &call->node);
    etcd__loop_defer(channel->loop, &channel->pump);
}

/* The next attempt: at once, but after a full round over a quorum of the peers with a short wait (as the Go client
 * does). */
static void attempt_again(etcd__call *call)
{
    etcd__channel *channel = call->channel;
    int32_t quorum = (int32_t)(channel->peers.n / 2 + 1);

    call->connection = NULL;
    call->served_by = NULL;
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
        return !call->no_retry && channel->peers.n > 1 && call->peer == NULL;
    case ETCD__VERDICT_FAIL:
        break;
    }
    return false;
}

/* The server refused the call's token, before it did anything. Whether the call goes on with another. */
static bool renews_token(etcd__call *call, int code)
{
    etcd__channel *channel = call->channel;

    if (channel->auth == NULL || call->without_token || channel->closed || !etcd__auth_is_refusal(code) ||
        call->renewals >= MAX_RENEWALS)
        return false;
    call->renewals++;
    return etcd__auth_refused(channel->auth, call->token_number);
}

static void on_message(etcd__grpc_call *grpc, uint8_t *data, size_t len)
{
    etcd__call *call = ETCD__CONTAINER_OF(grpc, etcd__call, grpc);

    if (call->streaming) {
        etcd__connection_answered(call->connection);
        etcd__streams_received(&call->channel->streams, call, len);
        call->on_message(call, data, len);
        return;
    }
    call->response = data;
    call->response_len = len;
}

/* Which limit was met, what the system said: the same words for each call that went down with the connection. */
static void add_reason(etcd_error *err, const etcd_error *why)
{
    size_t used = strlen(err->message);

    if (why != NULL)
        (void)snprintf(err->message + used, sizeof err->message - used, ": %s", why->message);
}

/* An attempt has failed, and another follows. `err` may be NULL. */
static void tell_attempt(etcd__call *call, int code, const etcd_error *err)
{
    etcd__log_write(etcd__channel_log(call->channel), ETCD__LOG_DEBUG, "%s: attempt %d of %s failed, another follows: %s",
                    call->served_by->endpoint.text, (int)call->attempts, call->method->path,
                    err != NULL && err->code == code ? err->message : etcd_error_text(code));
    if (call->on_attempt != NULL)
        call->on_attempt(call, code);
}

static void on_end(etcd__grpc_call *grpc, const etcd__grpc_status *status)
{
    etcd__call *call = ETCD__CONTAINER_OF(grpc, etcd__call, grpc);
    etcd__channel *channel = call->channel;
    etcd_error no_memory, *err;
    etcd__verdict verdict;
    int code;

    if (status->origin == ETCD__GRPC_FROM_SERVER)
        etcd__connection_answered(call->connection);
    if (!etcd__list_empty(&channel->waiting) || !etcd__list_empty(&channel->pinned))
        etcd__loop_defer(channel->loop, &channel->pump); /* a stream is free again */
    if (status->code == 0) {
        etcd__peer_serves(call->served_by);
        finish(call, ETCD_OK);
        return;
    }
    call->served_by->stats.failures++;
    err = error_of(call);
    if (err == NULL)
        err = &no_memory; /* the code and the flags still count */
    verdict = etcd__outcome_judge(status, call->read_only, etcd__clock_monotonic() >= call->deadline, err);
    set_endpoint(err, call->connection->endpoint->text);
    if (status->origin == ETCD__GRPC_FROM_CONNECTION)
        add_reason(err, call->connection->why);
    code = err->code;
    call->flags = err->flags;
    if (etcd__outcome_blames_peer(code))
        etcd__peer_avoid(call->served_by);
    if (channel->leader != NULL && code <= ETCD_ERR_NO_LEADER && code >= ETCD_ERR_TIMEOUT_WAIT_APPLIED_INDEX)
        etcd__leader_refresh(channel->leader);
    if (call->streaming) {
        call->again = verdict == ETCD__VERDICT_OTHER_PEER || etcd__outcome_stream_again(status) || renews_token(call, code);
        finish(call, code);
    } else if (renews_token(call, code)) {
        tell_attempt(call, code, err);
        call->connection = NULL;
        call->served_by = NULL;
        queue_attempt(call);
    } else if (may_go_on(call, verdict)) {
        tell_attempt(call, code, err);
        attempt_again(call);
    } else {
        finish(call, code);
    }
}

static const etcd__grpc_call_events grpc_events = {on_message, on_end, NULL};

static etcd__h2_header header(const char *name, const char *value, size_t value_len)
{
    return (etcd__h2_header){.name = name, .name_len = strlen(name), .value = value, .value_len = value_len};
}

#define MAX_HEADERS 4

/* The metadata of a call. Returns the number of headers. */
static size_t fill_metadata(etcd__call *call, etcd__h2_header headers[MAX_HEADERS])
{
    const char *token;
    size_t n = 0, len;

    headers[n] = header("client-api-version", API_VERSION, sizeof API_VERSION - 1);
    headers[n++].constant = true;
    if (call->require_leader) {
        headers[n] = header("hasleader", "true", 4);
        headers[n++].constant = true;
    }
    if (call->traceparent != NULL) {
        headers[n] = header("traceparent", call->traceparent, strlen(call->traceparent));
        headers[n++].varying = true;
    }
    if (call->channel->auth == NULL || call->without_token)
        return n;
    token = etcd__auth_token(call->channel->auth, &len, &call->token_number);
    if (len > 0) {
        headers[n] = header("token", token, len);
        headers[n++].never_index = true;
    }
    return n;
}

/* What the server is told of the deadline. Somewhat more than is left, so that it is ours that passes first: the
 * server ends a call that is late with whatever its version makes of it, and cannot say what the connection was
 * doing. */
static int64_t timeout_for_server(const etcd__call *call)
{
    int64_t left = call->deadline - etcd__loop_now(call->channel->loop);

    if (call->deadline == ETCD__NEVER)
        return -1;
    return (left > 0 ? left : 0) + SERVER_SLACK;
}

static size_t max_message(const etcd__call *call)
{
    size_t most = call->channel->config.max_message;

    return call->max_message != 0 && call->max_message < most ? call->max_message : most;
}

static void start_attempt(etcd__call *call, etcd__peer *peer)
{
    etcd__channel *channel = call->channel;
    etcd__h2_header headers[MAX_HEADERS];
    etcd__grpc_request request = {
        .path = call->method->path,
        .path_len = call->method->path_len,
        .authority = peer->endpoint.authority,
        .authority_len = strlen(peer->endpoint.authority),
        .scheme = peer->endpoint.tls ? "https" : "http",
        .user_agent = channel->config.user_agent,
        .timeout_ns = timeout_for_server(call),
        .metadata = headers,
        .n_metadata = fill_metadata(call, headers),
        .body = call->body,
        .body_len = call->body_len,
        .half_close = !call->streaming || call->half_close,
        .unary = !call->streaming,
        .max_message = max_message(call),
    };
    etcd_error err;
    int rc;

    call->attempts++;
    memset(&call->grpc, 0, sizeof call->grpc);
    etcd__list_push_back(&channel->active, &call->node);
    rc = etcd__grpc_call_start(&call->grpc, peer->connection->h2, &request, &grpc_events, &err);
    if (rc < 0) {
        if (error_of(call) != NULL)
            *call->error = err;
        finish(call, rc);
        return;
    }
    peer->stats.calls++;
    call->served_by = peer;
    call->attempt_at = etcd__loop_now(channel->loop);
    call->connection = peer->connection;
    etcd__connection_touch(peer->connection);
    if (call->streaming)
        etcd__streams_opened(&channel->streams, call);
    if (call->streaming && call->on_open != NULL)
        call->on_open(call);
}

static etcd__peer *pick_for(etcd__channel *channel, const etcd__call *call)
{
    if (call->peer != NULL)
        return etcd__peer_usable(call->peer) ? call->peer : NULL;
    return etcd__peers_pick(&channel->peers, channel->config.leader_first && !call->serializable);
}

static void pump_pinned(etcd__channel *channel)
{
    etcd__list *node, *next;

    for (node = channel->pinned.next; node != &channel->pinned; node = next) {
        etcd__call *call = ETCD__CONTAINER_OF(node, etcd__call, node);

        next = node->next;
        if (etcd__peer_usable(call->peer)) {
            etcd__list_remove(node);
            start_attempt(call, call->peer);
        }
    }
}

static void pump(void *arg)
{
    etcd__channel *channel = arg;

    pump_pinned(channel);
    while (!etcd__list_empty(&channel->waiting)) {
        etcd__call *call = ETCD__CONTAINER_OF(channel->waiting.next, etcd__call, node);
        etcd__peer *peer = pick_for(channel, call);

        if (peer == NULL)
            break;
        etcd__list_remove(&call->node);
        start_attempt(call, peer);
    }
}

static void on_usable(void *arg)
{
    etcd__channel *channel = arg;

    if (!etcd__list_empty(&channel->waiting) || !etcd__list_empty(&channel->pinned))
        etcd__loop_defer(channel->loop, &channel->pump);
}

/* Takes an attempt back from a peer that does not answer, to send it elsewhere. Only for calls that may be repeated. */
static void take_back(etcd__call *call)
{
    etcd__connection *connection = call->connection;

    tell_attempt(call, ETCD_ERR_UNAVAILABLE, NULL);
    etcd__grpc_call_cancel(&call->grpc);
    etcd__connection_touch(connection);
    call->connection = NULL;
    call->served_by = NULL;
    queue_attempt(call);
}

/* Ends a stream that would hold a connection for ever which is to be left. */
static void end_stream(etcd__call *call, const char *why)
{
    etcd_error *err = error_of(call);

    if (err != NULL) {
        etcd__error_set(err, ETCD_ERR_UNAVAILABLE, "%s", why);
        err->flags = ETCD_ERROR_RETRYABLE;
        set_endpoint(err, call->connection->endpoint->text);
    }
    call->flags = ETCD_ERROR_RETRYABLE;
    call->again = true;
    etcd__grpc_call_cancel(&call->grpc);
    etcd__connection_touch(call->connection);
    finish(call, ETCD_ERR_UNAVAILABLE);
}

/* One at a time, for the owner of one may end others. */
static etcd__call *next_to_leave(etcd__channel *channel)
{
    for (etcd__list *node = channel->active.next; node != &channel->active; node = node->next) {
        etcd__call *call = ETCD__CONTAINER_OF(node, etcd__call, node);

        if (call->endless && call->connection != NULL && call->connection->state == ETCD__CONNECTION_DRAINING)
            return call;
    }
    return NULL;
}

static bool another_serves(const etcd__channel *channel, const etcd__peer *peer)
{
    int64_t now = etcd__clock_monotonic();

    for (size_t i = 0; i < channel->peers.n; i++)
        if (channel->peers.items[i] != peer && etcd__peer_usable(channel->peers.items[i]) &&
            etcd__peer_healthy(channel->peers.items[i], now))
            return true;
    return false;
}

static void on_suspect(void *arg, etcd__peer *peer)
{
    etcd__channel *channel = arg;
    etcd__list streams, *node, *next;

    if (!another_serves(channel, peer))
        return;
    etcd__list_init(&streams);
    for (node = channel->active.next; node != &channel->active; node = next) {
        etcd__call *call = ETCD__CONTAINER_OF(node, etcd__call, node);

        next = node->next;
        if (call->connection != peer->connection || call->peer != NULL)
            continue;
        if (call->endless) {
            etcd__list_remove(node);
            etcd__list_push_back(&streams, node);
        } else if (call->read_only && !call->streaming && !call->no_retry && call->attempts < channel->config.max_attempts) {
            take_back(call);
        }
    }
    while (!etcd__list_empty(&streams))
        end_stream(ETCD__CONTAINER_OF(streams.next, etcd__call, node), "the member does not answer");
}

/* Connections that drain, and peers that seem to hang now that another may serve. */
static void leave(void *arg)
{
    etcd__channel *channel = arg;
    etcd__call *call;

    while ((call = next_to_leave(channel)) != NULL)
        end_stream(call, call->connection->goaway);
    for (size_t i = 0; i < channel->peers.n; i++) {
        etcd__peer *peer = channel->peers.items[i];

        if (peer->connection != NULL && peer->connection->suspect)
            on_suspect(channel, peer);
    }
}

static void fail_gated(etcd__channel *channel, const etcd_error *err)
{
    etcd__list *node;

    while ((node = etcd__list_pop_front(&channel->gated)) != NULL) {
        etcd__call *call = ETCD__CONTAINER_OF(node, etcd__call, node);

        if (error_of(call) != NULL)
            *call->error = *err;
        finish(call, err->code);
    }
}

/* A token was got, or could not be got. */
static void on_settled(void *arg, const etcd_error *err)
{
    etcd__channel *channel = arg;
    etcd__list *node;

    if (err != NULL && (err->flags & ETCD_ERROR_RETRYABLE) && !channel->closed) {
        if (!etcd__list_empty(&channel->gated))
            etcd__auth_want(channel->auth); /* until their deadlines */
        return;
    }
    if (err != NULL) {
        fail_gated(channel, err);
        return;
    }
    while ((node = etcd__list_pop_front(&channel->gated)) != NULL)
        queue_attempt(ETCD__CONTAINER_OF(node, etcd__call, node));
}

static void on_state(void *arg)
{
    etcd__channel *channel = arg;

    etcd__loop_defer(channel->loop, &channel->leave);
    if (channel->leader != NULL)
        etcd__leader_refresh(channel->leader);
    if (channel->config.on_state != NULL)
        channel->config.on_state(channel->config.on_state_arg);
}

/* Finds the peer that a call names. Returns false when the call has ended instead. */
static bool pin(etcd__call *call)
{
    etcd_error err;
    int rc = etcd__peers_find(&call->channel->peers, call->endpoint, &call->peer, &err);

    if (rc == ETCD_OK) {
        call->peer->users++;
        return true;
    }
    call->peer = NULL;
    if (error_of(call) != NULL)
        *call->error = err;
    finish(call, rc);
    return false;
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
    if (call->endpoint != NULL && !pin(call))
        return;
    arm_timer(call);
    if (call->retry_at != 0) {
        etcd__list_push_back(&channel->active, &call->node);
        return;
    }
    peer = etcd__list_empty(call->peer ? &channel->pinned : &channel->waiting) ? pick_for(channel, call) : NULL;
    if (peer != NULL && !needs_token(call))
        start_attempt(call, peer);
    else
        queue_attempt(call);
}

/* By the timer, not at once: this may be while the channel ends all calls. */
void etcd__channel_release(etcd__call *call)
{
    call->retry_at = etcd__loop_now(call->channel->loop);
    arm_timer(call);
}

void etcd__channel_answer(etcd__call *call, uint8_t *response, size_t len)
{
    call->response = response;
    call->response_len = len;
    finish(call, ETCD_OK);
}

void etcd__channel_cancel(etcd__channel *channel, etcd__call *call, int code)
{
    (void)channel;
    end_locally(call, code);
}

void etcd__channel_error(const etcd__call *call, etcd_error *err)
{
    if (call->error != NULL) {
        *err = *call->error;
        return;
    }
    etcd__error_set(err, call->code, "%s", etcd_error_text(call->code));
    err->flags = call->flags;
}

int etcd__channel_send(etcd__call *call, const uint8_t *body, size_t len, bool half_close)
{
    int rc = etcd__grpc_call_send(&call->grpc, body, len, half_close);

    etcd__connection_touch(call->connection);
    return rc;
}

void etcd__channel_pause(etcd__call *call)
{
    etcd__grpc_call_pause(&call->grpc);
}

void etcd__channel_resume(etcd__call *call)
{
    etcd__grpc_call_resume(&call->grpc);
    etcd__connection_touch(call->connection);
}

void etcd__channel_doubt(etcd__call *call, int64_t since)
{
    if (call->connection != NULL && call->connection == call->served_by->connection && call->connection->last_read < since &&
        !another_serves(call->channel, call->served_by))
        etcd__peer_doubt(call->served_by);
}

bool etcd__channel_renew_token(etcd__call *call, int code)
{
    return renews_token(call, code);
}

void etcd__channel_describe_wait(const etcd__call *call, char *text, size_t size)
{
    etcd__describe_wait(call, &call->channel->peers, needs_token(call), text, size);
}

int etcd__channel_set_endpoints(etcd__channel *channel, const char *endpoints, etcd_error *err)
{
    int rc = etcd__peers_set(&channel->peers, endpoints, err);

    if (rc == ETCD_OK) {
        etcd__loop_defer(channel->loop, &channel->leave);
        etcd__loop_defer(channel->loop, &channel->pump);
    }
    if (rc == ETCD_OK && channel->leader != NULL)
        etcd__leader_refresh(channel->leader);
    return rc;
}

const etcd__log *etcd__channel_log(const etcd__channel *channel)
{
    return &channel->config.peer.log;
}

const etcd__peers *etcd__channel_peers(const etcd__channel *channel)
{
    return &channel->peers;
}

const etcd__streams *etcd__channel_streams(const etcd__channel *channel)
{
    return &channel->streams;
}

/* --- life ------------------------------------------------------------------------------------- */

int etcd__channel_new(etcd__loop *loop, const etcd__channel_config *config, const char *endpoints, etcd__channel **out,
                      etcd_error *err)
{
    etcd__channel *channel = etcd__calloc(1, sizeof *channel);
    int rc;

    *out = NULL;
    if (channel == NULL)
        return etcd__error_no_memory(err);
    channel->config = *config;
    channel->loop = loop;
    etcd__list_init(&channel->waiting);
    etcd__list_init(&channel->pinned);
    etcd__list_init(&channel->gated);
    etcd__list_init(&channel->active);
    etcd__list_init(&channel->pump.node);
    channel->pump.fn = pump;
    channel->pump.arg = channel;
    etcd__list_init(&channel->leave.node);
    channel->leave.fn = leave;
    channel->leave.arg = channel;
    etcd__random_init(&channel->random);
    etcd__peers_init(&channel->peers, loop, &channel->config.peer, &channel->random, on_usable, on_state, on_suspect, channel);
    rc = etcd__auth_new(&config->auth, channel, loop, on_settled, channel, &channel->auth, err);
    memset(&channel->config.auth, 0, sizeof channel->config.auth); /* the strings are the caller's */
    channel->config.tls = NULL;
    if (rc == ETCD_OK)
        rc = etcd__peers_use_tls(&channel->peers, config->tls, err);
    if (rc == ETCD_OK && config->leader_first)
        rc = etcd__leader_new(channel, loop, &channel->peers, &channel->leader, err);
    if (rc == ETCD_OK && config->sync_interval > 0)
        rc = etcd__sync_new(channel, loop, config->sync_interval, &channel->sync, err);
    if (rc == ETCD_OK)
        rc = etcd__peers_set(&channel->peers, endpoints, err);
    if (rc < 0) {
        etcd__channel_free(channel);
        return rc;
    }
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
    if (channel->leader != NULL)
        etcd__leader_stop(channel->leader);
    if (channel->sync != NULL)
        etcd__sync_stop(channel->sync);
    end_all(&channel->gated);
    end_all(&channel->waiting);
    end_all(&channel->pinned);
    end_all(&channel->active);
    etcd__list_remove(&channel->pump.node);
    etcd__list_remove(&channel->leave.node);
    etcd__peers_close(&channel->peers, politely);
}

void etcd__channel_free(etcd__channel *channel)
{
    if (channel == NULL)
        return;
    etcd__channel_close(channel, false);
    etcd__auth_free(channel->auth);
    etcd__leader_free(channel->leader);
    etcd__sync_free(channel->sync);
    etcd__free(channel);
}
