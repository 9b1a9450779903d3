/* Watches against a real server: options, forms, ends. What happens when connections break is in test_watch_faults.c. */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "watching.h"

/* ---- options ---- */

static void events_of_a_key(void **state)
{
    etcd_client *client = real_client();
    etcd_watch *watch = watching_open(client, "key", ETCD_WATCH(.created_notify = true));
    etcd_watch_response *response = watching_next(watch, ETCD_WATCH_CREATED);
    int64_t first = response->revision, put;

    (void)state;
    assert_int_equal(first, response->header.revision + 1);
    assert_int_equal(etcd_watch_position(watch), first);
    etcd_response_free(response);
    real_put(client, "kez", "another");
    put = real_put(client, "key", "value");
    response = watching_next(watch, ETCD_WATCH_EVENTS);
    assert_int_equal(response->n_events, 1);
    assert_int_equal(response->revision, put);
    assert_int_equal(response->events[0].type, ETCD_EVENT_PUT);
    assert_text(response->events[0].kv->key, "key");
    assert_text(response->events[0].kv->value, "value");
    assert_int_equal(response->events[0].kv->mod_revision, put);
    assert_null(response->events[0].prev_kv);
    assert_int_equal(etcd_watch_position(watch), put + 1);
    etcd_response_free(response);
    real_delete(client, "key");
    response = watching_next(watch, ETCD_WATCH_EVENTS);
    assert_int_equal(response->events[0].type, ETCD_EVENT_DELETE);
    assert_int_equal(response->events[0].kv->mod_revision, put + 1);
    etcd_response_free(response);
    etcd_watch_free(watch);
    etcd_client_free(client);
}

/* Events one at a time, however the server has put them together. */
struct reader {
    etcd_watch *watch;
    etcd_watch_response *response;
    size_t taken;
};

static void expect(struct reader *reader, int type, const char *key, const char *value, const char *before)
{
    const etcd_event *event;

    if (reader->response == NULL)
        reader->response = watching_next(reader->watch, ETCD_WATCH_EVENTS);
    event = &reader->response->events[reader->taken++];
    assert_int_equal(event->type, type);
    assert_text(event->kv->key, key);
    assert_text(event->kv->value, value);
    if (before == NULL)
        assert_null(event->prev_kv);
    else
        assert_text(event->prev_kv->value, before);
    if (reader->taken < reader->response->n_events)
        return;
    etcd_response_free(reader->response);
    reader->response = NULL;
    reader->taken = 0;
}

static void expect_event(etcd_watch *watch, int type, const char *key, const char *value, const char *before)
{
    struct reader reader = {.watch = watch};

    expect(&reader, type, key, value, before);
    assert_null(reader.response);
}

static void reader_free(struct reader *reader)
{
    assert_null(reader->response);
    etcd_watch_free(reader->watch);
}

static void ranges_filters_and_values_before(void **state)
{
    etcd_client *client = real_client();
    int64_t from = real_put(client, "a", "1");
    etcd_watch *prefix_watch = watching_open(client, "b", ETCD_WATCH(.prefix = true, .start_revision = from, .prev_kv = true));
    etcd_watch *behind_watch = watching_open(client, "b2", ETCD_WATCH(.from_key = true, .start_revision = from, .no_put = true));
    etcd_watch *range_watch =
        watching_open(client, "a", ETCD_WATCH(.range_end = "b2", .range_end_len = 2, .start_revision = from, .no_delete = true));
    etcd_watch *all_watch = watching_open(client, "", ETCD_WATCH(.prefix = true, .start_revision = from + 3));

    struct reader prefix = {.watch = prefix_watch}, behind = {.watch = behind_watch};
    struct reader range = {.watch = range_watch}, all = {.watch = all_watch};

    (void)state;
    real_put(client, "b1", "2");
    real_put(client, "b1", "3");
    real_put(client, "c", "4");
    real_delete(client, "b1");
    real_delete(client, "c");
    expect(&prefix, ETCD_EVENT_PUT, "b1", "2", NULL);
    expect(&prefix, ETCD_EVENT_PUT, "b1", "3", "2");
    expect(&prefix, ETCD_EVENT_DELETE, "b1", "", "3");
    expect(&behind, ETCD_EVENT_DELETE, "c", "", NULL);
    expect(&range, ETCD_EVENT_PUT, "a", "1", NULL);
    expect(&range, ETCD_EVENT_PUT, "b1", "2", NULL);
    expect(&range, ETCD_EVENT_PUT, "b1", "3", NULL);
    expect(&all, ETCD_EVENT_PUT, "c", "4", NULL);
    expect(&all, ETCD_EVENT_DELETE, "b1", "", NULL);
    expect(&all, ETCD_EVENT_DELETE, "c", "", NULL);
    reader_free(&prefix);
    reader_free(&behind);
    reader_free(&range);
    reader_free(&all);
    etcd_client_free(client);
}

