/* What a request carries besides its message: pseudo headers, te, content-type, grpc-timeout, user-agent, and etcd's own
 * metadata. */
#include "harness/fake_fixture.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct fixture {
    fake_server *server;
    etcd_client *client;
} fixture;

static fixture start(etcd_client_options options)
{
    fixture f = {fake_server_start(NULL), NULL};

    f.client = fake_client_with(fake_server_endpoint(f.server), options);
    return f;
}

static void stop(fixture *f)
{
    etcd_client_free(f->client);
    assert_int_equal(fake_server_violations(f->server), 0);
    fake_server_stop(f->server);
}

/* The request of one successful call. */
static fake_seen seen_of(fixture *f, const fake_op *op, const etcd_call_options *call)
{
    size_t n = fake_server_seen_count(f->server);
    etcd_error err;

    assert_int_equal(op->run(f->client, call, &err), ETCD_OK);
    assert_int_equal(fake_server_seen_count(f->server), n + 1);
    return fake_server_seen(f->server, n);
}

static size_t count_header(const fake_seen *seen, const char *name)
{
    size_t n = 0;

    for (size_t i = 0; i < seen->n_headers; i++)
        n += strcmp(seen->headers[i].name, name) == 0;
    return n;
}

static void check_header(const fake_seen *seen, const char *name, const char *value)
{
    const char *found = fake_seen_header(seen, name);

    if (!value ? found != NULL : !found || strcmp(found, value) != 0)
        fail_msg("%s is \"%s\" instead of \"%s\"", name, found ? found : "(none)", value ? value : "(none)");
    if (found)
        assert_int_equal(count_header(seen, name), 1);
}

static void every_call_carries_them(void **state)
{
    static const fake_op *const ops[] = {&fake_put, &fake_get, &fake_txn, &fake_delete};
    fixture f = start((etcd_client_options){0});

    (void)state;
    for (int round = 0; round < 2; round++) /* the second time HPACK's table is in use */
        for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
            fake_seen seen = seen_of(&f, ops[i], NULL);

            check_header(&seen, ":method", "POST");
            check_header(&seen, ":scheme", "http");
            check_header(&seen, ":path", ops[i]->method);
            check_header(&seen, ":authority", fake_server_authority(f.server));
            check_header(&seen, "te", "trailers");
            check_header(&seen, "content-type", "application/grpc");
            check_header(&seen, "user-agent", "libetcd3/0.1.0");
            check_header(&seen, "client-api-version", "3.7");
            check_header(&seen, "hasleader", NULL);
            check_header(&seen, "token", NULL);
            check_header(&seen, "grpc-encoding", NULL);
            assert_non_null(fake_seen_header(&seen, "grpc-timeout"));
        }
    stop(&f);
}

/* RFC 9113, 8.3: pseudo headers come first; field names are lower case. */
static void pseudo_headers_come_first(void **state)
{
    fixture f = start((etcd_client_options){0});
    fake_seen seen = seen_of(&f, &fake_get, ETCD_CALL(.require_leader = true));
    bool regular = false;

    (void)state;
    for (size_t i = 0; i < seen.n_headers; i++) {
        bool pseudo = seen.headers[i].name[0] == ':';

        assert_false(pseudo && regular);
        regular = regular || !pseudo;
        for (const char *c = seen.headers[i].name; *c; c++)
            assert_false(isupper((unsigned char)*c));
    }
    stop(&f);
}

static void hasleader_when_a_leader_is_required(void **state)
{
    fixture f = start((etcd_client_options){0});
    fake_seen seen = seen_of(&f, &fake_put, ETCD_CALL(.require_leader = true));

    (void)state;
    check_header(&seen, "hasleader", "true");
    seen = seen_of(&f, &fake_put, NULL);
    check_header(&seen, "hasleader", NULL);
    stop(&f);
    f = start((etcd_client_options){.require_leader = true});
    seen = seen_of(&f, &fake_get, NULL);
    check_header(&seen, "hasleader", "true");
    stop(&f);
}

static void user_agent_has_the_programs_words_first(void **state)
{
    fixture f = start((etcd_client_options){.user_agent = "shop/7"});
    fake_seen seen = seen_of(&f, &fake_get, NULL);

    (void)state;
    check_header(&seen, "user-agent", "shop/7 libetcd3/0.1.0");
    stop(&f);
}

static void authority_of_a_unix_socket_is_its_name(void **state)
{
    fixture f = {fake_server_start(&(fake_options){.unix_socket = true}), NULL};
    fake_seen seen;

    (void)state;
    f.client = fake_client(fake_server_endpoint(f.server), false);
    seen = seen_of(&f, &fake_get, NULL);
    check_header(&seen, ":authority", "sock");
    check_header(&seen, ":scheme", "http");
    stop(&f);
}

/* Nanoseconds of a grpc-timeout; checks its form: at most 8 digits and a unit. */
static double parse_timeout(const char *text)
{
    static const char units[] = "HMSmun";
    static const double ns[] = {3600e9, 60e9, 1e9, 1e6, 1e3, 1};
    size_t digits = strspn(text, "0123456789");
    const char *unit = strchr(units, text[digits]);

    assert_true(digits >= 1 && digits <= 8);
    assert_true(text[digits] != '\0' && text[digits + 1] == '\0');
    assert_non_null(unit);
    return strtod(text, NULL) * ns[unit - units];
}

