/* The range iterator: pages of a range, all as of the revision of the first. See <etcd3/kv.h>.
 *
 * The next page starts at the first key behind the last one seen: that key and a NUL byte. A page is taken off the
 * range only when its response has arrived, so a failed one can be asked for again.
 *
 * Pages whose size the program leaves to us come as the chunks of a stream, where the server has that and the range is large:
 * see range_stream.h. Those in the middle have neither header nor count; they get what the first page said. */
#include "base/alloc.h"
#include "base/error.h"
#include "base/options.h"
#include "client/client.h"
#include "client/unary.h"
#include "service/range_stream.h"
#include "service/request.h"

#include <string.h>

#define DEFAULT_PAGE 1000

struct etcd_range {
    etcd_client *client;
    etcd__range_request request; /* of the next page */
    etcd_call_options call;
    bool has_call;
    char *next_key; /* owned; what request.key points to */
    char *end_key;  /* owned; what request.range_end points to */
    bool done;
    bool busy; /* a page is under way */
    bool may_stream;
    etcd_response_header header; /* of the first page */
    int64_t left;                /* keys behind the pages that have come, as the first one counted them */
    etcd__range_place place;
    etcd_get_fn page_done;
    void *page_arg;
};

static int fail_chunk(etcd_error *err, const char *what)
{
    return etcd__error_set(err, ETCD_ERR_PROTOCOL, "a chunk of the range's stream %s", what);
}

/* Makes a chunk without header, in the middle of a stream, the page that it is. */
static int complete(const etcd_range *range, etcd_get_response *page, etcd_error *err)
{
    const etcd_bytes *from = &range->request.key, *key;
    int order;

    if (page->header.revision != 0 || range->header.revision == 0)
        return ETCD_OK;
    if (page->n_kvs == 0)
        return fail_chunk(err, "is empty");
    key = &page->kvs[0].key;
    order = memcmp(key->data, from->data, key->len < from->len ? key->len : from->len);
    if (order < 0 || (order == 0 && key->len < from->len))
        return fail_chunk(err, "does not follow the one before");
    page->header = range->header;
    page->count = range->left;
    page->more = true;
    return ETCD_OK;
}

/* Records a page that has arrived. */
static int advance(etcd_range *range, etcd_get_response *page, etcd_error *err)
{
    const etcd_kv *last;
    char *next;
    int rc = complete(range, page, err);

    if (rc < 0)
        return rc;
    if (!page->more || page->n_kvs == 0) {
        range->done = true;
    } else {
        last = &page->kvs[page->n_kvs - 1];
        next = etcd__strndup(last->key.data, last->key.len);
        if (next == NULL)
            return etcd__error_no_memory(err);
        etcd__free(range->next_key);
        range->next_key = next;
        range->request.key = (etcd_bytes){next, last->key.len + 1}; /* with the NUL of the copy */
    }
    if (range->header.revision == 0)
        range->header = page->header;
    if (range->request.revision == 0)
        range->request.revision = page->header.revision;
    range->left = page->count - (int64_t)page->n_kvs;
    range->place.wanted = range->may_stream && range->header.revision != 0 && range->left > 2 * DEFAULT_PAGE;
    return ETCD_OK;
}

static void on_page(etcd_client *client, void *response, const etcd_error *err, etcd__any_fn done, void *arg)
{
    etcd_range *range = arg;
    etcd_get_fn page_done = range->page_done;
    void *page_arg = range->page_arg;
    etcd_error why;

    (void)done;
    range->busy = false;
    if (response != NULL && advance(range, response, &why) < 0) {
        etcd_response_free(response);
        response = NULL;
        err = &why;
    }
    range->place.lost = err != NULL;
    page_done(client, response, err, page_arg); /* may free the range */
}

static const etcd__unary unary_page = {.rpc = ETCD__RPC_KV_RANGE,
                                       .read_only = true,
                                       .call_type = ETCD_CALL_GET,
                                       .deliver = on_page};

static int check_options(const etcd__range_request *request, etcd_error *err)
{
    if (request->sort_order != ETCD_SORT_NONE || request->sort_target != ETCD_SORT_KEY)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT,
                               "a range iterator follows the order of the keys: do not set a sort or a pick");
    if (request->count_only)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "count_only has no pages: use etcd_get");
    return ETCD_OK;
}

