/* Handles on leases, against a server that answers, falls silent, refuses, breaks and lies as told: both forms, ends and their
 * reasons, frees and cancels from everywhere. */
#include "fake/lease_service.h"
#include "harness/alloc.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 4, ROUNDS = 150 };

/* ---- the pulled form ---- */

/* Takes until the end, which is told again and again. */
static void await_end(etcd_keepalive *keepalive, int code, etcd_error *err)
{
    etcd_keepalive_response *answer;
    int rc;

    while ((rc = etcd_keepalive_next(keepalive, FAKE_WAIT_MS, &answer, err)) == ETCD_OK)
        etcd_response_free(answer);
    assert_null(answer);
    assert_int_equal(rc, code);
    assert_int_equal(err->code, code);
    assert_int_equal(etcd_keepalive_remaining_ms(keepalive), 0);
    assert_int_equal(etcd_keepalive_next(keepalive, 0, &answer, NULL), code);
}

static bool is_readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    assert_true(fd >= 0);
    return poll(&p, 1, 0) == 1;
}

static void await_readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    assert_int_equal(poll(&p, 1, FAKE_WAIT_MS), 1);
}

static void the_first_answer_comes_at_once(void **state)
{
    etcd_client *client = begin(false);
    etcd_keepalive *keepalive = open_one(client, 11, 0);
    etcd_keepalive_response *answer;
    etcd_error err;
    fake_seen first;

    (void)state;
    assert_int_equal(etcd_keepalive_lease(keepalive), 11);
    take_answer(keepalive);
    assert_true(etcd_keepalive_remaining_ms(keepalive) > 0);
    assert_true(etcd_keepalive_remaining_ms(keepalive) <= LONG_TTL_S * 1000);
    assert_int_equal(etcd_keepalive_next(keepalive, 0, &answer, &err), ETCD_ERR_TIMED_OUT);
    assert_null(answer);
    first = fake_server_seen(the_service.server, 0);
    assert_string_equal(fake_seen_header(&first, "hasleader"), "true");
    etcd_keepalive_free(keepalive);
    finish(client);
}

static void all_leases_share_a_stream(void **state)
{
    etcd_client *client = begin(false);
    etcd_keepalive *keepalives[100];

    (void)state;
    for (int i = 0; i < 100; i++) {
        keepalives[i] = open_one(client, i + 1000, LONG_TTL_S);
        assert_true(etcd_keepalive_remaining_ms(keepalives[i]) > 0);
    }
    for (int i = 0; i < 100; i++)
        take_answer(keepalives[i]);
    assert_int_equal(atomic_load(&the_service.streams), 1);
    assert_int_equal(asked(), 100);
    for (int i = 0; i < 100; i++)
        etcd_keepalive_free(keepalives[i]);
    finish(client);
}

static void a_descriptor_tells_of_answers_and_of_the_end(void **state)
{
    etcd_client *client = begin(false);
    etcd_keepalive *keepalive = open_one(client, 11, 0);
    int fd = etcd_keepalive_fd(keepalive);
    etcd_error err;

    (void)state;
    await_readable(fd);
    take_answer(keepalive);
    assert_false(is_readable(fd));
    etcd_keepalive_cancel(keepalive);
    await_readable(fd);
    await_end(keepalive, ETCD_ERR_CANCELED, &err);
    assert_true(is_readable(fd));
    etcd_keepalive_cancel(keepalive);
    etcd_keepalive_free(keepalive);
    finish(client);
}

/* Every new handle has the lease renewed at once: a way to many answers. */
static void renew_many(etcd_client *client, int64_t lease, int n)
{
    for (int i = 0; i < n; i++) {
        etcd_keepalive *another = open_one(client, lease, 0);

        take_answer(another);
        etcd_keepalive_free(another);
    }
}

