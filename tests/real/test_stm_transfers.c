/* Software transactional memory under load: transfers between 100 accounts by 16 threads, and by as many asynchronous chains,
 * while an auditor reads all accounts. What each isolation promises must hold. ETCD3_STM_TRANSFERS is how many transfers each
 * does. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stm.h"

enum { ACCOUNTS = 100, START = 1000, PAYERS = 16, TRANSFERS = 30, POISON = -12345, CHANGED_MIND = -2001 };

static long transfers_of_each(void)
{
    const char *text = getenv("ETCD3_STM_TRANSFERS");

    return text != NULL ? strtol(text, NULL, 10) : TRANSFERS;
}

static void account_key(char *key, size_t size, int number)
{
    snprintf(key, size, "account/%03d", number);
}

static void open_accounts(etcd_client *client)
{
    for (int from = 0; from < ACCOUNTS; from += 50) {
        etcd_txn *txn = etcd_txn_new(client);
        etcd_error err;

        for (int i = from; i < from + 50; i++) {
            char key[32];

            account_key(key, sizeof key, i);
            etcd_txn_put(txn, ETCD_STR(key), ETCD_STR("1000"), NULL);
        }
        assert_ok(etcd_txn_commit(txn, NULL, NULL, &err), &err);
        etcd_txn_free(txn);
    }
}

static long sum_of(const etcd_bytes *const *values)
{
    long sum = 0;

    for (int i = 0; i < ACCOUNTS; i++)
        sum += strtol(values[i]->data, NULL, 10);
    return sum;
}

static long sum_in_store(etcd_client *client)
{
    etcd_get_response *response = real_get(client, "account/", ETCD_GET(.prefix = true));
    long sum = 0;

    assert_int_equal(response->n_kvs, ACCOUNTS);
    for (size_t i = 0; i < response->n_kvs; i++)
        sum += strtol(response->kvs[i].value.data, NULL, 10);
    etcd_response_free(response);
    return sum;
}

/* ---- one who pays ---- */

struct payer {
    etcd_client *client;
    unsigned seed;
    int level;
    int from, to;     /* of the present transfer */
    bool change_mind; /* the present transfer is to end after it has put nonsense */
    long left;        /* transfers to do */
    long done;
    int saw_poison;
    etcd_error err;
    struct real_ending ending; /* of a chain */
};

static const etcd_call_options patience = {.size = sizeof patience, .timeout_ms = 100000};

static etcd_stm_options options_of(const struct payer *payer)
{
    return (etcd_stm_options){.size = sizeof(etcd_stm_options),
                              .isolation = payer->level,
                              .max_attempts = 1000000,
                              .backoff_max_ms = 50,
                              .call = &patience};
}

static void choose(struct payer *payer)
{
    payer->from = rand_r(&payer->seed) % ACCOUNTS;
    payer->to = (payer->from + 1 + rand_r(&payer->seed) % (ACCOUNTS - 1)) % ACCOUNTS;
    payer->change_mind = rand_r(&payer->seed) % 8 == 0;
}

static int change(etcd_stm *stm, struct payer *payer, int number, long by)
{
    const etcd_bytes *value;
    char key[32], text[32];
    long has;
    int rc;

    account_key(key, sizeof key, number);
    rc = etcd_stm_get(stm, ETCD_STR(key), &value);
    if (rc < 0)
        return rc;
    has = strtol(value->data, NULL, 10);
    if (has == POISON)
        payer->saw_poison++;
    snprintf(text, sizeof text, "%ld", payer->change_mind ? POISON : has + by);
    return etcd_stm_put(stm, ETCD_STR(key), ETCD_STR(text), NULL);
}

static int transfer(etcd_stm *stm, void *arg)
{
    struct payer *payer = arg;
    int rc = change(stm, payer, payer->from, -1);

    if (rc == ETCD_OK)
        rc = change(stm, payer, payer->to, 1);
    if (rc == ETCD_OK && payer->change_mind)
        rc = CHANGED_MIND;
    return rc;
}

/* Whether the end of a transfer was as it has to be. */
static bool count_transfer(struct payer *payer, int rc)
{
    if (rc != (payer->change_mind ? CHANGED_MIND : ETCD_OK))
        return false;
    memset(&payer->err, 0, sizeof payer->err);
    payer->done++;
    payer->left--;
    return true;
}

static void *pay(void *arg)
{
    struct payer *payer = arg;
    bool ok = true;

    while (ok && payer->left > 0) {
        etcd_stm_options options = options_of(payer);

        choose(payer);
        ok = count_transfer(payer, etcd_stm_run(payer->client, transfer, payer, &options, NULL, &payer->err));
    }
    return NULL;
}

/* ---- the auditor ---- */

struct auditor {
    etcd_client *client;
    atomic_bool stop;
    int level;
    int audits, wrong_reads, wrong_commits;
    long sum;
    etcd_error err;
};

/* Reads all accounts, in ten requests. */
static int audit(etcd_stm *stm, void *arg)
{
    struct auditor *auditor = arg;
    char keys[ACCOUNTS][32];
    etcd_bytes all[ACCOUNTS];
    const etcd_bytes *values[ACCOUNTS];

    for (int i = 0; i < ACCOUNTS; i++) {
        account_key(keys[i], sizeof keys[i], i);
        all[i] = (etcd_bytes){ETCD_STR(keys[i])};
    }
    for (int i = 0; i < ACCOUNTS; i += 10) {
        int rc = etcd_stm_get_many(stm, all + i, 10, values + i);

        if (rc < 0)
            return rc;
    }
    auditor->sum = sum_of(values);
    if (auditor->sum != (long)ACCOUNTS * START)
        auditor->wrong_reads++;
    return ETCD_OK;
}

