/* status: the members of a cluster at a glance, also as a view that is drawn anew. An additional command.
 *
 * Unlike `endpoint status` it asks all members at the same time, and shows those that do not answer in the same table.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"
#include "endpoints.h"
#include "loop.h"
#include "print.h"
#include "text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef struct member {
    const char *endpoint;
    etcd_status_response *status; /* NULL: none */
    char *error;
    bool done;
    int64_t asked_ns, took_ns;
    uint64_t index_before; /* of the look before; 0: none */
    int64_t before_ns;
} member;

static void on_status(etcd_client *client, etcd_status_response *response, const etcd_error *err, void *arg)
{
    member *m = arg;
    (void)client;
    m->done = true;
    m->took_ns = cli_now_ns() - m->asked_ns;
    m->status = response;
    if (err)
        m->error = cli_text("%s", err->message);
}

/** Asks all members; 0, or the signal that came. */
static int ask_all(cli *c, member *members, size_t n)
{
    etcd_client *client = cli_client(c);
    size_t done = 0;
    for (size_t i = 0; i < n; i++) {
        member *m = &members[i];
        etcd_error err;
        if (m->status) {
            m->index_before = m->status->raft_index;
            m->before_ns = m->asked_ns;
        }
        etcd_response_free(m->status);
        free(m->error);
        m->status = NULL;
        m->error = NULL;
        m->done = false;
        m->asked_ns = cli_now_ns();
        if (etcd_status_async(client, m->endpoint, cli_call(c), on_status, m, NULL, &err) < 0) {
            m->done = true;
            m->error = cli_text("%s", err.message);
        }
    }
    while (done < n) {
        done = 0;
        for (size_t i = 0; i < n; i++)
            done += members[i].done;
        if (done == n)
            break;
        int number = cli_wait(client, NULL, 0, -1);
        if (number != 0)
            return number;
    }
    return 0;
}

/* -- output -- */

enum { COLUMNS = 11 };

static const char *const header[COLUMNS] = {"endpoint", "ID",         "version", "role",   "db size", "in use",
                                            "term",     "raft index", "per s",   "answer", "errors"};

static const char *role_of(const etcd_status_response *r)
{
    return r->leader == r->header.member_id ? "leader" : r->is_learner ? "learner" : r->leader == 0 ? "no leader" : "follower";
}

/** Entries of the log per second since the look before. */
static char *rate_of(const member *m)
{
    int64_t ns = m->asked_ns - m->before_ns;
    if (m->index_before == 0 || ns <= 0 || m->status->raft_index < m->index_before)
        return cli_text("%s", "");
    return cli_text("%.0f", (double)(m->status->raft_index - m->index_before) / ((double)ns / 1e9));
}

static void fill_row(char **row, const member *m)
{
    const etcd_status_response *r = m->status;
    row[0] = cli_text("%s", m->endpoint);
    if (!r) {
        for (size_t i = 1; i < COLUMNS - 1; i++)
            row[i] = cli_text("%s", i == 3 ? "no answer" : "");
        row[COLUMNS - 1] = cli_text("%.60s", m->error ? m->error : "");
        return;
    }
    row[1] = cli_text("%" PRIx64, r->header.member_id);
    row[2] = cli_text("%s", r->version.data);
    row[3] = cli_text("%s", role_of(r));
    row[4] = cli_size(r->db_size);
    row[5] = cli_size(r->db_size_in_use);
    row[6] = cli_text("%" PRIu64, r->raft_term);
    row[7] = cli_text("%" PRIu64, r->raft_index);
    row[8] = rate_of(m);
    row[9] = cli_text("%.1f ms", (double)m->took_ns / 1e6);
    row[10] = cli_join(r->errors, r->n_errors, ", ");
}

static void show(const member *members, size_t n, bool clear)
{
    char **cells = cli_alloc((n + 1) * COLUMNS * sizeof *cells), now[32] = "";
    time_t seconds = time(NULL);
    struct tm local;
    for (size_t i = 0; i < n; i++)
        fill_row(cells + i * COLUMNS, &members[i]);
    if (clear) {
        if (localtime_r(&seconds, &local))
            strftime(now, sizeof now, "%Y-%m-%d %H:%M:%S", &local);
        printf("\x1b[H\x1b[J%s\n", now);
    }
    cli_table(stdout, header, (const char *const *)cells, COLUMNS, n);
    fflush(stdout);
    cli_free_texts(cells, n * COLUMNS);
}

/* -- the command -- */

static int run_status(cli *c)
{
    bool again = cli_flag_bool(c, "watch"), whole = true;
    int64_t interval_ms = cli_flag_ns(c, "interval") / 1000000;
    size_t n;
    cli_setup(c);
    if (c->format != CLI_SIMPLE && c->format != CLI_TABLE)
        cli_fail_format(c);
    char **targets = cli_targets(c, &n);
    member *members = cli_alloc((n + 1) * sizeof *members);
    for (size_t i = 0; i < n; i++)
        members[i] = (member){.endpoint = targets[i]};
    if (again)
        cli_catch_signals();
    for (int number = 0; number == 0;) {
        number = ask_all(c, members, n);
        if (number != 0)
            break;
        show(members, n, again && isatty(STDOUT_FILENO) == 1);
        if (!again)
            break;
        int64_t end = cli_now_ns() / 1000000 + (interval_ms > 100 ? interval_ms : 100), left;
        while (number == 0 && (left = end - cli_now_ns() / 1000000) > 0)
            number = cli_wait(c->client, NULL, 0, left);
    }
    for (size_t i = 0; i < n; i++) {
        whole = whole && (again || members[i].status);
        etcd_response_free(members[i].status);
        free(members[i].error);
    }
    free(members);
    cli_free_texts(targets, n);
    return whole ? CLI_OK : CLI_ERROR;
}

static const cli_flag status_flags[] = {
    {.name = "cluster", .type = CLI_BOOL, .usage = "use all endpoints from the cluster member list"},
    {.name = "interval", .type = CLI_DURATION, .initial = "2s", .usage = "how often to look with --watch"},
    {.name = "watch", .type = CLI_BOOL, .usage = "look again and again, until interrupted"},
};

const cli_command cli_status = {.name = "status",
                                .usage = "status [options]",
                                .summary = "Shows the members of the cluster, with --watch as a live view",
                                .group = CLI_ADDITIONAL,
                                CLI_FLAGS(status_flags),
                                .run = run_status};
