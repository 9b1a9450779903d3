/* Streams against real sockets of the test: bytes in both directions, every way to end, close at any moment, no SIGPIPE (its
 * disposition is the default: it would end this program), fork, memory and descriptors. */
#include "harness/alloc.h"
#include "harness/net.h"
#include "harness/stream_user.h"
#include "harness/test.h"

#include "base/clock.h"
#include "net/socket.h"

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

#define BULK ((size_t)4 * 1024 * 1024)

/* Writes BULK bytes of a pattern through a socket with a tiny buffer, while the peer reads them. */
static void short_writes(void **state)
{
    etcd_test_user u;
    uint8_t *data = malloc(BULK), *back = malloc(BULK);
    size_t sent = 0, received = 0;
    int small = 4096, short_ones = 0;

    (void)state;
    etcd_test_user_unix(&u);
    etcd_test_user_connect(&u);
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
    etcd_test_user_free(&u);
}

static void bulk_is_read_in_large_pieces(void **state)
{
    etcd_test_user u;
    char *data = calloc(1, 300000);

    (void)state;
    etcd_test_user_unix(&u);
    etcd_test_user_connect(&u);
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
    etcd_test_user_wait(&u, &u.closed);
    assert_true(u.n_read >= BULK);
    assert_true(u.n_read / (size_t)u.reads > 8 * 1024);
    free(data);
    etcd_test_user_free(&u);
}

/* A stream that has more to read than is good for a turn leaves the turn to the others. */
static void busy_stream_does_not_starve_others(void **state)
{
    etcd_test_user busy, idle;
    char *data = calloc(1, 1 << 20);
    size_t queued = 0;
    int big = 1 << 20;
    ssize_t n;

    (void)state;
    etcd_test_user_unix(&busy);
    etcd_test_user_connect(&busy);
    etcd_test_user_tcp(&idle);
    etcd__loop_free(idle.loop);
    idle.loop = busy.loop;
    etcd_test_user_connect(&idle);
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
    etcd_test_user_free(&busy);
}

/* The end. */

static void peer_closes(void **state)
{
    etcd_test_user u;
    char want[96];

    (void)state;
    etcd_test_user_tcp(&u);
    etcd_test_user_connect(&u);
    etcd_test_write(u.peer, "bye", 3);
    (void)close(u.peer);
    u.peer = -1;
    etcd_test_user_wait(&u, &u.closed);
    assert_int_equal(u.n_read, 3);
    assert_int_equal(u.code, ETCD_ERR_CONNECTION);
    (void)snprintf(want, sizeof want, "read 127.0.0.1:%u: the peer closed the connection", u.target.port);
    assert_string_equal(u.why, want);
    etcd__loop_turn(u.loop, 0);
    assert_int_equal(u.closed, 1);
    etcd_test_user_free(&u);
}

static void peer_half_closes(void **state)
{
    etcd_test_user u;

    (void)state;
    etcd_test_user_tcp(&u);
    etcd_test_user_connect(&u);
    assert_int_equal(shutdown(u.peer, SHUT_WR), 0);
    etcd_test_user_wait(&u, &u.closed);
    assert_non_null(strstr(u.why, "the peer closed the connection"));
    etcd_test_user_free(&u);
}

static void peer_resets(void **state)
{
    etcd_test_user u;
    char want[96];

    (void)state;
    etcd_test_user_tcp(&u);
    etcd_test_user_connect(&u);
    etcd_test_reset(u.peer);
    u.peer = -1;
    etcd_test_user_wait(&u, &u.closed);
    assert_int_equal(u.code, ETCD_ERR_CONNECTION);
    (void)snprintf(want, sizeof want, "read 127.0.0.1:%u: Connection reset by peer", u.target.port);
    assert_string_equal(u.why, want);
    etcd_test_user_free(&u);
}

/* What came before the reset is delivered, though the socket already has an error when it is looked at. */
static void data_before_a_reset_arrives(void **state)
{
    etcd_test_user u;

    (void)state;
    etcd_test_user_tcp(&u);
    etcd_test_user_connect(&u);
    etcd_test_write(u.peer, "last words", 10);
    etcd_test_reset(u.peer);
    u.peer = -1;
    etcd_test_user_wait(&u, &u.closed);
    assert_string_equal(u.last, "last words");
    assert_non_null(strstr(u.why, "Connection reset by peer"));
    etcd_test_user_free(&u);
}

