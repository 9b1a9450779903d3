/* Memory: every allocation of the library goes through the hook that etcd_set_allocator() installs.
 *
 * The functions behave like the C library's; a NULL result is an out-of-memory that the caller must carry up as
 * ETCD_ERR_NO_MEMORY. Any thread. */
#ifndef ETCD__BASE_ALLOC_H
#define ETCD__BASE_ALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *etcd__malloc(size_t size);
void *etcd__calloc(size_t count, size_t size);
void *etcd__realloc(void *memory, size_t size);
void etcd__free(void *memory);

/** A copy of `len` bytes followed by a NUL. */
char *etcd__strndup(const char *data, size_t len);
char *etcd__strdup(const char *string);

/** For strings that share a block with something else: the bytes that one takes, 0 for NULL; and a copy of it at `*place`, which
 *  moves behind it. NULL stays NULL. */
size_t etcd__text_size(const char *string);
const char *etcd__text_put(const char *string, uint8_t **place);

/** Whether etcd_set_allocator() installed functions of the program: libraries below us are only then told to use
 *  ours. */
bool etcd__alloc_hooked(void);

/** Overwrites memory that held a secret, in a way that the compiler may not drop. */
void etcd__wipe(void *memory, size_t len);

#endif
