/* make-mirror: copies the keys with a prefix to another cluster, and then each change of them.
 *
 * First the base, as puts with several in flight; then the updates, one transaction for each revision, or several where one has
 * more operations than --max-txn-ops. With --rev there is no base: only what happened from that revision on. Leases are
 * not copied.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"
#include "text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { IN_FLIGHT = 64, REPORT_MS = 30000 };

typedef struct mirroring {
    cli *c;
    etcd_client *to;
    const char *prefix;
    const char *to_prefix;
    uint64_t max_ops;
    int64_t copied;
    int64_t report_ms; /* when to print the number the next time */
} mirroring;

static int64_t now_ms(void)
{
    return cli_now_ns() / 1000000;
}

static void report(mirroring *m)
{
    if (now_ms() < m->report_ms)
        return;
    printf("%" PRId64 "\n", m->copied);
    fflush(stdout);
    m->report_ms += REPORT_MS;
}

/** The key as it is called there: the first place of the prefix is replaced. New memory. */
static char *renamed(const mirroring *m, etcd_bytes key, size_t *len)
{
    size_t old = strlen(m->prefix), new = strlen(m->to_prefix);
    char *name = cli_alloc(key.len + new + 1);
    /* Keys of the mirror begin with the prefix */
    memcpy(name, m->to_prefix, new);
    memcpy(name + new, key.data + old, key.len - old);
    *len = key.len - old + new;
    name[*len] = '\0';
    return name;
}

/* -- the destination -- */

static const char *text_or_null(const cli *c, const char *flag)
{
    const char *text = cli_flag_text(c, flag);
    return text[0] != '\0' ? text : NULL;
}

static bool tls_options(const cli *c, etcd_tls_options *tls)
{
    etcd_tls_options_init(tls, sizeof *tls);
    tls->cert_file = text_or_null(c, "dest-cert");
    tls->key_file = text_or_null(c, "dest-key");
    tls->ca_file = text_or_null(c, "dest-cacert");
    if (!tls->cert_file != !tls->key_file)
        cli_fail(CLI_BAD_ARGS, "KeyFile and CertFile must both be present[key: %s, cert: %s]", cli_flag_text(c, "dest-key"),
                 cli_flag_text(c, "dest-cert"));
    return tls->cert_file || tls->ca_file || !cli_flag_bool(c, "dest-insecure-transport");
}

/** Name and password of --dest-user; asks for the password when there is none. New memory; NULL without a user. */
static char *credentials(const cli *c, char **password)
{
    const char *user = cli_flag_text(c, "dest-user"), *given = cli_flag_text(c, "dest-password"), *colon = strchr(user, ':');
    *password = NULL;
    if (user[0] == '\0')
        return NULL;
    if (given[0] != '\0') {
        *password = cli_copy(given, strlen(given));
        return cli_copy(user, strlen(user));
    }
    if (!colon) {
        *password = cli_ask_password("Destination Password: ");
        return cli_copy(user, strlen(user));
    }
    *password = cli_copy(colon + 1, strlen(colon + 1));
    return cli_copy(user, (size_t)(colon - user));
}

static etcd_client *open_destination(cli *c)
{
    etcd_client_options options;
    etcd_tls_options tls;
    etcd_client *client;
    etcd_error err;
    char *password, *user;
    etcd_client_options_init(&options, sizeof options);
    options.endpoints = cli_arg(c, 0);
    options.manual = true;
    options.allow_plain_auth = true;
    if (tls_options(c, &tls))
        options.tls = &tls;
    user = credentials(c, &password);
    if (user && user[0] != '\0' && password[0] != '\0') {
        options.username = user;
        options.password = password;
    }
    if (etcd_client_new(&options, &client, &err) < 0)
        cli_fail_call(CLI_BAD_ARGS, &err);
    if (password)
        explicit_bzero(password, strlen(password));
    free(password);
    free(user);
    return client;
}

/* -- the base -- */

/** Takes the end of one put. */
static void take_end(mirroring *m)
{
    etcd_completion *end;
    etcd_error err;
    if (etcd_client_next_completion(m->to, -1, &end, &err) < 0)
        cli_fail_call(CLI_ERROR, &err);
    if (end->error)
        cli_fail_call(CLI_ERROR, end->error);
    etcd_response_free(end);
    m->copied++;
}

static void copy_page(mirroring *m, const etcd_get_response *page)
{
    size_t begun = 0, ended = 0;
    etcd_error err;
    while (ended < page->n_kvs) {
        if (begun < page->n_kvs && begun - ended < IN_FLIGHT) {
            const etcd_kv *kv = &page->kvs[begun++];
            size_t len;
            char *key = renamed(m, kv->key, &len);
            if (etcd_put_async(m->to, key, len, kv->value.data, kv->value.len, ETCD_PUT(.call = ETCD_CALL(.timeout_ms = -1)),
                               NULL, NULL, NULL, &err) < 0)
                cli_fail_call(CLI_ERROR, &err);
            free(key);
        } else {
            take_end(m);
            ended++;
        }
    }
}

static void copy_base(mirroring *m, etcd_mirror *mirror)
{
    for (;;) {
        etcd_get_response *page;
        etcd_error err;
        if (etcd_mirror_next_page(mirror, &page, &err) < 0)
            cli_fail_call(CLI_ERROR, &err);
        if (!page)
            return;
        copy_page(m, page);
        etcd_response_free(page);
        report(m);
    }
}

