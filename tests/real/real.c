/* See real.h. */
#include "real.h"

#include <dirent.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 60000 /* of what must succeed, however busy the machine is */
#define BEAT_MS 5

static const etcd_call_options patient = {.size = sizeof patient, .timeout_ms = PATIENCE_MS};
static struct etcd_server *shared;

static void stop_shared(void)
{
    etcd_server_stop(shared);
    shared = NULL;
}

struct etcd_server *real_server(void)
{
    if (shared == NULL) {
        shared = etcd_server_start(NULL);
        if (shared == NULL)
            fail_msg("etcd did not start");
        atexit(stop_shared);
    }
    return shared;
}

etcd_client *real_client_with(const etcd_client_options *options)
{
    etcd_client_options with = *options;
    etcd_client *client;
    etcd_error err;

    if (with.endpoints == NULL)
        with.endpoints = etcd_server_endpoints(real_server());
    assert_ok(etcd_client_new(&with, &client, &err), &err);
    assert_non_null(client);
    return client;
}

etcd_client *real_client(void)
{
    etcd_client *client = real_client_with(ETCD_CLIENT(.request_timeout_ms = PATIENCE_MS));
    etcd_error err;

    assert_ok(etcd_delete(client, "", 0, ETCD_DELETE(.prefix = true), NULL, &err), &err);
    return client;
}

int64_t real_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void real_sleep_ms(int64_t ms)
{
    struct timespec wait = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    nanosleep(&wait, NULL);
}

int64_t real_slowdown(void)
{
    const char *text = getenv("ETCD3_TEST_SLOWDOWN");
    int64_t slowdown = text != NULL ? strtoll(text, NULL, 10) : 1;

    return slowdown > 0 ? slowdown : 1;
}

/* ---- time ---- */

static atomic_int_fast64_t delay_of_ended_ns, watched_since_ns, late_ns, beats;

/* How long a thread was ready to run but had no processor; 0 where the kernel does not tell. */
static int64_t read_delay(const char *task)
{
    char path[64];
    int64_t delay = 0;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%.40s/schedstat", task);
    file = fopen(path, "re");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%*d %" SCNd64, &delay) != 1)
        delay = 0;
    fclose(file);
    return delay;
}

/* Of all threads of this process, also of those that have ended (and said so). */
static int64_t total_delay_ns(void)
{
    int64_t total = atomic_load(&delay_of_ended_ns);
    DIR *tasks = opendir("/proc/self/task");
    const struct dirent *entry;
    char task[64];

    while (tasks != NULL && (entry = readdir(tasks)) != NULL) {
        snprintf(task, sizeof task, "self/task/%.20s", entry->d_name);
        total += entry->d_name[0] != '.' ? read_delay(task) : 0;
    }
    if (tasks != NULL)
        closedir(tasks);
    return total;
}

/* What another machine on the same processors took from this one, on all of them; 0 where the kernel does not tell. */
static int64_t stolen_ns(void)
{
    FILE *file = fopen("/proc/stat", "re");
    int64_t ticks = 0;

    if (file == NULL)
        return 0;
    if (fscanf(file, "cpu %*d %*d %*d %*d %*d %*d %*d %" SCNd64, &ticks) != 1)
        ticks = 0;
    fclose(file);
    return ticks * (1000000000 / sysconf(_SC_CLK_TCK));
}

/* Sees the machine pause: a thread that has nothing to do but to wake up in time. */
static void *beat(void *arg)
{
    (void)arg;
    for (;;) {
        struct timespec start, end, wait = {.tv_nsec = BEAT_MS * 1000000};
        int64_t late;

        clock_gettime(CLOCK_MONOTONIC, &start);
        nanosleep(&wait, NULL);
        clock_gettime(CLOCK_MONOTONIC, &end);
        late = (int64_t)(end.tv_sec - start.tv_sec) * 1000000000 + end.tv_nsec - start.tv_nsec - wait.tv_nsec;
        if (late > 1000000)
            atomic_fetch_add(&late_ns, late);
        atomic_fetch_add(&beats, 1);
    }
    return NULL;
}

static void start_beat(void)
{
    static bool started;
    pthread_t thread;

    if (started)
        return;
    started = true;
    assert_int_equal(pthread_create(&thread, NULL, beat, NULL), 0);
    pthread_detach(thread);
}

/* All that was not the library's to use. */
static int64_t lost_ns(void)
{
    return total_delay_ns() + stolen_ns() + atomic_load(&late_ns);
}

