/* Help and usage, laid out as cobra does.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_HELP_H
#define CLI_HELP_H

#include "command.h"
#include <stdio.h>

/** How a command is used; of the program itself with NULL. */
void cli_usage(FILE *out, const char *program, const cli_command *command);

/** The help of a command: what it does, and how it is used. */
void cli_help(FILE *out, const char *program, const cli_command *command);

/** A table of flags, by name. */
void cli_flag_usages(FILE *out, const cli_flag *flags, size_t n_flags, const char *help_of);

#endif
