/* All messages of the etcd API as C structs, with their tables (etcdserverpb, mvccpb, authpb, v3lockpb, v3electionpb and
 * grpc.health.v1; facts in the contract, section 3).
 *
 * Requests are internal (etcd__...). Responses are the public structs of <etcd3/...>, but those
 * of streams that reach the program in another form. A struct starts out as a copy of its table's `initial`, or all
 * zero (a NULL bytes pointer with length 0 is encoded as empty). Optional messages are pointers, repeated fields
 * `const T *xs; size_t n_xs`. */
/* clang-format off */
#ifndef ETCD__WIRE_MESSAGES_H
#define ETCD__WIRE_MESSAGES_H

#include "wire/table.h"

#include <etcd3/auth.h>
#include <etcd3/cluster.h>
#include <etcd3/health.h>
#include <etcd3/keepalive.h>
#include <etcd3/maintenance.h>
#include <etcd3/txn.h>
#include <etcd3/v3election.h>
#include <etcd3/v3lock.h>
#include <etcd3/watch.h>

/* For messages without fields: C has no empty struct. */
typedef struct etcd__empty {
    char unused;
} etcd__empty;

/* -- KV: requests -- */

typedef struct etcd__range_request {
    etcd_bytes key, range_end;
    int64_t limit, revision;
    int32_t sort_order, sort_target; /* etcd_sort_order, etcd_sort_target */
    bool serializable, keys_only, count_only;
    int64_t min_mod_revision, max_mod_revision, min_create_revision, max_create_revision;
} etcd__range_request;

typedef struct etcd__put_request {
    etcd_bytes key, value;
    int64_t lease;
    bool prev_kv, ignore_value, ignore_lease;
} etcd__put_request;

typedef struct etcd__delete_range_request {
    etcd_bytes key, range_end;
    bool prev_kv;
} etcd__delete_range_request;

/* `target` also says which operand is sent, so the two cannot contradict each other: ETCD_COMPARE_VALUE sends `value` and the
 * others `number`, even when empty or zero. Decoding an operand sets `target` to it. */
typedef struct etcd__compare {
    int32_t result; /* etcd_compare_op */
    int32_t target; /* etcd_compare_target */
    etcd_bytes key;
    int64_t number;
    etcd_bytes value;
    etcd_bytes range_end;
} etcd__compare;

typedef struct etcd__txn_request etcd__txn_request;

/* `type` says which member is sent; it must not be NULL then. */
typedef struct etcd__request_op {
    int32_t type; /* etcd_op_type */
    const etcd__range_request *range;
    const etcd__put_request *put;
    const etcd__delete_range_request *del;
    const etcd__txn_request *txn;
} etcd__request_op;

struct etcd__txn_request {
    const etcd__compare *const *compare;
    size_t n_compare;
    const etcd__request_op *const *success;
    size_t n_success;
    const etcd__request_op *const *failure;
    size_t n_failure;
};

typedef struct etcd__compaction_request {
    int64_t revision;
    bool physical;
} etcd__compaction_request;

typedef struct etcd__range_stream_response {
    const etcd_get_response *range_response;
} etcd__range_stream_response;

/* -- Watch -- */

enum etcd__watch_request_type { ETCD__WATCH_CREATE = 1, ETCD__WATCH_CANCEL = 2, ETCD__WATCH_PROGRESS = 3 };

enum etcd_watch_filter { ETCD_WATCH_FILTER_NOPUT = 0, ETCD_WATCH_FILTER_NODELETE = 1 };

typedef struct etcd__watch_create_request {
    etcd_bytes key, range_end;
    int64_t start_revision;
    bool progress_notify, prev_kv, fragment;
    const int32_t *filters; /* etcd_watch_filter */
    size_t n_filters;
    int64_t watch_id;
} etcd__watch_create_request;

typedef struct etcd__watch_cancel_request {
    int64_t watch_id;
} etcd__watch_cancel_request;

typedef struct etcd__watch_request {
    int32_t type; /* etcd__watch_request_type: which member is sent */
    const etcd__watch_create_request *create_request;
    const etcd__watch_cancel_request *cancel_request;
    const etcd__empty *progress_request;
} etcd__watch_request;

typedef struct etcd__watch_response {
    etcd_response_header header;
    int64_t watch_id;
    bool created, canceled, fragment;
    int64_t compact_revision;
    etcd_bytes cancel_reason;
    const etcd_event *events;
    size_t n_events;
} etcd__watch_response;

/* -- Lease -- */

