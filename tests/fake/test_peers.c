/* Endpoints that refuse, reset, hang or speak something else: the error says so. And how a client behaves towards several:
 * back-off, reconnecting, round robin, waiting for a connection. */
#include "base/clock.h"
#include "client/client.h"
#include "harness/fake_fixture.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <string.h>

/* ---- bad peers ---- */

/* A put that ends by its deadline; the message has to say what the matter is. (Deadlines come later and later: on a busy machine
 * it takes time until the client knows.) */
static void check_words(const char *endpoint, etcd_client_options options, const char *words)
{
    etcd_client *client;
    etcd_error err;

    options.backoff_base_ms = options.backoff_max_ms = 20;
    client = fake_client_with(endpoint, options);
    for (int timeout_ms = 100; timeout_ms < FAKE_WAIT_MS; timeout_ms *= 4) {
        assert_int_equal(fake_put.run(client, ETCD_CALL(.timeout_ms = timeout_ms), &err), ETCD_ERR_DEADLINE_EXCEEDED);
        if (strstr(err.message, words))
            break;
    }
    fake_assert_contains(err.message, "context deadline exceeded");
    fake_assert_contains(err.message, endpoint);
    fake_assert_contains(err.message, words);
    assert_int_equal(err.flags, ETCD_ERROR_RETRYABLE);
    assert_int_equal(err.grpc_code, -1);
    etcd_client_free(client);
}

static void check_script(const fake_script *script, etcd_client_options options, const char *words)
{
    fake_server *server = fake_server_start(NULL);

    fake_server_script_rest(server, script);
    check_words(fake_server_endpoint(server), options, words);
    fake_server_stop(server);
}

static void refused(void **state)
{
    fake_server *server = fake_server_start(&(fake_options){.deaf = true});

    (void)state;
    check_words(fake_server_endpoint(server), (etcd_client_options){0}, "last connection error");
    check_words(fake_server_endpoint(server), (etcd_client_options){0}, "Connection refused");
    fake_server_stop(server);
}

static void no_such_unix_socket(void **state)
{
    fake_server *server = fake_server_start(&(fake_options){.unix_socket = true, .deaf = true});

    (void)state;
    check_words(fake_server_endpoint(server), (etcd_client_options){0}, "No such file");
    fake_server_stop(server);
}

static void closed_and_reset(void **state)
{
    (void)state;
    check_script(&(fake_script){.kind = FAKE_CONN_CLOSE}, (etcd_client_options){0}, "closed");
    check_script(&(fake_script){.kind = FAKE_CONN_ABORT}, (etcd_client_options){0}, "reset");
}

static void never_answers(void **state)
{
    const fake_script silent = {.kind = FAKE_CONN_SILENT};

    (void)state;
    check_script(&silent, (etcd_client_options){0}, "still connecting");
    check_script(&silent, (etcd_client_options){.connect_timeout_ms = 30}, "no HTTP/2 settings");
    check_script(&(fake_script){.no_settings = true}, (etcd_client_options){0}, "SETTINGS expected");
}

static void lost_in_a_black_hole(void **state)
{
    fake_blackhole hole;

    (void)state;
    fake_blackhole_open(&hole);
    check_words(hole.endpoint, (etcd_client_options){0}, "still connecting");
    check_words(hole.endpoint, (etcd_client_options){.connect_timeout_ms = 30}, "last connection error");
    fake_blackhole_close(&hole);
}

static void speaks_something_else(void **state)
{
    static const char http1[] = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
                      redis[] = "-ERR unknown command 'PRI'\r\n", ssh[] = "SSH-2.0-OpenSSH_9.2\r\n",
                      alert[] = "\x15\x03\x01\x00\x02\x02\x16";

    (void)state;
    check_script(&(fake_script){.kind = FAKE_CONN_TEXT, .text = http1, .text_len = sizeof http1 - 1}, (etcd_client_options){0},
                 "the peer answered HTTP/1, not HTTP/2: \"HTTP/1.1 400 Bad Request\"");
    check_script(&(fake_script){.kind = FAKE_CONN_TEXT, .text = redis, .text_len = sizeof redis - 1}, (etcd_client_options){0},
                 "the peer does not speak HTTP/2: it sent \"-ERR unknown command 'PRI'\"");
    check_script(&(fake_script){.kind = FAKE_CONN_TEXT, .text = ssh, .text_len = sizeof ssh - 1, .text_keep_open = true},
                 (etcd_client_options){0}, "SSH-2.0");
    check_script(&(fake_script){.kind = FAKE_CONN_TEXT, .text = alert, .text_len = sizeof alert - 1}, (etcd_client_options){0},
                 "https");
}

