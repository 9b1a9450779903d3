/* Authentication: switching it on and off, users, roles and their permissions (service etcdserverpb.Auth).
 *
 * A user has roles, a role has permissions on keys and ranges. While authentication is enabled every caller must be a
 * user (etcd_client_options.username), and all calls here need the role `root` but these: etcd_user_get() of oneself,
 * etcd_role_get() of a role that one has, and from servers 3.7 on etcd_auth_status(), for anybody.
 *
 * Names and passwords are NUL-terminated UTF-8. Passwords go to the server as they are: use TLS. The library wipes
 * its own copies.
 *
 * Every call has a blocking form and one ending in _async with a callback; see client.h for threads, callbacks and
 * the completion queue. A response belongs to the caller and is freed with etcd_response_free(). In the blocking
 * form `out` may be NULL when only success matters. Calls that change something are sent at most once: when the
 * outcome is unknown the error has ETCD_ERROR_MAYBE_APPLIED.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ETCD3_AUTH_H
#define ETCD3_AUTH_H

#include "client.h"

#ifdef __cplusplus
extern "C" {
#endif

enum etcd_permission_type { ETCD_PERMISSION_READ = 0, ETCD_PERMISSION_WRITE = 1, ETCD_PERMISSION_READWRITE = 2 };

/** What a role may do with a key or a range (authpb.Permission). */
typedef struct etcd_permission {
    int32_t type; /**< of etcd_permission_type */
    etcd_bytes key;
    etcd_bytes range_end; /**< empty: the one key; a single NUL byte: all keys >= `key` */
} etcd_permission;

typedef struct etcd_auth_enable_response {
    etcd_response_header header;
} etcd_auth_enable_response;

typedef struct etcd_auth_disable_response {
    etcd_response_header header;
} etcd_auth_disable_response;

typedef struct etcd_auth_status_response {
    etcd_response_header header;
    bool enabled;
    uint64_t auth_revision; /**< grows with each change of users, roles and permissions */
} etcd_auth_status_response;

typedef struct etcd_user_add_options {
    size_t size;
    const etcd_call_options *call;
    bool no_password; /**< the user can only be one by the common name of a client certificate; `password` must be NULL */
} etcd_user_add_options;

typedef struct etcd_user_add_response {
    etcd_response_header header;
} etcd_user_add_response;

typedef struct etcd_user_delete_response {
    etcd_response_header header;
} etcd_user_delete_response;

typedef struct etcd_user_change_password_response {
    etcd_response_header header;
} etcd_user_change_password_response;

typedef struct etcd_user_grant_role_response {
    etcd_response_header header;
} etcd_user_grant_role_response;

typedef struct etcd_user_revoke_role_response {
    etcd_response_header header;
} etcd_user_revoke_role_response;

typedef struct etcd_user_get_response {
    etcd_response_header header;
    const etcd_bytes *roles; /**< their names */
    size_t n_roles;
} etcd_user_get_response;

typedef struct etcd_user_list_response {
    etcd_response_header header;
    const etcd_bytes *users; /**< their names */
    size_t n_users;
} etcd_user_list_response;

typedef struct etcd_role_add_response {
    etcd_response_header header;
} etcd_role_add_response;

typedef struct etcd_role_delete_response {
    etcd_response_header header;
} etcd_role_delete_response;

typedef struct etcd_role_get_response {
    etcd_response_header header;
    const etcd_permission *perm; /**< the permissions, by their keys */
    size_t n_perm;
} etcd_role_get_response;

typedef struct etcd_role_list_response {
    etcd_response_header header;
    const etcd_bytes *roles; /**< their names */
    size_t n_roles;
} etcd_role_list_response;

/** Which keys beside `key`. At most one of prefix, from_key and range_end. */
typedef struct etcd_role_grant_permission_options {
    size_t size;
    const etcd_call_options *call;
    const char *range_end; /**< with range_end_len: keys in [key, range_end); a single NUL byte: all keys >= key */
    int64_t range_end_len;
    bool prefix;   /**< keys that start with `key`; with an empty key, all */
    bool from_key; /**< keys >= `key`; with an empty key, all */
} etcd_role_grant_permission_options;

typedef struct etcd_role_grant_permission_response {
    etcd_response_header header;
} etcd_role_grant_permission_response;

/** Which permission: the same range as it was granted with. */
typedef struct etcd_role_revoke_permission_options {
    size_t size;
    const etcd_call_options *call;
    const char *range_end; /**< as in etcd_role_grant_permission_options */
    int64_t range_end_len;
    bool prefix;
    bool from_key;
} etcd_role_revoke_permission_options;

