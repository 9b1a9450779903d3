/* A descriptor that is readable as long as something is there to be taken: for handles that programs wait for with
 * poll(). An eventfd on Linux, elsewhere a pipe; close-on-exec, never blocks. The owner locks. */
#ifndef ETCD__NET_NOTIFY_FD_H
#define ETCD__NET_NOTIFY_FD_H

#include <etcd3/error.h>
#include <stdbool.h>

typedef struct etcd__notify_fd {
    int fd;      /* to poll; -1: none yet */
    int peer;    /* the end to write to; the same where one descriptor does for both */
    bool raised; /* it is readable */
} etcd__notify_fd;

#define ETCD__NOTIFY_FD_NONE \
    { \
        -1, -1, false \
    }

/** Makes the descriptor, not readable. ETCD_ERR_SYSTEM. */
int etcd__notify_fd_open(etcd__notify_fd *notify, etcd_error *err);

/** Makes it readable or not; cheap when it is so already, nothing when there is none. */
void etcd__notify_fd_set(etcd__notify_fd *notify, bool readable);

void etcd__notify_fd_close(etcd__notify_fd *notify);

#endif
