/* A mirror: all keys with a prefix, then every change of them.
 *
 * This one ends when it has seen its own change. Others go on for ever, or keep the copy with its revision, and go on from
 * there the next time (updates_only).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <etcd3/etcd.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static int print_base(etcd_mirror *mirror, etcd_error *err)
{
    etcd_get_response *page;
    int rc;

    while ((rc = etcd_mirror_next_page(mirror, &page, err)) == ETCD_OK && page != NULL) {
        for (size_t i = 0; i < page->n_kvs; i++)
            printf("%s = %s\n", page->kvs[i].key.data, page->kvs[i].value.data);
        etcd_response_free(page);
    }
    return rc;
}

/* Until the copy has that revision. ETCD_ERR_COMPACTED would mean: begin again with a new base. */
static int print_updates(etcd_mirror *mirror, int64_t revision, etcd_error *err)
{
    const etcd_mirror_update *update;
    int rc = ETCD_OK;

    while (etcd_mirror_revision(mirror) < revision && (rc = etcd_mirror_next_update(mirror, -1, &update, err)) == ETCD_OK) {
        printf("revision %" PRId64 ":", update->revision);
        for (size_t i = 0; i < update->n_events; i++)
            printf(" %s %s", update->events[i].type == ETCD_EVENT_PUT ? "put" : "delete", update->events[i].kv->key.data);
        printf("\n");
    }
    return rc;
}

/* So that there is something to see. */
static int change(etcd_client *client, int64_t *revision, etcd_error *err)
{
    etcd_txn *txn = etcd_txn_new(client);
    etcd_txn_response *resp;
    int rc;

    etcd_txn_put(txn, ETCD_STR("mirror/a"), ETCD_STR("2"), NULL);
    etcd_txn_delete(txn, ETCD_STR("mirror/b"), NULL);
    rc = etcd_txn_commit(txn, NULL, &resp, err);
    if (rc == ETCD_OK)
        *revision = resp->header.revision;
    etcd_response_free(resp);
    etcd_txn_free(txn);
    return rc;
}

int main(void)
{
    const char *endpoints = getenv("ETCD3_ENDPOINTS");
    etcd_client *client;
    etcd_mirror *mirror = NULL;
    int64_t revision;
    etcd_error err;
    int rc;

    rc = etcd_client_new(ETCD_CLIENT(.endpoints = endpoints ? endpoints : "http://127.0.0.1:2379"), &client, &err);
    if (rc == ETCD_OK)
        rc = etcd_put(client, ETCD_STR("mirror/a"), ETCD_STR("1"), NULL, NULL, &err);
    if (rc == ETCD_OK)
        rc = etcd_put(client, ETCD_STR("mirror/b"), ETCD_STR("1"), NULL, NULL, &err);
    if (rc == ETCD_OK)
        rc = etcd_mirror_open(client, ETCD_STR("mirror/"), NULL, &mirror, &err);
    if (rc == ETCD_OK)
        rc = print_base(mirror, &err);
    if (rc == ETCD_OK)
        rc = change(client, &revision, &err);
    if (rc == ETCD_OK)
        rc = print_updates(mirror, revision, &err);
    if (rc == ETCD_OK)
        printf("a copy of revision %" PRId64 "\n", etcd_mirror_revision(mirror));
    else
        fprintf(stderr, "%s\n", err.message);
    etcd_mirror_free(mirror);
    etcd_client_free(client);
    return rc < 0;
}
