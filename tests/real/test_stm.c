/* Software transactional memory against a real server: what a transaction reads and writes, how it fails, where it may be called;
 * in the blocking and the asynchronous form, threaded and manual. See test_stm_isolation.c for conflicts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stm.h"

/* ---- alone ---- */

static int read_and_write(etcd_stm *stm, void *arg)
{
    struct stm_script *script = arg;
    const etcd_bytes *value, *old;
    int64_t revision;
    int rc;

    stm_note_run(script, stm);
    if ((rc = etcd_stm_get(stm, ETCD_STR("a"), &value)) < 0 || (rc = etcd_stm_rev(stm, ETCD_STR("a"), &revision)) < 0)
        return rc;
    assert_text(*value, "1");
    assert_true(revision > 1);
    if ((rc = etcd_stm_get(stm, ETCD_STR("none"), &old)) < 0)
        return rc;
    assert_null(old);
    if ((rc = etcd_stm_rev(stm, ETCD_STR("none"), &revision)) < 0)
        return rc;
    assert_int_equal(revision, 0);
    assert_int_equal(etcd_stm_put(stm, ETCD_STR("a"), ETCD_STR("2"), NULL), ETCD_OK);
    assert_int_equal(etcd_stm_get(stm, ETCD_STR("a"), &old), ETCD_OK); /* own writes are seen */
    assert_int_equal(etcd_stm_put(stm, ETCD_STR("a"), "3\0x", 3, NULL), ETCD_OK);
    assert_int_equal(etcd_stm_get(stm, ETCD_STR("a"), &value), ETCD_OK);
    assert_bytes(*value, "3\0x", 3);
    assert_text(*old, "2"); /* lives as long as the run */
    assert_int_equal(etcd_stm_del(stm, ETCD_STR("b")), ETCD_OK);
    assert_int_equal(etcd_stm_get(stm, ETCD_STR("b"), &value), ETCD_OK);
    assert_null(value);
    assert_int_equal(etcd_stm_put(stm, ETCD_STR("c"), "", 0, ETCD_PUT(.lease = 0x5717)), ETCD_OK);
    assert_int_equal(etcd_stm_del(stm, ETCD_STR("d")), ETCD_OK); /* the last one counts */
    assert_int_equal(etcd_stm_put(stm, ETCD_STR("d"), ETCD_STR("4"), NULL), ETCD_OK);
    return etcd_stm_get(stm, ETCD_STR("c"), &value);
}

static void reads_and_writes(void **state)
{
    (void)state;
    real_grant(0x5717, 600);
    for (int form = 0; form < STM_FORMS; form++) {
        for (int level = 0; level <= ETCD_STM_READ_COMMITTED; level++) {
            etcd_txn_response *response;
            etcd_get_response *got;
            struct stm_script script;
            etcd_client *client;
            int64_t revision;
            etcd_error err;

            stm_start(&client, form, &script);
            real_put(stm_other, "a", "1");
            revision = real_put(stm_other, "b", "1");
            assert_ok(stm_run(client, form, read_and_write, &script, ETCD_STM(.isolation = level), &response, &err), &err);
            assert_int_equal(script.attempt, 1);
            assert_int_equal(script.runs, form == STM_ASYNC || form == STM_ASYNC_MANUAL ? 3 : 1);
            assert_true(response->succeeded);
            assert_int_equal(response->header.revision, revision + 1);
            got = real_get(stm_other, "", ETCD_GET(.prefix = true));
            assert_int_equal(got->n_kvs, 3);
            assert_bytes(got->kvs[0].value, "3\0x", 3);
            assert_int_equal(got->kvs[1].lease, 0x5717);
            assert_text(got->kvs[2].value, "4");
            for (size_t i = 0; i < 3; i++)
                assert_int_equal(got->kvs[i].mod_revision, revision + 1);
            etcd_response_free(got);
            etcd_response_free(response);
            stm_finish(client);
        }
    }
}