/* The arguments as owned copies. */
static int fill(etcd_range *range, const etcd__range_request *request, const etcd_call_options *call, etcd_error *err)
{
    range->request = *request;
    range->next_key = etcd__strndup(request->key.data, request->key.len);
    range->end_key = etcd__strndup(request->range_end.data, request->range_end.len);
    if (range->next_key == NULL || range->end_key == NULL)
        return etcd__error_no_memory(err);
    range->request.key.data = range->next_key;
    range->request.range_end.data = range->end_key;
    range->may_stream = request->limit == 0 && request->min_mod_revision == 0 && request->max_mod_revision == 0 &&
                        request->min_create_revision == 0 && request->max_create_revision == 0;
    if (range->request.limit == 0)
        range->request.limit = DEFAULT_PAGE;
    range->has_call = call != NULL;
    return etcd__options_load(&range->call, sizeof range->call, call, "etcd_call_options", err);
}

static const etcd_call_options *call_of(etcd_range *range)
{
    if (!range->has_call)
        return NULL;
    range->call.size = sizeof range->call;
    return &range->call;
}

int etcd_range_open(etcd_client *client, const char *key, size_t key_len, const etcd_get_options *options, etcd_range **out,
                    etcd_error *err)
{
    etcd__range_request request;
    etcd__range_end end = {0};
    const etcd_call_options *call;
    etcd_range *range = NULL;
    int rc;

    if (out == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "out is NULL");
    *out = NULL;
    rc = etcd__client_check(client, err);
    if (rc == ETCD_OK)
        rc = etcd__request_get(key, key_len, options, &request, &end, &call, err);
    if (rc == ETCD_OK)
        rc = check_options(&request, err);
    if (rc == ETCD_OK && (range = etcd__calloc(1, sizeof *range)) == NULL)
        rc = etcd__error_no_memory(err);
    if (rc == ETCD_OK)
        rc = fill(range, &request, call, err);
    etcd__range_end_free(&end);
    if (rc < 0) {
        etcd_range_free(range);
        return rc;
    }
    range->client = client;
    range->place.client = client;
    range->place.request = &range->request;
    range->place.call = call_of(range);
    etcd__range_place_init(&range->place, &unary_page);
    etcd__client_ref(client);
    etcd__error_clear(err);
    *out = range;
    return ETCD_OK;
}

static int check_next(const etcd_range *range, etcd_error *err)
{
    if (range == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "the range is NULL");
    if (range->busy)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "a page of this range is under way already");
    return ETCD_OK;
}

int etcd_range_next(etcd_range *range, etcd_get_response **out, etcd_error *err)
{
    void *response = NULL;
    int rc;

    if (out == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "out is NULL");
    *out = NULL;
    rc = check_next(range, err);
    if (rc < 0)
        return rc;
    if (range->done) {
        etcd__error_clear(err);
        return ETCD_OK;
    }
    rc = etcd__unary_call(range->client, &range->place.page, &range->request, range->place.call, &response, err);
    if (rc == ETCD_OK && (rc = advance(range, response, err)) < 0) {
        etcd_response_free(response);
        response = NULL;
    }
    range->place.lost = rc < 0;
    *out = response;
    return rc;
}

int etcd_range_next_async(etcd_range *range, etcd_get_fn done, void *arg, etcd_call_id *id, etcd_error *err)
{
    int rc = check_next(range, err);

    if (rc == ETCD_OK && done == NULL)
        rc = etcd__error_set(err, ETCD_ERR_ARGUMENT, "done is NULL: pages are not delivered to the completion queue");
    if (rc == ETCD_OK && range->done)
        rc = etcd__error_set(err, ETCD_ERR_ARGUMENT, "the range is at its end: see etcd_range_done()");
    if (rc < 0)
        return rc;
    range->page_done = done;
    range->page_arg = arg;
    range->busy = true;
    rc = etcd__unary_start(range->client, &range->place.page, &range->request, range->place.call, (etcd__any_fn)done, range, id,
                           err);
    if (rc < 0)
        range->busy = false;
    return rc;
}

int64_t etcd_range_revision(const etcd_range *range)
{
    return range ? range->request.revision : 0;
}

bool etcd_range_done(const etcd_range *range)
{
    return range == NULL || range->done;
}

void etcd_range_free(etcd_range *range)
{
    if (range == NULL)
        return;
    etcd__range_place_free(&range->place);
    etcd__free(range->next_key);
    etcd__free(range->end_key);
    if (range->client != NULL)
        etcd__client_unref(range->client);
    etcd__free(range);
}
