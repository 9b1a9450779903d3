/* Snapshots of a real server: what is saved is a database that etcdctl takes, and what breaks on the way is told. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/fault_proxy.h"
#include "real.h"

enum { PATIENCE_MS = 30000 };

static char *path_of(const char *name)
{
    static char path[512];

    snprintf(path, sizeof path, "%s/%s", etcd_server_directory(real_server()), name);
    return path;
}

/* Some 3 MB in the database. */
static void fill(etcd_client *client)
{
    char *value = malloc(100000), key[16];
    etcd_error err;

    assert_non_null(value);
    memset(value, 'x', 100000);
    for (int i = 0; i < 30; i++) {
        snprintf(key, sizeof key, "big/%02d", i);
        assert_ok(
            etcd_put(client, ETCD_STR(key), value, 100000, ETCD_PUT(.call = ETCD_CALL(.timeout_ms = PATIENCE_MS)), NULL, &err),
            &err);
    }
    free(value);
}

struct progress {
    int64_t received, total;
    int calls;
};

static void on_progress(int64_t received, int64_t total, void *arg)
{
    struct progress *progress = arg;

    progress->received = received;
    progress->total = total;
    progress->calls++;
}

/* The etcdctl that still knows files of databases: that of 3.4, of any server. NULL: none. */
static const char *etcdctl(void)
{
    return access("/usr/bin/etcdctl", X_OK) == 0 ? "/usr/bin/etcdctl" : NULL;
}

/* The program that restores snapshots of this server: from 3.6 on the etcdutl beside it. NULL: none. */
static const char *restorer(void)
{
    static char path[512];
    const char *server = getenv("ETCD3_TEST_ETCD"), *slash = server ? strrchr(server, '/') : NULL;

    if (etcd_server_minor(real_server()) < 6)
        return etcdctl();
    snprintf(path, sizeof path, "%.*s/etcdutl", slash ? (int)(slash - server) : 0, server ? server : "");
    return access(path, X_OK) == 0 ? path : NULL;
}

/* What `<program> snapshot <verb> <path> ...` prints. Returns its status. */
static int run(const char *program, const char *arguments, const char *path, char *out, size_t size)
{
    char command[1800];
    FILE *pipe;
    size_t n;

    snprintf(command, sizeof command, "ETCDCTL_API=3 '%s' snapshot %s '%s' 2>&1", program, arguments, path);
    pipe = popen(command, "r");
    assert_non_null(pipe);
    n = fread(out, 1, size - 1, pipe);
    out[n] = '\0';
    return pclose(pipe);
}

static int take_nothing(const char *data, size_t len, void *arg)
{
    (void)data;
    *(size_t *)arg += len;
    return 0;
}

/* A new server does not know the version of its storage for some moments. */
static void await_version(etcd_client *client)
{
    int64_t start = real_now_ms();
    bool known = false;

    while (!known) {
        etcd_snapshot_response *response;
        etcd_error err;
        size_t n = 0;

        assert_ok(etcd_snapshot_read(client, take_nothing, &n, NULL, &response, &err), &err);
        assert_int_equal(n, response->n_bytes);
        known = response->version.len > 0;
        etcd_response_free(response);
        assert_true(real_now_ms() - start < PATIENCE_MS);
    }
}

