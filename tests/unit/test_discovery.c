/* SRV discovery, on a DNS server of the test. */
#include <etcd3/etcd.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/alloc.h"
#include "harness/dns.h"
#include "harness/test.h"

#define DOMAIN "cluster.example"

static void expect(etcd_test_dns *dns, const etcd_discover_options *options, const char *endpoints, size_t ignored)
{
    etcd_discover_options o = *options;
    etcd_discover_response *response;
    etcd_error err;

    o.dns_servers = etcd_test_dns_address(dns);
    if (etcd_discover(DOMAIN, &o, &response, &err) != ETCD_OK)
        fail_msg("%s", err.message);
    assert_string_equal(response->endpoints.data, endpoints);
    assert_int_equal(response->endpoints.len, strlen(endpoints));
    assert_int_equal(response->n_ignored, ignored);
    etcd_response_free(response);
}

static void both_services_are_asked_for(void **state)
{
    etcd_test_dns *dns = etcd_test_dns_start();

    (void)state;
    etcd_test_dns_add_srv(dns, "_etcd-client._tcp." DOMAIN, 0, 0, 2379, "plain.example");
    expect(dns, ETCD_DISCOVER(.service_name = NULL), "http://plain.example:2379", 0);
    etcd_test_dns_add_srv(dns, "_etcd-client-ssl._tcp." DOMAIN, 0, 0, 12379, "tls.example");
    expect(dns, ETCD_DISCOVER(.service_name = NULL), "https://tls.example:12379,http://plain.example:2379", 0);
    expect(dns, ETCD_DISCOVER(.secure_only = true), "https://tls.example:12379", 1);
    etcd_test_dns_stop(dns);
}

static void records_come_by_priority_and_weight(void **state)
{
    etcd_test_dns *dns = etcd_test_dns_start();

    (void)state;
    etcd_test_dns_add_srv(dns, "_etcd-client._tcp." DOMAIN, 20, 0, 1, "last");
    etcd_test_dns_add_srv(dns, "_etcd-client._tcp." DOMAIN, 10, 5, 2, "light");
    etcd_test_dns_add_srv(dns, "_etcd-client._tcp." DOMAIN, 10, 50, 3, "heavy");
    expect(dns, ETCD_DISCOVER(.service_name = ""), "http://heavy:3,http://light:2,http://last:1", 0);
    etcd_test_dns_stop(dns);
}

static void a_service_can_have_a_name(void **state)
{
    etcd_test_dns *dns = etcd_test_dns_start();

    (void)state;
    etcd_test_dns_add_srv(dns, "_etcd-client-blue._tcp." DOMAIN, 0, 0, 1, "blue");
    etcd_test_dns_add_srv(dns, "_etcd-client._tcp." DOMAIN, 0, 0, 2, "other");
    expect(dns, ETCD_DISCOVER(.service_name = "blue"), "http://blue:1", 0);
    etcd_test_dns_stop(dns);
}

static void nothing_found_is_an_error_that_says_why(void **state)
{
    etcd_test_dns *dns = etcd_test_dns_start();
    const char *servers = etcd_test_dns_address(dns);
    etcd_discover_response *response;
    char long_name[300];
    etcd_error err;

    (void)state;
    assert_int_equal(etcd_discover(DOMAIN, ETCD_DISCOVER(.dns_servers = servers), &response, &err), ETCD_ERR_NO_ENDPOINTS);
    assert_null(response);
    assert_non_null(strstr(err.message, "_etcd-client-ssl._tcp." DOMAIN));
    assert_non_null(strstr(err.message, "_etcd-client._tcp." DOMAIN));
    etcd_test_dns_add_srv(dns, "_etcd-client._tcp." DOMAIN, 0, 0, 1, "plain");
    assert_int_equal(etcd_discover(DOMAIN, ETCD_DISCOVER(.dns_servers = servers, .secure_only = true), &response, &err),
                     ETCD_ERR_NO_ENDPOINTS);
    etcd_test_dns_mode(dns, ETCD_TEST_DNS_SILENT);
    assert_int_equal(etcd_discover(DOMAIN, ETCD_DISCOVER(.dns_servers = servers, .timeout_ms = 100), &response, &err),
                     ETCD_ERR_DEADLINE_EXCEEDED);
    assert_int_equal(etcd_discover("", NULL, &response, &err), ETCD_ERR_ARGUMENT);
    assert_int_equal(etcd_discover(DOMAIN, NULL, NULL, &err), ETCD_ERR_ARGUMENT);
    memset(long_name, 'a', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    assert_int_equal(etcd_discover(long_name, NULL, &response, &err), ETCD_ERR_ARGUMENT);
    etcd_test_dns_stop(dns);
}

/* Drives it as an event loop does: only when its descriptor is readable. */
static int drive(etcd_discovery *discovery, etcd_discover_response **response, etcd_error *err)
{
    struct pollfd wait = {.fd = etcd_discovery_fd(discovery), .events = POLLIN};
    int rc = ETCD_ERR_TIMED_OUT;

    assert_true(wait.fd >= 0);
    while (rc == ETCD_ERR_TIMED_OUT) {
        assert_int_equal(poll(&wait, 1, 30000), 1);
        rc = etcd_discovery_wait(discovery, 0, response, err);
    }
    return rc;
}

static void an_event_loop_can_drive_it(void **state)
{
    etcd_test_dns *dns = etcd_test_dns_start();
    const char *servers = etcd_test_dns_address(dns);
    etcd_discover_response *response;
    etcd_discovery *discovery;
    etcd_error err;

    (void)state;
    etcd_test_dns_add_srv(dns, "_etcd-client._tcp." DOMAIN, 0, 0, 2379, "plain.example");
    assert_int_equal(etcd_discovery_open(DOMAIN, ETCD_DISCOVER(.dns_servers = servers), &discovery, &err), ETCD_OK);
    assert_true(etcd_discovery_timeout_ms(discovery) >= 0);
    assert_int_equal(drive(discovery, &response, &err), ETCD_OK);
    assert_string_equal(response->endpoints.data, "http://plain.example:2379");
    etcd_response_free(response);
    assert_int_equal(etcd_discovery_wait(discovery, 0, &response, &err), ETCD_ERR_CLOSED);
    assert_null(response);
    etcd_discovery_free(discovery);
    etcd_test_dns_stop(dns);
}

static void it_ends_in_time_or_when_it_is_freed(void **state)
{
    etcd_test_dns *dns = etcd_test_dns_start();
    const char *servers = etcd_test_dns_address(dns);
    etcd_discover_response *response;
    etcd_discovery *discovery;
    etcd_error err;

    (void)state;
    etcd_test_dns_mode(dns, ETCD_TEST_DNS_SILENT);
    assert_int_equal(etcd_discovery_open(DOMAIN, ETCD_DISCOVER(.dns_servers = servers, .timeout_ms = 60000), &discovery, &err),
                     ETCD_OK);
    assert_int_equal(etcd_discovery_wait(discovery, 1, &response, &err), ETCD_ERR_TIMED_OUT);
    etcd_discovery_free(discovery);
    assert_int_equal(etcd_discovery_open(DOMAIN, ETCD_DISCOVER(.dns_servers = servers, .timeout_ms = 50), &discovery, &err),
                     ETCD_OK);
    assert_int_equal(drive(discovery, &response, &err), ETCD_ERR_DEADLINE_EXCEEDED);
    assert_null(response);
    etcd_discovery_free(discovery);
    assert_int_equal(etcd_discovery_open("", NULL, &discovery, &err), ETCD_ERR_ARGUMENT);
    assert_null(discovery);
    assert_int_equal(etcd_discovery_wait(NULL, 0, &response, &err), ETCD_ERR_ARGUMENT);
    assert_int_equal(etcd_discovery_fd(NULL), ETCD_ERR_ARGUMENT);
    etcd_discovery_free(NULL);
    etcd_test_dns_stop(dns);
}

/* A name server without a thread, which would not exist in a child: says of every name that there is none. */
static int silent_server(char address[32])
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof name;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&name, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &len), 0);
    (void)snprintf(address, 32, "127.0.0.1:%u", ntohs(name.sin_port));
    return fd;
}

