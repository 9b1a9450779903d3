/* watch: of one range, or in interactive mode of those that lines of stdin name.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"
#include "watching.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const cli_flag watch_flags[] = {
    {.name = "interactive", .shorthand = 'i', .type = CLI_BOOL, .usage = "Interactive mode"},
    {.name = "prefix", .type = CLI_BOOL, .usage = "Watch on a prefix if prefix is set"},
    {.name = "prev-kv", .type = CLI_BOOL, .usage = "get the previous key-value pair before the event happens"},
    {.name = "progress-notify", .type = CLI_BOOL, .usage = "get periodic watch progress notification from server"},
    {.name = "rev", .type = CLI_INT, .usage = "Revision to start watching"},
};

/* -- one watch -- */

__attribute__((noreturn)) static void watch_one(cli *c)
{
    cli_watching w = {0};
    cli_error error;
    if (!cli_watching_open(c, &c->line, true, &w, &error))
        cli_fail(CLI_BAD_ARGS, "%s", error.text);
    while (cli_watching_drain(c, &w)) {
        struct pollfd readable = {.fd = etcd_watch_fd(w.watch), .events = POLLIN};
        cli_wait(c->client, &readable, 1, -1);
    }
    cli_fail(CLI_INTERRUPTED, "watch is canceled by the server");
}

/* -- interactive -- */

typedef struct session {
    cli *c;
    cli_watching *watches;
    size_t n;
    char *input; /* what was read and is no whole line yet */
    size_t input_len;
} session;

/** Global flags are none of a line's: the error that an unknown flag gives. */
static bool has_global_flags(const cli_line *line, char *const *words, size_t n, cli_error *error)
{
    for (size_t i = 0; i < line->globals.n_values; i++) {
        const cli_flag_value *value = &line->globals.values[i];
        if (!value->changed)
            continue;
        cli_error_set(error, "unknown flag: --%s", value->flag->name);
        for (size_t k = 0; k < n; k++)
            if (value->flag->shorthand && words[k][0] == '-' && words[k][1] == value->flag->shorthand)
                cli_error_set(error, "unknown shorthand flag: '%c' in %s", value->flag->shorthand, words[k]);
        return true;
    }
    return false;
}

static void begin_watch(session *s, char **words, size_t n, const char *text)
{
    static const cli_command *const only[] = {&cli_watch};
    cli_watching w = {0};
    cli_error error;
    cli_line line;
    cli_parse_result parsed = cli_parse(s->c->program, only, 1, words, n, &line, &error);
    if (parsed != CLI_PARSED || has_global_flags(&line, words, n, &error))
        cli_fail(CLI_BAD_ARGS, "%s", error.text);
    if (line.help)
        cli_fail(CLI_BAD_ARGS, "pflag: help requested");
    if (line.dash >= 0 && (size_t)line.dash == line.n_args)
        cli_fail(CLI_BAD_ARGS, "bad number of arguments (found separator --, but no commands)");
    if (cli_watching_open(s->c, &line, false, &w, &error)) {
        s->watches = cli_realloc(s->watches, (s->n + 1) * sizeof *s->watches);
        s->watches[s->n++] = w;
    } else {
        fprintf(stderr, "Invalid command %s (%s)\n", text, error.text);
    }
    cli_line_free(&line);
}

/** The answer is on the stream of all watches. */
static void ask_progress(session *s)
{
    etcd_error err;
    for (size_t i = 0; i < s->n; i++)
        if (s->watches[i].watch) {
            if (etcd_watch_request_progress(s->watches[i].watch, &err) < 0)
                cli_fail_call(CLI_ERROR, &err);
            return;
        }
}

static void take_line(session *s, const char *text)
{
    char **words;
    size_t n;
    cli_error error;
    if (!cli_split(text, &words, &n, &error))
        cli_fail(CLI_BAD_ARGS, "%s", error.text);
    if (n == 0)
        fprintf(stderr, "Invalid command: %s (watch and progress supported)\n", text);
    else if (strcmp(words[0], "watch") == 0 && n < 2)
        fprintf(stderr, "Invalid command %s (command type or key is not provided)\n", text);
    else if (strcmp(words[0], "watch") == 0)
        begin_watch(s, words, n, text);
    else if (strcmp(words[0], "progress") == 0)
        ask_progress(s);
    else
        fprintf(stderr, "Invalid command %s (only support watch)\n", text);
    cli_words_free(words, n);
}

/** Reads what there is, and acts on the whole lines of it. */
static void read_input(session *s)
{
    enum { CHUNK = 4096 };
    s->input = cli_realloc(s->input, s->input_len + CHUNK + 1);
    ssize_t n = read(STDIN_FILENO, s->input + s->input_len, CHUNK);
    if (n < 0 && errno == EINTR)
        return;
    if (n <= 0)
        cli_fail(CLI_INVALID_INPUT, "error reading watch request line: %s", n == 0 ? "EOF" : strerror(errno));
    s->input_len += (size_t)n;
    s->input[s->input_len] = '\0';
    char *line = s->input, *end;
    while ((end = memchr(line, '\n', s->input_len - (size_t)(line - s->input))) != NULL) {
        *end = '\0';
        take_line(s, line);
        line = end + 1;
    }
    s->input_len -= (size_t)(line - s->input);
    memmove(s->input, line, s->input_len);
}

__attribute__((noreturn)) static void watch_interactive(cli *c)
{
    session s = {.c = c};
    etcd_client *client = cli_client(c);
    for (;;) {
        struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
        for (size_t i = 0; i < s.n; i++)
            if (s.watches[i].watch)
                cli_watching_drain(c, &s.watches[i]);
        cli_wait(client, &input, 1, -1);
        if (input.revents != 0)
            read_input(&s);
    }
}

static int run_watch(cli *c)
{
    if (cli_flag_bool(c, "interactive"))
        watch_interactive(c);
    cli_setup(c);
    watch_one(c);
}

const cli_command cli_watch = {.name = "watch",
                               .usage = "watch [options] [key or prefix] [range_end] [--] [exec-command arg1 arg2 ...]",
                               .summary = "Watches events stream on keys or prefixes",
                               .group = CLI_KV,
                               CLI_FLAGS(watch_flags),
                               .run = run_watch};
