/* Sockets for tests, all on the loopback: listeners on free ports and private paths, and counts of what is open. A failure of the
 * system fails the test. */
#ifndef ETCD3_TESTS_NET_H
#define ETCD3_TESTS_NET_H

#include <stddef.h>
#include <stdint.h>

/** A listening socket on a free port of the loopback (AF_INET or AF_INET6). */
int etcd_test_listen(int family, int backlog, uint16_t *port);

/** A listening unix socket in a new private directory; etcd_test_unlink_unix(path) removes both. */
int etcd_test_listen_unix(int backlog, char path[108]);
void etcd_test_unlink_unix(const char *path);

/** A socket that is bound to a port of an address of the loopback (0: a free port, which it stores) and does not listen: as long
 * as it is open nobody else gets the port, and connecting there is refused. -1 when somebody has it. etcd_test_listen_held():
 * another socket, that listens there. */
int etcd_test_hold(const char *address, uint16_t *port);
int etcd_test_listen_held(const char *address, int backlog, uint16_t port);

/** accept() that waits at most 50 s. */
int etcd_test_accept(int listener);

/** Reads exactly `len` bytes, or until the end: how many came. */
size_t etcd_test_read(int fd, void *data, size_t len);
void etcd_test_write(int fd, const void *data, size_t len);

/** close() that sends RST. */
void etcd_test_reset(int fd);

/** Whether `fd` becomes readable within `timeout_ms`. */
int etcd_test_readable(int fd, int timeout_ms);

/** Descriptors that this process has open. */
size_t etcd_test_open_fds(void);

/** How many of them a program started by exec would inherit. */
size_t etcd_test_inherited_fds(void);

#endif
