/* From the server's responses to what a program is given. See watch_core.h.
 *
 * Every response is asked for in fragments. A fragment may end in the middle of a revision, so its last revision is kept
 * (`part`) until another begins or the response ends: memory is bounded by a fragment and one revision, which has a bound of
 * its own. */
#include "service/watch_core.h"

#include "base/alloc.h"
#include "base/error.h"
#include "wire/response.h"

#include <assert.h>
#include <string.h>

#define MAX_CANCELS 3  /* in a row, for no reason */
#define MAX_RENEWALS 5 /* of the token, in a row */
#define LATER 6        /* steps of back-off before a watch is asked for again that the server did not keep: about 80 ms */

/* Events of one revision, copied out of fragments. */
typedef struct etcd__watch_part {
    etcd__watch_delivery *whole; /* the copies are in its arena */
    etcd_event *events;
    size_t n, cap;
    int64_t revision;
} etcd__watch_part;

/* --- giving ----------------------------------------------------------------------------------- */

/* The consumer is behind: the server stops sending, what arrives nevertheless is dropped, and it goes on from `next`. */
static void fall_behind(etcd__watcher *watcher)
{
    etcd__watch_core *core = watcher->core;
    size_t own, total;

    etcd__watcher_cancel_at_server(watcher);
    watcher->was_live = false;
    etcd__watch_part_free(watcher->part);
    watcher->part = NULL;
    etcd__watcher_set_state(watcher, ETCD__WATCHER_BEHIND);
    atomic_fetch_add_explicit(&watcher->stalls, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&core->stalls, 1, memory_order_relaxed);
    own = core->ops->buffered(watcher); /* after wants_drain was set: the consumer looks at it after it has taken */
    total = core->ops->buffered_in_all(core);
    if (etcd__watch_drained_enough(own, watcher->buffer_bytes, total, core->total_bytes))
        etcd__watcher_set_state(watcher, ETCD__WATCHER_QUEUED);
}

static bool at_server(const etcd__watcher *watcher)
{
    return watcher->state == ETCD__WATCHER_QUEUED || watcher->state == ETCD__WATCHER_CREATING ||
           watcher->state == ETCD__WATCHER_LIVE;
}

/* The one that hoards most of what all share. */
static etcd__watcher *biggest(const etcd__watch_core *core)
{
    etcd__watcher *found = NULL;
    size_t most = 0;

    for (uint32_t i = 0; i < core->n_slots; i++) {
        etcd__watcher *watcher = core->slots[i].watcher;
        size_t bytes = watcher != NULL && at_server(watcher) ? core->ops->buffered(watcher) : 0;

        if (bytes > most) {
            most = bytes;
            found = watcher;
        }
    }
    return found;
}

static void check_bounds(etcd__watcher *watcher)
{
    etcd__watch_core *core = watcher->core;

    if (at_server(watcher) && core->ops->buffered(watcher) >= watcher->buffer_bytes) {
        fall_behind(watcher);
    } else if (core->ops->buffered_in_all(core) > core->total_bytes) {
        etcd__watcher *most = biggest(core);

        if (most != NULL)
            fall_behind(most);
    }
}

static bool end_without_memory(etcd__watcher *watcher)
{
    etcd_error why;

    etcd__watcher_cancel_at_server(watcher);
    etcd__error_no_memory(&why);
    etcd__watcher_end(watcher, &why);
    return false;
}

/* Without a look at the bounds. */
static bool deliver(etcd__watcher *watcher, etcd__watch_delivery *delivery, size_t extra, int64_t next)
{
    delivery->watcher = watcher;
    delivery->next = next;
    delivery->bytes = etcd__response_arena(delivery)->allocated + extra;
    etcd__list_init(&delivery->node);
    if (watcher->core->ops->deliver(watcher, delivery) < 0) {
        etcd_response_free(delivery);
        return end_without_memory(watcher);
    }
    watcher->next = next;
    return true;
}

/* Delivers, and takes over. Returns false when the watcher has ended. */
bool etcd__watcher_give(etcd__watcher *watcher, etcd__watch_delivery *delivery, size_t extra, int64_t next)
{
    if (!deliver(watcher, delivery, extra, next))
        return false;
    check_bounds(watcher);
    return true;
}

/* A response without contents; NULL when out of memory. */
static etcd__watch_delivery *new_word(int32_t type, const etcd_response_header *header, etcd_bytes reason)
{
    etcd__watch_delivery *delivery = etcd__response_new(sizeof *delivery);
    char *text = delivery ? etcd__arena_alloc(etcd__response_arena(delivery), reason.len + 1) : NULL;

    if (text == NULL) {
        etcd_response_free(delivery);
        return NULL;
    }
    if (reason.len > 0)
        memcpy(text, reason.data, reason.len);
    text[reason.len] = '\0';
    delivery->response.type = type;
    delivery->response.reason = (etcd_bytes){text, reason.len};
    if (header != NULL)
        delivery->response.header = *header;
    return delivery;
}

