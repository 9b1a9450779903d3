/* alarm list, alarm disarm.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"
#include "print.h"

#include <inttypes.h>

static const char *alarm_name(int32_t alarm)
{
    return alarm == ETCD_ALARM_NOSPACE ? "NOSPACE" : alarm == ETCD_ALARM_CORRUPT ? "CORRUPT" : NULL;
}

/** As prototext has it: fields that are zero are left out. */
static void alarm_simple(FILE *out, const cli *c, const void *response, const void *arg)
{
    const etcd_alarm_response *r = response;
    (void)c, (void)arg;
    for (size_t i = 0; i < r->n_alarms; i++) {
        const etcd_alarm_member *member = &r->alarms[i];
        const char *name = alarm_name(member->alarm);
        if (member->member_id != 0)
            fprintf(out, "memberID:%" PRIu64, member->member_id);
        if (member->alarm != 0 && member->member_id != 0)
            fputc(' ', out);
        if (name)
            fprintf(out, "alarm:%s", name);
        else if (member->alarm != 0)
            fprintf(out, "alarm:%" PRId32, member->alarm);
        fputc('\n', out);
    }
}

static void alarm_fields(FILE *out, const cli *c, const void *response, const void *arg)
{
    const etcd_alarm_response *r = response;
    (void)arg;
    cli_fields_header(out, c, &r->header);
    for (size_t i = 0; i < r->n_alarms; i++) {
        cli_fields_uint(out, "MemberID", r->alarms[i].member_id);
        cli_fields_int(out, "AlarmType", r->alarms[i].alarm);
        fputc('\n', out);
    }
}

static int run_list(cli *c)
{
    static const cli_printer printer = {.type = ETCD_CALL_ALARM_LIST, .simple = alarm_simple, .fields = alarm_fields};
    etcd_alarm_response *response;
    etcd_error err;
    if (cli_n_args(c) != 0)
        cli_fail(CLI_BAD_ARGS, "alarm list command accepts no arguments");
    etcd_client *client = cli_client(c);
    if (etcd_alarm_list(client, cli_call(c), &response, &err) < 0)
        cli_fail_call(CLI_ERROR, &err);
    cli_print(c, &printer, response, NULL);
    etcd_response_free(response);
    return CLI_OK;
}

static int run_disarm(cli *c)
{
    static const cli_printer printer = {.type = ETCD_CALL_ALARM_DISARM, .simple = alarm_simple, .fields = alarm_fields};
    etcd_alarm_response *response;
    etcd_error err;
    if (cli_n_args(c) != 0)
        cli_fail(CLI_BAD_ARGS, "alarm disarm command accepts no arguments");
    etcd_client *client = cli_client(c);
    if (etcd_alarm_disarm(client, 0, ETCD_ALARM_NONE, cli_call(c), &response, &err) < 0)
        cli_fail_call(CLI_ERROR, &err);
    cli_print(c, &printer, response, NULL);
    etcd_response_free(response);
    return CLI_OK;
}

const cli_command cli_alarm = {.name = "alarm",
                               .usage = "alarm <subcommand>",
                               .summary = "Alarm related commands",
                               .group = CLI_CLUSTER};

const cli_command cli_alarm_list = {.name = "alarm list", .usage = "list", .summary = "Lists all alarms", .run = run_list};

const cli_command cli_alarm_disarm = {.name = "alarm disarm",
                                      .usage = "disarm",
                                      .summary = "Disarms all alarms",
                                      .run = run_disarm};
