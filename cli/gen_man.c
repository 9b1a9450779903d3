/* Writes the man pages of etcd3ctl, section 1, from the tables of commands and flags: etcd3ctl(1), and etcd3ctl-<command>(1) for
 * each command. Run by the build; not installed.
 *
 *     gen_man DIRECTORY DATE
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define PROGRAM "etcd3ctl"

static const char *date, *directory;

/* -- text as mdoc wants it -- */

static void escaped(FILE *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (i == 0 && (text[i] == '.' || text[i] == '\''))
            fputs("\\&", out);
        if (text[i] == '\\')
            fputs("\\e", out);
        else if (text[i] == ' ' && i > 0 && i + 1 < len && strchr(".:", text[i - 1]) && isupper((unsigned char)text[i + 1]))
            putc('\n', out); /* mdoc wants a line for each sentence */
        else
            putc(text[i], out);
    }
}

/* Paragraphs; indented lines stay as they are. The tool's own name replaces etcdctl's. */
static void prose(FILE *out, const char *text)
{
    bool literal = false;

    while (*text) {
        size_t len = strcspn(text, "\n");
        bool indented = text[0] == ' ' || (literal && len == 0 && text[1] == ' ');

        if (indented != literal) {
            fputs(indented ? ".Bd -literal -compact\n" : ".Ed\n", out);
            literal = indented;
        }
        if (len == 0)
            fputs(literal ? "\n" : ".Pp\n", out);
        for (size_t i = 0; i < len;) {
            const char *found = strstr(text + i, "etcdctl");
            size_t part = found && found < text + len ? (size_t)(found - text) - i : len - i;

            escaped(out, text + i, part);
            i += part;
            if (i < len) {
                fputs(PROGRAM, out);
                i += strlen("etcdctl");
            }
        }
        if (len > 0)
            putc('\n', out);
        text += len + (text[len] == '\n');
    }
    if (literal)
        fputs(".Ed\n", out);
}

static void flag_items(FILE *out, const cli_flag *flags, size_t n)
{
    static const char *const kinds[] = {
        [CLI_INT] = "number", [CLI_UINT] = "number", [CLI_STRING] = "text", [CLI_STRINGS] = "list", [CLI_DURATION] = "duration"};

    fputs(".Bl -tag -width Ds\n", out);
    for (size_t i = 0; i < n; i++) {
        fputs(".It ", out);
        if (flags[i].shorthand)
            fprintf(out, "Fl %c , ", flags[i].shorthand);
        fprintf(out, "Fl Fl %s", flags[i].name);
        if (flags[i].type != CLI_BOOL)
            fprintf(out, " Ns = Ns Ar %s", kinds[flags[i].type]);
        putc('\n', out);
        escaped(out, flags[i].usage, strlen(flags[i].usage));
        putc('\n', out);
        if (flags[i].initial && *flags[i].initial && strcmp(flags[i].initial, "false") != 0) {
            fputs("Default: ", out);
            escaped(out, flags[i].initial, strlen(flags[i].initial));
            fputs(".\n", out);
        }
    }
    fputs(".El\n", out);
}

/* -- pages -- */

/* "lease-grant" of "lease grant". */
static void page_name(const cli_command *command, char *out, size_t size)
{
    snprintf(out, size, PROGRAM "-%s", command->name);
    for (char *s = out; *s; s++)
        *s = *s == ' ' ? '-' : *s;
}

static FILE *open_page(const char *name, const char *summary)
{
    char path[4096];
    FILE *out;

    snprintf(path, sizeof path, "%s/%s.1", directory, name);
    out = fopen(path, "w");
    if (!out) {
        perror(path);
        exit(1);
    }
    fprintf(out, ".Dd %s\n.Dt ", date);
    for (const char *s = name; *s; s++)
        putc(toupper((unsigned char)*s), out);
    fprintf(out, " 1\n.Os libetcd3 %s\n.Sh NAME\n.Nm %s\n.Nd ", etcd_version(), name);
    putc(tolower((unsigned char)summary[0]), out);
    escaped(out, summary + 1, strlen(summary + 1) - (summary[strlen(summary) - 1] == '.'));
    fputs("\n.Sh SYNOPSIS\n", out);
    return out;
}

static bool is_child(const cli_command *command, const cli_command *parent)
{
    size_t len = strlen(parent->name);

    return strncmp(command->name, parent->name, len) == 0 && command->name[len] == ' ';
}

