/* Real etcd servers for tests: a private cluster of one or more members, whose members can be stopped, frozen and started again.
 *
 * The binary is $ETCD3_TEST_ETCD, else the etcd in $PATH. Ports are free ones of the loopback outside the range that the system
 * gives to outgoing connections, so that nobody takes the port of a member that is down. Nothing outlives the test process,
 * however it ends: members die with it, and a helper process removes the directories. (Members also die with the thread that
 * started them: start them on the main thread.)
 *
 * Functions that fail say why on stderr. Not thread-safe, but for the getters. */
#ifndef ETCD3_TESTS_ETCD_SERVER_H
#define ETCD3_TESTS_ETCD_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define ETCD_SERVER_MEMBERS_MAX 5

struct etcd_server;

struct etcd_server_options {
    int members;              /* default 1 */
    const char *auth_token;   /* --auth-token: "simple", "jwt,..."; NULL: etcd's default */
    const char *const *flags; /* further arguments of every member, ended by NULL; NULL: none */
    bool unix_socket;         /* listen on a unix socket besides: see etcd_server_unix_endpoint() */
    const char *cert_file;    /* with key_file: clients come over TLS, and endpoints are "https://..." */
    const char *key_file;
    const char *ca_file;   /* clients must show a certificate of this CA */
    bool peer_proxies;     /* members talk to each other through proxies: see etcd_server_isolate() */
    int watch_progress_ms; /* how often watches that want it are told of progress; 0: etcd's default, 10 minutes */
};

/** Starts a cluster and waits until every member is healthy. `options` may be NULL. NULL after a failure. */
struct etcd_server *etcd_server_start(const struct etcd_server_options *options);

/** Kills all members and removes all files. NULL is allowed. */
void etcd_server_stop(struct etcd_server *server);

/** All endpoints, comma-separated, and those of single members: "http://127.0.0.1:port", "unix:///path". They live as long as the
 * server. */
const char *etcd_server_endpoints(const struct etcd_server *server);
const char *etcd_server_endpoint(const struct etcd_server *server, int member);
const char *etcd_server_peer_url(const struct etcd_server *server, int member);
const char *etcd_server_unix_endpoint(const struct etcd_server *server, int member);

/** The minor number of etcd 3: 4, 5, 6, 7. */
int etcd_server_minor(const struct etcd_server *server);

int etcd_server_members(const struct etcd_server *server);

/** -1 while it is down. */
pid_t etcd_server_pid(const struct etcd_server *server, int member);

/** The directory of logs and sockets, for files of the test that shall vanish with the server. */
const char *etcd_server_directory(const struct etcd_server *server);

/** Sends SIGKILL, SIGTERM, SIGSTOP or SIGCONT, and waits until the member is dead, or stopped. 0, or -1. */
int etcd_server_signal(struct etcd_server *server, int member, int signal_number);

/** Cuts a member off from the others, in both directions and without a word to either side, while its clients reach it; `id` is
 * its member id. And lets it back. One at a time; the server was started with peer_proxies. */
void etcd_server_isolate(struct etcd_server *server, int member, uint64_t id);
void etcd_server_rejoin(struct etcd_server *server);

/** Starts a member that is down on its ports and data. Does not wait until it is healthy. 0, or -1. */
int etcd_server_restart(struct etcd_server *server, int member);

/** Keeps a copy of the data of a member that is down, in place of one kept before; and puts the copy in place of its data, as one
 * does who restores a backup. 0, or -1. */
int etcd_server_save(struct etcd_server *server, int member);
int etcd_server_restore(struct etcd_server *server, int member);

/** One more member: its number, with ports but not running, or -1. The test adds it to the cluster by its peer URL and then
 * starts it with etcd_server_join(), which returns 0, or -1, and does not wait until it is healthy. */
int etcd_server_add(struct etcd_server *server);
int etcd_server_join(struct etcd_server *server, int member);

/** Kills a member that the test has removed from the cluster, if it still runs, and forgets it. Its number is not used again. */
void etcd_server_remove(struct etcd_server *server, int member);

/** Waits until a member (-1: each) answers, has a leader, and is in its own list of members (-1: in everyone's) with its name and
 * client URLs. 0, or -1 after timeout_ms. */
int etcd_server_await_healthy(struct etcd_server *server, int member, int64_t timeout_ms);

/** Whether a member answers, within a second, that it has a leader; and whether its metrics contain a text. From any thread. */
bool etcd_server_healthy(const struct etcd_server *server, int member);
bool etcd_server_has_metric(const struct etcd_server *server, int member, const char *text);

/** The member that leads, by its own word; waits for one. -1 after timeout_ms. */
int etcd_server_leader(struct etcd_server *server, int64_t timeout_ms);

#endif
