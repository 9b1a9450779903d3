/* Software transactional memory: the machine. See <etcd3/stm.h> and recipe/stm.h; the contract, section 1.15.
 *
 * One machine for both forms: advance() does steps until it has to wait for an answer of the server, which the blocking form
 * gets in place and the other in a callback; settle() works the answer in and says what is next.
 *
 *     FETCH   read the keys that are wanted, in one transaction of gets      -> RUN
 *     RUN     call the function                                              -> FETCH (keys missed), COMMIT, END
 *     COMMIT  one transaction: guards, writes                                -> END, or after a conflict FETCH or RUN
 *
 * GO-DIFF: back-off and a limit of attempts; after a conflict reads are linearizable, as the same stale member could cause
 * the next conflict; a revision that a lagging member does not have yet is asked of the leader; a compacted one is a conflict;
 * a get of several keys gives them all. */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/options.h"
#include "recipe/stm.h"

#include <string.h>

#define DEFAULT_ATTEMPTS 100
#define DEFAULT_BACKOFF_BASE 4
#define DEFAULT_BACKOFF_MAX 250
#define DEFAULT_BYTES (INT64_C(16) << 20)

void etcd_stm_options_init(etcd_stm_options *options, size_t size)
{
    etcd__options_init(options, size);
}

/* --- memory ----------------------------------------------------------------------------------- */

bool etcd__stm_has_failed(const etcd_stm *stm)
{
    return stm->error.code != ETCD_OK;
}

int etcd__stm_no_memory(etcd_stm *stm)
{
    return etcd__stm_has_failed(stm) ? stm->error.code : etcd__error_no_memory(&stm->error);
}

int etcd__stm_check_limit(etcd_stm *stm)
{
    if (stm->set.bytes + stm->written_bytes <= (size_t)stm->options.max_bytes)
        return ETCD_OK;
    return etcd__error_set(&stm->error, ETCD_ERR_TOO_LARGE, "stm: what is read and written exceeds max_bytes (%lld)",
                           (long long)stm->options.max_bytes);
}

/* Room to hold one more response, so that one that has arrived is not lost. */
static bool can_hold(etcd_stm *stm)
{
    size_t room = stm->held_room ? stm->held_room * 2 : 8;
    void **held;

    if (stm->n_held < stm->held_room)
        return true;
    held = etcd__realloc(stm->held, room * sizeof(void *));
    if (held == NULL)
        return false;
    stm->held = held;
    stm->held_room = room;
    return true;
}

static void release(etcd_stm *stm)
{
    for (size_t i = 0; i < stm->n_held; i++)
        etcd_response_free(stm->held[i]);
    stm->n_held = 0;
}

static void drop_written(etcd_stm *stm)
{
    etcd__arena_free(stm->written);
    stm->written = NULL;
    stm->written_bytes = 0;
}

static void stm_free(etcd_stm *stm)
{
    etcd_bytes *prefetch;

    if (stm == NULL)
        return;
    etcd__stm_set_free(&stm->set);
    release(stm);
    etcd__free(stm->held);
    drop_written(stm);
    etcd_response_free(stm->result);
    memcpy(&prefetch, &stm->options.prefetch, sizeof prefetch);
    etcd__free(prefetch);
    etcd__free(stm);
}

/* --- requests --------------------------------------------------------------------------------- */

static bool is_serializable(const etcd_stm *stm)
{
    return stm->options.isolation <= ETCD_STM_SERIALIZABLE;
}

/* The options of the next request. */
static int prepare_call(etcd_stm *stm, etcd_call_options *call, etcd_error *err)
{
    int64_t left;

    *call = stm->call;
    call->size = sizeof *call;
    call->delay_ms = stm->delay_ms;
    stm->delay_ms = 0;
    if (stm->deadline == 0 || stm->deadline == ETCD__NEVER)
        return ETCD_OK;
    left = stm->deadline - etcd__clock_monotonic();
    if (left <= 0) {
        etcd__error_set(err, ETCD_ERR_DEADLINE_EXCEEDED, "%s (stm: in attempt %d)", etcd_error_text(ETCD_ERR_DEADLINE_EXCEEDED),
                        (int)stm->attempt);
        err->flags = ETCD_ERROR_RETRYABLE;
        return ETCD_ERR_DEADLINE_EXCEEDED;
    }
    call->timeout_ms = (left + ETCD__MS - 1) / ETCD__MS;
    return ETCD_OK;
}

