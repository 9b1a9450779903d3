/* See service_calls.h. */
#include "fake/service_calls.h"

#include <string.h>

typedef etcd_alarm_response etcd_alarm_list_response;
typedef etcd_alarm_response etcd_alarm_disarm_response;

static void finish(service_ending *ending, void *response, const etcd_error *err)
{
    ending->times++;
    ending->response = response;
    ending->code = err ? err->code : ETCD_OK;
    ending->flags = err ? err->flags : 0;
}

/* The forms of etcd_<name>(client, ..., call). */
#define FORMS(name, ...) \
    static int block_##name(etcd_client *client, const etcd_call_options *call, void *out, etcd_error *err) \
    { \
        return etcd_##name(client, __VA_ARGS__, (etcd_##name##_response **)out, err); \
    } \
    static void done_##name(etcd_client *client, etcd_##name##_response *response, const etcd_error *err, void *arg) \
    { \
        (void)client; \
        finish(arg, response, err); \
    } \
    static int start_##name(etcd_client *client, const etcd_call_options *call, bool queue, void *arg, etcd_call_id *id, \
                            etcd_error *err) \
    { \
        return etcd_##name##_async(client, __VA_ARGS__, queue ? NULL : done_##name, arg, id, err); \
    }

#define TEXT(text) \
    { \
        (text), sizeof(text) - 1 \
    }
#define LIST(items, name) .name = (items), .n_##name = sizeof(items) / sizeof *(items)
#define HEADER .header = {.cluster_id = 1, .member_id = UINT64_MAX, .revision = 3, .raft_term = 4}

static const etcd__empty nothing;

/* ---- lease ---- */

FORMS(lease_grant, 60, ETCD_LEASE_GRANT(.id = -7, .call = call))
static const etcd__lease_grant_request lease_grant_request = {.ttl_s = 60, .id = -7};
static const etcd_lease_grant_response lease_grant_response = {HEADER, .id = -7, .ttl_s = 61, .error = TEXT("none")};

FORMS(lease_revoke, INT64_MAX, call)
static const etcd__lease_revoke_request lease_revoke_request = {.id = INT64_MAX};
static const etcd_lease_revoke_response lease_revoke_response = {HEADER};

FORMS(lease_time_to_live, 7, ETCD_LEASE_TIME_TO_LIVE(.keys = true, .call = call))
static const etcd__lease_time_to_live_request lease_time_to_live_request = {.id = 7, .keys = true};
static const etcd_bytes two_keys[] = {TEXT("a"), TEXT("b\0\xff")};
static const etcd_lease_time_to_live_response lease_time_to_live_response = {HEADER, .id = 7, .ttl_s = -1, .granted_ttl_s = 60,
                                                                             LIST(two_keys, keys)};

FORMS(lease_list, call)
static const etcd_lease_status two_leases[] = {{1}, {2}};
static const etcd_lease_list_response lease_list_response = {HEADER, LIST(two_leases, leases)};

/* ---- cluster ---- */

static const char *const peer_urls[] = {"http://127.0.0.1:1", " https://[::1]:2 "};
static const etcd_bytes peer_urls_sent[] = {TEXT("http://127.0.0.1:1"), TEXT(" https://[::1]:2 ")};
static const etcd_member members[] = {
    {.id = UINT64_MAX, .name = TEXT("m"), LIST(peer_urls_sent, peer_urls), LIST(two_keys, client_urls), .is_learner = true},
    {.id = 2},
};

FORMS(member_list, ETCD_MEMBER_LIST(.call = call))
static const etcd__member_list_request member_list_request = {.linearizable = true};
static const etcd_member_list_response member_list_response = {HEADER, LIST(members, members)};

FORMS(member_add, peer_urls, 2, ETCD_MEMBER_ADD(.learner = true, .call = call))
static const etcd__member_add_request member_add_request = {LIST(peer_urls_sent, peer_urls), .is_learner = true};
static const etcd_member_add_response member_add_response = {
    HEADER, .member = {.id = 3, .name = TEXT("new"), LIST(peer_urls_sent, peer_urls)}, LIST(members, members)};

FORMS(member_remove, UINT64_MAX, call)
static const etcd__member_remove_request member_remove_request = {.id = UINT64_MAX};
static const etcd_member_remove_response member_remove_response = {HEADER, LIST(members, members)};

