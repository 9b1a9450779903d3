/* Responses (base/response.h) from the wire: one struct, its arena, and the received bytes that its keys and values point
 * into. */
#ifndef ETCD__WIRE_RESPONSE_H
#define ETCD__WIRE_RESPONSE_H

#include "base/response.h"
#include "wire/pb.h"

/** Decodes a received message into a new response that etcd_response_free() frees.
 *
 *  Takes over `body`, a block of etcd__malloc with at least one writable byte behind `len`, whether it succeeds or not.
 *  `*out` is the struct of `type`. Memory is limited to 64 times `len` and 64 KiB. Errors as etcd__pb_decode. Any thread. */
int etcd__response_decode(const etcd__pb_message *type, uint8_t *body, size_t len, void **out, etcd_error *err);

#endif
