/* bench put, get, range, txn, lease, mixed, watch: how fast a cluster is. An additional command.
 *
 * Many calls are in flight on a few connections, as fast as they go or at a rate. In an open loop (--open) a call's time begins
 * when it was due, so that a cluster that falls behind does not look fast.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "bench.h"
#include "commands.h"
#include "text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_KEY = 65536 };

/* -- the calls -- */

typedef struct bench {
    cli *c;
    const cli_bench_op *op;
    char *key;
    size_t prefix_len, key_len;
    char *value;
    size_t value_len;
    int64_t watchers;
    uint64_t space; /* number of keys */
    int64_t reads;  /* percent, of mixed */
    etcd_call_options call;
    bool serializable;
    int64_t limit;
    int64_t ttl;
} bench;

struct cli_bench_op {
    const char *name;
    int (*start)(bench *b, etcd_client *client, uint64_t number, void *slot, etcd_error *err);
};

/** The key of this number: digits behind the prefix, as many as --key-size says. */
static void set_key(bench *b, uint64_t number)
{
    uint64_t rest = number % b->space;
    for (size_t i = b->key_len; i > b->prefix_len; i--, rest /= 10)
        b->key[i - 1] = (char)('0' + rest % 10);
}

static int start_put(bench *b, etcd_client *client, uint64_t number, void *slot, etcd_error *err)
{
    set_key(b, number);
    return etcd_put_async(client, b->key, b->key_len, b->value, b->value_len, ETCD_PUT(.call = &b->call), NULL, slot, NULL, err);
}

static int start_get(bench *b, etcd_client *client, uint64_t number, void *slot, etcd_error *err)
{
    set_key(b, number * 2654435761u); /* not in their order */
    return etcd_get_async(client, b->key, b->key_len, ETCD_GET(.call = &b->call, .serializable = b->serializable), NULL, slot,
                          NULL, err);
}

static int start_range(bench *b, etcd_client *client, uint64_t number, void *slot, etcd_error *err)
{
    (void)number;
    return etcd_get_async(client, b->key, b->prefix_len,
                          ETCD_GET(.call = &b->call, .prefix = true, .limit = b->limit, .serializable = b->serializable), NULL,
                          slot, NULL, err);
}

static int start_txn(bench *b, etcd_client *client, uint64_t number, void *slot, etcd_error *err)
{
    etcd_txn *txn = etcd_txn_new(client);
    set_key(b, number);
    etcd_txn_if_exists(txn, b->key, b->key_len);
    etcd_txn_put(txn, b->key, b->key_len, b->value, b->value_len, NULL);
    etcd_txn_else(txn);
    etcd_txn_put(txn, b->key, b->key_len, b->value, b->value_len, NULL);
    int rc = etcd_txn_commit_async(txn, &b->call, NULL, slot, NULL, err);
    etcd_txn_free(txn);
    return rc;
}

static int start_lease(bench *b, etcd_client *client, uint64_t number, void *slot, etcd_error *err)
{
    (void)number;
    return etcd_lease_grant_async(client, b->ttl, ETCD_LEASE_GRANT(.call = &b->call), NULL, slot, NULL, err);
}

static int start_mixed(bench *b, etcd_client *client, uint64_t number, void *slot, etcd_error *err)
{
    bool read = (int64_t)(number * 61 % 100) < b->reads;
    return read ? start_get(b, client, number, slot, err) : start_put(b, client, number, slot, err);
}

static int start_call(etcd_client *client, uint64_t number, void *slot, void *arg, etcd_error *err)
{
    bench *b = arg;
    return b->op->start(b, client, number, slot, err);
}

/* -- watches: each put is timed until each watcher has it -- */

enum { STAMP = 20 };

typedef struct seen {
    cli_histogram times;
} seen;

/** A put whose value begins with the time. */
static int start_watch(bench *b, etcd_client *client, uint64_t number, void *slot, etcd_error *err)
{
    char stamp[STAMP + 1];
    snprintf(stamp, sizeof stamp, "%0*" PRId64, STAMP, cli_now_ns());
    memcpy(b->value, stamp, STAMP);
    return start_put(b, client, number, slot, err);
}

