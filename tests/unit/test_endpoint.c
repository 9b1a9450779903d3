/* Endpoint syntax: the table of the contract (section 1.4), what we refuse and in which words, and the same for lists. */
#include "harness/alloc.h"
#include "harness/test.h"

#include "channel/endpoint.h"

#include <stdio.h>
#include <string.h>

/* What an accepted endpoint means; `dial` is "host port" or "path". */
struct good {
    const char *text;
    const char *dial;
    const char *authority;
    etcd__creds creds;
};

static const struct good goods[] = {
    {"127.0.0.1", "127.0.0.1 2379", "127.0.0.1:2379", ETCD__CREDS_OPTIONAL},
    {"localhost:8080", "localhost 8080", "localhost:8080", ETCD__CREDS_OPTIONAL},
    {"etcd.io", "etcd.io 2379", "etcd.io:2379", ETCD__CREDS_OPTIONAL},
    {"etcd.io.:1", "etcd.io. 1", "etcd.io.:1", ETCD__CREDS_OPTIONAL},
    {"my_host-1:65535", "my_host-1 65535", "my_host-1:65535", ETCD__CREDS_OPTIONAL},
    {"  localhost:8080\t", "localhost 8080", "localhost:8080", ETCD__CREDS_OPTIONAL},
    {"http://localhost:8080", "localhost 8080", "localhost:8080", ETCD__CREDS_PLAIN},
    {"http://127.0.0.1:8080/", "127.0.0.1 8080", "127.0.0.1:8080", ETCD__CREDS_PLAIN},
    {"http://127.0.0.1:8080/path?query#part", "127.0.0.1 8080", "127.0.0.1:8080", ETCD__CREDS_PLAIN},
    {"http://127.0.0.1:8080?a=b:c", "127.0.0.1 8080", "127.0.0.1:8080", ETCD__CREDS_PLAIN},
    {"http://h/p://x:y", "h 2379", "h:2379", ETCD__CREDS_PLAIN},
    {"http://localhost", "localhost 2379", "localhost:2379", ETCD__CREDS_PLAIN},
    {"HTTP://localhost:0080", "localhost 80", "localhost:80", ETCD__CREDS_PLAIN},
    {"https://localhost:20000", "localhost 20000", "localhost:20000", ETCD__CREDS_TLS},
    {"HttpS://localhost:20000/x", "localhost 20000", "localhost:20000", ETCD__CREDS_TLS},
    {"[2001:db8::1]:100", "2001:db8::1 100", "[2001:db8::1]:100", ETCD__CREDS_OPTIONAL},
    {"[::1]", "::1 2379", "[::1]:2379", ETCD__CREDS_OPTIONAL},
    {"http://[2001:db8::1]:100/", "2001:db8::1 100", "[2001:db8::1]:100", ETCD__CREDS_PLAIN},
    {"https://[::ffff:10.0.0.1]", "::ffff:10.0.0.1 2379", "[::ffff:10.0.0.1]:2379", ETCD__CREDS_TLS},
    {"[fe80::1%eth0]:7", "fe80::1%eth0 7", "[fe80::1]:7", ETCD__CREDS_OPTIONAL},
    {"http://[fe80::1%25eth0]:7", "fe80::1%eth0 7", "[fe80::1]:7", ETCD__CREDS_PLAIN},
    {"[fe80::1%25]:7", "fe80::1%25 7", "[fe80::1]:7", ETCD__CREDS_OPTIONAL},
    {"unix:rel", "rel", "rel", ETCD__CREDS_OPTIONAL},
    {"unix:127.0.0.1:8080", "127.0.0.1:8080", "127.0.0.1:8080", ETCD__CREDS_OPTIONAL},
    {"unix://127.0.0.1:8080", "127.0.0.1:8080", "127.0.0.1:8080", ETCD__CREDS_OPTIONAL},
    {"unix://localhost:1234", "localhost:1234", "localhost:1234", ETCD__CREDS_OPTIONAL},
    {"unix://a/b/c", "a/b/c", "c", ETCD__CREDS_OPTIONAL},
    {"unix:///run/abc:1234", "/run/abc:1234", "abc:1234", ETCD__CREDS_OPTIONAL},
    {"unix:/run/etcd.sock", "/run/etcd.sock", "etcd.sock", ETCD__CREDS_OPTIONAL},
    {"Unix:/run/etcd.sock", "/run/etcd.sock", "etcd.sock", ETCD__CREDS_OPTIONAL},
    {"unix:///run/my socket@1", "/run/my socket@1", "localhost", ETCD__CREDS_OPTIONAL},
    {"unixs:rel", "rel", "rel", ETCD__CREDS_TLS},
    {"unixs://rel", "rel", "rel", ETCD__CREDS_TLS},
    {"unixs:///tmp/abc", "/tmp/abc", "abc", ETCD__CREDS_TLS},
};

