/* All methods of the etcd API: path, messages, and how they stream (the contract, section 3). */
/* clang-format off */
#ifndef ETCD__WIRE_SERVICES_H
#define ETCD__WIRE_SERVICES_H

#include "wire/messages.h"

typedef enum etcd__rpc_streaming {
    ETCD__RPC_UNARY,         /* one request, one response */
    ETCD__RPC_SERVER_STREAM, /* one request, many responses */
    ETCD__RPC_BIDI_STREAM    /* many requests, many responses */
} etcd__rpc_streaming;

typedef struct etcd__rpc_method {
    const char *path; /* "/etcdserverpb.KV/Range" */
    size_t path_len;
    const etcd__pb_message *request;
    const etcd__pb_message *response;
    etcd__rpc_streaming streaming;
    bool read_only; /* never changes anything, so it may be sent again after a lost connection (promise P1) */
} etcd__rpc_method;

/** X(ID, path, request, response, streaming, read only).
 *  GO-DIFF: the Go client also repeats LeaseGrant, LeaseRevoke, Alarm and MoveLeader, which change something. */
#define ETCD__RPCS(X)                                                                                                  \
    X(KV_RANGE, "/etcdserverpb.KV/Range", range_request, get_response, UNARY, true)                                    \
    X(KV_RANGE_STREAM, "/etcdserverpb.KV/RangeStream", range_request, range_stream_response, SERVER_STREAM, true)      \
    X(KV_PUT, "/etcdserverpb.KV/Put", put_request, put_response, UNARY, false)                                         \
    X(KV_DELETE_RANGE, "/etcdserverpb.KV/DeleteRange", delete_range_request, delete_response, UNARY, false)            \
    X(KV_TXN, "/etcdserverpb.KV/Txn", txn_request, txn_response, UNARY, false)                                         \
    X(KV_COMPACT, "/etcdserverpb.KV/Compact", compaction_request, compact_response, UNARY, false)                      \
    X(WATCH, "/etcdserverpb.Watch/Watch", watch_request, watch_response, BIDI_STREAM, true)                            \
    X(LEASE_GRANT, "/etcdserverpb.Lease/LeaseGrant", lease_grant_request, lease_grant_response, UNARY, false)          \
    X(LEASE_REVOKE, "/etcdserverpb.Lease/LeaseRevoke", lease_revoke_request, lease_revoke_response, UNARY, false)      \
    X(LEASE_KEEP_ALIVE, "/etcdserverpb.Lease/LeaseKeepAlive", lease_keep_alive_request, keepalive_response,            \
      BIDI_STREAM, false)                                                                                              \
    X(LEASE_TIME_TO_LIVE, "/etcdserverpb.Lease/LeaseTimeToLive", lease_time_to_live_request,                           \
      lease_time_to_live_response, UNARY, true)                                                                        \
    X(LEASE_LEASES, "/etcdserverpb.Lease/LeaseLeases", lease_leases_request, lease_leases_response, UNARY, true)       \
    X(MEMBER_ADD, "/etcdserverpb.Cluster/MemberAdd", member_add_request, member_add_response, UNARY, false)            \
    X(MEMBER_REMOVE, "/etcdserverpb.Cluster/MemberRemove", member_remove_request, member_remove_response, UNARY, false) \
    X(MEMBER_UPDATE, "/etcdserverpb.Cluster/MemberUpdate", member_update_request, member_update_response, UNARY, false) \
    X(MEMBER_LIST, "/etcdserverpb.Cluster/MemberList", member_list_request, member_list_response, UNARY, true)         \
    X(MEMBER_PROMOTE, "/etcdserverpb.Cluster/MemberPromote", member_promote_request, member_promote_response, UNARY,   \
      false)                                                                                                           \
    X(ALARM, "/etcdserverpb.Maintenance/Alarm", alarm_request, alarm_response, UNARY, false)                           \
    X(STATUS, "/etcdserverpb.Maintenance/Status", status_request, status_response, UNARY, true)                        \
    X(DEFRAGMENT, "/etcdserverpb.Maintenance/Defragment", defragment_request, defragment_response, UNARY, false)       \
    X(HASH, "/etcdserverpb.Maintenance/Hash", hash_request, hash_response, UNARY, true)                                \
    X(HASH_KV, "/etcdserverpb.Maintenance/HashKV", hash_kv_request, hash_kv_response, UNARY, true)                     \
    X(SNAPSHOT, "/etcdserverpb.Maintenance/Snapshot", snapshot_request, snapshot_response, SERVER_STREAM, true)        \
    X(MOVE_LEADER, "/etcdserverpb.Maintenance/MoveLeader", move_leader_request, move_leader_response, UNARY, false)    \
    X(DOWNGRADE, "/etcdserverpb.Maintenance/Downgrade", downgrade_request, downgrade_response, UNARY, false)           \
    X(AUTH_ENABLE, "/etcdserverpb.Auth/AuthEnable", auth_enable_request, auth_enable_response, UNARY, false)           \
    X(AUTH_DISABLE, "/etcdserverpb.Auth/AuthDisable", auth_disable_request, auth_disable_response, UNARY, false)       \
    X(AUTH_STATUS, "/etcdserverpb.Auth/AuthStatus", auth_status_request, auth_status_response, UNARY, true)            \
    X(AUTHENTICATE, "/etcdserverpb.Auth/Authenticate", authenticate_request, authenticate_response, UNARY, false)      \
    X(USER_ADD, "/etcdserverpb.Auth/UserAdd", user_add_request, user_add_response, UNARY, false)                       \
    X(USER_GET, "/etcdserverpb.Auth/UserGet", user_get_request, user_get_response, UNARY, true)                        \
    X(USER_LIST, "/etcdserverpb.Auth/UserList", user_list_request, user_list_response, UNARY, true)                    \
    X(USER_DELETE, "/etcdserverpb.Auth/UserDelete", user_delete_request, user_delete_response, UNARY, false)           \
    X(USER_CHANGE_PASSWORD, "/etcdserverpb.Auth/UserChangePassword", user_change_password_request,                     \
      user_change_password_response, UNARY, false)                                                                     \
    X(USER_GRANT_ROLE, "/etcdserverpb.Auth/UserGrantRole", user_grant_role_request, user_grant_role_response, UNARY,   \
      false)                                                                                                           \
    X(USER_REVOKE_ROLE, "/etcdserverpb.Auth/UserRevokeRole", user_revoke_role_request, user_revoke_role_response,      \
      UNARY, false)                                                                                                    \
    X(ROLE_ADD, "/etcdserverpb.Auth/RoleAdd", role_add_request, role_add_response, UNARY, false)                       \
    X(ROLE_GET, "/etcdserverpb.Auth/RoleGet", role_get_request, role_get_response, UNARY, true)                        \
    X(ROLE_LIST, "/etcdserverpb.Auth/RoleList", role_list_request, role_list_response, UNARY, true)                    \
    X(ROLE_DELETE, "/etcdserverpb.Auth/RoleDelete", role_delete_request, role_delete_response, UNARY, false)           \
    X(ROLE_GRANT_PERMISSION, "/etcdserverpb.Auth/RoleGrantPermission", role_grant_permission_request,                  \
      role_grant_permission_response, UNARY, false)                                                                    \
    X(ROLE_REVOKE_PERMISSION, "/etcdserverpb.Auth/RoleRevokePermission", role_revoke_permission_request,               \
      role_revoke_permission_response, UNARY, false)                                                                   \
    X(LOCK, "/v3lockpb.Lock/Lock", lock_request, lock_response, UNARY, false)                                          \
    X(UNLOCK, "/v3lockpb.Lock/Unlock", unlock_request, unlock_response, UNARY, false)                                  \
    X(CAMPAIGN, "/v3electionpb.Election/Campaign", campaign_request, campaign_response, UNARY, false)                  \
    X(PROCLAIM, "/v3electionpb.Election/Proclaim", proclaim_request, proclaim_response, UNARY, false)                  \
    X(LEADER, "/v3electionpb.Election/Leader", leader_request, leader_response, UNARY, true)                           \
    X(OBSERVE, "/v3electionpb.Election/Observe", leader_request, leader_response, SERVER_STREAM, true)                 \
    X(RESIGN, "/v3electionpb.Election/Resign", resign_request, resign_response, UNARY, false)                          \
    X(HEALTH_CHECK, "/grpc.health.v1.Health/Check", health_check_request, health_check_response, UNARY, true)          \
    X(HEALTH_WATCH, "/grpc.health.v1.Health/Watch", health_check_request, health_check_response, SERVER_STREAM, true)

typedef enum etcd__rpc {
#define ETCD__RPC_ID(id, path, request, response, streaming, read_only) ETCD__RPC_##id,
    ETCD__RPCS(ETCD__RPC_ID)
#undef ETCD__RPC_ID
        ETCD__N_RPCS
} etcd__rpc;

/** By etcd__rpc. */
extern const etcd__rpc_method etcd__rpc_methods[ETCD__N_RPCS];

/** The method of that path, or NULL. */
const etcd__rpc_method *etcd__rpc_find(const char *path, size_t path_len);

#endif
