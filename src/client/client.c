/* Making, closing and freeing clients; manual mode. See client.h. */
#include "client/client.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/options.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define DEFAULT_REQUEST_TIMEOUT_MS 5000
#define DEFAULT_CONNECT_TIMEOUT_MS 20000
#define DEFAULT_BACKOFF_BASE_MS 1000
#define DEFAULT_BACKOFF_MAX_MS 120000
#define DEFAULT_PING_INTERVAL_MS 10000
#define MIN_PING_INTERVAL_MS 10000
#define DEFAULT_PING_TIMEOUT_MS 5000
#define DEFAULT_RETRY_WAIT_MS 25
#define DEFAULT_MAX_ATTEMPTS 100
#define DEFAULT_MAX_SEND (2 * 1024 * 1024)
#define DEFAULT_MAX_RECV INT32_MAX
#define DEFAULT_WATCH_BUFFER (16 * 1024 * 1024)

#define STRINGIFY(x) #x
#define VERSION_TEXT(major, minor, patch) STRINGIFY(major) "." STRINGIFY(minor) "." STRINGIFY(patch)
#define VERSION VERSION_TEXT(ETCD_VERSION_MAJOR, ETCD_VERSION_MINOR, ETCD_VERSION_PATCH)

const char *etcd_version(void)
{
    return VERSION;
}

void etcd_client_options_init(etcd_client_options *options, size_t size)
{
    etcd__options_init(options, size);
}

void etcd_tls_options_init(etcd_tls_options *options, size_t size)
{
    etcd__options_init(options, size);
}

void etcd_call_options_init(etcd_call_options *options, size_t size)
{
    etcd__options_init(options, size);
}

/* --- checks ----------------------------------------------------------------------------------- */

int etcd__client_check(const etcd_client *client, etcd_error *err)
{
    if (client == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "the client is NULL");
    if (etcd__fork_mark_passed(&client->made))
        return etcd__error_set(err, ETCD_ERR_FORKED, "%s", etcd_error_text(ETCD_ERR_FORKED));
    if (atomic_load_explicit(&client->closed, memory_order_relaxed))
        return etcd__error_set(err, ETCD_ERR_CLOSED, "%s", etcd_error_text(ETCD_ERR_CLOSED));
    return ETCD_OK;
}

int etcd__client_check_blocking(const etcd_client *client, etcd_error *err)
{
    int rc = etcd__client_check(client, err);

    if (rc == ETCD_OK && etcd__client_in_callback(client))
        rc = etcd__error_set(err, ETCD_ERR_IN_CALLBACK, "%s", etcd_error_text(ETCD_ERR_IN_CALLBACK));
    return rc;
}

/* --- making ----------------------------------------------------------------------------------- */

static int64_t or_default(int64_t value, int64_t fallback)
{
    return value == 0 ? fallback : value;
}

static int check_options(const etcd_client_options *o, etcd_error *err)
{
    const struct {
        const char *name;
        int64_t value;
    } positive[] = {
        {"connect_timeout_ms", o->connect_timeout_ms}, {"backoff_base_ms", o->backoff_base_ms},
        {"backoff_max_ms", o->backoff_max_ms},         {"retry_wait_ms", o->retry_wait_ms},
        {"ping_timeout_ms", o->ping_timeout_ms},       {"max_attempts", o->max_attempts},
        {"max_send_bytes", o->max_send_bytes},         {"max_recv_bytes", o->max_recv_bytes},
        {"watch_buffer_bytes", o->watch_buffer_bytes},
    };

    for (size_t i = 0; i < sizeof positive / sizeof positive[0]; i++)
        if (positive[i].value < 0 || positive[i].value > INT64_MAX / (2 * ETCD__MS))
            return etcd__error_set(err, ETCD_ERR_ARGUMENT, "etcd_client_options.%s is %lld: not a sensible value",
                                   positive[i].name, (long long)positive[i].value);
    if (o->max_send_bytes > INT32_MAX || o->max_recv_bytes > INT32_MAX)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "message limits of gRPC end at %d bytes", INT32_MAX);
    if (o->max_send_bytes > 0 && o->max_recv_bytes > 0 && o->max_send_bytes > o->max_recv_bytes)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT,
                               "gRPC message recv limit (%lld bytes) must be greater than send limit (%lld bytes)",
                               (long long)o->max_recv_bytes, (long long)o->max_send_bytes);
    return ETCD_OK;
}

static int check_auth(const etcd_client_options *o, etcd_error *err)
{
    if ((o->username != NULL) != (o->password != NULL))
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "username and password go together: only %s is set",
                               o->username ? "username" : "password");
    if ((o->username != NULL) + (o->token != NULL) + (o->token_fn != NULL) > 1)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "Username/Password and Token configurations are mutually exclusive");
    return ETCD_OK;
}

