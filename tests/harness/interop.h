/* The program with etcd's own Go client, tests/go/interop, as a child process: scripts/build-interop builds and finds it.
 *
 *     if (!interop_is_there())
 *         skip();
 *     interop_start(&go, (const char *const[]){"lock", endpoints, "/name", NULL});
 *     interop_line(&go, line, sizeof line) ... interop_finish(&go)
 *
 * Failures of the system fail the test: the main thread only, but for interop_line(). The child ends when the test process
 * does. */
#ifndef ETCD3_TESTS_INTEROP_H
#define ETCD3_TESTS_INTEROP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

struct interop {
    pid_t pid;
    int in;    /* its standard input: closing it tells it to end */
    FILE *out; /* its standard output */
};

/** Whether it was built. */
bool interop_is_there(void);

/** Starts it with these arguments, subcommand and endpoints first, ended by NULL. Its standard error is ours. */
void interop_start(struct interop *go, const char *const *arguments);

/** Waits for its next line, without the newline; false: there is none any more. */
bool interop_line(struct interop *go, char *line, size_t size);

/** Sends it a line. */
void interop_tell(struct interop *go, const char *line);

/** Waits until it has ended by itself, and returns its exit status, 128 and the signal's number after a signal. */
int interop_finish(struct interop *go);

/** Tells it to end, and waits. Returns as interop_finish(). */
int interop_stop(struct interop *go);

#endif
