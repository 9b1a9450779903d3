/* Users, roles, permissions, and authentication switched on and off, against a real server. */
#include <stdio.h>
#include <string.h>

#include "real.h"

/* A client of the server without users and roles. */
static etcd_client *fresh_client(void)
{
    etcd_client *client = real_client_with(ETCD_CLIENT());
    etcd_user_list_response *users;
    etcd_role_list_response *roles;
    etcd_error err;

    assert_ok(etcd_user_list(client, NULL, &users, &err), &err);
    for (size_t i = 0; i < users->n_users; i++)
        assert_ok(etcd_user_delete(client, users->users[i].data, NULL, NULL, &err), &err);
    etcd_response_free(users);
    assert_ok(etcd_role_list(client, NULL, &roles, &err), &err);
    for (size_t i = 0; i < roles->n_roles; i++)
        assert_ok(etcd_role_delete(client, roles->roles[i].data, NULL, NULL, &err), &err);
    etcd_response_free(roles);
    return client;
}

/* The names, joined with spaces, in their order. */
static void assert_names(const etcd_bytes *names, size_t n, const char *expected)
{
    char joined[512] = "";
    size_t used = 0;

    for (size_t i = 0; i < n; i++)
        used += (size_t)snprintf(joined + used, sizeof joined - used, "%s%s", i > 0 ? " " : "", names[i].data);
    assert_string_equal(joined, expected);
}

static void assert_users(etcd_client *client, const char *expected)
{
    etcd_user_list_response *list;
    etcd_error err;

    assert_ok(etcd_user_list(client, NULL, &list, &err), &err);
    assert_names(list->users, list->n_users, expected);
    etcd_response_free(list);
}

static void assert_roles(etcd_client *client, const char *expected)
{
    etcd_role_list_response *list;
    etcd_error err;

    assert_ok(etcd_role_list(client, NULL, &list, &err), &err);
    assert_names(list->roles, list->n_roles, expected);
    etcd_response_free(list);
}

static void assert_roles_of(etcd_client *client, const char *user, const char *expected)
{
    etcd_user_get_response *get;
    etcd_error err;

    assert_ok(etcd_user_get(client, user, NULL, &get, &err), &err);
    assert_names(get->roles, get->n_roles, expected);
    etcd_response_free(get);
}

static void add_user(etcd_client *client, const char *name, const char *password)
{
    etcd_error err;

    assert_ok(etcd_user_add(client, name, password, NULL, NULL, &err), &err);
}

static void add_role(etcd_client *client, const char *name)
{
    etcd_error err;

    assert_ok(etcd_role_add(client, name, NULL, NULL, &err), &err);
}

static void grant(etcd_client *client, const char *user, const char *role)
{
    etcd_error err;

    assert_ok(etcd_user_grant_role(client, user, role, NULL, NULL, &err), &err);
}

/* ---- users ---- */

static void users_come_and_go(void **state)
{
    etcd_client *client = fresh_client();
    etcd_user_add_response *added;
    etcd_error err;

    (void)state;
    assert_users(client, "");
    assert_ok(etcd_user_add(client, "bob", "secret", NULL, &added, &err), &err);
    assert_true(added->header.cluster_id != 0);
    etcd_response_free(added);
    add_user(client, "alice", "p\xc3\xa4ss word");
    assert_users(client, "alice bob");
    assert_roles_of(client, "bob", "");
    assert_error(etcd_user_add(client, "bob", "other", NULL, &added, &err), &err, ETCD_ERR_USER_ALREADY_EXIST,
                 "user name already exists");
    assert_null(added);
    assert_int_equal(err.flags, 0);
    assert_ok(etcd_user_delete(client, "bob", NULL, NULL, &err), &err);
    assert_users(client, "alice");
    assert_error(etcd_user_delete(client, "bob", NULL, NULL, &err), &err, ETCD_ERR_USER_NOT_FOUND, "user name not found");
    assert_error(etcd_user_get(client, "bob", NULL, NULL, &err), &err, ETCD_ERR_USER_NOT_FOUND, "user name not found");
    etcd_client_free(client);
}

