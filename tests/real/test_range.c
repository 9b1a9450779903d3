/* The range iterator: pages of a range as of one revision, whatever others write meanwhile. */
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "real.h"

static etcd_range *open_range(etcd_client *client, const char *key, const etcd_get_options *options)
{
    etcd_range *range = NULL;
    etcd_error err;

    assert_ok(etcd_range_open(client, ETCD_STR(key), options, &range, &err), &err);
    assert_non_null(range);
    assert_int_equal(etcd_range_revision(range), options != NULL ? options->revision : 0);
    return range;
}

/* The next page, NULL at the end. */
static etcd_get_response *next(etcd_range *range)
{
    etcd_get_response *page = (etcd_get_response *)&range;
    etcd_error err;

    assert_ok(etcd_range_next(range, &page, &err), &err);
    return page;
}

/* Fills "k/0000" ... with values of their number, in transactions. */
static void fill(etcd_client *client, int n)
{
    for (int i = 0; i < n;) {
        etcd_txn *txn = etcd_txn_new(client);
        etcd_error err;

        for (int ops = 0; ops < 100 && i < n; ops++, i++) {
            char key[16], value[16];

            snprintf(key, sizeof key, "k/%04d", i);
            snprintf(value, sizeof value, "%d", i);
            etcd_txn_put(txn, ETCD_STR(key), ETCD_STR(value), NULL);
        }
        assert_ok(etcd_txn_commit(txn, NULL, NULL, &err), &err);
        etcd_txn_free(txn);
    }
}

/* Reads the rest; all keys k/<first>... must come in order with their first values. Returns how many pages came. */
static int expect_rest(etcd_range *range, int first, int n, size_t page_size)
{
    etcd_get_response *page;
    int pages = 0;

    while ((page = next(range)) != NULL) {
        pages++;
        assert_true(page->n_kvs <= page_size);
        assert_true(page->n_kvs > 0);
        for (size_t i = 0; i < page->n_kvs; i++, first++) {
            char key[16], value[16];

            snprintf(key, sizeof key, "k/%04d", first);
            snprintf(value, sizeof value, "%d", first);
            assert_text(page->kvs[i].key, key);
            assert_text(page->kvs[i].value, value);
        }
        etcd_response_free(page);
    }
    assert_int_equal(first, n);
    assert_true(etcd_range_done(range));
    assert_null(next(range)); /* the end stays the end */
    return pages;
}

struct writer {
    etcd_client *client;
    atomic_bool stop;
    atomic_int writes;
    int failures;
};

/* Changes, deletes and adds keys in the range as fast as it can. */
static void *write_on(void *arg)
{
    struct writer *writer = arg;
    char key[24];

    for (int i = 0; !atomic_load(&writer->stop); i++) {
        int rc, number = (int)((unsigned)i * 2654435761u % 3500);

        snprintf(key, sizeof key, i % 3 == 2 ? "k/%04d/new" : "k/%04d", number);
        if (i % 3 == 1)
            rc = etcd_delete(writer->client, ETCD_STR(key), NULL, NULL, NULL);
        else
            rc = etcd_put(writer->client, ETCD_STR(key), ETCD_STR("changed"), NULL, NULL, NULL);
        writer->failures += rc < 0;
        atomic_fetch_add(&writer->writes, 1);
    }
    return NULL;
}

static void pages_show_one_revision_while_others_write(void **state)
{
    etcd_client *client = real_client();
    struct writer writer = {.client = real_client_with(ETCD_CLIENT())};
    etcd_range *range;
    etcd_get_response *first;
    pthread_t thread;
    int64_t revision;

    (void)state;
    fill(client, 3500);
    range = open_range(client, "k/", ETCD_GET(.prefix = true, .limit = 100));
    first = next(range); /* pins the revision */
    revision = first->header.revision;
    assert_int_equal(first->n_kvs, 100);
    assert_int_equal(first->count, 3500);
    assert_int_equal(etcd_range_revision(range), revision);
    etcd_response_free(first);
    assert_int_equal(pthread_create(&thread, NULL, write_on, &writer), 0);
    while (atomic_load(&writer.writes) < 300)
        real_sleep_ms(1);
    assert_int_equal(expect_rest(range, 100, 3500, 100), 34);
    assert_int_equal(etcd_range_revision(range), revision);
    atomic_store(&writer.stop, true);
    pthread_join(thread, NULL);
    assert_int_equal(writer.failures, 0);
    etcd_range_free(range);
    etcd_client_free(writer.client);
    etcd_client_free(client);
}

