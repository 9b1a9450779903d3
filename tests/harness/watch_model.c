/* The consumers' side of watch_model.h, and what happens when. */
#include "harness/watch_model_internal.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"

#include <stdlib.h>
#include <string.h>

static consumer *consumer_of(etcd__watcher *watcher)
{
    return (consumer *)watcher;
}

static model *model_of(const etcd__watch_core *core)
{
    return (model *)(uintptr_t)core;
}

static bool due(const consumer *c, const event *e)
{
    return e->revision >= c->from && model_matches(e, c->lo, c->hi, c->watcher.no_put, c->watcher.no_delete);
}

/* The first event of the history at or behind `at` that the consumer is to get. */
static size_t next_due(const consumer *c, size_t at)
{
    while (at < c->m->n_events && !due(c, &c->m->events[at]))
        at++;
    return at;
}

/* --- what the machine asks for ---------------------------------------------------------------- */

static void op_open(etcd__watch_core *core)
{
    model *m = model_of(core);

    require(m->stream == NONE);
    m->stream = OPENING;
}

static void op_close(etcd__watch_core *core)
{
    model *m = model_of(core);

    require(m->stream != NONE);
    model_drop_stream(m);
}

static int op_send(etcd__watch_core *core, const etcd__watch_request *given)
{
    model *m = model_of(core);
    request r = {.type = given->type};

    require(m->stream == OPEN);
    if (!m->calm && model_roll(m, 500) == 0)
        return ETCD_ERR_TOO_LARGE;
    require(m->n_requests < QUEUE);
    if (given->type == ETCD__WATCH_CREATE) {
        const etcd__watch_create_request *create = given->create_request;

        require(create->fragment);
        r.id = create->watch_id;
        r.start = create->start_revision;
        r.lo = create->key.data[0] - 'a';
        r.hi = create->range_end.data[0] - 'a';
        for (size_t i = 0; i < create->n_filters; i++) {
            r.no_put |= create->filters[i] == ETCD_WATCH_FILTER_NOPUT;
            r.no_delete |= create->filters[i] == ETCD_WATCH_FILTER_NODELETE;
        }
    } else if (given->type == ETCD__WATCH_CANCEL) {
        r.id = given->cancel_request->watch_id;
    }
    m->requests[(m->first_request + m->n_requests++) % QUEUE] = r;
    return ETCD_OK;
}

static bool op_renew(etcd__watch_core *core, int code)
{
    (void)code;
    return model_of(core)->seed % 2; /* half of the schedules have tokens */
}

static void op_wake(etcd__watch_core *core, int64_t when)
{
    model_of(core)->wake = when;
}

static int op_deliver(etcd__watcher *watcher, etcd__watch_delivery *delivery)
{
    consumer *c = consumer_of(watcher);
    model *m = c->m;

    require(c->in_use && !c->ended);
    etcd__list_push_back(&c->queue, &delivery->node);
    c->buffered += delivery->bytes;
    m->total += delivery->bytes;
    if (delivery->bytes > c->largest)
        c->largest = delivery->bytes;
    require(c->buffered <= c->watcher.buffer_bytes + 3 * c->largest); /* an answer over it, and a word on the connection */
    return ETCD_OK;
}

static void op_moved(etcd__watcher *watcher)
{
    model *m = consumer_of(watcher)->m;

    require(watcher->next > 0);
}

static bool may_end(const consumer *c, const etcd_error *why)
{
    const model *m = c->m;

    switch (why->code) {
    case ETCD_ERR_COMPACTED:
        return !c->watcher.relist && c->watcher.next < m->compacted;
    case ETCD_ERR_PERMISSION_DENIED:
        return m->refused[c->lo][c->hi];
    case ETCD_ERR_WATCH_CANCELED:
        return m->n_unexplained > 3;
    case ETCD_ERR_WATCH_ROLLED_BACK:
        m->figures->rollbacks++;
        return m->restored && c->watcher.seen > m->revision;
    case ETCD_ERR_NO_MEMORY:
        return m->may_fail;
    default:
        return false;
    }
}

static void op_ended(etcd__watcher *watcher, const etcd_error *why)
{
    consumer *c = consumer_of(watcher);
    model *m = c->m;

    require(c->in_use && !c->ended && watcher->core == NULL);
    if (!may_end(c, why))
        model_fail(m, why->message, __FILE__, __LINE__);
    c->ended = true;
    m->figures->ended++;
}

