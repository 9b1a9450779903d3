/* TLS on streams: real sockets to OpenSSL's server side, both driven by this thread. What test_stream.c says of plain streams
 * must hold here, too, and a handshake may be cut, delayed or answered with anything at every byte. */
#include "harness/alloc.h"
#include "harness/net.h"
#include "harness/pki.h"
#include "harness/stream_user.h"
#include "harness/test.h"
#include "harness/tls_peer.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* A stream of a user, and the server's side of its connection: OpenSSL between two memory buffers, whose bytes the test carries,
 * as OpenSSL's own socket calls raise SIGPIPE. */
struct pair {
    etcd_test_user u;
    etcd_test_cert ca, cert;
    etcd__tls *tls;
    etcd_test_tls_server server;
    SSL *ssl;
    char *ca_pem;
    char waiting[16384]; /* for the socket to have room */
    size_t n_waiting;
};

static int make_tls(struct pair *p)
{
    int rc = etcd__tls_new(&(etcd_tls_options){.ca_pem = p->ca_pem}, &p->tls, NULL);

    p->u.target.tls = p->tls;
    return rc;
}

static void make(struct pair *p, bool over_unix)
{
    memset(p, 0, sizeof *p);
    if (over_unix)
        etcd_test_user_unix(&p->u);
    else
        etcd_test_user_tcp(&p->u);
    p->ca = etcd_test_cert_new(&(etcd_test_cert_spec){.cn = "Test CA", .ca = true});
    p->cert = etcd_test_cert_new(&(etcd_test_cert_spec){.sans = "DNS:localhost,IP:127.0.0.1", .issuer = &p->ca});
    p->ca_pem = etcd_test_pem(&p->ca);
    p->server.cert = &p->cert;
    assert_int_equal(make_tls(p), ETCD_OK);
}

static void destroy(struct pair *p)
{
    SSL_free(p->ssl);
    etcd_test_user_free(&p->u);
    etcd__tls_free(p->tls);
    etcd_test_cert_free(&p->ca);
    etcd_test_cert_free(&p->cert);
    free(p->ca_pem);
}

/* Begins to connect and accepts; TLS has not begun on the server's side. */
static void meet(struct pair *p)
{
    etcd_test_user_open(&p->u, 60000);
    while (!etcd_test_readable(p->u.listener, 0))
        etcd__loop_turn(p->u.loop, ETCD__MS);
    p->u.peer = etcd_test_accept(p->u.listener);
    assert_int_equal(fcntl(p->u.peer, F_SETFL, O_NONBLOCK), 0);
}

static void start_server(struct pair *p)
{
    SSL_free(p->ssl);
    p->ssl = etcd_test_tls_accept(&p->server);
    p->n_waiting = 0;
}

/* Carries bytes between the socket and OpenSSL, as far as both go at once. */
static void carry(struct pair *p)
{
    char data[16384];
    ssize_t n;

    while ((n = recv(p->u.peer, data, sizeof data, 0)) > 0)
        assert_int_equal(BIO_write(SSL_get_rbio(p->ssl), data, (int)n), n);
    for (;;) {
        if (p->n_waiting == 0) {
            int more = BIO_read(SSL_get_wbio(p->ssl), p->waiting, sizeof p->waiting);

            p->n_waiting = more > 0 ? (size_t)more : 0;
        }
        if (p->n_waiting == 0 || (n = send(p->u.peer, p->waiting, p->n_waiting, MSG_NOSIGNAL)) <= 0)
            return;
        p->n_waiting -= (size_t)n;
        memmove(p->waiting, p->waiting + n, p->n_waiting);
    }
}

static bool handshake(struct pair *p)
{
    int result;

    carry(p);
    result = SSL_do_handshake(p->ssl);
    carry(p);
    return result == 1;
}

static int server_read(struct pair *p, void *data, int size)
{
    int n;

    carry(p);
    n = SSL_read(p->ssl, data, size);
    carry(p);
    return n;
}

static void server_write(struct pair *p, const void *data, int len)
{
    assert_int_equal(SSL_write(p->ssl, data, len), len);
    carry(p);
}

static void step(struct pair *p)
{
    etcd__loop_turn(p->u.loop, ETCD__MS);
    (void)handshake(p);
}

