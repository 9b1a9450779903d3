/* The client on clusters of three whose members are killed, hang, are cut off, restarted and replaced, and whose leader moves,
 * under traffic of eight threads: see traffic.h for what has to hold (P1, P2, P3, P14). The figures are printed. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/fault_proxy.h"
#include "harness/pki.h"
#include "traffic.h"

enum { MEMBERS = 3, PATIENCE_MS = 30000, PROBE_MS = 20 };

/* Asks a member again and again, past client and proxy, whether it is healthy: for how long at most it was not, or did not
 * answer, is what no client can help. */
struct probe {
    pthread_t thread;
    const struct etcd_server *server;
    int member;
    atomic_bool stopping;
    atomic_int_fast64_t marked_ms, longest_ms;
};

/* A cluster, perhaps a proxy in front of each member, a client that is connected to all, and traffic. */
struct scene {
    struct etcd_server *server;
    fault_proxy *proxies[MEMBERS];
    etcd_client *client;
    struct traffic *traffic;
    struct probe probes[MEMBERS];
    char endpoints[512];
};

static void *probe_on(void *arg)
{
    struct probe *probe = arg;

    for (int64_t healthy_ms = real_now_ms(); !atomic_load(&probe->stopping); real_sleep_ms(PROBE_MS)) {
        int64_t marked_ms = atomic_load(&probe->marked_ms), since_ms = healthy_ms > marked_ms ? healthy_ms : marked_ms;

        if (etcd_server_healthy(probe->server, probe->member))
            healthy_ms = real_now_ms();
        else if (atomic_load(&probe->stopping))
            break;
        if (real_now_ms() - since_ms - PROBE_MS > atomic_load(&probe->longest_ms))
            atomic_store(&probe->longest_ms, real_now_ms() - since_ms - PROBE_MS);
    }
    return NULL;
}

/* The fault begins now. */
static void mark(struct scene *scene)
{
    for (int i = 0; i < MEMBERS; i++) {
        atomic_store(&scene->probes[i].marked_ms, real_now_ms());
        atomic_store(&scene->probes[i].longest_ms, 0);
    }
    traffic_mark(scene->traffic);
}

/* The longest time for which a member other than the `victim` of the fault did not serve. */
static int64_t longest_away(const struct scene *scene, int victim)
{
    int64_t longest_ms = 0;

    for (int i = 0; i < MEMBERS; i++)
        if (i != victim && atomic_load(&scene->probes[i].longest_ms) > longest_ms)
            longest_ms = atomic_load(&scene->probes[i].longest_ms);
    return longest_ms;
}

static etcd_endpoint_info endpoint_info(etcd_client *client, int member)
{
    etcd_endpoints_response *all;
    etcd_endpoint_info info;
    etcd_error err;

    assert_ok(etcd_client_endpoints(client, &all, &err), &err);
    assert_true((size_t)member < all->n_endpoints);
    info = all->endpoints[member];
    info.endpoint = info.last_error = (etcd_bytes){0};
    etcd_response_free(all);
    return info;
}

/* Waits until the client is connected to a member, and finds it healthy; or until it does not. */
static void await_serving(etcd_client *client, int member, bool serving)
{
    int64_t start = real_now_ms();

    for (;;) {
        etcd_endpoint_info info = endpoint_info(client, member);

        if ((info.state == ETCD_ENDPOINT_READY && info.healthy) == serving)
            return;
        if (real_now_ms() - start > PATIENCE_MS * real_slowdown())
            fail_msg("member %d is in state %d and %s", member, (int)info.state, info.healthy ? "healthy" : "not healthy");
        real_sleep_ms(2);
    }
}

static void list_endpoints(struct scene *scene)
{
    size_t used = 0;

    for (int i = 0; i < MEMBERS; i++)
        used += (size_t)snprintf(scene->endpoints + used, sizeof scene->endpoints - used, "%s%s", i > 0 ? "," : "",
                                 scene->proxies[i] != NULL ? fault_proxy_endpoint(scene->proxies[i])
                                                           : etcd_server_endpoint(scene->server, i));
}

