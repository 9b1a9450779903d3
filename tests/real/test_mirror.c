/* Mirrors against a real server: the base is of one revision, the updates follow it without a gap, a copy made from both is
 * exact; pulled and called, threaded and manual. */
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/fault_proxy.h"
#include "real.h"

enum { PATIENCE_MS = 60000 };

static etcd_mirror *open_mirror(etcd_client *client, const char *prefix, const etcd_mirror_options *options)
{
    etcd_mirror *mirror;
    etcd_error err;

    assert_ok(etcd_mirror_open(client, ETCD_STR(prefix), options, &mirror, &err), &err);
    assert_non_null(mirror);
    return mirror;
}

static etcd_get_response *next_page(etcd_mirror *mirror)
{
    etcd_get_response *page;
    etcd_error err;

    assert_ok(etcd_mirror_next_page(mirror, &page, &err), &err);
    return page;
}

static void skip_base(etcd_mirror *mirror)
{
    etcd_get_response *page;

    while ((page = next_page(mirror)) != NULL)
        etcd_response_free(page);
    assert_true(etcd_mirror_base_done(mirror));
}

static const etcd_mirror_update *next_update(etcd_mirror *mirror)
{
    const etcd_mirror_update *update;
    etcd_error err;

    assert_ok(etcd_mirror_next_update(mirror, PATIENCE_MS, &update, &err), &err);
    return update;
}

/* "+key=value -key ..." of an update. */
static void describe(const etcd_mirror_update *update, char *text, size_t size)
{
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < update->n_events && used < size; i++) {
        const etcd_event *event = &update->events[i];

        assert_int_equal(event->kv->mod_revision, update->revision);
        if (event->type == ETCD_EVENT_PUT)
            used +=
                (size_t)snprintf(text + used, size - used, "%s+%s=%s", i ? " " : "", event->kv->key.data, event->kv->value.data);
        else
            used += (size_t)snprintf(text + used, size - used, "%s-%s", i ? " " : "", event->kv->key.data);
    }
}

static void assert_update(const etcd_mirror_update *update, int64_t revision, const char *expected)
{
    char text[256];

    assert_int_equal(update->revision, revision);
    describe(update, text, sizeof text);
    assert_string_equal(text, expected);
}

static int64_t put_two(etcd_client *client, const char *one, const char *two)
{
    etcd_txn *txn = etcd_txn_new(client);
    etcd_txn_response *response;
    etcd_error err;
    int64_t revision;

    etcd_txn_put(txn, ETCD_STR(one), ETCD_STR("1"), NULL);
    etcd_txn_put(txn, ETCD_STR(two), ETCD_STR("2"), NULL);
    assert_ok(etcd_txn_commit(txn, NULL, &response, &err), &err);
    revision = response->header.revision;
    etcd_response_free(response);
    etcd_txn_free(txn);
    return revision;
}

/* ---- base ---- */

static void put_numbered(etcd_client *client, int n)
{
    for (int i = 0; i < n; i++) {
        char key[16];

        snprintf(key, sizeof key, "m/%02d", i);
        real_put(client, key, "old");
    }
    real_put(client, "n", "not of it");
}

static void the_base_is_of_one_revision(void **state)
{
    static const size_t sizes[] = {10, 10, 5};

    (void)state;
    for (int manual = 0; manual < 2; manual++) {
        etcd_client *writer = real_client(), *client = real_client_with(ETCD_CLIENT(.manual = manual));
        etcd_mirror *mirror;
        etcd_get_response *page;
        int64_t revision = 0;

        put_numbered(writer, 25);
        mirror = open_mirror(client, "m/", ETCD_MIRROR(.page_keys = 10));
        assert_int_equal(etcd_mirror_revision(mirror), 0);
        for (size_t i = 0; i < 3; i++) {
            page = next_page(mirror);
            if (i == 0)
                revision = page->header.revision;
            assert_int_equal(page->n_kvs, sizes[i]);
            for (size_t k = 0; k < page->n_kvs; k++)
                assert_text(page->kvs[k].value, "old");
            etcd_response_free(page);
            assert_int_equal(etcd_mirror_revision(mirror), revision);
            assert_int_equal(etcd_mirror_base_done(mirror), i == 2);
            real_put(writer, "m/24", "new"); /* and what comes now is an update */
        }
        assert_null(next_page(mirror));
        for (int i = 1; i <= 3; i++)
            assert_update(next_update(mirror), revision + i, "+m/24=new");
        assert_int_equal(etcd_mirror_revision(mirror), revision + 3);
        etcd_mirror_free(mirror);
        etcd_client_free(client);
        etcd_client_free(writer);
    }
}

