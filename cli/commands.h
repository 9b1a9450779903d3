/* The commands of each family; commands.c puts them into one table.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "command.h"

extern const cli_command cli_get, cli_put, cli_del, cli_txn, cli_compaction;
extern const cli_command cli_version, cli_help_command, cli_options, cli_completion;

#endif
