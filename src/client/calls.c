/* Live calls by number. A number is a slot and the slot's generation, so a stale one is recognised; slots are
 * reused, numbers are not. Everything here runs under the client's lock. */
#include "client/client.h"

#include "base/alloc.h"

#include <string.h>

struct etcd__slot {
    etcd__user_call *call; /* NULL: free */
    uint32_t generation;
    uint32_t next_free; /* index + 1 of the next free slot, 0: none */
};

static int grow(etcd_client *client)
{
    uint32_t n = client->shared.n_slots ? client->shared.n_slots * 2 : 16;
    struct etcd__slot *slots = etcd__realloc(client->shared.slots, n * sizeof *slots);

    if (slots == NULL)
        return ETCD_ERR_NO_MEMORY;
    memset(slots + client->shared.n_slots, 0, (n - client->shared.n_slots) * sizeof *slots);
    for (uint32_t i = client->shared.n_slots; i < n; i++)
        slots[i].next_free = i + 1 < n ? i + 2 : 0;
    client->shared.free_slot = client->shared.n_slots + 1;
    client->shared.slots = slots;
    client->shared.n_slots = n;
    return ETCD_OK;
}

int etcd__calls_add(etcd_client *client, etcd__user_call *call)
{
    struct etcd__slot *slot;
    uint32_t number;

    if (client->shared.free_slot == 0 && grow(client) < 0)
        return ETCD_ERR_NO_MEMORY;
    number = client->shared.free_slot;
    slot = &client->shared.slots[number - 1];
    client->shared.free_slot = slot->next_free;
    slot->call = call;
    call->id = (uint64_t)slot->generation << 32 | number;
    return ETCD_OK;
}

void etcd__calls_remove(etcd_client *client, etcd__user_call *call)
{
    uint32_t number = (uint32_t)call->id;
    struct etcd__slot *slot = &client->shared.slots[number - 1];

    slot->call = NULL;
    slot->generation++;
    slot->next_free = client->shared.free_slot;
    client->shared.free_slot = number;
}

etcd__user_call *etcd__calls_find(const etcd_client *client, etcd_call_id id)
{
    uint32_t number = (uint32_t)id;

    if (number == 0 || number > client->shared.n_slots || client->shared.slots[number - 1].generation != (uint32_t)(id >> 32))
        return NULL;
    return client->shared.slots[number - 1].call;
}

void etcd__calls_each(etcd_client *client, void (*fn)(etcd__user_call *call))
{
    for (uint32_t i = 0; i < client->shared.n_slots; i++)
        if (client->shared.slots[i].call != NULL)
            fn(client->shared.slots[i].call);
}

void etcd__calls_free(etcd_client *client)
{
    etcd__free(client->shared.slots);
    client->shared.slots = NULL;
    client->shared.n_slots = client->shared.free_slot = 0;
}
