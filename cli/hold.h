/* What lock and elect share: a session, and the key that is held in it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_HOLD_H
#define CLI_HOLD_H

#include "loop.h"

/** How long the end of a session may take after a signal: whoever waits for the key is to get it within a second. */
#define CLI_RELEASE_MS 900

typedef struct cli_hold {
    cli *c;
    etcd_client *client;
    etcd_session *session;
    etcd_cancel *cancel; /* of what is under way */
    bool lost;           /* the session has ended by itself */
} cli_hold;

/** Catches signals and opens a session; ttl_s 0: the library's default. Ends the program when there is none. */
void cli_hold_open(cli_hold *hold, cli *c, int64_t ttl_s);

/** Options of a call without deadline that a signal cancels. Valid until the next call. */
const etcd_call_options *cli_hold_call(cli_hold *hold);

/** Waits for a call that was made with these options. False when a signal canceled it; other errors end the program. */
bool cli_hold_wait(cli_hold *hold, cli_pending *pending);

/** Prints the key that is held, as `get` does. When nobody reads it, ends the session and the program. */
void cli_hold_print(cli_hold *hold, const char *key, size_t len);

/** Waits until a signal comes. False: the session was lost before. */
bool cli_hold_until_signal(cli_hold *hold);

/** Ends the session, whose keys go with it. Takes at most CLI_RELEASE_MS. */
void cli_hold_close(cli_hold *hold);

#endif
