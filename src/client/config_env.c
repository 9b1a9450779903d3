/* Options from environment variables, named as etcdctl's. See <etcd3/config.h>. */
#include "base/error.h"
#include "client/config.h"

#include <stdio.h>
#include <stdlib.h>

#define MAX_NAME 128

static const struct {
    const char *name;
    etcd__setting setting;
} variables[] = {
    {"ENDPOINTS", ETCD__SETTING_ENDPOINTS},
    {"DIAL_TIMEOUT", ETCD__SETTING_DIAL_TIMEOUT},
    {"COMMAND_TIMEOUT", ETCD__SETTING_REQUEST_TIMEOUT},
    {"KEEPALIVE_TIME", ETCD__SETTING_KEEPALIVE_TIME},
    {"KEEPALIVE_TIMEOUT", ETCD__SETTING_KEEPALIVE_TIMEOUT},
    {"MAX_REQUEST_BYTES", ETCD__SETTING_MAX_SEND},
    {"MAX_RECV_BYTES", ETCD__SETTING_MAX_RECV},
    {"INSECURE_TRANSPORT", ETCD__SETTING_INSECURE_TRANSPORT},
    {"INSECURE_SKIP_TLS_VERIFY", ETCD__SETTING_INSECURE_SKIP_VERIFY},
    {"CERT", ETCD__SETTING_CERT_FILE},
    {"KEY", ETCD__SETTING_KEY_FILE},
    {"CACERT", ETCD__SETTING_CA_FILE},
    {"PASSWORD", ETCD__SETTING_PASSWORD}, /* before USER: it decides how that is read */
    {"USER", ETCD__SETTING_USER},
    {"AUTH_JWT_TOKEN", ETCD__SETTING_TOKEN},
};

static int read_variables(etcd_config *config, const char *prefix, etcd_error *err)
{
    int rc = ETCD_OK;

    for (size_t i = 0; i < sizeof variables / sizeof variables[0] && rc == ETCD_OK; i++) {
        char name[MAX_NAME];
        const char *value;

        if (snprintf(name, sizeof name, "%s%s", prefix, variables[i].name) >= (int)sizeof name)
            return etcd__error_set(err, ETCD_ERR_ARGUMENT, "prefix is longer than %d characters", MAX_NAME / 2);
        value = getenv(name); /* NOLINT(concurrency-mt-unsafe): its caller asked for the environment */
        if (value != NULL && value[0] != '\0')
            rc = etcd__config_set(config, variables[i].setting, value, name, err);
    }
    return rc;
}

int etcd_config_load_env(const char *prefix, etcd_config **out, etcd_error *err)
{
    etcd_config *config;
    const etcd_tls_options *tls;
    int rc;

    if (out == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "out is NULL");
    *out = NULL;
    config = etcd__config_new();
    if (config == NULL)
        return etcd__error_no_memory(err);
    config->insecure_transport = true; /* etcdctl's default */
    config->options.endpoints = "127.0.0.1:2379";
    rc = read_variables(config, prefix ? prefix : "ETCDCTL_", err);
    if (rc < 0) {
        etcd_config_free(config);
        return rc;
    }
    tls = &config->tls;
    if (!config->insecure_transport || tls->cert_file || tls->key_file || tls->ca_file || tls->insecure_skip_verify)
        config->options.tls = tls;
    if (config->options.token != NULL) /* wins over the user, as in etcdctl */
        config->options.username = config->options.password = NULL;
    etcd__error_clear(err);
    *out = config;
    return ETCD_OK;
}
