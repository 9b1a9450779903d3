/* Snapshots from a server that sends what a test tells it to: checksums that are right, wrong or missing, silence, breaks at
 * every byte, programs that cancel. And what any allocation that fails does to them. */
#include "fake/snapshot_source.h"
#include "harness/alloc.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static int read_all(source *s, sink *to, const etcd_snapshot_options *options, etcd_snapshot_response **out, etcd_error *err)
{
    fake_server *server = snapshot_server(s);
    etcd_client *client = fake_client(fake_server_endpoint(server), false);
    int rc = etcd_snapshot_read(client, snapshot_take, to, options, out, err);

    etcd_client_free(client);
    fake_server_stop(server);
    return rc;
}

static void check_good(source s)
{
    etcd_snapshot_response *response;
    uint8_t digest[ETCD__SHA256_SIZE];
    etcd_error err;
    sink to = {0};

    snapshot_digest(s.size, digest);
    if (read_all(&s, &to, NULL, &response, &err) != ETCD_OK)
        fail_msg("%zu bytes: %s", s.size, err.message);
    assert_int_equal(to.n, s.size + sizeof digest);
    assert_int_equal(response->n_bytes, to.n);
    assert_int_equal(response->sha256.len, sizeof digest);
    assert_memory_equal(response->sha256.data, digest, sizeof digest);
    assert_string_equal(response->version.data, s.version ? s.version : "");
    etcd_response_free(response);
}

static void all_bytes_come_and_are_verified(void **state)
{
    (void)state;
    check_good((source){.size = 512});
    check_good((source){.size = 4096, .version = "3.6.0"});
    check_good((source){.size = 4096, .one_message = true});
    for (size_t chunk = 1; chunk < 70; chunk += chunk == 2 ? 28 : 1)
        check_good((source){.size = 512, .chunk = chunk, .part = chunk % 40});
    check_good((source){.size = 512 * 100, .no_remaining = true});
    check_good((source){.size = (size_t)512 * 5000, .version = "3.7.0"});
}

static void a_checksum_that_is_wrong_or_missing_is_told(void **state)
{
    etcd_snapshot_response *response = (etcd_snapshot_response *)&state;
    source sources[] = {{.size = 4096, .wrong_byte = 1},
                        {.size = 4096, .wrong_byte = 32},
                        {.size = 4096, .one_message = true, .wrong_byte = 7},
                        {.size = 4096, .sent = 3584},
                        {.size = 4096, .no_checksum = true},
                        {.size = 4096, .sent = 4095},
                        {.size = 0, .no_checksum = true}};
    etcd_error err;

    for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++) {
        sink to = {0};

        assert_int_equal(read_all(&sources[i], &to, NULL, &response, &err), ETCD_ERR_SNAPSHOT_CORRUPT);
        assert_null(response);
        fake_assert_contains(err.message, i < 4 ? "does not match" : "sha256 checksum not found [bytes: ");
    }
}

/* ---- messages of nothing ---- */

enum { NOTHINGS = 128, NOTHING_BYTES = 16000 }; /* DATA frames, and their bytes: each five are a message */

static void send_nothing(fake_request *request, void *arg)
{
    static const char zeros[NOTHING_BYTES];

    (void)arg;
    fake_reply_headers(request);
    for (int i = 0; i < NOTHINGS; i++)
        fake_reply_data(request, zeros, sizeof zeros, false);
    fake_reply_gate(request, SNAPSHOT_GATE);
    fake_reply_status(request, 0, NULL);
}

static bool was_reset(fake_server *server, void *arg)
{
    (void)arg;
    return fake_server_seen_count(server) == 1 && fake_server_seen(server, 0).client_reset;
}

