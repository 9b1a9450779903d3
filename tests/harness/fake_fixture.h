/* What the tests against the fake server share: clients that reconnect fast, time, and counting how a call ended. */
#ifndef ETCD3_TESTS_FAKE_FIXTURE_H
#define ETCD3_TESTS_FAKE_FIXTURE_H

#include "harness/fake_server.h"
#include "harness/test.h"

#include <etcd3/etcd.h>

/** Longer than anything that is expected to happen; a test that waits this long has failed. */
#define FAKE_WAIT_MS 50000

/** A client of the given endpoints that reconnects after a millisecond, in one of the modes; fails the test when it cannot be
 * made. */
etcd_client *fake_client(const char *endpoints, bool manual);

/** The same with options of the test's own; only `endpoints` is taken from the first argument. Unless they are given, calls have
 *  FAKE_WAIT_MS, and so have answers to pings: no pause of the machine ends a call or a connection. */
etcd_client *fake_client_with(const char *endpoints, etcd_client_options options);

/** Milliseconds of CLOCK_MONOTONIC. */
int64_t fake_now_ms(void);

/** A bound on time, made wider for slow builds (sanitizers, valgrind) and loaded machines. */
int64_t fake_bound_ms(int64_t ms);

/** Runs `attempt`, which returns how long something took or by how many ms it came too late, until that is at most `allowed`;
 * fails the test when it never is. What is late once was perhaps held up by the machine, what is late each time is slow. */
void fake_in_time(int64_t (*attempt)(void *arg), void *arg, int64_t allowed, const char *what);

/** Until the client has a connection to the server that is ready: its next call may go there. Not for a manual client. */
void fake_wait_ready(fake_server *server);

/** Sleeps; only for peers whose fault is to be slow. */
void fake_sleep_ms(int ms);

/** Fails the test unless `text` contains `part`; prints both. */
void fake_assert_contains(const char *text, const char *part);

/** A put, get or transaction of key "k" and value "v", to be tried under all kinds of faults. */
typedef struct fake_op {
    const char *name;
    const char *method;
    bool write;
    int (*run)(etcd_client *client, const etcd_call_options *call, etcd_error *err);
} fake_op;

extern const fake_op fake_put, fake_get, fake_txn, fake_delete;

/** The promises P1 and P2 after a write: seen at most `most` times; done when it succeeded; not done when it failed without
 *  ETCD_ERROR_MAYBE_APPLIED. `what` names the case in the failure's message. */
void fake_check_write(fake_server *server, const fake_op *op, size_t most, int rc, const etcd_error *err, const char *what);

#endif
