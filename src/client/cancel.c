/* Cancel switches. Locks: the switch's, then a client's; never the other way round. */
#include "client/client.h"

#include "base/alloc.h"
#include "base/error.h"

struct etcd_cancel {
    uv_mutex_t lock;
    bool triggered;
    etcd__list calls; /* etcd__user_call.switch_node */
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
    etcd__list_init(&cancel->calls);
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
    for (etcd__list *node = cancel->calls.next; node != &cancel->calls; node = node->next) {
        etcd__user_call *call = ETCD__CONTAINER_OF(node, etcd__user_call, switch_node);

        (void)etcd_call_cancel(call->client, call->id);
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

bool etcd__cancel_attach(etcd_cancel *cancel, etcd__user_call *call)
{
    bool triggered;

    uv_mutex_lock(&cancel->lock);
    triggered = cancel->triggered;
    if (!triggered) {
        call->cancel = cancel;
        etcd__list_push_back(&cancel->calls, &call->switch_node);
    }
    uv_mutex_unlock(&cancel->lock);
    return !triggered;
}

void etcd__cancel_detach(etcd__user_call *call)
{
    if (call->cancel == NULL)
        return;
    uv_mutex_lock(&call->cancel->lock);
    etcd__list_remove(&call->switch_node);
    uv_mutex_unlock(&call->cancel->lock);
    call->cancel = NULL;
}
