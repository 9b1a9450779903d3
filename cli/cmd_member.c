/* member list, add, remove, update, promote.
 *
 * In simple, fields and table ids are hexadecimal; in json they are with --hex only, which no other family honours there.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"
#include "print.h"
#include "text.h"
#include "url.h"

#include <inttypes.h>
#include <string.h>

/* -- pieces of output -- */

static void print_urls(FILE *out, const cli *c, const etcd_bytes *urls, size_t n, const char *separator)
{
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            fputs(separator, out);
        cli_print_text(out, c, urls[i]);
    }
}

static void json_id(FILE *out, const cli *c, uint64_t id)
{
    if (c->hex)
        fprintf(out, "\"%" PRIx64 "\"", id);
    else
        fprintf(out, "%" PRIu64, id);
}

/** The header as the first field of an object: numbers that are zero are left out. */
static void json_header(FILE *out, const cli *c, const etcd_response_header *header)
{
    const char *comma = "";
    fputs("{\"header\":{", out);
    if (header->cluster_id != 0) {
        fputs("\"cluster_id\":", out);
        json_id(out, c, header->cluster_id);
        comma = ",";
    }
    if (header->member_id != 0) {
        fprintf(out, "%s\"member_id\":", comma);
        json_id(out, c, header->member_id);
        comma = ",";
    }
    if (header->revision != 0) {
        fprintf(out, "%s\"revision\":%" PRId64, comma, header->revision);
        comma = ",";
    }
    if (header->raft_term != 0)
        fprintf(out, "%s\"raft_term\":%" PRIu64, comma, header->raft_term);
    fputc('}', out);
}

static void json_urls(FILE *out, const char *name, const etcd_bytes *urls, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i == 0)
            fprintf(out, ",\"%s\":[", name);
        else
            fputc(',', out);
        cli_json_text(out, urls[i].data, urls[i].len);
    }
    if (n > 0)
        fputc(']', out);
}

static void json_member(FILE *out, const cli *c, const etcd_member *member)
{
    fputs("{\"ID\":", out);
    json_id(out, c, member->id);
    if (member->name.len > 0) {
        fputs(",\"name\":", out);
        cli_json_text(out, member->name.data, member->name.len);
    }
    json_urls(out, "peerURLs", member->peer_urls, member->n_peer_urls);
    json_urls(out, "clientURLs", member->client_urls, member->n_client_urls);
    if (member->is_learner)
        fputs(",\"isLearner\":true", out);
    fputc('}', out);
}

/** ,"members":[...]} and the end of the line. */
static void json_members(FILE *out, const cli *c, const etcd_member *members, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        fputs(i == 0 ? ",\"members\":[" : ",", out);
        json_member(out, c, &members[i]);
    }
    fputs(n > 0 ? "]}\n" : "}\n", out);
}

/* -- list -- */

static const char *status_of(const etcd_member *member)
{
    return member->name.len > 0 ? "started" : "unstarted";
}

static void list_simple(FILE *out, const cli *c, const void *response, const void *arg)
{
    const etcd_member_list_response *list = response;
    (void)arg;
    for (size_t i = 0; i < list->n_members; i++) {
        const etcd_member *member = &list->members[i];
        fprintf(out, "%" PRIx64 ", %s, ", member->id, status_of(member));
        cli_print_text(out, c, member->name);
        fputs(", ", out);
        print_urls(out, c, member->peer_urls, member->n_peer_urls, ",");
        fputs(", ", out);
        print_urls(out, c, member->client_urls, member->n_client_urls, ",");
        fprintf(out, ", %s\n", member->is_learner ? "true" : "false");
    }
}

static void list_fields(FILE *out, const cli *c, const void *response, const void *arg)
{
    const etcd_member_list_response *list = response;
    (void)arg;
    cli_fields_header(out, c, &list->header);
    for (size_t i = 0; i < list->n_members; i++) {
        const etcd_member *member = &list->members[i];
        cli_fields_id(out, c, "ID", member->id);
        cli_fields_quoted(out, "Name", member->name);
        for (size_t k = 0; k < member->n_peer_urls; k++)
            cli_fields_quoted(out, "PeerURL", member->peer_urls[k]);
        for (size_t k = 0; k < member->n_client_urls; k++)
            cli_fields_quoted(out, "ClientURL", member->client_urls[k]);
        cli_fields_bool(out, "IsLearner", member->is_learner);
        fputc('\n', out);
    }
}

static void list_json(FILE *out, const cli *c, const void *response, const void *arg)
{
    const etcd_member_list_response *list = response;
    (void)arg;
    json_header(out, c, &list->header);
    json_members(out, c, list->members, list->n_members);
}

