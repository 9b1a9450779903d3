/* Watches while the way to the server breaks: each sees the server's history once, in order, complete, and unsplit (P4), within
 * bounded memory (P5).
 *
 *     ETCD3_EVENTS       events of the backlog with cuts (default 20,000; 1,000,000 in the long run)
 *     ETCD3_DISCONNECTS  cuts (default 30; 1,000)
 *     ETCD3_STALL_MIB    what a stalled consumer is behind (default 48; 1,024) */
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/fault_proxy.h"
#include "watching.h"

static int64_t from_environment(const char *name, int64_t otherwise)
{
    const char *text = getenv(name);

    return text ? strtoll(text, NULL, 10) : otherwise;
}

static etcd_client *through(const fault_proxy *proxy)
{
    return real_client_with(ETCD_CLIENT(.endpoints = fault_proxy_endpoint(proxy), .backoff_base_ms = 1, .backoff_max_ms = 5));
}

/* One revision that changes several keys. */
static void write_keys(etcd_client *client, struct history *history, unsigned keys, size_t value_len)
{
    static char value[128 * 1024];
    etcd_txn *txn = etcd_txn_new(client);
    etcd_txn_response *response;
    char key[32];
    etcd_error err;

    memset(value, 'v', sizeof value);
    assert_true(value_len <= sizeof value);
    for (unsigned i = 0; i < keys; i++) {
        (void)snprintf(key, sizeof key, "w/%03u", i);
        etcd_txn_put(txn, ETCD_STR(key), value, value_len, NULL);
    }
    assert_ok(etcd_txn_commit(txn, NULL, &response, &err), &err);
    history_add(history, response->header.revision, keys);
    etcd_response_free(response);
    etcd_txn_free(txn);
}

/* A server of its own, whose responses are cut into fragments early. */
static struct etcd_server *server_with(const char *const *flags, int members)
{
    struct etcd_server *server = etcd_server_start(&(struct etcd_server_options){.flags = flags, .members = members});

    if (server == NULL)
        fail_msg("etcd did not start");
    return server;
}

static etcd_client *client_of(const struct etcd_server *server)
{
    return real_client_with(ETCD_CLIENT(.endpoints = etcd_server_endpoints(server), .request_timeout_ms = 30000,
                                        .backoff_base_ms = 20, .backoff_max_ms = 100));
}

/* ---- cuts ---- */

/* Where connection `i` is cut: within the first bytes, within a response, within its second fragment. */
static uint64_t cut_at(uint64_t i)
{
    return i % 6 == 5 ? 590000 + i * 37813 % 600000 : 200 + i * 4327 % 260000;
}

/* In portions, for a server reads all that is behind a watch anew each time it is taken up. */
static void cuts_in_a_backlog(void **state)
{
    enum { PORTION = 20000, KEYS = 20 };
    static const char *const flags[] = {"--max-request-bytes=65536", NULL}; /* fragments of half a megabyte */
    int64_t events = from_environment("ETCD3_EVENTS", PORTION), cuts = from_environment("ETCD3_DISCONNECTS", 30);
    int64_t portions = (events + PORTION - 1) / PORTION, armed = 0;
    struct etcd_server *server = server_with(flags, 1);
    etcd_client *writer = client_of(server), *client;
    fault_proxy *proxy = fault_proxy_start(etcd_server_endpoint(server, 0));
    struct history history = {0};
    etcd_watch_stats stats = {.size = sizeof stats};
    etcd_watch *watch;
    etcd_error err;

    (void)state;
    client = through(proxy);
    watch = watching_open(client, "w/", ETCD_WATCH(.prefix = true, .start_revision = 1, .buffer_bytes = 4 << 20));
    for (int64_t i = 1; i <= portions; i++) {
        fault_proxy_refuse(proxy);
        fault_proxy_reset(proxy);
        for (int64_t n = 0; n < PORTION; n += KEYS)
            write_keys(writer, &history, KEYS, portions > 5 ? 200 : 1000);
        for (; armed < cuts * i / portions; armed++)
            fault_proxy_cut_next(proxy, FAULT_DOWN, cut_at((uint64_t)armed));
        fault_proxy_resume(proxy);
        assert_int_equal(history_await(&history, watch), PORTION);
    }
    assert_ok(etcd_watch_get_stats(watch, &stats, &err), &err);
    print_message("%lld events, %lld responses, %zu connections, %lld resumes, %lld stalls\n", (long long)stats.events,
                  (long long)stats.responses, fault_proxy_count(proxy), (long long)stats.resumes, (long long)stats.stalls);
    assert_true(fault_proxy_count(proxy) > 5);
    etcd_watch_free(watch);
    etcd_client_free(client);
    etcd_client_free(writer);
    fault_proxy_stop(proxy);
    etcd_server_stop(server);
    history_free(&history);
}

