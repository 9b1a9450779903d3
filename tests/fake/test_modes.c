/* The ways to run a client: threads, callbacks, the completion queue, manual mode, and a child after fork(); many calls at once,
 * answered in another order. */
#include "client/client.h"
#include "harness/fake_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- out of order ---- */

/* Keys "0", "1", ...: the answer waits at the gate of that number (modulo the number of gates). */
static void gate_by_key(fake_request *request, void *arg)
{
    const etcd__range_request *range = request->message;

    (void)arg;
    fake_reply_gate(request, (int)(strtol(range->key.data, NULL, 10) % FAKE_N_GATES));
    fake_reply_kv(request);
}

typedef struct many {
    size_t total, order[1024];
    int done[1024];
    bool wrong;
} many;

typedef struct one {
    many *many;
    size_t index;
} one;

static void on_get(etcd_client *client, etcd_get_response *response, const etcd_error *err, void *arg)
{
    one *o = arg;
    char key[16];

    (void)client;
    snprintf(key, sizeof key, "%zu", o->index);
    if (err || response->n_kvs != 1 || strcmp(response->kvs[0].key.data, key) != 0)
        o->many->wrong = true;
    o->many->done[o->index]++;
    o->many->order[o->many->total++] = o->index;
    etcd_response_free(response);
}

static void put_numbers(etcd_client *client, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char key[16];

        snprintf(key, sizeof key, "%zu", i);
        assert_int_equal(etcd_put(client, ETCD_STR(key), ETCD_STR("v"), NULL, NULL, NULL), ETCD_OK);
    }
}

static void get_numbers(etcd_client *client, many *m, one *ones, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char key[16];

        snprintf(key, sizeof key, "%zu", i);
        ones[i] = (one){m, i};
        assert_int_equal(etcd_get_async(client, ETCD_STR(key), ETCD_GET(.call = ETCD_CALL(.timeout_ms = FAKE_WAIT_MS)), on_get,
                                        &ones[i], NULL, NULL),
                         ETCD_OK);
    }
}

static void answers_come_in_any_order(void **state)
{
    fake_server *server = fake_server_start(NULL);
    etcd_client *client = fake_client(fake_server_endpoint(server), true);
    one ones[FAKE_N_GATES];
    many m = {.total = 0};

    (void)state;
    put_numbers(client, FAKE_N_GATES);
    fake_server_handle(server, FAKE_RANGE, gate_by_key, NULL);
    get_numbers(client, &m, ones, FAKE_N_GATES);
    while (fake_server_count(server, FAKE_RANGE) < FAKE_N_GATES)
        assert_int_equal(etcd_client_process(client, 1, NULL), ETCD_OK);
    for (size_t i = 0; i < FAKE_N_GATES; i++) {
        size_t gate = (i * 7 + 3) % FAKE_N_GATES;

        fake_server_gate_open(server, (int)gate);
        while (m.total == i)
            assert_int_equal(etcd_client_process(client, FAKE_WAIT_MS, NULL), ETCD_OK);
        assert_int_equal(m.total, i + 1);
        assert_int_equal(m.order[i], gate);
    }
    assert_false(m.wrong);
    etcd_client_free(client);
    fake_server_stop(server);
}

/* 1,000 in flight on one connection; the answers come at once, in the order of the gates. */
static void a_thousand_in_flight(void **state)
{
    static one ones[1000];
    static many m;
    fake_server *server = fake_server_start(NULL);
    etcd_client *client = fake_client(fake_server_endpoint(server), true);

    (void)state;
    put_numbers(client, 1000);
    fake_server_handle(server, FAKE_RANGE, gate_by_key, NULL);
    get_numbers(client, &m, ones, 1000);
    while (fake_server_count(server, FAKE_RANGE) < 1000)
        assert_int_equal(etcd_client_process(client, 1, NULL), ETCD_OK);
    for (int gate = FAKE_N_GATES - 1; gate >= 0; gate--)
        fake_server_gate_open(server, gate);
    while (m.total < 1000)
        assert_int_equal(etcd_client_process(client, FAKE_WAIT_MS, NULL), ETCD_OK);
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(m.done[i], 1);
    assert_false(m.wrong);
    assert_int_equal(fake_server_conn_count(server), 1);
    etcd_client_free(client);
    fake_server_stop(server);
}

