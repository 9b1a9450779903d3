/* The tables of all messages. See messages.h and table.h; facts from the contract, section 3.
 *
 * One line per field: C type, number, name on the wire, member, and for messages the descriptor. */
/* clang-format off */
#include "wire/messages.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define EMPTY {"", 0}

#define ENUM_NAMES(id, full_name, ...)                    \
    static const char *const id##_list[] = {__VA_ARGS__}; \
    static const etcd__pb_enum id = {full_name, id##_list, COUNT(id##_list)};

/* The arguments behind the name initialise the members of type etcd_bytes. */
#define WITH_BYTES(descriptor, T, full_name, ...)        \
    static const T descriptor##_initial = {__VA_ARGS__}; \
    const etcd__pb_message etcd__##descriptor##_type = { \
        .name = (full_name),                             \
        .fields = descriptor##_fields,                   \
        .initial = &descriptor##_initial,                \
        .n_fields = COUNT(descriptor##_fields),          \
        .size = sizeof(T),                               \
    };

#define WITHOUT_BYTES(descriptor, T, full_name) WITH_BYTES(descriptor, T, full_name, 0)

#define HEADER_ONLY(descriptor, T, full_name)                  \
    static const etcd__pb_field descriptor##_fields[] = {      \
        ETCD__PB_SUB(T, 1, "header", header, response_header), \
    };                                                         \
    WITHOUT_BYTES(descriptor, T, full_name)

#define NO_FIELDS(descriptor, full_name)                 \
    const etcd__pb_message etcd__##descriptor##_type = { \
        .name = (full_name),                             \
        .initial = &empty_initial,                       \
        .size = sizeof(etcd__empty),                     \
    };

static const etcd__empty empty_initial;

ENUM_NAMES(sort_order_names, "etcdserverpb.RangeRequest.SortOrder", "NONE", "ASCEND", "DESCEND")
ENUM_NAMES(sort_target_names, "etcdserverpb.RangeRequest.SortTarget", "KEY", "VERSION", "CREATE", "MOD", "VALUE")
ENUM_NAMES(compare_result_names, "etcdserverpb.Compare.CompareResult", "EQUAL", "GREATER", "LESS", "NOT_EQUAL")
ENUM_NAMES(compare_target_names, "etcdserverpb.Compare.CompareTarget", "VERSION", "CREATE", "MOD", "VALUE", "LEASE")
ENUM_NAMES(filter_type_names, "etcdserverpb.WatchCreateRequest.FilterType", "NOPUT", "NODELETE")
ENUM_NAMES(event_type_names, "mvccpb.Event.EventType", "PUT", "DELETE")
ENUM_NAMES(alarm_type_names, "etcdserverpb.AlarmType", "NONE", "NOSPACE", "CORRUPT")
ENUM_NAMES(alarm_action_names, "etcdserverpb.AlarmRequest.AlarmAction", "GET", "ACTIVATE", "DEACTIVATE")
ENUM_NAMES(downgrade_action_names, "etcdserverpb.DowngradeRequest.DowngradeAction", "VALIDATE", "ENABLE", "CANCEL")
ENUM_NAMES(permission_type_names, "authpb.Permission.Type", "READ", "WRITE", "READWRITE")
ENUM_NAMES(serving_status_names, "grpc.health.v1.HealthCheckResponse.ServingStatus", "UNKNOWN", "SERVING", "NOT_SERVING",
           "SERVICE_UNKNOWN")

/* -- Shared -- */

static const etcd__pb_field response_header_fields[] = {
    ETCD__PB_SCALAR(etcd_response_header, 1, "cluster_id", cluster_id),
    ETCD__PB_SCALAR(etcd_response_header, 2, "member_id", member_id),
    ETCD__PB_SCALAR(etcd_response_header, 3, "revision", revision),
    ETCD__PB_SCALAR(etcd_response_header, 4, "raft_term", raft_term),
};
WITHOUT_BYTES(response_header, etcd_response_header, "etcdserverpb.ResponseHeader")

static const etcd__pb_field kv_fields[] = {
    ETCD__PB_SCALAR(etcd_kv, 1, "key", key),
    ETCD__PB_SCALAR(etcd_kv, 2, "create_revision", create_revision),
    ETCD__PB_SCALAR(etcd_kv, 3, "mod_revision", mod_revision),
    ETCD__PB_SCALAR(etcd_kv, 4, "version", version),
    ETCD__PB_SCALAR(etcd_kv, 5, "value", value),
    ETCD__PB_SCALAR(etcd_kv, 6, "lease", lease),
};
WITH_BYTES(kv, etcd_kv, "mvccpb.KeyValue", .key = EMPTY, .value = EMPTY)

static const etcd__pb_field event_fields[] = {
    ETCD__PB_ENUM(etcd_event, 1, "type", type, event_type_names),
    ETCD__PB_OPTIONAL(etcd_event, 2, "kv", kv, kv),
    ETCD__PB_OPTIONAL(etcd_event, 3, "prev_kv", prev_kv, kv),
};
WITHOUT_BYTES(event, etcd_event, "mvccpb.Event")

/* -- KV -- */

static const etcd__pb_field range_request_fields[] = {
    ETCD__PB_SCALAR(etcd__range_request, 1, "key", key),
    ETCD__PB_SCALAR(etcd__range_request, 2, "range_end", range_end),
    ETCD__PB_SCALAR(etcd__range_request, 3, "limit", limit),
    ETCD__PB_SCALAR(etcd__range_request, 4, "revision", revision),
    ETCD__PB_ENUM(etcd__range_request, 5, "sort_order", sort_order, sort_order_names),
    ETCD__PB_ENUM(etcd__range_request, 6, "sort_target", sort_target, sort_target_names),
    ETCD__PB_SCALAR(etcd__range_request, 7, "serializable", serializable),
    ETCD__PB_SCALAR(etcd__range_request, 8, "keys_only", keys_only),
    ETCD__PB_SCALAR(etcd__range_request, 9, "count_only", count_only),
    ETCD__PB_SCALAR(etcd__range_request, 10, "min_mod_revision", min_mod_revision),
    ETCD__PB_SCALAR(etcd__range_request, 11, "max_mod_revision", max_mod_revision),
    ETCD__PB_SCALAR(etcd__range_request, 12, "min_create_revision", min_create_revision),
    ETCD__PB_SCALAR(etcd__range_request, 13, "max_create_revision", max_create_revision),
};
WITH_BYTES(range_request, etcd__range_request, "etcdserverpb.RangeRequest", .key = EMPTY, .range_end = EMPTY)

