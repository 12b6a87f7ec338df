/*
 * tcp_info - what the kernel knows of a TCP connection (tcp(7), TCP_INFO): one system call, no
 * traffic.
 */
#ifndef STANDPIPE_IO_TCP_INFO_H
#define STANDPIPE_IO_TCP_INFO_H

#include <stdint.h>

struct tcp_sample {
	int64_t rtt_ns; /* smoothed (RFC 6298); 0: nothing was measured yet */
	int64_t min_rtt_ns; /* the least of the last minutes (net.ipv4.tcp_min_rtt_wlen); 0: none */
	int64_t retransmits; /* segments sent again since the socket was made, SYNs included */
	int64_t segments; /* with data, sent, those sent again included */
	int64_t unacked, lost; /* segments on their way now; of them, those taken for lost */
	double delivery_rate_bit_s; /* of the last flight that was acknowledged; 0: none was */
};

/* 0, or -1 when `fd` is no TCP socket; `sample` is then all zero. A socket that is still
 * connecting has its SYNs counted. */
int tcp_info_read(int fd, struct tcp_sample *sample);

#endif
