/* The state machine of watches in orders that a test spells out: what is sent, what is given, where it goes on. Random orders are
 * in test_watch_model.c. */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "harness/test.h"
#include "service/watch_core.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 5000 };

/* What the machine asked for, as text: "open close create(ID,REVISION) cancel progress list(KEY,REVISION) probe
 * vouch". */
static char asked[256 * 1024];
/* What it gave, as text: "created(R) events(R,R,...) progress(R) broken resumed(R) gap(R) listed(N) end(CODE)". */
static char given[4096];

static etcd__watch_core core;
static etcd__watcher one, two;
static int64_t now, wake, ids[MOST], starts[MOST];
static size_t n_ids, buffered;
static int renewals;
static bool tokens, reading;

static void note(char *log, size_t size, const char *text)
{
    assert_true(strlen(log) + strlen(text) < size);
    memcpy(log + strlen(log), text, strlen(text) + 1);
}

static void note_number(char *log, size_t size, const char *before, int64_t number, const char *after)
{
    char text[64];

    (void)snprintf(text, sizeof text, "%s%lld%s", before, (long long)number, after);
    note(log, size, text);
}

static void op_open(etcd__watch_core *c)
{
    (void)c;
    note(asked, sizeof asked, "open ");
}

static void op_close(etcd__watch_core *c)
{
    (void)c;
    note(asked, sizeof asked, "close ");
}

static int op_send(etcd__watch_core *c, const etcd__watch_request *request)
{
    (void)c;
    if (request->type == ETCD__WATCH_CREATE) {
        assert_true(n_ids < MOST && request->create_request->fragment);
        ids[n_ids] = request->create_request->watch_id;
        starts[n_ids++] = request->create_request->start_revision;
        note_number(asked, sizeof asked, "create(", request->create_request->start_revision, ") ");
    } else {
        note(asked, sizeof asked, request->type == ETCD__WATCH_CANCEL ? "cancel " : "ask ");
    }
    return ETCD_OK;
}

static bool op_renew(etcd__watch_core *c, int code)
{
    (void)c;
    (void)code;
    renewals += tokens;
    return tokens;
}

static void op_wake(etcd__watch_core *c, int64_t when)
{
    (void)c;
    wake = when;
}

static int op_deliver(etcd__watcher *watcher, etcd__watch_delivery *delivery)
{
    static const char *const names[] = {"events", "created", "progress", "broken", "resumed", "gap", "listed", "canceled"};
    const etcd_watch_response *response = &delivery->response;

    note(given, sizeof given, watcher == &two ? "2:" : "");
    note(given, sizeof given, names[response->type]);
    if (response->type == ETCD_WATCH_EVENTS)
        for (size_t i = 0; i < response->n_events; i++)
            note_number(given, sizeof given, i == 0 ? "(" : ",", response->events[i].kv->mod_revision, "");
    else
        note_number(given, sizeof given, "(",
                    response->type == ETCD_WATCH_LISTED     ? (int64_t)response->n_kvs
                    : response->type == ETCD_WATCH_CANCELED ? response->compact_revision
                                                            : response->revision,
                    "");
    note(given, sizeof given, ") ");
    if (buffered != 0)
        buffered += delivery->bytes; /* a consumer that sleeps */
    etcd_response_free(delivery);
    return ETCD_OK;
}

static void op_moved(etcd__watcher *watcher)
{
    (void)watcher;
}

static void op_ended(etcd__watcher *watcher, const etcd_error *why)
{
    note(given, sizeof given, watcher == &two ? "2:" : "");
    note_number(given, sizeof given, "end(", why->code, ") ");
}

static size_t op_buffered(const etcd__watcher *watcher)
{
    return watcher == &one ? buffered : 0;
}

static size_t op_buffered_in_all(const etcd__watch_core *c)
{
    (void)c;
    return buffered;
}

static int op_list(etcd__watcher *watcher, const etcd__range_request *request)
{
    (void)watcher;
    note_number(asked, sizeof asked, "list(", request->revision, ") ");
    reading = true;
    return ETCD_OK;
}

static void op_unlist(etcd__watcher *watcher)
{
    (void)watcher;
    reading = false;
}

