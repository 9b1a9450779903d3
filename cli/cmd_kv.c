/* get, put, del, compaction.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"
#include "kv.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define DELETE_PAUSE_S 2 /* to think twice about a range */

/* -- get -- */

static const cli_flag get_flags[] = {
    {"consistency", "Linearizable(l) or Serializable(s)", "l", CLI_STRING, 0},
    {"order", "Order of results; ASCEND or DESCEND (ASCEND by default)", NULL, CLI_STRING, 0},
    {"sort-by", "Sort target; CREATE, KEY, MODIFY, VALUE, or VERSION", NULL, CLI_STRING, 0},
    {"limit", "Maximum number of results", NULL, CLI_INT, 0},
    {"prefix", "Get keys with matching prefix", NULL, CLI_BOOL, 0},
    {"from-key", "Get keys that are greater than or equal to the given key using byte compare", NULL, CLI_BOOL, 0},
    {"rev", "Specify the kv revision", NULL, CLI_INT, 0},
    {"keys-only", "Get only the keys", NULL, CLI_BOOL, 0},
    {"count-only", "Get only the count", NULL, CLI_BOOL, 0},
    {"print-value-only", "Only write values when using the \"simple\" output format", NULL, CLI_BOOL, 0},
    {"min-create-rev", "Minimum create revision", NULL, CLI_INT, 0},
    {"max-create-rev", "Maximum create revision", NULL, CLI_INT, 0},
    {"min-mod-rev", "Minimum modification revision", NULL, CLI_INT, 0},
    {"max-mod-rev", "Maximum modification revision", NULL, CLI_INT, 0},
    {"stream", "Use the RangeStream RPC", NULL, CLI_BOOL, 0},
};

/* The index of a word among others, whatever its case; `n` when it is none of them. */
static size_t word_among(const char *word, const char *const *words, size_t n)
{
    size_t i = 0;

    while (i < n && strcasecmp(word, words[i]) != 0)
        i++;
    return i;
}

static void read_sorting(const cli *c, etcd_get_options *options)
{
    static const char *const orders[] = {"", "ASCEND", "DESCEND"};
    static const int32_t order_values[] = {ETCD_SORT_NONE, ETCD_SORT_ASCEND, ETCD_SORT_DESCEND};
    static const char *const targets[] = {"", "KEY", "VERSION", "CREATE", "MODIFY", "VALUE"};
    static const int32_t target_values[] = {ETCD_SORT_KEY,    ETCD_SORT_KEY, ETCD_SORT_VERSION,
                                            ETCD_SORT_CREATE, ETCD_SORT_MOD, ETCD_SORT_VALUE};
    const char *order = cli_flag_text(c, "order"), *target = cli_flag_text(c, "sort-by");
    size_t i = word_among(order, orders, 3), j = word_among(target, targets, 6);

    if (i == 3)
        cli_fail(CLI_BAD_FEATURE, "bad sort order %s", order);
    if (j == 6)
        cli_fail(CLI_BAD_FEATURE, "bad sort target %s", target);
    options->sort_order = order_values[i];
    options->sort_target = target_values[j];
}

static void read_revisions(const cli *c, etcd_get_options *options)
{
    options->revision = cli_flag_int(c, "rev");
    options->min_create_revision = cli_flag_int(c, "min-create-rev");
    options->max_create_revision = cli_flag_int(c, "max-create-rev");
    options->min_mod_revision = cli_flag_int(c, "min-mod-rev");
    options->max_mod_revision = cli_flag_int(c, "max-mod-rev");
    if (options->max_create_revision > 0 && options->min_create_revision > options->max_create_revision)
        cli_fail(CLI_BAD_FEATURE, "getMinCreateRev(=%" PRId64 ") > getMaxCreateRev(=%" PRId64 ")", options->min_create_revision,
                 options->max_create_revision);
    if (options->max_mod_revision > 0 && options->min_mod_revision > options->max_mod_revision)
        cli_fail(CLI_BAD_FEATURE, "getMinModRev(=%" PRId64 ") > getMaxModRev(=%" PRId64 ")", options->min_mod_revision,
                 options->max_mod_revision);
}

