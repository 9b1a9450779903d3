/* wire/pb_encode.c against bytes worked out by hand. */
/* clang-format off */
#include "harness/test.h"
#include "wire/messages.h"

#include <stdlib.h>
#include <string.h>

#define BYTES(text) {text, sizeof(text) - 1}
#define ASSERT_ENCODES(type, message, expected) assert_encodes(&(type), message, expected, sizeof(expected) - 1)

/* The buffer is as large as promised, so that AddressSanitizer sees a byte too many. */
static void assert_encodes(const etcd__pb_message *type, const void *message, const char *expected, size_t len)
{
    const size_t size = etcd__pb_encoded_size(type, message);
    uint8_t *out = malloc(size > 0 ? size : 1);

    assert_non_null(out);
    etcd__pb_encode(type, message, out, size);
    assert_int_equal(size, len);
    assert_memory_equal(out, expected, len);
    free(out);
}

static void nothing_set_is_no_bytes(void **state)
{
    const etcd__range_request request = {.limit = 0};

    (void)state;
    ASSERT_ENCODES(etcd__range_request_type, &request, "");
    ASSERT_ENCODES(etcd__range_request_type, etcd__range_request_type.initial, "");
    ASSERT_ENCODES(etcd__status_request_type, &(const etcd__empty){0}, "");
}

static void fields_come_in_order_of_their_numbers(void **state)
{
    const etcd__put_request request = {
        .key = BYTES("k"), .value = BYTES("v\0w"), .lease = 300, .prev_kv = true, .ignore_lease = true};

    (void)state;
    ASSERT_ENCODES(etcd__put_request_type, &request, "\x0a\x01k\x12\x03v\0w\x18\xac\x02\x20\x01\x30\x01");
}

