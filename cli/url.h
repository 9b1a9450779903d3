/* Lists of URLs in flags, checked as the Go client checks the URLs of members.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_URL_H
#define CLI_URL_H

#include "value.h"

typedef struct cli_urls {
    char **items; /* without spaces around them */
    size_t n;
} cli_urls;

/** Splits at commas. */
void cli_urls_split(cli_urls *urls, const char *text);
void cli_urls_free(cli_urls *urls);

/** Whether all are URLs of a member; else the Go client's text in `error`. */
bool cli_urls_check(const cli_urls *urls, cli_error *error);

#endif
