/* Leases: grant, revoke, time to live and list against a real server. */
#include <stdlib.h>
#include <string.h>

#include "real.h"

/* The lease, which the caller revokes or lets expire. */
static etcd_lease_grant_response *grant(etcd_client *client, int64_t ttl_s, int64_t id)
{
    etcd_lease_grant_response *response;
    etcd_error err;

    assert_ok(etcd_lease_grant(client, ttl_s, ETCD_LEASE_GRANT(.id = id), &response, &err), &err);
    assert_true(response->header.cluster_id != 0);
    assert_int_equal(response->error.len, 0);
    return response;
}

static etcd_lease_time_to_live_response *time_to_live(etcd_client *client, int64_t id, bool keys)
{
    etcd_lease_time_to_live_response *response;
    etcd_error err;

    assert_ok(etcd_lease_time_to_live(client, id, ETCD_LEASE_TIME_TO_LIVE(.keys = keys), &response, &err), &err);
    assert_true(response->header.cluster_id != 0);
    return response;
}

static bool is_listed(etcd_client *client, int64_t id)
{
    etcd_lease_list_response *response;
    bool found = false;
    etcd_error err;

    assert_ok(etcd_lease_list(client, NULL, &response, &err), &err);
    for (size_t i = 0; i < response->n_leases; i++)
        found = found || response->leases[i].id == id;
    etcd_response_free(response);
    return found;
}

static void the_server_chooses_an_id(void **state)
{
    etcd_client *client = real_client();
    etcd_lease_grant_response *one = grant(client, 100, 0), *two = grant(client, 200, 0);

    (void)state;
    assert_true(one->id > 0 && two->id > 0 && one->id != two->id);
    assert_int_equal(one->ttl_s, 100);
    assert_int_equal(two->ttl_s, 200);
    assert_true(is_listed(client, one->id) && is_listed(client, two->id));
    etcd_response_free(one);
    etcd_response_free(two);
    etcd_client_free(client);
}

static void the_program_chooses_an_id(void **state)
{
    etcd_client *client = real_client();
    etcd_lease_grant_response *response = NULL;
    etcd_error err;

    (void)state;
    response = grant(client, 60, 0x7001);
    assert_int_equal(response->id, 0x7001);
    etcd_response_free(response);
    response = grant(client, 60, -5);
    assert_int_equal(response->id, -5);
    etcd_response_free(response);
    assert_error(etcd_lease_grant(client, 60, ETCD_LEASE_GRANT(.id = 0x7001), &response, &err), &err, ETCD_ERR_LEASE_EXIST,
                 "lease already exists");
    assert_null(response);
    assert_int_equal(err.flags, 0);
    etcd_client_free(client);
}

static void a_short_ttl_is_raised(void **state)
{
    etcd_client *client = real_client();

    (void)state;
    for (int64_t ttl = -1; ttl <= 0; ttl++) {
        etcd_lease_grant_response *response = grant(client, ttl, 0);

        assert_true(response->ttl_s >= 1);
        etcd_response_free(response);
    }
    etcd_client_free(client);
}

static void a_ttl_that_is_too_large_is_refused(void **state)
{
    etcd_client *client = real_client(), *nowhere = real_client_with(ETCD_CLIENT(.endpoints = "http://127.0.0.1:1"));
    etcd_lease_grant_response *response = grant(client, ETCD_LEASE_TTL_MAX_S, 0);
    etcd_error err;

    (void)state;
    assert_int_equal(response->ttl_s, ETCD_LEASE_TTL_MAX_S);
    etcd_response_free(response);
    /* without asking a server */
    assert_error(etcd_lease_grant(nowhere, ETCD_LEASE_TTL_MAX_S + 1, NULL, &response, &err), &err, ETCD_ERR_LEASE_TTL_TOO_LARGE,
                 "too large lease TTL");
    assert_null(response);
    etcd_client_free(nowhere);
    etcd_client_free(client);
}

static void revoke_deletes_the_keys(void **state)
{
    etcd_client *client = real_client();
    etcd_lease_grant_response *lease = grant(client, 600, 0);
    etcd_lease_revoke_response *revoked;
    etcd_lease_time_to_live_response *left;
    int64_t revision;
    etcd_error err;

    (void)state;
    real_put_lease(client, "a", "1", lease->id);
    real_put(client, "b", "2");
    revision = real_put_lease(client, "c", "3", lease->id);
    assert_ok(etcd_lease_revoke(client, lease->id, NULL, &revoked, &err), &err);
    assert_int_equal(revoked->header.revision, revision + 1);
    assert_keys(real_get(client, "", ETCD_GET(.prefix = true)), "b");
    assert_false(is_listed(client, lease->id));
    left = time_to_live(client, lease->id, true);
    assert_int_equal(left->ttl_s, -1);
    assert_int_equal(left->n_keys, 0);
    etcd_response_free(left);
    etcd_response_free(revoked);
    assert_error(etcd_lease_revoke(client, lease->id, NULL, &revoked, &err), &err, ETCD_ERR_LEASE_NOT_FOUND,
                 "requested lease not found");
    assert_null(revoked);
    assert_int_equal(err.flags, 0);
    etcd_response_free(lease);
    etcd_client_free(client);
}

