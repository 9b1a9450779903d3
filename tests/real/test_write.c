/* Writing: every option of etcd_put() and etcd_delete() against a real server, and keys and values of all sizes and bytes. */
#include <stdlib.h>
#include <string.h>

#include "real.h"

static etcd_put_response *put(etcd_client *client, const char *key, const char *value, const etcd_put_options *options)
{
    etcd_put_response *response;
    etcd_error err;

    assert_ok(etcd_put(client, ETCD_STR(key), ETCD_STR(value), options, &response, &err), &err);
    return response;
}

static etcd_delete_response *del(etcd_client *client, const char *key, const etcd_delete_options *options)
{
    etcd_delete_response *response;
    etcd_error err;

    assert_ok(etcd_delete(client, ETCD_STR(key), options, &response, &err), &err);
    return response;
}

/* ---- put ---- */

static void put_returns_what_it_replaced(void **state)
{
    etcd_client *client = real_client();
    etcd_put_response *response = put(client, "key", "one", ETCD_PUT(.prev_kv = true));
    int64_t first = response->header.revision;

    (void)state;
    assert_null(response->prev_kv);
    etcd_response_free(response);
    response = put(client, "key", "two", ETCD_PUT(.prev_kv = true));
    assert_non_null(response->prev_kv);
    assert_text(response->prev_kv->key, "key");
    assert_text(response->prev_kv->value, "one");
    assert_int_equal(response->prev_kv->mod_revision, first);
    assert_int_equal(response->header.revision, first + 1);
    etcd_response_free(response);
    response = put(client, "key", "three", NULL);
    assert_null(response->prev_kv);
    etcd_response_free(response);
    etcd_client_free(client);
}

static void put_can_keep_the_value(void **state)
{
    etcd_client *client = real_client();
    etcd_get_response *get;
    etcd_put_response *response = NULL;
    etcd_error err;

    (void)state;
    real_put(client, "key", "kept");
    etcd_response_free(put(client, "key", "", ETCD_PUT(.ignore_value = true)));
    get = real_get(client, "key", NULL);
    assert_text(get->kvs[0].value, "kept");
    assert_int_equal(get->kvs[0].version, 2);
    etcd_response_free(get);
    assert_error(etcd_put(client, ETCD_STR("missing"), "", 0, ETCD_PUT(.ignore_value = true), &response, &err), &err,
                 ETCD_ERR_KEY_NOT_FOUND, "key not found");
    assert_null(response);
    assert_int_equal(err.flags, 0);
    assert_error(etcd_put(client, ETCD_STR("key"), ETCD_STR("new"), ETCD_PUT(.ignore_value = true), &response, &err), &err,
                 ETCD_ERR_VALUE_PROVIDED, "value is provided");
    etcd_client_free(client);
}

static void put_attaches_and_keeps_a_lease(void **state)
{
    etcd_client *client = real_client();
    etcd_get_response *get;
    etcd_put_response *response = NULL;
    etcd_error err;

    (void)state;
    real_grant(0x7fffffff01, 600);
    real_put_lease(client, "key", "leased", 0x7fffffff01);
    get = real_get(client, "key", NULL);
    assert_int_equal(get->kvs[0].lease, 0x7fffffff01);
    etcd_response_free(get);
    etcd_response_free(put(client, "key", "new", ETCD_PUT(.ignore_lease = true)));
    get = real_get(client, "key", NULL);
    assert_text(get->kvs[0].value, "new");
    assert_int_equal(get->kvs[0].lease, 0x7fffffff01);
    etcd_response_free(get);
    etcd_response_free(put(client, "key", "free", NULL));
    get = real_get(client, "key", NULL);
    assert_int_equal(get->kvs[0].lease, 0);
    etcd_response_free(get);
    assert_error(etcd_put(client, ETCD_STR("missing"), ETCD_STR("x"), ETCD_PUT(.ignore_lease = true), &response, &err), &err,
                 ETCD_ERR_KEY_NOT_FOUND, "key not found");
    assert_error(
        etcd_put(client, ETCD_STR("key"), ETCD_STR("x"), ETCD_PUT(.lease = 0x7fffffff01, .ignore_lease = true), &response, &err),
        &err, ETCD_ERR_LEASE_PROVIDED, "lease is provided");
    etcd_client_free(client);
}

