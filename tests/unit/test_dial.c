/* Connecting: addresses, unix paths, names with many addresses, and every way in which it fails, in words. */
#include "harness/dns.h"
#include "harness/net.h"
#include "harness/stream_user.h"
#include "harness/test.h"

#include "base/clock.h"
#include "net/resolve.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void check_echo(etcd_test_user *u)
{
    char data[8];

    etcd_test_user_connect(u);
    assert_int_equal(etcd__stream_write(u->stream, (const uint8_t *)"hello", 5, NULL), 5);
    assert_int_equal(etcd_test_read(u->peer, data, 5), 5);
    assert_memory_equal(data, "hello", 5);
    etcd_test_write(u->peer, "world", 5);
    while (u->n_read < 5)
        etcd__loop_turn(u->loop, -1);
    assert_string_equal(u->last, "world");
    assert_int_equal(u->opened, 1);
    assert_int_equal(u->writable, 0);
    etcd_test_user_free(u);
}

static void tcp_over_ipv4(void **state)
{
    etcd_test_user u;

    (void)state;
    etcd_test_user_tcp(&u);
    check_echo(&u);
}

static void tcp_over_ipv6(void **state)
{
    etcd_test_user u;

    (void)state;
    etcd_test_user_init(&u);
    u.listener = etcd_test_listen(AF_INET6, 16, &u.target.port);
    u.target.host = "::1";
    check_echo(&u);
}

static void unix_socket(void **state)
{
    etcd_test_user u;

    (void)state;
    etcd_test_user_unix(&u);
    check_echo(&u);
}

static void name_of_the_hosts_file(void **state)
{
    etcd_test_user u;

    (void)state;
    etcd_test_user_tcp(&u);
    u.target.host = "localhost";
    check_echo(&u);
}

static void connection_refused(void **state)
{
    etcd_test_user u;
    char want[64];

    (void)state;
    etcd_test_user_init(&u);
    u.listener = etcd_test_hold("127.0.0.1", &u.target.port); /* it does not listen */
    u.target.host = "127.0.0.1";
    etcd_test_user_open(&u, 60000);
    etcd_test_user_wait(&u, &u.closed);
    assert_int_equal(u.opened, 0);
    assert_int_equal(u.code, ETCD_ERR_CONNECTION);
    (void)snprintf(want, sizeof want, "connect 127.0.0.1:%u: Connection refused", u.target.port);
    assert_string_equal(u.why, want);
    etcd__loop_turn(u.loop, 0);
    assert_int_equal(u.closed, 1);
    assert_int_equal(etcd__stream_write(u.stream, (const uint8_t *)"x", 1, NULL), 0);
    etcd_test_user_free(&u);
}

static void no_such_unix_socket(void **state)
{
    etcd_test_user u;

    (void)state;
    etcd_test_user_init(&u);
    u.target.kind = ETCD__TARGET_UNIX;
    u.target.path = "/nonexistent/etcd.sock";
    u.close_in_close = true;
    etcd_test_user_open(&u, 10000);
    etcd_test_user_wait(&u, &u.closed);
    assert_string_equal(u.why, "connect /nonexistent/etcd.sock: No such file or directory");
    etcd_test_user_free(&u);
}

static void unix_path_too_long(void **state)
{
    etcd_test_user u;
    char path[200];
    etcd_error err;

    (void)state;
    etcd_test_user_init(&u);
    memset(path, 'p', sizeof path);
    path[sizeof path - 1] = '\0';
    u.target.kind = ETCD__TARGET_UNIX;
    u.target.path = path;
    assert_int_equal(etcd__stream_open(u.loop, &u.target, ETCD__SECOND, &etcd_test_user_events, &u, &u.stream, &err),
                     ETCD_ERR_ARGUMENT);
    assert_string_equal(err.message, "the path of the unix socket is too long: 199 bytes, the system takes 107");
    assert_null(u.stream);
    u.target.path = "";
    assert_int_equal(etcd__stream_open(u.loop, &u.target, ETCD__SECOND, &etcd_test_user_events, &u, &u.stream, &err),
                     ETCD_ERR_ARGUMENT);
    etcd_test_user_free(&u);
}

static void no_answer_to_connect(void **state)
{
    etcd_test_user u;
    int fds[16], n;
    char want[96];
    int64_t start;

    (void)state;
    etcd_test_user_init(&u);
    u.listener = etcd_test_listen(AF_INET, 0, &u.target.port);
    u.target.host = "127.0.0.1";
    n = etcd_test_fill_backlog(u.listener, fds, 16);
    start = etcd__clock_monotonic();
    etcd_test_user_open(&u, 40);
    etcd_test_user_wait(&u, &u.closed);
    assert_true(etcd__clock_monotonic() - start >= 39 * ETCD__MS);
    (void)snprintf(want, sizeof want, "connect 127.0.0.1:%u: no answer within 40 ms", u.target.port);
    assert_string_equal(u.why, want);
    for (int i = 0; i < n; i++)
        (void)close(fds[i]);
    etcd_test_user_free(&u);
}

static void no_answer_to_a_name(void **state)
{
    etcd_test_user u;
    etcd_test_dns *dns = etcd_test_dns_start();

    (void)state;
    etcd_test_user_init(&u);
    etcd_test_dns_mode(dns, ETCD_TEST_DNS_SILENT);
    etcd__resolve_servers(u.loop, etcd_test_dns_address(dns));
    u.target.host = "slow.test";
    u.target.port = 1;
    etcd_test_user_open(&u, 40);
    etcd_test_user_wait(&u, &u.closed);
    assert_int_equal(u.code, ETCD_ERR_CONNECTION);
    assert_string_equal(u.why, "resolve slow.test: no answer within 40 ms");
    etcd_test_user_free(&u);
    etcd_test_dns_stop(dns);
}

