/* Settings by name: what the YAML and the environment forms of a configuration share. */
#ifndef ETCD__CLIENT_CONFIG_H
#define ETCD__CLIENT_CONFIG_H

#include "base/arena.h"

#include <etcd3/config.h>

struct etcd_config {
    etcd__arena *arena; /* all strings; holds the config, too */
    etcd_client_options options;
    etcd_tls_options tls;
    bool insecure_transport;
};

typedef enum etcd__setting {
    ETCD__SETTING_ENDPOINTS,
    ETCD__SETTING_DIAL_TIMEOUT,
    ETCD__SETTING_REQUEST_TIMEOUT,
    ETCD__SETTING_KEEPALIVE_TIME,
    ETCD__SETTING_KEEPALIVE_TIMEOUT,
    ETCD__SETTING_AUTO_SYNC_INTERVAL,
    ETCD__SETTING_MAX_ATTEMPTS,
    ETCD__SETTING_RETRY_WAIT,
    ETCD__SETTING_MAX_SEND,
    ETCD__SETTING_MAX_RECV,
    ETCD__SETTING_USERNAME,
    ETCD__SETTING_USER, /* "name" or "name:password" */
    ETCD__SETTING_PASSWORD,
    ETCD__SETTING_TOKEN,
    ETCD__SETTING_REJECT_OLD_CLUSTER,
    ETCD__SETTING_INSECURE_TRANSPORT,
    ETCD__SETTING_INSECURE_SKIP_VERIFY,
    ETCD__SETTING_CERT_FILE,
    ETCD__SETTING_KEY_FILE,
    ETCD__SETTING_CA_FILE,
    ETCD__SETTING_IGNORED
} etcd__setting;

/** An empty config; NULL when out of memory. */
etcd_config *etcd__config_new(void);

/** Sets one setting from its text. `where` ("file:line: key", a variable's name) starts the message of an error. */
int etcd__config_set(etcd_config *config, etcd__setting setting, const char *text, const char *where, etcd_error *err);

/** Go's duration syntax, or a plain number of nanoseconds, to milliseconds, rounded up. Returns false when it is
 *  neither. */
bool etcd__config_parse_duration(const char *text, int64_t *ms);

#endif
