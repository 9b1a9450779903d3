/* src/http2/hpack.c against nghttp2's decoder. */
#include "http2/hpack.h"

#include "harness/alloc.h"
#include "harness/test.h"

#include <etcd3/error.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PLAN 200000

typedef struct pair {
    etcd__hpack encoder;
    nghttp2_hd_inflater *decoder;
    etcd__buf block;
    uint8_t plan[MAX_PLAN];
    size_t plan_len;
} pair;

static void open_pair(pair *p)
{
    memset(p, 0, sizeof *p);
    etcd__hpack_init(&p->encoder);
    assert_int_equal(nghttp2_hd_inflate_new(&p->decoder), 0);
    p->block.max = SIZE_MAX;
}

static void close_pair(pair *p)
{
    nghttp2_hd_inflate_del(p->decoder);
    etcd__buf_free(&p->block);
}

static size_t list_size(const etcd__h2_header *headers, size_t n)
{
    size_t size = 0;

    for (size_t i = 0; i < n; i++)
        size += headers[i].name_len + headers[i].value_len + 32;
    return size;
}

static void prepare(pair *p, const etcd__h2_header *headers, size_t n)
{
    size_t bound = list_size(headers, n);
    uint8_t *exact = malloc(bound); /* of its exact size, for the sanitizers */

    assert_non_null(exact);
    p->plan_len = etcd__hpack_prepare(&p->encoder, headers, n, exact);
    assert_true(p->plan_len < bound);
    memcpy(p->plan, exact, p->plan_len);
    free(exact);
}

static void encode(pair *p)
{
    p->block.len = 0;
    assert_int_equal(etcd__hpack_encode(&p->encoder, p->plan, p->plan_len, &p->block), ETCD_OK);
}

/* Decodes the block and compares. */
static void decode(pair *p, const etcd__h2_header *headers, size_t n)
{
    const uint8_t *at = p->block.data;
    size_t len = p->block.len, i = 0;

    for (;;) {
        nghttp2_nv nv;
        int flags = 0;
        ssize_t taken = nghttp2_hd_inflate_hd2(p->decoder, &nv, &flags, at, len, 1);

        assert_true(taken >= 0);
        at += taken;
        len -= (size_t)taken;
        if (flags & NGHTTP2_HD_INFLATE_EMIT) {
            assert_true(i < n);
            assert_int_equal(nv.namelen, headers[i].name_len);
            assert_memory_equal(nv.name, headers[i].name, nv.namelen);
            assert_int_equal(nv.valuelen, headers[i].value_len);
            assert_memory_equal(nv.value, headers[i].value, nv.valuelen);
            assert_int_equal((nv.flags & NGHTTP2_NV_FLAG_NO_INDEX) != 0, headers[i].never_index);
            i++;
        }
        if (flags & NGHTTP2_HD_INFLATE_FINAL)
            break;
        assert_true(len > 0 || (flags & NGHTTP2_HD_INFLATE_EMIT));
    }
    nghttp2_hd_inflate_end_headers(p->decoder);
    assert_int_equal(i, n);
    assert_int_equal(len, 0);
}

static void round_trip(pair *p, const etcd__h2_header *headers, size_t n)
{
    prepare(p, headers, n);
    encode(p);
    decode(p, headers, n);
}

static etcd__h2_header header(const char *name, const char *value)
{
    etcd__h2_header h = {name, strlen(name), value, strlen(value), false, false, false};

    return h;
}

static void typical(etcd__h2_header headers[9], const char *path, const char *timeout)
{
    headers[0] = header(":method", "POST");
    headers[1] = header(":scheme", "http");
    headers[2] = header(":path", path);
    headers[3] = header(":authority", "127.0.0.1:2379");
    headers[4] = header("grpc-timeout", timeout);
    headers[4].varying = true;
    headers[5] = header("te", "trailers");
    headers[6] = header("content-type", "application/grpc");
    headers[7] = header("user-agent", "etcd3/0.1");
    headers[8] = header("client-api-version", "3.8");
}

