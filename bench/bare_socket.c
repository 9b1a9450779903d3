/* The same calls over a bare socket: the least that a call can cost on this machine, as a yardstick for the library.
 *
 *   bare_socket --endpoint HOST:PORT --op get|sget|put|range|seed [--in-flight N] [--seconds S] [--warmup S] [--value
 * BYTES]
 *
 * Sends the pre-encoded bytes of one call (only its stream id is filled in) and reads frames until its stream ends;
 * no header block and no message is looked at. `range` reads all keys under bench/range/, `seed` puts --keys of them.
 * Prints one line of JSON. `--print get|sget|put` writes the body of such a request, with its gRPC prefix, to stdout:
 * the input of h2load.
 */
#include "measure.h"
#include "raw.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE 65536
#define STREAM_WINDOW ((uint32_t)16 << 20)
#define CONNECTION_WINDOW ((uint32_t)64 << 20)
#define STREAM_RING 4096 /* start times are kept for so many streams; more than are ever in flight */

typedef struct options {
    const char *endpoint, *op, *print;
    double seconds, warmup;
    size_t in_flight, value_len, keys;
} options;

typedef struct bare {
    const options *o;
    int fd;
    raw_buf out, call; /* `call`: HEADERS and DATA of one call after the first */
    size_t call_data_at;
    uint8_t in[READ_SIZE + RAW_FRAME_MAX + RAW_FRAME_HEAD];
    size_t in_len;
    uint32_t next_stream, unreturned;
    uint64_t started[STREAM_RING];
    uint64_t started_calls, finished, bytes;
    bool measuring;
    bool settled; /* the server's settings arrived */
    bench_hist hist;
} bare;

static const char *path_of(const char *op)
{
    return strcmp(op, "put") == 0 || strcmp(op, "seed") == 0 ? "/etcdserverpb.KV/Put" : "/etcdserverpb.KV/Range";
}

/* Body of one request, with its prefix. `index` is the number of the key of a seed. */
static void body_build(const options *o, const char *op, size_t index, raw_buf *out)
{
    uint8_t *value = bench_alloc(o->value_len + 1), prefix[RAW_GRPC_PREFIX] = {0};
    raw_buf message = {0};
    char key[32] = "bench/key0000000";

    memset(value, 'v', o->value_len);
    if (strcmp(op, "seed") == 0)
        snprintf(key, sizeof key, "bench/range/%07zu", index);
    if (strcmp(op, "range") == 0)
        raw_range_request(&message, "bench/range/", "bench/range0", false);
    else if (strcmp(op, "get") == 0 || strcmp(op, "sget") == 0 || strcmp(op, "connect") == 0)
        raw_range_request(&message, key, NULL, op[0] == 's');
    else
        raw_put_request(&message, key, value, o->value_len);
    raw_put32(prefix + 1, (uint32_t)message.len);
    raw_append(out, prefix, sizeof prefix);
    raw_append(out, message.data, message.len);
    free(message.data);
    free(value);
}

static void frames_build(const bare *b, size_t index, bool first, raw_buf *out)
{
    raw_buf headers = {0}, body = {0};

    raw_request_headers(&headers, path_of(b->o->op), b->o->endpoint, first);
    body_build(b->o, b->o->op, index, &body);
    raw_frame(out, RAW_HEADERS, RAW_END_HEADERS, 0, headers.data, headers.len);
    raw_frame(out, RAW_DATA, RAW_END_STREAM, 0, body.data, body.len);
    free(headers.data);
    free(body.data);
}

/* Queues one more call. The first of a connection and the second differ in their header blocks; from then on only
 * seeds do. */