/* A response without contents. As etcd__watcher_give(). */
bool etcd__watcher_tell(etcd__watcher *watcher, int32_t type, const etcd_response_header *header, int64_t revision,
                        const char *reason)
{
    etcd__watch_delivery *delivery = new_word(type, header, (etcd_bytes){reason, reason ? strlen(reason) : 0});

    if (delivery == NULL)
        return end_without_memory(watcher);
    delivery->response.revision = revision;
    return etcd__watcher_give(watcher, delivery, 0, watcher->next);
}

/* --- a revision in pieces --------------------------------------------------------------------- */

void etcd__watch_part_free(etcd__watch_part *part)
{
    if (part == NULL)
        return;
    etcd__free(part->events);
    etcd_response_free(part->whole);
    etcd__free(part);
}

static etcd__watch_part *new_part(const etcd_response_header *header, int64_t revision)
{
    etcd__watch_part *part = etcd__calloc(1, sizeof *part);

    if (part == NULL)
        return NULL;
    part->revision = revision;
    part->whole = etcd__response_new(sizeof *part->whole);
    if (part->whole == NULL) {
        etcd__free(part);
        return NULL;
    }
    part->whole->response.header = *header;
    return part;
}

static etcd_bytes put_bytes(char **at, etcd_bytes bytes)
{
    etcd_bytes copy = {*at, bytes.len};

    memcpy(*at, bytes.data, bytes.len);
    (*at)[bytes.len] = '\0';
    *at += bytes.len + 1;
    return copy;
}

static const etcd_kv *copy_kv(etcd__arena *arena, const etcd_kv *kv)
{
    etcd_kv *copy = etcd__arena_alloc(arena, sizeof *copy + kv->key.len + kv->value.len + 2);
    char *at;

    if (copy == NULL)
        return NULL;
    *copy = *kv;
    at = (char *)(copy + 1);
    copy->key = put_bytes(&at, kv->key);
    copy->value = put_bytes(&at, kv->value);
    return copy;
}

bool etcd__watch_copy_event(etcd__arena *arena, etcd_event *to, const etcd_event *from)
{
    *to = *from;
    to->kv = copy_kv(arena, from->kv);
    to->prev_kv = from->prev_kv ? copy_kv(arena, from->prev_kv) : NULL;
    return to->kv != NULL && (from->prev_kv == NULL || to->prev_kv != NULL);
}

static int add_to_part(etcd__watch_part *part, const etcd_event *events, size_t n)
{
    etcd__arena *arena = etcd__response_arena(part->whole);
    size_t cap = part->cap > 0 ? part->cap : 8;

    while (cap < part->n + n)
        cap *= 2;
    if (cap != part->cap) {
        etcd_event *grown = etcd__realloc(part->events, cap * sizeof *grown);

        if (grown == NULL)
            return ETCD_ERR_NO_MEMORY;
        part->events = grown;
        part->cap = cap;
    }
    for (size_t i = 0; i < n; i++) {
        if (!etcd__watch_copy_event(arena, &part->events[part->n], &events[i]))
            return ETCD_ERR_NO_MEMORY;
        part->n++;
    }
    return ETCD_OK;
}

static void set_events(etcd__watch_delivery *delivery, const etcd_event *events, size_t n)
{
    delivery->response.type = ETCD_WATCH_EVENTS;
    delivery->response.events = events;
    delivery->response.n_events = n;
    delivery->response.revision = events[n - 1].kv->mod_revision;
    delivery->response.reason = (etcd_bytes){"", 0};
}

/* The revision is complete. Returns whether the watcher still takes events. */
static bool give_part(etcd__watcher *watcher)
{
    etcd__watch_part *part = watcher->part;
    etcd__watch_delivery *whole = part->whole;

    watcher->part = NULL;
    set_events(whole, part->events, part->n);
    etcd__response_arena(whole)->owned = part->events; /* freed with it */
    if (!etcd__watcher_give(watcher, whole, part->cap * sizeof *part->events, part->revision + 1)) {
        etcd__free(part);
        return false;
    }
    etcd__free(part);
    return watcher->state == ETCD__WATCHER_LIVE || watcher->state == ETCD__WATCHER_CREATING;
}

/* --- events ----------------------------------------------------------------------------------- */

