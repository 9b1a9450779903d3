/* base/error.h and the codes of <etcd3/error.h>: which code a status of a peer becomes, names, texts, and long messages. */
#include "base/error.h"
#include "harness/test.h"

#include <errno.h>
#include <string.h>

#define N_SERVER_ERRORS 63

/* The server's errors (rpctypes of the Go client), written down a second time so that a slip in the header's table shows. */
static const struct {
    int code;
    int grpc_code;
    const char *message;
} server_errors[] = {
    {ETCD_ERR_EMPTY_KEY, 3, "etcdserver: key is not provided"},
    {ETCD_ERR_KEY_NOT_FOUND, 3, "etcdserver: key not found"},
    {ETCD_ERR_VALUE_PROVIDED, 3, "etcdserver: value is provided"},
    {ETCD_ERR_LEASE_PROVIDED, 3, "etcdserver: lease is provided"},
    {ETCD_ERR_TOO_MANY_OPS, 3, "etcdserver: too many operations in txn request"},
    {ETCD_ERR_DUPLICATE_KEY, 3, "etcdserver: duplicate key given in txn request"},
    {ETCD_ERR_INVALID_CLIENT_API_VERSION, 3, "etcdserver: invalid client api version"},
    {ETCD_ERR_INVALID_SORT_OPTION, 3, "etcdserver: invalid sort option"},
    {ETCD_ERR_COMPACTED, 11, "etcdserver: mvcc: required revision has been compacted"},
    {ETCD_ERR_FUTURE_REV, 11, "etcdserver: mvcc: required revision is a future revision"},
    {ETCD_ERR_NO_SPACE, 8, "etcdserver: mvcc: database space exceeded"},
    {ETCD_ERR_LEASE_NOT_FOUND, 5, "etcdserver: requested lease not found"},
    {ETCD_ERR_LEASE_EXIST, 9, "etcdserver: lease already exists"},
    {ETCD_ERR_LEASE_TTL_TOO_LARGE, 11, "etcdserver: too large lease TTL"},
    {ETCD_ERR_WATCH_CANCELED, 1, "etcdserver: watch canceled"},
    {ETCD_ERR_MEMBER_EXIST, 9, "etcdserver: member ID already exist"},
    {ETCD_ERR_PEER_URL_EXIST, 9, "etcdserver: Peer URLs already exists"},
    {ETCD_ERR_MEMBER_NOT_ENOUGH_STARTED, 9, "etcdserver: re-configuration failed due to not enough started members"},
    {ETCD_ERR_MEMBER_BAD_URLS, 3, "etcdserver: given member URLs are invalid"},
    {ETCD_ERR_MEMBER_NOT_FOUND, 5, "etcdserver: member not found"},
    {ETCD_ERR_MEMBER_NOT_LEARNER, 9, "etcdserver: can only promote a learner member"},
    {ETCD_ERR_LEARNER_NOT_READY, 9, "etcdserver: can only promote a learner member which is in sync with leader"},
    {ETCD_ERR_TOO_MANY_LEARNERS, 9, "etcdserver: too many learner members in cluster"},
    {ETCD_ERR_CLUSTER_ID_MISMATCH, 9, "etcdserver: cluster ID mismatch"},
    {ETCD_ERR_REQUEST_TOO_LARGE, 3, "etcdserver: request is too large"},
    {ETCD_ERR_TOO_MANY_REQUESTS, 8, "etcdserver: too many requests"},
    {ETCD_ERR_ROOT_USER_NOT_EXIST, 9, "etcdserver: root user does not exist"},
    {ETCD_ERR_ROOT_ROLE_NOT_EXIST, 9, "etcdserver: root user does not have root role"},
    {ETCD_ERR_USER_ALREADY_EXIST, 9, "etcdserver: user name already exists"},
    {ETCD_ERR_USER_EMPTY, 3, "etcdserver: user name is empty"},
    {ETCD_ERR_USER_NOT_FOUND, 9, "etcdserver: user name not found"},
    {ETCD_ERR_ROLE_ALREADY_EXIST, 9, "etcdserver: role name already exists"},
    {ETCD_ERR_ROLE_NOT_FOUND, 9, "etcdserver: role name not found"},
    {ETCD_ERR_ROLE_EMPTY, 3, "etcdserver: role name is empty"},
    {ETCD_ERR_AUTH_FAILED, 3, "etcdserver: authentication failed, invalid user ID or password"},
    {ETCD_ERR_PERMISSION_NOT_GIVEN, 3, "etcdserver: permission not given"},
    {ETCD_ERR_PERMISSION_DENIED, 7, "etcdserver: permission denied"},
    {ETCD_ERR_ROLE_NOT_GRANTED, 9, "etcdserver: role is not granted to the user"},
    {ETCD_ERR_PERMISSION_NOT_GRANTED, 9, "etcdserver: permission is not granted to the role"},
    {ETCD_ERR_AUTH_NOT_ENABLED, 9, "etcdserver: authentication is not enabled"},
    {ETCD_ERR_INVALID_AUTH_TOKEN, 16, "etcdserver: invalid auth token"},
    {ETCD_ERR_INVALID_AUTH_MGMT, 3, "etcdserver: invalid auth management"},
    {ETCD_ERR_AUTH_OLD_REVISION, 3, "etcdserver: revision of auth store is old"},
    {ETCD_ERR_NO_LEADER, 14, "etcdserver: no leader"},
    {ETCD_ERR_NOT_LEADER, 9, "etcdserver: not leader"},
    {ETCD_ERR_LEADER_CHANGED, 14, "etcdserver: leader changed"},
    {ETCD_ERR_NOT_CAPABLE, 9, "etcdserver: not capable"},
    {ETCD_ERR_STOPPED, 14, "etcdserver: server stopped"},
    {ETCD_ERR_TIMEOUT, 14, "etcdserver: request timed out"},
    {ETCD_ERR_TIMEOUT_DUE_TO_LEADER_FAIL, 14, "etcdserver: request timed out, possibly due to previous leader failure"},
    {ETCD_ERR_TIMEOUT_DUE_TO_CONNECTION_LOST, 14, "etcdserver: request timed out, possibly due to connection lost"},
    {ETCD_ERR_TIMEOUT_WAIT_APPLIED_INDEX, 14, "etcdserver: request timed out, waiting for the applied index took too long"},
    {ETCD_ERR_UNHEALTHY, 14, "etcdserver: unhealthy cluster"},
    {ETCD_ERR_CORRUPT, 15, "etcdserver: corrupt cluster"},
    {ETCD_ERR_NOT_SUPPORTED_FOR_LEARNER, 9, "etcdserver: rpc not supported for learner"},
    {ETCD_ERR_BAD_LEADER_TRANSFEREE, 9, "etcdserver: bad leader transferee"},
    {ETCD_ERR_WRONG_DOWNGRADE_VERSION_FORMAT, 3, "etcdserver: wrong downgrade target version format"},
    {ETCD_ERR_INVALID_DOWNGRADE_TARGET_VERSION, 3, "etcdserver: invalid downgrade target version"},
    {ETCD_ERR_CLUSTER_VERSION_UNAVAILABLE, 9, "etcdserver: cluster version not found during downgrade"},
    {ETCD_ERR_DOWNGRADE_IN_PROCESS, 9, "etcdserver: cluster has a downgrade job in progress"},
    {ETCD_ERR_NO_INFLIGHT_DOWNGRADE, 9, "etcdserver: no inflight downgrade job"},
    {ETCD_ERR_SERVER_CANCELED, 1, "etcdserver: request canceled"},
    {ETCD_ERR_SERVER_DEADLINE_EXCEEDED, 4, "etcdserver: context deadline exceeded"},
};

