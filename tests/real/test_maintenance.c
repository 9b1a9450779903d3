/* Alarms, status, hashes, defragmentation, leadership and downgrade, on clusters that the tests make for themselves where one is
 * not enough or would not be the same afterwards. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "real.h"

enum { PATIENCE_MS = 30000 };

static struct etcd_server *start(int members, const char *const *flags)
{
    struct etcd_server_options options = {.members = members, .flags = flags};
    struct etcd_server *server = etcd_server_start(&options);

    if (server == NULL)
        fail_msg("the cluster did not start");
    return server;
}

static etcd_client *client_at(const char *endpoints)
{
    return real_client_with(
        ETCD_CLIENT(.endpoints = endpoints, .request_timeout_ms = PATIENCE_MS, .backoff_base_ms = 20, .backoff_max_ms = 200));
}

static etcd_status_response *status_of(etcd_client *client, const char *endpoint)
{
    etcd_status_response *status;
    etcd_error err;

    assert_ok(etcd_status(client, endpoint, NULL, &status, &err), &err);
    return status;
}

static uint64_t id_at(etcd_client *client, const char *endpoint)
{
    etcd_status_response *status = status_of(client, endpoint);
    uint64_t id = status->header.member_id;

    etcd_response_free(status);
    assert_true(id != 0);
    return id;
}

/* ---- status ---- */

static void status_tells_of_the_member(void **state)
{
    etcd_client *client = real_client();
    int64_t revision = real_put(client, "key", "value");
    etcd_status_response *status = status_of(client, NULL);
    char version[8];

    (void)state;
    snprintf(version, sizeof version, "3.%d.", etcd_server_minor(real_server()));
    assert_int_equal(strncmp(status->version.data, version, strlen(version)), 0);
    assert_int_equal(status->header.revision, revision);
    assert_true(status->leader != 0);
    assert_true(status->leader == status->header.member_id);
    assert_true(status->raft_term == status->header.raft_term);
    assert_true(status->raft_index > 0);
    assert_true(status->raft_applied_index > 0);
    assert_true(status->db_size >= status->db_size_in_use);
    assert_true(status->db_size_in_use > 0);
    assert_int_equal(status->n_errors, 0);
    assert_false(status->is_learner);
    if (etcd_server_minor(real_server()) >= 6) {
        if (status->storage_version.len > 0) /* a young server has none, or that of the release before */
            assert_int_equal(strncmp(status->storage_version.data, "3.", 2), 0);
        assert_true(status->db_size_quota > 0);
        assert_non_null(status->downgrade_info);
        assert_false(status->downgrade_info->enabled);
        assert_text(status->downgrade_info->target_version, "");
    } else {
        assert_text(status->storage_version, "");
        assert_int_equal(status->db_size_quota, 0);
        assert_null(status->downgrade_info);
    }
    etcd_response_free(status);
    etcd_client_free(client);
}

/* Asks a member that is gone until the client has noticed: the first call may go out on the connection that was. */
static void await_refusal(etcd_client *client, const char *endpoint)
{
    int64_t until = real_now_ms() + PATIENCE_MS;
    etcd_error err;

    do {
        assert_int_equal(etcd_status(client, NULL, ETCD_CALL(.endpoint = endpoint, .timeout_ms = 300), NULL, &err),
                         ETCD_ERR_DEADLINE_EXCEEDED);
        assert_int_equal(err.code, ETCD_ERR_DEADLINE_EXCEEDED);
    } while (strstr(err.message, "refused") == NULL && real_now_ms() < until);
    assert_error(err.code, &err, ETCD_ERR_DEADLINE_EXCEEDED, "refused");
}