static int read_many(etcd_stm *stm, void *arg)
{
    const etcd_bytes keys[] = {{ETCD_STR("b")}, {ETCD_STR("none")}, {ETCD_STR("a")}, {ETCD_STR("c")}, {ETCD_STR("a")}};
    const etcd_bytes *values[5] = {NULL};
    int rc;

    stm_note_run(arg, stm);
    assert_int_equal(etcd_stm_put(stm, ETCD_STR("c"), ETCD_STR("own"), NULL), ETCD_OK);
    rc = etcd_stm_get_many(stm, keys, 5, values);
    if (rc < 0)
        return rc;
    assert_text(*values[0], "2");
    assert_null(values[1]);
    assert_text(*values[2], "1");
    assert_text(*values[3], "own");
    assert_ptr_equal(values[4], values[2]);
    return etcd_stm_get_many(stm, keys, 0, NULL);
}

/* Requests that a client has sent. */
static void count_call(const etcd_call_info *info, void *arg)
{
    if (info->event == ETCD_CALL_EVENT_END)
        ++*(int *)arg;
}

static void several_keys_are_one_request(void **state)
{
    const etcd_bytes keys[] = {{ETCD_STR("b")}, {ETCD_STR("none")}, {ETCD_STR("a")}};

    (void)state;
    for (int prefetch = 0; prefetch < 2; prefetch++) {
        int calls = 0;
        etcd_client *client = real_client_with(ETCD_CLIENT(.call_fn = count_call, .call_arg = &calls));
        struct stm_script script = {0};
        etcd_error err;

        stm_other = real_client();
        real_put(stm_other, "a", "1");
        real_put(stm_other, "b", "2");
        assert_ok(etcd_stm_run(client, read_many, &script,
                               ETCD_STM(.prefetch = prefetch ? keys : NULL, .n_prefetch = prefetch * 3), NULL, &err),
                  &err);
        assert_int_equal(script.runs, 1);
        assert_int_equal(calls, 2); /* reading, committing */
        calls = 0;
        script.runs = 0;
        assert_ok(stm_run(client, STM_ASYNC, read_many, &script,
                          ETCD_STM(.prefetch = prefetch ? keys : NULL, .n_prefetch = prefetch * 3), NULL, &err),
                  &err);
        assert_int_equal(script.runs, prefetch ? 1 : 2);
        assert_int_equal(calls, 2);
        stm_finish(client);
    }
}

static int do_nothing(etcd_stm *stm, void *arg)
{
    stm_note_run(arg, stm);
    return 7; /* not negative: no failure */
}

static void nothing_to_do_is_a_success(void **state)
{
    (void)state;
    for (int form = 0; form < STM_FORMS; form++) {
        etcd_txn_response *response;
        struct stm_script script;
        etcd_client *client;
        etcd_error err;

        stm_start(&client, form, &script);
        assert_ok(stm_run(client, form, do_nothing, &script, NULL, &response, &err), &err);
        assert_true(response->header.revision > 0);
        assert_int_equal(script.runs, 1);
        etcd_response_free(response);
        stm_finish(client);
    }
}

/* ---- failing ---- */

struct abort {
    struct stm_script script;
    bool read_first;
    int code;
};

static int write_and_abort(etcd_stm *stm, void *arg)
{
    struct abort *abort = arg;
    const etcd_bytes *value;
    int rc;

    stm_note_run(&abort->script, stm);
    if (abort->read_first && (rc = etcd_stm_get(stm, ETCD_STR("a"), &value)) < 0)
        return rc;
    assert_int_equal(etcd_stm_put(stm, ETCD_STR("a"), ETCD_STR("poison"), NULL), ETCD_OK);
    return abort->code;
}

static void the_function_aborts(void **state)
{
    (void)state;
    for (int form = 0; form < STM_FORMS; form++) {
        for (int i = 0; i < 4; i++) {
            struct abort abort = {.read_first = i & 1, .code = i & 2 ? -12345 : ETCD_ERR_KEY_NOT_FOUND};
            etcd_txn_response *response;
            struct stm_script script;
            etcd_client *client;
            etcd_error err;

            stm_start(&client, form, &script);
            assert_error(stm_run(client, form, write_and_abort, &abort, NULL, &response, &err), &err, abort.code,
                         "ended by its function");
            assert_null(response);
            assert_int_equal(err.flags, 0);
            assert_keys(real_get(stm_other, "a", NULL), "");
            stm_finish(client);
        }
    }
}

