/* See tls.h. Not there yet: contexts are refused with words, so that no endpoint is ever dialed in the clear by mistake. */
#include "net/tls.h"

#include "base/error.h"

int etcd__tls_new(const etcd_tls_options *options, etcd__tls **out, etcd_error *err)
{
    (void)options;
    *out = NULL;
    return etcd__error_set(err, ETCD_ERR_UNSUPPORTED, "TLS is not supported by this version of libetcd3");
}

void etcd__tls_free(etcd__tls *tls)
{
    (void)tls;
}
