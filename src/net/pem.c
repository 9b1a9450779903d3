/* See pem.h. Files are read here and not by OpenSSL, whose descriptors a program started at that moment would inherit and whose
 * buffers keep the key; ours are wiped. */
#include "net/pem.h"

#include "base/alloc.h"
#include "base/error.h"
#include "net/openssl.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FILE ((size_t)16 * 1024 * 1024)

/* A text that was opened for reading. */
struct text {
    etcd__pem pem;
    char *content; /* of a file; owned */
    size_t size;
    BIO *bio;
};

#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
static int
fault(const etcd__pem *pem, etcd_error *err, const char *format, ...)
{
    char what[256];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(what, sizeof what, format, args);
    va_end(args);
    if (pem->path != NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "%s \"%s\": %s", pem->option, pem->path, what);
    return etcd__error_set(err, ETCD_ERR_ARGUMENT, "%s: %s", pem->option, what);
}

static int fault_errno(const etcd__pem *pem, etcd_error *err, int system_errno)
{
    char what[128];

    if (strerror_r(system_errno, what, sizeof what) != 0)
        (void)snprintf(what, sizeof what, "error %d", system_errno);
    return fault(pem, err, "%s", what);
}

/* What OpenSSL complains about, and an empty error queue. */
static int fault_openssl(const etcd__pem *pem, etcd_error *err, const char *what)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = ERR_reason_error_string(code);
    bool no_memory = ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE;

    ERR_clear_error();
    if (no_memory)
        return etcd__error_no_memory(err);
    return fault(pem, err, "%s%s%s%s", what, reason ? " (" : "", reason ? reason : "", reason ? ")" : "");
}

static void close_text(struct text *text)
{
    BIO_free(text->bio);
    if (text->content != NULL)
        etcd__wipe(text->content, text->size);
    etcd__free(text->content);
}

/* Doubles the room; no copy of the content stays behind. */
static bool grow(struct text *text)
{
    size_t size = text->size > 0 ? text->size * 2 : 4096;
    char *larger = etcd__malloc(size);

    if (larger == NULL)
        return false;
    if (text->content != NULL) {
        memcpy(larger, text->content, text->size);
        etcd__wipe(text->content, text->size);
        etcd__free(text->content);
    }
    text->content = larger;
    text->size = size;
    return true;
}

static int read_all(struct text *text, int fd, size_t *len, etcd_error *err)
{
    *len = 0;
    for (;;) {
        ssize_t n;

        if (*len == text->size && *len >= MAX_FILE)
            return fault(&text->pem, err, "the file is larger than %zu MiB", MAX_FILE >> 20);
        if (*len == text->size && !grow(text))
            return etcd__error_no_memory(err);
        n = read(fd, text->content + *len, text->size - *len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fault_errno(&text->pem, err, errno);
        if (n == 0)
            return ETCD_OK;
        *len += (size_t)n;
    }
}

static int open_text(struct text *text, etcd__pem pem, etcd_error *err)
{
    const char *start = pem.text;
    size_t len = pem.text ? strlen(pem.text) : 0;
    int rc = ETCD_OK, fd;

    *text = (struct text){.pem = pem};
    if (pem.path != NULL) {
        fd = open(pem.path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return fault_errno(&pem, err, errno);
        rc = read_all(text, fd, &len, err);
        (void)close(fd);
        start = text->content;
    }
    if (rc == ETCD_OK) {
        text->bio = BIO_new_mem_buf(start, (int)len);
        rc = text->bio ? ETCD_OK : etcd__error_no_memory(err);
    }
    if (rc != ETCD_OK)
        close_text(text);
    return rc;
}

static bool nothing(etcd__pem pem)
{
    return pem.path == NULL && pem.text == NULL;
}

/* Whether reading stopped because there is no further block, and not at a broken one. */
static bool at_end(void)
{
    unsigned long code = ERR_peek_last_error();
    bool end = ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;

    if (end)
        ERR_clear_error();
    return end;
}

/* Reads the certificates of a text one by one. `use` takes each (and not the reference); it gets the number of the
 * certificate, from 0, and returns whether OpenSSL took it. */
static int each_certificate(SSL_CTX *ctx, etcd__pem pem, bool (*use)(SSL_CTX *ctx, X509 *certificate, size_t i), etcd_error *err)
{
    struct text text;
    X509 *certificate;
    size_t n = 0;
    int rc;

    if (nothing(pem))
        return ETCD_OK;
    ERR_clear_error();
    rc = open_text(&text, pem, err);
    if (rc != ETCD_OK)
        return rc;
    while (rc == ETCD_OK && (certificate = PEM_read_bio_X509(text.bio, NULL, NULL, NULL)) != NULL) {
        if (!use(ctx, certificate, n++))
            rc = fault_openssl(&pem, err, "a certificate cannot be used");
        X509_free(certificate);
    }
    if (rc == ETCD_OK && !at_end())
        rc = fault_openssl(&pem, err, "a certificate is malformed");
    else if (rc == ETCD_OK && n == 0)
        rc = fault(&pem, err, "there is no certificate in it");
    close_text(&text);
    return rc;
}

static bool trust(SSL_CTX *ctx, X509 *certificate, size_t i)
{
    (void)i;
    return X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), certificate) == 1;
}

