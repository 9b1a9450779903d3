/* The candidates of an election, as a list and the watch behind it tell of them: who leads, and whether that is news. */
#ifndef ETCD__RECIPE_CANDIDATES_H
#define ETCD__RECIPE_CANDIDATES_H

#include <etcd3/types.h>

typedef struct etcd__candidate {
    char *key, *value;
    size_t key_len, value_len;
    int64_t create_revision, mod_revision, version, lease;
} etcd__candidate;

/** All zero at first. */
typedef struct etcd__candidates {
    etcd__candidate *items; /* in no order */
    size_t n, room;
} etcd__candidates;

/** A put of a key. ETCD_ERR_NO_MEMORY. */
int etcd__candidates_put(etcd__candidates *all, const etcd_kv *kv);
void etcd__candidates_delete(etcd__candidates *all, const etcd_bytes *key);

/** The oldest, of several of one revision the first by its key; NULL: there is none. */
const etcd__candidate *etcd__candidates_first(const etcd__candidates *all);

void etcd__candidates_clear(etcd__candidates *all);

#endif
