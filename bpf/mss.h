/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Clamps the maximum segment size (RFC 9293 section 3.7.1) of connections that leave by way of lo.
 * Their sockets take lo's MTU for that of the way, and devices drop frames above their own.
 */
#ifndef SIDESTEP_MSS_H
#define SIDESTEP_MSS_H

#include "packet.h"
#include "tcp_header.h"

#define OPTION_MSS	2
#define OPTION_MSS_SIZE 4

/*
 * Lowers the size that a SYN announces to that of @mtu bytes. The option is looked for at the first
 * place only, where each TCP stack in use puts it.
 */
static __always_inline void mss_clamp(struct __sk_buff *skb, const struct packet *packet, __u32 mtu)
{
	__u32 headers = sizeof(struct tcp_header) +
			(packet->ipv4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr));
	__u32 option = packet->transport + sizeof(struct tcp_header);
	__be16 old, new;
	__u8 bytes[4];

	if (!packet->syn || mtu <= headers)
		return;
	if (packet_load(skb, packet->transport + offsetof(struct tcp_header, size), bytes, 1) < 0 ||
	    bytes[0] >> 4 <= sizeof(struct tcp_header) / 4 ||
	    packet_load(skb, option, bytes, sizeof(bytes)) < 0)
		return;
	if (bytes[0] != OPTION_MSS || bytes[1] != OPTION_MSS_SIZE)
		return;
	if ((__u32)(bytes[2] << 8 | bytes[3]) <= mtu - headers)
		return;
	__builtin_memcpy(&old, bytes + 2, sizeof(old));
	new = bpf_htons((__u16)(mtu - headers));
	if (bpf_l4_csum_replace(skb, packet->transport + offsetof(struct tcp_header, checksum), old,
				new, sizeof(new)) == 0)
		(void)bpf_skb_store_bytes(skb, option + 2, &new, sizeof(new), 0);
}

#endif
