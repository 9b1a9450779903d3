/* Members: list, add, remove, update, promote. See <etcd3/cluster.h>; the contract, section 1.12. */
#include <etcd3/cluster.h>

#include "base/options.h"
#include "service/peer_urls.h"
#include "service/sink.h"

ETCD__UNARY(member_list, MEMBER_LIST, MEMBER_LIST)
ETCD__UNARY(member_add, MEMBER_ADD, MEMBER_ADD)
ETCD__UNARY(member_remove, MEMBER_REMOVE, MEMBER_REMOVE)
ETCD__UNARY(member_update, MEMBER_UPDATE, MEMBER_UPDATE)
ETCD__UNARY(member_promote, MEMBER_PROMOTE, MEMBER_PROMOTE)

void etcd_member_list_options_init(etcd_member_list_options *options, size_t size)
{
    etcd__options_init(options, size);
}

void etcd_member_add_options_init(etcd_member_add_options *options, size_t size)
{
    etcd__options_init(options, size);
}

/* --- list --- */

static int member_list(etcd_client *client, const etcd_member_list_options *options, etcd__sink sink, etcd_error *err)
{
    etcd_member_list_options o;
    etcd__member_list_request request;
    int rc = etcd__options_load(&o, sizeof o, options, "etcd_member_list_options", err);

    if (rc < 0)
        return rc;
    request = (etcd__member_list_request){.linearizable = !o.serializable};
    return etcd__sink_call(client, &unary_member_list, &request, o.call, sink, err);
}

int etcd_member_list(etcd_client *client, const etcd_member_list_options *options, etcd_member_list_response **out,
                     etcd_error *err)
{
    return member_list(client, options, etcd__sink_out(out), err);
}

int etcd_member_list_async(etcd_client *client, const etcd_member_list_options *options, etcd_member_list_fn done, void *arg,
                           etcd_call_id *id, etcd_error *err)
{
    return member_list(client, options, ETCD__SINK_DONE(done, arg, id), err);
}

/* --- add --- */

static int member_add(etcd_client *client, const char *const *peer_urls, size_t n_peer_urls,
                      const etcd_member_add_options *options, etcd__sink sink, etcd_error *err)
{
    etcd_member_add_options o;
    etcd__member_add_request request = {0};
    etcd__peer_urls urls = {0};
    int rc = etcd__options_load(&o, sizeof o, options, "etcd_member_add_options", err);

    if (rc == ETCD_OK)
        rc = etcd__peer_urls_load(&urls, peer_urls, n_peer_urls, err);
    if (rc == ETCD_OK) {
        request = (etcd__member_add_request){.peer_urls = urls.items, .n_peer_urls = urls.n, .is_learner = o.learner};
        rc = etcd__sink_call(client, &unary_member_add, &request, o.call, sink, err);
    }
    etcd__peer_urls_free(&urls);
    return rc;
}

int etcd_member_add(etcd_client *client, const char *const *peer_urls, size_t n_peer_urls, const etcd_member_add_options *options,
                    etcd_member_add_response **out, etcd_error *err)
{
    return member_add(client, peer_urls, n_peer_urls, options, etcd__sink_out(out), err);
}

int etcd_member_add_async(etcd_client *client, const char *const *peer_urls, size_t n_peer_urls,
                          const etcd_member_add_options *options, etcd_member_add_fn done, void *arg, etcd_call_id *id,
                          etcd_error *err)
{
    return member_add(client, peer_urls, n_peer_urls, options, ETCD__SINK_DONE(done, arg, id), err);
}

/* --- remove --- */

static int member_remove(etcd_client *client, uint64_t member_id, const etcd_call_options *call, etcd__sink sink, etcd_error *err)
{
    const etcd__member_remove_request request = {.id = member_id};

    return etcd__sink_call(client, &unary_member_remove, &request, call, sink, err);
}

int etcd_member_remove(etcd_client *client, uint64_t member_id, const etcd_call_options *call, etcd_member_remove_response **out,
                       etcd_error *err)
{
    return member_remove(client, member_id, call, etcd__sink_out(out), err);
}

int etcd_member_remove_async(etcd_client *client, uint64_t member_id, const etcd_call_options *call, etcd_member_remove_fn done,
                             void *arg, etcd_call_id *id, etcd_error *err)
{
    return member_remove(client, member_id, call, ETCD__SINK_DONE(done, arg, id), err);
}

/* --- update --- */

static int member_update(etcd_client *client, uint64_t member_id, const char *const *peer_urls, size_t n_peer_urls,
                         const etcd_call_options *call, etcd__sink sink, etcd_error *err)
{
    etcd__member_update_request request = {.id = member_id};
    etcd__peer_urls urls = {0};
    int rc = etcd__peer_urls_load(&urls, peer_urls, n_peer_urls, err);

    if (rc == ETCD_OK) {
        request.peer_urls = urls.items;
        request.n_peer_urls = urls.n;
        rc = etcd__sink_call(client, &unary_member_update, &request, call, sink, err);
    }
    etcd__peer_urls_free(&urls);
    return rc;
}

int etcd_member_update(etcd_client *client, uint64_t member_id, const char *const *peer_urls, size_t n_peer_urls,
                       const etcd_call_options *call, etcd_member_update_response **out, etcd_error *err)
{
    return member_update(client, member_id, peer_urls, n_peer_urls, call, etcd__sink_out(out), err);
}

int etcd_member_update_async(etcd_client *client, uint64_t member_id, const char *const *peer_urls, size_t n_peer_urls,
                             const etcd_call_options *call, etcd_member_update_fn done, void *arg, etcd_call_id *id,
                             etcd_error *err)
{
    return member_update(client, member_id, peer_urls, n_peer_urls, call, ETCD__SINK_DONE(done, arg, id), err);
}

/* --- promote --- */

static int member_promote(etcd_client *client, uint64_t member_id, const etcd_call_options *call, etcd__sink sink,
                          etcd_error *err)
{
    const etcd__member_promote_request request = {.id = member_id};

    return etcd__sink_call(client, &unary_member_promote, &request, call, sink, err);
}

int etcd_member_promote(etcd_client *client, uint64_t member_id, const etcd_call_options *call,
                        etcd_member_promote_response **out, etcd_error *err)
{
    return member_promote(client, member_id, call, etcd__sink_out(out), err);
}

int etcd_member_promote_async(etcd_client *client, uint64_t member_id, const etcd_call_options *call, etcd_member_promote_fn done,
                              void *arg, etcd_call_id *id, etcd_error *err)
{
    return member_promote(client, member_id, call, ETCD__SINK_DONE(done, arg, id), err);
}
