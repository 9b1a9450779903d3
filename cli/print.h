/* Output: how a response looks in each format of --write-out.
 *
 * Each command has a constant `cli_printer` for its response. json and protobuf come from the library's message tables
 * (<etcd3/format.h>) unless the printer has a function of its own for them; a format that a printer lacks is refused with
 * etcdctl's text and exit code 4.
 *
 * print_simple.c, print_fields.c, print_json.c and print_table.c have the pieces that printers share.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_PRINT_H
#define CLI_PRINT_H

#include "cli.h"

/** Writes `response` to `out`; `arg` is what the command passed to cli_print(). */
typedef void cli_print_fn(FILE *out, const cli *c, const void *response, const void *arg);

typedef struct cli_printer {
    int type; /* of etcd_call_type: what the response is; 0: none of these, so json needs a function */
    cli_print_fn *simple;
    cli_print_fn *fields;   /* NULL: not supported */
    cli_print_fn *table;    /* NULL: not supported */
    cli_print_fn *json;     /* NULL: the table of `type` */
    cli_print_fn *protobuf; /* NULL: the table of `type` */
    bool no_protobuf;       /* etcdctl refuses it */
} cli_printer;

/** Prints a response to stdout in the format of --write-out, and flushes. Ends the program when that fails. */
void cli_print(cli *c, const cli_printer *printer, const void *response, const void *arg);

/** The same, but for an output that cannot be written, which ends no program: false. */
bool cli_try_print(cli *c, const cli_printer *printer, const void *response, const void *arg);

/** "<format> not supported as output format", exit 4. */
__attribute__((noreturn)) void cli_fail_format(const cli *c);

/* -- simple -- */

/** Bytes as they are; as "\x61" each with --hex; control bytes escaped on a terminal. */
void cli_print_bytes(FILE *out, const cli *c, etcd_bytes bytes);

/** Key and value, each on a line. */
void cli_print_kv(FILE *out, const cli *c, const etcd_kv *kv);

/* -- fields -- */

/** "ClusterID" and the others of a header. */
void cli_fields_header(FILE *out, const cli *c, const etcd_response_header *header);

/** One line: "name" : value */
void cli_fields_int(FILE *out, const char *name, int64_t value);
void cli_fields_uint(FILE *out, const char *name, uint64_t value);
void cli_fields_id(FILE *out, const cli *c, const char *name, uint64_t id); /* hexadecimal with --hex */
void cli_fields_quoted(FILE *out, const char *name, etcd_bytes value);
void cli_fields_bool(FILE *out, const char *name, bool value);
void cli_fields_text(FILE *out, const char *name, const char *value); /* as it is */

/** All of a key-value, "Key" ... "Lease"; names begin with `prefix`. */
void cli_fields_kv(FILE *out, const cli *c, const char *prefix, const etcd_kv *kv);

/* -- json -- */

/** The message of etcd_call_type `type`, without a newline; as etcd_format_json(). */
void cli_json_message(FILE *out, int type, const void *message);

/** Bytes in base64, in double quotes. */
void cli_json_bytes(FILE *out, etcd_bytes bytes);

/** The text in double quotes, escaped as Go's encoding/json does. */
void cli_json_text(FILE *out, const char *data, size_t len);

/* -- table -- */

/** A table with borders: cells[row * n_columns + column]. The header is written in capitals. */
void cli_table(FILE *out, const char *const *header, const char *const *cells, size_t n_columns, size_t n_rows);

#endif
