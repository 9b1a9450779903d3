/* The text format of protocol buffers, as `protoc --decode` prints it and `protoc --encode` reads it. */
#ifndef ETCD3_TESTS_PB_TEXT_H
#define ETCD3_TESTS_PB_TEXT_H

#include "base/buf.h"
#include "wire/table.h"

/** Appends the fields of `message`, a struct of `type`, each line indented by `indent` spaces. Running out of memory aborts. */
void etcd_test_pb_text(etcd__buf *out, const etcd__pb_message *type, const void *message, unsigned indent);

#endif