/* Reads what is wanted: as of the pinned revision, or now. */
etcd_txn *etcd__stm_fetch_request(const etcd_stm *stm)
{
    etcd_txn *txn = etcd_txn_new(stm->client);
    bool any_member = is_serializable(stm) ? stm->pinned != 0 && !stm->lagging : stm->attempt == 1;

    for (size_t i = 0; i < stm->set.n; i++) {
        const etcd__stm_entry *entry = stm->set.entries[i];

        if (entry->wanted)
            etcd_txn_get(txn, entry->key, entry->key_len, ETCD_GET(.revision = stm->pinned, .serializable = any_member));
    }
    return txn;
}

/* The revision as of which the serializable levels read; INT64_MAX: nothing was read. */
static int64_t first_read(const etcd_stm *stm)
{
    int64_t first = INT64_MAX;

    for (size_t i = 0; i < stm->set.n; i++)
        if (stm->set.entries[i]->read && stm->set.entries[i]->revision < first)
            first = stm->set.entries[i]->revision;
    return first;
}

static void add_guards(const etcd_stm *stm, etcd_txn *txn)
{
    int64_t first = first_read(stm);

    for (size_t i = 0; i < stm->set.n; i++) {
        const etcd__stm_entry *entry = stm->set.entries[i];

        if (entry->read)
            etcd_txn_if_mod_revision(txn, entry->key, entry->key_len, ETCD_CMP_EQUAL, entry->kv ? entry->kv->mod_revision : 0);
        else if (entry->write != NULL && stm->options.isolation == ETCD_STM_SERIALIZABLE_SNAPSHOT && first != INT64_MAX)
            etcd_txn_if_mod_revision(txn, entry->key, entry->key_len, ETCD_CMP_LESS, first + 1);
    }
}

/* Whether a commit that meets a conflict reads again what was read. Later attempts read after their back-off. */
static bool reads_in_commit(const etcd_stm *stm)
{
    return is_serializable(stm) && stm->attempt == 1;
}

static etcd_txn *commit_request(const etcd_stm *stm)
{
    etcd_txn *txn = etcd_txn_new(stm->client);

    if (stm->options.isolation != ETCD_STM_READ_COMMITTED)
        add_guards(stm, txn);
    for (size_t i = 0; i < stm->set.n; i++)
        if (stm->set.entries[i]->write != NULL)
            etcd_txn_op(txn, stm->set.entries[i]->write);
    if (!reads_in_commit(stm))
        return txn;
    etcd_txn_else(txn);
    for (size_t i = 0; i < stm->set.n; i++)
        if (stm->set.entries[i]->read)
            etcd_txn_get(txn, stm->set.entries[i]->key, stm->set.entries[i]->key_len, NULL);
    return txn;
}

/* Takes over the answer to a fetch, or to the reads of a commit: one get for each wanted key. */
static int learn(etcd_stm *stm, etcd_txn_response *response)
{
    size_t n = 0;

    stm->held[stm->n_held++] = response;
    if (is_serializable(stm) && stm->pinned == 0)
        stm->pinned = response->header.revision;
    for (size_t i = 0; i < stm->set.n; i++) {
        etcd__stm_entry *entry = stm->set.entries[i];
        const etcd_get_response *get;

        if (!entry->wanted)
            continue;
        get = n < response->n_responses ? response->responses[n]->get : NULL;
        if (get == NULL)
            return etcd__error_set(&stm->error, ETCD_ERR_PROTOCOL, "stm: an answer to a get is missing");
        n++;
        etcd__stm_set_learn(&stm->set, entry, get->n_kvs > 0 ? &get->kvs[0] : NULL,
                            stm->pinned ? stm->pinned : response->header.revision);
    }
    return etcd__stm_check_limit(stm);
}

/* What a fetch was answered with. Returns whether it is to be done again. */
bool etcd__stm_take_fetched(etcd_stm *stm, etcd_txn_response *response, const etcd_error *err)
{
    if (response != NULL) {
        (void)learn(stm, response);
        return false;
    }
    if (err->code == ETCD_ERR_FUTURE_REV && stm->pinned != 0 && !stm->lagging) {
        stm->lagging = true;
        return true;
    }
    stm->stale = err->code == ETCD_ERR_COMPACTED && stm->pinned != 0;
    if (!etcd__stm_has_failed(stm))
        stm->error = *err;
    return false;
}

