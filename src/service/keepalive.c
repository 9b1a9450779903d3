/* Handles of leases that are kept alive. See <etcd3/keepalive.h>; the work is done by service/keepalive_core.h.
 *
 * The driver runs the core; a handle is shared with it in three ways: `deadline` is atomic, `queued` and `cancel` are
 * atomic doors to the driver, and what the consumer of the pulled form and the driver both touch (`pulled`, `code`, `why`)
 * is under the client's lock. The mailbox is made when the consumer first asks, so that a lease of which nobody wants to
 * see each beat stays small. */
#include <etcd3/keepalive.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/options.h"
#include "base/response.h"
#include "client/client.h"
#include "client/mailbox.h"
#include "service/keepalive_hub.h"

#define KEEP_ANSWERS 16
#define DELIVER_MOST 64 /* callbacks in a row */
#define TTL_MAX_S (INT64_MAX / 4 / ETCD__SECOND)

struct etcd_keepalive {
    etcd__keepalive_user user; /* io; before it has joined `lease` is the room that the handle brings along */
    etcd_client *client;
    etcd__job job;
    _Atomic(int64_t) deadline; /* boot ns; 0: not surely held */
    int64_t lease;
    etcd_error *why;    /* under the lock; of the end. NULL when there was no memory for it */
    int16_t code;       /* under the lock; ETCD_OK while it goes on */
    bool with_callback; /* constant */
    bool joined;        /* io */
    bool finished;      /* io: has ended */
    bool told;          /* io: the callback has heard of it */
    atomic_bool queued; /* the job waits for the driver */
    atomic_bool cancel;
    union {
        struct { /* io */
            etcd_keepalive_fn fn;
            void *arg;
            etcd__list ready; /* in the hub's, when the callback has something to hear */
            etcd_keepalive_response *answer;
        } called;
        struct {                         /* under the lock */
            etcd__mailbox *mailbox;      /* NULL: the consumer has not asked yet. Written by it */
            etcd_response_header header; /* until then: of the newest answer */
            int64_t ttl_s;               /* of the newest; 0: none */
        } pulled;
    } form;
};

_Static_assert(sizeof(struct etcd_keepalive) + sizeof(etcd__keepalive_lease) <= 224,
               "a lease costs at most 256 bytes with its bucket");

static etcd_keepalive *handle_of(etcd__keepalive_user *user)
{
    return ETCD__CONTAINER_OF(user, etcd_keepalive, user);
}

static void lock(etcd_keepalive *keepalive)
{
    uv_mutex_lock(&keepalive->client->shared.lock);
}

static void unlock(etcd_keepalive *keepalive)
{
    uv_mutex_unlock(&keepalive->client->shared.lock);
}

/* --- handles: what the core tells them -------------------------------------------------------- */

static etcd_keepalive_response *copy_of(const etcd_keepalive_response *answer)
{
    etcd_keepalive_response *copy = etcd__response_new(sizeof *copy);

    if (copy != NULL)
        *copy = *answer;
    return copy;
}

void etcd__keepalive_handle_held(etcd__keepalive_user *user, int64_t deadline)
{
    atomic_store_explicit(&handle_of(user)->deadline, deadline, memory_order_relaxed);
}

/* Room for one among the last KEEP_ANSWERS. A beat that there is no memory for is not seen; the lease lives all the same. */
static void put(etcd__mailbox *mailbox, const etcd_keepalive_response *answer)
{
    etcd_keepalive_response *copy = copy_of(answer);

    if (copy == NULL)
        return;
    if (etcd__mailbox_count(mailbox) >= KEEP_ANSWERS)
        (void)etcd__mailbox_drop_oldest(mailbox);
    if (etcd__mailbox_put(mailbox, copy, sizeof *copy) < 0)
        etcd_response_free(copy);
}

static void make_ready(etcd_keepalive *keepalive)
{
    etcd__keepalive_hub *h = etcd__keepalive_hub_find(keepalive->client);

    etcd__list_remove(&keepalive->form.called.ready);
    etcd__list_push_back(&h->ready, &keepalive->form.called.ready);
    etcd__loop_defer(h->client->io.loop, &h->dispatch);
}

