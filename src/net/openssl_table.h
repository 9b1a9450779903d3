/* Which functions of OpenSSL the library uses, in a table through which it calls them (net/openssl.h). One of two files fills it:
 * openssl_load.c, in the shared library, loads OpenSSL when it is first needed: to relocate it takes a small program longer than
 * all else that it does. openssl_link.c, in the static library, has what the program was linked with.
 *
 * What is called and is not listed both here and in openssl.h is an undefined symbol of the shared library: no program links. */
#ifndef ETCD__NET_OPENSSL_TABLE_H
#define ETCD__NET_OPENSSL_TABLE_H

#include <etcd3/error.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#define ETCD__LIBCRYPTO_FUNCTIONS(X) \
    X(ASN1_STRING_get0_data) \
    X(ASN1_STRING_length) \
    X(ASN1_TIME_to_tm) \
    X(BIO_clear_flags) \
    X(BIO_free) \
    X(BIO_get_data) \
    X(BIO_get_new_index) \
    X(BIO_meth_free) \
    X(BIO_meth_new) \
    X(BIO_meth_set_create) \
    X(BIO_meth_set_ctrl) \
    X(BIO_meth_set_read) \
    X(BIO_meth_set_write) \
    X(BIO_new) \
    X(BIO_new_mem_buf) \
    X(BIO_set_data) \
    X(BIO_set_flags) \
    X(BIO_set_init) \
    X(ERR_clear_error) \
    X(ERR_peek_error) \
    X(ERR_peek_last_error) \
    X(ERR_reason_error_string) \
    X(EVP_DigestFinal_ex) \
    X(EVP_DigestInit_ex) \
    X(EVP_DigestUpdate) \
    X(EVP_MD_CTX_free) \
    X(EVP_MD_CTX_new) \
    X(EVP_PKEY_free) \
    X(EVP_sha256) \
    X(GENERAL_NAMES_free) \
    X(GENERAL_NAME_get0_value) \
    X(OPENSSL_sk_num) \
    X(OPENSSL_sk_value) \
    X(PEM_read_bio_PrivateKey) \
    X(PEM_read_bio_X509) \
    X(PEM_read_bio_X509_CRL) \
    X(X509_CRL_free) \
    X(X509_NAME_oneline) \
    X(X509_STORE_CTX_get0_cert) \
    X(X509_STORE_CTX_get_current_cert) \
    X(X509_STORE_CTX_get_error) \
    X(X509_STORE_CTX_get_error_depth) \
    X(X509_STORE_CTX_get_ex_data) \
    X(X509_STORE_CTX_set_error) \
    X(X509_STORE_add_cert) \
    X(X509_STORE_add_crl) \
    X(X509_STORE_set_flags) \
    X(X509_VERIFY_PARAM_set1_ip_asc) \
    X(X509_VERIFY_PARAM_set_flags) \
    X(X509_VERIFY_PARAM_set_hostflags) \
    X(X509_cmp_current_time) \
    X(X509_free) \
    X(X509_get0_notAfter) \
    X(X509_get0_notBefore) \
    X(X509_get_default_cert_dir) \
    X(X509_get_default_cert_dir_env) \
    X(X509_get_default_cert_file) \
    X(X509_get_default_cert_file_env) \
    X(X509_get_ext_d2i) \
    X(X509_get_issuer_name) \
    X(X509_verify_cert_error_string)

#define ETCD__LIBSSL_FUNCTIONS(X) \
    X(OPENSSL_init_ssl) \
    X(SSL_CIPHER_get_name) \
    X(SSL_CTX_check_private_key) \
    X(SSL_CTX_ctrl) \
    X(SSL_CTX_free) \
    X(SSL_CTX_get0_param) \
    X(SSL_CTX_get_cert_store) \
    X(SSL_CTX_get_security_level) \
    X(SSL_CTX_load_verify_dir) \
    X(SSL_CTX_new) \
    X(SSL_CTX_sess_set_new_cb) \
    X(SSL_CTX_set_alpn_protos) \
    X(SSL_CTX_set_cipher_list) \
    X(SSL_CTX_set_default_verify_paths) \
    X(SSL_CTX_set_options) \
    X(SSL_CTX_set_security_level) \
    X(SSL_CTX_set_verify) \
    X(SSL_CTX_up_ref) \
    X(SSL_CTX_use_PrivateKey) \
    X(SSL_CTX_use_certificate) \
    X(SSL_SESSION_free) \
    X(SSL_SESSION_get0_peer) \
    X(SSL_SESSION_is_resumable) \
    X(SSL_alert_desc_string_long) \
    X(SSL_ctrl) \
    X(SSL_do_handshake) \
    X(SSL_free) \
    X(SSL_get0_alpn_selected) \
    X(SSL_get0_param) \
    X(SSL_get_SSL_CTX) \
    X(SSL_get_current_cipher) \
    X(SSL_get_error) \
    X(SSL_get_ex_data) \
    X(SSL_get_ex_data_X509_STORE_CTX_idx) \
    X(SSL_get_version) \
    X(SSL_new) \
    X(SSL_read) \
    X(SSL_session_reused) \
    X(SSL_set1_host) \
    X(SSL_set_bio) \
    X(SSL_set_connect_state) \
    X(SSL_set_ex_data) \
    X(SSL_set_info_callback) \
    X(SSL_set_session) \
    X(SSL_set_shutdown) \
    X(SSL_shutdown) \
    X(SSL_write) \
    X(TLS_client_method)

#define ETCD__OPENSSL_FUNCTIONS(X) ETCD__LIBCRYPTO_FUNCTIONS(X) ETCD__LIBSSL_FUNCTIONS(X)

struct etcd__openssl {
#define X(name) __typeof__(name) *name; /* NOLINT(bugprone-macro-parentheses): a declaration */
    ETCD__OPENSSL_FUNCTIONS(X)
#undef X
};

/** NULL until etcd__openssl_load() has succeeded once; never changed afterwards. */
extern const struct etcd__openssl *etcd__openssl;

/** To be called before the first use of anything of OpenSSL, any thread, any number of times. ETCD_ERR_SYSTEM says which library
 * or function is missing; the next call tries again. */
int etcd__openssl_load(etcd_error *err);

#endif