static bool add_to_chain(SSL_CTX *ctx, X509 *certificate, size_t i)
{
    if (i == 0)
        return SSL_CTX_use_certificate(ctx, certificate) == 1;
    return SSL_CTX_add1_chain_cert(ctx, certificate) == 1;
}

int etcd__pem_load_authorities(SSL_CTX *ctx, etcd__pem pem, etcd_error *err)
{
    return each_certificate(ctx, pem, trust, err);
}

int etcd__pem_load_chain(SSL_CTX *ctx, etcd__pem pem, etcd_error *err)
{
    return each_certificate(ctx, pem, add_to_chain, err);
}

static int explain_key(etcd__pem pem, bool asked, etcd_error *err)
{
    if (asked)
        return fault_openssl(&pem, err, "the key is encrypted and its password, from key_password_fn, is missing or wrong");
    return fault_openssl(&pem, err, "there is no private key in it that can be used");
}

/* Notes that OpenSSL asked for a password at all. It asks again for each format that it tries. */
struct asking {
    pem_password_cb *password;
    void *arg;
    bool asked;
    bool refused;
};

static int on_password(char *buffer, int size, int writing, void *arg)
{
    struct asking *asking = arg;
    int len;

    asking->asked = true;
    if (asking->refused)
        return -1;
    len = asking->password(buffer, size, writing, asking->arg);
    asking->refused = len < 0;
    return len;
}

int etcd__pem_load_key(SSL_CTX *ctx, etcd__pem pem, pem_password_cb *password, void *arg, etcd_error *err)
{
    struct asking asking = {.password = password, .arg = arg};
    struct text text;
    EVP_PKEY *key;
    int rc;

    if (nothing(pem))
        return ETCD_OK;
    ERR_clear_error();
    rc = open_text(&text, pem, err);
    if (rc != ETCD_OK)
        return rc;
    key = PEM_read_bio_PrivateKey(text.bio, NULL, on_password, &asking);
    close_text(&text);
    if (key == NULL)
        return explain_key(pem, asking.asked, err);
    if (SSL_CTX_use_PrivateKey(ctx, key) != 1 || SSL_CTX_check_private_key(ctx) != 1)
        rc = fault_openssl(&pem, err, "the key does not belong to the certificate");
    EVP_PKEY_free(key);
    return rc;
}

int etcd__pem_load_crls(SSL_CTX *ctx, etcd__pem pem, etcd_error *err)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    struct text text;
    X509_CRL *crl;
    size_t n = 0;
    int rc;

    if (nothing(pem))
        return ETCD_OK;
    ERR_clear_error();
    rc = open_text(&text, pem, err);
    if (rc != ETCD_OK)
        return rc;
    while (rc == ETCD_OK && (crl = PEM_read_bio_X509_CRL(text.bio, NULL, NULL, NULL)) != NULL) {
        n++;
        if (X509_STORE_add_crl(store, crl) != 1)
            rc = fault_openssl(&pem, err, "a revocation list cannot be used");
        X509_CRL_free(crl);
    }
    if (rc == ETCD_OK && !at_end())
        rc = fault_openssl(&pem, err, "a revocation list is malformed");
    else if (rc == ETCD_OK && n == 0)
        rc = fault(&pem, err, "there is no revocation list in it");
    if (rc == ETCD_OK && X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL) != 1)
        rc = etcd__error_no_memory(err);
    close_text(&text);
    return rc;
}
