/* See buf.h. */
#include "base/buf.h"

#include "base/alloc.h"

#include <assert.h>
#include <etcd3/error.h>
#include <string.h>

#define MIN_CAP 256

int etcd__buf_reserve(etcd__buf *buf, size_t extra)
{
    size_t need, cap;
    uint8_t *grown;

    if (extra <= buf->cap - buf->len)
        return ETCD_OK;
    if (buf->len > buf->max || extra > buf->max - buf->len)
        return ETCD_ERR_TOO_LARGE;
    need = buf->len + extra;
    cap = buf->cap < MIN_CAP ? MIN_CAP : buf->cap;
    while (cap < need)
        cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    if (cap > buf->max)
        cap = buf->max;
    grown = etcd__realloc(buf->data, cap);
    if (grown == NULL)
        return ETCD_ERR_NO_MEMORY;
    buf->data = grown;
    buf->cap = cap;
    return ETCD_OK;
}

int etcd__buf_append(etcd__buf *buf, const void *data, size_t len)
{
    int rc;

    if (len == 0)
        return ETCD_OK;
    rc = etcd__buf_reserve(buf, len);
    if (rc < 0)
        return rc;
    memcpy(buf->data + buf->len, data, len);
    buf->len += len;
    return ETCD_OK;
}

void etcd__buf_consume(etcd__buf *buf, size_t len)
{
    assert(len <= buf->len);
    buf->len -= len;
    if (buf->len > 0 && len > 0)
        memmove(buf->data, buf->data + len, buf->len);
}

void etcd__buf_free(etcd__buf *buf)
{
    etcd__free(buf->data);
    buf->data = NULL;
    buf->len = buf->cap = 0;
}
