/* Encoding: one pass for the size, one that writes from the end to the front, so that the length of a nested message is known
 * when its place comes. Nothing is allocated or remembered between the passes.
 *
 * Recursion is as deep as the message that the caller built. https://protobuf.dev/programming-guides/encoding/ */
#include "wire/table.h"

#include <assert.h>
#include <string.h>

static inline size_t varint_size(uint64_t value)
{
    const unsigned bits = 64u - (unsigned)__builtin_clzll(value | 1);

    return (bits * 9 + 64) / 64; /* = bits / 7, rounded up, for 1 to 64 */
}

/* Writes so that the varint ends before `end`; returns its start. */
static inline uint8_t *put_varint(uint8_t *end, uint64_t value)
{
    uint8_t *p;

    if (value < 0x80) {
        *--end = (uint8_t)value;
        return end;
    }
    end -= varint_size(value);
    for (p = end; value >= 0x80; value >>= 7)
        *p++ = (uint8_t)(value | 0x80);
    *p = (uint8_t)value;
    return end;
}

static inline const void *load_pointer(const uint8_t *slot)
{
    const void *pointer;

    memcpy(&pointer, slot, sizeof pointer);
    return pointer;
}

/* The value of a number or bool as it goes on the wire: negative ones are extended to 64 bits. */
static inline uint64_t load_number(const etcd__pb_field *field, const uint8_t *slot)
{
    switch (field->kind) {
    case ETCD__PB_BOOL:
        return *(const bool *)slot;
    case ETCD__PB_INT32:
        return (uint64_t)(int64_t) * (const int32_t *)slot;
    case ETCD__PB_UINT32:
        return *(const uint32_t *)slot;
    case ETCD__PB_INT64:
        return (uint64_t) * (const int64_t *)slot;
    default:
        assert(field->kind == ETCD__PB_UINT64);
        return *(const uint64_t *)slot;
    }
}

static inline bool is_packed(const etcd__pb_field *field)
{
    return field->shape == ETCD__PB_ARRAY && field->kind < ETCD__PB_BYTES;
}

/* Whether a oneof has another member set, so that this one is not sent. */
static inline bool is_not_chosen(const etcd__pb_field *field, const uint8_t *message)
{
    return field->in_oneof && *(const int32_t *)(message + field->which_offset) != field->which;
}

static inline size_t tag_size(const etcd__pb_field *field)
{
    return field->tag < 0x80 ? 1 : varint_size(field->tag);
}

/* Bytes of one value behind its tag. */
static size_t value_size(const etcd__pb_field *field, const uint8_t *value)
{
    size_t len;

    if (field->kind < ETCD__PB_BYTES)
        return varint_size(load_number(field, value));
    if (field->kind == ETCD__PB_MESSAGE)
        len = etcd__pb_encoded_size(field->message, value);
    else
        len = ((const etcd_bytes *)value)->len;
    return varint_size(len) + len;
}

/* Whether a plain value is left out: zero, false, empty. */
static inline bool is_default(const etcd__pb_field *field, const uint8_t *value)
{
    if (field->kind < ETCD__PB_BYTES)
        return load_number(field, value) == 0;
    if (field->kind < ETCD__PB_MESSAGE)
        return ((const etcd_bytes *)value)->len == 0;
    return etcd__pb_encoded_size(field->message, value) == 0;
}

/* The element at `index` of a repeated field. */
static inline const uint8_t *element_at(const etcd__pb_field *field, const void *elements, size_t index)
{
    if (field->shape == ETCD__PB_POINTERS)
        return load_pointer((const uint8_t *)elements + index * sizeof(void *));
    return (const uint8_t *)elements + index * field->element_size;
}

static size_t packed_size(const etcd__pb_field *field, const void *elements, size_t count)
{
    size_t size = 0;

    for (size_t i = 0; i < count; i++)
        size += varint_size(load_number(field, element_at(field, elements, i)));
    return size;
}

static size_t repeated_size(const etcd__pb_field *field, const uint8_t *message)
{
    const size_t count = *(const size_t *)(message + field->count_offset);
    const void *elements = load_pointer(message + field->offset);
    size_t size;

    if (count == 0)
        return 0;
    if (is_packed(field)) {
        size = packed_size(field, elements, count);
        return tag_size(field) + varint_size(size) + size;
    }
    size = count * tag_size(field);
    for (size_t i = 0; i < count; i++)
        size += value_size(field, element_at(field, elements, i));
    return size;
}

