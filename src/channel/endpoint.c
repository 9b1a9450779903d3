/* See endpoint.h. The table of the contract's section 1.4, made strict: what the Go client would only fail to dial
 * later is refused here, with words. Nothing of what is parsed is looked up. */
#include "channel/endpoint.h"

#include "base/alloc.h"
#include "base/error.h"
#include "net/socket.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* GO-DIFF: the Go client hands an address without a port to dial(), which never works; we take etcd's client port. */
#define DEFAULT_PORT 2379

#define MAX_HOST 253 /* RFC 1035 */
#define MAX_SHOWN 160

/* A piece of the text. */
struct span {
    const char *data;
    size_t len;
};

/* For messages: at most MAX_SHOWN bytes, unprintable ones as '?', and no password (P13). */
static void show(struct span text, char out[MAX_SHOWN + 8])
{
    const char *user_end = NULL;
    size_t n = 0;

    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] == '@')
            user_end = &text.data[i];
    if (user_end != NULL) {
        text.len -= (size_t)(user_end - text.data);
        text.data = user_end;
        memcpy(out, "...", 3);
        n = 3;
    }
    for (size_t i = 0; i < text.len && n < MAX_SHOWN; i++)
        out[n++] = (char)(text.data[i] >= ' ' && text.data[i] <= '~' ? text.data[i] : '?');
    (void)snprintf(&out[n], sizeof "...", "%s", n < MAX_SHOWN ? "" : "...");
}

#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
static int
fault(struct span text, etcd_error *err, const char *format, ...)
{
    char shown[MAX_SHOWN + 8], what[256];
    va_list args;

    show(text, shown);
    va_start(args, format);
    (void)vsnprintf(what, sizeof what, format, args);
    va_end(args);
    return etcd__error_set(err, ETCD_ERR_ARGUMENT, "endpoint \"%s\": %s", shown, what);
}

static struct span trim(struct span text)
{
    while (text.len > 0 && (text.data[0] == ' ' || text.data[0] == '\t')) {
        text.data++;
        text.len--;
    }
    while (text.len > 0 && (text.data[text.len - 1] == ' ' || text.data[text.len - 1] == '\t'))
        text.len--;
    return text;
}

/* Cuts `prefix` (case does not matter) off the front. */
static bool skip(struct span *text, const char *prefix)
{
    size_t len = strlen(prefix);

    if (text->len < len || strncasecmp(text->data, prefix, len) != 0)
        return false;
    text->data += len;
    text->len -= len;
    return true;
}

static bool contains_only(struct span text, const char *allowed)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] == '\0' || strchr(allowed, text.data[i]) == NULL)
            return false;
    return true;
}

#define DIGITS "0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

static int parse_port(struct span whole, struct span port, uint16_t *out, etcd_error *err)
{
    unsigned int value = 0;

    if (port.len == 0)
        return fault(whole, err, "the port after ':' is missing");
    for (size_t i = 0; i < port.len; i++) {
        if (port.data[i] < '0' || port.data[i] > '9')
            return fault(whole, err, "the port is not a number");
        if (value <= UINT16_MAX)
            value = value * 10 + (unsigned int)(port.data[i] - '0');
    }
    if (value == 0 || value > UINT16_MAX)
        return fault(whole, err, "the port is not between 1 and 65535");
    *out = (uint16_t)value;
    return ETCD_OK;
}

/* RFC 6874: a zone in a URL starts with "%25"; elsewhere people write "%". The zone stays with the address that is
 * dialed. */
static int check_ipv6(struct span whole, struct span host, etcd__endpoint *out, etcd_error *err)
{
    const char *percent = memchr(host.data, '%', host.len);
    struct span zone = {NULL, 0};
    struct in6_addr parsed;
    char *address;

    if (percent != NULL) {
        zone = (struct span){percent + 1, host.len - (size_t)(percent - host.data) - 1};
        host.len = (size_t)(percent - host.data);
        (void)(zone.len > 2 && skip(&zone, "25"));
        if (zone.len == 0 || !contains_only(zone, LETTERS DIGITS ".-_"))
            return fault(whole, err, "the zone of the IPv6 address is malformed");
    }
    address = etcd__calloc(1, host.len + 1 + zone.len + 1);
    if (address == NULL)
        return etcd__error_no_memory(err);
    out->address = address;
    out->target.host = address;
    memcpy(address, host.data, host.len);
    if (inet_pton(AF_INET6, address, &parsed) != 1)
        return fault(whole, err, "what is in brackets is not an IPv6 address");
    if (zone.len > 0) {
        address[host.len] = '%';
        memcpy(&address[host.len + 1], zone.data, zone.len);
    }
    return ETCD_OK;
}