static void a_saved_snapshot_is_a_database(void **state)
{
    etcd_client *client = real_client();
    const char *path = path_of("saved.db");
    struct progress progress = {0};
    etcd_snapshot_response *response;
    char text[2000], *found;
    etcd_error err;
    struct stat st;
    int64_t revision;
    int minor = etcd_server_minor(real_server());

    (void)state;
    fill(client);
    if (minor >= 6)
        await_version(client);
    revision = real_put(client, "last", "one");
    assert_ok(
        etcd_snapshot_save(client, path, ETCD_SNAPSHOT(.progress_fn = on_progress, .progress_arg = &progress), &response, &err),
        &err);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, response->n_bytes);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_true(st.st_size > 3000000 && st.st_size % 512 == 32);
    assert_true(progress.calls > 50);
    assert_int_equal(progress.received, st.st_size);
    assert_int_equal(progress.total, st.st_size);
    if (minor >= 6)
        assert_int_equal(strncmp(response->version.data, "3.", 2), 0);
    else
        assert_string_equal(response->version.data, "");
    if (etcdctl() != NULL) {
        assert_int_equal(run(etcdctl(), "status -w json", path, text, sizeof text), 0);
        found = strstr(text, "\"revision\":");
        if (found == NULL)
            fail_msg("%s", text);
        assert_int_equal(strtoll(found + strlen("\"revision\":"), NULL, 10), revision);
    }
    etcd_response_free(response);
    (void)unlink(path);
    etcd_client_free(client);
}

/* Who restores verifies the checksum that is in the file. */
static void a_saved_snapshot_can_be_restored(void **state)
{
    etcd_client *client = real_client();
    const char *path;
    char text[4000], arguments[700];
    etcd_error err;

    (void)state;
    if (restorer() == NULL)
        skip();
    fill(client);
    snprintf(arguments, sizeof arguments, "restore --data-dir '%s/restored'", etcd_server_directory(real_server()));
    path = path_of("restore.db");
    assert_ok(etcd_snapshot_save(client, path, NULL, NULL, &err), &err);
    if (run(restorer(), arguments, path, text, sizeof text) != 0)
        fail_msg("%s", text);
    etcd_client_free(client);
}

static void a_connection_cut_in_the_middle_is_told(void **state)
{
    etcd_client *client = real_client();
    fault_proxy *proxy = fault_proxy_start(etcd_server_endpoint(real_server(), 0));
    const char *path = path_of("cut.db");
    char part[600];
    size_t whole = 0;
    etcd_error err;

    (void)state;
    fill(client);
    assert_ok(etcd_snapshot_read(client, take_nothing, &whole, NULL, NULL, &err), &err);
    etcd_client_free(client);
    snprintf(part, sizeof part, "%s.part", path);
    for (uint64_t at = 1000; at < whole; at += whole / 12) {
        size_t connections = fault_proxy_count(proxy);

        fault_proxy_cut_next(proxy, FAULT_DOWN, at);
        client = real_client_with(ETCD_CLIENT(.endpoints = fault_proxy_endpoint(proxy), .backoff_base_ms = 1));
        if (etcd_snapshot_save(client, path, NULL, NULL, &err) == ETCD_OK) {
            assert_true(fault_proxy_count(proxy) > connections + 1); /* a reset had taken all with it: it was tried once more */
            assert_int_equal(unlink(path), 0);
        } else {
            assert_error(err.code, &err, ETCD_ERR_UNAVAILABLE, NULL);
            assert_true(err.flags & ETCD_ERROR_RETRYABLE);
        }
        assert_int_equal(access(part, F_OK), -1);
        assert_int_equal(access(path, F_OK), -1);
        etcd_client_free(client);
    }
    fault_proxy_stop(proxy);
}

static void a_line_that_is_dead_ends_it(void **state)
{
    etcd_client *client = real_client();
    fault_proxy *proxy = fault_proxy_start(etcd_server_endpoint(real_server(), 0));
    etcd_snapshot *snapshot;
    etcd_snapshot_part *part;
    etcd_error err;
    int rc;

    (void)state;
    fill(client);
    etcd_client_free(client);
    fault_proxy_rate(proxy, 500000); /* the whole takes six seconds */
    client = real_client_with(ETCD_CLIENT(.endpoints = fault_proxy_endpoint(proxy)));
    assert_ok(etcd_snapshot_open(client, ETCD_SNAPSHOT(.idle_timeout_ms = 4000), &snapshot, &err), &err);
    assert_ok(etcd_snapshot_next(snapshot, PATIENCE_MS, &part, &err), &err);
    etcd_response_free(part);
    fault_proxy_hold(proxy, FAULT_BOTH);
    while ((rc = etcd_snapshot_next(snapshot, -1, &part, &err)) == ETCD_OK && part != NULL)
        etcd_response_free(part);
    assert_error(rc, &err, ETCD_ERR_DEADLINE_EXCEEDED, "nothing came for 4000 ms");
    etcd_snapshot_free(snapshot);
    etcd_client_free(client);
    fault_proxy_stop(proxy);
}

