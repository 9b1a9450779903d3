/* Sixteen contenders for one lock, or one election, through faults: never two of them at the same time at what the lock protects,
 * a register that refuses fencing tokens lower than one it has seen; everybody gets a turn; nothing is left behind; and an
 * observer is told of every leader.
 *
 * ETCD3_TEST_CONTENTION_TURNS: how many turns each contender takes (default below), for longer runs. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/fault_proxy.h"
#include "recipes.h"

enum { CONTENDERS = 16, CLIENTS = 4, TURNS = 4, MEMBERS = 3, TTL_S = 10, END_MS = 100000 };

static int turns_of_each(void)
{
    const char *given = getenv("ETCD3_TEST_CONTENTION_TURNS");
    int turns = given ? (int)strtol(given, NULL, 10) : TURNS;

    return turns > 0 ? turns : TURNS;
}

/* ---- a lock or a leadership ---- */

struct claim {
    etcd_session *session;
    etcd_mutex *mutex; /* one of the two */
    etcd_election *election;
};

static bool claim_open(struct claim *claim, etcd_client *client, bool election, int64_t ttl_s)
{
    etcd_error err;

    if (etcd_session_new(client, ETCD_SESSION(.ttl_s = ttl_s, .call = ETCD_CALL(.timeout_ms = 5000)), &claim->session, &err) < 0)
        return false;
    if (election)
        return etcd_election_new(claim->session, ETCD_STR("prize"), &claim->election, &err) == ETCD_OK;
    return etcd_mutex_new(claim->session, ETCD_STR("prize"), &claim->mutex, &err) == ETCD_OK;
}

static void claim_close(struct claim *claim)
{
    etcd_mutex_free(claim->mutex);
    etcd_election_free(claim->election);
    etcd_session_free(claim->session);
    *claim = (struct claim){0};
}

static int claim_take(struct claim *claim, etcd_error *err)
{
    const etcd_call_options *call = ETCD_CALL(.timeout_ms = PATIENCE_MS);

    return claim->election ? etcd_election_campaign(claim->election, ETCD_STR("me"), call, err)
                           : etcd_mutex_lock(claim->mutex, call, err);
}

static int claim_give(struct claim *claim, etcd_error *err)
{
    const etcd_call_options *call = ETCD_CALL(.timeout_ms = 5000);

    return claim->election ? etcd_election_resign(claim->election, call, err) : etcd_mutex_unlock(claim->mutex, call, err);
}

static bool claim_held(const struct claim *claim)
{
    return claim->election ? etcd_election_leads(claim->election) : etcd_mutex_held(claim->mutex);
}

static int64_t claim_token(const struct claim *claim)
{
    return claim->election ? etcd_election_token(claim->election) : etcd_mutex_token(claim->mutex);
}

/* ---- contenders that are threads ---- */

enum { LEADERS_MOST = 1 << 16 };

/* What an observer was told, and who has led. */
struct witness {
    etcd_observer *observer;
    int64_t revision;              /* of the last report */
    bool nobody;                   /* as the last report has it */
    int disorder;                  /* reports that go back */
    int64_t told[LEADERS_MOST];    /* create revisions, in their order */
    int64_t visited[LEADERS_MOST]; /* tokens */
    int n_told, n_visited;
};

struct arena {
    bool election;
    struct witness *witness; /* of an election */
    int turns;               /* wanted of each */
    int64_t deadline;
    pthread_mutex_t lock;
    int64_t highest;            /* the register */
    const struct claim *holder; /* who is at it */
    int refused;                /* tokens that came too late */
    int violations;             /* two who held it at once, or a refusal of one who held it */
    int lost;                   /* sessions that ended on the way */
    atomic_int done[CONTENDERS];
    char last_error[ETCD_ERROR_MESSAGE_MAX];
};

struct contender {
    struct arena *arena;
    etcd_client *client;
    int number;
};

static void on_report(etcd_observer *observer, etcd_observer_response *report, const etcd_error *err, void *arg)
{
    struct arena *arena = arg;
    struct witness *witness = arena->witness;

    (void)observer;
    (void)err;
    if (report == NULL)
        return;
    pthread_mutex_lock(&arena->lock);
    witness->disorder += report->header.revision <= witness->revision;
    witness->revision = report->header.revision;
    witness->nobody = report->leader == NULL;
    if (report->leader != NULL && witness->n_told < LEADERS_MOST) {
        int64_t created = report->leader->create_revision;

        witness->disorder += witness->n_told > 0 && created <= witness->told[witness->n_told - 1];
        witness->told[witness->n_told++] = created;
    }
    pthread_mutex_unlock(&arena->lock);
    etcd_response_free(report);
}