static void allows_no_streams(void **state)
{
    const fake_script none = {.settings = {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 0}}, .n_settings = 1};

    (void)state;
    check_script(&none, (etcd_client_options){0}, "allows no more concurrent streams");
}

static void answer_404(fake_request *request, void *arg)
{
    static const char page[] = "<html>404 page not found</html>";

    (void)arg;
    fake_reply_http(request, "404", "text/html; charset=utf-8");
    fake_reply_data(request, page, sizeof page - 1, true);
}

/* HTTP/2, but no gRPC: here the peer's answer is the error, at once. */
static void is_no_grpc_server(void **state)
{
    fake_server *server = fake_server_start(NULL);
    etcd_client *client = fake_client(fake_server_endpoint(server), false);
    etcd_error err;

    (void)state;
    fake_server_handle(server, NULL, answer_404, NULL);
    assert_int_equal(fake_put.run(client, NULL, &err), ETCD_ERR_UNIMPLEMENTED);
    fake_assert_contains(err.message, "404");
    fake_assert_contains(err.message, "text/html");
    fake_assert_contains(err.message, "page not found");
    assert_int_equal(err.flags, 0);
    etcd_client_free(client);
    fake_server_stop(server);
}

static void goaway_with_a_reason(fake_request *request, void *arg)
{
    (void)arg;
    fake_reply_goaway(request, request->stream_id, NGHTTP2_ENHANCE_YOUR_CALM, "too_many_pings");
    fake_reply_cut(request, FAKE_CUT_FIN);
}

static void the_reason_of_a_goaway_is_told(void **state)
{
    fake_server *server = fake_server_start(NULL);
    etcd_client *client = fake_client(fake_server_endpoint(server), false);
    etcd_error err;

    (void)state;
    fake_server_handle(server, NULL, goaway_with_a_reason, NULL);
    assert_int_equal(fake_put.run(client, NULL, &err), ETCD_ERR_UNAVAILABLE);
    fake_assert_contains(err.message, "ENHANCE_YOUR_CALM");
    fake_assert_contains(err.message, "too_many_pings");
    etcd_client_free(client);
    fake_server_stop(server);
}

/* ---- reconnecting ---- */

static void lost_connections_are_replaced_at_once(void **state)
{
    fake_server *server = fake_server_start(NULL);
    etcd_client *client = fake_client_with(fake_server_endpoint(server), (etcd_client_options){.backoff_base_ms = 60000});
    etcd_error err;

    (void)state;
    for (size_t i = 1; i <= 5;
         i++) { /* a put on a connection of which the client does not know yet that it is lost would be lost, too */
        assert_true(fake_server_wait_conns(server, i, FAKE_WAIT_MS));
        assert_int_equal(fake_put.run(client, ETCD_CALL(.timeout_ms = FAKE_WAIT_MS), &err), ETCD_OK);
        assert_int_equal(fake_server_conn_count(server), i);
        fake_server_cut(server, FAKE_ALL, i % 2 ? FAKE_CUT_FIN : FAKE_CUT_RST);
    }
    etcd_client_free(client);
    fake_server_stop(server);
}

/* The time between two connections in ms. */
static int64_t gap(fake_server *server, int conn)
{
    return (fake_server_conn(server, conn).accepted_ns - fake_server_conn(server, conn - 1).accepted_ns) / 1000000;
}

/* How far beyond +-20 % the times between attempts are, in either direction: an attempt that is seen late is followed by one that
 * seems to come early. */
