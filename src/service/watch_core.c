/* The stream and the life of its watchers. See watch_core.h.
 *
 * Every function of the header ends with settle(): it opens or closes the stream, sends what may be sent, and says when to
 * wake. Creates are pipelined up to a bound, so that any number of watchers costs bounded memory on their way out. */
#include "service/watch_core.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"

#include <assert.h>
#include <string.h>

#define SLOT_BITS 24
#define SLOT_MASK ((INT64_C(1) << SLOT_BITS) - 1)
#define MAX_PENDING 4096                /* creates that were not answered */
#define MAX_PENDING_BYTES (1024 * 1024) /* of their keys */
#define FIRST_CAP 8
#define BACKOFF_BASE (5 * ETCD__MS)
#define BACKOFF_MAX ETCD__SECOND
#define BACKOFF_STEPS 16
#define BACKOFF_JITTER 0.5
#define STEADY ETCD__SECOND        /* a stream that lasted so long is no failure in a row */
#define FRESH (5 * ETCD__SECOND)   /* how long a renewed token is above suspicion */
#define ASK_AGAIN (500 * ETCD__MS) /* progress: servers do not answer while a watcher of the stream lags */

void etcd__watch_core_init(etcd__watch_core *core, const etcd__watch_ops *ops, size_t total_bytes, uint64_t seed)
{
    memset(core, 0, sizeof *core);
    core->ops = ops;
    core->total_bytes = total_bytes;
    core->max_part = SIZE_MAX;
    core->random.state = seed;
    core->progress_at = ETCD__NEVER;
    etcd__list_init(&core->queue);
    etcd__list_init(&core->doubted);
    etcd__list_init(&core->probing);
}

void etcd__watch_core_free(etcd__watch_core *core)
{
    etcd__free(core->slots);
    etcd__free(core->pending);
    core->slots = NULL;
    core->pending = NULL;
}

/* --- states ----------------------------------------------------------------------------------- */

static bool wants_stream(uint8_t state)
{
    return state == ETCD__WATCHER_QUEUED || state == ETCD__WATCHER_CREATING || state == ETCD__WATCHER_LIVE ||
           state == ETCD__WATCHER_DOUBTED;
}

void etcd__watcher_set_state(etcd__watcher *watcher, etcd__watcher_state state)
{
    etcd__watch_core *core = watcher->core;

    core->n_wanting -= wants_stream(watcher->state);
    core->n_wanting += wants_stream((uint8_t)state);
    etcd__list_remove(&watcher->node);
    etcd__heap_remove(&core->timers, &watcher->timer);
    atomic_store(&watcher->wants_drain, state == ETCD__WATCHER_BEHIND || state == ETCD__WATCHER_RESTING);
    if (state == ETCD__WATCHER_QUEUED)
        etcd__list_push_back(&core->queue, &watcher->node);
    else if (state == ETCD__WATCHER_DOUBTED)
        etcd__list_push_back(&core->doubted, &watcher->node);
    watcher->state = (uint8_t)state;
}

void etcd__watcher_wait(etcd__watcher *watcher, int64_t until)
{
    etcd__watcher_set_state(watcher, ETCD__WATCHER_WAITING);
    etcd__heap_insert(&watcher->core->timers, &watcher->timer, until);
}

int64_t etcd__watch_core_delay(etcd__watch_core *core, uint32_t failures)
{
    int64_t delay = BACKOFF_BASE;

    for (uint32_t i = 0; i < failures && i < BACKOFF_STEPS; i++)
        delay = delay * 8 / 5;
    return etcd__random_jitter(&core->random, delay < BACKOFF_MAX ? delay : BACKOFF_MAX, BACKOFF_JITTER);
}

/* --- slots and numbers ------------------------------------------------------------------------ */

static int grow_slots(etcd__watch_core *core)
{
    uint32_t cap = core->cap_slots > 0 ? core->cap_slots * 2 : FIRST_CAP;
    etcd__watch_slot *slots;

    if (core->n_slots < core->cap_slots)
        return ETCD_OK;
    if (cap > SLOT_MASK)
        return ETCD_ERR_NO_MEMORY;
    slots = etcd__realloc(core->slots, cap * sizeof *slots);
    if (slots == NULL)
        return ETCD_ERR_NO_MEMORY;
    core->slots = slots;
    core->cap_slots = cap;
    return ETCD_OK;
}