static void repeated_calls_get_small(void **state)
{
    static pair p;
    etcd__h2_header headers[9];
    char timeout[16];

    (void)state;
    open_pair(&p);
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(timeout, sizeof timeout, "%du", 1000000 + i);
        typical(headers, i % 2 ? "/etcdserverpb.KV/Range" : "/etcdserverpb.KV/Put", timeout);
        round_trip(&p, headers, 9);
        if (i > 5)
            assert_int_equal(p.block.len, 8 + 2 + 1 + 8); /* 8 indexed, the timeout's name, its value */
    }
    close_pair(&p);
}

static void https_and_secrets(void **state)
{
    static pair p;
    etcd__h2_header headers[4];

    (void)state;
    open_pair(&p);
    headers[0] = header(":method", "POST");
    headers[1] = header(":scheme", "https");
    headers[2] = header("token", "abcdef.17");
    headers[2].never_index = true;
    headers[3] = header("x", "");
    for (int i = 0; i < 10; i++) {
        round_trip(&p, headers, 4);
        for (size_t k = 0; k < p.encoder.n_entries; k++)
            assert_memory_not_equal(p.encoder.text + p.encoder.entries[k].offset, "token", 5);
    }
    assert_int_equal(p.block.len, 1 + 1 + (1 + 6 + 1 + 9) + 1);
    close_pair(&p);
}

/* One after the other, what was seen once does not take a place. */
static void junk_stays_out(void **state)
{
    static pair p;
    etcd__h2_header headers[2];
    char value[32];

    (void)state;
    open_pair(&p);
    headers[0] = header(":method", "POST");
    for (int i = 0; i < 3000; i++) {
        (void)snprintf(value, sizeof value, "trace-%d-%d", i * 7919, i);
        headers[1] = header("trace-id", value);
        round_trip(&p, headers, 2);
    }
    assert_true(p.encoder.n_entries < ETCD__HPACK_ENTRIES / 2);
    close_pair(&p);
}

static void full_dictionary_starts_anew(void **state)
{
    static pair p;
    etcd__h2_header one;
    char value[64];

    (void)state;
    open_pair(&p);
    for (int i = 0; i < 200; i++) {
        (void)snprintf(value, sizeof value, "value number %d", i);
        one = header("name", value);
        for (int k = 0; k < 3; k++)
            round_trip(&p, &one, 1);
    }
    assert_int_equal(p.encoder.n_entries, ETCD__HPACK_ENTRIES);
    assert_true(p.encoder.missed > 0);
    one = header("name", "a late one");
    for (int k = 0; k < 5000; k++)
        round_trip(&p, &one, 1);
    assert_int_equal(p.block.len, 1);
    assert_true(p.encoder.n_entries < 5);
    close_pair(&p);
}

/* A plan that waits is never invalidated. */
static void plans_wait(void **state)
{
    static pair p;
    etcd__h2_header headers[9], one;
    uint8_t first[1024];
    size_t first_len;

    (void)state;
    open_pair(&p);
    typical(headers, "/a/b", "1S");
    for (int i = 0; i < 3; i++)
        round_trip(&p, headers, 9);
    prepare(&p, headers, 9);
    memcpy(first, p.plan, p.plan_len);
    first_len = p.plan_len;
    for (int i = 0; i < 6000; i++) {
        char value[32];

        (void)snprintf(value, sizeof value, "value %d", i / 2);
        one = header("name", value);
        round_trip(&p, &one, 1);
        if (i % 1000 == 0) {
            etcd__hpack_set_table_size(&p.encoder, i % 2000 ? 4096 : 100);
            nghttp2_hd_inflate_change_table_size(p.decoder, i % 2000 ? 4096 : 100);
        }
    }
    memcpy(p.plan, first, first_len);
    p.plan_len = first_len;
    encode(&p);
    decode(&p, headers, 9);
    assert_int_equal(p.encoder.plans, 0);
    close_pair(&p);
}

