/* The public side of watches. See <etcd3/watch.h> and watch_hub.h. */
#include <etcd3/watch.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/options.h"
#include "service/request.h"
#include "service/watch_hub.h"

#include <string.h>

#define DEFAULT_BUFFER (1024 * 1024)

void etcd_watch_options_init(etcd_watch_options *options, size_t size)
{
    etcd__options_init(options, size);
}

/* --- opening ---------------------------------------------------------------------------------- */

static int check_options(const etcd_watch_options *o, etcd_error *err)
{
    if (o->start_revision < 0)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "start_revision is %lld: revisions start at 1, and 0 is \"from now on\"",
                               (long long)o->start_revision);
    if (o->start_revision == INT64_MAX)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "start_revision is too large");
    if (o->buffer_bytes < 0)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "buffer_bytes is negative");
    if (o->no_put && o->no_delete)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "no_put and no_delete together leave nothing to watch");
    return ETCD_OK;
}

static void set_wanted(etcd_watch *watch, const etcd_watch_options *o, const etcd_bytes *key, const etcd_bytes *end)
{
    etcd__watcher *watcher = &watch->watcher;

    memcpy(watch->keys, key->data, key->len);
    memcpy(watch->keys + key->len, end->data, end->len);
    watcher->key = (etcd_bytes){watch->keys, key->len};
    watcher->range_end = (etcd_bytes){watch->keys + key->len, end->len};
    watcher->start_revision = o->start_revision;
    watcher->buffer_bytes = o->buffer_bytes > 0 ? (size_t)o->buffer_bytes : DEFAULT_BUFFER;
    watcher->prev_kv = o->prev_kv;
    watcher->progress_notify = o->progress_notify;
    watcher->created_notify = o->created_notify;
    watcher->canceled_notify = o->canceled_notify;
    watcher->no_put = o->no_put;
    watcher->no_delete = o->no_delete;
    watcher->relist = o->relist;
    watcher->report_connection = o->report_connection;
    atomic_init(&watch->taken, o->start_revision);
}

/* Memory only. */
static void destroy(etcd_watch *watch)
{
    etcd__list *node;

    if (watch->fn == NULL)
        etcd__mailbox_free(&watch->mailbox);
    while ((node = etcd__list_pop_front(&watch->queue)) != NULL)
        etcd_response_free(ETCD__CONTAINER_OF(node, etcd__watch_delivery, node));
    etcd__free(watch->why);
    etcd__free(watch);
}

static int make(etcd_client *client, const etcd_watch_options *o, const etcd_bytes *key, const etcd_bytes *end, etcd_watch_fn fn,
                void *arg, etcd_watch **out, etcd_error *err)
{
    etcd_watch *watch = etcd__calloc(1, sizeof *watch + key->len + end->len);

    if (watch == NULL)
        return etcd__error_no_memory(err);
    watch->client = client;
    watch->require_leader = o->require_leader || client->require_leader;
    watch->fn = fn;
    watch->arg = arg;
    etcd__list_init(&watch->job.node);
    watch->job.fn = etcd__watch_do;
    etcd__list_init(&watch->ready);
    etcd__list_init(&watch->queue);
    set_wanted(watch, o, key, end);
    watch->hub = etcd__watch_hub_get(client);
    if (watch->hub == NULL || (fn == NULL && etcd__mailbox_init(&watch->mailbox, client, NULL) < 0)) {
        etcd__free(watch);
        return etcd__error_no_memory(err);
    }
    etcd__client_ref(client);
    *out = watch;
    return ETCD_OK;
}

static int open_watch(etcd_client *client, const char *key, size_t key_len, const etcd_watch_options *options, etcd_watch_fn fn,
                      void *arg, etcd_watch **out, etcd_error *err)
{
    etcd_watch_options o = {0};
    etcd__range_choice choice;
    etcd__range_end room = {0};
    etcd_bytes range_key, range_end;
    etcd_watch *watch = NULL;
    int rc;

    if (out == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "out is NULL");
    *out = NULL;
    rc = etcd__client_check(client, err);
    if (rc == ETCD_OK)
        rc = etcd__options_load(&o, sizeof o, options, "etcd_watch_options", err);
    if (rc == ETCD_OK)
        rc = check_options(&o, err);
    if (rc < 0)
        return rc;
    choice = (etcd__range_choice){o.range_end, o.range_end_len, o.prefix, o.from_key};
    rc = etcd__request_range(key, key_len, &choice, &room, &range_key, &range_end, err);
    if (rc == ETCD_OK)
        rc = make(client, &o, &range_key, &range_end, fn, arg, &watch, err);
    etcd__range_end_free(&room);
    if (rc < 0)
        return rc;
    etcd__error_clear(err);
    *out = watch; /* from the post on callbacks may run */
    if (etcd__watch_ask(watch, ETCD__WATCH_DO_OPEN))
        return ETCD_OK;
    *out = NULL;
    destroy(watch);
    etcd__client_unref(client);
    return etcd__error_set(err, ETCD_ERR_CLOSED, "%s", etcd_error_text(ETCD_ERR_CLOSED));
}

int etcd_watch_open(etcd_client *client, const char *key, size_t key_len, const etcd_watch_options *options, etcd_watch **out,
                    etcd_error *err)
{
    return open_watch(client, key, key_len, options, NULL, NULL, out, err);
}

int etcd_watch_start(etcd_client *client, const char *key, size_t key_len, const etcd_watch_options *options, etcd_watch_fn fn,
                     void *arg, etcd_watch **out, etcd_error *err)
{
    if (fn == NULL) {
        if (out != NULL)
            *out = NULL;
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "fn is NULL: use etcd_watch_open");
    }
    return open_watch(client, key, key_len, options, fn, arg, out, err);
}