static int op_probe(etcd__watch_core *c, const etcd__range_request *request)
{
    (void)c;
    (void)request;
    note(asked, sizeof asked, "probe ");
    return ETCD_OK;
}

static void op_unprobe(etcd__watch_core *c)
{
    (void)c;
}

static int op_vouch(etcd__watch_core *c)
{
    (void)c;
    note(asked, sizeof asked, "vouch ");
    return ETCD_OK;
}

static const etcd__watch_ops ops = {
    op_open,     op_close,           op_send, op_renew,  op_wake,  op_deliver, op_moved, op_ended,
    op_buffered, op_buffered_in_all, op_list, op_unlist, op_probe, op_unprobe, op_vouch,
};

static void assert_log(char *log, const char *expected)
{
    assert_string_equal(log, expected);
    log[0] = '\0';
}

static void begin(void)
{
    memset(&one, 0, sizeof one);
    memset(&two, 0, sizeof two);
    one.key = two.key = (etcd_bytes){"key", 3};
    one.buffer_bytes = two.buffer_bytes = 1 << 20;
    now = ETCD__SECOND;
    n_ids = buffered = 0;
    renewals = 0;
    tokens = reading = false;
    asked[0] = given[0] = '\0';
    etcd__watch_core_init(&core, &ops, 16 << 20, 1);
}

static void add(etcd__watcher *watcher)
{
    assert_int_equal(etcd__watch_core_add(&core, watcher, now), ETCD_OK);
}

static void finish(void)
{
    etcd_error why;

    etcd__error_set(&why, ETCD_ERR_CLOSED, "closed");
    etcd__watch_core_end(&core, &why);
    etcd__watch_core_free(&core);
}

static void opened(void)
{
    etcd__watch_core_opened(&core, now);
}

static void cut(void)
{
    etcd_error why;

    etcd__error_set(&why, ETCD_ERR_UNAVAILABLE, "cut");
    etcd__watch_core_closed(&core, &why, true, now);
}

/* Goes on to the time for which the machine has asked. */
static void wait(void)
{
    assert_true(wake != ETCD__NEVER && wake >= now && wake - now < 10 * ETCD__SECOND);
    now = wake;
    etcd__watch_core_tick(&core, now);
}

static void hear(const etcd__watch_response *response)
{
    size_t len = etcd__pb_encoded_size(&etcd__watch_response_type, response);
    uint8_t *data = etcd__malloc(len + 1);

    assert_non_null(data);
    etcd__pb_encode(&etcd__watch_response_type, response, data, len);
    etcd__watch_core_message(&core, data, len, now);
}

static void created(int64_t id, int64_t revision)
{
    hear(&(etcd__watch_response){.header.revision = revision, .watch_id = id, .created = true});
}

static void refused(int64_t id, const char *reason)
{
    hear(&(etcd__watch_response){
        .header.revision = 1, .watch_id = id, .created = true, .canceled = true, .cancel_reason = {reason, strlen(reason)}});
}

/* Events of these revisions, ended by 0. */
static void events(int64_t id, bool fragment, const int64_t *revisions)
{
    etcd__watch_response response = {.header.revision = 1, .watch_id = id, .fragment = fragment};
    etcd_event list[32];
    etcd_kv kvs[32];

    for (; revisions[response.n_events] != 0; response.n_events++) {
        kvs[response.n_events] = (etcd_kv){.key = {"key", 3}, .mod_revision = revisions[response.n_events]};
        list[response.n_events] = (etcd_event){.kv = &kvs[response.n_events]};
    }
    response.events = list;
    hear(&response);
}

#define EVENTS(id, fragment, ...) events((id), (fragment), (const int64_t[]){__VA_ARGS__, 0})

/* ---- where it goes on ---- */

