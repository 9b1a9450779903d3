/* Tokens on real servers: simple ones that expire, and that a restarted member has forgotten, and JWTs that this test signs,
 * which expire or are of an old revision; auth switched off under a client that holds a token. */
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "harness/pki.h"
#include "real.h"

enum { PATIENCE_MS = 30000 };

static struct etcd_server *start(int members, const char *auth_token, const char *const *flags)
{
    struct etcd_server_options options = {.members = members, .auth_token = auth_token, .flags = flags};
    struct etcd_server *server = etcd_server_start(&options);

    if (server == NULL)
        fail_msg("etcd did not start");
    return server;
}

static etcd_client *client_with(struct etcd_server *server, etcd_client_options options)
{
    options.size = sizeof options;
    options.endpoints = etcd_server_endpoints(server);
    options.request_timeout_ms = PATIENCE_MS;
    options.backoff_base_ms = 20;
    options.backoff_max_ms = 100;
    return real_client_with(&options);
}

static etcd_client *root_of(struct etcd_server *server)
{
    return client_with(server, (etcd_client_options){.username = "root", .password = "rootpw"});
}

static void enable_auth(struct etcd_server *server)
{
    etcd_client *client = client_with(server, (etcd_client_options){0});
    etcd_error err;

    assert_ok(etcd_user_add(client, "root", "rootpw", NULL, NULL, &err), &err);
    assert_ok(etcd_role_add(client, "root", NULL, NULL, &err), &err);
    assert_ok(etcd_user_grant_role(client, "root", "root", NULL, NULL, &err), &err);
    assert_ok(etcd_auth_enable(client, NULL, NULL, &err), &err);
    etcd_client_free(client);
}

/* ---- traffic that must not notice ---- */

enum { THREADS = 8 };

struct caller {
    pthread_t thread;
    etcd_client *client;
    int number;
    atomic_bool *stopping;
    uint64_t writes, perhaps, failures;
    etcd_error first_failure;
};

static void *call_on(void *arg)
{
    struct caller *caller = arg;
    etcd_error err;
    char key[16];

    (void)snprintf(key, sizeof key, "t/%d", caller->number);
    while (!atomic_load(caller->stopping)) {
        etcd_get_response *get;

        if (etcd_put(caller->client, ETCD_STR(key), ETCD_STR("v"), NULL, NULL, &err) == ETCD_OK)
            caller->writes++;
        else if (real_passes(err.code)) /* an election, which is not about tokens */
            caller->perhaps++;
        else if (caller->failures++ == 0)
            caller->first_failure = err;
        if (etcd_get(caller->client, ETCD_STR(key), NULL, &get, &err) == ETCD_OK)
            etcd_response_free(get);
        else if (caller->failures++ == 0)
            caller->first_failure = err;
        real_sleep_ms(2);
    }
    return NULL;
}

static uint64_t start_callers(struct caller callers[THREADS], etcd_client *client, atomic_bool *stopping)
{
    etcd_get_response *get = real_get(client, "key", NULL);
    uint64_t term = get->header.raft_term;

    etcd_response_free(get);
    for (int i = 0; i < THREADS; i++) {
        callers[i] = (struct caller){.client = client, .number = i, .stopping = stopping};
        assert_int_equal(pthread_create(&callers[i].thread, NULL, call_on, &callers[i]), 0);
    }
    return term;
}

/* None failed but in an election, of which the term tells, and each write was applied once. */
static void stop_callers(struct caller callers[THREADS], etcd_client *client, uint64_t term)
{
    atomic_store(callers[0].stopping, true);
    for (int i = 0; i < THREADS; i++)
        pthread_join(callers[i].thread, NULL);
    for (int i = 0; i < THREADS; i++) {
        etcd_get_response *get;
        char key[16];

        if (callers[i].failures > 0)
            fail_msg("%d calls failed: %s", (int)callers[i].failures, callers[i].first_failure.message);
        (void)snprintf(key, sizeof key, "t/%d", i);
        get = real_get(client, key, NULL);
        if (get->header.raft_term == term)
            assert_int_equal(callers[i].perhaps, 0);
        assert_in_range(get->kvs[0].version, callers[i].writes, callers[i].writes + callers[i].perhaps);
        etcd_response_free(get);
    }
}

/* ---- simple tokens ---- */

