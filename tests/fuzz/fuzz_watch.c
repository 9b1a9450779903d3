/* The state machine of watches and a server that says anything, in any order, while watches come and go. The input is a
 * sequence of steps, each of two bytes (what, how many bytes follow) and what follows. Whatever is said: revisions never go
 * back, an end is told once, and nothing is lost of memory. */
#include "fuzz/fuzz.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "service/watch_core.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { WATCHERS = 4, MAX_STEP = 200 };

typedef struct user {
    etcd__watcher watcher; /* first */
    bool in, listing;
    int64_t last; /* revision that was delivered */
    etcd__list queue;
    size_t buffered;
} user;

static etcd__watch_core core;
static user users[WATCHERS];
static bool open_asked, open_now, probing, vouching;
static int64_t now, wake;
static size_t total;
static uint8_t moods; /* what the world answers */

static void require(bool condition)
{
    if (!condition)
        abort();
}

static user *user_of(etcd__watcher *watcher)
{
    return (user *)watcher;
}

static void op_open(etcd__watch_core *c)
{
    (void)c;
    require(!open_asked && !open_now);
    open_asked = true;
}

static void op_close(etcd__watch_core *c)
{
    (void)c;
    require(open_asked || open_now);
    open_asked = open_now = vouching = false;
}

static int op_send(etcd__watch_core *c, const etcd__watch_request *request)
{
    (void)c;
    (void)request;
    require(open_now);
    return moods & 1 ? ETCD_ERR_NO_MEMORY : ETCD_OK;
}

static bool op_renew(etcd__watch_core *c, int code)
{
    (void)c;
    (void)code;
    return moods & 2;
}

static void op_wake(etcd__watch_core *c, int64_t when)
{
    (void)c;
    wake = when;
}

static int op_deliver(etcd__watcher *watcher, etcd__watch_delivery *delivery)
{
    const etcd_watch_response *response = &delivery->response;
    user *u = user_of(watcher);

    require(u->in);
    if (moods & 4)
        return ETCD_ERR_NO_MEMORY;
    if (response->type == ETCD_WATCH_GAP) {
        require(watcher->relist);
        u->last = 0; /* what it knew is forgotten */
    }
    for (size_t i = 0; i < response->n_events; i++) {
        int64_t revision = response->events[i].kv->mod_revision;

        require(revision >= watcher->start_revision && (i == 0 ? revision > u->last : revision >= u->last));
        u->last = revision;
    }
    etcd__list_push_back(&u->queue, &delivery->node);
    u->buffered += delivery->bytes;
    total += delivery->bytes;
    return ETCD_OK;
}

static void op_moved(etcd__watcher *watcher)
{
    require(watcher->next > 0);
}

static void op_ended(etcd__watcher *watcher, const etcd_error *why)
{
    require(user_of(watcher)->in && why->code != ETCD_OK && why->message[0] != '\0');
    user_of(watcher)->in = false;
}

static size_t op_buffered(const etcd__watcher *watcher)
{
    return ((const user *)watcher)->buffered;
}

static size_t op_buffered_in_all(const etcd__watch_core *c)
{
    (void)c;
    return total;
}

static int op_list(etcd__watcher *watcher, const etcd__range_request *request)
{
    (void)request;
    require(!user_of(watcher)->listing);
    user_of(watcher)->listing = !(moods & 8);
    return moods & 8 ? ETCD_ERR_NO_MEMORY : ETCD_OK;
}

static void op_unlist(etcd__watcher *watcher)
{
    require(user_of(watcher)->listing);
    user_of(watcher)->listing = false;
}

static int op_probe(etcd__watch_core *c, const etcd__range_request *request)
{
    (void)c;
    (void)request;
    require(!probing);
    probing = !(moods & 8);
    return moods & 8 ? ETCD_ERR_NO_MEMORY : ETCD_OK;
}

static void op_unprobe(etcd__watch_core *c)
{
    (void)c;
    probing = false;
}

static int op_vouch(etcd__watch_core *c)
{
    (void)c;
    require(open_now && !vouching);
    vouching = !(moods & 8);
    return moods & 8 ? ETCD_ERR_NO_MEMORY : ETCD_OK;
}

