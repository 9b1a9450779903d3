/* Following the server's elections, on a server that ends its streams in every way. */
#include "harness/alloc.h"
#include "harness/fake_fixture.h"

#include <nghttp2/nghttp2.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define FAKE_OBSERVE "/v3electionpb.Election/Observe"

enum { GATE = 5, PER_STREAM = 3 };

typedef enum how { END_OK, END_STATUS, END_RESET, END_CUT, END_GOAWAY, STAY } how;

/* Stream number n begins with what stream n - 1 told last, and tells PER_STREAM - 1 more. */
typedef struct source {
    how end;
    int code;
    int streams_most; /* after them the streams stay open */
    atomic_int streams;
} source;

static void tell(fake_request *request, int number)
{
    char value[16];
    int len = snprintf(value, sizeof value, "%d", number);
    const etcd_leader_response response = {.header = {.revision = 100 + number},
                                           .kv = {.key = {"e/1", 3},
                                                  .value = {value, (size_t)len},
                                                  .create_revision = 50,
                                                  .mod_revision = 50 + number,
                                                  .version = 1 + number}};

    fake_reply_message(request, &etcd__leader_response_type, &response);
}

static void end_stream(fake_request *request, const source *s)
{
    switch (s->end) {
    case END_OK:
        fake_reply_status(request, 0, NULL);
        break;
    case END_STATUS:
        fake_reply_status(request, s->code, "told so");
        break;
    case END_RESET:
        fake_reply_reset(request, NGHTTP2_INTERNAL_ERROR);
        break;
    case END_CUT:
        fake_reply_cut(request, FAKE_CUT_FIN);
        break;
    case END_GOAWAY:
        fake_reply_goaway(request, request->stream_id, NGHTTP2_NO_ERROR, "bye");
        fake_reply_gate(request, GATE);
        break;
    case STAY:
        break;
    }
}

static void observe_handler(fake_request *request, void *arg)
{
    source *s = arg;
    const etcd__leader_request *leader = request->message;
    int number = atomic_fetch_add(&s->streams, 1);

    assert_int_equal(leader->name.len, 1);
    fake_reply_headers(request);
    for (int i = 0; i < PER_STREAM; i++)
        tell(request, number * (PER_STREAM - 1) + i);
    if (number + 1 < s->streams_most)
        end_stream(request, s);
    else
        fake_reply_gate(request, GATE);
}

static void expect(etcd_observe *observe, int number)
{
    etcd_leader_response *response;
    etcd_error err;
    char value[16];

    if (etcd_observe_next(observe, FAKE_WAIT_MS, &response, &err) != ETCD_OK)
        fail_msg("%d: %s", number, err.message);
    snprintf(value, sizeof value, "%d", number);
    assert_string_equal(response->kv.value.data, value);
    etcd_response_free(response);
}

static void streams_that_end_are_opened_again(void **state)
{
    static const struct {
        how end;
        int code;
    } ends[] = {{END_OK, 0}, {END_STATUS, 14}, {END_STATUS, 1}, {END_RESET, 0}, {END_CUT, 0}, {END_GOAWAY, 0}};

    (void)state;
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        for (int manual = 0; manual < 2; manual++) {
            source s = {.end = ends[i].end, .code = ends[i].code, .streams_most = 5};
            fake_server *server = fake_server_start(NULL);
            etcd_client *client;
            etcd_observe *observe;
            etcd_leader_response *response;
            etcd_error err;

            fake_server_handle(server, FAKE_OBSERVE, observe_handler, &s);
            client = fake_client(fake_server_endpoint(server), manual);
            assert_int_equal(etcd_observe_open(client, ETCD_STR("e"), NULL, &observe, &err), ETCD_OK);
            for (int number = 0; number <= s.streams_most * (PER_STREAM - 1); number++)
                expect(observe, number);
            assert_int_equal(etcd_observe_next(observe, 20, &response, &err), ETCD_ERR_TIMED_OUT);
            assert_int_equal(s.streams, s.streams_most);
            etcd_observe_free(observe);
            etcd_client_free(client);
            fake_server_stop(server);
        }
}

static void a_refusal_is_the_end(void **state)
{
    static const int codes[] = {3, 5, 7, 9, 12, 16};

    (void)state;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        source s = {.end = END_STATUS, .code = codes[i], .streams_most = 5};
        fake_server *server = fake_server_start(NULL);
        etcd_client *client;
        etcd_observe *observe;
        etcd_leader_response *response;
        etcd_error err;

        fake_server_handle(server, FAKE_OBSERVE, observe_handler, &s);
        client = fake_client(fake_server_endpoint(server), false);
        assert_int_equal(etcd_observe_open(client, ETCD_STR("e"), NULL, &observe, &err), ETCD_OK);
        for (int number = 0; number < PER_STREAM; number++)
            expect(observe, number);
        for (int again = 0; again < 2; again++)
            assert_int_equal(etcd_observe_next(observe, FAKE_WAIT_MS, &response, &err), -100 - codes[i]);
        fake_assert_contains(err.message, "told so");
        assert_int_equal(s.streams, 1);
        etcd_observe_free(observe);
        etcd_client_free(client);
        fake_server_stop(server);
    }
}

/* ---- many threads ---- */

