/* Splitting a line into words. See parse.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "parse.h"

#include <stdlib.h>
#include <string.h>

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

/* The quote that ends the one at `s`; NULL when there is none. */
static const char *closing_quote(const char *s)
{
    char quote = *s;

    for (s++; *s != quote; s++) {
        if (*s == '\\' && quote == '"' && s[1] != '\0' && s[1] != '\n')
            s++;
        else if (*s == '\0')
            return NULL;
    }
    return s;
}

/* The word at *at, which is moved behind it; NULL when a quote there begins none. `*ok` is false for a bad escape. */
static char *take_word(const char **at, bool *ok)
{
    const char *s = *at, *end = s, *rest;
    char *word;
    size_t len;

    if (*s != '"' && *s != '\'') {
        while (*end && !is_space(*end))
            end++;
        *at = end;
        return cli_copy(s, (size_t)(end - s));
    }
    end = closing_quote(s);
    *at = end ? end + 1 : s + 1;
    if (!end)
        return NULL;
    if (*s == '\'')
        return cli_copy(s + 1, (size_t)(end - s - 1));
    if (cli_unquote(s, &word, &len, &rest))
        return word;
    *ok = false;
    return NULL;
}

bool cli_split(const char *text, char ***words, size_t *n, cli_error *error)
{
    bool ok = true;

    *words = NULL;
    *n = 0;
    for (const char *s = text; *s && ok;) {
        char *word;

        if (is_space(*s)) {
            s++;
            continue;
        }
        word = take_word(&s, &ok);
        if (word) {
            *words = cli_realloc(*words, (*n + 1) * sizeof **words);
            (*words)[(*n)++] = word;
        }
    }
    if (!ok)
        cli_error_set(error, "invalid syntax");
    return ok;
}

void cli_words_free(char **words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(words[i]);
    free(words);
}
