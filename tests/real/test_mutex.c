/* Mutexes on a server of one member: who gets the lock and when, what it leaves behind, in all forms and modes. Faults are in
 * test_contention.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/fault_proxy.h"
#include "recipes.h"

/* ---- one that has it alone ---- */

static void assert_locks(etcd_client *client, const char *name)
{
    etcd_session *session = recipe_session(client, 60);
    etcd_mutex *mutex = recipe_mutex(session, name);
    etcd_response_header header;
    etcd_get_response *get;
    char key[64];
    size_t len;
    int64_t token;

    snprintf(key, sizeof key, "%s/%llx", name, (unsigned long long)etcd_session_lease(session)); /* as Go has it */
    assert_string_equal(etcd_mutex_key(mutex, &len), key);
    assert_int_equal(len, strlen(key));
    assert_false(etcd_mutex_held(mutex));
    assert_int_equal(etcd_mutex_token(mutex), 0);
    etcd_mutex_header(mutex, &header);
    assert_int_equal(header.revision, 0);
    token = recipe_lock(mutex);
    assert_true(etcd_mutex_held(mutex));
    get = real_get(client, key, NULL);
    assert_int_equal(get->n_kvs, 1);
    assert_int_equal(get->kvs[0].create_revision, token);
    assert_int_equal(get->kvs[0].lease, etcd_session_lease(session));
    assert_text(get->kvs[0].value, "");
    etcd_mutex_header(mutex, &header);
    assert_int_equal(header.revision, token);
    assert_true(header.cluster_id == get->header.cluster_id);
    etcd_response_free(get);
    recipe_unlock(mutex);
    assert_false(etcd_mutex_held(mutex));
    assert_int_equal(etcd_mutex_token(mutex), 0);
    assert_int_equal(recipe_count(client, key), 0);
    etcd_mutex_free(mutex);
    etcd_session_free(session);
}

static void a_lock_is_the_oldest_key_of_its_name(void **state)
{
    etcd_client *client = real_client();

    (void)state;
    assert_locks(client, "locks/job");
    assert_locks(client, "");
    etcd_client_free(client);
}

static void each_lock_has_a_higher_token(void **state)
{
    etcd_client *client = real_client();
    etcd_session *session = recipe_session(client, 60);
    etcd_mutex *mutex = recipe_mutex(session, "lock");
    int64_t last = 0;

    (void)state;
    for (int i = 0; i < 20; i++) {
        int64_t token = recipe_lock(mutex);

        assert_true(token > last);
        last = token;
        recipe_unlock(mutex);
    }
    etcd_mutex_free(mutex);
    etcd_session_free(session);
    etcd_client_free(client);
}

/* The Go client's count is 1 + 1, and 2 for a try that fails. */
static void it_costs_one_round_trip_each(void **state)
{
    struct hops hops = {0};
    etcd_client *other = real_client(), *client = real_client_with(ETCD_CLIENT(.call_fn = hops_hook, .call_arg = &hops));
    etcd_session *session = recipe_session(client, 60), *rival = recipe_session(other, 60);
    etcd_mutex *mutex = recipe_mutex(session, "lock"), *taken = recipe_mutex(rival, "taken"),
               *try = recipe_mutex(session, "taken");
    etcd_error err;
    int before;

    (void)state;
    recipe_lock(taken);
    before = atomic_load(&hops.requests);
    recipe_lock(mutex);
    assert_int_equal(atomic_load(&hops.requests) - before, 1);
    recipe_unlock(mutex);
    assert_int_equal(atomic_load(&hops.requests) - before, 2);
    assert_ok(etcd_mutex_try_lock(mutex, PATIENT, &err), &err);
    assert_int_equal(atomic_load(&hops.requests) - before, 3);
    assert_error(etcd_mutex_try_lock(try, PATIENT, &err), &err, ETCD_ERR_LOCKED, "mutex: Locked by another session");
    assert_int_equal(atomic_load(&hops.requests) - before, 4);
    assert_int_equal(recipe_count(other, "taken/"), 1); /* and it left nothing */
    etcd_mutex_free(mutex);
    etcd_mutex_free(taken);
    etcd_mutex_free(try);
    etcd_session_free(session);
    etcd_session_free(rival);
    etcd_client_free(client);
    etcd_client_free(other);
}

