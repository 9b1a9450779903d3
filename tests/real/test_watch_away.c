/* Watches that were away while the server's history changed: compacted beyond where they are, or taken back to a backup; members
 * without a leader; and how far a watch is when nothing happens. What was lost is told, and nothing else is lost (P4). */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/fault_proxy.h"
#include "watching.h"

enum { PATIENCE_MS = 60000, KEYS = 200, VALUE = 1024 };

static etcd_client *client_at(const char *endpoints)
{
    return real_client_with(
        ETCD_CLIENT(.endpoints = endpoints, .request_timeout_ms = PATIENCE_MS, .backoff_base_ms = 20, .backoff_max_ms = 100));
}

static struct etcd_server *server_with(const struct etcd_server_options *options)
{
    struct etcd_server *server = etcd_server_start(options);

    if (server == NULL)
        fail_msg("etcd did not start");
    return server;
}

static void compact(etcd_client *client, int64_t revision)
{
    etcd_error err;

    assert_ok(etcd_compact(client, revision, NULL, NULL, &err), &err);
}

static etcd_watch_stats figures(etcd_watch *watch)
{
    etcd_watch_stats stats = {.size = sizeof stats};
    etcd_error err;

    assert_ok(etcd_watch_get_stats(watch, &stats, &err), &err);
    return stats;
}

/* Waits for a figure of a watch that nobody takes from. */
static void await_figure(etcd_watch *watch, bool (*is_there)(etcd_watch *watch))
{
    int64_t until = real_now_ms() + PATIENCE_MS;

    while (!is_there(watch)) {
        assert_true(real_now_ms() < until);
        real_sleep_ms(2);
    }
}

/* Takes responses up to one of this type. */
static etcd_watch_response *take_until(etcd_watch *watch, int type)
{
    etcd_watch_response *response;
    etcd_error err;

    for (;;) {
        assert_ok(etcd_watch_next(watch, PATIENCE_MS, &response, &err), &err);
        if (response->type == type)
            return response;
        assert_int_not_equal(response->type, ETCD_WATCH_EVENTS);
        etcd_response_free(response);
    }
}

/* ---- what is rebuilt from a watch ---- */

/* The keys "k/000", "k/001", ... as a watch tells of them. */
struct copy {
    struct copy_entry {
        int64_t mod_revision; /* 0: there is none */
        unsigned value;
    } entries[KEYS];
    int64_t revision;
    bool listing;
    int gaps;
    int64_t compacted, gap_revision; /* of the last gap */
};

static struct copy_entry *entry_of(struct copy *copy, etcd_bytes key)
{
    unsigned long i;

    assert_true(key.len == 5 && memcmp(key.data, "k/", 2) == 0);
    i = strtoul(key.data + 2, NULL, 10);
    assert_true(i < KEYS);
    return &copy->entries[i];
}

static void copy_kv(struct copy *copy, const etcd_kv *kv)
{
    *entry_of(copy, kv->key) = (struct copy_entry){kv->mod_revision, (unsigned)strtoul(kv->value.data, NULL, 10)};
}

static void copy_gap(struct copy *copy, const etcd_watch_response *response)
{
    assert_true(response->revision >= response->compact_revision);
    assert_true(response->revision > copy->revision); /* else nothing was lost */
    memset(copy->entries, 0, sizeof copy->entries);
    copy->revision = copy->gap_revision = response->revision;
    copy->compacted = response->compact_revision;
    copy->listing = true;
    copy->gaps++;
}

static void copy_list(struct copy *copy, const etcd_watch_response *response)
{
    assert_true(copy->listing);
    assert_int_equal(response->revision, copy->revision);
    for (size_t i = 0; i < response->n_kvs; i++) {
        assert_true(response->kvs[i].mod_revision <= copy->revision);
        copy_kv(copy, &response->kvs[i]);
    }
    copy->listing = response->more;
}

static void copy_events(struct copy *copy, const etcd_watch_response *response)
{
    assert_false(copy->listing);
    assert_true(response->events[0].kv->mod_revision > copy->revision);
    for (size_t i = 0; i < response->n_events; i++) {
        const etcd_event *event = &response->events[i];

        assert_true(event->kv->mod_revision >= copy->revision);
        copy->revision = event->kv->mod_revision;
        if (event->type == ETCD_EVENT_PUT)
            copy_kv(copy, event->kv);
        else
            entry_of(copy, event->kv->key)->mod_revision = 0;
    }
}