static void *cancel_it(void *arg)
{
    real_sleep_ms(30);
    etcd_snapshot_cancel(arg);
    return NULL;
}

static void canceled_by_another_thread(void **state)
{
    etcd_client *client = real_client();
    fault_proxy *proxy = fault_proxy_start(etcd_server_endpoint(real_server(), 0));
    etcd_snapshot *snapshot;
    etcd_snapshot_part *part;
    pthread_t thread;
    etcd_error err;
    int rc;

    (void)state;
    fill(client);
    etcd_client_free(client);
    fault_proxy_rate(proxy, 300000);
    client = real_client_with(ETCD_CLIENT(.endpoints = fault_proxy_endpoint(proxy)));
    assert_ok(etcd_snapshot_open(client, NULL, &snapshot, &err), &err);
    assert_int_equal(pthread_create(&thread, NULL, cancel_it, snapshot), 0);
    while ((rc = etcd_snapshot_next(snapshot, -1, &part, &err)) == ETCD_OK && part != NULL)
        etcd_response_free(part);
    assert_error(rc, &err, ETCD_ERR_CANCELED, NULL);
    pthread_join(thread, NULL);
    etcd_snapshot_free(snapshot);
    etcd_client_free(client);
    fault_proxy_stop(proxy);
}

/* A token is had before the stream is opened, and a new one when the server has forgotten the old. */
static void a_snapshot_of_a_server_with_accounts(void **state)
{
    struct etcd_server *server = etcd_server_start(NULL);
    const char *endpoint = etcd_server_endpoint(server, 0);
    etcd_client *nobody = real_client_with(ETCD_CLIENT(.endpoints = endpoint)), *root;
    size_t n = 0;
    etcd_error err;

    (void)state;
    assert_ok(etcd_user_add(nobody, "root", "pw", NULL, NULL, &err), &err);
    assert_ok(etcd_role_add(nobody, "root", NULL, NULL, &err), &err);
    assert_ok(etcd_user_grant_role(nobody, "root", "root", NULL, NULL, &err), &err);
    assert_ok(etcd_auth_enable(nobody, NULL, NULL, &err), &err);
    assert_true(etcd_snapshot_read(nobody, take_nothing, &n, NULL, NULL, &err) < 0);
    assert_int_equal(n, 0);
    root = real_client_with(ETCD_CLIENT(.endpoints = endpoint, .username = "root", .password = "pw", .backoff_base_ms = 10));
    assert_ok(etcd_snapshot_read(root, take_nothing, &n, NULL, NULL, &err), &err);
    assert_int_equal(etcd_server_signal(server, 0, SIGKILL), 0); /* tokens are in its memory only */
    assert_int_equal(etcd_server_restart(server, 0), 0);
    assert_ok(etcd_snapshot_read(root, take_nothing, &n, NULL, NULL, &err), &err);
    assert_true(n > 2 * 16384);
    etcd_client_free(root);
    etcd_client_free(nobody);
    etcd_server_stop(server);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_saved_snapshot_is_a_database),
    cmocka_unit_test(a_saved_snapshot_can_be_restored),
    cmocka_unit_test(a_connection_cut_in_the_middle_is_told),
    cmocka_unit_test(a_line_that_is_dead_ends_it),
    cmocka_unit_test(canceled_by_another_thread),
    cmocka_unit_test(a_snapshot_of_a_server_with_accounts),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
