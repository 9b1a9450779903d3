/* Snapshots. See <etcd3/snapshot.h>; the contract, section 1.12.
 *
 * The server sends the database in messages of 32 KiB, and its SHA-256 behind it in one more. Nothing marks that one, so the
 * last 32 bytes of what came are the checksum, whatever messages they came in. It is computed where the parts are taken: by
 * the consumer, or by the driver for the callback form. */
#include "service/snapshot.h"

#include "base/alloc.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/options.h"
#include "client/client.h"
#include "client/feed.h"
#include "net/sha256.h"
#include "wire/response.h"

#include <string.h>

#define DEFAULT_IDLE_TIMEOUT_MS 30000
#define DEFAULT_BUFFER ((int64_t)1024 * 1024)
#define SECTOR 512 /* what a database is a multiple of */
#define VERSION_MAX 64

struct etcd_snapshot {
    etcd__feed *feed;
    etcd_snapshot_fn fn; /* NULL: pulled */
    void *arg;
    /* the driver */
    int64_t arrived, total;
    /* the consumer, or the driver for the callback form */
    etcd__sha256 *sha; /* of what is in front of `tail` */
    uint8_t tail[ETCD__SHA256_SIZE];
    size_t tail_len;
    int64_t taken;
    bool over;
    int verdict; /* once it is over */
    char version[VERSION_MAX];
};

void etcd_snapshot_options_init(etcd_snapshot_options *options, size_t size)
{
    etcd__options_init(options, size);
}

/* --- what arrives --------------------------------------------------------------------------------------------- */

static void *make_part(void *owner, void *response, int *code, etcd_error *err)
{
    etcd_snapshot *snapshot = owner;
    const etcd__snapshot_response *message = response;
    etcd_snapshot_part *part = etcd__response_wrap(response, sizeof *part);

    if (part == NULL) {
        etcd_response_free(response);
        *code = etcd__error_no_memory(err);
        return NULL;
    }
    *code = ETCD_OK;
    part->data = message->blob;
    part->offset = snapshot->arrived;
    part->version = message->version;
    snapshot->arrived += (int64_t)message->blob.len;
    if (message->remaining_bytes > 0 && message->remaining_bytes < INT64_MAX / 2)
        snapshot->total = snapshot->arrived + (int64_t)message->remaining_bytes + ETCD__SHA256_SIZE;
    part->total = snapshot->total;
    return part;
}

/* All but the last 32 bytes go into the checksum. */
static int add_bytes(etcd_snapshot *snapshot, const char *data, size_t len)
{
    size_t together = snapshot->tail_len + len;
    size_t old = together > sizeof snapshot->tail ? together - sizeof snapshot->tail : 0; /* not the last ones */
    size_t from_tail = old < snapshot->tail_len ? old : snapshot->tail_len;
    size_t from_data = old - from_tail;

    snapshot->taken += (int64_t)len;
    if (from_tail > 0 && etcd__sha256_add(snapshot->sha, snapshot->tail, from_tail) < 0)
        return ETCD_ERR_NO_MEMORY;
    if (from_data > 0 && etcd__sha256_add(snapshot->sha, data, from_data) < 0)
        return ETCD_ERR_NO_MEMORY;
    snapshot->tail_len -= from_tail;
    memmove(snapshot->tail, snapshot->tail + from_tail, snapshot->tail_len);
    memcpy(snapshot->tail + snapshot->tail_len, data + from_data, len - from_data);
    snapshot->tail_len += len - from_data;
    return ETCD_OK;
}

/* What cannot be verified is over. */
static int take_part(etcd_snapshot *snapshot, const etcd_snapshot_part *part, etcd_error *err)
{
    if (part->version.len > 0 && part->version.len < sizeof snapshot->version)
        memcpy(snapshot->version, part->version.data, part->version.len + 1);
    if (add_bytes(snapshot, part->data.data, part->data.len) == ETCD_OK)
        return ETCD_OK;
    snapshot->over = true;
    snapshot->verdict = ETCD_ERR_NO_MEMORY;
    etcd__feed_cancel(snapshot->feed);
    return etcd__error_no_memory(err);
}

static int check_digest(etcd_snapshot *snapshot)
{
    uint8_t digest[ETCD__SHA256_SIZE];

    if (snapshot->taken % SECTOR != ETCD__SHA256_SIZE)
        return ETCD_ERR_SNAPSHOT_CORRUPT;
    if (etcd__sha256_end(snapshot->sha, digest) < 0)
        return ETCD_ERR_NO_MEMORY;
    return memcmp(digest, snapshot->tail, sizeof digest) == 0 ? ETCD_OK : ETCD_ERR_SNAPSHOT_CORRUPT;
}

