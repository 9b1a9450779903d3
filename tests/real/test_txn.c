/* Transactions and operations as values, against a real server. */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "real.h"

/* Commits and frees the transaction. */
static etcd_txn_response *commit(etcd_txn *txn)
{
    etcd_txn_response *response = NULL;
    etcd_error err;

    assert_ok(etcd_txn_commit(txn, NULL, &response, &err), &err);
    assert_non_null(response);
    etcd_txn_free(txn);
    return response;
}

static bool succeeded(etcd_txn *txn)
{
    etcd_txn_response *response = commit(txn);
    bool result = response->succeeded;

    etcd_response_free(response);
    return result;
}

static void commit_fails(etcd_txn *txn, int code, const char *text)
{
    etcd_txn_response *response = (etcd_txn_response *)&code;
    etcd_error err;

    assert_error(etcd_txn_commit(txn, NULL, &response, &err), &err, code, text);
    assert_null(response);
    assert_int_equal(err.flags & ETCD_ERROR_MAYBE_APPLIED, 0);
    assert_error(etcd_txn_commit_async(txn, NULL, NULL, NULL, NULL, &err), &err, code, text);
    etcd_txn_free(txn);
}

/* ---- compares ---- */

static bool holds(int op, int order)
{
    switch (op) {
    case ETCD_CMP_EQUAL:
        return order == 0;
    case ETCD_CMP_GREATER:
        return order > 0;
    case ETCD_CMP_LESS:
        return order < 0;
    default:
        return order != 0;
    }
}

static void add_compare(etcd_txn *txn, const char *key, int target, int op, int64_t number)
{
    switch (target) {
    case ETCD_COMPARE_VERSION:
        etcd_txn_if_version(txn, ETCD_STR(key), op, number);
        break;
    case ETCD_COMPARE_CREATE:
        etcd_txn_if_create_revision(txn, ETCD_STR(key), op, number);
        break;
    case ETCD_COMPARE_MOD:
        etcd_txn_if_mod_revision(txn, ETCD_STR(key), op, number);
        break;
    default:
        etcd_txn_if_lease(txn, ETCD_STR(key), op, number);
        break;
    }
}

/* Every operator with a number below, at, and above the stored one; by the short form and by the full one. */
static void check_number(etcd_client *client, const char *key, int target, int64_t stored)
{
    for (int op = ETCD_CMP_EQUAL; op <= ETCD_CMP_NOT_EQUAL; op++)
        for (int64_t given = stored - 1; given <= stored + 1; given++) {
            etcd_txn *brief = etcd_txn_new(client), *full = etcd_txn_new(client);
            bool expected = holds(op, (stored > given) - (stored < given));

            add_compare(brief, key, target, op, given);
            etcd_txn_if(full, ETCD_STR(key), ETCD_COMPARE(.target = target, .op = op, .number = given));
            if (succeeded(brief) != expected || succeeded(full) != expected)
                fail_msg("%s: target %d op %d stored %" PRId64 " given %" PRId64, key, target, op, stored, given);
        }
}

static void every_number_compares_with_every_operator(void **state)
{
    etcd_client *client = real_client();
    etcd_get_response *get;

    (void)state;
    real_grant(1234, 600);
    real_put(client, "key", "1");
    real_put(client, "other", "1");
    real_put(client, "key", "2");
    real_put_lease(client, "key", "3", 1234);
    get = real_get(client, "key", NULL);
    check_number(client, "key", ETCD_COMPARE_VERSION, get->kvs[0].version);
    check_number(client, "key", ETCD_COMPARE_CREATE, get->kvs[0].create_revision);
    check_number(client, "key", ETCD_COMPARE_MOD, get->kvs[0].mod_revision);
    check_number(client, "key", ETCD_COMPARE_LEASE, 1234);
    for (int target = ETCD_COMPARE_VERSION; target <= ETCD_COMPARE_LEASE; target++)
        if (target != ETCD_COMPARE_VALUE)
            check_number(client, "missing", target, 0);
    etcd_response_free(get);
    etcd_client_free(client);
}

