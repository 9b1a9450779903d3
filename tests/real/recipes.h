/* What the tests of sessions, mutexes and elections share. Main thread only, but for what says otherwise. */
#ifndef ETCD3_TESTS_RECIPES_H
#define ETCD3_TESTS_RECIPES_H

#include <stdatomic.h>

#include "real.h"

enum { PATIENCE_MS = 60000 };

/** Options of a call that must not time out, however busy the machine is. */
#define PATIENT ETCD_CALL(.timeout_ms = PATIENCE_MS)

/** Whatever a client sends: `hook` and `arg` go into its options. */
struct hops {
    atomic_int requests;
};

void hops_hook(const etcd_call_info *info, void *hops);

/** Calls that must succeed. */
etcd_session *recipe_session(etcd_client *client, int64_t ttl_s);
etcd_mutex *recipe_mutex(etcd_session *session, const char *name);
etcd_election *recipe_election(etcd_session *session, const char *name);
int64_t recipe_lock(etcd_mutex *mutex);
void recipe_unlock(etcd_mutex *mutex);

/** The number of keys with that prefix. */
int64_t recipe_count(etcd_client *client, const char *prefix);

/** Waits until there are so many. */
void recipe_await_count(etcd_client *client, const char *prefix, int64_t count);

/** Callbacks whose `arg` is a real_ending. */
void recipe_on_mutex(etcd_mutex *mutex, const etcd_error *err, void *arg);
void recipe_on_election(etcd_election *election, const etcd_error *err, void *arg);
void recipe_on_session(etcd_session *session, const etcd_error *err, void *arg); /* its `response` is the session */

/** Waits for a real_ending in either run mode. */
void recipe_await(etcd_client *client, bool manual, struct real_ending *ending);

/** Runs `body` on another thread, which recipe_join() waits for. */
struct recipe_thread {
    pthread_t thread;
    void (*body)(void *arg);
    void *arg;
};
void recipe_run(struct recipe_thread *thread, void (*body)(void *arg), void *arg);
void recipe_join(struct recipe_thread *thread);

/** Waits until a flag is set, by whichever thread. */
void recipe_await_flag(const atomic_bool *flag);

/** Ends in the child's exit status: 0 if `body` returns true. */
void recipe_in_child(bool (*body)(void *arg), void *arg);

#endif