static void the_same_session_locks_again(void **state)
{
    etcd_client *client = real_client();
    etcd_session *session = recipe_session(client, 60);
    etcd_mutex *mutex = recipe_mutex(session, "lock"), *second = recipe_mutex(session, "lock");
    int64_t token = recipe_lock(mutex);
    etcd_error err;

    (void)state;
    assert_int_equal(recipe_lock(mutex), token);
    assert_int_equal(recipe_lock(second), token);
    assert_ok(etcd_mutex_try_lock(second, PATIENT, &err), &err);
    assert_int_equal(etcd_mutex_token(second), token);
    recipe_unlock(second);
    assert_error(etcd_mutex_unlock(mutex, PATIENT, &err), &err, ETCD_ERR_LOCK_RELEASED, "lock has already been released");
    etcd_mutex_free(mutex);
    etcd_mutex_free(second);
    etcd_session_free(session);
    etcd_client_free(client);
}

static void transactions_are_guarded_by_the_lock(void **state)
{
    etcd_client *client = real_client();
    etcd_session *session = recipe_session(client, 60);
    etcd_mutex *mutex = recipe_mutex(session, "lock");
    etcd_error err;

    (void)state;
    for (int i = 0; i < 3; i++) { /* before, while, after */
        etcd_txn *txn = etcd_txn_new(client);
        etcd_txn_response *response;

        if (i == 1)
            recipe_lock(mutex);
        etcd_mutex_if_owner(mutex, txn);
        etcd_txn_put(txn, ETCD_STR("guarded"), ETCD_STR("x"), NULL);
        if (i == 2)
            recipe_unlock(mutex);
        assert_ok(etcd_txn_commit(txn, PATIENT, &response, &err), &err);
        assert_int_equal(response->succeeded, i == 1);
        etcd_response_free(response);
        etcd_txn_free(txn);
        if (i == 1)
            assert_true(etcd_mutex_held(mutex));
    }
    etcd_mutex_free(mutex);
    etcd_session_free(session);
    etcd_client_free(client);
}

static void unlock_removes_only_what_is_ours(void **state)
{
    etcd_client *client = real_client();
    etcd_session *session = recipe_session(client, 60);
    etcd_mutex *mutex = recipe_mutex(session, "lock");
    etcd_error err;

    (void)state;
    assert_error(etcd_mutex_unlock(mutex, PATIENT, &err), &err, ETCD_ERR_LOCK_RELEASED, NULL);
    recipe_lock(mutex);
    real_delete(client, etcd_mutex_key(mutex, NULL));
    real_put_lease(client, etcd_mutex_key(mutex, NULL), "another's", etcd_session_lease(session)); /* etcd issue 22082 */
    assert_error(etcd_mutex_unlock(mutex, PATIENT, &err), &err, ETCD_ERR_LOCK_RELEASED, NULL);
    assert_int_equal(recipe_count(client, "lock/"), 1);
    assert_error(etcd_mutex_unlock(mutex, PATIENT, &err), &err, ETCD_ERR_LOCK_RELEASED, NULL);
    etcd_mutex_free(mutex);
    etcd_session_free(session);
    etcd_client_free(client);
}

/* ---- several that want it ---- */

struct contender {
    etcd_client *client;
    etcd_session *session;
    etcd_mutex *mutex;
    struct real_ending ending;
};

static void enter(struct contender *contender, etcd_client *client, const char *name)
{
    contender->client = client;
    contender->session = recipe_session(client, 60);
    contender->mutex = recipe_mutex(contender->session, name);
    contender->ending = (struct real_ending)REAL_ENDING;
}

static void leave(struct contender *contender)
{
    etcd_mutex_free(contender->mutex);
    etcd_session_free(contender->session);
}

/* Starts to wait for the lock, and returns once the key stands in the line. */
static etcd_call_id line_up(struct contender *contender, const etcd_call_options *call)
{
    etcd_call_id id;
    etcd_error err;

    assert_ok(etcd_mutex_lock_async(contender->mutex, call, recipe_on_mutex, &contender->ending, &id, &err), &err);
    recipe_await_count(contender->client, etcd_mutex_key(contender->mutex, NULL), 1);
    return id;
}

