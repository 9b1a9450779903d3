/* Every unary call of the services, in each of its forms: what it sends and returns, whether it is repeated, what it does with
 * bad options and without memory; and passwords, which do not stay in memory. */
#define _GNU_SOURCE /* memmem */
#include "fake/service_calls.h"
#include "harness/alloc.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- helpers ---- */

static const etcd__rpc_method *method_of(const service_call *call)
{
    return &etcd__rpc_methods[call->rpc];
}

/* A message as bytes, from malloc. */
static uint8_t *encode(const etcd__pb_message *type, const void *message, size_t *len)
{
    uint8_t *bytes;

    *len = etcd__pb_encoded_size(type, message);
    bytes = malloc(*len + 1);
    if (bytes == NULL)
        abort();
    etcd__pb_encode(type, message, bytes, *len);
    return bytes;
}

static void answer(fake_request *request, void *arg)
{
    const service_call *call = arg;

    fake_reply_headers(request);
    fake_reply_message(request, method_of(call)->response, call->response);
    fake_reply_status(request, 0, NULL);
}

/* Cuts the connection of the first request, answers the others. */
static void cut_first(fake_request *request, void *arg)
{
    if (request->number == 0)
        fake_reply_cut(request, FAKE_CUT_RST);
    else
        answer(request, arg);
}

static void serve(fake_server *server, const service_call *call, fake_handler *handler)
{
    fake_server_handle(server, method_of(call)->path, handler, (void *)(uintptr_t)call);
}

static void check_response(const service_call *call, const void *response)
{
    size_t len, expected_len;
    uint8_t *bytes, *expected;

    if (response == NULL)
        fail_msg("%s: no response", call->name);
    bytes = encode(method_of(call)->response, response, &len);
    expected = encode(method_of(call)->response, call->response, &expected_len);
    if (len != expected_len || memcmp(bytes, expected, len) != 0)
        fail_msg("%s: another response", call->name);
    free(bytes);
    free(expected);
}

/* All requests so far are n of this call. */
static void check_requests(fake_server *server, const service_call *call, size_t n)
{
    size_t len;
    uint8_t *expected = encode(method_of(call)->request, call->request, &len);

    if (fake_server_count_payload(server, method_of(call)->path, expected, len) != n || fake_server_seen_count(server) != n)
        fail_msg("%s: %zu requests, %zu as they should be, instead of %zu", call->name, fake_server_seen_count(server),
                 fake_server_count_payload(server, method_of(call)->path, expected, len), n);
    free(expected);
}

typedef void check_fn(fake_server *server, etcd_client *client, const service_call *call);

/* Does something with each call of the table, on a server and a manual client of its own. */
static void each_call(check_fn *check, fake_handler *handler)
{
    for (size_t i = 0; i < n_service_calls; i++) {
        fake_server *server = fake_server_start(NULL);
        etcd_client *client = fake_client(fake_server_endpoint(server), true);

        serve(server, &service_calls[i], handler);
        check(server, client, &service_calls[i]);
        etcd_client_free(client);
        assert_int_equal(fake_server_violations(server), 0);
        fake_server_stop(server);
    }
}

static const etcd_call_options *patient(void)
{
    static const etcd_call_options options = {.size = sizeof options, .timeout_ms = FAKE_WAIT_MS};

    return &options;
}

static void await(etcd_client *client, const service_ending *ending)
{
    while (ending->times == 0)
        assert_int_equal(etcd_client_process(client, -1, NULL), ETCD_OK);
}

/* ---- the forms ---- */

static void block(fake_server *server, etcd_client *client, const service_call *call)
{
    void *response = (void *)(uintptr_t)1;
    etcd_error err;

    if (call->block(client, patient(), &response, &err) != ETCD_OK)
        fail_msg("%s: %s", call->name, err.message);
    check_response(call, response);
    etcd_response_free(response);
    if (call->block(client, patient(), NULL, &err) != ETCD_OK) /* nobody wants the response */
        fail_msg("%s: %s", call->name, err.message);
    check_requests(server, call, 2);
}