FORMS(member_update, 5, peer_urls, 2, call)
static const etcd__member_update_request member_update_request = {.id = 5, LIST(peer_urls_sent, peer_urls)};
static const etcd_member_update_response member_update_response = {HEADER, LIST(members, members)};

FORMS(member_promote, 5, call)
static const etcd__member_promote_request member_promote_request = {.id = 5};
static const etcd_member_promote_response member_promote_response = {HEADER, LIST(members, members)};

/* ---- auth ---- */

FORMS(auth_enable, call)
static const etcd_auth_enable_response auth_enable_response = {HEADER};

FORMS(auth_disable, call)
static const etcd_auth_disable_response auth_disable_response = {HEADER};

FORMS(auth_status, call)
static const etcd_auth_status_response auth_status_response = {HEADER, .enabled = true, .auth_revision = UINT64_MAX};

FORMS(user_add, "bob", "s3cret", ETCD_USER_ADD(.call = call))
static const etcd__user_add_options no_options;
static const etcd__user_add_request user_add_request = {.name = TEXT("bob"), .password = TEXT("s3cret"), .options = &no_options};
static const etcd_user_add_response user_add_response = {HEADER};

FORMS(user_delete, "bob", call)
static const etcd__user_delete_request user_delete_request = {.name = TEXT("bob")};
static const etcd_user_delete_response user_delete_response = {HEADER};

FORMS(user_change_password, "bob", "n3w", call)
static const etcd__user_change_password_request user_change_password_request = {.name = TEXT("bob"), .password = TEXT("n3w")};
static const etcd_user_change_password_response user_change_password_response = {HEADER};

FORMS(user_grant_role, "bob", "reader", call)
static const etcd__user_grant_role_request user_grant_role_request = {.user = TEXT("bob"), .role = TEXT("reader")};
static const etcd_user_grant_role_response user_grant_role_response = {HEADER};

FORMS(user_revoke_role, "bob", "reader", call)
static const etcd__user_revoke_role_request user_revoke_role_request = {.name = TEXT("bob"), .role = TEXT("reader")};
static const etcd_user_revoke_role_response user_revoke_role_response = {HEADER};

FORMS(user_get, "bob", call)
static const etcd__user_get_request user_get_request = {.name = TEXT("bob")};
static const etcd_user_get_response user_get_response = {HEADER, LIST(two_keys, roles)};

FORMS(user_list, call)
static const etcd_user_list_response user_list_response = {HEADER, LIST(two_keys, users)};

FORMS(role_add, "reader", call)
static const etcd__role_add_request role_add_request = {.name = TEXT("reader")};
static const etcd_role_add_response role_add_response = {HEADER};

FORMS(role_delete, "reader", call)
static const etcd__role_delete_request role_delete_request = {.role = TEXT("reader")};
static const etcd_role_delete_response role_delete_response = {HEADER};

static const etcd_permission permissions[] = {{.type = ETCD_PERMISSION_WRITE, .key = TEXT("a"), .range_end = TEXT("b")},
                                              {.key = TEXT("k\0"), .range_end = TEXT("\0")}};

FORMS(role_get, "reader", call)
static const etcd__role_get_request role_get_request = {.role = TEXT("reader")};
static const etcd_role_get_response role_get_response = {HEADER, LIST(permissions, perm)};

FORMS(role_list, call)
static const etcd_role_list_response role_list_response = {HEADER, LIST(two_keys, roles)};

FORMS(role_grant_permission, "r", ETCD_PERMISSION_WRITE, "a", 1, ETCD_ROLE_GRANT_PERMISSION(.prefix = true, .call = call))
static const etcd__role_grant_permission_request role_grant_permission_request = {.name = TEXT("r"), .perm = &permissions[0]};
static const etcd_role_grant_permission_response role_grant_permission_response = {HEADER};

FORMS(role_revoke_permission, "r", "k\0", 2, ETCD_ROLE_REVOKE_PERMISSION(.from_key = true, .call = call))
static const etcd__role_revoke_permission_request role_revoke_permission_request = {.role = TEXT("r"),
                                                                                    .key = TEXT("k\0"),
                                                                                    .range_end = TEXT("\0")};
static const etcd_role_revoke_permission_response role_revoke_permission_response = {HEADER};

/* ---- maintenance ---- */

static const etcd_alarm_member two_alarms[] = {{1, ETCD_ALARM_NOSPACE}, {UINT64_MAX, ETCD_ALARM_CORRUPT}};

