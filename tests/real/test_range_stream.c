/* Large ranges: as a stream from servers 3.7 on, else in pages; the same key-values either way, whatever happens on the way. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/fault_proxy.h"
#include "real.h"

enum { N = 6000, PER_TXN = 100 };

/* Pages that came in each way. */
struct counts {
    atomic_int calls, streamed;
};

static void count(const etcd_call_info *info, void *arg)
{
    struct counts *counts = arg;

    if (info->event != ETCD_CALL_EVENT_END || info->code != ETCD_OK)
        return;
    if (strcmp(info->method, "/etcdserverpb.KV/RangeStream") == 0)
        atomic_fetch_add(&counts->streamed, 1);
    else if (strcmp(info->method, "/etcdserverpb.KV/Range") == 0)
        atomic_fetch_add(&counts->calls, 1);
}

static bool server_streams(void)
{
    return etcd_server_minor(real_server()) >= 7;
}

/* A busy machine may make a cluster elect at any time: what failed is tried again for a minute. */
static bool try_again(int rc, int64_t until)
{
    if (rc == ETCD_OK || real_now_ms() > until)
        return false;
    real_sleep_ms(50);
    return true;
}

/* Keys "k/00000" ..., every 50th with a large value. */
static void fill(etcd_client *client, int n, size_t value_len, size_t large_len)
{
    char *value = malloc(large_len + value_len + 1);
    int64_t until = real_now_ms() + 60000;

    assert_non_null(value);
    memset(value, 'v', large_len + value_len);
    for (int i = 0; i < n;) {
        etcd_txn *txn = etcd_txn_new(client);
        etcd_error err;
        int rc;

        for (int ops = 0; ops < PER_TXN && i < n; ops++, i++) {
            char key[16];

            snprintf(key, sizeof key, "k/%05d", i);
            etcd_txn_put(txn, ETCD_STR(key), value, i % 50 == 7 ? large_len : value_len, NULL);
        }
        do
            rc = etcd_txn_commit(txn, ETCD_CALL(.timeout_ms = 30000), NULL, &err);
        while (try_again(rc, until));
        assert_ok(rc, &err);
        etcd_txn_free(txn);
    }
    free(value);
}

/* Checks that the page is what `whole` has from `next` on; frees it. */
static size_t check_page(etcd_get_response *page, const etcd_get_response *whole, size_t next)
{
    assert_true(page->n_kvs > 0 && next + page->n_kvs <= whole->n_kvs);
    assert_true(page->header.revision >= whole->header.revision && page->header.member_id != 0);
    for (size_t i = 0; i < page->n_kvs; i++, next++) {
        const etcd_kv *a = &page->kvs[i], *b = &whole->kvs[next];

        assert_int_equal(a->key.len, b->key.len);
        assert_memory_equal(a->key.data, b->key.data, a->key.len);
        assert_int_equal(a->value.len, b->value.len);
        assert_memory_equal(a->value.data, b->value.data, a->value.len);
        assert_int_equal(a->mod_revision, b->mod_revision);
        assert_int_equal(a->create_revision, b->create_revision);
        assert_int_equal(a->version, b->version);
    }
    assert_int_equal(page->more, next < whole->n_kvs);
    etcd_response_free(page);
    return next;
}

static void read_and_compare(etcd_client *client, const etcd_get_options *options, const etcd_get_response *whole)
{
    etcd_get_response *page;
    etcd_range *range;
    etcd_error err;
    size_t next = 0;
    int rc;

    assert_ok(etcd_range_open(client, ETCD_STR("k/"), options, &range, &err), &err);
    while ((rc = etcd_range_next(range, &page, &err)) == ETCD_OK && page != NULL)
        next = check_page(page, whole, next);
    assert_ok(rc, &err);
    assert_int_equal(next, whole->n_kvs);
    assert_true(etcd_range_done(range));
    etcd_range_free(range);
}

static void streams_and_pages_give_the_same(void **state)
{
    etcd_client *client = real_client(), *counted;
    etcd_get_response *whole, *keys;
    struct counts counts = {0};

    (void)state;
    fill(client, N, 20, 5000);
    whole = real_get(client, "k/", ETCD_GET(.prefix = true));
    keys = real_get(client, "k/", ETCD_GET(.prefix = true, .keys_only = true));
    for (int manual = 0; manual < 2; manual++) {
        counts = (struct counts){0};
        counted = real_client_with(ETCD_CLIENT(.manual = manual, .call_fn = count, .call_arg = &counts));
        read_and_compare(counted, ETCD_GET(.prefix = true), whole);
        if (server_streams()) {
            assert_int_equal(counts.calls, 1);
            assert_true(counts.streamed > 5);
        } else {
            assert_int_equal(counts.calls, N / 1000);
            assert_int_equal(counts.streamed, 0);
        }
        read_and_compare(counted, ETCD_GET(.prefix = true, .keys_only = true), keys);
        read_and_compare(counted, ETCD_GET(.prefix = true, .serializable = true), whole);
        read_and_compare(counted, ETCD_GET(.prefix = true, .revision = whole->header.revision), whole);
        counts = (struct counts){0};
        read_and_compare(counted, ETCD_GET(.prefix = true, .limit = 700), whole);
        read_and_compare(counted, ETCD_GET(.prefix = true, .min_mod_revision = 1), whole);
        assert_int_equal(counts.streamed, 0);
        etcd_client_free(counted);
    }
    etcd_response_free(keys);
    etcd_response_free(whole);
    etcd_client_free(client);
}

