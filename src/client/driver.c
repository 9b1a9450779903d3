/* Who drives the loop, and what the driver does. See client.h.
 *
 * A lone thread that makes one blocking call after another is fastest when it drives the loop itself: no hand-over
 * between threads. A crowd is served best by one thread that moves bytes for all. So the I/O thread leaves its seat
 * after a row of blocking calls that were alone, and takes it back as soon as calls overlap, are asynchronous, or
 * nobody has driven for PARK_TIME. */
#include "client/client.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <assert.h>

#define LONE_STREAK 8            /* lone calls in a row before the I/O thread leaves its seat */
#define PARK_TIME (5 * ETCD__MS) /* how long the seat may stay empty */
#define DELIVER_MOST 32          /* calls delivered before what their callbacks started is sent */

static uintptr_t this_thread(void)
{
    return (uintptr_t)uv_thread_self();
}

bool etcd__client_in_callback(const etcd_client *client)
{
    return atomic_load_explicit(&client->dispatcher, memory_order_relaxed) == this_thread();
}

/* --- what the driver does --------------------------------------------------------------------- */

/* Moves what other threads asked for to the driver's side. */
static void take_requests(etcd_client *client, etcd__list *submitted, etcd__list *to_cancel, etcd__list *jobs)
{
    etcd__list_init(submitted);
    etcd__list_init(to_cancel);
    etcd__list_init(jobs);
    uv_mutex_lock(&client->shared.lock);
    etcd__list_splice_back(submitted, &client->shared.submitted);
    etcd__list_splice_back(to_cancel, &client->shared.to_cancel);
    etcd__list_splice_back(jobs, &client->shared.jobs);
    uv_mutex_unlock(&client->shared.lock);
}

void etcd__driver_start_submitted(etcd_client *client)
{
    etcd__list submitted, to_cancel, jobs, *node;

    take_requests(client, &submitted, &to_cancel, &jobs);
    if (!etcd__list_empty(&submitted) || !etcd__list_empty(&to_cancel) || !etcd__list_empty(&jobs))
        etcd__loop_update_now(client->io.loop);
    while ((node = etcd__list_pop_front(&submitted)) != NULL)
        etcd__user_call_start(ETCD__CONTAINER_OF(node, etcd__user_call, node));
    while ((node = etcd__list_pop_front(&to_cancel)) != NULL) {
        etcd__user_call *call = ETCD__CONTAINER_OF(node, etcd__user_call, cancel_node);

        if (!call->has_ended)
            etcd__user_call_cancel(call);
    }
    while ((node = etcd__list_pop_front(&jobs)) != NULL) {
        etcd__job *job = ETCD__CONTAINER_OF(node, etcd__job, node);

        job->fn(job);
    }
}

/* Takes the first `most` ended calls out of what other threads can reach: from here on the driver alone knows them. */
static void retire(etcd_client *client, size_t most)
{
    etcd__list *node;

    uv_mutex_lock(&client->shared.lock);
    for (node = client->io.ended.next; node != &client->io.ended && most > 0; node = node->next, most--) {
        etcd__user_call *call = ETCD__CONTAINER_OF(node, etcd__user_call, node);

        if (call->retired)
            continue;
        call->retired = true;
        etcd__list_remove(&call->cancel_node);
        etcd__calls_remove(client, call);
        client->shared.live--;
    }
    uv_mutex_unlock(&client->shared.lock);
}

void etcd__driver_begin_callback(etcd_client *client)
{
    client->io.callbacks++;
    atomic_store_explicit(&client->dispatcher, this_thread(), memory_order_relaxed);
}

void etcd__driver_end_callback(etcd_client *client)
{
    if (--client->io.callbacks == 0)
        atomic_store_explicit(&client->dispatcher, 0, memory_order_relaxed);
}