static void copy_take(struct copy *copy, etcd_watch_response *response)
{
    if (response->type == ETCD_WATCH_GAP)
        copy_gap(copy, response);
    else if (response->type == ETCD_WATCH_LISTED)
        copy_list(copy, response);
    else if (response->type == ETCD_WATCH_EVENTS)
        copy_events(copy, response);
    etcd_response_free(response);
}

/* Takes responses until the copy is as of a revision, which must be the last that changed a key, and is what the server has. */
static void copy_await(struct copy *copy, etcd_watch *watch, etcd_client *client, int64_t revision)
{
    etcd_watch_response *response;
    etcd_get_response *get;
    size_t n = 0;
    etcd_error err;

    while (copy->revision < revision || copy->listing) {
        assert_ok(etcd_watch_next(watch, PATIENCE_MS, &response, &err), &err);
        copy_take(copy, response);
    }
    assert_int_equal(copy->revision, revision);
    assert_int_equal(etcd_watch_position(watch), revision + 1);
    get = real_get(client, "k/", ETCD_GET(.prefix = true));
    assert_int_equal(get->header.revision, revision);
    for (size_t i = 0; i < KEYS; i++)
        n += copy->entries[i].mod_revision != 0;
    assert_int_equal(n, get->n_kvs);
    for (size_t i = 0; i < get->n_kvs; i++) {
        assert_int_equal(entry_of(copy, get->kvs[i].key)->mod_revision, get->kvs[i].mod_revision);
        assert_int_equal(entry_of(copy, get->kvs[i].key)->value, strtoul(get->kvs[i].value.data, NULL, 10));
    }
    etcd_response_free(get);
}

/* Changes keys one after the other: mostly puts. Returns the last revision. */
static int64_t change_keys(etcd_client *client, unsigned n)
{
    static unsigned changes;
    char key[16], value[VALUE + 1];
    int64_t revision = 0;

    memset(value, 'v', VALUE);
    value[VALUE] = '\0';
    for (unsigned i = 0; i < n; i++, changes++) {
        (void)snprintf(key, sizeof key, "k/%03u", changes * 7 % KEYS);
        value[snprintf(value, 16, "%u", changes)] = ' ';
        if (changes % 5 == 4)
            real_delete(client, key); /* none, and no revision, when it is not there */
        else
            revision = real_put(client, key, value);
    }
    (void)snprintf(key, sizeof key, "k/%03u", changes % KEYS);
    revision = real_put(client, key, "4711");
    return revision;
}

/* ---- compaction ---- */

/* A server behind a proxy, with somebody who writes past it. */
struct scene {
    fault_proxy *proxy;
    etcd_client *writer, *client;
};

static void open_scene(struct scene *scene)
{
    scene->writer = real_client();
    scene->proxy = fault_proxy_start(etcd_server_endpoint(real_server(), 0));
    scene->client = client_at(fault_proxy_endpoint(scene->proxy));
}

static void close_scene(struct scene *scene)
{
    etcd_client_free(scene->client);
    etcd_client_free(scene->writer);
    fault_proxy_stop(scene->proxy);
}

static void cut_off(struct scene *scene)
{
    fault_proxy_refuse(scene->proxy);
    fault_proxy_reset(scene->proxy);
}

static void a_compaction_while_cut_off_ends_a_watch(void **state)
{
    struct scene scene;
    etcd_watch *watch;
    int64_t seen, compacted;
    char text[96];

    (void)state;
    open_scene(&scene);
    watch = watching_open(scene.client, "key", ETCD_WATCH(.created_notify = true, .report_connection = true));
    etcd_response_free(watching_next(watch, ETCD_WATCH_CREATED));
    seen = real_put(scene.writer, "key", "1");
    etcd_response_free(watching_next(watch, ETCD_WATCH_EVENTS));
    cut_off(&scene);
    etcd_response_free(watching_next(watch, ETCD_WATCH_DISCONNECTED));
    real_put(scene.writer, "key", "lost");
    compacted = real_put(scene.writer, "key", "kept");
    compact(scene.writer, compacted);
    fault_proxy_resume(scene.proxy);
    (void)snprintf(text, sizeof text, "(the next one is %lld, compacted up to %lld)", (long long)seen + 1, (long long)compacted);
    watching_await_end(watch, ETCD_ERR_COMPACTED, text);
    assert_int_equal(etcd_watch_position(watch), seen + 1);
    etcd_watch_free(watch);
    close_scene(&scene);
}

