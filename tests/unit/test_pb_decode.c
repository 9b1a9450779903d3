/* wire/pb_decode.c and wire/response.c with bytes worked out by hand: every kind of field, what the specification allows, and
 * what it forbids. */
/* clang-format off */
#include "base/alloc.h"
#include "harness/alloc.h"
#include "harness/test.h"
#include "wire/messages.h"
#include "wire/response.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FF8 "\xff\xff\xff\xff\xff\xff\xff\xff"

/* One decoding; the bytes are in a block with room for just one NUL behind them. */
static uint8_t *data;
static etcd__arena *arena;
static void *message;
static etcd_error err;

static int setup(void **state)
{
    (void)state;
    data = NULL;
    arena = NULL;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(data);
    etcd__arena_free(arena);
    return 0;
}

static int decode(const etcd__pb_message *type, const char *bytes, size_t len)
{
    teardown(NULL);
    data = malloc(len + 1);
    arena = etcd__arena_new(type->size, SIZE_MAX);
    assert_non_null(data);
    assert_non_null(arena);
    memcpy(data, bytes, len);
    data[len] = 0xee;
    message = etcd__arena_alloc(arena, type->size);
    memset(message, 0xee, type->size);
    return etcd__pb_decode(type, data, len, arena, message, &err);
}

#define DECODE(name, bytes) assert_int_equal(decode(&etcd__##name##_type, bytes, sizeof(bytes) - 1), ETCD_OK)
#define REFUSE(name, bytes, text) refuse(&etcd__##name##_type, bytes, sizeof(bytes) - 1, text)

