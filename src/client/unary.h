/* Calling a unary method: what the services are written with. One etcd__unary per method; every form of a call comes
 * from it. */
#ifndef ETCD__CLIENT_UNARY_H
#define ETCD__CLIENT_UNARY_H

#include "wire/services.h"

#include <etcd3/client.h>

/** Any function pointer; cast back to its type by etcd__unary.deliver. */
typedef void (*etcd__any_fn)(void);

struct etcd__user_call;

typedef struct etcd__unary {
    etcd__rpc rpc;
    bool read_only;    /* this use changes nothing though the method might; or the method's own */
    bool secret;       /* the request holds a password: its bytes are wiped when the call is over */
    int32_t call_type; /* of etcd_call_type, for the completion queue */
    /* Calls the user's callback `done`, which has the type that belongs to the method. */
    void (*deliver)(etcd_client *client, void *response, const etcd_error *err, etcd__any_fn done, void *arg);
    /* Optional: turns the decoded response into what the user gets, within the same response. NULL when out of
     * memory. */
    void *(*wrap)(void *response);
    /* Optional: acts on the decoded response, and puts in its place what the user gets; NULL there: no response. After a
     * failure it has freed it. On the thread that decodes; a blocking call needs an `out` for it. */
    int (*apply)(etcd_client *client, void **response, etcd_error *err);
    /* Optional, for a call of several round trips. Takes over a decoded response, works it into `*result` (NULL at
     * first), which is the user's in the end, and stores the next request of the same method in `*request`; NULL: that
     * was the last. `read_only` holds for the first request. The driver only. */
    int (*next)(void **result, void *response, const void **request, etcd_error *err);
    /* Optional: starts the call in its own way, with etcd__channel_start() in the end, or with the call's on_done(); and is
     * told when it is done, whatever the result. `cancel`, for those who do without the channel, stands for
     * etcd__channel_cancel(). The driver only. */
    void (*start)(struct etcd__user_call *call);
    void (*cancel)(struct etcd__user_call *call, int code);
    void (*done)(struct etcd__user_call *call);
    void *context; /* theirs */
} etcd__unary;

/** Blocking call. `request` is a struct of the method's request type; `out` may be NULL, and is NULL after a
 *  failure. */
int etcd__unary_call(etcd_client *client, const etcd__unary *unary, const void *request, const etcd_call_options *options,
                     void **out, etcd_error *err);

/** Callback form; with a NULL `done` the completion goes to the client's queue. `id` may be NULL. */
int etcd__unary_start(etcd_client *client, const etcd__unary *unary, const void *request, const etcd_call_options *options,
                      etcd__any_fn done, void *arg, etcd_call_id *id, etcd_error *err);

#endif
