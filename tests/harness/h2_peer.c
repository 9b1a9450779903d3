/* See h2_peer.h. */
#include "harness/h2_peer.h"

#include "harness/test.h"

#include <nghttp2/nghttp2.h>
#include <stdlib.h>
#include <string.h>

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define PREFACE_LEN 24
#define MAX_FIELDS 64

void h2_peer_init(h2_peer *peer)
{
    memset(peer, 0, sizeof *peer);
    assert_int_equal(nghttp2_hd_deflate_new(&peer->deflater, 4096), 0);
    assert_int_equal(nghttp2_hd_inflate_new(&peer->inflater), 0);
}

void h2_peer_free(h2_peer *peer)
{
    for (size_t i = 0; i < peer->n_frames; i++)
        free(peer->frames[i].fields);
    free(peer->frames);
    free(peer->in);
    free(peer->out);
    nghttp2_hd_deflate_del(peer->deflater);
    nghttp2_hd_inflate_del(peer->inflater);
}

void h2_peer_clear(h2_peer *peer)
{
    peer->out_len = 0;
}

static void append(uint8_t **data, size_t *have, size_t *cap, const void *more, size_t len)
{
    if (*have + len > *cap) {
        *cap = (*have + len) * 2;
        *data = realloc(*data, *cap);
        assert_non_null(*data);
    }
    if (len > 0)
        memcpy(*data + *have, more, len);
    *have += len;
}

void h2_peer_raw(h2_peer *peer, const void *data, size_t len)
{
    append(&peer->out, &peer->out_len, &peer->out_cap, data, len);
}

static void put32(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 24);
    at[1] = (uint8_t)(value >> 16);
    at[2] = (uint8_t)(value >> 8);
    at[3] = (uint8_t)value;
}

static uint32_t get32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

void h2_peer_frame(h2_peer *peer, uint8_t type, uint8_t flags, int32_t stream_id, const void *payload, size_t len)
{
    uint8_t header[9];

    header[0] = (uint8_t)(len >> 16);
    header[1] = (uint8_t)(len >> 8);
    header[2] = (uint8_t)len;
    header[3] = type;
    header[4] = flags;
    put32(header + 5, (uint32_t)stream_id);
    h2_peer_raw(peer, header, sizeof header);
    h2_peer_raw(peer, payload, len);
}

void h2_peer_settings(h2_peer *peer, const uint32_t (*entries)[2], size_t n)
{
    uint8_t payload[6 * 40];

    assert_true(n <= 40);
    for (size_t i = 0; i < n; i++) {
        payload[6 * i] = (uint8_t)(entries[i][0] >> 8);
        payload[6 * i + 1] = (uint8_t)entries[i][0];
        put32(payload + 6 * i + 2, entries[i][1]);
    }
    h2_peer_frame(peer, H2_SETTINGS, 0, 0, payload, 6 * n);
}

static uint8_t *unconst(const char *text)
{
    union {
        const char *in;
        uint8_t *out;
    } u = {text};

    return u.out;
}

void h2_peer_headers_cut(h2_peer *peer, int32_t stream_id, bool end_stream, const h2_field *fields, size_t piece)
{
    nghttp2_nv nv[MAX_FIELDS];
    size_t n = 0, bound;
    uint8_t *block;
    ssize_t len;

    for (; fields[n].name != NULL; n++) {
        assert_true(n < MAX_FIELDS);
        nv[n].name = unconst(fields[n].name);
        nv[n].namelen = strlen(fields[n].name);
        nv[n].value = unconst(fields[n].value);
        nv[n].valuelen = strlen(fields[n].value);
        nv[n].flags = NGHTTP2_NV_FLAG_NONE;
    }
    bound = nghttp2_hd_deflate_bound(peer->deflater, nv, n) + 1;
    block = malloc(bound);
    assert_non_null(block);
    len = nghttp2_hd_deflate_hd(peer->deflater, block, bound, nv, n);
    assert_true(len >= 0);
    for (size_t at = 0, left = (size_t)len;;) {
        size_t now = left < piece ? left : piece;
        uint8_t flags = (uint8_t)((now == left ? H2_END_HEADERS : 0) | (at == 0 && end_stream ? H2_END_STREAM : 0));

        h2_peer_frame(peer, at == 0 ? H2_HEADERS : H2_CONTINUATION, flags, stream_id, block + at, now);
        at += now;
        left -= now;
        if (left == 0)
            break;
    }
    free(block);
}

void h2_peer_headers(h2_peer *peer, int32_t stream_id, bool end_stream, const h2_field *fields)
{
    h2_peer_headers_cut(peer, stream_id, end_stream, fields, 16384);
}

void h2_peer_data(h2_peer *peer, int32_t stream_id, bool end_stream, const void *data, size_t len)
{
    h2_peer_frame(peer, H2_DATA, end_stream ? H2_END_STREAM : 0, stream_id, data, len);
}

void h2_peer_message(h2_peer *peer, int32_t stream_id, bool end_stream, const void *data, size_t len)
{
    uint8_t header[9];
    uint8_t prefix[5] = {0};

    put32(prefix + 1, (uint32_t)len);
    header[0] = (uint8_t)((len + 5) >> 16);
    header[1] = (uint8_t)((len + 5) >> 8);
    header[2] = (uint8_t)(len + 5);
    header[3] = H2_DATA;
    header[4] = end_stream ? H2_END_STREAM : 0;
    put32(header + 5, (uint32_t)stream_id);
    h2_peer_raw(peer, header, sizeof header);
    h2_peer_raw(peer, prefix, sizeof prefix);
    h2_peer_raw(peer, data, len);
}

