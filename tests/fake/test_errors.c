/* What a server says with a status becomes an etcd_error: its own 63 errors by their messages, all others by gRPC code. */
#include "harness/fake_fixture.h"

#include <stdio.h>
#include <string.h>

typedef struct status {
    int code;
    const char *message;
} status;

static void answer(fake_request *request, void *arg)
{
    const status *s = arg;

    fake_reply_trailers_only(request, s->code, s->message);
}

typedef struct fixture {
    fake_server *server;
    etcd_client *client;
    status status;
} fixture;

static void start(fixture *f)
{
    f->server = fake_server_start(NULL);
    f->client = fake_client(fake_server_endpoint(f->server), true);
    fake_server_handle(f->server, NULL, answer, &f->status);
}

static void stop(fixture *f)
{
    etcd_client_free(f->client);
    fake_server_stop(f->server);
}

/* One attempt of a get that the server ends with this status. */
static etcd_error get_error(fixture *f, int code, const char *message)
{
    etcd_error err;

    f->status = (status){code, message};
    assert_true(fake_get.run(f->client, ETCD_CALL(.no_retry = true), &err) < 0);
    assert_string_equal(err.endpoint, fake_server_endpoint(f->server));
    return err;
}

static void check_server_error(fixture *f, int expect, int table_code, const char *message)
{
    const int codes[] = {table_code, 2, 14}; /* the wire's code does not count when the message is known */

    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        etcd_error err = get_error(f, codes[i], message);

        if (err.code != expect)
            fail_msg("\"%s\" with code %d became %s", message, codes[i], etcd_error_name(err.code));
        assert_string_equal(err.message, message);
        assert_int_equal(err.grpc_code, codes[i]);
        assert_int_equal(err.flags & ETCD_ERROR_MAYBE_APPLIED, 0);
    }
}

static void the_63_server_errors_by_message(void **state)
{
    fixture f;
    int n = 0;

    (void)state;
    start(&f);
#define CHECK(name, number, grpc, text) \
    check_server_error(&f, ETCD_ERR_##name, grpc, text); \
    assert_string_equal(etcd_error_name(number), "ETCD_ERR_" #name); \
    n++;
    ETCD_SERVER_ERRORS(CHECK)
#undef CHECK
    assert_int_equal(n, 63);
    stop(&f);
}

static void unknown_messages_by_code(void **state)
{
    static const char *const messages[] = {"etcdserver: no such message", "", "etcdserver: no leader ", "Etcdserver: no leader"};
    fixture f;

    (void)state;
    start(&f);
    for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++) {
#define CHECK(name, number, grpc, text) \
    do { \
        etcd_error err = get_error(&f, grpc, messages[i]); \
        assert_int_equal(err.code, ETCD_ERR_##name); \
        assert_int_equal(err.grpc_code, grpc); \
        if (messages[i][0]) \
            fake_assert_contains(err.message, messages[i]); \
        else \
            assert_true(err.message[0] != '\0'); \
    } while (0);
        ETCD_GRPC_ERRORS(CHECK)
#undef CHECK
    }
    stop(&f);
}

static void codes_that_grpc_does_not_know(void **state)
{
    fixture f;

    (void)state;
    start(&f);
    assert_int_equal(get_error(&f, 17, "x").code, ETCD_ERR_UNKNOWN);
    assert_int_equal(get_error(&f, 999, "x").code, ETCD_ERR_UNKNOWN);
    stop(&f);
}

static void messages_are_percent_decoded(void **state)
{
    static const struct {
        const char *sent, *seen;
    } cases[] = {
        {"caf%C3%A9", "caf\xc3\xa9"},
        {"100%25", "100%"},
        {"a%0Ab", "a\nb"},
        {"%", "%"},
        {"%4", "%4"},
        {"%zz", "%zz"},
        {"%41%", "A%"},
        {"etcdserver%3A%20no%20leader", "etcdserver: no leader"},
    };
    fixture f;

    (void)state;
    start(&f);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        etcd_error err = get_error(&f, 9, cases[i].sent);

        assert_string_equal(err.message, cases[i].seen);
    }
    assert_int_equal(get_error(&f, 9, "etcdserver%3A%20no%20leader").code, ETCD_ERR_NO_LEADER);
    stop(&f);
}

/* A message longer than the record is cut, never unterminated. */
static void long_messages_are_cut(void **state)
{
    char text[3000];
    etcd_error err;
    fixture f;

    (void)state;
    memset(text, 'w', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    start(&f);
    err = get_error(&f, 9, text);
    assert_int_equal(strlen(err.message), ETCD_ERROR_MESSAGE_MAX - 1);
    assert_memory_equal(err.message, text, ETCD_ERROR_MESSAGE_MAX - 1);
    stop(&f);
}

static void what_may_pass_is_retryable(void **state)
{
    fixture f;

    (void)state;
    start(&f);
    assert_true(get_error(&f, 14, "x").flags & ETCD_ERROR_RETRYABLE);
    assert_true(get_error(&f, 14, "etcdserver: no leader").flags & ETCD_ERROR_RETRYABLE);
    assert_true(get_error(&f, 14, "etcdserver: request timed out").flags & ETCD_ERROR_RETRYABLE);
    assert_int_equal(get_error(&f, 3, "x").flags, 0);
    assert_int_equal(get_error(&f, 11, "etcdserver: mvcc: required revision has been compacted").flags, 0);
    stop(&f);
}

/* The record says nothing after a success, whatever it said before; NULL is allowed. */
static void success_clears_the_record(void **state)
{
    etcd_error err;
    fixture f;

    (void)state;
    start(&f);
    err = get_error(&f, 9, "x");
    fake_server_handle(f.server, NULL, NULL, NULL);
    assert_int_equal(fake_get.run(f.client, NULL, &err), ETCD_OK);
    assert_int_equal(err.code, 0);
    assert_int_equal(err.flags, 0);
    assert_string_equal(err.message, "");
    assert_int_equal(etcd_get(f.client, ETCD_STR("k"), NULL, NULL, NULL), ETCD_OK);
    fake_server_handle(f.server, NULL, answer, &f.status);
    assert_int_equal(etcd_get(f.client, ETCD_STR("k"), NULL, NULL, NULL), ETCD_ERR_FAILED_PRECONDITION);
    stop(&f);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_63_server_errors_by_message), cmocka_unit_test(unknown_messages_by_code),
    cmocka_unit_test(codes_that_grpc_does_not_know),   cmocka_unit_test(messages_are_percent_decoded),
    cmocka_unit_test(long_messages_are_cut),           cmocka_unit_test(what_may_pass_is_retryable),
    cmocka_unit_test(success_clears_the_record),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
