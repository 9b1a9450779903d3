/* lock: holds a lock until a signal comes, or while a command runs.
 *
 * The lock is free for others within a second of the signal, by the end of the session. A command that runs is not
 * interrupted: the lock is held as long as it works. Nothing is printed before the lock is held.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"
#include "hold.h"
#include "text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void on_lock(etcd_mutex *mutex, const etcd_error *err, void *arg)
{
    (void)mutex;
    cli_pending_end(arg, err);
}

/** Takes the lock. Ends the program when a signal comes before. */
static void take(cli_hold *hold, etcd_mutex *mutex)
{
    cli_pending pending = {0};
    etcd_error err;
    if (etcd_mutex_lock_async(mutex, cli_hold_call(hold), on_lock, &pending, NULL, &err) < 0)
        cli_fail_call(CLI_ERROR, &err);
    if (cli_hold_wait(hold, &pending))
        return;
    cli_hold_close(hold);
    cli_fail(CLI_ERROR, "context canceled");
}

/** Gives the lock up at once, then ends the session. */
static void release(cli_hold *hold, etcd_mutex *mutex)
{
    cli_pending pending = {0};
    etcd_error err;
    const etcd_call_options *call = ETCD_CALL(.timeout_ms = CLI_RELEASE_MS);
    if (!hold->lost && etcd_mutex_unlock_async(mutex, call, on_lock, &pending, NULL, &err) == 0)
        cli_pending_wait(&pending, hold->client, CLI_RELEASE_MS);
    cli_hold_close(hold);
}

/** Runs the command, and gives its exit code. Signals wait until it has ended: a terminal sends them to it, too. */
static int run_command(cli_hold *hold, etcd_mutex *mutex)
{
    etcd_response_header header;
    cli_error text;
    pid_t pid;
    int code;
    etcd_mutex_header(mutex, &header);
    char *revision = cli_text("%" PRId64, header.revision);
    setenv("ETCD_LOCK_KEY", etcd_mutex_key(mutex, NULL), 1);
    setenv("ETCD_LOCK_REV", revision, 1);
    free(revision);
    if (!cli_spawn(hold->c->line.args + 1, &pid, &text)) {
        release(hold, mutex);
        cli_fail(CLI_ERROR, "%s", text.text);
    }
    while (!cli_ended(pid, &code, &text))
        cli_wait(hold->client, NULL, 0, -1);
    release(hold, mutex);
    if (text.text[0] != '\0')
        cli_fail(code, "%s", text.text);
    return CLI_OK;
}

static int run_lock(cli *c)
{
    cli_hold hold;
    etcd_mutex *mutex;
    etcd_error err;
    if (cli_n_args(c) == 0)
        cli_fail(CLI_BAD_ARGS, "lock takes a lock name argument and an optional command to execute");
    int64_t ttl = cli_flag_int(c, "ttl");
    const char *name = cli_arg(c, 0);
    cli_hold_open(&hold, c, ttl > 0 ? ttl : 0);
    if (etcd_mutex_new(hold.session, name, strlen(name), &mutex, &err) < 0) {
        cli_hold_close(&hold);
        cli_fail_call(CLI_ERROR, &err);
    }
    take(&hold, mutex);
    if (cli_n_args(c) > 1)
        return run_command(&hold, mutex);
    size_t len;
    const char *key = etcd_mutex_key(mutex, &len);
    cli_hold_print(&hold, key, len);
    bool signaled = cli_hold_until_signal(&hold);
    release(&hold, mutex);
    if (!signaled)
        cli_fail(CLI_ERROR, "session expired");
    return CLI_OK;
}

static const cli_flag lock_flags[] = {
    {.name = "ttl", .type = CLI_INT, .initial = "10", .usage = "timeout for session"},
};

const cli_command cli_lock = {.name = "lock",
                              .usage = "lock <lockname> [exec-command arg1 arg2 ...]",
                              .summary = "Acquires a named lock",
                              .group = CLI_CONCURRENCY,
                              CLI_FLAGS(lock_flags),
                              .run = run_lock};
