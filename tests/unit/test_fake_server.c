/* The fake server, tried with a client that is nothing but a socket and nghttp2: it must be trusted before the library is judged
 * by it. */
#include "harness/fake_server.h"
#include "harness/h2_client.h"
#include "harness/test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { WAIT_MS = H2_CLIENT_WAIT_MS };

/* PutRequest{key: "k", value: "v"}, RangeRequest{key: "k"} */
static const uint8_t put_kv[] = {0x0a, 1, 'k', 0x12, 1, 'v'};
static const uint8_t get_k[] = {0x0a, 1, 'k'};

/* ---- fixture ---- */

typedef struct fixture {
    fake_server *server;
    h2_client *c;
} fixture;

static fixture start(void)
{
    fixture f = {fake_server_start(NULL), NULL};

    f.c = h2_client_open(fake_server_endpoint(f.server));
    return f;
}

static void stop(fixture *f)
{
    h2_client_close(f->c);
    fake_server_stop(f->server);
}

static h2_reply *put(fixture *f)
{
    return h2_client_call(f->c, FAKE_PUT, put_kv, sizeof put_kv);
}

/* ---- tests ---- */

static void check_put_and_get(const fake_options *options)
{
    fixture f = {fake_server_start(options), NULL};
    h2_reply *r;
    fake_seen seen;

    f.c = h2_client_open(fake_server_endpoint(f.server));
    r = put(&f);
    assert_true(h2_client_pump(f.c, &r->closed));
    assert_string_equal(r->status, "200");
    assert_string_equal(r->type, "application/grpc");
    assert_string_equal(r->grpc_status, "0");
    assert_int_equal(fake_server_kv_count(f.server), 1);
    assert_int_equal(fake_server_kv_revision(f.server), 2);
    r = h2_client_call(f.c, FAKE_RANGE, get_k, sizeof get_k);
    assert_true(h2_client_pump(f.c, &r->closed));
    assert_string_equal(r->grpc_status, "0");
    assert_true(r->body_len > 5);
    assert_int_equal(r->body[4], r->body_len - 5);
    assert_int_equal(fake_server_count(f.server, FAKE_PUT), 1);
    assert_int_equal(fake_server_count(f.server, NULL), 2);
    assert_int_equal(fake_server_count_payload(f.server, FAKE_PUT, put_kv, sizeof put_kv), 1);
    assert_int_equal(fake_server_count_payload(f.server, FAKE_PUT, put_kv, sizeof put_kv - 1), 0);
    seen = fake_server_seen(f.server, 0);
    assert_string_equal(seen.method, FAKE_PUT);
    assert_string_equal(fake_seen_header(&seen, "te"), "trailers");
    assert_true(seen.complete && seen.handled && !seen.client_reset);
    assert_int_equal(fake_server_violations(f.server), 0);
    stop(&f);
}

static void put_and_get_over_tcp(void **state)
{
    (void)state;
    check_put_and_get(NULL);
}

static void put_and_get_over_unix(void **state)
{
    (void)state;
    check_put_and_get(&(fake_options){.unix_socket = true});
}

/* The answer must be byte for byte what etcd would send: field 1 header, then key, value and revisions. */
static void get_answers_what_was_put(void **state)
{
    static const uint8_t kv[] = {0x12, 0x0c, 0x0a, 1, 'k', 0x10, 2, 0x18, 2, 0x20, 1, 0x2a, 1, 'v', 0x20, 1};
    fixture f = start();
    h2_reply *r = put(&f);

    (void)state;
    assert_true(h2_client_pump(f.c, &r->closed));
    r = h2_client_call(f.c, FAKE_RANGE, get_k, sizeof get_k);
    assert_true(h2_client_pump(f.c, &r->closed));
    assert_true(r->body_len > sizeof kv);
    assert_memory_equal(r->body + r->body_len - sizeof kv, kv, sizeof kv);
    stop(&f);
}

