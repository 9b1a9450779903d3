/* See connection.h. fail() is the only way into "gone"; it runs outside of the session's callbacks, so the session
 * may be freed. */
#include "channel/connection.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Most bytes given to the transport with one write, and most that wait for it. */
#define WRITE_CHUNK ((size_t)256 << 10)

/* Silence, with a stream open, after which a peer is asked for a sign of life, and how soon it should give one. A
 * server answers pings whatever its calls wait for, so slow calls are not taken for a hung member. */
#define PING_AFTER ETCD__SECOND
#define SUSPECT_AFTER ETCD__SECOND

/* Servers count PINGs that come more often than every 5 s (etcd's default) as strikes, and end the connection after the third;
 * but the count begins anew, and the PING is no strike, whenever they have sent HEADERS or DATA since the one before (grpc-go,
 * http2_server.go, handlePing; gRPC's other servers do the same). So after an answer the interval may be short. */
#define SOONER 10

static void fail(etcd__connection *c, const etcd_error *why)
{
    if (c->dead)
        return;
    c->dead = true;
    c->why = why;
    etcd__loop_timer_stop(c->loop, &c->timer);
    etcd__loop_timer_stop(c->loop, &c->ping_timer);
    etcd__h2_connection_lost(c->h2, c->written);
    c->events->on_gone(c->arg, c, why); /* frees c */
}

/* One write of what waits in `out`. Returns a negative code when the transport is broken. */
static int write_out(etcd__connection *c, etcd_error *err)
{
    ssize_t n;

    if (c->out.len == 0)
        return ETCD_OK;
    n = etcd__stream_write(c->stream, c->out.data, c->out.len, err);
    if (n < 0)
        return (int)n;
    c->written += (uint64_t)n;
    c->blocked = (size_t)n < c->out.len;
    etcd__buf_consume(&c->out, (size_t)n);
    etcd__wipe(c->out.data + c->out.len, (size_t)n); /* perhaps a password or a token */
    return ETCD_OK;
}

/* Passwords and tokens went through it. */
static void free_out(etcd__connection *c)
{
    if (c->out.data != NULL)
        etcd__wipe(c->out.data, c->out.cap);
    etcd__buf_free(&c->out);
}

/* DRAINING ends when the last stream has ended; not at once, as this may run inside an event of the transport. */
static void check_drained(etcd__connection *c)
{
    if (c->out.len == 0 && c->out.cap > WRITE_CHUNK)
        free_out(c); /* a burst is no reason to keep its memory */
    if (c->state == ETCD__CONNECTION_DRAINING && etcd__h2_streams_open(c->h2) == 0)
        etcd__loop_timer_start(c->loop, &c->timer, etcd__loop_now(c->loop));
}

/* When a PING is due: after some silence, but not sooner after the last one than servers allow. See SOONER. */
static int64_t next_ping(const etcd__connection *c)
{
    int64_t silent_from = c->last_read > c->ping_from ? c->last_read : c->ping_from;
    int64_t interval = c->ping_soon ? c->config.ping_interval / SOONER : c->config.ping_interval;
    int64_t allowed = c->ping_sent == 0 ? 0 : etcd__clock_after(c->ping_sent, interval);
    int64_t wanted = etcd__clock_after(silent_from, PING_AFTER);

    return wanted > allowed ? wanted : allowed;
}

/* Sees to it that silence is noticed while a stream is open (gRPC keepalive; the server's policy allows no pings
 * otherwise). */
static void keep_alive(etcd__connection *c)
{
    if (c->config.ping_interval == ETCD__NEVER || c->ping_timer.node.linked || etcd__h2_streams_open(c->h2) == 0)
        return;
    c->ping_from = etcd__clock_monotonic();
    etcd__loop_timer_start(c->loop, &c->ping_timer, next_ping(c));
}

static void flush(void *arg)
{
    etcd__connection *c = arg;
    etcd_error err;
    int rc = ETCD_OK;

    if (c->stream == NULL)
        return;
    keep_alive(c);
    while (rc == ETCD_OK && !c->blocked && !c->dead && (c->out.len > 0 || etcd__h2_wants_output(c->h2))) {
        rc = etcd__h2_take_output(c->h2, &c->out, WRITE_CHUNK, &err);
        if (rc == ETCD_OK && c->out.len == 0)
            break;
        if (rc == ETCD_OK)
            rc = write_out(c, &err);
    }
    if (rc < 0)
        fail(c, &err);
    else
        check_drained(c);
}

void etcd__connection_touch(etcd__connection *c)
{
    if (!c->dead && !c->blocked && c->state != ETCD__CONNECTION_CONNECTING)
        etcd__loop_defer(c->loop, &c->flush);
}

/* --- events of the session -------------------------------------------------------------------- */

