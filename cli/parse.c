/* Reading the command line. See parse.h.
 *
 * First the command is found: flags are skipped, a flag with a separate value together with its value. Which flags take one is
 * only known for those of the command found so far, so an unknown one swallows the next word: that is cobra's way, and scripts
 * rely on what it makes of theirs. Then all words but the command's name are read as flags and arguments.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "parse.h"

#include <stdlib.h>
#include <string.h>

static const cli_flag help_flag = {.name = "help", .shorthand = 'h', .type = CLI_BOOL};

typedef struct commands {
    const cli_command *const *list;
    size_t n;
    size_t n_globals; /* of the global flags, as many are known here: all or none */
} commands;

/* -- the tree of commands, as their names tell it -- */

const char *cli_own_name(const cli_command *command)
{
    const char *space = strrchr(command->name, ' ');

    return space ? space + 1 : command->name;
}

bool cli_is_parent(const cli_command *command)
{
    return !command || !command->run;
}

static bool is_child(const cli_command *command, const cli_command *parent)
{
    size_t len = parent ? strlen(parent->name) : 0;

    if (!parent)
        return !strchr(command->name, ' ');
    return strncmp(command->name, parent->name, len) == 0 && command->name[len] == ' ';
}

/* The child of that name, or the only one whose name begins so. Commands that etcdctl does not have make none of its own
 * ambiguous. */
static const cli_command *find_child(commands all, const cli_command *parent, const char *name)
{
    const cli_command *found[2] = {NULL, NULL}; /* of etcdctl's, and of ours */
    size_t n_found[2] = {0, 0}, len = strlen(name);

    for (size_t i = 0; i < all.n; i++) {
        const char *own = cli_own_name(all.list[i]);

        if (!is_child(all.list[i], parent))
            continue;
        if (strcmp(own, name) == 0)
            return all.list[i];
        if (strncmp(own, name, len) == 0) {
            bool additional = all.list[i]->group == CLI_ADDITIONAL;

            found[additional] = all.list[i];
            n_found[additional]++;
        }
    }
    if (n_found[0] > 0)
        return n_found[0] == 1 ? found[0] : NULL;
    return n_found[1] == 1 ? found[1] : NULL;
}

/* -- which words are the command -- */

static const cli_flag *find_in(const cli_flag *flags, size_t n, const char *name, char shorthand)
{
    for (size_t i = 0; i < n; i++)
        if (name ? strcmp(flags[i].name, name) == 0 : flags[i].shorthand == shorthand)
            return &flags[i];
    return NULL;
}

/* Whether a word beginning with '-' has its value in the next one; unknown flags are taken to. */
static bool takes_next_word(commands all, const cli_command *command, const char *word)
{
    bool is_long = word[1] == '-';
    const char *name = is_long ? word + 2 : NULL;
    char shorthand = is_long ? '\0' : word[1];
    const cli_flag *flag;

    if (strchr(word, '=') || (!is_long && strlen(word) != 2))
        return false;
    flag = find_in(&help_flag, 1, name, shorthand);
    if (!flag && command)
        flag = find_in(command->flags, command->n_flags, name, shorthand);
    if (!flag && command && command->also_flags_of)
        flag = find_in(command->also_flags_of->flags, command->also_flags_of->n_flags, name, shorthand);
    if (!flag)
        flag = find_in(cli_global_flags, all.n_globals, name, shorthand);
    return !flag || flag->type != CLI_BOOL;
}

/* The index of the first word that is neither a flag nor a flag's value; n when there is none. */
static size_t first_word(commands all, const cli_command *command, char **words, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char *word = words[i];

        if (strcmp(word, "--") == 0)
            return n;
        if (word[0] == '-' && word[1] != '\0' && takes_next_word(all, command, word)) {
            if (n - i <= 2)
                return n;
            i++;
        } else if (word[0] != '-' && word[0] != '\0') {
            return i;
        }
    }
    return n;
}

