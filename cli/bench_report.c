/* What `bench` reports. See bench.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "bench.h"
#include "print.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    double share;
} shares[] = {{"p10", 0.1}, {"p50", 0.5}, {"p90", 0.9}, {"p95", 0.95}, {"p99", 0.99}, {"p99.9", 0.999}};
enum { N_SHARES = sizeof shares / sizeof *shares };

static double ms(int64_t ns)
{
    return (double)ns / 1e6;
}

static double rate_of(const cli_load *load)
{
    return load->elapsed_ns > 0 ? (double)load->times.n / ((double)load->elapsed_ns / 1e9) : 0;
}

/** One line for each doubling of time, as long as its share. */
static void print_bars(const cli_histogram *h)
{
    enum { WIDTH = 40 };
    uint64_t most = 0, seen = 0;
    for (int pass = 0; pass < 2; pass++, seen = 0) {
        for (int64_t end = 1000; seen < h->n; end *= 2) {
            uint64_t until = cli_histogram_below(h, end), here = until - seen;
            seen = until;
            most = here > most ? here : most;
            if (pass == 0 || here == 0)
                continue;
            printf("  %10.3f ms  %8" PRIu64 "  %.*s\n", ms(end), here, (int)(here * WIDTH / most),
                   "########################################");
        }
    }
}

static void print_people(const char *name, const cli_load *load)
{
    const cli_histogram *h = &load->times;
    printf("bench %s\n", name);
    printf("  calls     %" PRIu64 ", %" PRIu64 " failed\n", h->n + load->failed, load->failed);
    printf("  in        %.3f s\n", (double)load->elapsed_ns / 1e9);
    printf("  rate      %.0f per second\n", rate_of(load));
    if (load->failed > 0)
        printf("  error     %s\n", load->error.message);
    if (h->n == 0)
        return;
    printf("  fastest   %.3f ms\n  average   %.3f ms, standard deviation %.3f ms\n  slowest   %.3f ms\n", ms(h->least_ns),
           cli_histogram_mean_s(h) * 1e3, cli_histogram_deviation_s(h) * 1e3, ms(h->most_ns));
    for (size_t i = 0; i < N_SHARES; i++)
        printf("  %-8s  %.3f ms\n", shares[i].name, ms(cli_histogram_at(h, shares[i].share)));
    puts("  up to              calls");
    print_bars(h);
}

static void print_json(const char *name, const cli_load *load)
{
    const cli_histogram *h = &load->times;
    printf("{\"op\":\"%s\",\"calls\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"elapsed_s\":%.6f,\"rate\":%.1f,\"latency_ms\":{", name,
           h->n + load->failed, load->failed, (double)load->elapsed_ns / 1e9, rate_of(load));
    printf("\"min\":%.4f,\"mean\":%.4f,\"stddev\":%.4f", ms(h->least_ns), cli_histogram_mean_s(h) * 1e3,
           cli_histogram_deviation_s(h) * 1e3);
    for (size_t i = 0; i < N_SHARES; i++)
        printf(",\"%s\":%.4f", shares[i].name, ms(cli_histogram_at(h, shares[i].share)));
    printf(",\"max\":%.4f}}\n", ms(h->most_ns));
}

static void print_csv(const char *name, const cli_load *load)
{
    const cli_histogram *h = &load->times;
    fputs("op,calls,failed,elapsed_s,rate,min_ms,mean_ms,stddev_ms", stdout);
    for (size_t i = 0; i < N_SHARES; i++)
        printf(",%s_ms", shares[i].name);
    printf(",max_ms\n%s,%" PRIu64 ",%" PRIu64 ",%.6f,%.1f,%.4f,%.4f,%.4f", name, h->n + load->failed, load->failed,
           (double)load->elapsed_ns / 1e9, rate_of(load), ms(h->least_ns), cli_histogram_mean_s(h) * 1e3,
           cli_histogram_deviation_s(h) * 1e3);
    for (size_t i = 0; i < N_SHARES; i++)
        printf(",%.4f", ms(cli_histogram_at(h, shares[i].share)));
    printf(",%.4f\n", ms(h->most_ns));
}

void cli_bench_report(const cli *c, const char *name, const cli_load *load)
{
    if (cli_flag_bool(c, "csv"))
        print_csv(name, load);
    else if (c->format == CLI_JSON)
        print_json(name, load);
    else if (c->format == CLI_SIMPLE)
        print_people(name, load);
    else
        cli_fail_format(c);
}