static int check_name(struct span whole, struct span host, etcd__endpoint *out, etcd_error *err)
{
    struct in_addr parsed;

    if (host.len == 0)
        return fault(whole, err, "the host is empty");
    if (host.len > MAX_HOST)
        return fault(whole, err, "the host is longer than %d characters", MAX_HOST);
    if (!contains_only(host, LETTERS DIGITS ".-_"))
        return fault(whole, err, "the host has characters that no host name has");
    out->address = etcd__strndup(host.data, host.len);
    if (out->address == NULL)
        return etcd__error_no_memory(err);
    out->target.host = out->address;
    if (contains_only(host, DIGITS ".") && inet_pton(AF_INET, out->address, &parsed) != 1)
        return fault(whole, err, "the host is neither an IPv4 address nor a name");
    return ETCD_OK;
}

/* "host", "host:port", "[address]", "[address]:port": separates them and leaves the port with its ':' in *port. */
static int split_host(struct span whole, struct span text, struct span *host, struct span *port, etcd_error *err)
{
    const char *end;

    if (text.len > 0 && text.data[0] == '[') {
        end = memchr(text.data, ']', text.len);
        if (end == NULL)
            return fault(whole, err, "the ']' behind the IPv6 address is missing");
        *host = (struct span){text.data + 1, (size_t)(end - text.data) - 1};
        *port = (struct span){end + 1, text.len - host->len - 2};
        if (port->len > 0 && port->data[0] != ':')
            return fault(whole, err, "only a port can follow the ']'");
        return ETCD_OK;
    }
    end = memchr(text.data, ':', text.len);
    if (end == NULL)
        end = text.data + text.len;
    *host = (struct span){text.data, (size_t)(end - text.data)};
    *port = (struct span){end, text.len - host->len};
    if (port->len > 1 && memchr(port->data + 1, ':', port->len - 1) != NULL)
        return fault(whole, err, "more than one ':'; an IPv6 address goes in brackets, as in [::1]:2379");
    return ETCD_OK;
}

/* ":authority" is the host without a zone, which means something on this machine only, and the port. */
static int set_tcp_authority(etcd__endpoint *out, bool ipv6, etcd_error *err)
{
    size_t host_len = strcspn(out->target.host, "%");
    size_t size = host_len + sizeof "[]:65535";

    out->authority = etcd__malloc(size);
    if (out->authority == NULL)
        return etcd__error_no_memory(err);
    (void)snprintf(out->authority, size, ipv6 ? "[%.*s]:%u" : "%.*s:%u", (int)host_len, out->target.host, out->target.port);
    return ETCD_OK;
}

static int parse_tcp(struct span whole, struct span text, etcd__endpoint *out, etcd_error *err)
{
    bool ipv6 = text.len > 0 && text.data[0] == '[';
    struct span host = {NULL, 0}, port = {NULL, 0};
    int rc;

    out->target.kind = ETCD__TARGET_TCP;
    out->target.port = DEFAULT_PORT;
    if (memchr(text.data, '@', text.len) != NULL)
        return fault(whole, err, "user and password do not belong into an endpoint; there are options for them");
    rc = split_host(whole, text, &host, &port, err);
    if (rc == ETCD_OK)
        rc = ipv6 ? check_ipv6(whole, host, out, err) : check_name(whole, host, out, err);
    if (rc == ETCD_OK && skip(&port, ":"))
        rc = parse_port(whole, port, &out->target.port, err);
    if (rc == ETCD_OK)
        rc = set_tcp_authority(out, ipv6, err);
    return rc;
}

/* GO-DIFF: the Go client sends any file name as ":authority"; where it could not stand in a URL we send "localhost". */
static int parse_unix(struct span whole, struct span path, etcd__endpoint *out, etcd_error *err)
{
    struct span base;
    size_t most = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;

    out->target.kind = ETCD__TARGET_UNIX;
    (void)skip(&path, "//");
    if (path.len == 0)
        return fault(whole, err, "the path of the unix socket is empty");
    if (path.data[path.len - 1] == '/')
        return fault(whole, err, "the path of the unix socket ends in '/'");
    if (path.len > most)
        return fault(whole, err, "the path of the unix socket is too long: %zu bytes, the system takes %zu", path.len, most);
    base = path;
    for (size_t i = 0; i < path.len; i++)
        if (path.data[i] == '/')
            base = (struct span){&path.data[i + 1], path.len - i - 1};
    if (!contains_only(base, LETTERS DIGITS "-._~!$&'()*+;=:"))
        base = (struct span){"localhost", strlen("localhost")};
    out->address = etcd__strndup(path.data, path.len);
    out->authority = etcd__strndup(base.data, base.len);
    if (out->address == NULL || out->authority == NULL)
        return etcd__error_no_memory(err);
    out->target.path = out->address;
    return ETCD_OK;
}

/* The part of a URL behind "://" up to its path, which means nothing here. */
static struct span url_host(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] == '/' || text.data[i] == '?' || text.data[i] == '#')
            text.len = i;
    return text;
}

