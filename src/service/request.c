/* See request.h. Option semantics: the contract, sections 1.7 and 1.9. */
#include "service/request.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/options.h"

#include <string.h>

static const char zero[1] = {'\0'}; /* as a key: the first one; as a range end: no end */

static etcd_bytes bytes_of(const char *data, size_t len)
{
    etcd_bytes bytes = {len ? data : "", len};
    return bytes;
}

size_t etcd_prefix_range_end(const char *prefix, size_t prefix_len, char *end)
{
    size_t len = prefix_len;

    while (len > 0 && (unsigned char)prefix[len - 1] == 0xff)
        len--;
    if (len == 0) {
        end[0] = '\0';
        return 1;
    }
    memmove(end, prefix, len);
    end[len - 1] = (char)((unsigned char)end[len - 1] + 1);
    return len;
}

void etcd__range_end_free(etcd__range_end *end)
{
    etcd__free(end->allocated);
    end->allocated = NULL;
}

/* --- keys and ranges -------------------------------------------------------------------------- */

static int check_bytes(const char *what, const char *data, size_t len, etcd_error *err)
{
    if (data == NULL && len > 0)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "%s is NULL but has a length of %zu", what, len);
    return ETCD_OK;
}

int etcd__request_bytes(const char *what, const char *data, size_t len, etcd_bytes *bytes, etcd_error *err)
{
    *bytes = bytes_of(data, len);
    return check_bytes(what, data, len, err);
}

int etcd__request_text(const char *what, const char *text, etcd_bytes *bytes, etcd_error *err)
{
    if (text == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "%s is NULL", what);
    *bytes = bytes_of(text, strlen(text));
    return ETCD_OK;
}

int etcd__request_to(const char *endpoint, const etcd_call_options *call, etcd_call_options *to, etcd_error *err)
{
    int rc = etcd__options_load(to, sizeof *to, call, "etcd_call_options", err);

    to->size = sizeof *to;
    if (endpoint != NULL)
        to->endpoint = endpoint;
    return rc;
}

static int check_choice(const etcd__range_choice *choice, etcd_error *err)
{
    if (choice->prefix + choice->from_key + (choice->range_end != NULL) > 1)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "prefix, from_key and range_end exclude each other: set one of them");
    if (choice->range_end == NULL && choice->range_end_len != 0)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "range_end_len is set but range_end is NULL");
    if (choice->range_end != NULL && choice->range_end_len <= 0)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT,
                               "range_end_len is not positive: give a length, or set from_key for a range without end");
    return ETCD_OK;
}

static int empty_key(const char *hint, etcd_error *err)
{
    return etcd__error_set(err, ETCD_ERR_EMPTY_KEY, "%s%s", etcd_error_text(ETCD_ERR_EMPTY_KEY), hint);
}

static int prefix_end(const char *key, size_t key_len, etcd__range_end *room, etcd_bytes *end, etcd_error *err)
{
    char *data = room->small;

    if (key_len > sizeof room->small) {
        data = room->allocated = etcd__malloc(key_len);
        if (data == NULL)
            return etcd__error_no_memory(err);
    }
    *end = bytes_of(data, etcd_prefix_range_end(key, key_len, data));
    return ETCD_OK;
}

int etcd__request_range(const char *key, size_t key_len, const etcd__range_choice *choice, etcd__range_end *room,
                        etcd_bytes *request_key, etcd_bytes *request_end, etcd_error *err)
{
    int rc = check_bytes("key", key, key_len, err);

    if (rc == ETCD_OK)
        rc = check_choice(choice, err);
    if (rc < 0)
        return rc;
    *request_key = bytes_of(key, key_len);
    *request_end = bytes_of(choice->range_end, (size_t)choice->range_end_len);
    if (choice->from_key)
        *request_end = bytes_of(zero, 1);
    else if (choice->prefix && key_len > 0)
        return prefix_end(key, key_len, room, request_end, err);
    if (key_len > 0)
        return ETCD_OK;
    if (!choice->prefix && !choice->from_key)
        return empty_key(": give a key, or set prefix or from_key for all keys", err);
    *request_key = *request_end = bytes_of(zero, 1); /* all keys */
    return ETCD_OK;
}

/* --- get -------------------------------------------------------------------------------------- */

