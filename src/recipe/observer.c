/* Observing an election. See <etcd3/election.h>.
 *
 * One list of all candidates, then a watch on all of them from there on: so the leader is known at each revision, whoever
 * comes and goes. When the watch falls behind the server's compaction it begins again with a list.
 *
 * GO-DIFF: the Go client tells nothing when nobody leads (google/trillian issue 1387), and may take the first put that it sees
 * for that of the leader (etcd issue 18163). */
#include <etcd3/election.h>
#include <etcd3/watch.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/list.h"
#include "base/options.h"
#include "base/response.h"
#include "recipe/candidates.h"
#include "recipe/gate.h"

#include <string.h>

#define KEPT 64 /* reports not taken */
#define RETRY_MS 200

struct etcd_observer {
    etcd__gate gate;
    /* constant */
    char *prefix; /* with the "/" */
    size_t prefix_len;
    bool require_leader;
    etcd_observer_fn fn; /* NULL: pulled */
    void *arg;
    /* the driver */
    etcd__candidates candidates;
    bool has_told;
    int64_t told_create, told_mod; /* of the leader last told; 0: nobody */
    int64_t seen;                  /* revision up to which all is known */
    /* under the lock */
    unsigned refs; /* the handle, and what goes on on the driver */
    etcd__callbacks callbacks;
    bool canceled, ended;
    etcd_error reason;
    etcd_call_id step;
    etcd_watch *watch;
    etcd_observer_response **reports; /* a ring of KEPT */
    size_t first, n;
    etcd__beacon beacon;
};

static int list(etcd_observer *observer, int64_t delay_ms, etcd_error *err);

void etcd_observer_options_init(etcd_observer_options *options, size_t size)
{
    etcd__options_init(options, size);
}

/* --- memory ----------------------------------------------------------------------------------- */

static void destroy(etcd_observer *observer)
{
    etcd_watch_free(observer->watch);
    for (size_t i = 0; i < observer->n; i++)
        etcd_response_free(observer->reports[(observer->first + i) % KEPT]);
    etcd__free(observer->reports);
    etcd__candidates_clear(&observer->candidates);
    etcd__free(observer->prefix);
    etcd__beacon_close(&observer->beacon);
    etcd__gate_destroy(&observer->gate);
    etcd__free(observer);
}

static void unref(etcd_observer *observer)
{
    bool last;

    uv_mutex_lock(&observer->gate.lock);
    last = --observer->refs == 0;
    uv_mutex_unlock(&observer->gate.lock);
    if (last)
        destroy(observer);
}

/* --- reports ---------------------------------------------------------------------------------- */

static bool copy_bytes(etcd__arena *arena, const char *data, size_t len, etcd_bytes *out)
{
    char *copy = etcd__arena_alloc(arena, len + 1);

    if (copy == NULL)
        return false;
    memcpy(copy, data, len);
    copy[len] = '\0';
    *out = (etcd_bytes){copy, len};
    return true;
}

static etcd_observer_response *make_report(const etcd_response_header *header, const etcd__candidate *leader)
{
    etcd_observer_response *response = etcd__response_new(sizeof *response);
    etcd_kv *kv = NULL;

    if (response == NULL)
        return NULL;
    response->header = *header;
    if (leader == NULL)
        return response;
    kv = etcd__arena_calloc(etcd__response_arena(response), 1, sizeof *kv);
    if (kv == NULL || !copy_bytes(etcd__response_arena(response), leader->key, leader->key_len, &kv->key) ||
        !copy_bytes(etcd__response_arena(response), leader->value, leader->value_len, &kv->value)) {
        etcd_response_free(response);
        return NULL;
    }
    kv->create_revision = leader->create_revision;
    kv->mod_revision = leader->mod_revision;
    kv->version = leader->version;
    kv->lease = leader->lease;
    response->leader = kv;
    return response;
}

