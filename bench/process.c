/* Runs a command some times, one after the other, and prints what each run took: until the first byte on its standard output
 * (a pipe), wall clock and CPU in microseconds, and the peak of its memory in KiB. Its own memory is small, as the peak of a
 * process counts what it had before exec.
 *
 *     process COUNT COMMAND [ARGUMENT...] */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t us(struct timeval time)
{
    return (int64_t)time.tv_sec * 1000000 + time.tv_usec;
}

static void child(char **command, int out)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0)
        _exit(126);
    execvp(command[0], command);
    perror(command[0]);
    _exit(127);
}

/* Reads all that comes; returns when the first byte came, -1 when none did. */
static int64_t drain(int in)
{
    int64_t first = -1;
    char bytes[4096];

    while (read(in, bytes, sizeof bytes) > 0)
        if (first < 0)
            first = now_us();
    return first;
}

static int run(char **command)
{
    int64_t begin = now_us(), first;
    struct rusage used;
    int status, out[2];
    pid_t pid;

    if (pipe2(out, O_CLOEXEC) < 0)
        return -1;
    pid = fork();
    if (pid == 0)
        child(command, out[1]);
    (void)close(out[1]);
    first = pid > 0 ? drain(out[0]) : -1;
    (void)close(out[0]);
    if (pid < 0 || wait4(pid, &status, 0, &used) < 0) {
        perror("process");
        return -1;
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || first < 0) {
        fprintf(stderr, "process: %s ended with %d%s\n", command[0], status, first < 0 ? " and printed nothing" : "");
        return -1;
    }
    printf("%lld %lld %lld %ld\n", (long long)(first - begin), (long long)(now_us() - begin),
           (long long)(us(used.ru_utime) + us(used.ru_stime)), used.ru_maxrss);
    return 0;
}

int main(int argc, char **argv)
{
    long count = argc > 2 ? strtol(argv[1], NULL, 10) : 0;

    if (count <= 0) {
        fputs("usage: process COUNT COMMAND [ARGUMENT...]\n", stderr);
        return 2;
    }
    while (count-- > 0)
        if (run(argv + 2) < 0)
            return 1;
    return 0;
}
