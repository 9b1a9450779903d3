/* Leases kept alive against real servers: they live as long as their handle, and whoever holds one learns of its loss in
 * time, and why. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/fault_proxy.h"
#include "real.h"

#define WAIT_MS 30000

enum { MANY = 500 };

static etcd_keepalive *open_one(etcd_client *client, int64_t lease, int64_t ttl_s)
{
    etcd_keepalive *keepalive;
    etcd_error err;

    assert_ok(etcd_keepalive_open(client, lease, ETCD_KEEPALIVE(.ttl_s = ttl_s), &keepalive, &err), &err);
    return keepalive;
}

static void take_answer(etcd_keepalive *keepalive, int64_t lease, int64_t ttl_s)
{
    etcd_keepalive_response *answer;
    etcd_error err;

    assert_ok(etcd_keepalive_next(keepalive, WAIT_MS, &answer, &err), &err);
    assert_int_equal(answer->id, lease);
    assert_int_equal(answer->ttl_s, ttl_s);
    assert_true(answer->header.cluster_id != 0);
    etcd_response_free(answer);
}

/* What is left by the server's word; -1: it is gone. */
static int64_t time_left(etcd_client *client, int64_t lease)
{
    etcd_lease_time_to_live_response *response;
    etcd_error err;
    int64_t left;

    assert_ok(etcd_lease_time_to_live(client, lease, NULL, &response, &err), &err);
    left = response->ttl_s;
    etcd_response_free(response);
    return left;
}

/* Waits for the end. */
static void await_end(etcd_keepalive *keepalive, int code)
{
    etcd_keepalive_response *answer;
    etcd_error err;
    int rc;

    while ((rc = etcd_keepalive_next(keepalive, WAIT_MS, &answer, &err)) == ETCD_OK)
        etcd_response_free(answer);
    assert_error(rc, &err, code, NULL);
    assert_int_equal(etcd_keepalive_remaining_ms(keepalive), 0);
    rc = etcd_keepalive_next(keepalive, 0, &answer, &err);
    assert_error(rc, &err, code, NULL);
}

static void a_lease_lives_beyond_its_ttl(void **state)
{
    etcd_client *client = real_client();
    etcd_keepalive *keepalive;
    int64_t end;

    (void)state;
    real_grant(0x100, 6);
    real_put_lease(client, "key", "value", 0x100);
    keepalive = open_one(client, 0x100, 0);
    assert_int_equal(etcd_keepalive_lease(keepalive), 0x100);
    end = real_now_ms() + 9000;
    while (real_now_ms() < end) {
        take_answer(keepalive, 0x100, 6);
        assert_true(etcd_keepalive_remaining_ms(keepalive) > 0);
    }
    assert_keys(real_get(client, "key", NULL), "key");
    etcd_keepalive_free(keepalive);
    etcd_client_free(client);
}

static void a_revoked_lease_is_told(void **state)
{
    etcd_client *client = real_client();
    etcd_keepalive *keepalive;
    etcd_error err;

    (void)state;
    real_grant(0x200, 6); /* long enough for the next renewal, at 2 s, to be answered in time on a slow machine */
    keepalive = open_one(client, 0x200, 0);
    take_answer(keepalive, 0x200, 6);
    assert_ok(etcd_lease_revoke(client, 0x200, NULL, NULL, &err), &err);
    await_end(keepalive, ETCD_ERR_LEASE_NOT_FOUND);
    etcd_keepalive_free(keepalive);
    etcd_client_free(client);
}

static void a_lease_that_never_was_is_told(void **state)
{
    etcd_client *client = real_client();
    etcd_keepalive *keepalive = open_one(client, 0x300, 0);

    (void)state;
    await_end(keepalive, ETCD_ERR_LEASE_NOT_FOUND);
    etcd_keepalive_free(keepalive);
    etcd_client_free(client);
}