struct writer {
    etcd_client *client;
    atomic_bool stop;
    atomic_int writes;
    int failures;
};

static void *write_on(void *arg)
{
    struct writer *writer = arg;
    char key[24];

    for (unsigned i = 0; !atomic_load(&writer->stop); i++) {
        int rc;

        snprintf(key, sizeof key, i % 3 == 2 ? "k/%05u/new" : "k/%05u", i * 2654435761u % N);
        if (i % 3 == 1)
            rc = etcd_delete(writer->client, ETCD_STR(key), NULL, NULL, NULL);
        else
            rc = etcd_put(writer->client, ETCD_STR(key), ETCD_STR("changed"), NULL, NULL, NULL);
        writer->failures += rc < 0;
        atomic_fetch_add(&writer->writes, 1);
    }
    return NULL;
}

/* All of one revision, though the range changes under it. */
static void one_revision_while_others_write(void **state)
{
    etcd_client *client = real_client();
    struct writer writer = {.client = real_client_with(ETCD_CLIENT(.request_timeout_ms = 30000))};
    etcd_get_response *page, *whole;
    etcd_range *range;
    pthread_t thread;
    etcd_error err;
    size_t next = 0;

    (void)state;
    fill(client, N, 20, 500);
    whole = real_get(client, "k/", ETCD_GET(.prefix = true));
    assert_ok(etcd_range_open(client, ETCD_STR("k/"), ETCD_GET(.prefix = true), &range, &err), &err);
    assert_ok(etcd_range_next(range, &page, &err), &err); /* pins the revision */
    next = check_page(page, whole, next);
    assert_int_equal(pthread_create(&thread, NULL, write_on, &writer), 0);
    while (atomic_load(&writer.writes) < 100)
        real_sleep_ms(1);
    while (etcd_range_next(range, &page, &err) == ETCD_OK && page != NULL)
        next = check_page(page, whole, next);
    assert_ok(err.code, &err);
    assert_int_equal(next, whole->n_kvs);
    assert_int_equal(etcd_range_revision(range), whole->header.revision);
    atomic_store(&writer.stop, true);
    pthread_join(thread, NULL);
    assert_int_equal(writer.failures, 0);
    etcd_range_free(range);
    etcd_response_free(whole);
    etcd_client_free(writer.client);
    etcd_client_free(client);
}

/* The first connection breaks after so many bytes, and again and again: nothing is lost or repeated. */
static void a_connection_cut_anywhere(void **state)
{
    etcd_client *client = real_client();
    fault_proxy *proxy = fault_proxy_start(etcd_server_endpoint(real_server(), 0));
    etcd_get_response *whole;
    uint64_t total, step;

    (void)state;
    fill(client, N, 20, 500);
    whole = real_get(client, "k/", ETCD_GET(.prefix = true));
    etcd_client_free(client);
    client = real_client_with(ETCD_CLIENT(.endpoints = fault_proxy_endpoint(proxy)));
    read_and_compare(client, ETCD_GET(.prefix = true), whole);
    etcd_client_free(client);
    total = fault_proxy_passed(proxy, 0, FAULT_DOWN);
    assert_true(total > 100000);
    step = total / 60;
    for (uint64_t at = 200; at < total; at += step) {
        fault_proxy_cut_next(proxy, FAULT_DOWN, at);
        fault_proxy_cut_next(proxy, FAULT_DOWN, at / 2 + 1);
        client = real_client_with(ETCD_CLIENT(.endpoints = fault_proxy_endpoint(proxy), .backoff_base_ms = 1, .backoff_max_ms = 1,
                                              .request_timeout_ms = 60000));
        read_and_compare(client, ETCD_GET(.prefix = true), whole);
        etcd_client_free(client);
    }
    fault_proxy_stop(proxy);
    etcd_response_free(whole);
}

