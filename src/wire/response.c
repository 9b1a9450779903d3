/* See response.h. A response is an arena; its struct is the first thing in it, behind a pointer to the arena. */
#include "wire/response.h"

#include "base/alloc.h"
#include "base/error.h"
#include "wire/table.h"

#include <etcd3/types.h>
#include <stdalign.h>

/* One byte of a response can stand for 32 bytes of struct and array at most (an empty key-value: 2 bytes on the wire, 64 in
 * memory), and the arena leaves at most as much unused as it gives out. So no answer of a server comes near this. */
#define MEMORY_PER_BYTE 64
#define MEMORY_BASE ((size_t)64 * 1024)

/* Room in the first chunk for what a small answer needs besides its struct: one allocation then does. */
#define FIRST_CHUNK_EXTRA 192
#define FIRST_CHUNK_MAX_LEN 4096

typedef struct prefix {
    alignas(max_align_t) etcd__arena *arena;
} prefix;

static prefix *prefix_of(void *response)
{
    return (prefix *)response - 1;
}

static etcd__arena *new_arena(const etcd__pb_message *type, size_t len)
{
    const size_t first = sizeof(prefix) + type->size + FIRST_CHUNK_EXTRA;
    const size_t limit = len < (SIZE_MAX - MEMORY_BASE) / MEMORY_PER_BYTE ? len * MEMORY_PER_BYTE + MEMORY_BASE : SIZE_MAX;

    return etcd__arena_new(first + (len < FIRST_CHUNK_MAX_LEN ? len : FIRST_CHUNK_MAX_LEN), limit);
}

int etcd__response_decode(const etcd__pb_message *type, uint8_t *body, size_t len, void **out, etcd_error *err)
{
    etcd__arena *arena = new_arena(type, len);
    prefix *head;
    int rc;

    *out = NULL;
    if (arena == NULL) {
        etcd__free(body);
        return etcd__error_no_memory(err);
    }
    arena->owned = body;
    head = etcd__arena_alloc(arena, sizeof *head + type->size); /* in the first chunk */
    head->arena = arena;
    rc = etcd__pb_decode(type, body, len, arena, head + 1, err);
    if (rc < 0) {
        etcd__arena_free(arena);
        return rc;
    }
    *out = head + 1;
    return ETCD_OK;
}

/* A cleared struct in the arena, with its prefix: what etcd_response_free() can be given. */
static void *add_struct(etcd__arena *arena, size_t size)
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

    return arena ? add_struct(arena, size) : NULL; /* fits the first chunk */
}

void *etcd__response_wrap(void *response, size_t size)
{
    return add_struct(prefix_of(response)->arena, size);
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
