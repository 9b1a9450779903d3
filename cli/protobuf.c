/* Pieces of the format protobuf that are no message of the library's.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "protobuf.h"

#include <etcd3/format.h>

void cli_put_varint(FILE *out, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        fputc((int)(value & 0x7f) | 0x80, out);
    fputc((int)value, out);
}

static etcd_format_response *encode(int type, const void *message)
{
    etcd_format_response *encoded;
    etcd_error err;
    if (etcd_format_protobuf(type, message, &encoded, &err) < 0)
        cli_fail_call(CLI_ERROR, &err);
    return encoded;
}

void cli_put_message(FILE *out, unsigned tag, int type, const void *message)
{
    etcd_format_response *encoded = encode(type, message);
    cli_put_varint(out, tag);
    cli_put_varint(out, encoded->text.len);
    fwrite(encoded->text.data, 1, encoded->text.len, out);
    etcd_response_free(encoded);
}

void cli_protobuf_header(FILE *out, const cli *c, const void *response, const void *arg)
{
    etcd_format_response *encoded = encode(ETCD_FORMAT_HEADER, response);
    (void)c, (void)arg;
    fwrite(encoded->text.data, 1, encoded->text.len, out);
    etcd_response_free(encoded);
}
