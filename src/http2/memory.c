/* See memory.h. Before each block stand its class and its neighbours in the list of all, padded to malloc's alignment. */
#include "http2/memory.h"

#include "base/alloc.h"

#include <stdalign.h>
#include <stdint.h>
#include <string.h>

#define STEP_SHIFT 6 /* classes are 64 bytes apart */
#define UNPOOLED UINT32_MAX

typedef struct block {
    alignas(max_align_t) struct block *before; /* of all blocks of the pool, in use or waiting; NULL: the first */
    struct block *after;
    uint32_t size_class;
    uint32_t size; /* bytes behind the header */
} block;

static void *block_data(block *b)
{
    return b + 1;
}

static block *block_of(void *data)
{
    return (block *)data - 1;
}

/* Where a block that waits has the next one: in its data. */
static block **next_of(block *b)
{
    return block_data(b);
}

static uint32_t class_of(size_t size)
{
    size_t size_class = (size - (size != 0)) >> STEP_SHIFT;

    return size_class < ETCD__H2_POOL_CLASSES ? (uint32_t)size_class : UNPOOLED;
}

static block *new_block(etcd__h2_pool *pool, size_t size, uint32_t size_class)
{
    block *b;

    if (size_class != UNPOOLED)
        size = ((size_t)size_class + 1) << STEP_SHIFT;
    b = size < UINT32_MAX ? etcd__malloc(sizeof *b + size) : NULL;
    if (b == NULL) {
        pool->failed = true;
        return NULL;
    }
    b->size_class = size_class;
    b->size = (uint32_t)size;
    b->before = NULL;
    b->after = pool->blocks;
    if (b->after != NULL)
        b->after->before = b;
    pool->blocks = b;
    return b;
}

static void free_block(etcd__h2_pool *pool, block *b)
{
    if (b->before != NULL)
        b->before->after = b->after;
    else
        pool->blocks = b->after;
    if (b->after != NULL)
        b->after->before = b->before;
    etcd__free(b);
}

static void *pool_malloc(size_t size, void *user_data)
{
    etcd__h2_pool *pool = user_data;
    uint32_t size_class = class_of(size);
    block *b = size_class != UNPOOLED ? pool->free_blocks[size_class] : NULL;

    if (b != NULL) {
        pool->free_blocks[size_class] = *next_of(b);
        pool->waiting -= b->size;
        return block_data(b);
    }
    b = new_block(pool, size, size_class);
    return b ? block_data(b) : NULL;
}

static void pool_release(void *memory, void *user_data)
{
    etcd__h2_pool *pool = user_data;
    block *b;

    if (memory == NULL)
        return;
    b = block_of(memory);
    if (b->size_class == UNPOOLED || pool->waiting + b->size > ETCD__H2_POOL_MAX) {
        free_block(pool, b);
        return;
    }
    pool->waiting += b->size;
    *next_of(b) = pool->free_blocks[b->size_class];
    pool->free_blocks[b->size_class] = b;
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
    old_size = block_of(memory)->size;
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
    while (pool->blocks != NULL)
        free_block(pool, pool->blocks);
    memset(pool, 0, sizeof *pool);
}
