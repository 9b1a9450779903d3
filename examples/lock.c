/* A lock for work that only one program of many may do at a time, on any machine.
 *
 * The session keeps a lease alive; the lock is the session's, and goes when it ends. Whoever was stopped for longer than the
 * lease lives may come too late: so long work asks now and then whether it still has the lock, and what it writes is guarded
 * by it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <etcd3/etcd.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Writes only as long as the lock is ours: etcd itself looks at that. */
static int write_guarded(etcd_client *client, const etcd_mutex *mutex, const char *value, etcd_error *err)
{
    etcd_txn *txn = etcd_txn_new(client);
    etcd_txn_response *resp;
    int rc;

    etcd_mutex_if_owner(mutex, txn);
    etcd_txn_put(txn, ETCD_STR("report"), ETCD_STR(value), NULL);
    rc = etcd_txn_commit(txn, NULL, &resp, err);
    if (rc == ETCD_OK)
        printf("%s\n", resp->succeeded ? "the report is written" : "the lock was lost: nothing is written");
    etcd_response_free(resp);
    etcd_txn_free(txn);
    return rc;
}

static int work(etcd_client *client, const etcd_mutex *mutex, etcd_error *err)
{
    printf("locked, fencing token %" PRId64 "\n", etcd_mutex_token(mutex));
    for (int step = 1; step <= 3; step++) {
        if (!etcd_mutex_held(mutex)) {
            printf("the lock was lost\n");
            return ETCD_OK;
        }
        printf("step %d\n", step); /* pass the token on to whatever is not etcd */
    }
    return write_guarded(client, mutex, "done", err);
}

int main(void)
{
    const char *endpoints = getenv("ETCD3_ENDPOINTS");
    etcd_client *client = NULL;
    etcd_session *session = NULL;
    etcd_mutex *mutex = NULL;
    etcd_error err;
    int rc;

    if ((rc = etcd_client_new(ETCD_CLIENT(.endpoints = endpoints ? endpoints : "http://127.0.0.1:2379"), &client, &err)) < 0 ||
        (rc = etcd_session_new(client, ETCD_SESSION(.ttl_s = 15), &session, &err)) < 0 ||
        (rc = etcd_mutex_new(session, ETCD_STR("locks/report"), &mutex, &err)) < 0 ||
        (rc = etcd_mutex_lock(mutex, ETCD_CALL(.timeout_ms = 30000), &err)) < 0)
        goto out;
    rc = work(client, mutex, &err);
    if (etcd_mutex_unlock(mutex, NULL, rc < 0 ? NULL : &err) < 0 && rc == ETCD_OK)
        rc = err.code;
    else if (rc == ETCD_OK)
        printf("unlocked\n");
out:
    if (rc < 0)
        fprintf(stderr, "%s\n", err.message);
    etcd_mutex_free(mutex);
    etcd_session_free(session); /* revokes the lease: nothing of it is left */
    etcd_client_free(client);
    return rc < 0;
}
