/* The lease state machine under a fake clock, one rule at a time. Random orders: test_keepalive_schedules.c. */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/list.h"
#include "harness/alloc.h"
#include "harness/test.h"
#include "service/keepalive_core.h"

#include <stdlib.h>
#include <string.h>

#define S ETCD__SECOND
#define MS ETCD__MS
#define START (1000 * S)
enum { MANY = 10000 };

typedef struct holder {
    etcd__keepalive_user user;
    int64_t claim;
    int answers, ends;
    etcd_error why;
} holder;

typedef struct rig {
    etcd__keepalive_core core;
    int64_t now;
    int opens, give_ups, flushes, requests;
    int64_t last_request;
    bool full; /* the stream takes nothing */
    size_t rooms;
} rig;

static rig r; /* one test, one process */

static holder *holder_of(etcd__keepalive_user *user)
{
    return ETCD__CONTAINER_OF(user, holder, user);
}

static void on_open(etcd__keepalive_core *core)
{
    (void)core;
    r.opens++;
}

static void on_give_up(etcd__keepalive_core *core)
{
    (void)core;
    r.give_ups++;
}

static void on_request(etcd__keepalive_core *core, int64_t id)
{
    (void)core;
    r.requests++;
    r.last_request = id;
}

static bool on_flush(etcd__keepalive_core *core)
{
    (void)core;
    r.flushes++;
    return !r.full;
}

static void on_held(etcd__keepalive_user *user, int64_t deadline)
{
    holder_of(user)->claim = deadline;
}

static void on_answer(etcd__keepalive_core *core, etcd__keepalive_user *user, const etcd_keepalive_response *response)
{
    (void)core;
    assert_true(response->ttl_s > 0);
    holder_of(user)->answers++;
}

static void on_end(etcd__keepalive_core *core, etcd__keepalive_user *user, const etcd_error *why)
{
    (void)core;
    holder_of(user)->ends++;
    holder_of(user)->why = *why;
}

static void on_release(etcd__keepalive_lease *lease)
{
    r.rooms--;
    etcd__free(lease);
}

static const etcd__keepalive_events events = {on_open, on_give_up, on_request, on_flush, on_held, on_answer, on_end, on_release};

static void begin(void)
{
    memset(&r, 0, sizeof r);
    r.now = START;
    etcd__keepalive_core_init(&r.core, &events, 7);
}

static void run(void)
{
    int turns = 0;

    do {
        etcd__keepalive_core_run(&r.core, r.now);
        assert_true(turns++ < 1 + MANY / 1000);
    } while (etcd__keepalive_core_next(&r.core) <= r.now);
}

/* Goes to a time, with a run whenever the core wants one. */
static void run_until(int64_t when)
{
    int64_t next;

    while ((next = etcd__keepalive_core_next(&r.core)) <= when) {
        r.now = next > r.now ? next : r.now;
        run();
    }
    r.now = when;
}

static void join(holder *h, int64_t id, int64_t claim)
{
    etcd__keepalive_lease *room = etcd__malloc(sizeof *room);
    bool once = h->user.once;

    memset(h, 0, sizeof *h);
    h->user.once = once;
    r.rooms++;
    etcd__keepalive_core_join(&r.core, &h->user, id, room, claim, r.now);
    run();
}

static void opened(void)
{
    etcd__keepalive_core_opened(&r.core, r.now);
    run();
}

static void answer(int64_t id, int64_t ttl_s)
{
    const etcd_keepalive_response response = {.id = id, .ttl_s = ttl_s};

    etcd__keepalive_core_answer(&r.core, &response, r.now);
    run();
}

static void lost(int code, bool again)
{
    etcd_error why;

    etcd__error_set(&why, code, "%s", etcd_error_text(code));
    etcd__keepalive_core_lost(&r.core, &why, again, r.now);
    run();
}

static void finish(void)
{
    etcd_error why;

    etcd__error_set(&why, ETCD_ERR_CLOSED, "closed");
    etcd__keepalive_core_close(&r.core, &why);
    assert_int_equal(r.rooms, 0);
    etcd__keepalive_core_free(&r.core);
}

