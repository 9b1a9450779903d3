/* See options.h. Every option struct starts with `size_t size`. */
#include "base/options.h"

#include "base/error.h"

#include <string.h>

int etcd__options_load(void *known, size_t known_size, const void *given, const char *type, etcd_error *err)
{
    const unsigned char *bytes = given;
    size_t size;

    memset(known, 0, known_size);
    if (given == NULL)
        return ETCD_OK;
    memcpy(&size, given, sizeof size);
    if (size < sizeof size)
        return etcd__error_set(err, ETCD_ERR_ARGUMENT, "%s.size is not set: use the macro or the _init function", type);
    for (size_t i = known_size; i < size; i++)
        if (bytes[i] != 0)
            return etcd__error_set(err, ETCD_ERR_ARGUMENT,
                                   "%s: a field behind byte %zu is set, which this version of libetcd3 does not know", type,
                                   known_size);
    memcpy(known, given, size < known_size ? size : known_size);
    return ETCD_OK;
}

void etcd__options_init(void *options, size_t size)
{
    if (options == NULL || size < sizeof size)
        return;
    memset(options, 0, size);
    memcpy(options, &size, sizeof size);
}
