/* Authentication, users, roles and permissions. See <etcd3/auth.h>; the contract, section 1.12.
 *
 * Requests with a password are secret: their encoded bytes are wiped when the call is over. */
#include <etcd3/auth.h>

#include "base/error.h"
#include "base/options.h"
#include "service/request.h"
#include "service/sink.h"

ETCD__UNARY(auth_enable, AUTH_ENABLE, AUTH_ENABLE)
ETCD__UNARY(auth_disable, AUTH_DISABLE, AUTH_DISABLE)
ETCD__UNARY(auth_status, AUTH_STATUS, AUTH_STATUS)
ETCD__UNARY(user_delete, USER_DELETE, USER_DELETE)
ETCD__UNARY(user_grant_role, USER_GRANT_ROLE, USER_GRANT_ROLE)
ETCD__UNARY(user_revoke_role, USER_REVOKE_ROLE, USER_REVOKE_ROLE)
ETCD__UNARY(user_get, USER_GET, USER_GET)
ETCD__UNARY(user_list, USER_LIST, USER_LIST)
ETCD__UNARY(role_add, ROLE_ADD, ROLE_ADD)
ETCD__UNARY(role_delete, ROLE_DELETE, ROLE_DELETE)
ETCD__UNARY(role_get, ROLE_GET, ROLE_GET)
ETCD__UNARY(role_list, ROLE_LIST, ROLE_LIST)
ETCD__UNARY(role_grant_permission, ROLE_GRANT_PERMISSION, ROLE_GRANT_PERMISSION)
ETCD__UNARY(role_revoke_permission, ROLE_REVOKE_PERMISSION, ROLE_REVOKE_PERMISSION)
ETCD__DELIVER(user_add)
ETCD__DELIVER(user_change_password)

static const etcd__unary unary_user_add = {.rpc = ETCD__RPC_USER_ADD,
                                           .call_type = ETCD_CALL_USER_ADD,
                                           .deliver = deliver_user_add,
                                           .secret = true};
static const etcd__unary unary_user_change_password = {.rpc = ETCD__RPC_USER_CHANGE_PASSWORD,
                                                       .call_type = ETCD_CALL_USER_CHANGE_PASSWORD,
                                                       .deliver = deliver_user_change_password,
                                                       .secret = true};

void etcd_user_add_options_init(etcd_user_add_options *options, size_t size)
{
    etcd__options_init(options, size);
}

void etcd_role_grant_permission_options_init(etcd_role_grant_permission_options *options, size_t size)
{
    etcd__options_init(options, size);
}

void etcd_role_revoke_permission_options_init(etcd_role_revoke_permission_options *options, size_t size)
{
    etcd__options_init(options, size);
}

/* --- authentication as a whole --- */

static int auth_enable(etcd_client *client, const etcd_call_options *call, etcd__sink sink, etcd_error *err)
{
    return etcd__sink_call(client, &unary_auth_enable, &(const etcd__empty){0}, call, sink, err);
}

int etcd_auth_enable(etcd_client *client, const etcd_call_options *call, etcd_auth_enable_response **out, etcd_error *err)
{
    return auth_enable(client, call, etcd__sink_out(out), err);
}

int etcd_auth_enable_async(etcd_client *client, const etcd_call_options *call, etcd_auth_enable_fn done, void *arg,
                           etcd_call_id *id, etcd_error *err)
{
    return auth_enable(client, call, ETCD__SINK_DONE(done, arg, id), err);
}

static int auth_disable(etcd_client *client, const etcd_call_options *call, etcd__sink sink, etcd_error *err)
{
    return etcd__sink_call(client, &unary_auth_disable, &(const etcd__empty){0}, call, sink, err);
}

int etcd_auth_disable(etcd_client *client, const etcd_call_options *call, etcd_auth_disable_response **out, etcd_error *err)
{
    return auth_disable(client, call, etcd__sink_out(out), err);
}