static void those_who_wait_get_it_in_the_order_in_which_they_came(void **state)
{
    enum { N = 6 };
    etcd_client *client = real_client();
    struct contender all[N];
    int64_t last = 0;

    (void)state;
    for (int i = 0; i < N; i++) {
        enter(&all[i], client, "lock");
        line_up(&all[i], PATIENT);
    }
    for (int i = 0; i < N; i++) {
        real_await(&all[i].ending);
        assert_int_equal(all[i].ending.code, ETCD_OK);
        assert_true(etcd_mutex_held(all[i].mutex));
        assert_true(etcd_mutex_token(all[i].mutex) > last);
        last = etcd_mutex_token(all[i].mutex);
        for (int k = i + 1; k < N; k++)
            assert_int_equal(real_times_ended(&all[k].ending), 0);
        recipe_unlock(all[i].mutex);
    }
    for (int i = 0; i < N; i++)
        leave(&all[i]);
    assert_int_equal(recipe_count(client, "lock/"), 0);
    etcd_client_free(client);
}

static void one_who_leaves_the_middle_of_the_line_lets_nobody_pass(void **state)
{
    etcd_client *client = real_client();
    struct contender first, second, third;
    etcd_call_id id;

    (void)state;
    enter(&first, client, "lock");
    enter(&second, client, "lock");
    enter(&third, client, "lock");
    recipe_lock(first.mutex);
    id = line_up(&second, PATIENT);
    line_up(&third, PATIENT);
    assert_int_equal(etcd_call_cancel(client, id), ETCD_OK);
    real_await(&second.ending);
    assert_int_equal(second.ending.code, ETCD_ERR_CANCELED);
    recipe_await_count(client, "lock/", 2);
    assert_int_equal(real_times_ended(&third.ending), 0);
    assert_true(etcd_mutex_held(first.mutex));
    recipe_unlock(first.mutex);
    real_await(&third.ending);
    assert_int_equal(third.ending.code, ETCD_OK);
    leave(&first);
    leave(&second);
    leave(&third);
    etcd_client_free(client);
}

/* Waits for a lock that another holds until the deadline, which is longer each time until the server has had the time to say who
 * holds it. */
static void wait_in_vain(struct contender *waiter, const char *holder)
{
    etcd_error err = {0};

    for (int64_t timeout = 200; strstr(err.message, holder) == NULL; timeout *= 2) {
        int64_t start = real_watch();

        assert_true(timeout < PATIENCE_MS);
        assert_error(etcd_mutex_lock(waiter->mutex, ETCD_CALL(.timeout_ms = timeout), &err), &err, ETCD_ERR_DEADLINE_EXCEEDED,
                     NULL);
        assert_took(start, timeout, 50);
    }
    assert_int_equal(err.flags, ETCD_ERROR_RETRYABLE);
}

static void a_deadline_says_what_was_waited_for(void **state)
{
    (void)state;
    for (int manual = 0; manual < 2; manual++) {
        etcd_client *client = real_client_with(ETCD_CLIENT(.manual = manual)), *other = real_client();
        struct contender holder, waiter;
        etcd_error err;

        enter(&holder, other, "lock");
        enter(&waiter, client, "lock");
        recipe_lock(holder.mutex);
        wait_in_vain(&waiter, etcd_mutex_key(holder.mutex, NULL));
        if (manual)
            while (recipe_count(other, "lock/") > 1) /* what is left to do is done as the program drives */
                assert_ok(etcd_client_process(client, 1, &err), &err);
        recipe_await_count(other, "lock/", 1);
        assert_false(etcd_mutex_held(waiter.mutex));
        recipe_unlock(holder.mutex);
        recipe_lock(waiter.mutex);
        leave(&waiter);
        leave(&holder);
        etcd_client_free(client);
        etcd_client_free(other);
    }
}

