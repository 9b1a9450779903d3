/* Responses as JSON and protocol buffers: the text that etcdctl prints, and what a program may do wrong. */
#include "harness/alloc.h"
#include "harness/test.h"

#include <etcd3/etcd.h>
#include <string.h>

#define BYTES(text) \
    { \
        (text), sizeof(text) - 1 \
    }

static void check_json(int type, const void *message, const char *expected)
{
    etcd_format_response *json = NULL;
    etcd_error err;

    assert_int_equal(etcd_format_json(type, message, &json, &err), ETCD_OK);
    assert_string_equal(json->text.data, expected);
    assert_int_equal(json->text.len, strlen(expected));
    etcd_response_free(json);
}

static const etcd_kv kvs[] = {
    {.key = BYTES("abc"), .value = BYTES("123"), .create_revision = 2, .mod_revision = 3, .version = 1, .lease = 7},
    {.key = BYTES("\xff\x00\xfe"), .value = BYTES("")},
};

static const etcd_get_response get = {.header = {.cluster_id = UINT64_MAX, .member_id = 1, .revision = 3, .raft_term = 2},
                                      .kvs = kvs,
                                      .n_kvs = 2,
                                      .count = 9,
                                      .more = true};

static void fields_in_order_zeros_left_out(void **state)
{
    (void)state;
    check_json(
        ETCD_CALL_GET, &get,
        "{\"header\":{\"cluster_id\":18446744073709551615,\"member_id\":1,\"revision\":3,\"raft_term\":2},"
        "\"kvs\":[{\"key\":\"YWJj\",\"create_revision\":2,\"mod_revision\":3,\"version\":1,\"value\":\"MTIz\",\"lease\":7},"
        "{\"key\":\"/wD+\"}],\"more\":true,\"count\":9}");
}

static void a_message_without_anything_is_empty(void **state)
{
    etcd_get_response empty = {.count = 0};
    etcd_kv kv = {.key = BYTES(""), .value = BYTES("")};

    (void)state;
    check_json(ETCD_CALL_GET, &empty, "{}");
    check_json(ETCD_FORMAT_KV, &kv, "{}");
}

static void base64_of_every_remainder(void **state)
{
    static const struct {
        const char *value, *json;
    } cases[] = {{"a", "{\"key\":\"YQ==\"}"},
                 {"ab", "{\"key\":\"YWI=\"}"},
                 {"abc", "{\"key\":\"YWJj\"}"},
                 {"abcd", "{\"key\":\"YWJjZA==\"}"},
                 {"\xfb\xef\xff", "{\"key\":\"++//\"}"}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        etcd_kv kv = {.key = {cases[i].value, strlen(cases[i].value)}, .value = BYTES("")};

        check_json(ETCD_FORMAT_KV, &kv, cases[i].json);
    }
}

