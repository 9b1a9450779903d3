/* See dns.h. Message format: RFC 1035, section 4. */
#include "harness/dns.h"

#include "harness/net.h"
#include "harness/test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_RECORDS 64
#define HEADER 12
#define MAX_MESSAGE 2048

enum { TYPE_A = 1, TYPE_AAAA = 28, TYPE_SRV = 33 };

struct record {
    char name[128];
    unsigned int type;
    unsigned char data[160];
    uint16_t len;
};

struct etcd_test_dns {
    int udp, tcp, stop[2];
    char address[32];
    pthread_t thread;
    pthread_mutex_t lock; /* of all below */
    enum etcd_test_dns_mode mode;
    struct record records[MAX_RECORDS];
    size_t n_records;
    int queries;
};

/* Reads the question's name; returns the offset behind the question, 0 when it is malformed. */
static size_t read_question(const unsigned char *message, size_t len, char name[128], unsigned int *type)
{
    size_t at = HEADER, n = 0;

    while (at < len && message[at] != 0) {
        size_t label = message[at++];

        if (label > 63 || at + label >= len || n + label + 2 > 128)
            return 0;
        if (n > 0)
            name[n++] = '.';
        memcpy(&name[n], &message[at], label);
        n += label;
        at += label;
    }
    name[n] = '\0';
    if (at + 5 > len)
        return 0;
    *type = (unsigned int)message[at + 1] << 8 | message[at + 2];
    return at + 5;
}

static void put16(unsigned char *out, unsigned int value)
{
    out[0] = (unsigned char)(value >> 8);
    out[1] = (unsigned char)value;
}

static size_t put_answer(unsigned char *out, const struct record *record)
{
    static const unsigned char ttl[4] = {0, 0, 0, 0};

    put16(out, 0xc00c); /* the name of the question */
    put16(out + 2, record->type);
    put16(out + 4, 1);
    memcpy(out + 6, ttl, sizeof ttl);
    put16(out + 10, record->len);
    memcpy(out + 12, record->data, record->len);
    return 12u + record->len;
}

/* Makes the answer in place: the query's header and question, then the records. Returns its length, 0 for none. */
static size_t answer(etcd_test_dns *dns, unsigned char *message, size_t len, bool over_tcp)
{
    char name[128];
    unsigned int type = 0, n_answers = 0, rcode = 3;
    size_t at = len < HEADER ? 0 : read_question(message, len, name, &type);
    bool cut = !over_tcp && (dns->mode == ETCD_TEST_DNS_TCP || dns->mode == ETCD_TEST_DNS_TCP_RESET);

    if (at == 0)
        return 0;
    for (size_t i = 0; i < dns->n_records; i++) {
        const struct record *record = &dns->records[i];

        if (strcasecmp(record->name, name) != 0)
            continue;
        rcode = 0;
        if (cut || type != record->type)
            continue;
        at += put_answer(&message[at], record);
        n_answers++;
    }
    if (dns->mode == ETCD_TEST_DNS_SERVFAIL)
        rcode = 2;
    put16(message + 2, 0x8180u | (cut ? 0x0200u : 0) | rcode);
    put16(message + 4, 1);
    put16(message + 6, n_answers);
    put16(message + 8, 0);
    put16(message + 10, 0);
    return at;
}

static void serve_udp(etcd_test_dns *dns)
{
    unsigned char message[MAX_MESSAGE];
    struct sockaddr_in from;
    socklen_t from_len = sizeof from;
    ssize_t n = recvfrom(dns->udp, message, 512, 0, (struct sockaddr *)&from, &from_len);
    size_t len;

    if (n <= 0)
        return;
    dns->queries++;
    if (dns->mode == ETCD_TEST_DNS_SILENT)
        return;
    len = answer(dns, message, (size_t)n, false);
    if (dns->mode == ETCD_TEST_DNS_GARBAGE) {
        len = 40;
        memset(message + 2, 0xff, len - 2); /* behind the id, which must fit to be looked at */
    }
    (void)sendto(dns->udp, message, len, MSG_NOSIGNAL, (struct sockaddr *)&from, from_len);
}

static void serve_tcp(etcd_test_dns *dns)
{
    unsigned char message[2 + MAX_MESSAGE];
    int fd = accept(dns->tcp, NULL, NULL);
    size_t len;

    if (fd < 0)
        return;
    if (dns->mode == ETCD_TEST_DNS_TCP_RESET) {
        etcd_test_reset(fd);
        return;
    }
    while (etcd_test_read(fd, message, 2) == 2) {
        len = (size_t)message[0] << 8 | message[1];
        if (len > 512 || etcd_test_read(fd, message + 2, len) != len)
            break;
        len = answer(dns, message + 2, len, true);
        put16(message, (unsigned int)len);
        etcd_test_write(fd, message, len + 2);
    }
    (void)close(fd);
}

