/* Responses as the user gets them: one struct, its arena, and the received bytes that its keys and values point into. */
#ifndef ETCD__WIRE_RESPONSE_H
#define ETCD__WIRE_RESPONSE_H

#include "wire/pb.h"

/** Decodes a received message into a new response that etcd_response_free() frees.
 *
 *  Takes over `body`, a block of etcd__malloc with at least one writable byte behind `len`, whether it succeeds or not.
 *  `*out` is the struct of `type`. Memory is limited to 64 times `len` and 64 KiB. Errors as etcd__pb_decode. Any thread. */
int etcd__response_decode(const etcd__pb_message *type, uint8_t *body, size_t len, void **out, etcd_error *err);

/** A new, cleared response of `size` bytes that etcd_response_free() frees, or NULL. Any thread. */
void *etcd__response_new(size_t size);

/** A cleared struct of `size` bytes in the arena of `response` that stands for it from now on: freeing the wrapper frees both.
 *  NULL when out of memory: `response` is still the caller's then. */
void *etcd__response_wrap(void *response, size_t size);

/** The arena that a response lives in: for what a layer above adds to it. */
etcd__arena *etcd__response_arena(void *response);

#endif