typedef struct etcd_role_revoke_permission_response {
    etcd_response_header header;
} etcd_role_revoke_permission_response;

#ifndef __cplusplus
#define ETCD_USER_ADD(...) (&(const etcd_user_add_options){.size = sizeof(etcd_user_add_options), __VA_ARGS__})
#define ETCD_ROLE_GRANT_PERMISSION(...) \
    (&(const etcd_role_grant_permission_options){.size = sizeof(etcd_role_grant_permission_options), __VA_ARGS__})
#define ETCD_ROLE_REVOKE_PERMISSION(...) \
    (&(const etcd_role_revoke_permission_options){.size = sizeof(etcd_role_revoke_permission_options), __VA_ARGS__})
#endif

/** Set all fields to their defaults, for C++ and bindings; `size` is the sizeof the struct as the caller knows it.
 *  Since 0.1. */
ETCD_EXPORT void etcd_user_add_options_init(etcd_user_add_options *options, size_t size);
ETCD_EXPORT void etcd_role_grant_permission_options_init(etcd_role_grant_permission_options *options, size_t size);
ETCD_EXPORT void etcd_role_revoke_permission_options_init(etcd_role_revoke_permission_options *options, size_t size);

/** Callbacks: exactly once, never from within the starting call. `response` is the callee's to free, NULL after
 *  an error; `err` is NULL after a success and valid during the callback. */
typedef void (*etcd_auth_enable_fn)(etcd_client *client, etcd_auth_enable_response *response, const etcd_error *err, void *arg);
typedef void (*etcd_auth_disable_fn)(etcd_client *client, etcd_auth_disable_response *response, const etcd_error *err, void *arg);
typedef void (*etcd_auth_status_fn)(etcd_client *client, etcd_auth_status_response *response, const etcd_error *err, void *arg);
typedef void (*etcd_user_add_fn)(etcd_client *client, etcd_user_add_response *response, const etcd_error *err, void *arg);
typedef void (*etcd_user_delete_fn)(etcd_client *client, etcd_user_delete_response *response, const etcd_error *err, void *arg);
typedef void (*etcd_user_change_password_fn)(etcd_client *client, etcd_user_change_password_response *response,
                                             const etcd_error *err, void *arg);
typedef void (*etcd_user_grant_role_fn)(etcd_client *client, etcd_user_grant_role_response *response, const etcd_error *err,
                                        void *arg);
typedef void (*etcd_user_revoke_role_fn)(etcd_client *client, etcd_user_revoke_role_response *response, const etcd_error *err,
                                         void *arg);
typedef void (*etcd_user_get_fn)(etcd_client *client, etcd_user_get_response *response, const etcd_error *err, void *arg);
typedef void (*etcd_user_list_fn)(etcd_client *client, etcd_user_list_response *response, const etcd_error *err, void *arg);
typedef void (*etcd_role_add_fn)(etcd_client *client, etcd_role_add_response *response, const etcd_error *err, void *arg);
typedef void (*etcd_role_delete_fn)(etcd_client *client, etcd_role_delete_response *response, const etcd_error *err, void *arg);
typedef void (*etcd_role_get_fn)(etcd_client *client, etcd_role_get_response *response, const etcd_error *err, void *arg);
typedef void (*etcd_role_list_fn)(etcd_client *client, etcd_role_list_response *response, const etcd_error *err, void *arg);
typedef void (*etcd_role_grant_permission_fn)(etcd_client *client, etcd_role_grant_permission_response *response,
                                              const etcd_error *err, void *arg);
typedef void (*etcd_role_revoke_permission_fn)(etcd_client *client, etcd_role_revoke_permission_response *response,
                                               const etcd_error *err, void *arg);

/** Enables authentication. There must be a user `root` with the role `root`: ETCD_ERR_ROOT_USER_NOT_EXIST,
 *  ETCD_ERR_ROOT_ROLE_NOT_EXIST. From then on calls without a user get ETCD_ERR_USER_EMPTY. Since 0.1. */
ETCD_EXPORT int etcd_auth_enable(etcd_client *client, const etcd_call_options *call, etcd_auth_enable_response **out,
                                 etcd_error *err);
ETCD_EXPORT int etcd_auth_enable_async(etcd_client *client, const etcd_call_options *call, etcd_auth_enable_fn done, void *arg,
                                       etcd_call_id *id, etcd_error *err);

