/* get, put and del as requests: what the command line, or a line of a transaction, asks for.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_KV_H
#define CLI_KV_H

#include "print.h"

typedef struct cli_get_request {
    const char *key;
    etcd_get_options options;
} cli_get_request;

typedef struct cli_put_request {
    const char *key;
    char *value; /* new memory */
    size_t value_len;
    etcd_put_options options;
} cli_put_request;

typedef struct cli_delete_request {
    const char *key;
    etcd_delete_options options;
} cli_delete_request;

/** Read and check the command's arguments and flags; end the program when they are wrong. Strings are those of `c->line`.
 *  `options.call` stays NULL. */
void cli_get_read(const cli *c, cli_get_request *request);
void cli_put_read(const cli *c, cli_put_request *request);
void cli_delete_read(const cli *c, cli_delete_request *request);

/** How the answers are printed; also as parts of a transaction's. */
extern const cli_printer cli_get_printer, cli_put_printer, cli_delete_printer;

#endif
