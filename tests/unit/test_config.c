/* Options from YAML files and from the environment. */
#include <etcd3/etcd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/config.h"
#include "harness/alloc.h"
#include "harness/test.h"

/* A file with this text, to be removed by the caller. */
static char *write_file(const char *text)
{
    static char path[64];
    int fd;

    (void)snprintf(path, sizeof path, "/tmp/etcd3-config-XXXXXX");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    return path;
}

static int load(const char *text, etcd_config **config, etcd_error *err)
{
    char *path = write_file(text);
    int rc = etcd_config_load_yaml(path, config, err);

    unlink(path);
    return rc;
}

static void durations(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {{"5s", 5000}, {"1.5s", 1500},    {"100ms", 100}, {"1h2m3s", 3723000}, {"0", 0},  {"5000000000", 5000},
                {"1us", 1},   {"1\xc2\xb5s", 1}, {"-2s", -2000}, {".5s", 500},        {"0s", 0}, {"1m0.5s", 60500}};
    static const char *const bad[] = {"", "s", "5", "5x", "1s2", "--1s", "1..5s", ".", "1 s", "1e3s", "99999999999999h"};
    int64_t ms;

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        ms = 12345;
        assert_true(etcd__config_parse_duration(good[i].text, &ms));
        assert_int_equal(ms, good[i].ms);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (strcmp(bad[i], "5") != 0) /* a number alone: nanoseconds */
            assert_false(etcd__config_parse_duration(bad[i], &ms));
    assert_true(etcd__config_parse_duration("5", &ms));
    assert_int_equal(ms, 1);
}

static void a_yaml_file_with_everything(void **state)
{
    etcd_config *config;
    etcd_error err;
    const etcd_client_options *o;

    (void)state;
    assert_int_equal(load("# comment\n"
                          "endpoints: [\"https://a:1\", 'https://b:2']\n"
                          "dial-timeout: 2s\n"
                          "dial-keep-alive-time: 30000000000\n"
                          "dial-keep-alive-timeout: 3s\n"
                          "auto-sync-interval: 1m\n"
                          "max-unary-retries: 7\n"
                          "backoff-wait-between: 50ms\n"
                          "username: me\n"
                          "password: \"p:w\"\n"
                          "reject-old-cluster: true\n"
                          "cert-file: c.pem\n"
                          "key-file: k.pem\n"
                          "trusted-ca-file: ca.pem\n"
                          "ca-file: old.pem\n"
                          "permit-without-stream: true\n"
                          "insecure-skip-tls-verify: true\n",
                          &config, &err),
                     ETCD_OK);
    o = etcd_config_options(config);
    assert_string_equal(o->endpoints, "https://a:1,https://b:2");
    assert_int_equal(o->connect_timeout_ms, 2000);
    assert_int_equal(o->ping_interval_ms, 30000);
    assert_int_equal(o->ping_timeout_ms, 3000);
    assert_int_equal(o->auto_sync_interval_ms, 60000);
    assert_int_equal(o->max_attempts, 7);
    assert_int_equal(o->retry_wait_ms, 50);
    assert_string_equal(o->username, "me");
    assert_string_equal(o->password, "p:w");
    assert_true(o->reject_old_cluster);
    assert_non_null(o->tls);
    assert_string_equal(o->tls->cert_file, "c.pem");
    assert_string_equal(o->tls->key_file, "k.pem");
    assert_string_equal(o->tls->ca_file, "ca.pem");
    assert_true(o->tls->insecure_skip_verify);
    etcd_config_free(config);
}

static void insecure_transport_means_no_tls(void **state)
{
    etcd_config *config;
    etcd_error err;

    (void)state;
    assert_int_equal(load("insecure-transport: true\nendpoints: 127.0.0.1:2379\n", &config, &err), ETCD_OK);
    assert_null(etcd_config_options(config)->tls);
    assert_string_equal(etcd_config_options(config)->endpoints, "127.0.0.1:2379");
    etcd_config_free(config);
    assert_int_equal(load("", &config, &err), ETCD_OK);
    assert_non_null(etcd_config_options(config)->tls);
    etcd_config_free(config);
}