static void list_table(FILE *out, const cli *c, const void *response, const void *arg)
{
    static const char *const header[] = {"ID", "Status", "Name", "Peer Addrs", "Client Addrs", "Is Learner"};
    enum { COLUMNS = sizeof header / sizeof *header };
    const etcd_member_list_response *list = response;
    char **cells = cli_alloc((list->n_members + 1) * COLUMNS * sizeof *cells);
    (void)c, (void)arg;
    for (size_t i = 0; i < list->n_members; i++) {
        const etcd_member *member = &list->members[i];
        char **row = cells + i * COLUMNS;
        row[0] = cli_text("%" PRIx64, member->id);
        row[1] = cli_text("%s", status_of(member));
        row[2] = cli_text("%s", member->name.data);
        row[3] = cli_join(member->peer_urls, member->n_peer_urls, ",");
        row[4] = cli_join(member->client_urls, member->n_client_urls, ",");
        row[5] = cli_text("%s", member->is_learner ? "true" : "false");
    }
    cli_table(out, header, (const char *const *)cells, COLUMNS, list->n_members);
    cli_free_texts(cells, list->n_members * COLUMNS);
}

static int run_list(cli *c)
{
    static const cli_printer printer = {
        .type = ETCD_CALL_MEMBER_LIST, .simple = list_simple, .fields = list_fields, .table = list_table, .json = list_json};
    const char *consistency = cli_flag_text(c, "consistency");
    etcd_member_list_response *response;
    etcd_error err;
    /* etcdctl says "l" whatever was given */
    if (strcmp(consistency, "l") != 0 && strcmp(consistency, "s") != 0)
        cli_fail(CLI_BAD_FEATURE, "unknown consistency flag \"l\"");
    etcd_client *client = cli_client(c);
    if (etcd_member_list(client, ETCD_MEMBER_LIST(.call = cli_call(c), .serializable = consistency[0] == 's'), &response, &err) <
        0)
        cli_fail_call(CLI_ERROR, &err);
    cli_print(c, &printer, response, NULL);
    etcd_response_free(response);
    return CLI_OK;
}

static const cli_flag list_flags[] = {
    {.name = "consistency", .type = CLI_STRING, .initial = "l", .usage = "Linearizable(l) or Serializable(s)"},
};

/* -- what the others have in common -- */

/** The member id that is the only argument. */
static uint64_t member_id(const cli *c)
{
    uint64_t id;
    cli_error error;
    if (cli_n_args(c) != 1)
        cli_fail(CLI_BAD_ARGS, "member ID is not provided");
    if (!cli_parse_uint(cli_arg(c, 0), 16, &id, &error))
        cli_fail(CLI_BAD_ARGS, "bad member ID arg (%s), expecting ID in Hex", error.text);
    return id;
}

/** The URLs of --peer-urls, checked as the Go client does. */
static cli_urls peer_urls(const cli *c)
{
    const char *text = cli_flag_text(c, "peer-urls");
    cli_error error;
    cli_urls urls;
    if (text[0] == '\0')
        cli_fail(CLI_BAD_ARGS, "member peer urls not provided");
    cli_urls_split(&urls, text);
    if (!cli_urls_check(&urls, &error))
        cli_fail(CLI_ERROR, "%s", error.text);
    return urls;
}

/* -- add -- */

typedef struct added {
    const char *name;
    bool learner;
} added;

static void add_simple(FILE *out, const cli *c, const void *response, const void *arg)
{
    const etcd_member_add_response *r = response;
    const added *what = arg;
    const char *comma = "";
    fprintf(out, "Member %16" PRIx64 " added%s to cluster %16" PRIx64 "\n", r->member.id, what->learner ? " as learner" : "",
            r->header.cluster_id);
    fprintf(out, "\nETCD_NAME=");
    cli_quote(out, what->name, strlen(what->name));
    fputs("\nETCD_INITIAL_CLUSTER=\"", out);
    for (size_t i = 0; i < r->n_members; i++) {
        const etcd_member *member = &r->members[i];
        for (size_t k = 0; k < member->n_peer_urls; k++, comma = ",") {
            fprintf(out, "%s%s=", comma, member->id == r->member.id ? what->name : member->name.data);
            cli_print_text(out, c, member->peer_urls[k]);
        }
    }
    fputs("\"\nETCD_INITIAL_ADVERTISE_PEER_URLS=\"", out);
    print_urls(out, c, r->member.peer_urls, r->member.n_peer_urls, ",");
    fputs("\"\nETCD_INITIAL_CLUSTER_STATE=\"existing\"\n", out);
}

static void add_json(FILE *out, const cli *c, const void *response, const void *arg)
{
    const etcd_member_add_response *r = response;
    (void)arg;
    json_header(out, c, &r->header);
    fputs(",\"member\":", out);
    json_member(out, c, &r->member);
    json_members(out, c, r->members, r->n_members);
}

