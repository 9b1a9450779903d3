/* See keepalive_core.h.
 *
 * Every lease stands in the heap at the time when something is to be done for it: its renewal while a stream is open, a look
 * at an answer that does not come, or its deadline. */
#include "service/keepalive_core.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/list.h"

#include <stdio.h>
#include <string.h>

#define TTL_MAX_S (INT64_MAX / 4 / ETCD__SECOND) /* what is longer than seventy years is cut */
#define TOGETHER (50 * ETCD__MS)                 /* renewals due within this time leave with one write */
#define BURST 1000                               /* requests in one run, so that other calls get their turn */
#define PATIENCE (10 * ETCD__SECOND)             /* with an answer, for a lease of which nothing is known */
#define PATIENCE_LEAST (250 * ETCD__MS)          /* with a stream that was opened just now */
#define BACKOFF_FIRST (20 * ETCD__MS)            /* at most: it is all jitter */
#define BACKOFF_BASE (50 * ETCD__MS)
#define BACKOFF_MAX ETCD__SECOND
#define BACKOFF_LEAST (5 * ETCD__MS)
#define BACKOFF_JITTER 0.3
#define REFUSALS_MOST 4
#define PER_BUCKET 4
#define FIRST_BUCKETS 16

void etcd__keepalive_core_init(etcd__keepalive_core *core, const etcd__keepalive_events *events, uint64_t seed)
{
    memset(core, 0, sizeof *core);
    core->events = events;
    core->random.state = seed;
    core->buckets = &core->first_bucket;
    core->n_buckets = 1;
}

/* --- the table -------------------------------------------------------------------------------- */

static etcd__keepalive_lease **bucket_of(etcd__keepalive_lease **buckets, size_t n, int64_t id)
{
    uint64_t mixed = (uint64_t)id * UINT64_C(0x9E3779B97F4A7C15);

    return &buckets[(size_t)(mixed >> 32) & (n - 1)];
}

etcd__keepalive_lease *etcd__keepalive_core_find(etcd__keepalive_core *core, int64_t id)
{
    etcd__keepalive_lease *lease = *bucket_of(core->buckets, core->n_buckets, id);

    while (lease != NULL && lease->id != id)
        lease = lease->next;
    return lease;
}

/* More buckets when there is memory for them; without, it goes on with those it has. */
static void grow(etcd__keepalive_core *core)
{
    size_t n = core->n_buckets < FIRST_BUCKETS ? FIRST_BUCKETS : core->n_buckets * 2;
    etcd__keepalive_lease **buckets = etcd__calloc(n, sizeof(etcd__keepalive_lease *)), *lease, *next;

    if (buckets == NULL)
        return;
    for (size_t i = 0; i < core->n_buckets; i++) {
        for (lease = core->buckets[i]; lease != NULL; lease = next) {
            etcd__keepalive_lease **bucket = bucket_of(buckets, n, lease->id);

            next = lease->next;
            lease->next = *bucket;
            *bucket = lease;
        }
    }
    if (core->buckets != &core->first_bucket)
        etcd__free(core->buckets);
    core->buckets = buckets;
    core->n_buckets = n;
}

static void add_lease(etcd__keepalive_core *core, etcd__keepalive_lease *lease)
{
    etcd__keepalive_lease **bucket;

    if (core->n_leases >= core->n_buckets * PER_BUCKET)
        grow(core);
    bucket = bucket_of(core->buckets, core->n_buckets, lease->id);
    lease->next = *bucket;
    *bucket = lease;
    core->n_leases++;
}

static void remove_lease(etcd__keepalive_core *core, etcd__keepalive_lease *lease)
{
    etcd__keepalive_lease **at = bucket_of(core->buckets, core->n_buckets, lease->id);

    while (*at != lease)
        at = &(*at)->next;
    *at = lease->next;
    core->n_leases--;
    etcd__heap_remove(&core->heap, &lease->due);
    core->events->release(lease);
}

typedef void lease_fn(etcd__keepalive_core *core, etcd__keepalive_lease *lease, int64_t now);