static void a_base_can_be_of_the_past(void **state)
{
    etcd_client *client = real_client();
    int64_t revision = real_put(client, "m/1", "old");
    etcd_mirror *mirror;
    etcd_get_response *page;

    (void)state;
    real_put(client, "m/1", "new");
    mirror = open_mirror(client, "m/", ETCD_MIRROR(.revision = revision));
    page = next_page(mirror);
    assert_int_equal(page->n_kvs, 1);
    assert_text(page->kvs[0].value, "old");
    etcd_response_free(page);
    assert_update(next_update(mirror), revision + 1, "+m/1=new");
    etcd_mirror_free(mirror);
    etcd_client_free(client);
}

static void every_key_is_the_empty_prefix(void **state)
{
    etcd_client *client = real_client();
    etcd_mirror *mirror = open_mirror(client, "", NULL);
    etcd_get_response *page = next_page(mirror);
    int64_t revision = etcd_mirror_revision(mirror);

    (void)state;
    assert_int_equal(page->n_kvs, 0); /* nothing is there */
    etcd_response_free(page);
    assert_null(next_page(mirror));
    real_put(client, "a", "1");
    real_put(client, "z", "2");
    assert_update(next_update(mirror), revision + 1, "+a=1");
    assert_update(next_update(mirror), revision + 2, "+z=2");
    etcd_mirror_free(mirror);
    etcd_client_free(client);
}

/* ---- updates ---- */

static void updates_are_revision_by_revision(void **state)
{
    (void)state;
    for (int manual = 0; manual < 2; manual++) {
        etcd_client *writer = real_client(), *client = real_client_with(ETCD_CLIENT(.manual = manual));
        etcd_mirror *mirror = open_mirror(client, "m/", NULL);
        const etcd_mirror_update *update;
        int64_t revision;
        etcd_error err;

        skip_base(mirror);
        revision = real_put(writer, "m/0", "0");
        put_two(writer, "m/1", "m/2");
        real_put(writer, "n", "not of it");
        real_delete(writer, "m/0");
        assert_ok(etcd_delete(writer, ETCD_STR("m/"), ETCD_DELETE(.prefix = true), NULL, &err), &err);
        assert_update(next_update(mirror), revision, "+m/0=0");
        assert_update(next_update(mirror), revision + 1, "+m/1=1 +m/2=2");
        assert_update(next_update(mirror), revision + 3, "-m/0");
        assert_update(next_update(mirror), revision + 4, "-m/1 -m/2");
        assert_error(etcd_mirror_next_update(mirror, 0, &update, &err), &err, ETCD_ERR_TIMED_OUT, NULL);
        assert_null(update);
        assert_error(etcd_mirror_next_update(mirror, 10, &update, &err), &err, ETCD_ERR_TIMED_OUT, NULL);
        etcd_mirror_free(mirror);
        etcd_client_free(client);
        etcd_client_free(writer);
    }
}