static void once_renews(void **state)
{
    etcd_client *client = real_client();
    etcd_keepalive_response *answer;
    etcd_error err;
    int64_t left;

    (void)state;
    real_grant(0x400, 100);
    real_grant(0x402, 100); /* is not renewed */
    real_sleep_ms(2100);
    assert_ok(etcd_keepalive_once(client, 0x400, NULL, &answer, &err), &err);
    assert_int_equal(answer->ttl_s, 100);
    assert_int_equal(answer->id, 0x400);
    etcd_response_free(answer);
    left = time_left(client, 0x400); /* asked first: that can only make it less */
    assert_true(left > time_left(client, 0x402) && left <= 100);
    assert_error(etcd_keepalive_once(client, 0x401, NULL, &answer, &err), &err, ETCD_ERR_LEASE_NOT_FOUND, "lease not found");
    assert_null(answer);
    etcd_client_free(client);
}

static void many_leases_live(void **state)
{
    static etcd_keepalive *keepalives[MANY];
    etcd_client *client = real_client();
    int64_t end;
    etcd_error err;

    (void)state;
    for (int i = 0; i < MANY; i++) {
        assert_ok(etcd_lease_grant(client, 6, ETCD_LEASE_GRANT(.id = 0x10000 + i), NULL, &err), &err);
        keepalives[i] = open_one(client, 0x10000 + i, 0);
    }
    end = real_now_ms() + 9000;
    while (real_now_ms() < end)
        for (int i = 0; i < MANY; i++)
            take_answer(keepalives[i], 0x10000 + i, 6);
    for (int i = 0; i < MANY; i++)
        assert_true(time_left(client, 0x10000 + i) >= 0);
    for (int i = 0; i < MANY; i++)
        etcd_keepalive_free(keepalives[i]);
    assert_ok(etcd_lease_revoke(client, 0x10000, NULL, NULL, &err), &err);
    etcd_client_free(client);
}

/* ---- loss ---- */

/* Until the lease is gone at the server: nobody may believe that it is held once that was heard. */
static void watch_the_loss(etcd_keepalive *keepalive, etcd_client *other, int64_t lease)
{
    bool gone;

    do {
        gone = time_left(other, lease) < 0;
        if (gone)
            assert_int_equal(etcd_keepalive_remaining_ms(keepalive), 0);
        real_sleep_ms(20);
    } while (!gone);
}

static void a_black_hole_is_told_before_the_server_forgets(void **state)
{
    etcd_client *other = real_client(), *client;
    fault_proxy *proxy = fault_proxy_start(etcd_server_endpoint(real_server(), 0));
    etcd_keepalive *keepalive;
    etcd_error err;

    (void)state;
    client = real_client_with(ETCD_CLIENT(.endpoints = fault_proxy_endpoint(proxy), .request_timeout_ms = WAIT_MS));
    real_grant(0x500, 5);
    keepalive = open_one(client, 0x500, 0);
    take_answer(keepalive, 0x500, 5);
    fault_proxy_hold(proxy, FAULT_BOTH);
    watch_the_loss(keepalive, other, 0x500);
    await_end(keepalive, ETCD_ERR_LEASE_EXPIRED);
    etcd_keepalive_free(keepalive);
    fault_proxy_resume(proxy); /* the server hears of renewals that come too late for any good */
    keepalive = open_one(client, 0x500, 0);
    assert_int_equal(time_left(other, 0x500), -1);
    await_end(keepalive, ETCD_ERR_LEASE_NOT_FOUND);
    etcd_keepalive_free(keepalive);
    assert_error(etcd_keepalive_once(client, 0x500, NULL, NULL, &err), &err, ETCD_ERR_LEASE_NOT_FOUND, NULL);
    etcd_client_free(client);
    etcd_client_free(other);
    fault_proxy_stop(proxy);
}

