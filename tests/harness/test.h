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

#endif
