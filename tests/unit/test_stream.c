/* Streams against real sockets of the test: connect in all its ways, bytes in both directions, every way to end, close at any
 * moment, no SIGPIPE (its disposition is the default: it would end this program), fork, memory and descriptors. */
#include "harness/alloc.h"
#include "harness/dns.h"
#include "harness/net.h"
#include "harness/test.h"

#include "base/clock.h"
#include "net/resolve.h"
#include "net/socket.h"
#include "net/stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* The user of one stream: notes what happened. */
struct user {
    etcd__loop *loop;
    etcd__stream *stream;
    etcd__target target;
    char path[108];
    int listener, peer; /* the test's side */
    int opened, writable, closed;
    size_t n_read, close_after; /* bytes after which on_read closes the stream; 0: never */
    int reads;
    char last[64];      /* the last bytes read */
    int code;
    char why[ETCD_ERROR_MESSAGE_MAX];
    bool close_in_open, close_in_writable, close_in_close;
};

static void ignore(void *arg)
{
    (void)arg;
}

static void close_it(struct user *u)
{
    etcd__stream_close(u->stream);
    u->stream = NULL;
}

static void on_open(void *arg)
{
    struct user *u = arg;

    u->opened++;
    if (u->close_in_open)
        close_it(u);
}

static void on_read(void *arg, const uint8_t *data, size_t len)
{
    struct user *u = arg;
    size_t keep = len < sizeof u->last - 1 ? len : sizeof u->last - 1;

    assert_true(len > 0);
    assert_int_equal(u->closed, 0);
    u->reads++;
    u->n_read += len;
    memcpy(u->last, data + len - keep, keep);
    u->last[keep] = '\0';
    if (u->close_after > 0 && u->n_read >= u->close_after)
        close_it(u);
}

static void on_writable(void *arg)
{
    struct user *u = arg;

    u->writable++;
    if (u->close_in_writable)
        close_it(u);
}

static void on_close(void *arg, const etcd_error *why)
{
    struct user *u = arg;

    assert_int_equal(u->closed, 0);
    u->closed++;
    u->code = why->code;
    (void)snprintf(u->why, sizeof u->why, "%s", why->message);
    if (u->close_in_close)
        close_it(u);
}

static const etcd__stream_events events = {on_open, on_read, on_writable, on_close};

static void make(struct user *u)
{
    memset(u, 0, sizeof *u);
    u->listener = u->peer = -1;
    assert_int_equal(etcd__loop_new(ignore, NULL, &u->loop, NULL), ETCD_OK);
}

static void make_tcp(struct user *u)
{
    make(u);
    u->listener = etcd_test_listen(AF_INET, 16, &u->target.port);
    u->target.host = "127.0.0.1";
}

static void make_unix(struct user *u)
{
    make(u);
    u->listener = etcd_test_listen_unix(16, u->path);
    u->target.kind = ETCD__TARGET_UNIX;
    u->target.path = u->path;
}

static void destroy(struct user *u)
{
    etcd__stream_close(u->stream);
    etcd__loop_free(u->loop);
    if (u->listener >= 0)
        (void)close(u->listener);
    if (u->peer >= 0)
        (void)close(u->peer);
    if (u->path[0] != '\0')
        etcd_test_unlink_unix(u->path);
}

static void open_stream(struct user *u, int64_t timeout_ms)
{
    etcd_error err;

    u->opened = u->closed = u->reads = u->writable = 0;
    u->n_read = 0;
    if (etcd__stream_open(u->loop, &u->target, timeout_ms * ETCD__MS, &events, u, &u->stream, &err) != ETCD_OK)
        fail_msg("%s", err.message);
    assert_int_equal(u->opened + u->closed, 0);
}

static void turn_until(struct user *u, const int *flag)
{
    while (!*flag)
        etcd__loop_turn(u->loop, -1);
}

static void connect_stream(struct user *u)
{
    open_stream(u, 10000);
    while (!u->opened && !u->closed)
        etcd__loop_turn(u->loop, -1);
    if (u->closed)
        fail_msg("%s", u->why);
    u->peer = etcd_test_accept(u->listener);
}

/* Connecting. */

