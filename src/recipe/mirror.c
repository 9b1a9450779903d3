/* Mirrors: a range in pages of one revision, then a watch from the next revision on. See <etcd3/mirror.h>; the contract, section
 * 1.16.
 *
 * A watch's response has the events of one or several revisions, each wholly: it is given away slice by slice. In the pulled form
 * `response` is the one that is being cut up; the callback form cuts within one call.
 *
 * GO-DIFF: the revision of the base is that of its first page, not of a read before it; progress is told, and kept, also when
 * nothing happens. */
#include <etcd3/mirror.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/options.h"

#include <stdatomic.h>
#include <string.h>

struct etcd_mirror {
    /* constant */
    etcd_client *client;
    etcd_range *range; /* also keeps the client's memory */
    char *prefix;
    size_t prefix_len;
    etcd_mirror_options options; /* `call` is not kept: the range has it */
    /* the consumer's */
    etcd_mirror_progress progress;
    etcd_get_fn page_done;
    void *page_arg;
    etcd_watch_response *response;
    size_t given; /* events of it */
    etcd_mirror_update update;
    etcd_mirror_update_fn fn; /* NULL: pulled form */
    void *arg;
    etcd_watch *called; /* of the callback form: set before its function can be called; NULL: not started */
    bool *freed;        /* set when the mirror is freed within the function of the program; NULL: not in there */
    /* any thread */
    _Atomic(etcd_watch *) pulled; /* of the pulled form */
    atomic_bool canceled;
};

void etcd_mirror_options_init(etcd_mirror_options *options, size_t size)
{
    etcd__options_init(options, size);
}

static int check_options(const etcd_mirror_options *o, etcd_error *err)
{
    if (o->revision < 0 || o->page_keys < 0 || o->buffer_bytes < 0)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "etcd_mirror_options: a number is negative");
    if (o->updates_only && o->revision == 0)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "updates_only needs the revision of the copy that they are for");
    return ETCD_OK;
}

int etcd_mirror_open(etcd_client *client, const char *prefix, size_t prefix_len, const etcd_mirror_options *options,
                     etcd_mirror **out, etcd_error *err)
{
    etcd_mirror *mirror;
    etcd_mirror_options *o;
    int rc;

    if (out == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "out is NULL");
    *out = NULL;
    mirror = etcd__calloc(1, sizeof *mirror);
    if (mirror == NULL)
        return etcd__error_no_memory(err);
    atomic_init(&mirror->pulled, NULL);
    atomic_init(&mirror->canceled, false);
    o = &mirror->options;
    rc = etcd__options_load(o, sizeof *o, options, "etcd_mirror_options", err);
    if (rc == ETCD_OK)
        rc = check_options(o, err);
    if (rc == ETCD_OK)
        rc = etcd_range_open(client, prefix, prefix_len,
                             ETCD_GET(.prefix = true, .limit = o->page_keys, .revision = o->revision, .call = o->call),
                             &mirror->range, err);
    if (rc == ETCD_OK && (mirror->prefix = etcd__strndup(prefix, prefix_len)) == NULL)
        rc = etcd__error_no_memory(err);
    if (rc < 0) {
        etcd_mirror_free(mirror);
        return rc;
    }
    o->call = NULL;
    mirror->client = client;
    mirror->prefix_len = prefix_len;
    mirror->progress.size = sizeof mirror->progress;
    mirror->progress.revision = o->revision;
    mirror->progress.base_done = o->updates_only;
    *out = mirror;
    return ETCD_OK;
}

static void tell_progress(const etcd_mirror *mirror)
{
    etcd_mirror_progress progress = mirror->progress;

    if (mirror->options.progress_fn != NULL)
        mirror->options.progress_fn(&progress, mirror->options.progress_arg);
}

/* --- the base --------------------------------------------------------------------------------- */

static void count_page(etcd_mirror *mirror, const etcd_get_response *page)
{
    mirror->progress.pages++;
    mirror->progress.keys += (int64_t)page->n_kvs;
    mirror->progress.revision = etcd_range_revision(mirror->range);
    mirror->progress.base_done = etcd_range_done(mirror->range);
    tell_progress(mirror);
}

static int check_page(const etcd_mirror *mirror, etcd_error *err)
{
    if (mirror == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "the mirror is NULL");
    return ETCD_OK;
}

int etcd_mirror_next_page(etcd_mirror *mirror, etcd_get_response **out, etcd_error *err)
{
    int rc;

    if (out == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "out is NULL");
    *out = NULL;
    rc = check_page(mirror, err);
    if (rc == ETCD_OK && mirror->progress.base_done) {
        etcd__error_clear(err);
        return ETCD_OK;
    }
    if (rc == ETCD_OK)
        rc = etcd_range_next(mirror->range, out, err);
    if (rc == ETCD_OK && *out != NULL)
        count_page(mirror, *out);
    return rc;
}

