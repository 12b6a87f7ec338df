/*
 * target - what each file here defines: it feeds one input to a parser. libFuzzer calls it with
 * what it makes up, replay.c with the files of a corpus. It aborts where an invariant is broken;
 * AddressSanitizer sees the rest.
 */
#ifndef STANDPIPE_FUZZ_TARGET_H
#define STANDPIPE_FUZZ_TARGET_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