static void it_goes_on_behind_what_was_given(void **state)
{
    (void)state;
    begin();
    one.created_notify = one.report_connection = true;
    add(&one);
    assert_log(asked, "open ");
    opened();
    assert_log(asked, "create(0) ");
    cut();
    assert_log(given, "broken(0) ");
    wait();
    opened();
    assert_log(asked, "open create(0) "); /* never taken up: from "now" again */
    created(ids[1], 10);
    assert_log(given, "created(11) resumed(11) ");
    cut();
    cut(); /* there is none */
    wait();
    opened();
    assert_log(asked, "open create(11) "); /* what happened meanwhile is not missed */
    created(ids[2], 12);
    EVENTS(ids[2], false, 11, 12, 12);
    assert_log(given, "broken(0) resumed(11) events(11,12,12) ");
    cut();
    wait();
    opened();
    assert_log(asked, "open create(13) ");
    created(ids[3], 20);
    EVENTS(ids[3], false, 12, 12, 14); /* what it has is not given again */
    assert_log(given, "broken(0) resumed(13) events(14) ");
    assert_true(ids[0] != ids[1] && ids[1] != ids[2] && ids[2] != ids[3]);
    assert_int_equal(one.resumes, 2);
    finish();
    assert_log(given, "end(-3) ");
}

static void fragments_are_given_as_far_as_they_are_whole(void **state)
{
    (void)state;
    begin();
    add(&one);
    opened();
    created(ids[0], 5);
    EVENTS(ids[0], true, 6, 7, 8, 8);
    assert_log(given, "events(6,7) ");
    EVENTS(ids[0], true, 8, 8);
    assert_log(given, "");
    EVENTS(ids[0], true, 8, 9, 9);
    assert_log(given, "events(8,8,8,8,8) ");
    cut(); /* within 9 */
    wait();
    opened();
    assert_int_equal(starts[1], 9);
    created(ids[1], 9);
    EVENTS(ids[1], true, 9, 9);
    EVENTS(ids[1], false, 9);
    assert_log(given, "events(9,9,9) ");
    finish();
}

static void a_revision_without_end_ends_the_watch(void **state)
{
    int n = 0;

    (void)state;
    begin();
    core.max_part = 64 << 10;
    add(&one);
    opened();
    created(ids[0], 5);
    for (asked[0] = '\0'; given[0] == '\0' && n < 10000; n++)
        EVENTS(ids[0], true, 6, 6, 6, 6, 6, 6, 6, 6);
    assert_in_range(n, 10, 9999);
    assert_log(given, "end(-7) ");
    finish();
}

static void answer_for_all(uint64_t member_id, int64_t revision)
{
    hear(&(etcd__watch_response){.header = {.member_id = member_id, .revision = revision}, .watch_id = -1});
}

static void the_answer_for_all_moves_nobody_where_it_may_overtake(void **state)
{
    (void)state;
    begin();
    one.progress_notify = true;
    add(&one);
    add(&two);
    opened();
    created(ids[0], 5);
    created(ids[1], 5);
    hear(&(etcd__watch_response){.header.revision = 9, .watch_id = ids[0]});
    assert_log(given, "progress(9) ");
    etcd__watch_core_progress(&two, now);
    assert_log(asked, "open create(0) create(0) vouch ");
    wait();
    assert_log(asked, ""); /* not before that is known */
    etcd__watch_core_vouched(&core, 0, now);
    assert_log(asked, "ask ");
    wait();
    assert_log(asked, "ask "); /* no answer: somebody lagged */
    answer_for_all(7, 12);
    assert_log(given, "2:progress(12) ");
    cut();
    wait();
    opened();
    assert_log(asked, "open create(10) create(6) "); /* its own word counts, the word for all does not */
    finish();
}

static void the_answer_for_all_moves_all_where_it_is_in_order(void **state)
{
    (void)state;
    begin();
    add(&one);
    add(&two);
    opened();
    created(ids[0], 5);
    created(ids[1], 5);
    etcd__watch_core_progress(&two, now);
    assert_log(asked, "open create(0) create(0) vouch ");
    etcd__watch_core_vouched(&core, 7, now);
    assert_log(asked, "ask ");
    answer_for_all(8, 9); /* another member, as behind a proxy: who knows */
    assert_log(given, "2:progress(9) ");
    assert_true(one.next == 6 && two.next == 6);
    etcd__watch_core_progress(&two, now);
    assert_log(asked, "ask ");
    answer_for_all(7, 12);
    assert_log(given, "2:progress(12) ");
    answer_for_all(7, 11); /* nothing goes back */
    cut();
    wait();
    opened();
    assert_log(asked, "open create(13) create(13) ");
    created(ids[2], 11);
    assert_log(asked, "cancel probe "); /* what it said counts as seen */
    etcd__watch_core_progress(&two, now);
    assert_log(asked, "vouch "); /* another stream, perhaps another version */
    finish();
}

