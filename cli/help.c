/* Help and usage. See help.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "help.h"
#include "parse.h"

#include <stdlib.h>
#include <string.h>

#define NAME_WIDTH 11 /* the least width of a column of names */

static const char *const group_titles[] = {
    [CLI_KV] = "Key-value commands",
    [CLI_CLUSTER] = "Cluster maintenance commands",
    [CLI_CONCURRENCY] = "Concurrency commands",
    [CLI_AUTH] = "Authentication commands",
    [CLI_UTILITY] = "Utility commands",
    [CLI_ADDITIONAL] = "Additional commands",
};

/* -- flags -- */

static const char *type_name(const cli_flag *flag)
{
    static const char *const names[] = {[CLI_BOOL] = "",         [CLI_INT] = "int",         [CLI_UINT] = "uint",
                                        [CLI_STRING] = "string", [CLI_STRINGS] = "strings", [CLI_DURATION] = "duration"};

    return names[flag->type];
}

/* The first word in back quotes of a flag's text stands for its value; NULL and 0 without one. */
static const char *value_name(const cli_flag *flag, size_t *len)
{
    const char *begin = strchr(flag->usage, '`'), *end = begin ? strchr(begin + 1, '`') : NULL;

    *len = end ? (size_t)(end - begin - 1) : strlen(type_name(flag));
    return end ? begin + 1 : type_name(flag);
}

/* "  -w, --write-out string": what stands left of a flag's text. Returns its length; `out` may be NULL. */
static size_t print_left(FILE *out, const cli_flag *flag)
{
    size_t len;
    const char *name = value_name(flag, &len);

    if (out) {
        if (flag->shorthand)
            fprintf(out, "  -%c, --%s", flag->shorthand, flag->name);
        else
            fprintf(out, "      --%s", flag->name);
        if (len)
            fprintf(out, " %.*s", (int)len, name);
    }
    return strlen("  -x, --") + strlen(flag->name) + (len ? len + 1 : 0);
}

static void print_default(FILE *out, const cli_flag *flag)
{
    const char *text = flag->initial ? flag->initial : "";

    if (*text == '\0' || (flag->type != CLI_STRING && (strcmp(text, "0") == 0 || strcmp(text, "false") == 0)))
        return;
    if (flag->type == CLI_STRING)
        fprintf(out, " (default \"%s\")", flag->initial);
    else
        fprintf(out, flag->type == CLI_STRINGS ? " (default [%s])" : " (default %s)", flag->initial);
}

static void print_text(FILE *out, const char *text)
{
    const char *begin = strchr(text, '`'), *end = begin ? strchr(begin + 1, '`') : NULL;

    if (end)
        fprintf(out, "%.*s%.*s%s", (int)(begin - text), text, (int)(end - begin - 1), begin + 1, end + 1);
    else
        fputs(text, out);
}

static int by_flag_name(const void *a, const void *b)
{
    return strcmp((*(const cli_flag *const *)a)->name, (*(const cli_flag *const *)b)->name);
}

void cli_flag_usages(FILE *out, const cli_flag *flags, size_t n_flags, const char *help_of)
{
    char text[128];
    const cli_flag help = {.name = "help", .shorthand = 'h', .type = CLI_BOOL, .usage = text};
    const cli_flag **sorted = cli_alloc((n_flags + 1) * sizeof *sorted);
    size_t n = 0, width = 0;

    for (size_t i = 0; i < n_flags; i++)
        sorted[n++] = &flags[i];
    if (help_of) {
        snprintf(text, sizeof text, "help for %s", help_of);
        sorted[n++] = &help;
    }
    if (n > 0)
        qsort(sorted, n, sizeof *sorted, by_flag_name);
    for (size_t i = 0; i < n; i++) {
        size_t left = print_left(NULL, sorted[i]);

        width = left > width ? left : width;
    }
    for (size_t i = 0; i < n; i++) {
        size_t left = print_left(out, sorted[i]);

        fprintf(out, "%*s", (int)(width - left) + 3, "");
        print_text(out, sorted[i]->usage);
        print_default(out, sorted[i]);
        putc('\n', out);
    }
    free(sorted);
}

