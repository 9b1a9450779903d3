/* Single operations as values, and etcd_do. See <etcd3/txn.h>. */
#include "service/op.h"

#include "base/error.h"
#include "service/request.h"
#include "service/sink.h"
#include "wire/response.h"

#define OP_ARENA_FIRST 512
#define OP_ARENA_LIMIT ((size_t)INT32_MAX)

/* --- making ----------------------------------------------------------------------------------- */

int etcd__op_copy(etcd__arena *arena, const etcd__request_op *op, const etcd__request_op **out, etcd_error *err)
{
    return etcd__message_clone(&etcd__request_op_type, op, arena, out, err);
}

static int check_no_call(const etcd_call_options *call, etcd_error *err)
{
    if (call == NULL)
        return ETCD_OK;
    return etcd__error_set(err, ETCD_ERR_ARGUMENT, "`call` belongs to the commit, not to one operation: leave it NULL");
}

int etcd__op_make_get(etcd__arena *arena, const char *key, size_t key_len, const etcd_get_options *options,
                      const etcd__request_op **out, etcd_error *err)
{
    etcd__range_request request;
    etcd__range_end end = {0};
    const etcd__request_op op = {.type = ETCD_OP_GET, .range = &request};
    const etcd_call_options *call;
    int rc = etcd__request_get(key, key_len, options, &request, &end, &call, err);

    if (rc == ETCD_OK)
        rc = check_no_call(call, err);
    if (rc == ETCD_OK)
        rc = etcd__op_copy(arena, &op, out, err);
    etcd__range_end_free(&end);
    return rc;
}

int etcd__op_make_put(etcd__arena *arena, const char *key, size_t key_len, const char *value, size_t value_len,
                      const etcd_put_options *options, const etcd__request_op **out, etcd_error *err)
{
    etcd__put_request request;
    const etcd__request_op op = {.type = ETCD_OP_PUT, .put = &request};
    const etcd_call_options *call;
    int rc = etcd__request_put(key, key_len, value, value_len, options, &request, &call, err);

    if (rc == ETCD_OK)
        rc = check_no_call(call, err);
    return rc < 0 ? rc : etcd__op_copy(arena, &op, out, err);
}

int etcd__op_make_delete(etcd__arena *arena, const char *key, size_t key_len, const etcd_delete_options *options,
                         const etcd__request_op **out, etcd_error *err)
{
    etcd__delete_range_request request;
    etcd__range_end end = {0};
    const etcd__request_op op = {.type = ETCD_OP_DELETE, .del = &request};
    const etcd_call_options *call;
    int rc = etcd__request_delete(key, key_len, options, &request, &end, &call, err);

    if (rc == ETCD_OK)
        rc = check_no_call(call, err);
    if (rc == ETCD_OK)
        rc = etcd__op_copy(arena, &op, out, err);
    etcd__range_end_free(&end);
    return rc;
}

/* An empty op in an arena of its own, or NULL. */
static etcd_op *new_op(void)
{
    etcd__arena *arena = etcd__arena_new(OP_ARENA_FIRST, OP_ARENA_LIMIT);
    etcd_op *op = arena ? etcd__arena_calloc(arena, 1, sizeof *op) : NULL;

    if (op == NULL) {
        etcd__arena_free(arena);
        return NULL;
    }
    op->arena = arena;
    return op;
}

/* Hands out what was made, or frees it. */
static int give_op(etcd_op *op, int rc, etcd_op **out, etcd_error *err)
{
    if (rc < 0) {
        etcd_op_free(op);
        return rc;
    }
    etcd__error_clear(err);
    *out = op;
    return ETCD_OK;
}

/* The start of every etcd_op_ constructor. */
static int begin_op(etcd_op **out, etcd_op **op, etcd_error *err)
{
    if (out == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "out is NULL");
    *out = NULL;
    *op = new_op();
    return *op ? ETCD_OK : etcd__error_no_memory(err);
}

int etcd_op_get(const char *key, size_t key_len, const etcd_get_options *options, etcd_op **out, etcd_error *err)
{
    etcd_op *op;
    int rc = begin_op(out, &op, err);

    return rc < 0 ? rc : give_op(op, etcd__op_make_get(op->arena, key, key_len, options, &op->request, err), out, err);
}

int etcd_op_put(const char *key, size_t key_len, const char *value, size_t value_len, const etcd_put_options *options,
                etcd_op **out, etcd_error *err)
{
    etcd_op *op;
    int rc = begin_op(out, &op, err);

    if (rc == ETCD_OK)
        rc = give_op(op, etcd__op_make_put(op->arena, key, key_len, value, value_len, options, &op->request, err), out, err);
    return rc;
}

int etcd_op_delete(const char *key, size_t key_len, const etcd_delete_options *options, etcd_op **out, etcd_error *err)
{
    etcd_op *op;
    int rc = begin_op(out, &op, err);

    return rc < 0 ? rc : give_op(op, etcd__op_make_delete(op->arena, key, key_len, options, &op->request, err), out, err);
}