/* They cost memory, though they have no bytes: a program that does not take them is not filled up. */
static void nothing_is_bounded_for_who_pulls(void **state)
{
    fake_server *server = fake_server_start(NULL);
    etcd_client *client = fake_client(fake_server_endpoint(server), false);
    etcd_snapshot *snapshot;
    etcd_snapshot_part *part;
    etcd_error err;
    size_t n = 0;
    int rc;

    (void)state;
    fake_server_handle(server, "/etcdserverpb.Maintenance/Snapshot", send_nothing, NULL);
    assert_int_equal(etcd_snapshot_open(client, ETCD_SNAPSHOT(.buffer_bytes = 4096), &snapshot, &err), ETCD_OK);
    assert_true(fake_server_wait(server, was_reset, NULL, FAKE_WAIT_MS));
    while ((rc = etcd_snapshot_next(snapshot, -1, &part, &err)) == ETCD_OK) {
        etcd_response_free(part);
        n++;
    }
    assert_int_equal(rc, ETCD_ERR_TOO_LARGE);
    fake_assert_contains(err.message, "wait to be taken");
    assert_in_range(n, 1, NOTHINGS * NOTHING_BYTES / 5 - 1);
    etcd_snapshot_free(snapshot);
    etcd_client_free(client);
    fake_server_stop(server);
}

struct nothings {
    atomic_int n;
    size_t most;
};

static void on_nothing(etcd_snapshot *snapshot, etcd_snapshot_part *part, const etcd_error *err, void *arg)
{
    struct nothings *nothings = arg;
    size_t live = etcd_test_alloc_live();

    (void)snapshot;
    if (live > nothings->most)
        nothings->most = live;
    if (err == NULL)
        atomic_fetch_add(&nothings->n, 1);
    etcd_response_free(part);
}

/* What waits for a callback is what came in a turn: at most 256 KiB, so some 50,000 of these, of a few blocks each. */
static void nothing_is_bounded_for_callbacks(void **state)
{
    fake_server *server = fake_server_start(NULL);
    struct nothings nothings = {0};
    etcd_client *client;
    etcd_snapshot *snapshot;
    etcd_error err;

    (void)state;
    etcd_test_alloc_install();
    client = fake_client(fake_server_endpoint(server), true);
    fake_server_handle(server, "/etcdserverpb.Maintenance/Snapshot", send_nothing, NULL);
    assert_int_equal(etcd_snapshot_start(client, NULL, on_nothing, &nothings, &snapshot, &err), ETCD_OK);
    while (atomic_load(&nothings.n) < NOTHINGS * NOTHING_BYTES / 5)
        assert_int_equal(etcd_client_process(client, FAKE_WAIT_MS, &err), ETCD_OK);
    assert_in_range(nothings.most, 1, 300000);
    etcd_snapshot_free(snapshot);
    etcd_client_free(client);
    fake_server_stop(server);
}

/* ---- silence, deadlines, cancel ---- */

/* Ends of time, with more of it until what comes before the gate has come: on a busy machine that may take a while. */
static void silence_ends_it(void **state)
{
    etcd_error err;
    sink to = {0};

    (void)state;
    for (int idle_ms = 200; to.n < 3000 && idle_ms <= 200 * 64; idle_ms *= 2) {
        source s = {.size = 512 * 20, .gate_after = 3000};
        int64_t start = fake_now_ms();
        char text[64];

        to = (sink){0};
        assert_int_equal(read_all(&s, &to, ETCD_SNAPSHOT(.idle_timeout_ms = idle_ms), NULL, &err), ETCD_ERR_DEADLINE_EXCEEDED);
        snprintf(text, sizeof text, "nothing came for %d ms", idle_ms);
        fake_assert_contains(err.message, text);
        assert_true(err.flags & ETCD_ERROR_RETRYABLE);
        assert_true(fake_now_ms() - start >= idle_ms);
    }
    assert_int_equal(to.n, 3000);
}

