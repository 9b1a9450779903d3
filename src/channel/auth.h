/* The token of a channel: where it comes from, and getting a new one when the server refuses it.
 *
 * Three sources: user and password (an Authenticate call, one at a time, whose answer all calls share), a fixed
 * token, or a function of the program. The contract, sections 1.5 and 6.6. GO-DIFF: the Go client authenticates
 * again for every stream it opens; here a token is used until the server refuses it. */
#ifndef ETCD__CHANNEL_AUTH_H
#define ETCD__CHANNEL_AUTH_H

#include "base/log.h"
#include "channel/call.h"

#include <stdbool.h>

typedef struct etcd__auth etcd__auth;

/** At most one source is set: user and password, token, or token_fn. Strings are copied. */
typedef struct etcd__auth_config {
    const char *user;
    const char *password;
    const char *token;
    const char *(*token_fn)(void *arg);
    void *token_arg;
} etcd__auth_config;

/** A token store for a channel; NULL in `*out` when no source is set. `on_settled` runs when a token was got (NULL),
 *  or could not be got: then no token is there and the next etcd__auth_want() tries again. */
int etcd__auth_new(const etcd__auth_config *config, struct etcd__channel *channel, etcd__loop *loop,
                   void (*on_settled)(void *arg, const etcd_error *err), void *arg, etcd__auth **out, etcd_error *err);

/** Ends an Authenticate call under way, wipes and frees. NULL is allowed. */
void etcd__auth_free(etcd__auth *auth);

/** Whether calls may be sent: there is a token, or the server said that it wants none. */
bool etcd__auth_settled(const etcd__auth *auth);

/** Gets a token unless that is under way. on_settled follows, later. */
void etcd__auth_want(etcd__auth *auth);

/** The token, "" for none, and its number, for etcd__auth_refused(). */
const char *etcd__auth_token(const etcd__auth *auth, size_t *len, uint64_t *number);

/** The server refused a call with token `number`. Returns whether it is worth sending the call again: with a newer
 *  token, which is there already or will be after etcd__auth_want(). False for a fixed token. */
bool etcd__auth_refused(etcd__auth *auth, uint64_t number);

/** Whether an error is the server's way to ask for a new token. */
bool etcd__auth_is_refusal(int code);

#endif
