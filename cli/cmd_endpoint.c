/* endpoint status, hashkv: one member after the other. (health is in cmd_health.c.)
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"
#include "endpoints.h"
#include "print.h"
#include "text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/** What each member answered; those that did not are left out. */
typedef struct answers {
    char **endpoints;
    void **responses;
    size_t n;
} answers;

static void answers_free(answers *a)
{
    for (size_t i = 0; i < a->n; i++)
        etcd_response_free(a->responses[i]);
    free(a->responses);
}

/* -- status -- */

static const char *yes_no(bool value)
{
    return value ? "true" : "false";
}

static const char *downgrade_target(const etcd_status_response *r)
{
    return r->downgrade_info ? r->downgrade_info->target_version.data : "";
}

static bool downgrade_enabled(const etcd_status_response *r)
{
    return r->downgrade_info && r->downgrade_info->enabled;
}

static int64_t percent_unused(const etcd_status_response *r)
{
    return r->db_size > 0 ? 100 - r->db_size_in_use * 100 / r->db_size : 0;
}

enum { STATUS_COLUMNS = 16 };

/** The columns of simple and table. */
static void status_row(char **row, const char *endpoint, const etcd_status_response *r)
{
    row[0] = cli_text("%s", endpoint);
    row[1] = cli_text("%" PRIx64, r->header.member_id);
    row[2] = cli_text("%s", r->version.data);
    row[3] = cli_text("%s", r->storage_version.data);
    row[4] = cli_size(r->db_size);
    row[5] = cli_size(r->db_size_in_use);
    row[6] = cli_text("%" PRId64 "%%", percent_unused(r));
    row[7] = cli_size(r->db_size_quota);
    row[8] = cli_text("%s", yes_no(r->leader == r->header.member_id));
    row[9] = cli_text("%s", yes_no(r->is_learner));
    row[10] = cli_text("%" PRIu64, r->raft_term);
    row[11] = cli_text("%" PRIu64, r->raft_index);
    row[12] = cli_text("%" PRIu64, r->raft_applied_index);
    row[13] = cli_join(r->errors, r->n_errors, ", ");
    row[14] = cli_text("%s", downgrade_target(r));
    row[15] = cli_text("%s", yes_no(downgrade_enabled(r)));
}

static void print_row(FILE *out, const cli *c, char *const *row, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            fputs(", ", out);
        cli_print_text(out, c, (etcd_bytes){row[i], strlen(row[i])});
    }
    fputc('\n', out);
}

static char **status_rows(const answers *a)
{
    char **cells = cli_alloc((a->n + 1) * STATUS_COLUMNS * sizeof *cells);
    for (size_t i = 0; i < a->n; i++)
        status_row(cells + i * STATUS_COLUMNS, a->endpoints[i], a->responses[i]);
    return cells;
}

static void status_simple(FILE *out, const cli *c, const void *response, const void *arg)
{
    const answers *a = response;
    char **cells = status_rows(a);
    (void)arg;
    for (size_t i = 0; i < a->n; i++)
        print_row(out, c, cells + i * STATUS_COLUMNS, STATUS_COLUMNS);
    cli_free_texts(cells, a->n * STATUS_COLUMNS);
}

static void status_table(FILE *out, const cli *c, const void *response, const void *arg)
{
    static const char *const header[STATUS_COLUMNS] = {"endpoint",
                                                       "ID",
                                                       "version",
                                                       "storage version",
                                                       "db size",
                                                       "in use",
                                                       "percentage not in use",
                                                       "quota",
                                                       "is leader",
                                                       "is learner",
                                                       "raft term",
                                                       "raft index",
                                                       "raft applied index",
                                                       "errors",
                                                       "downgrade target version",
                                                       "downgrade enabled"};
    const answers *a = response;
    char **cells = status_rows(a);
    (void)c, (void)arg;
    cli_table(out, header, (const char *const *)cells, STATUS_COLUMNS, a->n);
    cli_free_texts(cells, a->n * STATUS_COLUMNS);
}