/* ---- threads ---- */

enum { N_THREADS = 8, N_EACH = 100 };

typedef struct worker {
    etcd_client *client;
    int number;
    int failures;
} worker;

static void *put_and_get(void *arg)
{
    worker *w = arg;

    for (int i = 0; i < N_EACH; i++) {
        etcd_get_response *response = NULL;
        char key[32], value[32];
        etcd_error err;

        snprintf(key, sizeof key, "t%d", w->number);
        snprintf(value, sizeof value, "%d-%d", w->number, i);
        w->failures += etcd_put(w->client, ETCD_STR(key), ETCD_STR(value), NULL, NULL, &err) != ETCD_OK;
        w->failures += etcd_get(w->client, ETCD_STR(key), NULL, &response, &err) != ETCD_OK;
        w->failures += !response || response->n_kvs != 1 || strcmp(response->kvs[0].value.data, value) != 0;
        etcd_response_free(response);
    }
    return NULL;
}

static void threads_share_a_client(void **state)
{
    fake_server *server = fake_server_start(NULL);
    etcd_client *client =
        fake_client_with(fake_server_endpoint(server), (etcd_client_options){.request_timeout_ms = FAKE_WAIT_MS});
    pthread_t threads[N_THREADS];
    worker workers[N_THREADS];

    (void)state;
    for (int i = 0; i < N_THREADS; i++) {
        workers[i] = (worker){client, i, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, put_and_get, &workers[i]), 0);
    }
    for (int i = 0; i < N_THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(workers[i].failures, 0);
    }
    assert_int_equal(fake_server_kv_writes(server), N_THREADS * N_EACH);
    assert_int_equal(fake_server_count(server, NULL), 2 * N_THREADS * N_EACH);
    assert_int_equal(fake_server_conn_count(server), 1);
    assert_int_equal(fake_server_violations(server), 0);
    etcd_client_free(client);
    fake_server_stop(server);
}

typedef struct chaos {
    etcd_client *client;
    etcd_cancel *cancel;
    atomic_int started, ended;
} chaos;

static void on_put(etcd_client *client, etcd_put_response *response, const etcd_error *err, void *arg)
{
    chaos *c = arg;

    (void)client;
    (void)err;
    atomic_fetch_add(&c->ended, 1);
    etcd_response_free(response);
}

/* Calls of all forms, some canceled by number, some by a switch. */
static void *make_chaos(void *arg)
{
    chaos *c = arg;

    for (int i = 0; i < N_EACH; i++) {
        etcd_call_id id = 0;
        etcd_error err;

        if (etcd_put_async(
                c->client, ETCD_STR("k"), ETCD_STR("v"),
                ETCD_PUT(.call = ETCD_CALL(.timeout_ms = i % 5 == 0 ? 1 : 1000, .cancel = i % 7 == 0 ? c->cancel : NULL)), on_put,
                c, &id, &err) == ETCD_OK)
            atomic_fetch_add(&c->started, 1);
        if (i % 3 == 0)
            etcd_call_cancel(c->client, id);
        if (i % 4 == 0)
            etcd_get(c->client, ETCD_STR("k"), NULL, NULL, &err);
        if (i == N_EACH / 2)
            etcd_cancel_trigger(c->cancel);
    }
    return NULL;
}

