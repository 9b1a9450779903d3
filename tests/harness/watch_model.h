/* A cluster, a stream and consumers in one struct, with the state machine of watches in the middle: for tests that drive it
 * through random orders of what may happen, and see that every watch gets the history as it should (promise P4).
 *
 * A schedule is its seed: the same seed gives the same one. A failure prints the seed and aborts. */
#ifndef ETCD3_TESTS_WATCH_MODEL_H
#define ETCD3_TESTS_WATCH_MODEL_H

#include <stdbool.h>
#include <stdint.h>

typedef struct watch_model_figures {
    uint64_t events, responses, cuts, stalls, listings, rollbacks, compactions, doubts, fragments, ended;
} watch_model_figures;

/** Runs a schedule to its end, at which every watch that lives has all that it should have. `may_fail`: allocations may. Adds to
 *  the figures. */
void watch_model_run(uint64_t seed, bool may_fail, watch_model_figures *figures);

#endif
