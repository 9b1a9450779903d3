/* Reading sized option structs: what keeps old programs working with newer libraries, and newer programs from being
 * misread by older ones (design, section 4.4). */
#ifndef ETCD__BASE_OPTIONS_H
#define ETCD__BASE_OPTIONS_H

#include <etcd3/error.h>
#include <stddef.h>

/** Copies the options that the caller gave into `known`, a struct of `known_size` bytes as this library knows it;
 *  missing fields become zero. NULL `given` means all defaults. ETCD_ERR_ARGUMENT when `size` was not set, or when a
 *  field is set that this version does not know; `type` names the struct in the message. */
int etcd__options_load(void *known, size_t known_size, const void *given, const char *type, etcd_error *err);

/** Clears a caller's struct of `size` bytes and sets its size: the body of every etcd_..._options_init(). */
void etcd__options_init(void *options, size_t size);

#endif