static void every_call_blocks(void **state)
{
    (void)state;
    each_call(block, answer);
}

static void call_back(fake_server *server, etcd_client *client, const service_call *call)
{
    service_ending ending = {0};
    etcd_call_id id = 0;
    etcd_error err;

    if (call->start(client, patient(), false, &ending, &id, &err) != ETCD_OK)
        fail_msg("%s: %s", call->name, err.message);
    assert_true(id != 0);
    assert_int_equal(ending.times, 0);
    await(client, &ending);
    assert_int_equal(ending.times, 1);
    assert_int_equal(ending.code, ETCD_OK);
    check_response(call, ending.response);
    etcd_response_free(ending.response);
    check_requests(server, call, 1);
}

static void every_call_calls_back(void **state)
{
    (void)state;
    each_call(call_back, answer);
}

static void queue(fake_server *server, etcd_client *client, const service_call *call)
{
    etcd_completion *completion;
    etcd_call_id id = 0;
    int arg;
    etcd_error err;

    if (call->start(client, patient(), true, &arg, &id, &err) != ETCD_OK)
        fail_msg("%s: %s", call->name, err.message);
    assert_int_equal(etcd_client_next_completion(client, FAKE_WAIT_MS, &completion, &err), ETCD_OK);
    assert_true(completion->id == id);
    if (completion->type != call->call_type)
        fail_msg("%s: a completion of type %d instead of %d", call->name, (int)completion->type, (int)call->call_type);
    assert_int_equal(completion->code, ETCD_OK);
    assert_ptr_equal(completion->arg, &arg);
    check_response(call, completion->response);
    etcd_response_free(completion);
    check_requests(server, call, 1);
}

static void every_call_queues(void **state)
{
    (void)state;
    each_call(queue, answer);
}

/* ---- lost connections ---- */

static void lose(fake_server *server, etcd_client *client, const service_call *call)
{
    void *response;
    etcd_error err;
    int rc = call->block(client, patient(), &response, &err);

    if (call->repeatable) {
        if (rc != ETCD_OK)
            fail_msg("%s: not repeated: %s", call->name, err.message);
        check_response(call, response);
        check_requests(server, call, 2);
    } else {
        if (rc != ETCD_ERR_UNAVAILABLE || !(err.flags & ETCD_ERROR_MAYBE_APPLIED))
            fail_msg("%s: %s, flags %x: %s", call->name, etcd_error_name(rc), (unsigned)err.flags, err.message);
        assert_null(response);
        check_requests(server, call, 1);
    }
    etcd_response_free(response);
}

static void only_calls_that_change_nothing_are_repeated(void **state)
{
    (void)state;
    each_call(lose, cut_first);
}

/* Only to validate a downgrade changes nothing, and to list all alarms for disarming them. */
static void what_a_method_is_used_for_decides(void **state)
{
    static const etcd_downgrade_response downgraded = {.version = {"3.6.0", 5}};
    static const etcd_alarm_response no_alarms;
    static const service_call validate = {.rpc = ETCD__RPC_DOWNGRADE, .response = &downgraded};
    static const service_call list = {.rpc = ETCD__RPC_ALARM, .response = &no_alarms};

    (void)state;
    for (int i = 0; i < 2; i++) {
        const service_call *call = i == 0 ? &validate : &list;
        fake_server *server = fake_server_start(NULL);
        etcd_client *client = fake_client(fake_server_endpoint(server), true);
        etcd_error err;

        serve(server, call, cut_first);
        if (i == 0)
            assert_int_equal(etcd_downgrade(client, ETCD_DOWNGRADE_VALIDATE, "3.5", patient(), NULL, &err), ETCD_OK);
        else
            assert_int_equal(etcd_alarm_disarm(client, 0, ETCD_ALARM_NONE, patient(), NULL, &err), ETCD_OK);
        assert_int_equal(fake_server_seen_count(server), 2);
        etcd_client_free(client);
        fake_server_stop(server);
    }
}