static void refuse(const etcd__pb_message *type, const char *bytes, size_t len, const char *text)
{
    assert_int_equal(decode(type, bytes, len), ETCD_ERR_PROTOCOL);
    assert_int_equal(err.code, ETCD_ERR_PROTOCOL);
    assert_non_null(strstr(err.message, type->name));
    if (strstr(err.message, text) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", text, err.message);
}

static void assert_bytes(etcd_bytes bytes, const char *expected, size_t len)
{
    assert_non_null(bytes.data);
    assert_int_equal(bytes.len, len);
    assert_memory_equal(bytes.data, expected, len);
    assert_int_equal(bytes.data[len], '\0');
}

#define ASSERT_BYTES(bytes, text) assert_bytes(bytes, text, sizeof(text) - 1)

static void no_bytes_is_a_message_with_nothing_set(void **state)
{
    const etcd_get_response *get;
    const etcd__range_request *range;

    (void)state;
    DECODE(get_response, "");
    get = message;
    assert_int_equal(get->header.revision, 0);
    assert_null(get->kvs);
    assert_int_equal(get->n_kvs, 0);
    assert_false(get->more);
    DECODE(range_request, "");
    range = message;
    ASSERT_BYTES(range->key, "");
    ASSERT_BYTES(range->range_end, "");
    DECODE(status_request, "");
}

static void all_kinds_of_values(void **state)
{
    const etcd_status_response *status;
    const etcd_hash_response *hash;
    const etcd__alarm_request *alarm;

    (void)state;
    DECODE(status_response, "\x0a\x0b\x08" FF8 "\xff\x01"
                            "\x12\x06" "3.5.13\x18\x80\x80\x02\x20\x07"
                            "\x42\x02" "e1\x42\x02" "e2\x50\x01\x5a\x00\x6a\x02\x08\x01");
    status = message;
    assert_true(status->header.cluster_id == UINT64_MAX);
    ASSERT_BYTES(status->version, "3.5.13");
    assert_int_equal(status->db_size, 32768);
    assert_int_equal(status->leader, 7);
    assert_int_equal(status->n_errors, 2);
    ASSERT_BYTES(status->errors[0], "e1");
    ASSERT_BYTES(status->errors[1], "e2");
    assert_true(status->is_learner);
    ASSERT_BYTES(status->storage_version, "");
    assert_true(status->downgrade_info->enabled);
    ASSERT_BYTES(status->downgrade_info->target_version, "");

    DECODE(hash_response, "\x10\xff\xff\xff\xff\x0f");
    hash = message;
    assert_int_equal(hash->hash, UINT32_MAX);
    DECODE(alarm_request, "\x08\x02\x10\x05\x18\xfe" FF8 "\x01");
    alarm = message;
    assert_int_equal(alarm->action, 2);
    assert_int_equal(alarm->alarm, -2);
}

static void bytes_end_with_a_nul_in_place(void **state)
{
    const etcd_get_response *get;

    (void)state;
    DECODE(get_response, "\x12\x0a\x0a\x03" "abc\x2a\x03" "x\0z"
                         "\x12\x03\x0a\x01" "b"
                         "\x12\x04\x0a\x00\x2a\x00"
                         "\x12\x00"
                         "\x12\x03\x2a\x01v");
    get = message;
    assert_int_equal(get->n_kvs, 5);
    ASSERT_BYTES(get->kvs[0].key, "abc");
    ASSERT_BYTES(get->kvs[0].value, "x\0z");
    ASSERT_BYTES(get->kvs[1].key, "b");
    ASSERT_BYTES(get->kvs[1].value, "");
    ASSERT_BYTES(get->kvs[2].key, "");
    ASSERT_BYTES(get->kvs[2].value, "");
    ASSERT_BYTES(get->kvs[3].key, "");
    ASSERT_BYTES(get->kvs[4].value, "v");
    assert_ptr_equal(get->kvs[4].value.data + 1, data + 30); /* the NUL is the byte behind the message */
}

static void nul_does_not_hurt_what_follows(void **state)
{
    const etcd_txn_response *txn;
    const etcd__compare *compare;

    (void)state;
    /* The value ends together with four messages around it. */
    DECODE(txn_response, "\x1a\x09\x0a\x07\x12\x05\x2a\x03" "end\x1a\x02\x12\x00\x10\x01");
    txn = message;
    assert_int_equal(txn->n_responses, 2);
    ASSERT_BYTES(txn->responses[0]->get->kvs[0].value, "end");
    assert_int_equal(txn->responses[1]->type, ETCD_OP_PUT);
    assert_true(txn->succeeded);
    /* The next tag takes two bytes, and the next is skipped. */
    DECODE(compare, "\x1a\x01k\x82\x04\x02zz\xf8\x01\x05\x3a\x01v");
    compare = message;
    ASSERT_BYTES(compare->key, "k");
    ASSERT_BYTES(compare->range_end, "zz");
    ASSERT_BYTES(compare->value, "v");
}

static void unknown_fields_are_skipped(void **state)
{
    const etcd_put_response *put;

    (void)state;
    DECODE(put_response, "\x98\x06\x80\x80\x01"                 /* 99: varint */
                         "\x99\x06" "12345678"                  /* 99: 64 bits */
                         "\x9a\x06\x03" "abc"                   /* 99: bytes */
                         "\x9d\x06" "1234"                      /* 99: 32 bits */
                         "\x9b\x06\x08\x01\x13\x0a\x00\x14\x9c\x06" /* 99: group with a group in it */
                         "\xf8\xff\xff\xff\x0f\x01"             /* the highest number that there is */
                         "\x0a\x02\x18\x07");
    put = message;
    assert_int_equal(put->header.revision, 7);
    DECODE(status_request, "\x0a\x03" "abc\x10\x01");
}

static void known_fields_of_another_wire_type_are_skipped(void **state)
{
    const etcd_get_response *get;
    const etcd_delete_response *del;

    (void)state;
    DECODE(get_response, "\x08\x05\x10\x06\x1a\x01x\x21" "12345678\x25" "1234\x20\x09");
    get = message;
    assert_int_equal(get->header.cluster_id, 0);
    assert_int_equal(get->n_kvs, 0);
    assert_int_equal(get->count, 9);
    DECODE(delete_response, "\x12\x03" "abc\x10\x02");
    del = message;
    assert_int_equal(del->deleted, 2);
}

static void numbers_are_cut_to_their_width(void **state)
{
    const etcd__alarm_request *alarm;
    const etcd_hash_response *hash;
    const etcd__put_request *put;

    (void)state;
    DECODE(alarm_request, "\x18\x81\x80\x80\x80\x70");
    alarm = message;
    assert_int_equal(alarm->alarm, 1);
    DECODE(hash_response, "\x10\x82\x80\x80\x80\x70");
    hash = message;
    assert_int_equal(hash->hash, 2);
    DECODE(put_request, "\x20\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01\x28\x02\x30\x00");
    put = message;
    assert_true(put->prev_kv);
    assert_true(put->ignore_value);
    assert_false(put->ignore_lease);
}

static void varints_of_every_length(void **state)
{
    const etcd__hash_kv_request *request;
    char bytes[12] = {0x08};

    (void)state;
    for (size_t len = 1; len <= 9; len++) { /* 1 followed by zero groups: longer than needed, which is allowed */
        memset(bytes + 1, 0x80, 10);
        bytes[1] = len > 1 ? '\x81' : '\x01';
        bytes[len] = len > 1 ? 0 : bytes[len];
        assert_int_equal(decode(&etcd__hash_kv_request_type, bytes, len + 1), ETCD_OK);
        request = message;
        assert_int_equal(request->revision, 1);
    }
    DECODE(hash_kv_request, "\x88\x80\x80\x80\x00\x05"); /* a tag, too */
    request = message;
    assert_int_equal(request->revision, 5);
    DECODE(hash_kv_request, "\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01");
    request = message;
    assert_true(request->revision == INT64_MIN);
}

static void bad_varints_are_refused(void **state)
{
    (void)state;
    REFUSE(hash_kv_request, "\x08", "bad varint at byte 1");
    REFUSE(hash_kv_request, "\x08\x80", "bad varint at byte 1");
    REFUSE(hash_kv_request, "\x08" FF8 "\xff", "bad varint");
    REFUSE(hash_kv_request, "\x08" FF8 "\xff\x02", "bad varint");     /* bit 64 */
    REFUSE(hash_kv_request, "\x08" FF8 "\xff\xff\x01", "bad varint"); /* eleven bytes */
    REFUSE(hash_kv_request, "\x88", "bad varint at byte 0");
    REFUSE(get_response, "\x12\x03\x10\x80\x80\x01", "bad varint at byte 3"); /* goes on behind its message */
}

static void lengths_past_the_end_are_refused(void **state)
{
    (void)state;
    REFUSE(put_request, "\x0a\x01", "length past the end at byte 1");
    REFUSE(put_request, "\x0a\x80\x01" "abc", "length past the end");
    REFUSE(put_request, "\x0a" FF8 "\xff\x01", "length past the end");
    REFUSE(get_response, "\x12\x03\x0a\x02" "ab", "length past the end at byte 3"); /* past the end of its message only */
    REFUSE(get_response, "\x12\x04\x0a\x01" "a", "length past the end at byte 1");
    REFUSE(put_request, "\x9a\x06\x04" "abc", "length past the end");
    REFUSE(put_request, "\x99\x06" "1234567", "value past the end");
    REFUSE(put_request, "\x9d\x06" "123", "value past the end");
    REFUSE(watch_create_request, "\x2a\x02\x01", "length past the end");
}

static void bad_tags_are_refused(void **state)
{
    (void)state;
    REFUSE(put_request, "\x00\x00", "bad field number");
    REFUSE(put_request, "\x02\x00", "bad field number");
    REFUSE(put_request, "\x80\x80\x80\x80\x10\x00", "bad field number"); /* 2^29 */
    REFUSE(put_request, "\x88\x80\x80\x80\x80\x80\x80\x80\x80\x01\x00", "bad field number");
    REFUSE(put_request, "\x0e\x00", "bad wire type");
    REFUSE(put_request, "\x0f\x00", "bad wire type");
    REFUSE(put_request, "\x9e\x06\x00", "bad wire type");
}

static void bad_groups_are_refused(void **state)
{
    (void)state;
    REFUSE(put_request, "\x9c\x06", "end of a group that did not start");
    REFUSE(put_request, "\x9b\x06\x08\x01", "bad varint");              /* no end */
    REFUSE(put_request, "\x9b\x06\x94\x06", "end of a group that did not start"); /* the end of another */
    REFUSE(put_request, "\x9b\x06\x00\x00\x9c\x06", "bad field number");
    REFUSE(get_response, "\x12\x02\x9b\x06\x9c\x06", "bad varint");     /* ends behind its message */
}

static void last_of_several_values_wins(void **state)
{
    const etcd__put_request *put;

    (void)state;
    DECODE(put_request, "\x0a\x03one\x18\x05\x20\x01\x0a\x03two\x18\x06\x20\x00");
    put = message;
    ASSERT_BYTES(put->key, "two");
    assert_int_equal(put->lease, 6);
    assert_false(put->prev_kv);
}

static void several_messages_in_one_field_are_merged(void **state)
{
    const etcd_put_response *put;
    const etcd_op_response *op;

    (void)state;
    DECODE(put_response, "\x0a\x02\x08\x01\x12\x03\x0a\x01k\x0a\x02\x18\x03\x12\x05\x2a\x01v\x30\x02");
    put = message;
    assert_int_equal(put->header.cluster_id, 1);
    assert_int_equal(put->header.revision, 3);
    ASSERT_BYTES(put->prev_kv->key, "k");
    ASSERT_BYTES(put->prev_kv->value, "v");
    assert_int_equal(put->prev_kv->lease, 2);

    /* Arrays of merged messages are appended to. */
    DECODE(op_response, "\x0a\x0a\x12\x03\x0a\x01" "a\x12\x03\x0a\x01" "b\x0a\x07\x12\x03\x0a\x01" "c\x20\x03");
    op = message;
    assert_int_equal(op->type, ETCD_OP_GET);
    assert_int_equal(op->get->n_kvs, 3);
    ASSERT_BYTES(op->get->kvs[0].key, "a");
    ASSERT_BYTES(op->get->kvs[1].key, "b");
    ASSERT_BYTES(op->get->kvs[2].key, "c");
    assert_int_equal(op->get->count, 3);
}

static void last_member_of_a_oneof_wins(void **state)
{
    const etcd_op_response *op;
    const etcd__compare *compare;

    (void)state;
    DECODE(op_response, "\x0a\x02\x20\x05\x1a\x02\x10\x03");
    op = message;
    assert_int_equal(op->type, ETCD_OP_DELETE);
    assert_null(op->get);
    assert_null(op->put);
    assert_null(op->txn);
    assert_int_equal(op->del->deleted, 3);
    /* What a member had before another one came is forgotten. */
    DECODE(op_response, "\x0a\x02\x20\x05\x12\x00\x0a\x02\x18\x01");
    op = message;
    assert_int_equal(op->type, ETCD_OP_GET);
    assert_int_equal(op->get->count, 0);
    assert_true(op->get->more);
    assert_null(op->put);
    DECODE(op_response, "");
    op = message;
    assert_int_equal(op->type, ETCD_OP_NONE);

    DECODE(compare, "\x10\x03\x3a\x01v");
    compare = message;
    assert_int_equal(compare->target, ETCD_COMPARE_VALUE);
    ASSERT_BYTES(compare->value, "v");
    DECODE(compare, "\x3a\x01v\x40\x07");
    compare = message;
    assert_int_equal(compare->target, ETCD_COMPARE_LEASE);
    assert_int_equal(compare->number, 7);
    ASSERT_BYTES(compare->value, "");
    DECODE(compare, "\x28\x00");
    compare = message;
    assert_int_equal(compare->target, ETCD_COMPARE_CREATE);
}

static void repeated_numbers_packed_or_not(void **state)
{
    const etcd__watch_create_request *create;
    static const int32_t expected[] = {1, 0, 300, 5, -1, 7};

    (void)state;
    DECODE(watch_create_request, "\x2a\x04\x01\x00\xac\x02\x28\x05\x2a\x00\x2a\x0b\xff" FF8 "\x01\x07\x0a\x01k");
    create = message;
    assert_int_equal(create->n_filters, 6);
    assert_memory_equal(create->filters, expected, sizeof expected);
    ASSERT_BYTES(create->key, "k");
    DECODE(watch_create_request, "\x28\x01\x28\x00\x28\x01");
    create = message;
    assert_int_equal(create->n_filters, 3);
    DECODE(watch_create_request, "\x2a\x00");
    create = message;
    assert_int_equal(create->n_filters, 0);
    REFUSE(watch_create_request, "\x2a\x02\x01\x80", "bad varint");
    REFUSE(watch_create_request, "\x2a\x01\x80", "bad varint");
    REFUSE(watch_create_request, "\x2a\x0b" FF8 "\xff\xff\x01", "bad varint");
}

/* Elements that do not follow each other make the array grow; all of them stay, in order. */
static void repeated_fields_may_be_scattered(void **state)
{
    const etcd_get_response *get;
    char bytes[8 * 100], *p = bytes;

    (void)state;
    for (char i = 0; i < 100; i++) {
        const char group[] = {0x12, 3, 0x0a, 1, i, 0x20, i};
        memcpy(p, group, sizeof group);
        p += sizeof group;
    }
    assert_int_equal(decode(&etcd__get_response_type, bytes, (size_t)(p - bytes)), ETCD_OK);
    get = message;
    assert_int_equal(get->n_kvs, 100);
    for (size_t i = 0; i < 100; i++) {
        const char key = (char)i;

        assert_bytes(get->kvs[i].key, &key, 1);
        ASSERT_BYTES(get->kvs[i].value, "");
    }
    assert_int_equal(get->count, 99);
}

static uint32_t random_state;

static unsigned random_below(unsigned n)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 16) % n;
}

