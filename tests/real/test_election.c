/* Elections on a server of one member: candidates, leaders and their values, observers, in all forms and modes. Faults are in
 * test_contention.c. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/alloc.h"
#include "recipes.h"

static void campaign(etcd_election *election, const char *value)
{
    etcd_error err;

    assert_ok(etcd_election_campaign(election, ETCD_STR(value), PATIENT, &err), &err);
    assert_true(etcd_election_leads(election));
}

/* Who leads, and with what: fails the test unless it is this key and value. */
static void assert_leader(etcd_client *client, const char *name, const char *key, const char *value)
{
    etcd_get_response *leader;
    etcd_error err;

    assert_ok(etcd_election_leader(client, ETCD_STR(name), PATIENT, &leader, &err), &err);
    assert_int_equal(leader->n_kvs, 1);
    assert_text(leader->kvs[0].key, key);
    assert_text(leader->kvs[0].value, value);
    etcd_response_free(leader);
}

static void assert_nobody_leads(etcd_client *client, const char *name)
{
    etcd_get_response *leader = (etcd_get_response *)&client;
    etcd_error err;

    assert_error(etcd_election_leader(client, ETCD_STR(name), PATIENT, &leader, &err), &err, ETCD_ERR_ELECTION_NO_LEADER,
                 "election: no leader");
    assert_null(leader);
}

/* ---- one candidate ---- */

static void a_leader_campaigns_proclaims_and_resigns(void **state)
{
    etcd_client *client = real_client();
    etcd_session *session = recipe_session(client, 60);
    etcd_election *election = recipe_election(session, "boss");
    etcd_response_header header;
    char key[64];
    etcd_error err;
    int64_t token;

    (void)state;
    snprintf(key, sizeof key, "boss/%llx", (unsigned long long)etcd_session_lease(session)); /* as Go has it */
    assert_string_equal(etcd_election_key(election, NULL), key);
    assert_nobody_leads(client, "boss");
    assert_false(etcd_election_leads(election));
    assert_error(etcd_election_proclaim(election, ETCD_STR("x"), PATIENT, &err), &err, ETCD_ERR_ELECTION_NOT_LEADER,
                 "election: not leader");
    assert_ok(etcd_election_resign(election, PATIENT, &err), &err); /* which is no harm */
    campaign(election, "first");
    token = etcd_election_token(election);
    assert_true(token > 0);
    etcd_election_header(election, &header);
    assert_int_equal(header.revision, token);
    assert_leader(client, "boss", key, "first");
    assert_ok(etcd_election_proclaim(election, ETCD_STR("second"), PATIENT, &err), &err);
    assert_leader(client, "boss", key, "second");
    assert_int_equal(etcd_election_token(election), token);
    etcd_election_header(election, &header);
    assert_true(header.revision > token);
    assert_ok(etcd_election_resign(election, PATIENT, &err), &err);
    assert_false(etcd_election_leads(election));
    assert_int_equal(etcd_election_token(election), 0);
    assert_nobody_leads(client, "boss");
    etcd_election_free(election);
    etcd_session_free(session);
    etcd_client_free(client);
}

static void campaigning_again_changes_the_value(void **state)
{
    etcd_client *client = real_client();
    etcd_session *session = recipe_session(client, 60);
    etcd_election *election = recipe_election(session, "boss");
    int64_t token;

    (void)state;
    campaign(election, "one");
    token = etcd_election_token(election);
    campaign(election, "one");
    campaign(election, "two");
    assert_int_equal(etcd_election_token(election), token);
    assert_leader(client, "boss", etcd_election_key(election, NULL), "two");
    campaign(election, ""); /* a value may be empty */
    assert_leader(client, "boss", etcd_election_key(election, NULL), "");
    etcd_election_free(election);
    etcd_session_free(session);
    etcd_client_free(client);
}

