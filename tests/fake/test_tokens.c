/* Tokens: got once for many calls, renewed when the server refuses them, sent with every call and to nobody else; what is said
 * when there is none; and no trace of a secret in the log or in memory (P13). */
#define _GNU_SOURCE /* memmem */
#include "client/client.h"
#include "harness/fake_fixture.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AUTHENTICATE "/etcdserverpb.Auth/Authenticate"

enum { CALLS = 32, GATE = 1 };

static const char password[] = "correct horse battery staple";

/* ---- a server that knows its users ---- */

/* Token number n is "token-<n>-<filler>"; only those from `valid` on are good. The others are refused in one of two ways. */
#define FILLER "9f86d081884c7d659a2feaa0c55ad015"

static struct {
    atomic_int given, valid;
} users;

static void authenticate(fake_request *request, void *arg)
{
    const etcd__authenticate_request *who = request->message;
    char token[64];

    (void)arg;
    if (who->password.len != sizeof password - 1 || memcmp(who->password.data, password, sizeof password - 1) != 0) {
        fake_reply_trailers_only(request, 3, "etcdserver: authentication failed, invalid user ID or password");
        return;
    }
    (void)snprintf(token, sizeof token, "token-%d-" FILLER, atomic_fetch_add(&users.given, 1) + 1);
    fake_reply_gate(request, GATE);
    fake_reply_headers(request);
    fake_reply_message(request, &etcd__authenticate_response_type,
                       &(etcd_authenticate_response){.token = {token, strlen(token)}});
    fake_reply_status(request, 0, NULL);
}

/* The store, for those who show a good token. */
static void serve(fake_request *request, void *arg)
{
    fake_seen seen = fake_server_seen(request->server, request->number);
    const char *token = fake_seen_header(&seen, "token");
    int valid = atomic_load(&users.valid);

    (void)arg;
    if (token == NULL)
        fake_reply_trailers_only(request, 3, "etcdserver: user name is empty");
    else if (strtol(token + strlen("token-"), NULL, 10) >= valid)
        fake_reply_kv(request);
    else if (valid % 2 == 0)
        fake_reply_trailers_only(request, 16, "etcdserver: invalid auth token");
    else
        fake_reply_trailers_only(request, 3, "etcdserver: revision of auth store is old");
}

static fake_server *start(void)
{
    fake_server *server = fake_server_start(NULL);

    atomic_store(&users.given, 0);
    atomic_store(&users.valid, 1);
    fake_server_handle(server, AUTHENTICATE, authenticate, NULL);
    fake_server_handle(server, FAKE_RANGE, serve, NULL);
    fake_server_handle(server, FAKE_PUT, serve, NULL);
    return server;
}

static etcd_client *client_of(fake_server *server, const char *with_password)
{
    return fake_client_with(fake_server_endpoint(server), (etcd_client_options){.username = "root",
                                                                                .password = with_password,
                                                                                .backoff_base_ms = 1,
                                                                                .backoff_max_ms = 1,
                                                                                .retry_wait_ms = 1,
                                                                                .request_timeout_ms = FAKE_WAIT_MS});
}

/* Starts reads and writes by turns, whose ends go to the client's queue. */
static void start_calls(etcd_client *client, int n)
{
    etcd_error err;

    for (int i = 0; i < n; i++) {
        int rc = i % 2 ? etcd_put_async(client, ETCD_STR("k"), ETCD_STR("v"), NULL, NULL, NULL, NULL, &err)
                       : etcd_get_async(client, ETCD_STR("k"), NULL, NULL, NULL, NULL, &err);

        assert_int_equal(rc, ETCD_OK);
    }
}

/* Each of them ends with this code. */
static void expect_ends(etcd_client *client, int n, int code)
{
    etcd_completion *completion;
    etcd_error err;

    for (int i = 0; i < n; i++) {
        assert_int_equal(etcd_client_next_completion(client, FAKE_WAIT_MS, &completion, &err), ETCD_OK);
        if (completion->code != code)
            fail_msg("%s instead of %s: %s", etcd_error_name(completion->code), etcd_error_name(code),
                     completion->error ? completion->error->message : "");
        etcd_response_free(completion);
    }
}

/* ---- got and renewed ---- */

