/* endpoint health: all members at the same time.
 *
 * A member is healthy when a linearizable read succeeds there (or is refused for want of permission, which also takes a quorum)
 * and no alarm is raised. Members are shown in the order in which they answered.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"
#include "endpoints.h"
#include "print.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

typedef struct check {
    const char *endpoint;
    bool healthy;
    int64_t took_ns;
    char *error; /* NULL: none */
} check;

typedef struct checks {
    check *items; /* in the order of their ends */
    size_t n;
} checks;

/* -- output -- */

static const char *took(const check *item, char *text, size_t size)
{
    return cli_format_duration(item->took_ns, text, size);
}

static const char *error_of(const check *item)
{
    return item->error ? item->error : "";
}

static void health_simple(FILE *out, const cli *c, const void *response, const void *arg)
{
    const checks *all = response;
    char text[64];
    (void)c, (void)arg;
    for (size_t i = 0; i < all->n; i++) {
        const check *item = &all->items[i];
        if (item->healthy)
            fprintf(out, "%s is healthy: successfully committed proposal: took = %s\n", item->endpoint,
                    took(item, text, sizeof text));
        else
            fprintf(stderr, "%s is unhealthy: failed to commit proposal: %s\n", item->endpoint, error_of(item));
    }
}

static void health_fields(FILE *out, const cli *c, const void *response, const void *arg)
{
    const checks *all = response;
    char text[64];
    (void)c, (void)arg;
    for (size_t i = 0; i < all->n; i++) {
        const check *item = &all->items[i];
        cli_fields_quoted(out, "Endpoint", (etcd_bytes){item->endpoint, strlen(item->endpoint)});
        cli_fields_bool(out, "Health", item->healthy);
        cli_fields_text(out, "Took", took(item, text, sizeof text));
        cli_fields_text(out, "Error", error_of(item));
        fputc('\n', out);
    }
}

static void health_json(FILE *out, const cli *c, const void *response, const void *arg)
{
    const checks *all = response;
    char text[64];
    (void)c, (void)arg;
    fputc('[', out);
    for (size_t i = 0; i < all->n; i++) {
        const check *item = &all->items[i];
        fprintf(out, "%s{\"endpoint\":", i == 0 ? "" : ",");
        cli_json_text(out, item->endpoint, strlen(item->endpoint));
        fprintf(out, ",\"health\":%s,\"took\":", item->healthy ? "true" : "false");
        took(item, text, sizeof text);
        cli_json_text(out, text, strlen(text));
        if (item->error) {
            fputs(",\"error\":", out);
            cli_json_text(out, item->error, strlen(item->error));
        }
        fputc('}', out);
    }
    fputs("]\n", out);
}

static void health_table(FILE *out, const cli *c, const void *response, const void *arg)
{
    static const char *const header[] = {"endpoint", "health", "took", "error"};
    enum { COLUMNS = sizeof header / sizeof *header };
    const checks *all = response;
    char **cells = cli_alloc((all->n + 1) * COLUMNS * sizeof *cells), text[64];
    (void)c, (void)arg;
    for (size_t i = 0; i < all->n; i++) {
        const check *item = &all->items[i];
        cells[i * COLUMNS] = cli_text("%s", item->endpoint);
        cells[i * COLUMNS + 1] = cli_text("%s", item->healthy ? "true" : "false");
        cells[i * COLUMNS + 2] = cli_text("%s", took(item, text, sizeof text));
        cells[i * COLUMNS + 3] = cli_text("%s", error_of(item));
    }
    cli_table(out, header, (const char *const *)cells, COLUMNS, all->n);
    cli_free_texts(cells, all->n * COLUMNS);
}

/* -- the checks -- */

static const char *alarm_name(int32_t alarm)
{
    return alarm == ETCD_ALARM_NOSPACE ? "NOSPACE" : alarm == ETCD_ALARM_CORRUPT ? "CORRUPT" : "UNKNOWN";
}

/** The text about alarms; NULL when there are none. */
static char *alarms_text(const etcd_alarm_response *alarms)
{
    char *text = cli_text("Active Alarm(s): ");
    if (alarms->n_alarms == 0) {
        free(text);
        return NULL;
    }
    for (size_t i = 0; i < alarms->n_alarms; i++) {
        char *longer = cli_text("%s%s ", text, alarm_name(alarms->alarms[i].alarm));
        free(text);
        text = longer;
    }
    return text;
}

/** A read of one member that is under way. */
typedef struct probe {
    check result;
    checks *all;
    int64_t begin_ns;
    etcd_call_options call;
} probe;

static void probe_end(probe *p)
{
    p->result.healthy = !p->result.error;
    p->all->items[p->all->n++] = p->result;
}

static void on_alarms(probe *p, const etcd_completion *end)
{
    p->result.error = end->error ? cli_text("Unable to fetch the alarm list") : alarms_text(end->response);
    probe_end(p);
}

static void on_read(etcd_client *client, probe *p, const etcd_completion *end)
{
    etcd_error failed;
    p->result.took_ns = cli_now_ns() - p->begin_ns;
    if (end->error && end->code != ETCD_ERR_PERMISSION_DENIED) {
        p->result.error = cli_text("%s", cli_error_text(end->error));
        probe_end(p);
    } else if (etcd_alarm_list_async(client, &p->call, NULL, p, NULL, &failed) < 0) {
        p->result.error = cli_text("%s", cli_error_text(&failed));
        probe_end(p);
    }
}

/** Takes the ends of calls until all members are judged. */
static void await(etcd_client *client, const checks *all, size_t n)
{
    etcd_completion *end;
    etcd_error err;
    while (all->n < n) {
        if (etcd_client_next_completion(client, -1, &end, &err) < 0)
            cli_fail_call(CLI_ERROR, &err);
        if (end->type == ETCD_CALL_GET)
            on_read(client, end->arg, end);
        else
            on_alarms(end->arg, end);
        etcd_response_free(end);
    }
}

static int run_health(cli *c)
{
    static const cli_printer printer = {
        .simple = health_simple, .fields = health_fields, .table = health_table, .json = health_json, .no_protobuf = true};
    etcd_error err;
    size_t n;
    bool healthy = true;
    cli_setup(c);
    char **targets = cli_targets(c, &n);
    etcd_client *client = cli_client(c);
    checks all = {.items = cli_alloc((n + 1) * sizeof *all.items)};
    probe *probes = cli_alloc((n + 1) * sizeof *probes);
    for (size_t i = 0; i < n; i++) {
        probe *p = &probes[i];
        *p = (probe){.result.endpoint = targets[i], .all = &all, .begin_ns = cli_now_ns(), .call = *cli_call_to(c, targets[i])};
        if (etcd_get_async(client, ETCD_STR("health"), ETCD_GET(.call = &p->call), NULL, p, NULL, &err) < 0) {
            p->result.error = cli_text("%s", cli_error_text(&err));
            probe_end(p);
        }
    }
    await(client, &all, n);
    for (size_t i = 0; i < n; i++)
        healthy = healthy && all.items[i].healthy;
    cli_print(c, &printer, &all, NULL);
    for (size_t i = 0; i < n; i++)
        free(all.items[i].error);
    free(all.items);
    free(probes);
    cli_free_texts(targets, n);
    if (!healthy)
        cli_fail(CLI_ERROR, "unhealthy cluster");
    return CLI_OK;
}

const cli_command cli_endpoint_health = {.name = "endpoint health",
                                         .usage = "health",
                                         .summary = "Checks the healthiness of endpoints specified in `--endpoints` flag",
                                         .also_flags_of = &cli_endpoint,
                                         .run = run_health};
