/* See traffic.h. */
#include "traffic.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WRITERS = 4, READERS = 4, WRITES_MAX = 100000, IMPATIENT_MS = 250, DEADLINE_SLACK_MS = 50, PATIENCE_MS = 30000 };

enum outcome { NOT_DONE = 0, DONE = 1, UNKNOWN = 2 };

/* Of one writer. The outcome of write n is that of key "w/<writer>/<n>". */
struct writer {
    struct traffic *traffic;
    int number;
    pthread_t thread;
    uint8_t outcomes[WRITES_MAX];
    size_t n;
    atomic_size_t last_done; /* n + 1; 0: none yet */
    uint64_t counted, perhaps_counted;
};

struct reader {
    struct traffic *traffic;
    int number;
    pthread_t thread;
};

struct traffic {
    etcd_client *client;
    struct traffic_options options;
    atomic_bool stopping;
    pthread_mutex_t lock; /* for what follows */
    int64_t marked_ms;
    struct traffic_figures figures;
    int64_t late_ms, late_timeout_ms; /* the call that was latest after its deadline */
    char complaint[256];              /* the first of a thread: only the main thread may fail a test */
    char unknown_reason[ETCD_ERROR_MESSAGE_MAX], read_error[ETCD_ERROR_MESSAGE_MAX];
    struct writer writers[WRITERS];
    struct reader readers[READERS];
};

static void complain(struct traffic *traffic, const char *key, const char *what, const char *message)
{
    pthread_mutex_lock(&traffic->lock);
    if (traffic->complaint[0] == '\0')
        (void)snprintf(traffic->complaint, sizeof traffic->complaint, "%s %s %.180s", key, what, message);
    pthread_mutex_unlock(&traffic->lock);
}

/* ---- one call ---- */

static void note_time(struct traffic *traffic, int64_t start_ms, int64_t timeout_ms)
{
    int64_t late = real_now_ms() - start_ms - timeout_ms;

    if (late > traffic->late_ms) {
        traffic->late_ms = late;
        traffic->late_timeout_ms = timeout_ms;
    }
}

static void note_success(const struct traffic *traffic, int64_t start_ms, int64_t *first, int64_t *longest, uint64_t *count)
{
    int64_t now = real_now_ms();

    if (now - start_ms > *longest)
        *longest = now - start_ms;
    if (start_ms < traffic->marked_ms)
        return;
    if (*count == 0)
        *first = now - traffic->marked_ms;
    (*count)++;
}

static enum outcome write_key(struct traffic *traffic, const char *key)
{
    int64_t timeout = traffic->options.write_timeout_ms, start = real_now_ms();
    struct traffic_figures *figures = &traffic->figures;
    etcd_error err;
    enum outcome outcome = DONE;

    if (etcd_put(traffic->client, ETCD_STR(key), ETCD_STR(key), ETCD_PUT(.call = ETCD_CALL(.timeout_ms = timeout)), NULL, &err) <
        0)
        outcome = err.flags & ETCD_ERROR_MAYBE_APPLIED ? UNKNOWN : NOT_DONE;
    pthread_mutex_lock(&traffic->lock);
    note_time(traffic, start, timeout);
    if (outcome == DONE)
        note_success(traffic, start, &figures->first_write_ms, &figures->longest_write_ms, &figures->writes);
    figures->refused_writes += outcome == NOT_DONE;
    figures->unknown_writes += outcome == UNKNOWN;
    if (outcome == UNKNOWN && traffic->unknown_reason[0] == '\0')
        memcpy(traffic->unknown_reason, err.message, sizeof err.message);
    pthread_mutex_unlock(&traffic->lock);
    return outcome;
}

static void *write_all(void *arg)
{
    struct writer *writer = arg;
    struct traffic *traffic = writer->traffic;
    char key[64];

    while (!atomic_load(&traffic->stopping) && writer->n < WRITES_MAX) {
        enum outcome outcome;

        (void)snprintf(key, sizeof key, "w/%d/%06zu", writer->number, writer->n);
        outcome = write_key(traffic, key);
        writer->outcomes[writer->n++] = (uint8_t)outcome;
        if (outcome == DONE)
            atomic_store(&writer->last_done, writer->n);
        if (writer->n % 3 == 0) {
            (void)snprintf(key, sizeof key, "c/%d", writer->number);
            outcome = write_key(traffic, key);
            writer->counted += outcome == DONE;
            writer->perhaps_counted += outcome == UNKNOWN;
        }
        real_sleep_ms(traffic->options.pause_ms);
    }
    real_end_of_thread();
    return NULL;
}

