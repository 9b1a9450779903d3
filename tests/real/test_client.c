/* The forms of a call against a real server: blocking, callback, completion queue, each with and without an I/O thread; threads,
 * and what callbacks may do. */
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "real.h"

/* ---- one call in any form ---- */

enum form { FORM_BLOCKING, FORM_CALLBACK, FORM_QUEUE };

struct mode {
    const char *name;
    enum form form;
    bool manual;
};

static const struct mode modes[] = {
    {"blocking", FORM_BLOCKING, false},       {"callback", FORM_CALLBACK, false},       {"queue", FORM_QUEUE, false},
    {"manual blocking", FORM_BLOCKING, true}, {"manual callback", FORM_CALLBACK, true}, {"manual queue", FORM_QUEUE, true},
};

enum { MODES = sizeof modes / sizeof modes[0] };

static void on_delete(etcd_client *client, etcd_delete_response *response, const etcd_error *err, void *arg)
{
    (void)client;
    real_end(arg, response, err);
}

static void on_txn(etcd_client *client, etcd_txn_response *response, const etcd_error *err, void *arg)
{
    (void)client;
    real_end(arg, response, err);
}

static void on_compact(etcd_client *client, etcd_compact_response *response, const etcd_error *err, void *arg)
{
    (void)client;
    real_end(arg, response, err);
}

static void on_do(etcd_client *client, etcd_op_response *response, const etcd_error *err, void *arg)
{
    (void)client;
    real_end(arg, response, err);
}

/* A call that is to be made: which, and its arguments. */
struct request {
    int type; /* of etcd_call_type */
    const char *key, *value;
    int64_t revision;
    etcd_txn *txn;
    const etcd_op *op;
};

static int call_blocking(etcd_client *client, const struct request *r, void **out, etcd_error *err)
{
    etcd_get_response *get = NULL;
    etcd_put_response *put = NULL;
    etcd_delete_response *del = NULL;
    etcd_txn_response *txn = NULL;
    etcd_compact_response *compact = NULL;
    etcd_op_response *op = NULL;
    int rc;

    switch (r->type) {
    case ETCD_CALL_GET:
        rc = etcd_get(client, ETCD_STR(r->key), ETCD_GET(.revision = r->revision), &get, err);
        *out = get;
        return rc;
    case ETCD_CALL_PUT:
        rc = etcd_put(client, ETCD_STR(r->key), ETCD_STR(r->value), NULL, &put, err);
        *out = put;
        return rc;
    case ETCD_CALL_DELETE:
        rc = etcd_delete(client, ETCD_STR(r->key), NULL, &del, err);
        *out = del;
        return rc;
    case ETCD_CALL_TXN:
        rc = etcd_txn_commit(r->txn, NULL, &txn, err);
        *out = txn;
        return rc;
    case ETCD_CALL_COMPACT:
        rc = etcd_compact(client, r->revision, NULL, &compact, err);
        *out = compact;
        return rc;
    default:
        rc = etcd_do(client, r->op, NULL, &op, err);
        *out = op;
        return rc;
    }
}

/* `arg` NULL: to the completion queue. */
static int call_async(etcd_client *client, const struct request *r, struct real_ending *arg, etcd_call_id *id, etcd_error *err)
{
    bool queue = arg == NULL;

    switch (r->type) {
    case ETCD_CALL_GET:
        return etcd_get_async(client, ETCD_STR(r->key), ETCD_GET(.revision = r->revision), queue ? NULL : real_on_get, arg, id,
                              err);
    case ETCD_CALL_PUT:
        return etcd_put_async(client, ETCD_STR(r->key), ETCD_STR(r->value), NULL, queue ? NULL : real_on_put, arg, id, err);
    case ETCD_CALL_DELETE:
        return etcd_delete_async(client, ETCD_STR(r->key), NULL, queue ? NULL : on_delete, arg, id, err);
    case ETCD_CALL_TXN:
        return etcd_txn_commit_async(r->txn, NULL, queue ? NULL : on_txn, arg, id, err);
    case ETCD_CALL_COMPACT:
        return etcd_compact_async(client, r->revision, NULL, queue ? NULL : on_compact, arg, id, err);
    default:
        return etcd_do_async(client, r->op, NULL, queue ? NULL : on_do, arg, id, err);
    }
}