/* `created` may come before an answer that was made when the watcher was not there. */
static void the_answer_for_all_is_for_those_that_were_there(void **state)
{
    (void)state;
    begin();
    two.start_revision = 3;
    add(&one);
    opened();
    created(ids[0], 5);
    etcd__watch_core_progress(&one, now);
    etcd__watch_core_vouched(&core, 7, now);
    add(&two);
    etcd__watch_core_progress(&two, now);
    assert_log(asked, "open create(0) vouch ask create(3) ask ");
    created(ids[1], 8);
    answer_for_all(7, 8); /* to the first question, when only `one` was there */
    assert_log(given, "progress(8) ");
    assert_true(one.next == 9 && two.next == 3);
    EVENTS(ids[1], false, 3, 4);
    answer_for_all(7, 8); /* to the second */
    assert_log(given, "2:events(3,4) 2:progress(8) ");
    assert_true(one.next == 9 && two.next == 9);
    wait();
    etcd__watch_core_remove(&two, now);
    memset(&two, 0, sizeof two);
    two.key = one.key;
    two.buffer_bytes = 1 << 20;
    two.start_revision = 3;
    etcd__watch_core_progress(&one, now); /* a question that is not answered */
    add(&two);
    created(ids[2], 8);
    answer_for_all(7, 9); /* made after `created` was */
    assert_true(one.next == 10 && two.next == 10);
    finish();
}

/* ---- the server's word ---- */

static void refusals_without_a_number_belong_to_the_oldest(void **state)
{
    (void)state;
    begin();
    add(&one);
    add(&two);
    opened();
    refused(-1, "mvcc: watcher range is empty");
    created(ids[1], 7);
    EVENTS(ids[1], false, 8);
    assert_log(given, "end(-109) 2:events(8) ");
    finish();
}

static void a_token_is_renewed_before_a_refusal_counts(void **state)
{
    (void)state;
    begin();
    tokens = true;
    add(&one);
    add(&two);
    opened();
    created(ids[0], 5);
    refused(-1, "rpc error: code = PermissionDenied desc = etcdserver: permission denied");
    assert_int_equal(renewals, 1);
    assert_log(asked, "open create(0) create(0) close open ");
    opened();
    created(ids[2], 5);
    refused(-1, "rpc error: code = PermissionDenied desc = etcdserver: permission denied");
    assert_int_equal(renewals, 1);
    assert_log(given, "2:end(-237) ");
    assert_int_equal(starts[2], 6);
    finish();
}

static void a_token_that_is_never_good_is_not_renewed_for_ever(void **state)
{
    int i;

    (void)state;
    begin();
    tokens = true;
    add(&one);
    opened();
    for (i = 0; one.core != NULL && i < 100; i++) {
        refused(ids[n_ids - 1], "rpc error: code = Unauthenticated desc = etcdserver: invalid auth token");
        if (one.core != NULL && strstr(asked, "close open") == NULL)
            wait();
        asked[0] = '\0';
        opened();
    }
    assert_in_range(i, 3, 10);
    assert_log(given, "end(-241) ");
    finish();
}

static void a_lagging_member_is_no_restored_cluster(void **state)
{
    (void)state;
    begin();
    add(&one);
    opened();
    created(ids[0], 50);
    cut();
    wait();
    opened();
    created(ids[1], 40);
    assert_log(asked, "open create(0) open create(51) cancel probe ");
    etcd__watch_core_probed(&core, 50, NULL, now);
    assert_log(asked, "create(51) ");
    created(ids[2], 40);
    assert_log(asked, ""); /* known now */
    EVENTS(ids[2], false, 51);
    assert_log(given, "events(51) ");
    cut();
    wait();
    opened();
    created(ids[3], 30);
    etcd__watch_core_probed(&core, 30, NULL, now);
    assert_log(given, "end(-15) ");
    finish();
}

