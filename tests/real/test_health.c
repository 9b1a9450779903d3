/* The health check. */
#include <signal.h>

#include "real.h"

static void a_server_serves(void **state)
{
    etcd_client *client = real_client();
    etcd_health_check_response *health;
    etcd_error err;

    (void)state;
    assert_ok(etcd_health_check(client, NULL, NULL, NULL, &health, &err), &err);
    assert_int_equal(health->status, ETCD_HEALTH_SERVING);
    etcd_response_free(health);
    assert_ok(etcd_health_check(client, etcd_server_endpoint(real_server(), 0), "", NULL, &health, &err), &err);
    assert_int_equal(health->status, ETCD_HEALTH_SERVING);
    etcd_response_free(health);
    etcd_client_free(client);
}

static void an_unknown_service_is_told(void **state)
{
    etcd_client *client = real_client();
    etcd_health_check_response *health = NULL;
    etcd_error err;

    (void)state;
    assert_error(etcd_health_check(client, NULL, "etcdserverpb.KV", NULL, &health, &err), &err, ETCD_ERR_NOT_FOUND,
                 "unknown service");
    assert_null(health);
    assert_int_equal(err.grpc_code, 5);
    assert_int_equal(err.flags, 0);
    etcd_client_free(client);
}

/* Serving is about the member alone: also without a leader. */
static void each_member_is_asked_by_itself(void **state)
{
    struct etcd_server_options options = {.members = 2};
    struct etcd_server *server = etcd_server_start(&options);
    etcd_client *client;
    etcd_health_check_response *health;
    etcd_error err;

    (void)state;
    assert_non_null(server);
    client =
        real_client_with(ETCD_CLIENT(.endpoints = etcd_server_endpoints(server), .backoff_base_ms = 20, .backoff_max_ms = 100));
    etcd_server_signal(server, 1, SIGKILL);
    assert_ok(etcd_health_check(client, etcd_server_endpoint(server, 0), NULL, NULL, &health, &err), &err);
    assert_int_equal(health->status, ETCD_HEALTH_SERVING);
    etcd_response_free(health);
    assert_error(etcd_health_check(client, etcd_server_endpoint(server, 1), NULL, ETCD_CALL(.timeout_ms = 300), &health, &err),
                 &err, ETCD_ERR_DEADLINE_EXCEEDED, NULL);
    assert_null(health);
    etcd_client_free(client);
    etcd_server_stop(server);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_server_serves),
    cmocka_unit_test(an_unknown_service_is_told),
    cmocka_unit_test(each_member_is_asked_by_itself),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
