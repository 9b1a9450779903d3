/* What leases that are kept alive cost the client.
 *
 *   bench_lease --endpoint HOST:PORT [--leases N] [--ttl S] [--seconds S]
 *
 * Grants N leases, opens a handle on each, and then watches for a while: CPU time of this process, and how much later than a
 * third of the TTL after the last answer the next one came (early: 0). Bytes of each lease: what the library has allocated
 * more after all were opened and answered, by the sizes it asked for. Prints one line of JSON. */
#include "measure.h"

#include <etcd3/etcd.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct {
    const char *endpoint;
    size_t leases;
    int64_t ttl_s;
    double seconds;
} o = {.leases = 10000, .ttl_s = 60, .seconds = 40};

typedef struct beat {
    etcd_keepalive *keepalive;
    int64_t lease;
    uint64_t last; /* answer; 0: none */
} beat;

static etcd_client *client;
static beat *beats;
static bench_hist late;
static atomic_size_t granted, first_answers;
static atomic_bool measuring;

/* ---- counted memory: what was asked for, without what malloc adds ---- */

static atomic_llong live;

static void *count_malloc(size_t size, void *arg)
{
    size_t *block = malloc(sizeof(max_align_t) + size);

    (void)arg;
    if (block == NULL)
        return NULL;
    *block = size;
    atomic_fetch_add(&live, (long long)size);
    return (char *)block + sizeof(max_align_t);
}

static void count_free(void *memory, void *arg)
{
    size_t *block;

    (void)arg;
    if (memory == NULL)
        return;
    block = (void *)((char *)memory - sizeof(max_align_t));
    atomic_fetch_sub(&live, (long long)*block);
    free(block);
}

static void *count_calloc(size_t count, size_t size, void *arg)
{
    void *memory = size > 0 && count > SIZE_MAX / size ? NULL : count_malloc(count * size, arg);

    return memory ? memset(memory, 0, count * size) : NULL;
}

static void *count_realloc(void *memory, size_t size, void *arg)
{
    void *moved = count_malloc(size, arg);
    size_t before = memory ? *(size_t *)(void *)((char *)memory - sizeof(max_align_t)) : 0;

    if (moved == NULL)
        return NULL;
    if (memory != NULL)
        memcpy(moved, memory, before < size ? before : size);
    count_free(memory, arg);
    return moved;
}

/* ---- leases ---- */

static void on_grant(etcd_client *c, etcd_lease_grant_response *response, const etcd_error *err, void *arg)
{
    (void)c;
    (void)arg;
    if (err != NULL)
        bench_die("grant: %s", err->message);
    beats[atomic_load(&granted)].lease = response->id;
    etcd_response_free(response);
    atomic_fetch_add(&granted, 1);
}

static void on_beat(etcd_keepalive *keepalive, etcd_keepalive_response *response, const etcd_error *err, void *arg)
{
    uint64_t now = bench_now(), third = (uint64_t)o.ttl_s * 1000000000 / 3;
    beat *b = arg;

    (void)keepalive;
    if (response == NULL) {
        if (err->code == ETCD_ERR_CANCELED || err->code == ETCD_ERR_CLOSED)
            return;
        bench_die("a lease is lost: %s", err->message);
    }
    etcd_response_free(response);
    if (b->last == 0)
        atomic_fetch_add(&first_answers, 1);
    else if (atomic_load(&measuring))
        bench_hist_add(&late, now > b->last + third ? now - b->last - third : 0);
    b->last = now;
}

static void pause_for(double seconds)
{
    const struct timespec time = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};

    nanosleep(&time, NULL);
}

static void await(atomic_size_t *count)
{
    for (int i = 0; atomic_load(count) < o.leases; i++) {
        if (i > 60000)
            bench_die("the server does not answer");
        pause_for(0.001);
    }
}

static void grant_all(void)
{
    etcd_error err;

    for (size_t i = 0; i < o.leases; i++) {
        while (i >= atomic_load(&granted) + 256)
            pause_for(0.0001);
        if (etcd_lease_grant_async(client, o.ttl_s, NULL, on_grant, NULL, NULL, &err) < 0)
            bench_die("grant: %s", err.message);
    }
    await(&granted);
}

static double open_all(void)
{
    uint64_t begin = bench_now();
    etcd_error err;

    for (size_t i = 0; i < o.leases; i++)
        if (etcd_keepalive_start(client, beats[i].lease, NULL, on_beat, &beats[i], &beats[i].keepalive, &err) < 0)
            bench_die("keep alive: %s", err.message);
    await(&first_answers);
    return (double)(bench_now() - begin) / 1e6;
}

static void parse(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--endpoint") == 0)
            o.endpoint = argv[i + 1];
        else if (strcmp(argv[i], "--leases") == 0)
            o.leases = strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--ttl") == 0)
            o.ttl_s = strtol(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--seconds") == 0)
            o.seconds = strtod(argv[i + 1], NULL);
        else
            bench_die("unknown option %s", argv[i]);
    }
    if (o.endpoint == NULL)
        bench_die("--endpoint is missing");
}

int main(int argc, char **argv)
{
    static const etcd_allocator counting = {count_malloc, count_calloc, count_realloc, count_free, NULL};
    uint64_t begin, cpu, wall;
    long long before;
    double opened_ms;
    etcd_error err;

    parse(argc, argv);
    (void)etcd_set_allocator(&counting);
    beats = bench_alloc(o.leases * sizeof *beats);
    memset(beats, 0, o.leases * sizeof *beats);
    if (etcd_client_new(ETCD_CLIENT(.endpoints = o.endpoint, .request_timeout_ms = 60000), &client, &err) < 0)
        bench_die("%s", err.message);
    grant_all();
    before = atomic_load(&live);
    opened_ms = open_all();
    atomic_store(&measuring, true);
    begin = bench_now();
    cpu = bench_cpu();
    pause_for(o.seconds);
    cpu = bench_cpu() - cpu;
    wall = bench_now() - begin;
    atomic_store(&measuring, false);
    printf("{\"leases\": %zu, \"ttl_s\": %lld, \"opened_ms\": %.2f, \"bytes_per_lease\": %.1f, \"cpu_percent\": %.4f, "
           "\"renewals\": %llu, \"cpu_us_per_renewal\": %.2f, \"late_p50_us\": %.1f, \"late_p99_us\": %.1f, "
           "\"late_max_us\": %.1f, \"peak_kib\": %llu}\n",
           o.leases, (long long)o.ttl_s, opened_ms, (double)(atomic_load(&live) - before) / (double)o.leases,
           (double)cpu * 100 / (double)wall, (unsigned long long)late.total,
           late.total > 0 ? (double)cpu / 1e3 / (double)late.total : 0.0, (double)bench_hist_at(&late, 0.5) / 1e3,
           (double)bench_hist_at(&late, 0.99) / 1e3, (double)bench_hist_at(&late, 1.0) / 1e3,
           (unsigned long long)bench_peak_kib());
    for (size_t i = 0; i < o.leases; i++)
        etcd_keepalive_free(beats[i].keepalive);
    etcd_client_free(client);
    free(beats);
    return 0;
}
