/* PEM texts, from files or memory, into an OpenSSL context. Messages name where a text came from: ca_file "x.pem": ... */
#ifndef ETCD__NET_PEM_H
#define ETCD__NET_PEM_H

#include "net/openssl.h"

#include <etcd3/error.h>
#include <stddef.h>

/** Where a PEM text is: `path`, or `text` in memory when there is no path; neither: nothing to load, which is no error. */
typedef struct etcd__pem {
    const char *option; /* for messages: "ca_file" */
    const char *path;
    const char *text;
} etcd__pem;

/** Certificates to trust; a text without any is an error. */
int etcd__pem_load_authorities(SSL_CTX *ctx, etcd__pem pem, etcd_error *err);

/** Our certificate and what is behind it in the chain; then the key that belongs to it. */
int etcd__pem_load_chain(SSL_CTX *ctx, etcd__pem pem, etcd_error *err);
int etcd__pem_load_key(SSL_CTX *ctx, etcd__pem pem, pem_password_cb *password, void *arg, etcd_error *err);

/** Revocation lists. */
int etcd__pem_load_crls(SSL_CTX *ctx, etcd__pem pem, etcd_error *err);

#endif
