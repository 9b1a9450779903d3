/* Small responses of a watch that become one: every event in order, the position of the last, and nothing lost when an
 * allocation fails. */
#include "harness/alloc.h"
#include "harness/test.h"

#include "base/alloc.h"
#include "service/watch_hub.h"
#include "wire/response.h"

#include <stdio.h>
#include <string.h>

/* A delivery of one put of the key "k<revision>" with a value of `len` bytes, and the value before when `prev`. */
static etcd__watch_delivery *put_of(int64_t revision, size_t len, bool prev)
{
    etcd__watch_delivery *delivery = etcd__response_new(sizeof *delivery);
    etcd__arena *arena = etcd__response_arena(delivery);
    etcd_event *event = etcd__arena_calloc(arena, 1, sizeof *event);
    etcd_kv *kv = etcd__arena_calloc(arena, 2, sizeof *kv);
    char *key = etcd__arena_alloc(arena, 32), *value = etcd__arena_calloc(arena, 1, len + 1);

    (void)snprintf(key, 32, "k%lld", (long long)revision);
    memset(value, 'v', len);
    kv[0] = (etcd_kv){.key = {key, strlen(key)}, .value = {value, len}, .mod_revision = revision, .version = 1};
    kv[1] = (etcd_kv){.key = {key, strlen(key)}, .value = {"before", 6}, .mod_revision = 1};
    event->kv = &kv[0];
    event->prev_kv = prev ? &kv[1] : NULL;
    delivery->response = (etcd_watch_response){.header = {.revision = revision + 100},
                                               .type = ETCD_WATCH_EVENTS,
                                               .revision = revision,
                                               .events = event,
                                               .n_events = 1,
                                               .reason = {"", 0}};
    delivery->next = revision + 1;
    delivery->bytes = arena->allocated;
    etcd__list_init(&delivery->node);
    return delivery;
}

static void offer(etcd__list *queue, etcd__watch_delivery *delivery)
{
    if (!etcd__watch_merge(queue, delivery))
        etcd__list_push_back(queue, &delivery->node);
}

/* The queue holds the revisions from `first` to `last`, once each and in order. Frees it; returns how many responses there
 * were. */
static int check_queue(etcd__list *queue, int64_t first, int64_t last, size_t len, bool prev)
{
    etcd__list *node;
    int responses = 0;
    char key[32];

    while ((node = etcd__list_pop_front(queue)) != NULL) {
        etcd__watch_delivery *delivery = ETCD__CONTAINER_OF(node, etcd__watch_delivery, node);
        const etcd_watch_response *response = &delivery->response;

        for (size_t i = 0; i < response->n_events; i++, first++) {
            const etcd_event *event = &response->events[i];

            (void)snprintf(key, sizeof key, "k%lld", (long long)first);
            assert_int_equal(event->kv->mod_revision, first);
            assert_string_equal(event->kv->key.data, key);
            assert_int_equal(event->kv->value.len, len);
            assert_int_equal(strspn(event->kv->value.data, "v"), len);
            assert_int_equal(event->prev_kv != NULL, prev);
            if (prev)
                assert_string_equal(event->prev_kv->value.data, "before");
        }
        assert_int_equal(response->revision, first - 1);
        assert_int_equal(response->header.revision, first - 1 + 100);
        assert_int_equal(delivery->next, first);
        assert_true(delivery->bytes > 0);
        etcd_response_free(delivery);
        responses++;
    }
    assert_int_equal(first, last + 1);
    return responses;
}

static void small_responses_become_one(void **state)
{
    (void)state;
    for (int prev = 0; prev < 2; prev++) {
        etcd__list queue;

        etcd__list_init(&queue);
        for (int64_t revision = 1; revision <= 100; revision++)
            offer(&queue, put_of(revision, 20, prev));
        assert_int_equal(check_queue(&queue, 1, 100, 20, prev), 1);
    }
}

static void large_responses_stay_by_themselves(void **state)
{
    etcd__list queue;

    (void)state;
    etcd__list_init(&queue);
    for (int64_t revision = 1; revision <= 10; revision++)
        offer(&queue, put_of(revision, 5000, false));
    assert_int_equal(check_queue(&queue, 1, 10, 5000, false), 10);
}

static void a_batch_has_an_end(void **state)
{
    etcd__list queue;
    int responses;

    (void)state;
    etcd__list_init(&queue);
    for (int64_t revision = 1; revision <= 5000; revision++)
        offer(&queue, put_of(revision, 100, false));
    responses = check_queue(&queue, 1, 5000, 100, false);
    assert_true(responses > 5 && responses < 100);
}

static void other_responses_keep_their_place(void **state)
{
    etcd__watch_delivery *progress;
    etcd__list queue;

    (void)state;
    etcd__list_init(&queue);
    offer(&queue, put_of(1, 1, false));
    offer(&queue, put_of(2, 1, false));
    progress = etcd__response_new(sizeof *progress);
    progress->response.type = ETCD_WATCH_PROGRESS;
    progress->response.revision = 2;
    progress->response.header.revision = 102;
    progress->next = 3;
    progress->bytes = 1;
    offer(&queue, progress);
    offer(&queue, put_of(3, 1, false));
    offer(&queue, put_of(4, 1, false));
    assert_int_equal(check_queue(&queue, 1, 4, 1, false), 3);
}

/* Every allocation of a merge fails once: the events are all there all the same. */
static void failing_allocations_cost_nothing(void **state)
{
    bool failed = true;

    (void)state;
    etcd_test_alloc_install();
    for (size_t at = 1; failed; at++) {
        etcd__watch_delivery *deliveries[40];
        etcd__list queue;

        etcd__list_init(&queue);
        for (int i = 0; i < 40; i++)
            deliveries[i] = put_of(i + 1, 200, true);
        etcd_test_alloc_fail_at(at);
        for (int i = 0; i < 40; i++)
            offer(&queue, deliveries[i]);
        failed = etcd_test_alloc_failed();
        etcd_test_alloc_fail_at(0);
        (void)check_queue(&queue, 1, 40, 200, true);
        assert_int_equal(etcd_test_alloc_live(), 0);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(small_responses_become_one),
    cmocka_unit_test(large_responses_stay_by_themselves),
    cmocka_unit_test(a_batch_has_an_end),
    cmocka_unit_test(other_responses_keep_their_place),
    cmocka_unit_test(failing_allocations_cost_nothing),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
