/* Whom a TLS client accepts and whom it refuses, and in which words: certificates, names, versions, protocols (P12). Client and
 * server meet in memory; the certificates are made here. */
#include "harness/pki.h"
#include "harness/test.h"
#include "harness/tls_peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The authorities of most tests. */
struct pki {
    etcd_test_cert ca, other_ca, intermediate;
    char *ca_pem, *other_ca_pem;
};

static int make_pki(void **state)
{
    struct pki *pki = calloc(1, sizeof *pki);

    if (pki == NULL)
        return -1;
    pki->ca = etcd_test_cert_new(&(etcd_test_cert_spec){.cn = "Test CA", .ca = true});
    pki->other_ca = etcd_test_cert_new(&(etcd_test_cert_spec){.cn = "Other CA", .ca = true});
    pki->intermediate = etcd_test_cert_new(&(etcd_test_cert_spec){.cn = "Test Intermediate", .ca = true, .issuer = &pki->ca});
    pki->ca_pem = etcd_test_pem(&pki->ca);
    pki->other_ca_pem = etcd_test_pem(&pki->other_ca);
    *state = pki;
    return 0;
}

static int free_pki(void **state)
{
    struct pki *pki = *state;

    etcd_test_cert_free(&pki->ca);
    etcd_test_cert_free(&pki->other_ca);
    etcd_test_cert_free(&pki->intermediate);
    free(pki->ca_pem);
    free(pki->other_ca_pem);
    free(pki);
    return 0;
}

/* A meeting of one client with one server that has one certificate. */
struct setup {
    etcd_test_cert_spec cert; /* issuer: pki->ca when not set */
    bool self_signed;
    etcd_test_tls_server server;
    etcd_tls_options options; /* ca_pem: pki->ca when there is none */
    const char *name;         /* "etcd.example" */
};

static etcd_test_meeting meet(const struct pki *pki, const struct setup *setup)
{
    etcd_test_cert_spec spec = setup->cert;
    etcd_test_tls_server server = setup->server;
    etcd_tls_options options = setup->options;
    etcd_test_meeting meeting = {0};
    etcd_test_cert cert;
    etcd__tls *tls;

    if (spec.issuer == NULL && !setup->self_signed)
        spec.issuer = &pki->ca;
    cert = etcd_test_cert_new(&spec);
    server.cert = &cert;
    if (options.ca_pem == NULL && options.ca_dir == NULL && options.ca_file == NULL)
        options.ca_pem = pki->ca_pem;
    meeting.rc = etcd__tls_new(&options, &tls, &meeting.err);
    if (meeting.rc == ETCD_OK)
        meeting = etcd_test_meet(tls, setup->name ? setup->name : "etcd.example", &server, 0);
    etcd__tls_free(tls);
    etcd_test_cert_free(&cert);
    return meeting;
}

static void accepts(const struct pki *pki, const struct setup *setup)
{
    etcd_test_meeting meeting = meet(pki, setup);

    if (meeting.rc != ETCD_OK)
        fail_msg("refused: %s", meeting.err.message);
}

