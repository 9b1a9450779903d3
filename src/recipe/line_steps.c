/* What operations on a line do, request by request. See line_op.h; the contract, section 1.15.
 *
 *   enter   txn: no key of ours? -> who is the last in the line?; put ours        it is we alone: done
 *           watch the one before ours, from now on, and if anything has happened since: look
 *           when it is deleted: look
 *           look  txn: who is before us?; is ours still there?                    nobody, and it is: done
 *   leave   txn: is the key the one that we put? -> delete it
 *   set     txn: is the key the one that we put? -> put the new value
 *
 * All of these but `set` may be done twice without harm, so an attempt whose outcome is unknown is made again. What is deleted
 * is guarded by the create revision: by no delay can it be another's.
 *
 * The watch begins at "now", not behind what was seen: a server tells a watch that begins in its past of events only after up to
 * 100 ms, which would be the time for which the lock stands idle when its holder leaves just then.
 *
 * GO-DIFF: the Go client asks once more who is before it where we know that already, watches from the past, fails on unknown
 * outcomes leaving its key in the line, and deletes by name (etcd issue 22082). */
#include "recipe/line_op.h"

#include "base/alloc.h"
#include "base/error.h"

#include <etcd3/kv.h>
#include <stdio.h>
#include <string.h>

#define RETRY_MIN_MS 20
#define RETRY_MAX_MS 1000

static int step_enter(etcd__line_op *op, etcd_error *err);
static int step_look(etcd__line_op *op, etcd_error *err);
static int step_leave(etcd__line_op *op, etcd_error *err);
static int step_set(etcd__line_op *op, etcd_error *err);

static etcd_client *client_of(const etcd__line_op *op)
{
    return op->line->session->gate.client;
}

/* --- steps ------------------------------------------------------------------------------------ */

static int64_t delay_of(const etcd__line_op *op)
{
    int64_t delay = RETRY_MIN_MS;

    if (op->attempts == 0)
        return 0;
    for (int i = 1; i < op->attempts && delay < RETRY_MAX_MS; i++)
        delay *= 2;
    return delay < RETRY_MAX_MS ? delay : RETRY_MAX_MS;
}

/* Sends the transaction, which it frees. An attempt is bounded by the client's own timeout, the whole by the guard. */
static int step(etcd__line_op *op, etcd_txn *txn, bool reading, etcd_txn_fn done, etcd_error *err)
{
    int rc;

    if (txn == NULL)
        return etcd__error_no_memory(err);
    rc = etcd_txn_commit_async(
        txn, ETCD_CALL(.require_leader = op->require_leader, .traceparent = op->traceparent, .delay_ms = delay_of(op)), done, op,
        &op->step, err);
    etcd_txn_free(txn);
    if (rc < 0)
        return rc;
    op->started = true;
    op->stepping = true;
    op->reading = reading;
    op->refs++;
    return ETCD_OK;
}

/* The next step, after the one before is over. Its failure is the end. */
static void go_on(etcd__line_op *op, int (*next)(etcd__line_op *, etcd_error *))
{
    etcd_error err;

    if (next(op, &err) < 0)
        etcd__line_op_end(op, &err);
}

static void advance(etcd__line_op *op, int (*next)(etcd__line_op *, etcd_error *))
{
    op->attempts = 0;
    etcd__error_clear(&op->last_error);
    go_on(op, next);
}

/* A step has failed: again, if that can help. */
static bool goes_again(etcd__line_op *op, const etcd_error *err)
{
    if (err->flags & ETCD_ERROR_MAYBE_APPLIED)
        op->uncertain = true;
    op->last_error = *err;
    if (!(err->flags & (ETCD_ERROR_MAYBE_APPLIED | ETCD_ERROR_RETRYABLE)) || err->code == ETCD_ERR_CLOSED)
        return false;
    op->attempts++;
    return true;
}

