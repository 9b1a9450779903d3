/* The harness of the real servers itself: what it starts is there, and nothing of it outlives the test, however that ends. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "real.h"

static void a_server_is_there_until_it_is_stopped(void **state)
{
    struct etcd_server *server = etcd_server_start(NULL);
    char directory[512];
    pid_t pid;

    (void)state;
    assert_non_null(server);
    assert_int_equal(etcd_server_members(server), 1);
    assert_in_range(etcd_server_minor(server), 4, 99);
    assert_string_equal(etcd_server_endpoints(server), etcd_server_endpoint(server, 0));
    assert_int_equal(etcd_server_leader(server, 20000), 0);
    pid = etcd_server_pid(server, 0);
    assert_int_equal(kill(pid, 0), 0);
    snprintf(directory, sizeof directory, "%s", etcd_server_directory(server));
    assert_int_equal(access(directory, F_OK), 0);
    etcd_server_stop(server);
    assert_int_equal(kill(pid, 0), -1);
    assert_int_equal(access(directory, F_OK), -1);
    etcd_server_stop(NULL);
}

static void a_member_keeps_ports_and_data_over_a_restart(void **state)
{
    static const int signals[] = {SIGKILL, SIGTERM};
    struct etcd_server *server = etcd_server_start(NULL);
    char endpoint[128];

    (void)state;
    assert_non_null(server);
    snprintf(endpoint, sizeof endpoint, "%s", etcd_server_endpoint(server, 0));
    for (int i = 0; i < 2; i++) {
        etcd_client *client = real_client_with(ETCD_CLIENT(.endpoints = endpoint));
        etcd_get_response *get;

        real_put(client, "key", i == 0 ? "first" : "second");
        etcd_client_free(client);
        assert_int_equal(etcd_server_signal(server, 0, signals[i]), 0);
        assert_int_equal(etcd_server_pid(server, 0), -1);
        assert_int_equal(etcd_server_signal(server, 0, SIGKILL), -1);
        assert_int_equal(etcd_server_restart(server, 0), 0);
        assert_int_equal(etcd_server_restart(server, 0), -1);
        assert_int_equal(etcd_server_await_healthy(server, 0, 20000), 0);
        assert_string_equal(etcd_server_endpoint(server, 0), endpoint);
        client = real_client_with(ETCD_CLIENT(.endpoints = endpoint));
        get = real_get(client, "key", NULL);
        assert_text(get->kvs[0].value, i == 0 ? "first" : "second");
        etcd_response_free(get);
        etcd_client_free(client);
    }
    etcd_server_stop(server);
}

static void a_frozen_member_is_not_healthy(void **state)
{
    struct etcd_server *server = etcd_server_start(NULL);

    (void)state;
    assert_non_null(server);
    assert_int_equal(etcd_server_signal(server, 0, SIGSTOP), 0);
    assert_int_equal(etcd_server_await_healthy(server, 0, 100), -1);
    assert_int_equal(etcd_server_signal(server, 0, SIGCONT), 0);
    assert_int_equal(etcd_server_await_healthy(server, 0, 20000), 0);
    assert_int_equal(etcd_server_signal(server, 0, SIGSTOP), 0);
    etcd_server_stop(server); /* also a frozen one */
}

static void flags_reach_the_server(void **state)
{
    static const char *const flags[] = {"--max-txn-ops=3", NULL};
    struct etcd_server_options options = {.flags = flags, .auth_token = "simple"};
    struct etcd_server *server = etcd_server_start(&options);
    etcd_client *client;
    etcd_txn *txn;
    etcd_error err;

    (void)state;
    assert_non_null(server);
    client = real_client_with(ETCD_CLIENT(.endpoints = etcd_server_endpoints(server)));
    txn = etcd_txn_new(client);
    for (const char *key = "abcd"; *key != '\0'; key++)
        etcd_txn_put(txn, key, 1, ETCD_STR("x"), NULL);
    assert_error(etcd_txn_commit(txn, NULL, NULL, &err), &err, ETCD_ERR_TOO_MANY_OPS, NULL);
    etcd_txn_free(txn);
    etcd_client_free(client);
    etcd_server_stop(server);
}

static void a_binary_that_is_no_etcd_is_told(void **state)
{
    char *before = getenv("ETCD3_TEST_ETCD"), *version = getenv("ETCD3_TEST_ETCD_VERSION");

    (void)state;
    before = before != NULL ? strdup(before) : NULL;
    version = version != NULL ? strdup(version) : NULL;
    setenv("ETCD3_TEST_ETCD", "/bin/false", 1);
    assert_null(etcd_server_start(NULL));
    unsetenv("ETCD3_TEST_ETCD_VERSION");
    assert_null(etcd_server_start(NULL));
    before != NULL ? setenv("ETCD3_TEST_ETCD", before, 1) : unsetenv("ETCD3_TEST_ETCD");
    if (version != NULL)
        setenv("ETCD3_TEST_ETCD_VERSION", version, 1);
    free(before);
    free(version);
}

/* What a process that starts a server tells of it before it ends as `how` says. */
struct report {
    pid_t pid;
    char directory[256];
};

static void start_and_crash(int report_fd, int how)
{
    struct etcd_server *server = etcd_server_start(NULL);
    struct report report = {.pid = server != NULL ? etcd_server_pid(server, 0) : -1};

    if (server != NULL)
        snprintf(report.directory, sizeof report.directory, "%s", etcd_server_directory(server));
    if (write(report_fd, &report, sizeof report) != sizeof report)
        _exit(1);
    if (how != 0)
        kill(getpid(), how);
    _exit(0);
}

/* A zombie that its new parent has not buried yet does not count. */
static bool runs(pid_t pid)
{
    char path[64], first;
    FILE *file;
    size_t n;

    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
    file = fopen(path, "r");
    if (file == NULL)
        return false;
    n = fread(&first, 1, 1, file);
    fclose(file);
    return n == 1;
}

static void await_gone(const struct report *report)
{
    int64_t start = real_now_ms();

    while (runs(report->pid) || access(report->directory, F_OK) == 0) {
        assert_true(real_now_ms() - start < 20000);
        real_sleep_ms(10);
    }
}

static void nothing_outlives_a_test_that_crashes(void **state)
{
    static const int ends[] = {SIGKILL, SIGTERM, SIGABRT, 0};

    (void)state;
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        struct report report;
        int fds[2];
        pid_t child;

        assert_int_equal(pipe(fds), 0);
        child = fork();
        if (child == 0)
            start_and_crash(fds[1], ends[i]);
        close(fds[1]);
        assert_int_equal(read(fds[0], &report, sizeof report), sizeof report);
        assert_true(report.pid > 0);
        close(fds[0]);
        assert_int_equal(waitpid(child, NULL, 0), child);
        await_gone(&report);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_server_is_there_until_it_is_stopped), cmocka_unit_test(a_member_keeps_ports_and_data_over_a_restart),
    cmocka_unit_test(a_frozen_member_is_not_healthy),        cmocka_unit_test(flags_reach_the_server),
    cmocka_unit_test(a_binary_that_is_no_etcd_is_told),      cmocka_unit_test(nothing_outlives_a_test_that_crashes),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