static void check_chaos(bool close_meanwhile)
{
    fake_server *server = fake_server_start(NULL);
    chaos c = {.client = fake_client(fake_server_endpoint(server), false)};
    pthread_t threads[N_THREADS];

    assert_int_equal(etcd_cancel_new(&c.cancel, NULL), ETCD_OK);
    for (int i = 0; i < N_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, make_chaos, &c), 0);
    if (close_meanwhile) {
        assert_true(fake_server_wait_requests(server, NULL, 100, FAKE_WAIT_MS));
        etcd_client_close(c.client);
    }
    for (int i = 0; i < N_THREADS; i++)
        pthread_join(threads[i], NULL);
    etcd_client_free(c.client);
    assert_int_equal(atomic_load(&c.started), atomic_load(&c.ended));
    assert_true(atomic_load(&c.started) > 0);
    etcd_cancel_free(c.cancel);
    assert_int_equal(fake_server_violations(server), 0);
    fake_server_stop(server);
}

static void every_callback_runs_once(void **state)
{
    (void)state;
    check_chaos(false);
    check_chaos(true);
}

/* ---- the completion queue ---- */

static void check_completions(bool manual)
{
    fake_server *server = fake_server_start(NULL);
    etcd_client *client = fake_client(fake_server_endpoint(server), manual);
    etcd_completion *completion = NULL;
    etcd_call_id ids[20];
    int args[20];

    assert_int_equal(etcd_client_next_completion(client, 0, &completion, NULL), ETCD_ERR_TIMED_OUT);
    assert_null(completion);
    for (size_t i = 0; i < 20; i++) {
        const char *key = i % 2 ? "k" : ""; /* every second one is refused by the server */
        const etcd_get_options *options = i % 2 ? NULL : ETCD_GET(.prefix = true, .revision = 1000);

        assert_int_equal(etcd_get_async(client, ETCD_STR(key), options, NULL, &args[i], &ids[i], NULL), ETCD_OK);
        assert_true(ids[i] != 0 && (i == 0 || ids[i] != ids[i - 1]));
    }
    for (size_t n = 0; n < 20; n++) {
        size_t i = 0;

        assert_int_equal(etcd_client_next_completion(client, FAKE_WAIT_MS, &completion, NULL), ETCD_OK);
        while (i < 20 && ids[i] != completion->id)
            i++;
        assert_true(i < 20);
        assert_ptr_equal(completion->arg, &args[i]);
        assert_int_equal(completion->type, ETCD_CALL_GET);
        assert_int_equal(completion->code, i % 2 ? ETCD_OK : ETCD_ERR_FUTURE_REV);
        assert_int_equal(completion->response != NULL, i % 2);
        assert_int_equal(completion->error == NULL, i % 2);
        if (completion->error)
            assert_string_equal(completion->error->endpoint, fake_server_endpoint(server));
        etcd_response_free(completion);
        assert_int_equal(etcd_call_cancel(client, ids[i]), ETCD_ERR_CALL_NOT_FOUND);
        ids[i] = 0; /* each comes once */
    }
    etcd_client_free(client);
    fake_server_stop(server);
}

static void completions_in_threaded_mode(void **state)
{
    (void)state;
    check_completions(false);
}

static void completions_in_manual_mode(void **state)
{
    (void)state;
    check_completions(true);
}

static void never(fake_request *request, void *arg)
{
    (void)request;
    (void)arg;
}

static void closing_completes_the_queue(void **state)
{
    (void)state;
    for (int manual = 0; manual < 2; manual++) {
        fake_server *server = fake_server_start(NULL);
        etcd_client *client = fake_client(fake_server_endpoint(server), manual);
        etcd_completion *completion;

        fake_server_handle(server, NULL, never, NULL);
        for (int i = 0; i < 5; i++)
            assert_int_equal(etcd_put_async(client, ETCD_STR("k"), ETCD_STR("v"), NULL, NULL, NULL, NULL, NULL), ETCD_OK);
        etcd_client_close(client);
        for (int i = 0; i < 4; i++) {
            assert_int_equal(etcd_client_next_completion(client, FAKE_WAIT_MS, &completion, NULL), ETCD_OK);
            assert_int_equal(completion->code, ETCD_ERR_CLOSED);
            etcd_response_free(completion);
        }
        if (manual) { /* else one stays behind, for etcd_client_free() to free */
            assert_int_equal(etcd_client_next_completion(client, -1, &completion, NULL), ETCD_OK);
            etcd_response_free(completion);
            assert_int_equal(etcd_client_next_completion(client, -1, &completion, NULL), ETCD_ERR_CLOSED);
        }
        etcd_client_free(client);
        fake_server_stop(server);
    }
}

