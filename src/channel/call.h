/* One call as the channel sees it. Unary: an encoded request, a deadline, and at the end either the bytes of a response
 * or an error. Streaming: a stream on some connection, messages either way, and at the end a status.
 *
 * A unary call is sent again where outcome.h allows. A stream is opened once and never again: what it was told is its
 * owner's to say again on another (`again`).
 *
 * Embedded in the client's struct. The channel owns the `io` fields from etcd__channel_start() until it calls
 * on_done. */
#ifndef ETCD__CHANNEL_CALL_H
#define ETCD__CHANNEL_CALL_H

#include "base/list.h"
#include "grpc/call.h"
#include "net/loop.h"
#include "wire/services.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct etcd__call etcd__call;

struct etcd__call {
    /* set by the owner before etcd__channel_start() */
    const etcd__rpc_method *method;
    const uint8_t *body; /* length-prefixed request; must live until on_done. May be empty for a stream */
    size_t body_len;
    bool streaming;
    bool half_close;    /* streaming: nothing follows `body` */
    bool endless;       /* streaming: it has no end of its own, so it ends (`again`) when its connection drains, or its peer
                           seems to hang while another serves */
    size_t max_message; /* received; 0: only the channel's bound holds */
    int64_t deadline;   /* monotonic ns; ETCD__NEVER */
    bool read_only;     /* changes nothing: may be sent again though the server may have seen it */
    bool require_leader;
    bool no_retry;
    bool serializable;       /* any member serves it alone: does not need the leader */
    bool without_token;      /* the Authenticate call itself */
    const char *traceparent; /* W3C Trace Context, for the header of that name, or NULL. Must live until on_done */
    const char *endpoint;    /* the one that must serve it; NULL: any. Must live until on_done */
    void (*on_attempt)(etcd__call *call, int code); /* NULL, or: an attempt failed with `code`, and another follows */
    void (*on_open)(etcd__call *call);              /* streaming: etcd__channel_send() may be used. NULL: nobody cares */
    /* Streaming: a message, a block of etcd__malloc with a writable byte behind it, which is the owner's from here on.
     * The owner may cancel the call in it. */
    void (*on_message)(etcd__call *call, uint8_t *data, size_t len);
    void (*on_done)(etcd__call *call); /* exactly once; the call is the owner's again */

    /* the result, valid in on_done and after */
    int code;          /* ETCD_OK or the error's code */
    uint32_t flags;    /* of the error, also when there is no memory for more */
    bool again;        /* streaming: the failure may pass, another stream is worth trying */
    etcd_error *error; /* why it failed, from etcd__malloc; NULL when there was no memory even for that */
    uint8_t *response; /* block of etcd__malloc with a writable byte behind it; the owner takes it and sets it to
                          NULL */
    size_t response_len;

    /* io: the channel's */
    etcd__list node;         /* in the channel's list of waiting calls, or in its connection's list of calls under way */
    struct etcd__peer *peer; /* the one it names; NULL: any */
    struct etcd__connection *connection; /* NULL when not under way */
    struct etcd__peer *served_by;        /* of the attempt under way */
    int64_t attempt_at;                  /* when that began */
    struct etcd__channel *channel;
    etcd__grpc_call grpc;
    etcd__timer timer; /* the deadline, or before it the end of a wait between attempts */
    int64_t retry_at;  /* 0 when not waiting between attempts; the owner may set it before the first */
    int32_t attempts;
    int32_t renewals;      /* of the token */
    uint64_t token_number; /* of the token that the last attempt carried */
};

#endif
