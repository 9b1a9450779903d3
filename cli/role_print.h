/* What the commands of users and roles print alike.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_ROLE_PRINT_H
#define CLI_ROLE_PRINT_H

#include "print.h"

/** A role with its permissions; `arg` is its name. */
extern const cli_printer cli_role_get_printer;

/** The end of a call that changed something: prints `line` (simple) or the response, whose header comes first, or ends the
 * program with the error. Frees both. `type` is of etcd_call_type. */
void cli_finish_change(cli *c, int type, int rc, void *response, const etcd_error *err, char *line);

#endif
