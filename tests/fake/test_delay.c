/* etcd_call_options.delay_ms: a request that is held back, for programs that back off. In all forms and modes it is sent no
 * sooner, and until then deadline, cancel and close end the call as any other, and it was definitely not sent. */
#include "harness/fake_fixture.h"

#include <string.h>

enum { DELAY_MS = 60, LONG_MS = 1000000 };

static void a_request_is_held_back(void **state)
{
    (void)state;
    for (int manual = 0; manual < 2; manual++) {
        fake_server *server = fake_server_start(NULL);
        etcd_client *client = fake_client(fake_server_endpoint(server), manual);
        int64_t start;
        etcd_error err;

        assert_int_equal(fake_get.run(client, NULL, &err), ETCD_OK);
        start = fake_now_ms();
        assert_int_equal(fake_put.run(client, ETCD_CALL(.timeout_ms = FAKE_WAIT_MS, .delay_ms = DELAY_MS), &err), ETCD_OK);
        assert_true(fake_server_seen(server, 1).at_ns / 1000000 - start >= DELAY_MS - 1);
        assert_int_equal(fake_server_count(server, FAKE_PUT), 1);
        etcd_client_free(client);
        fake_server_stop(server);
    }
}

/* A call that is held back ends with `code`, is not sent, and says so. */
static void check_not_sent(fake_server *server, int rc, const etcd_error *err, int code)
{
    assert_int_equal(rc, code);
    assert_int_equal(err->flags & ETCD_ERROR_MAYBE_APPLIED, 0);
    fake_assert_contains(err->message, "the delay of the call was not over");
    assert_int_equal(fake_server_count(server, FAKE_PUT), 0);
}

static void the_deadline_comes_first(void **state)
{
    (void)state;
    for (int manual = 0; manual < 2; manual++) {
        fake_server *server = fake_server_start(NULL);
        etcd_client *client = fake_client(fake_server_endpoint(server), manual);
        int64_t start = fake_now_ms();
        etcd_error err;
        int rc = fake_put.run(client, ETCD_CALL(.timeout_ms = DELAY_MS, .delay_ms = LONG_MS), &err);

        check_not_sent(server, rc, &err, ETCD_ERR_DEADLINE_EXCEEDED);
        assert_true(fake_now_ms() - start >= DELAY_MS);
        etcd_client_free(client);
        fake_server_stop(server);
    }
}

typedef struct ending {
    int times, code;
    etcd_error err;
} ending;

static void on_put(etcd_client *client, etcd_put_response *response, const etcd_error *err, void *arg)
{
    ending *e = arg;

    (void)client;
    e->times++;
    e->code = err ? err->code : ETCD_OK;
    if (err != NULL)
        e->err = *err;
    etcd_response_free(response);
}

static etcd_call_id start_put(etcd_client *client, etcd_cancel *cancel, ending *e)
{
    etcd_call_id id = 0;

    assert_int_equal(etcd_put_async(client, ETCD_STR("k"), ETCD_STR("v"),
                                    ETCD_PUT(.call = ETCD_CALL(.timeout_ms = -1, .delay_ms = LONG_MS, .cancel = cancel)), on_put,
                                    e, &id, NULL),
                     ETCD_OK);
    for (int i = 0; i < 5; i++)
        assert_int_equal(etcd_client_process(client, 1, NULL), ETCD_OK);
    assert_int_equal(e->times, 0);
    return id;
}

static void it_can_be_canceled(void **state)
{
    (void)state;
    for (int with_switch = 0; with_switch < 2; with_switch++) {
        fake_server *server = fake_server_start(NULL);
        etcd_client *client = fake_client(fake_server_endpoint(server), true);
        etcd_cancel *cancel;
        etcd_call_id id;
        ending e = {0};

        assert_int_equal(etcd_cancel_new(&cancel, NULL), ETCD_OK);
        id = start_put(client, with_switch ? cancel : NULL, &e);
        if (with_switch)
            etcd_cancel_trigger(cancel);
        else
            assert_int_equal(etcd_call_cancel(client, id), ETCD_OK);
        while (e.times == 0)
            assert_int_equal(etcd_client_process(client, FAKE_WAIT_MS, NULL), ETCD_OK);
        check_not_sent(server, e.code, &e.err, ETCD_ERR_CANCELED);
        etcd_client_free(client);
        assert_int_equal(e.times, 1);
        etcd_cancel_free(cancel);
        fake_server_stop(server);
    }
}

static void closing_ends_it(void **state)
{
    fake_server *server = fake_server_start(NULL);
    etcd_client *client = fake_client(fake_server_endpoint(server), true);
    ending e = {0};

    (void)state;
    (void)start_put(client, NULL, &e);
    etcd_client_close(client);
    assert_int_equal(e.times, 1);
    check_not_sent(server, e.code, &e.err, ETCD_ERR_CLOSED);
    etcd_client_free(client);
    assert_int_equal(e.times, 1);
    fake_server_stop(server);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_request_is_held_back),
    cmocka_unit_test(the_deadline_comes_first),
    cmocka_unit_test(it_can_be_canceled),
    cmocka_unit_test(closing_ends_it),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