/* More than fits the stream's window is not on its way when the revision is compacted. */
static void a_compaction_in_the_middle_is_told(void **state)
{
    etcd_client *client = real_client();
    etcd_get_response *page, *whole;
    etcd_range *range;
    etcd_error err;
    size_t next = 0;
    int64_t revision;
    int rc;

    (void)state;
    fill(client, 4000, 8000, 8000);
    whole = real_get(client, "k/", ETCD_GET(.prefix = true, .keys_only = true));
    assert_ok(
        etcd_range_open(client, ETCD_STR("k/"), ETCD_GET(.prefix = true, .call = ETCD_CALL(.timeout_ms = 30000)), &range, &err),
        &err);
    for (int i = 0; i < 2; i++) {
        assert_ok(etcd_range_next(range, &page, &err), &err);
        next += page->n_kvs;
        etcd_response_free(page);
    }
    revision = real_put(client, "k/00000", "changed");
    assert_ok(etcd_compact(client, revision, ETCD_COMPACT(.physical = true), NULL, &err), &err);
    while ((rc = etcd_range_next(range, &page, &err)) == ETCD_OK && page != NULL)
        for (size_t i = 0; i <= page->n_kvs; i++) {
            if (i == page->n_kvs) {
                etcd_response_free(page);
                break;
            }
            assert_memory_equal(page->kvs[i].key.data, whole->kvs[next++].key.data, page->kvs[i].key.len);
        }
    assert_error(rc, &err, ETCD_ERR_COMPACTED, "has been compacted");
    assert_true(next < whole->n_kvs);
    assert_false(etcd_range_done(range));
    etcd_range_free(range);
    etcd_response_free(whole);
    etcd_client_free(client);
}

/* With a lease of its own. */
static etcd_campaign_response *lead(etcd_client *client, const char *value)
{
    int64_t until = real_now_ms() + 60000;
    etcd_campaign_response *leader;
    etcd_error err;
    int rc;

    do
        rc = etcd_lease_grant(client, 600, ETCD_LEASE_GRANT(.id = 0x1ead), NULL, &err);
    while (rc != ETCD_ERR_LEASE_EXIST && try_again(rc, until));
    if (rc != ETCD_ERR_LEASE_EXIST) /* granted by the try before */
        assert_ok(rc, &err);
    do
        rc = etcd_campaign(client, ETCD_STR("vote"), 0x1ead, ETCD_STR(value), NULL, &leader, &err);
    while (try_again(rc, until));
    assert_ok(rc, &err);
    return leader;
}

static void proclaim(etcd_client *client, const etcd_leader_key *leader, const char *value)
{
    int64_t until = real_now_ms() + 60000;
    etcd_error err;
    int rc;

    do
        rc = etcd_proclaim(client, leader, ETCD_STR(value), NULL, NULL, &err);
    while (try_again(rc, until));
    assert_ok(rc, &err);
}

/* The member that serves the stream dies, or hangs: the range goes on at another, and so does an observer of an election. */
static void a_member_that_fails_is_left(void **state)
{
    struct etcd_server *server = etcd_server_start(&(struct etcd_server_options){.members = 3});
    etcd_client *client = real_client_with(ETCD_CLIENT(.endpoints = etcd_server_endpoints(server), .request_timeout_ms = 60000));
    etcd_campaign_response *leader;
    etcd_observe *observe;
    etcd_leader_response *seen;
    etcd_get_response *whole, *page;
    etcd_error err;

    (void)state;
    fill(client, N, 2000, 2000);
    whole = real_get(client, "k/", ETCD_GET(.prefix = true));
    leader = lead(client, "before");
    assert_ok(etcd_observe_open(client, ETCD_STR("vote"), NULL, &observe, &err), &err);
    assert_ok(etcd_observe_next(observe, 60000, &seen, &err), &err);
    etcd_response_free(seen);
    for (int member = 0; member < 3; member++) { /* one of them has the streams */
        etcd_range *range;
        size_t next = 0;
        int rc;

        assert_ok(etcd_range_open(client, ETCD_STR("k/"), ETCD_GET(.prefix = true), &range, &err), &err);
        for (int i = 0; i < 3; i++) {
            assert_ok(etcd_range_next(range, &page, &err), &err);
            next = check_page(page, whole, next);
        }
        assert_int_equal(etcd_server_signal(server, member, member == 1 ? SIGSTOP : SIGKILL), 0);
        while ((rc = etcd_range_next(range, &page, &err)) == ETCD_OK && page != NULL)
            next = check_page(page, whole, next);
        assert_ok(rc, &err);
        assert_int_equal(next, whole->n_kvs);
        etcd_range_free(range);
        if (member == 1)
            assert_int_equal(etcd_server_signal(server, member, SIGCONT), 0);
        else
            assert_int_equal(etcd_server_restart(server, member), 0);
        assert_int_equal(etcd_server_await_healthy(server, -1, 60000), 0);
    }
    proclaim(client, &leader->leader, "after");
    assert_ok(etcd_observe_next(observe, 60000, &seen, &err), &err);
    assert_text(seen->kv.value, "after");
    etcd_response_free(seen);
    etcd_observe_free(observe);
    etcd_response_free(leader);
    etcd_response_free(whole);
    etcd_client_free(client);
    etcd_server_stop(server);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(streams_and_pages_give_the_same), cmocka_unit_test(one_revision_while_others_write),
    cmocka_unit_test(a_connection_cut_anywhere),       cmocka_unit_test(a_compaction_in_the_middle_is_told),
    cmocka_unit_test(a_member_that_fails_is_left),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
