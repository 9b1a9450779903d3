/* What the log tells at its most talkative, to someone who looks for why calls fail: the way of a connection, failed attempts and
 * why, GOAWAY, tokens. And that it tells nothing of all this unless it is asked. (No secrets: test_tokens.c.) */
#include "harness/fake_fixture.h"

#include <stdio.h>
#include <string.h>

struct lines {
    char text[16384];
    size_t len;
    int highest; /* level */
};

static void remember(int level, const char *message, void *arg)
{
    struct lines *lines = arg;
    int n = snprintf(lines->text + lines->len, sizeof lines->text - lines->len, "%s\n", message);

    if (n > 0 && lines->len + (size_t)n < sizeof lines->text)
        lines->len += (size_t)n;
    if (level > lines->highest)
        lines->highest = level;
}

static etcd_client *talkative(const char *endpoints, struct lines *lines, int level)
{
    return fake_client_with(endpoints, (etcd_client_options){.manual = true,
                                                             .retry_wait_ms = 1,
                                                             .backoff_base_ms = 1,
                                                             .backoff_max_ms = 1,
                                                             .log_fn = remember,
                                                             .log_arg = lines,
                                                             .log_level = level});
}

/* The lines must have these parts, one behind the other. */
static void expect(const struct lines *lines, const char *const *parts, size_t n)
{
    const char *at = lines->text;

    for (size_t i = 0; i < n; i++) {
        const char *found = strstr(at, parts[i]);

        if (found == NULL)
            fail_msg("\"%s\" does not follow in:\n%s", parts[i], lines->text);
        at = found + strlen(parts[i]);
    }
}

#define EXPECT(lines, ...) \
    do { \
        static const char *const parts[] = {__VA_ARGS__}; \
        expect((lines), parts, sizeof parts / sizeof parts[0]); \
    } while (0)

static void the_way_of_a_connection(void **state)
{
    fake_server *server = fake_server_start(NULL);
    struct lines lines = {.len = 0};
    etcd_client *client = talkative(fake_server_endpoint(server), &lines, ETCD_LOG_DEBUG);
    etcd_error err;

    (void)state;
    assert_int_equal(fake_put.run(client, NULL, &err), ETCD_OK);
    fake_server_cut(server, FAKE_ALL, FAKE_CUT_FIN);
    while (strstr(lines.text, "connecting again") == NULL)
        assert_int_equal(etcd_client_process(client, -1, &err), ETCD_OK);
    assert_int_equal(fake_put.run(client, NULL, &err), ETCD_OK);
    etcd_client_free(client);
    assert_ptr_equal(strstr(lines.text, fake_server_endpoint(server)), lines.text);
    EXPECT(&lines, ": connecting to 127.0.0.1:", "(1 of 1)", ": 127.0.0.1:", " answers\n",
           ": HTTP/2 settings received: room for ", ": connected\n",
           ": read 127.0.0.1:", "closed the connection; connecting again\n", ": connecting to 127.0.0.1:", ": connected\n");
    fake_server_stop(server);
}

static void each_address_of_a_name(void **state)
{
    fake_server *server = fake_server_start(NULL);
    struct lines lines = {.len = 0};
    char endpoint[64];
    etcd_client *client;
    etcd_error err;

    (void)state;
    (void)snprintf(endpoint, sizeof endpoint, "http://localhost%s", strrchr(fake_server_endpoint(server), ':'));
    client = talkative(endpoint, &lines, ETCD_LOG_DEBUG);
    assert_int_equal(fake_get.run(client, ETCD_CALL(.timeout_ms = FAKE_WAIT_MS), &err), ETCD_OK);
    etcd_client_free(client);
    EXPECT(&lines, ": localhost has ", " address", ": connecting to ", " (1 of ");
    fake_server_stop(server);
}

static void fail_once(fake_request *request, void *arg)
{
    int *seen = arg;

    if (++*seen == 1)
        fake_reply_trailers_only(request, 14, "etcdserver: leader changed");
    else
        fake_reply_kv(request);
}