static void one_token_serves_all(void **state)
{
    fake_server *server = start();
    etcd_client *client = client_of(server, password);

    (void)state;
    start_calls(client, CALLS);
    assert_true(fake_server_wait_gate(server, GATE, 1, FAKE_WAIT_MS));
    start_calls(client, CALLS); /* while it is under way */
    fake_server_gate_open(server, GATE);
    expect_ends(client, 2 * CALLS, ETCD_OK);
    start_calls(client, CALLS); /* and afterwards */
    expect_ends(client, CALLS, ETCD_OK);
    assert_int_equal(fake_server_count(server, AUTHENTICATE), 1);
    assert_int_equal(fake_server_count(server, NULL), 1 + 3 * CALLS);
    etcd_client_free(client);
    fake_server_stop(server);
}

/* A cluster that is busy does not give a token now. */
static void busy(fake_request *request, void *arg)
{
    (void)arg;
    fake_reply_trailers_only(request, 8, "etcdserver: too many requests");
}

/* It is asked again while calls wait, but not without a pause. */
static void a_busy_cluster_is_not_stormed(void **state)
{
    fake_server *server = start();
    etcd_client *client = client_of(server, password);
    etcd_error err;

    (void)state;
    fake_server_handle(server, AUTHENTICATE, busy, NULL);
    assert_int_equal(etcd_get(client, ETCD_STR("k"), ETCD_GET(.call = ETCD_CALL(.timeout_ms = 500)), NULL, &err),
                     ETCD_ERR_DEADLINE_EXCEEDED);
    assert_in_range(fake_server_count(server, AUTHENTICATE), 1, 25);
    fake_server_handle(server, AUTHENTICATE, authenticate, NULL);
    fake_server_gate_open(server, GATE);
    assert_int_equal(etcd_get(client, ETCD_STR("k"), NULL, NULL, &err), ETCD_OK);
    etcd_client_free(client);
    fake_server_stop(server);
}

struct caller {
    pthread_t thread;
    etcd_client *client;
    atomic_int *failures, *puts;
    atomic_bool *enough;
};

static void *call_until_enough(void *arg)
{
    const struct caller *caller = arg;
    etcd_error err;

    while (!atomic_load(caller->enough)) {
        if (fake_put.run(caller->client, NULL, &err) < 0 || fake_get.run(caller->client, NULL, &err) < 0)
            atomic_fetch_add(caller->failures, 1);
        atomic_fetch_add(caller->puts, 1);
    }
    return NULL;
}

static void tokens_that_expire_in_traffic_are_renewed_once(void **state)
{
    enum { THREADS = 8, EXPIRIES = 5 };
    fake_server *server = start();
    etcd_client *client = client_of(server, password);
    struct caller callers[THREADS];
    atomic_int failures = 0, puts = 0;
    atomic_bool enough = false;
    etcd_error err;

    (void)state;
    fake_server_gate_open(server, GATE);
    assert_int_equal(fake_get.run(client, NULL, &err), ETCD_OK);
    for (int i = 0; i < THREADS; i++) {
        callers[i] = (struct caller){.client = client, .failures = &failures, .puts = &puts, .enough = &enough};
        assert_int_equal(pthread_create(&callers[i].thread, NULL, call_until_enough, &callers[i]), 0);
    }
    for (int i = 1; i <= EXPIRIES; i++) {
        atomic_fetch_add(&users.valid, 1);
        assert_true(fake_server_wait_requests(server, AUTHENTICATE, (size_t)i + 1, FAKE_WAIT_MS));
        /* a call goes through few renewals: not all of them within one */
        assert_true(fake_server_wait_requests(server, FAKE_PUT, fake_server_count(server, FAKE_PUT) + 4 * THREADS, FAKE_WAIT_MS));
    }
    atomic_store(&enough, true);
    for (int i = 0; i < THREADS; i++)
        pthread_join(callers[i].thread, NULL);
    assert_int_equal(failures, 0);
    assert_int_equal(fake_server_count(server, AUTHENTICATE), 1 + EXPIRIES);
    assert_int_equal(fake_server_kv_writes(server), puts); /* P1: refused ones were not done, the others once */
    etcd_client_free(client);
    fake_server_stop(server);
}

static void a_server_that_refuses_every_token_is_not_asked_for_ever(void **state)
{
    fake_server *server = start();
    etcd_client *client = client_of(server, password);
    etcd_error err;

    (void)state;
    fake_server_gate_open(server, GATE);
    atomic_store(&users.valid, 1000);
    assert_int_equal(fake_put.run(client, NULL, &err), ETCD_ERR_INVALID_AUTH_TOKEN);
    assert_int_equal(err.flags & ETCD_ERROR_MAYBE_APPLIED, 0);
    assert_true(fake_server_count(server, AUTHENTICATE) <= 5);
    etcd_client_free(client);
    fake_server_stop(server);
}

