/* The loop towards the system: the one descriptor that stands for all of it, watched descriptors, fork, memory. */
#include "harness/alloc.h"
#include "harness/net.h"
#include "harness/test.h"

#include "base/clock.h"
#include "net/loop.h"
#include "net/poll.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void on_wake(void *arg)
{
    if (arg != NULL)
        (*(int *)arg)++;
}

static etcd__loop *new_loop(int *wakes)
{
    etcd__loop *loop;
    etcd_error err;

    if (etcd__loop_new(on_wake, wakes, &loop, &err) != ETCD_OK)
        fail_msg("%s", err.message);
    return loop;
}

static void count(void *arg)
{
    (*(int *)arg)++;
}

/* One descriptor for all. */

struct embedded {
    etcd__loop *loop;
    int fd;
    int wakes;
};

static struct embedded embed(void)
{
    struct embedded e = {0};
    etcd_error err;

    e.loop = new_loop(NULL);
    e.fd = etcd__loop_fd(e.loop, &err);
    if (e.fd < 0)
        fail_msg("%s", err.message);
    assert_int_equal(etcd__loop_fd(e.loop, &err), e.fd);
    return e;
}

static void fd_tells_of_timers(void **state)
{
    struct embedded e = embed();
    int fired = 0;
    etcd__timer timer = {.fn = count, .arg = &fired};
    int64_t deadline = etcd__clock_monotonic() + 20 * ETCD__MS;

    (void)state;
    assert_false(etcd_test_readable(e.fd, 0));
    etcd__loop_timer_start(e.loop, &timer, deadline);
    while (fired == 0) {
        assert_true(etcd_test_readable(e.fd, 10000));
        etcd__loop_turn(e.loop, 0);
    }
    assert_true(etcd__clock_monotonic() >= deadline);
    assert_false(etcd_test_readable(e.fd, 0));
    etcd__loop_timer_start(e.loop, &timer, 0); /* overdue already */
    assert_true(etcd_test_readable(e.fd, 10000));
    etcd__loop_turn(e.loop, 0);
    assert_int_equal(fired, 2);
    assert_false(etcd_test_readable(e.fd, 0));
    etcd__loop_free(e.loop);
}

static void fd_is_set_lazily(void **state)
{
    struct embedded e = embed();
    int fired = 0;
    etcd__timer early = {.fn = count, .arg = &fired}, late = {.fn = count, .arg = &fired};
    int64_t now = etcd__clock_monotonic();

    (void)state;
    etcd__loop_timer_start(e.loop, &early, now + 5 * ETCD__MS);
    etcd__loop_timer_stop(e.loop, &early);
    etcd__loop_timer_start(e.loop, &late, now + 20 * ETCD__MS);
    while (fired == 0) { /* once for the stopped one, which does nothing */
        assert_true(etcd_test_readable(e.fd, 10000));
        etcd__loop_turn(e.loop, 0);
    }
    assert_true(etcd__clock_monotonic() >= now + 20 * ETCD__MS);
    etcd__loop_free(e.loop);
}

static void *wake_once(void *arg)
{
    etcd__loop_wake(arg);
    return NULL;
}

static void fd_tells_of_wakes_and_tasks(void **state)
{
    struct embedded e = {0};
    etcd__task task = {.fn = count};
    pthread_t thread;
    int ran = 0;

    (void)state;
    e.loop = new_loop(&e.wakes);
    etcd__loop_wake(e.loop); /* before there is a descriptor */
    e.fd = etcd__loop_fd(e.loop, NULL);
    assert_true(etcd_test_readable(e.fd, 0));
    etcd__loop_turn(e.loop, 0);
    assert_int_equal(e.wakes, 1);
    assert_false(etcd_test_readable(e.fd, 0));
    assert_int_equal(pthread_create(&thread, NULL, wake_once, e.loop), 0);
    assert_true(etcd_test_readable(e.fd, 10000));
    assert_int_equal(pthread_join(thread, NULL), 0);
    etcd__loop_turn(e.loop, 0);
    assert_int_equal(e.wakes, 2);
    assert_false(etcd_test_readable(e.fd, 0));
    task.arg = &ran;
    etcd__list_init(&task.node);
    etcd__loop_defer(e.loop, &task);
    assert_true(etcd_test_readable(e.fd, 0));
    etcd__loop_turn(e.loop, 0);
    assert_int_equal(ran, 1);
    assert_false(etcd_test_readable(e.fd, 0));
    etcd__loop_free(e.loop);
}

