/* The two forms of a function of the API: blocking, and ending in _async.
 *
 * Each function of a service is written once, as a static function that builds the request and sends it into a sink.
 * The public forms are that function with one sink or the other:
 *
 *     ETCD__UNARY(lease_revoke, LEASE_REVOKE, LEASE_REVOKE)
 *
 *     static int lease_revoke(client, lease, call, etcd__sink sink, err) { ...; return etcd__sink_call(...); }
 *
 *     int etcd_lease_revoke(..., out, err)
 *     {
 *         return lease_revoke(..., etcd__sink_out(out), err);
 *     }
 *
 *     int etcd_lease_revoke_async(..., done, arg, id, err)
 *     {
 *         return lease_revoke(..., ETCD__SINK_DONE(done, arg, id), err);
 *     } */
#ifndef ETCD__SERVICE_SINK_H
#define ETCD__SERVICE_SINK_H

#include "client/unary.h"

/** Where the end of a call goes. */
typedef struct etcd__sink {
    bool blocking;
    void *out;         /* blocking: a pointer to the user's pointer to the response; may be NULL */
    etcd__any_fn done; /* not blocking: the callback; NULL: the client's queue */
    void *arg;
    etcd_call_id *id; /* may be NULL */
} etcd__sink;

/** A blocking call. `out` is NULL or the user's `etcd_..._response **`; what it points to is NULL from here on until a
 *  success. */
etcd__sink etcd__sink_out(void *out);

/** A call with a callback, or without one (NULL) for the client's queue; `*id` is 0 from here on until a success. */
etcd__sink etcd__sink_done(etcd__any_fn done, void *arg, etcd_call_id *id);
#define ETCD__SINK_DONE(done, arg, id) etcd__sink_done((etcd__any_fn)(done), (arg), (id))

/** Sends a request, a struct of the method's request type, into the sink: etcd__unary_call() or etcd__unary_start(). */
int etcd__sink_call(etcd_client *client, const etcd__unary *unary, const void *request, const etcd_call_options *call,
                    etcd__sink sink, etcd_error *err);

/** Defines deliver_<name>, the etcd__unary.deliver of a function whose callback is an etcd_<name>_fn. */
#define ETCD__DELIVER(name) \
    static void deliver_##name(etcd_client *client, void *response, const etcd_error *err, etcd__any_fn done, void *arg) \
    { \
        ((etcd_##name##_fn)done)(client, response, err, arg); \
    }

/** Defines unary_<name> of the function etcd_<name>: its method is ETCD__RPC_<rpc_id>, its completion an
 *  ETCD_CALL_<call_id>. */
#define ETCD__UNARY(name, rpc_id, call_id) \
    ETCD__DELIVER(name) \
    static const etcd__unary unary_##name = { \
        .rpc = ETCD__RPC_##rpc_id, .call_type = ETCD_CALL_##call_id, .deliver = deliver_##name};

#endif
