/* At most once (P1), checked against the server's history: writes go through a proxy that cuts the connection after each possible
 * number of bytes, or resets it at any time. Afterwards the store's revision, which grows by one with each write that was
 * applied, the versions of the keys and what the client was told have to agree. */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/fault_proxy.h"
#include "real.h"

enum { PATIENCE_MS = 20000 };

/* What the client was told of its writes. */
struct account {
    uint64_t done, not_done, unknown;
};

struct scene {
    fault_proxy *proxy;
    etcd_client *client;  /* through the proxy */
    etcd_client *auditor; /* past it */
    int64_t revision;     /* before the first write */
};

static int64_t revision_of(etcd_client *client)
{
    etcd_get_response *get = real_get(client, "x", NULL);
    int64_t revision = get->header.revision;

    etcd_response_free(get);
    return revision;
}

static etcd_client *through(const struct scene *scene)
{
    return real_client_with(ETCD_CLIENT(.endpoints = fault_proxy_endpoint(scene->proxy), .request_timeout_ms = PATIENCE_MS,
                                        .backoff_base_ms = 1, .backoff_max_ms = 1, .retry_wait_ms = 1));
}

static void open_scene(struct scene *scene)
{
    scene->auditor = real_client();
    scene->proxy = fault_proxy_start(etcd_server_endpoint(real_server(), 0));
    scene->client = through(scene);
    scene->revision = revision_of(scene->auditor);
}

static void close_scene(struct scene *scene)
{
    etcd_client_free(scene->client);
    fault_proxy_stop(scene->proxy);
    etcd_client_free(scene->auditor);
}

static void enter(struct account *account, int rc, const etcd_error *err)
{
    if (rc == ETCD_OK)
        account->done++;
    else if (err->flags & ETCD_ERROR_MAYBE_APPLIED)
        account->unknown++;
    else
        account->not_done++;
}

/* The version of a key; 0 without it. */
static uint64_t version_of(const struct scene *scene, const char *key)
{
    etcd_get_response *get = real_get(scene->auditor, key, NULL);
    uint64_t version = get->n_kvs > 0 ? (uint64_t)get->kvs[0].version : 0;

    etcd_response_free(get);
    return version;
}

/* As many revisions as writes that are done, and at most those that are unknown besides. Returns how many. */
static uint64_t audit(const struct scene *scene, const struct account *account)
{
    uint64_t applied = (uint64_t)(revision_of(scene->auditor) - scene->revision);

    print_message("%" PRIu64 " done, %" PRIu64 " not done, %" PRIu64 " unknown: %" PRIu64 " applied\n", account->done,
                  account->not_done, account->unknown, applied);
    assert_true(account->done > 0 && account->unknown > 0);
    assert_true(applied >= account->done);
    assert_true(applied <= account->done + account->unknown);
    return applied;
}

/* The write that was cut there, as the client was told of it, and as the store has it. */
static void check_write(const struct scene *scene, uint64_t cut, int rc, const etcd_error *err)
{
    uint64_t version;
    char key[32];

    (void)snprintf(key, sizeof key, "key/%04" PRIu64, cut);
    version = version_of(scene, key);
    if (version > 1 || (rc == ETCD_OK && version != 1) || (rc < 0 && !(err->flags & ETCD_ERROR_MAYBE_APPLIED) && version != 0))
        fail_msg("cut after %" PRIu64 " bytes: applied %" PRIu64 " times; \"%s\"", cut, version, err->message);
}

/* Each write has a key and a connection of its own, which is cut after so many bytes in a direction. */
static void cut_each_byte(int direction, uint64_t last)
{
    int *rc = calloc(last + 1, sizeof *rc);
    etcd_error *err = calloc(last + 1, sizeof *err);
    struct account account = {0};
    struct scene scene;

    assert_true(rc != NULL && err != NULL);
    open_scene(&scene);
    for (uint64_t cut = 0; cut <= last; cut++) {
        char key[32];

        (void)snprintf(key, sizeof key, "key/%04" PRIu64, cut);
        etcd_client_free(scene.client);
        fault_proxy_cut_next(scene.proxy, direction, cut);
        scene.client = through(&scene);
        rc[cut] = etcd_put(scene.client, ETCD_STR(key), ETCD_STR("value"), NULL, NULL, &err[cut]);
        enter(&account, rc[cut], &err[cut]);
    }
    for (uint64_t cut = 0; cut <= last; cut++)
        check_write(&scene, cut, rc[cut], &err[cut]);
    audit(&scene, &account);
    close_scene(&scene);
    free(rc);
    free(err);
}

static void requests_cut_at_each_byte(void **state)
{
    (void)state;
    cut_each_byte(FAULT_UP, 330);
}

static void answers_cut_at_each_byte(void **state)
{
    (void)state;
    cut_each_byte(FAULT_DOWN, 180);
}

/* A put, or a transaction that puts: one revision, and one version of the key. */
static int write_once(etcd_client *client, bool in_txn, etcd_error *err)
{
    etcd_txn_response *response;
    etcd_txn *txn;
    int rc;

    if (!in_txn)
        return etcd_put(client, ETCD_STR("counter"), ETCD_STR("v"), NULL, NULL, err);
    txn = etcd_txn_new(client);
    etcd_txn_put(txn, ETCD_STR("counter"), ETCD_STR("v"), NULL);
    rc = etcd_txn_commit(txn, NULL, &response, err);
    etcd_response_free(response);
    etcd_txn_free(txn);
    return rc;
}