/* Use prolongs a simple token, so it expires in a pause. */
static void simple_tokens_expire(void **state)
{
    static const char *const flags[] = {"--auth-token-ttl=1", NULL};
    struct etcd_server *server = start(1, "simple", flags);
    int64_t begin = real_now_ms();
    etcd_client *client;

    (void)state;
    enable_auth(server);
    client = root_of(server);
    for (int i = 0; i < 3; i++) {
        real_put(client, "key", "value");
        etcd_response_free(real_get(client, "key", NULL));
        real_sleep_ms(2200); /* the server's clockwork: it looks each second */
    }
    assert_true(real_now_ms() - begin > 6000);
    real_put(client, "key", "value");
    etcd_client_free(client);
    etcd_server_stop(server);
}

static void a_restarted_member_has_forgotten_its_tokens(void **state)
{
    struct etcd_server *server = start(1, "simple", NULL);
    etcd_client *client;

    (void)state;
    enable_auth(server);
    client = root_of(server);
    real_put(client, "key", "value");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(etcd_server_signal(server, 0, SIGKILL), 0);
        assert_int_equal(etcd_server_restart(server, 0), 0);
        assert_int_equal(etcd_server_await_healthy(server, 0, PATIENCE_MS), 0);
        etcd_response_free(real_get(client, "key", NULL));
        real_put(client, "key", "value");
    }
    etcd_client_free(client);
    etcd_server_stop(server);
}

/* Each change of users and roles makes all tokens old (JWT), or takes those of the user (simple). */
static void changes_of_the_auth_store_go_unnoticed(void **state)
{
    struct etcd_server *server = start(3, "simple", NULL);
    struct caller callers[THREADS];
    atomic_bool stopping = false;
    etcd_client *client, *admin;
    uint64_t term;
    etcd_error err;
    int rc;

    (void)state;
    enable_auth(server);
    client = root_of(server);
    admin = root_of(server);
    term = start_callers(callers, client, &stopping);
    for (int i = 0; i < 5; i++) {
        char role[16];

        (void)snprintf(role, sizeof role, "r%d", i);
        while (real_passes(rc = etcd_role_add(admin, role, NULL, NULL, &err)))
            real_sleep_ms(50);
        if (rc != ETCD_ERR_ROLE_ALREADY_EXIST) /* by an attempt before */
            assert_ok(rc, &err);
        while (real_passes(rc = etcd_user_grant_role(admin, "root", role, NULL, NULL, &err)))
            real_sleep_ms(50);
        assert_ok(rc, &err);
        real_sleep_ms(100);
    }
    stop_callers(callers, client, term);
    etcd_client_free(client);
    etcd_client_free(admin);
    etcd_server_stop(server);
}

static void auth_is_switched_off_under_a_client(void **state)
{
    struct etcd_server *server = start(1, "simple", NULL);
    struct caller callers[THREADS];
    atomic_bool stopping = false;
    etcd_client *client, *admin;
    uint64_t term;
    etcd_error err;

    (void)state;
    enable_auth(server);
    client = root_of(server);
    admin = root_of(server);
    term = start_callers(callers, client, &stopping);
    for (int i = 0; i < 3; i++) {
        assert_ok(etcd_auth_disable(admin, NULL, NULL, &err), &err);
        real_sleep_ms(50);
        assert_ok(etcd_auth_enable(admin, NULL, NULL, &err), &err);
        real_sleep_ms(50);
    }
    stop_callers(callers, client, term);
    etcd_client_free(client);
    etcd_client_free(admin);
    etcd_server_stop(server);
}

static void wrong_passwords_and_users_are_told(void **state)
{
    struct etcd_server *server = start(1, NULL, NULL);
    static const char *const pairs[][2] = {{"root", "wrong"}, {"nobody", "rootpw"}};
    etcd_error err;

    (void)state;
    enable_auth(server);
    for (size_t i = 0; i < 2; i++) {
        etcd_client *client = client_with(server, (etcd_client_options){.username = pairs[i][0], .password = pairs[i][1]});

        assert_error(etcd_put(client, ETCD_STR("key"), ETCD_STR("v"), NULL, NULL, &err), &err, ETCD_ERR_AUTH_FAILED,
                     "authentication failed");
        assert_int_equal(err.flags & ETCD_ERROR_MAYBE_APPLIED, 0);
        etcd_client_free(client);
    }
    etcd_server_stop(server);
}

/* ---- JWT ---- */

/* Signs as RS256 or ES256, by its key. */
struct signer {
    char *directory, *public_file, *private_file;
    etcd_test_cert cert;
    const char *method;
    char flag[512];
    atomic_int asked;
    int64_t revision; /* of the auth store, as the next token claims it */
    int lives_s;
    char token[1024];
};