typedef struct etcd__lease_grant_request {
    int64_t ttl_s, id;
} etcd__lease_grant_request;

typedef struct etcd__lease_revoke_request {
    int64_t id;
} etcd__lease_revoke_request;

typedef struct etcd__lease_keep_alive_request {
    int64_t id;
} etcd__lease_keep_alive_request;

typedef struct etcd__lease_time_to_live_request {
    int64_t id;
    bool keys;
} etcd__lease_time_to_live_request;

typedef struct etcd__lease_checkpoint {
    int64_t id, remaining_ttl_s;
} etcd__lease_checkpoint;

typedef struct etcd__lease_checkpoint_request {
    const etcd__lease_checkpoint *checkpoints;
    size_t n_checkpoints;
} etcd__lease_checkpoint_request;

typedef struct etcd__lease_checkpoint_response {
    etcd_response_header header;
} etcd__lease_checkpoint_response;

/* -- Cluster -- */

typedef struct etcd__member_add_request {
    const etcd_bytes *peer_urls;
    size_t n_peer_urls;
    bool is_learner;
} etcd__member_add_request;

typedef struct etcd__member_remove_request {
    uint64_t id;
} etcd__member_remove_request;

typedef struct etcd__member_update_request {
    uint64_t id;
    const etcd_bytes *peer_urls;
    size_t n_peer_urls;
} etcd__member_update_request;

typedef struct etcd__member_list_request {
    bool linearizable;
} etcd__member_list_request;

typedef struct etcd__member_promote_request {
    uint64_t id;
} etcd__member_promote_request;

/* -- Maintenance -- */

enum etcd_alarm_action { ETCD_ALARM_GET = 0, ETCD_ALARM_ACTIVATE = 1, ETCD_ALARM_DEACTIVATE = 2 };

typedef struct etcd__alarm_request {
    int32_t action; /* etcd_alarm_action */
    uint64_t member_id;
    int32_t alarm; /* etcd_alarm_type */
} etcd__alarm_request;

typedef struct etcd__hash_kv_request {
    int64_t revision;
} etcd__hash_kv_request;

typedef struct etcd__move_leader_request {
    uint64_t target_id;
} etcd__move_leader_request;

typedef struct etcd__downgrade_request {
    int32_t action; /* etcd_downgrade_action */
    etcd_bytes version;
} etcd__downgrade_request;

typedef struct etcd__downgrade_version_test_request {
    etcd_bytes ver;
} etcd__downgrade_version_test_request;

typedef struct etcd__snapshot_response {
    etcd_response_header header;
    uint64_t remaining_bytes;
    etcd_bytes blob;
    etcd_bytes version;
} etcd__snapshot_response;

/* -- Auth -- */

typedef struct etcd__user_add_options {
    bool no_password;
} etcd__user_add_options;

typedef struct etcd__auth_user {
    etcd_bytes name, password;
    const etcd_bytes *roles;
    size_t n_roles;
    const etcd__user_add_options *options;
} etcd__auth_user;

typedef struct etcd__auth_role {
    etcd_bytes name;
    const etcd_permission *key_permission;
    size_t n_key_permission;
} etcd__auth_role;

typedef struct etcd__authenticate_request {
    etcd_bytes name, password;
} etcd__authenticate_request;

typedef struct etcd__user_add_request {
    etcd_bytes name, password;
    const etcd__user_add_options *options;
    etcd_bytes hashed_password;
} etcd__user_add_request;

typedef struct etcd__user_get_request {
    etcd_bytes name;
} etcd__user_get_request;

typedef struct etcd__user_delete_request {
    etcd_bytes name;
} etcd__user_delete_request;

typedef struct etcd__user_change_password_request {
    etcd_bytes name, password, hashed_password;
} etcd__user_change_password_request;

typedef struct etcd__user_grant_role_request {
    etcd_bytes user, role;
} etcd__user_grant_role_request;

typedef struct etcd__user_revoke_role_request {
    etcd_bytes name, role;
} etcd__user_revoke_role_request;

typedef struct etcd__role_add_request {
    etcd_bytes name;
} etcd__role_add_request;

typedef struct etcd__role_get_request {
    etcd_bytes role;
} etcd__role_get_request;

typedef struct etcd__role_delete_request {
    etcd_bytes role;
} etcd__role_delete_request;

typedef struct etcd__role_grant_permission_request {
    etcd_bytes name;
    const etcd_permission *perm;
} etcd__role_grant_permission_request;