static void unknown_methods_are_unimplemented(void **state)
{
    fixture f = start();
    h2_reply *r = h2_client_call(f.c, "/no.such/Method", put_kv, sizeof put_kv);

    (void)state;
    assert_true(h2_client_pump(f.c, &r->closed));
    assert_string_equal(r->grpc_status, "12");
    assert_int_equal(r->body_total, 0);
    stop(&f);
}

static void answer_status(fake_request *request, void *arg)
{
    if (*(bool *)arg) {
        fake_reply_trailers_only(request, 14, "nobody home");
        return;
    }
    fake_reply_headers(request);
    fake_reply_payload(request, 0, "abc", 3);
    fake_reply_status(request, 5, NULL);
}

static void statuses_in_trailers_and_trailers_only(void **state)
{
    fixture f = start();
    bool only = true;
    h2_reply *r;

    (void)state;
    fake_server_handle(f.server, FAKE_PUT, answer_status, &only);
    r = put(&f);
    assert_true(h2_client_pump(f.c, &r->closed));
    assert_string_equal(r->grpc_status, "14");
    assert_string_equal(r->grpc_message, "nobody home");
    assert_int_equal(r->body_total, 0);
    only = false;
    r = put(&f);
    assert_true(h2_client_pump(f.c, &r->closed));
    assert_string_equal(r->grpc_status, "5");
    assert_string_equal(r->grpc_message, "");
    assert_int_equal(r->body_total, 8);
    assert_memory_equal(r->body, "\0\0\0\0\3abc", 8);
    assert_int_equal(fake_server_kv_writes(f.server), 0);
    stop(&f);
}

static void answer_reset(fake_request *request, void *arg)
{
    int stage = *(int *)arg;

    if (stage > 0)
        fake_reply_headers(request);
    if (stage > 1)
        fake_reply_payload(request, 0, "abc", 3);
    fake_reply_reset(request, NGHTTP2_ENHANCE_YOUR_CALM);
}

static void resets_come_where_they_are_told(void **state)
{
    fixture f = start();

    (void)state;
    for (int stage = 0; stage < 3; stage++) {
        h2_reply *r;

        fake_server_handle(f.server, FAKE_PUT, answer_reset, &stage);
        r = put(&f);
        assert_true(h2_client_pump(f.c, &r->closed));
        assert_int_equal(r->code, NGHTTP2_ENHANCE_YOUR_CALM);
        assert_string_equal(r->status, stage > 0 ? "200" : "");
        assert_int_equal(r->body_total, stage > 1 ? 8 : 0);
    }
    stop(&f);
}

static void answer_early(fake_request *request, void *arg)
{
    *(bool *)arg = request->complete;
    fake_reply_trailers_only(request, 16, NULL);
}

static void early_handlers_run_before_the_body(void **state)
{
    fixture f = start();
    bool complete = true;
    h2_reply *r;

    (void)state;
    fake_server_handle_early(f.server, FAKE_PUT, answer_early, &complete);
    r = put(&f);
    assert_true(h2_client_pump(f.c, &r->closed));
    assert_string_equal(r->grpc_status, "16");
    assert_false(complete);
    stop(&f);
}

static void answer_gated(fake_request *request, void *arg)
{
    (void)arg;
    fake_reply_headers(request);
    fake_reply_gate(request, 3);
    fake_reply_status(request, 0, NULL);
}

static void gates_hold_answers(void **state)
{
    fixture f = start();
    h2_reply *a, *b;

    (void)state;
    fake_server_handle(f.server, FAKE_PUT, answer_gated, NULL);
    a = put(&f);
    b = put(&f);
    h2_client_flush(f.c);
    assert_true(fake_server_wait_gate(f.server, 3, 2, WAIT_MS));
    fake_server_gate_pass(f.server, 3);
    assert_true(h2_client_pump(f.c, &a->closed));
    assert_false(b->closed);
    assert_false(fake_server_wait_gate(f.server, 3, 2, 1));
    fake_server_gate_open(f.server, 3);
    assert_true(h2_client_pump(f.c, &b->closed));
    assert_string_equal(b->grpc_status, "0");
    stop(&f);
}

