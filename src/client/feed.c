/* See feed.h. The driver runs all but what the header gives to others; between it and them stand the mailbox, the jobs
 * and the atomic flags.
 *
 * While it has not ended, the channel has the call: also between two attempts (etcd__call.retry_at). So closing the client
 * ends it, and no other timer is needed than that of the silence. */
#include "client/feed.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/random.h"
#include "client/client.h"
#include "client/mailbox.h"
#include "wire/response.h"

#include <string.h>

#define BACKOFF_FIRST (25 * ETCD__MS)
#define BACKOFF_MAX ETCD__SECOND
#define DELIVER_MOST 32 /* responses given to a callback before what they started is sent */
#define END_WELL 1      /* what the mailbox ends with when all has come */

/* What may wait for a consumer that pulls, beyond its buffer: a stream's window, and some memory for each byte of it. An honest
 * server's messages take little more memory than bytes; those of a hostile one may be of nothing else. */
#define WAITING_MOST ((size_t)32 << 20)
#define WAITING_TIMES 256 /* the buffer */

struct etcd__feed {
    /* constant */
    etcd_client *client;
    etcd__feed_config config;
    const char *endpoint, *traceparent; /* behind the request, or NULL */
    size_t body_len;
    int64_t deadline; /* monotonic ns */
    int64_t delay;    /* ns before the first attempt */
    bool require_leader, no_retry;

    etcd__mailbox mailbox;
    etcd__cancel_link link;
    etcd__job start, cancel, resume;
    atomic_bool cancel_posted, resume_posted;
    atomic_bool paused;  /* written by the driver, as the next */
    atomic_bool dropped; /* canceled when all had come, but was not taken */

    /* io: the driver */
    etcd__call call;
    bool active; /* the channel has the call */
    bool ended;
    bool silent; /* the timer of the silence went off */
    bool quiet;  /* freed: no word to anybody */
    bool delivering;
    etcd__timer idle;
    etcd__task deliver;
    etcd__random random;
    int64_t backoff;
    uint64_t n_messages;
    uint8_t body[]; /* length-prefixed; behind it endpoint and traceparent */
};

static void start(etcd__feed *feed, int64_t retry_at);

static etcd__loop *loop_of(const etcd__feed *feed)
{
    return feed->client->io.loop;
}

/* --- the end -------------------------------------------------------------------------------------------------- */

static void destroy(etcd__feed *feed)
{
    etcd_client *client = feed->client;
    void (*gone)(void *owner) = feed->config.gone;
    void *owner = feed->config.owner;

    etcd__mailbox_free(&feed->mailbox);
    etcd__free(feed->call.error);
    etcd__free(feed);
    if (gone != NULL)
        gone(owner);
    etcd__client_unref(client);
}

/* Gives the callback what there is: all of it, so that what waits is no more than one turn reads. */
static void deliver(void *arg)
{
    etcd__feed *feed = arg;
    etcd_client *client = feed->client;
    void *response;
    etcd_error err;
    int rc = ETCD_OK;

    etcd__list_remove(&feed->deliver.node);
    if (feed->delivering)
        return; /* a callback closes the client: the loop below goes on with it */
    etcd__client_ref(client);
    feed->delivering = true;
    do {
        etcd__driver_begin_callback(client);
        for (int n = 0; n < DELIVER_MOST && rc == ETCD_OK && !feed->quiet; n++) {
            rc = etcd__mailbox_poll(&feed->mailbox, &response, &err);
            if (rc == ETCD_ERR_TIMED_OUT)
                break;
            feed->config.deliver(feed->config.owner, response, rc < 0 ? &err : NULL);
        }
        etcd__driver_end_callback(client);
        etcd__driver_start_submitted(client); /* what the callbacks started leaves in this turn */
    } while (rc == ETCD_OK && !feed->quiet);
    feed->delivering = false;
    if (feed->quiet)
        destroy(feed);
    etcd__client_unref(client);
}

