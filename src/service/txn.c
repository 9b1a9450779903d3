/* The transaction builder. See <etcd3/txn.h>.
 *
 * Everything that is added is copied into the builder's arena as a message at once, so an argument needs to live
 * only for its call, and the first error is kept until the commit. */
#include "base/error.h"
#include "base/options.h"
#include "client/client.h"
#include "service/op.h"
#include "service/request.h"
#include "service/sink.h"

#include <string.h>

#define TXN_ARENA_FIRST 1024
#define TXN_ARENA_LIMIT ((size_t)INT32_MAX)

/* A growing array of pointers to messages, in the arena. */
struct message_list {
    const void **items;
    size_t n, room;
};

struct etcd_txn {
    etcd__arena *arena; /* holds the builder, too */
    etcd_client *client;
    struct message_list compares, success, failure;
    bool in_else;
    etcd_error error; /* the first; code 0: none */
};

etcd_txn *etcd_txn_new(etcd_client *client)
{
    etcd__arena *arena = etcd__arena_new(TXN_ARENA_FIRST, TXN_ARENA_LIMIT);
    etcd_txn *txn = arena ? etcd__arena_calloc(arena, 1, sizeof *txn) : NULL;

    if (txn == NULL) {
        etcd__arena_free(arena);
        return NULL;
    }
    txn->arena = arena;
    txn->client = client;
    etcd__error_clear(&txn->error);
    if (client == NULL)
        etcd__error_set(&txn->error, ETCD_ERR_ARGUMENT, "the client is NULL");
    else
        etcd__client_ref(client);
    return txn;
}

void etcd_txn_free(etcd_txn *txn)
{
    if (txn == NULL)
        return;
    if (txn->client != NULL)
        etcd__client_unref(txn->client);
    etcd__arena_free(txn->arena);
}

/* --- building --------------------------------------------------------------------------------- */

/* Whether something may be added: there is a builder, and no error sticks to it. */
static bool is_open(const etcd_txn *txn)
{
    return txn != NULL && txn->error.code == ETCD_OK;
}

static void append(etcd_txn *txn, struct message_list *list, const void *message)
{
    const void **items;

    if (list->n == list->room) {
        size_t room = list->room ? list->room * 2 : 8;

        items = etcd__arena_calloc(txn->arena, room, sizeof *items);
        if (items == NULL) {
            etcd__error_no_memory(&txn->error);
            return;
        }
        if (list->n > 0)
            memcpy(items, list->items, list->n * sizeof *items);
        list->items = items;
        list->room = room;
    }
    list->items[list->n++] = message;
}

void etcd_compare_options_init(etcd_compare_options *options, size_t size)
{
    etcd__options_init(options, size);
}

void etcd_txn_if(etcd_txn *txn, const char *key, size_t key_len, const etcd_compare_options *compare)
{
    etcd__compare request;
    etcd__range_end end = {0};
    const void *copy = NULL;

    if (!is_open(txn))
        return;
    if (txn->success.n > 0 || txn->in_else) {
        etcd__error_set(&txn->error, ETCD_ERR_ARGUMENT, "a compare was added after an operation: compares come first");
        return;
    }
    if (etcd__request_compare(key, key_len, compare, &request, &end, &txn->error) == ETCD_OK &&
        etcd__message_clone(&etcd__compare_type, &request, txn->arena, &copy, &txn->error) == ETCD_OK)
        append(txn, &txn->compares, copy);
    etcd__range_end_free(&end);
}

static void if_number(etcd_txn *txn, const char *key, size_t key_len, int32_t target, int op, int64_t number)
{
    etcd_txn_if(txn, key, key_len, ETCD_COMPARE(.target = target, .op = op, .number = number));
}

void etcd_txn_if_version(etcd_txn *txn, const char *key, size_t key_len, int op, int64_t version)
{
    if_number(txn, key, key_len, ETCD_COMPARE_VERSION, op, version);
}

void etcd_txn_if_exists(etcd_txn *txn, const char *key, size_t key_len)
{
    if_number(txn, key, key_len, ETCD_COMPARE_VERSION, ETCD_CMP_GREATER, 0);
}

void etcd_txn_if_missing(etcd_txn *txn, const char *key, size_t key_len)
{
    if_number(txn, key, key_len, ETCD_COMPARE_VERSION, ETCD_CMP_EQUAL, 0);
}

void etcd_txn_if_create_revision(etcd_txn *txn, const char *key, size_t key_len, int op, int64_t revision)
{
    if_number(txn, key, key_len, ETCD_COMPARE_CREATE, op, revision);
}

void etcd_txn_if_mod_revision(etcd_txn *txn, const char *key, size_t key_len, int op, int64_t revision)
{
    if_number(txn, key, key_len, ETCD_COMPARE_MOD, op, revision);
}

void etcd_txn_if_lease(etcd_txn *txn, const char *key, size_t key_len, int op, int64_t lease)
{
    if_number(txn, key, key_len, ETCD_COMPARE_LEASE, op, lease);
}

