/* A PKI for tests: keys, certificates and revocation lists as a test asks for them, in memory or in files. A failure of OpenSSL
 * fails the test. */
#ifndef ETCD3_TESTS_PKI_H
#define ETCD3_TESTS_PKI_H

#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct etcd_test_cert {
    X509 *x509;
    EVP_PKEY *key;
} etcd_test_cert;

/** What is not set has a sensible value: a P-256 key, valid from an hour ago for an hour, signed with SHA-256. */
typedef struct etcd_test_cert_spec {
    const char *cn;
    const char *sans;        /* as in openssl.cnf: "DNS:a.example,IP:127.0.0.1"; NULL: none */
    const char *eku;         /* "serverAuth"; NULL: no extended key usage */
    const char *constraints; /* name constraints of an authority: "permitted;DNS:x.example" */
    const char *raw_dns;     /* one DNS name of raw_dns_len bytes, taken as they are, instead of `sans` */
    size_t raw_dns_len;
    const etcd_test_cert *issuer; /* NULL: self-signed */
    bool ca;
    const char *path_length; /* of an authority: "0" */
    const char *key_type;    /* "P-256", "ED25519", "RSA1024", "RSA2048" */
    const char *digest;      /* "SHA256", "SHA1" */
    long begins, ends;       /* seconds from now; both 0: the usual */
    bool broken_signature;
} etcd_test_cert_spec;

etcd_test_cert etcd_test_cert_new(const etcd_test_cert_spec *spec);
void etcd_test_cert_free(etcd_test_cert *cert);

/** PEM texts; free() them. The certificates of a chain are joined with etcd_test_join(). */
char *etcd_test_pem(const etcd_test_cert *cert);
char *etcd_test_pem_key(const etcd_test_cert *cert, const char *password);
char *etcd_test_join(char *a, char *b);

/** A revocation list of `issuer` with one certificate (NULL: none). `ends` as above, 0: the usual. */
char *etcd_test_pem_crl(const etcd_test_cert *issuer, const etcd_test_cert *revoked, long ends);

/** A new private directory under /tmp; removed with all its files. */
char *etcd_test_directory_new(void);
void etcd_test_directory_free(char *directory);

/** Writes a file into a directory and returns its path (free() it); frees `content`. */
char *etcd_test_file(const char *directory, const char *name, char *content);

#endif
