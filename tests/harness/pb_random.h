/* Random messages of every type, driven by the tables: all kinds of fields, limits of numbers, empty and large bytes, nested
 * messages. The same seed gives the same message. */
#ifndef ETCD3_TESTS_PB_RANDOM_H
#define ETCD3_TESTS_PB_RANDOM_H

#include "base/random.h"
#include "wire/table.h"

/** Fills `message`, a struct of `type`. What it points to comes from `arena`; running out of memory aborts.
 *  `depth`: levels of messages that may follow; `max_bytes`: of one value. */
void etcd_test_pb_random(etcd__random *random, const etcd__pb_message *type, void *message, etcd__arena *arena, unsigned depth,
                         size_t max_bytes);

#endif