/* A key-value, mostly with its fields in order: about what a server sends, and what none would. */
static size_t random_kv(char *bytes)
{
    unsigned number = 0;
    size_t n = 0;

    for (unsigned fields = random_below(9); fields > 0; fields--) {
        number = random_below(8) == 0 ? random_below(9) : number + 1 + random_below(8) / 7;
        const bool text = random_below(16) == 0 ? random_below(2) != 0 : number % 4 == 1;

        bytes[n++] = (char)(number % 16 << 3 | (text ? 2 : 0));
        if (text) {
            const size_t len = random_below(6);

            bytes[n++] = (char)(len + (random_below(64) == 0 ? 40 : 0));
            memset(bytes + n, (int)('a' + random_below(26)), len);
            n += len;
        } else {
            for (size_t more = random_below(3) == 0 ? random_below(11) : random_below(3); more > 0; more--)
                bytes[n++] = (char)(random_below(128) | 0x80);
            bytes[n++] = (char)random_below(3);
        }
    }
    return n;
}

static bool is_same_kv(const etcd_kv *a, const etcd_kv *b)
{
    return a->key.len == b->key.len && memcmp(a->key.data, b->key.data, a->key.len + 1) == 0 && a->value.len == b->value.len &&
           memcmp(a->value.data, b->value.data, a->value.len + 1) == 0 && a->create_revision == b->create_revision &&
           a->mod_revision == b->mod_revision && a->version == b->version && a->lease == b->lease;
}

