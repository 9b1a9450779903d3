/* A lock: what taking it and giving it up costs alone, and how fast it goes from one to the next.
 *
 *   bench_lock --endpoint HOST:PORT --mode mutex|hand [--threads N] [--seconds S] [--warmup S]
 *
 * One thread: latencies are of a lock with its unlock. hand: the two transactions that a program would write instead, which is
 * the least that can be done. More threads, each with a session of its own: latencies are of a hand-over, from the beginning
 * of an unlock to the next holder's return from its lock. Prints one line of JSON, "requests" for each lock with its unlock in
 * it. Not for threads: mode hand. */
#include "measure.h"

#include <etcd3/etcd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { THREADS_MAX = 256 };
enum phase { WARMING, MEASURING, STOPPING };

struct bench {
    etcd_client *client;
    bool by_hand;
    int threads;
    atomic_int phase;
    _Atomic uint64_t released; /* when the last holder began to unlock */
    atomic_uint_fast64_t requests;
};

struct holder {
    struct bench *bench;
    pthread_t thread;
    uint64_t done;
    bench_hist hist;
};

static void on_call(const etcd_call_info *info, void *arg)
{
    struct bench *bench = arg;

    if (info->event == ETCD_CALL_EVENT_END)
        atomic_fetch_add_explicit(&bench->requests, (uint64_t)info->attempts, memory_order_relaxed);
}

static void check(int rc, const etcd_error *err)
{
    if (rc < 0)
        bench_die("%s", err->message);
}

/* Two transactions: put the key if it is not there, delete it if it is the same. */
static void lock_by_hand(const struct bench *bench, int64_t lease)
{
    etcd_txn_response *response;
    etcd_error err;
    etcd_txn *txn = etcd_txn_new(bench->client);

    etcd_txn_if_create_revision(txn, ETCD_STR("bench/hand"), ETCD_CMP_EQUAL, 0);
    etcd_txn_put(txn, ETCD_STR("bench/hand"), "", 0, ETCD_PUT(.lease = lease));
    check(etcd_txn_commit(txn, NULL, &response, &err), &err);
    etcd_txn_free(txn);
    txn = etcd_txn_new(bench->client);
    etcd_txn_if_create_revision(txn, ETCD_STR("bench/hand"), ETCD_CMP_EQUAL, response->header.revision);
    etcd_txn_delete(txn, ETCD_STR("bench/hand"), NULL);
    etcd_response_free(response);
    check(etcd_txn_commit(txn, NULL, NULL, &err), &err);
    etcd_txn_free(txn);
}

static void note(struct holder *holder, uint64_t begin, int phase)
{
    uint64_t now = bench_now();

    if (phase != MEASURING || begin == 0)
        return;
    holder->done++;
    bench_hist_add(&holder->hist, now > begin ? now - begin : 0);
}

static void *hold(void *arg)
{
    struct holder *holder = arg;
    struct bench *bench = holder->bench;
    const etcd_call_options *patient = ETCD_CALL(.timeout_ms = -1);
    etcd_session *session;
    etcd_mutex *mutex;
    etcd_error err;
    int phase;

    check(etcd_session_new(bench->client, NULL, &session, &err), &err);
    check(etcd_mutex_new(session, ETCD_STR("bench/lock"), &mutex, &err), &err);
    while ((phase = atomic_load(&bench->phase)) != STOPPING) {
        uint64_t begin = bench_now();

        if (bench->by_hand) {
            lock_by_hand(bench, etcd_session_lease(session));
        } else {
            check(etcd_mutex_lock(mutex, patient, &err), &err);
            if (bench->threads > 1)
                note(holder, atomic_load(&bench->released), phase);
            atomic_store(&bench->released, bench_now());
            check(etcd_mutex_unlock(mutex, patient, &err), &err);
        }
        if (bench->threads == 1)
            note(holder, begin, phase);
    }
    etcd_mutex_free(mutex);
    etcd_session_free(session);
    return NULL;
}

static void wait_for(double seconds)
{
    struct timespec wait = {.tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};

    nanosleep(&wait, NULL);
}

static void measure(struct bench *bench, double warmup, double seconds)
{
    struct holder *holders = bench_alloc(sizeof *holders * (size_t)bench->threads);
    bench_hist *hist = bench_alloc(sizeof *hist);
    uint64_t begin, cpu, requests, done = 0;

    memset(holders, 0, sizeof *holders * (size_t)bench->threads);
    memset(hist, 0, sizeof *hist);
    for (int i = 0; i < bench->threads; i++) {
        holders[i].bench = bench;
        if (pthread_create(&holders[i].thread, NULL, hold, &holders[i]) != 0)
            bench_die("no thread");
    }
    wait_for(warmup);
    begin = bench_now();
    cpu = bench_cpu();
    requests = atomic_load(&bench->requests);
    atomic_store(&bench->phase, MEASURING);
    wait_for(seconds);
    atomic_store(&bench->phase, STOPPING);
    requests = atomic_load(&bench->requests) - requests;
    begin = bench_now() - begin;
    cpu = bench_cpu() - cpu;
    for (int i = 0; i < bench->threads; i++) {
        pthread_join(holders[i].thread, NULL);
        done += holders[i].done;
        bench_hist_merge(hist, &holders[i].hist);
    }
    printf("{\"ops_per_s\": %.1f, \"p50_us\": %.2f, \"p99_us\": %.2f, \"cpu_us_per_op\": %.2f, \"requests\": %.2f, "
           "\"peak_kib\": %llu}\n",
           (double)done / ((double)begin / 1e9), (double)bench_hist_at(hist, 0.5) / 1e3, (double)bench_hist_at(hist, 0.99) / 1e3,
           done ? (double)cpu / 1e3 / (double)done : 0, done ? (double)requests / (double)done : 0,
           (unsigned long long)bench_peak_kib());
    free(holders);
    free(hist);
}

int main(int argc, char **argv)
{
    struct bench bench = {.threads = 1};
    const char *endpoint = NULL;
    double seconds = 0.5, warmup = 0.2;
    etcd_error err;

    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--endpoint") == 0)
            endpoint = argv[i + 1];
        else if (strcmp(argv[i], "--mode") == 0)
            bench.by_hand = strcmp(argv[i + 1], "hand") == 0;
        else if (strcmp(argv[i], "--threads") == 0)
            bench.threads = (int)strtol(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--seconds") == 0)
            seconds = strtod(argv[i + 1], NULL);
        else if (strcmp(argv[i], "--warmup") == 0)
            warmup = strtod(argv[i + 1], NULL);
        else
            bench_die("%s?", argv[i]);
    }
    if (endpoint == NULL || bench.threads < 1 || bench.threads > THREADS_MAX || (bench.by_hand && bench.threads > 1))
        bench_die("--endpoint HOST:PORT --mode mutex|hand [--threads N] [--seconds S] [--warmup S]");
    check(etcd_client_new(ETCD_CLIENT(.endpoints = endpoint, .request_timeout_ms = 30000, .call_fn = on_call, .call_arg = &bench),
                          &bench.client, &err),
          &err);
    measure(&bench, warmup, seconds);
    etcd_client_free(bench.client);
    return 0;
}
