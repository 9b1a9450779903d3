/* How often a silent peer is pinged: after a second, and then again soon only if it has answered something in between, for
 * servers punish the rest (what real servers say to that is in real/test_faults.c). And what becomes of reads on a peer that does
 * not answer its ping. */
#include "harness/fake_fixture.h"
#include "harness/fault_proxy.h"

#include <stdio.h>
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

/* Returns how long it took until two more pings came. */
static int64_t answer_twice(void *arg)
{
    struct scene s;
    etcd_error err;
    int64_t first, took;

    (void)arg;
    open_scene(&s);
    drive_until(&s, 1);
    first = fake_now_ms();
    for (uint32_t i = 2; i <= 3; i++) {
        assert_int_equal(fake_get.run(s.client, ETCD_CALL(.timeout_ms = FAKE_WAIT_MS), &err), ETCD_OK);
        drive_until(&s, i);
    }
    took = fake_now_ms() - first;
    assert_int_equal(fake_server_conn_count(s.server), 1);
    close_scene(&s);
    return took;
}

static void soon_after_an_answer(void **state)
{
    (void)state;
    fake_in_time(answer_twice, NULL, 18000, "two pings"); /* 2 s; 20 s without the answers */
}

static void not_soon_without_one(void **state)
{
    struct scene s;
    etcd_error err;
    int64_t before, since;
    uint32_t n;

    (void)state;
    before = fake_now_ms();
    open_scene(&s);
    drive_until(&s, 1);
    since = fake_now_ms();
    while (fake_now_ms() - since < 3000)
        assert_int_equal(etcd_client_process(s.client, 20, &err), ETCD_OK);
    n = pings(&s);
    if (fake_now_ms() - before < 10000) /* the next one may come 10 s after the first; else this machine was asleep */
        assert_int_equal(n, 1);
    close_scene(&s);
}

/* An answer that comes later makes the next ping due, which was planned for much later. Returns when it came after the first. */
static int64_t answer_later(void *arg)
{
    struct scene s;
    etcd_error err;
    int64_t first, took;

    (void)arg;
    open_scene(&s);
    drive_until(&s, 1);
    first = fake_now_ms();
    while (fake_now_ms() - first < 2000)
        assert_int_equal(etcd_client_process(s.client, 20, &err), ETCD_OK);
    assert_int_equal(fake_get.run(s.client, ETCD_CALL(.timeout_ms = FAKE_WAIT_MS), &err), ETCD_OK);
    drive_until(&s, 2);
    took = fake_now_ms() - first;
    close_scene(&s);
    return took;
}

static void an_answer_brings_the_next_one_forward(void **state)
{
    (void)state;
    fake_in_time(answer_later, NULL, 9500, "the next ping"); /* 3 s; 10 s if nothing were brought forward */
}

static void notice(int level, const char *message, void *arg)
{
    (void)level;
    if (strstr(message, "no answer to a ping") != NULL)
        *(bool *)arg = true;
}

struct ending {
    int times, code;
};

static void on_get(etcd_client *client, etcd_get_response *response, const etcd_error *err, void *arg)
{
    struct ending *ending = arg;

    (void)client;
    ending->times++;
    ending->code = err != NULL ? err->code : ETCD_OK;
    etcd_response_free(response);
}

/* The other member is down when the first is cut off, and comes back while that is only suspected. */
static void reads_leave_as_soon_as_another_serves(void **state)
{
    fake_server *first = fake_server_start(NULL), *second = fake_server_start(&(fake_options){.deaf = true});
    fault_proxy *proxy = fault_proxy_start(fake_server_endpoint(first));
    struct ending ending = {0};
    bool noticed = false;
    char endpoints[256];
    etcd_client *client;
    etcd_error err;

    (void)state;
    (void)snprintf(endpoints, sizeof endpoints, "%s,%s", fault_proxy_endpoint(proxy), fake_server_endpoint(second));
    client = fake_client_with(endpoints, (etcd_client_options){.manual = true,
                                                               .backoff_base_ms = 50,
                                                               .backoff_max_ms = 50,
                                                               .ping_timeout_ms = 600000,
                                                               .log_fn = notice,
                                                               .log_arg = &noticed});
    assert_int_equal(fake_put.run(client, NULL, &err), ETCD_OK);
    fault_proxy_hold(proxy, FAULT_BOTH);
    assert_int_equal(
        etcd_get_async(client, ETCD_STR("k"), ETCD_GET(.call = ETCD_CALL(.timeout_ms = 300000)), on_get, &ending, NULL, &err),
        ETCD_OK);
    while (!noticed)
        assert_int_equal(etcd_client_process(client, -1, &err), ETCD_OK);
    assert_int_equal(ending.times, 0);
    fake_server_listen(second, true);
    while (ending.times == 0)
        assert_int_equal(etcd_client_process(client, -1, &err), ETCD_OK);
    assert_int_equal(ending.code, ETCD_OK); /* in time: neither by the ping's timeout nor by the deadline */
    assert_int_equal(fault_proxy_open(proxy), 1);
    etcd_client_free(client);
    fault_proxy_stop(proxy);
    fake_server_stop(first);
    fake_server_stop(second);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(soon_after_an_answer),
        cmocka_unit_test(not_soon_without_one),
        cmocka_unit_test(an_answer_brings_the_next_one_forward),
        cmocka_unit_test(reads_leave_as_soon_as_another_serves),
    };

    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
