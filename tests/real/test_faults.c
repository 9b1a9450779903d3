/* What goes wrong between client and server: a server that hangs, dies and comes back, is not there, or is no etcd at all; a
 * client that is closed or forked in mid-flight. Every wait is bounded, and every error says what happened. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "real.h"

/* The deadline promise. */
#define assert_on_time(start, timeout_ms) assert_took((start), (timeout_ms), 50)

/* ---- a server that hangs ---- */

static void a_hanging_server_costs_no_more_than_the_deadline(void **state)
{
    (void)state;
    for (int manual = 0; manual <= 1; manual++) {
        etcd_client *client = real_hanging_client(ETCD_CLIENT(.manual = manual));
        etcd_get_response *get = (etcd_get_response *)&client;
        etcd_error err;
        int64_t start = real_watch();

        assert_error(etcd_get(client, ETCD_STR("key"), ETCD_GET(.call = ETCD_CALL(.timeout_ms = 200)), &get, &err), &err,
                     ETCD_ERR_DEADLINE_EXCEEDED, "context deadline exceeded");
        assert_on_time(start, 200);
        assert_null(get);
        assert_non_null(strstr(err.message, etcd_server_endpoint(real_server(), 0))); /* what the transport was doing */
        assert_string_equal(err.endpoint, etcd_server_endpoint(real_server(), 0));
        assert_int_equal(err.flags & ETCD_ERROR_MAYBE_APPLIED, 0);
        assert_true(err.flags & ETCD_ERROR_RETRYABLE);
        start = real_watch();
        assert_error(etcd_put(client, ETCD_STR("key"), ETCD_STR("x"), ETCD_PUT(.call = ETCD_CALL(.timeout_ms = 200)), NULL, &err),
                     &err, ETCD_ERR_DEADLINE_EXCEEDED, "waiting for the answer");
        assert_on_time(start, 200);
        assert_true(err.flags & ETCD_ERROR_MAYBE_APPLIED);
        real_resume();
        etcd_response_free(real_get(client, "key", NULL)); /* on the same connection */
        etcd_client_free(client);
    }
}

static void the_clients_own_timeout_is_the_default(void **state)
{
    etcd_client *client = real_hanging_client(ETCD_CLIENT(.request_timeout_ms = 300));
    int64_t start = real_watch();
    etcd_error err;

    (void)state;
    assert_error(etcd_get(client, ETCD_STR("key"), NULL, NULL, &err), &err, ETCD_ERR_DEADLINE_EXCEEDED, NULL);
    assert_on_time(start, 300);
    real_resume();
    etcd_client_free(client);
}

static void deadlines_end_each_call_at_its_own_time(void **state)
{
    enum { CALLS = 40 };
    etcd_client *client = real_hanging_client(ETCD_CLIENT());
    int64_t start = real_watch();
    etcd_completion *completion;
    int64_t timeouts[CALLS];
    etcd_error err;

    (void)state;
    for (int i = 0; i < CALLS; i++) {
        timeouts[i] = 100 + i * 7 % CALLS * 10;
        assert_ok(etcd_get_async(client, ETCD_STR("key"), ETCD_GET(.call = ETCD_CALL(.timeout_ms = timeouts[i])), NULL,
                                 &timeouts[i], NULL, &err),
                  &err);
    }
    for (int i = 0; i < CALLS; i++) {
        assert_ok(etcd_client_next_completion(client, 5000, &completion, &err), &err);
        assert_int_equal(completion->code, ETCD_ERR_DEADLINE_EXCEEDED);
        assert_on_time(start, *(const int64_t *)completion->arg);
        etcd_response_free(completion);
    }
    real_resume();
    etcd_client_free(client);
}

struct seen {
    int pings, ends;
};

static void count_pings(int level, const char *message, void *arg)
{
    struct seen *seen = arg;

    (void)level;
    seen->pings += strstr(message, " ms: ping") != NULL;
    seen->ends += strstr(message, "GOAWAY") != NULL || strstr(message, "too many pings") != NULL ||
                  strstr(message, "connecting again") != NULL;
}

