/* The endpoints that a command about single members works on.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "endpoints.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

static char **cluster_targets(cli *c, size_t *n)
{
    etcd_member_list_response *list;
    etcd_error err;
    size_t total = 0;
    etcd_client *client = cli_client(c);
    if (etcd_member_list(client, ETCD_MEMBER_LIST(.call = cli_call(c)), &list, &err) < 0) {
        cli_check_auth(&err);
        cli_fail(CLI_ERROR, "failed to fetch endpoints from etcd cluster member list: %s", cli_error_text(&err));
    }
    for (size_t i = 0; i < list->n_members; i++)
        total += list->members[i].n_client_urls;
    char **targets = cli_alloc((total + 1) * sizeof *targets);
    *n = 0;
    for (size_t i = 0; i < list->n_members; i++)
        for (size_t k = 0; k < list->members[i].n_client_urls; k++)
            targets[(*n)++] = cli_copy(list->members[i].client_urls[k].data, list->members[i].client_urls[k].len);
    etcd_response_free(list);
    return targets;
}

char **cli_targets(cli *c, size_t *n)
{
    if (cli_flag_bool(c, "cluster"))
        return cluster_targets(c, n);
    char **given = cli_given_endpoints(c, n);
    char **targets = cli_alloc((*n + 1) * sizeof *targets);
    for (size_t i = 0; i < *n; i++)
        targets[i] = cli_copy(given[i], strlen(given[i]));
    return targets;
}

const etcd_call_options *cli_call_to(cli *c, const char *endpoint)
{
    static etcd_call_options call;
    call = *cli_call(c);
    call.endpoint = endpoint;
    return &call;
}

char *cli_list_text(char *const *texts, size_t n)
{
    etcd_bytes *bytes = cli_alloc((n + 1) * sizeof *bytes);
    for (size_t i = 0; i < n; i++)
        bytes[i] = (etcd_bytes){texts[i], strlen(texts[i])};
    char *joined = cli_join(bytes, n, " ");
    char *text = cli_text("[%s]", joined);
    free(joined);
    free(bytes);
    return text;
}

void cli_check_auth(const etcd_error *err)
{
    if (err->code == ETCD_ERR_AUTH_FAILED)
        cli_fail_call(CLI_BAD_CONNECTION, err);
}
