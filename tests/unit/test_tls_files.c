/* What a TLS client is given: files and texts that are missing, broken or do not fit, in which words; changed files; passwords;
 * revocation; sessions that are continued, and when they must not be; secrets in memory (P12, P13). */
#include "harness/alloc.h"
#include "harness/net.h"
#include "harness/pki.h"
#include "harness/test.h"
#include "harness/tls_peer.h"

#include "net/tls_internal.h"

#include <errno.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct pki {
    char *directory;
    etcd_test_cert ca, other_ca, server, other_server, client, other_client;
    char *ca_pem, *client_pem, *client_key;
};

static int make_pki(void **state)
{
    struct pki *pki = calloc(1, sizeof *pki);

    if (pki == NULL)
        return -1;
    pki->directory = etcd_test_directory_new();
    pki->ca = etcd_test_cert_new(&(etcd_test_cert_spec){.cn = "Test CA", .ca = true});
    pki->other_ca = etcd_test_cert_new(&(etcd_test_cert_spec){.cn = "Other CA", .ca = true});
    pki->server = etcd_test_cert_new(&(etcd_test_cert_spec){.sans = "DNS:etcd.example", .issuer = &pki->ca});
    pki->other_server = etcd_test_cert_new(&(etcd_test_cert_spec){.sans = "DNS:etcd.example", .issuer = &pki->other_ca});
    pki->client = etcd_test_cert_new(&(etcd_test_cert_spec){.cn = "client one", .issuer = &pki->ca});
    pki->other_client = etcd_test_cert_new(&(etcd_test_cert_spec){.cn = "client two", .issuer = &pki->ca});
    pki->ca_pem = etcd_test_pem(&pki->ca);
    pki->client_pem = etcd_test_pem(&pki->client);
    pki->client_key = etcd_test_pem_key(&pki->client, NULL);
    *state = pki;
    return 0;
}

static int free_pki(void **state)
{
    struct pki *pki = *state;

    etcd_test_directory_free(pki->directory);
    etcd_test_cert_free(&pki->ca);
    etcd_test_cert_free(&pki->other_ca);
    etcd_test_cert_free(&pki->server);
    etcd_test_cert_free(&pki->other_server);
    etcd_test_cert_free(&pki->client);
    etcd_test_cert_free(&pki->other_client);
    free(pki->ca_pem);
    free(pki->client_pem);
    free(pki->client_key);
    free(pki);
    return 0;
}

static void refuses(const etcd_tls_options *options, const char *message)
{
    etcd__tls *tls;
    etcd_error err;

    assert_int_equal(etcd__tls_new(options, &tls, &err), ETCD_ERR_ARGUMENT);
    assert_null(tls);
    if (strstr(err.message, message) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.message, message);
}

static etcd__tls *made(const etcd_tls_options *options)
{
    etcd__tls *tls;
    etcd_error err;

    if (etcd__tls_new(options, &tls, &err) != ETCD_OK)
        fail_msg("%s", err.message);
    return tls;
}

static etcd_test_meeting meet(etcd__tls *tls, const etcd_test_cert *cert, const etcd_test_cert *client_ca)
{
    etcd_test_tls_server server = {.cert = cert, .client_ca = client_ca};

    return etcd_test_meet(tls, "etcd.example", &server, 0);
}

/* --- what is given ----------------------------------------------------------------------------- */

