/* What the files of the fake server share. See fake_server.h.
 *
 * One recursive mutex guards everything; the server's thread lets go of it only in poll(). A stream's answer is a queue of steps
 * (fake_reply.c); a connection pumps steps -> nghttp2 -> `out` -> socket (fake_conn.c). */
#ifndef ETCD3_TESTS_FAKE_INTERNAL_H
#define ETCD3_TESTS_FAKE_INTERNAL_H

#include "harness/fake_server.h"

#include <nghttp2/nghttp2.h>
#include <pthread.h>

typedef struct fake_conn fake_conn;
typedef struct fake_stream fake_stream;
typedef struct fake_store fake_store;

/** Growing bytes. */
typedef struct fake_bytes {
    uint8_t *data;
    size_t len, cap;
} fake_bytes;

typedef enum fake_step_kind {
    FAKE_STEP_HEADERS,
    FAKE_STEP_DATA,
    FAKE_STEP_ENDLESS,
    FAKE_STEP_RESET,
    FAKE_STEP_GATE,
    FAKE_STEP_RAW,
    FAKE_STEP_CUT,
    FAKE_STEP_FLOOD,
    FAKE_STEP_GIANT
} fake_step_kind;

typedef struct fake_step {
    struct fake_step *next;
    fake_step_kind kind;
    fake_header *headers; /* of HEADERS: copies */
    size_t n_headers;
    uint8_t *data; /* of DATA, RAW and, as the prefix, ENDLESS */
    size_t len, sent;
    uint32_t number; /* error code, gate, cut, flood, bytes */
    bool end_stream;
    bool started, done; /* of DATA: handed to nghttp2; wholly taken from it. Of GATE: counted; passed */
} fake_step;

typedef struct fake_record {
    fake_seen seen;
    fake_header *headers;
    size_t cap_headers;
    uint8_t *payload;
} fake_record;

struct fake_stream {
    fake_request request; /* first: handlers get a pointer to it */
    fake_conn *conn;
    fake_stream *next;
    fake_record *record;
    fake_bytes body;
    void *decoded; /* memory of request.message */
    fake_step *steps;
    bool messages; /* they are handled one by one */
    bool handled;
    bool closed; /* nghttp2 knows it no longer */
};

struct fake_conn {
    fake_server *server;
    int index;
    int fd; /* -1: closed */
    fake_script script;
    fake_conn_log log;
    nghttp2_session *session; /* NULL for a connection that speaks no HTTP/2, or no more */
    fake_stream *streams;
    fake_bytes out;
    size_t out_sent; /* of `out`, written already */
    fake_flood flood;
    int32_t flood_stream;
    bool flooded; /* the flood has begun */
    bool reading;
    bool draining; /* FIN is sent: read and forget until the client ends, too */
    bool abort;    /* to be closed by a reset */
    bool text_sent;
};

typedef struct fake_gate {
    bool open;
    size_t passes;
    size_t waiting;
} fake_gate;

typedef struct fake_route {
    struct fake_route *next;
    char *method; /* NULL: all others */
    fake_handler *handler;
    void *arg;
    bool early, messages;
} fake_route;

typedef struct fake_queued {
    struct fake_queued *next;
    fake_script script;
} fake_queued;

struct fake_server {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stopping;
    int wake[2];
    int holder; /* TCP: keeps the port ours while nobody listens */
    int listener;
    bool unix_socket;
    char directory[64], path[96]; /* unix */
    uint16_t port;
    char endpoint[128], authority[64];
    fake_queued *scripts;
    fake_script rest;
    fake_conn **conns;
    size_t n_conns, cap_conns;
    fake_record **records;
    size_t n_records, cap_records;
    fake_route *routes;
    fake_gate gates[FAKE_N_GATES];
    fake_store *store;
};

/* fake_server.c */

/** malloc and friends that abort instead of failing. */
void *fake__calloc(size_t count, size_t size);
void *fake__realloc(void *memory, size_t size);
void *fake__memdup(const void *data, size_t len);
char *fake__strdup(const char *string);
void fake__bytes_append(fake_bytes *bytes, const void *data, size_t len);
_Noreturn void fake__die(const char *what);
int64_t fake__now(void);
void fake__lock(fake_server *server);
void fake__unlock(fake_server *server);
/** Tells those who wait in fake_server_wait_*. Lock held. */
void fake__changed(fake_server *server);
/** Makes the thread look at everything again. */
void fake__wake(fake_server *server);
const fake_route *fake__route(const fake_server *server, const char *method);

/* fake_conn.c: lock held, server's thread unless said otherwise */

void fake__conn_accept(fake_server *server, int fd);
/** poll() events to wait for. */
short fake__conn_events(const fake_conn *conn);
/** Does all that is possible without waiting; `readable`: poll() said so, or that the peer is gone. */
void fake__conn_work(fake_conn *conn, bool readable);
void fake__conn_cut(fake_conn *conn, fake_cut cut);
void fake__conn_free(fake_conn *conn);

/* fake_reply.c */

/** Does the stream's steps as far as they go; true when something was done. */
bool fake__steps_run(fake_stream *stream);
void fake__steps_free(fake_stream *stream);

/* fake_raw.c */

/** Appends some 32 KiB of the flood; `first`: its beginning. */
void fake__flood_fill(fake_bytes *out, fake_flood flood, int32_t stream_id, bool first);
void fake__raw_frame(fake_bytes *out, uint8_t type, uint8_t flags, int32_t stream_id, const void *payload, size_t len);
void fake__raw_goaway(fake_bytes *out, int32_t last_stream_id, uint32_t code, const char *debug);
void fake__raw_giant_headers(fake_bytes *out, int32_t stream_id, size_t bytes, bool trailers);

/* fake_kv.c */

fake_store *fake__store_new(void);
void fake__store_free(fake_store *store);
/** Sets request.message; returns the memory to free with the stream, or NULL. */
void *fake__decode(fake_request *request);
size_t fake__store_count(const fake_store *store);
int64_t fake__store_version(const fake_store *store, const char *key);
int64_t fake__store_revision(const fake_store *store);
size_t fake__store_writes(const fake_store *store);

#endif
