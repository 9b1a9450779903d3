/* Watches against a server that does what a test says: what real ones do seldom, or not at all. */
#include "harness/alloc.h"
#include "harness/fake_fixture.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAKE_WATCH "/etcdserverpb.Watch/Watch"

enum mode {
    PLAIN,     /* takes watches up at revision 10, and tells an event of revision 11 */
    SILENT,    /* takes them up and says nothing more */
    FOREIGN,   /* speaks of a watch that nobody asked for, three times, before the event */
    MALFORMED, /* then says something that is no message */
    NUMBERS,   /* numbers watches by itself, from 0, as proxies do */
    REFUSES,   /* the key is the reason */
    LARGE,     /* one response of 5 MiB on the first stream, as a server that forgets to cut it */
    LAGS       /* at revision 10 on the first stream, at 5 on those behind it, as one restored from a backup */
};

enum { FOREIGN_ID = 777, MEMBER_ID = 7 };

#define FAKE_STATUS "/etcdserverpb.Maintenance/Status"

static struct service {
    fake_server *server;
    enum mode mode;
    int conn; /* of the stream that was answered last */
    int32_t stream;
    int64_t next_id;
    atomic_int creates, cancels, foreign_cancels, streams;
} service;

static const char *version = "3.6.0"; /* of the server; set before it starts */

static void say_event(fake_request *request, int64_t id, etcd_bytes key, size_t value_len)
{
    static char value[5 << 20];
    const etcd_kv kv = {.key = key, .value = {value, value_len}, .mod_revision = 11};
    const etcd_event event = {.kv = &kv};
    const etcd__watch_response response = {.header.revision = 11, .watch_id = id, .events = &event, .n_events = 1};

    fake_reply_message(request, &etcd__watch_response_type, &response);
}

static void take_up(fake_request *request, int64_t id, const char *refusal, size_t refusal_len)
{
    bool lags = service.mode == LAGS && atomic_load(&service.streams) > 1;
    etcd__watch_response response = {.header.revision = lags ? 5 : 10, .watch_id = id, .created = true};

    if (refusal != NULL) {
        response.watch_id = -1;
        response.canceled = true;
        response.cancel_reason = (etcd_bytes){refusal, refusal_len};
    }
    fake_reply_message(request, &etcd__watch_response_type, &response);
}

static void on_create(fake_request *request, const etcd__watch_create_request *create)
{
    static const uint8_t nonsense[] = {0xff, 0xff, 0xff};
    int64_t id = service.mode == NUMBERS ? service.next_id++ : create->watch_id;

    atomic_fetch_add(&service.creates, 1);
    if (service.mode == REFUSES) {
        take_up(request, id, create->key.data, create->key.len - 1); /* an "x" makes an empty reason a key */
        return;
    }
    take_up(request, id, NULL, 0);
    if (service.mode == SILENT)
        return;
    if (service.mode == MALFORMED) {
        fake_reply_payload(request, 0, nonsense, sizeof nonsense);
        return;
    }
    for (int i = 0; i < 3 && service.mode == FOREIGN; i++)
        say_event(request, FOREIGN_ID, create->key, 1);
    say_event(request, id, create->key, service.mode == LARGE && atomic_load(&service.streams) == 1 ? 5 << 20 : 1);
}

static void on_watch(fake_request *request, void *arg)
{
    const etcd__watch_request *watch = request->message;

    (void)arg;
    if (watch == NULL)
        return;
    if (request->conn != service.conn || request->stream_id != service.stream) {
        service.conn = request->conn;
        service.stream = request->stream_id;
        service.next_id = 0;
        atomic_fetch_add(&service.streams, 1);
        fake_reply_headers(request);
    }
    if (watch->type == ETCD__WATCH_CREATE) {
        on_create(request, watch->create_request);
    } else if (watch->type == ETCD__WATCH_CANCEL) {
        atomic_fetch_add(&service.cancels, 1);
        atomic_fetch_add(&service.foreign_cancels, watch->cancel_request->watch_id == FOREIGN_ID);
    } else {
        fake_reply_message(request, &etcd__watch_response_type,
                           &(etcd__watch_response){.header = {.member_id = MEMBER_ID, .revision = 20}, .watch_id = -1});
    }
}

static void on_status(fake_request *request, void *arg)
{
    const etcd_status_response status = {.header.member_id = MEMBER_ID, .version = {version, strlen(version)}};

    (void)arg;
    fake_reply_headers(request);
    fake_reply_message(request, &etcd__status_response_type, &status);
    fake_reply_status(request, 0, NULL);
}