static void a_way_that_is_cut_again_and_again_does_no_harm(void **state)
{
    etcd_client *other = real_client(), *client;
    fault_proxy *proxy = fault_proxy_start(etcd_server_endpoint(real_server(), 0));
    etcd_keepalive *keepalive;

    (void)state;
    client =
        real_client_with(ETCD_CLIENT(.endpoints = fault_proxy_endpoint(proxy), .backoff_base_ms = 10, .backoff_max_ms = 100));
    real_grant(0x600, 60);
    keepalive = open_one(client, 0x600, 0);
    for (int i = 0; i < 20; i++) {
        etcd_keepalive *another = open_one(client, 0x600, 0); /* has it renewed at once */

        take_answer(another, 0x600, 60);
        etcd_keepalive_free(another);
        fault_proxy_reset(proxy);
        fault_proxy_cut_next(proxy, i % 2 ? FAULT_UP : FAULT_DOWN, (uint64_t)i * 10);
    }
    assert_true(etcd_keepalive_remaining_ms(keepalive) > 0);
    assert_true(time_left(other, 0x600) > 0);
    take_answer(keepalive, 0x600, 60);
    etcd_keepalive_free(keepalive);
    etcd_client_free(client);
    etcd_client_free(other);
    fault_proxy_stop(proxy);
}

/* A client whose only connection is dead in one direction, while another would do. No ping ever ends it. */
struct line {
    fault_proxy *proxy;
    etcd_client *client;
    etcd_keepalive *keepalive, *another;
    int64_t lease;
};

static void hold_line(struct line *line, int direction, int64_t lease)
{
    line->lease = lease;
    line->proxy = fault_proxy_start(etcd_server_endpoint(real_server(), 0));
    line->client = real_client_with(ETCD_CLIENT(.endpoints = fault_proxy_endpoint(line->proxy), .ping_interval_ms = -1));
    real_grant(lease, 5);
    line->keepalive = open_one(line->client, lease, 0);
    take_answer(line->keepalive, lease, 5);
    fault_proxy_hold_open(line->proxy, direction);
    line->another = open_one(line->client, lease, 0); /* has it renewed at once */
}

/* Whether the lease was renewed over another connection; false when this process came too late, as on a busy machine. */
static bool is_renewed(const struct line *line, etcd_client *other)
{
    etcd_keepalive_response *answer;
    etcd_error err;
    int rc = etcd_keepalive_next(line->another, WAIT_MS, &answer, &err);

    if (rc == ETCD_OK) {
        etcd_response_free(answer);
        assert_true(fault_proxy_count(line->proxy) > 1);
        return time_left(other, line->lease) > 0;
    }
    assert_true(rc == ETCD_ERR_LEASE_EXPIRED || rc == ETCD_ERR_LEASE_NOT_FOUND);
    return false;
}

static void leave_line(struct line *line)
{
    etcd_keepalive_free(line->keepalive);
    etcd_keepalive_free(line->another);
    etcd_client_free(line->client);
    fault_proxy_stop(line->proxy);
}

static void a_dead_line_to_the_only_member_is_left_in_time(void **state)
{
    etcd_client *other = real_client();
    bool up = false, down = false;
    struct line lines[2];

    (void)state;
    for (int i = 0; i < 10 && !(up && down); i++) {
        hold_line(&lines[0], FAULT_UP, 0x610 + 2 * i);
        hold_line(&lines[1], FAULT_DOWN, 0x611 + 2 * i);
        up = is_renewed(&lines[0], other) || up;
        down = is_renewed(&lines[1], other) || down;
        leave_line(&lines[0]);
        leave_line(&lines[1]);
    }
    assert_true(up && down);
    etcd_client_free(other);
}

/* ---- a holder that is stopped ---- */

static bool is_readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, 1) == 1;
}

/* In the child: holds a lease until there is something to read, which is written while the child is stopped and the lease is
 * lost; then it must know before anything else. Returns what is wrong, or 0. */
