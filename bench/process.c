/* Runs a command some times, one after the other, and prints what each run took: wall clock and CPU in microseconds, and
 * the peak of its memory in KiB. Its own memory is small, as the peak of a process counts what it had before exec.
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

static void child(char **command)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
        _exit(126);
    execvp(command[0], command);
    perror(command[0]);
    _exit(127);
}

int main(int argc, char **argv)
{
    long count = argc > 2 ? strtol(argv[1], NULL, 10) : 0;

    if (count <= 0) {
        fputs("usage: process COUNT COMMAND [ARGUMENT...]\n", stderr);
        return 2;
    }
    while (count-- > 0) {
        int64_t begin = now_us();
        pid_t pid = fork();
        struct rusage used;
        int status;

        if (pid == 0)
            child(argv + 2);
        if (pid < 0 || wait4(pid, &status, 0, &used) < 0) {
            perror("process");
            return 1;
        }
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
            fprintf(stderr, "process: %s ended with %d\n", argv[2], status);
            return 1;
        }
        printf("%lld %lld %ld\n", (long long)(now_us() - begin), (long long)(us(used.ru_utime) + us(used.ru_stime)),
               used.ru_maxrss);
    }
    return 0;
}