static void serve(enum mode mode)
{
    memset(&service, 0, sizeof service);
    service.mode = mode;
    service.conn = -1;
    service.server = fake_server_start(NULL);
    fake_server_handle_messages(service.server, FAKE_WATCH, on_watch, NULL);
    fake_server_handle(service.server, FAKE_STATUS, on_status, NULL);
}

static etcd_client *start(enum mode mode)
{
    serve(mode);
    return fake_client(fake_server_endpoint(service.server), false);
}

static void finish(etcd_client *client)
{
    etcd_client_free(client);
    assert_int_equal(fake_server_violations(service.server), 0);
    fake_server_stop(service.server);
}

static etcd_watch *open_one(etcd_client *client, const char *key, const etcd_watch_options *options)
{
    etcd_watch *watch;
    etcd_error err;

    if (etcd_watch_open(client, ETCD_STR(key), options, &watch, &err) != ETCD_OK)
        fail_msg("etcd_watch_open: %s", err.message);
    return watch;
}

static etcd_watch_response *next(etcd_watch *watch, int type)
{
    etcd_watch_response *response;
    etcd_error err;

    if (etcd_watch_next(watch, FAKE_WAIT_MS, &response, &err) != ETCD_OK)
        fail_msg("etcd_watch_next: %s", err.message);
    assert_int_equal(response->type, type);
    return response;
}

static void expect_end(etcd_watch *watch, int code, const char *text)
{
    etcd_watch_response *response;
    etcd_error err;
    int rc;

    while ((rc = etcd_watch_next(watch, FAKE_WAIT_MS, &response, &err)) == ETCD_OK)
        etcd_response_free(response);
    assert_int_equal(rc, code);
    fake_assert_contains(err.message, text);
    etcd_watch_free(watch);
}

/* The event with the watch's own key. */
static void expect_event(etcd_watch *watch, const char *key)
{
    etcd_watch_response *response = next(watch, ETCD_WATCH_EVENTS);

    assert_int_equal(response->n_events, 1);
    assert_string_equal(response->events[0].kv->key.data, key);
    assert_int_equal(response->revision, 11);
    etcd_response_free(response);
    assert_int_equal(etcd_watch_position(watch), 12);
}

static bool was_canceled(fake_server *server, void *arg)
{
    (void)server;
    (void)arg;
    return atomic_load(&service.foreign_cancels) > 0;
}

static void an_unknown_watch_is_canceled_once(void **state)
{
    etcd_client *client = start(FOREIGN);
    etcd_watch *watch = open_one(client, "key", NULL), *other;

    (void)state;
    expect_event(watch, "key");
    assert_true(fake_server_wait(service.server, was_canceled, NULL, FAKE_WAIT_MS));
    other = open_one(client, "other", NULL); /* what is heard of it again does not count */
    expect_event(other, "other");
    assert_int_equal(atomic_load(&service.foreign_cancels), 1);
    assert_int_equal(atomic_load(&service.cancels), 1);
    etcd_watch_free(watch);
    etcd_watch_free(other);
    finish(client);
}

static void a_malformed_message_is_a_definite_end(void **state)
{
    etcd_client *client = start(MALFORMED);

    (void)state;
    expect_end(open_one(client, "key", NULL), ETCD_ERR_PROTOCOL, "WatchResponse");
    finish(client);
}

static void a_server_that_numbers_by_itself(void **state)
{
    etcd_client *client = start(NUMBERS);
    etcd_watch *watches[20];
    char key[16];

    (void)state;
    for (int i = 0; i < 20; i++) {
        (void)snprintf(key, sizeof key, "key%d", i);
        watches[i] = open_one(client, key, NULL);
    }
    for (int i = 0; i < 20; i++) {
        (void)snprintf(key, sizeof key, "key%d", i);
        expect_event(watches[i], key);
        etcd_watch_free(watches[i]);
    }
    assert_int_equal(atomic_load(&service.streams), 2);
    finish(client);
}