/* Delivers up to `most` ended calls. */
static void deliver_some(etcd_client *client, size_t most)
{
    etcd__list *node;

    while (most > 0 && !etcd__list_empty(&client->io.ended)) {
        retire(client, most);
        /* A callback may close the client, which dispatches the rest from within: take one at a time. */
        while (most > 0 && (node = etcd__list_pop_front(&client->io.ended)) != NULL) {
            etcd__user_call *call = ETCD__CONTAINER_OF(node, etcd__user_call, node);

            if (!call->retired) {
                etcd__list_push_front(&client->io.ended, node);
                break;
            }
            etcd__user_call_deliver(call);
            most--;
        }
    }
}

/* In portions, so that the server has work while the next ones are delivered. */
void etcd__driver_dispatch(void *arg)
{
    etcd_client *client = arg;

    etcd__list_remove(&client->io.dispatch.node);
    etcd__driver_begin_callback(client);
    deliver_some(client, DELIVER_MOST);
    etcd__driver_end_callback(client);
    etcd__driver_start_submitted(client); /* what the callbacks started leaves in this turn */
    if (!etcd__list_empty(&client->io.ended))
        etcd__loop_defer(client->io.loop, &client->io.dispatch);
}

void etcd__driver_turn(etcd_client *client, int64_t timeout_ns)
{
    etcd__driver_start_submitted(client);
    etcd__loop_turn(client->io.loop, timeout_ns);
}

/* As etcd__driver_turn(), but looks whether the call was delivered before it waits for anything. */
static void turn_for(etcd__user_call *call)
{
    etcd_client *client = call->client;

    etcd__driver_start_submitted(client);
    (void)etcd__loop_flush(client->io.loop);
    if (!call->delivered)
        etcd__loop_turn(client->io.loop, -1);
}

/* --- the seat --------------------------------------------------------------------------------- */

bool etcd__driver_notify(etcd_client *client)
{
    if (etcd__client_in_callback(client))
        return false; /* the driver itself: it looks after the callback */
    if (client->manual)
        return true; /* makes the descriptor readable */
    if (client->shared.driver != ETCD__DRIVER_NOBODY)
        return true;
    uv_cond_broadcast(&client->shared.changed);
    return false;
}

bool etcd__driver_post(etcd_client *client, etcd__job *job)
{
    bool open, wake = false;

    uv_mutex_lock(&client->shared.lock);
    open = !atomic_load_explicit(&client->closed, memory_order_relaxed);
    if (open) {
        etcd__list_push_back(&client->shared.jobs, &job->node);
        wake = etcd__driver_notify(client);
    }
    if (wake)
        etcd__client_ref(client); /* the job may be what frees it */
    uv_mutex_unlock(&client->shared.lock);
    if (wake) {
        etcd__loop_wake(client->io.loop);
        etcd__client_unref(client);
    }
    return open;
}

static bool seat_is_wanted(etcd_client *client)
{
    return atomic_load_explicit(&client->seat_wanted, memory_order_relaxed) > 0;
}

/* Lock held. */
static void leave_seat(etcd_client *client)
{
    client->shared.driver = ETCD__DRIVER_NOBODY;
    client->shared.drives++;
    if (seat_is_wanted(client) || client->shared.live > 0 || client->shared.io_waits)
        uv_cond_broadcast(&client->shared.changed);
}

/* Lock held at entry, released at exit. Drives until the call was delivered or somebody needs the seat. Returns
 * whether it was delivered, as seen from the seat: afterwards another driver may be in the middle of it. */
static bool drive_own_call(etcd__user_call *call)
{
    etcd_client *client = call->client;
    bool delivered;

    client->shared.driver = ETCD__DRIVER_CALLER;
    uv_mutex_unlock(&client->shared.lock);
    do
        turn_for(call);
    while (!call->delivered && !seat_is_wanted(client));
    delivered = call->delivered;
    uv_mutex_lock(&client->shared.lock);
    leave_seat(client);
    uv_mutex_unlock(&client->shared.lock);
    return delivered;
}