static void fail(etcd__line_op *op, const etcd_error *err)
{
    etcd_error expired;

    if (err->code == ETCD_ERR_LEASE_NOT_FOUND) {
        etcd__error_set(&expired, ETCD_ERR_SESSION_EXPIRED, "%s: session is expired: %s", op->line->kind->noun, err->message);
        err = &expired;
    }
    etcd__line_op_end(op, err);
}

/* A step of an operation that goes on has failed. */
static void retry(etcd__line_op *op, const etcd_error *err, int (*same)(etcd__line_op *, etcd_error *))
{
    if (goes_again(op, err))
        go_on(op, same);
    else
        fail(op, err);
}

/* Every step's callback begins so. Returns false when the program was told of the end meanwhile: then what the answer means
 * has been noted by the caller before, and there is only tidying up to do. */
static bool is_wanted(etcd__line_op *op)
{
    if (!op->told)
        return true;
    etcd__line_op_tidy(op);
    return false;
}

static void begin_callback(etcd__line_op *op)
{
    etcd__line_op_hold(op);
    op->stepping = false;
}

/* --- the first -------------------------------------------------------------------------------- */

static void note_first(etcd__line_op *op)
{
    etcd__line *line = op->line;
    etcd__gate *gate = &line->session->gate;

    uv_mutex_lock(&gate->lock);
    line->token = op->revision;
    line->held = true;
    line->header = op->header;
    uv_mutex_unlock(&gate->lock);
}

static void note_not_first(etcd__line_op *op)
{
    etcd__line *line = op->line;
    etcd__gate *gate = &line->session->gate;

    uv_mutex_lock(&gate->lock);
    if (line->token == op->revision) {
        line->token = 0;
        line->held = false;
    }
    uv_mutex_unlock(&gate->lock);
}

static void win(etcd__line_op *op)
{
    etcd_error err;

    if (!etcd_session_alive(op->line->session)) {
        etcd__session_expired(op->line->session, op->line->kind->noun, &err);
        etcd__line_op_end(op, &err);
        return;
    }
    if (op->set_value) {
        advance(op, step_set);
        return;
    }
    op->won = true;
    note_first(op);
    etcd__line_op_end(op, NULL);
}

/* --- enter ------------------------------------------------------------------------------------ */

static void add_enter(etcd__line_op *op, etcd_txn *txn)
{
    const etcd__line *line = op->line;

    if (op->what == ETCD__LINE_TRY)
        etcd_txn_if(txn, line->key, line->prefix_len,
                    ETCD_COMPARE(.target = ETCD_COMPARE_CREATE, .op = ETCD_CMP_EQUAL, .number = 0, .prefix = true));
    else
        etcd_txn_if_create_revision(txn, line->key, line->key_len, ETCD_CMP_EQUAL, 0);
    etcd_txn_get(txn, line->key, line->prefix_len, ETCD_GET(.pick = ETCD_PICK_LAST_CREATE, .keys_only = true));
    etcd_txn_put(txn, line->key, line->key_len, op->value ? op->value : "", op->value_len,
                 ETCD_PUT(.lease = line->session->lease));
    etcd_txn_else(txn);
    etcd_txn_get(txn, line->key, line->prefix_len, ETCD_GET(.pick = ETCD_PICK_FIRST_CREATE, .keys_only = true));
    etcd_txn_get(txn, line->key, line->key_len, NULL);
}

static int wait_for(etcd__line_op *op, const etcd_kv *before, etcd_error *err);

static void wait_or_end(etcd__line_op *op, const etcd_kv *before)
{
    etcd_error err;

    op->attempts = 0;
    etcd__error_clear(&op->last_error);
    if (wait_for(op, before, &err) < 0)
        etcd__line_op_end(op, &err);
}

static void malformed(etcd__line_op *op)
{
    etcd_error err;

    etcd__error_set(&err, ETCD_ERR_PROTOCOL, "%s: the answer to a transaction lacks parts", op->line->kind->noun);
    etcd__line_op_end(op, &err);
}

static bool is_value(const etcd__line_op *op, const etcd_bytes *value)
{
    return value->len == op->value_len && (op->value_len == 0 || memcmp(value->data, op->value, op->value_len) == 0);
}