static void answer_nothing(fake_request *request, void *arg)
{
    (void)request;
    (void)arg;
}

static void client_resets_are_logged(void **state)
{
    fixture f = start();
    h2_reply *r;
    fake_seen seen;

    (void)state;
    fake_server_handle(f.server, FAKE_PUT, answer_nothing, NULL);
    r = put(&f);
    h2_client_flush(f.c);
    assert_true(fake_server_wait_requests(f.server, FAKE_PUT, 1, WAIT_MS));
    assert_false(fake_server_wait_requests(f.server, FAKE_PUT, 2, 1));
    nghttp2_submit_rst_stream(f.c->session, 0, r->id, NGHTTP2_CANCEL);
    r = h2_client_call(f.c, FAKE_RANGE, get_k, sizeof get_k);
    assert_true(h2_client_pump(f.c, &r->closed));
    seen = fake_server_seen(f.server, 0);
    assert_true(seen.client_reset && seen.closed);
    assert_int_equal(seen.reset_code, NGHTTP2_CANCEL);
    assert_int_equal(fake_server_conn(f.server, 0).resets, 1);
    stop(&f);
}

static void answer_goaway(fake_request *request, void *arg)
{
    (void)arg;
    fake_reply_goaway(request, 0x7fffffff, NGHTTP2_NO_ERROR, NULL);
    fake_reply_goaway(request, request->stream_id, NGHTTP2_ENHANCE_YOUR_CALM, "too_many_pings");
    fake_reply_kv(request);
    fake_reply_cut(request, FAKE_CUT_FIN);
}

static void goaways_are_sent_as_told(void **state)
{
    fixture f = start();
    h2_reply *r;

    (void)state;
    fake_server_handle(f.server, FAKE_PUT, answer_goaway, NULL);
    r = put(&f);
    assert_true(h2_client_pump_to_end(f.c));
    assert_int_equal(f.c->n_goaways, 2);
    assert_int_equal(f.c->goaway_last, r->id);
    assert_int_equal(f.c->goaway_code, NGHTTP2_ENHANCE_YOUR_CALM);
    assert_string_equal(f.c->goaway_debug, "too_many_pings");
    assert_string_equal(r->grpc_status, "0");
    assert_true(f.c->eof && !f.c->reset);
    assert_true(fake_server_conn(f.server, 0).cut);
    stop(&f);
}

static void settings_pings_and_goaways_outside_of_answers(void **state)
{
    fixture f = start();

    (void)state;
    assert_true(h2_client_pump(f.c, &f.c->settings));
    fake_server_setting(f.server, 0, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 0);
    fake_server_ping(f.server, FAKE_ALL);
    fake_server_goaway(f.server, 0, 0, NGHTTP2_NO_ERROR, NULL);
    fake_server_cut(f.server, 0, FAKE_CUT_RST);
    assert_true(h2_client_pump_to_end(f.c));
    assert_true(f.c->reset || f.c->n_goaways == 1);
    assert_true(fake_server_wait_closed(f.server, 1, WAIT_MS));
    assert_int_equal(fake_server_open_count(f.server), 0);
    stop(&f);
}

static void max_concurrent_streams_reaches_the_client(void **state)
{
    fixture f = start();

    (void)state;
    assert_true(h2_client_pump(f.c, &f.c->settings));
    f.c->settings = false;
    fake_server_setting(f.server, 0, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 0);
    assert_true(h2_client_pump(f.c, &f.c->settings)); /* perhaps the ACK of ours: */
    f.c->settings = false;
    if (nghttp2_session_get_remote_settings(f.c->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS) != 0)
        assert_true(h2_client_pump(f.c, &f.c->settings));
    assert_int_equal(nghttp2_session_get_remote_settings(f.c->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS), 0);
    stop(&f);
}

