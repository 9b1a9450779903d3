/* Renewing a lease once: over the shared stream, with the deadline, the cancelling and the forms of any call. */
#include "fake/lease_service.h"

#include <string.h>

typedef struct ending {
    atomic_int answers, ends, code;
} ending;

static void once_goes_over_the_shared_stream(void **state)
{
    etcd_client *client = begin(false);
    etcd_keepalive *keepalive = open_one(client, 11, 0);
    etcd_keepalive_response *answer;
    etcd_error err;

    (void)state;
    take_answer(keepalive);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(etcd_keepalive_once(client, 11 + i % 2, NULL, &answer, &err), ETCD_OK);
        assert_int_equal(answer->id, 11 + i % 2);
        assert_int_equal(answer->ttl_s, LONG_TTL_S);
        etcd_response_free(answer);
    }
    assert_int_equal(asked(), 11);
    assert_int_equal(take_all(keepalive), 5); /* it sees them, too */
    assert_int_equal(etcd_keepalive_once(client, GONE, NULL, &answer, &err), ETCD_ERR_LEASE_NOT_FOUND);
    assert_null(answer);
    assert_int_equal(atomic_load(&the_service.streams), 1);
    assert_int_equal(etcd_keepalive_once(client, 11, ETCD_CALL(.endpoint = fake_server_endpoint(the_service.server)), NULL, &err),
                     ETCD_OK);
    assert_int_equal(atomic_load(&the_service.streams), 2); /* it may not be where the shared one goes */
    etcd_keepalive_free(keepalive);
    finish(client);
}

static void once_ends_at_its_deadline(void **state)
{
    etcd_client *client = begin(false);
    int64_t before = fake_now_ms(), took;
    etcd_error err;

    (void)state;
    atomic_store(&the_service.silent, true);
    assert_int_equal(etcd_keepalive_once(client, 11, ETCD_CALL(.timeout_ms = 100), NULL, &err), ETCD_ERR_DEADLINE_EXCEEDED);
    took = fake_now_ms() - before;
    assert_true(took >= 99 && took < 100 + fake_bound_ms(2500));
    fake_assert_contains(err.message, "context deadline exceeded (");
    assert_int_equal(err.flags, ETCD_ERROR_RETRYABLE);
    assert_int_equal(etcd_keepalive_once(client, 11, ETCD_CALL(.timeout_ms = 100, .delay_ms = 60000), NULL, &err),
                     ETCD_ERR_DEADLINE_EXCEEDED);
    fake_assert_contains(err.message, "delay");
    finish(client);
}

static void once_says_why_there_is_no_stream(void **state)
{
    etcd_client *client;
    etcd_error err;

    (void)state;
    client = begin(false);
    fake_server_listen(the_service.server, false); /* the port stays ours: nobody else answers there */
    fake_server_cut(the_service.server, FAKE_ALL, FAKE_CUT_RST);
    for (int timeout_ms = 200; timeout_ms < FAKE_WAIT_MS; timeout_ms *= 4) { /* until there was time to try */
        assert_int_equal(etcd_keepalive_once(client, 11, ETCD_CALL(.timeout_ms = timeout_ms), NULL, &err),
                         ETCD_ERR_DEADLINE_EXCEEDED);
        if (strstr(err.message, "last connection error"))
            break;
    }
    fake_assert_contains(err.message, "last connection error");
    finish(client);
}

static void once_is_repeated_on_the_next_stream(void **state)
{
    etcd_client *client = begin(false);
    etcd_call_id id;
    etcd_completion *completion;

    (void)state;
    atomic_store(&the_service.silent, true);
    assert_int_equal(etcd_keepalive_once_async(client, 11, NULL, NULL, &id, &id, NULL), ETCD_OK);
    assert_true(fake_server_wait_requests(the_service.server, FAKE_KEEP_ALIVE, 1, FAKE_WAIT_MS));
    atomic_store(&the_service.silent, false);
    fake_server_cut(the_service.server, FAKE_ALL, FAKE_CUT_RST);
    assert_int_equal(etcd_client_next_completion(client, FAKE_WAIT_MS, &completion, NULL), ETCD_OK);
    assert_int_equal(completion->id, id);
    assert_int_equal(completion->type, ETCD_CALL_KEEPALIVE_ONCE);
    assert_int_equal(completion->code, ETCD_OK);
    assert_int_equal(((const etcd_keepalive_response *)completion->response)->id, 11);
    etcd_response_free(completion);
    finish(client);
}

static void on_once(etcd_client *client, etcd_keepalive_response *response, const etcd_error *err, void *arg)
{
    ending *h = arg;

    (void)client;
    etcd_response_free(response);
    atomic_store(&h->code, err ? err->code : ETCD_OK);
    atomic_fetch_add(err ? &h->ends : &h->answers, 1);
}

static void once_is_canceled(void **state)
{
    etcd_client *client = begin(false);
    ending by_id = {0}, by_switch = {0}, by_close = {0}, fine = {0};
    etcd_cancel *cancel;
    etcd_call_id id;

    (void)state;
    assert_int_equal(etcd_keepalive_once_async(client, 11, NULL, on_once, &fine, NULL, NULL), ETCD_OK);
    await_count(&fine.answers, 1);
    atomic_store(&the_service.silent, true);
    assert_int_equal(etcd_cancel_new(&cancel, NULL), ETCD_OK);
    assert_int_equal(etcd_keepalive_once_async(client, 11, NULL, on_once, &by_id, &id, NULL), ETCD_OK);
    assert_int_equal(etcd_keepalive_once_async(client, 11, ETCD_CALL(.cancel = cancel), on_once, &by_switch, NULL, NULL),
                     ETCD_OK);
    assert_int_equal(etcd_keepalive_once_async(client, 12, NULL, on_once, &by_close, NULL, NULL), ETCD_OK);
    assert_true(fake_server_wait_requests(the_service.server, FAKE_KEEP_ALIVE, 3, FAKE_WAIT_MS));
    assert_int_equal(etcd_call_cancel(client, id), ETCD_OK);
    etcd_cancel_trigger(cancel);
    await_count(&by_id.ends, 1);
    await_count(&by_switch.ends, 1);
    assert_int_equal(atomic_load(&by_id.code), ETCD_ERR_CANCELED);
    assert_int_equal(atomic_load(&by_switch.code), ETCD_ERR_CANCELED);
    etcd_client_close(client);
    assert_int_equal(atomic_load(&by_close.code), ETCD_ERR_CLOSED);
    etcd_cancel_free(cancel);
    finish(client);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(once_goes_over_the_shared_stream),
    cmocka_unit_test(once_ends_at_its_deadline),
    cmocka_unit_test(once_says_why_there_is_no_stream),
    cmocka_unit_test(once_is_repeated_on_the_next_stream),
    cmocka_unit_test(once_is_canceled),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