/* All has come: is it good? */
static int judge(etcd_snapshot *snapshot, etcd_error *err)
{
    if (!snapshot->over)
        snapshot->verdict = check_digest(snapshot);
    snapshot->over = true;
    if (snapshot->verdict == ETCD_OK)
        return ETCD_OK;
    if (snapshot->verdict == ETCD_ERR_SNAPSHOT_CORRUPT && snapshot->taken % SECTOR != ETCD__SHA256_SIZE)
        return etcd__error_set(err, ETCD_ERR_SNAPSHOT_CORRUPT, "sha256 checksum not found [bytes: %lld]",
                               (long long)snapshot->taken);
    return etcd__error_set(err, snapshot->verdict, "%s", etcd_error_text(snapshot->verdict));
}

static void deliver(void *owner, void *response, const etcd_error *why)
{
    etcd_snapshot *snapshot = owner;
    etcd_error err;

    if (response != NULL && (snapshot->over || take_part(snapshot, response, &err) < 0)) {
        etcd_response_free(response);
        return; /* the end follows */
    }
    if (response == NULL && (why == NULL || snapshot->over))
        why = judge(snapshot, &err) < 0 ? &err : NULL;
    snapshot->fn(snapshot, response, why, snapshot->arg); /* may free it */
}

/* --- the handle ----------------------------------------------------------------------------------------------- */

static void gone(void *owner)
{
    etcd_snapshot *snapshot = owner;

    etcd__sha256_free(snapshot->sha);
    etcd__free(snapshot);
}

static int load_options(const etcd_snapshot_options *given, etcd_snapshot_options *options, etcd_call_options *call,
                        etcd_error *err)
{
    int rc = etcd__options_load(options, sizeof *options, given, "etcd_snapshot_options", err);

    if (rc == ETCD_OK)
        rc = etcd__options_load(call, sizeof *call, options->call, "etcd_call_options", err);
    if (rc == ETCD_OK && options->buffer_bytes < 0)
        rc = etcd__error_set(err, ETCD_ERR_ARGUMENT, "buffer_bytes is negative");
    if (rc == ETCD_OK && options->idle_timeout_ms == 0)
        options->idle_timeout_ms = DEFAULT_IDLE_TIMEOUT_MS;
    if (rc == ETCD_OK && options->buffer_bytes == 0)
        options->buffer_bytes = DEFAULT_BUFFER;
    return rc;
}

static int64_t idle_timeout_of(const etcd_snapshot_options *options)
{
    int64_t timeout = etcd__clock_from_ms(options->idle_timeout_ms);

    return timeout < 0 ? ETCD__NEVER : timeout;
}

static int open_snapshot(etcd_client *client, const etcd_snapshot_options *given, etcd_snapshot_fn fn, void *arg,
                         etcd_snapshot **out, etcd_error *err)
{
    etcd_snapshot_options options;
    etcd_call_options call;
    etcd_snapshot *snapshot;
    int rc;

    if (out == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "out is NULL");
    *out = NULL;
    rc = etcd__client_check(client, err);
    if (rc == ETCD_OK)
        rc = load_options(given, &options, &call, err);
    if (rc < 0)
        return rc;
    snapshot = etcd__calloc(1, sizeof *snapshot);
    if (snapshot == NULL)
        return etcd__error_no_memory(err);
    rc = etcd__sha256_new(&snapshot->sha, err);
    if (rc < 0) {
        etcd__free(snapshot);
        return rc;
    }
    snapshot->fn = fn;
    snapshot->arg = arg;
    snapshot->total = -1;
    *out = snapshot; /* a callback may use it before this returns */
    etcd__error_clear(err);
    rc = etcd__feed_open(client,
                         &(const etcd__feed_config){.rpc = ETCD__RPC_SNAPSHOT,
                                                    .request = &(const etcd__empty){0},
                                                    .call = &call,
                                                    .idle_timeout = idle_timeout_of(&options),
                                                    .buffer = (size_t)options.buffer_bytes,
                                                    .serializable = true,
                                                    .owner = snapshot,
                                                    .convert = make_part,
                                                    .deliver = fn ? deliver : NULL,
                                                    .gone = gone},
                         &snapshot->feed, err);
    if (rc < 0) {
        *out = NULL;
        gone(snapshot);
    }
    return rc;
}

int etcd_snapshot_open(etcd_client *client, const etcd_snapshot_options *options, etcd_snapshot **out, etcd_error *err)
{
    return open_snapshot(client, options, NULL, NULL, out, err);
}

int etcd_snapshot_start(etcd_client *client, const etcd_snapshot_options *options, etcd_snapshot_fn fn, void *arg,
                        etcd_snapshot **out, etcd_error *err)
{
    if (fn == NULL) {
        if (out != NULL)
            *out = NULL;
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "fn is NULL");
    }
    return open_snapshot(client, options, fn, arg, out, err);
}

