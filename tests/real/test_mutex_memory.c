/* Each allocation of a mutex's life fails once: what fails says so, leaks nothing, and the lock is free afterwards. */
#include <stdio.h>
#include <string.h>

#include "harness/alloc.h"
#include "recipes.h"

/* Another session waits for the lock until it is given up. */
static int hand_over(etcd_client *client, etcd_mutex *mutex, const char *name)
{
    struct real_ending ending = REAL_ENDING;
    etcd_session *session = NULL;
    etcd_mutex *next = NULL;
    int rc = etcd_session_new(client, ETCD_SESSION(.ttl_s = 5, .call = PATIENT), &session, NULL);

    if (rc == ETCD_OK)
        rc = etcd_mutex_new(session, ETCD_STR(name), &next, NULL);
    if (rc == ETCD_OK && etcd_mutex_lock(next, ETCD_CALL(.timeout_ms = 20), NULL) != ETCD_ERR_DEADLINE_EXCEEDED)
        rc = -1001; /* or out of memory */
    if (rc == ETCD_OK)
        rc = etcd_mutex_lock_async(next, PATIENT, recipe_on_mutex, &ending, NULL, NULL);
    if (rc == ETCD_OK) {
        rc = etcd_mutex_unlock(mutex, PATIENT, NULL);
        while (rc == ETCD_OK && real_times_ended(&ending) == 0)
            (void)etcd_client_process(client, -1, NULL);
        rc = rc == ETCD_OK ? ending.code : rc;
    }
    etcd_mutex_free(next);
    etcd_session_free(session);
    return rc;
}

static int lock_once(void *arg)
{
    static int number;
    etcd_client *client = NULL;
    etcd_session *session = NULL;
    etcd_mutex *mutex = NULL;
    char name[32];
    int rc;

    (void)arg;
    snprintf(name, sizeof name, "memory/%d", number++); /* a session that could not be closed still has its own */
    rc = etcd_client_new(
        ETCD_CLIENT(.endpoints = etcd_server_endpoints(real_server()), .manual = true, .backoff_base_ms = 1, .backoff_max_ms = 1),
        &client, NULL);
    if (rc == ETCD_OK)
        rc = etcd_session_new(client, ETCD_SESSION(.ttl_s = 5, .call = PATIENT), &session, NULL);
    if (rc == ETCD_OK)
        rc = etcd_mutex_new(session, ETCD_STR(name), &mutex, NULL);
    if (rc == ETCD_OK)
        rc = etcd_mutex_lock(mutex, PATIENT, NULL);
    if (rc == ETCD_OK && !etcd_mutex_held(mutex))
        rc = -1000;
    if (rc == ETCD_OK)
        rc = etcd_mutex_unlock(mutex, PATIENT, NULL);
    if (rc == ETCD_OK)
        rc = etcd_mutex_try_lock(mutex, PATIENT, NULL);
    if (rc == ETCD_OK)
        rc = hand_over(client, mutex, name);
    etcd_mutex_free(mutex);
    etcd_session_free(session);
    etcd_client_free(client);
    return rc;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    (void)real_server();
    etcd_test_alloc_install();
    (void)etcd_test_alloc_sweep(lock_once, NULL);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_allocation_may_fail),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
