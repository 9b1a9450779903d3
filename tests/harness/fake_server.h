/* A scripted gRPC server in the test process: it answers as a test tells it to, or breaks the rules as a test tells it to, and
 * remembers what it saw.
 *
 * The server runs on a thread of its own over plain sockets on the loopback (port 0) or a unix socket, with one nghttp2 server
 * session per connection. Everything it allocates comes from the C library's malloc, never through the library under test, so
 * allocation counts and failing allocators of a test do not touch it.
 *
 * Order of a test: fake_server_start(), fake_server_handle() and fake_server_script(), client calls, assertions on the log,
 * client freed, fake_server_stop(). All functions below may be called from any thread. Handlers run on the server's thread.
 * Where a test must wait it waits for a condition (fake_server_wait_*, gates), never for time.
 *
 * Misuse and failures of the system abort() with a message: a test server that limps along proves nothing. */
#ifndef ETCD3_TESTS_FAKE_SERVER_H
#define ETCD3_TESTS_FAKE_SERVER_H

#include "wire/messages.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct fake_server fake_server;

/** Methods, for handlers and counts. */
#define FAKE_RANGE "/etcdserverpb.KV/Range"
#define FAKE_PUT "/etcdserverpb.KV/Put"
#define FAKE_DELETE "/etcdserverpb.KV/DeleteRange"
#define FAKE_TXN "/etcdserverpb.KV/Txn"
#define FAKE_COMPACT "/etcdserverpb.KV/Compact"
#define FAKE_WATCH "/etcdserverpb.Watch/Watch"
#define FAKE_KEEP_ALIVE "/etcdserverpb.Lease/LeaseKeepAlive"

/** In place of the index of a connection: all that are open. */
#define FAKE_ALL (-1)

/* ------------------------------------------------------------------------------------------------------------------------
 * Connections: how one behaves from the moment it is accepted. */

typedef enum fake_conn_kind {
    FAKE_CONN_SERVE,  /* HTTP/2 */
    FAKE_CONN_CLOSE,  /* accept, then FIN */
    FAKE_CONN_ABORT,  /* accept, then RST */
    FAKE_CONN_SILENT, /* accept, read and say nothing */
    FAKE_CONN_TEXT    /* no HTTP/2: send `text` when the first bytes have arrived, then FIN */
} fake_conn_kind;

/** Ways to end a connection. */
typedef enum fake_cut { FAKE_CUT_NONE, FAKE_CUT_FIN, FAKE_CUT_RST } fake_cut;

/** What counts for fake_script.cut_at. */
typedef enum fake_cut_side { FAKE_CUT_READ, FAKE_CUT_WRITTEN } fake_cut_side;

/** Endless streams of frames that no honest server sends. */
typedef enum fake_flood {
    FAKE_FLOOD_NONE,
    FAKE_FLOOD_PING,          /* PINGs that want an answer */
    FAKE_FLOOD_SETTINGS,      /* SETTINGS that want an answer */
    FAKE_FLOOD_WINDOW_UPDATE, /* of the connection, by 1 */
    FAKE_FLOOD_PRIORITY,
    FAKE_FLOOD_UNKNOWN,      /* frames of a type that nobody knows */
    FAKE_FLOOD_EMPTY_DATA,   /* DATA of no bytes on the request's stream; needs fake_reply_headers() before */
    FAKE_FLOOD_DATA,         /* DATA beyond every window; needs fake_reply_headers() before */
    FAKE_FLOOD_CONTINUATION, /* a header block that never ends, on the request's stream */
    FAKE_FLOOD_INFORMATIONAL /* HEADERS with :status 100 on the request's stream */
} fake_flood;

typedef struct fake_setting {
    int32_t id; /* of nghttp2_settings_id */
    uint32_t value;
} fake_setting;

