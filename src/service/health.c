/* The health of a member. See <etcd3/health.h>. */
#include <etcd3/health.h>

#include "service/request.h"
#include "service/sink.h"

ETCD__UNARY(health_check, HEALTH_CHECK, HEALTH_CHECK)

static int health_check(etcd_client *client, const char *endpoint, const char *service, const etcd_call_options *call,
                        etcd__sink sink, etcd_error *err)
{
    etcd__health_check_request request = {0};
    etcd_call_options to;
    int rc = etcd__request_to(endpoint, call, &to, err);

    if (rc == ETCD_OK)
        rc = etcd__request_text("service", service ? service : "", &request.service, err);
    return rc < 0 ? rc : etcd__sink_call(client, &unary_health_check, &request, &to, sink, err);
}

int etcd_health_check(etcd_client *client, const char *endpoint, const char *service, const etcd_call_options *call,
                      etcd_health_check_response **out, etcd_error *err)
{
    return health_check(client, endpoint, service, call, etcd__sink_out(out), err);
}

int etcd_health_check_async(etcd_client *client, const char *endpoint, const char *service, const etcd_call_options *call,
                            etcd_health_check_fn done, void *arg, etcd_call_id *id, etcd_error *err)
{
    return health_check(client, endpoint, service, call, ETCD__SINK_DONE(done, arg, id), err);
}
