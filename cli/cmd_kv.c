/* get, put, del, compaction.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"
#include "print.h"

#include <string.h>

static void get_simple(FILE *out, const cli *c, const void *response, const void *arg)
{
    const etcd_get_response *get = response;

    (void)arg;
    for (size_t i = 0; i < get->n_kvs; i++)
        cli_print_kv(out, c, &get->kvs[i]);
}

static const cli_printer get_printer = {.type = ETCD_CALL_GET, .simple = get_simple};

static const cli_flag get_flags[] = {
    {"limit", "Maximum number of results", NULL, CLI_INT, 0},
    {"prefix", "Get keys with matching prefix", NULL, CLI_BOOL, 0},
};

static int run_get(cli *c)
{
    etcd_get_response *get = NULL;
    etcd_error err;

    if (cli_n_args(c) < 1 || cli_n_args(c) > 2)
        cli_fail(CLI_BAD_ARGS, "get command needs one argument as key and an optional argument as range_end");
    if (etcd_get(cli_client(c), cli_arg(c, 0), strlen(cli_arg(c, 0)),
                 ETCD_GET(.prefix = cli_flag_bool(c, "prefix"), .limit = cli_flag_int(c, "limit"), .call = cli_call(c)), &get,
                 &err) < 0)
        cli_fail_call(CLI_ERROR, &err);
    cli_print(c, &get_printer, get, NULL);
    etcd_response_free(get);
    return CLI_OK;
}

const cli_command cli_get = {
    .name = "get",
    .usage = "get [options] <key> [range_end]",
    .summary = "Gets the key or a range of keys",
    .group = CLI_KV,
    CLI_FLAGS(get_flags),
    .run = run_get,
};
