/* Sessions. See <etcd3/session.h>; the contract, section 1.15.
 *
 * GO-DIFF: a session that was given a lease looks it up, so that one that does not exist is told at once. The end comes with a
 * reason, and in time (P6). Closing is bounded by the deadline of its call, not by the lease's time to live. */
#include "recipe/session.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/options.h"

#include <string.h>

#define DEFAULT_TTL_S 60
#define FREE_TIMEOUT_MS 5000 /* most that etcd_session_free() waits for the lease to be revoked */

void etcd_session_options_init(etcd_session_options *options, size_t size)
{
    etcd__options_init(options, size);
}

/* --- memory ----------------------------------------------------------------------------------- */

static void destroy(etcd_session *session)
{
    etcd_keepalive_free(session->keepalive);
    etcd__beacon_close(&session->beacon);
    etcd__gate_destroy(&session->gate);
    etcd__free(session);
}

void etcd__session_ref(etcd_session *session)
{
    uv_mutex_lock(&session->gate.lock);
    session->refs++;
    uv_mutex_unlock(&session->gate.lock);
}

void etcd__session_unref(etcd_session *session)
{
    bool last;

    if (etcd__gate_check(&session->gate, NULL) < 0) { /* the lock may be anybody's: count without it, nobody else is here */
        if (--session->refs == 0)
            destroy(session);
        return;
    }
    uv_mutex_lock(&session->gate.lock);
    last = --session->refs == 0;
    uv_mutex_unlock(&session->gate.lock);
    if (last)
        destroy(session);
}

/* --- the end ---------------------------------------------------------------------------------- */

/* Returns whether this was it: the first reason counts. */
static bool end(etcd_session *session, const etcd_error *reason)
{
    bool first;

    uv_mutex_lock(&session->gate.lock);
    first = !atomic_load(&session->ended);
    if (first) {
        session->reason = *reason;
        atomic_store(&session->ended, true);
        etcd__beacon_set(&session->beacon, true);
        for (etcd__list *node = session->waiters.next; node != &session->waiters; node = node->next) {
            etcd__waiter *waiter = ETCD__CONTAINER_OF(node, etcd__waiter, node);

            waiter->session_ended = true;
            (void)etcd_call_cancel(session->gate.client, waiter->call);
        }
    }
    uv_mutex_unlock(&session->gate.lock);
    return first;
}

static void end_by_program(etcd_session *session, const char *what)
{
    etcd_error reason;

    etcd__error_set(&reason, ETCD_ERR_CANCELED, "the session was %s by the program", what);
    if (end(session, &reason))
        etcd_keepalive_cancel(session->keepalive);
}

static void on_keepalive(etcd_keepalive *keepalive, etcd_keepalive_response *response, const etcd_error *err, void *arg)
{
    etcd_session *session = arg;

    (void)keepalive;
    if (response != NULL) {
        etcd_response_free(response);
        return;
    }
    if (end(session, err) && session->lost_fn != NULL && etcd__callbacks_enter(&session->gate, &session->callbacks)) {
        session->lost_fn(session, err, session->lost_arg);
        etcd__callbacks_leave(&session->gate, &session->callbacks);
    }
    uv_mutex_lock(&session->gate.lock);
    session->kept = false;
    uv_mutex_unlock(&session->gate.lock);
    etcd__session_unref(session);
}

/* --- the beginning ---------------------------------------------------------------------------- */

/* A session without a lease yet. */
static int make(etcd_client *client, const etcd_session_options *o, etcd_session **out, etcd_error *err)
{
    etcd_session *session;
    int rc;

    if (o->ttl_s < 0)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "etcd_session_options.ttl_s is negative");
    session = etcd__calloc(1, sizeof *session);
    if (session == NULL)
        return etcd__error_no_memory(err);
    rc = etcd__gate_init(&session->gate, client, err);
    if (rc < 0) {
        etcd__free(session);
        return rc;
    }
    session->lease = o->lease;
    session->lost_fn = o->lost_fn;
    session->lost_arg = o->lost_arg;
    session->refs = 1;
    session->sent = etcd__clock_boot();
    etcd__list_init(&session->waiters);
    *out = session;
    return ETCD_OK;
}

