/* TLS failures in plain words: what is wrong with whose certificate, and what a peer means with its alerts. Whatever comes from
 * the peer is made printable. Errors of verification: X509_STORE_CTX_get_error(3); alerts: RFC 8446, section 6. */
#include "net/openssl.h"
#include "net/tls_internal.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define MAX_NAMES 256

/* Appends to a NUL-terminated text, as much as fits. */
static void append(char *out, size_t size, const char *data, size_t len)
{
    size_t at = strlen(out);

    for (size_t i = 0; i < len && at + 1 < size; i++)
        out[at++] = data[i] >= ' ' && data[i] <= '~' ? data[i] : '?';
    out[at] = '\0';
}

static void append_name(char *out, size_t size, const char *name, size_t len)
{
    if (out[0] != '\0')
        append(out, size, ", ", 2);
    append(out, size, name, len);
}

static void append_general_name(char *out, size_t size, const GENERAL_NAME *name)
{
    char address[INET6_ADDRSTRLEN];
    const ASN1_STRING *value;
    int type;

    value = GENERAL_NAME_get0_value(name, &type);
    if (type == GEN_DNS) {
        append_name(out, size, (const char *)ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value));
    } else if (type == GEN_IPADD) {
        int len = ASN1_STRING_length(value);

        if ((len == 4 || len == 16) &&
            inet_ntop(len == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(value), address, sizeof address) != NULL)
            append_name(out, size, address, strlen(address));
    }
}

/* The names and addresses that a certificate is for. */
static void names_of(X509 *certificate, char *out, size_t size)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);

    out[0] = '\0';
    for (int i = 0; names != NULL && i < sk_GENERAL_NAME_num(names); i++)
        append_general_name(out, size, sk_GENERAL_NAME_value(names, i));
    GENERAL_NAMES_free(names);
}

static void date_of(const ASN1_TIME *when, char *out, size_t size)
{
    struct tm tm;

    if (ASN1_TIME_to_tm(when, &tm) == 1)
        (void)snprintf(out, size, "%04d-%02d-%02d %02d:%02d UTC", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
                       tm.tm_min);
    else
        (void)snprintf(out, size, "an unreadable date");
}

static void issuer_of(X509 *certificate, char *out, size_t size)
{
    char raw[MAX_NAMES];

    out[0] = '\0';
    if (X509_NAME_oneline(X509_get_issuer_name(certificate), raw, (int)sizeof raw) != NULL)
        append(out, size, raw, strlen(raw));
}

static void wrong_name(X509 *leaf, const char *peer, const char *name, char *out, size_t size)
{
    char names[MAX_NAMES];

    names_of(leaf, names, sizeof names);
    if (names[0] == '\0')
        (void)snprintf(out, size, "certificate of %s is for no name (a common name does not count), not for %s", peer, name);
    else
        (void)snprintf(out, size, "certificate of %s is for %s, not for %s", peer, names, name);
}

/* The errors that concern one certificate of the chain, called `what`. Returns false for all others. */
static bool certificate_text(int error, X509 *certificate, const char *what, char *out, size_t size)
{
    char detail[MAX_NAMES];

    switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        date_of(X509_get0_notAfter(certificate), detail, sizeof detail);
        (void)snprintf(out, size, "%s expired on %s", what, detail);
        return true;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        date_of(X509_get0_notBefore(certificate), detail, sizeof detail);
        (void)snprintf(out, size, "%s is not valid before %s", what, detail);
        return true;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_UNTRUSTED:
        issuer_of(certificate, detail, sizeof detail);
        (void)snprintf(out, size, "%s was issued by an authority that is not trusted: %s", what, detail);
        return true;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        (void)snprintf(out, size, "%s is self-signed and not trusted", what);
        return true;
    case X509_V_ERR_CERT_REVOKED:
        (void)snprintf(out, size, "%s has been revoked", what);
        return true;
    case X509_V_ERR_INVALID_PURPOSE:
    case X509_V_ERR_CERT_REJECTED:
        (void)snprintf(out, size, "%s was issued for another purpose than a server", what);
        return true;
    case X509_V_ERR_INVALID_CA:
    case X509_V_ERR_INVALID_NON_CA:
        (void)snprintf(out, size, "%s is not that of an authority, but was used as one", what);
        return true;
    case X509_V_ERR_CRL_HAS_EXPIRED:
        (void)snprintf(out, size, "%s cannot be checked: the revocation list in crl_file has expired", what);
        return true;
    case X509_V_ERR_CRL_SIGNATURE_FAILURE:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        (void)snprintf(out, size, "%s: a signature is wrong", what);
        return true;
    default:
        return false;
    }
}

void etcd__tls_verify_text(X509_STORE_CTX *store, const char *peer, const char *name, char *out, size_t size)
{
    int error = X509_STORE_CTX_get_error(store), depth = X509_STORE_CTX_get_error_depth(store);
    X509 *certificate = X509_STORE_CTX_get_current_cert(store);
    char what[192];

    (void)snprintf(what, sizeof what, "%scertificate of %s", depth > 0 ? "an authority's certificate behind the " : "", peer);
    if (certificate == NULL)
        certificate = X509_STORE_CTX_get0_cert(store);
    if (error == X509_V_ERR_HOSTNAME_MISMATCH || error == X509_V_ERR_IP_ADDRESS_MISMATCH)
        wrong_name(X509_STORE_CTX_get0_cert(store), peer, name, out, size);
    else if (!certificate_text(error, certificate, what, out, size))
        (void)snprintf(out, size, "%s: %s", what, X509_verify_cert_error_string(error));
}

const char *etcd__tls_alert_text(int alert)
{
    switch (alert) {
    case SSL_AD_CERTIFICATE_REQUIRED:
        return "it requires a client certificate";
    case SSL_AD_BAD_CERTIFICATE:
        return "it refuses the client certificate";
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
        return "it does not support this kind of client certificate";
    case SSL_AD_CERTIFICATE_REVOKED:
        return "the client certificate has been revoked";
    case SSL_AD_CERTIFICATE_EXPIRED:
        return "the client certificate has expired";
    case SSL_AD_CERTIFICATE_UNKNOWN:
        return "it does not accept the client certificate";
    case SSL_AD_UNKNOWN_CA:
        return "it does not know the authority that issued the client certificate";
    case SSL_AD_ACCESS_DENIED:
        return "it denies access";
    case SSL_AD_HANDSHAKE_FAILURE:
        return "it finds no common way to encrypt, or requires a client certificate";
    case SSL_AD_PROTOCOL_VERSION:
        return "it supports neither TLS 1.2 nor TLS 1.3";
    case SSL_AD_UNRECOGNIZED_NAME:
        return "it does not know the server name that was asked for";
    case SSL_AD_NO_APPLICATION_PROTOCOL:
        return "it does not speak HTTP/2";
    case SSL_AD_INTERNAL_ERROR:
        return "it has an internal error";
    default:
        return NULL;
    }
}
