/* How long calls stand still when the member that has them is killed, hangs or is cut off.
 *
 *     bench_failover [rounds [plain|tls]]      default 5, plain; the server is $ETCD3_TEST_ETCD, else the etcd in $PATH
 *
 * A cluster of three, a proxy in front of each member, and in each round a new client with its defaults (but a short back-off).
 * Some reads are under way on every member when the fault begins; after it one begins every 5 ms. Two figures, in milliseconds
 * since the fault: when the first of those that began after it succeeded, and when the last of those under way did. One line
 * of JSON for each fault, with the median and the worst of the rounds, and whether the worst meets the target: follower
 * killed, the last <= 20 (the death of the process takes some of them); leader killed, the first <= election + 100; hangs and
 * black holes, the last <= 1000 (silence) + 1000 (ping) + 50. */
#include "harness/etcd_server.h"
#include "harness/fault_proxy.h"
#include "harness/pki.h"
#include "measure.h"

#include <etcd3/etcd.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MEMBERS = 3, UNDER_WAY = 9, PROBES_MAX = 4000, ROUNDS_MAX = 100, PROBE_MS = 5, PATIENCE_MS = 30000 };

struct probe {
    _Atomic uint64_t ended; /* 0: not yet */
    int code;
};

struct bench {
    struct etcd_server *server;
    fault_proxy *proxies[MEMBERS];
    char endpoints[256];
    char *directory; /* of certificates; NULL: no TLS */
    char *ca_file, *cert_file, *key_file;
    etcd_client *client;
    struct probe probes[PROBES_MAX];
    size_t n_probes;
    uint64_t fault;
    _Atomic uint64_t elected;
};

struct figures {
    double done[ROUNDS_MAX]; /* when the fault had been brought about: the process was gone */
    double first[ROUNDS_MAX], last[ROUNDS_MAX], election[ROUNDS_MAX];
};

static void pause_ms(int ms)
{
    struct timespec wait = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

    nanosleep(&wait, NULL);
}

static double ms_since(uint64_t from, uint64_t to)
{
    return to > from ? (double)(to - from) / 1e6 : 0;
}

/* ---- calls ---- */

static void on_get(etcd_client *client, etcd_get_response *response, const etcd_error *err, void *arg)
{
    struct probe *probe = arg;

    (void)client;
    etcd_response_free(response);
    probe->code = err != NULL ? err->code : ETCD_OK;
    atomic_store(&probe->ended, bench_now());
}

static void start_read(struct bench *bench)
{
    struct probe *probe = &bench->probes[bench->n_probes++];
    etcd_error err;

    if (bench->n_probes > PROBES_MAX)
        bench_die("nothing succeeds");
    *probe = (struct probe){0};
    if (etcd_get_async(bench->client, ETCD_STR("key"), NULL, on_get, probe, NULL, &err) < 0)
        bench_die("get: %s", err.message);
}

static bool all_ended(struct bench *bench, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        if (atomic_load(&bench->probes[i].ended) == 0)
            return false;
    return true;
}

static bool one_succeeded(struct bench *bench, size_t from)
{
    for (size_t i = from; i < bench->n_probes; i++)
        if (atomic_load(&bench->probes[i].ended) != 0 && bench->probes[i].code == ETCD_OK)
            return true;
    return false;
}

static void await_ready(struct bench *bench)
{
    uint64_t begin = bench_now();
    etcd_error err;

    for (size_t ready = 0; ready < MEMBERS; pause_ms(2)) {
        etcd_endpoints_response *all;

        if (etcd_client_endpoints(bench->client, &all, &err) < 0)
            bench_die("endpoints: %s", err.message);
        ready = 0;
        for (size_t i = 0; i < all->n_endpoints; i++)
            ready += all->endpoints[i].state == ETCD_ENDPOINT_READY && all->endpoints[i].healthy;
        etcd_response_free(all);
        if (ms_since(begin, bench_now()) > PATIENCE_MS)
            bench_die("a member does not come back");
    }
}

