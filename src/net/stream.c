/* See stream.h.
 *
 * The socket calls are ours and not libuv's streams', because those can raise SIGPIPE (P9) and hold what they could not write.
 * Bytes are read into one buffer per loop. The socket is watched for writing only after the kernel did not take a write whole.
 *
 * A write that fails is not reported by the write: what the peer sent before it went away (an answer, a GOAWAY) may still be in
 * the kernel, and tells which calls were processed. It is read and delivered first; then on_close follows with the reason.
 *
 * TLS sits between the socket and the events: deliver() passes what arrives through it, etcd__stream_write() what is sent. It
 * holds at most one chunk of what was written; while the kernel has not taken all of that, no more is accepted. When the
 * handshake fails, the dial goes on with the name's other addresses.
 *
 * An event may close the stream: its memory then lives until the event has returned (`busy`). */
#include "net/stream.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "net/dial.h"
#include "net/loop_internal.h"
#include "net/poll.h"
#include "net/socket.h"
#include "net/tls_session.h"

#include <errno.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

/* Full buffers read from one stream before the others get their turn. */
#define READ_ROUNDS 4

/* Plaintext that is encrypted before the kernel is asked to take it. */
#define TLS_CHUNK ((size_t)64 * 1024)

struct etcd__stream {
    etcd__loop *loop;
    const etcd__target *target;
    etcd__stream_events events;
    void *arg;
    int64_t deadline;   /* of on_open */
    int64_t timeout_ns; /* as it was given */
    etcd__dial *dial;   /* until it is open */
    etcd__poll *poll;   /* the socket, while connected */
    etcd__tls_session *tls;
    etcd__timer timer;  /* of the TLS handshake */
    int64_t patience;   /* ns, until that timer */
    etcd__task give_up; /* after a failed write: deliver what is left, then end */
    int busy;           /* events that are being called, nested */
    bool opened;        /* on_open was called */
    bool closed;        /* etcd__stream_close() was called */
    bool ended;         /* on_close was called */
    bool write_failed;  /* `why` says how */
    bool blocked;       /* the kernel did not take all: watched for writing */
    bool owes_writable; /* the user is waiting for on_writable */
    etcd_error why;
    char peer[ETCD__ADDRESS_TEXT];
};

static void free_stream(etcd__stream *stream)
{
    etcd__dial_cancel(stream->dial);
    etcd__tls_session_free(stream->tls);
    etcd__poll_close(stream->poll, false);
    etcd__list_remove(&stream->give_up.node);
    etcd__loop_timer_stop(stream->loop, &stream->timer);
    etcd__free(stream);
}

/* Nothing is read or written any more: closed, at its end, or between two addresses. */
static bool dead(const etcd__stream *stream)
{
    return stream->closed || stream->ended || stream->poll == NULL;
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
    etcd__loop_timer_stop(stream->loop, &stream->timer);
    stream->events.on_close(stream->arg, why);
}

/* The connection to this address is of no use: on to the next, or the end with the reasons of all. */
static void fail_address(etcd__stream *stream, const etcd_error *why)
{
    if (stream->dial == NULL) {
        end(stream, why);
        return;
    }
    etcd__loop_timer_stop(stream->loop, &stream->timer);
    etcd__list_remove(&stream->give_up.node);
    etcd__tls_session_free(stream->tls);
    stream->tls = NULL;
    etcd__poll_close(stream->poll, false);
    stream->poll = NULL;
    stream->blocked = stream->write_failed = false;
    etcd__dial_go_on(stream->dial, why);
}

/* What the stream was doing, for messages. */
static const char *doing(const etcd__stream *stream)
{
    return stream->opened ? "read" : "TLS handshake with";
}

/* The socket has nothing more to give. The reason for which a write failed came first, so it is told. */
static void end_reading(etcd__stream *stream, int system_errno)
{
    etcd_error why;

    if (stream->write_failed)
        why = stream->why;
    else if (system_errno == 0)
        (void)etcd__error_set(&why, ETCD_ERR_CONNECTION, "%s %s: the peer closed the connection", doing(stream), stream->peer);
    else
        (void)etcd__socket_fail(&why, doing(stream), stream->peer, system_errno);
    fail_address(stream, &why);
}

/* --- sending ----------------------------------------------------------------------------------- */

static void fail_write(etcd__stream *stream, int system_errno)
{
    (void)etcd__socket_fail(&stream->why, "write", stream->peer, system_errno);
    stream->write_failed = true;
    etcd__loop_defer(stream->loop, &stream->give_up);
}

/* Gives bytes to the kernel: how many it took. Watches for room when it did not take all. */
static size_t send_some(etcd__stream *stream, const uint8_t *data, size_t len)
{
    size_t sent = 0;

    while (sent < len && !stream->write_failed) {
        ssize_t n = etcd__socket_send(etcd__poll_fd(stream->poll), data + sent, len - sent);

        if (n > 0)
            sent += (size_t)n;
        else if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
            fail_write(stream, errno);
        else
            break;
    }
    if (sent < len && !stream->write_failed && !stream->blocked) {
        stream->blocked = true;
        (void)etcd__poll_want(stream->poll, ETCD__POLL_READ | ETCD__POLL_WRITE);
    }
    return sent;
}