static void status_goes_to_the_member_that_is_named(void **state)
{
    struct etcd_server *server = start(3, NULL);
    etcd_client *all = client_at(etcd_server_endpoints(server)), *one = client_at(etcd_server_endpoint(server, 0));
    int64_t start_ms = real_now_ms();
    uint64_t ids[3];
    etcd_error err;

    (void)state;
    for (int i = 0; i < 3; i++) {
        ids[i] = id_at(all, etcd_server_endpoint(server, i));
        for (int k = 0; k < i; k++)
            assert_true(ids[k] != ids[i]);
    }
    for (int i = 0; i < 3; i++) {
        bool agrees = false;

        while (!agrees) { /* with what the leader says, who may just have been elected */
            etcd_status_response *status = status_of(one, etcd_server_endpoint(server, i)); /* also one that it does not have */

            assert_true(status->header.member_id == ids[i]);
            agrees = status->leader == ids[etcd_server_leader(server, PATIENCE_MS)];
            etcd_response_free(status);
            assert_true(real_now_ms() - start_ms < PATIENCE_MS);
        }
    }
    /* the endpoint of the call options does as well; the argument comes first */
    assert_ok(etcd_status(one, NULL, ETCD_CALL(.endpoint = etcd_server_endpoint(server, 2)), NULL, &err), &err);
    etcd_server_signal(server, 2, SIGKILL);
    await_refusal(one, etcd_server_endpoint(server, 2));
    assert_ok(etcd_status(one, etcd_server_endpoint(server, 1),
                          ETCD_CALL(.endpoint = etcd_server_endpoint(server, 2), .timeout_ms = PATIENCE_MS), NULL, &err),
              &err);
    assert_error(etcd_status(one, "http://bad host:1", NULL, NULL, &err), &err, ETCD_ERR_ARGUMENT, "bad host");
    etcd_client_free(one);
    etcd_client_free(all);
    etcd_server_stop(server);
}

/* ---- alarms ---- */

static etcd_alarm_response *alarms(etcd_client *client)
{
    etcd_alarm_response *response;
    etcd_error err;

    assert_ok(etcd_alarm_list(client, NULL, &response, &err), &err);
    return response;
}

static size_t n_alarms(etcd_client *client)
{
    etcd_alarm_response *response = alarms(client);
    size_t n = response->n_alarms;

    etcd_response_free(response);
    return n;
}

static bool has_alarm(etcd_client *client, uint64_t member_id)
{
    etcd_alarm_response *response = alarms(client);
    bool found = false;

    for (size_t i = 0; i < response->n_alarms; i++)
        found = found || response->alarms[i].member_id == member_id;
    etcd_response_free(response);
    return found;
}

/* Puts until the quota is used up, then asks one member for more than there is room for until it raises its alarm: a member knows
 * its size only since its last commit. */
static void fill(etcd_client *client, const char *endpoint)
{
    char *value = calloc(1, 1000000);
    uint64_t id = id_at(client, endpoint);
    int64_t start_ms = real_now_ms();
    etcd_error err = {0};
    int rc = ETCD_OK;

    assert_non_null(value);
    for (int i = 0; (rc == ETCD_OK || real_passes(rc)) && i < 1000; i++)
        rc = etcd_put(client, ETCD_STR("fill"), value, 60000, NULL, NULL, &err);
    assert_error(rc, &err, ETCD_ERR_NO_SPACE, "database space exceeded");
    while (!has_alarm(client, id)) {
        rc = etcd_put(client, ETCD_STR("fill"), value, 1000000, ETCD_PUT(.call = ETCD_CALL(.endpoint = endpoint)), NULL, &err);
        if (!real_passes(rc))
            assert_error(rc, &err, ETCD_ERR_NO_SPACE, "database space exceeded");
        assert_true(real_now_ms() - start_ms < PATIENCE_MS);
    }
    free(value);
}

/* Makes room at one member: history goes up to the deletion of `key`, and the file shrinks. */
static void make_room(etcd_client *client, const char *endpoint, const char *key)
{
    const etcd_call_options *there = ETCD_CALL(.endpoint = endpoint);
    etcd_delete_response *deleted;
    etcd_error err;

    assert_ok(etcd_delete(client, ETCD_STR("fill"), NULL, NULL, &err), &err);
    assert_ok(etcd_delete(client, ETCD_STR(key), NULL, &deleted, &err), &err);
    assert_int_equal(deleted->deleted, 1);
    assert_ok(etcd_compact(client, deleted->header.revision, ETCD_COMPACT(.physical = true, .call = there), NULL, &err), &err);
    etcd_response_free(deleted);
    assert_ok(etcd_defragment(client, endpoint, NULL, NULL, &err), &err);
}

