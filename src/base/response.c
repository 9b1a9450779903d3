/* See response.h. A response is an arena; its struct stands in it behind a pointer to the arena. */
#include "base/response.h"

#include <etcd3/types.h>
#include <stdalign.h>

typedef struct prefix {
    alignas(max_align_t) etcd__arena *arena;
} prefix;

static prefix *prefix_of(void *response)
{
    return (prefix *)response - 1;
}

size_t etcd__response_overhead(void)
{
    return sizeof(prefix);
}

void *etcd__response_in(etcd__arena *arena, size_t size)
{
    prefix *head = etcd__arena_calloc(arena, 1, sizeof *head + size);

    if (head == NULL)
        return NULL;
    head->arena = arena;
    return head + 1;
}

void *etcd__response_new(size_t size)
{
    etcd__arena *arena = etcd__arena_new(sizeof(prefix) + size, SIZE_MAX);

    return arena ? etcd__response_in(arena, size) : NULL; /* fits the first chunk */
}

void *etcd__response_wrap(void *response, size_t size)
{
    return etcd__response_in(prefix_of(response)->arena, size);
}

etcd__arena *etcd__response_arena(void *response)
{
    return prefix_of(response)->arena;
}

void etcd_response_free(void *response)
{
    if (response != NULL)
        etcd__arena_free(prefix_of(response)->arena);
}
