/* Refusing clusters that are too old to be talked to (`reject_old_cluster`; the contract, section 1.1). The
 * endpoints are asked one after the other, all within one time limit: they are connecting side by side meanwhile. */
#include "base/clock.h"
#include "base/error.h"
#include "client/client.h"

#include <etcd3/endpoints.h>
#include <etcd3/maintenance.h>
#include <stdlib.h>

#define OLDEST_MAJOR 3
#define OLDEST_MINOR 4

static const etcd__unary unary_status = {.rpc = ETCD__RPC_STATUS, .read_only = true};

static bool is_old(const char *version)
{
    char *rest;
    long major = strtol(version, &rest, 10);
    long minor = *rest == '.' ? strtol(rest + 1, NULL, 10) : 0;

    return major < OLDEST_MAJOR || (major == OLDEST_MAJOR && minor < OLDEST_MINOR);
}

static int check_endpoint(etcd_client *client, const char *endpoint, int64_t timeout_ms, etcd_error *err)
{
    const etcd__empty request = {0};
    etcd_status_response *status;
    void *response;
    int rc = etcd__unary_call(client, &unary_status, &request, ETCD_CALL(.endpoint = endpoint, .timeout_ms = timeout_ms),
                              &response, err);

    if (rc < 0)
        return rc;
    status = response;
    if (is_old(status->version.data))
        rc = etcd__error_set(err, ETCD_ERR_OLD_CLUSTER, "%s: %s runs %.40s, at least %d.%d is needed",
                             etcd_error_text(ETCD_ERR_OLD_CLUSTER), endpoint, status->version.data, OLDEST_MAJOR, OLDEST_MINOR);
    etcd_response_free(status);
    return rc;
}

int etcd__version_check(etcd_client *client, int64_t timeout_ms, etcd_error *err)
{
    int64_t until = etcd__clock_after(etcd__clock_monotonic(), etcd__clock_from_ms(timeout_ms));
    etcd_endpoints_response *endpoints;
    int rc = etcd_client_endpoints(client, &endpoints, err);

    if (rc < 0)
        return rc;
    for (size_t i = 0; i < endpoints->n_endpoints && rc == ETCD_OK; i++) {
        int64_t left = (until - etcd__clock_monotonic()) / ETCD__MS;

        rc = check_endpoint(client, endpoints->endpoints[i].endpoint.data, left > 1 ? left : 1, err);
    }
    etcd_response_free(endpoints);
    return rc;
}
