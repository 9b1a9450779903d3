/* Numbers, durations and lists of the command line. See value.h; quoted strings are in quote.c.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "value.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void cli_error_set(cli_error *error, const char *format, ...)
{
    va_list list;

    va_start(list, format);
    vsnprintf(error->text, sizeof error->text, format, list);
    va_end(list);
}

/* -- memory -- */

static void *checked(void *memory)
{
    if (!memory) {
        fputs("Error: out of memory\n", stderr);
        exit(1);
    }
    return memory;
}

void *cli_alloc(size_t size)
{
    return checked(calloc(1, size ? size : 1));
}

void *cli_realloc(void *memory, size_t size)
{
    return checked(realloc(memory, size ? size : 1));
}

char *cli_copy(const char *text, size_t len)
{
    char *copy = cli_alloc(len + 1);

    memcpy(copy, text, len);
    return copy;
}

/* -- numbers -- */

static bool number_error(const char *function, const char *text, const char *what, cli_error *error)
{
    char *quoted = cli_quoted(text, strlen(text));

    cli_error_set(error, "strconv.%s: parsing %s: %s", function, quoted, what);
    free(quoted);
    return false;
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'Z')
        return c - 'A' + 10;
    return 99;
}

/* The base that the prefix of a number stands for; moves behind it. */
static int take_base(const char **digits)
{
    const char *s = *digits;

    if (s[0] != '0' || s[1] == '\0')
        return 10;
    if (s[2] != '\0') {
        char letter = (char)(s[1] | 0x20);
        int base = letter == 'x' ? 16 : letter == 'b' ? 2 : letter == 'o' ? 8 : 0;

        if (base) {
            *digits += 2;
            return base;
        }
    }
    *digits += 1;
    return 8;
}

/* Whether the underscores of a literal stand between digits, or between the prefix and a digit. */
static bool underscores_are_well_placed(const char *s)
{
    char before = '^'; /* 0: a digit or a prefix; _: an underscore; ^: the beginning; !: anything else */
    bool hex = false;

    if (s[0] == '0' && strchr("bBoOxX", s[1]) && s[1]) {
        hex = s[1] == 'x' || s[1] == 'X';
        before = '0';
        s += 2;
    }
    for (; *s; s++) {
        if ((*s >= '0' && *s <= '9') || (hex && digit_of(*s) < 16))
            before = '0';
        else if (*s == '_') {
            if (before != '0')
                return false;
            before = '_';
        } else {
            if (before == '_')
                return false;
            before = '!';
        }
    }
    return before != '_';
}

enum magnitude { MAGNITUDE_OK, MAGNITUDE_SYNTAX, MAGNITUDE_RANGE };

static enum magnitude parse_magnitude(const char *text, int base, uint64_t *out)
{
    const char *s = text;
    bool prefixed = base == 0, underscores = false, range = false;
    uint64_t value = 0;

    if (*s == '\0')
        return MAGNITUDE_SYNTAX;
    if (prefixed)
        base = take_base(&s);
    for (; *s; s++) {
        int digit = digit_of(*s);

        if (*s == '_' && prefixed) {
            underscores = true;
            continue;
        }
        if (digit >= base)
            return MAGNITUDE_SYNTAX;
        range = range || value > (UINT64_MAX - (uint64_t)digit) / (uint64_t)base;
        value = value * (uint64_t)base + (uint64_t)digit;
    }
    if (underscores && !underscores_are_well_placed(text))
        return MAGNITUDE_SYNTAX;
    *out = value;
    return range ? MAGNITUDE_RANGE : MAGNITUDE_OK;
}

bool cli_parse_uint(const char *text, int base, uint64_t *out, cli_error *error)
{
    enum magnitude result = parse_magnitude(text, base, out);

    if (result == MAGNITUDE_OK)
        return true;
    return number_error("ParseUint", text, result == MAGNITUDE_SYNTAX ? "invalid syntax" : "value out of range", error);
}

