/* Arena: memory for what lives and dies together, such as one response. Allocation is a pointer bump; one call frees
 * all.
 *
 * An arena lives in its own first chunk, so a small response costs one allocation. `limit` bounds the sum of all
 * chunks: a hostile message cannot make the arena grow past it. Not thread-safe; may move between threads. */
#ifndef ETCD__BASE_ARENA_H
#define ETCD__BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

typedef struct etcd__arena etcd__arena;

struct etcd__arena {
    uint8_t *cursor; /* next free byte of the newest chunk */
    uint8_t *end;
    struct etcd__arena_chunk *newest; /* list of the chunks after the first */
    size_t allocated;                 /* bytes of all chunks */
    size_t limit;
    void *owned; /* one more block, from etcd__malloc, freed with the arena; or NULL */
};

/** A new arena with room for `first_bytes` in its first chunk, or NULL. */
etcd__arena *etcd__arena_new(size_t first_bytes, size_t limit);

/** `size` bytes aligned for any type, not cleared; NULL when out of memory or over the limit. */
void *etcd__arena_alloc(etcd__arena *arena, size_t size);

/** As etcd__arena_alloc for `count` elements, cleared; NULL also when the product overflows. */
void *etcd__arena_calloc(etcd__arena *arena, size_t count, size_t size);

void etcd__arena_free(etcd__arena *arena);

#endif
