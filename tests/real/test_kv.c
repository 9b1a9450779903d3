/* Reading: every option of etcd_get() against a real server. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "real.h"

static void a_key_is_read_with_its_history(void **state)
{
    etcd_client *client = real_client();
    int64_t first = real_put(client, "key", "one"), second = real_put(client, "key", "two");
    etcd_get_response *get = real_get(client, "key", NULL);

    (void)state;
    assert_int_equal(second, first + 1);
    assert_int_equal(get->n_kvs, 1);
    assert_int_equal(get->count, 1);
    assert_false(get->more);
    assert_text(get->kvs[0].key, "key");
    assert_text(get->kvs[0].value, "two");
    assert_int_equal(get->kvs[0].create_revision, first);
    assert_int_equal(get->kvs[0].mod_revision, second);
    assert_int_equal(get->kvs[0].version, 2);
    assert_int_equal(get->kvs[0].lease, 0);
    assert_int_equal(get->header.revision, second);
    assert_true(get->header.cluster_id != 0);
    assert_true(get->header.member_id != 0);
    assert_true(get->header.raft_term > 0);
    etcd_response_free(get);
    etcd_client_free(client);
}

static void a_missing_key_is_a_success_without_kvs(void **state)
{
    etcd_client *client = real_client();
    etcd_get_response *get = real_get(client, "missing", NULL);

    (void)state;
    assert_int_equal(get->n_kvs, 0);
    assert_int_equal(get->count, 0);
    assert_false(get->more);
    assert_true(get->header.revision > 0);
    etcd_response_free(get);
    etcd_client_free(client);
}

static void the_response_may_be_left_out(void **state)
{
    etcd_client *client = real_client();
    etcd_error err;

    (void)state;
    assert_ok(etcd_put(client, ETCD_STR("key"), ETCD_STR("value"), NULL, NULL, &err), &err);
    assert_ok(etcd_get(client, ETCD_STR("key"), NULL, NULL, &err), &err);
    assert_int_equal(etcd_get(client, ETCD_STR("key"), NULL, NULL, NULL), ETCD_OK);
    assert_ok(etcd_delete(client, ETCD_STR("key"), NULL, NULL, &err), &err);
    etcd_client_free(client);
}

/* ---- sorting ---- */

static int sort_target, sort_sign;

