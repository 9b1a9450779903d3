/* What etcd does, shown with libetcd3: write, read, list, compare-and-swap, delete. `make demo` runs it beside a
 * private etcd; to run it on another one, name it in ETCD3_ENDPOINTS. It uses keys below "demo/" only, and removes them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <etcd3/etcd.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void die(const etcd_error *err)
{
    fprintf(stderr, "%s: %s\n", etcd_error_name(err->code), err->message);
    exit(1);
}

static void print_kv(const etcd_kv *kv)
{
    printf("     %-10s = %-6s  (created at revision %" PRId64 ", last written at %" PRId64 ", version %" PRId64 ")\n",
           kv->key.data, kv->value.data, kv->create_revision, kv->mod_revision, kv->version);
}

static void write_keys(etcd_client *client)
{
    static const char *const pairs[][2] = {{"demo/color", "green"}, {"demo/shape", "circle"}, {"demo/size", "12"}};
    etcd_put_response *put;
    etcd_error err;

    printf("Write\n");
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        if (etcd_put(client, ETCD_STR(pairs[i][0]), ETCD_STR(pairs[i][1]), NULL, &put, &err) < 0)
            die(&err);
        printf("     put %-10s %-6s  -> revision %" PRId64 "\n", pairs[i][0], pairs[i][1], put->header.revision);
        etcd_response_free(put);
    }
}

/* Returns the revision at which the key was last written. */
static int64_t read_key(etcd_client *client)
{
    etcd_get_response *get;
    etcd_error err;
    int64_t revision = 0;

    printf("\nRead\n");
    if (etcd_get(client, ETCD_STR("demo/color"), NULL, &get, &err) < 0)
        die(&err);
    if (get->n_kvs == 1) {
        print_kv(&get->kvs[0]);
        revision = get->kvs[0].mod_revision;
    }
    etcd_response_free(get);
    return revision;
}

static void list_keys(etcd_client *client)
{
    etcd_get_response *get;
    etcd_error err;

    printf("\nList all keys that start with \"demo/\"\n");
    if (etcd_get(client, ETCD_STR("demo/"), ETCD_GET(.prefix = true), &get, &err) < 0)
        die(&err);
    for (size_t i = 0; i < get->n_kvs; i++)
        print_kv(&get->kvs[i]);
    printf("     %" PRId64 " keys, as of revision %" PRId64 "\n", get->count, get->header.revision);
    etcd_response_free(get);
}

/* Writes `value` if nobody has written since `seen_revision`; else reads what is there. */
static void swap_color(etcd_client *client, int64_t seen_revision, const char *value)
{
    etcd_txn *txn = etcd_txn_new(client);
    etcd_txn_response *resp;
    etcd_error err;

    printf("\nCompare and swap: demo/color becomes \"%s\" if it is still that of revision %" PRId64 "\n", value, seen_revision);
    etcd_txn_if_mod_revision(txn, ETCD_STR("demo/color"), ETCD_CMP_EQUAL, seen_revision);
    etcd_txn_put(txn, ETCD_STR("demo/color"), ETCD_STR(value), NULL);
    etcd_txn_else(txn);
    etcd_txn_get(txn, ETCD_STR("demo/color"), NULL);
    if (etcd_txn_commit(txn, NULL, &resp, &err) < 0)
        die(&err);
    if (resp->succeeded) {
        printf("     it was: swapped -> revision %" PRId64 "\n", resp->header.revision);
    } else {
        printf("     it was not: nothing changed (the store is at revision %" PRId64 "); there is now\n", resp->header.revision);
        for (size_t i = 0; i < resp->responses[0]->get->n_kvs; i++)
            print_kv(&resp->responses[0]->get->kvs[i]);
    }
    etcd_response_free(resp);
    etcd_txn_free(txn);
}

static void delete_keys(etcd_client *client)
{
    etcd_delete_response *del;
    etcd_error err;

    printf("\nDelete all of them, and see what was there\n");
    if (etcd_delete(client, ETCD_STR("demo/"), ETCD_DELETE(.prefix = true, .prev_kv = true), &del, &err) < 0)
        die(&err);
    for (size_t i = 0; i < del->n_prev_kvs; i++)
        print_kv(&del->prev_kvs[i]);
    printf("     deleted %" PRId64 " keys -> revision %" PRId64 "\n", del->deleted, del->header.revision);
    etcd_response_free(del);
}

int main(void)
{
    const char *endpoints = getenv("ETCD3_ENDPOINTS");
    etcd_client *client;
    etcd_error err;
    int64_t seen;

    if (endpoints == NULL)
        endpoints = "http://127.0.0.1:2379";
    if (etcd_client_new(ETCD_CLIENT(.endpoints = endpoints), &client, &err) < 0)
        die(&err);
    printf("libetcd3 %s speaks to etcd at %s\n\n", etcd_version(), endpoints);

    write_keys(client);
    seen = read_key(client);
    list_keys(client);
    swap_color(client, seen, "blue");
    swap_color(client, seen, "red"); /* the same revision again: "blue" came in between */
    delete_keys(client);
    list_keys(client);

    etcd_client_free(client);
    return 0;
}
