/* The peers of a channel: those of its endpoint list, guests for calls that name another endpoint, and retired ones
 * on their way out. */
#ifndef ETCD__CHANNEL_PEERS_H
#define ETCD__CHANNEL_PEERS_H

#include "channel/peer.h"

#include <etcd3/tls.h>

typedef struct etcd__peers {
    etcd__peer **items; /* of the endpoint list, in its order */
    size_t n;

    /* private */
    etcd__loop *loop;
    const etcd__peer_config *config;
    etcd__random *random;
    void (*on_usable)(void *arg);
    void (*on_state)(void *arg);
    void (*on_suspect)(void *arg, etcd__peer *peer);
    void *arg;
    size_t next;        /* round robin */
    etcd__peer *leader; /* of the items: where writes go first; NULL when unknown or not wanted */
    etcd__list guests;
    etcd__list retiring;
    int64_t guest_idle; /* ns for which a guest without calls is kept */
    etcd__timer guest_timer;
    struct etcd__tls *tls; /* made when it is first needed */
} etcd__peers;

/** Prepares a cleared struct. `on_usable`: a stream can be opened on some peer; `on_state`: some connection's state
 *  changed. */
void etcd__peers_init(etcd__peers *peers, etcd__loop *loop, const etcd__peer_config *config, etcd__random *random,
                      void (*on_usable)(void *arg), void (*on_state)(void *arg), void (*on_suspect)(void *arg, etcd__peer *peer),
                      void *arg);

/** What TLS is to use, before the first endpoint; NULL: its defaults, and none where an endpoint leaves it open.
 *  Errors of etcd__tls_new(). */
int etcd__peers_use_tls(etcd__peers *peers, const etcd_tls_options *options, etcd_error *err);

/** Replaces the endpoint list ("a,b,c"): new ones start to connect, those that stay keep their connections, the
 *  others retire. After an error the list is as it was. ETCD_ERR_NO_ENDPOINTS, ETCD_ERR_ARGUMENT,
 *  ETCD_ERR_UNSUPPORTED, ETCD_ERR_NO_MEMORY. */
int etcd__peers_set(etcd__peers *peers, const char *endpoints, etcd_error *err);

/** The peer for the next call, NULL when none is usable: round robin over the healthy ones, or over all when none is
 *  healthy. With `leader_first` the leader where it is known and healthy. */
etcd__peer *etcd__peers_pick(etcd__peers *peers, bool leader_first);

/** The peer of that endpoint, for calls that name one: of the list, or a guest that is made now. Count the call with
 *  `users++`; then etcd__peers_release(). Errors as etcd__peers_set(). */
int etcd__peers_find(etcd__peers *peers, const char *endpoint, etcd__peer **out, etcd_error *err);
void etcd__peers_release(etcd__peers *peers, etcd__peer *peer);

/** Closes and frees all peers. */
void etcd__peers_close(etcd__peers *peers, bool politely);

#endif