static int take_slot(etcd__watch_core *core, etcd__watcher *watcher)
{
    uint32_t i = core->free_slot;

    if (i > 0) {
        i--;
        core->free_slot = core->slots[i].next_free;
    } else {
        if (grow_slots(core) < 0)
            return ETCD_ERR_NO_MEMORY;
        i = core->n_slots++;
        core->slots[i].uses = 0;
    }
    core->slots[i].watcher = watcher;
    watcher->slot = i;
    return ETCD_OK;
}

static void give_slot(etcd__watch_core *core, uint32_t i)
{
    core->slots[i].watcher = NULL;
    core->slots[i].next_free = core->free_slot;
    core->free_slot = i + 1;
}

etcd__watcher *etcd__watch_core_find(const etcd__watch_core *core, int64_t id)
{
    uint32_t i = (uint32_t)(id & SLOT_MASK);

    if (id <= 0 && !core->serial)
        return NULL;
    if (i < core->n_slots && core->slots[i].watcher != NULL && core->slots[i].watcher->id == id &&
        wants_stream(core->slots[i].watcher->state))
        return core->slots[i].watcher;
    for (i = 0; core->serial && i < core->n_slots; i++)
        if (core->slots[i].watcher != NULL && core->slots[i].watcher->state == ETCD__WATCHER_LIVE &&
            core->slots[i].watcher->id == id)
            return core->slots[i].watcher;
    return NULL;
}

/* Whether a number is one that this machine has used: its cancel was sent. */
static bool was_ours(const etcd__watch_core *core, int64_t id)
{
    int64_t i = id & SLOT_MASK;

    return id > 0 && !core->serial && i < core->n_slots && id >> SLOT_BITS <= core->slots[i].uses && id >> SLOT_BITS > 0;
}

/* --- creates that were not answered ----------------------------------------------------------- */

static int push_pending(etcd__watch_core *core, int64_t id)
{
    size_t cap = core->pending_cap > 0 ? core->pending_cap * 2 : FIRST_CAP;
    int64_t *ring;

    if (core->n_pending == core->pending_cap) {
        ring = etcd__malloc(cap * sizeof *ring);
        if (ring == NULL)
            return ETCD_ERR_NO_MEMORY;
        for (size_t i = 0; i < core->n_pending; i++)
            ring[i] = core->pending[(core->pending_first + i) & (core->pending_cap - 1)];
        etcd__free(core->pending);
        core->pending = ring;
        core->pending_cap = cap;
        core->pending_first = 0;
    }
    core->pending[(core->pending_first + core->n_pending++) & (core->pending_cap - 1)] = id;
    return ETCD_OK;
}

static int64_t *pending_at(const etcd__watch_core *core, size_t i)
{
    return &core->pending[(core->pending_first + i) & (core->pending_cap - 1)];
}

static void forget_answered(etcd__watch_core *core)
{
    while (core->n_pending > 0 && *pending_at(core, 0) == 0) {
        core->pending_first = (core->pending_first + 1) & (core->pending_cap - 1);
        core->n_pending--;
    }
    if (core->n_pending == 0)
        core->pending_bytes = 0;
}

/* Servers answer in order; a refusal may carry -1 in place of the number: it belongs to the oldest. */
int64_t etcd__watch_core_answered(etcd__watch_core *core, int64_t id)
{
    int64_t found = 0;
    size_t i = 0;

    if (!core->serial && id > 0)
        while (i < core->n_pending && *pending_at(core, i) != id)
            i++;
    if (i < core->n_pending) {
        found = *pending_at(core, i);
        *pending_at(core, i) = 0;
        forget_answered(core);
    }
    return found;
}

/* --- sending ---------------------------------------------------------------------------------- */

/* The stream is gone: what that means for its watchers is looked at by settle(), when nobody is in the middle of one. */
static void note_loss(etcd__watch_core *core, const etcd_error *why, bool again)
{
    if (core->stream == ETCD__WATCH_OPEN && core->now - core->opened_at >= STEADY)
        core->failures = 0;
    core->stream = ETCD__WATCH_CLOSED;
    core->lost = true;
    core->again = again;
    core->why = *why;
}

