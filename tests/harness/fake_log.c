/* What tests ask the fake server: its log, waiting for conditions, and acts on open connections. Any thread. */
#include "harness/fake_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* ---- acts ---- */

typedef struct act {
    void (*fn)(fake_conn *conn, const struct act *act);
    const void *data;
    size_t len;
    int32_t number;
    uint32_t value;
} act;

static void do_on(fake_server *server, int index, const act *what)
{
    fake__lock(server);
    for (size_t i = 0; i < server->n_conns; i++)
        if (server->conns[i]->fd >= 0 && !server->conns[i]->draining && (index == FAKE_ALL || index == (int)i))
            what->fn(server->conns[i], what);
    fake__wake(server);
    fake__unlock(server);
}

static void act_raw(fake_conn *conn, const act *what)
{
    fake__bytes_append(&conn->out, what->data, what->len);
}

void fake_server_raw(fake_server *server, int conn, const void *bytes, size_t len)
{
    do_on(server, conn, &(act){.fn = act_raw, .data = bytes, .len = len});
}

void fake_server_goaway(fake_server *server, int conn, int32_t last_stream_id, uint32_t h2_code, const char *debug)
{
    fake_bytes frame = {NULL, 0, 0};

    fake__raw_goaway(&frame, last_stream_id, h2_code, debug);
    fake_server_raw(server, conn, frame.data, frame.len);
    free(frame.data);
}

static void act_setting(fake_conn *conn, const act *what)
{
    const nghttp2_settings_entry entry = {what->number, what->value};

    if (conn->session && nghttp2_submit_settings(conn->session, NGHTTP2_FLAG_NONE, &entry, 1) != 0)
        fake__die("nghttp2_submit_settings");
}

void fake_server_setting(fake_server *server, int conn, int32_t id, uint32_t value)
{
    do_on(server, conn, &(act){.fn = act_setting, .number = id, .value = value});
}

static void act_ping(fake_conn *conn, const act *what)
{
    (void)what;
    if (conn->session && nghttp2_submit_ping(conn->session, NGHTTP2_FLAG_NONE, NULL) != 0)
        fake__die("nghttp2_submit_ping");
}

void fake_server_ping(fake_server *server, int conn)
{
    do_on(server, conn, &(act){.fn = act_ping});
}

static void act_cut(fake_conn *conn, const act *what)
{
    fake__conn_cut(conn, (fake_cut)what->value);
}

void fake_server_cut(fake_server *server, int conn, fake_cut cut)
{
    do_on(server, conn, &(act){.fn = act_cut, .value = (uint32_t)cut});
}

static void act_flood(fake_conn *conn, const act *what)
{
    conn->flood = (fake_flood)what->value;
}

void fake_server_flood(fake_server *server, int conn, fake_flood flood)
{
    do_on(server, conn, &(act){.fn = act_flood, .value = (uint32_t)flood});
}

static void act_reading(fake_conn *conn, const act *what)
{
    conn->reading = what->value;
}

void fake_server_reading(fake_server *server, int conn, bool on)
{
    do_on(server, conn, &(act){.fn = act_reading, .value = on});
}

/* ---- the log ---- */

static bool counts(const fake_record *record, const char *method)
{
    return record->seen.complete && (!method || strcmp(record->seen.method, method) == 0);
}

size_t fake_server_count(fake_server *server, const char *method)
{
    size_t n = 0;

    fake__lock(server);
    for (size_t i = 0; i < server->n_records; i++)
        n += counts(server->records[i], method);
    fake__unlock(server);
    return n;
}

size_t fake_server_count_payload(fake_server *server, const char *method, const void *payload, size_t len)
{
    size_t n = 0;

    fake__lock(server);
    for (size_t i = 0; i < server->n_records; i++) {
        const fake_record *record = server->records[i];

        n +=
            counts(record, method) && record->seen.payload_len == len && (len == 0 || memcmp(record->payload, payload, len) == 0);
    }
    fake__unlock(server);
    return n;
}

size_t fake_server_seen_count(fake_server *server)
{
    size_t n;

    fake__lock(server);
    n = server->n_records;
    fake__unlock(server);
    return n;
}

fake_seen fake_server_seen(fake_server *server, size_t number)
{
    fake_seen seen;

    fake__lock(server);
    if (number >= server->n_records)
        fake__die("no request of this number");
    seen = server->records[number]->seen;
    fake__unlock(server);
    return seen;
}

const char *fake_seen_header(const fake_seen *seen, const char *name)
{
    for (size_t i = 0; i < seen->n_headers; i++)
        if (strcmp(seen->headers[i].name, name) == 0)
            return seen->headers[i].value;
    return NULL;
}

size_t fake_server_conn_count(fake_server *server)
{
    size_t n;

    fake__lock(server);
    n = server->n_conns;
    fake__unlock(server);
    return n;
}

size_t fake_server_open_count(fake_server *server)
{
    size_t n = 0;

    fake__lock(server);
    for (size_t i = 0; i < server->n_conns; i++)
        n += server->conns[i]->fd >= 0;
    fake__unlock(server);
    return n;
}

