/* Responses as JSON and as protocol buffers, driven by the message tables. See <etcd3/format.h>.
 *
 * The JSON is that of Go's encoding/json for the structs that etcd's Go API has for its messages: what etcdctl prints. */
#include <etcd3/format.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/error.h"
#include "wire/messages.h"
#include "wire/response.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define JSON_MAX SIZE_MAX

/* -- which table -- */

static const etcd__pb_message *const call_types[] = {
    [ETCD_CALL_GET] = &etcd__get_response_type,
    [ETCD_CALL_PUT] = &etcd__put_response_type,
    [ETCD_CALL_DELETE] = &etcd__delete_response_type,
    [ETCD_CALL_TXN] = &etcd__txn_response_type,
    [ETCD_CALL_COMPACT] = &etcd__compact_response_type,
    [ETCD_CALL_DO] = &etcd__op_response_type,
    [ETCD_CALL_LEASE_GRANT] = &etcd__lease_grant_response_type,
    [ETCD_CALL_LEASE_REVOKE] = &etcd__lease_revoke_response_type,
    [ETCD_CALL_LEASE_TIME_TO_LIVE] = &etcd__lease_time_to_live_response_type,
    [ETCD_CALL_LEASE_LIST] = &etcd__lease_leases_response_type,
    [ETCD_CALL_MEMBER_LIST] = &etcd__member_list_response_type,
    [ETCD_CALL_MEMBER_ADD] = &etcd__member_add_response_type,
    [ETCD_CALL_MEMBER_REMOVE] = &etcd__member_remove_response_type,
    [ETCD_CALL_MEMBER_UPDATE] = &etcd__member_update_response_type,
    [ETCD_CALL_MEMBER_PROMOTE] = &etcd__member_promote_response_type,
    [ETCD_CALL_AUTH_ENABLE] = &etcd__auth_enable_response_type,
    [ETCD_CALL_AUTH_DISABLE] = &etcd__auth_disable_response_type,
    [ETCD_CALL_AUTH_STATUS] = &etcd__auth_status_response_type,
    [ETCD_CALL_USER_ADD] = &etcd__user_add_response_type,
    [ETCD_CALL_USER_DELETE] = &etcd__user_delete_response_type,
    [ETCD_CALL_USER_CHANGE_PASSWORD] = &etcd__user_change_password_response_type,
    [ETCD_CALL_USER_GRANT_ROLE] = &etcd__user_grant_role_response_type,
    [ETCD_CALL_USER_REVOKE_ROLE] = &etcd__user_revoke_role_response_type,
    [ETCD_CALL_USER_GET] = &etcd__user_get_response_type,
    [ETCD_CALL_USER_LIST] = &etcd__user_list_response_type,
    [ETCD_CALL_ROLE_ADD] = &etcd__role_add_response_type,
    [ETCD_CALL_ROLE_DELETE] = &etcd__role_delete_response_type,
    [ETCD_CALL_ROLE_GET] = &etcd__role_get_response_type,
    [ETCD_CALL_ROLE_LIST] = &etcd__role_list_response_type,
    [ETCD_CALL_ROLE_GRANT_PERMISSION] = &etcd__role_grant_permission_response_type,
    [ETCD_CALL_ROLE_REVOKE_PERMISSION] = &etcd__role_revoke_permission_response_type,
    [ETCD_CALL_ALARM_LIST] = &etcd__alarm_response_type,
    [ETCD_CALL_ALARM_DISARM] = &etcd__alarm_response_type,
    [ETCD_CALL_DEFRAGMENT] = &etcd__defragment_response_type,
    [ETCD_CALL_STATUS] = &etcd__status_response_type,
    [ETCD_CALL_HASH_KV] = &etcd__hash_kv_response_type,
    [ETCD_CALL_HASH] = &etcd__hash_response_type,
    [ETCD_CALL_MOVE_LEADER] = &etcd__move_leader_response_type,
    [ETCD_CALL_DOWNGRADE] = &etcd__downgrade_response_type,
    [ETCD_CALL_LOCK] = &etcd__lock_response_type,
    [ETCD_CALL_UNLOCK] = &etcd__unlock_response_type,
    [ETCD_CALL_CAMPAIGN] = &etcd__campaign_response_type,
    [ETCD_CALL_PROCLAIM] = &etcd__proclaim_response_type,
    [ETCD_CALL_LEADER] = &etcd__leader_response_type,
    [ETCD_CALL_RESIGN] = &etcd__resign_response_type,
    [ETCD_CALL_HEALTH_CHECK] = &etcd__health_check_response_type,
    [ETCD_CALL_KEEPALIVE_ONCE] = &etcd__keepalive_response_type,
};

