/* Decoding: zero-copy, into structs and arrays of one arena.
 *
 * Invariants
 * - The cursor only moves forward, and no byte at or behind it has been changed. A bytes value needs a NUL at its end, which is
 *   the place of the next tag: `pending` remembers it, and it is written once the next tag, of whatever message, has been read.
 * - An array is allocated when its first element comes, for as many as follow without a gap (they are counted ahead); its
 *   capacity is in front of it. Elements that come later, behind another field or in a merged message, make it grow by doubling.
 * - Memory is bounded by the arena's limit, time is linear in the length, recursion is bounded by ETCD__PB_MAX_DEPTH.
 *
 * Where the specification leaves a choice this follows Go's google.golang.org/protobuf, which the server uses: a varint over 64
 * bits is an error, numbers are cut to the width of their field, a known field of another wire type counts as unknown, the last
 * of several plain values wins, several messages in one field are merged, unknown groups are skipped.
 * https://protobuf.dev/programming-guides/encoding/ */
#include "base/error.h"
#include "wire/messages.h"
#include "wire/table.h"

#include <assert.h>
#include <stdalign.h>
#include <string.h>

#define MAX_FIELD_NUMBER 0x1fffffffu
#define MARGIN 4                          /* a short tag, and the bytes that load_varint() looks at */
#define ARRAY_HEADER alignof(max_align_t) /* in front of an array: a size_t, its capacity */

#define ALWAYS_INLINE inline __attribute__((always_inline))

enum wire_type { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_LENGTH = 2, WIRE_GROUP = 3, WIRE_END_GROUP = 4, WIRE_32 = 5 };

typedef struct decoder {
    uint8_t *pending; /* where the NUL of the latest bytes value goes */
    etcd__arena *arena;
    unsigned depth;
    uint8_t nowhere; /* `pending` before the first bytes value */
    int code;        /* of the error */
    const etcd__pb_message *type;
    const uint8_t *start;
    etcd_error *err;
} decoder;

/* Every function that reads returns the cursor behind what it read, or NULL after an error. */

static __attribute__((cold, noinline)) void set_malformed(decoder *d, const uint8_t *at, const char *what)
{
    d->code =
        etcd__error_set(d->err, ETCD_ERR_PROTOCOL, "malformed %s: %s at byte %zu", d->type->name, what, (size_t)(at - d->start));
}

static __attribute__((cold, noinline)) void set_no_memory(decoder *d, size_t size)
{
    if (size > d->arena->limit - d->arena->allocated)
        d->code = etcd__error_set(d->err, ETCD_ERR_TOO_LARGE, "%s takes more than the limit of %zu bytes of memory",
                                  d->type->name, d->arena->limit);
    else
        d->code = etcd__error_no_memory(d->err);
}

static inline uint8_t *fail(decoder *d, const uint8_t *at, const char *what)
{
    set_malformed(d, at, what);
    return NULL;
}

static inline void *load_pointer(const uint8_t *slot)
{
    void *pointer;

    memcpy(&pointer, slot, sizeof pointer);
    return pointer;
}

static inline void store_pointer(uint8_t *slot, const void *pointer)
{
    memcpy(slot, &pointer, sizeof pointer);
}

/* The i-th seven bits of a varint. */
#define GROUP(p, i) ((uint64_t)((p)[i] & 0x7f) << 7 * (i))

