/* Quoted strings as Go writes and reads them (%q). See value.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "printable.h"
#include "value.h"

#include <stdlib.h>
#include <string.h>

/* Letters of escapes and what they stand for */
static const char letters[] = "abfnrtv\\";
static const char meanings[] = "\a\b\f\n\r\t\v\\";

static void quote_rune(FILE *out, uint32_t rune, const char *data, size_t len)
{
    const char *escape = rune && rune < 0x80 ? strchr(meanings, (int)rune) : NULL;

    if (escape)
        fprintf(out, "\\%c", letters[escape - meanings]);
    else if (rune == '"')
        fputs("\\\"", out);
    else if (cli_is_printable(rune))
        fwrite(data, 1, len, out);
    else if (rune < 0x80)
        fprintf(out, "\\x%02x", (unsigned)rune);
    else
        fprintf(out, rune < 0x10000 ? "\\u%04x" : "\\U%08x", (unsigned)rune);
}

void cli_quote(FILE *out, const char *data, size_t len)
{
    putc('"', out);
    while (len > 0) {
        uint32_t rune;
        size_t n = cli_take_rune(data, len, &rune);

        if (n)
            quote_rune(out, rune, data, n);
        else
            fprintf(out, "\\x%02x", (unsigned)(unsigned char)data[0]);
        n += n == 0;
        data += n;
        len -= n;
    }
    putc('"', out);
}

char *cli_quoted(const char *data, size_t len)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    if (out) {
        cli_quote(out, data, len);
        fclose(out);
    }
    return text ? text : cli_copy("", 0);
}

/* -- reading -- */

/* Writes a character as UTF-8; those that are none become U+FFFD, as in Go. */
static char *put_rune(char *to, uint32_t rune)
{
    if (rune < 0x80) {
        *to++ = (char)rune;
        return to;
    }
    if (rune < 0x800) {
        *to++ = (char)(0xc0 | rune >> 6);
    } else {
        if (rune < 0x10000) {
            *to++ = (char)(0xe0 | rune >> 12);
        } else {
            *to++ = (char)(0xf0 | rune >> 18);
            *to++ = (char)(0x80 | (rune >> 12 & 0x3f));
        }
        *to++ = (char)(0x80 | (rune >> 6 & 0x3f));
    }
    *to++ = (char)(0x80 | (rune & 0x3f));
    return to;
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 16;
}

/* A number of exactly `n` digits; false when there are others. */
static bool take_digits(const char **at, size_t n, int base, uint32_t *out)
{
    uint32_t value = 0;

    for (size_t i = 0; i < n; i++) {
        int digit = digit_of(*(*at)++);

        if (digit >= base)
            return false;
        value = value * (uint32_t)base + (uint32_t)digit;
    }
    *out = value;
    return true;
}

/* What stands behind a backslash at *at. */
static bool take_escape(const char **at, char **to)
{
    const char *s = *at;
    const char *letter = *s ? strchr(letters, *s) : NULL;
    uint32_t value;
    bool ok;

    if (*s == '"' || letter) {
        *(*to)++ = letter ? meanings[letter - letters] : '"';
        *at = s + 1;
        return true;
    }
    if (*s == 'x' || (*s >= '0' && *s <= '7')) {
        bool hex = *s == 'x';

        s += hex;
        ok = take_digits(&s, hex ? 2 : 3, hex ? 16 : 8, &value) && value <= 255;
        if (ok)
            *(*to)++ = (char)value;
    } else if (*s == 'u' || *s == 'U') {
        size_t n = *s == 'u' ? 4 : 8;

        s++;
        ok = take_digits(&s, n, 16, &value) && value <= 0x10ffff && (value < 0xd800 || value > 0xdfff);
        if (ok)
            *to = put_rune(*to, value);
    } else {
        return false;
    }
    *at = s;
    return ok;
}

bool cli_unquote(const char *text, char **out, size_t *out_len, const char **rest)
{
    const char *s = text;
    char quote = *s, *to;

    *out = NULL;
    if (quote != '"' && quote != '`')
        return false;
    to = *out = cli_alloc(strlen(text) * 2 + 1); /* \u1234 becomes three bytes at most */
    for (s++; *s != quote; s++) {
        if (*s == '\0' || (*s == '\n' && quote == '"'))
            goto bad;
        if (*s == '\\' && quote == '"') {
            s++;
            if (!take_escape(&s, &to))
                goto bad;
            s--;
        } else if (*s != '\r' || quote == '"') {
            *to++ = *s;
        }
    }
    *to = '\0';
    *out_len = (size_t)(to - *out);
    *rest = s + 1;
    return true;
bad:
    free(*out);
    *out = NULL;
    return false;
}