static void silence_before_the_first_byte_ends_it_too(void **state)
{
    fake_blackhole hole;
    etcd_client *client;
    etcd_error err;
    sink to = {0};

    (void)state;
    fake_blackhole_open(&hole);
    client = fake_client(hole.endpoint, false);
    assert_int_equal(etcd_snapshot_read(client, snapshot_take, &to, ETCD_SNAPSHOT(.idle_timeout_ms = 200), NULL, &err),
                     ETCD_ERR_DEADLINE_EXCEEDED);
    fake_assert_contains(err.message, "nothing came for 200 ms");
    etcd_client_free(client);
    fake_blackhole_close(&hole);
}

/* Takes one part, then nothing for twice the idle timeout, then the rest. */
static int read_slowly(etcd_client *client, int idle_ms, size_t *n, etcd_error *err)
{
    etcd_snapshot *snapshot;
    etcd_snapshot_part *part;
    bool slept = false;
    int rc;

    *n = 0;
    assert_int_equal(
        etcd_snapshot_open(client, ETCD_SNAPSHOT(.idle_timeout_ms = idle_ms, .buffer_bytes = 100000), &snapshot, err), ETCD_OK);
    while ((rc = etcd_snapshot_next(snapshot, -1, &part, err)) == ETCD_OK && part != NULL) {
        *n += part->data.len;
        etcd_response_free(part);
        if (!slept)
            fake_sleep_ms(2 * idle_ms);
        slept = true;
    }
    etcd_snapshot_free(snapshot);
    return rc;
}

/* Time in which the program does not take does not count, and the server is asked to wait. (The server is silent, too, when the
 * machine is busy: then more patience is needed, but never as much as the program sleeps.) */
static void a_slow_program_is_no_silence(void **state)
{
    source s = {.size = (size_t)512 * 36000, .chunk = 65536}; /* more than the stream's window */
    fake_server *server = snapshot_server(&s);
    etcd_client *client = fake_client(fake_server_endpoint(server), false);
    uint8_t digest[ETCD__SHA256_SIZE];
    int rc = ETCD_ERR_TIMED_OUT;
    etcd_error err;
    size_t n = 0;

    (void)state;
    snapshot_digest(s.size, digest); /* the server has it ready */
    for (int idle_ms = 1000; rc != ETCD_OK && idle_ms <= 16000; idle_ms *= 2)
        rc = read_slowly(client, idle_ms, &n, &err);
    if (rc != ETCD_OK)
        fail_msg("%s", err.message);
    assert_int_equal(n, s.size + 32);
    etcd_client_free(client);
    fake_server_stop(server);
}

static void the_deadline_is_of_the_whole(void **state)
{
    etcd_error err;
    sink to = {0};

    (void)state;
    for (int timeout_ms = 200; to.n < 3000 && timeout_ms <= 200 * 64; timeout_ms *= 2) {
        source s = {.size = 512 * 20, .gate_after = 3000};

        to = (sink){0};
        assert_int_equal(read_all(&s, &to, ETCD_SNAPSHOT(.call = ETCD_CALL(.timeout_ms = timeout_ms)), NULL, &err),
                         ETCD_ERR_DEADLINE_EXCEEDED);
    }
    assert_int_equal(to.n, 3000);
}

static void a_switch_ends_it(void **state)
{
    source s = {.size = (size_t)512 * 4000, .gate_after = (size_t)512 * 3000}; /* never all: then it would be too late */
    fake_server *server = snapshot_server(&s);
    etcd_client *client = fake_client(fake_server_endpoint(server), false);
    progress p = {.cancel_at = 5};
    etcd_error err;
    sink to = {0};

    (void)state;
    assert_int_equal(etcd_cancel_new(&p.cancel, &err), ETCD_OK);
    assert_int_equal(etcd_snapshot_read(client, snapshot_take, &to,
                                        ETCD_SNAPSHOT(.call = ETCD_CALL(.cancel = p.cancel), .progress_fn = snapshot_progress,
                                                      .progress_arg = &p),
                                        NULL, &err),
                     ETCD_ERR_CANCELED);
    assert_int_equal(
        etcd_snapshot_read(client, snapshot_take, &to, ETCD_SNAPSHOT(.call = ETCD_CALL(.cancel = p.cancel)), NULL, &err),
        ETCD_ERR_CANCELED); /* it is on already */
    to = (sink){.stop_at = 2500};
    assert_int_equal(etcd_snapshot_read(client, snapshot_take, &to, NULL, NULL, &err), ETCD_ERR_CANCELED);
    assert_true(to.n >= 2500 && to.n < 5000);
    etcd_cancel_free(p.cancel);
    etcd_client_free(client);
    fake_server_stop(server);
}