static int fail_and_go_on(etcd_stm *stm, void *arg)
{
    const etcd_bytes *value = (const etcd_bytes *)arg;
    int64_t revision = 1;
    int rc;

    stm_note_run(arg, stm);
    if ((rc = etcd_stm_get(stm, ETCD_STR("a"), &value)) == ETCD_ERR_STM_AGAIN)
        return rc;
    assert_int_equal(etcd_stm_get(stm, "", 0, &value), ETCD_ERR_EMPTY_KEY);
    assert_null(value);
    assert_int_equal(etcd_stm_get(stm, ETCD_STR("a"), &value), ETCD_ERR_EMPTY_KEY);
    assert_int_equal(etcd_stm_rev(stm, ETCD_STR("a"), &revision), ETCD_ERR_EMPTY_KEY);
    assert_int_equal(revision, 0);
    assert_int_equal(etcd_stm_put(stm, ETCD_STR("a"), ETCD_STR("poison"), NULL), ETCD_ERR_EMPTY_KEY);
    assert_int_equal(etcd_stm_del(stm, ETCD_STR("a")), ETCD_ERR_EMPTY_KEY);
    return ETCD_OK;
}

static void a_failure_in_it_is_final(void **state)
{
    (void)state;
    for (int form = 0; form < STM_FORMS; form++) {
        struct stm_script script;
        etcd_client *client;
        etcd_error err;

        stm_start(&client, form, &script);
        assert_error(stm_run(client, form, fail_and_go_on, &script, NULL, NULL, &err), &err, ETCD_ERR_EMPTY_KEY,
                     "key is not provided");
        assert_keys(real_get(stm_other, "a", NULL), "");
        stm_finish(client);
    }
}

static int misuse(etcd_stm *stm, void *arg)
{
    const etcd_bytes *value;

    switch (*(int *)arg) {
    case 0:
        return etcd_stm_get(stm, ETCD_STR("a"), NULL);
    case 1:
        return etcd_stm_get_many(stm, NULL, 1, &value);
    case 2:
        return etcd_stm_rev(stm, ETCD_STR("a"), NULL);
    case 3:
        return etcd_stm_put(stm, ETCD_STR("a"), ETCD_STR("1"), ETCD_PUT(.call = ETCD_CALL(.timeout_ms = 1)));
    case 4:
        return etcd_stm_del(stm, NULL, 0) == ETCD_ERR_EMPTY_KEY ? ETCD_ERR_ARGUMENT : 0;
    default:
        return 0;
    }
}

static void wrong_arguments_are_refused(void **state)
{
    const etcd_bytes key = {ETCD_STR("k")}, *value = &key;
    etcd_stm_options options;
    struct stm_script script;
    int64_t revision;
    etcd_client *client;
    etcd_error err;

    (void)state;
    stm_start(&client, STM_BLOCKING, &script);
    assert_error(etcd_stm_run(NULL, do_nothing, &script, NULL, NULL, &err), &err, ETCD_ERR_ARGUMENT, "client");
    assert_error(etcd_stm_run(client, NULL, &script, NULL, NULL, &err), &err, ETCD_ERR_ARGUMENT, "apply");
    assert_error(etcd_stm_run_async(client, do_nothing, NULL, NULL, &script, &err), &err, ETCD_ERR_ARGUMENT, "done");
    assert_error(etcd_stm_run(client, do_nothing, &script, ETCD_STM(.isolation = 4), NULL, &err), &err, ETCD_ERR_ARGUMENT,
                 "isolation 4");
    assert_error(etcd_stm_run(client, do_nothing, &script, ETCD_STM(.max_attempts = -1), NULL, &err), &err, ETCD_ERR_ARGUMENT,
                 "negative");
    assert_error(etcd_stm_run(client, do_nothing, &script, ETCD_STM(.n_prefetch = 1), NULL, &err), &err, ETCD_ERR_ARGUMENT,
                 "prefetch is NULL");
    assert_error(etcd_stm_run(client, do_nothing, &script, ETCD_STM(.prefetch = &key, .n_prefetch = INT64_MAX), NULL, &err), &err,
                 ETCD_ERR_TOO_LARGE, "prefetch");
    etcd_stm_options_init(&options, sizeof options);
    assert_int_equal(options.size, sizeof options);
    options.size = 1;
    assert_error(etcd_stm_run(client, do_nothing, &script, &options, NULL, &err), &err, ETCD_ERR_ARGUMENT, "etcd_stm_options");
    assert_int_equal(script.runs, 0);
    for (int i = 0; i < 5; i++)
        assert_int_equal(etcd_stm_run(client, misuse, &i, NULL, NULL, &err), i == 4 ? ETCD_ERR_EMPTY_KEY : ETCD_ERR_ARGUMENT);
    assert_int_equal(etcd_stm_get(NULL, ETCD_STR("a"), &value), ETCD_ERR_ARGUMENT);
    assert_null(value);
    assert_int_equal(etcd_stm_rev(NULL, ETCD_STR("a"), &revision), ETCD_ERR_ARGUMENT);
    assert_int_equal(etcd_stm_put(NULL, ETCD_STR("a"), "", 0, NULL), ETCD_ERR_ARGUMENT);
    assert_int_equal(etcd_stm_del(NULL, ETCD_STR("a")), ETCD_ERR_ARGUMENT);
    assert_int_equal(etcd_stm_attempt(NULL), 0);
    stm_finish(client);
}

