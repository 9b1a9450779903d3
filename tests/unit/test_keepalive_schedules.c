/* Random schedules for the lease state machine: leases, users, streams that break, fall silent or are slow, a server that
 * restarts, changes its leader, loses leases, and a process that stands still, all under one fake clock. What must hold in each:
 *
 * - Nobody is told of a deadline behind the moment at which the server gives the lease away (P6), unless somebody revoked it.
 * - Whoever has a deadline that is over knows it: it ended, with ETCD_ERR_LEASE_EXPIRED, and not before.
 * - Every end has its reason, and comes once; all memory is released.
 * - A lease has at most one request on a stream.
 * - While the line is good, or breaks only now and then, no lease is lost.
 *
 * ETCD3_SCHEDULES=n runs n schedules instead of some thousands, ETCD3_SEED=s only the one of this seed, which a failure names. */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/list.h"
#include "harness/test.h"
#include "service/keepalive_core.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LEASES = 4, USERS = 8, MESSAGES = 128, STEPS = 250, SCHEDULES = 10000 };

#define MS ETCD__MS
#define NONE ETCD__NEVER

/* How much goes wrong. */
typedef enum weather { FAIR, BUMPY, FOUL, N_WEATHERS } weather;

typedef struct held_lease {
    int64_t ttl;     /* ns */
    int64_t expires; /* at the server */
    bool alive, revoked;
    int on_stream; /* requests without an answer */
} held_lease;

typedef struct holder {
    etcd__keepalive_user user;
    int lease;
    int64_t claim; /* 0: none */
    bool in, once;
} holder;

typedef struct message {
    bool answer;
    int lease, stream;
    int64_t at, ttl_s;
} message;

typedef struct sim {
    etcd__keepalive_core core;
    etcd__random random;
    uint64_t seed;
    weather weather;
    int64_t now;
    int64_t asleep_until; /* the process */
    held_lease leases[LEASES];
    holder users[USERS];
    message messages[MESSAGES];
    size_t n_messages;
    int stream; /* the number of the last */
    bool open, opening;
    int64_t opens_at;
    bool silent; /* this stream answers nothing */
    int64_t next_act, next_break;
    int final_code;     /* the stream ended with this, for good; 0: not */
    int rooms;          /* not released */
    int64_t last_at[2]; /* streams keep their order */
} sim;

static sim *the_sim; /* the core's events have only the core */

#define require(sim, condition) require_that((sim), (condition), #condition, __LINE__)

static void require_that(const sim *s, bool condition, const char *text, int line)
{
    if (condition)
        return;
    (void)fprintf(stderr, "line %d: %s\n  at %" PRId64 " ms; replay with ETCD3_SEED=%" PRIu64 "\n", line, text, s->now / MS,
                  s->seed);
    abort();
}

static int64_t below(sim *s, int64_t bound)
{
    return (int64_t)etcd__random_below(&s->random, (uint64_t)bound);
}

static bool chance(sim *s, int percent)
{
    return below(s, 100) < percent;
}

/* ---- the line ---- */

static int64_t shortest_ttl(const sim *s)
{
    int64_t shortest = s->leases[0].ttl;

    for (int i = 1; i < LEASES; i++)
        if (s->leases[i].ttl < shortest)
            shortest = s->leases[i].ttl;
    return shortest;
}

static int64_t delay(sim *s)
{
    int64_t most = s->weather == FOUL && chance(s, 10) ? 2 * shortest_ttl(s) : shortest_ttl(s) / 40;

    return below(s, most) + 1;
}

static void send_message(sim *s, bool answer, int lease, int64_t ttl_s)
{
    message *m = &s->messages[s->n_messages];
    int64_t at = s->now + delay(s);

    require(s, s->n_messages < MESSAGES);
    s->n_messages++;
    if (at < s->last_at[answer])
        at = s->last_at[answer];
    s->last_at[answer] = at;
    *m = (message){answer, lease, s->stream, at, ttl_s};
}

static void take_out(sim *s, size_t i)
{
    memmove(&s->messages[i], &s->messages[i + 1], (s->n_messages - i - 1) * sizeof s->messages[0]);
    s->n_messages--;
}