static void call_program(etcd_observer *observer, etcd_observer_response *response, const etcd_error *err)
{
    if (!etcd__callbacks_enter(&observer->gate, &observer->callbacks)) {
        etcd_response_free(response);
        return;
    }
    observer->fn(observer, response, err, observer->arg);
    etcd__callbacks_leave(&observer->gate, &observer->callbacks);
}

/* For the pulled form. Of too many the oldest goes. */
static void keep_report(etcd_observer *observer, etcd_observer_response *response)
{
    etcd_observer_response *oldest = NULL;

    uv_mutex_lock(&observer->gate.lock);
    if (observer->n == KEPT) {
        oldest = observer->reports[observer->first];
        observer->first = (observer->first + 1) % KEPT;
        observer->n--;
    }
    observer->reports[(observer->first + observer->n++) % KEPT] = response;
    etcd__beacon_set(&observer->beacon, true);
    uv_cond_broadcast(&observer->gate.changed);
    uv_mutex_unlock(&observer->gate.lock);
    etcd_response_free(oldest);
}

/* Tells the program if there is another leader, or it has another value, than it was told last. */
static int tell_news(etcd_observer *observer, const etcd_response_header *header, int64_t revision)
{
    const etcd__candidate *leader = etcd__candidates_first(&observer->candidates);
    const int64_t create = leader ? leader->create_revision : 0, mod = leader ? leader->mod_revision : 0;
    etcd_observer_response *response;
    etcd_response_header at = *header;

    if (observer->has_told && create == observer->told_create && mod == observer->told_mod)
        return ETCD_OK;
    at.revision = revision;
    response = make_report(&at, leader);
    if (response == NULL)
        return ETCD_ERR_NO_MEMORY;
    observer->has_told = true;
    observer->told_create = create;
    observer->told_mod = mod;
    if (observer->fn != NULL)
        call_program(observer, response, NULL);
    else
        keep_report(observer, response);
    return ETCD_OK;
}

/* --- on the driver ---------------------------------------------------------------------------- */

/* The last that the driver does with it: drops its reference. */
static void end(etcd_observer *observer, const etcd_error *err)
{
    etcd_watch *watch;

    uv_mutex_lock(&observer->gate.lock);
    observer->ended = true;
    observer->reason = *err;
    watch = observer->watch;
    observer->watch = NULL;
    etcd__beacon_set(&observer->beacon, true);
    uv_cond_broadcast(&observer->gate.changed);
    uv_mutex_unlock(&observer->gate.lock);
    if (observer->fn != NULL)
        call_program(observer, NULL, &observer->reason);
    etcd_watch_free(watch);
    unref(observer);
}

static void end_without_memory(etcd_observer *observer)
{
    etcd_error err;

    etcd__error_no_memory(&err);
    end(observer, &err);
}

static bool is_canceled(etcd_observer *observer)
{
    bool canceled;

    uv_mutex_lock(&observer->gate.lock);
    canceled = observer->canceled;
    uv_mutex_unlock(&observer->gate.lock);
    return canceled;
}

/* The watch is gone at the server: from the start. */
static void begin_again(etcd_observer *observer)
{
    etcd_watch *watch;
    etcd_error err;

    uv_mutex_lock(&observer->gate.lock);
    watch = observer->watch;
    observer->watch = NULL;
    uv_mutex_unlock(&observer->gate.lock);
    etcd_watch_free(watch);
    if (list(observer, 0, &err) < 0)
        end(observer, &err);
}

static int take_event(etcd_observer *observer, const etcd_event *event)
{
    if (event->type == ETCD_EVENT_PUT)
        return etcd__candidates_put(&observer->candidates, event->kv);
    etcd__candidates_delete(&observer->candidates, &event->kv->key);
    return ETCD_OK;
}