static const etcd__watch_ops ops = {
    op_open,     op_close,           op_send, op_renew,  op_wake,  op_deliver, op_moved, op_ended,
    op_buffered, op_buffered_in_all, op_list, op_unlist, op_probe, op_unprobe, op_vouch,
};

static void take(user *u, bool tell)
{
    etcd__list *node = etcd__list_pop_front(&u->queue);
    etcd__watch_delivery *delivery;

    if (node == NULL)
        return;
    delivery = ETCD__CONTAINER_OF(node, etcd__watch_delivery, node);
    u->buffered -= delivery->bytes;
    total -= delivery->bytes;
    etcd_response_free(delivery);
    if (tell && u->in && u->watcher.wants_drain)
        etcd__watch_core_drained(&u->watcher, now);
}

static void come_or_go(user *u, uint8_t how)
{
    if (u->in) {
        etcd__watch_core_remove(&u->watcher, now);
        u->in = false;
        return;
    }
    while (!etcd__list_empty(&u->queue))
        take(u, false);
    memset(u, 0, sizeof *u);
    etcd__list_init(&u->queue);
    u->watcher.key = (etcd_bytes){"k", 1};
    u->watcher.range_end = (etcd_bytes){"l", 1};
    u->watcher.start_revision = how & 3;
    u->watcher.buffer_bytes = 2000;
    u->watcher.created_notify = how & 4;
    u->watcher.progress_notify = how & 8;
    u->watcher.relist = how & 16;
    u->watcher.report_connection = how & 32;
    u->watcher.canceled_notify = how & 64;
    u->in = true;
    require(etcd__watch_core_add(&core, &u->watcher, now) == ETCD_OK);
}

static uint8_t *encode(const etcd__pb_message *type, const void *message, size_t *len)
{
    uint8_t *data;

    *len = etcd__pb_encoded_size(type, message);
    data = etcd__malloc(*len + 1);
    require(data != NULL);
    etcd__pb_encode(type, message, data, *len);
    return data;
}

static void hear_raw(const uint8_t *data, size_t len)
{
    uint8_t *copy = etcd__malloc(len + 1);

    require(copy != NULL);
    memcpy(copy, data, len);
    etcd__watch_core_message(&core, copy, len, now);
}

/* A message to one of the watchers: flags, a revision, and one event for each byte that follows. */
static void hear(const uint8_t *data, size_t len)
{
    static const char *const reasons[] = {"",
                                          "rpc error: code = PermissionDenied desc = etcdserver: permission denied",
                                          "rpc error: code = Unauthenticated desc = etcdserver: invalid auth token",
                                          "mvcc: watcher range is empty",
                                          "etcdserver: mvcc: required revision has been compacted",
                                          "rpc error: code = Unavailable desc = etcdserver: no leader",
                                          "rpc error: code = ",
                                          "?"};
    const user *u = &users[len > 0 ? data[0] % WATCHERS : 0];
    uint8_t flags = len > 1 ? data[1] : 0, rest = len > 2 ? data[2] : 0;
    etcd__watch_response response = {.header.revision = rest};
    const char *reason = reasons[rest % 8];
    etcd_event events[MAX_STEP];
    etcd_kv kvs[MAX_STEP];
    int64_t revision = rest;
    uint8_t *message;
    size_t n = 0, size;

    response.watch_id = flags & 64 ? -1 : flags & 128 ? rest : u->watcher.id;
    response.created = flags & 1;
    response.canceled = flags & 2;
    response.fragment = flags & 4;
    response.compact_revision = flags & 8 ? rest : 0;
    if (flags & 16)
        response.cancel_reason = (etcd_bytes){reason, strlen(reason)};
    for (size_t i = 3; i < len; i++, n++) {
        revision += data[i] & 3;
        kvs[n] = (etcd_kv){.key = {"key", 3}, .mod_revision = data[i] & 128 ? data[i] - 128 : revision};
        events[n] = (etcd_event){.type = data[i] & 4, .kv = data[i] & 64 ? NULL : &kvs[n], .prev_kv = data[i] & 8 ? kvs : NULL};
    }
    response.events = events;
    response.n_events = n;
    message = encode(&etcd__watch_response_type, &response, &size);
    etcd__watch_core_message(&core, message, size, now);
}