/* Writing to a peer that has gone: no SIGPIPE, the write is no failure, its last words arrive, then the reason. */
static void check_write_to_the_dead(etcd_test_user *u)
{
    etcd_test_user_connect(u);
    etcd_test_write(u->peer, "answer", 6);
    (void)close(u->peer);
    u->peer = -1;
    for (int i = 0; i < 1000 && !u->closed; i++) {
        assert_true(etcd__stream_write(u->stream, (const uint8_t *)"request", 7, NULL) >= 0);
        if (i % 10 == 9)
            etcd__loop_turn(u->loop, 0);
    }
    etcd_test_user_wait(u, &u->closed);
    assert_string_equal(u->last, "answer");
    assert_int_equal(u->code, ETCD_ERR_CONNECTION);
    etcd_test_user_free(u);
}

static void write_to_a_closed_peer(void **state)
{
    etcd_test_user u;
    struct sigaction action;

    (void)state;
    assert_int_equal(sigaction(SIGPIPE, NULL, &action), 0);
    assert_true(action.sa_handler == SIG_DFL);
    etcd_test_user_tcp(&u);
    check_write_to_the_dead(&u);
    etcd_test_user_unix(&u);
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
    etcd_test_user u;
    char want[160];

    (void)state;
    etcd_test_user_unix(&u);
    etcd_test_user_connect(&u);
    (void)close(u.peer);
    u.peer = -1;
    assert_int_equal(etcd__stream_write(u.stream, (const uint8_t *)"x", 1, NULL), 0);
    assert_int_equal(u.closed, 0);
    assert_int_equal(etcd__stream_write(u.stream, (const uint8_t *)"x", 1, NULL), 0);
    etcd_test_user_wait(&u, &u.closed);
    (void)snprintf(want, sizeof want, "write %s: Broken pipe", u.path);
    assert_string_equal(u.why, want);
    etcd__loop_turn(u.loop, 0);
    assert_int_equal(u.closed, 1);
    etcd_test_user_free(&u);
}

/* Closing. */

static void close_before_the_first_turn(void **state)
{
    etcd_test_user u;

    (void)state;
    etcd_test_user_tcp(&u);
    etcd_test_user_open(&u, 10000);
    etcd_test_user_close(&u);
    etcd__loop_turn(u.loop, 0);
    u.target.host = "localhost";
    etcd_test_user_open(&u, 10000);
    etcd_test_user_close(&u);
    etcd__loop_turn(u.loop, 0);
    assert_int_equal(u.opened + u.closed, 0);
    etcd__stream_close(NULL);
    etcd_test_user_free(&u);
}

static void close_while_connecting(void **state)
{
    etcd_test_user u;
    int fds[16], n;

    (void)state;
    etcd_test_user_init(&u);
    u.listener = etcd_test_listen(AF_INET, 0, &u.target.port);
    u.target.host = "127.0.0.1";
    n = etcd_test_fill_backlog(u.listener, fds, 16);
    etcd_test_user_open(&u, 10000);
    etcd__loop_turn(u.loop, ETCD__MS);
    etcd_test_user_close(&u);
    etcd__loop_turn(u.loop, ETCD__MS);
    assert_int_equal(u.opened + u.closed, 0);
    for (int i = 0; i < n; i++)
        (void)close(fds[i]);
    etcd_test_user_free(&u);
}

static void close_in_on_open(void **state)
{
    etcd_test_user u;

    (void)state;
    etcd_test_user_tcp(&u);
    u.close_in_open = true;
    etcd_test_user_connect(&u);
    assert_null(u.stream);
    etcd__loop_turn(u.loop, 0);
    assert_int_equal(u.closed, 0);
    etcd_test_user_free(&u);
}

static void close_in_on_read(void **state)
{
    etcd_test_user u;

    (void)state;
    etcd_test_user_tcp(&u);
    etcd_test_user_connect(&u);
    u.close_after = 1;
    etcd_test_write(u.peer, "some data", 9);
    while (u.stream != NULL)
        etcd__loop_turn(u.loop, -1);
    etcd__loop_turn(u.loop, 0);
    assert_int_equal(u.reads, 1);
    assert_int_equal(u.closed, 0);
    etcd_test_user_free(&u);
}

static void close_in_on_writable(void **state)
{
    etcd_test_user u;
    uint8_t *data = calloc(1, BULK);
    char sink[65536];

    (void)state;
    etcd_test_user_unix(&u);
    etcd_test_user_connect(&u);
    u.close_in_writable = true;
    assert_true(etcd__stream_write(u.stream, data, BULK, NULL) < (ssize_t)BULK);
    while (u.stream != NULL) {
        if (etcd_test_readable(u.peer, 0))
            (void)!read(u.peer, sink, sizeof sink);
        etcd__loop_turn(u.loop, 0);
    }
    assert_int_equal(u.writable, 1);
    free(data);
    etcd_test_user_free(&u);
}

