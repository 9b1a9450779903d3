/* TLS against real servers: server certificates, client certificates, who is refused and how that is told, rotation of files,
 * the common name as user, and clusters whose endpoints differ in their scheme. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/pki.h"
#include "real.h"

/* Files of a PKI: two authorities, a server's certificate of the first, and clients' certificates of both. */
struct pki {
    char *directory;
    etcd_test_cert ca, other_ca, server, client, stranger;
    char *ca_file, *other_ca_file;
    char *server_cert, *server_key;
    char *client_cert, *client_key;
    char *stranger_cert, *stranger_key;
};

static void write_pair(const struct pki *pki, const char *name, const etcd_test_cert *cert, char **cert_file, char **key_file)
{
    char file[64];

    (void)snprintf(file, sizeof file, "%s.pem", name);
    *cert_file = etcd_test_file(pki->directory, file, etcd_test_pem(cert));
    (void)snprintf(file, sizeof file, "%s.key", name);
    *key_file = etcd_test_file(pki->directory, file, etcd_test_pem_key(cert, NULL));
}

static etcd_test_cert issue(const char *cn, const char *sans, const char *eku, const etcd_test_cert *ca)
{
    return etcd_test_cert_new(&(const etcd_test_cert_spec){.cn = cn, .sans = sans, .eku = eku, .issuer = ca});
}

static struct pki make_pki(const char *server_sans)
{
    struct pki pki = {.directory = etcd_test_directory_new()};

    pki.ca = etcd_test_cert_new(&(const etcd_test_cert_spec){.cn = "test CA", .ca = true});
    pki.other_ca = etcd_test_cert_new(&(const etcd_test_cert_spec){.cn = "another CA", .ca = true});
    pki.server = issue("etcd", server_sans, "serverAuth,clientAuth", &pki.ca);
    pki.client = issue("root", NULL, "clientAuth", &pki.ca);
    pki.stranger = issue("root", NULL, "clientAuth", &pki.other_ca);
    pki.ca_file = etcd_test_file(pki.directory, "ca.pem", etcd_test_pem(&pki.ca));
    pki.other_ca_file = etcd_test_file(pki.directory, "other-ca.pem", etcd_test_pem(&pki.other_ca));
    write_pair(&pki, "server", &pki.server, &pki.server_cert, &pki.server_key);
    write_pair(&pki, "client", &pki.client, &pki.client_cert, &pki.client_key);
    write_pair(&pki, "stranger", &pki.stranger, &pki.stranger_cert, &pki.stranger_key);
    return pki;
}

static void free_pki(struct pki *pki)
{
    etcd_test_cert *certs[] = {&pki->ca, &pki->other_ca, &pki->server, &pki->client, &pki->stranger};
    char *files[] = {pki->ca_file,     pki->other_ca_file, pki->server_cert,   pki->server_key,
                     pki->client_cert, pki->client_key,    pki->stranger_cert, pki->stranger_key};

    for (size_t i = 0; i < sizeof certs / sizeof certs[0]; i++)
        etcd_test_cert_free(certs[i]);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        free(files[i]);
    etcd_test_directory_free(pki->directory);
}

static struct etcd_server *start(const struct pki *pki, int members, bool mutual)
{
    struct etcd_server_options options = {
        .members = members, .cert_file = pki->server_cert, .key_file = pki->server_key, .ca_file = mutual ? pki->ca_file : NULL};
    struct etcd_server *server = etcd_server_start(&options);

    if (server == NULL)
        fail_msg("the TLS server did not start");
    return server;
}

static etcd_client *connect_with(struct etcd_server *server, const etcd_tls_options *tls)
{
    return real_client_with(ETCD_CLIENT(.endpoints = etcd_server_endpoints(server), .tls = tls, .request_timeout_ms = 20000,
                                        .backoff_base_ms = 50, .backoff_max_ms = 100));
}