static void call_start(bare *b)
{
    const bool first = b->next_stream == 1;
    uint8_t *out;

    if (first || b->next_stream == 3 || strcmp(b->o->op, "seed") == 0) {
        b->call.len = 0;
        frames_build(b, b->started_calls, first, &b->call);
        b->call_data_at = RAW_FRAME_HEAD + raw_head_read(b->call.data).len;
    }
    out = raw_reserve(&b->out, b->call.len);
    memcpy(out, b->call.data, b->call.len);
    raw_put32(out + 5, b->next_stream);
    raw_put32(out + b->call_data_at + 5, b->next_stream);
    b->out.len += b->call.len;
    b->started[b->next_stream / 2 % STREAM_RING] = bench_now();
    b->started_calls++;
    b->next_stream += 2;
}

static void on_end(bare *b, uint32_t stream)
{
    b->finished++;
    if (b->measuring)
        bench_hist_add(&b->hist, bench_now() - b->started[stream / 2 % STREAM_RING]);
}

static void on_frame(bare *b, const uint8_t *payload, raw_head head)
{
    switch (head.type) {
    case RAW_DATA:
        b->bytes += head.len;
        b->unreturned += head.len;
        if (b->unreturned >= CONNECTION_WINDOW / 2) {
            raw_window_update(&b->out, 0, b->unreturned);
            b->unreturned = 0;
        }
        /* fallthrough */
    case RAW_HEADERS:
        if (head.flags & RAW_END_STREAM)
            on_end(b, head.stream);
        break;
    case RAW_SETTINGS:
        b->settled = true;
        if (!(head.flags & RAW_ACK))
            raw_frame(&b->out, RAW_SETTINGS, RAW_ACK, 0, NULL, 0);
        break;
    case RAW_PING:
        if (!(head.flags & RAW_ACK))
            raw_frame(&b->out, RAW_PING, RAW_ACK, 0, payload, head.len);
        break;
    case RAW_RST_STREAM:
    case RAW_GOAWAY:
        bench_die("the server ended the call: frame type %d", head.type);
    default:
        break;
    }
}

static void input_read(bare *b)
{
    const ssize_t n = recv(b->fd, b->in + b->in_len, READ_SIZE, 0);
    size_t at = 0;

    if (n <= 0)
        bench_die("the connection ended");
    b->in_len += (size_t)n;
    while (b->in_len - at >= RAW_FRAME_HEAD) {
        const raw_head head = raw_head_read(b->in + at);

        if (head.len > RAW_FRAME_MAX)
            bench_die("a frame of %u bytes", head.len);
        if (b->in_len - at < RAW_FRAME_HEAD + head.len)
            break;
        on_frame(b, b->in + at + RAW_FRAME_HEAD, head);
        at += RAW_FRAME_HEAD + head.len;
    }
    b->in_len -= at;
    memmove(b->in, b->in + at, b->in_len);
}

static void output_write(bare *b)
{
    size_t at = 0;

    while (at < b->out.len) {
        const ssize_t n = send(b->fd, b->out.data + at, b->out.len - at, MSG_NOSIGNAL);

        if (n < 0)
            bench_die("cannot send");
        at += (size_t)n;
    }
    b->out.len = 0;
}

/* Keeps in_flight calls going until `until`; with `keys` not 0 until that many were done. */
static void calls_run(bare *b, uint64_t until, size_t keys)
{
    while (keys != 0 ? b->finished < keys : bench_now() < until) {
        while (b->started_calls - b->finished < b->o->in_flight && (keys == 0 || b->started_calls < keys))
            call_start(b);
        output_write(b);
        input_read(b);
    }
}

static void measure(bare *b)
{
    uint64_t wall, cpu, ops, bytes;

    calls_run(b, bench_now() + (uint64_t)(b->o->warmup * 1e9), 0);
    b->measuring = true;
    wall = bench_now(), cpu = bench_cpu(), ops = b->finished, bytes = b->bytes;
    calls_run(b, wall + (uint64_t)(b->o->seconds * 1e9), 0);
    bench_print(&(bench_result){.hist = &b->hist,
                                .ops = b->finished - ops,
                                .wall_ns = bench_now() - wall,
                                .cpu_ns = bench_cpu() - cpu,
                                .bytes = b->bytes - bytes});
}