static char *make_user_agent(const char *prefix)
{
    const char *own = "libetcd3/" VERSION;
    size_t size = (prefix ? strlen(prefix) + 1 : 0) + strlen(own) + 1;
    char *text = etcd__malloc(size);

    if (text != NULL)
        (void)snprintf(text, size, "%s%s%s", prefix ? prefix : "", prefix ? " " : "", own);
    return text;
}

static void on_wake(void *arg)
{
    etcd__driver_start_submitted(arg);
}

/* gRPC's own floor; servers end connections that ping more often (the contract, section 0). */
static int64_t ping_interval(int64_t ms)
{
    if (ms < 0)
        return ETCD__NEVER;
    ms = or_default(ms, DEFAULT_PING_INTERVAL_MS);
    return (ms < MIN_PING_INTERVAL_MS ? MIN_PING_INTERVAL_MS : ms) * ETCD__MS;
}

/* Sent bytes that nobody acknowledges end a connection as early as a ping that nobody answers. */
static int64_t unacknowledged(const etcd_client_options *o)
{
    int64_t interval = ping_interval(o->ping_interval_ms);

    return interval == ETCD__NEVER ? 0 : interval + or_default(o->ping_timeout_ms, DEFAULT_PING_TIMEOUT_MS) * ETCD__MS;
}

static int open_channel(etcd_client *client, const etcd_client_options *o, etcd_error *err)
{
    const etcd__channel_config config = {
        .tls = o->tls,
        .auth = {o->username, o->password, o->token, o->token_fn, o->token_arg},
        .peer = {.connection = {.connect_timeout = or_default(o->connect_timeout_ms, DEFAULT_CONNECT_TIMEOUT_MS) * ETCD__MS,
                                .ping_interval = ping_interval(o->ping_interval_ms),
                                .ping_timeout = or_default(o->ping_timeout_ms, DEFAULT_PING_TIMEOUT_MS) * ETCD__MS},
                 .backoff_base = or_default(o->backoff_base_ms, DEFAULT_BACKOFF_BASE_MS) * ETCD__MS,
                 .backoff_max = or_default(o->backoff_max_ms, DEFAULT_BACKOFF_MAX_MS) * ETCD__MS,
                 .unacknowledged = unacknowledged(o),
                 .sends_secrets = (o->username || o->token || o->token_fn) && !o->allow_plain_auth,
                 .log = {o->log_fn, o->log_arg, o->log_level ? o->log_level : ETCD_LOG_INFO}},
        .retry_wait = or_default(o->retry_wait_ms, DEFAULT_RETRY_WAIT_MS) * ETCD__MS,
        .max_attempts = (int32_t)or_default(o->max_attempts, DEFAULT_MAX_ATTEMPTS),
        .max_message = client->max_recv,
        .user_agent = client->user_agent,
        .leader_first = o->leader_first,
        .sync_interval = o->auto_sync_interval_ms > 0 ? etcd__clock_from_ms(o->auto_sync_interval_ms) : 0,
        .on_state = etcd__endpoints_changed,
        .on_state_arg = client,
    };
    int rc = etcd__loop_new(on_wake, client, &client->io.loop, err);

    if (rc == ETCD_OK)
        rc = etcd__channel_new(client->io.loop, &config, o->endpoints, &client->io.channel, err);
    return rc;
}

/* The parts that cannot fail, so that a half-built client can be destroyed. */
static int init_client(etcd_client *client, const etcd_client_options *o, etcd_error *err)
{
    etcd__fork_mark_init(&client->made);
    client->manual = o->manual;
    client->require_leader = o->require_leader;
    client->request_timeout = etcd__clock_from_ms(or_default(o->request_timeout_ms, DEFAULT_REQUEST_TIMEOUT_MS));
    client->max_send = (size_t)or_default(o->max_send_bytes, DEFAULT_MAX_SEND);
    client->max_recv = (size_t)or_default(o->max_recv_bytes, DEFAULT_MAX_RECV);
    client->watch_buffer_bytes = (size_t)or_default(o->watch_buffer_bytes, DEFAULT_WATCH_BUFFER);
    atomic_init(&client->refs, 1);
    etcd__list_init(&client->shared.submitted);
    etcd__list_init(&client->shared.to_cancel);
    etcd__list_init(&client->shared.jobs);
    etcd__list_init(&client->shared.completions);
    etcd__list_init(&client->io.attachments);
    etcd__list_init(&client->io.ended);
    etcd__list_init(&client->io.dispatch.node);
    client->io.dispatch.fn = etcd__driver_dispatch;
    client->io.dispatch.arg = client;
    etcd__list_init(&client->io.report.node);
    client->io.report.fn = etcd__endpoints_report;
    client->io.report.arg = client;
    client->call_fn = o->call_fn;
    client->call_arg = o->call_arg;
    client->state_fn = o->state_fn;
    client->state_arg = o->state_arg;
    client->user_agent = make_user_agent(o->user_agent);
    return client->user_agent ? ETCD_OK : etcd__error_no_memory(err);
}