static void a_user_needs_a_name_and_a_password(void **state)
{
    etcd_client *client = fresh_client();
    etcd_error err;

    (void)state;
    assert_error(etcd_user_add(client, "", "x", NULL, NULL, &err), &err, ETCD_ERR_USER_EMPTY, "user name is empty");
    assert_error(etcd_user_add(client, NULL, "x", NULL, NULL, &err), &err, ETCD_ERR_ARGUMENT, "name is NULL");
    assert_error(etcd_user_add(client, "x", NULL, NULL, NULL, &err), &err, ETCD_ERR_ARGUMENT, "password is NULL");
    assert_error(etcd_user_add(client, "x", "x", ETCD_USER_ADD(.no_password = true), NULL, &err), &err, ETCD_ERR_ARGUMENT,
                 "no_password");
    assert_error(etcd_user_change_password(client, "x", NULL, NULL, NULL, &err), &err, ETCD_ERR_ARGUMENT, "password is NULL");
    assert_error(etcd_user_delete(client, NULL, NULL, NULL, &err), &err, ETCD_ERR_ARGUMENT, "name is NULL");
    assert_error(etcd_user_grant_role(client, "x", NULL, NULL, NULL, &err), &err, ETCD_ERR_ARGUMENT, "role is NULL");
    assert_error(etcd_user_revoke_role(client, NULL, "x", NULL, NULL, &err), &err, ETCD_ERR_ARGUMENT, "user is NULL");
    assert_users(client, "");
    assert_ok(etcd_user_add(client, "x", NULL, ETCD_USER_ADD(.no_password = true), NULL, &err), &err);
    assert_users(client, "x");
    etcd_client_free(client);
}

static void users_get_and_lose_roles(void **state)
{
    etcd_client *client = fresh_client();
    etcd_error err;

    (void)state;
    add_user(client, "bob", "secret");
    add_role(client, "reader");
    add_role(client, "writer");
    grant(client, "bob", "writer");
    grant(client, "bob", "reader");
    grant(client, "bob", "reader"); /* has it already */
    assert_roles_of(client, "bob", "reader writer");
    assert_error(etcd_user_grant_role(client, "bob", "none", NULL, NULL, &err), &err, ETCD_ERR_ROLE_NOT_FOUND,
                 "role name not found");
    assert_error(etcd_user_grant_role(client, "eve", "reader", NULL, NULL, &err), &err, ETCD_ERR_USER_NOT_FOUND,
                 "user name not found");
    assert_ok(etcd_user_revoke_role(client, "bob", "writer", NULL, NULL, &err), &err);
    assert_roles_of(client, "bob", "reader");
    assert_error(etcd_user_revoke_role(client, "bob", "writer", NULL, NULL, &err), &err, ETCD_ERR_ROLE_NOT_GRANTED,
                 "role is not granted to the user");
    assert_error(etcd_user_revoke_role(client, "eve", "writer", NULL, NULL, &err), &err, ETCD_ERR_USER_NOT_FOUND,
                 "user name not found");
    assert_ok(etcd_role_delete(client, "reader", NULL, NULL, &err), &err);
    assert_roles_of(client, "bob", "");
    etcd_client_free(client);
}

/* ---- roles ---- */

static void roles_come_and_go(void **state)
{
    etcd_client *client = fresh_client();
    etcd_role_get_response *role = NULL;
    etcd_error err;

    (void)state;
    assert_roles(client, "");
    add_role(client, "writer");
    add_role(client, "reader");
    assert_roles(client, "reader writer");
    assert_error(etcd_role_add(client, "reader", NULL, NULL, &err), &err, ETCD_ERR_ROLE_ALREADY_EXIST,
                 "role name already exists");
    assert_error(etcd_role_add(client, "", NULL, NULL, &err), &err, ETCD_ERR_ROLE_EMPTY, "role name is empty");
    assert_error(etcd_role_add(client, NULL, NULL, NULL, &err), &err, ETCD_ERR_ARGUMENT, "name is NULL");
    assert_ok(etcd_role_get(client, "reader", NULL, &role, &err), &err);
    assert_int_equal(role->n_perm, 0);
    etcd_response_free(role);
    assert_ok(etcd_role_delete(client, "reader", NULL, NULL, &err), &err);
    assert_error(etcd_role_delete(client, "reader", NULL, NULL, &err), &err, ETCD_ERR_ROLE_NOT_FOUND, "role name not found");
    assert_error(etcd_role_get(client, "reader", NULL, &role, &err), &err, ETCD_ERR_ROLE_NOT_FOUND, "role name not found");
    assert_null(role);
    assert_roles(client, "writer");
    etcd_client_free(client);
}