/* Calls fn for each lease; it may remove that one. */
static void each_lease(etcd__keepalive_core *core, lease_fn *fn, int64_t now)
{
    for (size_t i = 0; i < core->n_buckets; i++) {
        etcd__keepalive_lease *lease = core->buckets[i], *next;

        for (; lease != NULL; lease = next) {
            next = lease->next;
            fn(core, lease, now);
        }
    }
}

/* --- times ------------------------------------------------------------------------------------ */

/* When to look again at a request without an answer: halfway to the deadline, at three quarters, at the deadline. */
static int64_t next_look(const etcd__keepalive_lease *lease, int64_t now)
{
    int64_t whole = lease->deadline == ETCD__NEVER ? PATIENCE : lease->deadline - lease->sent;
    int64_t half = lease->sent + whole / 2, most = lease->sent + whole / 4 * 3;

    if (now < half)
        return half;
    if (now < most)
        return most;
    if (lease->deadline == ETCD__NEVER)
        return now + PATIENCE / 4;
    return lease->deadline;
}

static void reschedule(etcd__keepalive_core *core, etcd__keepalive_lease *lease, int64_t now)
{
    int64_t key = lease->deadline;

    if (lease->users == NULL)
        key = ETCD__NEVER; /* only its answer is waited for */
    else if (lease->sent != 0)
        key = next_look(lease, now);
    else if (core->stream == ETCD__KEEPALIVE_OPEN && lease->renew_at < key)
        key = lease->renew_at;
    if (lease->due.linked && lease->due.key == key)
        return;
    etcd__heap_remove(&core->heap, &lease->due);
    if (key != ETCD__NEVER)
        etcd__heap_insert(&core->heap, &lease->due, key);
}

static int64_t earliest_deadline(const etcd__keepalive_core *core)
{
    int64_t earliest = ETCD__NEVER;

    for (size_t i = 0; i < core->n_buckets; i++)
        for (const etcd__keepalive_lease *lease = core->buckets[i]; lease != NULL; lease = lease->next)
            if (lease->users != NULL && lease->deadline < earliest)
                earliest = lease->deadline;
    return earliest;
}

/* A wait never takes more than an eighth of what is left until `deadline`. */
static void hasten(etcd__keepalive_core *core, int64_t deadline, int64_t now)
{
    int64_t most = deadline == ETCD__NEVER ? ETCD__NEVER : (deadline - now) / 8;

    if (most < BACKOFF_LEAST)
        most = BACKOFF_LEAST;
    if (core->reopen_at - now > most)
        core->reopen_at = now + most;
}

static void back_off(etcd__keepalive_core *core, int64_t now)
{
    int64_t wait = BACKOFF_BASE;

    if (core->failures == 0) {
        wait = BACKOFF_LEAST + (int64_t)etcd__random_below(&core->random, (uint64_t)BACKOFF_FIRST);
    } else {
        for (int i = 1; i < core->failures && wait < BACKOFF_MAX; i++)
            wait *= 2;
        wait = etcd__random_jitter(&core->random, wait < BACKOFF_MAX ? wait : BACKOFF_MAX, BACKOFF_JITTER);
    }
    core->failures++;
    core->reopen_at = now + wait;
    hasten(core, earliest_deadline(core), now);
}

/* --- users ------------------------------------------------------------------------------------ */

static void unlink_user(etcd__keepalive_core *core, etcd__keepalive_user *user)
{
    etcd__keepalive_user **at = &user->lease->users;

    while (*at != user)
        at = &(*at)->next;
    *at = user->next;
    user->lease = NULL;
    core->n_users--;
}

/* A lease without users, and without a request that is waited for, is forgotten. Returns whether it was. */
static bool forget_unused(etcd__keepalive_core *core, etcd__keepalive_lease *lease)
{
    if (lease->users != NULL || lease->sent != 0)
        return false;
    remove_lease(core, lease);
    return true;
}

/* Ends the users of a lease, but those who want one renewal if `spare_once`. */
static void end_users(etcd__keepalive_core *core, etcd__keepalive_lease *lease, const etcd_error *why, bool spare_once)
{
    etcd__keepalive_user *user = lease->users, *next;

    for (; user != NULL; user = next) {
        next = user->next;
        if (spare_once && user->once)
            continue;
        unlink_user(core, user);
        core->events->end(core, user, why);
    }
}

