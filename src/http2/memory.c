/* See memory.h. Before each block stands its class, padded to the alignment that malloc promises. */
#include "http2/memory.h"

#include "base/alloc.h"

#include <stdalign.h>
#include <stdint.h>
#include <string.h>

#define SMALLEST_SHIFT 6
#define UNPOOLED UINT32_MAX

typedef struct block {
    union {
        struct {
            uint32_t size_class;
            uint32_t size; /* bytes behind the header; for UNPOOLED blocks below 4 GiB, else UINT32_MAX */
        } head;
        struct block *next; /* while it waits */
        max_align_t align;
    } u;
} block;

static void *block_data(block *b)
{
    return b + 1;
}

static block *block_of(void *data)
{
    return (block *)data - 1;
}

static uint32_t class_of(size_t size)
{
    if (size <= (size_t)1 << SMALLEST_SHIFT)
        return 0;
    if (size > (size_t)1 << (SMALLEST_SHIFT + ETCD__H2_POOL_CLASSES - 1))
        return UNPOOLED;
    return (uint32_t)(64 - __builtin_clzll((unsigned long long)size - 1)) - SMALLEST_SHIFT;
}

static size_t class_size(uint32_t size_class)
{
    return (size_t)1 << (SMALLEST_SHIFT + size_class);
}

static void *pool_malloc(size_t size, void *user_data)
{
    etcd__h2_pool *pool = user_data;
    uint32_t size_class = class_of(size);
    block *b;

    if (size_class != UNPOOLED) {
        size = class_size(size_class);
        b = pool->free_blocks[size_class];
        if (b != NULL) {
            pool->free_blocks[size_class] = b->u.next;
            pool->waiting -= size;
            b->u.head.size_class = size_class;
            b->u.head.size = (uint32_t)size;
            return block_data(b);
        }
    }
    if (size >= UINT32_MAX)
        return NULL;
    b = etcd__malloc(sizeof *b + size);
    if (b == NULL)
        return NULL;
    b->u.head.size_class = size_class;
    b->u.head.size = (uint32_t)size;
    return block_data(b);
}

static void pool_release(void *memory, void *user_data)
{
    etcd__h2_pool *pool = user_data;
    uint32_t size_class;
    block *b;

    if (memory == NULL)
        return;
    b = block_of(memory);
    size_class = b->u.head.size_class;
    if (size_class == UNPOOLED || pool->waiting + class_size(size_class) > ETCD__H2_POOL_MAX) {
        etcd__free(b);
        return;
    }
    pool->waiting += class_size(size_class);
    b->u.next = pool->free_blocks[size_class];
    pool->free_blocks[size_class] = b;
}

static void *pool_calloc(size_t count, size_t size, void *user_data)
{
    void *memory;

    if (size != 0 && count > UINT32_MAX / size)
        return NULL;
    memory = pool_malloc(count * size, user_data);
    if (memory != NULL)
        memset(memory, 0, count * size);
    return memory;
}

static void *pool_realloc(void *memory, size_t size, void *user_data)
{
    size_t old_size;
    void *grown;

    if (memory == NULL)
        return pool_malloc(size, user_data);
    old_size = block_of(memory)->u.head.size;
    if (size <= old_size)
        return memory;
    grown = pool_malloc(size, user_data);
    if (grown == NULL)
        return NULL;
    memcpy(grown, memory, old_size);
    pool_release(memory, user_data);
    return grown;
}

nghttp2_mem etcd__h2_pool_functions(etcd__h2_pool *pool)
{
    nghttp2_mem functions = {pool, pool_malloc, pool_release, pool_calloc, pool_realloc};

    return functions;
}

void *etcd__h2_pool_take(etcd__h2_pool *pool, size_t size)
{
    return pool_malloc(size, pool);
}

void etcd__h2_pool_give(etcd__h2_pool *pool, void *memory)
{
    pool_release(memory, pool);
}

void etcd__h2_pool_free(etcd__h2_pool *pool)
{
    for (size_t i = 0; i < ETCD__H2_POOL_CLASSES; i++) {
        block *b = pool->free_blocks[i];

        while (b != NULL) {
            block *next = b->u.next;

            etcd__free(b);
            b = next;
        }
        pool->free_blocks[i] = NULL;
    }
    pool->waiting = 0;
}
