/* What a program does wrong is told before anything is sent: each mistake has its code and a text that says what to change, and
 * leaves nothing behind in the store. */
#include <stdlib.h>
#include <string.h>

#include "real.h"

struct bad_get {
    const char *name;
    const char *key;
    etcd_get_options options;
    int code;
    const char *text;
};

#define GET(...) \
    { \
        .size = sizeof(etcd_get_options), __VA_ARGS__ \
    }

static const struct bad_get bad_gets[] = {
    {"empty key", "", GET(.limit = 0), ETCD_ERR_EMPTY_KEY, "prefix or from_key"},
    {"prefix and from_key", "k", GET(.prefix = true, .from_key = true), ETCD_ERR_ARGUMENT, "exclude each other"},
    {"prefix and range_end", "k", GET(.prefix = true, .range_end = "z", .range_end_len = 1), ETCD_ERR_ARGUMENT,
     "exclude each other"},
    {"from_key and range_end", "k", GET(.from_key = true, .range_end = "z", .range_end_len = 1), ETCD_ERR_ARGUMENT,
     "exclude each other"},
    {"length without range_end", "k", GET(.range_end_len = 1), ETCD_ERR_ARGUMENT, "range_end is NULL"},
    {"range_end without length", "k", GET(.range_end = "z"), ETCD_ERR_ARGUMENT, "range_end_len"},
    {"negative length", "k", GET(.range_end = "z", .range_end_len = -1), ETCD_ERR_ARGUMENT, "range_end_len"},
    {"negative limit", "k", GET(.limit = -1), ETCD_ERR_ARGUMENT, "limit"},
    {"sort_order", "k", GET(.sort_order = 3), ETCD_ERR_INVALID_SORT_OPTION, "invalid sort option"},
    {"negative sort_order", "k", GET(.sort_order = -1), ETCD_ERR_INVALID_SORT_OPTION, "invalid sort option"},
    {"sort_target", "k", GET(.sort_target = 5), ETCD_ERR_INVALID_SORT_OPTION, "invalid sort option"},
    {"pick", "k", GET(.pick = 7), ETCD_ERR_ARGUMENT, "pick"},
    {"negative pick", "k", GET(.pick = -1), ETCD_ERR_ARGUMENT, "pick"},
    {"pick and limit", "k", GET(.pick = ETCD_PICK_LAST_KEY, .limit = 1), ETCD_ERR_ARGUMENT, "pick implies"},
    {"pick and sort", "k", GET(.pick = ETCD_PICK_LAST_KEY, .sort_order = ETCD_SORT_DESCEND), ETCD_ERR_ARGUMENT, "pick implies"},
    {"pick and target", "k", GET(.pick = ETCD_PICK_LAST_KEY, .sort_target = ETCD_SORT_MOD), ETCD_ERR_ARGUMENT, "pick implies"},
    {"no size", "k", {.prefix = true}, ETCD_ERR_ARGUMENT, "etcd_get_options.size"},
};

static void a_callback_that_must_not_run(etcd_client *client, etcd_get_response *response, const etcd_error *err, void *arg)
{
    (void)client, (void)response, (void)err;
    *(int *)arg += 1;
}

static void bad_reads_are_refused(void **state)
{
    etcd_client *client = real_client();
    int ran = 0;

    (void)state;
    for (size_t i = 0; i < sizeof bad_gets / sizeof bad_gets[0]; i++) {
        const struct bad_get *bad = &bad_gets[i];
        etcd_get_response *get = (etcd_get_response *)&ran; /* must be set to NULL */
        etcd_call_id id = 99;
        etcd_error err;
        int rc;

        print_message("%s\n", bad->name);
        assert_error(etcd_get(client, ETCD_STR(bad->key), &bad->options, &get, &err), &err, bad->code, bad->text);
        assert_null(get);
        assert_int_equal(err.grpc_code, -1);
        assert_int_equal(err.flags, 0);
        assert_string_equal(err.endpoint, "");
        assert_int_equal(etcd_get(client, ETCD_STR(bad->key), &bad->options, NULL, NULL), bad->code);
        rc = etcd_get_async(client, ETCD_STR(bad->key), &bad->options, a_callback_that_must_not_run, &ran, &id, &err);
        assert_error(rc, &err, bad->code, bad->text);
    }
    real_put(client, "key", "the client still works");
    etcd_client_free(client);
    assert_int_equal(ran, 0);
}

