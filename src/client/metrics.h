/* Counting calls. Touched by the driver only; readers take the driver's seat. */
#ifndef ETCD__CLIENT_METRICS_H
#define ETCD__CLIENT_METRICS_H

#include "channel/call.h"

#include <etcd3/metrics.h>

typedef struct etcd__metrics {
    etcd_method_metrics methods[ETCD__N_RPCS];
} etcd__metrics;

/** Counts a call that has ended after `duration` ns. */
void etcd__metrics_count(etcd__metrics *metrics, const etcd__call *call, int64_t duration);

#endif
