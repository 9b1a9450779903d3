/* Cancel switches. Locks: the switch's, then a client's; never the other way round. */
#include "client/client.h"

#include "base/alloc.h"
#include "base/error.h"

struct etcd_cancel {
    uv_mutex_t lock;
    bool triggered;
    etcd__list links; /* etcd__cancel_link.node */
};

int etcd_cancel_new(etcd_cancel **out, etcd_error *err)
{
    etcd_cancel *cancel;

    if (out == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "out is NULL");
    *out = NULL;
    cancel = etcd__calloc(1, sizeof *cancel);
    if (cancel == NULL || uv_mutex_init(&cancel->lock) != 0) {
        etcd__free(cancel);
        return etcd__error_no_memory(err);
    }
    etcd__list_init(&cancel->links);
    etcd__error_clear(err);
    *out = cancel;
    return ETCD_OK;
}

void etcd_cancel_trigger(etcd_cancel *cancel)
{
    if (cancel == NULL)
        return;
    uv_mutex_lock(&cancel->lock);
    cancel->triggered = true;
    for (etcd__list *node = cancel->links.next; node != &cancel->links; node = node->next) {
        etcd__cancel_link *link = ETCD__CONTAINER_OF(node, etcd__cancel_link, node);

        link->fn(link);
    }
    uv_mutex_unlock(&cancel->lock);
}

void etcd_cancel_free(etcd_cancel *cancel)
{
    if (cancel == NULL)
        return;
    uv_mutex_destroy(&cancel->lock);
    etcd__free(cancel);
}

bool etcd__cancel_attach(etcd_cancel *cancel, etcd__cancel_link *link)
{
    bool triggered;

    uv_mutex_lock(&cancel->lock);
    triggered = cancel->triggered;
    if (!triggered) {
        link->cancel = cancel;
        etcd__list_push_back(&cancel->links, &link->node);
    }
    uv_mutex_unlock(&cancel->lock);
    return !triggered;
}

void etcd__cancel_detach(etcd__cancel_link *link)
{
    if (link->cancel == NULL)
        return;
    uv_mutex_lock(&link->cancel->lock);
    etcd__list_remove(&link->node);
    uv_mutex_unlock(&link->cancel->lock);
    link->cancel = NULL;
}
