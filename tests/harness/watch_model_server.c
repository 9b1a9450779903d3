/* The server's side of watch_model.h. It follows the real one: creates are answered in order, batches bring whole revisions,
 * fragments may end within one, cancels and compactions come in between; a member may lag behind the cluster. */
#include "harness/watch_model_internal.h"

#include "base/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- small things ----------------------------------------------------------------------------- */

_Noreturn void model_fail(const model *m, const char *what, const char *file, int line)
{
    (void)fprintf(stderr, "%s:%d: seed %llu: %s\n", file, line, (unsigned long long)m->seed, what);
    abort();
}

uint64_t model_roll(model *m, uint64_t sides)
{
    return etcd__random_below(&m->random, sides);
}

bool model_matches(const event *e, int lo, int hi, bool no_put, bool no_delete)
{
    return e->key >= lo && e->key < hi && !(e->deletes ? no_delete : no_put);
}

size_t model_first_at(const model *m, int64_t revision)
{
    size_t i = 0;

    while (i < m->n_events && m->events[i].revision < revision)
        i++;
    return i;
}

/* --- the history ------------------------------------------------------------------------------ */

void model_write_revision(model *m)
{
    size_t n = 1 + model_roll(m, 4);
    int key = (int)model_roll(m, KEYS);

    if (m->revision + 1 >= MAX_REVISIONS || m->n_events + n > MAX_EVENTS)
        return;
    m->revision++;
    for (size_t i = 0; i < n; i++)
        m->events[m->n_events++] = (event){m->revision, (key + (int)i) % KEYS, model_roll(m, 4) == 0};
}

bool model_alive_at(const model *m, int key, int64_t revision)
{
    bool alive = false;

    for (size_t i = 0; i < m->n_events && m->events[i].revision <= revision; i++)
        if (m->events[i].key == key)
            alive = !m->events[i].deletes;
    return alive;
}

int64_t model_count_alive(const model *m, int lo, int hi, int64_t revision)
{
    int64_t n = 0;

    for (int key = lo; key < hi; key++)
        n += model_alive_at(m, key, revision);
    return n;
}

/* --- the server ------------------------------------------------------------------------------- */

/* Memory of the model itself never runs out. */
uint8_t *model_block(size_t size)
{
    uint8_t *block;

    do
        block = etcd__malloc(size);
    while (block == NULL);
    return block;
}

static void say_held(model *m);

static void say(model *m, const etcd__watch_response *response)
{
    size_t len = etcd__pb_encoded_size(&etcd__watch_response_type, response);
    uint8_t *data;

    if (!response->created)
        say_held(m);
    data = model_block(len + 1);
    require(m->n_messages < QUEUE);
    etcd__pb_encode(&etcd__watch_response_type, response, data, len);
    m->messages[(m->first_message + m->n_messages++) % QUEUE] = (message){data, len};
}

static void say_held(model *m)
{
    size_t n = m->n_held;

    m->n_held = 0;
    for (size_t i = 0; i < n; i++)
        say(m, &m->held[i]);
}

static etcd__watch_response answer(const model *m, int64_t id)
{
    return (etcd__watch_response){.header = {.cluster_id = 1, .member_id = 1, .revision = m->visible}, .watch_id = id};
}

static void refuse(model *m, int64_t id, const char *reason)
{
    etcd__watch_response response = answer(m, model_roll(m, 2) ? -1 : id);

    response.created = response.canceled = true;
    response.cancel_reason = (etcd_bytes){reason, strlen(reason)};
    if (m->numbers_itself)
        response.watch_id = -1;
    say(m, &response);
}

static void serve_create(model *m, const request *r)
{
    etcd__watch_response response;
    int64_t id = m->numbers_itself ? m->next_id++ : r->id;

    for (size_t i = 0; !m->numbers_itself && i < m->n_used; i++)
        require(m->used[i] != id);
    require(m->numbers_itself || id > 0);
    require(m->n_used < SERVER_WATCHERS && m->n_watchers < SERVER_WATCHERS);
    if (!m->numbers_itself)
        m->used[m->n_used++] = id;
    if (m->refused[r->lo][r->hi]) {
        refuse(m, r->id, "rpc error: code = PermissionDenied desc = etcdserver: permission denied");
        return;
    }
    if (!m->calm && model_roll(m, 40) == 0) {
        refuse(m, r->id, "rpc error: code = Unavailable desc = etcdserver: no leader");
        return;
    }
    response = answer(m, id);
    response.created = true;
    say(m, &response);
    m->watchers[m->n_watchers++] =
        (server_watcher){id, r->start ? r->start : m->visible + 1, r->lo, r->hi, r->no_put, r->no_delete};
}