static inline uint64_t load_le64(const uint8_t *p)
{
    return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 | (uint64_t)p[4] << 32 |
           (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 | (uint64_t)p[7] << 56;
}

/* The seven low bits of each of eight bytes, next to each other. */
static inline uint64_t squeeze(uint64_t word)
{
    word = (word & 0x7f007f007f007f00) >> 1 | (word & 0x007f007f007f007f);
    word = (word & 0x3fff00003fff0000) >> 2 | (word & 0x00003fff00003fff);
    return (word & 0x0fffffff00000000) >> 4 | (word & 0x000000000fffffff);
}

/* A varint of any length; NULL when it is cut off or has more than 64 bits. */
static __attribute__((noinline)) const uint8_t *peek_long_varint(const uint8_t *p, const uint8_t *end, uint64_t *value)
{
    const uint64_t more = 0x8080808080808080;
    uint64_t result = 0;
    unsigned shift = 0;

    if (end - p >= 8 && (load_le64(p) & more) == more) { /* random numbers of 64 bits: cluster and member ids */
        result = squeeze(load_le64(p));
        p += 8;
        shift = 56;
    }
    for (; p < end && shift < 64; shift += 7) {
        const uint8_t byte = *p++;

        if (shift == 63 && byte > 1)
            return NULL;
        result |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *value = result;
            return p;
        }
    }
    return NULL;
}

static ALWAYS_INLINE const uint8_t *peek_varint(const uint8_t *p, const uint8_t *end, uint64_t *value)
{
    if (p < end && *p < 0x80) {
        *value = *p;
        return p + 1;
    }
    if (end - p >= 4) { /* most lengths and revisions: no call, no loop */
        *value = GROUP(p, 0) | GROUP(p, 1);
        if (p[1] < 0x80)
            return p + 2;
        *value |= GROUP(p, 2);
        if (p[2] < 0x80)
            return p + 3;
        *value |= GROUP(p, 3);
        if (p[3] < 0x80)
            return p + 4;
    }
    return peek_long_varint(p, end, value);
}

static __attribute__((noinline)) uint8_t *read_long_varint(decoder *d, uint8_t *p, const uint8_t *end, uint64_t *value)
{
    const uint8_t *next = peek_long_varint(p, end, value);

    return next ? p + (next - p) : fail(d, p, "bad varint");
}

static ALWAYS_INLINE uint8_t *read_varint(decoder *d, uint8_t *p, const uint8_t *end, uint64_t *value)
{
    const uint8_t *next = peek_varint(p, end, value);

    return next ? p + (next - p) : fail(d, p, "bad varint");
}

/* A length, and that many bytes are there. */
static ALWAYS_INLINE uint8_t *read_length(decoder *d, uint8_t *p, const uint8_t *end, size_t *len)
{
    uint64_t value;
    uint8_t *next = read_varint(d, p, end, &value);

    if (next == NULL)
        return NULL;
    if (value > (size_t)(end - next))
        return fail(d, p, "length past the end");
    *len = (size_t)value;
    return next;
}

static uint8_t *skip_bytes(decoder *d, uint8_t *p, const uint8_t *end, size_t len)
{
    return len <= (size_t)(end - p) ? p + len : fail(d, p, "value past the end");
}

static uint8_t *skip_group(decoder *d, uint64_t start_tag, uint8_t *p, const uint8_t *end);

/* Skips the value of a field that the table does not know. */
static uint8_t *skip_value(decoder *d, uint64_t tag, uint8_t *p, const uint8_t *end)
{
    uint64_t number;
    size_t len;

    if (tag >> 3 == 0 || tag >> 3 > MAX_FIELD_NUMBER)
        return fail(d, p, "bad field number");
    switch (tag & 7) {
    case WIRE_VARINT:
        return read_varint(d, p, end, &number);
    case WIRE_64:
        return skip_bytes(d, p, end, 8);
    case WIRE_LENGTH:
        p = read_length(d, p, end, &len);
        return p ? p + len : NULL;
    case WIRE_GROUP:
        return skip_group(d, tag, p, end);
    case WIRE_32:
        return skip_bytes(d, p, end, 4);
    case WIRE_END_GROUP:
        return fail(d, p, "end of a group that did not start");
    default:
        return fail(d, p, "bad wire type");
    }
}

static uint8_t *skip_group(decoder *d, uint64_t start_tag, uint8_t *p, const uint8_t *end)
{
    const uint64_t end_tag = start_tag - WIRE_GROUP + WIRE_END_GROUP;
    uint64_t tag;

    if (++d->depth > ETCD__PB_MAX_DEPTH)
        return fail(d, p, "nested too deep");
    while (p != NULL) {
        p = read_varint(d, p, end, &tag);
        if (p != NULL && tag == end_tag)
            break;
        if (p != NULL)
            p = skip_value(d, tag, p, end);
    }
    d->depth--;
    return p;
}