static int hold(const char *endpoint, int64_t lease, int ended, int tell)
{
    etcd_keepalive_response *answer;
    etcd_keepalive *keepalive;
    etcd_client *client;
    int rc;

    if (etcd_client_new(ETCD_CLIENT(.endpoints = endpoint, .request_timeout_ms = WAIT_MS), &client, NULL) != ETCD_OK)
        return 1;
    if (etcd_lease_grant(client, 4, ETCD_LEASE_GRANT(.id = lease), NULL, NULL) != ETCD_OK)
        return 2;
    if (etcd_keepalive_open(client, lease, NULL, &keepalive, NULL) != ETCD_OK)
        return 3;
    if (etcd_keepalive_next(keepalive, WAIT_MS, &answer, NULL) != ETCD_OK)
        return 4;
    etcd_response_free(answer);
    if (write(tell, "h", 1) != 1)
        return 5;
    while (!is_readable(ended))
        continue;
    if (etcd_keepalive_remaining_ms(keepalive) != 0)
        return 6;
    while ((rc = etcd_keepalive_next(keepalive, WAIT_MS, &answer, NULL)) == ETCD_OK) /* that came before it was stopped */
        etcd_response_free(answer);
    etcd_keepalive_free(keepalive);
    etcd_client_free(client);
    return rc == ETCD_ERR_LEASE_EXPIRED ? 0 : 7;
}

static void a_stopped_holder_knows_when_it_wakes(void **state)
{
    const char *endpoint = etcd_server_endpoint(real_server(), 0);
    int go[2], tell[2], status;
    etcd_client *client;
    char byte;
    pid_t pid;

    (void)state;
    assert_int_equal(pipe(tell), 0);
    assert_int_equal(pipe(go), 0);
    pid = fork(); /* before there are threads */
    if (pid == 0) {
        (void)alarm(120);
        _exit(read(go[0], &byte, 1) == 1 ? hold(endpoint, 0x700, go[0], tell[1]) : 9);
    }
    assert_true(pid > 0);
    client = real_client();
    assert_int_equal(write(go[1], "g", 1), 1);
    (void)close(tell[1]);
    assert_int_equal(read(tell[0], &byte, 1), 1);
    assert_int_equal(kill(pid, SIGSTOP), 0);
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFSTOPPED(status));
    while (time_left(client, 0x700) >= 0)
        real_sleep_ms(50);
    assert_int_equal(write(go[1], "e", 1), 1);
    assert_int_equal(kill(pid, SIGCONT), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    (void)close(tell[0]), (void)close(go[0]), (void)close(go[1]);
    etcd_client_free(client);
}

/* ---- servers that come and go ---- */

static struct etcd_server *start_server(int members, const char *const *flags)
{
    struct etcd_server *server = etcd_server_start(&(struct etcd_server_options){.members = members, .flags = flags});

    if (server == NULL)
        fail_msg("etcd did not start");
    return server;
}

static etcd_client *client_of(struct etcd_server *server, etcd_client_options options)
{
    options.size = sizeof options;
    options.endpoints = etcd_server_endpoints(server);
    options.request_timeout_ms = WAIT_MS;
    options.backoff_base_ms = 20;
    options.backoff_max_ms = 100;
    return real_client_with(&options);
}

/* A long lease, so that a slow machine cannot lose it, is renewed: another handle has that done at once. */
static void renew(etcd_client *client, etcd_keepalive *keepalive, int64_t lease, int64_t ttl_s)
{
    etcd_keepalive *another = open_one(client, lease, 0);

    take_answer(another, lease, ttl_s);
    take_answer(keepalive, lease, ttl_s);
    etcd_keepalive_free(another);
}

static etcd_keepalive *grant_and_hold(etcd_client *client, int64_t lease, int64_t ttl_s)
{
    etcd_keepalive *keepalive;
    etcd_error err;

    assert_ok(etcd_lease_grant(client, ttl_s, ETCD_LEASE_GRANT(.id = lease), NULL, &err), &err);
    keepalive = open_one(client, lease, 0);
    take_answer(keepalive, lease, ttl_s);
    return keepalive;
}

