/* Options from a YAML file in the Go client's format. See <etcd3/config.h>; keys and their meaning: the contract,
 * sections 1.2 and 1.14. Parsed with libyaml. */
#include "base/alloc.h"
#include "base/buf.h"
#include "base/error.h"
#include "client/config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#define MAX_ENDPOINTS ((size_t)64 << 10)

static const struct {
    const char *key;
    etcd__setting setting;
} keys[] = {
    {"endpoints", ETCD__SETTING_ENDPOINTS},
    {"dial-timeout", ETCD__SETTING_DIAL_TIMEOUT},
    {"dial-keep-alive-time", ETCD__SETTING_KEEPALIVE_TIME},
    {"dial-keep-alive-timeout", ETCD__SETTING_KEEPALIVE_TIMEOUT},
    {"auto-sync-interval", ETCD__SETTING_AUTO_SYNC_INTERVAL},
    {"max-unary-retries", ETCD__SETTING_MAX_ATTEMPTS},
    {"backoff-wait-between", ETCD__SETTING_RETRY_WAIT},
    {"username", ETCD__SETTING_USERNAME},
    {"password", ETCD__SETTING_PASSWORD},
    {"token", ETCD__SETTING_TOKEN},
    {"reject-old-cluster", ETCD__SETTING_REJECT_OLD_CLUSTER},
    {"insecure-transport", ETCD__SETTING_INSECURE_TRANSPORT},
    {"insecure-skip-tls-verify", ETCD__SETTING_INSECURE_SKIP_VERIFY},
    {"cert-file", ETCD__SETTING_CERT_FILE},
    {"key-file", ETCD__SETTING_KEY_FILE},
    {"trusted-ca-file", ETCD__SETTING_CA_FILE},
    {"ca-file", ETCD__SETTING_IGNORED},
    {"permit-without-stream", ETCD__SETTING_IGNORED},
    {"backoff-jitter-fraction", ETCD__SETTING_IGNORED},
};

/* A file that is being read. */
struct source {
    const char *path;
    yaml_document_t *document;
    etcd_config *config;
};

static int fault(const struct source *source, const yaml_node_t *node, const char *what, etcd_error *err)
{
    return etcd__error_set(err, ETCD_ERR_ARGUMENT, "%s:%zu: %s", source->path, node->start_mark.line + 1, what);
}

static const char *scalar(const yaml_node_t *node)
{
    return node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : NULL;
}

/* A list of endpoints as "a,b,c". */
static int join(const struct source *source, const yaml_node_t *list, etcd__buf *text, etcd_error *err)
{
    for (yaml_node_item_t *item = list->data.sequence.items.start; item < list->data.sequence.items.top; item++) {
        const yaml_node_t *node = yaml_document_get_node(source->document, *item);
        const char *endpoint = scalar(node);
        int rc = text->len ? etcd__buf_append(text, ",", 1) : ETCD_OK;

        if (endpoint == NULL)
            return fault(source, node, "an endpoint is no text", err);
        if (rc == ETCD_OK)
            rc = etcd__buf_append(text, endpoint, strlen(endpoint));
        if (rc < 0)
            return etcd__error_set(err, rc, "%s", etcd_error_text(rc));
    }
    if (etcd__buf_append(text, "", 1) < 0)
        return etcd__error_no_memory(err);
    return ETCD_OK;
}

static int set_list(const struct source *source, etcd__setting setting, const yaml_node_t *list, const char *where,
                    etcd_error *err)
{
    etcd__buf text = ETCD__BUF_INIT(MAX_ENDPOINTS);
    int rc = join(source, list, &text, err);

    if (rc == ETCD_OK)
        rc = etcd__config_set(source->config, setting, (const char *)text.data, where, err);
    etcd__buf_free(&text);
    return rc;
}

static int set_pair(const struct source *source, const yaml_node_t *key, const yaml_node_t *value, etcd_error *err)
{
    char where[256];

    if (scalar(key) == NULL)
        return fault(source, key, "a key is no text", err);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (strcmp(keys[i].key, scalar(key)) != 0)
            continue;
        (void)snprintf(where, sizeof where, "%.180s:%zu: %s", source->path, value->start_mark.line + 1, keys[i].key);
        if (value->type == YAML_SEQUENCE_NODE && keys[i].setting == ETCD__SETTING_ENDPOINTS)
            return set_list(source, keys[i].setting, value, where, err);
        if (scalar(value) == NULL)
            return fault(source, value, "the value is of the wrong kind", err);
        return etcd__config_set(source->config, keys[i].setting, scalar(value), where, err);
    }
    return etcd__error_set(err, ETCD_ERR_ARGUMENT, "%s:%zu: unknown key \"%.60s\"", source->path, key->start_mark.line + 1,
                           scalar(key));
}

static int read_document(const struct source *source, etcd_error *err)
{
    const yaml_node_t *root = yaml_document_get_root_node(source->document);
    int rc = ETCD_OK;

    if (root == NULL)
        return ETCD_OK; /* an empty file */
    if (root->type != YAML_MAPPING_NODE)
        return fault(source, root, "keys and values are expected", err);
    for (yaml_node_pair_t *pair = root->data.mapping.pairs.start; pair < root->data.mapping.pairs.top && rc == ETCD_OK; pair++)
        rc = set_pair(source, yaml_document_get_node(source->document, pair->key),
                      yaml_document_get_node(source->document, pair->value), err);
    return rc;
}

static int read_file(FILE *file, const char *path, etcd_config *config, etcd_error *err)
{
    yaml_parser_t parser;
    yaml_document_t document;
    const struct source source = {path, &document, config};
    int rc;

    if (!yaml_parser_initialize(&parser))
        return etcd__error_no_memory(err);
    yaml_parser_set_input_file(&parser, file);
    if (yaml_parser_load(&parser, &document)) {
        rc = read_document(&source, err);
        yaml_document_delete(&document);
    } else {
        rc = etcd__error_set(err, parser.error == YAML_MEMORY_ERROR ? ETCD_ERR_NO_MEMORY : ETCD_ERR_ARGUMENT, "%s:%zu: %s", path,
                             parser.problem_mark.line + 1, parser.problem ? parser.problem : "not YAML");
    }
    yaml_parser_delete(&parser);
    return rc;
}

int etcd_config_load_yaml(const char *path, etcd_config **out, etcd_error *err)
{
    etcd_config *config;
    FILE *file;
    int rc;

    if (out == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "out is NULL");
    *out = NULL;
    if (path == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "path is NULL");
    file = fopen(path, "rbe");
    if (file == NULL)
        return etcd__error_system(err, path, errno);
    config = etcd__config_new();
    rc = config ? read_file(file, path, config, err) : etcd__error_no_memory(err);
    (void)fclose(file);
    if (rc < 0) {
        etcd_config_free(config);
        return rc;
    }
    if (!config->insecure_transport)
        config->options.tls = &config->tls;
    etcd__error_clear(err);
    *out = config;
    return ETCD_OK;
}
