/* The range iterator on a server that knows KV.RangeStream, and that breaks it in every way: what comes out is the range, whole
 * and in order, or an error. */
#include "harness/alloc.h"
#include "harness/fake_fixture.h"

#include <nghttp2/nghttp2.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define FAKE_RANGE_STREAM "/etcdserverpb.KV/RangeStream"

enum { GATE = 4, REVISION = 77, KEY_SIZE = 16 };

typedef enum fault {
    NO_FAULT,
    BREAK_CUT, /* the connection ends after `chunks` chunks */
    BREAK_RESET,
    BREAK_STATUS, /* with status `code` */
    BREAK_OK,     /* as if it were whole */
    EMPTY_CHUNK,
    EMPTY_MESSAGE,
    OLD_CHUNK, /* the same again */
    NO_SENSE,  /* not a message */
    SILENT     /* nothing more until the gate opens */
} fault;

typedef struct store {
    int n; /* keys "k/0000000"... */
    size_t value_len;
    int chunk; /* key-values in the first chunk; doubled up to `most` */
    int most;
    fault fault;
    int chunks; /* of a stream before the fault */
    int code;
    bool only_first; /* the streams after the first are whole */
    bool compacted;  /* Range: once a stream has been opened */
    bool unimplemented;
    char *value;
    atomic_int ranges, streams;
} store;

static etcd_response_header header(void)
{
    return (etcd_response_header){.cluster_id = 1, .member_id = 2, .revision = REVISION, .raft_term = 3};
}

/* The first number that is not below the key. */
static int number_of(etcd_bytes key)
{
    int number = 0;

    if (key.len <= 2)
        return 0;
    for (size_t i = 2; i < key.len && i < 9; i++)
        number = 10 * number + (key.data[i] - '0');
    return key.len > 9 ? number + 1 : number;
}

typedef struct room {
    etcd_kv *kvs;
    char (*keys)[KEY_SIZE];
} room;

static room fill(const store *s, int from, int n, bool keys_only)
{
    room r = {calloc((size_t)n + 1, sizeof *r.kvs), calloc((size_t)n + 1, KEY_SIZE)};

    assert_true(r.kvs != NULL && r.keys != NULL);
    for (int i = 0; i < n; i++) {
        int len = snprintf(r.keys[i], KEY_SIZE, "k/%07d", from + i);

        r.kvs[i] = (etcd_kv){.key = {r.keys[i], (size_t)len},
                             .value = {s->value, keys_only ? 0 : s->value_len},
                             .create_revision = 2 + from + i,
                             .mod_revision = 2 + from + i,
                             .version = 1};
    }
    return r;
}

static void drop(room r)
{
    free(r.kvs);
    free(r.keys);
}

static void range_handler(fake_request *request, void *arg)
{
    store *s = arg;
    const etcd__range_request *range = request->message;
    int from = number_of(range->key), n = s->n - from;
    etcd_get_response page = {.header = header(), .count = n};
    room r;

    atomic_fetch_add(&s->ranges, 1);
    if (s->compacted && atomic_load(&s->streams) > 0) {
        fake_reply_trailers_only(request, 11, "etcdserver: mvcc: required revision has been compacted");
        return;
    }
    assert_true(range->limit > 0);
    page.more = n > range->limit;
    n = page.more ? (int)range->limit : n;
    r = fill(s, from, n, range->keys_only);
    page.kvs = r.kvs;
    page.n_kvs = (size_t)n;
    fake_reply_headers(request);
    fake_reply_message(request, &etcd__get_response_type, &page);
    fake_reply_status(request, 0, NULL);
    drop(r);
}

static void send_chunk(fake_request *request, const store *s, int from, int n, bool last)
{
    const etcd__range_request *range = request->message;
    room r = fill(s, from, n, range->keys_only);
    const etcd_get_response page = {
        .header = last ? header() : (etcd_response_header){0}, .kvs = r.kvs, .n_kvs = (size_t)n, .count = last ? s->n : 0};

    fake_reply_message(request, &etcd__range_stream_response_type, &(etcd__range_stream_response){.range_response = &page});
    drop(r);
}