/* In arrays they have code of their own. Alone, as in the response of a put, they are decoded by their table. */
static void key_values_of_arrays_are_as_their_table_says(void **state)
{
    char bytes[2 * 256], why[ETCD_ERROR_MESSAGE_MAX];
    unsigned n_good = 0;

    (void)state;
    for (random_state = 1; random_state < 30000; random_state++) {
        const uint32_t seed = random_state;
        const size_t len = random_kv(bytes + 2), cut = random_below(8) == 0 && len > 0 ? 1 : 0;
        const etcd_kv *kv;
        etcd_kv expected;
        int rc;

        assert_in_range(len, 0, 127);
        bytes[0] = 0x12; /* kvs of a get, prev_kv of a put */
        bytes[1] = (char)(len - cut);
        memcpy(bytes + 2 + len - cut, bytes, 2 + len - cut);
        rc = decode(&etcd__put_response_type, bytes, 2 + len - cut);
        if (rc == ETCD_OK) {
            uint8_t *kept_data = data;
            etcd__arena *kept_arena = arena;

            expected = *((const etcd_put_response *)message)->prev_kv;
            data = NULL, arena = NULL;
            assert_int_equal(decode(&etcd__get_response_type, bytes, 2 * (2 + len - cut)), ETCD_OK);
            assert_int_equal(((const etcd_get_response *)message)->n_kvs, 2);
            kv = ((const etcd_get_response *)message)->kvs;
            if (!is_same_kv(&kv[0], &expected) || !is_same_kv(&kv[1], &expected))
                fail_msg("seed %lu", (unsigned long)seed);
            free(kept_data);
            etcd__arena_free(kept_arena);
            n_good++;
        } else {
            (void)snprintf(why, sizeof why, "%s", strstr(err.message, ": "));
            assert_int_equal(decode(&etcd__get_response_type, bytes, 2 + len - cut), rc);
            assert_string_equal(strstr(err.message, ": "), why);
        }
        random_state = seed;
    }
    assert_in_range(n_good, 5000, 25000); /* both happen */
}