static const struct {
    int32_t target, order;
} picks[] = {
    [ETCD_PICK_FIRST_CREATE] = {ETCD_SORT_CREATE, ETCD_SORT_ASCEND},
    [ETCD_PICK_LAST_CREATE] = {ETCD_SORT_CREATE, ETCD_SORT_DESCEND},
    [ETCD_PICK_FIRST_KEY] = {ETCD_SORT_KEY, ETCD_SORT_ASCEND},
    [ETCD_PICK_LAST_KEY] = {ETCD_SORT_KEY, ETCD_SORT_DESCEND},
    [ETCD_PICK_FIRST_REV] = {ETCD_SORT_MOD, ETCD_SORT_ASCEND},
    [ETCD_PICK_LAST_REV] = {ETCD_SORT_MOD, ETCD_SORT_DESCEND},
};

static int apply_pick(etcd_get_options *o, etcd_error *err)
{
    if (o->pick == ETCD_PICK_ALL)
        return ETCD_OK;
    if (o->pick < 0 || o->pick > ETCD_PICK_LAST_REV)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "pick is %d: not one of etcd_get_pick", (int)o->pick);
    if (o->limit != 0 || o->sort_order != ETCD_SORT_NONE || o->sort_target != ETCD_SORT_KEY)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT,
                               "pick implies sort and limit: do not set sort_order, sort_target or limit");
    if (o->range_end == NULL && !o->from_key)
        o->prefix = true;
    o->sort_target = picks[o->pick].target;
    o->sort_order = picks[o->pick].order;
    o->limit = 1;
    return ETCD_OK;
}

static int check_sort(etcd_get_options *o, etcd_error *err)
{
    if (o->sort_order < ETCD_SORT_NONE || o->sort_order > ETCD_SORT_DESCEND || o->sort_target < ETCD_SORT_KEY ||
        o->sort_target > ETCD_SORT_VALUE)
        return etcd__error_set(err, ETCD_ERR_INVALID_SORT_OPTION, "%s", etcd_error_text(ETCD_ERR_INVALID_SORT_OPTION));
    if (o->sort_target == ETCD_SORT_KEY && o->sort_order == ETCD_SORT_ASCEND)
        o->sort_order = ETCD_SORT_NONE; /* the store's own order: spares the server a sort, as the Go client does */
    if (o->limit < 0)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "limit is negative: 0 means all");
    return ETCD_OK;
}

int etcd__request_get(const char *key, size_t key_len, const etcd_get_options *options, etcd__range_request *request,
                      etcd__range_end *end, const etcd_call_options **call, etcd_error *err)
{
    etcd_get_options o;
    etcd__range_choice choice;
    int rc = etcd__options_load(&o, sizeof o, options, "etcd_get_options", err);

    if (rc == ETCD_OK)
        rc = apply_pick(&o, err);
    if (rc == ETCD_OK)
        rc = check_sort(&o, err);
    if (rc < 0)
        return rc;
    *request = (etcd__range_request){
        .limit = o.limit,
        .revision = o.revision,
        .sort_order = o.sort_order,
        .sort_target = o.sort_target,
        .serializable = o.serializable,
        .keys_only = o.keys_only,
        .count_only = o.count_only,
        .min_mod_revision = o.min_mod_revision,
        .max_mod_revision = o.max_mod_revision,
        .min_create_revision = o.min_create_revision,
        .max_create_revision = o.max_create_revision,
    };
    *call = o.call;
    choice = (etcd__range_choice){o.range_end, o.range_end_len, o.prefix, o.from_key};
    return etcd__request_range(key, key_len, &choice, end, &request->key, &request->range_end, err);
}

/* --- put, delete, compare --------------------------------------------------------------------- */

