/* Transactions: if all compares hold do these operations, else those; all at one revision (etcdserverpb.KV/Txn). And
 * single operations as values, for programs that decide at run time what to do.
 *
 * A transaction is built by one thread at a time. Errors while building stick: they are reported by commit, so a
 * builder needs no checks in between.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ETCD3_TXN_H
#define ETCD3_TXN_H

#include "kv.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct etcd_txn etcd_txn;

enum etcd_compare_op { ETCD_CMP_EQUAL = 0, ETCD_CMP_GREATER = 1, ETCD_CMP_LESS = 2, ETCD_CMP_NOT_EQUAL = 3 };

enum etcd_compare_target {
    ETCD_COMPARE_VERSION = 0,
    ETCD_COMPARE_CREATE = 1,
    ETCD_COMPARE_MOD = 2,
    ETCD_COMPARE_VALUE = 3,
    ETCD_COMPARE_LEASE = 4
};

/** One compare in full: for range compares and for programs that choose the target at run time. */
typedef struct etcd_compare_options {
    size_t size;
    int32_t target;    /**< of etcd_compare_target */
    int32_t op;        /**< of etcd_compare_op: stored value `op` given value */
    int64_t number;    /**< the given value of version, create, mod and lease */
    const char *value; /**< the given value of ETCD_COMPARE_VALUE */
    int64_t value_len;
    const char *range_end; /**< with range_end_len: every key in [key, range_end) must compare */
    int64_t range_end_len;
    bool prefix; /**< every key that starts with `key` must compare */
} etcd_compare_options;

/** What an operation is, or was answered with. */
enum etcd_op_type { ETCD_OP_NONE = 0, ETCD_OP_GET = 1, ETCD_OP_PUT = 2, ETCD_OP_DELETE = 3, ETCD_OP_TXN = 4 };

typedef struct etcd_op_response etcd_op_response;

typedef struct etcd_txn_response {
    etcd_response_header header;
    bool succeeded;                           /**< which list was done */
    const etcd_op_response *const *responses; /**< one for each operation of that list, in order */
    size_t n_responses;
} etcd_txn_response;

/** The answer to one operation: the member that `type` names is set, the others are NULL. The header of an operation
 *  inside a transaction carries the revision only. */
struct etcd_op_response {
    int32_t type; /**< of etcd_op_type */
    const etcd_get_response *get;
    const etcd_put_response *put;
    const etcd_delete_response *del;
    const etcd_txn_response *txn;
};

#ifndef __cplusplus
#define ETCD_COMPARE(...) (&(const etcd_compare_options){.size = sizeof(etcd_compare_options), __VA_ARGS__})
#endif

/** Sets all fields to their defaults, for C++ and bindings; `size` is the sizeof the struct as the caller knows it.
 *  Since 0.1. */
ETCD_EXPORT void etcd_compare_options_init(etcd_compare_options *options, size_t size);

/** A new, empty transaction; NULL when out of memory, which the functions below carry along: the
 *  commit fails with ETCD_ERR_NO_MEMORY then. Since 0.1. */
ETCD_EXPORT etcd_txn *etcd_txn_new(etcd_client *client);

/** Adds a compare. All compares must hold for the first list to be done. A key that does not exist has version,
 *  create revision, mod revision and lease 0; its value compares as false. Not after an operation. Since 0.1. */
ETCD_EXPORT void etcd_txn_if_version(etcd_txn *txn, const char *key, size_t key_len, int op, int64_t version);
ETCD_EXPORT void etcd_txn_if_create_revision(etcd_txn *txn, const char *key, size_t key_len, int op, int64_t revision);
ETCD_EXPORT void etcd_txn_if_mod_revision(etcd_txn *txn, const char *key, size_t key_len, int op, int64_t revision);
ETCD_EXPORT void etcd_txn_if_lease(etcd_txn *txn, const char *key, size_t key_len, int op, int64_t lease);
ETCD_EXPORT void etcd_txn_if_value(etcd_txn *txn, const char *key, size_t key_len, int op, const char *value, size_t value_len);
ETCD_EXPORT void etcd_txn_if(etcd_txn *txn, const char *key, size_t key_len, const etcd_compare_options *compare);

/** The compares "the key exists" and "the key does not exist" (version > 0 and = 0, as the Go client's helpers). Since 0.1. */
ETCD_EXPORT void etcd_txn_if_exists(etcd_txn *txn, const char *key, size_t key_len);
ETCD_EXPORT void etcd_txn_if_missing(etcd_txn *txn, const char *key, size_t key_len);

