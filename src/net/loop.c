/* The event loop on libuv: sequence of a turn, timers, deferred tasks, wake-up, fork.
 *
 * libuv waits and knows descriptors; timers and tasks are ours. Starting and stopping the timer of a call costs no libuv call:
 * they live in a heap of ours, and the one libuv timer is only set anew when an earlier deadline than the one it is set to
 * appears. It may thus fire for a timer that is long stopped; then nothing is due and it is set to the next.
 *
 * A wake-up is an atomic flag; the kernel is only involved while the driver waits (`waiting`), see etcd__loop_wake(). */
#include "net/loop_internal.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "net/uv_alloc.h"

#include <assert.h>
#include <string.h>

/* Batches of deferred tasks run in one phase, so that tasks which defer each other cannot keep the loop from its sockets. */
#define TASK_ROUNDS 8

static void on_async(uv_async_t *async)
{
    (void)async; /* ends the wait; `woken` says the rest */
}

/* uv_stop() makes this very wait not block: libuv before 1.45 runs due timers before it waits, and would then wait on. */
static void on_timer(uv_timer_t *timer)
{
    etcd__loop *loop = timer->data;

    loop->armed = ETCD__NEVER;
    uv_stop(&loop->uv);
}

static int init_handles(etcd__loop *loop, etcd_error *err)
{
    int rc = etcd__uv_loop_init(&loop->uv);

    if (rc != 0)
        return etcd__uv_error(err, "event loop", rc);
    (void)uv_timer_init(&loop->uv, &loop->timer);
    loop->timer.data = loop;
    rc = uv_async_init(&loop->uv, &loop->async, on_async);
    if (rc != 0) {
        uv_close((uv_handle_t *)&loop->timer, NULL);
        (void)uv_run(&loop->uv, UV_RUN_DEFAULT);
        (void)uv_loop_close(&loop->uv);
        return etcd__uv_error(err, "event loop: wake-up", rc);
    }
    return ETCD_OK;
}

int etcd__loop_new(void (*on_wake)(void *arg), void *arg, etcd__loop **out, etcd_error *err)
{
    etcd__loop *loop;
    int rc;

    *out = NULL;
    loop = etcd__calloc(1, sizeof *loop);
    if (loop == NULL)
        return etcd__error_no_memory(err);
    rc = init_handles(loop, err);
    if (rc != ETCD_OK) {
        etcd__free(loop);
        return rc;
    }
    loop->armed = ETCD__NEVER;
    etcd__list_init(&loop->tasks);
    loop->on_wake = on_wake;
    loop->arg = arg;
    loop->now = etcd__clock_monotonic();
    *out = loop;
    return ETCD_OK;
}

/* What was received last may be a token. */
static void drop_buffer(uint8_t **buffer)
{
    if (*buffer != NULL)
        etcd__wipe(*buffer, ETCD__SCRATCH_SIZE);
    etcd__free(*buffer);
    *buffer = NULL;
}

void etcd__loop_free(etcd__loop *loop)
{
    int rc;

    if (loop == NULL)
        return;
    assert(!loop->in_turn || loop->forked);
    etcd__embed_free(loop);
    drop_buffer(&loop->scratch);
    drop_buffer(&loop->plain);
    if (loop->abandoned)
        return; /* frames of the parent's thread may still refer to it: leaked in the child, on purpose */
    uv_close((uv_handle_t *)&loop->async, NULL);
    uv_close((uv_handle_t *)&loop->timer, NULL);
    (void)uv_run(&loop->uv, UV_RUN_NOWAIT); /* the close callbacks */
    rc = uv_loop_close(&loop->uv);
    assert(rc == 0 && "all handles on the loop are closed");
    if (rc == 0)
        etcd__free(loop);
}

static uint8_t *made_buffer(uint8_t **buffer)
{
    if (*buffer == NULL)
        *buffer = etcd__malloc(ETCD__SCRATCH_SIZE);
    return *buffer;
}

uint8_t *etcd__loop_scratch(etcd__loop *loop)
{
    return made_buffer(&loop->scratch);
}

uint8_t *etcd__loop_plain(etcd__loop *loop)
{
    return made_buffer(&loop->plain);
}

/* Runs what is queued; tasks queued meanwhile run in the next batch. Returns whether any ran. */
static bool run_tasks(etcd__loop *loop)
{
    bool ran = false;

    for (int round = 0; round < TASK_ROUNDS && !etcd__list_empty(&loop->tasks); round++) {
        etcd__list batch, *node;

        etcd__list_init(&batch);
        etcd__list_splice_back(&batch, &loop->tasks);
        while ((node = etcd__list_pop_front(&batch)) != NULL) {
            etcd__task *task = ETCD__CONTAINER_OF(node, etcd__task, node);

            ran = true;
            task->fn(task->arg);
        }
    }
    return ran;
}

static void run_timers(etcd__loop *loop)
{
    etcd__heap_node *node;

    loop->in_timers = true;
    while ((node = loop->timers.root) != NULL && node->key <= loop->now) {
        etcd__timer *timer = ETCD__CONTAINER_OF(node, etcd__timer, node);

        etcd__heap_remove(&loop->timers, node);
        timer->fn(timer->arg);
    }
    loop->in_timers = false;
}