static void expire(etcd__keepalive_core *core, etcd__keepalive_lease *lease, int64_t now)
{
    char last[ETCD_ERROR_MESSAGE_MAX / 2] = "";
    etcd_error why;

    if (core->last_error.code != ETCD_OK && core->failures > 0)
        (void)snprintf(last, sizeof last, "; the last stream: %.200s", core->last_error.message);
    etcd__error_set(&why, ETCD_ERR_LEASE_EXPIRED, "%s%s", etcd_error_text(ETCD_ERR_LEASE_EXPIRED), last);
    memcpy(why.endpoint, core->last_error.endpoint, sizeof why.endpoint);
    end_users(core, lease, &why, true);
    lease->deadline = ETCD__NEVER;
    if (!forget_unused(core, lease))
        reschedule(core, lease, now);
}

/* The lease that a user joins; `room` becomes it when it is not known. */
static etcd__keepalive_lease *find_or_add(etcd__keepalive_core *core, int64_t id, etcd__keepalive_lease *room, int64_t now)
{
    etcd__keepalive_lease *lease = etcd__keepalive_core_find(core, id);

    if (lease != NULL && lease->deadline <= now) {
        expire(core, lease, now); /* the new user has nothing to do with that */
        lease = etcd__keepalive_core_find(core, id);
    }
    if (lease != NULL) {
        core->events->release(room);
        return lease;
    }
    memset(room, 0, sizeof *room);
    room->id = id;
    room->deadline = ETCD__NEVER;
    add_lease(core, room);
    return room;
}

/* What one user knows serves all. */
static void tell_deadline(etcd__keepalive_core *core, etcd__keepalive_lease *lease)
{
    for (etcd__keepalive_user *user = lease->users; user != NULL; user = user->next)
        if (!user->once)
            core->events->held(user, lease->deadline);
}

void etcd__keepalive_core_join(etcd__keepalive_core *core, etcd__keepalive_user *user, int64_t id, etcd__keepalive_lease *room,
                               int64_t deadline, int64_t now)
{
    etcd__keepalive_lease *lease = find_or_add(core, id, room, now);

    user->lease = lease;
    user->asked = false;
    user->next = lease->users;
    lease->users = user;
    core->n_users++;
    if (deadline != ETCD__NEVER && (lease->deadline == ETCD__NEVER || lease->deadline < deadline))
        lease->deadline = deadline;
    if (lease->deadline != ETCD__NEVER)
        tell_deadline(core, lease);
    lease->renew_at = now; /* so that the first answer comes at once */
    reschedule(core, lease, now);
    if (core->stream == ETCD__KEEPALIVE_NO_STREAM)
        hasten(core, lease->deadline, now);
}

void etcd__keepalive_core_leave(etcd__keepalive_core *core, etcd__keepalive_user *user)
{
    etcd__keepalive_lease *lease = user->lease;

    if (lease == NULL)
        return;
    unlink_user(core, user);
    if (!forget_unused(core, lease) && lease->users == NULL)
        etcd__heap_remove(&core->heap, &lease->due);
}

/* --- the stream ------------------------------------------------------------------------------- */

static void hand_out(etcd__keepalive_core *core, etcd__keepalive_lease *lease, int64_t now)
{
    core->events->request(core, lease->id);
    core->handed_out++;
    lease->sent = now;
    for (etcd__keepalive_user *user = lease->users; user != NULL; user = user->next)
        user->asked = true;
    reschedule(core, lease, now);
}

/* What was on the stream is gone with it: its leases are due again. */
static void forget_request(etcd__keepalive_core *core, etcd__keepalive_lease *lease, int64_t now)
{
    if (lease->sent != 0) {
        lease->sent = 0;
        lease->renew_at = now;
        for (etcd__keepalive_user *user = lease->users; user != NULL; user = user->next)
            user->asked = false;
    }
    if (!forget_unused(core, lease))
        reschedule(core, lease, now);
}

static void drop_stream(etcd__keepalive_core *core, int64_t now)
{
    core->stream = ETCD__KEEPALIVE_NO_STREAM;
    core->handed_out = 0;
    each_lease(core, forget_request, now);
    back_off(core, now);
}

