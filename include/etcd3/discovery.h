/* Finding a cluster through DNS: SRV records, as `etcdctl --discovery-srv` does.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ETCD3_DISCOVERY_H
#define ETCD3_DISCOVERY_H

#include "error.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct etcd_discover_options {
    size_t size;
    const char *service_name; /**< suffix of the service: "_etcd-client-<name>._tcp"; NULL: none */
    int64_t timeout_ms;       /**< default 5,000; negative: DNS' own limits only */
    const char *dns_servers;  /**< "127.0.0.1:53,...": ask these instead of the system's; NULL: the system's */
    bool secure_only;         /**< leave out endpoints without TLS */
} etcd_discover_options;

typedef struct etcd_discover_response {
    etcd_bytes endpoints; /**< "https://a.example:2379,http://b.example:2379": for etcd_client_options.endpoints */
    size_t n_endpoints;
    size_t n_ignored; /**< endpoints without TLS that `secure_only` left out */
} etcd_discover_response;

#ifndef __cplusplus
#define ETCD_DISCOVER(...) (&(const etcd_discover_options){.size = sizeof(etcd_discover_options), __VA_ARGS__})
#endif

/** Sets all fields to their defaults, for C++ and bindings; `size` is the sizeof the struct as the caller knows it.
 *  Since 0.1. */
ETCD_EXPORT void etcd_discover_options_init(etcd_discover_options *options, size_t size);

/** Looks up the SRV records "_etcd-client-ssl._tcp.<domain>", whose targets become https endpoints, and
 *  "_etcd-client._tcp.<domain>", whose targets become http endpoints; each by priority and weight. Blocks; needs no client.
 *
 *  `*out` is freed with etcd_response_free(). ETCD_ERR_ARGUMENT; ETCD_ERR_NO_ENDPOINTS when neither name has records (the
 *  message says why) or none is left; ETCD_ERR_DEADLINE_EXCEEDED; ETCD_ERR_NO_MEMORY. Any thread. Since 0.1. */
ETCD_EXPORT int etcd_discover(const char *domain, const etcd_discover_options *options, etcd_discover_response **out,
                              etcd_error *err);

#ifdef __cplusplus
}
#endif

#endif