/* What get and del have in common about their range; `*end` is the second argument or NULL. */
static void check_range(const cli *c, const char *command, size_t most_args, const char **end)
{
    bool prefix = cli_flag_bool(c, "prefix"), from_key = cli_flag_bool(c, "from-key");

    if (cli_n_args(c) < 1 || cli_n_args(c) > most_args)
        cli_fail(CLI_BAD_ARGS, "%s command needs one argument as key and an optional argument as range_end", command);
    if (prefix && from_key)
        cli_fail(CLI_BAD_ARGS, "`--prefix` and `--from-key` cannot be set at the same time, choose one");
    *end = NULL;
    if (cli_n_args(c) == 1)
        return;
    if (prefix || from_key)
        cli_fail(CLI_BAD_ARGS, "too many arguments, only accept one argument when `--prefix` or `--from-key` is set");
    *end = cli_arg(c, 1);
}

void cli_get_read(const cli *c, cli_get_request *request)
{
    etcd_get_options *options = &request->options;
    const char *consistency = cli_flag_text(c, "consistency"), *end;

    etcd_get_options_init(options, sizeof *options);
    check_range(c, "get", SIZE_MAX, &end);
    if (cli_flag_bool(c, "keys-only") && cli_flag_bool(c, "count-only"))
        cli_fail(CLI_BAD_ARGS, "`--keys-only` and `--count-only` cannot be set at the same time, choose one");
    if (strcmp(consistency, "s") != 0 && strcmp(consistency, "l") != 0) {
        char *quoted = cli_quoted(consistency, strlen(consistency));

        cli_fail(CLI_BAD_FEATURE, "unknown consistency flag %s", quoted);
    }
    request->key = cli_arg(c, 0);
    options->serializable = *consistency == 's';
    options->range_end = end && *end ? end : NULL; /* an empty one is none */
    options->range_end_len = end ? (int64_t)strlen(end) : 0;
    options->limit = cli_flag_int(c, "limit") > 0 ? cli_flag_int(c, "limit") : 0;
    options->prefix = cli_flag_bool(c, "prefix");
    options->from_key = cli_flag_bool(c, "from-key");
    options->keys_only = cli_flag_bool(c, "keys-only");
    options->count_only = cli_flag_bool(c, "count-only");
    read_sorting(c, options);
    read_revisions(c, options);
}

/* What a server can stream: a range as it is. */
static bool may_stream(const cli *c, const etcd_get_options *o)
{
    return cli_flag_bool(c, "stream") && (o->prefix || o->from_key || o->range_end) && !o->sort_order && !o->sort_target &&
           !o->limit && !o->count_only && !o->min_create_revision && !o->max_create_revision && !o->min_mod_revision &&
           !o->max_mod_revision;
}

/* The range as one response, which lives as long as the program, like its pages. The library reads large ranges as the server
 * streams them, where it does. */
static etcd_get_response *get_streamed(etcd_client *client, const cli_get_request *request)
{
    etcd_get_response *whole = cli_alloc(sizeof *whole), *page = NULL;
    etcd_kv *kvs = NULL;
    etcd_range *range;
    etcd_error err;

    if (etcd_range_open(client, request->key, strlen(request->key), &request->options, &range, &err) < 0)
        cli_fail_call(CLI_ERROR, &err);
    *whole = (etcd_get_response){.n_kvs = 0};
    for (bool first = true;; first = false) {
        if (etcd_range_next(range, &page, &err) < 0)
            cli_fail_call(CLI_ERROR, &err);
        if (!page)
            break;
        if (first)
            *whole = (etcd_get_response){.header = page->header, .count = page->count};
        kvs = cli_realloc(kvs, (whole->n_kvs + page->n_kvs + 1) * sizeof *kvs);
        for (size_t i = 0; i < page->n_kvs; i++)
            kvs[whole->n_kvs++] = page->kvs[i];
        whole->kvs = kvs;
    }
    etcd_range_free(range);
    return whole;
}