/* The client closes: the loop will not turn again. */
static bool is_closing(const etcd__feed *feed)
{
    return atomic_load_explicit(&feed->client->closed, memory_order_relaxed);
}

static void finish(etcd__feed *feed, const etcd_error *why, bool drop)
{
    feed->ended = true;
    etcd__loop_timer_stop(loop_of(feed), &feed->idle);
    if (feed->quiet)
        return;
    etcd__mailbox_end(&feed->mailbox, why, drop);
    if (feed->config.deliver == NULL)
        return;
    if (is_closing(feed))
        deliver(feed);
    else
        etcd__loop_defer(loop_of(feed), &feed->deliver);
}

/* Ends the stream under way for a reason of ours. */
static void fail(etcd__feed *feed, const etcd_error *why, bool drop)
{
    if (feed->ended)
        return;
    feed->ended = true; /* on_done has nothing to say */
    if (feed->active)
        etcd__channel_cancel(feed->client->io.channel, &feed->call, ETCD_ERR_CANCELED);
    finish(feed, why, drop);
}

/* --- the channel's side --------------------------------------------------------------------------------------- */

static void on_silence(void *arg)
{
    etcd__feed *feed = arg;

    feed->silent = true;
    if (feed->active)
        etcd__channel_cancel(feed->client->io.channel, &feed->call, ETCD_ERR_DEADLINE_EXCEEDED);
}

/* While the consumer is behind, the silence is ours: what comes then is what was on its way. */
static void watch_silence(etcd__feed *feed)
{
    if (feed->config.idle_timeout != ETCD__NEVER && !feed->ended && !atomic_load(&feed->paused))
        etcd__loop_timer_start(loop_of(feed), &feed->idle,
                               etcd__clock_after(etcd__loop_now(loop_of(feed)), feed->config.idle_timeout));
}

static void pause_if_full(etcd__feed *feed)
{
    if (feed->config.deliver != NULL || feed->ended || etcd__mailbox_bytes(&feed->mailbox) < feed->config.buffer)
        return;
    atomic_store(&feed->paused, true);
    if (etcd__mailbox_bytes(&feed->mailbox) <= feed->config.buffer / 2) { /* taken before the consumer could see it */
        atomic_store(&feed->paused, false);
        return;
    }
    etcd__channel_pause(&feed->call);
    etcd__loop_timer_stop(loop_of(feed), &feed->idle);
}

static void *decode(etcd__feed *feed, uint8_t *data, size_t len, int *code, etcd_error *err)
{
    void *response;

    *code = etcd__response_decode(feed->call.method->response, data, len, &response, err);
    if (*code == ETCD_OK && feed->config.convert != NULL)
        response = feed->config.convert(feed->config.owner, response, code, err);
    return response;
}

/* The consumer is far behind, in spite of the window: messages of next to nothing. */
static bool is_flooded(const etcd__feed *feed, size_t waiting)
{
    size_t buffer = feed->config.buffer;

    return feed->config.deliver == NULL && waiting > WAITING_MOST && (waiting - WAITING_MOST) / WAITING_TIMES > buffer;
}

static int keep(etcd__feed *feed, void *response, size_t len, etcd_error *err)
{
    size_t waiting;

    if (etcd__mailbox_put(&feed->mailbox, response, etcd__response_arena(response)->allocated + len) < 0) {
        etcd_response_free(response);
        return etcd__error_no_memory(err);
    }
    waiting = etcd__mailbox_bytes(&feed->mailbox);
    if (is_flooded(feed, waiting))
        return etcd__error_set(err, ETCD_ERR_TOO_LARGE, "%zu bytes of memory wait to be taken, for messages of next to nothing",
                               waiting);
    return ETCD_OK;
}

