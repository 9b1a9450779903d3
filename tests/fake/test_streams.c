/* The door for streams, below the services that use it: streaming calls of the channel, jobs for the driver, what is kept per
 * client, and the mailbox. */
#include "harness/fake_fixture.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "channel/channel.h"
#include "client/client.h"
#include "client/mailbox.h"
#include "wire/response.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

/* ---- a stream of keep-alives, driven in manual mode ---- */

typedef struct stream {
    etcd__call call;
    etcd__job start;
    etcd_client *client;
    fake_server *server;
    int opened, messages, ended;
    int code;
    bool again, cancel_in_open, cancel_in_message;
} stream;

static void send_id(stream *s, int64_t id)
{
    const etcd__lease_keep_alive_request request = {.id = id};
    uint8_t message[64];
    size_t len = etcd__pb_encoded_size(&etcd__lease_keep_alive_request_type, &request);

    etcd__grpc_prefix_write(message, (uint32_t)len);
    etcd__pb_encode(&etcd__lease_keep_alive_request_type, &request, message + ETCD__GRPC_PREFIX, len);
    assert_int_equal(etcd__channel_send(&s->call, message, ETCD__GRPC_PREFIX + len, false), ETCD_OK);
}

static void on_open(etcd__call *call)
{
    stream *s = ETCD__CONTAINER_OF(call, stream, call);

    s->opened++;
    if (s->cancel_in_open)
        etcd__channel_cancel(s->client->io.channel, call, ETCD_ERR_CANCELED);
    else
        send_id(s, 1);
}

static void on_message(etcd__call *call, uint8_t *data, size_t len)
{
    stream *s = ETCD__CONTAINER_OF(call, stream, call);

    (void)len;
    etcd__free(data);
    s->messages++;
    if (s->cancel_in_message)
        etcd__channel_cancel(s->client->io.channel, call, ETCD_ERR_CANCELED);
}

static void on_done(etcd__call *call)
{
    stream *s = ETCD__CONTAINER_OF(call, stream, call);

    s->ended++;
    s->code = call->code;
    s->again = call->again;
    etcd__free(call->error);
    call->error = NULL;
}

static void start(etcd__job *job)
{
    stream *s = ETCD__CONTAINER_OF(job, stream, start);

    s->call = (etcd__call){.method = &etcd__rpc_methods[ETCD__RPC_LEASE_KEEP_ALIVE],
                           .deadline = ETCD__NEVER,
                           .streaming = true,
                           .endless = true,
                           .read_only = true,
                           .require_leader = true,
                           .on_open = on_open,
                           .on_message = on_message,
                           .on_done = on_done};
    etcd__channel_start(s->client->io.channel, &s->call);
}

/* Answers each message with its lease. */
static void keep_alive_handler(fake_request *request, void *arg)
{
    const etcd__lease_keep_alive_request *message = request->message;

    (void)arg;
    if (request->complete) {
        fake_reply_status(request, 0, NULL);
        return;
    }
    if (message->id == 1)
        fake_reply_headers(request);
    fake_reply_message(request, &etcd__keepalive_response_type, &(etcd_keepalive_response){.id = message->id, .ttl_s = 9});
}

static void open_stream(stream *s, fake_server *server, bool manual)
{
    *s = (stream){.client = fake_client(fake_server_endpoint(server), manual), .server = server, .start.fn = start};
    fake_server_handle_messages(server, FAKE_KEEP_ALIVE, keep_alive_handler, NULL);
    etcd__list_init(&s->start.node);
    assert_true(etcd__driver_post(s->client, &s->start));
}

static void turn_until(stream *s, const int *count, int wanted)
{
    int64_t until = fake_now_ms() + FAKE_WAIT_MS;

    while (*count < wanted && fake_now_ms() < until)
        assert_int_equal(etcd_client_process(s->client, 100, NULL), ETCD_OK);
    assert_true(*count >= wanted);
}

static void close_stream(stream *s)
{
    etcd_client_free(s->client);
    fake_server_stop(s->server);
    assert_int_equal(s->ended, 1);
}

static void messages_go_either_way(void **state)
{
    stream s;
    fake_seen first;

    (void)state;
    open_stream(&s, fake_server_start(NULL), true);
    turn_until(&s, &s.messages, 1);
    assert_int_equal(s.opened, 1);
    for (int i = 2; i <= 5; i++)
        send_id(&s, i);
    turn_until(&s, &s.messages, 5);
    assert_int_equal(fake_server_count(s.server, FAKE_KEEP_ALIVE), 5);
    first = fake_server_seen(s.server, 0);
    assert_string_equal(fake_seen_header(&first, "hasleader"), "true");
    close_stream(&s);
    assert_int_equal(s.code, ETCD_ERR_CLOSED);
    assert_false(s.again);
}