/* A server ends connections for the fourth ping that it finds too soon. */
static void hanging_again_and_again_is_noticed_each_time(void **state)
{
    struct seen seen = {0};
    etcd_client *client = real_client_with(ETCD_CLIENT(.manual = true, .ping_timeout_ms = 60000, .log_fn = count_pings,
                                                       .log_arg = &seen, .log_level = ETCD_LOG_DEBUG));
    etcd_error err;

    (void)state;
    for (int round = 1; round <= 5; round++) {
        struct real_ending ending = REAL_ENDING;

        real_put(client, "key", "value");
        etcd_server_signal(real_server(), 0, SIGSTOP);
        assert_ok(etcd_get_async(client, ETCD_STR("key"), ETCD_GET(.call = ETCD_CALL(.timeout_ms = 60000)), real_on_get, &ending,
                                 NULL, &err),
                  &err);
        while (seen.pings < round)
            assert_ok(etcd_client_process(client, 1000, &err), &err);
        real_resume();
        real_poll_until(client, &ending);
        assert_int_equal(ending.code, ETCD_OK);
        etcd_response_free(ending.response);
    }
    assert_int_equal(seen.ends, 0);
    etcd_client_free(client);
}

/* ---- a server that dies and comes back ---- */

static void reads_go_on_after_a_restart(void **state)
{
    etcd_client *client = real_client_with(ETCD_CLIENT(.backoff_base_ms = 20, .backoff_max_ms = 100));
    struct real_ending ending = REAL_ENDING;
    const etcd_get_response *get;
    etcd_error err;

    (void)state;
    real_put(client, "key", "kept");
    etcd_server_signal(real_server(), 0, SIGSTOP);
    assert_ok(etcd_get_async(client, ETCD_STR("key"), ETCD_GET(.call = ETCD_CALL(.timeout_ms = 20000)), real_on_get, &ending,
                             NULL, &err),
              &err);
    real_await_sent(client);
    etcd_server_signal(real_server(), 0, SIGKILL);
    assert_int_equal(etcd_server_restart(real_server(), 0), 0);
    real_await(&ending);
    assert_string_equal(ending.message, "");
    get = ending.response;
    assert_text(get->kvs[0].value, "kept");
    etcd_response_free(ending.response);
    real_put(client, "key", "and writes, too");
    etcd_client_free(client);
}

static void a_read_waits_for_a_server_that_is_away(void **state)
{
    etcd_client *client = real_client_with(ETCD_CLIENT(.backoff_base_ms = 20, .backoff_max_ms = 100));
    struct real_ending ending = REAL_ENDING;
    etcd_error err;

    (void)state;
    real_put(client, "key", "kept");
    etcd_server_signal(real_server(), 0, SIGKILL);
    assert_ok(etcd_get_async(client, ETCD_STR("key"), ETCD_GET(.call = ETCD_CALL(.timeout_ms = 20000)), real_on_get, &ending,
                             NULL, &err),
              &err);
    real_sleep_ms(100);
    assert_int_equal(real_times_ended(&ending), 0);
    assert_int_equal(etcd_server_restart(real_server(), 0), 0);
    real_await(&ending);
    assert_string_equal(ending.message, "");
    etcd_response_free(ending.response);
    etcd_client_free(client);
}

static void a_write_cut_off_has_an_unknown_outcome(void **state)
{
    etcd_client *client = real_hanging_client(ETCD_CLIENT(.manual = true, .backoff_base_ms = 20, .backoff_max_ms = 100));
    struct real_ending ending = REAL_ENDING;
    etcd_error err;

    (void)state;
    assert_ok(etcd_put_async(client, ETCD_STR("key"), ETCD_STR("x"), ETCD_PUT(.call = ETCD_CALL(.timeout_ms = 20000)),
                             real_on_put, &ending, NULL, &err),
              &err);
    for (int i = 0; i < 3; i++)
        assert_ok(etcd_client_process(client, 0, &err), &err); /* it is with the kernel of the server now */
    etcd_server_signal(real_server(), 0, SIGKILL);
    real_poll_until(client, &ending); /* at once, not at the deadline, and not sent again */
    assert_true(ending.code != ETCD_OK && ending.code != ETCD_ERR_DEADLINE_EXCEEDED);
    assert_true(ending.flags & ETCD_ERROR_MAYBE_APPLIED);
    assert_true(strlen(ending.message) > 10);
    assert_int_equal(etcd_server_restart(real_server(), 0), 0);
    assert_keys(real_get(client, "key", ETCD_GET(.call = ETCD_CALL(.timeout_ms = 20000))), "key");
    etcd_client_free(client);
}