static void bad_writes_are_refused(void **state)
{
    etcd_client *client = real_client();
    int64_t before = real_put(client, "key", "value");
    etcd_get_response *get;
    etcd_error err;
    const etcd_delete_options both = {.size = sizeof both, .prefix = true, .from_key = true};

    (void)state;
    assert_error(etcd_put(client, "", 0, ETCD_STR("x"), NULL, NULL, &err), &err, ETCD_ERR_EMPTY_KEY, "key is not provided");
    assert_error(etcd_put(client, NULL, 3, ETCD_STR("x"), NULL, NULL, &err), &err, ETCD_ERR_ARGUMENT, "key is NULL");
    assert_error(etcd_put(client, ETCD_STR("key"), NULL, 3, NULL, NULL, &err), &err, ETCD_ERR_ARGUMENT, "value is NULL");
    assert_error(etcd_put(client, ETCD_STR("key"), ETCD_STR("x"), ETCD_PUT(.ignore_value = true), NULL, &err), &err,
                 ETCD_ERR_VALUE_PROVIDED, "give an empty one");
    assert_error(etcd_put(client, ETCD_STR("key"), ETCD_STR("x"), ETCD_PUT(.ignore_lease = true, .lease = 1), NULL, &err), &err,
                 ETCD_ERR_LEASE_PROVIDED, "leave lease 0");
    assert_error(etcd_delete(client, "", 0, NULL, NULL, &err), &err, ETCD_ERR_EMPTY_KEY, "prefix or from_key");
    assert_error(etcd_delete(client, NULL, 3, NULL, NULL, &err), &err, ETCD_ERR_ARGUMENT, "key is NULL");
    assert_error(etcd_delete(client, ETCD_STR("key"), &both, NULL, &err), &err, ETCD_ERR_ARGUMENT, "exclude each other");
    assert_error(etcd_delete(client, ETCD_STR("key"), ETCD_DELETE(.range_end = "z"), NULL, &err), &err, ETCD_ERR_ARGUMENT,
                 "range_end_len");
    get = real_get(client, "key", NULL);
    assert_int_equal(get->header.revision, before);
    assert_int_equal(err.flags, 0);
    etcd_response_free(get);
    etcd_client_free(client);
}

/* An option struct of a program that was built for a later version of the library. */
struct later_options {
    etcd_get_options known;
    int64_t later;
};

static void options_of_a_later_version_are_refused_when_set(void **state)
{
    etcd_client *client = real_client();
    struct later_options options = {.known = {.prefix = true}};
    etcd_error err;

    (void)state;
    options.known.size = sizeof options;
    assert_ok(etcd_get(client, ETCD_STR("key"), &options.known, NULL, &err), &err);
    options.later = 1;
    assert_error(etcd_get(client, ETCD_STR("key"), &options.known, NULL, &err), &err, ETCD_ERR_ARGUMENT, "does not know");
    etcd_client_free(client);
}

static void options_of_an_earlier_version_are_taken(void **state)
{
    etcd_client *client = real_client();
    etcd_get_options options;
    etcd_error err;
    etcd_get_response *get;

    (void)state;
    real_put(client, "k1", "x");
    real_put(client, "k2", "x");
    memset(&options, 0xff, sizeof options); /* what is behind `size` is not read */
    etcd_get_options_init(&options, offsetof(etcd_get_options, limit));
    options.prefix = true;
    assert_int_equal(options.size, offsetof(etcd_get_options, limit));
    assert_ok(etcd_get(client, ETCD_STR("k"), &options, &get, &err), &err);
    assert_keys(get, "k1 k2");
    etcd_client_free(client);
}

static void nested_options_are_sized_too(void **state)
{
    etcd_tls_options *old = malloc(offsetof(etcd_tls_options, server_name)); /* ASan watches its end */
    const etcd_tls_options unsized = {.insecure_skip_verify = true};
    etcd_client *client;
    etcd_error err;

    (void)state;
    assert_non_null(old);
    etcd_tls_options_init(old, offsetof(etcd_tls_options, server_name));
    assert_ok(etcd_client_new(ETCD_CLIENT(.endpoints = "https://127.0.0.1:1", .tls = old), &client, &err), &err);
    etcd_client_free(client);
    free(old);
    assert_error(etcd_client_new(ETCD_CLIENT(.endpoints = "https://127.0.0.1:1", .tls = &unsized), &client, &err), &err,
                 ETCD_ERR_ARGUMENT, "etcd_tls_options.size");
}

static void bad_call_options_are_refused(void **state)
{
    etcd_client *client = real_client();
    const etcd_call_options unsized = {.timeout_ms = 1000};
    etcd_error err;

    (void)state;
    assert_error(etcd_get(client, ETCD_STR("key"), ETCD_GET(.call = &unsized), NULL, &err), &err, ETCD_ERR_ARGUMENT,
                 "etcd_call_options.size");
    etcd_client_free(client);
}

