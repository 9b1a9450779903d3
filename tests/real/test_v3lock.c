/* The server's locks. */
#include <string.h>

#include "real.h"

enum { PATIENCE_MS = 30000 };

static int64_t grant(etcd_client *client)
{
    etcd_lease_grant_response *response;
    etcd_error err;
    int64_t id;

    assert_ok(etcd_lease_grant(client, 600, NULL, &response, &err), &err);
    id = response->id;
    etcd_response_free(response);
    return id;
}

static void revoke(etcd_client *client, int64_t lease)
{
    etcd_error err;

    assert_ok(etcd_lease_revoke(client, lease, NULL, NULL, &err), &err);
}

static etcd_lock_response *lock(etcd_client *client, const char *name, int64_t lease)
{
    etcd_lock_response *response;
    etcd_error err;

    assert_ok(etcd_lock(client, ETCD_STR(name), lease, NULL, &response, &err), &err);
    assert_true(response->header.cluster_id != 0);
    assert_int_equal(strncmp(response->key.data, name, strlen(name)), 0);
    assert_int_equal(response->key.data[strlen(name)], '/');
    return response;
}

static void on_lock(etcd_client *client, etcd_lock_response *response, const etcd_error *err, void *arg)
{
    (void)client;
    real_end(arg, response, err);
}

static void a_lock_is_taken_and_given_up(void **state)
{
    etcd_client *client = real_client();
    int64_t lease = grant(client);
    etcd_lock_response *held = lock(client, "job", lease), *again;
    etcd_get_response *get = real_get(client, held->key.data, NULL);
    etcd_unlock_response *unlocked;
    etcd_error err;

    (void)state;
    assert_int_equal(get->n_kvs, 1);
    assert_int_equal(get->kvs[0].lease, lease);
    etcd_response_free(get);
    again = lock(client, "job", lease); /* is ours */
    assert_bytes(again->key, held->key.data, held->key.len);
    etcd_response_free(again);
    assert_ok(etcd_unlock(client, held->key.data, held->key.len, NULL, &unlocked, &err), &err);
    assert_true(unlocked->header.cluster_id != 0);
    etcd_response_free(unlocked);
    assert_keys(real_get(client, "job", ETCD_GET(.prefix = true)), "");
    assert_ok(etcd_unlock(client, held->key.data, held->key.len, NULL, NULL, &err), &err); /* is held no more */
    etcd_response_free(held);
    revoke(client, lease);
    etcd_client_free(client);
}

static size_t n_keys(etcd_client *client, const char *prefix)
{
    etcd_get_response *get = real_get(client, prefix, ETCD_GET(.prefix = true));
    size_t n = get->n_kvs;

    etcd_response_free(get);
    return n;
}

static void await_keys(etcd_client *client, const char *prefix, size_t n)
{
    int64_t start_ms = real_now_ms();

    while (n_keys(client, prefix) != n)
        assert_true(real_now_ms() - start_ms < PATIENCE_MS);
}

static void a_held_lock_is_waited_for(void **state)
{
    etcd_client *client = real_client();
    int64_t first = grant(client), second = grant(client);
    etcd_lock_response *held = lock(client, "job", first);
    struct real_ending ending = REAL_ENDING;
    etcd_error err;

    (void)state;
    assert_ok(
        etcd_lock_async(client, ETCD_STR("job"), second, ETCD_CALL(.timeout_ms = PATIENCE_MS), on_lock, &ending, NULL, &err),
        &err);
    await_keys(client, "job", 2); /* it stands in line */
    assert_int_equal(real_times_ended(&ending), 0);
    assert_ok(etcd_unlock(client, held->key.data, held->key.len, NULL, NULL, &err), &err);
    real_await(&ending);
    assert_int_equal(ending.code, ETCD_OK);
    assert_int_equal(n_keys(client, "job"), 1);
    etcd_response_free(ending.response);
    etcd_response_free(held);
    revoke(client, first);
    revoke(client, second);
    etcd_client_free(client);
}

static void a_lock_ends_with_its_lease(void **state)
{
    etcd_client *client = real_client();
    int64_t first = grant(client), second = grant(client);
    etcd_lock_response *held = lock(client, "job", first);
    struct real_ending ending = REAL_ENDING;
    etcd_error err;

    (void)state;
    assert_ok(
        etcd_lock_async(client, ETCD_STR("job"), second, ETCD_CALL(.timeout_ms = PATIENCE_MS), on_lock, &ending, NULL, &err),
        &err);
    await_keys(client, "job", 2);
    revoke(client, first);
    real_await(&ending);
    assert_int_equal(ending.code, ETCD_OK);
    etcd_response_free(ending.response);
    etcd_response_free(held);
    revoke(client, second);
    etcd_client_free(client);
}

static void who_waits_too_long_leaves_the_line(void **state)
{
    etcd_client *client = real_client();
    int64_t first = grant(client), second = grant(client);
    etcd_lock_response *held = lock(client, "job", first), *response = NULL;
    etcd_error err = {0};

    (void)state;
    for (int64_t timeout = 300; !(err.flags & ETCD_ERROR_MAYBE_APPLIED); timeout *= 2) { /* until it was sent in time */
        int64_t start = real_watch();

        assert_true(timeout < PATIENCE_MS);
        assert_error(etcd_lock(client, ETCD_STR("job"), second, ETCD_CALL(.timeout_ms = timeout), &response, &err), &err,
                     ETCD_ERR_DEADLINE_EXCEEDED, NULL);
        assert_null(response);
        assert_took(start, timeout, 50);
    }
    await_keys(client, "job", 1); /* the server takes its place back */
    etcd_response_free(held);
    revoke(client, first);
    revoke(client, second);
    etcd_client_free(client);
}

static void a_lock_needs_a_lease_that_lives(void **state)
{
    etcd_client *client = real_client();
    etcd_lock_response *held = NULL;
    etcd_error err;

    (void)state;
    assert_error(etcd_lock(client, ETCD_STR("job"), 4711, NULL, &held, &err), &err, ETCD_ERR_LEASE_NOT_FOUND,
                 "requested lease not found");
    assert_null(held);
    held = lock(client, "job", 0); /* of the server */
    etcd_response_free(held);
    assert_error(etcd_lock(client, NULL, 3, 0, NULL, NULL, &err), &err, ETCD_ERR_ARGUMENT, "name is NULL");
    assert_error(etcd_unlock(client, NULL, 3, NULL, NULL, &err), &err, ETCD_ERR_ARGUMENT, "key is NULL");
    etcd_client_free(client);
}

static void names_are_bytes(void **state)
{
    etcd_client *client = real_client();
    int64_t lease = grant(client);
    etcd_lock_response *held;
    etcd_error err;

    (void)state;
    assert_ok(etcd_lock(client, "a\0b\xff", 4, lease, NULL, &held, &err), &err);
    assert_memory_equal(held->key.data, "a\0b\xff/", 5);
    assert_ok(etcd_unlock(client, held->key.data, held->key.len, NULL, NULL, &err), &err);
    etcd_response_free(held);
    revoke(client, lease);
    etcd_client_free(client);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_lock_is_taken_and_given_up),    cmocka_unit_test(a_held_lock_is_waited_for),
    cmocka_unit_test(a_lock_ends_with_its_lease),      cmocka_unit_test(who_waits_too_long_leaves_the_line),
    cmocka_unit_test(a_lock_needs_a_lease_that_lives), cmocka_unit_test(names_are_bytes),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
