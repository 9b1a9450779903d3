/* See alloc.h. Every block carries a header with a mark, so that a block of another allocator is noticed. */
#include "harness/alloc.h"

#include "harness/test.h"

#include <etcd3/error.h>
#include <etcd3/types.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MARK_LIVE UINT64_C(0x1e7cd3a110c8ed01)
#define MARK_FREED UINT64_C(0xdeadf7eedb10c800)

typedef struct block {
    alignas(max_align_t) uint64_t mark;
    size_t size;
} block;

static atomic_size_t allocations;
static atomic_size_t live_blocks;
static atomic_size_t fail_index; /* 0: none */
static atomic_bool failure_happened;

/* Counts one allocation; true when it is the one to fail. */
static bool must_fail(void)
{
    size_t index = atomic_fetch_add(&allocations, 1) + 1;

    if (index != atomic_load(&fail_index))
        return false;
    atomic_store(&failure_happened, true);
    return true;
}

static block *block_of(void *memory)
{
    block *b = (block *)memory - 1;

    if (b->mark != MARK_LIVE) {
        fprintf(stderr, "alloc: %p is not a live block of this allocator%s\n", memory,
                b->mark == MARK_FREED ? " (freed before)" : "");
        abort();
    }
    return b;
}

static void *counting_malloc(size_t size, void *arg)
{
    block *b;

    (void)arg;
    if (must_fail() || size > SIZE_MAX - sizeof *b)
        return NULL;
    b = malloc(sizeof *b + size);
    if (b == NULL)
        return NULL;
    b->mark = MARK_LIVE;
    b->size = size;
    atomic_fetch_add(&live_blocks, 1);
    return b + 1;
}

static void *counting_calloc(size_t count, size_t size, void *arg)
{
    void *memory;

    if (size != 0 && count > SIZE_MAX / size)
        return NULL;
    memory = counting_malloc(count * size, arg);
    if (memory != NULL)
        memset(memory, 0, count * size);
    return memory;
}

static void counting_free(void *memory, void *arg)
{
    block *b;

    (void)arg;
    if (memory == NULL)
        return;
    b = block_of(memory);
    b->mark = MARK_FREED;
    free(b);
    atomic_fetch_sub(&live_blocks, 1);
}

/* Always moves, so that pointers kept over a realloc are noticed by the sanitizers. */
static void *counting_realloc(void *memory, size_t size, void *arg)
{
    block *b;
    void *moved;

    if (memory == NULL)
        return counting_malloc(size, arg);
    b = block_of(memory);
    moved = counting_malloc(size, arg);
    if (moved == NULL)
        return NULL;
    memcpy(moved, memory, b->size < size ? b->size : size);
    counting_free(memory, arg);
    return moved;
}

void etcd_test_alloc_install(void)
{
    static const etcd_allocator allocator = {counting_malloc, counting_calloc, counting_realloc, counting_free, NULL};

    if (etcd_set_allocator(&allocator) != ETCD_OK)
        abort();
    etcd_test_alloc_fail_at(0);
}

void etcd_test_alloc_fail_at(size_t k)
{
    atomic_store(&fail_index, 0);
    atomic_store(&allocations, 0);
    atomic_store(&failure_happened, false);
    atomic_store(&fail_index, k);
}

size_t etcd_test_alloc_count(void)
{
    return atomic_load(&allocations);
}

bool etcd_test_alloc_failed(void)
{
    return atomic_load(&failure_happened);
}

size_t etcd_test_alloc_live(void)
{
    return atomic_load(&live_blocks);
}

size_t etcd_test_alloc_sweep(int (*body)(void *arg), void *arg)
{
    const size_t live_before = etcd_test_alloc_live();
    size_t k = 1, count;
    int rc;

    for (;; k++) {
        etcd_test_alloc_fail_at(k);
        rc = body(arg);
        count = etcd_test_alloc_count();
        if (etcd_test_alloc_live() != live_before)
            fail_msg("allocation %zu of a sweep failed: %zu blocks live before, %zu after", k, live_before,
                     etcd_test_alloc_live());
        if (!etcd_test_alloc_failed())
            break;
    }
    etcd_test_alloc_fail_at(0);
    if (rc != 0)
        fail_msg("the undisturbed run of a sweep returned %d", rc);
    return count;
}
