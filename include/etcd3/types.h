/* Basic types of libetcd3: bytes, key-values, headers, and how responses are freed.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ETCD3_TYPES_H
#define ETCD3_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Define ETCD_EXPORT as nothing to read these headers with a parser that knows no attributes (cffi, LuaJIT). */
#if defined(ETCD_EXPORT)
#elif defined(__GNUC__)
#define ETCD_EXPORT __attribute__((visibility("default")))
#else
#define ETCD_EXPORT
#endif

/** Passes a NUL-terminated string where a function takes `(data, len)`. Evaluates its argument twice. */
#define ETCD_STR(string) (string), __builtin_strlen(string)

#ifdef __cplusplus
extern "C" {
#endif

#define ETCD_VERSION_MAJOR 0
#define ETCD_VERSION_MINOR 1
#define ETCD_VERSION_PATCH 0

/** The version of the library that is running, "major.minor.patch". Static storage; any thread. Since 0.1. */
ETCD_EXPORT const char *etcd_version(void);

/** Bytes that belong to a response. `data` is never NULL and is followed by a NUL that `len` does not count, so text
 *  can be printed with "%s" while binary values stay exact. */
typedef struct etcd_bytes {
    const char *data;
    size_t len;
} etcd_bytes;

/** What every response of the etcd API starts with (etcdserverpb.ResponseHeader); only the health check's has none. */
typedef struct etcd_response_header {
    uint64_t cluster_id;
    uint64_t member_id; /**< the member that answered */
    int64_t revision;   /**< the store's revision when the request was applied */
    uint64_t raft_term;
} etcd_response_header;

/** A key with its value and history (mvccpb.KeyValue). */
typedef struct etcd_kv {
    etcd_bytes key;
    etcd_bytes value;        /**< empty when only keys were asked for */
    int64_t create_revision; /**< revision of the put that created the key */
    int64_t mod_revision;    /**< revision of the last put */
    int64_t version;         /**< puts since creation; 0 in a compare means "does not exist" */
    int64_t lease;           /**< id of the attached lease, 0 for none */
} etcd_kv;

/** Frees a response of any type with everything that it points to: one response, one free. NULL is allowed. Members
 *  of a response (an element of an array, a nested response) are not responses: only what a function stored in its
 *  `out` argument or passed to a callback is. Any thread; also after the client is freed. Since 0.1. */
ETCD_EXPORT void etcd_response_free(void *response);

/** Memory functions for all that the library allocates, also within nghttp2, libuv and c-ares (OpenSSL and libyaml keep
 *  their own). They must be safe from any thread and behave like malloc, calloc, realloc and free of the C library. `arg`
 *  is handed to each of them. */
typedef struct etcd_allocator {
    void *(*malloc_fn)(size_t size, void *arg);
    void *(*calloc_fn)(size_t count, size_t size, void *arg);
    void *(*realloc_fn)(void *memory, size_t size, void *arg);
    void (*free_fn)(void *memory, void *arg);
    void *arg;
} etcd_allocator;

/** Replaces the memory functions of the whole process' use of this library. Call it before any other function of the
 *  library, and not at the same time as any. NULL restores the C library's. The library's only global state. Returns
 *  ETCD_OK, or ETCD_ERR_ARGUMENT when a function is missing. Since 0.1. */
ETCD_EXPORT int etcd_set_allocator(const etcd_allocator *allocator);

#ifdef __cplusplus
}
#endif

#endif
