/* Responses as the user gets them: a struct and all that it points to in one arena, which etcd_response_free() frees. What is
 * decoded from the wire is made by wire/response.h. */
#ifndef ETCD__BASE_RESPONSE_H
#define ETCD__BASE_RESPONSE_H

#include "base/arena.h"

/** Bytes that stand before the struct in its arena. */
size_t etcd__response_overhead(void);

/** A cleared struct of `size` bytes in the arena that etcd_response_free() may be given; it frees the arena. NULL when out
 *  of memory. */
void *etcd__response_in(etcd__arena *arena, size_t size);

/** A new, cleared response of `size` bytes that etcd_response_free() frees, or NULL. Any thread. */
void *etcd__response_new(size_t size);

/** A cleared struct of `size` bytes in the arena of `response` that stands for it from now on: freeing the wrapper frees both.
 *  NULL when out of memory: `response` is still the caller's then. */
void *etcd__response_wrap(void *response, size_t size);

/** The arena that a response lives in: for what a layer above adds to it. */
etcd__arena *etcd__response_arena(void *response);

#endif