/* What we refuse, and a part of the text that says why. */
static const struct {
    const char *text;
    const char *why;
} bads[] = {
    {"", "it is empty"},
    {"   ", "it is empty"},
    {":2379", "the host is empty"},
    {"http://", "the host is empty"},
    {"http:///path", "the host is empty"},
    {"https://:2379", "the host is empty"},
    {"localhost:", "the port after ':' is missing"},
    {"http://localhost:/", "the port after ':' is missing"},
    {"[::1]:", "the port after ':' is missing"},
    {"localhost:http", "the port is not a number"},
    {"localhost:12a", "the port is not a number"},
    {"localhost:-1", "the port is not a number"},
    {"localhost:+1", "the port is not a number"},
    {"localhost: 80", "the port is not a number"},
    {"localhost:8080/path", "the port is not a number"},
    {"localhost:0", "the port is not between 1 and 65535"},
    {"http://localhost:65536", "the port is not between 1 and 65535"},
    {"http://localhost:18446744073709551617", "the port is not between 1 and 65535"},
    {"::1", "an IPv6 address goes in brackets"},
    {"2001:db8::1", "an IPv6 address goes in brackets"},
    {"a:b:c", "more than one ':'"},
    {"http://2001:db8::1:2379", "an IPv6 address goes in brackets"},
    {"[::1", "the ']' behind the IPv6 address is missing"},
    {"http://[::1/path]:1", "the ']' behind the IPv6 address is missing"},
    {"[::1]2379", "only a port can follow the ']'"},
    {"[::1]]:2379", "only a port can follow the ']'"},
    {"[]:2379", "not an IPv6 address"},
    {"[127.0.0.1]:2379", "not an IPv6 address"},
    {"[localhost]:2379", "not an IPv6 address"},
    {"[::1::2]:2379", "not an IPv6 address"},
    {"[fe80::1%]:2379", "the zone of the IPv6 address is malformed"},
    {"[fe80::1%a b]:2379", "the zone of the IPv6 address is malformed"},
    {"10.0.0:2379", "neither an IPv4 address nor a name"},
    {"10.0.0.256:2379", "neither an IPv4 address nor a name"},
    {"http://1.2.3.4.5", "neither an IPv4 address nor a name"},
    {"2379", "neither an IPv4 address nor a name"},
    {"my host:2379", "characters that no host name has"},
    {"local/host", "characters that no host name has"},
    {"http://b\xc3\xbc"
     "cher:2379",
     "characters that no host name has"},
    {"*", "characters that no host name has"},
    {"http:localhost:2379", "\"//\" is missing"},
    {"https:localhost", "\"//\" is missing"},
    {"dns://something-other", "the scheme is none of http, https, unix, unixs"},
    {"htp://localhost:2379", "the scheme is none of http, https, unix, unixs"},
    {"://localhost", "the scheme is none of http, https, unix, unixs"},
    {"etcd-endpoints://x/localhost", "the scheme is none of"},
    {"http://user:secret@localhost:2379", "user and password do not belong into an endpoint"},
    {"user@localhost", "user and password do not belong into an endpoint"},
    {"unix:", "the path of the unix socket is empty"},
    {"unix://", "the path of the unix socket is empty"},
    {"unixs://", "the path of the unix socket is empty"},
    {"unix:///", "ends in '/'"},
    {"unix:///run/", "ends in '/'"},
    {"local\nhost", "control character"},
    {"unix:/run/\x7f", "control character"},
};