static void numbers_at_the_ends_of_varint_lengths(void **state)
{
    static const struct {
        uint64_t number;
        const char *bytes;
        size_t len;
    } cases[] = {
        {1, "\x08\x01", 2},
        {127, "\x08\x7f", 2},
        {128, "\x08\x80\x01", 3},
        {16383, "\x08\xff\x7f", 3},
        {16384, "\x08\x80\x80\x01", 4},
        {UINT64_C(1) << 56, "\x08\x80\x80\x80\x80\x80\x80\x80\x80\x01", 10},
        {(UINT64_C(1) << 63) - 1, "\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 10},
        {UINT64_C(1) << 63, "\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11},
        {UINT64_MAX, "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const etcd__member_remove_request request = {cases[i].number};

        assert_encodes(&etcd__member_remove_request_type, &request, cases[i].bytes, cases[i].len);
    }
}

static void negative_numbers_take_ten_bytes(void **state)
{
    const etcd__lease_revoke_request lease = {-1};
    const etcd__alarm_request alarm = {.alarm = -2};
    const etcd_hash_response hash = {.hash = UINT32_MAX};

    (void)state;
    ASSERT_ENCODES(etcd__lease_revoke_request_type, &lease, "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
    ASSERT_ENCODES(etcd__alarm_request_type, &alarm, "\x18\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01");
    ASSERT_ENCODES(etcd__hash_response_type, &hash, "\x10\xff\xff\xff\xff\x0f");
}

static void member_of_a_oneof_is_sent_even_when_zero(void **state)
{
    const etcd__compare version = {.result = ETCD_CMP_GREATER, .target = ETCD_COMPARE_VERSION, .key = BYTES("k")};
    const etcd__compare create = {.target = ETCD_COMPARE_CREATE, .key = BYTES("k")};
    const etcd__compare value = {.target = ETCD_COMPARE_VALUE, .key = BYTES("k"), .number = 7};
    const etcd__compare lease = {.target = ETCD_COMPARE_LEASE, .number = 5, .value = BYTES("ignored")};

    (void)state;
    ASSERT_ENCODES(etcd__compare_type, &version, "\x08\x01\x1a\x01k\x20\x00");
    ASSERT_ENCODES(etcd__compare_type, &create, "\x10\x01\x1a\x01k\x28\x00");
    ASSERT_ENCODES(etcd__compare_type, &value, "\x10\x03\x1a\x01k\x3a\x00");
    ASSERT_ENCODES(etcd__compare_type, &lease, "\x10\x04\x40\x05");
}

static void field_numbers_over_15_take_two_bytes(void **state)
{
    const etcd__compare compare = {.target = ETCD_COMPARE_MOD, .key = BYTES("a"), .number = 3, .range_end = BYTES("b")};

    (void)state;
    ASSERT_ENCODES(etcd__compare_type, &compare, "\x10\x02\x1a\x01" "a\x30\x03\x82\x04\x01" "b");
}

static void transactions_nest(void **state)
{
    const etcd__put_request put = {.key = BYTES("k"), .value = BYTES("v")};
    const etcd__request_op put_op = {.type = ETCD_OP_PUT, .put = &put};
    const etcd__request_op *const inner_ops[] = {&put_op, &put_op};
    const etcd__txn_request inner = {.failure = inner_ops, .n_failure = 2};
    const etcd__request_op inner_op = {.type = ETCD_OP_TXN, .txn = &inner};
    const etcd__range_request range = {.count_only = true};
    const etcd__request_op range_op = {.type = ETCD_OP_GET, .range = &range, .put = &put};
    const etcd__request_op *const outer_ops[] = {&inner_op, &range_op};
    const etcd__compare compare = {.target = ETCD_COMPARE_VERSION, .key = BYTES("c")};
    const etcd__compare *const compares[] = {&compare};
    const etcd__txn_request outer = {.compare = compares, .n_compare = 1, .success = outer_ops, .n_success = 2};

    (void)state;
    ASSERT_ENCODES(etcd__txn_request_type, &outer,
                   "\x0a\x05\x1a\x01" "c\x20\x00"
                   "\x12\x16\x22\x14\x1a\x08\x12\x06\x0a\x01k\x12\x01v\x1a\x08\x12\x06\x0a\x01k\x12\x01v"
                   "\x12\x04\x0a\x02\x48\x01");
}

static void a_oneof_without_its_message_sends_nothing(void **state)
{
    const etcd__request_op none = {.type = ETCD_OP_NONE};
    const etcd__request_op missing = {.type = ETCD_OP_PUT};

    (void)state;
    ASSERT_ENCODES(etcd__request_op_type, &none, "");
    ASSERT_ENCODES(etcd__request_op_type, &missing, "");
}

static void messages_without_fields_are_sent_when_pointed_to(void **state)
{
    const etcd__empty empty = {0};
    const etcd__watch_request request = {.type = ETCD__WATCH_PROGRESS, .progress_request = &empty};
    const etcd__user_add_options options = {.no_password = false};
    const etcd__user_add_request user = {.name = BYTES("u"), .options = &options};

    (void)state;
    ASSERT_ENCODES(etcd__watch_request_type, &request, "\x1a\x00");
    ASSERT_ENCODES(etcd__user_add_request_type, &user, "\x0a\x01u\x1a\x00");
}

static void repeated_enums_are_packed(void **state)
{
    const int32_t filters[] = {ETCD_WATCH_FILTER_NODELETE, ETCD_WATCH_FILTER_NOPUT, 300};
    const etcd__watch_create_request create = {.key = BYTES("k"), .filters = filters, .n_filters = 3, .fragment = true};

    (void)state;
    ASSERT_ENCODES(etcd__watch_create_request_type, &create, "\x0a\x01k\x2a\x04\x01\x00\xac\x02\x40\x01");
}

static void repeated_bytes_keep_empty_ones(void **state)
{
    const etcd_bytes urls[] = {BYTES("a"), {NULL, 0}, BYTES("b")};
    const etcd__member_add_request request = {.peer_urls = urls, .n_peer_urls = 3, .is_learner = true};

    (void)state;
    ASSERT_ENCODES(etcd__member_add_request_type, &request, "\x0a\x01" "a\x0a\x00\x0a\x01" "b\x10\x01");
}

static void responses_with_arrays_of_structs(void **state)
{
    const etcd_kv kvs[] = {{.key = BYTES("a"), .create_revision = 2, .mod_revision = 3, .version = 2, .value = BYTES("x")},
                           {.key = BYTES("b"), .lease = 9}};
    const etcd_get_response response = {.header = {1, 2, 3, 4}, .kvs = kvs, .n_kvs = 2, .more = true, .count = 200};
    const etcd_get_response bare = {.count = 1};

    (void)state;
    ASSERT_ENCODES(etcd__get_response_type, &response,
                   "\x0a\x08\x08\x01\x10\x02\x18\x03\x20\x04"
                   "\x12\x0c\x0a\x01" "a\x10\x02\x18\x03\x20\x02\x2a\x01x"
                   "\x12\x05\x0a\x01" "b\x30\x09"
                   "\x18\x01\x20\xc8\x01");
    ASSERT_ENCODES(etcd__get_response_type, &bare, "\x20\x01");
}

static void large_values(void **state)
{
    char *value = malloc(70000);
    const etcd__put_request put = {.value = {value, 70000}};
    uint8_t *out;

    (void)state;
    assert_non_null(value);
    memset(value, 'x', 70000);
    assert_int_equal(etcd__pb_encoded_size(&etcd__put_request_type, &put), 70004);
    out = malloc(70004);
    assert_non_null(out);
    etcd__pb_encode(&etcd__put_request_type, &put, out, 70004);
    assert_memory_equal(out, "\x12\xf0\xa2\x04", 4);
    assert_memory_equal(out + 4, value, 70000);
    free(out);
    free(value);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(nothing_set_is_no_bytes),
    cmocka_unit_test(fields_come_in_order_of_their_numbers),
    cmocka_unit_test(numbers_at_the_ends_of_varint_lengths),
    cmocka_unit_test(negative_numbers_take_ten_bytes),
    cmocka_unit_test(member_of_a_oneof_is_sent_even_when_zero),
    cmocka_unit_test(field_numbers_over_15_take_two_bytes),
    cmocka_unit_test(transactions_nest),
    cmocka_unit_test(a_oneof_without_its_message_sends_nothing),
    cmocka_unit_test(messages_without_fields_are_sent_when_pointed_to),
    cmocka_unit_test(repeated_enums_are_packed),
    cmocka_unit_test(repeated_bytes_keep_empty_ones),
    cmocka_unit_test(responses_with_arrays_of_structs),
    cmocka_unit_test(large_values),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
