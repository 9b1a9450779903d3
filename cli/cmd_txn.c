/* txn: a transaction from stdin, in three blocks of lines: compares, operations for when all hold, operations for when not.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"
#include "help.h"
#include "kv.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const cli_flag txn_flags[] = {
    {"interactive", "Input transaction in interactive mode", NULL, CLI_BOOL, 'i'},
};

/* -- lines -- */

/* The next line without the white space around it, in new memory; NULL for the empty one that ends a block. */
static char *read_line(void)
{
    char *line = NULL, *text;
    size_t size = 0;
    ssize_t len = getline(&line, &size, stdin);
    size_t begin = 0, end;

    if (len <= 0 || line[len - 1] != '\n')
        cli_fail(CLI_INVALID_INPUT, "EOF");
    for (end = (size_t)len; end > 0 && isspace((unsigned char)line[end - 1]); end--)
        ;
    while (begin < end && isspace((unsigned char)line[begin]))
        begin++;
    text = end > begin ? cli_copy(line + begin, end - begin) : NULL;
    free(line);
    return text;
}

/* -- compares -- */

typedef struct compare {
    char *key, *value, *op;
    size_t key_len, value_len;
} compare;

static const char *skip_space(const char *s)
{
    while (*s && isspace((unsigned char)*s))
        s++;
    return s;
}

/* Reads `"key") op "value"`, as far as it goes. */
static bool scan_compare(const char *s, compare *found)
{
    const char *begin;

    memset(found, 0, sizeof *found);
    if (!cli_unquote(skip_space(s), &found->key, &found->key_len, &s) || *s++ != ')' || !isspace((unsigned char)*s))
        return false;
    begin = s = skip_space(s);
    while (*s && !isspace((unsigned char)*s))
        s++;
    found->op = cli_copy(begin, (size_t)(s - begin));
    return isspace((unsigned char)*s) && cli_unquote(skip_space(s), &found->value, &found->value_len, &s);
}

static void malformed(const char *line, int target_len, const compare *found)
{
    char *key = cli_quoted(found->key ? found->key : "", found->key_len);
    char *value = cli_quoted(found->value ? found->value : "", found->value_len);

    cli_fail(CLI_INVALID_INPUT, "malformed comparison: %s; got %.*s(%s) %s %s", line, target_len, line, key,
             found->op ? found->op : "", value);
}

static int32_t operator_of(const char *line, const char *op)
{
    static const struct {
        const char *name;
        int32_t value;
    } all[] = {{"=", ETCD_CMP_EQUAL}, {"!=", ETCD_CMP_NOT_EQUAL}, {">", ETCD_CMP_GREATER}, {"<", ETCD_CMP_LESS}};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(op, all[i].name) == 0)
            return all[i].value;
    cli_fail(CLI_INVALID_INPUT, "malformed comparison: %s (unknown operator %s)", line, op);
}

static int32_t target_of(const char *line, size_t len)
{
    static const struct {
        const char *name;
        int32_t value;
    } all[] = {{"ver", ETCD_COMPARE_VERSION},   {"version", ETCD_COMPARE_VERSION}, {"c", ETCD_COMPARE_CREATE},
               {"create", ETCD_COMPARE_CREATE}, {"m", ETCD_COMPARE_MOD},           {"mod", ETCD_COMPARE_MOD},
               {"val", ETCD_COMPARE_VALUE},     {"value", ETCD_COMPARE_VALUE},     {"lease", ETCD_COMPARE_LEASE}};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strlen(all[i].name) == len && memcmp(all[i].name, line, len) == 0)
            return all[i].value;
    cli_fail(CLI_INVALID_INPUT, "malformed comparison: %s (unknown target %.*s)", line, (int)len, line);
}

static void add_compare(etcd_txn *txn, const char *line)
{
    const char *parenthesis = strchr(line, '(');
    size_t len = parenthesis ? (size_t)(parenthesis - line) : 0;
    etcd_compare_options options;
    compare found;
    cli_error error;

    if (!parenthesis)
        cli_fail(CLI_INVALID_INPUT, "malformed comparison: %s", line);
    if (!scan_compare(parenthesis + 1, &found))
        malformed(line, (int)len, &found);
    etcd_compare_options_init(&options, sizeof options);
    options.target = target_of(line, len);
    options.op = operator_of(line, found.op);
    if (options.target == ETCD_COMPARE_VALUE) {
        options.value = found.value;
        options.value_len = (int64_t)found.value_len;
    } else if (!cli_parse_int(found.value, options.target == ETCD_COMPARE_LEASE ? 16 : 10, &options.number, &error)) {
        cli_fail(CLI_INVALID_INPUT, "invalid txn compare request: %s", line);
    }
    etcd_txn_if(txn, found.key, found.key_len, &options);
    free(found.key);
    free(found.op);
    free(found.value);
}

/* -- operations -- */

static void add_get(const cli *c, etcd_txn *txn)
{
    cli_get_request request;

    cli_get_read(c, &request);
    etcd_txn_get(txn, request.key, strlen(request.key), &request.options);
}

static void add_put(const cli *c, etcd_txn *txn)
{
    cli_put_request request;

    cli_put_read(c, &request);
    etcd_txn_put(txn, request.key, strlen(request.key), request.value ? request.value : "", request.value_len, &request.options);
    free(request.value);
}