static void a_listing_bridges_compactions_while_cut_off(void **state)
{
    enum { ROUNDS = 5 };
    static struct copy copy;
    struct scene scene;
    etcd_watch *watch;
    int64_t now, compacted;

    (void)state;
    open_scene(&scene);
    watch = watching_open(
        scene.client, "k/",
        ETCD_WATCH(.prefix = true, .relist = true, .report_connection = true, .created_notify = true, .buffer_bytes = 64 * 1024));
    etcd_response_free(watching_next(watch, ETCD_WATCH_CREATED));
    for (int i = 1; i <= ROUNDS; i++) {
        copy_await(&copy, watch, scene.writer, change_keys(scene.writer, 50));
        cut_off(&scene);
        compacted = change_keys(scene.writer, 50);
        now = i % 2 ? change_keys(scene.writer, 10) : compacted; /* what the server has still goes, too: the listing is later */
        compact(scene.writer, compacted);
        fault_proxy_resume(scene.proxy);
        if (i % 3 != 0)
            now = change_keys(scene.writer, 30); /* while it lists */
        copy_await(&copy, watch, scene.writer, now);
        assert_int_equal(copy.gaps, i);
        assert_int_equal(copy.compacted, compacted);
        assert_true(copy.gap_revision >= compacted);
    }
    copy_await(&copy, watch, scene.writer, change_keys(scene.writer, 50));
    assert_int_equal(copy.gaps, ROUNDS);
    etcd_watch_free(watch);
    close_scene(&scene);
}

static bool is_stalled(etcd_watch *watch)
{
    return figures(watch).stalls > 0;
}

/* Its consumer takes nothing, the watch is canceled at the server, and what comes next is compacted. */
static void a_compaction_while_the_consumer_sleeps(void **state)
{
    static struct copy copy;
    etcd_client *writer = real_client(), *client = real_client_with(ETCD_CLIENT());
    etcd_watch *strict = watching_open(client, "k/", ETCD_WATCH(.prefix = true, .created_notify = true, .buffer_bytes = 16384));
    etcd_watch *listing =
        watching_open(client, "k/", ETCD_WATCH(.prefix = true, .created_notify = true, .buffer_bytes = 16384, .relist = true));
    etcd_watch_response *response;
    struct history history = {0};
    int64_t now, first = 0;
    char text[64];
    etcd_error err;
    int rc;

    (void)state;
    etcd_response_free(watching_next(strict, ETCD_WATCH_CREATED));
    etcd_response_free(watching_next(listing, ETCD_WATCH_CREATED));
    for (unsigned i = 0; i < KEYS; i++) { /* no deletes: its history is read from the server */
        char key[16], value[VALUE] = {0};

        (void)snprintf(key, sizeof key, "k/%03u", i);
        memset(value, '1', 8);
        memset(value + 8, ' ', VALUE - 9);
        now = real_put(writer, key, value);
        first = first ? first : now;
        history_add(&history, now, 1);
    }
    await_figure(strict, is_stalled);
    await_figure(listing, is_stalled);
    now = change_keys(writer, 30);
    compact(writer, now);
    while ((rc = etcd_watch_next(strict, PATIENCE_MS, &response, &err)) == ETCD_OK)
        history_check(&history, response);
    assert_true(history.checked > 0);
    (void)snprintf(text, sizeof text, "compacted up to %lld", (long long)now);
    assert_error(rc, &err, ETCD_ERR_COMPACTED, text);
    assert_int_equal(etcd_watch_position(strict), first + (int64_t)history.checked);
    copy_await(&copy, listing, writer, now);
    assert_int_equal(copy.gaps, 1);
    assert_int_equal(copy.compacted, now);
    copy_await(&copy, listing, writer, change_keys(writer, 30));
    etcd_watch_free(strict);
    etcd_watch_free(listing);
    etcd_client_free(client);
    etcd_client_free(writer);
    history_free(&history);
}