/** All zero: serve, with nghttp2's default settings. */
typedef struct fake_script {
    fake_conn_kind kind;
    const char *text; /* of FAKE_CONN_TEXT; must outlive the server */
    size_t text_len;
    bool text_keep_open; /* no FIN after the text */
    fake_cut cut;        /* ends the connection when exactly cut_at bytes were read or written; nothing is written after it */
    fake_cut_side cut_side;
    uint64_t cut_at;
    fake_setting settings[4]; /* in the first SETTINGS frame */
    size_t n_settings;
    bool no_settings; /* the SETTINGS frame that opens the connection is not sent */
    bool never_read;  /* nothing is read: the client's writes fill the socket buffers */
    bool drip;        /* every millisecond one byte is written */
    fake_flood flood; /* from the start, behind the SETTINGS */
} fake_script;

/* ------------------------------------------------------------------------------------------------------------------------
 * Start, stop, listen. */

typedef struct fake_options {
    bool unix_socket; /* in a directory of its own under /tmp; else TCP on 127.0.0.1 */
    bool deaf;        /* bound, but not listening: connections are refused until fake_server_listen(true) */
} fake_options;

/** NULL: TCP, listening. */
fake_server *fake_server_start(const fake_options *options);

/** Closes all connections, ends the thread, frees the server and what its log points to. NULL is allowed. */
void fake_server_stop(fake_server *server);

/** "http://127.0.0.1:port" or "unix:///path"; lives as long as the server. */
const char *fake_server_endpoint(const fake_server *server);

/** What the client must send as :authority. */
const char *fake_server_authority(const fake_server *server);

/** Refuses new connections (false) or accepts them again on the same address (true). Open connections stay. */
void fake_server_listen(fake_server *server, bool on);

/** Behaviour of the next connection that has no script yet: scripts queue up, one for each connection. */
void fake_server_script(fake_server *server, const fake_script *script);

/** Behaviour of all connections for which no script is queued. */
void fake_server_script_rest(fake_server *server, const fake_script *script);

/** A listener on the loopback whose queue is full: connecting to it gets no answer at all. */
typedef struct fake_blackhole {
    int fds[16];
    size_t n_fds;
    char endpoint[64];
} fake_blackhole;

void fake_blackhole_open(fake_blackhole *hole);
void fake_blackhole_close(fake_blackhole *hole);

/* ------------------------------------------------------------------------------------------------------------------------
 * Requests and answers. */

typedef struct fake_header {
    const char *name;
    const char *value;
} fake_header;

/** A request in a handler. Valid until its stream is closed. */
typedef struct fake_request {
    fake_server *server;
    const char *method;     /* :path */
    const uint8_t *payload; /* the message, without gRPC's prefix */
    size_t payload_len;
    const void *message; /* decoded: an etcd__pb_..._request of wire/messages.h; NULL for an unknown method or malformed bytes */
    size_t number;       /* index in the log */
    int conn;            /* index of the connection */
    int32_t stream_id;
    bool complete; /* END_STREAM was seen; false only in handlers of streams, and in those set with `early` */
} fake_request;

/** Answers a request by queueing steps with fake_reply_*(). Steps are done in their order, each one wholly handed to the socket's
 * output before the next. A handler that queues nothing never answers. Runs on the server's thread; must not block. */
typedef void fake_handler(fake_request *request, void *arg);

/** Sets the handler of a method; NULL method: of all that have none; NULL handler: back to the default (fake_kv_handler). */
void fake_server_handle(fake_server *server, const char *method, fake_handler *handler, void *arg);

/** As fake_server_handle(), but it runs when the request's headers have arrived, before its body. */
void fake_server_handle_early(fake_server *server, const char *method, fake_handler *handler, void *arg);

/** The handler of a method whose clients send many messages: it runs for each as it arrives (and is one request in the log
 *  with its own number), and once with `complete` and a NULL message when the client has ended its side. The same
 *  fake_request each time, until its stream is closed. */
void fake_server_handle_messages(fake_server *server, const char *method, fake_handler *handler, void *arg);