/* ---- no token ---- */

static void a_wrong_password_fails_the_calls(void **state)
{
    fake_server *server = start();
    etcd_client *client = client_of(server, "wrong");
    etcd_error err;

    (void)state;
    start_calls(client, CALLS);
    expect_ends(client, CALLS, ETCD_ERR_AUTH_FAILED);
    assert_int_equal(fake_put.run(client, NULL, &err), ETCD_ERR_AUTH_FAILED);
    assert_int_equal(err.flags & ETCD_ERROR_MAYBE_APPLIED, 0);
    fake_assert_contains(err.message, "authentication failed");
    assert_null(strstr(err.message, "wrong"));
    assert_int_equal(fake_server_count(server, FAKE_PUT) + fake_server_count(server, FAKE_RANGE), 0);
    etcd_client_free(client);
    fake_server_stop(server);
}

static void not_enabled(fake_request *request, void *arg)
{
    (void)arg;
    fake_reply_trailers_only(request, 9, "etcdserver: authentication is not enabled");
}

static void where_auth_is_off_calls_go_without(void **state)
{
    fake_server *server = start();
    etcd_client *client = client_of(server, password);
    etcd_error err;

    (void)state;
    fake_server_gate_open(server, GATE);
    fake_server_handle(server, AUTHENTICATE, not_enabled, NULL);
    fake_server_handle(server, FAKE_RANGE, NULL, NULL);
    assert_int_equal(fake_get.run(client, NULL, &err), ETCD_OK);
    assert_int_equal(fake_get.run(client, NULL, &err), ETCD_OK);
    assert_int_equal(fake_server_count(server, AUTHENTICATE), 1);
    /* and then it is switched on */
    fake_server_handle(server, AUTHENTICATE, authenticate, NULL);
    fake_server_handle(server, FAKE_RANGE, serve, NULL);
    assert_int_equal(fake_get.run(client, NULL, &err), ETCD_OK);
    assert_int_equal(fake_server_count(server, AUTHENTICATE), 2);
    etcd_client_free(client);
    fake_server_stop(server);
}

static int64_t wait_for_a_token(void *client)
{
    int64_t begin = fake_now_ms();
    etcd_error err;

    assert_int_equal(fake_put.run(client, ETCD_CALL(.timeout_ms = 100), &err), ETCD_ERR_DEADLINE_EXCEEDED); /* the gate is shut */
    assert_int_equal(err.flags & ETCD_ERROR_MAYBE_APPLIED, 0);
    return fake_now_ms() - begin - 100;
}

static void waiting_for_a_token_ends_by_the_deadline(void **state)
{
    fake_server *server = start();
    etcd_client *client = client_of(server, password);
    etcd_error err;

    (void)state;
    fake_in_time(wait_for_a_token, client, fake_bound_ms(50), "the deadline");
    fake_server_gate_open(server, GATE);
    assert_int_equal(fake_put.run(client, NULL, &err), ETCD_OK);
    assert_int_equal(fake_server_count(server, AUTHENTICATE), 1);
    etcd_client_free(client);
    fake_server_stop(server);
}

/* ---- tokens of the program ---- */

static void a_given_token_is_sent_as_it_is(void **state)
{
    fake_server *server = start();
    etcd_client *client = fake_client_with(fake_server_endpoint(server), (etcd_client_options){.token = "token-1-mine"});
    fake_seen seen;
    etcd_error err;

    (void)state;
    assert_int_equal(fake_get.run(client, NULL, &err), ETCD_OK);
    seen = fake_server_seen(server, 0);
    assert_string_equal(fake_seen_header(&seen, "token"), "token-1-mine");
    atomic_store(&users.valid, 2);
    assert_int_equal(fake_get.run(client, NULL, &err), ETCD_ERR_INVALID_AUTH_TOKEN);
    assert_int_equal(fake_server_count(server, AUTHENTICATE), 0);
    assert_int_equal(fake_server_count(server, FAKE_RANGE), 2); /* there is no other token: it is not tried again */
    etcd_client_free(client);
    fake_server_stop(server);
}

