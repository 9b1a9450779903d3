/* From global flags and environment to a client. See cli.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"
#include "text.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

#define PREFIX "ETCDCTL_"

const cli_flag cli_global_flags[] = {
    {"endpoints", "gRPC endpoints", "127.0.0.1:2379", CLI_STRINGS, 0},
    {"debug", "enable client-side debug logging", NULL, CLI_BOOL, 0},
    {"write-out", "set the output format (fields, json, protobuf, simple, table)", "simple", CLI_STRING, 'w'},
    {"hex", "print byte strings as hex encoded strings", NULL, CLI_BOOL, 0},
    {"dial-timeout", "dial timeout for client connections", "2s", CLI_DURATION, 0},
    {"command-timeout", "timeout for short running command (excluding dial timeout)", "5s", CLI_DURATION, 0},
    {"keepalive-time", "keepalive time for client connections", "2s", CLI_DURATION, 0},
    {"keepalive-timeout", "keepalive timeout for client connections", "6s", CLI_DURATION, 0},
    {"max-request-bytes", "client-side request send limit in bytes (if 0, it defaults to 2.0 MiB (2 * 1024 * 1024).)", NULL,
     CLI_INT, 0},
    {"max-recv-bytes", "client-side response receive limit in bytes (if 0, it defaults to \"math.MaxInt32\")", NULL, CLI_INT, 0},
    {"insecure-transport", "disable transport security for client connections", "true", CLI_BOOL, 0},
    {"insecure-discovery", "accept insecure SRV records describing cluster endpoints", "true", CLI_BOOL, 0},
    {"insecure-skip-tls-verify",
     "skip server certificate verification (CAUTION: this option should be enabled only for testing purposes)", NULL, CLI_BOOL,
     0},
    {"cert", "identify secure client using this TLS certificate file", NULL, CLI_STRING, 0},
    {"key", "identify secure client using this TLS key file", NULL, CLI_STRING, 0},
    {"cacert", "verify certificates of TLS-enabled secure servers using this CA bundle", NULL, CLI_STRING, 0},
    {"auth-jwt-token", "JWT token used for authentication (if this option is used, --user and --password should not be set)",
     NULL, CLI_STRING, 0},
    {"user", "username[:password] for authentication (prompt if password is not supplied)", NULL, CLI_STRING, 0},
    {"password", "password for authentication (if this option is used, --user option shouldn't include password)", NULL,
     CLI_STRING, 0},
    {"discovery-srv", "domain name to query for SRV records describing cluster endpoints", NULL, CLI_STRING, 'd'},
    {"discovery-srv-name", "service name to query when using DNS discovery", NULL, CLI_STRING, 0},
};
const size_t cli_n_global_flags = sizeof cli_global_flags / sizeof *cli_global_flags;

/* -- environment -- */

/* "ETCDCTL_WRITE_OUT" of "write-out". */
static void variable_of(const cli_flag *flag, char *out, size_t size)
{
    size_t n = (size_t)snprintf(out, size, PREFIX "%s", flag->name);

    for (size_t i = 0; i < n && i < size - 1; i++)
        out[i] = out[i] == '-' ? '_' : (char)toupper((unsigned char)out[i]);
}

static bool starts_with(const char *text, const char *begin)
{
    return strncmp(text, begin, strlen(begin)) == 0;
}

/* Whether the entry "NAME=value" of the environment is of that name. */
static bool is_variable(const char *entry, const char *name)
{
    size_t len = strlen(name);

    return strncmp(entry, name, len) == 0 && entry[len] == '=';
}

static void check_variable(const cli *c, const char *entry, const bool *from_line)
{
    const char *command = c->line.command ? c->line.command->name : "";
    char name[64];

    for (size_t i = 0; i < c->line.globals.n_values; i++) {
        variable_of(c->line.globals.values[i].flag, name, sizeof name);
        if (!is_variable(entry, name))
            continue;
        if (from_line[i]) {
            cli_log("fatal",
                    "conflicting environment variable is shadowed by corresponding command-line flag (either unset environment "
                    "variable or disable flag))",
                    "environment-variable", name);
            exit(CLI_ERROR);
        }
        if (entry[strlen(name) + 1] != '\0')
            return;
    }
    if (strcmp(command, "watch") == 0 && (is_variable(entry, PREFIX "WATCH_KEY") || is_variable(entry, PREFIX "WATCH_RANGE_END")))
        return;
    cli_log("warn", "unrecognized environment variable", "environment-variable", entry);
}