/** Calls `handler` on the calling thread with the request of the newest open stream of a method, to answer more on it; false
 *  when there is none. */
bool fake_server_on_stream(fake_server *server, const char *method, fake_handler *handler, void *arg);

/** An in-memory store: Range, Put, DeleteRange, Txn and Compact as etcd does them, without history. Others: UNIMPLEMENTED. */
fake_handler fake_kv_handler;

/** Applies the request to the store; what fake_kv_handler would answer as one message, in memory of malloc that the caller frees.
 *  NULL for an unknown method. */
uint8_t *fake_kv_apply(fake_request *request, size_t *len);

/** HEADERS: :status 200 and content-type application/grpc, or as given (NULL content type: none). */
void fake_reply_headers(fake_request *request);
void fake_reply_http(fake_request *request, const char *status, const char *content_type);
/** HEADERS of exactly these fields. */
void fake_reply_header_block(fake_request *request, const fake_header *headers, size_t n, bool end_stream);

/** One gRPC message: encoded from a struct by its table, or given as bytes with any flag byte. */
void fake_reply_message(fake_request *request, const etcd__pb_message *type, const void *message);
void fake_reply_payload(fake_request *request, uint8_t flag, const void *payload, size_t len);
/** DATA of exactly these bytes; `end_stream` ends our side. */
void fake_reply_data(fake_request *request, const void *data, size_t len, bool end_stream);
/** DATA for ever, as the windows allow; `announced` is in the message's prefix. */
void fake_reply_endless(fake_request *request, uint32_t announced);

/** Trailers: grpc-status and, unless NULL, grpc-message. */
void fake_reply_status(fake_request *request, int code, const char *message);
/** The same without headers before: a Trailers-Only answer. */
void fake_reply_trailers_only(fake_request *request, int code, const char *message);

/** Headers, what the store answers, OK. */
void fake_reply_kv(fake_request *request);

/** RST_STREAM. */
void fake_reply_reset(fake_request *request, uint32_t h2_code);
/** GOAWAY. `last_stream_id` is sent as it is, also when it rises; `debug` may be NULL. The connection stays open. */
void fake_reply_goaway(fake_request *request, int32_t last_stream_id, uint32_t h2_code, const char *debug);
/** Bytes past nghttp2, as they are. */
void fake_reply_raw(fake_request *request, const void *bytes, size_t len);
/** The end of the connection, once what was queued before is written. */
void fake_reply_cut(fake_request *request, fake_cut cut);
/** From here on the connection only floods; nothing that it receives is looked at. */
void fake_reply_flood(fake_request *request, fake_flood flood);
/** A header block of `bytes` bytes (literals, uncompressed) in HEADERS and as many CONTINUATION frames as needed. After it only
 *  raw bytes, resets and what concerns the connection can follow on this stream: nghttp2 does not know of these headers. */
void fake_reply_giant_headers(fake_request *request, size_t bytes);
/** The same as trailers: without :status and content type, with END_STREAM. */
void fake_reply_giant_trailers(fake_request *request, size_t bytes);
/** The steps behind this wait for gate `gate`. */
void fake_reply_gate(fake_request *request, int gate);

/* ------------------------------------------------------------------------------------------------------------------------
 * Gates: numbers 0 to 31; all are closed at the start. */

#define FAKE_N_GATES 32

/** Lets all pass, now and later. */
void fake_server_gate_open(fake_server *server, int gate);
/** Lets one that waits, or the next that comes, pass. */
void fake_server_gate_pass(fake_server *server, int gate);
/** Waits until n answers are waiting at the gate. */
bool fake_server_wait_gate(fake_server *server, int gate, size_t n, int timeout_ms);

/* ------------------------------------------------------------------------------------------------------------------------
 * Acts of the server on connections, outside of an answer. `conn`: index or FAKE_ALL. */