static void list_commands(FILE *out, const cli_command *parent)
{
    char name[128];

    fputs(".Bl -tag -width Ds\n", out);
    for (size_t i = 0; i < cli_n_commands; i++) {
        const cli_command *command = cli_commands[i];

        if (parent ? !is_child(command, parent) : strchr(command->name, ' ') != NULL)
            continue;
        page_name(command, name, sizeof name);
        fprintf(out, ".It Xr %s 1\n", name);
        escaped(out, command->summary, strlen(command->summary));
        putc('\n', out);
    }
    fputs(".El\n", out);
}

static void write_command(const cli_command *command)
{
    int parent_len = (int)(strlen(command->name) - strlen(cli_own_name(command)));
    char name[128];
    FILE *out;

    page_name(command, name, sizeof name);
    out = open_page(name, command->summary);
    fputs(".Nm " PROGRAM "\n", out);
    fprintf(out, "%.*s", parent_len, command->name);
    escaped(out, command->run ? command->usage : command->name, strlen(command->run ? command->usage : command->name));
    fputs(command->run ? "\n" : "\n.Ar command\n", out);
    fputs(".Sh DESCRIPTION\n", out);
    prose(out, command->description ? command->description : command->summary);
    if (!command->run)
        list_commands(out, command);
    if (command->n_flags + (command->also_flags_of ? command->also_flags_of->n_flags : 0) > 0) {
        fputs(".Sh OPTIONS\n", out);
        if (command->n_flags > 0)
            flag_items(out, command->flags, command->n_flags);
        if (command->also_flags_of)
            flag_items(out, command->also_flags_of->flags, command->also_flags_of->n_flags);
    }
    if (command->examples) {
        fputs(".Sh EXAMPLES\n.Bd -literal\n", out);
        escaped(out, command->examples, strlen(command->examples));
        fputs("\n.Ed\n", out);
    }
    fputs(".Sh SEE ALSO\n.Xr etcd3ctl 1\n", out);
    fclose(out);
}

static void write_exit_status(FILE *out)
{
    static const char *const codes[][2] = {
        {"0", "Success."},
        {"1", "The server, or the command line, says no: the text is on standard error."},
        {"2", "There is no connection to make: no endpoints."},
        {"3", "The input of txn or watch cannot be read."},
        {"4", "A format, sort order or consistency that does not exist or is not supported."},
        {"5", "The server ended a watch, or a snapshot failed."},
        {"6", "Output could not be written."},
        {"128", "Wrong arguments."},
    };

    fputs(".Sh EXIT STATUS\n.Bl -tag -width 128\n", out);
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        fprintf(out, ".It %s\n%s\n", codes[i][0], codes[i][1]);
    fputs(".El\n", out);
}

static void write_program(void)
{
    FILE *out = open_page(PROGRAM, "A command line client for etcd 3");

    fputs(".Nm\n.Ar command\n.Op Ar options\n.Op Ar arguments\n.Sh DESCRIPTION\n"
          "Reads, writes and watches the keys of an etcd cluster, and looks after the cluster itself.\n"
          "Called by the name\n.Nm etcdctl\n"
          "it is a drop-in for that program: commands, flags, output and exit codes are the same.\n"
          ".Pp\nA command may be cut short as long as it is unique.\n"
          "Flags may stand anywhere; the last of several wins;\n.Fl Fl\nends them.\n.Sh COMMANDS\n",
          out);
    list_commands(out, NULL);
    fputs(".Sh OPTIONS\nThese are for all commands.\n"
          "Durations are written as \\(lq1.5s\\(rq, \\(lq100ms\\(rq, \\(lq1h\\(rq.\n",
          out);
    flag_items(out, cli_global_flags, cli_n_global_flags);
    fputs(".Sh ENVIRONMENT\nEach of these options can be given as a variable as well:\n.Ev ETCDCTL_WRITE_OUT\nfor\n"
          ".Fl Fl write-out .\nGiving one in both ways is an error.\n",
          out);
    write_exit_status(out);
    fputs(".Sh SEE ALSO\n.Xr etcd3_client 3\n", out);
    fclose(out);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fputs("usage: gen_man DIRECTORY DATE\n", stderr);
        return 2;
    }
    directory = argv[1];
    date = argv[2];
    write_program();
    for (size_t i = 0; i < cli_n_commands; i++)
        write_command(cli_commands[i]);
    return 0;
}
