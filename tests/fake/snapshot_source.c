/* See snapshot_source.h. */
#include "fake/snapshot_source.h"

#include <pthread.h>
#include <string.h>

#define FAKE_SNAPSHOT "/etcdserverpb.Maintenance/Snapshot"

enum { CHUNK = 1000, CHUNK_MOST = 65536 };

char snapshot_byte(size_t i)
{
    return (char)(i * 7 + i / 256);
}

static void compute_digest(size_t size, uint8_t digest[ETCD__SHA256_SIZE])
{
    etcd__sha256 *sha;

    assert_int_equal(etcd__sha256_new(&sha, NULL), ETCD_OK);
    for (size_t at = 0; at < size;) {
        char bytes[4096];
        size_t n = 0;

        while (n < sizeof bytes && at < size)
            bytes[n++] = snapshot_byte(at++);
        assert_int_equal(etcd__sha256_add(sha, bytes, n), 0);
    }
    assert_int_equal(etcd__sha256_end(sha, digest), 0);
    etcd__sha256_free(sha);
}

/* The last one is kept: large ones take their time, in which a server would be silent. */
void snapshot_digest(size_t size, uint8_t digest[ETCD__SHA256_SIZE])
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static uint8_t last[ETCD__SHA256_SIZE];
    static size_t last_size = SIZE_MAX;

    pthread_mutex_lock(&lock);
    if (size != last_size)
        compute_digest(size, last);
    last_size = size;
    memcpy(digest, last, sizeof last);
    pthread_mutex_unlock(&lock);
}

static void send_blob(fake_request *request, const source *s, const char *data, size_t len, size_t remaining)
{
    const etcd__snapshot_response message = {.remaining_bytes = s->no_remaining ? 0 : remaining,
                                             .blob = {data, len},
                                             .version = {s->version ? s->version : "", s->version ? strlen(s->version) : 0}};

    fake_reply_message(request, &etcd__snapshot_response_type, &message);
}

static void send_database(fake_request *request, const source *s)
{
    size_t end = s->sent > 0 ? s->sent : s->size;
    size_t most = s->chunk > 0 ? s->chunk : CHUNK;
    static char chunk[CHUNK_MOST + ETCD__SHA256_SIZE];
    uint8_t digest[ETCD__SHA256_SIZE];

    snapshot_digest(s->size, digest);
    if (s->wrong_byte > 0)
        digest[s->wrong_byte - 1] ^= 1;
    for (size_t at = 0, n; at < end; at += n) {
        n = end - at < most ? end - at : most;
        for (size_t i = 0; i < n; i++)
            chunk[i] = snapshot_byte(at + i);
        if (s->gate_after > 0 && at >= s->gate_after && at < s->gate_after + CHUNK)
            fake_reply_gate(request, SNAPSHOT_GATE);
        if (at + n == end && s->one_message) {
            memcpy(chunk + n, digest, sizeof digest);
            send_blob(request, s, chunk, n + sizeof digest, 0);
            return;
        }
        send_blob(request, s, chunk, n, s->size - at - n);
    }
    for (size_t at = 0, n; !s->no_checksum && at < sizeof digest; at += n) {
        n = s->part > 0 && s->part < sizeof digest - at ? s->part : sizeof digest - at;
        send_blob(request, s, (const char *)digest + at, n, 0);
    }
}

static void snapshot_handler(fake_request *request, void *arg)
{
    source *s = arg;

    if (atomic_fetch_add(&s->opened, 1) < s->fail_first) {
        if (s->cut_first)
            fake_reply_cut(request, FAKE_CUT_RST);
        else
            fake_reply_trailers_only(request, 14, "not yet");
        return;
    }
    fake_reply_headers(request);
    send_database(request, s);
    fake_reply_status(request, s->end_code, s->end_code ? "told so" : NULL);
}

fake_server *snapshot_server(source *s)
{
    fake_server *server = fake_server_start(NULL);

    fake_server_handle(server, FAKE_SNAPSHOT, snapshot_handler, s);
    return server;
}

int snapshot_take(const char *data, size_t len, void *arg)
{
    sink *to = arg;

    for (size_t i = 0; i < len; i++, to->n++)
        to->wrong = to->wrong || (to->stop_at == 0 && data[i] != snapshot_byte(to->n));
    return to->stop_at > 0 && to->n >= to->stop_at;
}

void snapshot_progress(int64_t received, int64_t total, void *arg)
{
    progress *p = arg;

    assert_true(received > p->received);
    p->received = received;
    p->total = total;
    if (++p->calls == p->cancel_at)
        etcd_cancel_trigger(p->cancel);
}
