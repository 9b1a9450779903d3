/* The keys of an STM: what was read of each, and what is to be written. Sorted by key, one entry each; an entry does not
 * move. One thread at a time. */
#ifndef ETCD__RECIPE_STM_SET_H
#define ETCD__RECIPE_STM_SET_H

#include <etcd3/txn.h>

typedef struct etcd__stm_entry {
    /* from the store */
    bool wanted;       /* is to be read by the next request */
    bool known;        /* `kv` and `revision` are: read in this attempt, or ahead for it */
    bool read;         /* the present run depends on it */
    const etcd_kv *kv; /* of a response that is held; NULL: does not exist */
    int64_t revision;  /* as of which that is */
    size_t value_size; /* what counts for it */
    /* of the present run */
    etcd_op *write;          /* owned; NULL: none */
    const etcd_bytes *value; /* that `write` puts; NULL: it deletes */
    size_t key_len;
    char key[]; /* and a NUL */
} etcd__stm_entry;

typedef struct etcd__stm_set {
    etcd__stm_entry **entries;
    size_t n, room;
    size_t bytes; /* of entries and values */
} etcd__stm_set;

/** The entry of a key, made when there is none; NULL when out of memory. */
etcd__stm_entry *etcd__stm_set_take(etcd__stm_set *set, const char *key, size_t key_len);

/** Records what was read. */
void etcd__stm_set_learn(etcd__stm_set *set, etcd__stm_entry *entry, const etcd_kv *kv, int64_t revision);

/** Drops all writes and which keys were read: before the function runs. */
void etcd__stm_set_restart(etcd__stm_set *set);

/** Forgets what is known, and the keys that the last run has not read. Those that it has are wanted. */
void etcd__stm_set_forget(etcd__stm_set *set);

void etcd__stm_set_free(etcd__stm_set *set);

#endif