static void a_switch_ends_the_wait_of_another_thread(void **state)
{
    etcd_client *client = real_client();
    struct contender holder, waiter;
    etcd_cancel *cancel;
    etcd_error err;

    (void)state;
    assert_ok(etcd_cancel_new(&cancel, &err), &err);
    enter(&holder, client, "lock");
    enter(&waiter, client, "lock");
    recipe_lock(holder.mutex);
    line_up(&waiter, ETCD_CALL(.timeout_ms = -1, .cancel = cancel));
    etcd_cancel_trigger(cancel);
    real_await(&waiter.ending);
    assert_int_equal(waiter.ending.code, ETCD_ERR_CANCELED);
    recipe_await_count(client, "lock/", 1);
    assert_error(etcd_mutex_lock(waiter.mutex, ETCD_CALL(.cancel = cancel), &err), &err, ETCD_ERR_CANCELED, NULL);
    recipe_unlock(holder.mutex);
    recipe_await_count(client, "lock/", 0);
    leave(&holder);
    leave(&waiter);
    etcd_cancel_free(cancel);
    etcd_client_free(client);
}

/* Locking at once again never meets the key of the call that was canceled. */
static void a_canceled_call_is_tidied_up_before_the_next(void **state)
{
    etcd_client *client = real_client();
    struct contender one;
    etcd_error err;

    (void)state;
    enter(&one, client, "lock");
    for (int i = 0; i < 50; i++) {
        struct real_ending ending = REAL_ENDING;
        etcd_call_id id;
        int64_t token;

        assert_ok(etcd_mutex_lock_async(one.mutex, PATIENT, recipe_on_mutex, &ending, &id, &err), &err);
        if (i % 3 == 1)
            real_sleep_ms(1);
        (void)etcd_call_cancel(client, id);
        real_await(&ending);
        token = recipe_lock(one.mutex);
        assert_int_equal(recipe_count(client, "lock/"), 1);
        if (ending.code == ETCD_ERR_CANCELED)
            assert_true(etcd_mutex_held(one.mutex) && token > 0);
        recipe_unlock(one.mutex);
        assert_int_equal(recipe_count(client, "lock/"), 0);
    }
    leave(&one);
    etcd_client_free(client);
}

static void a_waiter_whose_key_is_deleted_is_told_in_its_turn(void **state)
{
    etcd_client *client = real_client();
    struct contender holder, waiter;

    (void)state;
    enter(&holder, client, "lock");
    enter(&waiter, client, "lock");
    recipe_lock(holder.mutex);
    line_up(&waiter, PATIENT);
    real_delete(client, etcd_mutex_key(waiter.mutex, NULL));
    recipe_unlock(holder.mutex);
    real_await(&waiter.ending);
    assert_int_equal(waiter.ending.code, ETCD_ERR_SESSION_EXPIRED);
    assert_non_null(strstr(waiter.ending.message, "was deleted"));
    leave(&holder);
    leave(&waiter);
    etcd_client_free(client);
}

/* ---- sessions that end ---- */

static void a_waiter_stops_when_its_session_is_closed(void **state)
{
    (void)state;
    for (int orphan = 0; orphan < 2; orphan++) {
        etcd_client *client = real_client();
        struct contender holder, waiter;
        etcd_error err;

        enter(&holder, client, "lock");
        enter(&waiter, client, "lock");
        recipe_lock(holder.mutex);
        line_up(&waiter, ETCD_CALL(.timeout_ms = -1));
        if (orphan)
            etcd_session_orphan(waiter.session);
        else
            assert_ok(etcd_session_close(waiter.session, PATIENT, &err), &err);
        real_await(&waiter.ending);
        assert_int_equal(waiter.ending.code, ETCD_ERR_SESSION_EXPIRED);
        assert_non_null(strstr(waiter.ending.message, "by the program"));
        assert_error(etcd_mutex_lock(waiter.mutex, PATIENT, &err), &err, ETCD_ERR_SESSION_EXPIRED, "by the program");
        assert_error(etcd_mutex_try_lock(waiter.mutex, PATIENT, &err), &err, ETCD_ERR_SESSION_EXPIRED, NULL);
        leave(&waiter);
        leave(&holder);
        etcd_client_free(client);
    }
}

