/* See peers.h. */
#include "channel/peers.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "net/tls.h"

#include <string.h>

#define GUEST_IDLE (10 * ETCD__SECOND) /* a guest's connection is kept that long after its last call */

/* --- events of peers -------------------------------------------------------------------------- */

static void on_usable(void *arg, etcd__peer *peer)
{
    etcd__peers *peers = arg;

    (void)peer;
    peers->on_usable(peers->arg);
}

static void on_state(void *arg, etcd__peer *peer)
{
    etcd__peers *peers = arg;

    (void)peer;
    peers->on_state(peers->arg);
}

static void on_suspect(void *arg, etcd__peer *peer)
{
    etcd__peers *peers = arg;

    peers->on_suspect(peers->arg, peer);
}

static void on_retired(void *arg, etcd__peer *peer)
{
    (void)arg;
    etcd__peer_free(peer, false);
}

static const etcd__peer_events events = {on_usable, on_state, on_suspect, on_retired};

static void retire(etcd__peers *peers, etcd__peer *peer)
{
    etcd__list_remove(&peer->node);
    etcd__list_push_back(&peers->retiring, &peer->node);
    etcd__peer_retire(peer);
}

/* --- guests ----------------------------------------------------------------------------------- */

/* Those that had no call for long enough go; the others are looked at when the first of them is due. */
static void on_guest_timer(void *arg)
{
    etcd__peers *peers = arg;
    int64_t now = etcd__loop_now(peers->loop), due = ETCD__NEVER;
    etcd__list *node, *next;

    for (node = peers->guests.next; node != &peers->guests; node = next) {
        etcd__peer *peer = ETCD__CONTAINER_OF(node, etcd__peer, node);
        int64_t until = etcd__clock_after(peer->released, peers->guest_idle);

        next = node->next;
        if (peer->users > 0)
            continue;
        if (until <= now)
            retire(peers, peer);
        else if (until < due)
            due = until;
    }
    if (due != ETCD__NEVER)
        etcd__loop_timer_start(peers->loop, &peers->guest_timer, due);
}

void etcd__peers_release(etcd__peers *peers, etcd__peer *peer)
{
    peer->users--;
    if (peer->users > 0 || etcd__list_empty(&peers->guests))
        return;
    peer->released = etcd__loop_now(peers->loop);
    if (!peers->guest_timer.node.linked)
        etcd__loop_timer_start(peers->loop, &peers->guest_timer, etcd__clock_after(peer->released, peers->guest_idle));
}

/* --- the list --------------------------------------------------------------------------------- */

int etcd__peers_use_tls(etcd__peers *peers, const etcd_tls_options *options, etcd_error *err)
{
    return options ? etcd__tls_new(options, &peers->tls, err) : ETCD_OK;
}

void etcd__peers_init(etcd__peers *peers, etcd__loop *loop, const etcd__peer_config *config, etcd__random *random,
                      void (*usable)(void *arg), void (*state)(void *arg), void (*suspect)(void *arg, etcd__peer *peer),
                      void *arg)
{
    peers->loop = loop;
    peers->config = config;
    peers->random = random;
    peers->on_usable = usable;
    peers->on_state = state;
    peers->on_suspect = suspect;
    peers->arg = arg;
    peers->guest_idle = GUEST_IDLE;
    peers->guest_timer.fn = on_guest_timer;
    peers->guest_timer.arg = peers;
    etcd__list_init(&peers->guests);
    etcd__list_init(&peers->retiring);
}

