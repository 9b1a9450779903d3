/* What services keep for a client. See client.h. */
#include "client/client.h"

etcd__attachment *etcd__client_attachment(etcd_client *client, const void *kind)
{
    for (etcd__list *node = client->io.attachments.next; node != &client->io.attachments; node = node->next) {
        etcd__attachment *attachment = ETCD__CONTAINER_OF(node, etcd__attachment, node);

        if (attachment->kind == kind)
            return attachment;
    }
    return NULL;
}

void etcd__client_attach(etcd_client *client, etcd__attachment *attachment)
{
    etcd__list_push_back(&client->io.attachments, &attachment->node);
    uv_mutex_lock(&client->shared.lock);
    client->shared.attended = true;
    uv_mutex_unlock(&client->shared.lock);
}

void etcd__attachments_close(etcd_client *client)
{
    for (etcd__list *node = client->io.attachments.next; node != &client->io.attachments; node = node->next) {
        etcd__attachment *attachment = ETCD__CONTAINER_OF(node, etcd__attachment, node);

        attachment->close(attachment);
    }
}

void etcd__attachments_free(etcd_client *client)
{
    etcd__list *node;

    while ((node = etcd__list_pop_front(&client->io.attachments)) != NULL) {
        etcd__attachment *attachment = ETCD__CONTAINER_OF(node, etcd__attachment, node);

        attachment->free(attachment);
    }
}
