/* What lock and elect share. See hold.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "hold.h"
#include "print.h"

#include <signal.h>
#include <stdlib.h>

static void on_session(etcd_session *session, const etcd_error *err, void *arg)
{
    (void)session;
    cli_pending_end(arg, err);
}

typedef struct opening {
    cli_pending pending;
    cli_hold *hold;
} opening;

static void on_open(etcd_session *session, const etcd_error *err, void *arg)
{
    opening *o = arg;
    o->hold->session = session;
    cli_pending_end(&o->pending, err);
}

static void on_lost(etcd_session *session, const etcd_error *reason, void *arg)
{
    cli_hold *hold = arg;
    (void)session, (void)reason;
    hold->lost = true;
}

void cli_hold_open(cli_hold *hold, cli *c, int64_t ttl_s)
{
    opening o = {.hold = hold};
    etcd_error err;
    *hold = (cli_hold){.c = c, .client = cli_client(c)};
    if (etcd_cancel_new(&hold->cancel, &err) < 0)
        cli_fail_call(CLI_ERROR, &err);
    cli_catch_signals();
    cli_catch_hangup();       /* nor a terminal that has */
    signal(SIGPIPE, SIG_IGN); /* a reader that has gone must not leave the key behind */
    if (etcd_session_new_async(hold->client,
                               ETCD_SESSION(.call = cli_hold_call(hold), .ttl_s = ttl_s, .lost_fn = on_lost, .lost_arg = hold),
                               on_open, &o, NULL, &err) < 0)
        cli_fail_call(CLI_ERROR, &err);
    if (!cli_hold_wait(hold, &o.pending))
        cli_fail(CLI_ERROR, "context canceled");
}

const etcd_call_options *cli_hold_call(cli_hold *hold)
{
    static etcd_call_options call;
    call = *cli_call_unbounded(hold->c);
    call.cancel = hold->cancel;
    return &call;
}

bool cli_hold_wait(cli_hold *hold, cli_pending *pending)
{
    if (cli_pending_wait(pending, hold->client, -1) != 0) {
        etcd_cancel_trigger(hold->cancel);
        cli_pending_wait(pending, hold->client, CLI_RELEASE_MS);
        return false;
    }
    if (pending->code == ETCD_OK)
        return true;
    cli_hold_close(hold);
    cli_fail_call(CLI_ERROR, &pending->err);
}

/* -- the key -- */

typedef struct reading {
    cli_pending pending;
    etcd_get_response *response;
} reading;

static void on_key(etcd_client *client, etcd_get_response *response, const etcd_error *err, void *arg)
{
    reading *r = arg;
    (void)client;
    r->response = response;
    cli_pending_end(&r->pending, err);
}

static void key_simple(FILE *out, const cli *c, const void *response, const void *arg)
{
    const etcd_get_response *r = response;
    (void)arg;
    for (size_t i = 0; i < r->n_kvs; i++)
        cli_print_kv(out, c, &r->kvs[i]);
}

static void key_fields(FILE *out, const cli *c, const void *response, const void *arg)
{
    const etcd_get_response *r = response;
    (void)arg;
    cli_fields_header(out, c, &r->header);
    for (size_t i = 0; i < r->n_kvs; i++)
        cli_fields_kv(out, c, "", &r->kvs[i]);
    cli_fields_bool(out, "More", r->more);
    cli_fields_int(out, "Count", r->count);
}

const cli_printer cli_key_printer = {.type = ETCD_CALL_GET, .simple = key_simple, .fields = key_fields};

void cli_hold_print(cli_hold *hold, const char *key, size_t len)
{
    reading r = {0};
    etcd_error err;
    if (hold->c->format == CLI_TABLE) {
        cli_hold_close(hold);
        cli_fail_format(hold->c);
    }
    if (etcd_get_async(hold->client, key, len, ETCD_GET(.call = cli_hold_call(hold)), on_key, &r, NULL, &err) < 0)
        cli_fail_call(CLI_ERROR, &err);
    if (!cli_hold_wait(hold, &r.pending))
        return;
    if (r.response->n_kvs == 0) {
        cli_hold_close(hold);
        cli_fail(CLI_ERROR, "no lock ownership after acquiring");
    }
    bool printed = cli_try_print(hold->c, &cli_key_printer, r.response, NULL);
    etcd_response_free(r.response);
    if (printed)
        return;
    cli_hold_close(hold);
    exit(CLI_IO); /* quietly */
}

bool cli_hold_until_signal(cli_hold *hold)
{
    while (!hold->lost)
        if (cli_wait(hold->client, NULL, 0, -1) != 0)
            return true;
    return false;
}

void cli_hold_close(cli_hold *hold)
{
    cli_pending pending = {0};
    etcd_error err;
    const etcd_call_options *call = ETCD_CALL(.timeout_ms = CLI_RELEASE_MS);
    if (hold->session && !hold->lost && etcd_session_close_async(hold->session, call, on_session, &pending, NULL, &err) == 0)
        cli_pending_wait(&pending, hold->client, CLI_RELEASE_MS);
}
