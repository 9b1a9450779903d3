/* What a client has for its leases: the state machine (service/keepalive_core.h) with its stream, its timer, and whoever has
 * something to hear. An attachment; the driver only.
 *
 * Users are of two kinds: handles (service/keepalive.c), and calls that renew a lease once (service/keepalive_once.c). */
#ifndef ETCD__SERVICE_KEEPALIVE_HUB_H
#define ETCD__SERVICE_KEEPALIVE_HUB_H

#include "client/client.h"
#include "service/keepalive_core.h"

typedef struct etcd__keepalive_hub {
    etcd__attachment attachment;
    etcd_client *client;
    etcd__keepalive_core core;
    etcd__call call;
    bool abandoned; /* the stream's end is known already */
    bool closed;
    uint8_t batch[4096]; /* requests on their way to the stream */
    size_t batch_len;
    bool batch_failed; /* the stream did not take all */
    etcd__task work;
    etcd__timer timer;
    etcd__list calls; /* of keepalive_once.c, that have not ended */
    etcd__list ready; /* handles whose callback has something to hear */
    etcd__task dispatch;
} etcd__keepalive_hub;

/** The client's hub; NULL when it has none yet, or none can be made for want of memory. */
etcd__keepalive_hub *etcd__keepalive_hub_find(etcd_client *client);
etcd__keepalive_hub *etcd__keepalive_hub_make(etcd_client *client);

/** The core has changed: it does what is due, later in this turn. */
void etcd__keepalive_hub_touch(etcd__keepalive_hub *hub);

/* service/keepalive.c: what the core tells a handle, and its callbacks */
void etcd__keepalive_handle_held(etcd__keepalive_user *user, int64_t deadline);
void etcd__keepalive_handle_answer(etcd__keepalive_user *user, const etcd_keepalive_response *answer);
void etcd__keepalive_handle_end(etcd__keepalive_user *user, const etcd_error *why);

/** Tells some handles of `ready`. They may close the client. */
void etcd__keepalive_handles_tell(etcd__keepalive_hub *hub);

/* service/keepalive_once.c */
void etcd__keepalive_once_answer(etcd__keepalive_hub *hub, etcd__keepalive_user *user, const etcd_keepalive_response *answer);
void etcd__keepalive_once_end(etcd__keepalive_hub *hub, etcd__keepalive_user *user, const etcd_error *why);

/** Ends all calls with ETCD_ERR_CLOSED. */
void etcd__keepalive_once_close(etcd__keepalive_hub *hub);

/** Frees what calls have here, without a word to them: in a child after fork(). */
void etcd__keepalive_once_forget(etcd__keepalive_hub *hub);

#endif
