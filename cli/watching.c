/* Watches of one run. See watching.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "watching.h"
#include "print.h"
#include "protobuf.h"
#include "text.h"

#include <etcd3/format.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* -- output -- */

static const char *event_name(const etcd_event *event)
{
    return event->type == ETCD_EVENT_DELETE ? "DELETE" : "PUT";
}

static void watch_simple(FILE *out, const cli *c, const void *response, const void *arg)
{
    const etcd_watch_response *r = response;
    (void)arg;
    for (size_t i = 0; i < r->n_events; i++) {
        const etcd_event *event = &r->events[i];
        fprintf(out, "%s\n", event_name(event));
        if (event->prev_kv)
            cli_print_kv(out, c, event->prev_kv);
        cli_print_kv(out, c, event->kv);
    }
}

static void watch_fields(FILE *out, const cli *c, const void *response, const void *arg)
{
    const etcd_watch_response *r = response;
    (void)arg;
    cli_fields_header(out, c, &r->header);
    for (size_t i = 0; i < r->n_events; i++) {
        const etcd_event *event = &r->events[i];
        cli_fields_text(out, "Type", event_name(event));
        if (event->prev_kv)
            cli_fields_kv(out, c, "Prev", event->prev_kv);
        cli_fields_kv(out, c, "", event->kv);
    }
}

/** With the names of the Go client's own type, and nothing left out. */
static void watch_json(FILE *out, const cli *c, const void *response, const void *arg)
{
    const etcd_watch_response *r = response;
    (void)c, (void)arg;
    fputs("{\"Header\":", out);
    cli_json_message(out, ETCD_FORMAT_HEADER, &r->header);
    fputs(",\"Events\":", out);
    for (size_t i = 0; i < r->n_events; i++) {
        fputc(i == 0 ? '[' : ',', out);
        cli_json_message(out, ETCD_FORMAT_EVENT, &r->events[i]);
    }
    fprintf(out, "%s,\"CompactRevision\":%" PRId64 ",\"Canceled\":%s,\"Created\":%s,\"CancelReason\":\"\"}\n",
            r->n_events > 0 ? "]" : "null", r->compact_revision, r->type == ETCD_WATCH_CANCELED ? "true" : "false",
            r->type == ETCD_WATCH_CREATED ? "true" : "false");
}

static void watch_protobuf(FILE *out, const cli *c, const void *response, const void *arg)
{
    enum { HEADER = 1 * 8 + 2, CANCELED = 4 * 8, COMPACT_REVISION = 5 * 8, EVENTS = 11 * 8 + 2 };
    const etcd_watch_response *r = response;
    (void)c, (void)arg;
    cli_put_message(out, HEADER, ETCD_FORMAT_HEADER, &r->header);
    if (r->type == ETCD_WATCH_CANCELED) {
        cli_put_varint(out, CANCELED);
        cli_put_varint(out, 1);
    }
    if (r->compact_revision != 0) {
        cli_put_varint(out, COMPACT_REVISION);
        cli_put_varint(out, (uint64_t)r->compact_revision);
    }
    for (size_t i = 0; i < r->n_events; i++)
        cli_put_message(out, EVENTS, ETCD_FORMAT_EVENT, &r->events[i]);
}

static const cli_printer watch_printer = {.simple = watch_simple,
                                          .fields = watch_fields,
                                          .json = watch_json,
                                          .protobuf = watch_protobuf};

void cli_watching_print(cli *c, const etcd_watch_response *response)
{
    if (response->type == ETCD_WATCH_PROGRESS)
        printf("progress notify: %" PRId64 "\n", response->header.revision);
    cli_print(c, &watch_printer, response, NULL);
}

/* -- what to watch -- */

static const cli_flag_value *flag(const cli_line *line, const char *name)
{
    return cli_flag_find(&line->locals, name, strlen(name));
}

static bool fail(cli_error *error, const char *text)
{
    cli_error_set(error, "%s", text);
    return false;
}

/** The key and the end of the range: of the arguments before "--", or of the environment. */
static bool find_range(const cli_line *line, bool use_environment, const char **key, const char **end, cli_error *error)
{
    const char *env_key = use_environment ? getenv("ETCDCTL_WATCH_KEY") : NULL;
    const char *env_end = use_environment ? getenv("ETCDCTL_WATCH_RANGE_END") : NULL;
    size_t n = line->dash >= 0 ? (size_t)line->dash : line->n_args;
    bool has_key = env_key && env_key[0] != '\0', has_end = env_end && env_end[0] != '\0';
    if (!has_key && has_end) {
        char *quoted = cli_quoted(env_end, strlen(env_end));
        cli_error_set(error, "ETCDCTL_WATCH_KEY is empty but got ETCDCTL_WATCH_RANGE_END=%s", quoted);
        free(quoted);
        return false;
    }
    if (line->dash >= 0 && (size_t)line->dash == line->n_args)
        return fail(error, "bad number of arguments (found separator --, but no commands)");
    if (has_key && n > 0)
        return fail(error, "bad number of arguments (found conflicting environment key)");
    if (!has_key && n == 0)
        return fail(error, "bad number of arguments");
    *key = has_key ? env_key : line->args[0];
    *end = has_key ? (has_end ? env_end : NULL) : n == 2 ? line->args[1] : NULL; /* of three, etcdctl takes one */
    if (*end && flag(line, "prefix")->number != 0)
        return fail(error, "`range_end` and `--prefix` are mutually exclusive");
    if (*end && **end == '\0') /* an empty one is none */
        *end = NULL;
    return true;
}

