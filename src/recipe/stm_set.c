/* See stm_set.h. Transactions have 128 keys or so: a sorted array will do. */
#include "recipe/stm_set.h"

#include "base/alloc.h"

#include <string.h>

static int compare(const etcd__stm_entry *entry, const char *key, size_t key_len)
{
    size_t shorter = entry->key_len < key_len ? entry->key_len : key_len;
    int order = shorter > 0 ? memcmp(entry->key, key, shorter) : 0;

    if (order != 0)
        return order;
    return (entry->key_len > key_len) - (entry->key_len < key_len);
}

/* Where the key is or belongs. */
static size_t find(const etcd__stm_set *set, const char *key, size_t key_len)
{
    size_t low = 0, high = set->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (compare(set->entries[middle], key, key_len) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool make_room(etcd__stm_set *set)
{
    size_t room = set->room ? set->room * 2 : 16;
    etcd__stm_entry **entries;

    if (set->n < set->room)
        return true;
    entries = etcd__realloc(set->entries, room * sizeof(etcd__stm_entry *));
    if (entries == NULL)
        return false;
    set->entries = entries;
    set->room = room;
    return true;
}

etcd__stm_entry *etcd__stm_set_take(etcd__stm_set *set, const char *key, size_t key_len)
{
    size_t at = find(set, key, key_len), size = sizeof(etcd__stm_entry) + key_len + 1;
    etcd__stm_entry *entry;

    if (at < set->n && compare(set->entries[at], key, key_len) == 0)
        return set->entries[at];
    if (!make_room(set) || (entry = etcd__calloc(1, size)) == NULL)
        return NULL;
    if (key_len > 0)
        memcpy(entry->key, key, key_len);
    entry->key_len = key_len;
    memmove(set->entries + at + 1, set->entries + at, (set->n - at) * sizeof(etcd__stm_entry *));
    set->entries[at] = entry;
    set->n++;
    set->bytes += size;
    return entry;
}

void etcd__stm_set_learn(etcd__stm_set *set, etcd__stm_entry *entry, const etcd_kv *kv, int64_t revision)
{
    set->bytes -= entry->value_size;
    entry->value_size = kv ? kv->value.len : 0;
    set->bytes += entry->value_size;
    entry->kv = kv;
    entry->revision = revision;
    entry->known = true;
    entry->wanted = false;
}

static void drop_write(etcd__stm_entry *entry)
{
    etcd_op_free(entry->write);
    entry->write = NULL;
    entry->value = NULL;
}

void etcd__stm_set_restart(etcd__stm_set *set)
{
    for (size_t i = 0; i < set->n; i++) {
        drop_write(set->entries[i]);
        set->entries[i]->read = false;
    }
}

static void free_entry(etcd__stm_set *set, etcd__stm_entry *entry)
{
    set->bytes -= sizeof *entry + entry->key_len + 1 + entry->value_size;
    drop_write(entry);
    etcd__free(entry);
}

void etcd__stm_set_forget(etcd__stm_set *set)
{
    size_t kept = 0;

    for (size_t i = 0; i < set->n; i++) {
        etcd__stm_entry *entry = set->entries[i];

        if (!entry->read) {
            free_entry(set, entry);
            continue;
        }
        etcd__stm_set_learn(set, entry, NULL, 0);
        entry->known = false;
        entry->wanted = true;
        set->entries[kept++] = entry;
    }
    set->n = kept;
}

void etcd__stm_set_free(etcd__stm_set *set)
{
    for (size_t i = 0; i < set->n; i++)
        free_entry(set, set->entries[i]);
    etcd__free(set->entries);
    memset(set, 0, sizeof *set);
}