static void end_with(etcd__watcher *watcher, const etcd_error *why)
{
    etcd__watcher_cancel_at_server(watcher);
    etcd__watcher_end(watcher, why);
}

static void end_no_memory(etcd__watcher *watcher)
{
    etcd_error why;

    etcd__error_no_memory(&why);
    end_with(watcher, &why);
}

/* Events in the order of their revisions, each of a key, and not below that of the part. */
static bool in_order(const etcd__watcher *watcher, const etcd_event *events, size_t n)
{
    int64_t last = watcher->part ? watcher->part->revision : 1;

    for (size_t i = 0; i < n; i++) {
        if (events[i].kv == NULL || events[i].kv->mod_revision < last || events[i].kv->mod_revision == INT64_MAX)
            return false;
        last = events[i].kv->mod_revision;
    }
    return true;
}

static size_t count_of(const etcd_event *events, size_t n, int64_t revision)
{
    size_t i = 0;

    while (i < n && events[i].kv->mod_revision == revision)
        i++;
    return i;
}

/* Keeps the last revision of a fragment. Returns how many events are before it, or -1. */
static int64_t keep_last(etcd__watcher *watcher, const etcd_response_header *header, const etcd_event *events, size_t n)
{
    int64_t last = events[n - 1].kv->mod_revision;
    size_t first = n;

    while (first > 0 && events[first - 1].kv->mod_revision == last)
        first--;
    watcher->part = new_part(header, last);
    if (watcher->part == NULL || add_to_part(watcher->part, events + first, n - first) < 0) {
        end_no_memory(watcher);
        return -1;
    }
    return (int64_t)first;
}

/* Takes over the response; `events` are those of it that are new. */
static void give_events(etcd__watcher *watcher, etcd__watch_response *response, const etcd_event *events, size_t n, size_t len)
{
    etcd__watch_delivery *delivery = n > 0 ? etcd__response_wrap(response, sizeof *delivery) : NULL;

    if (delivery == NULL) {
        etcd_response_free(response);
        if (n > 0)
            end_no_memory(watcher);
        return;
    }
    delivery->response.header = response->header;
    set_events(delivery, events, n);
    (void)etcd__watcher_give(watcher, delivery, len, events[n - 1].kv->mod_revision + 1);
}

static void take_events(etcd__watcher *watcher, etcd__watch_response *response, size_t len)
{
    const etcd_event *events = response->events;
    size_t n = response->n_events, more;
    int64_t kept;
    etcd_error why;

    while (n > 0 && events[0].kv != NULL && events[0].kv->mod_revision < watcher->next) {
        events++; /* below what was wanted, or delivered before */
        n--;
    }
    if (!in_order(watcher, events, n)) {
        etcd_response_free(response);
        etcd__error_set(&why, ETCD_ERR_PROTOCOL, "the server sent events without a key, or not in the order of their revisions");
        end_with(watcher, &why);
        return;
    }
    watcher->cancels = 0;
    watcher->core->failures = 0;
    if (watcher->part != NULL) {
        more = count_of(events, n, watcher->part->revision);
        if (more > 0 && add_to_part(watcher->part, events, more) < 0) {
            etcd_response_free(response);
            end_no_memory(watcher);
            return;
        }
        events += more;
        n -= more;
        if ((n == 0 && response->fragment) || !give_part(watcher)) {
            etcd_response_free(response);
            return;
        }
    }
    if (response->fragment && n > 0) {
        kept = keep_last(watcher, &response->header, events, n);
        if (kept < 0) {
            etcd_response_free(response);
            return;
        }
        n = (size_t)kept;
    }
    give_events(watcher, response, events, n, len);
}

static void note_revision(etcd__watcher *watcher, int64_t revision)
{
    if (watcher->seen < revision)
        watcher->seen = revision;
}

/* A revision is whatever a transaction wrote, but not without end. */
static void on_events(etcd__watcher *watcher, etcd__watch_response *response, size_t len)
{
    size_t most = watcher->core->max_part;
    etcd_error why;

    take_events(watcher, response, len);
    if (watcher->part == NULL || etcd__response_arena(watcher->part->whole)->allocated <= most)
        return;
    etcd__error_set(&why, ETCD_ERR_TOO_LARGE, "the events of revision %lld take more than %zu bytes (limit max_recv_bytes)",
                    (long long)watcher->part->revision, most);
    end_with(watcher, &why);
}

/* --- progress --------------------------------------------------------------------------------- */

static bool tell_progress(etcd__watcher *watcher, const etcd_response_header *header)
{
    watcher->progress_wanted = false;
    return etcd__watcher_tell(watcher, ETCD_WATCH_PROGRESS, header, header->revision, NULL);
}

