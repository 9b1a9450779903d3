/* auth enable, disable, status.
 *
 * enable and disable print one line whatever the format.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"
#include "print.h"

#include <inttypes.h>

static void no_arguments(const cli *c, const char *command)
{
    if (cli_n_args(c) != 0)
        cli_fail(CLI_BAD_ARGS, "%s command does not accept any arguments", command);
}

/** Gives the user root the role root, which authentication needs. */
static void make_root_role(cli *c, etcd_client *client)
{
    etcd_error err;
    int rc = etcd_role_add(client, "root", cli_call(c), NULL, &err);
    if (rc < 0 && rc != ETCD_ERR_ROLE_ALREADY_EXIST)
        cli_fail_call(CLI_ERROR, &err);
    if (etcd_user_grant_role(client, "root", "root", cli_call(c), NULL, &err) < 0)
        cli_fail_call(CLI_ERROR, &err);
}

static int run_enable(cli *c)
{
    etcd_error err;
    no_arguments(c, "auth enable");
    etcd_client *client = cli_client(c);
    int rc = etcd_auth_enable(client, cli_call(c), NULL, &err);
    if (rc == ETCD_ERR_ROOT_ROLE_NOT_EXIST) {
        make_root_role(c, client);
        rc = etcd_auth_enable(client, cli_call(c), NULL, &err);
    }
    if (rc < 0)
        cli_fail_call(CLI_ERROR, &err);
    puts("Authentication Enabled");
    return CLI_OK;
}

static int run_disable(cli *c)
{
    etcd_error err;
    no_arguments(c, "auth disable");
    etcd_client *client = cli_client(c);
    if (etcd_auth_disable(client, cli_call(c), NULL, &err) < 0)
        cli_fail_call(CLI_ERROR, &err);
    puts("Authentication Disabled");
    return CLI_OK;
}

static void status_simple(FILE *out, const cli *c, const void *response, const void *arg)
{
    const etcd_auth_status_response *r = response;
    (void)c, (void)arg;
    fprintf(out, "Authentication Status: %s\n", r->enabled ? "true" : "false");
    fprintf(out, "AuthRevision: %" PRIu64 "\n", r->auth_revision);
}

static int run_status(cli *c)
{
    static const cli_printer printer = {.type = ETCD_CALL_AUTH_STATUS, .simple = status_simple};
    etcd_auth_status_response *response;
    etcd_error err;
    no_arguments(c, "auth status");
    etcd_client *client = cli_client(c);
    if (etcd_auth_status(client, cli_call(c), &response, &err) < 0)
        cli_fail_call(CLI_ERROR, &err);
    cli_print(c, &printer, response, NULL);
    etcd_response_free(response);
    return CLI_OK;
}

const cli_command cli_auth = {.name = "auth",
                              .usage = "auth <enable or disable>",
                              .summary = "Enable or disable authentication",
                              .group = CLI_AUTH};

const cli_command cli_auth_enable = {.name = "auth enable",
                                     .usage = "enable",
                                     .summary = "Enables authentication",
                                     .run = run_enable};

const cli_command cli_auth_disable = {.name = "auth disable",
                                      .usage = "disable",
                                      .summary = "Disables authentication",
                                      .run = run_disable};

const cli_command cli_auth_status = {.name = "auth status",
                                     .usage = "status",
                                     .summary = "Returns authentication status",
                                     .run = run_status};