static void a_listing_begins_anew_when_it_is_overtaken(void **state)
{
    etcd_error why;

    (void)state;
    begin();
    one.relist = true;
    one.start_revision = 3;
    add(&one);
    opened();
    created(ids[0], 50);
    hear(&(etcd__watch_response){.header.revision = 50, .watch_id = ids[0], .canceled = true, .compact_revision = 40});
    assert_log(asked, "open create(3) list(0) close ");
    etcd__error_set(&why, ETCD_ERR_COMPACTED, "compacted");
    etcd__watch_core_listed(&one, NULL, 0, &why, now);
    assert_log(asked, "list(0) ");
    assert_true(reading);
    etcd__watch_core_remove(&one, now);
    assert_false(reading);
    assert_log(given, "");
    finish();
}

/* Also one whose consumer sleeps: it must not be taken for one that is to be resumed. */
static void the_servers_last_word_comes_before_the_end(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        begin();
        one.canceled_notify = true;
        one.start_revision = 3;
        one.buffer_bytes = i == 2 ? 1 : one.buffer_bytes;
        buffered = i == 2;
        add(&one);
        opened();
        created(ids[0], 50);
        if (i == 1) {
            hear(&(etcd__watch_response){.header.revision = 50,
                                         .watch_id = ids[0],
                                         .canceled = true,
                                         .cancel_reason = {"mvcc: watcher range is empty", 28}});
            assert_log(given, "canceled(0) end(-109) ");
        } else {
            hear(&(etcd__watch_response){.header.revision = 50, .watch_id = ids[0], .canceled = true, .compact_revision = 40});
            assert_log(given, "canceled(40) end(-209) ");
        }
        assert_log(asked, "open create(3) close ");
        finish();
    }
}

/* ---- many, and slow ones ---- */

static void creates_are_pipelined_but_bounded(void **state)
{
    static etcd__watcher many[MOST];

    (void)state;
    begin();
    memset(many, 0, sizeof many);
    for (int i = 0; i < MOST; i++) {
        many[i].key = (etcd_bytes){"key", 3};
        many[i].buffer_bytes = 1000;
        add(&many[i]);
    }
    opened();
    assert_int_equal(n_ids, 4096);
    for (int i = 0; i < MOST; i++)
        created(ids[i], 5);
    assert_int_equal(n_ids, MOST);
    for (int i = 0; i < MOST; i++)
        etcd__watch_core_remove(&many[i], now);
    assert_int_equal(core.n_wanting, 0);
    finish();
}

static void a_slow_one_is_canceled_and_goes_on_from_where_it_is(void **state)
{
    (void)state;
    begin();
    one.buffer_bytes = 1;
    add(&one);
    add(&two);
    opened();
    created(ids[0], 5);
    created(ids[1], 5);
    assert_log(asked, "open create(0) create(0) ");
    buffered = 1; /* its consumer sleeps */
    EVENTS(ids[0], false, 6);
    assert_log(asked, "cancel ");
    EVENTS(ids[0], false, 7); /* was on its way */
    EVENTS(ids[1], false, 7);
    assert_log(given, "events(6) 2:events(7) ");
    assert_int_equal(one.stalls, 1);
    assert_true(one.wants_drain && !two.wants_drain);
    buffered = 0;
    etcd__watch_core_drained(&one, now);
    assert_log(asked, "create(7) ");
    finish();
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_goes_on_behind_what_was_given),
        cmocka_unit_test(fragments_are_given_as_far_as_they_are_whole),
        cmocka_unit_test(a_revision_without_end_ends_the_watch),
        cmocka_unit_test(the_answer_for_all_moves_nobody_where_it_may_overtake),
        cmocka_unit_test(the_answer_for_all_moves_all_where_it_is_in_order),
        cmocka_unit_test(the_answer_for_all_is_for_those_that_were_there),
        cmocka_unit_test(refusals_without_a_number_belong_to_the_oldest),
        cmocka_unit_test(a_token_is_renewed_before_a_refusal_counts),
        cmocka_unit_test(a_token_that_is_never_good_is_not_renewed_for_ever),
        cmocka_unit_test(a_lagging_member_is_no_restored_cluster),
        cmocka_unit_test(a_listing_begins_anew_when_it_is_overtaken),
        cmocka_unit_test(the_servers_last_word_comes_before_the_end),
        cmocka_unit_test(creates_are_pipelined_but_bounded),
        cmocka_unit_test(a_slow_one_is_canceled_and_goes_on_from_where_it_is),
    };

    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
