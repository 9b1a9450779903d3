/* See config.h and <etcd3/config.h>. */
#include "client/config.h"

#include "base/alloc.h"
#include "base/error.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CONFIG_ARENA_FIRST 1024
#define CONFIG_ARENA_LIMIT ((size_t)1 << 20)

etcd_config *etcd__config_new(void)
{
    etcd__arena *arena = etcd__arena_new(CONFIG_ARENA_FIRST, CONFIG_ARENA_LIMIT);
    etcd_config *config = arena ? etcd__arena_calloc(arena, 1, sizeof *config) : NULL;

    if (config == NULL) {
        etcd__arena_free(arena);
        return NULL;
    }
    config->arena = arena;
    config->options.size = sizeof config->options;
    config->tls.size = sizeof config->tls;
    return config;
}

static void wipe(const char *secret)
{
    if (secret != NULL)
        etcd__wipe((void *)(uintptr_t)secret, strlen(secret));
}

void etcd_config_free(etcd_config *config)
{
    if (config == NULL)
        return;
    wipe(config->options.password);
    wipe(config->options.token);
    etcd__arena_free(config->arena);
}

const etcd_client_options *etcd_config_options(const etcd_config *config)
{
    return config ? &config->options : NULL;
}

/* --- values ----------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    double ns;
} units[] = {{"ns", 1}, {"us", 1e3}, {"\xc2\xb5s", 1e3}, {"\xce\xbcs", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}};

/* The unit that `text` starts with: the longest, as "ms" also starts with "m". NULL for none. */
static const double *unit_of(const char *text, size_t *len)
{
    const double *found = NULL;

    *len = 0;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        size_t n = strlen(units[i].name);

        if (n > *len && strncmp(text, units[i].name, n) == 0) {
            found = &units[i].ns;
            *len = n;
        }
    }
    return found;
}

/* One number without sign or exponent: digits with at most one point. Returns its end, NULL when there is none. */
static const char *number_end(const char *text)
{
    size_t whole = strspn(text, "0123456789");
    size_t fraction = text[whole] == '.' ? strspn(text + whole + 1, "0123456789") : 0;

    if (whole + fraction == 0)
        return NULL;
    return text + whole + (text[whole] == '.' ? 1 + fraction : 0);
}

bool etcd__config_parse_duration(const char *text, int64_t *ms)
{
    double total = 0;
    bool negative = *text == '-';
    const char *end;

    text += negative || *text == '+';
    for (bool first = true; *text != '\0'; first = false) {
        double value;
        size_t len;
        const double *unit;

        end = number_end(text);
        if (end == NULL)
            return false;
        value = strtod(text, NULL);
        unit = unit_of(end, &len);
        if (unit == NULL && !(first && *end == '\0'))
            return false;
        total += value * (unit ? *unit : 1);
        text = end + len;
        if (*text == '\0') {
            total = total / 1e6;
            if (total > 9e15)
                return false;
            *ms = (int64_t)total + ((double)(int64_t)total < total);
            *ms = negative ? -*ms : *ms;
            return true;
        }
    }
    return false;
}

static bool parse_bool(const char *text, bool *value)
{
    static const char *const yes[] = {"1", "t", "T", "TRUE", "true", "True"};
    static const char *const no[] = {"0", "f", "F", "FALSE", "false", "False"};

    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
            *value = strcmp(text, yes[i]) == 0;
            return true;
        }
    }
    return false;
}

static int bad(const char *where, const char *what, const char *text, etcd_error *err)
{
    return etcd__error_set(err, ETCD_ERR_ARGUMENT, "%s: \"%.100s\" is not %s", where, text, what);
}

static int set_duration(int64_t *field, const char *text, const char *where, etcd_error *err)
{
    if (etcd__config_parse_duration(text, field))
        return ETCD_OK;
    return bad(where, "a duration such as \"5s\" or \"100ms\"", text, err);
}

static int set_number(int64_t *field, int64_t max, const char *text, const char *where, etcd_error *err)
{
    char *end;
    long long value;

    errno = 0;
    value = strtoll(text, &end, 0);
    if (end == text || *end != '\0' || errno != 0 || value < 0 || value > max)
        return bad(where, "a number that fits", text, err);
    *field = value;
    return ETCD_OK;
}

