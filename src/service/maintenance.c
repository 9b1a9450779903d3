/* Care of the cluster. See <etcd3/maintenance.h>; the contract, section 1.12. */
#include <etcd3/maintenance.h>

#include "base/arena.h"
#include "base/error.h"
#include "service/request.h"
#include "service/sink.h"
#include "wire/response.h"

ETCD__DELIVER(alarm_list)
ETCD__UNARY(alarm_disarm, ALARM, ALARM_DISARM)
ETCD__UNARY(defragment, DEFRAGMENT, DEFRAGMENT)
ETCD__UNARY(status, STATUS, STATUS)
ETCD__UNARY(hash_kv, HASH_KV, HASH_KV)
ETCD__UNARY(hash, HASH, HASH)
ETCD__UNARY(move_leader, MOVE_LEADER, MOVE_LEADER)
ETCD__UNARY(downgrade, DOWNGRADE, DOWNGRADE)

static const etcd__unary unary_alarm_list = {.rpc = ETCD__RPC_ALARM,
                                             .read_only = true,
                                             .call_type = ETCD_CALL_ALARM_LIST,
                                             .deliver = deliver_alarm_list};
static const etcd__unary unary_downgrade_validate = {.rpc = ETCD__RPC_DOWNGRADE,
                                                     .read_only = true,
                                                     .call_type = ETCD_CALL_DOWNGRADE,
                                                     .deliver = deliver_downgrade};

/* --- alarms --- */

static int alarm_list(etcd_client *client, const etcd_call_options *call, etcd__sink sink, etcd_error *err)
{
    static const etcd__alarm_request request = {.action = ETCD_ALARM_GET};

    return etcd__sink_call(client, &unary_alarm_list, &request, call, sink, err);
}

int etcd_alarm_list(etcd_client *client, const etcd_call_options *call, etcd_alarm_response **out, etcd_error *err)
{
    return alarm_list(client, call, etcd__sink_out(out), err);
}

int etcd_alarm_list_async(etcd_client *client, const etcd_call_options *call, etcd_alarm_list_fn done, void *arg,
                          etcd_call_id *id, etcd_error *err)
{
    return alarm_list(client, call, ETCD__SINK_DONE(done, arg, id), err);
}

/* Disarming all is one call of several round trips: it lists the alarms, then disarms one after the other. Its response is made
 * in the memory of the list. */
struct disarming {
    etcd_alarm_response result; /* first: what the user gets; without header, as the Go client's */
    etcd_alarm_member *disarmed;
    const etcd_alarm_member *listed;
    size_t n_listed, n_done;
    etcd__alarm_request request;
};

static int begin_disarming(void **result, etcd_alarm_response *list, etcd_error *err)
{
    struct disarming *all = etcd__response_wrap(list, sizeof *all);
    etcd_alarm_member *room = etcd__arena_calloc(etcd__response_arena(list), list->n_alarms + 1, sizeof *room);

    if (all == NULL || room == NULL) {
        etcd_response_free(list);
        return etcd__error_no_memory(err);
    }
    all->result.alarms = all->disarmed = room;
    all->listed = list->alarms;
    all->n_listed = list->n_alarms;
    *result = all;
    return ETCD_OK;
}

/* The answer for the alarm that was asked for last: it names that alarm unless it was gone before. */
static void note_disarmed(struct disarming *all, etcd_alarm_response *response)
{
    if (response->n_alarms > 0)
        all->disarmed[all->result.n_alarms++] = all->listed[all->n_done];
    all->n_done++;
    etcd_response_free(response);
}

static int next_to_disarm(void **result, void *response, const void **request, etcd_error *err)
{
    struct disarming *all = *result;
    int rc = ETCD_OK;

    if (all != NULL)
        note_disarmed(all, response);
    else
        rc = begin_disarming(result, response, err);
    all = *result;
    if (rc < 0 || all->n_done == all->n_listed)
        return rc;
    all->request = (etcd__alarm_request){.action = ETCD_ALARM_DEACTIVATE,
                                         .member_id = all->listed[all->n_done].member_id,
                                         .alarm = all->listed[all->n_done].alarm};
    *request = &all->request;
    return ETCD_OK;
}