static void refuses(const struct pki *pki, const struct setup *setup, const char *words)
{
    etcd_test_meeting meeting = meet(pki, setup);

    if (meeting.rc == ETCD_OK)
        fail_msg("accepted, but: %s", words);
    if (strstr(meeting.err.message, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", meeting.err.message, words);
    assert_int_equal(meeting.err.code, ETCD_ERR_CONNECTION);
    assert_non_null(strstr(meeting.err.message, "127.0.0.1:2379"));
}

#define HANDSHAKE "TLS handshake with 127.0.0.1:2379: "
#define CERTIFICATE HANDSHAKE "certificate of 127.0.0.1:2379 "

/* --- names ------------------------------------------------------------------------------------- */

/* A certificate for these names must be refused for this one. */
static void refuses_name(const struct pki *pki, const char *sans, const char *name, const char *words)
{
    refuses(pki, &(struct setup){.cert = {.cn = name, .sans = sans}, .name = name}, words);
}

static void accepts_name(const struct pki *pki, const char *sans, const char *name)
{
    accepts(pki, &(struct setup){.cert = {.cn = "whatever", .sans = sans}, .name = name});
}

static void wrong_names(void **state)
{
    const struct pki *pki = *state;

    refuses_name(pki, "DNS:other.example", "etcd.example", CERTIFICATE "is for other.example, not for etcd.example");
    refuses_name(pki, "DNS:a.example,DNS:b.example,IP:10.0.0.7", "etcd.example",
                 CERTIFICATE "is for a.example, b.example, 10.0.0.7, not for etcd.example");
    refuses_name(pki, NULL, "etcd.example", CERTIFICATE "is for no name (a common name does not count), not for etcd.example");
    refuses_name(pki, "email:etcd@etcd.example,URI:https://etcd.example", "etcd.example", CERTIFICATE "is for no name");
    refuses_name(pki, "DNS:etcd.example.evil", "etcd.example", "not for etcd.example");
    refuses_name(pki, "DNS:xetcd.example", "etcd.example", "not for etcd.example");
    refuses_name(pki, "DNS:example", "etcd.example", "not for etcd.example");
}

static void wrong_wildcards(void **state)
{
    const struct pki *pki = *state;

    refuses_name(pki, "DNS:e*.etcd.example", "etcd1.etcd.example", "is for e*.etcd.example, not for etcd1.etcd.example");
    refuses_name(pki, "DNS:*1.etcd.example", "etcd1.etcd.example", "not for etcd1.etcd.example");
    refuses_name(pki, "DNS:*.etcd.example", "a.b.etcd.example", "not for a.b.etcd.example");
    refuses_name(pki, "DNS:*.etcd.example", "etcd.example", "not for etcd.example");
    refuses_name(pki, "DNS:a.*.example", "a.b.example", "not for a.b.example");
    refuses_name(pki, "DNS:*", "localhost", "not for localhost");
}

static void wrong_addresses(void **state)
{
    const struct pki *pki = *state;

    refuses_name(pki, "IP:10.0.0.2", "10.0.0.1", CERTIFICATE "is for 10.0.0.2, not for 10.0.0.1");
    refuses_name(pki, "DNS:10.0.0.1", "10.0.0.1", "not for 10.0.0.1");
    refuses_name(pki, "DNS:etcd.example", "10.0.0.1", "is for etcd.example, not for 10.0.0.1");
    refuses_name(pki, NULL, "10.0.0.1", "a common name does not count");
    refuses_name(pki, "IP:2001:db8::2", "2001:db8::1", "is for 2001:db8::2, not for 2001:db8::1");
    refuses_name(pki, "IP:127.0.0.1", "localhost", "is for 127.0.0.1, not for localhost");
}

static void name_with_a_nul(void **state)
{
    const char name[] = "etcd.example\0.evil";
    struct setup setup = {.cert = {.raw_dns = name, .raw_dns_len = sizeof name - 1}};

    refuses(*state, &setup, "is for etcd.example?.evil, not for etcd.example");
}

static void good_names(void **state)
{
    const struct pki *pki = *state;

    accepts_name(pki, "DNS:etcd.example", "etcd.example");
    accepts_name(pki, "DNS:a.example,DNS:etcd.example", "etcd.example");
    accepts_name(pki, "DNS:ETCD.Example", "etcd.exAMPLE");
    accepts_name(pki, "DNS:etcd.example", "etcd.example.");
    accepts_name(pki, "DNS:*.etcd.example", "a.etcd.example");
    accepts_name(pki, "DNS:localhost", "localhost");
    accepts_name(pki, "IP:10.0.0.1", "10.0.0.1");
    accepts_name(pki, "DNS:x,IP:2001:db8::1", "2001:db8::1");
    accepts_name(pki, "IP:fe80::1", "fe80::1%eth0");
    accepts_name(pki, "DNS:abc", "abc:1234"); /* the authority of a unix socket */
}

static void name_of_the_options_wins(void **state)
{
    const struct pki *pki = *state;
    struct setup setup = {.cert = {.sans = "DNS:etcd.example"}, .options.server_name = "etcd.example", .name = "10.0.0.1"};

    accepts(pki, &setup);
    setup.options.server_name = "other.example";
    setup.name = "etcd.example";
    refuses(pki, &setup, "is for etcd.example, not for other.example");
}

static void server_name_indication(void **state)
{
    const struct pki *pki = *state;
    struct setup setup = {.cert = {.sans = "DNS:etcd.example,IP:10.0.0.1"}};

    assert_string_equal(meet(pki, &setup).sni, "etcd.example");
    setup.name = "etcd.example.";
    assert_string_equal(meet(pki, &setup).sni, "etcd.example");
    setup.name = "10.0.0.1"; /* RFC 6066: never an address */
    assert_string_equal(meet(pki, &setup).sni, "");
    setup.options.server_name = "etcd.example";
    assert_string_equal(meet(pki, &setup).sni, "etcd.example");
}

/* --- trust ------------------------------------------------------------------------------------- */

#define NAMED .sans = "DNS:etcd.example"

static void wrong_dates(void **state)
{
    const struct pki *pki = *state;
    etcd_test_cert old = etcd_test_cert_new(&(etcd_test_cert_spec){.cn = "Old", .ca = true, .begins = -7200, .ends = -60});
    etcd_test_cert old_intermediate =
        etcd_test_cert_new(&(etcd_test_cert_spec){.cn = "OldI", .ca = true, .issuer = &pki->ca, .begins = -7200, .ends = -60});
    char *old_pem = etcd_test_pem(&old);

    refuses(pki, &(struct setup){.cert = {NAMED, .begins = -7200, .ends = -60}}, CERTIFICATE "expired on 20");
    refuses(pki, &(struct setup){.cert = {NAMED, .begins = 600, .ends = 7200}}, CERTIFICATE "is not valid before 20");
    refuses(pki, &(struct setup){.cert = {NAMED, .issuer = &old}, .options.ca_pem = old_pem},
            "an authority's certificate behind the certificate of 127.0.0.1:2379 expired on");
    refuses(pki, &(struct setup){.cert = {NAMED, .issuer = &old_intermediate}, .server.chain = &old_intermediate},
            "an authority's certificate behind the certificate of 127.0.0.1:2379 expired on");
    free(old_pem);
    etcd_test_cert_free(&old);
    etcd_test_cert_free(&old_intermediate);
}

static void unknown_authorities(void **state)
{
    const struct pki *pki = *state;
    etcd_test_cert twin = etcd_test_cert_new(&(etcd_test_cert_spec){.cn = "Test CA", .ca = true});

    refuses(pki, &(struct setup){.cert = {NAMED, .issuer = &pki->other_ca}},
            CERTIFICATE "was issued by an authority that is not trusted: /CN=Other CA");
    refuses(pki, &(struct setup){.cert = {NAMED, .issuer = &pki->other_ca}, .server.chain = &pki->other_ca}, "is not trusted");
    refuses(pki, &(struct setup){.cert = {NAMED}, .self_signed = true}, CERTIFICATE "is self-signed and not trusted");
    refuses(pki, &(struct setup){.cert = {NAMED, .issuer = &pki->intermediate}}, /* which is not sent */
            "was issued by an authority that is not trusted: /CN=Test Intermediate");
    refuses(pki, &(struct setup){.cert = {NAMED, .issuer = &twin}}, "127.0.0.1:2379"); /* the same name, another key */
    refuses(pki, &(struct setup){.cert = {NAMED, .broken_signature = true}}, "a signature is wrong");
    etcd_test_cert_free(&twin);
}

static void wrong_authorities(void **state)
{
    const struct pki *pki = *state;
    etcd_test_cert leaf = etcd_test_cert_new(&(etcd_test_cert_spec){.cn = "leaf", NAMED, .issuer = &pki->ca});
    etcd_test_cert narrow = etcd_test_cert_new(&(etcd_test_cert_spec){.cn = "Narrow", .ca = true, .path_length = "0"});
    etcd_test_cert below = etcd_test_cert_new(&(etcd_test_cert_spec){.cn = "Below", .ca = true, .issuer = &narrow});
    etcd_test_cert local =
        etcd_test_cert_new(&(etcd_test_cert_spec){.cn = "Local", .ca = true, .constraints = "permitted;DNS:other.example"});
    char *narrow_pem = etcd_test_pem(&narrow), *local_pem = etcd_test_pem(&local);

    refuses(pki, &(struct setup){.cert = {NAMED, .issuer = &leaf}, .server.chain = &leaf},
            "is not that of an authority, but was used as one");
    refuses(pki, &(struct setup){.cert = {NAMED, .issuer = &below}, .server.chain = &below, .options.ca_pem = narrow_pem},
            "path length");
    refuses(pki, &(struct setup){.cert = {NAMED, .issuer = &local}, .options.ca_pem = local_pem}, "permitted subtree violation");
    free(narrow_pem);
    free(local_pem);
    etcd_test_cert_free(&leaf);
    etcd_test_cert_free(&narrow);
    etcd_test_cert_free(&below);
    etcd_test_cert_free(&local);
}

static void wrong_purposes(void **state)
{
    const struct pki *pki = *state;

    refuses(pki, &(struct setup){.cert = {NAMED, .eku = "clientAuth"}},
            CERTIFICATE "was issued for another purpose than a server");
    refuses(pki, &(struct setup){.cert = {NAMED, .eku = "codeSigning,emailProtection"}}, "another purpose than a server");
    accepts(pki, &(struct setup){.cert = {NAMED, .eku = "serverAuth"}});
    accepts(pki, &(struct setup){.cert = {NAMED, .eku = "clientAuth,serverAuth"}});
}

static void weak_certificates(void **state)
{
    const struct pki *pki = *state;

    refuses(pki, &(struct setup){.cert = {NAMED, .key_type = "RSA1024"}}, "key too weak");
    refuses(pki, &(struct setup){.cert = {NAMED, .digest = "SHA1"}}, "too weak");
}

static void good_trust(void **state)
{
    const struct pki *pki = *state;
    char *intermediate = etcd_test_pem(&pki->intermediate);
    char *two = etcd_test_join(strdup(pki->other_ca_pem), strdup(pki->ca_pem));

    accepts(pki, &(struct setup){.cert = {NAMED, .issuer = &pki->intermediate}, .server.chain = &pki->intermediate});
    accepts(pki, &(struct setup){.cert = {NAMED, .issuer = &pki->intermediate}, .options.ca_pem = intermediate}); /* as in Go */
    accepts(pki, &(struct setup){.cert = {NAMED}, .options.ca_pem = two});
    accepts(pki, &(struct setup){.cert = {NAMED, .key_type = "ED25519"}});
    accepts(pki, &(struct setup){.cert = {NAMED, .key_type = "RSA2048"}});
    free(intermediate);
    free(two);
}

/* `etcd --auto-tls` has a self-signed certificate that its users trust by itself. */
static void trusted_self_signed_server(void **state)
{
    etcd_test_cert cert = etcd_test_cert_new(&(etcd_test_cert_spec){.cn = "auto", NAMED});
    char *pem = etcd_test_pem(&cert);
    etcd_tls_options options = {.ca_pem = pem};
    etcd_test_tls_server server = {.cert = &cert};
    etcd__tls *tls;

    (void)state;
    assert_int_equal(etcd__tls_new(&options, &tls, NULL), ETCD_OK);
    assert_int_equal(etcd_test_meet(tls, "etcd.example", &server, 0).rc, ETCD_OK);
    assert_int_equal(etcd_test_meet(tls, "other.example", &server, 0).rc, ETCD_ERR_CONNECTION);
    etcd__tls_free(tls);
    etcd_test_cert_free(&cert);
    free(pem);
}

static void insecure_accepts_anything(void **state)
{
    const struct pki *pki = *state;

    accepts(pki, &(struct setup){.cert = {.sans = "DNS:other.example", .begins = -7200, .ends = -60},
                                 .self_signed = true,
                                 .options.insecure_skip_verify = true});
    refuses(pki, &(struct setup){.cert = {NAMED}, .options.insecure_skip_verify = true, .server.alpn = ""},
            "does not speak HTTP/2");
}

/* --- protocol ---------------------------------------------------------------------------------- */

static void old_versions(void **state)
{
    const struct pki *pki = *state;
    struct setup setup = {.cert = {NAMED}};

    setup.server.min_version = TLS1_VERSION;
    setup.server.max_version = TLS1_VERSION;
    refuses(pki, &setup, "TLS 1.2");
    setup.server.min_version = setup.server.max_version = TLS1_1_VERSION;
    refuses(pki, &setup, "TLS 1.2");
    setup.server.min_version = setup.server.max_version = TLS1_2_VERSION;
    accepts(pki, &setup);
    setup.server.min_version = setup.server.max_version = TLS1_3_VERSION;
    accepts(pki, &setup);
}

/* RFC 9113, section 9.2.2. */
static void barred_ciphers(void **state)
{
    const struct pki *pki = *state;
    struct setup setup = {.cert = {NAMED, .key_type = "RSA2048"}, .server.max_version = TLS1_2_VERSION};

    setup.server.ciphers = "AES128-GCM-SHA256"; /* no forward secrecy */
    refuses(pki, &setup, "it finds no common way to encrypt");
    setup.server.ciphers = "ECDHE-RSA-AES128-SHA256"; /* CBC */
    refuses(pki, &setup, "it finds no common way to encrypt");
    setup.server.ciphers = "ECDHE-RSA-AES128-SHA"; /* CBC, SHA-1 */
    refuses(pki, &setup, "it finds no common way to encrypt");
    setup.server.ciphers = "ECDHE-RSA-AES128-GCM-SHA256";
    accepts(pki, &setup);
    setup.server.ciphers = "ECDHE-RSA-CHACHA20-POLY1305";
    accepts(pki, &setup);
}

static void application_protocol(void **state)
{
    const struct pki *pki = *state;
    const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

    for (size_t i = 0; i < 2; i++) {
        struct setup setup = {.cert = {NAMED}, .server.min_version = versions[i], .server.max_version = versions[i]};

        setup.server.alpn = "";
        refuses(pki, &setup, HANDSHAKE "the peer does not speak HTTP/2 (it did not choose h2)");
        setup.server.alpn = "refuse";
        refuses(pki, &setup, HANDSHAKE "the peer ended it: it does not speak HTTP/2");
        setup.server.alpn = "http/1.1";
        refuses(pki, &setup, "HTTP/2");
        setup.server.alpn = "h2c";
        refuses(pki, &setup, "HTTP/2");
    }
}

static void not_tls_at_all(void **state)
{
    static const struct {
        const char *data;
        size_t len;
        const char *words;
    } answers[] = {
        {"HTTP/1.1 400 Bad Request\r\n\r\n", 28, "the peer does not speak TLS"},
        {"\0\0\0\4\0\0\0\0\0", 9, "127.0.0.1:2379: "}, /* HTTP/2 SETTINGS */
        {"SSH-2.0-OpenSSH_9.2p1\r\n", 23, "the peer does not speak TLS"},
        {"\x15\x03\x03\0\2\2\x28", 7, "it finds no common way to encrypt, or requires a client certificate"},
        {"\x15\x03\x01\0\2\2\x46", 7, "it supports neither TLS 1.2 nor TLS 1.3"},
        {"\x15\x03\x03\0\2\2\x50", 7, "it has an internal error"},
        {"\x15\x03\x03\0\2\2\x70", 7, "it does not know the server name"},
        {"\x15\x03\x03\0\2\2\x0a", 7, "the peer ended it with TLS alert 10 (unexpected"},
        {"\x16\x03\x03\xff\xff\2\0\0\0", 9, "127.0.0.1:2379: "}, /* a record over the limit */
        {"\x17\x03\x03\0\1x", 6, "127.0.0.1:2379: "},            /* application data first */
        {"\x16\x03\x03\0\4\x0e\0\0\0", 9, "127.0.0.1:2379: "},   /* ServerHelloDone first */
    };
    const struct pki *pki = *state;
    etcd_tls_options options = {.ca_pem = pki->ca_pem};
    etcd__tls *tls;

    assert_int_equal(etcd__tls_new(&options, &tls, NULL), ETCD_OK);
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        etcd_test_meeting meeting = etcd_test_meet_bytes(tls, "etcd.example", answers[i].data, answers[i].len);

        assert_int_equal(meeting.rc, ETCD_ERR_CONNECTION);
        if (strstr(meeting.err.message, answers[i].words) == NULL)
            fail_msg("answer %zu: %s", i, meeting.err.message);
    }
    etcd__tls_free(tls);
}

/* P11 */
static void endless_chain(void **state)
{
    const struct pki *pki = *state;

    refuses(pki, &(struct setup){.cert = {NAMED}, .server.chain = &pki->other_ca, .server.big_chain = true}, "127.0.0.1:2379");
}

/* --- client certificates ----------------------------------------------------------------------- */

static void client_certificates(void **state)
{
    const struct pki *pki = *state;
    const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    etcd_test_cert mine = etcd_test_cert_new(&(etcd_test_cert_spec){.cn = "root", .eku = "clientAuth", .issuer = &pki->other_ca});
    etcd_test_cert stranger = etcd_test_cert_new(&(etcd_test_cert_spec){.cn = "stranger", .issuer = &pki->ca});
    etcd_test_cert old =
        etcd_test_cert_new(&(etcd_test_cert_spec){.cn = "old", .issuer = &pki->other_ca, .begins = -7200, .ends = -60});
    char *mine_pem = etcd_test_pem(&mine), *mine_key = etcd_test_pem_key(&mine, NULL);
    char *stranger_pem = etcd_test_pem(&stranger), *stranger_key = etcd_test_pem_key(&stranger, NULL);
    char *old_pem = etcd_test_pem(&old), *old_key = etcd_test_pem_key(&old, NULL);

    for (size_t i = 0; i < 2; i++) {
        struct setup setup = {.cert = {NAMED},
                              .server = {.client_ca = &pki->other_ca, .min_version = versions[i], .max_version = versions[i]}};

        refuses(pki, &setup, "requires a client certificate");
        setup.options.cert_pem = stranger_pem;
        setup.options.key_pem = stranger_key;
        refuses(pki, &setup, "it does not know the authority that issued the client certificate");
        setup.options.cert_pem = old_pem;
        setup.options.key_pem = old_key;
        refuses(pki, &setup, "the client certificate has expired");
        setup.options.cert_pem = mine_pem;
        setup.options.key_pem = mine_key;
        accepts(pki, &setup);
        assert_string_equal(meet(pki, &setup).client_cn, "root");
    }
    free(mine_pem);
    free(mine_key);
    free(stranger_pem);
    free(stranger_key);
    free(old_pem);
    free(old_key);
    etcd_test_cert_free(&mine);
    etcd_test_cert_free(&stranger);
    etcd_test_cert_free(&old);
}

/* --- bytes ------------------------------------------------------------------------------------- */

static void byte_by_byte(void **state)
{
    const struct pki *pki = *state;
    etcd_test_cert cert = etcd_test_cert_new(&(etcd_test_cert_spec){NAMED, .issuer = &pki->ca});
    etcd_tls_options options = {.ca_pem = pki->ca_pem};
    etcd__tls *tls;

    assert_int_equal(etcd__tls_new(&options, &tls, NULL), ETCD_OK);
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        etcd_test_tls_server server = {.cert = &cert, .min_version = version, .max_version = version};

        assert_int_equal(etcd_test_meet(tls, "etcd.example", &server, 1).rc, ETCD_OK);
        assert_int_equal(etcd_test_meet(tls, "etcd.example", &server, 7).rc, ETCD_OK);
    }
    etcd__tls_free(tls);
    etcd_test_cert_free(&cert);
}