static const char *const small_quota[] = {"--quota-backend-bytes=1048576", NULL};

static void a_full_member_raises_an_alarm(void **state)
{
    struct etcd_server *server = start(1, small_quota);
    etcd_client *client = client_at(etcd_server_endpoints(server));
    uint64_t id = id_at(client, NULL);
    etcd_alarm_response *response = NULL;
    etcd_status_response *status;
    etcd_error err;

    (void)state;
    assert_int_equal(n_alarms(client), 0);
    real_put(client, "d0", "");
    fill(client, NULL);
    response = alarms(client);
    assert_int_equal(response->n_alarms, 1);
    assert_true(response->alarms[0].member_id == id);
    assert_int_equal(response->alarms[0].alarm, ETCD_ALARM_NOSPACE);
    etcd_response_free(response);
    status = status_of(client, NULL);
    assert_int_equal(status->n_errors, 1);
    assert_non_null(strstr(status->errors[0].data, "NOSPACE"));
    if (etcd_server_minor(server) >= 6)
        assert_int_equal(status->db_size_quota, 1048576);
    etcd_response_free(status);
    make_room(client, NULL, "d0");
    assert_error(etcd_put(client, ETCD_STR("k"), ETCD_STR("v"), NULL, NULL, &err), &err, ETCD_ERR_NO_SPACE,
                 "database space exceeded");

    /* another kind, another member: not these */
    assert_ok(etcd_alarm_disarm(client, id, ETCD_ALARM_CORRUPT, NULL, &response, &err), &err);
    assert_int_equal(response->n_alarms, 0);
    etcd_response_free(response);
    assert_ok(etcd_alarm_disarm(client, 4711, ETCD_ALARM_NOSPACE, NULL, NULL, &err), &err);
    assert_int_equal(n_alarms(client), 1);

    assert_ok(etcd_alarm_disarm(client, id, ETCD_ALARM_NOSPACE, NULL, &response, &err), &err);
    assert_int_equal(response->header.cluster_id != 0, etcd_server_minor(server) >= 5); /* older ones send none */
    assert_int_equal(response->n_alarms, 1);
    assert_true(response->alarms[0].member_id == id);
    assert_int_equal(response->alarms[0].alarm, ETCD_ALARM_NOSPACE);
    etcd_response_free(response);
    assert_int_equal(n_alarms(client), 0);
    real_put(client, "k", "v");
    etcd_client_free(client);
    etcd_server_stop(server);
}

static void all_alarms_are_disarmed_at_once(void **state)
{
    struct etcd_server *server = start(3, small_quota);
    etcd_client *client = client_at(etcd_server_endpoints(server));
    static const char *const keys[] = {"d0", "d1", "d2"};
    etcd_alarm_response *response;
    etcd_error err;

    (void)state;
    for (int i = 0; i < 3; i++)
        real_put(client, keys[i], "");
    for (int i = 0; i < 3; i++)
        fill(client, etcd_server_endpoint(server, i));
    for (int i = 0; i < 3; i++)
        make_room(client, etcd_server_endpoint(server, i), keys[i]);
    assert_int_equal(n_alarms(client), 3);
    assert_ok(etcd_alarm_disarm(client, 0, ETCD_ALARM_NONE, NULL, &response, &err), &err);
    assert_int_equal(response->n_alarms, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(response->alarms[i].alarm, ETCD_ALARM_NOSPACE);
        for (int k = 0; k < i; k++)
            assert_true(response->alarms[k].member_id != response->alarms[i].member_id);
    }
    assert_true(response->header.cluster_id == 0);
    etcd_response_free(response);
    assert_int_equal(n_alarms(client), 0);
    real_put(client, "k", "v");
    assert_ok(etcd_alarm_disarm(client, 0, ETCD_ALARM_NONE, NULL, &response, &err), &err);
    assert_int_equal(response->n_alarms, 0);
    etcd_response_free(response);
    assert_ok(etcd_alarm_disarm(client, 0, ETCD_ALARM_NONE, NULL, NULL, &err), &err);
    etcd_client_free(client);
    etcd_server_stop(server);
}