/* One lease of 9 s on an open stream, with its first request sent at START. */
static void with_lease(holder *h)
{
    begin();
    join(h, 1, ETCD__NEVER);
    assert_int_equal(r.opens, 1);
    assert_int_equal(r.requests, 0);
    opened();
    assert_int_equal(r.requests, 1);
}

/* ---- the beat ---- */

static void the_deadline_counts_from_the_sending(void **state)
{
    holder h = {0};

    (void)state;
    with_lease(&h);
    assert_int_equal(h.claim, 0);
    r.now = START + 500 * MS;
    answer(1, 9);
    assert_int_equal(h.answers, 1);
    assert_int_equal(h.claim, START + 9 * S);
    finish();
    assert_int_equal(h.why.code, ETCD_ERR_CLOSED);
}

static void a_lease_is_renewed_after_a_third(void **state)
{
    holder h = {0};

    (void)state;
    with_lease(&h);
    for (int i = 1; i <= 10; i++) {
        int64_t sent = r.now;

        r.now += 100 * MS;
        answer(1, 9);
        assert_int_equal(r.requests, i);
        assert_int_equal(etcd__keepalive_core_next(&r.core), sent + 100 * MS + 3 * S);
        run_until(sent + 100 * MS + 3 * S);
        assert_int_equal(r.requests, i + 1);
        assert_int_equal(h.claim, sent + 9 * S);
    }
    answer(1, 2); /* less than before */
    assert_int_equal(h.claim, START + 10 * (3 * S + 100 * MS) + 2 * S);
    finish();
}

static void an_unanswered_request_is_not_sent_again(void **state)
{
    holder h = {0};

    (void)state;
    with_lease(&h);
    answer(1, 60);
    run_until(START + 20 * S);
    assert_int_equal(r.requests, 2);
    run_until(START + 35 * S); /* halfway between the request and the deadline would be at 40 s */
    assert_int_equal(r.requests, 2);
    assert_int_equal(r.give_ups, 0);
    finish();
}

static void what_is_due_together_leaves_together(void **state)
{
    static holder h[MANY];

    (void)state;
    begin();
    for (int i = 0; i < MANY; i++) {
        h[i].user.once = false;
        join(&h[i], i + 1, ETCD__NEVER);
    }
    opened();
    assert_int_equal(r.requests, MANY);
    assert_int_equal(r.flushes, MANY / 1000);
    for (int i = 0; i < MANY; i++) {
        r.now = START + i * (S / MANY); /* all within a second */
        answer(i + 1, 60);
    }
    run_until(START + 22 * S);
    assert_int_equal(r.requests, 2 * MANY);
    assert_true(r.flushes <= MANY / 1000 + 21);
    for (int i = 0; i < MANY; i += 2)
        etcd__keepalive_core_leave(&r.core, &h[i].user);
    finish();
    for (int i = 0; i < MANY; i++)
        assert_int_equal(h[i].ends, i % 2);
}

/* ---- several users ---- */

static void users_share_a_lease(void **state)
{
    holder a = {0}, b = {0};

    (void)state;
    with_lease(&a);
    answer(1, 9);
    r.now += S;
    join(&b, 1, ETCD__NEVER);
    assert_int_equal(b.claim, a.claim); /* what one knows serves all */
    assert_int_equal(r.requests, 2);    /* its first answer does not take three seconds */
    answer(1, 9);
    assert_int_equal(a.answers, 2);
    assert_int_equal(b.answers, 1);
    etcd__keepalive_core_leave(&r.core, &a.user);
    run_until(r.now + 3 * S);
    assert_int_equal(r.requests, 3);
    answer(1, 0);
    assert_int_equal(b.ends, 1);
    assert_int_equal(a.ends, 0);
    finish();
}

static void the_latest_claim_counts(void **state)
{
    holder a = {0}, b = {0};

    (void)state;
    begin();
    join(&a, 1, START + 2 * S);
    join(&b, 1, START + 5 * S);
    assert_int_equal(a.claim, START + 5 * S);
    run_until(START + 5 * S - 1);
    assert_int_equal(a.ends + b.ends, 0);
    run_until(START + 5 * S);
    assert_int_equal(a.ends + b.ends, 2);
    finish();
}