static void reasons_of_refusals(void **state)
{
    static const struct {
        const char *reason;
        int code;
    } cases[] = {
        {"rpc error: code = PermissionDenied desc = etcdserver: permission denied", ETCD_ERR_PERMISSION_DENIED},
        {"rpc error: code = Unauthenticated desc = etcdserver: invalid auth token", ETCD_ERR_INVALID_AUTH_TOKEN},
        {"etcdserver: mvcc: required revision has been compacted", ETCD_ERR_COMPACTED},
        {"mvcc: required revision has been compacted", ETCD_ERR_COMPACTED},
        {"mvcc: watcher range is empty", ETCD_ERR_FAILED_PRECONDITION},
        {"rpc error: code = ResourceExhausted desc = no more", ETCD_ERR_RESOURCE_EXHAUSTED},
        {"rpc error: code = Nonsense desc = x", ETCD_ERR_FAILED_PRECONDITION},
        {"", ETCD_ERR_WATCH_CANCELED},
    };
    etcd_client *client = start(REFUSES);
    char key[128];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        (void)snprintf(key, sizeof key, "%sx", cases[i].reason);
        expect_end(open_one(client, key, NULL), cases[i].code, "");
    }
    finish(client);
}

static void a_response_that_was_not_cut_is_asked_for_again(void **state)
{
    etcd_client *client = start(LARGE);
    etcd_watch *watch = open_one(client, "key", NULL);

    (void)state;
    expect_event(watch, "key");
    assert_int_equal(atomic_load(&service.streams), 2);
    etcd_watch_free(watch);
    finish(client);
}

/* The fake store's revision is below what the watch has seen: the cluster was set up again from a backup. */
static void a_revision_that_goes_back_is_an_end(void **state)
{
    etcd_client *client = start(LAGS);
    etcd_watch *watch = open_one(client, "key", NULL);

    (void)state;
    expect_event(watch, "key");
    fake_server_cut(service.server, FAKE_ALL, FAKE_CUT_RST);
    expect_end(watch, ETCD_ERR_WATCH_ROLLED_BACK, "it was 11 and is ");
    finish(client);
}

/* ---- memory ---- */

static atomic_size_t live_bytes;

static void *count_in(void *memory)
{
    if (memory != NULL)
        atomic_fetch_add(&live_bytes, malloc_usable_size(memory));
    return memory;
}

static void *count_malloc(size_t size, void *arg)
{
    (void)arg;
    return count_in(malloc(size));
}

static void *count_calloc(size_t count, size_t size, void *arg)
{
    (void)arg;
    return count_in(calloc(count, size));
}

static void *count_realloc(void *memory, size_t size, void *arg)
{
    size_t before = memory ? malloc_usable_size(memory) : 0;
    void *grown = realloc(memory, size);

    (void)arg;
    if (grown != NULL)
        atomic_fetch_sub(&live_bytes, before);
    return count_in(grown);
}

static void count_free(void *memory, void *arg)
{
    (void)arg;
    if (memory != NULL)
        atomic_fetch_sub(&live_bytes, malloc_usable_size(memory));
    free(memory);
}

static bool all_created(fake_server *server, void *arg)
{
    (void)server;
    return atomic_load(&service.creates) == *(const int *)arg;
}

static void a_watch_costs_less_than_1_KiB(void **state)
{
    enum { WATCHES = 10000 };
    static const etcd_allocator counting = {count_malloc, count_calloc, count_realloc, count_free, NULL};
    static etcd_watch *watches[WATCHES];
    etcd_watch_stats stats = {.size = sizeof stats};
    int expected = WATCHES + 1;
    etcd_client *client;
    etcd_watch *first;
    size_t before;
    char key[16];

    (void)state;
    assert_int_equal(etcd_set_allocator(&counting), ETCD_OK);
    client = start(SILENT);
    first = open_one(client, "first", ETCD_WATCH(.created_notify = true));
    etcd_response_free(next(first, ETCD_WATCH_CREATED));
    before = atomic_load(&live_bytes);
    for (int i = 0; i < WATCHES; i++) {
        (void)snprintf(key, sizeof key, "key%d", i);
        watches[i] = open_one(client, key, ETCD_WATCH(.created_notify = true));
    }
    assert_true(fake_server_wait(service.server, all_created, &expected, FAKE_WAIT_MS));
    for (int i = 0; i < WATCHES; i++)
        etcd_response_free(next(watches[i], ETCD_WATCH_CREATED));
    print_message("%zu bytes for each watch\n", (atomic_load(&live_bytes) - before) / WATCHES);
    assert_true((atomic_load(&live_bytes) - before) / WATCHES <= 1024);
    assert_int_equal(etcd_client_get_watch_stats(client, &stats, NULL), ETCD_OK);
    assert_int_equal(stats.watches, WATCHES + 1);
    assert_int_equal(atomic_load(&service.streams), 1);
    for (int i = 0; i < WATCHES; i++)
        etcd_watch_free(watches[i]);
    etcd_watch_free(first);
    finish(client);
    assert_int_equal(atomic_load(&live_bytes), 0);
}