typedef struct etcd__role_revoke_permission_request {
    etcd_bytes role, key, range_end;
} etcd__role_revoke_permission_request;

typedef struct etcd_authenticate_response {
    etcd_response_header header;
    etcd_bytes token;
} etcd_authenticate_response;

/* -- the server's own lock and election services, and health -- */

typedef struct etcd__lock_request {
    etcd_bytes name;
    int64_t lease;
} etcd__lock_request;

typedef struct etcd__unlock_request {
    etcd_bytes key;
} etcd__unlock_request;

typedef struct etcd__campaign_request {
    etcd_bytes name;
    int64_t lease;
    etcd_bytes value;
} etcd__campaign_request;

typedef struct etcd__leader_request {
    etcd_bytes name;
} etcd__leader_request;

typedef struct etcd__resign_request {
    const etcd_leader_key *leader;
} etcd__resign_request;

typedef struct etcd__proclaim_request {
    const etcd_leader_key *leader;
    etcd_bytes value;
} etcd__proclaim_request;

typedef struct etcd__health_check_request {
    etcd_bytes service;
} etcd__health_check_request;

/* -- the tables -- */

/** Every message, X(descriptor): its table is etcd__<descriptor>_type. */
#define ETCD__MESSAGES(X) \
    X(response_header) X(kv) X(event) X(range_request) X(get_response) X(range_stream_response) X(put_request) \
    X(put_response) X(delete_range_request) X(delete_response) X(request_op) X(op_response) X(compare) \
    X(txn_request) X(txn_response) X(compaction_request) X(compact_response) X(watch_request) \
    X(watch_create_request) X(watch_cancel_request) X(watch_progress_request) X(watch_response) \
    X(lease_grant_request) X(lease_grant_response) X(lease_revoke_request) X(lease_revoke_response) \
    X(lease_checkpoint) X(lease_checkpoint_request) X(lease_checkpoint_response) X(lease_keep_alive_request) \
    X(keepalive_response) X(lease_time_to_live_request) X(lease_time_to_live_response) X(lease_leases_request) \
    X(lease_status) X(lease_leases_response) X(member) X(member_add_request) X(member_add_response) \
    X(member_remove_request) X(member_remove_response) X(member_update_request) X(member_update_response) \
    X(member_list_request) X(member_list_response) X(member_promote_request) X(member_promote_response) \
    X(alarm_request) X(alarm_member) X(alarm_response) X(status_request) X(downgrade_info) X(status_response) \
    X(defragment_request) X(defragment_response) X(hash_request) X(hash_response) X(hash_kv_request) \
    X(hash_kv_response) X(snapshot_request) X(snapshot_response) X(move_leader_request) X(move_leader_response) \
    X(downgrade_request) X(downgrade_response) X(downgrade_version_test_request) X(user_add_options) X(auth_user) \
    X(permission) X(auth_role) X(auth_enable_request) X(auth_enable_response) X(auth_disable_request) \
    X(auth_disable_response) X(auth_status_request) X(auth_status_response) X(authenticate_request) \
    X(authenticate_response) X(user_add_request) X(user_add_response) X(user_get_request) X(user_get_response) \
    X(user_list_request) X(user_list_response) X(user_delete_request) X(user_delete_response) \
    X(user_change_password_request) X(user_change_password_response) X(user_grant_role_request) \
    X(user_grant_role_response) X(user_revoke_role_request) X(user_revoke_role_response) X(role_add_request) \
    X(role_add_response) X(role_get_request) X(role_get_response) X(role_list_request) X(role_list_response) \
    X(role_delete_request) X(role_delete_response) X(role_grant_permission_request) \
    X(role_grant_permission_response) X(role_revoke_permission_request) X(role_revoke_permission_response) \
    X(lock_request) X(lock_response) X(unlock_request) X(unlock_response) X(leader_key) X(campaign_request) \
    X(campaign_response) X(leader_request) X(leader_response) X(resign_request) X(resign_response) \
    X(proclaim_request) X(proclaim_response) X(health_check_request) X(health_check_response)

#define ETCD__MESSAGE_DECLARE(descriptor) extern const etcd__pb_message etcd__##descriptor##_type;
ETCD__MESSAGES(ETCD__MESSAGE_DECLARE)
#undef ETCD__MESSAGE_DECLARE

/** All tables, in the order of the list above. */
extern const etcd__pb_message *const etcd__messages[];
extern const size_t etcd__n_messages;

/** The table of the message of that full name, or NULL. */
const etcd__pb_message *etcd__message_find(const char *name);

#endif
