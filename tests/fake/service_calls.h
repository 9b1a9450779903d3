/* Every unary call of the services beside KV, as a table: what it sends, what it is answered, and its forms.
 *
 * Each row is called with arguments that set all that can be set. Only for the tests that include it. */
#ifndef ETCD3_TESTS_SERVICE_CALLS_H
#define ETCD3_TESTS_SERVICE_CALLS_H

#include "harness/fake_fixture.h"
#include "wire/services.h"

/** How an asynchronous call ended. */
typedef struct service_ending {
    int times, code;
    uint32_t flags;
    void *response;
} service_ending;

typedef struct service_call {
    const char *name;
    etcd__rpc rpc;
    int32_t call_type;
    bool repeatable;      /* sent again when the connection was lost */
    const void *request;  /* what must be sent */
    const void *response; /* the answer */
    /* `out` points to a pointer to the response */
    int (*block)(etcd_client *client, const etcd_call_options *call, void *out, etcd_error *err);
    int (*start)(etcd_client *client, const etcd_call_options *call, bool queue, void *arg, etcd_call_id *id, etcd_error *err);
} service_call;

extern const service_call service_calls[];
extern const size_t n_service_calls;

#endif
