/* Protocol buffers, driven by one table per message: encode, decode into an arena, and (for the command-line tool) names.
 *
 * A message is a plain C struct; its table says where each field of the wire lives in it. The public response structs of
 * <etcd3/...> are decoded into directly. Encoding spec: https://protobuf.dev/programming-guides/encoding/ */
#ifndef ETCD__WIRE_PB_H
#define ETCD__WIRE_PB_H

#include "base/arena.h"

#include <etcd3/error.h>
#include <stddef.h>
#include <stdint.h>

typedef struct etcd__pb_message etcd__pb_message;
typedef struct etcd__pb_field etcd__pb_field;

/** How a field's value is stored in the struct. All integers of the etcd API are varints on the wire (no zigzag, no fixed). */
typedef enum etcd__pb_kind {
    ETCD__PB_BOOL,   /* bool */
    ETCD__PB_INT32,  /* int32_t; enums, too */
    ETCD__PB_UINT32, /* uint32_t */
    ETCD__PB_INT64,  /* int64_t */
    ETCD__PB_UINT64, /* uint64_t */
    ETCD__PB_BYTES,  /* etcd_bytes */
    ETCD__PB_STRING, /* etcd_bytes; valid UTF-8 is the sender's duty and not checked, as in Go's server */
    ETCD__PB_MESSAGE /* the struct itself, or a pointer to one: see etcd__pb_field.shape */
} etcd__pb_kind;

/** Bytes of the encoded form of `message`, a struct of `type`. */
size_t etcd__pb_encoded_size(const etcd__pb_message *type, const void *message);

/** Encodes into out[0 .. size), where `size` is what etcd__pb_encoded_size() returned. Cannot fail. Canonical: fields
 *  in order of their numbers, zero values left out except in a oneof, so equal messages give equal bytes, the same as
 *  Go's encoder gives. */
void etcd__pb_encode(const etcd__pb_message *type, const void *message, uint8_t *out, size_t size);

/** Messages within messages. The Go server knows no such limit, so whoever lets a program nest transactions must refuse more
 *  than ETCD__PB_MAX_DEPTH / 2 - 1 of them: the answer has two levels for each. */
#define ETCD__PB_MAX_DEPTH 100

/** Decodes data[0 .. len) into `message`, a struct of `type`, which need not be cleared.
 *
 *  Zero copy: bytes fields point into `data`, which is written to: every bytes value gets its NUL in place, over bytes that
 *  were read already. Therefore data[len] must exist and be writable, and `data` must live as long as the message. Arrays and
 *  nested messages come from `arena`. Absent bytes fields point to a static "". Unknown fields are skipped.
 *  ETCD_ERR_PROTOCOL for malformed bytes (the message names the type, what is wrong and where), ETCD_ERR_TOO_LARGE over the
 *  arena's limit, ETCD_ERR_NO_MEMORY. After an error `data` and `message` are useless. */
int etcd__pb_decode(const etcd__pb_message *type, uint8_t *data, size_t len, etcd__arena *arena, void *message, etcd_error *err);

#endif
