/* A client that is nothing but a socket and nghttp2, for testing what tests of the library rely on: the fake server. */
#ifndef ETCD3_TESTS_H2_CLIENT_H
#define ETCD3_TESTS_H2_CLIENT_H

#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define H2_CLIENT_STREAMS 8
#define H2_CLIENT_WAIT_MS 20000

/** What came back on a stream. */
typedef struct h2_reply {
    int32_t id;
    char status[16], type[64], grpc_status[16], grpc_message[64];
    uint8_t body[4096];
    size_t body_len, body_total;
    size_t header_bytes;
    bool headers, closed;
    uint32_t code;
} h2_reply;

/** One connection with up to H2_CLIENT_STREAMS calls. */
typedef struct h2_client {
    int fd;
    nghttp2_session *session;
    h2_reply replies[H2_CLIENT_STREAMS];
    size_t n_replies;
    uint8_t request[H2_CLIENT_STREAMS][64];
    size_t request_len[H2_CLIENT_STREAMS], request_sent[H2_CLIENT_STREAMS];
    uint64_t bytes_read, bytes_written;
    bool eof, reset;
    int n_goaways;
    int32_t goaway_last;
    uint32_t goaway_code;
    char goaway_debug[64];
    int n_pings;
    bool settings;
} h2_client;

/** A connected socket; -1 and errno. */
int h2_dial(const char *endpoint);

/** Connects; a failure fails the test, as in all of these. */
h2_client *h2_client_open(const char *endpoint);
void h2_client_close(h2_client *c);

/** Queues a call with one message of at most 59 bytes. */
h2_reply *h2_client_call(h2_client *c, const char *path, const void *payload, size_t len);

/** Writes what is queued. */
void h2_client_flush(h2_client *c);

/** Reads and writes until `*flag` is set or the connection has ended; false after H2_CLIENT_WAIT_MS without either. */
bool h2_client_pump(h2_client *c, const bool *flag);
bool h2_client_pump_to_end(h2_client *c);

#endif
