/* Log lines for the program's callback. Without a callback nothing is formatted. Never called with a lock held. */
#ifndef ETCD__BASE_LOG_H
#define ETCD__BASE_LOG_H

#include <stdbool.h>

enum etcd__log_level { ETCD__LOG_ERROR = 1, ETCD__LOG_WARN = 2, ETCD__LOG_INFO = 3, ETCD__LOG_DEBUG = 4 };

typedef struct etcd__log {
    void (*fn)(int level, const char *message, void *arg); /* NULL: no log */
    void *arg;
    int level; /* lines above this level are dropped */
} etcd__log;

/** Whether a line of that level goes anywhere: before work that is done only for it. */
bool etcd__log_wants(const etcd__log *log, int level);

#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
void etcd__log_write(const etcd__log *log, int level, const char *format, ...);

#endif