/* --- conflicts -------------------------------------------------------------------------------- */

static int64_t backoff_of(etcd_stm *stm)
{
    int64_t bound = stm->options.backoff_base_ms, max = stm->options.backoff_max_ms;

    for (int32_t i = 2; i < stm->attempt && bound < max; i++)
        bound = bound <= max / 2 ? bound * 2 : max;
    if (bound > max)
        bound = max;
    return bound - (int64_t)etcd__random_below(&stm->random, (uint64_t)(bound / 2 + 1));
}

static void end(etcd_stm *stm)
{
    stm->step = ETCD__STM_END;
}

/* The next attempt. `answer` has what the commit has read for it, or is NULL. */
static void begin_again(etcd_stm *stm, etcd_txn_response *answer)
{
    etcd__error_clear(&stm->error);
    stm->stale = stm->lagging = false;
    stm->pinned = 0;
    etcd__stm_set_forget(&stm->set);
    release(stm);
    if (stm->attempt >= stm->options.max_attempts) {
        etcd_response_free(answer);
        etcd__error_set(&stm->error, ETCD_ERR_STM_CONFLICT, "%s (%d attempts)", etcd_error_text(ETCD_ERR_STM_CONFLICT),
                        (int)stm->attempt);
        stm->error.flags = ETCD_ERROR_RETRYABLE;
        end(stm);
        return;
    }
    stm->attempt++;
    stm->step = ETCD__STM_FETCH;
    if (answer == NULL)
        stm->delay_ms = backoff_of(stm);
    else if (learn(stm, answer) < 0)
        end(stm);
}

static void take_committed(etcd_stm *stm, etcd_txn_response *response, const etcd_error *err)
{
    bool has_read = response != NULL && reads_in_commit(stm);

    end(stm);
    if (response == NULL) {
        stm->error = *err;
    } else if (response->succeeded) {
        stm->result = response;
    } else if (has_read) {
        begin_again(stm, response);
    } else {
        etcd_response_free(response);
        begin_again(stm, NULL);
    }
}

/* --- the machine ------------------------------------------------------------------------------ */

static bool wants(const etcd_stm *stm)
{
    for (size_t i = 0; i < stm->set.n; i++)
        if (stm->set.entries[i]->wanted)
            return true;
    return false;
}

/* The function's own failure, or that of what it called. */
static void fail_run(etcd_stm *stm, int rc)
{
    if (!etcd__stm_has_failed(stm))
        etcd__error_set(&stm->error, rc, "stm: ended by its function: %s", etcd_error_text(rc));
    end(stm);
}

static void run(etcd_stm *stm)
{
    int rc;

    etcd__stm_set_restart(&stm->set);
    drop_written(stm);
    stm->missed = false;
    rc = etcd__stm_read_many(stm, stm->options.prefetch, (size_t)stm->options.n_prefetch);
    if (rc == ETCD_OK)
        rc = stm->apply(stm, stm->arg);
    if (stm->stale)
        begin_again(stm, NULL);
    else if (etcd__stm_has_failed(stm))
        fail_run(stm, stm->error.code);
    else if (stm->missed)
        stm->step = ETCD__STM_FETCH; /* whatever it made of what it does not know */
    else if (rc < 0)
        fail_run(stm, rc);
    else
        stm->step = ETCD__STM_COMMIT;
}

/* Works in the answer to the request of the present step. */
static void settle(etcd_stm *stm, etcd_txn_response *response, const etcd_error *err)
{
    if (stm->step == ETCD__STM_COMMIT) {
        take_committed(stm, response, err);
        return;
    }
    if (etcd__stm_take_fetched(stm, response, err))
        return;
    if (stm->stale)
        begin_again(stm, NULL);
    else if (etcd__stm_has_failed(stm))
        end(stm);
    else
        stm->step = ETCD__STM_RUN;
}

/* Sends a request and waits for its answer: `*response`, or a failure in `*err`. */
void etcd__stm_ask(etcd_stm *stm, etcd_txn *txn, etcd_txn_response **response, etcd_error *err)
{
    etcd_call_options call;

    *response = NULL;
    if (!can_hold(stm))
        etcd__error_no_memory(err);
    else if (prepare_call(stm, &call, err) == ETCD_OK)
        (void)etcd_txn_commit(txn, &call, response, err);
}