static int64_t fail_often(void *script)
{
    static const double expected[] = {40, 64, 102.4, 150, 150}; /* x 1.6, at most 150 */
    fake_server *server = fake_server_start(NULL);
    etcd_client *client;
    double off = 0;

    fake_server_script_rest(server, script);
    client = fake_client_with(fake_server_endpoint(server), (etcd_client_options){.backoff_base_ms = 40, .backoff_max_ms = 150});
    assert_true(fake_server_wait_conns(server, 6, FAKE_WAIT_MS));
    for (int i = 1; i < 6; i++) {
        double took = (double)gap(server, i), early = 0.8 * expected[i - 1] - 2 - took, late = took - 1.2 * expected[i - 1];

        if (early > 0)
            off = (double)FAKE_WAIT_MS;
        off = late > off ? late : off;
    }
    etcd_client_free(client);
    fake_server_stop(server);
    return (int64_t)off;
}

static void check_backoff(const fake_script *script)
{
    fake_in_time(fail_often, (void *)(uintptr_t)script, fake_bound_ms(20), "an attempt to connect");
}

static void failing_attempts_back_off(void **state)
{
    (void)state;
    check_backoff(&(fake_script){.kind = FAKE_CONN_CLOSE});
    check_backoff(&(fake_script){.kind = FAKE_CONN_ABORT});
    check_backoff(&(fake_script){.kind = FAKE_CONN_TEXT, .text = "HTTP/1.1 400\r\n\r\n", .text_len = 16});
    /* its SETTINGS, and then the end: that is no good connection either */
    check_backoff(&(fake_script){.cut = FAKE_CUT_FIN, .cut_side = FAKE_CUT_WRITTEN, .cut_at = 9});
}

/* After a good connection the wait is short again. */
static int64_t lose_a_good_one(void *arg)
{
    fake_server *server = fake_server_start(NULL);
    etcd_client *client;
    int64_t first, second;
    etcd_error err;

    (void)arg;
    for (int i = 0; i < 4; i++)
        fake_server_script(server, &(fake_script){.kind = FAKE_CONN_CLOSE});
    client =
        fake_client_with(fake_server_endpoint(server), (etcd_client_options){.backoff_base_ms = 30, .backoff_max_ms = 10000});
    assert_int_equal(fake_put.run(client, ETCD_CALL(.timeout_ms = FAKE_WAIT_MS), &err), ETCD_OK);
    assert_int_equal(fake_server_conn_count(server), 5);
    fake_server_script(server, &(fake_script){.kind = FAKE_CONN_CLOSE});
    fake_server_script(server, &(fake_script){.kind = FAKE_CONN_CLOSE});
    fake_server_cut(server, FAKE_ALL, FAKE_CUT_FIN);
    assert_true(fake_server_wait_conns(server, 8, FAKE_WAIT_MS));
    first = gap(server, 6) - 36;
    second = gap(server, 7) - 58;
    etcd_client_free(client);
    fake_server_stop(server);
    return first > second ? first : second;
}

static void a_good_connection_resets_the_back_off(void **state)
{
    (void)state;
    fake_in_time(lose_a_good_one, NULL, fake_bound_ms(20), "an attempt to connect");
}

static void calls_wait_for_a_connection(void **state)
{
    fake_server *server = fake_server_start(&(fake_options){.deaf = true});
    etcd_client *client = fake_client(fake_server_endpoint(server), true);
    etcd_completion *completion;

    (void)state;
    assert_int_equal(etcd_put_async(client, ETCD_STR("k"), ETCD_STR("v"), ETCD_PUT(.call = ETCD_CALL(.timeout_ms = FAKE_WAIT_MS)),
                                    NULL, NULL, NULL, NULL),
                     ETCD_OK);
    assert_int_equal(etcd_client_next_completion(client, 50, &completion, NULL), ETCD_ERR_TIMED_OUT);
    fake_server_listen(server, true);
    assert_int_equal(etcd_client_next_completion(client, FAKE_WAIT_MS, &completion, NULL), ETCD_OK);
    assert_int_equal(completion->code, ETCD_OK);
    assert_int_equal(fake_server_count(server, FAKE_PUT), 1);
    etcd_response_free(completion);
    etcd_client_free(client);
    fake_server_stop(server);
}

/* ---- several endpoints ---- */

enum { N_SERVERS = 3 };

typedef struct cluster {
    fake_server *servers[N_SERVERS];
    char endpoints[256];
} cluster;

static void start_cluster(cluster *c)
{
    for (size_t i = 0; i < N_SERVERS; i++)
        c->servers[i] = fake_server_start(NULL);
    snprintf(c->endpoints, sizeof c->endpoints, "%s,%s,%s", fake_server_endpoint(c->servers[0]),
             fake_server_endpoint(c->servers[1]), fake_server_endpoint(c->servers[2]));
}