static void *push_later(void *arg)
{
    fake_sleep_ms(20);
    etcd_put_async(arg, ETCD_STR("k"), ETCD_STR("v"), NULL, NULL, NULL, NULL, NULL);
    return NULL;
}

static int64_t wait_in_vain(void *client)
{
    etcd_completion *completion;
    int64_t start = fake_now_ms(), took;

    assert_int_equal(etcd_client_next_completion(client, 30, &completion, NULL), ETCD_ERR_TIMED_OUT);
    took = fake_now_ms() - start;
    assert_true(took >= 30);
    return took - 30;
}

static void next_completion_waits(void **state)
{
    fake_server *server = fake_server_start(NULL);
    etcd_client *client = fake_client(fake_server_endpoint(server), false);
    etcd_completion *completion;
    pthread_t thread;

    (void)state;
    fake_in_time(wait_in_vain, client, fake_bound_ms(50), "the end of the wait");
    assert_int_equal(pthread_create(&thread, NULL, push_later, client), 0);
    assert_int_equal(etcd_client_next_completion(client, -1, &completion, NULL), ETCD_OK);
    etcd_response_free(completion);
    pthread_join(thread, NULL);
    etcd_client_free(client);
    fake_server_stop(server);
}

/* ---- manual mode in somebody's loop ---- */

typedef struct flag {
    bool done;
    int code;
} flag;

static void on_put_flag(etcd_client *client, etcd_put_response *response, const etcd_error *err, void *arg)
{
    flag *f = arg;

    (void)client;
    f->done = true;
    f->code = err ? err->code : ETCD_OK;
    etcd_response_free(response);
}

/* poll() without a time of its own: the descriptor alone must wake it, also for timers. */
static void loop_until(etcd_client *client, const bool *done)
{
    struct pollfd ready = {etcd_client_fd(client), POLLIN, 0};

    assert_true(ready.fd >= 0);
    while (!*done) {
        assert_int_equal(poll(&ready, 1, FAKE_WAIT_MS), 1);
        assert_int_equal(etcd_client_process(client, 0, NULL), ETCD_OK);
    }
}

static int64_t put_in_a_loop(void *client)
{
    flag f = {false, 0};
    int64_t start = fake_now_ms(), took;

    assert_int_equal(etcd_put_async(client, ETCD_STR("k"), ETCD_STR("v"), ETCD_PUT(.call = ETCD_CALL(.timeout_ms = 40)),
                                    on_put_flag, &f, NULL, NULL),
                     ETCD_OK);
    assert_true(etcd_client_timeout_ms(client) >= 0);
    assert_true(etcd_client_timeout_ms(client) <= 40);
    loop_until(client, &f.done);
    took = fake_now_ms() - start;
    assert_int_equal(f.code, ETCD_ERR_DEADLINE_EXCEEDED);
    assert_true(took >= 40);
    return took - 40;
}

static void one_descriptor_embeds_the_client(void **state)
{
    fake_server *server = fake_server_start(NULL);
    etcd_client *client = fake_client(fake_server_endpoint(server), true);

    (void)state;
    for (int i = 0; i < 10; i++) {
        flag f = {false, 0};

        assert_int_equal(etcd_put_async(client, ETCD_STR("k"), ETCD_STR("v"), NULL, on_put_flag, &f, NULL, NULL), ETCD_OK);
        loop_until(client, &f.done);
        assert_int_equal(f.code, ETCD_OK);
    }
    fake_server_handle(server, NULL, never, NULL);
    for (int i = 0; i < 3; i++)
        fake_in_time(put_in_a_loop, client, fake_bound_ms(50), "the deadline");
    etcd_client_free(client);
    fake_server_stop(server);
}

