/* Health of a member as it says itself (service grpc.health.v1.Health).
 *
 * Every call has a blocking form and one ending in _async with a callback; see client.h for threads, callbacks and
 * the completion queue. A response belongs to the caller and is freed with etcd_response_free(). In the blocking
 * form `out` may be NULL when only success matters.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ETCD3_HEALTH_H
#define ETCD3_HEALTH_H

#include "client.h"

#ifdef __cplusplus
extern "C" {
#endif

enum etcd_health_status {
    ETCD_HEALTH_UNKNOWN = 0,
    ETCD_HEALTH_SERVING = 1,
    ETCD_HEALTH_NOT_SERVING = 2, /**< such as while it defragments, where that is configured */
    ETCD_HEALTH_SERVICE_UNKNOWN = 3
};

/** The only response without a header. */
typedef struct etcd_health_check_response {
    int32_t status; /**< of etcd_health_status */
} etcd_health_check_response;

/** Callbacks: exactly once, never from within the starting call. `response` is the callee's to free, NULL after
 *  an error; `err` is NULL after a success and valid during the callback. */
typedef void (*etcd_health_check_fn)(etcd_client *client, etcd_health_check_response *response, const etcd_error *err, void *arg);

/** Asks a member whether it serves. That says nothing of its cluster: a linearizable read does.
 *
 *  `endpoint` is the member to ask, not necessarily one of the client's; NULL: that of `call`, else any. `service`
 *  names one of its services; NULL or "": the server as a whole, the only one that etcd knows: ETCD_ERR_NOT_FOUND
 *  for others. Repeated on a lost connection within the deadline. Since 0.1. */
ETCD_EXPORT int etcd_health_check(etcd_client *client, const char *endpoint, const char *service, const etcd_call_options *call,
                                  etcd_health_check_response **out, etcd_error *err);
ETCD_EXPORT int etcd_health_check_async(etcd_client *client, const char *endpoint, const char *service,
                                        const etcd_call_options *call, etcd_health_check_fn done, void *arg, etcd_call_id *id,
                                        etcd_error *err);

#ifdef __cplusplus
}
#endif

#endif