static void transactions_are_guarded_by_the_leadership(void **state)
{
    etcd_client *client = real_client();
    etcd_session *session = recipe_session(client, 60);
    etcd_election *election = recipe_election(session, "boss");
    etcd_error err;

    (void)state;
    for (int elected = 0; elected < 2; elected++) {
        etcd_txn *txn = etcd_txn_new(client);
        etcd_txn_response *response;

        if (elected)
            campaign(election, "x");
        etcd_election_if_leader(election, txn);
        etcd_txn_put(txn, ETCD_STR("guarded"), ETCD_STR("x"), NULL);
        assert_ok(etcd_txn_commit(txn, PATIENT, &response, &err), &err);
        assert_int_equal(response->succeeded, elected);
        etcd_response_free(response);
        etcd_txn_free(txn);
    }
    etcd_election_free(election);
    etcd_session_free(session);
    etcd_client_free(client);
}

static void who_was_deposed_is_told(void **state)
{
    etcd_client *client = real_client();
    etcd_session *session = recipe_session(client, 60);
    etcd_election *election = recipe_election(session, "boss");
    etcd_error err;

    (void)state;
    campaign(election, "x");
    real_delete(client, etcd_election_key(election, NULL));
    real_put_lease(client, etcd_election_key(election, NULL), "another's", etcd_session_lease(session));
    assert_error(etcd_election_proclaim(election, ETCD_STR("y"), PATIENT, &err), &err, ETCD_ERR_ELECTION_NOT_LEADER, NULL);
    assert_false(etcd_election_leads(election));
    assert_leader(client, "boss", etcd_election_key(election, NULL), "another's");
    assert_ok(etcd_election_resign(election, PATIENT, &err), &err);
    assert_leader(client, "boss", etcd_election_key(election, NULL), "another's"); /* not ours to delete */
    etcd_election_free(election);
    etcd_session_free(session);
    etcd_client_free(client);
}

static void a_leader_goes_on_after_a_restart(void **state)
{
    etcd_client *client = real_client();
    etcd_session *session = recipe_session(client, 60), *again;
    etcd_election *election = recipe_election(session, "boss"), *resumed, *none = (etcd_election *)&client;
    char key[64];
    int64_t token;
    etcd_error err;

    (void)state;
    campaign(election, "x");
    token = etcd_election_token(election);
    snprintf(key, sizeof key, "%s", etcd_election_key(election, NULL));
    assert_ok(etcd_session_new(client, ETCD_SESSION(.lease = etcd_session_lease(session)), &again, &err), &err);
    etcd_session_orphan(session);
    etcd_election_free(election);
    etcd_session_free(session);
    assert_error(etcd_election_resume(again, ETCD_STR("bos"), ETCD_STR(key), token, &none, &err), &err, ETCD_ERR_ARGUMENT,
                 "prefix \"bos/\"");
    assert_null(none);
    assert_error(etcd_election_resume(again, ETCD_STR("boss"), ETCD_STR(key), 0, &none, &err), &err, ETCD_ERR_ARGUMENT,
                 "revision");
    assert_ok(etcd_election_resume(again, ETCD_STR("boss"), ETCD_STR(key), token, &resumed, &err), &err);
    assert_true(etcd_election_leads(resumed));
    assert_int_equal(etcd_election_token(resumed), token);
    assert_ok(etcd_election_proclaim(resumed, ETCD_STR("y"), PATIENT, &err), &err);
    assert_leader(client, "boss", key, "y");
    assert_ok(etcd_election_resign(resumed, PATIENT, &err), &err);
    assert_nobody_leads(client, "boss");
    etcd_election_free(resumed);
    etcd_session_free(again);
    etcd_client_free(client);
}

/* ---- several candidates ---- */

struct candidate {
    etcd_session *session;
    etcd_election *election;
    struct real_ending ending;
};

static void stand(struct candidate *candidate, etcd_client *client, const char *value, const etcd_call_options *call,
                  etcd_call_id *id)
{
    const int64_t start = real_now_ms();
    etcd_error err;

    candidate->session = recipe_session(client, 60);
    candidate->election = recipe_election(candidate->session, "boss");
    candidate->ending = (struct real_ending)REAL_ENDING;
    assert_ok(etcd_election_campaign_async(candidate->election, ETCD_STR(value), call, recipe_on_election, &candidate->ending, id,
                                           &err),
              &err);
    while (recipe_count(client, etcd_election_key(candidate->election, NULL)) == 0)
        assert_true(real_now_ms() - start < PATIENCE_MS);
}

static void retire(struct candidate *candidate)
{
    etcd_election_free(candidate->election);
    etcd_session_free(candidate->session);
}

