/* See poll.h. The memory of a handle belongs to libuv until its close callback, so it is a block of its own: the structs that
 * own a descriptor can be freed at once. */
#include "net/poll.h"

#include "base/alloc.h"
#include "base/error.h"
#include "net/loop_internal.h"
#include "net/uv_alloc.h"

#include <unistd.h>

struct etcd__poll {
    uv_poll_t handle;
    etcd__loop *loop;
    etcd__poll_fn *fn; /* NULL once closed */
    void *arg;
    int fd;
    int wanted;
};

int etcd__poll_new(etcd__loop *loop, int fd, etcd__poll_fn *fn, void *arg, etcd__poll **out, etcd_error *err)
{
    etcd__poll *poll = etcd__calloc(1, sizeof *poll);
    int rc;

    *out = NULL;
    if (poll == NULL)
        return etcd__error_no_memory(err);
    poll->loop = loop;
    poll->fn = fn;
    poll->arg = arg;
    poll->fd = fd;
    rc = uv_poll_init(&loop->uv, &poll->handle, fd);
    if (rc != 0) {
        etcd__free(poll);
        return etcd__uv_error(err, "watch a descriptor", rc);
    }
    *out = poll;
    return ETCD_OK;
}

static void on_event(uv_poll_t *handle, int status, int events)
{
    etcd__poll *poll = ETCD__CONTAINER_OF(handle, etcd__poll, handle);
    int told;

    etcd__loop_awake(poll->loop);
    if (status < 0) {
        poll->wanted = 0;
        told = ETCD__POLL_READ | ETCD__POLL_WRITE | ETCD__POLL_BROKEN;
    } else {
        told = (events & UV_READABLE ? ETCD__POLL_READ : 0) | (events & UV_WRITABLE ? ETCD__POLL_WRITE : 0);
        told &= poll->wanted;
    }
    if (poll->fn != NULL && told != 0)
        poll->fn(poll->arg, told);
}

int etcd__poll_want(etcd__poll *poll, int events)
{
    int uv_events = (events & ETCD__POLL_READ ? UV_READABLE : 0) | (events & ETCD__POLL_WRITE ? UV_WRITABLE : 0);
    int rc;

    if (events == poll->wanted || poll->loop->abandoned)
        return ETCD_OK;
    if (events == 0)
        rc = uv_poll_stop(&poll->handle);
    else
        rc = etcd__uv_poll_start(&poll->handle, poll->fd, uv_events, on_event);
    if (rc != 0)
        return ETCD_ERR_NO_MEMORY;
    poll->wanted = events;
    poll->loop->dirty = true;
    return ETCD_OK;
}

void etcd__poll_rebind(etcd__poll *poll, etcd__poll_fn *fn, void *arg)
{
    poll->fn = fn;
    poll->arg = arg;
}

int etcd__poll_fd(const etcd__poll *poll)
{
    return poll->fd;
}

static void on_closed(uv_handle_t *handle)
{
    etcd__free(ETCD__CONTAINER_OF(handle, etcd__poll, handle));
}

void etcd__poll_close(etcd__poll *poll, bool keep_fd)
{
    etcd__loop *loop;

    if (poll == NULL)
        return;
    loop = poll->loop;
    poll->fn = NULL;
    if (!loop->abandoned) {
        uv_close((uv_handle_t *)&poll->handle, on_closed);
        loop->dirty = true;
    }
    if (!keep_fd)
        (void)close(poll->fd);
}
