/* etcd_client_sync: the members' client URLs become the endpoints. See <etcd3/endpoints.h>. */
#include "base/alloc.h"
#include "channel/sync.h"

#include <etcd3/cluster.h>
#include <etcd3/endpoints.h>

int etcd_client_sync(etcd_client *client, const etcd_call_options *call, etcd_error *err)
{
    etcd_member_list_response *members;
    char *endpoints = NULL;
    int rc = etcd_member_list(client, ETCD_MEMBER_LIST(.call = call), &members, err);

    if (rc < 0)
        return rc;
    rc = etcd__sync_endpoints(members, &endpoints, err);
    if (rc == ETCD_OK)
        rc = etcd_client_set_endpoints(client, endpoints, err);
    etcd__free(endpoints);
    etcd_response_free(members);
    return rc;
}