static void connect_all(struct bench *bench)
{
    const etcd_tls_options *tls = bench->directory ? ETCD_TLS(.ca_file = bench->ca_file) : NULL;
    etcd_error err;

    if (etcd_client_new(ETCD_CLIENT(.endpoints = bench->endpoints, .tls = tls, .request_timeout_ms = PATIENCE_MS,
                                    .backoff_base_ms = 20, .backoff_max_ms = 200),
                        &bench->client, &err) < 0 ||
        etcd_put(bench->client, ETCD_STR("key"), ETCD_STR("value"), NULL, NULL, &err) < 0)
        bench_die("%s", err.message);
    await_ready(bench);
}

/* ---- faults ---- */

struct fault {
    const char *name;
    bool leader;
    void (*begin)(struct bench *bench, int member);
    void (*end)(struct bench *bench, int member);
    double target_ms; /* of the last; of the first past the election where the leader dies */
};

static void signal_member(struct bench *bench, int member, int number)
{
    if (etcd_server_signal(bench->server, member, number) < 0)
        bench_die("cannot signal member %d", member);
}

static void kill_member(struct bench *bench, int member)
{
    signal_member(bench, member, SIGKILL);
}

static void restart(struct bench *bench, int member)
{
    if (etcd_server_restart(bench->server, member) < 0 || etcd_server_await_healthy(bench->server, member, PATIENCE_MS) < 0)
        bench_die("member %d does not come back", member);
}

static void stop_member(struct bench *bench, int member)
{
    signal_member(bench, member, SIGSTOP);
}

static void cont_member(struct bench *bench, int member)
{
    signal_member(bench, member, SIGCONT);
}

static void cut_off(struct bench *bench, int member)
{
    fault_proxy_hold(bench->proxies[member], FAULT_BOTH);
}

static void connect_again(struct bench *bench, int member)
{
    fault_proxy_resume(bench->proxies[member]);
}

static void reset(struct bench *bench, int member)
{
    fault_proxy_reset(bench->proxies[member]);
}

static void nothing(struct bench *bench, int member)
{
    (void)bench;
    (void)member;
}

static const struct fault faults[] = {
    {"connection reset", false, reset, nothing, 20},           {"follower killed", false, kill_member, restart, 20},
    {"leader killed", true, kill_member, restart, 100},        {"follower hangs", false, stop_member, cont_member, 2050},
    {"follower cut off", false, cut_off, connect_again, 2050},
};

/* ---- rounds ---- */

static void *await_election(void *arg)
{
    struct bench *bench = arg;

    if (etcd_server_leader(bench->server, PATIENCE_MS) < 0)
        bench_die("no new leader");
    atomic_store(&bench->elected, bench_now());
    return NULL;
}

static void measure(struct bench *bench, size_t from, double *first, double *last)
{
    uint64_t earliest = UINT64_MAX, latest = 0;

    for (size_t i = 0; i < bench->n_probes; i++) {
        uint64_t ended = atomic_load(&bench->probes[i].ended);

        if (bench->probes[i].code != ETCD_OK)
            bench_die("a read failed: %s", etcd_error_name(bench->probes[i].code));
        if (i < from && ended > latest)
            latest = ended;
        if (i >= from && ended != 0 && ended < earliest)
            earliest = ended;
    }
    *first = ms_since(bench->fault, earliest);
    *last = ms_since(bench->fault, latest);
}

static void run_round(struct bench *bench, const struct fault *fault, struct figures *figures, int round)
{
    int leader = etcd_server_leader(bench->server, PATIENCE_MS), member = fault->leader ? leader : (leader + 1) % MEMBERS;
    bool dies = fault->leader;
    pthread_t election;
    size_t from;

    if (leader < 0)
        bench_die("no leader");
    connect_all(bench);
    bench->n_probes = 0;
    atomic_store(&bench->elected, 0);
    for (int i = 0; i < UNDER_WAY; i++)
        start_read(bench);
    bench->fault = bench_now();
    fault->begin(bench, member);
    figures->done[round] = ms_since(bench->fault, bench_now());
    for (int i = 0; i < MEMBERS; i++)
        start_read(bench); /* one for each member: what comes next is sent there, too */
    from = bench->n_probes;
    if (dies && pthread_create(&election, NULL, await_election, bench) != 0)
        bench_die("pthread_create");
    while (!all_ended(bench, 0, from) || !one_succeeded(bench, from)) {
        start_read(bench);
        pause_ms(PROBE_MS);
    }
    if (dies)
        pthread_join(election, NULL);
    fault->end(bench, member);
    while (!all_ended(bench, 0, bench->n_probes))
        pause_ms(1);
    etcd_client_free(bench->client);
    measure(bench, from, &figures->first[round], &figures->last[round]);
    figures->election[round] = dies ? ms_since(bench->fault, atomic_load(&bench->elected)) : 0;
}

