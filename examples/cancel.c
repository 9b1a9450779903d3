/* Deadlines and cancelling: every wait is bounded, and can be ended from another thread at any time.
 *
 * The server here never answers: a socket that listens, and nobody behind it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <etcd3/etcd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* Returns the socket, and its endpoint in `endpoint`. */
static int listen_silently(char *endpoint, size_t size)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, len) < 0 || listen(fd, 1) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) < 0)
        return -1;
    snprintf(endpoint, size, "http://127.0.0.1:%d", ntohs(address.sin_port));
    return fd;
}

static void *cancel_soon(void *cancel)
{
    usleep(100 * 1000);
    etcd_cancel_trigger(cancel);
    return NULL;
}

/* A call with a deadline of its own. */
static int run_into_deadline(etcd_client *client)
{
    etcd_error err;
    int rc = etcd_get(client, ETCD_STR("key"), ETCD_GET(.call = ETCD_CALL(.timeout_ms = 200)), NULL, &err);

    printf("after 200 ms: %s: %s\n", etcd_error_name(rc), err.message);
    return rc == ETCD_ERR_DEADLINE_EXCEEDED;
}

/* A call without deadline, ended by a switch in another thread's hand. One switch serves any number of calls. */
static int cancel_from_thread(etcd_client *client)
{
    etcd_cancel *cancel;
    etcd_error err;
    pthread_t thread;
    int rc;

    if (etcd_cancel_new(&cancel, &err) < 0 || pthread_create(&thread, NULL, cancel_soon, cancel) != 0)
        return 0;
    rc = etcd_put(client, ETCD_STR("key"), ETCD_STR("value"), ETCD_PUT(.call = ETCD_CALL(.timeout_ms = -1, .cancel = cancel)),
                  NULL, &err);
    pthread_join(thread, NULL);
    etcd_cancel_free(cancel);
    printf("canceled: %s: %s\n", etcd_error_name(rc), err.message);
    printf("a write that %s\n", err.flags & ETCD_ERROR_MAYBE_APPLIED ? "may have been done" : "was certainly not done");
    return rc == ETCD_ERR_CANCELED;
}

/* A call in the background, ended by its number. */
static int cancel_by_number(etcd_client *client)
{
    etcd_completion *end;
    etcd_call_id id;
    etcd_error err;
    int rc;

    if (etcd_get_async(client, ETCD_STR("key"), ETCD_GET(.call = ETCD_CALL(.timeout_ms = -1)), NULL, NULL, &id, &err) < 0 ||
        etcd_call_cancel(client, id) < 0 || etcd_client_next_completion(client, -1, &end, &err) < 0)
        return 0;
    rc = end->code;
    printf("canceled by number: %s\n", etcd_error_name(rc));
    etcd_response_free(end);
    return rc == ETCD_ERR_CANCELED;
}

int main(void)
{
    char endpoint[64];
    etcd_client *client;
    etcd_error err;
    int fd = listen_silently(endpoint, sizeof endpoint), ok;

    if (fd < 0 || etcd_client_new(ETCD_CLIENT(.endpoints = endpoint), &client, &err) < 0)
        return 1;
    ok = run_into_deadline(client) && cancel_from_thread(client) && cancel_by_number(client);
    etcd_client_free(client);
    close(fd);
    return ok ? 0 : 1;
}
