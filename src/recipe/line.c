/* See line.h: how operations begin and end. What they do in between is in line_steps.c.
 *
 * A line has at most one operation that the program waits for (`active`). When that ends early, by deadline, cancel, the end of
 * the session or an error, the program is told at once, and what it has left at the server is tidied up behind its back
 * (`behind`): the answer of a request under way is awaited, a key that was put is deleted. Only then the next operation begins,
 * so that these never meet at the server in another order.
 *
 * GO-DIFF: the Go client waits for the deletion, without bound. */
#include "recipe/line_op.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/options.h"

#include <stdio.h>
#include <string.h>

#define LEASE_TEXT 24

/* --- the line --------------------------------------------------------------------------------- */

/* As Go prints a lease id with %x. */
static size_t lease_text(int64_t lease, char text[LEASE_TEXT])
{
    uint64_t magnitude = lease < 0 ? 0 - (uint64_t)lease : (uint64_t)lease;

    return (size_t)snprintf(text, LEASE_TEXT, "%s%llx", lease < 0 ? "-" : "", (unsigned long long)magnitude);
}

int etcd__line_init(etcd__line *line, const etcd__line_kind *kind, etcd_session *session, const char *name, size_t name_len,
                    etcd_error *err)
{
    char lease[LEASE_TEXT];
    size_t lease_len;
    int rc;

    if (session == NULL || (name == NULL && name_len > 0))
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, session ? "the name is NULL" : "the session is NULL");
    rc = etcd__gate_check(&session->gate, err);
    if (rc < 0)
        return rc;
    lease_len = lease_text(session->lease, lease);
    memset(line, 0, sizeof *line);
    line->kind = kind;
    line->prefix_len = name_len + 1;
    line->key_len = line->prefix_len + lease_len;
    line->key = etcd__malloc(line->key_len + 1);
    if (line->key == NULL)
        return etcd__error_no_memory(err);
    if (name_len > 0)
        memcpy(line->key, name, name_len);
    line->key[name_len] = '/';
    memcpy(line->key + line->prefix_len, lease, lease_len + 1);
    line->refs = 1;
    line->session = session;
    etcd__session_ref(session);
    return ETCD_OK;
}

/* Drops a reference, or tells that it was the last. Lock held. */
static bool drop(etcd__line *line)
{
    return --line->refs == 0;
}

static void destroy(etcd__line *line)
{
    etcd_session *session = line->session;

    etcd__free(line->key);
    etcd__free(line);
    etcd__session_unref(session);
}

static void unref(etcd__line *line)
{
    etcd__gate *gate = &line->session->gate;
    bool last;

    uv_mutex_lock(&gate->lock);
    last = drop(line);
    uv_mutex_unlock(&gate->lock);
    if (last)
        destroy(line);
}

void etcd__line_free(etcd__line *line)
{
    etcd__gate *gate = &line->session->gate;

    if (etcd__gate_check(gate, NULL) < 0) {
        if (drop(line))
            destroy(line);
        return;
    }
    uv_mutex_lock(&gate->lock);
    if (line->active != NULL)
        (void)etcd_call_cancel(gate->client, line->active->waiter.call);
    uv_mutex_unlock(&gate->lock);
    etcd__callbacks_shut(gate, &line->callbacks);
    unref(line);
}

/* --- the life of an operation ----------------------------------------------------------------- */

/* Where the thread of a blocking call waits. */
typedef struct etcd__line_blocked {
    bool done;
    etcd_error err;
} etcd__line_blocked;

static void op_free(etcd__line_op *op)
{
    etcd__free(op->value);
    etcd__free(op->traceparent);
    etcd__free(op->awaited);
    etcd__free(op);
}

static char *copy_or_null(const char *data, size_t len, bool *failed)
{
    char *copy = data ? etcd__strndup(data, len) : NULL;

    *failed = *failed || (data != NULL && copy == NULL);
    return copy;
}