int etcd_snapshot_next(etcd_snapshot *snapshot, int64_t timeout_ms, etcd_snapshot_part **out, etcd_error *err)
{
    void *part = NULL;
    int rc;

    if (out == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "out is NULL");
    *out = NULL;
    if (snapshot == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "the handle is NULL");
    if (snapshot->fn != NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "the parts are given to a callback");
    rc = etcd__feed_next(snapshot->feed, timeout_ms, &part, err);
    if (rc == ETCD_OK && part == NULL)
        return judge(snapshot, err);
    if (rc == ETCD_OK)
        rc = snapshot->over ? judge(snapshot, err) : take_part(snapshot, part, err);
    if (rc < 0) {
        etcd_response_free(part);
        part = NULL;
    }
    *out = part;
    return rc;
}

int etcd_snapshot_fd(etcd_snapshot *snapshot)
{
    return snapshot == NULL || snapshot->fn != NULL ? ETCD_ERR_ARGUMENT : etcd__feed_fd(snapshot->feed);
}

void etcd_snapshot_cancel(etcd_snapshot *snapshot)
{
    if (snapshot != NULL)
        etcd__feed_cancel(snapshot->feed);
}

void etcd_snapshot_free(etcd_snapshot *snapshot)
{
    if (snapshot != NULL)
        etcd__feed_free(snapshot->feed);
}

/* --- the blocking functions ----------------------------------------------------------------------------------- */

static int hand_on(etcd_snapshot *snapshot, const etcd_snapshot_options *options, etcd__snapshot_sink sink, void *arg,
                   etcd_error *err)
{
    etcd_snapshot_part *part;
    int rc;

    while ((rc = etcd_snapshot_next(snapshot, -1, &part, err)) == ETCD_OK && part != NULL) {
        rc = part->data.len > 0 ? sink(arg, part->data.data, part->data.len, err) : ETCD_OK;
        if (rc == ETCD_OK && options->progress_fn != NULL)
            options->progress_fn(snapshot->taken, part->total, options->progress_arg);
        etcd_response_free(part);
        if (rc < 0)
            break;
    }
    return rc;
}

static etcd_snapshot_response *summary(const etcd_snapshot *snapshot)
{
    etcd_snapshot_response *response = etcd__response_new(sizeof *response);
    size_t version_len = strlen(snapshot->version);
    char *text;

    if (response == NULL)
        return NULL;
    text = etcd__arena_calloc(etcd__response_arena(response), 1, ETCD__SHA256_SIZE + 1 + sizeof snapshot->version);
    if (text == NULL) {
        etcd_response_free(response);
        return NULL;
    }
    memcpy(text, snapshot->tail, ETCD__SHA256_SIZE);
    memcpy(text + ETCD__SHA256_SIZE + 1, snapshot->version, version_len);
    response->n_bytes = snapshot->taken;
    response->sha256 = (etcd_bytes){text, ETCD__SHA256_SIZE};
    response->version = (etcd_bytes){text + ETCD__SHA256_SIZE + 1, version_len};
    return response;
}

int etcd__snapshot_transfer(etcd_client *client, const etcd_snapshot_options *given, etcd__snapshot_sink sink,
                            int (*done)(void *arg, etcd_error *err), void *arg, etcd_snapshot_response **out, etcd_error *err)
{
    etcd_snapshot_options options;
    etcd_call_options call;
    etcd_snapshot_response *response = NULL;
    etcd_snapshot *snapshot;
    int rc = etcd__client_check_blocking(client, err);

    if (rc == ETCD_OK)
        rc = load_options(given, &options, &call, err);
    if (rc == ETCD_OK)
        rc = etcd_snapshot_open(client, given, &snapshot, err);
    if (rc < 0)
        return rc;
    rc = hand_on(snapshot, &options, sink, arg, err);
    if (rc == ETCD_OK && out != NULL && (response = summary(snapshot)) == NULL)
        rc = etcd__error_no_memory(err);
    if (rc == ETCD_OK && done != NULL)
        rc = done(arg, err);
    etcd_snapshot_free(snapshot);
    if (rc < 0) {
        etcd_response_free(response);
        return rc;
    }
    if (out != NULL)
        *out = response;
    etcd__error_clear(err);
    return ETCD_OK;
}

struct reader {
    etcd_snapshot_data_fn fn;
    void *arg;
};

static int give(void *arg, const char *data, size_t len, etcd_error *err)
{
    const struct reader *reader = arg;

    if (reader->fn(data, len, reader->arg) == 0)
        return ETCD_OK;
    return etcd__error_set(err, ETCD_ERR_CANCELED, "the function that takes the snapshot ended it");
}

int etcd_snapshot_read(etcd_client *client, etcd_snapshot_data_fn fn, void *arg, const etcd_snapshot_options *options,
                       etcd_snapshot_response **out, etcd_error *err)
{
    struct reader reader = {fn, arg};

    if (out != NULL)
        *out = NULL;
    if (fn == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "fn is NULL");
    return etcd__snapshot_transfer(client, options, give, NULL, &reader, out, err);
}