/* Ends the stream, and has another one opened: at once, or after a while. */
void etcd__watch_core_restart(etcd__watch_core *core, const etcd_error *why, bool at_once)
{
    if (core->stream == ETCD__WATCH_CLOSED)
        return;
    core->ops->close(core);
    note_loss(core, why, true);
    core->at_once = at_once;
}

/* Returns whether the stream is still there. */
static bool send(etcd__watch_core *core, const etcd__watch_request *request)
{
    etcd_error why;
    int rc = core->ops->send(core, request);

    if (rc == ETCD_OK)
        return true;
    etcd__error_set(&why, rc, "sending a request: %s", etcd_error_text(rc));
    etcd__watch_core_restart(core, &why, false);
    return false;
}

static void send_cancel(etcd__watch_core *core, int64_t id)
{
    const etcd__watch_cancel_request cancel = {.watch_id = id};
    const etcd__watch_request request = {.type = ETCD__WATCH_CANCEL, .cancel_request = &cancel};

    if (core->stream == ETCD__WATCH_OPEN)
        (void)send(core, &request);
}

/* The server may be told of a number once only, and told to forget it once only. */
void etcd__watcher_cancel_at_server(etcd__watcher *watcher)
{
    int64_t id = watcher->id;
    bool known =
        id >= 0 && (watcher->state == ETCD__WATCHER_LIVE || (watcher->state == ETCD__WATCHER_CREATING && !watcher->core->serial));

    watcher->id = -1;
    if (known)
        send_cancel(watcher->core, id);
}

void etcd__watch_core_cancel_foreign(etcd__watch_core *core, int64_t id)
{
    if (id < 0 || was_ours(core, id) || core->n_foreign == ETCD__WATCH_FOREIGN)
        return;
    for (uint32_t i = 0; i < core->n_foreign; i++)
        if (core->foreign[i] == id)
            return;
    core->foreign[core->n_foreign++] = id;
    send_cancel(core, id);
}

/* Returns whether more may be sent. */
static bool send_create(etcd__watcher *watcher)
{
    etcd__watch_core *core = watcher->core;
    int32_t filters[2];
    etcd__watch_create_request create = {
        .key = watcher->key,
        .range_end = watcher->range_end,
        .start_revision = watcher->next,
        .progress_notify = watcher->progress_notify,
        .prev_kv = watcher->prev_kv,
        .fragment = true,
        .filters = filters,
    };
    const etcd__watch_request request = {.type = ETCD__WATCH_CREATE, .create_request = &create};
    etcd__watch_slot *slot = &core->slots[watcher->slot];
    int64_t id = ((int64_t)slot->uses + 1) << SLOT_BITS | watcher->slot;

    if (push_pending(core, id) < 0) {
        etcd__watcher_wait(watcher, core->now + BACKOFF_MAX);
        return true;
    }
    slot->uses++;
    if (watcher->no_put)
        filters[create.n_filters++] = ETCD_WATCH_FILTER_NOPUT;
    if (watcher->no_delete)
        filters[create.n_filters++] = ETCD_WATCH_FILTER_NODELETE;
    create.watch_id = core->serial ? 0 : id;
    watcher->id = id;
    watcher->asked_before = core->n_asked;
    core->pending_bytes += watcher->key.len + watcher->range_end.len;
    etcd__watcher_set_state(watcher, ETCD__WATCHER_CREATING);
    return send(core, &request);
}

static void send_creates(etcd__watch_core *core)
{
    size_t most = core->serial ? 1 : MAX_PENDING;

    while (core->stream == ETCD__WATCH_OPEN && !etcd__list_empty(&core->queue) && core->n_pending < most &&
           core->pending_bytes < MAX_PENDING_BYTES)
        if (!send_create(ETCD__CONTAINER_OF(core->queue.next, etcd__watcher, node)))
            break;
}

static bool somebody_waits_for_progress(const etcd__watch_core *core)
{
    for (uint32_t i = 0; i < core->n_slots; i++)
        if (core->slots[i].watcher != NULL && core->slots[i].watcher->progress_wanted)
            return true;
    return false;
}

