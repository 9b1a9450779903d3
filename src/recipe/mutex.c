/* Mutexes. See <etcd3/mutex.h>; what they do is in line.c and line_steps.c.
 *
 * GO-DIFF: a try puts nothing into the line when the lock is taken. */
#include <etcd3/mutex.h>

#include "base/alloc.h"
#include "base/error.h"
#include "recipe/line.h"

struct etcd_mutex {
    etcd__line line; /* first */
};

static void deliver(etcd__line *line, const etcd_error *err, etcd__line_fn done, void *arg)
{
    ((etcd_mutex_fn)done)((etcd_mutex *)(void *)line, err, arg);
}

static const etcd__line_kind kind = {.noun = "mutex",
                                     .not_first = ETCD_ERR_LOCK_RELEASED,
                                     .set_not_first = ETCD_ERR_LOCK_RELEASED,
                                     .deliver = deliver};

static etcd__line *line_of(etcd_mutex *mutex)
{
    return mutex ? &mutex->line : NULL;
}

static const etcd__line *const_line_of(const etcd_mutex *mutex)
{
    return mutex ? &mutex->line : NULL;
}

int etcd_mutex_new(etcd_session *session, const char *name, size_t name_len, etcd_mutex **out, etcd_error *err)
{
    etcd_mutex *mutex;
    int rc;

    if (out == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "out is NULL");
    *out = NULL;
    mutex = etcd__malloc(sizeof *mutex);
    if (mutex == NULL)
        return etcd__error_no_memory(err);
    rc = etcd__line_init(&mutex->line, &kind, session, name, name_len, err);
    if (rc < 0) {
        etcd__free(mutex);
        return rc;
    }
    etcd__error_clear(err);
    *out = mutex;
    return ETCD_OK;
}

static int run(etcd_mutex *mutex, etcd__line_what what, const etcd_call_options *call, etcd_error *err)
{
    const etcd__line_request request = {.what = what, .call = call};

    return etcd__line_run(line_of(mutex), &request, err);
}

static int start(etcd_mutex *mutex, etcd__line_what what, const etcd_call_options *call, etcd_mutex_fn done, void *arg,
                 etcd_call_id *id, etcd_error *err)
{
    const etcd__line_request request = {.what = what, .call = call};

    return etcd__line_start(line_of(mutex), &request, (etcd__line_fn)done, arg, id, err);
}

int etcd_mutex_lock(etcd_mutex *mutex, const etcd_call_options *call, etcd_error *err)
{
    return run(mutex, ETCD__LINE_ENTER, call, err);
}

int etcd_mutex_lock_async(etcd_mutex *mutex, const etcd_call_options *call, etcd_mutex_fn done, void *arg, etcd_call_id *id,
                          etcd_error *err)
{
    return start(mutex, ETCD__LINE_ENTER, call, done, arg, id, err);
}

int etcd_mutex_try_lock(etcd_mutex *mutex, const etcd_call_options *call, etcd_error *err)
{
    return run(mutex, ETCD__LINE_TRY, call, err);
}

int etcd_mutex_try_lock_async(etcd_mutex *mutex, const etcd_call_options *call, etcd_mutex_fn done, void *arg, etcd_call_id *id,
                              etcd_error *err)
{
    return start(mutex, ETCD__LINE_TRY, call, done, arg, id, err);
}

int etcd_mutex_unlock(etcd_mutex *mutex, const etcd_call_options *call, etcd_error *err)
{
    return run(mutex, ETCD__LINE_LEAVE, call, err);
}

int etcd_mutex_unlock_async(etcd_mutex *mutex, const etcd_call_options *call, etcd_mutex_fn done, void *arg, etcd_call_id *id,
                            etcd_error *err)
{
    return start(mutex, ETCD__LINE_LEAVE, call, done, arg, id, err);
}

bool etcd_mutex_held(const etcd_mutex *mutex)
{
    return etcd__line_held(const_line_of(mutex));
}

int64_t etcd_mutex_token(const etcd_mutex *mutex)
{
    return etcd__line_token(const_line_of(mutex));
}

void etcd_mutex_if_owner(const etcd_mutex *mutex, etcd_txn *txn)
{
    etcd__line_if_first(const_line_of(mutex), txn);
}

const char *etcd_mutex_key(const etcd_mutex *mutex, size_t *len)
{
    if (len != NULL)
        *len = mutex ? mutex->line.key_len : 0;
    return mutex ? mutex->line.key : NULL;
}

void etcd_mutex_header(const etcd_mutex *mutex, etcd_response_header *out)
{
    etcd__line_header(const_line_of(mutex), out);
}

void etcd_mutex_free(etcd_mutex *mutex)
{
    if (mutex != NULL)
        etcd__line_free(&mutex->line);
}