static void on_h2_ready(void *arg)
{
    etcd__connection *c = arg;

    etcd__loop_timer_stop(c->loop, &c->timer);
    c->state = ETCD__CONNECTION_READY;
    etcd__log_write(c->log, ETCD__LOG_DEBUG, "%s: HTTP/2 settings received: room for %zu calls at a time", c->endpoint->text,
                    etcd__h2_stream_slots(c->h2));
    c->events->on_ready(c->arg, c);
}

static void on_h2_slots(void *arg)
{
    etcd__connection *c = arg;

    if (c->state == ETCD__CONNECTION_READY)
        c->events->on_slots(c->arg, c);
}

static void on_h2_goaway(void *arg, uint32_t error_code, int32_t last_stream_id, const char *debug, size_t debug_len)
{
    etcd__connection *c = arg;
    int shown = (int)(debug_len < 48 ? debug_len : 48);

    static const char calm[] = "too_many_pings";

    if (debug_len == sizeof calm - 1 && memcmp(debug, calm, debug_len) == 0)
        c->too_many_pings = true;
    (void)snprintf(c->goaway, sizeof c->goaway, "GOAWAY %s%s%.*s", etcd__h2_error_name(error_code), shown ? ": " : "", shown,
                   shown ? debug : "");
    etcd__log_write(c->log, ETCD__LOG_INFO, "%s: the peer sent %s (last stream %d, %zu open)", c->endpoint->text, c->goaway,
                    (int)last_stream_id, etcd__h2_streams_open(c->h2));
    if (c->state != ETCD__CONNECTION_READY)
        return;
    c->state = ETCD__CONNECTION_DRAINING;
    c->events->on_draining(c->arg, c);
    etcd__loop_defer(c->loop, &c->flush);
}

static void on_h2_ping_ack(void *arg)
{
    etcd__connection *c = arg;

    c->ping_acked = true;
    etcd__log_write(c->log, ETCD__LOG_DEBUG, "%s: ping answered after %lld ms", c->endpoint->text,
                    (long long)((etcd__loop_now(c->loop) - c->ping_sent) / ETCD__MS));
}

static const etcd__h2_events h2_events = {on_h2_ready, on_h2_slots, on_h2_goaway, on_h2_ping_ack};

/* --- events of the transport ------------------------------------------------------------------ */

static void on_open(void *arg)
{
    etcd__connection *c = arg;

    etcd__loop_defer(c->loop, &c->flush); /* the preface */
}

/* The session broke its rules or ours: tell the peer with a GOAWAY where that is possible without waiting. */
static void fail_session(etcd__connection *c, const etcd_error *why)
{
    etcd_error ignored;

    if (!c->blocked && etcd__h2_take_output(c->h2, &c->out, WRITE_CHUNK, &ignored) == ETCD_OK)
        (void)write_out(c, &ignored);
    fail(c, why);
}

static void on_read(void *arg, const uint8_t *data, size_t len)
{
    etcd__connection *c = arg;
    etcd_error err;

    c->last_read = etcd__loop_now(c->loop);
    c->suspect = false;
    c->received += len;
    if (etcd__h2_receive(c->h2, data, len, &err) < 0) {
        fail_session(c, &err);
        return;
    }
    if (!c->blocked && etcd__h2_wants_output(c->h2))
        etcd__loop_defer(c->loop, &c->flush);
    check_drained(c);
}

static void on_writable(void *arg)
{
    etcd__connection *c = arg;

    c->blocked = false;
    flush(c);
}

static void on_close(void *arg, const etcd_error *why)
{
    etcd__connection *c = arg;
    etcd_error err = *why;

    if (c->goaway[0] != '\0') {
        size_t used = strlen(err.message);

        (void)snprintf(err.message + used, sizeof err.message - used, " (after %s)", c->goaway);
    }
    fail(c, &err);
}

static const etcd__stream_events stream_events = {on_open, on_read, on_writable, on_close};

static void on_timer(void *arg)
{
    etcd__connection *c = arg;
    etcd_error err;

    if (c->state == ETCD__CONNECTION_DRAINING)
        etcd__error_set(&err, ETCD_ERR_CONNECTION, "closed after %s", c->goaway);
    else
        etcd__error_set(&err, ETCD_ERR_CONNECTION, "no HTTP/2 settings from %s within the connect timeout", c->endpoint->text);
    fail(c, &err);
}

/* --- signs of life ---------------------------------------------------------------------------- */

static int64_t suspect_after(const etcd__connection *c)
{
    return c->config.ping_timeout < 2 * SUSPECT_AFTER ? c->config.ping_timeout / 2 : SUSPECT_AFTER;
}

