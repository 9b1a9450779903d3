/* See clock.h. */
#include "base/clock.h"

#include <time.h>

static int64_t read_clock(clockid_t clock)
{
    struct timespec ts;

    (void)clock_gettime(clock, &ts);
    return (int64_t)ts.tv_sec * ETCD__SECOND + ts.tv_nsec;
}

int64_t etcd__clock_monotonic(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t etcd__clock_boot(void)
{
#ifdef CLOCK_BOOTTIME
    return read_clock(CLOCK_BOOTTIME);
#else
    return read_clock(CLOCK_MONOTONIC);
#endif
}

int64_t etcd__clock_after(int64_t now, int64_t delay)
{
    return delay < 0 || now > ETCD__NEVER - delay ? ETCD__NEVER : now + delay;
}

int64_t etcd__clock_from_ms(int64_t ms)
{
    return ms < 0 || ms > INT64_MAX / ETCD__MS ? -1 : ms * ETCD__MS;
}
