/* Candidates for the next word. See complete.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "complete.h"

#include <string.h>

static bool begins_with(const char *text, const char *begin)
{
    return strncmp(text, begin, strlen(begin)) == 0;
}

static void offer(const char *word, const char *begin, const char *text)
{
    if (begins_with(word, begin))
        printf("%s\t%s\n", word, text);
}

/* -- values of flags -- */

static const struct {
    const char *flag;
    const char *values[7];
} known_values[] = {
    {"write-out", {"simple", "fields", "json", "protobuf", "table", NULL}},
    {"consistency", {"l", "s", NULL}},
    {"order", {"ASCEND", "DESCEND", NULL}},
    {"sort-by", {"CREATE", "KEY", "MODIFY", "VALUE", "VERSION", NULL}},
    {"load", {"s", "m", "l", "xl", NULL}},
};

/* `prefix` is what stands before the value in the same word: "--flag=", or "". */
static void offer_values(const cli_flag *flag, const char *prefix, const char *begin)
{
    for (size_t i = 0; i < sizeof known_values / sizeof *known_values; i++)
        for (size_t j = 0; strcmp(flag->name, known_values[i].flag) == 0 && known_values[i].values[j]; j++)
            if (begins_with(known_values[i].values[j], begin))
                printf("%s%s\t%s\n", prefix, known_values[i].values[j], flag->usage);
}

/* Of a word "--flag=value". */
static void offer_assigned(const cli_line *line, const char *word)
{
    const cli_flag_set *sets[] = {&line->locals, &line->inherited, &line->globals};
    size_t len = strcspn(word, "=");
    char prefix[64];

    snprintf(prefix, sizeof prefix, "%.*s=", (int)len, word);
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        const cli_flag_value *value = cli_flag_find(sets[i], word + 2, len - 2);

        if (value)
            offer_values(value->flag, prefix, word + len + 1);
    }
}

/* The flag that `word` names and that has its value in the next one; NULL when it is none. */
static const cli_flag *waiting_flag(const cli_line *line, const char *word)
{
    const cli_flag_set *sets[] = {&line->locals, &line->inherited, &line->globals};

    for (size_t i = 0; i < sizeof sets / sizeof *sets && word[0] == '-' && word[1] != '\0'; i++) {
        const cli_flag_value *value = word[1] == '-'    ? cli_flag_find(sets[i], word + 2, strlen(word + 2))
                                      : word[2] == '\0' ? cli_flag_find_short(sets[i], word[1])
                                                        : NULL;

        if (value)
            return value->flag->type == CLI_BOOL ? NULL : value->flag;
    }
    return NULL;
}

/* -- flags and commands -- */

static void offer_flags(const cli_line *line, const char *begin)
{
    const cli_flag_set *sets[] = {&line->locals, &line->inherited, &line->globals};
    char word[64];

    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        for (size_t j = 0; j < sets[i]->n_values; j++) {
            const cli_flag *flag = sets[i]->values[j].flag;

            snprintf(word, sizeof word, "--%s", flag->name);
            offer(word, begin, flag->usage);
        }
    offer("--help", begin, "help for the command");
}

static void offer_commands(const cli_command *parent, const char *begin)
{
    size_t len = parent ? strlen(parent->name) : 0;

    for (size_t i = 0; i < cli_n_commands; i++) {
        const char *name = cli_commands[i]->name;
        bool is_child = parent ? strncmp(name, parent->name, len) == 0 && name[len] == ' ' : !strchr(name, ' ');

        if (is_child)
            offer(cli_own_name(cli_commands[i]), begin, cli_commands[i]->summary);
    }
}

static void offer_words(const cli_line *line, char **words, size_t n)
{
    static const char *const shells[] = {"bash", "zsh", "fish", "powershell"};
    const char *last = words[n - 1], *name = line->command ? line->command->name : "";
    const cli_flag *flag = n > 1 ? waiting_flag(line, words[n - 2]) : NULL;

    if (flag)
        offer_values(flag, "", last);
    else if (begins_with(last, "--") && strchr(last, '='))
        offer_assigned(line, last);
    else if (last[0] == '-')
        offer_flags(line, last);
    else if (strcmp(name, "completion") == 0)
        for (size_t i = 0; i < sizeof shells / sizeof *shells; i++)
            offer(shells[i], last, "a shell");
    else if (strcmp(name, "help") == 0 || cli_is_parent(line->command))
        offer_commands(strcmp(name, "help") == 0 ? NULL : line->command, last);
}

void cli_complete(char **words, size_t n)
{
    cli_line line;
    cli_error error;

    if (n == 0)
        return;
    cli_parse("", cli_commands, cli_n_commands, words, n - 1, &line, &error);
    offer_words(&line, words, n);
    cli_line_free(&line);
}
