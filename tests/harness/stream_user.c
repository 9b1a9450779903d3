/* See stream_user.h. */
#include "harness/stream_user.h"

#include "harness/net.h"
#include "harness/test.h"

#include "base/clock.h"

#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void ignore(void *arg)
{
    (void)arg;
}

void etcd_test_user_close(etcd_test_user *u)
{
    etcd__stream_close(u->stream);
    u->stream = NULL;
}

static void on_open(void *arg)
{
    etcd_test_user *u = arg;

    u->opened++;
    if (u->close_in_open)
        etcd_test_user_close(u);
}

static void on_read(void *arg, const uint8_t *data, size_t len)
{
    etcd_test_user *u = arg;
    size_t keep = len < sizeof u->last - 1 ? len : sizeof u->last - 1;

    assert_true(len > 0);
    assert_int_equal(u->closed, 0);
    u->reads++;
    u->n_read += len;
    memcpy(u->last, data + len - keep, keep);
    u->last[keep] = '\0';
    if (u->close_after > 0 && u->n_read >= u->close_after)
        etcd_test_user_close(u);
}

static void on_writable(void *arg)
{
    etcd_test_user *u = arg;

    u->writable++;
    if (u->close_in_writable)
        etcd_test_user_close(u);
}

static void on_close(void *arg, const etcd_error *why)
{
    etcd_test_user *u = arg;

    assert_int_equal(u->closed, 0);
    u->closed++;
    u->code = why->code;
    (void)snprintf(u->why, sizeof u->why, "%s", why->message);
    if (u->close_in_close)
        etcd_test_user_close(u);
}

const etcd__stream_events etcd_test_user_events = {on_open, on_read, on_writable, on_close};

void etcd_test_user_init(etcd_test_user *u)
{
    memset(u, 0, sizeof *u);
    u->listener = u->peer = -1;
    assert_int_equal(etcd__loop_new(ignore, NULL, &u->loop, NULL), ETCD_OK);
}

void etcd_test_user_tcp(etcd_test_user *u)
{
    etcd_test_user_init(u);
    u->listener = etcd_test_listen(AF_INET, 16, &u->target.port);
    u->target.host = "127.0.0.1";
}

void etcd_test_user_unix(etcd_test_user *u)
{
    etcd_test_user_init(u);
    u->listener = etcd_test_listen_unix(16, u->path);
    u->target.kind = ETCD__TARGET_UNIX;
    u->target.path = u->path;
}

void etcd_test_user_free(etcd_test_user *u)
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

void etcd_test_user_open(etcd_test_user *u, int64_t timeout_ms)
{
    etcd_error err;

    u->opened = u->closed = u->reads = u->writable = 0;
    u->n_read = 0;
    if (etcd__stream_open(u->loop, &u->target, timeout_ms * ETCD__MS, &etcd_test_user_events, u, &u->stream, &err) != ETCD_OK)
        fail_msg("%s", err.message);
    assert_int_equal(u->opened + u->closed, 0);
}

void etcd_test_user_wait(etcd_test_user *u, const int *flag)
{
    while (!*flag)
        etcd__loop_turn(u->loop, -1);
}

void etcd_test_user_connect(etcd_test_user *u)
{
    etcd_test_user_open(u, 60000);
    while (!u->opened && !u->closed)
        etcd__loop_turn(u->loop, -1);
    if (u->closed)
        fail_msg("%s", u->why);
    u->peer = etcd_test_accept(u->listener);
}

/* Connects until the listener's queue is full: from then on the system leaves a connect without an answer. */
int etcd_test_fill_backlog(int listener, int *fds, int max)
{
    struct sockaddr_in address;
    socklen_t len = sizeof address;
    int n = 0;

    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    for (int pending = 0; n < max && pending < 3; n++) {
        fds[n] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        assert_true(fds[n] >= 0);
        (void)connect(fds[n], (struct sockaddr *)&address, len);
        (void)poll(&(struct pollfd){fds[n], POLLOUT, 0}, 1, 50); /* one that gets in is in by then, on any but a busy machine */
        pending = 0;
        for (int i = 0; i <= n; i++) {
            struct sockaddr_in peer;
            socklen_t peer_len = sizeof peer;

            pending += getpeername(fds[i], (struct sockaddr *)&peer, &peer_len) < 0;
        }
    }
    return n;
}
