/*
 * syn - handshakes that were dropped: what an exhausted connector does to those that it has no room
 * for, while the database behind it is idle.
 *
 * The kernel sends a SYN again after 1 s and then ever later: 1, 3, 7, 15, 31 s after the first
 * (RFC 6298, doubling); from Linux 6.5 on 1, 2, 3, 4, 5, 7, 11, 19, 35 s (four at 1 s each first:
 * net.ipv4.tcp_syn_linear_timeouts). A handshake that took just over one of these was not slow: the
 * SYNs before it were lost, and the next one was answered as fast as ever.
 */
#ifndef STANDPIPE_CORE_SYN_H
#define STANDPIPE_CORE_SYN_H

#include <stdint.h>

#include "base/instant.h"

/* When the first one is sent again: nothing that took less was lost. */
#define SYN_RETRY_NS NS_PER_S

/* How many SYNs were lost, by the time that the handshake took; the fewest that explain it, 0: its
 * time does not tell. `usual_ns`: what a handshake takes else, 0: not known. */
int syn_losses(int64_t tcp_ns, int64_t usual_ns);

#endif
