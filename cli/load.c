/* Load: many calls at a time. See load.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "load.h"
#include "text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* -- times -- */

/** 32 buckets for each power of two of nanoseconds. */
static size_t bucket_of(int64_t ns)
{
    uint64_t value = ns > 0 ? (uint64_t)ns : 0;
    if (value < 64)
        return (size_t)value;
    unsigned power = 63u - (unsigned)__builtin_clzll(value);
    return (size_t)(power - 4) * 32 + (size_t)(value >> (power - 5) & 31);
}

static int64_t bucket_end(size_t bucket)
{
    if (bucket < 64)
        return (int64_t)bucket;
    unsigned power = (unsigned)(bucket / 32) + 4;
    return (int64_t)(((uint64_t)(32 + bucket % 32) + 1) << (power - 5)) - 1;
}

void cli_histogram_add(cli_histogram *h, int64_t ns)
{
    double seconds = (double)ns / 1e9;
    h->counts[bucket_of(ns)]++;
    if (h->n == 0 || ns < h->least_ns)
        h->least_ns = ns;
    if (ns > h->most_ns)
        h->most_ns = ns;
    h->n++;
    h->sum_s += seconds;
    h->squares_s += seconds * seconds;
}

int64_t cli_histogram_at(const cli_histogram *h, double share)
{
    uint64_t wanted = (uint64_t)ceil(share * (double)h->n), seen = 0;
    for (size_t i = 0; i < sizeof h->counts / sizeof *h->counts; i++) {
        seen += h->counts[i];
        if (seen >= wanted && seen > 0)
            return bucket_end(i) < h->most_ns ? bucket_end(i) : h->most_ns;
    }
    return 0;
}

uint64_t cli_histogram_below(const cli_histogram *h, int64_t ns)
{
    uint64_t seen = 0;
    for (size_t i = 0; i <= bucket_of(ns) && i < sizeof h->counts / sizeof *h->counts; i++)
        seen += h->counts[i];
    return seen;
}

double cli_histogram_mean_s(const cli_histogram *h)
{
    return h->n > 0 ? h->sum_s / (double)h->n : 0;
}

double cli_histogram_deviation_s(const cli_histogram *h)
{
    double mean = cli_histogram_mean_s(h), variance = h->n > 0 ? h->squares_s / (double)h->n - mean * mean : 0;
    return variance > 0 ? sqrt(variance) : 0;
}

/* -- running -- */

typedef struct slot {
    int64_t begin_ns;
    struct slot *next_free;
} slot;

typedef struct running {
    cli_load *load;
    int64_t begin_ns;
    uint64_t begun, ended;
    slot *slots, *free;
} running;

static int64_t due_ns(const running *r)
{
    return r->begin_ns + (int64_t)((double)r->begun / r->load->rate * 1e9);
}

static bool may_begin(const running *r, int64_t now)
{
    const cli_load *load = r->load;
    if (load->total > 0 && r->begun >= load->total)
        return false;
    return load->time_ns == 0 || now - r->begin_ns < load->time_ns;
}

static void record(running *r, const slot *s, const etcd_error *error)
{
    r->ended++;
    if (error) {
        r->load->failed++;
        r->load->error = *error;
    } else {
        cli_histogram_add(&r->load->times, cli_now_ns() - s->begin_ns);
    }
}

/** Begins what is due. Returns milliseconds until more is, -1 when that depends on ends only. */
static int64_t begin_calls(running *r)
{
    cli_load *load = r->load;
    while (r->free) {
        int64_t now = cli_now_ns(), due = load->rate > 0 ? due_ns(r) : now;
        etcd_error err;
        if (!may_begin(r, now))
            return -1;
        if (due > now)
            return (due - now) / 1000000 + 1;
        slot *s = r->free;
        r->free = s->next_free;
        s->begin_ns = load->open ? due : now;
        if (load->start(load->clients[r->begun % load->n_clients], r->begun, s, load->arg, &err) < 0) {
            record(r, s, &err);
            s->next_free = r->free;
            r->free = s;
        }
        r->begun++;
    }
    return -1;
}

/** Takes ends, and waits for the first of them. */
static void take_ends(running *r, int64_t wait_ms)
{
    const cli_load *load = r->load;
    for (size_t i = 0; i < load->n_clients; i++) {
        etcd_completion *end;
        /* Of several clients none may be waited for alone */
        int64_t wait = load->n_clients == 1 ? wait_ms : i == 0 ? 1 : 0;
        for (; etcd_client_next_completion(load->clients[i], wait, &end, NULL) == ETCD_OK; wait = 0) {
            slot *s = end->arg;
            record(r, s, end->error);
            s->next_free = r->free;
            r->free = s;
            etcd_response_free(end);
        }
    }
}

void cli_load_run(cli_load *load)
{
    running r = {.load = load, .begin_ns = cli_now_ns()};
    int64_t shown = r.begin_ns;
    r.slots = cli_alloc(load->in_flight * sizeof *r.slots);
    for (size_t i = 0; i < load->in_flight; i++) {
        r.slots[i].next_free = r.free;
        r.free = &r.slots[i];
    }
    for (;;) {
        int64_t wait_ms = begin_calls(&r), now = cli_now_ns();
        if (r.begun == r.ended && !may_begin(&r, now))
            break;
        take_ends(&r, wait_ms);
        if (load->progress_fn && now - shown > 100000000) {
            load->progress_fn(r.ended, now - r.begin_ns, load->arg);
            shown = now;
        }
    }
    load->elapsed_ns = cli_now_ns() - r.begin_ns;
    free(r.slots);
}

void cli_load_fill(char *out, size_t len)
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-";
    static uint64_t state = 0;
    if (state == 0)
        state = (uint64_t)cli_now_ns() | 1;
    for (size_t i = 0; i < len; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out[i] = digits[state >> 58];
    }
}
