/* Watches of one run: what they see is printed, and handed to a command for each event.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_WATCHING_H
#define CLI_WATCHING_H

#include "loop.h"

/** One watch, as a command line or a line of the interactive mode describes it. */
typedef struct cli_watching {
    etcd_watch *watch;         /* NULL once it has ended */
    char **exec;               /* a command for each event, ended by NULL; NULL: none */
    etcd_watch_response *last; /* what the server said when it ended it; NULL: nothing */
} cli_watching;

/** Reads arguments and flags: `line` is of the command, or of one line. What the environment says about keys counts in the former
 * only. False with etcdctl's text in `error`. */
bool cli_watching_open(cli *c, const cli_line *line, bool use_environment, cli_watching *w, cli_error *error);

/** Prints what has arrived. False when the watch has ended; that was told then. */
bool cli_watching_drain(cli *c, cli_watching *w);

/** Prints a response of a watch. */
void cli_watching_print(cli *c, const etcd_watch_response *response);

#endif
