/* What etcd does, shown with libetcd3: write, read, list, compare-and-swap, lock, delete, watch. `make demo` runs it beside a
 * private etcd; to run it on another one, name it in ETCD3_ENDPOINTS. It uses keys below "demo/" only, and removes them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <etcd3/etcd.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void die(const etcd_error *err)
{
    fprintf(stderr, "%s: %s\n", etcd_error_name(err->code), err->message);
    exit(1);
}

static void print_kv(const etcd_kv *kv)
{
    printf("     %-10s = %-6s  (created at revision %" PRId64 ", last written at %" PRId64 ", version %" PRId64 ")\n",
           kv->key.data, kv->value.data, kv->create_revision, kv->mod_revision, kv->version);
}

/* Returns the revision of the first write. */
static int64_t write_keys(etcd_client *client)
{
    static const char *const pairs[][2] = {{"demo/color", "green"}, {"demo/shape", "circle"}, {"demo/size", "12"}};
    etcd_put_response *put;
    etcd_error err;
    int64_t first = 0;

    printf("Write\n");
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        if (etcd_put(client, ETCD_STR(pairs[i][0]), ETCD_STR(pairs[i][1]), NULL, &put, &err) < 0)
            die(&err);
        printf("     put %-10s %-6s  -> revision %" PRId64 "\n", pairs[i][0], pairs[i][1], put->header.revision);
        if (first == 0)
            first = put->header.revision;
        etcd_response_free(put);
    }
    return first;
}

/* Everything that has happened below "demo/" since `first`, until the key `last` was deleted. */
static void follow(etcd_client *client, int64_t first, const char *last)
{
    etcd_watch_response *resp;
    etcd_watch *watch;
    etcd_error err;
    bool seen = false;

    printf("\nWatch from revision %" PRId64 " on: all of that again, in order\n", first);
    if (etcd_watch_open(client, ETCD_STR("demo/"), ETCD_WATCH(.prefix = true, .start_revision = first), &watch, &err) < 0)
        die(&err);
    while (!seen) {
        if (etcd_watch_next(watch, 10000, &resp, &err) < 0)
            die(&err);
        for (size_t i = 0; i < resp->n_events; i++) {
            const etcd_event *event = &resp->events[i];
            const bool deleted = event->type == ETCD_EVENT_DELETE;

            printf("     %" PRId64 "  %s %s%s%s\n", event->kv->mod_revision, deleted ? "delete" : "put   ", event->kv->key.data,
                   deleted ? "" : " = ", event->kv->value.data);
            seen = seen || (deleted && strcmp(event->kv->key.data, last) == 0);
        }
        etcd_response_free(resp);
    }
    etcd_watch_free(watch);
}

/* Returns the revision at which the key was last written. */
static int64_t read_key(etcd_client *client)
{
    etcd_get_response *get;
    etcd_error err;
    int64_t revision = 0;

    printf("\nRead\n");
    if (etcd_get(client, ETCD_STR("demo/color"), NULL, &get, &err) < 0)
        die(&err);
    if (get->n_kvs == 1) {
        print_kv(&get->kvs[0]);
        revision = get->kvs[0].mod_revision;
    }
    etcd_response_free(get);
    return revision;
}

static void list_keys(etcd_client *client)
{
    etcd_get_response *get;
    etcd_error err;

    printf("\nList all keys that start with \"demo/\"\n");
    if (etcd_get(client, ETCD_STR("demo/"), ETCD_GET(.prefix = true), &get, &err) < 0)
        die(&err);
    for (size_t i = 0; i < get->n_kvs; i++)
        print_kv(&get->kvs[i]);
    printf("     %" PRId64 " keys, as of revision %" PRId64 "\n", get->count, get->header.revision);
    etcd_response_free(get);
}

/* Writes `value` if nobody has written since `seen_revision`; else reads what is there. */
static void swap_color(etcd_client *client, int64_t seen_revision, const char *value)
{
    etcd_txn *txn = etcd_txn_new(client);
    etcd_txn_response *resp;
    etcd_error err;

    printf("\nCompare and swap: demo/color becomes \"%s\" if it is still that of revision %" PRId64 "\n", value, seen_revision);
    etcd_txn_if_mod_revision(txn, ETCD_STR("demo/color"), ETCD_CMP_EQUAL, seen_revision);
    etcd_txn_put(txn, ETCD_STR("demo/color"), ETCD_STR(value), NULL);
    etcd_txn_else(txn);
    etcd_txn_get(txn, ETCD_STR("demo/color"), NULL);
    if (etcd_txn_commit(txn, NULL, &resp, &err) < 0)
        die(&err);
    if (resp->succeeded) {
        printf("     it was: swapped -> revision %" PRId64 "\n", resp->header.revision);
    } else {
        printf("     it was not: nothing changed (the store is at revision %" PRId64 "); there is now\n", resp->header.revision);
        for (size_t i = 0; i < resp->responses[0]->get->n_kvs; i++)
            print_kv(&resp->responses[0]->get->kvs[i]);
    }
    etcd_response_free(resp);
    etcd_txn_free(txn);
}

/* Holds a lock for a moment: its key lives as long as the session's lease, which is kept alive meanwhile. */
static void hold_a_lock(etcd_client *client)
{
    etcd_session *session = NULL;
    etcd_mutex *mutex = NULL;
    etcd_error err;

    printf("\nTake a lock, in a session that is kept alive\n");
    if (etcd_session_new(client, ETCD_SESSION(.ttl_s = 10), &session, &err) < 0 ||
        etcd_mutex_new(session, ETCD_STR("demo/lock"), &mutex, &err) < 0 || etcd_mutex_lock(mutex, NULL, &err) < 0)
        die(&err);
    printf("     %s is held: fencing token %" PRId64 ", surely ours for another %.1f s\n", etcd_mutex_key(mutex, NULL),
           etcd_mutex_token(mutex), (double)etcd_session_remaining_ms(session) / 1000);
    if (etcd_mutex_unlock(mutex, NULL, &err) < 0)
        die(&err);
    etcd_mutex_free(mutex);
    etcd_session_free(session); /* revokes the lease */
}

static void delete_keys(etcd_client *client)
{
    etcd_delete_response *del;
    etcd_error err;

    printf("\nDelete all of them, and see what was there\n");
    if (etcd_delete(client, ETCD_STR("demo/"), ETCD_DELETE(.prefix = true, .prev_kv = true), &del, &err) < 0)
        die(&err);
    for (size_t i = 0; i < del->n_prev_kvs; i++)
        print_kv(&del->prev_kvs[i]);
    printf("     deleted %" PRId64 " keys -> revision %" PRId64 "\n", del->deleted, del->header.revision);
    etcd_response_free(del);
}

int main(void)
{
    const char *endpoints = getenv("ETCD3_ENDPOINTS");
    etcd_client *client;
    etcd_error err;
    int64_t first, seen;

    if (endpoints == NULL)
        endpoints = "http://127.0.0.1:2379";
    if (etcd_client_new(ETCD_CLIENT(.endpoints = endpoints), &client, &err) < 0)
        die(&err);
    printf("libetcd3 %s speaks to etcd at %s\n\n", etcd_version(), endpoints);

    first = write_keys(client);
    seen = read_key(client);
    list_keys(client);
    swap_color(client, seen, "blue");
    swap_color(client, seen, "red"); /* the same revision again: "blue" came in between */
    hold_a_lock(client);
    delete_keys(client);
    list_keys(client);
    follow(client, first, "demo/size");

    etcd_client_free(client);
    return 0;
}
