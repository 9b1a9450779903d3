/* Snapshots: a member's whole database, as a stream of bytes (service etcdserverpb.Maintenance).
 *
 * The bytes are those of the file that `etcdctl snapshot save` writes: the database, and behind it the SHA-256 of the
 * database, 32 bytes. Every form gives both, and checks the one against the other before it tells of success.
 *
 * A snapshot is of one member, as of the moment in which it begins: choose the member with etcd_call_options.endpoint
 * (NULL: any). It cannot be resumed: when the connection breaks, the snapshot has failed. Memory is bounded, however
 * large the database is.
 *
 * Three blocking functions, for a file, a descriptor and a function; and a handle for those who wait otherwise: pulled
 * with etcd_snapshot_next(), or with a callback.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ETCD3_SNAPSHOT_H
#define ETCD3_SNAPSHOT_H

#include "client.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct etcd_snapshot etcd_snapshot;

typedef struct etcd_snapshot_options {
    size_t size;
    const etcd_call_options *call; /**< as always, but timeout_ms is the deadline of the whole snapshot, and 0 is none */
    int64_t idle_timeout_ms;       /**< how long the server may send nothing, from the start on; default 30,000; negative: for
                                        ever. Time in which the program takes nothing does not count */
    int64_t buffer_bytes;          /**< received and not yet taken, from which on the server is asked to wait; default 1 MiB
                                        (1,048,576) */
    /** The blocking functions: told of each part that was handed on. `received` bytes of `total`; -1: the server did not
     *  say how many. On the calling thread; may trigger the cancel switch. */
    void (*progress_fn)(int64_t received, int64_t total, void *arg);
    void *progress_arg;
} etcd_snapshot_options;

/** The bytes that come next. */
typedef struct etcd_snapshot_part {
    etcd_bytes data;    /**< may be empty */
    int64_t offset;     /**< of `data` in the whole */
    int64_t total;      /**< length of the whole, as the server says; -1: it did not */
    etcd_bytes version; /**< of the server's storage, "3.6.0"; empty before 3.6, and while a new member does not know it yet */
} etcd_snapshot_part;

/** What was handed on. */
typedef struct etcd_snapshot_response {
    int64_t n_bytes;    /**< with the 32 of the checksum */
    etcd_bytes sha256;  /**< of the database; 32 bytes, verified */
    etcd_bytes version; /**< as of the parts */
} etcd_snapshot_response;

#ifndef __cplusplus
#define ETCD_SNAPSHOT(...) (&(const etcd_snapshot_options){.size = sizeof(etcd_snapshot_options), __VA_ARGS__})
#endif

/** Sets all fields to their defaults, for C++ and bindings; `size` is the sizeof the struct as the caller knows it.
 *  Since 0.1. */
ETCD_EXPORT void etcd_snapshot_options_init(etcd_snapshot_options *options, size_t size);

/** Takes some bytes, in their order; 0 to go on, anything else ends the snapshot with ETCD_ERR_CANCELED. */
typedef int (*etcd_snapshot_data_fn)(const char *data, size_t len, void *arg);

/** Saves a snapshot as the file `path`: written as "<path>.part" with mode 0600, synced to the disk, and renamed once it
 *  is whole and verified, so that the file is either as it was or a good snapshot. After a failure the part is removed.
 *
 *  `*out`, which may be NULL, is to be freed with etcd_response_free(). ETCD_ERR_SNAPSHOT_CORRUPT when the bytes do not match
 *  their checksum or have none; ETCD_ERR_SYSTEM for the file, and where OpenSSL, which computes the checksum, cannot be loaded;
 *  ETCD_ERR_DEADLINE_EXCEEDED, also after idle_timeout_ms; ETCD_ERR_CANCELED; ETCD_ERR_UNAVAILABLE when the connection broke;
 *  ETCD_ERR_TOO_LARGE for what no honest server sends. Any thread; one snapshot at a time for a path. Since 0.1. */
ETCD_EXPORT int etcd_snapshot_save(etcd_client *client, const char *path, const etcd_snapshot_options *options,
                                   etcd_snapshot_response **out, etcd_error *err);

