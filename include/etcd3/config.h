/* Client options from outside the program: a YAML file in the format of the Go client, or environment variables as
 * etcdctl has them. Nothing is read unless a program calls these functions.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ETCD3_CONFIG_H
#define ETCD3_CONFIG_H

#include "client.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Loaded options, and the memory that they point to. */
typedef struct etcd_config etcd_config;

/** Reads a YAML file with the keys of the Go client's clientv3/yaml: endpoints, dial-timeout, dial-keep-alive-time,
 *  dial-keep-alive-timeout, auto-sync-interval, max-unary-retries, backoff-wait-between, username, password, token,
 *  reject-old-cluster, insecure-transport, insecure-skip-tls-verify, cert-file, key-file, trusted-ca-file. Durations
 *  are Go's ("5s", "100ms") or nanoseconds as a number. Keys that are Go's own are accepted and mean nothing here
 *  (permit-without-stream, backoff-jitter-fraction, ca-file). As in Go, TLS is used unless insecure-transport is
 *  true.
 *
 *  ETCD_ERR_ARGUMENT with file, line and what is wrong, also for an unknown key; ETCD_ERR_SYSTEM when the file
 *  cannot be read; ETCD_ERR_NO_MEMORY. Any thread. Since 0.1. */
ETCD_EXPORT int etcd_config_load_yaml(const char *path, etcd_config **out, etcd_error *err);

/** Reads environment variables: `prefix` (NULL: "ETCDCTL_") and ENDPOINTS, DIAL_TIMEOUT, COMMAND_TIMEOUT,
 *  KEEPALIVE_TIME, KEEPALIVE_TIMEOUT, MAX_REQUEST_BYTES, MAX_RECV_BYTES, INSECURE_TRANSPORT,
 *  INSECURE_SKIP_TLS_VERIFY, CERT, KEY, CACERT, USER ("name" or "name:password"), PASSWORD, AUTH_JWT_TOKEN. Without
 *  ENDPOINTS: 127.0.0.1:2379. TLS is used when a file is named or INSECURE_TRANSPORT is false.
 *
 *  ETCD_ERR_ARGUMENT names the variable and what is wrong with it; ETCD_ERR_NO_MEMORY. Not while another thread
 *  changes the environment. Since 0.1. */
ETCD_EXPORT int etcd_config_load_env(const char *prefix, etcd_config **out, etcd_error *err);

/** The options for etcd_client_new(). They belong to the config: copy the struct to change fields. Since 0.1. */
ETCD_EXPORT const etcd_client_options *etcd_config_options(const etcd_config *config);

/** Wipes secrets and frees. Clients made from it stay. NULL is allowed. Since 0.1. */
ETCD_EXPORT void etcd_config_free(etcd_config *config);

#ifdef __cplusplus
}
#endif

#endif