/* At what the lock protects. */
static void visit(struct arena *arena, const struct claim *claim)
{
    int64_t token = claim_token(claim);
    bool refused;

    pthread_mutex_lock(&arena->lock);
    if (arena->witness != NULL && arena->witness->n_visited < LEADERS_MOST)
        arena->witness->visited[arena->witness->n_visited++] = token;
    if (arena->holder != NULL && claim_held(arena->holder) && claim_held(claim))
        arena->violations++;
    arena->holder = claim;
    refused = token < arena->highest;
    if (!refused)
        arena->highest = token;
    arena->refused += refused;
    pthread_mutex_unlock(&arena->lock);
    if (refused && claim_held(claim)) {
        pthread_mutex_lock(&arena->lock);
        arena->violations++;
        pthread_mutex_unlock(&arena->lock);
    }
    real_sleep_ms(1);
    pthread_mutex_lock(&arena->lock);
    if (arena->holder == claim)
        arena->holder = NULL;
    pthread_mutex_unlock(&arena->lock);
}

static void note_loss(struct arena *arena, const etcd_error *err)
{
    pthread_mutex_lock(&arena->lock);
    arena->lost++;
    memcpy(arena->last_error, err->message, sizeof arena->last_error);
    pthread_mutex_unlock(&arena->lock);
}

static void contend(void *arg)
{
    struct contender *self = arg;
    struct arena *arena = self->arena;
    struct claim claim = {0};
    etcd_error err;

    while (atomic_load(&arena->done[self->number]) < arena->turns && real_now_ms() < arena->deadline) {
        if (claim.session == NULL && !claim_open(&claim, self->client, arena->election, TTL_S)) {
            claim_close(&claim);
            continue;
        }
        if (claim_take(&claim, &err) < 0) {
            note_loss(arena, &err);
            claim_close(&claim); /* whatever became of it: a new session */
            continue;
        }
        visit(arena, &claim);
        atomic_fetch_add(&arena->done[self->number], 1);
        if (claim_give(&claim, &err) < 0) {
            note_loss(arena, &err);
            claim_close(&claim);
        }
    }
    claim_close(&claim);
}

struct scene {
    struct etcd_server *server;
    fault_proxy *proxies[MEMBERS]; /* in front of the members, for the contenders */
    etcd_client *auditor;          /* past them */
    etcd_client *clients[CLIENTS];
    struct arena arena;
    struct contender contenders[CONTENDERS];
    struct recipe_thread threads[CONTENDERS];
};

static void call_witness(struct scene *scene)
{
    struct witness *witness = calloc(1, sizeof *witness);
    bool listens = false;
    etcd_error err;

    assert_non_null(witness);
    scene->arena.witness = witness;
    assert_ok(etcd_observer_start(scene->clients[0], ETCD_STR("prize"), NULL, on_report, &scene->arena, &witness->observer, &err),
              &err);
    while (!listens) { /* who led before its first report is not told of */
        pthread_mutex_lock(&scene->arena.lock);
        listens = witness->revision > 0;
        pthread_mutex_unlock(&scene->arena.lock);
        real_sleep_ms(1);
    }
}

/* It was told of each leader once, in order, and at last of none. */
static void hear_witness(struct scene *scene)
{
    struct witness *witness = scene->arena.witness;
    const int64_t start = real_now_ms();
    bool over = false;

    while (!over) { /* keys that wait are deleted one by one */
        pthread_mutex_lock(&scene->arena.lock);
        over = witness->nobody && witness->n_told > 0 && witness->told[witness->n_told - 1] >= scene->arena.highest;
        pthread_mutex_unlock(&scene->arena.lock);
        assert_true(real_now_ms() - start < PATIENCE_MS);
        real_sleep_ms(2);
    }
    etcd_observer_free(witness->observer);
    assert_int_equal(witness->disorder, 0);
    for (int i = 0; i < witness->n_visited; i++) {
        int k = 0;

        while (k < witness->n_told && witness->told[k] != witness->visited[i])
            k++;
        assert_true(k < witness->n_told);
    }
    print_message("%d leaders were told of, %d turns\n", witness->n_told, witness->n_visited);
    free(witness);
}

