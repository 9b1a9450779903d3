/* etcd3ctl: the command-line tool, a drop-in for etcdctl. Reads the command line and runs the command that it names.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"
#include "complete.h"
#include "help.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/* The name to call ourselves by: scripts that read etcdctl's messages call us by that name. */
static const char *program_name(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;
    const char *name = slash ? slash + 1 : path ? path : "";

    return strcmp(name, "etcd3ctl") == 0 ? "etcd3ctl" : "etcdctl";
}

static int run(cli *c)
{
    const cli_command *command = c->line.command;

    if (c->line.help || !command || !command->run) {
        cli_help(stdout, c->program, command);
        return CLI_OK;
    }
    return command->run(c);
}

static void clean_up(cli *c)
{
    etcd_client_free(c->client);
    cli_line_free(&c->line);
    free(c->endpoints);
    if (c->password)
        explicit_bzero(c->password, strlen(c->password));
    free(c->password);
}

/* A descriptor of ours must not come to be stdin, stdout or stderr: where one is closed, it is /dev/null. As Go does it. */
static void open_standard_streams(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0)
            exit(CLI_IO);
}

int main(int argc, char **argv)
{
    cli c = {.program = program_name(argv[0])};
    cli_error error;
    int status = CLI_ERROR;
    size_t n = argc > 1 ? (size_t)argc - 1 : 0;

    open_standard_streams();
    if (n > 0 && strcmp(argv[1], "__complete") == 0) {
        cli_complete(argv + 2, n - 1);
        return CLI_OK;
    }
    switch (cli_parse(c.program, cli_commands, cli_n_commands, argv + 1, n, &c.line, &error)) {
    case CLI_PARSED:
        status = run(&c);
        break;
    case CLI_BAD_COMMAND:
        fprintf(stderr, "Error: %s\nRun '%s --help' for usage.\n", error.text, c.program);
        break;
    case CLI_BAD_FLAG:
        fprintf(stderr, "Error: %s\n", error.text);
        cli_usage(stderr, c.program, c.line.command);
        putc('\n', stderr);
        break;
    }
    if (fflush(stdout) != 0 && status == CLI_OK)
        status = CLI_IO;
    clean_up(&c);
    return status;
}