/* A published client delivers none of them. */
static void a_backlog_of_2501_events_cut_after_60_kB(void **state)
{
    etcd_client *writer = real_client(), *client;
    fault_proxy *proxy = fault_proxy_start(etcd_server_endpoint(real_server(), 0));
    struct history history = {0};
    etcd_watch *watch;

    (void)state;
    for (int i = 0; i < 2501; i++)
        write_keys(writer, &history, 1, 100);
    fault_proxy_cut_next(proxy, FAULT_DOWN, 60000);
    client = through(proxy);
    watch = watching_open(client, "w/", ETCD_WATCH(.prefix = true, .start_revision = history.entries[0].revision));
    assert_int_equal(history_await(&history, watch), 2501);
    assert_true(fault_proxy_count(proxy) >= 2);
    etcd_watch_free(watch);
    etcd_client_free(client);
    etcd_client_free(writer);
    fault_proxy_stop(proxy);
    history_free(&history);
}

static void resets_while_events_come(void **state)
{
    etcd_client *writer = real_client();
    fault_proxy *proxy = fault_proxy_start(etcd_server_endpoint(real_server(), 0));
    etcd_client *client = through(proxy);
    struct history history = {0};
    etcd_watch *watch = watching_open(client, "w/", ETCD_WATCH(.prefix = true, .created_notify = true));
    etcd_watch_response *response;
    etcd_error err;

    (void)state;
    etcd_response_free(watching_next(watch, ETCD_WATCH_CREATED));
    for (int i = 0; i < 600; i++) {
        write_keys(writer, &history, 1 + (unsigned)i % 5, 50);
        if (i % 15 == 0)
            fault_proxy_reset(proxy);
        while (etcd_watch_next(watch, 0, &response, &err) == ETCD_OK)
            history_check(&history, response);
    }
    (void)history_await(&history, watch);
    etcd_watch_free(watch);
    etcd_client_free(client);
    etcd_client_free(writer);
    fault_proxy_stop(proxy);
    history_free(&history);
}

static void breaks_are_reported(void **state)
{
    etcd_client *writer = real_client();
    fault_proxy *proxy = fault_proxy_start(etcd_server_endpoint(real_server(), 0));
    etcd_client *client = through(proxy);
    etcd_watch *watch = watching_open(client, "key", ETCD_WATCH(.created_notify = true, .report_connection = true));
    etcd_watch_response *response;
    int64_t put;

    (void)state;
    etcd_response_free(watching_next(watch, ETCD_WATCH_CREATED));
    put = real_put(writer, "key", "1");
    etcd_response_free(watching_next(watch, ETCD_WATCH_EVENTS));
    fault_proxy_refuse(proxy);
    fault_proxy_reset(proxy);
    response = watching_next(watch, ETCD_WATCH_DISCONNECTED);
    assert_true(response->reason.len > 0);
    etcd_response_free(response);
    real_put(writer, "key", "2");
    real_put(writer, "key", "3");
    fault_proxy_resume(proxy);
    response = watching_next(watch, ETCD_WATCH_RESUMED);
    assert_int_equal(response->revision, put + 1);
    etcd_response_free(response);
    response = watching_next(watch, ETCD_WATCH_EVENTS);
    assert_int_equal(response->events[0].kv->mod_revision, put + 1);
    etcd_response_free(response);
    etcd_watch_free(watch);
    etcd_client_free(client);
    etcd_client_free(writer);
    fault_proxy_stop(proxy);
}

/* ---- slow consumers ---- */

static atomic_size_t live_bytes, most_bytes;

static void *count_in(void *memory)
{
    size_t now;

    if (memory == NULL)
        return NULL;
    now = atomic_fetch_add(&live_bytes, malloc_usable_size(memory)) + malloc_usable_size(memory);
    if (now > atomic_load(&most_bytes))
        atomic_store(&most_bytes, now);
    return memory;
}

