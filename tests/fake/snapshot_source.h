/* A server that sends the snapshot that a test tells it to, and what the test does with the bytes. */
#ifndef ETCD3_TESTS_SNAPSHOT_SOURCE_H
#define ETCD3_TESTS_SNAPSHOT_SOURCE_H

#include "harness/fake_fixture.h"

#include "net/sha256.h"

#include <stdatomic.h>

#define SNAPSHOT_GATE 3

/** What the server sends. */
typedef struct source {
    size_t size;       /* of the database: its bytes follow from their position */
    size_t sent;       /* only so many of them; 0: all */
    size_t chunk;      /* of one message; 0: CHUNK */
    size_t part;       /* of the checksum in one message; 0: all */
    bool no_remaining; /* as a server that does not say how much is left */
    bool no_checksum;
    size_t wrong_byte; /* 1 + the index of the byte of the checksum that is wrong */
    bool one_message;  /* the checksum in the message of the last bytes */
    const char *version;
    size_t gate_after; /* bytes after which it says nothing until the gate opens; 0: none */
    int end_code;      /* status */
    int fail_first;    /* so many streams fail before their first byte */
    bool cut_first;    /* by the end of the connection, else by a status */
    atomic_int opened;
} source;

/** Byte i of the database. */
char snapshot_byte(size_t i);

/** The checksum of a database. */
void snapshot_digest(size_t size, uint8_t digest[ETCD__SHA256_SIZE]);

/** A server whose snapshots are those of the source. */
fake_server *snapshot_server(source *s);

/** What has come. */
typedef struct sink {
    size_t n, stop_at;
    bool wrong;
} sink;

/** An etcd_snapshot_data_fn whose `arg` is a sink. */
int snapshot_take(const char *data, size_t len, void *to);

typedef struct progress {
    int64_t received, total;
    size_t calls, cancel_at;
    etcd_cancel *cancel;
} progress;

/** A progress_fn whose `arg` is a progress. */
void snapshot_progress(int64_t received, int64_t total, void *progress);

#endif
