/* What a watcher does when the server cannot go on where it is: list the range again after a compaction, and find out whether
 * a server that is behind lags, or belongs to a cluster that was restored from a backup. See watch_core.h.
 *
 * A listing is a row of pages, all as of the revision of the first; the watcher goes on behind that. Members answer a watch
 * from what they have applied, so that one that was connected to after a failure may be behind what another has told. Only a
 * linearizable read tells: its revision is at least any that was seen before it was asked for. */
#include "service/watch_core.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "wire/response.h"

#include <string.h>

#define FIRST_PAGE 64
#define MOST_PAGE 10000
#define PAGE_BYTES (256 * 1024) /* aimed at */
#define RETRY 8                 /* steps of back-off before a failed read is repeated: about 200 ms */

/* --- listing ---------------------------------------------------------------------------------- */

static void start_listing(etcd__watcher *watcher)
{
    etcd__free(watcher->list_key);
    watcher->list_key = NULL;
    watcher->list_revision = 0;
    watcher->list_limit = FIRST_PAGE;
    watcher->listing = true;
}

void etcd__watcher_stop_listing(etcd__watcher *watcher)
{
    if (watcher->state == ETCD__WATCHER_LISTING)
        watcher->core->ops->unlist(watcher);
    etcd__free(watcher->list_key);
    watcher->list_key = NULL;
    watcher->listing = false;
}

void etcd__watcher_next_page(etcd__watcher *watcher)
{
    etcd__range_request request = {
        .key = watcher->key,
        .range_end = watcher->range_end,
        .revision = watcher->list_revision,
        .limit = watcher->list_limit,
    };
    etcd_error why;

    if (watcher->list_key != NULL)
        request.key = (etcd_bytes){watcher->list_key, watcher->list_key_len};
    if (watcher->core->ops->list(watcher, &request) == ETCD_OK) {
        etcd__watcher_set_state(watcher, ETCD__WATCHER_LISTING);
        return;
    }
    etcd__error_no_memory(&why);
    etcd__watcher_end(watcher, &why);
}

/* The server has forgotten what the watcher wants next. */
void etcd__watcher_compacted(etcd__watcher *watcher, int64_t compact_revision)
{
    etcd_error why;

    if (watcher->relist) {
        etcd__watch_part_free(watcher->part);
        watcher->part = NULL;
        watcher->id = -1;
        watcher->compacted = compact_revision;
        start_listing(watcher);
        etcd__watcher_next_page(watcher);
        return;
    }
    if (compact_revision != 0)
        etcd__error_set(&why, ETCD_ERR_COMPACTED, "%s (the next one is %lld, compacted up to %lld)",
                        etcd_error_text(ETCD_ERR_COMPACTED), (long long)watcher->next, (long long)compact_revision);
    else
        etcd__error_set(&why, ETCD_ERR_COMPACTED, "%s (the next one is %lld)", etcd_error_text(ETCD_ERR_COMPACTED),
                        (long long)watcher->next);
    why.grpc_code = 11;
    etcd__watcher_end(watcher, &why);
}

static void roll_back(etcd__watcher *watcher, int64_t revision)
{
    etcd_error why;

    etcd__error_set(&why, ETCD_ERR_WATCH_ROLLED_BACK, "%s: it was %lld and is %lld now",
                    etcd_error_text(ETCD_ERR_WATCH_ROLLED_BACK), (long long)watcher->seen, (long long)revision);
    etcd__watcher_end(watcher, &why);
}

static void page_failed(etcd__watcher *watcher, const etcd_error *why)
{
    /* The revision of the listing is gone, too, or not there yet, which its first page will explain: from the start. */
    if (why->code == ETCD_ERR_COMPACTED || (why->code == ETCD_ERR_FUTURE_REV && watcher->list_revision != 0)) {
        start_listing(watcher);
        etcd__watcher_next_page(watcher);
    } else if (why->flags & ETCD_ERROR_RETRYABLE) {
        etcd__watcher_wait(watcher, watcher->core->now + etcd__watch_core_delay(watcher->core, RETRY));
    } else {
        etcd__watcher_end(watcher, why);
    }
}

/* Where the next page starts: behind the last key. */
static int step_behind(etcd__watcher *watcher, const etcd_get_response *page, size_t len)
{
    const etcd_bytes *last = &page->kvs[page->n_kvs - 1].key;
    char *next = etcd__strndup(last->data, last->len);
    size_t limit = PAGE_BYTES / (len / page->n_kvs + 1);

    if (next == NULL)
        return ETCD_ERR_NO_MEMORY;
    etcd__free(watcher->list_key);
    watcher->list_key = next;
    watcher->list_key_len = last->len + 1; /* with the NUL of the copy */
    watcher->list_limit = (uint32_t)(limit < 1 ? 1 : limit > MOST_PAGE ? MOST_PAGE : limit);
    return ETCD_OK;
}

static void go_on_listing(etcd__watcher *watcher)
{
    etcd__watch_core *core = watcher->core;

    etcd__watcher_set_state(watcher, ETCD__WATCHER_RESTING); /* a consumer that takes now tells */
    if (etcd__watch_drained_enough(core->ops->buffered(watcher), watcher->buffer_bytes, core->ops->buffered_in_all(core),
                                   core->total_bytes))
        etcd__watcher_next_page(watcher);
}