/* Makes the call in the form of the mode. Returns its code; *out is the response, to be freed by release(). */
static int make_call(etcd_client *client, const struct mode *mode, const struct request *request, const void **out, void **owner)
{
    struct real_ending ending = REAL_ENDING;
    etcd_completion *completion;
    etcd_call_id id = 0;
    etcd_error err;
    int rc;

    *out = *owner = NULL;
    if (mode->form == FORM_BLOCKING) {
        rc = call_blocking(client, request, owner, &err);
        *out = *owner;
        return rc;
    }
    assert_ok(call_async(client, request, mode->form == FORM_QUEUE ? NULL : &ending, &id, &err), &err);
    assert_true(id != 0);
    if (mode->form == FORM_QUEUE) {
        assert_ok(etcd_client_next_completion(client, -1, &completion, &err), &err);
        assert_true(completion->id == id);
        assert_int_equal(completion->type, request->type);
        assert_int_equal(completion->error != NULL ? completion->error->code : 0, completion->code);
        assert_int_equal(completion->response == NULL, completion->code != ETCD_OK);
        *owner = completion;
        *out = completion->response;
        return completion->code;
    }
    if (mode->manual) {
        assert_int_equal(real_times_ended(&ending), 0); /* never before the starting call returned */
        real_poll_until(client, &ending);
    }
    real_await(&ending);
    assert_int_equal(ending.times, 1);
    *out = *owner = ending.response;
    return ending.code;
}

static void every_form_makes_every_call(void **state)
{
    etcd_client *fresh = real_client();

    (void)state;
    for (int i = 0; i < MODES; i++) {
        etcd_client *client = real_client_with(ETCD_CLIENT(.manual = modes[i].manual));
        struct request request = {.type = ETCD_CALL_PUT, .key = "key", .value = modes[i].name};
        const etcd_put_response *put;
        const void *response;
        void *owner;
        int64_t revision;
        etcd_error err;
        etcd_op *op;

        print_message("%s\n", modes[i].name);
        assert_int_equal(make_call(client, &modes[i], &request, &response, &owner), ETCD_OK);
        put = response;
        revision = put->header.revision;
        etcd_response_free(owner);
        request.type = ETCD_CALL_GET;
        assert_int_equal(make_call(client, &modes[i], &request, &response, &owner), ETCD_OK);
        assert_text(((const etcd_get_response *)response)->kvs[0].value, modes[i].name);
        etcd_response_free(owner);
        request.type = ETCD_CALL_TXN;
        request.txn = etcd_txn_new(client);
        etcd_txn_if_mod_revision(request.txn, ETCD_STR("key"), ETCD_CMP_EQUAL, revision);
        etcd_txn_put(request.txn, ETCD_STR("key"), ETCD_STR("swapped"), NULL);
        assert_int_equal(make_call(client, &modes[i], &request, &response, &owner), ETCD_OK);
        assert_true(((const etcd_txn_response *)response)->succeeded);
        etcd_response_free(owner);
        etcd_txn_free(request.txn);
        request.type = ETCD_CALL_DO;
        assert_ok(etcd_op_get(ETCD_STR("key"), NULL, &op, &err), &err);
        request.op = op;
        assert_int_equal(make_call(client, &modes[i], &request, &response, &owner), ETCD_OK);
        assert_text(((const etcd_op_response *)response)->get->kvs[0].value, "swapped");
        etcd_response_free(owner);
        etcd_op_free(op);
        request.type = ETCD_CALL_COMPACT;
        request.revision = revision;
        assert_int_equal(make_call(client, &modes[i], &request, &response, &owner), ETCD_OK);
        etcd_response_free(owner);
        request.type = ETCD_CALL_DELETE;
        assert_int_equal(make_call(client, &modes[i], &request, &response, &owner), ETCD_OK);
        assert_int_equal(((const etcd_delete_response *)response)->deleted, 1);
        etcd_response_free(owner);
        etcd_client_free(client);
    }
    etcd_client_free(fresh);
}

static void every_form_reports_errors(void **state)
{
    etcd_client *fresh = real_client();

    (void)state;
    for (int i = 0; i < MODES; i++) {
        etcd_client *client = real_client_with(ETCD_CLIENT(.manual = modes[i].manual));
        const struct request request = {.type = ETCD_CALL_GET, .key = "key", .revision = INT64_C(1) << 60};
        const void *response;
        void *owner;

        print_message("%s\n", modes[i].name);
        assert_int_equal(make_call(client, &modes[i], &request, &response, &owner), ETCD_ERR_FUTURE_REV);
        assert_null(response);
        etcd_response_free(owner);
        etcd_client_free(client);
    }
    etcd_client_free(fresh);
}

/* ---- many ---- */