static bool is_filled(etcd_watch *watch)
{
    return figures(watch).buffered_bytes > 16384;
}

/* Between its pages: another gap, and it starts again. */
static void a_compaction_during_the_listing(void **state)
{
    static struct copy copy;
    etcd_client *writer = real_client(), *client = real_client_with(ETCD_CLIENT());
    int64_t first, now;
    etcd_watch *watch;

    (void)state;
    first = change_keys(writer, KEYS);
    compact(writer, change_keys(writer, 2));
    watch =
        watching_open(client, "k/", ETCD_WATCH(.prefix = true, .start_revision = first, .buffer_bytes = 16384, .relist = true));
    await_figure(watch, is_filled); /* with the first page; there is more */
    now = change_keys(writer, 20);
    compact(writer, now);
    copy_await(&copy, watch, writer, now);
    assert_int_equal(copy.gaps, 2);
    copy_await(&copy, watch, writer, change_keys(writer, 20));
    etcd_watch_free(watch);
    etcd_client_free(client);
    etcd_client_free(writer);
}

/* ---- a cluster that was restored ---- */

/* When this returns the client has a connection to it: what it writes is not lost with the one before. */
static void start_again(struct etcd_server *server, etcd_client *client)
{
    assert_int_equal(etcd_server_restart(server, 0), 0);
    assert_int_equal(etcd_server_await_healthy(server, 0, PATIENCE_MS), 0);
    etcd_response_free(real_get(client, "key", NULL));
}

static void stop(struct etcd_server *server)
{
    assert_int_equal(etcd_server_signal(server, 0, SIGKILL), 0);
}

static int64_t put_some(etcd_client *client, const char *key, int n)
{
    int64_t revision = 0;

    for (int i = 0; i < n; i++)
        revision = real_put(client, key, "value");
    return revision;
}

static void await_created(etcd_watch *watch)
{
    etcd_response_free(watching_next(watch, ETCD_WATCH_CREATED));
}

static void a_restored_cluster_ends_watches(void **state)
{
    struct etcd_server *server = server_with(NULL);
    etcd_client *client = client_at(etcd_server_endpoints(server));
    etcd_watch *busy, *idle, *listing, *future;
    int64_t saved, before, last;
    etcd_watch_response *response;
    char text[96];

    (void)state;
    saved = put_some(client, "key", 5);
    stop(server);
    assert_int_equal(etcd_server_save(server, 0), 0);
    start_again(server, client);
    before = put_some(client, "key", 5);
    busy = watching_open(client, "key", ETCD_WATCH(.created_notify = true));
    idle = watching_open(client, "idle", ETCD_WATCH(.created_notify = true));
    listing = watching_open(client, "idle", ETCD_WATCH(.created_notify = true, .relist = true, .require_leader = true));
    future = watching_open(client, "key", ETCD_WATCH(.created_notify = true, .start_revision = before + 100));
    await_created(busy);
    await_created(idle);
    await_created(listing);
    await_created(future);
    last = real_put(client, "key", "seen");
    etcd_response_free(watching_next(busy, ETCD_WATCH_EVENTS));
    stop(server);
    assert_int_equal(etcd_server_restore(server, 0), 0);
    start_again(server, client);
    (void)snprintf(text, sizeof text, "it was %lld and is %lld now", (long long)last, (long long)saved);
    watching_await_end(busy, ETCD_ERR_WATCH_ROLLED_BACK, text);
    (void)snprintf(text, sizeof text, "it was %lld and is %lld now", (long long)before, (long long)saved);
    watching_await_end(idle, ETCD_ERR_WATCH_ROLLED_BACK, text);
    watching_await_end(listing, ETCD_ERR_WATCH_ROLLED_BACK, text);
    watching_await_end(future, ETCD_ERR_WATCH_ROLLED_BACK, text);
    etcd_watch_free(busy);
    etcd_watch_free(future);
    /* The program begins anew, and may ask for what the cluster has had before. */
    busy = watching_open(client, "key", ETCD_WATCH(.created_notify = true));
    future = watching_open(client, "key", ETCD_WATCH(.created_notify = true, .start_revision = before));
    response = watching_next(busy, ETCD_WATCH_CREATED);
    assert_int_equal(response->revision, saved + 1);
    etcd_response_free(response);
    await_created(future);
    assert_int_equal(put_some(client, "key", 5), before);
    response = watching_next(future, ETCD_WATCH_EVENTS);
    assert_int_equal(response->events[0].kv->mod_revision, before);
    etcd_response_free(response);
    response = watching_next(busy, ETCD_WATCH_EVENTS);
    assert_int_equal(response->events[0].kv->mod_revision, saved + 1);
    etcd_response_free(response);
    etcd_watch_free(busy);
    etcd_watch_free(idle);
    etcd_watch_free(listing);
    etcd_watch_free(future);
    etcd_client_free(client);
    etcd_server_stop(server);
}