void etcd__keepalive_handle_answer(etcd__keepalive_user *user, const etcd_keepalive_response *answer)
{
    etcd_keepalive *keepalive = handle_of(user);
    etcd__mailbox *mailbox;

    if (keepalive->with_callback) {
        etcd_response_free(keepalive->form.called.answer); /* the callback is late by a whole beat */
        keepalive->form.called.answer = copy_of(answer);
        make_ready(keepalive);
        return;
    }
    lock(keepalive);
    mailbox = keepalive->form.pulled.mailbox;
    if (mailbox == NULL)
        keepalive->form.pulled.header = answer->header, keepalive->form.pulled.ttl_s = answer->ttl_s;
    unlock(keepalive);
    if (mailbox != NULL)
        put(mailbox, answer);
}

/* What comes in between is of no use any more: the loss is seen first. */
static void end_handle(etcd_keepalive *keepalive, const etcd_error *why)
{
    etcd_error *copy = etcd__malloc(sizeof *copy);
    etcd__mailbox *mailbox = NULL;

    if (copy != NULL)
        *copy = *why;
    atomic_store(&keepalive->deadline, 0);
    keepalive->finished = true;
    lock(keepalive);
    keepalive->code = (int16_t)why->code;
    keepalive->why = copy;
    if (!keepalive->with_callback)
        mailbox = keepalive->form.pulled.mailbox;
    unlock(keepalive);
    if (mailbox != NULL)
        etcd__mailbox_end(mailbox, why, true);
}

void etcd__keepalive_handle_end(etcd__keepalive_user *user, const etcd_error *why)
{
    etcd_keepalive *keepalive = handle_of(user);

    end_handle(keepalive, why);
    if (keepalive->with_callback)
        make_ready(keepalive);
}

/* Tells the callback of a handle without a hub of its end, at once. It may be freed then. */
static void tell_end(etcd_keepalive *keepalive)
{
    etcd_client *client = keepalive->client;
    etcd_error why;

    if (keepalive->why != NULL)
        why = *keepalive->why;
    else
        etcd__error_set(&why, keepalive->code, "%s", etcd_error_text(keepalive->code));
    keepalive->told = true;
    etcd__driver_begin_callback(client);
    keepalive->form.called.fn(keepalive, NULL, &why, keepalive->form.called.arg);
    etcd__driver_end_callback(client);
}

/* Tells the callback what it has to hear: the answer before the end. */
static void tell(etcd__keepalive_hub *h, etcd_keepalive *keepalive)
{
    etcd_keepalive_response *answer = keepalive->form.called.answer;

    keepalive->form.called.answer = NULL;
    if (answer != NULL && !keepalive->finished) {
        etcd__driver_begin_callback(h->client);
        keepalive->form.called.fn(keepalive, answer, NULL, keepalive->form.called.arg);
        etcd__driver_end_callback(h->client);
        return;
    }
    etcd_response_free(answer);
    if (keepalive->finished && !keepalive->told)
        tell_end(keepalive);
}

void etcd__keepalive_handles_tell(etcd__keepalive_hub *h)
{
    etcd_client *client = h->client;
    etcd__list *node;

    for (int i = 0; i < DELIVER_MOST && (node = etcd__list_pop_front(&h->ready)) != NULL; i++)
        tell(h, ETCD__CONTAINER_OF(node, etcd_keepalive, form.called.ready));
    etcd__driver_start_submitted(client);
    if (!etcd__list_empty(&h->ready))
        etcd__loop_defer(client->io.loop, &h->dispatch);
}

/* --- handles: what they ask of the driver ------------------------------------------------------ */