static void values_compare_as_bytes(void **state)
{
    static const struct {
        const char *data;
        size_t len;
        int order; /* of the stored "b\0b" to it */
    } given[] = {{"b\0b", 3, 0}, {"b\0a", 3, 1}, {"b\0c", 3, -1}, {"b\0", 2, 1}, {"b\0b\0", 4, -1}, {"", 0, 1}, {"\xff", 1, -1}};
    etcd_client *client = real_client();
    etcd_error err;

    (void)state;
    assert_ok(etcd_put(client, ETCD_STR("key"), "b\0b", 3, NULL, NULL, &err), &err);
    for (int op = ETCD_CMP_EQUAL; op <= ETCD_CMP_NOT_EQUAL; op++)
        for (size_t i = 0; i < sizeof given / sizeof given[0]; i++) {
            etcd_txn *txn = etcd_txn_new(client), *missing = etcd_txn_new(client);

            etcd_txn_if_value(txn, ETCD_STR("key"), op, given[i].data, given[i].len);
            if (succeeded(txn) != holds(op, given[i].order))
                fail_msg("op %d given %zu", op, i);
            etcd_txn_if_value(missing, ETCD_STR("missing"), op, given[i].data, given[i].len);
            assert_false(succeeded(missing)); /* a key that is not there has no value to compare */
        }
    etcd_client_free(client);
}

static void keys_exist_or_are_missing(void **state)
{
    etcd_client *client = real_client();

    (void)state;
    real_put(client, "here", "");
    for (int here = 0; here < 2; here++) {
        for (int exists = 0; exists < 2; exists++) {
            etcd_txn *txn = etcd_txn_new(client);

            (exists ? etcd_txn_if_exists : etcd_txn_if_missing)(txn, ETCD_STR(here ? "here" : "gone"));
            assert_int_equal(succeeded(txn), here == exists);
        }
    }
    etcd_client_free(client);
}

static void all_compares_must_hold(void **state)
{
    etcd_client *client = real_client();
    etcd_txn *both = etcd_txn_new(client), *one = etcd_txn_new(client);

    (void)state;
    real_put(client, "a", "1");
    etcd_txn_if_value(both, ETCD_STR("a"), ETCD_CMP_EQUAL, ETCD_STR("1"));
    etcd_txn_if_version(both, ETCD_STR("b"), ETCD_CMP_EQUAL, 0);
    assert_true(succeeded(both));
    etcd_txn_if_value(one, ETCD_STR("a"), ETCD_CMP_EQUAL, ETCD_STR("1"));
    etcd_txn_if_version(one, ETCD_STR("b"), ETCD_CMP_GREATER, 0);
    assert_false(succeeded(one));
    etcd_client_free(client);
}

static bool range_holds(etcd_client *client, const char *key, const etcd_compare_options *compare)
{
    etcd_txn *txn = etcd_txn_new(client);

    etcd_txn_if(txn, ETCD_STR(key), compare);
    return succeeded(txn);
}

static void a_range_compare_is_of_every_key(void **state)
{
    etcd_client *client = real_client();

    (void)state;
    real_put(client, "r/1", "x");
    real_put(client, "r/2", "x");
    real_put(client, "r/3", "y");
    assert_true(range_holds(client, "r/", ETCD_COMPARE(.prefix = true, .target = ETCD_COMPARE_VERSION, .number = 1)));
    assert_true(range_holds(
        client, "r/1",
        ETCD_COMPARE(.range_end = "r/3", .range_end_len = 3, .target = ETCD_COMPARE_VALUE, .value = "x", .value_len = 1)));
    assert_false(
        range_holds(client, "r/", ETCD_COMPARE(.prefix = true, .target = ETCD_COMPARE_VALUE, .value = "x", .value_len = 1)));
    assert_true(range_holds(
        client, "r/",
        ETCD_COMPARE(.prefix = true, .target = ETCD_COMPARE_VALUE, .op = ETCD_CMP_NOT_EQUAL, .value = "z", .value_len = 1)));
    real_put(client, "r/2", "x");
    assert_false(range_holds(client, "r/", ETCD_COMPARE(.prefix = true, .target = ETCD_COMPARE_VERSION, .number = 1)));
    assert_true(
        range_holds(client, "", ETCD_COMPARE(.prefix = true, .target = ETCD_COMPARE_VERSION, .op = ETCD_CMP_LESS, .number = 3)));
    /* no key there: numbers compare with 0, values are never true */
    assert_true(range_holds(client, "s/", ETCD_COMPARE(.prefix = true, .target = ETCD_COMPARE_CREATE, .number = 0)));
    assert_false(range_holds(client, "s/", ETCD_COMPARE(.prefix = true, .target = ETCD_COMPARE_VALUE)));
    etcd_client_free(client);
}

/* ---- branches ---- */