static const etcd__pb_field get_response_fields[] = {
    ETCD__PB_SUB(etcd_get_response, 1, "header", header, response_header),
    ETCD__PB_REPEATED(etcd_get_response, 2, "kvs", kvs, kv),
    ETCD__PB_SCALAR(etcd_get_response, 3, "more", more),
    ETCD__PB_SCALAR(etcd_get_response, 4, "count", count),
};
WITHOUT_BYTES(get_response, etcd_get_response, "etcdserverpb.RangeResponse")

static const etcd__pb_field range_stream_response_fields[] = {
    ETCD__PB_OPTIONAL(etcd__range_stream_response, 1, "range_response", range_response, get_response),
};
WITHOUT_BYTES(range_stream_response, etcd__range_stream_response, "etcdserverpb.RangeStreamResponse")

static const etcd__pb_field put_request_fields[] = {
    ETCD__PB_SCALAR(etcd__put_request, 1, "key", key),
    ETCD__PB_SCALAR(etcd__put_request, 2, "value", value),
    ETCD__PB_SCALAR(etcd__put_request, 3, "lease", lease),
    ETCD__PB_SCALAR(etcd__put_request, 4, "prev_kv", prev_kv),
    ETCD__PB_SCALAR(etcd__put_request, 5, "ignore_value", ignore_value),
    ETCD__PB_SCALAR(etcd__put_request, 6, "ignore_lease", ignore_lease),
};
WITH_BYTES(put_request, etcd__put_request, "etcdserverpb.PutRequest", .key = EMPTY, .value = EMPTY)

static const etcd__pb_field put_response_fields[] = {
    ETCD__PB_SUB(etcd_put_response, 1, "header", header, response_header),
    ETCD__PB_OPTIONAL(etcd_put_response, 2, "prev_kv", prev_kv, kv),
};
WITHOUT_BYTES(put_response, etcd_put_response, "etcdserverpb.PutResponse")

static const etcd__pb_field delete_range_request_fields[] = {
    ETCD__PB_SCALAR(etcd__delete_range_request, 1, "key", key),
    ETCD__PB_SCALAR(etcd__delete_range_request, 2, "range_end", range_end),
    ETCD__PB_SCALAR(etcd__delete_range_request, 3, "prev_kv", prev_kv),
};
WITH_BYTES(delete_range_request, etcd__delete_range_request, "etcdserverpb.DeleteRangeRequest",
           .key = EMPTY, .range_end = EMPTY)

static const etcd__pb_field delete_response_fields[] = {
    ETCD__PB_SUB(etcd_delete_response, 1, "header", header, response_header),
    ETCD__PB_SCALAR(etcd_delete_response, 2, "deleted", deleted),
    ETCD__PB_REPEATED(etcd_delete_response, 3, "prev_kvs", prev_kvs, kv),
};
WITHOUT_BYTES(delete_response, etcd_delete_response, "etcdserverpb.DeleteRangeResponse")

static const etcd__pb_field request_op_fields[] = {
    ETCD__PB_ALTERNATIVE(etcd__request_op, 1, "request_range", range, range_request, type),
    ETCD__PB_ALTERNATIVE(etcd__request_op, 2, "request_put", put, put_request, type),
    ETCD__PB_ALTERNATIVE(etcd__request_op, 3, "request_delete_range", del, delete_range_request, type),
    ETCD__PB_ALTERNATIVE(etcd__request_op, 4, "request_txn", txn, txn_request, type),
};
WITHOUT_BYTES(request_op, etcd__request_op, "etcdserverpb.RequestOp")

static const etcd__pb_field op_response_fields[] = {
    ETCD__PB_ALTERNATIVE(etcd_op_response, 1, "response_range", get, get_response, type),
    ETCD__PB_ALTERNATIVE(etcd_op_response, 2, "response_put", put, put_response, type),
    ETCD__PB_ALTERNATIVE(etcd_op_response, 3, "response_delete_range", del, delete_response, type),
    ETCD__PB_ALTERNATIVE(etcd_op_response, 4, "response_txn", txn, txn_response, type),
};
WITHOUT_BYTES(op_response, etcd_op_response, "etcdserverpb.ResponseOp")

static const etcd__pb_field compare_fields[] = {
    ETCD__PB_ENUM(etcd__compare, 1, "result", result, compare_result_names),
    ETCD__PB_ENUM(etcd__compare, 2, "target", target, compare_target_names),
    ETCD__PB_SCALAR(etcd__compare, 3, "key", key),
    ETCD__PB_CHOICE(etcd__compare, 4, "version", number, target, ETCD_COMPARE_VERSION),
    ETCD__PB_CHOICE(etcd__compare, 5, "create_revision", number, target, ETCD_COMPARE_CREATE),
    ETCD__PB_CHOICE(etcd__compare, 6, "mod_revision", number, target, ETCD_COMPARE_MOD),
    ETCD__PB_CHOICE(etcd__compare, 7, "value", value, target, ETCD_COMPARE_VALUE),
    ETCD__PB_CHOICE(etcd__compare, 8, "lease", number, target, ETCD_COMPARE_LEASE),
    ETCD__PB_SCALAR(etcd__compare, 64, "range_end", range_end),
};
WITH_BYTES(compare, etcd__compare, "etcdserverpb.Compare", .key = EMPTY, .value = EMPTY, .range_end = EMPTY)

static const etcd__pb_field txn_request_fields[] = {
    ETCD__PB_REPEATED_POINTERS(etcd__txn_request, 1, "compare", compare, compare),
    ETCD__PB_REPEATED_POINTERS(etcd__txn_request, 2, "success", success, request_op),
    ETCD__PB_REPEATED_POINTERS(etcd__txn_request, 3, "failure", failure, request_op),
};
WITHOUT_BYTES(txn_request, etcd__txn_request, "etcdserverpb.TxnRequest")