void etcd_txn_if_value(etcd_txn *txn, const char *key, size_t key_len, int op, const char *value, size_t value_len)
{
    etcd_txn_if(txn, key, key_len,
                ETCD_COMPARE(.target = ETCD_COMPARE_VALUE, .op = op, .value = value, .value_len = (int64_t)value_len));
}

static void append_op(etcd_txn *txn, const etcd__request_op *op)
{
    append(txn, txn->in_else ? &txn->failure : &txn->success, op);
}

void etcd_txn_get(etcd_txn *txn, const char *key, size_t key_len, const etcd_get_options *options)
{
    const etcd__request_op *op = NULL;

    if (is_open(txn) && etcd__op_make_get(txn->arena, key, key_len, options, &op, &txn->error) == ETCD_OK)
        append_op(txn, op);
}

void etcd_txn_put(etcd_txn *txn, const char *key, size_t key_len, const char *value, size_t value_len,
                  const etcd_put_options *options)
{
    const etcd__request_op *op = NULL;

    if (is_open(txn) && etcd__op_make_put(txn->arena, key, key_len, value, value_len, options, &op, &txn->error) == ETCD_OK)
        append_op(txn, op);
}

void etcd_txn_delete(etcd_txn *txn, const char *key, size_t key_len, const etcd_delete_options *options)
{
    const etcd__request_op *op = NULL;

    if (is_open(txn) && etcd__op_make_delete(txn->arena, key, key_len, options, &op, &txn->error) == ETCD_OK)
        append_op(txn, op);
}

void etcd_txn_nested(etcd_txn *txn, const etcd_txn *nested)
{
    etcd__txn_request request;
    const etcd__request_op op = {.type = ETCD_OP_TXN, .txn = &request};
    const etcd__request_op *copy = NULL;

    if (is_open(txn) && etcd__txn_request_of(nested, &request, &txn->error) == ETCD_OK &&
        etcd__op_copy(txn->arena, &op, &copy, &txn->error) == ETCD_OK)
        append_op(txn, copy);
}

void etcd_txn_op(etcd_txn *txn, const etcd_op *op)
{
    const etcd__request_op *copy = NULL;

    if (!is_open(txn))
        return;
    if (op == NULL)
        etcd__error_set(&txn->error, ETCD_ERR_ARGUMENT, "op is NULL");
    else if (etcd__op_copy(txn->arena, op->request, &copy, &txn->error) == ETCD_OK)
        append_op(txn, copy);
}

void etcd_txn_else(etcd_txn *txn)
{
    if (!is_open(txn))
        return;
    if (txn->in_else)
        etcd__error_set(&txn->error, ETCD_ERR_ARGUMENT, "etcd_txn_else was called twice");
    txn->in_else = true;
}

/* --- committing ------------------------------------------------------------------------------- */

ETCD__UNARY(txn, KV_TXN, TXN)

/* GO-DIFF: the Go client never repeats a transaction; one that only reads may be (etcd issue 8735). */
static const etcd__unary unary_read_txn = {.rpc = ETCD__RPC_KV_TXN,
                                           .read_only = true,
                                           .call_type = ETCD_CALL_TXN,
                                           .deliver = deliver_txn};

int etcd__txn_request_of(const etcd_txn *txn, etcd__txn_request *request, etcd_error *err)
{
    if (txn == NULL) /* only a lack of memory makes none, and it is carried along to here */
        return etcd__error_set(err, ETCD_ERR_NO_MEMORY, "%s (the transaction is NULL)", etcd_error_text(ETCD_ERR_NO_MEMORY));
    if (txn->error.code != ETCD_OK) {
        if (err != NULL)
            *err = txn->error;
        return txn->error.code;
    }
    request->compare = (const etcd__compare *const *)txn->compares.items;
    request->n_compare = txn->compares.n;
    request->success = (const etcd__request_op *const *)txn->success.items;
    request->n_success = txn->success.n;
    request->failure = (const etcd__request_op *const *)txn->failure.items;
    request->n_failure = txn->failure.n;
    return ETCD_OK;
}

static int commit(etcd_txn *txn, const etcd_call_options *call, etcd__sink sink, etcd_error *err)
{
    etcd__txn_request request;
    int rc = etcd__txn_request_of(txn, &request, err);

    if (rc < 0)
        return rc;
    return etcd__sink_call(txn->client, etcd__txn_writes(&request) ? &unary_txn : &unary_read_txn, &request, call, sink, err);
}

int etcd_txn_commit(etcd_txn *txn, const etcd_call_options *call, etcd_txn_response **out, etcd_error *err)
{
    return commit(txn, call, etcd__sink_out(out), err);
}

int etcd_txn_commit_async(etcd_txn *txn, const etcd_call_options *call, etcd_txn_fn done, void *arg, etcd_call_id *id,
                          etcd_error *err)
{
    return commit(txn, call, ETCD__SINK_DONE(done, arg, id), err);
}
