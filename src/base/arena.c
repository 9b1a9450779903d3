/* See arena.h. Chunks double in size, so a response of n bytes costs O(log n) allocations. */
#include "base/arena.h"

#include "base/alloc.h"

#include <stdalign.h>
#include <string.h>

#define ALIGNMENT alignof(max_align_t)
#define ALIGN_UP(n) (((n) + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1))
#define MAX_CHUNK ((size_t)1 << 20)

struct etcd__arena_chunk {
    struct etcd__arena_chunk *older;
    max_align_t data[];
};

etcd__arena *etcd__arena_new(size_t first_bytes, size_t limit)
{
    const size_t header = ALIGN_UP(sizeof(etcd__arena));
    etcd__arena *arena;

    if (first_bytes > limit || first_bytes > SIZE_MAX - header - ALIGNMENT)
        return NULL;
    first_bytes = ALIGN_UP(first_bytes);
    arena = etcd__malloc(header + first_bytes);
    if (arena == NULL)
        return NULL;
    arena->cursor = (uint8_t *)arena + header;
    arena->end = arena->cursor + first_bytes;
    arena->newest = NULL;
    arena->allocated = first_bytes;
    arena->limit = limit;
    arena->owned = NULL;
    return arena;
}

/* Adds a chunk of at least `size` bytes, twice the arena's size when that is more. */
static int grow(etcd__arena *arena, size_t size)
{
    size_t room = arena->allocated * 2 < MAX_CHUNK ? arena->allocated * 2 : MAX_CHUNK;
    size_t left = arena->limit > arena->allocated ? arena->limit - arena->allocated : 0; /* the first chunk is rounded up */
    struct etcd__arena_chunk *chunk;

    if (size > left)
        return -1;
    if (room > left)
        room = left;
    if (room < size)
        room = size;
    chunk = etcd__malloc(sizeof *chunk + room);
    if (chunk == NULL)
        return -1;
    chunk->older = arena->newest;
    arena->newest = chunk;
    arena->cursor = (uint8_t *)chunk->data;
    arena->end = arena->cursor + room;
    arena->allocated += room;
    return 0;
}

void *etcd__arena_alloc(etcd__arena *arena, size_t size)
{
    void *memory;

    if (size > SIZE_MAX - ALIGNMENT)
        return NULL;
    size = ALIGN_UP(size);
    if (size > (size_t)(arena->end - arena->cursor) && grow(arena, size) < 0)
        return NULL;
    memory = arena->cursor;
    arena->cursor += size;
    return memory;
}

void *etcd__arena_calloc(etcd__arena *arena, size_t count, size_t size)
{
    void *memory;

    if (size != 0 && count > SIZE_MAX / size)
        return NULL;
    memory = etcd__arena_alloc(arena, count * size);
    if (memory != NULL)
        memset(memory, 0, count * size);
    return memory;
}

void etcd__arena_free(etcd__arena *arena)
{
    struct etcd__arena_chunk *chunk, *older;

    if (arena == NULL)
        return;
    for (chunk = arena->newest; chunk != NULL; chunk = older) {
        older = chunk->older;
        etcd__free(chunk);
    }
    etcd__free(arena->owned);
    etcd__free(arena);
}
