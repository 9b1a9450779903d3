/* What commands share: flags by name, the end of the program, errors in etcdctl's words. See cli.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* -- flags -- */

const cli_flag_value *cli_flag_of(const cli *c, const char *name)
{
    const cli_flag_value *value = cli_flag_find(&c->line.locals, name, strlen(name));

    if (!value)
        value = cli_flag_find(&c->line.inherited, name, strlen(name));
    if (!value)
        value = cli_flag_find(&c->line.globals, name, strlen(name));
    if (!value)
        abort(); /* a command asks for a flag that is not in its table */
    return value;
}

bool cli_flag_bool(const cli *c, const char *name)
{
    return cli_flag_of(c, name)->number != 0;
}

int64_t cli_flag_int(const cli *c, const char *name)
{
    return cli_flag_of(c, name)->number;
}

uint64_t cli_flag_uint(const cli *c, const char *name)
{
    return cli_flag_of(c, name)->natural;
}

int64_t cli_flag_ns(const cli *c, const char *name)
{
    return cli_flag_of(c, name)->number;
}

const char *cli_flag_text(const cli *c, const char *name)
{
    return cli_flag_of(c, name)->text;
}

bool cli_flag_changed(const cli *c, const char *name)
{
    return cli_flag_of(c, name)->changed;
}

/* -- the end -- */

void cli_fail(int code, const char *format, ...)
{
    va_list list;

    cli_echo(true);
    fflush(stdout);
    fputs("Error: ", stderr);
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    putc('\n', stderr);
    exit(code);
}

static void json_text(FILE *out, const char *text)
{
    putc('"', out);
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;

        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < 0x20)
            fprintf(out, "\\u%04x", c);
        else
            putc(c, out);
    }
    putc('"', out);
}

void cli_log(const char *level, const char *message, const char *key, const char *value)
{
    struct timespec now;
    struct tm utc;
    char when[32] = "";

    clock_gettime(CLOCK_REALTIME, &now);
    if (gmtime_r(&now.tv_sec, &utc))
        strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &utc);
    fflush(stdout);
    fprintf(stderr, "{\"level\":\"%s\",\"ts\":\"%s.%06ldZ\",\"msg\":", level, when, now.tv_nsec / 1000);
    json_text(stderr, message);
    fprintf(stderr, ",\"%s\":", key);
    json_text(stderr, value);
    fputs("}\n", stderr);
}

/* -- errors of calls -- */

/* Go's names of the gRPC codes */
static const char *const code_names[] = {
    "OK",       "Canceled",        "Unknown",          "InvalidArgument",   "DeadlineExceeded",
    "NotFound", "AlreadyExists",   "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
    "Aborted",  "OutOfRange",      "Unimplemented",    "Internal",          "Unavailable",
    "DataLoss", "Unauthenticated",
};

const char *cli_error_text(const etcd_error *err)
{
    static char text[ETCD_ERROR_MESSAGE_MAX + 64];
    const char *general = etcd_error_text(err->code);

    if (err->code == ETCD_ERR_DEADLINE_EXCEEDED || err->code == ETCD_ERR_CANCELED || err->code <= -201) {
        if (strcmp(err->message, general) != 0)
            cli_log("warn", "retrying of unary invoker failed", "error", err->message);
        return general;
    }
    if (err->code == ETCD_ERR_TOO_LARGE) {
        snprintf(text, sizeof text, "rpc error: code = ResourceExhausted desc = %s", err->message);
        return text;
    }
    if (err->code <= -101 && err->code >= -116 && err->grpc_code > 0 && err->grpc_code <= 16) {
        snprintf(text, sizeof text, "rpc error: code = %s desc = %s", code_names[err->grpc_code], err->message);
        return text;
    }
    snprintf(text, sizeof text, "%s", err->message[0] ? err->message : general);
    return text;
}

void cli_fail_call(int code, const etcd_error *err)
{
    if (err->code == ETCD_ERR_AUTH_FAILED) /* etcdctl finds it when it connects */
        code = CLI_BAD_CONNECTION;
    cli_fail(code, "%s", cli_error_text(err));
}

int64_t cli_lease_id(const char *text)
{
    cli_error error;
    int64_t id;

    if (!cli_parse_int(text, 16, &id, &error))
        cli_fail(CLI_BAD_ARGS, "bad lease ID (%s), expecting ID in Hex", error.text);
    return id;
}