static void arm(etcd__loop *loop, int64_t deadline)
{
    int64_t delay;

    uv_update_time(&loop->uv);
    delay = deadline - etcd__clock_monotonic();
    delay = delay <= 0 ? 0 : (delay - 1) / ETCD__MS + 1;
    (void)uv_timer_start(&loop->timer, on_timer, (uint64_t)delay, 0);
    loop->armed = deadline;
}

void etcd__loop_awake(etcd__loop *loop)
{
    if (!atomic_load_explicit(&loop->waiting, memory_order_relaxed))
        return;
    atomic_store_explicit(&loop->waiting, false, memory_order_relaxed);
    loop->now = etcd__clock_monotonic();
}

/* One wait in the kernel with the handlers of what happened. */
static void wait_once(etcd__loop *loop, int64_t timeout_ns)
{
    int64_t deadline = loop->timers.root ? loop->timers.root->key : ETCD__NEVER;
    uv_run_mode mode = UV_RUN_NOWAIT;

    /* Sequentially consistent: either wake() sees that we wait, or we see that it was called. */
    atomic_store(&loop->waiting, true);
    if (timeout_ns != 0 && !atomic_load(&loop->woken)) {
        mode = UV_RUN_ONCE;
        if (timeout_ns > 0) {
            int64_t bound = etcd__clock_after(etcd__clock_monotonic(), timeout_ns);

            deadline = bound < deadline ? bound : deadline;
        }
        if (deadline < loop->armed)
            arm(loop, deadline);
    }
    loop->dirty = false; /* before: what handlers change while it runs, the kernel is not told yet */
    (void)uv_run(&loop->uv, mode);
    etcd__loop_awake(loop);
}

void etcd__loop_turn(etcd__loop *loop, int64_t timeout_ns)
{
    assert(!loop->in_turn);
    if (loop->abandoned)
        return;
    loop->in_turn = true;
    if (run_tasks(loop) || !etcd__list_empty(&loop->tasks))
        timeout_ns = 0; /* the task may have been all that the caller waits for */
    wait_once(loop, timeout_ns);
    if (atomic_exchange(&loop->woken, false))
        loop->on_wake(loop->arg);
    run_timers(loop);
    (void)run_tasks(loop);
    if (loop->embed != NULL) {
        while (loop->dirty) { /* nobody will wait in libuv: it must tell the kernel now */
            wait_once(loop, 0);
            (void)run_tasks(loop);
        }
        etcd__embed_update(loop);
    }
    loop->in_turn = false;
}

bool etcd__loop_flush(etcd__loop *loop)
{
    bool ran;

    assert(!loop->in_turn);
    loop->in_turn = true;
    ran = run_tasks(loop);
    if (loop->embed != NULL)
        etcd__embed_update(loop);
    loop->in_turn = false;
    return ran;
}

void etcd__loop_wake(etcd__loop *loop)
{
    if (atomic_exchange(&loop->woken, true))
        return;
    if (atomic_load(&loop->waiting) || atomic_load(&loop->embedded))
        (void)uv_async_send(&loop->async);
}

int64_t etcd__loop_now(const etcd__loop *loop)
{
    return loop->now;
}

void etcd__loop_update_now(etcd__loop *loop)
{
    loop->now = etcd__clock_monotonic();
}

void etcd__loop_timer_start(etcd__loop *loop, etcd__timer *timer, int64_t deadline)
{
    etcd__heap_remove(&loop->timers, &timer->node);
    if (loop->in_timers && deadline <= loop->now)
        deadline = loop->now + 1;
    etcd__heap_insert(&loop->timers, &timer->node, deadline);
    if (loop->embed != NULL && !loop->in_turn)
        etcd__embed_update(loop);
}

void etcd__loop_timer_stop(etcd__loop *loop, etcd__timer *timer)
{
    etcd__heap_remove(&loop->timers, &timer->node);
}

void etcd__loop_defer(etcd__loop *loop, etcd__task *task)
{
    if (!etcd__list_empty(&task->node))
        return;
    etcd__list_push_back(&loop->tasks, &task->node);
    if (loop->embed != NULL && !loop->in_turn)
        etcd__embed_update(loop);
}

int64_t etcd__loop_timeout_ms(const etcd__loop *loop)
{
    int64_t left;

    if (!etcd__list_empty(&loop->tasks) || loop->dirty || atomic_load(&loop->woken))
        return 0;
    if (loop->timers.root == NULL || loop->timers.root->key == ETCD__NEVER)
        return -1;
    left = loop->timers.root->key - etcd__clock_monotonic();
    return left <= 0 ? 0 : (left - 1) / ETCD__MS + 1;
}

/* The parent's thread may have been anywhere when the child was made. While it waits in the kernel, or while nobody drives,
 * libuv's lists are whole, and uv_loop_fork() replaces what the kernel shares. Otherwise only forgetting is safe. */
bool etcd__loop_forked(etcd__loop *loop, bool driven)
{
    bool whole = driven ? atomic_load(&loop->waiting) && !loop->dirty : !loop->in_turn;

    if (loop->forked)
        return !loop->abandoned;
    loop->forked = true;
    etcd__embed_free(loop); /* its timer would be the parent's, too */
    loop->abandoned = !whole || uv_loop_fork(&loop->uv) != 0;
    loop->in_turn = false;
    return !loop->abandoned;
}