/* Looks up by position first: numbers start at 1 and have few gaps. A repeated number is also found under its packed form. */
static inline const etcd__pb_field *find_field(const etcd__pb_message *type, uint64_t tag)
{
    const uint64_t index = (tag >> 3) - 1;

    if (index < type->n_fields && type->fields[index].tag == tag)
        return &type->fields[index];
    for (size_t i = type->n_fields; i-- > 0;) {
        const etcd__pb_field *field = &type->fields[i];

        if (field->tag == tag)
            return field;
        if (field->shape == ETCD__PB_ARRAY && field->kind < ETCD__PB_BYTES && (field->tag | WIRE_LENGTH) == tag)
            return field;
    }
    return NULL;
}

static inline void store_number(const etcd__pb_field *field, uint8_t *slot, uint64_t value)
{
    switch (field->kind) {
    case ETCD__PB_BOOL:
        *(bool *)slot = value != 0;
        break;
    case ETCD__PB_INT32:
        *(int32_t *)slot = (int32_t)(uint32_t)value;
        break;
    case ETCD__PB_UINT32:
        *(uint32_t *)slot = (uint32_t)value;
        break;
    case ETCD__PB_INT64:
        *(int64_t *)slot = (int64_t)value;
        break;
    default:
        assert(field->kind == ETCD__PB_UINT64);
        *(uint64_t *)slot = value;
        break;
    }
}

static ALWAYS_INLINE uint8_t *decode_bytes(decoder *d, uint8_t *slot, uint8_t *p, const uint8_t *end)
{
    etcd_bytes *bytes = (etcd_bytes *)slot;
    size_t len;

    p = read_length(d, p, end, &len);
    if (p == NULL)
        return NULL;
    bytes->data = (const char *)p;
    bytes->len = len;
    d->pending = p + len;
    return p + len;
}

static uint8_t *decode_message(decoder *d, const etcd__pb_message *type, uint8_t *message, uint8_t *p, const uint8_t *end);

/* A value in place: plain, or an element of an array. */
static ALWAYS_INLINE uint8_t *decode_value(decoder *d, const etcd__pb_field *field, uint8_t *slot, uint8_t *p, const uint8_t *end)
{
    uint64_t number;
    size_t len;

    switch (field->kind) {
    case ETCD__PB_BYTES:
    case ETCD__PB_STRING:
        return decode_bytes(d, slot, p, end);
    case ETCD__PB_MESSAGE:
        p = read_length(d, p, end, &len);
        return p ? decode_message(d, field->message, slot, p, p + len) : NULL;
    default:
        p = read_varint(d, p, end, &number);
        if (p != NULL)
            store_number(field, slot, number);
        return p;
    }
}

/* Another member of a oneof was set before: now it is absent. */
static void clear_oneof(const etcd__pb_message *type, const etcd__pb_field *chosen, uint8_t *message)
{
    for (size_t i = 0; i < type->n_fields; i++) {
        const etcd__pb_field *field = &type->fields[i];
        const size_t size = field->shape == ETCD__PB_POINTER ? sizeof(void *) : field->element_size;

        if (field->in_oneof && field->which_offset == chosen->which_offset)
            memcpy(message + field->offset, (const uint8_t *)type->initial + field->offset, size);
    }
}

static void choose(const etcd__pb_message *type, const etcd__pb_field *field, uint8_t *message)
{
    int32_t *which = (int32_t *)(message + field->which_offset);

    if (*which != field->which)
        clear_oneof(type, field, message);
    *which = field->which;
}

static void *allocate(decoder *d, size_t size)
{
    void *memory = etcd__arena_alloc(d->arena, size);

    if (memory == NULL)
        set_no_memory(d, size);
    return memory;
}

