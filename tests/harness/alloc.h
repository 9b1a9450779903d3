/* A failing, counting allocator behind etcd_set_allocator(): the tool of "any allocation may fail" (P10).
 *
 *     etcd_test_alloc_install();
 *     etcd_test_alloc_sweep(body, arg);       runs body again and again, failing its 1st, 2nd, ... allocation
 *
 * or by hand: etcd_test_alloc_fail_at(k), run, look at etcd_test_alloc_failed() and etcd_test_alloc_live(). Any thread. Freeing
 * or resizing memory that did not come from this allocator aborts the test program. */
#ifndef ETCD3_TESTS_ALLOC_H
#define ETCD3_TESTS_ALLOC_H

#include <stdbool.h>
#include <stddef.h>

/** Installs the allocator for the rest of the process; no failure is set. Call it first in a test. Again: only resets. */
void etcd_test_alloc_install(void);

/** The k-th allocation from now fails, once; 1 is the next, 0 none. Restarts etcd_test_alloc_count(). */
void etcd_test_alloc_fail_at(size_t k);

/** Allocations (malloc, calloc, growing or first realloc) since the last fail_at or install, the failed one included. */
size_t etcd_test_alloc_count(void);

/** Whether the failure that was set has happened. */
bool etcd_test_alloc_failed(void);

/** Blocks that are allocated now and not freed. */
size_t etcd_test_alloc_live(void);

/** Calls body(arg) with its first, second, ... allocation failing, until a run needs no more, which must return 0. After each
 *  run etcd_test_alloc_live() must be what it was before (so whatever body makes it frees, also when it fails), and a run whose
 * failure happened may return anything. Fails the test otherwise. Returns the number of allocations of the undisturbed run. */
size_t etcd_test_alloc_sweep(int (*body)(void *arg), void *arg);

#endif
