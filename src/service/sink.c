/* See sink.h. */
#include "service/sink.h"

#include <string.h>

/* Stores a pointer in a pointer of another type. */
static void store(void *out, const void *response)
{
    if (out != NULL)
        memcpy(out, &response, sizeof response);
}

etcd__sink etcd__sink_out(void *out)
{
    store(out, NULL);
    return (etcd__sink){.blocking = true, .out = out};
}

etcd__sink etcd__sink_done(etcd__any_fn done, void *arg, etcd_call_id *id)
{
    if (id != NULL)
        *id = 0;
    return (etcd__sink){.done = done, .arg = arg, .id = id};
}

int etcd__sink_call(etcd_client *client, const etcd__unary *unary, const void *request, const etcd_call_options *call,
                    etcd__sink sink, etcd_error *err)
{
    void *response = NULL;
    int rc;

    if (!sink.blocking)
        return etcd__unary_start(client, unary, request, call, sink.done, sink.arg, sink.id, err);
    rc = etcd__unary_call(client, unary, request, call, sink.out ? &response : NULL, err);
    store(sink.out, response);
    return rc;
}
