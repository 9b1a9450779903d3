/* src/http2/memory.c: the allocator of nghttp2. */
#include "http2/memory.h"

#include "harness/alloc.h"
#include "harness/test.h"

#include <stdalign.h>
#include <string.h>

static void blocks_are_reused(void **state)
{
    etcd__h2_pool pool = {0};
    nghttp2_mem mem = etcd__h2_pool_functions(&pool);
    size_t count;

    (void)state;
    etcd_test_alloc_install();
    for (size_t size = 1; size <= 2048; size++) {
        void *block = mem.malloc(size, mem.mem_user_data);

        assert_non_null(block);
        assert_int_equal((uintptr_t)block % alignof(max_align_t), 0);
        memset(block, 0xff, size);
        mem.free(block, mem.mem_user_data);
    }
    count = etcd_test_alloc_count();
    assert_int_equal(count, ETCD__H2_POOL_CLASSES);
    assert_int_equal(etcd_test_alloc_live(), ETCD__H2_POOL_CLASSES);
    etcd__h2_pool_free(&pool);
    assert_int_equal(etcd_test_alloc_live(), 0);
}

static void large_blocks_are_not_kept(void **state)
{
    etcd__h2_pool pool = {0};
    nghttp2_mem mem = etcd__h2_pool_functions(&pool);
    void *block;

    (void)state;
    etcd_test_alloc_install();
    block = mem.malloc(2049, mem.mem_user_data);
    assert_non_null(block);
    mem.free(block, mem.mem_user_data);
    assert_int_equal(etcd_test_alloc_live(), 0);
    mem.free(NULL, mem.mem_user_data);
    assert_int_equal(pool.waiting, 0);
}

static void waiting_is_bounded(void **state)
{
    enum { N = ETCD__H2_POOL_MAX / 2048 + 100 };
    static void *blocks[N];
    etcd__h2_pool pool = {0};
    nghttp2_mem mem = etcd__h2_pool_functions(&pool);

    (void)state;
    etcd_test_alloc_install();
    for (size_t i = 0; i < N; i++)
        blocks[i] = mem.malloc(2000, mem.mem_user_data);
    for (size_t i = 0; i < N; i++)
        mem.free(blocks[i], mem.mem_user_data);
    assert_int_equal(pool.waiting, ETCD__H2_POOL_MAX);
    assert_int_equal(etcd_test_alloc_live(), ETCD__H2_POOL_MAX / 2048);
    etcd__h2_pool_free(&pool);
}

static void calloc_clears(void **state)
{
    etcd__h2_pool pool = {0};
    nghttp2_mem mem = etcd__h2_pool_functions(&pool);
    unsigned char *block = mem.malloc(100, mem.mem_user_data);

    (void)state;
    memset(block, 0xff, 100);
    mem.free(block, mem.mem_user_data);
    block = mem.calloc(10, 10, mem.mem_user_data);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(block[i], 0);
    mem.free(block, mem.mem_user_data);
    assert_null(mem.calloc(SIZE_MAX / 2, 3, mem.mem_user_data));
    etcd__h2_pool_free(&pool);
}

static void realloc_keeps_contents(void **state)
{
    etcd__h2_pool pool = {0};
    nghttp2_mem mem = etcd__h2_pool_functions(&pool);
    unsigned char *block = mem.realloc(NULL, 1, mem.mem_user_data);

    (void)state;
    block[0] = 1;
    for (size_t size = 2; size < 10000; size++) {
        block = mem.realloc(block, size, mem.mem_user_data);
        block[size - 1] = (unsigned char)size;
        assert_int_equal(block[0], 1);
        assert_int_equal(block[size / 2], (unsigned char)(size / 2 + 1));
    }
    mem.free(block, mem.mem_user_data);
    etcd__h2_pool_free(&pool);
}

static void failures(void **state)
{
    etcd__h2_pool pool = {0};
    nghttp2_mem mem = etcd__h2_pool_functions(&pool);
    char *block;

    (void)state;
    etcd_test_alloc_install();
    etcd_test_alloc_fail_at(1);
    assert_null(mem.malloc(10, mem.mem_user_data));
    block = mem.malloc(10, mem.mem_user_data);
    block[0] = 'x';
    etcd_test_alloc_fail_at(1);
    assert_null(mem.realloc(block, 1000, mem.mem_user_data));
    assert_int_equal(block[0], 'x'); /* as it was */
    etcd_test_alloc_fail_at(1);
    assert_null(mem.calloc(1, 3000, mem.mem_user_data));
    mem.free(block, mem.mem_user_data);
    etcd__h2_pool_free(&pool);
    assert_int_equal(etcd_test_alloc_live(), 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(blocks_are_reused), cmocka_unit_test(large_blocks_are_not_kept), cmocka_unit_test(waiting_is_bounded),
    cmocka_unit_test(calloc_clears),     cmocka_unit_test(realloc_keeps_contents),    cmocka_unit_test(failures),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
