/* What watching costs the client.
 *
 *   bench_watch --what flood --mode decode|callback|next [--watches N] [--batch EVENTS] [--responses N] [--value BYTES]
 *   bench_watch --what setup [--watches N]
 *   bench_watch --what etcd --endpoint HOST:PORT --mode callback|next [--watches N] [--seconds S] [--warmup S]
 *
 * flood: a thread of this program plays the server (frames by hand, raw.h): it takes up the watches, then sends responses that
 * were encoded before, as fast as the windows allow. CPU time is that of the process without that thread. "decode" only decodes
 * the same messages from memory and frees them: the bound. setup: the same server; from the first open until the server has
 * taken up the last watch, with the bytes that the client keeps for each. etcd: watches of the key that bench_client puts,
 * while another process puts.
 *
 * Prints one line of JSON.
 */
#include "measure.h"
#include "raw.h"

#include "base/alloc.h"
#include "wire/messages.h"
#include "wire/response.h"

#include <arpa/inet.h>
#include <errno.h>
#include <etcd3/etcd.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define KEY "bench/key0000000"    /* what bench_client puts */
#define PLENTY ((int64_t)1 << 33) /* of buffer: a consumer that falls behind is another figure */

typedef struct options {
    const char *what, *mode, *endpoint;
    size_t watches, batch, responses, value_len;
    double seconds, warmup;
} options;

static options o = {.what = "flood",
                    .mode = "callback",
                    .watches = 1,
                    .batch = 1,
                    .responses = 200000,
                    .value_len = 64,
                    .seconds = 1,
                    .warmup = 0.2};

static void check(int rc, const etcd_error *err)
{
    if (rc < 0)
        bench_die("%s", err->message);
}

/* ---- the messages ---- */

static char *value;

/* Appends a length-prefixed message whose body is `body`. */
static void append_message(raw_buf *buf, const raw_buf *body)
{
    uint8_t prefix[RAW_GRPC_PREFIX] = {0};

    raw_put32(prefix + 1, (uint32_t)body->len);
    raw_append(buf, prefix, sizeof prefix);
    raw_append(buf, body->data, body->len);
}

static void append_header(raw_buf *body, int64_t watch_id, int64_t revision)
{
    raw_buf header = {0};

    raw_pb_varint(&header, 3, (uint64_t)revision);
    raw_pb_bytes(body, 1, header.data, header.len);
    raw_pb_varint(body, 2, (uint64_t)watch_id);
    free(header.data);
}

static void append_created(raw_buf *buf, int64_t watch_id)
{
    raw_buf body = {0};

    append_header(&body, watch_id, 1);
    raw_pb_varint(&body, 3, 1);
    append_message(buf, &body);
    free(body.data);
}

/* A response with o.batch puts, of the revisions from `revision` on. */
static void append_events(raw_buf *buf, int64_t watch_id, int64_t revision)
{
    raw_buf body = {0}, event = {0}, kv = {0};

    append_header(&body, watch_id, revision + (int64_t)o.batch - 1);
    for (size_t i = 0; i < o.batch; i++) {
        kv.len = event.len = 0;
        raw_pb_bytes(&kv, 1, KEY, sizeof KEY - 1);
        raw_pb_varint(&kv, 2, 2);
        raw_pb_varint(&kv, 3, (uint64_t)revision + i);
        raw_pb_varint(&kv, 4, (uint64_t)revision + i - 1);
        raw_pb_bytes(&kv, 5, value, o.value_len);
        raw_pb_bytes(&event, 2, kv.data, kv.len);
        raw_pb_bytes(&body, 11, event.data, event.len);
    }
    append_message(buf, &body);
    free(kv.data);
    free(event.data);
    free(body.data);
}

/* ---- the server: one connection, one stream of watches ---- */

typedef struct server {
    int listener, fd;
    uint16_t port;
    pthread_t thread;
    raw_buf in, requests; /* bytes received; of the stream's messages, not looked at yet */
    int64_t *ids;         /* of the watches taken up */
    size_t n_ids;
    int64_t window, stream_window, initial_window;
    uint32_t stream;
    atomic_bool ready, go, stop;
    atomic_uint_fast64_t cpu_ns; /* of its thread, up to now */
} server;