static etcd__line_op *op_new(etcd__line *line, const etcd__line_request *request, const etcd_call_options *call)
{
    etcd__line_op *op = etcd__calloc(1, sizeof *op);
    bool failed = false;

    if (op == NULL)
        return NULL;
    op->line = line;
    op->what = request->what;
    op->require_leader = call->require_leader;
    op->value = copy_or_null(request->value, request->value_len, &failed);
    op->value_len = request->value_len;
    op->traceparent = copy_or_null(call->traceparent, call->traceparent ? strlen(call->traceparent) : 0, &failed);
    etcd__list_init(&op->waiter.node);
    if (failed) {
        op_free(op);
        return NULL;
    }
    return op;
}

void etcd__line_op_hold(etcd__line_op *op)
{
    etcd__gate *gate = &op->line->session->gate;

    uv_mutex_lock(&gate->lock); /* behind etcd__line_start() */
    uv_mutex_unlock(&gate->lock);
}

void etcd__line_op_release(etcd__line_op *op)
{
    etcd__line *line = op->line;

    if (--op->refs > 0)
        return;
    op_free(op);
    unref(line);
}

static void tell(etcd__line_op *op, const etcd_error *err)
{
    etcd__line *line = op->line;
    etcd__gate *gate = &line->session->gate;

    if (op->blocked != NULL) {
        uv_mutex_lock(&gate->lock);
        if (err != NULL)
            op->blocked->err = *err;
        op->blocked->done = true;
        uv_cond_broadcast(&gate->changed);
        uv_mutex_unlock(&gate->lock);
    } else if (etcd__callbacks_enter(gate, &line->callbacks)) {
        line->kind->deliver(line, err, op->done, op->arg);
        etcd__callbacks_leave(gate, &line->callbacks);
    }
}

void etcd__line_op_unwatch(etcd__line_op *op)
{
    if (op->watch == NULL)
        return;
    etcd_watch_free(op->watch);
    op->watch = NULL;
    op->refs--;
}

void etcd__line_op_end(etcd__line_op *op, const etcd_error *err)
{
    etcd__line *line = op->line;
    etcd__gate *gate = &line->session->gate;
    etcd_call_id guard;
    bool goes_on;

    op->told = true;
    op->attempts = 0;
    etcd__line_op_unwatch(op);
    goes_on = op->stepping || etcd__line_op_undo(op);
    uv_mutex_lock(&gate->lock);
    etcd__list_remove(&op->waiter.node);
    guard = op->waiter.call;
    line->active = NULL;
    if (goes_on)
        line->behind = op;
    uv_mutex_unlock(&gate->lock);
    if (guard != 0)
        (void)etcd_call_cancel(gate->client, guard);
    tell(op, err);
}

/* It had to wait for the operation before it, which may have done its work. Lock held. */
static void catch_up(const etcd__line *line, etcd__line_op *op)
{
    if (op->what == ETCD__LINE_LEAVE && line->token != op->revision)
        op->nothing_to_do = true;
}

void etcd__line_op_tidy(etcd__line_op *op)
{
    etcd__line *line = op->line;
    etcd__gate *gate = &line->session->gate;
    etcd__line_op *next;
    etcd_error err;

    if (etcd__line_op_undo(op))
        return;
    uv_mutex_lock(&gate->lock);
    line->behind = NULL;
    next = line->active;
    if (next != NULL) {
        next->refs++;
        catch_up(line, next);
    }
    uv_mutex_unlock(&gate->lock);
    if (next == NULL)
        return;
    if (next->nothing_to_do)
        etcd__line_op_end(next, NULL);
    else if (etcd__line_op_begin(next, &err) < 0)
        etcd__line_op_end(next, &err);
    etcd__line_op_release(next);
}

/* --- the guard -------------------------------------------------------------------------------- */

/* Deadline, cancel, close. */
static void explain(const etcd__line_op *op, const etcd_error *ended, etcd_error *err)
{
    char what[ETCD_ERROR_MESSAGE_MAX - 128];

    etcd__line_op_describe(op, what, sizeof what);
    etcd__error_set(err, ended->code, "%s (%s)", etcd_error_text(ended->code), what);
    if (ended->code == ETCD_ERR_DEADLINE_EXCEEDED)
        err->flags |= ETCD_ERROR_RETRYABLE;
    if ((op->what == ETCD__LINE_LEAVE || op->what == ETCD__LINE_SET) && (op->stepping || op->uncertain))
        err->flags |= ETCD_ERROR_MAYBE_APPLIED;
}