struct reader {
    etcd__loop *loop;
    etcd__poll *poll;
    int fd;
    size_t n;
};

static void on_data(void *arg, int events)
{
    struct reader *r = arg;
    char data[16];
    ssize_t n = read(r->fd, data, sizeof data);

    (void)events;
    if (n > 0)
        r->n += (size_t)n;
}

static void watch_it(void *arg)
{
    struct reader *r = arg;

    assert_int_equal(etcd__poll_new(r->loop, r->fd, on_data, r, &r->poll, NULL), ETCD_OK);
    assert_int_equal(etcd__poll_want(r->poll, ETCD__POLL_READ), ETCD_OK);
}

/* The wait is already set to a late timer when an earlier one appears. */
static void earlier_timer_shortens_the_wait(void **state)
{
    struct reader r = {.loop = new_loop(NULL)};
    int pipe_fds[2], late = 0, early = 0;
    etcd__timer late_timer = {.fn = count, .arg = &late}, early_timer = {.fn = count, .arg = &early};
    int64_t start = etcd__clock_monotonic();

    (void)state;
    assert_int_equal(pipe(pipe_fds), 0);
    assert_int_equal(write(pipe_fds[1], "abc", 3), 3);
    r.fd = pipe_fds[0];
    watch_it(&r);
    etcd__loop_timer_start(r.loop, &late_timer, start + 30 * ETCD__SECOND);
    while (r.n == 0)
        etcd__loop_turn(r.loop, -1);
    etcd__loop_timer_start(r.loop, &early_timer, etcd__clock_monotonic() + 5 * ETCD__MS);
    while (early == 0)
        etcd__loop_turn(r.loop, -1);
    assert_true(etcd__clock_monotonic() - start < 20 * ETCD__SECOND);
    assert_int_equal(late, 0);
    etcd__loop_timer_stop(r.loop, &late_timer);
    etcd__poll_close(r.poll, false);
    (void)close(pipe_fds[1]);
    etcd__loop_free(r.loop);
}

/* Descriptors that are watched since the last task of a turn are known to the kernel when the turn has returned. */
static void fd_tells_of_data(void **state)
{
    struct embedded e = embed();
    struct reader r = {.loop = e.loop};
    etcd__timer timer = {.fn = watch_it, .arg = &r};
    int pipe_fds[2];

    (void)state;
    assert_int_equal(pipe(pipe_fds), 0);
    r.fd = pipe_fds[0];
    etcd__loop_timer_start(e.loop, &timer, 0);
    etcd__loop_turn(e.loop, 0);
    assert_non_null(r.poll);
    assert_false(etcd_test_readable(e.fd, 0));
    assert_int_equal(write(pipe_fds[1], "abc", 3), 3);
    assert_true(etcd_test_readable(e.fd, 10000));
    etcd__loop_turn(e.loop, 0);
    assert_int_equal(r.n, 3);
    assert_false(etcd_test_readable(e.fd, 0));
    etcd__poll_close(r.poll, false);
    (void)close(pipe_fds[1]);
    etcd__loop_free(e.loop);
}

struct opener {
    struct reader first, second;
};

static void on_first_data(void *arg, int events)
{
    struct opener *o = arg;

    on_data(&o->first, events);
    if (o->second.poll == NULL)
        watch_it(&o->second);
}

