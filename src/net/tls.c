/* See tls.h. What a client's connections share: the options, the OpenSSL context that was made of them, and sessions to continue.
 *
 * Reading the files again for every new connection costs a few hundred microseconds, with the system's authorities several
 * milliseconds, so the context is kept for as long as what stat() says of all the files stays the same: device, inode, size,
 * times of the last change of content and of status. A file that changed within the last seconds is not trusted to have kept
 * still: two changes within one tick of the file system's clock look like one.
 *
 * Continuing a session skips the verification, so sessions are forgotten with the context that verified them (P12). */
#include "net/tls_internal.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "net/openssl.h"
#include "net/pem.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* RFC 9113, section 9.2.2 bars all others of TLS 1.2; those of TLS 1.3 are all fine. */
#define CIPHERS_OF_TLS_1_2 "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20"

#define MAX_SESSIONS 32
#define SETTLE_SECONDS 3

struct remembered {
    char *server;
    SSL_SESSION *session;
};

/* What all files looked like when they were read. */
struct signature {
    uint64_t hash;
    bool settled; /* none has changed recently */
};

struct etcd__tls {
    etcd_tls_options options; /* strings are copies */
    BIO_METHOD *bio_method;
    SSL_CTX *ctx;
    struct signature signature; /* of `ctx` */
    struct remembered sessions[MAX_SESSIONS];
    size_t n_sessions;
    time_t settle; /* seconds for which a file must have kept still to be believed */
};

#define N_STRINGS 9

static const char **string_field(etcd_tls_options *o, size_t i)
{
    const char **fields[N_STRINGS] = {&o->ca_file,  &o->ca_dir,  &o->ca_pem,      &o->cert_file, &o->key_file,
                                      &o->cert_pem, &o->key_pem, &o->server_name, &o->crl_file};

    return fields[i];
}

/* --- what the files look like ------------------------------------------------------------------ */

/* FNV-1a */
static void mix(uint64_t *hash, const void *data, size_t len)
{
    const unsigned char *byte = data;

    for (size_t i = 0; i < len; i++)
        *hash = (*hash ^ byte[i]) * UINT64_C(0x100000001b3);
}

static void mix_number(uint64_t *hash, int64_t number)
{
    mix(hash, &number, sizeof number);
}

static uint64_t look_at(const char *path, time_t since, bool *settled)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    struct stat st;

    mix(&hash, path, strlen(path));
    if (stat(path, &st) != 0)
        return hash;
    mix_number(&hash, (int64_t)st.st_dev);
    mix_number(&hash, (int64_t)st.st_ino);
    mix_number(&hash, (int64_t)st.st_size);
    mix_number(&hash, (int64_t)st.st_mtim.tv_sec);
    mix_number(&hash, (int64_t)st.st_mtim.tv_nsec);
    mix_number(&hash, (int64_t)st.st_ctim.tv_sec);
    mix_number(&hash, (int64_t)st.st_ctim.tv_nsec);
    if (st.st_ctim.tv_sec > since)
        *settled = false;
    return hash;
}

/* The order in which a directory lists its files does not matter: their hashes are added up. */
static uint64_t look_into(const char *path, time_t since, bool *settled)
{
    uint64_t sum = look_at(path, since, settled);
    DIR *directory = opendir(path);
    const struct dirent *entry;

    if (directory == NULL)
        return sum;
    while ((entry = readdir(directory)) != NULL) { /* NOLINT(concurrency-mt-unsafe): nobody else has this directory */
        char name[4096];

        if (entry->d_name[0] == '.')
            continue;
        (void)snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        sum += look_at(name, since, settled);
    }
    (void)closedir(directory);
    return sum;
}

static bool uses_system_authorities(const etcd_tls_options *o)
{
    return o->ca_file == NULL && o->ca_dir == NULL && o->ca_pem == NULL;
}

/* Where OpenSSL looks for the system's: the environment, else what it was built with. */
static const char *system_path(const char *variable, const char *built_in)
{
    const char *path = getenv(variable); /* NOLINT(concurrency-mt-unsafe): as OpenSSL itself would */

    return path ? path : built_in;
}

