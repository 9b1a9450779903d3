/* Clocks. Nanoseconds in int64_t everywhere inside the library. The sans-I/O layers never call these: they are told
 * `now`. */
#ifndef ETCD__BASE_CLOCK_H
#define ETCD__BASE_CLOCK_H

#include <stdint.h>

#define ETCD__MS INT64_C(1000000)
#define ETCD__SECOND INT64_C(1000000000)
#define ETCD__NEVER INT64_MAX

/** CLOCK_MONOTONIC: deadlines and back-off. */
int64_t etcd__clock_monotonic(void);

/** CLOCK_BOOTTIME where there is one: goes on during suspend, as a lease does at the server (P6). */
int64_t etcd__clock_boot(void);

/** now + delay, ETCD__NEVER instead of an overflow or for a negative delay. */
int64_t etcd__clock_after(int64_t now, int64_t delay);

/** A timeout as users give it, in nanoseconds: -1 (no bound) for a negative one or one that does not fit. */
int64_t etcd__clock_from_ms(int64_t ms);

#endif
