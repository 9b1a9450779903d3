/* See wait.h. */
#include "channel/wait.h"

#include "base/clock.h"

#include <stdio.h>

/* The peer whose state explains best why a call has to wait: the one it names, or the first with an error, or the
 * first. */
static const etcd__peer *telling_peer(const etcd__call *call, const etcd__peers *peers)
{
    if (call->peer != NULL)
        return call->peer;
    for (size_t i = 0; i < peers->n; i++)
        if (peers->items[i]->connection == NULL && peers->items[i]->last_error.code != ETCD_OK)
            return peers->items[i];
    for (size_t i = 0; i < peers->n; i++)
        if (peers->items[i]->last_error.code != ETCD_OK)
            return peers->items[i];
    return peers->n > 0 ? peers->items[0] : NULL;
}

void etcd__describe_wait(const etcd__call *call, const etcd__peers *peers, bool needs_token, char *text, size_t size)
{
    const etcd__peer *peer = telling_peer(call, peers);

    if (call->retry_at == ETCD__NEVER)
        (void)snprintf(text, size, "waiting for a stream");
    else if (call->retry_at != 0 && call->attempts == 0)
        (void)snprintf(text, size, "the delay of the call was not over");
    else if (call->connection != NULL && call->error != NULL && call->error->message[0] != '\0')
        (void)snprintf(text, size, "waiting for the answer of %s to attempt %d; the one before, at %s: %s",
                       call->connection->endpoint->text, (int)call->attempts, call->error->endpoint, call->error->message);
    else if (call->connection != NULL)
        (void)snprintf(text, size, "waiting for the answer of %s", call->connection->endpoint->text);
    else if (call->error != NULL && call->error->message[0] != '\0')
        (void)snprintf(text, size, "after %d attempts, the last at %s: %s", (int)call->attempts, call->error->endpoint,
                       call->error->message);
    else if (peer == NULL)
        (void)snprintf(text, size, "no endpoints");
    else if (peer->connection != NULL && peer->connection->state == ETCD__CONNECTION_READY && needs_token)
        (void)snprintf(text, size, "still authenticating at %s", peer->endpoint.text);
    else if (peer->connection != NULL && peer->connection->state == ETCD__CONNECTION_READY)
        (void)snprintf(text, size, "%s allows no more concurrent streams", peer->endpoint.text);
    else if (peer->last_error.code != ETCD_OK)
        (void)snprintf(text, size, "last connection error: %s: %s", peer->endpoint.text, peer->last_error.message);
    else
        (void)snprintf(text, size, "still connecting to %s", peer->endpoint.text);
}
