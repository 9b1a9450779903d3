/* elect: leads until a signal comes, or shows who leads.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"
#include "hold.h"
#include "print.h"

#include <string.h>

extern const cli_printer cli_key_printer;

/* -- a candidate -- */

static void on_election(etcd_election *election, const etcd_error *err, void *arg)
{
    (void)election;
    cli_pending_end(arg, err);
}

static void resign(cli_hold *hold, etcd_election *election)
{
    cli_pending pending = {0};
    etcd_error err;
    const etcd_call_options *call = ETCD_CALL(.timeout_ms = CLI_RELEASE_MS);
    if (!hold->lost && etcd_election_resign_async(election, call, on_election, &pending, NULL, &err) == 0)
        cli_pending_wait(&pending, hold->client, CLI_RELEASE_MS);
    cli_hold_close(hold);
}

static int campaign(cli *c, const char *name, const char *proposal)
{
    cli_hold hold;
    cli_pending pending = {0};
    etcd_election *election;
    etcd_error err;
    size_t len;
    cli_hold_open(&hold, c, 0);
    if (etcd_election_new(hold.session, name, strlen(name), &election, &err) < 0 ||
        etcd_election_campaign_async(election, proposal, strlen(proposal), cli_hold_call(&hold), on_election, &pending, NULL,
                                     &err) < 0) {
        cli_hold_close(&hold);
        cli_fail_call(CLI_ERROR, &err);
    }
    if (!cli_hold_wait(&hold, &pending)) {
        cli_hold_close(&hold);
        cli_fail(CLI_ERROR, "context canceled");
    }
    const char *key = etcd_election_key(election, &len);
    cli_hold_print(&hold, key, len);
    bool signaled = cli_hold_until_signal(&hold);
    resign(&hold, election);
    if (!signaled)
        cli_fail(CLI_ERROR, "elect: session expired");
    return CLI_OK;
}

/* -- an observer -- */

static int observe(cli *c, const char *name)
{
    etcd_client *client = cli_client(c);
    etcd_observer *observer;
    etcd_error err;
    cli_catch_signals();
    if (etcd_observer_open(client, name, strlen(name), NULL, &observer, &err) < 0)
        cli_fail_call(CLI_ERROR, &err);
    for (;;) {
        etcd_observer_response *seen;
        int rc = etcd_observer_next(observer, 0, &seen, &err);
        if (rc == ETCD_OK) {
            if (seen->leader) {
                const etcd_get_response as_read = {.header = seen->header, .kvs = seen->leader, .n_kvs = 1};
                cli_print(c, &cli_key_printer, &as_read, NULL);
            }
            etcd_response_free(seen);
            continue;
        }
        if (rc != ETCD_ERR_TIMED_OUT)
            cli_fail_call(CLI_ERROR, &err);
        struct pollfd readable = {.fd = etcd_observer_fd(observer), .events = POLLIN};
        if (cli_wait(client, &readable, 1, -1) != 0)
            break;
    }
    etcd_observer_free(observer);
    return CLI_OK;
}

static int run_elect(cli *c)
{
    bool listen = cli_flag_bool(c, "listen");
    if (cli_n_args(c) != 1 && cli_n_args(c) != 2)
        cli_fail(CLI_BAD_ARGS, "elect takes one election name argument and an optional proposal argument");
    if (listen && cli_n_args(c) == 2)
        cli_fail(CLI_BAD_ARGS, "proposal given but -l is set");
    if (!listen && cli_n_args(c) == 1)
        cli_fail(CLI_BAD_ARGS, "no proposal argument but -l not set");
    return listen ? observe(c, cli_arg(c, 0)) : campaign(c, cli_arg(c, 0), cli_arg(c, 1));
}

static const cli_flag elect_flags[] = {
    {.name = "listen", .shorthand = 'l', .type = CLI_BOOL, .usage = "observation mode"},
};

const cli_command cli_elect = {.name = "elect",
                               .usage = "elect <election-name> [proposal]",
                               .summary = "Observes and participates in leader election",
                               .group = CLI_CONCURRENCY,
                               CLI_FLAGS(elect_flags),
                               .run = run_elect};