/* The stream is gone. Requests under way may reach the server all the same. */
static void forget_stream(sim *s)
{
    for (size_t i = s->n_messages; i-- > 0;)
        if (s->messages[i].answer || chance(s, 50))
            take_out(s, i);
    for (int i = 0; i < LEASES; i++)
        s->leases[i].on_stream = 0;
    s->open = s->opening = false;
    s->last_at[0] = s->last_at[1] = 0;
}

/* ---- the server ---- */

static void check_claims(sim *s, int lease, int64_t given_away)
{
    for (int i = 0; i < USERS; i++)
        if (s->users[i].in && s->users[i].lease == lease)
            require(s, s->users[i].claim <= given_away);
}

static void expire_leases(sim *s)
{
    for (int i = 0; i < LEASES; i++) {
        held_lease *lease = &s->leases[i];

        if (!lease->alive || lease->expires > s->now)
            continue;
        lease->alive = false;
        require(s, s->weather == FOUL || lease->revoked || s->core.n_users == 0);
        check_claims(s, i, lease->expires);
    }
}

static void serve(sim *s, const message *m)
{
    held_lease *lease = &s->leases[m->lease];
    bool heard = s->open && m->stream == s->stream;

    if (lease->alive)
        lease->expires = s->now + lease->ttl;
    if (!heard || s->silent || (s->weather == FOUL && chance(s, 3)))
        return;
    send_message(s, true, m->lease, lease->alive ? lease->ttl / ETCD__SECOND : 0);
}

/* ---- what the core asks for ---- */

static void on_open(etcd__keepalive_core *core)
{
    sim *s = the_sim;

    (void)core;
    require(s, !s->open && !s->opening);
    s->opening = true;
    s->stream++;
    s->opens_at = s->now + delay(s) + (s->weather == FOUL && chance(s, 20) ? below(s, 3 * shortest_ttl(s)) : 0);
    s->silent = s->weather == FOUL && chance(s, 15);
}

static void on_give_up(etcd__keepalive_core *core)
{
    sim *s = the_sim;

    (void)core;
    require(s, s->open);
    require(s, s->weather != FAIR);
    forget_stream(s);
}

static void on_request(etcd__keepalive_core *core, int64_t id)
{
    sim *s = the_sim;

    (void)core;
    require(s, s->open && id > 0 && id <= LEASES);
    require(s, s->leases[id - 1].on_stream++ == 0);
    send_message(s, false, (int)id - 1, 0);
}

static bool on_flush(etcd__keepalive_core *core)
{
    sim *s = the_sim;

    (void)core;
    return s->weather != FOUL || !chance(s, 1);
}

static holder *holder_of(etcd__keepalive_user *user)
{
    return ETCD__CONTAINER_OF(user, holder, user);
}

static void on_held(etcd__keepalive_user *user, int64_t deadline)
{
    sim *s = the_sim;
    holder *h = holder_of(user);
    const held_lease *lease = &s->leases[h->lease];

    require(s, h->in && !h->once);
    require(s, deadline <= lease->expires || lease->revoked);
    h->claim = deadline;
}

static void on_answer(etcd__keepalive_core *core, etcd__keepalive_user *user, const etcd_keepalive_response *response)
{
    sim *s = the_sim;
    holder *h = holder_of(user);

    (void)core;
    require(s, h->in && response->id == h->lease + 1 && response->ttl_s > 0);
    if (h->once)
        h->in = false;
}

static void on_end(etcd__keepalive_core *core, etcd__keepalive_user *user, const etcd_error *why)
{
    sim *s = the_sim;
    holder *h = holder_of(user);
    const held_lease *lease = &s->leases[h->lease];

    (void)core;
    require(s, h->in);
    h->in = false;
    switch (why->code) {
    case ETCD_ERR_LEASE_EXPIRED:
        require(s, !h->once && h->claim != 0 && h->claim <= s->now);
        require(s, s->weather == FOUL);
        break;
    case ETCD_ERR_LEASE_NOT_FOUND:
        require(s, !lease->alive);
        break;
    case ETCD_ERR_CLOSED:
        break;
    default:
        require(s, s->final_code != 0 && why->code == s->final_code);
    }
}

static void on_release(etcd__keepalive_lease *lease)
{
    the_sim->rooms--;
    etcd__free(lease);
}

static const etcd__keepalive_events events = {on_open, on_give_up, on_request, on_flush, on_held, on_answer, on_end, on_release};

