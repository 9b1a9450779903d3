/* Get, put, delete and compact. See <etcd3/kv.h>. */
#include <etcd3/kv.h>

#include "base/options.h"
#include "service/request.h"
#include "service/sink.h"

ETCD__UNARY(get, KV_RANGE, GET)
ETCD__UNARY(put, KV_PUT, PUT)
ETCD__UNARY(delete, KV_DELETE_RANGE, DELETE)
ETCD__UNARY(compact, KV_COMPACT, COMPACT)

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

/* --- get --- */

static int get(etcd_client *client, const char *key, size_t key_len, const etcd_get_options *options, etcd__sink sink,
               etcd_error *err)
{
    etcd__range_request request;
    etcd__range_end end = {0};
    const etcd_call_options *call;
    int rc = etcd__request_get(key, key_len, options, &request, &end, &call, err);

    if (rc == ETCD_OK)
        rc = etcd__sink_call(client, &unary_get, &request, call, sink, err);
    etcd__range_end_free(&end);
    return rc;
}

int etcd_get(etcd_client *client, const char *key, size_t key_len, const etcd_get_options *options, etcd_get_response **out,
             etcd_error *err)
{
    return get(client, key, key_len, options, etcd__sink_out(out), err);
}

int etcd_get_async(etcd_client *client, const char *key, size_t key_len, const etcd_get_options *options, etcd_get_fn done,
                   void *arg, etcd_call_id *id, etcd_error *err)
{
    return get(client, key, key_len, options, ETCD__SINK_DONE(done, arg, id), err);
}

/* --- put --- */

static int put(etcd_client *client, const char *key, size_t key_len, const char *value, size_t value_len,
               const etcd_put_options *options, etcd__sink sink, etcd_error *err)
{
    etcd__put_request request;
    const etcd_call_options *call;
    int rc = etcd__request_put(key, key_len, value, value_len, options, &request, &call, err);

    return rc < 0 ? rc : etcd__sink_call(client, &unary_put, &request, call, sink, err);
}

int etcd_put(etcd_client *client, const char *key, size_t key_len, const char *value, size_t value_len,
             const etcd_put_options *options, etcd_put_response **out, etcd_error *err)
{
    return put(client, key, key_len, value, value_len, options, etcd__sink_out(out), err);
}

int etcd_put_async(etcd_client *client, const char *key, size_t key_len, const char *value, size_t value_len,
                   const etcd_put_options *options, etcd_put_fn done, void *arg, etcd_call_id *id, etcd_error *err)
{
    return put(client, key, key_len, value, value_len, options, ETCD__SINK_DONE(done, arg, id), err);
}

/* --- delete --- */

static int delete (etcd_client *client, const char *key, size_t key_len, const etcd_delete_options *options, etcd__sink sink,
                   etcd_error *err)
{
    etcd__delete_range_request request;
    etcd__range_end end = {0};
    const etcd_call_options *call;
    int rc = etcd__request_delete(key, key_len, options, &request, &end, &call, err);

    if (rc == ETCD_OK)
        rc = etcd__sink_call(client, &unary_delete, &request, call, sink, err);
    etcd__range_end_free(&end);
    return rc;
}

int etcd_delete(etcd_client *client, const char *key, size_t key_len, const etcd_delete_options *options,
                etcd_delete_response **out, etcd_error *err)
{
    return delete (client, key, key_len, options, etcd__sink_out(out), err);
}

int etcd_delete_async(etcd_client *client, const char *key, size_t key_len, const etcd_delete_options *options,
                      etcd_delete_fn done, void *arg, etcd_call_id *id, etcd_error *err)
{
    return delete (client, key, key_len, options, ETCD__SINK_DONE(done, arg, id), err);
}

/* --- compact --- */

static int compact(etcd_client *client, int64_t revision, const etcd_compact_options *options, etcd__sink sink, etcd_error *err)
{
    etcd_compact_options o;
    etcd__compaction_request request;
    int rc = etcd__options_load(&o, sizeof o, options, "etcd_compact_options", err);

    if (rc < 0)
        return rc;
    request = (etcd__compaction_request){.revision = revision, .physical = o.physical};
    return etcd__sink_call(client, &unary_compact, &request, o.call, sink, err);
}

int etcd_compact(etcd_client *client, int64_t revision, const etcd_compact_options *options, etcd_compact_response **out,
                 etcd_error *err)
{
    return compact(client, revision, options, etcd__sink_out(out), err);
}

int etcd_compact_async(etcd_client *client, int64_t revision, const etcd_compact_options *options, etcd_compact_fn done,
                       void *arg, etcd_call_id *id, etcd_error *err)
{
    return compact(client, revision, options, ETCD__SINK_DONE(done, arg, id), err);
}