int etcd_auth_disable_async(etcd_client *client, const etcd_call_options *call, etcd_auth_disable_fn done, void *arg,
                            etcd_call_id *id, etcd_error *err)
{
    return auth_disable(client, call, ETCD__SINK_DONE(done, arg, id), err);
}

static int auth_status(etcd_client *client, const etcd_call_options *call, etcd__sink sink, etcd_error *err)
{
    return etcd__sink_call(client, &unary_auth_status, &(const etcd__empty){0}, call, sink, err);
}

int etcd_auth_status(etcd_client *client, const etcd_call_options *call, etcd_auth_status_response **out, etcd_error *err)
{
    return auth_status(client, call, etcd__sink_out(out), err);
}

int etcd_auth_status_async(etcd_client *client, const etcd_call_options *call, etcd_auth_status_fn done, void *arg,
                           etcd_call_id *id, etcd_error *err)
{
    return auth_status(client, call, ETCD__SINK_DONE(done, arg, id), err);
}

/* --- users --- */

/* GO-DIFF: the Go client sends an empty name or a forgotten password. */
static int request_user_add(const char *name, const char *password, bool no_password, etcd__user_add_request *request,
                            etcd_error *err)
{
    int rc = etcd__request_text("name", name, &request->name, err);

    if (rc < 0)
        return rc;
    if (request->name.len == 0)
        return etcd__error_set(err, ETCD_ERR_USER_EMPTY, "%s", etcd_error_text(ETCD_ERR_USER_EMPTY));
    if (!no_password)
        return etcd__request_text("password", password, &request->password, err);
    if (password != NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "a user with no_password has no password: give NULL");
    return ETCD_OK;
}

static int user_add(etcd_client *client, const char *name, const char *password, const etcd_user_add_options *options,
                    etcd__sink sink, etcd_error *err)
{
    etcd_user_add_options o;
    etcd__user_add_options request_options;
    etcd__user_add_request request = {.options = &request_options};
    int rc = etcd__options_load(&o, sizeof o, options, "etcd_user_add_options", err);

    if (rc < 0)
        return rc;
    request_options = (etcd__user_add_options){.no_password = o.no_password};
    rc = request_user_add(name, password, o.no_password, &request, err);
    return rc < 0 ? rc : etcd__sink_call(client, &unary_user_add, &request, o.call, sink, err);
}

int etcd_user_add(etcd_client *client, const char *name, const char *password, const etcd_user_add_options *options,
                  etcd_user_add_response **out, etcd_error *err)
{
    return user_add(client, name, password, options, etcd__sink_out(out), err);
}

int etcd_user_add_async(etcd_client *client, const char *name, const char *password, const etcd_user_add_options *options,
                        etcd_user_add_fn done, void *arg, etcd_call_id *id, etcd_error *err)
{
    return user_add(client, name, password, options, ETCD__SINK_DONE(done, arg, id), err);
}

static int user_delete(etcd_client *client, const char *name, const etcd_call_options *call, etcd__sink sink, etcd_error *err)
{
    etcd__user_delete_request request = {0};
    int rc = etcd__request_text("name", name, &request.name, err);

    return rc < 0 ? rc : etcd__sink_call(client, &unary_user_delete, &request, call, sink, err);
}

int etcd_user_delete(etcd_client *client, const char *name, const etcd_call_options *call, etcd_user_delete_response **out,
                     etcd_error *err)
{
    return user_delete(client, name, call, etcd__sink_out(out), err);
}

int etcd_user_delete_async(etcd_client *client, const char *name, const etcd_call_options *call, etcd_user_delete_fn done,
                           void *arg, etcd_call_id *id, etcd_error *err)
{
    return user_delete(client, name, call, ETCD__SINK_DONE(done, arg, id), err);
}

static int user_change_password(etcd_client *client, const char *name, const char *password, const etcd_call_options *call,
                                etcd__sink sink, etcd_error *err)
{
    etcd__user_change_password_request request = {0};
    int rc = etcd__request_text("name", name, &request.name, err);

    if (rc == ETCD_OK)
        rc = etcd__request_text("password", password, &request.password, err);
    return rc < 0 ? rc : etcd__sink_call(client, &unary_user_change_password, &request, call, sink, err);
}