static void join(etcd__keepalive_hub *h, etcd_keepalive *keepalive)
{
    int64_t deadline = atomic_load(&keepalive->deadline);
    etcd__keepalive_lease *room = keepalive->user.lease;

    keepalive->user.lease = NULL;
    etcd__keepalive_core_join(&h->core, &keepalive->user, keepalive->lease, room, deadline > 0 ? deadline : ETCD__NEVER,
                              etcd__clock_boot());
}

static void finish(etcd_keepalive *keepalive, int code)
{
    etcd_error why;

    if (keepalive->finished)
        return;
    etcd__error_set(&why, code, "%s", etcd_error_text(code));
    end_handle(keepalive, &why);
    if (!keepalive->with_callback)
        return;
    if (etcd__keepalive_hub_find(keepalive->client) != NULL)
        make_ready(keepalive);
    else
        tell_end(keepalive);
}

/* The driver: does what the handle's owner asked for. */
static void on_job(etcd__job *job)
{
    etcd_keepalive *keepalive = ETCD__CONTAINER_OF(job, etcd_keepalive, job);
    etcd__keepalive_hub *h = etcd__keepalive_hub_find(keepalive->client);

    atomic_store(&keepalive->queued, false); /* before it is looked what there is to do */
    if (keepalive->finished)
        return;
    if (!keepalive->joined) {
        if (h == NULL && (h = etcd__keepalive_hub_make(keepalive->client)) == NULL) {
            finish(keepalive, ETCD_ERR_NO_MEMORY);
            return;
        }
        if (h->closed) {
            finish(keepalive, ETCD_ERR_CLOSED);
            return;
        }
        keepalive->joined = true;
        join(h, keepalive);
    }
    if (atomic_load(&keepalive->cancel)) {
        etcd__keepalive_core_leave(&h->core, &keepalive->user);
        finish(keepalive, ETCD_ERR_CANCELED);
    }
    etcd__keepalive_hub_touch(h);
}

/* Has the driver look at the handle. False when the client is closed. */
static bool ask_driver(etcd_keepalive *keepalive)
{
    return atomic_exchange(&keepalive->queued, true) || etcd__driver_post(keepalive->client, &keepalive->job);
}

/* --- handles: making -------------------------------------------------------------------------- */

void etcd_keepalive_options_init(etcd_keepalive_options *options, size_t size)
{
    etcd__options_init(options, size);
}

static int check_arguments(const etcd_client *client, int64_t lease, const etcd_keepalive_options *given,
                           etcd_keepalive_options *options, etcd_error *err)
{
    int rc = etcd__client_check(client, err);

    if (rc == ETCD_OK)
        rc = etcd__options_load(options, sizeof *options, given, "etcd_keepalive_options", err);
    if (rc == ETCD_OK && lease == 0)
        rc = etcd__error_set(err, ETCD_ERR_ARGUMENT, "lease is 0: no lease has this id");
    if (rc == ETCD_OK && options->elapsed_ms < 0)
        rc = etcd__error_set(err, ETCD_ERR_ARGUMENT, "etcd_keepalive_options.elapsed_ms is %lld: negative",
                             (long long)options->elapsed_ms);
    if (rc == ETCD_OK && options->ttl_s < 0)
        rc = etcd__error_set(err, ETCD_ERR_ARGUMENT, "etcd_keepalive_options.ttl_s is %lld: negative", (long long)options->ttl_s);
    return rc;
}

/* 0: not known. One that has passed is just that: the driver will see to it. */
static int64_t first_deadline(const etcd_keepalive_options *options)
{
    const int64_t ttl = (options->ttl_s < TTL_MAX_S ? options->ttl_s : TTL_MAX_S) * ETCD__SECOND;
    const int64_t left = options->elapsed_ms < ttl / ETCD__MS ? ttl - options->elapsed_ms * ETCD__MS : 0;

    return options->ttl_s == 0 ? 0 : etcd__clock_boot() + left;
}

