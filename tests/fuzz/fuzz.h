/* What a fuzz target defines; the entry point that libFuzzer, AFL++ and our own driver.c call. */
#ifndef ETCD3_TESTS_FUZZ_H
#define ETCD3_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/** Feeds one input to the parser under test; returns 0. A defect shows as a crash, a sanitizer report or a failed assert. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