static void an_old_revision_brings_what_happened_since(void **state)
{
    enum { PUTS = 300 };
    etcd_client *client = real_client();
    struct history history = {0};
    etcd_watch *watch;

    (void)state;
    for (int i = 0; i < PUTS; i++)
        history_add(&history, real_put(client, "key", "value"), 1);
    history.checked = 10;
    watch = watching_open(client, "key", ETCD_WATCH(.start_revision = history.entries[10].revision));
    assert_int_equal(history_await(&history, watch), PUTS - 10);
    etcd_watch_free(watch);
    history_free(&history);
    etcd_client_free(client);
}

static void a_future_revision_is_waited_for(void **state)
{
    etcd_client *client = real_client();
    int64_t now = real_put(client, "key", "0");
    etcd_watch *watch = watching_open(client, "key", ETCD_WATCH(.start_revision = now + 3, .created_notify = true));

    (void)state;
    etcd_response_free(watching_next(watch, ETCD_WATCH_CREATED));
    real_put(client, "key", "1");
    real_put(client, "key", "2");
    real_put(client, "key", "3");
    expect_event(watch, ETCD_EVENT_PUT, "key", "3", NULL);
    etcd_watch_free(watch);
    etcd_client_free(client);
}

static void progress_on_request(void **state)
{
    etcd_client *client = real_client();
    etcd_watch *watch = watching_open(client, "key", ETCD_WATCH(.created_notify = true));
    etcd_watch *other = watching_open(client, "other", ETCD_WATCH(.created_notify = true));
    etcd_watch_response *response;
    etcd_error err;
    int64_t now;

    (void)state;
    etcd_response_free(watching_next(watch, ETCD_WATCH_CREATED));
    etcd_response_free(watching_next(other, ETCD_WATCH_CREATED));
    now = real_put(client, "not watched", "x");
    assert_ok(etcd_watch_request_progress(watch, &err), &err);
    response = watching_next(watch, ETCD_WATCH_PROGRESS);
    assert_int_equal(response->revision, now);
    etcd_response_free(response);
    assert_int_equal(etcd_watch_next(other, 0, &response, &err), ETCD_ERR_TIMED_OUT); /* it did not ask */
    etcd_watch_free(watch);
    etcd_watch_free(other);
    etcd_client_free(client);
}

/* ---- ends ---- */

static void compact(etcd_client *client, int64_t revision)
{
    etcd_error err;

    assert_ok(etcd_compact(client, revision, NULL, NULL, &err), &err);
}

static void compaction_ends_a_watch(void **state)
{
    etcd_client *client = real_client();
    int64_t first = real_put(client, "key", "1");
    char text[64];
    etcd_watch *watch;

    (void)state;
    real_put(client, "key", "2");
    real_put(client, "key", "3");
    compact(client, first + 2);
    watch = watching_open(client, "key", ETCD_WATCH(.start_revision = first));
    (void)snprintf(text, sizeof text, "compacted up to %lld", (long long)first + 2);
    watching_await_end(watch, ETCD_ERR_COMPACTED, text);
    etcd_watch_free(watch);
    etcd_client_free(client);
}

static void a_listing_bridges_a_compaction(void **state)
{
    enum { KEYS = 500 };
    etcd_client *client = real_client();
    int64_t first = real_put(client, "k", "lost"), last = first;
    etcd_watch_response *response;
    etcd_watch *watch;
    size_t n = 0;
    char key[32];
    bool more;

    (void)state;
    for (int i = 0; i < KEYS; i++) {
        (void)snprintf(key, sizeof key, "k%03d", i);
        last = real_put(client, key, "listed");
    }
    compact(client, last);
    watch = watching_open(client, "k", ETCD_WATCH(.prefix = true, .start_revision = first, .relist = true));
    response = watching_next(watch, ETCD_WATCH_GAP);
    assert_int_equal(response->compact_revision, last);
    assert_int_equal(response->revision, last);
    etcd_response_free(response);
    last = real_put(client, "k", "after");
    do {
        response = watching_next(watch, ETCD_WATCH_LISTED);
        n += response->n_kvs;
        more = response->more;
        etcd_response_free(response);
    } while (more);
    assert_int_equal(n, KEYS + 1);
    response = watching_next(watch, ETCD_WATCH_EVENTS);
    assert_int_equal(response->revision, last);
    etcd_response_free(response);
    etcd_watch_free(watch);
    etcd_client_free(client);
}