static const etcd__pb_field txn_response_fields[] = {
    ETCD__PB_SUB(etcd_txn_response, 1, "header", header, response_header),
    ETCD__PB_SCALAR(etcd_txn_response, 2, "succeeded", succeeded),
    ETCD__PB_REPEATED_POINTERS(etcd_txn_response, 3, "responses", responses, op_response),
};
WITHOUT_BYTES(txn_response, etcd_txn_response, "etcdserverpb.TxnResponse")

static const etcd__pb_field compaction_request_fields[] = {
    ETCD__PB_SCALAR(etcd__compaction_request, 1, "revision", revision),
    ETCD__PB_SCALAR(etcd__compaction_request, 2, "physical", physical),
};
WITHOUT_BYTES(compaction_request, etcd__compaction_request, "etcdserverpb.CompactionRequest")

HEADER_ONLY(compact_response, etcd_compact_response, "etcdserverpb.CompactionResponse")

/* -- Watch -- */

static const etcd__pb_field watch_request_fields[] = {
    ETCD__PB_ALTERNATIVE(etcd__watch_request, 1, "create_request", create_request, watch_create_request, type),
    ETCD__PB_ALTERNATIVE(etcd__watch_request, 2, "cancel_request", cancel_request, watch_cancel_request, type),
    ETCD__PB_ALTERNATIVE(etcd__watch_request, 3, "progress_request", progress_request, watch_progress_request, type),
};
WITHOUT_BYTES(watch_request, etcd__watch_request, "etcdserverpb.WatchRequest")

static const etcd__pb_field watch_create_request_fields[] = {
    ETCD__PB_SCALAR(etcd__watch_create_request, 1, "key", key),
    ETCD__PB_SCALAR(etcd__watch_create_request, 2, "range_end", range_end),
    ETCD__PB_SCALAR(etcd__watch_create_request, 3, "start_revision", start_revision),
    ETCD__PB_SCALAR(etcd__watch_create_request, 4, "progress_notify", progress_notify),
    ETCD__PB_REPEATED_ENUM(etcd__watch_create_request, 5, "filters", filters, filter_type_names),
    ETCD__PB_SCALAR(etcd__watch_create_request, 6, "prev_kv", prev_kv),
    ETCD__PB_SCALAR(etcd__watch_create_request, 7, "watch_id", watch_id),
    ETCD__PB_SCALAR(etcd__watch_create_request, 8, "fragment", fragment),
};
WITH_BYTES(watch_create_request, etcd__watch_create_request, "etcdserverpb.WatchCreateRequest",
           .key = EMPTY, .range_end = EMPTY)

static const etcd__pb_field watch_cancel_request_fields[] = {
    ETCD__PB_SCALAR(etcd__watch_cancel_request, 1, "watch_id", watch_id),
};
WITHOUT_BYTES(watch_cancel_request, etcd__watch_cancel_request, "etcdserverpb.WatchCancelRequest")

NO_FIELDS(watch_progress_request, "etcdserverpb.WatchProgressRequest")

static const etcd__pb_field watch_response_fields[] = {
    ETCD__PB_SUB(etcd__watch_response, 1, "header", header, response_header),
    ETCD__PB_SCALAR(etcd__watch_response, 2, "watch_id", watch_id),
    ETCD__PB_SCALAR(etcd__watch_response, 3, "created", created),
    ETCD__PB_SCALAR(etcd__watch_response, 4, "canceled", canceled),
    ETCD__PB_SCALAR(etcd__watch_response, 5, "compact_revision", compact_revision),
    ETCD__PB_TEXT(etcd__watch_response, 6, "cancel_reason", cancel_reason),
    ETCD__PB_SCALAR(etcd__watch_response, 7, "fragment", fragment),
    ETCD__PB_REPEATED(etcd__watch_response, 11, "events", events, event),
};
WITH_BYTES(watch_response, etcd__watch_response, "etcdserverpb.WatchResponse", .cancel_reason = EMPTY)

/* -- Lease -- */

static const etcd__pb_field lease_grant_request_fields[] = {
    ETCD__PB_SCALAR(etcd__lease_grant_request, 1, "TTL", ttl_s),
    ETCD__PB_SCALAR(etcd__lease_grant_request, 2, "ID", id),
};
WITHOUT_BYTES(lease_grant_request, etcd__lease_grant_request, "etcdserverpb.LeaseGrantRequest")

static const etcd__pb_field lease_grant_response_fields[] = {
    ETCD__PB_SUB(etcd_lease_grant_response, 1, "header", header, response_header),
    ETCD__PB_SCALAR(etcd_lease_grant_response, 2, "ID", id),
    ETCD__PB_SCALAR(etcd_lease_grant_response, 3, "TTL", ttl_s),
    ETCD__PB_TEXT(etcd_lease_grant_response, 4, "error", error),
};
WITH_BYTES(lease_grant_response, etcd_lease_grant_response, "etcdserverpb.LeaseGrantResponse", .error = EMPTY)

static const etcd__pb_field lease_revoke_request_fields[] = {
    ETCD__PB_SCALAR(etcd__lease_revoke_request, 1, "ID", id),
};
WITHOUT_BYTES(lease_revoke_request, etcd__lease_revoke_request, "etcdserverpb.LeaseRevokeRequest")

HEADER_ONLY(lease_revoke_response, etcd_lease_revoke_response, "etcdserverpb.LeaseRevokeResponse")

static const etcd__pb_field lease_checkpoint_fields[] = {
    ETCD__PB_SCALAR(etcd__lease_checkpoint, 1, "ID", id),
    ETCD__PB_SCALAR(etcd__lease_checkpoint, 2, "remaining_TTL", remaining_ttl_s),
};
WITHOUT_BYTES(lease_checkpoint, etcd__lease_checkpoint, "etcdserverpb.LeaseCheckpoint")

static const etcd__pb_field lease_checkpoint_request_fields[] = {
    ETCD__PB_REPEATED(etcd__lease_checkpoint_request, 1, "checkpoints", checkpoints, lease_checkpoint),
};
WITHOUT_BYTES(lease_checkpoint_request, etcd__lease_checkpoint_request, "etcdserverpb.LeaseCheckpointRequest")