/* The first request could reach the server long after the second user came: its answer says nothing of a later request. */
static void an_answer_is_not_that_of_a_later_request(void **state)
{
    holder a = {0}, b = {0};

    (void)state;
    with_lease(&a);
    etcd__keepalive_core_leave(&r.core, &a.user);
    r.now += 4 * S;
    join(&b, 1, ETCD__NEVER);
    assert_int_equal(r.requests, 1);
    answer(1, 9);
    assert_int_equal(b.claim, START + 9 * S);
    finish();
}

static void a_stale_lease_does_not_end_a_newcomer(void **state)
{
    holder a = {0}, b = {0};

    (void)state;
    with_lease(&a);
    answer(1, 9);
    run_until(START + 3 * S);
    etcd__keepalive_core_leave(&r.core, &a.user); /* its request is under way */
    r.now = START + 20 * S;
    join(&b, 1, ETCD__NEVER);
    assert_int_equal(b.ends, 0);
    answer(1, 9);
    assert_int_equal(b.answers, 1);
    finish();
}

static void what_was_not_asked_for_counts_nothing(void **state)
{
    holder h = {0};

    (void)state;
    with_lease(&h);
    answer(2, 9);
    answer(1, 9);
    r.now += S;
    answer(1, 9);
    answer(1, 0);
    assert_true(h.answers == 1 && h.ends == 0 && h.claim == START + 9 * S);
    finish();
}

/* ---- ends ---- */

static void a_lease_that_is_gone_ends_at_once(void **state)
{
    holder h = {0};

    (void)state;
    for (int64_t ttl = 0; ttl >= -1; ttl--) {
        with_lease(&h);
        answer(1, ttl);
        assert_int_equal(h.ends, 1);
        assert_int_equal(h.why.code, ETCD_ERR_LEASE_NOT_FOUND);
        assert_int_equal(h.why.grpc_code, 5);
        assert_int_equal(etcd__keepalive_core_next(&r.core), ETCD__NEVER);
        finish();
    }
}

static void without_an_answer_it_ends_at_the_deadline(void **state)
{
    holder h = {0};

    (void)state;
    with_lease(&h);
    answer(1, 9);
    lost(ETCD_ERR_UNAVAILABLE, true);
    run_until(START + 9 * S - 1);
    assert_int_equal(h.ends, 0);
    run_until(START + 9 * S);
    assert_int_equal(h.ends, 1);
    assert_int_equal(h.why.code, ETCD_ERR_LEASE_EXPIRED);
    assert_non_null(strstr(h.why.message, "unavailable")); /* why there was no answer */
    finish();
}

/* The machine slept: what comes first then is the answer, or the look at the clock. */
static void a_jump_of_the_clock_is_seen(void **state)
{
    for (int late = 0; late < 2; late++) {
        holder h = {0};

        (void)state;
        with_lease(&h);
        answer(1, 9);
        run_until(START + 3 * S);
        r.now = START + (late ? 12 : 10) * S;
        answer(1, 9); /* to the request of START + 3 s: held until START + 12 s */
        assert_int_equal(h.ends, late);
        if (!late)
            assert_int_equal(h.claim, START + 12 * S);
        finish();
    }
}

static void a_longer_ttl_than_time_itself_is_cut(void **state)
{
    holder h = {0};

    (void)state;
    with_lease(&h);
    answer(1, INT64_MAX);
    assert_true(h.claim > START && h.claim < INT64_MAX);
    assert_true(etcd__keepalive_core_next(&r.core) > START);
    finish();
}

/* ---- streams ---- */

static void a_lost_request_goes_out_on_the_next_stream(void **state)
{
    holder h = {0};

    (void)state;
    with_lease(&h);
    answer(1, 9);
    run_until(START + 3 * S);
    assert_int_equal(r.requests, 2);
    lost(ETCD_ERR_UNAVAILABLE, true);
    assert_int_equal(r.opens, 1);
    run_until(START + 3100 * MS);
    assert_int_equal(r.opens, 2);
    opened();
    assert_int_equal(r.requests, 3);
    assert_int_equal(h.claim, START + 9 * S); /* a request is no answer */
    answer(1, 9);
    assert_int_equal(h.claim, START + 3100 * MS + 9 * S);
    finish();
}

