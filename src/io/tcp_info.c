#include "io/tcp_info.h"

#include <stddef.h>
#include <sys/socket.h>

#include <linux/tcp.h> /* glibc's struct tcp_info ends before min_rtt */
#include <netinet/in.h>

#include "base/instant.h"

/* The kernel says so while it has measured nothing. */
#define NO_MIN_RTT UINT32_MAX

int tcp_info_read(int fd, struct tcp_sample *sample)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);
	*sample = (struct tcp_sample){0};
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
		return -1;
	sample->rtt_ns = info.tcpi_rtt * NS_PER_US;
	/* A kernel that knows less tells less, and leaves the rest as it was. */
	if (info.tcpi_min_rtt != NO_MIN_RTT)
		sample->min_rtt_ns = info.tcpi_min_rtt * NS_PER_US;
	sample->retransmits = info.tcpi_total_retrans;
	sample->segments = info.tcpi_data_segs_out;
	sample->unacked = info.tcpi_unacked;
	sample->lost = info.tcpi_lost;
	sample->delivery_rate_bit_s = 8.0 * (double)info.tcpi_delivery_rate;
	return 0;
}
