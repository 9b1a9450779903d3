/* base/clock.h, base/random.h, base/log.h. */
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "harness/test.h"

#include <stdio.h>
#include <string.h>

static void clocks_go_forward(void **state)
{
    int64_t monotonic = etcd__clock_monotonic(), boot = etcd__clock_boot();

    (void)state;
    assert_true(monotonic > 0 && boot > 0);
    for (int i = 0; i < 1000; i++) {
        int64_t next = etcd__clock_monotonic(), next_boot = etcd__clock_boot();

        assert_true(next >= monotonic && next_boot >= boot);
        monotonic = next;
        boot = next_boot;
    }
}

static void after_adds_without_overflow(void **state)
{
    (void)state;
    assert_true(etcd__clock_after(100, 20) == 120);
    assert_true(etcd__clock_after(100, 0) == 100);
    assert_true(etcd__clock_after(100, -1) == ETCD__NEVER);
    assert_true(etcd__clock_after(100, ETCD__NEVER) == ETCD__NEVER);
    assert_true(etcd__clock_after(100, ETCD__NEVER - 100) == ETCD__NEVER);
    assert_true(etcd__clock_after(100, ETCD__NEVER - 101) == ETCD__NEVER - 1);
    assert_true(etcd__clock_after(ETCD__NEVER, 1) == ETCD__NEVER);
}

/* First outputs of SplitMix64 for the seed 0, as published with the algorithm's reference code. */
static void random_is_splitmix64(void **state)
{
    etcd__random random = {0};

    (void)state;
    assert_true(etcd__random_next(&random) == UINT64_C(0xe220a8397b1dcdaf));
    assert_true(etcd__random_next(&random) == UINT64_C(0x6e789e6aa1b965f4));
    assert_true(etcd__random_next(&random) == UINT64_C(0x06c45d188009454f));
}

static void random_seeds_differ(void **state)
{
    etcd__random a, b;

    (void)state;
    etcd__random_init(&a);
    etcd__random_init(&b);
    assert_true(a.state != b.state);
}

static void random_below_reaches_all(void **state)
{
    etcd__random random = {3};
    int counts[10] = {0};

    (void)state;
    for (int i = 0; i < 10000; i++) {
        uint64_t value = etcd__random_below(&random, 10);

        assert_true(value < 10);
        counts[value]++;
    }
    for (int i = 0; i < 10; i++)
        assert_in_range(counts[i], 850, 1150);
    assert_true(etcd__random_below(&random, 1) == 0);
}

static void jitter_stays_within_its_fraction(void **state)
{
    etcd__random random = {4};
    int64_t least = INT64_MAX, most = 0;

    (void)state;
    for (int i = 0; i < 10000; i++) {
        int64_t value = etcd__random_jitter(&random, 1000000, 0.2);

        least = value < least ? value : least;
        most = value > most ? value : most;
    }
    assert_in_range(least, 800000, 802000);
    assert_in_range(most, 1198000, 1200000);
    assert_true(etcd__random_jitter(&random, 77, 0.0) == 77);
    assert_true(etcd__random_jitter(&random, 0, 1.0) == 0);
}

typedef struct lines {
    int n;
    int level;
    char last[2000];
} lines;

static void keep_line(int level, const char *message, void *arg)
{
    lines *kept = arg;

    kept->n++;
    kept->level = level;
    snprintf(kept->last, sizeof kept->last, "%s", message);
}

static void log_drops_what_is_above_its_level(void **state)
{
    lines kept = {0, 0, ""};
    etcd__log log = {keep_line, &kept, ETCD__LOG_WARN};
    etcd__log silent = {NULL, NULL, ETCD__LOG_DEBUG};

    (void)state;
    etcd__log_write(&silent, ETCD__LOG_ERROR, "nobody hears %s", "this");
    etcd__log_write(&log, ETCD__LOG_INFO, "dropped");
    assert_int_equal(kept.n, 0);
    etcd__log_write(&log, ETCD__LOG_WARN, "a %d", 1);
    assert_int_equal(kept.level, ETCD__LOG_WARN);
    assert_string_equal(kept.last, "a 1");
    etcd__log_write(&log, ETCD__LOG_ERROR, "b");
    assert_int_equal(kept.n, 2);
}

static void log_cuts_long_lines(void **state)
{
    lines kept = {0, 0, ""};
    etcd__log log = {keep_line, &kept, ETCD__LOG_DEBUG};
    char text[1900];

    (void)state;
    memset(text, 'l', sizeof text);
    text[sizeof text - 1] = '\0';
    etcd__log_write(&log, ETCD__LOG_DEBUG, "%s", text);
    assert_int_equal(strlen(kept.last), 1023);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(clocks_go_forward),
    cmocka_unit_test(after_adds_without_overflow),
    cmocka_unit_test(random_is_splitmix64),
    cmocka_unit_test(random_seeds_differ),
    cmocka_unit_test(random_below_reaches_all),
    cmocka_unit_test(jitter_stays_within_its_fraction),
    cmocka_unit_test(log_drops_what_is_above_its_level),
    cmocka_unit_test(log_cuts_long_lines),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