void h2_peer_rst(h2_peer *peer, int32_t stream_id, uint32_t code)
{
    uint8_t payload[4];

    put32(payload, code);
    h2_peer_frame(peer, H2_RST_STREAM, 0, stream_id, payload, sizeof payload);
}

void h2_peer_goaway(h2_peer *peer, int32_t last_stream_id, uint32_t code, const char *debug)
{
    uint8_t payload[8 + 256];
    size_t len = strlen(debug);

    assert_true(len <= 256);
    put32(payload, (uint32_t)last_stream_id);
    put32(payload + 4, code);
    memcpy(payload + 8, debug, len);
    h2_peer_frame(peer, H2_GOAWAY, 0, 0, payload, 8 + len);
}

void h2_peer_ping(h2_peer *peer, bool ack, uint64_t opaque)
{
    uint8_t payload[8];

    put32(payload, (uint32_t)(opaque >> 32));
    put32(payload + 4, (uint32_t)opaque);
    h2_peer_frame(peer, H2_PING, ack ? H2_ACK : 0, 0, payload, sizeof payload);
}

void h2_peer_window_update(h2_peer *peer, int32_t stream_id, uint32_t increment)
{
    uint8_t payload[4];

    put32(payload, increment);
    h2_peer_frame(peer, H2_WINDOW_UPDATE, 0, stream_id, payload, sizeof payload);
}

/* Decodes one piece of a header block onto the text of its fields. */
static void inflate(h2_peer *peer, h2_frame *frame, const uint8_t *data, size_t len, bool last)
{
    size_t have = frame->fields ? strlen(frame->fields) : 0, cap = have;
    uint8_t *text = (uint8_t *)frame->fields;

    for (;;) {
        nghttp2_nv nv;
        int flags = 0;
        ssize_t taken = nghttp2_hd_inflate_hd2(peer->inflater, &nv, &flags, data, len, last);

        assert_true(taken >= 0);
        data += taken;
        len -= (size_t)taken;
        if (flags & NGHTTP2_HD_INFLATE_EMIT) {
            append(&text, &have, &cap, nv.name, nv.namelen);
            append(&text, &have, &cap, ": ", 2);
            append(&text, &have, &cap, nv.value, nv.valuelen);
            append(&text, &have, &cap, "\n", 1);
        }
        if (flags & NGHTTP2_HD_INFLATE_FINAL) {
            nghttp2_hd_inflate_end_headers(peer->inflater);
            break;
        }
        if (len == 0 && !(flags & NGHTTP2_HD_INFLATE_EMIT))
            break;
    }
    append(&text, &have, &cap, "", 1);
    frame->fields = (char *)text;
}

static void take_frame(h2_peer *peer, const uint8_t *at, size_t len)
{
    h2_frame *frame;

    if (peer->n_frames == peer->max_frames) {
        peer->max_frames = 2 * peer->max_frames + 16;
        peer->frames = realloc(peer->frames, peer->max_frames * sizeof *peer->frames);
        assert_non_null(peer->frames);
    }
    frame = &peer->frames[peer->n_frames++];
    memset(frame, 0, sizeof *frame);
    frame->type = at[3];
    frame->flags = at[4];
    frame->stream_id = (int32_t)get32(at + 5);
    frame->len = len;
    frame->payload = at + 9;
    frame->end = (size_t)(at - peer->in) + 9 + len;
    if (frame->type == H2_CONTINUATION) {
        h2_frame *first = frame - 1;

        while (first->type != H2_HEADERS)
            first--;
        inflate(peer, first, at + 9, len, (frame->flags & H2_END_HEADERS) != 0);
    } else if (frame->type == H2_HEADERS) {
        inflate(peer, frame, at + 9, len, (frame->flags & H2_END_HEADERS) != 0);
    }
}

void h2_peer_take(h2_peer *peer, const uint8_t *data, size_t len)
{
    const uint8_t *before = peer->in;

    append(&peer->in, &peer->in_len, &peer->in_cap, data, len);
    for (size_t i = 0; before != peer->in && i < peer->n_frames; i++)
        peer->frames[i].payload = peer->in + (peer->frames[i].end - peer->frames[i].len);
    if (!peer->preface_seen && peer->in_len >= PREFACE_LEN) {
        assert_memory_equal(peer->in, PREFACE, PREFACE_LEN);
        peer->preface_seen = true;
        peer->in_parsed = PREFACE_LEN;
    }
    while (peer->preface_seen && peer->in_len - peer->in_parsed >= 9) {
        const uint8_t *at = peer->in + peer->in_parsed;
        size_t frame_len = (size_t)at[0] << 16 | (size_t)at[1] << 8 | at[2];

        if (peer->in_len - peer->in_parsed - 9 < frame_len)
            break;
        take_frame(peer, at, frame_len);
        peer->in_parsed += 9 + frame_len;
    }
}

const h2_frame *h2_peer_find(const h2_peer *peer, uint8_t type, int32_t stream_id, size_t n)
{
    for (size_t i = 0; i < peer->n_frames; i++)
        if (peer->frames[i].type == type && peer->frames[i].stream_id == stream_id && n-- == 0)
            return &peer->frames[i];
    return NULL;
}

size_t h2_peer_count(const h2_peer *peer, uint8_t type, int32_t stream_id)
{
    size_t n = 0;

    while (h2_peer_find(peer, type, stream_id, n) != NULL)
        n++;
    return n;
}
