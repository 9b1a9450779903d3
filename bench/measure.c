/* See measure.h. */
#include "measure.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

uint64_t bench_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t timeval_ns(struct timeval t)
{
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_usec * 1000u;
}

uint64_t bench_cpu(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return timeval_ns(usage.ru_utime) + timeval_ns(usage.ru_stime);
}

uint64_t bench_peak_kib(void)
{
    FILE *status = fopen("/proc/self/status", "r");
    unsigned long kib = 0;
    char line[256];

    if (status == NULL)
        return 0;
    while (fgets(line, sizeof line, status) != NULL)
        if (strncmp(line, "VmHWM:", 6) == 0)
            kib = strtoul(line + 6, NULL, 10);
    fclose(status);
    return kib;
}

/* Values below 64 have a slot each; above, the 6 bits behind the highest one choose the step in its power of two. */
static size_t slot_of(uint64_t ns)
{
    unsigned shift;

    if (ns < BENCH_HIST_STEPS)
        return (size_t)ns;
    shift = 57u - (unsigned)__builtin_clzll(ns);
    return (size_t)(shift + 1) * BENCH_HIST_STEPS + (size_t)((ns >> shift) & (BENCH_HIST_STEPS - 1));
}

/* The middle of a slot. */
static uint64_t slot_value(size_t slot)
{
    const size_t power = slot / BENCH_HIST_STEPS, step = slot % BENCH_HIST_STEPS;
    const size_t shift = power - 1;

    if (power == 0)
        return step;
    return ((uint64_t)(BENCH_HIST_STEPS + step) << shift) + ((uint64_t)1 << shift) / 2;
}

void bench_hist_add(bench_hist *hist, uint64_t ns)
{
    hist->count[slot_of(ns)]++;
    hist->total++;
}

void bench_hist_merge(bench_hist *into, const bench_hist *from)
{
    for (size_t i = 0; i < BENCH_HIST_SLOTS; i++)
        into->count[i] += from->count[i];
    into->total += from->total;
}

uint64_t bench_hist_at(const bench_hist *hist, double share)
{
    const double wanted = share * (double)hist->total;
    uint64_t seen = 0;

    for (size_t i = 0; i < BENCH_HIST_SLOTS; i++) {
        seen += hist->count[i];
        if (hist->count[i] != 0 && (double)seen >= wanted)
            return slot_value(i);
    }
    return 0;
}

void bench_print(const bench_result *result)
{
    const double ops = (double)result->ops, seconds = (double)result->wall_ns / 1e9;

    printf("{\"ops\": %llu, \"seconds\": %.6f, \"ops_per_s\": %.1f, \"p50_us\": %.3f, \"p99_us\": %.3f, "
           "\"cpu_us_per_op\": %.4f, \"mb_per_s\": %.2f, \"peak_kib\": %llu}\n",
           (unsigned long long)result->ops, seconds, seconds > 0 ? ops / seconds : 0,
           (double)bench_hist_at(result->hist, 0.5) / 1e3, (double)bench_hist_at(result->hist, 0.99) / 1e3,
           ops > 0 ? (double)result->cpu_ns / 1e3 / ops : 0, seconds > 0 ? (double)result->bytes / 1e6 / seconds : 0,
           (unsigned long long)bench_peak_kib());
    fflush(stdout);
}

void bench_die(const char *format, ...)
{
    const int saved = errno;
    va_list args;

    fprintf(stderr, "%s: ", program_invocation_short_name);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, saved != 0 ? " (errno: %s)\n" : "\n", strerror(saved));
    exit(1);
}

void *bench_alloc(size_t size)
{
    void *memory = calloc(1, size);

    if (memory == NULL)
        bench_die("out of memory");
    return memory;
}
