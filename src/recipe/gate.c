/* See gate.h. */
#include "recipe/gate.h"

#include "base/error.h"

#include <assert.h>
#include <etcd3/txn.h>
#include <string.h>
#include <unistd.h>

int etcd__gate_init(etcd__gate *gate, etcd_client *client, etcd_error *err)
{
    int rc;

    if (client == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "the client is NULL");
    rc = etcd_call_cancel(client, 0); /* which no call has: tells of a client that is closed, or another process' */
    if (rc != ETCD_ERR_CALL_NOT_FOUND)
        return etcd__error_set(err, rc, "%s", etcd_error_text(rc));
    memset(gate, 0, sizeof *gate);
    gate->anchor = etcd_txn_new(client);
    if (gate->anchor == NULL)
        return etcd__error_no_memory(err);
    if (uv_mutex_init(&gate->lock) != 0) {
        etcd_txn_free(gate->anchor);
        return etcd__error_no_memory(err);
    }
    if (uv_cond_init(&gate->changed) != 0) {
        uv_mutex_destroy(&gate->lock);
        etcd_txn_free(gate->anchor);
        return etcd__error_no_memory(err);
    }
    gate->client = client;
    etcd__fork_mark_init(&gate->made);
    return ETCD_OK;
}

void etcd__gate_destroy(etcd__gate *gate)
{
    if (!etcd__fork_mark_passed(&gate->made)) {
        uv_cond_destroy(&gate->changed);
        uv_mutex_destroy(&gate->lock);
    }
    etcd__fork_mark_free(&gate->made);
    etcd_txn_free(gate->anchor);
}

int etcd__gate_check(const etcd__gate *gate, etcd_error *err)
{
    if (etcd__fork_mark_passed(&gate->made))
        return etcd__error_set(err, ETCD_ERR_FORKED, "%s", etcd_error_text(ETCD_ERR_FORKED));
    return ETCD_OK;
}

/* --- callbacks -------------------------------------------------------------------------------- */

bool etcd__callbacks_enter(etcd__gate *gate, etcd__callbacks *callbacks)
{
    bool shut;

    uv_mutex_lock(&gate->lock);
    shut = callbacks->shut;
    if (!shut) {
        callbacks->inside++;
        callbacks->thread = uv_thread_self();
    }
    uv_mutex_unlock(&gate->lock);
    return !shut;
}

void etcd__callbacks_leave(etcd__gate *gate, etcd__callbacks *callbacks)
{
    uv_mutex_lock(&gate->lock);
    callbacks->inside--;
    uv_cond_broadcast(&gate->changed);
    uv_mutex_unlock(&gate->lock);
}

void etcd__callbacks_shut(etcd__gate *gate, etcd__callbacks *callbacks)
{
    uv_thread_t self = uv_thread_self();

    uv_mutex_lock(&gate->lock);
    callbacks->shut = true;
    while (callbacks->inside > 0 && !uv_thread_equal(&callbacks->thread, &self))
        uv_cond_wait(&gate->changed, &gate->lock);
    uv_mutex_unlock(&gate->lock);
}

/* --- waiting ---------------------------------------------------------------------------------- */

int etcd__gate_may_wait(etcd_client *client, bool *manual, etcd_error *err)
{
    int rc = etcd_client_process(client, 0, err);

    *manual = rc == ETCD_OK;
    if (rc == ETCD_ERR_ARGUMENT && client != NULL) { /* it has a thread of its own */
        etcd__error_clear(err);
        rc = ETCD_OK;
    }
    return rc;
}

void etcd__gate_wait(etcd__gate *gate, bool manual, const bool *done)
{
    bool over;

    uv_mutex_lock(&gate->lock);
    while (!*done && !manual)
        uv_cond_wait(&gate->changed, &gate->lock);
    over = *done;
    uv_mutex_unlock(&gate->lock);
    while (!over) {
        int rc = etcd_client_process(gate->client, -1, NULL);

        uv_mutex_lock(&gate->lock);
        over = *done;
        uv_mutex_unlock(&gate->lock);
        assert(over || rc == ETCD_OK); /* a close ends all calls, and so what is waited for, before it returns */
        (void)rc;
    }
}

/* --- descriptors ------------------------------------------------------------------------------ */

static void show(const etcd__beacon *beacon)
{
    char byte = 1;
    ssize_t n;

    if (beacon->lit)
        n = write(beacon->fds[1], &byte, 1);
    else
        n = read(beacon->fds[0], &byte, 1);
    (void)n; /* never more than one byte in it: neither can fail */
}

int etcd__beacon_fd(etcd__beacon *beacon)
{
    if (!beacon->made) {
        if (uv_pipe(beacon->fds, UV_NONBLOCK_PIPE, UV_NONBLOCK_PIPE) != 0)
            return ETCD_ERR_SYSTEM;
        beacon->made = true;
        if (beacon->lit)
            show(beacon);
    }
    return beacon->fds[0];
}

void etcd__beacon_set(etcd__beacon *beacon, bool lit)
{
    if (beacon->lit == lit)
        return;
    beacon->lit = lit;
    if (beacon->made)
        show(beacon);
}

void etcd__beacon_close(etcd__beacon *beacon)
{
    if (!beacon->made)
        return;
    (void)close(beacon->fds[0]);
    (void)close(beacon->fds[1]);
    beacon->made = false;
}