static void it_goes_on_where_another_ended(void **state)
{
    etcd_client *client = real_client();
    etcd_mirror *mirror = open_mirror(client, "m/", NULL);
    int64_t revision;

    (void)state;
    skip_base(mirror);
    revision = real_put(client, "m/1", "1");
    assert_update(next_update(mirror), revision, "+m/1=1");
    assert_int_equal(etcd_mirror_revision(mirror), revision);
    etcd_mirror_free(mirror);
    put_two(client, "m/2", "m/3");
    mirror = open_mirror(client, "m/", ETCD_MIRROR(.revision = revision, .updates_only = true));
    assert_true(etcd_mirror_base_done(mirror));
    assert_int_equal(etcd_mirror_revision(mirror), revision);
    assert_null(next_page(mirror));
    assert_update(next_update(mirror), revision + 1, "+m/2=1 +m/3=2");
    etcd_mirror_free(mirror);
    etcd_client_free(client);
}

static void the_descriptor_tells_of_updates(void **state)
{
    etcd_client *client = real_client();
    etcd_mirror *mirror = open_mirror(client, "m/", NULL);
    const etcd_mirror_update *update = NULL;
    struct pollfd poll_fd = {.events = POLLIN};
    int64_t revision;
    etcd_error err;
    int rc;

    (void)state;
    assert_int_equal(etcd_mirror_fd(mirror), ETCD_ERR_ARGUMENT); /* before the base */
    skip_base(mirror);
    poll_fd.fd = etcd_mirror_fd(mirror);
    assert_true(poll_fd.fd >= 0);
    revision = real_put(client, "m/1", "1");
    do {
        assert_int_equal(poll(&poll_fd, 1, PATIENCE_MS), 1);
        rc = etcd_mirror_next_update(mirror, 0, &update, &err);
    } while (rc == ETCD_ERR_TIMED_OUT);
    assert_ok(rc, &err);
    assert_update(update, revision, "+m/1=1");
    etcd_mirror_free(mirror);
    etcd_client_free(client);
}

/* ---- progress ---- */

static void keep_progress(const etcd_mirror_progress *progress, void *arg)
{
    etcd_mirror_progress *kept = arg;

    assert_true(progress->revision >= kept->revision && progress->keys >= kept->keys && progress->events >= kept->events);
    *kept = *progress;
}

static void progress_is_told(void **state)
{
    etcd_client *client = real_client();
    etcd_mirror_progress told = {0}, asked = {.size = sizeof asked};
    etcd_mirror *mirror;
    etcd_error err;

    (void)state;
    put_numbered(client, 25);
    mirror = open_mirror(client, "m/", ETCD_MIRROR(.page_keys = 10, .progress_fn = keep_progress, .progress_arg = &told));
    etcd_response_free(next_page(mirror));
    assert_true(told.pages == 1 && told.keys == 10 && !told.base_done);
    skip_base(mirror);
    assert_true(told.pages == 3 && told.keys == 25 && told.base_done && told.updates == 0);
    put_two(client, "m/1", "m/2");
    real_put(client, "m/3", "3");
    next_update(mirror);
    assert_true(told.updates == 1 && told.events == 2 && told.revision == etcd_mirror_revision(mirror));
    next_update(mirror);
    assert_true(told.updates == 2 && told.events == 3);
    assert_ok(etcd_mirror_get_progress(mirror, &asked, &err), &err);
    assert_memory_equal(&asked, &told, sizeof asked);
    asked = (etcd_mirror_progress){.size = offsetof(etcd_mirror_progress, keys)}; /* of an older version */
    assert_ok(etcd_mirror_get_progress(mirror, &asked, &err), &err);
    assert_true(asked.pages == 3 && asked.keys == 0);
    asked.size = 0;
    assert_error(etcd_mirror_get_progress(mirror, &asked, &err), &err, ETCD_ERR_ARGUMENT, "size");
    etcd_mirror_free(mirror);
    etcd_client_free(client);
}

/* ---- callbacks ---- */

struct follower {
    etcd_mirror *mirror;
    struct real_ending ending;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    char seen[256];
    int updates;
    int free_at; /* the number of updates at which the mirror is freed in the callback; 0: never */
};

#define FOLLOWER \
    { \
        .ending = REAL_ENDING, .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER \
    }