static void add_delete(const cli *c, etcd_txn *txn)
{
    cli_delete_request request;

    cli_delete_read(c, &request);
    etcd_txn_delete(txn, request.key, strlen(request.key), &request.options);
}

static void add_operation(const cli *c, etcd_txn *txn, const char *text)
{
    static const cli_command *const known[] = {&cli_get, &cli_put, &cli_del};
    static void (*const add[])(const cli *, etcd_txn *) = {add_get, add_put, add_delete};
    cli op = *c;
    char **words;
    size_t n;
    cli_error error;
    cli_parse_result result;

    op.in_lines = true;
    if (!cli_split(text, &words, &n, &error))
        cli_fail(CLI_INVALID_INPUT, "%s", error.text);
    if (n < 2)
        cli_fail(CLI_INVALID_INPUT, "invalid txn compare request: %s", text);
    result = cli_parse_inner(known, sizeof known / sizeof *known, words, n, &op.line, &error);
    if (result == CLI_BAD_FLAG) {
        cli_usage(stderr, "", op.line.command);
        putc('\n', stderr);
    }
    if (result == CLI_PARSED && op.line.help)
        cli_help(stdout, "", op.line.command);
    if (result != CLI_PARSED || op.line.help || !op.line.command)
        cli_fail(CLI_INVALID_INPUT, "invalid txn request: %s", text);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (op.line.command == known[i])
            add[i](&op, txn);
    cli_line_free(&op.line);
    cli_words_free(words, n);
}

/* -- the answer -- */

static void print_part(FILE *out, const cli *c, const etcd_op_response *part, bool fields)
{
    const cli_printer *printer = NULL;
    const void *response = NULL;

    if (part->type == ETCD_OP_GET) {
        printer = &cli_get_printer;
        response = part->get;
    } else if (part->type == ETCD_OP_PUT) {
        printer = &cli_put_printer;
        response = part->put;
    } else if (part->type == ETCD_OP_DELETE) {
        printer = &cli_delete_printer;
        response = part->del;
    }
    if (response)
        (fields ? printer->fields : printer->simple)(out, c, response, NULL);
}

static void txn_simple(FILE *out, const cli *c, const void *response, const void *arg)
{
    const etcd_txn_response *txn = response;

    (void)arg;
    fputs(txn->succeeded ? "SUCCESS\n" : "FAILURE\n", out);
    for (size_t i = 0; i < txn->n_responses; i++) {
        putc('\n', out);
        print_part(out, c, txn->responses[i], false);
    }
}

static void txn_fields(FILE *out, const cli *c, const void *response, const void *arg)
{
    const etcd_txn_response *txn = response;

    (void)arg;
    cli_fields_header(out, c, &txn->header);
    cli_fields_bool(out, "Succeeded", txn->succeeded);
    for (size_t i = 0; i < txn->n_responses; i++)
        print_part(out, c, txn->responses[i], true);
}

static const cli_printer txn_printer = {.type = ETCD_CALL_TXN, .simple = txn_simple, .fields = txn_fields};

/* -- the command -- */

static void prompt(bool interactive, const char *text)
{
    if (interactive) {
        puts(text);
        fflush(stdout);
    }
}

static void read_operations(const cli *c, etcd_txn *txn)
{
    char *line;

    while ((line = read_line()) != NULL) {
        add_operation(c, txn, line);
        free(line);
    }
}

static int run_txn(cli *c)
{
    bool interactive = cli_flag_bool(c, "interactive");
    etcd_txn_response *response = NULL;
    etcd_txn *txn;
    etcd_error err;
    char *line;

    if (cli_n_args(c) != 0)
        cli_fail(CLI_BAD_ARGS, "txn command does not accept argument");
    txn = etcd_txn_new(cli_client(c));
    prompt(interactive, "compares:");
    while ((line = read_line()) != NULL) {
        add_compare(txn, line);
        free(line);
    }
    prompt(interactive, "success requests (get, put, del):");
    read_operations(c, txn);
    etcd_txn_else(txn);
    prompt(interactive, "failure requests (get, put, del):");
    read_operations(c, txn);
    if (etcd_txn_commit(txn, cli_call_unbounded(c), &response, &err) < 0)
        cli_fail_call(CLI_ERROR, &err);
    cli_print(c, &txn_printer, response, NULL);
    etcd_response_free(response);
    etcd_txn_free(txn);
    return CLI_OK;
}

const cli_command cli_txn = {
    .name = "txn",
    .usage = "txn [options]",
    .summary = "Txn processes all the requests in one transaction",
    .description = "Does several operations at once: all of one list if all compares hold, else all of another.\n\n"
                   "Reads from stdin three blocks of lines, each ended by an empty line: the compares, the operations for when\n"
                   "they hold, the operations for when one does not. Any block may be empty.\n\n"
                   "Compares: <target>(\"<key>\") <operator> \"<value>\"\n"
                   "  target: value (val), version (ver), create (c), mod (m), lease; operator: = != > <\n"
                   "Operations: get, put and del with their arguments and flags; words may be 'quoted' or \"quoted\\t\".\n\n"
                   "  $ etcdctl txn <<'END'\n"
                   "  mod(\"config\") > \"0\"\n\n"
                   "  put config \"second version\"\n\n"
                   "  put config \"first version\"\n"
                   "  get seed\n\n"
                   "  END",
    .group = CLI_KV,
    CLI_FLAGS(txn_flags),
    .run = run_txn,
};