static const etcd__unary unary_alarm_disarm_all = {.rpc = ETCD__RPC_ALARM,
                                                   .read_only = true,
                                                   .call_type = ETCD_CALL_ALARM_DISARM,
                                                   .deliver = deliver_alarm_disarm,
                                                   .next = next_to_disarm};

/* GO-DIFF: the Go client sends a member without a kind, or a kind without a member, and the server disarms nothing. */
static int alarm_disarm(etcd_client *client, uint64_t member_id, int32_t alarm, const etcd_call_options *call, etcd__sink sink,
                        etcd_error *err)
{
    static const etcd__alarm_request list = {.action = ETCD_ALARM_GET};
    const etcd__alarm_request request = {.action = ETCD_ALARM_DEACTIVATE, .member_id = member_id, .alarm = alarm};

    if ((member_id == 0) != (alarm == ETCD_ALARM_NONE))
        return etcd__error_set(
            err, ETCD_ERR_ARGUMENT,
            "member_id 0 and ETCD_ALARM_NONE go together, for all alarms: give a member and a kind, or neither");
    if (member_id == 0)
        return etcd__sink_call(client, &unary_alarm_disarm_all, &list, call, sink, err);
    return etcd__sink_call(client, &unary_alarm_disarm, &request, call, sink, err);
}

int etcd_alarm_disarm(etcd_client *client, uint64_t member_id, int32_t alarm, const etcd_call_options *call,
                      etcd_alarm_response **out, etcd_error *err)
{
    return alarm_disarm(client, member_id, alarm, call, etcd__sink_out(out), err);
}

int etcd_alarm_disarm_async(etcd_client *client, uint64_t member_id, int32_t alarm, const etcd_call_options *call,
                            etcd_alarm_disarm_fn done, void *arg, etcd_call_id *id, etcd_error *err)
{
    return alarm_disarm(client, member_id, alarm, call, ETCD__SINK_DONE(done, arg, id), err);
}

/* --- one member --- */

static int defragment(etcd_client *client, const char *endpoint, const etcd_call_options *call, etcd__sink sink, etcd_error *err)
{
    etcd_call_options to;
    int rc = etcd__request_to(endpoint, call, &to, err);

    return rc < 0 ? rc : etcd__sink_call(client, &unary_defragment, &(const etcd__empty){0}, &to, sink, err);
}

int etcd_defragment(etcd_client *client, const char *endpoint, const etcd_call_options *call, etcd_defragment_response **out,
                    etcd_error *err)
{
    return defragment(client, endpoint, call, etcd__sink_out(out), err);
}

int etcd_defragment_async(etcd_client *client, const char *endpoint, const etcd_call_options *call, etcd_defragment_fn done,
                          void *arg, etcd_call_id *id, etcd_error *err)
{
    return defragment(client, endpoint, call, ETCD__SINK_DONE(done, arg, id), err);
}

static int status(etcd_client *client, const char *endpoint, const etcd_call_options *call, etcd__sink sink, etcd_error *err)
{
    etcd_call_options to;
    int rc = etcd__request_to(endpoint, call, &to, err);

    return rc < 0 ? rc : etcd__sink_call(client, &unary_status, &(const etcd__empty){0}, &to, sink, err);
}

int etcd_status(etcd_client *client, const char *endpoint, const etcd_call_options *call, etcd_status_response **out,
                etcd_error *err)
{
    return status(client, endpoint, call, etcd__sink_out(out), err);
}

int etcd_status_async(etcd_client *client, const char *endpoint, const etcd_call_options *call, etcd_status_fn done, void *arg,
                      etcd_call_id *id, etcd_error *err)
{
    return status(client, endpoint, call, ETCD__SINK_DONE(done, arg, id), err);
}