static int init_locks(etcd_client *client)
{
    if (uv_mutex_init(&client->shared.lock) != 0)
        return -1;
    if (uv_cond_init(&client->shared.changed) != 0) {
        uv_mutex_destroy(&client->shared.lock);
        return -1;
    }
    if (uv_cond_init(&client->shared.completed) != 0) {
        uv_cond_destroy(&client->shared.changed);
        uv_mutex_destroy(&client->shared.lock);
        return -1;
    }
    return 0;
}

/* Frees the engine and the handle. In a child after fork() the locks may be held by threads that are not there: they
 * stay. */
static void destroy(etcd_client *client)
{
    bool forked = etcd__fork_mark_passed(&client->made);

    etcd__channel_free(client->io.channel);
    etcd__attachments_free(client);
    etcd__loop_free(client->io.loop);
    etcd__completions_free(client);
    etcd__calls_free(client);
    etcd__free(client->user_agent);
    if (!forked) {
        uv_cond_destroy(&client->shared.completed);
        uv_cond_destroy(&client->shared.changed);
        uv_mutex_destroy(&client->shared.lock);
    }
    etcd__fork_mark_free(&client->made);
    etcd__free(client);
}

void etcd__client_ref(etcd_client *client)
{
    atomic_fetch_add_explicit(&client->refs, 1, memory_order_relaxed);
}

void etcd__client_unref(etcd_client *client)
{
    if (atomic_fetch_sub_explicit(&client->refs, 1, memory_order_acq_rel) == 1)
        destroy(client);
}

static int start_thread(etcd_client *client, etcd_error *err)
{
    sigset_t all, before;
    int rc;

    if (client->manual)
        return ETCD_OK;
    etcd__client_ref(client);
    client->shared.io_lives = true;
    (void)sigfillset(&all); /* the thread inherits it: the program's handlers never run there */
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = uv_thread_create(&client->io_thread, etcd__driver_main, client);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc == 0)
        return ETCD_OK;
    client->shared.io_lives = false;
    atomic_fetch_sub_explicit(&client->refs, 1, memory_order_relaxed);
    return etcd__error_system(err, "start the I/O thread", -rc);
}

int etcd_client_new(const etcd_client_options *given, etcd_client **out, etcd_error *err)
{
    etcd_client_options options;
    etcd_tls_options tls;
    etcd_client *client;
    int rc;

    if (out == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "out is NULL");
    *out = NULL;
    rc = etcd__options_load(&options, sizeof options, given, "etcd_client_options", err);
    if (rc == ETCD_OK && options.tls != NULL) {
        rc = etcd__options_load(&tls, sizeof tls, options.tls, "etcd_tls_options", err);
        options.tls = &tls;
    }
    if (rc == ETCD_OK)
        rc = check_options(&options, err);
    if (rc == ETCD_OK)
        rc = check_auth(&options, err);
    if (rc < 0)
        return rc;
    client = etcd__calloc(1, sizeof *client);
    if (client == NULL || init_locks(client) < 0) {
        etcd__free(client);
        return etcd__error_no_memory(err);
    }
    rc = init_client(client, &options, err);
    if (rc == ETCD_OK)
        rc = open_channel(client, &options, err);
    if (rc == ETCD_OK)
        rc = start_thread(client, err);
    if (rc < 0) {
        destroy(client);
        return rc;
    }
    if (options.reject_old_cluster) {
        rc = etcd__version_check(client, or_default(options.connect_timeout_ms, DEFAULT_CONNECT_TIMEOUT_MS), err);
        if (rc < 0) {
            etcd_client_free(client);
            return rc;
        }
    }
    etcd__error_clear(err);
    *out = client;
    return ETCD_OK;
}

/* --- closing ---------------------------------------------------------------------------------- */