static void on_update(etcd_mirror *mirror, const etcd_mirror_update *update, const etcd_error *err, void *arg)
{
    struct follower *follower = arg;
    bool free_it;

    if (update == NULL) {
        real_end(&follower->ending, NULL, err);
        return;
    }
    pthread_mutex_lock(&follower->lock);
    describe(update, follower->seen, sizeof follower->seen);
    follower->updates++;
    free_it = follower->updates == follower->free_at;
    if (free_it)
        etcd_mirror_free(mirror);
    pthread_cond_broadcast(&follower->changed);
    pthread_mutex_unlock(&follower->lock);
}

static void await_updates(etcd_client *client, struct follower *follower, int n, bool manual)
{
    pthread_mutex_lock(&follower->lock);
    while (follower->updates < n) {
        if (manual) {
            pthread_mutex_unlock(&follower->lock);
            assert_int_equal(etcd_client_process(client, PATIENCE_MS, NULL), ETCD_OK);
            pthread_mutex_lock(&follower->lock);
        } else {
            pthread_cond_wait(&follower->changed, &follower->lock);
        }
    }
    pthread_mutex_unlock(&follower->lock);
}

static etcd_get_response *next_page_async(etcd_client *client, etcd_mirror *mirror, bool manual)
{
    struct real_ending page = REAL_ENDING;
    etcd_error err;

    assert_ok(etcd_mirror_next_page_async(mirror, real_on_get, &page, NULL, &err), &err);
    if (manual)
        real_poll_until(client, &page);
    else
        real_await(&page);
    assert_int_equal(page.code, ETCD_OK);
    return page.response;
}

static void all_of_it_by_callbacks(void **state)
{
    (void)state;
    for (int manual = 0; manual < 2; manual++) {
        etcd_client *writer = real_client(), *client = real_client_with(ETCD_CLIENT(.manual = manual));
        struct follower follower = FOLLOWER;
        etcd_mirror *mirror;
        size_t keys = 0;
        etcd_error err;

        put_numbered(writer, 25);
        mirror = open_mirror(client, "m/", ETCD_MIRROR(.page_keys = 10));
        while (!etcd_mirror_base_done(mirror)) {
            etcd_get_response *page = next_page_async(client, mirror, manual);

            keys += page->n_kvs;
            etcd_response_free(page);
        }
        assert_int_equal(keys, 25);
        assert_error(etcd_mirror_next_page_async(mirror, real_on_get, NULL, NULL, &err), &err, ETCD_ERR_ARGUMENT, "base is done");
        assert_ok(etcd_mirror_start_updates(mirror, on_update, &follower, &err), &err);
        put_two(writer, "m/1", "m/2");
        real_delete(writer, "m/1");
        await_updates(client, &follower, 2, manual);
        assert_string_equal(follower.seen, "-m/1");
        etcd_mirror_cancel(mirror);
        if (manual)
            real_poll_until(client, &follower.ending);
        else
            real_await(&follower.ending);
        assert_int_equal(follower.ending.code, ETCD_ERR_CANCELED);
        etcd_mirror_free(mirror);
        assert_int_equal(follower.ending.times, 1);
        etcd_client_free(client);
        etcd_client_free(writer);
    }
}

static void it_may_be_freed_in_its_callback(void **state)
{
    (void)state;
    for (int manual = 0; manual < 2; manual++) {
        etcd_client *writer = real_client(), *client = real_client_with(ETCD_CLIENT(.manual = manual));
        struct follower follower = FOLLOWER;
        etcd_mirror *mirror = open_mirror(client, "m/", NULL);
        etcd_error err;

        skip_base(mirror);
        follower.free_at = 2;
        for (int i = 0; i < 5; i++)
            real_put(writer, "m/1", "1"); /* so that several come in one response */
        assert_ok(etcd_mirror_start_updates(mirror, on_update, &follower, &err), &err);
        await_updates(client, &follower, 2, manual);
        etcd_client_free(client);
        assert_int_equal(follower.updates, 2);
        assert_int_equal(follower.ending.times, 0);
        etcd_client_free(writer);
    }
}