static void on_message(etcd__call *call, uint8_t *data, size_t len)
{
    etcd__feed *feed = ETCD__CONTAINER_OF(call, etcd__feed, call);
    etcd_error err;
    void *response;
    int rc;

    feed->n_messages++;
    feed->backoff = 0;
    watch_silence(feed);
    response = decode(feed, data, len, &rc, &err);
    if (rc == ETCD_OK && response == NULL)
        return;
    if (rc == ETCD_OK)
        rc = keep(feed, response, len, &err);
    if (rc < 0) {
        fail(feed, &err, false);
        return;
    }
    if (feed->config.deliver != NULL)
        etcd__loop_defer(loop_of(feed), &feed->deliver);
    pause_if_full(feed);
}

/* Opens it once more. The error stays: the next may tell of it. */
static void start_again(etcd__feed *feed)
{
    int64_t wait = feed->backoff == 0 ? BACKOFF_FIRST : 2 * feed->backoff;

    feed->backoff = wait < BACKOFF_MAX ? wait : BACKOFF_MAX;
    wait = etcd__random_jitter(&feed->random, feed->backoff, 0.2);
    start(feed, etcd__clock_after(etcd__loop_now(loop_of(feed)), wait));
}

/* Servers 3.5 refuse the token of a snapshot with the words of their inside, which no code of ours stands for. */
static bool refused_in_other_words(etcd__call *call)
{
    return call->code == ETCD_ERR_UNKNOWN && call->error != NULL &&
           strcmp(call->error->message, "auth: invalid auth token") == 0 &&
           etcd__channel_renew_token(call, ETCD_ERR_INVALID_AUTH_TOKEN);
}

static bool may_start_again(etcd__feed *feed)
{
    etcd__call *call = &feed->call;
    bool again = call->again || refused_in_other_words(call);

    if (feed->silent || is_closing(feed))
        return false;
    if (call->code == ETCD_OK)
        return feed->config.resume; /* a server that shuts down ends it without an error */
    return again && (feed->config.resume || (feed->n_messages == 0 && !feed->no_retry));
}

static void set_reason(const etcd__feed *feed, etcd_error *why)
{
    const etcd__call *call = &feed->call;

    if (call->code == ETCD_OK) {
        etcd__error_clear(why);
        why->code = END_WELL;
        return;
    }
    etcd__channel_error(call, why);
    if (feed->silent) {
        etcd__error_set(why, ETCD_ERR_DEADLINE_EXCEEDED, "nothing came for %lld ms: %.400s",
                        (long long)(feed->config.idle_timeout / ETCD__MS),
                        call->error ? call->error->message : etcd_error_text(call->code));
        why->flags = ETCD_ERROR_RETRYABLE;
        if (call->error != NULL)
            memcpy(why->endpoint, call->error->endpoint, sizeof why->endpoint);
    }
}

static void on_done(etcd__call *call)
{
    etcd__feed *feed = ETCD__CONTAINER_OF(call, etcd__feed, call);
    etcd_error why;

    feed->active = false;
    atomic_store(&feed->paused, false);
    if (etcd__fork_mark_passed(&feed->client->made)) { /* a child releases memory, no more */
        if (feed->quiet)
            destroy(feed);
        return;
    }
    if (feed->ended)
        return;
    if (may_start_again(feed)) {
        start_again(feed);
        return;
    }
    set_reason(feed, &why);
    finish(feed, &why, false);
}

static void start(etcd__feed *feed, int64_t retry_at)
{
    const etcd__call before = feed->call;

    feed->call = (etcd__call){
        .method = &etcd__rpc_methods[feed->config.rpc],
        .body = feed->body,
        .body_len = feed->body_len,
        .streaming = true,
        .half_close = true,
        .endless = feed->config.resume,
        .deadline = feed->deadline,
        .read_only = true,
        .require_leader = feed->require_leader,
        .serializable = feed->config.serializable,
        .traceparent = feed->traceparent,
        .endpoint = feed->endpoint,
        .on_message = on_message,
        .on_done = on_done,
        .error = before.error,
        .attempts = before.attempts,
        .renewals = before.renewals,
        .retry_at = retry_at,
    };
    feed->active = true;
    etcd__channel_start(feed->client->io.channel, &feed->call);
}

