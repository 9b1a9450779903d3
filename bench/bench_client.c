/* This library under load: one client, one connection, a fixed number of calls in flight.
 *
 *   bench_client --endpoint HOST:PORT --mode manual|callback|threads --op get|sget|put|range|connect
 *                [--in-flight N] [--seconds S] [--warmup S] [--value BYTES] [--count-allocations 0|1]
 *
 * manual: no thread but this one, callbacks start the next call. callback: the same on the client's I/O thread.
 * threads: as many threads as calls in flight, each in a blocking call. Prints one line of JSON; with
 * --count-allocations instead the allocations per call, everything included. `sget` is a serializable get, `range`
 * reads all keys under bench/range/, `connect` makes a client for each get. The certificate of an
 * https:// endpoint is not verified. An error of any call ends the program.
 */
#include "measure.h"

#include <etcd3/etcd.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define KEY "bench/key0000000"
#define RANGE_PREFIX "bench/range/"
#define THREAD_STACK 131072

typedef struct options {
    const char *endpoint, *mode, *op;
    double seconds, warmup;
    size_t in_flight, value_len;
    bool count_allocations;
} options;

enum phase { WARMING, MEASURING, STOPPING };

typedef struct run run;

/* One call in flight. */
typedef struct slot {
    run *run;
    uint64_t started;
    bench_hist *hist; /* of its own with threads, else the run's */
    pthread_t thread;
} slot;

struct run {
    options o;
    const etcd_client_options *client_options;
    etcd_client *client;
    const char *value;
    atomic_int phase;
    atomic_uint_fast64_t done, bytes;
    atomic_size_t idle; /* slots that stopped */
    slot *slots;
    bench_hist *hist;
};

static atomic_uint_fast64_t allocations;

static void *count_malloc(size_t size, void *arg)
{
    (void)arg;
    atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
    return malloc(size);
}

static void *count_calloc(size_t count, size_t size, void *arg)
{
    (void)arg;
    atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
    return calloc(count, size);
}

static void *count_realloc(void *memory, size_t size, void *arg)
{
    (void)arg;
    atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
    return realloc(memory, size);
}

static void count_free(void *memory, void *arg)
{
    (void)arg;
    free(memory);
}

static void check(int code, const etcd_error *err)
{
    if (code != ETCD_OK)
        bench_die("%s: %s", etcd_error_name(code), err != NULL ? err->message : etcd_error_text(code));
}

/* Adds up what a range brought. Counters have one writer in the modes with callbacks, hence no atomic addition there.
 */
static void count_bytes(run *r, const etcd_get_response *response)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < response->n_kvs; i++)
        bytes += response->kvs[i].key.len + response->kvs[i].value.len;
    atomic_fetch_add_explicit(&r->bytes, bytes, memory_order_relaxed);
}

static void call_start(slot *s, uint64_t now);

static void call_done(slot *s, const etcd_error *err)
{
    run *r = s->run;
    const int phase = atomic_load_explicit(&r->phase, memory_order_relaxed);
    const uint64_t now = bench_now(); /* read once: it is a large part of what this program adds */

    if (err != NULL)
        check(err->code, err);
    atomic_store_explicit(&r->done, atomic_load_explicit(&r->done, memory_order_relaxed) + 1, memory_order_relaxed);
    if (phase == MEASURING)
        bench_hist_add(s->hist, now - s->started);
    if (phase == STOPPING)
        atomic_fetch_add(&r->idle, 1);
    else
        call_start(s, now);
}

static void on_get(etcd_client *client, etcd_get_response *response, const etcd_error *err, void *arg)
{
    slot *s = arg;

    (void)client;
    if (err == NULL && s->run->o.op[0] == 'r')
        count_bytes(s->run, response);
    etcd_response_free(response);
    call_done(s, err);
}

static void on_put(etcd_client *client, etcd_put_response *response, const etcd_error *err, void *arg)
{
    (void)client;
    etcd_response_free(response);
    call_done(arg, err);
}

