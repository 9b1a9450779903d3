/* See openssl_table.h. OpenSSL as the program was linked with it: there is nothing to load. */
#include "net/openssl_table.h"

#include "base/error.h"

static const struct etcd__openssl linked = {
#define X(name) .name = (name),
    ETCD__OPENSSL_FUNCTIONS(X)
#undef X
};

const struct etcd__openssl *etcd__openssl = &linked;

int etcd__openssl_load(etcd_error *err)
{
    (void)err;
    return ETCD_OK;
}
