/* The text of the grpc-timeout header (PROTOCOL-HTTP2.md: at most 8 digits and a unit, n u m S M H). */
#ifndef ETCD__GRPC_TIMEOUT_H
#define ETCD__GRPC_TIMEOUT_H

#include <stddef.h>
#include <stdint.h>

#define ETCD__GRPC_TIMEOUT_SIZE 9 /* 8 digits and the unit; not NUL-terminated */

/** Writes `timeout_ns` in the finest unit that fits, but in milliseconds from one second on: the same timeout then mostly has the
 *  same text, which HPACK sends in one byte. Rounded up, so that the server never gives up before we do. Less than 1 ns counts
 *  as 1 ns: the value has to be positive. Returns the length. */
size_t etcd__grpc_timeout_write(char out[ETCD__GRPC_TIMEOUT_SIZE], int64_t timeout_ns);

#endif