HEADER_ONLY(lease_checkpoint_response, etcd__lease_checkpoint_response, "etcdserverpb.LeaseCheckpointResponse")

static const etcd__pb_field lease_keep_alive_request_fields[] = {
    ETCD__PB_SCALAR(etcd__lease_keep_alive_request, 1, "ID", id),
};
WITHOUT_BYTES(lease_keep_alive_request, etcd__lease_keep_alive_request, "etcdserverpb.LeaseKeepAliveRequest")

static const etcd__pb_field keepalive_response_fields[] = {
    ETCD__PB_SUB(etcd_keepalive_response, 1, "header", header, response_header),
    ETCD__PB_SCALAR(etcd_keepalive_response, 2, "ID", id),
    ETCD__PB_SCALAR(etcd_keepalive_response, 3, "TTL", ttl_s),
};
WITHOUT_BYTES(keepalive_response, etcd_keepalive_response, "etcdserverpb.LeaseKeepAliveResponse")

static const etcd__pb_field lease_time_to_live_request_fields[] = {
    ETCD__PB_SCALAR(etcd__lease_time_to_live_request, 1, "ID", id),
    ETCD__PB_SCALAR(etcd__lease_time_to_live_request, 2, "keys", keys),
};
WITHOUT_BYTES(lease_time_to_live_request, etcd__lease_time_to_live_request, "etcdserverpb.LeaseTimeToLiveRequest")

static const etcd__pb_field lease_time_to_live_response_fields[] = {
    ETCD__PB_SUB(etcd_lease_time_to_live_response, 1, "header", header, response_header),
    ETCD__PB_SCALAR(etcd_lease_time_to_live_response, 2, "ID", id),
    ETCD__PB_SCALAR(etcd_lease_time_to_live_response, 3, "TTL", ttl_s),
    ETCD__PB_SCALAR(etcd_lease_time_to_live_response, 4, "grantedTTL", granted_ttl_s),
    ETCD__PB_REPEATED_BYTES(etcd_lease_time_to_live_response, 5, "keys", keys, ETCD__PB_BYTES),
};
WITHOUT_BYTES(lease_time_to_live_response, etcd_lease_time_to_live_response, "etcdserverpb.LeaseTimeToLiveResponse")

NO_FIELDS(lease_leases_request, "etcdserverpb.LeaseLeasesRequest")

static const etcd__pb_field lease_status_fields[] = {
    ETCD__PB_SCALAR(etcd_lease_status, 1, "ID", id),
};
WITHOUT_BYTES(lease_status, etcd_lease_status, "etcdserverpb.LeaseStatus")

static const etcd__pb_field lease_leases_response_fields[] = {
    ETCD__PB_SUB(etcd_lease_list_response, 1, "header", header, response_header),
    ETCD__PB_REPEATED(etcd_lease_list_response, 2, "leases", leases, lease_status),
};
WITHOUT_BYTES(lease_leases_response, etcd_lease_list_response, "etcdserverpb.LeaseLeasesResponse")

/* -- Cluster -- */

static const etcd__pb_field member_fields[] = {
    ETCD__PB_SCALAR(etcd_member, 1, "ID", id),
    ETCD__PB_TEXT(etcd_member, 2, "name", name),
    ETCD__PB_REPEATED_BYTES(etcd_member, 3, "peerURLs", peer_urls, ETCD__PB_STRING),
    ETCD__PB_REPEATED_BYTES(etcd_member, 4, "clientURLs", client_urls, ETCD__PB_STRING),
    ETCD__PB_SCALAR(etcd_member, 5, "isLearner", is_learner),
};
WITH_BYTES(member, etcd_member, "etcdserverpb.Member", .name = EMPTY)

static const etcd__pb_field member_add_request_fields[] = {
    ETCD__PB_REPEATED_BYTES(etcd__member_add_request, 1, "peerURLs", peer_urls, ETCD__PB_STRING),
    ETCD__PB_SCALAR(etcd__member_add_request, 2, "isLearner", is_learner),
};
WITHOUT_BYTES(member_add_request, etcd__member_add_request, "etcdserverpb.MemberAddRequest")

static const etcd__pb_field member_add_response_fields[] = {
    ETCD__PB_SUB(etcd_member_add_response, 1, "header", header, response_header),
    ETCD__PB_SUB(etcd_member_add_response, 2, "member", member, member),
    ETCD__PB_REPEATED(etcd_member_add_response, 3, "members", members, member),
};
WITH_BYTES(member_add_response, etcd_member_add_response, "etcdserverpb.MemberAddResponse", .member = {.name = EMPTY})

static const etcd__pb_field member_remove_request_fields[] = {
    ETCD__PB_SCALAR(etcd__member_remove_request, 1, "ID", id),
};
WITHOUT_BYTES(member_remove_request, etcd__member_remove_request, "etcdserverpb.MemberRemoveRequest")

static const etcd__pb_field member_remove_response_fields[] = {
    ETCD__PB_SUB(etcd_member_remove_response, 1, "header", header, response_header),
    ETCD__PB_REPEATED(etcd_member_remove_response, 2, "members", members, member),
};
WITHOUT_BYTES(member_remove_response, etcd_member_remove_response, "etcdserverpb.MemberRemoveResponse")

static const etcd__pb_field member_update_request_fields[] = {
    ETCD__PB_SCALAR(etcd__member_update_request, 1, "ID", id),
    ETCD__PB_REPEATED_BYTES(etcd__member_update_request, 2, "peerURLs", peer_urls, ETCD__PB_STRING),
};
WITHOUT_BYTES(member_update_request, etcd__member_update_request, "etcdserverpb.MemberUpdateRequest")

static const etcd__pb_field member_update_response_fields[] = {
    ETCD__PB_SUB(etcd_member_update_response, 1, "header", header, response_header),
    ETCD__PB_REPEATED(etcd_member_update_response, 2, "members", members, member),
};
WITHOUT_BYTES(member_update_response, etcd_member_update_response, "etcdserverpb.MemberUpdateResponse")