static etcd_client *connect_all(struct scene *scene, etcd_client_options options)
{
    etcd_client *client;

    options.size = sizeof options;
    options.endpoints = scene->endpoints;
    options.request_timeout_ms = PATIENCE_MS;
    options.backoff_base_ms = 20;
    options.backoff_max_ms = 200;
    client = real_client_with(&options);
    for (int i = 0; i < MEMBERS; i++)
        await_serving(client, i, true);
    return client;
}

static void open_with(struct scene *scene, bool proxied, struct etcd_server_options servers, etcd_client_options options,
                      struct traffic_options traffic)
{
    memset(scene, 0, sizeof *scene);
    servers.members = MEMBERS;
    scene->server = etcd_server_start(&servers);
    if (scene->server == NULL)
        fail_msg("the cluster did not start");
    for (int i = 0; i < MEMBERS && proxied; i++)
        scene->proxies[i] = fault_proxy_start(etcd_server_endpoint(scene->server, i));
    list_endpoints(scene);
    scene->client = connect_all(scene, options);
    scene->traffic = traffic_start(scene->client, &traffic);
    for (int i = 0; i < MEMBERS; i++) {
        struct probe *probe = &scene->probes[i];

        probe->server = scene->server;
        probe->member = i;
        assert_int_equal(pthread_create(&probe->thread, NULL, probe_on, probe), 0);
    }
}

static void open_scene(struct scene *scene, bool proxied)
{
    open_with(scene, proxied, (struct etcd_server_options){0}, (etcd_client_options){0}, (struct traffic_options){0});
}

/* The traffic ends, is checked, and everything stops. */
static struct traffic_figures close_scene(struct scene *scene, const char *fault)
{
    struct traffic_figures figures = traffic_end(scene->traffic, scene->client, fault);

    for (int i = 0; i < MEMBERS; i++)
        atomic_store(&scene->probes[i].stopping, true);
    for (int i = 0; i < MEMBERS; i++)
        pthread_join(scene->probes[i].thread, NULL);
    etcd_client_free(scene->client);
    for (int i = 0; i < MEMBERS; i++)
        fault_proxy_stop(scene->proxies[i]);
    etcd_server_stop(scene->server);
    return figures;
}

static int leader_of(const struct scene *scene)
{
    int leader = etcd_server_leader(scene->server, PATIENCE_MS);

    assert_true(leader >= 0);
    return leader;
}

static int follower_of(const struct scene *scene)
{
    return (leader_of(scene) + 1) % MEMBERS;
}

static void send_signal(const struct scene *scene, int member, int number)
{
    assert_int_equal(etcd_server_signal(scene->server, member, number), 0);
}

/* A member has gone; calls go on, and go to all again when it is back. */
static void come_back(struct scene *scene, int member)
{
    assert_int_equal(etcd_server_restart(scene->server, member), 0);
    await_serving(scene->client, member, true);
    traffic_await(scene->traffic, 400, 200);
}

/* Ends the scene; fails unless the longest read took at most so many milliseconds, as far as the machine and the members that
 * have nothing to do with the fault let it. */
static void close_within(struct scene *scene, const char *fault, int victim, int64_t ms)
{
    int64_t away_ms, longest_ms = close_scene(scene, fault).longest_read_ms;

    away_ms = longest_away(scene, victim);
    assert_took(real_now_ms() - (longest_ms > away_ms ? longest_ms - away_ms : 0), 0, ms);
}

/* ---- killed ---- */

static void a_killed_follower_is_not_missed(void **state)
{
    struct scene scene;
    int follower;

    (void)state;
    open_scene(&scene, false);
    follower = follower_of(&scene);
    mark(&scene);
    send_signal(&scene, follower, SIGKILL);
    traffic_await(scene.traffic, 300, 150);
    come_back(&scene, follower);
    close_within(&scene, "follower killed", follower, 1000);
}

