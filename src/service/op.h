/* Operations as messages: what single operations and transactions are built from. */
#ifndef ETCD__SERVICE_OP_H
#define ETCD__SERVICE_OP_H

#include "base/arena.h"
#include "wire/messages.h"

#include <etcd3/txn.h>

struct etcd_op {
    etcd__arena *arena; /* everything that `request` points to, and the op itself */
    const etcd__request_op *request;
};

/** Make an operation in the arena, a deep copy of the arguments. */
int etcd__op_make_get(etcd__arena *arena, const char *key, size_t key_len, const etcd_get_options *options,
                      const etcd__request_op **out, etcd_error *err);
int etcd__op_make_put(etcd__arena *arena, const char *key, size_t key_len, const char *value, size_t value_len,
                      const etcd_put_options *options, const etcd__request_op **out, etcd_error *err);
int etcd__op_make_delete(etcd__arena *arena, const char *key, size_t key_len, const etcd_delete_options *options,
                         const etcd__request_op **out, etcd_error *err);
int etcd__op_copy(etcd__arena *arena, const etcd__request_op *op, const etcd__request_op **out, etcd_error *err);

/** Whether it may change the store. */
bool etcd__op_writes(const etcd__request_op *op);
bool etcd__txn_writes(const etcd__txn_request *txn);

/** The built transaction as a request, or the error that sticks to it. */
int etcd__txn_request_of(const etcd_txn *txn, etcd__txn_request *request, etcd_error *err);

#endif