static void put_to_an_unknown_lease_is_refused(void **state)
{
    etcd_client *client = real_client();
    etcd_put_response *response = NULL;
    etcd_error err;

    (void)state;
    assert_error(etcd_put(client, ETCD_STR("key"), ETCD_STR("x"), ETCD_PUT(.lease = 4711), &response, &err), &err,
                 ETCD_ERR_LEASE_NOT_FOUND, "requested lease not found");
    assert_null(response);
    assert_int_equal(err.flags, 0);
    assert_keys(real_get(client, "key", NULL), "");
    etcd_client_free(client);
}

/* ---- delete ---- */

static void put_letters(etcd_client *client)
{
    for (const char *key = "abcdef"; *key != '\0'; key++)
        real_put(client, (const char[]){*key, '\0'}, (const char[]){'v', *key, '\0'});
}

static void delete_takes_one_key(void **state)
{
    etcd_client *client = real_client();
    etcd_delete_response *response;

    (void)state;
    put_letters(client);
    response = del(client, "b", NULL);
    assert_int_equal(response->deleted, 1);
    assert_int_equal(response->n_prev_kvs, 0);
    etcd_response_free(response);
    response = del(client, "b", NULL);
    assert_int_equal(response->deleted, 0);
    etcd_response_free(response);
    assert_keys(real_get(client, "", ETCD_GET(.prefix = true)), "a c d e f");
    etcd_client_free(client);
}

static void delete_takes_ranges(void **state)
{
    etcd_client *client = real_client();
    etcd_delete_response *response;

    (void)state;
    put_letters(client);
    real_put(client, "ca", "x");
    response = del(client, "c", ETCD_DELETE(.prefix = true));
    assert_int_equal(response->deleted, 2);
    etcd_response_free(response);
    response = del(client, "a", ETCD_DELETE(.range_end = "c", .range_end_len = 1));
    assert_int_equal(response->deleted, 2);
    etcd_response_free(response);
    assert_keys(real_get(client, "", ETCD_GET(.prefix = true)), "d e f");
    response = del(client, "e", ETCD_DELETE(.from_key = true));
    assert_int_equal(response->deleted, 2);
    etcd_response_free(response);
    assert_keys(real_get(client, "", ETCD_GET(.prefix = true)), "d");
    real_put(client, "\xff\xff", "x");
    response = del(client, "", ETCD_DELETE(.prefix = true));
    assert_int_equal(response->deleted, 2);
    etcd_response_free(response);
    etcd_client_free(client);
}

static void delete_returns_what_was_there(void **state)
{
    etcd_client *client = real_client();
    etcd_delete_response *response;

    (void)state;
    put_letters(client);
    response = del(client, "b", ETCD_DELETE(.range_end = "e", .range_end_len = 1, .prev_kv = true));
    assert_int_equal(response->deleted, 3);
    assert_int_equal(response->n_prev_kvs, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_text(response->prev_kvs[i].key, ((const char[]){(char)('b' + i), '\0'}));
        assert_text(response->prev_kvs[i].value, ((const char[]){'v', (char)('b' + i), '\0'}));
        assert_int_equal(response->prev_kvs[i].version, 1);
    }
    etcd_response_free(response);
    etcd_client_free(client);
}

/* ---- bytes ---- */

static void all_bytes_survive_in_keys_and_values(void **state)
{
    etcd_client *client = real_client();
    etcd_get_response *get;
    etcd_error err;
    char all[256], key[258];

    (void)state;
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (char)i;
    for (size_t rotation = 0; rotation < 256; rotation += 51) {
        for (size_t i = 0; i < sizeof all; i++)
            key[i] = (char)(i + rotation);
        assert_ok(etcd_put(client, key, sizeof all, all, sizeof all, NULL, NULL, &err), &err);
        assert_ok(etcd_get(client, key, sizeof all, NULL, &get, &err), &err);
        assert_int_equal(get->n_kvs, 1);
        assert_bytes(get->kvs[0].key, key, sizeof all);
        assert_bytes(get->kvs[0].value, all, sizeof all);
        etcd_response_free(get);
    }
    etcd_client_free(client);
}