static int from_status(etcd_error *err, int grpc_code, const char *message)
{
    memset(err, 'x', sizeof *err);
    return etcd__error_from_status(err, grpc_code, message, strlen(message));
}

static void every_server_message_has_its_code(void **state)
{
    etcd_error err;

    (void)state;
    assert_int_equal(sizeof server_errors / sizeof server_errors[0], N_SERVER_ERRORS);
    for (size_t i = 0; i < N_SERVER_ERRORS; i++) {
        assert_int_equal(from_status(&err, server_errors[i].grpc_code, server_errors[i].message), server_errors[i].code);
        assert_int_equal(err.code, server_errors[i].code);
        assert_int_equal(err.grpc_code, server_errors[i].grpc_code);
        assert_string_equal(err.message, server_errors[i].message);
        assert_string_equal(err.endpoint, "");
        assert_string_equal(etcd_error_text(server_errors[i].code), server_errors[i].message);
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(server_errors[i].code, server_errors[j].code);
    }
}

/* The server sends these as values of another package, so the code on the wire is Unknown: the message decides. */
static void two_messages_arrive_with_the_wrong_code(void **state)
{
    etcd_error err;

    (void)state;
    assert_int_equal(from_status(&err, 2, "etcdserver: re-configuration failed due to not enough started members"),
                     ETCD_ERR_MEMBER_NOT_ENOUGH_STARTED);
    assert_int_equal(err.grpc_code, 2); /* as received */
    assert_int_equal(from_status(&err, 2, "etcdserver: too many requests"), ETCD_ERR_TOO_MANY_REQUESTS);
    assert_int_equal(err.grpc_code, 2);
    assert_int_equal(err.flags, ETCD_ERROR_RETRYABLE);
}

