/* One gRPC call on one HTTP/2 stream, without I/O. Rules: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md and
 * doc/http-grpc-status-mapping.md.
 *
 * Every way in which a stream can end becomes one status, delivered exactly once. */
#ifndef ETCD__GRPC_CALL_H
#define ETCD__GRPC_CALL_H

#include "http2/session.h"

typedef struct etcd__grpc_call etcd__grpc_call;

/** Who is the source of a status. */
typedef enum etcd__grpc_origin {
    ETCD__GRPC_FROM_SERVER,    /* grpc-status in trailers */
    ETCD__GRPC_FROM_HTTP,      /* mapped from :status, a wrong content type: no gRPC server, or a proxy */
    ETCD__GRPC_FROM_RESET,     /* mapped from RST_STREAM */
    ETCD__GRPC_FROM_PEER_BUG,  /* malformed: no status, broken frames, too many or too few messages, over a limit */
    ETCD__GRPC_FROM_CONNECTION /* the connection ended under the call */
} etcd__grpc_origin;

typedef struct etcd__grpc_status {
    int code; /* gRPC code, 0 = OK */
    etcd__grpc_origin origin;
    bool unprocessed;       /* proven that the server's application never saw the request, see etcd__h2_close */
    bool too_large;         /* a message was over max_message */
    bool out_of_memory;     /* here: a message or the words of the status could not be stored; with the former code is
                               RESOURCE_EXHAUSTED */
    uint32_t h2_error_code; /* with ETCD__GRPC_FROM_RESET */
    const char *message;    /* percent-decoded; valid during the callback */
    size_t message_len;
} etcd__grpc_status;

typedef struct etcd__grpc_call_events {
    /* A whole message. `data` is a block of etcd__malloc with a writable byte behind `len`; the callee owns it now.
     * A unary call gets it only directly before on_end with code 0. Streaming calls: `data` counts as consumed. */
    void (*on_message)(etcd__grpc_call *call, uint8_t *data, size_t len);
    /* The end, exactly once; the struct may be freed or reused in it. Not called after etcd__grpc_call_cancel(). */
    void (*on_end)(etcd__grpc_call *call, const etcd__grpc_status *status);
    /* Optional: initial or trailing metadata, as it arrives; not the reserved fields. */
    void (*on_metadata)(etcd__grpc_call *call, const char *name, size_t name_len, const char *value, size_t value_len,
                        bool trailer);
} etcd__grpc_call_events;

typedef struct etcd__grpc_request {
    /* These strings stay as they are until the session ends (etcd__h2_header.constant). */
    const char *path; /* "/etcdserverpb.KV/Range" */
    size_t path_len;
    const char *authority; /* of the endpoint */
    size_t authority_len;
    const char *scheme;     /* "http" or "https" */
    const char *user_agent; /* NULL for none */

    int64_t timeout_ns;              /* time left, for grpc-timeout; negative for none */
    const etcd__h2_header *metadata; /* names in lower case; values of "-bin" names in base64 already */
    size_t n_metadata;
    const uint8_t *body; /* length-prefixed messages; borrowed until the end or cancel */
    size_t body_len;
    bool half_close;    /* nothing follows `body` */
    bool unary;         /* exactly one message is to come back */
    size_t max_message; /* bytes of one received message */
} etcd__grpc_request;

/** The state of one call; embedded in the caller's struct. Fields belong to this module. */
struct etcd__grpc_call {
    etcd__h2_stream stream;
    const etcd__grpc_call_events *events;
    bool *gone;           /* set when the call ends while a function of this module still works on it */
    uint8_t *message;     /* the message that is arriving, or the one of a unary call; or the body of an answer that is no gRPC */
    size_t message_cap;   /* allocated */
    size_t message_have;  /* bytes that have arrived */
    uint32_t message_len; /* announced */
    uint8_t prefix[5];    /* of that message */
    uint8_t prefix_len;
    size_t max_message;
    size_t n_messages; /* that began */
    size_t held;       /* received while paused */
    int http_status;
    int status_code;      /* of grpc-status; -1: none, -2: not a number */
    char *status_message; /* decoded grpc-message, or NULL */
    size_t status_message_len;
    char *strange_type; /* a content-type that is not gRPC's, quoted; or NULL */
    char *encoding;     /* a grpc-encoding that is not "identity"; or NULL */
    bool unary;
    bool content_type_ok;
    bool trailers_seen; /* the last header block was complete */
    bool ended;         /* END_STREAM arrived */
    bool out_of_memory;
};

/** Bytes of the length prefix before every message. */
#define ETCD__GRPC_PREFIX 5

/** Most bytes of a foreign body that are quoted in a status. */
#define ETCD__GRPC_MAX_QUOTED 1024

/** Writes the prefix of an uncompressed message of `len` bytes. */
void etcd__grpc_prefix_write(uint8_t prefix[ETCD__GRPC_PREFIX], uint32_t len);

/** Most headers a request carries besides `metadata`: see etcd__grpc_call_start(). */
#define ETCD__GRPC_MAX_METADATA 32

/** Starts a call: `call` is a cleared struct. Errors as etcd__h2_stream_open(); ETCD_ERR_ARGUMENT for more than
 *  ETCD__GRPC_MAX_METADATA metadata fields. After an error nothing was started. */
int etcd__grpc_call_start(etcd__grpc_call *call, etcd__h2 *h2, const etcd__grpc_request *request,
                          const etcd__grpc_call_events *events, etcd_error *err);

/** Sends more length-prefixed messages (copied). */
int etcd__grpc_call_send(etcd__grpc_call *call, const uint8_t *body, size_t len, bool half_close);

/** Stops the call with RST_STREAM(CANCEL) and frees what it holds; no event follows. Does nothing on an ended call. */
void etcd__grpc_call_cancel(etcd__grpc_call *call);

/** While paused, received bytes are not given back to the flow-control windows: the peer stops sending. */
void etcd__grpc_call_pause(etcd__grpc_call *call);
void etcd__grpc_call_resume(etcd__grpc_call *call);

#endif
