/* Reads are repeated while the failure may pass: at once on another peer, after a short wait on the same one; within the
 * deadline, within max_attempts, and not at all with no_retry. */
#include "harness/fake_fixture.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <string.h>

/* Fails the first n requests in one way. */
typedef struct failing {
    void (*answer)(fake_request *request, const struct failing *failing);
    int code;
    size_t n;
    size_t seen;
} failing;

static void run_failing(fake_request *request, void *arg)
{
    failing *f = arg;

    if (f->seen++ < f->n)
        f->answer(request, f);
    else
        fake_reply_kv(request);
}

static void fail_trailers_only(fake_request *request, const failing *f)
{
    fake_reply_trailers_only(request, f->code, "try later");
}

static void fail_trailers(fake_request *request, const failing *f)
{
    fake_reply_headers(request);
    fake_reply_status(request, f->code, "try later");
}

static void fail_reset(fake_request *request, const failing *f)
{
    fake_reply_reset(request, (uint32_t)f->code);
}

static void fail_cut(fake_request *request, const failing *f)
{
    fake_reply_headers(request);
    fake_reply_cut(request, (fake_cut)f->code);
}

static void fail_goaway(fake_request *request, const failing *f)
{
    (void)f;
    fake_reply_goaway(request, 0, NGHTTP2_NO_ERROR, "bye");
}

static void fail_http(fake_request *request, const failing *f)
{
    char status[16];

    snprintf(status, sizeof status, "%d", f->code);
    fake_reply_http(request, status, "text/html");
    fake_reply_data(request, "", 0, true);
}

/* One get while the first n requests fail. Returns its result and checks how often it was seen. */
static int get_while(failing f, etcd_client_options options, const etcd_call_options *call, size_t expect_seen, etcd_error *err)
{
    fake_server *server = fake_server_start(NULL);
    etcd_client *client;
    int rc;

    options.backoff_base_ms = options.backoff_max_ms = options.retry_wait_ms = 1;
    fake_server_handle(server, FAKE_RANGE, run_failing, &f);
    client = fake_client_with(fake_server_endpoint(server), options);
    rc = fake_get.run(client, call, err);
    etcd_client_free(client);
    if (expect_seen > 0 && fake_server_count(server, FAKE_RANGE) != expect_seen)
        fail_msg("code %d: seen %zu times instead of %zu: %s", f.code, fake_server_count(server, FAKE_RANGE), expect_seen,
                 err->message);
    assert_int_equal(fake_server_violations(server), 0);
    assert_int_equal(err->flags & ETCD_ERROR_MAYBE_APPLIED, 0);
    fake_server_stop(server);
    return rc;
}

static void check_repeated(failing f)
{
    static const size_t counts[] = {1, 2, 7};
    etcd_error err;

    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        f.n = counts[i];
        if (get_while(f, (etcd_client_options){0}, ETCD_CALL(.timeout_ms = FAKE_WAIT_MS), f.n + 1, &err) != ETCD_OK)
            fail_msg("code %d, %zu failures: %s", f.code, f.n, err.message);
    }
}

static void failures_that_may_pass_are_repeated(void **state)
{
    (void)state;
    check_repeated((failing){.answer = fail_trailers_only, .code = 14});
    check_repeated((failing){.answer = fail_trailers, .code = 14});
    check_repeated((failing){.answer = fail_trailers_only, .code = 1});
    check_repeated((failing){.answer = fail_trailers, .code = 4});
    check_repeated((failing){.answer = fail_reset, .code = NGHTTP2_REFUSED_STREAM});
    check_repeated((failing){.answer = fail_reset, .code = NGHTTP2_CANCEL});
    check_repeated((failing){.answer = fail_cut, .code = FAKE_CUT_FIN});
    check_repeated((failing){.answer = fail_cut, .code = FAKE_CUT_RST});
    check_repeated((failing){.answer = fail_goaway});
    check_repeated((failing){.answer = fail_http, .code = 503});
    check_repeated((failing){.answer = fail_http, .code = 429});
}

static void definite_failures_are_not_repeated(void **state)
{
    static const int codes[] = {2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15, 16};
    etcd_error err;

    (void)state;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        failing f = {.answer = fail_trailers_only, .code = codes[i], .n = 100};

        assert_int_equal(get_while(f, (etcd_client_options){0}, NULL, 1, &err), -100 - codes[i]);
        assert_int_equal(err.flags, 0);
        assert_int_equal(err.grpc_code, codes[i]);
    }
    assert_true(get_while((failing){.answer = fail_http, .code = 404, .n = 100}, (etcd_client_options){0}, NULL, 1, &err) < 0);
    assert_true(get_while((failing){.answer = fail_reset, .code = NGHTTP2_INTERNAL_ERROR, .n = 100}, (etcd_client_options){0},
                          NULL, 1, &err) < 0);
}