/* Sends what TLS has ready. */
static void flush_tls(etcd__stream *stream)
{
    etcd__buf *output = etcd__tls_session_output(stream->tls);

    if (output->len > 0)
        etcd__buf_consume(output, send_some(stream, output->data, output->len));
}

static ssize_t write_tls(etcd__stream *stream, const uint8_t *data, size_t len, etcd_error *err)
{
    const etcd__buf *output = etcd__tls_session_output(stream->tls);
    size_t done = 0;

    while (done < len && output->len == 0 && !stream->write_failed) {
        size_t chunk = len - done < TLS_CHUNK ? len - done : TLS_CHUNK;
        int rc = etcd__tls_session_write(stream->tls, data + done, chunk, err);

        if (rc < 0)
            return rc;
        done += chunk;
        flush_tls(stream);
    }
    return (ssize_t)done;
}

ssize_t etcd__stream_write(etcd__stream *stream, const uint8_t *data, size_t len, etcd_error *err)
{
    ssize_t n;

    if (dead(stream) || !stream->opened || stream->write_failed)
        return 0;
    n = stream->tls ? write_tls(stream, data, len, err) : (ssize_t)send_some(stream, data, len);
    if (n >= 0 && (size_t)n < len)
        stream->owes_writable = true;
    return n;
}

static void on_room(etcd__stream *stream)
{
    if (!stream->blocked || dead(stream))
        return;
    stream->blocked = false;
    (void)etcd__poll_want(stream->poll, ETCD__POLL_READ);
    if (stream->tls != NULL)
        flush_tls(stream);
    if (stream->owes_writable && !stream->blocked && !stream->write_failed) {
        stream->owes_writable = false;
        stream->events.on_writable(stream->arg);
    }
}

/* --- receiving --------------------------------------------------------------------------------- */

static void log_opening(const etcd__stream *stream)
{
    const etcd__target *target = stream->target;
    char tls[128];

    if (!etcd__log_wants(target->log, ETCD__LOG_DEBUG))
        return;
    if (stream->tls != NULL)
        etcd__tls_session_describe(stream->tls, tls, sizeof tls);
    etcd__log_write(target->log, ETCD__LOG_DEBUG, "%s: %s answers%s%s", target->label, stream->peer, stream->tls ? ": " : "",
                    stream->tls ? tls : "");
}

static void open_up(etcd__stream *stream)
{
    log_opening(stream);
    etcd__loop_timer_stop(stream->loop, &stream->timer);
    etcd__dial_cancel(stream->dial);
    stream->dial = NULL;
    stream->opened = true;
    stream->events.on_open(stream->arg);
}

/* TLS cannot go on. The alert that says so to the peer is sent, if the kernel takes it at once. */
static void end_tls(etcd__stream *stream, const etcd_error *why)
{
    flush_tls(stream);
    fail_address(stream, why);
}

/* A step of the handshake. Returns whether the stream is open. */
static bool shake_hands(etcd__stream *stream)
{
    etcd_error err;
    int rc = etcd__tls_session_handshake(stream->tls, &err);

    if (rc < 0) {
        end_tls(stream, &err);
        return false;
    }
    flush_tls(stream);
    if (rc == 0)
        return false;
    open_up(stream);
    return !dead(stream);
}

static void deliver_tls(etcd__stream *stream, const uint8_t *data, size_t len)
{
    uint8_t *plain = etcd__loop_plain(stream->loop);
    etcd_error err;
    ssize_t n;

    etcd__tls_session_feed(stream->tls, data, len);
    if (!stream->opened && !shake_hands(stream))
        return;
    do {
        size_t have = 0;

        do {
            n = etcd__tls_session_read(stream->tls, plain + have, ETCD__SCRATCH_SIZE - have, &err);
            have += n > 0 ? (size_t)n : 0;
        } while (n > 0 && have < ETCD__SCRATCH_SIZE);
        if (have > 0)
            stream->events.on_read(stream->arg, plain, have);
    } while (n > 0 && !dead(stream));
    if (dead(stream))
        return;
    if (n < 0)
        end_tls(stream, &err);
    else
        flush_tls(stream);
}

static void deliver(etcd__stream *stream, const uint8_t *data, size_t len)
{
    if (stream->tls != NULL)
        deliver_tls(stream, data, len);
    else
        stream->events.on_read(stream->arg, data, len);
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
        deliver(stream, scratch, (size_t)n);
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
        if (events & ETCD__POLL_WRITE)
            on_room(stream);
    }
    leave(stream);
}

/* --- opening ----------------------------------------------------------------------------------- */