static void arrays_are_allocated_exactly(void **state)
{
    char bytes[2 * 1000];
    size_t before;

    (void)state;
    for (size_t i = 0; i < sizeof bytes; i += 2)
        memcpy(bytes + i, "\x12\x00", 2);
    etcd_test_alloc_install();
    before = etcd_test_alloc_count();
    assert_int_equal(decode(&etcd__get_response_type, bytes, sizeof bytes), ETCD_OK);
    assert_int_equal(etcd_test_alloc_count() - before, 2); /* the arena, and one chunk for the array */
    assert_int_equal(((const etcd_get_response *)message)->n_kvs, 1000);
    assert_in_range(arena->allocated, 1000 * sizeof(etcd_kv), 1000 * sizeof(etcd_kv) + 200);
    etcd__arena_free(arena);
    arena = NULL;
}

/* A transaction in a transaction in ...: `levels` messages inside the outermost one. */
static size_t nested(char *bytes, size_t levels)
{
    static char inner[2000];
    size_t len = 0;

    for (size_t i = levels; i > 0; i--) {
        const char tag = i % 2 == 1 ? 0x1a : 0x22; /* responses of a transaction, transaction of a response */
        size_t n = 0;

        inner[n++] = tag;
        if (len < 0x80) {
            inner[n++] = (char)len;
        } else {
            inner[n++] = (char)(len | 0x80);
            inner[n++] = (char)(len >> 7);
        }
        memcpy(inner + n, bytes, len);
        len += n;
        memcpy(bytes, inner, len);
    }
    return len;
}

