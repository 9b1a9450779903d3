/* lease grant, revoke, timetolive, list. (keep-alive is in cmd_keepalive.c.)
 *
 * Their json is not that of the messages but of the Go client's own types: the header's fields come first, without a name.
 * Their protobuf is the header alone; revoke has none.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"
#include "endpoints.h"
#include "lease_print.h"
#include "protobuf.h"

#include <inttypes.h>
#include <stdlib.h>

/* -- pieces of output -- */

void cli_json_flat_header(FILE *out, const etcd_response_header *header)
{
    fputc('{', out);
    if (header->cluster_id != 0)
        fprintf(out, "\"cluster_id\":%" PRIu64 ",", header->cluster_id);
    if (header->member_id != 0)
        fprintf(out, "\"member_id\":%" PRIu64 ",", header->member_id);
    if (header->revision != 0)
        fprintf(out, "\"revision\":%" PRId64 ",", header->revision);
    if (header->raft_term != 0)
        fprintf(out, "\"raft_term\":%" PRIu64 ",", header->raft_term);
}

void cli_fields_lease(FILE *out, const cli *c, int64_t id)
{
    if (c->hex)
        fprintf(out, "\"ID\" : %s\n", cli_lease_text(id).text);
    else
        cli_fields_int(out, "ID", id);
}

cli_lease_name cli_lease_text(int64_t id)
{
    cli_lease_name name;
    if (id < 0)
        snprintf(name.text, sizeof name.text, "-%015" PRIx64, -(uint64_t)id);
    else
        snprintf(name.text, sizeof name.text, "%016" PRIx64, (uint64_t)id);
    return name;
}

int64_t cli_lease_argument(const cli *c)
{
    cli_error error;
    int64_t id;
    if (!cli_parse_int(cli_arg(c, 0), 16, &id, &error))
        cli_fail(CLI_BAD_ARGS, "bad lease ID arg (%s), expecting ID in Hex", error.text);
    return id;
}

__attribute__((noreturn)) static void fail(const char *what, const etcd_error *err)
{
    cli_check_auth(err);
    cli_fail(CLI_ERROR, "failed to %s lease (%s)", what, cli_error_text(err));
}

/* -- grant -- */

static void grant_simple(FILE *out, const cli *c, const void *response, const void *arg)
{
    const etcd_lease_grant_response *r = response;
    (void)c, (void)arg;
    fprintf(out, "lease %s granted with TTL(%" PRId64 "s)\n", cli_lease_text(r->id).text, r->ttl_s);
}

static void grant_fields(FILE *out, const cli *c, const void *response, const void *arg)
{
    const etcd_lease_grant_response *r = response;
    (void)arg;
    cli_fields_header(out, c, &r->header);
    cli_fields_lease(out, c, r->id);
    cli_fields_int(out, "TTL", r->ttl_s);
}

static void grant_json(FILE *out, const cli *c, const void *response, const void *arg)
{
    const etcd_lease_grant_response *r = response;
    (void)c, (void)arg;
    cli_json_flat_header(out, &r->header);
    fprintf(out, "\"ID\":%" PRId64 ",\"TTL\":%" PRId64 ",\"Error\":", r->id, r->ttl_s);
    cli_json_text(out, r->error.data, r->error.len);
    fputs("}\n", out);
}

static int run_grant(cli *c)
{
    static const cli_printer printer = {.type = ETCD_CALL_LEASE_GRANT,
                                        .simple = grant_simple,
                                        .fields = grant_fields,
                                        .json = grant_json,
                                        .protobuf = cli_protobuf_header};
    etcd_lease_grant_response *response;
    etcd_error err;
    cli_error error;
    int64_t ttl;
    if (cli_n_args(c) != 1)
        cli_fail(CLI_BAD_ARGS, "lease grant command needs TTL argument");
    if (!cli_parse_int(cli_arg(c, 0), 10, &ttl, &error))
        cli_fail(CLI_BAD_ARGS, "bad TTL (%s)", error.text);
    etcd_client *client = cli_client(c);
    if (etcd_lease_grant(client, ttl, ETCD_LEASE_GRANT(.call = cli_call(c)), &response, &err) < 0)
        fail("grant", &err);
    cli_print(c, &printer, response, NULL);
    etcd_response_free(response);
    return CLI_OK;
}

/* -- revoke -- */

static void revoke_simple(FILE *out, const cli *c, const void *response, const void *arg)
{
    (void)c, (void)response;
    fprintf(out, "lease %s revoked\n", cli_lease_text(*(const int64_t *)arg).text);
}

static void revoke_fields(FILE *out, const cli *c, const void *response, const void *arg)
{
    (void)arg;
    cli_fields_header(out, c, response);
}

static int run_revoke(cli *c)
{
    static const cli_printer printer = {
        .type = ETCD_CALL_LEASE_REVOKE, .simple = revoke_simple, .fields = revoke_fields, .no_protobuf = true};
    etcd_lease_revoke_response *response;
    etcd_error err;
    if (cli_n_args(c) != 1)
        cli_fail(CLI_BAD_ARGS, "lease revoke command needs 1 argument");
    int64_t id = cli_lease_argument(c);
    etcd_client *client = cli_client(c);
    if (etcd_lease_revoke(client, id, cli_call(c), &response, &err) < 0)
        fail("revoke", &err);
    cli_print(c, &printer, response, &id);
    etcd_response_free(response);
    return CLI_OK;
}

/* -- timetolive -- */

