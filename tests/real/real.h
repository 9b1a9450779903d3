/* What the tests against real servers share: one server per process, clients of it, and calls that must succeed or fail in a
 * certain way. Only for the main thread, as all of it may fail the test. */
#ifndef ETCD3_TESTS_REAL_H
#define ETCD3_TESTS_REAL_H

#include <etcd3/etcd.h>
#include <pthread.h>

#include "harness/etcd_server.h"
#include "harness/test.h"

/** The server of one member that the tests of this process share. It lives until the process ends. */
struct etcd_server *real_server(void);

/** A threaded client of that server, whose store is empty (but its revision goes on). Its calls have a minute. */
etcd_client *real_client(void);

/** A client with these options; `endpoints` in it may be NULL for those of the shared server. The store stays as it is. */
etcd_client *real_client_with(const etcd_client_options *options);

/** Milliseconds of a steady clock. */
int64_t real_now_ms(void);

void real_sleep_ms(int64_t ms);

/** How many times slower than usual things may be: instrumented builds. */
int64_t real_slowdown(void);

/** Starts to watch the time: what follows has to happen in time. Time in which a thread of ours was ready to run, but had no
 *  processor on a busy machine, or in which the machine itself stood still, does not count. Returns the time. */
int64_t real_watch(void);

/** The last thing that a thread does which ends while time is watched. */
void real_end_of_thread(void);

/** Fails the test unless between at_least and at_least + more milliseconds have passed since `start`, a time after real_watch().
 */
#define assert_took(start, at_least, more) real_assert_took((start), (at_least), (more), __FILE__, __LINE__)

void real_assert_took(int64_t start, int64_t at_least, int64_t more, const char *file, int line);

/** Fails the test with the error's text unless rc is ETCD_OK. */
#define assert_ok(rc, err) real_assert_code((rc), ETCD_OK, (err), NULL, __FILE__, __LINE__)

/** Fails the test unless rc and err->code are `code`, and err->message contains `text` (NULL: any text but an empty one). */
#define assert_error(rc, err, code, text) real_assert_code((rc), (code), (err), (text), __FILE__, __LINE__)

void real_assert_code(int rc, int code, const etcd_error *err, const char *text, const char *file, int line);

/** Fails the test unless the bytes are exactly those, and end with the uncounted NUL. */
#define assert_bytes(bytes, text, len) real_assert_bytes((bytes), (text), (len), __FILE__, __LINE__)
#define assert_text(bytes, text) real_assert_bytes((bytes), ETCD_STR(text), __FILE__, __LINE__)

void real_assert_bytes(etcd_bytes bytes, const char *text, size_t len, const char *file, int line);

/** Whether a server says so only because its cluster is young, is in an election, or has too little of the machine: worth another
 *  try. A write may have been done all the same. */
bool real_passes(int code);

/** Calls that must succeed, and are repeated while real_passes(). real_put returns the new revision; `lease` 0 is none. */
int64_t real_put(etcd_client *client, const char *key, const char *value);
int64_t real_put_lease(etcd_client *client, const char *key, const char *value, int64_t lease);
int64_t real_delete(etcd_client *client, const char *key);
etcd_get_response *real_get(etcd_client *client, const char *key, const etcd_get_options *options);

/** Fails the test unless the keys of the response, joined with spaces, are `keys`. Frees the response. */
#define assert_keys(response, keys) real_assert_keys((response), (keys), __FILE__, __LINE__)

void real_assert_keys(etcd_get_response *response, const char *keys, const char *file, int line);

/** Grants a lease of this id on the shared server. */
void real_grant(int64_t lease, int ttl_s);

/** How a call ended. Filled by its callback, which may run on another thread. */
struct real_ending {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int times, code;
    uint32_t flags;
    void *response;
    char message[ETCD_ERROR_MESSAGE_MAX];
};

#define REAL_ENDING \
    { \
        .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER \
    }

/** Callbacks whose `arg` is a real_ending, and what callbacks of other types call. */
void real_on_get(etcd_client *client, etcd_get_response *response, const etcd_error *err, void *arg);
void real_on_put(etcd_client *client, etcd_put_response *response, const etcd_error *err, void *arg);
void real_end(struct real_ending *ending, void *response, const etcd_error *err);

int real_times_ended(struct real_ending *ending);

/** Waits until the call has ended; the second form drives a manual client, as somebody's event loop does. */
void real_await(struct real_ending *ending);
void real_poll_until(etcd_client *client, struct real_ending *ending);

/** A client of the shared server that is connected, and whose server then hangs; real_resume() wakes the server. */
etcd_client *real_hanging_client(const etcd_client_options *options);
void real_resume(void);

/** Waits until all calls that were started on such a client, not a manual one, are with the server. */
void real_await_sent(etcd_client *client);

#endif
