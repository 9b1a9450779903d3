/* Together with etcd's own Go client on the same keys: tests/go/interop. Skipped where that was not built. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/interop.h"
#include "recipes.h"
#include "stm.h"

/* ---- one set of accounts ---- */

enum { ACCOUNTS = 10, START = 1000, WORKERS = 4, TRANSFERS = 60 };

struct payer {
    etcd_client *client;
    unsigned seed;
    int level;
    int from, to; /* of the present transfer */
    int failures;
    etcd_error err;
};

static int transfer(etcd_stm *stm, void *arg)
{
    const struct payer *payer = arg;
    const int numbers[] = {payer->from, payer->to}, changes[] = {-1, 1};
    char key[32], text[32];
    int rc = ETCD_OK;

    for (int i = 0; i < 2 && rc == ETCD_OK; i++) {
        const etcd_bytes *value;

        snprintf(key, sizeof key, "account/%d", numbers[i]);
        rc = etcd_stm_get(stm, ETCD_STR(key), &value);
        if (rc < 0)
            break;
        snprintf(text, sizeof text, "%ld", strtol(value->data, NULL, 10) + changes[i]);
        rc = etcd_stm_put(stm, ETCD_STR(key), ETCD_STR(text), NULL);
    }
    return rc;
}

static void *pay(void *arg)
{
    struct payer *payer = arg;

    for (int i = 0; i < TRANSFERS && payer->failures == 0; i++) {
        payer->from = rand_r(&payer->seed) % ACCOUNTS;
        payer->to = (payer->from + 1 + rand_r(&payer->seed) % (ACCOUNTS - 1)) % ACCOUNTS;
        if (etcd_stm_run(payer->client, transfer, payer,
                         ETCD_STM(.isolation = payer->level, .max_attempts = 100000, .backoff_max_ms = 50,
                                  .call = ETCD_CALL(.timeout_ms = 60000)),
                         NULL, &payer->err) < 0)
            payer->failures++;
    }
    return NULL;
}

static void check_accounts(etcd_client *client)
{
    long sum = 0;

    for (int i = 0; i < ACCOUNTS; i++) {
        char key[32];

        snprintf(key, sizeof key, "account/%d", i);
        sum += stm_number(client, key);
    }
    assert_int_equal(sum, ACCOUNTS * START);
}

static void share_accounts(int level)
{
    etcd_client *client = real_client();
    struct payer payers[WORKERS];
    pthread_t threads[WORKERS];
    struct interop go;
    char numbers[4][16], line[64];

    for (int i = 0; i < ACCOUNTS; i++) {
        snprintf(line, sizeof line, "account/%d", i);
        real_put(client, line, "1000");
    }
    snprintf(numbers[0], 16, "%d", ACCOUNTS);
    snprintf(numbers[1], 16, "%d", WORKERS);
    snprintf(numbers[2], 16, "%d", TRANSFERS);
    snprintf(numbers[3], 16, "%d", level);
    interop_start(&go, (const char *const[]){"stm", etcd_server_endpoints(real_server()), numbers[0], numbers[1], numbers[2],
                                             numbers[3], NULL});
    for (unsigned i = 0; i < WORKERS; i++) {
        payers[i] = (struct payer){.client = client, .seed = i + 1, .level = level};
        assert_int_equal(pthread_create(&threads[i], NULL, pay, &payers[i]), 0);
    }
    for (int i = 0; i < WORKERS; i++) {
        pthread_join(threads[i], NULL);
        assert_ok(payers[i].err.code, &payers[i].err);
    }
    assert_true(interop_line(&go, line, sizeof line));
    assert_int_equal(strtol(line, NULL, 10), WORKERS * TRANSFERS);
    assert_int_equal(interop_finish(&go), 0);
    check_accounts(client);
    etcd_client_free(client);
}

static void go_and_c_share_accounts(void **state)
{
    (void)state;
    if (!interop_is_there())
        skip();
    for (int level = 0; level < ETCD_STM_READ_COMMITTED; level++)
        share_accounts(level);
}

/* ---- one lock, one election ---- */

enum { LINE_WORKERS = 4, LINE_TURNS = 15 };

struct worker {
    etcd_client *client;
    bool election;
    int number, done;
    etcd_error err;
};

/* What is protected by nothing else: two at once would count the same number. */
static int add_one(struct worker *worker)
{
    etcd_get_response *get;
    char text[24];
    int rc = etcd_get(worker->client, ETCD_STR("counter"), ETCD_GET(.call = PATIENT), &get, &worker->err);

    if (rc < 0)
        return rc;
    snprintf(text, sizeof text, "%ld", (get->n_kvs > 0 ? strtol(get->kvs[0].value.data, NULL, 10) : 0) + 1);
    etcd_response_free(get);
    real_sleep_ms(1);
    return etcd_put(worker->client, ETCD_STR("counter"), ETCD_STR(text), ETCD_PUT(.call = PATIENT), NULL, &worker->err);
}

