/* The state machine of watches in random orders of everything that may happen to it: every watch gets its part of the history
 * exactly once, in order, complete, and no revision in two responses. See harness/watch_model.h.
 *
 *     ETCD3_SCHEDULES=1000000   that many schedules
 *     ETCD3_SEED=n              the one that failed */
#include <stdio.h>
#include <stdlib.h>

#include "harness/alloc.h"
#include "harness/test.h"
#include "harness/watch_model.h"

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text ? strtoull(text, NULL, 10) : otherwise;
}

static void every_watch_gets_its_history(void **state)
{
    uint64_t seed = from_environment("ETCD3_SEED", 0), n = from_environment("ETCD3_SCHEDULES", 3000);
    watch_model_figures figures = {0};

    (void)state;
    if (seed != 0) {
        watch_model_run(seed, false, &figures);
        return;
    }
    for (seed = 1; seed <= n; seed++)
        watch_model_run(seed, false, &figures);
    print_message("%llu schedules: %llu events in %llu responses, %llu fragments, %llu cuts, %llu stalls, %llu compactions, "
                  "%llu listings, %llu doubts, %llu rollbacks, %llu watches ended\n",
                  (unsigned long long)n, (unsigned long long)figures.events, (unsigned long long)figures.responses,
                  (unsigned long long)figures.fragments, (unsigned long long)figures.cuts, (unsigned long long)figures.stalls,
                  (unsigned long long)figures.compactions, (unsigned long long)figures.listings,
                  (unsigned long long)figures.doubts, (unsigned long long)figures.rollbacks, (unsigned long long)figures.ended);
    assert_true(figures.events > n && figures.fragments > n / 10 && figures.cuts > n && figures.stalls > n / 10);
    assert_true(figures.listings > n / 100 && figures.doubts > n / 100 && figures.rollbacks > n / 100 && figures.ended > n / 10);
}

static int one_schedule(void *arg)
{
    watch_model_figures figures = {0};

    watch_model_run(*(const uint64_t *)arg, true, &figures);
    return 0;
}

static void any_allocation_may_fail(void **state)
{
    size_t allocations = 0;

    (void)state;
    etcd_test_alloc_install();
    for (uint64_t seed = 1; seed <= 40; seed++)
        allocations += etcd_test_alloc_sweep(one_schedule, &seed);
    assert_true(allocations > 4000);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_watch_gets_its_history),
        cmocka_unit_test(any_allocation_may_fail),
    };

    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