struct writer {
    pthread_t thread;
    etcd_client *client;
    int number;
    const atomic_bool *stopping;
    struct account account;
    atomic_uint_fast64_t done; /* writes that were done, for others to see */
};

static void *write_on(void *arg)
{
    struct writer *writer = arg;
    etcd_error err;

    while (!atomic_load(writer->stopping)) {
        int rc = write_once(writer->client, writer->number % 2, &err);

        enter(&writer->account, rc, &err);
        atomic_fetch_add(&writer->done, rc == ETCD_OK);
    }
    return NULL;
}

/* Waits until something is written that was begun after this was: one in each thread may be over already, and be counted now. */
static void await_write(struct writer *writers, int n)
{
    uint64_t before = 0, now = 0;
    int64_t until = real_now_ms() + 3 * PATIENCE_MS;

    for (int i = 0; i < n; i++)
        before += atomic_load(&writers[i].done);
    while (now <= before + (uint64_t)n) {
        real_sleep_ms(1);
        now = 0;
        for (int i = 0; i < n; i++)
            now += atomic_load(&writers[i].done);
        assert_true(real_now_ms() < until);
    }
}

static void resets_in_a_crowd(void **state)
{
    enum { WRITERS = 8, RESETS = 60 };
    atomic_bool stopping = false;
    struct writer writers[WRITERS];
    struct account account = {0};
    etcd_get_response *get;
    struct scene scene;

    (void)state;
    open_scene(&scene);
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.client = scene.client, .number = i, .stopping = &stopping};
        assert_int_equal(pthread_create(&writers[i].thread, NULL, write_on, &writers[i]), 0);
    }
    for (size_t i = 1; i <= RESETS; i++) {
        assert_true(fault_proxy_await_count(scene.proxy, i, PATIENCE_MS));
        real_sleep_ms((int64_t)i % 7); /* the fault is: at any time */
        fault_proxy_reset(scene.proxy);
    }
    await_write(writers, WRITERS); /* and at last surely with an answer under way */
    fault_proxy_hold(scene.proxy, FAULT_DOWN);
    assert_true(fault_proxy_await_held(scene.proxy, FAULT_DOWN, PATIENCE_MS));
    fault_proxy_reset(scene.proxy);
    fault_proxy_resume(scene.proxy);
    atomic_store(&stopping, true);
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(writers[i].thread, NULL);
        account.done += writers[i].account.done;
        account.not_done += writers[i].account.not_done;
        account.unknown += writers[i].account.unknown;
    }
    audit(&scene, &account);
    get = real_get(scene.auditor, "counter", NULL); /* one moment: the last of the unknown may still be on their way */
    assert_int_equal(get->kvs[0].version, get->header.revision - scene.revision);
    etcd_response_free(get);
    close_scene(&scene);
}

/* The answer is lost, the write is done: its outcome is unknown, and it is not sent again over the next connection. */
static void a_lost_answer_is_no_reason_to_write_again(void **state)
{
    struct real_ending ending = REAL_ENDING;
    struct scene scene;
    etcd_error err;

    (void)state;
    open_scene(&scene);
    real_put(scene.client, "other", "connected");
    scene.revision = revision_of(scene.auditor);
    fault_proxy_hold(scene.proxy, FAULT_DOWN);
    assert_ok(etcd_put_async(scene.client, ETCD_STR("counter"), ETCD_STR("v"), NULL, real_on_put, &ending, NULL, &err), &err);
    while (version_of(&scene, "counter") == 0)
        real_sleep_ms(1);
    assert_true(fault_proxy_await_held(scene.proxy, FAULT_DOWN, PATIENCE_MS));
    assert_int_equal(real_times_ended(&ending), 0);
    fault_proxy_reset(scene.proxy);
    fault_proxy_resume(scene.proxy);
    real_await(&ending);
    assert_true(ending.flags & ETCD_ERROR_MAYBE_APPLIED);
    assert_true(fault_proxy_await_count(scene.proxy, 2, PATIENCE_MS));
    etcd_response_free(real_get(scene.client, "counter", NULL)); /* over the next connection */
    assert_int_equal(version_of(&scene, "counter"), 1);
    close_scene(&scene);
}

/* A read in the same position is repeated, and nobody notices. */
static void a_lost_answer_to_a_read_is_got_again(void **state)
{
    struct real_ending ending = REAL_ENDING;
    const etcd_get_response *get;
    struct scene scene;
    etcd_error err;

    (void)state;
    open_scene(&scene);
    real_put(scene.client, "key", "value");
    fault_proxy_hold(scene.proxy, FAULT_DOWN);
    assert_ok(etcd_get_async(scene.client, ETCD_STR("key"), NULL, real_on_get, &ending, NULL, &err), &err);
    assert_true(fault_proxy_await_held(scene.proxy, FAULT_DOWN, PATIENCE_MS));
    fault_proxy_reset(scene.proxy);
    fault_proxy_resume(scene.proxy);
    real_await(&ending);
    assert_string_equal(ending.message, "");
    get = ending.response;
    assert_text(get->kvs[0].value, "value");
    etcd_response_free(ending.response);
    close_scene(&scene);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(requests_cut_at_each_byte),
    cmocka_unit_test(answers_cut_at_each_byte),
    cmocka_unit_test(resets_in_a_crowd),
    cmocka_unit_test(a_lost_answer_is_no_reason_to_write_again),
    cmocka_unit_test(a_lost_answer_to_a_read_is_got_again),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