static void read_environment(cli *c)
{
    cli_flag_set *set = &c->line.globals;
    bool *from_line = cli_alloc(set->n_values * sizeof *from_line);
    cli_error error;
    char name[64];

    for (size_t i = 0; i < set->n_values; i++) {
        const char *value;

        from_line[i] = set->values[i].changed;
        variable_of(set->values[i].flag, name, sizeof name);
        value = getenv(name);
        if (!from_line[i] && value && *value)
            cli_flag_assign(&set->values[i], value, &error); /* one that is malformed is as good as none */
    }
    for (char **entry = environ; *entry; entry++)
        if (starts_with(*entry, PREFIX))
            check_variable(c, *entry, from_line);
    free(from_line);
}

static int by_flag_name(const void *a, const void *b)
{
    return strcmp((*(const cli_flag_value *const *)a)->flag->name, (*(const cli_flag_value *const *)b)->flag->name);
}

static void print_flags(const cli_flag_set *set)
{
    const cli_flag_value **sorted = cli_alloc(set->n_values * sizeof *sorted);
    char name[64];

    for (size_t i = 0; i < set->n_values; i++)
        sorted[i] = &set->values[i];
    qsort(sorted, set->n_values, sizeof *sorted, by_flag_name);
    for (size_t i = 0; i < set->n_values; i++) {
        variable_of(sorted[i]->flag, name, sizeof name);
        fprintf(stderr, "%s=", name);
        cli_flag_print(stderr, sorted[i]);
        putc('\n', stderr);
    }
    free(sorted);
}

void cli_setup(cli *c)
{
    const char *wanted;

    if (c->is_set_up)
        return;
    c->is_set_up = true;
    read_environment(c);
    if (cli_flag_bool(c, "debug"))
        print_flags(&c->line.globals);
    c->hex = cli_flag_bool(c, "hex");
    wanted = cli_flag_text(c, "write-out");
    for (size_t i = 0; i <= CLI_TABLE; i++)
        if (strcmp(wanted, cli_format_names[i]) == 0) {
            c->format = (cli_format)i;
            c->escape = i == CLI_SIMPLE && isatty(STDOUT_FILENO) == 1;
            return;
        }
    cli_fail(CLI_BAD_FEATURE, "unsupported output format");
}

/* -- endpoints -- */

static void add_endpoint(char ***list, size_t *n, const char *begin, size_t len)
{
    while (len > 0 && isspace((unsigned char)begin[0])) {
        begin++;
        len--;
    }
    while (len > 0 && isspace((unsigned char)begin[len - 1]))
        len--;
    *list = cli_realloc(*list, (*n + 1) * sizeof **list);
    (*list)[(*n)++] = cli_copy(begin, len);
}

/* Ends the program with what the two look-ups said, in etcdctl's words. The library's are:
 * "...: look up SRV <name> on <server>: Domain name not found; look up SRV <name>: ...". */
__attribute__((noreturn)) static void fail_discovery(const etcd_error *err)
{
    static const char *const words[][2] = {{"look up SRV ", "lookup "},
                                           {"Domain name not found", "no such host"},
                                           {"DNS server returned answer with no data", "no such host"},
                                           {"DNS server returned general failure", "server misbehaving"},
                                           {"; ", " and "}};
    enum { N_WORDS = sizeof words / sizeof *words };
    const char *s = strstr(err->message, words[0][0]);
    char text[3 * ETCD_ERROR_MESSAGE_MAX], *to = text;

    if (!s)
        cli_fail_call(CLI_ERROR, err);
    while (*s) {
        size_t i = 0;

        while (i < N_WORDS && !starts_with(s, words[i][0]))
            i++;
        if (i < N_WORDS) {
            to = stpcpy(to, words[i][1]);
            s += strlen(words[i][0]);
        } else {
            *to++ = *s++;
        }
    }
    *to = '\0';
    cli_fail(CLI_ERROR, "dns lookup errors: %s", text);
}