void real_end_of_thread(void)
{
    atomic_fetch_add(&delay_of_ended_ns, read_delay("thread-self"));
}

int64_t real_watch(void)
{
    start_beat();
    atomic_store(&watched_since_ns, lost_ns());
    return real_now_ms();
}

void real_assert_took(int64_t start, int64_t at_least, int64_t more, const char *file, int line)
{
    int64_t took = real_now_ms() - start, delay, ended = atomic_load(&beats);

    if (took >= at_least - 1 && took <= at_least + more * real_slowdown())
        return;
    start_beat();
    while (atomic_load(&beats) == ended) /* a pause that has just ended is not told yet */
        real_sleep_ms(1);
    delay = (lost_ns() - atomic_load(&watched_since_ns)) / 1000000;
    if (took >= at_least - 1 && took <= at_least + more * real_slowdown() + delay)
        return;
    print_error("%s:%d: took %" PRId64 " ms, not %" PRId64 " to %" PRId64 "; %" PRId64 " ms of it without a processor\n", file,
                line, took, at_least, at_least + more * real_slowdown(), delay);
    _fail(file, line);
}

/* ---- what tests expect ---- */

void real_assert_code(int rc, int code, const etcd_error *err, const char *text, const char *file, int line)
{
    if (rc != code || err->code != code) {
        print_error("%s:%d: %s (%d, in err %d) instead of %s: \"%s\"\n", file, line, etcd_error_name(rc), rc, (int)err->code,
                    etcd_error_name(code), err->message);
        _fail(file, line);
    }
    if ((code == ETCD_OK) != (err->message[0] == '\0')) {
        print_error("%s:%d: %s comes with the text \"%s\"\n", file, line, etcd_error_name(rc), err->message);
        _fail(file, line);
    }
    if (text != NULL && strstr(err->message, text) == NULL) {
        print_error("%s:%d: the text lacks \"%s\": \"%s\"\n", file, line, text, err->message);
        _fail(file, line);
    }
}

void real_assert_bytes(etcd_bytes bytes, const char *text, size_t len, const char *file, int line)
{
    if (bytes.data != NULL && bytes.len == len && memcmp(bytes.data, text, len) == 0 && bytes.data[len] == '\0')
        return;
    print_error("%s:%d: %zu bytes \"%s\" instead of %zu bytes \"%s\"\n", file, line, bytes.len,
                bytes.data != NULL ? bytes.data : "(null)", len, text);
    _fail(file, line);
}

bool real_passes(int code)
{
    switch (code) {
    case ETCD_ERR_NO_LEADER:
    case ETCD_ERR_LEADER_CHANGED:
    case ETCD_ERR_TIMEOUT:
    case ETCD_ERR_TIMEOUT_DUE_TO_LEADER_FAIL:
    case ETCD_ERR_TIMEOUT_DUE_TO_CONNECTION_LOST:
    case ETCD_ERR_TIMEOUT_WAIT_APPLIED_INDEX:
    case ETCD_ERR_TOO_MANY_REQUESTS:
    case ETCD_ERR_UNHEALTHY:
    case ETCD_ERR_MEMBER_NOT_ENOUGH_STARTED:
    case ETCD_ERR_CLUSTER_VERSION_UNAVAILABLE:
        return true;
    default:
        return false;
    }
}

/* Whether a call that ended so is to be made again; then waits for a moment. */
static bool again(int rc, int64_t start)
{
    if (!real_passes(rc) || real_now_ms() - start > PATIENCE_MS)
        return false;
    real_sleep_ms(50);
    return true;
}

int64_t real_put_lease(etcd_client *client, const char *key, const char *value, int64_t lease)
{
    int64_t revision, start = real_now_ms();
    etcd_put_response *put;
    etcd_error err;
    int rc;

    do
        rc = etcd_put(client, ETCD_STR(key), ETCD_STR(value), ETCD_PUT(.lease = lease, .call = &patient), &put, &err);
    while (again(rc, start));
    assert_ok(rc, &err);
    revision = put->header.revision;
    etcd_response_free(put);
    return revision;
}

int64_t real_put(etcd_client *client, const char *key, const char *value)
{
    return real_put_lease(client, key, value, 0);
}