static void no_retry_is_one_attempt(void **state)
{
    etcd_error err;

    (void)state;
    assert_int_equal(get_while((failing){.answer = fail_trailers_only, .code = 14, .n = 1}, (etcd_client_options){0},
                               ETCD_CALL(.no_retry = true), 1, &err),
                     ETCD_ERR_UNAVAILABLE);
    assert_true(err.flags & ETCD_ERROR_RETRYABLE);
    fake_assert_contains(err.message, "try later");
    assert_int_equal(get_while((failing){.answer = fail_cut, .code = FAKE_CUT_FIN, .n = 1}, (etcd_client_options){0},
                               ETCD_CALL(.no_retry = true), 1, &err),
                     ETCD_ERR_UNAVAILABLE);
}

static void attempts_are_bounded(void **state)
{
    etcd_error err;

    (void)state;
    assert_int_equal(get_while((failing){.answer = fail_trailers_only, .code = 14, .n = 100},
                               (etcd_client_options){.max_attempts = 3}, ETCD_CALL(.timeout_ms = FAKE_WAIT_MS), 3, &err),
                     ETCD_ERR_UNAVAILABLE);
    fake_assert_contains(err.message, "try later");
    assert_int_equal(get_while((failing){.answer = fail_trailers_only, .code = 14, .n = 1000}, (etcd_client_options){0},
                               ETCD_CALL(.timeout_ms = FAKE_WAIT_MS), 100, &err),
                     ETCD_ERR_UNAVAILABLE);
    assert_int_equal(get_while((failing){.answer = fail_trailers_only, .code = 14, .n = 2},
                               (etcd_client_options){.max_attempts = 3}, ETCD_CALL(.timeout_ms = FAKE_WAIT_MS), 3, &err),
                     ETCD_OK);
}

/* Returns how late the end was; very late when there was no time for an attempt. */
static int64_t fail_until_the_deadline(void *arg)
{
    int64_t start = fake_now_ms(), took;
    etcd_error err;

    (void)arg;
    assert_int_equal(get_while((failing){.answer = fail_trailers_only, .code = 14, .n = SIZE_MAX},
                               (etcd_client_options){.max_attempts = INT32_MAX}, ETCD_CALL(.timeout_ms = 200), 0, &err),
                     ETCD_ERR_DEADLINE_EXCEEDED);
    took = fake_now_ms() - start;
    assert_true(took >= 200);
    fake_assert_contains(err.message, "context deadline exceeded");
    return strstr(err.message, "try later") ? took - 200 : FAKE_WAIT_MS;
}

static void attempts_are_bounded_by_the_deadline(void **state)
{
    (void)state;
    fake_in_time(fail_until_the_deadline, NULL, fake_bound_ms(50), "the deadline");
}

/* Returns how late an attempt was at most. */
static int64_t fail_four_times(void *arg)
{
    fake_server *server = fake_server_start(NULL);
    etcd_client *client = fake_client_with(fake_server_endpoint(server), (etcd_client_options){.retry_wait_ms = 40});
    failing f = {.answer = fail_trailers_only, .code = 14, .n = 4};
    int64_t worst = 0;
    etcd_error err;

    (void)arg;
    fake_server_handle(server, FAKE_RANGE, run_failing, &f);
    assert_int_equal(fake_get.run(client, ETCD_CALL(.timeout_ms = FAKE_WAIT_MS), &err), ETCD_OK);
    for (size_t i = 1; i < 5; i++) {
        int64_t gap = (fake_server_seen(server, i).at_ns - fake_server_seen(server, i - 1).at_ns) / 1000000;

        assert_true(gap >= 35);
        worst = gap - 45 > worst ? gap - 45 : worst;
    }
    etcd_client_free(client);
    fake_server_stop(server);
    return worst;
}

/* The wait between attempts is retry_wait_ms once per quorum of peers: one peer, one wait per attempt. */
static void attempts_wait_between(void **state)
{
    (void)state;
    fake_in_time(fail_four_times, NULL, fake_bound_ms(20), "an attempt");
}

