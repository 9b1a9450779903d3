/* Care of the cluster: alarms, status, hashes, defragmentation, leadership, downgrade (service
 * etcdserverpb.Maintenance).
 *
 * Some calls are about one member: `endpoint` is where to send them, not necessarily one of the client's; NULL means
 * that of `call`, else any.
 *
 * Every call has a blocking form and one ending in _async with a callback; see client.h for threads, callbacks and
 * the completion queue. A response belongs to the caller and is freed with etcd_response_free(). In the blocking
 * form `out` may be NULL when only success matters.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ETCD3_MAINTENANCE_H
#define ETCD3_MAINTENANCE_H

#include "client.h"

#ifdef __cplusplus
extern "C" {
#endif

enum etcd_alarm_type {
    ETCD_ALARM_NONE = 0,    /**< in a request, with member 0: all */
    ETCD_ALARM_NOSPACE = 1, /**< the quota is used up: puts fail with ETCD_ERR_NO_SPACE */
    ETCD_ALARM_CORRUPT = 2  /**< the members' data differ: calls fail with ETCD_ERR_CORRUPT */
};

enum etcd_downgrade_action { ETCD_DOWNGRADE_VALIDATE = 0, ETCD_DOWNGRADE_ENABLE = 1, ETCD_DOWNGRADE_CANCEL = 2 };

/** One alarm of one member (etcdserverpb.AlarmMember). */
typedef struct etcd_alarm_member {
    uint64_t member_id;
    int32_t alarm; /**< of etcd_alarm_type */
} etcd_alarm_member;

typedef struct etcd_alarm_response {
    etcd_response_header header; /**< all zero after etcd_alarm_disarm() of all, and from servers 3.4 */
    const etcd_alarm_member *alarms;
    size_t n_alarms;
} etcd_alarm_response;

typedef struct etcd_defragment_response {
    etcd_response_header header;
} etcd_defragment_response;

typedef struct etcd_downgrade_info {
    bool enabled;
    etcd_bytes target_version;
} etcd_downgrade_info;

/** Fields that a server does not know yet are empty. */
typedef struct etcd_status_response {
    etcd_response_header header;
    etcd_bytes version; /**< of the server, "3.6.4" */
    int64_t db_size;    /**< bytes that the database has in its file */
    uint64_t leader;    /**< id of the leader as this member sees it; 0: none */
    uint64_t raft_index;
    uint64_t raft_term;
    uint64_t raft_applied_index;
    const etcd_bytes *errors; /**< such as alarms, or no leader */
    size_t n_errors;
    int64_t db_size_in_use; /**< bytes of db_size that a defragmentation would leave */
    bool is_learner;
    etcd_bytes storage_version; /**< may be behind `version` for a while. Servers 3.6 and later, as the following */
    int64_t db_size_quota;      /**< bytes */
    const etcd_downgrade_info *downgrade_info; /**< NULL when the server said nothing of it */
} etcd_status_response;

typedef struct etcd_hash_response {
    etcd_response_header header;
    uint32_t hash;
} etcd_hash_response;

typedef struct etcd_hash_kv_response {
    etcd_response_header header;
    uint32_t hash;
    int64_t compact_revision;
    int64_t hash_revision; /**< servers 3.6 and later: up to which revision the hash goes */
} etcd_hash_kv_response;

typedef struct etcd_move_leader_response {
    etcd_response_header header; /**< all zero: servers send none */
} etcd_move_leader_response;

typedef struct etcd_downgrade_response {
    etcd_response_header header;
    etcd_bytes version; /**< the cluster's present version */
} etcd_downgrade_response;

/** Callbacks: exactly once, never from within the starting call. `response` is the callee's to free, NULL after
 *  an error; `err` is NULL after a success and valid during the callback. */
typedef void (*etcd_alarm_list_fn)(etcd_client *client, etcd_alarm_response *response, const etcd_error *err, void *arg);
typedef void (*etcd_alarm_disarm_fn)(etcd_client *client, etcd_alarm_response *response, const etcd_error *err, void *arg);
typedef void (*etcd_defragment_fn)(etcd_client *client, etcd_defragment_response *response, const etcd_error *err, void *arg);
typedef void (*etcd_status_fn)(etcd_client *client, etcd_status_response *response, const etcd_error *err, void *arg);
typedef void (*etcd_hash_fn)(etcd_client *client, etcd_hash_response *response, const etcd_error *err, void *arg);
typedef void (*etcd_hash_kv_fn)(etcd_client *client, etcd_hash_kv_response *response, const etcd_error *err, void *arg);
typedef void (*etcd_move_leader_fn)(etcd_client *client, etcd_move_leader_response *response, const etcd_error *err, void *arg);
typedef void (*etcd_downgrade_fn)(etcd_client *client, etcd_downgrade_response *response, const etcd_error *err, void *arg);

/** Lists the alarms of all members. Repeated on a lost connection within the deadline. Since 0.1. */
ETCD_EXPORT int etcd_alarm_list(etcd_client *client, const etcd_call_options *call, etcd_alarm_response **out, etcd_error *err);
ETCD_EXPORT int etcd_alarm_list_async(etcd_client *client, const etcd_call_options *call, etcd_alarm_list_fn done, void *arg,
                                      etcd_call_id *id, etcd_error *err);

