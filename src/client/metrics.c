/* See metrics.h and <etcd3/metrics.h>. Buckets are powers of two, so that counting a call is a count of leading
 * zeros. */
#include "client/metrics.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "client/client.h"
#include "wire/response.h"

#include <etcd3/endpoints.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define FIRST_BOUND_US 64
#define MAX_TEXT ((size_t)16 << 20)

int64_t etcd_metrics_bucket_bound_us(size_t bucket)
{
    return bucket + 1 < ETCD_METRICS_BUCKETS ? (int64_t)FIRST_BOUND_US << bucket : INT64_MAX;
}

static size_t bucket_of(int64_t us)
{
    size_t bucket = 0;

    while (bucket + 1 < ETCD_METRICS_BUCKETS && us > (int64_t)FIRST_BOUND_US << bucket)
        bucket++;
    return bucket;
}

void etcd__metrics_count(etcd__metrics *metrics, const etcd__call *call, int64_t duration)
{
    etcd_method_metrics *method = &metrics->methods[call->method - etcd__rpc_methods];
    int64_t us = duration > 0 ? duration / 1000 : 0;

    method->calls++;
    method->failures += call->code != ETCD_OK;
    method->attempts += (uint64_t)call->attempts;
    method->request_bytes += call->body_len - ETCD__GRPC_PREFIX;
    method->response_bytes += call->response_len;
    method->latency_sum_us += (uint64_t)us;
    method->latency_us[bucket_of(us)]++;
}

/* --- as a struct ------------------------------------------------------------------------------ */

static int copy_methods(const etcd__metrics *metrics, etcd_metrics_response *response)
{
    etcd_method_metrics *methods = etcd__arena_calloc(etcd__response_arena(response), ETCD__N_RPCS, sizeof *methods);

    if (methods == NULL)
        return ETCD_ERR_NO_MEMORY;
    for (size_t i = 0; i < ETCD__N_RPCS; i++) {
        if (metrics->methods[i].calls == 0)
            continue;
        methods[response->n_methods] = metrics->methods[i];
        methods[response->n_methods++].method = etcd__rpc_methods[i].path;
    }
    response->methods = methods;
    return ETCD_OK;
}

static const etcd_stream_end *copy_ends(const etcd__stream_counts *counts, etcd__arena *arena)
{
    etcd_stream_end *ends = etcd__arena_calloc(arena, ETCD__STREAM_CODES, sizeof *ends);

    for (size_t i = 0; ends != NULL && i < counts->n_codes; i++)
        ends[i] = (etcd_stream_end){counts->codes[i].code, counts->codes[i].streams};
    return ends;
}

static int copy_streams(const etcd__streams *from, etcd_metrics_response *response)
{
    etcd__arena *arena = etcd__response_arena(response);
    etcd_stream_metrics *streams = etcd__arena_calloc(arena, ETCD__STREAM_METHODS, sizeof *streams);

    if (streams == NULL)
        return ETCD_ERR_NO_MEMORY;
    for (size_t i = 0; i < ETCD__STREAM_METHODS && from->methods[i].method != NULL; i++) {
        const etcd__stream_counts *counts = &from->methods[i];
        etcd_stream_metrics *to = &streams[response->n_streams++];

        to->method = counts->method->path;
        to->opened = counts->opened;
        to->open = counts->open;
        to->responses = counts->responses;
        to->response_bytes = counts->response_bytes;
        to->ends = copy_ends(counts, arena);
        to->n_ends = counts->n_codes;
        if (to->ends == NULL)
            return ETCD_ERR_NO_MEMORY;
    }
    response->streams = streams;
    return ETCD_OK;
}

int etcd_client_metrics(etcd_client *client, etcd_metrics_response **out, etcd_error *err)
{
    etcd_metrics_response *response;
    bool seated;
    int rc;

    if (out == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "out is NULL");
    *out = NULL;
    rc = etcd__client_check(client, err);
    if (rc < 0)
        return rc;
    response = etcd__response_new(sizeof *response);
    if (response == NULL)
        return etcd__error_no_memory(err);
    seated = etcd__driver_enter(client);
    rc = copy_methods(&client->io.metrics, response);
    if (rc == ETCD_OK)
        rc = copy_streams(etcd__channel_streams(client->io.channel), response);
    etcd__driver_leave(client, seated);
    uv_mutex_lock(&client->shared.lock);
    response->calls_in_flight = client->shared.live;
    uv_mutex_unlock(&client->shared.lock);
    if (rc < 0) {
        etcd_response_free(response);
        return etcd__error_no_memory(err);
    }
    etcd__error_clear(err);
    *out = response;
    return ETCD_OK;
}