static const char *next_token(void *arg)
{
    static char token[64];
    atomic_int *asked = arg;
    int number = atomic_fetch_add(asked, 1) + 1;

    (void)snprintf(token, sizeof token, "token-%d-" FILLER, number);
    return number < 4 ? token : NULL;
}

static void a_source_of_tokens_is_asked_when_one_is_refused(void **state)
{
    fake_server *server = start();
    atomic_int asked = 0;
    etcd_client *client =
        fake_client_with(fake_server_endpoint(server), (etcd_client_options){.token_fn = next_token, .token_arg = &asked});
    etcd_error err;

    (void)state;
    start_calls(client, CALLS);
    expect_ends(client, CALLS, ETCD_OK);
    assert_int_equal(asked, 1);
    for (int i = 2; i <= 3; i++) {
        atomic_store(&users.valid, i);
        start_calls(client, CALLS);
        expect_ends(client, CALLS, ETCD_OK);
        assert_int_equal(asked, i);
    }
    atomic_store(&users.valid, 4);
    assert_int_equal(fake_get.run(client, NULL, &err), ETCD_ERR_UNAUTHENTICATED);
    fake_assert_contains(err.message, "token");
    etcd_client_free(client);
    fake_server_stop(server);
}

/* ---- where secrets may go ---- */

static int try_endpoints(const char *endpoints, bool allow, etcd_error *err)
{
    etcd_client *client;
    int rc = etcd_client_new(
        ETCD_CLIENT(.endpoints = endpoints, .username = "root", .password = password, .allow_plain_auth = allow, .manual = true),
        &client, err);

    etcd_client_free(client);
    return rc;
}

static void secrets_do_not_cross_a_network_in_the_clear(void **state)
{
    static const char *const refused[] = {"http://192.0.2.1:2379",
                                          "192.0.2.1:2379",
                                          "http://etcd.example:2379",
                                          "http://[2001:db8::1]:2379",
                                          "http://127.0.0.1:2379,http://192.0.2.1:2379",
                                          "http://localhost.example:2379",
                                          "http://127.0.0.1.example:2379"};
    static const char *const fine[] = {"http://127.0.0.1:2379", "http://127.9.9.9:2379", "http://[::1]:2379",
                                       "http://localhost:2379", "unix:///tmp/none",      "https://192.0.2.1:2379"};
    etcd_error err;

    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        assert_int_equal(try_endpoints(refused[i], false, &err), ETCD_ERR_ARGUMENT);
        fake_assert_contains(err.message, "allow_plain_auth");
        assert_int_equal(try_endpoints(refused[i], true, &err), ETCD_OK);
    }
    for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++)
        assert_int_equal(try_endpoints(fine[i], false, &err), ETCD_OK);
}

static void later_endpoints_are_looked_at_too(void **state)
{
    fake_server *server = start();
    etcd_client *client = client_of(server, password);
    etcd_error err;

    (void)state;
    fake_server_gate_open(server, GATE);
    assert_int_equal(etcd_client_set_endpoints(client, "http://192.0.2.1:2379", &err), ETCD_ERR_ARGUMENT);
    assert_int_equal(fake_get.run(client, ETCD_CALL(.endpoint = "http://192.0.2.1:2379"), &err), ETCD_ERR_ARGUMENT);
    fake_assert_contains(err.message, "allow_plain_auth");
    assert_int_equal(fake_get.run(client, NULL, &err), ETCD_OK);
    etcd_client_free(client);
    fake_server_stop(server);
}

/* ---- no trace ---- */

static atomic_int n_leaks, n_lines;

static bool holds_secret(const void *memory, size_t size)
{
    return memmem(memory, size, password, sizeof password - 1) != NULL || memmem(memory, size, FILLER, sizeof FILLER - 1) != NULL;
}

static void *zeroed(size_t size, void *arg)
{
    (void)arg;
    return calloc(1, size);
}

static void *zeroed_array(size_t count, size_t size, void *arg)
{
    (void)arg;
    return calloc(count, size);
}

static void look(const void *memory)
{
    if (memory != NULL && holds_secret(memory, malloc_usable_size((void *)(uintptr_t)memory)))
        atomic_fetch_add(&n_leaks, 1);
}

static void *looking_realloc(void *memory, size_t size, void *arg)
{
    (void)arg;
    look(memory); /* it may move, and leave its old place as it is */
    return realloc(memory, size);
}