static void a_killed_leader_costs_an_election(void **state)
{
    struct scene scene;
    int leader;

    (void)state;
    open_scene(&scene, false);
    leader = leader_of(&scene);
    mark(&scene);
    send_signal(&scene, leader, SIGKILL);
    traffic_await(scene.traffic, 300, 150);
    come_back(&scene, leader);
    close_within(&scene, "leader killed", leader, 10000);
}

static void a_killed_leader_that_was_first_choice(void **state)
{
    struct scene scene;
    int leader;

    (void)state;
    open_with(&scene, false, (struct etcd_server_options){0}, (etcd_client_options){.leader_first = true},
              (struct traffic_options){0});
    leader = leader_of(&scene);
    mark(&scene);
    send_signal(&scene, leader, SIGKILL);
    traffic_await(scene.traffic, 300, 150);
    come_back(&scene, leader);
    close_scene(&scene, "leader killed, with leader_first");
}

static void a_killed_follower_over_tls(void **state)
{
    struct scene scene;
    char *directory = etcd_test_directory_new();
    etcd_test_cert ca = etcd_test_cert_new(&(const etcd_test_cert_spec){.cn = "test CA", .ca = true});
    etcd_test_cert cert = etcd_test_cert_new(
        &(const etcd_test_cert_spec){.cn = "etcd", .sans = "IP:127.0.0.1", .eku = "serverAuth,clientAuth", .issuer = &ca});
    char *ca_file = etcd_test_file(directory, "ca.pem", etcd_test_pem(&ca));
    char *cert_file = etcd_test_file(directory, "server.pem", etcd_test_pem(&cert));
    char *key_file = etcd_test_file(directory, "server.key", etcd_test_pem_key(&cert, NULL));
    int follower;

    (void)state;
    open_with(&scene, true, (struct etcd_server_options){.cert_file = cert_file, .key_file = key_file},
              (etcd_client_options){.tls = ETCD_TLS(.ca_file = ca_file)}, (struct traffic_options){0});
    follower = follower_of(&scene);
    mark(&scene);
    send_signal(&scene, follower, SIGKILL);
    traffic_await(scene.traffic, 300, 150);
    fault_proxy_reset(scene.proxies[(follower + 1) % MEMBERS]);
    come_back(&scene, follower);
    close_scene(&scene, "follower killed, another reset, over TLS");
    free(ca_file);
    free(cert_file);
    free(key_file);
    etcd_test_cert_free(&cert);
    etcd_test_cert_free(&ca);
    etcd_test_directory_free(directory);
}

/* ---- told to end, one after the other ---- */

static void members_are_restarted_in_turn(void **state)
{
    struct scene scene;

    (void)state;
    open_scene(&scene, false);
    mark(&scene);
    for (int i = 0; i < MEMBERS; i++) {
        send_signal(&scene, i, SIGTERM);
        await_serving(scene.client, i, false);
        assert_int_equal(etcd_server_restart(scene.server, i), 0);
        assert_int_equal(etcd_server_await_healthy(scene.server, i, PATIENCE_MS), 0);
        await_serving(scene.client, i, true);
    }
    traffic_await(scene.traffic, 300, 150);
    close_scene(&scene, "each restarted");
}

/* ---- hanging ---- */

static void freeze(struct scene *scene, int member)
{
    mark(scene);
    send_signal(scene, member, SIGSTOP);
    await_serving(scene->client, member, false);
    traffic_await(scene->traffic, 300, 150);
    send_signal(scene, member, SIGCONT);
    await_serving(scene->client, member, true);
    traffic_await(scene->traffic, 600, 300);
}