static void note_cpu(server *s)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    atomic_store(&s->cpu_ns, (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec);
}

static void send_all(server *s, const void *data, size_t len)
{
    const uint8_t *at = data;

    while (len > 0) {
        const ssize_t n = send(s->fd, at, len, MSG_NOSIGNAL);

        if (n < 0 && errno != EINTR)
            return; /* the client is gone */
        if (n > 0) {
            at += n;
            len -= (size_t)n;
        }
    }
}

/* Takes the creates out of what the client sent on the stream, and answers each. */
static void take_requests(server *s)
{
    raw_buf answers = {0}, frames = {0};
    etcd_error err;
    size_t at = 0;

    while (s->requests.len - at >= RAW_GRPC_PREFIX) {
        const size_t len = raw_get32(s->requests.data + at + 1);
        uint8_t *copy;
        void *request;

        if (s->requests.len - at - RAW_GRPC_PREFIX < len)
            break;
        copy = etcd__malloc(len + 1);
        memcpy(copy, s->requests.data + at + RAW_GRPC_PREFIX, len);
        if (s->n_ids == o.watches || etcd__response_decode(&etcd__watch_request_type, copy, len, &request, &err) != ETCD_OK)
            bench_die("a strange request: %s", s->n_ids == o.watches ? "more than was asked for" : err.message);
        if (((etcd__watch_request *)request)->cancel_request != NULL)
            bench_die("the client fell behind: its figures would not be those of a flood");
        if (((etcd__watch_request *)request)->create_request != NULL) {
            const int64_t asked = ((etcd__watch_request *)request)->create_request->watch_id;

            s->ids[s->n_ids] = asked != 0 ? asked : (int64_t)s->n_ids;
            append_created(&answers, s->ids[s->n_ids++]);
        }
        etcd_response_free(request);
        at += RAW_GRPC_PREFIX + len;
    }
    s->requests.len -= at;
    if (at > 0)
        memmove(s->requests.data, s->requests.data + at, s->requests.len);
    for (size_t sent = 0; sent < answers.len; sent += RAW_FRAME_MAX) {
        const size_t n = answers.len - sent < RAW_FRAME_MAX ? answers.len - sent : RAW_FRAME_MAX;

        raw_frame(&frames, RAW_DATA, 0, s->stream, answers.data + sent, n);
        s->window -= (int64_t)n;
        s->stream_window -= (int64_t)n;
    }
    send_all(s, frames.data, frames.len);
    free(answers.data);
    free(frames.data);
}

static void on_data(server *s, const raw_head *head, const uint8_t *payload)
{
    raw_buf out = {0};

    raw_append(&s->requests, payload, head->len);
    if (head->len > 0) {
        raw_window_update(&out, 0, head->len);
        raw_window_update(&out, head->stream, head->len);
        send_all(s, out.data, out.len);
    }
    free(out.data);
}

static void on_frame(server *s, const raw_head *head, const uint8_t *payload)
{
    raw_buf out = {0}, block = {0};

    if (head->type == RAW_SETTINGS && !(head->flags & RAW_ACK)) {
        for (size_t i = 0; i + 6 <= head->len; i += 6)
            if (payload[i] == 0 && payload[i + 1] == RAW_INITIAL_WINDOW)
                s->initial_window = raw_get32(payload + i + 2);
        raw_frame(&out, RAW_SETTINGS, RAW_ACK, 0, NULL, 0);
    } else if (head->type == RAW_PING && !(head->flags & RAW_ACK)) {
        raw_frame(&out, RAW_PING, RAW_ACK, 0, payload, 8);
    } else if (head->type == RAW_WINDOW_UPDATE && head->stream == 0) {
        s->window += raw_get32(payload);
    } else if (head->type == RAW_WINDOW_UPDATE) {
        s->stream_window += raw_get32(payload);
    } else if (head->type == RAW_HEADERS) {
        s->stream = head->stream;
        s->stream_window = s->initial_window;
        raw_response_headers(&block);
        raw_frame(&out, RAW_HEADERS, RAW_END_HEADERS, head->stream, block.data, block.len);
        free(block.data);
    } else if (head->type == RAW_DATA) {
        on_data(s, head, payload);
    }
    send_all(s, out.data, out.len);
    free(out.data);
}

