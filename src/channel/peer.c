/* See peer.h. */
#include "channel/peer.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"

#include <stdio.h>

#define BACKOFF_MULTIPLIER 1.6
#define BACKOFF_JITTER 0.2
#define AVOID_BASE ETCD__SECOND /* about an election timeout of etcd's defaults */
#define AVOID_MAX (16 * ETCD__SECOND)

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

    etcd__log_write(&peer->config->log, ETCD__LOG_WARN, "%s: %s; next attempt in %lld ms", peer->endpoint.text,
                    peer->last_error.message, (long long)(wait / ETCD__MS));
    etcd__loop_timer_start(peer->loop, &peer->retry, etcd__clock_after(etcd__clock_monotonic(), wait));
}

/* After a connection was lost: at once when it was good, else in a while. */
static void connect_again(etcd__peer *peer, bool was_good)
{
    peer->connection = NULL;
    if (peer->retired)
        return;
    peer->failures = was_good ? 0 : peer->failures + 1;
    if (was_good) {
        etcd__log_write(&peer->config->log, ETCD__LOG_INFO, "%s: %s; connecting again", peer->endpoint.text,
                        peer->last_error.message);
        etcd__peer_connect(peer);
    } else {
        connect_later(peer);
    }
    peer->events->on_state(peer->arg, peer);
}

static void drop_spare(etcd__peer *peer)
{
    etcd__connection_free(peer->spare, false);
    peer->spare = NULL;
}

/* The spare is ready. Returns whether it takes the other's place; else it ends. */
static bool replace_doubted(etcd__peer *peer)
{
    static const char because[] = "another connection was faster";
    etcd__connection *spare = peer->spare, *doubted = peer->connection;
    bool answers = doubted->last_read > peer->spare_at;

    peer->spare = NULL;
    if (!answers) {
        peer->connection = spare;
        peer->member_id = 0;
        etcd__error_set(&peer->last_error, ETCD_ERR_CONNECTION, "%s", because);
    }
    etcd__connection_drain(answers ? spare : doubted, because);
    etcd__list_push_back(&peer->draining, answers ? &spare->node : &doubted->node);
    return !answers;
}

static void on_ready(void *arg, etcd__connection *connection)
{
    etcd__peer *peer = arg;

    if (connection == peer->spare && !replace_doubted(peer))
        return;
    peer->stats.connects++;
    etcd__log_write(&peer->config->log, ETCD__LOG_INFO, "%s: connected", peer->endpoint.text);
    peer->events->on_state(peer->arg, peer);
    peer->events->on_usable(peer->arg, peer);
}

static void on_slots(void *arg, etcd__connection *connection)
{
    etcd__peer *peer = arg;

    (void)connection;
    peer->events->on_usable(peer->arg, peer);
}

/* The server counts our pings as too many: ask half as often from now on. */
static void note_pings(etcd__peer *peer, etcd__connection *connection)
{
    if (!connection->too_many_pings || peer->ping_interval > ETCD__NEVER / 2)
        return;
    connection->too_many_pings = false;
    peer->ping_interval *= 2;
    etcd__log_write(&peer->config->log, ETCD__LOG_WARN, "%s: too many pings; one every %lld ms from now on", peer->endpoint.text,
                    (long long)(peer->ping_interval / ETCD__MS));
}

static void on_draining(void *arg, etcd__connection *connection)
{
    etcd__peer *peer = arg;

    note_pings(peer, connection);
    drop_spare(peer);
    etcd__list_push_back(&peer->draining, &connection->node);
    etcd__error_set(&peer->last_error, ETCD_ERR_CONNECTION, "%s", connection->goaway);
    connect_again(peer, connection->answered);
}

static void on_suspect(void *arg, etcd__connection *connection)
{
    etcd__peer *peer = arg;

    if (connection == peer->connection)
        peer->events->on_suspect(peer->arg, peer);
}

static bool has_no_connection(const etcd__peer *peer)
{
    return peer->connection == NULL && etcd__list_empty(&peer->draining);
}

static void on_gone(void *arg, etcd__connection *connection, const etcd_error *why)
{
    etcd__peer *peer = arg;
    bool was_current = connection == peer->connection;
    bool was_good = connection->answered;

    note_pings(peer, connection);
    peer->stats.bytes_sent += connection->written;
    peer->stats.bytes_received += connection->received;
    peer->stats.connect_failures += connection->state == ETCD__CONNECTION_CONNECTING;
    etcd__list_remove(&connection->node);
    if (connection == peer->spare)
        peer->spare = NULL;
    etcd__connection_free(connection, false);
    if (was_current) {
        drop_spare(peer);
        peer->member_id = 0; /* another may listen there next time */
        peer->last_error = *why;
        connect_again(peer, was_good);
    }
    if (peer->retired && has_no_connection(peer))
        peer->events->on_retired(peer->arg, peer);
}