static char *public_pem(EVP_PKEY *key)
{
    BIO *memory = BIO_new(BIO_s_mem());
    char *data, *pem;
    long len;

    assert_int_equal(PEM_write_bio_PUBKEY(memory, key), 1);
    len = BIO_get_mem_data(memory, &data);
    pem = calloc(1, (size_t)len + 1);
    assert_non_null(pem);
    memcpy(pem, data, (size_t)len);
    BIO_free(memory);
    return pem;
}

static void open_signer(struct signer *signer, const char *method)
{
    *signer = (struct signer){.directory = etcd_test_directory_new(), .method = method, .lives_s = 600};
    signer->cert = etcd_test_cert_new(
        &(const etcd_test_cert_spec){.cn = "jwt", .key_type = strcmp(method, "RS256") == 0 ? "RSA2048" : "P-256"});
    signer->public_file = etcd_test_file(signer->directory, "public.pem", public_pem(signer->cert.key));
    signer->private_file = etcd_test_file(signer->directory, "private.pem", etcd_test_pem_key(&signer->cert, NULL));
    (void)snprintf(signer->flag, sizeof signer->flag, "jwt,pub-key=%s,priv-key=%s,sign-method=%s,ttl=10m", signer->public_file,
                   signer->private_file, method);
}

static void close_signer(struct signer *signer)
{
    etcd_test_cert_free(&signer->cert);
    free(signer->public_file);
    free(signer->private_file);
    etcd_test_directory_free(signer->directory);
}

/* Base64 as URLs have it, without padding (RFC 7515, 2). */
static size_t base64url(char *out, const void *data, size_t len)
{
    size_t n = (size_t)EVP_EncodeBlock((unsigned char *)out, data, (int)len);

    while (n > 0 && out[n - 1] == '=')
        n--;
    out[n] = '\0';
    for (size_t i = 0; i < n; i++)
        out[i] = (char)(out[i] == '+' ? '-' : out[i] == '/' ? '_' : out[i]);
    return n;
}

/* ES256 has the two numbers one after the other, not in DER (RFC 7518, 3.4). */
static size_t raw_signature(const unsigned char *der, size_t len, unsigned char raw[64])
{
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)len);

    if (pair == NULL || BN_bn2binpad(ECDSA_SIG_get0_r(pair), raw, 32) != 32 ||
        BN_bn2binpad(ECDSA_SIG_get0_s(pair), raw + 32, 32) != 32)
        abort();
    ECDSA_SIG_free(pair);
    return 64;
}

static const char *sign(struct signer *signer)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    char header[64], claims[128], *token = signer->token;
    unsigned char signature[512], raw[64];
    size_t used, len = sizeof signature;

    (void)snprintf(header, sizeof header, "{\"alg\":\"%s\",\"typ\":\"JWT\"}", signer->method);
    (void)snprintf(claims, sizeof claims, "{\"username\":\"root\",\"revision\":%lld,\"exp\":%lld}", (long long)signer->revision,
                   (long long)time(NULL) + signer->lives_s);
    used = base64url(token, header, strlen(header));
    token[used++] = '.';
    used += base64url(token + used, claims, strlen(claims));
    if (EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, signer->cert.key) != 1 ||
        EVP_DigestSign(context, signature, &len, (const unsigned char *)token, used) != 1)
        abort();
    EVP_MD_CTX_free(context);
    if (strcmp(signer->method, "ES256") == 0) {
        len = raw_signature(signature, len, raw);
        memcpy(signature, raw, len);
    }
    token[used++] = '.';
    base64url(token + used, signature, len);
    return token;
}

static const char *next_token(void *arg)
{
    struct signer *signer = arg;

    atomic_fetch_add(&signer->asked, 1);
    return sign(signer);
}

/* What a token must claim: reads compare it for equality. Servers of 3.4 do not tell; each change counts one. */
static int64_t auth_revision(struct etcd_server *server)
{
    etcd_auth_status_response *status;
    etcd_client *client;
    int64_t revision = 4; /* from 1 on: a user, a role, a grant */
    etcd_error err;

    if (etcd_server_minor(server) < 5)
        return revision;
    client = root_of(server);
    assert_ok(etcd_auth_status(client, NULL, &status, &err), &err);
    revision = (int64_t)status->auth_revision;
    etcd_response_free(status);
    etcd_client_free(client);
    return revision;
}