static void check_good(const struct good *want)
{
    etcd__endpoint endpoint;
    etcd_error err;
    char dial[256], trimmed[128];
    size_t start = strspn(want->text, " \t"), len = strlen(want->text) - start;

    while (len > 0 && strchr(" \t", want->text[start + len - 1]) != NULL)
        len--;
    (void)snprintf(trimmed, sizeof trimmed, "%.*s", (int)len, want->text + start);
    if (etcd__endpoint_parse(want->text, strlen(want->text), &endpoint, &err) != ETCD_OK)
        fail_msg("%s: %s", want->text, err.message);
    if (endpoint.target.kind == ETCD__TARGET_TCP)
        (void)snprintf(dial, sizeof dial, "%s %u", endpoint.target.host, endpoint.target.port);
    else
        (void)snprintf(dial, sizeof dial, "%s", endpoint.target.path);
    assert_string_equal(endpoint.text, trimmed);
    assert_string_equal(dial, want->dial);
    assert_string_equal(endpoint.authority, want->authority);
    assert_int_equal(endpoint.creds, want->creds);
    assert_int_equal(endpoint.tls, want->creds == ETCD__CREDS_TLS);
    etcd__endpoint_free(&endpoint);
    assert_null(endpoint.text);
}

static void accepts_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof goods / sizeof goods[0]; i++)
        check_good(&goods[i]);
}

static void refuses_with_the_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bads / sizeof bads[0]; i++) {
        etcd__endpoint endpoint;
        etcd_error err;

        if (etcd__endpoint_parse(bads[i].text, strlen(bads[i].text), &endpoint, &err) != ETCD_ERR_ARGUMENT)
            fail_msg("\"%s\" was accepted", bads[i].text);
        if (strstr(err.message, bads[i].why) == NULL)
            fail_msg("\"%s\": \"%s\" does not say \"%s\"", bads[i].text, err.message, bads[i].why);
        assert_non_null(strstr(err.message, "endpoint \""));
        assert_null(endpoint.text);
        assert_null(endpoint.authority);
        assert_null(endpoint.target.host);
    }
}

static void error_names_the_endpoint(void **state)
{
    etcd__endpoint endpoint;
    etcd_error err;

    (void)state;
    assert_int_equal(etcd__endpoint_parse("http://localhost:x", 18, &endpoint, &err), ETCD_ERR_ARGUMENT);
    assert_string_equal(err.message, "endpoint \"http://localhost:x\": the port is not a number");
}

static void error_hides_the_password(void **state)
{
    static const char *const texts[] = {"http://me:secret@h:1", "me:secret@h", "https://me:se@cret@h", "secret@unknown://x"};
    etcd__endpoint endpoint;
    etcd_error err;

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_int_equal(etcd__endpoint_parse(texts[i], strlen(texts[i]), &endpoint, &err), ETCD_ERR_ARGUMENT);
        assert_null(strstr(err.message, "secret"));
        assert_null(strstr(err.message, "cret@"));
        assert_null(strstr(err.message, "me:"));
    }
}

static void error_stays_printable_and_short(void **state)
{
    etcd__endpoint endpoint;
    etcd_error err;
    char text[4000];

    (void)state;
    memset(text, '\x01', sizeof text);
    assert_int_equal(etcd__endpoint_parse(text, sizeof text, &endpoint, &err), ETCD_ERR_ARGUMENT);
    assert_true(strlen(err.message) < 300);
    for (const char *c = err.message; *c != '\0'; c++)
        assert_true(*c >= ' ' && *c <= '~');
    assert_non_null(strstr(err.message, "??..."));
}

static void nul_is_refused(void **state)
{
    etcd__endpoint endpoint;
    etcd_error err;

    (void)state;
    assert_int_equal(etcd__endpoint_parse("local\0host", 10, &endpoint, &err), ETCD_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "control character"));
    assert_int_equal(etcd__endpoint_parse("unix:/a\0b", 9, &endpoint, NULL), ETCD_ERR_ARGUMENT);
}

