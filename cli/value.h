/* Values as the command line has them, read and written as Go does: numbers, durations, lists, quoted strings; with the error
 * texts of strconv and time, which etcdctl shows to its users.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_VALUE_H
#define CLI_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define CLI_ERROR_MAX 1024

/** The text of what went wrong; cut when it is longer. */
typedef struct cli_error {
    char text[CLI_ERROR_MAX];
} cli_error;

__attribute__((format(printf, 2, 3))) void cli_error_set(cli_error *error, const char *format, ...);

/** Read a number. `base` 0 takes it from the prefix and allows underscores, as Go's strconv. False with the text in
 *  `error`. */
bool cli_parse_int(const char *text, int base, int64_t *out, cli_error *error);
bool cli_parse_uint(const char *text, int base, uint64_t *out, cli_error *error);
bool cli_parse_bool(const char *text, bool *out, cli_error *error);

/** Reads a duration like "1h2m3.5s" into nanoseconds. */
bool cli_parse_duration(const char *text, int64_t *ns, cli_error *error);

/** Writes a duration as Go's Duration.String() does: "1.5s", "1m0s", "20ms". Returns `out`. */
char *cli_format_duration(int64_t ns, char *out, size_t size);

/** Adds the comma-separated fields of `text` (quoted as in CSV) to the list. False with the text in `error`. */
bool cli_parse_list(const char *text, char ***items, size_t *n_items, cli_error *error);

/** Writes bytes in double quotes, escaped as Go's %q does. */
void cli_quote(FILE *out, const char *data, size_t len);

/** The same in new memory. */
char *cli_quoted(const char *data, size_t len);

/** Reads a string as Go's Sscanf does for %q: "double" or `back` quoted, from the start of `text`. The value is new memory,
 *  `*rest` is what follows it. False when it is none. */
bool cli_unquote(const char *text, char **out, size_t *out_len, const char **rest);

/** Memory: these end the program when there is none. */
void *cli_alloc(size_t size);
void *cli_realloc(void *memory, size_t size);
char *cli_copy(const char *text, size_t len);

#endif
