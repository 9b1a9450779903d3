/* Errors of libetcd3: one table of codes, and a caller-owned record that says what happened in words.
 *
 * Every function that can fail returns ETCD_OK (0) or one of the negative codes below, and fills the `etcd_error`
 * that the caller passed (NULL when not interested). Three families share the number space:
 *
 * - from -1 to -99: found by this library
 * - from -101 to -116: a gRPC status without a more specific meaning; the gRPC code is -(code + 100)
 * - from -201 to -299: an error of the etcd server, recognised by its message as the Go client does (rpctypes)
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ETCD3_ERROR_H
#define ETCD3_ERROR_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define ETCD_OK 0

/** Local errors: X(NAME, number, text). */
#define ETCD_LOCAL_ERRORS(X) \
    X(ARGUMENT, -1, "invalid argument") \
    X(NO_MEMORY, -2, "out of memory") \
    X(CLOSED, -3, "the client is closed") \
    X(FORKED, -4, "the handle belongs to the process before fork()") \
    X(IN_CALLBACK, -5, "a blocking call inside a callback would wait for itself") \
    X(NO_ENDPOINTS, -6, "etcdclient: no available endpoints") \
    X(TOO_LARGE, -7, "the message is larger than the limit") \
    X(PROTOCOL, -8, "the peer broke the protocol") \
    X(SYSTEM, -9, "a system call failed") \
    X(CONNECTION, -10, "the connection failed") \
    X(UNSUPPORTED, -11, "not supported") \
    X(TIMED_OUT, -12, "nothing arrived in time") \
    X(CALL_NOT_FOUND, -13, "no such call is in flight") \
    X(OLD_CLUSTER, -14, "etcdclient: old cluster version") \
    X(WATCH_ROLLED_BACK, -15, "the cluster's revision went backwards") \
    X(LEASE_EXPIRED, -16, "the lease may have expired: no answer came in time") \
    X(SNAPSHOT_CORRUPT, -17, "the snapshot does not match its checksum") \
    X(LOCKED, -18, "mutex: Locked by another session") \
    X(SESSION_EXPIRED, -19, "mutex: session is expired") \
    X(LOCK_RELEASED, -20, "mutex: lock has already been released") \
    X(ELECTION_NOT_LEADER, -21, "election: not leader") \
    X(ELECTION_NO_LEADER, -22, "election: no leader") \
    X(STM_CONFLICT, -23, "stm: others have changed what was read, attempt after attempt") \
    X(STM_AGAIN, -24, "stm: the value is being read: return, the function is called again")

/** gRPC status codes: X(NAME, number, gRPC code, text). */
#define ETCD_GRPC_ERRORS(X) \
    X(CANCELED, -101, 1, "context canceled") \
    X(UNKNOWN, -102, 2, "unknown error") \
    X(INVALID_ARGUMENT, -103, 3, "the server refused an argument") \
    X(DEADLINE_EXCEEDED, -104, 4, "context deadline exceeded") \
    X(NOT_FOUND, -105, 5, "not found") \
    X(ALREADY_EXISTS, -106, 6, "already exists") \
    X(GRPC_PERMISSION_DENIED, -107, 7, "permission denied") \
    X(RESOURCE_EXHAUSTED, -108, 8, "resource exhausted") \
    X(FAILED_PRECONDITION, -109, 9, "failed precondition") \
    X(ABORTED, -110, 10, "aborted") \
    X(OUT_OF_RANGE, -111, 11, "out of range") \
    X(UNIMPLEMENTED, -112, 12, "not implemented by the server") \
    X(INTERNAL, -113, 13, "internal error") \
    X(UNAVAILABLE, -114, 14, "unavailable") \
    X(DATA_LOSS, -115, 15, "data loss") \
    X(UNAUTHENTICATED, -116, 16, "unauthenticated")

