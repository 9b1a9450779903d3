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

/* What was written: revisions in their order, each with the number of keys that it changed. */
struct history {
    struct history_entry {
        int64_t revision;
        unsigned keys;
    } * entries;
    size_t n, cap;
    size_t checked; /* entries that a watch has shown */
};

/** Notes a revision; the writer calls it in their order. */
void history_add(struct history *history, int64_t revision, unsigned keys);

/** The history of keys that were put once each, from the server: for writers that do not know the outcome of each write. */
void history_read(struct history *history, etcd_client *client, const char *prefix);
void history_free(struct history *history);

/** A response of a watch on all that the history has: fails the test unless it goes on where the one before ended, and every
 *  revision is in one response with all its keys. Frees it. */
void history_check(struct history *history, etcd_watch_response *response);

/** Takes responses until the watch has shown all. Returns the number of events. */
size_t history_await(struct history *history, etcd_watch *watch);

#endif
