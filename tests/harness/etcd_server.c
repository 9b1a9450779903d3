/* See etcd_server.h.
 *
 * Each member serves /health and /metrics on a plain HTTP port of their own (--listen-metrics-urls): the harness needs no
 * TLS, whatever the clients use. State of a member: pid > 0 while it runs or is frozen, -1 while it is down.
 *
 * Ports stay reserved while a member is down, by sockets that are bound but do not listen: etcd, which sets SO_REUSEADDR as they
 * do, can bind beside them, but they were bound without it, so that two harnesses never choose the same. */
#define _GNU_SOURCE /* pipe2, execvpe, vasprintf */
#include "harness/etcd_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness/fault_proxy.h"

#define PATH_SIZE 256
#define URL_SIZE 320
#define ARGS_MAX 64
#define START_TIMEOUT_MS 60000
#define MEMBER_NICE (-5)
#define PORT_LOW 10000
#define PORT_HIGH 30000        /* then come those of scripts/with-etcd; Linux gives those from 32768 on to outgoing connections */
#define WAL_BYTES (256u << 20) /* what a member may preallocate */

extern char **environ;

struct member {
    pid_t pid;
    int client_port, peer_port, metrics_port;
    char endpoint[URL_SIZE], unix_endpoint[URL_SIZE], peer_url[URL_SIZE];
    int reserved[3];    /* sockets that hold the ports, -1: none */
    bool removed;       /* from the cluster, by the test */
    fault_proxy *proxy; /* in front of the peer port: what the others know; NULL: they know the port */
    char listen_url[URL_SIZE];
};

struct etcd_server {
    struct etcd_server_options options; /* its pointers are the caller's, and used by start only */
    char *args[ETCD_SERVER_MEMBERS_MAX][ARGS_MAX];
    struct member members[ETCD_SERVER_MEMBERS_MAX];
    int n_members, minor;
    const char *binary;
    char directory[PATH_SIZE], data[PATH_SIZE];
    char endpoints[ETCD_SERVER_MEMBERS_MAX * URL_SIZE];
    int janitor_fd; /* the writing end of the janitor's pipe, -1 when there is none */
    pid_t janitor;
};

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void pause_ms(long ms)
{
    struct timespec wait = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    nanosleep(&wait, NULL);
}

__attribute__((format(printf, 1, 2))) static void complain(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("etcd_server: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

/* ---- ports ---- */

/* A socket that holds the port, -1 when somebody has it. */
static int reserve(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0)
        return -1;
    if (bind(fd, (const struct sockaddr *)&address, sizeof address) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0)
        return fd;
    close(fd);
    return -1;
}

static int free_port(int *reservation)
{
    for (int tries = 0; tries < 1000; tries++) {
        uint32_t random = 0;
        int port;

        if (getrandom(&random, sizeof random, 0) != sizeof random)
            return -1;
        port = PORT_LOW + (int)(random % (PORT_HIGH - PORT_LOW));
        if ((*reservation = reserve(port)) >= 0)
            return port;
    }
    return -1;
}

static void release_ports(struct member *m)
{
    for (int i = 0; i < 3; i++) {
        if (m->reserved[i] >= 0)
            close(m->reserved[i]);
        m->reserved[i] = -1;
    }
}

/* ---- HTTP, as much as /health and /metrics need ---- */

/* Whether the answer is all there, by its own word. A connection to a peer port may stay open for 5 s after it. */
static bool complete(const char *answer, size_t len)
{
    const char *length = strstr(answer, "\r\nContent-Length: "), *body = strstr(answer, "\r\n\r\n");

    return length != NULL && body != NULL && length < body &&
           len - (size_t)(body + 4 - answer) >= strtoul(length + strlen("\r\nContent-Length: "), NULL, 10);
}

/* The whole answer as a string to be freed, NULL when there is none within timeout_ms. */
static char *http_get(int port, const char *path, int64_t timeout_ms)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct timeval limit = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    size_t size = 1u << 20, len = 0;
    char *answer = malloc(size), request[128];
    ssize_t n = -1;

    if (answer != NULL)
        *answer = '\0';
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    snprintf(request, sizeof request, "GET %s HTTP/1.0\r\n\r\n", path);
    if (answer != NULL && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0 &&
        send(fd, request, strlen(request), MSG_NOSIGNAL) == (ssize_t)strlen(request))
        while (!complete(answer, len) && (n = recv(fd, answer + len, size - 1 - len, 0)) > 0)
            answer[len += (size_t)n] = '\0';
    close(fd);
    if (n < 0) {
        free(answer);
        return NULL;
    }
    return answer;
}