static void give_up(etcd__keepalive_core *core, const char *why, int64_t now)
{
    etcd__error_set(&core->last_error, ETCD_ERR_UNAVAILABLE, "%s", why);
    drop_stream(core, now);
    core->events->give_up(core);
}

static void flush(etcd__keepalive_core *core, int64_t now)
{
    if (core->handed_out == 0)
        return;
    core->handed_out = 0;
    if (!core->events->flush(core))
        give_up(core, "the requests could not be queued", now);
}

void etcd__keepalive_core_opened(etcd__keepalive_core *core, int64_t now)
{
    core->stream = ETCD__KEEPALIVE_OPEN;
    core->opened_at = core->heard_at = now;
    each_lease(core, reschedule, now);
}

/* Errors that another stream will meet again. A token that is refused is another thing: see refused_for_good(). */
static bool is_final(int code)
{
    switch (code) {
    case ETCD_ERR_ARGUMENT:
    case ETCD_ERR_UNIMPLEMENTED:
    case ETCD_ERR_PERMISSION_DENIED:
    case ETCD_ERR_GRPC_PERMISSION_DENIED:
    case ETCD_ERR_UNAUTHENTICATED:
    case ETCD_ERR_INVALID_AUTH_TOKEN:
    case ETCD_ERR_AUTH_FAILED:
    case ETCD_ERR_AUTH_OLD_REVISION:
    case ETCD_ERR_USER_EMPTY:
    case ETCD_ERR_USER_NOT_FOUND:
    case ETCD_ERR_INVALID_AUTH_MGMT:
    case ETCD_ERR_CLOSED:
        return true;
    default:
        return false;
    }
}

/* New tokens that are refused, one after the other, are no better than one. */
static bool refused_for_good(etcd__keepalive_core *core, int code, bool again)
{
    if (!is_final(code))
        core->refusals = 0;
    else if (!again || ++core->refusals >= REFUSALS_MOST)
        return true;
    return false;
}

static void end_lease(etcd__keepalive_core *core, etcd__keepalive_lease *lease, int64_t now)
{
    (void)now;
    end_users(core, lease, &core->last_error, false);
    lease->sent = 0;
    remove_lease(core, lease);
}

void etcd__keepalive_core_lost(etcd__keepalive_core *core, const etcd_error *why, bool again, int64_t now)
{
    core->last_error = *why;
    if (why->code == ETCD_OK)
        etcd__error_set(&core->last_error, ETCD_ERR_UNAVAILABLE, "the server ended the stream");
    if (refused_for_good(core, why->code, again)) {
        core->stream = ETCD__KEEPALIVE_NO_STREAM;
        core->handed_out = 0;
        each_lease(core, end_lease, now);
        core->refusals = 0;
        back_off(core, now);
        return;
    }
    drop_stream(core, now);
}

/* --- answers ---------------------------------------------------------------------------------- */

static void gone(etcd__keepalive_core *core, etcd__keepalive_lease *lease)
{
    etcd_error why;

    etcd__error_set(&why, ETCD_ERR_LEASE_NOT_FOUND, "%s", etcd_error_text(ETCD_ERR_LEASE_NOT_FOUND));
    why.grpc_code = 5;
    end_users(core, lease, &why, false);
    remove_lease(core, lease);
}

/* Tells the users of an answered lease. Returns whether somebody waits for another request. */
static bool tell_users(etcd__keepalive_core *core, etcd__keepalive_lease *lease, const etcd_keepalive_response *response)
{
    etcd__keepalive_user *user = lease->users, *next;
    bool more = false;

    for (; user != NULL; user = next) {
        next = user->next;
        if (user->once && !user->asked) {
            more = true;
            continue;
        }
        if (user->once)
            unlink_user(core, user);
        else
            core->events->held(user, lease->deadline);
        core->events->answer(core, user, response);
    }
    return more;
}