char *cli_endpoint_found(const char *endpoint, size_t len)
{
    size_t host = len;

    while (host > 0 && endpoint[host - 1] != ':')
        host--;
    return host == 0 ? cli_copy(endpoint, len)
                     : cli_text("%.*s.%.*s", (int)host - 1, endpoint, (int)(len - host) + 1, endpoint + host - 1);
}

/* The endpoints that DNS has for --discovery-srv. */
static char **discover(cli *c, const char *domain, size_t *n)
{
    const char *service = cli_flag_text(c, "discovery-srv-name");
    bool insecure = cli_flag_bool(c, "insecure-discovery");
    etcd_discover_response *found = NULL;
    etcd_error err;
    char **list = NULL;
    const char *next;

    if (etcd_discover(domain, ETCD_DISCOVER(.service_name = *service ? service : NULL), &found, &err) < 0)
        fail_discovery(&err);
    *n = 0;
    for (const char *s = found->endpoints.data; *s; s = next + (*next == ',')) {
        size_t len = strcspn(s, ",");

        next = s + len;
        if (insecure || !starts_with(s, "http://")) {
            add_endpoint(&list, n, s, len);
        } else {
            char *endpoint = cli_endpoint_found(s, len), *quoted = cli_quoted(endpoint, strlen(endpoint));

            fprintf(stderr, "ignoring discovered insecure endpoint %s\n", quoted);
            free(endpoint);
            free(quoted);
        }
    }
    etcd_response_free(found);
    return list;
}

char **cli_given_endpoints(cli *c, size_t *n)
{
    const cli_flag_value *given = (cli_setup(c), cli_flag_of(c, "endpoints"));
    char **list = NULL;

    *n = 0;
    for (size_t i = 0; i < given->n_items; i++)
        if (given->items[i][strspn(given->items[i], " \t")] != '\0') /* "a,b," */
            add_endpoint(&list, n, given->items[i], strlen(given->items[i]));
    if (*n == 0)
        add_endpoint(&list, n, "", 0);
    return list;
}

char **cli_endpoints(cli *c, size_t *n)
{
    const char *domain = (cli_setup(c), cli_flag_text(c, "discovery-srv"));
    char **list = NULL;

    *n = 0;
    if (*domain)
        list = discover(c, domain, n);
    c->discovered = *n > 0;
    return *n > 0 ? list : cli_given_endpoints(c, n);
}

void cli_endpoints_free(char **list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(list[i]);
    free(list);
}

static char *join_endpoints(char **list, size_t n)
{
    size_t len = 1;
    char *joined, *to;

    for (size_t i = 0; i < n; i++)
        len += strlen(list[i]) + 1;
    joined = to = cli_alloc(len);
    for (size_t i = 0; i < n; i++) {
        size_t part = strlen(list[i]);

        if (i > 0)
            *to++ = ',';
        memcpy(to, list[i], part);
        to += part;
    }
    return joined;
}

/* -- who we are -- */

static const char *file_flag(const cli *c, const char *name)
{
    const cli_flag_value *value = cli_flag_of(c, name);

    if (value->changed && value->text[0] == '\0')
        cli_fail(CLI_BAD_ARGS, "empty string is passed to --%s option", name);
    return value->text[0] ? value->text : NULL;
}

void cli_check_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        char reason[128];

        snprintf(reason, sizeof reason, "%s", strerror(errno));
        reason[0] = (char)tolower((unsigned char)reason[0]);
        cli_fail(CLI_BAD_ARGS, "open %s: %s", path, reason);
    }
    close(fd);
}

/* Whether there is anything to say about TLS. */
static bool tls_options(const cli *c, etcd_tls_options *tls)
{
    etcd_tls_options_init(tls, sizeof *tls);
    tls->cert_file = file_flag(c, "cert");
    tls->key_file = file_flag(c, "key");
    tls->ca_file = file_flag(c, "cacert");
    if (tls->cert_file && tls->key_file) {
        cli_check_file(tls->cert_file);
        cli_check_file(tls->key_file);
    }
    if (tls->ca_file)
        cli_check_file(tls->ca_file);
    tls->insecure_skip_verify = cli_flag_bool(c, "insecure-skip-tls-verify");
    bool secure_discovery = *cli_flag_text(c, "discovery-srv") && !cli_flag_bool(c, "insecure-discovery");
    return tls->cert_file || tls->key_file || tls->ca_file || secure_discovery || tls->insecure_skip_verify ||
           !cli_flag_bool(c, "insecure-transport");
}