/* Calls on a client whose connection is refused: their deadlines pass, and the error says why once it has tried. */
static void expect_refusal(struct etcd_server *server, const etcd_tls_options *tls, const char *reason)
{
    etcd_client *client = connect_with(server, tls);
    int64_t start_ms = real_now_ms();
    etcd_error err;

    do
        assert_error(etcd_get(client, ETCD_STR("key"), ETCD_GET(.call = ETCD_CALL(.timeout_ms = 300)), NULL, &err), &err,
                     ETCD_ERR_DEADLINE_EXCEEDED, "context deadline exceeded");
    while (strstr(err.message, reason) == NULL && real_now_ms() - start_ms < 20000 * real_slowdown());
    if (strstr(err.message, reason) == NULL)
        fail_msg("\"%s\" does not contain \"%s\"", err.message, reason);
    etcd_client_free(client);
}

static void a_server_certificate_is_verified(void **state)
{
    struct pki pki = make_pki("IP:127.0.0.1,DNS:localhost");
    struct etcd_server *server = start(&pki, 1, false);
    etcd_client *client = connect_with(server, ETCD_TLS(.ca_file = pki.ca_file));

    (void)state;
    real_put(client, "key", "value");
    assert_keys(real_get(client, "key", NULL), "key");
    etcd_client_free(client);

    client = connect_with(server, ETCD_TLS(.insecure_skip_verify = true));
    real_put(client, "key", "value");
    etcd_client_free(client);

    expect_refusal(server, ETCD_TLS(.ca_file = pki.other_ca_file), "certificate");
    expect_refusal(server, NULL, "certificate"); /* the system's authorities do not know it */
    expect_refusal(server, ETCD_TLS(.ca_file = pki.ca_file, .server_name = "etcd.example"), "etcd.example");
    etcd_server_stop(server);
    free_pki(&pki);
}

static void a_certificate_for_another_host_is_refused(void **state)
{
    struct pki pki = make_pki("DNS:other.example");
    struct etcd_server *server = start(&pki, 1, false);
    etcd_client *client = connect_with(server, ETCD_TLS(.ca_file = pki.ca_file, .server_name = "other.example"));

    (void)state;
    real_put(client, "key", "value");
    etcd_client_free(client);
    expect_refusal(server, ETCD_TLS(.ca_file = pki.ca_file), "other.example");
    etcd_server_stop(server);
    free_pki(&pki);
}

static void a_client_certificate_is_shown(void **state)
{
    struct pki pki = make_pki("IP:127.0.0.1");
    struct etcd_server *server = start(&pki, 1, true);
    etcd_client *client =
        connect_with(server, ETCD_TLS(.ca_file = pki.ca_file, .cert_file = pki.client_cert, .key_file = pki.client_key));

    (void)state;
    real_put(client, "key", "value");
    etcd_client_free(client);
    expect_refusal(server, ETCD_TLS(.ca_file = pki.ca_file), "certificate");
    expect_refusal(server, ETCD_TLS(.ca_file = pki.ca_file, .cert_file = pki.stranger_cert, .key_file = pki.stranger_key),
                   "certificate");
    etcd_server_stop(server);
    free_pki(&pki);
}

static void bad_files_are_told_at_once(void **state)
{
    struct pki pki = make_pki("IP:127.0.0.1");
    etcd_client *client;
    etcd_error err;

    (void)state;
    assert_error(etcd_client_new(ETCD_CLIENT(.endpoints = "https://127.0.0.1:1", .tls = ETCD_TLS(.ca_file = "/nonexistent")),
                                 &client, &err),
                 &err, ETCD_ERR_ARGUMENT, "/nonexistent");
    assert_error(etcd_client_new(ETCD_CLIENT(.endpoints = "https://127.0.0.1:1", .tls = ETCD_TLS(.cert_file = pki.client_cert)),
                                 &client, &err),
                 &err, ETCD_ERR_ARGUMENT, NULL);
    assert_error(etcd_client_new(ETCD_CLIENT(.endpoints = "https://127.0.0.1:1",
                                             .tls = ETCD_TLS(.cert_file = pki.client_cert, .key_file = pki.stranger_key)),
                                 &client, &err),
                 &err, ETCD_ERR_ARGUMENT, NULL);
    free_pki(&pki);
}

