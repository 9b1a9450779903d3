/* Finding the leader, for channels that send what needs it there first: one hop less.
 *
 * Every peer that becomes ready is asked for its Status, which tells its own member id and who leads; one of them is
 * asked again every few seconds, and at once when an answer hints at a change. Only a preference follows from it: a
 * wrong guess costs a hop. */
#ifndef ETCD__CHANNEL_LEADER_H
#define ETCD__CHANNEL_LEADER_H

#include "channel/peers.h"

typedef struct etcd__leader etcd__leader;
struct etcd__channel;

/** ETCD_ERR_NO_MEMORY. */
int etcd__leader_new(struct etcd__channel *channel, etcd__loop *loop, etcd__peers *peers, etcd__leader **out, etcd_error *err);

/** The calls that were under way must have ended. NULL is allowed. */
void etcd__leader_free(etcd__leader *leader);

/** Asks as soon as possible: a connection came or went, or an answer said that the leader changed. */
void etcd__leader_refresh(etcd__leader *leader);

/** No more questions: the channel closes. */
void etcd__leader_stop(etcd__leader *leader);

#endif