static void move_behind(etcd__watcher *watcher, int64_t revision)
{
    if (watcher->next > revision)
        return;
    watcher->next = revision + 1;
    watcher->core->ops->moved(watcher);
}

/* Nothing up to the header's revision is owed to this watcher. */
static void on_progress(etcd__watcher *watcher, const etcd_response_header *header)
{
    if (watcher->part != NULL || header->revision <= 0 || header->revision == INT64_MAX)
        return;
    watcher->cancels = 0;
    watcher->core->failures = 0;
    move_behind(watcher, header->revision);
    if (watcher->progress_notify || watcher->progress_wanted)
        (void)tell_progress(watcher, header);
}

/* Whether the server had the watcher when it made this answer; see watch_core.h. */
static bool speaks_for(const etcd__watcher *watcher, const etcd_response_header *header)
{
    return header->revision > watcher->created_at || watcher->core->n_told > watcher->asked_before;
}

/* For all watchers of the stream. */
static void on_broadcast(etcd__watch_core *core, const etcd_response_header *header)
{
    bool in_order = core->vouched != 0 && header->member_id == core->vouched;

    if (header->revision <= 0 || header->revision == INT64_MAX)
        return;
    core->n_told++;
    for (uint32_t i = 0; i < core->n_slots; i++) {
        etcd__watcher *watcher = core->slots[i].watcher;

        if (watcher == NULL || watcher->state != ETCD__WATCHER_LIVE || watcher->part != NULL || !speaks_for(watcher, header))
            continue;
        if (in_order) {
            note_revision(watcher, header->revision);
            move_behind(watcher, header->revision);
        }
        if (watcher->progress_wanted)
            (void)tell_progress(watcher, header);
    }
}

/* --- created and canceled --------------------------------------------------------------------- */

/* The server is at a lower revision than one that exists: it lags, or the cluster was restored. */
static bool is_doubtful(const etcd__watcher *watcher, const etcd_response_header *header)
{
    return header->revision < watcher->seen && watcher->trusted != watcher->core->epoch;
}

static void on_created(etcd__watcher *watcher, const etcd__watch_response *response)
{
    const etcd_response_header *header = &response->header;
    etcd__watch_core *core = watcher->core;

    if (is_doubtful(watcher, header)) {
        etcd__watcher_set_state(watcher, ETCD__WATCHER_LIVE);
        etcd__watcher_cancel_at_server(watcher);
        etcd__watcher_set_state(watcher, ETCD__WATCHER_DOUBTED);
        return;
    }
    core->renewals = 0;
    note_revision(watcher, header->revision);
    watcher->created_at = header->revision;
    etcd__watcher_set_state(watcher, ETCD__WATCHER_LIVE);
    if (watcher->was_live) {
        atomic_fetch_add_explicit(&watcher->resumes, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&core->resumes, 1, memory_order_relaxed);
    }
    watcher->was_live = false;
    if (watcher->next == 0 && header->revision > 0) {
        watcher->next = header->revision + 1;
        core->ops->moved(watcher);
    }
    if (watcher->created_notify && !watcher->told_created) {
        watcher->told_created = true;
        if (!etcd__watcher_tell(watcher, ETCD_WATCH_CREATED, header, watcher->next, NULL))
            return;
    }
    if (watcher->told_broken) {
        watcher->told_broken = false;
        (void)etcd__watcher_tell(watcher, ETCD_WATCH_RESUMED, NULL, watcher->next, NULL);
    }
}

/* Whether another token may help. Until 3.4 the refusal of a token looks like that of a permission. */
static bool renews(etcd__watch_core *core, int code)
{
    if (code == ETCD_ERR_PERMISSION_DENIED && core->now >= core->fresh_until)
        code = ETCD_ERR_INVALID_AUTH_TOKEN;
    else if (code != ETCD_ERR_INVALID_AUTH_TOKEN && code != ETCD_ERR_AUTH_OLD_REVISION && code != ETCD_ERR_USER_EMPTY)
        return false;
    return core->renewals < MAX_RENEWALS && core->ops->renew(core, code);
}

/* The server refuses the token, so it does for all watchers of the stream: on another with a new one they go on. */
static void renew(etcd__watch_core *core, const etcd_error *why)
{
    core->renewed = true;
    etcd__watch_core_restart(core, why, core->renewals == 0);
    core->renewals++;
}

static void try_later(etcd__watcher *watcher)
{
    watcher->was_live = true;
    etcd__watch_part_free(watcher->part);
    watcher->part = NULL;
    etcd__watcher_wait(watcher, watcher->core->now + etcd__watch_core_delay(watcher->core, LATER + watcher->cancels));
}

