/* What `bench` reports.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_BENCH_H
#define CLI_BENCH_H

#include "load.h"

typedef struct cli_bench_op cli_bench_op;

/** Prints what a load took: for people, as json with -w json, or as CSV with --csv. */
void cli_bench_report(const cli *c, const char *name, const cli_load *load);

#endif