static void connection_scripts(void **state)
{
    fake_server *server = fake_server_start(NULL);
    static const fake_script scripts[] = {{.kind = FAKE_CONN_CLOSE},
                                          {.kind = FAKE_CONN_ABORT},
                                          {.kind = FAKE_CONN_TEXT, .text = "HTTP/1.1 400\r\n\r\n", .text_len = 16}};
    char answer[64];

    (void)state;
    for (size_t i = 0; i < 3; i++)
        fake_server_script(server, &scripts[i]);
    for (size_t i = 0; i < 3; i++) {
        int fd = h2_dial(fake_server_endpoint(server));
        ssize_t sent, n;

        assert_true(fd >= 0);
        sent = send(fd, "x", 1, MSG_NOSIGNAL);
        n = recv(fd, answer, sizeof answer, MSG_WAITALL);
        if (i == 1)
            assert_true(sent < 0 || n < 0); /* the reset is reported once, by either */
        else
            assert_int_equal(n, i == 0 ? 0 : 16);
        close(fd);
    }
    assert_true(fake_server_wait_closed(server, 3, WAIT_MS));
    assert_int_equal(fake_server_conn(server, 2).bytes_read, 1);
    fake_server_stop(server);
}

static void silent_connections_read_only(void **state)
{
    fake_server *server = fake_server_start(NULL);
    h2_client *c;
    struct pollfd ready;

    (void)state;
    fake_server_script(server, &(fake_script){.kind = FAKE_CONN_SILENT});
    c = h2_client_open(fake_server_endpoint(server));
    h2_client_flush(c);
    ready = (struct pollfd){c->fd, POLLIN, 0};
    assert_true(fake_server_wait_conns(server, 1, WAIT_MS));
    for (int ms = 0; fake_server_conn(server, 0).bytes_read == 0; ms++) { /* bytes alone wake nobody who waits */
        assert_true(ms < WAIT_MS);
        (void)poll(NULL, 0, 1);
    }
    assert_int_equal(poll(&ready, 1, 50), 0);
    h2_client_close(c);
    fake_server_stop(server);
}

static void refuses_while_deaf(void **state)
{
    fake_server *server = fake_server_start(&(fake_options){.deaf = true});
    h2_client *c;
    int fd = h2_dial(fake_server_endpoint(server));

    (void)state;
    assert_int_equal(fd, -1);
    assert_int_equal(errno, ECONNREFUSED);
    fake_server_listen(server, true);
    c = h2_client_open(fake_server_endpoint(server));
    assert_true(fake_server_wait_conns(server, 1, WAIT_MS));
    fake_server_listen(server, false);
    assert_int_equal(h2_dial(fake_server_endpoint(server)), -1);
    assert_int_equal(fake_server_open_count(server), 1);
    fake_server_listen(server, true);
    h2_client_close(c);
    fd = h2_dial(fake_server_endpoint(server));
    assert_true(fd >= 0);
    close(fd);
    fake_server_stop(server);
}

static void cuts_after_exact_bytes(void **state)
{
    fixture f = start();
    h2_reply *r = put(&f);
    uint64_t total;

    (void)state;
    assert_true(h2_client_pump(f.c, &r->closed));
    total = f.c->bytes_read;
    stop(&f);
    for (int cut = FAKE_CUT_FIN; cut <= FAKE_CUT_RST; cut++)
        for (uint64_t at = 0; at < total; at += 7) {
            f.server = fake_server_start(NULL);
            fake_server_script(f.server, &(fake_script){.cut = (fake_cut)cut, .cut_side = FAKE_CUT_WRITTEN, .cut_at = at});
            f.c = h2_client_open(fake_server_endpoint(f.server));
            put(&f);
            assert_true(h2_client_pump_to_end(f.c));
            assert_int_equal(f.c->reset, cut == FAKE_CUT_RST);
            if (cut == FAKE_CUT_FIN)
                assert_int_equal(f.c->bytes_read, at);
            assert_int_equal(fake_server_conn(f.server, 0).bytes_written, at);
            stop(&f);
        }
}