static void a_frozen_follower_is_avoided(void **state)
{
    struct scene scene;
    int follower;

    (void)state;
    open_scene(&scene, false);
    follower = follower_of(&scene);
    freeze(&scene, follower);
    close_within(&scene, "follower frozen", follower, 2000 + 1000);
}

static void a_frozen_leader_costs_an_election(void **state)
{
    struct scene scene;
    int leader;

    (void)state;
    open_scene(&scene, false);
    leader = leader_of(&scene);
    freeze(&scene, leader);
    close_within(&scene, "leader frozen", leader, 10000);
}

/* ---- cut off ---- */

static void cut_off(int directions, bool leader, const char *fault)
{
    struct scene scene;
    int member;

    open_scene(&scene, true);
    member = leader ? leader_of(&scene) : follower_of(&scene);
    mark(&scene);
    fault_proxy_hold(scene.proxies[member], directions);
    assert_true(fault_proxy_await_held(scene.proxies[member], directions, PATIENCE_MS));
    await_serving(scene.client, member, false);
    traffic_await(scene.traffic, 300, 150);
    fault_proxy_resume(scene.proxies[member]);
    await_serving(scene.client, member, true);
    traffic_await(scene.traffic, 600, 300);
    close_within(&scene, fault, -1, 2000 + 1000); /* the members see each other: all are well */
}

static void a_black_hole_is_noticed(void **state)
{
    (void)state;
    cut_off(FAULT_BOTH, false, "black hole");
}

static void a_black_hole_around_the_leader(void **state)
{
    (void)state;
    cut_off(FAULT_BOTH, true, "black hole around the leader"); /* who still leads: the members see each other */
}

static void requests_that_do_not_arrive(void **state)
{
    (void)state;
    cut_off(FAULT_UP, false, "half open: requests are lost");
}

static void answers_that_do_not_arrive(void **state)
{
    (void)state;
    cut_off(FAULT_DOWN, false, "half open: answers are lost");
}

/* Longer than the ping's timeout: the connection is given up, and the next one waits for settings that do not come. */
static void a_long_black_hole_ends_the_connection(void **state)
{
    struct scene scene;
    size_t connections;

    (void)state;
    open_with(&scene, true, (struct etcd_server_options){0}, (etcd_client_options){.ping_timeout_ms = 1000},
              (struct traffic_options){0});
    connections = fault_proxy_count(scene.proxies[0]);
    mark(&scene);
    fault_proxy_hold(scene.proxies[0], FAULT_BOTH);
    assert_true(fault_proxy_await_count(scene.proxies[0], connections + 1, PATIENCE_MS));
    traffic_await(scene.traffic, 300, 150);
    fault_proxy_resume(scene.proxies[0]);
    await_serving(scene.client, 0, true);
    traffic_await(scene.traffic, 600, 300);
    close_scene(&scene, "black hole for longer");
}

static void connections_are_reset_all_the_time(void **state)
{
    struct scene scene;

    (void)state;
    open_scene(&scene, true);
    mark(&scene);
    for (uint64_t i = 1; i <= 30; i++) {
        fault_proxy_reset(scene.proxies[i % MEMBERS]);
        traffic_await(scene.traffic, 10 * i, 5 * i);
    }
    close_scene(&scene, "30 resets");
}

static void connections_are_cut_in_the_middle(void **state)
{
    struct scene scene;

    (void)state;
    open_scene(&scene, true);
    mark(&scene);
    for (int i = 0; i < 30; i++) {
        fault_proxy *proxy = scene.proxies[i % MEMBERS];
        size_t connections = fault_proxy_count(proxy);

        fault_proxy_cut_next(proxy, i % 2 ? FAULT_UP : FAULT_DOWN, (uint64_t)(i * 37));
        fault_proxy_reset(proxy);
        assert_true(fault_proxy_await_count(proxy, connections + 2, PATIENCE_MS)); /* the one that is cut, and the next */
    }
    traffic_await(scene.traffic, 100, 50);
    close_scene(&scene, "30 cuts");
}

