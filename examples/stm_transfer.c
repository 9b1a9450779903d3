/* Software transactional memory: move money between accounts while others do the same.
 *
 * The function reads and writes as if it were alone. It may be called several times, so it does nothing that cannot be
 * repeated; and it returns at once when a get fails.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <etcd3/etcd.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { TOO_POOR = -2000 };

struct transfer {
    const char *from, *to;
    long amount;
};

static int add(etcd_stm *stm, const char *account, long amount)
{
    const etcd_bytes *balance;
    char text[32];
    long has;
    int rc = etcd_stm_get(stm, ETCD_STR(account), &balance);

    if (rc < 0)
        return rc;
    has = balance != NULL ? strtol(balance->data, NULL, 10) : 0; /* NULL: there is no such key */
    if (has + amount < 0)
        return TOO_POOR; /* nothing will be written */
    snprintf(text, sizeof text, "%ld", has + amount);
    return etcd_stm_put(stm, ETCD_STR(account), ETCD_STR(text), NULL);
}

static int transfer(etcd_stm *stm, void *arg)
{
    const struct transfer *t = arg;
    int rc = add(stm, t->to, t->amount);

    return rc < 0 ? rc : add(stm, t->from, -t->amount);
}

static int deposit(etcd_stm *stm, void *arg)
{
    (void)arg;
    return add(stm, "account/alice", 100);
}

int main(void)
{
    const char *endpoints = getenv("ETCD3_ENDPOINTS");
    struct transfer some = {"account/alice", "account/bob", 30}, too_much = {"account/alice", "account/bob", 1000};
    etcd_client *client;
    etcd_txn_response *resp;
    etcd_get_response *all;
    etcd_error err;
    int rc;

    rc = etcd_client_new(ETCD_CLIENT(.endpoints = endpoints ? endpoints : "http://127.0.0.1:2379"), &client, &err);
    if (rc == ETCD_OK)
        rc = etcd_stm_run(client, deposit, NULL, NULL, NULL, &err);
    if (rc == ETCD_OK)
        rc = etcd_stm_run(client, transfer, &some, ETCD_STM(.call = ETCD_CALL(.timeout_ms = 5000)), &resp, &err);
    if (rc == ETCD_OK) {
        printf("30 moved at revision %" PRId64 "\n", resp->header.revision);
        etcd_response_free(resp);
    }
    if (rc == ETCD_OK && etcd_stm_run(client, transfer, &too_much, NULL, NULL, &err) == TOO_POOR)
        printf("1000 not moved\n");
    if (rc == ETCD_OK)
        rc = etcd_get(client, ETCD_STR("account/"), ETCD_GET(.prefix = true), &all, &err);
    if (rc == ETCD_OK) {
        for (size_t i = 0; i < all->n_kvs; i++)
            printf("%s has %s\n", all->kvs[i].key.data, all->kvs[i].value.data);
        etcd_response_free(all);
    }
    if (rc < 0) {
        fprintf(stderr, "%s\n", err.message);
        if (err.flags & ETCD_ERROR_MAYBE_APPLIED)
            fprintf(stderr, "the money may have been moved or not: look before moving it again\n");
    }
    etcd_client_free(client);
    return rc < 0;
}
