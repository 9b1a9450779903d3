/* TLS: how a client proves who it is and checks who answers. Used for `https://` and `unixs://` endpoints, and for endpoints
 * without a scheme and `unix:` ones when these options are given; `http://` endpoints never use TLS.
 *
 * TLS 1.2 or later, ALPN "h2" required, certificates and host names verified. New connections read the files again when
 * they have changed, so certificates can be rotated without a restart.
 *
 * The shared library loads OpenSSL when a client first needs it; where that fails, what needs TLS fails with ETCD_ERR_SYSTEM.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ETCD3_TLS_H
#define ETCD3_TLS_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Zero in a field means its default. Strings are borrowed for the call of etcd_client_new(). */
typedef struct etcd_tls_options {
    size_t size;           /**< sizeof(etcd_tls_options), set by ETCD_TLS and _init */
    const char *ca_file;   /**< PEM file of the authorities to trust; without ca_file, ca_dir and ca_pem the system's */
    const char *ca_dir;    /**< directory of such files, hashed as `openssl rehash` does */
    const char *ca_pem;    /**< such certificates in memory */
    const char *cert_file; /**< PEM file of the client's certificate, its chain behind it; with key_file */
    const char *key_file;  /**< PEM file of the private key */
    const char *cert_pem;  /**< the same in memory; with key_pem */
    const char *key_pem;
    /** Asked for the password of an encrypted key: writes it, NUL-terminated, to `buffer` and returns its length, or a
     *  negative number. Whenever the key is read: within etcd_client_new(), and on the driving thread when a new
     *  connection finds a file changed. Must neither block nor call the library. */
    int (*key_password_fn)(char *buffer, size_t size, void *arg);
    void *key_password_arg;
    const char *server_name;   /**< the name to ask for (SNI) and to verify instead of each endpoint's own host */
    const char *crl_file;      /**< PEM file of revocation lists: certificates of their issuers are checked against it */
    bool insecure_skip_verify; /**< accept any certificate: for tests only */
} etcd_tls_options;

#ifndef __cplusplus
#define ETCD_TLS(...) (&(const etcd_tls_options){.size = sizeof(etcd_tls_options), __VA_ARGS__})
#endif

/** Sets all fields to their defaults, for C++ and bindings; `size` is the sizeof the struct as the caller knows it.
 *  Since 0.1. */
ETCD_EXPORT void etcd_tls_options_init(etcd_tls_options *options, size_t size);

#ifdef __cplusplus
}
#endif

#endif