/* --- as text ---------------------------------------------------------------------------------- */

/* A buffer that remembers its first failure, so that lines can be added without a check each. */
struct text {
    etcd__buf buf;
    int rc;
};

#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
static void
add(struct text *text, const char *format, ...)
{
    char line[512];
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (text->rc == ETCD_OK && len > 0)
        text->rc = etcd__buf_append(&text->buf, line, (size_t)len < sizeof line ? (size_t)len : sizeof line - 1);
}

static void add_head(struct text *text, const char *name, const char *type, const char *help)
{
    add(text, "# HELP etcd3_client_%s %s\n# TYPE etcd3_client_%s %s\n", name, help, name, type);
}

static void add_counter(struct text *text, const etcd_metrics_response *metrics, const char *name, const char *help,
                        size_t offset)
{
    add_head(text, name, "counter", help);
    for (size_t i = 0; i < metrics->n_methods; i++) {
        uint64_t value;

        memcpy(&value, (const char *)&metrics->methods[i] + offset, sizeof value);
        add(text, "etcd3_client_%s{method=\"%s\"} %" PRIu64 "\n", name, metrics->methods[i].method, value);
    }
}

static void add_histogram(struct text *text, const etcd_method_metrics *method)
{
    uint64_t below = 0;

    for (size_t i = 0; i + 1 < ETCD_METRICS_BUCKETS; i++) {
        below += method->latency_us[i];
        add(text, "etcd3_client_latency_seconds_bucket{method=\"%s\",le=\"%g\"} %" PRIu64 "\n", method->method,
            (double)etcd_metrics_bucket_bound_us(i) / 1e6, below);
    }
    add(text, "etcd3_client_latency_seconds_bucket{method=\"%s\",le=\"+Inf\"} %" PRIu64 "\n", method->method, method->calls);
    add(text, "etcd3_client_latency_seconds_sum{method=\"%s\"} %.6f\n", method->method, (double)method->latency_sum_us / 1e6);
    add(text, "etcd3_client_latency_seconds_count{method=\"%s\"} %" PRIu64 "\n", method->method, method->calls);
}

static void add_methods(struct text *text, const etcd_metrics_response *metrics)
{
    add_counter(text, metrics, "calls_total", "Calls that have ended.", offsetof(etcd_method_metrics, calls));
    add_counter(text, metrics, "failures_total", "Calls that have ended with an error.", offsetof(etcd_method_metrics, failures));
    add_counter(text, metrics, "attempts_total", "Requests sent.", offsetof(etcd_method_metrics, attempts));
    add_counter(text, metrics, "request_bytes_total", "Bytes of request messages.", offsetof(etcd_method_metrics, request_bytes));
    add_counter(text, metrics, "response_bytes_total", "Bytes of response messages.",
                offsetof(etcd_method_metrics, response_bytes));
    add_head(text, "latency_seconds", "histogram", "From the start of a call to its end.");
    for (size_t i = 0; i < metrics->n_methods; i++)
        add_histogram(text, &metrics->methods[i]);
    add_head(text, "calls_in_flight", "gauge", "Calls that have not ended.");
    add(text, "etcd3_client_calls_in_flight %" PRIu64 "\n", metrics->calls_in_flight);
}

static void add_stream_figure(struct text *text, const etcd_metrics_response *metrics, const char *name, const char *type,
                              const char *help, size_t offset)
{
    add_head(text, name, type, help);
    for (size_t i = 0; i < metrics->n_streams; i++) {
        uint64_t value;

        memcpy(&value, (const char *)&metrics->streams[i] + offset, sizeof value);
        add(text, "etcd3_client_%s{method=\"%s\"} %" PRIu64 "\n", name, metrics->streams[i].method, value);
    }
}

