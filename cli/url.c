/* Lists of URLs in flags, checked as the Go client checks the URLs of members.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "url.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void cli_urls_split(cli_urls *urls, const char *text)
{
    size_t n = 1;
    for (const char *p = text; *p; p++)
        n += *p == ',';
    urls->items = cli_alloc(n * sizeof *urls->items);
    urls->n = 0;
    for (const char *p = text;; p++) {
        size_t len = strcspn(p, ",");
        const char *begin = p, *end = p + len;
        while (begin < end && isspace((unsigned char)*begin))
            begin++;
        while (end > begin && isspace((unsigned char)end[-1]))
            end--;
        urls->items[urls->n++] = cli_copy(begin, (size_t)(end - begin));
        p += len;
        if (*p == '\0')
            return;
    }
}

void cli_urls_free(cli_urls *urls)
{
    for (size_t i = 0; i < urls->n; i++)
        free(urls->items[i]);
    free(urls->items);
    *urls = (cli_urls){0};
}

/** Whether `host` of `len` bytes is "name:port" or "[address]:port", as Go's net.SplitHostPort takes it. */
static bool has_port(const char *host, size_t len)
{
    const char *colon = NULL;
    for (size_t i = 0; i < len; i++)
        if (host[i] == ':')
            colon = host + i;
    if (!colon)
        return false;
    size_t name = (size_t)(colon - host);
    if (name > 0 && host[0] == '[')
        return host[name - 1] == ']';
    return memchr(host, ':', name) == NULL && memchr(host, '[', name) == NULL && memchr(host, ']', name) == NULL;
}

static bool check_one(const char *url, cli_error *error)
{
    static const char *const schemes[] = {"http://", "https://", "unix://", "unixs://"};
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        size_t len = strlen(schemes[i]);
        if (strncasecmp(url, schemes[i], len) != 0)
            continue;
        if (i >= 2)
            return true;
        const char *host = url + len;
        len = strcspn(host, "/?#");
        if (!has_port(host, len)) {
            cli_error_set(error, "URL address does not have the form \"host:port\": %s", url);
            return false;
        }
        if (host[len] == '/') {
            cli_error_set(error, "URL must not contain a path: %s", url);
            return false;
        }
        return true;
    }
    cli_error_set(error, "URL scheme must be http, https, unix, or unixs: %s", url);
    return false;
}

bool cli_urls_check(const cli_urls *urls, cli_error *error)
{
    for (size_t i = 0; i < urls->n; i++)
        if (!check_one(urls->items[i], error))
            return false;
    return true;
}
