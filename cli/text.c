/* Text in new memory, for tables and messages.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

char *cli_text(const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    size_t size = len < 0 ? 1 : (size_t)len + 1;
    char *text = cli_alloc(size);
    text[0] = '\0';
    vsnprintf(text, size, format, again);
    va_end(again);
    return text;
}

char *cli_join(const etcd_bytes *texts, size_t n, const char *separator)
{
    size_t len = 1, gap = strlen(separator);
    for (size_t i = 0; i < n; i++)
        len += texts[i].len + gap;
    char *joined = cli_alloc(len), *end = joined;
    for (size_t i = 0; i < n; i++) {
        if (i > 0) {
            memcpy(end, separator, gap);
            end += gap;
        }
        memcpy(end, texts[i].data, texts[i].len);
        end += texts[i].len;
    }
    *end = '\0';
    return joined;
}

void cli_free_texts(char **texts, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(texts[i]);
    free(texts);
}

char *cli_size(int64_t bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    double value = (double)bytes;
    size_t unit = 0;
    if (bytes < 10)
        return cli_text("%" PRId64 " B", bytes);
    for (; value >= 1000; unit++)
        value /= 1000;
    value = (double)(int64_t)(value * 10 + 0.5) / 10;
    return cli_text(value < 10 ? "%.1f %s" : "%.0f %s", value, units[unit]);
}

void cli_print_text(FILE *out, const cli *c, etcd_bytes text)
{
    if (!c->escape) {
        fwrite(text.data, 1, text.len, out);
        return;
    }
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        if (byte < ' ' || byte == 0x7f)
            fprintf(out, "\\x%02x", byte);
        else
            fputc(byte, out);
    }
}

int64_t cli_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}
