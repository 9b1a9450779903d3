/* The first program: write a key, read it back.
 *
 *   cc get_put.c $(pkg-config --cflags --libs etcd3) && ./a.out
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <etcd3/etcd.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    const char *endpoints = getenv("ETCD3_ENDPOINTS");
    etcd_client *client = NULL;
    etcd_put_response *put = NULL;
    etcd_get_response *get = NULL;
    etcd_error err;
    int status = 1;

    if (etcd_client_new(ETCD_CLIENT(.endpoints = endpoints ? endpoints : "http://127.0.0.1:2379"), &client, &err) < 0 ||
        etcd_put(client, ETCD_STR("greeting"), ETCD_STR("hello"), NULL, &put, &err) < 0 ||
        etcd_get(client, ETCD_STR("greeting"), NULL, &get, &err) < 0) {
        fprintf(stderr, "%s\n", err.message);
        goto out;
    }
    printf("written at revision %" PRId64 "\n", put->header.revision);
    for (size_t i = 0; i < get->n_kvs; i++) /* one, or none if somebody deleted it in between */
        printf("%s = %s\n", get->kvs[i].key.data, get->kvs[i].value.data);
    status = 0;
out:
    etcd_response_free(get); /* all free functions take NULL */
    etcd_response_free(put);
    etcd_client_free(client);
    return status;
}