/* -- the updates -- */

static void add_event(mirroring *m, etcd_txn *txn, const etcd_event *event)
{
    size_t len;
    char *key = renamed(m, event->kv->key, &len);
    if (event->type == ETCD_EVENT_DELETE)
        etcd_txn_delete(txn, key, len, NULL);
    else
        etcd_txn_put(txn, key, len, event->kv->value.data, event->kv->value.len, NULL);
    free(key);
}

/** The events from `begin` on that fit into one transaction; returns how many. */
static size_t copy_some(mirroring *m, const etcd_mirror_update *update, size_t begin)
{
    etcd_txn *txn = etcd_txn_new(m->to);
    etcd_error err;
    size_t n = 0;
    for (; begin + n < update->n_events && (m->max_ops == 0 || n < m->max_ops); n++)
        add_event(m, txn, &update->events[begin + n]);
    if (etcd_txn_commit(txn, ETCD_CALL(.timeout_ms = -1), NULL, &err) < 0)
        cli_fail_call(CLI_ERROR, &err);
    etcd_txn_free(txn);
    m->copied += (int64_t)n;
    return n;
}

__attribute__((noreturn)) static void copy_updates(mirroring *m, etcd_mirror *mirror)
{
    for (;;) {
        const etcd_mirror_update *update;
        etcd_error err;
        int64_t left = m->report_ms - now_ms();
        int rc = etcd_mirror_next_update(mirror, left > 0 ? left : 0, &update, &err);
        if (rc != ETCD_OK && rc != ETCD_ERR_TIMED_OUT)
            cli_fail_call(CLI_ERROR, &err);
        for (size_t i = 0; rc == ETCD_OK && i < update->n_events;)
            i += copy_some(m, update, i);
        report(m);
    }
}

static int run_mirror(cli *c)
{
    mirroring m = {.c = c, .prefix = cli_flag_text(c, "prefix"), .to_prefix = cli_flag_text(c, "dest-prefix")};
    int64_t from = cli_flag_int(c, "rev");
    etcd_mirror *mirror;
    etcd_error err;
    if (cli_n_args(c) != 1)
        cli_fail(CLI_BAD_ARGS, "make-mirror takes one destination argument");
    if (m.to_prefix[0] != '\0' && cli_flag_bool(c, "no-dest-prefix"))
        cli_fail(CLI_BAD_ARGS, "`--dest-prefix` and `--no-dest-prefix` cannot be set at the same time, choose one");
    if (m.to_prefix[0] == '\0' && !cli_flag_bool(c, "no-dest-prefix"))
        m.to_prefix = m.prefix;
    m.max_ops = cli_flag_uint(c, "max-txn-ops");
    m.to = open_destination(c);
    m.report_ms = now_ms() + REPORT_MS;
    c->threads = true; /* the source is heard while the destination is written to */
    etcd_client *client = cli_client(c);
    if (etcd_mirror_open(
            client, m.prefix, strlen(m.prefix),
            ETCD_MIRROR(.call = ETCD_CALL(.timeout_ms = -1), .revision = from > 1 ? from - 1 : 0, .updates_only = from > 1),
            &mirror, &err) < 0)
        cli_fail_call(CLI_ERROR, &err);
    if (from <= 1)
        copy_base(&m, mirror);
    copy_updates(&m, mirror);
}

static const cli_flag mirror_flags[] = {
    {.name = "prefix", .type = CLI_STRING, .usage = "Key-value prefix to mirror"},
    {.name = "rev", .type = CLI_INT, .usage = "Specify the kv revision to start to mirror"},
    {.name = "max-txn-ops",
     .type = CLI_UINT,
     .initial = "128",
     .usage = "Maximum number of operations permitted in a transaction during syncing updates."},
    {.name = "dest-prefix",
     .type = CLI_STRING,
     .usage = "destination prefix to mirror a prefix to a different prefix in the destination cluster"},
    {.name = "no-dest-prefix", .type = CLI_BOOL, .usage = "mirror key-values to the root of the destination cluster"},
    {.name = "dest-cert",
     .type = CLI_STRING,
     .usage = "Identify secure client using this TLS certificate file for the destination cluster"},
    {.name = "dest-key", .type = CLI_STRING, .usage = "Identify secure client using this TLS key file"},
    {.name = "dest-cacert",
     .type = CLI_STRING,
     .usage = "Verify certificates of TLS enabled secure servers using this CA bundle"},
    {.name = "dest-insecure-transport",
     .type = CLI_BOOL,
     .initial = "true",
     .usage = "Disable transport security for client connections"},
    {.name = "dest-user",
     .type = CLI_STRING,
     .usage = "Destination username[:password] for authentication (prompt if password is not supplied)"},
    {.name = "dest-password",
     .type = CLI_STRING,
     .usage = "Destination password for authentication (if this option is used, --user option shouldn't include password)"},
};

const cli_command cli_make_mirror = {.name = "make-mirror",
                                     .usage = "make-mirror [options] <destination>",
                                     .summary = "Makes a mirror at the destination etcd cluster",
                                     .group = CLI_UTILITY,
                                     CLI_FLAGS(mirror_flags),
                                     .run = run_mirror};