static void on_answer(etcd_client *client, etcd_txn_response *response, const etcd_error *err, void *arg);

/* Sends a request whose answer will come in on_answer(): from then on stm may be gone. */
static int send_async(etcd_stm *stm, etcd_txn *txn, etcd_error *err)
{
    etcd_call_options call;
    int rc = can_hold(stm) ? prepare_call(stm, &call, err) : etcd__error_no_memory(err);

    return rc < 0 ? rc : etcd_txn_commit_async(txn, &call, on_answer, stm, NULL, err);
}

/* Sends the request of the present step. Returns false when its answer will come in on_answer(). */
static bool send_request(etcd_stm *stm)
{
    etcd_txn *txn = stm->step == ETCD__STM_FETCH ? etcd__stm_fetch_request(stm) : commit_request(stm);
    etcd_txn_response *response = NULL;
    bool pending = false;
    etcd_error err;

    if (txn == NULL)
        (void)etcd__error_no_memory(&err);
    else if (stm->done == NULL)
        etcd__stm_ask(stm, txn, &response, &err);
    else
        pending = send_async(stm, txn, &err) == ETCD_OK;
    etcd_txn_free(txn);
    if (pending)
        return false;
    settle(stm, response, &err);
    return true;
}

/* Goes on until the end or until an answer has to be waited for. Returns whether it is the end. */
static bool advance(etcd_stm *stm)
{
    for (;;) {
        switch (stm->step) {
        case ETCD__STM_END:
            return true;
        case ETCD__STM_RUN:
            run(stm);
            break;
        case ETCD__STM_FETCH:
            if (!wants(stm)) {
                stm->step = ETCD__STM_RUN;
                break;
            }
            /* fall through */
        case ETCD__STM_COMMIT:
            if (!send_request(stm))
                return false;
            break;
        }
    }
}

static void on_answer(etcd_client *client, etcd_txn_response *response, const etcd_error *err, void *arg)
{
    etcd_stm *stm = arg;
    etcd_stm_fn done = stm->done;
    void *done_arg = stm->arg;
    etcd_error error;

    settle(stm, response, err);
    if (!advance(stm))
        return;
    error = stm->error;
    response = stm->result;
    stm->result = NULL;
    stm_free(stm);
    done(client, response, error.code != ETCD_OK ? &error : NULL, done_arg);
}

/* --- the beginning ---------------------------------------------------------------------------- */

static int check_options(const etcd_stm_options *o, etcd_error *err)
{
    if (o->isolation < ETCD_STM_SERIALIZABLE_SNAPSHOT || o->isolation > ETCD_STM_READ_COMMITTED)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "isolation %d: there is no such level", (int)o->isolation);
    if (o->max_attempts < 0 || o->backoff_base_ms < 0 || o->backoff_max_ms < 0 || o->max_bytes < 0 || o->n_prefetch < 0)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "etcd_stm_options: a number is negative");
    if (o->n_prefetch > 0 && o->prefetch == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "prefetch is NULL");
    return ETCD_OK;
}

static void *copy(char **to, const void *data, size_t len)
{
    void *at = *to;

    if (len > 0)
        memcpy(at, data, len);
    *to += len;
    return at;
}

/* Copies all that the options point to into one block, which `prefetch` then is. */
static int own_options(etcd_stm *stm, etcd_error *err)
{
    bool too_many = stm->options.n_prefetch > INT32_MAX;
    size_t n = too_many ? 0 : (size_t)stm->options.n_prefetch;
    size_t endpoint_size = stm->call.endpoint ? strlen(stm->call.endpoint) + 1 : 0;
    size_t trace_size = stm->call.traceparent ? strlen(stm->call.traceparent) + 1 : 0;
    size_t size = n * sizeof(etcd_bytes) + endpoint_size + trace_size;
    const etcd_bytes *given = stm->options.prefetch;
    etcd_bytes *keys;
    char *to;

    stm->options.prefetch = NULL;
    for (size_t i = 0; i < n; i++)
        size += given[i].len;
    if (too_many || size > (size_t)stm->options.max_bytes + endpoint_size + trace_size)
        return etcd__error_set(err, ETCD_ERR_TOO_LARGE, "stm: the keys to prefetch exceed max_bytes");
    if (size == 0)
        return ETCD_OK;
    keys = etcd__malloc(size);
    if (keys == NULL)
        return etcd__error_no_memory(err);
    to = (char *)(keys + n);
    for (size_t i = 0; i < n; i++)
        keys[i] = (etcd_bytes){copy(&to, given[i].data, given[i].len), given[i].len};
    if (endpoint_size > 0)
        stm->call.endpoint = copy(&to, stm->call.endpoint, endpoint_size);
    if (trace_size > 0)
        stm->call.traceparent = copy(&to, stm->call.traceparent, trace_size);
    stm->options.prefetch = keys;
    return ETCD_OK;
}