static void close_in_on_close(void **state)
{
    etcd_test_user u;

    (void)state;
    etcd_test_user_tcp(&u);
    u.close_in_close = true;
    etcd_test_user_connect(&u);
    etcd_test_reset(u.peer);
    u.peer = -1;
    etcd_test_user_wait(&u, &u.closed);
    assert_null(u.stream);
    etcd_test_user_free(&u);
}

static void close_with_a_failed_write(void **state)
{
    etcd_test_user u;

    (void)state;
    etcd_test_user_unix(&u);
    etcd_test_user_connect(&u);
    (void)close(u.peer);
    u.peer = -1;
    assert_int_equal(etcd__stream_write(u.stream, (const uint8_t *)"x", 1, NULL), 0);
    etcd_test_user_close(&u);
    etcd__loop_turn(u.loop, 0);
    assert_int_equal(u.closed, 0);
    etcd_test_user_free(&u);
}

/* fork: the child frees its copy; the parent's connection goes on, and the peer saw neither a byte nor an end. */
static void fork_child_frees_parent_goes_on(void **state)
{
    etcd_test_user u;
    pid_t child;
    int status;
    char data[8];

    (void)state;
    etcd_test_user_tcp(&u);
    etcd_test_user_connect(&u);
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
    etcd_test_user_free(&u);
}

/* Resources. */

static void sockets_are_not_inherited(void **state)
{
    etcd_test_user u;
    size_t before;

    (void)state;
    etcd_test_user_tcp(&u);
    before = etcd_test_inherited_fds();
    etcd_test_user_connect(&u);
    (void)close(u.peer);
    u.peer = -1;
    assert_int_equal(etcd_test_inherited_fds(), before);
    assert_true(etcd__loop_fd(u.loop, NULL) >= 0);
    assert_int_equal(etcd_test_inherited_fds(), before);
    etcd_test_user_free(&u);
}

static void no_descriptor_is_left(void **state)
{
    etcd_test_user u;
    size_t before;

    (void)state;
    etcd_test_user_tcp(&u);
    before = etcd_test_open_fds();
    for (int i = 0; i < 20; i++) {
        u.target.host = i % 2 == 0 ? "127.0.0.1" : "localhost";
        etcd_test_user_connect(&u);
        if (i % 3 == 0) {
            etcd_test_reset(u.peer);
            etcd_test_user_wait(&u, &u.closed);
        } else {
            (void)close(u.peer);
        }
        u.peer = -1;
        etcd_test_user_close(&u);
    }
    assert_int_equal(etcd_test_open_fds(), before);
    etcd_test_user_free(&u);
}

static void ignore(void *arg)
{
    (void)arg;
}

/* Connects, talks, is closed by the peer. */
static int use_stream(void *arg)
{
    etcd_test_user *u = arg;
    int rc = etcd__loop_new(ignore, NULL, &u->loop, NULL);

    u->opened = u->closed = u->reads = 0;
    u->n_read = 0;
    u->stream = NULL;
    if (rc == ETCD_OK)
        rc = etcd__stream_open(u->loop, &u->target, 60 * ETCD__SECOND, &etcd_test_user_events, u, &u->stream, NULL);
    while (rc == ETCD_OK && !u->opened && !u->closed)
        etcd__loop_turn(u->loop, -1);
    if (rc == ETCD_OK && u->opened) {
        u->peer = etcd_test_accept(u->listener);
        assert_int_equal(etcd__stream_write(u->stream, (const uint8_t *)"x", 1, NULL), 1);
        etcd_test_write(u->peer, "x", 1);
        (void)close(u->peer);
        u->peer = -1;
        etcd_test_user_wait(u, &u->closed);
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
    etcd_test_user u;

    (void)state;
    etcd_test_alloc_install();
    assert_int_equal(setenv("RES_OPTIONS", "retrans:20 retry:2", 1), 0);
    etcd_test_user_unix(&u);
    etcd__loop_free(u.loop);
    assert_true(etcd_test_alloc_sweep(use_stream, &u) >= 6);
    etcd_test_user_free(&u);
    etcd_test_user_tcp(&u);
    etcd__loop_free(u.loop);
    u.target.host = "localhost";
    assert_true(etcd_test_alloc_sweep(use_stream, &u) >= 8);
    etcd_test_user_free(&u);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
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
