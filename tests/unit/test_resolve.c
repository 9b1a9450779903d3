/* Names to addresses: the hosts file, a DNS server of the test over UDP and TCP, its failures, cancel, memory. No query leaves
 * the loopback. */
#include "harness/alloc.h"
#include "harness/dns.h"
#include "harness/net.h"
#include "harness/test.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "net/resolve.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct lookup {
    etcd__loop *loop;
    etcd__resolve *resolve;
    int done;
    char found[512]; /* "10.0.0.1:7 [::1]:7" */
    int code;
    char why[ETCD_ERROR_MESSAGE_MAX];
};

static void ignore(void *arg)
{
    (void)arg;
}

static void on_done(void *arg, etcd__address *addresses, size_t n, const etcd_error *why)
{
    struct lookup *l = arg;

    l->done++;
    l->resolve = NULL;
    l->found[0] = '\0';
    l->code = why ? why->code : ETCD_OK;
    (void)snprintf(l->why, sizeof l->why, "%s", why ? why->message : "");
    for (size_t i = 0; i < n; i++) {
        char text[ETCD__ADDRESS_TEXT];
        size_t len = strlen(l->found);

        etcd__address_text(&addresses[i], text);
        (void)snprintf(l->found + len, sizeof l->found - len, "%s%s", i > 0 ? " " : "", text);
    }
    assert_int_equal(addresses != NULL, why == NULL);
    etcd__free(addresses);
}

static void start(struct lookup *l, const char *host)
{
    etcd_error err;

    l->done = 0;
    if (etcd__resolve_start(l->loop, host, 7, on_done, l, &l->resolve, &err) != ETCD_OK)
        fail_msg("%s", err.message);
    assert_int_equal(l->done, 0);
}

static void resolve(struct lookup *l, const char *host)
{
    start(l, host);
    while (!l->done)
        etcd__loop_turn(l->loop, -1);
}

static struct lookup make(etcd_test_dns *dns)
{
    struct lookup l = {0};

    assert_int_equal(etcd__loop_new(ignore, NULL, &l.loop, NULL), ETCD_OK);
    if (dns != NULL)
        etcd__resolve_servers(l.loop, etcd_test_dns_address(dns));
    return l;
}

static void hosts_file(void **state)
{
    struct lookup l = make(NULL);

    (void)state;
    resolve(&l, "localhost");
    assert_non_null(strstr(l.found, "127.0.0.1:7"));
    etcd__loop_free(l.loop);
}

static void both_families(void **state)
{
    etcd_test_dns *dns = etcd_test_dns_start();
    struct lookup l = make(dns);

    (void)state;
    etcd_test_dns_add(dns, "one.test", "127.0.0.2");
    etcd_test_dns_add(dns, "two.test", "127.0.0.2");
    etcd_test_dns_add(dns, "two.test", "127.0.0.3");
    etcd_test_dns_add(dns, "two.test", "::1");
    resolve(&l, "one.test");
    assert_string_equal(l.found, "127.0.0.2:7");
    resolve(&l, "two.test");
    assert_int_equal(strlen(l.found), strlen("127.0.0.2:7 127.0.0.3:7 [::1]:7"));
    assert_non_null(strstr(l.found, "127.0.0.2:7"));
    assert_non_null(strstr(l.found, "127.0.0.3:7"));
    assert_non_null(strstr(l.found, "[::1]:7"));
    etcd__loop_free(l.loop);
    etcd_test_dns_stop(dns);
}

static void each_lookup_asks_again(void **state)
{
    etcd_test_dns *dns = etcd_test_dns_start();
    struct lookup l = make(dns);

    (void)state;
    etcd_test_dns_add(dns, "moved.test", "127.0.0.2");
    resolve(&l, "moved.test");
    assert_string_equal(l.found, "127.0.0.2:7");
    etcd_test_dns_add(dns, "moved.test", "127.0.0.9");
    resolve(&l, "moved.test");
    assert_non_null(strstr(l.found, "127.0.0.9:7"));
    etcd__loop_free(l.loop);
    etcd_test_dns_stop(dns);
}

