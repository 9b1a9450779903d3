/* Watches a prefix and keeps count of it: the loop of every program that follows what others write. Broken connections are no
 * matter of the program's; what it must know is told as a response or as the end.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <etcd3/etcd.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Somebody's writes. */
static int write_some(etcd_client *client, etcd_error *err)
{
    int rc = etcd_put(client, ETCD_STR("watch/a"), ETCD_STR("1"), NULL, NULL, err);

    if (rc == ETCD_OK)
        rc = etcd_put(client, ETCD_STR("watch/a"), ETCD_STR("2"), NULL, NULL, err);
    if (rc == ETCD_OK)
        rc = etcd_delete(client, ETCD_STR("watch/"), ETCD_DELETE(.prefix = true), NULL, err);
    return rc;
}

static bool print(const etcd_watch_response *response)
{
    bool over = false;

    if (response->type == ETCD_WATCH_GAP) /* relist: the server has forgotten what came before */
        printf("a gap: what is there as of revision %" PRId64 " follows\n", response->revision);
    for (size_t i = 0; i < response->n_kvs; i++)
        printf("there is %s = %s\n", response->kvs[i].key.data, response->kvs[i].value.data);
    for (size_t i = 0; i < response->n_events; i++) {
        const etcd_event *event = &response->events[i];

        if (event->type == ETCD_EVENT_PUT)
            printf("%s is %s now\n", event->kv->key.data, event->kv->value.data);
        else
            printf("%s was deleted; it was %s\n", event->kv->key.data, event->prev_kv ? event->prev_kv->value.data : "something");
        over = over || event->type == ETCD_EVENT_DELETE;
    }
    return over;
}

static int follow(etcd_client *client, etcd_error *err)
{
    etcd_watch_response *response;
    etcd_watch *watch;
    bool over = false;
    int rc = etcd_watch_open(client, ETCD_STR("watch/"),
                             ETCD_WATCH(.prefix = true, .prev_kv = true, .relist = true, .created_notify = true), &watch, err);

    if (rc < 0)
        return rc;
    while (!over && (rc = etcd_watch_next(watch, -1, &response, err)) == ETCD_OK) {
        if (response->type == ETCD_WATCH_CREATED) /* from here on nothing is missed */
            rc = write_some(client, err);
        over = print(response) || rc < 0;
        etcd_response_free(response);
    }
    if (rc == ETCD_OK)
        printf("to go on later: start_revision %" PRId64 "\n", etcd_watch_position(watch));
    etcd_watch_free(watch);
    return rc;
}

int main(void)
{
    const char *endpoints = getenv("ETCD3_ENDPOINTS");
    etcd_client *client;
    etcd_error err;
    int rc = etcd_client_new(ETCD_CLIENT(.endpoints = endpoints ? endpoints : "http://127.0.0.1:2379"), &client, &err);

    if (rc == ETCD_OK)
        rc = follow(client, &err);
    if (rc < 0)
        fprintf(stderr, "%s\n", err.message);
    etcd_client_free(client);
    return rc < 0;
}