static void stop_cluster(cluster *c)
{
    for (size_t i = 0; i < N_SERVERS; i++)
        fake_server_stop(c->servers[i]);
}

/* Until every server has a connection that is ready, and was used. */
static void wait_connected(const cluster *c, etcd_client *client)
{
    etcd_error err;

    for (size_t s = 0; s < N_SERVERS; s++)
        fake_wait_ready(c->servers[s]);
    for (int i = 0; i < N_SERVERS; i++)
        assert_int_equal(fake_get.run(client, NULL, &err), ETCD_OK);
    for (size_t s = 0; s < N_SERVERS; s++)
        assert_int_equal(fake_server_count(c->servers[s], NULL), 1);
}

/* A client that does not ping: reads would leave a server that is paused. */
static etcd_client *client_of_cluster(const cluster *c)
{
    return fake_client_with(
        c->endpoints,
        (etcd_client_options){.backoff_base_ms = 1, .backoff_max_ms = 1, .retry_wait_ms = 1, .ping_interval_ms = -1});
}

static void calls_go_round(void **state)
{
    cluster c;
    etcd_client *client;
    etcd_error err;
    size_t before[N_SERVERS];

    (void)state;
    start_cluster(&c);
    client = client_of_cluster(&c);
    wait_connected(&c, client);
    for (size_t s = 0; s < N_SERVERS; s++)
        before[s] = fake_server_count(c.servers[s], NULL);
    for (int i = 0; i < 30; i++)
        assert_int_equal((i % 2 ? &fake_get : &fake_put)->run(client, NULL, &err), ETCD_OK);
    for (size_t s = 0; s < N_SERVERS; s++) {
        assert_int_equal(fake_server_count(c.servers[s], NULL) - before[s], 10);
        assert_int_equal(fake_server_conn_count(c.servers[s]), 1);
    }
    etcd_client_free(client);
    stop_cluster(&c);
}

static void the_first_call_goes_anywhere(void **state)
{
    int64_t until = fake_now_ms() + FAKE_WAIT_MS;
    cluster c;
    etcd_error err;

    (void)state;
    start_cluster(&c);
    for (size_t s = 0; s < N_SERVERS; s++) {
        while (fake_server_count(c.servers[s], NULL) == 0) {
            etcd_client *client = fake_client(c.endpoints, false);

            assert_int_equal(fake_get.run(client, NULL, &err), ETCD_OK);
            etcd_client_free(client);
            assert_true(fake_now_ms() < until);
        }
    }
    stop_cluster(&c);
}

static void the_others_serve_when_one_is_down(void **state)
{
    cluster c;
    etcd_client *client;
    etcd_error err;
    size_t before;
    int64_t until = fake_now_ms() + FAKE_WAIT_MS;

    (void)state;
    start_cluster(&c);
    client = client_of_cluster(&c);
    wait_connected(&c, client);
    fake_server_listen(c.servers[1], false);
    fake_server_cut(c.servers[1], FAKE_ALL, FAKE_CUT_RST);
    assert_true(fake_server_wait_closed(c.servers[1], 1, FAKE_WAIT_MS));
    for (int i = 0; i < 30; i++)
        assert_int_equal(fake_get.run(client, ETCD_CALL(.timeout_ms = FAKE_WAIT_MS), &err), ETCD_OK);
    before = fake_server_count(c.servers[1], NULL);
    fake_server_listen(c.servers[1], true);
    assert_true(fake_server_wait_conns(c.servers[1], 2, FAKE_WAIT_MS));
    while (fake_now_ms() < until && fake_server_count(c.servers[1], NULL) == before)
        assert_int_equal(fake_put.run(client, ETCD_CALL(.timeout_ms = FAKE_WAIT_MS), &err), ETCD_OK);
    assert_true(fake_server_count(c.servers[1], NULL) > before);
    etcd_client_free(client);
    stop_cluster(&c);
}

/* How long 20 calls take on a new client of these endpoints. */
static int64_t put_20(void *endpoints)
{
    etcd_client *client = fake_client_with(endpoints, (etcd_client_options){0});
    int64_t start = fake_now_ms(), took;
    etcd_error err;

    for (int i = 0; i < 20; i++)
        assert_int_equal(fake_put.run(client, NULL, &err), ETCD_OK);
    took = fake_now_ms() - start;
    etcd_client_free(client);
    return took;
}