static void the_next_in_the_line_leads(void **state)
{
    etcd_client *client = real_client();
    struct candidate a, b, c;
    etcd_error err;

    (void)state;
    stand(&a, client, "a", PATIENT, NULL);
    stand(&b, client, "b", PATIENT, NULL);
    stand(&c, client, "c", PATIENT, NULL);
    real_await(&a.ending);
    assert_leader(client, "boss", etcd_election_key(a.election, NULL), "a");
    assert_int_equal(real_times_ended(&b.ending), 0);
    assert_ok(etcd_election_resign(a.election, PATIENT, &err), &err);
    real_await(&b.ending);
    assert_int_equal(b.ending.code, ETCD_OK);
    assert_leader(client, "boss", etcd_election_key(b.election, NULL), "b");
    assert_int_equal(real_times_ended(&c.ending), 0);
    retire(&b); /* whose session ends with its leadership */
    real_await(&c.ending);
    assert_int_equal(c.ending.code, ETCD_OK);
    assert_leader(client, "boss", etcd_election_key(c.election, NULL), "c");
    retire(&a);
    retire(&c);
    etcd_client_free(client);
}

static void a_canceled_candidate_leaves_the_line(void **state)
{
    etcd_client *client = real_client();
    struct candidate a, b;
    etcd_call_id id;

    (void)state;
    stand(&a, client, "a", PATIENT, NULL);
    real_await(&a.ending);
    stand(&b, client, "b", ETCD_CALL(.timeout_ms = -1), &id);
    assert_int_equal(etcd_call_cancel(client, id), ETCD_OK);
    real_await(&b.ending);
    assert_int_equal(b.ending.code, ETCD_ERR_CANCELED);
    recipe_await_count(client, "boss/", 1);
    assert_leader(client, "boss", etcd_election_key(a.election, NULL), "a");
    retire(&a);
    retire(&b);
    etcd_client_free(client);
}

static void a_candidate_stops_when_its_session_ends(void **state)
{
    etcd_client *client = real_client();
    struct candidate a, b;

    (void)state;
    stand(&a, client, "a", PATIENT, NULL);
    real_await(&a.ending);
    stand(&b, client, "b", ETCD_CALL(.timeout_ms = -1), NULL);
    etcd_session_orphan(b.session);
    real_await(&b.ending);
    assert_int_equal(b.ending.code, ETCD_ERR_SESSION_EXPIRED);
    assert_non_null(strstr(b.ending.message, "election: session is expired: "));
    retire(&b);
    retire(&a);
    etcd_client_free(client);
}

static void all_forms_elect(void **state)
{
    (void)state;
    for (int manual = 0; manual < 2; manual++) {
        etcd_client *client = real_client_with(ETCD_CLIENT(.manual = manual));
        etcd_session *session = recipe_session(client, 60);
        etcd_election *election = recipe_election(session, "forms");
        struct real_ending up = REAL_ENDING, say = REAL_ENDING, ask = REAL_ENDING, down = REAL_ENDING, idle = REAL_ENDING,
                           none = REAL_ENDING;
        etcd_error err;

        assert_ok(etcd_election_campaign_async(election, ETCD_STR("a"), PATIENT, recipe_on_election, &up, NULL, &err), &err);
        recipe_await(client, manual, &up);
        assert_int_equal(up.code, ETCD_OK);
        assert_ok(etcd_election_proclaim_async(election, ETCD_STR("b"), PATIENT, recipe_on_election, &say, NULL, &err), &err);
        recipe_await(client, manual, &say);
        assert_int_equal(say.code, ETCD_OK);
        assert_ok(etcd_election_leader_async(client, ETCD_STR("forms"), PATIENT, real_on_get, &ask, NULL, &err), &err);
        recipe_await(client, manual, &ask);
        assert_int_equal(ask.code, ETCD_OK);
        assert_text(((etcd_get_response *)ask.response)->kvs[0].value, "b");
        etcd_response_free(ask.response);
        assert_ok(etcd_election_resign_async(election, PATIENT, recipe_on_election, &down, NULL, &err), &err);
        recipe_await(client, manual, &down);
        assert_int_equal(down.code, ETCD_OK);
        assert_ok(etcd_election_resign_async(election, PATIENT, recipe_on_election, &idle, NULL, &err), &err);
        recipe_await(client, manual, &idle);
        assert_int_equal(idle.code, ETCD_OK);
        assert_ok(etcd_election_leader_async(client, ETCD_STR("forms"), PATIENT, real_on_get, &none, NULL, &err), &err);
        recipe_await(client, manual, &none);
        assert_int_equal(none.code, ETCD_ERR_ELECTION_NO_LEADER);
        assert_null(none.response);
        campaign(election, "c");
        assert_ok(etcd_election_resign(election, PATIENT, &err), &err);
        etcd_election_free(election);
        etcd_session_free(session);
        etcd_client_free(client);
    }
}