/* ---- a copy, while the store changes and connections break ---- */

enum { KEYS = 40, WRITES = 400 };

struct copy {
    char values[KEYS][16]; /* "": does not exist */
};

static int number_of(const etcd_kv *kv)
{
    return (int)strtol(kv->key.data + 2, NULL, 10);
}

static void apply_page(struct copy *copy, const etcd_get_response *page)
{
    for (size_t i = 0; i < page->n_kvs; i++)
        snprintf(copy->values[number_of(&page->kvs[i])], 16, "%s", page->kvs[i].value.data);
}

static void apply_update(struct copy *copy, const etcd_mirror_update *update)
{
    for (size_t i = 0; i < update->n_events; i++)
        snprintf(copy->values[number_of(update->events[i].kv)], 16, "%s",
                 update->events[i].type == ETCD_EVENT_PUT ? update->events[i].kv->value.data : "");
}

struct writer {
    etcd_client *client;
    int64_t last; /* revision */
    int failures;
};

/* Each write is of two keys. */
static void *write_at_random(void *arg)
{
    struct writer *writer = arg;
    unsigned seed = 5;

    for (int i = 0; i < WRITES && writer->failures == 0; i++) {
        etcd_txn *txn = etcd_txn_new(writer->client);
        int first = rand_r(&seed) % KEYS, second = (first + 1 + rand_r(&seed) % (KEYS - 1)) % KEYS;
        etcd_txn_response *response = NULL;
        char key[16], value[16];

        snprintf(key, sizeof key, "m/%02d", first);
        snprintf(value, sizeof value, "%d", i);
        etcd_txn_put(txn, ETCD_STR(key), ETCD_STR(value), NULL);
        snprintf(key, sizeof key, "m/%02d", second);
        etcd_txn_delete(txn, ETCD_STR(key), NULL);
        if (etcd_txn_commit(txn, ETCD_CALL(.timeout_ms = PATIENCE_MS), &response, NULL) == ETCD_OK)
            writer->last = response->header.revision;
        else
            writer->failures++;
        etcd_response_free(response);
        etcd_txn_free(txn);
    }
    return NULL;
}

static void assert_copy(etcd_client *client, const struct copy *copy)
{
    etcd_get_response *all = real_get(client, "m/", ETCD_GET(.prefix = true));
    struct copy truth = {0};

    apply_page(&truth, all);
    etcd_response_free(all);
    for (int i = 0; i < KEYS; i++)
        assert_string_equal(copy->values[i], truth.values[i]);
}

static void a_copy_is_exact(void **state)
{
    etcd_client *direct = real_client();
    fault_proxy *proxy = fault_proxy_start(etcd_server_endpoint(real_server(), 0));
    etcd_client *client = real_client_with(ETCD_CLIENT(.endpoints = fault_proxy_endpoint(proxy), .backoff_base_ms = 5,
                                                       .backoff_max_ms = 50, .request_timeout_ms = PATIENCE_MS));
    struct writer writer = {.client = direct};
    struct copy copy = {0};
    etcd_mirror *mirror;
    etcd_get_response *page;
    pthread_t thread;
    etcd_error err;

    (void)state;
    put_numbered(direct, KEYS);
    mirror = open_mirror(client, "m/", ETCD_MIRROR(.page_keys = 7, .buffer_bytes = 2000));
    page = next_page(mirror); /* of a revision before all of the writes, which are updates then */
    assert_int_equal(pthread_create(&thread, NULL, write_at_random, &writer), 0);
    for (; page != NULL; page = next_page(mirror)) {
        apply_page(&copy, page);
        etcd_response_free(page);
    }
    for (int i = 0; i < WRITES / 4; i++) {
        if (i % 25 == 10)
            fault_proxy_reset(proxy);
        apply_update(&copy, next_update(mirror));
    }
    pthread_join(thread, NULL);
    assert_int_equal(writer.failures, 0);
    while (etcd_mirror_revision(mirror) < writer.last)
        apply_update(&copy, next_update(mirror));
    assert_copy(direct, &copy);
    assert_error(etcd_mirror_next_update(mirror, 0, &(const etcd_mirror_update *){NULL}, &err), &err, ETCD_ERR_TIMED_OUT, NULL);
    etcd_mirror_free(mirror);
    etcd_client_free(client);
    etcd_client_free(direct);
    fault_proxy_stop(proxy);
}