/* The endpoints of the cluster reconnect with the files as they are then. */
static void certificates_are_rotated_without_a_restart(void **state)
{
    struct pki pki = make_pki("IP:127.0.0.1");
    struct etcd_server *server = start(&pki, 1, true);
    etcd_client *client =
        connect_with(server, ETCD_TLS(.ca_file = pki.ca_file, .cert_file = pki.stranger_cert, .key_file = pki.stranger_key));
    etcd_error err;

    (void)state;
    assert_error(etcd_get(client, ETCD_STR("key"), ETCD_GET(.call = ETCD_CALL(.timeout_ms = 500)), NULL, &err), &err,
                 ETCD_ERR_DEADLINE_EXCEEDED, NULL);
    free(etcd_test_file(pki.directory, "stranger.pem", etcd_test_pem(&pki.client)));
    free(etcd_test_file(pki.directory, "stranger.key", etcd_test_pem_key(&pki.client, NULL)));
    assert_ok(etcd_get(client, ETCD_STR("key"), ETCD_GET(.call = ETCD_CALL(.timeout_ms = 20000)), NULL, &err), &err);
    etcd_client_free(client);
    etcd_server_stop(server);
    free_pki(&pki);
}

static void passwords_go_over_tls(void **state)
{
    struct pki pki = make_pki("IP:127.0.0.1");
    struct etcd_server *server = start(&pki, 1, false);
    const etcd_tls_options *tls = ETCD_TLS(.ca_file = pki.ca_file);
    etcd_client *client = connect_with(server, tls);
    etcd_error err;

    (void)state;
    assert_ok(etcd_user_add(client, "root", "secret", NULL, NULL, &err), &err);
    assert_ok(etcd_role_add(client, "root", NULL, NULL, &err), &err);
    assert_ok(etcd_user_grant_role(client, "root", "root", NULL, NULL, &err), &err);
    assert_ok(etcd_auth_enable(client, NULL, NULL, &err), &err);
    etcd_client_free(client);
    client = real_client_with(
        ETCD_CLIENT(.endpoints = etcd_server_endpoints(server), .tls = tls, .username = "root", .password = "secret"));
    real_put(client, "key", "value");
    etcd_client_free(client);
    etcd_server_stop(server);
    free_pki(&pki);
}

static void a_cluster_goes_on_when_a_member_dies(void **state)
{
    struct pki pki = make_pki("IP:127.0.0.1");
    struct etcd_server *server = start(&pki, 3, true);
    etcd_client *client =
        connect_with(server, ETCD_TLS(.ca_file = pki.ca_file, .cert_file = pki.client_cert, .key_file = pki.client_key));
    int leader = etcd_server_leader(server, 20000);

    (void)state;
    real_put(client, "key", "value");
    etcd_server_signal(server, (leader + 1) % 3, SIGKILL);
    for (int i = 0; i < 20; i++)
        assert_keys(real_get(client, "key", NULL), "key");
    etcd_server_restart(server, (leader + 1) % 3);
    assert_int_equal(etcd_server_await_healthy(server, -1, 20000), 0);
    for (int i = 0; i < 20; i++)
        assert_keys(real_get(client, "key", NULL), "key");
    etcd_client_free(client);
    etcd_server_stop(server);
    free_pki(&pki);
}

static void big_values_pass(void **state)
{
    struct pki pki = make_pki("IP:127.0.0.1");
    struct etcd_server *server = start(&pki, 1, false);
    etcd_client *client = connect_with(server, ETCD_TLS(.ca_file = pki.ca_file));
    size_t len = 1000000;
    char *value = malloc(len);
    etcd_get_response *get;
    etcd_error err;

    (void)state;
    assert_non_null(value);
    for (size_t i = 0; i < len; i++)
        value[i] = (char)(i * 31);
    for (int i = 0; i < 10; i++)
        assert_ok(etcd_put(client, "big", 3, value, len, NULL, NULL, &err), &err);
    get = real_get(client, "big", NULL);
    assert_bytes(get->kvs[0].value, value, len);
    etcd_response_free(get);
    free(value);
    etcd_client_free(client);
    etcd_server_stop(server);
    free_pki(&pki);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_certificate_is_verified),
        cmocka_unit_test(a_certificate_for_another_host_is_refused),
        cmocka_unit_test(a_client_certificate_is_shown),
        cmocka_unit_test(bad_files_are_told_at_once),
        cmocka_unit_test(certificates_are_rotated_without_a_restart),
        cmocka_unit_test(passwords_go_over_tls),
        cmocka_unit_test(a_cluster_goes_on_when_a_member_dies),
        cmocka_unit_test(big_values_pass),
    };

    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
