/* Keeping the list of endpoints in step with the cluster: asks for the members every now and then (the contract,
 * section 1.1). */
#ifndef ETCD__CHANNEL_SYNC_H
#define ETCD__CHANNEL_SYNC_H

#include "net/loop.h"
#include "wire/messages.h"

typedef struct etcd__sync etcd__sync;
struct etcd__channel;

/** Starts to ask every `interval` ns. ETCD_ERR_NO_MEMORY. */
int etcd__sync_new(struct etcd__channel *channel, etcd__loop *loop, int64_t interval, etcd__sync **out, etcd_error *err);

/** No more questions: the channel closes. */
void etcd__sync_stop(etcd__sync *sync);

/** The call that was under way must have ended. NULL is allowed. */
void etcd__sync_free(etcd__sync *sync);

/** The client URLs of all members that are started and no learners, as "a,b,c" in memory of etcd__malloc.
 *  ETCD_ERR_NO_ENDPOINTS when there are none. */
int etcd__sync_endpoints(const etcd_member_list_response *members, char **out, etcd_error *err);

#endif
