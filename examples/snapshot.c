/* Takes a snapshot of one member: into the file that is given as an argument, else only to see that it can be had. Either way
 * it is verified: the server sends a checksum behind the database.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <etcd3/etcd.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void show_progress(int64_t received, int64_t total, void *arg)
{
    int64_t *shown = arg;

    if (total > 0 && received * 100 / total >= *shown + 25) {
        *shown = received * 100 / total;
        fprintf(stderr, "%" PRId64 " %%\n", *shown);
    }
}

static int look_at(const char *data, size_t len, void *arg)
{
    (void)data;
    *(int64_t *)arg += (int64_t)len;
    return 0; /* anything else would end it */
}

int main(int argc, char **argv)
{
    const char *endpoints = getenv("ETCD3_ENDPOINTS");
    etcd_client *client;
    etcd_snapshot_response *done = NULL;
    etcd_error err;
    int64_t shown = 0, seen = 0;
    int rc = etcd_client_new(ETCD_CLIENT(.endpoints = endpoints ? endpoints : "http://127.0.0.1:2379"), &client, &err);

    if (rc == ETCD_OK && argc > 1)
        rc =
            etcd_snapshot_save(client, argv[1], ETCD_SNAPSHOT(.progress_fn = show_progress, .progress_arg = &shown), &done, &err);
    else if (rc == ETCD_OK)
        rc = etcd_snapshot_read(client, look_at, &seen, NULL, &done, &err);
    if (rc == ETCD_OK)
        printf("%" PRId64 " bytes, verified\n", done->n_bytes);
    else if (rc == ETCD_ERR_SNAPSHOT_CORRUPT)
        fprintf(stderr, "do not use it: %s\n", err.message);
    else
        fprintf(stderr, "%s\n", err.message);
    etcd_response_free(done);
    etcd_client_free(client);
    return rc < 0;
}
