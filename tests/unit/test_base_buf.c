/* base/buf.h and base/reader.h: bytes in and out, and that neither goes past its bounds. */
#include "base/buf.h"
#include "base/reader.h"
#include "harness/alloc.h"
#include "harness/test.h"

#include <etcd3/error.h>
#include <string.h>

static void append_and_consume(void **state)
{
    etcd__buf buf = ETCD__BUF_INIT(1000);

    (void)state;
    assert_int_equal(etcd__buf_append(&buf, "abcdef", 6), ETCD_OK);
    assert_int_equal(etcd__buf_append(&buf, "ghi", 3), ETCD_OK);
    assert_int_equal(etcd__buf_append(&buf, NULL, 0), ETCD_OK);
    etcd__buf_consume(&buf, 0);
    assert_int_equal(buf.len, 9);
    etcd__buf_consume(&buf, 4);
    assert_int_equal(buf.len, 5);
    assert_memory_equal(buf.data, "efghi", 5);
    etcd__buf_consume(&buf, 5);
    assert_int_equal(buf.len, 0);
    etcd__buf_free(&buf);
    assert_null(buf.data);
    assert_int_equal(etcd__buf_append(&buf, "x", 1), ETCD_OK); /* usable again */
    etcd__buf_free(&buf);
}

static void maximum_is_exact(void **state)
{
    etcd__buf buf = ETCD__BUF_INIT(10);

    (void)state;
    assert_int_equal(etcd__buf_append(&buf, "0123456789", 10), ETCD_OK);
    assert_int_equal(etcd__buf_append(&buf, "x", 1), ETCD_ERR_TOO_LARGE);
    assert_int_equal(buf.len, 10);
    assert_memory_equal(buf.data, "0123456789", 10);
    etcd__buf_consume(&buf, 1);
    assert_int_equal(etcd__buf_append(&buf, "x", 1), ETCD_OK);
    assert_memory_equal(buf.data, "123456789x", 10);
    assert_int_equal(etcd__buf_reserve(&buf, 0), ETCD_OK);
    etcd__buf_free(&buf);
}

static void huge_reserve_fails_cleanly(void **state)
{
    etcd__buf buf = ETCD__BUF_INIT(1 << 20);

    (void)state;
    assert_int_equal(etcd__buf_append(&buf, "abc", 3), ETCD_OK);
    assert_int_equal(etcd__buf_reserve(&buf, SIZE_MAX), ETCD_ERR_TOO_LARGE);
    assert_int_equal(etcd__buf_reserve(&buf, SIZE_MAX - 3), ETCD_ERR_TOO_LARGE);
    assert_memory_equal(buf.data, "abc", 3);
    etcd__buf_free(&buf);
}

static void appends_cost_a_logarithm_of_allocations(void **state)
{
    etcd__buf buf = ETCD__BUF_INIT(SIZE_MAX);

    (void)state;
    etcd_test_alloc_install();
    for (int i = 0; i < 65536; i++)
        assert_int_equal(etcd__buf_append(&buf, "0123", 4), ETCD_OK);
    assert_true(etcd_test_alloc_count() <= 12); /* 256 bytes to 256 KiB */
    etcd__buf_free(&buf);
    assert_int_equal(etcd_test_alloc_live(), 0);
}

static void failed_allocation_keeps_the_contents(void **state)
{
    etcd__buf buf = ETCD__BUF_INIT(SIZE_MAX);
    char text[1000];

    (void)state;
    etcd_test_alloc_install();
    memset(text, 'x', sizeof text);
    etcd_test_alloc_fail_at(1);
    assert_int_equal(etcd__buf_append(&buf, "abc", 3), ETCD_ERR_NO_MEMORY);
    assert_int_equal(buf.len, 0);
    assert_int_equal(etcd__buf_append(&buf, "abc", 3), ETCD_OK);
    etcd_test_alloc_fail_at(1);
    assert_int_equal(etcd__buf_append(&buf, text, sizeof text), ETCD_ERR_NO_MEMORY);
    assert_int_equal(buf.len, 3);
    assert_memory_equal(buf.data, "abc", 3);
    assert_int_equal(etcd__buf_append(&buf, text, sizeof text), ETCD_OK);
    assert_int_equal(buf.len, 1003);
    etcd__buf_free(&buf);
    assert_int_equal(etcd_test_alloc_live(), 0);
}

static void reader_reads_in_order(void **state)
{
    static const uint8_t bytes[] = {7, 0x01, 0x02, 0x03, 0x04, 0xff, 0xff, 0xff, 0xff, 'x', 'y'};
    etcd__reader reader = etcd__reader_of(bytes, sizeof bytes);

    (void)state;
    assert_int_equal(etcd__reader_u8(&reader), 7);
    assert_int_equal(etcd__reader_u32be(&reader), 0x01020304);
    assert_int_equal(etcd__reader_u32be(&reader), 0xffffffff);
    assert_int_equal(etcd__reader_left(&reader), 2);
    assert_memory_equal(etcd__reader_take(&reader, 2), "xy", 2);
    assert_false(reader.failed);
    assert_int_equal(etcd__reader_left(&reader), 0);
}

static void reader_stays_failed(void **state)
{
    static const uint8_t bytes[] = {1, 2, 3};
    etcd__reader reader = etcd__reader_of(bytes, sizeof bytes);

    (void)state;
    assert_int_equal(etcd__reader_u32be(&reader), 0);
    assert_true(reader.failed);
    assert_int_equal(etcd__reader_u8(&reader), 0); /* though there are bytes */
    assert_null(etcd__reader_take(&reader, 0));
    reader = etcd__reader_of(bytes, sizeof bytes);
    assert_null(etcd__reader_take(&reader, SIZE_MAX));
    assert_true(reader.failed);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(append_and_consume),
    cmocka_unit_test(maximum_is_exact),
    cmocka_unit_test(huge_reserve_fails_cleanly),
    cmocka_unit_test(appends_cost_a_logarithm_of_allocations),
    cmocka_unit_test(failed_allocation_keeps_the_contents),
    cmocka_unit_test(reader_reads_in_order),
    cmocka_unit_test(reader_stays_failed),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