static int connect_to(const char *endpoint)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    const char *colon = strrchr(endpoint, ':');
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    char host[64];

    if (colon == NULL || (size_t)(colon - endpoint) >= sizeof host)
        bench_die("--endpoint is HOST:PORT");
    memcpy(host, endpoint, (size_t)(colon - endpoint));
    host[colon - endpoint] = '\0';
    address.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1)
        bench_die("%s is no IPv4 address", host);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        bench_die("cannot connect to %s", endpoint);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

/* A new connection: what a client sends first is queued. */
static void open_connection(bare *b)
{
    b->fd = connect_to(b->o->endpoint);
    b->next_stream = 1;
    b->in_len = b->out.len = 0;
    b->settled = false;
    raw_append(&b->out, RAW_PREFACE, RAW_PREFACE_LEN);
    raw_settings(&b->out, STREAM_WINDOW);
    raw_window_update(&b->out, 0, CONNECTION_WINDOW - 65535);
}

/* One connection after the other, each for one call behind the exchange of settings. */
static void measure_connects(bare *b)
{
    const uint64_t warm = bench_now() + (uint64_t)(b->o->warmup * 1e9), end = warm + (uint64_t)(b->o->seconds * 1e9);
    uint64_t started, cpu = bench_cpu(), ops = 0;

    while ((started = bench_now()) < end) {
        open_connection(b);
        while (!b->settled) {
            output_write(b);
            input_read(b);
        }
        call_start(b);
        while (b->finished < b->started_calls) {
            output_write(b);
            input_read(b);
        }
        if (started >= warm) {
            bench_hist_add(&b->hist, bench_now() - started);
            ops++;
        }
        close(b->fd);
    }
    bench_print(&(bench_result){.hist = &b->hist, .ops = ops, .wall_ns = end - warm, .cpu_ns = bench_cpu() - cpu});
}

static options options_parse(int argc, char **argv)
{
    options o = {.op = "get", .seconds = 1, .warmup = 0.2, .in_flight = 1, .value_len = 64, .keys = 10000};

    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--endpoint") == 0)
            o.endpoint = argv[i + 1];
        else if (strcmp(argv[i], "--op") == 0)
            o.op = argv[i + 1];
        else if (strcmp(argv[i], "--print") == 0)
            o.print = argv[i + 1];
        else if (strcmp(argv[i], "--in-flight") == 0)
            o.in_flight = strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--seconds") == 0)
            o.seconds = strtod(argv[i + 1], NULL);
        else if (strcmp(argv[i], "--warmup") == 0)
            o.warmup = strtod(argv[i + 1], NULL);
        else if (strcmp(argv[i], "--value") == 0)
            o.value_len = strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--keys") == 0)
            o.keys = strtoul(argv[i + 1], NULL, 10);
        else
            bench_die("unknown option %s", argv[i]);
    }
    if (o.in_flight == 0 || o.in_flight > STREAM_RING || (o.endpoint == NULL && o.print == NULL))
        bench_die("--endpoint or --print is needed, --in-flight is 1 to %d", STREAM_RING);
    return o;
}

int main(int argc, char **argv)
{
    const options o = options_parse(argc, argv);
    bare *b = bench_alloc(sizeof *b);
    raw_buf body = {0};

    if (o.print != NULL) {
        body_build(&o, o.print, 0, &body);
        fwrite(body.data, 1, body.len, stdout);
        free(body.data);
        free(b);
        return 0;
    }
    b->o = &o;
    if (strcmp(o.op, "connect") == 0) {
        measure_connects(b);
    } else {
        open_connection(b);
        if (strcmp(o.op, "seed") == 0)
            calls_run(b, 0, o.keys);
        else
            measure(b);
        close(b->fd);
    }
    free(b->out.data);
    free(b->call.data);
    free(b);
    return 0;
}
