/* A name with two addresses, where TLS works at one of them only: the connection is made there within the same attempt. Which
 * address is tried first is the resolver's choice, so each test is done with either of them broken. */
#include "harness/alloc.h"
#include "harness/dns.h"
#include "harness/net.h"
#include "harness/pki.h"
#include "harness/stream_user.h"
#include "harness/test.h"
#include "harness/tls_peer.h"

#include "base/clock.h"
#include "net/resolve.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define NAME "two.test"

/* What an address does with those who connect. */
enum conduct { GOOD, CLOSES, SILENT, WRONG_NAME };

struct address {
    const char *text;
    enum conduct conduct;
    int listener, peer;
    etcd_test_tls_server server;
    SSL *ssl;
    int visits;
};

struct scene {
    etcd_test_user u;
    etcd_test_dns *dns;
    etcd_test_cert ca, good, wrong;
    char *ca_pem;
    etcd__tls *tls;
    struct address addresses[2];
};

static int listen_at(const char *text, uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(inet_pton(AF_INET, text, &address.sin_addr), 1);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 16) == 0)
        return fd;
    (void)close(fd);
    return -1;
}

/* One port that is free at both. */
static void listen_at_both(struct scene *s)
{
    do {
        if (s->addresses[0].listener >= 0)
            (void)close(s->addresses[0].listener);
        s->addresses[0].listener = etcd_test_listen(AF_INET, 16, &s->u.target.port);
        s->addresses[1].listener = listen_at("127.0.0.2", s->u.target.port);
    } while (s->addresses[1].listener < 0);
}

static void make(struct scene *s, enum conduct first, enum conduct second)
{
    memset(s, 0, sizeof *s);
    s->addresses[0] = (struct address){.text = "127.0.0.1", .conduct = first, .listener = -1, .peer = -1};
    s->addresses[1] = (struct address){.text = "127.0.0.2", .conduct = second, .listener = -1, .peer = -1};
    etcd_test_user_init(&s->u);
    listen_at_both(s);
    s->dns = etcd_test_dns_start();
    for (int i = 0; i < 2; i++)
        etcd_test_dns_add(s->dns, NAME, s->addresses[i].text);
    etcd__resolve_servers(s->u.loop, etcd_test_dns_address(s->dns));
    s->ca = etcd_test_cert_new(&(etcd_test_cert_spec){.cn = "Test CA", .ca = true});
    s->good = etcd_test_cert_new(&(etcd_test_cert_spec){.sans = "DNS:" NAME, .issuer = &s->ca});
    s->wrong = etcd_test_cert_new(&(etcd_test_cert_spec){.sans = "DNS:other.test", .issuer = &s->ca});
    s->ca_pem = etcd_test_pem(&s->ca);
    assert_int_equal(etcd__tls_new(&(etcd_tls_options){.ca_pem = s->ca_pem}, &s->tls, NULL), ETCD_OK);
    for (int i = 0; i < 2; i++)
        s->addresses[i].server.cert = s->addresses[i].conduct == WRONG_NAME ? &s->wrong : &s->good;
    s->u.target.host = NAME;
    s->u.target.tls = s->tls;
}

static void forget_peer(struct address *a)
{
    SSL_free(a->ssl);
    a->ssl = NULL;
    if (a->peer >= 0)
        (void)close(a->peer);
    a->peer = -1;
}

static void destroy(struct scene *s)
{
    etcd_test_user_free(&s->u);
    etcd__tls_free(s->tls);
    for (int i = 0; i < 2; i++) {
        forget_peer(&s->addresses[i]);
        (void)close(s->addresses[i].listener);
    }
    etcd_test_dns_stop(s->dns);
    etcd_test_cert_free(&s->ca);
    etcd_test_cert_free(&s->good);
    etcd_test_cert_free(&s->wrong);
    free(s->ca_pem);
}

static void welcome(struct address *a)
{
    forget_peer(a);
    a->visits++;
    a->peer = etcd_test_accept(a->listener);
    assert_int_equal(fcntl(a->peer, F_SETFL, O_NONBLOCK), 0);
    if (a->conduct == CLOSES)
        forget_peer(a);
    else if (a->conduct != SILENT)
        a->ssl = etcd_test_tls_accept(&a->server);
}