static void on_watch(etcd_watch *watch, etcd_watch_response *response, const etcd_error *err, void *arg)
{
    seen *s = arg;
    (void)watch;
    if (err && err->code != ETCD_ERR_CLOSED)
        cli_fail_call(CLI_ERROR, err);
    if (err) /* at the end */
        return;
    for (size_t i = 0; i < response->n_events; i++)
        if (response->events[i].kv->value.len >= STAMP)
            cli_histogram_add(&s->times, cli_now_ns() - strtoll(response->events[i].kv->value.data, NULL, 10));
    etcd_response_free(response);
}

static void open_watches(const bench *b, const cli_load *load, int64_t n, int64_t revision, seen *s)
{
    for (int64_t i = 0; i < n; i++) {
        etcd_watch *watch;
        etcd_error err;
        if (etcd_watch_start(load->clients[(size_t)i % load->n_clients], b->key, b->prefix_len,
                             ETCD_WATCH(.prefix = true, .start_revision = revision), on_watch, s, &watch, &err) < 0)
            cli_fail_call(CLI_ERROR, &err);
    }
}

/** The first revision that is still to come. */
static int64_t next_revision(cli *c)
{
    etcd_get_response *response;
    etcd_error err;
    if (etcd_get(cli_client(c), ETCD_STR("x"), ETCD_GET(.call = cli_call(c), .count_only = true), &response, &err) < 0)
        cli_fail_call(CLI_ERROR, &err);
    int64_t revision = response->header.revision + 1;
    etcd_response_free(response);
    return revision;
}

/** Waits for what is still on its way, but not for ever. */
static void await_events(const cli_load *load, const seen *s, uint64_t expected)
{
    int64_t end = cli_now_ns() + (int64_t)10 * 1000000000;
    while (s->times.n < expected && cli_now_ns() < end)
        for (size_t i = 0; i < load->n_clients; i++)
            etcd_client_process(load->clients[i], 1, NULL);
}

/* -- a run -- */

static int64_t least(const cli *c, const char *flag, int64_t bound)
{
    int64_t value = cli_flag_int(c, flag);
    if (value < bound)
        cli_fail(CLI_BAD_ARGS, "--%s must be at least %" PRId64, flag, bound);
    return value;
}

static void prepare(bench *b, cli *c, const cli_bench_op *op)
{
    const char *prefix = cli_flag_text(c, "prefix");
    int64_t key_size = least(c, "key-size", 1), value_size = least(c, "val-size", 0);
    if (key_size > MAX_KEY)
        cli_fail(CLI_BAD_ARGS, "--key-size must be at most %d", MAX_KEY);
    if (op->start == start_watch && value_size < STAMP)
        value_size = STAMP;
    *b = (bench){.c = c, .op = op, .prefix_len = strlen(prefix), .value_len = (size_t)value_size};
    b->key_len = b->prefix_len + (size_t)key_size;
    b->key = cli_alloc(b->key_len + 1);
    memcpy(b->key, prefix, b->prefix_len);
    b->value = cli_alloc(b->value_len + 1);
    cli_load_fill(b->value, b->value_len);
    b->space = (uint64_t)least(c, "key-space-size", 1);
    b->reads = cli_flag_int(c, "read-percent");
    b->call = *cli_call_unbounded(c);
    b->serializable = cli_flag_bool(c, "serializable");
    b->limit = cli_flag_int(c, "limit");
    b->ttl = least(c, "ttl", 1);
    b->watchers = least(c, "watchers", 1);
}

static etcd_client **open_clients(cli *c, size_t n)
{
    etcd_client **clients = cli_alloc(n * sizeof *clients);
    clients[0] = cli_client(c);
    for (size_t i = 1; i < n; i++)
        clients[i] = cli_client_for(c, c->endpoints);
    return clients;
}

static void on_progress(uint64_t ended, int64_t elapsed_ns, void *arg)
{
    (void)arg;
    fprintf(stderr, "\r\x1b[K%" PRIu64 " calls, %.0f per second", ended, (double)ended / ((double)elapsed_ns / 1e9));
}