/* ---- observers ---- */

static etcd_observer *observe(etcd_client *client)
{
    etcd_observer *observer;
    etcd_error err;

    assert_ok(etcd_observer_open(client, ETCD_STR("boss"), NULL, &observer, &err), &err);
    return observer;
}

/* The next report is of this value; NULL: nobody leads. Returns its revision. */
static int64_t assert_next(etcd_observer *observer, const char *value)
{
    etcd_observer_response *response;
    int64_t revision;
    etcd_error err;

    assert_ok(etcd_observer_next(observer, PATIENCE_MS, &response, &err), &err);
    if (value == NULL) {
        assert_null(response->leader);
    } else {
        assert_non_null(response->leader);
        assert_text(response->leader->value, value);
    }
    revision = response->header.revision;
    assert_true(response->header.cluster_id != 0);
    etcd_response_free(response);
    return revision;
}

static void every_change_is_observed_in_order(void **state)
{
    (void)state;
    for (int manual = 0; manual < 2; manual++) {
        etcd_client *client = real_client(), *watching = real_client_with(ETCD_CLIENT(.manual = manual));
        etcd_observer *observer = observe(watching);
        struct candidate a, b;
        etcd_observer_response *response;
        int64_t revision;
        etcd_error err;
        char text[16];

        revision = assert_next(observer, NULL);
        stand(&a, client, "a", PATIENT, NULL);
        real_await(&a.ending);
        assert_true(assert_next(observer, "a") > revision);
        for (int i = 0; i < 10; i++) {
            snprintf(text, sizeof text, "%d", i);
            assert_ok(etcd_election_proclaim(a.election, ETCD_STR(text), PATIENT, &err), &err);
        }
        for (int i = 0; i < 10; i++) {
            snprintf(text, sizeof text, "%d", i);
            assert_next(observer, text);
        }
        stand(&b, client, "b", PATIENT, NULL); /* which changes nothing yet */
        assert_int_equal(etcd_observer_next(observer, 20, &response, &err), ETCD_ERR_TIMED_OUT);
        assert_null(response);
        assert_ok(etcd_election_resign(a.election, PATIENT, &err), &err);
        assert_next(observer, "b");
        real_await(&b.ending);
        retire(&b);
        assert_next(observer, NULL);
        retire(&a);
        etcd_observer_free(observer);
        etcd_client_free(watching);
        etcd_client_free(client);
    }
}

/* etcd issue 18163: of those who are there the oldest leads, not the one that was seen first. */
static void an_observer_that_comes_late_sees_the_oldest(void **state)
{
    etcd_client *client = real_client();
    struct candidate a, b;
    etcd_observer *observer;

    (void)state;
    stand(&a, client, "a", PATIENT, NULL);
    real_await(&a.ending);
    stand(&b, client, "b", PATIENT, NULL);
    observer = observe(client);
    assert_next(observer, "a");
    retire(&a);
    assert_next(observer, "b");
    etcd_observer_free(observer);
    retire(&b);
    etcd_client_free(client);
}

static bool is_readable(int fd, int timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    assert_true(fd >= 0);
    return poll(&p, 1, timeout_ms) == 1;
}

static void its_descriptor_is_readable_when_there_is_news(void **state)
{
    etcd_client *client = real_client();
    etcd_observer *observer = observe(client);
    int fd = etcd_observer_fd(observer);
    struct candidate a;

    (void)state;
    assert_true(is_readable(fd, PATIENCE_MS));
    assert_next(observer, NULL);
    assert_false(is_readable(fd, 0));
    stand(&a, client, "a", PATIENT, NULL);
    assert_true(is_readable(fd, PATIENCE_MS));
    assert_next(observer, "a");
    assert_false(is_readable(fd, 0));
    etcd_observer_cancel(observer);
    assert_true(is_readable(fd, 0));
    etcd_observer_free(observer);
    retire(&a);
    etcd_client_free(client);
}