/* The guard's call has ended: so has the operation, if that was not the cause. */
static void on_guard(etcd_client *client, etcd_get_response *response, const etcd_error *ended, void *arg)
{
    etcd__line_op *op = arg;
    etcd__gate *gate = &op->line->session->gate;
    bool session_ended;
    etcd_error err;

    (void)client;
    etcd_response_free(response);
    uv_mutex_lock(&gate->lock);
    op->waiter.call = 0;
    session_ended = op->waiter.session_ended;
    uv_mutex_unlock(&gate->lock);
    if (!op->told && op->nothing_to_do) {
        etcd__line_op_end(op, NULL);
    } else if (!op->told) {
        if (op->stepping && op->reading)
            (void)etcd_call_cancel(gate->client, op->step);
        if (session_ended)
            etcd__session_expired(op->line->session, op->line->kind->noun, &err);
        else
            explain(op, ended, &err);
        etcd__line_op_end(op, &err);
    }
    etcd__line_op_release(op);
}

static int start_guard(etcd__line_op *op, const etcd_call_options *call, etcd_error *err)
{
    const etcd__line *line = op->line;
    int rc = etcd_get_async(line->session->gate.client, line->key, line->key_len,
                            ETCD_GET(.serializable = true, .call = ETCD_CALL(.timeout_ms = call->timeout_ms,
                                                                             .cancel = call->cancel, .delay_ms = INT64_MAX)),
                            on_guard, op, &op->waiter.call, err);

    if (rc == ETCD_OK)
        op->refs++;
    return rc;
}

/* --- the beginning ---------------------------------------------------------------------------- */

/* Whether it may begin. Lock held. */
static int admit(etcd__line *line, const etcd__line_op *op, etcd_error *err)
{
    const etcd__line_kind *kind = line->kind;

    if (line->active != NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "%s: one thing at a time: another call of this handle is under way",
                               kind->noun);
    if (op->what == ETCD__LINE_LEAVE && line->token == 0 && kind->not_first != ETCD_OK)
        return etcd__error_set(err, kind->not_first, "%s", etcd_error_text(kind->not_first));
    if (op->what == ETCD__LINE_SET && line->token == 0)
        return etcd__error_set(err, kind->set_not_first, "%s", etcd_error_text(kind->set_not_first));
    if (op->what <= ETCD__LINE_TRY && atomic_load(&line->session->ended))
        return ETCD_ERR_SESSION_EXPIRED; /* the words come without the lock */
    return ETCD_OK;
}

/* Lock held. */
static int begin(etcd__line *line, etcd__line_op *op, const etcd_call_options *call, etcd_error *err)
{
    int rc = admit(line, op, err);

    if (rc == ETCD_OK)
        rc = start_guard(op, call, err);
    if (rc < 0)
        return rc;
    line->refs++;
    op->revision = op->what >= ETCD__LINE_LEAVE ? line->token : 0;
    op->nothing_to_do = op->what == ETCD__LINE_LEAVE && line->token == 0;
    if (!op->nothing_to_do && line->behind == NULL)
        rc = etcd__line_op_begin(op, err);
    if (op->nothing_to_do || rc < 0)
        (void)etcd_call_cancel(line->session->gate.client, op->waiter.call);
    if (rc < 0) {
        op->told = true; /* by what we return; the guard's end frees it */
        return rc;
    }
    if (op->what == ETCD__LINE_LEAVE)
        line->held = false;
    if (op->what <= ETCD__LINE_TRY)
        etcd__list_push_back(&line->session->waiters, &op->waiter.node);
    line->active = op;
    return ETCD_OK;
}