/* Endpoints of which no connection comes never keep a call waiting while another is connected. */
static void bad_endpoints_do_not_delay(void **state)
{
    fake_server *server = fake_server_start(NULL), *silent = fake_server_start(NULL),
                *deaf = fake_server_start(&(fake_options){.deaf = true});
    fake_blackhole hole;
    char endpoints[300];

    (void)state;
    fake_blackhole_open(&hole);
    fake_server_script_rest(silent, &(fake_script){.kind = FAKE_CONN_SILENT});
    snprintf(endpoints, sizeof endpoints, "%s,%s,%s,%s", hole.endpoint, fake_server_endpoint(silent), fake_server_endpoint(deaf),
             fake_server_endpoint(server));
    fake_in_time(put_20, endpoints, fake_bound_ms(200), "20 puts");
    assert_int_equal(fake_server_kv_writes(server) % 20, 0);
    fake_blackhole_close(&hole);
    fake_server_stop(server);
    fake_server_stop(silent);
    fake_server_stop(deaf);
}

/* ---- draining ---- */

static void answer_at_the_gate(fake_request *request, void *arg)
{
    (void)arg;
    if (request->conn == 0)
        fake_reply_gate(request, 0);
    fake_reply_kv(request);
}

/* GOAWAY: what is under way ends well on the old connection, new calls use a new one. */
static void draining_connections_finish_their_calls(void **state)
{
    fake_server *server = fake_server_start(NULL);
    etcd_client *client = fake_client(fake_server_endpoint(server), true);
    etcd_completion *completion;
    etcd_error err;

    (void)state;
    fake_server_handle(server, NULL, answer_at_the_gate, NULL);
    assert_int_equal(etcd_put_async(client, ETCD_STR("k"), ETCD_STR("v"), NULL, NULL, NULL, NULL, NULL), ETCD_OK);
    while (!fake_server_wait_gate(server, 0, 1, 0))
        assert_int_equal(etcd_client_process(client, 1, NULL), ETCD_OK);
    fake_server_goaway(server, 0, INT32_MAX, NGHTTP2_NO_ERROR, NULL);
    for (int i = 0; fake_server_conn_count(server) < 2 && i < FAKE_WAIT_MS; i++)
        assert_int_equal(etcd_client_process(client, 1, NULL), ETCD_OK);
    assert_int_equal(fake_get.run(client, NULL, &err), ETCD_OK);
    assert_int_equal(fake_server_seen(server, 1).conn, 1);
    fake_server_goaway(server, 0, 1, NGHTTP2_NO_ERROR, NULL);
    fake_server_gate_open(server, 0);
    assert_int_equal(etcd_client_next_completion(client, FAKE_WAIT_MS, &completion, NULL), ETCD_OK);
    assert_int_equal(completion->code, ETCD_OK);
    assert_int_equal(completion->type, ETCD_CALL_PUT);
    etcd_response_free(completion);
    /* nothing is left on the old connection: the client ends it */
    for (int i = 0; fake_server_open_count(server) > 1 && i < FAKE_WAIT_MS; i++)
        assert_int_equal(etcd_client_process(client, 1, NULL), ETCD_OK);
    assert_true(fake_server_conn(server, 0).peer_closed);
    assert_int_equal(fake_server_open_count(server), 1);
    etcd_client_free(client);
    fake_server_stop(server);
}

/* The client says GOAWAY before it closes. */
static void closing_is_polite(void **state)
{
    fake_server *server = fake_server_start(NULL);
    etcd_client *client = fake_client(fake_server_endpoint(server), false);
    etcd_error err;

    (void)state;
    assert_int_equal(fake_put.run(client, NULL, &err), ETCD_OK);
    etcd_client_free(client);
    assert_true(fake_server_wait_closed(server, 1, FAKE_WAIT_MS));
    assert_int_equal(fake_server_conn(server, 0).goaways, 1);
    assert_int_equal(fake_server_conn(server, 0).goaway_code, NGHTTP2_NO_ERROR);
    assert_false(fake_server_conn(server, 0).peer_reset);
    fake_server_stop(server);
}