static const etcd__pb_field member_list_request_fields[] = {
    ETCD__PB_SCALAR(etcd__member_list_request, 1, "linearizable", linearizable),
};
WITHOUT_BYTES(member_list_request, etcd__member_list_request, "etcdserverpb.MemberListRequest")

static const etcd__pb_field member_list_response_fields[] = {
    ETCD__PB_SUB(etcd_member_list_response, 1, "header", header, response_header),
    ETCD__PB_REPEATED(etcd_member_list_response, 2, "members", members, member),
};
WITHOUT_BYTES(member_list_response, etcd_member_list_response, "etcdserverpb.MemberListResponse")

static const etcd__pb_field member_promote_request_fields[] = {
    ETCD__PB_SCALAR(etcd__member_promote_request, 1, "ID", id),
};
WITHOUT_BYTES(member_promote_request, etcd__member_promote_request, "etcdserverpb.MemberPromoteRequest")

static const etcd__pb_field member_promote_response_fields[] = {
    ETCD__PB_SUB(etcd_member_promote_response, 1, "header", header, response_header),
    ETCD__PB_REPEATED(etcd_member_promote_response, 2, "members", members, member),
};
WITHOUT_BYTES(member_promote_response, etcd_member_promote_response, "etcdserverpb.MemberPromoteResponse")

/* -- Maintenance -- */

static const etcd__pb_field alarm_request_fields[] = {
    ETCD__PB_ENUM(etcd__alarm_request, 1, "action", action, alarm_action_names),
    ETCD__PB_SCALAR(etcd__alarm_request, 2, "memberID", member_id),
    ETCD__PB_ENUM(etcd__alarm_request, 3, "alarm", alarm, alarm_type_names),
};
WITHOUT_BYTES(alarm_request, etcd__alarm_request, "etcdserverpb.AlarmRequest")

static const etcd__pb_field alarm_member_fields[] = {
    ETCD__PB_SCALAR(etcd_alarm_member, 1, "memberID", member_id),
    ETCD__PB_ENUM(etcd_alarm_member, 2, "alarm", alarm, alarm_type_names),
};
WITHOUT_BYTES(alarm_member, etcd_alarm_member, "etcdserverpb.AlarmMember")

static const etcd__pb_field alarm_response_fields[] = {
    ETCD__PB_SUB(etcd_alarm_response, 1, "header", header, response_header),
    ETCD__PB_REPEATED(etcd_alarm_response, 2, "alarms", alarms, alarm_member),
};
WITHOUT_BYTES(alarm_response, etcd_alarm_response, "etcdserverpb.AlarmResponse")

NO_FIELDS(status_request, "etcdserverpb.StatusRequest")

static const etcd__pb_field downgrade_info_fields[] = {
    ETCD__PB_SCALAR(etcd_downgrade_info, 1, "enabled", enabled),
    ETCD__PB_TEXT(etcd_downgrade_info, 2, "targetVersion", target_version),
};
WITH_BYTES(downgrade_info, etcd_downgrade_info, "etcdserverpb.DowngradeInfo", .target_version = EMPTY)

static const etcd__pb_field status_response_fields[] = {
    ETCD__PB_SUB(etcd_status_response, 1, "header", header, response_header),
    ETCD__PB_TEXT(etcd_status_response, 2, "version", version),
    ETCD__PB_SCALAR(etcd_status_response, 3, "dbSize", db_size),
    ETCD__PB_SCALAR(etcd_status_response, 4, "leader", leader),
    ETCD__PB_SCALAR(etcd_status_response, 5, "raftIndex", raft_index),
    ETCD__PB_SCALAR(etcd_status_response, 6, "raftTerm", raft_term),
    ETCD__PB_SCALAR(etcd_status_response, 7, "raftAppliedIndex", raft_applied_index),
    ETCD__PB_REPEATED_BYTES(etcd_status_response, 8, "errors", errors, ETCD__PB_STRING),
    ETCD__PB_SCALAR(etcd_status_response, 9, "dbSizeInUse", db_size_in_use),
    ETCD__PB_SCALAR(etcd_status_response, 10, "isLearner", is_learner),
    ETCD__PB_TEXT(etcd_status_response, 11, "storageVersion", storage_version),
    ETCD__PB_SCALAR(etcd_status_response, 12, "dbSizeQuota", db_size_quota),
    ETCD__PB_OPTIONAL(etcd_status_response, 13, "downgradeInfo", downgrade_info, downgrade_info),
};
WITH_BYTES(status_response, etcd_status_response, "etcdserverpb.StatusResponse",
           .version = EMPTY, .storage_version = EMPTY)

NO_FIELDS(defragment_request, "etcdserverpb.DefragmentRequest")

HEADER_ONLY(defragment_response, etcd_defragment_response, "etcdserverpb.DefragmentResponse")

NO_FIELDS(hash_request, "etcdserverpb.HashRequest")

static const etcd__pb_field hash_response_fields[] = {
    ETCD__PB_SUB(etcd_hash_response, 1, "header", header, response_header),
    ETCD__PB_SCALAR(etcd_hash_response, 2, "hash", hash),
};
WITHOUT_BYTES(hash_response, etcd_hash_response, "etcdserverpb.HashResponse")

static const etcd__pb_field hash_kv_request_fields[] = {
    ETCD__PB_SCALAR(etcd__hash_kv_request, 1, "revision", revision),
};
WITHOUT_BYTES(hash_kv_request, etcd__hash_kv_request, "etcdserverpb.HashKVRequest")

static const etcd__pb_field hash_kv_response_fields[] = {
    ETCD__PB_SUB(etcd_hash_kv_response, 1, "header", header, response_header),
    ETCD__PB_SCALAR(etcd_hash_kv_response, 2, "hash", hash),
    ETCD__PB_SCALAR(etcd_hash_kv_response, 3, "compact_revision", compact_revision),
    ETCD__PB_SCALAR(etcd_hash_kv_response, 4, "hash_revision", hash_revision),
};
WITHOUT_BYTES(hash_kv_response, etcd_hash_kv_response, "etcdserverpb.HashKVResponse")

NO_FIELDS(snapshot_request, "etcdserverpb.SnapshotRequest")