/* ---- ends ---- */

static void compact(etcd_client *client, int64_t revision)
{
    etcd_error err;

    assert_ok(etcd_compact(client, revision, NULL, NULL, &err), &err);
}

static void a_compacted_base_cannot_go_on(void **state)
{
    etcd_client *client = real_client();
    etcd_mirror *mirror;
    etcd_get_response *page;
    etcd_error err;

    (void)state;
    put_numbered(client, 25);
    mirror = open_mirror(client, "m/", ETCD_MIRROR(.page_keys = 10));
    etcd_response_free(next_page(mirror));
    compact(client, real_put(client, "m/24", "new"));
    assert_error(etcd_mirror_next_page(mirror, &page, &err), &err, ETCD_ERR_COMPACTED, "has been compacted");
    assert_null(page);
    assert_false(etcd_mirror_base_done(mirror));
    etcd_mirror_free(mirror);
    etcd_client_free(client);
}

static void compacted_updates_are_the_end(void **state)
{
    etcd_client *client = real_client();
    int64_t revision = real_put(client, "m/1", "1");
    const etcd_mirror_update *update;
    etcd_mirror *mirror;
    etcd_error err;

    (void)state;
    real_put(client, "m/1", "2");
    compact(client, real_put(client, "m/1", "3"));
    mirror = open_mirror(client, "m/", ETCD_MIRROR(.revision = revision, .updates_only = true));
    for (int i = 0; i < 2; i++) {
        assert_error(etcd_mirror_next_update(mirror, PATIENCE_MS, &update, &err), &err, ETCD_ERR_COMPACTED, NULL);
        assert_null(update);
        assert_int_equal(etcd_mirror_revision(mirror), revision);
    }
    etcd_mirror_free(mirror);
    etcd_client_free(client);
}

static void *cancel_later(void *arg)
{
    etcd_mirror_cancel(arg);
    return NULL;
}

static void waiting_ends_when_canceled(void **state)
{
    etcd_client *client = real_client();
    const etcd_mirror_update *update;
    pthread_t thread;
    etcd_error err;

    (void)state;
    for (int i = 0; i < 20; i++) { /* before, while and after the watch is opened */
        etcd_mirror *mirror = open_mirror(client, "m/", NULL);

        skip_base(mirror);
        if (i % 2)
            (void)etcd_mirror_next_update(mirror, 0, &update, NULL);
        assert_int_equal(pthread_create(&thread, NULL, cancel_later, mirror), 0);
        assert_error(etcd_mirror_next_update(mirror, -1, &update, &err), &err, ETCD_ERR_CANCELED, NULL);
        pthread_join(thread, NULL);
        etcd_mirror_free(mirror);
    }
    etcd_client_free(client);
}

static void what_was_canceled_does_not_start(void **state)
{
    etcd_client *client = real_client();
    etcd_mirror *mirror = open_mirror(client, "m/", NULL);
    const etcd_mirror_update *update;
    etcd_error err;

    (void)state;
    skip_base(mirror);
    etcd_mirror_cancel(mirror);
    assert_error(etcd_mirror_next_update(mirror, -1, &update, &err), &err, ETCD_ERR_CANCELED, NULL);
    assert_error(etcd_mirror_start_updates(mirror, on_update, NULL, &err), &err, ETCD_ERR_CANCELED, NULL);
    assert_int_equal(etcd_mirror_fd(mirror), ETCD_ERR_CANCELED);
    etcd_mirror_free(mirror);
    etcd_client_free(client);
}