/* ---- endpoints outside of the list ---- */

/* A connection to one that was called once is let go, though others are called all the time. */
static void guests_are_let_go_one_by_one(void **state)
{
    fake_server *home = fake_server_start(NULL), *once = fake_server_start(NULL), *often = fake_server_start(NULL);
    etcd_client *client = fake_client(fake_server_endpoint(home), true);
    etcd__peers *peers = (etcd__peers *)(uintptr_t)etcd__channel_peers(client->io.channel);
    int64_t until = fake_now_ms() + FAKE_WAIT_MS;
    etcd_error err;

    (void)state;
    peers->guest_idle = 600 * ETCD__MS;
    assert_int_equal(fake_get.run(client, ETCD_CALL(.endpoint = fake_server_endpoint(once)), &err), ETCD_OK);
    while (fake_server_open_count(once) > 0 && fake_now_ms() < until)
        assert_int_equal(fake_get.run(client, ETCD_CALL(.endpoint = fake_server_endpoint(often)), &err), ETCD_OK);
    assert_int_equal(fake_server_open_count(once), 0);
    assert_int_equal(fake_server_conn_count(once), 1);
    while (fake_server_open_count(often) > 0 && fake_now_ms() < until)
        assert_int_equal(etcd_client_process(client, 100, &err), ETCD_OK);
    assert_int_equal(fake_server_open_count(often), 0);
    assert_int_equal(fake_get.run(client, ETCD_CALL(.endpoint = fake_server_endpoint(once)), &err), ETCD_OK);
    etcd_client_free(client);
    fake_server_stop(often);
    fake_server_stop(once);
    fake_server_stop(home);
}

/* ---- what a callback does with what it is told ---- */

struct told {
    const char *other; /* NULL: close the client */
    int times;
};

/* Takes the endpoint off the list, or closes the client, before it reads what it was told. */
static void change_then_read(etcd_client *client, const char *endpoint, int state, const char *reason, void *arg)
{
    struct told *told = arg;
    etcd_error err;

    (void)state;
    if (told->times++ > 0)
        return;
    if (told->other != NULL)
        assert_int_equal(etcd_client_set_endpoints(client, told->other, &err), ETCD_OK);
    else
        etcd_client_close(client);
    fake_assert_contains(endpoint, "http://127.0.0.1:");
    fake_assert_contains(reason, "refused");
}

static void check_told(const char *other)
{
    fake_server *server = fake_server_start(&(fake_options){.deaf = true});
    struct told told = {.other = other};
    etcd_client *client = fake_client_with(
        fake_server_endpoint(server), (etcd_client_options){.manual = true, .state_fn = change_then_read, .state_arg = &told});
    etcd_error err;

    while (told.times == 0)
        assert_int_equal(etcd_client_process(client, FAKE_WAIT_MS, &err), ETCD_OK);
    etcd_client_free(client);
    fake_server_stop(server);
}

static void a_state_is_told_in_words_that_last(void **state)
{
    (void)state;
    check_told("http://127.0.0.1:1");
    check_told(NULL);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(refused),
    cmocka_unit_test(no_such_unix_socket),
    cmocka_unit_test(closed_and_reset),
    cmocka_unit_test(never_answers),
    cmocka_unit_test(lost_in_a_black_hole),
    cmocka_unit_test(speaks_something_else),
    cmocka_unit_test(allows_no_streams),
    cmocka_unit_test(is_no_grpc_server),
    cmocka_unit_test(the_reason_of_a_goaway_is_told),
    cmocka_unit_test(lost_connections_are_replaced_at_once),
    cmocka_unit_test(failing_attempts_back_off),
    cmocka_unit_test(a_good_connection_resets_the_back_off),
    cmocka_unit_test(calls_wait_for_a_connection),
    cmocka_unit_test(calls_go_round),
    cmocka_unit_test(the_first_call_goes_anywhere),
    cmocka_unit_test(the_others_serve_when_one_is_down),
    cmocka_unit_test(bad_endpoints_do_not_delay),
    cmocka_unit_test(draining_connections_finish_their_calls),
    cmocka_unit_test(closing_is_polite),
    cmocka_unit_test(guests_are_let_go_one_by_one),
    cmocka_unit_test(a_state_is_told_in_words_that_last),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
