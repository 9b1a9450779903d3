/* Transfers between 100 accounts: by software transactional memory, and by a transaction as one writes it by hand.
 *
 *   bench_stm --endpoint HOST:PORT --mode txn|stm|stm-gets [--threads N] [--seconds S] [--warmup S]
 *
 * txn: both accounts are read in one request, and written in a transaction that compares their revisions and, when it fails,
 * reads them again; at once, as often as it takes. stm: the same through etcd_stm_run(), at its default isolation, both
 * accounts read by one get. stm-gets: read by a get each, which is a round trip more. Prints one line of JSON, "attempts" for
 * each transfer in it. The sum of all accounts is checked at the end. */
#include "measure.h"

#include <etcd3/etcd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ACCOUNTS = 100, START = 1000, THREADS_MAX = 256 };
enum phase { WARMING, MEASURING, STOPPING };

struct bench {
    etcd_client *client;
    const char *mode;
    atomic_int phase;
};

struct payer {
    struct bench *bench;
    pthread_t thread;
    unsigned seed;
    char keys[2][32]; /* of the present transfer: from, to */
    char values[2][32];
    uint64_t done, attempts;
    bench_hist hist;
};

static void choose(struct payer *payer)
{
    int from = rand_r(&payer->seed) % ACCOUNTS, to = (from + 1 + rand_r(&payer->seed) % (ACCOUNTS - 1)) % ACCOUNTS;

    snprintf(payer->keys[0], sizeof payer->keys[0], "account/%03d", from);
    snprintf(payer->keys[1], sizeof payer->keys[1], "account/%03d", to);
}

static void compute(struct payer *payer, int i, const char *balance)
{
    snprintf(payer->values[i], sizeof payer->values[i], "%ld", strtol(balance, NULL, 10) + (i == 0 ? -1 : 1));
}

/* ---- by hand ---- */

static etcd_txn_response *commit(etcd_txn *txn)
{
    etcd_txn_response *response;
    etcd_error err;

    if (etcd_txn_commit(txn, NULL, &response, &err) < 0)
        bench_die("txn: %s", err.message);
    etcd_txn_free(txn);
    return response;
}

static void add_gets(etcd_txn *txn, struct payer *payer)
{
    etcd_txn_get(txn, ETCD_STR(payer->keys[0]), NULL);
    etcd_txn_get(txn, ETCD_STR(payer->keys[1]), NULL);
}

static void transfer_by_hand(struct payer *payer)
{
    etcd_txn *txn = etcd_txn_new(payer->bench->client);
    etcd_txn_response *read, *written;
    bool succeeded;

    add_gets(txn, payer);
    read = commit(txn);
    do {
        txn = etcd_txn_new(payer->bench->client);
        for (int i = 0; i < 2; i++) {
            const etcd_kv *kv = &read->responses[i]->get->kvs[0];

            compute(payer, i, kv->value.data);
            etcd_txn_if_mod_revision(txn, ETCD_STR(payer->keys[i]), ETCD_CMP_EQUAL, kv->mod_revision);
        }
        for (int i = 0; i < 2; i++)
            etcd_txn_put(txn, ETCD_STR(payer->keys[i]), ETCD_STR(payer->values[i]), NULL);
        etcd_txn_else(txn);
        add_gets(txn, payer);
        etcd_response_free(read);
        written = commit(txn);
        succeeded = written->succeeded;
        payer->attempts++;
        read = written;
    } while (!succeeded);
    etcd_response_free(read);
}

/* ---- by STM ---- */

static int move(etcd_stm *stm, void *arg)
{
    struct payer *payer = arg;
    const etcd_bytes keys[2] = {{ETCD_STR(payer->keys[0])}, {ETCD_STR(payer->keys[1])}}, *values[2];
    int rc = ETCD_OK;

    payer->attempts++;
    if (strcmp(payer->bench->mode, "stm") == 0)
        rc = etcd_stm_get_many(stm, keys, 2, values);
    else if ((rc = etcd_stm_get(stm, keys[0].data, keys[0].len, &values[0])) == ETCD_OK)
        rc = etcd_stm_get(stm, keys[1].data, keys[1].len, &values[1]);
    for (int i = 0; i < 2 && rc == ETCD_OK; i++) {
        compute(payer, i, values[i]->data);
        rc = etcd_stm_put(stm, keys[i].data, keys[i].len, ETCD_STR(payer->values[i]), NULL);
    }
    return rc;
}

static void transfer_by_stm(struct payer *payer)
{
    etcd_error err;

    if (etcd_stm_run(payer->bench->client, move, payer, ETCD_STM(.max_attempts = 1000000), NULL, &err) < 0)
        bench_die("stm: %s", err.message);
}

/* ---- all of them ---- */