/* --- taking ----------------------------------------------------------------------------------- */

static int check_pulled(const etcd_watch *watch, etcd_error *err)
{
    if (watch == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "the watch is NULL");
    if (watch->fn != NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "this watch calls a function: nothing is left to take");
    return ETCD_OK;
}

int etcd_watch_next(etcd_watch *watch, int64_t timeout_ms, etcd_watch_response **out, etcd_error *err)
{
    void *response;
    int rc;

    if (out == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "out is NULL");
    *out = NULL;
    rc = check_pulled(watch, err);
    if (rc < 0)
        return rc;
    if (etcd__fork_mark_passed(&watch->client->made))
        return etcd__error_set(err, ETCD_ERR_FORKED, "%s", etcd_error_text(ETCD_ERR_FORKED));
    if (atomic_load(&watch->canceled))
        return etcd__error_set(err, ETCD_ERR_CANCELED, "%s", etcd_error_text(ETCD_ERR_CANCELED));
    rc = etcd__mailbox_take(&watch->mailbox, timeout_ms, &response, err);
    if (rc < 0)
        return rc;
    etcd__watch_take(watch, response);
    *out = response;
    return ETCD_OK;
}

int etcd_watch_fd(etcd_watch *watch)
{
    int rc = check_pulled(watch, NULL);

    return rc < 0 ? rc : etcd__mailbox_fd(&watch->mailbox);
}

/* --- ending ----------------------------------------------------------------------------------- */

void etcd_watch_cancel(etcd_watch *watch)
{
    if (watch == NULL || etcd__fork_mark_passed(&watch->client->made) || atomic_exchange(&watch->canceled, true))
        return;
    (void)etcd__watch_ask(watch, ETCD__WATCH_DO_CANCEL);
}

/* What was asked of the driver and not done yet. The driver. */
static void take_back(etcd_watch *watch)
{
    uv_mutex_lock(&watch->client->shared.lock);
    etcd__list_remove(&watch->job.node);
    uv_mutex_unlock(&watch->client->shared.lock);
}

void etcd_watch_free(etcd_watch *watch)
{
    etcd_client *client;
    bool seated;

    if (watch == NULL)
        return;
    client = watch->client;
    if (!etcd__fork_mark_passed(&client->made)) {
        seated = etcd__driver_enter(client);
        take_back(watch);
        etcd__watch_leave(watch);
        etcd__driver_leave(client, seated);
    }
    destroy(watch);
    etcd__client_unref(client);
}

/* --- the rest --------------------------------------------------------------------------------- */

int etcd_watch_request_progress(etcd_watch *watch, etcd_error *err)
{
    int rc;

    if (watch == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "the watch is NULL");
    rc = etcd__client_check(watch->client, err);
    if (rc < 0)
        return rc;
    if (!etcd__watch_ask(watch, ETCD__WATCH_DO_PROGRESS))
        return etcd__error_set(err, ETCD_ERR_CLOSED, "%s", etcd_error_text(ETCD_ERR_CLOSED));
    etcd__error_clear(err);
    return ETCD_OK;
}

int64_t etcd_watch_position(const etcd_watch *watch)
{
    return watch ? etcd__watch_position(watch) : 0;
}

/* Copies as many bytes as the caller's struct has. */
static int give_stats(const etcd_watch_stats *full, etcd_watch_stats *stats, etcd_error *err)
{
    size_t size = stats->size;

    if (size < sizeof stats->size || size > 4096)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "etcd_watch_stats.size is not set");
    memset((char *)stats + sizeof stats->size, 0, size - sizeof stats->size);
    memcpy(stats, full, size < sizeof *full ? size : sizeof *full);
    stats->size = size;
    etcd__error_clear(err);
    return ETCD_OK;
}

int etcd_watch_get_stats(etcd_watch *watch, etcd_watch_stats *stats, etcd_error *err)
{
    etcd_watch_stats full = {.size = sizeof full};

    if (watch == NULL || stats == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "%s is NULL", watch ? "stats" : "the watch");
    if (etcd__fork_mark_passed(&watch->client->made))
        return etcd__error_set(err, ETCD_ERR_FORKED, "%s", etcd_error_text(ETCD_ERR_FORKED));
    full.watches = !atomic_load(&watch->ended);
    full.events = atomic_load(&watch->events);
    full.responses = atomic_load(&watch->responses);
    full.buffered_bytes = (int64_t)atomic_load(&watch->buffered);
    full.resumes = atomic_load(&watch->watcher.resumes);
    full.stalls = atomic_load(&watch->watcher.stalls);
    return give_stats(&full, stats, err);
}

int etcd_client_get_watch_stats(etcd_client *client, etcd_watch_stats *stats, etcd_error *err)
{
    etcd_watch_stats full = {.size = sizeof full};
    const etcd__watch_hub *hub;
    int rc = etcd__client_check(client, err);

    if (rc < 0)
        return rc;
    if (stats == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "stats is NULL");
    hub = atomic_load_explicit(&client->watch_hub, memory_order_acquire);
    if (hub == NULL)
        return give_stats(&full, stats, err);
    full.watches = atomic_load(&hub->watches);
    full.events = atomic_load(&hub->events);
    full.responses = atomic_load(&hub->responses);
    full.buffered_bytes = (int64_t)atomic_load(&hub->buffered);
    for (size_t i = 0; i < 2; i++) {
        full.resumes += atomic_load(&hub->streams[i].core.resumes);
        full.stalls += atomic_load(&hub->streams[i].core.stalls);
    }
    return give_stats(&full, stats, err);
}