int etcd_user_change_password(etcd_client *client, const char *name, const char *password, const etcd_call_options *call,
                              etcd_user_change_password_response **out, etcd_error *err)
{
    return user_change_password(client, name, password, call, etcd__sink_out(out), err);
}

int etcd_user_change_password_async(etcd_client *client, const char *name, const char *password, const etcd_call_options *call,
                                    etcd_user_change_password_fn done, void *arg, etcd_call_id *id, etcd_error *err)
{
    return user_change_password(client, name, password, call, ETCD__SINK_DONE(done, arg, id), err);
}

static int user_grant_role(etcd_client *client, const char *user, const char *role, const etcd_call_options *call,
                           etcd__sink sink, etcd_error *err)
{
    etcd__user_grant_role_request request = {0};
    int rc = etcd__request_text("user", user, &request.user, err);

    if (rc == ETCD_OK)
        rc = etcd__request_text("role", role, &request.role, err);
    return rc < 0 ? rc : etcd__sink_call(client, &unary_user_grant_role, &request, call, sink, err);
}

int etcd_user_grant_role(etcd_client *client, const char *user, const char *role, const etcd_call_options *call,
                         etcd_user_grant_role_response **out, etcd_error *err)
{
    return user_grant_role(client, user, role, call, etcd__sink_out(out), err);
}

int etcd_user_grant_role_async(etcd_client *client, const char *user, const char *role, const etcd_call_options *call,
                               etcd_user_grant_role_fn done, void *arg, etcd_call_id *id, etcd_error *err)
{
    return user_grant_role(client, user, role, call, ETCD__SINK_DONE(done, arg, id), err);
}

static int user_revoke_role(etcd_client *client, const char *user, const char *role, const etcd_call_options *call,
                            etcd__sink sink, etcd_error *err)
{
    etcd__user_revoke_role_request request = {0};
    int rc = etcd__request_text("user", user, &request.name, err);

    if (rc == ETCD_OK)
        rc = etcd__request_text("role", role, &request.role, err);
    return rc < 0 ? rc : etcd__sink_call(client, &unary_user_revoke_role, &request, call, sink, err);
}

int etcd_user_revoke_role(etcd_client *client, const char *user, const char *role, const etcd_call_options *call,
                          etcd_user_revoke_role_response **out, etcd_error *err)
{
    return user_revoke_role(client, user, role, call, etcd__sink_out(out), err);
}

int etcd_user_revoke_role_async(etcd_client *client, const char *user, const char *role, const etcd_call_options *call,
                                etcd_user_revoke_role_fn done, void *arg, etcd_call_id *id, etcd_error *err)
{
    return user_revoke_role(client, user, role, call, ETCD__SINK_DONE(done, arg, id), err);
}

static int user_get(etcd_client *client, const char *name, const etcd_call_options *call, etcd__sink sink, etcd_error *err)
{
    etcd__user_get_request request = {0};
    int rc = etcd__request_text("name", name, &request.name, err);

    return rc < 0 ? rc : etcd__sink_call(client, &unary_user_get, &request, call, sink, err);
}

int etcd_user_get(etcd_client *client, const char *name, const etcd_call_options *call, etcd_user_get_response **out,
                  etcd_error *err)
{
    return user_get(client, name, call, etcd__sink_out(out), err);
}

int etcd_user_get_async(etcd_client *client, const char *name, const etcd_call_options *call, etcd_user_get_fn done, void *arg,
                        etcd_call_id *id, etcd_error *err)
{
    return user_get(client, name, call, ETCD__SINK_DONE(done, arg, id), err);
}

static int user_list(etcd_client *client, const etcd_call_options *call, etcd__sink sink, etcd_error *err)
{
    return etcd__sink_call(client, &unary_user_list, &(const etcd__empty){0}, call, sink, err);
}