/* Finds the command and takes its name out of the words. */
static const cli_command *find_command(commands all, char **words, size_t *n)
{
    const cli_command *command = NULL;

    while (cli_is_parent(command)) {
        size_t i = first_word(all, command, words, *n);
        const cli_command *child = i < *n ? find_child(all, command, words[i]) : NULL;

        if (!child)
            break;
        memmove(&words[i], &words[i + 1], (*n - i - 1) * sizeof *words);
        (*n)--;
        command = child;
    }
    return command;
}

/* -- unknown commands -- */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Insertions, deletions and replacements between two words, whatever their case; many for long ones. */
static size_t distance(const char *a, const char *b)
{
    size_t row[33], n = strlen(b);

    if (n >= sizeof row / sizeof *row)
        return SIZE_MAX;
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t above = row[j];

            row[j] = lower(a[i - 1]) == lower(b[j - 1]) ? diagonal : least(diagonal, least(above, row[j - 1])) + 1;
            diagonal = above;
        }
    }
    return row[n];
}

static bool begins_with(const char *word, const char *begin)
{
    for (; *begin; word++, begin++)
        if (lower(*word) != lower(*begin))
            return false;
    return true;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void unknown_command(const char *program, commands all, const char *word, cli_error *error)
{
    const char **like = cli_alloc(all.n * sizeof *like);
    char *quoted = cli_quoted(word, strlen(word));
    bool as_etcdctl = strcmp(program, "etcdctl") == 0; /* which does not know our additional commands */
    size_t n = 0, used;

    for (size_t i = 0; i < all.n; i++)
        if (is_child(all.list[i], NULL) && (!as_etcdctl || all.list[i]->group != CLI_ADDITIONAL) &&
            (distance(word, all.list[i]->name) <= 2 || begins_with(all.list[i]->name, word)))
            like[n++] = all.list[i]->name;
    qsort(like, n, sizeof *like, by_name);
    cli_error_set(error, "unknown command %s for \"%s\"%s", quoted, program, n ? "\n\nDid you mean this?\n" : "");
    for (size_t i = 0; i < n; i++) {
        used = strlen(error->text);
        snprintf(error->text + used, sizeof error->text - used, "\t%s\n", like[i]);
    }
    free(quoted);
    free(like);
}

/* -- flags and arguments -- */

static cli_flag_value *find_value(cli_line *line, const char *name, size_t len, char shorthand)
{
    const cli_flag_set *sets[] = {&line->locals, &line->inherited, &line->globals};
    cli_flag_value *value = NULL;

    for (size_t i = 0; i < 3 && !value; i++)
        value = name ? cli_flag_find(sets[i], name, len) : cli_flag_find_short(sets[i], shorthand);
    return value;
}

static bool assign(cli_flag_value *value, const char *text, cli_error *error)
{
    const cli_flag *flag = value->flag;
    cli_error why;
    char *quoted;

    if (cli_flag_assign(value, text, &why))
        return true;
    quoted = cli_quoted(text, strlen(text));
    if (flag->shorthand)
        cli_error_set(error, "invalid argument %s for \"-%c, --%s\" flag: %s", quoted, flag->shorthand, flag->name, why.text);
    else
        cli_error_set(error, "invalid argument %s for \"--%s\" flag: %s", quoted, flag->name, why.text);
    free(quoted);
    return false;
}

/* "--help", which is in no table. */
static bool assign_help(cli_line *line, const char *equals, cli_error *error)
{
    cli_flag_value value = {.flag = &help_flag};
    bool ok = assign(&value, equals ? equals + 1 : "true", error);

    line->help = line->help || (ok && value.number);
    free(value.storage);
    return ok;
}

/* "--name", "--name=value" or "--name value": the last one moves *next. */
static bool take_long(cli_line *line, const char *word, char **words, size_t n, size_t *next, cli_error *error)
{
    const char *name = word + 2, *equals = strchr(name, '=');
    size_t len = equals ? (size_t)(equals - name) : strlen(name);
    cli_flag_value *value;

    if (len == 0 || *name == '-') {
        cli_error_set(error, "bad flag syntax: %s", word);
        return false;
    }
    value = find_value(line, name, len, '\0');
    if (!value && len == 4 && memcmp(name, "help", 4) == 0)
        return assign_help(line, equals, error);
    if (!value) {
        cli_error_set(error, "unknown flag: --%.*s", (int)len, name);
        return false;
    }
    if (equals)
        return assign(value, equals + 1, error);
    if (value->flag->type == CLI_BOOL)
        return assign(value, "true", error);
    if (*next < n)
        return assign(value, words[(*next)++], error);
    cli_error_set(error, "flag needs an argument: --%s", name);
    return false;
}

/* "-i", "-wjson", "-w=json", "-w json", or several of them in one word. */
static bool take_short(cli_line *line, const char *word, char **words, size_t n, size_t *next, cli_error *error)
{
    for (const char *s = word + 1; *s; s++) {
        cli_flag_value *value = find_value(line, NULL, 0, *s);
        bool has_value = s[1] == '=' && s[2] != '\0';

        if (!value && *s == 'h') {
            if (has_value)
                return assign_help(line, s + 1, error);
            line->help = true;
            continue;
        }
        if (!value) {
            cli_error_set(error, "unknown shorthand flag: '%c' in -%s", *s, s);
            return false;
        }
        if (has_value)
            return assign(value, s + 2, error);
        if (value->flag->type == CLI_BOOL) {
            if (!assign(value, "true", error))
                return false;
            continue;
        }
        if (s[1] != '\0')
            return assign(value, s + 1, error);
        if (*next < n)
            return assign(value, words[(*next)++], error);
        cli_error_set(error, "flag needs an argument: '%c' in -%s", *s, s);
        return false;
    }
    return true;
}

static bool take_words(cli_line *line, char **words, size_t n, cli_error *error)
{
    for (size_t i = 0; i < n;) {
        char *word = words[i++];
        bool is_flag = word[0] == '-' && word[1] != '\0';

        if (strcmp(word, "--") == 0) {
            line->dash = (int64_t)line->n_args;
            while (i < n)
                line->args[line->n_args++] = words[i++];
        } else if (!is_flag) {
            line->args[line->n_args++] = word;
        } else if (!(word[1] == '-' ? take_long : take_short)(line, word, words, n, &i, error)) {
            return false;
        }
    }
    return true;
}

static cli_parse_result parse(const char *program, commands all, char **argv, size_t n, cli_line *line, cli_error *error)
{
    char **words = cli_alloc((n + 1) * sizeof *words);
    cli_parse_result result = CLI_PARSED;
    size_t first;

    memset(line, 0, sizeof *line);
    line->dash = -1;
    if (n > 0)
        memcpy(words, argv, n * sizeof *words);
    line->args = cli_alloc((n + 1) * sizeof *line->args);
    line->command = find_command(all, words, &n);
    cli_flag_set_init(&line->globals, cli_global_flags, all.n_globals);
    cli_flag_set_init(&line->locals, line->command ? line->command->flags : NULL, line->command ? line->command->n_flags : 0);
    if (line->command && line->command->also_flags_of)
        cli_flag_set_init(&line->inherited, line->command->also_flags_of->flags, line->command->also_flags_of->n_flags);
    first = first_word(all, NULL, words, n);
    if (!line->command && first < n) {
        unknown_command(program, all, words[first], error);
        result = CLI_BAD_COMMAND;
    } else if (!take_words(line, words, n, error)) {
        result = CLI_BAD_FLAG;
    }
    free(words);
    return result;
}

cli_parse_result cli_parse(const char *program, const cli_command *const *list, size_t n_commands, char **argv, size_t n,
                           cli_line *line, cli_error *error)
{
    return parse(program, (commands){list, n_commands, cli_n_global_flags}, argv, n, line, error);
}

cli_parse_result cli_parse_inner(const cli_command *const *list, size_t n_commands, char **argv, size_t n, cli_line *line,
                                 cli_error *error)
{
    return parse("", (commands){list, n_commands, 0}, argv, n, line, error);
}

void cli_line_free(cli_line *line)
{
    cli_flag_set_free(&line->globals);
    cli_flag_set_free(&line->locals);
    cli_flag_set_free(&line->inherited);
    free(line->args);
    memset(line, 0, sizeof *line);
}