static void half_an_alarm_is_refused(void **state)
{
    etcd_client *client = real_client();
    etcd_error err;

    (void)state;
    assert_error(etcd_alarm_disarm(client, 1, ETCD_ALARM_NONE, NULL, NULL, &err), &err, ETCD_ERR_ARGUMENT, "go together");
    assert_error(etcd_alarm_disarm(client, 0, ETCD_ALARM_CORRUPT, NULL, NULL, &err), &err, ETCD_ERR_ARGUMENT, "go together");
    etcd_client_free(client);
}

/* ---- space and hashes ---- */

static void defragment_gives_space_back(void **state)
{
    struct etcd_server *server = start(1, NULL);
    etcd_client *client = client_at(etcd_server_endpoints(server));
    char *value = calloc(1, 100000);
    etcd_defragment_response *defragmented;
    etcd_delete_response *deleted;
    etcd_status_response *before, *after;
    etcd_error err;

    (void)state;
    for (int i = 0; i < 50; i++)
        assert_ok(etcd_put(client, ETCD_STR("big"), value, 100000, NULL, NULL, &err), &err);
    free(value);
    assert_ok(etcd_delete(client, ETCD_STR("big"), NULL, &deleted, &err), &err);
    assert_ok(etcd_compact(client, deleted->header.revision, ETCD_COMPACT(.physical = true), NULL, &err), &err);
    before = status_of(client, NULL);
    assert_true(before->db_size > 5000000);
    assert_ok(etcd_defragment(client, etcd_server_endpoint(server, 0), NULL, &defragmented, &err), &err);
    etcd_response_free(defragmented);
    after = status_of(client, NULL);
    assert_true(after->db_size < before->db_size / 2);
    assert_true(after->db_size_in_use <= after->db_size);
    etcd_response_free(before);
    etcd_response_free(after);
    etcd_response_free(deleted);
    etcd_client_free(client);
    etcd_server_stop(server);
}

static etcd_hash_kv_response *hash_kv(etcd_client *client, const char *endpoint, int64_t revision)
{
    etcd_hash_kv_response *response;
    etcd_error err;

    assert_ok(etcd_hash_kv(client, endpoint, revision, NULL, &response, &err), &err);
    assert_true(response->header.cluster_id != 0);
    return response;
}

static void members_have_the_same_hash(void **state)
{
    struct etcd_server *server = start(3, NULL);
    etcd_client *client = client_at(etcd_server_endpoints(server));
    etcd_hash_kv_response *first, *old;
    int64_t middle = 0, last = 0;

    (void)state;
    for (int i = 0; i < 100; i++) {
        char key[16];

        snprintf(key, sizeof key, "key%d", i % 30);
        last = real_put(client, key, "value");
        if (i == 50)
            middle = last;
    }
    for (int i = 0; i < 3; i++) /* each has them all once it answers a linearizable read */
        etcd_response_free(real_get(client, "key0", ETCD_GET(.call = ETCD_CALL(.endpoint = etcd_server_endpoint(server, i)))));
    first = hash_kv(client, etcd_server_endpoint(server, 0), last);
    assert_true(first->hash != 0);
    assert_int_equal(first->hash_revision, etcd_server_minor(server) >= 6 ? last : 0);
    for (int i = 1; i < 3; i++) {
        etcd_hash_kv_response *other = hash_kv(client, etcd_server_endpoint(server, i), last);

        assert_true(other->header.member_id != first->header.member_id);
        assert_int_equal(other->hash, first->hash);
        assert_int_equal(other->compact_revision, first->compact_revision);
        etcd_response_free(other);
    }
    old = hash_kv(client, NULL, middle);
    assert_int_not_equal(old->hash, first->hash);
    etcd_response_free(old);
    old = hash_kv(client, NULL, 0);
    assert_int_equal(old->hash, first->hash);
    etcd_response_free(old);
    etcd_response_free(first);
    etcd_client_free(client);
    etcd_server_stop(server);
}