FORMS(alarm_list, call)
static const etcd__alarm_request alarm_list_request = {.action = ETCD_ALARM_GET};
static const etcd_alarm_response alarm_list_response = {HEADER, LIST(two_alarms, alarms)};

FORMS(alarm_disarm, 9, ETCD_ALARM_CORRUPT, call)
static const etcd__alarm_request alarm_disarm_request = {.action = ETCD_ALARM_DEACTIVATE,
                                                         .member_id = 9,
                                                         .alarm = ETCD_ALARM_CORRUPT};
static const etcd_alarm_response alarm_disarm_response = {HEADER, .alarms = two_alarms, .n_alarms = 1};

FORMS(defragment, NULL, call)
static const etcd_defragment_response defragment_response = {HEADER};

FORMS(status, NULL, call)
static const etcd_downgrade_info downgrade_info = {.enabled = true, .target_version = TEXT("3.5.0")};
static const etcd_status_response status_response = {
    HEADER,
    .version = TEXT("3.6.0"),
    .db_size = 1,
    .leader = 2,
    .raft_index = 3,
    .raft_term = 4,
    .raft_applied_index = 5,
    LIST(two_keys, errors),
    .db_size_in_use = 6,
    .is_learner = true,
    .storage_version = TEXT("3.6.0"),
    .db_size_quota = INT64_MAX,
    .downgrade_info = &downgrade_info,
};

FORMS(hash_kv, NULL, 77, call)
static const etcd__hash_kv_request hash_kv_request = {.revision = 77};
static const etcd_hash_kv_response hash_kv_response = {HEADER, .hash = UINT32_MAX, .compact_revision = 5, .hash_revision = 77};

FORMS(hash, NULL, call)
static const etcd_hash_response hash_response = {HEADER, .hash = UINT32_MAX};

FORMS(move_leader, UINT64_MAX, call)
static const etcd__move_leader_request move_leader_request = {.target_id = UINT64_MAX};
static const etcd_move_leader_response move_leader_response = {HEADER};

FORMS(downgrade, ETCD_DOWNGRADE_ENABLE, "3.5.0", call)
static const etcd__downgrade_request downgrade_request = {.action = ETCD_DOWNGRADE_ENABLE, .version = TEXT("3.5.0")};
static const etcd_downgrade_response downgrade_response = {HEADER, .version = TEXT("3.6.0")};

/* ---- lock, election, health ---- */

FORMS(lock, "n\0", 2, 7, call)
static const etcd__lock_request lock_request = {.name = TEXT("n\0"), .lease = 7};
static const etcd_lock_response lock_response = {HEADER, .key = TEXT("n\0/7")};

FORMS(unlock, "n\0/7", 4, call)
static const etcd__unlock_request unlock_request = {.key = TEXT("n\0/7")};
static const etcd_unlock_response unlock_response = {HEADER};

static const etcd_leader_key leader_key = {.name = TEXT("n"), .key = TEXT("n/7"), .rev = 8, .lease = 7};

FORMS(campaign, "n", 1, 7, "v\0", 2, call)
static const etcd__campaign_request campaign_request = {.name = TEXT("n"), .lease = 7, .value = TEXT("v\0")};
static const etcd_campaign_response campaign_response = {HEADER,
                                                         .leader = {.name = TEXT("n"), .key = TEXT("n/7"), .rev = 8, .lease = 7}};

FORMS(proclaim, &leader_key, "v\0", 2, call)
static const etcd__proclaim_request proclaim_request = {.leader = &leader_key, .value = TEXT("v\0")};
static const etcd_proclaim_response proclaim_response = {HEADER};

FORMS(leader, "n", 1, call)
static const etcd__leader_request leader_request = {.name = TEXT("n")};
static const etcd_leader_response leader_response = {
    HEADER, .kv = {.key = TEXT("n/7"), .value = TEXT("v"), .create_revision = 8, .mod_revision = 9, .version = 2, .lease = 7}};

FORMS(resign, &leader_key, call)
static const etcd__resign_request resign_request = {.leader = &leader_key};
static const etcd_resign_response resign_response = {HEADER};

FORMS(health_check, NULL, "s", call)
static const etcd__health_check_request health_check_request = {.service = TEXT("s")};
static const etcd_health_check_response health_check_response = {.status = ETCD_HEALTH_NOT_SERVING};

/* ---- the table ---- */