static int set_bool(bool *field, const char *text, const char *where, etcd_error *err)
{
    return parse_bool(text, field) ? ETCD_OK : bad(where, "true or false", text, err);
}

static int copy(etcd_config *config, const char **field, const char *text, size_t len, etcd_error *err)
{
    char *memory = etcd__arena_alloc(config->arena, len + 1);

    if (memory == NULL)
        return etcd__error_no_memory(err);
    memcpy(memory, text, len);
    memory[len] = '\0';
    *field = memory;
    return ETCD_OK;
}

static int set_string(etcd_config *config, const char **field, const char *text, etcd_error *err)
{
    if (*text == '\0')
        return ETCD_OK; /* as not set */
    return copy(config, field, text, strlen(text), err);
}

/* The password of its own setting wins; then the user is taken whole, colons and all. */
static int set_user(etcd_config *config, const char *text, etcd_error *err)
{
    const char *colon = config->options.password ? NULL : strchr(text, ':');
    int rc;

    if (colon == NULL)
        return set_string(config, &config->options.username, text, err);
    rc = copy(config, &config->options.username, text, (size_t)(colon - text), err);
    return rc < 0 ? rc : copy(config, &config->options.password, colon + 1, strlen(colon + 1), err);
}

int etcd__config_set(etcd_config *config, etcd__setting setting, const char *text, const char *where, etcd_error *err)
{
    etcd_client_options *o = &config->options;
    int64_t number = 0;
    int rc;

    switch (setting) {
    case ETCD__SETTING_ENDPOINTS:
        return set_string(config, &o->endpoints, text, err);
    case ETCD__SETTING_DIAL_TIMEOUT:
        return set_duration(&o->connect_timeout_ms, text, where, err);
    case ETCD__SETTING_REQUEST_TIMEOUT:
        return set_duration(&o->request_timeout_ms, text, where, err);
    case ETCD__SETTING_KEEPALIVE_TIME:
        return set_duration(&o->ping_interval_ms, text, where, err);
    case ETCD__SETTING_KEEPALIVE_TIMEOUT:
        return set_duration(&o->ping_timeout_ms, text, where, err);
    case ETCD__SETTING_AUTO_SYNC_INTERVAL:
        return set_duration(&o->auto_sync_interval_ms, text, where, err);
    case ETCD__SETTING_RETRY_WAIT:
        return set_duration(&o->retry_wait_ms, text, where, err);
    case ETCD__SETTING_MAX_ATTEMPTS:
        rc = set_number(&number, INT32_MAX, text, where, err);
        if (rc == ETCD_OK)
            o->max_attempts = (int32_t)number;
        return rc;
    case ETCD__SETTING_MAX_SEND:
        return set_number(&o->max_send_bytes, INT32_MAX, text, where, err);
    case ETCD__SETTING_MAX_RECV:
        return set_number(&o->max_recv_bytes, INT32_MAX, text, where, err);
    case ETCD__SETTING_USERNAME:
        return set_string(config, &o->username, text, err);
    case ETCD__SETTING_USER:
        return set_user(config, text, err);
    case ETCD__SETTING_PASSWORD:
        return set_string(config, &o->password, text, err);
    case ETCD__SETTING_TOKEN:
        return set_string(config, &o->token, text, err);
    case ETCD__SETTING_REJECT_OLD_CLUSTER:
        return set_bool(&o->reject_old_cluster, text, where, err);
    case ETCD__SETTING_INSECURE_TRANSPORT:
        return set_bool(&config->insecure_transport, text, where, err);
    case ETCD__SETTING_INSECURE_SKIP_VERIFY:
        return set_bool(&config->tls.insecure_skip_verify, text, where, err);
    case ETCD__SETTING_CERT_FILE:
        return set_string(config, &config->tls.cert_file, text, err);
    case ETCD__SETTING_KEY_FILE:
        return set_string(config, &config->tls.key_file, text, err);
    case ETCD__SETTING_CA_FILE:
        return set_string(config, &config->tls.ca_file, text, err);
    case ETCD__SETTING_IGNORED:
        break;
    }
    return ETCD_OK;
}