static int run_get(cli *c)
{
    cli_get_request request;
    etcd_get_response *get = NULL;
    etcd_error err;
    bool values_only = cli_flag_bool(c, "print-value-only");
    etcd_client *client;

    cli_get_read(c, &request);
    client = cli_client(c);
    request.options.call = cli_call(c);
    if (may_stream(c, &request.options))
        get = get_streamed(client, &request);
    else if (etcd_get(client, request.key, strlen(request.key), &request.options, &get, &err) < 0)
        cli_fail_call(CLI_ERROR, &err);
    if (request.options.count_only && c->format != CLI_FIELDS)
        cli_fail(CLI_BAD_ARGS, "--count-only is only for `--write-out=fields`");
    if (values_only && c->format != CLI_SIMPLE)
        cli_fail(CLI_BAD_ARGS, "print-value-only is only for `--write-out=simple`");
    cli_print(c, &cli_get_printer, get, &values_only);
    if (!may_stream(c, &request.options))
        etcd_response_free(get);
    return CLI_OK;
}

const cli_command cli_get = {
    .name = "get",
    .usage = "get [options] <key> [range_end]",
    .summary = "Gets the key or a range of keys",
    .group = CLI_KV,
    CLI_FLAGS(get_flags),
    .run = run_get,
};

/* -- put -- */

static const cli_flag put_flags[] = {
    {"lease", "lease ID (in hexadecimal) to attach to the key", "0", CLI_STRING, 0},
    {"prev-kv", "return the previous key-value pair before modification", NULL, CLI_BOOL, 0},
    {"ignore-value", "updates the key using its current value", NULL, CLI_BOOL, 0},
    {"ignore-lease", "updates the key using its current lease", NULL, CLI_BOOL, 0},
};

/* All of stdin, in new memory. */
static char *read_stdin(size_t *len)
{
    size_t size = 4096;
    char *data = cli_alloc(size);

    *len = 0;
    for (;;) {
        size_t n = fread(data + *len, 1, size - *len, stdin);

        *len += n;
        if (n == 0 || feof(stdin)) /* a terminal's end comes once: it must not be asked again */
            return data;
        if (*len == size)
            data = cli_realloc(data, size *= 2);
    }
}

void cli_put_read(const cli *c, cli_put_request *request)
{
    static const char wrong[] = "put command needs 1 argument and input from stdin or 2 arguments";
    etcd_put_options *options = &request->options;

    etcd_put_options_init(options, sizeof *options);
    options->ignore_value = cli_flag_bool(c, "ignore-value");
    options->ignore_lease = cli_flag_bool(c, "ignore-lease");
    options->prev_kv = cli_flag_bool(c, "prev-kv");
    if (cli_n_args(c) == 0)
        cli_fail(CLI_BAD_ARGS, "%s", wrong);
    request->key = cli_arg(c, 0);
    request->value = NULL;
    request->value_len = 0;
    if (options->ignore_value && cli_n_args(c) > 1)
        cli_fail(CLI_BAD_ARGS, "put command needs only 1 argument when 'ignore-value' is set");
    if (cli_n_args(c) > 1) {
        request->value_len = strlen(cli_arg(c, 1));
        request->value = cli_copy(cli_arg(c, 1), request->value_len);
    } else if (!options->ignore_value) {
        if (!c->in_lines || isatty(STDIN_FILENO) == 1)
            request->value = read_stdin(&request->value_len);
        if (request->value_len == 0)
            cli_fail(CLI_BAD_ARGS, "%s", wrong);
    }
    options->lease = cli_lease_id(cli_flag_text(c, "lease"));
}

static int run_put(cli *c)
{
    cli_put_request request;
    etcd_put_response *put = NULL;
    etcd_error err;
    etcd_client *client;

    cli_put_read(c, &request);
    client = cli_client(c);
    request.options.call = cli_call(c);
    if (etcd_put(client, request.key, strlen(request.key), request.value ? request.value : "", request.value_len,
                 &request.options, &put, &err) < 0)
        cli_fail_call(CLI_ERROR, &err);
    cli_print(c, &cli_put_printer, put, NULL);
    etcd_response_free(put);
    free(request.value);
    return CLI_OK;
}