/* The message that the pointer at `slot` shows, made on first use. */
static uint8_t *pointed_message(decoder *d, const etcd__pb_message *type, uint8_t *slot)
{
    uint8_t *message = load_pointer(slot);

    if (message == NULL && (message = allocate(d, type->size)) != NULL) {
        memcpy(message, type->initial, type->size);
        store_pointer(slot, message);
    }
    return message;
}

static uint8_t *decode_pointer(decoder *d, const etcd__pb_field *field, uint8_t *slot, uint8_t *p, const uint8_t *end)
{
    uint8_t *message = pointed_message(d, field->message, slot);

    return message ? decode_value(d, field, message, p, end) : NULL;
}

/* How many values of one repeated field follow each other; `p` is behind the first tag. Reads ahead only, and stops where it
 * does not understand: decoding will say why. */
static size_t count_run(uint64_t tag, const uint8_t *p, const uint8_t *end)
{
    size_t count = 0;
    uint64_t value, next_tag;

    do {
        count++;
        p = peek_varint(p, end, &value);
        if (p == NULL)
            break;
        if ((tag & 7) == WIRE_LENGTH) {
            if (value > (size_t)(end - p))
                break;
            p += value;
        }
        p = peek_varint(p, end, &next_tag);
    } while (p != NULL && next_tag == tag);
    return count;
}

static inline size_t array_capacity(const uint8_t *elements)
{
    return elements ? *(const size_t *)(const void *)(elements - ARRAY_HEADER) : 0;
}

/* Makes room for `more` elements, and for twice as many as before. */
static uint8_t *grow_array(decoder *d, uint8_t *elements, size_t count, size_t more, size_t size)
{
    const size_t capacity = more > count ? count + more : count * 2;
    uint8_t *grown;

    grown = allocate(d, capacity <= (SIZE_MAX - ARRAY_HEADER) / size ? ARRAY_HEADER + capacity * size : SIZE_MAX);
    if (grown == NULL)
        return NULL;
    *(size_t *)(void *)grown = capacity;
    grown += ARRAY_HEADER;
    if (count > 0)
        memcpy(grown, elements, count * size);
    return grown;
}

/* The place of the next element of a repeated field, which has `more` to come; `room`: how many fit there. */
static uint8_t *next_elements(decoder *d, const etcd__pb_field *field, uint8_t *message, uint64_t tag, const uint8_t *p,
                              const uint8_t *end, size_t *room)
{
    const size_t size = field->shape == ETCD__PB_POINTERS ? sizeof(void *) : field->element_size;
    const size_t count = *(size_t *)(message + field->count_offset);
    uint8_t *elements = load_pointer(message + field->offset);

    if (count == array_capacity(elements)) {
        elements = grow_array(d, elements, count, count_run(tag, p, end), size);
        if (elements == NULL)
            return NULL;
        store_pointer(message + field->offset, elements);
    }
    *room = array_capacity(elements) - count;
    return elements + count * size;
}

static uint8_t *decode_packed(decoder *d, const etcd__pb_field *field, uint8_t *message, uint8_t *p, const uint8_t *end)
{
    size_t *count = (size_t *)(message + field->count_offset);
    uint8_t *elements = load_pointer(message + field->offset);
    size_t len, more = 0;

    p = read_length(d, p, end, &len);
    if (p == NULL || len == 0)
        return p;
    end = p + len;
    for (size_t i = 0; i < len; i++)
        more += p[i] < 0x80; /* each varint has one such byte, its last */
    if (more == 0)
        return fail(d, p, "bad varint");
    if (more > array_capacity(elements) - *count) {
        elements = grow_array(d, elements, *count, more, field->element_size);
        if (elements == NULL)
            return NULL;
        store_pointer(message + field->offset, elements);
    }
    while (p != NULL && p < end)
        p = decode_value(d, field, elements + (*count)++ * field->element_size, p, end);
    return p;
}