bool cli_parse_int(const char *text, int base, int64_t *out, cli_error *error)
{
    bool negative = text[0] == '-';
    uint64_t value = 0;
    enum magnitude result = parse_magnitude(text + (negative || text[0] == '+'), base, &value);

    if (result == MAGNITUDE_SYNTAX)
        return number_error("ParseInt", text, "invalid syntax", error);
    if (result == MAGNITUDE_RANGE || value > (uint64_t)INT64_MAX + (negative ? 1 : 0))
        return number_error("ParseInt", text, "value out of range", error);
    *out = negative ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

bool cli_parse_bool(const char *text, bool *out, cli_error *error)
{
    static const char *const words[] = {"1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(text, words[i]) == 0) {
            *out = i < 6;
            return true;
        }
    return number_error("ParseBool", text, "invalid syntax", error);
}

/* -- durations -- */

static const struct {
    const char *name;
    int64_t ns;
} units[] = {
    {"ns", 1},       {"us", 1000},      {"\xc2\xb5s", 1000}, {"\xce\xbcs", 1000},
    {"ms", 1000000}, {"s", 1000000000}, {"m", 60000000000},  {"h", 3600000000000},
};

static int64_t unit_of(const char *name, size_t len)
{
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strlen(units[i].name) == len && memcmp(units[i].name, name, len) == 0)
            return units[i].ns;
    return 0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

#define DURATION_LIMIT ((uint64_t)1 << 63)

/* One "12.5s" of a duration at *at, added to *total. Returns what is wrong: 0 nothing, '?' syntax, 'm' no unit, 'u' unknown
 * unit (between *unit and *at). */
static char take_part(const char **at, const char **unit, uint64_t *total)
{
    const char *s = *at, *begin = s;
    uint64_t whole = 0, part;
    double fraction = 0, scale = 1;
    bool overflow = false;
    int64_t ns;

    for (; is_digit(*s); s++) {
        overflow = overflow || whole > (DURATION_LIMIT - 9) / 10;
        whole = whole * 10 + (uint64_t)(*s - '0');
    }
    bool digits = s > begin;
    if (*s == '.') {
        uint64_t mantissa = 0;
        bool full = false;

        for (s++; is_digit(*s); s++) {
            digits = true;
            full = full || mantissa > (DURATION_LIMIT - 9) / 10; /* digits beyond do not count */
            if (!full) {
                mantissa = mantissa * 10 + (uint64_t)(*s - '0');
                scale *= 10;
            }
        }
        fraction = (double)mantissa;
    }
    if (!digits || overflow)
        return '?';
    for (*unit = s; *s && *s != '.' && !is_digit(*s); s++)
        ;
    *at = s;
    if (s == *unit)
        return 'm';
    ns = unit_of(*unit, (size_t)(s - *unit));
    if (ns == 0)
        return 'u';
    if (whole > DURATION_LIMIT / (uint64_t)ns)
        return '?';
    part = whole * (uint64_t)ns + (uint64_t)(fraction * ((double)ns / scale));
    if (part > DURATION_LIMIT || *total > DURATION_LIMIT - part)
        return '?';
    *total += part;
    return 0;
}

static bool duration_error(const char *what, const char *text, cli_error *error)
{
    char *quoted = cli_quoted(text, strlen(text));

    cli_error_set(error, "time: %s duration %s", what, quoted);
    free(quoted);
    return false;
}

static bool unit_error(const char *unit, size_t len, const char *text, cli_error *error)
{
    char *quoted = cli_quoted(unit, len);
    char what[128];

    snprintf(what, sizeof what, "unknown unit %s in", quoted);
    free(quoted);
    return duration_error(what, text, error);
}

bool cli_parse_duration(const char *text, int64_t *ns, cli_error *error)
{
    bool negative = text[0] == '-';
    const char *s = text + (negative || text[0] == '+'), *unit = s;
    uint64_t total = 0;

    *ns = 0;
    if (strcmp(s, "0") == 0)
        return true;
    if (*s == '\0')
        return duration_error("invalid", text, error);
    while (*s) {
        char wrong = take_part(&s, &unit, &total);

        if (wrong == 'm')
            return duration_error("missing unit in", text, error);
        if (wrong == 'u')
            return unit_error(unit, (size_t)(s - unit), text, error);
        if (wrong)
            return duration_error("invalid", text, error);
    }
    if (!negative && total > INT64_MAX)
        return duration_error("invalid", text, error);
    *ns = negative ? (int64_t)(0 - total) : (int64_t)total;
    return true;
}

/* "1.25" for 1250 thousandths: the fraction without zeros at its end. */
static int format_scaled(char *out, size_t size, uint64_t value, uint64_t one, int places)
{
    uint64_t fraction = value % one;

    if (fraction == 0)
        return snprintf(out, size, "%" PRIu64, value / one);
    while (fraction % 10 == 0) {
        fraction /= 10;
        places--;
    }
    return snprintf(out, size, "%" PRIu64 ".%0*" PRIu64, value / one, places, fraction);
}

char *cli_format_duration(int64_t ns, char *out, size_t size)
{
    uint64_t value = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns, seconds = value / 1000000000;
    const char *sign = ns < 0 ? "-" : "";
    char number[48];

    if (value < 1000) {
        snprintf(out, size, value ? "%s%" PRIu64 "ns" : "%s%" PRIu64 "s", sign, value);
    } else if (value < 1000000000) {
        bool micro = value < 1000000;

        format_scaled(number, sizeof number, value, micro ? 1000 : 1000000, micro ? 3 : 6);
        snprintf(out, size, "%s%s%s", sign, number, micro ? "\xc2\xb5s" : "ms");
    } else {
        format_scaled(number, sizeof number, value % 60000000000, 1000000000, 9);
        if (seconds >= 3600)
            snprintf(out, size, "%s%" PRIu64 "h%" PRIu64 "m%ss", sign, seconds / 3600, seconds / 60 % 60, number);
        else if (seconds >= 60)
            snprintf(out, size, "%s%" PRIu64 "m%ss", sign, seconds / 60, number);
        else
            snprintf(out, size, "%s%ss", sign, number);
    }
    return out;
}

/* -- lists -- */

static void add_item(char ***items, size_t *n_items, char *item)
{
    *items = cli_realloc(*items, (*n_items + 1) * sizeof **items);
    (*items)[(*n_items)++] = item;
}

static bool csv_error(const char *text, const char *at, const char *what, cli_error *error)
{
    cli_error_set(error, "parse error on line 1, column %zu: %s", (size_t)(at - text) + 1, what);
    return false;
}

/* A field in double quotes at *at; "" within is one quote. */
static bool take_quoted_field(const char *text, const char **at, char **out, cli_error *error)
{
    const char *s = *at + 1;
    char *field = cli_alloc(strlen(s) + 1), *to = field;

    *out = field;
    for (;; s++) {
        if (*s == '\0')
            return csv_error(text, s, "extraneous or missing \" in quoted-field", error);
        if (*s == '"' && *++s != '"')
            break;
        *to++ = *s;
    }
    *at = s;
    return *s == '\0' || *s == ',' ? true : csv_error(text, s - 1, "extraneous or missing \" in quoted-field", error);
}

static bool take_plain_field(const char *text, const char **at, char **out, cli_error *error)
{
    size_t len = strcspn(*at, ",");
    const char *quote = memchr(*at, '"', len);

    *out = cli_copy(*at, len);
    *at += len;
    return quote ? csv_error(text, quote, "bare \" in non-quoted-field", error) : true;
}

bool cli_parse_list(const char *text, char ***items, size_t *n_items, cli_error *error)
{
    const char *s = text;

    if (*s == '\0')
        return true;
    for (;;) {
        char *field;
        bool ok = *s == '"' ? take_quoted_field(text, &s, &field, error) : take_plain_field(text, &s, &field, error);

        if (!ok) {
            free(field);
            return false;
        }
        add_item(items, n_items, field);
        if (*s == '\0')
            return true;
        s++;
    }
}
