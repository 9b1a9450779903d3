/* A key that lives as long as this program: attached to a lease that the library keeps alive in the background.
 *
 * Whoever holds a lease has to know when it is lost, before somebody else takes what it stood for. There is no need to look at
 * each beat for that: etcd_keepalive_remaining_ms() tells at any moment how long it is surely held.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <etcd3/etcd.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static int fail(const etcd_error *err)
{
    fprintf(stderr, "%s\n", err->message);
    return 1;
}

/* The beats, three for each TTL; here only to be seen. */
static int watch_beats(etcd_keepalive *keepalive, int beats)
{
    etcd_keepalive_response *beat;
    etcd_error err;

    for (int i = 0; i < beats; i++) {
        if (etcd_keepalive_next(keepalive, -1, &beat, &err) < 0)
            return fail(&err);
        printf("renewed for %" PRId64 " seconds, %s\n", beat->ttl_s,
               etcd_keepalive_remaining_ms(keepalive) > 0 ? "surely held" : "too late");
        etcd_response_free(beat);
    }
    return 0;
}

/* The end has a reason: it expired because no answer came in time, it was revoked, the client was closed, ... */
static int await_end(etcd_keepalive *keepalive)
{
    etcd_keepalive_response *beat;
    etcd_error err;
    int rc;

    while ((rc = etcd_keepalive_next(keepalive, -1, &beat, &err)) == ETCD_OK)
        etcd_response_free(beat);
    printf("the end: %s: %s\n", etcd_error_name(rc), err.message);
    return rc == ETCD_ERR_LEASE_NOT_FOUND ? 0 : 1;
}

int main(void)
{
    const char *endpoints = getenv("ETCD3_ENDPOINTS");
    etcd_lease_grant_response *lease = NULL;
    etcd_keepalive *keepalive = NULL;
    etcd_client *client = NULL;
    etcd_error err;
    int status = 1;

    if (etcd_client_new(ETCD_CLIENT(.endpoints = endpoints ? endpoints : "http://127.0.0.1:2379"), &client, &err) < 0 ||
        etcd_lease_grant(client, 6, NULL, &lease, &err) < 0 ||
        etcd_put(client, ETCD_STR("service/a"), ETCD_STR("here"), ETCD_PUT(.lease = lease->id), NULL, &err) < 0 ||
        etcd_keepalive_open(client, lease->id, NULL, &keepalive, &err) < 0)
        status = fail(&err);
    else if (watch_beats(keepalive, 2) == 0 && etcd_lease_revoke(client, lease->id, NULL, NULL, &err) == ETCD_OK)
        status = await_end(keepalive); /* the key is gone with the lease */
    etcd_keepalive_free(keepalive);
    etcd_response_free(lease);
    etcd_client_free(client);
    return status;
}
