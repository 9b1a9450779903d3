/* Tells whether this process is a child, by fork(), of the one that made an object (P8): every public call asks.
 *
 * getpid() is a system call, a tenth of what a whole call costs. On Linux a page that the kernel clears in children
 * (MADV_WIPEONFORK) answers with one read; elsewhere, and where the page cannot be had, getpid() does. */
#ifndef ETCD__BASE_FORK_H
#define ETCD__BASE_FORK_H

#include <stdbool.h>
#include <sys/types.h>

typedef struct etcd__fork_mark {
    const volatile unsigned char *page; /* not 0 in the process that made it; NULL: none */
    pid_t pid;
} etcd__fork_mark;

/** Never fails. */
void etcd__fork_mark_init(etcd__fork_mark *mark);

/** Whether this is another process. Any thread. */
bool etcd__fork_mark_passed(const etcd__fork_mark *mark);

/** In the child, too. */
void etcd__fork_mark_free(etcd__fork_mark *mark);

#endif
