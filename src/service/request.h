/* From keys and options to request messages: what the services share. Everything the Go client refuses or panics
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

/** What options say of a range. */
typedef struct etcd__range_choice {
    const char *range_end;
    int64_t range_end_len;
    bool prefix;
    bool from_key;
} etcd__range_choice;

/** Resolves a key and a choice into the key and the range end of a request. ETCD_ERR_ARGUMENT, ETCD_ERR_EMPTY_KEY. */
int etcd__request_range(const char *key, size_t key_len, const etcd__range_choice *choice, etcd__range_end *room,
                        etcd_bytes *request_key, etcd_bytes *request_end, etcd_error *err);

/** Stores bytes, or refuses NULL ones that have a length. `what` names the argument in the message. */
int etcd__request_bytes(const char *what, const char *data, size_t len, etcd_bytes *bytes, etcd_error *err);

/** Stores a string without its NUL, or refuses NULL. */
int etcd__request_text(const char *what, const char *text, etcd_bytes *bytes, etcd_error *err);

/** Copies call options for a call to `endpoint`; NULL: to that of the options, else any. */
int etcd__request_to(const char *endpoint, const etcd_call_options *call, etcd_call_options *to, etcd_error *err);

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