static const etcd__pb_message *table_of(int type)
{
    switch (type) {
    case ETCD_FORMAT_HEADER:
        return &etcd__response_header_type;
    case ETCD_FORMAT_KV:
        return &etcd__kv_type;
    case ETCD_FORMAT_EVENT:
        return &etcd__event_type;
    case ETCD_FORMAT_MEMBER:
        return &etcd__member_type;
    default:
        return type > 0 && (size_t)type < sizeof call_types / sizeof *call_types ? call_types[type] : NULL;
    }
}

/* -- writing -- */

/* What is written so far; after a failure nothing more is. */
typedef struct writer {
    etcd__buf buf;
    int rc;
} writer;

static void put(writer *w, const char *data, size_t len)
{
    if (w->rc == ETCD_OK)
        w->rc = etcd__buf_append(&w->buf, data, len);
}

static void put_text(writer *w, const char *text)
{
    put(w, text, strlen(text));
}

static void put_base64(writer *w, etcd_bytes bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    put(w, "\"", 1);
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t n = bytes.len - i < 3 ? bytes.len - i : 3;
        uint32_t group = 0;
        char out[4];

        for (size_t j = 0; j < 3; j++)
            group = group << 8 | (j < n ? (uint8_t)bytes.data[i + j] : 0);
        for (size_t j = 0; j < 4; j++)
            out[j] = j <= n ? digits[group >> (18 - 6 * j) & 63] : '=';
        put(w, out, sizeof out);
    }
    put(w, "\"", 1);
}

/* The character at data[0 .. len): returns its bytes, 0 when they are not valid UTF-8. */
static size_t take_rune(const char *data, size_t len, uint32_t *rune)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t first = (uint8_t)data[0];
    size_t n = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    uint32_t value = n == 1 ? first : first & (0x7fU >> n);

    if ((first >= 0x80 && first < 0xc2) || first >= 0xf5 || n > len)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if (((uint8_t)data[i] & 0xc0) != 0x80)
            return 0;
        value = value << 6 | ((uint8_t)data[i] & 0x3f);
    }
    *rune = value;
    return value < least[n] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff) ? 0 : n;
}

static void put_rune(writer *w, uint32_t rune, const char *data, size_t len)
{
    static const char letters[] = "\"\\bfnrt", meanings[] = "\"\\\b\f\n\r\t";
    const char *found = rune && rune < 0x80 ? strchr(meanings, (int)rune) : NULL;
    char escape[8];

    if (found) {
        escape[0] = '\\';
        escape[1] = letters[found - meanings];
        put(w, escape, 2);
    } else if (rune < 0x20 || rune == '<' || rune == '>' || rune == '&' || rune == 0x2028 || rune == 0x2029) {
        put(w, escape, (size_t)snprintf(escape, sizeof escape, "\\u%04x", (unsigned)rune));
    } else {
        put(w, data, len);
    }
}

static void put_string(writer *w, etcd_bytes bytes)
{
    put(w, "\"", 1);
    for (size_t i = 0; i < bytes.len;) {
        uint32_t rune = 0;
        size_t n = take_rune(bytes.data + i, bytes.len - i, &rune);

        if (n)
            put_rune(w, rune, bytes.data + i, n);
        else
            put_text(w, "\\ufffd");
        i += n ? n : 1;
    }
    put(w, "\"", 1);
}

static void put_message(writer *w, const etcd__pb_message *type, const char *message);

static void put_value(writer *w, const etcd__pb_field *field, const char *value)
{
    char number[24];
    int len = 0;

    switch ((etcd__pb_kind)field->kind) {
    case ETCD__PB_BOOL:
        put_text(w, *(const bool *)value ? "true" : "false");
        return;
    case ETCD__PB_BYTES:
        put_base64(w, *(const etcd_bytes *)(const void *)value);
        return;
    case ETCD__PB_STRING:
        put_string(w, *(const etcd_bytes *)(const void *)value);
        return;
    case ETCD__PB_MESSAGE:
        put_message(w, field->message, value);
        return;
    case ETCD__PB_INT32:
        len = snprintf(number, sizeof number, "%" PRId32, *(const int32_t *)(const void *)value);
        break;
    case ETCD__PB_UINT32:
        len = snprintf(number, sizeof number, "%" PRIu32, *(const uint32_t *)(const void *)value);
        break;
    case ETCD__PB_INT64:
        len = snprintf(number, sizeof number, "%" PRId64, *(const int64_t *)(const void *)value);
        break;
    case ETCD__PB_UINT64:
        len = snprintf(number, sizeof number, "%" PRIu64, *(const uint64_t *)(const void *)value);
        break;
    }
    put(w, number, (size_t)len);
}

