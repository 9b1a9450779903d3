/* An STM under way: shared by the machine that runs it (recipe/stm.c) and what its function may do (recipe/stm_access.c).
 *
 * Invariants: what entries of the set and values given to the function point to is in `held` (responses) and `written`
 * (arena), which only change between runs, but for growing. `error` sticks: with it set a run cannot commit. */
#ifndef ETCD__RECIPE_STM_H
#define ETCD__RECIPE_STM_H

#include "base/arena.h"
#include "base/random.h"
#include "recipe/stm_set.h"

#include <etcd3/stm.h>

typedef enum etcd__stm_step { ETCD__STM_FETCH, ETCD__STM_RUN, ETCD__STM_COMMIT, ETCD__STM_END } etcd__stm_step;

struct etcd_stm {
    /* constant */
    etcd_client *client;
    etcd_stm_apply_fn apply;
    void *arg;
    etcd_stm_fn done;         /* NULL: blocking form */
    etcd_stm_options options; /* defaults filled in; what it points to is owned */
    etcd_call_options call;
    int64_t deadline; /* monotonic ns; 0: each request has its own */
    /* an attempt */
    etcd__stm_step step;
    int32_t attempt;
    int64_t pinned;   /* serializable levels: the revision that is read; 0: not known yet */
    bool lagging;     /* a member did not have that revision yet */
    bool stale;       /* that revision was compacted: a conflict */
    int64_t delay_ms; /* of the next request */
    etcd__stm_set set;
    void **held; /* responses */
    size_t n_held, held_room;
    /* a run */
    bool missed;          /* a get found that its key has to be read */
    etcd__arena *written; /* values that were put */
    size_t written_bytes;
    etcd_error error; /* the first; code 0: none */
    /* the end */
    etcd_txn_response *result;
    etcd__random random;
};

bool etcd__stm_has_failed(const etcd_stm *stm);

/** Records that memory is out, or over max_bytes, unless an error was recorded before. Return the recorded code. */
int etcd__stm_no_memory(etcd_stm *stm);
int etcd__stm_check_limit(etcd_stm *stm);

/** The request that reads what is wanted; NULL when out of memory. */
etcd_txn *etcd__stm_fetch_request(const etcd_stm *stm);

/** Works in what that was answered with. Returns whether it is to be done again. */
bool etcd__stm_take_fetched(etcd_stm *stm, etcd_txn_response *response, const etcd_error *err);

/** Sends a request and waits for its answer: `*response`, or a failure in `*err`. */
void etcd__stm_ask(etcd_stm *stm, etcd_txn *txn, etcd_txn_response **response, etcd_error *err);

/** Makes keys known and read; ETCD_ERR_STM_AGAIN in the asynchronous form when that takes a request. */
int etcd__stm_read_many(etcd_stm *stm, const etcd_bytes *keys, size_t n_keys);

#endif