static etcd_txn *branching(etcd_client *client, int op)
{
    etcd_txn *txn = etcd_txn_new(client);

    etcd_txn_if_value(txn, ETCD_STR("key"), op, ETCD_STR("value"));
    etcd_txn_put(txn, ETCD_STR("then"), ETCD_STR("1"), ETCD_PUT(.prev_kv = true));
    etcd_txn_get(txn, ETCD_STR("k"), ETCD_GET(.prefix = true));
    etcd_txn_delete(txn, ETCD_STR("old"), ETCD_DELETE(.prefix = true, .prev_kv = true));
    etcd_txn_else(txn);
    etcd_txn_get(txn, ETCD_STR("key"), NULL);
    return txn;
}

static void the_first_list_is_done_at_one_revision(void **state)
{
    etcd_client *client = real_client();
    etcd_txn_response *response;
    int64_t before;

    (void)state;
    real_put(client, "key", "value");
    real_put(client, "then", "0");
    real_put(client, "old/1", "x");
    before = real_put(client, "old/2", "y");
    response = commit(branching(client, ETCD_CMP_EQUAL));
    assert_true(response->succeeded);
    assert_int_equal(response->header.revision, before + 1);
    assert_int_equal(response->n_responses, 3);
    assert_int_equal(response->responses[0]->type, ETCD_OP_PUT);
    assert_text(response->responses[0]->put->prev_kv->value, "0");
    assert_int_equal(response->responses[0]->put->header.revision, before + 1);
    assert_null(response->responses[0]->get);
    assert_int_equal(response->responses[1]->type, ETCD_OP_GET);
    assert_int_equal(response->responses[1]->get->n_kvs, 1);
    assert_text(response->responses[1]->get->kvs[0].value, "value");
    assert_int_equal(response->responses[2]->type, ETCD_OP_DELETE);
    assert_int_equal(response->responses[2]->del->deleted, 2);
    assert_text(response->responses[2]->del->prev_kvs[1].value, "y");
    etcd_response_free(response);
    assert_keys(real_get(client, "", ETCD_GET(.prefix = true)), "key then");
    etcd_client_free(client);
}

static void the_second_list_is_done_when_a_compare_fails(void **state)
{
    etcd_client *client = real_client();
    int64_t before = real_put(client, "key", "value");
    etcd_txn_response *response = commit(branching(client, ETCD_CMP_NOT_EQUAL));

    (void)state;
    assert_false(response->succeeded);
    assert_int_equal(response->header.revision, before);
    assert_int_equal(response->n_responses, 1);
    assert_int_equal(response->responses[0]->type, ETCD_OP_GET);
    assert_text(response->responses[0]->get->kvs[0].value, "value");
    etcd_response_free(response);
    assert_keys(real_get(client, "then", NULL), "");
    etcd_client_free(client);
}

static void later_operations_see_earlier_ones(void **state)
{
    etcd_client *client = real_client();
    etcd_txn *txn = etcd_txn_new(client);
    etcd_txn_response *response;

    (void)state;
    etcd_txn_put(txn, ETCD_STR("key"), ETCD_STR("new"), NULL);
    etcd_txn_get(txn, ETCD_STR("key"), NULL);
    response = commit(txn);
    assert_int_equal(response->responses[1]->get->n_kvs, 1);
    assert_text(response->responses[1]->get->kvs[0].value, "new");
    assert_int_equal(response->responses[1]->get->kvs[0].mod_revision, response->header.revision);
    etcd_response_free(response);
    etcd_client_free(client);
}

static void an_empty_transaction_succeeds(void **state)
{
    etcd_client *client = real_client();
    etcd_txn_response *response = commit(etcd_txn_new(client));

    (void)state;
    assert_true(response->succeeded);
    assert_int_equal(response->n_responses, 0);
    etcd_response_free(response);
    etcd_client_free(client);
}

static void options_of_reads_work_inside(void **state)
{
    etcd_client *client = real_client();
    etcd_txn *txn = etcd_txn_new(client);
    etcd_txn_response *response;
    int64_t first = real_put(client, "k1", "old");

    (void)state;
    real_put(client, "k1", "a");
    real_put(client, "k2", "b");
    etcd_txn_get(txn, ETCD_STR("k"), ETCD_GET(.prefix = true, .limit = 1, .sort_order = ETCD_SORT_DESCEND));
    etcd_txn_get(txn, ETCD_STR("k"), ETCD_GET(.prefix = true, .count_only = true));
    etcd_txn_get(txn, ETCD_STR("k1"), ETCD_GET(.revision = first));
    etcd_txn_get(txn, ETCD_STR("k"), ETCD_GET(.pick = ETCD_PICK_LAST_REV, .keys_only = true));
    response = commit(txn);
    assert_text(response->responses[0]->get->kvs[0].key, "k2");
    assert_true(response->responses[0]->get->more);
    assert_int_equal(response->responses[1]->get->count, 2);
    assert_text(response->responses[2]->get->kvs[0].value, "old");
    assert_text(response->responses[3]->get->kvs[0].key, "k2");
    assert_text(response->responses[3]->get->kvs[0].value, "");
    etcd_response_free(response);
    etcd_client_free(client);
}

