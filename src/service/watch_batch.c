/* Small responses that arrive in one turn, for a program that pulls: one response. See watch_hub.h.
 *
 * A put is a response of its own at the server. To hand each to another thread would cost several times what decoding it
 * does, for the memory that one thread allocates and another frees alone. Their events are copied into one response, which
 * says of itself what the last of them said. */
#include "service/watch_hub.h"

#include "base/alloc.h"
#include "wire/response.h"

#include <string.h>

#define SMALL 1024                /* bytes of memory: of a response that is worth copying */
#define ENOUGH ((size_t)64 << 10) /* of the one that they are copied into */
#define FIRST_EVENTS 16

typedef struct batch {
    etcd__watch_delivery delivery; /* first */
    size_t cap;                    /* of its events, which its arena owns */
} batch;

static bool is_small(const etcd__watch_delivery *delivery)
{
    return delivery->response.type == ETCD_WATCH_EVENTS && delivery->bytes <= SMALL;
}

/* Makes room for `n` more events. */
static etcd_event *make_room(batch *into, size_t n)
{
    etcd__arena *arena = etcd__response_arena(into);
    size_t cap = into->cap > 0 ? into->cap : FIRST_EVENTS;
    etcd_event *events;

    while (cap < into->delivery.response.n_events + n)
        cap *= 2;
    if (cap == into->cap)
        return arena->owned;
    events = etcd__realloc(arena->owned, cap * sizeof *events);
    if (events == NULL)
        return NULL;
    arena->owned = events;
    into->delivery.response.events = events;
    into->cap = cap;
    return events;
}

/* Copies the events of a delivery. False when out of memory: then nothing has changed. */
static bool append(batch *into, const etcd__watch_delivery *delivery)
{
    const etcd_watch_response *from = &delivery->response;
    etcd_watch_response *to = &into->delivery.response;
    etcd_event *events = make_room(into, from->n_events);

    if (events == NULL)
        return false;
    for (size_t i = 0; i < from->n_events; i++)
        if (!etcd__watch_copy_event(etcd__response_arena(into), &events[to->n_events + i], &from->events[i]))
            return false;
    to->n_events += from->n_events;
    to->header = from->header;
    to->revision = from->revision;
    into->delivery.next = delivery->next;
    into->delivery.bytes = etcd__response_arena(into)->allocated + into->cap * sizeof *events;
    return true;
}

static batch *new_batch(const etcd__watch_delivery *first)
{
    batch *into = etcd__response_new(sizeof *into);

    if (into == NULL)
        return NULL;
    into->delivery.watcher = first->watcher;
    into->delivery.response.type = ETCD_WATCH_EVENTS;
    into->delivery.response.reason = first->response.reason;
    into->delivery.batched = true;
    etcd__list_init(&into->delivery.node);
    if (append(into, first))
        return into;
    etcd_response_free(into);
    return NULL;
}

bool etcd__watch_merge(etcd__list *queue, etcd__watch_delivery *delivery)
{
    etcd__watch_delivery *last;
    batch *into;

    if (etcd__list_empty(queue) || !is_small(delivery))
        return false;
    last = ETCD__CONTAINER_OF(queue->prev, etcd__watch_delivery, node);
    if (last->batched && last->bytes < ENOUGH) {
        if (!append((batch *)last, delivery))
            return false;
        etcd_response_free(delivery);
        return true;
    }
    if (last->batched || !is_small(last) || (into = new_batch(last)) == NULL)
        return false;
    if (!append(into, delivery)) {
        etcd_response_free(into);
        return false;
    }
    etcd__list_remove(&last->node);
    etcd_response_free(last);
    etcd_response_free(delivery);
    etcd__list_push_back(queue, &into->delivery.node);
    return true;
}
