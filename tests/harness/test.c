/* See test.h. */
#include "harness/test.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

int etcd_test_main(const struct CMUnitTest *tests, size_t n_tests, int argc, char **argv)
{
    if (argc < 2)
        return _cmocka_run_group_tests(argv[0], tests, n_tests, NULL, NULL) == 0 ? 0 : 1;
    for (size_t i = 0; i < n_tests; i++)
        if (strcmp(tests[i].name, argv[1]) == 0)
            return _cmocka_run_group_tests(argv[1], &tests[i], 1, NULL, NULL) == 0 ? 0 : 1;
    fprintf(stderr, "%s: no test is called \"%s\"\n", argv[0], argv[1]);
    return 1;
}

_Noreturn void etcd_test_child_exit(int wrong)
{
    if (wrong == 0)
        (void)execl("/bin/true", "true", (char *)NULL);
    _exit(1);
}