static void a_lease_that_is_not_due_waits_on_a_new_stream(void **state)
{
    holder h = {0};

    (void)state;
    with_lease(&h);
    answer(1, 9);
    r.now += S;
    lost(ETCD_ERR_UNAVAILABLE, true);
    run_until(START + 2 * S);
    opened();
    assert_int_equal(r.requests, 1);
    run_until(START + 3 * S);
    assert_int_equal(r.requests, 2);
    finish();
}

static void a_silent_stream_is_given_up_in_time(void **state)
{
    holder h = {0};

    (void)state;
    with_lease(&h);
    answer(1, 9);
    run_until(START + 6 * S - 1);
    assert_int_equal(r.give_ups, 0);
    run_until(START + 6 * S); /* halfway between the request and the deadline */
    assert_int_equal(r.give_ups, 1);
    run_until(START + 6100 * MS);
    assert_int_equal(r.opens, 2);
    opened();
    assert_int_equal(r.requests, 3);
    answer(1, 9);
    assert_int_equal(h.claim, START + 6100 * MS + 9 * S);
    finish();
}

static void a_stream_that_answers_others_has_more_time(void **state)
{
    holder a = {0}, b = {0};

    (void)state;
    with_lease(&a);
    join(&b, 2, ETCD__NEVER);
    answer(1, 9);
    answer(2, 9);
    run_until(START + 3 * S);
    assert_int_equal(r.requests, 4);
    r.now = START + 5 * S;
    answer(2, 9);
    run_until(START + 7 * S);
    assert_int_equal(r.give_ups, 0);
    run_until(START + 7500 * MS); /* three quarters: whatever it is, it is not our answer */
    assert_int_equal(r.give_ups, 1);
    finish();
}

static void without_a_deadline_patience_ends_too(void **state)
{
    holder h = {0};

    (void)state;
    with_lease(&h);
    run_until(START + 30 * S);
    assert_true(r.give_ups >= 1);
    assert_int_equal(h.ends, 0);
    finish();
}

static void what_the_stream_does_not_take_ends_it(void **state)
{
    holder h = {0};

    (void)state;
    begin();
    r.full = true;
    join(&h, 1, ETCD__NEVER);
    opened();
    assert_int_equal(r.give_ups, 1);
    r.full = false;
    run_until(r.now + S);
    opened();
    answer(1, 9);
    assert_int_equal(h.answers, 1);
    finish();
}

static void waiting_never_endangers_the_deadline(void **state)
{
    holder h = {0};
    int64_t longest = 0;

    (void)state;
    with_lease(&h);
    answer(1, 2);
    while (h.ends == 0) {
        int64_t left = START + 2 * S - r.now, at = r.now;
        int opens = r.opens;

        lost(ETCD_ERR_UNAVAILABLE, true);
        while (r.opens == opens && h.ends == 0)
            run_until(etcd__keepalive_core_next(&r.core));
        if (h.ends > 0)
            break;
        assert_true(r.now - at <= (left / 8 > 5 * MS ? left / 8 : 5 * MS));
        longest = r.now - at > longest ? r.now - at : longest;
    }
    assert_true(longest > 50 * MS);
    assert_true(r.opens > 10 && r.opens < 100);
    finish();
}

static void waiting_grows_and_is_reset_by_an_answer(void **state)
{
    holder h = {0};
    int64_t waited = 0;

    (void)state;
    with_lease(&h);
    answer(1, 1000000);
    for (int i = 0; i < 20; i++) {
        lost(ETCD_ERR_UNAVAILABLE, true);
        waited = etcd__keepalive_core_next(&r.core) - r.now;
        assert_true(waited >= 5 * MS && waited <= 1300 * MS);
        run_until(r.now + waited);
        opened();
    }
    assert_true(waited >= 700 * MS);
    run_until(START + 400000 * S);
    answer(1, 1000000);
    lost(ETCD_ERR_UNAVAILABLE, true);
    assert_true(etcd__keepalive_core_next(&r.core) - r.now <= 25 * MS);
    finish();
}