static void *keep_auditing(void *arg)
{
    struct auditor *auditor = arg;
    int rc;

    do {
        rc = etcd_stm_run(auditor->client, audit, auditor,
                          ETCD_STM(.isolation = auditor->level, .max_attempts = 3, .call = &patience), NULL, &auditor->err);
        if (rc == ETCD_OK && auditor->sum != (long)ACCOUNTS * START)
            auditor->wrong_commits++;
        if (rc == ETCD_ERR_STM_CONFLICT) { /* there is always somebody who pays */
            memset(&auditor->err, 0, sizeof auditor->err);
            rc = ETCD_OK;
        }
        auditor->audits++;
    } while (rc == ETCD_OK && !atomic_load(&auditor->stop));
    return NULL;
}

static void check_auditor(const struct auditor *auditor)
{
    assert_ok(auditor->err.code, &auditor->err);
    assert_true(auditor->audits > 0);
    if (auditor->level <= ETCD_STM_SERIALIZABLE)
        assert_int_equal(auditor->wrong_reads, 0); /* not even in a run that is not committed */
    if (auditor->level <= ETCD_STM_REPEATABLE_READS)
        assert_int_equal(auditor->wrong_commits, 0);
}

/* ---- all of them ---- */

static void check_payers(etcd_client *client, struct payer *payers, int level)
{
    for (int i = 0; i < PAYERS; i++) {
        assert_ok(payers[i].err.code, &payers[i].err);
        assert_int_equal(payers[i].done, transfers_of_each());
        assert_int_equal(payers[i].saw_poison, 0); /* what was not committed is seen by nobody, at any level */
    }
    if (level != ETCD_STM_READ_COMMITTED) /* which loses updates; see test_stm_isolation.c */
        assert_int_equal(sum_in_store(client), ACCOUNTS * START);
}

static void by_threads(int level)
{
    etcd_client *client = real_client();
    struct auditor auditor = {.client = client, .level = level};
    struct payer payers[PAYERS];
    pthread_t threads[PAYERS], auditing;

    open_accounts(client);
    assert_int_equal(pthread_create(&auditing, NULL, keep_auditing, &auditor), 0);
    for (unsigned i = 0; i < PAYERS; i++) {
        payers[i] = (struct payer){.client = client, .seed = i + 1, .level = level, .left = transfers_of_each()};
        assert_int_equal(pthread_create(&threads[i], NULL, pay, &payers[i]), 0);
    }
    for (int i = 0; i < PAYERS; i++)
        pthread_join(threads[i], NULL);
    atomic_store(&auditor.stop, true);
    pthread_join(auditing, NULL);
    check_payers(client, payers, level);
    check_auditor(&auditor);
    etcd_client_free(client);
}

static void a_snapshot_keeps_the_sum(void **state)
{
    (void)state;
    by_threads(ETCD_STM_SERIALIZABLE_SNAPSHOT);
}

static void serializable_keeps_the_sum(void **state)
{
    (void)state;
    by_threads(ETCD_STM_SERIALIZABLE);
}

static void repeatable_reads_keep_the_sum(void **state)
{
    (void)state;
    by_threads(ETCD_STM_REPEATABLE_READS);
}

static void read_committed_sees_no_aborted_writes(void **state)
{
    (void)state;
    by_threads(ETCD_STM_READ_COMMITTED);
}

/* ---- the same without threads ---- */

static void on_transfer(etcd_client *client, etcd_txn_response *response, const etcd_error *err, void *arg);

static void pay_next(struct payer *payer)
{
    etcd_stm_options options = options_of(payer);
    int rc = ETCD_OK;

    while (payer->left > 0) {
        choose(payer);
        rc = etcd_stm_run_async(payer->client, transfer, &options, on_transfer, payer, &payer->err);
        if (rc == ETCD_OK)
            return; /* goes on in on_transfer, perhaps already */
        if (!count_transfer(payer, rc))
            break;
    }
    real_end(&payer->ending, NULL, NULL);
}

static void on_transfer(etcd_client *client, etcd_txn_response *response, const etcd_error *err, void *arg)
{
    struct payer *payer = arg;

    (void)client;
    etcd_response_free(response);
    if (err != NULL)
        payer->err = *err;
    if (count_transfer(payer, err ? err->code : ETCD_OK))
        pay_next(payer);
    else
        real_end(&payer->ending, NULL, err);
}

static void by_chains(int level, bool manual)
{
    etcd_client *client = real_client(), *paying = real_client_with(ETCD_CLIENT(.manual = manual));
    struct payer payers[PAYERS];

    open_accounts(client);
    for (unsigned i = 0; i < PAYERS; i++)
        payers[i] =
            (struct payer){.client = paying, .seed = i + 1, .level = level, .left = transfers_of_each(), .ending = REAL_ENDING};
    for (int i = 0; i < PAYERS; i++)
        pay_next(&payers[i]);
    for (int i = 0; i < PAYERS; i++) {
        if (manual)
            real_poll_until(paying, &payers[i].ending);
        else
            real_await(&payers[i].ending);
    }
    etcd_client_free(paying);
    check_payers(client, payers, level);
    etcd_client_free(client);
}

static void chains_keep_the_sum(void **state)
{
    (void)state;
    for (int level = 0; level <= ETCD_STM_READ_COMMITTED; level++)
        by_chains(level, level % 2);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_snapshot_keeps_the_sum),      cmocka_unit_test(serializable_keeps_the_sum),
    cmocka_unit_test(repeatable_reads_keep_the_sum), cmocka_unit_test(read_committed_sees_no_aborted_writes),
    cmocka_unit_test(chains_keep_the_sum),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
