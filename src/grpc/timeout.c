/* See timeout.h. */
#include "grpc/timeout.h"

#define MOST_DIGITS 99999999
#define SECOND UINT64_C(1000000000)

size_t etcd__grpc_timeout_write(char out[ETCD__GRPC_TIMEOUT_SIZE], int64_t timeout_ns)
{
    static const char units[] = "numSMH";
    char digits[8];
    size_t unit = 0, n = 0, len = 0;
    uint64_t value = timeout_ns > 0 ? (uint64_t)timeout_ns : 1;

    if (value >= SECOND) {
        value = (value + 999999) / 1000000;
        unit = 2;
    }
    /* 2^63 ns are 2.6 million hours: the last unit always fits. Rounding up in steps is rounding up at once. */
    for (; value > MOST_DIGITS; unit++)
        value = units[unit] == 'n' || units[unit] == 'u' || units[unit] == 'm' ? (value + 999) / 1000 : (value + 59) / 60;
    for (uint32_t rest = (uint32_t)value; rest > 0; rest /= 10)
        digits[n++] = (char)('0' + rest % 10);
    while (n > 0)
        out[len++] = digits[--n];
    out[len++] = units[unit];
    return len;
}