static void nested_transactions_are_done_inside(void **state)
{
    etcd_client *client = real_client();
    etcd_txn *inner = etcd_txn_new(client), *middle = etcd_txn_new(client), *outer = etcd_txn_new(client);
    etcd_txn_response *response;
    const etcd_txn_response *second, *third;

    (void)state;
    real_put(client, "key", "1");
    etcd_txn_if_value(inner, ETCD_STR("key"), ETCD_CMP_EQUAL, ETCD_STR("2"));
    etcd_txn_put(inner, ETCD_STR("never"), ETCD_STR("x"), NULL);
    etcd_txn_else(inner);
    etcd_txn_get(inner, ETCD_STR("key"), NULL);
    etcd_txn_if_value(middle, ETCD_STR("key"), ETCD_CMP_EQUAL, ETCD_STR("1"));
    etcd_txn_put(middle, ETCD_STR("a"), ETCD_STR("x"), NULL);
    etcd_txn_nested(middle, inner);
    etcd_txn_put(outer, ETCD_STR("b"), ETCD_STR("x"), NULL);
    etcd_txn_nested(outer, middle);
    etcd_txn_put(middle, ETCD_STR("c"), ETCD_STR("later, so not in the copy"), NULL);
    etcd_txn_free(inner);
    etcd_txn_free(middle);
    response = commit(outer);
    assert_int_equal(response->n_responses, 2);
    assert_int_equal(response->responses[1]->type, ETCD_OP_TXN);
    second = response->responses[1]->txn;
    assert_true(second->succeeded);
    assert_int_equal(second->n_responses, 2);
    third = second->responses[1]->txn;
    assert_false(third->succeeded);
    assert_text(third->responses[0]->get->kvs[0].value, "1");
    etcd_response_free(response);
    assert_keys(real_get(client, "", ETCD_GET(.prefix = true)), "a b key");
    etcd_client_free(client);
}

static void a_transaction_can_be_committed_again(void **state)
{
    etcd_client *client = real_client();
    etcd_txn *txn = etcd_txn_new(client);
    etcd_txn_response *first = NULL, *second = NULL;
    etcd_error err;

    (void)state;
    etcd_txn_if_version(txn, ETCD_STR("key"), ETCD_CMP_EQUAL, 0);
    etcd_txn_put(txn, ETCD_STR("key"), ETCD_STR("created"), NULL);
    etcd_txn_else(txn);
    etcd_txn_put(txn, ETCD_STR("key"), ETCD_STR("again"), NULL);
    assert_ok(etcd_txn_commit(txn, NULL, &first, &err), &err);
    assert_ok(etcd_txn_commit(txn, ETCD_CALL(.timeout_ms = 5000), &second, &err), &err);
    assert_true(first->succeeded);
    assert_false(second->succeeded);
    assert_int_equal(second->header.revision, first->header.revision + 1);
    assert_ok(etcd_txn_commit(txn, NULL, NULL, &err), &err);
    etcd_response_free(first);
    etcd_response_free(second);
    etcd_txn_free(txn);
    etcd_client_free(client);
}

/* ---- what the server refuses ---- */

static void refused(etcd_txn *txn, int code, const char *text)
{
    etcd_txn_response *response = (etcd_txn_response *)&code;
    etcd_error err;

    assert_error(etcd_txn_commit(txn, NULL, &response, &err), &err, code, text);
    assert_null(response);
    assert_int_equal(err.flags & ETCD_ERROR_MAYBE_APPLIED, 0);
    assert_int_equal(err.grpc_code, 3);
    etcd_txn_free(txn);
}

