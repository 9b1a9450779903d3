/* What the tests of watches share: events that are noted, and the proof that they are the server's history. Main thread only. */
#ifndef ETCD3_TESTS_WATCHING_H
#define ETCD3_TESTS_WATCHING_H

#include "real.h"

/* The next response within a generous time; its type is checked. The caller frees it. */
#define watching_next(watch, type) watching_next_at((watch), (type), __FILE__, __LINE__)

etcd_watch_response *watching_next_at(etcd_watch *watch, int type, const char *file, int line);

/** Opens a watch, which must succeed. */
etcd_watch *watching_open(etcd_client *client, const char *key, const etcd_watch_options *options);

/** Takes the end of a watch, which must be of this code, behind responses that are thrown away. `text` is in the message. */
void watching_await_end(etcd_watch *watch, int code, const char *text);

/** What a writer did: revision r - first is entry r, with the number of keys that it changed. */
struct history {
    int64_t first;
    size_t n, cap;
    unsigned *keys;
};

/** Notes that a revision changed so many keys; revisions follow each other. */
void history_add(struct history *history, int64_t revision, unsigned keys);
void history_free(struct history *history);

/** Takes responses until the history's last revision was seen, and fails the test unless every revision came once, in order,
 *  and with all its events. Returns the number of events. `from`: the first revision to come. */
size_t history_check(const struct history *history, etcd_watch *watch, int64_t from);

#endif
