/* Servers for a TLS client, in memory and without threads: a meeting of net/tls_session.h with OpenSSL's server side. */
#ifndef ETCD3_TESTS_TLS_PEER_H
#define ETCD3_TESTS_TLS_PEER_H

#include "harness/pki.h"
#include "net/tls.h"
#include "net/tls_session.h"

#include <openssl/ssl.h>

/** A server. What is not set has a sensible value. */
typedef struct etcd_test_tls_server {
    const etcd_test_cert *cert;
    const etcd_test_cert *chain;     /* an intermediate that is sent, too */
    int min_version, max_version;    /* TLS1_2_VERSION, ... */
    const char *ciphers;             /* of TLS 1.2 */
    const char *alpn;                /* "h2" by default; "": ignores ALPN; "refuse": refuses all; else answers with it, always */
    const etcd_test_cert *client_ca; /* requires a certificate issued by it */
    bool big_chain;                  /* sends the chain's certificate hundreds of times */
    SSL_CTX *ctx;                    /* an existing context instead of all the above: sessions can be continued */
} etcd_test_tls_server;

SSL_CTX *etcd_test_tls_server_ctx(const etcd_test_tls_server *server);

/** What came of a meeting. */
typedef struct etcd_test_meeting {
    int rc; /* ETCD_OK: both sides are done and have exchanged a message */
    bool resumed;
    char sni[128];      /* what the client asked for */
    char client_cn[64]; /* of the client's certificate */
    int server_alert;   /* the last alert that the server got, or -1 */
    etcd_error err;
} etcd_test_meeting;

/** Lets a client of `tls` meet the server; `step` bytes at a time in both directions (0: as much as there is). */
etcd_test_meeting etcd_test_meet(etcd__tls *tls, const char *name, const etcd_test_tls_server *server, size_t step);

/** Lets a client meet a server that answers its first flight with these bytes. */
etcd_test_meeting etcd_test_meet_bytes(etcd__tls *tls, const char *name, const void *data, size_t len);

/** Moves all that `bio` holds to the end of a client's feed, and back: for tests that go on by themselves. */
SSL *etcd_test_tls_accept(const etcd_test_tls_server *server);
int etcd_test_tls_pump(etcd__tls_session *client, SSL *server, size_t step, etcd_error *err);

#endif