static void depth_is_limited(void **state)
{
    char bytes[2000], groups[2 * ETCD__PB_MAX_DEPTH];

    (void)state;
    assert_int_equal(decode(&etcd__txn_response_type, bytes, nested(bytes, ETCD__PB_MAX_DEPTH - 1)), ETCD_OK);
    refuse(&etcd__txn_response_type, bytes, nested(bytes, ETCD__PB_MAX_DEPTH), "nested too deep");
    memset(groups, 0x7b, ETCD__PB_MAX_DEPTH);
    memset(groups + ETCD__PB_MAX_DEPTH, 0x7c, ETCD__PB_MAX_DEPTH);
    assert_int_equal(decode(&etcd__txn_response_type, groups + 1, sizeof groups - 2), ETCD_OK);
    refuse(&etcd__txn_response_type, groups, sizeof groups, "nested too deep");
}

static void *response_of(const etcd__pb_message *type, const char *bytes, size_t len, int expected)
{
    uint8_t *body = etcd__malloc(len + 1);
    void *response;

    assert_non_null(body);
    memcpy(body, bytes, len);
    assert_int_equal(etcd__response_decode(type, body, len, &response, &err), expected);
    return response;
}

static void response_is_freed_as_one(void **state)
{
    etcd_get_response *get;

    (void)state;
    etcd_test_alloc_install();
    get = response_of(&etcd__get_response_type, "\x0a\x02\x18\x05\x12\x06\x0a\x01k\x2a\x01v\x20\x01", 14, ETCD_OK);
    assert_int_equal(get->header.revision, 5);
    assert_int_equal(get->n_kvs, 1);
    ASSERT_BYTES(get->kvs[0].value, "v");
    assert_int_equal(etcd_test_alloc_count(), 2); /* the body and the arena */
    assert_int_equal((uintptr_t)get % sizeof(max_align_t) % 16, 0);
    assert_non_null(etcd__arena_alloc(etcd__response_arena(get), 10000));
    etcd_response_free(get);
    assert_int_equal(etcd_test_alloc_live(), 0);
    etcd_response_free(NULL);
}

