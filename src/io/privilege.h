/*
 * privilege - what the process may do: as which user it runs, how many descriptors it may have.
 */
#ifndef STANDPIPE_IO_PRIVILEGE_H
#define STANDPIPE_IO_PRIVILEGE_H

#include "base/error.h"

/* Becomes `user`, a name or a number, with its groups, for good: no new privileges afterwards, by
 * set-user-id programs neither. Does nothing if it is that user already. 0, or -1 with `error`:
 * there is no such user, or only root could. Call it while there is one thread. */
int privilege_drop(const char *user, struct error *error);

/* Makes room for `count` open descriptors: raises the soft limit, and as root the hard one. Gives
 * the limit then in force, which may be less than `count`. */
long privilege_descriptors(long count);

#endif