static size_t op_buffered(const etcd__watcher *watcher)
{
    return ((const consumer *)watcher)->buffered;
}

static size_t op_buffered_in_all(const etcd__watch_core *core)
{
    return ((const model *)core)->total;
}

static int op_list(etcd__watcher *watcher, const etcd__range_request *given)
{
    consumer *c = consumer_of(watcher);
    model *m = c->m;

    require(!c->list_out && c->in_use && given->key.len < sizeof c->page_key);
    c->list_out = true;
    c->page = *given;
    memcpy(c->page_key, given->key.data, given->key.len);
    c->page.key.data = c->page_key;
    return ETCD_OK;
}

static void op_unlist(etcd__watcher *watcher)
{
    model *m = consumer_of(watcher)->m;

    require(consumer_of(watcher)->list_out);
    consumer_of(watcher)->list_out = false;
}

static int op_probe(etcd__watch_core *core, const etcd__range_request *given)
{
    model *m = model_of(core);

    require(!m->probe_out && given->key.len == 1);
    m->probe_out = true;
    m->figures->doubts++;
    return ETCD_OK;
}

static void op_unprobe(etcd__watch_core *core)
{
    model_of(core)->probe_out = false;
}

static int op_vouch(etcd__watch_core *core)
{
    model *m = model_of(core);

    require(!m->vouch_out && m->stream == OPEN);
    m->vouch_out = true;
    return ETCD_OK;
}

static const etcd__watch_ops ops = {
    op_open,     op_close,           op_send, op_renew,  op_wake,  op_deliver, op_moved, op_ended,
    op_buffered, op_buffered_in_all, op_list, op_unlist, op_probe, op_unprobe, op_vouch,
};

/* --- the consumers ---------------------------------------------------------------------------- */

static void check_events(consumer *c, const etcd_watch_response *response)
{
    model *m = c->m;
    size_t next;

    require(c->created && !c->listing && response->n_events > 0);
    for (size_t i = 0; i < response->n_events; i++) {
        const etcd_event *got = &response->events[i];
        const event *e;

        c->at = next_due(c, c->at);
        require(c->at < m->n_events);
        e = &m->events[c->at++];
        require(got->kv->mod_revision == e->revision && got->type == e->deletes);
        require(got->kv->key.len == 1 && got->kv->key.data[0] == 'a' + e->key && got->kv->key.data[1] == '\0');
        require(got->kv->value.len == 5 && strcmp(got->kv->value.data, "value") == 0);
    }
    require(response->revision == response->events[response->n_events - 1].kv->mod_revision);
    next = next_due(c, c->at);
    require(next == m->n_events || m->events[next].revision > response->revision); /* not split */
    m->figures->events += response->n_events;
}

/* All that is due up to `revision` has come. */
static void check_reached(consumer *c, int64_t revision)
{
    model *m = c->m;
    size_t next = next_due(c, c->at);

    require(next == m->n_events || m->events[next].revision > revision || m->restored);
}

static void check_listed(consumer *c, const etcd_watch_response *response)
{
    model *m = c->m;

    require(c->listing && response->revision == c->list_revision);
    c->listed += (int64_t)response->n_kvs;
    if (response->more)
        return;
    require(c->listed == model_count_alive(m, c->lo, c->hi, c->list_revision));
    c->listing = false;
    c->from = c->list_revision + 1;
    m->figures->listings++;
}

static void check(consumer *c, const etcd__watch_delivery *delivery)
{
    const etcd_watch_response *response = &delivery->response;
    model *m = c->m;

    m->figures->responses++;
    switch (response->type) {
    case ETCD_WATCH_EVENTS:
        check_events(c, response);
        require(delivery->next == response->revision + 1);
        break;
    case ETCD_WATCH_CREATED:
        require(!c->created);
        c->created = true;
        c->from = response->revision;
        require(c->watcher.start_revision == 0 || response->revision == c->watcher.start_revision);
        break;
    case ETCD_WATCH_PROGRESS:
        require(c->created && !c->listing);
        if (!m->overtakes)
            check_reached(c, response->revision);
        break;
    case ETCD_WATCH_DISCONNECTED:
        require(!c->broken && response->reason.len > 0);
        c->broken = true;
        break;
    case ETCD_WATCH_RESUMED:
        require(c->broken);
        c->broken = false;
        check_reached(c, response->revision - 1);
        break;
    case ETCD_WATCH_GAP:
        require(c->watcher.relist);
        c->created = true; /* a watch from an old revision may never have been taken up */
        c->listing = true;
        c->list_revision = response->revision;
        c->listed = 0;
        break;
    default:
        require(response->type == ETCD_WATCH_LISTED);
        check_listed(c, response);
    }
}