static void read_key(struct traffic *traffic, const char *key, bool patient)
{
    int64_t timeout = patient ? traffic->options.read_timeout_ms : IMPATIENT_MS, start = real_now_ms();
    struct traffic_figures *figures = &traffic->figures;
    etcd_get_response *get;
    etcd_error err;
    int rc = etcd_get(traffic->client, ETCD_STR(key), ETCD_GET(.call = ETCD_CALL(.timeout_ms = timeout)), &get, &err);

    if (rc == ETCD_OK && get->n_kvs != 1)
        complain(traffic, key, "is done but", "not there");
    else if (rc == ETCD_OK && get->kvs[0].version != 1)
        complain(traffic, key, "was applied", "twice");
    else if (rc < 0 && (err.flags & ETCD_ERROR_MAYBE_APPLIED))
        complain(traffic, key, "is read, which cannot be MAYBE_APPLIED:", err.message);
    pthread_mutex_lock(&traffic->lock);
    note_time(traffic, start, timeout);
    if (rc == ETCD_OK && patient)
        note_success(traffic, start, &figures->first_read_ms, &figures->longest_read_ms, &figures->reads);
    if (rc < 0 && patient) {
        figures->failed_reads++;
        memcpy(traffic->read_error, err.message, sizeof err.message);
    }
    pthread_mutex_unlock(&traffic->lock);
    etcd_response_free(get);
}

static void *read_all(void *arg)
{
    const struct reader *reader = arg;
    struct traffic *traffic = reader->traffic;
    char key[64];

    for (int i = reader->number; !atomic_load(&traffic->stopping); i++) {
        size_t done = atomic_load(&traffic->writers[i % WRITERS].last_done);

        if (done > 0) {
            (void)snprintf(key, sizeof key, "w/%d/%06zu", i % WRITERS, done - 1);
            read_key(traffic, key, reader->number != 0);
        }
        real_sleep_ms(traffic->options.pause_ms);
    }
    real_end_of_thread();
    return NULL;
}

/* ---- from start to mark to end ---- */

struct traffic *traffic_start(etcd_client *client, const struct traffic_options *options)
{
    struct traffic *traffic = calloc(1, sizeof *traffic);

    assert_non_null(traffic);
    real_watch();
    traffic->client = client;
    if (options != NULL)
        traffic->options = *options;
    if (traffic->options.write_timeout_ms == 0)
        traffic->options.write_timeout_ms = 1500;
    if (traffic->options.read_timeout_ms == 0)
        traffic->options.read_timeout_ms = 20000 * real_slowdown();
    if (traffic->options.pause_ms == 0)
        traffic->options.pause_ms = 2;
    pthread_mutex_init(&traffic->lock, NULL);
    for (int i = 0; i < WRITERS; i++) {
        traffic->writers[i].traffic = traffic;
        traffic->writers[i].number = i;
        assert_int_equal(pthread_create(&traffic->writers[i].thread, NULL, write_all, &traffic->writers[i]), 0);
    }
    for (int i = 0; i < READERS; i++) {
        traffic->readers[i].traffic = traffic;
        traffic->readers[i].number = i;
        assert_int_equal(pthread_create(&traffic->readers[i].thread, NULL, read_all, &traffic->readers[i]), 0);
    }
    traffic_await(traffic, 50, 50);
    return traffic;
}

void traffic_mark(struct traffic *traffic)
{
    pthread_mutex_lock(&traffic->lock);
    memset(&traffic->figures, 0, sizeof traffic->figures);
    traffic->marked_ms = real_now_ms();
    pthread_mutex_unlock(&traffic->lock);
}

void traffic_await(struct traffic *traffic, uint64_t reads, uint64_t writes)
{
    int64_t start = real_now_ms();
    bool enough = false;

    while (!enough) {
        pthread_mutex_lock(&traffic->lock);
        enough = traffic->figures.reads >= reads && traffic->figures.writes >= writes;
        pthread_mutex_unlock(&traffic->lock);
        if (!enough && real_now_ms() - start > PATIENCE_MS * real_slowdown())
            fail_msg("%" PRIu64 " reads and %" PRIu64 " writes went through; last \"%s\", \"%s\"", traffic->figures.reads,
                     traffic->figures.writes, traffic->read_error, traffic->unknown_reason);
        real_sleep_ms(2);
    }
}

