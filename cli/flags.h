/* Flags and their values during one run, as the Go package pflag has them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_FLAGS_H
#define CLI_FLAGS_H

#include "command.h"
#include "value.h"

typedef struct cli_flag_value {
    const cli_flag *flag;
    bool changed;     /* given on the command line or by the environment */
    int64_t number;   /* bool, int, duration in nanoseconds */
    uint64_t natural; /* uint */
    const char *text; /* string, and what was given for any other */
    char **items;     /* strings */
    size_t n_items;
    char *storage; /* of `text`, when it is ours */
} cli_flag_value;

typedef struct cli_flag_set {
    cli_flag_value *values;
    size_t n_values;
} cli_flag_set;

/** A set with all flags at their defaults. */
void cli_flag_set_init(cli_flag_set *set, const cli_flag *flags, size_t n_flags);
void cli_flag_set_free(cli_flag_set *set);

cli_flag_value *cli_flag_find(const cli_flag_set *set, const char *name, size_t len);
cli_flag_value *cli_flag_find_short(const cli_flag_set *set, char shorthand);

/** Gives a flag a value from its text. False with strconv's text in `error`. */
bool cli_flag_assign(cli_flag_value *value, const char *text, cli_error *error);

/** Writes the value as Go's fmt does: for --debug. */
void cli_flag_print(FILE *out, const cli_flag_value *value);

#endif