static void a_given_revision_pins_the_pages(void **state)
{
    etcd_client *client = real_client();
    etcd_range *range;
    int64_t revision;

    (void)state;
    fill(client, 250);
    revision = real_put(client, "marker", "x");
    real_put(client, "k/0100", "changed");
    real_delete(client, "k/0200");
    range = open_range(client, "k/", ETCD_GET(.prefix = true, .limit = 60, .revision = revision));
    assert_int_equal(expect_rest(range, 0, 250, 60), 5);
    assert_int_equal(etcd_range_revision(range), revision);
    etcd_range_free(range);
    etcd_client_free(client);
}

static void pages_are_as_big_as_asked(void **state)
{
    static const struct {
        int64_t limit;
        int pages;
    } cases[] = {{1, 30}, {7, 5}, {10, 3}, {29, 2}, {30, 1}, {31, 1}, {0, 1}};
    etcd_client *client = real_client();

    (void)state;
    fill(client, 30);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        etcd_range *range = open_range(client, "k/", ETCD_GET(.prefix = true, .limit = cases[i].limit));

        assert_int_equal(expect_rest(range, 0, 30, cases[i].limit > 0 ? (size_t)cases[i].limit : 1000), cases[i].pages);
        etcd_range_free(range);
    }
    etcd_client_free(client);
}

static void pages_have_1000_keys_by_default(void **state)
{
    etcd_client *client = real_client();
    etcd_range *range;
    etcd_get_response *page;

    (void)state;
    fill(client, 2001);
    range = open_range(client, "k/", ETCD_GET(.prefix = true));
    page = next(range);
    assert_int_equal(page->n_kvs, 1000);
    assert_true(page->more);
    etcd_response_free(page);
    assert_int_equal(expect_rest(range, 1000, 2001, 1000), 2);
    etcd_range_free(range);
    etcd_client_free(client);
}

static void an_empty_range_ends_at_once(void **state)
{
    etcd_client *client = real_client();
    etcd_range *range = open_range(client, "none/", ETCD_GET(.prefix = true));
    etcd_get_response *page = next(range);

    (void)state;
    if (page != NULL) { /* an empty page is allowed, as it carries the revision */
        assert_int_equal(page->n_kvs, 0);
        etcd_response_free(page);
        assert_null(next(range));
    }
    assert_true(etcd_range_revision(range) > 0);
    etcd_range_free(range);
    etcd_client_free(client);
}

static void all_kinds_of_ranges_are_paged(void **state)
{
    etcd_client *client = real_client();
    etcd_get_response *page;
    etcd_range *range;

    (void)state;
    fill(client, 12);
    range = open_range(client, "k/0003", ETCD_GET(.range_end = "k/0008", .range_end_len = 6, .limit = 2));
    assert_int_equal(expect_rest(range, 3, 8, 2), 3);
    etcd_range_free(range);
    range = open_range(client, "k/0007", ETCD_GET(.from_key = true, .limit = 2));
    assert_int_equal(expect_rest(range, 7, 12, 2), 3);
    etcd_range_free(range);
    range = open_range(client, "", ETCD_GET(.prefix = true, .limit = 5));
    assert_int_equal(expect_rest(range, 0, 12, 5), 3);
    etcd_range_free(range);
    range = open_range(client, "k/0005", NULL); /* one key is a range, too */
    page = next(range);
    assert_keys(page, "k/0005");
    assert_null(next(range));
    etcd_range_free(range);
    etcd_client_free(client);
}

static void options_hold_on_every_page(void **state)
{
    etcd_client *client = real_client();
    etcd_range *range;
    etcd_get_response *page;
    size_t n = 0;

    (void)state;
    fill(client, 25);
    range = open_range(
        client, "k/",
        ETCD_GET(.prefix = true, .limit = 10, .keys_only = true, .serializable = true, .call = ETCD_CALL(.timeout_ms = 3000)));
    while ((page = next(range)) != NULL) {
        for (size_t i = 0; i < page->n_kvs; i++, n++)
            assert_text(page->kvs[i].value, "");
        etcd_response_free(page);
    }
    assert_int_equal(n, 25);
    etcd_range_free(range);
    etcd_client_free(client);
}