/* RFC 9113, section 9.2.1: renegotiation is refused; the connection goes on. */
static void renegotiation(void **state)
{
    const struct pki *pki = *state;
    etcd_test_cert cert = etcd_test_cert_new(&(etcd_test_cert_spec){NAMED, .issuer = &pki->ca});
    etcd_test_tls_server server = {.cert = &cert, .max_version = TLS1_2_VERSION};
    etcd_tls_options options = {.ca_pem = pki->ca_pem};
    SSL *ssl = etcd_test_tls_accept(&server);
    etcd__tls_session *client;
    etcd__tls *tls;
    etcd_error err;

    assert_int_equal(etcd__tls_new(&options, &tls, NULL), ETCD_OK);
    assert_int_equal(etcd__tls_session_new(tls, "etcd.example", "127.0.0.1:2379", &client, &err), ETCD_OK);
    assert_int_equal(etcd__tls_session_handshake(client, &err), 0);
    assert_int_equal(etcd_test_tls_pump(client, ssl, 0, &err), 0);
    assert_true(etcd__tls_session_established(client));
    assert_int_equal(SSL_renegotiate(ssl), 1);
    (void)etcd_test_tls_pump(client, ssl, 0, &err);
    assert_int_equal(SSL_num_renegotiations(ssl), 1); /* as it tried, but */
    assert_int_not_equal(SSL_do_handshake(ssl), 1);   /* it got no answer to it */
    etcd__tls_session_free(client);
    etcd__tls_free(tls);
    SSL_free(ssl);
    etcd_test_cert_free(&cert);
}