const cli_command cli_put = {
    .name = "put",
    .usage = "put [options] <key> <value> (<value> can also be given from stdin)",
    .summary = "Puts the given key into the store",
    .description = "Writes a value under a key.\n\n"
                   "Without <value> the value is all that stdin has, byte for byte:\n"
                   "  etcdctl put <key> < file\n\n"
                   "A key or value that begins with '-' goes behind \"--\", which ends the flags:\n"
                   "  etcdctl put -- <key> <value>",
    .group = CLI_KV,
    CLI_FLAGS(put_flags),
    .run = run_put,
};

/* -- del -- */

static const cli_flag del_flags[] = {
    {"prefix", "delete keys with matching prefix", NULL, CLI_BOOL, 0},
    {"prev-kv", "return deleted key-value pairs", NULL, CLI_BOOL, 0},
    {"from-key", "delete keys that are greater than or equal to the given key using byte compare", NULL, CLI_BOOL, 0},
    {"range", "delete range of keys", NULL, CLI_BOOL, 0},
};

static void warn_about_range(const char *key, const char *end)
{
    fflush(stdout);
    fputs("Warning: Keys between ", stderr);
    cli_quote(stderr, key, strlen(key));
    fputs(" and ", stderr);
    cli_quote(stderr, end, strlen(end));
    fprintf(stderr,
            " will be deleted. Please interrupt the command within next %d seconds to cancel. "
            "You can provide `--range` flag to avoid the delay.\n",
            DELETE_PAUSE_S);
    sleep(DELETE_PAUSE_S);
}

void cli_delete_read(const cli *c, cli_delete_request *request)
{
    etcd_delete_options *options = &request->options;
    const char *end;

    etcd_delete_options_init(options, sizeof *options);
    check_range(c, "del", 2, &end);
    request->key = cli_arg(c, 0);
    options->range_end = end && *end ? end : NULL;
    options->range_end_len = end ? (int64_t)strlen(end) : 0;
    options->prefix = cli_flag_bool(c, "prefix");
    options->from_key = cli_flag_bool(c, "from-key");
    options->prev_kv = cli_flag_bool(c, "prev-kv");
    if (end && !cli_flag_bool(c, "range"))
        warn_about_range(request->key, end);
}

static int run_del(cli *c)
{
    cli_delete_request request;
    etcd_delete_response *del = NULL;
    etcd_error err;
    etcd_client *client;

    cli_delete_read(c, &request);
    client = cli_client(c);
    request.options.call = cli_call(c);
    if (etcd_delete(client, request.key, strlen(request.key), &request.options, &del, &err) < 0)
        cli_fail_call(CLI_ERROR, &err);
    cli_print(c, &cli_delete_printer, del, NULL);
    etcd_response_free(del);
    return CLI_OK;
}

const cli_command cli_del = {
    .name = "del",
    .usage = "del [options] <key> [range_end]",
    .summary = "Removes the specified key or range of keys [key, range_end)",
    .group = CLI_KV,
    CLI_FLAGS(del_flags),
    .run = run_del,
};

/* -- compaction -- */

static const cli_flag compaction_flags[] = {
    {"physical", "'true' to wait for compaction to physically remove all old revisions", NULL, CLI_BOOL, 0},
};

static int run_compaction(cli *c)
{
    cli_error error;
    int64_t revision;
    etcd_error err;
    etcd_client *client;
    bool physical = cli_flag_bool(c, "physical");

    if (cli_n_args(c) != 1)
        cli_fail(CLI_BAD_ARGS, "compaction command needs 1 argument");
    if (!cli_parse_int(cli_arg(c, 0), 10, &revision, &error))
        cli_fail(CLI_ERROR, "%s", error.text);
    client = cli_client(c);
    if (etcd_compact(client, revision, ETCD_COMPACT(.physical = physical, .call = physical ? cli_call_unbounded(c) : cli_call(c)),
                     NULL, &err) < 0)
        cli_fail_call(CLI_ERROR, &err);
    printf("compacted revision %" PRId64 "\n", revision);
    return CLI_OK;
}

const cli_command cli_compaction = {
    .name = "compaction",
    .usage = "compaction [options] <revision>",
    .summary = "Compacts the event history in etcd",
    .group = CLI_KV,
    CLI_FLAGS(compaction_flags),
    .run = run_compaction,
};