/* Of servers 3.4, when a lock or a campaign has waited for as long as it was told, and we have not noticed before. */
static void a_deadline_may_arrive_as_an_unknown_error(void **state)
{
    etcd_error err;

    (void)state;
    assert_int_equal(from_status(&err, 2, "context deadline exceeded"), ETCD_ERR_DEADLINE_EXCEEDED);
    assert_int_equal(err.grpc_code, 2);
    assert_string_equal(err.message, "context deadline exceeded");
    assert_int_equal(from_status(&err, 4, "context deadline exceeded"), ETCD_ERR_DEADLINE_EXCEEDED);
    assert_int_equal(from_status(&err, 13, "context deadline exceeded"), ETCD_ERR_INTERNAL);
    assert_int_equal(from_status(&err, 2, "context deadline exceeded!"), ETCD_ERR_UNKNOWN);
}

static void retryable_are_the_unavailable_and_too_many_requests(void **state)
{
    etcd_error err;

    (void)state;
    for (size_t i = 0; i < N_SERVER_ERRORS; i++) {
        (void)from_status(&err, server_errors[i].grpc_code, server_errors[i].message);
        if (server_errors[i].grpc_code == 14 || server_errors[i].code == ETCD_ERR_TOO_MANY_REQUESTS)
            assert_int_equal(err.flags, ETCD_ERROR_RETRYABLE);
        else
            assert_int_equal(err.flags, 0);
    }
    (void)from_status(&err, 14, "connection refused");
    assert_int_equal(err.flags, ETCD_ERROR_RETRYABLE);
    (void)from_status(&err, 13, "stream terminated");
    assert_int_equal(err.flags, 0);
}

static void unknown_message_goes_by_the_code(void **state)
{
    static const int expected[] = {
        ETCD_ERR_CANCELED,
        ETCD_ERR_UNKNOWN,
        ETCD_ERR_INVALID_ARGUMENT,
        ETCD_ERR_DEADLINE_EXCEEDED,
        ETCD_ERR_NOT_FOUND,
        ETCD_ERR_ALREADY_EXISTS,
        ETCD_ERR_GRPC_PERMISSION_DENIED,
        ETCD_ERR_RESOURCE_EXHAUSTED,
        ETCD_ERR_FAILED_PRECONDITION,
        ETCD_ERR_ABORTED,
        ETCD_ERR_OUT_OF_RANGE,
        ETCD_ERR_UNIMPLEMENTED,
        ETCD_ERR_INTERNAL,
        ETCD_ERR_UNAVAILABLE,
        ETCD_ERR_DATA_LOSS,
        ETCD_ERR_UNAUTHENTICATED,
    };
    etcd_error err;

    (void)state;
    for (int grpc_code = 1; grpc_code <= 16; grpc_code++) {
        assert_int_equal(from_status(&err, grpc_code, "etcdserver: something new"), expected[grpc_code - 1]);
        assert_int_equal(err.grpc_code, grpc_code);
        assert_string_equal(err.message, "etcdserver: something new");
        assert_int_equal(expected[grpc_code - 1], -100 - grpc_code);
        (void)from_status(&err, grpc_code, "");
        assert_string_equal(err.message, etcd_error_text(expected[grpc_code - 1]));
    }
}

static void nearly_a_server_message_is_none(void **state)
{
    etcd_error err;

    (void)state;
    assert_int_equal(from_status(&err, 3, "etcdserver: key is not provided "), ETCD_ERR_INVALID_ARGUMENT);
    assert_int_equal(from_status(&err, 3, "etcdserver: key is not provide"), ETCD_ERR_INVALID_ARGUMENT);
    assert_int_equal(from_status(&err, 3, "rpc error: etcdserver: key is not provided"), ETCD_ERR_INVALID_ARGUMENT);
    assert_int_equal(etcd__error_from_status(&err, 3, "etcdserver: key is not provided\0", 32), ETCD_ERR_INVALID_ARGUMENT);
}

static void codes_outside_of_grpc_are_unknown(void **state)
{
    static const int odd[] = {-1, 17, 99, INT32_MAX, INT32_MIN};
    etcd_error err;

    (void)state;
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        assert_int_equal(from_status(&err, odd[i], "x"), ETCD_ERR_UNKNOWN);
        assert_int_equal(err.grpc_code, odd[i]);
    }
}

static void long_message_is_cut(void **state)
{
    static char message[10000];
    etcd_error err;

    (void)state;
    memset(message, 'm', sizeof message);
    assert_int_equal(etcd__error_from_status(&err, 2, message, sizeof message), ETCD_ERR_UNKNOWN);
    assert_int_equal(strlen(err.message), ETCD_ERROR_MESSAGE_MAX - 1);
    assert_int_equal(etcd__error_set(&err, ETCD_ERR_PROTOCOL, "%.*s", (int)sizeof message, message), ETCD_ERR_PROTOCOL);
    assert_int_equal(strlen(err.message), ETCD_ERROR_MESSAGE_MAX - 1);
}