static void on_page(etcd_client *client, etcd_get_response *page, const etcd_error *err, void *arg)
{
    etcd_mirror *mirror = arg;

    if (page != NULL)
        count_page(mirror, page);
    mirror->page_done(client, page, err, mirror->page_arg); /* may free the mirror */
}

int etcd_mirror_next_page_async(etcd_mirror *mirror, etcd_get_fn done, void *arg, etcd_call_id *id, etcd_error *err)
{
    etcd_get_fn other_done;
    void *other_arg;
    int rc = check_page(mirror, err);

    if (id != NULL)
        *id = 0;
    if (rc == ETCD_OK && done == NULL)
        rc = etcd__error_set(err, ETCD_ERR_ARGUMENT, "done is NULL: pages are not delivered to the completion queue");
    if (rc == ETCD_OK && mirror->progress.base_done)
        rc = etcd__error_set(err, ETCD_ERR_ARGUMENT, "the base is done: see etcd_mirror_base_done()");
    if (rc < 0)
        return rc;
    other_done = mirror->page_done;
    other_arg = mirror->page_arg;
    mirror->page_done = done;
    mirror->page_arg = arg;
    rc = etcd_range_next_async(mirror->range, on_page, mirror, id, err);
    if (rc < 0) { /* perhaps another page is under way */
        mirror->page_done = other_done;
        mirror->page_arg = other_arg;
    }
    return rc;
}

bool etcd_mirror_base_done(const etcd_mirror *mirror)
{
    return mirror == NULL || mirror->progress.base_done;
}

/* --- updates ---------------------------------------------------------------------------------- */

static int check_updates(const etcd_mirror *mirror, etcd_error *err)
{
    if (mirror == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "the mirror is NULL");
    if (!mirror->progress.base_done)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "the base comes first: ask for pages until there is none");
    return ETCD_OK;
}

static void on_response(etcd_watch *watch, etcd_watch_response *response, const etcd_error *err, void *arg);

/* Starts to watch, unless that was done. In the callback form the mirror may be gone when this returns. */
static int start(etcd_mirror *mirror, etcd_error *err)
{
    const etcd_mirror_options *o = &mirror->options;
    const etcd_watch_options *options =
        ETCD_WATCH(.prefix = true, .start_revision = mirror->progress.revision + 1, .progress_notify = true,
                   .require_leader = o->require_leader, .buffer_bytes = o->buffer_bytes);
    etcd_watch *watch;
    int rc;

    if (atomic_load(&mirror->pulled) != NULL)
        return ETCD_OK;
    if (atomic_load(&mirror->canceled))
        return etcd__error_set(err, ETCD_ERR_CANCELED, "%s", etcd_error_text(ETCD_ERR_CANCELED));
    if (mirror->fn != NULL)
        return etcd_watch_start(mirror->client, mirror->prefix, mirror->prefix_len, options, on_response, mirror, &mirror->called,
                                err);
    rc = etcd_watch_open(mirror->client, mirror->prefix, mirror->prefix_len, options, &watch, err);
    if (rc < 0)
        return rc;
    atomic_store(&mirror->pulled, watch);
    if (atomic_load(&mirror->canceled)) /* by another thread, which may not have seen the watch */
        etcd_watch_cancel(watch);
    return ETCD_OK;
}

/* Cuts the events of the next revision off a response; `*given` of its events were cut off before. False: no more. */
static bool cut(etcd_mirror *mirror, const etcd_watch_response *response, size_t *given)
{
    size_t first = *given, end = first;

    if (response->type != ETCD_WATCH_EVENTS || first >= response->n_events)
        return false;
    while (end < response->n_events && response->events[end].kv->mod_revision == response->events[first].kv->mod_revision)
        end++;
    *given = end;
    mirror->update = (etcd_mirror_update){
        .revision = response->events[first].kv->mod_revision, .events = response->events + first, .n_events = end - first};
    mirror->progress.revision = mirror->update.revision;
    mirror->progress.updates++;
    mirror->progress.events += (int64_t)mirror->update.n_events;
    tell_progress(mirror);
    return true;
}

/* The server says how far all events have been given. */
static void note_progress(etcd_mirror *mirror, const etcd_watch_response *response)
{
    if (response->type != ETCD_WATCH_PROGRESS || response->revision <= mirror->progress.revision)
        return;
    mirror->progress.revision = response->revision;
    tell_progress(mirror);
}

static void drop_response(etcd_mirror *mirror)
{
    etcd_response_free(mirror->response);
    mirror->response = NULL;
    mirror->given = 0;
}

/* What is left of a timeout that began with `timeout_ms`. */
static int64_t left_of(int64_t timeout_ms, int64_t deadline)
{
    int64_t left;

    if (timeout_ms <= 0 || deadline == ETCD__NEVER)
        return timeout_ms;
    left = deadline - etcd__clock_monotonic();
    return left > 0 ? (left + ETCD__MS - 1) / ETCD__MS : 0;
}