static void a_null_client_is_refused(void **state)
{
    etcd_error err;
    etcd_get_response *get = (etcd_get_response *)&err;

    (void)state;
    assert_error(etcd_get(NULL, ETCD_STR("key"), NULL, &get, &err), &err, ETCD_ERR_ARGUMENT, "client is NULL");
    assert_null(get);
    assert_error(etcd_put(NULL, ETCD_STR("key"), ETCD_STR("x"), NULL, NULL, &err), &err, ETCD_ERR_ARGUMENT, "client is NULL");
    assert_error(etcd_delete(NULL, ETCD_STR("key"), NULL, NULL, &err), &err, ETCD_ERR_ARGUMENT, "client is NULL");
    assert_error(etcd_compact(NULL, 1, NULL, NULL, &err), &err, ETCD_ERR_ARGUMENT, "client is NULL");
    etcd_client_close(NULL);
    etcd_client_free(NULL);
    etcd_cancel_free(NULL);
    etcd_range_free(NULL);
    etcd_txn_free(NULL);
    etcd_op_free(NULL);
    etcd_response_free(NULL);
}

struct bad_client {
    const char *endpoints;
    int code;
    const char *text;
};

static void malformed_endpoints_are_refused(void **state)
{
    static const struct bad_client bad[] = {
        {NULL, ETCD_ERR_NO_ENDPOINTS, "no available endpoints"},
        {"", ETCD_ERR_NO_ENDPOINTS, "no available endpoints"},
        {"   ", ETCD_ERR_NO_ENDPOINTS, "no available endpoints"},
        {"http://127.0.0.1:2379,", ETCD_ERR_ARGUMENT, "empty"},
        {"http://", ETCD_ERR_ARGUMENT, "http://"},
        {"http://127.0.0.1:0", ETCD_ERR_ARGUMENT, "port"},
        {"http://127.0.0.1:65536", ETCD_ERR_ARGUMENT, "port"},
        {"http://127.0.0.1:port", ETCD_ERR_ARGUMENT, "port"},
        {"http://127.0.0.1:", ETCD_ERR_ARGUMENT, "port"},
        {"http://[::1:2379", ETCD_ERR_ARGUMENT, "]"},
        {"http://::1:2379", ETCD_ERR_ARGUMENT, "brackets"},
        {"ftp://127.0.0.1:2379", ETCD_ERR_ARGUMENT, "scheme"},
        {"http://user:secret@127.0.0.1:2379", ETCD_ERR_ARGUMENT, "user"},
        {"http://127.0.0.1:2379,bad host", ETCD_ERR_ARGUMENT, "bad host"},
        {"http://127.0.0.1:2379\n", ETCD_ERR_ARGUMENT, "control character"},
        {"unix:", ETCD_ERR_ARGUMENT, "path"},
        {"256.1.1.1:2379", ETCD_ERR_ARGUMENT, "IPv4"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        etcd_error err;
        etcd_client *client = (etcd_client *)&err;

        print_message("%s\n", bad[i].endpoints != NULL ? bad[i].endpoints : "(null)");
        assert_error(etcd_client_new(ETCD_CLIENT(.endpoints = bad[i].endpoints), &client, &err), &err, bad[i].code, bad[i].text);
        assert_null(client);
        assert_null(strstr(err.message, "secret"));
    }
}

static void bad_client_options_are_refused(void **state)
{
    static const struct {
        etcd_client_options options;
        const char *text;
    } bad[] = {
        {{.size = sizeof(etcd_client_options), .connect_timeout_ms = -1}, "connect_timeout_ms"},
        {{.size = sizeof(etcd_client_options), .backoff_base_ms = -1}, "backoff_base_ms"},
        {{.size = sizeof(etcd_client_options), .backoff_max_ms = -1}, "backoff_max_ms"},
        {{.size = sizeof(etcd_client_options), .retry_wait_ms = -1}, "retry_wait_ms"},
        {{.size = sizeof(etcd_client_options), .max_attempts = -1}, "max_attempts"},
        {{.size = sizeof(etcd_client_options), .max_send_bytes = -1}, "max_send_bytes"},
        {{.size = sizeof(etcd_client_options), .max_recv_bytes = -1}, "max_recv_bytes"},
        {{.size = sizeof(etcd_client_options), .max_recv_bytes = INT64_C(1) << 40}, "limit"},
        {{.size = sizeof(etcd_client_options), .max_send_bytes = 2000, .max_recv_bytes = 1000}, "limit"},
        {{.size = 0}, "size"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        etcd_client_options options = bad[i].options;
        etcd_client *client = (etcd_client *)&options;
        etcd_error err;

        options.endpoints = "http://127.0.0.1:2379";
        assert_error(etcd_client_new(&options, &client, &err), &err, ETCD_ERR_ARGUMENT, bad[i].text);
        assert_null(client);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(bad_reads_are_refused),
    cmocka_unit_test(bad_writes_are_refused),
    cmocka_unit_test(options_of_a_later_version_are_refused_when_set),
    cmocka_unit_test(options_of_an_earlier_version_are_taken),
    cmocka_unit_test(nested_options_are_sized_too),
    cmocka_unit_test(bad_call_options_are_refused),
    cmocka_unit_test(a_null_client_is_refused),
    cmocka_unit_test(malformed_endpoints_are_refused),
    cmocka_unit_test(bad_client_options_are_refused),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
