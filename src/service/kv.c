/* Get, put, delete and compact. See <etcd3/kv.h>. */
#include <etcd3/kv.h>

#include "base/error.h"
#include "client/options.h"
#include "client/unary.h"
#include "service/request.h"

static void deliver_get(etcd_client *client, void *response, const etcd_error *err, etcd__any_fn done, void *arg)
{
    ((etcd_get_fn)done)(client, response, err, arg);
}

static void deliver_put(etcd_client *client, void *response, const etcd_error *err, etcd__any_fn done, void *arg)
{
    ((etcd_put_fn)done)(client, response, err, arg);
}

static void deliver_delete(etcd_client *client, void *response, const etcd_error *err, etcd__any_fn done, void *arg)
{
    ((etcd_delete_fn)done)(client, response, err, arg);
}

static void deliver_compact(etcd_client *client, void *response, const etcd_error *err, etcd__any_fn done, void *arg)
{
    ((etcd_compact_fn)done)(client, response, err, arg);
}

static const etcd__unary unary_get = {ETCD__RPC_KV_RANGE, true, ETCD_CALL_GET, deliver_get, NULL};
static const etcd__unary unary_put = {ETCD__RPC_KV_PUT, false, ETCD_CALL_PUT, deliver_put, NULL};
static const etcd__unary unary_delete = {ETCD__RPC_KV_DELETE_RANGE, false, ETCD_CALL_DELETE, deliver_delete, NULL};
static const etcd__unary unary_compact = {ETCD__RPC_KV_COMPACT, false, ETCD_CALL_COMPACT, deliver_compact, NULL};

void etcd_get_options_init(etcd_get_options *options, size_t size)
{
    etcd__options_init(options, size);
}

void etcd_put_options_init(etcd_put_options *options, size_t size)
{
    etcd__options_init(options, size);
}

void etcd_delete_options_init(etcd_delete_options *options, size_t size)
{
    etcd__options_init(options, size);
}

void etcd_compact_options_init(etcd_compact_options *options, size_t size)
{
    etcd__options_init(options, size);
}

int etcd_get(etcd_client *client, const char *key, size_t key_len, const etcd_get_options *options, etcd_get_response **out,
             etcd_error *err)
{
    etcd__range_request request;
    etcd__range_end end = {0};
    const etcd_call_options *call;
    void *response = NULL;
    int rc = etcd__request_get(key, key_len, options, &request, &end, &call, err);

    if (rc == ETCD_OK)
        rc = etcd__unary_call(client, &unary_get, &request, call, out ? &response : NULL, err);
    if (out != NULL)
        *out = response;
    etcd__range_end_free(&end);
    return rc;
}

int etcd_get_async(etcd_client *client, const char *key, size_t key_len, const etcd_get_options *options, etcd_get_fn done,
                   void *arg, etcd_call_id *id, etcd_error *err)
{
    etcd__range_request request;
    etcd__range_end end = {0};
    const etcd_call_options *call;
    int rc = etcd__request_get(key, key_len, options, &request, &end, &call, err);

    if (rc == ETCD_OK)
        rc = etcd__unary_start(client, &unary_get, &request, call, (etcd__any_fn)done, arg, id, err);
    etcd__range_end_free(&end);
    return rc;
}

int etcd_put(etcd_client *client, const char *key, size_t key_len, const char *value, size_t value_len,
             const etcd_put_options *options, etcd_put_response **out, etcd_error *err)
{
    etcd__put_request request;
    const etcd_call_options *call;
    void *response = NULL;
    int rc = etcd__request_put(key, key_len, value, value_len, options, &request, &call, err);

    if (rc == ETCD_OK)
        rc = etcd__unary_call(client, &unary_put, &request, call, out ? &response : NULL, err);
    if (out != NULL)
        *out = response;
    return rc;
}

int etcd_put_async(etcd_client *client, const char *key, size_t key_len, const char *value, size_t value_len,
                   const etcd_put_options *options, etcd_put_fn done, void *arg, etcd_call_id *id, etcd_error *err)
{
    etcd__put_request request;
    const etcd_call_options *call;
    int rc = etcd__request_put(key, key_len, value, value_len, options, &request, &call, err);

    if (rc < 0)
        return rc;
    return etcd__unary_start(client, &unary_put, &request, call, (etcd__any_fn)done, arg, id, err);
}

int etcd_delete(etcd_client *client, const char *key, size_t key_len, const etcd_delete_options *options,
                etcd_delete_response **out, etcd_error *err)
{
    etcd__delete_range_request request;
    etcd__range_end end = {0};
    const etcd_call_options *call;
    void *response = NULL;
    int rc = etcd__request_delete(key, key_len, options, &request, &end, &call, err);

    if (rc == ETCD_OK)
        rc = etcd__unary_call(client, &unary_delete, &request, call, out ? &response : NULL, err);
    if (out != NULL)
        *out = response;
    etcd__range_end_free(&end);
    return rc;
}

int etcd_delete_async(etcd_client *client, const char *key, size_t key_len, const etcd_delete_options *options,
                      etcd_delete_fn done, void *arg, etcd_call_id *id, etcd_error *err)
{
    etcd__delete_range_request request;
    etcd__range_end end = {0};
    const etcd_call_options *call;
    int rc = etcd__request_delete(key, key_len, options, &request, &end, &call, err);

    if (rc == ETCD_OK)
        rc = etcd__unary_start(client, &unary_delete, &request, call, (etcd__any_fn)done, arg, id, err);
    etcd__range_end_free(&end);
    return rc;
}

static int request_compact(int64_t revision, const etcd_compact_options *options, etcd__compaction_request *request,
                           const etcd_call_options **call, etcd_error *err)
{
    etcd_compact_options o;
    int rc = etcd__options_load(&o, sizeof o, options, "etcd_compact_options", err);

    if (rc < 0)
        return rc;
    *request = (etcd__compaction_request){.revision = revision, .physical = o.physical};
    *call = o.call;
    return ETCD_OK;
}

int etcd_compact(etcd_client *client, int64_t revision, const etcd_compact_options *options, etcd_compact_response **out,
                 etcd_error *err)
{
    etcd__compaction_request request;
    const etcd_call_options *call;
    void *response = NULL;
    int rc = request_compact(revision, options, &request, &call, err);

    if (rc == ETCD_OK)
        rc = etcd__unary_call(client, &unary_compact, &request, call, out ? &response : NULL, err);
    if (out != NULL)
        *out = response;
    return rc;
}

int etcd_compact_async(etcd_client *client, int64_t revision, const etcd_compact_options *options, etcd_compact_fn done,
                       void *arg, etcd_call_id *id, etcd_error *err)
{
    etcd__compaction_request request;
    const etcd_call_options *call;
    int rc = request_compact(revision, options, &request, &call, err);

    if (rc < 0)
        return rc;
    return etcd__unary_start(client, &unary_compact, &request, call, (etcd__any_fn)done, arg, id, err);
}