static void without_users_no_stream_is_opened(void **state)
{
    holder h = {0};

    (void)state;
    with_lease(&h);
    answer(1, 9);
    etcd__keepalive_core_leave(&r.core, &h.user);
    assert_int_equal(r.rooms, 0);
    lost(ETCD_ERR_UNAVAILABLE, true);
    assert_int_equal(etcd__keepalive_core_next(&r.core), ETCD__NEVER);
    assert_int_equal(r.opens, 1);
    finish();
}

/* ---- refusals ---- */

static void what_the_server_refuses_for_good_is_the_end(void **state)
{
    static const int codes[] = {ETCD_ERR_GRPC_PERMISSION_DENIED, ETCD_ERR_PERMISSION_DENIED, ETCD_ERR_UNAUTHENTICATED,
                                ETCD_ERR_INVALID_AUTH_TOKEN,     ETCD_ERR_AUTH_FAILED,       ETCD_ERR_UNIMPLEMENTED};

    (void)state;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        holder h = {0};

        with_lease(&h);
        lost(codes[i], false);
        assert_int_equal(h.ends, 1);
        assert_int_equal(h.why.code, codes[i]);
        finish();
    }
}

static void what_may_pass_is_not_the_end(void **state)
{
    static const int codes[] = {
        ETCD_OK,          ETCD_ERR_INTERNAL, ETCD_ERR_UNKNOWN, ETCD_ERR_NO_LEADER, ETCD_ERR_NOT_CAPABLE, ETCD_ERR_NO_MEMORY,
        ETCD_ERR_PROTOCOL};
    holder h = {0};

    (void)state;
    with_lease(&h);
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        lost(codes[i], false);
        run_until(r.now + 2 * S);
        assert_int_equal(r.opens, 2 + (int)i);
        opened();
    }
    assert_int_equal(h.ends, 0);
    finish();
}

static void a_token_is_renewed_some_times_but_not_for_ever(void **state)
{
    holder h = {0};

    (void)state;
    with_lease(&h);
    for (int i = 0; i < 3; i++) {
        lost(ETCD_ERR_INVALID_AUTH_TOKEN, true);
        assert_int_equal(h.ends, 0);
        run_until(r.now + S);
        opened();
    }
    answer(1, 100); /* the new one is good */
    for (int i = 0; i < 4; i++) {
        assert_int_equal(h.ends, 0);
        lost(ETCD_ERR_INVALID_AUTH_TOKEN, true);
        if (h.ends == 0) {
            run_until(r.now + S);
            opened();
        }
    }
    assert_int_equal(h.why.code, ETCD_ERR_INVALID_AUTH_TOKEN);
    finish();
}

/* ---- once ---- */

static void once_has_a_request_of_its_own(void **state)
{
    holder h = {0}, once = {.user.once = true};

    (void)state;
    with_lease(&h);
    r.now += S;
    join(&once, 1, ETCD__NEVER); /* a request is under way, from before */
    assert_int_equal(r.requests, 1);
    answer(1, 9);
    assert_int_equal(once.answers, 0);
    assert_int_equal(h.answers, 1);
    assert_int_equal(r.requests, 2);
    answer(1, 9);
    assert_int_equal(once.answers, 1);
    assert_int_equal(once.ends, 0);
    assert_int_equal(h.answers, 2);
    run_until(r.now + 3 * S);
    answer(1, 9);
    assert_int_equal(once.answers, 1);
    finish();
    assert_int_equal(once.ends, 0);
}

static void once_alone_does_not_go_on(void **state)
{
    holder once = {.user.once = true};

    (void)state;
    with_lease(&once);
    answer(1, 9);
    assert_int_equal(once.answers, 1);
    assert_int_equal(r.rooms, 0);
    run_until(r.now + 100 * S);
    assert_int_equal(r.requests, 1);
    finish();
}

static void once_is_told_that_there_is_no_lease(void **state)
{
    holder once = {.user.once = true};

    (void)state;
    with_lease(&once);
    answer(1, 0);
    assert_int_equal(once.why.code, ETCD_ERR_LEASE_NOT_FOUND);
    finish();
}

