/* From keys and options to request messages: what kv, txn and op share. Everything the Go client refuses or panics
 * on, and what the server would refuse for certain, is refused here with a text that says what to change. */
#ifndef ETCD__SERVICE_REQUEST_H
#define ETCD__SERVICE_REQUEST_H

#include "wire/messages.h"

#include <etcd3/kv.h>
#include <etcd3/txn.h>

/** Room for the end of a prefix range; a long one is allocated. Clear it, and free it once the request was encoded. */
typedef struct etcd__range_end {
    char *allocated;
    char small[64];
} etcd__range_end;

void etcd__range_end_free(etcd__range_end *end);

/** Fill a request whose bytes point into the arguments and `end`. `*call` becomes the options' call options. */
int etcd__request_get(const char *key, size_t key_len, const etcd_get_options *options, etcd__range_request *request,
                      etcd__range_end *end, const etcd_call_options **call, etcd_error *err);
int etcd__request_put(const char *key, size_t key_len, const char *value, size_t value_len, const etcd_put_options *options,
                      etcd__put_request *request, const etcd_call_options **call, etcd_error *err);
int etcd__request_delete(const char *key, size_t key_len, const etcd_delete_options *options, etcd__delete_range_request *request,
                         etcd__range_end *end, const etcd_call_options **call, etcd_error *err);
int etcd__request_compare(const char *key, size_t key_len, const etcd_compare_options *options, etcd__compare *request,
                          etcd__range_end *end, etcd_error *err);

/** Stores a deep copy of a message, made in the arena, in `*(void **)out`. ETCD_ERR_NO_MEMORY; ETCD_ERR_ARGUMENT for
 *  transactions nested too deeply. */
int etcd__message_clone(const etcd__pb_message *type, const void *message, etcd__arena *arena, void *out, etcd_error *err);

#endif