/* ---- refusals ---- */

static void refuse(fake_server *server, etcd_client *client, const service_call *call)
{
    static const etcd_call_options bad = {.timeout_ms = 1}; /* without size */
    static const etcd_call_options nowhere = {.size = sizeof nowhere, .endpoint = "http://no where"};
    service_ending ending = {0};
    void *response = &ending;
    etcd_call_id id = 1;
    etcd_error err;

    for (int i = 0; i < 2; i++) {
        response = &ending;
        id = 1;
        if (call->block(client, i == 0 ? &bad : &nowhere, &response, &err) != ETCD_ERR_ARGUMENT || response != NULL)
            fail_msg("%s: not refused: %s", call->name, err.message);
        fake_assert_contains(err.message, i == 0 ? "etcd_call_options.size" : "no where");
    }
    if (call->start(client, &bad, false, &ending, &id, &err) != ETCD_ERR_ARGUMENT || id != 0)
        fail_msg("%s: not refused: %s", call->name, err.message);
    response = &ending;
    if (call->block(NULL, NULL, &response, &err) != ETCD_ERR_ARGUMENT || response != NULL)
        fail_msg("%s: not refused: %s", call->name, err.message);
    etcd_client_close(client);
    response = &ending;
    if (call->block(client, NULL, &response, &err) != ETCD_ERR_CLOSED || response != NULL)
        fail_msg("%s: not refused: %s", call->name, err.message);
    if (call->start(client, NULL, false, &ending, &id, NULL) != ETCD_ERR_CLOSED || id != 0)
        fail_msg("%s: not refused", call->name);
    assert_int_equal(ending.times, 0);
    check_requests(server, call, 0);
}

static void refused_calls_send_nothing(void **state)
{
    (void)state;
    each_call(refuse, answer);
}

static void answer_with_an_error(fake_request *request, void *arg)
{
    (void)arg;
    fake_reply_trailers_only(request, 7, "etcdserver: permission denied");
}

static void be_denied(fake_server *server, etcd_client *client, const service_call *call)
{
    service_ending ending = {0};
    void *response = &ending;
    etcd_error err;

    if (call->block(client, patient(), &response, &err) != ETCD_ERR_PERMISSION_DENIED || response != NULL || err.flags != 0)
        fail_msg("%s: %s", call->name, err.message);
    if (call->start(client, patient(), false, &ending, NULL, &err) != ETCD_OK)
        fail_msg("%s: %s", call->name, err.message);
    await(client, &ending);
    assert_int_equal(ending.code, ETCD_ERR_PERMISSION_DENIED);
    assert_null(ending.response);
    check_requests(server, call, 2);
}

static void errors_of_the_server_are_told(void **state)
{
    (void)state;
    each_call(be_denied, answer_with_an_error);
}

/* ---- memory ---- */

typedef struct sweep {
    etcd_client *client;
    const service_call *call;
} sweep;

static int one_call(void *arg)
{
    const sweep *s = arg;
    service_ending ending = {0};
    void *response = &ending;
    int rc = s->call->block(s->client, patient(), &response, NULL);

    if (rc < 0)
        assert_null(response);
    etcd_response_free(response);
    if (rc == ETCD_OK && (rc = s->call->start(s->client, patient(), false, &ending, NULL, NULL)) == ETCD_OK) {
        await(s->client, &ending);
        rc = ending.code;
        etcd_response_free(ending.response);
    }
    return rc;
}