static bool has_scheme(struct span text, struct span *scheme)
{
    for (size_t i = 0; i + 3 <= text.len; i++)
        if (memcmp(&text.data[i], "://", 3) == 0) {
            *scheme = (struct span){text.data, i};
            return true;
        }
    return false;
}

static int parse_any(struct span whole, etcd__endpoint *out, etcd_error *err)
{
    struct span rest = whole, scheme;

    if (skip(&rest, "unix:"))
        return parse_unix(whole, rest, out, err);
    if (skip(&rest, "unixs:")) {
        out->creds = ETCD__CREDS_TLS;
        return parse_unix(whole, rest, out, err);
    }
    if (skip(&rest, "http://")) {
        out->creds = ETCD__CREDS_PLAIN;
        return parse_tcp(whole, url_host(rest), out, err);
    }
    if (skip(&rest, "https://")) {
        out->creds = ETCD__CREDS_TLS;
        return parse_tcp(whole, url_host(rest), out, err);
    }
    if (has_scheme(whole, &scheme)) /* GO-DIFF: the Go client hands these to gRPC's own resolvers */
        return fault(whole, err, "the scheme is none of http, https, unix, unixs");
    if (skip(&rest, "http:") || skip(&rest, "https:"))
        return fault(whole, err, "\"//\" is missing behind the scheme");
    return parse_tcp(whole, rest, out, err);
}

int etcd__endpoint_parse(const char *text, size_t len, etcd__endpoint *out, etcd_error *err)
{
    struct span whole = trim((struct span){text, len});
    int rc;

    *out = (etcd__endpoint){0};
    for (size_t i = 0; i < whole.len; i++)
        if ((unsigned char)whole.data[i] < ' ' || whole.data[i] == '\x7f')
            return fault(whole, err, "it contains a control character");
    if (whole.len == 0)
        return fault(whole, err, "it is empty");
    rc = parse_any(whole, out, err);
    if (rc == ETCD_OK) {
        out->tls = out->creds == ETCD__CREDS_TLS;
        out->text = etcd__strndup(whole.data, whole.len);
        if (out->text == NULL)
            rc = etcd__error_no_memory(err);
    }
    if (rc != ETCD_OK)
        etcd__endpoint_free(out);
    return rc;
}

void etcd__endpoint_free(etcd__endpoint *endpoint)
{
    if (endpoint == NULL)
        return;
    etcd__free(endpoint->text);
    etcd__free(endpoint->authority);
    etcd__free(endpoint->address);
    *endpoint = (etcd__endpoint){0};
}

/* The next element of the list, cut off its front; false behind the last. */
static bool next_element(struct span *list, struct span *element)
{
    const char *comma;

    if (list->data == NULL)
        return false;
    comma = memchr(list->data, ',', list->len);
    if (comma == NULL) {
        *element = *list;
        *list = (struct span){NULL, 0};
        return true;
    }
    *element = (struct span){list->data, (size_t)(comma - list->data)};
    *list = (struct span){comma + 1, list->len - element->len - 1};
    return true;
}

int etcd__endpoint_list_parse(const char *text, size_t len, etcd__endpoint **out, size_t *n, etcd_error *err)
{
    const struct span whole = trim((struct span){text, len});
    struct span rest = whole, element;
    etcd__endpoint *list;
    size_t count = 0;
    int rc = ETCD_OK;

    *out = NULL;
    *n = 0;
    if (whole.len == 0)
        return etcd__error_set(err, ETCD_ERR_NO_ENDPOINTS, "%s", etcd_error_text(ETCD_ERR_NO_ENDPOINTS));
    while (next_element(&rest, &element)) {
        count++;
        if (trim(element).len == 0)
            return fault(whole, err, "element %zu of the list is empty", count);
    }
    list = etcd__calloc(count, sizeof *list);
    if (list == NULL)
        return etcd__error_no_memory(err);
    rest = whole;
    for (size_t i = 0; rc == ETCD_OK && next_element(&rest, &element); i++)
        rc = etcd__endpoint_parse(element.data, element.len, &list[i], err);
    if (rc != ETCD_OK) {
        etcd__endpoint_list_free(list, count);
        return rc;
    }
    *out = list;
    *n = count;
    return ETCD_OK;
}

void etcd__endpoint_list_free(etcd__endpoint *list, size_t n)
{
    for (size_t i = 0; list != NULL && i < n; i++)
        etcd__endpoint_free(&list[i]);
    etcd__free(list);
}

bool etcd__endpoint_is_local(const etcd__endpoint *endpoint)
{
    struct in_addr v4;
    struct in6_addr v6;

    if (endpoint->target.kind == ETCD__TARGET_UNIX)
        return true;
    if (inet_pton(AF_INET, endpoint->target.host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == IN_LOOPBACKNET;
    if (inet_pton(AF_INET6, endpoint->target.host, &v6) == 1)
        return IN6_IS_ADDR_LOOPBACK(&v6);
    return strcasecmp(endpoint->target.host, "localhost") == 0;
}