static void only_the_last_answers_are_kept(void **state)
{
    etcd_client *client = begin(false);
    etcd_keepalive *keepalive = open_one(client, 11, 0);

    (void)state;
    renew_many(client, 11, 5);
    assert_int_equal(take_all(keepalive), 1); /* nobody had asked before */
    renew_many(client, 11, 5);
    assert_int_equal(take_all(keepalive), 5);
    renew_many(client, 11, 20);
    assert_int_equal(take_all(keepalive), 16);
    etcd_keepalive_free(keepalive);
    finish(client);
}

static void arguments_are_checked(void **state)
{
    etcd_client *client = begin(false);
    etcd_keepalive *keepalive = (etcd_keepalive *)&client;
    etcd_error err;

    (void)state;
    assert_int_equal(etcd_keepalive_open(NULL, 1, NULL, &keepalive, &err), ETCD_ERR_ARGUMENT);
    assert_null(keepalive);
    assert_int_equal(etcd_keepalive_open(client, 0, NULL, &keepalive, &err), ETCD_ERR_ARGUMENT);
    assert_int_equal(etcd_keepalive_open(client, 1, ETCD_KEEPALIVE(.ttl_s = -1), &keepalive, &err), ETCD_ERR_ARGUMENT);
    fake_assert_contains(err.message, "ttl_s");
    assert_int_equal(etcd_keepalive_open(client, 1, NULL, NULL, &err), ETCD_ERR_ARGUMENT);
    assert_int_equal(etcd_keepalive_start(client, 1, NULL, NULL, NULL, &keepalive, &err), ETCD_ERR_ARGUMENT);
    assert_int_equal(etcd_keepalive_next(NULL, 0, NULL, &err), ETCD_ERR_ARGUMENT);
    assert_true(etcd_keepalive_fd(NULL) < 0);
    assert_int_equal(etcd_keepalive_remaining_ms(NULL), 0);
    assert_int_equal(etcd_keepalive_lease(NULL), 0);
    etcd_keepalive_cancel(NULL);
    etcd_keepalive_free(NULL);
    etcd_client_close(client);
    assert_int_equal(etcd_keepalive_open(client, 1, NULL, &keepalive, &err), ETCD_ERR_CLOSED);
    assert_null(keepalive);
    finish(client);
}

/* ---- ends ---- */

static void a_lease_that_is_gone_is_told(void **state)
{
    etcd_client *client = begin(false);
    etcd_keepalive *keepalive = open_one(client, GONE, 0);
    etcd_error err;

    (void)state;
    await_end(keepalive, ETCD_ERR_LEASE_NOT_FOUND, &err);
    assert_string_equal(err.message, "etcdserver: requested lease not found");
    etcd_keepalive_free(keepalive);
    finish(client);
}

/* A lease that is lost, with more time until there was enough to try more than one stream: a busy machine may need it. */
static void lose_lease(etcd_client *client, int streams, etcd_error *err)
{
    for (int64_t ttl_s = 1; ttl_s <= 16; ttl_s *= 4) {
        etcd_keepalive *keepalive;
        int64_t before = fake_now_ms(), took;

        keepalive = open_one(client, 11, ttl_s);
        await_end(keepalive, ETCD_ERR_LEASE_EXPIRED, err);
        took = fake_now_ms() - before;
        assert_true(took >= 1000 * ttl_s - 1 && took < 1000 * ttl_s + fake_bound_ms(2500));
        etcd_keepalive_free(keepalive);
        if (atomic_load(&the_service.streams) >= streams)
            break;
    }
    assert_true(atomic_load(&the_service.streams) >= streams);
}

static void without_answers_the_loss_is_told_at_the_deadline(void **state)
{
    etcd_client *client = begin(false);
    etcd_error err;

    (void)state;
    atomic_store(&the_service.silent, true);
    lose_lease(client, 2, &err); /* it was tried on others */
    fake_assert_contains(err.message, "the member does not answer");
    finish(client);
}

