/* One run of etcd3ctl: what every command gets, and what commands do alike.
 *
 * A command takes its arguments and flags from `c->line`, then asks for the client (which reads the environment and the global
 * flags), makes its calls and prints. When something is wrong it ends the program through cli_fail(): memory that the run
 * allocated is left to the system then.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "parse.h"

#include <etcd3/etcd.h>

/** Exit codes: those of etcdctl. */
enum cli_exit {
    CLI_OK = 0,
    CLI_ERROR = 1,
    CLI_BAD_CONNECTION = 2,
    CLI_INVALID_INPUT = 3,
    CLI_BAD_FEATURE = 4,
    CLI_INTERRUPTED = 5,
    CLI_IO = 6,
    CLI_BAD_ARGS = 128
};

typedef enum cli_format { CLI_SIMPLE, CLI_FIELDS, CLI_JSON, CLI_PROTOBUF, CLI_TABLE } cli_format;

/** By cli_format. */
extern const char *const cli_format_names[];

struct cli {
    const char *program; /* "etcd3ctl", or "etcdctl" when it was called so */
    cli_line line;
    cli_format format;   /* set by cli_setup() */
    bool hex;            /* --hex; likewise */
    bool escape;         /* stdout is a terminal: control bytes from the server are not let through */
    etcd_client *client; /* made by cli_client() */
    char *endpoints;     /* comma-separated, as the client got them */
    bool discovered;     /* they are those that --discovery-srv found */
    etcd_call_options call;
    bool is_set_up;
    bool threads;   /* the client gets an I/O thread: for commands that set it before cli_client() */
    bool in_lines;  /* this is a line of a command's input: stdin has no value for it */
    char *password; /* as it was asked for */
};

/* -- arguments and flags -- */

static inline size_t cli_n_args(const cli *c)
{
    return c->line.n_args;
}

static inline const char *cli_arg(const cli *c, size_t i)
{
    return c->line.args[i];
}

/** A flag of the command, else the global one of that name. It must exist. */
const cli_flag_value *cli_flag_of(const cli *c, const char *name);
bool cli_flag_bool(const cli *c, const char *name);
int64_t cli_flag_int(const cli *c, const char *name);
uint64_t cli_flag_uint(const cli *c, const char *name);
int64_t cli_flag_ns(const cli *c, const char *name);
const char *cli_flag_text(const cli *c, const char *name);
bool cli_flag_changed(const cli *c, const char *name);

/* -- the client -- */

/** Reads the environment (ETCDCTL_...) into the global flags, and the output format. Commands that need no client but these
 *  call it themselves; cli_client() does. Once. */
void cli_setup(cli *c);

/** The client that the global flags describe; made at the first call. Ends the program when it cannot be made. */
etcd_client *cli_client(cli *c);

/** A client on other endpoints (comma-separated), else as the global flags say; the caller frees it. */
etcd_client *cli_client_for(cli *c, const char *endpoints);

/** A client with options of the command's own (endpoints, tls, username and password); the other global flags are applied
 *  to them. The caller frees it. For make-mirror, which has a second cluster. */
etcd_client *cli_client_with(cli *c, etcd_client_options *options);

/** The endpoints as a list of `*n`: those of --endpoints, or what --discovery-srv found. */
char **cli_endpoints(cli *c, size_t *n);

/** Those of --endpoints alone: etcdctl's commands about single members know no others but the cluster's. */
char **cli_given_endpoints(cli *c, size_t *n);

/** An endpoint of --discovery-srv as etcdctl shows it, in new memory: the host ends with a dot, as in DNS. */
char *cli_endpoint_found(const char *endpoint, size_t len);

void cli_endpoints_free(char **list, size_t n);

/** Ends the program with etcdctl's text and CLI_BAD_ARGS when a file cannot be read. */
void cli_check_file(const char *path);

/** Options of a call with the deadline of --command-timeout; ..._unbounded: with none. Valid until the next call of either. */
const etcd_call_options *cli_call(cli *c);
const etcd_call_options *cli_call_unbounded(cli *c);

/* -- the end -- */

/** "Error: ..." on stderr, and exit with `code`. */
__attribute__((format(printf, 2, 3), noreturn)) void cli_fail(int code, const char *format, ...);

/** The text that etcdctl has for an error of a call. What only the library knows (why there was no connection, ...) goes to
 *  stderr as a line of log. Static storage. */
const char *cli_error_text(const etcd_error *err);

/** cli_fail() with that text. */
__attribute__((noreturn)) void cli_fail_call(int code, const etcd_error *err);

/** A line of log on stderr, in the form of the Go client's: {"level":"warn","ts":...,"msg":...,"<key>":"<value>"}. */
void cli_log(const char *level, const char *message, const char *key, const char *value);

/** Reads a lease id, hexadecimal; ends the program with etcdctl's text and CLI_BAD_ARGS when it is none. */
int64_t cli_lease_id(const char *text);

/** Reads a word without showing it: from the terminal after `prompt` (without echo), else a line of stdin. New memory. */
char *cli_ask_password(const char *prompt);

/** Puts the terminal's echo on or off; cli_fail() and signals put it on again. */
void cli_echo(bool on);

#endif