static void failures_say_the_name(void **state)
{
    etcd_test_dns *dns = etcd_test_dns_start();
    struct lookup l = make(dns);

    (void)state;
    resolve(&l, "unknown.test");
    assert_int_equal(l.code, ETCD_ERR_CONNECTION);
    assert_non_null(strstr(l.why, "resolve unknown.test on 127.0.0.1:"));
    etcd_test_dns_mode(dns, ETCD_TEST_DNS_SERVFAIL);
    resolve(&l, "broken.test");
    assert_int_equal(l.code, ETCD_ERR_CONNECTION);
    assert_non_null(strstr(l.why, "resolve broken.test on 127.0.0.1:"));
    assert_non_null(strstr(l.why, "general failure")); /* of a server that was contacted */
    resolve(&l, "not..a..name");
    assert_int_equal(l.code, ETCD_ERR_CONNECTION);
    etcd__loop_free(l.loop);
    etcd_test_dns_stop(dns);
}

static void long_answer_over_tcp(void **state)
{
    etcd_test_dns *dns = etcd_test_dns_start();
    struct lookup l = make(dns);

    (void)state;
    etcd_test_dns_add(dns, "long.test", "127.0.0.2");
    etcd_test_dns_mode(dns, ETCD_TEST_DNS_TCP);
    resolve(&l, "long.test");
    assert_string_equal(l.found, "127.0.0.2:7");
    etcd__loop_free(l.loop);
    etcd_test_dns_stop(dns);
}

/* The server resets the connection that is being written to: SIGPIPE would end this program. */
static void reset_over_tcp_raises_no_signal(void **state)
{
    etcd_test_dns *dns = etcd_test_dns_start();
    struct lookup l = make(dns);

    (void)state;
    etcd_test_dns_add(dns, "long.test", "127.0.0.2");
    etcd_test_dns_mode(dns, ETCD_TEST_DNS_TCP_RESET);
    for (int i = 0; i < 5; i++) {
        resolve(&l, "long.test");
        assert_int_equal(l.code, ETCD_ERR_CONNECTION);
    }
    etcd__loop_free(l.loop);
    etcd_test_dns_stop(dns);
}

static void garbage_is_not_believed(void **state)
{
    etcd_test_dns *dns = etcd_test_dns_start();
    struct lookup l = make(dns);

    (void)state;
    assert_int_equal(setenv("RES_OPTIONS", "retrans:20 retry:2", 1), 0);
    etcd_test_dns_add(dns, "some.test", "127.0.0.2");
    etcd_test_dns_mode(dns, ETCD_TEST_DNS_GARBAGE);
    resolve(&l, "some.test");
    assert_int_equal(l.code, ETCD_ERR_CONNECTION);
    assert_true(etcd_test_dns_queries(dns) > 0);
    etcd_test_dns_mode(dns, ETCD_TEST_DNS_SILENT);
    resolve(&l, "some.test");
    assert_int_equal(l.code, ETCD_ERR_CONNECTION);
    etcd__loop_free(l.loop);
    etcd_test_dns_stop(dns);
}

static void many_at_once(void **state)
{
    etcd_test_dns *dns = etcd_test_dns_start();
    struct lookup lookups[40];
    struct lookup first = make(dns);
    int done = 0;

    (void)state;
    for (int i = 0; i < 40; i++) {
        char name[32];

        (void)snprintf(name, sizeof name, "n%d.test", i);
        if (i % 2 == 0)
            etcd_test_dns_add(dns, name, "127.0.0.2");
        lookups[i] = first;
        start(&lookups[i], name);
    }
    while (done < 40) {
        etcd__loop_turn(first.loop, -1);
        done = 0;
        for (int i = 0; i < 40; i++)
            done += lookups[i].done;
    }
    for (int i = 0; i < 40; i++)
        assert_int_equal(lookups[i].code, i % 2 == 0 ? ETCD_OK : ETCD_ERR_CONNECTION);
    etcd__loop_free(first.loop);
    etcd_test_dns_stop(dns);
}

