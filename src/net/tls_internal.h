/* Between tls.c, which keeps what all connections of a client share, tls_session.c and tls_text.c. */
#ifndef ETCD__NET_TLS_INTERNAL_H
#define ETCD__NET_TLS_INTERNAL_H

#include "net/openssl.h"
#include "net/tls.h"

#include <stdbool.h>
#include <stddef.h>

/** The context for a new connection, with a reference for the caller; the files are read again when they changed. */
int etcd__tls_context(etcd__tls *tls, SSL_CTX **out, etcd_error *err);

const etcd_tls_options *etcd__tls_options(const etcd__tls *tls);

/** For tests: files are believed to have kept still at once, not after some seconds. */
void etcd__tls_trust_files_at_once(etcd__tls *tls);

/** The means by which OpenSSL takes and gives bytes; made in tls_session.c, one per client. */
BIO_METHOD *etcd__tls_bio_method(const etcd__tls *tls);
BIO_METHOD *etcd__tls_new_bio_method(void);

/** Sessions to continue, by server. They are forgotten when the files change: a continued session is not verified again. */
SSL_SESSION *etcd__tls_recall(etcd__tls *tls, const char *server);
void etcd__tls_remember(etcd__tls *tls, const SSL_CTX *ctx, const char *server, SSL_SESSION *session);
void etcd__tls_forget(etcd__tls *tls, const char *server);

/** Called by OpenSSL: a session came that can be continued; a step of a verification. In tls_session.c. */
int etcd__tls_on_session(SSL *ssl, SSL_SESSION *session);
int etcd__tls_on_verify(int ok, X509_STORE_CTX *store);

/* tls_text.c: plain words. */

/** Why a certificate was refused: "certificate of 10.0.0.1:2379 is for a.example, not for b.example". */
void etcd__tls_verify_text(X509_STORE_CTX *store, const char *peer, const char *name, char *out, size_t size);

/** What a peer means with an alert; NULL when the number says it as well. */
const char *etcd__tls_alert_text(int alert);

#endif