/* As read_varint, where three bytes are there. */
static ALWAYS_INLINE uint8_t *load_varint(decoder *d, uint8_t *p, const uint8_t *end, uint64_t *value)
{
    uint64_t result = p[0], more;

    if (result < 0x80) {
        *value = result;
        return p + 1;
    }
    result += ((uint64_t)p[1] << 7) - 0x80; /* takes back the bit that said "more" */
    if (p[1] < 0x80) {
        *value = result;
        return p + 2;
    }
    result += ((uint64_t)p[2] << 14) - (0x80u << 7);
    if (p[2] < 0x80) {
        *value = result;
        return p + 3;
    }
    p = read_long_varint(d, p, end, &more); /* into a variable of its own: then `value` can be in a register */
    *value = more;
    return p;
}

/* The field `number`, a number or bytes, if it is what comes next and MARGIN bytes are left; else nothing. */
static ALWAYS_INLINE uint8_t *take_number(decoder *d, unsigned number, int64_t *slot, uint8_t *p, const uint8_t *end)
{
    uint64_t value;

    if (p == NULL || end - p < MARGIN || *p != (number << 3 | WIRE_VARINT))
        return p;
    *d->pending = '\0';
    p = load_varint(d, p + 1, end, &value);
    *slot = (int64_t)value;
    return p;
}

static ALWAYS_INLINE uint8_t *take_bytes(decoder *d, unsigned number, etcd_bytes *slot, uint8_t *p, const uint8_t *end)
{
    const uint8_t *const at = p;
    uint64_t len;

    if (p == NULL || end - p < MARGIN || *p != (number << 3 | WIRE_LENGTH))
        return p;
    *d->pending = '\0';
    p = load_varint(d, p + 1, end, &len);
    if (p == NULL)
        return NULL;
    if (len > (size_t)(end - p))
        return fail(d, at + 1, "length past the end");
    slot->data = (const char *)p;
    slot->len = len;
    return d->pending = p + len;
}

/* A key-value as servers write it: each field at most once, by ascending number. It is the one message that comes by the ten
 * thousand, so it has code of its own, beside its table. Stops at what is different: the rest is then decoded by the table. */
static ALWAYS_INLINE uint8_t *decode_kv(decoder *d, etcd_kv *kv, uint8_t *p, const uint8_t *end)
{
    p = take_bytes(d, 1, &kv->key, p, end);
    p = take_number(d, 2, &kv->create_revision, p, end);
    p = take_number(d, 3, &kv->mod_revision, p, end);
    p = take_number(d, 4, &kv->version, p, end);
    p = take_bytes(d, 5, &kv->value, p, end);
    return take_number(d, 6, &kv->lease, p, end);
}

/* The elements of an array of messages that follow each other; `p` is behind the tag of the first. */
static uint8_t *decode_elements(decoder *d, const etcd__pb_field *field, uint8_t *message, uint64_t tag, uint8_t *p,
                                const uint8_t *end)
{
    const etcd__pb_message *const type = field->message;
    size_t *const count = (size_t *)(message + field->count_offset);
    uint8_t *element = NULL, *next;
    size_t len, room = 0;

    for (;; element += type->size, room--) {
        if (room == 0)
            element = next_elements(d, field, message, tag, p, end, &room);
        if (element == NULL)
            return NULL;
        ++*count;
        p = read_length(d, p, end, &len);
        if (p == NULL)
            return NULL;
        next = p + len; /* and not what decode_message() returns, though it is the same: this is known earlier */
        if (type == &etcd__kv_type) {
            *(etcd_kv *)element = *(const etcd_kv *)type->initial;
            p = decode_kv(d, (etcd_kv *)element, p, next);
        } else {
            memcpy(element, type->initial, type->size);
        }
        if (p != next && (p == NULL || decode_message(d, type, element, p, next) == NULL))
            return NULL;
        if (next == end || *next != tag || tag >= 0x80)
            return next;
        *d->pending = '\0';
        p = next + 1;
    }
}