/* Our key was there before. */
static void found(etcd__line_op *op, const etcd_kv *first, const etcd_kv *own)
{
    const bool is_first = own != NULL && first != NULL && own->create_revision == first->create_revision;
    etcd_error err;

    if (op->what == ETCD__LINE_TRY && !is_first) {
        op->mine = false; /* a try puts its key first or not at all */
        etcd__error_set(&err, ETCD_ERR_LOCKED, "%s", etcd_error_text(ETCD_ERR_LOCKED));
        etcd__line_op_end(op, &err);
        return;
    }
    if (own == NULL) {
        malformed(op);
        return;
    }
    op->set_value = op->line->kind->values && !is_value(op, &own->value);
    if (is_first)
        win(op);
    else
        advance(op, step_look);
}

static const etcd_kv *first_kv(const etcd_op_response *response)
{
    return response->get->n_kvs > 0 ? &response->get->kvs[0] : NULL;
}

/* Notes what the answer tells of our key. */
static void note_entered(etcd__line_op *op, const etcd_txn_response *response)
{
    const etcd_kv *own;

    op->header = response->header;
    op->seen = response->header.revision;
    if (response->succeeded) {
        op->revision = response->header.revision;
        op->mine = true;
        return;
    }
    own = first_kv(response->responses[1]);
    op->revision = own ? own->create_revision : 0;
    op->mine = own != NULL && op->uncertain;
}

static bool is_complete(const etcd_txn_response *response, size_t gets)
{
    if (response->n_responses != 2)
        return false;
    for (size_t i = 0; i < gets; i++)
        if (response->responses[i]->get == NULL)
            return false;
    return true;
}

static void on_enter(etcd_client *client, etcd_txn_response *response, const etcd_error *err, void *arg)
{
    etcd__line_op *op = arg;
    bool complete;

    (void)client;
    begin_callback(op);
    complete = response != NULL && is_complete(response, response->succeeded ? 1 : 2);
    if (complete)
        note_entered(op, response);
    else
        op->uncertain = op->uncertain || response != NULL || (err->flags & ETCD_ERROR_MAYBE_APPLIED);
    if (!is_wanted(op))
        ;
    else if (response == NULL)
        retry(op, err, step_enter);
    else if (!complete)
        malformed(op);
    else if (!response->succeeded)
        found(op, first_kv(response->responses[0]), first_kv(response->responses[1]));
    else if (first_kv(response->responses[0]) == NULL)
        win(op);
    else
        wait_or_end(op, first_kv(response->responses[0]));
    etcd_response_free(response);
    etcd__line_op_release(op);
}

static int step_enter(etcd__line_op *op, etcd_error *err)
{
    etcd_txn *txn = etcd_txn_new(client_of(op));

    add_enter(op, txn);
    return step(op, txn, false, on_enter, err);
}

/* --- wait ------------------------------------------------------------------------------------- */

static bool has_delete(const etcd_watch_response *response)
{
    for (size_t i = 0; i < response->n_events; i++)
        if (response->events[i].type == ETCD_EVENT_DELETE)
            return true;
    return false;
}

static void look_again(etcd__line_op *op)
{
    if (op->stepping)
        op->stale = true; /* what is under way may have been answered before */
    else
        advance(op, step_look);
}

/* The one before us has gone, or has it? */
static void on_watch(etcd_watch *watch, etcd_watch_response *response, const etcd_error *err, void *arg)
{
    etcd__line_op *op = arg;
    const bool created = response != NULL && response->type == ETCD_WATCH_CREATED;
    const bool deleted = response != NULL && has_delete(response);
    const int64_t revision = created ? response->header.revision : 0;

    (void)watch;
    etcd_response_free(response);
    if (response != NULL && !created && !deleted)
        return;
    etcd__line_op_hold(op);
    op->refs++;
    if (created) {
        if (revision != op->seen)
            look_again(op);
    } else if (deleted || err->code == ETCD_ERR_COMPACTED) {
        etcd__line_op_unwatch(op);
        look_again(op);
    } else {
        const etcd_error end = *err; /* which goes with the watch */

        fail(op, &end);
    }
    etcd__line_op_release(op);
}