static int lock_once(struct worker *worker, etcd_mutex *mutex)
{
    int rc = etcd_mutex_lock(mutex, PATIENT, &worker->err);

    if (rc == ETCD_OK)
        rc = add_one(worker);
    return rc == ETCD_OK ? etcd_mutex_unlock(mutex, PATIENT, &worker->err) : rc;
}

/* 1: another leads. */
static int check_leader(struct worker *worker, const char *value)
{
    etcd_get_response *leader;
    int rc = etcd_election_leader(worker->client, ETCD_STR("boss"), PATIENT, &leader, &worker->err);

    if (rc == ETCD_OK)
        rc = strcmp(leader->kvs[0].value.data, value) != 0;
    etcd_response_free(leader);
    return rc;
}

static int lead_once(struct worker *worker, etcd_election *election, int turn)
{
    char value[32];
    int rc = etcd_election_campaign(election, ETCD_STR("c"), PATIENT, &worker->err);

    if (rc == ETCD_OK)
        rc = add_one(worker);
    snprintf(value, sizeof value, "c-%d-%d", worker->number, turn);
    if (rc == ETCD_OK)
        rc = etcd_election_proclaim(election, ETCD_STR(value), PATIENT, &worker->err);
    if (rc == ETCD_OK)
        rc = check_leader(worker, value);
    return rc == ETCD_OK ? etcd_election_resign(election, PATIENT, &worker->err) : rc;
}

static void *take_turns(void *arg)
{
    struct worker *worker = arg;
    etcd_session *session = NULL;
    etcd_mutex *mutex = NULL;
    etcd_election *election = NULL;
    int rc = etcd_session_new(worker->client, ETCD_SESSION(.call = PATIENT), &session, &worker->err);

    if (rc == ETCD_OK)
        rc = etcd_mutex_new(session, ETCD_STR("boss"), &mutex, &worker->err);
    if (rc == ETCD_OK)
        rc = etcd_election_new(session, ETCD_STR("boss"), &election, &worker->err);
    while (rc == ETCD_OK && worker->done < LINE_TURNS) {
        rc = worker->election ? lead_once(worker, election, worker->done) : lock_once(worker, mutex);
        worker->done += rc == ETCD_OK;
    }
    etcd_mutex_free(mutex);
    etcd_election_free(election);
    etcd_session_free(session);
    return NULL;
}

static void share_a_line(bool election)
{
    etcd_client *client = real_client();
    struct worker workers[LINE_WORKERS];
    pthread_t threads[LINE_WORKERS];
    struct interop go;
    char numbers[2][16], line[64];
    etcd_get_response *get;

    snprintf(numbers[0], 16, "%d", LINE_WORKERS);
    snprintf(numbers[1], 16, "%d", LINE_TURNS);
    interop_start(&go, (const char *const[]){election ? "elect" : "lock", etcd_server_endpoints(real_server()), "boss",
                                             numbers[0], numbers[1], NULL});
    for (int i = 0; i < LINE_WORKERS; i++) {
        workers[i] = (struct worker){.client = client, .election = election, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, take_turns, &workers[i]), 0);
    }
    for (int i = 0; i < LINE_WORKERS; i++) {
        pthread_join(threads[i], NULL);
        assert_ok(workers[i].err.code, &workers[i].err);
        assert_int_equal(workers[i].done, LINE_TURNS);
    }
    assert_true(interop_line(&go, line, sizeof line));
    assert_int_equal(strtol(line, NULL, 10), LINE_WORKERS * LINE_TURNS);
    assert_int_equal(interop_finish(&go), 0);
    get = real_get(client, "counter", NULL);
    assert_int_equal(strtol(get->kvs[0].value.data, NULL, 10), 2 * LINE_WORKERS * LINE_TURNS);
    etcd_response_free(get);
    recipe_await_count(client, "boss/", 0);
    etcd_client_free(client);
}

static void go_and_c_share_a_lock(void **state)
{
    (void)state;
    if (!interop_is_there())
        skip();
    share_a_line(false);
}

static void go_and_c_share_an_election(void **state)
{
    (void)state;
    if (!interop_is_there())
        skip();
    share_a_line(true);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(go_and_c_share_a_lock),
    cmocka_unit_test(go_and_c_share_an_election),
    cmocka_unit_test(go_and_c_share_accounts),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