/* Name and password in `*storage`, which the caller wipes and frees. */
static void credentials(cli *c, etcd_client_options *options, char **storage)
{
    const char *user = cli_flag_text(c, "user"), *password = cli_flag_text(c, "password"), *colon = strchr(user, ':');

    *storage = NULL;
    options->allow_plain_auth = true; /* as etcdctl: whoever gives a secret for http means it */
    if (*cli_flag_text(c, "auth-jwt-token")) {
        options->token = cli_flag_text(c, "auth-jwt-token");
        return;
    }
    if (*user == '\0')
        return;
    if (*password) {
        options->username = user;
        options->password = password;
    } else if (colon) {
        *storage = cli_copy(user, strlen(user));
        (*storage)[colon - user] = '\0';
        options->username = *storage;
        options->password = *storage + (colon - user) + 1;
    } else {
        if (!c->password)
            c->password = cli_ask_password("Password: ");
        options->username = user;
        options->password = c->password;
    }
    if (*options->username == '\0' || *options->password == '\0') /* as the Go client: nobody then */
        options->username = options->password = NULL;
}

static void wipe(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
}

/* -- the client -- */

static int64_t to_ms(int64_t ns)
{
    return ns <= 0 ? 0 : (ns + 999999) / 1000000;
}

static void log_line(int level, const char *message, void *arg)
{
    static const char *const levels[] = {"", "error", "warn", "info", "debug"};

    (void)arg;
    cli_log(levels[level], message, "logger", "libetcd3");
}

etcd_client *cli_client_with(cli *c, etcd_client_options *options)
{
    etcd_client *client;
    etcd_error err;
    char *storage = NULL;

    cli_setup(c);
    options->connect_timeout_ms = to_ms(cli_flag_ns(c, "dial-timeout"));
    options->ping_interval_ms = to_ms(cli_flag_ns(c, "keepalive-time"));
    options->ping_timeout_ms = to_ms(cli_flag_ns(c, "keepalive-timeout"));
    options->max_send_bytes = cli_flag_int(c, "max-request-bytes");
    options->max_recv_bytes = cli_flag_int(c, "max-recv-bytes");
    if (cli_flag_bool(c, "debug")) {
        options->log_fn = log_line;
        options->log_level = ETCD_LOG_DEBUG;
    }
    if (!options->username && !options->token)
        credentials(c, options, &storage);
    if (etcd_client_new(options, &client, &err) < 0) {
        wipe(storage);
        cli_fail(err.code == ETCD_ERR_NO_ENDPOINTS ? CLI_BAD_CONNECTION : CLI_BAD_ARGS, "%s", cli_error_text(&err));
    }
    wipe(storage);
    free(storage);
    return client;
}

etcd_client *cli_client_for(cli *c, const char *endpoints)
{
    etcd_client_options options;
    etcd_tls_options tls;

    cli_setup(c);
    etcd_client_options_init(&options, sizeof options);
    options.endpoints = endpoints;
    options.manual = !c->threads;
    if (tls_options(c, &tls))
        options.tls = &tls;
    return cli_client_with(c, &options);
}

etcd_client *cli_client(cli *c)
{
    char **list;
    size_t n;

    if (c->client)
        return c->client;
    list = cli_endpoints(c, &n);
    c->endpoints = join_endpoints(list, n);
    cli_endpoints_free(list, n);
    c->client = cli_client_for(c, c->endpoints);
    return c->client;
}

const etcd_call_options *cli_call(cli *c)
{
    etcd_call_options_init(&c->call, sizeof c->call);
    c->call.timeout_ms = to_ms(cli_flag_ns(c, "command-timeout"));
    if (c->call.timeout_ms == 0) /* the time is over before it begins, as for etcdctl; here 0 would mean the default */
        cli_fail(CLI_ERROR, "%s", etcd_error_text(ETCD_ERR_DEADLINE_EXCEEDED));
    return &c->call;
}

const etcd_call_options *cli_call_unbounded(cli *c)
{
    etcd_call_options_init(&c->call, sizeof c->call);
    c->call.timeout_ms = -1;
    return &c->call;
}
