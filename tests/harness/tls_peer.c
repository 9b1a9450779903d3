/* See tls_peer.h. */
#include "harness/tls_peer.h"

#include "harness/test.h"

#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(bool good, const char *what)
{
    if (!good)
        fail_msg("%s: %s", what, ERR_reason_error_string(ERR_peek_last_error()));
}

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *offered,
                           unsigned int len, void *arg)
{
    const etcd_test_tls_server *server = arg;
    const char *alpn = server->alpn ? server->alpn : "h2";

    (void)ssl;
    (void)offered;
    (void)len;
    if (alpn[0] == '\0')
        return SSL_TLSEXT_ERR_NOACK;
    if (strcmp(alpn, "refuse") == 0)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = (const unsigned char *)alpn;
    *out_len = (unsigned char)strlen(alpn);
    return SSL_TLSEXT_ERR_OK;
}

static void ask_for_certificate(SSL_CTX *ctx, const etcd_test_cert *ca)
{
    check(X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), ca->x509) == 1, "client CA");
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
}

SSL_CTX *etcd_test_tls_server_ctx(const etcd_test_tls_server *server)
{
    static const unsigned char id[] = "etcd3-test";
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    check(ctx != NULL, "context");
    SSL_CTX_set_security_level(ctx, 0);
    check(SSL_CTX_set_min_proto_version(ctx, server->min_version) == 1, "version");
    check(SSL_CTX_set_max_proto_version(ctx, server->max_version) == 1, "version");
    check(SSL_CTX_set_session_id_context(ctx, id, sizeof id) == 1, "session id");
    if (server->ciphers != NULL)
        check(SSL_CTX_set_cipher_list(ctx, server->ciphers) == 1, "ciphers");
    else if (server->max_version != 0 && server->max_version < TLS1_2_VERSION)
        check(SSL_CTX_set_cipher_list(ctx, "ALL:@SECLEVEL=0") == 1, "ciphers");
    check(SSL_CTX_use_certificate(ctx, server->cert->x509) == 1, "certificate");
    check(SSL_CTX_use_PrivateKey(ctx, server->cert->key) == 1, "key");
    for (int i = 0; server->chain != NULL && i < (server->big_chain ? 400 : 1); i++)
        check(SSL_CTX_add1_chain_cert(ctx, server->chain->x509) == 1, "chain");
    if (server->client_ca != NULL)
        ask_for_certificate(ctx, server->client_ca);
    SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, (void *)(uintptr_t)server);
    (void)SSL_CTX_set_options(ctx, SSL_OP_NO_ENCRYPT_THEN_MAC);
    return ctx;
}

static void note_alert(const SSL *ssl, int where, int value)
{
    if (where == SSL_CB_READ_ALERT)
        *(int *)SSL_get_app_data(ssl) = value & 0xff;
}

SSL *etcd_test_tls_accept(const etcd_test_tls_server *server)
{
    SSL_CTX *ctx = server->ctx ? server->ctx : etcd_test_tls_server_ctx(server);
    SSL *ssl = SSL_new(ctx);

    check(ssl != NULL, "server");
    if (server->ctx == NULL)
        SSL_CTX_free(ctx);
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_accept_state(ssl);
    return ssl;
}

/* The client's output to the server. Returns whether there was any. */
static bool carry_up(etcd__tls_session *client, SSL *server, size_t step)
{
    etcd__buf *output = etcd__tls_session_output(client);
    size_t n = step > 0 && step < output->len ? step : output->len;

    if (n == 0)
        return false;
    check(BIO_write(SSL_get_rbio(server), output->data, (int)n) == (int)n, "write");
    etcd__buf_consume(output, n);
    return true;
}

/* Feeds bytes and lets the client do with them what it does. */
static int give(etcd__tls_session *client, const uint8_t *data, size_t len, etcd_error *err)
{
    uint8_t plain[256];
    ssize_t n = 0;

    etcd__tls_session_feed(client, data, len);
    if (!etcd__tls_session_established(client)) {
        int rc = etcd__tls_session_handshake(client, err);

        if (rc < 1)
            return rc;
    }
    while ((n = etcd__tls_session_read(client, plain, sizeof plain, err)) > 0)
        if (n == 4 && memcmp(plain, "pong", 4) == 0)
            return 4;
    return n < 0 ? (int)n : 0;
}

