/* Sessions on a server of one member: their lease, their end and who learns of it, closing, in all forms and modes. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/alloc.h"
#include "recipes.h"

/* What is left of a lease in seconds as the server sees it; -1: gone. */
static int64_t left_of(etcd_client *client, int64_t lease)
{
    etcd_lease_time_to_live_response *response;
    int64_t left;
    etcd_error err;

    assert_ok(etcd_lease_time_to_live(client, lease, ETCD_LEASE_TIME_TO_LIVE(.call = PATIENT), &response, &err), &err);
    left = response->ttl_s;
    etcd_response_free(response);
    return left;
}

static bool is_readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    assert_true(fd >= 0);
    return poll(&p, 1, 0) == 1;
}

/* How a session was lost. */
struct loss {
    atomic_int times;
    int code;
    bool free_it;
};

static void on_lost(etcd_session *session, const etcd_error *reason, void *arg)
{
    struct loss *loss = arg;

    loss->code = reason->code;
    assert_false(etcd_session_alive(session));
    if (loss->free_it)
        etcd_session_free(session);
    atomic_fetch_add(&loss->times, 1);
}

static void await_loss(struct loss *loss)
{
    const int64_t start = real_now_ms();

    while (atomic_load(&loss->times) == 0) {
        assert_true(real_now_ms() - start < PATIENCE_MS);
        real_sleep_ms(1);
    }
}

static etcd_session *watched_session(etcd_client *client, int64_t ttl_s, struct loss *loss)
{
    etcd_session *session;
    etcd_error err;

    assert_ok(etcd_session_new(client, ETCD_SESSION(.ttl_s = ttl_s, .lost_fn = on_lost, .lost_arg = loss, .call = PATIENT),
                               &session, &err),
              &err);
    return session;
}

/* ---- alive ---- */

static void it_lives_for_a_minute_unless_told_otherwise(void **state)
{
    etcd_client *client = real_client();
    etcd_session *session, *longer = recipe_session(client, 100);
    etcd_error err;

    (void)state;
    assert_ok(etcd_session_new(client, NULL, &session, &err), &err);
    assert_int_equal(etcd_session_ttl_s(session), 60);
    assert_int_equal(etcd_session_ttl_s(longer), 100);
    assert_true(etcd_session_client(session) == client);
    assert_true(etcd_session_lease(session) != 0 && etcd_session_lease(session) != etcd_session_lease(longer));
    assert_true(etcd_session_alive(session));
    assert_in_range(etcd_session_remaining_ms(session), 1, 60000);
    assert_in_range(etcd_session_remaining_ms(longer), 60001, 100000);
    assert_ok(etcd_session_check(session, &err), &err);
    assert_false(is_readable(etcd_session_fd(session)));
    assert_in_range(left_of(client, etcd_session_lease(session)), 1, 60);
    etcd_session_free(session);
    etcd_session_free(longer);
    etcd_client_free(client);
}

/* Returns whether a session outlived its time to live. A machine that is away for as long loses it. */
static bool outlives_its_ttl(etcd_client *client)
{
    struct loss loss = {0};
    etcd_session *session = watched_session(client, 2, &loss);
    const int64_t start = real_now_ms(), ttl_ms = etcd_session_ttl_s(session) * 1000;
    int64_t left;
    bool alive;

    while (real_now_ms() - start < ttl_ms + 1500)
        real_sleep_ms(20);
    left = left_of(client, etcd_session_lease(session));
    alive = etcd_session_alive(session); /* asked last: who believes to hold the lease now, held it before */
    if (alive)
        assert_true(left >= 0);
    etcd_session_free(session);
    if (atomic_load(&loss.times) != 0) /* a free is none */
        assert_true(loss.code == ETCD_ERR_LEASE_EXPIRED || loss.code == ETCD_ERR_LEASE_NOT_FOUND);
    return alive;
}

static void it_is_kept_alive(void **state)
{
    etcd_client *client = real_client();
    int tries = 1;

    (void)state;
    while (!outlives_its_ttl(client))
        assert_true(++tries < 10);
    etcd_client_free(client);
}

