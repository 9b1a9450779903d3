/* The server's elections. See <etcd3/v3election.h>. */
#include <etcd3/v3election.h>

#include "base/error.h"
#include "service/request.h"
#include "service/sink.h"

ETCD__UNARY(campaign, CAMPAIGN, CAMPAIGN)
ETCD__UNARY(proclaim, PROCLAIM, PROCLAIM)
ETCD__UNARY(leader, LEADER, LEADER)
ETCD__UNARY(resign, RESIGN, RESIGN)

static int campaign(etcd_client *client, const char *name, size_t name_len, int64_t lease, const char *value, size_t value_len,
                    const etcd_call_options *call, etcd__sink sink, etcd_error *err)
{
    etcd__campaign_request request = {.lease = lease};
    int rc = etcd__request_bytes("name", name, name_len, &request.name, err);

    if (rc == ETCD_OK)
        rc = etcd__request_bytes("value", value, value_len, &request.value, err);
    return rc < 0 ? rc : etcd__sink_call(client, &unary_campaign, &request, call, sink, err);
}

int etcd_campaign(etcd_client *client, const char *name, size_t name_len, int64_t lease, const char *value, size_t value_len,
                  const etcd_call_options *call, etcd_campaign_response **out, etcd_error *err)
{
    return campaign(client, name, name_len, lease, value, value_len, call, etcd__sink_out(out), err);
}

int etcd_campaign_async(etcd_client *client, const char *name, size_t name_len, int64_t lease, const char *value,
                        size_t value_len, const etcd_call_options *call, etcd_campaign_fn done, void *arg, etcd_call_id *id,
                        etcd_error *err)
{
    return campaign(client, name, name_len, lease, value, value_len, call, ETCD__SINK_DONE(done, arg, id), err);
}

/* The server would take a missing leader key for one that is empty. */
static int check_leader(const etcd_leader_key *leader, etcd_error *err)
{
    return leader ? ETCD_OK : etcd__error_set(err, ETCD_ERR_ARGUMENT, "leader_key is NULL");
}

static int proclaim(etcd_client *client, const etcd_leader_key *leader_key, const char *value, size_t value_len,
                    const etcd_call_options *call, etcd__sink sink, etcd_error *err)
{
    etcd__proclaim_request request = {.leader = leader_key};
    int rc = check_leader(leader_key, err);

    if (rc == ETCD_OK)
        rc = etcd__request_bytes("value", value, value_len, &request.value, err);
    return rc < 0 ? rc : etcd__sink_call(client, &unary_proclaim, &request, call, sink, err);
}

int etcd_proclaim(etcd_client *client, const etcd_leader_key *leader_key, const char *value, size_t value_len,
                  const etcd_call_options *call, etcd_proclaim_response **out, etcd_error *err)
{
    return proclaim(client, leader_key, value, value_len, call, etcd__sink_out(out), err);
}

int etcd_proclaim_async(etcd_client *client, const etcd_leader_key *leader_key, const char *value, size_t value_len,
                        const etcd_call_options *call, etcd_proclaim_fn done, void *arg, etcd_call_id *id, etcd_error *err)
{
    return proclaim(client, leader_key, value, value_len, call, ETCD__SINK_DONE(done, arg, id), err);
}

static int leader(etcd_client *client, const char *name, size_t name_len, const etcd_call_options *call, etcd__sink sink,
                  etcd_error *err)
{
    etcd__leader_request request = {0};
    int rc = etcd__request_bytes("name", name, name_len, &request.name, err);

    return rc < 0 ? rc : etcd__sink_call(client, &unary_leader, &request, call, sink, err);
}

int etcd_leader(etcd_client *client, const char *name, size_t name_len, const etcd_call_options *call, etcd_leader_response **out,
                etcd_error *err)
{
    return leader(client, name, name_len, call, etcd__sink_out(out), err);
}

int etcd_leader_async(etcd_client *client, const char *name, size_t name_len, const etcd_call_options *call, etcd_leader_fn done,
                      void *arg, etcd_call_id *id, etcd_error *err)
{
    return leader(client, name, name_len, call, ETCD__SINK_DONE(done, arg, id), err);
}

static int resign(etcd_client *client, const etcd_leader_key *leader_key, const etcd_call_options *call, etcd__sink sink,
                  etcd_error *err)
{
    const etcd__resign_request request = {.leader = leader_key};
    int rc = check_leader(leader_key, err);

    return rc < 0 ? rc : etcd__sink_call(client, &unary_resign, &request, call, sink, err);
}

int etcd_resign(etcd_client *client, const etcd_leader_key *leader_key, const etcd_call_options *call, etcd_resign_response **out,
                etcd_error *err)
{
    return resign(client, leader_key, call, etcd__sink_out(out), err);
}

int etcd_resign_async(etcd_client *client, const etcd_leader_key *leader_key, const etcd_call_options *call, etcd_resign_fn done,
                      void *arg, etcd_call_id *id, etcd_error *err)
{
    return resign(client, leader_key, call, ETCD__SINK_DONE(done, arg, id), err);
}
