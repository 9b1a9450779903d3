/* Cancelling against a real server: by number, by switch, before, during and after the call. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#include "real.h"

static void a_call_is_canceled_by_its_number(void **state)
{
    etcd_client *client = real_hanging_client(ETCD_CLIENT());
    struct real_ending get = REAL_ENDING, put = REAL_ENDING;
    etcd_call_id get_id, put_id;
    int64_t start;
    etcd_error err;

    (void)state;
    assert_ok(
        etcd_get_async(client, ETCD_STR("key"), ETCD_GET(.call = ETCD_CALL(.timeout_ms = -1)), real_on_get, &get, &get_id, &err),
        &err);
    assert_ok(etcd_put_async(client, ETCD_STR("key"), ETCD_STR("x"), ETCD_PUT(.call = ETCD_CALL(.timeout_ms = -1)), real_on_put,
                             &put, &put_id, &err),
              &err);
    assert_true(get_id != put_id);
    real_await_sent(client);
    start = real_watch();
    assert_int_equal(etcd_call_cancel(client, get_id), ETCD_OK);
    assert_int_equal(etcd_call_cancel(client, put_id), ETCD_OK);
    real_await(&get);
    real_await(&put);
    assert_took(start, 0, 10);
    assert_int_equal(get.code, ETCD_ERR_CANCELED);
    assert_int_equal(get.flags & ETCD_ERROR_MAYBE_APPLIED, 0);
    assert_non_null(strstr(get.message, "context canceled"));
    assert_int_equal(put.code, ETCD_ERR_CANCELED);
    assert_true(put.flags & ETCD_ERROR_MAYBE_APPLIED);
    assert_int_equal(etcd_call_cancel(client, get_id), ETCD_ERR_CALL_NOT_FOUND);
    assert_int_equal(etcd_call_cancel(client, 0), ETCD_ERR_CALL_NOT_FOUND);
    assert_int_equal(etcd_call_cancel(client, put_id + 1000), ETCD_ERR_CALL_NOT_FOUND);
    real_resume();
    etcd_response_free(real_get(client, "key", NULL)); /* the connection is still good */
    etcd_client_free(client);
    assert_int_equal(get.times, 1);
    assert_int_equal(put.times, 1);
}

struct canceled_call {
    etcd_client *client;
    etcd_cancel *cancel;
    int rc;
    etcd_error err;
};

static void *call_until_canceled(void *arg)
{
    struct canceled_call *call = arg;

    call->rc = etcd_get(call->client, ETCD_STR("key"), ETCD_GET(.call = ETCD_CALL(.timeout_ms = -1, .cancel = call->cancel)),
                        NULL, &call->err);
    real_end_of_thread();
    return NULL;
}

static void a_switch_cancels_the_calls_of_all_clients_and_forms(void **state)
{
    etcd_client *clients[] = {real_hanging_client(ETCD_CLIENT()), real_client_with(ETCD_CLIENT())};
    struct canceled_call blocking[2];
    struct real_ending async[2] = {REAL_ENDING, REAL_ENDING};
    etcd_completion *completion;
    etcd_cancel *cancel;
    pthread_t threads[2];
    int64_t start;
    etcd_error err;

    (void)state;
    assert_ok(etcd_cancel_new(&cancel, &err), &err);
    for (int i = 0; i < 2; i++) {
        blocking[i] = (struct canceled_call){.client = clients[i], .cancel = cancel};
        assert_int_equal(pthread_create(&threads[i], NULL, call_until_canceled, &blocking[i]), 0);
        assert_ok(etcd_get_async(clients[i], ETCD_STR("key"), ETCD_GET(.call = ETCD_CALL(.timeout_ms = -1, .cancel = cancel)),
                                 real_on_get, &async[i], NULL, &err),
                  &err);
    }
    assert_ok(etcd_get_async(clients[0], ETCD_STR("key"), ETCD_GET(.call = ETCD_CALL(.timeout_ms = -1, .cancel = cancel)), NULL,
                             NULL, NULL, &err),
              &err);
    real_sleep_ms(30);
    start = real_watch();
    etcd_cancel_trigger(cancel);
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        assert_error(blocking[i].rc, &blocking[i].err, ETCD_ERR_CANCELED, "context canceled");
        real_await(&async[i]);
        assert_int_equal(async[i].code, ETCD_ERR_CANCELED);
    }
    assert_ok(etcd_client_next_completion(clients[0], 1000, &completion, &err), &err);
    assert_int_equal(completion->code, ETCD_ERR_CANCELED);
    etcd_response_free(completion);
    assert_took(start, 0, 30);
    real_resume();
    assert_error(etcd_put(clients[0], ETCD_STR("late"), ETCD_STR("x"), ETCD_PUT(.call = ETCD_CALL(.cancel = cancel)), NULL, &err),
                 &err, ETCD_ERR_CANCELED, "context canceled");
    assert_int_equal(err.flags & ETCD_ERROR_MAYBE_APPLIED, 0);
    assert_keys(real_get(clients[0], "late", NULL), "");
    etcd_client_free(clients[0]);
    etcd_client_free(clients[1]);
    etcd_cancel_free(cancel);
}

static void an_ended_call_leaves_its_switch(void **state)
{
    etcd_client *client = real_client();
    etcd_cancel *cancel;
    etcd_error err;

    (void)state;
    assert_ok(etcd_cancel_new(&cancel, &err), &err);
    assert_ok(etcd_put(client, ETCD_STR("key"), ETCD_STR("x"), ETCD_PUT(.call = ETCD_CALL(.cancel = cancel)), NULL, &err), &err);
    etcd_cancel_trigger(cancel);
    etcd_cancel_trigger(cancel);
    etcd_cancel_free(cancel);
    assert_keys(real_get(client, "key", NULL), "key");
    etcd_client_free(client);
}

/* Calls and cancels from several threads: every call ends once, as done or as canceled. */
static void *cancel_all(void *arg)
{
    struct {
        etcd_client *client;
        atomic_uint_fast64_t newest;
        atomic_bool stop;
    } *target = arg;

    while (!atomic_load(&target->stop))
        (void)etcd_call_cancel(target->client, atomic_load(&target->newest));
    return NULL;
}

static void cancels_race_with_answers(void **state)
{
    struct {
        etcd_client *client;
        atomic_uint_fast64_t newest;
        atomic_bool stop;
    } target = {.client = real_client()};
    pthread_t thread;
    int done = 0, canceled = 0;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, cancel_all, &target), 0);
    for (int i = 0; i < 500; i++) {
        struct real_ending ending = REAL_ENDING;
        etcd_call_id id;
        etcd_error err;

        assert_ok(etcd_get_async(target.client, ETCD_STR("key"), NULL, real_on_get, &ending, &id, &err), &err);
        if (i % 3 != 0)
            atomic_store(&target.newest, id);
        real_await(&ending);
        assert_int_equal(ending.times, 1);
        if (ending.code == ETCD_OK)
            done++;
        else if (ending.code == ETCD_ERR_CANCELED)
            canceled++;
        etcd_response_free(ending.response);
    }
    atomic_store(&target.stop, true);
    pthread_join(thread, NULL);
    assert_int_equal(done + canceled, 500);
    assert_true(done >= 500 / 3);
    etcd_client_free(target.client);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_call_is_canceled_by_its_number),
    cmocka_unit_test(a_switch_cancels_the_calls_of_all_clients_and_forms),
    cmocka_unit_test(an_ended_call_leaves_its_switch),
    cmocka_unit_test(cancels_race_with_answers),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
