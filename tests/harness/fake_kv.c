/* The fake server's store: what etcd's KV service does, as far as a client can tell without history (no reads of old
 * revisions, no leases behind their ids, no auth). Decoding and encoding go by the library's message tables, but in memory
 * of malloc: the library's allocator is the test's to break. */
#include "harness/fake_internal.h"
#include "wire/services.h"

#include <stdlib.h>
#include <string.h>

typedef struct entry {
    etcd_bytes key, value; /* owned */
    int64_t create, mod, version, lease;
} entry;

struct fake_store {
    entry *entries; /* by key */
    size_t n, cap;
    int64_t revision, compacted;
    size_t writes;
};

/* Memory of one answer. */
typedef struct scratch {
    struct scratch *next;
    max_align_t data[];
} scratch;

/* One request being applied. */
typedef struct apply {
    fake_store *store;
    scratch *memory;
    int64_t revision;  /* of what it writes */
    bool wrote;        /* a new revision */
    bool write;        /* a put or delete was done, though perhaps of nothing */
    int code;          /* gRPC status */
    const char *error; /* or NULL */
} apply;

static void *scratch_alloc(apply *a, size_t count, size_t size)
{
    scratch *block = fake__calloc(1, sizeof *block + (count + 1) * size);

    block->next = a->memory;
    a->memory = block;
    return block->data;
}

static void scratch_free(apply *a)
{
    for (scratch *block; (block = a->memory) != NULL;) {
        a->memory = block->next;
        free(block);
    }
}

static int fail(apply *a, int code, const char *error)
{
    if (!a->error) {
        a->code = code;
        a->error = error;
    }
    return -1;
}

/* ---- the store ---- */

fake_store *fake__store_new(void)
{
    fake_store *store = fake__calloc(1, sizeof *store);

    store->revision = 1;
    return store;
}

static void free_entry(entry *e)
{
    free((void *)(uintptr_t)e->key.data);
    free((void *)(uintptr_t)e->value.data);
}

void fake__store_free(fake_store *store)
{
    for (size_t i = 0; i < store->n; i++)
        free_entry(&store->entries[i]);
    free(store->entries);
    free(store);
}

size_t fake__store_count(const fake_store *store)
{
    return store->n;
}

int64_t fake__store_revision(const fake_store *store)
{
    return store->revision;
}

size_t fake__store_writes(const fake_store *store)
{
    return store->writes;
}