static const etcd__pb_field snapshot_response_fields[] = {
    ETCD__PB_SUB(etcd__snapshot_response, 1, "header", header, response_header),
    ETCD__PB_SCALAR(etcd__snapshot_response, 2, "remaining_bytes", remaining_bytes),
    ETCD__PB_SCALAR(etcd__snapshot_response, 3, "blob", blob),
    ETCD__PB_TEXT(etcd__snapshot_response, 4, "version", version),
};
WITH_BYTES(snapshot_response, etcd__snapshot_response, "etcdserverpb.SnapshotResponse", .blob = EMPTY, .version = EMPTY)

static const etcd__pb_field move_leader_request_fields[] = {
    ETCD__PB_SCALAR(etcd__move_leader_request, 1, "targetID", target_id),
};
WITHOUT_BYTES(move_leader_request, etcd__move_leader_request, "etcdserverpb.MoveLeaderRequest")

HEADER_ONLY(move_leader_response, etcd_move_leader_response, "etcdserverpb.MoveLeaderResponse")

static const etcd__pb_field downgrade_request_fields[] = {
    ETCD__PB_ENUM(etcd__downgrade_request, 1, "action", action, downgrade_action_names),
    ETCD__PB_TEXT(etcd__downgrade_request, 2, "version", version),
};
WITH_BYTES(downgrade_request, etcd__downgrade_request, "etcdserverpb.DowngradeRequest", .version = EMPTY)

static const etcd__pb_field downgrade_response_fields[] = {
    ETCD__PB_SUB(etcd_downgrade_response, 1, "header", header, response_header),
    ETCD__PB_TEXT(etcd_downgrade_response, 2, "version", version),
};
WITH_BYTES(downgrade_response, etcd_downgrade_response, "etcdserverpb.DowngradeResponse", .version = EMPTY)

static const etcd__pb_field downgrade_version_test_request_fields[] = {
    ETCD__PB_TEXT(etcd__downgrade_version_test_request, 1, "ver", ver),
};
WITH_BYTES(downgrade_version_test_request, etcd__downgrade_version_test_request, "etcdserverpb.DowngradeVersionTestRequest",
           .ver = EMPTY)

/* -- Auth -- */

static const etcd__pb_field user_add_options_fields[] = {
    ETCD__PB_SCALAR(etcd__user_add_options, 1, "no_password", no_password),
};
WITHOUT_BYTES(user_add_options, etcd__user_add_options, "authpb.UserAddOptions")

static const etcd__pb_field auth_user_fields[] = {
    ETCD__PB_SCALAR(etcd__auth_user, 1, "name", name),
    ETCD__PB_SCALAR(etcd__auth_user, 2, "password", password),
    ETCD__PB_REPEATED_BYTES(etcd__auth_user, 3, "roles", roles, ETCD__PB_STRING),
    ETCD__PB_OPTIONAL(etcd__auth_user, 4, "options", options, user_add_options),
};
WITH_BYTES(auth_user, etcd__auth_user, "authpb.User", .name = EMPTY, .password = EMPTY)

static const etcd__pb_field permission_fields[] = {
    ETCD__PB_ENUM(etcd_permission, 1, "permType", type, permission_type_names),
    ETCD__PB_SCALAR(etcd_permission, 2, "key", key),
    ETCD__PB_SCALAR(etcd_permission, 3, "range_end", range_end),
};
WITH_BYTES(permission, etcd_permission, "authpb.Permission", .key = EMPTY, .range_end = EMPTY)

static const etcd__pb_field auth_role_fields[] = {
    ETCD__PB_SCALAR(etcd__auth_role, 1, "name", name),
    ETCD__PB_REPEATED(etcd__auth_role, 2, "keyPermission", key_permission, permission),
};
WITH_BYTES(auth_role, etcd__auth_role, "authpb.Role", .name = EMPTY)

NO_FIELDS(auth_enable_request, "etcdserverpb.AuthEnableRequest")

HEADER_ONLY(auth_enable_response, etcd_auth_enable_response, "etcdserverpb.AuthEnableResponse")

NO_FIELDS(auth_disable_request, "etcdserverpb.AuthDisableRequest")

HEADER_ONLY(auth_disable_response, etcd_auth_disable_response, "etcdserverpb.AuthDisableResponse")

NO_FIELDS(auth_status_request, "etcdserverpb.AuthStatusRequest")

static const etcd__pb_field auth_status_response_fields[] = {
    ETCD__PB_SUB(etcd_auth_status_response, 1, "header", header, response_header),
    ETCD__PB_SCALAR(etcd_auth_status_response, 2, "enabled", enabled),
    ETCD__PB_SCALAR(etcd_auth_status_response, 3, "authRevision", auth_revision),
};
WITHOUT_BYTES(auth_status_response, etcd_auth_status_response, "etcdserverpb.AuthStatusResponse")

static const etcd__pb_field authenticate_request_fields[] = {
    ETCD__PB_TEXT(etcd__authenticate_request, 1, "name", name),
    ETCD__PB_TEXT(etcd__authenticate_request, 2, "password", password),
};
WITH_BYTES(authenticate_request, etcd__authenticate_request, "etcdserverpb.AuthenticateRequest",
           .name = EMPTY, .password = EMPTY)

static const etcd__pb_field authenticate_response_fields[] = {
    ETCD__PB_SUB(etcd_authenticate_response, 1, "header", header, response_header),
    ETCD__PB_TEXT(etcd_authenticate_response, 2, "token", token),
};
WITH_BYTES(authenticate_response, etcd_authenticate_response, "etcdserverpb.AuthenticateResponse", .token = EMPTY)

static const etcd__pb_field user_add_request_fields[] = {
    ETCD__PB_TEXT(etcd__user_add_request, 1, "name", name),
    ETCD__PB_TEXT(etcd__user_add_request, 2, "password", password),
    ETCD__PB_OPTIONAL(etcd__user_add_request, 3, "options", options, user_add_options),
    ETCD__PB_TEXT(etcd__user_add_request, 4, "hashedPassword", hashed_password),
};
WITH_BYTES(user_add_request, etcd__user_add_request, "etcdserverpb.AuthUserAddRequest",
           .name = EMPTY, .password = EMPTY, .hashed_password = EMPTY)