static void assert_permission(const etcd_permission *permission, int type, const char *key, size_t key_len, const char *end,
                              size_t end_len)
{
    assert_int_equal(permission->type, type);
    assert_bytes(permission->key, key, key_len);
    assert_bytes(permission->range_end, end, end_len);
}

static void permissions_are_on_keys_and_ranges(void **state)
{
    etcd_client *client = fresh_client();
    etcd_role_get_response *role;
    etcd_error err;

    (void)state;
    add_role(client, "r");
    assert_ok(etcd_role_grant_permission(client, "r", ETCD_PERMISSION_READ, ETCD_STR("a"), NULL, NULL, &err), &err);
    assert_ok(etcd_role_grant_permission(client, "r", ETCD_PERMISSION_WRITE, ETCD_STR("b"),
                                         ETCD_ROLE_GRANT_PERMISSION(.range_end = "c", .range_end_len = 1), NULL, &err),
              &err);
    assert_ok(etcd_role_grant_permission(client, "r", ETCD_PERMISSION_READWRITE, ETCD_STR("dir/"),
                                         ETCD_ROLE_GRANT_PERMISSION(.prefix = true), NULL, &err),
              &err);
    assert_ok(etcd_role_grant_permission(client, "r", ETCD_PERMISSION_READ, ETCD_STR("x"),
                                         ETCD_ROLE_GRANT_PERMISSION(.from_key = true), NULL, &err),
              &err);
    assert_ok(etcd_role_get(client, "r", NULL, &role, &err), &err);
    assert_int_equal(role->n_perm, 4);
    assert_permission(&role->perm[0], ETCD_PERMISSION_READ, "a", 1, "", 0);
    assert_permission(&role->perm[1], ETCD_PERMISSION_WRITE, "b", 1, "c", 1);
    assert_permission(&role->perm[2], ETCD_PERMISSION_READWRITE, "dir/", 4, "dir0", 4);
    assert_permission(&role->perm[3], ETCD_PERMISSION_READ, "x", 1, "\0", 1);
    etcd_response_free(role);
    etcd_client_free(client);
}

static void a_permission_is_replaced_and_revoked(void **state)
{
    etcd_client *client = fresh_client();
    etcd_role_get_response *role;
    etcd_error err;

    (void)state;
    add_role(client, "r");
    for (int type = ETCD_PERMISSION_READ; type <= ETCD_PERMISSION_READWRITE; type++)
        assert_ok(etcd_role_grant_permission(client, "r", type, "", 0, ETCD_ROLE_GRANT_PERMISSION(.prefix = true), NULL, &err),
                  &err);
    assert_ok(etcd_role_get(client, "r", NULL, &role, &err), &err);
    assert_int_equal(role->n_perm, 1);
    assert_permission(&role->perm[0], ETCD_PERMISSION_READWRITE, "\0", 1, "\0", 1);
    etcd_response_free(role);
    assert_error(etcd_role_revoke_permission(client, "r", ETCD_STR("a"), NULL, NULL, &err), &err, ETCD_ERR_PERMISSION_NOT_GRANTED,
                 "permission is not granted to the role");
    assert_error(etcd_role_revoke_permission(client, "none", ETCD_STR("a"), NULL, NULL, &err), &err, ETCD_ERR_ROLE_NOT_FOUND,
                 "role name not found");
    assert_ok(etcd_role_revoke_permission(client, "r", "", 0, ETCD_ROLE_REVOKE_PERMISSION(.from_key = true), NULL, &err), &err);
    assert_ok(etcd_role_get(client, "r", NULL, &role, &err), &err);
    assert_int_equal(role->n_perm, 0);
    etcd_response_free(role);
    etcd_client_free(client);
}

