/* Pieces of the format protobuf that are no message of the library's.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_PROTOBUF_H
#define CLI_PROTOBUF_H

#include "cli.h"

void cli_put_varint(FILE *out, uint64_t value);

/** A message of etcd_call_type or etcd_format_type as the field of this tag (number * 8 + 2). */
void cli_put_message(FILE *out, unsigned tag, int type, const void *message);

/** A printer of the format protobuf: the header of the response alone. */
void cli_protobuf_header(FILE *out, const cli *c, const void *response, const void *arg);

#endif
