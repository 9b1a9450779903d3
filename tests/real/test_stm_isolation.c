/* Software transactional memory against a real server: when a transaction is done again, and what each isolation lets others do.
 * Who interferes is a second client that writes from within the transaction's function, so that each interleaving is exactly the
 * one that is meant. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stm.h"

/* ---- conflicts ---- */

/* Appends "x" to the value of a; the other appends "o" to it in the first `conflicts` attempts. */
struct append {
    struct stm_script script;
    int conflicts;
};

static int append(etcd_stm *stm, void *arg)
{
    struct append *append = arg;
    const char *text;
    char next[64];
    int rc;

    stm_note_run(&append->script, stm);
    if ((rc = stm_get_text(stm, "a", &text)) < 0)
        return rc;
    stm_note_seen(&append->script, text);
    if (stm_to_interfere(&append->script, append->conflicts)) {
        snprintf(next, sizeof next, "%so", text);
        real_put(stm_other, "a", next);
    }
    snprintf(next, sizeof next, "%sx", text);
    return etcd_stm_put(stm, ETCD_STR("a"), ETCD_STR(next), NULL);
}

static void a_conflict_runs_it_again(void **state)
{
    (void)state;
    for (int form = 0; form < STM_FORMS; form++) {
        for (int level = 0; level < ETCD_STM_READ_COMMITTED; level++) {
            for (int conflicts = 1; conflicts <= 4; conflicts++) {
                struct append add = {.conflicts = conflicts};
                struct stm_script script;
                etcd_client *client;
                etcd_get_response *got;
                char expected[8] = "oooo";
                etcd_error err;

                stm_start(&client, form, &script);
                real_put(stm_other, "a", "");
                assert_ok(stm_run(client, form, append, &add, ETCD_STM(.isolation = level, .backoff_base_ms = 1), NULL, &err),
                          &err);
                assert_int_equal(add.script.attempt, conflicts + 1);
                memcpy(expected + conflicts, "x", 2);
                got = real_get(stm_other, "a", NULL);
                assert_text(got->kvs[0].value, expected);
                etcd_response_free(got);
                stm_finish(client);
            }
        }
    }
}

static void attempts_are_limited(void **state)
{
    (void)state;
    for (int form = 0; form < STM_FORMS; form++) {
        for (int level = 0; level < ETCD_STM_READ_COMMITTED; level++) {
            struct append add = {.conflicts = 1000};
            etcd_txn_response *response;
            struct stm_script script;
            etcd_client *client;
            etcd_get_response *got;
            etcd_error err;

            stm_start(&client, form, &script);
            real_put(stm_other, "a", "");
            assert_error(stm_run(client, form, append, &add,
                                 ETCD_STM(.isolation = level, .max_attempts = 3, .backoff_base_ms = 1, .backoff_max_ms = 2),
                                 &response, &err),
                         &err, ETCD_ERR_STM_CONFLICT, "(3 attempts)");
            assert_int_equal(err.flags, ETCD_ERROR_RETRYABLE);
            assert_null(response);
            assert_int_equal(add.script.attempt, 3);
            got = real_get(stm_other, "a", NULL);
            assert_text(got->kvs[0].value, "ooo");
            etcd_response_free(got);
            stm_finish(client);
        }
    }
}

static void conflicts_are_waited_out(void **state)
{
    struct append add = {.conflicts = 4};
    struct stm_script script;
    etcd_client *client;
    int64_t begin;
    etcd_error err;

    (void)state;
    stm_start(&client, STM_BLOCKING, &script);
    real_put(stm_other, "a", "");
    begin = real_now_ms();
    assert_ok(etcd_stm_run(client, append, &add, ETCD_STM(.backoff_base_ms = 20, .backoff_max_ms = 40), NULL, &err), &err);
    /* none after the first, then twice 20 to 40, and at last again as it is bounded */
    assert_true(real_now_ms() - begin >= 20 + 20 + 20);
    stm_finish(client);
}

