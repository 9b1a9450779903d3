/* What the function of an STM may do: get, put, del, rev. See <etcd3/stm.h> and recipe/stm.c. */
#include "recipe/stm.h"

#include "base/error.h"

#include <string.h>

#define WRITTEN_FIRST 1024

/* Reads what is wanted, now. */
static int fetch_now(etcd_stm *stm)
{
    etcd_txn_response *response;
    etcd_error err;
    etcd_txn *txn;

    do {
        txn = etcd__stm_fetch_request(stm);
        if (txn == NULL)
            return etcd__stm_no_memory(stm);
        etcd__stm_ask(stm, txn, &response, &err);
        etcd_txn_free(txn);
    } while (etcd__stm_take_fetched(stm, response, &err));
    return stm->error.code;
}

/* The entry of a key that the function names; NULL after a failure. */
static etcd__stm_entry *entry_of(etcd_stm *stm, const char *key, size_t key_len)
{
    etcd__stm_entry *entry;

    if (key == NULL || key_len == 0) {
        etcd__error_set(&stm->error, ETCD_ERR_EMPTY_KEY, "%s", etcd_error_text(ETCD_ERR_EMPTY_KEY));
        return NULL;
    }
    if (key_len > (size_t)stm->options.max_bytes) { /* no room for a copy either */
        etcd__error_set(&stm->error, ETCD_ERR_TOO_LARGE, "stm: a key exceeds max_bytes");
        return NULL;
    }
    entry = etcd__stm_set_take(&stm->set, key, key_len);
    if (entry == NULL)
        (void)etcd__stm_no_memory(stm);
    else if (etcd__stm_check_limit(stm) < 0)
        return NULL;
    return entry;
}

/* Makes the entries known and read. */
int etcd__stm_read_many(etcd_stm *stm, const etcd_bytes *keys, size_t n_keys)
{
    bool missing = false;

    if (etcd__stm_has_failed(stm))
        return stm->error.code;
    for (size_t i = 0; i < n_keys; i++) {
        etcd__stm_entry *entry = entry_of(stm, keys[i].data, keys[i].len);

        if (entry == NULL)
            return stm->error.code;
        if (entry->write != NULL)
            continue;
        entry->read = true;
        entry->wanted = !entry->known;
        missing = missing || entry->wanted;
    }
    if (!missing)
        return ETCD_OK;
    if (stm->done == NULL)
        return fetch_now(stm);
    stm->missed = true;
    return ETCD_ERR_STM_AGAIN;
}

/* A NULL where the function of the program must not give one. */
static int refuse_null(etcd_stm *stm, const char *what)
{
    if (stm == NULL)
        return ETCD_ERR_ARGUMENT;
    if (!etcd__stm_has_failed(stm))
        etcd__error_set(&stm->error, ETCD_ERR_ARGUMENT, "stm: %s is NULL", what);
    return stm->error.code;
}

int etcd_stm_get_many(etcd_stm *stm, const etcd_bytes *keys, size_t n_keys, const etcd_bytes **values)
{
    int rc;

    for (size_t i = 0; values != NULL && i < n_keys; i++)
        values[i] = NULL;
    if (stm == NULL || (n_keys > 0 && (keys == NULL || values == NULL)))
        return refuse_null(stm, keys ? "values" : "keys");
    rc = etcd__stm_read_many(stm, keys, n_keys);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < n_keys; i++) {
        const etcd__stm_entry *entry = etcd__stm_set_take(&stm->set, keys[i].data, keys[i].len); /* is there */

        if (entry->write != NULL)
            values[i] = entry->value;
        else if (entry->kv != NULL)
            values[i] = &entry->kv->value;
    }
    return ETCD_OK;
}

int etcd_stm_get(etcd_stm *stm, const char *key, size_t key_len, const etcd_bytes **value)
{
    return etcd_stm_get_many(stm, &(etcd_bytes){key, key_len}, 1, value);
}

int etcd_stm_rev(etcd_stm *stm, const char *key, size_t key_len, int64_t *revision)
{
    etcd__stm_entry *entry;

    if (revision != NULL)
        *revision = 0;
    if (stm == NULL || revision == NULL)
        return refuse_null(stm, "revision");
    if (etcd__stm_has_failed(stm) || (entry = entry_of(stm, key, key_len)) == NULL)
        return stm->error.code;
    entry->read = true;
    if (!entry->known) {
        entry->wanted = true;
        if (stm->done != NULL) {
            stm->missed = true;
            return ETCD_ERR_STM_AGAIN;
        }
        if (fetch_now(stm) < 0)
            return stm->error.code;
    }
    *revision = entry->kv ? entry->kv->mod_revision : 0;
    return ETCD_OK;
}

/* The value as later gets see it; NULL when out of memory. */
static const etcd_bytes *keep_value(etcd_stm *stm, const char *value, size_t value_len)
{
    etcd_bytes *bytes = NULL;
    char *data = NULL;

    if (stm->written == NULL)
        stm->written = etcd__arena_new(WRITTEN_FIRST, SIZE_MAX);
    if (stm->written != NULL)
        bytes = etcd__arena_alloc(stm->written, sizeof *bytes);
    if (bytes != NULL)
        data = etcd__arena_alloc(stm->written, value_len + 1);
    if (data == NULL)
        return NULL;
    if (value_len > 0)
        memcpy(data, value, value_len);
    data[value_len] = '\0';
    *bytes = (etcd_bytes){data, value_len};
    return bytes;
}

/* Takes over `op`, which writes the key. */
static int write_key(etcd_stm *stm, const char *key, size_t key_len, etcd_op *op, const etcd_bytes *value)
{
    etcd__stm_entry *entry = entry_of(stm, key, key_len);

    if (entry == NULL) {
        etcd_op_free(op);
        return stm->error.code;
    }
    etcd_op_free(entry->write);
    entry->write = op;
    entry->value = value;
    return ETCD_OK;
}

int etcd_stm_put(etcd_stm *stm, const char *key, size_t key_len, const char *value, size_t value_len,
                 const etcd_put_options *options)
{
    const etcd_bytes *kept;
    etcd_op *op;

    if (stm == NULL)
        return ETCD_ERR_ARGUMENT;
    if (etcd__stm_has_failed(stm))
        return stm->error.code;
    stm->written_bytes += key_len + value_len;
    if (etcd__stm_check_limit(stm) < 0 || etcd_op_put(key, key_len, value, value_len, options, &op, &stm->error) < 0)
        return stm->error.code;
    kept = keep_value(stm, value, value_len);
    if (kept == NULL) {
        etcd_op_free(op);
        return etcd__stm_no_memory(stm);
    }
    return write_key(stm, key, key_len, op, kept);
}

int etcd_stm_del(etcd_stm *stm, const char *key, size_t key_len)
{
    etcd_op *op;

    if (stm == NULL)
        return ETCD_ERR_ARGUMENT;
    if (etcd__stm_has_failed(stm))
        return stm->error.code;
    stm->written_bytes += key_len;
    if (etcd__stm_check_limit(stm) < 0 || etcd_op_delete(key, key_len, NULL, &op, &stm->error) < 0)
        return stm->error.code;
    return write_key(stm, key, key_len, op, NULL);
}

int32_t etcd_stm_attempt(const etcd_stm *stm)
{
    return stm ? stm->attempt : 0;
}
