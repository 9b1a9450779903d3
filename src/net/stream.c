/* See stream.h.
 *
 * The socket calls are ours and not libuv's streams', because those can raise SIGPIPE (P9) and hold what they could not write.
 * Bytes are read into one buffer per loop. The socket is watched for writing only after the kernel did not take a write whole.
 *
 * A write that fails is not reported by the write: what the peer sent before it went away (an answer, a GOAWAY) may still be in
 * the kernel, and tells which calls were processed. It is read and delivered first; then on_close follows with the reason.
 *
 * An event may close the stream: its memory then lives until the event has returned (`busy`). */
#include "net/stream.h"

#include "base/alloc.h"
#include "base/error.h"
#include "net/dial.h"
#include "net/loop_internal.h"
#include "net/poll.h"
#include "net/socket.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Full buffers read from one stream before the others get their turn. */
#define READ_ROUNDS 4

struct etcd__stream {
    etcd__loop *loop;
    etcd__stream_events events;
    void *arg;
    etcd__dial *dial;    /* while connecting */
    etcd__poll *poll;    /* the socket, once connected */
    etcd__task give_up;  /* after a failed write: deliver what is left, then end */
    int busy;            /* events that are being called, nested */
    bool closed;         /* etcd__stream_close() was called */
    bool ended;          /* on_close was called */
    bool write_failed;   /* `why` says how */
    bool want_write;
    etcd_error why;
    char peer[ETCD__ADDRESS_TEXT];
};

static void free_stream(etcd__stream *stream)
{
    etcd__dial_cancel(stream->dial);
    etcd__poll_close(stream->poll, false);
    etcd__list_remove(&stream->give_up.node);
    etcd__free(stream);
}

static bool dead(const etcd__stream *stream)
{
    return stream->closed || stream->ended;
}

/* Before and after a stretch of code that calls events. */
static void enter(etcd__stream *stream)
{
    stream->busy++;
}

static void leave(etcd__stream *stream)
{
    if (--stream->busy == 0 && stream->closed)
        free_stream(stream);
}

/* The last event. */
static void end(etcd__stream *stream, const etcd_error *why)
{
    stream->ended = true;
    if (stream->poll != NULL)
        (void)etcd__poll_want(stream->poll, 0);
    etcd__list_remove(&stream->give_up.node);
    stream->events.on_close(stream->arg, why);
}

/* The socket has nothing more to give. The reason for which a write failed came first, so it is told. */
static void end_reading(etcd__stream *stream, int system_errno)
{
    etcd_error why;

    if (stream->write_failed)
        why = stream->why;
    else if (system_errno == 0)
        (void)etcd__error_set(&why, ETCD_ERR_CONNECTION, "read %s: the peer closed the connection", stream->peer);
    else
        (void)etcd__socket_fail(&why, "read", stream->peer, system_errno);
    end(stream, &why);
}

/* Delivers what has arrived: until the kernel has no more, or `rounds` full buffers. Returns whether it has no more for now. */
static bool read_some(etcd__stream *stream, int rounds)
{
    uint8_t *scratch = etcd__loop_scratch(stream->loop);

    while (rounds-- > 0 && !dead(stream)) {
        ssize_t n = etcd__socket_recv(etcd__poll_fd(stream->poll), scratch, ETCD__SCRATCH_SIZE);

        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return true;
        if (n <= 0) {
            end_reading(stream, n < 0 ? errno : 0);
            return false;
        }
        stream->events.on_read(stream->arg, scratch, (size_t)n);
        if ((size_t)n < ETCD__SCRATCH_SIZE && !stream->write_failed)
            return false; /* most likely all: the next wait tells */
    }
    return false;
}

/* Nothing can be sent any more: reads to the end. What the peer can still have sent is bounded by the socket's buffer. */
static void drain(etcd__stream *stream, int system_errno)
{
    bool empty = false;

    while (!dead(stream) && !empty)
        empty = read_some(stream, READ_ROUNDS);
    if (!dead(stream))
        end_reading(stream, system_errno);
}

static void on_give_up(void *arg)
{
    etcd__stream *stream = arg;

    enter(stream);
    drain(stream, EPIPE);
    leave(stream);
}

static void on_socket(void *arg, int events)
{
    etcd__stream *stream = arg;

    enter(stream);
    if (events & ETCD__POLL_BROKEN) {
        drain(stream, ECONNRESET);
    } else {
        if (events & ETCD__POLL_READ)
            (void)read_some(stream, READ_ROUNDS);
        if (events & ETCD__POLL_WRITE && stream->want_write && !dead(stream)) {
            stream->want_write = false;
            (void)etcd__poll_want(stream->poll, ETCD__POLL_READ);
            stream->events.on_writable(stream->arg);
        }
    }
    leave(stream);
}

static void on_dialed(void *arg, etcd__poll *poll, const etcd__address *address, const etcd_error *why)
{
    etcd__stream *stream = arg;
    etcd_error no_memory;

    stream->dial = NULL;
    enter(stream);
    if (poll == NULL) {
        end(stream, why);
    } else {
        stream->poll = poll;
        etcd__address_text(address, stream->peer);
        etcd__poll_rebind(poll, on_socket, stream);
        if (etcd__poll_want(poll, ETCD__POLL_READ) != ETCD_OK) {
            (void)etcd__error_no_memory(&no_memory);
            end(stream, &no_memory);
        } else {
            stream->events.on_open(stream->arg);
        }
    }
    leave(stream);
}

int etcd__stream_open(etcd__loop *loop, const etcd__target *target, int64_t timeout_ns, const etcd__stream_events *events,
                      void *arg, etcd__stream **out, etcd_error *err)
{
    etcd__stream *stream;
    int rc;

    *out = NULL;
    stream = etcd__calloc(1, sizeof *stream);
    if (stream == NULL || etcd__loop_scratch(loop) == NULL) {
        etcd__free(stream);
        return etcd__error_no_memory(err);
    }
    stream->loop = loop;
    stream->events = *events;
    stream->arg = arg;
    stream->give_up.fn = on_give_up;
    stream->give_up.arg = stream;
    etcd__list_init(&stream->give_up.node);
    rc = etcd__dial_start(loop, target, timeout_ns, on_dialed, stream, &stream->dial, err);
    if (rc != ETCD_OK) {
        free_stream(stream);
        return rc;
    }
    *out = stream;
    return ETCD_OK;
}

static void fail_write(etcd__stream *stream, int system_errno)
{
    (void)etcd__socket_fail(&stream->why, "write", stream->peer, system_errno);
    stream->write_failed = true;
    etcd__loop_defer(stream->loop, &stream->give_up);
}

ssize_t etcd__stream_write(etcd__stream *stream, const uint8_t *data, size_t len, etcd_error *err)
{
    size_t sent = 0;

    (void)err;
    if (dead(stream) || stream->poll == NULL || stream->write_failed)
        return 0;
    while (sent < len) {
        ssize_t n = etcd__socket_send(etcd__poll_fd(stream->poll), data + sent, len - sent);

        if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
            fail_write(stream, errno);
            return (ssize_t)sent;
        }
        if (n <= 0)
            break;
        sent += (size_t)n;
    }
    if (sent < len && !stream->want_write) {
        stream->want_write = true;
        (void)etcd__poll_want(stream->poll, ETCD__POLL_READ | ETCD__POLL_WRITE);
    }
    return (ssize_t)sent;
}

void etcd__stream_close(etcd__stream *stream)
{
    if (stream == NULL || stream->closed)
        return;
    stream->closed = true;
    if (stream->busy == 0)
        free_stream(stream);
}