static void status_fields(FILE *out, const cli *c, const void *response, const void *arg)
{
    const answers *a = response;
    (void)arg;
    for (size_t i = 0; i < a->n; i++) {
        const etcd_status_response *r = a->responses[i];
        char *errors = cli_join(r->errors, r->n_errors, " ");
        char *list = cli_text("[%s]", errors);
        const char *target = downgrade_target(r);
        cli_fields_header(out, c, &r->header);
        cli_fields_quoted(out, "Version", r->version);
        cli_fields_quoted(out, "StorageVersion", r->storage_version);
        cli_fields_int(out, "DBSize", r->db_size);
        cli_fields_int(out, "DBSizeInUse", r->db_size_in_use);
        cli_fields_int(out, "DBSizeQuota", r->db_size_quota);
        cli_fields_uint(out, "Leader", r->leader);
        cli_fields_bool(out, "IsLearner", r->is_learner);
        cli_fields_uint(out, "RaftIndex", r->raft_index);
        cli_fields_uint(out, "RaftAppliedIndex", r->raft_applied_index);
        cli_fields_text(out, "Errors", list);
        cli_fields_quoted(out, "Endpoint", (etcd_bytes){a->endpoints[i], strlen(a->endpoints[i])});
        cli_fields_quoted(out, "DowngradeTargetVersion", (etcd_bytes){target, strlen(target)});
        cli_fields_bool(out, "DowngradeEnabled", downgrade_enabled(r));
        fputc('\n', out);
        free(list);
        free(errors);
    }
}

/** [{"Endpoint":"...","<name>":{...}},...] */
static void json_answers(FILE *out, const answers *a, const char *name, int type)
{
    if (a->n == 0) {
        fputs("null\n", out);
        return;
    }
    for (size_t i = 0; i < a->n; i++) {
        fputs(i == 0 ? "[" : ",", out);
        fputs("{\"Endpoint\":", out);
        cli_json_text(out, a->endpoints[i], strlen(a->endpoints[i]));
        fprintf(out, ",\"%s\":", name);
        cli_json_message(out, type, a->responses[i]);
        fputc('}', out);
    }
    fputs("]\n", out);
}

static void status_json(FILE *out, const cli *c, const void *response, const void *arg)
{
    (void)c, (void)arg;
    json_answers(out, response, "Status", ETCD_CALL_STATUS);
}

/** Asks all members: `ask` stores a response, or fails. What fails is told on stderr as "Failed to get the <what> of endpoint
 * ...". The last error goes to `err`, whose code is 0 without one. */
static answers ask_all(cli *c, int (*ask)(cli *c, const char *endpoint, void **out, etcd_error *err), const char *what,
                       etcd_error *err)
{
    size_t n;
    char **targets = cli_targets(c, &n);
    answers a = {.endpoints = targets, .responses = cli_alloc((n + 1) * sizeof(void *))};
    *err = (etcd_error){0};
    for (size_t i = 0; i < n; i++) {
        etcd_error failed;
        void *response;
        if (ask(c, targets[i], &response, &failed) < 0) {
            cli_check_auth(&failed);
            fprintf(stderr, "Failed to get the %s of endpoint %s (%s)\n", what, targets[i], cli_error_text(&failed));
            *err = failed;
            continue;
        }
        targets[a.n] = targets[i];
        a.responses[a.n++] = response;
    }
    return a;
}

static int ask_status(cli *c, const char *endpoint, void **out, etcd_error *err)
{
    etcd_status_response *response = NULL;
    int rc = etcd_status(cli_client(c), endpoint, cli_call(c), &response, err);
    *out = response;
    return rc;
}

static int run_status(cli *c)
{
    static const cli_printer printer = {
        .simple = status_simple, .fields = status_fields, .table = status_table, .json = status_json, .no_protobuf = true};
    etcd_error err;
    cli_setup(c);
    answers a = ask_all(c, ask_status, "status", &err);
    cli_print(c, &printer, &a, NULL);
    answers_free(&a);
    return err.code == 0 ? CLI_OK : CLI_ERROR;
}

/* -- hashkv -- */

static void hash_simple(FILE *out, const cli *c, const void *response, const void *arg)
{
    const answers *a = response;
    (void)c, (void)arg;
    for (size_t i = 0; i < a->n; i++) {
        const etcd_hash_kv_response *r = a->responses[i];
        fprintf(out, "%s, %" PRIu32 ", %" PRId64 "\n", a->endpoints[i], r->hash, r->hash_revision);
    }
}