/* The leader is looked at after each revision. */
static int take_events(etcd_observer *observer, const etcd_watch_response *response)
{
    int rc = ETCD_OK;

    for (size_t i = 0; i < response->n_events && rc == ETCD_OK; i++) {
        int64_t revision = response->events[i].kv->mod_revision;

        rc = take_event(observer, &response->events[i]);
        if (rc == ETCD_OK && (i + 1 == response->n_events || response->events[i + 1].kv->mod_revision != revision) &&
            !is_canceled(observer))
            rc = tell_news(observer, &response->header, revision);
    }
    return rc;
}

static void on_watch(etcd_watch *watch, etcd_watch_response *response, const etcd_error *err, void *arg)
{
    etcd_observer *observer = arg;
    int rc;

    (void)watch;
    if (response == NULL && err->code == ETCD_ERR_COMPACTED && !is_canceled(observer)) {
        begin_again(observer);
        return;
    }
    if (response == NULL) {
        const etcd_error reason = *err;

        end(observer, &reason);
        return;
    }
    uv_mutex_lock(&observer->gate.lock);
    observer->refs++; /* the program may free it */
    uv_mutex_unlock(&observer->gate.lock);
    rc = take_events(observer, response);
    etcd_response_free(response);
    if (rc < 0)
        end_without_memory(observer);
    unref(observer);
}

static int start_watch(etcd_observer *observer, etcd_error *err)
{
    etcd_watch *watch;
    int rc = etcd_watch_start(
        observer->gate.client, observer->prefix, observer->prefix_len,
        ETCD_WATCH(.prefix = true, .start_revision = observer->seen + 1, .require_leader = observer->require_leader), on_watch,
        observer, &watch, err);

    if (rc < 0)
        return rc;
    uv_mutex_lock(&observer->gate.lock);
    observer->watch = watch;
    if (observer->canceled)
        etcd_watch_cancel(watch);
    uv_mutex_unlock(&observer->gate.lock);
    return ETCD_OK;
}

static int take_list(etcd_observer *observer, const etcd_get_response *response)
{
    int rc = ETCD_OK;

    etcd__candidates_clear(&observer->candidates);
    for (size_t i = 0; i < response->n_kvs && rc == ETCD_OK; i++)
        rc = etcd__candidates_put(&observer->candidates, &response->kvs[i]);
    observer->seen = response->header.revision;
    return rc == ETCD_OK ? tell_news(observer, &response->header, response->header.revision) : rc;
}

static void on_list(etcd_client *client, etcd_get_response *response, const etcd_error *failure, void *arg)
{
    etcd_observer *observer = arg;
    etcd_error err;
    int rc;

    (void)client;
    uv_mutex_lock(&observer->gate.lock); /* behind etcd_observer_start() */
    observer->step = 0;
    uv_mutex_unlock(&observer->gate.lock);
    if (is_canceled(observer)) {
        rc = etcd__error_set(&err, ETCD_ERR_CANCELED, "%s", etcd_error_text(ETCD_ERR_CANCELED));
    } else if (response != NULL) {
        rc = take_list(observer, response);
        if (rc < 0)
            etcd__error_no_memory(&err);
        else
            rc = start_watch(observer, &err);
    } else if ((failure->flags & ETCD_ERROR_RETRYABLE) && failure->code != ETCD_ERR_CLOSED) {
        rc = list(observer, RETRY_MS, &err);
    } else {
        err = *failure;
        rc = err.code;
    }
    etcd_response_free(response);
    if (rc < 0)
        end(observer, &err);
}

static int list(etcd_observer *observer, int64_t delay_ms, etcd_error *err)
{
    int rc;

    uv_mutex_lock(&observer->gate.lock);
    rc = etcd_get_async(
        observer->gate.client, observer->prefix, observer->prefix_len,
        ETCD_GET(.prefix = true, .call = ETCD_CALL(.delay_ms = delay_ms, .require_leader = observer->require_leader)), on_list,
        observer, &observer->step, err);
    uv_mutex_unlock(&observer->gate.lock);
    return rc;
}

/* --- the handle ------------------------------------------------------------------------------- */