int etcd_user_list(etcd_client *client, const etcd_call_options *call, etcd_user_list_response **out, etcd_error *err)
{
    return user_list(client, call, etcd__sink_out(out), err);
}

int etcd_user_list_async(etcd_client *client, const etcd_call_options *call, etcd_user_list_fn done, void *arg, etcd_call_id *id,
                         etcd_error *err)
{
    return user_list(client, call, ETCD__SINK_DONE(done, arg, id), err);
}

/* --- roles --- */

static int role_add(etcd_client *client, const char *name, const etcd_call_options *call, etcd__sink sink, etcd_error *err)
{
    etcd__role_add_request request = {0};
    int rc = etcd__request_text("name", name, &request.name, err);

    if (rc == ETCD_OK && request.name.len == 0)
        rc = etcd__error_set(err, ETCD_ERR_ROLE_EMPTY, "%s", etcd_error_text(ETCD_ERR_ROLE_EMPTY));
    return rc < 0 ? rc : etcd__sink_call(client, &unary_role_add, &request, call, sink, err);
}

int etcd_role_add(etcd_client *client, const char *name, const etcd_call_options *call, etcd_role_add_response **out,
                  etcd_error *err)
{
    return role_add(client, name, call, etcd__sink_out(out), err);
}

int etcd_role_add_async(etcd_client *client, const char *name, const etcd_call_options *call, etcd_role_add_fn done, void *arg,
                        etcd_call_id *id, etcd_error *err)
{
    return role_add(client, name, call, ETCD__SINK_DONE(done, arg, id), err);
}

static int role_delete(etcd_client *client, const char *name, const etcd_call_options *call, etcd__sink sink, etcd_error *err)
{
    etcd__role_delete_request request = {0};
    int rc = etcd__request_text("name", name, &request.role, err);

    return rc < 0 ? rc : etcd__sink_call(client, &unary_role_delete, &request, call, sink, err);
}

int etcd_role_delete(etcd_client *client, const char *name, const etcd_call_options *call, etcd_role_delete_response **out,
                     etcd_error *err)
{
    return role_delete(client, name, call, etcd__sink_out(out), err);
}

int etcd_role_delete_async(etcd_client *client, const char *name, const etcd_call_options *call, etcd_role_delete_fn done,
                           void *arg, etcd_call_id *id, etcd_error *err)
{
    return role_delete(client, name, call, ETCD__SINK_DONE(done, arg, id), err);
}

static int role_get(etcd_client *client, const char *name, const etcd_call_options *call, etcd__sink sink, etcd_error *err)
{
    etcd__role_get_request request = {0};
    int rc = etcd__request_text("name", name, &request.role, err);

    return rc < 0 ? rc : etcd__sink_call(client, &unary_role_get, &request, call, sink, err);
}

int etcd_role_get(etcd_client *client, const char *name, const etcd_call_options *call, etcd_role_get_response **out,
                  etcd_error *err)
{
    return role_get(client, name, call, etcd__sink_out(out), err);
}

int etcd_role_get_async(etcd_client *client, const char *name, const etcd_call_options *call, etcd_role_get_fn done, void *arg,
                        etcd_call_id *id, etcd_error *err)
{
    return role_get(client, name, call, ETCD__SINK_DONE(done, arg, id), err);
}

static int role_list(etcd_client *client, const etcd_call_options *call, etcd__sink sink, etcd_error *err)
{
    return etcd__sink_call(client, &unary_role_list, &(const etcd__empty){0}, call, sink, err);
}

int etcd_role_list(etcd_client *client, const etcd_call_options *call, etcd_role_list_response **out, etcd_error *err)
{
    return role_list(client, call, etcd__sink_out(out), err);
}

int etcd_role_list_async(etcd_client *client, const etcd_call_options *call, etcd_role_list_fn done, void *arg, etcd_call_id *id,
                         etcd_error *err)
{
    return role_list(client, call, ETCD__SINK_DONE(done, arg, id), err);
}