/* Carries bytes between the socket and OpenSSL. */
static void serve(struct address *a)
{
    char data[16384];
    ssize_t n;
    int len;

    while ((n = recv(a->peer, data, sizeof data, 0)) > 0)
        assert_int_equal(BIO_write(SSL_get_rbio(a->ssl), data, (int)n), n);
    (void)SSL_do_handshake(a->ssl);
    while ((len = BIO_read(SSL_get_wbio(a->ssl), data, sizeof data)) > 0)
        (void)send(a->peer, data, (size_t)len, MSG_NOSIGNAL);
}

static void step(struct scene *s)
{
    etcd__loop_turn(s->u.loop, ETCD__MS);
    for (int i = 0; i < 2; i++) {
        if (etcd_test_readable(s->addresses[i].listener, 0))
            welcome(&s->addresses[i]);
        if (s->addresses[i].ssl != NULL)
            serve(&s->addresses[i]);
    }
}

static void run(struct scene *s)
{
    while (!s->u.opened && !s->u.closed)
        step(s);
}

/* With the conduct at either address, and the other good: one of the two times the bad one comes first. */
static void check_fallback(enum conduct bad, int64_t timeout_ms)
{
    int bad_visits = 0;

    for (int i = 0; i < 2; i++) {
        struct scene s;

        make(&s, i == 0 ? bad : GOOD, i == 0 ? GOOD : bad);
        etcd_test_user_open(&s.u, timeout_ms);
        run(&s);
        if (s.u.closed)
            fail_msg("%s", s.u.why);
        assert_true(s.addresses[1 - i].visits > 0);
        bad_visits += s.addresses[i].visits;
        assert_int_equal(etcd__stream_write(s.u.stream, (const uint8_t *)"x", 1, NULL), 1);
        destroy(&s);
    }
    assert_true(bad_visits > 0);
}

static void address_that_closes(void **state)
{
    (void)state;
    check_fallback(CLOSES, 60000);
}

static void address_with_another_certificate(void **state)
{
    (void)state;
    check_fallback(WRONG_NAME, 60000);
}

/* It may cost half of the time. The other half is time enough for a machine that is slow. */
static void address_that_says_nothing(void **state)
{
    const char *slowdown = getenv("ETCD3_TEST_SLOWDOWN");

    (void)state;
    check_fallback(SILENT, slowdown != NULL && strtol(slowdown, NULL, 10) > 4 ? 20000 : 6000);
}

static void all_reasons_are_told(void **state)
{
    struct scene s;
    char want[80];

    (void)state;
    make(&s, CLOSES, WRONG_NAME);
    etcd_test_user_open(&s.u, 60000);
    run(&s);
    assert_int_equal(s.u.opened, 0);
    assert_int_equal(s.u.code, ETCD_ERR_CONNECTION);
    for (int i = 0; i < 2; i++) {
        assert_true(s.addresses[i].visits > 0);
        (void)snprintf(want, sizeof want, "TLS handshake with %s:%u: ", s.addresses[i].text, s.u.target.port);
        assert_non_null(strstr(s.u.why, want));
    }
    assert_non_null(strstr(s.u.why, "; "));
    assert_non_null(strstr(s.u.why, "is for other.test, not for " NAME));
    destroy(&s);
}

static void remember(int level, const char *message, void *arg)
{
    char *text = arg;
    size_t len = strlen(text);

    assert_int_equal(level, ETCD__LOG_DEBUG);
    (void)snprintf(text + len, 2048 - len, "%s\n", message);
}

static void follows(const char **text, const char *part)
{
    const char *found = strstr(*text, part);

    if (found == NULL)
        fail_msg("\"%s\" does not follow in:\n%s", part, *text);
    *text = found + strlen(part);
}

