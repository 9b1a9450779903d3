/* Endpoints of a client: which there are, how they are, and changing them while calls are under way.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ETCD3_ENDPOINTS_H
#define ETCD3_ENDPOINTS_H

#include "client.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What the client does about one endpoint. */
enum etcd_endpoint_state {
    ETCD_ENDPOINT_BACKOFF = 1,    /**< not connected; the next attempt follows after a wait */
    ETCD_ENDPOINT_CONNECTING = 2, /**< resolving, connecting, or waiting for HTTP/2 settings */
    ETCD_ENDPOINT_READY = 3       /**< connected */
};

typedef struct etcd_endpoint_info {
    etcd_bytes endpoint; /**< as given */
    int32_t state;       /**< of etcd_endpoint_state */
    bool healthy;        /**< false: the member answered that it cannot serve, or did not answer; others come
                              first */
    bool is_leader;      /**< known with `leader_first` only */
    uint64_t member_id;  /**< likewise; 0: unknown */
    uint64_t calls;      /**< attempts sent there */
    uint64_t failures;   /**< of these, ended with an error */
    uint64_t bytes_sent;
    uint64_t bytes_received;
    uint64_t connects;         /**< connections that became ready */
    uint64_t connect_failures; /**< attempts that did not */
    int64_t silent_ms;         /**< since bytes arrived last on the present connection; -1 without one */
    etcd_bytes last_error;     /**< why the last connection ended, "" when none has */
} etcd_endpoint_info;

typedef struct etcd_endpoints_response {
    const etcd_endpoint_info *endpoints; /**< in the order of the list */
    size_t n_endpoints;
} etcd_endpoints_response;

/** The endpoints of the client with their state and figures. `*out` is freed with etcd_response_free(). Any thread,
 *  also in a callback. ETCD_ERR_NO_MEMORY, ETCD_ERR_CLOSED. Since 0.1. */
ETCD_EXPORT int etcd_client_endpoints(etcd_client *client, etcd_endpoints_response **out, etcd_error *err);

/** Replaces the list of endpoints (comma-separated, as in etcd_client_options). Calls under way on an endpoint that
 *  is not in the new list are finished there; others that stay keep their connections. After an error nothing has
 *  changed. Errors as of etcd_client_new(). Any thread, also in a callback. Since 0.1. */
ETCD_EXPORT int etcd_client_set_endpoints(etcd_client *client, const char *endpoints, etcd_error *err);

typedef void (*etcd_client_sync_fn)(etcd_client *client, const etcd_error *err, void *arg);

/** Asks the cluster for its members and makes the client URLs of all that are started and no learners the list of
 *  endpoints. As members advertise them, which may not be how this host reaches them. Errors as etcd_member_list() and
 *  etcd_client_set_endpoints(); ETCD_ERR_NO_ENDPOINTS when no member advertises any. Since 0.1. */
ETCD_EXPORT int etcd_client_sync(etcd_client *client, const etcd_call_options *call, etcd_error *err);
ETCD_EXPORT int etcd_client_sync_async(etcd_client *client, const etcd_call_options *call, etcd_client_sync_fn done, void *arg,
                                       etcd_call_id *id, etcd_error *err);

#ifdef __cplusplus
}
#endif

#endif