/* Until the client has met what is wrong with the other side. */
static void await_reason(etcd_client *client, const char *reason)
{
    int64_t start = real_now_ms();
    etcd_error err;

    do {
        assert_int_equal(etcd_get(client, ETCD_STR("key"), ETCD_GET(.call = ETCD_CALL(.timeout_ms = 50)), NULL, &err),
                         ETCD_ERR_DEADLINE_EXCEEDED);
    } while (strstr(err.message, reason) == NULL && real_now_ms() - start < 20000);
}

static void a_write_that_never_left_was_not_done(void **state)
{
    etcd_client *client = real_client_with(ETCD_CLIENT(.backoff_base_ms = 10, .backoff_max_ms = 50));
    int64_t start;
    etcd_error err;

    (void)state;
    etcd_server_signal(real_server(), 0, SIGKILL);
    await_reason(client, "refused");
    start = real_watch();
    assert_error(etcd_put(client, ETCD_STR("key"), ETCD_STR("x"), ETCD_PUT(.call = ETCD_CALL(.timeout_ms = 200)), NULL, &err),
                 &err, ETCD_ERR_DEADLINE_EXCEEDED, "refused");
    assert_on_time(start, 200);
    assert_non_null(strstr(err.message, etcd_server_endpoint(real_server(), 0)));
    assert_int_equal(err.flags & ETCD_ERROR_MAYBE_APPLIED, 0);
    assert_int_equal(etcd_server_restart(real_server(), 0), 0);
    assert_keys(real_get(client, "key", ETCD_GET(.call = ETCD_CALL(.timeout_ms = 20000))), "");
    etcd_client_free(client);
}

/* ---- peers that are no etcd ---- */

/* A listener on a free port. With `greeting`: a thread that sends it to everyone who comes, and hangs up; an empty one resets. */
struct peer {
    int fd;
    const char *greeting;
    char endpoint[64];
    pthread_t thread;
};

static void *greet(void *arg)
{
    struct peer *peer = arg;
    char rest[4096];
    int fd;

    while ((fd = accept(peer->fd, NULL, NULL)) >= 0) {
        const struct linger reset = {.l_onoff = 1, .l_linger = 0};

        if (recv(fd, rest, sizeof rest, 0) > 0 && *peer->greeting != '\0') {
            (void)send(fd, peer->greeting, strlen(peer->greeting), MSG_NOSIGNAL);
            shutdown(fd, SHUT_WR);
            while (recv(fd, rest, sizeof rest, 0) > 0) /* what is not read would make close() reset, perhaps past the greeting */
                continue;
        } else {
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        }
        close(fd);
    }
    return NULL;
}

/* Has the port, but refuses connections. */
static void bind_peer(struct peer *peer)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof address;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    peer->greeting = NULL;
    peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(peer->fd, (const struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(peer->fd, (struct sockaddr *)&address, &len), 0);
    snprintf(peer->endpoint, sizeof peer->endpoint, "http://127.0.0.1:%d", ntohs(address.sin_port));
}

static void open_peer(struct peer *peer, const char *greeting)
{
    bind_peer(peer);
    assert_int_equal(listen(peer->fd, 16), 0);
    peer->greeting = greeting;
    if (greeting != NULL)
        assert_int_equal(pthread_create(&peer->thread, NULL, greet, peer), 0);
}

static void close_peer(struct peer *peer)
{
    shutdown(peer->fd, SHUT_RDWR); /* ends accept() */
    if (peer->greeting != NULL)
        pthread_join(peer->thread, NULL);
    close(peer->fd);
}

/* A call to the peer ends at its deadline, with the reason in its text, and nothing was written. */
static void expect_reason(const char *greeting, const char *reason)
{
    struct peer peer;
    etcd_client *client;
    int64_t start;
    etcd_error err;

    open_peer(&peer, greeting);
    client = real_client_with(ETCD_CLIENT(.endpoints = peer.endpoint, .backoff_base_ms = 20));
    await_reason(client, reason);
    start = real_watch();
    assert_error(etcd_put(client, ETCD_STR("key"), ETCD_STR("x"), ETCD_PUT(.call = ETCD_CALL(.timeout_ms = 300)), NULL, &err),
                 &err, ETCD_ERR_DEADLINE_EXCEEDED, reason);
    assert_on_time(start, 300);
    assert_non_null(strstr(err.message, peer.endpoint));
    assert_int_equal(err.flags & ETCD_ERROR_MAYBE_APPLIED, 0);
    etcd_client_free(client);
    close_peer(&peer);
}

static void a_silent_peer_is_told(void **state)
{
    (void)state;
    expect_reason(NULL, "still connecting");
}