/* The server is told this much more: see SERVER_SLACK in channel/channel.c. */
#define SERVER_SLACK_MS 100

static void timeout_is_what_is_left(void **state)
{
    static const int64_t timeouts[] = {20000, 59999, 60000, 99999999, 100000000, 3600000000, INT64_C(1000000000000)};
    fixture f = start((etcd_client_options){0});

    (void)state;
    for (size_t i = 0; i < sizeof timeouts / sizeof timeouts[0]; i++) {
        int64_t before = fake_now_ms();
        fake_seen seen = seen_of(&f, &fake_get, ETCD_CALL(.timeout_ms = timeouts[i]));
        double sent = parse_timeout(fake_seen_header(&seen, "grpc-timeout")) / 1e6;
        double asked = (double)timeouts[i], passed = (double)(fake_now_ms() - before);

        /* somewhat more than is left, so that our own deadline passes first, and rounded up to the unit */
        assert_true(sent <= (asked + SERVER_SLACK_MS) * 1.001 + 1);
        assert_true(sent > asked * 0.999 - 1 - passed);
    }
    stop(&f);
}

/* What a get without options tells the server when its client has none either; whatever then becomes of it. */
static double told_by_default(void)
{
    fake_server *server = fake_server_start(NULL);
    etcd_client *client;
    fake_seen seen;
    double ms;

    assert_int_equal(etcd_client_new(ETCD_CLIENT(.endpoints = fake_server_endpoint(server)), &client, NULL), ETCD_OK);
    fake_wait_ready(server);
    for (int i = 0; i < 5 && fake_server_seen_count(server) == 0; i++) { /* again, if the deadline passed before it was sent */
        assert_int_equal(etcd_get_async(client, ETCD_STR("k"), NULL, NULL, NULL, NULL, NULL), ETCD_OK);
        (void)fake_server_wait_requests(server, FAKE_RANGE, 1, 8000);
    }
    seen = fake_server_seen(server, 0);
    ms = parse_timeout(fake_seen_header(&seen, "grpc-timeout")) / 1e6;
    etcd_client_free(client);
    fake_server_stop(server);
    return ms;
}

static void timeout_defaults_and_none(void **state)
{
    int64_t before = fake_now_ms();
    fixture f = start((etcd_client_options){.request_timeout_ms = 70000});
    fake_seen seen = seen_of(&f, &fake_get, NULL);
    double ms = parse_timeout(fake_seen_header(&seen, "grpc-timeout")) / 1e6;

    (void)state;
    assert_true(ms > 69999 - (double)(fake_now_ms() - before) && ms <= 70001 + SERVER_SLACK_MS);
    seen = seen_of(&f, &fake_get, ETCD_CALL(.timeout_ms = -1));
    check_header(&seen, "grpc-timeout", NULL);
    stop(&f);
    f = start((etcd_client_options){.request_timeout_ms = -1});
    seen = seen_of(&f, &fake_get, NULL);
    check_header(&seen, "grpc-timeout", NULL);
    stop(&f);
    before = fake_now_ms();
    ms = told_by_default();
    assert_true(ms > 4999 - (double)(fake_now_ms() - before) && ms <= 5001 + SERVER_SLACK_MS);
}

static void fail_once(fake_request *request, void *arg)
{
    bool *failed = arg;

    if (*failed) {
        fake_reply_kv(request);
        return;
    }
    *failed = true;
    fake_reply_gate(request, 0);
    fake_reply_trailers_only(request, 14, "again");
}

static void on_get(etcd_client *client, etcd_get_response *response, const etcd_error *err, void *arg)
{
    (void)client;
    (void)err;
    *(bool *)arg = true;
    etcd_response_free(response);
}

/* A later attempt has less time left and says so. */
static void timeout_shrinks_with_each_attempt(void **state)
{
    fixture f = start((etcd_client_options){.manual = true, .retry_wait_ms = 1});
    bool failed = false, done = false;
    fake_seen first, second;

    (void)state;
    fake_server_handle(f.server, FAKE_RANGE, fail_once, &failed);
    assert_int_equal(etcd_get_async(f.client, ETCD_STR("k"), NULL, on_get, &done, NULL, NULL), ETCD_OK);
    while (!fake_server_wait_gate(f.server, 0, 1, 0))
        assert_int_equal(etcd_client_process(f.client, 1, NULL), ETCD_OK);
    fake_sleep_ms(50);
    fake_server_gate_open(f.server, 0);
    while (!done)
        assert_int_equal(etcd_client_process(f.client, 1, NULL), ETCD_OK);
    first = fake_server_seen(f.server, 0);
    second = fake_server_seen(f.server, 1);
    assert_true(parse_timeout(fake_seen_header(&first, "grpc-timeout")) >=
                parse_timeout(fake_seen_header(&second, "grpc-timeout")) + 50e6);
    stop(&f);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_call_carries_them),
    cmocka_unit_test(pseudo_headers_come_first),
    cmocka_unit_test(hasleader_when_a_leader_is_required),
    cmocka_unit_test(user_agent_has_the_programs_words_first),
    cmocka_unit_test(authority_of_a_unix_socket_is_its_name),
    cmocka_unit_test(timeout_is_what_is_left),
    cmocka_unit_test(timeout_defaults_and_none),
    cmocka_unit_test(timeout_shrinks_with_each_attempt),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
