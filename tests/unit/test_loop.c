/* The event loop: timers against a reference, deferred tasks, wake-ups from other threads, changing drivers. */
#include "harness/test.h"

#include "base/clock.h"
#include "base/random.h"
#include "net/loop.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

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

/* Time. */

static void bounded_wait(void **state)
{
    etcd__loop *loop = new_loop(NULL);
    int64_t start = etcd__clock_monotonic(), took;

    (void)state;
    etcd__loop_turn(loop, 30 * ETCD__MS);
    took = etcd__clock_monotonic() - start;
    assert_true(took >= 25 * ETCD__MS && took < 30 * ETCD__SECOND);
    assert_true(etcd__loop_now(loop) >= start + 25 * ETCD__MS);
    etcd__loop_turn(loop, 0); /* returns, though nothing will ever happen */
    etcd__loop_free(loop);
    etcd__loop_free(NULL);
}

static void timer_fires_once_and_not_early(void **state)
{
    etcd__loop *loop = new_loop(NULL);
    int fired = 0;
    etcd__timer timer = {.fn = count, .arg = &fired};
    int64_t deadline = etcd__clock_monotonic() + 20 * ETCD__MS;

    (void)state;
    etcd__loop_timer_start(loop, &timer, deadline);
    while (fired == 0)
        etcd__loop_turn(loop, -1);
    assert_true(etcd__clock_monotonic() >= deadline);
    assert_true(etcd__loop_now(loop) >= deadline);
    etcd__loop_turn(loop, 5 * ETCD__MS);
    assert_int_equal(fired, 1);
    etcd__loop_free(loop);
}

static void timer_moves_and_stops(void **state)
{
    etcd__loop *loop = new_loop(NULL);
    int late = 0, stopped = 0;
    etcd__timer timer = {.fn = count, .arg = &late}, other = {.fn = count, .arg = &stopped};
    int64_t start = etcd__clock_monotonic();

    (void)state;
    etcd__loop_timer_start(loop, &timer, start + 3600 * ETCD__SECOND);
    etcd__loop_turn(loop, ETCD__MS); /* the loop is set to something later now */
    etcd__loop_timer_start(loop, &timer, start + 10 * ETCD__MS);
    etcd__loop_timer_start(loop, &other, start + 5 * ETCD__MS);
    etcd__loop_timer_stop(loop, &other);
    etcd__loop_timer_stop(loop, &other);
    while (late == 0)
        etcd__loop_turn(loop, -1);
    assert_int_equal(stopped, 0);
    etcd__loop_timer_start(loop, &timer, ETCD__NEVER);
    etcd__loop_turn(loop, 5 * ETCD__MS);
    assert_int_equal(late, 1);
    etcd__loop_timer_stop(loop, &timer);
    etcd__loop_free(loop);
}

struct restarter {
    etcd__loop *loop;
    etcd__timer timer;
    int runs;
};

static void restart_in_the_past(void *arg)
{
    struct restarter *r = arg;

    r->runs++;
    etcd__loop_timer_start(r->loop, &r->timer, 0);
}

static void timer_restarted_in_the_past_does_not_hang_a_turn(void **state)
{
    struct restarter r = {.loop = new_loop(NULL)};

    (void)state;
    r.timer.fn = restart_in_the_past;
    r.timer.arg = &r;
    etcd__loop_timer_start(r.loop, &r.timer, 0);
    etcd__loop_turn(r.loop, -1);
    assert_int_equal(r.runs, 1);
    etcd__loop_turn(r.loop, -1);
    assert_int_equal(r.runs, 2);
    etcd__loop_timer_stop(r.loop, &r.timer);
    etcd__loop_free(r.loop);
}