static void a_lease_survives_the_restart_of_its_server(void **state)
{
    struct etcd_server *server = start_server(1, NULL);
    etcd_client *client = client_of(server, (etcd_client_options){0});
    etcd_keepalive *keepalive = grant_and_hold(client, 0x800, 120);

    (void)state;
    assert_int_equal(etcd_server_signal(server, 0, SIGKILL), 0);
    assert_int_equal(etcd_server_restart(server, 0), 0);
    renew(client, keepalive, 0x800, 120);
    assert_true(etcd_keepalive_remaining_ms(keepalive) > 0);
    assert_true(time_left(client, 0x800) > 0);
    etcd_keepalive_free(keepalive);
    etcd_client_free(client);
    etcd_server_stop(server);
}

static void a_lease_survives_its_leader(void **state)
{
    struct etcd_server *server = start_server(3, NULL);
    etcd_client *client = client_of(server, (etcd_client_options){0});
    etcd_keepalive *keepalive = grant_and_hold(client, 0x900, 120);
    int leader = etcd_server_leader(server, WAIT_MS);

    (void)state;
    assert_true(leader >= 0);
    assert_int_equal(etcd_server_signal(server, leader, SIGKILL), 0);
    renew(client, keepalive, 0x900, 120);
    assert_true(etcd_keepalive_remaining_ms(keepalive) > 0);
    assert_true(time_left(client, 0x900) > 0);
    etcd_keepalive_free(keepalive);
    etcd_client_free(client);
    etcd_server_stop(server);
}

static void enable_auth(struct etcd_server *server)
{
    etcd_client *client = client_of(server, (etcd_client_options){0});
    etcd_error err;

    assert_ok(etcd_user_add(client, "root", "rootpw", NULL, NULL, &err), &err);
    assert_ok(etcd_role_add(client, "root", NULL, NULL, &err), &err);
    assert_ok(etcd_user_grant_role(client, "root", "root", NULL, NULL, &err), &err);
    assert_ok(etcd_auth_enable(client, NULL, NULL, &err), &err);
    etcd_client_free(client);
}

static void a_lease_outlives_a_token(void **state)
{
    static const char *const flags[] = {"--auth-token-ttl=1", NULL};
    struct etcd_server *server = start_server(1, flags);
    etcd_client *client, *stranger;
    etcd_keepalive *keepalive;
    etcd_error err;

    (void)state;
    enable_auth(server);
    client = client_of(server, (etcd_client_options){.username = "root", .password = "rootpw"});
    keepalive = grant_and_hold(client, 0xa00, 120);
    real_sleep_ms(4000);
    renew(client, keepalive, 0xa00, 120);
    assert_int_equal(etcd_server_signal(server, 0, SIGKILL), 0); /* it forgets its tokens */
    assert_int_equal(etcd_server_restart(server, 0), 0);
    renew(client, keepalive, 0xa00, 120);
    assert_true(time_left(client, 0xa00) > 0);
    etcd_keepalive_free(keepalive);
    etcd_client_free(client);

    stranger = client_of(server, (etcd_client_options){.username = "root", .password = "wrong"});
    keepalive = open_one(stranger, 0xa00, 0);
    await_end(keepalive, ETCD_ERR_AUTH_FAILED);
    etcd_keepalive_free(keepalive);
    assert_error(etcd_keepalive_once(stranger, 0xa00, NULL, NULL, &err), &err, ETCD_ERR_AUTH_FAILED, NULL);
    etcd_client_free(stranger);
    etcd_server_stop(server);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_lease_lives_beyond_its_ttl),
    cmocka_unit_test(a_revoked_lease_is_told),
    cmocka_unit_test(a_lease_that_never_was_is_told),
    cmocka_unit_test(once_renews),
    cmocka_unit_test(many_leases_live),
    cmocka_unit_test(a_black_hole_is_told_before_the_server_forgets),
    cmocka_unit_test(a_dead_line_to_the_only_member_is_left_in_time),
    cmocka_unit_test(a_way_that_is_cut_again_and_again_does_no_harm),
    cmocka_unit_test(a_stopped_holder_knows_when_it_wakes),
    cmocka_unit_test(a_lease_survives_the_restart_of_its_server),
    cmocka_unit_test(a_lease_survives_its_leader),
    cmocka_unit_test(a_lease_outlives_a_token),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