HEADER_ONLY(user_add_response, etcd_user_add_response, "etcdserverpb.AuthUserAddResponse")

static const etcd__pb_field user_get_request_fields[] = {
    ETCD__PB_TEXT(etcd__user_get_request, 1, "name", name),
};
WITH_BYTES(user_get_request, etcd__user_get_request, "etcdserverpb.AuthUserGetRequest", .name = EMPTY)

static const etcd__pb_field user_get_response_fields[] = {
    ETCD__PB_SUB(etcd_user_get_response, 1, "header", header, response_header),
    ETCD__PB_REPEATED_BYTES(etcd_user_get_response, 2, "roles", roles, ETCD__PB_STRING),
};
WITHOUT_BYTES(user_get_response, etcd_user_get_response, "etcdserverpb.AuthUserGetResponse")

NO_FIELDS(user_list_request, "etcdserverpb.AuthUserListRequest")

static const etcd__pb_field user_list_response_fields[] = {
    ETCD__PB_SUB(etcd_user_list_response, 1, "header", header, response_header),
    ETCD__PB_REPEATED_BYTES(etcd_user_list_response, 2, "users", users, ETCD__PB_STRING),
};
WITHOUT_BYTES(user_list_response, etcd_user_list_response, "etcdserverpb.AuthUserListResponse")

static const etcd__pb_field user_delete_request_fields[] = {
    ETCD__PB_TEXT(etcd__user_delete_request, 1, "name", name),
};
WITH_BYTES(user_delete_request, etcd__user_delete_request, "etcdserverpb.AuthUserDeleteRequest", .name = EMPTY)

HEADER_ONLY(user_delete_response, etcd_user_delete_response, "etcdserverpb.AuthUserDeleteResponse")

static const etcd__pb_field user_change_password_request_fields[] = {
    ETCD__PB_TEXT(etcd__user_change_password_request, 1, "name", name),
    ETCD__PB_TEXT(etcd__user_change_password_request, 2, "password", password),
    ETCD__PB_TEXT(etcd__user_change_password_request, 3, "hashedPassword", hashed_password),
};
WITH_BYTES(user_change_password_request, etcd__user_change_password_request, "etcdserverpb.AuthUserChangePasswordRequest",
           .name = EMPTY, .password = EMPTY, .hashed_password = EMPTY)

HEADER_ONLY(user_change_password_response, etcd_user_change_password_response, "etcdserverpb.AuthUserChangePasswordResponse")

static const etcd__pb_field user_grant_role_request_fields[] = {
    ETCD__PB_TEXT(etcd__user_grant_role_request, 1, "user", user),
    ETCD__PB_TEXT(etcd__user_grant_role_request, 2, "role", role),
};
WITH_BYTES(user_grant_role_request, etcd__user_grant_role_request, "etcdserverpb.AuthUserGrantRoleRequest",
           .user = EMPTY, .role = EMPTY)

HEADER_ONLY(user_grant_role_response, etcd_user_grant_role_response, "etcdserverpb.AuthUserGrantRoleResponse")

static const etcd__pb_field user_revoke_role_request_fields[] = {
    ETCD__PB_TEXT(etcd__user_revoke_role_request, 1, "name", name),
    ETCD__PB_TEXT(etcd__user_revoke_role_request, 2, "role", role),
};
WITH_BYTES(user_revoke_role_request, etcd__user_revoke_role_request, "etcdserverpb.AuthUserRevokeRoleRequest",
           .name = EMPTY, .role = EMPTY)

HEADER_ONLY(user_revoke_role_response, etcd_user_revoke_role_response, "etcdserverpb.AuthUserRevokeRoleResponse")

static const etcd__pb_field role_add_request_fields[] = {
    ETCD__PB_TEXT(etcd__role_add_request, 1, "name", name),
};
WITH_BYTES(role_add_request, etcd__role_add_request, "etcdserverpb.AuthRoleAddRequest", .name = EMPTY)

HEADER_ONLY(role_add_response, etcd_role_add_response, "etcdserverpb.AuthRoleAddResponse")

static const etcd__pb_field role_get_request_fields[] = {
    ETCD__PB_TEXT(etcd__role_get_request, 1, "role", role),
};
WITH_BYTES(role_get_request, etcd__role_get_request, "etcdserverpb.AuthRoleGetRequest", .role = EMPTY)

static const etcd__pb_field role_get_response_fields[] = {
    ETCD__PB_SUB(etcd_role_get_response, 1, "header", header, response_header),
    ETCD__PB_REPEATED(etcd_role_get_response, 2, "perm", perm, permission),
};
WITHOUT_BYTES(role_get_response, etcd_role_get_response, "etcdserverpb.AuthRoleGetResponse")

NO_FIELDS(role_list_request, "etcdserverpb.AuthRoleListRequest")

static const etcd__pb_field role_list_response_fields[] = {
    ETCD__PB_SUB(etcd_role_list_response, 1, "header", header, response_header),
    ETCD__PB_REPEATED_BYTES(etcd_role_list_response, 2, "roles", roles, ETCD__PB_STRING),
};
WITHOUT_BYTES(role_list_response, etcd_role_list_response, "etcdserverpb.AuthRoleListResponse")

static const etcd__pb_field role_delete_request_fields[] = {
    ETCD__PB_TEXT(etcd__role_delete_request, 1, "role", role),
};
WITH_BYTES(role_delete_request, etcd__role_delete_request, "etcdserverpb.AuthRoleDeleteRequest", .role = EMPTY)

HEADER_ONLY(role_delete_response, etcd_role_delete_response, "etcdserverpb.AuthRoleDeleteResponse")

static const etcd__pb_field role_grant_permission_request_fields[] = {
    ETCD__PB_TEXT(etcd__role_grant_permission_request, 1, "name", name),
    ETCD__PB_OPTIONAL(etcd__role_grant_permission_request, 2, "perm", perm, permission),
};
WITH_BYTES(role_grant_permission_request, etcd__role_grant_permission_request, "etcdserverpb.AuthRoleGrantPermissionRequest",
           .name = EMPTY)

