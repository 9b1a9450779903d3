/* Text in new memory, for tables and messages.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include "cli.h"

/** As printf, into new memory. */
__attribute__((format(printf, 1, 2))) char *cli_text(const char *format, ...);

/** The texts with `separator` between them, in new memory. */
char *cli_join(const etcd_bytes *texts, size_t n, const char *separator);

/** Frees `n` texts and the array. */
void cli_free_texts(char **texts, size_t n);

/** A size as people read it: "33 kB", "2.1 GB". In new memory. */
char *cli_size(int64_t bytes);

/** A name or another text of the server: as it is, also with --hex; control bytes are escaped on a terminal. */
void cli_print_text(FILE *out, const cli *c, etcd_bytes text);

/** Nanoseconds of a clock that only goes forward. */
int64_t cli_now_ns(void);

#endif