static void a_slow_observer_misses_the_oldest_reports_only(void **state)
{
    etcd_client *client = real_client();
    etcd_observer *observer = observe(client);
    etcd_observer_response *response;
    struct candidate a;
    int reports = 0;
    char text[16], last[16] = "";
    etcd_error err;

    (void)state;
    stand(&a, client, "a", PATIENT, NULL);
    real_await(&a.ending);
    for (int i = 0; i < 200; i++) {
        snprintf(text, sizeof text, "%d", i);
        assert_ok(etcd_election_proclaim(a.election, ETCD_STR(text), PATIENT, &err), &err);
    }
    real_sleep_ms(100); /* as slow as that; whatever has arrived by now */
    while (strcmp(last, "199") != 0) {
        assert_ok(etcd_observer_next(observer, PATIENCE_MS, &response, &err), &err);
        assert_true(reports++ < 203);
        snprintf(last, sizeof last, "%s", response->leader ? response->leader->value.data : "");
        etcd_response_free(response);
    }
    etcd_observer_free(observer);
    retire(&a);
    etcd_client_free(client);
}

/* Called form. */
struct seen {
    pthread_mutex_t lock;
    char text[256]; /* values, with ";" behind each; "-": nobody */
    atomic_bool ended;
    int code;
    bool free_at_second;
};

static void on_report(etcd_observer *observer, etcd_observer_response *response, const etcd_error *err, void *arg)
{
    struct seen *seen = arg;
    size_t used;

    if (response == NULL) {
        seen->code = err->code;
        atomic_store(&seen->ended, true);
        return;
    }
    pthread_mutex_lock(&seen->lock);
    used = strlen(seen->text);
    snprintf(seen->text + used, sizeof seen->text - used, "%s;", response->leader ? response->leader->value.data : "-");
    pthread_mutex_unlock(&seen->lock);
    etcd_response_free(response);
    if (seen->free_at_second && used > 0)
        etcd_observer_free(observer);
}

static void await_seen(struct seen *seen, const char *text)
{
    const int64_t start = real_now_ms();
    bool same = false;

    while (!same) {
        pthread_mutex_lock(&seen->lock);
        same = strcmp(seen->text, text) == 0;
        pthread_mutex_unlock(&seen->lock);
        if (real_now_ms() - start > PATIENCE_MS)
            fail_msg("observed %s instead of %s", seen->text, text);
        real_sleep_ms(1);
    }
}

static void a_function_is_called_with_each_report(void **state)
{
    etcd_client *client = real_client();
    struct seen seen = {.lock = PTHREAD_MUTEX_INITIALIZER}, brief = {.lock = PTHREAD_MUTEX_INITIALIZER, .free_at_second = true};
    etcd_observer *observer, *other;
    struct candidate a;
    etcd_error err;

    (void)state;
    assert_ok(
        etcd_observer_start(client, ETCD_STR("boss"), ETCD_OBSERVER(.require_leader = true), on_report, &seen, &observer, &err),
        &err);
    assert_ok(etcd_observer_start(client, ETCD_STR("boss"), NULL, on_report, &brief, &other, &err), &err);
    await_seen(&seen, "-;");
    await_seen(&brief, "-;");
    stand(&a, client, "a", PATIENT, NULL);
    real_await(&a.ending);
    await_seen(&seen, "-;a;");
    await_seen(&brief, "-;a;"); /* and is freed */
    retire(&a);
    await_seen(&seen, "-;a;-;");
    etcd_observer_cancel(observer);
    recipe_await_flag(&seen.ended);
    assert_int_equal(seen.code, ETCD_ERR_CANCELED);
    etcd_observer_free(observer);
    await_seen(&brief, "-;a;");
    assert_false(atomic_load(&brief.ended));
    etcd_client_free(client);
}

