/* See h2_rig.h. */
#include "harness/h2_rig.h"

#include "base/alloc.h"
#include "harness/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENOUGH 65536

static const uint8_t default_body[] = {0, 0, 0, 0, 5, 0x0a, 3, 'f', 'o', 'o'};

__attribute__((format(printf, 2, 3))) static void say(h2_rig *rig, const char *format, ...)
{
    va_list args;
    int len;

    if (rig->log_cap - rig->log_len < 8192) {
        rig->log_cap = rig->log_cap * 2 + 16384;
        rig->log = realloc(rig->log, rig->log_cap);
        assert_non_null(rig->log);
    }
    va_start(args, format);
    len = vsnprintf(rig->log + rig->log_len, rig->log_cap - rig->log_len, format, args);
    va_end(args);
    assert_true(len >= 0 && (size_t)len < rig->log_cap - rig->log_len);
    rig->log_len += (size_t)len;
}

void h2_rig_forget(h2_rig *rig)
{
    rig->log_len = 0;
    say(rig, "%s", "");
}

static void on_ready(void *arg)
{
    say(arg, "ready\n");
}

static void on_slots(void *arg)
{
    say(arg, "slots\n");
}

static void on_goaway(void *arg, uint32_t code, int32_t last_id, const char *debug, size_t len)
{
    say(arg, "goaway %u %d \"%.*s\"\n", (unsigned)code, (int)last_id, (int)len, debug);
}

static void on_ping_ack(void *arg)
{
    say(arg, "ping\n");
}

static const etcd__h2_events session_events = {on_ready, on_slots, on_goaway, on_ping_ack};

static h2_rig_call *call_of(etcd__grpc_call *call)
{
    return ETCD__CONTAINER_OF(call, h2_rig_call, call);
}

static size_t index_of(const h2_rig_call *call)
{
    return (size_t)(call - call->rig->calls);
}

/* Events may free or reuse the struct: it is overwritten to prove that nobody looks at it any more. */
static void overwrite(h2_rig_call *call)
{
    memset(&call->call, 0xdb, sizeof call->call);
    call->open = false;
}

static void on_message(etcd__grpc_call *grpc, uint8_t *data, size_t len)
{
    h2_rig_call *call = call_of(grpc);

    say(call->rig, "#%zu message \"%.*s\"%s\n", index_of(call), (int)(len < 200 ? len : 200), (const char *)data,
        len > 200 ? "..." : "");
    assert_int_equal(data[len], 0);
    data[len] = 'w';
    etcd__free(data);
    if (call->cancel_in_message) {
        etcd__grpc_call_cancel(grpc);
        overwrite(call);
    }
}

static void on_end(etcd__grpc_call *grpc, const etcd__grpc_status *status)
{
    static const char *const origins[] = {"server", "http", "reset", "peer-bug", "connection"};
    h2_rig_call *call = call_of(grpc);

    assert_true(call->open);
    say(call->rig, "#%zu end %d %s", index_of(call), status->code, origins[status->origin]);
    if (status->unprocessed)
        say(call->rig, " unprocessed");
    if (status->too_large)
        say(call->rig, " too-large");
    if (status->out_of_memory)
        say(call->rig, " no-memory");
    if (status->origin == ETCD__GRPC_FROM_RESET)
        say(call->rig, " reset %u", (unsigned)status->h2_error_code);
    say(call->rig, " \"%.*s\"\n", (int)status->message_len, status->message);
    call->n_ends++;
    overwrite(call);
}

static void on_metadata(etcd__grpc_call *grpc, const char *name, size_t name_len, const char *value, size_t value_len,
                        bool trailer)
{
    h2_rig_call *call = call_of(grpc);

    if (call->rig->log_metadata)
        say(call->rig, "#%zu %s %.*s: %.*s\n", index_of(call), trailer ? "trailer" : "metadata", (int)name_len, name,
            (int)value_len, value);
}

static const etcd__grpc_call_events call_events = {on_message, on_end, on_metadata};

int h2_rig_open(h2_rig *rig, const etcd__h2_config *config)
{
    etcd_error err;

    memset(rig, 0, sizeof *rig);
    h2_peer_init(&rig->peer);
    rig->request.path = "/etcdserverpb.KV/Range";
    rig->request.path_len = strlen(rig->request.path);
    rig->request.authority = "127.0.0.1:2379";
    rig->request.authority_len = strlen(rig->request.authority);
    rig->request.scheme = "http";
    rig->request.user_agent = "etcd3/0.1";
    rig->request.timeout_ns = -1;
    rig->request.body = default_body;
    rig->request.body_len = sizeof default_body;
    rig->request.half_close = rig->request.unary = true;
    rig->request.max_message = 1024 * 1024;
    h2_rig_forget(rig);
    return etcd__h2_new(config, &session_events, rig, &rig->h2, &err);
}