static void a_resetting_peer_is_told(void **state)
{
    (void)state;
    expect_reason("", "reset");
}

static void a_peer_of_http_1_is_told(void **state)
{
    (void)state;
    expect_reason("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", "HTTP/1");
}

static void a_peer_of_another_protocol_is_told(void **state)
{
    (void)state;
    expect_reason("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", "HTTP/2");
}

static void a_refused_connection_is_told(void **state)
{
    struct peer peer;
    etcd_client *client;
    etcd_error err;

    (void)state;
    bind_peer(&peer); /* nobody listens there, nor can anybody */
    client = real_client_with(ETCD_CLIENT(.endpoints = peer.endpoint));
    await_reason(client, "refused");
    assert_error(etcd_get(client, ETCD_STR("key"), ETCD_GET(.call = ETCD_CALL(.timeout_ms = 200)), NULL, &err), &err,
                 ETCD_ERR_DEADLINE_EXCEEDED, "refused");
    etcd_client_free(client);
    close_peer(&peer);
}

static void a_bad_endpoint_does_not_stop_a_good_one(void **state)
{
    char endpoints[256];
    struct peer silent, resetting;
    etcd_client *client;

    (void)state;
    open_peer(&silent, NULL);
    open_peer(&resetting, "");
    snprintf(endpoints, sizeof endpoints, "%s,%s,%s", silent.endpoint, resetting.endpoint,
             etcd_server_endpoint(real_server(), 0));
    for (int i = 0; i < 5; i++) { /* from several random starts */
        client = real_client_with(ETCD_CLIENT(.endpoints = endpoints));
        real_put(client, "key", "value");
        real_put(client, "key", "value");
        etcd_client_free(client);
    }
    close_peer(&silent);
    close_peer(&resetting);
}

/* ---- closing in mid-flight ---- */

struct caller {
    etcd_client *client;
    int rc;
    etcd_error err;
};

static void *call_without_end(void *arg)
{
    struct caller *caller = arg;

    caller->rc = etcd_get(caller->client, ETCD_STR("key"), ETCD_GET(.call = ETCD_CALL(.timeout_ms = -1)), NULL, &caller->err);
    return NULL;
}

static void close_ends_every_call_once(void **state)
{
    enum { CALLERS = 4, ASYNC = 50 };
    etcd_client *client = real_hanging_client(ETCD_CLIENT());
    struct caller callers[CALLERS];
    struct real_ending endings[ASYNC];
    pthread_t threads[CALLERS];
    etcd_completion *completion;
    etcd_error err;
    int64_t start;

    (void)state;
    for (int i = 0; i < CALLERS; i++) {
        callers[i] = (struct caller){.client = client};
        assert_int_equal(pthread_create(&threads[i], NULL, call_without_end, &callers[i]), 0);
    }
    for (int i = 0; i < ASYNC; i++) {
        endings[i] = (struct real_ending)REAL_ENDING;
        assert_ok(etcd_put_async(client, ETCD_STR("key"), ETCD_STR("x"), ETCD_PUT(.call = ETCD_CALL(.timeout_ms = -1)),
                                 real_on_put, &endings[i], NULL, &err),
                  &err);
        assert_ok(etcd_get_async(client, ETCD_STR("key"), ETCD_GET(.call = ETCD_CALL(.timeout_ms = -1)), NULL, NULL, NULL, &err),
                  &err);
    }
    real_await_sent(client);
    start = real_watch();
    etcd_client_close(client);
    assert_took(start, 0, 100);
    for (int i = 0; i < ASYNC; i++) { /* callbacks ran before close returned */
        assert_int_equal(endings[i].times, 1);
        assert_int_equal(endings[i].code, ETCD_ERR_CLOSED);
        assert_true(endings[i].flags & ETCD_ERROR_MAYBE_APPLIED);
    }
    for (int i = 0; i < CALLERS; i++) {
        pthread_join(threads[i], NULL);
        assert_error(callers[i].rc, &callers[i].err, ETCD_ERR_CLOSED, "closed");
    }
    for (int i = 0; i < ASYNC; i++) {
        assert_ok(etcd_client_next_completion(client, 0, &completion, &err), &err);
        assert_int_equal(completion->code, ETCD_ERR_CLOSED);
        etcd_response_free(completion);
    }
    assert_error(etcd_client_next_completion(client, -1, &completion, &err), &err, ETCD_ERR_CLOSED, NULL);
    real_resume();
    etcd_client_free(client);
    for (int i = 0; i < ASYNC; i++)
        assert_int_equal(endings[i].times, 1);
}