static void one_key_is_written_once(void **state)
{
    etcd_client *client = real_client();
    etcd_txn *twice = etcd_txn_new(client), *overlap = etcd_txn_new(client), *apart = etcd_txn_new(client),
             *nested = etcd_txn_new(client), *inner = etcd_txn_new(client);

    (void)state;
    etcd_txn_put(twice, ETCD_STR("key"), ETCD_STR("1"), NULL);
    etcd_txn_put(twice, ETCD_STR("key"), ETCD_STR("2"), NULL);
    refused(twice, ETCD_ERR_DUPLICATE_KEY, "duplicate key");
    etcd_txn_put(overlap, ETCD_STR("key"), ETCD_STR("1"), NULL);
    etcd_txn_delete(overlap, ETCD_STR("k"), ETCD_DELETE(.prefix = true));
    refused(overlap, ETCD_ERR_DUPLICATE_KEY, "duplicate key");
    etcd_txn_put(inner, ETCD_STR("key"), ETCD_STR("1"), NULL);
    etcd_txn_put(nested, ETCD_STR("key"), ETCD_STR("2"), NULL);
    etcd_txn_nested(nested, inner);
    etcd_txn_free(inner);
    refused(nested, ETCD_ERR_DUPLICATE_KEY, "duplicate key");
    assert_keys(real_get(client, "", ETCD_GET(.prefix = true)), "");
    etcd_txn_put(apart, ETCD_STR("key"), ETCD_STR("1"), NULL);
    etcd_txn_else(apart);
    etcd_txn_put(apart, ETCD_STR("key"), ETCD_STR("2"), NULL);
    assert_true(succeeded(apart));
    etcd_client_free(client);
}

static void a_list_has_at_most_128_operations(void **state)
{
    etcd_client *client = real_client();
    char key[16];

    (void)state;
    for (int n = 128; n <= 129; n++) {
        etcd_txn *txn = etcd_txn_new(client);

        for (int i = 0; i < n; i++) {
            snprintf(key, sizeof key, "%d/%d", n, i);
            etcd_txn_put(txn, ETCD_STR(key), ETCD_STR("x"), NULL);
        }
        if (n == 128)
            assert_true(succeeded(txn));
        else
            refused(txn, ETCD_ERR_TOO_MANY_OPS, "too many operations");
    }
    assert_keys(real_get(client, "129/", ETCD_GET(.prefix = true)), "");
    etcd_client_free(client);
}

static void an_error_inside_undoes_all(void **state)
{
    etcd_client *client = real_client();
    etcd_txn *txn = etcd_txn_new(client);
    etcd_error err;

    (void)state;
    etcd_txn_put(txn, ETCD_STR("key"), ETCD_STR("x"), NULL);
    etcd_txn_put(txn, ETCD_STR("missing"), "", 0, ETCD_PUT(.ignore_value = true));
    assert_error(etcd_txn_commit(txn, NULL, NULL, &err), &err, ETCD_ERR_KEY_NOT_FOUND, "key not found");
    assert_keys(real_get(client, "", ETCD_GET(.prefix = true)), "");
    etcd_txn_free(txn);
    etcd_client_free(client);
}

/* ---- mistakes while building stick until the commit ---- */

static void mistakes_stick_until_the_commit(void **state)
{
    etcd_client *client = real_client();
    etcd_txn *txn = etcd_txn_new(client), *bad = etcd_txn_new(client);

    (void)state;
    etcd_txn_put(txn, ETCD_STR("key"), ETCD_STR("x"), NULL);
    etcd_txn_if_version(txn, ETCD_STR("key"), ETCD_CMP_EQUAL, 0);
    commit_fails(txn, ETCD_ERR_ARGUMENT, "compares come first");

    txn = etcd_txn_new(client);
    etcd_txn_else(txn);
    etcd_txn_if_version(txn, ETCD_STR("key"), ETCD_CMP_EQUAL, 0);
    commit_fails(txn, ETCD_ERR_ARGUMENT, "compares come first");

    txn = etcd_txn_new(client);
    etcd_txn_else(txn);
    etcd_txn_else(txn);
    commit_fails(txn, ETCD_ERR_ARGUMENT, "etcd_txn_else was called twice");

    etcd_txn_put(bad, "", 0, ETCD_STR("x"), NULL);
    etcd_txn_put(bad, ETCD_STR("good"), ETCD_STR("x"), NULL); /* does not heal it */
    txn = etcd_txn_new(client);
    etcd_txn_put(txn, ETCD_STR("key"), ETCD_STR("x"), NULL);
    etcd_txn_nested(txn, bad);
    commit_fails(txn, ETCD_ERR_EMPTY_KEY, "key is not provided");
    commit_fails(bad, ETCD_ERR_EMPTY_KEY, "key is not provided");

    commit_fails(NULL, ETCD_ERR_NO_MEMORY, "transaction is NULL");
    txn = etcd_txn_new(client);
    etcd_txn_nested(txn, NULL);
    commit_fails(txn, ETCD_ERR_NO_MEMORY, "transaction is NULL");
    commit_fails(etcd_txn_new(NULL), ETCD_ERR_ARGUMENT, "client is NULL");
    assert_keys(real_get(client, "", ETCD_GET(.prefix = true)), "");
    etcd_client_free(client);
}