static void a_given_lease_is_looked_up(void **state)
{
    (void)state;
    for (int manual = 0; manual < 2; manual++) {
        etcd_client *client = real_client_with(ETCD_CLIENT(.manual = manual));
        etcd_session *session, *none = (etcd_session *)&client;
        struct real_ending opened = REAL_ENDING, refused = REAL_ENDING;
        etcd_lease_grant_response *lease;
        etcd_error err;

        assert_ok(etcd_lease_grant(client, 77, NULL, &lease, &err), &err);
        assert_ok(etcd_session_new(client, ETCD_SESSION(.lease = lease->id, .ttl_s = 5), &session, &err), &err);
        assert_int_equal(etcd_session_lease(session), lease->id);
        assert_int_equal(etcd_session_ttl_s(session), 77);
        assert_in_range(etcd_session_remaining_ms(session), 70000, 77000);
        etcd_session_orphan(session);
        etcd_session_free(session);
        assert_true(left_of(client, lease->id) > 0);
        assert_ok(etcd_session_new_async(client, ETCD_SESSION(.lease = lease->id), recipe_on_session, &opened, NULL, &err), &err);
        recipe_await(client, manual, &opened);
        assert_int_equal(opened.code, ETCD_OK);
        assert_int_equal(etcd_session_ttl_s(opened.response), 77);
        etcd_session_free(opened.response);
        assert_int_equal(left_of(client, lease->id), -1);
        assert_error(etcd_session_new(client, ETCD_SESSION(.lease = lease->id), &none, &err), &err, ETCD_ERR_LEASE_NOT_FOUND,
                     "lease not found");
        assert_null(none);
        assert_ok(etcd_session_new_async(client, ETCD_SESSION(.lease = lease->id), recipe_on_session, &refused, NULL, &err),
                  &err);
        recipe_await(client, manual, &refused);
        assert_int_equal(refused.code, ETCD_ERR_LEASE_NOT_FOUND);
        assert_null(refused.response);
        etcd_response_free(lease);
        etcd_client_free(client);
    }
}

static void all_forms_open_and_close(void **state)
{
    (void)state;
    for (int manual = 0; manual < 2; manual++) {
        etcd_client *client = real_client_with(ETCD_CLIENT(.manual = manual));
        struct real_ending opened = REAL_ENDING, closed = REAL_ENDING;
        etcd_call_id id;
        int64_t lease;
        etcd_error err;

        assert_ok(etcd_session_new_async(client, ETCD_SESSION(.ttl_s = 30), recipe_on_session, &opened, &id, &err), &err);
        assert_true(id != 0);
        recipe_await(client, manual, &opened);
        assert_int_equal(opened.code, ETCD_OK);
        lease = etcd_session_lease(opened.response);
        assert_true(etcd_session_alive(opened.response));
        assert_ok(etcd_session_close_async(opened.response, NULL, recipe_on_session, &closed, &id, &err), &err);
        assert_false(etcd_session_alive(opened.response));
        recipe_await(client, manual, &closed);
        assert_int_equal(closed.code, ETCD_OK);
        assert_true(closed.response == opened.response);
        assert_int_equal(left_of(client, lease), -1);
        assert_ok(etcd_session_close(opened.response, NULL, &err), &err); /* again: nothing */
        etcd_session_free(opened.response);
        etcd_client_free(client);
    }
}

/* ---- creation that does not come about ---- */

static void creation_honours_deadline_and_cancel(void **state)
{
    (void)state;
    for (int manual = 0; manual < 2; manual++) {
        etcd_client *client = real_hanging_client(ETCD_CLIENT(.manual = manual));
        struct real_ending ending = REAL_ENDING;
        etcd_session *session = (etcd_session *)&client;
        int64_t start = real_watch();
        etcd_call_id id;
        etcd_error err;

        assert_error(etcd_session_new(client, ETCD_SESSION(.call = ETCD_CALL(.timeout_ms = 200)), &session, &err), &err,
                     ETCD_ERR_DEADLINE_EXCEEDED, NULL);
        assert_took(start, 200, 50);
        assert_null(session);
        assert_ok(etcd_session_new_async(client, NULL, recipe_on_session, &ending, &id, &err), &err);
        assert_ok(etcd_call_cancel(client, id), &err);
        recipe_await(client, manual, &ending);
        assert_int_equal(ending.code, ETCD_ERR_CANCELED);
        assert_null(ending.response);
        real_resume();
        etcd_client_free(client);
    }
}