static void take(consumer *c)
{
    etcd__list *node = etcd__list_pop_front(&c->queue);
    etcd__watch_delivery *delivery;
    model *m = c->m;

    if (node == NULL)
        return;
    delivery = ETCD__CONTAINER_OF(node, etcd__watch_delivery, node);
    require(delivery->watcher == &c->watcher);
    check(c, delivery);
    c->buffered -= delivery->bytes;
    m->total -= delivery->bytes;
    etcd_response_free(delivery);
    if (c->watcher.wants_drain && etcd__watch_drained_enough(c->buffered, c->watcher.buffer_bytes, m->total, m->core.total_bytes))
        etcd__watch_core_drained(&c->watcher, m->now);
}

static void drop_consumer(consumer *c)
{
    etcd__list *node;

    etcd__watch_core_remove(&c->watcher, c->m->now);
    while ((node = etcd__list_pop_front(&c->queue)) != NULL)
        etcd_response_free(ETCD__CONTAINER_OF(node, etcd__watch_delivery, node));
    c->m->total -= c->buffered;
    c->in_use = false;
}

static void add_consumer(model *m, consumer *c)
{
    memset(c, 0, sizeof *c);
    c->m = m;
    c->lo = (int)model_roll(m, KEYS);
    c->hi = c->lo + 1 + (int)model_roll(m, (uint64_t)(KEYS - c->lo));
    c->key[0] = (char)('a' + c->lo);
    c->end[0] = (char)('a' + c->hi);
    etcd__list_init(&c->queue);
    c->watcher.key = (etcd_bytes){c->key, 1};
    c->watcher.range_end = (etcd_bytes){c->end, 1};
    c->watcher.start_revision = model_roll(m, 2) ? 0 : 1 + (int64_t)model_roll(m, (uint64_t)m->revision + 4);
    c->watcher.buffer_bytes = 1500 + model_roll(m, 4000);
    c->watcher.created_notify = true;
    c->watcher.progress_notify = model_roll(m, 2);
    c->watcher.report_connection = model_roll(m, 2);
    c->watcher.relist = model_roll(m, 2);
    c->watcher.no_put = model_roll(m, 8) == 0;
    c->watcher.no_delete = !c->watcher.no_put && model_roll(m, 8) == 0;
    m->refused[c->lo][c->hi] |= model_roll(m, 50) == 0;
    c->in_use = true; /* it may be delivered to, and end, at once */
    if (etcd__watch_core_add(&m->core, &c->watcher, m->now) == ETCD_OK)
        return;
    require(m->may_fail);
    c->in_use = false;
}

/* --- answers to reads ------------------------------------------------------------------------- */

static void answer_list_with_error(model *m, consumer *c, int code, uint32_t flags)
{
    etcd_error why;

    etcd__error_set(&why, code, "%s", etcd_error_text(code));
    why.flags = flags;
    etcd__watch_core_listed(&c->watcher, NULL, 0, &why, m->now);
}