static void what_the_server_refuses_is_told(void **state)
{
    static const struct {
        int status, code;
    } refusals[] = {{7, ETCD_ERR_GRPC_PERMISSION_DENIED}, {12, ETCD_ERR_UNIMPLEMENTED}, {16, ETCD_ERR_UNAUTHENTICATED}};

    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        etcd_client *client = begin(false);
        etcd_keepalive *keepalive;
        etcd_error err;

        atomic_store(&the_service.status, refusals[i].status);
        keepalive = open_one(client, 11, 0);
        await_end(keepalive, refusals[i].code, &err);
        atomic_store(&the_service.status, 0);
        etcd_keepalive_free(keepalive);
        keepalive = open_one(client, 11, 0); /* another handle tries again */
        take_answer(keepalive);
        etcd_keepalive_free(keepalive);
        finish(client);
    }
}

static void garbled_answers_are_no_answers(void **state)
{
    etcd_client *client = begin(false);
    etcd_error err;

    (void)state;
    atomic_store(&the_service.garbled, true);
    lose_lease(client, 3, &err);
    fake_assert_contains(err.message, "LeaseKeepAliveResponse");
    assert_true(atomic_load(&the_service.streams) < 200);
    finish(client);
}

static bool was_opened_again(fake_server *server, void *streams)
{
    (void)server;
    return atomic_load(&the_service.streams) > *(const int *)streams;
}

/* The lease lives as long as the next renewal takes on a machine that is slow; it comes after a third of that. False when the
 * machine was slower. */
static bool live_on(etcd_client *client, int64_t ttl_s)
{
    etcd_keepalive_response *answer;
    etcd_keepalive *keepalive;
    int rc = ETCD_OK;

    atomic_store(&the_service.ttl_s, (int)ttl_s);
    keepalive = open_one(client, 11, ttl_s);
    for (int i = 0; i < 5 && rc == ETCD_OK; i++) {
        int streams = atomic_load(&the_service.streams);

        rc = etcd_keepalive_next(keepalive, FAKE_WAIT_MS, &answer, NULL);
        etcd_response_free(answer);
        fake_server_cut(the_service.server, FAKE_ALL, i % 2 ? FAKE_CUT_FIN : FAKE_CUT_RST);
        if (rc == ETCD_OK)
            assert_true(fake_server_wait(the_service.server, was_opened_again, &streams, FAKE_WAIT_MS));
        (void)take_all(keepalive);
    }
    if (rc == ETCD_OK)
        rc = etcd_keepalive_next(keepalive, FAKE_WAIT_MS, &answer, NULL);
    if (rc == ETCD_OK)
        etcd_response_free(answer);
    else
        assert_int_equal(rc, ETCD_ERR_LEASE_EXPIRED);
    etcd_keepalive_free(keepalive);
    return rc == ETCD_OK;
}

static void broken_streams_are_opened_again(void **state)
{
    etcd_client *client = begin(false);

    (void)state;
    assert_true(live_on(client, 1) || live_on(client, 4) || live_on(client, 16));
    finish(client);
}

static void *take_end(void *keepalive)
{
    etcd_error err;

    await_end(keepalive, ETCD_ERR_CLOSED, &err);
    return NULL;
}

static void closing_the_client_ends_all(void **state)
{
    etcd_client *client = begin(false);
    etcd_keepalive *keepalives[8];
    pthread_t threads[8];

    (void)state;
    for (int i = 0; i < 8; i++) {
        keepalives[i] = open_one(client, 11 + i / 2, 0);
        take_answer(keepalives[i]);
        assert_int_equal(pthread_create(&threads[i], NULL, take_end, keepalives[i]), 0);
    }
    etcd_client_close(client);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    finish(client);
    for (int i = 0; i < 8; i++)
        etcd_keepalive_free(keepalives[i]); /* later than the client */
}

/* ---- the callback form ---- */

typedef enum in_callback { NOTHING, CANCEL, FREE, CLOSE_CLIENT, FREE_CLIENT } in_callback;

typedef struct heard {
    etcd_client *client;
    in_callback act, act_at_end;
    atomic_int answers, ends, code;
    atomic_bool blocked; /* a blocking call in the callback was not refused */
} heard;