static void call_start(slot *s, uint64_t now)
{
    const run *r = s->run;
    etcd_error err;
    int code;

    s->started = now;
    switch (r->o.op[0]) {
    case 'p':
        code = etcd_put_async(r->client, ETCD_STR(KEY), r->value, r->o.value_len, NULL, on_put, s, NULL, &err);
        break;
    case 'r':
        code = etcd_get_async(r->client, ETCD_STR(RANGE_PREFIX), ETCD_GET(.prefix = true), on_get, s, NULL, &err);
        break;
    case 's':
        code = etcd_get_async(r->client, ETCD_STR(KEY), ETCD_GET(.serializable = true), on_get, s, NULL, &err);
        break;
    default:
        code = etcd_get_async(r->client, ETCD_STR(KEY), NULL, on_get, s, NULL, &err);
        break;
    }
    check(code, &err);
}

static void call_blocking(run *r)
{
    etcd_get_response *got = NULL;
    etcd_put_response *put = NULL;
    etcd_error err;
    int code;

    switch (r->o.op[0]) {
    case 'p':
        code = etcd_put(r->client, ETCD_STR(KEY), r->value, r->o.value_len, NULL, &put, &err);
        break;
    case 'r':
        code = etcd_get(r->client, ETCD_STR(RANGE_PREFIX), ETCD_GET(.prefix = true), &got, &err);
        break;
    case 's':
        code = etcd_get(r->client, ETCD_STR(KEY), ETCD_GET(.serializable = true), &got, &err);
        break;
    default:
        code = etcd_get(r->client, ETCD_STR(KEY), NULL, &got, &err);
        break;
    }
    check(code, &err);
    if (r->o.op[0] == 'r')
        count_bytes(r, got);
    etcd_response_free(got);
    etcd_response_free(put);
}

static void *blocking_thread(void *arg)
{
    slot *s = arg;
    run *r = s->run;

    for (int phase = WARMING; phase != STOPPING; phase = atomic_load_explicit(&r->phase, memory_order_relaxed)) {
        const uint64_t started = bench_now();

        call_blocking(r);
        if (phase == MEASURING)
            bench_hist_add(s->hist, bench_now() - started);
        atomic_fetch_add_explicit(&r->done, 1, memory_order_relaxed);
    }
    return NULL;
}

static void threads_start(run *r)
{
    pthread_attr_t attributes;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, THREAD_STACK);
    for (size_t i = 0; i < r->o.in_flight; i++) {
        r->slots[i].hist = bench_alloc(sizeof *r->hist);
        if (pthread_create(&r->slots[i].thread, &attributes, blocking_thread, &r->slots[i]) != 0)
            bench_die("no thread");
    }
    pthread_attr_destroy(&attributes);
}

static void threads_stop(run *r)
{
    for (size_t i = 0; i < r->o.in_flight; i++) {
        pthread_join(r->slots[i].thread, NULL);
        bench_hist_merge(r->hist, r->slots[i].hist);
        free(r->slots[i].hist);
    }
}

static bool is_mode(const run *r, const char *mode)
{
    return strcmp(r->o.mode, mode) == 0;
}

/* Lets the calls run until `until`. */
static void pass_time(run *r, uint64_t until)
{
    const struct timespec at = {.tv_sec = (time_t)(until / 1000000000u), .tv_nsec = (long)(until % 1000000000u)};
    etcd_error err;

    if (is_mode(r, "manual")) {
        while (bench_now() < until)
            check(etcd_client_process(r->client, 100, &err), &err);
    } else {
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
    }
}

static void calls_start(run *r)
{
    for (size_t i = 0; i < r->o.in_flight; i++)
        r->slots[i] = (slot){.run = r, .hist = r->hist};
    if (is_mode(r, "threads")) {
        threads_start(r);
        return;
    }
    for (size_t i = 0; i < r->o.in_flight; i++)
        call_start(&r->slots[i], bench_now());
}

static void calls_stop(run *r)
{
    atomic_store(&r->phase, STOPPING);
    if (is_mode(r, "threads")) {
        threads_stop(r);
        return;
    }
    while (atomic_load(&r->idle) < r->o.in_flight)
        pass_time(r, bench_now() + 1000000u);
}

