/* See lease_service.h. */
#include "fake/lease_service.h"

/* The first message of a stream is answered with headers before. */
static void open_answer(service *s, fake_request *request)
{
    if (s->conn == request->conn && s->stream_id == request->stream_id)
        return;
    s->conn = request->conn;
    s->stream_id = request->stream_id;
    atomic_fetch_add(&s->streams, 1);
    fake_reply_headers(request);
}

static void keep_alive(fake_request *request, void *arg)
{
    const etcd__lease_keep_alive_request *message = request->message;
    service *s = arg;
    etcd_keepalive_response answer = {.header = {.cluster_id = 7, .revision = 3}, .ttl_s = atomic_load(&s->ttl_s)};
    int status = atomic_load(&s->status);

    open_answer(s, request);
    if (request->complete && !message) {
        fake_reply_status(request, 0, NULL);
        return;
    }
    answer.id = message->id;
    if (message->id == GONE)
        answer.ttl_s = 0;
    if (status != 0)
        fake_reply_status(request, status, NULL);
    else if (atomic_load(&s->garbled))
        fake_reply_payload(request, 0, "\x0a\xff\xff\xff\xff\x0f", 6);
    else if (!atomic_load(&s->silent))
        fake_reply_message(request, &etcd__keepalive_response_type, &answer);
    if (request->complete)
        fake_reply_status(request, 0, NULL);
}

service the_service;

etcd_client *begin(bool manual)
{
    service *s = &the_service;

    s->conn = -1;
    atomic_store(&s->ttl_s, LONG_TTL_S);
    s->server = fake_server_start(NULL);
    fake_server_handle_messages(s->server, FAKE_KEEP_ALIVE, keep_alive, s);
    return fake_client(fake_server_endpoint(s->server), manual);
}

void finish(etcd_client *client)
{
    etcd_client_free(client);
    assert_int_equal(fake_server_violations(the_service.server), 0);
    fake_server_stop(the_service.server);
}

size_t asked(void)
{
    return fake_server_count(the_service.server, FAKE_KEEP_ALIVE);
}

etcd_keepalive *open_one(etcd_client *client, int64_t lease, int64_t ttl_s)
{
    etcd_keepalive *keepalive;
    etcd_error err;

    if (etcd_keepalive_open(client, lease, ETCD_KEEPALIVE(.ttl_s = ttl_s), &keepalive, &err) != ETCD_OK)
        fail_msg("etcd_keepalive_open: %s", err.message);
    return keepalive;
}

void take_answer(etcd_keepalive *keepalive)
{
    etcd_keepalive_response *answer;
    etcd_error err;

    if (etcd_keepalive_next(keepalive, FAKE_WAIT_MS, &answer, &err) != ETCD_OK)
        fail_msg("etcd_keepalive_next: %s", err.message);
    assert_int_equal(answer->id, etcd_keepalive_lease(keepalive));
    assert_int_equal(answer->ttl_s, atomic_load(&the_service.ttl_s));
    assert_int_equal(answer->header.cluster_id, 7);
    etcd_response_free(answer);
}

int take_all(etcd_keepalive *keepalive)
{
    etcd_keepalive_response *answer;
    int n = 0;

    for (; etcd_keepalive_next(keepalive, 0, &answer, NULL) == ETCD_OK; n++)
        etcd_response_free(answer);
    return n;
}

void await_count(atomic_int *count, int n)
{
    int64_t until = fake_now_ms() + FAKE_WAIT_MS;

    while (atomic_load(count) < n && fake_now_ms() < until)
        fake_sleep_ms(1);
    assert_int_equal(atomic_load(count), n);
}
