/* See fake_fixture.h. */
#include "harness/fake_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

etcd_client *fake_client_with(const char *endpoints, etcd_client_options options)
{
    etcd_client *client = NULL;
    etcd_error err;

    options.size = sizeof options;
    options.endpoints = endpoints;
    if (options.request_timeout_ms == 0)
        options.request_timeout_ms = FAKE_WAIT_MS;
    if (options.ping_timeout_ms == 0)
        options.ping_timeout_ms = FAKE_WAIT_MS;
    if (etcd_client_new(&options, &client, &err) != ETCD_OK)
        fail_msg("etcd_client_new: %s", err.message);
    return client;
}

etcd_client *fake_client(const char *endpoints, bool manual)
{
    return fake_client_with(
        endpoints, (etcd_client_options){.manual = manual, .backoff_base_ms = 1, .backoff_max_ms = 1, .retry_wait_ms = 1});
}

int64_t fake_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t fake_bound_ms(int64_t ms)
{
    const char *text = getenv("ETCD3_TEST_SLOWDOWN");
    long slowdown = text ? strtol(text, NULL, 10) : 1;

    return 4 * ms * (slowdown < 1 ? 1 : slowdown);
}

void fake_in_time(int64_t (*attempt)(void *arg), void *arg, int64_t allowed, const char *what)
{
    int64_t late = 0;

    for (int pause_ms = 50; pause_ms <= 1600; pause_ms *= 2) {
        late = attempt(arg);
        if (late <= allowed)
            return;
        fake_sleep_ms(pause_ms);
    }
    fail_msg("%s: too much each time, %d at last; %d is allowed", what, (int)late, (int)allowed);
}

/* The client acknowledges the settings in the turn in which they make its connection ready. */
static bool is_ready(fake_server *server, void *arg)
{
    size_t n = fake_server_conn_count(server);

    (void)arg;
    return n > 0 && fake_server_conn(server, (int)n - 1).settings_acks > 0;
}

void fake_wait_ready(fake_server *server)
{
    assert_true(fake_server_wait(server, is_ready, NULL, FAKE_WAIT_MS));
}

void fake_sleep_ms(int ms)
{
    const struct timespec time = {ms / 1000, ms % 1000 * 1000000L};

    nanosleep(&time, NULL);
}

void fake_assert_contains(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" does not contain \"%s\"", text, part);
}

/* ---- calls ---- */

static int run_put(etcd_client *client, const etcd_call_options *call, etcd_error *err)
{
    etcd_put_response *response;
    int rc = etcd_put(client, ETCD_STR("k"), ETCD_STR("v"), ETCD_PUT(.call = call), &response, err);

    etcd_response_free(response);
    return rc;
}

static int run_get(etcd_client *client, const etcd_call_options *call, etcd_error *err)
{
    etcd_get_response *response;
    int rc = etcd_get(client, ETCD_STR("k"), ETCD_GET(.call = call), &response, err);

    etcd_response_free(response);
    return rc;
}

static int run_delete(etcd_client *client, const etcd_call_options *call, etcd_error *err)
{
    /* without a response */
    return etcd_delete(client, ETCD_STR("k"), ETCD_DELETE(.call = call), NULL, err);
}

static int run_txn(etcd_client *client, const etcd_call_options *call, etcd_error *err)
{
    etcd_txn *txn = etcd_txn_new(client);
    etcd_txn_response *response;
    int rc;

    etcd_txn_if_version(txn, ETCD_STR("k"), ETCD_CMP_EQUAL, 0);
    etcd_txn_put(txn, ETCD_STR("k"), ETCD_STR("v"), NULL);
    etcd_txn_else(txn);
    etcd_txn_put(txn, ETCD_STR("twice"), ETCD_STR("v"), NULL);
    rc = etcd_txn_commit(txn, call, &response, err);
    etcd_response_free(response);
    etcd_txn_free(txn);
    return rc;
}

const fake_op fake_put = {"put", FAKE_PUT, true, run_put};
const fake_op fake_get = {"get", FAKE_RANGE, false, run_get};
const fake_op fake_txn = {"txn", FAKE_TXN, true, run_txn};
const fake_op fake_delete = {"delete", FAKE_DELETE, true, run_delete};

void fake_check_write(fake_server *server, const fake_op *op, size_t most, int rc, const etcd_error *err, const char *what)
{
    size_t seen = fake_server_count(server, op->method), done = fake_server_kv_writes(server);
    bool maybe = err->flags & ETCD_ERROR_MAYBE_APPLIED;

    if (seen > most)
        fail_msg("%s, %s: seen %zu times", op->name, what, seen);
    if (done > 1)
        fail_msg("%s, %s: done %zu times", op->name, what, done);
    if (rc == ETCD_OK && done != 1)
        fail_msg("%s, %s: succeeded, but was not done", op->name, what);
    if (rc != ETCD_OK && done == 1 && !maybe)
        fail_msg("%s, %s: done, but failed as if it were not: %s (%s)", op->name, what, err->message, etcd_error_name(err->code));
    if (rc == ETCD_OK && maybe)
        fail_msg("%s, %s: succeeded with flags", op->name, what);
}
