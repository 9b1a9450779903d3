/* What the tests of STMs share: running one in each form and mode. */
#ifndef ETCD3_TESTS_STM_H
#define ETCD3_TESTS_STM_H

#include "real.h"

enum stm_form { STM_BLOCKING, STM_ASYNC, STM_BLOCKING_MANUAL, STM_ASYNC_MANUAL, STM_FORMS };

/** A client for that form; the store stays as it is. */
etcd_client *stm_client(int form);

/** Runs a transaction to its end in that form. `out` and `err` as of etcd_stm_run(); of an asynchronous error only code, flags
 *  and message. */
int stm_run(etcd_client *client, int form, etcd_stm_apply_fn apply, void *arg, const etcd_stm_options *options,
            etcd_txn_response **out, etcd_error *err);

/** Reads a key that must be there or not, in a function; a negative code is to be returned. */
int stm_get_text(etcd_stm *stm, const char *key, const char **text);

/** The value of a key in the store as a number. */
long stm_number(etcd_client *client, const char *key);

/** Somebody else, who writes in between. */
extern etcd_client *stm_other;

/** What a function notes. */
struct stm_script {
    int runs;            /* how often it was called */
    int32_t attempt;     /* of the last run */
    int wrote;           /* attempts in which the other has written */
    char seen[64];       /* of the last run */
    char first_seen[64]; /* of the first attempt */
};

/** A client for that form and the other one; an empty store. */
void stm_start(etcd_client **client, int form, struct stm_script *script);
void stm_finish(etcd_client *client);

/** At the begin of a function, and what it has read ("-" for NULL). */
void stm_note_run(struct stm_script *script, etcd_stm *stm);
void stm_note_seen(struct stm_script *script, const char *text);

/** Whether the other is to write now: once in each of the first `attempts` attempts. */
bool stm_to_interfere(struct stm_script *script, int attempts);

#endif