/* The same for what a handler of libuv itself begins to watch. */
static void fd_tells_of_data_watched_in_a_handler(void **state)
{
    struct embedded e = embed();
    struct opener o = {.first.loop = e.loop, .second.loop = e.loop};
    int first[2], second[2];

    (void)state;
    assert_int_equal(pipe(first), 0);
    assert_int_equal(pipe(second), 0);
    o.first.fd = first[0];
    o.second.fd = second[0];
    assert_int_equal(etcd__poll_new(e.loop, first[0], on_first_data, &o, &o.first.poll, NULL), ETCD_OK);
    assert_int_equal(etcd__poll_want(o.first.poll, ETCD__POLL_READ), ETCD_OK);
    etcd__loop_turn(e.loop, 0);
    assert_int_equal(write(first[1], "a", 1), 1);
    assert_true(etcd_test_readable(e.fd, 10000));
    etcd__loop_turn(e.loop, 0);
    assert_non_null(o.second.poll);
    assert_false(etcd_test_readable(e.fd, 0));
    assert_int_equal(write(second[1], "abc", 3), 3);
    assert_true(etcd_test_readable(e.fd, 10000));
    etcd__loop_turn(e.loop, 0);
    assert_int_equal(o.second.n, 3);
    etcd__poll_close(o.first.poll, false);
    etcd__poll_close(o.second.poll, false);
    (void)close(first[1]);
    (void)close(second[1]);
    etcd__loop_free(e.loop);
}

/* fork. */

static int child_status(pid_t child)
{
    int status;

    while (waitpid(child, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void fork_leaves_the_parent_alone(void **state)
{
    struct embedded e = embed();
    struct reader r = {.loop = e.loop};
    int pipe_fds[2], fired = 0;
    etcd__timer timer = {.fn = count, .arg = &fired};
    pid_t child;

    (void)state;
    assert_int_equal(pipe(pipe_fds), 0);
    r.fd = pipe_fds[0];
    watch_it(&r);
    etcd__loop_turn(e.loop, 0);
    etcd__loop_timer_start(e.loop, &timer, etcd__clock_monotonic() + 3600 * ETCD__SECOND);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        bool whole = etcd__loop_forked(e.loop, false);

        etcd__loop_timer_stop(e.loop, &timer);
        etcd__loop_timer_start(e.loop, &timer, 0);
        etcd__loop_timer_stop(e.loop, &timer);
        etcd__poll_close(r.poll, false);
        etcd__loop_free(e.loop);
        _exit(whole ? 0 : 1);
    }
    assert_int_equal(child_status(child), 0);
    assert_false(etcd_test_readable(e.fd, 0));
    etcd__loop_timer_start(e.loop, &timer, etcd__clock_monotonic() + 20 * ETCD__MS);
    assert_int_equal(write(pipe_fds[1], "abc", 3), 3);
    while (fired == 0 || r.n < 3) {
        assert_true(etcd_test_readable(e.fd, 10000));
        etcd__loop_turn(e.loop, 0);
    }
    etcd__poll_close(r.poll, false);
    (void)close(pipe_fds[1]);
    etcd__loop_free(e.loop);
}

static void fork_in_child(void *arg)
{
    etcd__loop *loop = arg;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) { /* inside a handler: libuv is not at rest, so the child may only forget */
        bool whole = etcd__loop_forked(loop, true);

        etcd__loop_free(loop);
        _exit(whole ? 1 : 0);
    }
    assert_int_equal(child_status(child), 0);
}

static void fork_inside_a_handler(void **state)
{
    struct embedded e = embed();
    etcd__timer timer = {.fn = fork_in_child, .arg = e.loop};

    (void)state;
    etcd__loop_timer_start(e.loop, &timer, 0);
    etcd__loop_turn(e.loop, -1);
    etcd__loop_turn(e.loop, 0);
    etcd__loop_free(e.loop);
}

struct waiter {
    etcd__loop *loop;
    atomic_bool stop;
};

static void *wait_for_stop(void *arg)
{
    struct waiter *w = arg;

    while (!atomic_load(&w->stop))
        etcd__loop_turn(w->loop, -1);
    return NULL;
}

/* The usual case: the I/O thread waits in the kernel. When the fork comes while it is not there yet, the child forgets. */
static void fork_while_another_thread_waits(void **state)
{
    struct waiter w = {.loop = new_loop(NULL)};
    pthread_t thread;
    int64_t until;
    int whole = 0;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, wait_for_stop, &w), 0);
    until = etcd__clock_monotonic() + 40 * ETCD__SECOND;
    while (whole == 0 && etcd__clock_monotonic() < until) {
        pid_t child = fork();
        int status;

        assert_true(child >= 0);
        if (child == 0) {
            bool rest = etcd__loop_forked(w.loop, true);

            etcd__loop_free(w.loop);
            _exit(rest ? 42 : 0);
        }
        status = child_status(child);
        assert_true(status == 0 || status == 42);
        whole += status == 42;
    }
    assert_true(whole > 0);
    atomic_store(&w.stop, true);
    etcd__loop_wake(w.loop);
    assert_int_equal(pthread_join(thread, NULL), 0);
    etcd__loop_free(w.loop);
}