static void answer_list(user *u, const uint8_t *data, size_t len)
{
    static const int codes[] = {ETCD_ERR_COMPACTED, ETCD_ERR_FUTURE_REV, ETCD_ERR_UNAVAILABLE, ETCD_ERR_PERMISSION_DENIED};
    etcd_kv kvs[8];
    etcd_get_response page = {.kvs = kvs};
    uint8_t first = len > 0 ? data[0] : 0, *message;
    etcd_error why;
    size_t size;

    if (!u->listing)
        return;
    u->listing = false;
    if (first & 1) {
        etcd__error_set(&why, codes[first >> 1 & 3], "no");
        why.flags = why.code == ETCD_ERR_UNAVAILABLE ? ETCD_ERROR_RETRYABLE : 0;
        etcd__watch_core_listed(&u->watcher, NULL, 0, &why, now);
        return;
    }
    page.header.revision = first;
    page.n_kvs = len > 1 ? data[1] % 8u : 0;
    page.more = first & 2;
    for (size_t i = 0; i < page.n_kvs; i++)
        kvs[i] = (etcd_kv){.key = {"key", 3}, .mod_revision = first};
    message = encode(&etcd__get_response_type, &page, &size);
    etcd__watch_core_listed(&u->watcher, message, size, NULL, now);
}

static void answer_probe(uint8_t how)
{
    etcd_error why;

    if (!probing)
        return;
    probing = false;
    etcd__error_set(&why, ETCD_ERR_UNAVAILABLE, "no");
    why.flags = how & 2 ? ETCD_ERROR_RETRYABLE : 0;
    etcd__watch_core_probed(&core, how, how & 1 ? &why : NULL, now);
}

static void answer_vouch(uint8_t how)
{
    if (!vouching)
        return;
    vouching = false;
    etcd__watch_core_vouched(&core, how & 3, now);
}

static void end_stream(uint8_t how)
{
    etcd_error why;

    if (!open_asked && !open_now)
        return;
    open_asked = open_now = vouching = false;
    etcd__error_set(&why, ETCD_ERR_UNAVAILABLE, "gone");
    etcd__watch_core_closed(&core, &why, how & 7, now);
}

static void step(uint8_t what, const uint8_t *data, size_t len)
{
    user *u = &users[what >> 4 & 3];
    uint8_t first = len > 0 ? data[0] : 0;

    switch (what & 15) {
    case 0:
        come_or_go(u, first);
        break;
    case 1:
        if (open_asked) {
            open_asked = false;
            open_now = true;
            etcd__watch_core_opened(&core, now);
        }
        break;
    case 2:
        end_stream(first);
        break;
    case 3:
        hear_raw(data, len);
        break;
    case 4:
        now += (int64_t)first * 20 * ETCD__MS;
        if (now >= wake)
            etcd__watch_core_tick(&core, now);
        break;
    case 5:
        take(u, true);
        break;
    case 6:
        answer_list(u, data, len);
        break;
    case 7:
        answer_probe(first);
        answer_vouch(first);
        break;
    case 8:
        etcd__watch_core_progress(&u->watcher, now);
        break;
    case 9:
        moods = first;
        break;
    default:
        hear(data, len);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    etcd_error why;
    size_t at = 0;

    open_asked = open_now = probing = vouching = false;
    now = ETCD__SECOND;
    wake = ETCD__NEVER;
    total = 0;
    moods = 0;
    etcd__watch_core_init(&core, &ops, 6000, 1);
    for (size_t i = 0; i < WATCHERS; i++) {
        memset(&users[i], 0, sizeof users[i]);
        etcd__list_init(&users[i].queue);
    }
    while (at + 2 <= size) {
        size_t len = data[at + 1] % MAX_STEP;

        if (len > size - at - 2)
            len = size - at - 2;
        step(data[at], data + at + 2, len);
        at += 2 + len;
    }
    etcd__error_set(&why, ETCD_ERR_CLOSED, "closed");
    etcd__watch_core_end(&core, &why);
    for (size_t i = 0; i < WATCHERS; i++) {
        require(!users[i].in && !users[i].listing);
        while (!etcd__list_empty(&users[i].queue))
            take(&users[i], false);
    }
    require(total == 0 && !open_asked && !open_now && !probing && core.n_wanting == 0);
    etcd__watch_core_free(&core);
    return 0;
}
