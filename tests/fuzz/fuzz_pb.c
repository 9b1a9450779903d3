/* The codec: the first byte chooses the message, the others are decoded as it.
 *
 * What decodes is encoded, decoded again and encoded again: the two encodings must be the same. Bytes values must end with a NUL,
 * which the walk below reads, so that AddressSanitizer sees one that points to a wrong place. */
#include "base/alloc.h"
#include "fuzz/fuzz.h"
#include "wire/messages.h"
#include "wire/response.h"

#include <stdlib.h>
#include <string.h>

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void walk(const etcd__pb_message *type, const uint8_t *message);

static void walk_value(const etcd__pb_field *field, const uint8_t *value)
{
    if (field->kind == ETCD__PB_MESSAGE) {
        walk(field->message, value);
    } else if (field->kind >= ETCD__PB_BYTES) {
        const etcd_bytes *bytes = (const etcd_bytes *)value;

        require(bytes->data != NULL && bytes->data[bytes->len] == '\0');
    }
}

static void walk_array(const etcd__pb_field *field, const uint8_t *elements, size_t count)
{
    const uint8_t *element;

    for (size_t i = 0; i < count; i++) {
        if (field->shape == ETCD__PB_POINTERS)
            memcpy(&element, elements + i * sizeof element, sizeof element);
        else
            element = elements + i * field->element_size;
        walk_value(field, element);
    }
}

static void walk(const etcd__pb_message *type, const uint8_t *message)
{
    const uint8_t *pointed;

    for (size_t i = 0; i < type->n_fields; i++) {
        const etcd__pb_field *field = &type->fields[i];

        memcpy(&pointed, message + field->offset, field->shape == ETCD__PB_INLINE ? 0 : sizeof pointed);
        if (field->shape == ETCD__PB_INLINE)
            walk_value(field, message + field->offset);
        else if (field->shape != ETCD__PB_POINTER)
            walk_array(field, pointed, *(const size_t *)(message + field->count_offset));
        else if (pointed != NULL)
            walk_value(field, pointed);
    }
}

static void *decode(const etcd__pb_message *type, const uint8_t *data, size_t len)
{
    uint8_t *body = etcd__malloc(len + 1);
    etcd_error err;
    void *response;

    require(body != NULL);
    if (len > 0)
        memcpy(body, data, len);
    if (etcd__response_decode(type, body, len, &response, &err) != ETCD_OK) {
        require(response == NULL && err.message[0] != '\0');
        return NULL;
    }
    walk(type, response);
    return response;
}

static uint8_t *encode(const etcd__pb_message *type, const void *message, size_t *len)
{
    uint8_t *out;

    *len = etcd__pb_encoded_size(type, message);
    out = malloc(*len + 1);
    require(out != NULL);
    etcd__pb_encode(type, message, out, *len);
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const etcd__pb_message *type;
    void *first, *second;
    uint8_t *once, *twice;
    size_t once_len, twice_len;

    if (size == 0)
        return 0;
    type = etcd__messages[data[0] % etcd__n_messages];
    first = decode(type, data + 1, size - 1);
    if (first == NULL)
        return 0;
    once = encode(type, first, &once_len);
    second = decode(type, once, once_len);
    require(second != NULL);
    twice = encode(type, second, &twice_len);
    require(once_len == twice_len && memcmp(once, twice, once_len) == 0);
    etcd_response_free(first);
    etcd_response_free(second);
    free(once);
    free(twice);
    return 0;
}