static const etcd__connection_events events = {on_ready, on_slots, on_draining, on_suspect, on_gone};

static void on_retry(void *arg)
{
    etcd__peer_connect(arg);
}

etcd__peer *etcd__peer_new(etcd__endpoint *endpoint, etcd__loop *loop, const etcd__peer_config *config, etcd__random *random,
                           const etcd__peer_events *peer_events, void *arg)
{
    etcd__peer *peer = etcd__calloc(1, sizeof *peer);

    if (peer == NULL)
        return NULL;
    peer->endpoint = *endpoint;
    *endpoint = (etcd__endpoint){0};
    peer->loop = loop;
    peer->config = config;
    peer->random = random;
    peer->events = peer_events;
    peer->arg = arg;
    peer->retry.fn = on_retry;
    peer->retry.arg = peer;
    peer->ping_interval = config->connection.ping_interval;
    etcd__list_init(&peer->node);
    etcd__list_init(&peer->draining);
    etcd__error_clear(&peer->last_error);
    return peer;
}

void etcd__peer_free(etcd__peer *peer, bool politely)
{
    etcd__list *node;

    if (peer == NULL)
        return;
    etcd__loop_timer_stop(peer->loop, &peer->retry);
    etcd__list_remove(&peer->node);
    drop_spare(peer);
    etcd__connection_free(peer->connection, politely);
    while ((node = etcd__list_pop_front(&peer->draining)) != NULL)
        etcd__connection_free(ETCD__CONTAINER_OF(node, etcd__connection, node), false);
    etcd__endpoint_free(&peer->endpoint);
    etcd__free(peer);
}

void etcd__peer_connect(etcd__peer *peer)
{
    etcd__connection_config config = peer->config->connection;

    if (peer->retired || peer->connection != NULL || peer->retry.node.linked)
        return;
    config.ping_interval = peer->ping_interval;
    if (etcd__connection_open(peer->loop, &peer->endpoint, &config, &peer->config->log, &events, peer, &peer->connection,
                              &peer->last_error) < 0) {
        peer->failures++;
        peer->stats.connect_failures++;
        connect_later(peer);
    }
}

void etcd__peer_doubt(etcd__peer *peer)
{
    etcd__connection_config config = peer->config->connection;
    etcd_error ignored;

    if (peer->spare != NULL || peer->connection == NULL || peer->connection->state != ETCD__CONNECTION_READY)
        return;
    config.ping_interval = peer->ping_interval;
    peer->spare_at = etcd__clock_monotonic();
    etcd__log_write(&peer->config->log, ETCD__LOG_INFO, "%s: silent; trying another connection", peer->endpoint.text);
    if (etcd__connection_open(peer->loop, &peer->endpoint, &config, &peer->config->log, &events, peer, &peer->spare, &ignored) <
        0)
        peer->stats.connect_failures++;
}

bool etcd__peer_usable(const etcd__peer *peer)
{
    return peer->connection != NULL && peer->connection->state == ETCD__CONNECTION_READY &&
           etcd__h2_stream_slots(peer->connection->h2) > 0;
}

bool etcd__peer_healthy(const etcd__peer *peer, int64_t now)
{
    if (peer->connection != NULL && peer->connection->suspect)
        return false;
    return peer->avoid_until == 0 || now >= peer->avoid_until;
}

void etcd__peer_avoid(etcd__peer *peer)
{
    int64_t now = etcd__clock_monotonic(), wait;

    if (!etcd__peer_healthy(peer, now))
        return; /* calls that were under way with the one that told */
    wait = AVOID_BASE << (peer->avoided < 4 ? peer->avoided : 4);
    peer->avoided++;
    peer->avoid_until = now + (wait < AVOID_MAX ? wait : AVOID_MAX);
    etcd__log_write(&peer->config->log, ETCD__LOG_INFO, "%s: does not serve; other endpoints come first for %lld ms",
                    peer->endpoint.text, (long long)(wait / ETCD__MS));
}

void etcd__peer_serves(etcd__peer *peer)
{
    peer->avoid_until = 0;
    peer->avoided = 0;
}

void etcd__peer_retire(etcd__peer *peer)
{
    etcd__connection *connection = peer->connection;

    if (peer->retired)
        return;
    peer->retired = true;
    etcd__loop_timer_stop(peer->loop, &peer->retry);
    drop_spare(peer);
    peer->connection = NULL;
    if (connection != NULL && connection->state == ETCD__CONNECTION_READY && etcd__h2_streams_open(connection->h2) > 0) {
        etcd__connection_drain(connection, "the endpoint was removed");
        etcd__list_push_back(&peer->draining, &connection->node);
    } else {
        etcd__connection_free(connection, true);
    }
    if (has_no_connection(peer))
        peer->events->on_retired(peer->arg, peer);
}
