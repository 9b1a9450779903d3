/* Reading much at once from an etcd: what a large range and a snapshot cost the client.
 *
 *   bench_bulk --endpoint HOST:PORT --what fill|get|stream|pages|snapshot|save [--keys N] [--value BYTES] [--rounds N] [--path
 * FILE]
 *
 * fill puts N keys; get reads them as one response; stream with an iterator (chunks from servers 3.7 on); pages with an iterator
 * whose pages have 1,000 key-values. snapshot takes the database and drops it, save writes it to a file; both verify it. After
 * one round that does not count. Prints one line of JSON; peak memory is of the process, with what it has before ("base_kib").
 */
#include "measure.h"

#include <etcd3/etcd.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PREFIX "bench/bulk/"
#define PER_TXN 100

typedef struct options {
    const char *endpoint, *what, *path;
    size_t keys, value_len, rounds;
} options;

static options o = {.what = "stream", .path = "/tmp/etcd3-bench-snapshot.db", .keys = 100000, .value_len = 128, .rounds = 3};

static etcd_error err;

static void check(int rc)
{
    if (rc < 0)
        bench_die("%s: %s", o.what, err.message);
}

static void fill(etcd_client *client)
{
    char *value = bench_alloc(o.value_len + 1);

    memset(value, 'v', o.value_len);
    for (size_t i = 0; i < o.keys;) {
        etcd_txn *txn = etcd_txn_new(client);

        for (size_t ops = 0; ops < PER_TXN && i < o.keys; ops++, i++) {
            char key[64];

            (void)snprintf(key, sizeof key, PREFIX "%09zu", i);
            etcd_txn_put(txn, ETCD_STR(key), value, o.value_len, NULL);
        }
        check(etcd_txn_commit(txn, NULL, NULL, &err));
        etcd_txn_free(txn);
    }
    free(value);
}

static uint64_t bytes_of(const etcd_get_response *page)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < page->n_kvs; i++)
        bytes += page->kvs[i].key.len + page->kvs[i].value.len;
    return bytes;
}

static uint64_t get(etcd_client *client)
{
    etcd_get_response *response;
    uint64_t bytes;

    check(etcd_get(client, ETCD_STR(PREFIX), ETCD_GET(.prefix = true), &response, &err));
    bytes = bytes_of(response);
    etcd_response_free(response);
    return bytes;
}

static uint64_t iterate(etcd_client *client, int64_t limit)
{
    etcd_get_response *page;
    etcd_range *range;
    uint64_t bytes = 0;

    check(etcd_range_open(client, ETCD_STR(PREFIX), ETCD_GET(.prefix = true, .limit = limit), &range, &err));
    for (;;) {
        check(etcd_range_next(range, &page, &err));
        if (page == NULL)
            break;
        bytes += bytes_of(page);
        etcd_response_free(page);
    }
    etcd_range_free(range);
    return bytes;
}

static int drop(const char *data, size_t len, void *arg)
{
    (void)data;
    *(uint64_t *)arg += len;
    return 0;
}

static uint64_t snapshot(etcd_client *client, bool to_file)
{
    etcd_snapshot_response *response;
    uint64_t bytes = 0;

    if (!to_file) {
        check(etcd_snapshot_read(client, drop, &bytes, NULL, NULL, &err));
        return bytes;
    }
    check(etcd_snapshot_save(client, o.path, NULL, &response, &err));
    bytes = (uint64_t)response->n_bytes;
    etcd_response_free(response);
    (void)unlink(o.path);
    return bytes;
}

static uint64_t once(etcd_client *client)
{
    if (strcmp(o.what, "get") == 0)
        return get(client);
    if (strcmp(o.what, "stream") == 0)
        return iterate(client, 0);
    if (strcmp(o.what, "pages") == 0)
        return iterate(client, 1000);
    if (strcmp(o.what, "snapshot") == 0 || strcmp(o.what, "save") == 0)
        return snapshot(client, o.what[1] == 'a');
    bench_die("--what %s?", o.what);
}

static void parse(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];

        if (strcmp(name, "--endpoint") == 0)
            o.endpoint = value;
        else if (strcmp(name, "--what") == 0)
            o.what = value;
        else if (strcmp(name, "--path") == 0)
            o.path = value;
        else if (strcmp(name, "--keys") == 0)
            o.keys = (size_t)strtoul(value, NULL, 10);
        else if (strcmp(name, "--value") == 0)
            o.value_len = (size_t)strtoul(value, NULL, 10);
        else if (strcmp(name, "--rounds") == 0)
            o.rounds = (size_t)strtoul(value, NULL, 10);
        else
            bench_die("%s?", name);
    }
    if (o.endpoint == NULL || o.rounds == 0)
        bench_die("--endpoint HOST:PORT, and at least one round");
}

int main(int argc, char **argv)
{
    uint64_t bytes = 0, wall, cpu, base = bench_peak_kib();
    etcd_client *client;

    parse(argc, argv);
    check(etcd_client_new(ETCD_CLIENT(.endpoints = o.endpoint, .request_timeout_ms = 60000), &client, &err));
    if (strcmp(o.what, "fill") == 0) {
        fill(client);
        etcd_client_free(client);
        return 0;
    }
    (void)once(client);
    wall = bench_now();
    cpu = bench_cpu();
    for (size_t i = 0; i < o.rounds; i++)
        bytes += once(client);
    wall = bench_now() - wall;
    cpu = bench_cpu() - cpu;
    etcd_client_free(client);
    printf("{\"bytes\": %" PRIu64 ", \"mb_per_s\": %.1f, \"cpu_ms_per_mb\": %.3f, \"seconds\": %.3f, \"peak_kib\": %" PRIu64
           ", \"base_kib\": %" PRIu64 "}\n",
           bytes / o.rounds, (double)bytes * 1e3 / (double)wall, (double)cpu / (double)bytes,
           (double)wall / 1e9 / (double)o.rounds, bench_peak_kib(), base);
    return 0;
}
