/* Random numbers for jitter and start positions. Not for secrets. The state belongs to its object, so that a test
 * can fix it. */
#ifndef ETCD__BASE_RANDOM_H
#define ETCD__BASE_RANDOM_H

#include <stdint.h>

typedef struct etcd__random {
    uint64_t state;
} etcd__random;

/** Seeds from the system. */
void etcd__random_init(etcd__random *random);

/** SplitMix64 (Steele, Lea, Flood 2014). */
uint64_t etcd__random_next(etcd__random *random);

/** Uniform in [0, bound); bound > 0. */
uint64_t etcd__random_below(etcd__random *random, uint64_t bound);

/** `duration` changed by up to +-fraction, as the Go client's jitterUp; fraction in [0, 1]. */
int64_t etcd__random_jitter(etcd__random *random, int64_t duration, double fraction);

#endif