void h2_rig_close(h2_rig *rig)
{
    for (size_t i = 0; i < H2_RIG_CALLS; i++)
        if (rig->calls[i].open)
            etcd__grpc_call_cancel(&rig->calls[i].call);
    etcd__h2_free(rig->h2);
    h2_peer_free(&rig->peer);
    free(rig->log);
}

void h2_rig_ready(h2_rig *rig)
{
    h2_peer_settings(&rig->peer, NULL, 0);
    h2_peer_frame(&rig->peer, H2_SETTINGS, H2_ACK, 0, NULL, 0);
    h2_rig_exchange(rig);
    assert_string_equal(rig->log, "ready\n");
    h2_rig_forget(rig);
}

int h2_rig_start(h2_rig *rig, size_t i, etcd_error *err)
{
    h2_rig_call *call = &rig->calls[i];
    int rc;

    memset(call, 0, sizeof *call);
    call->rig = rig;
    rc = etcd__grpc_call_start(&call->call, rig->h2, &rig->request, &call_events, err);
    call->open = rc == ETCD_OK;
    return rc;
}

static void note_failure(h2_rig *rig, int rc, const etcd_error *err)
{
    if (rc == ETCD_OK || rig->failed)
        return;
    rig->failed = true;
    assert_int_equal(err->code, rc);
    say(rig, "failed %d \"%s\"\n", rc, err->message);
}

void h2_rig_flush(h2_rig *rig)
{
    etcd__buf out = ETCD__BUF_INIT(ENOUGH * 4);
    etcd_error err;
    int rc;

    do {
        out.len = 0;
        rc = etcd__h2_take_output(rig->h2, &out, ENOUGH, &err);
        note_failure(rig, rc, &err);
        rig->taken += out.len;
        if (!rig->quiet)
            h2_peer_take(&rig->peer, out.data, out.len);
    } while (rc == ETCD_OK && out.len > 0);
    etcd__buf_free(&out);
}

void h2_rig_feed(h2_rig *rig, const void *data, size_t len)
{
    const uint8_t *at = data;
    etcd_error err;

    while (len > 0) {
        size_t now = rig->piece && rig->piece < len ? rig->piece : len;
        uint8_t *copy = malloc(now); /* of its exact size, for the sanitizers */

        assert_non_null(copy);
        memcpy(copy, at, now);
        note_failure(rig, etcd__h2_receive(rig->h2, copy, now, &err), &err);
        free(copy);
        h2_rig_flush(rig);
        at += now;
        len -= now;
    }
}

void h2_rig_exchange(h2_rig *rig)
{
    h2_rig_flush(rig);
    h2_rig_feed(rig, rig->peer.out, rig->peer.out_len);
    h2_peer_clear(&rig->peer);
}

#define MAX_FIELDS 16

static void say_headers(h2_peer *peer, int32_t stream_id, bool end_stream, char *text)
{
    h2_field fields[MAX_FIELDS + 1] = {{NULL, NULL}};
    size_t n = 0;

    while (text != NULL && *text != '\0') {
        char *next = strchr(text, '|'), *colon;

        if (next != NULL)
            *next++ = '\0';
        colon = strstr(text, ": ");
        assert_non_null(colon);
        assert_true(n < MAX_FIELDS);
        *colon = '\0';
        fields[n].name = text;
        fields[n++].value = colon + 2;
        text = next;
    }
    h2_peer_headers(peer, stream_id, end_stream, fields);
}

static void say_hex(h2_peer *peer, int32_t stream_id, bool end_stream, const char *text)
{
    uint8_t bytes[512];
    size_t n = 0;

    for (; text[0] != '\0' && text[1] != '\0'; text += 2) {
        char digits[3] = {text[0], text[1], '\0'};

        assert_true(n < sizeof bytes);
        bytes[n++] = (uint8_t)strtoul(digits, NULL, 16);
    }
    h2_peer_data(peer, stream_id, end_stream, bytes, n);
}

static void say_goaway(h2_peer *peer, const char *text)
{
    char *end;
    long last_id = strtol(text, &end, 10);
    unsigned long code = strtoul(end, &end, 10);

    h2_peer_goaway(peer, (int32_t)last_id, (uint32_t)code, *end ? end + 1 : end);
}

void h2_rig_say(h2_peer *peer, int32_t stream_id, const char *step)
{
    char text[4096];

    assert_true(strlen(step) < sizeof text);
    (void)snprintf(text, sizeof text, "%s", step[1] ? step + 2 : "");
    switch (step[0]) {
    case 'h':
    case 'H':
        say_headers(peer, stream_id, step[0] == 'H', text);
        break;
    case 'm':
    case 'M':
        h2_peer_message(peer, stream_id, step[0] == 'M', text, strlen(text));
        break;
    case 'd':
    case 'D':
        say_hex(peer, stream_id, step[0] == 'D', text);
        break;
    case 'r':
        h2_peer_rst(peer, stream_id, (uint32_t)strtoul(text, NULL, 0));
        break;
    case 'g':
        say_goaway(peer, text);
        break;
    default:
        fail_msg("no such step: %s", step);
    }
}
