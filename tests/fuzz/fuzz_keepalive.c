/* A server of leases that says anything it likes, at any time, and users that come and go meanwhile. The input is a sequence of
 * steps, each of two bytes (what, how many bytes follow) and what follows. Nobody is told of a deadline that no answered request
 * and no user vouches for, everybody ends once, nothing is left. */
#include "fuzz/fuzz.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/list.h"
#include "service/keepalive_core.h"
#include "wire/messages.h"
#include "wire/pb.h"

#include <stdlib.h>
#include <string.h>

enum { USERS = 8, MAX_STEP = 64 };

typedef struct holder {
    etcd__keepalive_user user;
    bool in;
} holder;

static etcd__keepalive_core core;
static holder holders[USERS];
static int64_t now, vouched; /* the latest deadline that anything has given reason for */
static bool open, opening;
static int rooms;

static void require(bool condition)
{
    if (!condition)
        abort();
}

static holder *holder_of(etcd__keepalive_user *user)
{
    return ETCD__CONTAINER_OF(user, holder, user);
}

static void on_open(etcd__keepalive_core *c)
{
    (void)c;
    require(!open && !opening);
    opening = true;
}

static void on_give_up(etcd__keepalive_core *c)
{
    (void)c;
    require(open);
    open = false;
}

static void on_request(etcd__keepalive_core *c, int64_t id)
{
    require(open);
    require(etcd__keepalive_core_find(c, id) != NULL);
}

static bool on_flush(etcd__keepalive_core *c)
{
    (void)c;
    require(open);
    return true;
}

static void on_held(etcd__keepalive_user *user, int64_t deadline)
{
    require(holder_of(user)->in && !user->once);
    require(deadline <= vouched);
}

static void on_answer(etcd__keepalive_core *c, etcd__keepalive_user *user, const etcd_keepalive_response *response)
{
    (void)c;
    require(holder_of(user)->in && response->ttl_s > 0);
    if (user->once)
        holder_of(user)->in = false;
}

static void on_end(etcd__keepalive_core *c, etcd__keepalive_user *user, const etcd_error *why)
{
    (void)c;
    require(holder_of(user)->in && why->code != ETCD_OK);
    holder_of(user)->in = false;
}

static void on_release(etcd__keepalive_lease *lease)
{
    rooms--;
    etcd__free(lease);
}

static const etcd__keepalive_events events = {on_open, on_give_up, on_request, on_flush, on_held, on_answer, on_end, on_release};

static void vouch(int64_t deadline)
{
    if (deadline > vouched)
        vouched = deadline;
}

static void join_or_leave(const uint8_t *data, size_t len)
{
    holder *h = &holders[data[0] % USERS];
    int64_t claim = ETCD__NEVER;
    etcd__keepalive_lease *room;

    if (h->in) {
        etcd__keepalive_core_leave(&core, &h->user);
        h->in = false;
        return;
    }
    room = etcd__malloc(sizeof *room);
    require(room != NULL);
    rooms++;
    *h = (holder){.user.once = data[0] & 128, .in = true};
    if (len > 2 && !h->user.once) {
        claim = now + data[2] * 100 * ETCD__MS + 1;
        vouch(claim);
    }
    etcd__keepalive_core_join(&core, &h->user, len > 1 ? (int8_t)data[1] % 8 : 1, room, claim, now);
}

/* Bytes from the server. */
static void message(const uint8_t *data, size_t len)
{
    uint8_t copy[MAX_STEP + 1];
    etcd_keepalive_response response;
    const etcd__keepalive_lease *lease;
    int64_t ttl;

    if (!open)
        return;
    memcpy(copy, data, len);
    if (etcd__pb_decode(&etcd__keepalive_response_type, copy, len, NULL, &response, NULL) < 0)
        return;
    lease = etcd__keepalive_core_find(&core, response.id);
    ttl = response.ttl_s < INT64_MAX / 4 / ETCD__SECOND ? response.ttl_s : INT64_MAX / 4 / ETCD__SECOND;
    if (lease != NULL && lease->sent != 0 && ttl > 0)
        vouch(lease->sent + ttl * ETCD__SECOND);
    etcd__keepalive_core_answer(&core, &response, now);
}

static void lose(uint8_t how)
{
    static const int codes[] = {
        ETCD_OK,           ETCD_ERR_UNAVAILABLE, ETCD_ERR_INVALID_AUTH_TOKEN, ETCD_ERR_GRPC_PERMISSION_DENIED,
        ETCD_ERR_PROTOCOL, ETCD_ERR_NO_MEMORY,   ETCD_ERR_INTERNAL,           ETCD_ERR_NO_LEADER};
    etcd_error why;

    if (!open && !opening)
        return;
    open = opening = false;
    etcd__error_set(&why, codes[how % 8], "lost");
    etcd__keepalive_core_lost(&core, &why, how & 8, now);
}

static void step(uint8_t what, const uint8_t *data, size_t len)
{
    uint8_t first = len > 0 ? data[0] : 0;

    switch (what & 7) {
    case 0:
        now += (int64_t)first << (len > 1 ? data[1] % 32 : 24);
        break;
    case 1:
    case 2:
        if (len > 0)
            join_or_leave(data, len);
        break;
    case 3:
        if (opening) {
            opening = false;
            open = true;
            etcd__keepalive_core_opened(&core, now);
        }
        break;
    case 4:
        lose(first);
        break;
    case 5: /* to when something is due */
        if (etcd__keepalive_core_next(&core) < INT64_MAX / 2 && etcd__keepalive_core_next(&core) > now)
            now = etcd__keepalive_core_next(&core);
        break;
    default:
        message(data, len);
        break;
    }
    if (what & 8)
        return; /* more happens before it runs */
    etcd__keepalive_core_run(&core, now);
    require(etcd__keepalive_core_next(&core) > now);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    etcd_error why;
    size_t at = 0;

    memset(holders, 0, sizeof holders);
    now = ETCD__SECOND;
    vouched = 0;
    open = opening = false;
    rooms = 0;
    etcd__keepalive_core_init(&core, &events, size);
    while (at + 2 <= size) {
        size_t len = data[at + 1] % MAX_STEP;

        if (len > size - at - 2)
            len = size - at - 2;
        step(data[at], data + at + 2, len);
        at += 2 + len;
    }
    etcd__error_set(&why, ETCD_ERR_CLOSED, "closed");
    etcd__keepalive_core_close(&core, &why);
    for (int i = 0; i < USERS; i++)
        require(!holders[i].in);
    require(rooms == 0 && core.n_users == 0);
    etcd__keepalive_core_free(&core);
    return 0;
}
