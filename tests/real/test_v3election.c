/* The server's elections. */
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

static void on_campaign(etcd_client *client, etcd_campaign_response *response, const etcd_error *err, void *arg)
{
    (void)client;
    real_end(arg, response, err);
}

static etcd_campaign_response *campaign(etcd_client *client, int64_t lease, const char *value)
{
    etcd_campaign_response *response;
    etcd_error err;

    assert_ok(etcd_campaign(client, ETCD_STR("vote"), lease, ETCD_STR(value), NULL, &response, &err), &err);
    assert_true(response->header.cluster_id != 0);
    assert_text(response->leader.name, "vote");
    assert_int_equal(strncmp(response->leader.key.data, "vote/", 5), 0);
    assert_true(response->leader.rev > 0);
    assert_int_equal(response->leader.lease, lease);
    return response;
}

static void assert_leader(etcd_client *client, const etcd_leader_key *leader, const char *value)
{
    etcd_leader_response *response;
    etcd_error err;

    assert_ok(etcd_leader(client, ETCD_STR("vote"), NULL, &response, &err), &err);
    assert_text(response->kv.value, value);
    assert_bytes(response->kv.key, leader->key.data, leader->key.len);
    assert_int_equal(response->kv.create_revision, leader->rev);
    assert_int_equal(response->kv.lease, leader->lease);
    etcd_response_free(response);
}

static void the_only_candidate_leads(void **state)
{
    etcd_client *client = real_client();
    etcd_campaign_response *won = campaign(client, grant(client), "one");
    etcd_leader_response *leader = NULL;
    etcd_proclaim_response *proclaimed;
    etcd_resign_response *resigned;
    etcd_error err;

    (void)state;
    assert_leader(client, &won->leader, "one");
    assert_ok(etcd_proclaim(client, &won->leader, ETCD_STR("two"), NULL, &proclaimed, &err), &err);
    assert_true(proclaimed->header.cluster_id != 0);
    etcd_response_free(proclaimed);
    assert_leader(client, &won->leader, "two");
    assert_ok(etcd_resign(client, &won->leader, NULL, &resigned, &err), &err);
    assert_true(resigned->header.cluster_id != 0);
    etcd_response_free(resigned);
    assert_error(etcd_leader(client, ETCD_STR("vote"), NULL, &leader, &err), &err, ETCD_ERR_UNKNOWN, "election: no leader");
    assert_null(leader);
    assert_int_equal(err.grpc_code, 2);
    assert_error(etcd_proclaim(client, &won->leader, ETCD_STR("three"), NULL, NULL, &err), &err, ETCD_ERR_UNKNOWN,
                 "election: not leader");
    assert_ok(etcd_resign(client, &won->leader, NULL, NULL, &err), &err); /* leads no more */
    etcd_response_free(won);
    etcd_client_free(client);
}

static void candidates_wait_in_line(void **state)
{
    etcd_client *client = real_client();
    int64_t first_lease = grant(client), second_lease = grant(client);
    etcd_campaign_response *first = campaign(client, first_lease, "first"), *second;
    struct real_ending ending = REAL_ENDING;
    int64_t start_ms = real_now_ms();
    etcd_error err;
    size_t n = 0;

    (void)state;
    assert_ok(etcd_campaign_async(client, ETCD_STR("vote"), second_lease, ETCD_STR("second"),
                                  ETCD_CALL(.timeout_ms = PATIENCE_MS), on_campaign, &ending, NULL, &err),
              &err);
    while (n != 2) {
        etcd_get_response *get = real_get(client, "vote/", ETCD_GET(.prefix = true));

        n = get->n_kvs;
        etcd_response_free(get);
        assert_true(real_now_ms() - start_ms < PATIENCE_MS);
    }
    assert_leader(client, &first->leader, "first");
    assert_int_equal(real_times_ended(&ending), 0);
    assert_ok(etcd_lease_revoke(client, first_lease, NULL, NULL, &err), &err); /* the end of a lease ends its leadership */
    real_await(&ending);
    assert_int_equal(ending.code, ETCD_OK);
    second = ending.response;
    assert_leader(client, &second->leader, "second");
    assert_true(second->leader.rev > first->leader.rev);
    assert_ok(etcd_resign(client, &second->leader, NULL, NULL, &err), &err);
    etcd_response_free(first);
    etcd_response_free(second);
    etcd_client_free(client);
}

static void a_campaign_has_a_deadline(void **state)
{
    etcd_client *client = real_client();
    etcd_campaign_response *first = campaign(client, grant(client), "first"), *second = NULL;
    etcd_error err;

    (void)state;
    assert_error(
        etcd_campaign(client, ETCD_STR("vote"), grant(client), ETCD_STR("second"), ETCD_CALL(.timeout_ms = 200), &second, &err),
        &err, ETCD_ERR_DEADLINE_EXCEEDED, NULL);
    assert_null(second);
    assert_true(err.flags & ETCD_ERROR_MAYBE_APPLIED);
    assert_ok(etcd_resign(client, &first->leader, NULL, NULL, &err), &err);
    etcd_response_free(first);
    etcd_client_free(client);
}

static void bad_arguments_are_refused(void **state)
{
    etcd_client *client = real_client();
    etcd_error err;

    (void)state;
    assert_error(etcd_campaign(client, ETCD_STR("vote"), 4711, ETCD_STR("x"), NULL, NULL, &err), &err, ETCD_ERR_LEASE_NOT_FOUND,
                 "requested lease not found");
    assert_error(etcd_campaign(client, NULL, 1, 0, ETCD_STR("x"), NULL, NULL, &err), &err, ETCD_ERR_ARGUMENT, "name is NULL");
    assert_error(etcd_campaign(client, ETCD_STR("vote"), 0, NULL, 1, NULL, NULL, &err), &err, ETCD_ERR_ARGUMENT, "value is NULL");
    assert_error(etcd_proclaim(client, NULL, ETCD_STR("x"), NULL, NULL, &err), &err, ETCD_ERR_ARGUMENT, "leader_key is NULL");
    assert_error(etcd_resign(client, NULL, NULL, NULL, &err), &err, ETCD_ERR_ARGUMENT, "leader_key is NULL");
    assert_error(etcd_leader(client, NULL, 1, NULL, NULL, &err), &err, ETCD_ERR_ARGUMENT, "name is NULL");
    etcd_client_free(client);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_only_candidate_leads),
    cmocka_unit_test(candidates_wait_in_line),
    cmocka_unit_test(a_campaign_has_a_deadline),
    cmocka_unit_test(bad_arguments_are_refused),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