static size_t field_size(const etcd__pb_field *field, const uint8_t *message)
{
    const uint8_t *value = message + field->offset;

    if (is_not_chosen(field, message))
        return 0;
    switch (field->shape) {
    case ETCD__PB_INLINE:
        if (!field->in_oneof && is_default(field, value))
            return 0;
        return tag_size(field) + value_size(field, value);
    case ETCD__PB_POINTER:
        value = load_pointer(value);
        return value ? tag_size(field) + value_size(field, value) : 0;
    default:
        return repeated_size(field, message);
    }
}

/* Whether a field is plain and left out: most fields of most requests. */
static inline bool is_plain_default(const etcd__pb_field *field, const uint8_t *message)
{
    const uint8_t *value = message + field->offset;

    switch (field->plain) {
    case sizeof(uint64_t):
        return *(const uint64_t *)value == 0;
    case sizeof(bool):
        return !*(const bool *)value;
    case sizeof(uint32_t):
        return *(const uint32_t *)value == 0;
    case sizeof(etcd_bytes):
        return ((const etcd_bytes *)value)->len == 0;
    default:
        return false;
    }
}

size_t etcd__pb_encoded_size(const etcd__pb_message *type, const void *message)
{
    size_t size = 0;

    for (size_t i = 0; i < type->n_fields; i++)
        if (!is_plain_default(&type->fields[i], message))
            size += field_size(&type->fields[i], message);
    return size;
}

static uint8_t *put_message(const etcd__pb_message *type, const uint8_t *message, uint8_t *end);

/* Tag and value, written so that they end before `end`. */
static uint8_t *put_value(const etcd__pb_field *field, const uint8_t *value, uint8_t *end)
{
    const etcd_bytes *bytes = (const etcd_bytes *)value;
    uint8_t *p;

    if (field->kind < ETCD__PB_BYTES) {
        p = put_varint(end, load_number(field, value));
    } else if (field->kind == ETCD__PB_MESSAGE) {
        p = put_message(field->message, value, end);
        p = put_varint(p, (size_t)(end - p));
    } else {
        p = end - bytes->len;
        if (bytes->len > 0)
            memcpy(p, bytes->data, bytes->len);
        p = put_varint(p, bytes->len);
    }
    return put_varint(p, field->tag);
}

static uint8_t *put_repeated(const etcd__pb_field *field, const uint8_t *message, uint8_t *end)
{
    const size_t count = *(const size_t *)(message + field->count_offset);
    const void *elements = load_pointer(message + field->offset);
    uint8_t *p = end;

    if (count == 0)
        return end;
    if (is_packed(field)) {
        for (size_t i = count; i-- > 0;)
            p = put_varint(p, load_number(field, element_at(field, elements, i)));
        p = put_varint(p, (size_t)(end - p));
        return put_varint(p, field->tag | 2u);
    }
    for (size_t i = count; i-- > 0;)
        p = put_value(field, element_at(field, elements, i), p);
    return p;
}

static uint8_t *put_field(const etcd__pb_field *field, const uint8_t *message, uint8_t *end)
{
    const uint8_t *value = message + field->offset;

    if (is_not_chosen(field, message))
        return end;
    switch (field->shape) {
    case ETCD__PB_INLINE:
        if (!field->in_oneof && is_default(field, value))
            return end;
        return put_value(field, value, end);
    case ETCD__PB_POINTER:
        value = load_pointer(value);
        return value ? put_value(field, value, end) : end;
    default:
        return put_repeated(field, message, end);
    }
}

static uint8_t *put_message(const etcd__pb_message *type, const uint8_t *message, uint8_t *end)
{
    for (size_t i = type->n_fields; i-- > 0;)
        if (!is_plain_default(&type->fields[i], message))
            end = put_field(&type->fields[i], message, end);
    return end;
}

void etcd__pb_encode(const etcd__pb_message *type, const void *message, uint8_t *out, size_t size)
{
    uint8_t *start = put_message(type, message, out + size);

    assert(start == out);
    (void)start;
}
