/* See recipes.h. */
#include "recipes.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

void hops_hook(const etcd_call_info *info, void *arg)
{
    struct hops *hops = arg;

    if (info->event == ETCD_CALL_EVENT_END)
        atomic_fetch_add(&hops->requests, info->attempts);
}

etcd_session *recipe_session(etcd_client *client, int64_t ttl_s)
{
    etcd_session *session;
    etcd_error err;

    assert_ok(etcd_session_new(client, ETCD_SESSION(.ttl_s = ttl_s, .call = PATIENT), &session, &err), &err);
    assert_non_null(session);
    return session;
}

etcd_mutex *recipe_mutex(etcd_session *session, const char *name)
{
    etcd_mutex *mutex;
    etcd_error err;

    assert_ok(etcd_mutex_new(session, ETCD_STR(name), &mutex, &err), &err);
    return mutex;
}

etcd_election *recipe_election(etcd_session *session, const char *name)
{
    etcd_election *election;
    etcd_error err;

    assert_ok(etcd_election_new(session, ETCD_STR(name), &election, &err), &err);
    return election;
}

int64_t recipe_lock(etcd_mutex *mutex)
{
    etcd_error err;

    assert_ok(etcd_mutex_lock(mutex, PATIENT, &err), &err);
    assert_true(etcd_mutex_token(mutex) > 0);
    return etcd_mutex_token(mutex);
}

void recipe_unlock(etcd_mutex *mutex)
{
    etcd_error err;

    assert_ok(etcd_mutex_unlock(mutex, PATIENT, &err), &err);
}

int64_t recipe_count(etcd_client *client, const char *prefix)
{
    etcd_get_response *response = real_get(client, prefix, ETCD_GET(.prefix = true, .count_only = true, .call = PATIENT));
    int64_t count = response->count;

    etcd_response_free(response);
    return count;
}

void recipe_await_count(etcd_client *client, const char *prefix, int64_t count)
{
    const int64_t start = real_now_ms();
    int64_t now;

    while ((now = recipe_count(client, prefix)) != count) {
        if (real_now_ms() - start > PATIENCE_MS)
            fail_msg("%lld keys %s instead of %lld", (long long)now, prefix, (long long)count);
        real_sleep_ms(5);
    }
}

void recipe_on_mutex(etcd_mutex *mutex, const etcd_error *err, void *arg)
{
    (void)mutex;
    real_end(arg, NULL, err);
}

void recipe_on_election(etcd_election *election, const etcd_error *err, void *arg)
{
    (void)election;
    real_end(arg, NULL, err);
}

void recipe_on_session(etcd_session *session, const etcd_error *err, void *arg)
{
    real_end(arg, session, err);
}

void recipe_await(etcd_client *client, bool manual, struct real_ending *ending)
{
    if (manual)
        real_poll_until(client, ending);
    else
        real_await(ending);
}

static void *thread_main(void *arg)
{
    struct recipe_thread *thread = arg;

    thread->body(thread->arg);
    return NULL;
}

void recipe_run(struct recipe_thread *thread, void (*body)(void *arg), void *arg)
{
    thread->body = body;
    thread->arg = arg;
    assert_int_equal(pthread_create(&thread->thread, NULL, thread_main, thread), 0);
}

void recipe_join(struct recipe_thread *thread)
{
    pthread_join(thread->thread, NULL);
}

void recipe_await_flag(const atomic_bool *flag)
{
    const int64_t start = real_now_ms();

    while (!atomic_load(flag)) {
        assert_true(real_now_ms() - start < PATIENCE_MS);
        real_sleep_ms(2);
    }
}

void recipe_in_child(bool (*body)(void *arg), void *arg)
{
    pid_t child = fork();
    int status = 0;

    assert_true(child >= 0);
    if (child == 0)
        _exit(body(arg) ? 0 : 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}