/* Returns whether the stream goes on. */
static bool do_fault(fake_request *request, const store *s, int from)
{
    switch (s->fault) {
    case NO_FAULT:
        break;
    case BREAK_CUT:
        fake_reply_cut(request, FAKE_CUT_RST);
        return false;
    case BREAK_RESET:
        fake_reply_reset(request, NGHTTP2_INTERNAL_ERROR);
        return false;
    case BREAK_STATUS:
        fake_reply_status(request, s->code, "etcdserver: mvcc: required revision has been compacted");
        return false;
    case BREAK_OK:
        fake_reply_status(request, 0, NULL);
        return false;
    case EMPTY_CHUNK:
        send_chunk(request, s, from, 0, false);
        break;
    case EMPTY_MESSAGE:
        fake_reply_payload(request, 0, "", 0);
        break;
    case OLD_CHUNK:
        send_chunk(request, s, 0, 5, false);
        break;
    case NO_SENSE:
        fake_reply_payload(request, 0, "\x0a\x7f", 2);
        break;
    case SILENT:
        fake_reply_gate(request, GATE);
        break;
    }
    return true;
}

static void stream_handler(fake_request *request, void *arg)
{
    store *s = arg;
    const etcd__range_request *range = request->message;
    int from = number_of(range->key), size = s->chunk;
    bool faulty = s->fault != NO_FAULT && (atomic_fetch_add(&s->streams, 1) == 0 || !s->only_first);

    if (s->unimplemented) {
        fake_reply_trailers_only(request, 12, "unknown method RangeStream for service etcdserverpb.KV");
        return;
    }
    assert_int_equal(range->limit, 0);
    assert_int_equal(range->revision, REVISION);
    fake_reply_headers(request);
    for (int chunk = 0; from < s->n; chunk++) {
        int n = s->n - from < size ? s->n - from : size;

        if (faulty && chunk == s->chunks && !do_fault(request, s, from))
            return;
        send_chunk(request, s, from, n, from + n == s->n);
        from += n;
        size = 2 * size < s->most ? 2 * size : s->most;
    }
    fake_reply_status(request, 0, NULL);
}

static fake_server *start_server(store *s)
{
    fake_server *server = fake_server_start(NULL);

    if (s->chunk == 0)
        s->chunk = 10;
    if (s->most == 0)
        s->most = 1000;
    s->value = malloc(s->value_len + 1);
    assert_non_null(s->value);
    memset(s->value, 'v', s->value_len);
    fake_server_handle(server, FAKE_RANGE, range_handler, s);
    fake_server_handle(server, FAKE_RANGE_STREAM, stream_handler, s);
    return server;
}

static void stop_server(fake_server *server, store *s)
{
    fake_server_stop(server);
    free(s->value);
}

/* Checks that a page goes on where `next` is, and frees it. */
static int take_page(const store *s, etcd_get_response *page, int next)
{
    assert_true(page->n_kvs > 0);
    assert_int_equal(page->header.revision, REVISION);
    assert_int_equal(page->header.member_id, 2);
    assert_int_equal(page->more, next + (int)page->n_kvs < s->n);
    if (page->more)
        assert_int_equal(page->count, s->n - next);
    for (size_t i = 0; i < page->n_kvs; i++, next++) {
        char key[KEY_SIZE];

        snprintf(key, sizeof key, "k/%07d", next);
        assert_string_equal(page->kvs[i].key.data, key);
        assert_int_equal(page->kvs[i].mod_revision, 2 + next);
    }
    etcd_response_free(page);
    return next;
}