static void revision_filters_do_not_end_the_pages_early(void **state)
{
    etcd_client *client = real_client();
    etcd_range *range;
    etcd_get_response *page;
    char found[256] = "", *end = found;
    int64_t revision;

    (void)state;
    fill(client, 40);
    revision = real_put(client, "k/0003", "new");
    real_put(client, "k/0021", "new");
    real_put(client, "k/0039", "new");
    range = open_range(client, "k/", ETCD_GET(.prefix = true, .limit = 5, .min_mod_revision = revision));
    while ((page = next(range)) != NULL) {
        for (size_t i = 0; i < page->n_kvs && end - found < 200; i++)
            end += snprintf(end, 50, "%s ", page->kvs[i].key.data);
        etcd_response_free(page);
    }
    assert_string_equal(found, "k/0003 k/0021 k/0039 ");
    etcd_range_free(range);
    etcd_client_free(client);
}

static void binary_keys_at_the_borders_come_once(void **state)
{
    static const struct {
        const char *data;
        size_t len;
    } keys[] = {{"b", 1}, {"b\0", 2}, {"b\0\0", 3}, {"b\0\x01", 3}, {"b\x01", 2}, {"b\xff", 2}, {"b\xff\xff", 3}};
    etcd_client *client = real_client();
    etcd_error err;

    (void)state;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        assert_ok(etcd_put(client, keys[i].data, keys[i].len, ETCD_STR("x"), NULL, NULL, &err), &err);
    for (int64_t limit = 1; limit <= 3; limit++) {
        etcd_range *range = open_range(client, "b", ETCD_GET(.prefix = true, .limit = limit));
        etcd_get_response *page;
        size_t n = 0;

        while ((page = next(range)) != NULL) {
            for (size_t i = 0; i < page->n_kvs; i++, n++)
                assert_bytes(page->kvs[i].key, keys[n].data, keys[n].len);
            etcd_response_free(page);
        }
        assert_int_equal(n, sizeof keys / sizeof keys[0]);
        etcd_range_free(range);
    }
    etcd_client_free(client);
}

/* ---- errors ---- */

static void a_compaction_below_the_pages_is_told(void **state)
{
    etcd_client *client = real_client();
    etcd_get_response *page = (etcd_get_response *)&client;
    etcd_range *range;
    etcd_error err;
    int64_t revision;

    (void)state;
    fill(client, 30);
    range = open_range(client, "k/", ETCD_GET(.prefix = true, .limit = 10));
    etcd_response_free(next(range));
    revision = real_put(client, "k/0020", "changed");
    assert_ok(etcd_compact(client, revision, NULL, NULL, &err), &err);
    assert_error(etcd_range_next(range, &page, &err), &err, ETCD_ERR_COMPACTED, "has been compacted");
    assert_null(page);
    assert_false(etcd_range_done(range));
    etcd_range_free(range);
    etcd_client_free(client);
}

static void a_page_that_failed_can_be_asked_for_again(void **state)
{
    etcd_client *client = real_client();
    etcd_get_response *page = (etcd_get_response *)&client;
    etcd_range *range;
    etcd_error err;

    (void)state;
    fill(client, 30);
    range =
        open_range(client, "k/", ETCD_GET(.prefix = true, .limit = 10, .call = ETCD_CALL(.timeout_ms = 200 * real_slowdown())));
    etcd_response_free(next(range));
    etcd_server_signal(real_server(), 0, SIGSTOP);
    assert_error(etcd_range_next(range, &page, &err), &err, ETCD_ERR_DEADLINE_EXCEEDED, "context deadline exceeded");
    assert_null(page);
    etcd_server_signal(real_server(), 0, SIGCONT);
    assert_int_equal(etcd_server_await_healthy(real_server(), 0, 10000), 0);
    assert_int_equal(expect_rest(range, 10, 30, 10), 2);
    etcd_range_free(range);
    etcd_client_free(client);
}

