/* src/grpc/timeout.c: the text of grpc-timeout. */
#include "grpc/timeout.h"

#include "harness/test.h"

#include <stdlib.h>
#include <string.h>

static void check(int64_t ns, const char *expected)
{
    char text[ETCD__GRPC_TIMEOUT_SIZE + 1];
    size_t len = etcd__grpc_timeout_write(text, ns);

    assert_true(len <= ETCD__GRPC_TIMEOUT_SIZE);
    text[len] = '\0';
    assert_string_equal(text, expected);
}

static void units(void **state)
{
    (void)state;
    check(1, "1n");
    check(99999999, "99999999n");
    check(100000000, "100000u");
    check(100000001, "100001u"); /* rounded up */
    check(999999001, "1000000u");
    check(1000000000, "1000m");
    check(1000000001, "1001m");
    check(1999100000, "2000m");
    check(2000000000, "2000m");
    check(INT64_C(99999999) * 1000000, "99999999m");
    check(INT64_C(99999999) * 1000000 + 1, "100000S");
    check(INT64_C(99999999) * 1000000000, "99999999S");
    check(INT64_C(99999999) * 1000000000 + 1, "1666667M");
    check(INT64_C(99999999) * 60000000000, "99999999M");
    check(INT64_C(99999999) * 60000000000 + 1, "1666667H");
    check(INT64_MAX, "2562048H");
}

static void not_positive(void **state)
{
    (void)state;
    check(0, "1n");
    check(-1, "1n");
    check(INT64_MIN, "1n");
}

/* Never less than what was asked, and by less than one unit more. */
static void never_early(void **state)
{
    static const struct {
        char name;
        int64_t ns;
    } names[] = {{'n', 1}, {'u', 1000}, {'m', 1000000}, {'S', 1000000000}, {'M', 60000000000}, {'H', 3600000000000}};

    (void)state;
    for (int64_t ns = 1; ns < INT64_MAX / 7; ns = ns * 7 / 3 + 1) {
        char text[ETCD__GRPC_TIMEOUT_SIZE + 1];
        size_t len = etcd__grpc_timeout_write(text, ns), unit = 0;
        int64_t value;

        text[len] = '\0';
        assert_true(len >= 2 && len <= 9 && text[0] != '0');
        value = strtoll(text, NULL, 10);
        while (names[unit].name != text[len - 1])
            assert_true(++unit < sizeof names / sizeof names[0]);
        assert_true((ns - 1) / names[unit].ns < value);
        assert_true((value - 1) * names[unit].ns < ns);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(units),
    cmocka_unit_test(not_positive),
    cmocka_unit_test(never_early),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