static int load_options(etcd_stm *stm, const etcd_stm_options *options, etcd_error *err)
{
    etcd_stm_options *o = &stm->options;
    int rc = etcd__options_load(o, sizeof *o, options, "etcd_stm_options", err);

    if (rc == ETCD_OK)
        rc = check_options(o, err);
    if (rc == ETCD_OK)
        rc = etcd__options_load(&stm->call, sizeof stm->call, o->call, "etcd_call_options", err);
    if (rc < 0) {
        o->prefetch = NULL;
        return rc;
    }
    o->max_attempts = o->max_attempts ? o->max_attempts : DEFAULT_ATTEMPTS;
    o->backoff_base_ms = o->backoff_base_ms ? o->backoff_base_ms : DEFAULT_BACKOFF_BASE;
    o->backoff_max_ms = o->backoff_max_ms ? o->backoff_max_ms : DEFAULT_BACKOFF_MAX;
    o->max_bytes = o->max_bytes ? o->max_bytes : DEFAULT_BYTES;
    stm->delay_ms = stm->call.delay_ms;
    if (stm->call.timeout_ms > 0)
        stm->deadline = etcd__clock_after(etcd__clock_monotonic(), etcd__clock_from_ms(stm->call.timeout_ms));
    return own_options(stm, err);
}

static int stm_new(etcd_client *client, etcd_stm_apply_fn apply, void *arg, const etcd_stm_options *options, etcd_stm **out,
                   etcd_error *err)
{
    etcd_stm *stm;
    int rc;

    *out = NULL;
    if (client == NULL || apply == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, client ? "apply is NULL" : "the client is NULL");
    stm = etcd__calloc(1, sizeof *stm);
    if (stm == NULL)
        return etcd__error_no_memory(err);
    stm->client = client;
    stm->apply = apply;
    stm->arg = arg;
    stm->attempt = 1;
    stm->step = ETCD__STM_RUN;
    etcd__random_init(&stm->random);
    rc = load_options(stm, options, err);
    if (rc < 0) {
        stm_free(stm);
        return rc;
    }
    *out = stm;
    return ETCD_OK;
}

/* Tells the result of a machine that is at its end. */
static int finish(etcd_stm *stm, etcd_txn_response **out, etcd_error *err)
{
    int rc = stm->error.code;

    if (out != NULL && rc == ETCD_OK) {
        *out = stm->result;
        stm->result = NULL;
    }
    if (err != NULL && rc < 0)
        *err = stm->error;
    else
        etcd__error_clear(err);
    stm_free(stm);
    return rc;
}

int etcd_stm_run(etcd_client *client, etcd_stm_apply_fn apply, void *arg, const etcd_stm_options *options,
                 etcd_txn_response **out, etcd_error *err)
{
    etcd_stm *stm;
    int rc;

    if (out != NULL)
        *out = NULL;
    rc = stm_new(client, apply, arg, options, &stm, err);
    if (rc < 0)
        return rc;
    (void)advance(stm);
    return finish(stm, out, err);
}

int etcd_stm_run_async(etcd_client *client, etcd_stm_apply_fn apply, const etcd_stm_options *options, etcd_stm_fn done, void *arg,
                       etcd_error *err)
{
    etcd_stm *stm;
    int rc;

    if (done == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "done is NULL: transactions are not delivered to the completion queue");
    rc = stm_new(client, apply, arg, options, &stm, err);
    if (rc < 0)
        return rc;
    stm->done = done;
    etcd__error_clear(err); /* now: once it has started, `done` may run and what `err` is part of be gone */
    return advance(stm) ? finish(stm, NULL, err) : ETCD_OK;
}