static void count_out(void *memory)
{
    if (memory != NULL)
        atomic_fetch_sub(&live_bytes, malloc_usable_size(memory));
}

static void *counting_malloc(size_t size, void *arg)
{
    (void)arg;
    return count_in(malloc(size));
}

static void *counting_calloc(size_t count, size_t size, void *arg)
{
    (void)arg;
    return count_in(calloc(count, size));
}

static void *counting_realloc(void *memory, size_t size, void *arg)
{
    size_t before = memory ? malloc_usable_size(memory) : 0;
    void *grown = realloc(memory, size);

    (void)arg;
    if (grown != NULL)
        atomic_fetch_sub(&live_bytes, before);
    return count_in(grown);
}

static void counting_free(void *memory, void *arg)
{
    (void)arg;
    count_out(memory);
    free(memory);
}

/* A consumer sleeps while its watch has far more to say than fits; another one on the same stream goes on meanwhile. */
static void a_stalled_consumer_costs_its_buffer_only(void **state)
{
    static const char *const flags[] = {"--quota-backend-bytes=8589934592", NULL};
    static const etcd_allocator counting = {counting_malloc, counting_calloc, counting_realloc, counting_free, NULL};
    int64_t revisions = from_environment("ETCD3_STALL_MIB", 48) * 8;
    struct etcd_server *server = server_with(flags, 1);
    etcd_client *writer, *client;
    struct history stalled = {0}, lively = {0};
    etcd_watch_stats stats = {.size = sizeof stats};
    etcd_watch *sleeper, *other;
    size_t before;
    etcd_error err;

    (void)state;
    assert_int_equal(etcd_set_allocator(&counting), ETCD_OK);
    writer = client_of(server);
    client = client_of(server);
    sleeper = watching_open(client, "w/", ETCD_WATCH(.prefix = true, .created_notify = true));
    other = watching_open(client, "other", ETCD_WATCH(.created_notify = true));
    etcd_response_free(watching_next(sleeper, ETCD_WATCH_CREATED));
    etcd_response_free(watching_next(other, ETCD_WATCH_CREATED));
    before = atomic_load(&live_bytes);
    atomic_store(&most_bytes, before);
    for (int64_t i = 0; i < revisions; i++) {
        write_keys(writer, &stalled, 1, 128 * 1024);
        if (i % 8 != 0)
            continue;
        history_add(&lively, real_put(writer, "other", "x"), 1);
        assert_int_equal(history_await(&lively, other), 1);
    }
    assert_ok(etcd_watch_get_stats(sleeper, &stats, &err), &err);
    print_message("at most %zu bytes more; %lld buffered after %lld stalls\n", atomic_load(&most_bytes) - before,
                  (long long)stats.buffered_bytes, (long long)stats.stalls);
    assert_true(stats.stalls >= 1);
    assert_in_range(stats.buffered_bytes, 1, 2 * 1024 * 1024);
    assert_true(atomic_load(&most_bytes) - before <= 16 * 1024 * 1024);
    assert_int_equal(history_await(&stalled, sleeper), revisions);
    assert_true(atomic_load(&most_bytes) - before <= 16 * 1024 * 1024);
    etcd_watch_free(sleeper);
    etcd_watch_free(other);
    etcd_client_free(client);
    etcd_client_free(writer);
    assert_int_equal(atomic_load(&live_bytes), 0);
    etcd_server_stop(server);
    history_free(&stalled);
    history_free(&lively);
}

/* ---- members ---- */

/* Puts keys that are new each, one after the other, until told to stop; errors are no matter. */
struct writer {
    pthread_t thread;
    etcd_client *client;
    atomic_bool stop;
    atomic_int done;
};

static void *write_on(void *arg)
{
    struct writer *writer = arg;
    char key[32];

    for (int i = 0; !atomic_load(&writer->stop); i++) {
        (void)snprintf(key, sizeof key, "w/%08d", i);
        if (etcd_put(writer->client, ETCD_STR(key), ETCD_STR("x"), ETCD_PUT(.call = ETCD_CALL(.timeout_ms = 2000)), NULL, NULL) ==
            ETCD_OK)
            atomic_fetch_add(&writer->done, 1);
    }
    return NULL;
}