/* ---- what the program does ---- */

static void join(sim *s, int i, int lease, bool once, bool knows)
{
    holder *h = &s->users[i];
    etcd__keepalive_lease *room = etcd__malloc(sizeof *room);

    memset(h, 0, sizeof *h);
    h->lease = lease;
    h->in = true;
    h->once = h->user.once = once;
    if (knows && !once)
        h->claim = s->leases[lease].expires - below(s, s->leases[lease].ttl / 4);
    if (h->claim <= s->now)
        h->claim = 0;
    s->rooms++;
    etcd__keepalive_core_join(&s->core, &h->user, lease + 1, room, h->claim ? h->claim : NONE, s->now);
}

static void leave(sim *s, int i)
{
    if (!s->users[i].in)
        return;
    etcd__keepalive_core_leave(&s->core, &s->users[i].user);
    s->users[i].in = false;
}

static void lose_stream(sim *s, int code, bool again)
{
    etcd_error why;

    etcd__error_set(&why, code, "%s", etcd_error_text(code));
    s->final_code = again || code == ETCD_ERR_INTERNAL ? 0 : code;
    forget_stream(s);
    etcd__keepalive_core_lost(&s->core, &why, again, s->now);
    s->final_code = 0;
}

/* Something happens to the program, or to the cluster. */
static void act(sim *s)
{
    int i = (int)below(s, USERS), lease = (int)below(s, LEASES);

    switch (below(s, s->weather == FOUL ? 9 : 2)) {
    case 0:
        if (s->users[i].in && (s->weather == FOUL || s->users[i].once))
            leave(s, i);
        else if (!s->users[i].in)
            join(s, i, lease, chance(s, 30), s->leases[lease].alive && chance(s, 50));
        break;
    case 1: /* a new leader: every lease has its time anew */
        for (i = 0; i < LEASES; i++)
            if (s->leases[i].alive)
                s->leases[i].expires = s->now + s->leases[i].ttl;
        break;
    case 2:
        if (s->leases[lease].alive && chance(s, 20)) {
            s->leases[lease].alive = false;
            s->leases[lease].revoked = true;
        }
        break;
    case 3:
        s->silent = true;
        break;
    case 4:
        if (chance(s, 30))
            s->asleep_until = s->now + below(s, 2 * shortest_ttl(s));
        break;
    case 5:
        if ((s->open || s->opening) && chance(s, 5))
            lose_stream(s, ETCD_ERR_PERMISSION_DENIED, false);
        break;
    case 6:
        if (s->open || s->opening)
            lose_stream(s, ETCD_ERR_INTERNAL, false);
        break;
    default:
        break;
    }
    s->next_act = s->now + below(s, shortest_ttl(s) / 2) + 1;
}

/* ---- time ---- */

static void break_stream(sim *s)
{
    if (s->weather != FAIR && s->open)
        lose_stream(s, ETCD_ERR_UNAVAILABLE, true);
    s->next_break = s->weather == BUMPY ? s->now + shortest_ttl(s) / 3 + below(s, shortest_ttl(s))
                                        : s->now + below(s, 2 * shortest_ttl(s)) + 1;
}

static void keep_min(int64_t *least, int64_t at)
{
    if (at < *least)
        *least = at;
}

/* The earliest message of a kind; MESSAGES: none. */
static size_t earliest(const sim *s, bool answer)
{
    size_t best = MESSAGES;

    for (size_t i = 0; i < s->n_messages; i++)
        if (s->messages[i].answer == answer && (best == MESSAGES || s->messages[i].at < s->messages[best].at))
            best = i;
    return best;
}

static int64_t at_of(const sim *s, size_t i)
{
    return i == MESSAGES ? NONE : s->messages[i].at;
}

static int64_t when_awake(const sim *s, int64_t at)
{
    return at == NONE || at > s->asleep_until ? at : s->asleep_until;
}

/* When something happens next: at the server whether the process is awake or not. */
static int64_t next_event(const sim *s)
{
    int64_t next = at_of(s, earliest(s, false));

    for (int i = 0; i < LEASES; i++)
        if (s->leases[i].alive)
            keep_min(&next, s->leases[i].expires);
    keep_min(&next, when_awake(s, at_of(s, earliest(s, true))));
    keep_min(&next, when_awake(s, s->opening ? s->opens_at : NONE));
    keep_min(&next, when_awake(s, etcd__keepalive_core_next(&s->core)));
    keep_min(&next, when_awake(s, s->next_act));
    keep_min(&next, when_awake(s, s->next_break));
    return next;
}

