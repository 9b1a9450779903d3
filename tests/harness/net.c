/* See net.h. */
#include "harness/net.h"

#include "harness/test.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define WAIT_MS 50000

static int check(int result, const char *what)
{
    if (result < 0)
        fail_msg("%s: %s", what, strerror(errno));
    return result;
}

int etcd_test_listen(int family, int backlog, uint16_t *port)
{
    int fd = check(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } address;
    socklen_t len = family == AF_INET ? sizeof address.in : sizeof address.in6;

    memset(&address, 0, sizeof address);
    address.any.sa_family = (sa_family_t)family;
    if (family == AF_INET)
        address.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else
        address.in6.sin6_addr = in6addr_loopback;
    check(bind(fd, &address.any, len), "bind");
    check(listen(fd, backlog), "listen");
    check(getsockname(fd, &address.any, &len), "getsockname");
    *port = ntohs(family == AF_INET ? address.in.sin_port : address.in6.sin6_port);
    return fd;
}

int etcd_test_hold(const char *address, uint16_t *port)
{
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } to;
    const int on = 1;
    socklen_t len;
    int fd;

    memset(&to, 0, sizeof to);
    to.any.sa_family = strchr(address, ':') != NULL ? AF_INET6 : AF_INET;
    len = to.any.sa_family == AF_INET ? sizeof to.in : sizeof to.in6;
    if (to.any.sa_family == AF_INET)
        to.in.sin_port = htons(*port);
    else
        to.in6.sin6_port = htons(*port);
    check(
        inet_pton(to.any.sa_family, address, to.any.sa_family == AF_INET ? (void *)&to.in.sin_addr : (void *)&to.in6.sin6_addr) -
            1,
        address);
    fd = check(socket(to.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
    check(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), "SO_REUSEADDR");
    if (bind(fd, &to.any, len) < 0) {
        (void)close(fd);
        return -1;
    }
    check(getsockname(fd, &to.any, &len), "getsockname");
    *port = ntohs(to.any.sa_family == AF_INET ? to.in.sin_port : to.in6.sin6_port);
    return fd;
}

int etcd_test_listen_held(const char *address, int backlog, uint16_t port)
{
    int fd = check(etcd_test_hold(address, &port), address);

    check(listen(fd, backlog), "listen");
    return fd;
}

int etcd_test_listen_unix(int backlog, char path[108])
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char directory[] = "/tmp/etcd3-test-XXXXXX";
    int fd = check(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");

    if (mkdtemp(directory) == NULL)
        fail_msg("mkdtemp: %s", strerror(errno));
    (void)snprintf(path, 108, "%s/socket", directory);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    check(bind(fd, (struct sockaddr *)&address, sizeof address), "bind");
    check(listen(fd, backlog), "listen");
    return fd;
}

void etcd_test_unlink_unix(const char *path)
{
    char directory[108];

    check(unlink(path), "unlink");
    (void)snprintf(directory, sizeof directory, "%.*s", (int)(strrchr(path, '/') - path), path);
    check(rmdir(directory), "rmdir");
}

int etcd_test_readable(int fd, int timeout_ms)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    int n;

    do
        n = poll(&poll_fd, 1, timeout_ms);
    while (n < 0 && errno == EINTR);
    return n > 0;
}

int etcd_test_accept(int listener)
{
    if (!etcd_test_readable(listener, WAIT_MS))
        fail_msg("nobody connected");
    return check(accept(listener, NULL, NULL), "accept");
}

size_t etcd_test_read(int fd, void *data, size_t len)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n;

        if (!etcd_test_readable(fd, WAIT_MS))
            fail_msg("nothing to read after %zu of %zu bytes", done, len);
        n = read(fd, (char *)data + done, len - done);
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    return done;
}

void etcd_test_write(int fd, const void *data, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

        check((int)n, "send");
        data = (const char *)data + n;
        len -= (size_t)n;
    }
}

void etcd_test_reset(int fd)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};

    check(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), "SO_LINGER");
    check(close(fd), "close");
}

size_t etcd_test_open_fds(void)
{
    DIR *directory = opendir("/proc/self/fd");
    size_t n = 0;

    if (directory == NULL)
        fail_msg("/proc/self/fd: %s", strerror(errno));
    while (readdir(directory) != NULL)
        n++;
    (void)closedir(directory);
    return n;
}

size_t etcd_test_inherited_fds(void)
{
    size_t n = 0;

    for (int fd = 0; fd < 4096; fd++) {
        int flags = fcntl(fd, F_GETFD);

        n += flags >= 0 && !(flags & FD_CLOEXEC);
    }
    return n;
}
