/* Memory for nghttp2: a session frees and allocates the same few sizes for every call, so freed blocks wait in the session, by
 * size class, for the next call. In a steady state a call costs no malloc.
 *
 * Bounded: at most ETCD__H2_POOL_MAX bytes wait; blocks over the largest class are not pooled. One thread, as the session.
 *
 * The pool knows all of its blocks, so that a session can be freed without nghttp2: after a failed allocation that may free
 * twice (1.52: an item of DATA for which its queue found no room). */
#ifndef ETCD__HTTP2_MEMORY_H
#define ETCD__HTTP2_MEMORY_H

#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stddef.h>

#define ETCD__H2_POOL_CLASSES 32 /* 64, 128, 192, ... 2048 bytes */
#define ETCD__H2_POOL_MAX ((size_t)1024 * 1024)

typedef struct etcd__h2_pool {
    void *free_blocks[ETCD__H2_POOL_CLASSES]; /* singly linked */
    size_t waiting;                           /* bytes in these lists */
    struct block *blocks;                     /* all, also those in use */
    bool failed;                              /* an allocation has */
} etcd__h2_pool;

/** The functions that nghttp2 calls, bound to a pool that is cleared and outlives the nghttp2 session. */
nghttp2_mem etcd__h2_pool_functions(etcd__h2_pool *pool);

/** Memory from the same pool for this module. */
void *etcd__h2_pool_take(etcd__h2_pool *pool, size_t size);
void etcd__h2_pool_give(etcd__h2_pool *pool, void *memory);

/** Frees all blocks, also those in use. */
void etcd__h2_pool_free(etcd__h2_pool *pool);

#endif