static int wait_for(etcd__line_op *op, const etcd_kv *before, etcd_error *err)
{
    int rc;

    if (op->watch != NULL && op->awaited_len == before->key.len && memcmp(op->awaited, before->key.data, before->key.len) == 0)
        return ETCD_OK;
    etcd__line_op_unwatch(op);
    etcd__free(op->awaited);
    op->awaited = etcd__strndup(before->key.data, before->key.len);
    op->awaited_len = before->key.len;
    if (op->awaited == NULL)
        return etcd__error_no_memory(err);
    rc = etcd_watch_start(client_of(op), op->awaited, before->key.len,
                          ETCD_WATCH(.created_notify = true, .no_put = true, .require_leader = true), on_watch, op, &op->watch,
                          err);
    if (rc == ETCD_OK)
        op->refs++;
    return rc;
}

/* --- look ------------------------------------------------------------------------------------- */

static void looked(etcd__line_op *op, const etcd_txn_response *response)
{
    const etcd_kv *before = first_kv(response->responses[0]), *own = first_kv(response->responses[1]);
    etcd_error gone;

    op->seen = response->header.revision;
    op->header = response->header;
    if (own == NULL || own->create_revision != op->revision) {
        op->mine = false;
        etcd__error_set(&gone, ETCD_ERR_SESSION_EXPIRED, "%s: session is expired: the key %s was deleted", op->line->kind->noun,
                        op->line->key);
        etcd__line_op_end(op, &gone);
    } else if (before == NULL) {
        win(op);
    } else if (op->stale) {
        advance(op, step_look);
    } else {
        wait_or_end(op, before);
    }
}

static void on_look(etcd_client *client, etcd_txn_response *response, const etcd_error *err, void *arg)
{
    etcd__line_op *op = arg;

    (void)client;
    begin_callback(op);
    if (!is_wanted(op))
        ;
    else if (response == NULL)
        retry(op, err, step_look);
    else if (!is_complete(response, 2))
        malformed(op);
    else
        looked(op, response);
    etcd_response_free(response);
    etcd__line_op_release(op);
}

static int step_look(etcd__line_op *op, etcd_error *err)
{
    const etcd__line *line = op->line;
    etcd_txn *txn = etcd_txn_new(client_of(op));

    op->stale = false;
    etcd_txn_get(txn, line->key, line->prefix_len,
                 ETCD_GET(.pick = ETCD_PICK_LAST_CREATE, .keys_only = true, .max_create_revision = op->revision - 1));
    etcd_txn_get(txn, line->key, line->key_len, ETCD_GET(.keys_only = true));
    return step(op, txn, true, on_look, err);
}

/* --- leave ------------------------------------------------------------------------------------ */

static void left(etcd__line_op *op, bool done)
{
    const etcd__line_kind *kind = op->line->kind;
    etcd_error err;

    if (done || op->uncertain || kind->not_first == ETCD_OK) {
        etcd__line_op_end(op, NULL);
        return;
    }
    if (etcd_session_alive(op->line->session))
        etcd__error_set(&err, kind->not_first, "%s: the key was deleted by another", etcd_error_text(kind->not_first));
    else
        etcd__session_expired(op->line->session, kind->noun, &err);
    etcd__line_op_end(op, &err);
}

/* As the program's operation, or tidying up behind it. */
static void on_leave(etcd_client *client, etcd_txn_response *response, const etcd_error *err, void *arg)
{
    etcd__line_op *op = arg;

    (void)client;
    begin_callback(op);
    if (response != NULL)
        note_not_first(op);
    if (op->what <= ETCD__LINE_TRY && (response != NULL || !goes_again(op, err)))
        op->mine = op->uncertain = false; /* as well as we could: the key ends with the session in any case */
    if (!is_wanted(op))
        ;
    else if (response == NULL)
        retry(op, err, step_leave);
    else
        left(op, response->succeeded);
    etcd_response_free(response);
    etcd__line_op_release(op);
}

