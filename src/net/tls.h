/* TLS for streams, over OpenSSL 3: what a client is given (etcd_tls_options) kept as a context, and one session per
 * stream between the socket and the events. net/stream.c uses it; nobody above does more than make and free a
 * context. */
#ifndef ETCD__NET_TLS_H
#define ETCD__NET_TLS_H

#include <etcd3/error.h>
#include <etcd3/tls.h>

typedef struct etcd__tls etcd__tls;

/** Checks and copies the options (NULL: all defaults, the system's authorities). Files that cannot be read or used
 *  are an error now already, though they are read again for each connection. ETCD_ERR_ARGUMENT with the file's name
 *  and what is wrong with it, ETCD_ERR_NO_MEMORY. */
int etcd__tls_new(const etcd_tls_options *options, etcd__tls **out, etcd_error *err);

/** Wipes what is secret. Streams that use it must be closed. NULL is allowed. */
void etcd__tls_free(etcd__tls *tls);

#endif