/* The server's word before the end, for who wants it. Returns false when the watcher has ended. */
static bool tell_canceled(etcd__watcher *watcher, const etcd__watch_response *response)
{
    etcd__watch_delivery *delivery;

    if (!watcher->canceled_notify)
        return true;
    delivery = new_word(ETCD_WATCH_CANCELED, &response->header, response->cancel_reason);
    if (delivery == NULL)
        return end_without_memory(watcher);
    delivery->response.compact_revision = response->compact_revision;
    return deliver(watcher, delivery, 0, watcher->next);
}

static void on_compacted(etcd__watcher *watcher, const etcd__watch_response *response)
{
    if (watcher->relist || tell_canceled(watcher, response))
        etcd__watcher_compacted(watcher, response->compact_revision);
}

/* The server has taken the watcher off its stream, or has not taken it up. */
static void on_canceled(etcd__watcher *watcher, const etcd__watch_response *response)
{
    etcd_error why;
    int code;

    watcher->id = -1;
    if (response->compact_revision != 0) {
        on_compacted(watcher, response);
        return;
    }
    code = etcd__watch_reason(response->cancel_reason, &why);
    if (code == ETCD_ERR_COMPACTED) {
        on_compacted(watcher, response);
    } else if (renews(watcher->core, code)) {
        renew(watcher->core, &why);
    } else if (why.flags & ETCD_ERROR_RETRYABLE) {
        try_later(watcher);
    } else if (!response->created && code == ETCD_ERR_WATCH_CANCELED && watcher->cancels < MAX_CANCELS) {
        watcher->cancels++;
        try_later(watcher);
    } else if (tell_canceled(watcher, response)) {
        etcd__watcher_end(watcher, &why);
    }
}

static void on_create_answer(etcd__watch_core *core, const etcd__watch_response *response)
{
    int64_t id = etcd__watch_core_answered(core, response->watch_id);
    etcd__watcher *watcher = id != 0 ? etcd__watch_core_find(core, id) : NULL;
    etcd_error why;

    if (watcher != NULL && watcher->state != ETCD__WATCHER_CREATING)
        watcher = NULL;
    if (response->canceled) {
        if (watcher != NULL)
            on_canceled(watcher, response);
        return;
    }
    if (!core->serial && id != response->watch_id) {
        core->serial = true;
        etcd__error_set(&why, ETCD_ERR_PROTOCOL, "the server numbers watches by itself");
        etcd__watch_core_restart(core, &why, true);
        return;
    }
    if (watcher == NULL) {
        etcd__watch_core_cancel_foreign(core, response->watch_id);
        return;
    }
    watcher->id = response->watch_id;
    on_created(watcher, response);
}

/* --- all -------------------------------------------------------------------------------------- */

/* Takes over the response, whose message had `len` bytes. */
void etcd__watch_core_response(etcd__watch_core *core, etcd__watch_response *response, size_t len)
{
    etcd__watcher *watcher = NULL;

    if (response->created) {
        on_create_answer(core, response);
        etcd_response_free(response);
        return;
    }
    if (response->watch_id == -1 && response->n_events == 0 && !response->canceled) {
        on_broadcast(core, &response->header);
        etcd_response_free(response);
        return;
    }
    watcher = etcd__watch_core_find(core, response->watch_id);
    if (watcher == NULL) {
        if (!response->canceled)
            etcd__watch_core_cancel_foreign(core, response->watch_id);
        etcd_response_free(response);
        return;
    }
    if (response->canceled) {
        on_canceled(watcher, response);
        etcd_response_free(response);
        return;
    }
    note_revision(watcher, response->header.revision);
    if (response->n_events > 0) {
        on_events(watcher, response, len);
        return;
    }
    if (!response->fragment)
        on_progress(watcher, &response->header);
    etcd_response_free(response);
}

void etcd__watch_core_message(etcd__watch_core *core, uint8_t *data, size_t len, int64_t now)
{
    etcd_error why;
    void *response;

    core->now = now;
    if (core->stream != ETCD__WATCH_OPEN) {
        etcd__free(data);
        return;
    }
    if (etcd__response_decode(&etcd__watch_response_type, data, len, &response, &why) == ETCD_OK) {
        etcd__watch_core_response(core, response, len);
    } else {
        bool again = why.code == ETCD_ERR_NO_MEMORY; /* nobody knows whose it was: all go on from where they are */

        core->ops->close(core);
        etcd__watch_core_closed(core, &why, again, now);
    }
    etcd__watch_core_settle(core);
}
