/* user add, delete, get, list, passwd, grant-role, revoke-role.
 *
 * Passwords come from the argument ("name:password"), a flag, the terminal (twice), or with --interactive=false as one word of
 * standard input. They are wiped after use.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"
#include "role_print.h"
#include "text.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* -- passwords -- */

static void wipe(char *text)
{
    if (!text)
        return;
    explicit_bzero(text, strlen(text));
    free(text);
}

/** Asks twice. */
static char *ask_new_password(const char *user)
{
    char *prompt = cli_text("Password of %s: ", user);
    char *password = cli_ask_password(prompt);
    if (password[0] == '\0')
        cli_fail(CLI_BAD_ARGS, "empty password");
    free(prompt);
    prompt = cli_text("Type password of %s again for confirmation: ", user);
    char *again = cli_ask_password(prompt);
    bool same = strcmp(password, again) == 0;
    free(prompt);
    wipe(again);
    if (!same)
        cli_fail(CLI_BAD_ARGS, "given passwords are different");
    return password;
}

/** The first word of standard input's first line; there may be none. */
static char *read_word(void)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t len = getline(&line, &size, stdin);
    char *begin = line, *end;
    if (len <= 0) {
        free(line);
        return cli_copy("", 0);
    }
    while (isspace((unsigned char)*begin))
        begin++;
    for (end = begin; *end && !isspace((unsigned char)*end); end++)
        ;
    char *word = cli_copy(begin, (size_t)(end - begin));
    wipe(line);
    return word;
}

static char *new_password(const cli *c, const char *user)
{
    return cli_flag_bool(c, "interactive") ? ask_new_password(user) : read_word();
}

/* -- add, passwd -- */

static int run_add(cli *c)
{
    bool no_password = cli_flag_bool(c, "no-password");
    const char *given = cli_flag_text(c, "new-user-password");
    etcd_user_add_response *response;
    etcd_error err;
    if (cli_n_args(c) != 1)
        cli_fail(CLI_BAD_ARGS, "user add command requires user name as its argument");
    char *name = cli_copy(cli_arg(c, 0), strlen(cli_arg(c, 0))), *colon = strchr(name, ':'), *password = NULL;
    etcd_client *client = cli_client(c);
    if (no_password) {
        password = NULL;
    } else if (given[0] != '\0') {
        password = cli_copy(given, strlen(given));
    } else if (!colon) {
        password = new_password(c, name);
    } else {
        password = cli_copy(colon + 1, strlen(colon + 1));
        *colon = '\0';
        if (name[0] == '\0')
            cli_fail(CLI_BAD_ARGS, "empty user name is not allowed");
    }
    int rc = etcd_user_add(client, name, password, ETCD_USER_ADD(.call = cli_call_unbounded(c), .no_password = no_password),
                           &response, &err);
    wipe(password);
    cli_finish_change(c, ETCD_CALL_USER_ADD, rc, response, &err, cli_text("User %s created", name));
    free(name);
    return CLI_OK;
}

static const cli_flag add_flags[] = {
    {.name = "interactive",
     .type = CLI_BOOL,
     .initial = "true",
     .usage = "Read password from stdin instead of interactive terminal"},
    {.name = "new-user-password", .type = CLI_STRING, .usage = "Supply password from the command line flag"},
    {.name = "no-password", .type = CLI_BOOL, .usage = "Create a user without password (CN based auth only)"},
};

static int run_passwd(cli *c)
{
    etcd_user_change_password_response *response;
    etcd_error err;
    if (cli_n_args(c) != 1)
        cli_fail(CLI_BAD_ARGS, "user passwd command requires user name as its argument");
    char *password = new_password(c, cli_arg(c, 0));
    etcd_client *client = cli_client(c);
    int rc = etcd_user_change_password(client, cli_arg(c, 0), password, cli_call_unbounded(c), &response, &err);
    wipe(password);
    cli_finish_change(c, ETCD_CALL_USER_CHANGE_PASSWORD, rc, response, &err, cli_text("Password updated"));
    return CLI_OK;
}

static const cli_flag passwd_flags[] = {
    {.name = "interactive",
     .type = CLI_BOOL,
     .initial = "true",
     .usage = "If true, read password from stdin instead of interactive terminal"},
};

/* -- delete, get, list -- */

static int run_delete(cli *c)
{
    etcd_user_delete_response *response;
    etcd_error err;
    if (cli_n_args(c) != 1)
        cli_fail(CLI_BAD_ARGS, "user delete command requires user name as its argument");
    etcd_client *client = cli_client(c);
    int rc = etcd_user_delete(client, cli_arg(c, 0), cli_call_unbounded(c), &response, &err);
    cli_finish_change(c, ETCD_CALL_USER_DELETE, rc, response, &err, cli_text("User %s deleted", cli_arg(c, 0)));
    return CLI_OK;
}

static void get_simple(FILE *out, const cli *c, const void *response, const void *arg)
{
    const etcd_user_get_response *r = response;
    fprintf(out, "User: %s\nRoles:", (const char *)arg);
    for (size_t i = 0; i < r->n_roles; i++) {
        fputc(' ', out);
        cli_print_text(out, c, r->roles[i]);
    }
    fputc('\n', out);
}