static void answer_list(model *m, consumer *c)
{
    int64_t revision = c->page.revision ? c->page.revision : m->revision;
    size_t limit = 1 + model_roll(m, 3), n = 0, len;
    etcd_get_response page = {.header = {.revision = m->revision}};
    char names[KEYS];
    etcd_kv kvs[KEYS];
    uint8_t *data;
    int key = c->page.key.data[0] - 'a' + (c->page.key.len > 1);

    c->list_out = false;
    if (!m->calm && model_roll(m, 8) == 0) {
        answer_list_with_error(m, c, ETCD_ERR_UNAVAILABLE, ETCD_ERROR_RETRYABLE);
        return;
    }
    if (revision < m->compacted) {
        answer_list_with_error(m, c, ETCD_ERR_COMPACTED, 0);
        return;
    }
    if (revision > m->revision) {
        answer_list_with_error(m, c, ETCD_ERR_FUTURE_REV, 0);
        return;
    }
    for (; key < c->hi && n < limit; key++) {
        if (!model_alive_at(m, key, revision))
            continue;
        names[n] = (char)('a' + key);
        kvs[n] = (etcd_kv){.key = {&names[n], 1}, .value = {"value", 5}, .mod_revision = 1};
        n++;
    }
    page.kvs = kvs;
    page.n_kvs = n;
    page.more = model_count_alive(m, key, c->hi, revision) > 0;
    len = etcd__pb_encoded_size(&etcd__get_response_type, &page);
    data = model_block(len + 1);
    etcd__pb_encode(&etcd__get_response_type, &page, data, len);
    etcd__watch_core_listed(&c->watcher, data, len, NULL, m->now);
}

static void answer_probe(model *m)
{
    etcd_error why;

    m->probe_out = false;
    if (!m->calm && model_roll(m, 4) == 0) {
        etcd__error_set(&why, ETCD_ERR_UNAVAILABLE, "unavailable");
        why.flags = ETCD_ERROR_RETRYABLE;
        etcd__watch_core_probed(&m->core, 0, &why, m->now);
        return;
    }
    etcd__watch_core_probed(&m->core, m->revision, NULL, m->now);
}

static void answer_vouch(model *m)
{
    m->vouch_out = false;
    etcd__watch_core_vouched(&m->core, m->overtakes ? 0 : model_roll(m, 8) != 0, m->now);
}

/* --- a schedule ------------------------------------------------------------------------------- */

static void open_stream(model *m)
{
    m->stream = OPEN;
    m->next_id = 0;
    m->visible = m->calm || model_roll(m, 4) ? m->revision : m->revision - (int64_t)model_roll(m, (uint64_t)m->revision);
    etcd__watch_core_opened(&m->core, m->now);
}

static void cut(model *m)
{
    etcd_error why;

    if (m->stream == NONE)
        return;
    m->figures->cuts++;
    model_drop_stream(m);
    etcd__error_set(&why, ETCD_ERR_UNAVAILABLE, "cut");
    etcd__watch_core_closed(&m->core, &why, true, m->now);
}

static void hear(model *m)
{
    message heard = m->messages[m->first_message];

    if (m->n_messages == 0)
        return;
    m->first_message = (m->first_message + 1) % QUEUE;
    m->n_messages--;
    etcd__watch_core_message(&m->core, heard.data, heard.len, m->now);
}

static void pass_time(model *m)
{
    uint64_t most = model_roll(m, 4) == 0 ? 2 * (uint64_t)ETCD__SECOND : 20 * (uint64_t)ETCD__MS;

    m->now += (int64_t)model_roll(m, most);
    if (m->now >= m->wake)
        etcd__watch_core_tick(&m->core, m->now);
}

static void server_step(model *m)
{
    size_t i = m->n_watchers > 0 ? model_roll(m, m->n_watchers) : 0;

    if (m->stream == OPENING) {
        open_stream(m);
        return;
    }
    if (m->stream != OPEN || m->n_messages > QUEUE - 128)
        return;
    if (m->visible < m->revision && model_roll(m, 2))
        m->visible += 1 + (int64_t)model_roll(m, (uint64_t)(m->revision - m->visible));
    model_serve(m);
    if (m->n_watchers == 0)
        return;
    i = model_roll(m, m->n_watchers);
    switch (model_roll(m, 40)) {
    case 0:
        model_tell_progress(m, i);
        break;
    case 1:
        if (!m->calm)
            model_cancel_for_no_reason(m, i);
        break;
    case 2:
        if (!m->calm)
            model_say_something_foreign(m);
        break;
    default:
        model_pump(m, i);
    }
}

