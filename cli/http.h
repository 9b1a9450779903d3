/* One plain HTTP request, for the metrics of a member.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_HTTP_H
#define CLI_HTTP_H

#include "value.h"

/** The body at "http://<endpoint><path>", in new memory and ended by NUL; NULL with the reason in `error`. The endpoint is
 * "host:port" or "http://host:port". */
char *cli_http_get(const char *endpoint, const char *path, cli_error *error);

#endif