/* The same without another copy: all goes on, also what is wanted from a revision on that is far away. */
static void a_restarted_server_is_not_a_restored_one(void **state)
{
    enum { AHEAD = 8 };
    struct etcd_server *server = server_with(NULL);
    etcd_client *client = client_at(etcd_server_endpoints(server));
    struct history history = {0}, later = {0};
    etcd_watch *watch, *idle, *future;
    etcd_watch_response *response;
    int64_t now;

    (void)state;
    now = put_some(client, "key", 5);
    watch = watching_open(client, "key", ETCD_WATCH(.created_notify = true));
    idle = watching_open(client, "idle", ETCD_WATCH(.created_notify = true));
    future = watching_open(client, "key", ETCD_WATCH(.created_notify = true, .start_revision = now + AHEAD));
    await_created(watch);
    await_created(idle);
    await_created(future);
    for (int i = 1; i < AHEAD + 4; i++) {
        if (i % 3 == 0) {
            stop(server);
            start_again(server, client);
        }
        history_add(&history, real_put(client, "key", "value"), 1);
        if (i >= AHEAD)
            history_add(&later, now + i, 1);
        if (i % 2 == 0)
            (void)history_await(&history, watch);
    }
    (void)history_await(&history, watch);
    assert_int_equal(history_await(&later, future), later.n);
    now = real_put(client, "idle", "value");
    response = watching_next(idle, ETCD_WATCH_EVENTS);
    assert_int_equal(response->revision, now);
    etcd_response_free(response);
    etcd_watch_free(watch);
    etcd_watch_free(idle);
    etcd_watch_free(future);
    etcd_client_free(client);
    etcd_server_stop(server);
    history_free(&history);
    history_free(&later);
}

/* ---- a member without a leader ---- */

/* New keys, some of which may not be written while the cluster comes together. */
static void put_new_keys(etcd_client *client, int n)
{
    static int keys;
    int64_t until = real_now_ms() + PATIENCE_MS;
    char key[16];

    while (n > 0) {
        assert_true(real_now_ms() < until);
        (void)snprintf(key, sizeof key, "w/%05d", keys++);
        if (etcd_put(client, ETCD_STR(key), ETCD_STR("x"), ETCD_PUT(.call = ETCD_CALL(.timeout_ms = 20000)), NULL, NULL) ==
            ETCD_OK)
            n--;
    }
}

/* The watches have seen what the server has behind the first `checked` revisions. Returns how many there are. */
static size_t check_watches(etcd_client *client, size_t checked, etcd_watch *one, etcd_watch *two)
{
    struct history history = {0};
    size_t n;

    history_read(&history, client, "w/");
    history.checked = checked;
    (void)history_await(&history, one);
    history.checked = checked;
    (void)history_await(&history, two);
    n = history.n;
    history_free(&history);
    return n;
}

