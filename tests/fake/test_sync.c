/* etcd_client_sync() in its three forms: the list of endpoints becomes what the members advertise, or stays. */
#include "harness/alloc.h"
#include "harness/fake_fixture.h"

#include <stdio.h>
#include <string.h>

#define MEMBER_LIST "/etcdserverpb.Cluster/MemberList"
#define TEXT(text) \
    { \
        (text), sizeof(text) - 1 \
    }

/* Two that serve, one that has not started, one learner; `arg`: whether the first two advertise anything. */
static void list_members(fake_request *request, void *arg)
{
    const bool *silent = arg;
    const char *own = fake_server_endpoint(request->server);
    const etcd_bytes first[] = {{own, strlen(own)}, TEXT("http://127.0.0.1:1")}, other[] = {TEXT("http://127.0.0.1:2")};
    const etcd_member members[] = {
        {.id = 1, .name = TEXT("a"), .client_urls = first, .n_client_urls = *silent ? 0 : 2},
        {.id = 2, .name = TEXT("b"), .client_urls = first, .n_client_urls = *silent ? 0 : 1},
        {.id = 3, .client_urls = other, .n_client_urls = 1},
        {.id = 4, .name = TEXT("d"), .is_learner = true, .client_urls = other, .n_client_urls = 1},
    };
    const etcd_member_list_response response = {.members = members, .n_members = sizeof members / sizeof members[0]};

    if (!((const etcd__member_list_request *)request->message)->linearizable) {
        fake_reply_trailers_only(request, 3, "not linearizable");
        return;
    }
    fake_reply_headers(request);
    fake_reply_message(request, &etcd__member_list_response_type, &response);
    fake_reply_status(request, 0, NULL);
}

static void expect_endpoints(etcd_client *client, size_t n)
{
    etcd_endpoints_response *all;
    etcd_error err;

    assert_int_equal(etcd_client_endpoints(client, &all, &err), ETCD_OK);
    assert_int_equal(all->n_endpoints, n);
    etcd_response_free(all);
}

static void blocking(void **state)
{
    fake_server *server = fake_server_start(NULL);
    etcd_client *client = fake_client(fake_server_endpoint(server), false);
    bool silent = false;
    etcd_error err;

    (void)state;
    fake_server_handle(server, MEMBER_LIST, list_members, &silent);
    assert_int_equal(etcd_client_sync(client, NULL, &err), ETCD_OK);
    expect_endpoints(client, 2); /* each once */
    silent = true;
    assert_int_equal(etcd_client_sync(client, ETCD_CALL(.timeout_ms = FAKE_WAIT_MS), &err), ETCD_ERR_NO_ENDPOINTS);
    expect_endpoints(client, 2);
    etcd_client_free(client);
    fake_server_stop(server);
}

struct ending {
    int times;
    int code;
    size_t endpoints;
};

static void on_sync(etcd_client *client, const etcd_error *err, void *arg)
{
    struct ending *ending = arg;
    etcd_endpoints_response *all;

    ending->times++;
    ending->code = err ? err->code : ETCD_OK;
    if (etcd_client_endpoints(client, &all, NULL) == ETCD_OK) {
        ending->endpoints = all->n_endpoints;
        etcd_response_free(all);
    }
}

static void with_a_callback(void **state)
{
    fake_server *server = fake_server_start(NULL);
    etcd_client *client = fake_client(fake_server_endpoint(server), true);
    struct ending ending = {0};
    bool silent = false;
    etcd_error err;

    (void)state;
    fake_server_handle(server, MEMBER_LIST, list_members, &silent);
    assert_int_equal(etcd_client_sync_async(client, NULL, on_sync, &ending, NULL, &err), ETCD_OK);
    assert_int_equal(ending.times, 0);
    while (ending.times == 0)
        assert_int_equal(etcd_client_process(client, -1, &err), ETCD_OK);
    assert_int_equal(ending.code, ETCD_OK);
    assert_int_equal(ending.endpoints, 2);

    silent = true;
    assert_int_equal(etcd_client_sync_async(client, NULL, on_sync, &ending, NULL, &err), ETCD_OK);
    while (ending.times == 1)
        assert_int_equal(etcd_client_process(client, -1, &err), ETCD_OK);
    assert_int_equal(ending.code, ETCD_ERR_NO_ENDPOINTS);
    assert_int_equal(etcd_client_sync_async(client, NULL, on_sync, &ending, NULL, &err), ETCD_OK);
    etcd_client_free(client);
    assert_int_equal(ending.times, 3);
    assert_int_equal(ending.code, ETCD_ERR_CLOSED);
    fake_server_stop(server);
}