static void a_lost_connection_is_worth_another_stream(void **state)
{
    stream s;

    (void)state;
    open_stream(&s, fake_server_start(NULL), true);
    turn_until(&s, &s.messages, 1);
    fake_server_cut(s.server, FAKE_ALL, FAKE_CUT_RST);
    turn_until(&s, &s.ended, 1);
    assert_int_equal(s.code, ETCD_ERR_UNAVAILABLE);
    assert_true(s.again);
    s.ended = 0;
    assert_true(etcd__driver_post(s.client, &s.start));
    turn_until(&s, &s.messages, 2);
    close_stream(&s);
}

static void a_stream_leaves_a_connection_that_drains(void **state)
{
    int64_t until = fake_now_ms() + FAKE_WAIT_MS;
    stream s;

    (void)state;
    open_stream(&s, fake_server_start(NULL), true);
    turn_until(&s, &s.messages, 1);
    fake_server_goaway(s.server, FAKE_ALL, INT32_MAX, 0, NULL);
    turn_until(&s, &s.ended, 1);
    assert_true(s.again);
    while (fake_server_conn(s.server, 0).closed_ns == 0 && fake_now_ms() < until) /* nothing holds it any more */
        assert_int_equal(etcd_client_process(s.client, 10, NULL), ETCD_OK);
    assert_true(fake_server_conn(s.server, 0).closed_ns != 0);
    s.ended = 0;
    assert_true(etcd__driver_post(s.client, &s.start));
    turn_until(&s, &s.messages, 2);
    close_stream(&s);
}

/* The server's last word on a stream. */
static void end_with(fake_request *request, void *status)
{
    fake_reply_status(request, *(const int *)status, NULL);
}

static void ends_are_judged(void **state)
{
    static const struct {
        int status;
        int code;
        bool again;
    } ends[] = {{0, ETCD_OK, false},
                {1, ETCD_ERR_CANCELED, true},
                {3, ETCD_ERR_INVALID_ARGUMENT, false},
                {7, ETCD_ERR_GRPC_PERMISSION_DENIED, false},
                {12, ETCD_ERR_UNIMPLEMENTED, false},
                {13, ETCD_ERR_INTERNAL, true},
                {14, ETCD_ERR_UNAVAILABLE, true},
                {16, ETCD_ERR_UNAUTHENTICATED, false}};

    (void)state;
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        int status = ends[i].status;
        stream s;

        open_stream(&s, fake_server_start(NULL), true);
        turn_until(&s, &s.messages, 1);
        assert_true(fake_server_on_stream(s.server, FAKE_KEEP_ALIVE, end_with, &status));
        turn_until(&s, &s.ended, 1);
        assert_int_equal(s.code, ends[i].code);
        assert_int_equal(s.again, ends[i].again);
        close_stream(&s);
    }
}

static void a_stream_is_canceled_at_the_server(void **state)
{
    (void)state;
    for (int in_open = 0; in_open < 2; in_open++) {
        stream s;

        open_stream(&s, fake_server_start(NULL), true);
        s.cancel_in_open = in_open;
        s.cancel_in_message = !in_open;
        turn_until(&s, &s.ended, 1);
        assert_int_equal(s.code, ETCD_ERR_CANCELED);
        assert_int_equal(s.messages, !in_open);
        close_stream(&s);
    }
}

/* ---- the mailbox ---- */

static void *letter(int number)
{
    int *response = etcd__response_new(sizeof *response);

    assert_non_null(response);
    *response = number;
    return response;
}

static void check_letter(etcd__mailbox *mailbox, int number)
{
    void *response;
    etcd_error err;

    assert_int_equal(etcd__mailbox_take(mailbox, 0, &response, &err), ETCD_OK);
    assert_int_equal(*(int *)response, number);
    etcd_response_free(response);
}

static bool is_readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    assert_true(fd >= 0);
    return poll(&p, 1, 0) == 1;
}

static void what_is_put_comes_out_in_order(void **state)
{
    etcd_client *client = fake_client("127.0.0.1:1", false);
    etcd__mailbox mailbox;
    void *response;
    etcd_error err, why;
    int fd;

    (void)state;
    assert_int_equal(etcd__mailbox_init(&mailbox, client, &err), ETCD_OK);
    fd = etcd__mailbox_fd(&mailbox);
    assert_false(is_readable(fd));
    assert_int_equal(etcd__mailbox_take(&mailbox, 0, &response, &err), ETCD_ERR_TIMED_OUT);
    for (int round = 0, next = 0, taken = 0; round < 20; round++) {
        for (int i = 0; i < 7; i++)
            assert_int_equal(etcd__mailbox_put(&mailbox, letter(next++), 10), ETCD_OK);
        assert_true(is_readable(fd));
        for (int i = 0; i < 5; i++)
            check_letter(&mailbox, taken++);
    }
    assert_int_equal(etcd__mailbox_count(&mailbox), 40);
    assert_int_equal(etcd__mailbox_bytes(&mailbox), 400);
    assert_true(etcd__mailbox_drop_oldest(&mailbox));
    for (int i = 101; i < 140; i++)
        check_letter(&mailbox, i);
    assert_false(is_readable(fd));
    assert_false(etcd__mailbox_drop_oldest(&mailbox));

    assert_int_equal(etcd__mailbox_put(&mailbox, letter(140), 1), ETCD_OK);
    etcd__error_set(&why, ETCD_ERR_COMPACTED, "compacted at 7");
    etcd__mailbox_end(&mailbox, &why, false);
    check_letter(&mailbox, 140);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(etcd__mailbox_take(&mailbox, -1, &response, &err), ETCD_ERR_COMPACTED);
        assert_string_equal(err.message, "compacted at 7");
        assert_null(response);
        assert_true(is_readable(fd));
    }
    etcd__mailbox_free(&mailbox);
    etcd_client_free(client);
}