static void *call_until_closed(void *arg)
{
    struct caller *caller = arg;

    do
        caller->rc = etcd_get(caller->client, ETCD_STR("key"), ETCD_GET(.serializable = true), NULL, &caller->err);
    while (caller->rc == ETCD_OK);
    return NULL;
}

/* A lone caller drives the client itself, until the closing thread takes over in the middle of its call. */
static void close_races_with_a_lone_caller(void **state)
{
    (void)state;
    for (int round = 0; round < 100; round++) {
        struct caller caller = {.client = real_client_with(ETCD_CLIENT())};
        pthread_t thread;

        real_put(caller.client, "key", "value");
        assert_int_equal(pthread_create(&thread, NULL, call_until_closed, &caller), 0);
        real_sleep_ms(round % 4);
        etcd_client_close(caller.client);
        pthread_join(thread, NULL);
        assert_error(caller.rc, &caller.err, ETCD_ERR_CLOSED, "closed");
        etcd_client_free(caller.client);
    }
}

static void a_closed_client_says_so(void **state)
{
    etcd_client *client = real_client();
    etcd_txn *txn = etcd_txn_new(client);
    etcd_error err;

    (void)state;
    etcd_client_close(client);
    etcd_client_close(client);
    assert_error(etcd_get(client, ETCD_STR("key"), NULL, NULL, &err), &err, ETCD_ERR_CLOSED, "closed");
    assert_error(etcd_put(client, ETCD_STR("key"), ETCD_STR("x"), NULL, NULL, &err), &err, ETCD_ERR_CLOSED, "closed");
    assert_int_equal(err.flags & ETCD_ERROR_MAYBE_APPLIED, 0);
    assert_error(etcd_get_async(client, ETCD_STR("key"), NULL, NULL, NULL, NULL, &err), &err, ETCD_ERR_CLOSED, "closed");
    assert_error(etcd_txn_commit(txn, NULL, NULL, &err), &err, ETCD_ERR_CLOSED, "closed");
    assert_int_equal(etcd_call_cancel(client, 1), ETCD_ERR_CLOSED);
    etcd_client_free(client);
    assert_error(etcd_txn_commit(txn, NULL, NULL, &err), &err, ETCD_ERR_CLOSED, "closed"); /* it holds the client */
    etcd_txn_free(txn);
}

static void a_client_that_never_connected_is_freed(void **state)
{
    etcd_client *client;

    (void)state;
    for (int manual = 0; manual <= 1; manual++) {
        client = real_client_with(ETCD_CLIENT(.endpoints = "http://127.0.0.1:1,unix:/nowhere", .manual = manual));
        etcd_client_free(client);
        client = real_client_with(ETCD_CLIENT(.manual = manual));
        etcd_client_free(client);
    }
}

/* ---- fork ---- */

static void remember_connections(int level, const char *message, void *arg)
{
    (void)level;
    if (strstr(message, "connected") != NULL)
        ++*(int *)arg;
}

/* In the child. Returns 0 when everything says that the handle is the parent's. */
static int use_in_child(etcd_client *client, etcd_txn *txn)
{
    etcd_completion *completion;
    etcd_error err;

    if (etcd_get(client, ETCD_STR("key"), NULL, NULL, &err) != ETCD_ERR_FORKED || strstr(err.message, "fork") == NULL)
        return 1;
    if (etcd_put_async(client, ETCD_STR("key"), ETCD_STR("child"), NULL, NULL, NULL, NULL, &err) != ETCD_ERR_FORKED)
        return 2;
    if (etcd_txn_commit(txn, NULL, NULL, &err) != ETCD_ERR_FORKED)
        return 3;
    if (etcd_client_next_completion(client, -1, &completion, &err) != ETCD_ERR_FORKED)
        return 4;
    if (etcd_client_process(client, -1, &err) != ETCD_ERR_FORKED || etcd_client_fd(client) >= 0)
        return 5;
    if (etcd_call_cancel(client, 1) != ETCD_ERR_FORKED)
        return 6;
    etcd_client_close(client);
    etcd_txn_free(txn);
    etcd_client_free(client);
    return 0;
}

/* In the child: a client of its own works (without a thread, which ThreadSanitizer would not allow here). */
static int connect_in_child(void)
{
    etcd_client *client;
    int rc;

    if (etcd_client_new(ETCD_CLIENT(.endpoints = etcd_server_endpoints(real_server()), .manual = true), &client, NULL) < 0)
        return 7;
    rc = etcd_put(client, ETCD_STR("child"), ETCD_STR("own client"), NULL, NULL, NULL);
    etcd_client_free(client);
    return rc < 0 ? 8 : 0;
}

