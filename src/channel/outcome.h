/* Judging how an attempt ended: the error that the user sees, and whether the call may be sent again (P1, P2).
 *
 * Pure functions. The policy is that of the Go client (the contract, section 1.5) but where a write could be sent
 * twice. */
#ifndef ETCD__CHANNEL_OUTCOME_H
#define ETCD__CHANNEL_OUTCOME_H

#include "grpc/call.h"

#include <etcd3/error.h>
#include <stdbool.h>

typedef enum etcd__verdict {
    ETCD__VERDICT_FAIL,      /* the call ends with this error */
    ETCD__VERDICT_RESEND,    /* the server never saw it: any call may be sent again */
    ETCD__VERDICT_REPEAT,    /* it may have been seen, but the call changes nothing and the failure may pass */
    ETCD__VERDICT_OTHER_PEER /* this member cannot serve it (a learner), another can */
} etcd__verdict;

/** What to do after an attempt ended with a status other than OK, and the error of the call if it ends here. `late`: its
 *  deadline has passed. `err` must not be NULL. */
etcd__verdict etcd__outcome_judge(const etcd__grpc_status *status, bool read_only, bool late, etcd_error *err);

/** Whether another stream is worth trying after one that ended so. */
bool etcd__outcome_stream_again(const etcd__grpc_status *status);

/** Whether an error says that this member cannot serve for now, and others may. */
bool etcd__outcome_blames_peer(int code);

#endif