static void an_end_may_drop_what_is_queued(void **state)
{
    etcd_client *client = fake_client("127.0.0.1:1", false);
    etcd__mailbox mailbox;
    void *response;
    etcd_error err, why;

    (void)state;
    assert_int_equal(etcd__mailbox_init(&mailbox, client, &err), ETCD_OK);
    assert_int_equal(etcd__mailbox_put(&mailbox, letter(1), 1), ETCD_OK);
    etcd__error_set(&why, ETCD_ERR_CANCELED, "canceled");
    etcd__mailbox_end(&mailbox, &why, true);
    assert_int_equal(etcd__mailbox_take(&mailbox, 0, &response, &err), ETCD_ERR_CANCELED);
    etcd__mailbox_free(&mailbox);
    etcd_client_free(client);
}

enum { LETTERS = 20000 };

static void *put_letters(void *mailbox)
{
    for (int i = 0; i < LETTERS; i++)
        assert_int_equal(etcd__mailbox_put(mailbox, letter(i), 1), ETCD_OK);
    return NULL;
}

static void a_consumer_waits_for_another_thread(void **state)
{
    etcd_client *client = fake_client("127.0.0.1:1", false);
    etcd__mailbox mailbox;
    pthread_t thread;
    etcd_error err;
    void *response;

    (void)state;
    assert_int_equal(etcd__mailbox_init(&mailbox, client, &err), ETCD_OK);
    assert_int_equal(pthread_create(&thread, NULL, put_letters, &mailbox), 0);
    for (int i = 0; i < LETTERS; i++) {
        assert_int_equal(etcd__mailbox_take(&mailbox, FAKE_WAIT_MS, &response, &err), ETCD_OK);
        assert_int_equal(*(int *)response, i);
        etcd_response_free(response);
    }
    pthread_join(thread, NULL);
    assert_int_equal(etcd__mailbox_take(&mailbox, 1, &response, &err), ETCD_ERR_TIMED_OUT);
    etcd__mailbox_free(&mailbox);
    etcd_client_free(client);
}

/* ---- jobs ---- */

typedef struct counted_job {
    etcd__job job;
    atomic_int runs;
} counted_job;

static void count_run(etcd__job *job)
{
    ETCD__CONTAINER_OF(job, counted_job, job)->runs++;
}

static void a_job_runs_once_for_each_post(void **state)
{
    etcd_client *client = fake_client("127.0.0.1:1", false);
    counted_job job = {.job.fn = count_run};
    int64_t until = fake_now_ms() + FAKE_WAIT_MS;

    (void)state;
    for (int i = 1; i <= 100; i++) {
        assert_true(etcd__driver_post(client, &job.job));
        while (atomic_load(&job.runs) < i && fake_now_ms() < until)
            fake_sleep_ms(1); /* valgrind runs one thread at a time, and not in turn those that only yield */
        assert_int_equal(atomic_load(&job.runs), i);
    }
    etcd_client_close(client);
    assert_false(etcd__driver_post(client, &job.job));
    assert_int_equal(atomic_load(&job.runs), 100);
    etcd_client_free(client);
}

static void a_job_posted_before_the_close_runs(void **state)
{
    etcd_client *client = fake_client("127.0.0.1:1", true);
    counted_job job = {.job.fn = count_run};

    (void)state;
    assert_true(etcd__driver_post(client, &job.job));
    etcd_client_close(client);
    assert_int_equal(atomic_load(&job.runs), 1);
    etcd_client_free(client);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(messages_go_either_way),
    cmocka_unit_test(a_lost_connection_is_worth_another_stream),
    cmocka_unit_test(a_stream_leaves_a_connection_that_drains),
    cmocka_unit_test(ends_are_judged),
    cmocka_unit_test(a_stream_is_canceled_at_the_server),
    cmocka_unit_test(what_is_put_comes_out_in_order),
    cmocka_unit_test(an_end_may_drop_what_is_queued),
    cmocka_unit_test(a_consumer_waits_for_another_thread),
    cmocka_unit_test(a_job_runs_once_for_each_post),
    cmocka_unit_test(a_job_posted_before_the_close_runs),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