static void open_scene(struct scene *scene, int members, bool election)
{
    char endpoints[256] = "";

    memset(scene, 0, sizeof *scene);
    scene->server = etcd_server_start(&(struct etcd_server_options){.members = members});
    assert_non_null(scene->server);
    for (int i = 0; i < members; i++) {
        size_t used = strlen(endpoints);

        scene->proxies[i] = fault_proxy_start(etcd_server_endpoint(scene->server, i));
        snprintf(endpoints + used, sizeof endpoints - used, "%s%s", i ? "," : "", fault_proxy_endpoint(scene->proxies[i]));
    }
    scene->auditor = real_client_with(ETCD_CLIENT(.endpoints = etcd_server_endpoints(scene->server), .backoff_base_ms = 20,
                                                  .backoff_max_ms = 200, .request_timeout_ms = PATIENCE_MS));
    for (int i = 0; i < CLIENTS; i++)
        scene->clients[i] = real_client_with(ETCD_CLIENT(.endpoints = endpoints, .backoff_base_ms = 20, .backoff_max_ms = 200));
    scene->arena.election = election;
    scene->arena.turns = turns_of_each();
    scene->arena.deadline = real_now_ms() + (int64_t)END_MS * (scene->arena.turns > TURNS ? scene->arena.turns / TURNS : 1);
    assert_int_equal(pthread_mutex_init(&scene->arena.lock, NULL), 0);
    if (election)
        call_witness(scene);
    for (int i = 0; i < CONTENDERS; i++) {
        scene->contenders[i] = (struct contender){&scene->arena, scene->clients[i % CLIENTS], i};
        recipe_run(&scene->threads[i], contend, &scene->contenders[i]);
    }
}

/* All have had their turns, and nothing is left. */
static void close_scene(struct scene *scene)
{
    for (int i = 0; i < CONTENDERS; i++)
        recipe_join(&scene->threads[i]);
    print_message("%d refused, %d lost %s\n", scene->arena.refused, scene->arena.lost, scene->arena.last_error);
    assert_int_equal(scene->arena.violations, 0);
    for (int i = 0; i < CONTENDERS; i++)
        assert_true(atomic_load(&scene->arena.done[i]) >= scene->arena.turns);
    recipe_await_count(scene->auditor, "prize/", 0);
    if (scene->arena.witness != NULL)
        hear_witness(scene);
    for (int i = 0; i < CLIENTS; i++)
        etcd_client_free(scene->clients[i]);
    etcd_client_free(scene->auditor);
    for (int i = 0; i < MEMBERS; i++)
        fault_proxy_stop(scene->proxies[i]);
    etcd_server_stop(scene->server);
}

/* Waits until that many turns were taken, of all, after those so far; or all there are to be. */
static void await_turns(struct scene *scene, int more)
{
    const int64_t start = real_now_ms();
    int first = -1, now = 0;

    while (now < first + more && now < CONTENDERS * scene->arena.turns) {
        now = 0;
        for (int i = 0; i < CONTENDERS; i++)
            now += atomic_load(&scene->arena.done[i]);
        if (first < 0)
            first = now;
        assert_true(real_now_ms() - start < PATIENCE_MS);
        real_sleep_ms(2);
    }
}

static void turns_are_taken(bool election)
{
    struct scene scene;

    open_scene(&scene, 1, election);
    close_scene(&scene);
    assert_int_equal(scene.arena.refused, 0);
}

static void sixteen_take_turns(void **state)
{
    (void)state;
    turns_are_taken(false);
}

static void sixteen_lead_in_turn(void **state)
{
    (void)state;
    turns_are_taken(true);
}

static void leader_dies(bool election)
{
    struct scene scene;
    int leader;

    open_scene(&scene, MEMBERS, election);
    await_turns(&scene, 5);
    leader = etcd_server_leader(scene.server, PATIENCE_MS);
    assert_true(leader >= 0);
    assert_int_equal(etcd_server_signal(scene.server, leader, SIGKILL), 0);
    await_turns(&scene, 5);
    assert_int_equal(etcd_server_restart(scene.server, leader), 0);
    assert_int_equal(etcd_server_await_healthy(scene.server, leader, PATIENCE_MS), 0);
    close_scene(&scene);
}