static void check_echo(struct user *u)
{
    char data[8];

    connect_stream(u);
    assert_int_equal(etcd__stream_write(u->stream, (const uint8_t *)"hello", 5, NULL), 5);
    assert_int_equal(etcd_test_read(u->peer, data, 5), 5);
    assert_memory_equal(data, "hello", 5);
    etcd_test_write(u->peer, "world", 5);
    while (u->n_read < 5)
        etcd__loop_turn(u->loop, -1);
    assert_string_equal(u->last, "world");
    assert_int_equal(u->opened, 1);
    assert_int_equal(u->writable, 0);
    destroy(u);
}

static void tcp_over_ipv4(void **state)
{
    struct user u;

    (void)state;
    make_tcp(&u);
    check_echo(&u);
}

static void tcp_over_ipv6(void **state)
{
    struct user u;

    (void)state;
    make(&u);
    u.listener = etcd_test_listen(AF_INET6, 16, &u.target.port);
    u.target.host = "::1";
    check_echo(&u);
}

static void unix_socket(void **state)
{
    struct user u;

    (void)state;
    make_unix(&u);
    check_echo(&u);
}

static void name_of_the_hosts_file(void **state)
{
    struct user u;

    (void)state;
    make_tcp(&u);
    u.target.host = "localhost";
    check_echo(&u);
}

static void connection_refused(void **state)
{
    struct user u;
    char want[64];

    (void)state;
    make_tcp(&u);
    (void)close(u.listener);
    u.listener = -1;
    open_stream(&u, 10000);
    turn_until(&u, &u.closed);
    assert_int_equal(u.opened, 0);
    assert_int_equal(u.code, ETCD_ERR_CONNECTION);
    (void)snprintf(want, sizeof want, "connect 127.0.0.1:%u: Connection refused", u.target.port);
    assert_string_equal(u.why, want);
    etcd__loop_turn(u.loop, 0);
    assert_int_equal(u.closed, 1);
    assert_int_equal(etcd__stream_write(u.stream, (const uint8_t *)"x", 1, NULL), 0);
    destroy(&u);
}

static void no_such_unix_socket(void **state)
{
    struct user u;

    (void)state;
    make(&u);
    u.target.kind = ETCD__TARGET_UNIX;
    u.target.path = "/nonexistent/etcd.sock";
    u.close_in_close = true;
    open_stream(&u, 10000);
    turn_until(&u, &u.closed);
    assert_string_equal(u.why, "connect /nonexistent/etcd.sock: No such file or directory");
    destroy(&u);
}

static void unix_path_too_long(void **state)
{
    struct user u;
    char path[200];
    etcd_error err;

    (void)state;
    make(&u);
    memset(path, 'p', sizeof path);
    path[sizeof path - 1] = '\0';
    u.target.kind = ETCD__TARGET_UNIX;
    u.target.path = path;
    assert_int_equal(etcd__stream_open(u.loop, &u.target, ETCD__SECOND, &events, &u, &u.stream, &err), ETCD_ERR_ARGUMENT);
    assert_string_equal(err.message, "the path of the unix socket is too long: 199 bytes, the system takes 107");
    assert_null(u.stream);
    u.target.path = "";
    assert_int_equal(etcd__stream_open(u.loop, &u.target, ETCD__SECOND, &events, &u, &u.stream, &err), ETCD_ERR_ARGUMENT);
    destroy(&u);
}

/* Connects until the listener's queue is full: from then on the system leaves a connect without an answer. */
static int fill_backlog(int listener, int *fds, int max)
{
    struct sockaddr_in address;
    socklen_t len = sizeof address;
    int n = 0;

    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    for (int pending = 0; n < max && pending < 3; n++) {
        fds[n] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        assert_true(fds[n] >= 0);
        (void)connect(fds[n], (struct sockaddr *)&address, len);
        pending = 0;
        for (int i = 0; i <= n; i++) {
            struct sockaddr_in peer;
            socklen_t peer_len = sizeof peer;

            pending += getpeername(fds[i], (struct sockaddr *)&peer, &peer_len) < 0;
        }
    }
    return n;
}

static void no_answer_to_connect(void **state)
{
    struct user u;
    int fds[16], n;
    char want[96];
    int64_t start;

    (void)state;
    make(&u);
    u.listener = etcd_test_listen(AF_INET, 0, &u.target.port);
    u.target.host = "127.0.0.1";
    n = fill_backlog(u.listener, fds, 16);
    start = etcd__clock_monotonic();
    open_stream(&u, 40);
    turn_until(&u, &u.closed);
    assert_true(etcd__clock_monotonic() - start >= 39 * ETCD__MS);
    (void)snprintf(want, sizeof want, "connect 127.0.0.1:%u: no answer within 40 ms", u.target.port);
    assert_string_equal(u.why, want);
    for (int i = 0; i < n; i++)
        (void)close(fds[i]);
    destroy(&u);
}