static int run_add(cli *c)
{
    static const cli_printer printer = {.type = ETCD_CALL_MEMBER_ADD, .simple = add_simple, .json = add_json};
    added what = {.learner = cli_flag_bool(c, "learner")};
    etcd_member_add_response *response;
    etcd_error err;
    if (cli_n_args(c) < 1)
        cli_fail(CLI_BAD_ARGS, "member name not provided");
    if (cli_n_args(c) > 1 && strncmp(cli_arg(c, 1), "http", 4) == 0)
        cli_fail(CLI_BAD_ARGS, "too many arguments, did you mean --peer-urls=%s", cli_arg(c, 1));
    if (cli_n_args(c) > 1)
        cli_fail(CLI_BAD_ARGS, "too many arguments");
    what.name = cli_arg(c, 0);
    cli_urls urls = peer_urls(c);
    etcd_client *client = cli_client(c);
    int rc = etcd_member_add(client, (const char *const *)urls.items, urls.n,
                             ETCD_MEMBER_ADD(.call = cli_call(c), .learner = what.learner), &response, &err);
    cli_urls_free(&urls);
    if (rc < 0)
        cli_fail_call(CLI_ERROR, &err);
    cli_print(c, &printer, response, &what);
    etcd_response_free(response);
    return CLI_OK;
}

static const cli_flag add_flags[] = {
    {.name = "learner", .type = CLI_BOOL, .usage = "indicates if the new member is raft learner"},
    {.name = "peer-urls", .type = CLI_STRING, .usage = "comma separated peer URLs for the new member."},
};

/* -- remove, update, promote: a header and the members -- */

/* All three responses are the same struct by other names. */
typedef etcd_member_remove_response changed;

typedef struct change {
    uint64_t id;
    const char *what;
} change;

static void change_simple(FILE *out, const cli *c, const void *response, const void *arg)
{
    const change *made = arg;
    (void)c;
    fprintf(out, "Member %16" PRIx64 " %s cluster %16" PRIx64 "\n", made->id, made->what,
            ((const changed *)response)->header.cluster_id);
}

static void change_json(FILE *out, const cli *c, const void *response, const void *arg)
{
    const changed *r = response;
    (void)arg;
    json_header(out, c, &r->header);
    json_members(out, c, r->members, r->n_members);
}

/** Prints the outcome, or ends with the error. */
static int finish(cli *c, int type, int rc, void *response, const etcd_error *err, uint64_t id, const char *what)
{
    const cli_printer printer = {.type = type, .simple = change_simple, .json = change_json};
    const change made = {id, what};
    if (rc < 0)
        cli_fail_call(CLI_ERROR, err);
    cli_print(c, &printer, response, &made);
    etcd_response_free(response);
    return CLI_OK;
}

static int run_remove(cli *c)
{
    uint64_t id = member_id(c);
    etcd_member_remove_response *response;
    etcd_error err;
    etcd_client *client = cli_client(c);
    int rc = etcd_member_remove(client, id, cli_call(c), &response, &err);
    return finish(c, ETCD_CALL_MEMBER_REMOVE, rc, response, &err, id, "removed from");
}

static int run_update(cli *c)
{
    uint64_t id = member_id(c);
    cli_urls urls = peer_urls(c);
    etcd_member_update_response *response;
    etcd_error err;
    etcd_client *client = cli_client(c);
    int rc = etcd_member_update(client, id, (const char *const *)urls.items, urls.n, cli_call(c), &response, &err);
    cli_urls_free(&urls);
    return finish(c, ETCD_CALL_MEMBER_UPDATE, rc, response, &err, id, "updated in");
}

static const cli_flag update_flags[] = {
    {.name = "peer-urls", .type = CLI_STRING, .usage = "comma separated peer URLs for the updated member."},
};

static int run_promote(cli *c)
{
    uint64_t id = member_id(c);
    etcd_member_promote_response *response;
    etcd_error err;
    etcd_client *client = cli_client(c);
    int rc = etcd_member_promote(client, id, cli_call(c), &response, &err);
    return finish(c, ETCD_CALL_MEMBER_PROMOTE, rc, response, &err, id, "promoted in");
}

/* -- the commands -- */

const cli_command cli_member = {.name = "member",
                                .usage = "member <subcommand>",
                                .summary = "Membership related commands",
                                .group = CLI_CLUSTER};

const cli_command cli_member_list = {
    .name = "member list",
    .usage = "list",
    .summary = "Lists all members in the cluster",
    .description = "When --write-out is set to simple, this command prints out comma-separated member lists for each endpoint.\n"
                   "The items in the lists are ID, Status, Name, Peer Addrs, Client Addrs, Is Learner.",
    CLI_FLAGS(list_flags),
    .run = run_list};

const cli_command cli_member_add = {.name = "member add",
                                    .usage = "add <memberName> [options]",
                                    .summary = "Adds a member into the cluster",
                                    CLI_FLAGS(add_flags),
                                    .run = run_add};

const cli_command cli_member_remove = {.name = "member remove",
                                       .usage = "remove <memberID>",
                                       .summary = "Removes a member from the cluster",
                                       .run = run_remove};

const cli_command cli_member_update = {.name = "member update",
                                       .usage = "update <memberID> [options]",
                                       .summary = "Updates a member in the cluster",
                                       CLI_FLAGS(update_flags),
                                       .run = run_update};

const cli_command cli_member_promote = {.name = "member promote",
                                        .usage = "promote <memberID>",
                                        .summary = "Promotes a non-voting member in the cluster",
                                        .description = "Promotes a non-voting learner member to a voting one in the cluster.",
                                        .run = run_promote};