static void bad_authorities(void **state)
{
    const struct pki *pki = *state;
    char *empty = etcd_test_file(pki->directory, "empty", strdup(""));
    char *broken =
        etcd_test_file(pki->directory, "broken", strdup("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"));
    char message[256];

    refuses(&(etcd_tls_options){.ca_file = "/nonexistent/ca.pem"}, "ca_file \"/nonexistent/ca.pem\": No such file or directory");
    (void)snprintf(message, sizeof message, "ca_file \"%s\": Is a directory", pki->directory);
    refuses(&(etcd_tls_options){.ca_file = pki->directory}, message);
    (void)snprintf(message, sizeof message, "ca_file \"%s\": there is no certificate in it", empty);
    refuses(&(etcd_tls_options){.ca_file = empty}, message);
    (void)snprintf(message, sizeof message, "ca_file \"%s\": a certificate is malformed", broken);
    refuses(&(etcd_tls_options){.ca_file = broken}, message);
    refuses(&(etcd_tls_options){.ca_pem = "nonsense"}, "ca_pem: there is no certificate in it");
    refuses(&(etcd_tls_options){.ca_pem = pki->client_key}, "ca_pem: there is no certificate in it");
    free(empty);
    free(broken);
}

static void bad_key_pairs(void **state)
{
    const struct pki *pki = *state;
    char *other_key = etcd_test_pem_key(&pki->other_client, NULL);
    etcd_tls_options o = {.ca_pem = pki->ca_pem, .cert_file = "c.pem"};

    refuses(&o, "KeyFile and CertFile must both be present[key: , cert: c.pem]");
    o = (etcd_tls_options){.ca_pem = pki->ca_pem, .key_file = "k.pem"};
    refuses(&o, "KeyFile and CertFile must both be present[key: k.pem, cert: ]");
    o.cert_pem = pki->client_pem;
    refuses(&o, "key_file \"k.pem\": No such file or directory");
    o.cert_file = "c.pem";
    refuses(&o, "cert_file and cert_pem are given");
    o = (etcd_tls_options){.ca_pem = pki->ca_pem, .cert_file = "/nonexistent", .key_pem = pki->client_key};
    refuses(&o, "cert_file \"/nonexistent\": No such file or directory");
    o.key_file = "k.pem";
    refuses(&o, "key_file and key_pem are given");
    o = (etcd_tls_options){.ca_pem = pki->ca_pem, .cert_pem = pki->client_pem, .key_pem = other_key};
    refuses(&o, "key_pem: the key does not belong to the certificate");
    o.key_pem = "nonsense";
    refuses(&o, "key_pem: there is no private key in it that can be used");
    o = (etcd_tls_options){.ca_pem = pki->ca_pem, .cert_pem = pki->client_key, .key_pem = pki->client_key};
    refuses(&o, "cert_pem: there is no certificate in it");
    o = (etcd_tls_options){.ca_pem = pki->ca_pem, .server_name = ""};
    refuses(&o, "server_name is empty");
    o = (etcd_tls_options){.ca_pem = pki->ca_pem, .crl_file = "/nonexistent"};
    refuses(&o, "crl_file \"/nonexistent\": No such file or directory");
    free(other_key);
}

struct asked {
    const char *password; /* NULL: there is none */
    int times;
};

static int answer(char *buffer, size_t size, void *arg)
{
    struct asked *asked = arg;

    asked->times++;
    if (asked->password == NULL)
        return -1;
    return snprintf(buffer, size, "%s", asked->password);
}

static void encrypted_keys(void **state)
{
    const struct pki *pki = *state;
    char *key = etcd_test_pem_key(&pki->client, "open sesame");
    struct asked asked = {.password = "open sesame"};
    etcd_tls_options o = {.ca_pem = pki->ca_pem, .cert_pem = pki->client_pem, .key_pem = key};
    etcd__tls *tls;

    refuses(&o, "key_pem: the key is encrypted and its password, from key_password_fn, is missing or wrong");
    o.key_password_fn = answer;
    o.key_password_arg = &asked;
    asked.password = "wrong";
    refuses(&o, "is missing or wrong");
    asked.password = NULL;
    refuses(&o, "is missing or wrong");
    assert_int_equal(asked.times, 2);
    asked.password = "open sesame";
    tls = made(&o);
    assert_string_equal(meet(tls, &pki->server, &pki->ca).client_cn, "client one");
    etcd__tls_free(tls);
    free(key);
}