#define ROW(name, rpc_id, call_id, again, sent) \
    {#name, ETCD__RPC_##rpc_id, ETCD_CALL_##call_id, again, sent, &name##_response, block_##name, start_##name},

const service_call service_calls[] = {
    /* clang-format off */
    ROW(lease_grant, LEASE_GRANT, LEASE_GRANT, false, &lease_grant_request)
    ROW(lease_revoke, LEASE_REVOKE, LEASE_REVOKE, false, &lease_revoke_request)
    ROW(lease_time_to_live, LEASE_TIME_TO_LIVE, LEASE_TIME_TO_LIVE, true, &lease_time_to_live_request)
    ROW(lease_list, LEASE_LEASES, LEASE_LIST, true, &nothing)
    ROW(member_list, MEMBER_LIST, MEMBER_LIST, true, &member_list_request)
    ROW(member_add, MEMBER_ADD, MEMBER_ADD, false, &member_add_request)
    ROW(member_remove, MEMBER_REMOVE, MEMBER_REMOVE, false, &member_remove_request)
    ROW(member_update, MEMBER_UPDATE, MEMBER_UPDATE, false, &member_update_request)
    ROW(member_promote, MEMBER_PROMOTE, MEMBER_PROMOTE, false, &member_promote_request)
    ROW(auth_enable, AUTH_ENABLE, AUTH_ENABLE, false, &nothing)
    ROW(auth_disable, AUTH_DISABLE, AUTH_DISABLE, false, &nothing)
    ROW(auth_status, AUTH_STATUS, AUTH_STATUS, true, &nothing)
    ROW(user_add, USER_ADD, USER_ADD, false, &user_add_request)
    ROW(user_delete, USER_DELETE, USER_DELETE, false, &user_delete_request)
    ROW(user_change_password, USER_CHANGE_PASSWORD, USER_CHANGE_PASSWORD, false, &user_change_password_request)
    ROW(user_grant_role, USER_GRANT_ROLE, USER_GRANT_ROLE, false, &user_grant_role_request)
    ROW(user_revoke_role, USER_REVOKE_ROLE, USER_REVOKE_ROLE, false, &user_revoke_role_request)
    ROW(user_get, USER_GET, USER_GET, true, &user_get_request)
    ROW(user_list, USER_LIST, USER_LIST, true, &nothing)
    ROW(role_add, ROLE_ADD, ROLE_ADD, false, &role_add_request)
    ROW(role_delete, ROLE_DELETE, ROLE_DELETE, false, &role_delete_request)
    ROW(role_get, ROLE_GET, ROLE_GET, true, &role_get_request)
    ROW(role_list, ROLE_LIST, ROLE_LIST, true, &nothing)
    ROW(role_grant_permission, ROLE_GRANT_PERMISSION, ROLE_GRANT_PERMISSION, false, &role_grant_permission_request)
    ROW(role_revoke_permission, ROLE_REVOKE_PERMISSION, ROLE_REVOKE_PERMISSION, false, &role_revoke_permission_request)
    ROW(alarm_list, ALARM, ALARM_LIST, true, &alarm_list_request)
    ROW(alarm_disarm, ALARM, ALARM_DISARM, false, &alarm_disarm_request)
    ROW(defragment, DEFRAGMENT, DEFRAGMENT, false, &nothing)
    ROW(status, STATUS, STATUS, true, &nothing)
    ROW(hash_kv, HASH_KV, HASH_KV, true, &hash_kv_request)
    ROW(hash, HASH, HASH, true, &nothing)
    ROW(move_leader, MOVE_LEADER, MOVE_LEADER, false, &move_leader_request)
    ROW(downgrade, DOWNGRADE, DOWNGRADE, false, &downgrade_request)
    ROW(lock, LOCK, LOCK, false, &lock_request)
    ROW(unlock, UNLOCK, UNLOCK, false, &unlock_request)
    ROW(campaign, CAMPAIGN, CAMPAIGN, false, &campaign_request)
    ROW(proclaim, PROCLAIM, PROCLAIM, false, &proclaim_request)
    ROW(leader, LEADER, LEADER, true, &leader_request)
    ROW(resign, RESIGN, RESIGN, false, &resign_request)
    ROW(health_check, HEALTH_CHECK, HEALTH_CHECK, true, &health_check_request)
    /* clang-format on */
};
const size_t n_service_calls = sizeof service_calls / sizeof service_calls[0];
