/* role add, delete, get, list, grant-permission, revoke-permission.
 *
 * An empty key means the first one, "\x00", as the server knows no empty key.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"
#include "role_print.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* -- output -- */

static bool is_open_end(etcd_bytes end)
{
    return end.len == 1 && end.data[0] == '\0';
}

/** Whether [key, end) is exactly the keys that start with `key`. */
static bool is_prefix(etcd_bytes key, etcd_bytes end)
{
    char *prefix_end = cli_alloc(key.len + 1);
    size_t len = etcd_prefix_range_end(key.data, key.len, prefix_end);
    bool same = len == end.len && memcmp(prefix_end, end.data, len) == 0;
    free(prefix_end);
    return same;
}

static void print_range(FILE *out, const cli *c, etcd_bytes key, etcd_bytes end)
{
    if (end.len == 0) {
        fputc('\t', out);
        cli_print_text(out, c, key);
        fputc('\n', out);
        return;
    }
    fputs("\t[", out);
    cli_print_text(out, c, key);
    fputs(", ", out);
    if (is_open_end(end)) {
        fputs("<open ended>", out);
    } else {
        cli_print_text(out, c, end);
        fputc(')', out);
        if (is_prefix(key, end)) {
            fputs(" (prefix ", out);
            cli_print_text(out, c, key);
            fputc(')', out);
        }
    }
    fputc('\n', out);
}

static void print_permissions(FILE *out, const cli *c, const char *role, const etcd_role_get_response *r, int32_t type)
{
    if (strcmp(role, "root") == 0) {
        print_range(out, c, (etcd_bytes){"", 0}, (etcd_bytes){"", 1});
        return;
    }
    for (size_t i = 0; i < r->n_perm; i++)
        if (r->perm[i].type == type || r->perm[i].type == ETCD_PERMISSION_READWRITE)
            print_range(out, c, r->perm[i].key, r->perm[i].range_end);
}

static void get_simple(FILE *out, const cli *c, const void *response, const void *arg)
{
    fprintf(out, "Role %s\n", (const char *)arg);
    fputs("KV Read:\n", out);
    print_permissions(out, c, arg, response, ETCD_PERMISSION_READ);
    fputs("KV Write:\n", out);
    print_permissions(out, c, arg, response, ETCD_PERMISSION_WRITE);
}

static void get_fields(FILE *out, const cli *c, const void *response, const void *arg)
{
    static const char *const types[] = {" READ", " WRITE", " READWRITE"};
    const etcd_role_get_response *r = response;
    (void)arg;
    cli_fields_header(out, c, &r->header);
    for (size_t i = 0; i < r->n_perm; i++) {
        const etcd_permission *perm = &r->perm[i];
        if (perm->type >= 0 && perm->type < 3)
            cli_fields_text(out, "PermType", types[perm->type]);
        cli_fields_quoted(out, "Key", perm->key);
        cli_fields_quoted(out, "RangeEnd", perm->range_end);
    }
}

const cli_printer cli_role_get_printer = {.type = ETCD_CALL_ROLE_GET, .simple = get_simple, .fields = get_fields};

/** A line of text; fields have the header, as for all that changes something. */
static void line_simple(FILE *out, const cli *c, const void *response, const void *arg)
{
    (void)c, (void)response;
    fprintf(out, "%s\n", (const char *)arg);
}

static void header_fields(FILE *out, const cli *c, const void *response, const void *arg)
{
    (void)arg;
    cli_fields_header(out, c, response);
}

void cli_finish_change(cli *c, int type, int rc, void *response, const etcd_error *err, char *line)
{
    const cli_printer printer = {.type = type, .simple = line_simple, .fields = header_fields};
    if (rc < 0)
        cli_fail_call(CLI_ERROR, err);
    cli_print(c, &printer, response, line);
    etcd_response_free(response);
    free(line);
}

/* -- add, delete, get, list -- */

static const char *only_argument(const cli *c, const char *command)
{
    if (cli_n_args(c) != 1)
        cli_fail(CLI_BAD_ARGS, "%s command requires role name as its argument", command);
    return cli_arg(c, 0);
}

static int run_add(cli *c)
{
    const char *role = only_argument(c, "role add");
    etcd_role_add_response *response;
    etcd_error err;
    etcd_client *client = cli_client(c);
    int rc = etcd_role_add(client, role, cli_call_unbounded(c), &response, &err);
    cli_finish_change(c, ETCD_CALL_ROLE_ADD, rc, response, &err, cli_text("Role %s created", role));
    return CLI_OK;
}