static void deny(int fd)
{
    struct sockaddr_in client;
    socklen_t len = sizeof client;
    unsigned char query[512];
    ssize_t n;

    while ((n = recvfrom(fd, query, sizeof query, 0, (struct sockaddr *)&client, &len)) > 12) {
        query[2] |= 0x80; /* an answer */
        query[3] = 0x83;  /* NXDOMAIN */
        assert_int_equal(sendto(fd, query, (size_t)n, 0, (struct sockaddr *)&client, len), n);
    }
}

static void a_child_can_only_free_it(void **state)
{
    etcd_discover_response *response;
    etcd_discovery *discovery;
    char server[32];
    etcd_error err;
    int fd = silent_server(server), status, rc;
    pid_t child;

    (void)state;
    assert_int_equal(etcd_discovery_open(DOMAIN, ETCD_DISCOVER(.dns_servers = server, .timeout_ms = 60000), &discovery, &err),
                     ETCD_OK);
    assert_true(etcd_discovery_fd(discovery) >= 0);
    assert_int_equal(etcd_discovery_wait(discovery, 0, &response, &err), ETCD_ERR_TIMED_OUT);
    child = fork();
    if (child == 0) {
        rc = etcd_discovery_wait(discovery, -1, &response, &err);
        etcd_discovery_free(discovery);
        _exit(rc == ETCD_ERR_FORKED ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    do { /* the parent's goes on */
        deny(fd);
        rc = etcd_discovery_wait(discovery, 10, &response, &err);
    } while (rc == ETCD_ERR_TIMED_OUT);
    assert_int_equal(rc, ETCD_ERR_NO_ENDPOINTS);
    etcd_discovery_free(discovery);
    (void)close(fd);
}

/* Again, when the short time for an answer was over though no allocation has failed: the server's thread was late. */
static int discover_once(void *dns)
{
    etcd_discover_response *response;
    int rc;

    do {
        rc = etcd_discover(DOMAIN, ETCD_DISCOVER(.dns_servers = etcd_test_dns_address(dns), .timeout_ms = 300), &response, NULL);
        etcd_response_free(response);
    } while (rc == ETCD_ERR_DEADLINE_EXCEEDED && !etcd_test_alloc_failed());
    return rc;
}

static void allocation_failures(void **state)
{
    etcd_test_dns *dns = etcd_test_dns_start();

    (void)state;
    etcd_test_dns_add_srv(dns, "_etcd-client._tcp." DOMAIN, 0, 0, 2379, "plain.example");
    etcd_test_alloc_install();
    assert_true(etcd_test_alloc_sweep(discover_once, dns) > 0);
    etcd_test_dns_stop(dns);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_services_are_asked_for), cmocka_unit_test(records_come_by_priority_and_weight),
        cmocka_unit_test(a_service_can_have_a_name),   cmocka_unit_test(nothing_found_is_an_error_that_says_why),
        cmocka_unit_test(an_event_loop_can_drive_it),  cmocka_unit_test(it_ends_in_time_or_when_it_is_freed),
        cmocka_unit_test(a_child_can_only_free_it),    cmocka_unit_test(allocation_failures),
    };

    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