static void cuts_when_exact_bytes_were_read(void **state)
{
    fixture f = start();
    h2_reply *r = put(&f);
    uint64_t total;

    (void)state;
    h2_client_flush(f.c);
    total = f.c->bytes_written;
    assert_true(h2_client_pump(f.c, &r->closed));
    stop(&f);
    for (uint64_t at = 0; at <= total; at++) {
        f.server = fake_server_start(NULL);
        fake_server_script(f.server, &(fake_script){.cut = FAKE_CUT_FIN, .cut_side = FAKE_CUT_READ, .cut_at = at});
        f.c = h2_client_open(fake_server_endpoint(f.server));
        r = put(&f);
        assert_true(h2_client_pump_to_end(f.c));
        assert_false(f.c->reset);
        assert_string_equal(r->grpc_status, "");
        assert_int_equal(fake_server_conn(f.server, 0).bytes_read, at);
        assert_int_equal(fake_server_count(f.server, FAKE_PUT), at == total);
        stop(&f);
    }
}

static void answer_flood(fake_request *request, void *arg)
{
    fake_flood flood = *(fake_flood *)arg;

    if (flood == FAKE_FLOOD_EMPTY_DATA || flood == FAKE_FLOOD_DATA)
        fake_reply_headers(request);
    fake_reply_flood(request, flood);
}

static void floods_until_the_client_is_gone(void **state)
{
    (void)state;
    for (fake_flood flood = FAKE_FLOOD_PING; flood <= FAKE_FLOOD_INFORMATIONAL; flood++) {
        fake_server *server = fake_server_start(NULL);
        h2_client *c = h2_client_open(fake_server_endpoint(server));
        uint8_t chunk[65536];
        size_t total = 0;
        ssize_t n;

        fake_server_handle(server, FAKE_PUT, answer_flood, &flood);
        h2_client_call(c, FAKE_PUT, put_kv, sizeof put_kv);
        h2_client_flush(c);
        while (total < (4u << 20) && (n = recv(c->fd, chunk, sizeof chunk, 0)) > 0)
            total += (size_t)n;
        assert_true(total >= (4u << 20));
        h2_client_close(c);
        assert_true(fake_server_wait_closed(server, 1, WAIT_MS));
        fake_server_stop(server);
    }
}

static void answer_giant(fake_request *request, void *arg)
{
    (void)arg;
    fake_reply_giant_headers(request, 40000);
}

static void giant_headers_are_well_formed(void **state)
{
    fixture f = start();
    h2_reply *r;

    (void)state;
    fake_server_handle(f.server, FAKE_PUT, answer_giant, NULL);
    r = put(&f);
    assert_true(h2_client_pump(f.c, &r->headers));
    assert_string_equal(r->status, "200");
    assert_true(r->header_bytes >= 39000);
    stop(&f);
}

static void answer_endless(fake_request *request, void *arg)
{
    (void)arg;
    fake_reply_headers(request);
    fake_reply_endless(request, 0xffffffff);
}

static void endless_messages_obey_the_window(void **state)
{
    fixture f = start();
    bool enough = false;
    h2_reply *r;

    (void)state;
    fake_server_handle(f.server, FAKE_PUT, answer_endless, NULL);
    r = put(&f);
    for (int i = 0; i < 100 && r->body_total < 65535; i++) {
        struct pollfd ready = {f.c->fd, POLLIN, 0};
        uint8_t chunk[65536];
        ssize_t n;

        h2_client_flush(f.c);
        assert_int_equal(poll(&ready, 1, WAIT_MS), 1);
        n = recv(f.c->fd, chunk, sizeof chunk, 0);
        assert_true(n > 0);
        assert_int_equal(nghttp2_session_mem_recv(f.c->session, chunk, (size_t)n), n);
        enough = r->body_total >= 65535;
    }
    assert_true(enough);
    assert_memory_equal(r->body, "\0\xff\xff\xff\xff\0\0", 7);
    stop(&f);
}

