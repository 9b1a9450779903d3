/* See socket.h. */
#include "net/socket.h"

#include "base/error.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>
#include <uv.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* systems without it have SO_NOSIGPIPE, see etcd__socket_new() */
#endif

bool etcd__address_numeric(etcd__address *address, const char *host, uint16_t port)
{
    memset(address, 0, sizeof *address);
    if (uv_ip4_addr(host, port, &address->as.in) == 0) {
        address->len = sizeof address->as.in;
        return true;
    }
    memset(address, 0, sizeof *address);
    if (uv_ip6_addr(host, port, &address->as.in6) == 0) {
        address->len = sizeof address->as.in6;
        return true;
    }
    return false;
}

int etcd__address_unix(etcd__address *address, const char *path, etcd_error *err)
{
    size_t len = strlen(path);

    if (len == 0)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "the path of the unix socket is empty");
    if (len >= sizeof address->as.un.sun_path)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "the path of the unix socket is too long: %zu bytes, the system takes %zu",
                               len, sizeof address->as.un.sun_path - 1);
    memset(address, 0, sizeof *address);
    address->as.un.sun_family = AF_UNIX;
    memcpy(address->as.un.sun_path, path, len);
    address->len = sizeof address->as.un;
    return ETCD_OK;
}

void etcd__address_text(const etcd__address *address, char text[ETCD__ADDRESS_TEXT])
{
    char host[INET6_ADDRSTRLEN] = "?";

    switch (address->as.any.sa_family) {
    case AF_INET:
        (void)inet_ntop(AF_INET, &address->as.in.sin_addr, host, sizeof host);
        (void)snprintf(text, ETCD__ADDRESS_TEXT, "%s:%u", host, ntohs(address->as.in.sin_port));
        return;
    case AF_INET6:
        (void)inet_ntop(AF_INET6, &address->as.in6.sin6_addr, host, sizeof host);
        (void)snprintf(text, ETCD__ADDRESS_TEXT, "[%s]:%u", host, ntohs(address->as.in6.sin6_port));
        return;
    default:
        (void)snprintf(text, ETCD__ADDRESS_TEXT, "%s", address->as.un.sun_path);
    }
}

#if defined(SOCK_NONBLOCK) && defined(SOCK_CLOEXEC)

static int new_socket(int family, int type, int protocol)
{
    return socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
}

#else

static int new_socket(int family, int type, int protocol)
{
    int fd = socket(family, type, protocol);
    int flags;

    if (fd < 0)
        return -1;
    flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

#endif

int etcd__socket_new(int family, int type, int protocol)
{
    int fd = new_socket(family, type, protocol);

#ifdef SO_NOSIGPIPE
    int on = 1;

    if (fd >= 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
#endif
    return fd;
}

ssize_t etcd__socket_send(int fd, const void *data, size_t len)
{
    ssize_t n;

    do
        n = send(fd, data, len, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n;
}

ssize_t etcd__socket_sendv(int fd, const struct iovec *parts, int count)
{
    struct msghdr message = {0};
    struct iovec copy[4];
    ssize_t n;

    if (count > (int)(sizeof copy / sizeof copy[0]))
        count = (int)(sizeof copy / sizeof copy[0]);
    memcpy(copy, parts, (size_t)count * sizeof copy[0]);
    message.msg_iov = copy;
    message.msg_iovlen = (unsigned int)count;
    do
        n = sendmsg(fd, &message, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n;
}

ssize_t etcd__socket_recv(int fd, void *data, size_t len)
{
    ssize_t n;

    do
        n = recv(fd, data, len, 0);
    while (n < 0 && errno == EINTR);
    return n;
}

int etcd__socket_error(int fd)
{
    int value = 0;
    socklen_t len = sizeof value;

    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &len) < 0 ? errno : value;
}

int etcd__socket_fail(etcd_error *err, const char *verb, const char *peer, int system_errno)
{
    char text[128];

    if (strerror_r(system_errno, text, sizeof text) != 0)
        (void)snprintf(text, sizeof text, "error %d", system_errno);
    return etcd__error_set(err, ETCD_ERR_CONNECTION, "%s %s: %s", verb, peer, text);
}
