/* How the end of an attempt is judged (channel/outcome.h), where the fake server cannot bring it about at will. */
#include "channel/outcome.h"

#include "harness/test.h"

#include <string.h>

static etcd__grpc_status status_of(etcd__grpc_origin origin, int code, const char *message)
{
    return (etcd__grpc_status){.origin = origin, .code = code, .message = message, .message_len = strlen(message)};
}

static const etcd__grpc_status canceled = {.origin = ETCD__GRPC_FROM_RESET, .code = 1, .message = "reset", .message_len = 5};

/* The server's timer may be seen before ours: that is no cancelling. */
static void a_reset_after_the_deadline_is_the_deadline(void **state)
{
    etcd_error err;

    (void)state;
    assert_int_equal(etcd__outcome_judge(&canceled, false, true, &err), ETCD__VERDICT_FAIL);
    assert_int_equal(err.code, ETCD_ERR_DEADLINE_EXCEEDED);
    assert_string_equal(err.message, "context deadline exceeded");
    assert_int_equal(err.flags, ETCD_ERROR_RETRYABLE | ETCD_ERROR_MAYBE_APPLIED);
    assert_int_equal(etcd__outcome_judge(&canceled, true, true, &err), ETCD__VERDICT_REPEAT); /* its own timer ends a read */
    assert_int_equal(err.code, ETCD_ERR_DEADLINE_EXCEEDED);
    assert_int_equal(err.flags, ETCD_ERROR_RETRYABLE);
}

static void a_reset_before_it_is_none(void **state)
{
    etcd_error err;

    (void)state;
    assert_int_equal(etcd__outcome_judge(&canceled, false, false, &err), ETCD__VERDICT_FAIL);
    assert_int_equal(err.code, ETCD_ERR_CANCELED);
    assert_string_equal(err.message, canceled.message);
}

static void what_the_server_says_counts_after_the_deadline_too(void **state)
{
    const etcd__grpc_status missing = status_of(ETCD__GRPC_FROM_SERVER, 5, "etcdserver: requested lease not found");
    const etcd__grpc_status refused =
        status_of(ETCD__GRPC_FROM_RESET, 14, "stream terminated by RST_STREAM with error code: REFUSED_STREAM");
    etcd_error err;

    (void)state;
    assert_int_equal(etcd__outcome_judge(&missing, false, true, &err), ETCD__VERDICT_FAIL);
    assert_int_equal(err.code, ETCD_ERR_LEASE_NOT_FOUND);
    assert_int_equal(err.flags, 0);
    (void)etcd__outcome_judge(&refused, false, true, &err);
    assert_int_equal(err.code, ETCD_ERR_UNAVAILABLE);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_reset_after_the_deadline_is_the_deadline),
    cmocka_unit_test(a_reset_before_it_is_none),
    cmocka_unit_test(what_the_server_says_counts_after_the_deadline_too),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
