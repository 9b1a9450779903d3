/* Together with etcd's own Go client on the same keys: tests/go/interop. Skipped where that was not built. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "harness/interop.h"
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

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(go_and_c_share_accounts),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