static bool answer_has(int port, const char *path, const char *text)
{
    char *answer = http_get(port, path, 1000);
    bool found = answer != NULL && strstr(answer, text) != NULL;

    free(answer);
    return found;
}

/* ---- processes ---- */

/* The environment without settings of another etcd; to be freed. */
static char **clean_environment(void)
{
    size_t n = 0, kept = 0;
    char **clean;

    while (environ[n] != NULL)
        n++;
    clean = calloc(n + 1, sizeof *clean);
    for (size_t i = 0; clean != NULL && i < n; i++)
        if (strncmp(environ[i], "ETCD_", 5) != 0 || strncmp(environ[i], "ETCD_UNSUPPORTED_ARCH", 21) == 0)
            clean[kept++] = environ[i];
    return clean;
}

/* In the child. */
static void run_member(const struct etcd_server *server, int member, char **environment, const char *log, pid_t parent)
{
    char *const *args = server->args[member];
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0);
    (void)setpriority(PRIO_PROCESS, 0, MEMBER_NICE); /* where we may: a member that waits for a processor loses its leadership */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent && chdir(server->directory) == 0 && dup2(null, 0) == 0 &&
        dup2(out, 1) == 1 && dup2(out, 2) == 2)
        execvpe(server->binary, args, environment);
    _exit(127);
}

static int spawn(struct etcd_server *server, int member)
{
    char log[PATH_SIZE + 16];
    char **environment = clean_environment();
    pid_t parent = getpid(), pid;

    if (environment == NULL)
        return -1;
    if (server->options.unix_socket) /* left by a member that was killed; etcd 3.4 minds */
        unlink(server->members[member].unix_endpoint + strlen("unix://"));
    snprintf(log, sizeof log, "%s/m%d.log", server->directory, member);
    pid = fork();
    if (pid == 0)
        run_member(server, member, environment, log, parent);
    free(environment);
    server->members[member].pid = pid;
    return pid > 0 ? 0 : -1;
}

/* Whether the process of a member still exists; reaps it if not. */
static bool running(struct etcd_server *server, int member)
{
    pid_t pid = server->members[member].pid;

    if (pid > 0 && waitpid(pid, NULL, WNOHANG) == pid)
        server->members[member].pid = -1;
    return server->members[member].pid > 0;
}

static void kill_all(struct etcd_server *server)
{
    for (int i = 0; i < server->n_members; i++)
        if (server->members[i].pid > 0)
            etcd_server_signal(server, i, SIGKILL);
}

/* The janitor removes the directories once the last copy of the pipe's writing end is closed, by whatever end of this process. */
static int start_janitor(struct etcd_server *server)
{
    static const char script[] = "trap '' INT TERM HUP; cat >/dev/null; "
                                 "for i in 1 2 3 4 5; do rm -rf -- \"$1\" \"$2\" 2>/dev/null && exit; sleep 0.1; done";
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) < 0)
        return -1;
    server->janitor = fork();
    if (server->janitor == 0) {
        setsid();
        if (dup2(fds[0], 0) == 0 && chdir("/") == 0)
            execl("/bin/sh", "sh", "-c", script, "sh", server->directory, server->data, (char *)NULL);
        _exit(127);
    }
    close(fds[0]);
    server->janitor_fd = fds[1];
    return server->janitor > 0 ? 0 : -1;
}

/* ---- directories ---- */

