/* See log.h. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

#define MAX_LINE 1024

void etcd__log_write(const etcd__log *log, int level, const char *format, ...)
{
    char line[MAX_LINE];
    va_list args;

    if (log->fn == NULL || level > log->level)
        return;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    log->fn(level, line, log->arg);
}