/** Disables authentication; users and roles stay. A success when it was disabled already. Since 0.1. */
ETCD_EXPORT int etcd_auth_disable(etcd_client *client, const etcd_call_options *call, etcd_auth_disable_response **out,
                                  etcd_error *err);
ETCD_EXPORT int etcd_auth_disable_async(etcd_client *client, const etcd_call_options *call, etcd_auth_disable_fn done, void *arg,
                                        etcd_call_id *id, etcd_error *err);

/** Tells whether authentication is enabled. Servers 3.5 and later; older ones answer ETCD_ERR_UNIMPLEMENTED.
 *  Repeated on a lost connection within the deadline. Since 0.1. */
ETCD_EXPORT int etcd_auth_status(etcd_client *client, const etcd_call_options *call, etcd_auth_status_response **out,
                                 etcd_error *err);
ETCD_EXPORT int etcd_auth_status_async(etcd_client *client, const etcd_call_options *call, etcd_auth_status_fn done, void *arg,
                                       etcd_call_id *id, etcd_error *err);

/** Adds a user. ETCD_ERR_USER_EMPTY for an empty `name`, ETCD_ERR_ARGUMENT for a NULL `password` without
 *  no_password, without asking a server; ETCD_ERR_USER_ALREADY_EXIST. Since 0.1. */
ETCD_EXPORT int etcd_user_add(etcd_client *client, const char *name, const char *password, const etcd_user_add_options *options,
                              etcd_user_add_response **out, etcd_error *err);
ETCD_EXPORT int etcd_user_add_async(etcd_client *client, const char *name, const char *password,
                                    const etcd_user_add_options *options, etcd_user_add_fn done, void *arg, etcd_call_id *id,
                                    etcd_error *err);

/** Deletes a user. ETCD_ERR_USER_NOT_FOUND; ETCD_ERR_INVALID_AUTH_MGMT for `root` while authentication is enabled.
 *  Since 0.1. */
ETCD_EXPORT int etcd_user_delete(etcd_client *client, const char *name, const etcd_call_options *call,
                                 etcd_user_delete_response **out, etcd_error *err);
ETCD_EXPORT int etcd_user_delete_async(etcd_client *client, const char *name, const etcd_call_options *call,
                                       etcd_user_delete_fn done, void *arg, etcd_call_id *id, etcd_error *err);

/** Gives a user a new password. ETCD_ERR_USER_NOT_FOUND. Since 0.1. */
ETCD_EXPORT int etcd_user_change_password(etcd_client *client, const char *name, const char *password,
                                          const etcd_call_options *call, etcd_user_change_password_response **out,
                                          etcd_error *err);
ETCD_EXPORT int etcd_user_change_password_async(etcd_client *client, const char *name, const char *password,
                                                const etcd_call_options *call, etcd_user_change_password_fn done, void *arg,
                                                etcd_call_id *id, etcd_error *err);

/** Gives a user a role. A success when the user has it already. ETCD_ERR_USER_NOT_FOUND, ETCD_ERR_ROLE_NOT_FOUND.
 *  Since 0.1. */
ETCD_EXPORT int etcd_user_grant_role(etcd_client *client, const char *user, const char *role, const etcd_call_options *call,
                                     etcd_user_grant_role_response **out, etcd_error *err);
ETCD_EXPORT int etcd_user_grant_role_async(etcd_client *client, const char *user, const char *role, const etcd_call_options *call,
                                           etcd_user_grant_role_fn done, void *arg, etcd_call_id *id, etcd_error *err);

/** Takes a role from a user. ETCD_ERR_USER_NOT_FOUND, ETCD_ERR_ROLE_NOT_GRANTED; ETCD_ERR_INVALID_AUTH_MGMT for
 *  `root` of `root` while authentication is enabled. Since 0.1. */
ETCD_EXPORT int etcd_user_revoke_role(etcd_client *client, const char *user, const char *role, const etcd_call_options *call,
                                      etcd_user_revoke_role_response **out, etcd_error *err);
ETCD_EXPORT int etcd_user_revoke_role_async(etcd_client *client, const char *user, const char *role,
                                            const etcd_call_options *call, etcd_user_revoke_role_fn done, void *arg,
                                            etcd_call_id *id, etcd_error *err);

/** Lists the roles of a user. ETCD_ERR_USER_NOT_FOUND. Repeated on a lost connection within the deadline. Since 0.1. */
ETCD_EXPORT int etcd_user_get(etcd_client *client, const char *name, const etcd_call_options *call, etcd_user_get_response **out,
                              etcd_error *err);
ETCD_EXPORT int etcd_user_get_async(etcd_client *client, const char *name, const etcd_call_options *call, etcd_user_get_fn done,
                                    void *arg, etcd_call_id *id, etcd_error *err);