static struct signature look_at_files(const etcd__tls *tls)
{
    const etcd_tls_options *o = &tls->options;
    const char *const files[] = {o->ca_file, o->cert_file, o->key_file, o->crl_file};
    struct signature signature = {0, true};
    time_t since = time(NULL) - tls->settle;

    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        if (files[i] != NULL)
            signature.hash = signature.hash * 31 + look_at(files[i], since, &signature.settled);
    if (o->ca_dir != NULL)
        signature.hash = signature.hash * 31 + look_into(o->ca_dir, since, &signature.settled);
    if (uses_system_authorities(o)) {
        const char *file = system_path(X509_get_default_cert_file_env(), X509_get_default_cert_file());
        const char *directory = system_path(X509_get_default_cert_dir_env(), X509_get_default_cert_dir());

        signature.hash = signature.hash * 31 + look_at(file, since, &signature.settled);
        signature.hash = signature.hash * 31 + look_at(directory, since, &signature.settled);
    }
    return signature;
}

/* --- sessions ---------------------------------------------------------------------------------- */

static void drop_session(etcd__tls *tls, size_t i)
{
    etcd__free(tls->sessions[i].server);
    SSL_SESSION_free(tls->sessions[i].session);
    tls->sessions[i] = tls->sessions[--tls->n_sessions];
}

static void drop_sessions(etcd__tls *tls)
{
    while (tls->n_sessions > 0)
        drop_session(tls, tls->n_sessions - 1);
}

static size_t find_session(const etcd__tls *tls, const char *server)
{
    size_t i = 0;

    while (i < tls->n_sessions && strcmp(tls->sessions[i].server, server) != 0)
        i++;
    return i;
}

/* A certificate that was good when the session was made may have expired since. */
static bool still_valid(const SSL_SESSION *session)
{
    X509 *certificate = SSL_SESSION_get0_peer((SSL_SESSION *)(uintptr_t)session);

    return SSL_SESSION_is_resumable(session) && certificate != NULL && X509_cmp_current_time(X509_get0_notAfter(certificate)) > 0;
}

SSL_SESSION *etcd__tls_recall(etcd__tls *tls, const char *server)
{
    size_t i = find_session(tls, server);

    if (i == tls->n_sessions)
        return NULL;
    if (still_valid(tls->sessions[i].session))
        return tls->sessions[i].session;
    drop_session(tls, i);
    return NULL;
}

void etcd__tls_forget(etcd__tls *tls, const char *server)
{
    size_t i = find_session(tls, server);

    if (i < tls->n_sessions)
        drop_session(tls, i);
}

/* Takes over the reference. Not remembering is no failure. */
void etcd__tls_remember(etcd__tls *tls, const SSL_CTX *ctx, const char *server, SSL_SESSION *session)
{
    char *copy;

    etcd__tls_forget(tls, server);
    copy = ctx == tls->ctx ? etcd__strdup(server) : NULL;
    if (copy == NULL) {
        SSL_SESSION_free(session);
        return;
    }
    if (tls->n_sessions == MAX_SESSIONS)
        drop_session(tls, 0);
    tls->sessions[tls->n_sessions++] = (struct remembered){copy, session};
}

/* --- the context ------------------------------------------------------------------------------- */

/* OpenSSL would ask on the terminal if there were no function. */
static int ask_password(char *buffer, int size, int writing, void *arg)
{
    const etcd__tls *tls = arg;
    int len;

    (void)writing;
    if (tls->options.key_password_fn == NULL)
        return -1;
    len = tls->options.key_password_fn(buffer, (size_t)size, tls->options.key_password_arg);
    return len < size ? len : -1;
}

/* OpenSSL's level 2, which not every distribution asks for: 112 bits of security, so no RSA below 2,048 bits and no SHA-1. */
#define LEAST_SECURITY_LEVEL 2

static const unsigned char alpn_h2[] = {2, 'h', '2'};