static void open_pair(struct pair *p)
{
    meet(p);
    start_server(p);
    while ((!p->u.opened && !p->u.closed) || SSL_in_init(p->ssl))
        step(p);
    if (p->u.closed)
        fail_msg("%s", p->u.why);
}

/* Reads exactly `len` bytes on the server's side while the client's goes on. */
static void server_reads(struct pair *p, char *data, int len)
{
    for (int have = 0; have < len;) {
        int n = server_read(p, data + have, len - have);

        if (n > 0)
            have += n;
        else
            etcd__loop_turn(p->u.loop, ETCD__MS);
    }
}

static void close_peer(struct pair *p)
{
    (void)close(p->u.peer);
    p->u.peer = -1;
}

static void check_echo(bool over_unix)
{
    struct pair p;
    char data[8];

    make(&p, over_unix);
    open_pair(&p);
    assert_int_equal(etcd__stream_write(p.u.stream, (const uint8_t *)"hello", 5, NULL), 5);
    server_reads(&p, data, 5);
    assert_memory_equal(data, "hello", 5);
    server_write(&p, "world", 5);
    while (p.u.n_read < 5)
        etcd__loop_turn(p.u.loop, -1);
    assert_string_equal(p.u.last, "world");
    assert_int_equal(p.u.opened, 1);
    assert_int_equal(p.u.writable, 0);
    destroy(&p);
}

static void over_tcp(void **state)
{
    (void)state;
    check_echo(false);
}

static void over_a_unix_socket(void **state)
{
    (void)state;
    check_echo(true);
}

static void wrong_name(void **state)
{
    struct pair p;
    char want[160];

    (void)state;
    make(&p, false);
    p.u.target.server_name = "etcd.example";
    meet(&p);
    start_server(&p);
    while (!p.u.closed)
        step(&p);
    assert_int_equal(p.u.opened, 0);
    assert_int_equal(p.u.code, ETCD_ERR_CONNECTION);
    (void)snprintf(want, sizeof want,
                   "TLS handshake with 127.0.0.1:%u: certificate of 127.0.0.1:%u is for localhost, 127.0.0.1, "
                   "not for etcd.example",
                   p.u.target.port, p.u.target.port);
    assert_string_equal(p.u.why, want);
    carry(&p);
    assert_int_equal(SSL_get_error(p.ssl, SSL_do_handshake(p.ssl)), SSL_ERROR_SSL); /* it was told */
    destroy(&p);
}

/* The server is closed after the k-th byte of its answers, for every k. */
static void handshake_cut_after_every_byte(void **state)
{
    struct pair p;
    bool complete = false;

    (void)state;
    make(&p, false);
    for (size_t cut = 0; !complete; cut++) {
        uint8_t data[65536];
        size_t sent = 0;
        SSL *ssl = etcd_test_tls_accept(&p.server);

        meet(&p);
        while (sent < cut && !complete) {
            ssize_t n = recv(p.u.peer, data, sizeof data, 0);
            int len;

            if (n > 0)
                assert_int_equal(BIO_write(SSL_get_rbio(ssl), data, (int)n), n);
            (void)SSL_do_handshake(ssl);
            while (sent < cut && (len = BIO_read(SSL_get_wbio(ssl), data, cut - sent < 65536 ? (int)(cut - sent) : 65536)) > 0) {
                etcd_test_write(p.u.peer, data, (size_t)len);
                sent += (size_t)len;
            }
            etcd__loop_turn(p.u.loop, ETCD__MS / 10);
            complete = p.u.opened && sent < cut; /* there is no further byte */
        }
        close_peer(&p);
        etcd_test_user_wait(&p.u, &p.u.closed);
        if (strstr(p.u.why, p.u.opened ? "read 127.0.0.1:" : "TLS handshake with 127.0.0.1:") != p.u.why ||
            (!strstr(p.u.why, ": the peer closed the connection") && !strstr(p.u.why, ": Connection reset by peer")))
            fail_msg("cut after %zu: %s", cut, p.u.why);
        assert_true(complete || cut < 20000);
        etcd_test_user_close(&p.u);
        SSL_free(ssl);
        cut += cut < 40 ? 0 : 6; /* every byte of the first records, then every seventh */
    }
    destroy(&p);
}