static void turns_are_taken_through_the_death_of_a_leader(void **state)
{
    (void)state;
    leader_dies(false);
}

static void they_lead_in_turn_through_the_death_of_a_member(void **state)
{
    (void)state;
    leader_dies(true);
}

static void move_leader(struct scene *scene)
{
    int leader = etcd_server_leader(scene->server, PATIENCE_MS);
    etcd_member_list_response *members;
    etcd_status_response *status;
    uint64_t target = 0;
    etcd_error err;

    assert_true(leader >= 0);
    assert_ok(etcd_member_list(scene->auditor, NULL, &members, &err), &err);
    assert_ok(etcd_status(scene->auditor, etcd_server_endpoint(scene->server, leader), PATIENT, &status, &err), &err);
    for (size_t i = 0; i < members->n_members; i++)
        if (members->members[i].id != status->leader)
            target = members->members[i].id;
    (void)etcd_move_leader(scene->auditor, target, ETCD_CALL(.timeout_ms = 5000), NULL, &err); /* or it has moved by itself */
    etcd_response_free(members);
    etcd_response_free(status);
}

static void leader_moves(bool election)
{
    struct scene scene;

    open_scene(&scene, MEMBERS, election);
    for (int i = 0; i < 3; i++) {
        await_turns(&scene, 5);
        move_leader(&scene);
    }
    close_scene(&scene);
}

static void turns_are_taken_while_the_leader_moves(void **state)
{
    (void)state;
    leader_moves(false);
}

static void they_lead_in_turn_while_the_leader_moves(void **state)
{
    (void)state;
    leader_moves(true);
}

static void partitions(bool election)
{
    struct scene scene;

    open_scene(&scene, MEMBERS, election);
    for (int i = 0; i < MEMBERS; i++) {
        await_turns(&scene, 3);
        fault_proxy_reset(scene.proxies[i]);
        await_turns(&scene, 3);
        fault_proxy_hold(scene.proxies[i], i % 2 ? FAULT_DOWN : FAULT_BOTH);
        await_turns(&scene, 3); /* without that member */
        fault_proxy_resume(scene.proxies[i]);
    }
    close_scene(&scene);
}

static void turns_are_taken_through_partitions(void **state)
{
    (void)state;
    partitions(false);
}

static void they_lead_in_turn_through_partitions(void **state)
{
    (void)state;
    partitions(true);
}

/* ---- contenders that are processes, and are stopped for longer than their sessions live ---- */

enum { PROCESSES = 4, STOPS = 2, SHORT_TTL_S = 2, VISITS = 20 };

/* In memory that all share. */
struct ring {
    _Atomic int64_t highest; /* the register */
    atomic_int holder;       /* number of the process that is at it; -1: none */
    _Atomic int64_t tokens[PROCESSES];
    atomic_int refused, violations, accepted;
    atomic_int turns[PROCESSES], lost[PROCESSES];
    atomic_bool stop;
};

static bool offer(struct ring *ring, int64_t token)
{
    int64_t seen = atomic_load(&ring->highest);

    while (token > seen)
        if (atomic_compare_exchange_weak(&ring->highest, &seen, token))
            return true;
    return token == seen;
}

/* Goes on without asking whether the lock is still held: the register has to see to that. */
static void visit_ring(struct ring *ring, const struct claim *claim, int number)
{
    int64_t token = claim_token(claim);
    int none = -1;

    atomic_store(&ring->tokens[number], token);
    (void)atomic_compare_exchange_strong(&ring->holder, &none, number);
    for (int i = 0; i < VISITS; i++) {
        real_sleep_ms(2);
        if (offer(ring, token)) {
            atomic_fetch_add(&ring->accepted, 1);
        } else {
            atomic_fetch_add(&ring->refused, 1);
            if (claim_held(claim))
                atomic_fetch_add(&ring->violations, 1);
        }
    }
    (void)atomic_compare_exchange_strong(&ring->holder, &number, -1);
}