static void run_core(sim *s)
{
    etcd__keepalive_core_run(&s->core, s->now);
    require(s, etcd__keepalive_core_next(&s->core) > s->now);
    for (int i = 0; i < USERS; i++)
        if (s->users[i].in && s->users[i].claim != 0)
            require(s, s->users[i].claim > s->now);
}

static void serve_requests(sim *s)
{
    size_t i;

    while ((i = earliest(s, false)) != MESSAGES && s->messages[i].at <= s->now) {
        message m = s->messages[i];

        take_out(s, i);
        serve(s, &m);
    }
}

static void deliver_answers(sim *s)
{
    size_t i;

    while ((i = earliest(s, true)) != MESSAGES && s->messages[i].at <= s->now) {
        const message m = s->messages[i];
        const etcd_keepalive_response response = {.id = m.lease + 1, .ttl_s = m.ttl_s};

        take_out(s, i);
        s->leases[m.lease].on_stream = 0;
        etcd__keepalive_core_answer(&s->core, &response, s->now);
    }
}

static void step(sim *s)
{
    int64_t next = next_event(s);

    require(s, next != NONE);
    if (next > s->now)
        s->now = next;
    serve_requests(s); /* a renewal that comes in the very moment of the end is in time */
    expire_leases(s);
    if (s->now < s->asleep_until)
        return;
    if (chance(s, 20))
        run_core(s); /* the loop may look at its timers first, or at its sockets */
    deliver_answers(s);
    if (s->opening && s->opens_at <= s->now) {
        s->opening = false;
        s->open = true;
        etcd__keepalive_core_opened(&s->core, s->now);
    }
    if (s->next_break <= s->now)
        break_stream(s);
    if (s->next_act <= s->now)
        act(s);
    run_core(s);
}

/* ---- schedules ---- */

static void begin(sim *s, uint64_t seed)
{
    memset(s, 0, sizeof *s);
    the_sim = s;
    s->seed = seed;
    s->random.state = seed;
    s->weather = (weather)below(s, N_WEATHERS);
    s->now = below(s, 1000000 * ETCD__SECOND) + 1;
    etcd__keepalive_core_init(&s->core, &events, seed ^ 1);
    for (int i = 0; i < LEASES; i++) {
        int64_t ttl_s = chance(s, 50) ? 2 + below(s, 4) : 2 + below(s, 100);

        s->leases[i] = (held_lease){.ttl = ttl_s * ETCD__SECOND, .alive = true};
        s->leases[i].expires = s->now + s->leases[i].ttl;
    }
    for (int i = 0; i < LEASES; i++)
        join(s, i, i, false, true);
    s->next_act = s->now + below(s, ETCD__SECOND);
    break_stream(s);
    run_core(s);
}

static void end(sim *s)
{
    etcd_error why;

    etcd__error_set(&why, ETCD_ERR_CLOSED, "closed");
    etcd__keepalive_core_close(&s->core, &why);
    for (int i = 0; i < USERS; i++)
        require(s, !s->users[i].in);
    require(s, s->rooms == 0 && s->core.n_users == 0 && s->core.n_leases == 0);
    etcd__keepalive_core_free(&s->core);
}

static void run_schedule(uint64_t seed)
{
    sim s;

    begin(&s, seed);
    for (int i = 0; i < STEPS; i++)
        step(&s);
    end(&s);
}

static uint64_t from_environment(const char *name, uint64_t fallback)
{
    const char *text = getenv(name);

    return text != NULL && text[0] != '\0' ? strtoull(text, NULL, 10) : fallback;
}

static void schedules_hold(void **state)
{
    uint64_t n = from_environment("ETCD3_SCHEDULES", SCHEDULES), seed = from_environment("ETCD3_SEED", 0);

    (void)state;
    if (seed != 0) {
        run_schedule(seed);
        return;
    }
    for (uint64_t i = 1; i <= n; i++)
        run_schedule(i);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(schedules_hold),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
