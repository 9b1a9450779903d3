/* defrag: one member after the other, so that the others can serve meanwhile.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"
#include "endpoints.h"
#include "text.h"

#include <stdlib.h>

static int run_defrag(cli *c)
{
    size_t n, failures = 0;
    cli_setup(c);
    char **targets = cli_targets(c, &n);
    etcd_client *client = cli_client(c);
    for (size_t i = 0; i < n; i++) {
        char text[64];
        etcd_error err;
        int64_t begin = cli_now_ns();
        int rc = etcd_defragment(client, targets[i], cli_call(c), NULL, &err);
        const char *took = cli_format_duration(cli_now_ns() - begin, text, sizeof text);
        if (rc == 0) {
            printf("Finished defragmenting etcd member[%s]. took %s\n", targets[i], took);
            fflush(stdout);
            continue;
        }
        cli_check_auth(&err);
        fprintf(stderr, "Failed to defragment etcd member[%s]. took %s. (%s)\n", targets[i], took, cli_error_text(&err));
        failures++;
    }
    cli_free_texts(targets, n);
    return failures > 0 ? CLI_ERROR : CLI_OK;
}

static const cli_flag defrag_flags[] = {
    {.name = "cluster", .type = CLI_BOOL, .usage = "use all endpoints from the cluster member list"},
};

const cli_command cli_defrag = {.name = "defrag",
                                .usage = "defrag",
                                .summary = "Defragments the storage of the etcd members with given endpoints",
                                .group = CLI_CLUSTER,
                                CLI_FLAGS(defrag_flags),
                                .run = run_defrag};