static void bad_compares_and_operations_are_refused(void **state)
{
    static const struct {
        etcd_compare_options options;
        const char *text;
    } bad[] = {
        {{.size = sizeof(etcd_compare_options), .target = 5}, "target"},
        {{.size = sizeof(etcd_compare_options), .target = -1}, "target"},
        {{.size = sizeof(etcd_compare_options), .op = 4}, "op is 4"},
        {{.size = sizeof(etcd_compare_options), .op = -1}, "op is -1"},
        {{.size = sizeof(etcd_compare_options), .target = ETCD_COMPARE_VALUE, .number = 1}, "`value`, not `number`"},
        {{.size = sizeof(etcd_compare_options), .value = "x", .value_len = 1}, "give a `number`"},
        {{.size = sizeof(etcd_compare_options), .prefix = true, .range_end = "z", .range_end_len = 1}, "exclude each other"},
        {{.size = 0}, "size"},
    };
    etcd_client *client = real_client();
    etcd_txn *txn;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        txn = etcd_txn_new(client);
        etcd_txn_if(txn, ETCD_STR("key"), &bad[i].options);
        commit_fails(txn, ETCD_ERR_ARGUMENT, bad[i].text);
    }
    txn = etcd_txn_new(client);
    etcd_txn_if_version(txn, "", 0, ETCD_CMP_EQUAL, 0);
    commit_fails(txn, ETCD_ERR_EMPTY_KEY, "key is not provided");
    txn = etcd_txn_new(client);
    etcd_txn_get(txn, ETCD_STR("key"), ETCD_GET(.call = ETCD_CALL(.timeout_ms = 1)));
    commit_fails(txn, ETCD_ERR_ARGUMENT, "`call` belongs to the commit");
    txn = etcd_txn_new(client);
    etcd_txn_get(txn, ETCD_STR("key"), ETCD_GET(.prefix = true, .from_key = true));
    commit_fails(txn, ETCD_ERR_ARGUMENT, "exclude each other");
    txn = etcd_txn_new(client);
    etcd_txn_delete(txn, "", 0, NULL);
    commit_fails(txn, ETCD_ERR_EMPTY_KEY, "prefix or from_key");
    txn = etcd_txn_new(client);
    etcd_txn_op(txn, NULL);
    commit_fails(txn, ETCD_ERR_ARGUMENT, "op is NULL");
    etcd_client_free(client);
}

static void nesting_has_an_end(void **state)
{
    etcd_client *client = real_client();
    etcd_txn *txn = etcd_txn_new(client);
    etcd_error err;
    int rc;

    (void)state;
    for (int depth = 0; depth < 200; depth++) {
        etcd_txn *outer = etcd_txn_new(client);

        etcd_txn_nested(outer, txn);
        etcd_txn_free(txn);
        txn = outer;
        if (depth < 49) /* 1, 2, ... 49 within one */
            assert_ok(etcd_txn_commit(txn, NULL, NULL, &err), &err);
    }
    rc = etcd_txn_commit(txn, NULL, NULL, &err);
    assert_error(rc, &err, ETCD_ERR_ARGUMENT, "nested too deeply: at most 49");
    etcd_txn_free(txn);
    etcd_client_free(client);
}

/* ---- operations as values ---- */

static etcd_op_response *do_op(etcd_client *client, const etcd_op *op)
{
    etcd_op_response *response = NULL;
    etcd_error err;

    assert_ok(etcd_do(client, op, NULL, &response, &err), &err);
    assert_int_equal(response->type, etcd_op_type(op));
    return response;
}