/* A read-only transaction is repeated as a get is; one that may write is not. */
static void read_only_transactions_are_repeated(void **state)
{
    (void)state;
    for (int writes = 0; writes < 2; writes++) {
        fake_server *server = fake_server_start(NULL);
        etcd_client *client = fake_client(fake_server_endpoint(server), false);
        etcd_txn *txn = etcd_txn_new(client);
        failing f = {.answer = fail_trailers_only, .code = 14, .n = 2};
        etcd_txn_response *response;
        etcd_error err;
        int rc;

        fake_server_handle(server, FAKE_TXN, run_failing, &f);
        etcd_txn_get(txn, ETCD_STR("k"), NULL);
        etcd_txn_else(txn);
        if (writes)
            etcd_txn_delete(txn, ETCD_STR("k"), NULL);
        rc = etcd_txn_commit(txn, NULL, &response, &err);
        assert_int_equal(rc, writes ? ETCD_ERR_UNAVAILABLE : ETCD_OK);
        assert_int_equal(fake_server_count(server, FAKE_TXN), writes ? 1 : 3);
        etcd_response_free(response);
        etcd_txn_free(txn);
        etcd_client_free(client);
        fake_server_stop(server);
    }
}

static void no_learner(fake_request *request, void *arg)
{
    (void)arg;
    fake_reply_trailers_only(request, 9, "etcdserver: rpc not supported for learner");
}

/* A learner refuses before it does anything: also a write goes to another member. */
static void learners_are_passed_over(void **state)
{
    fake_server *learner = fake_server_start(NULL), *member = fake_server_start(NULL);
    char endpoints[256];
    etcd_client *client;
    etcd_error err;

    (void)state;
    snprintf(endpoints, sizeof endpoints, "%s,%s", fake_server_endpoint(learner), fake_server_endpoint(member));
    fake_server_handle(learner, NULL, no_learner, NULL);
    client = fake_client(endpoints, false);
    fake_wait_ready(member); /* a refusal is not for ever tried again */
    for (int i = 0; i < 10; i++)
        assert_int_equal(fake_put.run(client, NULL, &err), ETCD_OK);
    assert_int_equal(fake_server_kv_writes(member), 10);
    assert_int_equal(fake_server_kv_writes(learner), 0);
    etcd_client_free(client);

    client = fake_client(fake_server_endpoint(learner), false);
    assert_int_equal(fake_put.run(client, NULL, &err), ETCD_ERR_NOT_SUPPORTED_FOR_LEARNER);
    assert_int_equal(err.flags & ETCD_ERROR_MAYBE_APPLIED, 0);
    etcd_client_free(client);
    fake_server_stop(learner);
    fake_server_stop(member);
}

/* A get that begins while nobody is there ends well when the server comes back. */
static void reads_survive_an_outage(void **state)
{
    fake_server *server = fake_server_start(NULL);
    etcd_client *client = fake_client(fake_server_endpoint(server), true);
    etcd_completion *completion = NULL;
    etcd_error err;

    (void)state;
    assert_int_equal(fake_put.run(client, NULL, &err), ETCD_OK);
    fake_server_listen(server, false);
    fake_server_cut(server, FAKE_ALL, FAKE_CUT_FIN);
    assert_true(fake_server_wait_closed(server, 0, FAKE_WAIT_MS));
    assert_int_equal(
        etcd_get_async(client, ETCD_STR("k"), ETCD_GET(.call = ETCD_CALL(.timeout_ms = FAKE_WAIT_MS)), NULL, NULL, NULL, NULL),
        ETCD_OK);
    for (int i = 0; i < 20; i++)
        assert_int_equal(etcd_client_process(client, 5, NULL), ETCD_OK);
    assert_int_equal(etcd_client_next_completion(client, 0, &completion, NULL), ETCD_ERR_TIMED_OUT);
    fake_server_listen(server, true);
    assert_int_equal(etcd_client_next_completion(client, FAKE_WAIT_MS, &completion, NULL), ETCD_OK);
    assert_int_equal(completion->code, ETCD_OK);
    assert_int_equal(((const etcd_get_response *)completion->response)->n_kvs, 1);
    etcd_response_free(completion);
    etcd_client_free(client);
    fake_server_stop(server);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(failures_that_may_pass_are_repeated),
    cmocka_unit_test(definite_failures_are_not_repeated),
    cmocka_unit_test(no_retry_is_one_attempt),
    cmocka_unit_test(attempts_are_bounded),
    cmocka_unit_test(attempts_are_bounded_by_the_deadline),
    cmocka_unit_test(attempts_wait_between),
    cmocka_unit_test(read_only_transactions_are_repeated),
    cmocka_unit_test(learners_are_passed_over),
    cmocka_unit_test(reads_survive_an_outage),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