static void the_log_tells_of_each_address(void **state)
{
    char text[2048] = "";
    const char *at = text;
    const etcd__log log = {remember, text, ETCD__LOG_DEBUG};
    int64_t start, turn;
    struct scene s;

    (void)state;
    make(&s, WRONG_NAME, WRONG_NAME);
    s.u.target.log = &log;
    s.u.target.label = "label";
    do { /* again, if a turn took so long that the second address was not to wait for the first any more */
        text[0] = '\0';
        turn = 0;
        etcd_test_user_open(&s.u, 60000);
        while (!s.u.opened && !s.u.closed) {
            start = etcd__clock_monotonic();
            step(&s);
            turn = etcd__clock_monotonic() - start > turn ? etcd__clock_monotonic() - start : turn;
        }
        etcd_test_user_close(&s.u);
    } while (turn > 100 * ETCD__MS);
    follows(&at, "label: two.test has 2 addresses\nlabel: connecting to 127.0.0.");
    follows(&at, "label: TLS handshake with 127.0.0.");
    follows(&at, "is for other.test, not for two.test\nlabel: connecting to 127.0.0.");
    s.addresses[0].server.cert = s.addresses[1].server.cert = &s.good;
    etcd_test_user_open(&s.u, 60000);
    run(&s);
    follows(&at, " answers: TLSv1.3, TLS_");
    follows(&at, ", new session\n");
    destroy(&s);
}

static void nothing_answers_in_time(void **state)
{
    struct scene s;
    int64_t start = etcd__clock_monotonic();

    (void)state;
    make(&s, SILENT, SILENT);
    etcd_test_user_open(&s.u, 400);
    run(&s);
    assert_int_equal(s.u.opened, 0);
    assert_true(etcd__clock_monotonic() - start >= 399 * ETCD__MS);
    assert_non_null(strstr(s.u.why, "no answer within "));
    destroy(&s);
}

/* After the first address has failed, at every turn until the second has opened. */
static void close_between_the_addresses(void **state)
{
    bool opened = false;

    (void)state;
    for (int turns = 0; !opened; turns++)
        for (int i = 0; i < 2; i++) {
            struct scene s;

            make(&s, i == 0 ? CLOSES : GOOD, i == 0 ? GOOD : CLOSES);
            etcd_test_user_open(&s.u, 60000);
            while (!s.u.opened && s.addresses[i].visits == 0)
                step(&s);
            for (int turn = 0; turn < turns && !s.u.opened; turn++)
                step(&s);
            opened = s.u.opened != 0;
            etcd_test_user_close(&s.u);
            destroy(&s);
        }
}

static void no_descriptor_is_left(void **state)
{
    struct scene s;
    size_t open;

    (void)state;
    make(&s, CLOSES, GOOD);
    for (int i = 0; i < 5; i++) {
        etcd_test_user_open(&s.u, 60000);
        run(&s);
        assert_int_equal(s.u.opened, 1);
        etcd_test_user_close(&s.u);
        forget_peer(&s.addresses[0]);
        forget_peer(&s.addresses[1]);
        etcd__loop_turn(s.u.loop, 0);
        if (i == 0)
            open = etcd_test_open_fds();
        else
            assert_int_equal(etcd_test_open_fds(), open);
    }
    destroy(&s);
}

/* Fails the k-th allocation after the first address was met; false when there are no more than k - 1. */
static bool fail_one(struct scene *s, size_t k)
{
    bool failed;

    s->addresses[0].visits = s->addresses[1].visits = 0;
    etcd_test_user_open(&s->u, 60000);
    while (s->addresses[0].visits + s->addresses[1].visits == 0)
        step(s);
    etcd_test_alloc_fail_at(k);
    run(s);
    failed = etcd_test_alloc_failed();
    etcd_test_alloc_fail_at(0);
    if (!failed && !s->u.opened)
        fail_msg("allocation %zu: %s", k, s->u.why);
    etcd_test_user_close(&s->u);
    etcd__loop_turn(s->u.loop, 0);
    return failed;
}

static void allocation_failures(void **state)
{
    struct scene s;

    (void)state;
    etcd_test_alloc_install();
    for (int i = 0; i < 2; i++) {
        size_t live = etcd_test_alloc_live(), k = 1;

        make(&s, i == 0 ? CLOSES : GOOD, i == 0 ? GOOD : CLOSES);
        while (fail_one(&s, k))
            k++;
        assert_true(k > 1);
        destroy(&s);
        assert_int_equal(etcd_test_alloc_live(), live);
    }
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(address_that_closes),           cmocka_unit_test(address_with_another_certificate),
        cmocka_unit_test(address_that_says_nothing),     cmocka_unit_test(all_reasons_are_told),
        cmocka_unit_test(the_log_tells_of_each_address), cmocka_unit_test(nothing_answers_in_time),
        cmocka_unit_test(close_between_the_addresses),   cmocka_unit_test(no_descriptor_is_left),
        cmocka_unit_test(allocation_failures),
    };

    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