/* Takes over a page. Returns false when the watcher has ended. */
static bool give_page(etcd__watcher *watcher, etcd_get_response *page, size_t len, bool more)
{
    etcd__watch_delivery *delivery = etcd__response_wrap(page, sizeof *delivery);
    etcd_error why;

    if (delivery == NULL) {
        etcd_response_free(page);
        etcd__error_no_memory(&why);
        etcd__watcher_end(watcher, &why);
        return false;
    }
    delivery->response.header = page->header;
    delivery->response.type = ETCD_WATCH_LISTED;
    delivery->response.revision = watcher->list_revision;
    delivery->response.kvs = page->kvs;
    delivery->response.n_kvs = page->n_kvs;
    delivery->response.more = more;
    delivery->response.reason = (etcd_bytes){"", 0};
    return etcd__watcher_give(watcher, delivery, len, more ? watcher->next : watcher->list_revision + 1);
}

static bool give_gap(etcd__watcher *watcher)
{
    etcd__watch_delivery *delivery = etcd__response_new(sizeof *delivery);
    etcd_error why;

    if (delivery == NULL) {
        etcd__error_no_memory(&why);
        etcd__watcher_end(watcher, &why);
        return false;
    }
    delivery->response.type = ETCD_WATCH_GAP;
    delivery->response.revision = watcher->list_revision;
    delivery->response.compact_revision = watcher->compacted;
    delivery->response.reason = (etcd_bytes){"", 0};
    return etcd__watcher_give(watcher, delivery, 0, watcher->next);
}

static void on_page(etcd__watcher *watcher, etcd_get_response *page, size_t len)
{
    bool first = watcher->list_revision == 0;
    bool more = page->more && page->n_kvs > 0;
    int64_t revision = page->header.revision;
    etcd_error why;

    if (first && revision < watcher->seen) {
        etcd_response_free(page);
        roll_back(watcher, revision);
        return;
    }
    if (first) {
        watcher->list_revision = revision;
        watcher->seen = revision;
        if (!give_gap(watcher)) {
            etcd_response_free(page);
            return;
        }
    }
    if (more && step_behind(watcher, page, len) < 0) {
        etcd_response_free(page);
        etcd__error_no_memory(&why);
        etcd__watcher_end(watcher, &why);
        return;
    }
    if (!give_page(watcher, page, len, more))
        return;
    if (more) {
        go_on_listing(watcher);
        return;
    }
    etcd__watcher_set_state(watcher, ETCD__WATCHER_RESTING); /* no page is out any more */
    etcd__watcher_stop_listing(watcher);
    etcd__watcher_set_state(watcher, ETCD__WATCHER_QUEUED);
}

void etcd__watch_core_listed(etcd__watcher *watcher, uint8_t *data, size_t len, const etcd_error *why, int64_t now)
{
    etcd__watch_core *core = watcher->core;
    etcd_error malformed;
    void *page = NULL;

    core->now = now;
    etcd__watcher_set_state(watcher, ETCD__WATCHER_RESTING);
    if (data != NULL && etcd__response_decode(&etcd__get_response_type, data, len, &page, &malformed) < 0)
        why = &malformed;
    if (page != NULL)
        on_page(watcher, page, len);
    else
        page_failed(watcher, why);
    etcd__watch_core_settle(core);
}

/* --- doubts ----------------------------------------------------------------------------------- */

/* One read for all that are in doubt by now. */
void etcd__watch_core_start_probe(etcd__watch_core *core)
{
    const etcd__watcher *first = ETCD__CONTAINER_OF(core->doubted.next, etcd__watcher, node);
    const etcd__range_request request = {.key = first->key, .limit = 1, .count_only = true};

    etcd__list_splice_back(&core->probing, &core->doubted);
    core->probe_out = true;
    if (core->ops->probe(core, &request) == ETCD_OK)
        return;
    core->probe_out = false;
    while (!etcd__list_empty(&core->probing))
        etcd__watcher_wait(ETCD__CONTAINER_OF(core->probing.next, etcd__watcher, node),
                           core->now + etcd__watch_core_delay(core, RETRY));
}

void etcd__watch_core_probed(etcd__watch_core *core, int64_t revision, const etcd_error *why, int64_t now)
{
    core->now = now;
    core->probe_out = false;
    while (!etcd__list_empty(&core->probing)) {
        etcd__watcher *watcher = ETCD__CONTAINER_OF(core->probing.next, etcd__watcher, node);

        if (why != NULL && !(why->flags & ETCD_ERROR_RETRYABLE)) {
            etcd__watcher_end(watcher, why); /* the others ask with keys of their own */
            etcd__list_splice_back(&core->doubted, &core->probing);
        } else if (why != NULL) {
            etcd__watcher_wait(watcher, now + etcd__watch_core_delay(core, RETRY));
        } else if (revision < watcher->seen) {
            roll_back(watcher, revision);
        } else {
            watcher->trusted = core->epoch;
            etcd__watcher_set_state(watcher, ETCD__WATCHER_QUEUED);
        }
    }
    etcd__watch_core_settle(core);
}