static int use_memory(etcd_stm *stm, void *arg)
{
    static char big[40000];
    const etcd_bytes *value;
    int rc = ETCD_OK;

    switch (*(int *)arg) {
    case 0:
        return etcd_stm_get(stm, ETCD_STR("big"), &value);
    case 1: /* all puts count, also of one key */
        for (int i = 0; i < 3 && rc == ETCD_OK; i++)
            rc = etcd_stm_put(stm, ETCD_STR("k"), big, sizeof big, NULL);
        return rc;
    case 2:
        memset(big, 'k', sizeof big);
        for (int i = 0; i < 26 && rc == ETCD_OK; i++) {
            big[0] = (char)('a' + i);
            rc = etcd_stm_get(stm, big, sizeof big, &value);
        }
        return rc;
    default:
        return etcd_stm_put(stm, ETCD_STR("k"), big, sizeof big, NULL);
    }
}

static void memory_is_bounded(void **state)
{
    static char big[100001];

    (void)state;
    memset(big, 'x', sizeof big - 1);
    for (int form = 0; form < STM_FORMS; form++) {
        struct stm_script script;
        etcd_client *client;
        etcd_error err;

        stm_start(&client, form, &script);
        real_put(stm_other, "big", big);
        for (int i = 0; i < 3; i++)
            assert_error(stm_run(client, form, use_memory, &i, ETCD_STM(.max_bytes = 100000), NULL, &err), &err,
                         ETCD_ERR_TOO_LARGE, "max_bytes");
        for (int i = 0; i < 4; i += 3)
            assert_ok(stm_run(client, form, use_memory, &i, NULL, NULL, &err), &err);
        stm_finish(client);
    }
}

static int write_many(etcd_stm *stm, void *arg)
{
    char key[16];
    int rc = ETCD_OK;

    for (int i = 0; i < *(int *)arg && rc == ETCD_OK; i++) {
        snprintf(key, sizeof key, "k%d", i);
        rc = etcd_stm_put(stm, ETCD_STR(key), "", 0, NULL);
    }
    return rc;
}

static void the_servers_limit_of_keys_is_told(void **state)
{
    struct stm_script script;
    etcd_client *client;
    int most = 128, more = 129;
    etcd_error err;

    (void)state;
    stm_start(&client, STM_BLOCKING, &script);
    assert_ok(etcd_stm_run(client, write_many, &most, NULL, NULL, &err), &err);
    assert_error(etcd_stm_run(client, write_many, &more, NULL, NULL, &err), &err, ETCD_ERR_TOO_MANY_OPS, NULL);
    stm_finish(client);
}

/* ---- where it is called ---- */

struct nested {
    int rc;
    struct real_ending ending;
};

