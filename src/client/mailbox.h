/* What a stream has received for a program that pulls: a queue between the driver, who puts, and one consumer, who takes.
 *
 * It is not bounded by itself: its owner looks at etcd__mailbox_bytes(). The end comes out behind what is queued, again
 * and again. Every function but those of the driver and the consumer may be called by any thread. */
#ifndef ETCD__CLIENT_MAILBOX_H
#define ETCD__CLIENT_MAILBOX_H

#include "net/notify_fd.h"

#include <etcd3/client.h>
#include <stdatomic.h>
#include <uv.h>

typedef struct etcd__mail {
    void *response;
    size_t bytes;
} etcd__mail;

typedef struct etcd__mailbox {
    etcd_client *client;
    uv_mutex_t lock; /* holds for all below */
    uv_cond_t changed;
    etcd__mail *ring;
    size_t cap, first, n;
    size_t bytes;
    bool waiting;    /* the consumer sleeps */
    int end;         /* ETCD_OK while there may be more */
    etcd_error *why; /* of the end; NULL when there was no memory for it */
    etcd__notify_fd notify;
    bool more; /* the consumer's: after its last take there was another */
} etcd__mailbox;

/** The client must outlive it. ETCD_ERR_NO_MEMORY. */
int etcd__mailbox_init(etcd__mailbox *mailbox, etcd_client *client, etcd_error *err);

/** With the responses that nobody took. In a child after fork(), too: only memory is released then. */
void etcd__mailbox_free(etcd__mailbox *mailbox);

/** Queues a response, which is the mailbox's unless this fails; `bytes` is what it counts for. Not after the end.
 *  ETCD_ERR_NO_MEMORY. The driver. */
int etcd__mailbox_put(etcd__mailbox *mailbox, void *response, size_t bytes);

/** As etcd__mailbox_put() of all of them in order, or of none: one lock, one wake-up. */
int etcd__mailbox_put_many(etcd__mailbox *mailbox, const etcd__mail *mails, size_t n);

/** Nothing follows, for the reason `why` (its code is not ETCD_OK); only the first end counts. With `drop` what is queued
 *  is freed, so that the end is seen at once. Returns the bytes of that. */
size_t etcd__mailbox_end(etcd__mailbox *mailbox, const etcd_error *why, bool drop);

/** Frees the oldest response; whether there was one. */
bool etcd__mailbox_drop_oldest(etcd__mailbox *mailbox);

/** Takes the oldest response, which is the caller's to free. Waits at most timeout_ms (negative: without bound); in manual
 *  mode drives the client, a turn even with 0. ETCD_ERR_TIMED_OUT; the end's error; ETCD_ERR_FORKED; ETCD_ERR_IN_CALLBACK when
 *  it would have to wait. The consumer. */
int etcd__mailbox_take(etcd__mailbox *mailbox, int64_t timeout_ms, void **out, etcd_error *err);

/** As etcd__mailbox_take(), but neither waits nor drives: for the driver, which delivers to a callback. */
int etcd__mailbox_poll(etcd__mailbox *mailbox, void **out, etcd_error *err);

/** Bytes and number of what is queued. */
size_t etcd__mailbox_bytes(etcd__mailbox *mailbox);
size_t etcd__mailbox_count(etcd__mailbox *mailbox);

/** A descriptor that is readable when a take would not wait, made at the first call. Negative code on failure. */
int etcd__mailbox_fd(etcd__mailbox *mailbox);

#endif
