/* Software transactional memory against a scripted server: any allocation may fail, a commit is sent at most once, a lagging
 * member is not asked again. */
#include "harness/alloc.h"
#include "harness/fake_fixture.h"

#include <stdlib.h>
#include <string.h>

static int read_and_write(etcd_stm *stm, void *arg)
{
    const etcd_bytes keys[] = {{ETCD_STR("a")}, {ETCD_STR("b")}}, *values[2], *value;
    int64_t revision;
    int rc;

    (void)arg;
    if ((rc = etcd_stm_get(stm, ETCD_STR("c"), &value)) < 0 || (rc = etcd_stm_get_many(stm, keys, 2, values)) < 0 ||
        (rc = etcd_stm_rev(stm, ETCD_STR("d"), &revision)) < 0)
        return rc;
    if ((rc = etcd_stm_put(stm, ETCD_STR("a"), ETCD_STR("1"), NULL)) < 0 || (rc = etcd_stm_del(stm, ETCD_STR("b"))) < 0)
        return rc;
    return etcd_stm_put(stm, ETCD_STR("a"), ETCD_STR("2"), NULL);
}

/* ---- any allocation may fail ---- */

typedef struct ending {
    int times, code;
} ending;

static void on_end(etcd_client *client, etcd_txn_response *response, const etcd_error *err, void *arg)
{
    ending *e = arg;

    (void)client;
    e->times++;
    e->code = err ? err->code : ETCD_OK;
    if ((response != NULL) == (err != NULL))
        e->code = -1;
    etcd_response_free(response);
}

typedef struct sweep {
    fake_server *server;
    bool async;
    int level;
    int conflicts; /* of each transaction */
    int left;
} sweep;

static bool writes(const etcd__txn_request *txn)
{
    for (size_t i = 0; i < txn->n_success; i++)
        if (txn->success[i]->type != ETCD_OP_GET)
            return true;
    return false;
}

/* Before each of the next `*left` commits another writes what they have read. */
static void meddle(fake_request *request, void *arg)
{
    static const etcd__put_request put = {.key = {"a", 1}, .value = {"other", 5}};
    fake_request other = {.server = request->server, .method = FAKE_PUT, .message = &put};
    int *left = arg;
    size_t len;

    if (*left > 0 && writes(request->message)) {
        --*left;
        free(fake_kv_apply(&other, &len));
    }
    fake_reply_kv(request);
}

static int run_async(etcd_client *client, const etcd_stm_options *options, etcd_error *err)
{
    ending e = {0};
    int rc = etcd_stm_run_async(client, read_and_write, options, on_end, &e, err);

    if (rc < 0) {
        assert_int_equal(e.times, 0);
        return rc;
    }
    assert_int_equal(e.times, 0);
    while (e.times == 0)
        assert_int_equal(etcd_client_process(client, FAKE_WAIT_MS, NULL), ETCD_OK);
    assert_int_equal(e.times, 1);
    return e.code;
}

static int transact_once(void *arg)
{
    sweep *s = arg;
    const etcd_bytes prefetch = {ETCD_STR("a")};
    const etcd_stm_options *options =
        ETCD_STM(.isolation = s->level, .backoff_base_ms = 1, .backoff_max_ms = 1, .prefetch = &prefetch, .n_prefetch = s->level,
                 .call = ETCD_CALL(.timeout_ms = FAKE_WAIT_MS, .traceparent = "00-1-2-00"));
    int rc;
    etcd_txn_response *response = NULL;
    etcd_client *client;
    etcd_error err;

    s->left = s->conflicts;
    fake_server_handle(s->server, FAKE_TXN, meddle, &s->left);
    rc = etcd_client_new(ETCD_CLIENT(.endpoints = fake_server_endpoint(s->server), .manual = true, .backoff_base_ms = 1,
                                     .backoff_max_ms = 1, .retry_wait_ms = 1),
                         &client, &err);
    if (rc != ETCD_OK)
        return rc;
    rc = s->async ? run_async(client, options, &err) : etcd_stm_run(client, read_and_write, NULL, options, &response, &err);
    if (rc == ETCD_ERR_DEADLINE_EXCEEDED || rc == -1)
        fail_msg("hung, or a wrong end, after an allocation had failed: %s", err.message);
    if (rc == ETCD_OK)
        assert_int_equal(s->left, 0);
    etcd_response_free(response);
    etcd_client_free(client);
    return rc;
}