static void hash_fields(FILE *out, const cli *c, const void *response, const void *arg)
{
    const answers *a = response;
    (void)arg;
    for (size_t i = 0; i < a->n; i++) {
        const etcd_hash_kv_response *r = a->responses[i];
        cli_fields_header(out, c, &r->header);
        cli_fields_quoted(out, "Endpoint", (etcd_bytes){a->endpoints[i], strlen(a->endpoints[i])});
        cli_fields_uint(out, "Hash", r->hash);
        cli_fields_int(out, "HashRevision", r->hash_revision);
        fputc('\n', out);
    }
}

static void hash_table(FILE *out, const cli *c, const void *response, const void *arg)
{
    static const char *const header[] = {"endpoint", "hash", "hash revision"};
    enum { COLUMNS = sizeof header / sizeof *header };
    const answers *a = response;
    char **cells = cli_alloc((a->n + 1) * COLUMNS * sizeof *cells);
    (void)c, (void)arg;
    for (size_t i = 0; i < a->n; i++) {
        const etcd_hash_kv_response *r = a->responses[i];
        cells[i * COLUMNS] = cli_text("%s", a->endpoints[i]);
        cells[i * COLUMNS + 1] = cli_text("%" PRIu32, r->hash);
        cells[i * COLUMNS + 2] = cli_text("%" PRId64, r->hash_revision);
    }
    cli_table(out, header, (const char *const *)cells, COLUMNS, a->n);
    cli_free_texts(cells, a->n * COLUMNS);
}

static void hash_json(FILE *out, const cli *c, const void *response, const void *arg)
{
    (void)c, (void)arg;
    json_answers(out, response, "HashKV", ETCD_CALL_HASH_KV);
}

static int ask_hash(cli *c, const char *endpoint, void **out, etcd_error *err)
{
    etcd_hash_kv_response *response = NULL;
    int rc = etcd_hash_kv(cli_client(c), endpoint, cli_flag_int(c, "rev"), cli_call(c), &response, err);
    *out = response;
    return rc;
}

static int run_hashkv(cli *c)
{
    static const cli_printer printer = {
        .simple = hash_simple, .fields = hash_fields, .table = hash_table, .json = hash_json, .no_protobuf = true};
    etcd_error err;
    cli_setup(c);
    answers a = ask_all(c, ask_hash, "hash", &err);
    cli_print(c, &printer, &a, NULL);
    answers_free(&a);
    if (err.code != 0)
        cli_fail_call(CLI_ERROR, &err);
    return CLI_OK;
}

static const cli_flag hashkv_flags[] = {
    {.name = "rev", .type = CLI_INT, .usage = "maximum revision to hash (default: latest revision)"},
};

/* -- the commands -- */

static const cli_flag endpoint_flags[] = {
    {.name = "cluster", .type = CLI_BOOL, .usage = "use all endpoints from the cluster member list"},
};

const cli_command cli_endpoint = {.name = "endpoint",
                                  .usage = "endpoint <subcommand>",
                                  .summary = "Endpoint related commands",
                                  .group = CLI_CLUSTER,
                                  CLI_FLAGS(endpoint_flags)};

const cli_command cli_endpoint_status = {
    .name = "endpoint status",
    .usage = "status",
    .summary = "Prints out the status of endpoints specified in `--endpoints` flag",
    .description =
        "When --write-out is set to simple, this command prints out comma-separated status lists for each endpoint.\n"
        "The items in the lists are endpoint, ID, version, db size, is leader, is learner, raft term, raft index, raft "
        "applied index, errors.",
    .also_flags_of = &cli_endpoint,
    .run = run_status};

const cli_command cli_endpoint_hashkv = {.name = "endpoint hashkv",
                                         .usage = "hashkv",
                                         .summary = "Prints the KV history hash for each endpoint in --endpoints",
                                         CLI_FLAGS(hashkv_flags),
                                         .also_flags_of = &cli_endpoint,
                                         .run = run_hashkv};
