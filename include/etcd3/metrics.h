/* What a client measures about its calls and streams: counters and latency histograms, as a struct and as Prometheus text; and a
 * hook around every call for programs that measure or trace by themselves.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ETCD3_METRICS_H
#define ETCD3_METRICS_H

#include "client.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Latency buckets of a method: bucket i counts the calls that took at most etcd_metrics_bucket_bound_us(i), and
 *  more than the bound before it; the last one has no bound. */
#define ETCD_METRICS_BUCKETS 18

/** One method since the client was made. */
typedef struct etcd_method_metrics {
    const char *method;     /**< "/etcdserverpb.KV/Range"; static storage */
    uint64_t calls;         /**< that have ended */
    uint64_t failures;      /**< of these, with an error */
    uint64_t attempts;      /**< requests sent for them: more than `calls` where some were sent again */
    uint64_t request_bytes; /**< of the messages, without framing, once per call */
    uint64_t response_bytes;
    uint64_t latency_sum_us; /**< from the start of the call to its end, waits for connections and retries included */
    uint64_t latency_us[ETCD_METRICS_BUCKETS];
} etcd_method_metrics;

/** Streams of a method that ended in one way. */
typedef struct etcd_stream_end {
    int32_t code; /**< ETCD_OK: the server had said all; else of the errors. ETCD_ERR_CANCELED: by this client */
    uint64_t streams;
} etcd_stream_end;

/** The streams of one method since the client was made. One stream carries all watches of a client, another those with
 *  require_leader; observers of elections and mirrors are watches; one carries all leases. A snapshot, an observer of
 *  v3election.h and a range that is read as a stream have streams of their own. One that is opened again counts again. */
typedef struct etcd_stream_metrics {
    const char *method;      /**< "/etcdserverpb.Watch/Watch"; static storage */
    uint64_t opened;         /**< on some connection */
    uint64_t open;           /**< of these, at this moment */
    uint64_t responses;      /**< messages received */
    uint64_t response_bytes; /**< in them, without framing */
    const etcd_stream_end *ends;
    size_t n_ends;
} etcd_stream_metrics;

typedef struct etcd_metrics_response {
    const etcd_method_metrics *methods; /**< those that were called */
    size_t n_methods;
    uint64_t calls_in_flight;
    const etcd_stream_metrics *streams; /**< of methods of which one was opened */
    size_t n_streams;
} etcd_metrics_response;

typedef struct etcd_metrics_text_response {
    etcd_bytes text; /**< Prometheus text exposition format 0.0.4 */
} etcd_metrics_text_response;

/** Upper bound of a latency bucket in microseconds: 64, 128, 256, ...; INT64_MAX for the last. Since 0.1. */
ETCD_EXPORT int64_t etcd_metrics_bucket_bound_us(size_t bucket);

/** The figures so far. `*out` is freed with etcd_response_free(). Any thread, also in a callback.
 *  ETCD_ERR_NO_MEMORY, ETCD_ERR_CLOSED. Since 0.1. */
ETCD_EXPORT int etcd_client_metrics(etcd_client *client, etcd_metrics_response **out, etcd_error *err);

/** The same, and those of the endpoints, as text for a Prometheus scrape; names start with "etcd3_client_". Since
 *  0.1. */
ETCD_EXPORT int etcd_client_metrics_text(etcd_client *client, etcd_metrics_text_response **out, etcd_error *err);

#ifdef __cplusplus
}
#endif

#endif