static etcd_keepalive *make_handle(etcd_client *client, int64_t lease)
{
    etcd_keepalive *keepalive = etcd__calloc(1, sizeof *keepalive);
    etcd__keepalive_lease *room = etcd__malloc(sizeof *room);

    if (keepalive == NULL || room == NULL) {
        etcd__free(keepalive);
        etcd__free(room);
        return NULL;
    }
    etcd__client_ref(client);
    keepalive->client = client;
    keepalive->user.lease = room;
    keepalive->lease = lease;
    etcd__list_init(&keepalive->job.node);
    keepalive->job.fn = on_job;
    return keepalive;
}

static bool is_forked(const etcd_keepalive *keepalive)
{
    return etcd__fork_mark_passed(&keepalive->client->made);
}

/* Releases what the handle has; it is in no list any more. In a child after fork(), too. */
static void free_handle(etcd_keepalive *keepalive)
{
    etcd__mailbox *mailbox;

    if (!keepalive->joined)
        etcd__free(keepalive->user.lease);
    if (keepalive->with_callback) {
        etcd_response_free(keepalive->form.called.answer);
    } else if ((mailbox = keepalive->form.pulled.mailbox) != NULL) {
        etcd__mailbox_free(mailbox);
        etcd__free(mailbox);
    }
    etcd__free(keepalive->why);
    etcd__client_unref(keepalive->client);
    etcd__free(keepalive);
}

static int start(etcd_client *client, int64_t lease, const etcd_keepalive_options *given, etcd_keepalive_fn fn, void *arg,
                 etcd_keepalive **out, etcd_error *err)
{
    etcd_keepalive_options options;
    etcd_keepalive *keepalive;
    int rc;

    if (out == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "out is NULL");
    *out = NULL;
    rc = check_arguments(client, lease, given, &options, err);
    if (rc < 0)
        return rc;
    keepalive = make_handle(client, lease);
    if (keepalive == NULL)
        return etcd__error_no_memory(err);
    atomic_init(&keepalive->deadline, first_deadline(&options));
    keepalive->with_callback = fn != NULL;
    if (fn != NULL) {
        keepalive->form.called.fn = fn;
        keepalive->form.called.arg = arg;
        etcd__list_init(&keepalive->form.called.ready);
    }
    etcd__error_clear(err);
    *out = keepalive; /* before the callback can run */
    if (ask_driver(keepalive))
        return ETCD_OK;
    *out = NULL;
    free_handle(keepalive);
    return etcd__error_set(err, ETCD_ERR_CLOSED, "%s", etcd_error_text(ETCD_ERR_CLOSED));
}

int etcd_keepalive_open(etcd_client *client, int64_t lease, const etcd_keepalive_options *options, etcd_keepalive **out,
                        etcd_error *err)
{
    return start(client, lease, options, NULL, NULL, out, err);
}

int etcd_keepalive_start(etcd_client *client, int64_t lease, const etcd_keepalive_options *options, etcd_keepalive_fn fn,
                         void *arg, etcd_keepalive **out, etcd_error *err)
{
    if (fn == NULL) {
        if (out != NULL)
            *out = NULL;
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "fn is NULL");
    }
    return start(client, lease, options, fn, arg, out, err);
}

/* --- handles: use ----------------------------------------------------------------------------- */

/* A mailbox with what the handle has so far. Lock held. */
static void publish(etcd_keepalive *keepalive, etcd__mailbox *mailbox)
{
    const etcd_keepalive_response newest = {keepalive->form.pulled.header, keepalive->lease, keepalive->form.pulled.ttl_s};
    etcd_error plain;

    if (keepalive->code != ETCD_OK) {
        etcd__error_set(&plain, keepalive->code, "%s", etcd_error_text(keepalive->code));
        etcd__mailbox_end(mailbox, keepalive->why ? keepalive->why : &plain, true);
    } else if (keepalive->form.pulled.ttl_s != 0) {
        put(mailbox, &newest);
    }
    keepalive->form.pulled.mailbox = mailbox;
}