static void keys_that_differ_behind_a_nul_are_two(void **state)
{
    etcd_client *client = real_client();
    etcd_get_response *get;
    etcd_error err;

    (void)state;
    assert_ok(etcd_put(client, "k\0a", 3, "1\0", 2, NULL, NULL, &err), &err);
    assert_ok(etcd_put(client, "k\0b", 3, "2", 1, NULL, NULL, &err), &err);
    assert_ok(etcd_put(client, "k", 1, "3", 1, NULL, NULL, &err), &err);
    get = real_get(client, "k", ETCD_GET(.prefix = true));
    assert_int_equal(get->n_kvs, 3);
    assert_bytes(get->kvs[0].key, "k", 1);
    assert_bytes(get->kvs[1].key, "k\0a", 3);
    assert_bytes(get->kvs[1].value, "1\0", 2);
    assert_bytes(get->kvs[2].key, "k\0b", 3);
    etcd_response_free(get);
    etcd_client_free(client);
}

static void an_empty_value_is_a_value(void **state)
{
    etcd_client *client = real_client();
    etcd_get_response *get;
    etcd_error err;

    (void)state;
    assert_ok(etcd_put(client, ETCD_STR("empty"), "", 0, NULL, NULL, &err), &err);
    assert_ok(etcd_put(client, ETCD_STR("empty2"), NULL, 0, NULL, NULL, &err), &err);
    get = real_get(client, "empty", ETCD_GET(.prefix = true));
    assert_int_equal(get->n_kvs, 2);
    assert_bytes(get->kvs[0].value, "", 0);
    assert_bytes(get->kvs[1].value, "", 0);
    etcd_response_free(get);
    etcd_client_free(client);
}

static char *pattern(size_t len)
{
    char *bytes = malloc(len);

    assert_non_null(bytes);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)((i * 2654435761u) >> 13);
    return bytes;
}

static void values_of_many_sizes_survive(void **state)
{
    static const size_t sizes[] = {1, 127, 128, 16383, 16384, 16385, 65535, 65536, 262144, 1000000, 1048576};
    etcd_client *client = real_client();
    char *bytes = pattern(1048576);
    etcd_get_response *get;
    etcd_error err;

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        assert_ok(etcd_put(client, ETCD_STR("big"), bytes, sizes[i], NULL, NULL, &err), &err);
        get = real_get(client, "big", NULL);
        assert_int_equal(get->n_kvs, 1);
        assert_int_equal(get->kvs[0].value.len, sizes[i]);
        assert_memory_equal(get->kvs[0].value.data, bytes, sizes[i]);
        assert_int_equal(get->kvs[0].value.data[sizes[i]], 0);
        etcd_response_free(get);
    }
    free(bytes);
    etcd_client_free(client);
}

static void many_big_values_come_in_one_answer(void **state)
{
    etcd_client *client = real_client();
    char *bytes = pattern(1048576);
    etcd_get_response *get;
    etcd_error err;

    (void)state;
    for (int i = 0; i < 24; i++)
        assert_ok(etcd_put(client, (const char[]){'m', (char)('a' + i)}, 2, bytes, 1048576, NULL, NULL, &err), &err);
    get = real_get(client, "m", ETCD_GET(.prefix = true, .call = ETCD_CALL(.timeout_ms = 5000 * real_slowdown())));
    assert_int_equal(get->n_kvs, 24);
    for (int i = 0; i < 24; i++) {
        assert_int_equal(get->kvs[i].value.len, 1048576);
        assert_memory_equal(get->kvs[i].value.data, bytes, 1048576);
    }
    etcd_response_free(get);
    free(bytes);
    etcd_client_free(client);
}