static void message_need_not_end_with_nul(void **state)
{
    const char message[3] = {'a', 'b', 'c'};
    etcd_error err;

    (void)state;
    (void)etcd__error_from_status(&err, 2, message, sizeof message);
    assert_string_equal(err.message, "abc");
}

static void error_record_is_optional(void **state)
{
    (void)state;
    assert_int_equal(etcd__error_from_status(NULL, 14, "etcdserver: no leader", 21), ETCD_ERR_NO_LEADER);
    assert_int_equal(etcd__error_set(NULL, ETCD_ERR_CLOSED, "x"), ETCD_ERR_CLOSED);
    assert_int_equal(etcd__error_system(NULL, "connect", ECONNREFUSED), ETCD_ERR_SYSTEM);
    assert_int_equal(etcd__error_no_memory(NULL), ETCD_ERR_NO_MEMORY);
    etcd__error_clear(NULL);
}

static void set_overwrites_everything(void **state)
{
    etcd_error err;

    (void)state;
    memset(&err, 'x', sizeof err);
    assert_int_equal(etcd__error_set(&err, ETCD_ERR_ARGUMENT, "%s %d", "limit", 7), ETCD_ERR_ARGUMENT);
    assert_int_equal(err.code, ETCD_ERR_ARGUMENT);
    assert_int_equal(err.grpc_code, -1);
    assert_int_equal(err.flags, 0);
    assert_string_equal(err.endpoint, "");
    assert_string_equal(err.message, "limit 7");
    etcd__error_clear(&err);
    assert_int_equal(err.code, ETCD_OK);
    assert_int_equal(err.grpc_code, -1);
    assert_string_equal(err.message, "");
}

static void system_error_has_words(void **state)
{
    etcd_error err;

    (void)state;
    assert_int_equal(etcd__error_system(&err, "connect to 127.0.0.1:1", ECONNREFUSED), ETCD_ERR_SYSTEM);
    assert_string_equal(err.message, "connect to 127.0.0.1:1: Connection refused");
    (void)etcd__error_system(&err, "x", 99999);
    assert_non_null(strstr(err.message, "99999"));
}

static void every_code_has_a_name_and_a_text(void **state)
{
    int n_named = 0;

    (void)state;
    for (int code = -1000; code <= 1000; code++) {
        if (strcmp(etcd_error_name(code), "ETCD_ERR_?") == 0) {
            assert_string_equal(etcd_error_text(code), "unknown error code");
            continue;
        }
        n_named++;
        assert_true(strlen(etcd_error_text(code)) > 0);
    }
#define COUNT_LOCAL(name, number, text) +1
#define COUNT_REMOTE(name, number, grpc, text) +1
    assert_int_equal(n_named, 1 ETCD_LOCAL_ERRORS(COUNT_LOCAL) ETCD_GRPC_ERRORS(COUNT_REMOTE) ETCD_SERVER_ERRORS(COUNT_REMOTE));
#define SAME_LOCAL(name, number, text) assert_string_equal(etcd_error_name(ETCD_ERR_##name), "ETCD_ERR_" #name);
#define SAME_REMOTE(name, number, grpc, text) SAME_LOCAL(name, number, text)
    ETCD_LOCAL_ERRORS(SAME_LOCAL)
    ETCD_GRPC_ERRORS(SAME_REMOTE)
    ETCD_SERVER_ERRORS(SAME_REMOTE)
    assert_string_equal(etcd_error_name(ETCD_OK), "ETCD_OK");
    assert_string_equal(etcd_error_text(ETCD_OK), "success");
    assert_string_equal(etcd_error_name(INT32_MIN), "ETCD_ERR_?");
    assert_string_equal(etcd_error_name(INT32_MAX), "ETCD_ERR_?");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_server_message_has_its_code),
    cmocka_unit_test(two_messages_arrive_with_the_wrong_code),
    cmocka_unit_test(a_deadline_may_arrive_as_an_unknown_error),
    cmocka_unit_test(retryable_are_the_unavailable_and_too_many_requests),
    cmocka_unit_test(unknown_message_goes_by_the_code),
    cmocka_unit_test(nearly_a_server_message_is_none),
    cmocka_unit_test(codes_outside_of_grpc_are_unknown),
    cmocka_unit_test(long_message_is_cut),
    cmocka_unit_test(message_need_not_end_with_nul),
    cmocka_unit_test(error_record_is_optional),
    cmocka_unit_test(set_overwrites_everything),
    cmocka_unit_test(system_error_has_words),
    cmocka_unit_test(every_code_has_a_name_and_a_text),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