static int compare_bytes(etcd_bytes a, etcd_bytes b)
{
    size_t shorter = a.len < b.len ? a.len : b.len;
    int order = shorter > 0 ? memcmp(a.data, b.data, shorter) : 0;

    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

/* Index of the first entry that is not below `key`. */
static size_t lower_bound(const fake_store *store, etcd_bytes key)
{
    size_t low = 0, high = store->n;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (compare_bytes(store->entries[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int64_t fake__store_version(const fake_store *store, const char *key)
{
    const etcd_bytes bytes = {key, strlen(key)};
    size_t at = lower_bound(store, bytes);

    return at < store->n && compare_bytes(store->entries[at].key, bytes) == 0 ? store->entries[at].version : 0;
}

static bool in_range(etcd_bytes candidate, etcd_bytes key, etcd_bytes end)
{
    if (end.len == 0)
        return compare_bytes(candidate, key) == 0;
    if (compare_bytes(candidate, key) < 0)
        return false;
    return (end.len == 1 && end.data[0] == 0) || compare_bytes(candidate, end) < 0;
}

static etcd_bytes copy_bytes(etcd_bytes bytes)
{
    etcd_bytes copy = {fake__memdup(bytes.data, bytes.len), bytes.len};

    return copy;
}

static entry *find_or_add(fake_store *store, etcd_bytes key)
{
    size_t at = lower_bound(store, key);

    if (at < store->n && compare_bytes(store->entries[at].key, key) == 0)
        return &store->entries[at];
    if (store->n == store->cap) {
        store->cap = 2 * store->cap + 16;
        store->entries = fake__realloc(store->entries, store->cap * sizeof *store->entries);
    }
    memmove(store->entries + at + 1, store->entries + at, (store->n - at) * sizeof *store->entries);
    store->n++;
    store->entries[at] = (entry){.key = copy_bytes(key), .value = {fake__memdup("", 0), 0}};
    return &store->entries[at];
}

/* A copy in the answer's memory: the entry may change before the answer is encoded. */
static etcd_kv kv_of(apply *a, const entry *e, bool keys_only)
{
    char *key = scratch_alloc(a, e->key.len, 1), *value = scratch_alloc(a, e->value.len, 1);
    etcd_kv kv = {.key = {key, e->key.len},
                  .value = {value, keys_only ? 0 : e->value.len},
                  .create_revision = e->create,
                  .mod_revision = e->mod,
                  .version = e->version,
                  .lease = e->lease};

    memcpy(key, e->key.data, e->key.len);
    memcpy(value, e->value.data, e->value.len);
    return kv;
}

static etcd_response_header header_of(const apply *a)
{
    etcd_response_header header = {
        .cluster_id = 0xfa4e, .member_id = 1, .revision = a->wrote ? a->revision : a->store->revision, .raft_term = 2};

    return header;
}

/* ---- Range ---- */

static int compare_number(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int compare_kvs(const etcd_kv *a, const etcd_kv *b, int32_t target)
{
    switch (target) {
    case ETCD_SORT_VERSION:
        return compare_number(a->version, b->version);
    case ETCD_SORT_CREATE:
        return compare_number(a->create_revision, b->create_revision);
    case ETCD_SORT_MOD:
        return compare_number(a->mod_revision, b->mod_revision);
    case ETCD_SORT_VALUE:
        return compare_bytes(a->value, b->value);
    default:
        return compare_bytes(a->key, b->key);
    }
}

/* Stable; the ranges of tests are small. */
static void sort_kvs(etcd_kv *kvs, size_t n, int32_t order, int32_t target)
{
    int sign = order == ETCD_SORT_DESCEND ? -1 : 1;

    for (size_t i = 1; order != ETCD_SORT_NONE && i < n; i++)
        for (size_t j = i; j > 0 && sign * compare_kvs(&kvs[j - 1], &kvs[j], target) > 0; j--) {
            etcd_kv swap = kvs[j];
            kvs[j] = kvs[j - 1];
            kvs[j - 1] = swap;
        }
}

static bool passes_filters(const etcd__range_request *request, const entry *e)
{
    return (!request->min_mod_revision || e->mod >= request->min_mod_revision) &&
           (!request->max_mod_revision || e->mod <= request->max_mod_revision) &&
           (!request->min_create_revision || e->create >= request->min_create_revision) &&
           (!request->max_create_revision || e->create <= request->max_create_revision);
}

static int apply_range(apply *a, const etcd__range_request *request, etcd_get_response *out)
{
    const fake_store *store = a->store;
    etcd_kv *kvs;

    if (request->key.len == 0)
        return fail(a, 3, "etcdserver: key is not provided");
    if (request->revision > store->revision)
        return fail(a, 11, "etcdserver: mvcc: required revision is a future revision");
    if (request->revision > 0 && request->revision < store->compacted)
        return fail(a, 11, "etcdserver: mvcc: required revision has been compacted");
    out->header = header_of(a);
    kvs = scratch_alloc(a, store->n, sizeof *kvs);
    for (size_t i = lower_bound(store, request->key); i < store->n; i++) {
        const entry *e = &store->entries[i];

        if (!in_range(e->key, request->key, request->range_end))
            break;
        out->count++;
        if (!request->count_only && passes_filters(request, e))
            kvs[out->n_kvs++] = kv_of(a, e, request->keys_only);
    }
    sort_kvs(kvs, out->n_kvs, request->sort_order, request->sort_target);
    if (request->limit > 0 && out->n_kvs > (size_t)request->limit) {
        out->n_kvs = (size_t)request->limit;
        out->more = true;
    }
    out->kvs = kvs;
    return 0;
}

/* ---- Put, DeleteRange ---- */

static int apply_put(apply *a, const etcd__put_request *request, etcd_put_response *out)
{
    fake_store *store = a->store;
    entry *e;

    if (request->key.len == 0)
        return fail(a, 3, "etcdserver: key is not provided");
    e = find_or_add(store, request->key);
    if ((request->ignore_value || request->ignore_lease) && e->version == 0)
        fail(a, 3, "etcdserver: key not found"); /* the entry stays behind without a version: removed below */
    if (request->prev_kv && e->version > 0) {
        etcd_kv *previous = scratch_alloc(a, 1, sizeof *previous);

        *previous = kv_of(a, e, false);
        out->prev_kv = previous;
    }
    if (a->error) {
        if (e->version == 0) {
            free_entry(e);
            memmove(e, e + 1, (size_t)(store->entries + --store->n - e) * sizeof *e);
        }
        return -1;
    }
    if (!request->ignore_value) {
        free((void *)(uintptr_t)e->value.data);
        e->value = copy_bytes(request->value);
    }
    if (!request->ignore_lease)
        e->lease = request->lease;
    if (e->version++ == 0)
        e->create = a->revision;
    e->mod = a->revision;
    a->wrote = a->write = true;
    out->header = header_of(a);
    return 0;
}

static int apply_delete(apply *a, const etcd__delete_range_request *request, etcd_delete_response *out)
{
    fake_store *store = a->store;
    size_t first = lower_bound(store, request->key), end = first;
    etcd_kv *previous;

    if (request->key.len == 0)
        return fail(a, 3, "etcdserver: key is not provided");
    while (end < store->n && in_range(store->entries[end].key, request->key, request->range_end))
        end++;
    previous = scratch_alloc(a, end - first, sizeof *previous);
    for (size_t i = first; i < end; i++) {
        if (request->prev_kv)
            previous[out->n_prev_kvs++] = kv_of(a, &store->entries[i], false);
        free_entry(&store->entries[i]);
    }
    if (end > first) {
        memmove(store->entries + first, store->entries + end, (store->n - end) * sizeof *store->entries);
        store->n -= end - first;
        a->wrote = true;
    }
    a->write = true;
    out->deleted = (int64_t)(end - first);
    out->prev_kvs = previous;
    out->header = header_of(a);
    return 0;
}

/* ---- Txn ---- */

static int apply_txn(apply *a, const etcd__txn_request *request, etcd_txn_response *out);

static bool result_holds(int order, int32_t result)
{
    switch (result) {
    case ETCD_CMP_GREATER:
        return order > 0;
    case ETCD_CMP_LESS:
        return order < 0;
    case ETCD_CMP_NOT_EQUAL:
        return order != 0;
    default:
        return order == 0;
    }
}

static bool entry_holds(const etcd__compare *compare, const entry *e)
{
    const int64_t numbers[] = {e->version, e->create, e->mod, 0, e->lease};

    if (compare->target == ETCD_COMPARE_VALUE)
        return result_holds(compare_bytes(e->value, compare->value), compare->result);
    return result_holds(compare_number(numbers[compare->target], compare->number), compare->result);
}

static bool compare_holds(const apply *a, const etcd__compare *compare)
{
    const fake_store *store = a->store;
    const entry none = {.value = {"", 0}};
    size_t at = lower_bound(store, compare->key), n = 0;

    for (; at < store->n && in_range(store->entries[at].key, compare->key, compare->range_end); at++, n++)
        if (!entry_holds(compare, &store->entries[at]))
            return false;
    return n > 0 || (compare->target != ETCD_COMPARE_VALUE && entry_holds(compare, &none));
}

static void apply_op(apply *a, const etcd__request_op *op, etcd_op_response *out)
{
    out->type = op->type;
    if (op->type == ETCD_OP_GET)
        apply_range(a, op->range, (etcd_get_response *)(uintptr_t)(out->get = scratch_alloc(a, 1, sizeof *out->get)));
    else if (op->type == ETCD_OP_PUT)
        apply_put(a, op->put, (etcd_put_response *)(uintptr_t)(out->put = scratch_alloc(a, 1, sizeof *out->put)));
    else if (op->type == ETCD_OP_DELETE)
        apply_delete(a, op->del, (etcd_delete_response *)(uintptr_t)(out->del = scratch_alloc(a, 1, sizeof *out->del)));
    else
        apply_txn(a, op->txn, (etcd_txn_response *)(uintptr_t)(out->txn = scratch_alloc(a, 1, sizeof *out->txn)));
}

static int apply_txn(apply *a, const etcd__txn_request *request, etcd_txn_response *out)
{
    const etcd__request_op *const *ops;
    const etcd_op_response **responses;

    out->succeeded = true;
    for (size_t i = 0; i < request->n_compare; i++)
        out->succeeded = out->succeeded && compare_holds(a, request->compare[i]);
    ops = out->succeeded ? request->success : request->failure;
    out->n_responses = out->succeeded ? request->n_success : request->n_failure;
    responses = scratch_alloc(a, out->n_responses, sizeof *responses);
    for (size_t i = 0; i < out->n_responses; i++) {
        etcd_op_response *response = scratch_alloc(a, 1, sizeof *response);

        apply_op(a, ops[i], response);
        responses[i] = response;
    }
    out->responses = responses;
    out->header = header_of(a);
    return a->error ? -1 : 0;
}

static int apply_compact(apply *a, const etcd__compaction_request *request, etcd_compact_response *out)
{
    if (request->revision <= a->store->compacted)
        return fail(a, 11, "etcdserver: mvcc: required revision has been compacted");
    if (request->revision > a->store->revision)
        return fail(a, 11, "etcdserver: mvcc: required revision is a future revision");
    a->store->compacted = request->revision;
    out->header = header_of(a);
    return 0;
}

/* ---- requests and answers ---- */

void *fake__decode(fake_request *request)
{
    const etcd__rpc_method *method = etcd__rpc_find(request->method, strlen(request->method));
    size_t len = request->payload_len, room = 8192 + 64 * (len < 262144 ? len : 262144), fixed;
    uint8_t *block, *payload;
    etcd__arena arena;

    if (!method)
        return NULL;
    fixed = (method->request->size + 63u) / 64 * 64;
    block = fake__calloc(1, fixed + room + len + 1);
    payload = block + fixed + room;
    memcpy(block, method->request->initial, method->request->size);
    if (len > 0)
        memcpy(payload, request->payload, len);
    /* an arena that cannot grow, so it never asks the library's allocator */
    arena = (etcd__arena){.cursor = block + fixed, .end = block + fixed + room, .allocated = room, .limit = room};
    if (etcd__pb_decode(method->request, payload, len, &arena, block, NULL) == ETCD_OK)
        request->message = block;
    return block;
}

static int apply_request(apply *a, const fake_request *request, void *out)
{
    if (strcmp(request->method, FAKE_RANGE) == 0)
        return apply_range(a, request->message, out);
    if (strcmp(request->method, FAKE_PUT) == 0)
        return apply_put(a, request->message, out);
    if (strcmp(request->method, FAKE_DELETE) == 0)
        return apply_delete(a, request->message, out);
    if (strcmp(request->method, FAKE_TXN) == 0)
        return apply_txn(a, request->message, out);
    if (strcmp(request->method, FAKE_COMPACT) == 0)
        return apply_compact(a, request->message, out);
    return fail(a, 12, "unknown method");
}

/* The encoded answer in memory of malloc, or NULL and the error in `a`. */
static uint8_t *answer(apply *a, fake_request *request, size_t *len)
{
    const etcd__rpc_method *method = etcd__rpc_find(request->method, strlen(request->method));
    uint8_t *encoded = NULL;
    void *out;

    if (!request->message) {
        fail(a, method ? 13 : 12, method ? "grpc: error unmarshalling request" : "unknown service or method");
        return NULL;
    }
    a->store = request->server->store;
    a->revision = a->store->revision + 1;
    out = scratch_alloc(a, 1, method->response->size);
    if (apply_request(a, request, out) == 0) {
        *len = etcd__pb_encoded_size(method->response, out);
        encoded = fake__calloc(1, *len + 1);
        etcd__pb_encode(method->response, out, encoded, *len);
    }
    if (a->wrote)
        a->store->revision = a->revision;
    a->store->writes += a->write;
    scratch_free(a);
    return encoded;
}

uint8_t *fake_kv_apply(fake_request *request, size_t *len)
{
    apply a = {.code = 0};

    return answer(&a, request, len);
}

void fake_kv_handler(fake_request *request, void *arg)
{
    apply a = {.code = 0};
    size_t len = 0;
    uint8_t *encoded = answer(&a, request, &len);

    (void)arg;
    if (!encoded) {
        fake_reply_trailers_only(request, a.code, a.error);
        return;
    }
    fake_reply_headers(request);
    fake_reply_payload(request, 0, encoded, len);
    fake_reply_status(request, 0, NULL);
    free(encoded);
}
