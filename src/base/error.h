/* Filling an etcd_error. The codes and texts are those of <etcd3/error.h>. */
#ifndef ETCD__BASE_ERROR_H
#define ETCD__BASE_ERROR_H

#include <etcd3/error.h>

/** Marks the error as "nothing happened". NULL is allowed. */
void etcd__error_clear(etcd_error *err);

/** Sets code and message; grpc_code becomes -1, flags 0, endpoint "". NULL `err` is allowed. Returns `code`, so that a
 *  function can end with `return etcd__error_set(err, ETCD_ERR_X, "...")`. */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
int etcd__error_set(etcd_error *err, int code, const char *format, ...);

/** ETCD_ERR_NO_MEMORY with its general text. */
int etcd__error_no_memory(etcd_error *err);

/** ETCD_ERR_SYSTEM: "what: text of errno". */
int etcd__error_system(etcd_error *err, const char *what, int system_errno);

/** Turns a gRPC status as a peer sent it into an error. The message decides when it is one of the server's (the wire
 *  code of two of them is wrong, see the contract, section 2), or says that the deadline has passed, else the code does. Sets
 * ETCD_ERROR_RETRYABLE where the same call may succeed later; never ETCD_ERROR_MAYBE_APPLIED, which only the layer that knows the
 * call can tell. Returns the code. */
int etcd__error_from_status(etcd_error *err, int grpc_code, const char *message, size_t message_len);

#endif