static void bad_permissions_are_refused(void **state)
{
    etcd_client *client = fresh_client();
    etcd_error err;

    (void)state;
    assert_error(etcd_role_grant_permission(client, "none", ETCD_PERMISSION_READ, ETCD_STR("a"), NULL, NULL, &err), &err,
                 ETCD_ERR_ROLE_NOT_FOUND, "role name not found");
    assert_error(etcd_role_grant_permission(client, "r", 3, ETCD_STR("a"), NULL, NULL, &err), &err, ETCD_ERR_ARGUMENT,
                 "type is 3");
    assert_error(etcd_role_grant_permission(client, "r", -1, ETCD_STR("a"), NULL, NULL, &err), &err, ETCD_ERR_ARGUMENT,
                 "type is -1");
    assert_error(etcd_role_grant_permission(client, "r", 0, "", 0, NULL, NULL, &err), &err, ETCD_ERR_EMPTY_KEY,
                 "key is not provided");
    assert_error(etcd_role_grant_permission(client, "r", 0, NULL, 1, NULL, NULL, &err), &err, ETCD_ERR_ARGUMENT, "key is NULL");
    assert_error(etcd_role_grant_permission(client, NULL, 0, ETCD_STR("a"), NULL, NULL, &err), &err, ETCD_ERR_ARGUMENT,
                 "role is NULL");
    assert_error(etcd_role_grant_permission(client, "r", 0, ETCD_STR("a"),
                                            ETCD_ROLE_GRANT_PERMISSION(.prefix = true, .from_key = true), NULL, &err),
                 &err, ETCD_ERR_ARGUMENT, "exclude each other");
    assert_error(etcd_role_revoke_permission(client, "r", ETCD_STR("a"),
                                             ETCD_ROLE_REVOKE_PERMISSION(.range_end = "b", .range_end_len = 1, .prefix = true),
                                             NULL, &err),
                 &err, ETCD_ERR_ARGUMENT, "exclude each other");
    assert_error(etcd_role_revoke_permission(client, NULL, ETCD_STR("a"), NULL, NULL, &err), &err, ETCD_ERR_ARGUMENT,
                 "role is NULL");
    etcd_client_free(client);
}

/* ---- on and off ---- */

static void make_root(etcd_client *client)
{
    add_user(client, "root", "rootpw");
    add_role(client, "root");
    grant(client, "root", "root");
}

static void authentication_needs_root(void **state)
{
    etcd_client *client = fresh_client();
    etcd_error err;

    (void)state;
    assert_error(etcd_auth_enable(client, NULL, NULL, &err), &err, ETCD_ERR_ROOT_USER_NOT_EXIST, "root user does not exist");
    add_user(client, "root", "rootpw");
    assert_error(etcd_auth_enable(client, NULL, NULL, &err), &err, ETCD_ERR_ROOT_ROLE_NOT_EXIST,
                 "root user does not have root role");
    assert_ok(etcd_auth_disable(client, NULL, NULL, &err), &err); /* is disabled */
    etcd_client_free(client);
}

static void status_tells_whether_it_is_enabled(void **state)
{
    etcd_client *client = fresh_client();
    etcd_auth_status_response *status = NULL;
    uint64_t revision;
    etcd_error err;

    (void)state;
    if (etcd_server_minor(real_server()) < 5) {
        assert_error(etcd_auth_status(client, NULL, &status, &err), &err, ETCD_ERR_UNIMPLEMENTED, "unknown method AuthStatus");
        assert_null(status);
        assert_int_equal(err.grpc_code, 12);
    } else {
        assert_ok(etcd_auth_status(client, NULL, &status, &err), &err);
        assert_false(status->enabled);
        revision = status->auth_revision;
        etcd_response_free(status);
        add_role(client, "r");
        assert_ok(etcd_auth_status(client, NULL, &status, &err), &err);
        assert_true(status->auth_revision > revision);
        etcd_response_free(status);
    }
    etcd_client_free(client);
}

static etcd_client *client_as(const char *user, const char *password)
{
    return real_client_with(ETCD_CLIENT(.username = user, .password = password));
}