/* The consumer: the mailbox, made when it first asks. */
static int open_mailbox(etcd_keepalive *keepalive, etcd_error *err)
{
    etcd__mailbox *mailbox;
    int rc;

    if (is_forked(keepalive))
        return etcd__error_set(err, ETCD_ERR_FORKED, "%s", etcd_error_text(ETCD_ERR_FORKED));
    if (keepalive->with_callback)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "the handle gives its answers to a callback");
    if (keepalive->form.pulled.mailbox != NULL)
        return ETCD_OK;
    mailbox = etcd__malloc(sizeof *mailbox);
    if (mailbox == NULL)
        return etcd__error_no_memory(err);
    rc = etcd__mailbox_init(mailbox, keepalive->client, err);
    if (rc < 0) {
        etcd__free(mailbox);
        return rc;
    }
    lock(keepalive);
    publish(keepalive, mailbox);
    unlock(keepalive);
    return ETCD_OK;
}

static int64_t left_until(int64_t until)
{
    int64_t left = until - etcd__clock_monotonic();

    if (until == ETCD__NEVER)
        return -1;
    return left > 0 ? (left + ETCD__MS - 1) / ETCD__MS : 0;
}

int etcd_keepalive_next(etcd_keepalive *keepalive, int64_t timeout_ms, etcd_keepalive_response **out, etcd_error *err)
{
    int64_t until = etcd__clock_after(etcd__clock_monotonic(), etcd__clock_from_ms(timeout_ms));
    void *answer = NULL;
    int rc;

    if (out == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "out is NULL");
    *out = NULL;
    if (keepalive == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "keepalive is NULL");
    rc = open_mailbox(keepalive, err);
    if (rc < 0)
        return rc;
    rc = etcd__mailbox_take(keepalive->form.pulled.mailbox, timeout_ms, &answer, err);
    /* What was taken late, because the process stood still, is no sign of life any more. */
    while (rc == ETCD_OK && etcd_keepalive_remaining_ms(keepalive) == 0) {
        etcd_response_free(answer);
        rc = etcd__mailbox_take(keepalive->form.pulled.mailbox, left_until(until), &answer, err);
    }
    *out = answer;
    return rc;
}

int etcd_keepalive_fd(etcd_keepalive *keepalive)
{
    int rc = keepalive ? open_mailbox(keepalive, NULL) : ETCD_ERR_ARGUMENT;

    return rc < 0 ? rc : etcd__mailbox_fd(keepalive->form.pulled.mailbox);
}

int64_t etcd_keepalive_remaining_ms(const etcd_keepalive *keepalive)
{
    int64_t deadline, left;

    if (keepalive == NULL || is_forked(keepalive))
        return 0;
    deadline = atomic_load_explicit(&keepalive->deadline, memory_order_relaxed);
    if (deadline == 0)
        return 0;
    left = deadline - etcd__clock_boot();
    return left > 0 ? left / ETCD__MS : 0;
}

int64_t etcd_keepalive_lease(const etcd_keepalive *keepalive)
{
    return keepalive ? keepalive->lease : 0;
}

void etcd_keepalive_cancel(etcd_keepalive *keepalive)
{
    if (keepalive == NULL || is_forked(keepalive) || atomic_exchange(&keepalive->cancel, true))
        return;
    (void)ask_driver(keepalive); /* a closed client has ended it, or is about to */
}

void etcd_keepalive_free(etcd_keepalive *keepalive)
{
    etcd_client *client;
    etcd__keepalive_hub *h;
    bool seated;

    if (keepalive == NULL)
        return;
    if (is_forked(keepalive)) {
        free_handle(keepalive);
        return;
    }
    client = keepalive->client;
    seated = etcd__driver_enter(client);
    uv_mutex_lock(&client->shared.lock);
    etcd__list_remove(&keepalive->job.node);
    uv_mutex_unlock(&client->shared.lock);
    h = etcd__keepalive_hub_find(client);
    if (keepalive->joined)
        etcd__keepalive_core_leave(&h->core, &keepalive->user);
    if (keepalive->with_callback)
        etcd__list_remove(&keepalive->form.called.ready);
    etcd__driver_leave(client, seated);
    free_handle(keepalive);
}