/* (With more time, until there was enough to connect before.) */
static void silent_server(void **state)
{
    struct pair p;
    char want[96];

    (void)state;
    make(&p, false);
    for (int timeout_ms = 40; timeout_ms < 20000; timeout_ms *= 4) {
        int64_t start = etcd__clock_monotonic();

        etcd_test_user_open(&p.u, timeout_ms);
        etcd_test_user_wait(&p.u, &p.u.closed);
        assert_true(etcd__clock_monotonic() - start >= (timeout_ms - 1) * ETCD__MS);
        (void)snprintf(want, sizeof want, "TLS handshake with 127.0.0.1:%u: no answer within %d ms", p.u.target.port, timeout_ms);
        etcd_test_user_close(&p.u);
        if (strncmp(p.u.why, "connect ", 8) != 0)
            break;
    }
    assert_string_equal(p.u.why, want);
    destroy(&p);
}

static void server_without_tls(void **state)
{
    struct pair p;

    (void)state;
    make(&p, false);
    meet(&p);
    etcd_test_write(p.u.peer, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
    etcd_test_user_wait(&p.u, &p.u.closed);
    assert_non_null(strstr(p.u.why, ": the peer does not speak TLS"));
    assert_int_equal(p.u.opened, 0);
    destroy(&p);
}

/* In TLS 1.3 a server looks at the client's certificate when the client is done already. */
static void refusal_after_the_handshake(void **state)
{
    struct pair p;

    (void)state;
    make(&p, false);
    p.server.client_ca = &p.ca;
    p.server.min_version = TLS1_3_VERSION;
    meet(&p);
    start_server(&p);
    while (!p.u.closed)
        step(&p);
    assert_int_equal(p.u.opened, 1);
    assert_non_null(strstr(p.u.why, "the peer ended it: it requires a client certificate"));
    destroy(&p);
}

/* --- bytes ------------------------------------------------------------------------------------- */

#define BULK ((size_t)3 * 1024 * 1024)

static char pattern(size_t i)
{
    return (char)(i * 31 + i / 251);
}

/* Much in both directions at once, with small buffers. */
static void bulk_in_both_directions(void **state)
{
    struct pair p;
    char *data = malloc(BULK), *back = malloc(BULK);
    size_t sent = 0, received = 0, short_ones = 0;
    int small = 4096, n;

    (void)state;
    make(&p, true);
    assert_true(data != NULL && back != NULL);
    for (size_t i = 0; i < BULK; i++)
        data[i] = pattern(i);
    open_pair(&p);
    (void)setsockopt(p.u.peer, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    while (p.u.n_read < BULK) {
        int before = p.u.writable;
        ssize_t taken = etcd__stream_write(p.u.stream, (const uint8_t *)data + sent, BULK - sent, NULL);

        assert_true(taken >= 0);
        sent += (size_t)taken;
        short_ones += sent < BULK;
        while (received < BULK && (n = server_read(&p, back + received, (int)(BULK - received))) > 0) {
            server_write(&p, back + received, n);
            received += (size_t)n;
        }
        carry(&p);
        etcd__loop_turn(p.u.loop, 0);
        assert_in_range(p.u.writable, before, before + 1);
        if (p.u.closed)
            fail_msg("%s", p.u.why);
    }
    assert_memory_equal(data, back, BULK);
    assert_true(short_ones > 2 && p.u.writable > 2);
    free(data);
    free(back);
    destroy(&p);
}

/* Accepted means encrypted; what the kernel does not take leaves later without a further call. */
static void accepted_bytes_leave_by_themselves(void **state)
{
    struct pair p;
    char *data = calloc(1, BULK), *back = malloc(BULK);
    ssize_t n, again;

    (void)state;
    make(&p, true);
    open_pair(&p);
    for (int i = 0; i < 3; i++) /* the server's session tickets */
        etcd__loop_turn(p.u.loop, 0);
    n = etcd__stream_write(p.u.stream, (const uint8_t *)data, BULK, NULL);
    assert_in_range(n, 1, BULK - 1);
    again = etcd__stream_write(p.u.stream, (const uint8_t *)data, BULK, NULL);
    assert_int_equal(again, 0);
    server_reads(&p, back, (int)n);
    assert_memory_equal(data, back, (size_t)n);
    while (p.u.writable == 0)
        etcd__loop_turn(p.u.loop, -1);
    etcd__loop_turn(p.u.loop, 0);
    assert_int_equal(p.u.writable, 1);
    free(data);
    free(back);
    destroy(&p);
}

/* --- the end ----------------------------------------------------------------------------------- */

static void peer_closes(void **state)
{
    struct pair p;

    (void)state;
    for (int politely = 0; politely < 2; politely++) {
        make(&p, false);
        open_pair(&p);
        server_write(&p, "bye", 3);
        if (politely)
            (void)SSL_shutdown(p.ssl);
        carry(&p);
        if (!politely)
            close_peer(&p);
        etcd_test_user_wait(&p.u, &p.u.closed);
        assert_string_equal(p.u.last, "bye");
        assert_non_null(strstr(p.u.why, ": the peer closed the connection"));
        assert_ptr_equal(strstr(p.u.why, "read 127.0.0.1:"), p.u.why);
        destroy(&p);
    }
}

static void write_to_a_dead_peer(void **state)
{
    struct pair p;
    struct sigaction action;

    (void)state;
    assert_int_equal(sigaction(SIGPIPE, NULL, &action), 0);
    assert_true(action.sa_handler == SIG_DFL);
    make(&p, true);
    open_pair(&p);
    server_write(&p, "answer", 6);
    close_peer(&p);
    assert_true(etcd__stream_write(p.u.stream, (const uint8_t *)"request", 7, NULL) >= 0);
    assert_int_equal(p.u.closed, 0);
    etcd_test_user_wait(&p.u, &p.u.closed);
    assert_string_equal(p.u.last, "answer");
    assert_non_null(strstr(p.u.why, ": Broken pipe"));
    destroy(&p);
}

static void garbage_after_the_handshake(void **state)
{
    struct pair p;

    (void)state;
    make(&p, false);
    open_pair(&p);
    etcd_test_write(p.u.peer, "\x17\x03\x03\0\x20 this was encrypted by nobody at all", 42);
    etcd_test_user_wait(&p.u, &p.u.closed);
    assert_int_equal(p.u.code, ETCD_ERR_CONNECTION);
    assert_ptr_equal(strstr(p.u.why, "TLS with 127.0.0.1:"), p.u.why);
    assert_int_equal(p.u.n_read, 0);
    destroy(&p);
}

/* --- closing ----------------------------------------------------------------------------------- */

static void close_says_bye(void **state)
{
    struct pair p;
    char data[8];

    (void)state;
    make(&p, false);
    open_pair(&p);
    etcd_test_user_close(&p.u);
    assert_true(server_read(&p, data, sizeof data) <= 0);
    assert_int_equal(SSL_get_shutdown(p.ssl), SSL_RECEIVED_SHUTDOWN);
    destroy(&p);
}

static void close_inside_events(void **state)
{
    struct pair p;

    (void)state;
    make(&p, false);
    p.u.close_in_open = true;
    meet(&p);
    start_server(&p);
    while (p.u.stream != NULL)
        step(&p);
    assert_int_equal(p.u.opened, 1);
    assert_int_equal(p.u.closed, 0);
    destroy(&p);
    make(&p, false);
    open_pair(&p);
    p.u.close_after = 1;
    server_write(&p, "some data", 9);
    while (p.u.stream != NULL)
        etcd__loop_turn(p.u.loop, -1);
    assert_int_equal(p.u.reads, 1);
    destroy(&p);
    make(&p, false);
    p.u.close_in_close = true;
    open_pair(&p);
    (void)SSL_shutdown(p.ssl);
    carry(&p);
    etcd_test_user_wait(&p.u, &p.u.closed);
    assert_null(p.u.stream);
    destroy(&p);
}

static void close_during_the_handshake(void **state)
{
    struct pair p;

    (void)state;
    make(&p, false);
    meet(&p);
    etcd__loop_turn(p.u.loop, 0);
    etcd_test_user_close(&p.u);
    etcd__loop_turn(p.u.loop, 0);
    assert_int_equal(p.u.opened + p.u.closed, 0);
    destroy(&p);
}

/* The child frees its copy: not even a farewell reaches the peer, and the parent goes on. */
static void fork_child_says_nothing(void **state)
{
    struct pair p;
    char data[8];
    pid_t child;
    int status;

    (void)state;
    make(&p, false);
    open_pair(&p);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (!etcd__loop_forked(p.u.loop, false))
            _exit(1);
        etcd__stream_close(p.u.stream);
        etcd__loop_free(p.u.loop);
        etcd__tls_free(p.tls);
        _exit(0);
    }
    while (waitpid(child, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    assert_int_equal(status, 0);
    assert_false(etcd_test_readable(p.u.peer, 0));
    assert_int_equal(etcd__stream_write(p.u.stream, (const uint8_t *)"ping", 4, NULL), 4);
    server_reads(&p, data, 4);
    assert_memory_equal(data, "ping", 4);
    destroy(&p);
}

static void no_descriptor_is_left(void **state)
{
    struct pair p;
    size_t before;

    (void)state;
    make(&p, false);
    before = etcd_test_open_fds();
    for (int i = 0; i < 5; i++) {
        open_pair(&p);
        close_peer(&p);
        etcd_test_user_close(&p.u);
    }
    etcd__loop_turn(p.u.loop, 0);
    assert_int_equal(etcd_test_open_fds(), before);
    destroy(&p);
}

static void ignore(void *arg)
{
    (void)arg;
}

static int use_stream(void *arg)
{
    struct pair *p = arg;
    etcd_test_user *u = &p->u;
    int rc;

    u->opened = u->closed = 0;
    u->n_read = 0;
    u->stream = NULL;
    u->loop = NULL;
    rc = make_tls(p);
    if (rc == ETCD_OK)
        rc = etcd__loop_new(ignore, NULL, &u->loop, NULL);
    if (rc == ETCD_OK)
        rc = etcd__stream_open(u->loop, &u->target, 60 * ETCD__SECOND, &etcd_test_user_events, u, &u->stream, NULL);
    while (rc == ETCD_OK && !u->closed && u->n_read == 0) {
        etcd__loop_turn(u->loop, ETCD__MS);
        if (u->peer < 0 && etcd_test_readable(u->listener, 0)) {
            u->peer = etcd_test_accept(u->listener);
            assert_int_equal(fcntl(u->peer, F_SETFL, O_NONBLOCK), 0);
            start_server(p);
        }
        if (u->peer >= 0 && handshake(p))
            server_write(p, "x", 1);
        if (u->opened)
            (void)etcd__stream_write(u->stream, (const uint8_t *)"y", 1, NULL);
    }
    if (rc == ETCD_OK && u->closed)
        rc = u->code;
    etcd__stream_close(u->stream);
    etcd__loop_free(u->loop);
    etcd__tls_free(p->tls);
    u->stream = NULL;
    u->loop = NULL;
    p->tls = NULL;
    if (u->peer >= 0)
        close_peer(p);
    while (etcd_test_readable(u->listener, 0)) /* connections of runs that failed after the kernel had connected */
        (void)close(etcd_test_accept(u->listener));
    return rc;
}

static void allocation_failures(void **state)
{
    struct pair p;

    (void)state;
    etcd_test_alloc_install();
    make(&p, true);
    etcd__loop_free(p.u.loop);
    etcd__tls_free(p.tls);
    p.u.loop = NULL;
    p.tls = NULL;
    assert_true(etcd_test_alloc_sweep(use_stream, &p) >= 8);
    destroy(&p);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(over_tcp),
        cmocka_unit_test(over_a_unix_socket),
        cmocka_unit_test(wrong_name),
        cmocka_unit_test(handshake_cut_after_every_byte),
        cmocka_unit_test(silent_server),
        cmocka_unit_test(server_without_tls),
        cmocka_unit_test(refusal_after_the_handshake),
        cmocka_unit_test(bulk_in_both_directions),
        cmocka_unit_test(accepted_bytes_leave_by_themselves),
        cmocka_unit_test(peer_closes),
        cmocka_unit_test(write_to_a_dead_peer),
        cmocka_unit_test(garbage_after_the_handshake),
        cmocka_unit_test(close_says_bye),
        cmocka_unit_test(close_inside_events),
        cmocka_unit_test(close_during_the_handshake),
        cmocka_unit_test(fork_child_says_nothing),
        cmocka_unit_test(no_descriptor_is_left),
        cmocka_unit_test(allocation_failures),
    };

    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