static void left_simple(FILE *out, const cli *c, const void *response, const void *arg)
{
    const etcd_lease_time_to_live_response *r = response;
    if (r->granted_ttl_s == 0 && r->ttl_s == -1) {
        fprintf(out, "lease %s already expired\n", cli_lease_text(r->id).text);
        return;
    }
    fprintf(out, "lease %s granted with TTL(%" PRId64 "s), remaining(%" PRId64 "s)", cli_lease_text(r->id).text, r->granted_ttl_s,
            r->ttl_s);
    if (*(const bool *)arg) {
        fputs(", attached keys([", out);
        for (size_t i = 0; i < r->n_keys; i++) {
            if (i > 0)
                fputc(' ', out);
            cli_print_text(out, c, r->keys[i]);
        }
        fputs("])", out);
    }
    fputc('\n', out);
}

static void left_fields(FILE *out, const cli *c, const void *response, const void *arg)
{
    const etcd_lease_time_to_live_response *r = response;
    (void)arg;
    cli_fields_header(out, c, &r->header);
    cli_fields_lease(out, c, r->id);
    cli_fields_int(out, "TTL", r->ttl_s);
    cli_fields_int(out, "GrantedTTL", r->granted_ttl_s);
    for (size_t i = 0; i < r->n_keys; i++)
        cli_fields_quoted(out, "Key", r->keys[i]);
}

static void left_json(FILE *out, const cli *c, const void *response, const void *arg)
{
    const etcd_lease_time_to_live_response *r = response;
    (void)c, (void)arg;
    cli_json_flat_header(out, &r->header);
    fprintf(out, "\"id\":%" PRId64 ",\"ttl\":%" PRId64 ",\"granted-ttl\":%" PRId64 ",\"keys\":", r->id, r->ttl_s,
            r->granted_ttl_s);
    for (size_t i = 0; i < r->n_keys; i++) {
        fputc(i == 0 ? '[' : ',', out);
        cli_json_bytes(out, r->keys[i]);
    }
    fputs(r->n_keys > 0 ? "]}\n" : "null}\n", out);
}

static int run_timetolive(cli *c)
{
    static const cli_printer printer = {.type = ETCD_CALL_LEASE_TIME_TO_LIVE,
                                        .simple = left_simple,
                                        .fields = left_fields,
                                        .json = left_json,
                                        .protobuf = cli_protobuf_header};
    etcd_lease_time_to_live_response *response;
    etcd_error err;
    if (cli_n_args(c) != 1)
        cli_fail(CLI_BAD_ARGS, "lease timetolive command needs lease ID as argument");
    int64_t id = cli_lease_argument(c);
    bool keys = cli_flag_bool(c, "keys");
    etcd_client *client = cli_client(c);
    if (etcd_lease_time_to_live(client, id, ETCD_LEASE_TIME_TO_LIVE(.call = cli_call_unbounded(c), .keys = keys), &response,
                                &err) < 0)
        cli_fail_call(CLI_BAD_CONNECTION, &err);
    cli_print(c, &printer, response, &keys);
    etcd_response_free(response);
    return CLI_OK;
}

static const cli_flag timetolive_flags[] = {
    {.name = "keys", .type = CLI_BOOL, .usage = "Get keys attached to this lease"},
};

/* -- list -- */

static void list_simple(FILE *out, const cli *c, const void *response, const void *arg)
{
    const etcd_lease_list_response *r = response;
    (void)c, (void)arg;
    fprintf(out, "found %zu leases\n", r->n_leases);
    for (size_t i = 0; i < r->n_leases; i++)
        fprintf(out, "%s\n", cli_lease_text(r->leases[i].id).text);
}

static void list_fields(FILE *out, const cli *c, const void *response, const void *arg)
{
    const etcd_lease_list_response *r = response;
    (void)arg;
    cli_fields_header(out, c, &r->header);
    for (size_t i = 0; i < r->n_leases; i++)
        cli_fields_lease(out, c, r->leases[i].id);
}

static void list_json(FILE *out, const cli *c, const void *response, const void *arg)
{
    const etcd_lease_list_response *r = response;
    (void)c, (void)arg;
    cli_json_flat_header(out, &r->header);
    fputs("\"leases\":[", out);
    for (size_t i = 0; i < r->n_leases; i++)
        fprintf(out, "%s{\"id\":%" PRId64 "}", i == 0 ? "" : ",", r->leases[i].id);
    fputs("]}\n", out);
}

static int run_list(cli *c)
{
    static const cli_printer printer = {.type = ETCD_CALL_LEASE_LIST,
                                        .simple = list_simple,
                                        .fields = list_fields,
                                        .json = list_json,
                                        .protobuf = cli_protobuf_header};
    etcd_lease_list_response *response;
    etcd_error err;
    etcd_client *client = cli_client(c);
    if (etcd_lease_list(client, cli_call_unbounded(c), &response, &err) < 0)
        cli_fail_call(CLI_BAD_CONNECTION, &err);
    cli_print(c, &printer, response, NULL);
    etcd_response_free(response);
    return CLI_OK;
}

/* -- the commands -- */

const cli_command cli_lease = {.name = "lease",
                               .usage = "lease <subcommand>",
                               .summary = "Lease related commands",
                               .group = CLI_KV};

const cli_command cli_lease_grant = {.name = "lease grant",
                                     .usage = "grant <ttl>",
                                     .summary = "Creates leases",
                                     .run = run_grant};

const cli_command cli_lease_revoke = {.name = "lease revoke",
                                      .usage = "revoke <leaseID>",
                                      .summary = "Revokes leases",
                                      .run = run_revoke};

const cli_command cli_lease_timetolive = {.name = "lease timetolive",
                                          .usage = "timetolive <leaseID> [options]",
                                          .summary = "Get lease information",
                                          CLI_FLAGS(timetolive_flags),
                                          .run = run_timetolive};

const cli_command cli_lease_list = {.name = "lease list", .usage = "list", .summary = "List all active leases", .run = run_list};
