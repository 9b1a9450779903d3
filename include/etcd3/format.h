/* Responses as text: JSON as etcdctl writes it, and the bytes of the protocol.
 *
 * For command-line tools, logs and bindings, which then need not know every field of every response.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ETCD3_FORMAT_H
#define ETCD3_FORMAT_H

#include "client.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Messages within responses that can be formatted, too; beside the values of etcd_call_type. */
enum etcd_format_type {
    ETCD_FORMAT_HEADER = 1001, /**< etcd_response_header */
    ETCD_FORMAT_KV = 1002,     /**< etcd_kv */
    ETCD_FORMAT_EVENT = 1003,  /**< etcd_event */
    ETCD_FORMAT_MEMBER = 1004  /**< etcd_member */
};

typedef struct etcd_format_response {
    etcd_bytes text;
} etcd_format_response;

/** Formats as JSON, the way Go's encoding/json does with the messages of etcd's Go API, and so etcdctl: on one line without
 *  spaces, fields in the order of the protocol and under its names ("create_revision", "peerURLs"); zero, false and empty ones
 *  left out; bytes in base64; 64-bit integers as numbers; enums as numbers; control characters, <, > and & in strings
 *  escaped. The answer to an operation of a transaction is {"Response":{"response_put":{...}}}.
 *
 *  `type` is of etcd_call_type or etcd_format_type and says what `message` points to. `*out` is freed with
 *  etcd_response_free(). ETCD_ERR_ARGUMENT for another `type`, ETCD_ERR_NO_MEMORY. Any thread. Since 0.1. */
ETCD_EXPORT int etcd_format_json(int type, const void *message, etcd_format_response **out, etcd_error *err);

/** Formats as the protocol's own encoding (protocol buffers): equal messages give equal bytes, those of Go's encoder. Otherwise
 *  as etcd_format_json(). Since 0.1. */
ETCD_EXPORT int etcd_format_protobuf(int type, const void *message, etcd_format_response **out, etcd_error *err);

#ifdef __cplusplus
}
#endif

#endif
