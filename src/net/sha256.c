/* See sha256.h. The struct is OpenSSL's own: its memory is, too. */
#include "net/sha256.h"

#include "base/error.h"
#include "net/openssl.h"

static EVP_MD_CTX *context(etcd__sha256 *sha)
{
    return (EVP_MD_CTX *)(void *)sha;
}

int etcd__sha256_new(etcd__sha256 **out, etcd_error *err)
{
    EVP_MD_CTX *ctx;
    int rc;

    *out = NULL;
    rc = etcd__openssl_load(err);
    if (rc != ETCD_OK)
        return rc;
    ctx = EVP_MD_CTX_new();
    if (ctx == NULL || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(ctx);
        return etcd__error_no_memory(err);
    }
    *out = (etcd__sha256 *)(void *)ctx;
    return ETCD_OK;
}

int etcd__sha256_add(etcd__sha256 *sha, const void *data, size_t len)
{
    return EVP_DigestUpdate(context(sha), data, len) == 1 ? 0 : -1;
}

int etcd__sha256_end(etcd__sha256 *sha, uint8_t digest[ETCD__SHA256_SIZE])
{
    unsigned len = 0;

    return EVP_DigestFinal_ex(context(sha), digest, &len) == 1 && len == ETCD__SHA256_SIZE ? 0 : -1;
}

void etcd__sha256_free(etcd__sha256 *sha)
{
    if (sha != NULL)
        EVP_MD_CTX_free(context(sha));
}
