/* A well-formed HTTP/2 peer that says anything it likes in gRPC's terms, and a caller that starts, sends, pauses and cancels
 * meanwhile. The input is a sequence of steps, each of two bytes (what, how many bytes follow) and what follows. Each call ends
 * exactly once, unless it was cancelled. */
#include "fuzz/fuzz.h"

#include "harness/h2_rig.h"

#include <stdlib.h>
#include <string.h>

#define N_CALLS 4
#define MAX_STEP 200

static h2_rig rig;
static bool started[N_CALLS], cancelled[N_CALLS];

static const h2_field vocabulary[] = {
    {":status", "200"},
    {"content-type", "application/grpc"},
    {"grpc-status", "0"},
    {"grpc-message", ""},
    {":status", "503"},
    {":status", "100"},
    {":status", "20"},
    {"content-type", "text/html"},
    {"content-type", "application/grpc+proto"},
    {"grpc-status", "14"},
    {"grpc-status", "17"},
    {"grpc-status", "x"},
    {"grpc-status", ""},
    {"grpc-message", "100%25 %E2%82%AC %z%"},
    {"grpc-message", "%"},
    {"grpc-encoding", "gzip"},
    {"grpc-encoding", "identity"},
    {"x-custom", "value"},
    {"y-bin", "AAAA"},
    {"", ""},
};

#define N_WORDS (sizeof vocabulary / sizeof vocabulary[0])

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void headers(int32_t stream_id, bool end, const uint8_t *data, size_t len)
{
    h2_field fields[MAX_STEP + 1];
    size_t n = len < 40 ? len : 40;

    for (size_t i = 0; i < n; i++)
        fields[i] = vocabulary[data[i] % N_WORDS];
    fields[n].name = NULL;
    h2_peer_headers(&rig.peer, stream_id, end, fields);
}

static void trailers(int32_t stream_id, const uint8_t *data, size_t len)
{
    char status[MAX_STEP + 1], message[MAX_STEP + 1];
    const h2_field fields[] = {{"grpc-status", status}, {"grpc-message", message}, {NULL, NULL}};
    size_t half = len < 3 ? len : 2;

    memcpy(status, data, half);
    status[half] = '\0';
    memcpy(message, data + half, len - half);
    message[len - half] = '\0';
    h2_peer_headers(&rig.peer, stream_id, true, fields);
}

static void call_action(size_t i, uint8_t action)
{
    static const uint8_t more[] = {0, 0, 0, 0, 1, 'm'};
    h2_rig_call *call = &rig.calls[i];

    if (!call->open) {
        started[i] = h2_rig_start(&rig, i, NULL) == ETCD_OK;
        cancelled[i] = false;
        call->cancel_in_message = action & 64;
        return;
    }
    switch (action % 4) {
    case 0:
        etcd__grpc_call_cancel(&call->call);
        call->open = false;
        cancelled[i] = true;
        break;
    case 1:
        etcd__grpc_call_pause(&call->call);
        break;
    case 2:
        etcd__grpc_call_resume(&call->call);
        break;
    default:
        (void)etcd__grpc_call_send(&call->call, more, sizeof more, action & 16);
        break;
    }
}

static void settings(const uint8_t *data, size_t len)
{
    uint32_t entries[8][2];
    size_t n = 0;

    for (; n < 8 && len >= 4; data += 4, len -= 4, n++) {
        entries[n][0] = data[0] % 10;
        entries[n][1] = (uint32_t)data[1] << (data[3] % 24) | data[2];
    }
    h2_peer_settings(&rig.peer, (const uint32_t(*)[2])entries, n);
}

static void step(uint8_t what, const uint8_t *data, size_t len)
{
    size_t i = what >> 4 & 3;
    int32_t id = (int32_t)(2 * i + 1);
    uint8_t first = len > 0 ? data[0] : 0;

    switch (what & 15) {
    case 0:
    case 1:
        headers(id, what & 1, data, len);
        break;
    case 2:
        trailers(id, data, len);
        break;
    case 3:
    case 4:
        h2_peer_data(&rig.peer, id, (what & 15) == 4, data, len);
        break;
    case 5:
        h2_peer_message(&rig.peer, id, false, data, len);
        break;
    case 6:
        h2_peer_rst(&rig.peer, id, first);
        break;
    case 7:
        h2_peer_goaway(&rig.peer, first == 255 ? INT32_MAX : first, len > 1 ? data[1] : 0, "bye");
        break;
    case 8:
        settings(data, len);
        break;
    case 9:
        h2_peer_ping(&rig.peer, first & 1, first);
        break;
    case 10:
        h2_peer_window_update(&rig.peer, first & 1 ? id : 0, (uint32_t)first + 1);
        break;
    case 11:
        (void)etcd__h2_ping(rig.h2);
        break;
    case 12:
        h2_rig_flush(&rig);
        break;
    default:
        call_action(i, first);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t how = size > 0 ? data[0] : 0;
    size_t at = 1;

    require(h2_rig_open(&rig, NULL) == ETCD_OK);
    memset(started, 0, sizeof started);
    memset(cancelled, 0, sizeof cancelled);
    h2_rig_ready(&rig);
    rig.request.unary = !(how & 1);
    rig.request.half_close = !(how & 2);
    rig.piece = how & 4 ? 1 : 0;
    rig.log_metadata = true;
    for (size_t i = 0; i < N_CALLS; i++)
        call_action(i, 1);
    while (at + 2 <= size && !rig.failed) {
        size_t len = data[at + 1] % MAX_STEP;

        if (len > size - at - 2)
            len = size - at - 2;
        step(data[at], data + at + 2, len);
        h2_rig_feed(&rig, rig.peer.out, rig.peer.out_len);
        h2_peer_clear(&rig.peer);
        at += 2 + len;
    }
    etcd__h2_connection_lost(rig.h2, how & 8 ? rig.taken / 2 : rig.taken);
    for (size_t i = 0; i < N_CALLS; i++)
        require(!started[i] || cancelled[i] || rig.calls[i].cancel_in_message || rig.calls[i].n_ends == 1);
    require(etcd__h2_streams_open(rig.h2) == 0);
    h2_rig_close(&rig);
    return 0;
}
