/* See peer_urls.h. Of a URL (RFC 3986) only what matters here is looked at: scheme, host, port, and that there is no path. */
#include "service/peer_urls.h"

#include "base/alloc.h"
#include "base/error.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

/* A part of a string. */
struct span {
    const char *data;
    size_t len;
};

static struct span trimmed(const char *text)
{
    static const char blanks[] = " \t\r\n\v\f";
    struct span span = {text + strspn(text, blanks), 0};

    span.len = strlen(span.data);
    while (span.len > 0 && strchr(blanks, span.data[span.len - 1]) != NULL)
        span.len--;
    return span;
}

static int bad_url(const char *what, struct span url, etcd_error *err)
{
    const size_t shown = url.len < ETCD_ERROR_MESSAGE_MAX ? url.len : ETCD_ERROR_MESSAGE_MAX;

    return etcd__error_set(err, ETCD_ERR_MEMBER_BAD_URLS, "%s: %.*s", what, (int)shown, url.data);
}

static bool has_scheme(struct span url, const char *scheme)
{
    const size_t len = strlen(scheme);

    return url.len > len && url.data[len] == ':' && strncasecmp(url.data, scheme, len) == 0;
}

/* The length of the text until one of the characters, or its end. */
static size_t until(const char *data, size_t len, const char *characters)
{
    size_t n = 0;

    while (n < len && strchr(characters, data[n]) == NULL)
        n++;
    return n;
}

static const char *last_of(struct span span, char character)
{
    for (size_t i = span.len; i > 0; i--)
        if (span.data[i - 1] == character)
            return span.data + i - 1;
    return NULL;
}

/* Whether it is "host:port", "[address]:port", or lacks no more than the text of either. */
static bool is_host_port(struct span host)
{
    const char *end = host.data + host.len, *colon = last_of(host, ':');
    const char *bracket = last_of(host, ']');

    if (colon == NULL)
        return false;
    if (host.data[0] == '[') {
        if (bracket == NULL || bracket + 1 != colon)
            return false;
    } else if (until(host.data, host.len, ":[]") != (size_t)(colon - host.data)) {
        return false;
    }
    for (const char *digit = colon + 1; digit < end; digit++)
        if (*digit < '0' || *digit > '9')
            return false;
    return true;
}

/* What follows "http:" or "https:". */
static int check_http(struct span url, struct span rest, etcd_error *err)
{
    struct span host = {rest.data, 0};
    const char *at;

    if (rest.len >= 2 && memcmp(rest.data, "//", 2) == 0) {
        host.data += 2;
        host.len = until(host.data, rest.len - 2, "/?#");
    }
    rest.len -= (size_t)(host.data - rest.data) + host.len;
    rest.data = host.data + host.len;
    at = last_of(host, '@');
    if (at != NULL) {
        host.len -= (size_t)(at + 1 - host.data);
        host.data = at + 1;
    }
    if (host.len == 0 || !is_host_port(host))
        return bad_url("URL address does not have the form \"host:port\"", url, err);
    if (rest.len > 0 && rest.data[0] == '/')
        return bad_url("URL must not contain a path", url, err);
    return ETCD_OK;
}

static int check_url(const char *string, etcd_error *err)
{
    const struct span url = trimmed(string);
    const size_t scheme = until(url.data, url.len, ":") + 1;

    if (has_scheme(url, "http") || has_scheme(url, "https"))
        return check_http(url, (struct span){url.data + scheme, url.len - scheme}, err);
    if (has_scheme(url, "unix") || has_scheme(url, "unixs"))
        return ETCD_OK;
    return bad_url("URL scheme must be http, https, unix, or unixs", url, err);
}

static int check_all(const char *const *strings, size_t n, etcd_error *err)
{
    int rc = ETCD_OK;

    if (n == 0)
        return etcd__error_set(err, ETCD_ERR_MEMBER_BAD_URLS, "no valid URLs given");
    if (strings == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "peer_urls is NULL but n_peer_urls is %zu", n);
    for (size_t i = 0; i < n && rc == ETCD_OK; i++)
        rc = strings[i] ? check_url(strings[i], err) : etcd__error_set(err, ETCD_ERR_ARGUMENT, "peer_urls[%zu] is NULL", i);
    return rc;
}

int etcd__peer_urls_load(etcd__peer_urls *urls, const char *const *strings, size_t n, etcd_error *err)
{
    int rc = check_all(strings, n, err);

    if (rc < 0)
        return rc;
    urls->items = etcd__calloc(n, sizeof *urls->items);
    if (urls->items == NULL)
        return etcd__error_no_memory(err);
    for (urls->n = 0; urls->n < n; urls->n++)
        urls->items[urls->n] = (etcd_bytes){strings[urls->n], strlen(strings[urls->n])};
    return ETCD_OK;
}

void etcd__peer_urls_free(etcd__peer_urls *urls)
{
    etcd__free(urls->items);
    *urls = (etcd__peer_urls){0};
}