static int set_rules(SSL_CTX *ctx, const etcd_tls_options *o)
{
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ctx);

    if (SSL_CTX_get_security_level(ctx) < LEAST_SECURITY_LEVEL)
        SSL_CTX_set_security_level(ctx, LEAST_SECURITY_LEVEL);
    /* P13: what was received may be a token, so OpenSSL wipes its copy (8 % of the bulk rate). */
    (void)SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CLEANSE_PLAINTEXT);
    (void)SSL_CTX_set_mode(ctx, SSL_MODE_AUTO_RETRY);
    (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, etcd__tls_on_session);
    SSL_CTX_set_verify(ctx, o->insecure_skip_verify ? SSL_VERIFY_NONE : SSL_VERIFY_PEER,
                       o->insecure_skip_verify ? NULL : etcd__tls_on_verify);
    /* As in Go: whatever the user trusts is an anchor, self-signed or not; names count only as subjectAltName; "*" is a label. */
    (void)X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_TRUSTED_FIRST);
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 && SSL_CTX_set_cipher_list(ctx, CIPHERS_OF_TLS_1_2) == 1 &&
           SSL_CTX_set_alpn_protos(ctx, alpn_h2, sizeof alpn_h2) == 0;
}

static int load_authorities(SSL_CTX *ctx, const etcd_tls_options *o, etcd_error *err)
{
    int rc;

    if (uses_system_authorities(o) && o->insecure_skip_verify)
        return ETCD_OK; /* reading them costs tens of milliseconds, for nothing */
    if (uses_system_authorities(o))
        return SSL_CTX_set_default_verify_paths(ctx) == 1 ? ETCD_OK : etcd__error_no_memory(err);
    rc = etcd__pem_load_authorities(ctx, (etcd__pem){"ca_file", o->ca_file, NULL}, err);
    if (rc == ETCD_OK)
        rc = etcd__pem_load_authorities(ctx, (etcd__pem){"ca_pem", NULL, o->ca_pem}, err);
    if (rc == ETCD_OK && o->ca_dir != NULL && SSL_CTX_load_verify_dir(ctx, o->ca_dir) != 1)
        rc = etcd__error_no_memory(err);
    return rc;
}

static int load_all(const etcd__tls *tls, SSL_CTX *ctx, etcd_error *err)
{
    const etcd_tls_options *o = &tls->options;
    const etcd__pem chain = {o->cert_file ? "cert_file" : "cert_pem", o->cert_file, o->cert_pem};
    const etcd__pem key = {o->key_file ? "key_file" : "key_pem", o->key_file, o->key_pem};
    int rc = load_authorities(ctx, o, err);

    if (rc == ETCD_OK)
        rc = etcd__pem_load_crls(ctx, (etcd__pem){"crl_file", o->crl_file, NULL}, err);
    if (rc == ETCD_OK)
        rc = etcd__pem_load_chain(ctx, chain, err);
    if (rc == ETCD_OK)
        rc = etcd__pem_load_key(ctx, key, ask_password, (void *)(uintptr_t)tls, err);
    return rc;
}

static int make_context(const etcd__tls *tls, SSL_CTX **out, etcd_error *err)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    int rc;

    ERR_clear_error();
    if (ctx == NULL)
        return etcd__error_no_memory(err);
    rc = set_rules(ctx, &tls->options) ? load_all(tls, ctx, err) : etcd__error_no_memory(err);
    ERR_clear_error();
    if (rc != ETCD_OK) {
        SSL_CTX_free(ctx);
        return rc;
    }
    *out = ctx;
    return ETCD_OK;
}

int etcd__tls_context(etcd__tls *tls, SSL_CTX **out, etcd_error *err)
{
    struct signature now = look_at_files(tls); /* before reading: a change in between is noticed next time */
    int rc;

    *out = NULL;
    if (tls->ctx == NULL || !tls->signature.settled || now.hash != tls->signature.hash) {
        SSL_CTX *ctx = NULL;

        rc = make_context(tls, &ctx, err);
        if (rc != ETCD_OK)
            return rc;
        drop_sessions(tls);
        SSL_CTX_free(tls->ctx);
        tls->ctx = ctx;
        tls->signature = now;
    }
    if (SSL_CTX_up_ref(tls->ctx) != 1)
        return etcd__error_no_memory(err);
    *out = tls->ctx;
    return ETCD_OK;
}

