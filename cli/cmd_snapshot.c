/* snapshot save: of one member, verified against its checksum.
 *
 * On a terminal a line shows how far it is.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"
#include "endpoints.h"
#include "text.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXAMPLES \
    "  # Save snapshot to a given file\n" \
    "  etcdctl snapshot save /backup/etcd-snapshot.db\n" \
    "  \n" \
    "  # Get snapshot from given address and save it to file\n" \
    "  etcdctl snapshot save --endpoints=127.0.0.1:3000 /backup/etcd-snapshot.db\n" \
    "  \n" \
    "  # Get snapshot from given address with certificates\n" \
    "  etcdctl --endpoints=https://127.0.0.1:2379 --cacert=/etc/etcd/ca.crt --cert=/etc/etcd/etcd.crt " \
    "--key=/etc/etcd/etcd.key snapshot save /backup/etcd-snapshot.db\n" \
    "  \n" \
    "  # Get snapshot with certain user and password\n" \
    "  etcdctl --user=root --password=password123 snapshot save /backup/etcd-snapshot.db\n" \
    "  \n" \
    "  # Get snapshot from given address with timeout\n" \
    "  etcdctl --endpoints=https://127.0.0.1:2379 --dial-timeout=20s snapshot save /backup/etcd-snapshot.db\n" \
    "  \n" \
    "  # Save snapshot with desirable time format\n" \
    "  etcdctl snapshot save /mnt/backup/etcd/backup_$(date +%Y%m%d_%H%M%S).db"

/* -- progress -- */

typedef struct progress {
    int64_t begin_ns;
    int64_t shown_ns;
} progress;

static void show(const progress *p, int64_t received, int64_t total)
{
    enum { WIDTH = 30 };
    char bar[WIDTH + 1];
    int64_t ms = (cli_now_ns() - p->begin_ns) / 1000000 + 1;
    size_t done = total > 0 ? (size_t)(received * WIDTH / total) : 0;
    char *size = cli_size(received), *all = cli_size(total > 0 ? total : received), *speed = cli_size(received * 1000 / ms);
    memset(bar, '.', WIDTH);
    memset(bar, '#', done < WIDTH ? done : WIDTH);
    bar[WIDTH] = '\0';
    fprintf(stderr, "\r\x1b[K[%s] %s of %s, %s/s", bar, size, all, speed);
    free(size);
    free(all);
    free(speed);
}

static void on_progress(int64_t received, int64_t total, void *arg)
{
    progress *p = arg;
    int64_t now = cli_now_ns();
    if (now - p->shown_ns < 100000000 && received != total)
        return;
    p->shown_ns = now;
    show(p, received, total);
}

/* -- save -- */

/** Whether the file can be written, told in etcdctl's words when not. */
static void check_file(const char *path)
{
    char *part = cli_text("%s.part", path);
    int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        char *why = cli_text("%s", strerror(errno));
        why[0] = (char)tolower((unsigned char)why[0]);
        cli_fail(CLI_INTERRUPTED, "could not open %s (open %s: %s)", part, part, why);
    }
    close(fd);
    unlink(part);
    free(part);
}

static int run_save(cli *c)
{
    progress p = {.begin_ns = cli_now_ns()};
    etcd_snapshot_response *response;
    etcd_error err;
    size_t n;
    if (cli_n_args(c) != 1)
        cli_fail(CLI_BAD_ARGS, "snapshot save expects one argument <filename>");
    cli_setup(c);
    char **endpoints = cli_endpoints(c, &n);
    if (n != 1) {
        for (size_t i = 0; c->discovered && i < n; i++)
            endpoints[i] = cli_endpoint_found(endpoints[i], strlen(endpoints[i]));
        cli_fail(CLI_INTERRUPTED, "snapshot must be requested to one selected node, not multiple %s",
                 cli_list_text(endpoints, n));
    }
    cli_endpoints_free(endpoints, n);
    const char *path = cli_arg(c, 0);
    check_file(path);
    etcd_client *client = cli_client(c);
    const etcd_call_options *call = cli_flag_changed(c, "command-timeout") ? cli_call(c) : cli_call_unbounded(c);
    bool visible = isatty(STDERR_FILENO) == 1 && isatty(STDOUT_FILENO) == 1;
    int rc = etcd_snapshot_save(client, path,
                                ETCD_SNAPSHOT(.call = call, .progress_fn = visible ? on_progress : NULL, .progress_arg = &p),
                                &response, &err);
    if (visible)
        fputs("\r\x1b[K", stderr);
    if (rc < 0)
        cli_fail_call(err.code == ETCD_ERR_AUTH_FAILED ? CLI_BAD_CONNECTION : CLI_INTERRUPTED, &err);
    printf("Snapshot saved at %s\n", path);
    if (response->version.len > 0)
        printf("Server version %s\n", response->version.data);
    etcd_response_free(response);
    return CLI_OK;
}

const cli_command cli_snapshot = {.name = "snapshot",
                                  .usage = "snapshot <subcommand>",
                                  .summary = "Manages etcd node snapshots",
                                  .examples = EXAMPLES,
                                  .plain_usage = true,
                                  .group = CLI_CLUSTER};

const cli_command cli_snapshot_save = {.name = "snapshot save",
                                       .usage = "save <filename>",
                                       .summary = "Stores an etcd node backend snapshot to a given file",
                                       .examples = EXAMPLES,
                                       .run = run_save};
