/* downgrade validate, enable, cancel.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"
#include "print.h"

static void downgrade_simple(FILE *out, const cli *c, const void *response, const void *arg)
{
    (void)c;
    fprintf(out, "Downgrade %s success, cluster version %s\n", (const char *)arg,
            ((const etcd_downgrade_response *)response)->version.data);
}

static int ask(cli *c, int32_t action, const char *name, const char *version)
{
    static const cli_printer printer = {.type = ETCD_CALL_DOWNGRADE, .simple = downgrade_simple};
    etcd_downgrade_response *response;
    etcd_error err;
    etcd_client *client = cli_client(c);
    if (etcd_downgrade(client, action, version, cli_call(c), &response, &err) < 0)
        cli_fail_call(CLI_ERROR, &err);
    cli_print(c, &printer, response, name);
    etcd_response_free(response);
    return CLI_OK;
}

static const char *target_version(const cli *c)
{
    if (cli_n_args(c) < 1)
        cli_fail(CLI_BAD_ARGS, "TARGET_VERSION not provided");
    if (cli_n_args(c) > 1)
        cli_fail(CLI_BAD_ARGS, "too many arguments");
    if (cli_arg(c, 0)[0] == '\0')
        cli_fail(CLI_BAD_ARGS, "target version not provided");
    return cli_arg(c, 0);
}

static int run_validate(cli *c)
{
    return ask(c, ETCD_DOWNGRADE_VALIDATE, "validate", target_version(c));
}

static int run_enable(cli *c)
{
    return ask(c, ETCD_DOWNGRADE_ENABLE, "enable", target_version(c));
}

static int run_cancel(cli *c)
{
    return ask(c, ETCD_DOWNGRADE_CANCEL, "cancel", "");
}

const cli_command cli_downgrade = {.name = "downgrade",
                                   .usage = "downgrade <TARGET_VERSION>",
                                   .summary = "Downgrade related commands",
                                   .group = CLI_CLUSTER};

const cli_command cli_downgrade_validate = {.name = "downgrade validate",
                                            .usage = "validate <TARGET_VERSION>",
                                            .summary = "Validate downgrade capability before starting downgrade",
                                            .run = run_validate};

const cli_command cli_downgrade_enable = {.name = "downgrade enable",
                                          .usage = "enable <TARGET_VERSION>",
                                          .summary = "Start a downgrade action to cluster",
                                          .run = run_enable};

const cli_command cli_downgrade_cancel = {.name = "downgrade cancel",
                                          .usage = "cancel",
                                          .summary = "Cancel the ongoing downgrade action to cluster",
                                          .run = run_cancel};
