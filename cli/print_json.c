/* Pieces of the format "json". See print.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "print.h"
#include "printable.h"

#include <etcd3/format.h>

void cli_json_message(FILE *out, int type, const void *message)
{
    etcd_format_response *json = NULL;
    etcd_error err;

    if (etcd_format_json(type, message, &json, &err) < 0)
        cli_fail_call(CLI_ERROR, &err);
    fwrite(json->text.data, 1, json->text.len, out);
    etcd_response_free(json);
}

static void json_rune(FILE *out, uint32_t rune, const char *data, size_t len)
{
    static const char *const short_forms[] = {
        ['"'] = "\\\"", ['\\'] = "\\\\", ['\b'] = "\\b", ['\f'] = "\\f", ['\n'] = "\\n", ['\r'] = "\\r", ['\t'] = "\\t"};

    if (rune < sizeof short_forms / sizeof *short_forms && short_forms[rune])
        fputs(short_forms[rune], out);
    else if (rune < 0x20 || rune == '<' || rune == '>' || rune == '&' || rune == 0x2028 || rune == 0x2029)
        fprintf(out, "\\u%04x", (unsigned)rune);
    else
        fwrite(data, 1, len, out);
}

void cli_json_bytes(FILE *out, etcd_bytes bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    putc('"', out);
    for (size_t i = 0; i < bytes.len; i += 3) {
        uint32_t three = 0;

        for (size_t k = 0; k < 3; k++)
            three = three << 8 | (i + k < bytes.len ? (unsigned char)bytes.data[i + k] : 0);
        for (size_t k = 0; k < 4; k++)
            putc(i + k <= bytes.len ? digits[three >> (18 - 6 * k) & 63] : '=', out);
    }
    putc('"', out);
}

void cli_json_text(FILE *out, const char *data, size_t len)
{
    putc('"', out);
    while (len > 0) {
        uint32_t rune;
        size_t n = cli_take_rune(data, len, &rune);

        if (n)
            json_rune(out, rune, data, n);
        else
            fputs("\\ufffd", out);
        n += n == 0;
        data += n;
        len -= n;
    }
    putc('"', out);
}