/* Strings, as Go's encoding/json escapes them: HTML, line separators, controls, and bytes that are no UTF-8. */
static void strings_are_escaped_as_go_does(void **state)
{
    static const struct {
        etcd_bytes name;
        const char *json;
    } cases[] = {
        {BYTES("a<b>&c"), "{\"name\":\"a\\u003cb\\u003e\\u0026c\"}"},
        {BYTES("\"\\/"), "{\"name\":\"\\\"\\\\/\"}"},
        {BYTES("\b\f\n\r\t\x01\x1f\x7f"), "{\"name\":\"\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\"}"},
        {BYTES("\x00z"), "{\"name\":\"\\u0000z\"}"},
        {BYTES("\xe2\x80\xa8\xe2\x80\xa9"), "{\"name\":\"\\u2028\\u2029\"}"},
        {BYTES("\xc3\xa9\xf0\x9f\x98\x80"), "{\"name\":\"\xc3\xa9\xf0\x9f\x98\x80\"}"},
        {BYTES("\xff\xc3"), "{\"name\":\"\\ufffd\\ufffd\"}"},
        {BYTES("\xc0\x80"), "{\"name\":\"\\ufffd\\ufffd\"}"},
        {BYTES("\xed\xa0\x80"), "{\"name\":\"\\ufffd\\ufffd\\ufffd\"}"},
        {BYTES("\xe2\x82"), "{\"name\":\"\\ufffd\\ufffd\"}"},
        {BYTES("\xf4\x90\x80\x80"), "{\"name\":\"\\ufffd\\ufffd\\ufffd\\ufffd\"}"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        etcd_member member = {.name = cases[i].name};

        check_json(ETCD_FORMAT_MEMBER, &member, cases[i].json);
    }
}

static void names_are_those_of_the_protocol(void **state)
{
    static const etcd_bytes urls[] = {BYTES("http://a:2380"), BYTES("http://b:2380")};
    etcd_member member = {.id = 1,
                          .name = BYTES("m"),
                          .peer_urls = urls,
                          .n_peer_urls = 2,
                          .client_urls = urls,
                          .n_client_urls = 1,
                          .is_learner = true};
    etcd_permission permission = {.type = ETCD_PERMISSION_READWRITE, .key = BYTES("k"), .range_end = BYTES("")};
    etcd_role_get_response role = {.perm = &permission, .n_perm = 1};
    etcd_alarm_member alarm = {.member_id = 5, .alarm = ETCD_ALARM_NOSPACE};
    etcd_alarm_response alarms = {.alarms = &alarm, .n_alarms = 1};

    (void)state;
    check_json(ETCD_FORMAT_MEMBER, &member,
               "{\"ID\":1,\"name\":\"m\",\"peerURLs\":[\"http://a:2380\",\"http://b:2380\"],\"clientURLs\":[\"http://a:2380\"],"
               "\"isLearner\":true}");
    check_json(ETCD_CALL_ROLE_GET, &role, "{\"perm\":[{\"permType\":2,\"key\":\"aw==\"}]}");
    check_json(ETCD_CALL_ALARM_LIST, &alarms, "{\"alarms\":[{\"memberID\":5,\"alarm\":1}]}");
}

static void negative_numbers(void **state)
{
    etcd_lease_time_to_live_response ttl = {.id = INT64_MIN, .ttl_s = -1};

    (void)state;
    check_json(ETCD_CALL_LEASE_TIME_TO_LIVE, &ttl, "{\"ID\":-9223372036854775808,\"TTL\":-1}");
}

static void parts_of_a_transaction_are_one_level_deeper(void **state)
{
    static const etcd_get_response range = {.header = {.revision = 4}, .kvs = kvs, .n_kvs = 1, .count = 1};
    static const etcd_put_response put = {.header = {.revision = 5}, .prev_kv = &kvs[0]};
    static const etcd_delete_response del = {.header = {.revision = 5}, .deleted = 1};
    static const etcd_op_response inner_op = {.type = ETCD_OP_DELETE, .del = &del};
    static const etcd_op_response *const inner_list[] = {&inner_op};
    static const etcd_txn_response inner = {.responses = inner_list, .n_responses = 1};
    static const etcd_op_response ops[] = {
        {.type = ETCD_OP_GET, .get = &range}, {.type = ETCD_OP_PUT, .put = &put}, {.type = ETCD_OP_TXN, .txn = &inner}};
    static const etcd_op_response *const list[] = {&ops[0], &ops[1], &ops[2]};
    etcd_txn_response txn = {.header = {.revision = 5}, .succeeded = true, .responses = list, .n_responses = 3};

    (void)state;
    check_json(ETCD_CALL_TXN, &txn,
               "{\"header\":{\"revision\":5},\"succeeded\":true,\"responses\":["
               "{\"Response\":{\"response_range\":{\"header\":{\"revision\":4},\"kvs\":[{\"key\":\"YWJj\",\"create_revision\":2,"
               "\"mod_revision\":3,\"version\":1,\"value\":\"MTIz\",\"lease\":7}],\"count\":1}}},"
               "{\"Response\":{\"response_put\":{\"header\":{\"revision\":5},\"prev_kv\":{\"key\":\"YWJj\",\"create_revision\":2,"
               "\"mod_revision\":3,\"version\":1,\"value\":\"MTIz\",\"lease\":7}}}},"
               "{\"Response\":{\"response_txn\":{\"responses\":[{\"Response\":{\"response_delete_range\":"
               "{\"header\":{\"revision\":5},\"deleted\":1}}}]}}}]}");
}

static void events(void **state)
{
    etcd_event event = {.type = ETCD_EVENT_DELETE, .kv = &kvs[1], .prev_kv = &kvs[0]};

    (void)state;
    check_json(ETCD_FORMAT_EVENT, &event,
               "{\"type\":1,\"kv\":{\"key\":\"/wD+\"},\"prev_kv\":{\"key\":\"YWJj\",\"create_revision\":2,\"mod_revision\":3,"
               "\"version\":1,\"value\":\"MTIz\",\"lease\":7}}");
    event = (etcd_event){.type = ETCD_EVENT_PUT};
    check_json(ETCD_FORMAT_EVENT, &event, "{}");
}

static void protobuf_is_the_wire_form(void **state)
{
    etcd_kv kv = {.key = BYTES("k"), .value = BYTES("v"), .mod_revision = 300};
    etcd_format_response *encoded = NULL;
    etcd_error err;

    (void)state;
    assert_int_equal(etcd_format_protobuf(ETCD_FORMAT_KV, &kv, &encoded, &err), ETCD_OK);
    assert_int_equal(encoded->text.len, 9);
    assert_memory_equal(encoded->text.data, "\x0a\x01k\x18\xac\x02\x2a\x01v", 10);
    etcd_response_free(encoded);
}

static void every_type_of_call_can_be_formatted(void **state)
{
    static const char zeros[512];
    etcd_error err;

    (void)state;
    for (int type = ETCD_CALL_GET; type <= ETCD_CALL_HEALTH_CHECK; type++) {
        etcd_format_response *text = NULL;

        assert_int_equal(etcd_format_json(type, zeros, &text, &err), ETCD_OK);
        assert_string_equal(text->text.data, "{}");
        etcd_response_free(text);
        assert_int_equal(etcd_format_protobuf(type, zeros, &text, &err), ETCD_OK);
        assert_int_equal(text->text.len, 0);
        etcd_response_free(text);
    }
}

static void wrong_arguments_are_refused(void **state)
{
    static const int wrong[] = {0, -1, 999, ETCD_FORMAT_HEADER - 1, ETCD_FORMAT_MEMBER + 100, INT32_MAX, INT32_MIN};
    etcd_format_response *text = (void *)&text;
    etcd_error err;

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(etcd_format_json(wrong[i], &get, &text, &err), ETCD_ERR_ARGUMENT);
        assert_null(text);
        assert_int_equal(etcd_format_protobuf(wrong[i], &get, &text, NULL), ETCD_ERR_ARGUMENT);
    }
    assert_int_equal(etcd_format_json(ETCD_CALL_GET, NULL, &text, &err), ETCD_ERR_ARGUMENT);
    assert_int_equal(etcd_format_json(ETCD_CALL_GET, &get, NULL, &err), ETCD_ERR_ARGUMENT);
    assert_int_equal(etcd_format_protobuf(ETCD_CALL_GET, NULL, &text, &err), ETCD_ERR_ARGUMENT);
}