static void each_operation_can_be_done(void **state)
{
    etcd_client *client = real_client();
    etcd_op *get, *put, *del;
    etcd_op_response *response;
    etcd_error err;
    char key[] = "key";

    (void)state;
    assert_ok(etcd_op_put(ETCD_STR(key), ETCD_STR("value"), ETCD_PUT(.prev_kv = true), &put, &err), &err);
    assert_ok(etcd_op_get(ETCD_STR(key), ETCD_GET(.prefix = true), &get, &err), &err);
    assert_ok(etcd_op_delete(ETCD_STR(key), ETCD_DELETE(.prev_kv = true), &del, &err), &err);
    memset(key, 'x', sizeof key - 1); /* operations have copies */
    assert_int_equal(etcd_op_type(get), ETCD_OP_GET);
    assert_int_equal(etcd_op_type(put), ETCD_OP_PUT);
    assert_int_equal(etcd_op_type(del), ETCD_OP_DELETE);
    assert_false(etcd_op_is_write(get));
    assert_true(etcd_op_is_write(put));
    assert_true(etcd_op_is_write(del));
    response = do_op(client, put);
    assert_null(response->put->prev_kv);
    etcd_response_free(response);
    response = do_op(client, put); /* again */
    assert_text(response->put->prev_kv->value, "value");
    etcd_response_free(response);
    response = do_op(client, get);
    assert_int_equal(response->get->n_kvs, 1);
    assert_text(response->get->kvs[0].key, "key");
    assert_null(response->put);
    etcd_response_free(response);
    response = do_op(client, del);
    assert_int_equal(response->del->deleted, 1);
    assert_text(response->del->prev_kvs[0].value, "value");
    etcd_response_free(response);
    assert_ok(etcd_do(client, put, ETCD_CALL(.timeout_ms = 5000), NULL, &err), &err);
    etcd_op_free(get);
    etcd_op_free(put);
    etcd_op_free(del);
    etcd_client_free(client);
}

static void a_transaction_is_an_operation(void **state)
{
    etcd_client *client = real_client();
    etcd_txn *writing = etcd_txn_new(client), *reading = etcd_txn_new(client), *outer = etcd_txn_new(client);
    etcd_op *write, *read, *get;
    etcd_op_response *response;
    etcd_error err;

    (void)state;
    etcd_txn_get(reading, ETCD_STR("key"), NULL);
    etcd_txn_else(writing);
    etcd_txn_delete(writing, ETCD_STR("key"), NULL);
    assert_ok(etcd_op_txn(writing, &write, &err), &err);
    assert_ok(etcd_op_txn(reading, &read, &err), &err);
    etcd_txn_free(writing);
    etcd_txn_free(reading);
    assert_int_equal(etcd_op_type(write), ETCD_OP_TXN);
    assert_true(etcd_op_is_write(write)); /* though it would write in its second list only */
    assert_false(etcd_op_is_write(read));
    real_put(client, "key", "value");
    response = do_op(client, read);
    assert_true(response->txn->succeeded);
    assert_text(response->txn->responses[0]->get->kvs[0].value, "value");
    etcd_response_free(response);
    assert_ok(etcd_op_get(ETCD_STR("key"), NULL, &get, &err), &err);
    etcd_txn_op(outer, get);
    etcd_txn_op(outer, read);
    etcd_txn_op(outer, write);
    etcd_op_free(read);
    etcd_op_free(write);
    etcd_op_free(get);
    response = NULL;
    {
        etcd_txn_response *txn = commit(outer);

        assert_int_equal(txn->n_responses, 3);
        assert_text(txn->responses[0]->get->kvs[0].value, "value");
        assert_text(txn->responses[1]->txn->responses[0]->get->kvs[0].value, "value");
        assert_int_equal(txn->responses[2]->txn->n_responses, 0);
        etcd_response_free(txn);
    }
    etcd_client_free(client);
}

static void bad_operations_are_not_made(void **state)
{
    etcd_client *client = real_client();
    etcd_txn *bad = etcd_txn_new(client);
    etcd_op *op = (etcd_op *)&client;
    etcd_error err;

    (void)state;
    assert_error(etcd_op_get("", 0, NULL, &op, &err), &err, ETCD_ERR_EMPTY_KEY, "key is not provided");
    assert_null(op);
    assert_error(etcd_op_put("", 0, "", 0, NULL, &op, &err), &err, ETCD_ERR_EMPTY_KEY, "key is not provided");
    assert_error(etcd_op_delete("", 0, NULL, &op, &err), &err, ETCD_ERR_EMPTY_KEY, "key is not provided");
    assert_error(etcd_op_get(ETCD_STR("k"), ETCD_GET(.call = ETCD_CALL(.no_retry = true)), &op, &err), &err, ETCD_ERR_ARGUMENT,
                 "`call`");
    etcd_txn_else(bad);
    etcd_txn_else(bad);
    assert_error(etcd_op_txn(bad, &op, &err), &err, ETCD_ERR_ARGUMENT, "twice");
    assert_null(op);
    assert_error(etcd_do(client, NULL, NULL, NULL, &err), &err, ETCD_ERR_ARGUMENT, "NULL");
    etcd_txn_free(bad);
    etcd_client_free(client);
}

