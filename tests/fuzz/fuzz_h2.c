/* Any bytes as the server's side of a connection with calls under way: first two bytes that say how, then what the server sends.
 * Whatever they are, each call ends exactly once and what we send stays well-formed. */
#include "fuzz/fuzz.h"

#include "harness/h2_rig.h"

#include <stdlib.h>
#include <string.h>

#define N_CALLS 4

static h2_rig rig;

static void require(bool condition)
{
    if (!condition)
        abort();
}

/* Bits of the first byte: 1 calls are streams, 2 they are not complete, 4 a small window, 8 calls start before SETTINGS arrive,
 * 16 calls are cancelled inside a message, 32 written bytes are lost. The second byte: size of the pieces of input, 0 for no
 * cutting. */
static void run(uint8_t how, uint8_t piece, const uint8_t *data, size_t size)
{
    static const uint8_t settings[] = {0, 0, 0, H2_SETTINGS, 0, 0, 0, 0, 0};
    const etcd__h2_config config = {.stream_window = 70000, .connection_window = 70000, .max_control_frames = 100};
    bool started[N_CALLS] = {false};

    require(h2_rig_open(&rig, how & 4 ? &config : NULL) == ETCD_OK);
    rig.request.unary = !(how & 1);
    rig.request.half_close = !(how & 2);
    if (!(how & 8))
        h2_rig_feed(&rig, settings, sizeof settings);
    for (size_t i = 0; i < N_CALLS; i++) {
        started[i] = h2_rig_start(&rig, i, NULL) == ETCD_OK;
        rig.calls[i].cancel_in_message = how & 16;
    }
    h2_rig_flush(&rig);
    rig.piece = piece;
    h2_rig_feed(&rig, data, size);
    etcd__h2_connection_lost(rig.h2, how & 32 ? rig.taken / 2 : rig.taken);
    for (size_t i = 0; i < N_CALLS; i++)
        require(!started[i] || (!rig.calls[i].open && rig.calls[i].n_ends <= 1));
    require(etcd__h2_streams_open(rig.h2) == 0);
    h2_rig_close(&rig);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size >= 2)
        run(data[0], data[1], data + 2, size - 2);
    return 0;
}