static void timeout_ms_rounds_up(void **state)
{
    etcd__loop *loop = new_loop(NULL);
    int fired = 0;
    etcd__timer timer = {.fn = count, .arg = &fired};
    etcd__task task = {.fn = count, .arg = &fired};
    int64_t ms;

    (void)state;
    assert_int_equal(etcd__loop_timeout_ms(loop), -1);
    etcd__loop_timer_start(loop, &timer, ETCD__NEVER);
    assert_int_equal(etcd__loop_timeout_ms(loop), -1);
    etcd__loop_timer_start(loop, &timer, etcd__clock_monotonic() + 500000 * ETCD__MS);
    ms = etcd__loop_timeout_ms(loop);
    assert_true(ms > 400000 && ms <= 500000);
    etcd__loop_timer_start(loop, &timer, etcd__clock_monotonic() - 1);
    assert_int_equal(etcd__loop_timeout_ms(loop), 0);
    etcd__loop_timer_stop(loop, &timer);
    etcd__list_init(&task.node);
    etcd__loop_defer(loop, &task);
    assert_int_equal(etcd__loop_timeout_ms(loop), 0);
    etcd__loop_turn(loop, 0);
    assert_int_equal(etcd__loop_timeout_ms(loop), -1);
    etcd__loop_wake(loop);
    assert_int_equal(etcd__loop_timeout_ms(loop), 0);
    etcd__loop_turn(loop, -1);
    assert_int_equal(etcd__loop_timeout_ms(loop), -1);
    etcd__loop_free(loop);
}

/* Thousands of timers, started, moved and stopped at random, against an array that knows what must happen. */

#define N_TIMERS 4000

struct model_timer {
    struct model *model;
    etcd__timer timer;
    int64_t deadline; /* -1: stopped */
    int fired;
};

struct model {
    etcd__loop *loop;
    etcd__random random;
    int64_t start, last;
    int n_fired;
    bool early, disorder;
    struct model_timer timers[N_TIMERS];
};

static void model_fire(void *arg)
{
    struct model_timer *t = arg;
    struct model *m = t->model;

    t->fired++;
    m->n_fired++;
    m->early |= t->deadline < 0 || etcd__clock_monotonic() < t->deadline;
    m->disorder |= t->deadline < m->last;
    m->last = t->deadline;
}

static void model_step(struct model *m)
{
    struct model_timer *t = &m->timers[etcd__random_below(&m->random, N_TIMERS)];

    if (t->fired)
        return;
    if (etcd__random_below(&m->random, 4) == 0) {
        etcd__loop_timer_stop(m->loop, &t->timer);
        t->deadline = -1;
    } else {
        t->deadline = m->start + 20 * ETCD__MS + (int64_t)etcd__random_below(&m->random, 60) * ETCD__MS;
        etcd__loop_timer_start(m->loop, &t->timer, t->deadline);
    }
}

static void thousands_of_timers_in_random_order(void **state)
{
    struct model *m = calloc(1, sizeof *m);
    int expected = 0;

    (void)state;
    assert_non_null(m);
    m->loop = new_loop(NULL);
    m->random.state = 42;
    m->start = etcd__clock_monotonic() + 60 * ETCD__MS; /* setting them up takes a while under valgrind: none is in the past */
    for (size_t i = 0; i < N_TIMERS; i++)
        m->timers[i] = (struct model_timer){.model = m, .timer = {.fn = model_fire, .arg = &m->timers[i]}, .deadline = -1};
    for (int i = 0; i < 5 * N_TIMERS; i++)
        model_step(m);
    for (size_t i = 0; i < N_TIMERS; i++)
        expected += m->timers[i].deadline >= 0;
    while (m->n_fired < expected)
        etcd__loop_turn(m->loop, -1);
    for (size_t i = 0; i < N_TIMERS; i++)
        assert_int_equal(m->timers[i].fired, m->timers[i].deadline >= 0);
    assert_false(m->early);
    assert_false(m->disorder);
    assert_int_equal(etcd__loop_timeout_ms(m->loop), -1);
    etcd__loop_free(m->loop);
    free(m);
}

/* Deferred tasks. */

struct trace {
    etcd__loop *loop;
    etcd__task a, b;
    char text[32];
    size_t len;
    int repeats;
};

static void note(struct trace *t, char what)
{
    assert_true(t->len < sizeof t->text - 1);
    t->text[t->len++] = what;
    t->text[t->len] = '\0';
}

static void note_a(void *arg)
{
    struct trace *t = arg;

    note(t, 'a');
    if (t->repeats-- > 0)
        etcd__loop_defer(t->loop, &t->a);
}

static void note_b(void *arg)
{
    struct trace *t = arg;

    note(t, 'b');
}

