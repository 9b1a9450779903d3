/* What decoding a RangeResponse costs, in ns per key-value: this library's decoder, protobuf-c with an arena
 * allocator, and memcpy of the same bytes. Both decoders get an arena of the same kind (base/arena.h) for each
 * response, its making and its freeing included, as each response lives as long as its user wants. "protobuf_c_warm"
 * is protobuf-c with one arena that is only rewound: less than a library can do, but the bound.
 *
 *   bench_codec [--rounds N] [--max-kvs N]
 *
 * Prints one line of JSON per size: the median of the rounds of each contender, which take turns, and their spread. A
 * round decodes a batch of copies of the message, which are made before the clock starts (our decoder writes into its
 * input and owns it, as it does with what the network brought).
 */
#include "measure.h"
#include "range.pb-c.h"
#include "raw.h"

#include "base/alloc.h"
#include "wire/messages.h"
#include "wire/response.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ROUNDS 99
#define BATCH_BYTES ((size_t)2 << 20)
#define MAX_BATCH ((size_t)512)

/* The arena that is only rewound. */
typedef struct bump {
    uint8_t *memory;
    size_t used, size;
} bump;

/* One size, and the inputs of a round. */
typedef struct message {
    size_t n_kvs, len, batch;
    const uint8_t *bytes;
    uint8_t *copies[MAX_BATCH];
    uint8_t *sink; /* room for one copy */
    bump arena;
} message;

static volatile uint64_t kept; /* what was decoded must not be optimized away */

static void *bump_alloc(void *data, size_t size)
{
    bump *b = data;
    const size_t at = b->used;

    size = (size + 15) & ~(size_t)15;
    if (size > b->size - at)
        return NULL;
    b->used += size;
    return b->memory + at;
}

static void bump_free(void *data, void *memory)
{
    (void)data;
    (void)memory;
}

static uint64_t decode_ours(message *m, size_t i)
{
    etcd_get_response *response;
    uint64_t seen;
    void *out;

    if (etcd__response_decode(&etcd__get_response_type, m->copies[i], m->len, &out, NULL) != ETCD_OK)
        bench_die("our decoder failed");
    m->copies[i] = NULL;
    response = out;
    seen = response->n_kvs + response->kvs[response->n_kvs - 1].value.len;
    etcd_response_free(response);
    return seen;
}

static uint64_t unpack(message *m, size_t i, ProtobufCAllocator *allocator)
{
    const Bench__RangeResponse *response = bench__range_response__unpack(allocator, m->len, m->copies[i]);

    if (response == NULL)
        bench_die("protobuf-c failed");
    return response->n_kvs + response->kvs[response->n_kvs - 1]->value.len;
}

static uint64_t decode_protobuf_c_warm(message *m, size_t i)
{
    ProtobufCAllocator allocator = {bump_alloc, bump_free, &m->arena};

    m->arena.used = 0;
    return unpack(m, i, &allocator);
}

static void *arena_alloc(void *arena, size_t size)
{
    return etcd__arena_alloc(arena, size);
}

static uint64_t decode_protobuf_c(message *m, size_t i)
{
    etcd__arena *arena = etcd__arena_new(m->len < 4096 ? m->len + 512 : 4096, SIZE_MAX);
    ProtobufCAllocator allocator = {arena_alloc, bump_free, arena};
    uint64_t seen;

    if (arena == NULL)
        bench_die("out of memory");
    seen = unpack(m, i, &allocator);
    etcd__arena_free(arena);
    return seen;
}

static uint64_t copy_bytes(message *m, size_t i)
{
    memcpy(m->sink, m->copies[i], m->len);
    __asm__ volatile("" : : "r"(m->sink) : "memory");
    return m->sink[m->len - 1];
}

typedef uint64_t contender(message *m, size_t i);

/* One round: ns per key-value. */
static double round_run(message *m, contender *decode)
{
    uint64_t start, sum = 0;
    double ns;

    for (size_t i = 0; i < m->batch; i++) {
        m->copies[i] = etcd__malloc(m->len + 1);
        if (m->copies[i] == NULL)
            bench_die("out of memory");
        memcpy(m->copies[i], m->bytes, m->len);
    }
    start = bench_now();
    for (size_t i = 0; i < m->batch; i++)
        sum += decode(m, i);
    ns = (double)(bench_now() - start);
    kept = sum;
    for (size_t i = 0; i < m->batch; i++)
        etcd__free(m->copies[i]);
    return ns / (double)(m->batch * m->n_kvs);
}

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Median, and the distance between the quartiles as a share of it. */
static void report(const char *name, double *ns, size_t rounds, double *median)
{
    qsort(ns, rounds, sizeof *ns, compare_doubles);
    *median = ns[rounds / 2];
    printf("\"%s\": %.3f, \"%s_spread\": %.3f, ", name, *median, name, (ns[rounds * 3 / 4] - ns[rounds / 4]) / *median);
}

static void size_run(size_t n_kvs, size_t value_len, size_t rounds)
{
    static double ours[MAX_ROUNDS], other[MAX_ROUNDS], warm[MAX_ROUNDS], copied[MAX_ROUNDS];
    double our_ns, other_ns, warm_ns, copy_ns;
    raw_buf encoded = {0};
    message m = {.n_kvs = n_kvs};

    raw_range_response(&encoded, n_kvs, value_len);
    m.bytes = encoded.data;
    m.len = encoded.len;
    m.batch = BATCH_BYTES / m.len < 1 ? 1 : BATCH_BYTES / m.len > MAX_BATCH ? MAX_BATCH : BATCH_BYTES / m.len;
    m.sink = bench_alloc(m.len);
    m.arena.size = m.len * 4 + 65536;
    m.arena.memory = bench_alloc(m.arena.size);
    memset(m.arena.memory, 1, m.arena.size);
    for (size_t i = 0; i < rounds; i++) {
        ours[i] = round_run(&m, decode_ours);
        other[i] = round_run(&m, decode_protobuf_c);
        warm[i] = round_run(&m, decode_protobuf_c_warm);
        copied[i] = round_run(&m, copy_bytes);
    }
    printf("{\"kvs\": %zu, \"value\": %zu, ", n_kvs, value_len);
    report("etcd3", ours, rounds, &our_ns);
    report("protobuf_c", other, rounds, &other_ns);
    report("protobuf_c_warm", warm, rounds, &warm_ns);
    report("memcpy", copied, rounds, &copy_ns);
    printf("\"of_protobuf_c\": %.4f}\n", our_ns / other_ns);
    fflush(stdout);
    free(m.arena.memory);
    free(m.sink);
    free(encoded.data);
}

int main(int argc, char **argv)
{
    size_t rounds = 31, max_kvs = 10000;

    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--rounds") == 0)
            rounds = strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--max-kvs") == 0)
            max_kvs = strtoul(argv[i + 1], NULL, 10);
        else
            bench_die("unknown option %s", argv[i]);
    }
    if (rounds == 0 || rounds > MAX_ROUNDS)
        bench_die("--rounds is 1 to %d", MAX_ROUNDS);
    for (size_t value = 64; value <= 1024; value *= 16)
        for (size_t n = 1; n <= max_kvs; n *= 10)
            size_run(n, value, rounds);
    return 0;
}