int etcd__request_put(const char *key, size_t key_len, const char *value, size_t value_len, const etcd_put_options *options,
                      etcd__put_request *request, const etcd_call_options **call, etcd_error *err)
{
    etcd_put_options o;
    int rc = etcd__options_load(&o, sizeof o, options, "etcd_put_options", err);

    if (rc == ETCD_OK)
        rc = check_bytes("key", key, key_len, err);
    if (rc == ETCD_OK)
        rc = check_bytes("value", value, value_len, err);
    if (rc < 0)
        return rc;
    if (key_len == 0)
        return empty_key("", err);
    if (o.ignore_value && value_len > 0)
        return etcd__error_set(err, ETCD_ERR_VALUE_PROVIDED, "%s: ignore_value keeps the value, give an empty one",
                               etcd_error_text(ETCD_ERR_VALUE_PROVIDED));
    if (o.ignore_lease && o.lease != 0)
        return etcd__error_set(err, ETCD_ERR_LEASE_PROVIDED, "%s: ignore_lease keeps the lease, leave lease 0",
                               etcd_error_text(ETCD_ERR_LEASE_PROVIDED));
    *request = (etcd__put_request){
        .key = bytes_of(key, key_len),
        .value = bytes_of(value, value_len),
        .lease = o.lease,
        .prev_kv = o.prev_kv,
        .ignore_value = o.ignore_value,
        .ignore_lease = o.ignore_lease,
    };
    *call = o.call;
    return ETCD_OK;
}

int etcd__request_delete(const char *key, size_t key_len, const etcd_delete_options *options, etcd__delete_range_request *request,
                         etcd__range_end *end, const etcd_call_options **call, etcd_error *err)
{
    etcd_delete_options o;
    etcd__range_choice choice;
    int rc = etcd__options_load(&o, sizeof o, options, "etcd_delete_options", err);

    if (rc < 0)
        return rc;
    *request = (etcd__delete_range_request){.prev_kv = o.prev_kv};
    *call = o.call;
    choice = (etcd__range_choice){o.range_end, o.range_end_len, o.prefix, o.from_key};
    return etcd__request_range(key, key_len, &choice, end, &request->key, &request->range_end, err);
}

static int check_compare(const etcd_compare_options *o, etcd_error *err)
{
    if (o->target < ETCD_COMPARE_VERSION || o->target > ETCD_COMPARE_LEASE)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "target is %d: not one of etcd_compare_target", (int)o->target);
    if (o->op < ETCD_CMP_EQUAL || o->op > ETCD_CMP_NOT_EQUAL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "op is %d: not one of etcd_compare_op", (int)o->op);
    if (o->target == ETCD_COMPARE_VALUE && o->number != 0)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "a compare of the value takes `value`, not `number`");
    if (o->target != ETCD_COMPARE_VALUE && (o->value != NULL || o->value_len != 0))
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "only a compare of the value takes `value`: give a `number`");
    if (o->value_len < 0)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "value_len is negative");
    return check_bytes("value", o->value, (size_t)o->value_len, err);
}

int etcd__request_compare(const char *key, size_t key_len, const etcd_compare_options *options, etcd__compare *request,
                          etcd__range_end *end, etcd_error *err)
{
    etcd_compare_options o;
    etcd__range_choice choice;
    int rc = etcd__options_load(&o, sizeof o, options, "etcd_compare_options", err);

    if (rc == ETCD_OK)
        rc = check_compare(&o, err);
    if (rc < 0)
        return rc;
    *request = (etcd__compare){
        .result = o.op,
        .target = o.target,
        .number = o.number,
        .value = bytes_of(o.value, (size_t)o.value_len),
    };
    choice = (etcd__range_choice){o.range_end, o.range_end_len, o.prefix, false};
    return etcd__request_range(key, key_len, &choice, end, &request->key, &request->range_end, err);
}

/* --- copies ----------------------------------------------------------------------------------- */

int etcd__message_clone(const etcd__pb_message *type, const void *message, etcd__arena *arena, void *out, etcd_error *err)
{
    size_t len = etcd__pb_encoded_size(type, message);
    uint8_t *encoded = etcd__arena_alloc(arena, len + 1); /* the decoder wants a byte behind */
    void *copy = etcd__arena_alloc(arena, type->size);
    int rc;

    if (encoded == NULL || copy == NULL)
        return etcd__error_no_memory(err);
    etcd__pb_encode(type, message, encoded, len);
    rc = etcd__pb_decode(type, encoded, len, arena, copy, err);
    if (rc == ETCD_ERR_PROTOCOL) /* the only thing that can be wrong with our own bytes */
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "transactions are nested too deeply: at most %d",
                               ETCD__PB_MAX_DEPTH / 2 - 1);
    if (rc == ETCD_OK)
        memcpy(out, &copy, sizeof copy);
    return rc;
}