void fake_server_goaway(fake_server *server, int conn, int32_t last_stream_id, uint32_t h2_code, const char *debug);
void fake_server_setting(fake_server *server, int conn, int32_t id, uint32_t value);
void fake_server_ping(fake_server *server, int conn);
void fake_server_raw(fake_server *server, int conn, const void *bytes, size_t len);
void fake_server_cut(fake_server *server, int conn, fake_cut cut);
void fake_server_flood(fake_server *server, int conn, fake_flood flood);
/** Stops or goes on reading. */
void fake_server_reading(fake_server *server, int conn, bool on);

/* ------------------------------------------------------------------------------------------------------------------------
 * The log. */

/** A request as it was seen. Copied out; what it points to lives until fake_server_stop(). */
typedef struct fake_seen {
    const char *method;
    const uint8_t *payload; /* NULL while incomplete */
    size_t payload_len;
    const fake_header *headers;
    size_t n_headers;
    int conn;
    int32_t stream_id;
    int64_t at_ns;     /* CLOCK_MONOTONIC when it was complete, else when its headers had arrived */
    bool complete;     /* headers, body and END_STREAM arrived */
    bool handled;      /* a handler was called with it complete */
    bool client_reset; /* the client sent RST_STREAM */
    uint32_t reset_code;
    bool closed; /* the stream or its connection is closed */
} fake_seen;

/** A connection as it was seen. */
typedef struct fake_conn_log {
    uint64_t bytes_read;
    uint64_t bytes_written;
    int64_t accepted_ns, closed_ns; /* CLOCK_MONOTONIC; closed_ns 0: still open */
    uint32_t pings, ping_acks;      /* received */
    uint32_t settings, settings_acks;
    uint32_t resets;
    uint32_t goaways;
    uint32_t goaway_code;
    uint32_t violations; /* frames of the client that HTTP/2 forbids */
    bool preface;        /* the client's preface and SETTINGS arrived */
    bool cut;            /* we ended it, as told */
    bool peer_closed;    /* the client ended it: end of file or reset */
    bool peer_reset;     /* it was a reset */
} fake_conn_log;

/** Complete requests so far; of one method, or all (NULL). */
size_t fake_server_count(fake_server *server, const char *method);
/** Complete requests of a method with exactly this payload. */
size_t fake_server_count_payload(fake_server *server, const char *method, const void *payload, size_t len);
/** Requests in the log, complete or not, and one of them. */
size_t fake_server_seen_count(fake_server *server);
fake_seen fake_server_seen(fake_server *server, size_t number);
/** The first value of a header, or NULL. */
const char *fake_seen_header(const fake_seen *seen, const char *name);

/** Connections accepted so far, how many of them are open, and the log of one. */
size_t fake_server_conn_count(fake_server *server);
size_t fake_server_open_count(fake_server *server);
fake_conn_log fake_server_conn(fake_server *server, int conn);
/** Sum of fake_conn_log.violations. */
size_t fake_server_violations(fake_server *server);

/** Wait until there were n complete requests of a method (NULL: any), n connections, n closed connections, or until `predicate`
 * is true; false when it did not come to that within timeout_ms. The predicate may call the functions of this header that do not
 * wait. */
bool fake_server_wait_requests(fake_server *server, const char *method, size_t n, int timeout_ms);
bool fake_server_wait_conns(fake_server *server, size_t n, int timeout_ms);
bool fake_server_wait_closed(fake_server *server, size_t n, int timeout_ms);
bool fake_server_wait(fake_server *server, bool (*predicate)(fake_server *server, void *arg), void *arg, int timeout_ms);

/** The version of a key: how often it was put since it was created; 0 when it does not exist. */
int64_t fake_server_kv_version(fake_server *server, const char *key);
/** Keys in the store, and the revision. */
size_t fake_server_kv_count(fake_server *server);
int64_t fake_server_kv_revision(fake_server *server);
/** How many requests were applied that put or delete, also one that deleted nothing. */
size_t fake_server_kv_writes(fake_server *server);

#endif