static void looking_free(void *memory, void *arg)
{
    (void)arg;
    look(memory);
    free(memory);
}

static void look_at_line(int level, const char *message, void *arg)
{
    (void)level;
    (void)arg;
    atomic_fetch_add(&n_lines, 1);
    if (holds_secret(message, strlen(message)))
        atomic_fetch_add(&n_leaks, 1);
}

static void say_nothing(fake_request *request, void *arg)
{
    (void)request;
    (void)arg;
}

static void no_secret_stays_in_memory_or_in_the_log(void **state)
{
    static const etcd_allocator looking = {zeroed, zeroed_array, looking_realloc, looking_free, NULL};
    fake_server *server = start();
    etcd_client *client;
    etcd_error err;

    (void)state;
    fake_server_gate_open(server, GATE);
    assert_int_equal(etcd_set_allocator(&looking), ETCD_OK);
    for (int i = 0; i < 2; i++) {
        client = fake_client_with(
            fake_server_endpoint(server),
            (etcd_client_options){
                .username = "root", .password = password, .manual = i == 1, .log_fn = look_at_line, .log_level = ETCD_LOG_DEBUG});
        assert_int_equal(fake_put.run(client, NULL, &err), ETCD_OK);
        atomic_fetch_add(&users.valid, 1);
        assert_int_equal(fake_get.run(client, NULL, &err), ETCD_OK);
        fake_server_cut(server, FAKE_ALL, FAKE_CUT_RST);
        assert_int_equal(fake_get.run(client, NULL, &err), ETCD_OK);
        etcd_client_free(client);
    }
    client = fake_client_with(fake_server_endpoint(server), (etcd_client_options){.token = "token-99-" FILLER});
    assert_int_equal(fake_get.run(client, NULL, &err), ETCD_OK);
    etcd_client_free(client);
    fake_server_handle(server, FAKE_RANGE, say_nothing, NULL); /* the token is the last that is received */
    client = client_of(server, password);
    assert_int_equal(fake_get.run(client, ETCD_CALL(.timeout_ms = 200), &err), ETCD_ERR_DEADLINE_EXCEEDED);
    etcd_client_free(client);
    assert_int_equal(n_leaks, 0);
    assert_true(n_lines > 0);
    client = fake_client_with(fake_server_endpoint(server), (etcd_client_options){.token = "token-99-x"});
    (void)etcd_put(client, ETCD_STR("k"), ETCD_STR(password), NULL, NULL, &err);
    etcd_client_free(client);
    assert_true(n_leaks > 0); /* this test can see */
    assert_int_equal(etcd_set_allocator(NULL), ETCD_OK);
    fake_server_stop(server);
}

/* What was sent does not wait for later traffic to overwrite it. */
static void the_output_buffer_forgets(void **state)
{
    fake_server *server = start();
    const etcd__peers *peers;
    const etcd__buf *out;
    etcd_client *client;
    etcd_error err;

    (void)state;
    fake_server_gate_open(server, GATE);
    client = fake_client_with(fake_server_endpoint(server),
                              (etcd_client_options){.username = "root", .password = password, .manual = true});
    assert_int_equal(fake_put.run(client, NULL, &err), ETCD_OK);
    peers = etcd__channel_peers(client->io.channel);
    out = &peers->items[0]->connection->out;
    assert_true(out->cap > 0);
    assert_false(holds_secret(out->data, out->cap));
    etcd_client_free(client);
    fake_server_stop(server);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(one_token_serves_all),
    cmocka_unit_test(a_busy_cluster_is_not_stormed),
    cmocka_unit_test(tokens_that_expire_in_traffic_are_renewed_once),
    cmocka_unit_test(a_server_that_refuses_every_token_is_not_asked_for_ever),
    cmocka_unit_test(a_wrong_password_fails_the_calls),
    cmocka_unit_test(where_auth_is_off_calls_go_without),
    cmocka_unit_test(waiting_for_a_token_ends_by_the_deadline),
    cmocka_unit_test(a_given_token_is_sent_as_it_is),
    cmocka_unit_test(a_source_of_tokens_is_asked_when_one_is_refused),
    cmocka_unit_test(secrets_do_not_cross_a_network_in_the_clear),
    cmocka_unit_test(later_endpoints_are_looked_at_too),
    cmocka_unit_test(no_secret_stays_in_memory_or_in_the_log),
    cmocka_unit_test(the_output_buffer_forgets),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