static void certificate_with_its_chain(void **state)
{
    const struct pki *pki = *state;
    etcd_test_cert middle = etcd_test_cert_new(&(etcd_test_cert_spec){.cn = "Middle", .ca = true, .issuer = &pki->ca});
    etcd_test_cert mine = etcd_test_cert_new(&(etcd_test_cert_spec){.cn = "mine", .issuer = &middle});
    char *chain = etcd_test_join(etcd_test_pem(&mine), etcd_test_pem(&middle));
    char *key = etcd_test_pem_key(&mine, NULL);
    etcd__tls *tls = made(&(etcd_tls_options){.ca_pem = pki->ca_pem, .cert_pem = chain, .key_pem = key});

    assert_string_equal(meet(tls, &pki->server, &pki->ca).client_cn, "mine");
    etcd__tls_free(tls);
    free(chain);
    free(key);
    etcd_test_cert_free(&mine);
    etcd_test_cert_free(&middle);
}

static void directory_of_authorities(void **state)
{
    const struct pki *pki = *state;
    char name[32];
    etcd__tls *tls = made(&(etcd_tls_options){.ca_dir = pki->directory});

    assert_int_equal(meet(tls, &pki->server, NULL).rc, ETCD_ERR_CONNECTION);
    (void)snprintf(name, sizeof name, "%08lx.0", X509_NAME_hash_ex(X509_get_subject_name(pki->ca.x509), NULL, NULL, NULL));
    free(etcd_test_file(pki->directory, name, strdup(pki->ca_pem)));
    assert_int_equal(meet(tls, &pki->server, NULL).rc, ETCD_OK); /* it was put there just now */
    assert_int_equal(meet(tls, &pki->other_server, NULL).rc, ETCD_ERR_CONNECTION);
    etcd__tls_free(tls);
}

static void authorities_of_the_system(void **state)
{
    const struct pki *pki = *state;
    char *path = etcd_test_file(pki->directory, "system.pem", strdup(pki->ca_pem));
    etcd__tls *tls;

    assert_int_equal(setenv("SSL_CERT_FILE", path, 1), 0);
    assert_int_equal(setenv("SSL_CERT_DIR", "/nonexistent", 1), 0);
    tls = made(NULL);
    assert_int_equal(meet(tls, &pki->server, NULL).rc, ETCD_OK);
    assert_int_equal(meet(tls, &pki->other_server, NULL).rc, ETCD_ERR_CONNECTION);
    etcd__tls_free(tls);
    (void)unsetenv("SSL_CERT_FILE");
    (void)unsetenv("SSL_CERT_DIR");
    free(path);
}

/* --- files that change ------------------------------------------------------------------------- */

static void rotated_authority(void **state)
{
    const struct pki *pki = *state;
    char *path = etcd_test_file(pki->directory, "ca.pem", strdup(pki->ca_pem));
    etcd__tls *tls = made(&(etcd_tls_options){.ca_file = path});

    assert_int_equal(meet(tls, &pki->server, NULL).rc, ETCD_OK);
    assert_int_equal(meet(tls, &pki->other_server, NULL).rc, ETCD_ERR_CONNECTION);
    free(etcd_test_file(pki->directory, "ca.pem", etcd_test_pem(&pki->other_ca)));
    assert_int_equal(meet(tls, &pki->server, NULL).rc, ETCD_ERR_CONNECTION);
    assert_int_equal(meet(tls, &pki->other_server, NULL).rc, ETCD_OK);
    etcd__tls_free(tls);
    free(path);
}