static void check_sweep(bool async, int level, int conflicts)
{
    sweep s = {fake_server_start(NULL), async, level, conflicts, 0};

    etcd_test_alloc_sweep(transact_once, &s);
    fake_server_stop(s.server);
}

static void every_allocation_of_a_blocking_one(void **state)
{
    (void)state;
    etcd_test_alloc_install();
    check_sweep(false, ETCD_STM_SERIALIZABLE_SNAPSHOT, 0);
    check_sweep(false, ETCD_STM_SERIALIZABLE_SNAPSHOT, 2);
    check_sweep(false, ETCD_STM_SERIALIZABLE, 1);
}

static void every_allocation_of_an_asynchronous_one(void **state)
{
    (void)state;
    etcd_test_alloc_install();
    check_sweep(true, ETCD_STM_SERIALIZABLE_SNAPSHOT, 0);
    check_sweep(true, ETCD_STM_SERIALIZABLE_SNAPSHOT, 2);
    check_sweep(true, ETCD_STM_SERIALIZABLE, 1);
}

/* ---- at most once ---- */

/* Commits are done, and the answer is lost. */
static void lose_answer(fake_request *request, void *arg)
{
    (void)arg;
    if (writes(request->message)) {
        size_t len;

        free(fake_kv_apply(request, &len));
        fake_reply_cut(request, FAKE_CUT_RST);
    } else {
        fake_reply_kv(request);
    }
}

static void an_unknown_outcome_is_not_tried_again(void **state)
{
    (void)state;
    for (int async = 0; async < 2; async++) {
        fake_server *server = fake_server_start(NULL);
        etcd_client *client = fake_client(fake_server_endpoint(server), true);
        etcd_error err;
        ending e = {0};

        fake_server_handle(server, FAKE_TXN, lose_answer, NULL);
        if (async) {
            assert_int_equal(run_async(client, NULL, &err), ETCD_ERR_UNAVAILABLE);
        } else {
            assert_int_equal(etcd_stm_run(client, read_and_write, &e, NULL, NULL, &err), ETCD_ERR_UNAVAILABLE);
            assert_true(err.flags & ETCD_ERROR_MAYBE_APPLIED);
        }
        assert_int_equal(fake_server_kv_writes(server), 1);
        assert_int_equal(fake_server_kv_version(server, "a"), 1);
        etcd_client_free(client);
        fake_server_stop(server);
    }
}

/* ---- a member that lags behind ---- */

typedef struct lagging {
    int refused, pinned;
} lagging;

/* What may be answered by any member is asked of one that does not have the revision yet. */
static void lag(fake_request *request, void *arg)
{
    const etcd__txn_request *txn = request->message;
    const etcd__range_request *range = txn->n_success > 0 ? txn->success[0]->range : NULL;
    lagging *l = arg;

    if (range != NULL && range->serializable) {
        l->refused++;
        fake_reply_trailers_only(request, 11, "etcdserver: mvcc: required revision is a future revision");
        return;
    }
    if (range != NULL && range->revision > 0)
        l->pinned++;
    fake_reply_kv(request);
}

static void a_lagging_member_is_passed_over(void **state)
{
    (void)state;
    for (int async = 0; async < 2; async++) {
        fake_server *server = fake_server_start(NULL);
        etcd_client *client = fake_client(fake_server_endpoint(server), true);
        lagging l = {0};
        etcd_error err;

        fake_server_handle(server, FAKE_TXN, lag, &l);
        if (async)
            assert_int_equal(run_async(client, NULL, &err), ETCD_OK);
        else
            assert_int_equal(etcd_stm_run(client, read_and_write, NULL, NULL, NULL, &err), ETCD_OK);
        assert_int_equal(l.refused, 1); /* once in an attempt */
        assert_int_equal(l.pinned, 2);
        etcd_client_free(client);
        fake_server_stop(server);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_allocation_of_a_blocking_one),
    cmocka_unit_test(every_allocation_of_an_asynchronous_one),
    cmocka_unit_test(an_unknown_outcome_is_not_tried_again),
    cmocka_unit_test(a_lagging_member_is_passed_over),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