static void what_makes_no_sense_is_refused(void **state)
{
    etcd_client *client = real_client();
    etcd_session *session = (etcd_session *)&client;
    etcd_error err;

    (void)state;
    assert_error(etcd_session_new(NULL, NULL, &session, &err), &err, ETCD_ERR_ARGUMENT, "client");
    assert_null(session);
    assert_error(etcd_session_new(client, NULL, NULL, &err), &err, ETCD_ERR_ARGUMENT, "out");
    assert_error(etcd_session_new(client, ETCD_SESSION(.ttl_s = -1), &session, &err), &err, ETCD_ERR_ARGUMENT, "ttl_s");
    assert_error(etcd_session_new(client, ETCD_SESSION(.ttl_s = INT64_MAX), &session, &err), &err, ETCD_ERR_LEASE_TTL_TOO_LARGE,
                 NULL);
    assert_error(etcd_session_new_async(client, NULL, NULL, NULL, NULL, &err), &err, ETCD_ERR_ARGUMENT, "done");
    assert_false(etcd_session_alive(NULL));
    assert_int_equal(etcd_session_remaining_ms(NULL), 0);
    assert_error(etcd_session_check(NULL, &err), &err, ETCD_ERR_ARGUMENT, NULL);
    assert_true(etcd_session_fd(NULL) < 0);
    etcd_session_orphan(NULL);
    etcd_session_free(NULL);
    etcd_client_close(client);
    assert_error(etcd_session_new(client, NULL, &session, &err), &err, ETCD_ERR_CLOSED, NULL);
    etcd_client_free(client);
}

/* ---- the end ---- */

static void a_revoked_lease_ends_it_with_the_reason(void **state)
{
    (void)state;
    for (int free_it = 0; free_it < 2; free_it++) {
        etcd_client *client = real_client();
        struct loss loss = {.free_it = free_it};
        etcd_session *session = watched_session(client, 6, &loss); /* its next renewal, at 2 s, tells */
        int fd = etcd_session_fd(session);
        etcd_error err;

        assert_false(is_readable(fd));
        assert_ok(etcd_lease_revoke(client, etcd_session_lease(session), NULL, NULL, &err), &err);
        await_loss(&loss);
        assert_int_equal(atomic_load(&loss.times), 1);
        assert_int_equal(loss.code, ETCD_ERR_LEASE_NOT_FOUND);
        if (!free_it) {
            assert_true(is_readable(fd));
            assert_true(is_readable(etcd_session_fd(session)));
            assert_int_equal(etcd_session_check(session, &err), ETCD_ERR_LEASE_NOT_FOUND);
            assert_int_equal(etcd_session_remaining_ms(session), 0);
            etcd_session_free(session);
        }
        etcd_client_free(client);
        assert_int_equal(atomic_load(&loss.times), 1);
    }
}

/* The holder learns of it no later than the server may give the keys away. */
static void out_of_reach_it_ends_in_time(void **state)
{
    etcd_client *client = real_client();
    struct loss loss = {0};
    etcd_session *session = watched_session(client, 2, &loss);
    const int64_t ttl_ms = etcd_session_ttl_s(session) * 1000;
    etcd_error err;
    int64_t start;

    (void)state;
    etcd_server_signal(real_server(), 0, SIGSTOP);
    start = real_watch(); /* nothing that is sent later is answered */
    while (etcd_session_alive(session)) {
        assert_true(real_now_ms() - start < PATIENCE_MS);
        real_sleep_ms(1);
    }
    assert_took(start, 0, ttl_ms + 50);
    await_loss(&loss);
    assert_int_equal(loss.code, ETCD_ERR_LEASE_EXPIRED);
    assert_int_equal(etcd_session_check(session, &err), ETCD_ERR_LEASE_EXPIRED);
    start = real_watch();
    etcd_session_free(session); /* of a session that is lost: without waiting */
    assert_took(start, 0, 500);
    etcd_client_free(client);
    etcd_server_signal(real_server(), 0, SIGCONT);
}

/* What the server cannot say any more is counted from the options: the server is stopped, the lease new to the client. */
static int64_t held_for(etcd_client *client, int64_t elapsed_ms)
{
    etcd_lease_grant_response *lease;
    etcd_keepalive *keepalive;
    etcd_error err;
    int64_t ms;

    assert_ok(etcd_lease_grant(client, 1000, NULL, &lease, &err), &err);
    etcd_server_signal(real_server(), 0, SIGSTOP);
    assert_ok(
        etcd_keepalive_open(client, lease->id, ETCD_KEEPALIVE(.ttl_s = lease->ttl_s, .elapsed_ms = elapsed_ms), &keepalive, &err),
        &err);
    ms = etcd_keepalive_remaining_ms(keepalive);
    etcd_keepalive_free(keepalive);
    etcd_server_signal(real_server(), 0, SIGCONT);
    etcd_response_free(lease);
    return ms;
}