typedef struct shared {
    etcd_client *client;
    atomic_int failures;
} shared;

static void *open_and_leave(void *arg)
{
    shared *sh = arg;

    for (int i = 0; i < 25; i++) {
        etcd_leader_response *response = NULL;
        etcd_observe *observe;

        if (etcd_observe_open(sh->client, ETCD_STR("e"), NULL, &observe, NULL) != ETCD_OK) {
            atomic_fetch_add(&sh->failures, 1);
            continue;
        }
        if (i % 3 == 0)
            etcd_observe_cancel(observe);
        else if (etcd_observe_next(observe, i % 3 == 1 ? 0 : FAKE_WAIT_MS, &response, NULL) != ETCD_OK && i % 3 == 2)
            atomic_fetch_add(&sh->failures, 1);
        etcd_response_free(response);
        etcd_observe_free(observe);
    }
    return NULL;
}

static void opened_and_freed_from_many_threads(void **state)
{
    source s = {.end = STAY};
    fake_server *server = fake_server_start(NULL);
    shared sh = {0};
    pthread_t threads[8];

    (void)state;
    fake_server_handle(server, FAKE_OBSERVE, observe_handler, &s);
    sh.client = fake_client(fake_server_endpoint(server), false);
    for (int i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, open_and_leave, &sh), 0);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(sh.failures, 0);
    etcd_client_free(sh.client);
    fake_server_stop(server);
}

/* ---- fork ---- */

static int in_child(etcd_client *client, etcd_observe *observe, bool client_first)
{
    etcd_leader_response *response;
    etcd_observe *other;
    etcd_error err;

    if (etcd_observe_next(observe, 1000, &response, &err) != ETCD_ERR_FORKED)
        return 1;
    if (etcd_observe_open(client, ETCD_STR("e"), NULL, &other, &err) != ETCD_ERR_FORKED)
        return 2;
    if (etcd_observe_fd(observe) != ETCD_ERR_FORKED)
        return 3;
    etcd_observe_cancel(observe);
    if (client_first)
        etcd_client_free(client);
    etcd_observe_free(observe);
    if (!client_first)
        etcd_client_free(client);
    return 0;
}

static void a_child_has_nothing_of_it(void **state)
{
    source s = {.end = STAY};
    fake_server *server = fake_server_start(NULL);
    etcd_client *client;
    etcd_observe *observe;
    etcd_error err;

    (void)state;
    fake_server_handle(server, FAKE_OBSERVE, observe_handler, &s);
    client = fake_client(fake_server_endpoint(server), false);
    assert_int_equal(etcd_observe_open(client, ETCD_STR("e"), NULL, &observe, &err), ETCD_OK);
    expect(observe, 0);
    for (int client_first = 0; client_first < 2; client_first++) {
        int status;
        pid_t child = fork();

        assert_true(child >= 0);
        if (child == 0)
            etcd_test_child_exit(in_child(client, observe, client_first));
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
    expect(observe, 1); /* the parent's goes on */
    expect(observe, 2);
    assert_int_equal(s.streams, 1);
    etcd_observe_free(observe);
    etcd_client_free(client);
    fake_server_stop(server);
}

/* ---- any allocation may fail ---- */

static void every_allocation(void **state)
{
    source s = {.end = STAY};
    fake_server *server = fake_server_start(NULL);
    etcd_client *client;
    bool failed = true;
    size_t live, k;
    etcd_error err;

    (void)state;
    fake_server_handle(server, FAKE_OBSERVE, observe_handler, &s);
    etcd_test_alloc_install();
    live = etcd_test_alloc_live();
    client = fake_client(fake_server_endpoint(server), true);
    for (int i = 0; i < 3; i++)
        assert_int_equal(fake_get.run(client, NULL, &err), ETCD_OK);
    for (k = 1; failed; k++) {
        etcd_observe *observe = NULL;
        etcd_leader_response *response;
        int rc, got = 0;

        atomic_store(&s.streams, 0);
        etcd_test_alloc_fail_at(k);
        rc = etcd_observe_open(client, ETCD_STR("e"), NULL, &observe, &err);
        while (rc == ETCD_OK && got < PER_STREAM) {
            rc = etcd_observe_next(observe, FAKE_WAIT_MS, &response, &err);
            got += rc == ETCD_OK;
            if (rc == ETCD_OK)
                etcd_response_free(response);
        }
        failed = etcd_test_alloc_failed();
        etcd_test_alloc_fail_at(0);
        if (rc != ETCD_OK && (rc != ETCD_ERR_NO_MEMORY || !failed))
            fail_msg("allocation %zu: %s: %s", k, etcd_error_name(rc), err.message);
        etcd_observe_free(observe);
        assert_int_equal(fake_get.run(client, ETCD_CALL(.timeout_ms = FAKE_WAIT_MS), &err), ETCD_OK);
    }
    assert_true(k > 5);
    etcd_client_free(client);
    assert_int_equal(etcd_test_alloc_live(), live);
    fake_server_stop(server);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_that_end_are_opened_again),
        cmocka_unit_test(a_refusal_is_the_end),
        cmocka_unit_test(opened_and_freed_from_many_threads),
        cmocka_unit_test(a_child_has_nothing_of_it),
        cmocka_unit_test(every_allocation),
    };

    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