static void ask_for_progress(etcd__watch_core *core)
{
    const etcd__empty nothing = {0};
    const etcd__watch_request request = {.type = ETCD__WATCH_PROGRESS, .progress_request = &nothing};

    if (core->progress_at > core->now)
        return;
    core->progress_at = ETCD__NEVER;
    if (!somebody_waits_for_progress(core))
        return;
    core->progress_at = core->now + ASK_AGAIN;
    if (core->vouching == ETCD__WATCH_UNASKED && !core->serial && core->ops->vouch(core) == ETCD_OK)
        core->vouching = ETCD__WATCH_ASKED;
    if (core->vouching == ETCD__WATCH_ASKED)
        return;
    core->vouching = ETCD__WATCH_TOLD; /* too late for this stream */
    core->n_asked++;
    (void)send(core, &request);
}

/* --- the stream ------------------------------------------------------------------------------- */

static int64_t wake_time(const etcd__watch_core *core)
{
    int64_t when = core->timers.root ? core->timers.root->key : ETCD__NEVER;

    if (core->stream == ETCD__WATCH_CLOSED && core->n_wanting > 0 && core->reopen_at < when)
        when = core->reopen_at;
    if (core->stream == ETCD__WATCH_OPEN && core->progress_at < when)
        when = core->progress_at;
    return when;
}

/* The server knows nothing of a watcher any more. */
static void lose(etcd__watcher *watcher, const etcd_error *why)
{
    watcher->was_live |= watcher->state == ETCD__WATCHER_LIVE;
    watcher->id = -1;
    etcd__watch_part_free(watcher->part);
    watcher->part = NULL;
    etcd__watcher_set_state(watcher, ETCD__WATCHER_QUEUED);
    if (!watcher->report_connection || watcher->told_broken)
        return;
    watcher->told_broken = true;
    (void)etcd__watcher_tell(watcher, ETCD_WATCH_DISCONNECTED, NULL, 0, why->message);
}

static void take_loss(etcd__watch_core *core)
{
    core->lost = false;
    core->n_pending = core->pending_bytes = 0;
    core->reopen_at = core->at_once ? core->now : core->now + etcd__watch_core_delay(core, core->failures);
    core->at_once = false;
    core->failures++;
    for (uint32_t i = 0; i < core->n_slots; i++) {
        etcd__watcher *watcher = core->slots[i].watcher;

        if (watcher == NULL || !wants_stream(watcher->state))
            continue;
        if (!core->again)
            etcd__watcher_end(watcher, &core->why);
        else if (watcher->state != ETCD__WATCHER_QUEUED)
            lose(watcher, &core->why);
    }
}

static void close_unwanted(etcd__watch_core *core)
{
    if (core->stream == ETCD__WATCH_CLOSED || core->n_wanting > 0)
        return;
    core->ops->close(core);
    core->stream = ETCD__WATCH_CLOSED;
    core->n_pending = core->pending_bytes = 0;
}

void etcd__watch_core_settle(etcd__watch_core *core)
{
    bool opens = false;

    if (core->ended)
        return;
    close_unwanted(core);
    if (core->stream == ETCD__WATCH_OPEN)
        send_creates(core);
    if (core->stream == ETCD__WATCH_OPEN)
        ask_for_progress(core);
    if (core->lost)
        take_loss(core);
    if (!etcd__list_empty(&core->doubted) && !core->probe_out)
        etcd__watch_core_start_probe(core);
    if (core->stream == ETCD__WATCH_CLOSED && core->n_wanting > 0 && core->now >= core->reopen_at) {
        core->stream = ETCD__WATCH_OPENING;
        core->epoch++;
        opens = true;
    }
    core->ops->wake(core, wake_time(core));
    if (opens)
        core->ops->open(core);
}

void etcd__watch_core_opened(etcd__watch_core *core, int64_t now)
{
    core->now = now;
    if (core->stream != ETCD__WATCH_OPENING)
        return;
    core->stream = ETCD__WATCH_OPEN;
    core->opened_at = now;
    core->n_foreign = 0;
    core->n_pending = core->pending_bytes = 0;
    core->vouching = ETCD__WATCH_UNASKED;
    core->vouched = 0;
    core->n_asked = core->n_told = 0;
    if (core->renewed)
        core->fresh_until = now + FRESH;
    core->renewed = false;
    if (core->progress_at != ETCD__NEVER)
        core->progress_at = now; /* nobody answers what was asked on the stream before */
    etcd__watch_core_settle(core);
}

void etcd__watch_core_closed(etcd__watch_core *core, const etcd_error *why, bool again, int64_t now)
{
    core->now = now;
    if (core->stream == ETCD__WATCH_CLOSED || core->ended)
        return;
    note_loss(core, why, again);
    etcd__watch_core_settle(core);
}