/** The roles with their permissions, one after the other. */
static void print_details(cli *c, etcd_client *client, const etcd_user_get_response *user)
{
    printf("User: %s\n", cli_arg(c, 0));
    for (size_t i = 0; i < user->n_roles; i++) {
        etcd_role_get_response *role;
        etcd_error err;
        putchar('\n');
        if (etcd_role_get(client, user->roles[i].data, cli_call_unbounded(c), &role, &err) < 0)
            cli_fail_call(CLI_ERROR, &err);
        cli_print(c, &cli_role_get_printer, role, user->roles[i].data);
        etcd_response_free(role);
    }
}

static int run_get(cli *c)
{
    static const cli_printer printer = {.type = ETCD_CALL_USER_GET, .simple = get_simple};
    etcd_user_get_response *response;
    etcd_error err;
    if (cli_n_args(c) != 1)
        cli_fail(CLI_BAD_ARGS, "user get command requires user name as its argument");
    etcd_client *client = cli_client(c);
    if (etcd_user_get(client, cli_arg(c, 0), cli_call_unbounded(c), &response, &err) < 0)
        cli_fail_call(CLI_ERROR, &err);
    if (cli_flag_bool(c, "detail"))
        print_details(c, client, response);
    else
        cli_print(c, &printer, response, cli_arg(c, 0));
    etcd_response_free(response);
    return CLI_OK;
}

static const cli_flag get_flags[] = {
    {.name = "detail", .type = CLI_BOOL, .usage = "Show permissions of roles granted to the user"},
};

static void list_simple(FILE *out, const cli *c, const void *response, const void *arg)
{
    const etcd_user_list_response *r = response;
    (void)arg;
    for (size_t i = 0; i < r->n_users; i++) {
        cli_print_text(out, c, r->users[i]);
        fputc('\n', out);
    }
}

static int run_list(cli *c)
{
    static const cli_printer printer = {.type = ETCD_CALL_USER_LIST, .simple = list_simple};
    etcd_user_list_response *response;
    etcd_error err;
    if (cli_n_args(c) != 0)
        cli_fail(CLI_BAD_ARGS, "user list command requires no arguments");
    etcd_client *client = cli_client(c);
    if (etcd_user_list(client, cli_call_unbounded(c), &response, &err) < 0)
        cli_fail_call(CLI_ERROR, &err);
    cli_print(c, &printer, response, NULL);
    etcd_response_free(response);
    return CLI_OK;
}

/* -- roles of users -- */

static int run_grant(cli *c)
{
    etcd_user_grant_role_response *response;
    etcd_error err;
    if (cli_n_args(c) != 2)
        cli_fail(CLI_BAD_ARGS, "user grant command requires user name and role name as its argument");
    const char *user = cli_arg(c, 0), *role = cli_arg(c, 1);
    etcd_client *client = cli_client(c);
    int rc = etcd_user_grant_role(client, user, role, cli_call_unbounded(c), &response, &err);
    cli_finish_change(c, ETCD_CALL_USER_GRANT_ROLE, rc, response, &err, cli_text("Role %s is granted to user %s", role, user));
    return CLI_OK;
}

static int run_revoke(cli *c)
{
    etcd_user_revoke_role_response *response;
    etcd_error err;
    if (cli_n_args(c) != 2)
        cli_fail(CLI_BAD_ARGS, "user revoke-role requires user name and role name as its argument");
    const char *user = cli_arg(c, 0), *role = cli_arg(c, 1);
    etcd_client *client = cli_client(c);
    int rc = etcd_user_revoke_role(client, user, role, cli_call_unbounded(c), &response, &err);
    cli_finish_change(c, ETCD_CALL_USER_REVOKE_ROLE, rc, response, &err, cli_text("Role %s is revoked from user %s", role, user));
    return CLI_OK;
}

/* -- the commands -- */

const cli_command cli_user = {.name = "user",
                              .usage = "user <subcommand>",
                              .summary = "User related commands",
                              .group = CLI_AUTH};

const cli_command cli_user_add = {.name = "user add",
                                  .usage = "add <user name or user:password> [options]",
                                  .summary = "Adds a new user",
                                  CLI_FLAGS(add_flags),
                                  .run = run_add};

const cli_command cli_user_delete = {.name = "user delete",
                                     .usage = "delete <user name>",
                                     .summary = "Deletes a user",
                                     .run = run_delete};

const cli_command cli_user_get = {.name = "user get",
                                  .usage = "get <user name> [options]",
                                  .summary = "Gets detailed information of a user",
                                  CLI_FLAGS(get_flags),
                                  .run = run_get};

const cli_command cli_user_list = {.name = "user list", .usage = "list", .summary = "Lists all users", .run = run_list};

const cli_command cli_user_passwd = {.name = "user passwd",
                                     .usage = "passwd <user name> [options]",
                                     .summary = "Changes password of user",
                                     CLI_FLAGS(passwd_flags),
                                     .run = run_passwd};

const cli_command cli_user_grant_role = {.name = "user grant-role",
                                         .usage = "grant-role <user name> <role name>",
                                         .summary = "Grants a role to a user",
                                         .run = run_grant};

const cli_command cli_user_revoke_role = {.name = "user revoke-role",
                                          .usage = "revoke-role <user name> <role name>",
                                          .summary = "Revokes a role from a user",
                                          .run = run_revoke};