/* --- what other threads ask for ------------------------------------------------------------------------------- */

static void do_start(etcd__job *job)
{
    etcd__feed *feed = ETCD__CONTAINER_OF(job, etcd__feed, start);

    if (feed->ended)
        return;
    watch_silence(feed);
    start(feed, feed->delay > 0 ? etcd__clock_after(etcd__loop_now(loop_of(feed)), feed->delay) : 0);
}

static void do_cancel(etcd__job *job)
{
    etcd__feed *feed = ETCD__CONTAINER_OF(job, etcd__feed, cancel);
    etcd_error why;

    etcd__error_set(&why, ETCD_ERR_CANCELED, "%s", etcd_error_text(ETCD_ERR_CANCELED));
    if (feed->ended && !feed->quiet && feed->config.deliver == NULL && etcd__mailbox_count(&feed->mailbox) > 0) {
        atomic_store(&feed->dropped, true);
        etcd__mailbox_end(&feed->mailbox, &why, true);
    }
    fail(feed, &why, true);
}

static void do_resume(etcd__job *job)
{
    etcd__feed *feed = ETCD__CONTAINER_OF(job, etcd__feed, resume);

    atomic_store(&feed->resume_posted, false);
    if (!feed->active || !atomic_load(&feed->paused))
        return;
    atomic_store(&feed->paused, false);
    etcd__channel_resume(&feed->call);
    watch_silence(feed);
}

void etcd__feed_cancel(etcd__feed *feed)
{
    if (!etcd__fork_mark_passed(&feed->client->made) && !atomic_exchange(&feed->cancel_posted, true))
        (void)etcd__driver_post(feed->client, &feed->cancel);
}

static void on_switch(etcd__cancel_link *link)
{
    etcd__feed_cancel(ETCD__CONTAINER_OF(link, etcd__feed, link));
}

int etcd__feed_next(etcd__feed *feed, int64_t timeout_ms, void **out, etcd_error *err)
{
    int rc = etcd__mailbox_take(&feed->mailbox, timeout_ms, out, err);

    if (rc == END_WELL && atomic_load(&feed->dropped))
        return etcd__error_set(err, ETCD_ERR_CANCELED, "%s", etcd_error_text(ETCD_ERR_CANCELED));
    if (rc == END_WELL) {
        etcd__error_clear(err);
        return ETCD_OK;
    }
    if (rc == ETCD_OK && atomic_load(&feed->paused) && etcd__mailbox_bytes(&feed->mailbox) <= feed->config.buffer / 2 &&
        !atomic_exchange(&feed->resume_posted, true))
        (void)etcd__driver_post(feed->client, &feed->resume);
    return rc;
}

int etcd__feed_fd(etcd__feed *feed)
{
    return etcd__mailbox_fd(&feed->mailbox);
}

/* --- making and freeing --------------------------------------------------------------------------------------- */

static void forget_jobs(etcd__feed *feed)
{
    uv_mutex_lock(&feed->client->shared.lock);
    etcd__list_remove(&feed->start.node);
    etcd__list_remove(&feed->cancel.node);
    etcd__list_remove(&feed->resume.node);
    uv_mutex_unlock(&feed->client->shared.lock);
}

void etcd__feed_free(etcd__feed *feed)
{
    etcd_client *client = feed->client;
    bool seated;

    if (etcd__fork_mark_passed(&client->made)) {
        feed->quiet = true;
        if (!feed->active) /* else the channel points to it */
            destroy(feed);
        return;
    }
    etcd__cancel_detach(&feed->link);
    etcd__client_ref(client);
    seated = etcd__driver_enter(client);
    forget_jobs(feed);
    feed->quiet = feed->ended = true;
    if (feed->active)
        etcd__channel_cancel(client->io.channel, &feed->call, ETCD_ERR_CANCELED);
    etcd__loop_timer_stop(client->io.loop, &feed->idle);
    etcd__list_remove(&feed->deliver.node);
    if (!feed->delivering)
        destroy(feed);
    etcd__driver_leave(client, seated);
    etcd__client_unref(client);
}

