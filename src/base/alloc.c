/* The allocator hook. It is set before any other call (see types.h), so it is read without a lock. libuv and c-ares keep
 * allocators of their own: net/uv_alloc.c and net/dns.c hand them these functions. */
#include "base/alloc.h"

#include <etcd3/error.h>
#include <etcd3/types.h>
#include <stdlib.h>
#include <string.h>

static void *libc_malloc(size_t size, void *arg)
{
    (void)arg;
    return malloc(size);
}

static void *libc_calloc(size_t count, size_t size, void *arg)
{
    (void)arg;
    return calloc(count, size);
}

static void *libc_realloc(void *memory, size_t size, void *arg)
{
    (void)arg;
    return realloc(memory, size);
}

static void libc_free(void *memory, void *arg)
{
    (void)arg;
    free(memory);
}

#define LIBC_ALLOCATOR \
    { \
        libc_malloc, libc_calloc, libc_realloc, libc_free, NULL \
    }

static etcd_allocator allocator = LIBC_ALLOCATOR;

int etcd_set_allocator(const etcd_allocator *replacement)
{
    static const etcd_allocator libc_allocator = LIBC_ALLOCATOR;

    if (replacement == NULL)
        replacement = &libc_allocator;
    if (!replacement->malloc_fn || !replacement->calloc_fn || !replacement->realloc_fn || !replacement->free_fn)
        return ETCD_ERR_ARGUMENT;
    allocator = *replacement;
    return ETCD_OK;
}

bool etcd__alloc_hooked(void)
{
    return allocator.malloc_fn != libc_malloc;
}

void *etcd__malloc(size_t size)
{
    return allocator.malloc_fn(size, allocator.arg);
}

void *etcd__calloc(size_t count, size_t size)
{
    return allocator.calloc_fn(count, size, allocator.arg);
}

void *etcd__realloc(void *memory, size_t size)
{
    return allocator.realloc_fn(memory, size, allocator.arg);
}

void etcd__free(void *memory)
{
    if (memory)
        allocator.free_fn(memory, allocator.arg);
}

char *etcd__strndup(const char *data, size_t len)
{
    char *copy = etcd__malloc(len + 1);

    if (copy == NULL)
        return NULL;
    if (len > 0)
        memcpy(copy, data, len);
    copy[len] = '\0';
    return copy;
}

char *etcd__strdup(const char *string)
{
    return etcd__strndup(string, strlen(string));
}

size_t etcd__text_size(const char *string)
{
    return string ? strlen(string) + 1 : 0;
}

const char *etcd__text_put(const char *string, uint8_t **place)
{
    const size_t size = etcd__text_size(string);
    char *copy = (char *)*place;

    if (size == 0)
        return NULL;
    memcpy(copy, string, size);
    *place += size;
    return copy;
}

void etcd__wipe(void *memory, size_t len)
{
#if defined(__GNUC__)
    if (len > 0)
        memset(memory, 0, len);
    __asm__ __volatile__("" : : "r"(memory) : "memory"); /* somebody may look: not to be left out */
#else
    volatile unsigned char *byte = memory;

    while (len-- > 0)
        *byte++ = 0;
#endif
}