static void hashes_of_the_past_and_the_future_are_refused(void **state)
{
    struct etcd_server *server = start(1, NULL);
    etcd_client *client = client_at(etcd_server_endpoints(server));
    etcd_hash_kv_response *response = NULL;
    int64_t first = real_put(client, "key", "1"), last;
    etcd_error err;

    (void)state;
    real_put(client, "key", "2");
    last = real_put(client, "key", "3");
    assert_error(etcd_hash_kv(client, NULL, last + 1, NULL, &response, &err), &err, ETCD_ERR_FUTURE_REV, "future revision");
    assert_null(response);
    assert_ok(etcd_compact(client, last, NULL, NULL, &err), &err);
    assert_error(etcd_hash_kv(client, NULL, first, NULL, &response, &err), &err, ETCD_ERR_COMPACTED, "has been compacted");
    response = hash_kv(client, NULL, real_put(client, "key", "4"));
    assert_int_equal(response->compact_revision, last);
    etcd_response_free(response);
    etcd_client_free(client);
    etcd_server_stop(server);
}

static void the_whole_database_has_a_hash(void **state)
{
    etcd_client *client = real_client();
    etcd_hash_response *one, *two;
    etcd_error err;

    (void)state;
    real_put(client, "key", "1");
    assert_ok(etcd_hash(client, NULL, NULL, &one, &err), &err);
    real_put(client, "key", "2");
    assert_ok(etcd_hash(client, etcd_server_endpoint(real_server(), 0), NULL, &two, &err), &err);
    assert_true(one->hash != 0 && one->hash != two->hash);
    etcd_response_free(one);
    etcd_response_free(two);
    etcd_client_free(client);
}

/* ---- leadership ---- */

/* Whether a member takes this one for the leader; *term is its term. */
static bool follows(etcd_client *client, const char *endpoint, uint64_t leader, uint64_t *term)
{
    etcd_status_response *status = status_of(client, endpoint);
    bool known = status->leader == leader;

    *term = status->raft_term;
    etcd_response_free(status);
    return known;
}

/* The leader hands over to the next member. False when the cluster held an election of its own meanwhile, or took too long. */
static bool hand_over(etcd_client *client, struct etcd_server *server)
{
    int leader = etcd_server_leader(server, PATIENCE_MS), next = (leader + 1) % 3, rc;
    const char *at_leader = etcd_server_endpoint(server, leader), *at_next = etcd_server_endpoint(server, next);
    uint64_t target = id_at(client, at_next), before, after, term;
    etcd_move_leader_response *moved = NULL;
    etcd_error err;

    if (!follows(client, at_leader, id_at(client, at_leader), &before))
        return false;
    rc = etcd_move_leader(client, target, ETCD_CALL(.endpoint = at_next), &moved, &err);
    follows(client, at_leader, target, &after);
    if (after != before)
        return false;
    assert_error(rc, &err, ETCD_ERR_NOT_LEADER, "not leader");
    assert_null(moved);
    assert_int_equal(err.flags, 0);
    rc = etcd_move_leader(client, 4711, ETCD_CALL(.endpoint = at_leader), &moved, &err);
    follows(client, at_leader, target, &after);
    if (after != before)
        return false;
    assert_error(rc, &err, ETCD_ERR_BAD_LEADER_TRANSFEREE, "bad leader transferee");
    rc = etcd_move_leader(client, target, ETCD_CALL(.endpoint = at_leader), &moved, &err);
    if (rc == ETCD_ERR_NOT_LEADER || real_passes(rc) || strstr(err.message, "leader transfer took too long") != NULL)
        return false;
    assert_ok(rc, &err);
    assert_true(moved->header.cluster_id == 0); /* the server sends none */
    etcd_response_free(moved);
    for (int i = 0; i < 3; i++) {
        int64_t start_ms = real_now_ms();

        while (!follows(client, etcd_server_endpoint(server, i), target, &term)) { /* the others hear of it within a heartbeat */
            if (term > before + 1)
                return false;
            assert_true(real_now_ms() - start_ms < PATIENCE_MS);
        }
    }
    return true;
}