static bool is_zero(const etcd__pb_field *field, const char *value)
{
    static const char zeros[8];

    switch ((etcd__pb_kind)field->kind) {
    case ETCD__PB_BYTES:
    case ETCD__PB_STRING:
        return ((const etcd_bytes *)(const void *)value)->len == 0;
    case ETCD__PB_MESSAGE:
        return etcd__pb_encoded_size(field->message, value) == 0;
    default:
        return memcmp(value, zeros, field->element_size) == 0;
    }
}

static void put_array(writer *w, const etcd__pb_field *field, const char *array, size_t n)
{
    put(w, "[", 1);
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            put(w, ",", 1);
        if (field->shape == ETCD__PB_POINTERS)
            put_value(w, field, ((const char *const *)(const void *)array)[i]);
        else
            put_value(w, field, array + i * field->element_size);
    }
    put(w, "]", 1);
}

static void put_name(writer *w, const char *name, bool *first)
{
    put_text(w, *first ? "\"" : ",\"");
    put_text(w, name);
    put(w, "\":", 2);
    *first = false;
}

/* A field that has something to say. Members of a oneof are one level deeper: Go has an interface there. */
static void put_field(writer *w, const etcd__pb_field *field, const char *message, bool *first)
{
    const char *member = message + field->offset;
    const char *pointer = field->shape == ETCD__PB_INLINE ? member : *(const char *const *)(const void *)member;
    size_t n = 0;

    if (field->in_oneof) {
        bool inner = true;

        if (*(const int32_t *)(const void *)(message + field->which_offset) != field->which || !pointer)
            return;
        put_name(w, "Response", first);
        put(w, "{", 1);
        put_name(w, field->name, &inner);
        put_value(w, field, pointer);
        put(w, "}", 1);
        return;
    }
    if (field->shape == ETCD__PB_ARRAY || field->shape == ETCD__PB_POINTERS) {
        n = *(const size_t *)(const void *)(message + field->count_offset);
        if (n == 0)
            return;
    } else if (!pointer || (field->shape == ETCD__PB_INLINE && is_zero(field, member))) {
        return;
    }
    put_name(w, field->name, first);
    if (n > 0)
        put_array(w, field, pointer, n);
    else
        put_value(w, field, pointer);
}

static void put_message(writer *w, const etcd__pb_message *type, const char *message)
{
    bool first = true;

    put(w, "{", 1);
    for (size_t i = 0; i < type->n_fields; i++)
        put_field(w, &type->fields[i], message, &first);
    put(w, "}", 1);
}

/* -- the public functions -- */

/* Makes a response of the buffer, which is freed or taken over in any case. */
static int finish(etcd__buf *buf, int rc, etcd_format_response **out, etcd_error *err)
{
    etcd_format_response *response = NULL;

    if (rc == ETCD_OK)
        rc = etcd__buf_append(buf, "", 1); /* the NUL behind it */
    if (rc == ETCD_OK)
        response = etcd__response_new(sizeof *response);
    if (!response) {
        etcd__buf_free(buf);
        return etcd__error_no_memory(err);
    }
    etcd__response_arena(response)->owned = buf->data;
    response->text = (etcd_bytes){(const char *)buf->data, buf->len - 1};
    *out = response;
    return ETCD_OK;
}

static int check(int type, const void *message, etcd_format_response **out, etcd_error *err)
{
    etcd__error_clear(err);
    if (!out)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "out is NULL");
    *out = NULL;
    if (!message)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "message is NULL");
    if (!table_of(type))
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "%d is no type of a message", type);
    return ETCD_OK;
}

int etcd_format_json(int type, const void *message, etcd_format_response **out, etcd_error *err)
{
    writer w = {.buf = ETCD__BUF_INIT(JSON_MAX)};
    int rc = check(type, message, out, err);

    if (rc < 0)
        return rc;
    put_message(&w, table_of(type), message);
    return finish(&w.buf, w.rc, out, err);
}

int etcd_format_protobuf(int type, const void *message, etcd_format_response **out, etcd_error *err)
{
    etcd__buf buf = ETCD__BUF_INIT(SIZE_MAX);
    int rc = check(type, message, out, err);
    size_t size;

    if (rc < 0)
        return rc;
    size = etcd__pb_encoded_size(table_of(type), message);
    rc = etcd__buf_reserve(&buf, size + 1);
    if (rc == ETCD_OK) {
        etcd__pb_encode(table_of(type), message, buf.data, size);
        buf.len = size;
    }
    return finish(&buf, rc, out, err);
}