static void rotated_certificate(void **state)
{
    const struct pki *pki = *state;
    char *cert = etcd_test_file(pki->directory, "c.pem", strdup(pki->client_pem));
    char *key = etcd_test_file(pki->directory, "c.key", strdup(pki->client_key));
    etcd__tls *tls = made(&(etcd_tls_options){.ca_pem = pki->ca_pem, .cert_file = cert, .key_file = key});
    etcd_test_meeting meeting;

    assert_string_equal(meet(tls, &pki->server, &pki->ca).client_cn, "client one");
    free(etcd_test_file(pki->directory, "c.pem", etcd_test_pem(&pki->other_client)));
    meeting = meet(tls, &pki->server, &pki->ca); /* half-way: the key is still the old one */
    assert_int_not_equal(meeting.rc, ETCD_OK);
    assert_non_null(strstr(meeting.err.message, "the key does not belong to the certificate"));
    free(etcd_test_file(pki->directory, "c.key", etcd_test_pem_key(&pki->other_client, NULL)));
    assert_string_equal(meet(tls, &pki->server, &pki->ca).client_cn, "client two");
    assert_int_equal(unlink(key), 0);
    meeting = meet(tls, &pki->server, &pki->ca);
    assert_int_not_equal(meeting.rc, ETCD_OK);
    assert_non_null(strstr(meeting.err.message, "c.key\": No such file or directory"));
    etcd__tls_free(tls);
    free(cert);
    free(key);
}

/* Returns when the clock of the file system has ticked since the file was changed last: the next change has another time. */
static void next_tick(const struct pki *pki, const char *path)
{
    struct stat st, later;
    char *probe;

    assert_int_equal(stat(path, &st), 0);
    do {
        probe = etcd_test_file(pki->directory, "probe", strdup(""));
        assert_int_equal(stat(probe, &later), 0);
        assert_int_equal(unlink(probe), 0);
        free(probe);
    } while (later.st_ctim.tv_sec == st.st_ctim.tv_sec && later.st_ctim.tv_nsec == st.st_ctim.tv_nsec);
}

/* A file that is changed in place, to the same size and with its old time, is noticed. */
static void settled_files(void **state)
{
    const struct pki *pki = *state;
    char *content = strdup(pki->ca_pem);
    char *path = etcd_test_file(pki->directory, "ca.pem", strdup(content));
    etcd__tls *tls = made(&(etcd_tls_options){.ca_file = path});
    struct timespec times[2];
    struct stat st;

    etcd__tls_trust_files_at_once(tls);
    assert_int_equal(meet(tls, &pki->server, NULL).rc, ETCD_OK);
    next_tick(pki, path);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(meet(tls, &pki->server, NULL).rc, ETCD_OK);
    assert_int_equal(stat(path, &st), 0);
    next_tick(pki, path);
    times[0] = st.st_atim;
    times[1] = st.st_mtim;
    content[strlen(content) / 2] ^= 1;
    free(etcd_test_file(pki->directory, "ca.pem", content));
    assert_int_equal(utimensat(0, path, times, 0), 0);
    assert_int_not_equal(meet(tls, &pki->server, NULL).rc, ETCD_OK);
    etcd__tls_free(tls);
    free(path);
}

/* --- revocation -------------------------------------------------------------------------------- */

static void revocation(void **state)
{
    const struct pki *pki = *state;
    char *path = etcd_test_file(pki->directory, "crl.pem", etcd_test_pem_crl(&pki->ca, &pki->other_client, 0));
    etcd__tls *tls = made(&(etcd_tls_options){.ca_pem = pki->ca_pem, .crl_file = path});
    etcd_test_meeting meeting;

    assert_int_equal(meet(tls, &pki->server, NULL).rc, ETCD_OK); /* another one is on the list */
    free(etcd_test_file(pki->directory, "crl.pem", etcd_test_pem_crl(&pki->ca, &pki->server, 0)));
    meeting = meet(tls, &pki->server, NULL);
    assert_int_equal(meeting.rc, ETCD_ERR_CONNECTION);
    assert_non_null(strstr(meeting.err.message, "certificate of 127.0.0.1:2379 has been revoked"));
    free(etcd_test_file(pki->directory, "crl.pem", etcd_test_pem_crl(&pki->other_ca, &pki->server, 0)));
    assert_int_equal(meet(tls, &pki->server, NULL).rc, ETCD_OK); /* the list of another authority says nothing */
    free(etcd_test_file(pki->directory, "crl.pem", etcd_test_pem_crl(&pki->ca, NULL, -60)));
    meeting = meet(tls, &pki->server, NULL);
    assert_int_equal(meeting.rc, ETCD_ERR_CONNECTION);
    assert_non_null(strstr(meeting.err.message, "the revocation list in crl_file has expired"));
    free(etcd_test_file(pki->directory, "crl.pem", strdup(pki->ca_pem)));
    meeting = meet(tls, &pki->server, NULL);
    assert_non_null(strstr(meeting.err.message, "crl.pem\": there is no revocation list in it"));
    etcd__tls_free(tls);
    free(path);
}