static void table_sizes(void **state)
{
    static const uint32_t sizes[] = {0, 4096, 31, 100, 0, 65536, 200, 4095, UINT32_MAX, 1};
    static pair p;
    etcd__h2_header headers[9];

    (void)state;
    open_pair(&p);
    typical(headers, "/etcdserverpb.KV/Range", "5S");
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (int k = 0; k < 4; k++)
            round_trip(&p, headers, 9);
        etcd__hpack_set_table_size(&p.encoder, sizes[i]);
        nghttp2_hd_inflate_change_table_size(p.decoder, sizes[i]);
        if (i % 3 == 0) { /* two changes between two blocks */
            etcd__hpack_set_table_size(&p.encoder, 64);
            nghttp2_hd_inflate_change_table_size(p.decoder, 64);
        }
    }
    close_pair(&p);
}

static void long_fields(void **state)
{
    static pair p;
    static char text[65000];
    etcd__h2_header headers[3];

    (void)state;
    open_pair(&p);
    memset(text, 'v', sizeof text);
    for (size_t len = 0; len < sizeof text; len = len * 3 / 2 + 1) {
        headers[0] = header(":method", "POST");
        headers[1] = header("name", "");
        headers[1].value = text;
        headers[1].value_len = len;
        headers[2] = header("", "");
        headers[2].name = text;
        headers[2].name_len = len / 2;
        headers[2].varying = true;
        for (int k = 0; k < 3; k++)
            round_trip(&p, headers, 3);
    }
    close_pair(&p);
}

static uint32_t random_state;

static size_t below(size_t n)
{
    random_state = random_state * 1664525 + 1013904223;
    return (random_state >> 8) % n;
}

/* Random fields of a small vocabulary, plans encoded in order, some dropped, the table's size changing. */
static void random_sequences(void **state)
{
    static const char *const names[] = {":path",      ":authority",   "token",        "x-a", "x-b",
                                        "user-agent", "content-type", "grpc-timeout", "te"};
    static pair p;

    (void)state;
    for (uint32_t seed = 0; seed < 30; seed++) {
        random_state = seed;
        open_pair(&p);
        for (int round = 0; round < 2000; round++) {
            etcd__h2_header headers[24];
            char values[24][40];
            size_t n = below(24) + 1;

            for (size_t i = 0; i < n; i++) {
                (void)snprintf(values[i], sizeof values[i], "%.*s%zu", (int)below(30), "................................",
                               below(seed % 3 ? 20 : 2000));
                headers[i] = header(names[below(sizeof names / sizeof names[0])], values[i]);
                headers[i].never_index = below(10) == 0;
                headers[i].varying = below(10) == 0;
            }
            prepare(&p, headers, n);
            if (below(8) == 0) {
                etcd__hpack_drop(&p.encoder);
                continue;
            }
            encode(&p);
            decode(&p, headers, n);
            if (below(100) == 0) {
                uint32_t size = (uint32_t)below(6000);

                etcd__hpack_set_table_size(&p.encoder, size);
                nghttp2_hd_inflate_change_table_size(p.decoder, size);
            }
        }
        assert_int_equal(p.encoder.plans, 0);
        close_pair(&p);
    }
}

static void out_of_memory(void **state)
{
    static pair p;
    etcd__h2_header headers[9];
    etcd__buf out = ETCD__BUF_INIT(SIZE_MAX);

    (void)state;
    etcd_test_alloc_install();
    open_pair(&p);
    typical(headers, "/etcdserverpb.KV/Range", "5S");
    prepare(&p, headers, 9);
    etcd_test_alloc_fail_at(1);
    assert_int_equal(etcd__hpack_encode(&p.encoder, p.plan, p.plan_len, &out), ETCD_ERR_NO_MEMORY);
    assert_int_equal(p.encoder.plans, 0);
    close_pair(&p);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(repeated_calls_get_small),
    cmocka_unit_test(https_and_secrets),
    cmocka_unit_test(junk_stays_out),
    cmocka_unit_test(full_dictionary_starts_anew),
    cmocka_unit_test(plans_wait),
    cmocka_unit_test(table_sizes),
    cmocka_unit_test(long_fields),
    cmocka_unit_test(random_sequences),
    cmocka_unit_test(out_of_memory),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
