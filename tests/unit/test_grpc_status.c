/* src/grpc/status.c: the tables and texts behind a gRPC status. */
#include "grpc/status.h"

#include "harness/test.h"

#include <string.h>

static void http_codes(void **state)
{
    static const struct {
        int http, grpc;
    } rows[] = {{200, 2}, {204, 2}, {302, 2},  {400, 13}, {401, 16}, {403, 7},  {404, 12},
                {405, 2}, {408, 2}, {415, 2},  {418, 2},  {429, 14}, {431, 13}, {499, 2},
                {500, 2}, {501, 2}, {502, 14}, {503, 14}, {504, 14}, {505, 2},  {599, 2}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(etcd__grpc_code_of_http(rows[i].http), rows[i].grpc);
    assert_string_equal(etcd__grpc_http_text(404), "Not Found");
    assert_string_equal(etcd__grpc_http_text(799), "");
}

static void reset_codes(void **state)
{
    static const int codes[] = {13, 13, 13, 13, 13, 13, 13, 14, 1, 13, 13, 8, 7, 13};

    (void)state;
    for (uint32_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        assert_int_equal(etcd__grpc_code_of_reset(i), codes[i]);
    assert_int_equal(etcd__grpc_code_of_reset(14), 13);
    assert_int_equal(etcd__grpc_code_of_reset(UINT32_MAX), 13);
}

static void status_numbers(void **state)
{
    static const struct {
        const char *text;
        int value;
    } rows[] = {{"0", 0},           {"14", 14},
                {"00", 0},          {"999999999", 999999999},
                {"", -2},           {"-1", -2},
                {"+1", -2},         {" 1", -2},
                {"1 ", -2},         {"x", -2},
                {"1x", -2},         {"0x1", -2},
                {"1000000000", -2}, {"99999999999999999999", -2}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(etcd__grpc_status_parse(rows[i].text, strlen(rows[i].text)), rows[i].value);
}

static void percent(void **state)
{
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"", ""},
        {"plain text", "plain text"},
        {"a%20b", "a b"},
        {"%E2%82%AC", "\xe2\x82\xac"},
        {"%e2%82%ac", "\xe2\x82\xac"},
        {"100%", "100%"},
        {"100%2", "100%2"},
        {"%zz", "%zz"},
        {"%2z", "%2z"},
        {"%%41", "%A"},
        {"%4%41", "%4A"},
        {"%25%32%30", "%20"}, /* once only */
        {"\xff\xfe", "\xff\xfe"},
    };
    char out[64];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t len = etcd__grpc_percent_decode(out, rows[i].in, strlen(rows[i].in));

        assert_int_equal(len, strlen(rows[i].out));
        assert_memory_equal(out, rows[i].out, len);
    }
    assert_int_equal(etcd__grpc_percent_decode(out, "%00", 3), 1);
    assert_int_equal(out[0], 0);
}

static void quoting(void **state)
{
    char out[32];

    (void)state;
    assert_int_equal(etcd__grpc_quote(out, sizeof out, "plain", 5), 7);
    assert_string_equal(out, "\"plain\"");
    (void)etcd__grpc_quote(out, sizeof out, "a\"b\\\n\r\t", 7);
    assert_string_equal(out, "\"a\\\"b\\\\\\n\\r\\t\"");
    (void)etcd__grpc_quote(out, sizeof out, "\0\x7f\xff", 3);
    assert_string_equal(out, "\"\\x00\\x7f\\xff\"");
    assert_int_equal(etcd__grpc_quote(out, 7, "x", 1), 0);
    assert_string_equal(out, "");
}

/* Whatever the size: a terminated text, with both quotes, within its bounds. */
static void quoting_cuts(void **state)
{
    uint8_t data[64];
    char out[80];

    (void)state;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i % 3 == 0 ? 'a' : i % 3 == 1 ? '\n' : 0xff);
    for (size_t size = 8; size < sizeof out; size++) {
        size_t len;

        memset(out, 'X', sizeof out);
        len = etcd__grpc_quote(out, size, data, sizeof data);
        assert_true(len < size);
        assert_int_equal(out[len], '\0');
        assert_int_equal(out[0], '"');
        assert_int_equal(out[len - 1], '"');
        for (size_t i = size; i < sizeof out; i++)
            assert_int_equal(out[i], 'X');
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(http_codes), cmocka_unit_test(reset_codes), cmocka_unit_test(status_numbers),
    cmocka_unit_test(percent),    cmocka_unit_test(quoting),     cmocka_unit_test(quoting_cuts),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