/* ---- what it is for ---- */

enum { COUNTERS = 8, COUNTS = 25 };

struct counter {
    etcd_client *client;
    int failures;
};

/* Adds one by compare-and-swap, until it was not disturbed. */
static int count_once(etcd_client *client, int64_t *seen, int64_t *number)
{
    etcd_txn *txn = etcd_txn_new(client);
    etcd_txn_response *response = NULL;
    char text[32];
    int rc;

    snprintf(text, sizeof text, "%" PRId64, *number + 1);
    etcd_txn_if_mod_revision(txn, ETCD_STR("counter"), ETCD_CMP_EQUAL, *seen);
    etcd_txn_put(txn, ETCD_STR("counter"), ETCD_STR(text), NULL);
    etcd_txn_else(txn);
    etcd_txn_get(txn, ETCD_STR("counter"), NULL);
    rc = etcd_txn_commit(txn, ETCD_CALL(.timeout_ms = 60000), &response, NULL);
    etcd_txn_free(txn);
    if (rc < 0)
        return rc;
    rc = response->succeeded ? 1 : 0;
    if (rc == 1) {
        *seen = response->header.revision;
        *number += 1;
    } else {
        *seen = response->responses[0]->get->kvs[0].mod_revision;
        *number = strtoll(response->responses[0]->get->kvs[0].value.data, NULL, 10);
    }
    etcd_response_free(response);
    return rc;
}

static void *count(void *arg)
{
    struct counter *counter = arg;
    int64_t seen = 0, number = 0;

    for (int done = 0; done < COUNTS;) {
        int rc = count_once(counter->client, &seen, &number);

        if (rc < 0) {
            counter->failures++;
            break;
        }
        done += rc;
    }
    return NULL;
}

static void threads_count_without_losing_any(void **state)
{
    etcd_client *client = real_client();
    struct counter counters[COUNTERS] = {{0}};
    pthread_t threads[COUNTERS];
    etcd_get_response *get;
    char expected[32];

    (void)state;
    for (int i = 0; i < COUNTERS; i++) {
        counters[i].client = client;
        assert_int_equal(pthread_create(&threads[i], NULL, count, &counters[i]), 0);
    }
    for (int i = 0; i < COUNTERS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(counters[i].failures, 0);
    }
    snprintf(expected, sizeof expected, "%d", COUNTERS * COUNTS);
    get = real_get(client, "counter", NULL);
    assert_text(get->kvs[0].value, expected);
    assert_int_equal(get->kvs[0].version, COUNTERS * COUNTS);
    etcd_response_free(get);
    etcd_client_free(client);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_number_compares_with_every_operator),
    cmocka_unit_test(values_compare_as_bytes),
    cmocka_unit_test(keys_exist_or_are_missing),
    cmocka_unit_test(all_compares_must_hold),
    cmocka_unit_test(a_range_compare_is_of_every_key),
    cmocka_unit_test(the_first_list_is_done_at_one_revision),
    cmocka_unit_test(the_second_list_is_done_when_a_compare_fails),
    cmocka_unit_test(later_operations_see_earlier_ones),
    cmocka_unit_test(an_empty_transaction_succeeds),
    cmocka_unit_test(options_of_reads_work_inside),
    cmocka_unit_test(nested_transactions_are_done_inside),
    cmocka_unit_test(a_transaction_can_be_committed_again),
    cmocka_unit_test(one_key_is_written_once),
    cmocka_unit_test(a_list_has_at_most_128_operations),
    cmocka_unit_test(an_error_inside_undoes_all),
    cmocka_unit_test(mistakes_stick_until_the_commit),
    cmocka_unit_test(bad_compares_and_operations_are_refused),
    cmocka_unit_test(nesting_has_an_end),
    cmocka_unit_test(each_operation_can_be_done),
    cmocka_unit_test(a_transaction_is_an_operation),
    cmocka_unit_test(bad_operations_are_not_made),
    cmocka_unit_test(threads_count_without_losing_any),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
