/* See status.h. */
#include "grpc/status.h"

#include <stdbool.h>
#include <string.h>

static const struct http_row {
    int http_status;
    int code;
    const char *text;
} http_rows[] = {
    {200, ETCD__GRPC_UNKNOWN, "OK"},
    {301, ETCD__GRPC_UNKNOWN, "Moved Permanently"},
    {302, ETCD__GRPC_UNKNOWN, "Found"},
    {307, ETCD__GRPC_UNKNOWN, "Temporary Redirect"},
    {308, ETCD__GRPC_UNKNOWN, "Permanent Redirect"},
    {400, ETCD__GRPC_INTERNAL, "Bad Request"},
    {401, ETCD__GRPC_UNAUTHENTICATED, "Unauthorized"},
    {403, ETCD__GRPC_PERMISSION_DENIED, "Forbidden"},
    {404, ETCD__GRPC_UNIMPLEMENTED, "Not Found"},
    {405, ETCD__GRPC_UNKNOWN, "Method Not Allowed"},
    {408, ETCD__GRPC_UNKNOWN, "Request Timeout"},
    {413, ETCD__GRPC_UNKNOWN, "Request Entity Too Large"},
    {415, ETCD__GRPC_UNKNOWN, "Unsupported Media Type"},
    {421, ETCD__GRPC_UNKNOWN, "Misdirected Request"},
    {429, ETCD__GRPC_UNAVAILABLE, "Too Many Requests"},
    {431, ETCD__GRPC_INTERNAL, "Request Header Fields Too Large"},
    {500, ETCD__GRPC_UNKNOWN, "Internal Server Error"},
    {501, ETCD__GRPC_UNKNOWN, "Not Implemented"},
    {502, ETCD__GRPC_UNAVAILABLE, "Bad Gateway"},
    {503, ETCD__GRPC_UNAVAILABLE, "Service Unavailable"},
    {504, ETCD__GRPC_UNAVAILABLE, "Gateway Timeout"},
    {505, ETCD__GRPC_UNKNOWN, "HTTP Version Not Supported"},
};

static const struct http_row *find_http(int http_status)
{
    for (size_t i = 0; i < sizeof http_rows / sizeof http_rows[0]; i++)
        if (http_rows[i].http_status == http_status)
            return &http_rows[i];
    return NULL;
}

int etcd__grpc_code_of_http(int http_status)
{
    const struct http_row *row = find_http(http_status);

    return row ? row->code : ETCD__GRPC_UNKNOWN;
}

const char *etcd__grpc_http_text(int http_status)
{
    const struct http_row *row = find_http(http_status);

    return row ? row->text : "";
}

int etcd__grpc_code_of_reset(uint32_t h2_error_code)
{
    switch (h2_error_code) {
    case 0x7: /* REFUSED_STREAM */
        return ETCD__GRPC_UNAVAILABLE;
    case 0x8: /* CANCEL */
        return ETCD__GRPC_CANCELLED;
    case 0xb: /* ENHANCE_YOUR_CALM */
        return ETCD__GRPC_RESOURCE_EXHAUSTED;
    case 0xc: /* INADEQUATE_SECURITY */
        return ETCD__GRPC_PERMISSION_DENIED;
    default:
        return ETCD__GRPC_INTERNAL;
    }
}

int etcd__grpc_status_parse(const char *text, size_t len)
{
    int value = 0;

    if (len == 0 || len > 9)
        return -2;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -2;
        value = value * 10 + (text[i] - '0');
    }
    return value;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

size_t etcd__grpc_percent_decode(char *out, const char *text, size_t len)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        int high = text[i] == '%' && len - i > 2 ? hex_digit(text[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(text[i + 2]) : -1;

        if (low >= 0) {
            out[n++] = (char)(high * 16 + low);
            i += 2;
        } else {
            out[n++] = text[i];
        }
    }
    return n;
}

/* Writes what stands for one byte, at most 4 characters. */
static size_t quote_byte(char *out, uint8_t byte)
{
    static const char hex[] = "0123456789abcdef";
    static const char escaped[] = "\"\\\n\r\t", names[] = "\"\\nrt";
    const char *special = byte ? strchr(escaped, byte) : NULL;

    if (special != NULL) {
        out[0] = '\\';
        out[1] = names[special - escaped];
        return 2;
    }
    if (byte >= 0x20 && byte < 0x7f) {
        out[0] = (char)byte;
        return 1;
    }
    out[0] = '\\';
    out[1] = 'x';
    out[2] = hex[byte >> 4];
    out[3] = hex[byte & 15];
    return 4;
}

size_t etcd__grpc_quote(char *out, size_t size, const void *data, size_t len)
{
    const uint8_t *bytes = data;
    size_t n = 0;

    if (size < 8) {
        if (size > 0)
            out[0] = '\0';
        return 0;
    }
    out[n++] = '"';
    for (size_t i = 0; i < len && n + 6 <= size; i++)
        n += quote_byte(out + n, bytes[i]);
    out[n++] = '"';
    out[n] = '\0';
    return n;
}