static int compare(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* Sorts the values. */
static void print_values(const char *name, double *values, int n)
{
    qsort(values, (size_t)n, sizeof *values, compare);
    printf(", \"%s_median_ms\": %.1f, \"%s_worst_ms\": %.1f", name, values[n / 2], name, values[n - 1]);
}

static void run_fault(struct bench *bench, const struct fault *fault, int rounds)
{
    struct figures figures;
    double past[ROUNDS_MAX], worst;

    for (int i = 0; i < rounds; i++) {
        run_round(bench, fault, &figures, i);
        past[i] = figures.first[i] > figures.election[i] ? figures.first[i] - figures.election[i] : 0;
    }
    printf("{\"fault\": \"%s\", \"tls\": %s, \"rounds\": %d", fault->name, bench->directory ? "true" : "false", rounds);
    print_values("fault_done", figures.done, rounds);
    print_values("first", figures.first, rounds);
    print_values("last", figures.last, rounds);
    if (fault->leader) {
        print_values("election", figures.election, rounds);
        print_values("first_past_election", past, rounds);
    }
    worst = fault->leader ? past[rounds - 1] : figures.last[rounds - 1];
    printf(", \"target_ms\": %.0f, \"met\": %s}\n", fault->target_ms, worst <= fault->target_ms ? "true" : "false");
    fflush(stdout);
}

/* ---- the cluster ---- */

static void make_certificates(struct bench *bench)
{
    etcd_test_cert ca = etcd_test_cert_new(&(const etcd_test_cert_spec){.cn = "bench CA", .ca = true});
    etcd_test_cert cert = etcd_test_cert_new(
        &(const etcd_test_cert_spec){.cn = "etcd", .sans = "IP:127.0.0.1", .eku = "serverAuth,clientAuth", .issuer = &ca});

    bench->directory = etcd_test_directory_new();
    bench->ca_file = etcd_test_file(bench->directory, "ca.pem", etcd_test_pem(&ca));
    bench->cert_file = etcd_test_file(bench->directory, "server.pem", etcd_test_pem(&cert));
    bench->key_file = etcd_test_file(bench->directory, "server.key", etcd_test_pem_key(&cert, NULL));
    etcd_test_cert_free(&ca);
    etcd_test_cert_free(&cert);
}

static void open_bench(struct bench *bench)
{
    struct etcd_server_options options = {.members = MEMBERS, .cert_file = bench->cert_file, .key_file = bench->key_file};
    size_t used = 0;

    bench->server = etcd_server_start(&options);
    if (bench->server == NULL)
        bench_die("the cluster did not start");
    for (int i = 0; i < MEMBERS; i++) {
        bench->proxies[i] = fault_proxy_start(etcd_server_endpoint(bench->server, i));
        used += (size_t)snprintf(bench->endpoints + used, sizeof bench->endpoints - used, "%s%s", i > 0 ? "," : "",
                                 fault_proxy_endpoint(bench->proxies[i]));
    }
}

static void close_bench(struct bench *bench)
{
    for (int i = 0; i < MEMBERS; i++)
        fault_proxy_stop(bench->proxies[i]);
    etcd_server_stop(bench->server);
    if (bench->directory == NULL)
        return;
    free(bench->ca_file);
    free(bench->cert_file);
    free(bench->key_file);
    etcd_test_directory_free(bench->directory);
}

int main(int argc, char **argv)
{
    static struct bench bench;
    int rounds = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 5;

    if (rounds < 1 || rounds > ROUNDS_MAX || (argc > 2 && strcmp(argv[2], "plain") != 0 && strcmp(argv[2], "tls") != 0))
        bench_die("usage: bench_failover [rounds, 1 to %d [plain|tls]]", ROUNDS_MAX);
    if (argc > 2 && strcmp(argv[2], "tls") == 0)
        make_certificates(&bench);
    open_bench(&bench);
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
        run_fault(&bench, &faults[i], rounds);
    close_bench(&bench);
    return 0;
}
