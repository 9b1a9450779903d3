/* etcd_alarm_disarm() of all alarms: one call of several round trips, with one id, one deadline, one end. */
#include "harness/alloc.h"
#include "harness/fake_fixture.h"
#include "wire/services.h"

#include <string.h>

#define ALARM "/etcdserverpb.Maintenance/Alarm"

static const etcd_alarm_member armed[] = {{1, ETCD_ALARM_NOSPACE},
                                          {2, ETCD_ALARM_NOSPACE},
                                          {1, ETCD_ALARM_CORRUPT},
                                          {UINT64_MAX, 7 /* of a later etcd */}};
enum { N_ARMED = sizeof armed / sizeof armed[0] };

/* What the server does with the request of this number besides; all others are answered as they should be. */
typedef struct fault {
    size_t at;
    enum { NO_FAULT, GONE, DENIED, CUT, HANG, MALFORMED, TOO_MANY } kind;
} fault;

static void reply(fake_request *request, const etcd_alarm_member *alarms, size_t n)
{
    const etcd_alarm_response response = {.header = {.cluster_id = 5}, .alarms = alarms, .n_alarms = n};

    fake_reply_headers(request);
    fake_reply_message(request, &etcd__alarm_response_type, &response);
    fake_reply_status(request, 0, NULL);
}

static void break_rules(fake_request *request, const fault *f)
{
    switch (f->kind) {
    case GONE:
        reply(request, NULL, 0);
        break;
    case DENIED:
        fake_reply_trailers_only(request, 7, "etcdserver: permission denied");
        break;
    case CUT:
        fake_reply_cut(request, FAKE_CUT_RST);
        break;
    case MALFORMED:
        fake_reply_headers(request);
        fake_reply_payload(request, 0, "\xff\xff", 2);
        fake_reply_status(request, 0, NULL);
        break;
    case TOO_MANY:
        reply(request, armed, N_ARMED);
        break;
    default: /* no answer */
        break;
    }
}

static void serve_alarms(fake_request *request, void *arg)
{
    const etcd__alarm_request *alarm = request->message;
    const etcd_alarm_member disarmed = {alarm->member_id, alarm->alarm};
    const fault *f = arg;

    if (f->kind != NO_FAULT && request->number == f->at)
        break_rules(request, f);
    else if (alarm->action == ETCD_ALARM_GET)
        reply(request, armed, N_ARMED);
    else
        reply(request, &disarmed, 1);
}

typedef struct fixture {
    fake_server *server;
    etcd_client *client;
    fault fault;
} fixture;

static void start(fixture *f, bool manual)
{
    f->server = fake_server_start(NULL);
    fake_server_handle(f->server, ALARM, serve_alarms, &f->fault);
    f->client = fake_client(fake_server_endpoint(f->server), manual);
}

static void stop(fixture *f)
{
    etcd_client_free(f->client);
    fake_server_stop(f->server);
}

static int disarm(fixture *f, etcd_alarm_response **response, etcd_error *err)
{
    return etcd_alarm_disarm(f->client, 0, ETCD_ALARM_NONE, ETCD_CALL(.timeout_ms = FAKE_WAIT_MS), response, err);
}

/* The requests were: list, then disarm the first n - 1. */
static void check_requests(fixture *f, size_t n)
{
    assert_int_equal(fake_server_count(f->server, ALARM), n);
    for (size_t i = 0; i < n; i++) {
        const fake_seen seen = fake_server_seen(f->server, i);
        const etcd__alarm_request list = {.action = ETCD_ALARM_GET};
        etcd__alarm_request expected = list;
        uint8_t bytes[64];

        if (i > 0)
            expected = (etcd__alarm_request){ETCD_ALARM_DEACTIVATE, armed[i - 1].member_id, armed[i - 1].alarm};
        assert_int_equal(seen.payload_len, etcd__pb_encoded_size(&etcd__alarm_request_type, &expected));
        etcd__pb_encode(&etcd__alarm_request_type, &expected, bytes, seen.payload_len);
        assert_memory_equal(seen.payload, bytes, seen.payload_len);
    }
}