/** The command behind "--", in new memory; NULL without one. */
static char **find_command(const cli_line *line)
{
    if (line->dash < 0)
        return NULL;
    size_t n = line->n_args - (size_t)line->dash;
    char **command = cli_alloc((n + 1) * sizeof *command);
    for (size_t i = 0; i < n; i++) {
        const char *word = line->args[(size_t)line->dash + i];
        command[i] = cli_copy(word, strlen(word));
    }
    command[n] = NULL;
    return command;
}

bool cli_watching_open(cli *c, const cli_line *line, bool use_environment, cli_watching *w, cli_error *error)
{
    const char *key, *end;
    etcd_error err;
    if (!find_range(line, use_environment, &key, &end, error))
        return false;
    bool prefix = flag(line, "prefix")->number != 0;
    size_t key_len = strlen(key);
    if (key_len == 0 && !prefix)
        key_len = 1; /* the first key there can be, "\x00" */
    if (etcd_watch_open(cli_client(c), key, key_len,
                        ETCD_WATCH(.prefix = prefix, .range_end = end, .range_end_len = end ? (int64_t)strlen(end) : 0,
                                   .start_revision = flag(line, "rev")->number, .prev_kv = flag(line, "prev-kv")->number != 0,
                                   .progress_notify = flag(line, "progress-notify")->number != 0, .require_leader = true,
                                   .canceled_notify = true),
                        &w->watch, &err) < 0)
        cli_fail_call(CLI_ERROR, &err);
    w->exec = find_command(line);
    return true;
}

/* -- what was seen -- */

static void set_quoted(const char *name, const char *data, size_t len)
{
    char *quoted = cli_quoted(data, len);
    setenv(name, quoted, 1);
    free(quoted);
}

/** ["sh" "-c" "exit 3"] */
static void print_words(FILE *out, char *const *words)
{
    fputc('[', out);
    for (size_t i = 0; words[i]; i++) {
        if (i > 0)
            fputc(' ', out);
        cli_quote(out, words[i], strlen(words[i]));
    }
    fputc(']', out);
}

/** Runs the command for an event, and ends the program when it fails. */
static void run_command(cli *c, char *const *command, const etcd_watch_response *response, const etcd_event *event)
{
    cli_error text;
    pid_t pid;
    int code = 0;
    const char *name = event_name(event);
    char *revision = cli_text("%" PRId64, response->header.revision);
    setenv("ETCD_WATCH_REVISION", revision, 1);
    free(revision);
    set_quoted("ETCD_WATCH_EVENT_TYPE", name, strlen(name));
    set_quoted("ETCD_WATCH_KEY", event->kv->key.data, event->kv->key.len);
    set_quoted("ETCD_WATCH_VALUE", event->kv->value.data, event->kv->value.len);
    if (cli_spawn(command, &pid, &text))
        while (!cli_ended(pid, &code, &text))
            cli_wait(c->client, NULL, 0, -1);
    if (text.text[0] == '\0')
        return;
    fputs("command ", stderr);
    print_words(stderr, command);
    fprintf(stderr, " error (%s)\n", text.text);
    exit(CLI_ERROR);
}

/** Tells the end of a watch. `last` is what the server said, NULL when the library ended it. */
static void print_end(cli *c, const etcd_watch_response *last, const etcd_error *err)
{
    etcd_watch_response end = {.type = ETCD_WATCH_CANCELED};
    if (last && last->compact_revision != 0) { /* for other reasons etcdctl has no header */
        end.header = last->header;
        end.compact_revision = last->compact_revision;
    }
    /* The server's words; the general text of an error of the server's, as the library's own says more */
    const char *text = last && last->reason.len > 0 && last->compact_revision == 0 ? last->reason.data
                       : err->code <= -201                                         ? etcd_error_text(err->code)
                                                                                   : err->message;
    fprintf(stderr, "watch was canceled (%s)\n", text);
    cli_print(c, &watch_printer, &end, NULL);
}

bool cli_watching_drain(cli *c, cli_watching *w)
{
    for (;;) {
        etcd_watch_response *response;
        etcd_error err;
        int rc = etcd_watch_next(w->watch, 0, &response, &err);
        if (rc == ETCD_ERR_TIMED_OUT)
            return true;
        if (rc != ETCD_OK) {
            print_end(c, w->last, &err);
            etcd_response_free(w->last);
            etcd_watch_free(w->watch);
            *w = (cli_watching){.exec = w->exec};
            return false;
        }
        if (response->type == ETCD_WATCH_CANCELED) {
            w->last = response;
            continue;
        }
        cli_watching_print(c, response);
        for (size_t i = 0; w->exec && i < response->n_events; i++)
            run_command(c, w->exec, response, &response->events[i]);
        etcd_response_free(response);
    }
}