/* Data goes to memory where there is room: a test is not about the disk. */
static int make_directories(struct etcd_server *server)
{
    const char *tmp = getenv("TMPDIR");
    struct statvfs shm;

    snprintf(server->directory, PATH_SIZE, "%s/etcd3-test.XXXXXX", tmp != NULL && *tmp != '\0' ? tmp : "/tmp");
    if (mkdtemp(server->directory) == NULL) {
        complain("cannot make %s: %s", server->directory, strerror(errno));
        server->directory[0] = '\0';
        return -1;
    }
    if (statvfs("/dev/shm", &shm) == 0 &&
        (uint64_t)shm.f_bavail * shm.f_frsize > (uint64_t)WAL_BYTES * (unsigned)server->n_members) {
        snprintf(server->data, PATH_SIZE, "/dev/shm/etcd3-test.XXXXXX");
        if (mkdtemp(server->data) != NULL)
            return 0;
    }
    snprintf(server->data, PATH_SIZE, "%.200s/data", server->directory);
    return 0;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
    (void)status, (void)type, (void)ftw;
    return remove(path);
}

static void remove_tree(const char *path)
{
    if (*path != '\0')
        nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* `to` is replaced. What is preallocated becomes holes: data may be in memory. */
static int copy_tree(const char *from, const char *to)
{
    pid_t pid;
    int status;

    remove_tree(to);
    pid = fork();
    if (pid == 0) {
        execlp("cp", "cp", "-a", "--sparse=always", "--", from, to, (char *)NULL);
        _exit(127);
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    complain("cannot copy %s to %s", from, to);
    return -1;
}

static void show_log(const struct etcd_server *server, int member)
{
    char path[PATH_SIZE + 16], line[1024];
    FILE *file;

    snprintf(path, sizeof path, "%s/m%d.log", server->directory, member);
    file = fopen(path, "r");
    if (file == NULL)
        return;
    if (fseek(file, -6000, SEEK_END) == 0 && fgets(line, sizeof line, file) == NULL)
        complain("the log of member %d is empty", member);
    while (fgets(line, sizeof line, file) != NULL)
        fprintf(stderr, "    %s", line);
    fclose(file);
}

static bool port_collision(const struct etcd_server *server)
{
    char path[PATH_SIZE + 16], line[4096];
    bool found = false;

    for (int i = 0; i < server->n_members && !found; i++) {
        FILE *file;
        snprintf(path, sizeof path, "%s/m%d.log", server->directory, i);
        if ((file = fopen(path, "r")) == NULL)
            continue;
        while (!found && fgets(line, sizeof line, file) != NULL)
            found = strstr(line, "address already in use") != NULL;
        fclose(file);
    }
    return found;
}

/* ---- arguments ---- */

__attribute__((format(printf, 2, 3))) static void add_arg(char **args, const char *format, ...)
{
    size_t n = 0;
    va_list values;

    while (args[n] != NULL)
        n++;
    va_start(values, format);
    if (n + 1 >= ARGS_MAX || vasprintf(&args[n], format, values) < 0)
        abort();
    va_end(values);
}

static void free_args(struct etcd_server *server)
{
    for (int i = 0; i < ETCD_SERVER_MEMBERS_MAX; i++)
        for (int k = 0; k < ARGS_MAX; k++) {
            free(server->args[i][k]);
            server->args[i][k] = NULL;
        }
}

static void add_addresses(struct etcd_server *server, int member, const char *cluster)
{
    const struct member *m = &server->members[member];
    char **args = server->args[member];

    add_arg(args, "--name=m%d", member);
    add_arg(args, "--data-dir=%s/m%d", server->data, member);
    if (server->options.unix_socket) /* etcd 3.4 takes no paths here: a file in the working directory, named as "host:port" */
        add_arg(args, "--listen-client-urls=%s,unix://m%d:1", m->endpoint, member);
    else
        add_arg(args, "--listen-client-urls=%s", m->endpoint);
    add_arg(args, "--advertise-client-urls=%s", m->endpoint);
    add_arg(args, "--listen-peer-urls=%s", m->listen_url);
    add_arg(args, "--initial-advertise-peer-urls=%s", m->peer_url);
    add_arg(args, "--listen-metrics-urls=http://127.0.0.1:%d", m->metrics_port);
    add_arg(args, "--initial-cluster=%s", cluster);
    add_arg(args, "--initial-cluster-token=%s", server->directory);
}

static void add_settings(struct etcd_server *server, int member)
{
    const struct etcd_server_options *options = &server->options;
    char **args = server->args[member];

    add_arg(args, "--unsafe-no-fsync");
    add_arg(args, "--logger=zap");
    add_arg(args, "--log-outputs=stderr");
    /* a lone member cannot lose an election: it need not wait for one */
    add_arg(args, "--heartbeat-interval=%d", server->n_members == 1 ? 20 : 100);
    add_arg(args, "--election-timeout=%d", server->n_members == 1 ? 200 : 1000);
    if (options->auth_token != NULL)
        add_arg(args, "--auth-token=%s", options->auth_token);
    if (options->cert_file != NULL) {
        add_arg(args, "--cert-file=%s", options->cert_file);
        add_arg(args, "--key-file=%s", options->key_file);
    }
    if (options->ca_file != NULL) {
        add_arg(args, "--trusted-ca-file=%s", options->ca_file);
        add_arg(args, "--client-cert-auth");
    }
    if (options->watch_progress_ms > 0)
        add_arg(args, "--%swatch-progress-notify-interval=%dms", server->minor < 6 ? "experimental-" : "",
                options->watch_progress_ms);
    for (size_t i = 0; options->flags != NULL && options->flags[i] != NULL; i++)
        add_arg(args, "%s", options->flags[i]);
}

static int choose_ports(struct etcd_server *server, int member)
{
    struct member *m = &server->members[member];

    release_ports(m);
    m->client_port = free_port(&m->reserved[0]);
    m->peer_port = free_port(&m->reserved[1]);
    m->metrics_port = free_port(&m->reserved[2]);
    if (m->client_port < 0 || m->peer_port < 0 || m->metrics_port < 0)
        return -1;
    snprintf(m->endpoint, URL_SIZE, "%s://127.0.0.1:%d", server->options.cert_file != NULL ? "https" : "http", m->client_port);
    snprintf(m->listen_url, URL_SIZE, "http://127.0.0.1:%d", m->peer_port);
    fault_proxy_stop(m->proxy);
    m->proxy = server->options.peer_proxies ? fault_proxy_start(m->listen_url) : NULL;
    snprintf(m->peer_url, URL_SIZE, "%s", m->proxy ? fault_proxy_endpoint(m->proxy) : m->listen_url);
    if (server->options.unix_socket)
        snprintf(m->unix_endpoint, URL_SIZE, "unix://%s/m%d:1", server->directory, member);
    return 0;
}

static void list_endpoints(struct etcd_server *server)
{
    char *end = server->endpoints;

    *end = '\0';
    for (int i = 0; i < server->n_members; i++)
        if (!server->members[i].removed)
            end += snprintf(end, URL_SIZE, "%s%s", end > server->endpoints ? "," : "", server->members[i].endpoint);
}

static void make_args(struct etcd_server *server, int member)
{
    char cluster[ETCD_SERVER_MEMBERS_MAX * (URL_SIZE + 8)], *end = cluster;

    for (int i = 0; i < server->n_members; i++)
        if (!server->members[i].removed)
            end += snprintf(end, URL_SIZE + 8, "%sm%d=%s", end > cluster ? "," : "", i, server->members[i].peer_url);
    add_arg(server->args[member], "etcd");
    add_addresses(server, member, cluster);
    add_settings(server, member);
}

/* ---- start and stop ---- */

static int find_minor(const char *binary)
{
    const char *given = getenv("ETCD3_TEST_ETCD_VERSION");
    char command[PATH_SIZE + 32];
    int minor = -1;
    FILE *pipe;

    if (given != NULL && sscanf(given, "3.%d", &minor) == 1)
        return minor;
    snprintf(command, sizeof command, "'%s' --version 2>/dev/null", binary);
    pipe = popen(command, "r");
    if (pipe == NULL)
        return -1;
    if (fscanf(pipe, "etcd Version: 3.%d", &minor) != 1)
        complain("\"%s\" is no etcd: apt install etcd-server, or set ETCD3_TEST_ETCD", binary);
    pclose(pipe);
    return minor;
}

/* One attempt on fresh ports. */
static int try_start(struct etcd_server *server)
{
    free_args(server);
    for (int i = 0; i < server->n_members; i++)
        if (choose_ports(server, i) < 0)
            return -1;
    list_endpoints(server);
    for (int i = 0; i < server->n_members; i++) {
        make_args(server, i);
        if (spawn(server, i) < 0)
            return -1;
    }
    return etcd_server_await_healthy(server, -1, START_TIMEOUT_MS);
}

static struct etcd_server *new_server(const struct etcd_server_options *options)
{
    struct etcd_server *server = calloc(1, sizeof *server);
    const char *binary = getenv("ETCD3_TEST_ETCD");

    if (server == NULL)
        return NULL;
    if (options != NULL)
        server->options = *options;
    server->n_members = server->options.members > 0 ? server->options.members : 1;
    server->binary = binary != NULL && *binary != '\0' ? binary : "etcd";
    server->janitor_fd = -1;
    for (int i = 0; i < ETCD_SERVER_MEMBERS_MAX; i++)
        server->members[i] = (struct member){.pid = -1, .reserved = {-1, -1, -1}};
    return server;
}

struct etcd_server *etcd_server_start(const struct etcd_server_options *options)
{
    struct etcd_server *server = new_server(options);

    if (server == NULL || server->n_members > ETCD_SERVER_MEMBERS_MAX || (server->minor = find_minor(server->binary)) < 0 ||
        make_directories(server) < 0 || start_janitor(server) < 0)
        goto failed;
    for (int attempt = 0; attempt < 5; attempt++) {
        if (try_start(server) == 0)
            return server;
        if (!port_collision(server))
            break;
        kill_all(server);
        remove_tree(server->data);
        if (strncmp(server->data, "/dev/shm/", 9) == 0 && mkdir(server->data, 0700) < 0)
            break;
    }
    complain("%s did not start", server->binary);
    for (int i = 0; i < server->n_members; i++)
        show_log(server, i);
failed:
    etcd_server_stop(server);
    return NULL;
}

void etcd_server_stop(struct etcd_server *server)
{
    if (server == NULL)
        return;
    kill_all(server);
    remove_tree(server->data);
    remove_tree(server->directory);
    if (server->janitor_fd >= 0) {
        close(server->janitor_fd);
        waitpid(server->janitor, NULL, 0);
    }
    for (int i = 0; i < ETCD_SERVER_MEMBERS_MAX; i++) {
        fault_proxy_stop(server->members[i].proxy);
        release_ports(&server->members[i]);
    }
    free_args(server);
    free(server);
}

/* ---- what tests do with it ---- */

const char *etcd_server_endpoints(const struct etcd_server *server)
{
    return server->endpoints;
}

const char *etcd_server_endpoint(const struct etcd_server *server, int member)
{
    return server->members[member].endpoint;
}

const char *etcd_server_peer_url(const struct etcd_server *server, int member)
{
    return server->members[member].peer_url;
}

const char *etcd_server_unix_endpoint(const struct etcd_server *server, int member)
{
    return server->members[member].unix_endpoint;
}

int etcd_server_minor(const struct etcd_server *server)
{
    return server->minor;
}

int etcd_server_members(const struct etcd_server *server)
{
    return server->n_members;
}

pid_t etcd_server_pid(const struct etcd_server *server, int member)
{
    return server->members[member].pid;
}

const char *etcd_server_directory(const struct etcd_server *server)
{
    return server->directory;
}

int etcd_server_signal(struct etcd_server *server, int member, int signal_number)
{
    pid_t pid = server->members[member].pid;
    int flags = signal_number == SIGSTOP ? WUNTRACED : 0;

    if (pid <= 0 || kill(pid, signal_number) < 0) {
        complain("member %d cannot be signalled: it is down", member);
        return -1;
    }
    if (signal_number == SIGCONT)
        return 0;
    while (waitpid(pid, NULL, flags) < 0)
        if (errno != EINTR)
            return -1;
    if (signal_number != SIGSTOP)
        server->members[member].pid = -1;
    return 0;
}

/* Members that dial say who they are in a header of rafthttp. */
void etcd_server_isolate(struct etcd_server *server, int member, uint64_t id)
{
    char from[64];

    snprintf(from, sizeof from, "X-Server-From: %" PRIx64 "\r\n", id);
    fault_proxy_hold(server->members[member].proxy, FAULT_BOTH);
    for (int i = 0; i < server->n_members; i++)
        if (i != member)
            fault_proxy_hold_those_with(server->members[i].proxy, from);
}

void etcd_server_rejoin(struct etcd_server *server)
{
    for (int i = 0; i < server->n_members; i++)
        fault_proxy_resume(server->members[i].proxy);
}

int etcd_server_restart(struct etcd_server *server, int member)
{
    if (running(server, member)) {
        complain("member %d runs", member);
        return -1;
    }
    return spawn(server, member);
}

/* The copy is beside the data, and vanishes with it. */
static int copy_data(struct etcd_server *server, int member, bool back)
{
    char data[PATH_SIZE + 16], copy[PATH_SIZE + 16];

    if (running(server, member)) {
        complain("member %d runs", member);
        return -1;
    }
    snprintf(data, sizeof data, "%s/m%d", server->data, member);
    snprintf(copy, sizeof copy, "%s/m%d.saved", server->data, member);
    return back ? copy_tree(copy, data) : copy_tree(data, copy);
}

int etcd_server_save(struct etcd_server *server, int member)
{
    return copy_data(server, member, false);
}

int etcd_server_restore(struct etcd_server *server, int member)
{
    return copy_data(server, member, true);
}

int etcd_server_add(struct etcd_server *server)
{
    int member = server->n_members;

    if (member >= ETCD_SERVER_MEMBERS_MAX) {
        complain("there are %d members already", member);
        return -1;
    }
    if (choose_ports(server, member) < 0)
        return -1;
    server->n_members++;
    list_endpoints(server);
    return member;
}

int etcd_server_join(struct etcd_server *server, int member)
{
    make_args(server, member);
    add_arg(server->args[member], "--initial-cluster-state=existing");
    return spawn(server, member);
}

void etcd_server_remove(struct etcd_server *server, int member)
{
    if (running(server, member))
        etcd_server_signal(server, member, SIGKILL);
    server->members[member].removed = true;
    list_endpoints(server);
}

/* Whether one member knows the name and the client URLs that another has published, which it does after it became healthy. */
static bool knows(const struct etcd_server *server, int member, int other)
{
    char text[URL_SIZE + 32];

    snprintf(text, sizeof text, "\"clientURLs\":[\"%s\"", server->members[other].endpoint);
    return answer_has(server->members[member].peer_port, "/members", text);
}

/* Healthy, and (`other`) knows that member. */
static int await_member(struct etcd_server *server, int member, int other, int64_t deadline)
{
    while (!answer_has(server->members[member].metrics_port, "/health", "\"health\":\"true\"") || !knows(server, member, other)) {
        if (!running(server, member) || now_ms() >= deadline) {
            bool ended = !running(server, member);

            complain("member %d %s", member, ended ? "ended" : "is not healthy in time");
            if (ended)
                show_log(server, member);
            return -1;
        }
        pause_ms(5);
    }
    return 0;
}

int etcd_server_await_healthy(struct etcd_server *server, int member, int64_t timeout_ms)
{
    int64_t deadline = now_ms() + timeout_ms;

    if (member >= 0)
        return await_member(server, member, member, deadline);
    for (int i = 0; i < server->n_members; i++)
        for (int other = 0; other < server->n_members; other++)
            if (!server->members[i].removed && !server->members[other].removed && await_member(server, i, other, deadline) < 0)
                return -1;
    return 0;
}

bool etcd_server_healthy(const struct etcd_server *server, int member)
{
    return answer_has(server->members[member].metrics_port, "/health", "\"health\":\"true\"");
}

bool etcd_server_has_metric(const struct etcd_server *server, int member, const char *text)
{
    return answer_has(server->members[member].metrics_port, "/metrics", text);
}

int etcd_server_leader(struct etcd_server *server, int64_t timeout_ms)
{
    int64_t deadline = now_ms() + timeout_ms;

    do {
        for (int i = 0; i < server->n_members; i++) {
            const struct member *m = &server->members[i];
            if (m->pid > 0 && answer_has(m->metrics_port, "/metrics", "\netcd_server_is_leader 1\n"))
                return i;
        }
        pause_ms(10);
    } while (now_ms() < deadline);
    complain("no leader in time");
    return -1;
}