static void forget(model *m, size_t i)
{
    m->watchers[i] = m->watchers[--m->n_watchers];
}

static void serve_cancel(model *m, int64_t id)
{
    etcd__watch_response response = answer(m, id);

    for (size_t i = 0; i < m->n_watchers; i++)
        if (m->watchers[i].id == id) {
            response.canceled = true;
            say(m, &response);
            forget(m, i);
            return;
        }
}

static void serve_progress(model *m)
{
    etcd__watch_response response = answer(m, -1);

    for (size_t i = 0; i < m->n_watchers && !m->overtakes; i++)
        if (m->watchers[i].next != m->visible + 1)
            return; /* somebody lags, or waits for the future */
    if (m->n_held < HELD && (m->n_watchers > 0 || m->overtakes))
        m->held[m->n_held++] = response;
}

void model_serve(model *m)
{
    const request r = m->requests[m->first_request];

    if (m->n_held > 0 && (m->calm || model_roll(m, 2)))
        say_held(m);
    if (m->n_requests == 0)
        return;
    m->first_request = (m->first_request + 1) % QUEUE;
    m->n_requests--;
    if (r.type == ETCD__WATCH_CREATE)
        serve_create(m, &r);
    else if (r.type == ETCD__WATCH_CANCEL)
        serve_cancel(m, r.id);
    else
        serve_progress(m);
}

/* Events in one response or in fragments; a last fragment may be empty of news only when there is nothing before it. */
static void say_events(model *m, int64_t id, const etcd_event *events, size_t n)
{
    etcd__watch_response response = answer(m, id);
    size_t from = 0;

    while (from < n) {
        size_t most = n - from, take = model_roll(m, 3) ? most : 1 + model_roll(m, most);

        response.events = events + from;
        response.n_events = take;
        response.fragment = from + take < n;
        m->figures->fragments += response.fragment;
        say(m, &response);
        from += take;
    }
}

static void compact_watcher(model *m, size_t i)
{
    etcd__watch_response response = answer(m, m->watchers[i].id);

    response.canceled = true;
    response.compact_revision = m->compacted;
    say(m, &response);
    forget(m, i);
}

/* One batch of a watcher: whole revisions. */
void model_pump(model *m, size_t i)
{
    static const char names[] = "abcdefghi";
    server_watcher *w = &m->watchers[i];
    etcd_event events[64];
    etcd_kv kvs[64];
    int64_t last;
    size_t n = 0;

    if (w->next < m->compacted) {
        compact_watcher(m, i);
        return;
    }
    if (w->next > m->visible)
        return;
    last = w->next + (int64_t)model_roll(m, 8);
    if (last > m->visible)
        last = m->visible;
    for (size_t e = model_first_at(m, w->next); e < m->n_events && m->events[e].revision <= last; e++) {
        if (!model_matches(&m->events[e], w->lo, w->hi, w->no_put, w->no_delete))
            continue;
        kvs[n] = (etcd_kv){.key = {names + m->events[e].key, 1}, .value = {"value", 5}, .mod_revision = m->events[e].revision};
        events[n] = (etcd_event){.type = m->events[e].deletes, .kv = &kvs[n]};
        n++;
    }
    w->next = last + 1;
    say_events(m, w->id, events, n);
}

void model_tell_progress(model *m, size_t i)
{
    etcd__watch_response response = answer(m, m->watchers[i].id);

    if (m->watchers[i].next == m->visible + 1)
        say(m, &response);
}

void model_cancel_for_no_reason(model *m, size_t i)
{
    etcd__watch_response response = answer(m, m->watchers[i].id);

    m->n_unexplained++;
    response.canceled = true;
    say(m, &response);
    forget(m, i);
}

void model_say_something_foreign(model *m)
{
    etcd__watch_response response = answer(m, m->numbers_itself ? 100000 : 3 + (int64_t)model_roll(m, 3));
    etcd_kv kv = {.key = {"a", 1}, .value = {"", 0}, .mod_revision = m->visible};
    const etcd_event foreign = {.kv = &kv};

    response.events = &foreign;
    response.n_events = 1;
    say(m, &response);
}

void model_drop_stream(model *m)
{
    while (m->n_messages > 0) {
        etcd__free(m->messages[m->first_message].data);
        m->first_message = (m->first_message + 1) % QUEUE;
        m->n_messages--;
    }
    m->n_requests = m->n_held = 0;
    m->vouch_out = false;
    m->n_watchers = m->n_used = 0;
    m->stream = NONE;
}
