/* Waiting for several things at once: calls of a client in manual mode, signals, descriptors, a command that runs.
 *
 * Commands that hold something (a lock, a leadership, a watch) start their calls in the callback form, and wait here. Signals
 * arrive through a pipe, so nothing is done in a handler.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_LOOP_H
#define CLI_LOOP_H

#include "cli.h"

#include <poll.h>
#include <sys/types.h>

/** From now on SIGINT and SIGTERM do not act but are told by cli_wait(). */
void cli_catch_signals(void);

/** The same for SIGHUP, unless it is ignored (nohup). */
void cli_catch_hangup(void);

/** Waits until something has happened, or timeout_ms have passed (negative: without bound), and drives the client, which may be
 * NULL. The descriptors in `more` are polled, too. Returns a signal that is caught when it came, else 0. */
int cli_wait(etcd_client *client, struct pollfd *more, size_t n_more, int64_t timeout_ms);

/** The end of a call that was started with a callback. */
typedef struct cli_pending {
    bool done;
    int code;
    etcd_error err;
} cli_pending;

/** Takes the end: for use in callbacks. `err` is NULL after a success. */
void cli_pending_end(cli_pending *pending, const etcd_error *err);

/** Waits for the end of a call, but not longer than timeout_ms (negative: without bound). Returns a signal that came before, 0
 * otherwise: see `pending->done`. */
int cli_pending_wait(cli_pending *pending, etcd_client *client, int64_t timeout_ms);

/** Starts a command, found as a shell does, without stdin. Its end wakes cli_wait(). False with Go's text for it. */
bool cli_spawn(char *const *argv, pid_t *pid, cli_error *error);

/** Whether the command has ended. Its exit code, 255 for a signal's, goes to `code`, and its end in Go's words to `text`, "" for
 * a success. */
bool cli_ended(pid_t pid, int *code, cli_error *text);

#endif
