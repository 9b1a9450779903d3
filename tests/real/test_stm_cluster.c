/* Software transactional memory on a cluster of three whose leader is killed and comes back: whatever errors the transfers end
 * with, the sum of all accounts stays, as a transfer is done wholly or not at all. The payers use all levels that promise that,
 * on the same accounts. Members lag behind here, so reads of any member and of a pinned revision have to cope with that. */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "stm.h"

enum { MEMBERS = 3, ACCOUNTS = 20, START = 1000, PAYERS = 8, TRANSFERS = 20, PATIENCE_MS = 60000 };

struct scene {
    struct etcd_server *server;
    etcd_client *client;
    atomic_int done;
};

struct payer {
    struct scene *scene;
    pthread_t thread;
    unsigned seed;
    int level;
    int from, to;
    int errors;
    etcd_error last; /* what made it give up */
};

static int change(etcd_stm *stm, int number, long by)
{
    const etcd_bytes *value;
    char key[32], text[32];
    int rc;

    snprintf(key, sizeof key, "account/%d", number);
    rc = etcd_stm_get(stm, ETCD_STR(key), &value);
    if (rc < 0)
        return rc;
    snprintf(text, sizeof text, "%ld", strtol(value->data, NULL, 10) + by);
    return etcd_stm_put(stm, ETCD_STR(key), ETCD_STR(text), NULL);
}

static int transfer(etcd_stm *stm, void *arg)
{
    const struct payer *payer = arg;
    int rc = change(stm, payer->from, -1);

    return rc < 0 ? rc : change(stm, payer->to, 1);
}

/* Until enough of them were surely done. */
static void *pay(void *arg)
{
    struct payer *payer = arg;
    int64_t begin = real_now_ms();

    for (int done = 0; done < TRANSFERS;) {
        etcd_error err;

        payer->from = rand_r(&payer->seed) % ACCOUNTS;
        payer->to = (payer->from + 1 + rand_r(&payer->seed) % (ACCOUNTS - 1)) % ACCOUNTS;
        if (etcd_stm_run(payer->scene->client, transfer, payer,
                         ETCD_STM(.isolation = payer->level, .max_attempts = 1000, .call = ETCD_CALL(.timeout_ms = 3000)), NULL,
                         &err) == ETCD_OK) {
            atomic_fetch_add(&payer->scene->done, 1);
            done++;
        } else {
            payer->errors++;
            payer->last = err;
            if (real_now_ms() - begin > PATIENCE_MS)
                break;
            real_sleep_ms(20); /* there may be no leader for a while */
        }
    }
    return NULL;
}

static bool await_done(struct scene *scene, int n)
{
    int64_t begin = real_now_ms();

    while (atomic_load(&scene->done) < n && real_now_ms() - begin < PATIENCE_MS)
        real_sleep_ms(2);
    return atomic_load(&scene->done) >= n;
}

static void check_sum(etcd_client *client)
{
    etcd_get_response *all = real_get(client, "account/", ETCD_GET(.prefix = true, .call = ETCD_CALL(.timeout_ms = PATIENCE_MS)));
    long sum = 0;

    assert_int_equal(all->n_kvs, ACCOUNTS);
    for (size_t i = 0; i < all->n_kvs; i++)
        sum += strtol(all->kvs[i].value.data, NULL, 10);
    etcd_response_free(all);
    assert_int_equal(sum, ACCOUNTS * START);
}

/* A busy machine may make a cluster elect at any time: errors are no failure, and what is done after all, and late, does no
 * harm. */
static void open_accounts(etcd_client *client)
{
    int64_t begin = real_now_ms();

    for (int i = 0; i < ACCOUNTS; i++) {
        etcd_txn *txn = etcd_txn_new(client);
        char key[32];
        etcd_error err;

        snprintf(key, sizeof key, "account/%d", i);
        etcd_txn_if_create_revision(txn, ETCD_STR(key), ETCD_CMP_EQUAL, 0);
        etcd_txn_put(txn, ETCD_STR(key), ETCD_STR("1000"), NULL);
        while (etcd_txn_commit(txn, NULL, NULL, &err) < 0)
            if (real_now_ms() - begin > PATIENCE_MS)
                fail_msg("put: %s", err.message);
        etcd_txn_free(txn);
    }
}

static void lose_the_leader(struct scene *scene)
{
    int leader = etcd_server_leader(scene->server, PATIENCE_MS);

    assert_true(leader >= 0);
    assert_int_equal(etcd_server_signal(scene->server, leader, SIGKILL), 0);
    assert_true(await_done(scene, PAYERS * TRANSFERS * 2 / 3));
    assert_int_equal(etcd_server_restart(scene->server, leader), 0);
    assert_int_equal(etcd_server_await_healthy(scene->server, leader, PATIENCE_MS), 0);
}

static void the_sum_outlives_the_leader(void **state)
{
    struct etcd_server_options servers = {.members = MEMBERS};
    struct scene scene = {.server = etcd_server_start(&servers)};
    struct payer payers[PAYERS];

    (void)state;
    if (scene.server == NULL)
        fail_msg("the cluster did not start");
    scene.client = real_client_with(ETCD_CLIENT(.endpoints = etcd_server_endpoints(scene.server), .backoff_base_ms = 20,
                                                .backoff_max_ms = 200, .request_timeout_ms = PATIENCE_MS));
    open_accounts(scene.client);
    for (unsigned i = 0; i < PAYERS; i++) {
        payers[i] = (struct payer){.scene = &scene, .seed = i + 1, .level = (int)i % ETCD_STM_READ_COMMITTED};
        assert_int_equal(pthread_create(&payers[i].thread, NULL, pay, &payers[i]), 0);
    }
    assert_true(await_done(&scene, PAYERS * TRANSFERS / 3));
    lose_the_leader(&scene);
    for (int i = 0; i < PAYERS; i++)
        pthread_join(payers[i].thread, NULL);
    if (atomic_load(&scene.done) < PAYERS * TRANSFERS)
        fail_msg("%d of %d transfers; %s", atomic_load(&scene.done), PAYERS * TRANSFERS, payers[0].last.message);
    check_sum(scene.client);
    etcd_client_free(scene.client);
    etcd_server_stop(scene.server);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_sum_outlives_the_leader),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
