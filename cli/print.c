/* Choosing the format; protobuf. See print.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "print.h"

#include <etcd3/format.h>
#include <stdlib.h>

const char *const cli_format_names[] =
    {[CLI_SIMPLE] = "simple", [CLI_FIELDS] = "fields", [CLI_JSON] = "json", [CLI_PROTOBUF] = "protobuf", [CLI_TABLE] = "table"};

void cli_fail_format(const cli *c)
{
    cli_fail(CLI_BAD_FEATURE, "%s not supported as output format", cli_format_names[c->format]);
}

static void print_protobuf(const cli *c, const cli_printer *printer, const void *response)
{
    etcd_format_response *encoded = NULL;
    etcd_error err;

    if (printer->no_protobuf || !printer->type)
        cli_fail_format(c);
    if (etcd_format_protobuf(printer->type, response, &encoded, &err) < 0)
        cli_fail_call(CLI_ERROR, &err);
    fwrite(encoded->text.data, 1, encoded->text.len, stdout);
    etcd_response_free(encoded);
}

bool cli_try_print(cli *c, const cli_printer *printer, const void *response, const void *arg)
{
    cli_print_fn *print = NULL;

    cli_setup(c);
    switch (c->format) {
    case CLI_SIMPLE:
        print = printer->simple;
        break;
    case CLI_FIELDS:
        print = printer->fields;
        break;
    case CLI_TABLE:
        print = printer->table;
        break;
    case CLI_JSON:
        print = printer->json;
        break;
    case CLI_PROTOBUF:
        print = printer->protobuf;
        break;
    }
    if (print) {
        print(stdout, c, response, arg);
    } else if (c->format == CLI_PROTOBUF) {
        print_protobuf(c, printer, response);
    } else if (c->format == CLI_JSON && printer->type) {
        cli_json_message(stdout, printer->type, response);
        putchar('\n');
    } else {
        cli_fail_format(c);
    }
    return fflush(stdout) == 0;
}

void cli_print(cli *c, const cli_printer *printer, const void *response, const void *arg)
{
    if (!cli_try_print(c, printer, response, arg))
        exit(CLI_IO); /* nobody reads any more: quietly */
}