static void *cancel_soon(void *arg)
{
    fake_sleep_ms(50);
    etcd_snapshot_cancel(arg);
    return NULL;
}

static void another_thread_cancels(void **state)
{
    source s = {.size = 512 * 20, .gate_after = 3000};
    fake_server *server = snapshot_server(&s);
    etcd_client *client = fake_client(fake_server_endpoint(server), false);
    etcd_snapshot *snapshot;
    etcd_snapshot_part *part;
    pthread_t thread;
    etcd_error err;
    int rc;

    (void)state;
    assert_int_equal(etcd_snapshot_open(client, NULL, &snapshot, &err), ETCD_OK);
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, snapshot), 0);
    while ((rc = etcd_snapshot_next(snapshot, -1, &part, &err)) == ETCD_OK) {
        assert_non_null(part);
        etcd_response_free(part);
    }
    assert_int_equal(rc, ETCD_ERR_CANCELED);
    assert_int_equal(etcd_snapshot_next(snapshot, 0, &part, &err), ETCD_ERR_CANCELED);
    pthread_join(thread, NULL);
    etcd_snapshot_cancel(snapshot);
    etcd_snapshot_free(snapshot);
    etcd_client_free(client);
    fake_server_stop(server);
}

/* ---- connections that break ---- */

static void streams_that_have_given_nothing_are_opened_again(void **state)
{
    (void)state;
    check_good((source){.size = 4096, .fail_first = 3});
    check_good((source){.size = 4096, .fail_first = 2, .cut_first = true});
}

static void no_retry_is_one_stream(void **state)
{
    source s = {.size = 4096, .fail_first = 1};
    etcd_error err;
    sink to = {0};

    (void)state;
    assert_int_equal(read_all(&s, &to, ETCD_SNAPSHOT(.call = ETCD_CALL(.no_retry = true)), NULL, &err), ETCD_ERR_UNAVAILABLE);
    assert_int_equal(s.opened, 1);
}

/* Cut behind every byte of the answer: either nothing had come and it is tried again, or it fails and says so; never half of a
 * snapshot that is called good. */
static void a_connection_cut_anywhere(void **state)
{
    source s = {.size = 1536};
    fake_server *server = snapshot_server(&s);
    etcd_client *client = fake_client(fake_server_endpoint(server), true);
    uint64_t total;
    etcd_error err;
    size_t good = 0, bad = 0;

    (void)state;
    assert_int_equal(etcd_snapshot_read(client, snapshot_take, &(sink){.stop_at = SIZE_MAX}, NULL, NULL, &err), ETCD_OK);
    total = fake_server_conn(server, 0).bytes_written;
    etcd_client_free(client);
    for (uint64_t at = 1; at < total; at += 13) {
        sink to = {0};
        int rc;

        fake_server_script(server, &(fake_script){.cut = FAKE_CUT_FIN, .cut_side = FAKE_CUT_WRITTEN, .cut_at = at});
        client = fake_client(fake_server_endpoint(server), true);
        rc = etcd_snapshot_read(client, snapshot_take, &to, NULL, NULL, &err);
        if (rc == ETCD_OK && to.n != s.size + 32)
            fail_msg("cut at %d: %zu bytes are called good", (int)at, to.n);
        if (rc != ETCD_OK && (rc != ETCD_ERR_UNAVAILABLE || !(err.flags & ETCD_ERROR_RETRYABLE)))
            fail_msg("cut at %d: %s: %s", (int)at, etcd_error_name(rc), err.message);
        good += rc == ETCD_OK;
        bad += rc != ETCD_OK;
        etcd_client_free(client);
    }
    assert_true(good > 1 && bad > 20);
    fake_server_stop(server);
}

