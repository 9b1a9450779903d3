/* See interop.h. */
#define _GNU_SOURCE /* pipe2 */
#include "harness/interop.h"

#include "harness/test.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NOT_BUILT = 77, ARGUMENTS_MAX = 30 };

static int wait_for(pid_t pid)
{
    int status;

    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            fail_msg("waitpid: %s", strerror(errno));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void run_child(const char *const *arguments, int in, int out, bool quiet)
{
    const char *argv[ARGUMENTS_MAX + 4] = {"build-interop", "--run"};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    for (size_t i = 0; arguments[i] != NULL && i < ARGUMENTS_MAX; i++)
        argv[i + 2] = arguments[i];
    (void)dup2(in, STDIN_FILENO);
    (void)dup2(quiet ? null : out, STDOUT_FILENO);
    if (quiet)
        (void)dup2(null, STDERR_FILENO);
    execv(ETCD3_SOURCE_DIR "/scripts/build-interop", (char *const *)(uintptr_t)argv);
    _exit(127);
}

static void start(struct interop *go, const char *const *arguments, bool quiet)
{
    int in[2], out[2];

    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0)
        fail_msg("pipe2: %s", strerror(errno));
    go->pid = fork();
    if (go->pid < 0)
        fail_msg("fork: %s", strerror(errno));
    if (go->pid == 0)
        run_child(arguments, in[0], out[1], quiet);
    close(in[0]);
    close(out[1]);
    go->in = in[1];
    go->out = fdopen(out[0], "r");
    if (go->out == NULL)
        fail_msg("fdopen: %s", strerror(errno));
}

bool interop_is_there(void)
{
    struct interop go;

    start(&go, (const char *const[]){NULL}, true);
    return interop_finish(&go) != NOT_BUILT;
}

void interop_start(struct interop *go, const char *const *arguments)
{
    start(go, arguments, false);
}

bool interop_line(struct interop *go, char *line, size_t size)
{
    if (fgets(line, (int)size, go->out) == NULL)
        return false;
    line[strcspn(line, "\n")] = '\0';
    return true;
}

void interop_tell(struct interop *go, const char *line)
{
    size_t len = strlen(line);

    if (write(go->in, line, len) != (ssize_t)len || write(go->in, "\n", 1) != 1)
        fail_msg("interop: %s", strerror(errno));
}

int interop_finish(struct interop *go)
{
    int status = wait_for(go->pid);

    close(go->in);
    fclose(go->out);
    return status;
}

int interop_stop(struct interop *go)
{
    int status;

    close(go->in);
    status = wait_for(go->pid);
    fclose(go->out);
    return status;
}