static int pull(etcd_mirror *mirror, int64_t timeout_ms, etcd_error *err)
{
    int64_t deadline = etcd__clock_after(etcd__clock_monotonic(), etcd__clock_from_ms(timeout_ms));
    int rc;

    for (;;) {
        if (mirror->response != NULL && cut(mirror, mirror->response, &mirror->given))
            return ETCD_OK;
        drop_response(mirror);
        rc = etcd_watch_next(atomic_load(&mirror->pulled), left_of(timeout_ms, deadline), &mirror->response, err);
        if (rc < 0)
            return rc;
        note_progress(mirror, mirror->response);
    }
}

int etcd_mirror_next_update(etcd_mirror *mirror, int64_t timeout_ms, const etcd_mirror_update **out, etcd_error *err)
{
    int rc;

    if (out == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "out is NULL");
    *out = NULL;
    rc = check_updates(mirror, err);
    if (rc == ETCD_OK && mirror->fn != NULL)
        rc = etcd__error_set(err, ETCD_ERR_ARGUMENT, "the updates are given to a function: see etcd_mirror_start_updates()");
    if (rc == ETCD_OK)
        rc = start(mirror, err);
    if (rc == ETCD_OK)
        rc = pull(mirror, timeout_ms, err);
    if (rc < 0)
        return rc;
    *out = &mirror->update;
    etcd__error_clear(err);
    return ETCD_OK;
}

int etcd_mirror_fd(etcd_mirror *mirror)
{
    int rc = check_updates(mirror, NULL);

    if (rc == ETCD_OK && mirror->fn != NULL)
        rc = ETCD_ERR_ARGUMENT;
    if (rc == ETCD_OK)
        rc = start(mirror, NULL);
    return rc < 0 ? rc : etcd_watch_fd(atomic_load(&mirror->pulled));
}

static void on_response(etcd_watch *watch, etcd_watch_response *response, const etcd_error *err, void *arg)
{
    etcd_mirror *mirror = arg;
    bool freed = false;
    size_t given = 0;

    (void)watch;
    if (response == NULL) {
        mirror->fn(mirror, NULL, err, mirror->arg);
        return;
    }
    note_progress(mirror, response);
    mirror->freed = &freed;
    while (!freed && !atomic_load(&mirror->canceled) && cut(mirror, response, &given))
        mirror->fn(mirror, &mirror->update, NULL, mirror->arg);
    if (!freed)
        mirror->freed = NULL;
    etcd_response_free(response);
}

int etcd_mirror_start_updates(etcd_mirror *mirror, etcd_mirror_update_fn fn, void *arg, etcd_error *err)
{
    int rc = check_updates(mirror, err);

    if (rc == ETCD_OK && fn == NULL)
        rc = etcd__error_set(err, ETCD_ERR_ARGUMENT, "fn is NULL");
    if (rc == ETCD_OK && (mirror->fn != NULL || atomic_load(&mirror->pulled) != NULL))
        rc = etcd__error_set(err, ETCD_ERR_ARGUMENT, "the updates were started already");
    if (rc < 0)
        return rc;
    mirror->fn = fn;
    mirror->arg = arg;
    rc = start(mirror, err);
    if (rc < 0)
        mirror->fn = NULL;
    return rc;
}

/* --- how far, and the end --------------------------------------------------------------------- */

int etcd_mirror_get_progress(const etcd_mirror *mirror, etcd_mirror_progress *progress, etcd_error *err)
{
    etcd_mirror_progress now;
    size_t size;

    if (mirror == NULL || progress == NULL || progress->size < sizeof progress->size)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "the mirror or progress is NULL, or progress->size is not set");
    size = progress->size < sizeof now ? progress->size : sizeof now;
    now = mirror->progress;
    now.size = progress->size;
    memcpy(progress, &now, size);
    etcd__error_clear(err);
    return ETCD_OK;
}

int64_t etcd_mirror_revision(const etcd_mirror *mirror)
{
    return mirror ? mirror->progress.revision : 0;
}

void etcd_mirror_cancel(etcd_mirror *mirror)
{
    etcd_watch *watch;

    if (mirror == NULL)
        return;
    atomic_store(&mirror->canceled, true);
    watch = mirror->called ? mirror->called : atomic_load(&mirror->pulled);
    if (watch != NULL)
        etcd_watch_cancel(watch);
}

void etcd_mirror_free(etcd_mirror *mirror)
{
    if (mirror == NULL)
        return;
    etcd_watch_free(mirror->called); /* waits while the function runs on another thread */
    etcd_watch_free(atomic_load(&mirror->pulled));
    if (mirror->freed != NULL)
        *mirror->freed = true;
    drop_response(mirror);
    etcd_range_free(mirror->range);
    etcd__free(mirror->prefix);
    etcd__free(mirror);
}