static void revoked_authority(void **state)
{
    const struct pki *pki = *state;
    etcd_test_cert middle = etcd_test_cert_new(&(etcd_test_cert_spec){.cn = "Middle", .ca = true, .issuer = &pki->ca});
    etcd_test_cert leaf = etcd_test_cert_new(&(etcd_test_cert_spec){.sans = "DNS:etcd.example", .issuer = &middle});
    char *path = etcd_test_file(pki->directory, "crl.pem", etcd_test_pem_crl(&pki->ca, &middle, 0));
    etcd__tls *tls = made(&(etcd_tls_options){.ca_pem = pki->ca_pem, .crl_file = path});
    etcd_test_tls_server server = {.cert = &leaf, .chain = &middle};
    etcd_test_meeting meeting = etcd_test_meet(tls, "etcd.example", &server, 0);

    assert_int_equal(meeting.rc, ETCD_ERR_CONNECTION);
    assert_non_null(strstr(meeting.err.message, "an authority's certificate behind the certificate of 127.0.0.1:2379 has been"));
    etcd__tls_free(tls);
    free(path);
    etcd_test_cert_free(&leaf);
    etcd_test_cert_free(&middle);
}

/* --- sessions ---------------------------------------------------------------------------------- */

static void sessions_are_continued(void **state)
{
    const struct pki *pki = *state;

    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        etcd_test_tls_server server = {.cert = &pki->server, .min_version = version, .max_version = version};
        etcd__tls *tls = made(&(etcd_tls_options){.ca_pem = pki->ca_pem});

        server.ctx = etcd_test_tls_server_ctx(&server);
        assert_false(etcd_test_meet(tls, "etcd.example", &server, 0).resumed);
        assert_true(etcd_test_meet(tls, "etcd.example", &server, 0).resumed);
        assert_true(etcd_test_meet(tls, "etcd.example", &server, 3).resumed);
        assert_int_equal(etcd_test_meet(tls, "other.example", &server, 0).rc, ETCD_ERR_CONNECTION); /* another name */
        assert_true(etcd_test_meet(tls, "etcd.example", &server, 0).resumed);
        SSL_CTX_free(server.ctx);
        etcd__tls_free(tls);
    }
}

/* The server has forgotten everything (a restart): a full handshake, no failure. */
static void server_forgets_sessions(void **state)
{
    const struct pki *pki = *state;
    etcd_test_tls_server server = {.cert = &pki->server};
    etcd__tls *tls = made(&(etcd_tls_options){.ca_pem = pki->ca_pem});

    for (int i = 0; i < 3; i++) {
        etcd_test_meeting meeting = etcd_test_meet(tls, "etcd.example", &server, 0);

        assert_int_equal(meeting.rc, ETCD_OK);
        assert_false(meeting.resumed);
    }
    etcd__tls_free(tls);
}