static void cancel_ends_a_watch(void **state)
{
    etcd_client *client = real_client();
    etcd_watch *watch = watching_open(client, "key", NULL);
    etcd_watch_stats stats = {.size = sizeof stats};
    etcd_error err;

    (void)state;
    etcd_watch_cancel(watch);
    watching_await_end(watch, ETCD_ERR_CANCELED, NULL);
    etcd_watch_cancel(watch);
    etcd_watch_free(watch);
    watch = watching_open(client, "key", ETCD_WATCH(.created_notify = true));
    etcd_response_free(watching_next(watch, ETCD_WATCH_CREATED));
    etcd_client_close(client);
    watching_await_end(watch, ETCD_ERR_CLOSED, NULL);
    assert_error(etcd_client_get_watch_stats(client, &stats, &err), &err, ETCD_ERR_CLOSED, NULL);
    etcd_client_free(client);
    assert_ok(etcd_watch_get_stats(watch, &stats, &err), &err);
    assert_int_equal(stats.watches, 0);
    assert_int_equal(stats.responses, 1);
    etcd_watch_free(watch); /* after its client */
}

static void a_range_that_is_empty_is_refused(void **state)
{
    etcd_client *client = real_client();
    etcd_watch *good = watching_open(client, "key", NULL);
    etcd_watch *watch = watching_open(client, "z", ETCD_WATCH(.range_end = "a", .range_end_len = 1));

    (void)state;
    watching_await_end(watch, ETCD_ERR_FAILED_PRECONDITION, "watcher range is empty");
    etcd_watch_free(watch);
    real_put(client, "key", "value");
    expect_event(good, ETCD_EVENT_PUT, "key", "value", NULL); /* the others on the stream go on */
    etcd_watch_free(good);
    etcd_client_free(client);
}

/* ---- forms ---- */

struct called {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int events, ends, code;
    int free_at; /* the watch is freed in the callback of that event */
    bool freed;
};

static void on_response(etcd_watch *watch, etcd_watch_response *response, const etcd_error *err, void *arg)
{
    struct called *called = arg;
    bool last;

    pthread_mutex_lock(&called->lock);
    assert_false(called->freed);
    if (response != NULL) {
        called->events += (int)response->n_events;
    } else {
        called->ends++;
        called->code = err->code;
    }
    last = called->free_at > 0 && called->events >= called->free_at;
    called->freed = last;
    pthread_cond_broadcast(&called->changed);
    pthread_mutex_unlock(&called->lock);
    etcd_response_free(response);
    if (last)
        etcd_watch_free(watch);
}

static void await_called(struct called *called, const int *figure, int value)
{
    pthread_mutex_lock(&called->lock);
    while (*figure < value)
        pthread_cond_wait(&called->changed, &called->lock);
    pthread_mutex_unlock(&called->lock);
}

#define CALLED \
    { \
        .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER \
    }

static void callbacks(void **state)
{
    etcd_client *client = real_client();
    struct called called = CALLED, closed = CALLED, freed = CALLED;
    int64_t from = real_put(client, "key", "0");
    etcd_watch *watch, *other, *third;
    etcd_error err;

    (void)state;
    freed.free_at = 2;
    assert_ok(etcd_watch_start(client, ETCD_STR("key"), ETCD_WATCH(.start_revision = from), on_response, &called, &watch, &err),
              &err);
    assert_ok(etcd_watch_start(client, ETCD_STR("key"), ETCD_WATCH(.start_revision = from), on_response, &closed, &other, &err),
              &err);
    assert_ok(etcd_watch_start(client, ETCD_STR("key"), ETCD_WATCH(.start_revision = from), on_response, &freed, &third, &err),
              &err);
    for (int i = 0; i < 9; i++)
        real_put(client, "key", "x");
    await_called(&called, &called.events, 10);
    await_called(&closed, &closed.events, 10);
    await_called(&freed, &freed.events, 2);
    etcd_watch_cancel(watch);
    await_called(&called, &called.ends, 1);
    assert_int_equal(called.code, ETCD_ERR_CANCELED);
    etcd_watch_free(watch);
    assert_int_equal(called.ends, 1);
    etcd_client_close(client);
    assert_int_equal(closed.ends, 1); /* within the close */
    assert_int_equal(closed.code, ETCD_ERR_CLOSED);
    assert_int_equal(freed.ends, 0);
    etcd_watch_free(other);
    etcd_client_free(client);
}