/** Errors of the etcd server: X(NAME, number, gRPC code, message as the server sends it). */
#define ETCD_SERVER_ERRORS(X) \
    X(EMPTY_KEY, -201, 3, "etcdserver: key is not provided") \
    X(KEY_NOT_FOUND, -202, 3, "etcdserver: key not found") \
    X(VALUE_PROVIDED, -203, 3, "etcdserver: value is provided") \
    X(LEASE_PROVIDED, -204, 3, "etcdserver: lease is provided") \
    X(TOO_MANY_OPS, -205, 3, "etcdserver: too many operations in txn request") \
    X(DUPLICATE_KEY, -206, 3, "etcdserver: duplicate key given in txn request") \
    X(INVALID_CLIENT_API_VERSION, -207, 3, "etcdserver: invalid client api version") \
    X(INVALID_SORT_OPTION, -208, 3, "etcdserver: invalid sort option") \
    X(COMPACTED, -209, 11, "etcdserver: mvcc: required revision has been compacted") \
    X(FUTURE_REV, -210, 11, "etcdserver: mvcc: required revision is a future revision") \
    X(NO_SPACE, -211, 8, "etcdserver: mvcc: database space exceeded") \
    X(LEASE_NOT_FOUND, -212, 5, "etcdserver: requested lease not found") \
    X(LEASE_EXIST, -213, 9, "etcdserver: lease already exists") \
    X(LEASE_TTL_TOO_LARGE, -214, 11, "etcdserver: too large lease TTL") \
    X(WATCH_CANCELED, -215, 1, "etcdserver: watch canceled") \
    X(MEMBER_EXIST, -216, 9, "etcdserver: member ID already exist") \
    X(PEER_URL_EXIST, -217, 9, "etcdserver: Peer URLs already exists") \
    X(MEMBER_NOT_ENOUGH_STARTED, -218, 9, "etcdserver: re-configuration failed due to not enough started members") \
    X(MEMBER_BAD_URLS, -219, 3, "etcdserver: given member URLs are invalid") \
    X(MEMBER_NOT_FOUND, -220, 5, "etcdserver: member not found") \
    X(MEMBER_NOT_LEARNER, -221, 9, "etcdserver: can only promote a learner member") \
    X(LEARNER_NOT_READY, -222, 9, "etcdserver: can only promote a learner member which is in sync with leader") \
    X(TOO_MANY_LEARNERS, -223, 9, "etcdserver: too many learner members in cluster") \
    X(CLUSTER_ID_MISMATCH, -224, 9, "etcdserver: cluster ID mismatch") \
    X(REQUEST_TOO_LARGE, -225, 3, "etcdserver: request is too large") \
    X(TOO_MANY_REQUESTS, -226, 8, "etcdserver: too many requests") \
    X(ROOT_USER_NOT_EXIST, -227, 9, "etcdserver: root user does not exist") \
    X(ROOT_ROLE_NOT_EXIST, -228, 9, "etcdserver: root user does not have root role") \
    X(USER_ALREADY_EXIST, -229, 9, "etcdserver: user name already exists") \
    X(USER_EMPTY, -230, 3, "etcdserver: user name is empty") \
    X(USER_NOT_FOUND, -231, 9, "etcdserver: user name not found") \
    X(ROLE_ALREADY_EXIST, -232, 9, "etcdserver: role name already exists") \
    X(ROLE_NOT_FOUND, -233, 9, "etcdserver: role name not found") \
    X(ROLE_EMPTY, -234, 3, "etcdserver: role name is empty") \
    X(AUTH_FAILED, -235, 3, "etcdserver: authentication failed, invalid user ID or password") \
    X(PERMISSION_NOT_GIVEN, -236, 3, "etcdserver: permission not given") \
    X(PERMISSION_DENIED, -237, 7, "etcdserver: permission denied") \
    X(ROLE_NOT_GRANTED, -238, 9, "etcdserver: role is not granted to the user") \
    X(PERMISSION_NOT_GRANTED, -239, 9, "etcdserver: permission is not granted to the role") \
    X(AUTH_NOT_ENABLED, -240, 9, "etcdserver: authentication is not enabled") \
    X(INVALID_AUTH_TOKEN, -241, 16, "etcdserver: invalid auth token") \
    X(INVALID_AUTH_MGMT, -242, 3, "etcdserver: invalid auth management") \
    X(AUTH_OLD_REVISION, -243, 3, "etcdserver: revision of auth store is old") \
    X(NO_LEADER, -244, 14, "etcdserver: no leader") \
    X(NOT_LEADER, -245, 9, "etcdserver: not leader") \
    X(LEADER_CHANGED, -246, 14, "etcdserver: leader changed") \
    X(NOT_CAPABLE, -247, 9, "etcdserver: not capable") \
    X(STOPPED, -248, 14, "etcdserver: server stopped") \
    X(TIMEOUT, -249, 14, "etcdserver: request timed out") \
    X(TIMEOUT_DUE_TO_LEADER_FAIL, -250, 14, "etcdserver: request timed out, possibly due to previous leader failure") \
    X(TIMEOUT_DUE_TO_CONNECTION_LOST, -251, 14, "etcdserver: request timed out, possibly due to connection lost") \
    X(TIMEOUT_WAIT_APPLIED_INDEX, -252, 14, "etcdserver: request timed out, waiting for the applied index took too long") \
    X(UNHEALTHY, -253, 14, "etcdserver: unhealthy cluster") \
    X(CORRUPT, -254, 15, "etcdserver: corrupt cluster") \
    X(NOT_SUPPORTED_FOR_LEARNER, -255, 9, "etcdserver: rpc not supported for learner") \
    X(BAD_LEADER_TRANSFEREE, -256, 9, "etcdserver: bad leader transferee") \
    X(WRONG_DOWNGRADE_VERSION_FORMAT, -257, 3, "etcdserver: wrong downgrade target version format") \
    X(INVALID_DOWNGRADE_TARGET_VERSION, -258, 3, "etcdserver: invalid downgrade target version") \
    X(CLUSTER_VERSION_UNAVAILABLE, -259, 9, "etcdserver: cluster version not found during downgrade") \
    X(DOWNGRADE_IN_PROCESS, -260, 9, "etcdserver: cluster has a downgrade job in progress") \
    X(NO_INFLIGHT_DOWNGRADE, -261, 9, "etcdserver: no inflight downgrade job") \
    X(SERVER_CANCELED, -262, 1, "etcdserver: request canceled") \
    X(SERVER_DEADLINE_EXCEEDED, -263, 4, "etcdserver: context deadline exceeded")

