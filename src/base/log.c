/* See log.h. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

#define MAX_LINE 1024

bool etcd__log_wants(const etcd__log *log, int level)
{
    return log != NULL && log->fn != NULL && level <= log->level;
}

void etcd__log_write(const etcd__log *log, int level, const char *format, ...)
{
    char line[MAX_LINE];
    va_list args;

    if (!etcd__log_wants(log, level))
        return;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    log->fn(level, line, log->arg);
}