static void long_hosts_and_paths(void **state)
{
    char text[300], path[300] = "unix:/";
    etcd__endpoint endpoint;
    etcd_error err;

    (void)state;
    memset(text, 'a', sizeof text);
    assert_int_equal(etcd__endpoint_parse(text, 253, &endpoint, &err), ETCD_OK);
    etcd__endpoint_free(&endpoint);
    assert_int_equal(etcd__endpoint_parse(text, 254, &endpoint, &err), ETCD_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "longer than 253"));
    memset(path + 6, 'p', 106); /* with the slash 107, all that sun_path takes besides its NUL */
    assert_int_equal(etcd__endpoint_parse(path, 6 + 106, &endpoint, &err), ETCD_OK);
    etcd__endpoint_free(&endpoint);
    path[112] = 'p';
    assert_int_equal(etcd__endpoint_parse(path, 6 + 107, &endpoint, &err), ETCD_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "too long: 108 bytes, the system takes 107"));
}

static void list_of_three(void **state)
{
    const char *text = " http://a:1, unix:/s ,https://[::1]:3 ";
    etcd__endpoint *list;
    etcd_error err;
    size_t n;

    (void)state;
    assert_int_equal(etcd__endpoint_list_parse(text, strlen(text), &list, &n, &err), ETCD_OK);
    assert_int_equal(n, 3);
    assert_string_equal(list[0].text, "http://a:1");
    assert_string_equal(list[1].target.path, "/s");
    assert_string_equal(list[2].authority, "[::1]:3");
    assert_true(list[2].tls && !list[1].tls);
    etcd__endpoint_list_free(list, n);
    etcd__endpoint_list_free(NULL, 0);
}

static void bad_lists(void **state)
{
    static const struct {
        const char *text;
        int code;
        const char *why;
    } lists[] = {
        {"", ETCD_ERR_NO_ENDPOINTS, "etcdclient: no available endpoints"},
        {"  \t", ETCD_ERR_NO_ENDPOINTS, "etcdclient: no available endpoints"},
        {",", ETCD_ERR_ARGUMENT, "endpoint \",\": element 1 of the list is empty"},
        {"a,,b", ETCD_ERR_ARGUMENT, "endpoint \"a,,b\": element 2 of the list is empty"},
        {"a, ,b", ETCD_ERR_ARGUMENT, "element 2 of the list is empty"},
        {"a,b,", ETCD_ERR_ARGUMENT, "element 3 of the list is empty"},
        {"a,b:x", ETCD_ERR_ARGUMENT, "endpoint \"b:x\": the port is not a number"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        etcd__endpoint *list = (etcd__endpoint *)state;
        etcd_error err;
        size_t n = 7;

        assert_int_equal(etcd__endpoint_list_parse(lists[i].text, strlen(lists[i].text), &list, &n, &err), lists[i].code);
        assert_null(list);
        assert_int_equal(n, 0);
        if (strstr(err.message, lists[i].why) == NULL)
            fail_msg("\"%s\": %s", lists[i].text, err.message);
    }
}

static int parse_list(void *arg)
{
    etcd__endpoint *list;
    etcd_error err;
    size_t n;
    int rc = etcd__endpoint_list_parse(arg, strlen(arg), &list, &n, &err);

    if (rc != ETCD_OK)
        assert_int_equal(rc, ETCD_ERR_NO_MEMORY);
    etcd__endpoint_list_free(list, n);
    return rc;
}

static void allocation_failures(void **state)
{
    char text[] = "http://a:1,unix:/s,[::1]:3";

    (void)state;
    etcd_test_alloc_install();
    assert_true(etcd_test_alloc_sweep(parse_list, text) >= 10);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_the_table),
        cmocka_unit_test(refuses_with_the_reason),
        cmocka_unit_test(error_names_the_endpoint),
        cmocka_unit_test(error_hides_the_password),
        cmocka_unit_test(error_stays_printable_and_short),
        cmocka_unit_test(nul_is_refused),
        cmocka_unit_test(long_hosts_and_paths),
        cmocka_unit_test(list_of_three),
        cmocka_unit_test(bad_lists),
        cmocka_unit_test(allocation_failures),
    };

    return etcd_test_main(tests, sizeof tests / sizeof tests[0], argc, argv);
}