/* P11: a peer that keeps asking for new keys and never reads the answers. */
static void flood_of_key_updates(void **state)
{
    const struct pki *pki = *state;
    etcd_test_cert cert = etcd_test_cert_new(&(etcd_test_cert_spec){NAMED, .issuer = &pki->ca});
    etcd_test_tls_server server = {.cert = &cert, .min_version = TLS1_3_VERSION};
    etcd_tls_options options = {.ca_pem = pki->ca_pem};
    SSL *ssl = etcd_test_tls_accept(&server);
    etcd__tls_session *client;
    etcd__tls *tls;
    etcd_error err;
    ssize_t n = 0;

    assert_int_equal(etcd__tls_new(&options, &tls, NULL), ETCD_OK);
    assert_int_equal(etcd__tls_session_new(tls, "etcd.example", "127.0.0.1:2379", &client, &err), ETCD_OK);
    assert_int_equal(etcd__tls_session_handshake(client, &err), 0);
    assert_int_equal(etcd_test_tls_pump(client, ssl, 0, &err), 0);
    for (int i = 0; i < 100000 && n == 0; i++) {
        uint8_t data[4096], plain[64];
        int len;

        assert_int_equal(SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        assert_int_equal(SSL_do_handshake(ssl), 1);
        len = BIO_read(SSL_get_wbio(ssl), data, sizeof data);
        assert_true(len > 0);
        etcd__tls_session_feed(client, data, (size_t)len);
        n = etcd__tls_session_read(client, plain, sizeof plain, &err);
        assert_true(etcd__tls_session_output(client)->cap <= (size_t)1024 * 1024);
    }
    assert_int_equal(n, ETCD_ERR_CONNECTION);
    assert_non_null(strstr(err.message, "the peer makes us answer more than 512 KiB"));
    etcd__tls_session_free(client);
    etcd__tls_free(tls);
    SSL_free(ssl);
    etcd_test_cert_free(&cert);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(wrong_names, make_pki, free_pki),
        cmocka_unit_test_setup_teardown(wrong_wildcards, make_pki, free_pki),
        cmocka_unit_test_setup_teardown(wrong_addresses, make_pki, free_pki),
        cmocka_unit_test_setup_teardown(name_with_a_nul, make_pki, free_pki),
        cmocka_unit_test_setup_teardown(good_names, make_pki, free_pki),
        cmocka_unit_test_setup_teardown(name_of_the_options_wins, make_pki, free_pki),
        cmocka_unit_test_setup_teardown(server_name_indication, make_pki, free_pki),
        cmocka_unit_test_setup_teardown(wrong_dates, make_pki, free_pki),
        cmocka_unit_test_setup_teardown(unknown_authorities, make_pki, free_pki),
        cmocka_unit_test_setup_teardown(wrong_authorities, make_pki, free_pki),
        cmocka_unit_test_setup_teardown(wrong_purposes, make_pki, free_pki),
        cmocka_unit_test_setup_teardown(weak_certificates, make_pki, free_pki),
        cmocka_unit_test_setup_teardown(good_trust, make_pki, free_pki),
        cmocka_unit_test_setup_teardown(trusted_self_signed_server, make_pki, free_pki),
        cmocka_unit_test_setup_teardown(insecure_accepts_anything, make_pki, free_pki),
        cmocka_unit_test_setup_teardown(old_versions, make_pki, free_pki),
        cmocka_unit_test_setup_teardown(barred_ciphers, make_pki, free_pki),
        cmocka_unit_test_setup_teardown(application_protocol, make_pki, free_pki),
        cmocka_unit_test_setup_teardown(not_tls_at_all, make_pki, free_pki),
        cmocka_unit_test_setup_teardown(endless_chain, make_pki, free_pki),
        cmocka_unit_test_setup_teardown(client_certificates, make_pki, free_pki),
        cmocka_unit_test_setup_teardown(byte_by_byte, make_pki, free_pki),
        cmocka_unit_test_setup_teardown(renegotiation, make_pki, free_pki),
        cmocka_unit_test_setup_teardown(flood_of_key_updates, make_pki, free_pki),
    };

    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