/* The parts that cannot fail. */
static void init(etcd__feed *feed, etcd_client *client, const etcd__feed_config *config)
{
    const etcd_call_options *call = config->call;

    feed->client = client;
    feed->config = *config;
    feed->deadline =
        call->timeout_ms == 0 ? ETCD__NEVER : etcd__clock_after(etcd__clock_monotonic(), etcd__clock_from_ms(call->timeout_ms));
    feed->delay = call->delay_ms > 0 ? etcd__clock_from_ms(call->delay_ms) : 0;
    feed->require_leader = call->require_leader || client->require_leader;
    feed->no_retry = call->no_retry;
    feed->link.fn = on_switch;
    feed->start.fn = do_start;
    feed->cancel.fn = do_cancel;
    feed->resume.fn = do_resume;
    etcd__list_init(&feed->start.node);
    etcd__list_init(&feed->cancel.node);
    etcd__list_init(&feed->resume.node);
    etcd__list_init(&feed->call.node);
    feed->idle.fn = on_silence;
    feed->idle.arg = feed;
    etcd__list_init(&feed->deliver.node);
    feed->deliver.fn = deliver;
    feed->deliver.arg = feed;
    etcd__random_init(&feed->random);
}

static int make(etcd_client *client, const etcd__feed_config *config, etcd__feed **out, etcd_error *err)
{
    const etcd__pb_message *type = etcd__rpc_methods[config->rpc].request;
    size_t size = etcd__pb_encoded_size(type, config->request);
    size_t texts = etcd__text_size(config->call->endpoint) + etcd__text_size(config->call->traceparent);
    etcd__feed *feed;
    uint8_t *behind;
    int rc;

    if (size > client->max_send)
        return etcd__error_set(err, ETCD_ERR_TOO_LARGE, "trying to send message larger than max (%zu vs. %zu)", size,
                               client->max_send);
    feed = etcd__calloc(1, sizeof *feed + ETCD__GRPC_PREFIX + size + texts);
    if (feed == NULL)
        return etcd__error_no_memory(err);
    etcd__grpc_prefix_write(feed->body, (uint32_t)size);
    etcd__pb_encode(type, config->request, feed->body + ETCD__GRPC_PREFIX, size);
    feed->body_len = ETCD__GRPC_PREFIX + size;
    behind = feed->body + feed->body_len;
    init(feed, client, config);
    feed->endpoint = etcd__text_put(config->call->endpoint, &behind);
    feed->traceparent = etcd__text_put(config->call->traceparent, &behind);
    rc = etcd__mailbox_init(&feed->mailbox, client, err);
    if (rc < 0) {
        etcd__free(feed);
        return rc;
    }
    etcd__client_ref(client);
    *out = feed;
    return ETCD_OK;
}

int etcd__feed_open(etcd_client *client, const etcd__feed_config *config, etcd__feed **out, etcd_error *err)
{
    etcd__feed *feed = NULL;
    int rc = etcd__client_check(client, err);

    *out = NULL;
    if (rc == ETCD_OK)
        rc = make(client, config, &feed, err);
    if (rc < 0)
        return rc;
    *out = feed; /* a callback may see it before this returns */
    if (config->call->cancel != NULL && !etcd__cancel_attach(config->call->cancel, &feed->link))
        rc = etcd__error_set(err, ETCD_ERR_CANCELED, "%s", etcd_error_text(ETCD_ERR_CANCELED));
    else if (!etcd__driver_post(client, &feed->start))
        rc = etcd__error_set(err, ETCD_ERR_CLOSED, "%s", etcd_error_text(ETCD_ERR_CLOSED));
    if (rc == ETCD_OK)
        return ETCD_OK;
    *out = NULL;
    feed->config.gone = NULL;
    etcd__feed_free(feed);
    return rc;
}