/* Reads a whole range. Errors: as many as `errors` are passed over by asking again. Returns the code of the last. */
static int read_range(const store *s, etcd_client *client, const etcd_get_options *options, int errors, int *pages,
                      etcd_error *err)
{
    etcd_get_response *page;
    etcd_range *range;
    int next = 0, rc;

    assert_int_equal(etcd_range_open(client, ETCD_STR("k/"), options, &range, err), ETCD_OK);
    *pages = 0;
    for (;;) {
        rc = etcd_range_next(range, &page, err);
        if (rc != ETCD_OK && errors-- > 0)
            continue;
        if (rc != ETCD_OK || page == NULL)
            break;
        ++*pages;
        assert_int_equal(etcd_range_revision(range), REVISION);
        next = take_page(s, page, next);
    }
    assert_int_equal(etcd_range_done(range), rc == ETCD_OK);
    if (rc == ETCD_OK)
        assert_int_equal(next, s->n);
    etcd_range_free(range);
    return rc;
}

static int read_with(store *s, bool manual, const etcd_get_options *options, int errors, int *pages, etcd_error *err)
{
    fake_server *server = start_server(s);
    etcd_client *client = fake_client(fake_server_endpoint(server), manual);
    int rc = read_range(s, client, options, errors, pages, err);

    etcd_client_free(client);
    assert_int_equal(fake_server_violations(server), 0);
    stop_server(server, s);
    return rc;
}

static void a_large_range_comes_as_a_stream(void **state)
{
    etcd_error err;
    int pages;

    (void)state;
    for (int manual = 0; manual < 2; manual++) {
        store s = {.n = 20000, .value_len = 100, .fault = SILENT, .chunks = -1};

        if (read_with(&s, manual, ETCD_GET(.prefix = true), 0, &pages, &err) != ETCD_OK)
            fail_msg("%s", err.message);
        assert_int_equal(s.ranges, 1);
        assert_int_equal(s.streams, 1);
        assert_in_range(pages, 20, 30);
        s = (store){.n = 20000, .fault = SILENT, .chunks = -1};
        assert_int_equal(
            read_with(&s, manual, ETCD_GET(.prefix = true, .keys_only = true, .serializable = true), 0, &pages, &err), ETCD_OK);
        assert_int_equal(s.streams, 1);
    }
}

static void what_a_stream_does_not_serve_comes_in_pages(void **state)
{
    const etcd_get_options *options[] = {ETCD_GET(.prefix = true, .limit = 500), ETCD_GET(.prefix = true, .min_mod_revision = 1),
                                         ETCD_GET(.prefix = true, .max_mod_revision = 1 << 30),
                                         ETCD_GET(.prefix = true, .min_create_revision = 1),
                                         ETCD_GET(.prefix = true, .max_create_revision = 1 << 30)};
    etcd_error err;
    int pages;

    (void)state;
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        store s = {.n = 5000, .fault = SILENT, .chunks = -1};

        assert_int_equal(read_with(&s, true, options[i], 0, &pages, &err), ETCD_OK);
        assert_int_equal(s.streams, 0);
        assert_int_equal(pages, i == 0 ? 10 : 5);
    }
    for (int n = 0; n <= 3000; n += 500) { /* not worth one */
        store s = {.n = n, .fault = SILENT, .chunks = -1};

        if (n == 0)
            continue;
        assert_int_equal(read_with(&s, true, ETCD_GET(.prefix = true), 0, &pages, &err), ETCD_OK);
        assert_int_equal(s.streams, 0);
    }
}

static void a_server_without_it_is_asked_once(void **state)
{
    store s = {.n = 5000, .unimplemented = true, .fault = SILENT};
    fake_server *server = start_server(&s);
    etcd_client *client = fake_client(fake_server_endpoint(server), false);
    etcd_error err;
    int pages;

    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(read_range(&s, client, ETCD_GET(.prefix = true), 0, &pages, &err), ETCD_OK);
        assert_int_equal(pages, 5);
    }
    assert_int_equal(s.streams, 1);
    etcd_client_free(client);
    stop_server(server, &s);
}

