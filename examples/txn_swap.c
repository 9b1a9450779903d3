/* Compare-and-swap: count visitors, together with any number of other programs that do the same.
 *
 * Read the number with the revision at which it was written; write the next one only if it is still of that revision;
 * if somebody was faster, begin again with what the transaction's second half has read.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <etcd3/etcd.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const char key[] = "visitors";

/* One attempt. 1: done, 0: somebody was faster and *count and *revision are news, negative: an error. */
static int swap(etcd_client *client, int64_t *count, int64_t *revision, etcd_error *err)
{
    etcd_txn *txn = etcd_txn_new(client);
    etcd_txn_response *resp;
    char next[32];
    int rc;

    snprintf(next, sizeof next, "%" PRId64, *count + 1);
    etcd_txn_if_mod_revision(txn, ETCD_STR(key), ETCD_CMP_EQUAL, *revision); /* 0: the key does not exist */
    etcd_txn_put(txn, ETCD_STR(key), ETCD_STR(next), NULL);
    etcd_txn_else(txn);
    etcd_txn_get(txn, ETCD_STR(key), NULL);
    rc = etcd_txn_commit(txn, NULL, &resp, err); /* reports errors of the lines above, too */
    etcd_txn_free(txn);
    if (rc < 0)
        return rc;
    rc = resp->succeeded ? 1 : 0;
    if (rc == 0) {
        const etcd_get_response *now = resp->responses[0]->get;
        *count = now->n_kvs > 0 ? strtoll(now->kvs[0].value.data, NULL, 10) : 0;
        *revision = now->n_kvs > 0 ? now->kvs[0].mod_revision : 0;
    } else {
        *count += 1;
        *revision = resp->header.revision;
    }
    etcd_response_free(resp);
    return rc;
}

int main(void)
{
    const char *endpoints = getenv("ETCD3_ENDPOINTS");
    int64_t count = 0, revision = 0; /* a guess: nobody was here before */
    etcd_client *client;
    etcd_error err;
    int rc;

    rc = etcd_client_new(ETCD_CLIENT(.endpoints = endpoints ? endpoints : "http://127.0.0.1:2379"), &client, &err);
    for (int visit = 0; rc >= 0 && visit < 3; visit++) {
        while ((rc = swap(client, &count, &revision, &err)) == 0)
            printf("somebody else came: %" PRId64 " at revision %" PRId64 "\n", count, revision);
        if (rc > 0)
            printf("visitor %" PRId64 ", written at revision %" PRId64 "\n", count, revision);
    }
    if (rc < 0) {
        fprintf(stderr, "%s\n", err.message);
        if (err.flags & ETCD_ERROR_MAYBE_APPLIED)
            fprintf(stderr, "the visitor may have been counted or not: read the number before counting again\n");
    }
    etcd_client_free(client);
    return rc < 0;
}