static int run(cli *c, const cli_bench_op *op)
{
    bench b;
    cli_setup(c);
    prepare(&b, c, op);
    cli_load load = {.n_clients = (size_t)least(c, "conns", 1),
                     .start = start_call,
                     .arg = &b,
                     .total = (uint64_t)least(c, "total", 0),
                     .time_ns = cli_flag_ns(c, "duration"),
                     .in_flight = (size_t)least(c, "clients", 1),
                     .rate = (double)least(c, "rate", 0),
                     .open = cli_flag_bool(c, "open")};
    if (load.time_ns > 0 && !cli_flag_changed(c, "total"))
        load.total = 0;
    if (load.total == 0 && load.time_ns <= 0)
        cli_fail(CLI_BAD_ARGS, "--total or --duration is needed");
    if (load.open && load.rate <= 0)
        cli_fail(CLI_BAD_ARGS, "--open needs a --rate");
    load.clients = open_clients(c, load.n_clients);
    if (isatty(STDERR_FILENO) == 1)
        load.progress_fn = on_progress;
    seen s = {0};
    int64_t begin = cli_now_ns();
    bool watches = op->start == start_watch;
    if (watches)
        open_watches(&b, &load, b.watchers, next_revision(c), &s);
    cli_load_run(&load);
    if (watches) {
        uint64_t expected = load.times.n * (uint64_t)b.watchers;
        await_events(&load, &s, expected);
        load.failed += expected - s.times.n;
        load.times = s.times;
        load.elapsed_ns = cli_now_ns() - begin;
    }
    if (load.progress_fn)
        fputs("\r\x1b[K", stderr);
    cli_bench_report(c, op->name, &load);
    for (size_t i = 1; i < load.n_clients; i++)
        etcd_client_free(load.clients[i]);
    free(load.clients);
    free(b.key);
    free(b.value);
    return load.failed > 0 ? CLI_ERROR : CLI_OK;
}

/* -- the commands -- */

static const cli_flag bench_flags[] = {
    {.name = "clients", .type = CLI_INT, .initial = "64", .usage = "calls in flight at a time, over all connections"},
    {.name = "conns", .type = CLI_INT, .initial = "1", .usage = "connections"},
    {.name = "csv", .type = CLI_BOOL, .usage = "print a header and a line of comma-separated values"},
    {.name = "duration", .type = CLI_DURATION, .usage = "how long to make calls, in place of --total"},
    {.name = "key-size", .type = CLI_INT, .initial = "8", .usage = "digits of a key, behind the prefix"},
    {.name = "key-space-size", .type = CLI_INT, .initial = "10000", .usage = "number of different keys"},
    {.name = "limit", .type = CLI_INT, .initial = "100", .usage = "keys of a range at most; 0: all"},
    {.name = "open", .type = CLI_BOOL, .usage = "open loop: times count from when a call was due by the rate"},
    {.name = "prefix", .type = CLI_STRING, .initial = "bench/", .usage = "what all keys begin with"},
    {.name = "rate", .type = CLI_INT, .usage = "calls per second; 0: as fast as they go"},
    {.name = "read-percent", .type = CLI_INT, .initial = "90", .usage = "share of reads in a mixed load"},
    {.name = "serializable", .type = CLI_BOOL, .usage = "read what the member has, without asking the others"},
    {.name = "total", .type = CLI_INT, .initial = "10000", .usage = "calls to make"},
    {.name = "ttl", .type = CLI_INT, .initial = "10", .usage = "seconds that leases live"},
    {.name = "watchers", .type = CLI_INT, .initial = "10", .usage = "watches of all keys, for bench watch"},
    {.name = "val-size", .type = CLI_INT, .initial = "8", .usage = "bytes of a value"},
};

const cli_command cli_bench = {.name = "bench",
                               .usage = "bench <subcommand>",
                               .summary = "Measures how fast a cluster is",
                               .description =
                                   "Measures how fast a cluster is: calls per second, and how long they take. Keys stay.",
                               .group = CLI_ADDITIONAL,
                               CLI_FLAGS(bench_flags)};

#define BENCH(op, text) \
    static int run_##op(cli *c) \
    { \
        static const cli_bench_op what = {#op, start_##op}; \
        return run(c, &what); \
    } \
    const cli_command cli_bench_##op = { \
        .name = "bench " #op, .usage = #op, .summary = (text), .also_flags_of = &cli_bench, .run = run_##op}

BENCH(put, "Puts of keys one after the other");
BENCH(get, "Reads of single keys; run bench put before");
BENCH(range, "Reads of all keys with the prefix, up to --limit");
BENCH(txn, "Transactions with one compare and one put");
BENCH(lease, "Grants of leases of --ttl seconds");
BENCH(mixed, "Reads and puts of single keys");
BENCH(watch, "Puts, timed until each of --watchers has the event");