static void enabled_it_asks_who_calls(void **state)
{
    etcd_client *nobody = fresh_client(), *root, *bob;
    etcd_auth_status_response *status;
    etcd_error err;

    (void)state;
    make_root(nobody);
    add_user(nobody, "bob", "first");
    add_role(nobody, "reader");
    grant(nobody, "bob", "reader");
    assert_ok(etcd_role_grant_permission(nobody, "reader", ETCD_PERMISSION_READ, ETCD_STR("open/"),
                                         ETCD_ROLE_GRANT_PERMISSION(.prefix = true), NULL, &err),
              &err);
    assert_ok(etcd_auth_enable(nobody, NULL, NULL, &err), &err);
    assert_error(etcd_get(nobody, ETCD_STR("open/x"), NULL, NULL, &err), &err, ETCD_ERR_USER_EMPTY, "user name is empty");
    assert_error(etcd_user_list(nobody, NULL, NULL, &err), &err, ETCD_ERR_USER_EMPTY, "user name is empty");

    root = client_as("root", "rootpw");
    assert_users(root, "bob root");
    assert_error(etcd_user_delete(root, "root", NULL, NULL, &err), &err, ETCD_ERR_INVALID_AUTH_MGMT, "invalid auth management");
    assert_error(etcd_role_delete(root, "root", NULL, NULL, &err), &err, ETCD_ERR_INVALID_AUTH_MGMT, "invalid auth management");
    assert_error(etcd_user_revoke_role(root, "root", "root", NULL, NULL, &err), &err, ETCD_ERR_INVALID_AUTH_MGMT,
                 "invalid auth management");

    bob = client_as("bob", "first");
    assert_keys(real_get(bob, "open/", ETCD_GET(.prefix = true)), "");
    assert_error(etcd_get(bob, ETCD_STR("other"), NULL, NULL, &err), &err, ETCD_ERR_PERMISSION_DENIED, "permission denied");
    assert_error(etcd_put(bob, ETCD_STR("open/x"), ETCD_STR("v"), NULL, NULL, &err), &err, ETCD_ERR_PERMISSION_DENIED,
                 "permission denied");
    assert_error(etcd_user_list(bob, NULL, NULL, &err), &err, ETCD_ERR_PERMISSION_DENIED, "permission denied");
    assert_roles_of(bob, "bob", "reader"); /* about oneself */
    assert_ok(etcd_role_get(bob, "reader", NULL, NULL, &err), &err);
    assert_error(etcd_role_get(bob, "root", NULL, NULL, &err), &err, ETCD_ERR_PERMISSION_DENIED, "permission denied");
    assert_error(etcd_user_add(bob, "eve", "x", NULL, NULL, &err), &err, ETCD_ERR_PERMISSION_DENIED, "permission denied");
    etcd_client_free(bob);

    assert_ok(etcd_user_change_password(root, "bob", "second", NULL, NULL, &err), &err);
    bob = client_as("bob", "first");
    assert_error(etcd_get(bob, ETCD_STR("open/x"), NULL, NULL, &err), &err, ETCD_ERR_AUTH_FAILED, "authentication failed");
    etcd_client_free(bob);
    bob = client_as("bob", "second");
    assert_keys(real_get(bob, "open/x", NULL), "");
    etcd_client_free(bob);

    if (etcd_server_minor(real_server()) >= 5) {
        assert_ok(etcd_auth_status(root, NULL, &status, &err), &err);
        assert_true(status->enabled);
        etcd_response_free(status);
    }
    if (etcd_server_minor(real_server()) >= 7)
        assert_ok(etcd_auth_status(nobody, NULL, NULL, &err), &err);
    else if (etcd_server_minor(real_server()) >= 5)
        assert_error(etcd_auth_status(nobody, NULL, NULL, &err), &err, ETCD_ERR_USER_EMPTY, "user name is empty");
    assert_ok(etcd_auth_disable(root, NULL, NULL, &err), &err);
    assert_keys(real_get(nobody, "other", NULL), "");
    etcd_client_free(root);
    etcd_client_free(nobody);
}

static void a_user_without_password_cannot_log_in(void **state)
{
    etcd_client *nobody = fresh_client(), *root, *cert;
    etcd_error err;

    (void)state;
    make_root(nobody);
    assert_ok(etcd_user_add(nobody, "cert", NULL, ETCD_USER_ADD(.no_password = true), NULL, &err), &err);
    assert_ok(etcd_auth_enable(nobody, NULL, NULL, &err), &err);
    cert = client_as("cert", "");
    assert_error(etcd_get(cert, ETCD_STR("x"), NULL, NULL, &err), &err, ETCD_ERR_UNKNOWN,
                 "password was given for no password user");
    etcd_client_free(cert);
    root = client_as("root", "rootpw");
    assert_ok(etcd_auth_disable(root, NULL, NULL, &err), &err);
    etcd_client_free(root);
    etcd_client_free(nobody);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(users_come_and_go),
    cmocka_unit_test(a_user_needs_a_name_and_a_password),
    cmocka_unit_test(users_get_and_lose_roles),
    cmocka_unit_test(roles_come_and_go),
    cmocka_unit_test(permissions_are_on_keys_and_ranges),
    cmocka_unit_test(a_permission_is_replaced_and_revoked),
    cmocka_unit_test(bad_permissions_are_refused),
    cmocka_unit_test(authentication_needs_root),
    cmocka_unit_test(status_tells_whether_it_is_enabled),
    cmocka_unit_test(enabled_it_asks_who_calls),
    cmocka_unit_test(a_user_without_password_cannot_log_in),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