static uint8_t *decode_repeated(decoder *d, const etcd__pb_field *field, uint8_t *message, uint64_t tag, uint8_t *p,
                                const uint8_t *end)
{
    uint8_t *element;
    size_t room;

    if (tag != field->tag)
        return decode_packed(d, field, message, p, end);
    if (field->shape == ETCD__PB_ARRAY && field->kind == ETCD__PB_MESSAGE)
        return decode_elements(d, field, message, tag, p, end);
    element = next_elements(d, field, message, tag, p, end, &room);
    if (element == NULL)
        return NULL;
    ++*(size_t *)(message + field->count_offset);
    if (field->shape == ETCD__PB_POINTERS) {
        store_pointer(element, NULL);
        return decode_pointer(d, field, element, p, end);
    }
    return decode_value(d, field, element, p, end);
}

/* A field of any kind; `p` is behind its tag. */
static __attribute__((noinline)) uint8_t *decode_field(decoder *d, const etcd__pb_message *type, const etcd__pb_field *field,
                                                       uint8_t *message, uint64_t tag, uint8_t *p, const uint8_t *end)
{
    if (field->in_oneof)
        choose(type, field, message);
    if (field->shape == ETCD__PB_INLINE)
        return decode_value(d, field, message + field->offset, p, end);
    if (field->shape == ETCD__PB_POINTER)
        return decode_pointer(d, field, message + field->offset, p, end);
    return decode_repeated(d, field, message, tag, p, end);
}

/* Plain numbers and bytes with short tags, as long as MARGIN bytes are left: nearly all of a large answer. Stops, without an
 * error, at anything else. */
static ALWAYS_INLINE uint8_t *decode_plain(decoder *d, const etcd__pb_message *type, uint8_t *message, uint8_t *p,
                                           const uint8_t *end)
{
    const etcd__pb_field *const fields = type->fields;
    const unsigned n_short = type->n_fields < 15 ? type->n_fields : 15; /* a tag of a higher number has two bytes */
    uint64_t value;

    while (end - p >= MARGIN) {
        const unsigned tag = *p, index = (tag >> 3) - 1;
        const etcd__pb_field *field;
        uint8_t *slot, *at = p + 1;

        if (index >= n_short)
            return p;
        field = &fields[index];
        if (field->tag != tag || field->plain == 0)
            return p;
        slot = message + field->offset;
        *d->pending = '\0';
        p = load_varint(d, at, end, &value);
        if (p == NULL)
            return NULL;
        if (field->kind == ETCD__PB_INT64) {
            *(int64_t *)slot = (int64_t)value;
        } else if (field->kind >= ETCD__PB_BYTES) {
            if (value > (size_t)(end - p))
                return fail(d, at, "length past the end");
            ((etcd_bytes *)slot)->data = (const char *)p;
            ((etcd_bytes *)slot)->len = value;
            d->pending = p += value;
        } else {
            store_number(field, slot, value);
        }
    }
    return p;
}

static uint8_t *decode_message(decoder *d, const etcd__pb_message *type, uint8_t *message, uint8_t *p, const uint8_t *end)
{
    const etcd__pb_field *field;
    uint64_t tag;

    if (++d->depth > ETCD__PB_MAX_DEPTH)
        return fail(d, p, "nested too deep");
    for (;;) {
        p = decode_plain(d, type, message, p, end);
        if (p == NULL || p == end)
            break;
        p = read_varint(d, p, end, &tag);
        if (p == NULL)
            break;
        *d->pending = '\0';
        field = find_field(type, tag);
        p = field ? decode_field(d, type, field, message, tag, p, end) : skip_value(d, tag, p, end);
        if (p == NULL)
            break;
    }
    d->depth--;
    return p;
}

int etcd__pb_decode(const etcd__pb_message *type, uint8_t *data, size_t len, etcd__arena *arena, void *message, etcd_error *err)
{
    decoder d = {.arena = arena, .type = type, .start = data, .err = err};

    d.pending = &d.nowhere;
    memcpy(message, type->initial, type->size);
    if (decode_message(&d, type, message, data, data + len) == NULL)
        return d.code;
    *d.pending = '\0';
    return ETCD_OK;
}
