/* Leases kept alive against real servers: they live as long as their handle, and whoever holds one learns of its loss in
 * time, and why. */
#include <stdlib.h>
#include <string.h>

#include "real.h"

#define WAIT_MS 30000

static etcd_keepalive *open_one(etcd_client *client, int64_t lease, int64_t ttl_s)
{
    etcd_keepalive *keepalive;
    etcd_error err;

    assert_ok(etcd_keepalive_open(client, lease, ETCD_KEEPALIVE(.ttl_s = ttl_s), &keepalive, &err), &err);
    return keepalive;
}

static void take_answer(etcd_keepalive *keepalive, int64_t lease, int64_t ttl_s)
{
    etcd_keepalive_response *answer;
    etcd_error err;

    assert_ok(etcd_keepalive_next(keepalive, WAIT_MS, &answer, &err), &err);
    assert_int_equal(answer->id, lease);
    assert_int_equal(answer->ttl_s, ttl_s);
    assert_true(answer->header.cluster_id != 0);
    etcd_response_free(answer);
}

/* What is left by the server's word; -1: it is gone. */
static int64_t time_left(etcd_client *client, int64_t lease)
{
    etcd_lease_time_to_live_response *response;
    etcd_error err;
    int64_t left;

    assert_ok(etcd_lease_time_to_live(client, lease, NULL, &response, &err), &err);
    left = response->ttl_s;
    etcd_response_free(response);
    return left;
}

/* Waits for the end. */
static void await_end(etcd_keepalive *keepalive, int code)
{
    etcd_keepalive_response *answer;
    etcd_error err;
    int rc;

    while ((rc = etcd_keepalive_next(keepalive, WAIT_MS, &answer, &err)) == ETCD_OK)
        etcd_response_free(answer);
    assert_error(rc, &err, code, NULL);
    assert_int_equal(etcd_keepalive_remaining_ms(keepalive), 0);
    rc = etcd_keepalive_next(keepalive, 0, &answer, &err);
    assert_error(rc, &err, code, NULL);
}

static void a_lease_lives_beyond_its_ttl(void **state)
{
    etcd_client *client = real_client();
    etcd_keepalive *keepalive;
    int64_t end;

    (void)state;
    real_grant(0x100, 3);
    real_put_lease(client, "key", "value", 0x100);
    keepalive = open_one(client, 0x100, 3);
    assert_int_equal(etcd_keepalive_lease(keepalive), 0x100);
    end = real_now_ms() + 7000;
    while (real_now_ms() < end) {
        take_answer(keepalive, 0x100, 3);
        assert_true(etcd_keepalive_remaining_ms(keepalive) > 0);
    }
    assert_keys(real_get(client, "key", NULL), "key");
    etcd_keepalive_free(keepalive);
    etcd_client_free(client);
}

static void a_revoked_lease_is_told(void **state)
{
    etcd_client *client = real_client();
    etcd_keepalive *keepalive;
    etcd_error err;

    (void)state;
    real_grant(0x200, 3);
    keepalive = open_one(client, 0x200, 0);
    take_answer(keepalive, 0x200, 3);
    assert_ok(etcd_lease_revoke(client, 0x200, NULL, NULL, &err), &err);
    await_end(keepalive, ETCD_ERR_LEASE_NOT_FOUND);
    etcd_keepalive_free(keepalive);
    etcd_client_free(client);
}

static void a_lease_that_never_was_is_told(void **state)
{
    etcd_client *client = real_client();
    etcd_keepalive *keepalive = open_one(client, 0x300, 0);

    (void)state;
    await_end(keepalive, ETCD_ERR_LEASE_NOT_FOUND);
    etcd_keepalive_free(keepalive);
    etcd_client_free(client);
}

static void once_renews(void **state)
{
    etcd_client *client = real_client();
    etcd_keepalive_response *answer;
    etcd_error err;

    (void)state;
    real_grant(0x400, 100);
    real_sleep_ms(2100);
    assert_true(time_left(client, 0x400) < 99);
    assert_ok(etcd_keepalive_once(client, 0x400, NULL, &answer, &err), &err);
    assert_int_equal(answer->ttl_s, 100);
    assert_int_equal(answer->id, 0x400);
    etcd_response_free(answer);
    assert_true(time_left(client, 0x400) >= 99);
    assert_error(etcd_keepalive_once(client, 0x401, NULL, &answer, &err), &err, ETCD_ERR_LEASE_NOT_FOUND, "lease not found");
    assert_null(answer);
    etcd_client_free(client);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_lease_lives_beyond_its_ttl),
    cmocka_unit_test(a_revoked_lease_is_told),
    cmocka_unit_test(a_lease_that_never_was_is_told),
    cmocka_unit_test(once_renews),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