/* The watches live on a member that the two others leave alone. */
static void leave_alone(int signal_number)
{
    struct etcd_server *server = server_with(&(struct etcd_server_options){.members = 3});
    etcd_client *writer = client_at(etcd_server_endpoints(server)), *client;
    etcd_watch *choosy, *patient;
    etcd_watch_response *response;
    size_t checked;
    etcd_error err;

    /* no pings: on a busy machine they may find a member hang that does not */
    client = real_client_with(ETCD_CLIENT(.endpoints = etcd_server_endpoint(server, 0), .backoff_base_ms = 20,
                                          .backoff_max_ms = 100, .ping_interval_ms = -1));
    choosy = watching_open(client, "w/",
                           ETCD_WATCH(.prefix = true, .created_notify = true, .report_connection = true, .require_leader = true));
    patient = watching_open(client, "w/", ETCD_WATCH(.prefix = true, .created_notify = true, .report_connection = true));
    etcd_response_free(take_until(choosy, ETCD_WATCH_CREATED));
    await_created(patient);
    put_new_keys(writer, 10);
    checked = check_watches(writer, 0, choosy, patient);
    assert_ok(etcd_client_set_endpoints(client, etcd_server_endpoints(server), &err), &err); /* it may go on at any */
    for (int i = 1; i < 3; i++)
        assert_int_equal(etcd_server_signal(server, i, signal_number), 0);
    response = take_until(choosy, ETCD_WATCH_DISCONNECTED);
    if (strstr(response->reason.data, "no leader") == NULL)
        fail_msg("it has left because of: %s", response->reason.data);
    etcd_response_free(response);
    assert_int_equal(etcd_watch_next(patient, 0, &response, &err), ETCD_ERR_TIMED_OUT);
    for (int i = 1; i < 3; i++)
        assert_int_equal(signal_number == SIGKILL ? etcd_server_restart(server, i) : etcd_server_signal(server, i, SIGCONT), 0);
    assert_int_equal(etcd_server_await_healthy(server, -1, PATIENCE_MS), 0);
    etcd_response_free(take_until(choosy, ETCD_WATCH_RESUMED));
    put_new_keys(writer, 10);
    (void)check_watches(writer, checked, choosy, patient);
    assert_true(figures(choosy).resumes >= 1);
    assert_int_equal(figures(patient).resumes, 0); /* it has stayed where it was */
    etcd_watch_free(choosy);
    etcd_watch_free(patient);
    etcd_client_free(client);
    etcd_client_free(writer);
    etcd_server_stop(server);
}

static void a_watch_leaves_a_member_whose_others_died(void **state)
{
    (void)state;
    leave_alone(SIGKILL);
}

static void a_watch_leaves_a_member_whose_others_hang(void **state)
{
    (void)state;
    leave_alone(SIGSTOP);
}

/* ---- progress ---- */

/* Until the server has told on its own that all up to a revision was given. */
static void await_progress(etcd_watch *watch, int64_t revision)
{
    int64_t told = 0;

    while (told < revision) {
        etcd_watch_response *response = watching_next(watch, ETCD_WATCH_PROGRESS);

        assert_true(response->revision >= told);
        assert_int_equal(response->revision, response->header.revision);
        assert_true(etcd_watch_position(watch) > response->revision);
        told = response->revision;
        etcd_response_free(response);
    }
    assert_int_equal(told, revision);
}

static void progress_moves_a_watch_that_has_nothing_to_tell(void **state)
{
    struct etcd_server *server = server_with(&(struct etcd_server_options){.watch_progress_ms = 100});
    fault_proxy *proxy = fault_proxy_start(etcd_server_endpoint(server, 0));
    etcd_client *writer = client_at(etcd_server_endpoints(server)), *client = client_at(fault_proxy_endpoint(proxy));
    etcd_watch *told = watching_open(client, "idle", ETCD_WATCH(.created_notify = true, .progress_notify = true));
    etcd_watch *untold = watching_open(client, "idle", ETCD_WATCH(.created_notify = true));
    etcd_watch_response *response;
    int64_t start, now;
    etcd_error err;

    (void)state;
    response = take_until(told, ETCD_WATCH_CREATED);
    start = response->revision;
    etcd_response_free(response);
    await_created(untold);
    for (int i = 0; i < 3; i++) {
        now = put_some(writer, "other", 5);
        await_progress(told, now);
    }
    assert_int_equal(etcd_watch_position(told), now + 1);
    assert_int_equal(etcd_watch_next(untold, 0, &response, &err), ETCD_ERR_TIMED_OUT);
    assert_int_equal(etcd_watch_position(untold), start);
    /* That is what it is for: a compaction does not reach it while it is away. */
    fault_proxy_refuse(proxy);
    fault_proxy_reset(proxy);
    compact(writer, now);
    fault_proxy_resume(proxy);
    watching_await_end(untold, ETCD_ERR_COMPACTED, NULL);
    now = real_put(writer, "idle", "value");
    do {
        assert_ok(etcd_watch_next(told, PATIENCE_MS, &response, &err), &err);
        start = response->type == ETCD_WATCH_EVENTS ? response->revision : 0;
        etcd_response_free(response);
    } while (start == 0);
    assert_int_equal(start, now);
    etcd_watch_free(told);
    etcd_watch_free(untold);
    etcd_client_free(client);
    etcd_client_free(writer);
    fault_proxy_stop(proxy);
    etcd_server_stop(server);
}

