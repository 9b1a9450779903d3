/* move-leader: asks the members for the leader, and the leader to hand over.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"
#include "endpoints.h"
#include "print.h"
#include "text.h"

#include <inttypes.h>
#include <stdlib.h>

typedef struct move {
    uint64_t from;
    uint64_t to;
} move;

static void move_simple(FILE *out, const cli *c, const void *response, const void *arg)
{
    const move *made = arg;
    (void)c, (void)response;
    fprintf(out, "Leadership transferred from %" PRIx64 " to %" PRIx64 "\n", made->from, made->to);
}

/** The one of the endpoints whose member leads; its id goes to `id`. */
static const char *find_leader(cli *c, uint64_t *id)
{
    size_t n;
    char **endpoints = cli_endpoints(c, &n);
    etcd_client *client = cli_client(c);
    for (size_t i = 0; i < n; i++) {
        etcd_status_response *status;
        etcd_error err;
        if (etcd_status(client, endpoints[i], cli_call(c), &status, &err) < 0)
            cli_fail_call(CLI_ERROR, &err);
        *id = status->leader;
        bool leads = status->header.member_id == status->leader;
        etcd_response_free(status);
        if (leads)
            return endpoints[i];
    }
    cli_fail(CLI_BAD_ARGS, "no leader endpoint given at %s", cli_list_text(endpoints, n));
}

static int run_move(cli *c)
{
    static const cli_printer printer = {.type = ETCD_CALL_MOVE_LEADER, .simple = move_simple};
    move made;
    cli_error error;
    etcd_error err;
    etcd_move_leader_response *response;
    if (cli_n_args(c) != 1)
        cli_fail(CLI_BAD_ARGS, "move-leader command needs 1 argument");
    if (!cli_parse_uint(cli_arg(c, 0), 16, &made.to, &error))
        cli_fail(CLI_BAD_ARGS, "%s", error.text);
    const char *leader = find_leader(c, &made.from);
    if (etcd_move_leader(cli_client(c), made.to, cli_call_to(c, leader), &response, &err) < 0)
        cli_fail_call(CLI_ERROR, &err);
    cli_print(c, &printer, response, &made);
    etcd_response_free(response);
    return CLI_OK;
}

const cli_command cli_move_leader = {.name = "move-leader",
                                     .usage = "move-leader <transferee-member-id>",
                                     .summary = "Transfers leadership to another etcd cluster member.",
                                     .group = CLI_CLUSTER,
                                     .run = run_move};