/* ---- the handle ---- */

static void the_descriptor_is_readable_when_there_is_something(void **state)
{
    source s = {.size = 512 * 40, .gate_after = 3000};
    fake_server *server = snapshot_server(&s);
    etcd_client *client = fake_client(fake_server_endpoint(server), false);
    etcd_snapshot *snapshot;
    etcd_snapshot_part *part = NULL;
    struct pollfd p = {.events = POLLIN};
    etcd_error err;
    size_t n = 0;
    int rc;

    (void)state;
    assert_int_equal(etcd_snapshot_open(client, NULL, &snapshot, &err), ETCD_OK);
    p.fd = etcd_snapshot_fd(snapshot);
    assert_true(p.fd >= 0);
    assert_int_equal(etcd_snapshot_fd(snapshot), p.fd);
    do {
        assert_int_equal(poll(&p, 1, FAKE_WAIT_MS), 1);
        while ((rc = etcd_snapshot_next(snapshot, 0, &part, &err)) == ETCD_OK && part != NULL) {
            assert_int_equal(part->offset, n);
            assert_int_equal(part->total, s.size + 32);
            n += part->data.len;
            etcd_response_free(part);
        }
        if (rc == ETCD_ERR_TIMED_OUT && n >= 3000)
            fake_server_gate_open(server, SNAPSHOT_GATE);
    } while (rc == ETCD_ERR_TIMED_OUT);
    assert_int_equal(rc, ETCD_OK);
    assert_int_equal(n, s.size + 32);
    assert_int_equal(etcd_snapshot_next(snapshot, -1, &part, &err), ETCD_OK); /* the end stays the end */
    assert_null(part);
    etcd_snapshot_free(snapshot);
    etcd_client_free(client);
    fake_server_stop(server);
}

typedef struct listener {
    size_t n;
    int ends, code;
    bool free_at_first, free_at_end, close_at_first, closed;
    etcd_client *client;
} listener;

static void on_part(etcd_snapshot *snapshot, etcd_snapshot_part *part, const etcd_error *err, void *arg)
{
    listener *l = arg;

    if (part != NULL) {
        etcd_snapshot_part *none;
        etcd_error refused;

        l->n += part->data.len;
        assert_int_equal(etcd_snapshot_next(snapshot, 0, &none, &refused), ETCD_ERR_ARGUMENT);
        assert_int_equal(etcd_snapshot_read(l->client, snapshot_take, NULL, NULL, NULL, &refused),
                         l->closed ? ETCD_ERR_CLOSED : ETCD_ERR_IN_CALLBACK);
    } else {
        l->ends++;
        l->code = err ? err->code : ETCD_OK;
    }
    etcd_response_free(part);
    if (l->close_at_first) {
        l->closed = true;
        etcd_client_close(l->client);
    }
    if (l->free_at_first || (l->free_at_end && l->ends))
        etcd_snapshot_free(snapshot);
    l->free_at_first = l->close_at_first = false;
}

static void run_manual_until(etcd_client *client, const int *ends)
{
    int64_t until = fake_now_ms() + FAKE_WAIT_MS;

    while (!*ends && fake_now_ms() < until)
        (void)etcd_client_process(client, 100, NULL);
    assert_int_equal(*ends, 1);
}

