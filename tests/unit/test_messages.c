/* The tables of src/wire/messages.c and services.c: that they are well-formed, and what the codec makes of random messages of
 * every type when they are cut, corrupted, or memory runs out. */
#include "base/alloc.h"
#include "harness/alloc.h"
#include "harness/pb_random.h"
#include "harness/test.h"
#include "wire/response.h"
#include "wire/services.h"

#include <stdlib.h>
#include <string.h>

/* -- tables -- */

static size_t slot_size(const etcd__pb_field *field)
{
    return field->shape == ETCD__PB_INLINE ? field->element_size : sizeof(void *);
}

static void check_kind(const etcd__pb_field *field)
{
    static const size_t sizes[] = {sizeof(bool),     sizeof(int32_t),    sizeof(uint32_t),  sizeof(int64_t),
                                   sizeof(uint64_t), sizeof(etcd_bytes), sizeof(etcd_bytes)};

    assert_int_equal(field->tag & 7, field->kind < ETCD__PB_BYTES ? 0 : 2);
    if (field->kind == ETCD__PB_MESSAGE) {
        assert_non_null(field->message);
        assert_int_equal(field->element_size, field->message->size);
    } else {
        assert_null(field->message);
        assert_int_equal(field->element_size, sizes[field->kind]);
        assert_true(field->shape == ETCD__PB_INLINE || field->shape == ETCD__PB_ARRAY);
    }
    assert_true(field->values == NULL || field->kind == ETCD__PB_INT32);
}

static void check_place(const etcd__pb_message *type, const etcd__pb_field *field)
{
    assert_true(field->offset + slot_size(field) <= type->size);
    if (field->shape >= ETCD__PB_ARRAY) {
        assert_true(field->count_offset >= sizeof(void *)); /* behind the pointer, never the default 0 */
        assert_true(field->count_offset + sizeof(size_t) <= type->size);
    }
    if (field->in_oneof)
        assert_true(field->which_offset + sizeof(int32_t) <= type->size);
    if (field->in_oneof && field->shape == ETCD__PB_POINTER)
        assert_int_equal(field->which, etcd__pb_field_number(field));
}

/* Two fields may share a member only in a oneof. */
static void check_overlap(const etcd__pb_message *type, const etcd__pb_field *a)
{
    for (const etcd__pb_field *b = type->fields; b < a; b++) {
        assert_true(a->tag > b->tag);
        if (!(a->in_oneof && b->in_oneof && a->offset == b->offset))
            assert_true(a->offset + slot_size(a) <= b->offset || b->offset + slot_size(b) <= a->offset);
        if (a->in_oneof && b->in_oneof)
            assert_true(a->which_offset == b->which_offset && a->which != b->which);
    }
}

static void tables_are_well_formed(void **state)
{
    (void)state;
    for (size_t i = 0; i < etcd__n_messages; i++) {
        const etcd__pb_message *type = etcd__messages[i];

        assert_ptr_equal(etcd__message_find(type->name), type);
        for (size_t k = 0; k < type->n_fields; k++) {
            check_kind(&type->fields[k]);
            check_place(type, &type->fields[k]);
            check_overlap(type, &type->fields[k]);
        }
    }
    assert_null(etcd__message_find("etcdserverpb.Nothing"));
}

static void check_initial(const etcd__pb_message *type, const uint8_t *message)
{
    uint8_t *copy = malloc(type->size);

    assert_non_null(copy);
    memcpy(copy, message, type->size);
    for (size_t i = 0; i < type->n_fields; i++) {
        const etcd__pb_field *field = &type->fields[i];

        if (field->shape != ETCD__PB_INLINE || field->kind < ETCD__PB_BYTES)
            continue;
        if (field->kind == ETCD__PB_MESSAGE)
            check_initial(field->message, message + field->offset);
        else
            assert_string_equal(((const etcd_bytes *)(message + field->offset))->data, "");
        memset(copy + field->offset, 0, field->element_size);
    }
    for (size_t i = 0; i < type->size; i++)
        assert_int_equal(copy[i], 0);
    free(copy);
}

static void initial_values_are_empty_bytes_and_zero(void **state)
{
    (void)state;
    for (size_t i = 0; i < etcd__n_messages; i++)
        check_initial(etcd__messages[i], etcd__messages[i]->initial);
}