static void on_timer(void *arg)
{
    etcd__stream *stream = arg;
    etcd_error why;

    (void)etcd__error_set(&why, ETCD_ERR_CONNECTION, "TLS handshake with %s: no answer within %lld ms", stream->peer,
                          (long long)(stream->patience / ETCD__MS));
    enter(stream);
    fail_address(stream, &why);
    leave(stream);
}

/* Bounds the time for which sent bytes stay unacknowledged: a black hole is noticed without any ping (P14). */
static void bound_acknowledgement(const etcd__stream *stream)
{
#ifdef TCP_USER_TIMEOUT
    int64_t ms = stream->target->unacknowledged / ETCD__MS;
    unsigned int value = ms > INT_MAX ? INT_MAX : (unsigned int)ms;

    if (ms > 0 && stream->target->kind == ETCD__TARGET_TCP)
        (void)setsockopt(etcd__poll_fd(stream->poll), IPPROTO_TCP, TCP_USER_TIMEOUT, &value, sizeof value);
#else
    (void)stream;
#endif
}

/* An address that connects and then says nothing must leave time for the others. */
static void wait_for_handshake(etcd__stream *stream)
{
    int64_t now = etcd__loop_now(stream->loop), left = stream->deadline - now;
    int64_t until = stream->deadline;

    stream->patience = stream->timeout_ns;
    if (etcd__dial_has_more(stream->dial) && stream->deadline != ETCD__NEVER && left > 0) {
        stream->patience = left / 2;
        until = now + stream->patience;
    }
    etcd__loop_timer_start(stream->loop, &stream->timer, until);
}

static int begin_tls(etcd__stream *stream, etcd_error *err)
{
    const etcd__target *target = stream->target;
    const char *name = target->server_name ? target->server_name : target->host;
    int rc = etcd__tls_session_new(target->tls, name ? name : "localhost", stream->peer, &stream->tls, err);

    if (rc != ETCD_OK)
        return rc;
    wait_for_handshake(stream);
    return ETCD_OK;
}

static int take_socket(etcd__stream *stream, etcd__poll *poll, const etcd__address *address, etcd_error *err)
{
    stream->poll = poll;
    etcd__address_text(address, stream->peer);
    bound_acknowledgement(stream);
    etcd__poll_rebind(poll, on_socket, stream);
    if (etcd__poll_want(poll, ETCD__POLL_READ) != ETCD_OK)
        return etcd__error_no_memory(err);
    return stream->target->tls ? begin_tls(stream, err) : ETCD_OK;
}

static void on_dialed(void *arg, etcd__poll *poll, const etcd__address *address, const etcd_error *why)
{
    etcd__stream *stream = arg;
    etcd_error err;

    enter(stream);
    if (poll == NULL)
        stream->dial = NULL;
    if (poll == NULL)
        end(stream, why);
    else if (take_socket(stream, poll, address, &err) != ETCD_OK)
        end(stream, &err);
    else if (stream->tls != NULL)
        (void)shake_hands(stream);
    else
        open_up(stream);
    leave(stream);
}

static bool has_buffers(etcd__loop *loop, const etcd__target *target)
{
    return etcd__loop_scratch(loop) != NULL && (target->tls == NULL || etcd__loop_plain(loop) != NULL);
}

int etcd__stream_open(etcd__loop *loop, const etcd__target *target, int64_t timeout_ns, const etcd__stream_events *events,
                      void *arg, etcd__stream **out, etcd_error *err)
{
    etcd__stream *stream;
    int rc;

    *out = NULL;
    stream = etcd__calloc(1, sizeof *stream);
    if (stream == NULL || !has_buffers(loop, target)) {
        etcd__free(stream);
        return etcd__error_no_memory(err);
    }
    stream->loop = loop;
    stream->target = target;
    stream->events = *events;
    stream->arg = arg;
    stream->timeout_ns = timeout_ns;
    stream->deadline = etcd__clock_after(etcd__clock_monotonic(), timeout_ns);
    stream->timer = (etcd__timer){.fn = on_timer, .arg = stream};
    stream->give_up = (etcd__task){.fn = on_give_up, .arg = stream};
    etcd__list_init(&stream->give_up.node);
    rc = etcd__dial_start(loop, target, timeout_ns, on_dialed, stream, &stream->dial, err);
    if (rc != ETCD_OK) {
        free_stream(stream);
        return rc;
    }
    *out = stream;
    return ETCD_OK;
}

/* Tells the peer that no more comes, so that it need not suspect a cut. Not in a child, where the connection is the parent's. */
static void say_bye(etcd__stream *stream)
{
    if (stream->tls == NULL || stream->ended || stream->write_failed || stream->blocked || stream->loop->forked)
        return;
    etcd__tls_session_say_bye(stream->tls);
    flush_tls(stream);
}

void etcd__stream_close(etcd__stream *stream)
{
    if (stream == NULL || stream->closed)
        return;
    say_bye(stream);
    stream->closed = true;
    if (stream->busy == 0)
        free_stream(stream);
}