static void measure(run *r)
{
    uint64_t wall, cpu, ops, bytes, count;
    bench_result result = {.hist = r->hist};

    calls_start(r);
    pass_time(r, bench_now() + (uint64_t)(r->o.warmup * 1e9));
    wall = bench_now(), cpu = bench_cpu(), ops = r->done, bytes = r->bytes, count = allocations;
    atomic_store(&r->phase, MEASURING);
    pass_time(r, wall + (uint64_t)(r->o.seconds * 1e9));
    result.ops = r->done - ops;
    result.wall_ns = bench_now() - wall;
    result.cpu_ns = bench_cpu() - cpu;
    result.bytes = r->bytes - bytes;
    count = allocations - count;
    calls_stop(r);
    if (r->o.count_allocations)
        printf("{\"allocations_per_op\": %.3f}\n", result.ops != 0 ? (double)count / (double)result.ops : 0);
    else
        bench_print(&result);
}

/* One client after the other, each for one get. */
static void measure_connects(run *r)
{
    const uint64_t warm = bench_now() + (uint64_t)(r->o.warmup * 1e9), end = warm + (uint64_t)(r->o.seconds * 1e9);
    bench_result result = {.hist = r->hist, .wall_ns = end - warm, .cpu_ns = bench_cpu()};
    etcd_error err;

    for (;;) {
        const uint64_t started = bench_now();

        if (started >= end)
            break;
        check(etcd_client_new(r->client_options, &r->client, &err), &err);
        check(etcd_get(r->client, ETCD_STR(KEY), NULL, NULL, &err), &err);
        if (started >= warm) {
            bench_hist_add(r->hist, bench_now() - started);
            result.ops++;
        }
        etcd_client_free(r->client);
    }
    result.cpu_ns = bench_cpu() - result.cpu_ns;
    bench_print(&result);
}

static options options_parse(int argc, char **argv)
{
    options o = {.mode = "manual", .op = "get", .seconds = 1, .warmup = 0.2, .in_flight = 1, .value_len = 64};

    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--endpoint") == 0)
            o.endpoint = argv[i + 1];
        else if (strcmp(argv[i], "--mode") == 0)
            o.mode = argv[i + 1];
        else if (strcmp(argv[i], "--op") == 0)
            o.op = argv[i + 1];
        else if (strcmp(argv[i], "--in-flight") == 0)
            o.in_flight = strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--seconds") == 0)
            o.seconds = strtod(argv[i + 1], NULL);
        else if (strcmp(argv[i], "--warmup") == 0)
            o.warmup = strtod(argv[i + 1], NULL);
        else if (strcmp(argv[i], "--value") == 0)
            o.value_len = strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--count-allocations") == 0)
            o.count_allocations = argv[i + 1][0] == '1';
        else
            bench_die("unknown option %s", argv[i]);
    }
    if (o.endpoint == NULL || o.in_flight == 0)
        bench_die("--endpoint HOST:PORT is needed");
    return o;
}

int main(int argc, char **argv)
{
    const etcd_allocator counting = {count_malloc, count_calloc, count_realloc, count_free, NULL};
    run r = {.o = options_parse(argc, argv)};
    char *value = bench_alloc(r.o.value_len + 1);
    const etcd_tls_options *tls;
    etcd_error err;

    memset(value, 'v', r.o.value_len);
    r.value = value;
    if (r.o.count_allocations)
        check(etcd_set_allocator(&counting), NULL);
    r.hist = bench_alloc(sizeof *r.hist);
    r.slots = bench_alloc(r.o.in_flight * sizeof *r.slots);
    tls = strncmp(r.o.endpoint, "https:", 6) == 0 ? ETCD_TLS(.insecure_skip_verify = true) : NULL;
    r.client_options = ETCD_CLIENT(.endpoints = r.o.endpoint, .manual = is_mode(&r, "manual"), .tls = tls);
    if (strcmp(r.o.op, "connect") == 0) {
        measure_connects(&r);
    } else {
        check(etcd_client_new(r.client_options, &r.client, &err), &err);
        measure(&r);
        etcd_client_free(r.client);
    }
    free(r.slots);
    free(r.hist);
    free(value);
    return 0;
}
