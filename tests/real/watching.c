/* See watching.h. */
#include "watching.h"

#include <stdlib.h>
#include <string.h>

#define PATIENCE_MS 60000

etcd_watch_response *watching_next_at(etcd_watch *watch, int type, const char *file, int line)
{
    etcd_watch_response *response;
    etcd_error err;

    real_assert_code(etcd_watch_next(watch, PATIENCE_MS, &response, &err), ETCD_OK, &err, NULL, file, line);
    if (response->type != type)
        print_error("%s:%d: response of type %d\n", file, line, (int)response->type);
    _assert_int_equal((uintmax_t)response->type, (uintmax_t)type, file, line);
    return response;
}

etcd_watch *watching_open(etcd_client *client, const char *key, const etcd_watch_options *options)
{
    etcd_watch *watch;
    etcd_error err;

    assert_ok(etcd_watch_open(client, ETCD_STR(key), options, &watch, &err), &err);
    return watch;
}

void watching_await_end(etcd_watch *watch, int code, const char *text)
{
    etcd_watch_response *response;
    etcd_error err;
    int rc;

    while ((rc = etcd_watch_next(watch, PATIENCE_MS, &response, &err)) == ETCD_OK)
        etcd_response_free(response);
    assert_error(rc, &err, code, text);
    assert_int_equal(etcd_watch_next(watch, 0, &response, &err), code); /* again and again */
}

void history_add(struct history *history, int64_t revision, unsigned keys)
{
    if (history->n == 0)
        history->first = revision;
    assert_int_equal(revision, history->first + (int64_t)history->n);
    if (history->n == history->cap) {
        history->cap = history->cap > 0 ? history->cap * 2 : 1024;
        history->keys = realloc(history->keys, history->cap * sizeof *history->keys);
        assert_non_null(history->keys);
    }
    history->keys[history->n++] = keys;
}

void history_free(struct history *history)
{
    free(history->keys);
    memset(history, 0, sizeof *history);
}

/* Returns the revision behind the response. */
static int64_t check_response(const struct history *history, const etcd_watch_response *response, int64_t next)
{
    size_t i = 0;

    assert_true(response->n_events > 0);
    while (i < response->n_events) {
        int64_t revision = response->events[i].kv->mod_revision;
        unsigned n = 0;

        assert_int_equal(revision, next);
        assert_true(next - history->first < (int64_t)history->n);
        for (; i < response->n_events && response->events[i].kv->mod_revision == revision; i++)
            n++;
        assert_int_equal(n, history->keys[revision - history->first]);
        next++;
    }
    assert_int_equal(response->revision, next - 1);
    return next;
}

size_t history_check(const struct history *history, etcd_watch *watch, int64_t from)
{
    int64_t next = from, end = history->first + (int64_t)history->n;
    etcd_watch_response *response;
    size_t events = 0;

    while (next < end) {
        response = watching_next(watch, ETCD_WATCH_EVENTS);
        next = check_response(history, response, next);
        events += response->n_events;
        etcd_response_free(response);
    }
    assert_int_equal(next, end);
    return events;
}
