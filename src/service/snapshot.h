/* What the files of the snapshot share. */
#ifndef ETCD__SERVICE_SNAPSHOT_H
#define ETCD__SERVICE_SNAPSHOT_H

#include <etcd3/snapshot.h>

/** Takes bytes. A negative code with `err` set ends the snapshot. */
typedef int (*etcd__snapshot_sink)(void *arg, const char *data, size_t len, etcd_error *err);

/** The body of the blocking functions: gives a snapshot to the sink, verifies it, and then calls `done` (may be NULL), which
 *  may fail, too. `out` may be NULL. */
int etcd__snapshot_transfer(etcd_client *client, const etcd_snapshot_options *options, etcd__snapshot_sink sink,
                            int (*done)(void *arg, etcd_error *err), void *arg, etcd_snapshot_response **out, etcd_error *err);

#endif