static int step_leave(etcd__line_op *op, etcd_error *err)
{
    const etcd__line *line = op->line;
    etcd_txn *txn = etcd_txn_new(client_of(op));

    if (op->revision > 0)
        etcd_txn_if_create_revision(txn, line->key, line->key_len, ETCD_CMP_EQUAL, op->revision);
    else /* put, perhaps: its answer got lost */
        etcd_txn_if_lease(txn, line->key, line->key_len, ETCD_CMP_EQUAL, line->session->lease);
    etcd_txn_delete(txn, line->key, line->key_len, NULL);
    return step(op, txn, false, on_leave, err);
}

bool etcd__line_op_undo(etcd__line_op *op)
{
    etcd_error err;

    if (op->what > ETCD__LINE_TRY || op->won || !(op->mine || (op->uncertain && op->revision == 0)) ||
        atomic_load(&op->line->session->ended))
        return false;
    if (step_leave(op, &err) == ETCD_OK)
        return true;
    op->mine = op->uncertain = false;
    return false;
}

/* --- set -------------------------------------------------------------------------------------- */

static void was_set(etcd__line_op *op, const etcd_txn_response *response)
{
    const etcd__line_kind *kind = op->line->kind;
    etcd_error err;

    if (response->succeeded) {
        op->header = response->header;
        op->set_value = false;
        if (op->what == ETCD__LINE_ENTER) {
            win(op);
            return;
        }
        note_first(op);
        etcd__line_op_end(op, NULL);
        return;
    }
    note_not_first(op);
    if (op->what == ETCD__LINE_ENTER) {
        op->mine = false;
        etcd__error_set(&err, ETCD_ERR_SESSION_EXPIRED, "%s: session is expired: the key %s was deleted", kind->noun,
                        op->line->key);
    } else {
        etcd__error_set(&err, kind->set_not_first, "%s", etcd_error_text(kind->set_not_first));
    }
    etcd__line_op_end(op, &err);
}

static void on_set(etcd_client *client, etcd_txn_response *response, const etcd_error *err, void *arg)
{
    etcd__line_op *op = arg;

    (void)client;
    begin_callback(op);
    if (!is_wanted(op))
        ;
    else if (response == NULL)
        etcd__line_op_end(op, err);
    else
        was_set(op, response);
    etcd_response_free(response);
    etcd__line_op_release(op);
}

static int step_set(etcd__line_op *op, etcd_error *err)
{
    const etcd__line *line = op->line;
    etcd_txn *txn = etcd_txn_new(client_of(op));

    etcd_txn_if_create_revision(txn, line->key, line->key_len, ETCD_CMP_EQUAL, op->revision);
    etcd_txn_put(txn, line->key, line->key_len, op->value ? op->value : "", op->value_len,
                 ETCD_PUT(.lease = line->session->lease));
    return step(op, txn, false, on_set, err);
}

/* --- for line.c ------------------------------------------------------------------------------- */

int etcd__line_op_begin(etcd__line_op *op, etcd_error *err)
{
    switch (op->what) {
    case ETCD__LINE_ENTER:
    case ETCD__LINE_TRY:
        return step_enter(op, err);
    case ETCD__LINE_LEAVE:
        return step_leave(op, err);
    case ETCD__LINE_SET:
        break;
    }
    return step_set(op, err);
}

void etcd__line_op_describe(const etcd__line_op *op, char *text, size_t size)
{
    if (!op->started)
        (void)snprintf(text, size, "the call before on this handle is still tidied up");
    else if (op->last_error.message[0] != '\0')
        (void)snprintf(text, size, "after %d attempts: %s", op->attempts, op->last_error.message);
    else if (op->what <= ETCD__LINE_TRY && op->awaited != NULL && !op->stepping)
        (void)snprintf(text, size, "waiting for %s to go away", op->awaited);
    else
        (void)snprintf(text, size, "waiting for the answer of the server");
}
