/* See tls_session.h. OpenSSL reads and writes through a BIO of ours: it takes from the bytes that were fed and appends to the
 * output, so nothing is copied on the way in. It is asked to go on until it wants more, so the fed bytes are always used up. */
#include "net/tls_session.h"

#include "base/alloc.h"
#include "base/error.h"
#include "net/openssl.h"
#include "net/tls_internal.h"

#include <arpa/inet.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

/* What waits to be sent: never more than one chunk of plaintext with its overhead (the stream sees to it) and what the peer makes
 * OpenSSL say by itself, which is bounded by this (P11). */
#define MAX_OUTPUT ((size_t)512 * 1024)

#define MAX_NAME 256

struct etcd__tls_session {
    etcd__tls *tls;
    SSL *ssl;
    const uint8_t *in; /* what is left of the fed bytes */
    size_t in_len;
    etcd__buf out;
    bool established;
    bool no_memory;
    bool out_full;
    int alert;         /* the last fatal one of the peer, or -1 */
    char problem[384]; /* what is wrong with the certificate, or "" */
    char peer[128];
    char name[MAX_NAME];         /* asked for and verified */
    char server[MAX_NAME + 128]; /* name and peer: where a session may be continued */
};

/* --- BIO --------------------------------------------------------------------------------------- */

static int take_in(BIO *bio, char *data, int size)
{
    etcd__tls_session *session = BIO_get_data(bio);
    size_t n = session->in_len < (size_t)size ? session->in_len : (size_t)size;

    BIO_clear_retry_flags(bio);
    if (n == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    memcpy(data, session->in, n);
    session->in += n;
    session->in_len -= n;
    return (int)n;
}

static int put_out(BIO *bio, const char *data, int len)
{
    etcd__tls_session *session = BIO_get_data(bio);
    int rc = etcd__buf_append(&session->out, data, (size_t)len);

    BIO_clear_retry_flags(bio);
    if (rc == ETCD_OK)
        return len;
    if (rc == ETCD_ERR_TOO_LARGE)
        session->out_full = true;
    else
        session->no_memory = true;
    return -1;
}

static long control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static int create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

BIO_METHOD *etcd__tls_new_bio_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "etcd3");

    if (method == NULL)
        return NULL;
    if (BIO_meth_set_read(method, take_in) != 1 || BIO_meth_set_write(method, put_out) != 1 ||
        BIO_meth_set_ctrl(method, control) != 1 || BIO_meth_set_create(method, create) != 1) {
        BIO_meth_free(method);
        return NULL;
    }
    return method;
}

/* --- callbacks --------------------------------------------------------------------------------- */

int etcd__tls_on_session(SSL *ssl, SSL_SESSION *continued)
{
    etcd__tls_session *session = SSL_get_app_data(ssl);

    etcd__tls_remember(session->tls, SSL_get_SSL_CTX(ssl), session->server, continued);
    return 1; /* the reference is ours */
}

/* With crl_file, only certificates whose issuer has a list in it can be checked. */
int etcd__tls_on_verify(int ok, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    etcd__tls_session *session = SSL_get_app_data(ssl);

    if (ok)
        return 1;
    if (X509_STORE_CTX_get_error(store) == X509_V_ERR_UNABLE_TO_GET_CRL) {
        X509_STORE_CTX_set_error(store, X509_V_OK);
        return 1;
    }
    etcd__tls_verify_text(store, session->peer, session->name, session->problem, sizeof session->problem);
    return 0;
}

static void on_info(const SSL *ssl, int where, int value)
{
    etcd__tls_session *session = SSL_get_app_data(ssl);

    if (where == SSL_CB_READ_ALERT && value >> 8 == SSL3_AL_FATAL)
        session->alert = value & 0xff;
}

/* --- words ------------------------------------------------------------------------------------- */

static const char *handshake_words(unsigned long code)
{
    switch (ERR_GET_REASON(code)) {
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
    case SSL_R_UNEXPECTED_MESSAGE:
        return "the peer does not speak TLS";
    case SSL_R_UNSUPPORTED_PROTOCOL:
        return "the peer offers neither TLS 1.2 nor TLS 1.3";
    case SSL_R_BAD_EXTENSION:
        return "the peer chose what was not offered, such as another protocol than HTTP/2";
    default:
        return NULL;
    }
}

