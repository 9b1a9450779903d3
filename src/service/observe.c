/* Following the server's elections. See <etcd3/v3election.h>.
 *
 * A stream that was opened again begins with the present leader: if that is what was told last, it is not told again.
 * Revisions are compared for being the same, not for their order: who leads next may have put its key long before. */
#include <etcd3/v3election.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/options.h"
#include "client/client.h"
#include "client/feed.h"
#include "service/request.h"

#define BUFFER ((size_t)1024 * 1024)

struct etcd_observe {
    etcd__feed *feed;
    etcd_observe_fn fn; /* NULL: pulled */
    void *arg;
    /* the driver: what was told last */
    int64_t create_revision, mod_revision;
};

static void *leave_out_the_known(void *owner, void *response, int *code, etcd_error *err)
{
    etcd_observe *observe = owner;
    const etcd_kv *kv = &((const etcd_leader_response *)response)->kv;

    (void)err;
    *code = ETCD_OK;
    if (kv->create_revision == observe->create_revision && kv->mod_revision == observe->mod_revision) {
        etcd_response_free(response);
        return NULL;
    }
    observe->create_revision = kv->create_revision;
    observe->mod_revision = kv->mod_revision;
    return response;
}

static void deliver(void *owner, void *response, const etcd_error *err)
{
    etcd_observe *observe = owner;

    observe->fn(observe, response, err, observe->arg); /* may free it */
}

static int observe(etcd_client *client, const char *name, size_t name_len, const etcd_call_options *given, etcd_observe_fn fn,
                   void *arg, etcd_observe **out, etcd_error *err)
{
    etcd__leader_request request = {0};
    etcd_call_options call;
    etcd_observe *self;
    int rc;

    if (out == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "out is NULL");
    *out = NULL;
    rc = etcd__client_check(client, err);
    if (rc == ETCD_OK)
        rc = etcd__request_bytes("name", name, name_len, &request.name, err);
    if (rc == ETCD_OK)
        rc = etcd__options_load(&call, sizeof call, given, "etcd_call_options", err);
    if (rc < 0)
        return rc;
    self = etcd__calloc(1, sizeof *self);
    if (self == NULL)
        return etcd__error_no_memory(err);
    self->fn = fn;
    self->arg = arg;
    *out = self; /* a callback may use it before this returns */
    etcd__error_clear(err);
    rc = etcd__feed_open(client,
                         &(const etcd__feed_config){.rpc = ETCD__RPC_OBSERVE,
                                                    .request = &request,
                                                    .call = &call,
                                                    .idle_timeout = ETCD__NEVER,
                                                    .buffer = BUFFER,
                                                    .resume = true,
                                                    .owner = self,
                                                    .convert = leave_out_the_known,
                                                    .deliver = fn ? deliver : NULL,
                                                    .gone = etcd__free},
                         &self->feed, err);
    if (rc < 0) {
        *out = NULL;
        etcd__free(self);
    }
    return rc;
}

int etcd_observe_open(etcd_client *client, const char *name, size_t name_len, const etcd_call_options *call, etcd_observe **out,
                      etcd_error *err)
{
    return observe(client, name, name_len, call, NULL, NULL, out, err);
}

int etcd_observe_start(etcd_client *client, const char *name, size_t name_len, const etcd_call_options *call, etcd_observe_fn fn,
                       void *arg, etcd_observe **out, etcd_error *err)
{
    if (fn == NULL) {
        if (out != NULL)
            *out = NULL;
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "fn is NULL");
    }
    return observe(client, name, name_len, call, fn, arg, out, err);
}

int etcd_observe_next(etcd_observe *observe, int64_t timeout_ms, etcd_leader_response **out, etcd_error *err)
{
    void *response = NULL;
    int rc;

    if (out == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "out is NULL");
    *out = NULL;
    if (observe == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "the handle is NULL");
    if (observe->fn != NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "the responses are given to a callback");
    rc = etcd__feed_next(observe->feed, timeout_ms, &response, err);
    *out = response;
    return rc;
}

int etcd_observe_fd(etcd_observe *observe)
{
    return observe == NULL || observe->fn != NULL ? ETCD_ERR_ARGUMENT : etcd__feed_fd(observe->feed);
}

void etcd_observe_cancel(etcd_observe *observe)
{
    if (observe != NULL)
        etcd__feed_cancel(observe->feed);
}

void etcd_observe_free(etcd_observe *observe)
{
    if (observe != NULL)
        etcd__feed_free(observe->feed);
}