static void a_deadline_ends_the_conflicts(void **state)
{
    (void)state;
    for (int form = 0; form < STM_FORMS; form++) {
        struct append add = {.conflicts = 1000000};
        struct stm_script script;
        etcd_client *client;
        int64_t begin;
        etcd_error err;

        stm_start(&client, form, &script);
        real_put(stm_other, "a", "");
        begin = real_now_ms();
        assert_error(stm_run(client, form, append, &add,
                             ETCD_STM(.call = ETCD_CALL(.timeout_ms = 200), .backoff_base_ms = 100, .backoff_max_ms = 1000000),
                             NULL, &err),
                     &err, ETCD_ERR_DEADLINE_EXCEEDED, "context deadline exceeded");
        assert_true(real_now_ms() - begin >= 200);
        stm_finish(client);
    }
}

struct cancel {
    struct append append;
    etcd_cancel *cancel;
};

static int append_and_cancel(etcd_stm *stm, void *arg)
{
    struct cancel *cancel = arg;
    int rc = append(stm, &cancel->append);

    if (rc == ETCD_OK && cancel->append.script.attempt == 2)
        etcd_cancel_trigger(cancel->cancel);
    return rc;
}

static void it_can_be_canceled(void **state)
{
    (void)state;
    for (int form = 0; form < STM_FORMS; form++) {
        struct cancel cancel = {.append = {.conflicts = 1000}};
        struct stm_script script;
        etcd_client *client;
        etcd_error err;

        stm_start(&client, form, &script);
        real_put(stm_other, "a", "");
        assert_ok(etcd_cancel_new(&cancel.cancel, &err), &err);
        assert_error(
            stm_run(client, form, append_and_cancel, &cancel, ETCD_STM(.call = ETCD_CALL(.cancel = cancel.cancel)), NULL, &err),
            &err, ETCD_ERR_CANCELED, NULL);
        assert_int_equal(cancel.append.script.attempt, 2);
        etcd_cancel_free(cancel.cancel);
        stm_finish(client);
    }
}

/* ---- what each isolation promises ---- */

/* Reads a, then the other writes both, then reads b; writes nothing. */
static int read_while_both_change(etcd_stm *stm, void *arg)
{
    struct stm_script *script = arg;
    const char *text;
    int rc;

    stm_note_run(script, stm);
    if ((rc = stm_get_text(stm, "a", &text)) < 0)
        return rc;
    stm_note_seen(script, text);
    if (stm_to_interfere(script, 1)) {
        real_put(stm_other, "a", "new");
        real_put(stm_other, "b", "new");
    }
    if ((rc = stm_get_text(stm, "b", &text)) < 0)
        return rc;
    stm_note_seen(script, text);
    return ETCD_OK;
}

static void serializable_reads_are_of_one_revision(void **state)
{
    static const char *const first_seen[] = {"old old", "old old", "old new", "old new"};
    static const char *const seen[] = {"new new", "new new", "new new", "old new"};

    (void)state;
    for (int form = 0; form < STM_FORMS; form++) {
        for (int level = 0; level <= ETCD_STM_READ_COMMITTED; level++) {
            struct stm_script script;
            etcd_client *client;
            etcd_error err;

            stm_start(&client, form, &script);
            real_put(stm_other, "a", "old");
            real_put(stm_other, "b", "old");
            assert_ok(stm_run(client, form, read_while_both_change, &script, ETCD_STM(.isolation = level), NULL, &err), &err);
            assert_string_equal(script.first_seen, first_seen[level]);
            assert_string_equal(script.seen, seen[level]); /* what was committed */
            assert_int_equal(script.attempt, level == ETCD_STM_READ_COMMITTED ? 1 : 2);
            stm_finish(client);
        }
    }
}

/* Two doctors are on call, and each may leave if the other stays. */
struct leave {
    struct stm_script script;
    const char *me, *colleague;
    struct leave *meanwhile; /* the colleague's transaction, done in the middle of the first attempt of this one; NULL: none */
    int level;
};