static void a_waiter_stops_when_its_lease_ends(void **state)
{
    etcd_client *client = real_client();
    struct contender holder, waiter;
    etcd_error err;

    (void)state;
    enter(&holder, client, "lock");
    waiter.client = client;
    waiter.session = recipe_session(client, 6); /* its next renewal, at 2 s, tells */
    waiter.mutex = recipe_mutex(waiter.session, "lock");
    waiter.ending = (struct real_ending)REAL_ENDING;
    recipe_lock(holder.mutex);
    line_up(&waiter, ETCD_CALL(.timeout_ms = -1));
    assert_ok(etcd_lease_revoke(client, etcd_session_lease(waiter.session), NULL, NULL, &err), &err);
    real_await(&waiter.ending);
    assert_int_equal(waiter.ending.code, ETCD_ERR_SESSION_EXPIRED);
    assert_non_null(strstr(waiter.ending.message, "mutex: session is expired: "));
    leave(&waiter);
    leave(&holder);
    etcd_client_free(client);
}

static void a_holder_whose_lease_ends_holds_no_more(void **state)
{
    etcd_client *client = real_client();
    etcd_session *session = recipe_session(client, 6);
    etcd_mutex *mutex = recipe_mutex(session, "lock");
    struct contender next;
    int64_t token = recipe_lock(mutex);
    const int64_t start = real_now_ms();
    etcd_error err;

    (void)state;
    enter(&next, client, "lock");
    line_up(&next, PATIENT);
    assert_ok(etcd_lease_revoke(client, etcd_session_lease(session), NULL, NULL, &err), &err);
    real_await(&next.ending);
    assert_int_equal(next.ending.code, ETCD_OK);
    while (etcd_mutex_held(mutex)) /* the next renewal tells; at the latest the clock */
        assert_true(real_now_ms() - start < PATIENCE_MS);
    assert_int_equal(etcd_mutex_token(mutex), token);
    assert_error(etcd_mutex_unlock(mutex, PATIENT, &err), &err, ETCD_ERR_SESSION_EXPIRED, "mutex: session is expired");
    assert_true(etcd_mutex_held(next.mutex));
    etcd_mutex_free(mutex);
    etcd_session_free(session);
    leave(&next);
    etcd_client_free(client);
}

static void closing_the_session_gives_the_lock_up(void **state)
{
    etcd_client *client = real_client();
    struct contender holder, waiter;

    (void)state;
    enter(&holder, client, "lock");
    enter(&waiter, client, "lock");
    recipe_lock(holder.mutex);
    line_up(&waiter, PATIENT);
    etcd_session_free(holder.session);
    real_await(&waiter.ending);
    assert_int_equal(waiter.ending.code, ETCD_OK);
    assert_false(etcd_mutex_held(holder.mutex));
    etcd_mutex_free(holder.mutex); /* in any order */
    leave(&waiter);
    etcd_client_free(client);
}

/* ---- answers that get lost ---- */

/* The server has done what it was asked for, but its answer does not arrive: the connection breaks. */
static void lose_the_answer(fault_proxy *proxy, etcd_client *auditor, const char *key, bool there)
{
    recipe_await_count(auditor, key, there);
    fault_proxy_reset(proxy);
    fault_proxy_resume(proxy);
}

static void open_through(fault_proxy *proxy, struct contender *one, int manual)
{
    one->client = real_client_with(
        ETCD_CLIENT(.endpoints = fault_proxy_endpoint(proxy), .manual = manual, .backoff_base_ms = 1, .backoff_max_ms = 20));
    one->session = recipe_session(one->client, 60);
    one->mutex = recipe_mutex(one->session, "lock");
    one->ending = (struct real_ending)REAL_ENDING;
}

static void a_lost_answer_loses_no_lock(void **state)
{
    fault_proxy *proxy = fault_proxy_start(etcd_server_endpoint(real_server(), 0));
    etcd_client *auditor = real_client();
    struct contender one;
    etcd_error err;

    (void)state;
    open_through(proxy, &one, false);
    for (int try = 0; try < 2; try++) {
        struct real_ending lock = REAL_ENDING, unlock = REAL_ENDING;
        etcd_get_response *get;

        fault_proxy_hold(proxy, FAULT_DOWN);
        assert_ok(
            (try ? etcd_mutex_try_lock_async : etcd_mutex_lock_async)(one.mutex, PATIENT, recipe_on_mutex, &lock, NULL, &err),
            &err);
        lose_the_answer(proxy, auditor, etcd_mutex_key(one.mutex, NULL), true);
        real_await(&lock);
        assert_string_equal(lock.message, "");
        get = real_get(auditor, etcd_mutex_key(one.mutex, NULL), NULL);
        assert_int_equal(get->kvs[0].create_revision, etcd_mutex_token(one.mutex));
        assert_int_equal(get->kvs[0].version, 1);
        etcd_response_free(get);
        fault_proxy_hold(proxy, FAULT_DOWN);
        assert_ok(etcd_mutex_unlock_async(one.mutex, PATIENT, recipe_on_mutex, &unlock, NULL, &err), &err);
        lose_the_answer(proxy, auditor, etcd_mutex_key(one.mutex, NULL), false);
        real_await(&unlock);
        assert_string_equal(unlock.message, "");
        assert_int_equal(etcd_mutex_token(one.mutex), 0);
    }
    leave(&one);
    etcd_client_free(one.client);
    etcd_client_free(auditor);
    fault_proxy_stop(proxy);
}