/* What passed while the grant was under way does not count. */
static void a_lease_is_held_from_the_sending_of_its_grant(void **state)
{
    etcd_client *client = real_client();
    etcd_keepalive *keepalive;
    etcd_error err;

    (void)state;
    assert_in_range(held_for(client, 900000), 1, 100000);
    assert_int_equal(held_for(client, INT64_MAX), 0);
    assert_error(etcd_keepalive_open(client, 1, ETCD_KEEPALIVE(.elapsed_ms = -1), &keepalive, &err), &err, ETCD_ERR_ARGUMENT,
                 "elapsed_ms");
    etcd_client_free(client);
}

static void an_orphan_lives_on_at_the_server(void **state)
{
    etcd_client *client = real_client();
    struct loss loss = {0};
    etcd_session *session = watched_session(client, 50, &loss);
    int64_t lease = etcd_session_lease(session);
    int fd = etcd_session_fd(session);
    etcd_error err;

    (void)state;
    real_put_lease(client, "key", "", lease);
    etcd_session_orphan(session);
    assert_false(etcd_session_alive(session));
    assert_true(is_readable(fd));
    assert_error(etcd_session_check(session, &err), &err, ETCD_ERR_CANCELED, "orphaned by the program");
    etcd_session_free(session);
    assert_int_equal(atomic_load(&loss.times), 0);
    assert_true(left_of(client, lease) > 0);
    assert_int_equal(recipe_count(client, "key"), 1);
    etcd_client_free(client);
}

static void closing_revokes_the_lease(void **state)
{
    (void)state;
    for (int by_free = 0; by_free < 2; by_free++) {
        etcd_client *client = real_client();
        struct loss loss = {0};
        etcd_session *session = watched_session(client, 50, &loss);
        int64_t lease = etcd_session_lease(session);
        etcd_error err;

        real_put_lease(client, "key", "", lease);
        if (!by_free) {
            assert_ok(etcd_session_close(session, PATIENT, &err), &err);
            assert_error(etcd_session_check(session, &err), &err, ETCD_ERR_CANCELED, "closed by the program");
        }
        etcd_session_free(session);
        assert_int_equal(atomic_load(&loss.times), 0);
        assert_int_equal(left_of(client, lease), -1);
        assert_int_equal(recipe_count(client, "key"), 0);
        etcd_client_free(client);
    }
}

static void closing_is_bounded(void **state)
{
    etcd_client *client = real_client();
    etcd_session *session = recipe_session(client, 60), *brief = recipe_session(client, 3);
    int64_t start;
    etcd_error err;

    (void)state;
    etcd_server_signal(real_server(), 0, SIGSTOP);
    start = real_watch();
    assert_error(etcd_session_close(session, ETCD_CALL(.timeout_ms = 200), &err), &err, ETCD_ERR_DEADLINE_EXCEEDED, NULL);
    assert_took(start, 200, 50);
    start = real_watch();
    etcd_session_free(brief); /* not longer than it would live */
    assert_took(start, 0, 3000 + 200);
    etcd_server_signal(real_server(), 0, SIGCONT);
    assert_ok(etcd_session_close(session, PATIENT, &err), &err);
    etcd_session_free(session);
    etcd_client_free(client);
}

static void closing_the_client_is_a_loss(void **state)
{
    etcd_client *client = real_client();
    struct loss loss = {0};
    etcd_session *session = watched_session(client, 60, &loss);
    etcd_error err;

    (void)state;
    etcd_client_close(client);
    assert_int_equal(atomic_load(&loss.times), 1);
    assert_int_equal(loss.code, ETCD_ERR_CLOSED);
    assert_int_equal(etcd_session_check(session, &err), ETCD_ERR_CLOSED);
    etcd_client_free(client); /* in any order */
    etcd_session_free(session);
}

