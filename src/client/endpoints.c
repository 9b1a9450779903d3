/* Looking at the endpoints and changing them: work for the driver's seat. See <etcd3/endpoints.h>. */
#include <etcd3/endpoints.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "client/client.h"
#include "wire/response.h"

#include <string.h>

static int32_t state_of(const etcd__peer *peer)
{
    if (peer->connection == NULL)
        return ETCD_ENDPOINT_BACKOFF;
    return peer->connection->state == ETCD__CONNECTION_READY ? ETCD_ENDPOINT_READY : ETCD_ENDPOINT_CONNECTING;
}

static int copy_text(etcd__arena *arena, const char *text, etcd_bytes *out)
{
    size_t len = strlen(text);
    char *copy = etcd__arena_alloc(arena, len + 1);

    if (copy == NULL)
        return ETCD_ERR_NO_MEMORY;
    memcpy(copy, text, len + 1);
    *out = (etcd_bytes){copy, len};
    return ETCD_OK;
}

static int describe(const etcd__peers *peers, const etcd__peer *peer, etcd__arena *arena, etcd_endpoint_info *info)
{
    int64_t now = etcd__clock_monotonic();
    const etcd__connection *connection = peer->connection;

    *info = (etcd_endpoint_info){
        .state = state_of(peer),
        .healthy = etcd__peer_healthy(peer, now),
        .is_leader = peer == peers->leader,
        .member_id = peer->member_id,
        .calls = peer->stats.calls,
        .failures = peer->stats.failures,
        .bytes_sent = peer->stats.bytes_sent + (connection ? connection->written : 0),
        .bytes_received = peer->stats.bytes_received + (connection ? connection->received : 0),
        .connects = peer->stats.connects,
        .connect_failures = peer->stats.connect_failures,
        .silent_ms = connection ? (now - connection->last_read) / ETCD__MS : -1,
    };
    if (copy_text(arena, peer->endpoint.text, &info->endpoint) < 0)
        return ETCD_ERR_NO_MEMORY;
    return copy_text(arena, peer->last_error.message, &info->last_error);
}

static int describe_all(const etcd__peers *peers, etcd_endpoints_response *response)
{
    etcd__arena *arena = etcd__response_arena(response);
    etcd_endpoint_info *infos = etcd__arena_calloc(arena, peers->n, sizeof *infos);

    if (infos == NULL)
        return ETCD_ERR_NO_MEMORY;
    response->endpoints = infos;
    for (response->n_endpoints = 0; response->n_endpoints < peers->n; response->n_endpoints++)
        if (describe(peers, peers->items[response->n_endpoints], arena, &infos[response->n_endpoints]) < 0)
            return ETCD_ERR_NO_MEMORY;
    return ETCD_OK;
}

int etcd_client_endpoints(etcd_client *client, etcd_endpoints_response **out, etcd_error *err)
{
    etcd_endpoints_response *response;
    bool seated;
    int rc;

    if (out == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "out is NULL");
    *out = NULL;
    rc = etcd__client_check(client, err);
    if (rc < 0)
        return rc;
    response = etcd__response_new(sizeof *response);
    if (response == NULL)
        return etcd__error_no_memory(err);
    seated = etcd__driver_enter(client);
    rc = describe_all(etcd__channel_peers(client->io.channel), response);
    etcd__driver_leave(client, seated);
    if (rc < 0) {
        etcd_response_free(response);
        return etcd__error_no_memory(err);
    }
    etcd__error_clear(err);
    *out = response;
    return ETCD_OK;
}

int etcd_client_set_endpoints(etcd_client *client, const char *endpoints, etcd_error *err)
{
    bool seated;
    int rc = etcd__client_check(client, err);

    if (rc < 0)
        return rc;
    seated = etcd__driver_enter(client);
    rc = etcd__channel_set_endpoints(client->io.channel, endpoints, err);
    etcd__driver_leave(client, seated);
    if (rc == ETCD_OK)
        etcd__error_clear(err);
    return rc;
}

/* --- telling the program ---------------------------------------------------------------------- */

void etcd__endpoints_changed(void *arg)
{
    etcd_client *client = arg;

    if (client->state_fn != NULL)
        etcd__loop_defer(client->io.loop, &client->io.report);
}

/* With words of its own: the callback may take the endpoint off the list, or close the client. */
static void tell_state(etcd_client *client, etcd__peer *peer, int32_t state)
{
    char *endpoint = etcd__strdup(peer->endpoint.text);
    const etcd_error last = peer->last_error;

    if (endpoint == NULL)
        return; /* the next change tells */
    peer->reported = state;
    etcd__driver_begin_callback(client);
    client->state_fn(client, endpoint, state, last.message, client->state_arg);
    etcd__driver_end_callback(client);
    etcd__free(endpoint);
}

void etcd__endpoints_report(void *arg)
{
    etcd_client *client = arg;
    const etcd__peers *peers = etcd__channel_peers(client->io.channel);

    for (size_t i = 0; i < peers->n && !atomic_load(&client->closed); i++)
        if (state_of(peers->items[i]) != peers->items[i]->reported)
            tell_state(client, peers->items[i], state_of(peers->items[i]));
    etcd__driver_start_submitted(client); /* what the program started meanwhile */
}