static void take_until_the_end(void *arg)
{
    etcd_observer *observer = ((void **)arg)[0];
    etcd_observer_response *response;
    int *code = ((void **)arg)[1];

    while ((*code = etcd_observer_next(observer, -1, &response, NULL)) == ETCD_OK)
        etcd_response_free(response);
}

static void canceling_wakes_who_waits(void **state)
{
    etcd_client *client = real_client();
    etcd_observer *observer = observe(client);
    struct recipe_thread thread;
    int code = 0;
    void *arg[] = {observer, &code};
    etcd_observer_response *response;
    etcd_error err;

    (void)state;
    recipe_run(&thread, take_until_the_end, arg);
    real_sleep_ms(30);
    etcd_observer_cancel(observer);
    recipe_join(&thread);
    assert_int_equal(code, ETCD_ERR_CANCELED);
    assert_error(etcd_observer_next(observer, 0, &response, &err), &err, ETCD_ERR_CANCELED, NULL);
    etcd_observer_free(observer);
    etcd_client_free(client);
}

static void closing_the_client_ends_it(void **state)
{
    etcd_client *client = real_client();
    etcd_observer *observer = observe(client);
    etcd_observer_response *response;
    etcd_error err;

    (void)state;
    assert_next(observer, NULL);
    etcd_client_close(client);
    assert_error(etcd_observer_next(observer, PATIENCE_MS, &response, &err), &err, ETCD_ERR_CLOSED, NULL);
    etcd_client_free(client);
    etcd_observer_free(observer);
}

/* As with the Go client: its keys begin with "/". */
static void a_name_may_be_empty(void **state)
{
    etcd_client *client = real_client();
    etcd_session *session = recipe_session(client, 60);
    etcd_election *election = recipe_election(session, "");
    etcd_observer *observer;
    etcd_get_response *leader;
    etcd_error err;

    (void)state;
    assert_ok(etcd_observer_open(client, NULL, 0, NULL, &observer, &err), &err);
    assert_next(observer, NULL);
    assert_ok(etcd_election_campaign(election, ETCD_STR("v"), PATIENT, &err), &err);
    assert_next(observer, "v");
    assert_ok(etcd_election_leader(client, NULL, 0, PATIENT, &leader, &err), &err);
    assert_int_equal(leader->kvs[0].key.data[0], '/');
    etcd_response_free(leader);
    etcd_observer_free(observer);
    etcd_election_free(election);
    etcd_session_free(session);
    etcd_client_free(client);
}

static void what_makes_no_sense_is_refused(void **state)
{
    etcd_client *client = real_client();
    etcd_session *session = recipe_session(client, 60);
    etcd_election *election = (etcd_election *)&client;
    etcd_observer *observer = (etcd_observer *)&client;
    etcd_observer_response *response;
    etcd_error err;

    (void)state;
    assert_error(etcd_election_new(session, NULL, 1, &election, &err), &err, ETCD_ERR_ARGUMENT, "name");
    assert_null(election);
    assert_error(etcd_election_new(NULL, "x", 1, &election, &err), &err, ETCD_ERR_ARGUMENT, "session");
    assert_error(etcd_election_campaign(NULL, "", 0, NULL, &err), &err, ETCD_ERR_ARGUMENT, "NULL");
    assert_error(etcd_election_leader(client, NULL, 1, NULL, NULL, &err), &err, ETCD_ERR_ARGUMENT, "name");
    assert_error(etcd_observer_open(client, NULL, 1, NULL, &observer, &err), &err, ETCD_ERR_ARGUMENT, "name");
    assert_null(observer);
    assert_error(etcd_observer_open(NULL, "x", 1, NULL, &observer, &err), &err, ETCD_ERR_ARGUMENT, "client");
    observer = (etcd_observer *)&client;
    assert_error(etcd_observer_start(client, "x", 1, NULL, NULL, NULL, &observer, &err), &err, ETCD_ERR_ARGUMENT, "fn");
    assert_null(observer);
    assert_error(etcd_observer_next(NULL, 0, &response, &err), &err, ETCD_ERR_ARGUMENT, "NULL");
    etcd_election_free(NULL);
    etcd_observer_free(NULL);
    etcd_observer_cancel(NULL);
    etcd_session_free(session);
    etcd_client_free(client);
}

