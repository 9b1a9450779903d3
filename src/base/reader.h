/* A bounds-checked reader over bytes that it does not own. Once a read has gone past the end, `failed` stays set and
 * every later read yields zero: check once, at the end of a group of reads. */
#ifndef ETCD__BASE_READER_H
#define ETCD__BASE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct etcd__reader {
    const uint8_t *cursor;
    const uint8_t *end;
    bool failed;
} etcd__reader;

static inline etcd__reader etcd__reader_of(const void *data, size_t len)
{
    etcd__reader reader = {(const uint8_t *)data, (const uint8_t *)data + len, false};
    return reader;
}

static inline size_t etcd__reader_left(const etcd__reader *reader)
{
    return (size_t)(reader->end - reader->cursor);
}

/** The next `len` bytes, or NULL when fewer are left. */
static inline const uint8_t *etcd__reader_take(etcd__reader *reader, size_t len)
{
    const uint8_t *taken = reader->cursor;

    if (reader->failed || len > etcd__reader_left(reader)) {
        reader->failed = true;
        return NULL;
    }
    reader->cursor += len;
    return taken;
}

static inline uint8_t etcd__reader_u8(etcd__reader *reader)
{
    const uint8_t *byte = etcd__reader_take(reader, 1);

    return byte ? *byte : 0;
}

/** Big-endian, as in gRPC's length prefix. */
static inline uint32_t etcd__reader_u32be(etcd__reader *reader)
{
    const uint8_t *b = etcd__reader_take(reader, 4);

    return b ? (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3] : 0;
}

#endif
