/* The tables and texts behind a gRPC status: what an HTTP status or a reset means, and the encoding of grpc-message. */
#ifndef ETCD__GRPC_STATUS_H
#define ETCD__GRPC_STATUS_H

#include <stddef.h>
#include <stdint.h>

/** gRPC status codes. */
enum {
    ETCD__GRPC_OK = 0,
    ETCD__GRPC_CANCELLED = 1,
    ETCD__GRPC_UNKNOWN = 2,
    ETCD__GRPC_PERMISSION_DENIED = 7,
    ETCD__GRPC_RESOURCE_EXHAUSTED = 8,
    ETCD__GRPC_UNIMPLEMENTED = 12,
    ETCD__GRPC_INTERNAL = 13,
    ETCD__GRPC_UNAVAILABLE = 14,
    ETCD__GRPC_UNAUTHENTICATED = 16
};

/** The code for an answer without grpc-status (doc/http-grpc-status-mapping.md). */
int etcd__grpc_code_of_http(int http_status);

/** The reason phrase of the HTTP statuses that proxies and web servers send, "Not Found"; "" for others. */
const char *etcd__grpc_http_text(int http_status);

/** The code for RST_STREAM (the table under "Errors" in doc/PROTOCOL-HTTP2.md; INTERNAL for codes that are not in it). */
int etcd__grpc_code_of_reset(uint32_t h2_error_code);

/** The value of grpc-status: a number of digits only, or -2. */
int etcd__grpc_status_parse(const char *text, size_t len);

/** Decodes the percent-encoding of grpc-message; what is no valid escape stays as it is. `out` has room for `len` bytes. Returns
 * the length of the result. */
size_t etcd__grpc_percent_decode(char *out, const char *text, size_t len);

/** Quotes bytes for people: `"`, printable ASCII, escapes for the rest, `"`, and a NUL. Cut at `size`. Returns the length
 *  without the NUL. */
size_t etcd__grpc_quote(char *out, size_t size, const void *data, size_t len);

#endif