static void a_long_key_is_a_key(void **state)
{
    etcd_client *client = real_client();
    char *key = pattern(100000);
    etcd_get_response *get;
    etcd_error err;

    (void)state;
    assert_ok(etcd_put(client, key, 100000, ETCD_STR("value"), NULL, NULL, &err), &err);
    assert_ok(etcd_get(client, key, 100000, NULL, &get, &err), &err);
    assert_int_equal(get->n_kvs, 1);
    assert_int_equal(get->kvs[0].key.len, 100000);
    assert_memory_equal(get->kvs[0].key.data, key, 100000);
    etcd_response_free(get);
    free(key);
    etcd_client_free(client);
}

/* ---- limits ---- */

static void the_servers_limit_is_a_refusal(void **state)
{
    etcd_client *client = real_client(), *generous = real_client_with(ETCD_CLIENT(.max_send_bytes = 16 << 20));
    char *bytes = pattern(4 << 20);
    etcd_error err;

    (void)state;
    assert_error(etcd_put(client, ETCD_STR("big"), bytes, 1800000, NULL, NULL, &err), &err, ETCD_ERR_REQUEST_TOO_LARGE,
                 "request is too large");
    assert_int_equal(err.flags & ETCD_ERROR_MAYBE_APPLIED, 0);
    /* over 2 MiB the server's gRPC says no before etcd sees the request */
    assert_error(etcd_put(generous, ETCD_STR("big"), bytes, 4 << 20, NULL, NULL, &err), &err, ETCD_ERR_RESOURCE_EXHAUSTED,
                 "larger than max");
    assert_keys(real_get(client, "big", NULL), "");
    real_put(generous, "still", "works");
    free(bytes);
    etcd_client_free(generous);
    etcd_client_free(client);
}

static void the_clients_own_limits_name_themselves(void **state)
{
    etcd_client *client = real_client(), *small = real_client_with(ETCD_CLIENT(.max_send_bytes = 1000, .max_recv_bytes = 2000));
    char *bytes = pattern(3 << 20);
    etcd_error err;

    (void)state;
    assert_error(etcd_put(client, ETCD_STR("big"), bytes, 3 << 20, NULL, NULL, &err), &err, ETCD_ERR_TOO_LARGE, "2097152");
    assert_int_equal(err.flags, 0);
    assert_error(etcd_put(client, bytes, 3 << 20, ETCD_STR("x"), NULL, NULL, &err), &err, ETCD_ERR_TOO_LARGE, "2097152");
    assert_error(etcd_put(small, ETCD_STR("big"), bytes, 1000, NULL, NULL, &err), &err, ETCD_ERR_TOO_LARGE, "1000");
    assert_error(etcd_get(small, bytes, 1001, NULL, NULL, &err), &err, ETCD_ERR_TOO_LARGE, "1000");
    assert_ok(etcd_put(client, ETCD_STR("big"), bytes, 3000, NULL, NULL, &err), &err);
    assert_error(etcd_get(small, ETCD_STR("big"), NULL, NULL, &err), &err, ETCD_ERR_TOO_LARGE, "2000");
    real_put(small, "small", "still works");
    free(bytes);
    etcd_client_free(small);
    etcd_client_free(client);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(put_returns_what_it_replaced),
    cmocka_unit_test(put_can_keep_the_value),
    cmocka_unit_test(put_attaches_and_keeps_a_lease),
    cmocka_unit_test(put_to_an_unknown_lease_is_refused),
    cmocka_unit_test(delete_takes_one_key),
    cmocka_unit_test(delete_takes_ranges),
    cmocka_unit_test(delete_returns_what_was_there),
    cmocka_unit_test(all_bytes_survive_in_keys_and_values),
    cmocka_unit_test(keys_that_differ_behind_a_nul_are_two),
    cmocka_unit_test(an_empty_value_is_a_value),
    cmocka_unit_test(values_of_many_sizes_survive),
    cmocka_unit_test(many_big_values_come_in_one_answer),
    cmocka_unit_test(a_long_key_is_a_key),
    cmocka_unit_test(the_servers_limit_is_a_refusal),
    cmocka_unit_test(the_clients_own_limits_name_themselves),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