static void faults_in_a_yaml_file_are_located(void **state)
{
    static const struct {
        const char *text, *message;
    } faults[] = {
        {"endpoints: a\nnonsense: 1\n", ":2: unknown key \"nonsense\""},
        {"dial-timeout: soon\n", ":1: dial-timeout: \"soon\" is not a duration"},
        {"\n\nmax-unary-retries: -1\n", ":3: max-unary-retries: \"-1\" is not a number"},
        {"reject-old-cluster: maybe\n", "\"maybe\" is not true or false"},
        {"endpoints: [[a]]\n", ":1: an endpoint is no text"},
        {"username: [a]\n", ":1: the value is of the wrong kind"},
        {"- a\n", ":1: keys and values are expected"},
        {"[a]: b\n", ":1: a key is no text"},
        {"a: [\n", ":2: "},
    };
    etcd_config *config;
    etcd_error err;

    (void)state;
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        assert_int_equal(load(faults[i].text, &config, &err), ETCD_ERR_ARGUMENT);
        assert_null(config);
        if (strstr(err.message, faults[i].message) == NULL)
            fail_msg("\"%s\" does not contain \"%s\"", err.message, faults[i].message);
    }
    assert_int_equal(etcd_config_load_yaml("/nonexistent/file", &config, &err), ETCD_ERR_SYSTEM);
    assert_non_null(strstr(err.message, "/nonexistent/file: No such file"));
    assert_int_equal(etcd_config_load_yaml(NULL, &config, &err), ETCD_ERR_ARGUMENT);
}

static void the_environment_of_etcdctl(void **state)
{
    etcd_config *config;
    etcd_error err;
    const etcd_client_options *o;

    (void)state;
    assert_int_equal(etcd_config_load_env("ETCD3_NOT_SET_", &config, &err), ETCD_OK);
    assert_string_equal(etcd_config_options(config)->endpoints, "127.0.0.1:2379");
    assert_null(etcd_config_options(config)->tls);
    etcd_config_free(config);

    setenv("ETCDCTL_ENDPOINTS", "a:1,b:2", 1);
    setenv("ETCDCTL_DIAL_TIMEOUT", "7s", 1);
    setenv("ETCDCTL_COMMAND_TIMEOUT", "9s", 1);
    setenv("ETCDCTL_USER", "root:se:cret", 1);
    setenv("ETCDCTL_CACERT", "ca.pem", 1);
    setenv("ETCDCTL_MAX_REQUEST_BYTES", "1000", 1);
    assert_int_equal(etcd_config_load_env(NULL, &config, &err), ETCD_OK);
    o = etcd_config_options(config);
    assert_string_equal(o->endpoints, "a:1,b:2");
    assert_int_equal(o->connect_timeout_ms, 7000);
    assert_int_equal(o->request_timeout_ms, 9000);
    assert_string_equal(o->username, "root");
    assert_string_equal(o->password, "se:cret");
    assert_string_equal(o->tls->ca_file, "ca.pem");
    assert_int_equal(o->max_send_bytes, 1000);
    etcd_config_free(config);

    setenv("ETCDCTL_PASSWORD", "other", 1); /* then the user is taken whole */
    assert_int_equal(etcd_config_load_env(NULL, &config, &err), ETCD_OK);
    assert_string_equal(etcd_config_options(config)->username, "root:se:cret");
    assert_string_equal(etcd_config_options(config)->password, "other");
    etcd_config_free(config);

    setenv("ETCDCTL_AUTH_JWT_TOKEN", "jwt", 1); /* wins */
    assert_int_equal(etcd_config_load_env(NULL, &config, &err), ETCD_OK);
    assert_null(etcd_config_options(config)->username);
    assert_string_equal(etcd_config_options(config)->token, "jwt");
    etcd_config_free(config);

    setenv("ETCDCTL_DIAL_TIMEOUT", "7 seconds", 1);
    assert_int_equal(etcd_config_load_env(NULL, &config, &err), ETCD_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "ETCDCTL_DIAL_TIMEOUT: \"7 seconds\" is not a duration"));
}

static void transport_security_can_be_forced(void **state)
{
    etcd_config *config;

    (void)state;
    setenv("X_INSECURE_TRANSPORT", "false", 1);
    assert_int_equal(etcd_config_load_env("X_", &config, NULL), ETCD_OK);
    assert_non_null(etcd_config_options(config)->tls);
    etcd_config_free(config);
}

static int load_once(void *path)
{
    etcd_config *config;
    int rc = etcd_config_load_yaml(path, &config, NULL);

    etcd_config_free(config);
    return rc;
}

static void allocation_failures(void **state)
{
    char *path = write_file("endpoints: [a, b, c]\nusername: u\npassword: p\n");

    (void)state;
    etcd_test_alloc_install();
    assert_true(etcd_test_alloc_sweep(load_once, path) > 0);
    unlink(path);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations),
        cmocka_unit_test(a_yaml_file_with_everything),
        cmocka_unit_test(insecure_transport_means_no_tls),
        cmocka_unit_test(faults_in_a_yaml_file_are_located),
        cmocka_unit_test(the_environment_of_etcdctl),
        cmocka_unit_test(transport_security_can_be_forced),
        cmocka_unit_test(allocation_failures),
    };

    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