/* The lease is there: keeps it alive. */
static int keep(etcd_session *session, int64_t lease, int64_t ttl_s, etcd_error *err)
{
    const int64_t elapsed_ms = (etcd__clock_boot() - session->sent) / ETCD__MS + 1;
    int rc;

    session->lease = lease;
    session->ttl_s = ttl_s;
    session->refs++; /* until the last call of on_keepalive() */
    session->kept = true;
    rc = etcd_keepalive_start(session->gate.client, lease, ETCD_KEEPALIVE(.ttl_s = ttl_s, .elapsed_ms = elapsed_ms), on_keepalive,
                              session, &session->keepalive, err);
    if (rc < 0) {
        session->refs--;
        session->kept = false;
    }
    return rc;
}

static int64_t ttl_of(const etcd_session_options *o)
{
    return o->ttl_s > 0 ? o->ttl_s : DEFAULT_TTL_S;
}

static int get_lease(etcd_session *session, const etcd_session_options *o, etcd_error *err)
{
    etcd_keepalive_response *beat;
    etcd_lease_grant_response *grant;
    int rc;

    if (o->lease != 0) {
        rc = etcd_keepalive_once(session->gate.client, o->lease, o->call, &beat, err);
        if (rc == ETCD_OK)
            rc = keep(session, o->lease, beat->ttl_s, err);
        etcd_response_free(beat);
        return rc;
    }
    rc = etcd_lease_grant(session->gate.client, ttl_of(o), ETCD_LEASE_GRANT(.call = o->call), &grant, err);
    if (rc == ETCD_OK)
        rc = keep(session, grant->id, grant->ttl_s, err);
    etcd_response_free(grant);
    return rc;
}

int etcd_session_new(etcd_client *client, const etcd_session_options *options, etcd_session **out, etcd_error *err)
{
    etcd_session_options o;
    etcd_session *session;
    int rc;

    if (out == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "out is NULL");
    *out = NULL;
    rc = etcd__options_load(&o, sizeof o, options, "etcd_session_options", err);
    if (rc == ETCD_OK)
        rc = make(client, &o, &session, err);
    if (rc < 0)
        return rc;
    rc = get_lease(session, &o, err);
    if (rc < 0) {
        etcd__session_unref(session);
        return rc;
    }
    etcd__error_clear(err);
    *out = session;
    return ETCD_OK;
}

/* A session that is not the program's yet. */
typedef struct opening {
    etcd_session *session;
    etcd_session_fn done;
    void *arg;
} opening;

static void opened(opening *waiting, int64_t lease, int64_t ttl_s, const etcd_error *failure)
{
    etcd_session *session = waiting->session;
    etcd_session_fn done = waiting->done;
    void *arg = waiting->arg;
    etcd_error err;

    etcd__free(waiting);
    if (failure == NULL && keep(session, lease, ttl_s, &err) < 0)
        failure = &err;
    if (failure != NULL) {
        etcd__session_unref(session);
        session = NULL;
    }
    done(session, failure, arg);
}

static void on_grant(etcd_client *client, etcd_lease_grant_response *response, const etcd_error *err, void *arg)
{
    (void)client;
    opened(arg, response ? response->id : 0, response ? response->ttl_s : 0, err);
    etcd_response_free(response);
}

static void on_beat(etcd_client *client, etcd_keepalive_response *response, const etcd_error *err, void *arg)
{
    (void)client;
    opened(arg, response ? response->id : 0, response ? response->ttl_s : 0, err);
    etcd_response_free(response);
}

