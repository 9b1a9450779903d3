/* SHA-256, as OpenSSL has it. */
#ifndef ETCD__NET_SHA256_H
#define ETCD__NET_SHA256_H

#include <etcd3/error.h>
#include <stddef.h>
#include <stdint.h>

#define ETCD__SHA256_SIZE 32

typedef struct etcd__sha256 etcd__sha256;

/** ETCD_ERR_NO_MEMORY, or what etcd__openssl_load() returns. */
int etcd__sha256_new(etcd__sha256 **out, etcd_error *err);

/** 0, or -1 when OpenSSL fails. */
int etcd__sha256_add(etcd__sha256 *sha, const void *data, size_t len);

/** The digest of what was added; nothing can be added after it. 0, or -1. */
int etcd__sha256_end(etcd__sha256 *sha, uint8_t digest[ETCD__SHA256_SIZE]);

/** NULL is allowed. */
void etcd__sha256_free(etcd__sha256 *sha);

#endif
