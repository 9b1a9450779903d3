/* etcd_client_sync: the members' client URLs become the endpoints. See <etcd3/endpoints.h>. */
#include <etcd3/endpoints.h>

#include "base/alloc.h"
#include "channel/sync.h"
#include "client/unary.h"
#include "wire/response.h"

static int apply(etcd_client *client, void **response, etcd_error *err)
{
    etcd_member_list_response *members = *response;
    char *endpoints = NULL;
    int rc = etcd__sync_endpoints(members, &endpoints, err);

    *response = NULL;
    if (rc == ETCD_OK)
        rc = etcd_client_set_endpoints(client, endpoints, err);
    etcd__free(endpoints);
    etcd_response_free(members);
    return rc;
}

static void deliver(etcd_client *client, void *response, const etcd_error *err, etcd__any_fn done, void *arg)
{
    (void)response;
    ((etcd_client_sync_fn)done)(client, err, arg);
}

static const etcd__unary unary_sync = {.rpc = ETCD__RPC_MEMBER_LIST,
                                       .call_type = ETCD_CALL_CLIENT_SYNC,
                                       .deliver = deliver,
                                       .apply = apply};
static const etcd__member_list_request all_members = {.linearizable = true};

int etcd_client_sync(etcd_client *client, const etcd_call_options *call, etcd_error *err)
{
    void *none;

    return etcd__unary_call(client, &unary_sync, &all_members, call, &none, err);
}

int etcd_client_sync_async(etcd_client *client, const etcd_call_options *call, etcd_client_sync_fn done, void *arg,
                           etcd_call_id *id, etcd_error *err)
{
    return etcd__unary_start(client, &unary_sync, &all_members, call, (etcd__any_fn)done, arg, id, err);
}