static int make(etcd_client *client, const char *name, size_t name_len, bool pulled, etcd_observer **out, etcd_error *err)
{
    etcd_observer *observer = NULL;
    int rc;

    if (name == NULL && name_len > 0)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "the name is NULL");
    observer = etcd__calloc(1, sizeof *observer);
    if (observer == NULL)
        return etcd__error_no_memory(err);
    rc = etcd__gate_init(&observer->gate, client, err);
    if (rc < 0) {
        etcd__free(observer);
        return rc;
    }
    observer->prefix_len = name_len + 1;
    observer->prefix = etcd__malloc(name_len + 1);
    observer->reports = pulled ? etcd__calloc(KEPT, sizeof *observer->reports) : NULL;
    if (observer->prefix == NULL || (pulled && observer->reports == NULL)) {
        destroy(observer);
        return etcd__error_no_memory(err);
    }
    if (name_len > 0)
        memcpy(observer->prefix, name, name_len);
    observer->prefix[name_len] = '/';
    observer->refs = 2;
    *out = observer;
    return ETCD_OK;
}

static int start(etcd_client *client, const char *name, size_t name_len, const etcd_observer_options *options,
                 etcd_observer_fn fn, void *arg, etcd_observer **out, etcd_error *err)
{
    etcd_observer_options o;
    etcd_observer *observer = NULL;
    int rc;

    if (out == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "out is NULL");
    *out = NULL;
    rc = etcd__options_load(&o, sizeof o, options, "etcd_observer_options", err);
    if (rc == ETCD_OK)
        rc = make(client, name, name_len, fn == NULL, &observer, err);
    if (rc < 0)
        return rc;
    observer->fn = fn;
    observer->arg = arg;
    observer->require_leader = o.require_leader;
    *out = observer; /* which `fn` may free */
    rc = list(observer, 0, err);
    if (rc < 0) {
        *out = NULL;
        destroy(observer);
        return rc;
    }
    etcd__error_clear(err);
    return ETCD_OK;
}

int etcd_observer_open(etcd_client *client, const char *name, size_t name_len, const etcd_observer_options *options,
                       etcd_observer **out, etcd_error *err)
{
    return start(client, name, name_len, options, NULL, NULL, out, err);
}

int etcd_observer_start(etcd_client *client, const char *name, size_t name_len, const etcd_observer_options *options,
                        etcd_observer_fn fn, void *arg, etcd_observer **out, etcd_error *err)
{
    if (fn == NULL) {
        if (out != NULL)
            *out = NULL;
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "fn is NULL: etcd_observer_open() is the pulled form");
    }
    return start(client, name, name_len, options, fn, arg, out, err);
}

static int check_pulled(const etcd_observer *observer, etcd_error *err)
{
    int rc;

    if (observer == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "the observer is NULL");
    rc = etcd__gate_check(&observer->gate, err);
    if (rc == ETCD_OK && observer->fn != NULL)
        rc = etcd__error_set(err, ETCD_ERR_ARGUMENT, "the observer was started with a function, which gets the reports");
    return rc;
}

/* What there is without waiting. Lock held. */
static int take(etcd_observer *observer, etcd_observer_response **out, etcd_error *err)
{
    int rc = ETCD_OK;

    if (observer->canceled) {
        rc = etcd__error_set(err, ETCD_ERR_CANCELED, "%s", etcd_error_text(ETCD_ERR_CANCELED));
    } else if (observer->n > 0) {
        *out = observer->reports[observer->first];
        observer->first = (observer->first + 1) % KEPT;
        observer->n--;
    } else if (observer->ended) {
        if (err != NULL)
            *err = observer->reason;
        rc = observer->reason.code;
    } else {
        rc = etcd__error_set(err, ETCD_ERR_TIMED_OUT, "%s", etcd_error_text(ETCD_ERR_TIMED_OUT));
    }
    etcd__beacon_set(&observer->beacon, observer->n > 0 || observer->ended || observer->canceled);
    return rc;
}