/* Each endpoint's own scheme decides (P12). GO-DIFF: in the Go client the first one's scheme decides for all. */
static int decide_tls(etcd__peers *peers, etcd__endpoint *endpoint, etcd_error *err)
{
    int rc = ETCD_OK;

    endpoint->tls = endpoint->creds == ETCD__CREDS_TLS || (endpoint->creds == ETCD__CREDS_OPTIONAL && peers->tls != NULL);
    if (endpoint->tls && peers->tls == NULL)
        rc = etcd__tls_new(NULL, &peers->tls, err);
    endpoint->target.tls = endpoint->tls ? peers->tls : NULL;
    endpoint->target.server_name = endpoint->target.kind == ETCD__TARGET_TCP ? endpoint->target.host : endpoint->authority;
    endpoint->target.log = &peers->config->log;
    endpoint->target.label = endpoint->text;
    endpoint->target.unacknowledged = peers->config->unacknowledged;
    return rc;
}

/* P13: a token must not cross a network in the clear. */
static int check_secrecy(const etcd__peers *peers, const etcd__endpoint *endpoint, etcd_error *err)
{
    if (!peers->config->sends_secrets || endpoint->tls || etcd__endpoint_is_local(endpoint))
        return ETCD_OK;
    return etcd__error_set(err, ETCD_ERR_ARGUMENT,
                           "endpoint \"%s\": passwords and tokens are not sent over plain http to another host: use https, "
                           "or set allow_plain_auth",
                           endpoint->text);
}

static int make_peer(etcd__peers *peers, etcd__endpoint *endpoint, etcd__peer **out, etcd_error *err)
{
    int rc = decide_tls(peers, endpoint, err);

    if (rc == ETCD_OK)
        rc = check_secrecy(peers, endpoint, err);
    if (rc < 0)
        return rc;
    *out = etcd__peer_new(endpoint, peers->loop, peers->config, peers->random, &events, peers);
    return *out ? ETCD_OK : etcd__error_no_memory(err);
}

static etcd__peer *find_item(const etcd__peers *peers, const char *text)
{
    for (size_t i = 0; i < peers->n; i++)
        if (strcmp(peers->items[i]->endpoint.text, text) == 0)
            return peers->items[i];
    return NULL;
}

static etcd__peer *find_guest(const etcd__peers *peers, const char *text)
{
    for (etcd__list *node = peers->guests.next; node != &peers->guests; node = node->next) {
        etcd__peer *peer = ETCD__CONTAINER_OF(node, etcd__peer, node);

        if (strcmp(peer->endpoint.text, text) == 0)
            return peer;
    }
    return NULL;
}

static bool listed(etcd__peer *const *items, size_t n, const char *text)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(items[i]->endpoint.text, text) == 0)
            return true;
    return false;
}

/* The peers for a new list, each endpoint once: those that exist, and new ones, which are unlinked until the list
 * takes effect. */
static int collect(etcd__peers *peers, etcd__endpoint *endpoints, size_t n, etcd__peer **items, size_t *n_items, etcd_error *err)
{
    for (size_t i = 0; i < n; i++) {
        const char *text = endpoints[i].text;
        etcd__peer *peer;
        int rc;

        if (listed(items, *n_items, text))
            continue;
        peer = find_item(peers, text);
        if (peer == NULL)
            peer = find_guest(peers, text);
        rc = peer ? ETCD_OK : make_peer(peers, &endpoints[i], &peer, err);
        if (rc < 0)
            return rc;
        items[(*n_items)++] = peer;
    }
    return ETCD_OK;
}

static bool is_new(const etcd__peers *peers, const etcd__peer *peer)
{
    return find_item(peers, peer->endpoint.text) != peer && find_guest(peers, peer->endpoint.text) != peer;
}

static void adopt(etcd__peers *peers, etcd__peer **items, size_t n)
{
    etcd__peer **old = peers->items;
    size_t n_old = peers->n;

    for (size_t i = 0; i < n_old; i++)
        old[i]->removed = true;
    for (size_t i = 0; i < n; i++) {
        items[i]->removed = false;
        etcd__list_remove(&items[i]->node); /* no guest any more */
    }
    peers->items = items;
    peers->n = n;
    peers->next = (size_t)etcd__random_below(peers->random, n);
    peers->leader = NULL;
    for (size_t i = 0; i < n_old; i++)
        if (old[i]->removed && old[i]->users > 0)
            etcd__list_push_back(&peers->guests, &old[i]->node);
        else if (old[i]->removed)
            retire(peers, old[i]);
    etcd__free(old);
    for (size_t i = 0; i < n; i++)
        etcd__peer_connect(items[i]);
}

