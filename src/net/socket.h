/* Socket addresses, and the socket calls that need care: close-on-exec, non-blocking, never SIGPIPE (P9). */
#ifndef ETCD__NET_SOCKET_H
#define ETCD__NET_SOCKET_H

#include <etcd3/error.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

typedef struct etcd__address {
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    } as;
    socklen_t len;
} etcd__address;

/** Room for the longest text of an address, with its NUL. */
#define ETCD__ADDRESS_TEXT 128

/** The address of a numeric host; false when `host` is a name. A zone ("fe80::1%eth0") is allowed. */
bool etcd__address_numeric(etcd__address *address, const char *host, uint16_t port);

/** The address of a unix socket. ETCD_ERR_ARGUMENT when the path is empty or too long for the system. */
int etcd__address_unix(etcd__address *address, const char *path, etcd_error *err);

/** "127.0.0.1:2379", "[::1]:2379", "/run/etcd.sock". */
void etcd__address_text(const etcd__address *address, char text[ETCD__ADDRESS_TEXT]);

/** A non-blocking, close-on-exec socket, or -1 with errno set. */
int etcd__socket_new(int family, int type, int protocol);

/** send() and writev() that never raise SIGPIPE and are not interrupted. The result is as theirs. */
ssize_t etcd__socket_send(int fd, const void *data, size_t len);
struct iovec;
ssize_t etcd__socket_sendv(int fd, const struct iovec *parts, int n);

/** recv() that is not interrupted. */
ssize_t etcd__socket_recv(int fd, void *data, size_t len);

/** The pending error of a socket as an errno value, 0 for none. */
int etcd__socket_error(int fd);

/** ETCD_ERR_CONNECTION with "verb peer: text of errno". */
int etcd__socket_fail(etcd_error *err, const char *verb, const char *peer, int system_errno);

#endif