/** Every code: ETCD_ERR_<NAME>. */
enum etcd_error_code {
#define ETCD_ERROR_LOCAL_(name, number, text) ETCD_ERR_##name = number,
#define ETCD_ERROR_REMOTE_(name, number, grpc, text) ETCD_ERR_##name = number,
    ETCD_LOCAL_ERRORS(ETCD_ERROR_LOCAL_) ETCD_GRPC_ERRORS(ETCD_ERROR_REMOTE_) ETCD_SERVER_ERRORS(ETCD_ERROR_REMOTE_)
#undef ETCD_ERROR_LOCAL_
#undef ETCD_ERROR_REMOTE_
};

/** Bits of etcd_error.flags: what a program needs to know to go on. */
enum etcd_error_flag {
    ETCD_ERROR_RETRYABLE = 1,    /**< the same call may succeed later, without any change by the program */
    ETCD_ERROR_MAYBE_APPLIED = 2 /**< a write whose outcome is unknown: read before writing again. Without this flag a failed
                                      write was definitely not done. */
};

#define ETCD_ERROR_ENDPOINT_MAX 128
#define ETCD_ERROR_MESSAGE_MAX 512

/** What went wrong. Filled when a call fails; `code` is 0 and `message` empty after a call that succeeded. */
typedef struct etcd_error {
    int32_t code;                           /**< as returned, an ETCD_ERR_ value */
    int32_t grpc_code;                      /**< the gRPC status code that a peer sent, or that the way in which it ended the call
                                                 stands for; -1: none */
    uint32_t flags;                         /**< of etcd_error_flag */
    char endpoint[ETCD_ERROR_ENDPOINT_MAX]; /**< the endpoint that the last attempt used, as given; "" when none was */
    char message[ETCD_ERROR_MESSAGE_MAX];   /**< for people; cut, never unterminated, when it is longer */
} etcd_error;

/** The name of a code, "ETCD_ERR_COMPACTED"; "ETCD_OK" for 0, "ETCD_ERR_?" for a number that is none.
 *  Static storage; any thread. Since 0.1. */
ETCD_EXPORT const char *etcd_error_name(int code);

/** The general text of a code, for programs that kept no etcd_error. Static storage; any thread. Since 0.1. */
ETCD_EXPORT const char *etcd_error_text(int code);

#ifdef __cplusplus
}
#endif

#endif