static struct etcd_server *start_jwt(struct signer *signer, const char *method)
{
    struct etcd_server *server;

    open_signer(signer, method);
    server = start(1, signer->flag, NULL);
    enable_auth(server);
    signer->revision = auth_revision(server);
    return server;
}

static void check_jwt(const char *method)
{
    struct signer signer;
    struct etcd_server *server = start_jwt(&signer, method);
    etcd_client *client = client_with(server, (etcd_client_options){.token = sign(&signer)});
    etcd_error err;

    real_put(client, "key", "value"); /* one that the program has */
    etcd_client_free(client);
    client = client_with(server, (etcd_client_options){.token_fn = next_token, .token_arg = &signer});
    real_put(client, "key", "value"); /* one from its source */
    etcd_response_free(real_get(client, "key", NULL));
    assert_int_equal(signer.asked, 1);
    etcd_client_free(client);
    client = root_of(server); /* one that the server signs */
    real_put(client, "key", "value");
    etcd_client_free(client);

    signer.lives_s = -10;
    client = client_with(server, (etcd_client_options){.token = sign(&signer)});
    assert_error(etcd_put(client, ETCD_STR("key"), ETCD_STR("v"), NULL, NULL, &err), &err, ETCD_ERR_INVALID_AUTH_TOKEN,
                 "invalid auth token");
    assert_int_equal(err.flags & ETCD_ERROR_MAYBE_APPLIED, 0);
    etcd_client_free(client);
    etcd_server_stop(server);
    close_signer(&signer);
}

static void jwt_signed_with_rsa(void **state)
{
    (void)state;
    check_jwt("RS256");
}

static void jwt_signed_with_an_elliptic_curve(void **state)
{
    (void)state;
    check_jwt("ES256");
}

/* Tokens of two seconds, while eight threads write and read. */
static void jwts_expire_in_traffic(void **state)
{
    struct signer signer;
    struct etcd_server *server = start_jwt(&signer, "ES256");
    struct caller callers[THREADS];
    atomic_bool stopping = false;
    int64_t begin = real_now_ms();
    etcd_client *client;
    uint64_t term;
    int asked;

    (void)state;
    signer.lives_s = 2;
    client = client_with(server, (etcd_client_options){.token_fn = next_token, .token_arg = &signer});
    term = start_callers(callers, client, &stopping);
    while ((asked = atomic_load(&signer.asked)) < 3) {
        assert_true(real_now_ms() - begin < PATIENCE_MS);
        real_sleep_ms(10);
    }
    stop_callers(callers, client, term);
    assert_true(asked <= 1 + (real_now_ms() - begin) / 1000); /* one for each expiry, not one for each call */
    etcd_client_free(client);
    etcd_server_stop(server);
    close_signer(&signer);
}

static void a_jwt_of_an_old_revision_is_replaced(void **state)
{
    struct signer signer;
    struct etcd_server *server = start_jwt(&signer, "ES256");
    etcd_client *admin = root_of(server), *client;
    etcd_error err;

    (void)state;
    signer.revision = 1;
    client = client_with(server, (etcd_client_options){.token_fn = next_token, .token_arg = &signer});
    assert_error(etcd_put(client, ETCD_STR("key"), ETCD_STR("v"), NULL, NULL, &err), &err, ETCD_ERR_AUTH_OLD_REVISION,
                 "revision of auth store is old");
    assert_true(signer.asked > 1 && signer.asked <= 5); /* asked again, but not for ever */
    signer.revision = auth_revision(server);
    real_put(client, "key", "value");
    etcd_response_free(real_get(client, "key", NULL));

    real_put(admin, "key", "value");
    assert_ok(etcd_role_add(admin, "r", NULL, NULL, &err), &err); /* makes the server's own token old */
    real_put(admin, "key", "value");
    etcd_client_free(client);
    etcd_client_free(admin);
    etcd_server_stop(server);
    close_signer(&signer);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(simple_tokens_expire),
    cmocka_unit_test(a_restarted_member_has_forgotten_its_tokens),
    cmocka_unit_test(changes_of_the_auth_store_go_unnoticed),
    cmocka_unit_test(auth_is_switched_off_under_a_client),
    cmocka_unit_test(wrong_passwords_and_users_are_told),
    cmocka_unit_test(jwt_signed_with_rsa),
    cmocka_unit_test(jwt_signed_with_an_elliptic_curve),
    cmocka_unit_test(jwts_expire_in_traffic),
    cmocka_unit_test(a_jwt_of_an_old_revision_is_replaced),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