static void a_broken_stream_is_not_noticed(void **state)
{
    const fault faults[] = {BREAK_CUT, BREAK_RESET, BREAK_STATUS, BREAK_OK};
    etcd_error err;
    int pages;

    (void)state;
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
        for (int chunks = 0; chunks < 8; chunks++)
            for (int manual = 0; manual < 2; manual++) {
                store s = {.n = 6000, .fault = faults[i], .chunks = chunks, .code = chunks % 2 ? 14 : 2};

                if (read_with(&s, manual, ETCD_GET(.prefix = true), 0, &pages, &err) != ETCD_OK)
                    fail_msg("fault %d after %d chunks: %s", faults[i], chunks, err.message);
                assert_true(s.ranges > 1 && s.streams > 1);
                if (chunks == 0)
                    assert_int_equal(s.streams, 3); /* then it is given up */
            }
}

static void a_stream_that_makes_no_sense_is_an_error_and_left(void **state)
{
    const fault faults[] = {EMPTY_CHUNK, EMPTY_MESSAGE, OLD_CHUNK, NO_SENSE};
    etcd_error err;
    int pages;

    (void)state;
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        store s = {.n = 6000, .fault = faults[i], .chunks = 2, .only_first = true};

        assert_int_equal(read_with(&s, true, ETCD_GET(.prefix = true), 0, &pages, &err), ETCD_ERR_PROTOCOL);
        s.streams = 0;
        if (read_with(&s, true, ETCD_GET(.prefix = true), 1, &pages, &err) != ETCD_OK)
            fail_msg("fault %d: %s", faults[i], err.message);
    }
}

static void a_compaction_is_told_by_the_call(void **state)
{
    store s = {.n = 6000, .fault = BREAK_STATUS, .chunks = 3, .code = 11, .compacted = true};
    etcd_error err;
    int pages;

    (void)state;
    assert_int_equal(read_with(&s, false, ETCD_GET(.prefix = true), 0, &pages, &err), ETCD_ERR_COMPACTED);
    assert_int_equal(pages, 4); /* what had come before is not lost */
}

/* Deadline and cancel are of the page. */
static void a_silent_stream_meets_the_deadline_of_the_page(void **state)
{
    store s = {.n = 6000, .fault = SILENT, .chunks = 2, .only_first = true};
    fake_server *server = start_server(&s);
    etcd_client *client = fake_client(fake_server_endpoint(server), false);
    etcd_get_response *page;
    etcd_range *range;
    etcd_cancel *cancel;
    etcd_error err;
    int next = 0;

    (void)state;
    assert_int_equal(etcd_range_open(client, ETCD_STR("k/"),
                                     ETCD_GET(.prefix = true, .call = ETCD_CALL(.timeout_ms = 2000 + fake_bound_ms(250))), &range,
                                     &err),
                     ETCD_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(etcd_range_next(range, &page, &err), ETCD_OK);
        next = take_page(&s, page, next);
    }
    assert_int_equal(etcd_range_next(range, &page, &err), ETCD_ERR_DEADLINE_EXCEEDED);
    fake_assert_contains(err.message, "waiting for a stream");
    while (etcd_range_next(range, &page, &err) == ETCD_OK && page != NULL)
        next = take_page(&s, page, next);
    assert_int_equal(next, s.n);
    etcd_range_free(range);
    s.only_first = false;
    assert_int_equal(etcd_cancel_new(&cancel, &err), ETCD_OK);
    assert_int_equal(
        etcd_range_open(client, ETCD_STR("k/"), ETCD_GET(.prefix = true, .call = ETCD_CALL(.cancel = cancel)), &range, &err),
        ETCD_OK);
    assert_int_equal(etcd_range_next(range, &page, &err), ETCD_OK);
    etcd_response_free(page);
    assert_int_equal(etcd_range_next(range, &page, &err), ETCD_OK);
    etcd_response_free(page);
    etcd_cancel_trigger(cancel);
    assert_int_equal(etcd_range_next(range, &page, &err), ETCD_ERR_CANCELED);
    etcd_range_free(range);
    etcd_cancel_free(cancel);
    etcd_client_free(client);
    stop_server(server, &s);
}