static void manual_mode_and_descriptors(void **state)
{
    etcd_client *writer = real_client();
    etcd_client *client = real_client_with(ETCD_CLIENT(.manual = true));
    etcd_watch *watch = watching_open(client, "key", ETCD_WATCH(.created_notify = true));
    struct pollfd fds[2] = {{.fd = etcd_watch_fd(watch), .events = POLLIN}, {.fd = etcd_client_fd(client), .events = POLLIN}};
    etcd_watch_response *response;
    int64_t put;
    etcd_error err;

    (void)state;
    assert_true(fds[0].fd >= 0 && fds[1].fd >= 0);
    etcd_response_free(watching_next(watch, ETCD_WATCH_CREATED));
    assert_int_equal(etcd_watch_next(watch, 0, &response, &err), ETCD_ERR_TIMED_OUT);
    put = real_put(writer, "key", "value");
    do {
        assert_true(poll(fds, 2, 60000) > 0);
        if (fds[1].revents)
            assert_ok(etcd_client_process(client, 0, &err), &err);
    } while (!fds[0].revents);
    assert_ok(etcd_watch_next(watch, 0, &response, &err), &err);
    assert_int_equal(response->revision, put);
    etcd_response_free(response);
    fds[0].revents = 0;
    assert_int_equal(poll(fds, 1, 0), 0); /* taken */
    etcd_watch_free(watch);
    etcd_client_free(client);
    etcd_client_free(writer);
}

/* ---- threads and processes ---- */

enum { THREADS = 8, ROUNDS = 40 };

struct worker {
    pthread_t thread;
    etcd_client *client;
    pthread_mutex_t lock;
    etcd_watch *watch; /* to be canceled by anybody */
    int number, failures;
    bool done;
};

static void *open_and_pull(void *arg)
{
    struct worker *worker = arg;
    etcd_watch_response *response;
    etcd_watch *watch;
    char key[16];
    int rc;

    (void)snprintf(key, sizeof key, "t/%d", worker->number);
    for (int i = 0; i < ROUNDS; i++) {
        if (etcd_watch_open(worker->client, ETCD_STR(key), ETCD_WATCH(.created_notify = i % 2, .require_leader = i % 3 == 0),
                            &watch, NULL) < 0) {
            worker->failures++;
            continue;
        }
        pthread_mutex_lock(&worker->lock);
        worker->watch = watch;
        pthread_mutex_unlock(&worker->lock);
        while ((rc = etcd_watch_next(watch, -1, &response, NULL)) == ETCD_OK)
            etcd_response_free(response);
        worker->failures += rc != ETCD_ERR_CANCELED;
        pthread_mutex_lock(&worker->lock);
        worker->watch = NULL;
        pthread_mutex_unlock(&worker->lock);
        etcd_watch_free(watch);
    }
    pthread_mutex_lock(&worker->lock);
    worker->done = true;
    pthread_mutex_unlock(&worker->lock);
    return NULL;
}

static void *put_on(void *arg)
{
    atomic_bool *stop = arg;
    etcd_client *client = real_client_with(ETCD_CLIENT());
    char key[16];

    for (int i = 0; !atomic_load(stop); i++) {
        (void)snprintf(key, sizeof key, "t/%d", i % THREADS);
        (void)etcd_put(client, ETCD_STR(key), ETCD_STR("x"), NULL, NULL, NULL);
    }
    etcd_client_free(client);
    return NULL;
}

/* Returns whether there is somebody who goes on. */
static bool cancel_some(struct worker *workers, int round)
{
    bool busy = false;

    for (int i = 0; i < THREADS; i++) {
        pthread_mutex_lock(&workers[i].lock);
        busy = busy || !workers[i].done;
        if (workers[i].watch != NULL && (i + round) % 3 == 0) {
            (void)etcd_watch_position(workers[i].watch);
            (void)etcd_watch_request_progress(workers[i].watch, NULL);
            etcd_watch_cancel(workers[i].watch);
        }
        pthread_mutex_unlock(&workers[i].lock);
    }
    return busy;
}

static void watches_come_and_go_on_many_threads(void **state)
{
    static struct worker workers[THREADS];
    etcd_client *client = real_client();
    etcd_watch_stats stats = {.size = sizeof stats};
    atomic_bool stop = false;
    pthread_t writer;
    etcd_error err;

    (void)state;
    assert_int_equal(pthread_create(&writer, NULL, put_on, &stop), 0);
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.client = client, .lock = PTHREAD_MUTEX_INITIALIZER, .number = i};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, open_and_pull, &workers[i]), 0);
    }
    for (int round = 0; cancel_some(workers, round); round++)
        real_sleep_ms(1);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        assert_int_equal(workers[i].failures, 0);
    }
    atomic_store(&stop, true);
    pthread_join(writer, NULL);
    assert_ok(etcd_client_get_watch_stats(client, &stats, &err), &err);
    assert_int_equal(stats.watches, 0);
    assert_int_equal(stats.buffered_bytes, 0);
    etcd_client_free(client);
}

