/* base/list.h and base/heap.h, the heap against a plain array. */
#include "base/heap.h"
#include "base/list.h"
#include "base/random.h"
#include "harness/test.h"

typedef struct item {
    int number;
    etcd__list node;
} item;

/* Asserts the numbers of a list, forwards and backwards, as the digits of `expected`. */
static void assert_list(const etcd__list *head, const char *expected)
{
    const etcd__list *node = head->next;
    size_t n = 0;

    for (; node != head; node = node->next, n++) {
        assert_int_equal(ETCD__CONTAINER_OF((etcd__list *)(uintptr_t)node, item, node)->number, expected[n] - '0');
        assert_ptr_equal(node->next->prev, node);
        assert_ptr_equal(node->prev->next, node);
    }
    assert_int_equal(expected[n], '\0');
}

static void list_keeps_order(void **state)
{
    etcd__list head;
    item items[6];

    (void)state;
    etcd__list_init(&head);
    assert_true(etcd__list_empty(&head));
    assert_null(etcd__list_pop_front(&head));
    for (int i = 0; i < 6; i++) {
        items[i].number = i;
        etcd__list_init(&items[i].node);
    }
    etcd__list_push_back(&head, &items[1].node);
    etcd__list_push_back(&head, &items[2].node);
    etcd__list_push_front(&head, &items[0].node);
    assert_list(&head, "012");
    etcd__list_remove(&items[1].node);
    etcd__list_remove(&items[1].node); /* in no list: nothing happens */
    assert_list(&head, "02");
    assert_ptr_equal(etcd__list_pop_front(&head), &items[0].node);
    assert_true(etcd__list_empty(&items[0].node));
    assert_list(&head, "2");
}

static void list_splices(void **state)
{
    etcd__list a, b;
    item items[4];

    (void)state;
    etcd__list_init(&a);
    etcd__list_init(&b);
    for (int i = 0; i < 4; i++) {
        items[i].number = i;
        etcd__list_push_back(i < 2 ? &a : &b, &items[i].node);
    }
    etcd__list_splice_back(&a, &b);
    assert_list(&a, "0123");
    assert_list(&b, "");
    etcd__list_splice_back(&a, &b);
    assert_list(&a, "0123");
    etcd__list_splice_back(&b, &a);
    assert_list(&a, "");
    assert_list(&b, "0123");
}

#define N_NODES 300

/* The smallest key of the nodes that are linked; INT64_MAX when none is. */
static int64_t smallest(const etcd__heap_node *nodes)
{
    int64_t least = INT64_MAX;

    for (int i = 0; i < N_NODES; i++)
        if (nodes[i].linked && nodes[i].key < least)
            least = nodes[i].key;
    return least;
}

static void heap_agrees_with_an_array(void **state)
{
    static etcd__heap_node nodes[N_NODES];
    etcd__heap heap = {NULL};
    etcd__random random = {7};
    const int64_t spread[] = {2, 50, INT64_MAX};

    (void)state;
    for (int step = 0; step < 60000; step++) {
        etcd__heap_node *node = &nodes[etcd__random_below(&random, N_NODES)];

        if (etcd__random_below(&random, 4) == 0 && heap.root != NULL)
            node = heap.root;
        if (node->linked)
            etcd__heap_remove(&heap, node);
        else
            etcd__heap_insert(&heap, node, (int64_t)etcd__random_below(&random, (uint64_t)spread[step % 3]) - 1);
        assert_int_equal(heap.root ? heap.root->key : INT64_MAX, smallest(nodes));
        assert_true(heap.root == NULL || heap.root->linked);
    }
}

static void heap_sorts(void **state)
{
    static etcd__heap_node nodes[5000];
    etcd__heap heap = {NULL};
    etcd__random random = {8};
    int64_t last = INT64_MIN;
    size_t n = 0;

    (void)state;
    for (size_t i = 0; i < 5000; i++)
        etcd__heap_insert(&heap, &nodes[i], (int64_t)etcd__random_next(&random));
    for (; heap.root != NULL; n++) {
        assert_true(heap.root->key >= last);
        last = heap.root->key;
        etcd__heap_remove(&heap, heap.root);
    }
    assert_int_equal(n, 5000);
}

static void heap_removes_what_is_not_in_it(void **state)
{
    etcd__heap heap = {NULL};
    etcd__heap_node a = {0}, b = {0};

    (void)state;
    etcd__heap_insert(&heap, &a, INT64_MAX);
    etcd__heap_remove(&heap, &b);
    assert_ptr_equal(heap.root, &a);
    etcd__heap_insert(&heap, &b, INT64_MIN);
    assert_ptr_equal(heap.root, &b);
    etcd__heap_remove(&heap, &a);
    etcd__heap_remove(&heap, &a);
    etcd__heap_remove(&heap, &b);
    assert_null(heap.root);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(list_keeps_order),
    cmocka_unit_test(list_splices),
    cmocka_unit_test(heap_agrees_with_an_array),
    cmocka_unit_test(heap_sorts),
    cmocka_unit_test(heap_removes_what_is_not_in_it),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