/** Lists all users. Repeated on a lost connection within the deadline. Since 0.1. */
ETCD_EXPORT int etcd_user_list(etcd_client *client, const etcd_call_options *call, etcd_user_list_response **out,
                               etcd_error *err);
ETCD_EXPORT int etcd_user_list_async(etcd_client *client, const etcd_call_options *call, etcd_user_list_fn done, void *arg,
                                     etcd_call_id *id, etcd_error *err);

/** Adds a role without permissions. ETCD_ERR_ROLE_EMPTY for an empty `name`, ETCD_ERR_ROLE_ALREADY_EXIST. Since 0.1. */
ETCD_EXPORT int etcd_role_add(etcd_client *client, const char *name, const etcd_call_options *call, etcd_role_add_response **out,
                              etcd_error *err);
ETCD_EXPORT int etcd_role_add_async(etcd_client *client, const char *name, const etcd_call_options *call, etcd_role_add_fn done,
                                    void *arg, etcd_call_id *id, etcd_error *err);

/** Deletes a role and takes it from all users. ETCD_ERR_ROLE_NOT_FOUND; ETCD_ERR_INVALID_AUTH_MGMT for `root` while
 *  authentication is enabled. Since 0.1. */
ETCD_EXPORT int etcd_role_delete(etcd_client *client, const char *name, const etcd_call_options *call,
                                 etcd_role_delete_response **out, etcd_error *err);
ETCD_EXPORT int etcd_role_delete_async(etcd_client *client, const char *name, const etcd_call_options *call,
                                       etcd_role_delete_fn done, void *arg, etcd_call_id *id, etcd_error *err);

/** Lists the permissions of a role. ETCD_ERR_ROLE_NOT_FOUND. Repeated on a lost connection within the deadline.
 *  Since 0.1. */
ETCD_EXPORT int etcd_role_get(etcd_client *client, const char *name, const etcd_call_options *call, etcd_role_get_response **out,
                              etcd_error *err);
ETCD_EXPORT int etcd_role_get_async(etcd_client *client, const char *name, const etcd_call_options *call, etcd_role_get_fn done,
                                    void *arg, etcd_call_id *id, etcd_error *err);

/** Lists all roles. Repeated on a lost connection within the deadline. Since 0.1. */
ETCD_EXPORT int etcd_role_list(etcd_client *client, const etcd_call_options *call, etcd_role_list_response **out,
                               etcd_error *err);
ETCD_EXPORT int etcd_role_list_async(etcd_client *client, const etcd_call_options *call, etcd_role_list_fn done, void *arg,
                                     etcd_call_id *id, etcd_error *err);

/** Lets a role do `type`, of etcd_permission_type, with a key or a range; replaces what it had for exactly this one.
 *  ETCD_ERR_EMPTY_KEY for an empty key without prefix or from_key, ETCD_ERR_ARGUMENT for options that exclude each
 *  other or another `type`, without asking a server; ETCD_ERR_ROLE_NOT_FOUND. Since 0.1. */
ETCD_EXPORT int etcd_role_grant_permission(etcd_client *client, const char *role, int32_t type, const char *key, size_t key_len,
                                           const etcd_role_grant_permission_options *options,
                                           etcd_role_grant_permission_response **out, etcd_error *err);
ETCD_EXPORT int etcd_role_grant_permission_async(etcd_client *client, const char *role, int32_t type, const char *key,
                                                 size_t key_len, const etcd_role_grant_permission_options *options,
                                                 etcd_role_grant_permission_fn done, void *arg, etcd_call_id *id,
                                                 etcd_error *err);

/** Takes from a role what it was granted for exactly this key or range. Arguments as for etcd_role_grant_permission();
 *  ETCD_ERR_ROLE_NOT_FOUND, ETCD_ERR_PERMISSION_NOT_GRANTED. Since 0.1. */
ETCD_EXPORT int etcd_role_revoke_permission(etcd_client *client, const char *role, const char *key, size_t key_len,
                                            const etcd_role_revoke_permission_options *options,
                                            etcd_role_revoke_permission_response **out, etcd_error *err);
ETCD_EXPORT int etcd_role_revoke_permission_async(etcd_client *client, const char *role, const char *key, size_t key_len,
                                                  const etcd_role_revoke_permission_options *options,
                                                  etcd_role_revoke_permission_fn done, void *arg, etcd_call_id *id,
                                                  etcd_error *err);

#ifdef __cplusplus
}
#endif

#endif