static void *pay(void *arg)
{
    struct payer *payer = arg;
    struct bench *bench = payer->bench;
    bool measured = false, by_hand = strcmp(bench->mode, "txn") == 0;

    for (;;) {
        int phase = atomic_load(&bench->phase);
        uint64_t begin;

        if (phase == STOPPING)
            return NULL;
        if (phase == MEASURING && !measured) {
            measured = true;
            payer->attempts = 0;
        }
        begin = bench_now();
        choose(payer);
        (by_hand ? transfer_by_hand : transfer_by_stm)(payer);
        if (measured) {
            payer->done++;
            bench_hist_add(&payer->hist, bench_now() - begin);
        }
    }
}

static void open_accounts(etcd_client *client)
{
    for (int i = 0; i < ACCOUNTS; i++) {
        char key[32];
        etcd_error err;

        snprintf(key, sizeof key, "account/%03d", i);
        if (etcd_put(client, ETCD_STR(key), ETCD_STR("1000"), NULL, NULL, &err) < 0)
            bench_die("put: %s", err.message);
    }
}

static void check_accounts(etcd_client *client)
{
    etcd_get_response *all;
    etcd_error err;
    long sum = 0;

    if (etcd_get(client, ETCD_STR("account/"), ETCD_GET(.prefix = true), &all, &err) < 0)
        bench_die("get: %s", err.message);
    for (size_t i = 0; i < all->n_kvs; i++)
        sum += strtol(all->kvs[i].value.data, NULL, 10);
    etcd_response_free(all);
    if (sum != (long)ACCOUNTS * START)
        bench_die("the accounts hold %ld", sum);
}

static void pause_s(double seconds)
{
    struct timespec wait = {.tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};

    nanosleep(&wait, NULL);
}

static void measure(struct bench *bench, int threads, double warmup, double seconds)
{
    struct payer *payers = bench_alloc((size_t)threads * sizeof *payers);
    bench_hist *hist = bench_alloc(sizeof *hist);
    uint64_t done = 0, attempts = 0, begin, cpu;

    memset(payers, 0, (size_t)threads * sizeof *payers);
    memset(hist, 0, sizeof *hist);
    for (int i = 0; i < threads; i++) {
        payers[i].bench = bench;
        payers[i].seed = (unsigned)i + 1;
        if (pthread_create(&payers[i].thread, NULL, pay, &payers[i]) != 0)
            bench_die("no thread");
    }
    pause_s(warmup);
    begin = bench_now();
    cpu = bench_cpu();
    atomic_store(&bench->phase, MEASURING);
    pause_s(seconds);
    atomic_store(&bench->phase, STOPPING);
    begin = bench_now() - begin;
    cpu = bench_cpu() - cpu;
    for (int i = 0; i < threads; i++) {
        pthread_join(payers[i].thread, NULL);
        bench_hist_merge(hist, &payers[i].hist);
        done += payers[i].done;
        attempts += payers[i].attempts;
    }
    printf("{\"ops_per_s\": %.1f, \"p50_us\": %.1f, \"p99_us\": %.1f, \"cpu_us_per_op\": %.2f, \"attempts\": %.3f, "
           "\"peak_kib\": %llu}\n",
           (double)done / ((double)begin / 1e9), (double)bench_hist_at(hist, 0.5) / 1e3, (double)bench_hist_at(hist, 0.99) / 1e3,
           done ? (double)cpu / 1e3 / (double)done : 0, done ? (double)attempts / (double)done : 0,
           (unsigned long long)bench_peak_kib());
    free(payers);
    free(hist);
}

int main(int argc, char **argv)
{
    struct bench bench = {.mode = "stm"};
    const char *endpoint = NULL;
    double seconds = 0.5, warmup = 0.1;
    int threads = 1;
    etcd_error err;

    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--endpoint") == 0)
            endpoint = argv[i + 1];
        else if (strcmp(argv[i], "--mode") == 0)
            bench.mode = argv[i + 1];
        else if (strcmp(argv[i], "--threads") == 0)
            threads = (int)strtol(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--seconds") == 0)
            seconds = strtod(argv[i + 1], NULL);
        else if (strcmp(argv[i], "--warmup") == 0)
            warmup = strtod(argv[i + 1], NULL);
        else
            bench_die("%s?", argv[i]);
    }
    if (endpoint == NULL || threads < 1 || threads > THREADS_MAX)
        bench_die("--endpoint HOST:PORT --mode txn|stm|stm-gets [--threads N] [--seconds S] [--warmup S]");
    if (etcd_client_new(ETCD_CLIENT(.endpoints = endpoint, .request_timeout_ms = 30000), &bench.client, &err) < 0)
        bench_die("%s", err.message);
    open_accounts(bench.client);
    measure(&bench, threads, warmup, seconds);
    check_accounts(bench.client);
    etcd_client_free(bench.client);
    return 0;
}