static void a_callback_gets_all_and_the_verdict(void **state)
{
    source sources[] = {{.size = 512 * 200}, {.size = 4096, .wrong_byte = 3}, {.size = 4096, .end_code = 7}};
    const int codes[] = {ETCD_OK, ETCD_ERR_SNAPSHOT_CORRUPT, ETCD_ERR_GRPC_PERMISSION_DENIED};
    etcd_error err;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        fake_server *server = snapshot_server(&sources[i]);
        etcd_client *client = fake_client(fake_server_endpoint(server), true);
        listener l = {.client = client, .free_at_end = true};
        etcd_snapshot *snapshot;

        assert_int_equal(etcd_snapshot_start(client, NULL, on_part, &l, &snapshot, &err), ETCD_OK);
        assert_int_equal(l.n, 0);
        run_manual_until(client, &l.ends);
        assert_int_equal(l.code, codes[i]);
        assert_int_equal(l.n, sources[i].size + 32);
        etcd_client_free(client);
        fake_server_stop(server);
    }
}

static void freed_and_closed_within_callbacks(void **state)
{
    source s = {.size = 512 * 200, .gate_after = 20000};
    fake_server *server = snapshot_server(&s);
    etcd_error err;

    (void)state;
    for (int i = 0; i < 4; i++) {
        etcd_client *client = fake_client(fake_server_endpoint(server), true);
        listener l = {.client = client, .free_at_first = i == 0, .close_at_first = i == 1, .free_at_end = true};
        etcd_snapshot *snapshot;

        assert_int_equal(etcd_snapshot_start(client, NULL, on_part, &l, &snapshot, &err), ETCD_OK);
        if (i == 3)
            etcd_snapshot_cancel(snapshot);
        for (int64_t until = fake_now_ms() + FAKE_WAIT_MS; l.n == 0 && !l.ends && fake_now_ms() < until;)
            (void)etcd_client_process(client, 100, NULL);
        if (i == 2)
            etcd_client_close(client);
        assert_int_equal(l.ends, i == 0 ? 0 : 1);
        assert_int_equal(l.code, i == 0 ? ETCD_OK : i == 3 ? ETCD_ERR_CANCELED : ETCD_ERR_CLOSED);
        etcd_client_free(client);
    }
    fake_server_stop(server);
}

static void handles_outlive_their_client(void **state)
{
    source s = {.size = 512 * 200, .gate_after = 20000};
    fake_server *server = snapshot_server(&s);
    etcd_client *client = fake_client(fake_server_endpoint(server), false);
    etcd_snapshot *snapshots[2];
    etcd_snapshot_part *part;
    etcd_error err;
    int rc;

    (void)state;
    assert_int_equal(etcd_snapshot_open(client, NULL, &snapshots[0], &err), ETCD_OK);
    assert_int_equal(etcd_snapshot_open(client, NULL, &snapshots[1], &err), ETCD_OK);
    assert_int_equal(etcd_snapshot_next(snapshots[0], FAKE_WAIT_MS, &part, &err), ETCD_OK);
    etcd_response_free(part);
    etcd_client_free(client);
    while ((rc = etcd_snapshot_next(snapshots[0], -1, &part, &err)) == ETCD_OK)
        etcd_response_free(part);
    assert_int_equal(rc, ETCD_ERR_CLOSED);
    etcd_snapshot_free(snapshots[1]);
    etcd_snapshot_free(snapshots[0]);
    fake_server_stop(server);
}

static void wrong_arguments_are_refused(void **state)
{
    source s = {.size = 512};
    fake_server *server = snapshot_server(&s);
    etcd_client *client = fake_client(fake_server_endpoint(server), true);
    etcd_snapshot *snapshot = (etcd_snapshot *)&s;
    etcd_snapshot_part *part;
    etcd_error err;

    (void)state;
    assert_int_equal(etcd_snapshot_open(client, NULL, NULL, &err), ETCD_ERR_ARGUMENT);
    assert_int_equal(etcd_snapshot_open(NULL, NULL, &snapshot, &err), ETCD_ERR_ARGUMENT);
    assert_null(snapshot);
    assert_int_equal(etcd_snapshot_open(client, &(etcd_snapshot_options){0}, &snapshot, &err), ETCD_ERR_ARGUMENT);
    assert_int_equal(etcd_snapshot_open(client, ETCD_SNAPSHOT(.buffer_bytes = -1), &snapshot, &err), ETCD_ERR_ARGUMENT);
    assert_int_equal(etcd_snapshot_start(client, NULL, NULL, NULL, &snapshot, &err), ETCD_ERR_ARGUMENT);
    assert_int_equal(etcd_snapshot_read(client, NULL, NULL, NULL, NULL, &err), ETCD_ERR_ARGUMENT);
    assert_int_equal(etcd_snapshot_next(NULL, 0, &part, &err), ETCD_ERR_ARGUMENT);
    assert_int_equal(etcd_snapshot_fd(NULL), ETCD_ERR_ARGUMENT);
    etcd_snapshot_cancel(NULL);
    etcd_snapshot_free(NULL);
    etcd_client_close(client);
    assert_int_equal(etcd_snapshot_open(client, NULL, &snapshot, &err), ETCD_ERR_CLOSED);
    etcd_client_free(client);
    fake_server_stop(server);
}

