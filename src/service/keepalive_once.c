/* Renewing a lease once. See <etcd3/keepalive.h>; the contract, section 1.10. */
#include <etcd3/keepalive.h>

#include "base/error.h"
#include "service/sink.h"

ETCD__DELIVER(keepalive_once)

/* A lease that is not there is an answer, too. */
static int judge_once(void **result, void *response, const void **request, etcd_error *err)
{
    etcd_keepalive_response *answer = response;

    *request = NULL;
    if (answer->ttl_s <= 0) {
        etcd_response_free(answer);
        return etcd__error_set(err, ETCD_ERR_LEASE_NOT_FOUND, "%s", etcd_error_text(ETCD_ERR_LEASE_NOT_FOUND));
    }
    *result = answer;
    return ETCD_OK;
}

static const etcd__unary unary_keepalive_once = {
    .rpc = ETCD__RPC_LEASE_KEEP_ALIVE,
    .read_only = true, /* again does no harm */
    .call_type = ETCD_CALL_KEEPALIVE_ONCE,
    .deliver = deliver_keepalive_once,
    .next = judge_once,
};

static int once(etcd_client *client, int64_t lease, const etcd_call_options *call, etcd__sink sink, etcd_error *err)
{
    const etcd__lease_keep_alive_request request = {.id = lease};

    return etcd__sink_call(client, &unary_keepalive_once, &request, call, sink, err);
}

int etcd_keepalive_once(etcd_client *client, int64_t lease, const etcd_call_options *call, etcd_keepalive_response **out,
                        etcd_error *err)
{
    return once(client, lease, call, etcd__sink_out(out), err);
}

int etcd_keepalive_once_async(etcd_client *client, int64_t lease, const etcd_call_options *call, etcd_keepalive_once_fn done,
                              void *arg, etcd_call_id *id, etcd_error *err)
{
    return once(client, lease, call, ETCD__SINK_DONE(done, arg, id), err);
}