static void make_trace(struct trace *t)
{
    memset(t, 0, sizeof *t);
    t->loop = new_loop(NULL);
    t->a = (etcd__task){.fn = note_a, .arg = t};
    t->b = (etcd__task){.fn = note_b, .arg = t};
    etcd__list_init(&t->a.node);
    etcd__list_init(&t->b.node);
}

static void task_runs_once_and_in_order(void **state)
{
    struct trace t;

    (void)state;
    make_trace(&t);
    etcd__loop_defer(t.loop, &t.b);
    etcd__loop_defer(t.loop, &t.a);
    etcd__loop_defer(t.loop, &t.b);
    etcd__loop_turn(t.loop, -1); /* does not wait: a task ran */
    assert_string_equal(t.text, "ba");
    etcd__loop_turn(t.loop, 0);
    assert_string_equal(t.text, "ba");
    etcd__loop_free(t.loop);
}

static void task_may_be_taken_back(void **state)
{
    struct trace t;

    (void)state;
    make_trace(&t);
    etcd__loop_defer(t.loop, &t.a);
    etcd__loop_defer(t.loop, &t.b);
    etcd__list_remove(&t.a.node);
    etcd__loop_turn(t.loop, 0);
    assert_string_equal(t.text, "b");
    etcd__loop_free(t.loop);
}

static void task_that_defers_itself_does_not_hang(void **state)
{
    struct trace t;

    (void)state;
    make_trace(&t);
    t.repeats = 2;
    etcd__loop_defer(t.loop, &t.a);
    assert_true(etcd__loop_flush(t.loop));
    assert_string_equal(t.text, "aaa");
    assert_false(etcd__loop_flush(t.loop));
    t.len = 0;
    t.repeats = 20;
    etcd__loop_defer(t.loop, &t.a);
    etcd__loop_turn(t.loop, -1);
    assert_in_range(strlen(t.text), 2, 20);
    while (strlen(t.text) < 21)
        etcd__loop_turn(t.loop, -1);
    etcd__loop_free(t.loop);
}

static void defer_both(void *arg)
{
    struct trace *t = arg;

    note(t, 't');
    etcd__loop_defer(t->loop, &t->a);
    etcd__loop_defer(t->loop, &t->b);
    etcd__loop_defer(t->loop, &t->a);
}

static void tasks_of_a_timer_run_in_its_turn(void **state)
{
    struct trace t;
    etcd__timer timer = {.fn = defer_both, .arg = &t};

    (void)state;
    make_trace(&t);
    etcd__loop_timer_start(t.loop, &timer, 0);
    etcd__loop_turn(t.loop, -1);
    assert_string_equal(t.text, "tab");
    etcd__loop_free(t.loop);
}

/* Wake-ups. */

static void wake_before_the_turn(void **state)
{
    int wakes = 0;
    etcd__loop *loop = new_loop(&wakes);

    (void)state;
    etcd__loop_wake(loop);
    etcd__loop_wake(loop);
    etcd__loop_turn(loop, -1);
    assert_int_equal(wakes, 1);
    etcd__loop_turn(loop, 0);
    assert_int_equal(wakes, 1);
    etcd__loop_free(loop);
}

#define WAKERS 4
#define WAKES 3000

struct wakers {
    etcd__loop *loop;
    atomic_int wanted; /* raised before each wake-up */
    int seen;          /* what the driver saw of it */
};

static void see(void *arg)
{
    struct wakers *w = arg;

    w->seen = atomic_load(&w->wanted);
}

static void *wake_often(void *arg)
{
    struct wakers *w = arg;

    for (int i = 0; i < WAKES; i++) {
        atomic_fetch_add(&w->wanted, 1);
        etcd__loop_wake(w->loop);
    }
    return NULL;
}

/* None is lost: the driver, which waits without bound, has seen all of them in the end. */
static void wake_from_many_threads(void **state)
{
    struct wakers w = {0};
    pthread_t threads[WAKERS];
    etcd_error err;

    (void)state;
    assert_int_equal(etcd__loop_new(see, &w, &w.loop, &err), ETCD_OK);
    for (int i = 0; i < WAKERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, wake_often, &w), 0);
    while (w.seen < WAKERS * WAKES)
        etcd__loop_turn(w.loop, -1);
    for (int i = 0; i < WAKERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    etcd__loop_free(w.loop);
}