static int leave(etcd_stm *stm, void *arg)
{
    struct leave *leave_ = arg;
    const char *mine, *theirs;
    etcd_error err;
    int rc;

    stm_note_run(&leave_->script, stm);
    if ((rc = stm_get_text(stm, leave_->me, &mine)) < 0 || (rc = stm_get_text(stm, leave_->colleague, &theirs)) < 0)
        return rc;
    if (leave_->meanwhile != NULL && stm_to_interfere(&leave_->script, 1))
        assert_ok(etcd_stm_run(stm_other, leave, leave_->meanwhile, ETCD_STM(.isolation = leave_->level), NULL, &err), &err);
    if (strcmp(theirs, "on") != 0)
        return 0; /* somebody has to stay */
    return etcd_stm_put(stm, ETCD_STR(leave_->me), ETCD_STR("off"), NULL);
}

static void write_skew_needs_guards_of_reads(void **state)
{
    (void)state;
    for (int form = 0; form < STM_FORMS; form++) {
        for (int level = 0; level <= ETCD_STM_READ_COMMITTED; level++) {
            struct leave bob = {.me = "bob", .colleague = "alice"};
            struct leave alice = {.me = "alice", .colleague = "bob", .meanwhile = &bob, .level = level};
            bool weak = level == ETCD_STM_READ_COMMITTED;
            struct stm_script script;
            etcd_client *client;
            etcd_get_response *got;
            etcd_error err;

            stm_start(&client, form, &script);
            real_put(stm_other, "alice", "on");
            real_put(stm_other, "bob", "on");
            assert_ok(stm_run(client, form, leave, &alice, ETCD_STM(.isolation = level), NULL, &err), &err);
            assert_int_equal(alice.script.attempt, weak ? 1 : 2);
            got = real_get(stm_other, "", ETCD_GET(.prefix = true));
            assert_text(got->kvs[0].value, weak ? "off" : "on");
            assert_text(got->kvs[1].value, "off");
            etcd_response_free(got);
            stm_finish(client);
        }
    }
}

/* Reads a, then the other writes b, then writes b without having read it: is the other's write lost? */
static int write_blindly(etcd_stm *stm, void *arg)
{
    struct stm_script *script = arg;
    const char *text;
    int rc;

    stm_note_run(script, stm);
    if ((rc = stm_get_text(stm, "a", &text)) < 0)
        return rc;
    if (stm_to_interfere(script, 1))
        real_put(stm_other, "b", "other");
    return etcd_stm_put(stm, ETCD_STR("b"), ETCD_STR("mine"), NULL);
}

static void only_a_snapshot_guards_blind_writes(void **state)
{
    (void)state;
    for (int form = 0; form < STM_FORMS; form++) {
        for (int level = 0; level <= ETCD_STM_READ_COMMITTED; level++) {
            struct stm_script script;
            etcd_client *client;
            etcd_error err;

            stm_start(&client, form, &script);
            real_put(stm_other, "a", "1");
            assert_ok(stm_run(client, form, write_blindly, &script, ETCD_STM(.isolation = level), NULL, &err), &err);
            assert_int_equal(script.attempt, level == ETCD_STM_SERIALIZABLE_SNAPSHOT ? 2 : 1);
            stm_finish(client);
        }
    }
}

/* Only writes: no level has anything to compare with. */
static int only_write(etcd_stm *stm, void *arg)
{
    struct stm_script *script = arg;

    stm_note_run(script, stm);
    if (stm_to_interfere(script, 1))
        real_put(stm_other, "a", "other");
    return etcd_stm_put(stm, ETCD_STR("a"), ETCD_STR("mine"), NULL);
}

static void without_reads_there_are_no_conflicts(void **state)
{
    (void)state;
    for (int level = 0; level <= ETCD_STM_READ_COMMITTED; level++) {
        struct stm_script script;
        etcd_client *client;
        etcd_error err;

        stm_start(&client, STM_BLOCKING, &script);
        assert_ok(etcd_stm_run(client, only_write, &script, ETCD_STM(.isolation = level), NULL, &err), &err);
        assert_int_equal(script.attempt, 1);
        stm_finish(client);
    }
}

