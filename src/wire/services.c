/* See services.h. */
/* clang-format off */
#include "wire/services.h"

#include <string.h>

#define METHOD(id, rpc_path, request_type, response_type, kind, only_reads) \
    [ETCD__RPC_##id] = {                                                    \
        .path = (rpc_path),                                                 \
        .path_len = sizeof(rpc_path) - 1,                                   \
        .request = &etcd__##request_type##_type,                            \
        .response = &etcd__##response_type##_type,                          \
        .streaming = ETCD__RPC_##kind,                                      \
        .read_only = (only_reads),                                          \
    },

const etcd__rpc_method etcd__rpc_methods[ETCD__N_RPCS] = {ETCD__RPCS(METHOD)};

const etcd__rpc_method *etcd__rpc_find(const char *path, size_t path_len)
{
    for (size_t i = 0; i < ETCD__N_RPCS; i++) {
        const etcd__rpc_method *method = &etcd__rpc_methods[i];

        if (method->path_len == path_len && memcmp(method->path, path, path_len) == 0)
            return method;
    }
    return NULL;
}