static int64_t left_ms(int64_t until)
{
    int64_t left = until - etcd__clock_monotonic();

    if (until == ETCD__NEVER)
        return -1;
    return left > 0 ? (left + ETCD__MS - 1) / ETCD__MS : 0;
}

/* Waits for anything. Returns ETCD_OK: look again. Lock held, but not meanwhile. */
static int wait_a_while(etcd_observer *observer, bool manual, int64_t until)
{
    int64_t left = left_ms(until);
    int rc = ETCD_OK;

    if (left == 0)
        return ETCD_ERR_TIMED_OUT;
    if (manual) {
        uv_mutex_unlock(&observer->gate.lock);
        rc = etcd_client_process(observer->gate.client, left, NULL);
        uv_mutex_lock(&observer->gate.lock);
    } else if (left < 0) {
        uv_cond_wait(&observer->gate.changed, &observer->gate.lock);
    } else {
        (void)uv_cond_timedwait(&observer->gate.changed, &observer->gate.lock, (uint64_t)(left * ETCD__MS));
    }
    return rc;
}

int etcd_observer_next(etcd_observer *observer, int64_t timeout_ms, etcd_observer_response **out, etcd_error *err)
{
    const int64_t until = etcd__clock_after(etcd__clock_monotonic(), etcd__clock_from_ms(timeout_ms));
    bool manual = false;
    int rc, may_wait = ETCD_OK;

    if (out == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "out is NULL");
    *out = NULL;
    rc = check_pulled(observer, err);
    if (rc < 0)
        return rc;
    uv_mutex_lock(&observer->gate.lock);
    rc = take(observer, out, err);
    uv_mutex_unlock(&observer->gate.lock);
    if (rc == ETCD_OK)
        etcd__error_clear(err);
    if (rc != ETCD_ERR_TIMED_OUT)
        return rc;
    may_wait = etcd__gate_may_wait(observer->gate.client, &manual, timeout_ms != 0 ? err : NULL);
    if (may_wait < 0 && may_wait != ETCD_ERR_CLOSED)
        return timeout_ms != 0 ? may_wait : rc;
    uv_mutex_lock(&observer->gate.lock);
    while ((rc = take(observer, out, err)) == ETCD_ERR_TIMED_OUT && wait_a_while(observer, manual, until) == ETCD_OK)
        continue;
    uv_mutex_unlock(&observer->gate.lock);
    if (rc == ETCD_OK)
        etcd__error_clear(err);
    return rc;
}

int etcd_observer_fd(etcd_observer *observer)
{
    int fd, rc = check_pulled(observer, NULL);

    if (rc < 0)
        return rc;
    uv_mutex_lock(&observer->gate.lock);
    fd = etcd__beacon_fd(&observer->beacon);
    uv_mutex_unlock(&observer->gate.lock);
    return fd;
}

void etcd_observer_cancel(etcd_observer *observer)
{
    if (observer == NULL || etcd__gate_check(&observer->gate, NULL) < 0)
        return;
    uv_mutex_lock(&observer->gate.lock);
    if (!observer->canceled && !observer->ended) {
        observer->canceled = true;
        (void)etcd_call_cancel(observer->gate.client, observer->step);
        if (observer->watch != NULL)
            etcd_watch_cancel(observer->watch);
        etcd__beacon_set(&observer->beacon, true);
        uv_cond_broadcast(&observer->gate.changed);
    }
    uv_mutex_unlock(&observer->gate.lock);
}

void etcd_observer_free(etcd_observer *observer)
{
    if (observer == NULL)
        return;
    if (etcd__gate_check(&observer->gate, NULL) < 0) {
        destroy(observer);
        return;
    }
    etcd_observer_cancel(observer);
    etcd__callbacks_shut(&observer->gate, &observer->callbacks);
    unref(observer);
}