static void step(model *m)
{
    consumer *c = &m->consumers[model_roll(m, WATCHERS)];

    switch (model_roll(m, 24)) {
    case 0:
    case 1:
    case 2:
        model_write_revision(m);
        break;
    case 3:
        if (model_roll(m, 6) == 0)
            cut(m);
        break;
    case 4:
        if (model_roll(m, 8) == 0 && m->revision > m->compacted + 1) {
            m->compacted += (int64_t)model_roll(m, (uint64_t)(m->revision - m->compacted));
            m->figures->compactions++;
        }
        break;
    case 5:
        if (!c->in_use)
            add_consumer(m, c);
        else if (model_roll(m, 10) == 0)
            drop_consumer(c);
        break;
    case 6:
        if (c->in_use && c->created && c->watcher.start_revision <= m->revision)
            etcd__watch_core_progress(&c->watcher, m->now);
        break;
    case 7:
    case 8:
        pass_time(m);
        break;
    case 9:
        if (c->in_use && c->list_out)
            answer_list(m, c);
        break;
    case 10:
        if (m->probe_out)
            answer_probe(m);
        if (m->vouch_out)
            answer_vouch(m);
        break;
    case 11:
    case 12:
    case 13:
    case 14:
        if (c->in_use)
            take(c);
        break;
    case 15:
    case 16:
    case 17:
    case 18:
        hear(m);
        break;
    default:
        server_step(m);
    }
}

/* The cluster is set up anew from a backup: later revisions are gone. Nothing is written afterwards, so that it is known which
 * watches can see it. */
static void restore(model *m)
{
    cut(m);
    m->restored = true;
    m->before_restore = m->revision;
    m->revision -= (int64_t)model_roll(m, (uint64_t)(m->revision - m->compacted) + 1);
    m->n_events = model_first_at(m, m->revision + 1);
}

static bool is_done(const model *m, const consumer *c)
{
    return !c->in_use || c->ended ||
           (c->created && !c->listing && etcd__list_empty(&c->queue) && next_due(c, c->at) == m->n_events) ||
           (c->watcher.start_revision > m->revision && !m->refused[c->lo][c->hi]);
}

static bool all_done(const model *m)
{
    for (size_t i = 0; i < WATCHERS; i++)
        if (!is_done(m, &m->consumers[i]))
            return false;
    return true;
}

/* What has been delivered before the restore cannot be checked against what is left of the history. */
static void take_all(model *m)
{
    for (size_t i = 0; i < WATCHERS; i++)
        while (m->consumers[i].in_use && !etcd__list_empty(&m->consumers[i].queue))
            take(&m->consumers[i]);
}

/* From here on nothing goes wrong: everybody must get all. */
static void calm_down(model *m)
{
    m->calm = true;
    for (int i = 0; i < CALM_STEPS && !all_done(m); i++) {
        for (size_t k = 0; k < WATCHERS; k++) {
            consumer *c = &m->consumers[k];

            if (c->in_use && c->list_out)
                answer_list(m, c);
            if (c->in_use)
                take(c);
        }
        if (m->probe_out)
            answer_probe(m);
        if (m->vouch_out)
            answer_vouch(m);
        server_step(m);
        hear(m);
        pass_time(m);
    }
    require(all_done(m));
}

static model *new_model(uint64_t seed, bool may_fail, watch_model_figures *figures)
{
    model *m = calloc(1, sizeof *m);

    if (m == NULL)
        abort();
    m->seed = seed;
    m->random.state = seed;
    m->may_fail = may_fail;
    m->figures = figures;
    m->wake = ETCD__NEVER;
    m->now = ETCD__SECOND;
    m->numbers_itself = model_roll(m, 8) == 0;
    m->overtakes = model_roll(m, 4) == 0;
    etcd__watch_core_init(&m->core, &ops, 6000, seed);
    for (int i = 0; i < 5; i++)
        model_write_revision(m);
    return m;
}

void watch_model_run(uint64_t seed, bool may_fail, watch_model_figures *figures)
{
    model *m = new_model(seed, may_fail, figures);
    uint64_t steps = 50 + model_roll(m, STEPS);

    for (uint64_t i = 0; i < steps; i++)
        step(m);
    if (model_roll(m, 10) == 0) {
        take_all(m);
        restore(m);
    }
    calm_down(m);
    figures->stalls += (uint64_t)m->core.stalls;
    for (size_t i = 0; i < WATCHERS; i++)
        if (m->consumers[i].in_use)
            drop_consumer(&m->consumers[i]);
    require(m->total == 0 && m->core.n_wanting == 0 && m->stream == NONE);
    etcd__watch_core_free(&m->core);
    free(m);
}