static int run_delete(cli *c)
{
    const char *role = only_argument(c, "role delete");
    etcd_role_delete_response *response;
    etcd_error err;
    etcd_client *client = cli_client(c);
    int rc = etcd_role_delete(client, role, cli_call_unbounded(c), &response, &err);
    cli_finish_change(c, ETCD_CALL_ROLE_DELETE, rc, response, &err, cli_text("Role %s deleted", role));
    return CLI_OK;
}

static int run_get(cli *c)
{
    const char *role = only_argument(c, "role get");
    etcd_role_get_response *response;
    etcd_error err;
    etcd_client *client = cli_client(c);
    if (etcd_role_get(client, role, cli_call_unbounded(c), &response, &err) < 0)
        cli_fail_call(CLI_ERROR, &err);
    cli_print(c, &cli_role_get_printer, response, role);
    etcd_response_free(response);
    return CLI_OK;
}

static void list_simple(FILE *out, const cli *c, const void *response, const void *arg)
{
    const etcd_role_list_response *r = response;
    (void)arg;
    for (size_t i = 0; i < r->n_roles; i++) {
        cli_print_text(out, c, r->roles[i]);
        fputc('\n', out);
    }
}

static void list_fields(FILE *out, const cli *c, const void *response, const void *arg)
{
    const etcd_role_list_response *r = response;
    (void)arg;
    cli_fields_header(out, c, &r->header);
    fputs("\"Roles\" :", out);
    for (size_t i = 0; i < r->n_roles; i++) {
        fputc(' ', out);
        cli_quote(out, r->roles[i].data, r->roles[i].len);
    }
    fputc('\n', out);
}

static int run_list(cli *c)
{
    static const cli_printer printer = {.type = ETCD_CALL_ROLE_LIST, .simple = list_simple, .fields = list_fields};
    etcd_role_list_response *response;
    etcd_error err;
    if (cli_n_args(c) != 0)
        cli_fail(CLI_BAD_ARGS, "role list command requires no arguments");
    etcd_client *client = cli_client(c);
    if (etcd_role_list(client, cli_call_unbounded(c), &response, &err) < 0)
        cli_fail_call(CLI_ERROR, &err);
    cli_print(c, &printer, response, NULL);
    etcd_response_free(response);
    return CLI_OK;
}

/* -- permissions -- */

/** A key or range as the arguments have it. */
typedef struct key_range {
    const char *key;
    size_t key_len;
    char *end; /* NULL: one key */
    size_t end_len;
} key_range;

/** Reads the key at argument `at` and what may follow it, with --prefix and --from-key. */
static key_range range_of(const cli *c, size_t at)
{
    bool prefix = cli_flag_bool(c, "prefix"), from_key = cli_flag_bool(c, "from-key");
    const char *end = cli_n_args(c) > at + 1 ? cli_arg(c, at + 1) : NULL;
    key_range range = {.key = cli_arg(c, at), .key_len = strlen(cli_arg(c, at))};
    if (prefix && from_key)
        cli_fail(CLI_BAD_ARGS, "--from-key and --prefix flags are mutually exclusive");
    if (prefix && end)
        cli_fail(CLI_BAD_ARGS, "unexpected endkey argument with --prefix flag");
    if (from_key && end)
        cli_fail(CLI_BAD_ARGS, "unexpected endkey argument with --from-key flag");
    if (prefix) {
        range.end = cli_alloc(range.key_len + 1);
        range.end_len = etcd_prefix_range_end(range.key, range.key_len, range.end);
    } else if (from_key) {
        range.end = cli_copy("", 1);
        range.end_len = 1;
    } else if (end && end[0] != '\0') {
        range.end = cli_copy(end, strlen(end));
        range.end_len = strlen(end);
    }
    if (range.key_len == 0)
        range.key_len = 1; /* the NUL behind it */
    return range;
}

static int32_t permission_type(const char *text)
{
    static const char *const names[] = {"read", "write", "readwrite"};
    for (int32_t i = 0; i < 3; i++)
        if (strcasecmp(text, names[i]) == 0)
            return i;
    cli_fail(CLI_BAD_ARGS, "invalid permission type: %s", text);
}