/* Whether the server sends its answers to requests for progress in order with events: since 3.4.25 and 3.5.8. */
static bool is_in_order(const struct etcd_server *server, etcd_client *client)
{
    int minor = etcd_server_minor(server);
    etcd_status_response *status;
    etcd_error err;
    long patch;

    assert_ok(etcd_status(client, etcd_server_endpoint(server, 0), NULL, &status, &err), &err);
    patch = strtol(strrchr(status->version.data, '.') + 1, NULL, 10);
    etcd_response_free(status);
    return minor > 5 || (minor == 5 && patch >= 8) || (minor == 4 && patch >= 25);
}

static void an_answer_about_progress_moves_all_watches(void **state)
{
    struct etcd_server *server = server_with(NULL);
    fault_proxy *proxy = fault_proxy_start(etcd_server_endpoint(server, 0));
    etcd_client *writer = client_at(etcd_server_endpoints(server)), *client = client_at(fault_proxy_endpoint(proxy));
    bool in_order = is_in_order(server, writer);
    etcd_watch *watches[2];
    etcd_watch_response *response;
    int64_t start[2], told, now = 0;
    etcd_error err;

    (void)state;
    for (int i = 0; i < 2; i++) {
        watches[i] = watching_open(client, "idle", ETCD_WATCH(.created_notify = true));
        await_created(watches[i]);
        start[i] = etcd_watch_position(watches[i]);
    }
    for (int i = 0; i < 2; i++) {
        now = put_some(writer, "other", 5);
        do { /* an answer may be one to a question that was repeated before */
            assert_ok(etcd_watch_request_progress(watches[0], &err), &err);
            response = watching_next(watches[0], ETCD_WATCH_PROGRESS);
            told = response->revision;
            etcd_response_free(response);
        } while (told < now);
        assert_int_equal(told, now);
    }
    for (int i = 0; i < 2; i++)
        assert_int_equal(etcd_watch_position(watches[i]), in_order ? now + 1 : start[i]);
    fault_proxy_refuse(proxy);
    fault_proxy_reset(proxy);
    compact(writer, now);
    fault_proxy_resume(proxy);
    now = real_put(writer, "idle", "value");
    for (int i = 0; i < 2; i++) {
        if (in_order) {
            response = watching_next(watches[i], ETCD_WATCH_EVENTS);
            assert_int_equal(response->revision, now);
            etcd_response_free(response);
        } else {
            watching_await_end(watches[i], ETCD_ERR_COMPACTED, NULL);
        }
        etcd_watch_free(watches[i]);
    }
    etcd_client_free(client);
    etcd_client_free(writer);
    fault_proxy_stop(proxy);
    etcd_server_stop(server);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_compaction_while_cut_off_ends_a_watch),
        cmocka_unit_test(a_listing_bridges_compactions_while_cut_off),
        cmocka_unit_test(a_compaction_while_the_consumer_sleeps),
        cmocka_unit_test(a_compaction_during_the_listing),
        cmocka_unit_test(a_restored_cluster_ends_watches),
        cmocka_unit_test(a_restarted_server_is_not_a_restored_one),
        cmocka_unit_test(a_watch_leaves_a_member_whose_others_died),
        cmocka_unit_test(a_watch_leaves_a_member_whose_others_hang),
        cmocka_unit_test(progress_moves_a_watch_that_has_nothing_to_tell),
        cmocka_unit_test(an_answer_about_progress_moves_all_watches),
    };

    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
