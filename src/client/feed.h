/* A server-streaming call with one consumer: one request, many responses, an end. The handles of snapshots and of
 * elections that are observed are made of it.
 *
 * Two forms: pulled through a mailbox, or with a function that the driver calls. What waits for a consumer that pulls is
 * bounded: from `buffer` bytes of memory on the server is asked to wait, so that no more than one window of the stream comes on
 * top; where that would take far more memory than bytes the stream ends with ETCD_ERR_TOO_LARGE.
 *
 * A stream that ends in a way that may pass is opened again, after a back-off: always with `resume`, else only as long as
 * nothing has come. */
#ifndef ETCD__CLIENT_FEED_H
#define ETCD__CLIENT_FEED_H

#include "wire/services.h"

#include <etcd3/client.h>

typedef struct etcd__feed etcd__feed;

typedef struct etcd__feed_config {
    etcd__rpc rpc;
    const void *request;           /* of the method's type; borrowed for the call of etcd__feed_open() */
    const etcd_call_options *call; /* loaded; borrowed likewise. timeout_ms 0: none */
    int64_t idle_timeout;          /* ns without a message that end it, while the consumer is not behind; ETCD__NEVER */
    size_t buffer;                 /* bytes of memory queued for the consumer */
    bool serializable;             /* as in etcd__call */
    bool resume;                   /* it has no end of its own: opened again whenever it may pass */
    void *owner;
    /* Takes over a decoded response and returns what the consumer gets: NULL with *code ETCD_OK: nothing; with *code and
     * `err` set: the stream fails. NULL: as it is. The driver. */
    void *(*convert)(void *owner, void *response, int *code, etcd_error *err);
    /* NULL: pulled. Takes over a response; or `response` is NULL: the end, `err` saying why, NULL when all is well. On the
     * driver, inside begin and end of a callback; may free the stream, not its owner's memory before it returns. */
    void (*deliver)(void *owner, void *response, const etcd_error *err);
    /* The stream is gone, after etcd__feed_free(): the owner's memory may go. */
    void (*gone)(void *owner);
} etcd__feed_config;

/** Opens a stream and returns at once. ETCD_ERR_CLOSED, ETCD_ERR_FORKED, ETCD_ERR_CANCELED (the switch), ETCD_ERR_ARGUMENT,
 *  ETCD_ERR_NO_MEMORY; then `gone` is not called. Any thread, also in a callback. */
int etcd__feed_open(etcd_client *client, const etcd__feed_config *config, etcd__feed **out, etcd_error *err);

/** The next response; NULL with ETCD_OK: that was all. As etcd__mailbox_take(). The consumer. */
int etcd__feed_next(etcd__feed *feed, int64_t timeout_ms, void **out, etcd_error *err);

/** As etcd__mailbox_fd(). */
int etcd__feed_fd(etcd__feed *feed);

/** Ends it with ETCD_ERR_CANCELED; drops what is queued. Any thread. */
void etcd__feed_cancel(etcd__feed *feed);

/** Ends it, without another word, and frees it: `gone` is called before this returns, but within `deliver` only after that,
 *  and in a child after fork() perhaps when the client is freed. Any thread. */
void etcd__feed_free(etcd__feed *feed);

#endif
