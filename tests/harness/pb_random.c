/* See pb_random.h. */
#include "harness/pb_random.h"

#include <stdlib.h>
#include <string.h>

typedef struct generator {
    etcd__random *random;
    etcd__arena *arena;
    unsigned depth;
    size_t max_bytes;
} generator;

static size_t below(generator *g, size_t bound)
{
    return (size_t)etcd__random_below(g->random, bound);
}

static void *allocate(generator *g, size_t size)
{
    void *memory = etcd__arena_calloc(g->arena, 1, size > 0 ? size : 1);

    if (memory == NULL)
        abort();
    return memory;
}

/* Zero, one, the ends of varint lengths, the ends of the type, and anything. */
static uint64_t random_number(generator *g)
{
    const uint64_t bit = UINT64_C(1) << below(g, 64);

    switch (below(g, 6)) {
    case 0:
        return below(g, 3);
    case 1:
        return bit;
    case 2:
        return bit - 1;
    case 3:
        return ~UINT64_C(0) - below(g, 3);
    case 4:
        return UINT64_C(1) << 63;
    default:
        return etcd__random_next(g->random) >> below(g, 64);
    }
}

static void random_scalar(generator *g, const etcd__pb_field *field, uint8_t *slot)
{
    uint64_t number = random_number(g);

    if (field->values != NULL && below(g, 4) > 0)
        number = below(g, field->values->n_names);
    switch (field->kind) {
    case ETCD__PB_BOOL:
        *(bool *)slot = number & 1;
        break;
    case ETCD__PB_INT32:
        *(int32_t *)slot = (int32_t)(uint32_t)number;
        break;
    case ETCD__PB_UINT32:
        *(uint32_t *)slot = (uint32_t)number;
        break;
    case ETCD__PB_INT64:
        *(int64_t *)slot = (int64_t)number;
        break;
    default:
        *(uint64_t *)slot = number;
        break;
    }
}

static size_t random_len(generator *g)
{
    switch (below(g, 8)) {
    case 0:
        return 0;
    case 1:
        return below(g, g->max_bytes + 1);
    case 2:
        return g->max_bytes < 128 ? g->max_bytes : 127 + below(g, 2); /* around a length of two bytes */
    default:
        return below(g, g->max_bytes < 20 ? g->max_bytes + 1 : 20);
    }
}

/* Valid UTF-8 of `len` bytes, as protoc insists on for strings. */
static void random_text(generator *g, char *data, size_t len)
{
    static const char *const runes[] = {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x90\x98", "\n", "\"", "\\", "'", "\t", "\r"};

    for (size_t i = 0; i < len;) {
        const char *rune = runes[below(g, sizeof runes / sizeof *runes)];

        if (below(g, 4) == 0 && strlen(rune) <= len - i) {
            memcpy(data + i, rune, strlen(rune));
            i += strlen(rune);
        } else {
            data[i++] = (char)(1 + below(g, 127));
        }
    }
}

static void random_bytes(generator *g, const etcd__pb_field *field, uint8_t *slot)
{
    const size_t len = random_len(g);
    char *data = allocate(g, len + 1);

    if (field->kind == ETCD__PB_STRING)
        random_text(g, data, len);
    else
        for (size_t i = 0; i < len; i++)
            data[i] = (char)below(g, 256);
    *(etcd_bytes *)slot = (etcd_bytes){data, len};
}

static void random_message(generator *g, const etcd__pb_message *type, uint8_t *message);

static void random_value(generator *g, const etcd__pb_field *field, uint8_t *slot)
{
    if (field->kind == ETCD__PB_MESSAGE) {
        g->depth--;
        random_message(g, field->message, slot);
        g->depth++;
    } else if (field->kind >= ETCD__PB_BYTES) {
        random_bytes(g, field, slot);
    } else {
        random_scalar(g, field, slot);
    }
}

static void random_pointer(generator *g, const etcd__pb_field *field, uint8_t *slot)
{
    uint8_t *message = allocate(g, field->message->size);

    random_value(g, field, message);
    memcpy(slot, &message, sizeof message);
}

static void random_array(generator *g, const etcd__pb_field *field, uint8_t *message)
{
    const size_t size = field->shape == ETCD__PB_POINTERS ? sizeof(void *) : field->element_size;
    const size_t count = below(g, 8) > 0 ? below(g, 4) : field->kind < ETCD__PB_BYTES ? 200 : 20;
    uint8_t *elements = allocate(g, count * size);

    for (size_t i = 0; i < count; i++) {
        if (field->shape == ETCD__PB_POINTERS)
            random_pointer(g, field, elements + i * size);
        else
            random_value(g, field, elements + i * size);
    }
    memcpy(message + field->offset, &elements, sizeof elements);
    *(size_t *)(message + field->count_offset) = count;
}

static void random_field(generator *g, const etcd__pb_field *field, uint8_t *message)
{
    if (field->kind == ETCD__PB_MESSAGE && g->depth == 0)
        return;
    if (field->shape == ETCD__PB_INLINE)
        random_value(g, field, message + field->offset);
    else if (field->shape == ETCD__PB_POINTER)
        random_pointer(g, field, message + field->offset);
    else
        random_array(g, field, message);
}

/* Sets one member of the oneof; none of them at the last level, when they are messages. */
static void random_oneof(generator *g, const etcd__pb_message *type, uint8_t *message)
{
    const etcd__pb_field *chosen = NULL;
    size_t n = 0;

    for (size_t i = 0; i < type->n_fields; i++)
        if (type->fields[i].in_oneof && below(g, ++n) == 0)
            chosen = &type->fields[i];
    if (chosen == NULL || (chosen->kind == ETCD__PB_MESSAGE && (g->depth == 0 || below(g, 16) == 0)))
        return;
    random_field(g, chosen, message);
    *(int32_t *)(message + chosen->which_offset) = chosen->which;
}

static void random_message(generator *g, const etcd__pb_message *type, uint8_t *message)
{
    memcpy(message, type->initial, type->size);
    for (size_t i = 0; i < type->n_fields; i++)
        if (!type->fields[i].in_oneof && below(g, 4) > 0)
            random_field(g, &type->fields[i], message);
    random_oneof(g, type, message);
}

void etcd_test_pb_random(etcd__random *random, const etcd__pb_message *type, void *message, etcd__arena *arena, unsigned depth,
                         size_t max_bytes)
{
    generator g = {random, arena, depth, max_bytes};

    random_message(&g, type, message);
}
