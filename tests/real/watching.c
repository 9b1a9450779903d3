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
    assert_true(history->n == 0 || history->entries[history->n - 1].revision < revision);
    if (history->n == history->cap) {
        history->cap = history->cap > 0 ? history->cap * 2 : 1024;
        history->entries = realloc(history->entries, history->cap * sizeof *history->entries);
        assert_non_null(history->entries);
    }
    history->entries[history->n++] = (struct history_entry){revision, keys};
}

void history_read(struct history *history, etcd_client *client, const char *prefix)
{
    etcd_get_response *get =
        real_get(client, prefix,
                 ETCD_GET(.prefix = true, .keys_only = true, .sort_target = ETCD_SORT_MOD, .sort_order = ETCD_SORT_ASCEND));

    for (size_t i = 0; i < get->n_kvs; i++) {
        assert_int_equal(get->kvs[i].version, 1);
        if (history->n > 0 && history->entries[history->n - 1].revision == get->kvs[i].mod_revision)
            history->entries[history->n - 1].keys++;
        else
            history_add(history, get->kvs[i].mod_revision, 1);
    }
    etcd_response_free(get);
}

void history_free(struct history *history)
{
    free(history->entries);
    memset(history, 0, sizeof *history);
}

void history_check(struct history *history, etcd_watch_response *response)
{
    size_t i = 0;

    while (i < response->n_events) {
        int64_t revision = response->events[i].kv->mod_revision;
        unsigned n = 0;

        assert_true(history->checked < history->n);
        assert_int_equal(revision, history->entries[history->checked].revision);
        for (; i < response->n_events && response->events[i].kv->mod_revision == revision; i++)
            n++;
        assert_int_equal(n, history->entries[history->checked].keys);
        history->checked++;
    }
    if (i > 0)
        assert_int_equal(response->revision, history->entries[history->checked - 1].revision);
    etcd_response_free(response);
}

size_t history_await(struct history *history, etcd_watch *watch)
{
    etcd_watch_response *response;
    size_t events = 0;
    etcd_error err;

    while (history->checked < history->n) {
        assert_ok(etcd_watch_next(watch, PATIENCE_MS, &response, &err), &err);
        events += response->n_events;
        history_check(history, response);
    }
    return events;
}