/* Canceled while nobody knows whether the key was put. */
static void nothing_is_left_of_a_lock_whose_answer_was_lost(void **state)
{
    fault_proxy *proxy = fault_proxy_start(etcd_server_endpoint(real_server(), 0));
    etcd_client *auditor = real_client();
    struct contender one;
    etcd_call_id id;
    etcd_error err;

    (void)state;
    open_through(proxy, &one, false);
    fault_proxy_hold(proxy, FAULT_DOWN);
    assert_ok(etcd_mutex_lock_async(one.mutex, PATIENT, recipe_on_mutex, &one.ending, &id, &err), &err);
    while (recipe_count(auditor, "lock/") == 0)
        real_sleep_ms(1);
    assert_int_equal(etcd_call_cancel(one.client, id), ETCD_OK);
    real_await(&one.ending); /* at once: the answer is not waited for */
    assert_int_equal(one.ending.code, ETCD_ERR_CANCELED);
    assert_int_equal(recipe_count(auditor, "lock/"), 1);
    fault_proxy_reset(proxy);
    fault_proxy_resume(proxy);
    recipe_await_count(auditor, "lock/", 0);
    leave(&one);
    etcd_client_free(one.client);
    etcd_client_free(auditor);
    fault_proxy_stop(proxy);
}

/* ---- forms, modes, handles ---- */

static void all_forms_lock_and_unlock(void **state)
{
    (void)state;
    for (int manual = 0; manual < 2; manual++) {
        etcd_client *client = real_client_with(ETCD_CLIENT(.manual = manual));
        etcd_session *session = recipe_session(client, 60);
        etcd_mutex *mutex = recipe_mutex(session, "forms");
        struct real_ending lock = REAL_ENDING, unlock = REAL_ENDING, try = REAL_ENDING;
        etcd_call_id id;
        etcd_error err;

        assert_ok(etcd_mutex_lock_async(mutex, PATIENT, recipe_on_mutex, &lock, &id, &err), &err);
        assert_true(id != 0);
        recipe_await(client, manual, &lock);
        assert_int_equal(lock.code, ETCD_OK);
        assert_true(etcd_mutex_held(mutex));
        assert_ok(etcd_mutex_unlock_async(mutex, PATIENT, recipe_on_mutex, &unlock, NULL, &err), &err);
        recipe_await(client, manual, &unlock);
        assert_int_equal(unlock.code, ETCD_OK);
        assert_ok(etcd_mutex_try_lock_async(mutex, PATIENT, recipe_on_mutex, &try, NULL, &err), &err);
        recipe_await(client, manual, &try);
        assert_int_equal(try.code, ETCD_OK);
        recipe_unlock(mutex);
        recipe_lock(mutex);
        etcd_mutex_free(mutex);
        etcd_session_free(session);
        etcd_client_free(client);
    }
}

struct nested {
    atomic_bool done;
    int blocking, again, freed;
};

static void on_nested(etcd_mutex *mutex, const etcd_error *err, void *arg)
{
    struct nested *nested = arg;
    etcd_error refused;

    assert_null(err);
    nested->blocking = etcd_mutex_unlock(mutex, NULL, &refused);
    nested->again = etcd_mutex_unlock_async(mutex, NULL, on_nested, nested, NULL, &refused);
    if (nested->again == ETCD_OK && nested->freed++ == 0)
        return; /* the second round ends with an error when it starts: it is unlocked */
    etcd_mutex_free(mutex);
    atomic_store(&nested->done, true);
}