static int load_call(const etcd_call_options *given, etcd_call_options *call, etcd_error *err)
{
    int rc = etcd__options_load(call, sizeof *call, given, "etcd_call_options", err);

    if (rc == ETCD_OK && (call->endpoint != NULL || call->delay_ms != 0 || call->no_retry))
        rc = etcd__error_set(err, ETCD_ERR_ARGUMENT,
                             "etcd_call_options: endpoint, delay_ms and no_retry are not for what takes several requests");
    return rc;
}

static int start(etcd__line *line, const etcd__line_request *request, etcd__line_fn done, void *arg, etcd__line_blocked *blocked,
                 etcd_call_id *id, etcd_error *err)
{
    etcd__gate *gate = &line->session->gate;
    etcd_call_options call;
    etcd__line_op *op;
    int rc = load_call(request->call, &call, err);

    if (rc == ETCD_OK && request->value == NULL && request->value_len > 0)
        rc = etcd__error_set(err, ETCD_ERR_ARGUMENT, "the value is NULL");
    if (rc < 0)
        return rc;
    op = op_new(line, request, &call);
    if (op == NULL)
        return etcd__error_no_memory(err);
    op->done = done;
    op->arg = arg;
    op->blocked = blocked;
    uv_mutex_lock(&gate->lock);
    rc = begin(line, op, &call, err);
    if (id != NULL)
        *id = rc == ETCD_OK ? op->waiter.call : 0;
    if (rc == ETCD_OK)
        etcd__error_clear(err);
    if (rc < 0 && op->refs == 0)
        op_free(op); /* it has no guard */
    uv_mutex_unlock(&gate->lock);
    if (rc == ETCD_ERR_SESSION_EXPIRED)
        etcd__session_expired(line->session, line->kind->noun, err);
    return rc;
}

static int check(const etcd__line *line, etcd_error *err)
{
    if (line == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "the handle is NULL");
    return etcd__gate_check(&line->session->gate, err);
}

int etcd__line_run(etcd__line *line, const etcd__line_request *request, etcd_error *err)
{
    etcd__line_blocked blocked = {0};
    bool manual;
    int rc = check(line, err);

    if (rc == ETCD_OK)
        rc = etcd__gate_may_wait(line->session->gate.client, &manual, err);
    if (rc == ETCD_OK)
        rc = start(line, request, NULL, NULL, &blocked, NULL, err);
    if (rc < 0)
        return rc;
    etcd__gate_wait(&line->session->gate, manual, &blocked.done);
    if (err != NULL)
        *err = blocked.err;
    return blocked.err.code;
}

int etcd__line_start(etcd__line *line, const etcd__line_request *request, etcd__line_fn done, void *arg, etcd_call_id *id,
                     etcd_error *err)
{
    int rc = check(line, err);

    if (id != NULL)
        *id = 0;
    if (rc < 0)
        return rc;
    if (done == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "done is NULL: what takes several requests needs a callback");
    return start(line, request, done, arg, NULL, id, err);
}

/* --- questions -------------------------------------------------------------------------------- */

bool etcd__line_held(const etcd__line *line)
{
    bool held;

    if (check(line, NULL) < 0)
        return false;
    uv_mutex_lock(&line->session->gate.lock);
    held = line->held;
    uv_mutex_unlock(&line->session->gate.lock);
    return held && etcd_session_alive(line->session);
}

int64_t etcd__line_token(const etcd__line *line)
{
    int64_t token;

    if (check(line, NULL) < 0)
        return 0;
    uv_mutex_lock(&line->session->gate.lock);
    token = line->token;
    uv_mutex_unlock(&line->session->gate.lock);
    return token;
}

void etcd__line_header(const etcd__line *line, etcd_response_header *out)
{
    if (out == NULL)
        return;
    memset(out, 0, sizeof *out);
    if (check(line, NULL) < 0)
        return;
    uv_mutex_lock(&line->session->gate.lock);
    *out = line->header;
    uv_mutex_unlock(&line->session->gate.lock);
}

void etcd__line_if_first(const etcd__line *line, etcd_txn *txn)
{
    int64_t token = etcd__line_token(line);

    if (line != NULL)
        etcd_txn_if_create_revision(txn, line->key, line->key_len, ETCD_CMP_EQUAL, token > 0 ? token : -1);
}