int etcd_session_new_async(etcd_client *client, const etcd_session_options *options, etcd_session_fn done, void *arg,
                           etcd_call_id *id, etcd_error *err)
{
    etcd_session_options o;
    opening *waiting;
    int rc;

    if (id != NULL)
        *id = 0;
    if (done == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "done is NULL: a session needs a callback");
    rc = etcd__options_load(&o, sizeof o, options, "etcd_session_options", err);
    if (rc < 0)
        return rc;
    waiting = etcd__malloc(sizeof *waiting);
    if (waiting == NULL)
        return etcd__error_no_memory(err);
    waiting->done = done;
    waiting->arg = arg;
    rc = make(client, &o, &waiting->session, err);
    if (rc < 0) {
        etcd__free(waiting);
        return rc;
    }
    if (o.lease != 0)
        rc = etcd_keepalive_once_async(client, o.lease, o.call, on_beat, waiting, id, err);
    else
        rc = etcd_lease_grant_async(client, ttl_of(&o), ETCD_LEASE_GRANT(.call = o.call), on_grant, waiting, id, err);
    if (rc < 0) {
        etcd__session_unref(waiting->session);
        etcd__free(waiting);
    }
    return rc;
}

/* --- questions -------------------------------------------------------------------------------- */

int64_t etcd_session_remaining_ms(const etcd_session *session)
{
    if (session == NULL || etcd__gate_check(&session->gate, NULL) < 0 || atomic_load(&session->ended))
        return 0;
    return etcd_keepalive_remaining_ms(session->keepalive);
}

bool etcd_session_alive(const etcd_session *session)
{
    return etcd_session_remaining_ms(session) > 0;
}

int etcd_session_check(const etcd_session *session, etcd_error *err)
{
    etcd_session *s = (etcd_session *)(uintptr_t)session; /* for its lock */
    etcd_error reason;

    if (session == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "the session is NULL");
    if (etcd__gate_check(&session->gate, err) < 0)
        return ETCD_ERR_FORKED;
    if (etcd_session_alive(session)) {
        etcd__error_clear(err);
        return ETCD_OK;
    }
    uv_mutex_lock(&s->gate.lock);
    reason = s->reason;
    uv_mutex_unlock(&s->gate.lock);
    if (reason.code == ETCD_OK) /* the clock says so, the driver has not come to it yet */
        return etcd__error_set(err, ETCD_ERR_LEASE_EXPIRED, "%s", etcd_error_text(ETCD_ERR_LEASE_EXPIRED));
    if (err != NULL)
        *err = reason;
    return reason.code;
}

int etcd__session_expired(etcd_session *session, const char *noun, etcd_error *err)
{
    etcd_error reason;

    (void)etcd_session_check(session, &reason);
    return etcd__error_set(err, ETCD_ERR_SESSION_EXPIRED, "%s: session is expired: %s", noun, reason.message);
}

int etcd_session_fd(etcd_session *session)
{
    int fd;

    if (session == NULL)
        return ETCD_ERR_ARGUMENT;
    if (etcd__gate_check(&session->gate, NULL) < 0)
        return ETCD_ERR_FORKED;
    uv_mutex_lock(&session->gate.lock);
    fd = etcd__beacon_fd(&session->beacon);
    uv_mutex_unlock(&session->gate.lock);
    return fd;
}

int64_t etcd_session_lease(const etcd_session *session)
{
    return session ? session->lease : 0;
}

int64_t etcd_session_ttl_s(const etcd_session *session)
{
    return session ? session->ttl_s : 0;
}

etcd_client *etcd_session_client(const etcd_session *session)
{
    return session ? session->gate.client : NULL;
}

/* --- closing ---------------------------------------------------------------------------------- */

void etcd_session_orphan(etcd_session *session)
{
    if (session == NULL || etcd__gate_check(&session->gate, NULL) < 0)
        return;
    uv_mutex_lock(&session->gate.lock);
    session->orphaned = true;
    uv_mutex_unlock(&session->gate.lock);
    end_by_program(session, "orphaned");
}

/* Ends it, and tells whether there is something to revoke. */
static bool begin_close(etcd_session *session)
{
    bool revoked;

    end_by_program(session, "closed");
    uv_mutex_lock(&session->gate.lock);
    revoked = session->revoked || session->reason.code == ETCD_ERR_LEASE_NOT_FOUND;
    uv_mutex_unlock(&session->gate.lock);
    return !revoked;
}

