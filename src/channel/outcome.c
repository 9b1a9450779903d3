/* See outcome.h.
 *
 * GO-DIFF: the Go client repeats any call, also a Put, when its status is Canceled or DeadlineExceeded while the
 * caller's own context lives. Those come from the server's side of a connection or from a proxy and say nothing of
 * whether the write was done: here only calls that change nothing are repeated. */
#include "channel/outcome.h"

#include "base/error.h"

#include <string.h>

enum {
    GRPC_CANCELED = 1,
    GRPC_UNKNOWN = 2,
    GRPC_DEADLINE = 4,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_ABORTED = 10,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14,
    GRPC_DATA_LOSS = 15,
    GRPC_UNAUTHENTICATED = 16
};

/* Whether a status proves that a write was not done: the server refused it before it was proposed. All of
 * Unavailable, and codes that a handler may end with halfway, prove nothing; but "no leader" comes from the
 * interceptor, before the handler, and "unhealthy cluster" is why a change of the members is not even proposed. */
static bool refused_before_execution(const etcd__grpc_status *status, int code)
{
    if (status->unprocessed)
        return true;
    if (status->out_of_memory) /* the words are lost, so it is not known which of the server's errors it was */
        return false;
    if (code == ETCD_ERR_NO_LEADER || code == ETCD_ERR_UNHEALTHY)
        return true;
    if (status->origin == ETCD__GRPC_FROM_HTTP) /* 401, 403, 404: not forwarded to a handler */
        return status->code == 7 || status->code == 12 || status->code == 16;
    if (status->origin != ETCD__GRPC_FROM_SERVER)
        return false;
    switch (status->code) {
    case GRPC_CANCELED:
    case GRPC_DEADLINE:
    case GRPC_ABORTED:
    case GRPC_INTERNAL:
    case GRPC_UNAVAILABLE:
    case GRPC_DATA_LOSS:
        return false;
    case GRPC_UNKNOWN: /* two of the server's own errors arrive with this code: see the contract, section 2 */
        return code == ETCD_ERR_TOO_MANY_REQUESTS || code == ETCD_ERR_MEMBER_NOT_ENOUGH_STARTED;
    case GRPC_RESOURCE_EXHAUSTED: /* the quota is checked again when a write is applied, which goes on all the same */
        return code != ETCD_ERR_NO_SPACE;
    default:
        return status->code <= GRPC_UNAUTHENTICATED;
    }
}

/* Failures that may pass by themselves. Canceled and DeadlineExceeded count: our own are never judged here. */
static bool may_pass(const etcd__grpc_status *status)
{
    if (status->too_large || status->origin == ETCD__GRPC_FROM_PEER_BUG)
        return false;
    return status->code == GRPC_UNAVAILABLE || status->code == GRPC_CANCELED || status->code == GRPC_DEADLINE;
}

/* A server resets (CANCEL) the stream of a call whose deadline has passed. On a busy machine that is seen before our own
 * timer; the cause is told then, as the Go client does. */
static int error_of_status(const etcd__grpc_status *status, bool late, etcd_error *err)
{
    const char *words = etcd_error_text(ETCD_ERR_DEADLINE_EXCEEDED);

    if (late && status->origin == ETCD__GRPC_FROM_RESET && status->code == GRPC_CANCELED)
        return etcd__error_from_status(err, GRPC_DEADLINE, words, strlen(words));
    return etcd__error_from_status(err, status->code, status->message, status->message_len);
}

etcd__verdict etcd__outcome_judge(const etcd__grpc_status *status, bool read_only, bool late, etcd_error *err)
{
    int code = error_of_status(status, late, err);

    if (status->too_large)
        err->code = code = ETCD_ERR_TOO_LARGE;
    else if (status->out_of_memory && status->origin == ETCD__GRPC_FROM_PEER_BUG)
        err->code = code = ETCD_ERR_NO_MEMORY;
    else if (status->origin == ETCD__GRPC_FROM_PEER_BUG)
        err->code = code = ETCD_ERR_PROTOCOL;
    if (may_pass(status) || status->unprocessed)
        err->flags |= ETCD_ERROR_RETRYABLE;
    if (!read_only && !refused_before_execution(status, code))
        err->flags |= ETCD_ERROR_MAYBE_APPLIED;
    if (code == ETCD_ERR_NOT_SUPPORTED_FOR_LEARNER)
        return ETCD__VERDICT_OTHER_PEER;
    if (status->unprocessed)
        return ETCD__VERDICT_RESEND;
    if (read_only && may_pass(status))
        return ETCD__VERDICT_REPEAT;
    return ETCD__VERDICT_FAIL;
}

/* A stream that is opened again tells the server anew what it wants, so that any end but a refusal may pass: as the Go
 * client has it (Unavailable and Internal), and what proxies end streams with. */
bool etcd__outcome_stream_again(const etcd__grpc_status *status)
{
    if (status->too_large || status->out_of_memory)
        return false;
    if (status->unprocessed || status->origin == ETCD__GRPC_FROM_CONNECTION)
        return true;
    switch (status->code) {
    case GRPC_CANCELED:
    case GRPC_DEADLINE:
    case GRPC_ABORTED:
    case GRPC_INTERNAL:
    case GRPC_UNAVAILABLE:
        return true;
    case GRPC_RESOURCE_EXHAUSTED:
        return status->origin == ETCD__GRPC_FROM_RESET; /* ENHANCE_YOUR_CALM */
    default:
        return false;
    }
}

bool etcd__outcome_blames_peer(int code)
{
    switch (code) {
    case ETCD_ERR_NO_LEADER:
    case ETCD_ERR_STOPPED:
    case ETCD_ERR_TIMEOUT:
    case ETCD_ERR_TIMEOUT_DUE_TO_LEADER_FAIL:
    case ETCD_ERR_TIMEOUT_DUE_TO_CONNECTION_LOST:
    case ETCD_ERR_TIMEOUT_WAIT_APPLIED_INDEX:
    case ETCD_ERR_UNHEALTHY:
    case ETCD_ERR_CORRUPT:
    case ETCD_ERR_NOT_SUPPORTED_FOR_LEARNER:
        return true;
    default:
        return false;
    }
}