static void check_response(const etcd_alarm_response *response)
{
    assert_non_null(response);
    assert_true(response->header.cluster_id == 0);
    assert_int_equal(response->n_alarms, N_ARMED);
    for (size_t i = 0; i < N_ARMED; i++) {
        assert_true(response->alarms[i].member_id == armed[i].member_id);
        assert_int_equal(response->alarms[i].alarm, armed[i].alarm);
    }
}

/* ---- as it should be ---- */

static void all_are_disarmed_one_after_the_other(void **state)
{
    (void)state;
    for (int manual = 0; manual <= 1; manual++) {
        fixture f = {0};
        etcd_alarm_response *response;
        etcd_error err;

        start(&f, manual);
        assert_int_equal(disarm(&f, &response, &err), ETCD_OK);
        check_response(response);
        etcd_response_free(response);
        check_requests(&f, 1 + N_ARMED);
        assert_int_equal(disarm(&f, NULL, &err), ETCD_OK);
        stop(&f);
    }
}

static void the_completion_queue_gets_one_end(void **state)
{
    fixture f = {0};
    etcd_completion *completion;
    etcd_call_id id;
    etcd_error err;

    (void)state;
    start(&f, true);
    assert_int_equal(etcd_alarm_disarm_async(f.client, 0, 0, ETCD_CALL(.timeout_ms = FAKE_WAIT_MS), NULL, &f, &id, &err),
                     ETCD_OK);
    assert_int_equal(etcd_client_next_completion(f.client, FAKE_WAIT_MS, &completion, &err), ETCD_OK);
    assert_true(completion->id == id);
    assert_int_equal(completion->type, ETCD_CALL_ALARM_DISARM);
    assert_ptr_equal(completion->arg, &f);
    check_response(completion->response);
    etcd_response_free(completion);
    assert_int_equal(etcd_client_next_completion(f.client, 0, &completion, &err), ETCD_ERR_TIMED_OUT);
    stop(&f);
}

typedef struct ending {
    int times, code;
    uint32_t flags;
    etcd_alarm_response *response;
} ending;

static void on_disarm(etcd_client *client, etcd_alarm_response *response, const etcd_error *err, void *arg)
{
    ending *e = arg;

    (void)client;
    e->times++;
    e->code = err ? err->code : ETCD_OK;
    e->flags = err ? err->flags : 0;
    e->response = response;
}

static void start_disarming(fixture *f, int64_t timeout_ms, ending *e, etcd_call_id *id)
{
    etcd_error err;

    assert_int_equal(etcd_alarm_disarm_async(f->client, 0, 0, ETCD_CALL(.timeout_ms = timeout_ms), on_disarm, e, id, &err),
                     ETCD_OK);
}

static void await(fixture *f, const ending *e)
{
    while (e->times == 0)
        assert_int_equal(etcd_client_process(f->client, -1, NULL), ETCD_OK);
}

static void a_callback_gets_one_end(void **state)
{
    fixture f = {0};
    etcd_call_id id;
    ending e = {0};

    (void)state;
    start(&f, true);
    start_disarming(&f, FAKE_WAIT_MS, &e, &id);
    await(&f, &e);
    assert_int_equal(e.code, ETCD_OK);
    check_response(e.response);
    etcd_response_free(e.response);
    assert_int_equal(etcd_call_cancel(f.client, id), ETCD_ERR_CALL_NOT_FOUND);
    stop(&f);
    assert_int_equal(e.times, 1);
}

static void an_alarm_that_is_gone_is_left_out(void **state)
{
    fixture f = {.fault = {2, GONE}};
    etcd_alarm_response *response;
    etcd_error err;

    (void)state;
    start(&f, true);
    assert_int_equal(disarm(&f, &response, &err), ETCD_OK);
    assert_int_equal(response->n_alarms, N_ARMED - 1);
    assert_int_equal(response->alarms[1].alarm, ETCD_ALARM_CORRUPT);
    etcd_response_free(response);
    check_requests(&f, 1 + N_ARMED);
    stop(&f);
}