/* Nothing to do: the descriptor stays silent, so a loop does not spin. */
static void the_descriptor_is_silent_when_idle(void **state)
{
    fake_server *server = fake_server_start(NULL);
    etcd_client *client = fake_client(fake_server_endpoint(server), true);
    struct pollfd ready = {etcd_client_fd(client), POLLIN, 0};
    int wakeups = 0;

    (void)state;
    assert_int_equal(fake_put.run(client, NULL, NULL), ETCD_OK);
    while (poll(&ready, 1, 100) == 1 && wakeups++ < 20)
        assert_int_equal(etcd_client_process(client, 0, NULL), ETCD_OK);
    assert_true(wakeups < 10);
    etcd_client_free(client);
    fake_server_stop(server);
}

static void modes_refuse_each_others_functions(void **state)
{
    fake_server *server = fake_server_start(NULL);
    etcd_client *client = fake_client(fake_server_endpoint(server), false);
    etcd_error err;

    (void)state;
    assert_int_equal(etcd_client_process(client, 0, &err), ETCD_ERR_ARGUMENT);
    assert_true(etcd_client_fd(client) < 0);
    etcd_client_close(client);
    etcd_client_free(client);
    client = fake_client(fake_server_endpoint(server), true);
    etcd_client_close(client);
    assert_int_equal(etcd_client_process(client, 0, &err), ETCD_ERR_CLOSED);
    etcd_client_free(client);
    fake_server_stop(server);
}

/* ---- inside a callback ---- */

enum { STAY, CLOSE, FREE };

typedef struct inside {
    atomic_int done;
    int blocking, process, completion, started;
    int end; /* STAY, CLOSE, FREE */
    flag second;
} inside;

static void on_put_inside(etcd_client *client, etcd_put_response *response, const etcd_error *err, void *arg)
{
    inside *in = arg;
    etcd_completion *completion;

    (void)err;
    etcd_response_free(response);
    in->blocking = fake_get.run(client, NULL, NULL);
    in->process = etcd_client_process(client, 0, NULL);
    in->completion = etcd_client_next_completion(client, 1, &completion, NULL);
    in->started = etcd_put_async(client, ETCD_STR("k"), ETCD_STR("v"), NULL, on_put_flag, &in->second, NULL, NULL);
    if (in->end == CLOSE)
        etcd_client_close(client);
    if (in->end == FREE)
        etcd_client_free(client);
    atomic_store(&in->done, 1);
}

static void check_inside(bool manual, int end)
{
    fake_server *server = fake_server_start(NULL);
    etcd_client *client = fake_client(fake_server_endpoint(server), manual);
    inside in = {.end = end};

    assert_int_equal(etcd_put_async(client, ETCD_STR("k"), ETCD_STR("v"), NULL, on_put_inside, &in, NULL, NULL), ETCD_OK);
    if (manual)
        while (!atomic_load(&in.done))
            assert_int_equal(etcd_client_process(client, FAKE_WAIT_MS, NULL), ETCD_OK);
    else
        for (int i = 0; i < FAKE_WAIT_MS && !atomic_load(&in.done); i++)
            fake_sleep_ms(1);
    assert_int_equal(atomic_load(&in.done), 1);
    assert_int_equal(in.blocking, ETCD_ERR_IN_CALLBACK);
    assert_true(in.process == ETCD_ERR_IN_CALLBACK || (!manual && in.process == ETCD_ERR_ARGUMENT));
    assert_int_equal(in.completion, ETCD_ERR_IN_CALLBACK);
    assert_int_equal(in.started, ETCD_OK);
    if (end != FREE)
        etcd_client_free(client);
    assert_true(in.second.done); /* ended by the close at the latest */
    fake_server_stop(server);
}

static void callbacks_may_start_close_and_free(void **state)
{
    (void)state;
    for (int end = STAY; end <= FREE; end++) {
        check_inside(true, end);
        check_inside(false, end);
    }
}

/* ---- the process ---- */