enum { HAMMERS = 16, BLOWS = 150 };

struct hammer {
    etcd_client *client;
    int number, failures;
};

static int strike(struct hammer *hammer, int blow)
{
    etcd_get_response *get = NULL;
    char key[32], value[32];
    int rc;

    snprintf(key, sizeof key, "hammer/%d", hammer->number);
    snprintf(value, sizeof value, "%d", blow);
    rc = etcd_put(hammer->client, ETCD_STR(key), ETCD_STR(value), NULL, NULL, NULL);
    if (rc == ETCD_OK)
        rc = etcd_get(hammer->client, ETCD_STR(key), NULL, &get, NULL);
    if (rc == ETCD_OK && (get->n_kvs != 1 || strcmp(get->kvs[0].value.data, value) != 0 || get->kvs[0].version != blow + 1))
        rc = ETCD_ERR_DATA_LOSS;
    etcd_response_free(get);
    return rc;
}

static void *hammer_on(void *arg)
{
    struct hammer *hammer = arg;

    for (int i = 0; i < BLOWS; i++)
        hammer->failures += strike(hammer, i) < 0;
    return NULL;
}

static void sixteen_threads_share_one_client(void **state)
{
    etcd_client *client = real_client(), *patient = real_client_with(ETCD_CLIENT(.request_timeout_ms = 60000));
    struct hammer hammers[HAMMERS];
    pthread_t threads[HAMMERS];

    (void)state;
    for (int i = 0; i < HAMMERS; i++) {
        hammers[i] = (struct hammer){patient, i, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, hammer_on, &hammers[i]), 0);
    }
    for (int i = 0; i < HAMMERS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(hammers[i].failures, 0);
    }
    etcd_client_free(patient);
    etcd_client_free(client);
}

static void a_thousand_calls_at_once_end_once_each(void **state)
{
    enum { CALLS = 1000 };
    etcd_client *client = real_client();
    int *seen = calloc(CALLS, sizeof *seen), *numbers = calloc(CALLS, sizeof *numbers);
    etcd_get_response *get;
    etcd_completion *completion;
    etcd_error err;

    (void)state;
    for (int i = 0; i < CALLS; i++) {
        char key[32];

        numbers[i] = i;
        snprintf(key, sizeof key, "many/%d", i);
        assert_ok(etcd_put_async(client, ETCD_STR(key), ETCD_STR("x"), ETCD_PUT(.call = ETCD_CALL(.timeout_ms = 60000)), NULL,
                                 &numbers[i], NULL, &err),
                  &err);
    }
    for (int i = 0; i < CALLS; i++) {
        assert_ok(etcd_client_next_completion(client, 60000, &completion, &err), &err);
        assert_int_equal(completion->code, ETCD_OK);
        seen[*(const int *)completion->arg]++;
        etcd_response_free(completion);
    }
    assert_error(etcd_client_next_completion(client, 0, &completion, &err), &err, ETCD_ERR_TIMED_OUT, NULL);
    for (int i = 0; i < CALLS; i++)
        assert_int_equal(seen[i], 1);
    get = real_get(client, "many/", ETCD_GET(.prefix = true, .count_only = true));
    assert_int_equal(get->count, CALLS);
    etcd_response_free(get);
    free(seen);
    free(numbers);
    etcd_client_free(client);
}

/* ---- the completion queue ---- */

static void the_queue_waits_no_longer_than_told(void **state)
{
    etcd_client *client = real_client();
    etcd_completion *completion = (etcd_completion *)&client;
    int64_t start = real_watch();
    etcd_error err;

    (void)state;
    assert_error(etcd_client_next_completion(client, 100, &completion, &err), &err, ETCD_ERR_TIMED_OUT, NULL);
    assert_null(completion);
    assert_took(start, 100, 50);
    start = real_watch();
    assert_error(etcd_client_next_completion(client, 0, &completion, &err), &err, ETCD_ERR_TIMED_OUT, NULL);
    assert_took(start, 0, 50);
    etcd_client_free(client);
}

static void what_is_left_in_the_queue_is_taken_after_close_or_freed(void **state)
{
    etcd_client *client = real_client();
    etcd_completion *completion;
    etcd_error err;

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_ok(etcd_get_async(client, ETCD_STR("key"), NULL, NULL, NULL, NULL, &err), &err);
    assert_ok(etcd_client_next_completion(client, -1, &completion, &err), &err);
    etcd_client_close(client);
    etcd_response_free(completion);
    assert_ok(etcd_client_next_completion(client, -1, &completion, &err), &err);
    etcd_response_free(completion);
    etcd_client_free(client); /* with the third */
}

