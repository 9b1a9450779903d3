/* Intrusive pairing heap ordered by a 64-bit key, smallest first; for timers. No operation allocates or fails.
 * Insert is O(1), remove is O(log n) amortised. See Fredman, Sedgewick, Sleator, Tarjan: "The pairing heap" (1986). */
#ifndef ETCD__BASE_HEAP_H
#define ETCD__BASE_HEAP_H

#include <stdbool.h>
#include <stdint.h>

typedef struct etcd__heap_node {
    struct etcd__heap_node *child;   /* first child */
    struct etcd__heap_node *sibling; /* next child of the same parent */
    struct etcd__heap_node *back;    /* previous sibling, or the parent of a first child; NULL for the root */
    int64_t key;
    bool linked;
} etcd__heap_node;

typedef struct etcd__heap {
    etcd__heap_node *root; /* the smallest, or NULL */
} etcd__heap;

/** Adds a node that is in no heap. Nodes of equal keys come out in any order. */
void etcd__heap_insert(etcd__heap *heap, etcd__heap_node *node, int64_t key);

/** Takes a node out; nothing happens when it is in no heap. */
void etcd__heap_remove(etcd__heap *heap, etcd__heap_node *node);

#endif