static void fork_and_use(etcd_client *client, etcd_txn *txn)
{
    int status, rc;
    pid_t pid = fork();

    if (pid == 0) {
        rc = use_in_child(client, txn);
        _exit(rc != 0 ? rc : connect_in_child());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* AddressSanitizer's allocator may hang in the child when another thread was at it: then with clients without thread only. */
#if defined(__SANITIZE_ADDRESS__)
#define FIRST_FORKED_MODE 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FIRST_FORKED_MODE 1
#endif
#endif
#if !defined(FIRST_FORKED_MODE)
#define FIRST_FORKED_MODE 0
#endif

static void a_child_cannot_use_the_client_nor_harm_it(void **state)
{
    etcd_client *fresh = real_client();

    (void)state;
    for (int manual = FIRST_FORKED_MODE; manual <= 1; manual++) {
        int connections = 0;
        etcd_client *client =
            real_client_with(ETCD_CLIENT(.manual = manual, .log_fn = remember_connections, .log_arg = &connections));
        etcd_txn *txn = etcd_txn_new(client);

        etcd_txn_put(txn, ETCD_STR("key"), ETCD_STR("from the child"), NULL);
        fork_and_use(client, txn); /* perhaps before it is connected */
        real_put(client, "key", "value");
        for (int i = 0; i < 5; i++) {
            fork_and_use(client, txn);
            real_put(client, "key", "value");
        }
        assert_keys(real_get(client, "child", NULL), "child");
        etcd_txn_free(txn);
        etcd_client_free(client);
        assert_int_equal(connections, 1);
    }
    etcd_client_free(fresh);
}

static void calls_in_flight_survive_a_fork(void **state)
{
    (void)state;
    for (int manual = FIRST_FORKED_MODE; manual <= 1; manual++) {
        etcd_client *client = real_hanging_client(ETCD_CLIENT(.manual = manual));
        struct real_ending ending = REAL_ENDING;
        etcd_txn *txn = etcd_txn_new(client);
        etcd_error err;
        int status;
        pid_t pid;

        assert_ok(etcd_get_async(client, ETCD_STR("key"), ETCD_GET(.call = ETCD_CALL(.timeout_ms = -1)), real_on_get, &ending,
                                 NULL, &err),
                  &err);
        if (manual)
            assert_ok(etcd_client_process(client, 0, &err), &err);
        pid = fork();
        if (pid == 0)
            _exit(use_in_child(client, txn));
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(WEXITSTATUS(status), 0);
        assert_int_equal(real_times_ended(&ending), 0);
        real_resume();
        if (manual)
            real_poll_until(client, &ending);
        real_await(&ending);
        assert_int_equal(ending.code, ETCD_OK);
        etcd_response_free(ending.response);
        etcd_txn_free(txn);
        etcd_client_free(client);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_hanging_server_costs_no_more_than_the_deadline),
    cmocka_unit_test(the_clients_own_timeout_is_the_default),
    cmocka_unit_test(deadlines_end_each_call_at_its_own_time),
    cmocka_unit_test(hanging_again_and_again_is_noticed_each_time),
    cmocka_unit_test(reads_go_on_after_a_restart),
    cmocka_unit_test(a_read_waits_for_a_server_that_is_away),
    cmocka_unit_test(a_write_cut_off_has_an_unknown_outcome),
    cmocka_unit_test(a_write_that_never_left_was_not_done),
    cmocka_unit_test(a_silent_peer_is_told),
    cmocka_unit_test(a_resetting_peer_is_told),
    cmocka_unit_test(a_peer_of_http_1_is_told),
    cmocka_unit_test(a_peer_of_another_protocol_is_told),
    cmocka_unit_test(a_refused_connection_is_told),
    cmocka_unit_test(a_bad_endpoint_does_not_stop_a_good_one),
    cmocka_unit_test(close_ends_every_call_once),
    cmocka_unit_test(close_races_with_a_lone_caller),
    cmocka_unit_test(a_closed_client_says_so),
    cmocka_unit_test(a_client_that_never_connected_is_freed),
    cmocka_unit_test(a_child_cannot_use_the_client_nor_harm_it),
    cmocka_unit_test(calls_in_flight_survive_a_fork),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
