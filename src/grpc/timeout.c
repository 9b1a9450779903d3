/* See timeout.h. */
#include "grpc/timeout.h"

#define MOST_DIGITS INT64_C(99999999)

size_t etcd__grpc_timeout_write(char out[ETCD__GRPC_TIMEOUT_SIZE], int64_t timeout_ns)
{
    static const struct {
        char name;
        uint16_t per_next;
    } units[] = {{'n', 1000}, {'u', 1000}, {'m', 1000}, {'S', 60}, {'M', 60}, {'H', 1}};
    char digits[8];
    size_t unit = 0, n = 0, len = 0;
    uint64_t value = timeout_ns > 0 ? (uint64_t)timeout_ns : 1;

    /* 2^63 ns are 2.6 million hours: the last unit always fits. Rounding up in steps is rounding up at once. */
    for (; value > MOST_DIGITS; unit++)
        value = units[unit].per_next == 1000 ? (value + 999) / 1000 : (value + 59) / 60;
    for (uint32_t rest = (uint32_t)value; rest > 0; rest /= 10)
        digits[n++] = (char)('0' + rest % 10);
    while (n > 0)
        out[len++] = digits[--n];
    out[len++] = units[unit].name;
    return len;
}
