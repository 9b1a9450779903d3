/* Many calls at once, without a thread per call: start them all, then take their ends from the client's queue. (With a
 * function in place of the NULL, each end would call it on the client's I/O thread: see poll_loop.c for callbacks.)
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <etcd3/etcd.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { CALLS = 100 };

static int start_all(etcd_client *client, int *numbers, etcd_error *err)
{
    char key[32];
    int rc = 0;

    for (int i = 0; i < CALLS && rc == 0; i++) {
        numbers[i] = i;
        snprintf(key, sizeof key, "async/%d", i); /* copied by the call */
        rc = etcd_put_async(client, ETCD_STR(key), ETCD_STR("x"), NULL, NULL, &numbers[i], NULL, err);
    }
    return rc;
}

static int take_all(etcd_client *client, etcd_error *err)
{
    int64_t last_revision = 0;
    int failed = 0;

    for (int i = 0; i < CALLS; i++) {
        etcd_completion *end;
        int rc = etcd_client_next_completion(client, -1, &end, err);

        if (rc < 0)
            return rc;
        if (end->code == ETCD_OK) {
            const etcd_put_response *put = end->response; /* as end->type says */
            if (put->header.revision > last_revision)
                last_revision = put->header.revision;
        } else {
            fprintf(stderr, "call %d: %s\n", *(const int *)end->arg, end->error->message);
            failed++;
        }
        etcd_response_free(end); /* with its response */
    }
    printf("%d calls, %d failed, last revision %" PRId64 "\n", CALLS, failed, last_revision);
    return 0;
}

int main(void)
{
    const char *endpoints = getenv("ETCD3_ENDPOINTS");
    int numbers[CALLS];
    etcd_client *client;
    etcd_error err;
    int rc = etcd_client_new(ETCD_CLIENT(.endpoints = endpoints ? endpoints : "http://127.0.0.1:2379"), &client, &err);

    if (rc == 0 && (rc = start_all(client, numbers, &err)) == 0)
        rc = take_all(client, &err);
    if (rc < 0)
        fprintf(stderr, "%s\n", err.message);
    etcd_client_free(client);
    return rc < 0;
}