/* Reads what is there (or waits for it) and handles whole frames. False at the end of the connection. */
static bool receive(server *s, bool wait)
{
    uint8_t *room = raw_reserve(&s->in, 65536);
    const ssize_t n = recv(s->fd, room, 65536, wait ? 0 : MSG_DONTWAIT);
    size_t at = 0;

    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        return false;
    if (n < 0)
        return true;
    s->in.len += (size_t)n;
    while (s->in.len - at >= RAW_FRAME_HEAD) {
        const raw_head head = raw_head_read(s->in.data + at);

        if (s->in.len - at - RAW_FRAME_HEAD < head.len)
            break;
        on_frame(s, &head, s->in.data + at + RAW_FRAME_HEAD);
        at += RAW_FRAME_HEAD + head.len;
    }
    s->in.len -= at;
    memmove(s->in.data, s->in.data + at, s->in.len);
    take_requests(s);
    return true;
}

/* Sends the responses, as the windows allow. */
static void flood(server *s)
{
    raw_buf all = {0}, frames = {0};
    size_t sent = 0;

    for (size_t i = 0; i < o.responses; i++)
        append_events(&all, s->ids[i % s->n_ids], 2 + (int64_t)(i / s->n_ids * o.batch));
    note_cpu(s);
    atomic_store(&s->ready, true);
    while (!atomic_load(&s->go))
        (void)poll(NULL, 0, 1);
    while (sent < all.len) {
        size_t n = all.len - sent;
        const int64_t window = s->window < s->stream_window ? s->window : s->stream_window;

        if (!receive(s, window <= 0))
            break;
        if (window <= 0)
            continue;
        n = n > (size_t)window ? (size_t)window : n;
        n = n > 16 * (size_t)RAW_FRAME_MAX ? 16 * (size_t)RAW_FRAME_MAX : n;
        frames.len = 0;
        for (size_t at = 0; at < n; at += RAW_FRAME_MAX)
            raw_frame(&frames, RAW_DATA, 0, s->stream, all.data + sent + at, n - at < RAW_FRAME_MAX ? n - at : RAW_FRAME_MAX);
        s->window -= (int64_t)n;
        s->stream_window -= (int64_t)n;
        sent += n;
        send_all(s, frames.data, frames.len);
        note_cpu(s);
    }
    free(all.data);
    free(frames.data);
}

static void *serve(void *arg)
{
    server *s = arg;
    raw_buf out = {0};
    const int one = 1;
    uint8_t preface[RAW_PREFACE_LEN];
    size_t have = 0;

    s->fd = accept(s->listener, NULL, NULL);
    (void)setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    while (have < sizeof preface) {
        const ssize_t n = recv(s->fd, preface + have, sizeof preface - have, 0);

        if (n <= 0)
            return NULL;
        have += (size_t)n;
    }
    s->window = s->initial_window = 65535;
    raw_settings(&out, 1 << 20);
    send_all(s, out.data, out.len);
    free(out.data);
    while (s->n_ids < o.watches && receive(s, true))
        note_cpu(s);
    if (strcmp(o.what, "flood") == 0)
        flood(s);
    while (!atomic_load(&s->stop) && receive(s, true))
        note_cpu(s);
    close(s->fd);
    return NULL;
}

static void server_start(server *s, char endpoint[64])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;

    s->ids = bench_alloc(o.watches * sizeof *s->ids);
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s->listener < 0 || bind(s->listener, (struct sockaddr *)&address, len) < 0 || listen(s->listener, 1) < 0 ||
        getsockname(s->listener, (struct sockaddr *)&address, &len) < 0)
        bench_die("listen");
    (void)snprintf(endpoint, 64, "127.0.0.1:%u", ntohs(address.sin_port));
    if (pthread_create(&s->thread, NULL, serve, s) != 0)
        bench_die("pthread_create");
}