static void a_callback_starts_the_next_call_and_frees(void **state)
{
    etcd_client *client = real_client();
    etcd_session *session = recipe_session(client, 60);
    etcd_mutex *mutex = recipe_mutex(session, "lock");
    struct nested nested = {0};
    etcd_error err;

    (void)state;
    assert_ok(etcd_mutex_lock_async(mutex, PATIENT, on_nested, &nested, NULL, &err), &err);
    recipe_await_flag(&nested.done);
    assert_int_equal(nested.blocking, ETCD_ERR_IN_CALLBACK);
    assert_int_equal(nested.again, ETCD_ERR_LOCK_RELEASED);
    recipe_await_count(client, "lock/", 0);
    etcd_session_free(session);
    etcd_client_free(client);
}

static void a_handle_does_one_thing_at_a_time(void **state)
{
    etcd_client *client = real_client();
    struct contender holder, waiter;
    etcd_error err;

    (void)state;
    enter(&holder, client, "lock");
    enter(&waiter, client, "lock");
    recipe_lock(holder.mutex);
    line_up(&waiter, PATIENT);
    assert_error(etcd_mutex_lock(waiter.mutex, PATIENT, &err), &err, ETCD_ERR_ARGUMENT, "one thing at a time");
    assert_error(etcd_mutex_try_lock(waiter.mutex, PATIENT, &err), &err, ETCD_ERR_ARGUMENT, "one thing at a time");
    recipe_unlock(holder.mutex);
    real_await(&waiter.ending);
    assert_int_equal(waiter.ending.code, ETCD_OK);
    leave(&holder);
    leave(&waiter);
    etcd_client_free(client);
}

static void freeing_a_waiter_gives_up_its_place(void **state)
{
    etcd_client *client = real_client();
    struct contender holder, waiter;

    (void)state;
    enter(&holder, client, "lock");
    enter(&waiter, client, "lock");
    recipe_lock(holder.mutex);
    line_up(&waiter, PATIENT);
    etcd_mutex_free(waiter.mutex);
    recipe_await_count(client, "lock/", 1);
    assert_int_equal(real_times_ended(&waiter.ending), 0);
    etcd_session_free(waiter.session);
    leave(&holder);
    assert_int_equal(real_times_ended(&waiter.ending), 0);
    etcd_client_free(client);
}

static void closing_the_client_ends_the_wait(void **state)
{
    (void)state;
    for (int manual = 0; manual < 2; manual++) {
        etcd_client *other = real_client(), *client = real_client_with(ETCD_CLIENT(.manual = manual));
        struct contender holder, waiter;
        struct real_ending ending = REAL_ENDING;
        etcd_error err;

        enter(&holder, other, "lock");
        enter(&waiter, client, "lock");
        recipe_lock(holder.mutex);
        assert_ok(etcd_mutex_lock_async(waiter.mutex, PATIENT, recipe_on_mutex, &ending, NULL, &err), &err);
        while (recipe_count(other, "lock/") < 2)
            if (manual)
                assert_ok(etcd_client_process(client, 1, &err), &err);
        etcd_client_close(client);
        assert_int_equal(real_times_ended(&ending), 1);
        assert_true(ending.code == ETCD_ERR_CLOSED || ending.code == ETCD_ERR_SESSION_EXPIRED);
        assert_true(etcd_mutex_lock(waiter.mutex, PATIENT, &err) < 0);
        etcd_client_free(client); /* in any order */
        leave(&waiter);
        leave(&holder);
        etcd_client_free(other);
    }
}

