/* etcd3ctl: numbers, durations, lists, quoted strings and words, as Go reads and writes them. */
#include "harness/test.h"

#include "parse.h"
#include "printable.h"
#include "value.h"

#include <stdlib.h>
#include <string.h>

/* -- numbers -- */

static void integers(void **state)
{
    static const struct {
        const char *text;
        int base;
        int64_t value;
        const char *error;
    } cases[] = {
        {"0", 0, 0, NULL},
        {"-12", 0, -12, NULL},
        {"+12", 0, 12, NULL},
        {"0x1F", 0, 31, NULL},
        {"0b101", 0, 5, NULL},
        {"0o17", 0, 15, NULL},
        {"017", 0, 15, NULL},
        {"1_000", 0, 1000, NULL},
        {"0x_ff", 0, 255, NULL},
        {"9223372036854775807", 0, INT64_MAX, NULL},
        {"-9223372036854775808", 0, INT64_MIN, NULL},
        {"ff", 16, 255, NULL},
        {"-7F", 16, -127, NULL},
        {"", 0, 0, "strconv.ParseInt: parsing \"\": invalid syntax"},
        {"-", 0, 0, "strconv.ParseInt: parsing \"-\": invalid syntax"},
        {"x", 0, 0, "strconv.ParseInt: parsing \"x\": invalid syntax"},
        {"1 ", 0, 0, "strconv.ParseInt: parsing \"1 \": invalid syntax"},
        {"1__0", 0, 0, "strconv.ParseInt: parsing \"1__0\": invalid syntax"},
        {"_1", 0, 0, "strconv.ParseInt: parsing \"_1\": invalid syntax"},
        {"1_", 0, 0, "strconv.ParseInt: parsing \"1_\": invalid syntax"},
        {"08", 0, 0, "strconv.ParseInt: parsing \"08\": invalid syntax"},
        {"0x", 0, 0, "strconv.ParseInt: parsing \"0x\": invalid syntax"},
        {"1_0", 10, 0, "strconv.ParseInt: parsing \"1_0\": invalid syntax"},
        {"0x1", 10, 0, "strconv.ParseInt: parsing \"0x1\": invalid syntax"},
        {"9223372036854775808", 0, 0, "strconv.ParseInt: parsing \"9223372036854775808\": value out of range"},
        {"-9223372036854775809", 0, 0, "strconv.ParseInt: parsing \"-9223372036854775809\": value out of range"},
        {"99999999999999999999999", 10, 0, "strconv.ParseInt: parsing \"99999999999999999999999\": value out of range"},
        {"a\"b", 0, 0, "strconv.ParseInt: parsing \"a\\\"b\": invalid syntax"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cli_error error = {""};
        int64_t value = 0;
        bool ok = cli_parse_int(cases[i].text, cases[i].base, &value, &error);

        assert_int_equal(ok, cases[i].error == NULL);
        if (ok)
            assert_int_equal(value, cases[i].value);
        else
            assert_string_equal(error.text, cases[i].error);
    }
}

static void naturals_and_bools(void **state)
{
    cli_error error;
    uint64_t natural;
    bool truth = false;

    (void)state;
    assert_true(cli_parse_uint("18446744073709551615", 0, &natural, &error));
    assert_true(natural == UINT64_MAX);
    assert_false(cli_parse_uint("18446744073709551616", 0, &natural, &error));
    assert_string_equal(error.text, "strconv.ParseUint: parsing \"18446744073709551616\": value out of range");
    assert_false(cli_parse_uint("-1", 0, &natural, &error));
    assert_string_equal(error.text, "strconv.ParseUint: parsing \"-1\": invalid syntax");
    assert_true(cli_parse_bool("T", &truth, &error) && truth);
    assert_true(cli_parse_bool("0", &truth, &error) && !truth);
    assert_false(cli_parse_bool("yes", &truth, &error));
    assert_string_equal(error.text, "strconv.ParseBool: parsing \"yes\": invalid syntax");
}

/* -- durations -- */

static void durations_are_read(void **state)
{
    static const struct {
        const char *text;
        int64_t ns;
        const char *error;
    } cases[] = {
        {"0", 0, NULL},
        {"0s", 0, NULL},
        {"7s", 7000000000, NULL},
        {"1.5s", 1500000000, NULL},
        {"100ms", 100000000, NULL},
        {"1h2m3.5s", 3723500000000, NULL},
        {"-1m", -60000000000, NULL},
        {"+5s", 5000000000, NULL},
        {".5s", 500000000, NULL},
        {"5.s", 5000000000, NULL},
        {"10us", 10000, NULL},
        {"10\xc2\xb5s", 10000, NULL},
        {"3ns", 3, NULL},
        {"2562047h47m16.854775807s", INT64_MAX, NULL},
        {"-2562047h47m16.854775808s", INT64_MIN, NULL},
        {"2562047h47m16.854775808s", 0, "time: invalid duration \"2562047h47m16.854775808s\""},
        {"", 0, "time: invalid duration \"\""},
        {"-", 0, "time: invalid duration \"-\""},
        {"x", 0, "time: invalid duration \"x\""},
        {".s", 0, "time: invalid duration \".s\""},
        {"5", 0, "time: missing unit in duration \"5\""},
        {"1s2", 0, "time: missing unit in duration \"1s2\""},
        {"1q", 0, "time: unknown unit \"q\" in duration \"1q\""},
        {"1 s", 0, "time: unknown unit \" s\" in duration \"1 s\""},
        {"99999999999999999999s", 0, "time: invalid duration \"99999999999999999999s\""},
        {"9999999999h", 0, "time: invalid duration \"9999999999h\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cli_error error = {""};
        int64_t ns = -1;
        bool ok = cli_parse_duration(cases[i].text, &ns, &error);

        assert_int_equal(ok, cases[i].error == NULL);
        if (ok)
            assert_true(ns == cases[i].ns);
        else
            assert_string_equal(error.text, cases[i].error);
    }
}

static void durations_are_written(void **state)
{
    static const struct {
        int64_t ns;
        const char *text;
    } cases[] = {
        {0, "0s"},
        {1, "1ns"},
        {1100, "1.1\xc2\xb5s"},
        {2200000, "2.2ms"},
        {20000000, "20ms"},
        {3300000000, "3.3s"},
        {60000000000, "1m0s"},
        {245001000000, "4m5.001s"},
        {3600000000000, "1h0m0s"},
        {18367001000000, "5h6m7.001s"},
        {480000000001, "8m0.000000001s"},
        {-1500000000, "-1.5s"},
        {INT64_MIN, "-2562047h47m16.854775808s"},
    };
    char text[64];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(cli_format_duration(cases[i].ns, text, sizeof text), cases[i].text);
}

/* -- lists -- */

static void check_list(const char *text, const char *const *expected, size_t n_expected)
{
    char **items = NULL;
    size_t n = 0;
    cli_error error;

    assert_true(cli_parse_list(text, &items, &n, &error));
    assert_int_equal(n, n_expected);
    for (size_t i = 0; i < n; i++)
        assert_string_equal(items[i], expected[i]);
    cli_words_free(items, n);
}

static void lists(void **state)
{
    static const char *const bad[] = {"a\"b", "\"a", "\"a\"b", "x,\"y"};

    (void)state;
    check_list("", NULL, 0);
    check_list("a", (const char *const[]){"a"}, 1);
    check_list("a,b, c", (const char *const[]){"a", "b", " c"}, 3);
    check_list("a,,b,", (const char *const[]){"a", "", "b", ""}, 4);
    check_list("\"a,b\",\"say \"\"x\"\"\"", (const char *const[]){"a,b", "say \"x\""}, 2);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char **items = NULL;
        size_t n = 0;
        cli_error error = {""};

        assert_false(cli_parse_list(bad[i], &items, &n, &error));
        assert_memory_equal(error.text, "parse error on line 1, column ", 30);
        cli_words_free(items, n);
    }
}

/* -- quoted strings -- */

static void check_quoted(const char *data, size_t len, const char *expected)
{
    char *quoted = cli_quoted(data, len), *back = NULL;
    size_t back_len = 0;
    const char *rest = NULL;

    assert_string_equal(quoted, expected);
    assert_true(cli_unquote(quoted, &back, &back_len, &rest)); /* what was quoted can be read again */
    assert_int_equal(back_len, len);
    assert_memory_equal(back, data, len);
    assert_string_equal(rest, "");
    free(back);
    free(quoted);
}

static void bytes_are_quoted(void **state)
{
    (void)state;
    check_quoted("", 0, "\"\"");
    check_quoted("abc", 3, "\"abc\"");
    check_quoted("a\"b\\c", 5, "\"a\\\"b\\\\c\"");
    check_quoted("\a\b\f\n\r\t\v", 7, "\"\\a\\b\\f\\n\\r\\t\\v\"");
    check_quoted("\x00\x01\x1f\x7f", 4, "\"\\x00\\x01\\x1f\\x7f\"");
    check_quoted("\xc3\xa9", 2, "\"\xc3\xa9\"");
    check_quoted("\xff\xc3", 2, "\"\\xff\\xc3\"");
    check_quoted("\xc2\xa0", 2, "\"\\u00a0\""); /* a space that is none of ASCII's */
    check_quoted("\xe2\x80\xa8", 3, "\"\\u2028\"");
    check_quoted("\xf0\x9f\x98\x80", 4, "\"\xf0\x9f\x98\x80\"");
    check_quoted("\xf3\xa0\x80\x81", 4, "\"\\U000e0001\"");
    check_quoted("\xed\xa0\x80", 3, "\"\\xed\\xa0\\x80\""); /* half a surrogate pair is no character */
}

static void quoted_strings_are_read(void **state)
{
    static const struct {
        const char *text, *value, *rest;
    } good[] = {
        {"\"a\" b", "a", " b"},
        {"`a\\n\"`)", "a\\n\"", ")"},
        {"\"\\x41\\101\\u00e9\"", "AA\xc3\xa9", ""},
        {"\"\\U0001F600\"", "\xf0\x9f\x98\x80", ""},
        {"\"it's\"", "it's", ""},
    };
    static const char *const bad[] = {"",         "a",         "\"a",       "\"\\q\"",     "\"\\'\"",
                                      "\"\\x4\"", "\"\\u12\"", "\"\\400\"", "\"\\ud800\"", "\"\\U00110000\"",
                                      "\"a\nb\"", "`a",        "'a'",       "\"\\"};

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        char *value = NULL;
        size_t len = 0;
        const char *rest = NULL;

        assert_true(cli_unquote(good[i].text, &value, &len, &rest));
        assert_string_equal(value, good[i].value);
        assert_int_equal(len, strlen(good[i].value));
        assert_string_equal(rest, good[i].rest);
        free(value);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char *value = NULL;
        size_t len;
        const char *rest;

        assert_false(cli_unquote(bad[i], &value, &len, &rest));
        assert_null(value);
    }
}

