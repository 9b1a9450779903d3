/* Finding a cluster through DNS: SRV records, as `etcdctl --discovery-srv` does. In one blocking call, or as a handle for
 * event loops; neither starts a thread.
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

/** A discovery under way, for programs that must not block. It has no thread and no callback: whoever waits for its
 *  descriptor drives it. One thread at a time. */
typedef struct etcd_discovery etcd_discovery;

/** Starts what etcd_discover() does, and returns at once. `*out` is freed with etcd_discovery_free(). ETCD_ERR_ARGUMENT,
 *  ETCD_ERR_NO_MEMORY, ETCD_ERR_SYSTEM. Since 0.1. */
ETCD_EXPORT int etcd_discovery_open(const char *domain, const etcd_discover_options *options, etcd_discovery **out,
                                    etcd_error *err);

/** A descriptor for poll() and the like, readable when etcd_discovery_wait() has something to do; on Linux timers make it
 *  readable, too, elsewhere wait at most etcd_discovery_timeout_ms(). The discovery's: neither read nor close it. A negative
 *  code after a failure. Since 0.1. */
ETCD_EXPORT int etcd_discovery_fd(etcd_discovery *discovery);

/** Milliseconds until etcd_discovery_wait() must be called though the descriptor is not readable; -1: no such time. Since
 *  0.1. */
ETCD_EXPORT int64_t etcd_discovery_timeout_ms(etcd_discovery *discovery);

/** Does what is due, and gives the result once it is there; until then it waits at most timeout_ms (0: not at all; negative:
 *  without bound) and returns ETCD_ERR_TIMED_OUT, which means: not yet. Any other error is the discovery's end. `*out` and the
 *  errors are those of etcd_discover(); ETCD_ERR_CLOSED when the result was taken before; ETCD_ERR_FORKED. Since 0.1. */
ETCD_EXPORT int etcd_discovery_wait(etcd_discovery *discovery, int64_t timeout_ms, etcd_discover_response **out, etcd_error *err);

/** Ends it, also when it is under way. NULL is allowed. Since 0.1. */
ETCD_EXPORT void etcd_discovery_free(etcd_discovery *discovery);

#ifdef __cplusplus
}
#endif

#endif
