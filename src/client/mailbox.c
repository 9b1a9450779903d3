/* See mailbox.h. */
#include "client/mailbox.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "client/client.h"

#include <string.h>

#define FIRST_CAP 4

int etcd__mailbox_init(etcd__mailbox *mailbox, etcd_client *client, etcd_error *err)
{
    memset(mailbox, 0, sizeof *mailbox);
    mailbox->notify = (etcd__notify_fd)ETCD__NOTIFY_FD_NONE;
    if (uv_mutex_init(&mailbox->lock) != 0)
        return etcd__error_no_memory(err);
    if (uv_cond_init(&mailbox->changed) != 0) {
        uv_mutex_destroy(&mailbox->lock);
        return etcd__error_no_memory(err);
    }
    mailbox->client = client;
    return ETCD_OK;
}

static etcd__mail pop(etcd__mailbox *mailbox)
{
    etcd__mail mail = mailbox->ring[mailbox->first];

    mailbox->first = (mailbox->first + 1) & (mailbox->cap - 1);
    mailbox->n--;
    mailbox->bytes -= mail.bytes;
    return mail;
}

void etcd__mailbox_free(etcd__mailbox *mailbox)
{
    if (mailbox->client == NULL)
        return;
    while (mailbox->n > 0)
        etcd_response_free(pop(mailbox).response);
    etcd__free(mailbox->ring);
    etcd__free(mailbox->why);
    etcd__notify_fd_close(&mailbox->notify);
    if (!etcd__fork_mark_passed(&mailbox->client->made)) { /* a thread that is not there may hold them */
        uv_cond_destroy(&mailbox->changed);
        uv_mutex_destroy(&mailbox->lock);
    }
    mailbox->client = NULL;
}

/* Something changed for the consumer. Lock held. */
static void tell(etcd__mailbox *mailbox)
{
    etcd__notify_fd_set(&mailbox->notify, mailbox->n > 0 || mailbox->end != ETCD_OK);
    if (mailbox->waiting)
        uv_cond_signal(&mailbox->changed);
}

/* Room for `n` more, in order from the first on. */
static int make_room(etcd__mailbox *mailbox, size_t n)
{
    size_t cap = mailbox->cap > 0 ? mailbox->cap : FIRST_CAP;
    etcd__mail *ring;

    while (cap < mailbox->n + n)
        cap *= 2;
    if (cap == mailbox->cap)
        return ETCD_OK;
    ring = etcd__malloc(cap * sizeof *ring);
    if (ring == NULL)
        return ETCD_ERR_NO_MEMORY;
    for (size_t i = 0; i < mailbox->n; i++)
        ring[i] = mailbox->ring[(mailbox->first + i) & (mailbox->cap - 1)];
    etcd__free(mailbox->ring);
    mailbox->ring = ring;
    mailbox->cap = cap;
    mailbox->first = 0;
    return ETCD_OK;
}

int etcd__mailbox_put_many(etcd__mailbox *mailbox, const etcd__mail *mails, size_t n)
{
    int rc;

    uv_mutex_lock(&mailbox->lock);
    rc = make_room(mailbox, n);
    if (rc == ETCD_OK) {
        for (size_t i = 0; i < n; i++) {
            mailbox->ring[(mailbox->first + mailbox->n++) & (mailbox->cap - 1)] = mails[i];
            mailbox->bytes += mails[i].bytes;
        }
        tell(mailbox);
    }
    uv_mutex_unlock(&mailbox->lock);
    return rc;
}

int etcd__mailbox_put(etcd__mailbox *mailbox, void *response, size_t bytes)
{
    return etcd__mailbox_put_many(mailbox, &(const etcd__mail){response, bytes}, 1);
}

size_t etcd__mailbox_end(etcd__mailbox *mailbox, const etcd_error *why, bool drop)
{
    size_t dropped;

    uv_mutex_lock(&mailbox->lock);
    dropped = drop ? mailbox->bytes : 0;
    while (drop && mailbox->n > 0)
        etcd_response_free(pop(mailbox).response);
    if (mailbox->end == ETCD_OK) {
        mailbox->end = why->code;
        mailbox->why = etcd__malloc(sizeof *why);
        if (mailbox->why != NULL)
            *mailbox->why = *why;
    }
    tell(mailbox);
    uv_mutex_unlock(&mailbox->lock);
    return dropped;
}

bool etcd__mailbox_drop_oldest(etcd__mailbox *mailbox)
{
    void *response = NULL;

    uv_mutex_lock(&mailbox->lock);
    if (mailbox->n > 0)
        response = pop(mailbox).response;
    tell(mailbox);
    uv_mutex_unlock(&mailbox->lock);
    etcd_response_free(response);
    return response != NULL;
}

/* --- the consumer ----------------------------------------------------------------------------- */

