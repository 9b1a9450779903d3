/* The endpoints that a command about single members works on.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_ENDPOINTS_H
#define CLI_ENDPOINTS_H

#include "cli.h"

/** Those of --endpoints, or with --cluster the client URLs of all members. New memory, for cli_free_texts(). */
char **cli_targets(cli *c, size_t *n);

/** Options as cli_call(), for one member. Valid until the next call. */
const etcd_call_options *cli_call_to(cli *c, const char *endpoint);

/** The same text for all formats: "[a b]", as Go's fmt prints a list. New memory. */
char *cli_list_text(char *const *texts, size_t n);

/** Ends the program as a wrong password does: etcdctl finds it when it connects, whatever the command. */
void cli_check_auth(const etcd_error *err);

#endif