/** Takes an alarm back: that of a member and of a kind, of etcd_alarm_type, or with `member_id` 0 and
 *  ETCD_ALARM_NONE all of them, which is one call that lists the alarms and then disarms one after the other. The
 *  response has those that were disarmed: none is a success.
 *
 *  Sent at most once. With ETCD_ERROR_MAYBE_APPLIED in the error some may be disarmed. ETCD_ERR_ARGUMENT for a
 *  member without a kind or a kind without a member. Since 0.1. */
ETCD_EXPORT int etcd_alarm_disarm(etcd_client *client, uint64_t member_id, int32_t alarm, const etcd_call_options *call,
                                  etcd_alarm_response **out, etcd_error *err);
ETCD_EXPORT int etcd_alarm_disarm_async(etcd_client *client, uint64_t member_id, int32_t alarm, const etcd_call_options *call,
                                        etcd_alarm_disarm_fn done, void *arg, etcd_call_id *id, etcd_error *err);

/** Gives the space that a member's database does not use back to the file system. The member answers nobody
 *  meanwhile: do one after the other, and give a timeout that fits the size. Sent at most once. Since 0.1. */
ETCD_EXPORT int etcd_defragment(etcd_client *client, const char *endpoint, const etcd_call_options *call,
                                etcd_defragment_response **out, etcd_error *err);
ETCD_EXPORT int etcd_defragment_async(etcd_client *client, const char *endpoint, const etcd_call_options *call,
                                      etcd_defragment_fn done, void *arg, etcd_call_id *id, etcd_error *err);

/** Asks a member how it is. Answered also without a leader. Repeated on a lost connection within the deadline.
 *  Since 0.1. */
ETCD_EXPORT int etcd_status(etcd_client *client, const char *endpoint, const etcd_call_options *call, etcd_status_response **out,
                            etcd_error *err);
ETCD_EXPORT int etcd_status_async(etcd_client *client, const char *endpoint, const etcd_call_options *call, etcd_status_fn done,
                                  void *arg, etcd_call_id *id, etcd_error *err);

/** Hash of a member's key space up to `revision` (0: its newest). At the same revision and compact_revision all
 *  members have the same one, or one is corrupt. ETCD_ERR_COMPACTED, ETCD_ERR_FUTURE_REV. Repeated on a lost
 *  connection within the deadline. Since 0.1. */
ETCD_EXPORT int etcd_hash_kv(etcd_client *client, const char *endpoint, int64_t revision, const etcd_call_options *call,
                             etcd_hash_kv_response **out, etcd_error *err);
ETCD_EXPORT int etcd_hash_kv_async(etcd_client *client, const char *endpoint, int64_t revision, const etcd_call_options *call,
                                   etcd_hash_kv_fn done, void *arg, etcd_call_id *id, etcd_error *err);

/** Hash of a member's whole database, its bookkeeping included: differs from member to member while they work. For
 *  tests of etcd; prefer etcd_hash_kv(). Repeated on a lost connection within the deadline. Since 0.1. */
ETCD_EXPORT int etcd_hash(etcd_client *client, const char *endpoint, const etcd_call_options *call, etcd_hash_response **out,
                          etcd_error *err);
ETCD_EXPORT int etcd_hash_async(etcd_client *client, const char *endpoint, const etcd_call_options *call, etcd_hash_fn done,
                                void *arg, etcd_call_id *id, etcd_error *err);

/** Hands the leadership to a member. Only the leader does that: ETCD_ERR_NOT_LEADER from others, so send it there
 *  with the `endpoint` of `call`. ETCD_ERR_BAD_LEADER_TRANSFEREE for a `member_id` that cannot lead. Sent at most
 *  once. Since 0.1. */
ETCD_EXPORT int etcd_move_leader(etcd_client *client, uint64_t member_id, const etcd_call_options *call,
                                 etcd_move_leader_response **out, etcd_error *err);
ETCD_EXPORT int etcd_move_leader_async(etcd_client *client, uint64_t member_id, const etcd_call_options *call,
                                       etcd_move_leader_fn done, void *arg, etcd_call_id *id, etcd_error *err);

/** Asks whether the cluster can be downgraded to a version, "3.5.0", lets it, or takes that back. `action` is of
 *  etcd_downgrade_action; `version` may be NULL for ETCD_DOWNGRADE_CANCEL.
 *
 *  ETCD_ERR_ARGUMENT for another action; ETCD_ERR_WRONG_DOWNGRADE_VERSION_FORMAT,
 *  ETCD_ERR_INVALID_DOWNGRADE_TARGET_VERSION, ETCD_ERR_DOWNGRADE_IN_PROCESS; ETCD_ERR_NO_INFLIGHT_DOWNGRADE from
 *  servers 3.5, where later ones find nothing wrong. Sent at most once but for ETCD_DOWNGRADE_VALIDATE.
 *
 *  Servers 3.5 and later; older ones answer ETCD_ERR_UNIMPLEMENTED. Servers 3.5 do what they are told but forget to
 *  answer: ETCD_ERR_TIMEOUT with ETCD_ERROR_MAYBE_APPLIED. Since 0.1. */
ETCD_EXPORT int etcd_downgrade(etcd_client *client, int32_t action, const char *version, const etcd_call_options *call,
                               etcd_downgrade_response **out, etcd_error *err);
ETCD_EXPORT int etcd_downgrade_async(etcd_client *client, int32_t action, const char *version, const etcd_call_options *call,
                                     etcd_downgrade_fn done, void *arg, etcd_call_id *id, etcd_error *err);

#ifdef __cplusplus
}
#endif

#endif