/* How many there are; `all_cloexec`: cleared when one that is not in `known` lacks the flag. Fills `known` without it. */
static size_t count_descriptors(bool known[1024], bool *all_cloexec)
{
    DIR *dir = opendir("/proc/self/fd");
    struct dirent *entry;
    size_t n = 0;

    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL) {
        int fd = (int)strtol(entry->d_name, NULL, 10);

        if (entry->d_name[0] == '.' || fd == dirfd(dir))
            continue;
        if (fd >= 1024) /* valgrind's own */
            continue;
        n++;
        if (!all_cloexec)
            known[fd] = true;
        else if (!known[fd] && !(fcntl(fd, F_GETFD) & FD_CLOEXEC))
            *all_cloexec = false;
    }
    closedir(dir);
    return n;
}

static void descriptors_are_close_on_exec_and_closed(void **state)
{
    fake_server *server = fake_server_start(NULL);
    bool known[1024] = {false}, cloexec = true;
    etcd_client *first = fake_client(fake_server_endpoint(server), true); /* libuv opens a pipe for the process, once */
    size_t before, after;

    (void)state;
    assert_int_equal(fake_put.run(first, NULL, NULL), ETCD_OK);
    etcd_client_free(first);
    assert_true(fake_server_wait_closed(server, 1, FAKE_WAIT_MS));
    before = after = count_descriptors(known, NULL);
    for (int i = 0; i < 20; i++) {
        etcd_client *client = fake_client(fake_server_endpoint(server), i % 2);

        assert_int_equal(fake_put.run(client, NULL, NULL), ETCD_OK);
        if (i % 2)
            assert_true(etcd_client_fd(client) >= 0);
        count_descriptors(known, &cloexec);
        etcd_client_free(client);
    }
    assert_true(cloexec);
    assert_true(fake_server_wait_closed(server, fake_server_conn_count(server), FAKE_WAIT_MS));
    for (int i = 0; i < 1000 && (after = count_descriptors(known, NULL)) != before; i++)
        fake_sleep_ms(1);
    assert_int_equal(after, before);
    fake_server_stop(server);
}

/* What the child's calls return; 0 when all of them say that the handle is the parent's. */
static int in_the_child(etcd_client *client, etcd_txn *txn)
{
    etcd_completion *completion;
    etcd_txn_response *response;
    etcd_error err;
    int wrong = 0;

    wrong += fake_put.run(client, NULL, &err) != ETCD_ERR_FORKED || err.code != ETCD_ERR_FORKED;
    wrong += fake_get.run(client, NULL, &err) != ETCD_ERR_FORKED;
    wrong += etcd_put_async(client, ETCD_STR("k"), ETCD_STR("v"), NULL, NULL, NULL, NULL, &err) != ETCD_ERR_FORKED;
    wrong += etcd_txn_commit(txn, NULL, &response, &err) != ETCD_ERR_FORKED;
    wrong += etcd_client_next_completion(client, 0, &completion, &err) != ETCD_ERR_FORKED;
    wrong += etcd_call_cancel(client, 1) != ETCD_ERR_FORKED;
    etcd_client_close(client);
    etcd_txn_free(txn);
    etcd_client_free(client);
    return wrong;
}

static void check_fork(bool manual)
{
    fake_server *server = fake_server_start(NULL);
    etcd_client *client = fake_client(fake_server_endpoint(server), manual);
    etcd_txn *txn = etcd_txn_new(client);
    uint64_t bytes;
    pid_t child;
    int status;

    assert_int_equal(fake_put.run(client, NULL, NULL), ETCD_OK);
    fake_server_ping(server, 0); /* so that all that the client still had to send (a SETTINGS ACK) has come */
    while (fake_server_conn(server, 0).ping_acks == 0)
        assert_int_equal(fake_get.run(client, NULL, NULL), ETCD_OK);
    bytes = fake_server_conn(server, 0).bytes_read;
    child = fork();
    assert_true(child >= 0);
    if (child == 0)
        etcd_test_child_exit(in_the_child(client, txn));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(fake_server_open_count(server), 1);
    assert_int_equal(fake_server_conn(server, 0).bytes_read, bytes);
    for (int i = 0; i < 10; i++)
        assert_int_equal(fake_put.run(client, NULL, NULL), ETCD_OK);
    assert_int_equal(fake_server_conn_count(server), 1);
    etcd_txn_free(txn);
    etcd_client_free(client);
    fake_server_stop(server);
}