static void a_member_that_refuses_connections(void **state)
{
    struct scene scene;

    (void)state;
    open_scene(&scene, true);
    mark(&scene);
    fault_proxy_refuse(scene.proxies[0]);
    fault_proxy_reset(scene.proxies[0]);
    await_serving(scene.client, 0, false);
    traffic_await(scene.traffic, 300, 150);
    fault_proxy_resume(scene.proxies[0]);
    await_serving(scene.client, 0, true);
    traffic_await(scene.traffic, 600, 300);
    close_scene(&scene, "refused");
}

/* One more after each election. */
static uint64_t term_of(const struct scene *scene)
{
    etcd_get_response *get = real_get(scene->client, "key", NULL);
    uint64_t term = get->header.raft_term;

    etcd_response_free(get);
    return term;
}

static void a_slow_way_is_no_fault(void **state)
{
    struct scene scene;
    struct traffic_figures figures;
    uint64_t connects[MEMBERS], term;

    (void)state;
    open_with(&scene, true, (struct etcd_server_options){0}, (etcd_client_options){0},
              (struct traffic_options){.write_timeout_ms = PATIENCE_MS * real_slowdown()});
    term = term_of(&scene);
    for (int i = 0; i < MEMBERS; i++)
        connects[i] = endpoint_info(scene.client, i).connects;
    mark(&scene);
    fault_proxy_latency(scene.proxies[0], 60);
    fault_proxy_latency(scene.proxies[1], 20);
    fault_proxy_rate(scene.proxies[1], 20000);
    traffic_await(scene.traffic, 150, 80);
    for (int i = 0; i < MEMBERS; i++)
        assert_int_equal(endpoint_info(scene.client, i).connects, connects[i]);
    term = term_of(&scene) - term;
    figures = close_scene(&scene, "60 ms, and 20 ms with 20 kB/s");
    if (term == 0) /* else the machine made the leader lose the others, and that of writes */
        assert_int_equal(figures.unknown_writes, 0);
}

/* ---- the cluster changes ---- */

static uint64_t member_id(etcd_client *client, const struct scene *scene, int member)
{
    etcd_member_list_response *members;
    etcd_error err;
    uint64_t id = 0;

    assert_ok(etcd_member_list(client, NULL, &members, &err), &err);
    for (size_t i = 0; i < members->n_members; i++)
        if (strcmp(members->members[i].peer_urls[0].data, etcd_server_peer_url(scene->server, member)) == 0)
            id = members->members[i].id;
    etcd_response_free(members);
    assert_true(id != 0);
    return id;
}

/* To the member after it; once more when the cluster itself has elected another meanwhile, or takes too long over it. */
static void move_leader(const struct scene *scene)
{
    int64_t start = real_now_ms();
    etcd_error err;
    int rc;

    do {
        int leader = leader_of(scene), next = (leader + 1) % MEMBERS;

        rc = etcd_move_leader(scene->client, member_id(scene->client, scene, next),
                              ETCD_CALL(.endpoint = etcd_server_endpoint(scene->server, leader)), NULL, &err);
    } while ((rc == ETCD_ERR_NOT_LEADER || real_passes(rc) || strstr(err.message, "leader transfer took too long") != NULL) &&
             real_now_ms() - start < PATIENCE_MS);
    assert_ok(rc, &err);
}

static void the_leader_moves(void **state)
{
    struct scene scene;

    (void)state;
    open_scene(&scene, false);
    mark(&scene);
    for (uint64_t i = 1; i <= 4; i++) {
        move_leader(&scene);
        traffic_await(scene.traffic, 50 * i, 25 * i);
    }
    close_scene(&scene, "leader moved 4 times");
}

