/* TLS for the servers of the benchmarks: a context with a certificate of its own, made anew at each start, ALPN h2. */
#ifndef ETCD3_BENCH_TLS_SERVER_H
#define ETCD3_BENCH_TLS_SERVER_H

#include <openssl/ssl.h>

/** Dies when OpenSSL fails. The context lives until the process ends. */
SSL_CTX *bench_tls_server_new(void);

#endif