static void *serve(void *arg)
{
    etcd_test_dns *dns = arg;
    struct pollfd fds[3] = {{dns->udp, POLLIN, 0}, {dns->tcp, POLLIN, 0}, {dns->stop[0], POLLIN, 0}};

    while (fds[2].revents == 0) {
        if (poll(fds, 3, -1) < 0)
            continue;
        (void)pthread_mutex_lock(&dns->lock);
        if (fds[0].revents != 0)
            serve_udp(dns);
        if (fds[1].revents != 0)
            serve_tcp(dns);
        (void)pthread_mutex_unlock(&dns->lock);
    }
    return NULL;
}

/* A port that is free for UDP and TCP. */
static void bind_both(etcd_test_dns *dns)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    uint16_t port;

    for (int attempt = 0; attempt < 100; attempt++) {
        dns->tcp = etcd_test_listen(AF_INET, 16, &port);
        dns->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        address.sin_port = htons(port);
        if (dns->udp >= 0 && bind(dns->udp, (struct sockaddr *)&address, sizeof address) == 0) {
            (void)snprintf(dns->address, sizeof dns->address, "127.0.0.1:%u", port);
            return;
        }
        (void)close(dns->udp);
        (void)close(dns->tcp);
    }
    fail_msg("no port that is free for UDP and TCP");
}

etcd_test_dns *etcd_test_dns_start(void)
{
    etcd_test_dns *dns = calloc(1, sizeof *dns);

    if (dns == NULL || pipe(dns->stop) < 0)
        abort();
    bind_both(dns);
    (void)pthread_mutex_init(&dns->lock, NULL);
    if (pthread_create(&dns->thread, NULL, serve, dns) != 0)
        abort();
    return dns;
}

void etcd_test_dns_stop(etcd_test_dns *dns)
{
    (void)close(dns->stop[1]);
    (void)pthread_join(dns->thread, NULL);
    (void)close(dns->stop[0]);
    (void)close(dns->udp);
    (void)close(dns->tcp);
    (void)pthread_mutex_destroy(&dns->lock);
    free(dns);
}

const char *etcd_test_dns_address(const etcd_test_dns *dns)
{
    return dns->address;
}

void etcd_test_dns_mode(etcd_test_dns *dns, enum etcd_test_dns_mode mode)
{
    (void)pthread_mutex_lock(&dns->lock);
    dns->mode = mode;
    (void)pthread_mutex_unlock(&dns->lock);
}

/* A new record of that name. Lock held. */
static struct record *new_record(etcd_test_dns *dns, const char *name, unsigned int type)
{
    struct record *record;

    if (dns->n_records == MAX_RECORDS)
        abort();
    record = &dns->records[dns->n_records++];
    (void)snprintf(record->name, sizeof record->name, "%s", name);
    record->type = type;
    return record;
}

void etcd_test_dns_add(etcd_test_dns *dns, const char *name, const char *address)
{
    unsigned char data[16];
    bool v4 = inet_pton(AF_INET, address, data) == 1;
    struct record *record;

    if (!v4 && inet_pton(AF_INET6, address, data) != 1)
        abort();
    (void)pthread_mutex_lock(&dns->lock);
    record = new_record(dns, name, v4 ? TYPE_A : TYPE_AAAA);
    record->len = v4 ? 4 : 16;
    memcpy(record->data, data, record->len);
    (void)pthread_mutex_unlock(&dns->lock);
}

/* A name as labels with their lengths. Returns its length. */
static uint16_t put_name(unsigned char *out, const char *name)
{
    uint16_t at = 0;

    while (*name != '\0') {
        size_t len = strcspn(name, ".");

        out[at++] = (unsigned char)len;
        memcpy(&out[at], name, len);
        at = (uint16_t)(at + len);
        name += len + (name[len] == '.');
    }
    out[at++] = 0;
    return at;
}

void etcd_test_dns_add_srv(etcd_test_dns *dns, const char *name, unsigned int priority, unsigned int weight, unsigned int port,
                           const char *target)
{
    struct record *record;

    (void)pthread_mutex_lock(&dns->lock);
    record = new_record(dns, name, TYPE_SRV);
    put16(record->data, priority);
    put16(record->data + 2, weight);
    put16(record->data + 4, port);
    record->len = (uint16_t)(6 + put_name(record->data + 6, target));
    (void)pthread_mutex_unlock(&dns->lock);
}

int etcd_test_dns_queries(etcd_test_dns *dns)
{
    int n;

    (void)pthread_mutex_lock(&dns->lock);
    n = dns->queries;
    (void)pthread_mutex_unlock(&dns->lock);
    return n;
}