static void why_a_call_is_sent_again(void **state)
{
    fake_server *server = fake_server_start(NULL);
    struct lines lines = {.len = 0};
    etcd_client *client = talkative(fake_server_endpoint(server), &lines, ETCD_LOG_DEBUG);
    etcd_error err;
    int seen = 0;

    (void)state;
    fake_server_handle(server, FAKE_RANGE, fail_once, &seen);
    assert_int_equal(fake_get.run(client, NULL, &err), ETCD_OK);
    etcd_client_free(client);
    EXPECT(&lines, ": attempt 1 of /etcdserverpb.KV/Range failed, another follows: etcdserver: leader changed\n");
    fake_server_stop(server);
}

static void leave_once(fake_request *request, void *arg)
{
    int *seen = arg;

    if (++*seen == 1)
        fake_reply_goaway(request, request->stream_id, 0, "maintenance");
    fake_reply_kv(request);
}

static void a_goaway_and_how_far_it_goes(void **state)
{
    fake_server *server = fake_server_start(NULL);
    struct lines lines = {.len = 0};
    etcd_client *client = talkative(fake_server_endpoint(server), &lines, ETCD_LOG_DEBUG);
    etcd_error err;
    int seen = 0;

    (void)state;
    fake_server_handle(server, FAKE_RANGE, leave_once, &seen);
    assert_int_equal(fake_get.run(client, NULL, &err), ETCD_OK);
    etcd_client_free(client);
    EXPECT(&lines, ": the peer sent GOAWAY NO_ERROR: maintenance (last stream 1, 1 open)\n");
    fake_server_stop(server);
}

static void refuse_once(fake_request *request, void *arg)
{
    int *seen = arg;

    if (++*seen == 1)
        fake_reply_trailers_only(request, 16, "etcdserver: invalid auth token");
    else
        fake_reply_kv(request);
}

static void authenticate(fake_request *request, void *arg)
{
    (void)arg;
    fake_reply_headers(request);
    fake_reply_message(request, &etcd__authenticate_response_type, &(etcd_authenticate_response){.token = {"abc.1", 5}});
    fake_reply_status(request, 0, NULL);
}

static void tokens_come_and_go(void **state)
{
    fake_server *server = fake_server_start(NULL);
    struct lines lines = {.len = 0};
    etcd_client *client;
    etcd_error err;
    int seen = 0;

    (void)state;
    fake_server_handle(server, "/etcdserverpb.Auth/Authenticate", authenticate, NULL);
    fake_server_handle(server, FAKE_PUT, refuse_once, &seen);
    client = fake_client_with(fake_server_endpoint(server), (etcd_client_options){.manual = true,
                                                                                  .username = "root",
                                                                                  .password = "secret",
                                                                                  .log_fn = remember,
                                                                                  .log_arg = &lines,
                                                                                  .log_level = ETCD_LOG_DEBUG});
    assert_int_equal(fake_put.run(client, NULL, &err), ETCD_OK);
    etcd_client_free(client);
    EXPECT(&lines, ": connected\n", "got a token\n", "the token was refused: another is needed\n", "invalid auth token\n",
           "got a token\n");
    assert_null(strstr(lines.text, "secret"));
    assert_null(strstr(lines.text, "abc.1"));
    fake_server_stop(server);
}

static void only_what_was_asked_for(void **state)
{
    fake_server *server = fake_server_start(NULL);
    struct lines lines = {.len = 0};
    etcd_client *client = talkative(fake_server_endpoint(server), &lines, 0);
    etcd_error err;

    (void)state;
    assert_int_equal(fake_put.run(client, NULL, &err), ETCD_OK);
    etcd_client_free(client);
    assert_int_equal(lines.highest, ETCD_LOG_INFO);
    EXPECT(&lines, ": connected\n");
    assert_null(strstr(lines.text, "connecting to"));
    fake_server_stop(server);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_way_of_a_connection),  cmocka_unit_test(each_address_of_a_name),
        cmocka_unit_test(why_a_call_is_sent_again), cmocka_unit_test(a_goaway_and_how_far_it_goes),
        cmocka_unit_test(tokens_come_and_go),       cmocka_unit_test(only_what_was_asked_for),
    };

    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