static void methods_are_found_by_path(void **state)
{
    const etcd__rpc_method *range = etcd__rpc_find("/etcdserverpb.KV/Range", 22);

    (void)state;
    assert_ptr_equal(range, &etcd__rpc_methods[ETCD__RPC_KV_RANGE]);
    assert_ptr_equal(range->request, &etcd__range_request_type);
    assert_ptr_equal(range->response, &etcd__get_response_type);
    assert_int_equal(range->streaming, ETCD__RPC_UNARY);
    assert_true(range->read_only);
    assert_false(etcd__rpc_methods[ETCD__RPC_KV_TXN].read_only);
    assert_int_equal(etcd__rpc_methods[ETCD__RPC_WATCH].streaming, ETCD__RPC_BIDI_STREAM);
    for (size_t i = 0; i < ETCD__N_RPCS; i++) {
        const etcd__rpc_method *method = &etcd__rpc_methods[i];

        assert_ptr_equal(etcd__rpc_find(method->path, method->path_len), method);
        assert_int_equal(method->path[0], '/');
    }
    assert_null(etcd__rpc_find("/etcdserverpb.KV/Rang", 21));
    assert_null(etcd__rpc_find("/etcdserverpb.KV/Ranges", 23));
}

/* -- bytes of messages -- */

/* One encoded message, in a block of exactly its size. */
typedef struct encoded {
    const etcd__pb_message *type;
    uint8_t *data;
    size_t len;
} encoded;

static encoded encode(const etcd__pb_message *type, const void *message)
{
    encoded e = {type, NULL, etcd__pb_encoded_size(type, message)};

    e.data = malloc(e.len + 1);
    assert_non_null(e.data);
    etcd__pb_encode(type, message, e.data, e.len);
    return e;
}

static encoded random_encoded(etcd__random *random, const etcd__pb_message *type, unsigned depth, size_t max_bytes)
{
    etcd__arena *arena = etcd__arena_new(1000, SIZE_MAX);
    void *message = etcd__arena_alloc(arena, type->size);
    encoded e;

    etcd_test_pb_random(random, type, message, arena, depth, max_bytes);
    e = encode(type, message);
    etcd__arena_free(arena);
    return e;
}

/* Every bytes value lies in the message or is a static "", and ends with its NUL. */
static void check_bytes(const etcd_bytes *bytes, const uint8_t *data, size_t len)
{
    const uintptr_t at = (uintptr_t)bytes->data, start = (uintptr_t)data;

    assert_non_null(bytes->data);
    if (at < start || at > start + len)
        assert_int_equal(bytes->len, 0);
    else
        assert_true(bytes->len <= start + len - at);
    assert_int_equal(bytes->data[bytes->len], '\0');
}

static void check_message(const etcd__pb_message *type, const uint8_t *message, const uint8_t *data, size_t len);

static void check_value(const etcd__pb_field *field, const uint8_t *value, const uint8_t *data, size_t len)
{
    if (field->kind == ETCD__PB_MESSAGE)
        check_message(field->message, value, data, len);
    else if (field->kind >= ETCD__PB_BYTES)
        check_bytes((const etcd_bytes *)value, data, len);
}

static void check_array(const etcd__pb_field *field, const uint8_t *message, const uint8_t *data, size_t len)
{
    const size_t count = *(const size_t *)(message + field->count_offset);
    const uint8_t *elements, *element;

    memcpy(&elements, message + field->offset, sizeof elements);
    for (size_t i = 0; i < count; i++) {
        if (field->shape == ETCD__PB_POINTERS)
            memcpy(&element, elements + i * sizeof element, sizeof element);
        else
            element = elements + i * field->element_size;
        check_value(field, element, data, len);
    }
}

static void check_message(const etcd__pb_message *type, const uint8_t *message, const uint8_t *data, size_t len)
{
    const uint8_t *pointed;

    for (size_t i = 0; i < type->n_fields; i++) {
        const etcd__pb_field *field = &type->fields[i];

        if (field->shape == ETCD__PB_INLINE) {
            check_value(field, message + field->offset, data, len);
        } else if (field->shape == ETCD__PB_POINTER) {
            memcpy(&pointed, message + field->offset, sizeof pointed);
            if (pointed != NULL)
                check_value(field, pointed, data, len);
        } else {
            check_array(field, message, data, len);
        }
    }
}

/* What was encoded here decodes, and encodes to the same bytes. The block has one spare byte, so that AddressSanitizer sees any
 * access behind it. */
static void check_round_trip(const encoded *e)
{
    uint8_t *body = etcd__malloc(e->len + 1);
    void *response;
    encoded again;

    assert_non_null(body);
    memcpy(body, e->data, e->len);
    body[e->len] = 0xee;
    assert_int_equal(etcd__response_decode(e->type, body, e->len, &response, NULL), ETCD_OK);
    check_message(e->type, response, body, e->len);
    again = encode(e->type, response);
    assert_int_equal(again.len, e->len);
    assert_memory_equal(again.data, e->data, e->len);
    etcd_response_free(response);
    free(again.data);
}