/** Writes a snapshot to a descriptor, which stays open. What was written before a failure is there: remove it. The
 *  descriptor must not be of the non-blocking kind. Errors as of etcd_snapshot_save(). Since 0.1. */
ETCD_EXPORT int etcd_snapshot_write(etcd_client *client, int fd, const etcd_snapshot_options *options,
                                    etcd_snapshot_response **out, etcd_error *err);

/** Gives a snapshot to a function, called on the calling thread. It is good once this has returned ETCD_OK. Errors as of
 *  etcd_snapshot_save(). Since 0.1. */
ETCD_EXPORT int etcd_snapshot_read(etcd_client *client, etcd_snapshot_data_fn fn, void *arg, const etcd_snapshot_options *options,
                                   etcd_snapshot_response **out, etcd_error *err);

/** Called with each part, which is the callee's to free, and once at the end with `part` NULL: `err` is NULL when the
 *  snapshot is whole and verified, else why it failed (ETCD_ERR_CANCELED after etcd_snapshot_cancel()). On the driving
 *  thread, see client.h; must not block. The snapshot may be canceled and freed in it. */
typedef void (*etcd_snapshot_fn)(etcd_snapshot *snapshot, etcd_snapshot_part *part, const etcd_error *err, void *arg);

/** Begins a snapshot and returns at once. `*out` is the handle, NULL after a failure. ETCD_ERR_ARGUMENT, ETCD_ERR_CLOSED,
 *  ETCD_ERR_FORKED, ETCD_ERR_CANCELED, ETCD_ERR_NO_MEMORY, ETCD_ERR_SYSTEM as of etcd_snapshot_save(). Any thread, also in a
 *  callback. Since 0.1. */
ETCD_EXPORT int etcd_snapshot_open(etcd_client *client, const etcd_snapshot_options *options, etcd_snapshot **out,
                                   etcd_error *err);

/** As etcd_snapshot_open(), but the parts are given to `fn`, as to every callback: on another thread perhaps
 *  before this has returned; `*out` is set by then. Since 0.1. */
ETCD_EXPORT int etcd_snapshot_start(etcd_client *client, const etcd_snapshot_options *options, etcd_snapshot_fn fn, void *arg,
                                    etcd_snapshot **out, etcd_error *err);

/** Takes the next part, which is the caller's to free. Waits at most timeout_ms (negative: without bound; 0: not at all);
 *  in manual mode it drives the client. One thread at a time.
 *
 *  ETCD_OK with `*out` NULL: that was all, and it is verified. ETCD_ERR_TIMED_OUT: nothing came, it goes on. Any other error
 *  is the end, as of etcd_snapshot_save(), and returned again by later calls. ETCD_ERR_IN_CALLBACK when it would have to
 *  wait. Since 0.1. */
ETCD_EXPORT int etcd_snapshot_next(etcd_snapshot *snapshot, int64_t timeout_ms, etcd_snapshot_part **out, etcd_error *err);

/** A descriptor for poll() and the like, readable when etcd_snapshot_next() has something without waiting. It is the
 *  snapshot's: neither read nor close it. In manual mode etcd_client_fd() has to be polled as well. Negative code on
 *  failure. The consuming thread. Since 0.1. */
ETCD_EXPORT int etcd_snapshot_fd(etcd_snapshot *snapshot);

/** Ends a snapshot: a thread that waits in etcd_snapshot_next() returns ETCD_ERR_CANCELED; the callback form's last call
 *  follows. What was received and not taken is dropped. Any thread, also in a callback; again: nothing. Since 0.1. */
ETCD_EXPORT void etcd_snapshot_cancel(etcd_snapshot *snapshot);

/** Cancels and frees; no callback runs after it. NULL is allowed. Not while another thread uses the same snapshot. Safe in a
 *  callback. Since 0.1. */
ETCD_EXPORT void etcd_snapshot_free(etcd_snapshot *snapshot);

#ifdef __cplusplus
}
#endif

#endif
