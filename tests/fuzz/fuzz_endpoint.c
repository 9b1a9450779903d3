/* Endpoint lists: any bytes are accepted or refused, and what is accepted has the form that the rest of the library relies on. */
#include "fuzz/fuzz.h"

#include "channel/endpoint.h"

#include <stdlib.h>
#include <string.h>

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check(const etcd__endpoint *endpoint)
{
    const etcd__target *target = &endpoint->target;
    etcd__endpoint again;

    require(endpoint->text != NULL && endpoint->text[0] != '\0');
    require(endpoint->authority != NULL && endpoint->authority[0] != '\0');
    for (const char *c = endpoint->authority; *c != '\0'; c++)
        require(*c > ' ' && *c < '\x7f' && *c != '@' && *c != '/');
    require(endpoint->tls == (endpoint->creds == ETCD__CREDS_TLS));
    if (target->kind == ETCD__TARGET_TCP)
        require(target->port != 0 && target->host != NULL && target->host[0] != '\0' && target->path == NULL);
    else
        require(target->path != NULL && target->path[0] != '\0' && target->host == NULL);
    require(etcd__endpoint_parse(endpoint->text, strlen(endpoint->text), &again, NULL) == ETCD_OK);
    require(strcmp(again.authority, endpoint->authority) == 0);
    etcd__endpoint_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    etcd__endpoint *list;
    etcd_error err;
    size_t n;
    int rc = etcd__endpoint_list_parse((const char *)data, size, &list, &n, &err);

    require((rc == ETCD_OK) == (n > 0));
    require(rc == ETCD_OK || rc == ETCD_ERR_ARGUMENT || rc == ETCD_ERR_NO_ENDPOINTS);
    for (size_t i = 0; i < n; i++)
        check(&list[i]);
    etcd__endpoint_list_free(list, n);
    return 0;
}