static void cancel_at_any_time(void **state)
{
    etcd_test_dns *dns = etcd_test_dns_start();
    struct lookup l = make(dns);
    size_t before = etcd_test_open_fds();

    (void)state;
    etcd_test_dns_mode(dns, ETCD_TEST_DNS_SILENT);
    for (int turns = 0; turns < 4; turns++) {
        start(&l, "slow.test");
        for (int i = 0; i < turns; i++)
            etcd__loop_turn(l.loop, ETCD__MS);
        etcd__resolve_cancel(l.resolve);
        etcd__loop_turn(l.loop, 0);
        assert_int_equal(l.done, 0);
    }
    start(&l, "localhost"); /* the result is there, but not told yet */
    etcd__resolve_cancel(l.resolve);
    etcd__loop_turn(l.loop, 0);
    assert_int_equal(l.done, 0);
    etcd__resolve_cancel(NULL);
    assert_int_equal(etcd_test_open_fds(), before);
    etcd__loop_free(l.loop);
    etcd_test_dns_stop(dns);
}

static void sockets_are_not_inherited(void **state)
{
    size_t before = etcd_test_inherited_fds();
    etcd_test_dns *dns = etcd_test_dns_start();
    struct lookup l = make(dns);
    size_t with_dns = etcd_test_inherited_fds(), open_before = etcd_test_open_fds();

    (void)state;
    etcd_test_dns_mode(dns, ETCD_TEST_DNS_SILENT);
    start(&l, "slow.test");
    etcd__loop_turn(l.loop, 0);
    assert_true(etcd_test_open_fds() > open_before);
    assert_int_equal(etcd_test_inherited_fds(), with_dns);
    etcd__resolve_cancel(l.resolve);
    etcd__loop_free(l.loop);
    etcd_test_dns_stop(dns);
    assert_int_equal(etcd_test_inherited_fds(), before);
}

struct sweep {
    etcd_test_dns *dns;
    const char *host;
};

static int try_lookup(const struct sweep *s)
{
    struct lookup l = {0};
    int rc = etcd__loop_new(ignore, NULL, &l.loop, NULL);

    if (rc == ETCD_OK) {
        etcd__resolve_servers(l.loop, etcd_test_dns_address(s->dns));
        rc = etcd__resolve_start(l.loop, s->host, 7, on_done, &l, &l.resolve, NULL);
    }
    if (rc == ETCD_OK) {
        while (!l.done)
            etcd__loop_turn(l.loop, -1);
        rc = l.code;
    }
    etcd__loop_free(l.loop);
    return rc;
}

/* Again, when the short time for an answer (see below) was over though no allocation has failed: the server's thread was late. */
static int lookup_once(void *arg)
{
    int rc = try_lookup(arg);

    for (int i = 0; i < 100 && rc == ETCD_ERR_CONNECTION && !etcd_test_alloc_failed(); i++)
        rc = try_lookup(arg);
    return rc;
}

static void allocation_failures(void **state)
{
    struct sweep s = {.dns = etcd_test_dns_start(), .host = "localhost"};

    (void)state;
    /* c-ares drops a query or an answer for which it has no memory, and asks again after a time that it reads from here. */
    assert_int_equal(setenv("RES_OPTIONS", "retrans:20 retry:2", 1), 0);
    etcd_test_alloc_install();
    (void)etcd_test_alloc_sweep(lookup_once, &s);
    etcd_test_dns_add(s.dns, "some.test", "127.0.0.2");
    s.host = "some.test";
    (void)etcd_test_alloc_sweep(lookup_once, &s);
    etcd_test_dns_stop(s.dns);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_file),
        cmocka_unit_test(both_families),
        cmocka_unit_test(each_lookup_asks_again),
        cmocka_unit_test(failures_say_the_name),
        cmocka_unit_test(long_answer_over_tcp),
        cmocka_unit_test(reset_over_tcp_raises_no_signal),
        cmocka_unit_test(garbage_is_not_believed),
        cmocka_unit_test(many_at_once),
        cmocka_unit_test(cancel_at_any_time),
        cmocka_unit_test(sockets_are_not_inherited),
        cmocka_unit_test(allocation_failures),
    };

    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