static void once_outlives_the_deadline_of_others(void **state)
{
    holder h = {0}, once = {.user.once = true};

    (void)state;
    with_lease(&h);
    answer(1, 9);
    lost(ETCD_ERR_UNAVAILABLE, true);
    join(&once, 1, ETCD__NEVER);
    run_until(START + 10 * S);
    assert_int_equal(h.why.code, ETCD_ERR_LEASE_EXPIRED);
    assert_int_equal(once.ends, 0);
    opened();
    answer(1, 9); /* the server had more patience */
    assert_int_equal(once.answers, 1);
    finish();
}

/* ---- memory ---- */

static void release_plainly(etcd__keepalive_lease *lease)
{
    free(lease);
}

static int without_memory(void *arg)
{
    static const etcd__keepalive_events plain = {on_open, on_give_up, on_request, on_flush,
                                                 on_held, on_answer,  on_end,     release_plainly};
    static holder h[100];

    (void)arg;
    begin();
    r.core.events = &plain;
    for (int i = 0; i < 100; i++) {
        etcd__keepalive_lease *room = malloc(sizeof *room); /* the binding's: it is there before */

        assert_non_null(room);
        memset(&h[i], 0, sizeof h[i]);
        etcd__keepalive_core_join(&r.core, &h[i].user, i * 7 - 50, room, ETCD__NEVER, r.now);
    }
    run();
    opened();
    for (int i = 0; i < 100; i++)
        answer(i * 7 - 50, 9);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(h[i].answers, 1);
        etcd__keepalive_core_leave(&r.core, &h[i].user);
    }
    assert_int_equal(r.core.n_leases, 0);
    etcd__keepalive_core_free(&r.core);
    return 0;
}

/* The table does without growing. */
static void no_allocation_is_needed(void **state)
{
    (void)state;
    etcd_test_alloc_install();
    assert_true(etcd_test_alloc_sweep(without_memory, NULL) > 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_deadline_counts_from_the_sending),
    cmocka_unit_test(a_lease_is_renewed_after_a_third),
    cmocka_unit_test(an_unanswered_request_is_not_sent_again),
    cmocka_unit_test(what_is_due_together_leaves_together),
    cmocka_unit_test(users_share_a_lease),
    cmocka_unit_test(the_latest_claim_counts),
    cmocka_unit_test(an_answer_is_not_that_of_a_later_request),
    cmocka_unit_test(a_stale_lease_does_not_end_a_newcomer),
    cmocka_unit_test(what_was_not_asked_for_counts_nothing),
    cmocka_unit_test(a_lease_that_is_gone_ends_at_once),
    cmocka_unit_test(without_an_answer_it_ends_at_the_deadline),
    cmocka_unit_test(a_jump_of_the_clock_is_seen),
    cmocka_unit_test(a_longer_ttl_than_time_itself_is_cut),
    cmocka_unit_test(a_lost_request_goes_out_on_the_next_stream),
    cmocka_unit_test(a_lease_that_is_not_due_waits_on_a_new_stream),
    cmocka_unit_test(a_silent_stream_is_given_up_in_time),
    cmocka_unit_test(a_stream_that_answers_others_has_more_time),
    cmocka_unit_test(without_a_deadline_patience_ends_too),
    cmocka_unit_test(what_the_stream_does_not_take_ends_it),
    cmocka_unit_test(waiting_never_endangers_the_deadline),
    cmocka_unit_test(waiting_grows_and_is_reset_by_an_answer),
    cmocka_unit_test(without_users_no_stream_is_opened),
    cmocka_unit_test(what_the_server_refuses_for_good_is_the_end),
    cmocka_unit_test(what_may_pass_is_not_the_end),
    cmocka_unit_test(a_token_is_renewed_some_times_but_not_for_ever),
    cmocka_unit_test(once_has_a_request_of_its_own),
    cmocka_unit_test(once_alone_does_not_go_on),
    cmocka_unit_test(once_is_told_that_there_is_no_lease),
    cmocka_unit_test(once_outlives_the_deadline_of_others),
    cmocka_unit_test(no_allocation_is_needed),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