static void do_in_callback(heard *h, in_callback act, etcd_keepalive *keepalive)
{
    if (act == CANCEL)
        etcd_keepalive_cancel(keepalive);
    else if (act == FREE)
        etcd_keepalive_free(keepalive);
    else if (act == CLOSE_CLIENT)
        etcd_client_close(h->client);
    else if (act == FREE_CLIENT)
        etcd_client_free(h->client);
}

static void on_beat(etcd_keepalive *keepalive, etcd_keepalive_response *response, const etcd_error *err, void *arg)
{
    heard *h = arg;

    if (etcd_keepalive_once(h->client, 5, NULL, NULL, NULL) != ETCD_ERR_IN_CALLBACK && h->act == NOTHING && response != NULL)
        atomic_store(&h->blocked, true);
    etcd_response_free(response);
    if (err != NULL)
        atomic_store(&h->code, err->code);
    do_in_callback(h, response ? h->act : h->act_at_end, keepalive);
    atomic_fetch_add(response ? &h->answers : &h->ends, 1); /* last: the test goes on */
}

static etcd_keepalive *start_one(etcd_client *client, int64_t lease, heard *h)
{
    etcd_keepalive *keepalive;
    etcd_error err;

    h->client = client;
    if (etcd_keepalive_start(client, lease, NULL, on_beat, h, &keepalive, &err) != ETCD_OK)
        fail_msg("etcd_keepalive_start: %s", err.message);
    return keepalive;
}

static void a_callback_hears_answers_and_one_end(void **state)
{
    etcd_client *client = begin(false);
    heard h = {0};
    etcd_keepalive *keepalive = start_one(client, 11, &h);
    etcd_keepalive_response *answer;

    (void)state;
    await_count(&h.answers, 1);
    assert_int_equal(etcd_keepalive_next(keepalive, 0, &answer, NULL), ETCD_ERR_ARGUMENT);
    assert_true(etcd_keepalive_fd(keepalive) < 0);
    etcd_keepalive_cancel(keepalive);
    await_count(&h.ends, 1);
    assert_int_equal(atomic_load(&h.code), ETCD_ERR_CANCELED);
    etcd_keepalive_cancel(keepalive);
    etcd_keepalive_free(keepalive);
    assert_int_equal(atomic_load(&h.ends), 1);
    assert_false(atomic_load(&h.blocked));
    finish(client);
}

static void a_callback_may_cancel_and_free(void **state)
{
    etcd_client *client = begin(false);
    heard canceled = {.act = CANCEL, .act_at_end = FREE}, freed = {.act = FREE}, gone = {.act_at_end = FREE};

    (void)state;
    (void)start_one(client, 11, &canceled);
    await_count(&canceled.ends, 1);
    assert_int_equal(atomic_load(&canceled.code), ETCD_ERR_CANCELED);
    (void)start_one(client, 12, &freed);
    await_count(&freed.answers, 1);
    (void)start_one(client, GONE, &gone);
    await_count(&gone.ends, 1);
    assert_int_equal(atomic_load(&gone.code), ETCD_ERR_LEASE_NOT_FOUND);
    finish(client);
    assert_int_equal(atomic_load(&freed.answers) + atomic_load(&freed.ends), 1);
}

static void a_callback_may_close_the_client(void **state)
{
    etcd_client *client = begin(false);
    heard closer = {.act = CLOSE_CLIENT}, other = {.act_at_end = FREE};
    etcd_keepalive *keepalive;

    (void)state;
    (void)start_one(client, 12, &other);
    await_count(&other.answers, 1);
    keepalive = start_one(client, 11, &closer);
    await_count(&closer.ends, 1);
    await_count(&other.ends, 1);
    assert_int_equal(atomic_load(&other.code), ETCD_ERR_CLOSED);
    etcd_keepalive_free(keepalive);
    finish(client);
}

static void a_callback_may_free_the_client(void **state)
{
    etcd_client *client = begin(false);
    heard h = {.act = FREE_CLIENT, .act_at_end = FREE};

    (void)state;
    (void)start_one(client, 11, &h);
    await_count(&h.ends, 1);
    await_count(&h.answers, 1);
    assert_int_equal(atomic_load(&h.code), ETCD_ERR_CLOSED);
    fake_server_stop(the_service.server);
}