static void the_leader_hands_over(void **state)
{
    struct etcd_server *server = start(3, NULL);
    etcd_client *client = client_at(etcd_server_endpoints(server));
    int tries = 1;

    (void)state;
    while (!hand_over(client, server))
        assert_true(tries++ < 10);
    etcd_client_free(client);
    etcd_server_stop(server);
}

/* ---- downgrade ---- */

static int downgrade(etcd_client *client, int action, const char *version, etcd_error *err)
{
    return etcd_downgrade(client, action, version, NULL, NULL, err);
}

static void a_downgrade_is_validated(void **state)
{
    etcd_client *client = real_client();
    int minor = etcd_server_minor(real_server());
    char lower[8];
    etcd_downgrade_response *response = NULL;
    etcd_error err;

    (void)state;
    snprintf(lower, sizeof lower, "3.%d.0", minor - 1);
    if (minor < 5) {
        assert_error(etcd_downgrade(client, ETCD_DOWNGRADE_VALIDATE, lower, NULL, &response, &err), &err, ETCD_ERR_UNIMPLEMENTED,
                     "unknown method Downgrade");
        assert_null(response);
        etcd_client_free(client);
        return;
    }
    while (downgrade(client, ETCD_DOWNGRADE_VALIDATE, lower, &err) == ETCD_ERR_CLUSTER_VERSION_UNAVAILABLE)
        real_sleep_ms(20); /* a young cluster has none yet */
    assert_error(downgrade(client, ETCD_DOWNGRADE_VALIDATE, "", &err), &err, ETCD_ERR_WRONG_DOWNGRADE_VERSION_FORMAT,
                 "wrong downgrade target version format");
    assert_error(downgrade(client, ETCD_DOWNGRADE_VALIDATE, "three", &err), &err, ETCD_ERR_WRONG_DOWNGRADE_VERSION_FORMAT,
                 "wrong downgrade target version format");
    assert_error(downgrade(client, ETCD_DOWNGRADE_VALIDATE, "3.0.0", &err), &err, ETCD_ERR_INVALID_DOWNGRADE_TARGET_VERSION,
                 "invalid downgrade target version");
    assert_error(downgrade(client, ETCD_DOWNGRADE_ENABLE, "3.0.0", &err), &err, ETCD_ERR_INVALID_DOWNGRADE_TARGET_VERSION,
                 "invalid downgrade target version");
    assert_int_equal(err.flags, 0);
    if (minor == 5)
        assert_error(downgrade(client, ETCD_DOWNGRADE_CANCEL, NULL, &err), &err, ETCD_ERR_NO_INFLIGHT_DOWNGRADE,
                     "no inflight downgrade job");
    else
        assert_ok(downgrade(client, ETCD_DOWNGRADE_CANCEL, NULL, &err), &err);
    assert_ok(etcd_downgrade(client, ETCD_DOWNGRADE_VALIDATE, lower, NULL, &response, &err), &err);
    assert_true(response->version.len > 0);
    etcd_response_free(response);
    etcd_client_free(client);
}

/* etcd 3.5 does what it is told, but forgets to answer: so says the error, too. */
static void assert_downgraded(int minor, int rc, const etcd_error *err)
{
    if (minor > 5) {
        assert_ok(rc, err);
        return;
    }
    assert_error(rc, err, ETCD_ERR_TIMEOUT, "request timed out");
    assert_true(err->flags & ETCD_ERROR_MAYBE_APPLIED);
}

/* While a downgrade is enabled, a clockwork that strikes each 4 s makes the version of the cluster the lower one, and raises it
 * again once it is canceled. Waits until this is possible. */
