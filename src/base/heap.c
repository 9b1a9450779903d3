/* See heap.h. */
#include "base/heap.h"

#include <assert.h>
#include <stddef.h>

/* Joins two trees; the smaller root becomes the parent. Either may be NULL. */
static etcd__heap_node *meld(etcd__heap_node *a, etcd__heap_node *b)
{
    etcd__heap_node *swap;

    if (a == NULL)
        return b;
    if (b == NULL)
        return a;
    if (b->key < a->key) {
        swap = a;
        a = b;
        b = swap;
    }
    b->sibling = a->child;
    if (b->sibling != NULL)
        b->sibling->back = b;
    b->back = a;
    a->child = b;
    a->sibling = a->back = NULL;
    return a;
}

/* Joins a list of siblings into one tree: pairs from the left, then all from the right. */
static etcd__heap_node *meld_siblings(etcd__heap_node *first)
{
    etcd__heap_node *pairs = NULL, *tree = NULL, *second, *rest;

    while (first != NULL) {
        second = first->sibling;
        rest = second ? second->sibling : NULL;
        first->sibling = first->back = NULL;
        if (second != NULL)
            second->sibling = second->back = NULL;
        first = meld(first, second);
        first->sibling = pairs; /* a stack: `back` stays unset until the second pass */
        pairs = first;
        first = rest;
    }
    while (pairs != NULL) {
        rest = pairs->sibling;
        pairs->sibling = NULL;
        tree = meld(tree, pairs);
        pairs = rest;
    }
    return tree;
}

void etcd__heap_insert(etcd__heap *heap, etcd__heap_node *node, int64_t key)
{
    assert(!node->linked);
    node->child = node->sibling = node->back = NULL;
    node->key = key;
    node->linked = true;
    heap->root = meld(heap->root, node);
}

void etcd__heap_remove(etcd__heap *heap, etcd__heap_node *node)
{
    if (!node->linked)
        return;
    if (node == heap->root) {
        heap->root = meld_siblings(node->child);
    } else {
        if (node->back->child == node)
            node->back->child = node->sibling;
        else
            node->back->sibling = node->sibling;
        if (node->sibling != NULL)
            node->sibling->back = node->back;
        heap->root = meld(heap->root, meld_siblings(node->child));
    }
    node->linked = false;
}