static void *wait_for_completion(void *client)
{
    etcd_completion *completion;

    return (void *)(intptr_t)etcd_client_next_completion(client, -1, &completion, NULL);
}

static void close_wakes_who_waits_for_the_queue(void **state)
{
    etcd_client *client = real_client();
    pthread_t thread;
    void *rc;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, wait_for_completion, client), 0);
    real_sleep_ms(20);
    etcd_client_close(client);
    pthread_join(thread, &rc);
    assert_int_equal((intptr_t)rc, ETCD_ERR_CLOSED);
    etcd_client_free(client);
}

/* ---- manual mode ---- */

static void manual_functions_refuse_a_threaded_client(void **state)
{
    etcd_client *client = real_client();
    etcd_error err;

    (void)state;
    assert_true(etcd_client_fd(client) < 0);
    assert_error(etcd_client_process(client, 0, &err), &err, ETCD_ERR_ARGUMENT, "manual");
    etcd_client_free(client);
}

static void the_descriptor_tells_of_deadlines(void **state)
{
    etcd_client *fresh = real_client(), *client = real_client_with(ETCD_CLIENT(.manual = true));
    struct real_ending ending = REAL_ENDING;
    int64_t start;
    etcd_error err;

    (void)state;
    real_put(client, "key", "connected");
    etcd_server_signal(real_server(), 0, SIGSTOP);
    start = real_watch();
    assert_ok(
        etcd_get_async(client, ETCD_STR("key"), ETCD_GET(.call = ETCD_CALL(.timeout_ms = 150)), real_on_get, &ending, NULL, &err),
        &err);
    while (real_times_ended(&ending) == 0) {
        struct pollfd fd = {.fd = etcd_client_fd(client), .events = POLLIN};

        assert_int_equal(poll(&fd, 1, 2000), 1); /* without the help of etcd_client_timeout_ms() */
        assert_ok(etcd_client_process(client, 0, &err), &err);
    }
    assert_took(start, 150, 50);
    etcd_server_signal(real_server(), 0, SIGCONT);
    assert_int_equal(ending.code, ETCD_ERR_DEADLINE_EXCEEDED);
    etcd_client_free(client);
    etcd_client_free(fresh);
}

static void processing_waits_no_longer_than_told(void **state)
{
    etcd_client *client = real_client_with(ETCD_CLIENT(.manual = true));
    int64_t start;
    etcd_error err;

    (void)state;
    real_put(client, "key", "connected");
    for (int i = 0; i < 10; i++)
        assert_ok(etcd_client_process(client, 0, &err), &err);
    start = real_watch();
    assert_ok(etcd_client_process(client, 100, &err), &err);
    assert_took(start, 0, 150);
    etcd_client_free(client);
}

/* ---- in callbacks ---- */

struct inside {
    struct real_ending ending;
    int blocking, queue, process, cancel, start;
    bool free_it, close_it;
};

static void use_client_inside(etcd_client *client, etcd_get_response *response, const etcd_error *err, void *arg)
{
    struct inside *inside = arg;
    etcd_completion *completion;

    inside->blocking = etcd_put(client, ETCD_STR("inside"), ETCD_STR("x"), NULL, NULL, NULL);
    inside->queue = etcd_client_next_completion(client, -1, &completion, NULL);
    inside->process = etcd_client_process(client, 0, NULL);
    inside->cancel = etcd_call_cancel(client, 1u << 30);
    etcd_response_free(response);
    if (inside->close_it)
        etcd_client_close(client);
    inside->start =
        etcd_put_async(client, ETCD_STR("started"), ETCD_STR("inside"), NULL, real_on_put, &inside->ending, NULL, NULL);
    if (inside->free_it)
        etcd_client_free(client);
    if (inside->start < 0)
        real_end(&inside->ending, NULL, err);
}

