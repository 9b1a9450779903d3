/* Bounds on what a hostile peer can make us do (P11), and how a session fails.
 *
 * Every bound ends the session: a failure is noted, nghttp2 is told to send GOAWAY, and the caller gets an error that names the
 * bound. nghttp2 has bounds of its own for some floods, which differ between versions: these here are met first. */
#include "http2/internal.h"

#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Wire bytes of a PING with its header: the largest answer that a peer can ask for with one frame. */
#define ANSWER_BYTES 17
#define FRAME_HEADER 9
#define MAX_FRAME 16384 /* we announce no larger SETTINGS_MAX_FRAME_SIZE */

void etcd__h2_fail(etcd__h2 *h2, int code, const char *format, ...)
{
    char text[ETCD_ERROR_MESSAGE_MAX];
    va_list args;

    if (h2->failure.code != ETCD_OK)
        return;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    etcd__error_set(&h2->failure, code, "%s", text);
}

int etcd__h2_failed(const etcd__h2 *h2, etcd_error *err)
{
    return etcd__error_set(err, h2->failure.code, "%s", h2->failure.message);
}

void etcd__h2_fail_nghttp2(etcd__h2 *h2, int result)
{
    if (result == NGHTTP2_ERR_NOMEM || h2->out_of_memory)
        etcd__h2_fail(h2, ETCD_ERR_NO_MEMORY, "%s", etcd_error_text(ETCD_ERR_NO_MEMORY));
    else
        etcd__h2_fail(h2, ETCD_ERR_PROTOCOL, "the peer broke HTTP/2: %s", h2->reason[0] ? h2->reason : nghttp2_strerror(result));
}

/* A frame by its header: what adds to a header block is bounded before it is decompressed. */
static void scan_frame(etcd__h2 *h2, uint8_t type, size_t len)
{
    h2->frames_in_slice++;
    if (len > MAX_FRAME)
        return; /* nghttp2 ends the session for that */
    if (type == NGHTTP2_HEADERS) {
        h2->block_bytes = len;
        h2->continuations = 0;
    } else if (type == NGHTTP2_CONTINUATION) {
        h2->block_bytes += len;
        h2->continuations++;
    } else {
        return;
    }
    if (h2->continuations > ETCD__H2_MAX_CONTINUATIONS)
        etcd__h2_fail(h2, ETCD_ERR_PROTOCOL, "the peer sent more than %d CONTINUATION frames for one header block (limit)",
                      ETCD__H2_MAX_CONTINUATIONS);
    if (h2->block_bytes > h2->config.max_header_list)
        etcd__h2_fail(h2, ETCD_ERR_PROTOCOL, "the peer sent a header block of more than %zu bytes (limit max_header_list)",
                      h2->config.max_header_list);
}

void etcd__h2_scan(etcd__h2 *h2, const uint8_t *data, size_t len)
{
    h2->frames_in_slice = 0;
    while (len > 0) {
        const uint8_t *header = data;
        size_t now = h2->scan_skip < len ? h2->scan_skip : len;

        if (now == 0) {
            now = FRAME_HEADER - h2->scan_len;
            if (now > len)
                now = len;
            if (now < FRAME_HEADER) {
                memcpy(h2->scan_header + h2->scan_len, data, now);
                header = h2->scan_header;
            }
            h2->scan_len += now;
            if (h2->scan_len == FRAME_HEADER) {
                h2->scan_skip = (size_t)header[0] << 16 | (size_t)header[1] << 8 | header[2];
                h2->scan_len = 0;
                scan_frame(h2, header[3], h2->scan_skip);
            }
        } else {
            h2->scan_skip -= now;
        }
        data += now;
        len -= now;
    }
}

/* Streams that we have reset may still send what the connection's window allows, and what it was given back meanwhile. */
void etcd__h2_check_idle(etcd__h2 *h2, size_t len)
{
    size_t most = 2 * (size_t)h2->config.connection_window;

    if (h2->useful_in_slice) {
        h2->idle_frames = h2->idle_bytes = 0;
    } else {
        h2->idle_frames += h2->frames_in_slice;
        h2->idle_bytes += len;
    }
    h2->useful_in_slice = false;
    if (h2->idle_frames > h2->config.max_control_frames)
        etcd__h2_fail(h2, ETCD_ERR_PROTOCOL,
                      "the peer sent more than %zu frames in a row that carry nothing (limit max_control_frames)",
                      h2->config.max_control_frames);
    if (h2->idle_bytes > most)
        etcd__h2_fail(h2, ETCD_ERR_PROTOCOL,
                      "the peer sent more than %zu bytes in a row that are of no use (limit: twice the connection's window)",
                      most);
}

int etcd__h2_count_field(etcd__h2 *h2, size_t name_len, size_t value_len)
{
    h2->block_list += name_len + value_len + 32;
    if (h2->block_list <= h2->config.max_header_list)
        return 0;
    etcd__h2_fail(h2, ETCD_ERR_PROTOCOL, "the peer sent a header list of more than %zu bytes (limit max_header_list)",
                  h2->config.max_header_list);
    return NGHTTP2_ERR_CALLBACK_FAILURE;
}

/* nghttp2 does not tell answers from what calls queued, but bounds are known for the latter: per stream a HEADERS, a RST_STREAM
 * and a WINDOW_UPDATE; for the connection a SETTINGS, a PING, a GOAWAY and a WINDOW_UPDATE. */
void etcd__h2_check_answers(etcd__h2 *h2)
{
    size_t queued = nghttp2_session_get_outbound_queue_size(h2->ng);
    size_t ours = 3 * h2->n_known + 4;

    if (queued <= ours || (queued - ours) * ANSWER_BYTES <= h2->config.max_output)
        return;
    etcd__h2_fail(h2, ETCD_ERR_PROTOCOL,
                  "the peer asked for more than %zu bytes of answers without taking them (limit max_output)",
                  h2->config.max_output);
}

static void fail_not_http2(etcd__h2 *h2, uint8_t first)
{
    if (strncmp(h2->line, "HTTP/1.", 7) == 0)
        etcd__h2_fail(h2, ETCD_ERR_PROTOCOL, "the peer answered HTTP/1, not HTTP/2: \"%s\"", h2->line);
    else if (first == 0x15)
        etcd__h2_fail(h2, ETCD_ERR_PROTOCOL, "the peer answered with a TLS alert, not HTTP/2: it may want https");
    else if (h2->line_len > 0)
        etcd__h2_fail(h2, ETCD_ERR_PROTOCOL, "the peer does not speak HTTP/2: it sent \"%s\"", h2->line);
    else
        etcd__h2_fail(h2, ETCD_ERR_PROTOCOL, "the peer does not speak HTTP/2: its first byte is 0x%02x", first);
}

/* The first frame is a SETTINGS of less than 16 KiB (RFC 9113 3.4, 4.2), so HTTP/2 starts with a zero byte. */
void etcd__h2_not_http2(etcd__h2 *h2, const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (data[i] < 0x20 || data[i] > 0x7e || h2->line_len == ETCD__H2_LINE_MAX) {
            h2->line[h2->line_len] = '\0';
            fail_not_http2(h2, data[i]);
            return;
        }
        h2->line[h2->line_len++] = (char)data[i];
    }
}
