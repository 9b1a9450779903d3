/* See random.h. */
#include "base/random.h"

#include "base/clock.h"

#include <sys/random.h>
#include <unistd.h>

void etcd__random_init(etcd__random *random)
{
    uint64_t seed;

    if (getentropy(&seed, sizeof seed) != 0)
        seed = (uint64_t)etcd__clock_monotonic() ^ ((uint64_t)getpid() << 32);
    random->state = seed;
}

uint64_t etcd__random_next(etcd__random *random)
{
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t etcd__random_below(etcd__random *random, uint64_t bound)
{
    /* The bias is bound / 2^64: nothing for a jitter. */
    return etcd__random_next(random) % bound;
}

int64_t etcd__random_jitter(etcd__random *random, int64_t duration, double fraction)
{
    double unit = (double)(etcd__random_next(random) >> 11) / 9007199254740992.0; /* [0, 1), 53 bits */

    return (int64_t)((double)duration * (1.0 + fraction * (2.0 * unit - 1.0)));
}
