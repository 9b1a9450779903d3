/* A DNS server on the loopback, in a thread of the test: knows the names that it is told, answers NXDOMAIN for others. */
#ifndef ETCD3_TESTS_DNS_H
#define ETCD3_TESTS_DNS_H

#include <stdbool.h>

typedef struct etcd_test_dns etcd_test_dns;

enum etcd_test_dns_mode {
    ETCD_TEST_DNS_NORMAL,
    ETCD_TEST_DNS_SILENT,   /* never answers */
    ETCD_TEST_DNS_SERVFAIL, /* answers with an error */
    ETCD_TEST_DNS_GARBAGE,  /* answers with bytes that are no message */
    ETCD_TEST_DNS_TCP,      /* says over UDP that the answer is too long, gives it over TCP */
    ETCD_TEST_DNS_TCP_RESET /* the same, but resets the TCP connection */
};

etcd_test_dns *etcd_test_dns_start(void);
void etcd_test_dns_stop(etcd_test_dns *dns);

/** "127.0.0.1:port". */
const char *etcd_test_dns_address(const etcd_test_dns *dns);

void etcd_test_dns_mode(etcd_test_dns *dns, enum etcd_test_dns_mode mode);

/** Adds an IPv4 or IPv6 address to a name. */
void etcd_test_dns_add(etcd_test_dns *dns, const char *name, const char *address);

/** Adds an SRV record; `target` without a dot at its end. */
void etcd_test_dns_add_srv(etcd_test_dns *dns, const char *name, unsigned int priority, unsigned int weight, unsigned int port,
                           const char *target);

/** Queries received so far. */
int etcd_test_dns_queries(etcd_test_dns *dns);

#endif