static bool is_inert(void *arg)
{
    etcd_observer *observer = ((void **)arg)[0];
    etcd_election *election = ((void **)arg)[1];
    etcd_observer_response *response;
    etcd_error err;
    bool inert = etcd_observer_next(observer, 0, &response, &err) == ETCD_ERR_FORKED && !etcd_election_leads(election) &&
                 etcd_election_resign(election, NULL, &err) == ETCD_ERR_FORKED;

    etcd_observer_cancel(observer);
    etcd_observer_free(observer);
    etcd_election_free(election);
    return inert;
}

static void in_a_child_it_is_inert(void **state)
{
    etcd_client *client = real_client();
    etcd_observer *observer = observe(client);
    struct candidate a;

    (void)state;
    stand(&a, client, "a", PATIENT, NULL);
    real_await(&a.ending);
    recipe_in_child(is_inert, (void *[]){observer, a.election});
    assert_true(etcd_election_leads(a.election));
    retire(&a);
    etcd_observer_free(observer);
    etcd_client_free(client);
}

/* ---- out of memory ---- */

static int elect_once(void *arg)
{
    static int number;
    etcd_client *client = NULL;
    etcd_session *session = NULL;
    etcd_election *election = NULL;
    etcd_observer *observer = NULL;
    etcd_observer_response *response;
    char name[32];
    int rc;

    (void)arg;
    snprintf(name, sizeof name, "memory/%d", number++);
    rc = etcd_client_new(
        ETCD_CLIENT(.endpoints = etcd_server_endpoints(real_server()), .manual = true, .backoff_base_ms = 1, .backoff_max_ms = 1),
        &client, NULL);
    if (rc == ETCD_OK)
        rc = etcd_session_new(client, ETCD_SESSION(.ttl_s = 5, .call = PATIENT), &session, NULL);
    if (rc == ETCD_OK)
        rc = etcd_election_new(session, ETCD_STR(name), &election, NULL);
    if (rc == ETCD_OK)
        rc = etcd_observer_open(client, ETCD_STR(name), NULL, &observer, NULL);
    for (int i = 0; i < 2 && rc == ETCD_OK; i++) {
        if (i > 0)
            rc = etcd_election_campaign(election, ETCD_STR("x"), PATIENT, NULL);
        if (rc == ETCD_OK)
            rc = etcd_observer_next(observer, PATIENCE_MS, &response, NULL);
        if (rc == ETCD_OK)
            etcd_response_free(response);
    }
    if (rc == ETCD_OK)
        rc = etcd_election_proclaim(election, ETCD_STR("y"), PATIENT, NULL);
    if (rc == ETCD_OK)
        rc = etcd_election_resign(election, PATIENT, NULL);
    etcd_observer_free(observer);
    etcd_election_free(election);
    etcd_session_free(session);
    etcd_client_free(client);
    return rc;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    (void)real_server();
    etcd_test_alloc_install();
    (void)etcd_test_alloc_sweep(elect_once, NULL);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_leader_campaigns_proclaims_and_resigns),
    cmocka_unit_test(campaigning_again_changes_the_value),
    cmocka_unit_test(transactions_are_guarded_by_the_leadership),
    cmocka_unit_test(who_was_deposed_is_told),
    cmocka_unit_test(a_leader_goes_on_after_a_restart),
    cmocka_unit_test(the_next_in_the_line_leads),
    cmocka_unit_test(a_canceled_candidate_leaves_the_line),
    cmocka_unit_test(a_candidate_stops_when_its_session_ends),
    cmocka_unit_test(all_forms_elect),
    cmocka_unit_test(every_change_is_observed_in_order),
    cmocka_unit_test(an_observer_that_comes_late_sees_the_oldest),
    cmocka_unit_test(its_descriptor_is_readable_when_there_is_news),
    cmocka_unit_test(a_slow_observer_misses_the_oldest_reports_only),
    cmocka_unit_test(a_function_is_called_with_each_report),
    cmocka_unit_test(canceling_wakes_who_waits),
    cmocka_unit_test(closing_the_client_ends_it),
    cmocka_unit_test(a_name_may_be_empty),
    cmocka_unit_test(what_makes_no_sense_is_refused),
    cmocka_unit_test(in_a_child_it_is_inert),
    cmocka_unit_test(every_allocation_may_fail),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