/* A continued session is not verified again, so it must not outlive what it was verified with. */
static void sessions_end_with_the_files(void **state)
{
    const struct pki *pki = *state;
    char *path = etcd_test_file(pki->directory, "ca.pem", strdup(pki->ca_pem));
    etcd_test_tls_server server = {.cert = &pki->server};
    etcd__tls *tls = made(&(etcd_tls_options){.ca_file = path});

    etcd__tls_trust_files_at_once(tls);
    next_tick(pki, path);
    server.ctx = etcd_test_tls_server_ctx(&server);
    assert_int_equal(etcd_test_meet(tls, "etcd.example", &server, 0).rc, ETCD_OK);
    assert_true(etcd_test_meet(tls, "etcd.example", &server, 0).resumed);
    free(etcd_test_file(pki->directory, "ca.pem", etcd_test_pem(&pki->other_ca)));
    assert_int_equal(etcd_test_meet(tls, "etcd.example", &server, 0).rc, ETCD_ERR_CONNECTION);
    SSL_CTX_free(server.ctx);
    etcd__tls_free(tls);
    free(path);
}

static void sessions_of_many_servers(void **state)
{
    const struct pki *pki = *state;
    etcd_test_cert wild = etcd_test_cert_new(&(etcd_test_cert_spec){.sans = "DNS:*.etcd.example", .issuer = &pki->ca});
    etcd_test_tls_server server = {.cert = &wild};
    etcd__tls *tls = made(&(etcd_tls_options){.ca_pem = pki->ca_pem});
    char name[32];

    server.ctx = etcd_test_tls_server_ctx(&server);
    for (int i = 0; i < 50; i++) {
        (void)snprintf(name, sizeof name, "n%d.etcd.example", i);
        assert_int_equal(etcd_test_meet(tls, name, &server, 0).rc, ETCD_OK);
    }
    assert_true(etcd_test_meet(tls, "n49.etcd.example", &server, 0).resumed);
    assert_int_equal(etcd_test_meet(tls, "n0.etcd.example", &server, 0).rc, ETCD_OK);
    SSL_CTX_free(server.ctx);
    etcd__tls_free(tls);
    etcd_test_cert_free(&wild);
}

/* --- resources --------------------------------------------------------------------------------- */

static void no_descriptor_is_left(void **state)
{
    const struct pki *pki = *state;
    char *cert = etcd_test_file(pki->directory, "c.pem", strdup(pki->client_pem));
    char *key = etcd_test_file(pki->directory, "c.key", strdup(pki->client_key));
    etcd_tls_options o = {.ca_dir = pki->directory, .ca_pem = pki->ca_pem, .cert_file = cert, .key_file = key};
    size_t before;

    etcd__tls_free(made(&o));
    before = etcd_test_open_fds();
    for (int i = 0; i < 5; i++) {
        etcd__tls *tls = made(&o);

        assert_int_equal(meet(tls, &pki->server, &pki->ca).rc, ETCD_OK);
        etcd__tls_free(tls);
    }
    assert_int_equal(etcd_test_open_fds(), before);
    etcd__tls_free(NULL);
    free(cert);
    free(key);
}

/* An allocator that looks for the key in what is freed. */
static const char *secret;
static int leaks;

struct block {
    _Alignas(max_align_t) size_t size;
};

static void *watching_malloc(size_t size, void *arg)
{
    struct block *b = calloc(1, sizeof *b + size);

    (void)arg;
    if (b == NULL)
        return NULL;
    b->size = size;
    return b + 1;
}

static void *watching_calloc(size_t count, size_t size, void *arg)
{
    return watching_malloc(count * size, arg);
}

static void watching_free(void *memory, void *arg)
{
    struct block *b = (struct block *)memory - 1;
    size_t len = strlen(secret);

    (void)arg;
    for (size_t i = 0; i + len <= b->size; i++)
        leaks += memcmp((const char *)memory + i, secret, len) == 0;
    free(b);
}

static void *watching_realloc(void *memory, size_t size, void *arg)
{
    void *moved = watching_malloc(size, arg);

    if (memory != NULL && moved != NULL) {
        size_t old = ((struct block *)memory - 1)->size;

        memcpy(moved, memory, old < size ? old : size);
        watching_free(memory, arg);
    }
    return moved;
}

