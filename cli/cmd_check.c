/* check perf, check datascale: whether a cluster does what a workload needs.
 *
 * Both write under a prefix that must be empty before, and is empty after.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"
#include "endpoints.h"
#include "http.h"
#include "load.h"
#include "text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PERF_SECONDS = 60, PERF_KEY = 256, VALUE = 1024 };

typedef struct workload {
    const char *names[3]; /* the first is how it is called */
    int limit;            /* perf: writes per second */
    int total;            /* datascale: keys */
    size_t clients;
} workload;

static const workload workloads[] = {
    {{"s", "small", "s"}, 150, 10000, 50},
    {{"m", "medium", "m"}, 1000, 100000, 200},
    {{"l", "large", "l"}, 8000, 1000000, 500},
    {{"xl", "xLarge", "xl"}, 15000, 3000000, 1000},
};

static const workload *find_workload(const cli *c)
{
    const char *name = cli_flag_text(c, "load");
    for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++)
        for (size_t k = 0; k < 3; k++)
            if (strcmp(name, workloads[i].names[k]) == 0)
                return &workloads[i];
    cli_fail(CLI_BAD_FEATURE, "unknown load option %s", name);
}

/* -- what both do -- */

typedef struct writing {
    const char *prefix;
    size_t key_len; /* random bytes behind the prefix */
    char *key;
    char value[VALUE];
    int64_t of; /* for the progress line */
    bool by_time;
} writing;

static int start_put(etcd_client *client, uint64_t number, void *slot, void *arg, etcd_error *err)
{
    writing *w = arg;
    size_t prefix = strlen(w->prefix);
    (void)number;
    cli_load_fill(w->key + prefix, w->key_len);
    return etcd_put_async(client, w->key, prefix + w->key_len, w->value, sizeof w->value,
                          ETCD_PUT(.call = ETCD_CALL(.timeout_ms = -1)), NULL, slot, NULL, err);
}

static void on_progress(uint64_t ended, int64_t elapsed_ns, void *arg)
{
    enum { WIDTH = 40 };
    const writing *w = arg;
    char bar[WIDTH + 1];
    int64_t done = w->by_time ? elapsed_ns / 1000000000 : (int64_t)ended;
    size_t filled = (size_t)(done < w->of ? done * WIDTH / w->of : WIDTH);
    memset(bar, '_', WIDTH);
    memset(bar, '-', filled);
    bar[WIDTH] = '\0';
    fprintf(stderr, "\r\x1b[K%" PRId64 " / %" PRId64 " [%s]", done, w->of, bar);
}

static void prepare(writing *w, cli_load *load)
{
    size_t prefix = strlen(w->prefix);
    w->key = cli_alloc(prefix + w->key_len + 1);
    memcpy(w->key, w->prefix, prefix);
    cli_load_fill(w->value, sizeof w->value);
    load->start = start_put;
    load->arg = w;
    if (isatty(STDERR_FILENO) == 1)
        load->progress_fn = on_progress;
}

static void expect_empty(cli *c, etcd_client *client, const char *prefix, bool quotes)
{
    etcd_get_response *found;
    etcd_error err;
    const char *quote = quotes ? "'" : "";
    if (etcd_get(client, prefix, strlen(prefix), ETCD_GET(.call = cli_call(c), .prefix = true, .limit = 1), &found, &err) < 0)
        cli_fail_call(CLI_ERROR, &err);
    if (found->n_kvs > 0)
        cli_fail(CLI_INVALID_INPUT, "prefix \"%s\" has keys. Delete with %setcdctl del --prefix %s%s first", prefix, quote,
                 prefix, quote);
    etcd_response_free(found);
}

/** Deletes the keys, and compacts and defragments where that is wanted. */
static void clean_up(cli *c, etcd_client *client, const char *prefix)
{
    etcd_delete_response *deleted;
    etcd_error err;
    size_t n;
    if (etcd_delete(client, prefix, strlen(prefix), ETCD_DELETE(.call = ETCD_CALL(.timeout_ms = -1), .prefix = true), &deleted,
                    &err) < 0)
        cli_fail_call(CLI_ERROR, &err);
    int64_t revision = deleted->header.revision;
    etcd_response_free(deleted);
    if (cli_flag_bool(c, "auto-compact")) {
        printf("Compacting with revision %" PRId64 "\n", revision);
        if (etcd_compact(client, revision, ETCD_COMPACT(.call = ETCD_CALL(.timeout_ms = -1), .physical = true), NULL, &err) < 0)
            cli_fail_call(CLI_ERROR, &err);
        printf("Compacted with revision %" PRId64 "\n", revision);
    }
    if (!cli_flag_bool(c, "auto-defrag"))
        return;
    char **endpoints = cli_endpoints(c, &n);
    for (size_t i = 0; i < n; i++) {
        printf("Defragmenting \"%s\"\n", endpoints[i]);
        if (etcd_defragment(client, endpoints[i], ETCD_CALL(.timeout_ms = -1), NULL, &err) < 0)
            cli_fail_call(CLI_ERROR, &err);
        printf("Defragmented \"%s\"\n", endpoints[i]);
    }
    cli_endpoints_free(endpoints, n);
}

static bool had_errors(const cli_load *load)
{
    if (load->failed == 0)
        return false;
    puts("FAIL: too many errors");
    printf("FAIL: ERROR(%s) -> %" PRIu64 "\n", cli_error_text(&load->error), load->failed);
    return true;
}

/* -- perf -- */

static bool judge(bool good, const char *pass, const char *fail, double value)
{
    printf(good ? "PASS: %s %fs\n" : "FAIL: %s %fs\n", good ? pass : fail, value);
    return good;
}