void etcd__driver_run(etcd__user_call *call)
{
    etcd_client *client = call->client;
    bool wake;

    if (client->manual) {
        uv_mutex_unlock(&client->shared.lock);
        while (!call->delivered)
            turn_for(call);
        return;
    }
    if (client->shared.driver == ETCD__DRIVER_NOBODY && !seat_is_wanted(client)) {
        if (drive_own_call(call))
            return;
    } else {
        wake = etcd__driver_notify(client);
        uv_mutex_unlock(&client->shared.lock);
        if (wake)
            etcd__loop_wake(client->io.loop);
    }
    uv_sem_wait(&call->ended);
}

void etcd__driver_acquire(etcd_client *client)
{
    if (client->manual)
        return;
    atomic_fetch_add_explicit(&client->seat_wanted, 1, memory_order_relaxed);
    uv_mutex_lock(&client->shared.lock);
    while (client->shared.driver != ETCD__DRIVER_NOBODY) {
        etcd__loop_wake(client->io.loop); /* an eventfd: never waits */
        uv_cond_wait(&client->shared.changed, &client->shared.lock);
    }
    client->shared.driver = ETCD__DRIVER_CALLER;
    atomic_fetch_sub_explicit(&client->seat_wanted, 1, memory_order_relaxed);
    uv_mutex_unlock(&client->shared.lock);
}

void etcd__driver_release(etcd_client *client)
{
    if (client->manual)
        return;
    uv_mutex_lock(&client->shared.lock);
    leave_seat(client);
    uv_mutex_unlock(&client->shared.lock);
}

bool etcd__driver_enter(etcd_client *client)
{
    if (etcd__client_in_callback(client))
        return false;
    etcd__driver_acquire(client);
    return true;
}

void etcd__driver_leave(etcd_client *client, bool seated)
{
    if (!seated)
        return;
    if (!client->manual)
        (void)etcd__loop_flush(client->io.loop); /* what was queued must not wait for the next driver */
    etcd__driver_release(client);
}

/* --- the I/O thread --------------------------------------------------------------------------- */

/* Waits while another drives, or while lone callers come and go. Lock held. Returns whether to take the seat. */
static bool io_thread_waits(etcd_client *client)
{
    unsigned seen = client->shared.drives;
    bool taken = client->shared.driver != ETCD__DRIVER_NOBODY || seat_is_wanted(client);

    bool busy = client->shared.live > 0 || client->shared.attended || !etcd__list_empty(&client->shared.jobs);

    if (!taken && (busy || client->shared.lone_streak < LONE_STREAK))
        return true;
    if (uv_cond_timedwait(&client->shared.changed, &client->shared.lock, (uint64_t)PARK_TIME) == 0 ||
        client->shared.drives != seen)
        return false;
    if (client->shared.driver == ETCD__DRIVER_NOBODY)
        return !seat_is_wanted(client);
    client->shared.io_waits = true; /* one long call: sleep until its thread leaves */
    uv_cond_wait(&client->shared.changed, &client->shared.lock);
    client->shared.io_waits = false;
    return false;
}

void etcd__driver_main(void *arg)
{
    etcd_client *client = arg;

    uv_mutex_lock(&client->shared.lock);
    while (!client->shared.stop) {
        if (!io_thread_waits(client) || client->shared.stop)
            continue;
        client->shared.driver = ETCD__DRIVER_IO_THREAD;
        uv_mutex_unlock(&client->shared.lock);
        etcd__driver_turn(client, -1);
        uv_mutex_lock(&client->shared.lock);
        client->shared.driver = ETCD__DRIVER_NOBODY;
        if (seat_is_wanted(client))
            uv_cond_broadcast(&client->shared.changed);
    }
    client->shared.io_lives = false;
    uv_mutex_unlock(&client->shared.lock);
    etcd__client_unref(client);
}
