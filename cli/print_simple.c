/* Pieces of the format "simple". See print.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "print.h"
#include "printable.h"

/* On a terminal: what could drive it (escape sequences, cursor movements, C1 controls) is shown as \x1b. Line feeds and tabs do
 * no harm and belong to many values. */
static void print_escaped(FILE *out, etcd_bytes bytes)
{
    for (size_t i = 0; i < bytes.len;) {
        uint32_t rune = 0;
        size_t n = cli_take_rune(bytes.data + i, bytes.len - i, &rune);
        bool control = n == 0 || (rune < 0x20 && rune != '\n' && rune != '\t') || (rune >= 0x7f && rune < 0xa0);

        n += n == 0;
        for (size_t j = 0; j < n && control; j++)
            fprintf(out, "\\x%02x", (unsigned)(unsigned char)bytes.data[i + j]);
        if (!control)
            fwrite(bytes.data + i, 1, n, out);
        i += n;
    }
}

void cli_print_bytes(FILE *out, const cli *c, etcd_bytes bytes)
{
    if (c->hex) {
        for (size_t i = 0; i < bytes.len; i++)
            fprintf(out, "\\x%02x", (unsigned)(unsigned char)bytes.data[i]);
    } else if (c->escape) {
        print_escaped(out, bytes);
    } else {
        fwrite(bytes.data, 1, bytes.len, out);
    }
}

void cli_print_kv(FILE *out, const cli *c, const etcd_kv *kv)
{
    cli_print_bytes(out, c, kv->key);
    putc('\n', out);
    cli_print_bytes(out, c, kv->value);
    putc('\n', out);
}