static void on_opened_for_callbacks(etcd_session *session, const etcd_error *err, void *arg)
{
    struct real_ending *ending = arg;
    etcd_session *other;
    etcd_error refused;
    int rc = etcd_session_new(etcd_session_client(session), NULL, &other, &refused);

    if (rc == ETCD_ERR_IN_CALLBACK)
        rc = etcd_session_close(session, NULL, &refused);
    etcd_session_free(session);
    real_end(ending, NULL, rc == ETCD_ERR_IN_CALLBACK ? err : &refused);
}

static void in_a_callback_nothing_waits(void **state)
{
    (void)state;
    for (int manual = 0; manual < 2; manual++) {
        etcd_client *client = real_client_with(ETCD_CLIENT(.manual = manual));
        struct real_ending ending = REAL_ENDING;
        etcd_error err;

        assert_ok(etcd_session_new_async(client, NULL, on_opened_for_callbacks, &ending, NULL, &err), &err);
        recipe_await(client, manual, &ending);
        assert_int_equal(ending.code, ETCD_OK);
        etcd_client_free(client);
    }
}

static bool is_inert(void *arg)
{
    etcd_session *session = arg;
    etcd_client *client = etcd_session_client(session);
    etcd_error err;
    bool inert = !etcd_session_alive(session) && etcd_session_check(session, &err) == ETCD_ERR_FORKED &&
                 etcd_session_close(session, NULL, &err) == ETCD_ERR_FORKED && etcd_session_fd(session) == ETCD_ERR_FORKED;

    etcd_session_orphan(session);
    etcd_session_free(session);
    etcd_client_free(client);
    return inert;
}

static void in_a_child_it_is_inert(void **state)
{
    etcd_client *client = real_client();
    etcd_session *session = recipe_session(client, 60);

    (void)state;
    recipe_in_child(is_inert, session);
    assert_true(etcd_session_alive(session));
    assert_true(left_of(client, etcd_session_lease(session)) > 0);
    etcd_session_free(session);
    etcd_client_free(client);
}

/* ---- out of memory ---- */

static int open_and_close(void *arg)
{
    struct real_ending opened = REAL_ENDING;
    etcd_client *client = NULL;
    etcd_session *session = NULL;
    int rc = etcd_client_new(
        ETCD_CLIENT(.endpoints = etcd_server_endpoints(real_server()), .manual = true, .backoff_base_ms = 1, .backoff_max_ms = 1),
        &client, NULL);

    (void)arg;
    if (rc == ETCD_OK)
        rc = etcd_session_new(client, ETCD_SESSION(.ttl_s = 5, .call = PATIENT), &session, NULL);
    if (rc == ETCD_OK && etcd_session_fd(session) < 0)
        rc = -1000;
    if (rc == ETCD_OK)
        rc = etcd_session_close(session, PATIENT, NULL);
    if (rc == ETCD_OK)
        rc = etcd_session_new_async(client, ETCD_SESSION(.call = PATIENT), recipe_on_session, &opened, NULL, NULL);
    if (rc == ETCD_OK) {
        while (real_times_ended(&opened) == 0)
            (void)etcd_client_process(client, -1, NULL);
        rc = opened.code;
        etcd_session_free(opened.response);
    }
    etcd_session_free(session);
    etcd_client_free(client);
    return rc;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    (void)real_server();
    etcd_test_alloc_install();
    (void)etcd_test_alloc_sweep(open_and_close, NULL);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(it_lives_for_a_minute_unless_told_otherwise),
    cmocka_unit_test(it_is_kept_alive),
    cmocka_unit_test(a_given_lease_is_looked_up),
    cmocka_unit_test(all_forms_open_and_close),
    cmocka_unit_test(creation_honours_deadline_and_cancel),
    cmocka_unit_test(what_makes_no_sense_is_refused),
    cmocka_unit_test(a_revoked_lease_ends_it_with_the_reason),
    cmocka_unit_test(out_of_reach_it_ends_in_time),
    cmocka_unit_test(a_lease_is_held_from_the_sending_of_its_grant),
    cmocka_unit_test(an_orphan_lives_on_at_the_server),
    cmocka_unit_test(closing_revokes_the_lease),
    cmocka_unit_test(closing_is_bounded),
    cmocka_unit_test(closing_the_client_is_a_loss),
    cmocka_unit_test(in_a_callback_nothing_waits),
    cmocka_unit_test(in_a_child_it_is_inert),
    cmocka_unit_test(every_allocation_may_fail),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