/* Whether what the server drips was met half-way: not when this thread came later than all of it. */
static bool meet_drops(fake_server *server)
{
    int fd = h2_dial(fake_server_endpoint(server));
    uint8_t chunk[64];
    ssize_t first = recv(fd, chunk, sizeof chunk, 0), n, total; /* of its SETTINGS, an empty frame of 9 bytes */

    assert_true(first >= 1);
    for (total = first; total < 9; total += n)
        assert_true((n = recv(fd, chunk, sizeof chunk, 0)) > 0);
    assert_int_equal(total, 9);
    close(fd);
    return first < 9;
}

static void drips_single_bytes(void **state)
{
    fake_server *server = fake_server_start(NULL);
    bool dripped = false;

    (void)state;
    fake_server_script_rest(server, &(fake_script){.drip = true});
    for (int i = 0; i < 1000 && !dripped; i++)
        dripped = meet_drops(server);
    assert_true(dripped);
    fake_server_stop(server);
}

static void blackholes_do_not_answer(void **state)
{
    fake_blackhole hole;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct pollfd ready = {-1, POLLOUT, 0};

    (void)state;
    fake_blackhole_open(&hole);
    address.sin_port = htons((uint16_t)strtol(strrchr(hole.endpoint, ':') + 1, NULL, 10));
    ready.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(ready.fd, (struct sockaddr *)&address, sizeof address), -1);
    assert_int_equal(errno, EINPROGRESS);
    assert_int_equal(poll(&ready, 1, 100), 0);
    close(ready.fd);
    fake_blackhole_close(&hole);
}

static void answer_html(fake_request *request, void *arg)
{
    (void)arg;
    fake_reply_http(request, "502", "text/html");
    fake_reply_data(request, "<html>", 6, true);
}

static void http_errors(void **state)
{
    fixture f = start();
    h2_reply *r;

    (void)state;
    fake_server_handle(f.server, NULL, answer_html, NULL);
    r = put(&f);
    assert_true(h2_client_pump(f.c, &r->closed));
    assert_string_equal(r->status, "502");
    assert_string_equal(r->type, "text/html");
    assert_memory_equal(r->body, "<html>", 6);
    assert_string_equal(r->grpc_status, "");
    fake_server_handle(f.server, NULL, NULL, NULL);
    r = put(&f);
    assert_true(h2_client_pump(f.c, &r->closed));
    assert_string_equal(r->grpc_status, "0");
    stop(&f);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(put_and_get_over_tcp),
    cmocka_unit_test(put_and_get_over_unix),
    cmocka_unit_test(get_answers_what_was_put),
    cmocka_unit_test(unknown_methods_are_unimplemented),
    cmocka_unit_test(statuses_in_trailers_and_trailers_only),
    cmocka_unit_test(resets_come_where_they_are_told),
    cmocka_unit_test(early_handlers_run_before_the_body),
    cmocka_unit_test(gates_hold_answers),
    cmocka_unit_test(client_resets_are_logged),
    cmocka_unit_test(goaways_are_sent_as_told),
    cmocka_unit_test(settings_pings_and_goaways_outside_of_answers),
    cmocka_unit_test(max_concurrent_streams_reaches_the_client),
    cmocka_unit_test(connection_scripts),
    cmocka_unit_test(silent_connections_read_only),
    cmocka_unit_test(refuses_while_deaf),
    cmocka_unit_test(cuts_after_exact_bytes),
    cmocka_unit_test(cuts_when_exact_bytes_were_read),
    cmocka_unit_test(floods_until_the_client_is_gone),
    cmocka_unit_test(giant_headers_are_well_formed),
    cmocka_unit_test(endless_messages_obey_the_window),
    cmocka_unit_test(drips_single_bytes),
    cmocka_unit_test(blackholes_do_not_answer),
    cmocka_unit_test(http_errors),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