static void keys_are_wiped(void **state)
{
    static const etcd_allocator watching = {watching_malloc, watching_calloc, watching_realloc, watching_free, NULL};
    const struct pki *pki = *state;
    char *big = malloc(20000); /* the file is read in more than one piece */
    char *cert = etcd_test_file(pki->directory, "c.pem", strdup(pki->client_pem)), *key;
    etcd_tls_options o = {.ca_pem = pki->ca_pem, .cert_pem = pki->client_pem, .key_pem = pki->client_key};

    assert_non_null(big);
    memset(big, '\n', 15000);
    big[15000] = '\0';
    key = etcd_test_file(pki->directory, "c.key", etcd_test_join(strdup(pki->client_key), big));
    secret = strchr(pki->client_key, '\n') + 1; /* the text behind "-----BEGIN PRIVATE KEY-----" */
    secret = strndup(secret, 40);
    leaks = 0;
    assert_int_equal(etcd_set_allocator(&watching), ETCD_OK);
    etcd__tls_free(made(&o));
    etcd__tls_free(made(&(etcd_tls_options){.ca_pem = pki->ca_pem, .cert_file = cert, .key_file = key}));
    assert_int_equal(etcd_set_allocator(NULL), ETCD_OK);
    assert_int_equal(leaks, 0);
    free((char *)(uintptr_t)secret);
    free(cert);
    free(key);
}

static int use_all(void *arg)
{
    const struct pki *pki = arg;
    char path[256];
    etcd_tls_options o = {.ca_pem = pki->ca_pem, .cert_file = path, .key_pem = pki->client_key, .server_name = "etcd.example"};
    etcd_test_meeting meeting;
    etcd__tls *tls;
    int rc;

    (void)snprintf(path, sizeof path, "%s/c.pem", pki->directory);
    rc = etcd__tls_new(&o, &tls, NULL);
    if (rc == ETCD_OK) {
        meeting = meet(tls, &pki->server, &pki->ca);
        rc = meeting.rc;
    }
    etcd__tls_free(tls);
    if (rc != ETCD_OK)
        assert_int_equal(rc, ETCD_ERR_NO_MEMORY);
    return rc;
}

static void allocation_failures(void **state)
{
    struct pki *pki = *state;

    free(etcd_test_file(pki->directory, "c.pem", strdup(pki->client_pem)));
    etcd_test_alloc_install();
    assert_true(etcd_test_alloc_sweep(use_all, pki) >= 10);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bad_authorities, make_pki, free_pki),
        cmocka_unit_test_setup_teardown(bad_key_pairs, make_pki, free_pki),
        cmocka_unit_test_setup_teardown(encrypted_keys, make_pki, free_pki),
        cmocka_unit_test_setup_teardown(certificate_with_its_chain, make_pki, free_pki),
        cmocka_unit_test_setup_teardown(directory_of_authorities, make_pki, free_pki),
        cmocka_unit_test_setup_teardown(authorities_of_the_system, make_pki, free_pki),
        cmocka_unit_test_setup_teardown(rotated_authority, make_pki, free_pki),
        cmocka_unit_test_setup_teardown(rotated_certificate, make_pki, free_pki),
        cmocka_unit_test_setup_teardown(settled_files, make_pki, free_pki),
        cmocka_unit_test_setup_teardown(revocation, make_pki, free_pki),
        cmocka_unit_test_setup_teardown(revoked_authority, make_pki, free_pki),
        cmocka_unit_test_setup_teardown(sessions_are_continued, make_pki, free_pki),
        cmocka_unit_test_setup_teardown(server_forgets_sessions, make_pki, free_pki),
        cmocka_unit_test_setup_teardown(sessions_end_with_the_files, make_pki, free_pki),
        cmocka_unit_test_setup_teardown(sessions_of_many_servers, make_pki, free_pki),
        cmocka_unit_test_setup_teardown(no_descriptor_is_left, make_pki, free_pki),
        cmocka_unit_test_setup_teardown(keys_are_wiped, make_pki, free_pki),
        cmocka_unit_test_setup_teardown(allocation_failures, make_pki, free_pki),
    };

    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
