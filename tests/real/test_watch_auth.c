/* Watches on servers with authentication: permission denied, and tokens that expire, are forgotten or get old while a stream
 * lives. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "watching.h"

enum { PATIENCE_MS = 30000 };

static struct etcd_server *start(const char *const *flags)
{
    struct etcd_server *server = etcd_server_start(&(struct etcd_server_options){.auth_token = "simple", .flags = flags});

    if (server == NULL)
        fail_msg("etcd did not start");
    return server;
}

static etcd_client *client_of(struct etcd_server *server, const char *username, const char *password)
{
    return real_client_with(ETCD_CLIENT(.endpoints = etcd_server_endpoints(server), .request_timeout_ms = PATIENCE_MS,
                                        .backoff_base_ms = 20, .backoff_max_ms = 100, .username = username,
                                        .password = password));
}

/* Users root and reader, who may read what starts with "r/". */
static void enable_auth(struct etcd_server *server)
{
    etcd_client *client = client_of(server, NULL, NULL);
    etcd_error err;

    assert_ok(etcd_user_add(client, "root", "rootpw", NULL, NULL, &err), &err);
    assert_ok(etcd_role_add(client, "root", NULL, NULL, &err), &err);
    assert_ok(etcd_user_grant_role(client, "root", "root", NULL, NULL, &err), &err);
    assert_ok(etcd_user_add(client, "reader", "readerpw", NULL, NULL, &err), &err);
    assert_ok(etcd_role_add(client, "reader", NULL, NULL, &err), &err);
    assert_ok(etcd_role_grant_permission(client, "reader", ETCD_PERMISSION_READ, ETCD_STR("r/"),
                                         ETCD_ROLE_GRANT_PERMISSION(.prefix = true), NULL, &err),
              &err);
    assert_ok(etcd_user_grant_role(client, "reader", "reader", NULL, NULL, &err), &err);
    assert_ok(etcd_auth_enable(client, NULL, NULL, &err), &err);
    etcd_client_free(client);
}

static void expect_put(etcd_watch *watch, int64_t revision)
{
    etcd_watch_response *response = watching_next(watch, ETCD_WATCH_EVENTS);

    assert_int_equal(response->n_events, 1);
    assert_int_equal(response->events[0].kv->mod_revision, revision);
    etcd_response_free(response);
}

static etcd_watch *open_created(etcd_client *client, const char *key)
{
    etcd_watch *watch = watching_open(client, key, ETCD_WATCH(.created_notify = true));

    etcd_response_free(watching_next(watch, ETCD_WATCH_CREATED));
    return watch;
}

static void what_may_not_be_read_is_not_watched(void **state)
{
    struct etcd_server *server = start(NULL);
    etcd_client *root, *reader;
    etcd_watch *good, *bad;
    int64_t put;

    (void)state;
    enable_auth(server);
    root = client_of(server, "root", "rootpw");
    reader = client_of(server, "reader", "readerpw");
    good = open_created(reader, "r/key");
    for (int i = 0; i < 3; i++) {
        bad = watching_open(reader, "secret", NULL);
        watching_await_end(bad, ETCD_ERR_PERMISSION_DENIED, "permission denied");
        etcd_watch_free(bad);
    }
    put = real_put(root, "r/key", "x");
    expect_put(good, put);
    etcd_watch_free(good);
    etcd_client_free(reader);
    etcd_client_free(root);
    etcd_server_stop(server);
}

static void a_token_expires_under_a_stream(void **state)
{
    static const char *const flags[] = {"--auth-token-ttl=1", NULL};
    struct etcd_server *server = start(flags);
    etcd_client *root, *reader;
    etcd_watch *first, *second;
    int64_t put;

    (void)state;
    enable_auth(server);
    root = client_of(server, "root", "rootpw");
    reader = client_of(server, "reader", "readerpw");
    first = open_created(reader, "r/key");
    put = real_put(root, "r/key", "1");
    expect_put(first, put);
    real_sleep_ms(2500); /* the server's clockwork: it looks each second */
    second = open_created(reader, "r/key");
    put = real_put(root, "r/key", "2");
    expect_put(first, put);
    expect_put(second, put);
    etcd_watch_free(first);
    etcd_watch_free(second);
    etcd_client_free(reader);
    etcd_client_free(root);
    etcd_server_stop(server);
}

static void a_restarted_member_has_forgotten_the_token(void **state)
{
    struct etcd_server *server = start(NULL);
    etcd_client *root, *reader;
    etcd_watch *watch;
    int64_t put;

    (void)state;
    enable_auth(server);
    root = client_of(server, "root", "rootpw");
    reader = client_of(server, "reader", "readerpw");
    watch = open_created(reader, "r/key");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(etcd_server_signal(server, 0, SIGKILL), 0);
        assert_int_equal(etcd_server_restart(server, 0), 0);
        assert_int_equal(etcd_server_await_healthy(server, 0, PATIENCE_MS), 0);
        etcd_response_free(real_get(root, "r/key", NULL)); /* no write goes over the connection that is lost */
        put = real_put(root, "r/key", "x");
        expect_put(watch, put);
    }
    etcd_watch_free(watch);
    etcd_client_free(reader);
    etcd_client_free(root);
    etcd_server_stop(server);
}

/* Each change takes the tokens of the user, or makes all of them old. */
static void changes_of_the_auth_store_go_unnoticed(void **state)
{
    struct etcd_server *server = start(NULL);
    etcd_client *root, *reader;
    etcd_watch *watches[4];
    char role[16];
    int64_t put;
    etcd_error err;

    (void)state;
    enable_auth(server);
    root = client_of(server, "root", "rootpw");
    reader = client_of(server, "reader", "readerpw");
    for (int i = 0; i < 4; i++) {
        watches[i] = open_created(reader, "r/key");
        (void)snprintf(role, sizeof role, "more%d", i);
        assert_ok(etcd_role_add(root, role, NULL, NULL, &err), &err);
        assert_ok(etcd_user_grant_role(root, "reader", role, NULL, NULL, &err), &err);
        put = real_put(root, "r/key", "x");
        for (int k = 0; k <= i; k++)
            expect_put(watches[k], put);
    }
    for (int i = 0; i < 4; i++)
        etcd_watch_free(watches[i]);
    etcd_client_free(reader);
    etcd_client_free(root);
    etcd_server_stop(server);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_may_not_be_read_is_not_watched),
        cmocka_unit_test(a_token_expires_under_a_stream),
        cmocka_unit_test(a_restarted_member_has_forgotten_the_token),
        cmocka_unit_test(changes_of_the_auth_store_go_unnoticed),
    };

    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