static void response_of_malformed_bytes_frees_them(void **state)
{
    (void)state;
    etcd_test_alloc_install();
    assert_null(response_of(&etcd__get_response_type, "\x12\x05", 2, ETCD_ERR_PROTOCOL));
    assert_int_equal(etcd_test_alloc_live(), 0);
}

static int wrap_and_free(void *arg)
{
    etcd_put_response *put = etcd__response_new(sizeof *put);
    etcd_op_response *op;

    (void)arg;
    if (put == NULL)
        return ETCD_ERR_NO_MEMORY;
    assert_int_equal(put->header.revision, 0);
    put->header.revision = 7;
    op = etcd__response_wrap(put, 5000); /* more than the first chunk has left */
    if (op == NULL) {
        etcd_response_free(put);
        return ETCD_ERR_NO_MEMORY;
    }
    assert_null(op->put);
    assert_ptr_equal(etcd__response_arena(op), etcd__response_arena(put));
    assert_int_equal(put->header.revision, 7);
    etcd_response_free(op);
    return ETCD_OK;
}

static void a_wrapped_response_is_freed_with_its_wrapper(void **state)
{
    (void)state;
    etcd_test_alloc_install();
    assert_int_equal(etcd_test_alloc_sweep(wrap_and_free, NULL), 2);
}

static void empty_message_is_a_response(void **state)
{
    etcd_compact_response *compact = response_of(&etcd__compact_response_type, "", 0, ETCD_OK);

    (void)state;
    assert_int_equal(compact->header.revision, 0);
    etcd_response_free(compact);
}

