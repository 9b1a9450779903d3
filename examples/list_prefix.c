/* Reads all keys with a prefix, however many there are: page by page, all pages as of one revision, so that the list is
 * one that existed at one moment, though others write at the same time.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <etcd3/etcd.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static int fill(etcd_client *client, etcd_error *err)
{
    char key[32], value[32];
    int rc = 0;

    for (int i = 0; i < 25 && rc == 0; i++) {
        snprintf(key, sizeof key, "list/%02d", i);
        snprintf(value, sizeof value, "item %d", i);
        rc = etcd_put(client, ETCD_STR(key), ETCD_STR(value), NULL, NULL, err);
    }
    return rc;
}

static int list(etcd_client *client, etcd_error *err)
{
    etcd_get_response *page;
    etcd_range *range;
    int rc = etcd_range_open(client, ETCD_STR("list/"), ETCD_GET(.prefix = true, .limit = 10), &range, err);

    if (rc < 0)
        return rc;
    while ((rc = etcd_range_next(range, &page, err)) == ETCD_OK && page != NULL) {
        printf("a page of %zu:", page->n_kvs);
        for (size_t i = 0; i < page->n_kvs; i++)
            printf(" %s", page->kvs[i].key.data);
        printf("\n");
        etcd_response_free(page);
    }
    if (rc == ETCD_OK)
        printf("all of revision %" PRId64 "\n", etcd_range_revision(range));
    else if (rc == ETCD_ERR_COMPACTED)
        fprintf(stderr, "the history was compacted away while we read: begin again\n");
    etcd_range_free(range);
    return rc;
}

int main(void)
{
    const char *endpoints = getenv("ETCD3_ENDPOINTS");
    etcd_client *client;
    etcd_error err;
    int rc = etcd_client_new(ETCD_CLIENT(.endpoints = endpoints ? endpoints : "http://127.0.0.1:2379"), &client, &err);

    if (rc == ETCD_OK && (rc = fill(client, &err)) == ETCD_OK && (rc = list(client, &err)) == ETCD_OK)
        rc = etcd_delete(client, ETCD_STR("list/"), ETCD_DELETE(.prefix = true), NULL, &err);
    if (rc < 0)
        fprintf(stderr, "%s\n", err.message);
    etcd_client_free(client);
    return rc < 0;
}