static void what_has_no_pages_is_refused(void **state)
{
    static const struct {
        etcd_get_options options;
        int code;
        const char *text;
    } bad[] = {
        {{.size = sizeof(etcd_get_options), .sort_order = ETCD_SORT_DESCEND}, ETCD_ERR_ARGUMENT, "order of the keys"},
        {{.size = sizeof(etcd_get_options), .sort_target = ETCD_SORT_MOD}, ETCD_ERR_ARGUMENT, "order of the keys"},
        {{.size = sizeof(etcd_get_options), .pick = ETCD_PICK_LAST_KEY}, ETCD_ERR_ARGUMENT, "pick"},
        {{.size = sizeof(etcd_get_options), .count_only = true}, ETCD_ERR_ARGUMENT, "count_only"},
        {{.size = sizeof(etcd_get_options), .limit = -1}, ETCD_ERR_ARGUMENT, "limit"},
        {{.size = sizeof(etcd_get_options), .prefix = true, .from_key = true}, ETCD_ERR_ARGUMENT, "exclude each other"},
        {{.size = 0}, ETCD_ERR_ARGUMENT, "size"},
    };
    etcd_client *client = real_client();
    etcd_range *range;
    etcd_error err;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        range = (etcd_range *)&err;
        assert_error(etcd_range_open(client, ETCD_STR("k"), &bad[i].options, &range, &err), &err, bad[i].code, bad[i].text);
        assert_null(range);
    }
    assert_error(etcd_range_open(client, "", 0, NULL, &range, &err), &err, ETCD_ERR_EMPTY_KEY, "prefix or from_key");
    assert_error(etcd_range_open(NULL, ETCD_STR("k"), NULL, &range, &err), &err, ETCD_ERR_ARGUMENT, "client is NULL");
    assert_error(etcd_range_open(client, ETCD_STR("k"), NULL, NULL, &err), &err, ETCD_ERR_ARGUMENT, "out is NULL");
    assert_int_equal(etcd_range_revision(NULL), 0);
    etcd_client_free(client);
}

static void a_range_outlives_its_client(void **state)
{
    etcd_client *client = real_client();
    etcd_range *range;
    etcd_get_response *page = (etcd_get_response *)&client;
    etcd_error err;

    (void)state;
    fill(client, 5);
    range = open_range(client, "k/", ETCD_GET(.prefix = true, .limit = 2));
    etcd_client_free(client);
    assert_error(etcd_range_next(range, &page, &err), &err, ETCD_ERR_CLOSED, NULL);
    assert_null(page);
    etcd_range_free(range);
}

/* ---- pages by callback ---- */

struct pages {
    etcd_range *range;
    int n, errors;
    size_t n_kvs;
    bool done;
};

static void on_page(etcd_client *client, etcd_get_response *page, const etcd_error *err, void *arg)
{
    struct pages *pages = arg;

    (void)client;
    pages->n++;
    pages->errors += err != NULL;
    pages->n_kvs += page != NULL ? page->n_kvs : 0;
    etcd_response_free(page);
    pages->done = etcd_range_done(pages->range);
    if (!pages->done && err == NULL && etcd_range_next_async(pages->range, on_page, pages, NULL, NULL) < 0)
        pages->errors++;
}

static void pages_come_by_callback(void **state)
{
    etcd_client *client = real_client(), *manual = real_client_with(ETCD_CLIENT(.manual = true));
    struct pages pages = {0};
    etcd_error err;

    (void)state;
    fill(client, 95);
    pages.range = open_range(manual, "k/", ETCD_GET(.prefix = true, .limit = 10));
    assert_ok(etcd_range_next_async(pages.range, on_page, &pages, NULL, &err), &err);
    assert_error(etcd_range_next_async(pages.range, on_page, &pages, NULL, &err), &err, ETCD_ERR_ARGUMENT, "under way");
    while (!pages.done && pages.errors == 0)
        assert_ok(etcd_client_process(manual, -1, &err), &err);
    assert_int_equal(pages.errors, 0);
    assert_int_equal(pages.n, 10);
    assert_int_equal(pages.n_kvs, 95);
    assert_error(etcd_range_next_async(pages.range, on_page, &pages, NULL, &err), &err, ETCD_ERR_ARGUMENT, "at its end");
    etcd_range_free(pages.range);
    etcd_client_free(manual);
    etcd_client_free(client);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(pages_show_one_revision_while_others_write),
    cmocka_unit_test(a_given_revision_pins_the_pages),
    cmocka_unit_test(pages_are_as_big_as_asked),
    cmocka_unit_test(pages_have_1000_keys_by_default),
    cmocka_unit_test(an_empty_range_ends_at_once),
    cmocka_unit_test(all_kinds_of_ranges_are_paged),
    cmocka_unit_test(options_hold_on_every_page),
    cmocka_unit_test(revision_filters_do_not_end_the_pages_early),
    cmocka_unit_test(binary_keys_at_the_borders_come_once),
    cmocka_unit_test(a_compaction_below_the_pages_is_told),
    cmocka_unit_test(a_page_that_failed_can_be_asked_for_again),
    cmocka_unit_test(what_has_no_pages_is_refused),
    cmocka_unit_test(a_range_outlives_its_client),
    cmocka_unit_test(pages_come_by_callback),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
