/* What the two halves of watch_model.h share: the cluster with its stream, and the consumers. */
#ifndef ETCD3_TESTS_WATCH_MODEL_INTERNAL_H
#define ETCD3_TESTS_WATCH_MODEL_INTERNAL_H

#include "harness/watch_model.h"

#include "base/random.h"
#include "service/watch_core.h"

enum {
    KEYS = 8,
    MAX_REVISIONS = 400,
    MAX_EVENTS = 1600,
    WATCHERS = 6,
    SERVER_WATCHERS = 512,
    QUEUE = 4096,
    HELD = 4,
    STEPS = 400,
    CALM_STEPS = 60000
};

typedef struct event {
    int64_t revision;
    int key;
    bool deletes;
} event;

typedef struct request {
    int32_t type;
    int64_t id, start;
    int lo, hi;
    bool no_put, no_delete, progress;
} request;

typedef struct server_watcher {
    int64_t id, next;
    int lo, hi;
    bool no_put, no_delete;
} server_watcher;

typedef struct message {
    uint8_t *data;
    size_t len;
} message;

typedef struct model model;

typedef struct consumer {
    etcd__watcher watcher; /* first */
    model *m;
    char key[1], end[1];
    int lo, hi;
    bool in_use, ended, created, broken, listing;
    int64_t from; /* revisions before it are not wanted */
    size_t at;    /* the next event of the history that may be due */
    int64_t list_revision, listed;
    etcd__list queue;
    size_t buffered, largest;
    bool list_out;
    etcd__range_request page;
    char page_key[8];
} consumer;

struct model {
    etcd__watch_core core; /* first */
    uint64_t seed;
    etcd__random random;
    bool calm, may_fail, restored;
    int64_t now, wake;
    /* the cluster */
    event events[MAX_EVENTS];
    size_t n_events;
    int64_t revision, compacted, before_restore;
    /* the stream */
    enum { NONE, OPENING, OPEN } stream;
    bool numbers_itself;
    int64_t visible; /* what the member has applied */
    int64_t next_id;
    server_watcher watchers[SERVER_WATCHERS];
    size_t n_watchers;
    request requests[QUEUE];
    size_t first_request, n_requests;
    message messages[QUEUE];
    size_t first_message, n_messages;
    bool overtakes;                  /* an old server: its answers to progress requests come ahead of events */
    etcd__watch_response held[HELD]; /* others may come behind the `created` of watches that were not there */
    size_t n_held;
    int64_t used[SERVER_WATCHERS];
    size_t n_used;
    size_t n_unexplained; /* cancels without a reason */
    bool probe_out, vouch_out;
    bool refused[KEYS][KEYS + 1]; /* ranges that may not be read */
    consumer consumers[WATCHERS];
    size_t total;
    watch_model_figures *figures;
};

_Noreturn void model_fail(const model *m, const char *what, const char *file, int line);

#define require(condition) ((condition) ? (void)0 : model_fail(m, #condition, __FILE__, __LINE__))

uint64_t model_roll(model *m, uint64_t sides);

/* Memory of the model itself never runs out. */
uint8_t *model_block(size_t size);

/* --- watch_model_server.c: the history -------------------------------------------------------- */

bool model_matches(const event *e, int lo, int hi, bool no_put, bool no_delete);

/* The first event at or behind a revision. */
size_t model_first_at(const model *m, int64_t revision);
void model_write_revision(model *m);

/* Keys that exist at a revision. */
bool model_alive_at(const model *m, int key, int64_t revision);
int64_t model_count_alive(const model *m, int lo, int hi, int64_t revision);

/* --- watch_model_server.c: the member that has the stream ------------------------------------- */

/* Takes the next request. */
void model_serve(model *m);

/* Say something to watcher `i`: events, that nothing is owed, that it is canceled; or to one that nobody asked for. */
void model_pump(model *m, size_t i);
void model_tell_progress(model *m, size_t i);
void model_cancel_for_no_reason(model *m, size_t i);
void model_say_something_foreign(model *m);

/* All that was said and not heard is gone. */
void model_drop_stream(model *m);

#endif