static void closing_hands_out_the_last_callbacks(void **state)
{
    etcd_client *client = begin(false);
    heard h = {0};
    etcd_keepalive *keepalive = start_one(client, 11, &h);

    (void)state;
    etcd_client_close(client);
    assert_int_equal(atomic_load(&h.ends), 1);
    assert_int_equal(atomic_load(&h.code), ETCD_ERR_CLOSED);
    finish(client);
    etcd_keepalive_cancel(keepalive);
    etcd_keepalive_free(keepalive);
}

/* ---- manual mode, fork ---- */

static void a_manual_client_is_driven_by_its_program(void **state)
{
    etcd_client *client = begin(true);
    etcd_keepalive *pulled = open_one(client, 11, 0), *called;
    int64_t until = fake_now_ms() + FAKE_WAIT_MS;
    heard h = {.act_at_end = FREE};
    etcd_error err;

    (void)state;
    take_answer(pulled);
    called = start_one(client, 12, &h);
    while (atomic_load(&h.answers) == 0 && fake_now_ms() < until)
        assert_int_equal(etcd_client_process(client, 100, NULL), ETCD_OK);
    assert_int_equal(atomic_load(&h.answers), 1);
    etcd_keepalive_cancel(called);
    while (atomic_load(&h.ends) == 0 && fake_now_ms() < until)
        assert_int_equal(etcd_client_process(client, 100, NULL), ETCD_OK);
    etcd_keepalive_cancel(pulled);
    await_end(pulled, ETCD_ERR_CANCELED, &err);
    etcd_keepalive_free(pulled);
    finish(client);
}

/* In the child: what is wrong, or 0. */
static int child(etcd_client *client, etcd_keepalive *a, etcd_keepalive *b)
{
    etcd_keepalive_response *answer;
    etcd_keepalive *more;

    if (etcd_keepalive_remaining_ms(a) != 0)
        return 1;
    if (etcd_keepalive_next(a, -1, &answer, NULL) != ETCD_ERR_FORKED ||
        etcd_keepalive_next(b, -1, &answer, NULL) != ETCD_ERR_FORKED)
        return 2;
    if (etcd_keepalive_fd(a) != ETCD_ERR_FORKED || etcd_keepalive_open(client, 1, NULL, &more, NULL) != ETCD_ERR_FORKED)
        return 3;
    if (etcd_keepalive_once(client, 1, NULL, NULL, NULL) != ETCD_ERR_FORKED)
        return 4;
    etcd_keepalive_cancel(a);
    etcd_keepalive_free(a); /* before the client, and after it */
    etcd_client_free(client);
    etcd_keepalive_free(b);
    return 0;
}

static void a_child_only_frees(void **state)
{
    etcd_client *client = begin(false);
    etcd_keepalive *a = open_one(client, 11, LONG_TTL_S), *b = open_one(client, 12, LONG_TTL_S);
    size_t before;
    int status;
    pid_t pid;

    (void)state;
    take_answer(a);
    take_answer(b);
    before = asked();
    pid = fork();
    if (pid == 0)
        etcd_test_child_exit(child(client, a, b));
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    renew_many(client, 11, 1);
    take_answer(a); /* the parent's goes on */
    assert_int_equal(asked(), before + 1);
    etcd_keepalive_free(a);
    etcd_keepalive_free(b);
    finish(client);
}

/* ---- many threads ---- */

static void *open_and_end(void *client)
{
    for (int i = 0; i < ROUNDS; i++) {
        heard h = {0};
        etcd_keepalive *keepalive = i % 2 ? open_one(client, 1 + i % 7, i % 3 * LONG_TTL_S) : start_one(client, 1 + i % 7, &h);

        if (i % 4 == 1)
            take_answer(keepalive);
        if (i % 3 == 0)
            etcd_keepalive_cancel(keepalive);
        (void)etcd_keepalive_remaining_ms(keepalive);
        if (i % 5 == 0)
            assert_int_equal(etcd_keepalive_once(client, 1 + i % 7, NULL, NULL, NULL), ETCD_OK);
        etcd_keepalive_free(keepalive); /* no callback comes after it: `h` goes */
    }
    return NULL;
}

