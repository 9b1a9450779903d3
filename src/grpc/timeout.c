/* See timeout.h. */
#include "grpc/timeout.h"

#define MOST_DIGITS INT64_C(99999999)

size_t etcd__grpc_timeout_write(char out[ETCD__GRPC_TIMEOUT_SIZE], int64_t timeout_ns)
{
    static const struct {
        int64_t ns;
        char name;
    } units[] = {
        {INT64_C(1), 'n'},           {INT64_C(1000), 'u'},         {INT64_C(1000000), 'm'},
        {INT64_C(1000000000), 'S'},  {INT64_C(60000000000), 'M'},  {INT64_C(3600000000000), 'H'},
    };
    char digits[8];
    size_t unit = 0, n = 0, len = 0;
    int64_t value = timeout_ns > 0 ? timeout_ns : 1;

    /* 2^63 ns are 2.6 million hours: the last unit always fits. */
    while ((value - 1) / units[unit].ns + 1 > MOST_DIGITS)
        unit++;
    value = (value - 1) / units[unit].ns + 1;
    while (value > 0) {
        digits[n++] = (char)('0' + value % 10);
        value /= 10;
    }
    while (n > 0)
        out[len++] = digits[--n];
    out[len++] = units[unit].name;
    return len;
}
