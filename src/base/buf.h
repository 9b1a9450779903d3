/* A growable byte buffer with a maximum: nothing a peer sends can make it grow past `max`.
 *
 * Zero-initialise it but for `max`, or use ETCD__BUF_INIT(max). Contents are data[0 .. len). Not thread-safe. */
#ifndef ETCD__BASE_BUF_H
#define ETCD__BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

typedef struct etcd__buf {
    uint8_t *data;
    size_t len;
    size_t cap;
    size_t max; /* most that `len` may become */
} etcd__buf;

/* clang-format off */
#define ETCD__BUF_INIT(max_bytes) {NULL, 0, 0, (max_bytes)}
/* clang-format on */

/** Makes room for `extra` bytes after `len`, at least doubling, so that appends cost O(1) each.
 *  ETCD_ERR_TOO_LARGE over the maximum, ETCD_ERR_NO_MEMORY; the contents stay as they were. */
int etcd__buf_reserve(etcd__buf *buf, size_t extra);

/** Appends a copy. Errors as etcd__buf_reserve. */
int etcd__buf_append(etcd__buf *buf, const void *data, size_t len);

/** Drops the first `len` bytes; the rest moves to the front. */
void etcd__buf_consume(etcd__buf *buf, size_t len);

/** Frees the memory; the buffer is empty and usable again. */
void etcd__buf_free(etcd__buf *buf);

#endif