static void end_nothing(etcd_client *client, etcd_txn_response *response, const etcd_error *err, void *arg)
{
    (void)client;
    (void)err;
    (void)arg;
    etcd_response_free(response);
}

static int get_a(etcd_stm *stm, void *arg)
{
    const char *text;

    (void)arg;
    return stm_get_text(stm, "a", &text);
}

static void run_in_callback(etcd_client *client, etcd_get_response *response, const etcd_error *err, void *arg)
{
    struct nested *nested = arg;
    struct stm_script script = {0};

    nested->rc = etcd_stm_run(client, do_nothing, &script, NULL, NULL, NULL);
    if (nested->rc == ETCD_ERR_IN_CALLBACK)
        nested->rc = etcd_stm_run(client, get_a, NULL, NULL, NULL, NULL);
    real_end(&nested->ending, response, err);
}

static void not_in_a_callback(void **state)
{
    etcd_client *client = real_client();
    struct nested nested = {0, REAL_ENDING};
    etcd_error err;

    (void)state;
    assert_ok(etcd_get_async(client, ETCD_STR("a"), NULL, run_in_callback, &nested, NULL, &err), &err);
    real_await(&nested.ending);
    assert_int_equal(nested.rc, ETCD_ERR_IN_CALLBACK);
    etcd_response_free(nested.ending.response);
    etcd_client_free(client);
}

static void not_in_a_child(void **state)
{
    etcd_client *client = real_client();
    struct stm_script script = {0};
    etcd_mirror *mirror;
    etcd_error err;
    int status;
    pid_t pid;

    (void)state;
    assert_ok(etcd_stm_run(client, do_nothing, &script, NULL, NULL, &err), &err);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(etcd_stm_run(client, do_nothing, &script, NULL, NULL, NULL) != ETCD_ERR_FORKED ||
              etcd_stm_run_async(client, do_nothing, NULL, end_nothing, &script, NULL) != ETCD_ERR_FORKED ||
              etcd_mirror_open(client, ETCD_STR("m/"), NULL, &mirror, NULL) != ETCD_ERR_FORKED);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    etcd_client_free(client);
}

/* The asynchronous form when the client is closed under it. */
struct closing {
    etcd_client *client;
    struct real_ending ending;
};

static int read_and_close(etcd_stm *stm, void *arg)
{
    const char *text;
    int rc = stm_get_text(stm, "a", &text);

    if (rc < 0)
        return rc;
    etcd_client_close(((struct closing *)arg)->client);
    return etcd_stm_put(stm, ETCD_STR("a"), ETCD_STR("1"), NULL);
}

static void end_closing(etcd_client *client, etcd_txn_response *response, const etcd_error *err, void *arg)
{
    (void)client;
    real_end(&((struct closing *)arg)->ending, response, err);
}

static void closing_the_client_ends_it(void **state)
{
    (void)state;
    for (int manual = 0; manual < 2; manual++) {
        struct closing closing = {real_client_with(ETCD_CLIENT(.manual = manual)), REAL_ENDING};
        etcd_error err;

        assert_ok(etcd_stm_run_async(closing.client, read_and_close, NULL, end_closing, &closing, &err), &err);
        while (manual && real_times_ended(&closing.ending) == 0 && etcd_client_process(closing.client, 1000, NULL) == ETCD_OK)
            ;
        real_await(&closing.ending);
        assert_int_equal(closing.ending.code, ETCD_ERR_CLOSED);
        assert_int_equal(closing.ending.times, 1);
        etcd_client_free(closing.client);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(reads_and_writes),           cmocka_unit_test(several_keys_are_one_request),
    cmocka_unit_test(nothing_to_do_is_a_success), cmocka_unit_test(the_function_aborts),
    cmocka_unit_test(a_failure_in_it_is_final),   cmocka_unit_test(wrong_arguments_are_refused),
    cmocka_unit_test(memory_is_bounded),          cmocka_unit_test(the_servers_limit_of_keys_is_told),
    cmocka_unit_test(not_in_a_callback),          cmocka_unit_test(not_in_a_child),
    cmocka_unit_test(closing_the_client_ends_it),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