static void add_streams(struct text *text, const etcd_metrics_response *metrics)
{
    add_stream_figure(text, metrics, "streams_opened_total", "counter", "Streams opened.", offsetof(etcd_stream_metrics, opened));
    add_stream_figure(text, metrics, "streams_open", "gauge", "Streams that have not ended.",
                      offsetof(etcd_stream_metrics, open));
    add_stream_figure(text, metrics, "stream_responses_total", "counter", "Messages received on streams.",
                      offsetof(etcd_stream_metrics, responses));
    add_stream_figure(text, metrics, "stream_response_bytes_total", "counter", "Bytes of these messages.",
                      offsetof(etcd_stream_metrics, response_bytes));
    add_head(text, "streams_ended_total", "counter", "Streams that have ended, by error.");
    for (size_t i = 0; i < metrics->n_streams; i++)
        for (size_t k = 0; k < metrics->streams[i].n_ends; k++)
            add(text, "etcd3_client_streams_ended_total{method=\"%s\",code=\"%s\"} %" PRIu64 "\n", metrics->streams[i].method,
                etcd_error_name(metrics->streams[i].ends[k].code), metrics->streams[i].ends[k].streams);
}

/* An endpoint as the value of a label: the three characters that the format escapes. */
static const char *label(const etcd_endpoint_info *info, char *out, size_t size)
{
    size_t used = 0;

    for (size_t i = 0; i < info->endpoint.len && used + 3 < size; i++) {
        char c = info->endpoint.data[i];

        if (c == '"' || c == '\\' || c == '\n')
            out[used++] = '\\';
        out[used++] = c == '\n' ? 'n' : c;
    }
    out[used] = '\0';
    return out;
}

static void add_endpoints(struct text *text, const etcd_endpoints_response *all)
{
    char name[ETCD_ERROR_ENDPOINT_MAX * 2];

    add_head(text, "endpoint_ready", "gauge", "Whether there is a connection.");
    for (size_t i = 0; i < all->n_endpoints; i++)
        add(text, "etcd3_client_endpoint_ready{endpoint=\"%s\"} %d\n", label(&all->endpoints[i], name, sizeof name),
            all->endpoints[i].state == ETCD_ENDPOINT_READY);
    add_head(text, "endpoint_healthy", "gauge", "Whether nothing speaks against sending calls there.");
    for (size_t i = 0; i < all->n_endpoints; i++)
        add(text, "etcd3_client_endpoint_healthy{endpoint=\"%s\"} %d\n", label(&all->endpoints[i], name, sizeof name),
            all->endpoints[i].healthy);
    add_head(text, "endpoint_connects_total", "counter", "Connections that became ready.");
    for (size_t i = 0; i < all->n_endpoints; i++)
        add(text, "etcd3_client_endpoint_connects_total{endpoint=\"%s\"} %" PRIu64 "\n",
            label(&all->endpoints[i], name, sizeof name), all->endpoints[i].connects);
}

static int give_text(struct text *text, etcd_metrics_text_response **out, etcd_error *err)
{
    etcd_metrics_text_response *response = text->rc == ETCD_OK ? etcd__response_new(sizeof *response) : NULL;
    char *copy = response ? etcd__arena_alloc(etcd__response_arena(response), text->buf.len + 1) : NULL;

    if (copy == NULL) {
        etcd_response_free(response);
        return etcd__error_no_memory(err);
    }
    memcpy(copy, text->buf.data, text->buf.len);
    copy[text->buf.len] = '\0';
    response->text = (etcd_bytes){copy, text->buf.len};
    *out = response;
    return ETCD_OK;
}

int etcd_client_metrics_text(etcd_client *client, etcd_metrics_text_response **out, etcd_error *err)
{
    struct text text = {.buf = ETCD__BUF_INIT(MAX_TEXT), .rc = ETCD_OK};
    etcd_metrics_response *metrics = NULL;
    etcd_endpoints_response *endpoints = NULL;
    int rc;

    if (out == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "out is NULL");
    *out = NULL;
    rc = etcd_client_metrics(client, &metrics, err);
    if (rc == ETCD_OK)
        rc = etcd_client_endpoints(client, &endpoints, err);
    if (rc == ETCD_OK) {
        add_methods(&text, metrics);
        add_streams(&text, metrics);
        add_endpoints(&text, endpoints);
        rc = give_text(&text, out, err);
    }
    etcd__buf_free(&text.buf);
    etcd_response_free(metrics);
    etcd_response_free(endpoints);
    return rc;
}