/* ---- with callbacks ---- */

typedef struct reader {
    const store *store;
    etcd_range *range;
    int next, ended, code, stop_at;
    bool free_it;
} reader;

static void on_page(etcd_client *client, etcd_get_response *page, const etcd_error *err, void *arg)
{
    reader *r = arg;

    (void)client;
    if (page != NULL)
        r->next = take_page(r->store, page, r->next);
    if (err == NULL && !etcd_range_done(r->range) && (r->stop_at == 0 || r->next < r->stop_at)) {
        assert_int_equal(etcd_range_next_async(r->range, on_page, r, NULL, NULL), ETCD_OK);
        return;
    }
    r->code = err ? err->code : ETCD_OK;
    if (r->free_it)
        etcd_range_free(r->range);
    r->ended++;
}

static void callbacks_get_the_same_pages(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        store s = {.n = 8000, .fault = i == 1 ? BREAK_CUT : SILENT, .chunks = i == 1 ? 3 : i == 3 ? 2 : -1};
        fake_server *server = start_server(&s);
        etcd_client *client = fake_client(fake_server_endpoint(server), true);
        reader r = {.store = &s, .free_it = true, .stop_at = i == 2 ? 1020 : 0};
        int64_t until = fake_now_ms() + FAKE_WAIT_MS;
        etcd_call_id id;

        assert_int_equal(etcd_range_open(client, ETCD_STR("k/"), ETCD_GET(.prefix = true), &r.range, NULL), ETCD_OK);
        assert_int_equal(etcd_range_next_async(r.range, on_page, &r, &id, NULL), ETCD_OK);
        while (!r.ended && fake_now_ms() < until && !(i == 3 && r.next >= 1030))
            (void)etcd_client_process(client, 100, NULL);
        if (i == 3) /* a page is under way that waits for the stream */
            etcd_client_close(client);
        assert_int_equal(r.ended, 1);
        assert_int_equal(r.code, i == 3 ? ETCD_ERR_CLOSED : ETCD_OK);
        assert_true(r.next == s.n || i >= 2);
        etcd_client_free(client);
        stop_server(server, &s);
    }
}

static void left_in_the_middle(void **state)
{
    store s = {.n = 8000, .value_len = 5000, .fault = SILENT, .chunks = -1};
    fake_server *server = start_server(&s);
    etcd_get_response *page;
    etcd_range *range;

    (void)state;
    for (int i = 0; i < 8; i++) {
        etcd_client *client = fake_client(fake_server_endpoint(server), i % 2);

        assert_int_equal(etcd_range_open(client, ETCD_STR("k/"), ETCD_GET(.prefix = true), &range, NULL), ETCD_OK);
        for (int n = 0; n <= i / 2; n++) {
            assert_int_equal(etcd_range_next(range, &page, NULL), ETCD_OK);
            etcd_response_free(page);
        }
        if (i < 4) {
            etcd_range_free(range);
            assert_int_equal(read_range(&s, client, ETCD_GET(.prefix = true), 0, &(int){0}, NULL), ETCD_OK);
            etcd_client_free(client);
        } else { /* the order does not matter */
            etcd_client_free(client);
            assert_int_equal(etcd_range_next(range, &page, NULL), ETCD_ERR_CLOSED);
            etcd_range_free(range);
        }
    }
    stop_server(server, &s);
}

/* ---- fork ---- */

static int in_child(etcd_client *client, etcd_range *range, bool client_first)
{
    etcd_get_response *page;
    etcd_error err;

    if (etcd_range_next(range, &page, &err) != ETCD_ERR_FORKED)
        return 1;
    if (client_first)
        etcd_client_free(client);
    etcd_range_free(range);
    if (!client_first)
        etcd_client_free(client);
    return 0;
}