/* A client that is connected: its own allocations are not this test's. */
static void run_out_of_memory(fake_server *server, etcd_client *client, const service_call *call)
{
    sweep s = {client, call};

    (void)server;
    for (int i = 0; i < 3; i++)
        assert_int_equal(one_call(&s), ETCD_OK);
    for (size_t k = 1;; k++) {
        bool failed;
        int rc;

        etcd_test_alloc_fail_at(k);
        rc = one_call(&s);
        failed = etcd_test_alloc_failed();
        etcd_test_alloc_fail_at(0);
        if (!failed)
            break;
        if (rc != ETCD_OK && rc != ETCD_ERR_NO_MEMORY && rc != ETCD_ERR_UNAVAILABLE)
            fail_msg("%s, allocation %zu: %s", call->name, k, etcd_error_name(rc));
    }
}

static void calls_without_memory_fail_cleanly(void **state)
{
    size_t live;

    (void)state;
    etcd_test_alloc_install();
    live = etcd_test_alloc_live();
    each_call(run_out_of_memory, answer);
    assert_int_equal(etcd_test_alloc_live(), live);
}

/* ---- passwords ---- */

static const char password[] = "correct horse battery staple";
static atomic_int n_leaks;

static void look_for_password(const void *memory)
{
    if (memory != NULL && memmem(memory, malloc_usable_size((void *)(uintptr_t)memory), password, sizeof password - 1) != NULL)
        atomic_fetch_add(&n_leaks, 1);
}

static void *plain_malloc(size_t size, void *arg)
{
    (void)arg;
    return calloc(1, size);
}

static void *plain_calloc(size_t count, size_t size, void *arg)
{
    (void)arg;
    return calloc(count, size);
}

static void *looking_realloc(void *memory, size_t size, void *arg)
{
    (void)arg;
    look_for_password(memory); /* it may move, and leave its old place as it is */
    return realloc(memory, size);
}

static void looking_free(void *memory, void *arg)
{
    (void)arg;
    look_for_password(memory);
    free(memory);
}

static int add_user(etcd_client *client)
{
    return etcd_user_add(client, "bob", password, ETCD_USER_ADD(.call = patient()), NULL, NULL);
}

static int change_password(etcd_client *client)
{
    return etcd_user_change_password(client, "bob", password, patient(), NULL, NULL);
}

static int put_password(etcd_client *client)
{
    return etcd_put(client, ETCD_STR("k"), ETCD_STR(password), ETCD_PUT(.call = patient()), NULL, NULL);
}

/* How many blocks still held the password when they were freed. */
static int leaks_of(int (*call)(etcd_client *client))
{
    static const etcd_allocator looking = {plain_malloc, plain_calloc, looking_realloc, looking_free, NULL};
    fake_server *server = fake_server_start(NULL);
    etcd_client *client;

    assert_int_equal(etcd_set_allocator(&looking), ETCD_OK);
    for (size_t i = 0; i < n_service_calls; i++)
        serve(server, &service_calls[i], answer);
    atomic_store(&n_leaks, 0);
    client = fake_client(fake_server_endpoint(server), true);
    assert_int_equal(call(client), ETCD_OK);
    etcd_client_free(client);
    assert_int_equal(etcd_set_allocator(NULL), ETCD_OK);
    fake_server_stop(server);
    return atomic_load(&n_leaks);
}

static void passwords_do_not_stay_in_memory(void **state)
{
    (void)state;
    assert_true(leaks_of(put_password) > 0); /* this test can see */
    assert_int_equal(leaks_of(add_user), 0);
    assert_int_equal(leaks_of(change_password), 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_call_blocks),
    cmocka_unit_test(every_call_calls_back),
    cmocka_unit_test(every_call_queues),
    cmocka_unit_test(only_calls_that_change_nothing_are_repeated),
    cmocka_unit_test(what_a_method_is_used_for_decides),
    cmocka_unit_test(refused_calls_send_nothing),
    cmocka_unit_test(errors_of_the_server_are_told),
    cmocka_unit_test(calls_without_memory_fail_cleanly),
    cmocka_unit_test(passwords_do_not_stay_in_memory),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
