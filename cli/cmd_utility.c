/* version, help, options: commands that need no cluster.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"
#include "commands.h"
#include "help.h"

#include <string.h>

static int run_version(cli *c)
{
    int len = (int)strcspn(ETCD3CTL_FOLLOWS, ".");

    printf("etcdctl version: %s\n", ETCD3CTL_FOLLOWS);
    printf("API version: %.*s\n", len + 1 + (int)strcspn(&ETCD3CTL_FOLLOWS[len + 1], "."), ETCD3CTL_FOLLOWS);
    if (strcmp(c->program, "etcdctl") != 0)
        printf("%s version: %s\n", c->program, etcd_version());
    return CLI_OK;
}

const cli_command cli_version = {
    .name = "version",
    .usage = "version",
    .summary = "Prints the version of etcdctl",
    .group = CLI_UTILITY,
    .run = run_version,
};

static int run_options(cli *c)
{
    (void)c;
    puts("The following options can be passed to any command:\n");
    cli_flag_usages(stdout, cli_global_flags, cli_n_global_flags, NULL);
    return CLI_OK;
}

const cli_command cli_options = {
    .name = "options",
    .usage = "options",
    .summary = "Show the global command-line flags",
    .group = CLI_UTILITY,
    .run = run_options,
};

static int run_help(cli *c)
{
    cli_line line;
    cli_error error;

    if (cli_parse(c->program, cli_commands, cli_n_commands, c->line.args, c->line.n_args, &line, &error) == CLI_BAD_COMMAND) {
        fputs("Unknown help topic [", stderr);
        for (size_t i = 0; i < c->line.n_args; i++)
            fprintf(stderr, "%s`%s`", i ? " " : "", c->line.args[i]);
        fputs("]\n", stderr);
        cli_usage(stderr, c->program, NULL);
    } else {
        cli_help(stdout, c->program, line.command);
    }
    cli_line_free(&line);
    return CLI_OK;
}

const cli_command cli_help_command = {
    .name = "help",
    .usage = "help [command]",
    .summary = "Help about any command",
    .description = "Help provides help for any command in the application.\n"
                   "Simply type etcdctl help [path to command] for full details.",
    .group = CLI_UTILITY,
    .run = run_help,
};