/* A cluster that has not noticed the death of the member yet, and is young, fears for its quorum. */
static void remove_member(const struct scene *scene, uint64_t id)
{
    int64_t start = real_now_ms();
    bool perhaps = false;
    etcd_error err;
    int rc;

    while (real_passes(rc = etcd_member_remove(scene->client, id, NULL, NULL, &err)) && real_now_ms() - start < PATIENCE_MS) {
        perhaps = perhaps || (err.flags & ETCD_ERROR_MAYBE_APPLIED);
        real_sleep_ms(50);
    }
    if (!perhaps || rc != ETCD_ERR_MEMBER_NOT_FOUND)
        assert_ok(rc, &err);
}

/* Adds the last of the server's members; a cluster that has just lost one refuses for a while. */
static void add_member(struct scene *scene, int member)
{
    const char *url = etcd_server_peer_url(scene->server, member);
    int64_t start = real_now_ms();
    bool perhaps = false;
    etcd_error err;
    int rc;

    while (real_passes(rc = etcd_member_add(scene->client, &url, 1, NULL, NULL, &err)) && real_now_ms() - start < PATIENCE_MS) {
        perhaps = perhaps || (err.flags & ETCD_ERROR_MAYBE_APPLIED);
        real_sleep_ms(50);
    }
    if (!perhaps || rc != ETCD_ERR_PEER_URL_EXIST)
        assert_ok(rc, &err);
}

/* The members of 3.4 tell what they know by themselves: one may not have heard of the new one yet. */
static void sync_all(etcd_client *client)
{
    int64_t start = real_now_ms();
    etcd_endpoints_response *all;
    etcd_error err;
    size_t n;

    do {
        assert_ok(etcd_client_sync(client, ETCD_CALL(.timeout_ms = PATIENCE_MS), &err), &err);
        assert_ok(etcd_client_endpoints(client, &all, &err), &err);
        n = all->n_endpoints;
        etcd_response_free(all);
        assert_true(real_now_ms() - start < PATIENCE_MS);
    } while (n != MEMBERS);
}

static void a_member_is_replaced(void **state)
{
    struct scene scene;
    uint64_t id;
    int old, new;

    (void)state;
    open_scene(&scene, false);
    old = follower_of(&scene);
    id = member_id(scene.client, &scene, old);
    mark(&scene);
    send_signal(&scene, old, SIGKILL);
    remove_member(&scene, id);
    etcd_server_remove(scene.server, old);
    new = etcd_server_add(scene.server);
    assert_true(new >= 0);
    add_member(&scene, new);
    assert_int_equal(etcd_server_join(scene.server, new), 0);
    assert_int_equal(etcd_server_await_healthy(scene.server, new, PATIENCE_MS), 0);
    sync_all(scene.client);
    for (int i = 0; i < MEMBERS; i++)
        await_serving(scene.client, i, true);
    traffic_await(scene.traffic, 600, 300);
    close_scene(&scene, "member replaced");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_killed_follower_is_not_missed),
    cmocka_unit_test(a_killed_leader_costs_an_election),
    cmocka_unit_test(a_killed_leader_that_was_first_choice),
    cmocka_unit_test(a_killed_follower_over_tls),
    cmocka_unit_test(members_are_restarted_in_turn),
    cmocka_unit_test(a_frozen_follower_is_avoided),
    cmocka_unit_test(a_frozen_leader_costs_an_election),
    cmocka_unit_test(a_black_hole_is_noticed),
    cmocka_unit_test(a_black_hole_around_the_leader),
    cmocka_unit_test(requests_that_do_not_arrive),
    cmocka_unit_test(answers_that_do_not_arrive),
    cmocka_unit_test(a_long_black_hole_ends_the_connection),
    cmocka_unit_test(connections_are_reset_all_the_time),
    cmocka_unit_test(connections_are_cut_in_the_middle),
    cmocka_unit_test(a_member_that_refuses_connections),
    cmocka_unit_test(a_slow_way_is_no_fault),
    cmocka_unit_test(the_leader_moves),
    cmocka_unit_test(a_member_is_replaced),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