static void no_answer_to_a_name(void **state)
{
    struct user u;
    etcd_test_dns *dns = etcd_test_dns_start();

    (void)state;
    make(&u);
    etcd_test_dns_mode(dns, ETCD_TEST_DNS_SILENT);
    etcd__resolve_servers(u.loop, etcd_test_dns_address(dns));
    u.target.host = "slow.test";
    u.target.port = 1;
    open_stream(&u, 40);
    turn_until(&u, &u.closed);
    assert_int_equal(u.code, ETCD_ERR_CONNECTION);
    assert_string_equal(u.why, "resolve slow.test: no answer within 40 ms");
    destroy(&u);
    etcd_test_dns_stop(dns);
}

static void unknown_name(void **state)
{
    struct user u;
    etcd_test_dns *dns = etcd_test_dns_start();

    (void)state;
    make(&u);
    etcd__resolve_servers(u.loop, etcd_test_dns_address(dns));
    u.target.host = "unknown.test";
    u.target.port = 1;
    open_stream(&u, 10000);
    turn_until(&u, &u.closed);
    assert_int_equal(u.code, ETCD_ERR_CONNECTION);
    assert_ptr_equal(strstr(u.why, "resolve unknown.test: "), u.why);
    destroy(&u);
    etcd_test_dns_stop(dns);
}

/* 127.0.0.x are all ours, and nobody listens on most of them. */
static void all_addresses_of_a_name(void **state)
{
    struct user u;
    etcd_test_dns *dns = etcd_test_dns_start();

    (void)state;
    make_tcp(&u);
    etcd__resolve_servers(u.loop, etcd_test_dns_address(dns));
    etcd_test_dns_add(dns, "mixed.test", "127.0.0.2");
    etcd_test_dns_add(dns, "mixed.test", "::1");
    etcd_test_dns_add(dns, "mixed.test", "127.0.0.1");
    etcd_test_dns_add(dns, "mixed.test", "127.0.0.3");
    u.target.host = "mixed.test";
    connect_stream(&u);
    close_it(&u);
    (void)close(u.listener);
    u.listener = -1;
    open_stream(&u, 10000);
    turn_until(&u, &u.closed);
    assert_int_equal(u.code, ETCD_ERR_CONNECTION);
    assert_non_null(strstr(u.why, "connect 127.0.0.1:"));
    assert_non_null(strstr(u.why, "connect 127.0.0.2:"));
    assert_non_null(strstr(u.why, "connect 127.0.0.3:"));
    assert_non_null(strstr(u.why, "connect [::1]:"));
    assert_non_null(strstr(u.why, "Connection refused; connect "));
    destroy(&u);
    etcd_test_dns_stop(dns);
}

