/* See notify_fd.h. */
#include "net/notify_fd.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/eventfd.h>
#endif

#ifdef __linux__

static int open_pair(int pair[2])
{
    pair[0] = pair[1] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return pair[0];
}

#else

static int open_pair(int pair[2])
{
    if (pipe(pair) < 0)
        return -1;
    for (int i = 0; i < 2; i++)
        if (fcntl(pair[i], F_SETFD, FD_CLOEXEC) < 0 || fcntl(pair[i], F_SETFL, O_NONBLOCK) < 0) {
            (void)close(pair[0]);
            (void)close(pair[1]);
            return -1;
        }
    return 0;
}

#endif

int etcd__notify_fd_open(etcd__notify_fd *notify, etcd_error *err)
{
    int pair[2];

    if (open_pair(pair) < 0)
        return etcd__error_system(err, "make a descriptor to wait for", errno);
    notify->fd = pair[0];
    notify->peer = pair[1];
    notify->raised = false;
    return ETCD_OK;
}

void etcd__notify_fd_set(etcd__notify_fd *notify, bool readable)
{
    uint64_t word = 1;

    if (notify->fd < 0 || notify->raised == readable)
        return;
    /* Neither can fail: there is at most one word in it. */
    if (readable)
        notify->raised = write(notify->peer, &word, sizeof word) == (ssize_t)sizeof word;
    else
        notify->raised = read(notify->fd, &word, sizeof word) != (ssize_t)sizeof word;
}

void etcd__notify_fd_close(etcd__notify_fd *notify)
{
    if (notify->fd < 0)
        return;
    if (notify->peer != notify->fd)
        (void)close(notify->peer);
    (void)close(notify->fd);
    notify->fd = notify->peer = -1;
}
