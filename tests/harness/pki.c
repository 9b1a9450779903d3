/* See pki.h. */
#include "harness/pki.h"

#include "harness/test.h"

#include <dirent.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void check(bool good, const char *what)
{
    if (!good)
        fail_msg("%s: %s", what, ERR_reason_error_string(ERR_peek_last_error()));
}

static EVP_PKEY *new_key(const char *type)
{
    EVP_PKEY *key;

    if (type == NULL || strcmp(type, "P-256") == 0)
        key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    else if (strncmp(type, "RSA", 3) == 0)
        key = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)strtoul(type + 3, NULL, 10));
    else
        key = EVP_PKEY_Q_keygen(NULL, NULL, type);
    check(key != NULL, "key");
    return key;
}

static void add_extension(X509 *x509, X509 *issuer, int nid, const char *value)
{
    X509_EXTENSION *extension;
    X509V3_CTX ctx;

    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, x509, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    check(extension != NULL && X509_add_ext(x509, extension, -1) == 1, value);
    X509_EXTENSION_free(extension);
}

static void add_raw_dns(X509 *x509, const char *name, size_t len)
{
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    GENERAL_NAME *general = GENERAL_NAME_new();
    ASN1_IA5STRING *string = ASN1_IA5STRING_new();

    check(ASN1_STRING_set(string, name, (int)len) == 1, "name");
    GENERAL_NAME_set0_value(general, GEN_DNS, string);
    check(sk_GENERAL_NAME_push(names, general) > 0, "name");
    check(X509_add1_ext_i2d(x509, NID_subject_alt_name, names, 0, 0) == 1, "name");
    GENERAL_NAMES_free(names);
}

static void add_extensions(X509 *x509, X509 *issuer, const etcd_test_cert_spec *spec)
{
    char basic[64];

    if (spec->ca) {
        (void)snprintf(basic, sizeof basic, "critical,CA:TRUE%s%s", spec->path_length ? ",pathlen:" : "",
                       spec->path_length ? spec->path_length : "");
        add_extension(x509, issuer, NID_basic_constraints, basic);
        add_extension(x509, issuer, NID_key_usage, "critical,keyCertSign,cRLSign");
    } else {
        add_extension(x509, issuer, NID_basic_constraints, "critical,CA:FALSE");
    }
    add_extension(x509, issuer, NID_subject_key_identifier, "hash");
    if (spec->constraints != NULL)
        add_extension(x509, issuer, NID_name_constraints, spec->constraints);
    if (spec->eku != NULL)
        add_extension(x509, issuer, NID_ext_key_usage, spec->eku);
    if (spec->sans != NULL)
        add_extension(x509, issuer, NID_subject_alt_name, spec->sans);
    if (spec->raw_dns != NULL)
        add_raw_dns(x509, spec->raw_dns, spec->raw_dns_len);
}

static void break_signature(X509 *x509)
{
    const ASN1_BIT_STRING *signature;
    const X509_ALGOR *algorithm;
    unsigned char *bytes;

    X509_get0_signature(&signature, &algorithm, x509);
    bytes = (unsigned char *)(uintptr_t)ASN1_STRING_get0_data(signature);
    bytes[ASN1_STRING_length(signature) - 1] ^= 1;
}

etcd_test_cert etcd_test_cert_new(const etcd_test_cert_spec *spec)
{
    bool usual = spec->begins == 0 && spec->ends == 0;
    etcd_test_cert cert = {X509_new(), new_key(spec->key_type)};
    const etcd_test_cert *issuer = spec->issuer ? spec->issuer : &cert;
    const EVP_MD *digest = EVP_get_digestbyname(spec->digest ? spec->digest : "SHA256");
    X509_NAME *name = X509_get_subject_name(cert.x509);
    uint64_t serial = 0;

    check(X509_set_version(cert.x509, X509_VERSION_3) == 1 && RAND_bytes((unsigned char *)&serial, sizeof serial) == 1, "serial");
    check(ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert.x509), serial >> 1) == 1, "serial");
    check(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)(spec->cn ? spec->cn : "test"), -1, -1,
                                     0) == 1,
          "subject");
    check(X509_set_issuer_name(cert.x509, X509_get_subject_name(issuer->x509)) == 1, "issuer");
    check(X509_gmtime_adj(X509_getm_notBefore(cert.x509), usual ? -3600 : spec->begins) != NULL, "begin");
    check(X509_gmtime_adj(X509_getm_notAfter(cert.x509), usual ? 3600 : spec->ends) != NULL, "end");
    check(X509_set_pubkey(cert.x509, cert.key) == 1, "key");
    add_extensions(cert.x509, issuer->x509, spec);
    if (EVP_PKEY_is_a(issuer->key, "ED25519"))
        digest = NULL;
    check(X509_sign(cert.x509, issuer->key, digest) > 0, "signature");
    if (spec->broken_signature)
        break_signature(cert.x509);
    return cert;
}