static int run_perf(cli *c)
{
    const workload *kind = find_workload(c);
    writing w = {.prefix = cli_flag_text(c, "prefix"), .key_len = PERF_KEY, .of = PERF_SECONDS, .by_time = true};
    etcd_client *client = cli_client(c);
    cli_load load = {.clients = &client,
                     .n_clients = 1,
                     .time_ns = (int64_t)PERF_SECONDS * 1000000000,
                     .in_flight = kind->clients,
                     .rate = kind->limit};
    expect_empty(c, client, w.prefix, true);
    prepare(&w, &load);
    cli_load_run(&load);
    if (load.progress_fn)
        fputs("\r\x1b[K", stderr);
    clean_up(c, client, w.prefix);
    free(w.key);
    bool good = !had_errors(&load);
    int rate = (int)((double)load.times.n / ((double)load.elapsed_ns / 1e9));
    double slowest = (double)load.times.most_ns / 1e9, deviation = cli_histogram_deviation_s(&load.times);
    if (rate > kind->limit * 0.9) {
        printf("PASS: Throughput is %d writes/s\n", rate);
    } else {
        printf("FAIL: Throughput too low: %d writes/s\n", rate);
        good = false;
    }
    good = judge(slowest <= 0.5, "Slowest request took", "Slowest request took too long:", slowest) && good;
    good = judge(deviation <= 0.1, "Stddev is", "Stddev too high:", deviation) && good;
    puts(good ? "PASS" : "FAIL");
    return good ? CLI_OK : CLI_ERROR;
}

static const cli_flag perf_flags[] = {
    {.name = "load",
     .type = CLI_STRING,
     .initial = "s",
     .usage = "The performance check's workload model. Accepted workloads: s(small), m(medium), l(large), xl(xLarge). Different "
              "workload models use different configurations in terms of number of clients and expected throughput."},
    {.name = "prefix",
     .type = CLI_STRING,
     .initial = "/etcdctl-check-perf/",
     .usage = "The prefix for writing the performance check's keys."},
    {.name = "auto-compact", .type = CLI_BOOL, .usage = "Compact storage with last revision after test is finished."},
    {.name = "auto-defrag", .type = CLI_BOOL, .usage = "Defragment storage after test is finished."},
};

/* -- datascale -- */

/** The memory that a member's process has, as its metrics say. */
static double resident_bytes(const char *endpoint)
{
    static const char name[] = "\nprocess_resident_memory_bytes ";
    cli_error error;
    char *metrics = cli_http_get(endpoint, "/metrics", &error);
    if (!metrics)
        cli_fail(CLI_ERROR, "failed to read metrics of %s: %s", endpoint, error.text);
    const char *line = strstr(metrics, name);
    if (!line)
        cli_fail(CLI_ERROR, "no process_resident_memory_bytes in the metrics of %s", endpoint);
    double bytes = strtod(line + strlen(name), NULL);
    free(metrics);
    return bytes;
}

static int run_datascale(cli *c)
{
    const workload *kind = find_workload(c);
    writing w = {.prefix = cli_flag_text(c, "prefix"), .key_len = PERF_KEY, .of = kind->total};
    etcd_client *client = cli_client(c);
    cli_load load = {.clients = &client, .n_clients = 1, .total = (uint64_t)kind->total, .in_flight = kind->clients};
    size_t n;
    char **endpoints = cli_endpoints(c, &n);
    expect_empty(c, client, w.prefix, false);
    double before = resident_bytes(endpoints[0]);
    printf("Start data scale check for work load [%d key-value pairs, %d bytes per key-value, %zu concurrent clients].\n",
           kind->total, VALUE, kind->clients);
    fflush(stdout);
    prepare(&w, &load);
    cli_load_run(&load);
    if (load.progress_fn)
        fputs("\r\x1b[K", stderr);
    double after = resident_bytes(endpoints[0]);
    clean_up(c, client, w.prefix);
    free(w.key);
    cli_endpoints_free(endpoints, n);
    if (had_errors(&load))
        return CLI_ERROR;
    printf("PASS: Approximate system memory used : %.2f MB.\n", (after - before) / 1024 / 1024);
    return CLI_OK;
}

static const cli_flag datascale_flags[] = {
    {.name = "load",
     .type = CLI_STRING,
     .initial = "s",
     .usage = "The datascale check's workload model. Accepted workloads: s(small), m(medium), l(large), xl(xLarge)"},
    {.name = "prefix",
     .type = CLI_STRING,
     .initial = "/etcdctl-check-datascale/",
     .usage = "The prefix for writing the datascale check's keys."},
    {.name = "auto-compact", .type = CLI_BOOL, .usage = "Compact storage with last revision after test is finished."},
    {.name = "auto-defrag", .type = CLI_BOOL, .usage = "Defragment storage after test is finished."},
};

const cli_command cli_check = {.name = "check",
                               .usage = "check <subcommand>",
                               .summary = "commands for checking properties of the etcd cluster",
                               .group = CLI_UTILITY};

const cli_command cli_check_perf = {.name = "check perf",
                                    .usage = "perf [options]",
                                    .summary = "Check the performance of the etcd cluster",
                                    CLI_FLAGS(perf_flags),
                                    .run = run_perf};

const cli_command cli_check_datascale = {
    .name = "check datascale",
    .usage = "datascale [options]",
    .summary = "Check the memory usage of holding data for different workloads on a given server endpoint.",
    .description =
        "If no endpoint is provided, localhost will be used. If multiple endpoints are provided, first endpoint will be used.",
    CLI_FLAGS(datascale_flags),
    .run = run_datascale};
