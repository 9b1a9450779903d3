/* P10: any allocation may fail; the call then fails cleanly or succeeds all the same, says truly whether a write may have been
 * done, leaks nothing, and leaves the client usable. And how many allocations a call takes, exactly. The fake server's own memory
 * is malloc's and is neither counted nor failed. */
#include "harness/alloc.h"
#include "harness/fake_fixture.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <string.h>

/* ---- calls of every kind ---- */

static int run_async(etcd_client *client, const etcd_call_options *call, etcd_error *err)
{
    etcd_completion *completion;
    int rc = etcd_put_async(client, ETCD_STR("k"), ETCD_STR("v"), ETCD_PUT(.call = call), NULL, NULL, NULL, err);

    if (rc != ETCD_OK)
        return rc;
    rc = etcd_client_next_completion(client, FAKE_WAIT_MS, &completion, err);
    if (rc != ETCD_OK)
        fail_msg("the completion is lost: %s", err->message);
    rc = completion->code;
    if (completion->error)
        *err = *completion->error;
    etcd_response_free(completion);
    return rc;
}

static int run_do(etcd_client *client, const etcd_call_options *call, etcd_error *err)
{
    etcd_op_response *response = NULL;
    etcd_op *op;
    int rc = etcd_op_put(ETCD_STR("k"), ETCD_STR("v"), ETCD_PUT(.prev_kv = true), &op, err);

    if (rc != ETCD_OK)
        return rc;
    rc = etcd_do(client, op, call, &response, err);
    etcd_response_free(response);
    etcd_op_free(op);
    return rc;
}

static int run_canceled(etcd_client *client, const etcd_call_options *call, etcd_error *err)
{
    etcd_cancel *cancel;
    int rc = etcd_cancel_new(&cancel, err);

    if (rc != ETCD_OK)
        return rc;
    rc = etcd_put(client, ETCD_STR("k"), ETCD_STR("v"),
                  ETCD_PUT(.call = ETCD_CALL(.cancel = cancel, .timeout_ms = call->timeout_ms)), NULL, err);
    etcd_cancel_free(cancel);
    return rc;
}

static int run_range(etcd_client *client, const etcd_call_options *call, etcd_error *err)
{
    etcd_range *range;
    etcd_get_response *page;
    int rc = etcd_range_open(client, ETCD_STR(""), ETCD_GET(.prefix = true, .limit = 1, .call = call), &range, err);

    while (rc == ETCD_OK) {
        rc = etcd_range_next(range, &page, err);
        if (rc != ETCD_OK || !page)
            break;
        etcd_response_free(page);
    }
    etcd_range_free(range);
    return rc;
}

static const fake_op ops[] = {
    {"async put", FAKE_PUT, true, run_async},
    {"do", FAKE_PUT, true, run_do},
    {"put with a switch", FAKE_PUT, true, run_canceled},
    {"range iterator", FAKE_RANGE, false, run_range},
};

/* ---- on a client that is connected ---- */

static etcd_client *connected_client(fake_server *server)
{
    etcd_client *client = fake_client(fake_server_endpoint(server), true);

    for (int i = 0; i < 3; i++)
        assert_int_equal(fake_put.run(client, NULL, NULL), ETCD_OK);
    return client;
}

/* Fails the k-th allocation of one call; false when the call needs no more than k - 1. */
static bool fail_one(fake_server *server, etcd_client *client, const fake_op *op, size_t k)
{
    size_t before = fake_server_kv_writes(server), done;
    etcd_error err = {0};
    bool failed;
    int rc;

    etcd_test_alloc_fail_at(k);
    rc = op->run(client, ETCD_CALL(.timeout_ms = FAKE_WAIT_MS), &err);
    failed = etcd_test_alloc_failed();
    etcd_test_alloc_fail_at(0);
    done = fake_server_kv_writes(server) - before;
    if (done > 1 || (rc == ETCD_OK && op->write && done != 1))
        fail_msg("%s, allocation %zu: done %zu times", op->name, k, done);
    if (rc != ETCD_OK && done == 1 && !(err.flags & ETCD_ERROR_MAYBE_APPLIED))
        fail_msg("%s, allocation %zu: done, but failed as if it were not: %s", op->name, k, err.message);
    if (rc != ETCD_OK && !failed)
        fail_msg("%s, allocation %zu: failed without a reason: %s", op->name, k, err.message);
    if (rc != ETCD_OK && rc != ETCD_ERR_NO_MEMORY)
        fail_msg("%s, allocation %zu: %s: %s", op->name, k, etcd_error_name(rc), err.message);
    return failed;
}

static void check_op(const fake_op *op)
{
    fake_server *server = fake_server_start(NULL);
    etcd_client *client;
    size_t live, k;

    etcd_test_alloc_install();
    live = etcd_test_alloc_live();
    client = connected_client(server);
    assert_int_equal(op->run(client, ETCD_CALL(.timeout_ms = FAKE_WAIT_MS), &(etcd_error){0}), ETCD_OK);
    for (k = 1; fail_one(server, client, op, k); k++) {
        etcd_error err;

        if (fake_get.run(client, ETCD_CALL(.timeout_ms = FAKE_WAIT_MS), &err) != ETCD_OK)
            fail_msg("%s, allocation %zu: the client is of no use afterwards: %s", op->name, k, err.message);
    }
    assert_true(k > 1);
    etcd_client_free(client);
    assert_int_equal(etcd_test_alloc_live(), live);
    fake_server_stop(server);
}

static void every_allocation_of_a_get(void **state)
{
    (void)state;
    check_op(&fake_get);
}