void etcd_test_cert_free(etcd_test_cert *cert)
{
    X509_free(cert->x509);
    EVP_PKEY_free(cert->key);
    *cert = (etcd_test_cert){NULL, NULL};
}

static char *text_of(BIO *bio)
{
    char *data, *copy;
    long len = BIO_get_mem_data(bio, &data);

    copy = calloc(1, (size_t)len + 1);
    if (copy == NULL)
        abort();
    memcpy(copy, data, (size_t)len);
    BIO_free(bio);
    return copy;
}

char *etcd_test_pem(const etcd_test_cert *cert)
{
    BIO *bio = BIO_new(BIO_s_mem());

    check(PEM_write_bio_X509(bio, cert->x509) == 1, "PEM");
    return text_of(bio);
}

char *etcd_test_pem_key(const etcd_test_cert *cert, const char *password)
{
    BIO *bio = BIO_new(BIO_s_mem());
    const EVP_CIPHER *cipher = password ? EVP_aes_256_cbc() : NULL;

    check(PEM_write_bio_PrivateKey(bio, cert->key, cipher, (const unsigned char *)password, password ? (int)strlen(password) : 0,
                                   NULL, NULL) == 1,
          "PEM");
    return text_of(bio);
}

char *etcd_test_join(char *a, char *b)
{
    size_t size = strlen(a) + strlen(b) + 1;
    char *both = malloc(size);

    if (both == NULL)
        abort();
    (void)snprintf(both, size, "%s%s", a, b);
    free(a);
    free(b);
    return both;
}

char *etcd_test_pem_crl(const etcd_test_cert *issuer, const etcd_test_cert *revoked, long ends)
{
    X509_CRL *crl = X509_CRL_new();
    X509_REVOKED *entry = X509_REVOKED_new();
    ASN1_TIME *when = ASN1_TIME_new();
    BIO *bio = BIO_new(BIO_s_mem());

    check(X509_CRL_set_version(crl, X509_CRL_VERSION_2) == 1, "CRL");
    check(X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer->x509)) == 1, "CRL");
    check(X509_gmtime_adj(when, -7200) != NULL && X509_CRL_set1_lastUpdate(crl, when) == 1, "CRL");
    check(X509_REVOKED_set_revocationDate(entry, when) == 1, "CRL");
    check(X509_gmtime_adj(when, ends ? ends : 3600) != NULL && X509_CRL_set1_nextUpdate(crl, when) == 1, "CRL");
    if (revoked != NULL) {
        check(X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(revoked->x509)) == 1, "CRL");
        check(X509_CRL_add0_revoked(crl, entry) == 1, "CRL");
    } else {
        X509_REVOKED_free(entry);
    }
    check(X509_CRL_sign(crl, issuer->key, EVP_sha256()) > 0, "CRL");
    check(PEM_write_bio_X509_CRL(bio, crl) == 1, "CRL");
    ASN1_TIME_free(when);
    X509_CRL_free(crl);
    return text_of(bio);
}

char *etcd_test_directory_new(void)
{
    char *directory = strdup("/tmp/etcd3-test-XXXXXX");

    if (directory == NULL || mkdtemp(directory) == NULL)
        abort();
    return directory;
}

void etcd_test_directory_free(char *directory)
{
    DIR *dir = opendir(directory);
    const struct dirent *entry;
    char path[512];

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        (void)snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        if (entry->d_name[0] != '.')
            (void)unlink(path);
    }
    if (dir != NULL)
        (void)closedir(dir);
    (void)rmdir(directory);
    free(directory);
}

char *etcd_test_file(const char *directory, const char *name, char *content)
{
    size_t size = strlen(directory) + strlen(name) + 2, len = strlen(content);
    char *path = malloc(size);
    FILE *file;

    if (path == NULL)
        abort();
    (void)snprintf(path, size, "%s/%s", directory, name);
    file = fopen(path, "we");
    check(file != NULL && fwrite(content, 1, len, file) == len && fclose(file) == 0, path);
    free(content);
    return path;
}