/* The address that does not answer costs a quarter of a second, not the whole time limit. */
static void silent_address_does_not_hold_up_the_others(void **state)
{
    struct user u;
    etcd_test_dns *dns = etcd_test_dns_start();
    struct sockaddr_in address = {.sin_family = AF_INET};
    int silent, fds[16], n;
    int64_t start;

    (void)state;
    make_tcp(&u);
    silent = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_port = htons(u.target.port);
    assert_int_equal(inet_pton(AF_INET, "127.0.0.2", &address.sin_addr), 1);
    assert_int_equal(bind(silent, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(silent, 0), 0);
    n = fill_backlog(silent, fds, 16);
    etcd__resolve_servers(u.loop, etcd_test_dns_address(dns));
    etcd_test_dns_add(dns, "half.test", "127.0.0.2");
    etcd_test_dns_add(dns, "half.test", "127.0.0.1");
    u.target.host = "half.test";
    start = etcd__clock_monotonic();
    connect_stream(&u);
    assert_true(etcd__clock_monotonic() - start < 8 * ETCD__SECOND);
    for (int i = 0; i < n; i++)
        (void)close(fds[i]);
    (void)close(silent);
    destroy(&u);
    etcd_test_dns_stop(dns);
}

/* Bytes. */

#define BULK ((size_t)4 * 1024 * 1024)

/* Writes BULK bytes of a pattern through a socket with a tiny buffer, while the peer reads them. */
static void short_writes(void **state)
{
    struct user u;
    uint8_t *data = malloc(BULK), *back = malloc(BULK);
    size_t sent = 0, received = 0;
    int small = 4096, short_ones = 0;

    (void)state;
    make_unix(&u);
    connect_stream(&u);
    assert_true(data != NULL && back != NULL);
    for (size_t i = 0; i < BULK; i++)
        data[i] = (uint8_t)(i * 31 + i / 251);
    (void)setsockopt(u.peer, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    while (received < BULK) {
        size_t left = BULK - sent;
        ssize_t n = left > 0 ? etcd__stream_write(u.stream, data + sent, left, NULL) : 0;

        assert_true(n >= 0);
        sent += (size_t)n;
        if ((size_t)n < left) {
            int before = u.writable;

            short_ones++;
            assert_int_equal(etcd__stream_write(u.stream, data + sent, 0, NULL), 0);
            etcd__loop_turn(u.loop, 0); /* still full */
            assert_int_equal(u.writable, before);
            n = recv(u.peer, back + received, BULK - received, 0);
            assert_true(n > 0);
            received += (size_t)n;
            while (u.writable == before) {
                if (etcd_test_readable(u.peer, 0)) {
                    n = recv(u.peer, back + received, BULK - received, 0);
                    assert_true(n > 0);
                    received += (size_t)n;
                }
                etcd__loop_turn(u.loop, 0);
            }
            assert_int_equal(u.writable, before + 1);
        } else {
            received += etcd_test_read(u.peer, back + received, sent - received);
        }
    }
    assert_true(short_ones > 2);
    assert_memory_equal(data, back, BULK);
    etcd__loop_turn(u.loop, 0);
    assert_int_equal(u.writable, short_ones); /* one each */
    free(data);
    free(back);
    destroy(&u);
}

static void bulk_is_read_in_large_pieces(void **state)
{
    struct user u;
    char *data = calloc(1, 300000);

    (void)state;
    make_unix(&u);
    connect_stream(&u);
    assert_int_equal(fcntl(u.peer, F_SETFL, O_NONBLOCK), 0);
    for (size_t sent = 0; sent < BULK;) {
        ssize_t n = send(u.peer, data, 300000, MSG_NOSIGNAL);

        if (n > 0)
            sent += (size_t)n;
        else
            etcd__loop_turn(u.loop, -1);
    }
    (void)close(u.peer);
    u.peer = -1;
    turn_until(&u, &u.closed);
    assert_true(u.n_read >= BULK);
    assert_true(u.n_read / (size_t)u.reads > 8 * 1024);
    free(data);
    destroy(&u);
}

/* A stream that has more to read than is good for a turn leaves the turn to the others. */
static void busy_stream_does_not_starve_others(void **state)
{
    struct user busy, idle;
    char *data = calloc(1, 1 << 20);
    size_t queued = 0;
    int big = 1 << 20;
    ssize_t n;

    (void)state;
    make_unix(&busy);
    connect_stream(&busy);
    make_tcp(&idle);
    etcd__loop_free(idle.loop);
    idle.loop = busy.loop;
    connect_stream(&idle);
    (void)setsockopt(busy.peer, SOL_SOCKET, SO_SNDBUF, &big, sizeof big);
    assert_int_equal(fcntl(busy.peer, F_SETFL, O_NONBLOCK), 0);
    while ((n = send(busy.peer, data, 1 << 20, MSG_NOSIGNAL)) > 0)
        queued += (size_t)n;
    assert_true(queued > (size_t)256 * 1024);
    etcd_test_write(idle.peer, "x", 1);
    etcd__loop_turn(busy.loop, -1);
    assert_true(busy.n_read <= (size_t)256 * 1024);
    while (idle.n_read == 0 || busy.n_read < queued)
        etcd__loop_turn(busy.loop, -1);
    free(data);
    etcd__stream_close(idle.stream);
    idle.stream = NULL;
    (void)close(idle.peer);
    (void)close(idle.listener);
    destroy(&busy);
}

/* The end. */

static void peer_closes(void **state)
{
    struct user u;
    char want[96];

    (void)state;
    make_tcp(&u);
    connect_stream(&u);
    etcd_test_write(u.peer, "bye", 3);
    (void)close(u.peer);
    u.peer = -1;
    turn_until(&u, &u.closed);
    assert_int_equal(u.n_read, 3);
    assert_int_equal(u.code, ETCD_ERR_CONNECTION);
    (void)snprintf(want, sizeof want, "read 127.0.0.1:%u: the peer closed the connection", u.target.port);
    assert_string_equal(u.why, want);
    etcd__loop_turn(u.loop, 0);
    assert_int_equal(u.closed, 1);
    destroy(&u);
}

static void peer_half_closes(void **state)
{
    struct user u;

    (void)state;
    make_tcp(&u);
    connect_stream(&u);
    assert_int_equal(shutdown(u.peer, SHUT_WR), 0);
    turn_until(&u, &u.closed);
    assert_non_null(strstr(u.why, "the peer closed the connection"));
    destroy(&u);
}

static void peer_resets(void **state)
{
    struct user u;
    char want[96];

    (void)state;
    make_tcp(&u);
    connect_stream(&u);
    etcd_test_reset(u.peer);
    u.peer = -1;
    turn_until(&u, &u.closed);
    assert_int_equal(u.code, ETCD_ERR_CONNECTION);
    (void)snprintf(want, sizeof want, "read 127.0.0.1:%u: Connection reset by peer", u.target.port);
    assert_string_equal(u.why, want);
    destroy(&u);
}

/* What came before the reset is delivered, though the socket already has an error when it is looked at. */
static void data_before_a_reset_arrives(void **state)
{
    struct user u;

    (void)state;
    make_tcp(&u);
    connect_stream(&u);
    etcd_test_write(u.peer, "last words", 10);
    etcd_test_reset(u.peer);
    u.peer = -1;
    turn_until(&u, &u.closed);
    assert_string_equal(u.last, "last words");
    assert_non_null(strstr(u.why, "Connection reset by peer"));
    destroy(&u);
}

/* Writing to a peer that has gone: no SIGPIPE, the write is no failure, its last words arrive, then the reason. */
static void check_write_to_the_dead(struct user *u)
{
    connect_stream(u);
    etcd_test_write(u->peer, "answer", 6);
    (void)close(u->peer);
    u->peer = -1;
    for (int i = 0; i < 1000 && !u->closed; i++) {
        assert_true(etcd__stream_write(u->stream, (const uint8_t *)"request", 7, NULL) >= 0);
        if (i % 10 == 9)
            etcd__loop_turn(u->loop, 0);
    }
    turn_until(u, &u->closed);
    assert_string_equal(u->last, "answer");
    assert_int_equal(u->code, ETCD_ERR_CONNECTION);
    destroy(u);
}

static void write_to_a_closed_peer(void **state)
{
    struct user u;
    struct sigaction action;

    (void)state;
    assert_int_equal(sigaction(SIGPIPE, NULL, &action), 0);
    assert_true(action.sa_handler == SIG_DFL);
    make_tcp(&u);
    check_write_to_the_dead(&u);
    make_unix(&u);
    check_write_to_the_dead(&u);
}

static void socket_calls_raise_no_signal(void **state)
{
    struct iovec parts[2] = {{(char[]){'a'}, 1}, {(char[]){'b', 'c'}, 2}};
    char data[8];
    int pair[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_int_equal(etcd__socket_sendv(pair[0], parts, 2), 3);
    assert_int_equal(etcd__socket_recv(pair[1], data, sizeof data), 3);
    assert_memory_equal(data, "abc", 3);
    (void)close(pair[1]);
    assert_int_equal(etcd__socket_sendv(pair[0], parts, 2), -1);
    assert_int_equal(errno, EPIPE);
    assert_int_equal(etcd__socket_send(pair[0], "x", 1), -1);
    assert_int_equal(errno, EPIPE);
    (void)close(pair[0]);
}

static void write_error_is_the_reason(void **state)
{
    struct user u;
    char want[160];

    (void)state;
    make_unix(&u);
    connect_stream(&u);
    (void)close(u.peer);
    u.peer = -1;
    assert_int_equal(etcd__stream_write(u.stream, (const uint8_t *)"x", 1, NULL), 0);
    assert_int_equal(u.closed, 0);
    assert_int_equal(etcd__stream_write(u.stream, (const uint8_t *)"x", 1, NULL), 0);
    turn_until(&u, &u.closed);
    (void)snprintf(want, sizeof want, "write %s: Broken pipe", u.path);
    assert_string_equal(u.why, want);
    etcd__loop_turn(u.loop, 0);
    assert_int_equal(u.closed, 1);
    destroy(&u);
}

/* Closing. */

static void close_before_the_first_turn(void **state)
{
    struct user u;

    (void)state;
    make_tcp(&u);
    open_stream(&u, 10000);
    close_it(&u);
    etcd__loop_turn(u.loop, 0);
    u.target.host = "localhost";
    open_stream(&u, 10000);
    close_it(&u);
    etcd__loop_turn(u.loop, 0);
    assert_int_equal(u.opened + u.closed, 0);
    etcd__stream_close(NULL);
    destroy(&u);
}

static void close_while_connecting(void **state)
{
    struct user u;
    int fds[16], n;

    (void)state;
    make(&u);
    u.listener = etcd_test_listen(AF_INET, 0, &u.target.port);
    u.target.host = "127.0.0.1";
    n = fill_backlog(u.listener, fds, 16);
    open_stream(&u, 10000);
    etcd__loop_turn(u.loop, ETCD__MS);
    close_it(&u);
    etcd__loop_turn(u.loop, ETCD__MS);
    assert_int_equal(u.opened + u.closed, 0);
    for (int i = 0; i < n; i++)
        (void)close(fds[i]);
    destroy(&u);
}

static void close_in_on_open(void **state)
{
    struct user u;

    (void)state;
    make_tcp(&u);
    u.close_in_open = true;
    connect_stream(&u);
    assert_null(u.stream);
    etcd__loop_turn(u.loop, 0);
    assert_int_equal(u.closed, 0);
    destroy(&u);
}

static void close_in_on_read(void **state)
{
    struct user u;

    (void)state;
    make_tcp(&u);
    connect_stream(&u);
    u.close_after = 1;
    etcd_test_write(u.peer, "some data", 9);
    while (u.stream != NULL)
        etcd__loop_turn(u.loop, -1);
    etcd__loop_turn(u.loop, 0);
    assert_int_equal(u.reads, 1);
    assert_int_equal(u.closed, 0);
    destroy(&u);
}

static void close_in_on_writable(void **state)
{
    struct user u;
    uint8_t *data = calloc(1, BULK);
    char sink[65536];

    (void)state;
    make_unix(&u);
    connect_stream(&u);
    u.close_in_writable = true;
    assert_true(etcd__stream_write(u.stream, data, BULK, NULL) < (ssize_t)BULK);
    while (u.stream != NULL) {
        if (etcd_test_readable(u.peer, 0))
            (void)!read(u.peer, sink, sizeof sink);
        etcd__loop_turn(u.loop, 0);
    }
    assert_int_equal(u.writable, 1);
    free(data);
    destroy(&u);
}

static void close_in_on_close(void **state)
{
    struct user u;

    (void)state;
    make_tcp(&u);
    u.close_in_close = true;
    connect_stream(&u);
    etcd_test_reset(u.peer);
    u.peer = -1;
    turn_until(&u, &u.closed);
    assert_null(u.stream);
    destroy(&u);
}

static void close_with_a_failed_write(void **state)
{
    struct user u;

    (void)state;
    make_unix(&u);
    connect_stream(&u);
    (void)close(u.peer);
    u.peer = -1;
    assert_int_equal(etcd__stream_write(u.stream, (const uint8_t *)"x", 1, NULL), 0);
    close_it(&u);
    etcd__loop_turn(u.loop, 0);
    assert_int_equal(u.closed, 0);
    destroy(&u);
}

/* fork: the child frees its copy; the parent's connection goes on, and the peer saw neither a byte nor an end. */
static void fork_child_frees_parent_goes_on(void **state)
{
    struct user u;
    pid_t child;
    int status;
    char data[8];

    (void)state;
    make_tcp(&u);
    connect_stream(&u);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (!etcd__loop_forked(u.loop, false))
            _exit(1);
        etcd__stream_close(u.stream);
        etcd__loop_free(u.loop);
        _exit(0);
    }
    while (waitpid(child, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    assert_int_equal(status, 0);
    assert_false(etcd_test_readable(u.peer, 0));
    assert_int_equal(etcd__stream_write(u.stream, (const uint8_t *)"ping", 4, NULL), 4);
    assert_int_equal(etcd_test_read(u.peer, data, 4), 4);
    etcd_test_write(u.peer, "pong", 4);
    while (u.n_read < 4 && !u.closed)
        etcd__loop_turn(u.loop, -1);
    assert_string_equal(u.last, "pong");
    destroy(&u);
}

/* Resources. */

static void sockets_are_not_inherited(void **state)
{
    struct user u;
    size_t before;

    (void)state;
    make_tcp(&u);
    before = etcd_test_inherited_fds();
    connect_stream(&u);
    (void)close(u.peer);
    u.peer = -1;
    assert_int_equal(etcd_test_inherited_fds(), before);
    assert_true(etcd__loop_fd(u.loop, NULL) >= 0);
    assert_int_equal(etcd_test_inherited_fds(), before);
    destroy(&u);
}

static void no_descriptor_is_left(void **state)
{
    struct user u;
    size_t before;

    (void)state;
    make_tcp(&u);
    before = etcd_test_open_fds();
    for (int i = 0; i < 20; i++) {
        u.target.host = i % 2 == 0 ? "127.0.0.1" : "localhost";
        connect_stream(&u);
        if (i % 3 == 0) {
            etcd_test_reset(u.peer);
            turn_until(&u, &u.closed);
        } else {
            (void)close(u.peer);
        }
        u.peer = -1;
        close_it(&u);
    }
    assert_int_equal(etcd_test_open_fds(), before);
    destroy(&u);
}

/* Connects, talks, is closed by the peer. */
static int use_stream(void *arg)
{
    struct user *u = arg;
    int rc = etcd__loop_new(ignore, NULL, &u->loop, NULL);

    u->opened = u->closed = u->reads = 0;
    u->n_read = 0;
    u->stream = NULL;
    if (rc == ETCD_OK)
        rc = etcd__stream_open(u->loop, &u->target, 10 * ETCD__SECOND, &events, u, &u->stream, NULL);
    while (rc == ETCD_OK && !u->opened && !u->closed)
        etcd__loop_turn(u->loop, -1);
    if (rc == ETCD_OK && u->opened) {
        u->peer = etcd_test_accept(u->listener);
        assert_int_equal(etcd__stream_write(u->stream, (const uint8_t *)"x", 1, NULL), 1);
        etcd_test_write(u->peer, "x", 1);
        (void)close(u->peer);
        u->peer = -1;
        turn_until(u, &u->closed);
    } else if (rc == ETCD_OK) {
        rc = u->code;
    }
    etcd__stream_close(u->stream);
    u->stream = NULL;
    etcd__loop_free(u->loop);
    u->loop = NULL;
    while (etcd_test_readable(u->listener, 0)) /* connections of runs that failed after the kernel had connected */
        (void)close(etcd_test_accept(u->listener));
    return rc;
}

static void allocation_failures(void **state)
{
    struct user u;

    (void)state;
    etcd_test_alloc_install();
    assert_int_equal(setenv("RES_OPTIONS", "retrans:20 retry:2", 1), 0);
    make_unix(&u);
    etcd__loop_free(u.loop);
    assert_true(etcd_test_alloc_sweep(use_stream, &u) >= 6);
    destroy(&u);
    make_tcp(&u);
    etcd__loop_free(u.loop);
    u.target.host = "localhost";
    assert_true(etcd_test_alloc_sweep(use_stream, &u) >= 8);
    destroy(&u);
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
        cmocka_unit_test(short_writes),
        cmocka_unit_test(bulk_is_read_in_large_pieces),
        cmocka_unit_test(busy_stream_does_not_starve_others),
        cmocka_unit_test(peer_closes),
        cmocka_unit_test(peer_half_closes),
        cmocka_unit_test(peer_resets),
        cmocka_unit_test(data_before_a_reset_arrives),
        cmocka_unit_test(write_to_a_closed_peer),
        cmocka_unit_test(socket_calls_raise_no_signal),
        cmocka_unit_test(write_error_is_the_reason),
        cmocka_unit_test(close_before_the_first_turn),
        cmocka_unit_test(close_while_connecting),
        cmocka_unit_test(close_in_on_open),
        cmocka_unit_test(close_in_on_read),
        cmocka_unit_test(close_in_on_writable),
        cmocka_unit_test(close_in_on_close),
        cmocka_unit_test(close_with_a_failed_write),
        cmocka_unit_test(fork_child_frees_parent_goes_on),
        cmocka_unit_test(sockets_are_not_inherited),
        cmocka_unit_test(no_descriptor_is_left),
        cmocka_unit_test(allocation_failures),
    };

    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