/* What is there to take: a response, or the end. Lock held. ETCD_ERR_TIMED_OUT: nothing. */
static int take_now(etcd__mailbox *mailbox, void **out, etcd_error *err)
{
    if (mailbox->n > 0) {
        *out = pop(mailbox).response;
        mailbox->more = mailbox->n > 0;
        if (!mailbox->more && mailbox->end == ETCD_OK)
            etcd__notify_fd_set(&mailbox->notify, false);
        return ETCD_OK;
    }
    if (mailbox->end == ETCD_OK)
        return ETCD_ERR_TIMED_OUT;
    if (mailbox->why == NULL)
        return etcd__error_set(err, mailbox->end, "%s", etcd_error_text(mailbox->end));
    if (err != NULL)
        *err = *mailbox->why;
    return mailbox->end;
}

/* Lock held at entry and exit. */
static void wait_for_more(etcd__mailbox *mailbox, int64_t left)
{
    etcd_client *client = mailbox->client;

    if (client->manual) {
        uv_mutex_unlock(&mailbox->lock);
        etcd__driver_turn(client, left);
        uv_mutex_lock(&mailbox->lock);
        return;
    }
    mailbox->waiting = true;
    if (left < 0)
        uv_cond_wait(&mailbox->changed, &mailbox->lock);
    else
        (void)uv_cond_timedwait(&mailbox->changed, &mailbox->lock, (uint64_t)left);
    mailbox->waiting = false;
}

/* When there is nothing yet. Lock held. */
static int take_later(etcd__mailbox *mailbox, int64_t timeout_ms, void **out, etcd_error *err)
{
    etcd_client *client = mailbox->client;
    int64_t until = etcd__clock_after(etcd__clock_monotonic(), etcd__clock_from_ms(timeout_ms));
    int64_t left = timeout_ms < 0 ? -1 : etcd__clock_from_ms(timeout_ms);
    bool may_wait = timeout_ms != 0 || client->manual;
    int rc;

    while ((rc = take_now(mailbox, out, err)) == ETCD_ERR_TIMED_OUT && may_wait) {
        if (etcd__client_in_callback(client))
            return timeout_ms == 0 ? rc : etcd__error_set(err, ETCD_ERR_IN_CALLBACK, "%s", etcd_error_text(ETCD_ERR_IN_CALLBACK));
        wait_for_more(mailbox, left);
        if (timeout_ms >= 0) {
            left = until - etcd__clock_monotonic();
            may_wait = left > 0;
        }
    }
    return rc;
}

int etcd__mailbox_take(etcd__mailbox *mailbox, int64_t timeout_ms, void **out, etcd_error *err)
{
    etcd_client *client = mailbox->client;
    int rc = etcd__client_check(client, err);

    *out = NULL;
    if (rc == ETCD_ERR_FORKED)
        return rc;
    uv_mutex_lock(&mailbox->lock);
    rc = take_now(mailbox, out, err);
    if (rc == ETCD_ERR_TIMED_OUT) {
        etcd__client_ref(client); /* in manual mode a callback may free it */
        rc = take_later(mailbox, timeout_ms, out, err);
        uv_mutex_unlock(&mailbox->lock);
        etcd__client_unref(client);
    } else {
        uv_mutex_unlock(&mailbox->lock);
    }
    if (rc == ETCD_OK)
        etcd__error_clear(err);
    else if (rc == ETCD_ERR_TIMED_OUT)
        etcd__error_set(err, rc, "%s", etcd_error_text(rc));
    return rc;
}

int etcd__mailbox_poll(etcd__mailbox *mailbox, void **out, etcd_error *err)
{
    int rc;

    *out = NULL;
    uv_mutex_lock(&mailbox->lock);
    rc = take_now(mailbox, out, err);
    uv_mutex_unlock(&mailbox->lock);
    return rc;
}

size_t etcd__mailbox_bytes(etcd__mailbox *mailbox)
{
    size_t bytes;

    uv_mutex_lock(&mailbox->lock);
    bytes = mailbox->bytes;
    uv_mutex_unlock(&mailbox->lock);
    return bytes;
}

size_t etcd__mailbox_count(etcd__mailbox *mailbox)
{
    size_t n;

    uv_mutex_lock(&mailbox->lock);
    n = mailbox->n;
    uv_mutex_unlock(&mailbox->lock);
    return n;
}

int etcd__mailbox_fd(etcd__mailbox *mailbox)
{
    int fd = etcd__client_check(mailbox->client, NULL);

    if (fd == ETCD_ERR_FORKED)
        return fd;
    uv_mutex_lock(&mailbox->lock);
    fd = mailbox->notify.fd;
    if (fd < 0 && (fd = etcd__notify_fd_open(&mailbox->notify, NULL)) == ETCD_OK) {
        fd = mailbox->notify.fd;
        tell(mailbox);
    }
    uv_mutex_unlock(&mailbox->lock);
    return fd;
}
