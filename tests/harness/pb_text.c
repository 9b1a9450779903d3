/* See pb_text.h. Reads the structs by their tables, on its own: it shares no code with the encoder that it is to check. */
#include "harness/pb_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void append(etcd__buf *out, const char *text)
{
    if (etcd__buf_append(out, text, strlen(text)) < 0)
        abort();
}

static void append_bytes(etcd__buf *out, const etcd_bytes *bytes)
{
    static const char plain[] = "\n\r\t\"'\\", letters[] = "nrt\"'\\";
    char escape[8];

    append(out, "\"");
    for (size_t i = 0; i < bytes->len; i++) {
        const unsigned char c = (unsigned char)bytes->data[i];
        const char *known = c != 0 ? strchr(plain, c) : NULL;

        if (known != NULL)
            snprintf(escape, sizeof escape, "\\%c", letters[known - plain]);
        else if (c < 0x20 || c >= 0x7f)
            snprintf(escape, sizeof escape, "\\%03o", c);
        else
            snprintf(escape, sizeof escape, "%c", c);
        append(out, escape);
    }
    append(out, "\"");
}

static void append_enum(etcd__buf *out, const etcd__pb_enum *values, int32_t number)
{
    char text[16];

    snprintf(text, sizeof text, "%" PRId32, number);
    append(out, number >= 0 && (size_t)number < values->n_names ? values->names[number] : text);
}

static void append_scalar(etcd__buf *out, const etcd__pb_field *field, const uint8_t *slot)
{
    char text[32] = "";

    if (field->kind >= ETCD__PB_BYTES)
        append_bytes(out, (const etcd_bytes *)slot);
    else if (field->values != NULL)
        append_enum(out, field->values, *(const int32_t *)slot);
    else if (field->kind == ETCD__PB_BOOL)
        snprintf(text, sizeof text, "%s", *(const bool *)slot ? "true" : "false");
    else if (field->kind == ETCD__PB_UINT32)
        snprintf(text, sizeof text, "%" PRIu32, *(const uint32_t *)slot);
    else if (field->kind == ETCD__PB_INT32)
        snprintf(text, sizeof text, "%" PRId32, *(const int32_t *)slot);
    else if (field->kind == ETCD__PB_INT64)
        snprintf(text, sizeof text, "%" PRId64, *(const int64_t *)slot);
    else
        snprintf(text, sizeof text, "%" PRIu64, *(const uint64_t *)slot);
    append(out, text);
}

static void append_value(etcd__buf *out, const etcd__pb_field *field, const uint8_t *slot, unsigned indent)
{
    char spaces[64];

    snprintf(spaces, sizeof spaces, "%*s", (int)indent, "");
    append(out, spaces);
    append(out, field->name);
    if (field->kind == ETCD__PB_MESSAGE) {
        append(out, " {\n");
        etcd_test_pb_text(out, field->message, slot, indent + 2);
        append(out, spaces);
        append(out, "}\n");
    } else {
        append(out, ": ");
        append_scalar(out, field, slot);
        append(out, "\n");
    }
}

/* A plain value in place is shown unless it is zero or empty. */
static bool is_shown(const etcd__pb_field *field, const uint8_t *slot)
{
    static const uint8_t zero[sizeof(uint64_t)];
    etcd__buf content = ETCD__BUF_INIT(SIZE_MAX);
    bool shown;

    if (field->kind < ETCD__PB_BYTES)
        return memcmp(slot, zero, field->element_size) != 0;
    if (field->kind < ETCD__PB_MESSAGE)
        return ((const etcd_bytes *)slot)->len > 0;
    etcd_test_pb_text(&content, field->message, slot, 0);
    shown = content.len > 0;
    etcd__buf_free(&content);
    return shown;
}

static void append_repeated(etcd__buf *out, const etcd__pb_field *field, const uint8_t *message, unsigned indent)
{
    const size_t count = *(const size_t *)(message + field->count_offset);
    const uint8_t *elements, *element;

    memcpy(&elements, message + field->offset, sizeof elements);
    for (size_t i = 0; i < count; i++) {
        if (field->shape == ETCD__PB_POINTERS)
            memcpy(&element, elements + i * sizeof element, sizeof element);
        else
            element = elements + i * field->element_size;
        append_value(out, field, element, indent);
    }
}

static void append_field(etcd__buf *out, const etcd__pb_field *field, const uint8_t *message, unsigned indent)
{
    const uint8_t *slot = message + field->offset;

    if (field->in_oneof && *(const int32_t *)(message + field->which_offset) != field->which)
        return;
    if (field->shape == ETCD__PB_POINTER) {
        memcpy(&slot, message + field->offset, sizeof slot);
        if (slot != NULL)
            append_value(out, field, slot, indent);
    } else if (field->shape != ETCD__PB_INLINE) {
        append_repeated(out, field, message, indent);
    } else if (field->in_oneof || is_shown(field, slot)) {
        append_value(out, field, slot, indent);
    }
}

void etcd_test_pb_text(etcd__buf *out, const etcd__pb_message *type, const void *message, unsigned indent)
{
    for (size_t i = 0; i < type->n_fields; i++)
        append_field(out, &type->fields[i], message, indent);
}
