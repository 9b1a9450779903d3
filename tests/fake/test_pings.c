/* How often a silent peer is pinged: after a second, and then again soon only if it has answered something in between, for
 * servers punish the rest. What real servers say to that is in real/test_faults.c. */
#include "harness/fake_fixture.h"

#include <string.h>

static void say_nothing(fake_request *request, void *arg)
{
    (void)request;
    (void)arg;
}

static void on_put(etcd_client *client, etcd_put_response *response, const etcd_error *err, void *arg)
{
    (void)client;
    (void)err;
    (void)arg;
    etcd_response_free(response);
}

struct scene {
    fake_server *server;
    etcd_client *client;
};

/* A put is under way for ever, so there is a stream open. */
static void open_scene(struct scene *s)
{
    etcd_error err;

    s->server = fake_server_start(NULL);
    fake_server_handle(s->server, FAKE_PUT, say_nothing, NULL);
    s->client = fake_client(fake_server_endpoint(s->server), true);
    assert_int_equal(etcd_put_async(s->client, ETCD_STR("k"), ETCD_STR("v"), ETCD_PUT(.call = ETCD_CALL(.timeout_ms = -1)),
                                    on_put, NULL, NULL, &err),
                     ETCD_OK);
}

static void close_scene(struct scene *s)
{
    etcd_client_free(s->client);
    fake_server_stop(s->server);
}

static uint32_t pings(const struct scene *s)
{
    return fake_server_conn_count(s->server) > 0 ? fake_server_conn(s->server, 0).pings : 0;
}

static void drive_until(struct scene *s, uint32_t n)
{
    int64_t since = fake_now_ms();
    etcd_error err;

    while (pings(s) < n) {
        assert_int_equal(etcd_client_process(s->client, 20, &err), ETCD_OK);
        assert_true(fake_now_ms() - since < 3 * FAKE_WAIT_MS);
    }
}

static void soon_after_an_answer(void **state)
{
    struct scene s;
    etcd_error err;
    int64_t first;

    (void)state;
    open_scene(&s);
    drive_until(&s, 1);
    first = fake_now_ms();
    for (uint32_t i = 2; i <= 3; i++) {
        assert_int_equal(fake_get.run(s.client, ETCD_CALL(.timeout_ms = FAKE_WAIT_MS), &err), ETCD_OK);
        drive_until(&s, i);
    }
    assert_true(fake_now_ms() - first < 18000); /* 2 s; 20 s without the answers */
    assert_int_equal(fake_server_conn_count(s.server), 1);
    close_scene(&s);
}

static void not_soon_without_one(void **state)
{
    struct scene s;
    etcd_error err;
    int64_t since;

    (void)state;
    open_scene(&s);
    drive_until(&s, 1);
    since = fake_now_ms();
    while (fake_now_ms() - since < 3000)
        assert_int_equal(etcd_client_process(s.client, 20, &err), ETCD_OK);
    if (fake_now_ms() - since < 8000) /* else this machine was asleep */
        assert_int_equal(pings(&s), 1);
    close_scene(&s);
}

/* An answer that comes later makes the next ping due, which was planned for much later. */
static void an_answer_brings_the_next_one_forward(void **state)
{
    struct scene s;
    etcd_error err;
    int64_t first;

    (void)state;
    open_scene(&s);
    drive_until(&s, 1);
    first = fake_now_ms();
    while (fake_now_ms() - first < 2000)
        assert_int_equal(etcd_client_process(s.client, 20, &err), ETCD_OK);
    assert_int_equal(fake_get.run(s.client, ETCD_CALL(.timeout_ms = FAKE_WAIT_MS), &err), ETCD_OK);
    drive_until(&s, 2);
    assert_true(fake_now_ms() - first < 9500); /* 3 s; 10 s if nothing were brought forward */
    close_scene(&s);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(soon_after_an_answer),
        cmocka_unit_test(not_soon_without_one),
        cmocka_unit_test(an_answer_brings_the_next_one_forward),
    };

    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
