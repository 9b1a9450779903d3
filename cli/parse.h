/* The command line: which command it names and what it says to it, as cobra reads it.
 *
 * Flags may stand anywhere, also before the command; the last of several wins; a command may be cut short as long as it is
 * unique. Used for the program's own command line and for the lines of a transaction.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_PARSE_H
#define CLI_PARSE_H

#include "flags.h"

typedef struct cli_line {
    const cli_command *command; /* NULL: the program itself */
    cli_flag_set globals;
    cli_flag_set locals;
    cli_flag_set inherited; /* of `also_flags_of` */
    bool help;              /* -h or --help was given */
    char **args;            /* what is left, in order */
    size_t n_args;
    int64_t dash; /* how many of them came before "--"; -1 without one */
} cli_line;

typedef enum cli_parse_result {
    CLI_PARSED,
    CLI_BAD_COMMAND, /* unknown: say how to get help */
    CLI_BAD_FLAG     /* show the command's usage */
} cli_parse_result;

/** Reads argv[0 .. n): the words behind the program's name. The line borrows them and must be freed in any case. `commands`
 *  are those to choose from. */
cli_parse_result cli_parse(const char *program, const cli_command *const *commands, size_t n_commands, char **argv, size_t n,
                           cli_line *line, cli_error *error);
void cli_line_free(cli_line *line);

/** The same without global flags: for command lines within the input of a command. */
cli_parse_result cli_parse_inner(const cli_command *const *commands, size_t n_commands, char **argv, size_t n, cli_line *line,
                                 cli_error *error);

/** Splits such a line into words at white space, as etcdctl does: a word that begins with a quote goes to the next one of its
 *  kind ("..." with Go's escapes, '...' as it is); a quote without another is skipped. The words are new memory, freed with
 *  cli_words_free(). False with the text in `error` for a bad escape. */
bool cli_split(const char *text, char ***words, size_t *n, cli_error *error);
void cli_words_free(char **words, size_t n);

/** Whether the command has subcommands; NULL is the program itself. */
bool cli_is_parent(const cli_command *command);

/** The last word of a command's name. */
const char *cli_own_name(const cli_command *command);

#endif
