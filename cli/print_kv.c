/* How the answers to get, put, del and txn look. See print.h and kv.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kv.h"

#include <inttypes.h>
#include <stdlib.h>

/* -- get; `arg` is a bool: values only -- */

static void get_simple(FILE *out, const cli *c, const void *response, const void *arg)
{
    const etcd_get_response *get = response;
    const bool *values_only = arg;

    for (size_t i = 0; i < get->n_kvs; i++) {
        if (!values_only || !*values_only) {
            cli_print_bytes(out, c, get->kvs[i].key);
            putc('\n', out);
        }
        cli_print_bytes(out, c, get->kvs[i].value);
        putc('\n', out);
    }
}

static void get_fields(FILE *out, const cli *c, const void *response, const void *arg)
{
    const etcd_get_response *get = response;

    (void)arg;
    cli_fields_header(out, c, &get->header);
    for (size_t i = 0; i < get->n_kvs; i++)
        cli_fields_kv(out, c, "", &get->kvs[i]);
    cli_fields_bool(out, "More", get->more);
    cli_fields_int(out, "Count", get->count);
}

/* Bytes as one line of text, in new memory: quoted when they are more than that. */
static char *cell_of(etcd_bytes bytes)
{
    char *quoted = cli_quoted(bytes.data, bytes.len);

    for (size_t i = 0; i < bytes.len; i++)
        if (bytes.data[i] == '\\' || bytes.data[i] == '"' || quoted[i + 1] != bytes.data[i])
            return quoted;
    free(quoted);
    return cli_copy(bytes.data, bytes.len);
}

static char *number_cell(const char *format, int64_t value)
{
    char text[24];
    int len = 0;

    if (*format == 'x')
        len = snprintf(text, sizeof text, "%016" PRIx64, (uint64_t)value);
    else
        len = snprintf(text, sizeof text, "%" PRId64, value);
    return cli_copy(text, (size_t)len);
}

static void get_table(FILE *out, const cli *c, const void *response, const void *arg)
{
    static const char *const header[] = {"key", "value", "create revision", "mod revision", "version", "lease"};
    enum { COLUMNS = sizeof header / sizeof *header };
    const etcd_get_response *get = response;
    char **cells = cli_alloc((get->n_kvs * COLUMNS + 1) * sizeof *cells);
    const char *const *view = (const char *const *)cells;

    (void)c;
    (void)arg;
    for (size_t i = 0; i < get->n_kvs; i++) {
        const etcd_kv *kv = &get->kvs[i];
        char **row = &cells[i * COLUMNS];

        row[0] = cell_of(kv->key);
        row[1] = cell_of(kv->value);
        row[2] = number_cell("d", kv->create_revision);
        row[3] = number_cell("d", kv->mod_revision);
        row[4] = number_cell("d", kv->version);
        row[5] = kv->lease ? number_cell("x", kv->lease) : cli_copy("", 0);
    }
    cli_table(out, header, view, COLUMNS, get->n_kvs);
    for (size_t i = 0; i < get->n_kvs * COLUMNS; i++)
        free(cells[i]);
    free(cells);
}

const cli_printer cli_get_printer = {.type = ETCD_CALL_GET, .simple = get_simple, .fields = get_fields, .table = get_table};

/* -- put -- */

static void put_simple(FILE *out, const cli *c, const void *response, const void *arg)
{
    const etcd_put_response *put = response;

    (void)arg;
    fputs("OK\n", out);
    if (put->prev_kv)
        cli_print_kv(out, c, put->prev_kv);
}

static void put_fields(FILE *out, const cli *c, const void *response, const void *arg)
{
    const etcd_put_response *put = response;

    (void)arg;
    cli_fields_header(out, c, &put->header);
    if (put->prev_kv)
        cli_fields_kv(out, c, "Prev", put->prev_kv);
}

const cli_printer cli_put_printer = {.type = ETCD_CALL_PUT, .simple = put_simple, .fields = put_fields};

/* -- del -- */

static void delete_simple(FILE *out, const cli *c, const void *response, const void *arg)
{
    const etcd_delete_response *del = response;

    (void)arg;
    fprintf(out, "%" PRId64 "\n", del->deleted);
    for (size_t i = 0; i < del->n_prev_kvs; i++)
        cli_print_kv(out, c, &del->prev_kvs[i]);
}

static void delete_fields(FILE *out, const cli *c, const void *response, const void *arg)
{
    const etcd_delete_response *del = response;

    (void)arg;
    cli_fields_header(out, c, &del->header);
    cli_fields_int(out, "Deleted", del->deleted);
    for (size_t i = 0; i < del->n_prev_kvs; i++)
        cli_fields_kv(out, c, "Prev", &del->prev_kvs[i]);
}

const cli_printer cli_delete_printer = {.type = ETCD_CALL_DELETE, .simple = delete_simple, .fields = delete_fields};