static int use_in_child(etcd_client *client, etcd_watch *watch, bool client_first)
{
    etcd_watch_stats stats = {.size = sizeof stats};
    etcd_watch_response *response;
    etcd_watch *other;

    if (etcd_watch_next(watch, 0, &response, NULL) != ETCD_ERR_FORKED || etcd_watch_fd(watch) != ETCD_ERR_FORKED)
        return 1;
    if (etcd_watch_request_progress(watch, NULL) != ETCD_ERR_FORKED ||
        etcd_watch_get_stats(watch, &stats, NULL) != ETCD_ERR_FORKED)
        return 2;
    if (etcd_watch_open(client, "k", 1, NULL, &other, NULL) != ETCD_ERR_FORKED)
        return 3;
    etcd_watch_cancel(watch);
    if (client_first)
        etcd_client_free(client);
    etcd_watch_free(watch);
    if (!client_first)
        etcd_client_free(client);
    return 0;
}

static void a_child_leaves_the_watch_alone(void **state)
{
    etcd_client *writer = real_client();

    (void)state;
    for (int i = 0; i < 2; i++) {
        etcd_client *client = real_client_with(ETCD_CLIENT(.manual = true));
        etcd_watch *watch = watching_open(client, "key", ETCD_WATCH(.created_notify = true));
        int status;
        pid_t pid;

        etcd_response_free(watching_next(watch, ETCD_WATCH_CREATED));
        pid = fork();
        if (pid == 0)
            _exit(use_in_child(client, watch, i));
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
        real_put(writer, "key", "still watched");
        expect_event(watch, ETCD_EVENT_PUT, "key", "still watched", NULL);
        etcd_watch_free(watch);
        etcd_client_free(client);
    }
    etcd_client_free(writer);
}

/* ---- many ---- */

static void thousands_of_watches_share_a_stream(void **state)
{
    enum { WATCHES = 3000 };
    static etcd_watch *watches[WATCHES];
    etcd_client *client = real_client();
    etcd_watch_stats stats = {.size = sizeof stats};
    etcd_error err;
    char key[32];

    (void)state;
    for (int i = 0; i < WATCHES; i++) {
        (void)snprintf(key, sizeof key, "key%d", i);
        watches[i] = watching_open(client, key, ETCD_WATCH(.created_notify = true));
    }
    for (int i = 0; i < WATCHES; i++)
        etcd_response_free(watching_next(watches[i], ETCD_WATCH_CREATED));
    real_put(client, "key0", "x");
    real_put(client, "key2999", "x");
    expect_event(watches[0], ETCD_EVENT_PUT, "key0", "x", NULL);
    expect_event(watches[2999], ETCD_EVENT_PUT, "key2999", "x", NULL);
    assert_ok(etcd_client_get_watch_stats(client, &stats, &err), &err);
    assert_int_equal(stats.watches, WATCHES);
    assert_int_equal(stats.events, 2);
    assert_int_equal(stats.buffered_bytes, 0);
    for (int i = 0; i < WATCHES; i++)
        etcd_watch_free(watches[i]);
    assert_ok(etcd_client_get_watch_stats(client, &stats, &err), &err);
    assert_int_equal(stats.watches, 0);
    etcd_client_free(client);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_of_a_key),
        cmocka_unit_test(ranges_filters_and_values_before),
        cmocka_unit_test(an_old_revision_brings_what_happened_since),
        cmocka_unit_test(a_future_revision_is_waited_for),
        cmocka_unit_test(progress_on_request),
        cmocka_unit_test(compaction_ends_a_watch),
        cmocka_unit_test(a_listing_bridges_a_compaction),
        cmocka_unit_test(cancel_ends_a_watch),
        cmocka_unit_test(a_range_that_is_empty_is_refused),
        cmocka_unit_test(callbacks),
        cmocka_unit_test(manual_mode_and_descriptors),
        cmocka_unit_test(watches_come_and_go_on_many_threads),
        cmocka_unit_test(a_child_leaves_the_watch_alone),
        cmocka_unit_test(thousands_of_watches_share_a_stream),
    };

    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
