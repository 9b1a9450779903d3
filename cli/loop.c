/* Waiting for several things at once. See loop.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "loop.h"
#include "text.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* -- signals -- */

static int signal_pipe[2] = {-1, -1};

static void on_signal(int number)
{
    int saved = errno;
    unsigned char byte = (unsigned char)number;
    if (write(signal_pipe[1], &byte, 1) < 0) {
        /* The pipe is full of others */
    }
    errno = saved;
}

static void open_pipe(void)
{
    if (signal_pipe[0] >= 0)
        return;
    if (pipe(signal_pipe) < 0)
        cli_fail(CLI_ERROR, "pipe: %s", strerror(errno));
    for (int i = 0; i < 2; i++) {
        fcntl(signal_pipe[i], F_SETFD, FD_CLOEXEC);
        fcntl(signal_pipe[i], F_SETFL, O_NONBLOCK);
    }
}

static void catch (int number)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

void cli_catch_signals(void)
{
    open_pipe();
    catch (SIGINT);
    catch (SIGTERM);
}

void cli_catch_hangup(void)
{
    struct sigaction before;
    if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
        catch (SIGHUP);
}

static int take_signal(void)
{
    unsigned char byte;
    while (signal_pipe[0] >= 0 && read(signal_pipe[0], &byte, 1) == 1)
        if (byte != SIGCHLD)
            return byte;
    return 0;
}

/* -- waiting -- */

enum { MAX_MORE = 4 };

static int least_timeout(etcd_client *client, int64_t timeout_ms)
{
    int64_t due = client ? etcd_client_timeout_ms(client) : -1;
    if (due >= 0 && (timeout_ms < 0 || due < timeout_ms))
        timeout_ms = due;
    return timeout_ms < 0 ? -1 : timeout_ms > 1000000 ? 1000000 : (int)timeout_ms;
}

int cli_wait(etcd_client *client, struct pollfd *more, size_t n_more, int64_t timeout_ms)
{
    struct pollfd fds[2 + MAX_MORE];
    etcd_error err;
    if (n_more > MAX_MORE)
        n_more = MAX_MORE;
    fds[0] = (struct pollfd){.fd = signal_pipe[0], .events = POLLIN};
    fds[1] = (struct pollfd){.fd = client ? etcd_client_fd(client) : -1, .events = POLLIN};
    for (size_t i = 0; i < n_more; i++)
        fds[2 + i] = more[i];
    if (poll(fds, (nfds_t)(2 + n_more), least_timeout(client, timeout_ms)) < 0 && errno != EINTR)
        cli_fail(CLI_ERROR, "poll: %s", strerror(errno));
    for (size_t i = 0; i < n_more; i++)
        more[i].revents = fds[2 + i].revents;
    if (client && etcd_client_process(client, 0, &err) < 0)
        cli_fail_call(CLI_ERROR, &err);
    return take_signal();
}

void cli_pending_end(cli_pending *pending, const etcd_error *err)
{
    pending->done = true;
    pending->code = err ? err->code : ETCD_OK;
    if (err)
        pending->err = *err;
}

int cli_pending_wait(cli_pending *pending, etcd_client *client, int64_t timeout_ms)
{
    int64_t begin = cli_now_ns() / 1000000;
    while (!pending->done) {
        int64_t left = timeout_ms < 0 ? -1 : begin + timeout_ms - cli_now_ns() / 1000000;
        if (timeout_ms >= 0 && left <= 0)
            return 0;
        int number = cli_wait(client, NULL, 0, left);
        if (number != 0 && !pending->done)
            return number;
    }
    return 0;
}

/* -- commands -- */

/** Text of an error as Go has it. */
static void system_text(char *out, size_t size, int number)
{
    snprintf(out, size, "%s", strerror(number));
    out[0] = (char)tolower((unsigned char)out[0]);
}

/** Whether one of the directories of PATH has it. */
static bool on_path(const char *name)
{
    const char *path = getenv("PATH");
    for (const char *p = path ? path : ""; *p;) {
        size_t len = strcspn(p, ":");
        char *file = cli_text("%.*s/%s", (int)len, p, name);
        bool found = access(file, X_OK) == 0;
        free(file);
        if (found)
            return true;
        p += len + (p[len] == ':');
    }
    return false;
}

static int spawn(char *const *argv, pid_t *pid)
{
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_t actions;
    sigset_t defaults;
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_init(&actions);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    int rc = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (rc == 0)
        rc = posix_spawnp(pid, argv[0], &actions, &attributes, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return rc;
}

bool cli_spawn(char *const *argv, pid_t *pid, cli_error *error)
{
    char text[256];
    if (!strchr(argv[0], '/') && !on_path(argv[0])) {
        char *quoted = cli_quoted(argv[0], strlen(argv[0]));
        cli_error_set(error, "exec: %s: executable file not found in $PATH", quoted);
        free(quoted);
        return false;
    }
    open_pipe();
    catch (SIGCHLD);
    fflush(stdout);
    int rc = spawn(argv, pid);
    if (rc == 0)
        return true;
    system_text(text, sizeof text, rc);
    cli_error_set(error, "fork/exec %s: %s", argv[0], text);
    return false;
}

/** The name that Go has for a signal. */
static void signal_text(cli_error *text, int number, bool core)
{
    static const struct {
        int number;
        const char *name;
    } names[] = {{SIGABRT, "aborted"},
                 {SIGALRM, "alarm clock"},
                 {SIGBUS, "bus error"},
                 {SIGFPE, "floating point exception"},
                 {SIGHUP, "hangup"},
                 {SIGILL, "illegal instruction"},
                 {SIGINT, "interrupt"},
                 {SIGKILL, "killed"},
                 {SIGPIPE, "broken pipe"},
                 {SIGQUIT, "quit"},
                 {SIGSEGV, "segmentation fault"},
                 {SIGTERM, "terminated"},
                 {SIGTRAP, "trace/breakpoint trap"},
                 {SIGUSR1, "user defined signal 1"},
                 {SIGUSR2, "user defined signal 2"}};
    const char *dump = core ? " (core dumped)" : "";
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].number == number) {
            cli_error_set(text, "signal: %s%s", names[i].name, dump);
            return;
        }
    cli_error_set(text, "signal: signal %d%s", number, dump);
}

bool cli_ended(pid_t pid, int *code, cli_error *text)
{
    int status;
    if (waitpid(pid, &status, WNOHANG) != pid)
        return false;
    text->text[0] = '\0';
    *code = WIFEXITED(status) ? WEXITSTATUS(status) : 255;
    if (WIFSIGNALED(status))
        signal_text(text, WTERMSIG(status), WCOREDUMP(status));
    else if (*code != 0)
        cli_error_set(text, "exit status %d", *code);
    return true;
}
