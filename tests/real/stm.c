/* See stm.h. */
#include "stm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

etcd_client *stm_client(int form)
{
    return real_client_with(ETCD_CLIENT(.manual = form == STM_BLOCKING_MANUAL || form == STM_ASYNC_MANUAL));
}

/* An asynchronous transaction with its end. */
struct run {
    etcd_stm_apply_fn apply;
    void *arg;
    struct real_ending ending;
};

static int on_apply(etcd_stm *stm, void *arg)
{
    struct run *run = arg;

    return run->apply(stm, run->arg);
}

static void on_done(etcd_client *client, etcd_txn_response *response, const etcd_error *err, void *arg)
{
    (void)client;
    real_end(&((struct run *)arg)->ending, response, err);
}

int stm_run(etcd_client *client, int form, etcd_stm_apply_fn apply, void *arg, const etcd_stm_options *options,
            etcd_txn_response **out, etcd_error *err)
{
    struct run run = {apply, arg, REAL_ENDING};
    int rc;

    if (form == STM_BLOCKING || form == STM_BLOCKING_MANUAL)
        return etcd_stm_run(client, apply, arg, options, out, err);
    if (out != NULL)
        *out = NULL;
    rc = etcd_stm_run_async(client, on_apply, options, on_done, &run, err);
    if (rc < 0) {
        assert_int_equal(real_times_ended(&run.ending), 0);
        return rc;
    }
    if (form == STM_ASYNC)
        real_await(&run.ending);
    else
        real_poll_until(client, &run.ending);
    assert_int_equal(real_times_ended(&run.ending), 1);
    if (err != NULL) {
        err->code = run.ending.code;
        err->flags = run.ending.flags;
        memcpy(err->message, run.ending.message, sizeof err->message);
    }
    if (out != NULL)
        *out = run.ending.response;
    else
        etcd_response_free(run.ending.response);
    return run.ending.code;
}

int stm_get_text(etcd_stm *stm, const char *key, const char **text)
{
    const etcd_bytes *value;
    int rc = etcd_stm_get(stm, ETCD_STR(key), &value);

    *text = rc == ETCD_OK && value != NULL ? value->data : NULL;
    return rc;
}

long stm_number(etcd_client *client, const char *key)
{
    etcd_get_response *response = real_get(client, key, NULL);
    long number;

    assert_int_equal(response->n_kvs, 1);
    number = strtol(response->kvs[0].value.data, NULL, 10);
    etcd_response_free(response);
    return number;
}

etcd_client *stm_other;

void stm_start(etcd_client **client, int form, struct stm_script *script)
{
    stm_other = real_client(); /* empties the store */
    *client = stm_client(form);
    memset(script, 0, sizeof *script);
}

void stm_finish(etcd_client *client)
{
    etcd_client_free(client);
    etcd_client_free(stm_other);
}

void stm_note_run(struct stm_script *script, etcd_stm *stm)
{
    script->runs++;
    script->attempt = etcd_stm_attempt(stm);
    script->seen[0] = '\0';
}

void stm_note_seen(struct stm_script *script, const char *text)
{
    size_t used = strlen(script->seen);

    snprintf(script->seen + used, sizeof script->seen - used, "%s%s", used ? " " : "", text ? text : "-");
    if (script->attempt == 1)
        memcpy(script->first_seen, script->seen, sizeof script->first_seen);
}

bool stm_to_interfere(struct stm_script *script, int attempts)
{
    if (script->attempt > attempts || script->wrote >= script->attempt)
        return false;
    script->wrote = script->attempt;
    return true;
}
