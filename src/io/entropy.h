/*
 * entropy - random bytes from the kernel: for keys that must not be guessed, and for seeds.
 */
#ifndef STANDPIPE_IO_ENTROPY_H
#define STANDPIPE_IO_ENTROPY_H

#include <stddef.h>

/* Fills all of it, or aborts: a kernel without random numbers is no place to serve from. */
void entropy_fill(void *at, size_t len);

#endif