static void a_child_has_no_part_in_it(void **state)
{
    (void)state;
    check_fork(true);
    check_fork(false);
}

/* ---- closed while a call begins ---- */

struct beginning {
    etcd_client *client;
    etcd_cancel *cancel;
    bool waits; /* blocking form */
    atomic_int ended;
    int rc;
};

static void on_begun(etcd_client *client, etcd_put_response *response, const etcd_error *err, void *arg)
{
    struct beginning *beginning = arg;

    (void)client;
    assert_null(response);
    assert_int_equal(err->code, ETCD_ERR_CLOSED);
    atomic_fetch_add(&beginning->ended, 1);
}

static void *begin(void *arg)
{
    struct beginning *b = arg;
    const etcd_put_options *options = ETCD_PUT(.call = ETCD_CALL(.cancel = b->cancel));

    if (b->waits)
        b->rc = etcd_put(b->client, ETCD_STR("k"), ETCD_STR("v"), options, NULL, NULL);
    else
        b->rc = etcd_put_async(b->client, ETCD_STR("k"), ETCD_STR("v"), options, on_begun, b, NULL, NULL);
    return NULL;
}

static size_t live_calls(etcd_client *client)
{
    size_t live;

    uv_mutex_lock(&client->shared.lock);
    live = client->shared.live;
    uv_mutex_unlock(&client->shared.lock);
    return live;
}

/* Between its number and the queue a call takes the lock of its switch, which is the first in that struct: it is held here until
 * the client is closed. */
static void check_begun_while_closing(bool waits)
{
    fake_server *server = fake_server_start(NULL);
    struct beginning b = {.client = fake_client(fake_server_endpoint(server), false), .waits = waits};
    pthread_t thread;

    assert_int_equal(etcd_cancel_new(&b.cancel, NULL), ETCD_OK);
    uv_mutex_lock((uv_mutex_t *)(void *)b.cancel);
    assert_int_equal(pthread_create(&thread, NULL, begin, &b), 0);
    while (live_calls(b.client) == 0)
        fake_sleep_ms(1);
    etcd_client_close(b.client);
    uv_mutex_unlock((uv_mutex_t *)(void *)b.cancel);
    pthread_join(thread, NULL);
    if (!waits && b.rc == ETCD_OK)
        assert_int_equal(atomic_load(&b.ended), 1);
    else
        assert_int_equal(b.rc, ETCD_ERR_CLOSED);
    assert_int_equal(live_calls(b.client), 0);
    etcd_client_free(b.client);
    etcd_cancel_trigger(b.cancel); /* knows nothing of it any more */
    etcd_cancel_free(b.cancel);
    fake_server_stop(server);
}

static void a_call_that_begins_while_the_client_closes(void **state)
{
    (void)state;
    check_begun_while_closing(false);
    check_begun_while_closing(true);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(answers_come_in_any_order),
    cmocka_unit_test(a_thousand_in_flight),
    cmocka_unit_test(threads_share_a_client),
    cmocka_unit_test(every_callback_runs_once),
    cmocka_unit_test(completions_in_threaded_mode),
    cmocka_unit_test(completions_in_manual_mode),
    cmocka_unit_test(closing_completes_the_queue),
    cmocka_unit_test(next_completion_waits),
    cmocka_unit_test(one_descriptor_embeds_the_client),
    cmocka_unit_test(the_descriptor_is_silent_when_idle),
    cmocka_unit_test(modes_refuse_each_others_functions),
    cmocka_unit_test(callbacks_may_start_close_and_free),
    cmocka_unit_test(a_call_that_begins_while_the_client_closes),
    cmocka_unit_test(descriptors_are_close_on_exec_and_closed),
    cmocka_unit_test(a_child_has_no_part_in_it),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
