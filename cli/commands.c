/* The table of commands: one line each, in any order.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"

const cli_command *const cli_commands[] = {
    &cli_get,
    &cli_version,
    &cli_help_command,
    &cli_options,
};
const size_t cli_n_commands = sizeof cli_commands / sizeof *cli_commands;