static void every_allocation_of_a_put(void **state)
{
    (void)state;
    check_op(&fake_put);
}

static void every_allocation_of_a_txn(void **state)
{
    (void)state;
    check_op(&fake_txn);
}

static void every_allocation_of_other_calls(void **state)
{
    (void)state;
    check_op(&fake_delete);
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
        check_op(&ops[i]);
}

/* ---- from the client's birth to its end ---- */

typedef struct life {
    fake_server *server;
    const fake_op *op;
    bool two_endpoints;
} life;

static int live_once(void *arg)
{
    const life *l = arg;
    etcd_client *client;
    etcd_error err;
    char endpoints[256];
    int rc;

    snprintf(endpoints, sizeof endpoints, "%s%s%s", fake_server_endpoint(l->server), l->two_endpoints ? "," : "",
             l->two_endpoints ? fake_server_endpoint(l->server) : "");
    rc = etcd_client_new(ETCD_CLIENT(.endpoints = endpoints, .manual = true, .backoff_base_ms = 1, .backoff_max_ms = 1,
                                     .retry_wait_ms = 1, .user_agent = "sweep"),
                         &client, &err);
    if (rc != ETCD_OK) {
        assert_null(client);
        return rc;
    }
    rc = l->op->run(client, ETCD_CALL(.timeout_ms = FAKE_WAIT_MS), &err);
    if (rc == ETCD_ERR_DEADLINE_EXCEEDED)
        fail_msg("%s: hung after an allocation had failed: %s", l->op->name, err.message);
    etcd_client_free(client);
    return rc;
}

static void every_allocation_of_a_life(void **state)
{
    static const fake_op *const some[] = {&fake_put, &fake_get, &fake_txn};

    (void)state;
    etcd_test_alloc_install();
    for (size_t i = 0; i < 3; i++) {
        life l = {fake_server_start(NULL), some[i], i == 1};
        size_t n = etcd_test_alloc_sweep(live_once, &l);

        assert_true(n > 20);
        fake_server_stop(l.server);
    }
}

/* ---- under faults ---- */

static void fail_twice(fake_request *request, void *arg)
{
    size_t *n = arg;

    switch ((*n)++ % 4) {
    case 0:
        fake_reply_trailers_only(request, 14, "a message with %25 escapes");
        break;
    case 1:
        fake_reply_headers(request);
        fake_reply_cut(request, FAKE_CUT_FIN);
        break;
    case 2:
        fake_reply_goaway(request, request->stream_id - 1, NGHTTP2_NO_ERROR, "bye");
        break;
    default:
        fake_reply_kv(request);
    }
}

static int live_with_faults(void *arg)
{
    fake_server *server = arg;
    etcd_client *client;
    size_t n = 0;
    int rc;

    fake_server_handle(server, FAKE_RANGE, fail_twice, &n);
    rc = etcd_client_new(ETCD_CLIENT(.endpoints = fake_server_endpoint(server), .manual = true, .backoff_base_ms = 1,
                                     .backoff_max_ms = 1, .retry_wait_ms = 1),
                         &client, NULL);
    if (rc != ETCD_OK)
        return rc;
    rc = fake_get.run(client, ETCD_CALL(.timeout_ms = FAKE_WAIT_MS), &(etcd_error){0});
    etcd_client_free(client);
    return rc;
}

static void every_allocation_under_faults(void **state)
{
    fake_server *server = fake_server_start(NULL);

    (void)state;
    etcd_test_alloc_install();
    etcd_test_alloc_sweep(live_with_faults, server);
    fake_server_stop(server);
}

/* ---- how many ---- */

static size_t allocations_of(etcd_client *client, const fake_op *op, size_t n)
{
    etcd_error err;

    etcd_test_alloc_fail_at(0);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(op->run(client, NULL, &err), ETCD_OK);
    return etcd_test_alloc_count();
}

static int run_plain_put(etcd_client *client, const etcd_call_options *call, etcd_error *err)
{
    (void)call;
    return etcd_put(client, ETCD_STR("k"), ETCD_STR("v"), NULL, NULL, err);
}

/* In steady state: the call with its request, the received bytes, the response. Without a response the last one is not needed. */
static void allocations_in_steady_state(void **state)
{
    static const fake_op plain_put = {"put without response", FAKE_PUT, true, run_plain_put};
    static const struct {
        const fake_op *op;
        size_t each;
    } cases[] = {{&fake_get, 3}, {&fake_put, 3}, {&plain_put, 2}};
    fake_server *server = fake_server_start(NULL);
    etcd_client *client;
    size_t live;

    (void)state;
    etcd_test_alloc_install();
    client = connected_client(server);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t count;

        allocations_of(client, cases[i].op, 50);
        live = etcd_test_alloc_live();
        count = allocations_of(client, cases[i].op, 1000);
        if (count != 1000 * cases[i].each)
            fail_msg("%s: 1000 took %zu allocations instead of %zu", cases[i].op->name, count, 1000 * cases[i].each);
        assert_int_equal(etcd_test_alloc_live(), live);
    }
    etcd_client_free(client);
    assert_int_equal(etcd_test_alloc_live(), 0);
    fake_server_stop(server);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_allocation_of_a_get),   cmocka_unit_test(every_allocation_of_a_put),
    cmocka_unit_test(every_allocation_of_a_txn),   cmocka_unit_test(every_allocation_of_other_calls),
    cmocka_unit_test(every_allocation_of_a_life),  cmocka_unit_test(every_allocation_under_faults),
    cmocka_unit_test(allocations_in_steady_state),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