static void await_downgrade_possible(etcd_client *client, const char *lower)
{
    int64_t start_ms = real_now_ms();
    etcd_error err;
    int rc;

    while ((rc = downgrade(client, ETCD_DOWNGRADE_VALIDATE, lower, &err)) == ETCD_ERR_INVALID_DOWNGRADE_TARGET_VERSION ||
           rc == ETCD_ERR_CLUSTER_VERSION_UNAVAILABLE) {
        assert_true(real_now_ms() - start_ms < PATIENCE_MS);
        real_sleep_ms(20);
    }
    assert_ok(rc, &err);
}

/* Enables a downgrade, and cancels it. False when the clockwork struck between the two attempts to enable it. */
static bool enable_and_cancel(etcd_client *client, int minor, const char *lower)
{
    etcd_status_response *status;
    bool struck;
    etcd_error err;
    int rc;

    await_downgrade_possible(client, lower);
    rc = downgrade(client, ETCD_DOWNGRADE_ENABLE, lower, &err);
    assert_downgraded(minor, rc, &err);
    rc = downgrade(client, ETCD_DOWNGRADE_ENABLE, lower, &err);
    struck = rc == ETCD_ERR_INVALID_DOWNGRADE_TARGET_VERSION;
    if (!struck)
        assert_error(rc, &err, ETCD_ERR_DOWNGRADE_IN_PROCESS, "cluster has a downgrade job in progress");
    if (minor >= 6) {
        status = status_of(client, NULL);
        assert_true(status->downgrade_info->enabled);
        assert_text(status->downgrade_info->target_version, lower);
        etcd_response_free(status);
    }
    rc = downgrade(client, ETCD_DOWNGRADE_CANCEL, "", &err);
    assert_downgraded(minor, rc, &err);
    await_downgrade_possible(client, lower); /* again */
    return !struck;
}

static void a_downgrade_is_enabled_and_canceled(void **state)
{
    struct etcd_server *server = start(1, NULL);
    etcd_client *client = client_at(etcd_server_endpoints(server));
    int minor = etcd_server_minor(server), tries = 1;
    char lower[8];

    (void)state;
    snprintf(lower, sizeof lower, "3.%d.0", minor - 1);
    while (minor >= 5 && !enable_and_cancel(client, minor, lower))
        assert_true(tries++ < 5);
    etcd_client_free(client);
    etcd_server_stop(server);
}

static void bad_downgrades_are_refused(void **state)
{
    etcd_client *client = real_client_with(ETCD_CLIENT(.endpoints = "http://127.0.0.1:1"));
    etcd_error err;

    (void)state;
    assert_error(downgrade(client, 3, "3.5.0", &err), &err, ETCD_ERR_ARGUMENT, "etcdclient: unknown downgrade action");
    assert_error(downgrade(client, -1, "3.5.0", &err), &err, ETCD_ERR_ARGUMENT, "etcdclient: unknown downgrade action");
    assert_error(downgrade(client, ETCD_DOWNGRADE_ENABLE, NULL, &err), &err, ETCD_ERR_ARGUMENT, "version is NULL");
    etcd_client_free(client);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(status_tells_of_the_member),    cmocka_unit_test(status_goes_to_the_member_that_is_named),
    cmocka_unit_test(a_full_member_raises_an_alarm), cmocka_unit_test(all_alarms_are_disarmed_at_once),
    cmocka_unit_test(half_an_alarm_is_refused),      cmocka_unit_test(defragment_gives_space_back),
    cmocka_unit_test(members_have_the_same_hash),    cmocka_unit_test(hashes_of_the_past_and_the_future_are_refused),
    cmocka_unit_test(the_whole_database_has_a_hash), cmocka_unit_test(the_leader_hands_over),
    cmocka_unit_test(a_downgrade_is_validated),      cmocka_unit_test(a_downgrade_is_enabled_and_canceled),
    cmocka_unit_test(bad_downgrades_are_refused),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