/* --- permissions --- */

static int check_type(int32_t type, etcd_error *err)
{
    if (type >= ETCD_PERMISSION_READ && type <= ETCD_PERMISSION_READWRITE)
        return ETCD_OK;
    return etcd__error_set(err, ETCD_ERR_ARGUMENT, "type is %d: not one of etcd_permission_type", (int)type);
}

static int role_grant_permission(etcd_client *client, const char *role, int32_t type, const char *key, size_t key_len,
                                 const etcd_role_grant_permission_options *options, etcd__sink sink, etcd_error *err)
{
    etcd_role_grant_permission_options o;
    etcd_permission permission = {.type = type};
    etcd__role_grant_permission_request request = {.perm = &permission};
    etcd__range_choice choice;
    etcd__range_end end = {0};
    int rc = etcd__options_load(&o, sizeof o, options, "etcd_role_grant_permission_options", err);

    if (rc == ETCD_OK)
        rc = etcd__request_text("role", role, &request.name, err);
    if (rc == ETCD_OK)
        rc = check_type(type, err);
    if (rc < 0)
        return rc;
    choice = (etcd__range_choice){o.range_end, o.range_end_len, o.prefix, o.from_key};
    rc = etcd__request_range(key, key_len, &choice, &end, &permission.key, &permission.range_end, err);
    if (rc == ETCD_OK)
        rc = etcd__sink_call(client, &unary_role_grant_permission, &request, o.call, sink, err);
    etcd__range_end_free(&end);
    return rc;
}

int etcd_role_grant_permission(etcd_client *client, const char *role, int32_t type, const char *key, size_t key_len,
                               const etcd_role_grant_permission_options *options, etcd_role_grant_permission_response **out,
                               etcd_error *err)
{
    return role_grant_permission(client, role, type, key, key_len, options, etcd__sink_out(out), err);
}

int etcd_role_grant_permission_async(etcd_client *client, const char *role, int32_t type, const char *key, size_t key_len,
                                     const etcd_role_grant_permission_options *options, etcd_role_grant_permission_fn done,
                                     void *arg, etcd_call_id *id, etcd_error *err)
{
    return role_grant_permission(client, role, type, key, key_len, options, ETCD__SINK_DONE(done, arg, id), err);
}

static int role_revoke_permission(etcd_client *client, const char *role, const char *key, size_t key_len,
                                  const etcd_role_revoke_permission_options *options, etcd__sink sink, etcd_error *err)
{
    etcd_role_revoke_permission_options o;
    etcd__role_revoke_permission_request request = {0};
    etcd__range_choice choice;
    etcd__range_end end = {0};
    int rc = etcd__options_load(&o, sizeof o, options, "etcd_role_revoke_permission_options", err);

    if (rc == ETCD_OK)
        rc = etcd__request_text("role", role, &request.role, err);
    if (rc < 0)
        return rc;
    choice = (etcd__range_choice){o.range_end, o.range_end_len, o.prefix, o.from_key};
    rc = etcd__request_range(key, key_len, &choice, &end, &request.key, &request.range_end, err);
    if (rc == ETCD_OK)
        rc = etcd__sink_call(client, &unary_role_revoke_permission, &request, o.call, sink, err);
    etcd__range_end_free(&end);
    return rc;
}

int etcd_role_revoke_permission(etcd_client *client, const char *role, const char *key, size_t key_len,
                                const etcd_role_revoke_permission_options *options, etcd_role_revoke_permission_response **out,
                                etcd_error *err)
{
    return role_revoke_permission(client, role, key, key_len, options, etcd__sink_out(out), err);
}

int etcd_role_revoke_permission_async(etcd_client *client, const char *role, const char *key, size_t key_len,
                                      const etcd_role_revoke_permission_options *options, etcd_role_revoke_permission_fn done,
                                      void *arg, etcd_call_id *id, etcd_error *err)
{
    return role_revoke_permission(client, role, key, key_len, options, ETCD__SINK_DONE(done, arg, id), err);
}