static void server_stop(server *s)
{
    atomic_store(&s->stop, true);
    pthread_join(s->thread, NULL);
    close(s->listener);
    free(s->in.data);
    free(s->requests.data);
    free(s->ids);
}

/* ---- the client ---- */

typedef struct run {
    etcd_client *client;
    etcd_watch **watches;
    atomic_size_t created;
    atomic_uint_fast64_t events;
} run;

static void take(run *r, etcd_watch_response *response)
{
    if (response->type == ETCD_WATCH_CREATED)
        atomic_fetch_add_explicit(&r->created, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&r->events, response->n_events, memory_order_relaxed);
    etcd_response_free(response);
}

static void on_response(etcd_watch *watch, etcd_watch_response *response, const etcd_error *err, void *arg)
{
    (void)watch;
    if (response != NULL)
        take(arg, response);
    else if (err->code != ETCD_ERR_CLOSED && err->code != ETCD_ERR_CANCELED)
        bench_die("%s", err->message);
}

static bool is_mode(const char *mode)
{
    return strcmp(o.mode, mode) == 0;
}

static void open_watches(run *r, bool created_notify)
{
    const etcd_watch_options *watch_options = ETCD_WATCH(.created_notify = created_notify, .buffer_bytes = PLENTY);
    etcd_error err;

    r->watches = bench_alloc(o.watches * sizeof(etcd_watch *));
    for (size_t i = 0; i < o.watches; i++)
        check(is_mode("next") ? etcd_watch_open(r->client, ETCD_STR(KEY), watch_options, &r->watches[i], &err)
                              : etcd_watch_start(r->client, ETCD_STR(KEY), watch_options, on_response, r, &r->watches[i], &err),
              &err);
}

static void close_watches(run *r)
{
    etcd_client_close(r->client);
    for (size_t i = 0; i < o.watches; i++)
        etcd_watch_free(r->watches[i]);
    etcd_client_free(r->client);
    free(r->watches);
}

/* One step towards more events: a turn in manual mode, one response where they are pulled. */
static void advance(run *r)
{
    etcd_watch_response *response;
    etcd_error err;
    int rc;

    if (!is_mode("next")) {
        check(etcd_client_process(r->client, 100, &err), &err);
        return;
    }
    rc = etcd_watch_next(r->watches[0], 100, &response, &err);
    if (rc == ETCD_OK)
        take(r, response);
    else if (rc != ETCD_ERR_TIMED_OUT)
        bench_die("%s", err.message);
}

static void print_events(uint64_t events, uint64_t wall_ns, uint64_t cpu_ns)
{
    printf("{\"events\": %llu, \"events_per_s\": %.0f, \"cpu_us_per_event\": %.4f, \"peak_kib\": %llu}\n",
           (unsigned long long)events, (double)events * 1e9 / (double)wall_ns, (double)cpu_ns / 1e3 / (double)events,
           (unsigned long long)bench_peak_kib());
}

static void measure_flood(void)
{
    const uint64_t wanted = (uint64_t)o.responses * o.batch;
    server s = {0};
    run r = {0};
    char endpoint[64];
    uint64_t started, cpu;
    etcd_error err;

    server_start(&s, endpoint);
    check(etcd_client_new(ETCD_CLIENT(.endpoints = endpoint, .manual = !is_mode("next"), .watch_buffer_bytes = PLENTY), &r.client,
                          &err),
          &err);
    open_watches(&r, true);
    while (atomic_load(&r.created) < o.watches || !atomic_load(&s.ready))
        advance(&r);
    started = bench_now();
    cpu = bench_cpu() - atomic_load(&s.cpu_ns);
    atomic_store(&s.go, true);
    while (atomic_load(&r.events) < wanted)
        advance(&r);
    print_events(wanted, bench_now() - started, bench_cpu() - atomic_load(&s.cpu_ns) - cpu);
    close_watches(&r);
    server_stop(&s);
}

