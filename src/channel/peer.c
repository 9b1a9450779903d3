/* See peer.h. */
#include "channel/peer.h"

#include "base/clock.h"
#include "base/error.h"

#include <stdio.h>

#define BACKOFF_MULTIPLIER 1.6
#define BACKOFF_JITTER 0.2

/* The wait after `failures` attempts in a row have failed. */
static int64_t backoff(etcd__peer *peer)
{
    double wait = (double)peer->config->backoff_base;

    for (int i = 1; i < peer->failures && wait < (double)peer->config->backoff_max; i++)
        wait *= BACKOFF_MULTIPLIER;
    if (wait > (double)peer->config->backoff_max)
        wait = (double)peer->config->backoff_max;
    return etcd__random_jitter(peer->random, (int64_t)wait, BACKOFF_JITTER);
}

static void connect_later(etcd__peer *peer)
{
    int64_t wait = backoff(peer);

    etcd__log_write(peer->log, ETCD__LOG_WARN, "%s: %s; next attempt in %lld ms", peer->endpoint.text,
                    peer->last_error.message, (long long)(wait / ETCD__MS));
    etcd__loop_timer_start(peer->loop, &peer->retry, etcd__clock_after(etcd__loop_now(peer->loop), wait));
}

static void on_ready(void *arg, etcd__connection *connection)
{
    etcd__peer *peer = arg;

    (void)connection;
    etcd__log_write(peer->log, ETCD__LOG_INFO, "%s: connected", peer->endpoint.text);
    peer->on_usable(peer->arg);
}

static void on_slots(void *arg, etcd__connection *connection)
{
    etcd__peer *peer = arg;

    (void)connection;
    peer->on_usable(peer->arg);
}

static void on_draining(void *arg, etcd__connection *connection)
{
    etcd__peer *peer = arg;

    peer->connection = NULL;
    etcd__list_push_back(&peer->draining, &connection->node);
    peer->failures = connection->answered ? 0 : peer->failures + 1;
    etcd__error_set(&peer->last_error, ETCD_ERR_CONNECTION, "%s", connection->goaway);
    if (peer->failures == 0)
        etcd__peer_connect(peer);
    else
        connect_later(peer);
}

static void on_gone(void *arg, etcd__connection *connection, const etcd_error *why)
{
    etcd__peer *peer = arg;
    bool was_current = connection == peer->connection;
    bool was_good = connection->answered;

    etcd__list_remove(&connection->node);
    etcd__connection_free(connection, false);
    if (!was_current)
        return;
    peer->connection = NULL;
    peer->last_error = *why;
    peer->failures = was_good ? 0 : peer->failures + 1;
    if (peer->failures == 0)
        etcd__peer_connect(peer);
    else
        connect_later(peer);
}

static const etcd__connection_events events = {on_ready, on_slots, on_draining, on_gone};

static void on_retry(void *arg)
{
    etcd__peer_connect(arg);
}

void etcd__peer_init(etcd__peer *peer, etcd__endpoint *endpoint, etcd__loop *loop, const etcd__peer_config *config,
                     const etcd__log *log, etcd__random *random, void (*on_usable)(void *arg), void *arg)
{
    peer->endpoint = *endpoint;
    *endpoint = (etcd__endpoint){0};
    peer->loop = loop;
    peer->config = config;
    peer->log = log;
    peer->random = random;
    peer->on_usable = on_usable;
    peer->arg = arg;
    peer->retry.fn = on_retry;
    peer->retry.arg = peer;
    etcd__list_init(&peer->draining);
    etcd__error_clear(&peer->last_error);
}

void etcd__peer_connect(etcd__peer *peer)
{
    if (peer->connection != NULL || peer->retry.node.linked)
        return;
    if (etcd__connection_open(peer->loop, &peer->endpoint, peer->config->connect_timeout, peer->log, &events, peer,
                              &peer->connection, &peer->last_error) < 0) {
        peer->failures++;
        connect_later(peer);
    }
}

bool etcd__peer_usable(const etcd__peer *peer)
{
    return peer->connection != NULL && peer->connection->state == ETCD__CONNECTION_READY &&
           etcd__h2_stream_slots(peer->connection->h2) > 0;
}

void etcd__peer_close(etcd__peer *peer, bool politely)
{
    etcd__list *node;

    if (peer->loop == NULL)
        return;
    etcd__loop_timer_stop(peer->loop, &peer->retry);
    etcd__connection_free(peer->connection, politely);
    peer->connection = NULL;
    while ((node = etcd__list_pop_front(&peer->draining)) != NULL)
        etcd__connection_free(ETCD__CONTAINER_OF(node, etcd__connection, node), false);
}

void etcd__peer_deinit(etcd__peer *peer)
{
    etcd__peer_close(peer, false);
    etcd__endpoint_free(&peer->endpoint);
}
