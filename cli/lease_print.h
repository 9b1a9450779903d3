/* What the lease commands print alike.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_LEASE_PRINT_H
#define CLI_LEASE_PRINT_H

#include "print.h"
#include "text.h"

typedef struct cli_lease_name {
    char text[24];
} cli_lease_name;

/** An id as etcdctl shows it: 16 hexadecimal digits; a negative one has a minus and 15. */
cli_lease_name cli_lease_text(int64_t id);

/** The id that is the first argument. */
int64_t cli_lease_argument(const cli *c);

/** The line "ID" of the format fields. */
void cli_fields_lease(FILE *out, const cli *c, int64_t id);

/** '{' and the fields of a header, each followed by a comma. */
void cli_json_flat_header(FILE *out, const etcd_response_header *header);

#endif
