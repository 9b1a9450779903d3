/* An election: two candidates, one after the other, and an observer that is told who leads.
 *
 * In real life each candidate is a program of its own; whoever is not elected waits in etcd_election_campaign() until the one
 * before has resigned or is gone.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <etcd3/etcd.h>
#include <stdio.h>
#include <stdlib.h>

static int report(etcd_observer *observer, etcd_error *err)
{
    etcd_observer_response *resp;
    int rc = etcd_observer_next(observer, 10000, &resp, err);

    if (rc < 0)
        return rc;
    if (resp->leader != NULL)
        printf("%s leads\n", resp->leader->value.data);
    else
        printf("nobody leads\n");
    etcd_response_free(resp);
    return ETCD_OK;
}

/* Leads for a moment. */
static int lead(etcd_client *client, etcd_observer *observer, const char *name, etcd_error *err)
{
    etcd_session *session = NULL;
    etcd_election *election = NULL;
    int rc;

    if ((rc = etcd_session_new(client, ETCD_SESSION(.ttl_s = 15), &session, err)) < 0 ||
        (rc = etcd_election_new(session, ETCD_STR("elections/boss"), &election, err)) < 0 ||
        (rc = etcd_election_campaign(election, ETCD_STR(name), ETCD_CALL(.timeout_ms = 30000), err)) < 0 ||
        (rc = report(observer, err)) < 0)
        goto out;
    rc = etcd_election_resign(election, NULL, err);
    if (rc == ETCD_OK)
        rc = report(observer, err);
out:
    etcd_election_free(election);
    etcd_session_free(session);
    return rc;
}

int main(void)
{
    const char *endpoints = getenv("ETCD3_ENDPOINTS");
    etcd_client *client = NULL;
    etcd_observer *observer = NULL;
    etcd_error err;
    int rc;

    if ((rc = etcd_client_new(ETCD_CLIENT(.endpoints = endpoints ? endpoints : "http://127.0.0.1:2379"), &client, &err)) < 0 ||
        (rc = etcd_observer_open(client, ETCD_STR("elections/boss"), NULL, &observer, &err)) < 0 ||
        (rc = report(observer, &err)) < 0 || (rc = lead(client, observer, "alice", &err)) < 0)
        goto out;
    rc = lead(client, observer, "bob", &err);
out:
    if (rc < 0)
        fprintf(stderr, "%s\n", err.message);
    etcd_observer_free(observer);
    etcd_client_free(client);
    return rc < 0;
}
