/* Tables. See print.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "print.h"
#include "printable.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Columns that a text takes: one for each character. */
static size_t width_of(const char *text)
{
    size_t len = strlen(text), width = 0;

    while (len > 0) {
        uint32_t rune;
        size_t n = cli_take_rune(text, len, &rune);

        n += n == 0;
        text += n;
        len -= n;
        width++;
    }
    return width;
}

static void print_line(FILE *out, const char *const *joints, const size_t *widths, size_t n)
{
    fputs(joints[0], out);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < widths[i] + 2; j++)
            fputs("\xe2\x94\x80", out); /* a horizontal line */
        fputs(i + 1 < n ? joints[1] : joints[2], out);
    }
    putc('\n', out);
}

static void print_title(FILE *out, const char *title, size_t width)
{
    size_t space = width - width_of(title), left = space / 2;

    fprintf(out, " %*s", (int)left, "");
    for (; *title; title++)
        putc(toupper((unsigned char)*title), out);
    fprintf(out, "%*s ", (int)(space - left), "");
}

static void print_row(FILE *out, const char *const *cells, const size_t *widths, size_t n, bool title)
{
    fputs("\xe2\x94\x82", out); /* a vertical line */
    for (size_t i = 0; i < n; i++) {
        if (title)
            print_title(out, cells[i], widths[i]);
        else
            fprintf(out, " %*s%s ", (int)(widths[i] - width_of(cells[i])), "", cells[i]);
        fputs("\xe2\x94\x82", out);
    }
    putc('\n', out);
}

void cli_table(FILE *out, const char *const *header, const char *const *cells, size_t n_columns, size_t n_rows)
{
    static const char *const top[] = {"\xe2\x94\x8c", "\xe2\x94\xac", "\xe2\x94\x90"};
    static const char *const middle[] = {"\xe2\x94\x9c", "\xe2\x94\xbc", "\xe2\x94\xa4"};
    static const char *const bottom[] = {"\xe2\x94\x94", "\xe2\x94\xb4", "\xe2\x94\x98"};
    size_t *widths = cli_alloc(n_columns * sizeof *widths);

    for (size_t i = 0; i < n_columns; i++) {
        widths[i] = width_of(header[i]);
        for (size_t row = 0; row < n_rows; row++) {
            size_t width = width_of(cells[row * n_columns + i]);

            widths[i] = width > widths[i] ? width : widths[i];
        }
    }
    print_line(out, top, widths, n_columns);
    print_row(out, header, widths, n_columns, true);
    if (n_rows > 0)
        print_line(out, middle, widths, n_columns);
    for (size_t row = 0; row < n_rows; row++)
        print_row(out, &cells[row * n_columns], widths, n_columns, false);
    print_line(out, bottom, widths, n_columns);
    free(widths);
}