static void printable_characters(void **state)
{
    static const uint32_t yes[] = {'a', '~', ' ', 0xa1, 0xe9, 0x20ac, 0x4e2d, 0x1f600, 0xfffd};
    static const uint32_t no[] = {0,      0x1f,   0x7f,   0x80,   0x9f,   0xa0,    0xad,
                                  0x2028, 0x3000, 0xe000, 0xfeff, 0xffff, 0xe0001, 0x10ffff};

    (void)state;
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        assert_true(cli_is_printable(yes[i]));
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        assert_false(cli_is_printable(no[i]));
}

/* -- words of a line -- */

static void check_words(const char *line, const char *const *expected, size_t n_expected)
{
    char **words = NULL;
    size_t n = 0;
    cli_error error;

    assert_true(cli_split(line, &words, &n, &error));
    assert_int_equal(n, n_expected);
    for (size_t i = 0; i < n; i++)
        assert_string_equal(words[i], expected[i]);
    cli_words_free(words, n);
}

static void lines_are_split(void **state)
{
    char **words = NULL;
    size_t n = 0;
    cli_error error = {""};

    (void)state;
    check_words("", NULL, 0);
    check_words(" \t ", NULL, 0);
    check_words("put a  b", (const char *const[]){"put", "a", "b"}, 3);
    check_words("put 'a b' \"c\\td\"", (const char *const[]){"put", "a b", "c\td"}, 3);
    check_words("put \"\" ''", (const char *const[]){"put", "", ""}, 3);
    check_words("put c\"d e\"f", (const char *const[]){"put", "c\"d", "e\"f"}, 3); /* quotes within a word are of the word */
    check_words("put \"a\"b", (const char *const[]){"put", "a", "b"}, 3);
    check_words("put a \"b", (const char *const[]){"put", "a", "b"}, 3); /* a quote without another is skipped */
    check_words("put 'it", (const char *const[]){"put", "it"}, 2);
    check_words("put 'a\\' x", (const char *const[]){"put", "a\\", "x"}, 3); /* no escapes within '...' */
    assert_false(cli_split("put \"\\q\" x", &words, &n, &error));
    assert_string_equal(error.text, "invalid syntax");
    cli_words_free(words, n);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(integers),
    cmocka_unit_test(naturals_and_bools),
    cmocka_unit_test(durations_are_read),
    cmocka_unit_test(durations_are_written),
    cmocka_unit_test(lists),
    cmocka_unit_test(bytes_are_quoted),
    cmocka_unit_test(quoted_strings_are_read),
    cmocka_unit_test(printable_characters),
    cmocka_unit_test(lines_are_split),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
