/* What every test program includes: cmocka, and a main that runs all tests or the one that is named, so that CTest can give
 * each test its own process. */
#ifndef ETCD3_TESTS_TEST_H
#define ETCD3_TESTS_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/** Runs tests[0 .. n), or only the one named argv[1]; an unknown name is a failure. Returns an exit status. */
int etcd_test_main(const struct CMUnitTest *tests, size_t n_tests, int argc, char **argv);

/** Ends a child after fork(): with status 0 when `wrong` is 0, else with 1. Valgrind would take what other threads of the
 *  parent hold for leaks of the child, so a good end is that of another program. */
_Noreturn void etcd_test_child_exit(int wrong);

#endif