static void a_child_only_frees(void **state)
{
    store s = {.n = 8000, .value_len = 5000, .fault = SILENT, .chunks = -1};
    fake_server *server = start_server(&s);
    etcd_client *client = fake_client(fake_server_endpoint(server), true);
    etcd_get_response *page;
    etcd_range *range;
    int next = 0;

    (void)state;
    assert_int_equal(etcd_range_open(client, ETCD_STR("k/"), ETCD_GET(.prefix = true), &range, NULL), ETCD_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(etcd_range_next(range, &page, NULL), ETCD_OK);
        next = take_page(&s, page, next);
    }
    for (int client_first = 0; client_first < 2; client_first++) {
        int status;
        pid_t child = fork();

        assert_true(child >= 0);
        if (child == 0)
            etcd_test_child_exit(in_child(client, range, client_first));
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
    while (etcd_range_next(range, &page, NULL) == ETCD_OK && page != NULL) /* the parent's goes on */
        next = take_page(&s, page, next);
    assert_int_equal(next, s.n);
    assert_int_equal(s.streams, 1);
    etcd_range_free(range);
    etcd_client_free(client);
    stop_server(server, &s);
}

/* ---- any allocation may fail ---- */

static void every_allocation(void **state)
{
    store s = {.n = 4000, .most = 2000, .fault = SILENT, .chunks = -1};
    fake_server *server = start_server(&s);
    etcd_client *client;
    size_t live, k;
    bool failed = true;
    etcd_error err;
    int pages, failures = 0;

    (void)state;
    etcd_test_alloc_install();
    live = etcd_test_alloc_live();
    client = fake_client(fake_server_endpoint(server), true);
    for (int i = 0; i < 3; i++)
        assert_int_equal(read_range(&s, client, ETCD_GET(.prefix = true), 0, &pages, &err), ETCD_OK);
    for (k = 1; failed; k++) {
        etcd_get_response *page;
        etcd_range *range = NULL;
        int next = 0, rc;

        etcd_test_alloc_fail_at(k);
        rc = etcd_range_open(client, ETCD_STR("k/"), ETCD_GET(.prefix = true), &range, &err);
        while (range != NULL && !etcd_range_done(range)) {
            rc = etcd_range_next(range, &page, &err);
            failures += rc != ETCD_OK;
            if (rc != ETCD_OK && rc != ETCD_ERR_NO_MEMORY)
                fail_msg("allocation %zu: %s: %s", k, etcd_error_name(rc), err.message);
            if (rc == ETCD_OK)
                next = take_page(&s, page, next);
        }
        failed = etcd_test_alloc_failed();
        etcd_test_alloc_fail_at(0);
        assert_true(range != NULL || rc == ETCD_ERR_NO_MEMORY);
        if (range != NULL)
            assert_int_equal(next, s.n); /* the page that failed came when it was asked for again */
        etcd_range_free(range);
    }
    assert_true(k > 20 && failures > 5);
    etcd_client_free(client);
    assert_int_equal(etcd_test_alloc_live(), live);
    stop_server(server, &s);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_large_range_comes_as_a_stream),
        cmocka_unit_test(what_a_stream_does_not_serve_comes_in_pages),
        cmocka_unit_test(a_server_without_it_is_asked_once),
        cmocka_unit_test(a_broken_stream_is_not_noticed),
        cmocka_unit_test(a_stream_that_makes_no_sense_is_an_error_and_left),
        cmocka_unit_test(a_compaction_is_told_by_the_call),
        cmocka_unit_test(a_silent_stream_meets_the_deadline_of_the_page),
        cmocka_unit_test(callbacks_get_the_same_pages),
        cmocka_unit_test(left_in_the_middle),
        cmocka_unit_test(a_child_only_frees),
        cmocka_unit_test(every_allocation),
    };

    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