/* The server's answer to the revoke; returns whether the lease is gone. */
static bool end_close(etcd_session *session, int rc)
{
    if (rc != ETCD_OK && rc != ETCD_ERR_LEASE_NOT_FOUND)
        return false;
    uv_mutex_lock(&session->gate.lock);
    session->revoked = true;
    uv_mutex_unlock(&session->gate.lock);
    return true;
}

static int check(const etcd_session *session, etcd_error *err)
{
    if (session == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "the session is NULL");
    return etcd__gate_check(&session->gate, err);
}

int etcd_session_close(etcd_session *session, const etcd_call_options *call, etcd_error *err)
{
    bool manual;
    int rc = check(session, err);

    if (rc == ETCD_OK)
        rc = etcd__gate_may_wait(session->gate.client, &manual, err); /* before anything has ended */
    if (rc < 0)
        return rc;
    if (begin_close(session))
        rc = etcd_lease_revoke(session->gate.client, session->lease, call, NULL, err);
    if (!end_close(session, rc))
        return rc;
    etcd__error_clear(err);
    return ETCD_OK;
}

typedef struct closing {
    etcd_session *session;
    etcd_session_fn done; /* NULL: the handle is freed */
    void *arg;
} closing;

static void on_revoke(etcd_client *client, etcd_lease_revoke_response *response, const etcd_error *err, void *arg)
{
    closing *last = arg;
    etcd_session *session = last->session;

    (void)client;
    etcd_response_free(response);
    if (end_close(session, err ? err->code : ETCD_OK))
        err = NULL;
    if (last->done != NULL && etcd__callbacks_enter(&session->gate, &session->callbacks)) {
        last->done(session, err, last->arg);
        etcd__callbacks_leave(&session->gate, &session->callbacks);
    }
    etcd__free(last);
    etcd__session_unref(session);
}

static int start_revoke(etcd_session *session, const etcd_call_options *call, etcd_session_fn done, void *arg, etcd_call_id *id,
                        etcd_error *err)
{
    closing *last = etcd__malloc(sizeof *last);
    int rc;

    if (last == NULL)
        return etcd__error_no_memory(err);
    last->session = session;
    last->done = done;
    last->arg = arg;
    etcd__session_ref(session);
    rc = etcd_lease_revoke_async(session->gate.client, session->lease, call, on_revoke, last, id, err);
    if (rc < 0) {
        etcd__free(last);
        etcd__session_unref(session);
    }
    return rc;
}

int etcd_session_close_async(etcd_session *session, const etcd_call_options *call, etcd_session_fn done, void *arg,
                             etcd_call_id *id, etcd_error *err)
{
    int rc = check(session, err);

    if (id != NULL)
        *id = 0;
    if (rc < 0)
        return rc;
    if (done == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "done is NULL: a session needs a callback");
    rc = start_revoke(session, call, done, arg, id, err); /* of a lease that is gone, too: the answer ends the callback form */
    if (rc == ETCD_OK)
        end_by_program(session, "closed");
    return rc;
}

static int64_t free_timeout_ms(const etcd_session *session)
{
    return session->ttl_s * 1000 < FREE_TIMEOUT_MS ? session->ttl_s * 1000 : FREE_TIMEOUT_MS;
}

void etcd_session_free(etcd_session *session)
{
    etcd_error err;
    bool lost, manual;

    if (session == NULL)
        return;
    if (etcd__gate_check(&session->gate, NULL) < 0) {
        session->refs -= session->kept; /* which no driver will give back here */
        etcd__session_unref(session);
        return;
    }
    lost = atomic_load(&session->ended);
    etcd__callbacks_shut(&session->gate, &session->callbacks);
    if (!session->orphaned && begin_close(session)) {
        const etcd_call_options call = {.size = sizeof call, .timeout_ms = free_timeout_ms(session)};

        if (!lost && etcd__gate_may_wait(session->gate.client, &manual, NULL) == ETCD_OK)
            (void)etcd_lease_revoke(session->gate.client, session->lease, &call, NULL, &err);
        else /* in a callback; or the cluster was out of reach */
            (void)start_revoke(session, &call, NULL, NULL, NULL, &err);
    }
    etcd__session_unref(session);
}
