/* Intrusive circular doubly-linked list: the node is a member of what is listed, so linking never allocates.
 *
 * A head is a node that is no element. A node that is in no list points to itself (after etcd__list_init), so
 * etcd__list_remove may be called on it at any time. */
#ifndef ETCD__BASE_LIST_H
#define ETCD__BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

typedef struct etcd__list {
    struct etcd__list *next;
    struct etcd__list *prev;
} etcd__list;

/** The struct of `type` whose member `member` is `*node`. */
/* clang-format off */
#define ETCD__CONTAINER_OF(node, type, member) ((type *)(void *)((char *)(node) - offsetof(type, member)))
/* clang-format on */

static inline void etcd__list_init(etcd__list *list)
{
    list->next = list->prev = list;
}

static inline bool etcd__list_empty(const etcd__list *list)
{
    return list->next == list;
}

static inline void etcd__list_push_back(etcd__list *head, etcd__list *node)
{
    node->next = head;
    node->prev = head->prev;
    head->prev->next = node;
    head->prev = node;
}

static inline void etcd__list_push_front(etcd__list *head, etcd__list *node)
{
    etcd__list_push_back(head->next, node);
}

/** Unlinks the node and leaves it in no list. */
static inline void etcd__list_remove(etcd__list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    etcd__list_init(node);
}

/** The first node, unlinked; NULL when the list is empty. */
static inline etcd__list *etcd__list_pop_front(etcd__list *head)
{
    etcd__list *node = head->next;

    if (node == head)
        return NULL;
    etcd__list_remove(node);
    return node;
}

/** Moves all nodes of `from` behind those of `head`; `from` is empty afterwards. */
static inline void etcd__list_splice_back(etcd__list *head, etcd__list *from)
{
    if (etcd__list_empty(from))
        return;
    from->next->prev = head->prev;
    head->prev->next = from->next;
    from->prev->next = head;
    head->prev = from->prev;
    etcd__list_init(from);
}

#endif