/* Resources. */

static int use_loop(void *arg)
{
    etcd__loop *loop;
    etcd__poll *poll = NULL;
    struct reader r = {.fd = *(int *)arg};
    etcd_error err;
    int rc = etcd__loop_new(on_wake, NULL, &loop, &err);

    if (rc == ETCD_OK && etcd__loop_fd(loop, &err) < 0)
        rc = err.code;
    if (rc == ETCD_OK)
        rc = etcd__poll_new(loop, r.fd, on_data, &r, &poll, &err);
    if (rc == ETCD_OK)
        rc = etcd__poll_want(poll, ETCD__POLL_READ);
    if (rc == ETCD_OK) {
        etcd__loop_wake(loop);
        etcd__loop_turn(loop, -1);
    }
    if (rc != ETCD_OK)
        assert_int_equal(rc, ETCD_ERR_NO_MEMORY);
    etcd__poll_close(poll, true);
    etcd__loop_free(loop);
    return rc;
}

/* libuv's table of descriptors grows at other moments depending on the numbers that are free, so all of them are tried. */
static void allocation_failures(void **state)
{
    int pipe_fds[2], high, used[40];

    (void)state;
    etcd_test_alloc_install();
    assert_int_equal(pipe(pipe_fds), 0);
    high = dup2(pipe_fds[0], 700);
    assert_int_equal(high, 700);
    for (size_t i = 0; i < sizeof used / sizeof used[0]; i++) {
        assert_true(etcd_test_alloc_sweep(use_loop, &high) >= 5);
        used[i] = dup(pipe_fds[0]);
        assert_true(used[i] >= 0);
    }
    for (size_t i = 0; i < sizeof used / sizeof used[0]; i++)
        (void)close(used[i]);
    (void)close(high);
    (void)close(pipe_fds[0]);
    (void)close(pipe_fds[1]);
}

static void no_descriptor_is_left(void **state)
{
    size_t before;

    (void)state;
    etcd__loop_free(new_loop(NULL)); /* libuv opens two of its own, once per process */
    before = etcd_test_open_fds();
    for (int i = 0; i < 10; i++) {
        struct embedded e = embed();

        assert_true(etcd_test_open_fds() > before);
        etcd__loop_free(e.loop);
    }
    assert_int_equal(etcd_test_open_fds(), before);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(fd_tells_of_timers),
        cmocka_unit_test(fd_is_set_lazily),
        cmocka_unit_test(fd_tells_of_wakes_and_tasks),
        cmocka_unit_test(earlier_timer_shortens_the_wait),
        cmocka_unit_test(fd_tells_of_data),
        cmocka_unit_test(fd_tells_of_data_watched_in_a_handler),
        cmocka_unit_test(fork_leaves_the_parent_alone),
        cmocka_unit_test(fork_inside_a_handler),
        cmocka_unit_test(fork_while_another_thread_waits),
        cmocka_unit_test(allocation_failures),
        cmocka_unit_test(no_descriptor_is_left),
    };

    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