static void send_ping(etcd__connection *c)
{
    if (etcd__h2_ping(c->h2) < 0)
        return;
    c->ping_sent = etcd__loop_now(c->loop);
    etcd__log_write(c->log, ETCD__LOG_DEBUG, "%s: silent for %lld ms: ping", c->endpoint->text,
                    (long long)((c->ping_sent - c->last_read) / ETCD__MS));
    c->ping_waits = true;
    c->ping_acked = c->ping_soon = false;
    etcd__loop_timer_start(c->loop, &c->ping_timer, etcd__clock_after(c->ping_sent, suspect_after(c)));
    etcd__loop_defer(c->loop, &c->flush);
}

/* A ping is out and nothing came since: first a suspicion, then the end. */
static void wait_for_answer(etcd__connection *c)
{
    int64_t now = etcd__loop_now(c->loop);
    int64_t end = etcd__clock_after(c->ping_sent, c->config.ping_timeout);
    etcd_error err;

    if (now < end) {
        etcd__loop_timer_start(c->loop, &c->ping_timer, end);
        c->suspect = true;
        etcd__log_write(c->log, ETCD__LOG_WARN, "%s: no answer to a ping", c->endpoint->text);
        c->events->on_suspect(c->arg, c);
        return;
    }
    etcd__error_set(&err, ETCD_ERR_CONNECTION, "%s sent nothing for %lld ms, not even the answer to a ping", c->endpoint->text,
                    (long long)((now - c->last_read) / ETCD__MS));
    fail(c, &err);
}

static void on_ping_timer(void *arg)
{
    etcd__connection *c = arg;
    int64_t due;

    if (c->ping_waits && c->last_read < c->ping_sent) {
        wait_for_answer(c);
        return;
    }
    c->ping_waits = false;
    if (etcd__h2_streams_open(c->h2) == 0)
        return; /* the next stream starts the timer again */
    due = next_ping(c);
    if (due <= etcd__loop_now(c->loop))
        send_ping(c);
    else
        etcd__loop_timer_start(c->loop, &c->ping_timer, due);
}

void etcd__connection_answered(etcd__connection *c)
{
    c->answered = true;
    if (!c->ping_acked || c->ping_soon)
        return;
    c->ping_soon = true;
    if (!c->ping_waits && c->ping_timer.node.linked)
        etcd__loop_timer_start(c->loop, &c->ping_timer, next_ping(c));
}

void etcd__connection_drain(etcd__connection *c, const char *why)
{
    if (c->dead || c->state != ETCD__CONNECTION_READY)
        return;
    (void)snprintf(c->goaway, sizeof c->goaway, "%s", why);
    c->state = ETCD__CONNECTION_DRAINING;
    etcd__loop_defer(c->loop, &c->flush);
}

/* --- life ------------------------------------------------------------------------------------- */

int etcd__connection_open(etcd__loop *loop, const etcd__endpoint *endpoint, const etcd__connection_config *config,
                          const etcd__log *log, const etcd__connection_events *events, void *arg, etcd__connection **out,
                          etcd_error *err)
{
    etcd__connection *c = etcd__calloc(1, sizeof *c);
    int rc;

    *out = NULL;
    if (c == NULL)
        return etcd__error_no_memory(err);
    etcd__list_init(&c->node);
    etcd__list_init(&c->flush.node);
    c->loop = loop;
    c->endpoint = endpoint;
    c->events = events;
    c->arg = arg;
    c->log = log;
    c->flush.fn = flush;
    c->flush.arg = c;
    c->timer.fn = on_timer;
    c->timer.arg = c;
    c->ping_timer.fn = on_ping_timer;
    c->ping_timer.arg = c;
    c->config = *config;
    c->last_read = etcd__loop_now(loop);
    c->out.max = SIZE_MAX / 2; /* bounded by WRITE_CHUNK and the session's own limits */
    rc = etcd__h2_new(NULL, &h2_events, c, &c->h2, err);
    if (rc == ETCD_OK)
        rc = etcd__stream_open(loop, &endpoint->target, config->connect_timeout, &stream_events, c, &c->stream, err);
    if (rc < 0) {
        etcd__connection_free(c, false);
        return rc;
    }
    etcd__loop_timer_start(loop, &c->timer, etcd__clock_after(etcd__clock_monotonic(), config->connect_timeout));
    *out = c;
    return ETCD_OK;
}

void etcd__connection_free(etcd__connection *c, bool politely)
{
    etcd_error ignored;

    if (c == NULL)
        return;
    if (politely && !c->dead && !c->blocked && c->state != ETCD__CONNECTION_CONNECTING) {
        etcd__h2_goaway(c->h2);
        if (etcd__h2_take_output(c->h2, &c->out, WRITE_CHUNK, &ignored) == ETCD_OK)
            (void)write_out(c, &ignored);
    }
    etcd__loop_timer_stop(c->loop, &c->timer);
    etcd__loop_timer_stop(c->loop, &c->ping_timer);
    etcd__list_remove(&c->flush.node);
    etcd__stream_close(c->stream);
    etcd__h2_free(c->h2);
    free_out(c);
    etcd__free(c);
}