void etcd__watch_core_tick(etcd__watch_core *core, int64_t now)
{
    core->now = now;
    while (core->timers.root != NULL && core->timers.root->key <= now) {
        etcd__watcher *watcher = ETCD__CONTAINER_OF(core->timers.root, etcd__watcher, timer);

        if (watcher->listing)
            etcd__watcher_next_page(watcher);
        else
            etcd__watcher_set_state(watcher, ETCD__WATCHER_QUEUED);
    }
    etcd__watch_core_settle(core);
}

/* --- watchers --------------------------------------------------------------------------------- */

int etcd__watch_core_add(etcd__watch_core *core, etcd__watcher *watcher, int64_t now)
{
    assert(watcher->state == ETCD__WATCHER_OUT && !core->ended);
    core->now = now;
    if (take_slot(core, watcher) < 0)
        return ETCD_ERR_NO_MEMORY;
    watcher->core = core;
    watcher->next = watcher->start_revision;
    watcher->id = -1;
    etcd__list_init(&watcher->node);
    etcd__watcher_set_state(watcher, ETCD__WATCHER_QUEUED);
    etcd__watch_core_settle(core);
    return ETCD_OK;
}

/* Out of the machine; the server was told before. */
static void take_out(etcd__watcher *watcher)
{
    etcd__watch_core *core = watcher->core;

    etcd__watcher_stop_listing(watcher);
    etcd__watcher_set_state(watcher, ETCD__WATCHER_OUT);
    etcd__watch_part_free(watcher->part);
    watcher->part = NULL;
    watcher->progress_wanted = false;
    give_slot(core, watcher->slot);
    watcher->core = NULL;
}

void etcd__watch_core_remove(etcd__watcher *watcher, int64_t now)
{
    etcd__watch_core *core = watcher->core;

    if (core == NULL)
        return;
    core->now = now;
    if (core->n_wanting > 1) /* else the stream goes, and all with it */
        etcd__watcher_cancel_at_server(watcher);
    take_out(watcher);
    etcd__watch_core_settle(core);
}

void etcd__watcher_end(etcd__watcher *watcher, const etcd_error *why)
{
    etcd__watch_core *core = watcher->core;

    take_out(watcher);
    core->ops->ended(watcher, why);
}

void etcd__watch_core_end(etcd__watch_core *core, const etcd_error *why)
{
    if (core->ended)
        return;
    core->ended = true;
    if (core->stream != ETCD__WATCH_CLOSED)
        core->ops->close(core);
    core->stream = ETCD__WATCH_CLOSED;
    if (core->probe_out)
        core->ops->unprobe(core);
    core->probe_out = false;
    core->ops->wake(core, ETCD__NEVER);
    for (uint32_t i = 0; i < core->n_slots; i++)
        if (core->slots[i].watcher != NULL)
            etcd__watcher_end(core->slots[i].watcher, why);
}

void etcd__watch_core_progress(etcd__watcher *watcher, int64_t now)
{
    etcd__watch_core *core = watcher->core;

    if (core == NULL)
        return;
    core->now = now;
    watcher->progress_wanted = true;
    core->progress_at = now;
    etcd__watch_core_settle(core);
}

void etcd__watch_core_vouched(etcd__watch_core *core, uint64_t member_id, int64_t now)
{
    core->now = now;
    if (core->vouching != ETCD__WATCH_ASKED)
        return;
    core->vouching = ETCD__WATCH_TOLD;
    core->vouched = member_id;
    core->progress_at = now; /* for which it was asked */
    etcd__watch_core_settle(core);
}

bool etcd__watch_drained_enough(size_t own, size_t buffer_bytes, size_t total, size_t total_bytes)
{
    return own == 0 || (own <= buffer_bytes / 2 && total <= total_bytes);
}

void etcd__watch_core_drained(etcd__watcher *watcher, int64_t now)
{
    etcd__watch_core *core = watcher->core;

    if (core == NULL)
        return;
    core->now = now;
    if (watcher->state == ETCD__WATCHER_BEHIND)
        etcd__watcher_set_state(watcher, ETCD__WATCHER_QUEUED);
    else if (watcher->state == ETCD__WATCHER_RESTING)
        etcd__watcher_next_page(watcher);
    etcd__watch_core_settle(core);
}