static void lost_updates_need_guards(void **state)
{
    struct append add = {.conflicts = 1};
    struct stm_script script;
    etcd_client *client;
    etcd_get_response *got;
    etcd_error err;

    (void)state;
    stm_start(&client, STM_BLOCKING, &script);
    real_put(stm_other, "a", "");
    assert_ok(etcd_stm_run(client, append, &add, ETCD_STM(.isolation = ETCD_STM_READ_COMMITTED), NULL, &err), &err);
    assert_int_equal(add.script.attempt, 1);
    got = real_get(stm_other, "a", NULL);
    assert_text(got->kvs[0].value, "x"); /* the other's "o" is lost; the others levels: see above */
    etcd_response_free(got);
    stm_finish(client);
}

/* A key that appears or goes is a change as well. */
static int see_it_appear(etcd_stm *stm, void *arg)
{
    struct stm_script *script = arg;
    const char *text;
    int rc;

    stm_note_run(script, stm);
    if ((rc = stm_get_text(stm, "a", &text)) < 0)
        return rc;
    stm_note_seen(script, text);
    if (stm_to_interfere(script, 1))
        real_put(stm_other, "a", "appeared");
    else if (stm_to_interfere(script, 2))
        real_delete(stm_other, "a");
    return etcd_stm_put(stm, ETCD_STR("b"), ETCD_STR(text ? text : "none"), NULL);
}

static void appearing_and_going_are_changes(void **state)
{
    (void)state;
    for (int form = 0; form < STM_FORMS; form++) {
        for (int level = 0; level < ETCD_STM_READ_COMMITTED; level++) {
            struct stm_script script;
            etcd_client *client;
            etcd_error err;

            stm_start(&client, form, &script);
            assert_ok(stm_run(client, form, see_it_appear, &script, ETCD_STM(.isolation = level), NULL, &err), &err);
            assert_int_equal(script.attempt, 3);
            assert_string_equal(script.seen, "-");
            stm_finish(client);
        }
    }
}

/* The revision that it reads is compacted while it runs. */
static int read_while_compacted(etcd_stm *stm, void *arg)
{
    struct stm_script *script = arg;
    const char *text;
    etcd_error err;
    int rc;

    stm_note_run(script, stm);
    if ((rc = stm_get_text(stm, "a", &text)) < 0)
        return rc;
    if (stm_to_interfere(script, 1)) {
        int64_t revision = real_put(stm_other, "b", "2");

        assert_ok(etcd_compact(stm_other, revision, NULL, NULL, &err), &err);
    }
    if ((rc = stm_get_text(stm, "b", &text)) < 0)
        return rc;
    stm_note_seen(script, text);
    return etcd_stm_put(stm, ETCD_STR("c"), ETCD_STR(text), NULL);
}

static void a_compaction_is_a_conflict(void **state)
{
    (void)state;
    for (int form = 0; form < STM_FORMS; form++) {
        for (int level = 0; level <= ETCD_STM_READ_COMMITTED; level++) {
            struct stm_script script;
            etcd_client *client;
            etcd_error err;

            stm_start(&client, form, &script);
            real_put(stm_other, "a", "1");
            real_put(stm_other, "b", "1");
            assert_ok(stm_run(client, form, read_while_compacted, &script, ETCD_STM(.isolation = level), NULL, &err), &err);
            assert_int_equal(script.attempt, level <= ETCD_STM_SERIALIZABLE ? 2 : 1);
            assert_string_equal(script.seen, "2");
            stm_finish(client);
        }
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_conflict_runs_it_again),
    cmocka_unit_test(attempts_are_limited),
    cmocka_unit_test(conflicts_are_waited_out),
    cmocka_unit_test(a_deadline_ends_the_conflicts),
    cmocka_unit_test(it_can_be_canceled),
    cmocka_unit_test(serializable_reads_are_of_one_revision),
    cmocka_unit_test(write_skew_needs_guards_of_reads),
    cmocka_unit_test(only_a_snapshot_guards_blind_writes),
    cmocka_unit_test(without_reads_there_are_no_conflicts),
    cmocka_unit_test(lost_updates_need_guards),
    cmocka_unit_test(appearing_and_going_are_changes),
    cmocka_unit_test(a_compaction_is_a_conflict),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
