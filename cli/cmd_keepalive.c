/* lease keep-alive [--once].
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"
#include "lease_print.h"
#include "loop.h"
#include "protobuf.h"

#include <inttypes.h>

static void alive_simple(FILE *out, const cli *c, const void *response, const void *arg)
{
    const etcd_keepalive_response *r = response;
    (void)c, (void)arg;
    fprintf(out, "lease %s keepalived with TTL(%" PRId64 ")\n", cli_lease_text(r->id).text, r->ttl_s);
}

static void alive_fields(FILE *out, const cli *c, const void *response, const void *arg)
{
    const etcd_keepalive_response *r = response;
    (void)arg;
    cli_fields_header(out, c, &r->header);
    cli_fields_lease(out, c, r->id);
    cli_fields_int(out, "TTL", r->ttl_s);
}

static void alive_json(FILE *out, const cli *c, const void *response, const void *arg)
{
    const etcd_keepalive_response *r = response;
    (void)c, (void)arg;
    cli_json_flat_header(out, &r->header);
    fprintf(out, "\"ID\":%" PRId64 ",\"TTL\":%" PRId64 "}\n", r->id, r->ttl_s);
}

static const cli_printer printer = {.simple = alive_simple,
                                    .fields = alive_fields,
                                    .json = alive_json,
                                    .protobuf = cli_protobuf_header};

static int once(cli *c, etcd_client *client, int64_t id)
{
    etcd_keepalive_response *response;
    etcd_error err;
    if (etcd_keepalive_once(client, id, cli_call_unbounded(c), &response, &err) < 0)
        cli_fail_call(CLI_BAD_CONNECTION, &err);
    cli_print(c, &printer, response, NULL);
    etcd_response_free(response);
    return CLI_OK;
}

/** Shows each answer until the lease has ended. */
static void show_all(cli *c, etcd_client *client, etcd_keepalive *keepalive)
{
    for (;;) {
        etcd_keepalive_response *response;
        etcd_error err;
        int rc = etcd_keepalive_next(keepalive, 0, &response, &err);
        if (rc == ETCD_OK) {
            cli_print(c, &printer, response, NULL);
            etcd_response_free(response);
            continue;
        }
        if (rc == ETCD_ERR_LEASE_NOT_FOUND || rc == ETCD_ERR_LEASE_EXPIRED)
            return;
        if (rc != ETCD_ERR_TIMED_OUT)
            cli_fail_call(CLI_BAD_CONNECTION, &err);
        struct pollfd readable = {.fd = etcd_keepalive_fd(keepalive), .events = POLLIN};
        cli_wait(client, &readable, 1, -1);
    }
}

static int run_keepalive(cli *c)
{
    etcd_keepalive *keepalive;
    etcd_error err;
    if (cli_n_args(c) != 1)
        cli_fail(CLI_BAD_ARGS, "lease keep-alive command needs lease ID as argument");
    int64_t id = cli_lease_argument(c);
    etcd_client *client = cli_client(c);
    if (cli_flag_bool(c, "once"))
        return once(c, client, id);
    if (etcd_keepalive_open(client, id, NULL, &keepalive, &err) < 0)
        cli_fail_call(CLI_BAD_CONNECTION, &err);
    show_all(c, client, keepalive);
    etcd_keepalive_free(keepalive);
    if (c->format == CLI_SIMPLE)
        printf("lease %s expired or revoked.\n", cli_lease_text(id).text);
    return CLI_OK;
}

static const cli_flag keepalive_flags[] = {
    {.name = "once",
     .type = CLI_BOOL,
     .usage = "Resets the keep-alive time to its original value and cobrautl.Exits immediately"},
};

const cli_command cli_lease_keep_alive = {.name = "lease keep-alive",
                                          .usage = "keep-alive [options] <leaseID>",
                                          .summary = "Keeps leases alive (renew)",
                                          CLI_FLAGS(keepalive_flags),
                                          .run = run_keepalive};
