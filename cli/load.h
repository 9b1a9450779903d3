/* Load: many calls at a time, for a number of them or a time, as fast as they go or at a rate; and what they took.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_LOAD_H
#define CLI_LOAD_H

#include "cli.h"

/** Times of calls, in buckets that are 3 % wide. */
typedef struct cli_histogram {
    uint64_t counts[64 * 32];
    uint64_t n;
    double sum_s, squares_s;
    int64_t least_ns, most_ns;
} cli_histogram;

void cli_histogram_add(cli_histogram *h, int64_t ns);

/** The time that `share` of the calls took at most, 0.99 for instance. */
int64_t cli_histogram_at(const cli_histogram *h, double share);

/** How many calls took about `ns` at most. */
uint64_t cli_histogram_below(const cli_histogram *h, int64_t ns);

double cli_histogram_mean_s(const cli_histogram *h);
double cli_histogram_deviation_s(const cli_histogram *h);

/** Starts the call of this number with `done` NULL and `slot` as its argument. Negative with `err` when it cannot. */
typedef int cli_load_fn(etcd_client *client, uint64_t number, void *slot, void *arg, etcd_error *err);

typedef struct cli_load {
    etcd_client **clients; /* in turn */
    size_t n_clients;
    cli_load_fn *start;
    void *arg;
    uint64_t total;   /* calls; 0: without bound */
    int64_t time_ns;  /* when to begin no more; 0: never */
    size_t in_flight; /* at most so many at a time */
    double rate;      /* calls per second; 0: as fast as they go */
    bool open;        /* times count from when a call was due by the rate, not from when it was made */
    void (*progress_fn)(uint64_t ended, int64_t elapsed_ns, void *arg); /* now and then; NULL: nobody */
    cli_histogram times;                                                /* of those that succeeded */
    uint64_t failed;
    etcd_error error; /* of the last that failed */
    int64_t elapsed_ns;
} cli_load;

/** Runs it. */
void cli_load_run(cli_load *load);

/** Random bytes that are text, of a generator that is none for secrets. */
void cli_load_fill(char *out, size_t len);

#endif