static void what_makes_no_sense_is_refused(void **state)
{
    etcd_client *client = real_client();
    etcd_session *session = recipe_session(client, 60);
    etcd_mutex *mutex = recipe_mutex(session, "lock"), *none = (etcd_mutex *)&client;
    etcd_error err;

    (void)state;
    assert_error(etcd_mutex_new(session, NULL, 1, &none, &err), &err, ETCD_ERR_ARGUMENT, "name");
    assert_null(none);
    assert_error(etcd_mutex_new(NULL, "x", 1, &none, &err), &err, ETCD_ERR_ARGUMENT, "session");
    assert_error(etcd_mutex_new(session, "x", 1, NULL, &err), &err, ETCD_ERR_ARGUMENT, "out");
    assert_error(etcd_mutex_lock(NULL, NULL, &err), &err, ETCD_ERR_ARGUMENT, "NULL");
    assert_error(etcd_mutex_lock_async(mutex, NULL, NULL, NULL, NULL, &err), &err, ETCD_ERR_ARGUMENT, "done");
    assert_error(etcd_mutex_lock(mutex, ETCD_CALL(.endpoint = "http://127.0.0.1:1"), &err), &err, ETCD_ERR_ARGUMENT, "endpoint");
    assert_error(etcd_mutex_lock(mutex, ETCD_CALL(.delay_ms = 1), &err), &err, ETCD_ERR_ARGUMENT, "delay_ms");
    assert_false(etcd_mutex_held(NULL));
    assert_int_equal(etcd_mutex_token(NULL), 0);
    assert_null(etcd_mutex_key(NULL, NULL));
    etcd_mutex_free(NULL);
    recipe_lock(mutex);
    etcd_mutex_free(mutex);
    etcd_session_free(session);
    etcd_client_free(client);
}

static bool is_inert(void *arg)
{
    struct contender *contender = arg;
    etcd_error err;
    bool inert = etcd_mutex_unlock(contender->mutex, NULL, &err) == ETCD_ERR_FORKED &&
                 etcd_mutex_lock(contender->mutex, NULL, &err) == ETCD_ERR_FORKED && !etcd_mutex_held(contender->mutex) &&
                 etcd_mutex_token(contender->mutex) == 0 && !etcd_session_alive(contender->session) &&
                 etcd_session_check(contender->session, &err) == ETCD_ERR_FORKED;

    leave(contender);
    etcd_client_free(contender->client);
    return inert;
}

static void in_a_child_it_is_inert(void **state)
{
    etcd_client *client = real_client();
    struct contender one;

    (void)state;
    enter(&one, client, "lock");
    recipe_lock(one.mutex);
    recipe_in_child(is_inert, &one);
    assert_true(etcd_mutex_held(one.mutex));
    assert_int_equal(recipe_count(client, "lock/"), 1);
    recipe_unlock(one.mutex);
    leave(&one);
    etcd_client_free(client);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_lock_is_the_oldest_key_of_its_name),
    cmocka_unit_test(each_lock_has_a_higher_token),
    cmocka_unit_test(it_costs_one_round_trip_each),
    cmocka_unit_test(the_same_session_locks_again),
    cmocka_unit_test(transactions_are_guarded_by_the_lock),
    cmocka_unit_test(unlock_removes_only_what_is_ours),
    cmocka_unit_test(those_who_wait_get_it_in_the_order_in_which_they_came),
    cmocka_unit_test(one_who_leaves_the_middle_of_the_line_lets_nobody_pass),
    cmocka_unit_test(a_deadline_says_what_was_waited_for),
    cmocka_unit_test(a_switch_ends_the_wait_of_another_thread),
    cmocka_unit_test(a_canceled_call_is_tidied_up_before_the_next),
    cmocka_unit_test(a_waiter_whose_key_is_deleted_is_told_in_its_turn),
    cmocka_unit_test(a_waiter_stops_when_its_session_is_closed),
    cmocka_unit_test(a_waiter_stops_when_its_lease_ends),
    cmocka_unit_test(a_holder_whose_lease_ends_holds_no_more),
    cmocka_unit_test(closing_the_session_gives_the_lock_up),
    cmocka_unit_test(a_lost_answer_loses_no_lock),
    cmocka_unit_test(nothing_is_left_of_a_lock_whose_answer_was_lost),
    cmocka_unit_test(all_forms_lock_and_unlock),
    cmocka_unit_test(a_callback_starts_the_next_call_and_frees),
    cmocka_unit_test(a_handle_does_one_thing_at_a_time),
    cmocka_unit_test(freeing_a_waiter_gives_up_its_place),
    cmocka_unit_test(closing_the_client_ends_the_wait),
    cmocka_unit_test(what_makes_no_sense_is_refused),
    cmocka_unit_test(in_a_child_it_is_inert),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