/* ---- any allocation may fail ---- */

static bool fail_one(etcd_client *client, size_t k)
{
    sink to = {0};
    etcd_error err = {0};
    bool failed;
    int rc;

    etcd_test_alloc_fail_at(k);
    rc = etcd_snapshot_read(client, snapshot_take, &to, ETCD_SNAPSHOT(.call = ETCD_CALL(.timeout_ms = FAKE_WAIT_MS)), NULL, &err);
    failed = etcd_test_alloc_failed();
    etcd_test_alloc_fail_at(0);
    if (rc != ETCD_OK && rc != ETCD_ERR_NO_MEMORY)
        fail_msg("allocation %zu: %s: %s", k, etcd_error_name(rc), err.message);
    if (rc != ETCD_OK && !failed)
        fail_msg("allocation %zu: failed without a reason: %s", k, err.message);
    return failed;
}

static void every_allocation(void **state)
{
    source s = {.size = 4096};
    fake_server *server = snapshot_server(&s);
    etcd_client *client;
    size_t live, k;
    etcd_error err;

    (void)state;
    etcd_test_alloc_install();
    live = etcd_test_alloc_live();
    client = fake_client(fake_server_endpoint(server), true);
    for (int i = 0; i < 3; i++)
        assert_int_equal(etcd_snapshot_read(client, snapshot_take, &(sink){.stop_at = SIZE_MAX}, NULL, NULL, &err), ETCD_OK);
    for (k = 1; fail_one(client, k); k++)
        assert_int_equal(fake_get.run(client, ETCD_CALL(.timeout_ms = FAKE_WAIT_MS), &err), ETCD_OK);
    assert_true(k > 5);
    etcd_client_free(client);
    assert_int_equal(etcd_test_alloc_live(), live);
    fake_server_stop(server);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_bytes_come_and_are_verified),
        cmocka_unit_test(a_checksum_that_is_wrong_or_missing_is_told),
        cmocka_unit_test(nothing_is_bounded_for_who_pulls),
        cmocka_unit_test(nothing_is_bounded_for_callbacks),
        cmocka_unit_test(silence_ends_it),
        cmocka_unit_test(silence_before_the_first_byte_ends_it_too),
        cmocka_unit_test(a_slow_program_is_no_silence),
        cmocka_unit_test(the_deadline_is_of_the_whole),
        cmocka_unit_test(a_switch_ends_it),
        cmocka_unit_test(another_thread_cancels),
        cmocka_unit_test(streams_that_have_given_nothing_are_opened_again),
        cmocka_unit_test(no_retry_is_one_stream),
        cmocka_unit_test(a_connection_cut_anywhere),
        cmocka_unit_test(the_descriptor_is_readable_when_there_is_something),
        cmocka_unit_test(a_callback_gets_all_and_the_verdict),
        cmocka_unit_test(freed_and_closed_within_callbacks),
        cmocka_unit_test(handles_outlive_their_client),
        cmocka_unit_test(wrong_arguments_are_refused),
        cmocka_unit_test(every_allocation),
    };

    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
