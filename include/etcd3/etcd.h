/* libetcd3: the client library for etcd v3. This header includes all others.
 *
 * Link with `pkg-config --cflags --libs etcd3`. Start with docs/introduction.md for what calls promise.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ETCD3_ETCD_H
#define ETCD3_ETCD_H

#include "auth.h"
#include "client.h"
#include "cluster.h"
#include "config.h"
#include "discovery.h"
#include "election.h"
#include "endpoints.h"
#include "error.h"
#include "format.h"
#include "health.h"
#include "keepalive.h"
#include "kv.h"
#include "lease.h"
#include "maintenance.h"
#include "metrics.h"
#include "mirror.h"
#include "mutex.h"
#include "session.h"
#include "stm.h"
#include "snapshot.h"
#include "tls.h"
#include "txn.h"
#include "types.h"
#include "v3election.h"
#include "v3lock.h"
#include "watch.h"

#endif
