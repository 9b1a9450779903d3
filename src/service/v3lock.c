/* The server's locks. See <etcd3/v3lock.h>. */
#include <etcd3/v3lock.h>

#include "service/request.h"
#include "service/sink.h"

ETCD__UNARY(lock, LOCK, LOCK)
ETCD__UNARY(unlock, UNLOCK, UNLOCK)

static int lock(etcd_client *client, const char *name, size_t name_len, int64_t lease, const etcd_call_options *call,
                etcd__sink sink, etcd_error *err)
{
    etcd__lock_request request = {.lease = lease};
    int rc = etcd__request_bytes("name", name, name_len, &request.name, err);

    return rc < 0 ? rc : etcd__sink_call(client, &unary_lock, &request, call, sink, err);
}

int etcd_lock(etcd_client *client, const char *name, size_t name_len, int64_t lease, const etcd_call_options *call,
              etcd_lock_response **out, etcd_error *err)
{
    return lock(client, name, name_len, lease, call, etcd__sink_out(out), err);
}

int etcd_lock_async(etcd_client *client, const char *name, size_t name_len, int64_t lease, const etcd_call_options *call,
                    etcd_lock_fn done, void *arg, etcd_call_id *id, etcd_error *err)
{
    return lock(client, name, name_len, lease, call, ETCD__SINK_DONE(done, arg, id), err);
}

static int unlock(etcd_client *client, const char *key, size_t key_len, const etcd_call_options *call, etcd__sink sink,
                  etcd_error *err)
{
    etcd__unlock_request request = {0};
    int rc = etcd__request_bytes("key", key, key_len, &request.key, err);

    return rc < 0 ? rc : etcd__sink_call(client, &unary_unlock, &request, call, sink, err);
}

int etcd_unlock(etcd_client *client, const char *key, size_t key_len, const etcd_call_options *call, etcd_unlock_response **out,
                etcd_error *err)
{
    return unlock(client, key, key_len, call, etcd__sink_out(out), err);
}

int etcd_unlock_async(etcd_client *client, const char *key, size_t key_len, const etcd_call_options *call, etcd_unlock_fn done,
                      void *arg, etcd_call_id *id, etcd_error *err)
{
    return unlock(client, key, key_len, call, ETCD__SINK_DONE(done, arg, id), err);
}