/* -- commands -- */

static bool is_child_of(const cli_command *command, const cli_command *parent)
{
    size_t len = parent ? strlen(parent->name) : 0;

    if (!parent)
        return !strchr(command->name, ' ');
    return strncmp(command->name, parent->name, len) == 0 && command->name[len] == ' ';
}

static int by_command_name(const void *a, const void *b)
{
    return strcmp((*(const cli_command *const *)a)->name, (*(const cli_command *const *)b)->name);
}

/* The children of `parent`, by name, in new memory; of one group only unless that is CLI_N_GROUPS. */
static const cli_command **children(const cli_command *parent, cli_group group, size_t *n)
{
    const cli_command **list = cli_alloc((cli_n_commands + 1) * sizeof *list);

    *n = 0;
    for (size_t i = 0; i < cli_n_commands; i++)
        if (is_child_of(cli_commands[i], parent) && (group == CLI_N_GROUPS || cli_commands[i]->group == group))
            list[(*n)++] = cli_commands[i];
    if (*n > 0)
        qsort(list, *n, sizeof *list, by_command_name);
    return list;
}

static size_t name_width(const cli_command *parent)
{
    size_t n, width = NAME_WIDTH;
    const cli_command **list = children(parent, CLI_N_GROUPS, &n);

    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(cli_own_name(list[i]));

        width = len > width ? len : width;
    }
    free(list);
    return width;
}

static void print_children(FILE *out, const char *program, const char *title, const cli_command *parent, cli_group group)
{
    size_t n, width = name_width(parent);
    const cli_command **list = children(parent, group, &n);

    if (n > 0)
        fprintf(out, "\n%s\n", title);
    for (size_t i = 0; i < n; i++) {
        fprintf(out, "  %-*s %s", (int)width, cli_own_name(list[i]), list[i]->summary);
        if (cli_is_parent(list[i]) && !list[i]->plain_usage)
            fprintf(out, ". Use `%s %s --help` to see subcommands", program, list[i]->name);
        putc('\n', out);
    }
    free(list);
}

static void print_how(FILE *out, const char *program, const cli_command *command)
{
    const char *path = command ? command->name : "";
    int parent_len = command ? (int)(strlen(path) - strlen(cli_own_name(command))) : 0;

    fputs("Usage:\n", out);
    if (cli_is_parent(command))
        fprintf(out, "  %s%s%s [command]\n", program, command ? " " : "", path);
    else
        fprintf(out, "  %s %.*s%s%s\n", program, parent_len, path, command->usage, command->plain_usage ? "" : " [flags]");
}

void cli_usage(FILE *out, const char *program, const cli_command *command)
{
    print_how(out, program, command);
    if (command && command->examples)
        fprintf(out, "\nExamples:\n%s\n", command->examples);
    if (!command) {
        for (int group = 0; group < CLI_N_GROUPS; group++)
            print_children(out, program, group_titles[group], NULL, (cli_group)group);
    } else if (cli_is_parent(command)) {
        print_children(out, program, "Available Commands:", command, CLI_N_GROUPS);
    }
    if (command) {
        fputs("\nFlags:\n", out);
        cli_flag_usages(out, command->flags, command->n_flags, cli_own_name(command));
        if (command->also_flags_of) {
            fputs("\nGlobal Flags:\n", out);
            cli_flag_usages(out, command->also_flags_of->flags, command->also_flags_of->n_flags, NULL);
        }
    }
    if (cli_is_parent(command))
        fprintf(out, "\nUse \"%s%s%s [command] --help\" for more information about a command.\n", program, command ? " " : "",
                command ? command->name : "");
}

void cli_help(FILE *out, const char *program, const cli_command *command)
{
    const char *text = "A simple command line client for etcd3.";

    if (command)
        text = command->description ? command->description : command->summary;
    fprintf(out, "%s\n\n", text);
    cli_usage(out, program, command);
    fprintf(out, "Use \"%s options\" for a list of global command-line options (applies to all commands).\n", program);
}