static void a_callback_may_do_all_but_wait(void **state)
{
    etcd_client *fresh = real_client();

    (void)state;
    for (int manual = 0; manual <= 1; manual++) {
        etcd_client *client = real_client_with(ETCD_CLIENT(.manual = manual));
        struct inside inside = {.ending = REAL_ENDING};
        etcd_error err;

        assert_ok(etcd_get_async(client, ETCD_STR("key"), NULL, use_client_inside, &inside, NULL, &err), &err);
        if (manual)
            real_poll_until(client, &inside.ending);
        real_await(&inside.ending);
        assert_int_equal(inside.blocking, ETCD_ERR_IN_CALLBACK);
        assert_int_equal(inside.queue, ETCD_ERR_IN_CALLBACK);
        assert_int_equal(inside.process, ETCD_ERR_IN_CALLBACK);
        assert_int_equal(inside.cancel, ETCD_ERR_CALL_NOT_FOUND);
        assert_int_equal(inside.start, ETCD_OK);
        assert_int_equal(inside.ending.code, ETCD_OK);
        etcd_response_free(inside.ending.response);
        assert_keys(real_get(client, "started", NULL), "started");
        assert_keys(real_get(client, "inside", NULL), "");
        etcd_client_free(client);
    }
    etcd_client_free(fresh);
}

static void a_callback_may_close_the_client(void **state)
{
    etcd_client *fresh = real_client();

    (void)state;
    for (int manual = 0; manual <= 1; manual++) {
        etcd_client *client = real_client_with(ETCD_CLIENT(.manual = manual));
        struct inside inside = {.ending = REAL_ENDING, .close_it = true};
        etcd_error err;

        assert_ok(etcd_get_async(client, ETCD_STR("key"), NULL, use_client_inside, &inside, NULL, &err), &err);
        while (manual && real_times_ended(&inside.ending) == 0)
            (void)etcd_client_process(client, -1, &err);
        real_await(&inside.ending);
        assert_int_equal(inside.start, ETCD_ERR_CLOSED);
        assert_error(etcd_get(client, ETCD_STR("key"), NULL, NULL, &err), &err, ETCD_ERR_CLOSED, NULL);
        etcd_client_free(client);
    }
    etcd_client_free(fresh);
}

static void a_callback_may_free_the_client(void **state)
{
    etcd_client *fresh = real_client();

    (void)state;
    for (int manual = 0; manual <= 1; manual++)
        for (int others = 0; others <= 3; others += 3) {
            etcd_client *client = real_client_with(ETCD_CLIENT(.manual = manual));
            struct inside inside = {.ending = REAL_ENDING, .free_it = true, .close_it = true};
            struct real_ending left[3] = {REAL_ENDING, REAL_ENDING, REAL_ENDING};
            etcd_error err;

            for (int i = 0; i < others; i++)
                assert_ok(etcd_get_async(client, ETCD_STR("key"), NULL, real_on_get, &left[i], NULL, &err), &err);
            assert_ok(etcd_get_async(client, ETCD_STR("key"), NULL, use_client_inside, &inside, NULL, &err), &err); /* the last */
            while (manual && real_times_ended(&inside.ending) == 0)
                (void)etcd_client_process(client, -1, &err);
            real_await(&inside.ending);
            for (int i = 0; i < others; i++) { /* answered before, or closed with the client */
                assert_int_equal(left[i].times, 1);
                etcd_response_free(left[i].response);
            }
        }
    etcd_client_free(fresh);
}

/* ---- the log ---- */

static void remember_line(int level, const char *message, void *arg)
{
    char *text = arg;

    (void)level;
    if (strlen(text) + strlen(message) + 2 < 4096) {
        memcpy(text + strlen(text), message, strlen(message) + 1);
        memcpy(text + strlen(text), "\n", 2);
    }
}

static void the_log_tells_of_connections(void **state)
{
    char lines[4096] = "";
    etcd_client *client = real_client_with(ETCD_CLIENT(.manual = true, .log_fn = remember_line, .log_arg = lines));

    (void)state;
    real_put(client, "key", "value");
    etcd_client_free(client);
    assert_non_null(strstr(lines, etcd_server_endpoint(real_server(), 0)));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_form_makes_every_call),
    cmocka_unit_test(every_form_reports_errors),
    cmocka_unit_test(sixteen_threads_share_one_client),
    cmocka_unit_test(a_thousand_calls_at_once_end_once_each),
    cmocka_unit_test(the_queue_waits_no_longer_than_told),
    cmocka_unit_test(what_is_left_in_the_queue_is_taken_after_close_or_freed),
    cmocka_unit_test(close_wakes_who_waits_for_the_queue),
    cmocka_unit_test(manual_functions_refuse_a_threaded_client),
    cmocka_unit_test(the_descriptor_tells_of_deadlines),
    cmocka_unit_test(processing_waits_no_longer_than_told),
    cmocka_unit_test(a_callback_may_do_all_but_wait),
    cmocka_unit_test(a_callback_may_close_the_client),
    cmocka_unit_test(a_callback_may_free_the_client),
    cmocka_unit_test(the_log_tells_of_connections),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