static void *cancel_it(void *keepalive)
{
    etcd_keepalive_cancel(keepalive);
    return NULL;
}

static void many_threads_open_cancel_and_free(void **state)
{
    etcd_client *client = begin(false);
    etcd_keepalive *keepalive = open_one(client, 77, 0);
    pthread_t threads[THREADS];
    etcd_error err;

    (void)state;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, open_and_end, client), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, cancel_it, keepalive), 0);
    await_end(keepalive, ETCD_ERR_CANCELED, &err);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    etcd_keepalive_free(keepalive);
    finish(client);
}

/* ---- memory ---- */

/* Everything once, in manual mode, so that the order of allocations is the same each time. */
static int use_all(void *arg)
{
    etcd_client_options options = {.size = sizeof options,
                                   .endpoints = fake_server_endpoint(arg),
                                   .manual = true,
                                   .backoff_base_ms = 1,
                                   .backoff_max_ms = 1,
                                   .retry_wait_ms = 1};
    etcd_keepalive *pulled = NULL, *called = NULL;
    etcd_keepalive_response *answer = NULL;
    heard h = {0};
    int rc = etcd_client_new(&options, &h.client, NULL);

    if (rc == ETCD_OK)
        rc = etcd_keepalive_open(h.client, 11, NULL, &pulled, NULL);
    if (rc == ETCD_OK)
        rc = etcd_keepalive_next(pulled, FAKE_WAIT_MS, &answer, NULL);
    etcd_response_free(answer);
    if (rc == ETCD_OK)
        rc = etcd_keepalive_start(h.client, 12, NULL, on_beat, &h, &called, NULL);
    if (rc == ETCD_OK)
        rc = etcd_keepalive_once(h.client, 13, NULL, NULL, NULL);
    etcd_keepalive_cancel(pulled);
    etcd_keepalive_cancel(called);
    if (h.client != NULL)
        (void)etcd_client_process(h.client, 0, NULL);
    while (called != NULL && atomic_load(&h.ends) == 0 && etcd_client_process(h.client, 100, NULL) == ETCD_OK)
        continue;
    etcd_keepalive_free(called);
    etcd_keepalive_free(pulled);
    etcd_client_free(h.client);
    return rc;
}

static void any_allocation_may_fail(void **state)
{
    etcd_client *client;

    (void)state;
    etcd_test_alloc_install();
    client = begin(true);
    atomic_store(&the_service.ttl_s, 1);
    assert_true(etcd_test_alloc_sweep(use_all, the_service.server) > 20);
    finish(client);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_first_answer_comes_at_once),
    cmocka_unit_test(all_leases_share_a_stream),
    cmocka_unit_test(a_descriptor_tells_of_answers_and_of_the_end),
    cmocka_unit_test(only_the_last_answers_are_kept),
    cmocka_unit_test(arguments_are_checked),
    cmocka_unit_test(a_lease_that_is_gone_is_told),
    cmocka_unit_test(without_answers_the_loss_is_told_at_the_deadline),
    cmocka_unit_test(what_the_server_refuses_is_told),
    cmocka_unit_test(garbled_answers_are_no_answers),
    cmocka_unit_test(broken_streams_are_opened_again),
    cmocka_unit_test(closing_the_client_ends_all),
    cmocka_unit_test(a_callback_hears_answers_and_one_end),
    cmocka_unit_test(a_callback_may_cancel_and_free),
    cmocka_unit_test(a_callback_may_close_the_client),
    cmocka_unit_test(a_callback_may_free_the_client),
    cmocka_unit_test(closing_hands_out_the_last_callbacks),
    cmocka_unit_test(a_manual_client_is_driven_by_its_program),
    cmocka_unit_test(a_child_only_frees),
    cmocka_unit_test(many_threads_open_cancel_and_free),
    cmocka_unit_test(any_allocation_may_fail),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
