/* The completion queue: for languages that cannot take a call on a foreign thread. A completion is a response of its
 * own, so that one etcd_response_free() frees it with what it carries. */
#include "base/clock.h"
#include "base/error.h"
#include "client/client.h"
#include "wire/response.h"

#include <string.h>

struct etcd__completion {
    etcd_completion public; /* first: what the user sees */
    etcd__list node;
    etcd_error error;
};

etcd__completion *etcd__completion_reserve(void)
{
    return etcd__response_new(sizeof(etcd__completion));
}

void etcd__completion_unreserve(etcd__completion *completion)
{
    etcd_response_free(completion);
}

/* A completion that carries the response: it moves into the response's own memory. */
static etcd__completion *with_response(etcd__completion *reserved, const etcd__user_call *call, void *response)
{
    etcd__completion *completion = etcd__response_wrap(response, sizeof *completion);

    if (completion == NULL) {
        etcd_response_free(response);
        etcd__error_no_memory(&reserved->error);
        memcpy(reserved->error.endpoint, call->endpoint, sizeof reserved->error.endpoint);
        reserved->error.flags = call->call.read_only ? 0 : ETCD_ERROR_MAYBE_APPLIED; /* it was, and the proof is lost */
        reserved->public.error = &reserved->error;
        return reserved;
    }
    etcd__completion_unreserve(reserved);
    completion->public.response = response;
    return completion;
}

void etcd__completion_push(etcd__completion *completion, const etcd__user_call *call, void *response, const etcd_error *error)
{
    etcd_client *client = call->client;

    if (response != NULL) {
        completion = with_response(completion, call, response);
    } else if (error != NULL) {
        completion->error = *error;
        completion->public.error = &completion->error;
    }
    completion->public.id = call->id;
    completion->public.type = call->unary->call_type;
    completion->public.code = completion->public.error ? completion->public.error->code : ETCD_OK;
    completion->public.arg = call->arg;
    uv_mutex_lock(&client->shared.lock);
    etcd__list_push_back(&client->shared.completions, &completion->node);
    uv_cond_signal(&client->shared.completed);
    uv_mutex_unlock(&client->shared.lock);
}

void etcd__completions_free(etcd_client *client)
{
    etcd__list *node;

    while ((node = etcd__list_pop_front(&client->shared.completions)) != NULL)
        etcd_response_free(ETCD__CONTAINER_OF(node, etcd__completion, node));
}

/* Waits on the client's queue; in manual mode the caller drives. Lock held at entry and exit. */
static void wait_for_completion(etcd_client *client, int64_t until)
{
    int64_t left = until == ETCD__NEVER ? -1 : until - etcd__clock_monotonic();

    if (until != ETCD__NEVER && left < 0)
        left = 0;
    if (client->manual) {
        uv_mutex_unlock(&client->shared.lock);
        etcd__driver_turn(client, left);
        uv_mutex_lock(&client->shared.lock);
    } else if (left < 0) {
        uv_cond_wait(&client->shared.completed, &client->shared.lock);
    } else {
        (void)uv_cond_timedwait(&client->shared.completed, &client->shared.lock, (uint64_t)left);
    }
}

static int take_completion(etcd_client *client, int64_t until, etcd_completion **out, etcd_error *err)
{
    etcd__list *node;
    bool waited = false; /* manual mode: even without time to wait, take one turn */
    int rc;

    uv_mutex_lock(&client->shared.lock);
    for (;;) {
        node = etcd__list_pop_front(&client->shared.completions);
        if (node != NULL) {
            *out = &ETCD__CONTAINER_OF(node, etcd__completion, node)->public;
            rc = ETCD_OK;
            break;
        }
        if (atomic_load(&client->closed)) {
            rc = etcd__error_set(err, ETCD_ERR_CLOSED, "%s", etcd_error_text(ETCD_ERR_CLOSED));
            break;
        }
        if (waited && until != ETCD__NEVER && etcd__clock_monotonic() >= until) {
            rc = etcd__error_set(err, ETCD_ERR_TIMED_OUT, "%s", etcd_error_text(ETCD_ERR_TIMED_OUT));
            break;
        }
        wait_for_completion(client, until);
        waited = true;
    }
    uv_mutex_unlock(&client->shared.lock);
    return rc;
}

int etcd_client_next_completion(etcd_client *client, int64_t timeout_ms, etcd_completion **out, etcd_error *err)
{
    int64_t until = etcd__clock_after(etcd__clock_monotonic(), etcd__clock_from_ms(timeout_ms));
    int rc;

    if (out == NULL)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "out is NULL");
    *out = NULL;
    rc = timeout_ms == 0 ? etcd__client_check(client, err) : etcd__client_check_blocking(client, err);
    if (rc < 0 && rc != ETCD_ERR_CLOSED)
        return rc;
    if (client->manual && etcd__client_in_callback(client))
        return etcd__error_set(err, ETCD_ERR_IN_CALLBACK, "%s", etcd_error_text(ETCD_ERR_IN_CALLBACK));
    etcd__client_ref(client);
    rc = take_completion(client, until, out, err);
    etcd__client_unref(client);
    if (rc == ETCD_OK)
        etcd__error_clear(err);
    return rc;
}
