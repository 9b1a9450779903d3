/* See sync.h. One MemberList at a time; a failure is logged and forgotten: the next one comes.
 *
 * An answer takes effect in a task of its own: the connection that it came over may be one that goes, and is at work on it. */
#include "channel/sync.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "channel/channel.h"
#include "wire/response.h"

#include <string.h>

#define TIMEOUT (5 * ETCD__SECOND)
#define MAX_LIST ((size_t)1 << 20)

struct etcd__sync {
    struct etcd__channel *channel;
    etcd__loop *loop;
    int64_t interval;
    etcd__timer timer;
    etcd__call call;
    etcd__task answered; /* `call` has ended */
    bool asking;         /* until its answer took effect */
    bool stopped;
    uint8_t request[ETCD__GRPC_PREFIX + 2]; /* MemberListRequest{linearizable: true} */
};

static int append_urls(etcd__buf *list, const etcd_member *member)
{
    int rc = ETCD_OK;

    if (member->name.len == 0 || member->is_learner)
        return ETCD_OK;
    for (size_t i = 0; i < member->n_client_urls && rc == ETCD_OK; i++) {
        if (list->len > 0)
            rc = etcd__buf_append(list, ",", 1);
        if (rc == ETCD_OK)
            rc = etcd__buf_append(list, member->client_urls[i].data, member->client_urls[i].len);
    }
    return rc;
}

int etcd__sync_endpoints(const etcd_member_list_response *members, char **out, etcd_error *err)
{
    etcd__buf list = ETCD__BUF_INIT(MAX_LIST);
    int rc = ETCD_OK;

    *out = NULL;
    for (size_t i = 0; i < members->n_members && rc == ETCD_OK; i++)
        rc = append_urls(&list, &members->members[i]);
    if (rc == ETCD_OK && list.len == 0)
        return etcd__error_set(err, ETCD_ERR_NO_ENDPOINTS, "%s: no member advertises a client URL",
                               etcd_error_text(ETCD_ERR_NO_ENDPOINTS));
    if (rc == ETCD_OK)
        rc = etcd__buf_append(&list, "", 1);
    if (rc < 0) {
        etcd__buf_free(&list);
        return etcd__error_set(err, rc, "%s", etcd_error_text(rc));
    }
    *out = (char *)list.data;
    return ETCD_OK;
}

static void log_failure(const etcd__sync *sync, const etcd_error *err)
{
    etcd__log_write(etcd__channel_log(sync->channel), ETCD__LOG_WARN, "the list of endpoints stays as it is: %s",
                    err != NULL ? err->message : etcd_error_text(ETCD_ERR_NO_MEMORY));
}

static int apply(etcd__sync *sync, const etcd_member_list_response *members, etcd_error *err)
{
    char *endpoints;
    int rc = etcd__sync_endpoints(members, &endpoints, err);

    if (rc == ETCD_OK)
        rc = etcd__channel_set_endpoints(sync->channel, endpoints, err);
    etcd__free(endpoints);
    return rc;
}

static void forget_answer(etcd__sync *sync)
{
    etcd__free(sync->call.error);
    etcd__free(sync->call.response);
    sync->call.error = NULL;
    sync->call.response = NULL;
}

static void take_answer(void *arg)
{
    etcd__sync *sync = arg;
    uint8_t *body = sync->call.response;
    void *members = NULL;
    etcd_error err;
    int rc;

    etcd__list_remove(&sync->answered.node);
    sync->asking = false;
    etcd__loop_timer_start(sync->loop, &sync->timer, etcd__clock_after(etcd__clock_monotonic(), sync->interval));
    if (sync->call.code != ETCD_OK) {
        log_failure(sync, sync->call.error);
        forget_answer(sync);
        return;
    }
    sync->call.response = NULL;
    rc = etcd__response_decode(sync->call.method->response, body, sync->call.response_len, &members, &err);
    if (rc == ETCD_OK)
        rc = apply(sync, members, &err);
    if (rc < 0)
        log_failure(sync, &err);
    etcd_response_free(members);
}

static void on_answer(etcd__call *call)
{
    etcd__sync *sync = ETCD__CONTAINER_OF(call, etcd__sync, call);

    if (sync->stopped)
        forget_answer(sync);
    else
        etcd__loop_defer(sync->loop, &sync->answered);
}

static void on_timer(void *arg)
{
    etcd__sync *sync = arg;
    const etcd__rpc_method *method = &etcd__rpc_methods[ETCD__RPC_MEMBER_LIST];

    if (sync->asking || sync->stopped)
        return;
    memset(&sync->call, 0, sizeof sync->call);
    sync->call.method = method;
    sync->call.body = sync->request;
    sync->call.body_len = sizeof sync->request;
    sync->call.deadline = etcd__clock_after(etcd__clock_monotonic(), TIMEOUT);
    sync->call.read_only = true;
    sync->call.on_done = on_answer;
    sync->asking = true;
    etcd__channel_start(sync->channel, &sync->call);
}

int etcd__sync_new(struct etcd__channel *channel, etcd__loop *loop, int64_t interval, etcd__sync **out, etcd_error *err)
{
    const etcd__member_list_request request = {.linearizable = true};
    etcd__sync *sync = etcd__calloc(1, sizeof *sync);

    *out = sync;
    if (sync == NULL)
        return etcd__error_no_memory(err);
    sync->channel = channel;
    sync->loop = loop;
    sync->interval = interval;
    sync->timer.fn = on_timer;
    sync->timer.arg = sync;
    etcd__list_init(&sync->answered.node);
    sync->answered.fn = take_answer;
    sync->answered.arg = sync;
    etcd__grpc_prefix_write(sync->request, sizeof sync->request - ETCD__GRPC_PREFIX);
    etcd__pb_encode(&etcd__member_list_request_type, &request, sync->request + ETCD__GRPC_PREFIX,
                    sizeof sync->request - ETCD__GRPC_PREFIX);
    etcd__loop_timer_start(loop, &sync->timer, etcd__clock_after(etcd__clock_monotonic(), interval));
    return ETCD_OK;
}

void etcd__sync_stop(etcd__sync *sync)
{
    sync->stopped = true;
    etcd__loop_timer_stop(sync->loop, &sync->timer);
    if (etcd__list_empty(&sync->answered.node))
        return; /* no answer waits; a call under way is the channel's to end */
    etcd__list_remove(&sync->answered.node);
    forget_answer(sync);
}

void etcd__sync_free(etcd__sync *sync)
{
    if (sync == NULL)
        return;
    etcd__sync_stop(sync);
    etcd__free(sync);
}