/* The worst that a server can do within one message: the smallest elements, each a whole struct in memory. */
static void smallest_elements_stay_under_the_limit(void **state)
{
    const size_t len = 1000000;
    char *bytes = malloc(len);
    etcd_get_response *get;
    etcd_txn_response *txn;

    (void)state;
    assert_non_null(bytes);
    for (size_t i = 0; i < len; i += 2)
        memcpy(bytes + i, "\x12\x00", 2);
    get = response_of(&etcd__get_response_type, bytes, len, ETCD_OK);
    assert_int_equal(get->n_kvs, len / 2);
    assert_true(etcd__response_arena(get)->allocated <= 33 * len);
    etcd_response_free(get);
    for (size_t i = 0; i < len; i += 4)
        memcpy(bytes + i, "\x1a\x02\x0a\x00", 4);
    txn = response_of(&etcd__txn_response_type, bytes, len, ETCD_OK);
    assert_int_equal(txn->n_responses, len / 4);
    etcd_response_free(txn);
    free(bytes);
}

static void memory_over_the_limit_is_refused(void **state)
{
    uint8_t bytes[1001];
    etcd_get_response get;

    (void)state;
    arena = etcd__arena_new(100, 10000);
    for (size_t i = 0; i < 1000; i += 2)
        memcpy(bytes + i, "\x12\x00", 2);
    assert_int_equal(etcd__pb_decode(&etcd__get_response_type, bytes, 1000, arena, &get, &err), ETCD_ERR_TOO_LARGE);
    assert_non_null(strstr(err.message, "etcdserverpb.RangeResponse takes more than the limit of 10000 bytes of memory"));
    assert_int_equal(etcd__pb_decode(&etcd__get_response_type, (uint8_t[]){0x12, 9, 0}, 2, arena, &get, NULL), ETCD_ERR_PROTOCOL);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(no_bytes_is_a_message_with_nothing_set, setup, teardown),
    cmocka_unit_test_setup_teardown(all_kinds_of_values, setup, teardown),
    cmocka_unit_test_setup_teardown(bytes_end_with_a_nul_in_place, setup, teardown),
    cmocka_unit_test_setup_teardown(nul_does_not_hurt_what_follows, setup, teardown),
    cmocka_unit_test_setup_teardown(unknown_fields_are_skipped, setup, teardown),
    cmocka_unit_test_setup_teardown(known_fields_of_another_wire_type_are_skipped, setup, teardown),
    cmocka_unit_test_setup_teardown(numbers_are_cut_to_their_width, setup, teardown),
    cmocka_unit_test_setup_teardown(varints_of_every_length, setup, teardown),
    cmocka_unit_test_setup_teardown(bad_varints_are_refused, setup, teardown),
    cmocka_unit_test_setup_teardown(lengths_past_the_end_are_refused, setup, teardown),
    cmocka_unit_test_setup_teardown(bad_tags_are_refused, setup, teardown),
    cmocka_unit_test_setup_teardown(bad_groups_are_refused, setup, teardown),
    cmocka_unit_test_setup_teardown(last_of_several_values_wins, setup, teardown),
    cmocka_unit_test_setup_teardown(several_messages_in_one_field_are_merged, setup, teardown),
    cmocka_unit_test_setup_teardown(last_member_of_a_oneof_wins, setup, teardown),
    cmocka_unit_test_setup_teardown(repeated_numbers_packed_or_not, setup, teardown),
    cmocka_unit_test_setup_teardown(repeated_fields_may_be_scattered, setup, teardown),
    cmocka_unit_test_setup_teardown(key_values_of_arrays_are_as_their_table_says, setup, teardown),
    cmocka_unit_test_setup_teardown(arrays_are_allocated_exactly, setup, teardown),
    cmocka_unit_test_setup_teardown(depth_is_limited, setup, teardown),
    cmocka_unit_test_setup_teardown(memory_over_the_limit_is_refused, setup, teardown),
    cmocka_unit_test(response_is_freed_as_one),
    cmocka_unit_test(response_of_malformed_bytes_frees_them),
    cmocka_unit_test(a_wrapped_response_is_freed_with_its_wrapper),
    cmocka_unit_test(empty_message_is_a_response),
    cmocka_unit_test(smallest_elements_stay_under_the_limit),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
