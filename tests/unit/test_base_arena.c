/* base/arena.h: alignment, growth, the limit, overflows, and what it costs in allocations. */
#include "base/alloc.h"
#include "base/arena.h"
#include "harness/alloc.h"
#include "harness/test.h"

#include <stdalign.h>
#include <string.h>

#define ALIGNMENT alignof(max_align_t)

static int setup(void **state)
{
    (void)state;
    etcd_test_alloc_install();
    return 0;
}

static int nothing_leaked(void **state)
{
    (void)state;
    return etcd_test_alloc_live() == 0 ? 0 : -1;
}

static void memory_is_aligned_and_distinct(void **state)
{
    etcd__arena *arena = etcd__arena_new(100, SIZE_MAX);
    unsigned char *blocks[200];

    (void)state;
    assert_non_null(arena);
    for (size_t i = 0; i < 200; i++) {
        blocks[i] = etcd__arena_alloc(arena, i);
        assert_non_null(blocks[i]);
        assert_int_equal((uintptr_t)blocks[i] % ALIGNMENT, 0);
        memset(blocks[i], (int)i, i);
    }
    for (size_t i = 0; i < 200; i++)
        for (size_t j = 0; j < i; j++)
            assert_int_equal(blocks[i][j], i);
    etcd__arena_free(arena);
}

static void what_fits_the_first_chunk_is_one_allocation(void **state)
{
    etcd__arena *arena = etcd__arena_new(1000, SIZE_MAX);

    (void)state;
    for (int i = 0; i < 10; i++)
        assert_non_null(etcd__arena_alloc(arena, 96));
    assert_int_equal(etcd_test_alloc_count(), 1);
    etcd__arena_free(arena);
}

static void growth_takes_a_logarithm_of_allocations(void **state)
{
    etcd__arena *arena = etcd__arena_new(64, SIZE_MAX);

    (void)state;
    for (int i = 0; i < 4096; i++)
        assert_non_null(etcd__arena_alloc(arena, 64)); /* 256 KiB in all */
    assert_true(etcd_test_alloc_count() <= 13);
    etcd__arena_free(arena);
}

static void calloc_clears(void **state)
{
    etcd__arena *arena = etcd__arena_new(64, SIZE_MAX);
    unsigned char *dirty = etcd__arena_alloc(arena, 64), *clean;

    (void)state;
    memset(dirty, 0xff, 64);
    clean = etcd__arena_calloc(arena, 100, 7);
    for (int i = 0; i < 700; i++)
        assert_int_equal(clean[i], 0);
    etcd__arena_free(arena);
}

static void limit_bounds_the_sum(void **state)
{
    etcd__arena *arena = etcd__arena_new(64, 1024);
    size_t got = 0;

    (void)state;
    while (etcd__arena_alloc(arena, 32) != NULL)
        got += 32;
    assert_true(got <= 1024);
    assert_true(got >= 960);
    assert_true(arena->allocated <= arena->limit);
    etcd__arena_free(arena);
}

static void limit_refuses_one_large_block_and_goes_on(void **state)
{
    etcd__arena *arena = etcd__arena_new(64, 1024);

    (void)state;
    assert_null(etcd__arena_alloc(arena, 2000));
    assert_non_null(etcd__arena_alloc(arena, 500));
    etcd__arena_free(arena);
}

static void limit_below_the_alignment_is_kept(void **state)
{
    etcd__arena *arena = etcd__arena_new(0, 10);

    (void)state;
    assert_non_null(arena);
    assert_null(etcd__arena_alloc(arena, 11));
    assert_null(etcd__arena_alloc(arena, 1)); /* rounded up to the alignment, it is over the limit */
    assert_non_null(etcd__arena_alloc(arena, 0));
    etcd__arena_free(arena);
    assert_null(etcd__arena_new(11, 10));
}

/* The first chunk is rounded up, which must not make the room that is left wrap around. */
static void limit_within_the_rounding_of_the_first_chunk(void **state)
{
    etcd__arena *arena = etcd__arena_new(10, 10);

    (void)state;
    assert_non_null(arena);
    assert_non_null(etcd__arena_alloc(arena, 10));
    assert_null(etcd__arena_alloc(arena, 1));
    assert_null(etcd__arena_alloc(arena, 4096));
    etcd__arena_free(arena);
}

static void overflowing_sizes_fail(void **state)
{
    etcd__arena *arena = etcd__arena_new(64, SIZE_MAX);

    (void)state;
    assert_null(etcd__arena_new(SIZE_MAX, SIZE_MAX));
    assert_null(etcd__arena_new(SIZE_MAX - 8, SIZE_MAX));
    assert_null(etcd__arena_alloc(arena, SIZE_MAX));
    assert_null(etcd__arena_alloc(arena, SIZE_MAX - ALIGNMENT + 1));
    assert_null(etcd__arena_alloc(arena, SIZE_MAX - ALIGNMENT));
    assert_null(etcd__arena_alloc(arena, SIZE_MAX - 4 * ALIGNMENT));
    assert_null(etcd__arena_calloc(arena, SIZE_MAX / 2, 3));
    assert_null(etcd__arena_calloc(arena, 3, SIZE_MAX / 2));
    assert_non_null(etcd__arena_calloc(arena, SIZE_MAX, 0));
    assert_non_null(etcd__arena_alloc(arena, 64));
    etcd__arena_free(arena);
}

static void owned_block_is_freed_with_it(void **state)
{
    etcd__arena *arena = etcd__arena_new(64, SIZE_MAX);

    (void)state;
    arena->owned = etcd__malloc(10);
    assert_int_equal(etcd_test_alloc_live(), 2);
    etcd__arena_free(arena);
    assert_int_equal(etcd_test_alloc_live(), 0);
    etcd__arena_free(NULL);
}

static int fill_an_arena(void *arg)
{
    etcd__arena *arena = etcd__arena_new(64, SIZE_MAX);
    int rc = 0;

    (void)arg;
    if (arena == NULL)
        return -1;
    for (int i = 0; i < 100 && rc == 0; i++)
        if (etcd__arena_alloc(arena, 100) == NULL && etcd__arena_alloc(arena, 100) == NULL) /* usable after a failure */
            rc = -1;
    etcd__arena_free(arena);
    return rc;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    assert_in_range(etcd_test_alloc_sweep(fill_an_arena, NULL), 5, 12);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(memory_is_aligned_and_distinct, setup, nothing_leaked),
    cmocka_unit_test_setup_teardown(what_fits_the_first_chunk_is_one_allocation, setup, nothing_leaked),
    cmocka_unit_test_setup_teardown(growth_takes_a_logarithm_of_allocations, setup, nothing_leaked),
    cmocka_unit_test_setup_teardown(calloc_clears, setup, nothing_leaked),
    cmocka_unit_test_setup_teardown(limit_bounds_the_sum, setup, nothing_leaked),
    cmocka_unit_test_setup_teardown(limit_refuses_one_large_block_and_goes_on, setup, nothing_leaked),
    cmocka_unit_test_setup_teardown(limit_below_the_alignment_is_kept, setup, nothing_leaked),
    cmocka_unit_test_setup_teardown(limit_within_the_rounding_of_the_first_chunk, setup, nothing_leaked),
    cmocka_unit_test_setup_teardown(overflowing_sizes_fail, setup, nothing_leaked),
    cmocka_unit_test_setup_teardown(owned_block_is_freed_with_it, setup, nothing_leaked),
    cmocka_unit_test_setup_teardown(every_allocation_may_fail, setup, nothing_leaked),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