static int hash(etcd_client *client, const char *endpoint, const etcd_call_options *call, etcd__sink sink, etcd_error *err)
{
    etcd_call_options to;
    int rc = etcd__request_to(endpoint, call, &to, err);

    return rc < 0 ? rc : etcd__sink_call(client, &unary_hash, &(const etcd__empty){0}, &to, sink, err);
}

int etcd_hash(etcd_client *client, const char *endpoint, const etcd_call_options *call, etcd_hash_response **out, etcd_error *err)
{
    return hash(client, endpoint, call, etcd__sink_out(out), err);
}

int etcd_hash_async(etcd_client *client, const char *endpoint, const etcd_call_options *call, etcd_hash_fn done, void *arg,
                    etcd_call_id *id, etcd_error *err)
{
    return hash(client, endpoint, call, ETCD__SINK_DONE(done, arg, id), err);
}

static int hash_kv(etcd_client *client, const char *endpoint, int64_t revision, const etcd_call_options *call, etcd__sink sink,
                   etcd_error *err)
{
    const etcd__hash_kv_request request = {.revision = revision};
    etcd_call_options to;
    int rc = etcd__request_to(endpoint, call, &to, err);

    return rc < 0 ? rc : etcd__sink_call(client, &unary_hash_kv, &request, &to, sink, err);
}

int etcd_hash_kv(etcd_client *client, const char *endpoint, int64_t revision, const etcd_call_options *call,
                 etcd_hash_kv_response **out, etcd_error *err)
{
    return hash_kv(client, endpoint, revision, call, etcd__sink_out(out), err);
}

int etcd_hash_kv_async(etcd_client *client, const char *endpoint, int64_t revision, const etcd_call_options *call,
                       etcd_hash_kv_fn done, void *arg, etcd_call_id *id, etcd_error *err)
{
    return hash_kv(client, endpoint, revision, call, ETCD__SINK_DONE(done, arg, id), err);
}

/* --- the cluster --- */

static int move_leader(etcd_client *client, uint64_t member_id, const etcd_call_options *call, etcd__sink sink, etcd_error *err)
{
    const etcd__move_leader_request request = {.target_id = member_id};

    return etcd__sink_call(client, &unary_move_leader, &request, call, sink, err);
}

int etcd_move_leader(etcd_client *client, uint64_t member_id, const etcd_call_options *call, etcd_move_leader_response **out,
                     etcd_error *err)
{
    return move_leader(client, member_id, call, etcd__sink_out(out), err);
}

int etcd_move_leader_async(etcd_client *client, uint64_t member_id, const etcd_call_options *call, etcd_move_leader_fn done,
                           void *arg, etcd_call_id *id, etcd_error *err)
{
    return move_leader(client, member_id, call, ETCD__SINK_DONE(done, arg, id), err);
}

static int downgrade(etcd_client *client, int32_t action, const char *version, const etcd_call_options *call, etcd__sink sink,
                     etcd_error *err)
{
    const etcd__unary *unary = action == ETCD_DOWNGRADE_VALIDATE ? &unary_downgrade_validate : &unary_downgrade;
    etcd__downgrade_request request = {.action = action};
    int rc;

    if (action < ETCD_DOWNGRADE_VALIDATE || action > ETCD_DOWNGRADE_CANCEL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "etcdclient: unknown downgrade action");
    if (action == ETCD_DOWNGRADE_CANCEL && version == NULL)
        version = "";
    rc = etcd__request_text("version", version, &request.version, err);
    return rc < 0 ? rc : etcd__sink_call(client, unary, &request, call, sink, err);
}

int etcd_downgrade(etcd_client *client, int32_t action, const char *version, const etcd_call_options *call,
                   etcd_downgrade_response **out, etcd_error *err)
{
    return downgrade(client, action, version, call, etcd__sink_out(out), err);
}

int etcd_downgrade_async(etcd_client *client, int32_t action, const char *version, const etcd_call_options *call,
                         etcd_downgrade_fn done, void *arg, etcd_call_id *id, etcd_error *err)
{
    return downgrade(client, action, version, call, ETCD__SINK_DONE(done, arg, id), err);
}