static int format_both(void *arg)
{
    etcd_format_response *json = NULL, *encoded = NULL;
    int rc = etcd_format_json(ETCD_CALL_GET, arg, &json, NULL);

    if (rc == ETCD_OK)
        rc = etcd_format_protobuf(ETCD_CALL_GET, arg, &encoded, NULL);
    etcd_response_free(json);
    etcd_response_free(encoded);
    return rc;
}

static void any_allocation_may_fail(void **state)
{
    etcd_kv many[50];
    etcd_get_response large = {.kvs = many, .n_kvs = 50};

    (void)state;
    for (size_t i = 0; i < 50; i++)
        many[i] = kvs[0];
    etcd_test_alloc_install();
    assert_true(etcd_test_alloc_sweep(format_both, &large) > 4);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(fields_in_order_zeros_left_out),
    cmocka_unit_test(a_message_without_anything_is_empty),
    cmocka_unit_test(base64_of_every_remainder),
    cmocka_unit_test(strings_are_escaped_as_go_does),
    cmocka_unit_test(names_are_those_of_the_protocol),
    cmocka_unit_test(negative_numbers),
    cmocka_unit_test(parts_of_a_transaction_are_one_level_deeper),
    cmocka_unit_test(events),
    cmocka_unit_test(protobuf_is_the_wire_form),
    cmocka_unit_test(every_type_of_call_can_be_formatted),
    cmocka_unit_test(wrong_arguments_are_refused),
    cmocka_unit_test(any_allocation_may_fail),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