HEADER_ONLY(role_grant_permission_response, etcd_role_grant_permission_response, "etcdserverpb.AuthRoleGrantPermissionResponse")

static const etcd__pb_field role_revoke_permission_request_fields[] = {
    ETCD__PB_TEXT(etcd__role_revoke_permission_request, 1, "role", role),
    ETCD__PB_SCALAR(etcd__role_revoke_permission_request, 2, "key", key),
    ETCD__PB_SCALAR(etcd__role_revoke_permission_request, 3, "range_end", range_end),
};
WITH_BYTES(role_revoke_permission_request, etcd__role_revoke_permission_request, "etcdserverpb.AuthRoleRevokePermissionRequest",
           .role = EMPTY, .key = EMPTY, .range_end = EMPTY)

HEADER_ONLY(role_revoke_permission_response, etcd_role_revoke_permission_response,
            "etcdserverpb.AuthRoleRevokePermissionResponse")

/* -- Lock and election of the server, health -- */

static const etcd__pb_field lock_request_fields[] = {
    ETCD__PB_SCALAR(etcd__lock_request, 1, "name", name),
    ETCD__PB_SCALAR(etcd__lock_request, 2, "lease", lease),
};
WITH_BYTES(lock_request, etcd__lock_request, "v3lockpb.LockRequest", .name = EMPTY)

static const etcd__pb_field lock_response_fields[] = {
    ETCD__PB_SUB(etcd_lock_response, 1, "header", header, response_header),
    ETCD__PB_SCALAR(etcd_lock_response, 2, "key", key),
};
WITH_BYTES(lock_response, etcd_lock_response, "v3lockpb.LockResponse", .key = EMPTY)

static const etcd__pb_field unlock_request_fields[] = {
    ETCD__PB_SCALAR(etcd__unlock_request, 1, "key", key),
};
WITH_BYTES(unlock_request, etcd__unlock_request, "v3lockpb.UnlockRequest", .key = EMPTY)

HEADER_ONLY(unlock_response, etcd_unlock_response, "v3lockpb.UnlockResponse")

static const etcd__pb_field leader_key_fields[] = {
    ETCD__PB_SCALAR(etcd_leader_key, 1, "name", name),
    ETCD__PB_SCALAR(etcd_leader_key, 2, "key", key),
    ETCD__PB_SCALAR(etcd_leader_key, 3, "rev", rev),
    ETCD__PB_SCALAR(etcd_leader_key, 4, "lease", lease),
};
WITH_BYTES(leader_key, etcd_leader_key, "v3electionpb.LeaderKey", .name = EMPTY, .key = EMPTY)

static const etcd__pb_field campaign_request_fields[] = {
    ETCD__PB_SCALAR(etcd__campaign_request, 1, "name", name),
    ETCD__PB_SCALAR(etcd__campaign_request, 2, "lease", lease),
    ETCD__PB_SCALAR(etcd__campaign_request, 3, "value", value),
};
WITH_BYTES(campaign_request, etcd__campaign_request, "v3electionpb.CampaignRequest", .name = EMPTY, .value = EMPTY)

static const etcd__pb_field campaign_response_fields[] = {
    ETCD__PB_SUB(etcd_campaign_response, 1, "header", header, response_header),
    ETCD__PB_SUB(etcd_campaign_response, 2, "leader", leader, leader_key),
};
WITH_BYTES(campaign_response, etcd_campaign_response, "v3electionpb.CampaignResponse",
           .leader = {.name = EMPTY, .key = EMPTY})

static const etcd__pb_field leader_request_fields[] = {
    ETCD__PB_SCALAR(etcd__leader_request, 1, "name", name),
};
WITH_BYTES(leader_request, etcd__leader_request, "v3electionpb.LeaderRequest", .name = EMPTY)

static const etcd__pb_field leader_response_fields[] = {
    ETCD__PB_SUB(etcd_leader_response, 1, "header", header, response_header),
    ETCD__PB_SUB(etcd_leader_response, 2, "kv", kv, kv),
};
WITH_BYTES(leader_response, etcd_leader_response, "v3electionpb.LeaderResponse", .kv = {.key = EMPTY, .value = EMPTY})

static const etcd__pb_field resign_request_fields[] = {
    ETCD__PB_OPTIONAL(etcd__resign_request, 1, "leader", leader, leader_key),
};
WITHOUT_BYTES(resign_request, etcd__resign_request, "v3electionpb.ResignRequest")

HEADER_ONLY(resign_response, etcd_resign_response, "v3electionpb.ResignResponse")

static const etcd__pb_field proclaim_request_fields[] = {
    ETCD__PB_OPTIONAL(etcd__proclaim_request, 1, "leader", leader, leader_key),
    ETCD__PB_SCALAR(etcd__proclaim_request, 2, "value", value),
};
WITH_BYTES(proclaim_request, etcd__proclaim_request, "v3electionpb.ProclaimRequest", .value = EMPTY)

HEADER_ONLY(proclaim_response, etcd_proclaim_response, "v3electionpb.ProclaimResponse")

static const etcd__pb_field health_check_request_fields[] = {
    ETCD__PB_TEXT(etcd__health_check_request, 1, "service", service),
};
WITH_BYTES(health_check_request, etcd__health_check_request, "grpc.health.v1.HealthCheckRequest", .service = EMPTY)

static const etcd__pb_field health_check_response_fields[] = {
    ETCD__PB_ENUM(etcd_health_check_response, 1, "status", status, serving_status_names),
};
WITHOUT_BYTES(health_check_response, etcd_health_check_response, "grpc.health.v1.HealthCheckResponse")

#define ADDRESS(descriptor) &etcd__##descriptor##_type,
const etcd__pb_message *const etcd__messages[] = {ETCD__MESSAGES(ADDRESS)};
const size_t etcd__n_messages = COUNT(etcd__messages);

const etcd__pb_message *etcd__message_find(const char *name)
{
    for (size_t i = 0; i < etcd__n_messages; i++) {
        if (strcmp(etcd__messages[i]->name, name) == 0)
            return etcd__messages[i];
    }
    return NULL;
}