static void unknown_name(void **state)
{
    etcd_test_user u;
    etcd_test_dns *dns = etcd_test_dns_start();

    (void)state;
    etcd_test_user_init(&u);
    etcd__resolve_servers(u.loop, etcd_test_dns_address(dns));
    u.target.host = "unknown.test";
    u.target.port = 1;
    etcd_test_user_open(&u, 10000);
    etcd_test_user_wait(&u, &u.closed);
    assert_int_equal(u.code, ETCD_ERR_CONNECTION);
    assert_ptr_equal(strstr(u.why, "resolve unknown.test on 127.0.0.1:"), u.why);
    etcd_test_user_free(&u);
    etcd_test_dns_stop(dns);
}

/* A port of which we have all of the addresses, so that nobody else listens there. */
static void hold_all(const char *const *addresses, int *fds, size_t n, uint16_t *port)
{
    size_t held = 0;

    while (held < n) {
        for (*port = 0, held = 0; held < n && (fds[held] = etcd_test_hold(addresses[held], port)) >= 0; held++)
            continue;
        for (size_t i = 0; held < n && i < held; i++)
            (void)close(fds[i]);
    }
}

/* 127.0.0.x are all ours, and nobody listens on most of them. */
static void all_addresses_of_a_name(void **state)
{
    static const char *const addresses[] = {"127.0.0.1", "127.0.0.2", "::1", "127.0.0.3"};
    etcd_test_user u;
    etcd_test_dns *dns = etcd_test_dns_start();
    int fds[4];

    (void)state;
    etcd_test_user_init(&u);
    hold_all(addresses, fds, 4, &u.target.port);
    u.listener = etcd_test_listen_held("127.0.0.1", 16, u.target.port);
    etcd__resolve_servers(u.loop, etcd_test_dns_address(dns));
    etcd_test_dns_add(dns, "mixed.test", "127.0.0.2");
    etcd_test_dns_add(dns, "mixed.test", "::1");
    etcd_test_dns_add(dns, "mixed.test", "127.0.0.1");
    etcd_test_dns_add(dns, "mixed.test", "127.0.0.3");
    u.target.host = "mixed.test";
    etcd_test_user_connect(&u);
    etcd_test_user_close(&u);
    (void)close(u.listener);
    u.listener = -1;
    etcd_test_user_open(&u, 60000);
    etcd_test_user_wait(&u, &u.closed);
    assert_int_equal(u.code, ETCD_ERR_CONNECTION);
    assert_non_null(strstr(u.why, "connect 127.0.0.1:"));
    assert_non_null(strstr(u.why, "connect 127.0.0.2:"));
    assert_non_null(strstr(u.why, "connect 127.0.0.3:"));
    assert_non_null(strstr(u.why, "connect [::1]:"));
    assert_non_null(strstr(u.why, "Connection refused; connect "));
    etcd_test_user_free(&u);
    for (size_t i = 0; i < 4; i++)
        (void)close(fds[i]);
    etcd_test_dns_stop(dns);
}

/* The address that does not answer costs a quarter of a second, not the whole time limit. */
static void silent_address_does_not_hold_up_the_others(void **state)
{
    etcd_test_user u;
    etcd_test_dns *dns = etcd_test_dns_start();
    static const char *const addresses[] = {"127.0.0.1", "127.0.0.2"};
    int silent, fds[16], held[2], n;
    int64_t start;

    (void)state;
    etcd_test_user_init(&u);
    hold_all(addresses, held, 2, &u.target.port);
    u.listener = etcd_test_listen_held("127.0.0.1", 16, u.target.port);
    silent = etcd_test_listen_held("127.0.0.2", 0, u.target.port);
    n = etcd_test_fill_backlog(silent, fds, 16);
    etcd__resolve_servers(u.loop, etcd_test_dns_address(dns));
    etcd_test_dns_add(dns, "half.test", "127.0.0.2");
    etcd_test_dns_add(dns, "half.test", "127.0.0.1");
    u.target.host = "half.test";
    start = etcd__clock_monotonic();
    etcd_test_user_connect(&u);
    assert_true(etcd__clock_monotonic() - start < 20 * ETCD__SECOND); /* of 60 */
    for (int i = 0; i < n; i++)
        (void)close(fds[i]);
    (void)close(silent);
    etcd_test_user_free(&u);
    (void)close(held[0]);
    (void)close(held[1]);
    etcd_test_dns_stop(dns);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(tcp_over_ipv4),
        cmocka_unit_test(tcp_over_ipv6),
        cmocka_unit_test(unix_socket),
        cmocka_unit_test(name_of_the_hosts_file),
        cmocka_unit_test(connection_refused),
        cmocka_unit_test(no_such_unix_socket),
        cmocka_unit_test(unix_path_too_long),
        cmocka_unit_test(no_answer_to_connect),
        cmocka_unit_test(no_answer_to_a_name),
        cmocka_unit_test(unknown_name),
        cmocka_unit_test(all_addresses_of_a_name),
        cmocka_unit_test(silent_address_does_not_hold_up_the_others),
    };

    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