static void with_the_queue(void **state)
{
    fake_server *server = fake_server_start(NULL);
    etcd_client *client = fake_client(fake_server_endpoint(server), false);
    etcd_completion *end;
    bool silent = false;
    etcd_call_id id;
    etcd_error err;

    (void)state;
    fake_server_handle(server, MEMBER_LIST, list_members, &silent);
    for (int i = 0; i < 2; i++) {
        silent = i == 1;
        assert_int_equal(etcd_client_sync_async(client, NULL, NULL, &silent, &id, &err), ETCD_OK);
        assert_int_equal(etcd_client_next_completion(client, FAKE_WAIT_MS, &end, &err), ETCD_OK);
        assert_true(end->id == id && end->arg == &silent);
        assert_int_equal(end->type, ETCD_CALL_CLIENT_SYNC);
        assert_null(end->response);
        assert_int_equal(end->code, i == 0 ? ETCD_OK : ETCD_ERR_NO_ENDPOINTS);
        assert_true((end->error == NULL) == (i == 0));
        etcd_response_free(end);
        expect_endpoints(client, 2);
    }
    etcd_client_free(client);
    fake_server_stop(server);
}

/* One member, which advertises the endpoint that `arg` is. */
static void list_one(fake_request *request, void *arg)
{
    const etcd_bytes url = {arg, strlen(arg)};
    const etcd_member member = {.id = 1, .name = TEXT("a"), .client_urls = &url, .n_client_urls = 1};

    fake_reply_headers(request);
    fake_reply_message(request, &etcd__member_list_response_type,
                       &(etcd_member_list_response){.members = &member, .n_members = 1});
    fake_reply_status(request, 0, NULL);
}

/* What the client asks for by itself is answered by an endpoint that the answer leaves out: its connection goes, but not while
 * it is at work on that answer. */
static void the_one_that_tells_goes(void **state)
{
    fake_server *seed = fake_server_start(NULL), *member = fake_server_start(NULL);
    char other[128];
    etcd_client *client;
    etcd_error err;

    (void)state;
    (void)snprintf(other, sizeof other, "%s", fake_server_endpoint(member));
    fake_server_handle(seed, MEMBER_LIST, list_one, other);
    fake_server_handle(member, MEMBER_LIST, list_one, other);
    client = fake_client_with(fake_server_endpoint(seed), (etcd_client_options){.auto_sync_interval_ms = 5, .manual = true});
    while (fake_server_count(member, MEMBER_LIST) == 0)
        assert_int_equal(etcd_client_process(client, 100, &err), ETCD_OK);
    expect_endpoints(client, 1);
    assert_int_equal(etcd_get(client, ETCD_STR("k"), NULL, NULL, &err), ETCD_OK);
    assert_int_equal(fake_server_count(member, FAKE_RANGE), 1);
    assert_true(fake_server_wait_closed(seed, 1, FAKE_WAIT_MS));
    assert_int_equal(fake_server_conn(seed, 0).goaways, 1); /* politely */
    etcd_client_free(client);
    fake_server_stop(member);
    fake_server_stop(seed);
}

static int sync_once(void *arg)
{
    etcd_client *client;
    etcd_completion *end = NULL;
    int rc = etcd_client_new(ETCD_CLIENT(.endpoints = fake_server_endpoint(arg), .manual = true, .backoff_base_ms = 1,
                                         .backoff_max_ms = 1, .retry_wait_ms = 1),
                             &client, NULL);

    if (rc != ETCD_OK)
        return rc;
    rc = etcd_client_sync_async(client, ETCD_CALL(.timeout_ms = FAKE_WAIT_MS), NULL, NULL, NULL, NULL);
    if (rc == ETCD_OK && etcd_client_next_completion(client, FAKE_WAIT_MS, &end, NULL) != ETCD_OK)
        fail_msg("the completion is lost");
    if (rc == ETCD_OK)
        rc = end->code;
    etcd_response_free(end);
    etcd_client_free(client);
    return rc;
}

static void every_allocation(void **state)
{
    fake_server *server = fake_server_start(NULL);
    bool silent = false;

    (void)state;
    fake_server_handle(server, MEMBER_LIST, list_members, &silent);
    etcd_test_alloc_install();
    assert_true(etcd_test_alloc_sweep(sync_once, server) > 20);
    fake_server_stop(server);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocking),         cmocka_unit_test(with_a_callback),
        cmocka_unit_test(with_the_queue),   cmocka_unit_test(the_one_that_tells_goes),
        cmocka_unit_test(every_allocation),
    };

    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
