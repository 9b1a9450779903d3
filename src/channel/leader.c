/* See leader.h. One Status call is under way at a time: first for peers whose member id is unknown, then round
 * robin. */
#include "channel/leader.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "channel/channel.h"
#include "wire/response.h"

#include <string.h>

#define INTERVAL (3 * ETCD__SECOND)
#define PAUSE (50 * ETCD__MS) /* between two questions, however often a refresh is asked for */
#define TIMEOUT (2 * ETCD__SECOND)

struct etcd__leader {
    struct etcd__channel *channel;
    etcd__loop *loop;
    etcd__peers *peers;
    etcd__timer timer;
    etcd__call call;
    char *endpoint;                     /* that is being asked */
    uint8_t request[ETCD__GRPC_PREFIX]; /* StatusRequest is empty */
    uint64_t leader_id;
    uint64_t term; /* in which that was the leader */
    size_t next;
    bool asking;
    bool stopped;
};

static etcd__peer *ready_item(etcd__leader *leader, bool unknown_only)
{
    for (size_t i = 0; i < leader->peers->n; i++) {
        size_t index = (leader->next + i) % leader->peers->n;
        etcd__peer *peer = leader->peers->items[index];

        if (etcd__peer_usable(peer) && (!unknown_only || peer->member_id == 0)) {
            leader->next = index + 1;
            return peer;
        }
    }
    return NULL;
}

/* Points the list at the peer that leads, as far as that is known. */
static void publish(etcd__leader *leader)
{
    const etcd__peer *before = leader->peers->leader;

    leader->peers->leader = NULL;
    for (size_t i = 0; i < leader->peers->n; i++)
        if (leader->leader_id != 0 && leader->peers->items[i]->member_id == leader->leader_id)
            leader->peers->leader = leader->peers->items[i];
    if (leader->peers->leader != before)
        etcd__log_write(etcd__channel_log(leader->channel), ETCD__LOG_DEBUG, "the leader is %s",
                        leader->peers->leader ? leader->peers->leader->endpoint.text : "at none of the endpoints");
}

static void learn(etcd__leader *leader, const etcd_status_response *status)
{
    for (size_t i = 0; i < leader->peers->n; i++)
        if (strcmp(leader->peers->items[i]->endpoint.text, leader->endpoint) == 0)
            leader->peers->items[i]->member_id = status->header.member_id;
    if (status->raft_term >= leader->term) {
        leader->term = status->raft_term;
        leader->leader_id = status->leader;
    }
    publish(leader);
}

static void on_answer(etcd__call *call)
{
    etcd__leader *leader = ETCD__CONTAINER_OF(call, etcd__leader, call);
    etcd__peer *unknown;
    void *status;

    leader->asking = false;
    if (call->code == ETCD_OK &&
        etcd__response_decode(call->method->response, call->response, call->response_len, &status, NULL) == ETCD_OK) {
        learn(leader, status);
        etcd_response_free(status);
    }
    etcd__free(call->error);
    etcd__free(leader->endpoint);
    leader->endpoint = NULL;
    unknown = ready_item(leader, true);
    if (!leader->stopped)
        etcd__loop_timer_start(leader->loop, &leader->timer,
                               etcd__clock_monotonic() + (unknown != NULL && call->code == ETCD_OK ? PAUSE : INTERVAL));
}

static void ask(etcd__leader *leader, etcd__peer *peer)
{
    leader->endpoint = etcd__strdup(peer->endpoint.text);
    if (leader->endpoint == NULL)
        return; /* the timer asks again */
    memset(&leader->call, 0, sizeof leader->call);
    leader->call.method = &etcd__rpc_methods[ETCD__RPC_STATUS];
    leader->call.body = leader->request;
    leader->call.body_len = sizeof leader->request;
    leader->call.deadline = etcd__clock_after(etcd__clock_monotonic(), TIMEOUT);
    leader->call.read_only = true;
    leader->call.no_retry = true;
    leader->call.endpoint = leader->endpoint;
    leader->call.on_done = on_answer;
    leader->asking = true;
    etcd__channel_start(leader->channel, &leader->call);
}

static void on_timer(void *arg)
{
    etcd__leader *leader = arg;
    etcd__peer *peer;

    if (leader->asking || leader->stopped)
        return;
    etcd__loop_timer_start(leader->loop, &leader->timer, etcd__clock_monotonic() + INTERVAL);
    peer = ready_item(leader, true);
    if (peer == NULL)
        peer = ready_item(leader, false);
    if (peer != NULL)
        ask(leader, peer);
}

void etcd__leader_refresh(etcd__leader *leader)
{
    int64_t soon = etcd__clock_monotonic() + PAUSE;

    publish(leader);
    if (!leader->stopped && !leader->asking && (!leader->timer.node.linked || leader->timer.node.key > soon))
        etcd__loop_timer_start(leader->loop, &leader->timer, soon);
}

void etcd__leader_stop(etcd__leader *leader)
{
    leader->stopped = true;
    etcd__loop_timer_stop(leader->loop, &leader->timer);
}

int etcd__leader_new(struct etcd__channel *channel, etcd__loop *loop, etcd__peers *peers, etcd__leader **out, etcd_error *err)
{
    etcd__leader *leader = etcd__calloc(1, sizeof *leader);

    *out = leader;
    if (leader == NULL)
        return etcd__error_no_memory(err);
    leader->channel = channel;
    leader->loop = loop;
    leader->peers = peers;
    leader->timer.fn = on_timer;
    leader->timer.arg = leader;
    etcd__grpc_prefix_write(leader->request, 0);
    return ETCD_OK;
}

void etcd__leader_free(etcd__leader *leader)
{
    if (leader == NULL)
        return;
    etcd__leader_stop(leader);
    etcd__free(leader->endpoint);
    etcd__free(leader);
}