static void measure_decode(void)
{
    raw_buf one = {0};
    uint64_t started, cpu, seen = 0;

    append_events(&one, 1, 1000000);
    started = bench_now();
    cpu = bench_cpu();
    for (size_t i = 0; i < o.responses; i++) {
        const size_t len = one.len - RAW_GRPC_PREFIX;
        uint8_t *copy = etcd__malloc(len + 1);
        void *response;

        memcpy(copy, one.data + RAW_GRPC_PREFIX, len);
        if (etcd__response_decode(&etcd__watch_response_type, copy, len, &response, NULL) != ETCD_OK)
            bench_die("decode");
        seen += ((etcd__watch_response *)response)->n_events;
        etcd_response_free(response);
    }
    print_events(seen, bench_now() - started, bench_cpu() - cpu);
    free(one.data);
}

static void measure_setup(void)
{
    server s = {0};
    run r = {0};
    char endpoint[64];
    struct mallinfo2 before;
    uint64_t started, wall;
    etcd_error err;
    size_t kept;

    server_start(&s, endpoint);
    check(etcd_client_new(ETCD_CLIENT(.endpoints = endpoint, .manual = true), &r.client, &err), &err);
    for (int i = 0; i < 10; i++)
        check(etcd_client_process(r.client, 10, &err), &err); /* the connection is no part of it */
    before = mallinfo2();
    started = bench_now();
    open_watches(&r, true);
    while (atomic_load(&r.created) < o.watches)
        advance(&r);
    wall = bench_now() - started;
    kept = mallinfo2().uordblks - before.uordblks;
    printf("{\"watches\": %zu, \"ms\": %.3f, \"us_per_watch\": %.3f, \"bytes_per_watch\": %.0f, \"peak_kib\": %llu}\n", o.watches,
           (double)wall / 1e6, (double)wall / 1e3 / (double)o.watches, (double)kept / (double)o.watches,
           (unsigned long long)bench_peak_kib());
    close_watches(&r);
    server_stop(&s);
}

static void measure_etcd(void)
{
    run r = {0};
    uint64_t warm, cpu = 0, started = 0, events = 0;
    etcd_error err;

    check(etcd_client_new(ETCD_CLIENT(.endpoints = o.endpoint, .manual = !is_mode("next")), &r.client, &err), &err);
    open_watches(&r, false);
    warm = bench_now() + (uint64_t)(o.warmup * 1e9);
    while (bench_now() < warm + (uint64_t)(o.seconds * 1e9)) {
        if (started == 0 && bench_now() >= warm) {
            started = bench_now();
            cpu = bench_cpu();
            events = atomic_load(&r.events);
        }
        advance(&r);
    }
    print_events(atomic_load(&r.events) - events, bench_now() - started, bench_cpu() - cpu);
    close_watches(&r);
}

static void parse(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--what") == 0)
            o.what = argv[i + 1];
        else if (strcmp(argv[i], "--mode") == 0)
            o.mode = argv[i + 1];
        else if (strcmp(argv[i], "--endpoint") == 0)
            o.endpoint = argv[i + 1];
        else if (strcmp(argv[i], "--watches") == 0)
            o.watches = strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--batch") == 0)
            o.batch = strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--responses") == 0)
            o.responses = strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--value") == 0)
            o.value_len = strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--seconds") == 0)
            o.seconds = strtod(argv[i + 1], NULL);
        else if (strcmp(argv[i], "--warmup") == 0)
            o.warmup = strtod(argv[i + 1], NULL);
        else
            bench_die("unknown option %s", argv[i]);
    }
    if (o.watches == 0 || o.batch == 0 || (is_mode("next") && o.watches != 1))
        bench_die("no watches, an empty batch, or several watches that are pulled");
}

int main(int argc, char **argv)
{
    parse(argc, argv);
    value = bench_alloc(o.value_len + 1);
    memset(value, 'v', o.value_len);
    if (strcmp(o.what, "setup") == 0)
        measure_setup();
    else if (strcmp(o.what, "etcd") == 0)
        measure_etcd();
    else if (is_mode("decode"))
        measure_decode();
    else
        measure_flood();
    free(value);
    return 0;
}