int etcd_op_txn(const etcd_txn *txn, etcd_op **out, etcd_error *err)
{
    etcd__txn_request request;
    const etcd__request_op nested = {.type = ETCD_OP_TXN, .txn = &request};
    etcd_op *op;
    int rc = begin_op(out, &op, err);

    if (rc < 0)
        return rc;
    rc = etcd__txn_request_of(txn, &request, err);
    if (rc == ETCD_OK)
        rc = etcd__op_copy(op->arena, &nested, &op->request, err);
    return give_op(op, rc, out, err);
}

void etcd_op_free(etcd_op *op)
{
    if (op != NULL)
        etcd__arena_free(op->arena);
}

int etcd_op_type(const etcd_op *op)
{
    return op ? op->request->type : ETCD_OP_NONE;
}

static bool any_writes(const etcd__request_op *const *ops, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (etcd__op_writes(ops[i]))
            return true;
    return false;
}

bool etcd__txn_writes(const etcd__txn_request *txn)
{
    return any_writes(txn->success, txn->n_success) || any_writes(txn->failure, txn->n_failure);
}

bool etcd__op_writes(const etcd__request_op *op)
{
    return op->type == ETCD_OP_TXN ? etcd__txn_writes(op->txn) : op->type != ETCD_OP_GET;
}

bool etcd_op_is_write(const etcd_op *op)
{
    return op != NULL && etcd__op_writes(op->request);
}

/* --- doing ------------------------------------------------------------------------------------ */

ETCD__DELIVER(do)

static etcd_op_response *wrap(void *response, int32_t type)
{
    etcd_op_response *wrapped = etcd__response_wrap(response, sizeof *wrapped);

    if (wrapped != NULL)
        wrapped->type = type;
    return wrapped;
}

static void *wrap_get(void *response)
{
    etcd_op_response *wrapped = wrap(response, ETCD_OP_GET);

    if (wrapped != NULL)
        wrapped->get = response;
    return wrapped;
}

static void *wrap_put(void *response)
{
    etcd_op_response *wrapped = wrap(response, ETCD_OP_PUT);

    if (wrapped != NULL)
        wrapped->put = response;
    return wrapped;
}

static void *wrap_delete(void *response)
{
    etcd_op_response *wrapped = wrap(response, ETCD_OP_DELETE);

    if (wrapped != NULL)
        wrapped->del = response;
    return wrapped;
}

static void *wrap_txn(void *response)
{
    etcd_op_response *wrapped = wrap(response, ETCD_OP_TXN);

    if (wrapped != NULL)
        wrapped->txn = response;
    return wrapped;
}

#define DOES(rpc_id, only_reads, wrapper) \
    { \
        .rpc = (rpc_id), .read_only = (only_reads), .call_type = ETCD_CALL_DO, .deliver = deliver_do, .wrap = (wrapper) \
    }
static const etcd__unary unary_get = DOES(ETCD__RPC_KV_RANGE, true, wrap_get);
static const etcd__unary unary_put = DOES(ETCD__RPC_KV_PUT, false, wrap_put);
static const etcd__unary unary_delete = DOES(ETCD__RPC_KV_DELETE_RANGE, false, wrap_delete);
static const etcd__unary unary_txn = DOES(ETCD__RPC_KV_TXN, false, wrap_txn);
static const etcd__unary unary_read_txn = DOES(ETCD__RPC_KV_TXN, true, wrap_txn);

/* The method of an operation and its request; NULL for none. */
static const etcd__unary *method_of(const etcd_op *op, const void **request)
{
    if (op == NULL)
        return NULL;
    switch (op->request->type) {
    case ETCD_OP_GET:
        *request = op->request->range;
        return &unary_get;
    case ETCD_OP_PUT:
        *request = op->request->put;
        return &unary_put;
    case ETCD_OP_DELETE:
        *request = op->request->del;
        return &unary_delete;
    case ETCD_OP_TXN:
        *request = op->request->txn;
        return etcd__txn_writes(op->request->txn) ? &unary_txn : &unary_read_txn;
    default:
        return NULL;
    }
}

static int do_op(etcd_client *client, const etcd_op *op, const etcd_call_options *call, etcd__sink sink, etcd_error *err)
{
    const void *request;
    const etcd__unary *unary = method_of(op, &request);

    if (unary == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "op is NULL");
    return etcd__sink_call(client, unary, request, call, sink, err);
}

int etcd_do(etcd_client *client, const etcd_op *op, const etcd_call_options *call, etcd_op_response **out, etcd_error *err)
{
    return do_op(client, op, call, etcd__sink_out(out), err);
}

int etcd_do_async(etcd_client *client, const etcd_op *op, const etcd_call_options *call, etcd_do_fn done, void *arg,
                  etcd_call_id *id, etcd_error *err)
{
    return do_op(client, op, call, ETCD__SINK_DONE(done, arg, id), err);
}
