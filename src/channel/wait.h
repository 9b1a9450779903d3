/* Why a call has no answer yet, in words: what the error of a deadline or a cancel tells (the contract, section 6.8). */
#ifndef ETCD__CHANNEL_WAIT_H
#define ETCD__CHANNEL_WAIT_H

#include "channel/call.h"
#include "channel/peers.h"

/** What the transport was doing for this call. `needs_token`: it has to wait for one. */
void etcd__describe_wait(const etcd__call *call, const etcd__peers *peers, bool needs_token, char *text, size_t size);

#endif