/* ---- the proof ---- */

static void check_pair(const struct traffic *traffic, const etcd_kv *kv, uint64_t done[WRITERS])
{
    size_t number = (size_t)strtoull(kv->key.data + 4, NULL, 10);
    const struct writer *writer = &traffic->writers[kv->key.data[2] - '0'];

    if (kv->version != 1)
        fail_msg("%s was written %" PRId64 " times", kv->key.data, kv->version);
    assert_true(number < writer->n);
    if (writer->outcomes[number] == NOT_DONE)
        fail_msg("%s was said not to be written", kv->key.data);
    done[writer->number] += writer->outcomes[number] == DONE;
}

/* The store holds each write that is done once, and none that is not. */
static void check_keys(const struct traffic *traffic, etcd_client *checker)
{
    uint64_t done[WRITERS] = {0};
    etcd_get_response *page;
    etcd_range *range;
    etcd_error err;

    assert_ok(etcd_range_open(checker, ETCD_STR("w/"), ETCD_GET(.prefix = true), &range, &err), &err);
    for (;;) {
        assert_ok(etcd_range_next(range, &page, &err), &err);
        if (page == NULL)
            break;
        for (size_t i = 0; i < page->n_kvs; i++)
            check_pair(traffic, &page->kvs[i], done);
        etcd_response_free(page);
    }
    etcd_range_free(range);
    for (int i = 0; i < WRITERS; i++) {
        uint64_t told = 0;

        for (size_t n = 0; n < traffic->writers[i].n; n++)
            told += traffic->writers[i].outcomes[n] == DONE;
        assert_int_equal(done[i], told);
    }
}

static void check_counter(const struct writer *writer, etcd_client *checker)
{
    etcd_get_response *get;
    uint64_t version;
    char key[16];

    (void)snprintf(key, sizeof key, "c/%d", writer->number);
    get = real_get(checker, key, NULL);
    version = get->n_kvs > 0 ? (uint64_t)get->kvs[0].version : 0;
    if (version < writer->counted || version > writer->counted + writer->perhaps_counted)
        fail_msg("%s was applied %" PRIu64 " times: %" PRIu64 " are done, %" PRIu64 " unknown", key, version, writer->counted,
                 writer->perhaps_counted);
    etcd_response_free(get);
}

static void stop(struct traffic *traffic)
{
    atomic_store(&traffic->stopping, true);
    for (int i = 0; i < WRITERS; i++)
        pthread_join(traffic->writers[i].thread, NULL);
    for (int i = 0; i < READERS; i++)
        pthread_join(traffic->readers[i].thread, NULL);
}

static void print_figures(const struct traffic *traffic, const char *fault)
{
    const struct traffic_figures *f = &traffic->figures;

    print_message("%s: reads: first after %" PRId64 " ms, longest %" PRId64 " ms, %" PRIu64 " done, %" PRIu64
                  " failed; writes: first after %" PRId64 " ms, longest %" PRId64 " ms, %" PRIu64 " done, %" PRIu64
                  " refused, %" PRIu64 " unknown; latest %" PRId64 " ms after a deadline\n",
                  fault, f->first_read_ms, f->longest_read_ms, f->reads, f->failed_reads, f->first_write_ms, f->longest_write_ms,
                  f->writes, f->refused_writes, f->unknown_writes, traffic->late_ms);
    if (f->unknown_writes > 0)
        print_message("    first unknown: %s\n", traffic->unknown_reason);
}

struct traffic_figures traffic_end(struct traffic *traffic, etcd_client *checker, const char *fault)
{
    struct traffic_figures figures;

    stop(traffic);
    figures = traffic->figures;
    print_figures(traffic, fault);
    if (traffic->complaint[0] != '\0')
        fail_msg("%s", traffic->complaint);
    if (traffic->late_ms > 0)
        assert_took(real_now_ms() - traffic->late_ms, 0, DEADLINE_SLACK_MS);
    check_keys(traffic, checker);
    for (int i = 0; i < WRITERS; i++)
        check_counter(&traffic->writers[i], checker);
    if (figures.failed_reads > 0)
        fail_msg("%" PRIu64 " reads failed: %s", figures.failed_reads, traffic->read_error);
    pthread_mutex_destroy(&traffic->lock);
    free(traffic);
    return figures;
}