static void no_alarms_are_a_success(void **state)
{
    fixture f = {.fault = {0, GONE}};
    etcd_alarm_response *response;
    etcd_error err;

    (void)state;
    start(&f, true);
    assert_int_equal(disarm(&f, &response, &err), ETCD_OK);
    assert_int_equal(response->n_alarms, 0);
    etcd_response_free(response);
    check_requests(&f, 1);
    stop(&f);
}

/* ---- faults ---- */

static void check_fault(fault what, int code, bool maybe_applied, size_t n_requests)
{
    for (int manual = 0; manual <= 1; manual++) {
        fixture f = {.fault = what};
        etcd_alarm_response *response = (void *)&f;
        etcd_error err;

        start(&f, manual);
        if (disarm(&f, &response, &err) != code)
            fail_msg("%s instead of %s: %s", etcd_error_name(err.code), etcd_error_name(code), err.message);
        assert_null(response);
        assert_int_equal((err.flags & ETCD_ERROR_MAYBE_APPLIED) != 0, maybe_applied);
        assert_string_equal(err.endpoint, fake_server_endpoint(f.server));
        check_requests(&f, n_requests);
        stop(&f);
    }
}

static void an_error_ends_it(void **state)
{
    (void)state;
    check_fault((fault){0, DENIED}, ETCD_ERR_PERMISSION_DENIED, false, 1);
    check_fault((fault){1, DENIED}, ETCD_ERR_PERMISSION_DENIED, true, 2); /* others could have been disarmed before */
    check_fault((fault){3, DENIED}, ETCD_ERR_PERMISSION_DENIED, true, 4);
}

static void a_lost_connection_ends_it_unless_it_only_listed(void **state)
{
    fixture f = {.fault = {0, CUT}};
    etcd_alarm_response *response;
    etcd_error err;

    (void)state;
    start(&f, true);
    assert_int_equal(disarm(&f, &response, &err), ETCD_OK);
    check_response(response);
    etcd_response_free(response);
    assert_int_equal(fake_server_count(f.server, ALARM), 2 + N_ARMED);
    stop(&f);
    check_fault((fault){1, CUT}, ETCD_ERR_UNAVAILABLE, true, 2);
    check_fault((fault){N_ARMED, CUT}, ETCD_ERR_UNAVAILABLE, true, 1 + N_ARMED);
}

static void a_malformed_answer_ends_it(void **state)
{
    (void)state;
    check_fault((fault){0, MALFORMED}, ETCD_ERR_PROTOCOL, false, 1);
    check_fault((fault){2, MALFORMED}, ETCD_ERR_PROTOCOL, true, 3);
}

static void an_answer_of_too_many_alarms_counts_once(void **state)
{
    fixture f = {.fault = {1, TOO_MANY}};
    etcd_alarm_response *response;
    etcd_error err;

    (void)state;
    start(&f, true);
    assert_int_equal(disarm(&f, &response, &err), ETCD_OK);
    check_response(response);
    etcd_response_free(response);
    stop(&f);
}

/* With a deadline that leaves more and more time for what comes before the request that hangs. Returns how late the end was. */
static int64_t meet_deadline(void *timeout)
{
    fixture f = {.fault = {2, HANG}};
    int64_t begin, took, *timeout_ms = timeout;
    ending e = {0};

    start(&f, true);
    begin = fake_now_ms();
    start_disarming(&f, *timeout_ms, &e, NULL);
    await(&f, &e);
    took = fake_now_ms() - begin;
    assert_int_equal(e.code, ETCD_ERR_DEADLINE_EXCEEDED);
    assert_true(took >= *timeout_ms - 1);
    took -= *timeout_ms;
    if (fake_server_count(f.server, ALARM) == 3) {
        assert_true(e.flags & ETCD_ERROR_MAYBE_APPLIED);
        check_requests(&f, 3);
    } else {
        took = FAKE_WAIT_MS; /* all of the time was needed before */
        *timeout_ms *= 2;
    }
    stop(&f);
    return took;
}