int etcd_test_tls_pump(etcd__tls_session *client, SSL *server, size_t step, etcd_error *err)
{
    bool moved = true;

    while (moved) {
        uint8_t data[70000];
        char request[64];
        int n, rc;

        moved = carry_up(client, server, step);
        ERR_clear_error();
        if (SSL_do_handshake(server) == 1 && (n = SSL_read(server, request, sizeof request)) > 0)
            check(SSL_write(server, n == 4 ? "pong" : request, n) == n, "echo");
        n = BIO_read(SSL_get_wbio(server), data, step > 0 && step < sizeof data ? (int)step : (int)sizeof data);
        if (n > 0) {
            rc = give(client, data, (size_t)n, err);
            if (rc != 0)
                return rc;
            moved = true;
        }
    }
    return 0;
}

static void look_at_server(SSL *server, etcd_test_meeting *meeting)
{
    const char *sni = SSL_get_servername(server, TLSEXT_NAMETYPE_host_name);
    X509 *client = SSL_get1_peer_certificate(server);

    (void)snprintf(meeting->sni, sizeof meeting->sni, "%s", sni ? sni : "");
    if (client != NULL)
        (void)X509_NAME_get_text_by_NID(X509_get_subject_name(client), NID_commonName, meeting->client_cn,
                                        sizeof meeting->client_cn);
    X509_free(client);
}

etcd_test_meeting etcd_test_meet(etcd__tls *tls, const char *name, const etcd_test_tls_server *spec, size_t step)
{
    etcd_test_meeting meeting = {.server_alert = -1};
    etcd__tls_session *client;
    SSL *server = etcd_test_tls_accept(spec);
    int rc;

    SSL_set_app_data(server, &meeting.server_alert);
    SSL_set_info_callback(server, note_alert);
    rc = etcd__tls_session_new(tls, name, "127.0.0.1:2379", &client, &meeting.err);
    if (rc == ETCD_OK)
        rc = etcd__tls_session_handshake(client, &meeting.err);
    if (rc == 0)
        rc = etcd_test_tls_pump(client, server, step, &meeting.err);
    if (rc == 0 && etcd__tls_session_established(client)) {
        rc = etcd__tls_session_write(client, (const uint8_t *)"ping", 4, &meeting.err);
        if (rc == 0)
            rc = etcd_test_tls_pump(client, server, step, &meeting.err);
    }
    if (rc == 0) {
        (void)snprintf(meeting.err.message, sizeof meeting.err.message, "nobody goes on");
        rc = ETCD_ERR_TIMED_OUT;
    }
    meeting.rc = rc > 0 ? ETCD_OK : rc;
    meeting.resumed = rc > 0 && etcd__tls_session_resumed(client);
    if (rc < 0 && client != NULL) /* the client's alert */
        while (carry_up(client, server, 0))
            (void)SSL_do_handshake(server);
    look_at_server(server, &meeting);
    etcd__tls_session_free(client);
    SSL_free(server);
    ERR_clear_error();
    return meeting;
}

etcd_test_meeting etcd_test_meet_bytes(etcd__tls *tls, const char *name, const void *data, size_t len)
{
    etcd_test_meeting meeting = {.server_alert = -1};
    etcd__tls_session *client;
    void *copy = malloc(len); /* of exactly this size, for the sanitizers */

    check(copy != NULL, "memory");
    memcpy(copy, data, len);
    meeting.rc = etcd__tls_session_new(tls, name, "127.0.0.1:2379", &client, &meeting.err);
    if (meeting.rc == ETCD_OK)
        meeting.rc = etcd__tls_session_handshake(client, &meeting.err);
    if (meeting.rc == ETCD_OK)
        meeting.rc = give(client, copy, len, &meeting.err);
    etcd__tls_session_free(client);
    free(copy);
    return meeting;
}