static void live_in_ring(struct ring *ring, const char *endpoints, int number, bool election)
{
    struct claim claim = {0};
    etcd_client *client;
    etcd_error err;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (etcd_client_new(ETCD_CLIENT(.endpoints = endpoints, .backoff_base_ms = 20, .backoff_max_ms = 200), &client, &err) < 0)
        _exit(1);
    while (!atomic_load(&ring->stop)) {
        bool lost = false;

        if (claim.session == NULL && !claim_open(&claim, client, election, SHORT_TTL_S)) {
            claim_close(&claim);
            continue;
        }
        if (claim_take(&claim, &err) == ETCD_OK) {
            visit_ring(ring, &claim, number);
            lost = !claim_held(&claim);
            if (lost)
                atomic_fetch_add(&ring->lost[number], 1);
            lost = claim_give(&claim, &err) < 0 || lost;
            atomic_fetch_add(&ring->turns[number], 1);
        } else {
            lost = true;
        }
        if (lost)
            claim_close(&claim);
    }
    claim_close(&claim);
    etcd_client_free(client);
    _exit(0);
}

/* Stops the one that is at it until another has had the lock. Returns false when it was through before it was stopped. */
static bool stop_the_holder(struct ring *ring, const pid_t *pids)
{
    const int64_t start = real_now_ms();
    int holder, status;

    while ((holder = atomic_load(&ring->holder)) < 0)
        assert_true(real_now_ms() - start < PATIENCE_MS);
    assert_int_equal(kill(pids[holder], SIGSTOP), 0);
    assert_int_equal(waitpid(pids[holder], &status, WUNTRACED), pids[holder]);
    assert_true(WIFSTOPPED(status));
    if (atomic_load(&ring->holder) != holder) {
        assert_int_equal(kill(pids[holder], SIGCONT), 0);
        return false;
    }
    atomic_store(&ring->holder, -1);
    while (atomic_load(&ring->highest) <= atomic_load(&ring->tokens[holder])) {
        assert_true(real_now_ms() - start < PATIENCE_MS);
        real_sleep_ms(5);
    }
    status = atomic_load(&ring->lost[holder]);
    assert_int_equal(kill(pids[holder], SIGCONT), 0);
    while (atomic_load(&ring->lost[holder]) == status) { /* it learns that it holds no more */
        assert_true(real_now_ms() - start < PATIENCE_MS);
        real_sleep_ms(5);
    }
    return true;
}

static void holders_are_stopped(bool election)
{
    struct etcd_server *server = real_server();
    struct ring *ring = mmap(NULL, sizeof *ring, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pids[PROCESSES];
    etcd_client *auditor;

    assert_true(ring != MAP_FAILED);
    atomic_store(&ring->holder, -1);
    for (int i = 0; i < PROCESSES; i++) { /* before this process has threads */
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0)
            live_in_ring(ring, etcd_server_endpoints(server), i, election);
    }
    for (int stopped = 0; stopped < STOPS;)
        stopped += stop_the_holder(ring, pids);
    atomic_store(&ring->stop, true);
    for (int i = 0; i < PROCESSES; i++) {
        int status = 0;

        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    print_message("%d accepted, %d refused\n", atomic_load(&ring->accepted), atomic_load(&ring->refused));
    assert_int_equal(atomic_load(&ring->violations), 0);
    auditor = real_client_with(ETCD_CLIENT());
    recipe_await_count(auditor, "prize/", 0);
    etcd_client_free(auditor);
    munmap(ring, sizeof *ring);
}

static void a_holder_that_was_stopped_is_refused(void **state)
{
    (void)state;
    holders_are_stopped(false);
}

static void a_leader_that_was_stopped_is_refused(void **state)
{
    (void)state;
    holders_are_stopped(true);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(sixteen_take_turns),
    cmocka_unit_test(sixteen_lead_in_turn),
    cmocka_unit_test(turns_are_taken_through_the_death_of_a_leader),
    cmocka_unit_test(they_lead_in_turn_through_the_death_of_a_member),
    cmocka_unit_test(turns_are_taken_while_the_leader_moves),
    cmocka_unit_test(they_lead_in_turn_while_the_leader_moves),
    cmocka_unit_test(turns_are_taken_through_partitions),
    cmocka_unit_test(they_lead_in_turn_through_partitions),
    cmocka_unit_test(a_holder_that_was_stopped_is_refused),
    cmocka_unit_test(a_leader_that_was_stopped_is_refused),
};

int main(int argc, char **argv)
{
    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