/* Ends everything on the driver's side. The caller drives. */
static void close_engine(etcd_client *client)
{
    etcd__driver_start_submitted(client);
    etcd__loop_update_now(client->io.loop);
    etcd__attachments_close(client);
    etcd__channel_close(client->io.channel, true);
    do
        etcd__driver_dispatch(client);
    while (!etcd__list_empty(&client->io.ended));
    etcd__list_remove(&client->io.report.node);
    uv_mutex_lock(&client->shared.lock);
    uv_cond_broadcast(&client->shared.completed);
    uv_mutex_unlock(&client->shared.lock);
}

static void stop_thread(etcd_client *client)
{
    if (client->manual)
        return;
    uv_mutex_lock(&client->shared.lock);
    client->shared.stop = true;
    uv_cond_broadcast(&client->shared.changed);
    uv_mutex_unlock(&client->shared.lock);
    etcd__loop_wake(client->io.loop);
}

void etcd_client_close(etcd_client *client)
{
    bool was_closed;

    if (client == NULL || etcd__fork_mark_passed(&client->made))
        return;
    uv_mutex_lock(&client->shared.lock); /* no call is submitted after this */
    was_closed = atomic_exchange(&client->closed, true);
    uv_mutex_unlock(&client->shared.lock);
    if (was_closed)
        return;
    etcd__client_ref(client); /* one of the last callbacks may free it */
    if (etcd__client_in_callback(client)) {
        close_engine(client);
    } else {
        etcd__driver_acquire(client);
        close_engine(client);
        etcd__driver_release(client);
    }
    stop_thread(client);
    etcd__client_unref(client);
}

/* In a child after fork(): the I/O thread does not exist here, and it may have been anywhere in the engine. Only
 * where the engine was surely at rest is its memory released; nothing is sent. */
static void free_forked(etcd_client *client)
{
    if (!etcd__loop_forked(client->io.loop, client->shared.driver != ETCD__DRIVER_NOBODY))
        return;
    etcd__channel_close(client->io.channel, false);
    etcd__calls_each(client, etcd__user_call_free);
    if (client->shared.io_lives) /* not here */
        etcd__client_unref(client);
    etcd__client_unref(client); /* children of the handle may still have theirs */
}

void etcd_client_free(etcd_client *client)
{
    if (client == NULL)
        return;
    if (etcd__fork_mark_passed(&client->made)) {
        free_forked(client);
        return;
    }
    etcd_client_close(client);
    if (!client->manual) {
        uv_thread_t self = uv_thread_self();

        if (uv_thread_equal(&self, &client->io_thread))
            (void)pthread_detach(self); /* freed in a callback: the thread ends by itself and drops its reference */
        else
            (void)uv_thread_join(&client->io_thread);
    }
    etcd__client_unref(client);
}

int etcd_call_cancel(etcd_client *client, etcd_call_id id)
{
    etcd__user_call *call;
    bool wake = false;
    int rc = etcd__client_check(client, NULL);

    if (rc < 0)
        return rc;
    uv_mutex_lock(&client->shared.lock);
    call = etcd__calls_find(client, id);
    if (call == NULL) {
        rc = ETCD_ERR_CALL_NOT_FOUND;
    } else if (!call->cancel_requested) {
        call->cancel_requested = true;
        if (call->submitted) {
            etcd__list_push_back(&client->shared.to_cancel, &call->cancel_node);
            wake = etcd__driver_notify(client);
        }
    }
    uv_mutex_unlock(&client->shared.lock);
    if (wake)
        etcd__loop_wake(client->io.loop);
    return rc;
}

/* --- manual mode ------------------------------------------------------------------------------ */

static int check_manual(const etcd_client *client, etcd_error *err)
{
    int rc = etcd__client_check_blocking(client, err);

    if (rc == ETCD_OK && !client->manual)
        rc = etcd__error_set(err, ETCD_ERR_ARGUMENT, "the client has an I/O thread: set etcd_client_options.manual");
    return rc;
}

int etcd_client_fd(etcd_client *client)
{
    int rc = etcd__client_check(client, NULL);

    if (rc < 0)
        return rc;
    return client->manual ? etcd__loop_fd(client->io.loop, NULL) : ETCD_ERR_ARGUMENT;
}

int64_t etcd_client_timeout_ms(etcd_client *client)
{
    if (etcd__client_check(client, NULL) < 0 || !client->manual)
        return -1;
    return etcd__loop_timeout_ms(client->io.loop);
}

int etcd_client_process(etcd_client *client, int64_t timeout_ms, etcd_error *err)
{
    int rc = check_manual(client, err);

    if (rc < 0)
        return rc;
    etcd__client_ref(client); /* a callback may free it */
    etcd__driver_turn(client, etcd__clock_from_ms(timeout_ms));
    etcd__client_unref(client);
    etcd__error_clear(err);
    return ETCD_OK;
}