const etcd_tls_options *etcd__tls_options(const etcd__tls *tls)
{
    return &tls->options;
}

void etcd__tls_trust_files_at_once(etcd__tls *tls)
{
    tls->settle = 0;
    tls->signature = look_at_files(tls);
}

BIO_METHOD *etcd__tls_bio_method(const etcd__tls *tls)
{
    return tls->bio_method;
}

/* --- making one -------------------------------------------------------------------------------- */

static int both(etcd_error *err, const char *a, const char *b)
{
    return etcd__error_set(err, ETCD_ERR_ARGUMENT, "%s and %s are given: one of them is enough", a, b);
}

static int check_options(const etcd_tls_options *o, etcd_error *err)
{
    if (o->cert_file && o->cert_pem)
        return both(err, "cert_file", "cert_pem");
    if (o->key_file && o->key_pem)
        return both(err, "key_file", "key_pem");
    if (!(o->cert_file || o->cert_pem) != !(o->key_file || o->key_pem)) /* the Go client's text */
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "KeyFile and CertFile must both be present[key: %s, cert: %s]",
                               o->key_file  ? o->key_file
                               : o->key_pem ? "in memory"
                                            : "",
                               o->cert_file  ? o->cert_file
                               : o->cert_pem ? "in memory"
                                             : "");
    if (o->server_name && o->server_name[0] == '\0')
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "server_name is empty");
    return ETCD_OK;
}

static bool copy_strings(etcd_tls_options *to, const etcd_tls_options *from)
{
    etcd_tls_options source = *from;

    for (size_t i = 0; i < N_STRINGS; i++) {
        const char *given = *string_field(&source, i);

        if (given != NULL && (*string_field(to, i) = etcd__strdup(given)) == NULL)
            return false;
    }
    return true;
}

int etcd__tls_new(const etcd_tls_options *options, etcd__tls **out, etcd_error *err)
{
    static const etcd_tls_options defaults;
    etcd__tls *tls;
    SSL_CTX *ctx = NULL;
    int rc;

    *out = NULL;
    if (options == NULL)
        options = &defaults;
    rc = check_options(options, err);
    if (rc != ETCD_OK)
        return rc;
    rc = etcd__openssl_load(err);
    if (rc != ETCD_OK)
        return rc;
    /* P9: without this, OpenSSL would clean up in an exit handler, perhaps under a thread that still uses it. */
    if (OPENSSL_init_ssl(OPENSSL_INIT_NO_ATEXIT, NULL) != 1)
        return etcd__error_set(err, ETCD_ERR_SYSTEM, "OpenSSL does not start");
    tls = etcd__calloc(1, sizeof *tls);
    if (tls == NULL)
        return etcd__error_no_memory(err);
    tls->settle = SETTLE_SECONDS;
    tls->options.key_password_fn = options->key_password_fn;
    tls->options.key_password_arg = options->key_password_arg;
    tls->options.insecure_skip_verify = options->insecure_skip_verify;
    tls->bio_method = etcd__tls_new_bio_method();
    if (!copy_strings(&tls->options, options) || tls->bio_method == NULL)
        rc = etcd__error_no_memory(err);
    if (rc == ETCD_OK)
        rc = etcd__tls_context(tls, &ctx, err);
    SSL_CTX_free(ctx);
    if (rc != ETCD_OK) {
        etcd__tls_free(tls);
        return rc;
    }
    *out = tls;
    return ETCD_OK;
}

static void free_strings(etcd_tls_options *o)
{
    for (size_t i = 0; i < N_STRINGS; i++) {
        char *string = (char *)(uintptr_t)*string_field(o, i);

        if (string != NULL)
            etcd__wipe(string, strlen(string));
        etcd__free(string);
    }
}

void etcd__tls_free(etcd__tls *tls)
{
    if (tls == NULL)
        return;
    drop_sessions(tls);
    SSL_CTX_free(tls->ctx);
    BIO_meth_free(tls->bio_method);
    free_strings(&tls->options);
    etcd__free(tls);
}