/** Adds an operation to the list that is being built: the one done when the compares hold, after etcd_txn_else() the
 *  other. The `call` member of the options is not used and must be NULL. Since 0.1. */
ETCD_EXPORT void etcd_txn_get(etcd_txn *txn, const char *key, size_t key_len, const etcd_get_options *options);
ETCD_EXPORT void etcd_txn_put(etcd_txn *txn, const char *key, size_t key_len, const char *value, size_t value_len,
                              const etcd_put_options *options);
ETCD_EXPORT void etcd_txn_delete(etcd_txn *txn, const char *key, size_t key_len, const etcd_delete_options *options);

/** Adds a whole transaction as one operation. `nested` is copied as it is now, with its error if it has one, and
 *  stays the caller's. At most 49 levels deep. Since 0.1. */
ETCD_EXPORT void etcd_txn_nested(etcd_txn *txn, const etcd_txn *nested);

/** The operations from here on are those for when a compare fails. Twice is an error. Since 0.1. */
ETCD_EXPORT void etcd_txn_else(etcd_txn *txn);

typedef void (*etcd_txn_fn)(etcd_client *client, etcd_txn_response *response, const etcd_error *err, void *arg);

/** Does the transaction. Sent at most once, as a put; with gets alone repeated, as a get. A failed compare is a success
 *  with `succeeded` false. The transaction may be committed again and must still be freed. ETCD_ERR_ARGUMENT for an error
 *  while building; ETCD_ERR_NO_MEMORY also for a NULL `txn`; ETCD_ERR_DUPLICATE_KEY, ETCD_ERR_TOO_MANY_OPS. Since 0.1. */
ETCD_EXPORT int etcd_txn_commit(etcd_txn *txn, const etcd_call_options *call, etcd_txn_response **out, etcd_error *err);
ETCD_EXPORT int etcd_txn_commit_async(etcd_txn *txn, const etcd_call_options *call, etcd_txn_fn done, void *arg, etcd_call_id *id,
                                      etcd_error *err);

/** NULL is allowed. Since 0.1. */
ETCD_EXPORT void etcd_txn_free(etcd_txn *txn);

/** One operation as a value. Copied from its arguments; belongs to no client. */
typedef struct etcd_op etcd_op;

/** Make an operation. Errors as of the call they stand for; `call` in the options must be NULL. Since 0.1. */
ETCD_EXPORT int etcd_op_get(const char *key, size_t key_len, const etcd_get_options *options, etcd_op **out, etcd_error *err);
ETCD_EXPORT int etcd_op_put(const char *key, size_t key_len, const char *value, size_t value_len, const etcd_put_options *options,
                            etcd_op **out, etcd_error *err);
ETCD_EXPORT int etcd_op_delete(const char *key, size_t key_len, const etcd_delete_options *options, etcd_op **out,
                               etcd_error *err);
ETCD_EXPORT int etcd_op_txn(const etcd_txn *txn, etcd_op **out, etcd_error *err);

/** What an operation is: of etcd_op_type. Since 0.1. */
ETCD_EXPORT int etcd_op_type(const etcd_op *op);

/** Whether it may change the store: put, delete, or a transaction with one of those. Since 0.1. */
ETCD_EXPORT bool etcd_op_is_write(const etcd_op *op);

/** Adds an operation to a transaction, as the functions above do. Since 0.1. */
ETCD_EXPORT void etcd_txn_op(etcd_txn *txn, const etcd_op *op);

/** NULL is allowed. Since 0.1. */
ETCD_EXPORT void etcd_op_free(etcd_op *op);

typedef void (*etcd_do_fn)(etcd_client *client, etcd_op_response *response, const etcd_error *err, void *arg);

/** Does one operation. `op` stays the caller's and may be done again. Errors as of the call it stands for. Since
 *  0.1. */
ETCD_EXPORT int etcd_do(etcd_client *client, const etcd_op *op, const etcd_call_options *call, etcd_op_response **out,
                        etcd_error *err);
ETCD_EXPORT int etcd_do_async(etcd_client *client, const etcd_op *op, const etcd_call_options *call, etcd_do_fn done, void *arg,
                              etcd_call_id *id, etcd_error *err);

#ifdef __cplusplus
}
#endif

#endif