void etcd__keepalive_core_answer(etcd__keepalive_core *core, const etcd_keepalive_response *response, int64_t now)
{
    etcd__keepalive_lease *lease = etcd__keepalive_core_find(core, response->id);
    int64_t ttl = response->ttl_s < TTL_MAX_S ? response->ttl_s : TTL_MAX_S;
    int64_t until;

    if (lease == NULL || lease->sent == 0)
        return; /* not asked for */
    core->heard_at = now;
    core->failures = core->refusals = 0;
    until = etcd__clock_after(lease->sent, ttl * ETCD__SECOND);
    lease->sent = 0;
    if (ttl <= 0) {
        gone(core, lease);
        return;
    }
    if (lease->users == NULL) {
        remove_lease(core, lease);
        return;
    }
    lease->deadline = until;
    lease->renew_at = now + ttl * ETCD__SECOND / 3;
    if (tell_users(core, lease, response))
        lease->renew_at = now;
    if (!forget_unused(core, lease))
        reschedule(core, lease, now);
}

/* --- what is due ------------------------------------------------------------------------------ */

/* A request without an answer: halfway to the deadline a stream that has said nothing since is given up, at three
 * quarters any. */
static void doubt(etcd__keepalive_core *core, etcd__keepalive_lease *lease, int64_t now)
{
    int64_t whole = lease->deadline == ETCD__NEVER ? PATIENCE : lease->deadline - lease->sent;
    bool silent = core->heard_at <= lease->sent;

    if (now - core->opened_at >= PATIENCE_LEAST && (silent || now - lease->sent >= whole / 4 * 3)) {
        core->unanswered = lease->sent;
        give_up(core, "the member does not answer", now);
        core->unanswered = 0;
    } else {
        reschedule(core, lease, now);
    }
}

static void act(etcd__keepalive_core *core, etcd__keepalive_lease *lease, int64_t now)
{
    if (lease->deadline <= now)
        expire(core, lease, now);
    else if (lease->sent != 0)
        doubt(core, lease, now);
    else if (core->stream == ETCD__KEEPALIVE_OPEN)
        hand_out(core, lease, now);
    else
        reschedule(core, lease, now);
}

/* Whether a lease that is not quite due goes along with those that are. */
static bool goes_along(const etcd__keepalive_core *core, const etcd__keepalive_lease *lease, int64_t now)
{
    return core->handed_out > 0 && lease->sent == 0 && lease->deadline > now && lease->renew_at <= now + TOGETHER;
}

void etcd__keepalive_core_run(etcd__keepalive_core *core, int64_t now)
{
    etcd__heap_node *node;

    while ((node = core->heap.root) != NULL && core->handed_out < BURST) {
        etcd__keepalive_lease *lease = ETCD__CONTAINER_OF(node, etcd__keepalive_lease, due);

        if (node->key > now && !goes_along(core, lease, now))
            break;
        act(core, lease, now);
    }
    flush(core, now);
    if (core->stream == ETCD__KEEPALIVE_NO_STREAM && core->n_users > 0 && core->reopen_at <= now) {
        core->stream = ETCD__KEEPALIVE_OPENING;
        core->events->open(core);
    }
}

int64_t etcd__keepalive_core_next(const etcd__keepalive_core *core)
{
    int64_t next = core->heap.root != NULL ? core->heap.root->key : ETCD__NEVER;

    if (core->stream == ETCD__KEEPALIVE_NO_STREAM && core->n_users > 0 && core->reopen_at < next)
        next = core->reopen_at;
    return next;
}

/* --- the end ---------------------------------------------------------------------------------- */

void etcd__keepalive_core_close(etcd__keepalive_core *core, const etcd_error *why)
{
    core->stream = ETCD__KEEPALIVE_NO_STREAM;
    core->handed_out = 0;
    core->last_error = *why;
    each_lease(core, end_lease, 0);
}

static void release_lease(etcd__keepalive_core *core, etcd__keepalive_lease *lease, int64_t now)
{
    (void)now;
    core->events->release(lease);
}

void etcd__keepalive_core_free(etcd__keepalive_core *core)
{
    each_lease(core, release_lease, 0);
    if (core->buckets != &core->first_bucket)
        etcd__free(core->buckets);
    core->buckets = &core->first_bucket;
    core->first_bucket = NULL;
    core->n_buckets = 1;
    core->n_leases = 0;
    core->heap.root = NULL;
}