int64_t real_delete(etcd_client *client, const char *key)
{
    int64_t revision, start = real_now_ms();
    etcd_delete_response *del;
    etcd_error err;
    int rc;

    do
        rc = etcd_delete(client, ETCD_STR(key), ETCD_DELETE(.call = &patient), &del, &err);
    while (again(rc, start));
    assert_ok(rc, &err);
    revision = del->header.revision;
    etcd_response_free(del);
    return revision;
}

etcd_get_response *real_get(etcd_client *client, const char *key, const etcd_get_options *options)
{
    etcd_get_options with = options ? *options : *ETCD_GET();
    etcd_get_response *get;
    etcd_error err;

    if (with.call == NULL)
        with.call = &patient;
    assert_ok(etcd_get(client, ETCD_STR(key), &with, &get, &err), &err);
    assert_non_null(get);
    return get;
}

void real_assert_keys(etcd_get_response *response, const char *keys, const char *file, int line)
{
    char found[1024] = "";
    size_t used = 0;

    for (size_t i = 0; i < response->n_kvs; i++)
        used += (size_t)snprintf(found + used, sizeof found - used, "%s%s", i > 0 ? " " : "", response->kvs[i].key.data);
    if (strcmp(found, keys) != 0) {
        print_error("%s:%d: keys \"%s\" instead of \"%s\"\n", file, line, found, keys);
        _fail(file, line);
    }
    etcd_response_free(response);
}

void real_grant(int64_t lease, int ttl_s)
{
    etcd_client *client = real_client_with(ETCD_CLIENT());
    etcd_error err;

    assert_ok(etcd_lease_grant(client, ttl_s, ETCD_LEASE_GRANT(.id = lease, .call = &patient), NULL, &err), &err);
    etcd_client_free(client);
}

void real_end(struct real_ending *ending, void *response, const etcd_error *err)
{
    pthread_mutex_lock(&ending->lock);
    ending->times++;
    ending->response = response;
    ending->code = err != NULL ? err->code : ETCD_OK;
    ending->flags = err != NULL ? err->flags : 0;
    snprintf(ending->message, sizeof ending->message, "%s", err != NULL ? err->message : "");
    pthread_cond_broadcast(&ending->changed);
    pthread_mutex_unlock(&ending->lock);
}

void real_on_get(etcd_client *client, etcd_get_response *response, const etcd_error *err, void *arg)
{
    (void)client;
    real_end(arg, response, err);
}

void real_on_put(etcd_client *client, etcd_put_response *response, const etcd_error *err, void *arg)
{
    (void)client;
    real_end(arg, response, err);
}

int real_times_ended(struct real_ending *ending)
{
    int times;

    pthread_mutex_lock(&ending->lock);
    times = ending->times;
    pthread_mutex_unlock(&ending->lock);
    return times;
}

void real_await(struct real_ending *ending)
{
    pthread_mutex_lock(&ending->lock);
    while (ending->times == 0)
        pthread_cond_wait(&ending->changed, &ending->lock);
    pthread_mutex_unlock(&ending->lock);
}

void real_poll_until(etcd_client *client, struct real_ending *ending)
{
    while (real_times_ended(ending) == 0) {
        struct pollfd fd = {.fd = etcd_client_fd(client), .events = POLLIN};
        etcd_error err;

        assert_true(fd.fd >= 0);
        assert_true(poll(&fd, 1, (int)etcd_client_timeout_ms(client)) >= 0);
        assert_ok(etcd_client_process(client, 0, &err), &err);
    }
}

etcd_client *real_hanging_client(const etcd_client_options *options)
{
    etcd_client *client = real_client_with(options);

    real_put(client, "key", "value");
    etcd_server_signal(real_server(), 0, SIGSTOP);
    return client;
}

void real_resume(void)
{
    etcd_server_signal(real_server(), 0, SIGCONT);
    assert_int_equal(etcd_server_await_healthy(real_server(), 0, PATIENCE_MS), 0);
}

void real_await_sent(etcd_client *client)
{
    int64_t start = real_now_ms();
    etcd_error err;

    do { /* calls leave in the order in which they were started: once this one is waiting for its answer, so are all */
        assert_int_equal(etcd_get(client, ETCD_STR("key"), ETCD_GET(.call = ETCD_CALL(.timeout_ms = 50)), NULL, &err),
                         ETCD_ERR_DEADLINE_EXCEEDED);
        assert_true(real_now_ms() - start < PATIENCE_MS);
    } while (strstr(err.message, "waiting for the answer") == NULL);
}
