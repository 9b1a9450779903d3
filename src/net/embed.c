/* One descriptor that stands for the whole loop, so that a program can wait for it in a loop of its own: on Linux an epoll set of
 * libuv's own set and a timerfd. The timerfd is set as lazily as the libuv timer in loop.c: only to something earlier, or when it
 * has fired. Elsewhere it is libuv's descriptor, which does not know timers: etcd__loop_timeout_ms() does. */
#include "net/loop_internal.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"

#include <errno.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/epoll.h>
#include <sys/timerfd.h>
#endif

struct etcd__embed {
    int fd;
    int timer_fd;
    int64_t armed; /* when timer_fd becomes readable; ETCD__NEVER: not */
};

#ifdef __linux__

static int add(int set, int fd)
{
    struct epoll_event event = {.events = EPOLLIN};

    return epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
}

static int open_set(struct etcd__embed *embed, int backend_fd)
{
    embed->timer_fd = -1;
    embed->fd = epoll_create1(EPOLL_CLOEXEC);
    if (embed->fd < 0)
        return -1;
    embed->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (embed->timer_fd < 0)
        return -1;
    return add(embed->fd, backend_fd) < 0 || add(embed->fd, embed->timer_fd) < 0 ? -1 : 0;
}

static void close_set(struct etcd__embed *embed)
{
    if (embed->timer_fd >= 0)
        (void)close(embed->timer_fd);
    if (embed->fd >= 0)
        (void)close(embed->fd);
}

static void set_timer(struct etcd__embed *embed, int64_t when)
{
    struct itimerspec spec = {0};

    if (when != ETCD__NEVER) {
        when = when > 0 ? when : 1; /* zero would disarm it */
        spec.it_value.tv_sec = (time_t)(when / ETCD__SECOND);
        spec.it_value.tv_nsec = (long)(when % ETCD__SECOND);
    }
    (void)timerfd_settime(embed->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
}

#else

static int open_set(struct etcd__embed *embed, int backend_fd)
{
    embed->fd = backend_fd;
    return 0;
}

static void close_set(struct etcd__embed *embed)
{
    (void)embed;
}

static void set_timer(struct etcd__embed *embed, int64_t when)
{
    (void)embed;
    (void)when;
}

#endif

int etcd__loop_fd(etcd__loop *loop, etcd_error *err)
{
    struct etcd__embed *embed = loop->embed;

    if (embed != NULL)
        return embed->fd;
    embed = etcd__calloc(1, sizeof *embed);
    if (embed == NULL)
        return etcd__error_no_memory(err);
    embed->armed = ETCD__NEVER;
    if (open_set(embed, uv_backend_fd(&loop->uv)) < 0) {
        int system_errno = errno;

        close_set(embed);
        etcd__free(embed);
        return etcd__error_system(err, "pollable descriptor", system_errno);
    }
    loop->embed = embed;
    atomic_store(&loop->embedded, true);
    etcd__embed_update(loop);
    return embed->fd;
}

void etcd__embed_update(etcd__loop *loop)
{
    struct etcd__embed *embed = loop->embed;
    int64_t next = loop->timers.root ? loop->timers.root->key : ETCD__NEVER;

    if (!etcd__list_empty(&loop->tasks) || loop->dirty || atomic_load(&loop->woken))
        next = 0;
    if (next >= embed->armed && embed->armed > loop->now)
        return;
    if (next == embed->armed)
        return;
    set_timer(embed, next);
    embed->armed = next;
}

void etcd__embed_free(etcd__loop *loop)
{
    if (loop->embed == NULL)
        return;
    close_set(loop->embed);
    etcd__free(loop->embed);
    loop->embed = NULL;
}
