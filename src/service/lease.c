/* Leases: grant, revoke, time to live, list. See <etcd3/lease.h>; the contract, section 1.10. */
#include <etcd3/lease.h>

#include "base/error.h"
#include "base/options.h"
#include "service/sink.h"

ETCD__UNARY(lease_grant, LEASE_GRANT, LEASE_GRANT)
ETCD__UNARY(lease_revoke, LEASE_REVOKE, LEASE_REVOKE)
ETCD__UNARY(lease_time_to_live, LEASE_TIME_TO_LIVE, LEASE_TIME_TO_LIVE)
ETCD__UNARY(lease_list, LEASE_LEASES, LEASE_LIST)

void etcd_lease_grant_options_init(etcd_lease_grant_options *options, size_t size)
{
    etcd__options_init(options, size);
}

void etcd_lease_time_to_live_options_init(etcd_lease_time_to_live_options *options, size_t size)
{
    etcd__options_init(options, size);
}

/* --- grant --- */

static int lease_grant(etcd_client *client, int64_t ttl_s, const etcd_lease_grant_options *options, etcd__sink sink,
                       etcd_error *err)
{
    etcd_lease_grant_options o;
    etcd__lease_grant_request request;
    int rc = etcd__options_load(&o, sizeof o, options, "etcd_lease_grant_options", err);

    if (rc < 0)
        return rc;
    if (ttl_s > ETCD_LEASE_TTL_MAX_S)
        return etcd__error_set(err, ETCD_ERR_LEASE_TTL_TOO_LARGE, "%s", etcd_error_text(ETCD_ERR_LEASE_TTL_TOO_LARGE));
    request = (etcd__lease_grant_request){.ttl_s = ttl_s, .id = o.id};
    return etcd__sink_call(client, &unary_lease_grant, &request, o.call, sink, err);
}

int etcd_lease_grant(etcd_client *client, int64_t ttl_s, const etcd_lease_grant_options *options, etcd_lease_grant_response **out,
                     etcd_error *err)
{
    return lease_grant(client, ttl_s, options, etcd__sink_out(out), err);
}

int etcd_lease_grant_async(etcd_client *client, int64_t ttl_s, const etcd_lease_grant_options *options, etcd_lease_grant_fn done,
                           void *arg, etcd_call_id *id, etcd_error *err)
{
    return lease_grant(client, ttl_s, options, ETCD__SINK_DONE(done, arg, id), err);
}

/* --- revoke --- */

static int lease_revoke(etcd_client *client, int64_t lease, const etcd_call_options *call, etcd__sink sink, etcd_error *err)
{
    const etcd__lease_revoke_request request = {.id = lease};

    return etcd__sink_call(client, &unary_lease_revoke, &request, call, sink, err);
}

int etcd_lease_revoke(etcd_client *client, int64_t lease, const etcd_call_options *call, etcd_lease_revoke_response **out,
                      etcd_error *err)
{
    return lease_revoke(client, lease, call, etcd__sink_out(out), err);
}

int etcd_lease_revoke_async(etcd_client *client, int64_t lease, const etcd_call_options *call, etcd_lease_revoke_fn done,
                            void *arg, etcd_call_id *id, etcd_error *err)
{
    return lease_revoke(client, lease, call, ETCD__SINK_DONE(done, arg, id), err);
}

/* --- time to live --- */

static int lease_time_to_live(etcd_client *client, int64_t lease, const etcd_lease_time_to_live_options *options, etcd__sink sink,
                              etcd_error *err)
{
    etcd_lease_time_to_live_options o;
    etcd__lease_time_to_live_request request;
    int rc = etcd__options_load(&o, sizeof o, options, "etcd_lease_time_to_live_options", err);

    if (rc < 0)
        return rc;
    request = (etcd__lease_time_to_live_request){.id = lease, .keys = o.keys};
    return etcd__sink_call(client, &unary_lease_time_to_live, &request, o.call, sink, err);
}

int etcd_lease_time_to_live(etcd_client *client, int64_t lease, const etcd_lease_time_to_live_options *options,
                            etcd_lease_time_to_live_response **out, etcd_error *err)
{
    return lease_time_to_live(client, lease, options, etcd__sink_out(out), err);
}

int etcd_lease_time_to_live_async(etcd_client *client, int64_t lease, const etcd_lease_time_to_live_options *options,
                                  etcd_lease_time_to_live_fn done, void *arg, etcd_call_id *id, etcd_error *err)
{
    return lease_time_to_live(client, lease, options, ETCD__SINK_DONE(done, arg, id), err);
}

/* --- list --- */

static int lease_list(etcd_client *client, const etcd_call_options *call, etcd__sink sink, etcd_error *err)
{
    return etcd__sink_call(client, &unary_lease_list, &(const etcd__empty){0}, call, sink, err);
}

int etcd_lease_list(etcd_client *client, const etcd_call_options *call, etcd_lease_list_response **out, etcd_error *err)
{
    return lease_list(client, call, etcd__sink_out(out), err);
}

int etcd_lease_list_async(etcd_client *client, const etcd_call_options *call, etcd_lease_list_fn done, void *arg,
                          etcd_call_id *id, etcd_error *err)
{
    return lease_list(client, call, ETCD__SINK_DONE(done, arg, id), err);
}