static void wrong_arguments_are_refused(void **state)
{
    etcd_client *client = real_client();
    const etcd_mirror_update *update;
    etcd_mirror_options options;
    etcd_mirror *mirror;
    etcd_error err;

    (void)state;
    assert_error(etcd_mirror_open(client, "", 0, NULL, NULL, &err), &err, ETCD_ERR_ARGUMENT, "out");
    assert_error(etcd_mirror_open(NULL, "", 0, NULL, &mirror, &err), &err, ETCD_ERR_ARGUMENT, "client");
    assert_error(etcd_mirror_open(client, "", 0, ETCD_MIRROR(.updates_only = true), &mirror, &err), &err, ETCD_ERR_ARGUMENT,
                 "updates_only");
    assert_error(etcd_mirror_open(client, "", 0, ETCD_MIRROR(.page_keys = -1), &mirror, &err), &err, ETCD_ERR_ARGUMENT,
                 "negative");
    assert_null(mirror);
    etcd_mirror_options_init(&options, sizeof options);
    options.size = 3;
    assert_error(etcd_mirror_open(client, "", 0, &options, &mirror, &err), &err, ETCD_ERR_ARGUMENT, "etcd_mirror_options");
    mirror = open_mirror(client, "m/", NULL);
    assert_error(etcd_mirror_next_page(mirror, NULL, &err), &err, ETCD_ERR_ARGUMENT, "out");
    assert_error(etcd_mirror_next_page_async(mirror, NULL, NULL, NULL, &err), &err, ETCD_ERR_ARGUMENT, "done");
    assert_error(etcd_mirror_next_update(mirror, 0, &update, &err), &err, ETCD_ERR_ARGUMENT, "the base comes first");
    assert_error(etcd_mirror_start_updates(mirror, on_update, NULL, &err), &err, ETCD_ERR_ARGUMENT, "the base comes first");
    skip_base(mirror);
    assert_error(etcd_mirror_next_update(mirror, 0, NULL, &err), &err, ETCD_ERR_ARGUMENT, "out");
    assert_error(etcd_mirror_start_updates(mirror, NULL, NULL, &err), &err, ETCD_ERR_ARGUMENT, "fn");
    etcd_client_close(client);
    assert_error(etcd_mirror_next_update(mirror, 0, &update, &err), &err, ETCD_ERR_CLOSED, NULL);
    etcd_client_free(client);
    etcd_mirror_free(mirror); /* after its client */
    assert_int_equal(etcd_mirror_next_page(NULL, &(etcd_get_response *){NULL}, NULL), ETCD_ERR_ARGUMENT);
    assert_int_equal(etcd_mirror_next_update(NULL, 0, &update, NULL), ETCD_ERR_ARGUMENT);
    assert_int_equal(etcd_mirror_fd(NULL), ETCD_ERR_ARGUMENT);
    assert_true(etcd_mirror_base_done(NULL));
    assert_int_equal(etcd_mirror_revision(NULL), 0);
    etcd_mirror_cancel(NULL);
    etcd_mirror_free(NULL);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_base_is_of_one_revision),
    cmocka_unit_test(a_base_can_be_of_the_past),
    cmocka_unit_test(every_key_is_the_empty_prefix),
    cmocka_unit_test(updates_are_revision_by_revision),
    cmocka_unit_test(it_goes_on_where_another_ended),
    cmocka_unit_test(the_descriptor_tells_of_updates),
    cmocka_unit_test(progress_is_told),
    cmocka_unit_test(all_of_it_by_callbacks),
    cmocka_unit_test(it_may_be_freed_in_its_callback),
    cmocka_unit_test(a_copy_is_exact),
    cmocka_unit_test(a_compacted_base_cannot_go_on),
    cmocka_unit_test(compacted_updates_are_the_end),
    cmocka_unit_test(waiting_ends_when_canceled),
    cmocka_unit_test(what_was_canceled_does_not_start),
    cmocka_unit_test(wrong_arguments_are_refused),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