static int run_grant(cli *c)
{
    etcd_role_grant_permission_response *response;
    etcd_error err;
    if (cli_n_args(c) < 3)
        cli_fail(CLI_BAD_ARGS, "role grant command requires role name, permission type, and key [endkey] as its argument");
    int32_t type = permission_type(cli_arg(c, 1));
    key_range range = range_of(c, 2);
    etcd_client *client = cli_client(c);
    int rc = etcd_role_grant_permission(client, cli_arg(c, 0), type, range.key, range.key_len,
                                        ETCD_ROLE_GRANT_PERMISSION(.call = cli_call_unbounded(c), .range_end = range.end,
                                                                   .range_end_len = (int64_t)range.end_len),
                                        &response, &err);
    free(range.end);
    cli_finish_change(c, ETCD_CALL_ROLE_GRANT_PERMISSION, rc, response, &err, cli_text("Role %s updated", cli_arg(c, 0)));
    return CLI_OK;
}

static char *revoked_line(const char *role, const char *key, const key_range *range)
{
    if (!range->end)
        return cli_text("Permission of key %s is revoked from role %s", key, role);
    if (is_open_end((etcd_bytes){range->end, range->end_len}))
        return cli_text("Permission of range [%s, <open ended> is revoked from role %s", key, role);
    return cli_text("Permission of range [%s, %.*s) is revoked from role %s", key, (int)range->end_len, range->end, role);
}

static int run_revoke(cli *c)
{
    etcd_role_revoke_permission_response *response;
    etcd_error err;
    if (cli_n_args(c) < 2)
        cli_fail(CLI_BAD_ARGS, "role revoke-permission command requires role name and key [endkey] as its argument");
    key_range range = range_of(c, 1);
    etcd_client *client = cli_client(c);
    int rc = etcd_role_revoke_permission(client, cli_arg(c, 0), range.key, range.key_len,
                                         ETCD_ROLE_REVOKE_PERMISSION(.call = cli_call_unbounded(c), .range_end = range.end,
                                                                     .range_end_len = (int64_t)range.end_len),
                                         &response, &err);
    char *line = revoked_line(cli_arg(c, 0), cli_arg(c, 1), &range);
    free(range.end);
    cli_finish_change(c, ETCD_CALL_ROLE_REVOKE_PERMISSION, rc, response, &err, line);
    return CLI_OK;
}

static const cli_flag grant_flags[] = {
    {.name = "prefix", .type = CLI_BOOL, .usage = "grant a prefix permission"},
    {.name = "from-key",
     .type = CLI_BOOL,
     .usage = "grant a permission of keys that are greater than or equal to the given key using byte compare"},
};

static const cli_flag revoke_flags[] = {
    {.name = "prefix", .type = CLI_BOOL, .usage = "revoke a prefix permission"},
    {.name = "from-key",
     .type = CLI_BOOL,
     .usage = "revoke a permission of keys that are greater than or equal to the given key using byte compare"},
};

/* -- the commands -- */

const cli_command cli_role = {.name = "role",
                              .usage = "role <subcommand>",
                              .summary = "Role related commands",
                              .group = CLI_AUTH};

const cli_command cli_role_add = {.name = "role add", .usage = "add <role name>", .summary = "Adds a new role", .run = run_add};

const cli_command cli_role_delete = {.name = "role delete",
                                     .usage = "delete <role name>",
                                     .summary = "Deletes a role",
                                     .run = run_delete};

const cli_command cli_role_get = {.name = "role get",
                                  .usage = "get <role name>",
                                  .summary = "Gets detailed information of a role",
                                  .run = run_get};

const cli_command cli_role_list = {.name = "role list", .usage = "list", .summary = "Lists all roles", .run = run_list};

const cli_command cli_role_grant_permission = {.name = "role grant-permission",
                                               .usage = "grant-permission [options] <role name> <permission type> <key> [endkey]",
                                               .summary = "Grants a key to a role",
                                               CLI_FLAGS(grant_flags),
                                               .run = run_grant};

const cli_command cli_role_revoke_permission = {.name = "role revoke-permission",
                                                .usage = "revoke-permission <role name> <key> [endkey]",
                                                .summary = "Revokes a key from a role",
                                                CLI_FLAGS(revoke_flags),
                                                .run = run_revoke};