static void await_writes(struct writer *writer, int n)
{
    int from = atomic_load(&writer->done);
    int64_t until = real_now_ms() + 60000;

    while (atomic_load(&writer->done) < from + n) {
        assert_true(real_now_ms() < until);
        real_sleep_ms(5);
    }
}

struct cluster {
    struct etcd_server *server;
    etcd_client *client;
    etcd_watch *watches[3];
    struct writer writer;
};

static void open_cluster(struct cluster *c)
{
    memset(c, 0, sizeof *c);
    c->server = server_with(NULL, 3);
    c->client = client_of(c->server);
    for (int i = 0; i < 3; i++) {
        c->watches[i] =
            watching_open(c->client, "w/",
                          ETCD_WATCH(.prefix = true, .created_notify = true, .require_leader = i == 1, .buffer_bytes = 16 << 20));
        etcd_response_free(watching_next(c->watches[i], ETCD_WATCH_CREATED));
    }
    c->writer.client = c->client;
    assert_int_equal(pthread_create(&c->writer.thread, NULL, write_on, &c->writer), 0);
    await_writes(&c->writer, 50);
}

/* Each watch has seen what the store has. */
static void close_cluster(struct cluster *c)
{
    struct history history = {0};

    atomic_store(&c->writer.stop, true);
    pthread_join(c->writer.thread, NULL);
    history_read(&history, c->client, "w/");
    for (int i = 0; i < 3; i++) {
        history.checked = 0;
        assert_int_equal(history_await(&history, c->watches[i]), history.n);
        etcd_watch_free(c->watches[i]);
    }
    etcd_client_free(c->client);
    etcd_server_stop(c->server);
    history_free(&history);
}

static void members_die_one_after_the_other(void **state)
{
    struct cluster c;

    (void)state;
    open_cluster(&c);
    for (int i = 0; i < 3; i++) {
        etcd_server_signal(c.server, i, SIGKILL);
        await_writes(&c.writer, 20);
        assert_int_equal(etcd_server_restart(c.server, i), 0);
        assert_int_equal(etcd_server_await_healthy(c.server, i, 60000), 0);
        await_writes(&c.writer, 20);
    }
    close_cluster(&c);
}

static void a_member_hangs(void **state)
{
    struct cluster c;

    (void)state;
    open_cluster(&c);
    for (int i = 0; i < 2; i++) {
        etcd_server_signal(c.server, i, SIGSTOP);
        await_writes(&c.writer, 20);
        etcd_server_signal(c.server, i, SIGCONT);
        assert_int_equal(etcd_server_await_healthy(c.server, -1, 60000), 0);
        await_writes(&c.writer, 20);
    }
    close_cluster(&c);
}

static void the_leader_moves(void **state)
{
    struct cluster c;

    (void)state;
    open_cluster(&c);
    for (int i = 0; i < 4; i++) {
        int leader = etcd_server_leader(c.server, 60000);
        etcd_member_list_response *members;
        etcd_status_response *status;
        uint64_t to = 0;
        etcd_error err;

        assert_true(leader >= 0);
        assert_ok(etcd_status(c.client, etcd_server_endpoint(c.server, leader), NULL, &status, &err), &err);
        assert_ok(etcd_member_list(c.client, NULL, &members, &err), &err);
        for (size_t k = 0; k < members->n_members; k++)
            if (members->members[k].id != status->leader)
                to = members->members[k].id;
        (void)etcd_move_leader(c.client, to, ETCD_CALL(.endpoint = etcd_server_endpoint(c.server, leader)), NULL,
                               &err); /* or it has moved */
        etcd_response_free(members);
        etcd_response_free(status);
        await_writes(&c.writer, 20);
    }
    close_cluster(&c);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cuts_in_a_backlog),
        cmocka_unit_test(a_backlog_of_2501_events_cut_after_60_kB),
        cmocka_unit_test(resets_while_events_come),
        cmocka_unit_test(breaks_are_reported),
        cmocka_unit_test(a_stalled_consumer_costs_its_buffer_only),
        cmocka_unit_test(members_die_one_after_the_other),
        cmocka_unit_test(a_member_hangs),
        cmocka_unit_test(the_leader_moves),
    };

    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
