/* See response.h. The struct of a response is the first thing in its arena. */
#include "wire/response.h"

#include "base/alloc.h"
#include "base/error.h"
#include "wire/table.h"

#include <stdint.h>

/* One byte of a response can stand for 32 bytes of struct and array at most (an empty key-value: 2 bytes on the wire, 64 in
 * memory), and the arena leaves at most as much unused as it gives out. So no answer of a server comes near this. */
#define MEMORY_PER_BYTE 64
#define MEMORY_BASE ((size_t)64 * 1024)

/* Room in the first chunk for what a small answer needs besides its struct: one allocation then does. */
#define FIRST_CHUNK_EXTRA 192
#define FIRST_CHUNK_MAX_LEN 4096

static etcd__arena *new_arena(const etcd__pb_message *type, size_t len)
{
    const size_t first = etcd__response_overhead() + type->size + FIRST_CHUNK_EXTRA;
    const size_t limit = len < (SIZE_MAX - MEMORY_BASE) / MEMORY_PER_BYTE ? len * MEMORY_PER_BYTE + MEMORY_BASE : SIZE_MAX;

    return etcd__arena_new(first + (len < FIRST_CHUNK_MAX_LEN ? len : FIRST_CHUNK_MAX_LEN), limit);
}

int etcd__response_decode(const etcd__pb_message *type, uint8_t *body, size_t len, void **out, etcd_error *err)
{
    etcd__arena *arena = new_arena(type, len);
    void *response;
    int rc;

    *out = NULL;
    if (arena == NULL) {
        etcd__free(body);
        return etcd__error_no_memory(err);
    }
    arena->owned = body;
    response = etcd__response_in(arena, type->size); /* in the first chunk */
    rc = etcd__pb_decode(type, body, len, arena, response, err);
    if (rc < 0) {
        etcd__arena_free(arena);
        return rc;
    }
    *out = response;
    return ETCD_OK;
}
