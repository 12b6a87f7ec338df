/*
 * care - how the kernel finds out that the other end of a TCP connection is gone without a word.
 *
 * Keepalive asks an end that is silent; the user timeout ends a connection on which what was sent
 * is not acknowledged, or not taken, for so long (tcp(7), TCP_USER_TIMEOUT).
 */
#ifndef STANDPIPE_IO_CARE_H
#define STANDPIPE_IO_CARE_H

#include <stdint.h>

struct care {
	int64_t idle_ns; /* of silence before the first probe; 0: no keepalive */
	int64_t interval_ns; /* between probes */
	int count; /* of probes without an answer */
	int64_t user_timeout_ns; /* 0: the system's */
};

/* For a TCP socket; of one that listens, those that it accepts inherit it. Nothing for others. */
void care_apply(int fd, const struct care *care);

/* libpq's parameters for the same, as texts. */
struct care_texts {
	char keepalives[4], idle[12], interval[12], count[12], user_timeout_ms[12];
};
void care_show(const struct care *care, struct care_texts *texts);

#endif
