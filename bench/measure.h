/* What the benchmark programs measure with: clock, CPU time and peak memory of this process, and a latency histogram.
 *
 * The histogram has 64 linear steps in every power of two, so a percentile is at most 1.6 % off, at a fixed 30 KiB.
 */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stddef.h>
#include <stdint.h>

#define BENCH_HIST_STEPS 64
#define BENCH_HIST_SLOTS ((64 - 6 + 1) * BENCH_HIST_STEPS)

typedef struct bench_hist {
    uint64_t count[BENCH_HIST_SLOTS];
    uint64_t total;
} bench_hist;

/** Nanoseconds of the monotonic clock. */
uint64_t bench_now(void);

/** CPU time of the process, user and system, all threads, in nanoseconds. */
uint64_t bench_cpu(void);

/** Peak resident memory (VmHWM) in KiB; unlike ru_maxrss it starts anew at exec. */
uint64_t bench_peak_kib(void);

void bench_hist_add(bench_hist *hist, uint64_t ns);
void bench_hist_merge(bench_hist *into, const bench_hist *from);

/** The value below which `share` (0 ... 1) of the samples lie; 0 without samples. */
uint64_t bench_hist_at(const bench_hist *hist, double share);

/** Result of one measured window. */
typedef struct bench_result {
    const bench_hist *hist;
    uint64_t ops, wall_ns, cpu_ns;
    uint64_t bytes; /* received as messages in that window; 0: not counted */
} bench_result;

/** Prints the result as one line of JSON. */
void bench_print(const bench_result *result);

/** Prints "program: words" and exits with 1. */
_Noreturn void bench_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** Memory or death. */
void *bench_alloc(size_t size);

#endif