/* Any bytes at all are an error, or a sound message with a canonical encoding. Returns the code. */
static int try_bytes(const etcd__pb_message *type, const uint8_t *data, size_t len)
{
    uint8_t *body = etcd__malloc(len + 1);
    etcd_error err;
    encoded canonical;
    void *response;
    int rc;

    assert_non_null(body);
    memcpy(body, data, len);
    body[len] = 0xee;
    rc = etcd__response_decode(type, body, len, &response, &err);
    if (rc != ETCD_OK) {
        assert_null(response);
        assert_int_equal(rc, ETCD_ERR_PROTOCOL);
        assert_int_equal(err.code, rc);
        return rc;
    }
    check_message(type, response, body, len);
    canonical = encode(type, response);
    etcd_response_free(response);
    check_round_trip(&canonical);
    free(canonical.data);
    return rc;
}

/* A few messages of each type, small enough that each byte can be tried with each value. */
static void for_small_messages(void (*try_one)(const encoded *e))
{
    etcd__random random = {4711};

    for (size_t i = 0; i < etcd__n_messages; i++) {
        for (int round = 0; round < 2;) {
            encoded e = random_encoded(&random, etcd__messages[i], 3, 6);

            if (e.len <= 150) {
                try_one(&e);
                round++;
            }
            free(e.data);
        }
    }
}

static void cut_everywhere(const encoded *e)
{
    for (size_t len = 0; len <= e->len; len++)
        try_bytes(e->type, e->data, len);
    assert_int_equal(try_bytes(e->type, e->data, e->len), ETCD_OK);
}

static void every_truncation_is_an_error_or_a_message(void **state)
{
    (void)state;
    for_small_messages(cut_everywhere);
}

static void corrupt_everywhere(const encoded *e)
{
    for (size_t at = 0; at < e->len; at++) {
        const uint8_t byte = e->data[at];

        for (unsigned value = 0; value < 256; value++) {
            e->data[at] = (uint8_t)value;
            try_bytes(e->type, e->data, e->len);
        }
        e->data[at] = byte;
    }
}

static void every_corruption_of_one_byte_is_an_error_or_a_message(void **state)
{
    (void)state;
    for_small_messages(corrupt_everywhere);
}

/* Larger and deeper messages than above. */
static void random_messages_survive_a_round_trip(void **state)
{
    etcd__random random = {42};

    (void)state;
    for (size_t i = 0; i < etcd__n_messages; i++) {
        for (int round = 0; round < 20; round++) {
            encoded e = random_encoded(&random, etcd__messages[i], 5, 2000);

            check_round_trip(&e);
            free(e.data);
        }
    }
}

static int decode_response(void *arg)
{
    const encoded *e = arg;
    uint8_t *body = etcd__malloc(e->len + 1);
    etcd_error err;
    void *response;
    int rc;

    if (body == NULL)
        return ETCD_ERR_NO_MEMORY;
    memcpy(body, e->data, e->len);
    rc = etcd__response_decode(e->type, body, e->len, &response, &err);
    assert_true(rc == ETCD_OK || (rc == ETCD_ERR_NO_MEMORY && err.code == rc && response == NULL));
    etcd_response_free(response);
    return rc;
}

/* With an arena that must grow from next to nothing. */
static int decode_into_small_arena(void *arg)
{
    const encoded *e = arg;
    etcd__arena *arena = etcd__arena_new(16, SIZE_MAX);
    uint8_t *body = malloc(e->len + 1);
    void *message = malloc(e->type->size);
    etcd_error err;
    int rc;

    memcpy(body, e->data, e->len);
    rc = arena == NULL ? ETCD_ERR_NO_MEMORY : etcd__pb_decode(e->type, body, e->len, arena, message, &err);
    assert_true(rc == ETCD_OK || rc == ETCD_ERR_NO_MEMORY);
    free(message);
    free(body);
    etcd__arena_free(arena);
    return rc;
}

static void any_allocation_may_fail(void **state)
{
    etcd__random random = {99};
    size_t most = 0;

    (void)state;
    etcd_test_alloc_install();
    for (size_t i = 0; i < etcd__n_messages; i++) {
        for (int round = 0; round < 5; round++) {
            encoded e = random_encoded(&random, etcd__messages[i], 7, 100);
            size_t n;

            assert_in_range(etcd_test_alloc_sweep(decode_response, &e), 2, 6);
            n = etcd_test_alloc_sweep(decode_into_small_arena, &e);
            most = n > most ? n : most;
            free(e.data);
        }
    }
    assert_in_range(most, 6, 40); /* many, or this test shows nothing */
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(tables_are_well_formed),
    cmocka_unit_test(initial_values_are_empty_bytes_and_zero),
    cmocka_unit_test(methods_are_found_by_path),
    cmocka_unit_test(every_truncation_is_an_error_or_a_message),
    cmocka_unit_test(every_corruption_of_one_byte_is_an_error_or_a_message),
    cmocka_unit_test(random_messages_survive_a_round_trip),
    cmocka_unit_test(any_allocation_may_fail),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