/* The answer for all watches of a stream moves them, unless a server of that version may send it ahead of events. */
static void progress_counts_by_the_version_of_the_member(void **state)
{
    static const struct {
        const char *version;
        bool moves;
    } cases[] = {
        {"3.4.24", false}, {"3.4.25", true}, {"3.5.0-rc.1", false}, {"3.5.7", false}, {"3.5.8", true}, {"3.5.10", true},
        {"3.6.0", true},   {"3.10.1", true}, {"4.0.0", true},       {"3.4", false},   {"", false},     {"none", false},
    };
    etcd_watch_response *response;
    etcd_client *client;
    etcd_watch *watch;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        version = cases[i].version;
        client = start(SILENT);
        watch = open_one(client, "key", ETCD_WATCH(.created_notify = true));
        etcd_response_free(next(watch, ETCD_WATCH_CREATED));
        assert_int_equal(etcd_watch_request_progress(watch, NULL), ETCD_OK);
        response = next(watch, ETCD_WATCH_PROGRESS);
        assert_int_equal(response->revision, 20);
        etcd_response_free(response);
        if (etcd_watch_position(watch) != (cases[i].moves ? 21 : 11))
            fail_msg("%s: at %lld", cases[i].version, (long long)etcd_watch_position(watch));
        etcd_watch_free(watch);
        finish(client);
    }
}

static int on_called;

static void on_response(etcd_watch *watch, etcd_watch_response *response, const etcd_error *err, void *arg)
{
    (void)watch;
    (void)err;
    (void)arg;
    on_called += response == NULL || response->type == ETCD_WATCH_EVENTS;
    etcd_response_free(response);
}

/* A client with a watch of each form, until each has an event or its end. */
static int live_once(void *arg)
{
    etcd_client *client;
    etcd_watch *pulled = NULL, *called = NULL;
    etcd_watch_response *response = NULL;
    etcd_error err;
    int rc = etcd_client_new(ETCD_CLIENT(.endpoints = fake_server_endpoint(service.server), .manual = true, .backoff_base_ms = 1,
                                         .backoff_max_ms = 1, .retry_wait_ms = 1),
                             &client, &err);

    (void)arg;
    on_called = 0;
    if (rc < 0)
        return rc;
    rc = etcd_watch_open(client, ETCD_STR("key"), ETCD_WATCH(.created_notify = true), &pulled, &err);
    if (rc == ETCD_OK)
        rc = etcd_watch_start(client, ETCD_STR("key"), NULL, on_response, NULL, &called, &err);
    if (rc == ETCD_OK)
        rc = etcd_watch_request_progress(pulled, &err);
    for (int i = 0; i < 3 && rc == ETCD_OK; i++) {
        rc = etcd_watch_next(pulled, FAKE_WAIT_MS, &response, &err);
        etcd_response_free(response);
    }
    if (rc == ETCD_ERR_TIMED_OUT)
        fail_msg("hung after an allocation had failed");
    for (int64_t until = fake_now_ms() + FAKE_WAIT_MS; called != NULL && on_called == 0;) {
        (void)etcd_client_process(client, 100, NULL);
        if (fake_now_ms() > until)
            fail_msg("no callback after an allocation had failed");
    }
    etcd_watch_free(called);
    etcd_watch_free(pulled);
    etcd_client_free(client);
    return rc;
}

static void every_allocation_of_a_life(void **state)
{
    size_t n;

    (void)state;
    etcd_test_alloc_install();
    serve(PLAIN);
    n = etcd_test_alloc_sweep(live_once, NULL);
    assert_true(n > 50);
    fake_server_stop(service.server);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unknown_watch_is_canceled_once),
        cmocka_unit_test(a_malformed_message_is_a_definite_end),
        cmocka_unit_test(a_server_that_numbers_by_itself),
        cmocka_unit_test(reasons_of_refusals),
        cmocka_unit_test(a_response_that_was_not_cut_is_asked_for_again),
        cmocka_unit_test(a_revision_that_goes_back_is_an_end),
        cmocka_unit_test(progress_counts_by_the_version_of_the_member),
        cmocka_unit_test(a_watch_costs_less_than_1_KiB),
        cmocka_unit_test(every_allocation_of_a_life),
    };

    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