int etcd__peers_set(etcd__peers *peers, const char *text, etcd_error *err)
{
    etcd__endpoint *endpoints = NULL;
    etcd__peer **items = NULL;
    size_t n = 0, n_items = 0;
    int rc;

    if (text == NULL)
        return etcd__error_set(err, ETCD_ERR_NO_ENDPOINTS, "%s", etcd_error_text(ETCD_ERR_NO_ENDPOINTS));
    rc = etcd__endpoint_list_parse(text, strlen(text), &endpoints, &n, err);
    if (rc < 0)
        return rc;
    items = etcd__calloc(n, sizeof(etcd__peer *));
    rc = items ? collect(peers, endpoints, n, items, &n_items, err) : etcd__error_no_memory(err);
    if (rc == ETCD_OK) {
        adopt(peers, items, n_items);
    } else {
        for (size_t i = 0; i < n_items; i++)
            if (is_new(peers, items[i]))
                etcd__peer_free(items[i], false);
        etcd__free(items);
    }
    etcd__endpoint_list_free(endpoints, n);
    return rc;
}

/* --- choosing --------------------------------------------------------------------------------- */

static etcd__peer *pick_round_robin(etcd__peers *peers, bool healthy_only, int64_t now)
{
    for (size_t i = 0; i < peers->n; i++) {
        size_t index = (peers->next + i) % peers->n;
        etcd__peer *peer = peers->items[index];

        if (etcd__peer_usable(peer) && (!healthy_only || etcd__peer_healthy(peer, now))) {
            peers->next = index + 1;
            return peer;
        }
    }
    return NULL;
}

etcd__peer *etcd__peers_pick(etcd__peers *peers, bool leader_first)
{
    int64_t now = etcd__loop_now(peers->loop);
    etcd__peer *peer;

    if (leader_first && peers->leader != NULL && etcd__peer_usable(peers->leader) && etcd__peer_healthy(peers->leader, now))
        return peers->leader;
    peer = pick_round_robin(peers, true, now);
    return peer ? peer : pick_round_robin(peers, false, now);
}

int etcd__peers_find(etcd__peers *peers, const char *text, etcd__peer **out, etcd_error *err)
{
    etcd__endpoint endpoint = {0};
    int rc = etcd__endpoint_parse(text, strlen(text), &endpoint, err);

    if (rc < 0)
        return rc;
    *out = find_item(peers, endpoint.text);
    if (*out == NULL)
        *out = find_guest(peers, endpoint.text);
    if (*out == NULL) {
        rc = make_peer(peers, &endpoint, out, err);
        if (rc == ETCD_OK) {
            etcd__list_push_back(&peers->guests, &(*out)->node);
            etcd__peer_connect(*out);
        }
    }
    etcd__endpoint_free(&endpoint);
    return rc;
}

static void free_list(etcd__list *list, bool politely)
{
    while (!etcd__list_empty(list))
        etcd__peer_free(ETCD__CONTAINER_OF(list->next, etcd__peer, node), politely); /* unlinks itself */
}

void etcd__peers_close(etcd__peers *peers, bool politely)
{
    if (peers->loop == NULL)
        return;
    etcd__loop_timer_stop(peers->loop, &peers->guest_timer);
    free_list(&peers->guests, politely);
    free_list(&peers->retiring, politely);
    for (size_t i = 0; i < peers->n; i++)
        etcd__peer_free(peers->items[i], politely);
    etcd__free(peers->items);
    peers->items = NULL;
    peers->n = 0;
    etcd__tls_free(peers->tls);
    peers->tls = NULL;
}