static int compare_int64(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int compare_kvs(const void *left, const void *right)
{
    const etcd_kv *a = left, *b = right;

    switch (sort_target) {
    case ETCD_SORT_KEY:
        return sort_sign * strcmp(a->key.data, b->key.data);
    case ETCD_SORT_VERSION:
        return sort_sign * compare_int64(a->version, b->version);
    case ETCD_SORT_CREATE:
        return sort_sign * compare_int64(a->create_revision, b->create_revision);
    case ETCD_SORT_MOD:
        return sort_sign * compare_int64(a->mod_revision, b->mod_revision);
    default:
        return sort_sign * strcmp(a->value.data, b->value.data);
    }
}

/* Five keys whose order differs with each target: version, creation, modification and value are permutations of their own. */
static void make_sortable(etcd_client *client)
{
    static const char *const created[] = {"s/c", "s/a", "s/e", "s/b", "s/d"};
    static const char *const written[] = {"s/e", "s/d", "s/e", "s/b", "s/e", "s/d", "s/b", "s/d", "s/a", "s/d"};

    for (size_t i = 0; i < 5; i++)
        real_put(client, created[i], "x");
    for (size_t i = 0; i < 10; i++)
        real_put(client, written[i], "x");
    for (size_t i = 0; i < 5; i++) {
        static const char *const last[][2] = {{"s/b", "v4"}, {"s/e", "v1"}, {"s/a", "v5"}, {"s/d", "v2"}, {"s/c", "v3"}};
        real_put(client, last[i][0], last[i][1]);
    }
}

static void sorts_by_each_target_in_each_order(void **state)
{
    etcd_client *client = real_client();
    etcd_get_response *plain;

    (void)state;
    make_sortable(client);
    plain = real_get(client, "s/", ETCD_GET(.prefix = true));
    assert_int_equal(plain->n_kvs, 5);
    for (sort_target = ETCD_SORT_KEY; sort_target <= ETCD_SORT_VALUE; sort_target++)
        for (int order = ETCD_SORT_NONE; order <= ETCD_SORT_DESCEND; order++) {
            etcd_get_response *get =
                real_get(client, "s/", ETCD_GET(.prefix = true, .sort_order = order, .sort_target = sort_target));
            etcd_kv expected[5];

            memcpy(expected, plain->kvs, sizeof expected);
            sort_sign = order == ETCD_SORT_DESCEND ? -1 : 1; /* without an order, a target sorts upwards */
            qsort(expected, 5, sizeof expected[0], compare_kvs);
            assert_int_equal(get->n_kvs, 5);
            for (size_t i = 0; i < 5; i++)
                assert_text(get->kvs[i].key, expected[i].key.data);
            etcd_response_free(get);
        }
    etcd_response_free(plain);
    etcd_client_free(client);
}

static void sorts_before_the_limit_cuts(void **state)
{
    etcd_client *client = real_client();
    etcd_get_response *get;

    (void)state;
    make_sortable(client);
    get = real_get(client, "s/",
                   ETCD_GET(.prefix = true, .limit = 2, .sort_order = ETCD_SORT_DESCEND, .sort_target = ETCD_SORT_VALUE));
    assert_true(get->more);
    assert_int_equal(get->count, 5);
    assert_keys(get, "s/a s/b");
    etcd_client_free(client);
}

static void picks_are_the_ends_of_each_order(void **state)
{
    static const struct {
        int pick;
        const char *key;
    } picks[] = {
        {ETCD_PICK_FIRST_CREATE, "s/c"}, {ETCD_PICK_LAST_CREATE, "s/d"}, {ETCD_PICK_FIRST_KEY, "s/a"},
        {ETCD_PICK_LAST_KEY, "s/e"},     {ETCD_PICK_FIRST_REV, "s/b"},   {ETCD_PICK_LAST_REV, "s/c"},
    };
    etcd_client *client = real_client();

    (void)state;
    make_sortable(client);
    real_put(client, "other", "must not be picked");
    for (size_t i = 0; i < sizeof picks / sizeof picks[0]; i++) {
        assert_keys(real_get(client, "s/", ETCD_GET(.pick = picks[i].pick)), picks[i].key);
        assert_keys(real_get(client, "none/", ETCD_GET(.pick = picks[i].pick)), "");
    }
    assert_keys(real_get(client, "", ETCD_GET(.pick = ETCD_PICK_FIRST_KEY)), "other");
    assert_keys(real_get(client, "", ETCD_GET(.pick = ETCD_PICK_ALL, .prefix = true)), "other s/a s/b s/c s/d s/e");
    etcd_client_free(client);
}

/* ---- ranges ---- */

static void a_prefix_takes_exactly_its_keys(void **state)
{
    static const char *const keys[] = {"a",
                                       "a\xff",
                                       "a\xff\xff",
                                       "a\xff"
                                       "b",
                                       "b",
                                       "p",
                                       "p/",
                                       "p/1",
                                       "p0",
                                       "\xff",
                                       "\xff\xff",
                                       "\xff\xff\x01",
                                       "\xff"
                                       "a"};
    etcd_client *client = real_client();

    (void)state;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        real_put(client, keys[i], "x");
    assert_keys(real_get(client, "p/", ETCD_GET(.prefix = true)), "p/ p/1");
    assert_keys(real_get(client, "p", ETCD_GET(.prefix = true)), "p p/ p/1 p0");
    assert_keys(real_get(client, "a\xff", ETCD_GET(.prefix = true)), "a\xff a\xff"
                                                                     "b a\xff\xff");
    assert_keys(real_get(client, "\xff", ETCD_GET(.prefix = true)), "\xff \xff"
                                                                    "a \xff\xff \xff\xff\x01");
    assert_keys(real_get(client, "\xff\xff", ETCD_GET(.prefix = true)), "\xff\xff \xff\xff\x01");
    assert_keys(real_get(client, "q", ETCD_GET(.prefix = true)), "");
    assert_keys(real_get(client, "", ETCD_GET(.prefix = true, .limit = 3)), "a a\xff a\xff"
                                                                            "b");
    etcd_client_free(client);
}

static void an_empty_prefix_is_the_whole_keyspace(void **state)
{
    etcd_client *client = real_client();
    etcd_error err;
    etcd_get_response *get;

    (void)state;
    assert_ok(etcd_put(client, "\0", 1, ETCD_STR("lowest"), NULL, NULL, &err), &err);
    real_put(client, "middle", "x");
    real_put(client, "\xff\xff\xff", "x");
    get = real_get(client, "", ETCD_GET(.prefix = true));
    assert_int_equal(get->n_kvs, 3);
    assert_bytes(get->kvs[0].key, "\0", 1);
    assert_text(get->kvs[2].key, "\xff\xff\xff");
    etcd_response_free(get);
    get = real_get(client, "", ETCD_GET(.from_key = true));
    assert_int_equal(get->n_kvs, 3);
    etcd_response_free(get);
    etcd_client_free(client);
}

static void from_key_and_range_end_bound_the_keys(void **state)
{
    etcd_client *client = real_client();

    (void)state;
    for (const char *key = "abcde"; *key != '\0'; key++)
        real_put(client, (const char[]){*key, '\0'}, "x");
    assert_keys(real_get(client, "c", ETCD_GET(.from_key = true)), "c d e");
    assert_keys(real_get(client, "bb", ETCD_GET(.from_key = true)), "c d e");
    assert_keys(real_get(client, "b", ETCD_GET(.range_end = "d", .range_end_len = 1)), "b c");
    assert_keys(real_get(client, "b", ETCD_GET(.range_end = "da", .range_end_len = 2)), "b c d");
    assert_keys(real_get(client, "b", ETCD_GET(.range_end = "", .range_end_len = 1)), "b c d e");
    assert_keys(real_get(client, "d", ETCD_GET(.range_end = "b", .range_end_len = 1)), "");
    etcd_client_free(client);
}

static void prefix_range_end_is_the_key_behind_the_prefix(void **state)
{
    static const struct {
        const char *prefix;
        size_t len;
        const char *end;
        size_t end_len;
    } cases[] = {
        {"a", 1, "b", 1},     {"ab", 2, "ac", 2},       {"a\xff", 2, "b", 1}, {"a\xff\xff", 3, "b", 1}, {"\xfe", 1, "\xff", 1},
        {"\xff", 1, "\0", 1}, {"\xff\xff", 2, "\0", 1}, {"", 0, "\0", 1},     {"a\0", 2, "a\x01", 2},   {"\x7f", 1, "\x80", 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char end[4] = "???";
        assert_int_equal(etcd_prefix_range_end(cases[i].prefix, cases[i].len, end), cases[i].end_len);
        assert_memory_equal(end, cases[i].end, cases[i].end_len);
    }
}

static void a_limit_tells_of_more(void **state)
{
    etcd_client *client = real_client();
    etcd_get_response *get;
    char key[8];

    (void)state;
    for (int i = 0; i < 10; i++) {
        snprintf(key, sizeof key, "k%d", i);
        real_put(client, key, "x");
    }
    get = real_get(client, "k", ETCD_GET(.prefix = true, .limit = 3));
    assert_true(get->more);
    assert_int_equal(get->count, 10);
    assert_keys(get, "k0 k1 k2");
    get = real_get(client, "k", ETCD_GET(.prefix = true, .limit = 10));
    assert_false(get->more);
    assert_int_equal(get->n_kvs, 10);
    etcd_response_free(get);
    get = real_get(client, "k", ETCD_GET(.prefix = true, .limit = 100));
    assert_false(get->more);
    assert_int_equal(get->n_kvs, 10);
    etcd_response_free(get);
    etcd_client_free(client);
}

/* ---- what comes back ---- */

static void keys_only_leaves_the_values_out(void **state)
{
    etcd_client *client = real_client();
    int64_t revision = real_put(client, "key", "value");
    etcd_get_response *get = real_get(client, "key", ETCD_GET(.keys_only = true));

    (void)state;
    assert_int_equal(get->n_kvs, 1);
    assert_text(get->kvs[0].key, "key");
    assert_text(get->kvs[0].value, "");
    assert_int_equal(get->kvs[0].mod_revision, revision);
    etcd_response_free(get);
    etcd_client_free(client);
}

static void count_only_leaves_the_kvs_out(void **state)
{
    etcd_client *client = real_client();
    etcd_get_response *get;

    (void)state;
    real_put(client, "k1", "x");
    real_put(client, "k2", "x");
    get = real_get(client, "k", ETCD_GET(.prefix = true, .count_only = true));
    assert_int_equal(get->n_kvs, 0);
    assert_int_equal(get->count, 2);
    etcd_response_free(get);
    get = real_get(client, "k", ETCD_GET(.prefix = true, .count_only = true, .keys_only = true));
    assert_int_equal(get->n_kvs, 0);
    assert_int_equal(get->count, 2);
    etcd_response_free(get);
    etcd_client_free(client);
}

static void a_serializable_read_sees_the_members_own_state(void **state)
{
    etcd_client *client = real_client();

    (void)state;
    real_put(client, "key", "value");
    assert_keys(real_get(client, "key", ETCD_GET(.serializable = true)), "key");
    etcd_client_free(client);
}

/* ---- revisions ---- */

static void a_revision_reads_the_past(void **state)
{
    etcd_client *client = real_client();
    int64_t before = real_put(client, "other", "x"), one = real_put(client, "key", "one"), two = real_put(client, "key", "two"),
            gone = real_delete(client, "key");
    etcd_get_response *get;
    etcd_error err;

    (void)state;
    get = real_get(client, "key", ETCD_GET(.revision = one));
    assert_text(get->kvs[0].value, "one");
    assert_int_equal(get->header.revision, gone);
    etcd_response_free(get);
    get = real_get(client, "key", ETCD_GET(.revision = two));
    assert_text(get->kvs[0].value, "two");
    etcd_response_free(get);
    assert_keys(real_get(client, "key", ETCD_GET(.revision = before)), "");
    assert_keys(real_get(client, "key", ETCD_GET(.revision = gone)), "");
    get = NULL;
    assert_error(etcd_get(client, ETCD_STR("key"), ETCD_GET(.revision = gone + 1), &get, &err), &err, ETCD_ERR_FUTURE_REV,
                 "required revision is a future revision");
    assert_null(get);
    assert_int_equal(err.grpc_code, 11);
    assert_string_equal(err.endpoint, etcd_server_endpoint(real_server(), 0));
    assert_int_equal(err.flags, 0);
    etcd_client_free(client);
}

static void revision_filters_choose_but_do_not_count(void **state)
{
    etcd_client *client = real_client();
    int64_t a = real_put(client, "f/a", "1"), b = real_put(client, "f/b", "1"), c = real_put(client, "f/c", "1"),
            a2 = real_put(client, "f/a", "2");
    etcd_get_response *get;

    (void)state;
    assert_int_equal(b, a + 1);
    get = real_get(client, "f/", ETCD_GET(.prefix = true, .min_mod_revision = c));
    assert_true(get->count >= 2);
    assert_keys(get, "f/a f/c");
    assert_keys(real_get(client, "f/", ETCD_GET(.prefix = true, .max_mod_revision = c)), "f/b f/c");
    assert_keys(real_get(client, "f/", ETCD_GET(.prefix = true, .min_mod_revision = b, .max_mod_revision = b)), "f/b");
    assert_keys(real_get(client, "f/", ETCD_GET(.prefix = true, .min_mod_revision = a2)), "f/a");
    assert_keys(real_get(client, "f/", ETCD_GET(.prefix = true, .min_mod_revision = a2 + 1)), "");
    assert_keys(real_get(client, "f/", ETCD_GET(.prefix = true, .min_create_revision = b)), "f/b f/c");
    assert_keys(real_get(client, "f/", ETCD_GET(.prefix = true, .max_create_revision = b)), "f/a f/b");
    assert_keys(real_get(client, "f/", ETCD_GET(.prefix = true, .min_create_revision = b, .max_create_revision = b)), "f/b");
    assert_keys(real_get(client, "f/",
                         ETCD_GET(.prefix = true, .max_create_revision = a, .min_mod_revision = a2, .max_mod_revision = a2)),
                "f/a");
    etcd_client_free(client);
}

/* ---- compaction ---- */

static void compaction_takes_the_history_away(void **state)
{
    etcd_client *client = real_client();
    int64_t one = real_put(client, "key", "one"), two = real_put(client, "key", "two");
    etcd_compact_response *compact;
    etcd_get_response *get;
    etcd_error err;

    (void)state;
    assert_ok(etcd_compact(client, two, NULL, &compact, &err), &err);
    assert_int_equal(compact->header.revision, two);
    etcd_response_free(compact);
    get = NULL;
    assert_error(etcd_get(client, ETCD_STR("key"), ETCD_GET(.revision = one), &get, &err), &err, ETCD_ERR_COMPACTED,
                 "required revision has been compacted");
    assert_null(get);
    assert_int_equal(err.grpc_code, 11);
    get = real_get(client, "key", ETCD_GET(.revision = two));
    assert_text(get->kvs[0].value, "two");
    etcd_response_free(get);
    etcd_client_free(client);
}

static void compaction_refuses_the_past_and_the_future(void **state)
{
    etcd_client *client = real_client();
    int64_t revision = real_put(client, "key", "one");
    etcd_compact_response *compact = NULL;
    etcd_error err;

    (void)state;
    assert_error(etcd_compact(client, revision + 100, NULL, &compact, &err), &err, ETCD_ERR_FUTURE_REV, "future revision");
    assert_null(compact);
    assert_int_equal(err.flags & ETCD_ERROR_MAYBE_APPLIED, 0);
    assert_ok(etcd_compact(client, revision, NULL, NULL, &err), &err);
    assert_error(etcd_compact(client, revision, NULL, &compact, &err), &err, ETCD_ERR_COMPACTED, "has been compacted");
    assert_null(compact);
    etcd_client_free(client);
}

static void a_physical_compaction_is_waited_for(void **state)
{
    etcd_client *client = real_client();
    int64_t revision = 0;
    etcd_compact_response *compact;
    etcd_error err;

    (void)state;
    for (int i = 0; i < 50; i++)
        revision = real_put(client, "key", "value");
    assert_ok(etcd_compact(client, revision, ETCD_COMPACT(.physical = true), &compact, &err), &err);
    assert_int_equal(compact->header.revision, revision);
    etcd_response_free(compact);
    assert_error(etcd_get(client, ETCD_STR("key"), ETCD_GET(.revision = revision - 1), NULL, &err), &err, ETCD_ERR_COMPACTED,
                 NULL);
    etcd_client_free(client);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_key_is_read_with_its_history),
    cmocka_unit_test(a_missing_key_is_a_success_without_kvs),
    cmocka_unit_test(the_response_may_be_left_out),
    cmocka_unit_test(sorts_by_each_target_in_each_order),
    cmocka_unit_test(sorts_before_the_limit_cuts),
    cmocka_unit_test(picks_are_the_ends_of_each_order),
    cmocka_unit_test(a_prefix_takes_exactly_its_keys),
    cmocka_unit_test(an_empty_prefix_is_the_whole_keyspace),
    cmocka_unit_test(from_key_and_range_end_bound_the_keys),
    cmocka_unit_test(prefix_range_end_is_the_key_behind_the_prefix),
    cmocka_unit_test(a_limit_tells_of_more),
    cmocka_unit_test(keys_only_leaves_the_values_out),
    cmocka_unit_test(count_only_leaves_the_kvs_out),
    cmocka_unit_test(a_serializable_read_sees_the_members_own_state),
    cmocka_unit_test(a_revision_reads_the_past),
    cmocka_unit_test(revision_filters_choose_but_do_not_count),
    cmocka_unit_test(compaction_takes_the_history_away),
    cmocka_unit_test(compaction_refuses_the_past_and_the_future),
    cmocka_unit_test(a_physical_compaction_is_waited_for),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
