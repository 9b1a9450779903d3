/* A server of leases for tests: renews as it is told, and what it saw of streams. One for each process. */
#ifndef ETCD3_TESTS_LEASE_SERVICE_H
#define ETCD3_TESTS_LEASE_SERVICE_H

#include "harness/fake_fixture.h"

#include <stdatomic.h>

enum {
    GONE = 404,       /* the lease that it does not have */
    LONG_TTL_S = 9000 /* what it grants, unless it is told otherwise: no renewal falls into a test by the clock */
};

typedef struct service {
    fake_server *server;
    atomic_int ttl_s;
    atomic_bool silent;
    atomic_int status; /* instead of an answer; 0: none */
    atomic_bool garbled;
    atomic_int streams;
    /* the server's thread */
    int conn;
    int32_t stream_id;
} service;

extern service the_service;

/** Starts it, and a client of it. */
etcd_client *begin(bool manual);

/** Frees the client and stops the server, which has seen no violation of HTTP/2. */
void finish(etcd_client *client);

/** Requests so far. */
size_t asked(void);

etcd_keepalive *open_one(etcd_client *client, int64_t lease, int64_t ttl_s);

/** Waits for an answer of the service. */
void take_answer(etcd_keepalive *keepalive);

/** Takes what is there already. */
int take_all(etcd_keepalive *keepalive);

void await_count(atomic_int *count, int n);

#endif
