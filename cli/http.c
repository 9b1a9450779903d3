/* One plain HTTP request. See http.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "http.h"
#include "text.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TIMEOUT_S = 10, MAX_BYTES = 16 * 1024 * 1024 };

static int connect_to(const char *host, const char *port, cli_error *error)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    const struct timeval timeout = {.tv_sec = TIMEOUT_S};
    struct addrinfo *found;
    int fd = -1, rc = getaddrinfo(host, port, &hints, &found);
    if (rc != 0) {
        cli_error_set(error, "%s", gai_strerror(rc));
        return -1;
    }
    for (const struct addrinfo *a = found; a && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, a->ai_socktype, a->ai_protocol);
        if (fd < 0)
            continue;
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
        if (connect(fd, a->ai_addr, a->ai_addrlen) < 0) {
            cli_error_set(error, "%s", strerror(errno));
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(found);
    return fd;
}

/** All that the peer sends. */
static char *read_all(int fd, cli_error *error)
{
    size_t len = 0, size = 65536;
    char *data = cli_alloc(size);
    for (;;) {
        ssize_t n = read(fd, data + len, size - len - 1);
        if (n == 0)
            break;
        if (n < 0 || len + (size_t)n > MAX_BYTES) {
            cli_error_set(error, "%s", n < 0 ? strerror(errno) : "too much");
            free(data);
            return NULL;
        }
        len += (size_t)n;
        if (size - len < 32768)
            data = cli_realloc(data, size *= 2);
    }
    data[len] = '\0';
    return data;
}

static char *body_of(char *answer, cli_error *error)
{
    char *body = strstr(answer, "\r\n\r\n");
    if (strncmp(answer, "HTTP/1.", 7) != 0 || !body || strncmp(answer + 8, " 200", 4) != 0) {
        cli_error_set(error, "unexpected answer: %.40s", answer);
        free(answer);
        return NULL;
    }
    char *copy = cli_copy(body + 4, strlen(body + 4));
    free(answer);
    return copy;
}

static char *ask(int fd, const char *host, const char *path, cli_error *error)
{
    char *request = cli_text("GET %s HTTP/1.0\r\nHost: %s\r\n\r\n", path, host);
    size_t len = strlen(request);
    ssize_t sent = send(fd, request, len, MSG_NOSIGNAL);
    free(request);
    if (sent != (ssize_t)len) {
        cli_error_set(error, "%s", strerror(errno));
        return NULL;
    }
    char *answer = read_all(fd, error);
    return answer ? body_of(answer, error) : NULL;
}

char *cli_http_get(const char *endpoint, const char *path, cli_error *error)
{
    const char *host = strncmp(endpoint, "http://", 7) == 0 ? endpoint + 7 : endpoint;
    const char *colon = strrchr(host, ':');
    if (strstr(host, "://") || !colon) {
        cli_error_set(error, "only plain http, host:port, is supported here");
        return NULL;
    }
    bool bracket = host[0] == '[' && colon > host + 1 && colon[-1] == ']';
    char *name = cli_copy(host + bracket, (size_t)(colon - host) - 2 * (size_t)bracket);
    char *port = cli_copy(colon + 1, strcspn(colon + 1, "/"));
    int fd = connect_to(name, port, error);
    char *body = fd < 0 ? NULL : ask(fd, name, path, error);
    if (fd >= 0)
        close(fd);
    free(name);
    free(port);
    return body;
}