/* Go's servers call a certificate that was not given a bad one. */
static const char *alert_words(const etcd__tls_session *session)
{
    const etcd_tls_options *options = etcd__tls_options(session->tls);
    bool has_certificate = options->cert_file != NULL || options->cert_pem != NULL;

    if (session->alert == SSL_AD_BAD_CERTIFICATE && !has_certificate)
        return etcd__tls_alert_text(SSL_AD_CERTIFICATE_REQUIRED);
    return etcd__tls_alert_text(session->alert);
}

/* Why OpenSSL failed, as far as it is known: memory, our verification, the peer's alert, what arrived. */
static int explain(etcd__tls_session *session, const char *doing, etcd_error *err)
{
    unsigned long code = ERR_peek_error();
    const char *words = handshake_words(code), *alert = alert_words(session);
    const char *reason = ERR_reason_error_string(code);
    bool no_memory = session->no_memory || ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE;

    ERR_clear_error();
    if (no_memory)
        return etcd__error_no_memory(err);
    if (session->out_full)
        return etcd__error_set(err, ETCD_ERR_CONNECTION, "%s %s: the peer makes us answer more than %zu KiB", doing,
                               session->peer, MAX_OUTPUT >> 10);
    if (session->problem[0] != '\0')
        return etcd__error_set(err, ETCD_ERR_CONNECTION, "%s %s: %s", doing, session->peer, session->problem);
    if (session->alert >= 0 && alert != NULL)
        return etcd__error_set(err, ETCD_ERR_CONNECTION, "%s %s: the peer ended it: %s", doing, session->peer, alert);
    if (session->alert >= 0)
        return etcd__error_set(err, ETCD_ERR_CONNECTION, "%s %s: the peer ended it with TLS alert %d (%s)", doing, session->peer,
                               session->alert, SSL_alert_desc_string_long(session->alert));
    if (words != NULL && !session->established)
        return etcd__error_set(err, ETCD_ERR_CONNECTION, "%s %s: %s", doing, session->peer, words);
    return etcd__error_set(err, ETCD_ERR_CONNECTION, "%s %s: %s", doing, session->peer,
                           reason ? reason : "the peer broke the TLS protocol");
}

/* --- making one -------------------------------------------------------------------------------- */

/* The name without what only means something elsewhere: a port ("abc:1234" of a unix socket), a zone, the root's dot. */
static void clean_name(const char *given, char out[MAX_NAME])
{
    const char *colon = strchr(given, ':');
    size_t len = colon != NULL && strchr(colon + 1, ':') == NULL ? (size_t)(colon - given) : strcspn(given, "%");

    if (len > 1 && given[len - 1] == '.')
        len--;
    (void)snprintf(out, MAX_NAME, "%.*s", (int)(len < MAX_NAME ? len : MAX_NAME - 1), given);
}

static bool is_address(const char *name)
{
    unsigned char address[16];

    return inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
}

/* Whom to ask for and whom to accept. RFC 6066: SNI is for names only. */
static bool set_name(SSL *ssl, const char *name)
{
    if (is_address(name))
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
    return SSL_set1_host(ssl, name) == 1 &&
           SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, (void *)(uintptr_t)name) == 1;
}

static bool set_bio(etcd__tls_session *session)
{
    BIO *bio = BIO_new(etcd__tls_bio_method(session->tls));

    if (bio == NULL)
        return false;
    BIO_set_data(bio, session);
    SSL_set_bio(session->ssl, bio, bio);
    return true;
}

static int set_up(etcd__tls_session *session, etcd_error *err)
{
    SSL_SESSION *earlier;
    SSL_CTX *ctx;
    int rc = etcd__tls_context(session->tls, &ctx, err);

    if (rc != ETCD_OK)
        return rc;
    session->ssl = SSL_new(ctx);
    SSL_CTX_free(ctx);
    if (session->ssl == NULL || SSL_set_app_data(session->ssl, session) != 1 || !set_bio(session) ||
        !set_name(session->ssl, session->name))
        return etcd__error_no_memory(err);
    SSL_set_info_callback(session->ssl, on_info);
    SSL_set_connect_state(session->ssl);
    earlier = etcd__tls_recall(session->tls, session->server);
    if (earlier != NULL)
        (void)SSL_set_session(session->ssl, earlier);
    return ETCD_OK;
}

