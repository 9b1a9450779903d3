/* libetcd3 in an event loop that is already there, without any thread: one descriptor, one function.
 *
 * The loop here is poll() over standard input and the client. Each line "key value" is written to etcd, each line "key"
 * is read; answers are printed as they come, while further lines are taken.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <etcd3/etcd.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int in_flight;

/* Callbacks run inside etcd_client_process(): on the loop's own thread, so nothing needs a lock. */
static void on_put(etcd_client *client, etcd_put_response *put, const etcd_error *err, void *arg)
{
    (void)client, (void)arg;
    if (err != NULL)
        printf("not written: %s\n", err->message);
    else
        printf("written at revision %" PRId64 "\n", put->header.revision);
    etcd_response_free(put);
    in_flight--;
}

static void on_get(etcd_client *client, etcd_get_response *get, const etcd_error *err, void *arg)
{
    (void)client, (void)arg;
    if (err != NULL)
        printf("not read: %s\n", err->message);
    else if (get->n_kvs == 0)
        printf("no such key\n");
    else
        printf("%s = %s\n", get->kvs[0].key.data, get->kvs[0].value.data);
    etcd_response_free(get);
    in_flight--;
}

static void start(etcd_client *client, char *line)
{
    char *value = strchr(line, ' ');
    etcd_error err;
    int rc;

    if (value != NULL) {
        *value++ = '\0';
        rc = etcd_put_async(client, ETCD_STR(line), ETCD_STR(value), NULL, on_put, NULL, NULL, &err);
    } else {
        rc = etcd_get_async(client, ETCD_STR(line), NULL, on_get, NULL, NULL, &err);
    }
    if (rc < 0)
        printf("not started: %s\n", err.message); /* then the callback never runs */
    else
        in_flight++;
}

/* Takes what there is of the input, and starts a call for each whole line. False at its end. */
static int take_input(etcd_client *client)
{
    static char text[4096];
    static size_t len;
    char *end;
    ssize_t n = read(0, text + len, sizeof text - 1 - len);

    if (n <= 0)
        return 0;
    len += (size_t)n;
    text[len] = '\0';
    while ((end = strchr(text, '\n')) != NULL) {
        *end = '\0';
        start(client, text);
        len -= (size_t)(end + 1 - text);
        memmove(text, end + 1, len + 1);
    }
    return len < sizeof text - 1; /* a longer line is too much for this example */
}

int main(void)
{
    const char *endpoints = getenv("ETCD3_ENDPOINTS");
    etcd_client *client;
    etcd_error err;
    int input = 1, rc;

    if (endpoints == NULL)
        endpoints = "http://127.0.0.1:2379";
    rc = etcd_client_new(ETCD_CLIENT(.endpoints = endpoints, .manual = true), &client, &err);
    setvbuf(stdout, NULL, _IOLBF, 0); /* answers at once, also into a pipe */
    printf("\"key value\" writes, \"key\" reads\n");
    while (rc == 0 && (input || in_flight > 0)) {
        struct pollfd fds[2] = {
            {.fd = etcd_client_fd(client), .events = POLLIN},
            {.fd = input ? 0 : -1, .events = POLLIN},
        };

        if (poll(fds, 2, (int)etcd_client_timeout_ms(client)) < 0)
            break;
        if (fds[1].revents != 0)
            input = take_input(client);
        rc = etcd_client_process(client, 0, &err); /* never waits; starts, sends, receives, calls back */
    }
    if (rc < 0)
        fprintf(stderr, "%s\n", err.message);
    etcd_client_free(client);
    return rc < 0;
}