static void it_has_one_deadline(void **state)
{
    int64_t timeout = fake_bound_ms(100);

    (void)state;
    fake_in_time(meet_deadline, &timeout, fake_bound_ms(50), "the deadline");
}

/* Drives the client until the server has seen n requests. */
static void process_until(fixture *f, size_t n)
{
    while (fake_server_count(f->server, ALARM) < n)
        assert_int_equal(etcd_client_process(f->client, 1, NULL), ETCD_OK);
}

static void it_is_canceled_by_its_id(void **state)
{
    fixture f = {.fault = {2, HANG}};
    etcd_call_id id;
    ending e = {0};

    (void)state;
    start(&f, true);
    start_disarming(&f, FAKE_WAIT_MS, &e, &id);
    process_until(&f, 3);
    assert_int_equal(etcd_call_cancel(f.client, id), ETCD_OK);
    await(&f, &e);
    assert_int_equal(e.code, ETCD_ERR_CANCELED);
    assert_true(e.flags & ETCD_ERROR_MAYBE_APPLIED);
    assert_null(e.response);
    stop(&f);
    assert_int_equal(e.times, 1);
}

static void closing_the_client_ends_it(void **state)
{
    fixture f = {.fault = {2, HANG}};
    ending e = {0};

    (void)state;
    start(&f, true);
    start_disarming(&f, FAKE_WAIT_MS, &e, NULL);
    process_until(&f, 3);
    etcd_client_close(f.client);
    assert_int_equal(e.times, 1);
    assert_int_equal(e.code, ETCD_ERR_CLOSED);
    stop(&f);
    assert_int_equal(e.times, 1);
}

/* ---- memory ---- */

static void every_allocation_may_fail(void **state)
{
    fixture f = {0};
    size_t live;

    (void)state;
    etcd_test_alloc_install();
    live = etcd_test_alloc_live();
    start(&f, true);
    for (int i = 0; i < 3; i++)
        assert_int_equal(disarm(&f, NULL, NULL), ETCD_OK);
    for (size_t k = 1;; k++) {
        etcd_alarm_response *response;
        etcd_error err;
        bool failed;
        int rc;

        etcd_test_alloc_fail_at(k);
        rc = disarm(&f, &response, &err);
        failed = etcd_test_alloc_failed();
        etcd_test_alloc_fail_at(0);
        if (rc == ETCD_OK)
            check_response(response);
        else if (rc != ETCD_ERR_NO_MEMORY)
            fail_msg("allocation %zu: %s: %s", k, etcd_error_name(rc), err.message);
        etcd_response_free(response);
        if (!failed)
            break;
    }
    etcd_client_free(f.client);
    assert_int_equal(etcd_test_alloc_live(), live);
    fake_server_stop(f.server);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(all_are_disarmed_one_after_the_other),
    cmocka_unit_test(the_completion_queue_gets_one_end),
    cmocka_unit_test(a_callback_gets_one_end),
    cmocka_unit_test(an_alarm_that_is_gone_is_left_out),
    cmocka_unit_test(no_alarms_are_a_success),
    cmocka_unit_test(an_error_ends_it),
    cmocka_unit_test(a_lost_connection_ends_it_unless_it_only_listed),
    cmocka_unit_test(a_malformed_answer_ends_it),
    cmocka_unit_test(an_answer_of_too_many_alarms_counts_once),
    cmocka_unit_test(it_has_one_deadline),
    cmocka_unit_test(it_is_canceled_by_its_id),
    cmocka_unit_test(closing_the_client_ends_it),
    cmocka_unit_test(every_allocation_may_fail),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
