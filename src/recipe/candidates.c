/* See candidates.h. */
#include "recipe/candidates.h"

#include "base/alloc.h"

#include <etcd3/error.h>
#include <string.h>

static void drop(etcd__candidate *candidate)
{
    etcd__free(candidate->key);
    etcd__free(candidate->value);
}

static size_t find(const etcd__candidates *all, const etcd_bytes *key)
{
    size_t i;

    for (i = 0; i < all->n; i++)
        if (all->items[i].key_len == key->len && memcmp(all->items[i].key, key->data, key->len) == 0)
            break;
    return i;
}

static int reserve(etcd__candidates *all)
{
    size_t room = all->room ? all->room * 2 : 8;
    etcd__candidate *items;

    if (all->n < all->room)
        return ETCD_OK;
    items = etcd__realloc(all->items, room * sizeof *items);
    if (items == NULL)
        return ETCD_ERR_NO_MEMORY;
    all->items = items;
    all->room = room;
    return ETCD_OK;
}

int etcd__candidates_put(etcd__candidates *all, const etcd_kv *kv)
{
    etcd__candidate candidate = {.key = etcd__strndup(kv->key.data, kv->key.len),
                                 .value = etcd__strndup(kv->value.data, kv->value.len),
                                 .key_len = kv->key.len,
                                 .value_len = kv->value.len,
                                 .create_revision = kv->create_revision,
                                 .mod_revision = kv->mod_revision,
                                 .version = kv->version,
                                 .lease = kv->lease};
    size_t i = find(all, &kv->key);

    if (candidate.key == NULL || candidate.value == NULL || (i == all->n && reserve(all) < 0)) {
        drop(&candidate);
        return ETCD_ERR_NO_MEMORY;
    }
    if (i < all->n)
        drop(&all->items[i]);
    else
        all->n++;
    all->items[i] = candidate;
    return ETCD_OK;
}

void etcd__candidates_delete(etcd__candidates *all, const etcd_bytes *key)
{
    size_t i = find(all, key);

    if (i == all->n)
        return;
    drop(&all->items[i]);
    all->items[i] = all->items[--all->n];
}

static bool is_before(const etcd__candidate *a, const etcd__candidate *b)
{
    int order;

    if (a->create_revision != b->create_revision)
        return a->create_revision < b->create_revision;
    order = memcmp(a->key, b->key, a->key_len < b->key_len ? a->key_len : b->key_len);
    return order != 0 ? order < 0 : a->key_len < b->key_len;
}

const etcd__candidate *etcd__candidates_first(const etcd__candidates *all)
{
    const etcd__candidate *first = NULL;

    for (size_t i = 0; i < all->n; i++)
        if (first == NULL || is_before(&all->items[i], first))
            first = &all->items[i];
    return first;
}

void etcd__candidates_clear(etcd__candidates *all)
{
    for (size_t i = 0; i < all->n; i++)
        drop(&all->items[i]);
    etcd__free(all->items);
    *all = (etcd__candidates){0};
}
