/* Mirrors against a scripted server: any allocation may fail. */
#include "harness/alloc.h"
#include "harness/fake_fixture.h"

#include <string.h>

/* The base is of the server's store; its updates are these: of two revisions in one response. */
static void answer_watch(fake_request *request, void *arg)
{
    static const etcd_kv kvs[] = {
        {.key = {"m/1", 3}, .value = {"v", 1}, .create_revision = 2, .mod_revision = 1001, .version = 2},
        {.key = {"m/2", 3}, .value = {"", 0}, .mod_revision = 1001},
        {.key = {"m/3", 3}, .value = {"", 0}, .mod_revision = 1002}};
    static const etcd_event events[] = {{.type = ETCD_EVENT_PUT, .kv = &kvs[0]},
                                        {.type = ETCD_EVENT_DELETE, .kv = &kvs[1]},
                                        {.type = ETCD_EVENT_DELETE, .kv = &kvs[2]}};
    const etcd__watch_request *asked = request->message;
    etcd__watch_response response = {.header = {.cluster_id = 0xfa4e, .member_id = 1, .revision = 1002, .raft_term = 1}};

    (void)arg;
    if (asked->type != ETCD__WATCH_CREATE)
        return;
    response.watch_id = asked->create_request->watch_id;
    response.created = true;
    fake_reply_headers(request);
    fake_reply_message(request, &etcd__watch_response_type, &response);
    response.created = false;
    response.events = events;
    response.n_events = 3;
    fake_reply_message(request, &etcd__watch_response_type, &response);
}

static void on_update(etcd_mirror *mirror, const etcd_mirror_update *update, const etcd_error *err, void *arg)
{
    int *left = arg; /* negative: the error's code */

    (void)mirror;
    if (update == NULL)
        *left = err->code;
    else if (*left > 0)
        --*left;
}

static int follow_by_callback(etcd_client *client, etcd_mirror *mirror, etcd_error *err)
{
    int left = 2, rc = etcd_mirror_start_updates(mirror, on_update, &left, err);

    while (rc == ETCD_OK && left > 0)
        rc = etcd_client_process(client, FAKE_WAIT_MS, err);
    return rc < 0 ? rc : left;
}

static int follow(etcd_mirror *mirror, etcd_error *err)
{
    const etcd_mirror_update *update;
    int rc = ETCD_OK;

    for (size_t i = 0; i < 2 && rc == ETCD_OK; i++) {
        rc = etcd_mirror_next_update(mirror, FAKE_WAIT_MS, &update, err);
        if (rc == ETCD_OK) {
            assert_int_equal(update->revision, 1001 + (int64_t)i);
            assert_int_equal(update->n_events, 2 - i);
        }
    }
    return rc;
}

typedef struct sweep {
    fake_server *server;
    bool callbacks;
} sweep;

static int mirror_once(void *arg)
{
    const sweep *s = arg;
    etcd_client *client;
    etcd_mirror *mirror;
    etcd_get_response *page;
    size_t keys = 0;
    etcd_error err;
    int rc = etcd_client_new(ETCD_CLIENT(.endpoints = fake_server_endpoint(s->server), .manual = true, .backoff_base_ms = 1,
                                         .backoff_max_ms = 1, .retry_wait_ms = 1, .request_timeout_ms = FAKE_WAIT_MS),
                             &client, &err);

    if (rc != ETCD_OK)
        return rc;
    rc = etcd_mirror_open(client, ETCD_STR("m/"), ETCD_MIRROR(.page_keys = 2), &mirror, &err);
    while (rc == ETCD_OK && (rc = etcd_mirror_next_page(mirror, &page, &err)) == ETCD_OK && page != NULL) {
        keys += page->n_kvs;
        etcd_response_free(page);
    }
    if (rc == ETCD_OK)
        assert_int_equal(keys, 3);
    if (rc == ETCD_OK)
        rc = s->callbacks ? follow_by_callback(client, mirror, &err) : follow(mirror, &err);
    if (rc == ETCD_ERR_DEADLINE_EXCEEDED || rc == ETCD_ERR_TIMED_OUT)
        fail_msg("hung after an allocation had failed: %s", err.message);
    etcd_mirror_free(mirror);
    etcd_client_free(client);
    return rc;
}

static void check_sweep(bool callbacks)
{
    sweep s = {fake_server_start(NULL), callbacks};
    etcd_client *client = fake_client(fake_server_endpoint(s.server), true);

    for (int i = 1; i <= 3; i++) {
        char key[] = {'m', '/', (char)('0' + i), '\0'};

        assert_int_equal(etcd_put(client, ETCD_STR(key), ETCD_STR("v"), NULL, NULL, NULL), ETCD_OK);
    }
    etcd_client_free(client);
    fake_server_handle_messages(s.server, FAKE_WATCH, answer_watch, NULL);
    etcd_test_alloc_sweep(mirror_once, &s);
    fake_server_stop(s.server);
}

static void every_allocation_of_a_pulled_one(void **state)
{
    (void)state;
    etcd_test_alloc_install();
    check_sweep(false);
}

static void every_allocation_of_one_with_callbacks(void **state)
{
    (void)state;
    etcd_test_alloc_install();
    check_sweep(true);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_allocation_of_a_pulled_one),
    cmocka_unit_test(every_allocation_of_one_with_callbacks),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
