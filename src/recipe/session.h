/* Sessions, for what hangs on them: the lines of mutexes and elections. */
#ifndef ETCD__RECIPE_SESSION_H
#define ETCD__RECIPE_SESSION_H

#include "base/list.h"
#include "recipe/gate.h"

#include <etcd3/session.h>
#include <stdatomic.h>

struct etcd_session {
    etcd__gate gate;
    /* constant once the program has it */
    int64_t lease, ttl_s;
    int64_t sent; /* boot clock: when the lease was asked for */
    etcd_session_lost_fn lost_fn;
    void *lost_arg;
    etcd_keepalive *keepalive;
    /* any thread */
    atomic_bool ended; /* by loss, or by the program */
    /* under the lock */
    unsigned refs; /* the handle, its keepalive, lines, calls under way */
    bool kept;     /* the keepalive has one: its end is to come */
    etcd_error reason;
    bool revoked;
    bool orphaned;
    etcd__callbacks callbacks;
    etcd__beacon beacon;
    etcd__list waiters; /* etcd__waiter: to be told of the end */
};

/** Whoever does not want to outwait the session: its call is canceled at the end. */
typedef struct etcd__waiter {
    etcd__list node;
    etcd_call_id call;
    bool session_ended; /* that was why */
} etcd__waiter;

void etcd__session_ref(etcd_session *session);
void etcd__session_unref(etcd_session *session);

/** ETCD_ERR_SESSION_EXPIRED with the reason; `noun` begins the message. Lock not held. */
int etcd__session_expired(etcd_session *session, const char *noun, etcd_error *err);

#endif