static void *wake_pong(void *arg)
{
    struct wakers *w = arg;

    for (int i = 1; i <= 1000; i++) { /* each after the driver has gone back to wait, or is about to */
        while (atomic_load(&w->wanted) != 2 * i - 1)
            (void)sched_yield();
        atomic_store(&w->wanted, 2 * i);
        etcd__loop_wake(w->loop);
    }
    return NULL;
}

static void wake_one_by_one(void **state)
{
    struct wakers w = {0};
    pthread_t thread;
    etcd_error err;

    (void)state;
    assert_int_equal(etcd__loop_new(see, &w, &w.loop, &err), ETCD_OK);
    assert_int_equal(pthread_create(&thread, NULL, wake_pong, &w), 0);
    for (int i = 1; i <= 1000; i++) {
        atomic_store(&w.wanted, 2 * i - 1);
        while (w.seen < 2 * i)
            etcd__loop_turn(w.loop, -1);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    etcd__loop_free(w.loop);
}

/* The driver changes with every turn, under a lock. */
#define DRIVERS 3

struct relay {
    etcd__loop *loop;
    pthread_mutex_t lock;
    pthread_cond_t passed;
    etcd__timer timer;
    int ticks, turns;
    pthread_t last_driver;
    int changes;
};

struct driver {
    struct relay *relay;
    int number;
    pthread_t thread;
};

static void tick(void *arg)
{
    struct relay *r = arg;

    r->ticks++;
    if (!pthread_equal(r->last_driver, pthread_self()))
        r->changes++;
    r->last_driver = pthread_self();
    etcd__loop_timer_start(r->loop, &r->timer, etcd__loop_now(r->loop) + ETCD__MS / 4);
}

static void *drive(void *arg)
{
    const struct driver *driver = arg;
    struct relay *r = driver->relay;

    (void)pthread_mutex_lock(&r->lock);
    while (r->ticks < 60) {
        if (r->turns % DRIVERS != driver->number) {
            (void)pthread_cond_wait(&r->passed, &r->lock);
            continue;
        }
        etcd__loop_turn(r->loop, -1);
        r->turns++;
        (void)pthread_cond_broadcast(&r->passed);
    }
    (void)pthread_mutex_unlock(&r->lock);
    return NULL;
}

static void threads_drive_one_after_the_other(void **state)
{
    struct relay r = {.loop = new_loop(NULL),
                      .lock = PTHREAD_MUTEX_INITIALIZER,
                      .passed = PTHREAD_COND_INITIALIZER,
                      .last_driver = pthread_self()};
    struct driver drivers[DRIVERS];

    (void)state;
    r.timer = (etcd__timer){.fn = tick, .arg = &r};
    etcd__loop_timer_start(r.loop, &r.timer, 0);
    for (int i = 0; i < DRIVERS; i++) {
        drivers[i] = (struct driver){.relay = &r, .number = i};
        assert_int_equal(pthread_create(&drivers[i].thread, NULL, drive, &drivers[i]), 0);
    }
    for (int i = 0; i < DRIVERS; i++)
        assert_int_equal(pthread_join(drivers[i].thread, NULL), 0);
    assert_true(r.changes >= 2);
    etcd__loop_timer_stop(r.loop, &r.timer);
    etcd__loop_free(r.loop);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounded_wait),
        cmocka_unit_test(timer_fires_once_and_not_early),
        cmocka_unit_test(timer_moves_and_stops),
        cmocka_unit_test(timer_restarted_in_the_past_does_not_hang_a_turn),
        cmocka_unit_test(timeout_ms_rounds_up),
        cmocka_unit_test(thousands_of_timers_in_random_order),
        cmocka_unit_test(task_runs_once_and_in_order),
        cmocka_unit_test(task_may_be_taken_back),
        cmocka_unit_test(task_that_defers_itself_does_not_hang),
        cmocka_unit_test(tasks_of_a_timer_run_in_its_turn),
        cmocka_unit_test(wake_before_the_turn),
        cmocka_unit_test(wake_from_many_threads),
        cmocka_unit_test(wake_one_by_one),
        cmocka_unit_test(threads_drive_one_after_the_other),
    };

    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