int etcd__tls_session_new(etcd__tls *tls, const char *server_name, const char *peer, etcd__tls_session **out, etcd_error *err)
{
    const char *wanted = etcd__tls_options(tls)->server_name;
    etcd__tls_session *session = etcd__calloc(1, sizeof *session);
    int rc;

    *out = NULL;
    if (session == NULL)
        return etcd__error_no_memory(err);
    session->tls = tls;
    session->alert = -1;
    session->out = (etcd__buf)ETCD__BUF_INIT(MAX_OUTPUT);
    clean_name(wanted ? wanted : server_name, session->name);
    (void)snprintf(session->peer, sizeof session->peer, "%s", peer);
    (void)snprintf(session->server, sizeof session->server, "%s %s", session->name, session->peer);
    ERR_clear_error();
    rc = set_up(session, err);
    ERR_clear_error();
    if (rc != ETCD_OK) {
        etcd__tls_session_free(session);
        return rc;
    }
    *out = session;
    return ETCD_OK;
}

void etcd__tls_session_free(etcd__tls_session *session)
{
    if (session == NULL)
        return;
    if (session->established) /* else OpenSSL never continues the session of a connection that broke: when it is of use */
        SSL_set_shutdown(session->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(session->ssl);
    etcd__buf_free(&session->out);
    etcd__free(session);
}

/* --- using it ---------------------------------------------------------------------------------- */

void etcd__tls_session_feed(etcd__tls_session *session, const uint8_t *data, size_t len)
{
    session->in = data;
    session->in_len = len;
}

static int check_protocol(etcd__tls_session *session, etcd_error *err)
{
    const unsigned char *chosen;
    unsigned int len;

    SSL_get0_alpn_selected(session->ssl, &chosen, &len);
    if (len == 2 && memcmp(chosen, "h2", 2) == 0)
        return ETCD_OK;
    return etcd__error_set(err, ETCD_ERR_CONNECTION,
                           "TLS handshake with %s: the peer does not speak HTTP/2 (it did not choose h2)", session->peer);
}

int etcd__tls_session_handshake(etcd__tls_session *session, etcd_error *err)
{
    int result, rc;

    ERR_clear_error();
    result = SSL_do_handshake(session->ssl);
    if (result == 1) {
        rc = check_protocol(session, err);
        session->established = rc == ETCD_OK;
        return rc == ETCD_OK ? 1 : rc;
    }
    if (SSL_get_error(session->ssl, result) == SSL_ERROR_WANT_READ)
        return 0;
    etcd__tls_forget(session->tls, session->server); /* in case it is what the peer did not like */
    return explain(session, "TLS handshake with", err);
}

bool etcd__tls_session_established(const etcd__tls_session *session)
{
    return session->established;
}

bool etcd__tls_session_resumed(const etcd__tls_session *session)
{
    return SSL_session_reused(session->ssl) == 1;
}

void etcd__tls_session_describe(const etcd__tls_session *session, char *text, size_t size)
{
    (void)snprintf(text, size, "%s, %s, %s", SSL_get_version(session->ssl), SSL_get_cipher_name(session->ssl),
                   etcd__tls_session_resumed(session) ? "session resumed" : "new session");
}

ssize_t etcd__tls_session_read(etcd__tls_session *session, uint8_t *data, size_t size, etcd_error *err)
{
    int n, problem;

    ERR_clear_error();
    n = SSL_read(session->ssl, data, size > INT_MAX ? INT_MAX : (int)size);
    if (n > 0)
        return n;
    problem = SSL_get_error(session->ssl, n);
    if (problem == SSL_ERROR_WANT_READ)
        return 0;
    if (problem == SSL_ERROR_ZERO_RETURN)
        return etcd__error_set(err, ETCD_ERR_CONNECTION, "read %s: the peer closed the connection", session->peer);
    return explain(session, "TLS with", err);
}

int etcd__tls_session_write(etcd__tls_session *session, const uint8_t *data, size_t len, etcd_error *err)
{
    ERR_clear_error();
    if (len == 0 || SSL_write(session->ssl, data, (int)len) == (int)len)
        return ETCD_OK;
    return explain(session, "TLS with", err);
}

void etcd__tls_session_say_bye(etcd__tls_session *session)
{
    ERR_clear_error();
    if (session->established)
        (void)SSL_shutdown(session->ssl);
    ERR_clear_error();
}

etcd__buf *etcd__tls_session_output(etcd__tls_session *session)
{
    return &session->out;
}
