/* The allocator hook of base/alloc.h, and the failing allocator that the other tests use. */
#include "base/alloc.h"
#include "harness/alloc.h"
#include "harness/test.h"

#include <etcd3/error.h>
#include <etcd3/types.h>
#include <string.h>

static void *no_malloc(size_t size, void *arg)
{
    (void)size;
    (void)arg;
    return NULL;
}

static void hook_refuses_a_missing_function(void **state)
{
    const etcd_allocator incomplete = {.malloc_fn = no_malloc};
    void *memory;

    (void)state;
    assert_int_equal(etcd_set_allocator(&incomplete), ETCD_ERR_ARGUMENT);
    memory = etcd__malloc(1); /* the old functions stay */
    assert_non_null(memory);
    etcd__free(memory);
}

static void hook_gets_every_function(void **state)
{
    void *a, *b;
    char *c;

    (void)state;
    etcd_test_alloc_install();
    a = etcd__malloc(3);
    b = etcd__calloc(2, 8);
    c = etcd__strdup("text");
    assert_int_equal(etcd_test_alloc_live(), 3);
    assert_memory_equal(b, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
    memcpy(a, "abc", 3);
    a = etcd__realloc(a, 100);
    assert_memory_equal(a, "abc", 3);
    assert_int_equal(etcd_test_alloc_count(), 4);
    etcd__free(a);
    etcd__free(b);
    etcd__free(c);
    etcd__free(NULL);
    assert_int_equal(etcd_test_alloc_live(), 0);
}

static void null_restores_the_c_library(void **state)
{
    void *memory;

    (void)state;
    etcd_test_alloc_install();
    assert_int_equal(etcd_set_allocator(NULL), ETCD_OK);
    memory = etcd__malloc(1);
    assert_non_null(memory);
    assert_int_equal(etcd_test_alloc_count(), 0);
    etcd__free(memory);
}

static void strndup_copies_and_terminates(void **state)
{
    char *copy = etcd__strndup("a\0b", 3), *empty = etcd__strndup(NULL, 0);

    (void)state;
    assert_memory_equal(copy, "a\0b\0", 4);
    assert_string_equal(empty, "");
    etcd__free(copy);
    etcd__free(empty);
    etcd_test_alloc_install();
    etcd_test_alloc_fail_at(1);
    assert_null(etcd__strdup("x"));
}

static void wipe_clears(void **state)
{
    char secret[] = "secret";

    (void)state;
    etcd__wipe(secret, 3);
    assert_memory_equal(secret, "\0\0\0ret", 6);
    etcd__wipe(NULL, 0);
}

static void fail_at_fails_once(void **state)
{
    void *first, *third;

    (void)state;
    etcd_test_alloc_install();
    etcd_test_alloc_fail_at(2);
    first = etcd__malloc(1);
    assert_non_null(first);
    assert_false(etcd_test_alloc_failed());
    assert_null(etcd__malloc(1));
    assert_true(etcd_test_alloc_failed());
    third = etcd__malloc(1);
    assert_non_null(third);
    assert_int_equal(etcd_test_alloc_live(), 2);
    first = (etcd_test_alloc_fail_at(1), etcd__realloc(first, 2)) ? NULL : first;
    assert_non_null(first); /* a failed realloc keeps the block */
    etcd__free(first);
    etcd__free(third);
    assert_int_equal(etcd_test_alloc_live(), 0);
}

static int make_two(void *arg)
{
    char *a = etcd__strdup("a"), *b = NULL;
    int rc = -1;

    ++*(int *)arg;
    if (a == NULL)
        goto out;
    b = etcd__strdup("b");
    if (b == NULL)
        goto out;
    rc = 0;
out:
    etcd__free(b);
    etcd__free(a);
    return rc;
}

static void sweep_fails_each_allocation(void **state)
{
    int runs = 0;

    (void)state;
    etcd_test_alloc_install();
    assert_int_equal(etcd_test_alloc_sweep(make_two, &runs), 2);
    assert_int_equal(runs, 3);
}

static void strings_share_a_block(void **state)
{
    uint8_t block[8] = "........", *place = block;

    (void)state;
    assert_int_equal(etcd__text_size("abc") + etcd__text_size(NULL) + etcd__text_size(""), 5);
    assert_ptr_equal(etcd__text_put("abc", &place), block);
    assert_null(etcd__text_put(NULL, &place));
    assert_ptr_equal(etcd__text_put("", &place), block + 4);
    assert_ptr_equal(place, block + 5);
    assert_memory_equal(block, "abc\0\0...", 8);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(hook_refuses_a_missing_function),
    cmocka_unit_test(hook_gets_every_function),
    cmocka_unit_test(null_restores_the_c_library),
    cmocka_unit_test(strndup_copies_and_terminates),
    cmocka_unit_test(strings_share_a_block),
    cmocka_unit_test(wipe_clears),
    cmocka_unit_test(fail_at_fails_once),
    cmocka_unit_test(sweep_fails_each_allocation),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
