/* Memory: every allocation of the library goes through the hook that etcd_set_allocator() installs.
 *
 * The functions behave like the C library's; a NULL result is an out-of-memory that the caller must carry up as
 * ETCD_ERR_NO_MEMORY. Any thread. */
#ifndef ETCD__BASE_ALLOC_H
#define ETCD__BASE_ALLOC_H

#include <stdbool.h>
#include <stddef.h>

void *etcd__malloc(size_t size);
void *etcd__calloc(size_t count, size_t size);
void *etcd__realloc(void *memory, size_t size);
void etcd__free(void *memory);

/** A copy of `len` bytes followed by a NUL. */
char *etcd__strndup(const char *data, size_t len);
char *etcd__strdup(const char *string);

/** Whether etcd_set_allocator() installed functions of the program: libraries below us are only then told to use
 *  ours. */
bool etcd__alloc_hooked(void);

/** Overwrites memory that held a secret, in a way that the compiler may not drop. */
void etcd__wipe(void *memory, size_t len);

#endif
