/* What errors say, and what a program does about them. Each failed call here is one of a kind.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <etcd3/etcd.h>
#include <stdio.h>
#include <stdlib.h>

/* The three questions to an error: what is it, did my write happen, does it help to try again? */
static void explain(const char *what, const etcd_error *err)
{
    printf("%s\n", what);
    printf("    code      %s (%d)\n", etcd_error_name(err->code), (int)err->code);
    printf("    message   %s\n", err->message);
    if (err->endpoint[0] != '\0')
        printf("    endpoint  %s\n", err->endpoint);
    if (err->flags & ETCD_ERROR_MAYBE_APPLIED)
        printf("    a write may have been done: read before writing again\n");
    if (err->flags & ETCD_ERROR_RETRYABLE)
        printf("    the same call may succeed later\n");
}

int main(void)
{
    const char *endpoints = getenv("ETCD3_ENDPOINTS");
    etcd_client *client, *nobody;
    etcd_error err;

    if (etcd_client_new(ETCD_CLIENT(.endpoints = endpoints ? endpoints : "http://127.0.0.1:2379"), &client, &err) < 0)
        return 1;
    if (etcd_client_new(ETCD_CLIENT(.endpoints = "http://127.0.0.1:1"), &nobody, &err) < 0)
        return 1;

    if (etcd_get(client, "", 0, NULL, NULL, &err) < 0)
        explain("A mistake in the program, found without asking the server:", &err);

    if (etcd_put(client, ETCD_STR("errors/missing"), "", 0, ETCD_PUT(.ignore_value = true), NULL, &err) < 0)
        explain("A refusal by etcd, with a code of its own:", &err);

    if (etcd_get(client, ETCD_STR("errors/key"), ETCD_GET(.revision = 1000000000), NULL, &err) == ETCD_ERR_FUTURE_REV)
        explain("Codes are for switch statements and ==:", &err);

    if (etcd_put(nobody, ETCD_STR("errors/key"), ETCD_STR("x"), ETCD_PUT(.call = ETCD_CALL(.timeout_ms = 300)), NULL, &err) < 0)
        explain("Nobody listens there; a deadline's message says what the connection was doing:", &err);

    etcd_client_free(nobody);
    etcd_client_free(client);
    return 0;
}