fake_conn_log fake_server_conn(fake_server *server, int conn)
{
    fake_conn_log log;

    fake__lock(server);
    if (conn < 0 || (size_t)conn >= server->n_conns)
        fake__die("no connection of this number");
    log = server->conns[conn]->log;
    fake__unlock(server);
    return log;
}

size_t fake_server_violations(fake_server *server)
{
    size_t n = 0;

    fake__lock(server);
    for (size_t i = 0; i < server->n_conns; i++)
        n += server->conns[i]->log.violations;
    fake__unlock(server);
    return n;
}

size_t fake_server_kv_count(fake_server *server)
{
    size_t n;

    fake__lock(server);
    n = fake__store_count(server->store);
    fake__unlock(server);
    return n;
}

int64_t fake_server_kv_revision(fake_server *server)
{
    int64_t revision;

    fake__lock(server);
    revision = fake__store_revision(server->store);
    fake__unlock(server);
    return revision;
}

int64_t fake_server_kv_version(fake_server *server, const char *key)
{
    int64_t version;

    fake__lock(server);
    version = fake__store_version(server->store, key);
    fake__unlock(server);
    return version;
}

size_t fake_server_kv_writes(fake_server *server)
{
    size_t n;

    fake__lock(server);
    n = fake__store_writes(server->store);
    fake__unlock(server);
    return n;
}

/* ---- waiting ---- */

bool fake_server_wait(fake_server *server, bool (*predicate)(fake_server *server, void *arg), void *arg, int timeout_ms)
{
    int64_t deadline = fake__now() + (int64_t)timeout_ms * 1000000;
    const struct timespec until = {(time_t)(deadline / 1000000000), (long)(deadline % 1000000000)};
    bool met;

    fake__lock(server);
    while (!(met = predicate(server, arg)) && pthread_cond_timedwait(&server->changed, &server->lock, &until) == 0)
        ;
    fake__unlock(server);
    return met;
}

typedef struct wanted {
    const char *method;
    size_t n;
    int gate;
} wanted;

static bool enough_requests(fake_server *server, void *arg)
{
    const wanted *want = arg;

    return fake_server_count(server, want->method) >= want->n;
}

bool fake_server_wait_requests(fake_server *server, const char *method, size_t n, int timeout_ms)
{
    return fake_server_wait(server, enough_requests, &(wanted){.method = method, .n = n}, timeout_ms);
}

static bool enough_conns(fake_server *server, void *arg)
{
    return fake_server_conn_count(server) >= ((const wanted *)arg)->n;
}

bool fake_server_wait_conns(fake_server *server, size_t n, int timeout_ms)
{
    return fake_server_wait(server, enough_conns, &(wanted){.n = n}, timeout_ms);
}

static bool enough_closed(fake_server *server, void *arg)
{
    return fake_server_conn_count(server) - fake_server_open_count(server) >= ((const wanted *)arg)->n;
}

bool fake_server_wait_closed(fake_server *server, size_t n, int timeout_ms)
{
    return fake_server_wait(server, enough_closed, &(wanted){.n = n}, timeout_ms);
}

static bool enough_waiting(fake_server *server, void *arg)
{
    const wanted *want = arg;

    return server->gates[want->gate].waiting >= want->n;
}

bool fake_server_wait_gate(fake_server *server, int gate, size_t n, int timeout_ms)
{
    return fake_server_wait(server, enough_waiting, &(wanted){.gate = gate, .n = n}, timeout_ms);
}

/* ---- a listener that lets nobody in ---- */

/* Begins to connect. Returns the socket; `*waits`: nothing came of it in the time that is plenty on an idle machine. */
static int begin_connect(const struct sockaddr_in *address, bool *waits)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct pollfd ready = {fd, POLLOUT, 0};

    if (fd < 0)
        fake__die("socket");
    if (connect(fd, (const struct sockaddr *)address, sizeof *address) < 0 && errno != EINPROGRESS)
        fake__die("connect to the listener whose queue is filled");
    *waits = poll(&ready, 1, 50) == 0;
    return fd;
}

/* One that waits may be late only because the machine is: when several wait, and go on waiting, the queue is full. */
void fake_blackhole_open(fake_blackhole *hole)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), waiting = 0;

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 0) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) < 0)
        fake__die("listen");
    hole->n_fds = 0;
    hole->fds[hole->n_fds++] = fd;
    while (waiting < 3) {
        bool waits;

        if (hole->n_fds == sizeof hole->fds / sizeof hole->fds[0])
            fake__die("the listener's queue does not fill");
        hole->fds[hole->n_fds++] = begin_connect(&address, &waits);
        waiting = waits ? waiting + 1 : 0;
    }
    snprintf(hole->endpoint, sizeof hole->endpoint, "http://127.0.0.1:%u", (unsigned)ntohs(address.sin_port));
}

void fake_blackhole_close(fake_blackhole *hole)
{
    while (hole->n_fds > 0)
        close(hole->fds[--hole->n_fds]);
}