static void time_to_live_tells_what_is_left(void **state)
{
    etcd_client *client = real_client();
    etcd_lease_grant_response *lease = grant(client, 600, 0);
    etcd_lease_time_to_live_response *left;

    (void)state;
    real_put_lease(client, "k/2", "", lease->id);
    real_put_lease(client, "k/1", "", lease->id);
    left = time_to_live(client, lease->id, false);
    assert_int_equal(left->id, lease->id);
    assert_int_equal(left->granted_ttl_s, 600);
    assert_in_range(left->ttl_s, 500, 600);
    assert_int_equal(left->n_keys, 0);
    etcd_response_free(left);
    left = time_to_live(client, lease->id, true);
    assert_int_equal(left->n_keys, 2); /* in no order */
    assert_int_equal(strcmp(left->keys[0].data, "k/1") == 0 ? 0 : strcmp(left->keys[0].data, "k/2"), 0);
    assert_int_not_equal(strcmp(left->keys[0].data, left->keys[1].data), 0);
    assert_int_equal(left->keys[1].len, 3);
    etcd_response_free(left);
    etcd_response_free(lease);
    etcd_client_free(client);
}

/* A lease of a second that has a key, which it may not live to get on a slow machine: then another. Returns since when it was
 * asked for. */
static int64_t grant_mortal(etcd_client *client, int64_t *id)
{
    for (int64_t until = real_now_ms() + 60000;;) {
        int64_t start = real_now_ms();
        etcd_lease_grant_response *lease = grant(client, 1, 0);
        etcd_error err;
        int rc;

        *id = lease->id;
        etcd_response_free(lease);
        rc = etcd_put(client, ETCD_STR("mortal"), "", 0, ETCD_PUT(.lease = *id), NULL, &err);
        if (rc == ETCD_OK)
            return start;
        assert_error(rc, &err, ETCD_ERR_LEASE_NOT_FOUND, NULL);
        assert_true(real_now_ms() < until);
    }
}

static void a_lease_expires(void **state)
{
    etcd_client *client = real_client();
    etcd_lease_time_to_live_response *left;
    int64_t id, start = grant_mortal(client, &id);

    (void)state;
    do {
        left = time_to_live(client, id, false);
        if (left->ttl_s < 0)
            break;
        etcd_response_free(left);
        real_sleep_ms(20);
        assert_true(real_now_ms() - start < 60000);
    } while (true);
    assert_int_equal(left->ttl_s, -1);
    assert_int_equal(left->id, id);
    assert_int_equal(left->granted_ttl_s, 0);
    etcd_response_free(left);
    assert_true(real_now_ms() - start >= 900);
    while (is_listed(client, id)) /* expiry shows first, the deletion follows */
        assert_true(real_now_ms() - start < 60000);
    assert_keys(real_get(client, "mortal", NULL), "");
    etcd_client_free(client);
}

static void a_lease_that_never_was_is_no_error(void **state)
{
    etcd_client *client = real_client();
    etcd_lease_time_to_live_response *left = time_to_live(client, 0x123456, true);

    (void)state;
    assert_int_equal(left->ttl_s, -1);
    assert_int_equal(left->id, 0x123456);
    etcd_response_free(left);
    etcd_client_free(client);
}

static void many_leases_are_listed(void **state)
{
    enum { N = 500 };
    etcd_client *client = real_client();
    etcd_lease_list_response *list;
    bool found[N] = {false};
    etcd_error err;

    (void)state;
    for (int i = 0; i < N; i++)
        etcd_response_free(grant(client, 1000, 0x900000 + i));
    assert_ok(etcd_lease_list(client, NULL, &list, &err), &err);
    for (size_t i = 0; i < list->n_leases; i++)
        if (list->leases[i].id >= 0x900000 && list->leases[i].id < 0x900000 + N)
            found[list->leases[i].id - 0x900000] = true;
    for (int i = 0; i < N; i++)
        assert_true(found[i]);
    etcd_response_free(list);
    etcd_client_free(client);
}

static void options_may_be_left_out(void **state)
{
    etcd_client *client = real_client();
    etcd_lease_grant_options options;
    etcd_lease_grant_response *lease;
    etcd_error err;

    (void)state;
    etcd_lease_grant_options_init(&options, sizeof options);
    options.id = 0x7101;
    assert_ok(etcd_lease_grant(client, 60, &options, NULL, &err), &err);
    assert_ok(etcd_lease_grant(client, 60, NULL, &lease, &err), &err);
    assert_ok(etcd_lease_time_to_live(client, lease->id, NULL, NULL, &err), &err);
    assert_ok(etcd_lease_list(client, ETCD_CALL(.timeout_ms = 10000), NULL, &err), &err);
    assert_ok(etcd_lease_revoke(client, lease->id, NULL, NULL, &err), &err);
    assert_int_equal(etcd_lease_revoke(client, 0x7101, NULL, NULL, NULL), ETCD_OK);
    options.size = 0;
    assert_error(etcd_lease_grant(client, 60, &options, NULL, &err), &err, ETCD_ERR_ARGUMENT, "etcd_lease_grant_options");
    etcd_response_free(lease);
    etcd_client_free(client);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_server_chooses_an_id), cmocka_unit_test(the_program_chooses_an_id),
    cmocka_unit_test(a_short_ttl_is_raised),    cmocka_unit_test(a_ttl_that_is_too_large_is_refused),
    cmocka_unit_test(revoke_deletes_the_keys),  cmocka_unit_test(time_to_live_tells_what_is_left),
    cmocka_unit_test(a_lease_expires),          cmocka_unit_test(a_lease_that_never_was_is_no_error),
    cmocka_unit_test(many_leases_are_listed),   cmocka_unit_test(options_may_be_left_out),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
